/* SPDX-License-Identifier: ISC */
/* Renewal information (protocol.md J1, J2, J4, J10). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/acme/ari.h"
#include "lib/base/cleanup.h"

#define ID "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"

#define WINDOW(start, end) \
	"{\"suggestedWindow\":{\"start\":\"" start "\",\"end\":\"" end "\"}"

/* The example of RFC 9773 4.2. */
#define GOOD WINDOW("2025-01-02T04:00:00Z", "2025-01-03T04:00:00Z")

static void
test_good(void **state)
{
	/* clang-format off */
	static const struct {
		const char *body;
		int64_t start, end;
	} rows[] = {
		{ GOOD "}", 1735790400, 1735876800 },
		{ WINDOW("2025-01-02T06:00:00.123456789+02:00",
		      "2025-01-02T23:00:00-05:00") "}",
		  1735790400, 1735876800 },
		{ WINDOW("2020-01-01T00:00:00Z", "2020-01-01T00:00:01Z") "}",
		  1577836800, 1577836801 },
		{ WINDOW("2200-12-31T23:59:58Z", "2200-12-31T23:59:59Z") "}",
		  7289654398, 7289654399 },
		{ "{\"more\":[1],\"suggestedWindow\":{\"x\":{},"
		  "\"end\":\"2025-01-03T04:00:00Z\","
		  "\"start\":\"2025-01-02T04:00:00Z\"}}",
		  1735790400, 1735876800 },
	};
	/* clang-format on */
	struct renewal_info r;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(pool_free) struct pool *pool = pool_new(4096);

		if (renewal_info_decode(
			rows[i].body, strlen(rows[i].body), pool, &r, &e) == -1)
			fail_msg("%s: %s", rows[i].body, e.what);
		assert_int_equal(r.start, rows[i].start);
		assert_int_equal(r.end, rows[i].end);
		assert_null(r.explanation);
	}
}

/* J4: as if there were no reply, and for everybody to read why. */
static void
test_bad(void **state)
{
#define IN     "renewal information: suggestedWindow"
#define NEEDED " is missing or no "
	/* clang-format off */
	static const struct {
		const char *body, *want;
	} rows[] = {
		{ "{}", IN NEEDED "object" },
		{ "[]", IN NEEDED "object" },
		{ "7", IN NEEDED "object" },
		{ "{\"suggestedWindow\":null}", IN NEEDED "object" },
		{ "{\"suggestedWindow\":\"2025\"}", IN NEEDED "object" },
		{ "{\"suggestedWindow\":[]}", IN NEEDED "object" },
		{ "{\"suggestedWindow\":{}}", IN ": start" NEEDED "text" },
		{ "{\"suggestedWindow\":{\"start\":1735790400,"
		  "\"end\":1735876800}}", IN ": start" NEEDED "text" },
		{ "{\"suggestedWindow\":{\"start\":\"2025-01-02T04:00:00Z\"}}",
		  IN ": end" NEEDED "text" },
		{ "{\"suggestedWindow\":{\"start\":\"2025-01-02T04:00:00Z\","
		  "\"end\":null}}", IN ": end" NEEDED "text" },
		{ WINDOW("2025-01-02", "2025-01-03") "}",
		  IN ": start is no RFC 3339 time" },
		{ WINDOW("", "2025-01-03T04:00:00Z") "}",
		  IN ": start is no RFC 3339 time" },
		{ WINDOW("Thu, 02 Jan 2025 04:00:00 GMT",
		      "2025-01-03T04:00:00Z") "}",
		  IN ": start is no RFC 3339 time" },
		{ WINDOW("2025-01-02T04:00:00Z", "2025-02-30T04:00:00Z") "}",
		  IN ": end is no RFC 3339 time" },
		{ WINDOW("2025-01-02T04:00:00Z", "2025-01-02T04:00:00Z") "}",
		  IN " does not end after its start" },
		{ WINDOW("2025-01-03T04:00:00Z", "2025-01-02T04:00:00Z") "}",
		  IN " does not end after its start" },
		{ WINDOW("2025-01-02T04:00:00Z",
		      "2025-01-02T05:00:00+01:00") "}",
		  IN " does not end after its start" },
		{ WINDOW("0001-01-01T00:00:00Z", "2025-01-02T04:00:00Z") "}",
		  IN ": start is not in the years 2020 to 2200" },
		{ WINDOW("2019-12-31T23:59:59Z", "2025-01-02T04:00:00Z") "}",
		  IN ": start is not in the years 2020 to 2200" },
		{ WINDOW("2025-01-02T04:00:00Z", "2201-01-01T00:00:00Z") "}",
		  IN ": end is not in the years 2020 to 2200" },
		{ WINDOW("2025-01-02T04:00:00Z", "9999-12-31T23:59:59Z") "}",
		  IN ": end is not in the years 2020 to 2200" },
	};
	/* clang-format on */
	struct renewal_info r;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(pool_free) struct pool *pool = pool_new(4096);

		if (renewal_info_decode(
			rows[i].body, strlen(rows[i].body), pool, &r, &e) == 0)
			fail_msg("decoded: %s", rows[i].body);
		assert_int_equal(e.kind, ERR_PROTO);
		assert_string_equal(e.what, rows[i].want);
	}
	assert_int_equal(renewal_info_decode("<html>", 6, NULL, &r, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_memory_equal(e.what, "renewal information: ", 21);
	assert_int_equal(renewal_info_decode("", 0, NULL, &r, &e), -1);
}

static void
test_long(void **state)
{
	AUTO(buf_done) struct buf body = BUF_INIT(ARI_BODY_MAX + 1);
	AUTO(pool_free) struct pool *pool = pool_new(4096);
	struct renewal_info r;
	struct err e;

	(void)state;
	buf_puts(&body, GOOD "}");
	while (body.len < ARI_BODY_MAX)
		buf_putc(&body, ' ');
	assert_int_equal(
	    renewal_info_decode(body.data, body.len, pool, &r, &e), 0);
	buf_putc(&body, ' ');
	assert_true(buf_ok(&body));
	assert_int_equal(
	    renewal_info_decode(body.data, body.len, pool, &r, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
}

/* J10: shown only when it is an https URL; never a reason to refuse. */
static void
test_explanation(void **state)
{
	/* clang-format off */
	static const struct {
		const char *json, *want;
	} rows[] = {
		{ "\"https://acme.example.com/docs/ari?x=y#z\"",
		  "https://acme.example.com/docs/ari?x=y#z" },
		{ "\"http://acme.example.com/docs/ari\"", NULL },
		{ "\"javascript:alert(1)\"", NULL },
		{ "\"https://\"", NULL },
		{ "\"https://a.example/\\u001b[2J\"", NULL },
		{ "\"https://a.example/a b\"", NULL },
		{ "\"https://a.example/\\u00e9\"", NULL },
		{ "\"https://a.example/\\\"\"", NULL },
		{ "\"\"", NULL },
		{ "null", NULL },
		{ "7", NULL },
		{ "[\"https://a.example/\"]", NULL },
	};
	/* clang-format on */
	struct renewal_info r;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(buf_done) struct buf body = BUF_INIT(ARI_BODY_MAX);
		AUTO(pool_free) struct pool *pool = pool_new(4096);

		buf_printf(&body, GOOD ",\"explanationURL\":%s}", rows[i].json);
		assert_int_equal(
		    renewal_info_decode(body.data, body.len, pool, &r, &e), 0);
		assert_int_equal(r.start, 1735790400);
		if (rows[i].want == NULL)
			assert_null(r.explanation);
		else
			assert_string_equal(r.explanation, rows[i].want);
	}
}

static void
test_explanation_long(void **state)
{
	AUTO(buf_done) struct buf body = BUF_INIT(ARI_BODY_MAX);
	AUTO(pool_free) struct pool *pool = pool_new(4096);
	AUTO(pool_free) struct pool *full = pool_new(8);
	struct renewal_info r;
	struct err e;

	(void)state;
	buf_printf(&body,
	    GOOD ",\"explanationURL\":\"https://a.example/%01100d\"}", 0);
	assert_int_equal(
	    renewal_info_decode(body.data, body.len, pool, &r, &e), 0);
	assert_null(r.explanation);
	buf_reset(&body);
	buf_puts(&body, GOOD ",\"explanationURL\":\"https://a.example/\"}");
	assert_int_equal(
	    renewal_info_decode(body.data, body.len, full, &r, &e), -1);
	assert_int_equal(e.kind, ERR_NOMEM);
}

static void
test_url(void **state)
{
	/* clang-format off */
	static const struct {
		const char *base, *want;
	} rows[] = {
		{ "https://ca.example/acme/renewal-info",
		  "https://ca.example/acme/renewal-info/" ID },
		{ "https://ca.example/acme/renewal-info/",
		  "https://ca.example/acme/renewal-info/" ID },
		{ "https://ca.example/acme//", "https://ca.example/acme/" ID },
		{ "https://ca.example", "https://ca.example/" ID },
		{ "https://ca.example/", "https://ca.example/" ID },
		{ "https://ca.example:8443/ari?v=1/&w",
		  "https://ca.example:8443/ari/" ID "?v=1/&w" },
		{ "https://ca.example/ari/?v=1#part",
		  "https://ca.example/ari/" ID "?v=1" },
		{ "https://ca.example/ari#part?v=1",
		  "https://ca.example/ari/" ID },
	};
	/* clang-format on */
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(buf_done) struct buf out = BUF_INIT(1024);

		assert_int_equal(ari_url(rows[i].base, ID, &out, &e), 0);
		assert_string_equal(buf_str(&out), rows[i].want);
	}
}

static void
test_bad_url(void **state)
{
	static const char *const ids[] = { "", "a.b/../c", "a.b?c", "a.b c",
		"a.b\n", "a.b#", "a.b%2f", "a=.b" };
	AUTO(buf_done) struct buf out = BUF_INIT(1024);
	AUTO(buf_done) struct buf small = BUF_INIT(40);
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(ids); i++) {
		if (ari_url("https://ca.example/ari", ids[i], &out, &e) == 0)
			fail_msg("taken: \"%s\"", ids[i]);
		assert_int_equal(e.kind, ERR_PROTO);
		assert_int_equal(out.len, 0);
	}
	assert_int_equal(ari_url("https://ca.example/ari", ID, &small, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_explanation),
		cmocka_unit_test(test_explanation_long),
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_bad_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
