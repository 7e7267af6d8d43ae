/* SPDX-License-Identifier: ISC */
/*
 * What a CA complains about, and what a tired administrator should do: one
 * row each.  A new quirk of a CA is a new row.
 */
#include "lib/acme/problem.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/acme/reply.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/str.h"
#include "lib/io/json.h"

#define TEXT_MAX    (ERR_WHAT_MAX - PROBLEM_ROOM)
#define COMPOSE_MAX (4u << 20) /* more than a body can make of it */
#define SUBS_MAX    20         /* subproblems shown */
#define ALGS_MAX    16
#define EXCERPT_MAX 200

/* Of a part of a compound problem: the heaviest one names the whole.  What is
 * done about it is the caller's to say. */
enum weight {
	WEIGHT_NONE,
	WEIGHT_PASSES,
	WEIGHT_WAITS,
	WEIGHT_OF_A_NAME,
	WEIGHT_OF_A_RECORD, /* a person's, and perhaps soon mended */
	WEIGHT_OF_ALL,
	WEIGHT_OF_ACCOUNT,
};

struct row {
	const char *name;
	enum acme_problem id;
	enum weight weight;
	const char *hint;
};

/* clang-format off */
static const struct row rows[] = {
	{ "accountDoesNotExist", PROBLEM_ACCOUNT_DOES_NOT_EXIST, WEIGHT_PASSES,
	  "the CA has forgotten the account; acmed registers it again once" },
	{ "alreadyReplaced", PROBLEM_ALREADY_REPLACED, WEIGHT_PASSES, NULL },
	{ "alreadyRevoked", PROBLEM_ALREADY_REVOKED, WEIGHT_NONE, NULL },
	{ "badCSR", PROBLEM_BAD_CSR, WEIGHT_OF_ALL,
	  "the CA does not take this kind of request: check the key type and "
	  "the number of names against what the CA allows" },
	{ "badNonce", PROBLEM_BAD_NONCE, WEIGHT_PASSES, NULL },
	{ "badPublicKey", PROBLEM_BAD_PUBLIC_KEY, WEIGHT_OF_ALL,
	  "the CA refuses this key: choose another key type" },
	{ "badRevocationReason", PROBLEM_BAD_REVOCATION_REASON,
	  WEIGHT_OF_ALL, "give another reason, or none" },
	{ "badSignatureAlgorithm", PROBLEM_BAD_SIGNATURE_ALGORITHM,
	  WEIGHT_OF_ALL,
	  "the CA does not take this type of account key: choose another" },
	{ "caa", PROBLEM_CAA, WEIGHT_OF_A_RECORD,
	  "a CAA record of the name, or of a domain above it, forbids this CA: "
	  "add a CAA record that names the CA, or remove the others" },
	{ "compound", PROBLEM_COMPOUND, WEIGHT_OF_A_NAME,
	  "several names failed for different reasons: see each" },
	{ "conflict", PROBLEM_CONFLICT, WEIGHT_PASSES, NULL },
	{ "connection", PROBLEM_CONNECTION, WEIGHT_OF_A_NAME,
	  "the CA could not reach port 80 of this host: check the DNS A and "
	  "AAAA records of the name (both must lead here), the firewall, and "
	  "any port forwarding" },
	{ "dns", PROBLEM_DNS, WEIGHT_OF_A_NAME,
	  "the CA could not look the name up: check that it exists in public "
	  "DNS, and that all its name servers answer" },
	{ "externalAccountRequired", PROBLEM_EXTERNAL_ACCOUNT_REQUIRED,
	  WEIGHT_OF_ACCOUNT,
	  "this CA wants an account at its own site first: get a key id and "
	  "an HMAC key there, put them into the eab entry of the ca, then: "
	  "acmectl reload" },
	{ "incorrectResponse", PROBLEM_INCORRECT_RESPONSE, WEIGHT_OF_A_NAME,
	  "the CA reached something that answered wrongly: another web server "
	  "or proxy answers /.well-known/acme-challenge/ instead of acmed" },
	{ "invalidContact", PROBLEM_INVALID_CONTACT, WEIGHT_OF_ALL,
	  "the CA does not take the email address: correct or remove it, then: "
	  "acmectl reload" },
	{ "invalidProfile", PROBLEM_INVALID_PROFILE, WEIGHT_OF_ALL,
	  "the CA does not offer this profile (to this account)" },
	{ "malformed", PROBLEM_MALFORMED, WEIGHT_OF_ALL,
	  "the CA does not understand the request: if nothing in its text "
	  "helps, report this as a bug" },
	{ "orderNotReady", PROBLEM_ORDER_NOT_READY, WEIGHT_PASSES, NULL },
	{ "rateLimited", PROBLEM_RATE_LIMITED, WEIGHT_WAITS,
	  "too many requests of some kind: wait; acmed tries again when the "
	  "CA allows it, and trying sooner by hand makes it worse" },
	{ "rejectedIdentifier", PROBLEM_REJECTED_IDENTIFIER, WEIGHT_OF_ALL,
	  "the CA does not issue for this name, as a matter of policy: check "
	  "the spelling, remove the name, or ask the CA" },
	{ "serverInternal", PROBLEM_SERVER_INTERNAL, WEIGHT_WAITS,
	  "the CA has trouble of its own: acmed tries again" },
	{ "tls", PROBLEM_TLS, WEIGHT_OF_A_NAME,
	  "the CA met a TLS error on the way: check where port 80 redirects "
	  "to, and what answers there" },
	{ "unauthorized", PROBLEM_UNAUTHORIZED, WEIGHT_OF_A_NAME,
	  "the CA got the wrong answer, or the account may not do this: check "
	  "that the DNS A and AAAA records of the name lead to this host and "
	  "not to another server, parking page or proxy" },
	{ "unsupportedContact", PROBLEM_UNSUPPORTED_CONTACT, WEIGHT_OF_ALL,
	  "the CA does not take this kind of contact: correct or remove it, "
	  "then: acmectl reload" },
	{ "unsupportedIdentifier", PROBLEM_UNSUPPORTED_IDENTIFIER,
	  WEIGHT_OF_ALL,
	  "the CA does not issue for this kind of name: use another CA or "
	  "remove it" },
	{ "userActionRequired", PROBLEM_USER_ACTION_REQUIRED, WEIGHT_OF_ACCOUNT,
	  "the CA wants a person to act (new terms of service, usually): open "
	  "the URL, then: acmectl reload" },
	/* Pebble before 2.9 */
	{ "agreementRequired", PROBLEM_USER_ACTION_REQUIRED, WEIGHT_OF_ACCOUNT,
	  NULL },
};
/* clang-format on */

/* The first row of an id is its own, later ones are other names for it. */
static const struct row *
row_of(enum acme_problem id)
{
	size_t i;

	for (i = 0; i < NELEM(rows); i++)
		if (rows[i].id == id)
			return &rows[i];
	return NULL;
}

const char *
problem_name(enum acme_problem id)
{
	const struct row *row = row_of(id);

	return row == NULL ? "unknown" : row->name;
}

const char *
problem_hint(enum acme_problem id)
{
	const struct row *row = row_of(id);

	return row == NULL ? NULL : row->hint;
}

const char *
problem_hint_for(const struct err *e)
{
	/* What is said of the cause in words of Boulder, whatever its type. */
	static const struct {
		const char *said, *hint;
	} more[] = {
		{ "During secondary validation",
		    "the CA checks from several places in the world and only "
		    "some of them reach this host: look for a firewall that "
		    "blocks countries, an anycast or CDN node, a name server "
		    "that lags behind" },
		{ "DNSSEC",
		    "the DNSSEC signatures of the domain are broken: check "
		    "the DS records at the registrar and the zone's keys" },
		{ "SERVFAIL",
		    "a name server of the domain fails: check all of them, "
		    "and the domain's DNSSEC signatures" },
	};
	size_t i;

	if (e->kind != ERR_PROBLEM)
		return err_hint(e);
	for (i = 0; i < NELEM(more); i++)
		if (strstr(e->what, more[i].said) != NULL)
			return more[i].hint;
	return problem_hint((enum acme_problem)e->problem);
}

enum acme_problem
problem_from_type(const char *urn)
{
	static const char *const prefixes[] = {
		"urn:ietf:params:acme:error:",
		"urn:acme:error:", /* before the RFC */
	};
	size_t i, len = 0;

	if (urn == NULL)
		return PROBLEM_UNKNOWN;
	for (i = 0; i < NELEM(prefixes); i++)
		if (strncmp(urn, prefixes[i], strlen(prefixes[i])) == 0)
			len = strlen(prefixes[i]);
	for (i = 0; len > 0 && i < NELEM(rows); i++)
		if (strcmp(urn + len, rows[i].name) == 0)
			return rows[i].id;
	return PROBLEM_UNKNOWN;
}

/* Of the URL at p, without the punctuation of the sentence around it. */
static size_t
url_len(const char *p)
{
	size_t n;

	for (n = 0; p[n] > ' ' && p[n] < 0x7f; n++)
		if (strchr("\"<>\\", p[n]) != NULL)
			break;
	while (strchr(".,:;!?'()[]{}", p[n - 1]) != NULL)
		n--; /* ends at the latest at the scheme's slash */
	return n;
}

const char *
problem_url(const char *text, size_t *len)
{
	const char *p, *found = NULL;
	bool unpause = false;
	size_t n;

	for (p = text; !unpause && (p = strstr(p, "https://")); p += n) {
		n = url_len(p);
		unpause = memmem(p, n, "/unpause", 8) != NULL;
		if (found == NULL || unpause) {
			found = p;
			*len = n;
		}
	}
	return found;
}

static bool
is_name_char(char c)
{
	return str_is_alnum(c) || c == '-' || c == '_' || c == '*';
}

/* It goes on to the left or to the right: "www.a.example", "a.example.org",
 * "2001:db8::1:2"; but "a.example: dns" and "a.example." are the whole of it.
 */
static bool
goes_on(char sep, char beyond)
{
	return is_name_char(sep) ||
	       ((sep == '.' || sep == ':') && is_name_char(beyond));
}

bool
problem_names(const char *text, const char *ident)
{
	size_t len = strlen(ident);
	const char *p;

	for (p = text; (p = strcasestr(p, ident)) != NULL; p++) {
		if (p > text && goes_on(p[-1], p - 1 > text ? p[-2] : ' '))
			continue;
		if (!goes_on(p[len], p[len] == '\0' ? ' ' : p[len + 1]))
			return true;
	}
	return false;
}

/*
 * Make text fit.  Cut at the end, unless that cuts the URL that a person
 * needs: then cut what is before it.
 */
static void
fit(const char *text, struct buf *out)
{
	size_t len = strlen(text), n = 0, head;
	const char *url = problem_url(text, &n);

	if (len <= TEXT_MAX) {
		buf_puts(out, text);
	} else if (url == NULL || n + 4 > TEXT_MAX ||
		   (size_t)(url - text) + n + 3 <= TEXT_MAX) {
		buf_add(out, text, TEXT_MAX - 3);
		buf_puts(out, "...");
	} else {
		head = TEXT_MAX - n - 4;
		buf_add(out, text, head);
		buf_puts(out, "... ");
		buf_add(out, url, n);
	}
}

/* Before str_clean(), whose '?' would glue words, and thus URLs, together. */
static void
one_line(char *text)
{
	for (; *text != '\0'; text++)
		if (strchr("\t\n\r", *text) != NULL)
			*text = ' ';
}

/* What a problem object is called: its known name, else its type, if any. */
static void
add_name(const struct json *o, int status, struct buf *text)
{
	const char *type = json_get_text(o, "type");
	enum acme_problem id = problem_from_type(type);

	if (id != PROBLEM_UNKNOWN)
		buf_puts(text, problem_name(id));
	else if (type != NULL && *type != '\0' &&
		 strcmp(type, "about:blank") != 0)
		buf_printf(text, "%.200s", type);
	else if (status > 0)
		buf_printf(text, "HTTP %d", status);
	else
		buf_puts(text, "error");
}

static void
add_detail(const struct json *o, struct buf *text)
{
	const char *detail = json_get_text(o, "detail");

	if (detail == NULL || *detail == '\0')
		detail = json_get_text(o, "title");
	if (detail != NULL && *detail != '\0')
		buf_printf(text, ": %s", detail);
}

/* " (www.example.org: dns: no such name; ...)" */
static void
add_subproblems(const struct json *list, struct buf *text)
{
	size_t i, n = json_len(list);

	for (i = 0; i < n && i < SUBS_MAX; i++) {
		const struct json *sub = json_at(list, i);
		const struct json *ident = json_get_object(sub, "identifier");
		const char *value = json_get_text(ident, "value");

		buf_puts(text, i == 0 ? " (" : "; ");
		if (value != NULL)
			buf_printf(text, "%.255s: ", value);
		add_name(sub, 0, text);
		add_detail(sub, text);
	}
	if (n > SUBS_MAX)
		buf_printf(text, "; and %zu more", n - SUBS_MAX);
	if (n > 0)
		buf_putc(text, ')');
}

static void
add_algorithms(const struct json *list, struct buf *text)
{
	size_t i, n = json_len(list);

	for (i = 0; i < n && i < ALGS_MAX; i++) {
		const char *alg = json_text(json_at(list, i));

		buf_printf(text, "%s%.32s", i == 0 ? " (the CA takes " : ", ",
		    alg == NULL ? "?" : alg);
	}
	if (n > 0)
		buf_putc(text, ')');
}

static enum weight
weight_of(enum acme_problem id)
{
	const struct row *row = row_of(id);

	return row == NULL ? WEIGHT_NONE : row->weight;
}

bool
problem_outweighs(enum acme_problem a, enum acme_problem b)
{
	return weight_of(a) > weight_of(b);
}

/* A compound problem is as bad as its worst part. */
static enum acme_problem
worst_of(const struct json *list)
{
	enum acme_problem worst = PROBLEM_COMPOUND;
	size_t i;

	for (i = 0; i < json_len(list); i++) {
		enum acme_problem id =
		    problem_from_type(json_get_text(json_at(list, i), "type"));

		if (weight_of(id) == WEIGHT_NONE)
			continue;
		if (worst == PROBLEM_COMPOUND || problem_outweighs(id, worst))
			worst = id;
	}
	return worst;
}

int
problem_from_json(int status, const struct json *o, struct err *e)
{
	AUTO(buf_done) struct buf text = BUF_INIT(COMPOSE_MAX);
	AUTO(buf_done) struct buf fitting = BUF_INIT(ERR_WHAT_MAX);
	const struct json *subs = json_get_array(o, "subproblems");
	enum acme_problem id = problem_from_type(json_get_text(o, "type"));
	const char *instance = json_get_text(o, "instance");
	int64_t said = json_get_int(o, "status");

	if (status == 0 && said >= 100 && said <= 599)
		status = (int)said;
	add_name(o, status, &text);
	add_detail(o, &text);
	if (id == PROBLEM_USER_ACTION_REQUIRED && instance != NULL &&
	    str_is_https_url(instance))
		buf_printf(&text, " (see %s)", instance);
	if (id == PROBLEM_BAD_SIGNATURE_ALGORITHM)
		add_algorithms(json_get_array(o, "algorithms"), &text);
	add_subproblems(subs, &text);
	if (!buf_ok(&text))
		return err_nomem(e, "problem document");
	one_line(text.data);
	fit(text.data, &fitting);
	if (!buf_ok(&fitting))
		return err_nomem(e, "problem document");
	str_clean(fitting.data);
	(void)err_set(e, ERR_PROBLEM, status, "%s", buf_str(&fitting));
	if (e != NULL)
		e->problem = id == PROBLEM_COMPOUND ? worst_of(subs) : id;
	return -1;
}

/* A page of some proxy, as one line. */
static int
not_a_problem(int status, const char *body, size_t len, struct err *e)
{
	char text[EXCERPT_MAX + 1];
	size_t i, n = 0;

	for (i = 0; i < len && n < EXCERPT_MAX; i++) {
		bool blank = (unsigned char)body[i] <= ' ' || body[i] == 0x7f;

		if (!blank)
			text[n++] = body[i];
		else if (n > 0 && text[n - 1] != ' ')
			text[n++] = ' ';
	}
	text[n] = '\0';
	str_clean(text);
	return err_set(e, ERR_HTTP, status, "HTTP %d%s%s", status,
	    n > 0 ? ": " : "", text);
}

int
problem_decode(int status, const char *content_type, const char *body,
    size_t len, struct err *e)
{
	AUTO(json_free) struct json *root = NULL;
	struct err why = { 0 };

	if (body == NULL)
		len = 0;
	if (len > 0)
		root = json_parse(body, len, &why);
	if (why.kind == ERR_NOMEM)
		return err_nomem(e, "problem document");
	if (root != NULL && json_is_object(root) &&
	    (reply_type_is(content_type, "application/problem+json") ||
		json_get_text(root, "type") != NULL ||
		json_get_text(root, "detail") != NULL))
		return problem_from_json(status, root, e);
	return not_a_problem(status, body, len, e);
}
