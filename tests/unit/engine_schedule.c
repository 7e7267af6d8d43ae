/* SPDX-License-Identifier: ISC */
/* When: renewal instants, the ladder, the clock, alarms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/engine/schedule.h"
#include "lib/base/cleanup.h"
#include "lib/base/rnd.h"

#define MINUTE INT64_C(60)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define T0     INT64_C(1796083200)

/* K4, J5: a third of the lifetime, half of it under ten days. */
static void
due_is_a_fraction(void **state)
{
	(void)state;
	assert_int_equal(schedule_due(T0, T0 + 90 * DAY), T0 + 60 * DAY);
	assert_int_equal(schedule_due(T0, T0 + 45 * DAY), T0 + 30 * DAY);
	assert_int_equal(schedule_due(T0, T0 + 160 * HOUR), T0 + 80 * HOUR);
	assert_int_equal(schedule_due(T0, T0 + 120), T0 + 60);
	assert_int_equal(
	    schedule_due(T0, T0 + 10 * DAY), T0 + 10 * DAY - 10 * DAY / 3);
	assert_int_equal(schedule_due(T0, T0 + 10 * DAY - 2), T0 + 5 * DAY - 1);
}

/* Q7: within 1 % of the lifetime to either side, and not always the same. */
static void
pick_spreads(void **state)
{
	int64_t least = INT64_MAX, most = 0, at, due = T0 + 60 * DAY;
	unsigned i;

	(void)state;
	rnd_seed(1);
	for (i = 0; i < 2000; i++) {
		at = schedule_pick(T0, T0 + 90 * DAY, T0 + 5);
		least = at < least ? at : least;
		most = at > most ? at : most;
	}
	assert_in_range(least, due - 90 * DAY / 100, due - 85 * DAY / 100);
	assert_in_range(most, due + 85 * DAY / 100, due + 90 * DAY / 100);
	/* lives too short for a spread */
	assert_int_equal(schedule_pick(T0, T0 + 50, T0), T0 + 25);
	assert_int_equal(schedule_pick(T0, T0, T0), T0);
}

/* A CA's certificate of before, or dated back: what is left is its lifetime. */
static void
due_when_issued(void **state)
{
	int64_t at;
	unsigned i;

	(void)state;
	rnd_seed(1);
	for (i = 0; i < 500; i++) {
		at = schedule_pick(T0 - 70 * DAY, T0 + 20 * DAY, T0);
		assert_in_range(at, T0 + 13 * DAY, T0 + 14 * DAY);
		/* due in a moment is due */
		at = schedule_pick(T0 - 60 * DAY - 5, T0 + 30 * DAY, T0);
		assert_in_range(at, T0 + 19 * DAY, T0 + 21 * DAY);
		at = schedule_pick(T0 - 89 * DAY, T0 + 40, T0);
		assert_int_equal(at, T0 + 20);
	}
	/* what is over, and what is still to come */
	assert_true(schedule_pick(T0 - 90 * DAY, T0 - DAY, T0) < T0);
	assert_true(schedule_pick(T0 + DAY, T0 + 91 * DAY, T0) > T0 + 60 * DAY);
	/* and no window makes that earlier */
	assert_int_equal(schedule_renew_at(T0 - 70 * DAY, T0 + 20 * DAY,
			     T0 + 13 * DAY, T0 + 19 * DAY),
	    T0 + 13 * DAY);
}

/* J3: uniform in the window, both ends included. */
static void
in_the_window(void **state)
{
	unsigned seen[5] = { 0 }, i, quarters[4] = { 0 };
	int64_t at;

	(void)state;
	rnd_seed(1);
	for (i = 0; i < 500; i++) {
		at = schedule_in_window(T0, T0 + 4);
		assert_in_range(at, T0, T0 + 4);
		seen[at - T0]++;
	}
	for (i = 0; i < 5; i++)
		assert_in_range(seen[i], 70, 130);
	for (i = 0; i < 4000; i++)
		quarters[(schedule_in_window(T0, T0 + 2 * DAY) - T0) * 4 /
			 (2 * DAY + 1)]++;
	for (i = 0; i < 4; i++)
		assert_in_range(quarters[i], 900, 1100);
	/* a window of centuries does not run over */
	assert_in_range(
	    schedule_in_window(T0, INT64_C(1) << 40), T0, INT64_C(1) << 40);
}

/* J5: what the CA says makes it earlier, or a little later; never too late. */
static void
the_ca_says(void **state)
{
	int64_t end = T0 + 80 * DAY, mine = T0 + 53 * DAY;

	(void)state;
	assert_int_equal(schedule_renew_at(T0, end, mine, 0), mine);
	assert_int_equal(schedule_renew_at(T0, end, mine, T0 + 5), T0 + 5);
	assert_int_equal(
	    schedule_renew_at(T0, end, mine, T0 - 90 * DAY), T0 - 90 * DAY);
	assert_int_equal(
	    schedule_renew_at(T0, end, mine, mine + 5 * DAY), mine + 5 * DAY);
	/* a quarter of the lifetime is left */
	assert_int_equal(
	    schedule_renew_at(T0, end, mine, T0 + 60 * DAY), T0 + 60 * DAY);
	assert_int_equal(
	    schedule_renew_at(T0, end, mine, T0 + 60 * DAY + 1), T0 + 60 * DAY);
	assert_int_equal(
	    schedule_renew_at(T0, end, mine, end + DAY), T0 + 60 * DAY);
	/* J14: 160 hours and a window of 3.2 h */
	assert_int_equal(schedule_renew_at(T0, T0 + 160 * HOUR, T0 + 80 * HOUR,
			     T0 + 81 * HOUR),
	    T0 + 81 * HOUR);
}

static void
backoff_within(unsigned n, int64_t life, int64_t wait)
{
	int64_t least = INT64_MAX, most = 0, at;
	unsigned i;

	rnd_seed(n);
	for (i = 0; i < 500; i++) {
		at = schedule_backoff(
		    n, life == 0 ? 0 : T0, life == 0 ? 0 : T0 + life, T0 + 10);
		least = at < least ? at : least;
		most = at > most ? at : most;
	}
	assert_in_range(least, wait * 80 / 100, wait * 85 / 100);
	assert_in_range(most, wait * 115 / 100, wait * 120 / 100);
}

/* Q1: 1 min, 10 min, 100 min, then lifetime / 40 within 1 h and 24 h. */
static void
ladder(void **state)
{
	(void)state;
	backoff_within(1, 0, MINUTE);
	backoff_within(2, 0, 10 * MINUTE);
	backoff_within(3, 0, 100 * MINUTE);
	backoff_within(4, 0, DAY);
	backoff_within(1000000, 0, DAY);
	backoff_within(4, 90 * DAY, DAY);
	backoff_within(4, 45 * DAY, DAY);
	backoff_within(4, 160 * HOUR, 4 * HOUR);
	backoff_within(4, 30 * HOUR, HOUR);
	/* the cap holds on every rung */
	backoff_within(3, 30 * HOUR, HOUR);
	backoff_within(2, 2 * HOUR, 10 * MINUTE);
	/* K4: of a short life a tenth, for the first ten after its end too */
	backoff_within(2, HOUR, 6 * MINUTE);
	backoff_within(4, HOUR, 6 * MINUTE);
	backoff_within(4, 10 * HOUR, HOUR);
	backoff_within(2, 3 * MINUTE, MINUTE);
	backoff_within(1000000, 3 * MINUTE, MINUTE);
	backoff_within(4, 5, MINUTE);
	backoff_within(10, 5, MINUTE);
	/* then there is no hurry any more */
	backoff_within(11, 5, DAY);
}

static void
what_decides(void **state)
{
	struct schedule_in in = { .have = true, .renew_at = T0 + DAY };

	(void)state;
	assert_int_equal(schedule_when(&in, T0), T0 + DAY);
	in.not_before_attempt = T0 + 2 * DAY;
	assert_int_equal(schedule_when(&in, T0), T0 + 2 * DAY);
	/* J13: other names, or an order under way: now, but for the back-off */
	in.changed = true;
	assert_int_equal(schedule_when(&in, T0), T0 + 2 * DAY);
	in.not_before_attempt = T0 - 5;
	assert_int_equal(schedule_when(&in, T0), T0);
	in.changed = false;
	in.ordering = true;
	assert_int_equal(schedule_when(&in, T0), T0);
	in.ordering = false;
	in.have = false;
	assert_int_equal(schedule_when(&in, T0), T0);
	/* Q2: an operator passes over it */
	in.not_before_attempt = T0 + 9 * DAY;
	in.forced = true;
	assert_int_equal(schedule_when(&in, T0), T0);
}

/* Q5 */
static void
clock_is_sane(void **state)
{
	(void)state;
	assert_false(schedule_clock_sane(0, 0));
	assert_false(schedule_clock_sane(INT64_C(1600000000), 0));
	assert_true(schedule_clock_sane(T0, 0));
	assert_true(schedule_clock_sane(T0, T0 + HOUR));
	assert_false(schedule_clock_sane(T0, T0 + HOUR + 1));
	assert_true(schedule_clock_sane(T0 + 100 * 365 * DAY, T0));
}

static void
what_is_left(void **state)
{
	(void)state;
	assert_int_equal(schedule_left(0, 0, T0), 0);
	assert_int_equal(schedule_left(T0, T0 + DAY, T0 - 5), 1000);
	assert_int_equal(schedule_left(T0, T0 + 1000, T0 + 250), 750);
	assert_int_equal(schedule_left(T0, T0 + 1000, T0 + 1000), 0);
	assert_int_equal(schedule_left(T0, T0 + 1000, T0 + 5000), 0);
	assert_true(schedule_left(T0, T0 + 90 * DAY, T0 + 60 * DAY) <
		    schedule_left(T0, T0 + 6 * DAY, T0 + 3 * DAY));
}

/* Q9 */
static void
alarms(void **state)
{
	int64_t end = T0 + 80 * DAY;

	(void)state;
	assert_int_equal(schedule_alarm(0, 0, T0), ALARM_NONE);
	assert_int_equal(schedule_alarm(T0, end, T0), ALARM_NONE);
	assert_int_equal(schedule_alarm(T0, end, end - 27 * DAY), ALARM_NONE);
	assert_int_equal(schedule_alarm(T0, end, end - 26 * DAY), ALARM_INFO);
	assert_int_equal(schedule_alarm(T0, end, end - 19 * DAY), ALARM_WARN);
	assert_int_equal(
	    schedule_alarm(T0, end, end - 9 * DAY), ALARM_CRITICAL);
	assert_int_equal(schedule_alarm(T0, end, end + DAY), ALARM_CRITICAL);
	/* the last day of a long life, but not of one of hours */
	end = T0 + 11 * DAY;
	assert_int_equal(
	    schedule_alarm(T0, end, end - 23 * HOUR), ALARM_CRITICAL);
	end = T0 + 2 * DAY;
	assert_int_equal(schedule_alarm(T0, end, end - 23 * HOUR), ALARM_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(due_is_a_fraction),
		cmocka_unit_test(pick_spreads),
		cmocka_unit_test(due_when_issued),
		cmocka_unit_test(in_the_window),
		cmocka_unit_test(the_ca_says),
		cmocka_unit_test(ladder),
		cmocka_unit_test(what_decides),
		cmocka_unit_test(clock_is_sane),
		cmocka_unit_test(what_is_left),
		cmocka_unit_test(alarms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
