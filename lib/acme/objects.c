/* SPDX-License-Identifier: ISC */
/*
 * Objects of a CA, read once and checked here, so that nobody has to ask
 * later.  Strict about what steers us (URLs, statuses, identifiers, tokens);
 * whatever else is missing, null or of a strange type is as if it were absent.
 */
#include "lib/acme/objects.h"

#include <string.h>

#include "lib/acme/jws.h"
#include "lib/acme/problem.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/str.h"
#include "lib/io/json.h"

#define QUOTED_MAX 120

#define CAA_MAX      32
#define NAME_LEN_MAX 253 /* of a CAA identity, a profile */
#define INFO_MAX     200 /* of URLs that only people open */
#define OFFERED_MAX  256

/* clang-format off */
static const char *const status_names[ACME_STATUS__COUNT] = {
	[ACME_UNKNOWN]     = "unknown",
	[ACME_PENDING]     = "pending",
	[ACME_READY]       = "ready",
	[ACME_PROCESSING]  = "processing",
	[ACME_VALID]       = "valid",
	[ACME_INVALID]     = "invalid",
	[ACME_DEACTIVATED] = "deactivated",
	[ACME_EXPIRED]     = "expired",
	[ACME_REVOKED]     = "revoked",
};
/* clang-format on */

#define BIT(status) (1u << (status))

const char *
acme_status_name(enum acme_status status)
{
	return (size_t)status < NELEM(status_names) ? status_names[status]
						    : status_names[0];
}

/* NULL, with what in front of the error, unless it is a JSON object. */
static struct json *
parse_object(const char *what, const char *text, size_t len, struct err *e)
{
	AUTO(json_free) struct json *root = NULL;

	if (len > ACME_BODY_MAX) {
		(void)err_set(e, ERR_LIMIT, 0, "%s: longer than %u bytes", what,
		    ACME_BODY_MAX);
		return NULL;
	}
	root = json_parse(text, len, e);
	if (root == NULL) {
		(void)err_wrap(e, "%s", what);
		return NULL;
	}
	if (!json_is_object(root)) {
		(void)err_set(e, ERR_PROTO, 0, "%s: not a JSON object", what);
		return NULL;
	}
	return take_ptr(root);
}

/* A copy for error texts and the pool: short, and fit for a terminal. */
static int
keep_text(const char *text, size_t max, struct pool *pool, const char **out,
    struct err *e)
{
	char *copy = pool_strndup(pool, text, strnlen(text, max));

	if (copy == NULL)
		return err_nomem(e, "reply of the CA");
	str_clean(copy);
	*out = copy;
	return 0;
}

/* ERR_PROTO that quotes text: "finalize: not an https URL: \"http://x\"". */
static int
refuse(const char *what, const char *why, const char *text, struct err *e)
{
	char quoted[QUOTED_MAX + 1];
	size_t len = strnlen(text, sizeof(quoted) - 1);

	memcpy(quoted, text, len);
	quoted[len] = '\0';
	str_clean(quoted);
	return err_set(e, ERR_PROTO, 0, "%s: %s: \"%s\"", what, why, quoted);
}

static bool
may_be_asked(const char *url)
{
	return str_is_https_url(url) && strlen(url) <= JWS_URL_MAX;
}

static int
keep_url(const char *what, const char *url, struct pool *pool, const char **out,
    struct err *e)
{
	if (!str_is_https_url(url))
		return refuse(what, "not an https URL", url, e);
	if (strlen(url) > JWS_URL_MAX)
		return err_set(e, ERR_PROTO, 0, "%s: URL longer than %d bytes",
		    what, JWS_URL_MAX);
	*out = pool_strdup(pool, url);
	return *out == NULL ? err_nomem(e, "reply of the CA") : 0;
}

/* A URL that we would ask: whether or not we need it, never plain http. */
static int
get_url(const struct json *o, const char *key, bool needed, struct pool *pool,
    const char **out, struct err *e)
{
	const char *url = json_get_text(o, key);

	*out = NULL;
	if (url != NULL && *url != '\0')
		return keep_url(key, url, pool, out, e);
	return needed ? err_set(e, ERR_PROTO, 0, "%s is missing", key) : 0;
}

/* One of the statuses in allowed; ACME_UNKNOWN when the text is no status. */
static enum acme_status
status_of(const struct json *o, unsigned allowed)
{
	const char *text = json_get_text(o, "status");
	unsigned i;

	for (i = 0; text != NULL && i < NELEM(status_names); i++)
		if ((allowed & BIT(i)) != 0 &&
		    strcmp(text, status_names[i]) == 0)
			return (enum acme_status)i;
	return ACME_UNKNOWN;
}

static int
get_status(const struct json *o, unsigned allowed, enum acme_status *status,
    struct err *e)
{
	const char *text = json_get_text(o, "status");

	if (text == NULL)
		return err_set(e, ERR_PROTO, 0, "status is missing");
	*status = status_of(o, allowed);
	return *status == ACME_UNKNOWN
		   ? refuse(
			 "status", "not one that this object can have", text, e)
		   : 0;
}

/* *has stays as it is when there is none. */
static int
get_error(const struct json *o, bool *has, struct err *error, struct err *e)
{
	const struct json *problem = json_get_object(o, "error");

	if (problem == NULL)
		return 0;
	*has = true;
	(void)problem_from_json(0, problem, error);
	return error->kind == ERR_NOMEM ? err_nomem(e, "error") : 0;
}

/*
 * Names for people, in a list that ends in NULL.  Those that are too many,
 * too long or no text at all are left out.
 */
struct names {
	struct pool *pool;
	const char **list;
	size_t n, max;
	bool nomem;
};

static int
names_init(struct names *names, struct pool *pool, size_t max, struct err *e)
{
	*names = (struct names){ .pool = pool, .max = max };
	names->list = pool_alloc(pool, (max + 1) * sizeof(*names->list));
	return names->list == NULL ? err_nomem(e, "directory") : 0;
}

static void
names_add(struct names *names, const char *text)
{
	if (names->n == names->max || text == NULL || *text == '\0' ||
	    strlen(text) > NAME_LEN_MAX)
		return;
	if (keep_text(text, NAME_LEN_MAX, names->pool, &names->list[names->n],
		NULL) == -1)
		names->nomem = true;
	else
		names->n++;
}

static void
add_profile(void *arg, const char *name, const struct json *description)
{
	(void)description;
	names_add(arg, name);
}

/* A URL of any scheme, for nobody but a person opens it. */
static int
get_info(const struct json *o, const char *key, struct pool *pool,
    const char **out, struct err *e)
{
	const char *url = json_get_text(o, key);

	if (url == NULL || *url == '\0' || strlen(url) > INFO_MAX)
		return 0;
	return keep_text(url, INFO_MAX, pool, out, e);
}

static int
decode_meta(const struct json *meta, struct pool *pool, struct directory *d,
    struct err *e)
{
	const struct json *caa = json_get_array(meta, "caaIdentities");
	const struct json *profiles = json_get_object(meta, "profiles");
	struct names c, p;
	size_t i;

	if (get_info(meta, "termsOfService", pool, &d->terms, e) == -1 ||
	    get_info(meta, "website", pool, &d->website, e) == -1)
		return -1;
	d->eab_required = json_get_bool(meta, "externalAccountRequired");
	if (names_init(&c, pool, CAA_MAX, e) == -1 ||
	    names_init(&p, pool, ACME_PROFILE_MAX, e) == -1)
		return -1;
	for (i = 0; i < json_len(caa) && c.n < c.max; i++)
		names_add(&c, json_text(json_at(caa, i)));
	if (profiles != NULL)
		json_each(profiles, add_profile, &p);
	d->caa_identities = c.list;
	d->profiles = p.list;
	return c.nomem || p.nomem ? err_nomem(e, "directory") : 0;
}

int
directory_decode(const char *text, size_t len, struct pool *pool,
    struct directory *d, struct err *e)
{
	AUTO(json_free) struct json *o = NULL;

	*d = (struct directory){ 0 };
	o = parse_object("directory", text, len, e);
	if (o == NULL)
		return -1;
	if (get_url(o, "newNonce", true, pool, &d->new_nonce, e) == -1 ||
	    get_url(o, "newAccount", true, pool, &d->new_account, e) == -1 ||
	    get_url(o, "newOrder", true, pool, &d->new_order, e) == -1 ||
	    get_url(o, "revokeCert", false, pool, &d->revoke_cert, e) == -1 ||
	    get_url(o, "keyChange", false, pool, &d->key_change, e) == -1 ||
	    get_url(o, "renewalInfo", false, pool, &d->renewal_info, e) == -1 ||
	    decode_meta(json_get_object(o, "meta"), pool, d, e) == -1)
		return err_wrap(e, "directory");
	return 0;
}

int
account_decode(const char *text, size_t len, struct pool *pool,
    struct account *a, struct err *e)
{
	AUTO(json_free) struct json *o = NULL;
	const char *orders;

	*a = (struct account){ 0 };
	o = parse_object("account", text, len, e);
	if (o == NULL)
		return -1;
	if (get_status(o,
		BIT(ACME_VALID) | BIT(ACME_DEACTIVATED) | BIT(ACME_REVOKED),
		&a->status, e) == -1)
		return err_wrap(e, "account");
	/* Many CAs have none, and nothing depends on it. */
	orders = json_get_text(o, "orders");
	if (orders == NULL || !may_be_asked(orders))
		return 0;
	a->orders = pool_strdup(pool, orders);
	return a->orders == NULL ? err_nomem(e, "account") : 0;
}

int
orders_decode(const char *text, size_t len,
    void (*fn)(void *arg, const char *url), void *arg, struct err *e)
{
	AUTO(json_free) struct json *o = parse_object("orders", text, len, e);
	const struct json *list;
	const char *url;
	size_t i, n;

	if (o == NULL)
		return -1;
	list = json_get_array(o, "orders");
	if (list == NULL)
		return err_set(e, ERR_PROTO, 0, "orders is missing");
	n = json_len(list);
	for (i = 0; i < n; i++) {
		url = json_text(json_at(list, i));
		if (url != NULL && may_be_asked(url))
			fn(arg, url);
	}
	return 0;
}

static int
decode_ident(
    const struct json *o, struct pool *pool, struct ident *ident, struct err *e)
{
	const char *type = json_get_text(o, "type");
	const char *value = json_get_text(o, "value"), *why;
	char canonical[STR_IDENT_MAX];

	if (type == NULL || value == NULL)
		return err_set(
		    e, ERR_PROTO, 0, "identifier without type or value");
	if (str_ident(value, canonical, &ident->is_ip, &why) == -1)
		return refuse("identifier", why, value, e);
	if (strcmp(type, ident->is_ip ? "ip" : "dns") != 0)
		return refuse(
		    "identifier", "not of the type it claims", value, e);
	ident->value = pool_strdup(pool, canonical);
	return ident->value == NULL ? err_nomem(e, "identifier") : 0;
}

static int
decode_idents(
    const struct json *list, struct pool *pool, struct order *o, struct err *e)
{
	size_t i, n = json_len(list);

	if (n == 0)
		return err_set(e, ERR_PROTO, 0, "no identifiers");
	if (n > ACME_AUTHZ_MAX)
		return err_set(e, ERR_LIMIT, 0, "more than %d identifiers",
		    ACME_AUTHZ_MAX);
	o->idents = pool_alloc(pool, n * sizeof(*o->idents));
	if (o->idents == NULL)
		return err_nomem(e, "order");
	for (i = 0; i < n; i++)
		if (decode_ident(json_at(list, i), pool, &o->idents[i], e) ==
		    -1)
			return -1;
	o->n_idents = n;
	return 0;
}

static int
decode_authzs(
    const struct json *list, struct pool *pool, struct order *o, struct err *e)
{
	size_t i, n = json_len(list);
	const char *url;

	if (n == 0 && o->status == ACME_PENDING)
		return err_set(
		    e, ERR_PROTO, 0, "pending, but without authorizations");
	if (n > ACME_AUTHZ_MAX)
		return err_set(e, ERR_LIMIT, 0, "more than %d authorizations",
		    ACME_AUTHZ_MAX);
	o->authzs = pool_alloc(pool, (n + 1) * sizeof(*o->authzs));
	if (o->authzs == NULL)
		return err_nomem(e, "order");
	for (i = 0; i < n; i++) {
		url = json_text(json_at(list, i));
		if (url == NULL)
			return err_set(
			    e, ERR_PROTO, 0, "authorizations: not a URL");
		if (keep_url("authorizations", url, pool, &o->authzs[i], e) ==
		    -1)
			return -1;
	}
	o->n_authzs = n;
	return 0;
}

int
order_decode(const char *text, size_t len, struct pool *pool,
    struct order *order, struct err *e)
{
	AUTO(json_free) struct json *o = NULL;
	const unsigned possible = BIT(ACME_PENDING) | BIT(ACME_READY) |
				  BIT(ACME_PROCESSING) | BIT(ACME_VALID) |
				  BIT(ACME_INVALID);
	const char *profile;
	bool unfinished;

	*order = (struct order){ 0 };
	o = parse_object("order", text, len, e);
	if (o == NULL)
		return -1;
	if (get_status(o, possible, &order->status, e) == -1)
		return err_wrap(e, "order");
	unfinished =
	    (BIT(order->status) & (BIT(ACME_PENDING) | BIT(ACME_READY))) != 0;
	if (decode_idents(json_get_array(o, "identifiers"), pool, order, e) ==
		-1 ||
	    decode_authzs(
		json_get_array(o, "authorizations"), pool, order, e) == -1 ||
	    get_url(o, "finalize", unfinished, pool, &order->finalize, e) ==
		-1 ||
	    get_url(o, "certificate", order->status == ACME_VALID, pool,
		&order->certificate, e) == -1)
		return err_wrap(e, "order");
	order->expires = json_get_time(o, "expires");
	profile = json_get_text(o, "profile");
	if (profile != NULL &&
	    keep_text(profile, NAME_LEN_MAX, pool, &order->profile, e) == -1)
		return -1;
	return get_error(o, &order->has_error, &order->error, e);
}

static bool
order_has(const struct order *o, const char *ident)
{
	size_t i;

	for (i = 0; i < o->n_idents; i++)
		if (strcmp(o->idents[i].value, ident) == 0)
			return true;
	return false;
}

bool
order_is_for(const struct order *o, const char *const *idents, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!order_has(o, idents[i]))
			return false;
	for (i = 0; i < o->n_idents; i++)
		if (!str_among(o->idents[i].value, idents, n))
			return false;
	return true;
}

static int
decode_challenge(
    const struct json *o, struct pool *pool, struct challenge *c, struct err *e)
{
	const char *token = json_get_text(o, "token");

	if (get_url(o, "url", true, pool, &c->url, e) == -1)
		return -1;
	if (token == NULL)
		return err_set(e, ERR_PROTO, 0, "token is missing");
	/* It becomes part of a path: nothing else may get through. */
	if (!str_is_token(token))
		return refuse(
		    "token", "not 22 to 256 characters of base64url", token, e);
	c->token = pool_strdup(pool, token);
	if (c->token == NULL)
		return err_nomem(e, "challenge");
	c->status = status_of(o, BIT(ACME_PENDING) | BIT(ACME_PROCESSING) |
				     BIT(ACME_VALID) | BIT(ACME_INVALID));
	c->has_error = json_get_object(o, "error") != NULL;
	return 0;
}

static int
add_http01(
    const struct json *o, struct pool *pool, struct authz *a, struct err *e)
{
	struct challenge *c = pool_alloc(pool, sizeof(*c));
	struct err why;

	if (c == NULL)
		return err_nomem(e, "challenge");
	if (decode_challenge(o, pool, c, &why) == 0) {
		a->http01 = c;
		return 0;
	}
	/* What will never be answered need not be right. */
	if (a->status != ACME_PENDING && why.kind != ERR_NOMEM)
		return 0;
	return err_set(e, why.kind, why.num, "http-01: %s", why.what);
}

/*
 * Other types than ours have members of all kinds (dns-persist-01 has no
 * token): of those only the type and the error are looked at.
 */
static int
decode_challenges(
    const struct json *list, struct pool *pool, struct authz *a, struct err *e)
{
	AUTO(buf_done) struct buf offered = BUF_INIT(OFFERED_MAX + 64);
	size_t i;

	for (i = 0; i < json_len(list); i++) {
		const struct json *o = json_at(list, i);
		const char *type = json_get_text(o, "type");
		bool ours = type != NULL && strcmp(type, "http-01") == 0;

		if (type == NULL)
			continue;
		if (ours && a->http01 == NULL &&
		    add_http01(o, pool, a, e) == -1)
			return -1;
		if (offered.len < OFFERED_MAX)
			buf_printf(&offered, "%s%.32s",
			    offered.len > 0 ? ", " : "", type);
		if ((!a->has_error || ours) &&
		    get_error(o, &a->has_error, &a->error, e) == -1)
			return -1;
	}
	if (offered.bad)
		return err_nomem(e, "challenges");
	return keep_text(buf_str(&offered), OFFERED_MAX, pool, &a->offered, e);
}

int
authz_decode(const char *text, size_t len, struct pool *pool, struct authz *a,
    struct err *e)
{
	AUTO(json_free) struct json *o = NULL;
	const unsigned possible = BIT(ACME_PENDING) | BIT(ACME_VALID) |
				  BIT(ACME_INVALID) | BIT(ACME_DEACTIVATED) |
				  BIT(ACME_EXPIRED) | BIT(ACME_REVOKED);

	*a = (struct authz){ 0 };
	o = parse_object("authorization", text, len, e);
	if (o == NULL)
		return -1;
	if (get_status(o, possible, &a->status, e) == -1 ||
	    decode_ident(
		json_get_object(o, "identifier"), pool, &a->ident, e) == -1)
		return err_wrap(e, "authorization");
	if (decode_challenges(json_get_array(o, "challenges"), pool, a, e) ==
	    -1)
		return err_wrap(e, "authorization of %s", a->ident.value);
	return 0;
}
