/* SPDX-License-Identifier: ISC */
/* Which CA of a list is asked next (protocol N2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/engine/failover.h"
#include "daemon/engine/schedule.h"
#include "lib/acme/problem.h"
#include "lib/base/cleanup.h"

#define T0   INT64_C(1796083200)
#define HOUR INT64_C(3600)
#define DAY  (24 * HOUR)

static const uint32_t list[] = { 4, 2, 7 };
static struct conf_cert confs = { .name = "a", .cas = list, .n_cas = 3 };
static struct conf_ca cas[8];
static const struct conf conf = { .failover_after = 3, .cas = cas };
static struct cert c;
static struct decision d;
static struct err e;

static int
setup(void **state)
{
	(void)state;
	c = (struct cert){ .conf = &confs, .order_ca = CONF_NONE };
	c.have = (struct issued){ .version = 1,
		.not_before = T0 - 30 * DAY,
		.not_after = T0 + 60 * DAY };
	confs.n_cas = 3;
	confs.has_ip = false;
	cas[2].directory = "https://acme.zerossl.com/v2/DV90";
	return 0;
}

/* An attempt at the CA that is next fails like that. */
static unsigned
left(void)
{
	return schedule_left(c.have.not_before, c.have.not_after, T0);
}

static bool
fails(enum err_kind kind, unsigned problem, int64_t said)
{
	struct policy_in in = { .err = &e,
		.where = WHERE_ORDER,
		.failures = 1,
		.alike = 1,
		.not_before = c.have.not_before,
		.not_after = c.have.not_after,
		.now = T0 };

	(void)err_set(&e, kind, 400, "x");
	e.problem = problem;
	e.retry_after_s = said;
	policy_decide(&in, &d);
	return failover_after(&conf, &c, &d, left(), T0);
}

static void
after_so_many(void **state)
{
	(void)state;
	assert_int_equal(failover_ca(&c), 4);
	assert_false(fails(ERR_PROTO, 0, -1));
	assert_false(fails(ERR_PROTO, 0, -1));
	assert_int_equal(failover_ca(&c), 4);
	c.rehearse = true;
	c.rehearsed = 2;
	assert_true(fails(ERR_PROTO, 0, -1));
	assert_int_equal(failover_ca(&c), 2);
	/* at once, and as with nothing behind it */
	assert_in_range(d.until, T0 + 1, T0 + 31);
	assert_int_equal(c.ca_failures, 0);
	assert_false(c.rehearse);
	assert_int_equal(c.rehearsed, 0);
	failover_reset(&c);
	assert_int_equal(failover_ca(&c), 4);
}

/* Every one has had its turn: no faster than the ladder. */
static void
round_again(void **state)
{
	(void)state;
	assert_true(fails(ERR_PROBLEM, PROBLEM_CAA, -1));
	assert_int_equal(failover_ca(&c), 2);
	assert_false(d.operator);
	assert_true(fails(ERR_PROBLEM, PROBLEM_CAA, -1));
	assert_int_equal(failover_ca(&c), 7);
	assert_true(fails(ERR_PROBLEM, PROBLEM_CAA, -1));
	assert_int_equal(failover_ca(&c), 4);
	assert_in_range(d.until, T0 + 48, T0 + 72);
	assert_true(d.operator);
}

/* A CA that would refuse is not one of those that have a turn. */
static void
passed_over(void **state)
{
	struct breaker b = { .until = INT64_MAX, .since = T0 };

	(void)state;
	confs.has_ip = true;
	assert_true(fails(ERR_PROBLEM, PROBLEM_CAA, -1));
	assert_int_equal(failover_ca(&c), 7);
	assert_true(fails(ERR_PROBLEM, PROBLEM_CAA, -1));
	assert_int_equal(failover_ca(&c), 4);
	assert_true(failover_blocked(&conf, &c, &b, left(), T0));
	assert_int_equal(failover_ca(&c), 7);
	failover_reset(&c);
	confs.n_cas = 2;
	assert_false(fails(ERR_PROBLEM, PROBLEM_CAA, -1));
	assert_false(failover_blocked(&conf, &c, &b, left(), T0));
	assert_int_equal(failover_ca(&c), 4);
	assert_true(d.operator);
}

static void
only_one(void **state)
{
	unsigned i;

	(void)state;
	confs.n_cas = 1;
	for (i = 0; i < 9; i++)
		assert_false(fails(ERR_PROBLEM, PROBLEM_CAA, -1));
	assert_int_equal(failover_ca(&c), 4);
	assert_true(d.operator);
}

/* With less than a quarter of the lifetime left there is no time to lose. */
static void
short_of_time(void **state)
{
	(void)state;
	c.have.not_after = T0 + 10 * DAY + 1;
	assert_false(fails(ERR_PROTO, 0, -1));
	c.have.not_after = T0 + 9 * DAY;
	assert_true(fails(ERR_PROTO, 0, -1));
	/* nor to think of whether it is only this CA that does not want it */
	failover_reset(&c);
	assert_true(fails(ERR_PROBLEM, PROBLEM_MALFORMED, -1));
	failover_reset(&c);
	assert_true(fails(ERR_HTTP, 0, -1));
	failover_reset(&c);
	assert_false(fails(ERR_PROBLEM, PROBLEM_RATE_LIMITED, HOUR));
	/* but without any, a first try may fail */
	failover_reset(&c);
	c.have = (struct issued){ 0 };
	assert_false(fails(ERR_PROTO, 0, -1));
}

/* What would fail anywhere. */
static void
never(void **state)
{
	static const unsigned p[] = { PROBLEM_DNS, PROBLEM_CONNECTION,
		PROBLEM_TLS, PROBLEM_INCORRECT_RESPONSE };
	unsigned i, k;

	(void)state;
	c.have.not_after = T0 + DAY;
	for (i = 0; i < NELEM(p); i++)
		for (k = 0; k < 9; k++)
			assert_false(fails(ERR_PROBLEM, p[i], -1));
	assert_false(fails(ERR_SYS, 0, -1));
	assert_int_equal(failover_ca(&c), 4);
	assert_int_equal(c.ca_failures, 0);
}

static void
limits(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 9; i++)
		assert_false(
		    fails(ERR_PROBLEM, PROBLEM_RATE_LIMITED, 2 * HOUR));
	assert_int_equal(failover_ca(&c), 4);
	assert_true(fails(ERR_PROBLEM, PROBLEM_RATE_LIMITED, 9 * DAY));
	assert_int_equal(failover_ca(&c), 2);
	assert_in_range(d.until, T0 + 1, T0 + 31);
}

/* A limit of the first has it go to the second: the first has not failed. */
static void
instead(void **state)
{
	(void)state;
	c.ca_failures = 1;
	failover_instead(&c, 1, "too many");
	assert_int_equal(failover_ca(&c), 2);
	assert_string_equal(c.instead, "too many");
	assert_int_equal(c.ca_failures, 0);
	/* it will not: back, at once, and not there again for a day */
	assert_true(fails(ERR_PROBLEM, PROBLEM_CAA, -1));
	assert_int_equal(failover_ca(&c), 4);
	assert_null(c.instead);
	assert_in_range(d.until, T0 + 1, T0 + 31);
	assert_false(d.operator);
	assert_int_equal(failover_open(&c, 2), T0 + DAY);
	assert_int_equal(failover_said(&c, 2), 0); /* as for all else */
	/* nor longer than it says itself, which outcome.c notes */
	failover_instead(&c, 2, "too many");
	assert_true(fails(ERR_PROBLEM, PROBLEM_RATE_LIMITED, 9 * DAY));
	assert_int_equal(failover_ca(&c), 4);
	assert_int_equal(failover_open(&c, 7), 0);
	failover_note_said(&c, 7, T0 + HOUR, T0);
	assert_int_equal(failover_open(&c, 7), T0 + HOUR);
	assert_int_equal(failover_said(&c, 7), T0 + HOUR);
	/* what it fails with there, and would anywhere, it fails with there */
	failover_instead(&c, 1, "too many");
	assert_false(fails(ERR_PROBLEM, PROBLEM_DNS, -1));
	assert_int_equal(failover_ca(&c), 2);
	/* the first one is not asked instead of itself */
	failover_instead(&c, 0, "too many");
	assert_null(c.instead);
	failover_instead(&c, 1, "too many");
	failover_reset(&c);
	assert_null(c.instead);
	free(c.said);
}

static void
patience(void **state)
{
	static const struct issued none;

	(void)state;
	assert_int_equal(failover_patience(&none, 0, T0), HOUR);
	assert_int_equal(failover_patience(&c.have, left(), T0), 60 * DAY / 8);
	c.have.not_after = T0 + 10 * DAY + 1;
	assert_int_equal(
	    failover_patience(&c.have, left(), T0), (10 * DAY + 1) / 8);
	/* less than a quarter, none, and of a life of minutes */
	c.have.not_after = T0 + 9 * DAY;
	assert_int_equal(failover_patience(&c.have, left(), T0), 60);
	c.have.not_after = T0 - 1;
	assert_int_equal(failover_patience(&c.have, left(), T0), 60);
	c.have.not_before = T0 - 120;
	c.have.not_after = T0 + 120;
	assert_int_equal(failover_patience(&c.have, left(), T0), 60);
}

/* A new name that failed by itself stays; one that is in service does not. */
static void
stays(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; policy_row(i) != NULL; i++) {
		c.have.version = 0;
		c.issue_trouble.row = policy_row(i)->name;
		assert_int_equal(failover_stays(&c),
		    strcmp(policy_row(i)->name, "dns") == 0 ||
			strcmp(policy_row(i)->name, "connection") == 0 ||
			strcmp(policy_row(i)->name, "tls") == 0 ||
			strcmp(policy_row(i)->name, "incorrectResponse") == 0 ||
			strcmp(policy_row(i)->name, "unauthorized") == 0);
		c.have.version = 1;
		assert_false(failover_stays(&c));
	}
	c.have.version = 0;
	c.issue_trouble.row = NULL;
	assert_false(failover_stays(&c));
}

/* Failures that count need not come one right after the other. */
static void
others_between(void **state)
{
	(void)state;
	assert_false(fails(ERR_PROTO, 0, -1));
	assert_false(fails(ERR_PROBLEM, PROBLEM_DNS, -1));
	assert_false(fails(ERR_PROTO, 0, -1));
	assert_false(fails(ERR_PROBLEM, PROBLEM_DNS, -1));
	assert_true(fails(ERR_PROTO, 0, -1));
}

/* The CA as a whole */

static bool
blocked(int64_t until, int64_t since, unsigned counted)
{
	struct breaker b = { .until = until,
		.since = since,
		.failures = counted,
		.counted = counted };

	c.ca_at = 0;
	return failover_blocked(&conf, &c, &b, left(), T0);
}

static void
ca_in_trouble(void **state)
{
	(void)state;
	assert_false(blocked(0, T0 - DAY, 9)); /* it is being tried */
	/* for hours, and often enough, by what is the CA's */
	assert_false(blocked(T0 + 60, T0 - 2 * HOUR + 1, 9));
	assert_false(blocked(T0 + 60, T0 - 2 * HOUR, 2));
	assert_true(blocked(T0 + 60, T0 - 2 * HOUR, 3));
	assert_int_equal(failover_ca(&c), 2);
	/* or for a day, by what may be our network */
	assert_false(blocked(T0 + 60, T0 - DAY + 1, 0));
	assert_true(blocked(T0 + 60, T0 - DAY, 0));
	/* a person must act there */
	assert_true(blocked(INT64_MAX, T0, 0));
	/* no time to lose */
	c.have.not_after = T0 + 9 * DAY;
	assert_false(blocked(T0 + 60, T0 - 100, 2));
	assert_true(blocked(T0 + 60, T0 - 100, 3));
	assert_false(blocked(T0 + 60, T0 - 2 * HOUR + 1, 0));
	assert_true(blocked(T0 + 60, T0 - 2 * HOUR, 0));
	c.have = (struct issued){ 0 };
	assert_false(blocked(T0 + 60, T0 - 100, 2));
	assert_true(blocked(T0 + 60, T0 - 100, 3));
	confs.n_cas = 1;
	assert_false(blocked(INT64_MAX, T0, 0));
}

/* An order that may be finalized by now is not left; a pending one is. */
static void
order_under_way(void **state)
{
	static char url[] = "https://ca/order/1", key[] = "k";

	(void)state;
	c.order_url = url;
	assert_true(blocked(INT64_MAX, T0, 0));
	assert_true(blocked(T0 + 60, T0 - DAY, 0));
	c.order_key = key;
	assert_false(blocked(T0 + 60, T0 - DAY, 0));
	/* until a person acts nobody can have it */
	assert_true(blocked(INT64_MAX, T0, 0));
	c.rehearsal = true;
	assert_true(blocked(T0 + 60, T0 - DAY, 0));
}

#define T(fn) cmocka_unit_test_setup(fn, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(after_so_many),
		T(round_again),
		T(passed_over),
		T(only_one),
		T(short_of_time),
		T(never),
		T(limits),
		T(others_between),
		T(instead),
		T(patience),
		T(stays),
		T(ca_in_trouble),
		T(order_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
