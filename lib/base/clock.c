/* SPDX-License-Identifier: ISC */
/*
 * Clocks and dates, by the proleptic Gregorian calendar and without libc's
 * time zones and locales.
 */
#include "lib/base/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define DAY_S 86400

static bool faked;
static int64_t fake_ms;

static int64_t
read_ms(clockid_t id)
{
	struct timespec ts = { 0 };

	if (faked)
		return fake_ms;
	(void)clock_gettime(id, &ts); /* cannot fail for the ids we use */
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
clock_now(void)
{
	return clock_now_ms() / 1000;
}

int64_t
clock_now_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}

int64_t
clock_mono_ms(void)
{
	return read_ms(CLOCK_BOOTTIME);
}

void
clock_fake(int64_t now_s)
{
	faked = true;
	fake_ms = now_s * 1000;
}

void
clock_fake_advance_ms(int64_t ms)
{
	assert(faked);
	fake_ms += ms;
}

struct civil {
	int64_t year;
	int month, day, hour, min, sec;
};

/*
 * Days since 1970-01-01 and back, counted in years that begin in March, so
 * that the leap day is the last one (Hinnant, "chrono-compatible low-level
 * date algorithms").
 */
static int64_t
days_from(int64_t year, int month, int day)
{
	int64_t era, yoe, doy;

	year -= month <= 2;
	era = (year >= 0 ? year : year - 399) / 400;
	yoe = year - era * 400;
	doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void
from_days(int64_t days, struct civil *c)
{
	int64_t era, doe, yoe, doy, mp;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	doe = days - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	c->day = (int)(doy - (153 * mp + 2) / 5 + 1);
	c->month = (int)(mp < 10 ? mp + 3 : mp - 9);
	c->year = yoe + era * 400 + (c->month <= 2);
}

void
clock_format(int64_t t, char out[CLOCK_RFC3339_MAX])
{
	struct civil c;
	int64_t days = t / DAY_S, sec = t % DAY_S;

	if (sec < 0) {
		sec += DAY_S;
		days--;
	}
	from_days(days, &c);
	(void)snprintf(out, CLOCK_RFC3339_MAX,
	    "%04" PRId64 "-%02d-%02dT%02d:%02d:%02dZ", c.year, c.month, c.day,
	    (int)(sec / 3600), (int)(sec / 60 % 60), (int)(sec % 60));
}

static bool
is_leap(int64_t y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int
to_seconds(const struct civil *c, int64_t *out)
{
	/* clang-format off */
	static const int length[] =
	    { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	/* clang-format on */

	if (c->month < 1 || c->month > 12 || c->day < 1 ||
	    c->day > length[c->month - 1] + (c->month == 2 && is_leap(c->year)))
		return -1;
	/* 60: a leap second, the same instant as the next second. */
	if (c->hour > 23 || c->min > 59 || c->sec > 60)
		return -1;
	*out = days_from(c->year, c->month, c->day) * DAY_S + c->hour * 3600 +
	       c->min * 60 + c->sec;
	return 0;
}

static int
digits(const char **s, int n)
{
	int v = 0;

	for (; n > 0; n--, (*s)++) {
		if (**s < '0' || **s > '9')
			return -1;
		v = v * 10 + (**s - '0');
	}
	return v;
}

/* Which of names (three letters each) s starts with, from 1; or -1. */
static int
name(const char **s, const char *names)
{
	size_t i;

	for (i = 0; names[i * 3] != '\0'; i++)
		if (strncasecmp(*s, names + i * 3, 3) == 0) {
			*s += 3;
			return (int)i + 1;
		}
	return -1;
}

/* "Sunday" or "Sun": never checked against the date, but it must be one. */
static int
weekday(const char **s, bool full)
{
	/* clang-format off */
	static const char *const rest[] =
	    { "", "day", "day", "sday", "nesday", "rsday", "day", "urday" };
	/* clang-format on */
	int d = name(s, "SunMonTueWedThuFriSat");
	size_t n;

	if (d == -1 || !full)
		return d;
	n = strlen(rest[d]);
	if (strncasecmp(*s, rest[d], n) != 0)
		return -1;
	*s += n;
	return d;
}

/* One field, named by a letter in strptime(3)'s manner.  -1: not there. */
static int
scan_field(const char **s, char what, struct civil *c)
{
	int v;

	switch (what) {
	case 'Y':
		return (int)(c->year = digits(s, 4));
	case 'y': /* two digits: the year nearest to now (RFC 9110 5.6.7) */
		v = digits(s, 2);
		if (v == -1)
			return -1;
		c->year = 1970 + clock_now() / (365 * DAY_S + DAY_S / 4);
		v += (int)(c->year / 100 * 100);
		return (int)(c->year = v > c->year + 50 ? v - 100 : v);
	case 'm':
		return c->month = digits(s, 2);
	case 'b':
		return c->month =
			   name(s, "JanFebMarAprMayJunJulAugSepOctNovDec");
	case 'e': /* a digit, with a space for the other */
		if (**s == ' ') {
			(*s)++;
			return c->day = digits(s, 1);
		}
		return c->day = digits(s, 2);
	case 'd':
		return c->day = digits(s, 2);
	case 'H':
		return c->hour = digits(s, 2);
	case 'M':
		return c->min = digits(s, 2);
	case 'S':
		return c->sec = digits(s, 2);
	case 'a':
		return weekday(s, false);
	case 'A':
		return weekday(s, true);
	default:
		return -1;
	}
}

static int
scan(const char **s, const char *form, struct civil *c)
{
	for (; *form != '\0'; form++) {
		if (*form == '%') {
			if (scan_field(s, *++form, c) == -1)
				return -1;
		} else if (*(*s)++ != *form)
			return -1;
	}
	return 0;
}

int
clock_parse(const char *s, int64_t *out)
{
	struct civil c = { 0 }, off = { 0 };
	int sign;
	int64_t t;

	if (scan(&s, "%Y-%m-%d", &c) == -1 ||
	    (*s != 'T' && *s != 't' && *s != ' '))
		return -1;
	s++;
	if (scan(&s, "%H:%M:%S", &c) == -1 || to_seconds(&c, &t) == -1)
		return -1;
	if (*s == '.') {
		s++;
		if (digits(&s, 1) == -1)
			return -1;
		s += strspn(s, "0123456789");
	}
	if (*s == '+' || *s == '-') {
		sign = *s++ == '-' ? -1 : 1;
		if (scan(&s, "%H:%M", &off) == -1 || off.hour > 23 ||
		    off.min > 59)
			return -1;
		t -= sign * (off.hour * 3600 + off.min * 60);
	} else if (*s == 'Z' || *s == 'z')
		s++;
	else
		return -1;
	if (*s != '\0')
		return -1;
	*out = t;
	return 0;
}

int
clock_parse_http(const char *s, int64_t *out)
{
	static const char *const forms[] = {
		"%a, %d %b %Y %H:%M:%S GMT",
		"%A, %d-%b-%y %H:%M:%S GMT",
		"%a %b %e %H:%M:%S %Y",
	};
	size_t i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct civil c = { 0 };
		const char *p = s;

		if (scan(&p, forms[i], &c) == 0 && *p == '\0')
			return to_seconds(&c, out);
	}
	return -1;
}
