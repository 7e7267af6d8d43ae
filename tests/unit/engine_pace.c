/* SPDX-License-Identifier: ISC */
/* Who goes first at a CA, and who may be spread (protocol M6, Q7). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/engine/engine.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"

#define T0   INT64_C(1796083200)
#define HOUR INT64_C(3600)
#define DAY  (24 * HOUR)

static struct conf_ca cas[] = { { .name = "one",
    .directory = "https://one/dir" } };
static const uint32_t first[] = { 0 };
static const char *const idents[] = { "a.example" };
static struct conf_cert confs[] = { { .name = "a",
    .idents = idents,
    .n_idents = 1,
    .cas = first,
    .n_cas = 1 } };
static struct conf conf = {
	.cas = cas, .n_cas = 1, .certs = confs, .n_certs = 1
};
static struct engine en = { .conf = &conf };

static int
setup(void **state)
{
	(void)state;
	clock_fake(T0);
	en.ahead_s = 0;
	return 0;
}

/* So much of its lifetime is left, in 1/1000. */
static struct cert
lives(int64_t life, int64_t permille)
{
	struct cert c = { .conf = &confs[0],
		.wants = cert_wants(&conf, &confs[0]),
		.order_ca = CONF_NONE };

	c.have.version = 1;
	c.have.ca = "one";
	c.have.made_for = c.wants;
	c.have.not_after = T0 + life * permille / 1000;
	c.have.not_before = c.have.not_after - life;
	return c;
}

static struct cert
is_new(uint32_t crowd)
{
	struct cert c = lives(DAY, 0);

	c.have = (struct issued){ 0 };
	c.crowd = crowd;
	return c;
}

static struct cert
changed(int64_t life, int64_t permille)
{
	struct cert c = lives(life, permille);

	c.have.made_for.key ^= 1;
	return c;
}

static struct cert
recalled(int64_t life, int64_t permille)
{
	struct cert c = lives(life, permille);

	c.window.start = T0 - 2;
	c.window.end = T0 - 1;
	return c;
}

static struct cert
asked_for(uint32_t asked)
{
	struct cert c = lives(90 * DAY, 900);

	c.forced = true;
	c.asked = asked;
	return c;
}

static struct cert
checked(uint32_t asked)
{
	struct cert c = is_new(0);

	c.check = ISSUE_CHECK;
	c.asked = asked;
	return c;
}

static void
who_goes_first(void **state)
{
	struct cert order[] = {
		checked(3),
		asked_for(2),
		asked_for(1),
		lives(90 * DAY, -10), /* has ended */
		lives(6 * DAY, 20),
		lives(90 * DAY, 124),
		changed(
		    90 * DAY, 124 + 1), /* as wanted now, and behind that: */
		lives(90 * DAY, 130),
		lives(6 * DAY, 240),
		lives(90 * DAY, 249),
		lives(2 * DAY, 450), /* which is not spread */
		lives(90 * DAY, 260),
		lives(90 * DAY, 330),
	};
	struct cert crowded = is_new(7), alone = is_new(0);
	struct cert change = changed(90 * DAY, 900);
	struct cert recall = recalled(90 * DAY, 900);
	int64_t last = INT64_MIN, at;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(order); i++) {
		at = pace_urgency(&en, &order[i], false);
		if (at <= last)
			fail_msg("the one before %zu is not before it", i);
		last = at;
	}
	/* new names: the crowd's first, all behind what is about to end */
	at = pace_urgency(&en, &crowded, false);
	assert_true(at > pace_urgency(&en, &order[5], false));
	assert_true(at < pace_urgency(&en, &alone, false));
	assert_true(pace_urgency(&en, &alone, false) <
		    pace_urgency(&en, &order[6], false));
	crowded.crowd = UINT32_MAX;
	assert_true(pace_urgency(&en, &crowded, false) >
		    pace_urgency(&en, &order[5], false));
	/* but where they are only because another CA has too much */
	assert_true(pace_urgency(&en, &crowded, true) > last);
	assert_true(pace_urgency(&en, &order[12], true) == last);
	/* who wants it now does not wait for who has time */
	at = pace_urgency(&en, &order[7], false);
	assert_true(pace_urgency(&en, &change, false) < at);
	assert_true(pace_urgency(&en, &recall, false) < at);
	/* among equals, as the configuration has them */
	alone.index = 1;
	change = is_new(0);
	assert_true(pace_urgency(&en, &change, false) <
		    pace_urgency(&en, &alone, false));
}

/* By the CA's clock. */
static void
by_whose_clock(void **state)
{
	struct cert c = lives(90 * DAY, 124), d = lives(90 * DAY, 260);
	int64_t before = pace_urgency(&en, &c, false);

	(void)state;
	assert_true(pace_applies(&en, &d));
	en.ahead_s = DAY;
	assert_true(pace_urgency(&en, &c, false) < before);
	assert_false(pace_applies(&en, &d));
}

static void
who_is_spread(void **state)
{
	struct cert c = lives(90 * DAY, 250);

	(void)state;
	assert_true(pace_applies(&en, &c));
	c.forced = true;
	assert_false(pace_applies(&en, &c));
	c = lives(90 * DAY, 250);
	c.check = ISSUE_CHECK;
	assert_false(pace_applies(&en, &c));
	/* what has begun ends: nothing more is asked of it */
	c = lives(90 * DAY, 250);
	c.begun = T0;
	assert_false(pace_applies(&en, &c));
	/* its own waits spread it */
	c = lives(90 * DAY, 250);
	c.issue_trouble.failures = 1;
	assert_false(pace_applies(&en, &c));
	c = lives(90 * DAY, 249);
	assert_false(pace_applies(&en, &c));
	c = lives(2 * DAY, 500);
	assert_false(pace_applies(&en, &c));
	c = lives(2 * DAY + 1000, 500);
	assert_true(pace_applies(&en, &c));
	c = changed(90 * DAY, 900);
	assert_false(pace_applies(&en, &c));
	c = is_new(0);
	assert_false(pace_applies(&en, &c));
}

/* An hour's share, and of that a twentieth at once. */
static void
how_many(void **state)
{
	struct ca_queue q = { .per_hour = 200 };
	unsigned n;

	(void)state;
	for (n = 0; pace_when(&q) == 0; n++)
		pace_take(&q);
	assert_in_range(n, 10, 11);
	assert_in_range(pace_when(&q), T0 + 1, T0 + 19);
	clock_fake_advance_ms(18 * 1000);
	assert_int_equal(pace_when(&q), 0);
	clock_fake_advance_ms(HOUR * 1000);
	for (n = 0; pace_when(&q) == 0; n++)
		pace_take(&q);
	assert_in_range(n, 10, 11);
	/* by a clock that was an hour ahead, and more */
	clock_fake(T0 - HOUR);
	assert_int_equal(pace_when(&q), 0);
}

/* All there are in half a day, or three times what they take by themselves. */
static void
what_is_learned(void **state)
{
	static struct cert certs[3000];
	struct ca_queue q = { .engine = &en };
	static const struct {
		uint32_t n;
		int64_t life;
		uint32_t max_orders, per_hour, places;
	} t[] = {
		{ 10, 90 * DAY, 0, 120, 8 },
		{ 3000, 90 * DAY, 0, 250, 8 },
		{ 100, HOUR, 0, 600, 8 },
		{ 400, HOUR, 0, 2400, 20 },
		{ 3000, HOUR, 0, 18000, 64 },
		{ 3000, HOUR, 2, 18000, 2 },
	};
	size_t i, k;

	(void)state;
	en.cas = &q;
	en.certs.all = certs;
	for (i = 0; i < NELEM(t); i++) {
		for (k = 0; k < t[i].n; k++)
			certs[k] = lives(t[i].life, 500);
		en.certs.n = t[i].n;
		cas[0].max_orders = t[i].max_orders;
		pace_learn(&en);
		assert_int_equal(q.per_hour, t[i].per_hour);
		assert_int_equal(q.places, t[i].places);
	}
	cas[0].max_orders = 0;
	en.cas = NULL;
	en.certs.n = 0;
}

/* When an hour is too long to find out that it ends. */
static void
late_at(void **state)
{
	struct cert c = lives(HOUR, 500);
	int64_t at = c.have.not_after - HOUR / 8 + 1;
	int64_t early = pace_urgency(&en, &c, false);

	(void)state;
	assert_int_equal(pace_late_at(&en, &c), at);
	en.ahead_s = 60;
	assert_int_equal(pace_late_at(&en, &c), at - 60);
	en.ahead_s = 0;
	/* and not a second before it */
	clock_fake(at - 1);
	assert_true(pace_urgency(&en, &c, false) > 0);
	clock_fake(at);
	assert_true(pace_urgency(&en, &c, false) < 0);
	assert_true(pace_urgency(&en, &c, false) < early);
	assert_int_equal(pace_late_at(&en, &c), INT64_MAX);
	clock_fake(T0);
	c = lives(31 * HOUR, 500);
	assert_true(pace_late_at(&en, &c) < INT64_MAX);
	c = lives(33 * HOUR, 500);
	assert_int_equal(pace_late_at(&en, &c), INT64_MAX);
	c = is_new(0);
	assert_int_equal(pace_late_at(&en, &c), INT64_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(who_goes_first, setup),
		cmocka_unit_test_setup(by_whose_clock, setup),
		cmocka_unit_test_setup(who_is_spread, setup),
		cmocka_unit_test_setup(how_many, setup),
		cmocka_unit_test_setup(what_is_learned, setup),
		cmocka_unit_test_setup(late_at, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
