/* SPDX-License-Identifier: ISC */
/* Dates in and out, and clocks that stand still. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"

static void
format_known(void **state)
{
	/* clang-format off */
	static const struct {
		int64_t t;
		const char *text;
	} known[] = {
		{ 0,            "1970-01-01T00:00:00Z" },
		{ -1,           "1969-12-31T23:59:59Z" },
		{ 784111777,    "1994-11-06T08:49:37Z" },
		{ 951782400,    "2000-02-29T00:00:00Z" },
		{ 951868800,    "2000-03-01T00:00:00Z" },
		{ 1735689599,   "2024-12-31T23:59:59Z" },
		{ 2147483648,   "2038-01-19T03:14:08Z" },
		{ 4107542400,   "2100-03-01T00:00:00Z" },
		{ 253402300799, "9999-12-31T23:59:59Z" },
		{ INT64_C(-62135596800), "0001-01-01T00:00:00Z" },
		{ INT64_MAX, "292277026596-12-04T15:30:07Z" },
		{ INT64_MIN, "-292277022657-01-27T08:29:52Z" },
	};
	/* clang-format on */
	char out[CLOCK_RFC3339_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(known); i++) {
		clock_format(known[i].t, out);
		assert_string_equal(out, known[i].text);
	}
}

static void
format_agrees_with_libc(void **state)
{
	char out[CLOCK_RFC3339_MAX], want[CLOCK_RFC3339_MAX];
	int64_t t, back;
	struct tm tm;
	time_t tt;

	(void)state;
	/* An odd step, so that every month, day and second is met. */
	for (t = -5000000000; t < 20000000000; t += 1234567) {
		tt = (time_t)t;
		assert_non_null(gmtime_r(&tt, &tm));
		(void)strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%SZ", &tm);
		clock_format(t, out);
		assert_string_equal(out, want);
		assert_int_equal(clock_parse(out, &back), 0);
		assert_int_equal(back, t);
	}
}

static void
parse_rfc3339(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text;
		int64_t t;
	} good[] = {
		{ "2026-11-23T15:04:05Z",                1795446245 },
		{ "2026-11-23t15:04:05z",                1795446245 },
		{ "2026-11-23 15:04:05Z",                1795446245 },
		{ "2026-11-23T15:04:05.9Z",              1795446245 },
		{ "2026-11-23T15:04:05.123456789012Z",   1795446245 },
		{ "2026-11-23T16:04:05+01:00",           1795446245 },
		{ "2026-11-23T09:34:05.5-05:30",         1795446245 },
		{ "2026-11-24T14:03:05+22:59",           1795446245 },
		{ "2026-11-23T15:04:05-00:00",           1795446245 },
		{ "2016-12-31T23:59:60Z",                1483228800 },
		{ "1990-12-31T15:59:60-08:00",           662688000 },
		{ "1937-01-01T12:00:27.87+00:20",        -1041337173 },
		{ "1970-01-01T00:00:00Z",                0 },
		{ "0001-01-01T00:00:00Z",                INT64_C(-62135596800) },
		{ "2024-02-29T00:00:00Z",                1709164800 },
	};
	/* clang-format on */
	size_t i;
	int64_t t;

	(void)state;
	for (i = 0; i < NELEM(good); i++) {
		if (clock_parse(good[i].text, &t) == -1)
			fail_msg("\"%s\" was refused", good[i].text);
		assert_int_equal(t, good[i].t);
	}
}

static void
parse_rfc3339_refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"2026",
		"2026-11-23",
		"2026-11-23T15:04:05",
		"2026-11-23T15:04:05.Z",
		"2026-11-23T15:04:05,5Z",
		"2026-11-23T15:04Z",
		"2026-11-23T15:04:05+01",
		"2026-11-23T15:04:05+0100",
		"2026-11-23T15:04:05+24:00",
		"2026-11-23T15:04:05+01:60",
		"2026-11-23T15:04:05Z ",
		" 2026-11-23T15:04:05Z",
		"2026-11-23_15:04:05Z",
		"2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-01-00T00:00:00Z",
		"2026-04-31T00:00:00Z",
		"2026-02-29T00:00:00Z",
		"2100-02-29T00:00:00Z",
		"2026-01-01T24:00:00Z",
		"2026-01-01T00:60:00Z",
		"2026-01-01T00:00:61Z",
		"26-01-01T00:00:00Z",
		"12026-01-01T00:00:00Z",
		"+026-01-01T00:00:00Z",
		"2026-1-1T00:00:00Z",
		"-2026-01-01T00:00:00Z",
	};
	size_t i;
	int64_t t = 77;

	(void)state;
	for (i = 0; i < NELEM(bad); i++) {
		if (clock_parse(bad[i], &t) != -1)
			fail_msg("\"%s\" was read", bad[i]);
		assert_int_equal(t, 77);
	}
}

/* RFC 9110 5.6.7: all three must be read. */
static void
parse_http(void **state)
{
	int64_t t;

	(void)state;
	assert_int_equal(
	    clock_parse_http("Sun, 06 Nov 1994 08:49:37 GMT", &t), 0);
	assert_int_equal(t, 784111777);
	assert_int_equal(
	    clock_parse_http("Sunday, 06-Nov-94 08:49:37 GMT", &t), 0);
	assert_int_equal(t, 784111777);
	assert_int_equal(clock_parse_http("Sun Nov  6 08:49:37 1994", &t), 0);
	assert_int_equal(t, 784111777);
	assert_int_equal(clock_parse_http("Wed Nov 16 08:49:37 1994", &t), 0);
	assert_int_equal(t, 784111777 + 10 * 86400);
}

/* A year that seems more than 50 years ahead is in the past. */
static void
parse_http_two_digit_years(void **state)
{
	int64_t t;

	(void)state;
	clock_fake(1795446245); /* 2026 */
	assert_int_equal(
	    clock_parse_http("Friday, 01-Jan-27 00:00:00 GMT", &t), 0);
	assert_int_equal(t, 1798761600); /* 2027 */
	assert_int_equal(
	    clock_parse_http("Wednesday, 01-Jan-76 00:00:00 GMT", &t), 0);
	assert_int_equal(t, INT64_C(3345062400)); /* 2076 */
	assert_int_equal(
	    clock_parse_http("Saturday, 01-Jan-77 00:00:00 GMT", &t), 0);
	assert_int_equal(t, 220924800); /* 1977 */
}

static void
parse_http_refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"120",
		"Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 UTC",
		"Sun, 06 Nov 1994 08:49:37 GMT+1",
		"Sun, 6 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 94 08:49:37 GMT",
		"Xxx, 06 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nox 1994 08:49:37 GMT",
		"Sun, 31 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 25:49:37 GMT",
		"Sunday, 06-Nov-1994 08:49:37 GMT",
		"Sunny, 06-Nov-94 08:49:37 GMT",
		"Sun Nov 6 08:49:37 1994",
		"Sun Nov  6 08:49:37 94",
		"2026-11-23T15:04:05Z",
	};
	size_t i;
	int64_t t;

	(void)state;
	for (i = 0; i < NELEM(bad); i++)
		if (clock_parse_http(bad[i], &t) != -1)
			fail_msg("\"%s\" was read", bad[i]);
}

/* Runs first: clocks cannot be made real again. */
static void
real_clocks(void **state)
{
	int64_t before = (int64_t)time(NULL), mono = clock_mono_ms();

	(void)state;
	assert_true(clock_now() >= before);
	assert_true(clock_now_ms() / 1000 >= before);
	assert_true(clock_now() <= (int64_t)time(NULL) + 1);
	assert_true(mono > 0);
	assert_true(clock_mono_ms() >= mono);
}

static void
fake_clocks(void **state)
{
	(void)state;
	clock_fake(1000);
	assert_int_equal(clock_now(), 1000);
	assert_int_equal(clock_now_ms(), 1000000);
	assert_int_equal(clock_mono_ms(), clock_mono_ms());
	{
		int64_t mono = clock_mono_ms();

		clock_fake_advance_ms(1500);
		assert_int_equal(clock_now(), 1001);
		assert_int_equal(clock_now_ms(), 1001500);
		assert_int_equal(clock_mono_ms(), mono + 1500);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_clocks),
		cmocka_unit_test(fake_clocks),
		cmocka_unit_test(format_known),
		cmocka_unit_test(format_agrees_with_libc),
		cmocka_unit_test(parse_rfc3339),
		cmocka_unit_test(parse_rfc3339_refuses),
		cmocka_unit_test(parse_http),
		cmocka_unit_test(parse_http_two_digit_years),
		cmocka_unit_test(parse_http_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
