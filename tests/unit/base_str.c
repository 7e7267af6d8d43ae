/* SPDX-License-Identifier: ISC */
/* Readers and checkers: what passes, what does not, and why not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/cleanup.h"
#include "lib/base/str.h"

static void
u64(void **state)
{
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "0x1",
		"1.0", "18446744073709551616", "99999999999999999999999" };
	uint64_t v = 77;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(bad); i++) {
		assert_int_equal(str_u64(bad[i], 0, UINT64_MAX, &v), -1);
		assert_int_equal(v, 77);
	}
	assert_int_equal(str_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_int_equal(v, UINT64_MAX);
	assert_int_equal(str_u64("0", 0, 0, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(str_u64("10", 10, 20, &v), 0);
	assert_int_equal(str_u64("20", 10, 20, &v), 0);
	assert_int_equal(str_u64("9", 10, 20, &v), -1);
	assert_int_equal(str_u64("21", 10, 20, &v), -1);
	assert_int_equal(v, 20);
}

static void
span(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text;
		int64_t s;
	} good[] = {
		{ "0", 0 }, { "90", 90 }, { "90s", 90 }, { "15m", 900 },
		{ "12h", 43200 }, { "30d", 2592000 }, { "2w", 1209600 },
		{ "9223372036854775807", INT64_MAX },
		{ "9223372036854775807s", INT64_MAX },
	};
	static const char *const bad[] = { "", "s", "d", "-1", "+1", "1.5h",
		"1 d", " 1d", "1d ", "1dd", "1d12h", "1M", "1D", "1y", "1ms",
		"9223372036854775808", "9223372036854775807m",
		"15250284452472w" };
	/* clang-format on */
	int64_t v = 77;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(good); i++) {
		assert_int_equal(str_span(good[i].text, &v), 0);
		assert_int_equal(v, good[i].s);
	}
	v = 77;
	for (i = 0; i < NELEM(bad); i++) {
		if (str_span(bad[i], &v) != -1)
			fail_msg("\"%s\" was read", bad[i]);
		assert_int_equal(v, 77);
	}
}

static void
ago(void **state)
{
	/* clang-format off */
	static const struct {
		int64_t s;
		const char *text;
	} known[] = {
		{ 0, "0 s" }, { 45, "45 s" }, { 99, "99 s" }, { 100, "1 min" },
		{ 12 * 60, "12 min" }, { 99 * 60 + 59, "99 min" },
		{ 100 * 60, "1 h" }, { 5 * 3600, "5 h" },
		{ 2 * 86400 - 1, "47 h" }, { 2 * 86400, "2 days" },
		{ 29 * 86400 + 5, "29 days" }, { -45, "-45 s" },
		{ INT64_MIN, "-106751991167300 days" },
	};
	/* clang-format on */
	char out[32], small[4];
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(known); i++) {
		str_ago(known[i].s, out, sizeof(out));
		assert_string_equal(out, known[i].text);
	}
	str_ago(12 * 60, small, sizeof(small));
	assert_string_equal(small, "12 ");
}

static void
hex(void **state)
{
	char out[9];

	(void)state;
	str_hex("\x00\x9f\xff\x10", 4, out);
	assert_string_equal(out, "009fff10");
	str_hex("", 0, out);
	assert_string_equal(out, "");
	assert_true(str_is_hex("009fff10", 8));
	assert_true(str_is_hex("", 0));
	assert_false(str_is_hex("009fff1", 8));
	assert_false(str_is_hex("009fff100", 8));
	assert_false(str_is_hex("009FFF10", 8));
	assert_false(str_is_hex("009fff1g", 8));
}

static void
token(void **state)
{
	char s[258];

	(void)state;
	assert_true(
	    str_is_token("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA"));
	assert_true(str_is_token("1234567890123456789012"));
	assert_false(str_is_token("123456789012345678901"));
	assert_false(str_is_token(""));
	assert_false(str_is_token("12345678901234567890/2"));
	assert_false(str_is_token("../../../../../../../.."));
	assert_false(str_is_token("1234567890123456789012="));
	assert_false(str_is_token("1234567890123456789012\n"));
	assert_false(str_is_token("123456789012345678901\xc3\xa9"));
	memset(s, 'a', sizeof(s));
	s[257] = '\0';
	assert_false(str_is_token(s));
	s[256] = '\0';
	assert_true(str_is_token(s));
}

static void
https_url(void **state)
{
	(void)state;
	assert_true(str_is_https_url("https://a"));
	assert_true(str_is_https_url("https://ca.internal:14000/dir?x=1#y"));
	assert_true(str_is_https_url("https://[::1]:14000/dir"));
	assert_true(str_is_https_url("https://127.0.0.1/~a/%20"));
	assert_false(str_is_https_url("http://a/"));
	assert_false(str_is_https_url("HTTPS:/a/"));
	assert_false(str_is_https_url("https://"));
	assert_false(str_is_https_url("https:///etc/passwd"));
	assert_false(str_is_https_url("https://?"));
	assert_false(str_is_https_url("https://a b"));
	assert_false(str_is_https_url("https://a/\""));
	assert_false(str_is_https_url("https://a/<"));
	assert_false(str_is_https_url("https://a/>"));
	assert_false(str_is_https_url("https://a/\\"));
	assert_false(str_is_https_url("https://a/\n"));
	assert_false(str_is_https_url("https://a/\x7f"));
	assert_false(str_is_https_url("https://a/\xc3\xa9"));
	assert_false(str_is_https_url(""));
}

static void
names(void **state)
{
	char s[66];

	(void)state;
	assert_true(str_is_name("a"));
	assert_true(str_is_name("www.example.org"));
	assert_true(str_is_name("_x-1.Y"));
	assert_false(str_is_name(""));
	assert_false(str_is_name("."));
	assert_false(str_is_name(".."));
	assert_false(str_is_name(".hidden"));
	assert_false(str_is_name("-rf"));
	assert_false(str_is_name("a/b"));
	assert_false(str_is_name("a b"));
	assert_false(str_is_name("a\n"));
	assert_false(str_is_name("*.example.org"));
	assert_false(str_is_name("\xc3\xa9"));
	memset(s, 'a', sizeof(s));
	s[65] = '\0';
	assert_false(str_is_name(s));
	s[64] = '\0';
	assert_true(str_is_name(s));
}

#define L63 "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0"

/* RFC 8555 7.1.4, RFC 8738 (G1). */
static void
ident_canonical(void **state)
{
	/* clang-format off */
	static const struct {
		const char *in, *out;
		bool is_ip;
	} good[] = {
		{ "example.org",            "example.org",   false },
		{ "WWW.Example.ORG.",       "www.example.org", false },
		{ "*.Example.org",          "*.example.org", false },
		{ "*.example.org.",         "*.example.org", false },
		{ "localhost",              "localhost",     false },
		{ "ca",                     "ca",            false },
		{ "xn--bcher-kva.example",  "xn--bcher-kva.example", false },
		{ "1.2.3.4.example",        "1.2.3.4.example", false },
		{ "1a",                     "1a",            false },
		{ "a.b.c.d.e.f.g.h.i.j",    "a.b.c.d.e.f.g.h.i.j", false },
		{ "*.a.b.c.d.e.f.g.h.i.j",  "*.a.b.c.d.e.f.g.h.i.j", false },
		{ L63 ".org",               L63 ".org",      false },
		{ "192.0.2.1",              "192.0.2.1",     true },
		{ "2001:DB8:0:0:0:0:0:1",   "2001:db8::1",   true },
		{ "2001:db8::0001",         "2001:db8::1",   true },
		{ "::FFFF:192.0.2.1",       "::ffff:192.0.2.1", true },
		{ "::",                     "::",            true },
	};
	/* clang-format on */
	char out[STR_IDENT_MAX];
	const char *why;
	bool is_ip;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(good); i++) {
		if (str_ident(good[i].in, out, &is_ip, &why) == -1)
			fail_msg("\"%s\": %s", good[i].in, why);
		assert_string_equal(out, good[i].out);
		assert_int_equal(is_ip, good[i].is_ip);
	}
}

static void
ident_refused(void **state)
{
	/* clang-format off */
	static const struct {
		const char *in, *why;
	} bad[] = {
		{ "",                      "empty" },
		{ ".",                     "empty" },
		{ "*",                     "only be in front" },
		{ "*.",                    "empty" },
		{ "*.*.org",               "only be in front" },
		{ "w*.org",                "only be in front" },
		{ "a.*.org",               "only be in front" },
		{ "*org",                  "only be in front" },
		{ "a..org",                "empty label" },
		{ ".org",                  "empty label" },
		{ "org..",                 "empty label" },
		{ "-a.org",                "hyphen" },
		{ "a-.org",                "hyphen" },
		{ "a_b.org",               "only letters" },
		{ "a b.org",               "spaces or commas" },
		{ "a.org\n",               "only letters" },
		{ "a.org/",                "stands alone" },
		{ "https://a.org",         "stands alone" },
		{ "b\xc3\xbc" "cher.example", "write it as xn--" },
		{ L63 "x.org",             "63 characters" },
		{ "a.b.c.d.e.f.g.h.i.j.k", "10 labels" },
		{ "1.2.3",                 "neither" },
		{ "1.2.3.256",             "neither" },
		{ "1.2.3.4.5",             "neither" },
		{ "01.2.3.4",              "neither" },
		{ "1.2.3.4.",              "neither" },
		{ "*.1.2.3.4",             "neither" },
		{ "12",                    "neither" },
		{ "[::1]",                 "only letters" },
		{ "::1::2",                "not an IP address" },
		{ "fe80::1%eth0",          "not an IP address" },
		{ "example.org:443",       "not an IP address" },
	};
	/* clang-format on */
	char out[STR_IDENT_MAX];
	const char *why;
	bool is_ip;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(bad); i++) {
		why = NULL;
		if (str_ident(bad[i].in, out, &is_ip, &why) != -1)
			fail_msg("\"%s\" was accepted", bad[i].in);
		if (why == NULL || strstr(why, bad[i].why) == NULL)
			fail_msg("\"%s\": said %s", bad[i].in, why);
	}
}

static void
ident_length(void **state)
{
	char in[600], out[STR_IDENT_MAX];
	const char *why;
	bool is_ip;

	(void)state;
	/* 63 + 1 + 63 + 1 + 63 + 1 + 61 = 253 */
	(void)snprintf(in, sizeof(in), "%s.%s.%s.%.61s", L63, L63, L63, L63);
	assert_int_equal(strlen(in), 253);
	assert_int_equal(str_ident(in, out, &is_ip, &why), 0);
	assert_string_equal(out, in);
	(void)snprintf(in, sizeof(in), "%s.%s.%s.%.61s.", L63, L63, L63, L63);
	assert_int_equal(str_ident(in, out, &is_ip, &why), 0);
	(void)snprintf(in, sizeof(in), "%s.%s.%s.%.62s", L63, L63, L63, L63);
	assert_int_equal(str_ident(in, out, &is_ip, &why), -1);
	assert_non_null(strstr(why, "253"));
	(void)snprintf(in, sizeof(in), "*.%s.%s.%s.%.60s", L63, L63, L63, L63);
	assert_int_equal(str_ident(in, out, &is_ip, &why), -1);
	assert_non_null(strstr(why, "253"));
	memset(in, 'a', sizeof(in) - 1);
	in[sizeof(in) - 1] = '\0';
	assert_int_equal(str_ident(in, out, &is_ip, &why), -1);
	assert_non_null(strstr(why, "253"));
}

static void
clean(void **state)
{
	/* clang-format off */
	static const struct {
		const char *in, *out;
	} known[] = {
		{ "", "" },
		{ "plain ~", "plain ~" },
		{ "a\nb\rc\td", "a?b?c?d" },
		{ "\x1b[31mred\x7f", "?[31mred?" },
		{ "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "\xe2\x82\xac \xf0\x9f\x94\x92", "\xe2\x82\xac \xf0\x9f\x94\x92" },
		{ "\xc2\x9b" "31m", "??31m" },          /* CSI as C1 */
		{ "\xc2\xa0", "\xc2\xa0" },
		{ "\xe2\x80\xa7", "\xe2\x80\xa7" },
		{ "\xe2\x80\xa8" "x", "???x" },        /* line separator */
		{ "\xe2\x80\xae" "live", "???live" },  /* right to left */
		{ "\xe2\x80\xaf", "\xe2\x80\xaf" },
		{ "\xe2\x81\xa6" "a\xe2\x81\xa9", "???a???" },
		{ "\xe2\x81\xaa", "\xe2\x81\xaa" },
		{ "\x80", "?" }, { "\xff\xfe", "??" },
		{ "\xc3", "?" }, { "\xc3(", "?(" },     /* cut short */
		{ "\xe2\x82", "??" },
		{ "\xc0\xaf", "??" },                   /* overlong */
		{ "\xe0\x80\xaf", "???" },
		{ "\xf0\x80\x80\xaf", "????" },
		{ "\xed\xa0\x80", "???" },              /* surrogate */
		{ "\xf4\x90\x80\x80", "????" },         /* above U+10FFFF */
		{ "\xf5\x80\x80\x80", "????" },
		{ "\xf4\x8f\xbf\xbd", "\xf4\x8f\xbf\xbd" },
	};
	/* clang-format on */
	char s[32];
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(known); i++) {
		(void)snprintf(s, sizeof(s), "%s", known[i].in);
		str_clean(s);
		assert_string_equal(s, known[i].out);
	}
	(void)snprintf(s, sizeof(s), "\n\x1b[1m\n\nx\x7f\r\n\xc2\x9b");
	str_clean_lines(s);
	assert_string_equal(s, "\n?[1m\n\nx??\n??");
}

static void
distance(void **state)
{
	char a[200], b[200];

	(void)state;
	assert_int_equal(str_distance("", ""), 0);
	assert_int_equal(str_distance("reload", "reload"), 0);
	assert_int_equal(str_distance("relaod", "reload"), 2);
	assert_int_equal(str_distance("reloa", "reload"), 1);
	assert_int_equal(str_distance("reloadd", "reload"), 1);
	assert_int_equal(str_distance("rlad", "reload"), 2);
	assert_int_equal(str_distance("kitten", "sitting"), 3);
	assert_int_equal(str_distance("", "abc"), 3);
	assert_int_equal(str_distance("", "abcd"), 4);
	assert_int_equal(str_distance("abcdefgh", "x"), 4);
	memset(a, 'a', sizeof(a));
	a[199] = '\0';
	memcpy(b, a, sizeof(b));
	assert_int_equal(str_distance(a, b), 0);
	b[0] = 'b';
	assert_true(str_distance(a, b) > 3);
}

static void
closest(void **state)
{
	static const char *const words[] = { "hmac-file", "kid", "reload",
		"reload-timeout" };

	(void)state;
	assert_string_equal(str_closest("relaod", words, 4), "reload");
	assert_string_equal(
	    str_closest("reload_timeout", words, 4), "reload-timeout");
	assert_string_equal(str_closest("hmac", words, 4), "hmac-file");
	assert_null(str_closest("hma", words, 4));
	assert_null(str_closest("kat", words, 4));
	assert_null(str_closest("reload", words, 0));
	assert_null(str_closest("", words, 4));
}

/* The published vectors of FNV-1a. */
static void
hash(void **state)
{
	(void)state;
	assert_int_equal(str_hash("", 0), UINT64_C(0xcbf29ce484222325));
	assert_int_equal(str_hash("a", 1), UINT64_C(0xaf63dc4c8601ec8c));
	assert_int_equal(str_hash("foobar", 6), UINT64_C(0x85944171f73967e8));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(u64),
		cmocka_unit_test(span),
		cmocka_unit_test(ago),
		cmocka_unit_test(hex),
		cmocka_unit_test(token),
		cmocka_unit_test(https_url),
		cmocka_unit_test(names),
		cmocka_unit_test(ident_canonical),
		cmocka_unit_test(ident_refused),
		cmocka_unit_test(ident_length),
		cmocka_unit_test(clean),
		cmocka_unit_test(distance),
		cmocka_unit_test(closest),
		cmocka_unit_test(hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
