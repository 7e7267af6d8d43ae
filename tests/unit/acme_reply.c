/* SPDX-License-Identifier: ISC */
/* Headers of replies (protocol.md A20, B7, E17, H4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/acme/jws.h"
#include "lib/acme/reply.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

#define NOW INT64_C(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT */

static void
test_retry_after(void **state)
{
	/* clang-format off */
	static const struct {
		const char *value, *date;
		int64_t want;
	} rows[] = {
		{ NULL, NULL, -1 },
		{ "", NULL, -1 },
		{ "0", NULL, 0 },
		{ "1", NULL, 1 },
		{ "86400", NULL, 86400 },
		{ "31536000", NULL, 31536000 },
		{ "31536001", NULL, -1 },
		{ "-5", NULL, -1 },
		{ "+5", NULL, -1 },
		{ "5.5", NULL, -1 },
		{ "5 s", NULL, -1 },
		{ "garbage", NULL, -1 },
		{ "4294967297", NULL, -1 },
		{ "18446744073709551617", NULL, -1 },
		{ "99999999999999999999999999999999", NULL, -1 },
		/* the three forms of RFC 9110 5.6.7 */
		{ "Sun, 06 Nov 1994 08:50:37 GMT", NULL, 60 },
		{ "Sunday, 06-Nov-94 08:50:37 GMT", NULL, 60 },
		{ "Sun Nov  6 08:50:37 1994", NULL, 60 },
		{ "Sun, 06 Nov 1994 08:49:37 GMT", NULL, 0 },
		{ "Sun, 06 Nov 1994 07:00:00 GMT", NULL, 0 },
		{ "Mon, 06 Nov 1995 08:49:37 GMT", NULL, 31536000 },
		{ "Mon, 06 Nov 1995 08:49:38 GMT", NULL, -1 },
		{ "Fri, 31 Dec 9999 23:59:59 GMT", NULL, -1 },
		{ "Sun, 06 Foo 1994 08:50:37 GMT", NULL, -1 },
		/* the CA's clock is an hour behind ours, or unreadable */
		{ "Sun, 06 Nov 1994 07:50:37 GMT",
		  "Sun, 06 Nov 1994 07:49:37 GMT", 60 },
		{ "Sun, 06 Nov 1994 08:50:37 GMT", "yesterday", 60 },
		{ "120", "Sun, 06 Nov 1994 07:49:37 GMT", 120 },
	};
	/* clang-format on */
	int64_t got;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		got = reply_retry_after(rows[i].value, rows[i].date, NOW);
		if (got != rows[i].want)
			fail_msg("\"%s\": %lld", rows[i].value, (long long)got);
	}
}

static void
test_nonce(void **state)
{
	char nonce[JWS_NONCE_MAX + 2];

	(void)state;
	assert_true(reply_nonce_ok("a"));
	assert_true(reply_nonce_ok("oFvnlFP1wIhRlYS2jTaXbA-_09AZ"));
	assert_false(reply_nonce_ok(""));
	assert_false(reply_nonce_ok("YQ=="));
	assert_false(reply_nonce_ok("a b"));
	assert_false(reply_nonce_ok("a+b"));
	assert_false(reply_nonce_ok("a\"b"));
	assert_false(reply_nonce_ok("a\n"));
	assert_false(reply_nonce_ok("\xc3\xa4"));
	memset(nonce, 'n', sizeof(nonce));
	nonce[JWS_NONCE_MAX + 1] = '\0';
	assert_false(reply_nonce_ok(nonce));
	nonce[JWS_NONCE_MAX] = '\0';
	assert_true(reply_nonce_ok(nonce));
}

static void
test_type(void **state)
{
	static const char pem[] = "application/pem-certificate-chain";

	(void)state;
	assert_true(reply_type_is(pem, pem));
	assert_true(reply_type_is("Application/PEM-Certificate-Chain", pem));
	assert_true(
	    reply_type_is("application/pem-certificate-chain;charset=x", pem));
	assert_true(
	    reply_type_is(" application/pem-certificate-chain ; q=1", pem));
	assert_false(reply_type_is(NULL, pem));
	assert_false(reply_type_is("", pem));
	assert_false(reply_type_is("application/pem", pem));
	assert_false(
	    reply_type_is("application/pem-certificate-chain-more", pem));
}

static void
collect(void *arg, const char *url)
{
	buf_printf(arg, "[%s]", url);
}

static void
test_links(void **state)
{
	static const char base[] = "https://ca.example:14000/a/b/cert/1?x=/y";
	/* clang-format off */
	static const struct {
		const char *header, *want;
	} rows[] = {
		{ "<https://ca.example/2>;rel=\"alternate\"",
		  "[https://ca.example/2]" },
		{ "<https://ca.example/2>; rel=alternate",
		  "[https://ca.example/2]" },
		{ "<https://ca.example/2> ; REL = \"Alternate\" ",
		  "[https://ca.example/2]" },
		{ "<https://ca.example/2>;rel=\"alternate other\"",
		  "[https://ca.example/2]" },
		{ "<https://ca.example/2>;rel=\"other  alternate\"",
		  "[https://ca.example/2]" },
		{ "<https://ca.example/2>;rel=\"alternates\"", "" },
		{ "<https://ca.example/2>;rel=\"alt\"", "" },
		{ "<https://ca.example/2>;rel=up", "" },
		{ "<https://ca.example/2>;rel", "" },
		{ "<https://ca.example/2>;rel=", "" },
		{ "<https://ca.example/2>", "" },
		{ "<https://ca.example/2>;title=\"alternate\"", "" },
		/* several, with what separates links inside of links */
		{ "<https://ca.example/2>;rel=alternate,"
		  "<https://ca.example/up>;rel=up, ,"
		  "<https://ca.example/3>;rel=alternate",
		  "[https://ca.example/2][https://ca.example/3]" },
		{ "<https://ca.example/2,3;4>;title=\"a,b;\\\"c\\\" <d>\";"
		  "rel=\"alternate\",<https://ca.example/5>;rel=alternate",
		  "[https://ca.example/2,3;4][https://ca.example/5]" },
		{ "<https://ca.example/2>;rel=alternate junk,"
		  "<https://ca.example/3>;rel=alternate",
		  "[https://ca.example/2][https://ca.example/3]" },
		/* RFC 8288 3.3: the first rel counts; 3.2: another context */
		{ "<https://ca.example/2>;rel=up;rel=alternate", "" },
		{ "<https://ca.example/2>;rel=alternate;rel=up",
		  "[https://ca.example/2]" },
		{ "<https://ca.example/2>;rel=alternate;anchor=\"/x\"", "" },
		/* relative ones */
		{ "</cert/2>;rel=alternate",
		  "[https://ca.example:14000/cert/2]" },
		{ "<//other.example/2>;rel=alternate",
		  "[https://other.example/2]" },
		{ "<2>;rel=alternate",
		  "[https://ca.example:14000/a/b/cert/2]" },
		{ "<2/3:4>;rel=alternate",
		  "[https://ca.example:14000/a/b/cert/2/3:4]" },
		{ "<?alt=1>;rel=alternate",
		  "[https://ca.example:14000/a/b/cert/1?alt=1]" },
		/* A1: nothing that is not https */
		{ "<http://ca.example/2>;rel=alternate", "" },
		{ "<javascript:x>;rel=alternate", "" },
		{ "<https://ca.example/a b>;rel=alternate", "" },
		/* cut off, or no link at all */
		{ "", "" },
		{ "<https://ca.example/2;rel=alternate", "" },
		{ "<https://ca.example/2>;rel=\"alternate",
		  "[https://ca.example/2]" },
		{ "<https://ca.example/2>;rel=\"alternate\\", "" },
		{ "https://ca.example/2;rel=alternate", "" },
	};
	/* clang-format on */
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(buf_done) struct buf got = BUF_INIT(4096);

		reply_links(rows[i].header, base, "alternate", collect, &got);
		if (strcmp(buf_str(&got), rows[i].want) != 0)
			fail_msg("%s: %s", rows[i].header, buf_str(&got));
	}
}

static void
test_link_bases(void **state)
{
	static const struct {
		const char *base, *target, *want;
	} rows[] = {
		{ "https://ca.example", "2", "[https://ca.example/2]" },
		{ "https://ca.example", "/2", "[https://ca.example/2]" },
		{ "https://ca.example?a/b", "2", "[https://ca.example/2]" },
		{ "https://ca.example/", "2", "[https://ca.example/2]" },
		{ "https://ca.example/d?x", "?y", "[https://ca.example/d?y]" },
		{ "http://ca.example/1", "2", "" },
		{ "", "2", "" },
		{ "", "https://ca.example/2", "[https://ca.example/2]" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(buf_done) struct buf header = BUF_INIT(256);
		AUTO(buf_done) struct buf got = BUF_INIT(4096);

		buf_printf(&header, "<%s>;rel=next", rows[i].target);
		reply_links(
		    buf_str(&header), rows[i].base, "next", collect, &got);
		assert_string_equal(buf_str(&got), rows[i].want);
	}
}

static void
count(void *arg, const char *url)
{
	(void)url;
	++*(size_t *)arg;
}

/* A header of 64 KiB is no reason to work for ever, or to overflow. */
static void
test_link_bounds(void **state)
{
	AUTO(buf_done) struct buf header = BUF_INIT(1 << 20);
	size_t i, n = 0;

	(void)state;
	for (i = 0; i < 1000; i++)
		buf_puts(&header, "</x>;rel=up,");
	reply_links(buf_str(&header), "https://ca.example", "up", count, &n);
	assert_int_equal(n, 32);

	buf_reset(&header);
	buf_puts(&header, "<https://ca.example/");
	for (i = 0; i < 1100; i++)
		buf_putc(&header, 'x');
	buf_puts(&header, ">;rel=up,</y>;rel=up");
	n = 0;
	reply_links(buf_str(&header), "https://ca.example", "up", count, &n);
	assert_int_equal(n, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_nonce),
		cmocka_unit_test(test_type),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_link_bases),
		cmocka_unit_test(test_link_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
