/* SPDX-License-Identifier: ISC */
/*
 * What CAs send (protocol.md A1, C1, C4-C7, D7, E2-E4, E7, E10, E11, E14, E30).
 * Each test takes a good object, spoils one member, and says what must come of
 * it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/acme/objects.h"
#include "lib/acme/problem.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

#define CA    "https://ca.example/acme"
#define TOKEN "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"

struct member {
	const char *key, *value;
};

/* One member missing (value NULL) or other than usual. */
struct spoiled {
	const char *key, *value;
	const char *error; /* the whole text; NULL: it decodes all the same */
};

/* The object with key set to value, left out when value is NULL. */
static void
object(const struct member *members, const char *key, const char *value,
    struct buf *out)
{
	const char *sep = "{";
	bool done = key == NULL || value == NULL;

	for (; members->key != NULL; members++) {
		const char *v = members->value;

		if (key != NULL && strcmp(members->key, key) == 0) {
			v = value;
			done = true;
		}
		if (v == NULL)
			continue;
		buf_printf(out, "%s\"%s\":%s", sep, members->key, v);
		sep = ",";
	}
	if (!done)
		buf_printf(out, "%s\"%s\":%s", sep, key, value);
	buf_putc(out, '}');
	assert_true(buf_ok(out));
}

typedef int decode_fn(
    const char *, size_t, struct pool *, void *, struct err *);

static int
decode_directory(
    const char *s, size_t n, struct pool *p, void *o, struct err *e)
{
	return directory_decode(s, n, p, o, e);
}

static int
decode_account(const char *s, size_t n, struct pool *p, void *o, struct err *e)
{
	return account_decode(s, n, p, o, e);
}

static int
decode_order(const char *s, size_t n, struct pool *p, void *o, struct err *e)
{
	return order_decode(s, n, p, o, e);
}

static int
decode_authz(const char *s, size_t n, struct pool *p, void *o, struct err *e)
{
	return authz_decode(s, n, p, o, e);
}

/* The object with that member decodes. */
static void
decode_good(decode_fn *decode, void *object_out, const struct member *members,
    const char *key, const char *value, struct pool *pool)
{
	AUTO(buf_done) struct buf text = BUF_INIT(1 << 20);
	struct err e;

	object(members, key, value, &text);
	if (decode(text.data, text.len, pool, object_out, &e) == -1)
		fail_msg("%s", e.what);
}

static void
check_spoiled(decode_fn *decode, void *object_out, const struct member *good,
    const struct spoiled *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
		AUTO(buf_done) struct buf text = BUF_INIT(1 << 20);
		struct err e = { .what = "" };
		int r;

		object(good, rows[i].key, rows[i].value, &text);
		r = decode(buf_str(&text), text.len, pool, object_out, &e);
		if (r != (rows[i].error == NULL ? 0 : -1) ||
		    strcmp(e.what,
			rows[i].error == NULL ? "" : rows[i].error) != 0)
			fail_msg("%s: %d \"%s\"", buf_str(&text), r, e.what);
	}
}

/* What every object's text must be at least. */
static void
check_bad_text(decode_fn *decode, void *object_out, const char *what)
{
	static const char *const texts[] = { "", "{", "[]", "null", "7",
		"\"x\"", "{}x", "{} {}", "<html>", "{\"a\":\xff}" };
	AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
	struct err e;
	size_t i;

	for (i = 0; i < NELEM(texts); i++) {
		assert_int_equal(
		    decode(texts[i], strlen(texts[i]), pool, object_out, &e),
		    -1);
		assert_int_equal(e.kind, ERR_PROTO);
		assert_memory_equal(e.what, what, strlen(what));
		assert_memory_equal(e.what + strlen(what), ": ", 2);
	}
}

/* RFC 8555 7.1.1, with a member that nobody has heard of (C7). */
static const struct member good_directory[] = {
	{ "newNonce", "\"" CA "/new-nonce\"" },
	{ "newAccount", "\"" CA "/new-account\"" },
	{ "newOrder", "\"" CA "/new-order?x=%2F&y\"" },
	{ "revokeCert", "\"" CA "/revoke-cert\"" },
	{ "keyChange", "\"" CA "/key-change\"" },
	{ "renewalInfo", "\"" CA "/renewal-info\"" },
	{ "Xz9Yf3hQ", "\"https://community.example/t/random-entry\"" },
	{ "meta", "{\"termsOfService\":\"data:text/plain,Do%20what\","
		  "\"website\":\"https://www.ca.example/\","
		  "\"caaIdentities\":[\"ca.example\",7,null,\"ca.test\"],"
		  "\"profiles\":{\"classic\":\"as ever\",\"tlsserver\":null},"
		  "\"externalAccountRequired\":true}" },
	{ NULL, NULL },
};

static void
test_directory(void **state)
{
	AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
	struct directory d;

	(void)state;
	decode_good(decode_directory, &d, good_directory, NULL, NULL, pool);
	assert_string_equal(d.new_nonce, CA "/new-nonce");
	assert_string_equal(d.new_account, CA "/new-account");
	assert_string_equal(d.new_order, CA "/new-order?x=%2F&y");
	assert_string_equal(d.revoke_cert, CA "/revoke-cert");
	assert_string_equal(d.key_change, CA "/key-change");
	assert_string_equal(d.renewal_info, CA "/renewal-info");
	assert_string_equal(d.terms, "data:text/plain,Do%20what");
	assert_string_equal(d.website, "https://www.ca.example/");
	assert_true(d.eab_required);
	assert_string_equal(d.caa_identities[0], "ca.example");
	assert_string_equal(d.caa_identities[1], "ca.test");
	assert_null(d.caa_identities[2]);
	assert_string_equal(d.profiles[0], "classic");
	assert_string_equal(d.profiles[1], "tlsserver");
	assert_null(d.profiles[2]);
}

static void
test_small_directory(void **state)
{
	static const char text[] =
	    "{\"newNonce\":\"" CA "/1\",\"newAccount\":\"" CA
	    "/2\",\"newOrder\":\"" CA "/3\"}";
	AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
	struct directory d;
	struct err e;

	(void)state;
	assert_int_equal(directory_decode(text, strlen(text), pool, &d, &e), 0);
	assert_null(d.revoke_cert);
	assert_null(d.key_change);
	assert_null(d.renewal_info);
	assert_null(d.terms);
	assert_null(d.website);
	assert_false(d.eab_required);
	assert_null(d.caa_identities[0]);
	assert_null(d.profiles[0]);
}

static void
test_spoiled_directory(void **state)
{
	/* clang-format off */
	static const struct spoiled rows[] = {
		{ "newNonce", NULL, "directory: newNonce is missing" },
		{ "newNonce", "null", "directory: newNonce is missing" },
		{ "newNonce", "7", "directory: newNonce is missing" },
		{ "newNonce", "\"\"", "directory: newNonce is missing" },
		{ "newAccount", NULL, "directory: newAccount is missing" },
		{ "newAccount", "{}", "directory: newAccount is missing" },
		{ "newOrder", NULL, "directory: newOrder is missing" },
		{ "newOrder", "[]", "directory: newOrder is missing" },
		{ "newNonce", "\"http://ca.example/x\"", "directory: newNonce: "
		  "not an https URL: \"http://ca.example/x\"" },
		{ "newAccount", "\"/relative\"", "directory: newAccount: "
		  "not an https URL: \"/relative\"" },
		{ "newOrder", "\"https://a b/\\u001b\"", "directory: newOrder: "
		  "not an https URL: \"https://a b/?\"" },
		{ "newOrder", "\"https://ca.example/\\u0000\"",
		  "directory: newOrder is missing" },
		{ "revokeCert", NULL, NULL },
		{ "revokeCert", "null", NULL },
		{ "revokeCert", "7", NULL },
		{ "revokeCert", "\"\"", NULL },
		{ "revokeCert", "\"http://ca.example/x\"", "directory: "
		  "revokeCert: not an https URL: \"http://ca.example/x\"" },
		{ "keyChange", "null", NULL },
		{ "keyChange", "\"http://ca.example/x\"", "directory: "
		  "keyChange: not an https URL: \"http://ca.example/x\"" },
		{ "renewalInfo", "[]", NULL },
		{ "renewalInfo", "\"http://ca.example/x\"", "directory: "
		  "renewalInfo: not an https URL: \"http://ca.example/x\"" },
		{ "meta", NULL, NULL },
		{ "meta", "null", NULL },
		{ "meta", "[]", NULL },
		{ "meta", "{}", NULL },
		{ "meta", "{\"termsOfService\":7,\"website\":[],"
		  "\"caaIdentities\":\"x\",\"profiles\":[\"a\"],"
		  "\"externalAccountRequired\":\"yes\"}", NULL },
		{ "meta", "{\"termsOfService\":null,\"website\":null,"
		  "\"caaIdentities\":null,\"profiles\":null,"
		  "\"externalAccountRequired\":null}", NULL },
	};
	/* clang-format on */
	struct directory d;

	(void)state;
	check_spoiled(decode_directory, &d, good_directory, rows, NELEM(rows));
	assert_false(d.eab_required);
	check_bad_text(decode_directory, &d, "directory");
}

/* More profiles and CAA names than we keep, some too long to show. */
static void
test_big_directory(void **state)
{
	AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
	AUTO(buf_done) struct buf meta = BUF_INIT(1 << 20);
	AUTO(buf_done) struct buf text = BUF_INIT(1 << 20);
	struct directory d;
	struct err e;
	size_t i;

	(void)state;
	buf_printf(&meta,
	    "{\"website\":\"%0201d\",\"termsOfService\":\"%0200d\",", 0, 0);
	buf_printf(&meta, "\"profiles\":{\"%0300d\":0,\"a\\u001bb\":0", 0);
	for (i = 0; i < 100; i++)
		buf_printf(&meta, ",\"p%zu\":\"\"", i);
	buf_puts(&meta, "},\"caaIdentities\":[\"\"");
	for (i = 0; i < 100; i++)
		buf_printf(&meta, ",\"c%zu\"", i);
	buf_puts(&meta, "]}");
	object(good_directory, "meta", buf_str(&meta), &text);
	assert_int_equal(
	    directory_decode(text.data, text.len, pool, &d, &e), 0);
	assert_null(d.website);
	assert_int_equal(strlen(d.terms), 200);
	assert_string_equal(d.profiles[0], "a?b");
	assert_string_equal(d.profiles[ACME_PROFILE_MAX - 1], "p30");
	assert_null(d.profiles[ACME_PROFILE_MAX]);
	assert_string_equal(d.caa_identities[0], "c0");
	assert_string_equal(d.caa_identities[31], "c31");
	assert_null(d.caa_identities[32]);
}

static const struct member good_account[] = {
	{ "status", "\"valid\"" },
	{ "contact", "[\"mailto:admin@example.org\"]" },
	{ "termsOfServiceAgreed", "true" },
	{ "orders", "\"" CA "/orders/rzGoeA\"" },
	{ NULL, NULL },
};

static void
test_account(void **state)
{
	static const struct {
		const char *text;
		enum acme_status status;
	} rows[] = {
		{ "{\"status\":\"valid\"}", ACME_VALID },
		{ "{\"status\":\"deactivated\",\"contact\":null}",
		    ACME_DEACTIVATED },
		{ "{\"status\":\"revoked\",\"orders\":7}", ACME_REVOKED },
	};
	static const struct spoiled spoiled[] = {
		{ "contact", NULL, NULL },
		{ "contact", "{}", NULL },
		{ "orders", NULL, NULL },
		{ "status", NULL, "account: status is missing" },
		{ "status", "null", "account: status is missing" },
		{ "status", "[]", "account: status is missing" },
		{ "status", "\"pending\"",
		    "account: status: not one that this object can have: "
		    "\"pending\"" },
	};
	AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
	struct account a;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		assert_int_equal(account_decode(rows[i].text,
				     strlen(rows[i].text), pool, &a, &e),
		    0);
		assert_int_equal(a.status, rows[i].status);
	}
	check_spoiled(
	    decode_account, &a, good_account, spoiled, NELEM(spoiled));
	check_bad_text(decode_account, &a, "account");
}

/* The list of orders may be had, or not: never a reason to do without the
 * account. */
static void
test_account_orders(void **state)
{
	static const char *const none[] = { "null", "7", "\"\"",
		"\"http://ca/orders\"", "\"/orders\"", "[\"" CA "/o\"]" };
	AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
	struct account a;
	size_t i;

	(void)state;
	decode_good(decode_account, &a, good_account, NULL, NULL, pool);
	assert_string_equal(a.orders, CA "/orders/rzGoeA");
	for (i = 0; i < NELEM(none); i++) {
		decode_good(
		    decode_account, &a, good_account, "orders", none[i], pool);
		assert_null(a.orders);
	}
}

static void
note_url(void *arg, const char *url)
{
	buf_printf(arg, "%s ", url);
}

static int
decode_orders(const char *s, size_t n, struct pool *p, void *o, struct err *e)
{
	(void)p;
	return orders_decode(s, n, note_url, o, e);
}

static void
test_orders(void **state)
{
	static const char page[] =
	    "{\"orders\": [\"" CA "/o/1\", \"http://ca/o/2\", 7, null, "
	    "[\"" CA "/o/3\"], \"\", \"" CA "/o/4\"], \"next\": 1}";
	AUTO(buf_done) struct buf urls = BUF_INIT(1 << 20);
	AUTO(buf_done) struct buf text = BUF_INIT(1 << 20);
	struct err e;

	(void)state;
	assert_int_equal(
	    orders_decode(page, strlen(page), note_url, &urls, &e), 0);
	assert_string_equal(buf_str(&urls), CA "/o/1 " CA "/o/4 ");
	buf_reset(&urls);
	buf_printf(&text, "{\"orders\": [\"" CA "/%01024d\"]}", 0);
	assert_int_equal(
	    orders_decode(text.data, text.len, note_url, &urls, &e), 0);
	assert_int_equal(
	    orders_decode("{\"orders\":[]}", 13, note_url, &urls, &e), 0);
	assert_int_equal(orders_decode("{}", 2, note_url, &urls, &e), -1);
	assert_string_equal(e.what, "orders is missing");
	assert_int_equal(
	    orders_decode("{\"orders\":{}}", 13, note_url, &urls, &e), -1);
	check_bad_text(decode_orders, &urls, "orders");
	assert_int_equal(urls.len, 0);
}

/* RFC 8555 7.1.3 */
static const struct member pending_order[] = {
	{ "status", "\"pending\"" },
	{ "expires", "\"2016-01-05T14:09:07.99Z\"" },
	{ "identifiers", "[{\"type\":\"dns\",\"value\":\"WWW.Example.ORG.\"},"
			 "{\"type\":\"dns\",\"value\":\"*.example.org\"},"
			 "{\"type\":\"ip\",\"value\":\"2001:DB8:0::1\"}]" },
	{ "authorizations",
	    "[\"" CA "/authz/PAniVnsZcis\",\"" CA "/authz/r4HqLzrSrpI\"]" },
	{ "finalize", "\"" CA "/order/TOlocE8rfgo/finalize\"" },
	{ NULL, NULL },
};

static const struct member valid_order[] = {
	{ "status", "\"valid\"" },
	{ "identifiers", "[{\"type\":\"dns\",\"value\":\"example.org\"}]" },
	{ "finalize", "\"" CA "/order/TOlocE8rfgo/finalize\"" },
	{ "certificate", "\"" CA "/cert/mAt3xBGaobw\"" },
	{ NULL, NULL },
};

static void
test_order(void **state)
{
	static const char *const same[] = { "2001:db8::1", "*.example.org",
		"www.example.org" };
	static const char *const other[] = { "2001:db8::1", "*.example.org",
		"example.org" };
	static const char *const more[] = { "2001:db8::1", "*.example.org",
		"www.example.org", "example.org" };
	static const char *const twice[] = { "2001:db8::1", "*.example.org",
		"www.example.org", "www.example.org" };
	AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
	struct order o;

	(void)state;
	decode_good(decode_order, &o, pending_order, NULL, NULL, pool);
	assert_int_equal(o.status, ACME_PENDING);
	assert_int_equal(o.expires, 1452002947);
	assert_int_equal(o.n_idents, 3);
	assert_string_equal(o.idents[0].value, "www.example.org");
	assert_false(o.idents[0].is_ip);
	assert_string_equal(o.idents[1].value, "*.example.org");
	assert_string_equal(o.idents[2].value, "2001:db8::1");
	assert_true(o.idents[2].is_ip);
	assert_int_equal(o.n_authzs, 2);
	assert_string_equal(o.authzs[0], CA "/authz/PAniVnsZcis");
	assert_string_equal(o.authzs[1], CA "/authz/r4HqLzrSrpI");
	assert_string_equal(o.finalize, CA "/order/TOlocE8rfgo/finalize");
	assert_null(o.certificate);
	assert_false(o.has_error);

	assert_true(order_is_for(&o, same, NELEM(same)));
	assert_true(order_is_for(&o, twice, NELEM(twice)));
	assert_false(order_is_for(&o, same, 2));
	assert_false(order_is_for(&o, other, NELEM(other)));
	assert_false(order_is_for(&o, more, NELEM(more)));
	assert_false(order_is_for(&o, NULL, 0));
}

/* clang-format off */
static const struct spoiled order_rows[] = {
	{ "status", NULL, "order: status is missing" },
	{ "status", "7", "order: status is missing" },
	{ "status", "\"revoked\"", "order: status: not one that this "
	  "object can have: \"revoked\"" },
	{ "status", "\"VALID\\n\"", "order: status: not one that this "
	  "object can have: \"VALID?\"" },
	{ "expires", NULL, NULL },
	{ "expires", "null", NULL },
	{ "expires", "1452002947", NULL },
	{ "expires", "\"soon\"", NULL },
	{ "notBefore", "[]", NULL },
	{ "error", "null", NULL },
	{ "error", "\"x\"", NULL },
	{ "identifiers", NULL, "order: no identifiers" },
	{ "identifiers", "[]", "order: no identifiers" },
	{ "identifiers", "{}", "order: no identifiers" },
	{ "identifiers", "[7]",
	  "order: identifier without type or value" },
	{ "identifiers", "[{\"type\":\"dns\"}]",
	  "order: identifier without type or value" },
	{ "identifiers", "[{\"value\":\"example.org\"}]",
	  "order: identifier without type or value" },
	{ "identifiers", "[{\"type\":\"ip\",\"value\":\"a.example\"}]",
	  "order: identifier: not of the type it claims: "
	  "\"a.example\"" },
	{ "identifiers", "[{\"type\":\"dns\",\"value\":\"192.0.2.1\"}]",
	  "order: identifier: not of the type it claims: "
	  "\"192.0.2.1\"" },
	{ "identifiers", "[{\"type\":\"x\",\"value\":\"a.example\"}]",
	  "order: identifier: not of the type it claims: "
	  "\"a.example\"" },
	{ "authorizations", NULL,
	  "order: pending, but without authorizations" },
	{ "authorizations", "null",
	  "order: pending, but without authorizations" },
	{ "authorizations", "[]",
	  "order: pending, but without authorizations" },
	{ "authorizations", "\"https://ca.example/1\"",
	  "order: pending, but without authorizations" },
	{ "authorizations", "[null]",
	  "order: authorizations: not a URL" },
	{ "authorizations", "[{\"status\":\"valid\"}]",
	  "order: authorizations: not a URL" },
	{ "authorizations",
	  "[\"https://ca.example/1\",\"http://ca.example/2\"]",
	  "order: authorizations: not an https URL: "
	  "\"http://ca.example/2\"" },
	{ "finalize", NULL, "order: finalize is missing" },
	{ "finalize", "null", "order: finalize is missing" },
	{ "finalize", "[]", "order: finalize is missing" },
	{ "finalize", "\"http://ca.example/f\"", "order: finalize: "
	  "not an https URL: \"http://ca.example/f\"" },
	{ "certificate", "7", NULL },
	{ "certificate", "\"http://ca.example/c\"", "order: "
	  "certificate: not an https URL: \"http://ca.example/c\"" },
};
static const struct spoiled valid_order_rows[] = {
	{ "authorizations", NULL, NULL },
	{ "authorizations", "[]", NULL },
	{ "authorizations", "null", NULL },
	{ "finalize", NULL, NULL },
	{ "finalize", "7", NULL },
	{ "finalize", "\"http://ca.example/f\"", "order: finalize: "
	  "not an https URL: \"http://ca.example/f\"" },
	{ "certificate", NULL, "order: certificate is missing" },
	{ "certificate", "null", "order: certificate is missing" },
	{ "certificate", "7", "order: certificate is missing" },
	{ "certificate", "\"http://ca.example/c\"", "order: "
	  "certificate: not an https URL: \"http://ca.example/c\"" },
	/* E2: any status at any time */
	{ "status", "\"invalid\"", NULL },
	{ "status", "\"processing\"", NULL },
	{ "status", "\"ready\"", NULL },
	{ "status", "\"pending\"",
	  "order: pending, but without authorizations" },
};
/* clang-format on */

static void
test_spoiled_order(void **state)
{
	struct order o;

	(void)state;
	check_spoiled(
	    decode_order, &o, pending_order, order_rows, NELEM(order_rows));
	check_spoiled(decode_order, &o, valid_order, valid_order_rows,
	    NELEM(valid_order_rows));
	check_bad_text(decode_order, &o, "order");
}

static void
test_bad_expires(void **state)
{
	AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
	struct order o;

	(void)state;
	decode_good(decode_order, &o, pending_order, "expires",
	    "\"2016-13-05T14:09:07Z\"", pool);
	assert_int_equal(o.expires, 0);
}

static void
test_order_error(void **state)
{
	AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
	struct order o;

	(void)state;
	decode_good(decode_order, &o, pending_order, "error",
	    "{\"type\":\"urn:ietf:params:acme:error:caa\",\"status\":403,"
	    "\"detail\":\"forbidden\"}",
	    pool);
	assert_true(o.has_error);
	assert_int_equal(o.error.kind, ERR_PROBLEM);
	assert_int_equal(o.error.problem, PROBLEM_CAA);
	assert_int_equal(o.error.num, 403);
	assert_string_equal(o.error.what, "caa: forbidden");
}

/* n times text in brackets. */
static void
array_of(const char *text, size_t n, struct buf *out)
{
	size_t i;

	for (i = 0; i < n; i++)
		buf_printf(out, "%s%s", i == 0 ? "[" : ",", text);
	buf_putc(out, ']');
}

static void
test_order_bounds(void **state)
{
	static const struct {
		const char *key, *one;
		size_t n;
		const char *error;
	} rows[] = {
		{ "authorizations", "\"" CA "/1\"", 200, NULL },
		{ "authorizations", "\"" CA "/1\"", 201,
		    "order: more than 200 authorizations" },
		{ "identifiers", "{\"type\":\"dns\",\"value\":\"a.example\"}",
		    200, NULL },
		{ "identifiers", "{\"type\":\"dns\",\"value\":\"a.example\"}",
		    201, "order: more than 200 identifiers" },
	};
	struct order o;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(buf_done) struct buf list = BUF_INIT(1 << 20);
		struct spoiled row = { rows[i].key, NULL, rows[i].error };

		array_of(rows[i].one, rows[i].n, &list);
		row.value = buf_str(&list);
		check_spoiled(decode_order, &o, pending_order, &row, 1);
	}
}

/* A URL that a JWS could not name is refused where it comes in. */
static void
test_long_url(void **state)
{
	AUTO(buf_done) struct buf url = BUF_INIT(4096);
	struct spoiled row = { "finalize", NULL, NULL };
	struct order o;

	(void)state;
	buf_printf(&url, "\"https://ca.example/%0*d\"", 1023 - 19, 0);
	row.value = buf_str(&url);
	check_spoiled(decode_order, &o, pending_order, &row, 1);
	buf_reset(&url);
	buf_printf(&url, "\"https://ca.example/%0*d\"", 1024 - 19, 0);
	row.value = buf_str(&url);
	row.error = "order: finalize: URL longer than 1023 bytes";
	check_spoiled(decode_order, &o, pending_order, &row, 1);
}

#define HTTP01                                \
	"{\"type\":\"http-01\",\"url\":\"" CA \
	"/chall/prV_B7yEyA4\",\"status\":\"pending\",\"token\":\"" TOKEN "\"}"

/* RFC 8555 7.1.4 */
static const struct member good_authz[] = {
	{ "status", "\"pending\"" },
	{ "expires", "\"2015-03-01T14:09:07.99Z\"" },
	{ "identifier", "{\"type\":\"dns\",\"value\":\"WWW.example.org\"}" },
	{ "challenges",
	    "[{\"type\":\"dns-01\",\"url\":\"" CA "/chall/Rg5dV14Gh1Q\","
	    "\"status\":\"pending\",\"token\":\"" TOKEN "\"}," HTTP01
	    ",{\"type\":\"tls-alpn-01\",\"url\":\"" CA "/chall/x\"}]" },
	{ NULL, NULL },
};

static void
test_authz(void **state)
{
	AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
	struct authz a;

	(void)state;
	decode_good(decode_authz, &a, good_authz, NULL, NULL, pool);
	assert_int_equal(a.status, ACME_PENDING);
	assert_string_equal(a.ident.value, "www.example.org");
	assert_false(a.ident.is_ip);
	assert_false(a.has_error);
	assert_non_null(a.http01);
	assert_string_equal(a.http01->url, CA "/chall/prV_B7yEyA4");
	assert_string_equal(a.http01->token, TOKEN);
	assert_int_equal(a.http01->status, ACME_PENDING);
	assert_false(a.http01->has_error);
	assert_string_equal(a.offered, "dns-01, http-01, tls-alpn-01");
}

static void
test_spoiled_authz(void **state)
{
	/* clang-format off */
	static const struct spoiled rows[] = {
		{ "status", NULL, "authorization: status is missing" },
		{ "status", "\"processing\"", "authorization: status: not one "
		  "that this object can have: \"processing\"" },
		{ "status", "\"valid\"", NULL },
		{ "status", "\"expired\"", NULL },
		{ "status", "\"deactivated\"", NULL },
		{ "expires", "{}", NULL },
		{ "wildcard", "7", NULL },
		{ "identifier", NULL,
		  "authorization: identifier without type or value" },
		{ "identifier", "[]",
		  "authorization: identifier without type or value" },
		{ "challenges", NULL, NULL },
		{ "challenges", "null", NULL },
		{ "challenges", "{}", NULL },
		{ "challenges", "[]", NULL },
		{ "challenges", "[7,null,\"http-01\",[],{}]", NULL },
		{ "challenges", "[{\"type\":\"http-01\"}]",
		  "authorization of www.example.org: http-01: url is missing" },
		{ "challenges", "[{\"type\":\"http-01\",\"token\":\"" TOKEN "\","
		  "\"url\":\"http://ca.example/c\"}]",
		  "authorization of www.example.org: http-01: url: "
		  "not an https URL: \"http://ca.example/c\"" },
	};
	/* clang-format on */
	struct authz a;

	(void)state;
	check_spoiled(decode_authz, &a, good_authz, rows, NELEM(rows));
	check_bad_text(decode_authz, &a, "authorization");
}

/* E11: what would become a file name somewhere never gets in. */
static void
test_tokens(void **state)
{
	static const struct {
		const char *token, *error;
	} rows[] = {
		{ "null", "token is missing" },
		{ "7", "token is missing" },
		{ "\"\"", "\"\"" },
		{ "\"../../../../etc/cron.d/x\"",
		    "\"../../../../etc/cron.d/x\"" },
		{ "\"%2e%2e%2fevaGxfADs6pSRb2L\"",
		    "\"%2e%2e%2fevaGxfADs6pSRb2L\"" },
		{ "\"evaGxfADs6pSRb2LAv9I=\"", "\"evaGxfADs6pSRb2LAv9I=\"" },
		{ "\"short\"", "\"short\"" },
		{ "\"" TOKEN "\\u0000/x\"", "token is missing" },
	};
	struct authz a;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(buf_done) struct buf list = BUF_INIT(4096);
		AUTO(buf_done) struct buf error = BUF_INIT(4096);
		struct spoiled row = { .key = "challenges" };

		buf_printf(&list,
		    "[{\"type\":\"http-01\",\"url\":\"" CA "/1\","
		    "\"token\":%s}]",
		    rows[i].token);
		buf_printf(&error,
		    "authorization of www.example.org: http-01: %s%s",
		    rows[i].error[0] == '"'
			? "token: not 22 to 256 characters of base64url: "
			: "",
		    rows[i].error);
		row.value = buf_str(&list);
		row.error = buf_str(&error);
		check_spoiled(decode_authz, &a, good_authz, &row, 1);
	}
}

/* What is done with needs no token (a valid authorization, E8). */
static void
test_finished_authz(void **state)
{
	static const char text[] =
	    "{\"status\":\"valid\",\"identifier\":{\"type\":\"dns\",\"value\":"
	    "\"example.org\"},\"challenges\":[{\"type\":\"http-01\","
	    "\"status\":\"valid\"}]}";
	AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
	struct authz a;
	struct err e;

	(void)state;
	assert_int_equal(authz_decode(text, strlen(text), pool, &a, &e), 0);
	assert_int_equal(a.status, ACME_VALID);
	assert_null(a.http01);
	assert_string_equal(a.offered, "http-01");
}

/* E10: types that we do not know have members of any kind. */
static void
test_unknown_challenges(void **state)
{
	AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
	struct authz a;

	(void)state;
	decode_good(decode_authz, &a, good_authz, "challenges",
	    "[{\"type\":\"dns-persist-01\",\"url\":7,\"status\":[],"
	    "\"token\":{},\"issuer-domain-names\":[\"ca.example\"]},"
	    "{\"type\":\"dns-persist-01\",\"url\":\"http://x\",\"status\":"
	    "\"pending\"},{\"type\":\"a\\u001b[2J\"},{\"type\":7}," HTTP01 "]",
	    pool);
	assert_non_null(a.http01);
	assert_string_equal(a.http01->token, TOKEN);
	assert_string_equal(
	    a.offered, "dns-persist-01, dns-persist-01, a?[2J, http-01");
}

static void
test_no_http01(void **state)
{
	AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
	AUTO(buf_done) struct buf list = BUF_INIT(1 << 20);
	AUTO(buf_done) struct buf text = BUF_INIT(1 << 20);
	struct authz a;
	struct err e;

	(void)state;
	array_of("{\"type\":\"http-01x\"}", 1000, &list);
	object(good_authz, "challenges", buf_str(&list), &text);
	assert_int_equal(authz_decode(text.data, text.len, pool, &a, &e), 0);
	assert_null(a.http01);
	assert_memory_equal(a.offered, "http-01x, http-01x, ", 20);
	assert_true(strlen(a.offered) <= 256);
}

#define WRONG(type, detail)                                      \
	"\"error\":{\"type\":\"urn:ietf:params:acme:error:" type \
	"\",\"detail\":\"" detail "\",\"status\":403}"

#define DNS_WRONG "{\"type\":\"dns-01\"," WRONG("dns", "d") "}"
#define HTTP_WRONG                                                      \
	"{\"type\":\"http-01\",\"url\":\"" CA "/1\",\"token\":\"" TOKEN \
	"\"," WRONG("connection", "c") "}"

/* E14, E15: the challenge's own error is what people must read; ours first. */
static void
test_authz_error(void **state)
{
	static const struct {
		const char *list;
		enum acme_problem problem;
		const char *what;
	} rows[] = {
		{ "[" DNS_WRONG "]", PROBLEM_DNS, "dns: d" },
		{ "[" DNS_WRONG "," HTTP_WRONG "," DNS_WRONG "]",
		    PROBLEM_CONNECTION, "connection: c" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
		struct authz a;

		decode_good(decode_authz, &a, good_authz, "challenges",
		    rows[i].list, pool);
		assert_true(a.has_error);
		assert_int_equal(a.error.problem, rows[i].problem);
		assert_int_equal(a.error.num, 403);
		assert_string_equal(a.error.what, rows[i].what);
	}
}

static void
test_challenge_status(void **state)
{
	static const struct {
		const char *text;
		enum acme_status status;
	} rows[] = {
		{ "\"pending\"", ACME_PENDING },
		{ "\"processing\"", ACME_PROCESSING },
		{ "\"valid\"", ACME_VALID },
		{ "\"invalid\"", ACME_INVALID },
		{ "\"ready\"", ACME_UNKNOWN },
		{ "\"half-way\"", ACME_UNKNOWN },
		{ "7", ACME_UNKNOWN },
		{ "null", ACME_UNKNOWN },
	};
	struct authz a;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
		AUTO(buf_done) struct buf list = BUF_INIT(4096);
		AUTO(buf_done) struct buf text = BUF_INIT(4096);

		buf_printf(&list,
		    "[{\"type\":\"http-01\",\"url\":\"" CA
		    "/1\",\"token\":\"" TOKEN
		    "\",\"validated\":[],\"status\":%s}]",
		    rows[i].text);
		object(good_authz, "challenges", buf_str(&list), &text);
		assert_int_equal(
		    authz_decode(text.data, text.len, pool, &a, &e), 0);
		assert_int_equal(a.http01->status, rows[i].status);
		assert_string_equal(a.http01->token, TOKEN);
		assert_false(a.http01->has_error);
	}
}

/* erratum 5732: pending, and yet with an error */
static void
test_challenge_error(void **state)
{
	AUTO(pool_free) struct pool *pool = pool_new(1 << 20);
	struct authz a;

	(void)state;
	decode_good(decode_authz, &a, good_authz, "challenges",
	    "[{\"type\":\"http-01\",\"url\":\"" CA "/1\",\"token\":\"" TOKEN
	    "\",\"status\":\"pending\"," WRONG("tls", "handshake") "}]",
	    pool);
	assert_int_equal(a.http01->status, ACME_PENDING);
	assert_true(a.http01->has_error);
	assert_int_equal(a.error.problem, PROBLEM_TLS);
	assert_string_equal(a.error.what, "tls: handshake");
}

static void
test_limits(void **state)
{
	static char big[ACME_BODY_MAX + 1];
	AUTO(pool_free) struct pool *tiny = pool_new(64);
	AUTO(buf_done) struct buf text = BUF_INIT(4096);
	struct directory d;
	struct order o;
	struct err e;

	(void)state;
	memset(big, ' ', sizeof(big));
	memcpy(big, "{}", 2);
	assert_int_equal(order_decode(big, sizeof(big), tiny, &o, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_string_equal(e.what, "order: longer than 1048576 bytes");

	object(good_directory, NULL, NULL, &text);
	assert_int_equal(
	    directory_decode(text.data, text.len, tiny, &d, &e), -1);
	assert_int_equal(e.kind, ERR_NOMEM);
}

static void
test_status_names(void **state)
{
	(void)state;
	assert_string_equal(acme_status_name(ACME_UNKNOWN), "unknown");
	assert_string_equal(acme_status_name(ACME_PENDING), "pending");
	assert_string_equal(acme_status_name(ACME_REVOKED), "revoked");
	assert_string_equal(acme_status_name(ACME_STATUS__COUNT), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_small_directory),
		cmocka_unit_test(test_spoiled_directory),
		cmocka_unit_test(test_big_directory),
		cmocka_unit_test(test_account),
		cmocka_unit_test(test_account_orders),
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_spoiled_order),
		cmocka_unit_test(test_bad_expires),
		cmocka_unit_test(test_order_error),
		cmocka_unit_test(test_order_bounds),
		cmocka_unit_test(test_long_url),
		cmocka_unit_test(test_authz),
		cmocka_unit_test(test_spoiled_authz),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_finished_authz),
		cmocka_unit_test(test_unknown_challenges),
		cmocka_unit_test(test_no_http01),
		cmocka_unit_test(test_authz_error),
		cmocka_unit_test(test_challenge_status),
		cmocka_unit_test(test_challenge_error),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_status_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
