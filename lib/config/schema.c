/* SPDX-License-Identifier: ISC */
/*
 * Every key of the configuration: what it may be, what it is when nobody says,
 * and what it is for.  The reader, acmed -T and the test of the manual page
 * follow these rows.
 */
#include "lib/config/internal.h"

#include <string.h>

#define HOUR 3600
#define DAY  86400

/* clang-format off */
const struct preset presets[] = {
	{ .name = "letsencrypt", .shortlived_ip = true,
	  .directory = "https://acme-v02.api.letsencrypt.org/directory",
	  .staging = "letsencrypt-staging",
	  .limits = { [LIMIT_NEW_ORDERS] = { 300, 3 * HOUR },
		      [LIMIT_PER_DOMAIN] = { 50, 7 * DAY },
		      [LIMIT_PER_NAMES]  = { 5, 7 * DAY },
		      [LIMIT_FAILURES]   = { 5, HOUR } },
	  .renewals_exempt = true, .requests = { 20, 1 } },
	{ .name = "letsencrypt-staging", .shortlived_ip = true,
	  .directory = "https://acme-staging-v02.api.letsencrypt.org/directory",
	  .limits = { [LIMIT_NEW_ORDERS] = { 1500, 3 * HOUR },
		      [LIMIT_PER_DOMAIN] = { 30000, 7 * DAY },
		      [LIMIT_PER_NAMES]  = { 30000, 7 * DAY },
		      [LIMIT_FAILURES]   = { 200, HOUR } },
	  .renewals_exempt = true, .requests = { 20, 1 } },
	{ .name = "zerossl", .eab = true, .no_ip = true,
	  .directory = "https://acme.zerossl.com/v2/DV90",
	  .requests = { 20, 1 } },
	{ .name = "google", .eab = true,
	  .directory = "https://dv.acme-v02.api.pki.goog/directory",
	  .staging = "google-staging", .requests = { 20, 1 } },
	{ .name = "google-staging", .eab = true,
	  .directory = "https://dv.acme-v02.test-api.pki.goog/directory",
	  .requests = { 20, 1 } },
	{ .name = "actalis", .eab = true,
	  .directory = "https://acme-api.actalis.com/acme/directory",
	  .requests = { 20, 1 } },
	{ 0 },
};

static const struct choice keys[] = {
	{ "ec256",   CONF_EC256,   false },
	{ "ec384",   CONF_EC384,   false },
	{ "rsa2048", CONF_RSA2048, false },
	{ "rsa3072", CONF_RSA3072, false },
	{ "rsa4096", CONF_RSA4096, false },
	{ 0 },
};

static const struct choice yes_no[] = { /* a bool that may be inherited */
	{ "true",  1, false },
	{ "false", 0, false },
	{ 0 },
};

static const struct choice challenges[] = {
	{ "http-01",     CHALLENGE_HTTP,     false },
	{ "dns-01",      CHALLENGE_DNS,      true  },
	{ "tls-alpn-01", CHALLENGE_TLS_ALPN, true  },
	{ 0 },
};

static const struct choice algs[] = {
	{ "HS256", 256, false },
	{ "HS384", 384, false },
	{ "HS512", 512, false },
	{ 0 },
};

static const struct choice redirects[] = {
	{ "https", REDIRECT_HTTPS, false },
	{ "none",  REDIRECT_NONE,  false },
	{ 0 },
};

static const struct choice statuses[] = {
	{ "301", 301, false },
	{ "302", 302, false },
	{ "307", 307, false },
	{ "308", 308, false },
	{ 0 },
};

static const struct choice others[] = {
	{ "read",   CONF_OTHERS_READ,   false },
	{ "refuse", CONF_OTHERS_REFUSE, false },
	{ 0 },
};

static const struct choice levels[] = {
	{ "error", LOG_L_ERR,   false },
	{ "warn",  LOG_L_WARN,  false },
	{ "info",  LOG_L_INFO,  false },
	{ "debug", LOG_L_DEBUG, false },
	{ 0 },
};

static const struct choice formats[] = {
	{ "text", LOG_F_TEXT, false },
	{ "json", LOG_F_JSON, false },
	{ 0 },
};

#define AT(m) offsetof(struct conf_ca, m)
static const struct field eab_fields[] = {
	{ .key = "kid", .type = F_STR, .offset = AT(eab_kid),
	  .help = "Key identifier that the CA gave out." },
	{ .key = "hmac-file", .type = F_PATH, .offset = AT(eab_hmac_file),
	  .help = "File with the HMAC key, in base64 or base64url." },
	{ .key = "alg", .type = F_CHOICE, .offset = AT(eab_alg),
	  .choices = algs, .dflt = "HS256", .help = "Algorithm of the HMAC." },
	{ 0 },
};
const struct section section_eab = { "ca.eab", eab_fields };

static const struct field limits_fields[] = {
	{ .key = "new-orders", .type = F_RATE,
	  .offset = AT(limits[LIMIT_NEW_ORDERS]),
	  .help = "New orders of an account." },
	{ .key = "per-domain", .type = F_RATE,
	  .offset = AT(limits[LIMIT_PER_DOMAIN]),
	  .help = "Certificates with names below one registered domain." },
	{ .key = "per-names", .type = F_RATE,
	  .offset = AT(limits[LIMIT_PER_NAMES]),
	  .help = "Certificates with exactly the same names." },
	{ .key = "failures", .type = F_RATE,
	  .offset = AT(limits[LIMIT_FAILURES]),
	  .help = "Failed validations of one name." },
	{ .key = "renewals-exempt", .type = F_BOOL,
	  .offset = AT(renewals_exempt),
	  .help = "A renewal that names what it replaces does not count." },
	{ 0 },
};
const struct section section_limits = { "ca.limits", limits_fields };

static const struct field ca_fields[] = {
	{ .key = "directory", .type = F_URL, .offset = AT(directory),
	  .help = "URL of the CA's ACME directory." },
	{ .key = "ca-file", .type = F_PATH, .offset = AT(ca_file),
	  .help = "PEM file of the roots which the CA's own server is "
		  "checked against, instead of the system's." },
	{ .key = "proxy", .type = F_PROXY, .offset = AT(proxy),
	  .help = "Proxy for requests to this CA; empty for none, whatever "
		  "the environment says." },
	{ .key = "email", .type = F_EMAIL, .offset = AT(email),
	  .help = "Contact of this account, instead of the general one." },
	{ .key = "eab", .type = F_SECTION, .sub = &section_eab,
	  .help = "External account binding." },
	{ .key = "account-key", .type = F_CHOICE, .offset = AT(account_key),
	  .choices = keys, .dflt = "ec256",
	  .help = "Type of the account's key, for a new account." },
	{ .key = "max-orders", .type = F_UINT, .offset = AT(max_orders),
	  .min = 0, .max = 64, .dflt = "0",
	  .help = "How many orders may be in progress at once; 0 for 8 to 64, "
		  "by how many certificates there are." },
	{ .key = "validation-timeout", .type = F_SPAN,
	  .offset = AT(validation_timeout_s), .min = 60, .max = 7 * 86400,
	  .dflt = "10m", .help = "How long it may take to validate names." },
	{ .key = "issuance-timeout", .type = F_SPAN,
	  .offset = AT(issuance_timeout_s), .min = 600, .max = 30 * 86400,
	  .dflt = "24h",
	  .help = "How long it may take to issue what was finalized." },
	{ .key = "http1", .type = F_BOOL, .offset = AT(http1),
	  .dflt = "false", .help = "Do not offer HTTP/2 to this CA." },
	{ .key = "staging", .type = F_CA, .offset = AT(staging),
	  .help = "CA to try at first after a failed validation." },
	{ .key = "rehearse", .type = F_BOOL, .offset = AT(rehearse),
	  .dflt = "true", .help = "Whether staging is made use of." },
	{ .key = "max-requests", .type = F_RATE, .offset = AT(requests),
	  .help = "How many requests may be sent, whatever they are." },
	{ .key = "limits", .type = F_SECTION, .sub = &section_limits,
	  .help = "What the CA allows, so that it need not refuse." },
	{ 0 },
};
const struct section section_ca = { "ca", ca_fields };
#undef AT

#define AT(m) offsetof(struct settings, m)
static const struct field http_fields[] = {
	{ .key = "listen", .type = F_LISTEN, .offset = AT(listen),
	  .max = CONF_LISTEN_MAX,
	  .dflt = "[\"0.0.0.0:80\", \"[::]:80\"]",
	  .help = "Where acmed answers http-01 challenges." },
	{ .key = "redirect", .type = F_CHOICE, .offset = AT(redirect),
	  .choices = redirects, .dflt = "https",
	  .help = "Where every other request is sent; none answers 404." },
	{ .key = "redirect-status", .type = F_CHOICE,
	  .offset = AT(redirect_status), .choices = statuses, .dflt = "308",
	  .help = "Status of the redirect." },
	{ .key = "max-connections", .type = F_UINT,
	  .offset = AT(c.http.max_connections), .min = 8, .max = 65536,
	  .dflt = "1024", .help = "Open connections at once." },
	{ .key = "timeout", .type = F_SPAN, .offset = AT(c.http.timeout_s),
	  .min = 1, .max = 3600, .dflt = "10s",
	  .help = "For a whole request, and between two." },
	{ 0 },
};
const struct section section_http = { "http", http_fields };

static const struct field control_fields[] = {
	{ .key = "socket", .type = F_PATH, .offset = AT(c.control.socket),
	  .max = 107, .dflt = "/run/acmed/acmed.sock",
	  .help = "Unix socket that acmectl talks to." },
	{ .key = "group", .type = F_NAME, .offset = AT(c.control.group),
	  .help = "Members may change things, as root may." },
	{ .key = "others", .type = F_CHOICE, .offset = AT(c.control.others),
	  .choices = others, .dflt = "read",
	  .help = "Whether everybody else may look or is refused." },
	{ 0 },
};
const struct section section_control = { "control", control_fields };

static const struct field log_fields[] = {
	{ .key = "level", .type = F_CHOICE, .offset = AT(c.log.level),
	  .choices = levels, .dflt = "info", .help = "How much is logged." },
	{ .key = "format", .type = F_CHOICE, .offset = AT(c.log.format),
	  .choices = formats, .dflt = "text", .help = "Form of a line." },
	{ 0 },
};
const struct section section_log = { "log", log_fields };
#undef AT

#define AT(m) offsetof(struct entry, m)
static const struct field cert_fields[] = {
	{ .key = "name", .type = F_NAME, .offset = AT(name),
	  .help = "How folders, logs, hooks and acmectl call it; without it, "
		  "the first of names." },
	{ .key = "names", .type = F_IDENTS, .offset = AT(names),
	  .help = "Domain names and IP addresses it is valid for." },
	{ .key = "ca", .type = F_CA_LIST, .offset = AT(cas),
	  .help = "CA that issues it, or several, the first one first." },
	{ .key = "challenge", .type = F_CHOICE, .many = true,
	  .offset = AT(challenge), .choices = challenges,
	  .help = "How control over the names is shown." },
	{ .key = "key", .type = F_CHOICE, .many = true, .offset = AT(key),
	  .choices = keys, .help = "Type of its private key." },
	{ .key = "reload", .type = F_COMMAND, .offset = AT(reload),
	  .help = "Command to run when it has changed." },
	{ .key = "reload-timeout", .type = F_SPAN,
	  .offset = AT(reload_timeout_s), .min = 1, .max = 3600,
	  .help = "When that command is stopped." },
	{ .key = "preferred-chain", .type = F_STR,
	  .offset = AT(preferred_chain),
	  .help = "Common name of an issuer in the chain to prefer." },
	{ .key = "profile", .type = F_PROFILE, .offset = AT(profile),
	  .not_with = "preferred-profile",
	  .help = "Profile that the CA must offer." },
	{ .key = "preferred-profile", .type = F_PROFILE,
	  .offset = AT(preferred_profile), .not_with = "profile",
	  .help = "Profile, where the CA offers it." },
	{ .key = "partial", .type = F_CHOICE, .offset = AT(partial),
	  .choices = yes_no,
	  .help = "Whether names that keep failing are left out of it." },
	{ .key = "compat",  .reserved = true },
	{ .key = "dns",     .reserved = true },
	{ .key = "install", .reserved = true },
	{ .key = "verify",  .reserved = true },
	{ 0 },
};
const struct section section_cert = { "domains", cert_fields };

static const struct field defaults_fields[] = {
	{ .key = "ca", .type = F_CA_LIST, .offset = AT(cas),
	  .dflt = "letsencrypt",
	  .help = "CA that issues, or several, the first one first." },
	{ .key = "failover-after", .type = F_UINT,
	  .offset = AT(failover_after), .min = 1, .max = 20, .dflt = "3",
	  .help = "How often a CA may fail before the next is asked." },
	{ .key = "challenge", .type = F_CHOICE, .many = true,
	  .offset = AT(challenge), .choices = challenges, .dflt = "http-01",
	  .help = "How control over the names is shown." },
	{ .key = "key", .type = F_CHOICE, .many = true, .offset = AT(key),
	  .choices = keys, .dflt = "ec256", .help = "Type of private keys." },
	{ .key = "reload", .type = F_COMMAND, .offset = AT(reload),
	  .help = "The same as reload at the top level." },
	{ .key = "preferred-chain", .type = F_STR,
	  .offset = AT(preferred_chain),
	  .help = "Common name of an issuer in the chain to prefer." },
	{ .key = "profile", .type = F_PROFILE, .offset = AT(profile),
	  .not_with = "preferred-profile",
	  .help = "Profile that the CA must offer." },
	{ .key = "preferred-profile", .type = F_PROFILE,
	  .offset = AT(preferred_profile), .not_with = "profile",
	  .help = "Profile, where the CA offers it." },
	{ .key = "partial", .type = F_CHOICE, .offset = AT(partial),
	  .choices = yes_no, .dflt = "false",
	  .help = "Whether names that keep failing are left out." },
	{ .key = "compat",  .reserved = true },
	{ .key = "dns",     .reserved = true },
	{ .key = "install", .reserved = true },
	{ .key = "verify",  .reserved = true },
	{ 0 },
};
const struct section section_defaults = { "defaults", defaults_fields };
#undef AT

#define AT(m) offsetof(struct settings, m)
static const struct field top_fields[] = {
	{ .key = "email", .type = F_EMAIL, .offset = AT(email),
	  .help = "Contact that CAs are told." },
	{ .key = "agree-tos", .type = F_AGREE, .offset = AT(agree),
	  .help = "Must be true: the terms of service of the CAs are "
		  "agreed to." },
	{ .key = "reload", .type = F_COMMAND, .offset = AT(defaults.reload),
	  .help = "Command to run when a certificate has changed." },
	{ .key = "reload-timeout", .type = F_SPAN,
	  .offset = AT(defaults.reload_timeout_s), .min = 1, .max = 3600,
	  .dflt = "60s", .help = "When that command is stopped." },
	{ .key = "max-hooks", .type = F_UINT, .offset = AT(c.max_hooks),
	  .min = 1, .max = 64, .dflt = "4",
	  .help = "How many such commands may run at once." },
	{ .key = "resolvers", .type = F_RESOLVER, .offset = AT(resolvers),
	  .max = CONF_RESOLVER_MAX,
	  .help = "Name servers to ask, instead of the system's." },
	{ .key = "include", .type = F_INCLUDE,
	  .help = "Files with more of domains and ca." },
	{ .key = "state-dir", .type = F_PATH, .offset = AT(c.state_dir),
	  .dflt = "/var/lib/acmed",
	  .help = "Folder of certificates, keys and memory." },
	{ .key = "user", .type = F_NAME, .offset = AT(c.user),
	  .dflt = "acmed", .help = "User that talks to the network." },
	{ .key = "keeper-user", .type = F_NAME, .offset = AT(c.keeper_user),
	  .dflt = "acmed-keeper", .help = "User that holds the keys." },
	{ .key = "http", .type = F_SECTION, .sub = &section_http,
	  .help = "The server of http-01 challenges." },
	{ .key = "control", .type = F_SECTION, .sub = &section_control,
	  .help = "The socket of acmectl." },
	{ .key = "log", .type = F_SECTION, .sub = &section_log,
	  .help = "What is logged." },
	{ .key = "defaults", .type = F_DEFAULTS, .sub = &section_defaults,
	  .offset = AT(defaults),
	  .help = "What certificates have that do not say otherwise." },
	{ .key = "ca", .type = F_CAS, .included = true, .sub = &section_ca,
	  .help = "Certificate authorities, by name." },
	{ .key = "domains", .type = F_DOMAINS, .included = true,
	  .sub = &section_cert, .help = "The certificates." },
	{ .key = "compat",  .reserved = true },
	{ .key = "dns",     .reserved = true },
	{ .key = "install", .reserved = true },
	{ .key = "verify",  .reserved = true },
	{ 0 },
};
const struct section section_top = { "", top_fields };
#undef AT
/* clang-format on */

const struct field *
field_find(const struct section *s, const char *key)
{
	const struct field *f;

	for (f = s->fields; f->key != NULL; f++)
		if (strcmp(f->key, key) == 0)
			return f;
	return NULL;
}

const struct preset *
preset_find(const char *name)
{
	const struct preset *p;

	for (p = presets; p->name != NULL; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

const struct preset *
preset_at(const char *directory)
{
	const struct preset *p;

	for (p = presets; p->name != NULL && directory != NULL; p++)
		if (strcmp(p->directory, directory) == 0)
			return p;
	return NULL;
}

void
conf_each_key(void (*fn)(void *arg, const char *section, const char *key,
		  const char *dflt, const char *help),
    void *arg)
{
	static const struct section *const all[] = { &section_top, &section_ca,
		&section_eab, &section_limits, &section_http, &section_control,
		&section_log, &section_defaults, &section_cert };
	const struct field *f;
	size_t i;

	for (i = 0; i < NELEM(all); i++)
		for (f = all[i]->fields; f->key != NULL; f++)
			if (!f->reserved)
				fn(arg, all[i]->name, f->key, f->dflt, f->help);
}
