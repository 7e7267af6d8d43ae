/* SPDX-License-Identifier: ISC */
/* How long a CA in trouble is left alone (protocol Q8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/engine/breaker.h"
#include "lib/base/cleanup.h"
#include "lib/base/rnd.h"

#define T0  INT64_C(1796083200)
#define DAY INT64_C(86400)

/* 30 s, 1, 2, 5, then 10 min, +- 20 %. */
static void
ever_longer(void **state)
{
	static const int64_t waits[] = { 30, 60, 120, 300, 600, 600, 600 };
	int64_t now, least, most;
	struct breaker b;
	unsigned i, seed;

	(void)state;
	for (i = 0; i < NELEM(waits); i++) {
		least = INT64_MAX;
		most = 0;
		for (seed = 0; seed < 300; seed++) {
			b = (struct breaker){ .failures = i, .since = T0 };
			rnd_seed(seed);
			assert_true(breaker_trip(&b, -1, true, T0));
			now = b.until - T0;
			least = now < least ? now : least;
			most = now > most ? now : most;
			assert_int_equal(b.failures, i + 1);
		}
		assert_in_range(
		    least, waits[i] * 80 / 100, waits[i] * 85 / 100);
		assert_in_range(
		    most, waits[i] * 115 / 100, waits[i] * 120 / 100);
	}
}

/* Many requests that meet the same outage count for one. */
static void
one_trouble_counts_once(void **state)
{
	struct breaker b = { 0 };
	int64_t until;

	(void)state;
	assert_true(breaker_trip(&b, -1, true, T0));
	until = b.until;
	assert_int_equal(b.since, T0);
	assert_false(breaker_trip(&b, -1, true, T0 + 1));
	assert_false(breaker_trip(&b, 0, true, T0 + 1));
	assert_false(breaker_trip(&b, 5, true, T0 + 1));
	assert_int_equal(b.until, until);
	assert_int_equal(b.failures, 1);
	assert_int_equal(b.counted, 1);
	/* but a longer wait that the CA asks for is taken */
	assert_true(breaker_trip(&b, 3600, true, T0 + 2));
	assert_int_equal(b.until, T0 + 3602);
	assert_int_equal(b.failures, 1);
	assert_int_equal(b.since, T0);
}

static void
one_probe_after_the_wait(void **state)
{
	struct breaker b = { 0 };

	(void)state;
	assert_false(breaker_probing(&b));
	(void)breaker_trip(&b, -1, true, T0);
	assert_false(breaker_probing(&b));
	breaker_try(&b);
	assert_int_equal(b.until, 0);
	assert_true(breaker_probing(&b));
	assert_true(breaker_trip(&b, -1, true, T0 + 40));
	assert_int_equal(b.failures, 2);
	assert_int_equal(b.since, T0); /* of the first */
	/* what was under way when it opened does not close it */
	breaker_ok(&b);
	assert_int_equal(b.failures, 2);
	assert_true(b.until > T0 + 40);
	breaker_try(&b);
	breaker_ok(&b);
	assert_false(breaker_probing(&b));
	assert_int_equal(b.failures, 0);
	assert_int_equal(b.since, 0);
	assert_int_equal(b.counted, 0);
}

static void
as_the_ca_says(void **state)
{
	struct breaker b = { 0 };

	(void)state;
	(void)breaker_trip(&b, 7200, true, T0);
	assert_int_equal(b.until, T0 + 7200);
	/* up to a day */
	b = (struct breaker){ 0 };
	(void)breaker_trip(&b, 400 * DAY, true, T0);
	assert_int_equal(b.until, T0 + DAY);
	/* and not less than we would wait */
	b = (struct breaker){ 0 };
	(void)breaker_trip(&b, 1, true, T0);
	assert_in_range(b.until, T0 + 24, T0 + 36);
}

/* N2: our own network's troubles say nothing of the CA. */
static void
what_counts(void **state)
{
	struct breaker b = { 0 };
	unsigned i;

	(void)state;
	for (i = 0; i < 6; i++) {
		assert_true(breaker_trip(&b, -1, i % 3 == 0, T0 + i * 1000));
		breaker_try(&b);
	}
	assert_int_equal(b.failures, 6);
	assert_int_equal(b.counted, 2);
}

static void
until_a_person_acts(void **state)
{
	struct breaker b = { 0 };

	(void)state;
	breaker_stop(&b, T0);
	assert_int_equal(b.until, INT64_MAX);
	assert_int_equal(b.since, T0);
	assert_false(breaker_trip(&b, 3600, true, T0 + 5));
	breaker_ok(&b);
	assert_int_equal(b.until, INT64_MAX);
	breaker_stop(&b, T0 + 9);
	assert_int_equal(b.since, T0);
	breaker_try(&b);
	assert_true(breaker_probing(&b));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ever_longer),
		cmocka_unit_test(one_trouble_counts_once),
		cmocka_unit_test(one_probe_after_the_wait),
		cmocka_unit_test(as_the_ca_says),
		cmocka_unit_test(what_counts),
		cmocka_unit_test(until_a_person_acts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
