/* SPDX-License-Identifier: ISC */
/* What CAs complain about (protocol.md A15, A20-A22, B4, D10, E26, M2, M8, P).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/acme/problem.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/io/json.h"

#define URN  "urn:ietf:params:acme:error:"
#define TYPE "application/problem+json"

static struct err
decode(int status, const char *type, const char *body)
{
	struct err e = { .retry_after_s = 77 };

	assert_int_equal(
	    problem_decode(status, type, body, strlen(body), &e), -1);
	assert_int_equal(e.num, status);
	assert_int_equal(e.retry_after_s, -1);
	return e;
}

/* Every type that protocol.md P knows. */
static void
test_table(void **state)
{
	/* clang-format off */
	static const struct {
		const char *name;
		enum acme_problem id;
	} rows[] = {
		{ "badNonce",        PROBLEM_BAD_NONCE },
		{ "rateLimited",     PROBLEM_RATE_LIMITED },
		{ "serverInternal",  PROBLEM_SERVER_INTERNAL },
		{ "orderNotReady",   PROBLEM_ORDER_NOT_READY },
		{ "conflict",        PROBLEM_CONFLICT },
		{ "alreadyReplaced", PROBLEM_ALREADY_REPLACED },
		{ "accountDoesNotExist", PROBLEM_ACCOUNT_DOES_NOT_EXIST },
		{ "userActionRequired", PROBLEM_USER_ACTION_REQUIRED },
		{ "externalAccountRequired", PROBLEM_EXTERNAL_ACCOUNT_REQUIRED },
		{ "badPublicKey",    PROBLEM_BAD_PUBLIC_KEY },
		{ "badSignatureAlgorithm", PROBLEM_BAD_SIGNATURE_ALGORITHM },
		{ "badCSR",          PROBLEM_BAD_CSR },
		{ "malformed",       PROBLEM_MALFORMED },
		{ "rejectedIdentifier", PROBLEM_REJECTED_IDENTIFIER },
		{ "unsupportedIdentifier", PROBLEM_UNSUPPORTED_IDENTIFIER },
		{ "invalidProfile",  PROBLEM_INVALID_PROFILE },
		{ "invalidContact",  PROBLEM_INVALID_CONTACT },
		{ "unsupportedContact", PROBLEM_UNSUPPORTED_CONTACT },
		{ "badRevocationReason", PROBLEM_BAD_REVOCATION_REASON },
		{ "caa",             PROBLEM_CAA },
		{ "dns",             PROBLEM_DNS },
		{ "connection",      PROBLEM_CONNECTION },
		{ "tls",             PROBLEM_TLS },
		{ "unauthorized",    PROBLEM_UNAUTHORIZED },
		{ "incorrectResponse", PROBLEM_INCORRECT_RESPONSE },
		{ "compound",        PROBLEM_COMPOUND },
		{ "alreadyRevoked",  PROBLEM_ALREADY_REVOKED },
	};
	/* clang-format on */
	bool seen[PROBLEM__COUNT] = { [PROBLEM_UNKNOWN] = true };
	char urn[128];
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		seen[rows[i].id] = true;
		assert_string_equal(problem_name(rows[i].id), rows[i].name);
		(void)snprintf(urn, sizeof(urn), URN "%s", rows[i].name);
		assert_int_equal(problem_from_type(urn), rows[i].id);
		(void)snprintf(
		    urn, sizeof(urn), "urn:acme:error:%s", rows[i].name);
		assert_int_equal(problem_from_type(urn), rows[i].id);
	}
	for (i = 0; i < PROBLEM__COUNT; i++)
		assert_true(seen[i]);
	assert_string_equal(problem_name(PROBLEM_UNKNOWN), "unknown");
	assert_null(problem_hint(PROBLEM_UNKNOWN));
	assert_non_null(strstr(problem_hint(PROBLEM_CONNECTION), "port 80"));
}

static void
test_outweighs(void **state)
{
	(void)state;
	assert_true(problem_outweighs(PROBLEM_CAA, PROBLEM_DNS));
	assert_true(
	    problem_outweighs(PROBLEM_REJECTED_IDENTIFIER, PROBLEM_CAA));
	assert_true(
	    problem_outweighs(PROBLEM_REJECTED_IDENTIFIER, PROBLEM_CONNECTION));
	assert_true(problem_outweighs(PROBLEM_DNS, PROBLEM_RATE_LIMITED));
	assert_false(problem_outweighs(PROBLEM_DNS, PROBLEM_CAA));
	assert_false(problem_outweighs(PROBLEM_DNS, PROBLEM_TLS));
	assert_false(problem_outweighs(PROBLEM_UNKNOWN, PROBLEM_BAD_NONCE));
}

static void
test_types(void **state)
{
	(void)state;
	assert_int_equal(problem_from_type(NULL), PROBLEM_UNKNOWN);
	assert_int_equal(problem_from_type("about:blank"), PROBLEM_UNKNOWN);
	assert_int_equal(problem_from_type("badNonce"), PROBLEM_UNKNOWN);
	assert_int_equal(problem_from_type(URN), PROBLEM_UNKNOWN);
	assert_int_equal(problem_from_type(URN "badnonce"), PROBLEM_UNKNOWN);
	assert_int_equal(problem_from_type(URN "badNonces"), PROBLEM_UNKNOWN);
	assert_int_equal(problem_from_type(URN "agreementRequired"),
	    PROBLEM_USER_ACTION_REQUIRED);
}

struct row {
	const char *label;
	int status;
	const char *type, *body;
	enum err_kind kind;
	enum acme_problem problem;
	const char *what;
};

static const struct row rows[] = {
	{ "B4: by type, not by status or words", 499, TYPE,
	    "{\"type\":\"" URN "badNonce\",\"detail\":\"no good\"}",
	    ERR_PROBLEM, PROBLEM_BAD_NONCE, "badNonce: no good" },
	{ "A20: parameters and case", 400,
	    "Application/Problem+JSON; charset=utf-8",
	    "{\"type\":\"" URN "malformed\",\"status\":400}", ERR_PROBLEM,
	    PROBLEM_MALFORMED, "malformed" },
	{ "wrong content type, looks like one", 400, "application/json",
	    "{\"type\":\"" URN "badCSR\",\"detail\":\"x\"}", ERR_PROBLEM,
	    PROBLEM_BAD_CSR, "badCSR: x" },
	{ "no content type", 400, NULL, "{\"detail\":\"x\"}", ERR_PROBLEM,
	    PROBLEM_UNKNOWN, "HTTP 400: x" },
	{ "missing type", 404, TYPE, "{\"detail\":\"no such order\"}",
	    ERR_PROBLEM, PROBLEM_UNKNOWN, "HTTP 404: no such order" },
	{ "about:blank", 404, TYPE,
	    "{\"type\":\"about:blank\",\"title\":\"Not Found\"}", ERR_PROBLEM,
	    PROBLEM_UNKNOWN, "HTTP 404: Not Found" },
	{ "type of another world", 403, TYPE,
	    "{\"type\":\"https://ca.example/out-of-money\",\"detail\":\"x\"}",
	    ERR_PROBLEM, PROBLEM_UNKNOWN,
	    "https://ca.example/out-of-money: x" },
	{ "wrong types everywhere", 400, TYPE,
	    "{\"type\":7,\"detail\":[],\"status\":\"x\",\"subproblems\":{},"
	    "\"title\":null,\"instance\":false,\"algorithms\":3}",
	    ERR_PROBLEM, PROBLEM_UNKNOWN, "HTTP 400" },
	{ "empty object", 500, TYPE, "{}", ERR_PROBLEM, PROBLEM_UNKNOWN,
	    "HTTP 500" },
	{ "JSON, but no problem", 400, "application/json",
	    "{\"status\":\"valid\"}", ERR_HTTP, 0,
	    "HTTP 400: {\"status\":\"valid\"}" },
	{ "not an object", 400, TYPE, "[]", ERR_HTTP, 0, "HTTP 400: []" },
	{ "HTML of a proxy", 502, "text/html",
	    "<html>\r\n<head>\r\n\t<title>502 Bad Gateway</title>\x1b[31m",
	    ERR_HTTP, 0,
	    "HTTP 502: <html> <head> <title>502 Bad Gateway</title> [31m" },
	{ "HTML that claims to be a problem", 502, TYPE, "<html>", ERR_HTTP, 0,
	    "HTTP 502: <html>" },
	{ "Latin-1 of a proxy", 500, "text/html", "d\xe9sol\xe9", ERR_HTTP, 0,
	    "HTTP 500: d?sol?" },
	{ "empty", 503, "text/plain", "", ERR_HTTP, 0, "HTTP 503" },
	{ "A22: ESC, newline, tab", 400, TYPE,
	    "{\"type\":\"" URN "dns\",\"detail\":\"a\\u001b[2Jb\\nc\\td\"}",
	    ERR_PROBLEM, PROBLEM_DNS, "dns: a?[2Jb c d" },
	{ "A22: NUL", 400, TYPE,
	    "{\"type\":\"" URN "dns\",\"detail\":\"a\\u0000b\","
	    "\"title\":\"t\"}",
	    ERR_PROBLEM, PROBLEM_DNS, "dns: t" },
	{ "A22: in a type", 400, TYPE, "{\"type\":\"x\\u001by\"}", ERR_PROBLEM,
	    PROBLEM_UNKNOWN, "x?y" },
	{ "E26: subproblems", 403, TYPE,
	    "{\"type\":\"" URN "malformed\",\"detail\":\"Some rejected\","
	    "\"subproblems\":[{\"type\":\"" URN "malformed\",\"detail\":"
	    "\"Invalid underscore\",\"identifier\":{\"type\":\"dns\","
	    "\"value\":\"_example.org\"}},{\"type\":\"" URN
	    "rejectedIdentifier\",\"detail\":\"no\",\"identifier\":{\"type\":"
	    "\"dns\",\"value\":\"example.net\"}}]}",
	    ERR_PROBLEM, PROBLEM_MALFORMED,
	    "malformed: Some rejected (_example.org: malformed: Invalid "
	    "underscore; example.net: rejectedIdentifier: no)" },
	{ "compound: the worst part", 403, TYPE,
	    "{\"type\":\"" URN "compound\",\"subproblems\":["
	    "{\"type\":\"" URN "dns\"},"
	    "{\"type\":\"" URN "rejectedIdentifier\"},"
	    "{\"type\":\"" URN "rateLimited\"},{\"type\":\"x\"},7,null,"
	    "{\"type\":\"" URN "alreadyRevoked\"}]}",
	    ERR_PROBLEM, PROBLEM_REJECTED_IDENTIFIER,
	    "compound (dns; rejectedIdentifier; rateLimited; x; error; error; "
	    "alreadyRevoked)" },
	{ "compound of nothing", 403, TYPE,
	    "{\"type\":\"" URN "compound\",\"subproblems\":[]}", ERR_PROBLEM,
	    PROBLEM_COMPOUND, "compound" },
	{ "A15: algorithms", 400, TYPE,
	    "{\"type\":\"" URN "badSignatureAlgorithm\",\"detail\":\"no\","
	    "\"algorithms\":[\"RS256\",\"ES256\",null]}",
	    ERR_PROBLEM, PROBLEM_BAD_SIGNATURE_ALGORITHM,
	    "badSignatureAlgorithm: no (the CA takes RS256, ES256, ?)" },
	{ "D10: instance", 403, TYPE,
	    "{\"type\":\"" URN "userActionRequired\",\"detail\":\"Terms\","
	    "\"instance\":\"https://ca.example/agree?x\"}",
	    ERR_PROBLEM, PROBLEM_USER_ACTION_REQUIRED,
	    "userActionRequired: Terms (see https://ca.example/agree?x)" },
	{ "an instance nobody should open", 403, TYPE,
	    "{\"type\":\"" URN "userActionRequired\",\"detail\":\"Terms\","
	    "\"instance\":\"javascript:x\"}",
	    ERR_PROBLEM, PROBLEM_USER_ACTION_REQUIRED,
	    "userActionRequired: Terms" },
};

static void
test_decode(void **state)
{
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		e = decode(rows[i].status, rows[i].type, rows[i].body);
		if (strcmp(e.what, rows[i].what) != 0)
			fail_msg("%s: \"%s\"", rows[i].label, e.what);
		if (e.kind != rows[i].kind || e.problem != rows[i].problem)
			fail_msg("%s: kind %d, problem %u", rows[i].label,
			    (int)e.kind, e.problem);
	}
}

static void
test_no_body(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(problem_decode(503, NULL, NULL, 10, &e), -1);
	assert_int_equal(e.kind, ERR_HTTP);
	assert_string_equal(e.what, "HTTP 503");
	assert_int_equal(problem_decode(400, TYPE, "{}", 2, NULL), -1);
	assert_int_equal(problem_decode(400, TYPE, "x", 1, NULL), -1);
}

/* A21: a page of a megabyte makes 200 characters. */
static void
test_excerpt(void **state)
{
	static char page[1 << 20];
	struct err e;

	(void)state;
	memset(page, 'x', sizeof(page));
	assert_int_equal(
	    problem_decode(500, "text/html", page, sizeof(page), &e), -1);
	assert_int_equal(strlen(e.what), strlen("HTTP 500: ") + 200);
}

/* Of an object inside another, the status is its own. */
static void
test_nested(void **state)
{
	static const struct {
		const char *text;
		int num;
	} docs[] = {
		{ "{\"type\":\"" URN "dns\",\"status\":400}", 400 },
		{ "{\"type\":\"" URN "dns\",\"status\":\"400\"}", 0 },
		{ "{\"type\":\"" URN "dns\",\"status\":99999999999}", 0 },
		{ "{\"type\":\"" URN "dns\"}", 0 },
	};
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(docs); i++) {
		AUTO(json_free)
		struct json *o =
		    json_parse(docs[i].text, strlen(docs[i].text), &e);

		assert_non_null(o);
		assert_int_equal(problem_from_json(0, o, &e), -1);
		assert_int_equal(e.num, docs[i].num);
		assert_int_equal(e.problem, PROBLEM_DNS);
		assert_int_equal(problem_from_json(503, o, &e), -1);
		assert_int_equal(e.num, 503);
	}
}

/* A URL of n bytes in all, as Boulder builds them. */
static void
unpause_url(size_t n, struct buf *url)
{
	static const char head[] = "https://ca.example/sfe/v1/unpause?jwt=";
	size_t i;

	buf_puts(url, head);
	for (i = strlen(head); i < n; i++)
		buf_putc(url, "abcXYZ019-_."[i % 11]);
}

/* M2: an unpause URL is never cut, whatever stands around it. */
static void
test_unpause(void **state)
{
	static const struct {
		size_t url, before, after;
	} cases[] = { { 1400, 40, 1 }, { 1400, 800, 0 }, { 1400, 5000, 100 },
		{ 1500, 40, 5000 }, { 1500, 500000, 0 }, { 60, 3000, 3000 } };
	struct err e;
	size_t i, j, len;
	const char *found;

	(void)state;
	for (i = 0; i < NELEM(cases); i++) {
		AUTO(buf_done) struct buf body = BUF_INIT(1 << 20);
		AUTO(buf_done) struct buf url = BUF_INIT(2000);

		unpause_url(cases[i].url, &url);
		buf_puts(
		    &body, "{\"type\":\"" URN "rateLimited\",\"detail\":\"");
		buf_puts(&body, "See https://ca.example/docs/. ");
		for (j = 0; j < cases[i].before; j++)
			buf_putc(&body, "paused "[j % 7]);
		buf_printf(&body, " Please visit: %s.", buf_str(&url));
		for (j = 0; j < cases[i].after; j++)
			buf_putc(&body, " then"[j % 5]);
		buf_puts(&body, "\"}");
		assert_true(buf_ok(&body) && buf_ok(&url));

		e = decode(429, TYPE, buf_str(&body));
		assert_int_equal(e.problem, PROBLEM_RATE_LIMITED);
		assert_memory_equal(e.what, "rateLimited: See https://", 25);
		/* What callers put in front does not cost it either. */
		(void)err_wrap(&e, "www.example.org: order: POST %s%s",
		    "https://acme-v02.api.ca.example/acme/new-order/",
		    "https://acme-v02.api.ca.example/acme/new-order/");
		found = problem_url(e.what, &len);
		assert_non_null(found);
		assert_int_equal(len, url.len);
		assert_memory_equal(found, url.data, len);
	}
}

static void
test_url(void **state)
{
	static const struct {
		const char *text, *url;
	} texts[] = {
		{ "nothing here", NULL },
		{ "http://ca.example/ only", NULL },
		{ "visit https://ca.example/a?b=c.",
		    "https://ca.example/a?b=c" },
		{ "(see https://ca.example/a)", "https://ca.example/a" },
		{ "\"https://ca.example/a\", or", "https://ca.example/a" },
		{ "<https://ca.example/a>", "https://ca.example/a" },
		{ "https://", "https://" },
		{ "https://a https://b/unpause?x", "https://b/unpause?x" },
		{ "https://a/unpause?x https://b/unpause?y",
		    "https://a/unpause?x" },
		{ "https://a https://b", "https://a" },
	};
	const char *url;
	size_t i, len;

	(void)state;
	for (i = 0; i < NELEM(texts); i++) {
		url = problem_url(texts[i].text, &len);
		if (texts[i].url == NULL) {
			assert_null(url);
			continue;
		}
		assert_int_equal(len, strlen(texts[i].url));
		assert_memory_equal(url, texts[i].url, len);
	}
}

/* Whole names only, wherever they stand (protocol E26). */
static void
test_names(void **state)
{
	static const struct {
		const char *ident, *text;
		bool is;
	} t[] = {
		{ "a.example", "Cannot issue for \"a.example\": no", true },
		{ "a.example", "(a.example: dns: x; b.example: caa: y)", true },
		{ "b.example", "(a.example: dns: x; b.example: caa: y)", true },
		{ "a.example", "A.Example", true },
		{ "a.example", "for x, a.example, and others", true },
		{ "a.example", "it is a.example. So", true },
		{ "a.example", "it is a.example.", true },
		{ "a.example", "https://a.example/", true },
		{ "a.example", "", false },
		{ "a.example", "www.a.example", false },
		{ "a.example", "*.a.example", false },
		{ "a.example", "a.example.org", false },
		{ "a.example", "aa.example a.examples", false },
		{ "a.example", "x-a.example a.example-x", false },
		{ "a.example", "www.a.example: a.example", true },
		{ "192.0.2.1", "192.0.2.1: refused", true },
		{ "192.0.2.1", "192.0.2.10 and 1192.0.2.1", false },
		{ "2001:db8::1", "for [2001:db8::1]:80", true },
		{ "2001:db8::1", "for 2001:db8::1:2", false },
		{ "2001:db8::1", "for 1:2001:db8::1", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(t); i++)
		if (problem_names(t[i].text, t[i].ident) != t[i].is)
			fail_msg("%s in \"%s\"", t[i].ident, t[i].text);
}

/* Text that does not fit says so, and stays UTF-8. */
static void
test_long(void **state)
{
	AUTO(buf_done) struct buf body = BUF_INIT(1 << 20);
	struct err e;
	size_t i;

	(void)state;
	buf_puts(&body, "{\"type\":\"" URN "dns\",\"detail\":\"");
	for (i = 0; i < 5000; i++)
		buf_puts(&body, "\xc3\xa4");
	buf_puts(&body, "\",\"subproblems\":[0");
	for (i = 0; i < 1000; i++)
		buf_puts(&body, ",{\"detail\":\"x\"}");
	buf_puts(&body, "]}");
	e = decode(400, TYPE, buf_str(&body));
	assert_int_equal(strlen(e.what), ERR_WHAT_MAX - PROBLEM_ROOM);
	assert_string_equal(e.what + strlen(e.what) - 3, "...");
}

static void
test_many_subproblems(void **state)
{
	AUTO(buf_done) struct buf body = BUF_INIT(1 << 20);
	struct err e;
	size_t i;

	(void)state;
	buf_puts(&body, "{\"type\":\"" URN "dns\",\"subproblems\":[{}");
	for (i = 0; i < 99; i++)
		buf_puts(&body, ",{\"type\":\"" URN "caa\"}");
	buf_puts(&body, "]}");
	e = decode(400, TYPE, buf_str(&body));
	assert_non_null(strstr(e.what, "dns (error; caa; caa"));
	assert_non_null(strstr(e.what, "caa; and 80 more)"));
}

static void
test_hint_for(void **state)
{
	struct err e;

	(void)state;
	e = decode(403, TYPE,
	    "{\"type\":\"" URN "unauthorized\",\"detail\":\"During secondary "
	    "validation: 192.0.2.1: Invalid response\"}");
	assert_non_null(strstr(problem_hint_for(&e), "several places"));
	e = decode(400, TYPE,
	    "{\"type\":\"" URN "dns\",\"detail\":\"DNSSEC: Bogus\"}");
	assert_non_null(strstr(problem_hint_for(&e), "DS records"));
	e = decode(400, TYPE, "{\"type\":\"" URN "dns\",\"detail\":\"x\"}");
	assert_ptr_equal(problem_hint_for(&e), problem_hint(PROBLEM_DNS));
	e = decode(502, NULL, "During secondary validation");
	assert_null(problem_hint_for(&e));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_outweighs),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_no_body),
		cmocka_unit_test(test_excerpt),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_unpause),
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_many_subproblems),
		cmocka_unit_test(test_hint_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
