/* SPDX-License-Identifier: ISC */
/*
 * fleet [-v] [--certs N] [--years Y] [--seed S] [--max-orders N]
 *	[--broken renewals|limits|pace|queues]
 *
 * Exits with 1 when something happened that must not; with --broken, when
 * nothing did.
 */

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/rnd.h"
#include "tests/fleet/fleet.h"

#define START_MS      INT64_C(1000000) /* sim_time_reset() */
#define SPIN_MAX      1000000          /* timers at one instant */
#define BROKEN_DAY    100
#define RECALL_DAY    500
#define RECALL_SHARE  100 /* in 1000 */
#define LONG_OUTAGE_S (3 * DAY)
#define QUIET_S       (8 * DAY) /* around the long ones */
#define CALENDAR_MAX  4096

struct fleet_opts opts = { .certs = 10000, .span_s = 3 * 365 * DAY, .seed = 1 };

static uint64_t chance_state;

/* xorshift64*: another one than the engine's. */
uint64_t
chance(uint64_t below)
{
	chance_state ^= chance_state >> 12;
	chance_state ^= chance_state << 25;
	chance_state ^= chance_state >> 27;
	return (chance_state * UINT64_C(2685821657736338717) >> 11) % below;
}

int64_t
world_now(void)
{
	return SIM_START + (sim_ms() - START_MS) / 1000;
}

int64_t
world_start(void)
{
	return SIM_START;
}

/* The calendar */

enum happening { RESTART, OFF, ON, CLOCK, RECALL, STOP_FOR_GOOD, A_DAY };

struct entry {
	int64_t at;
	enum happening what;
	int64_t by; /* CLOCK: so far from the truth */
};

static struct entry calendar[CALENDAR_MAX];
static size_t n_entries;

static void
plan(int64_t day, enum happening what, int64_t by)
{
	int64_t at = SIM_START + day * DAY + (int64_t)chance(20 * 3600);

	if (n_entries < CALENDAR_MAX)
		calendar[n_entries++] = (struct entry){ at, what, by };
}

static int
by_instant(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* Days on which something long happens. */
static const int long_outages[] = { 210, 790 };

static bool
is_quiet(int64_t t)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		int64_t day = SIM_START + long_outages[i] * DAY;

		if (t > day - QUIET_S && t < day + LONG_OUTAGE_S + QUIET_S)
			return true;
	}
	return false;
}

/* Minutes each week, hours each month; half of them in the CA's own words. */
static void
plan_outages(uint32_t ca)
{
	int64_t t, end = SIM_START + opts.span_s, len;
	unsigned week;

	for (week = 0, t = SIM_START + DAY; t < end; week++, t += 7 * DAY) {
		int64_t from = t + (int64_t)chance(6 * 86400);

		len = week % 4 == 2 ? HOUR + (int64_t)chance(5 * 3600)
				    : 120 + (int64_t)chance(1200);
		if (!is_quiet(from))
			ca_add_outage(ca, from, from + len,
			    week % 2 == 0 ? -1 : 60 + (int64_t)chance(7200));
	}
}

/* Nobody renews anything meanwhile. */
static void
plan_off(int64_t day, int64_t days)
{
	int64_t from = SIM_START + day * DAY;

	if (opts.broken == BROKEN_RENEWALS)
		return;
	calendar[n_entries++] = (struct entry){ from, OFF, 0 };
	calendar[n_entries++] = (struct entry){ from + days * DAY, ON, 0 };
	ca_add_outage(ca_host(), from, from + days * DAY, -1);
}

static void
plan_all(void)
{
	int64_t day, days = opts.span_s / DAY;
	uint32_t i;
	size_t k;

	for (i = 0; i < the_engine->conf->n_cas; i++)
		plan_outages(i);
	for (k = 0; k < 2; k++) {
		int64_t from = SIM_START + long_outages[k] * DAY;

		for (i = 0; i < the_engine->conf->n_cas; i++)
			if (ca_kind(i) != CA_OTHER)
				ca_add_outage(i, from, from + LONG_OUTAGE_S,
				    k == 0 ? -1 : 4 * HOUR);
	}
	/* the clock is wrong from the start of the first day on */
	plan(0, CLOCK, 40 * DAY);
	plan(1, CLOCK, 0);
	for (day = 50; day < days - 30; day += 110) {
		plan(day, RESTART, 0);
		plan(day + 20, CLOCK, day % 20 == 0 ? 40 * DAY : -2 * DAY);
		plan(day + 21, CLOCK, 0);
	}
	plan_off(330, 2);
	plan_off(900, 12);
	plan(RECALL_DAY, RECALL, 0);
	if (opts.broken == BROKEN_RENEWALS)
		plan(BROKEN_DAY, STOP_FOR_GOOD, 0);
	for (day = 1; day < days; day++)
		plan(day, A_DAY, 0);
	qsort(calendar, n_entries, sizeof(calendar[0]), by_instant);
}

/* Nobody is forgotten; all are looked at once a day. */
static void
check_places(const char *(*check)(const struct engine *))
{
	const char *bad = sim_busy() ? NULL : check(the_engine);

	if (bad != NULL)
		violation("forgotten: %s", bad);
}

static void
run_until(int64_t t)
{
	int64_t until = START_MS + (t - SIM_START) * 1000, at = -1;
	unsigned spins = 0;

	while (sim_step(until)) {
		check_places(sim_stuck);
		spins = sim_ms() == at ? spins + 1 : 0;
		at = sim_ms();
		if (spins == SPIN_MAX)
			errx(1, "a hot loop at %lld s of the run",
			    (long long)(world_now() - SIM_START));
	}
}

static void
start_engine(void)
{
	struct err e;

	if (world_engine_start(&e) == -1)
		errx(1, "%s", e.what);
	totals.restarts++;
}

static void
carry_out(const struct entry *en)
{
	bool on = the_engine->started;

	switch (en->what) {
	case RESTART:
		if (!on)
			return;
		world_engine_stop();
		start_engine();
		return;
	case OFF:
	case STOP_FOR_GOOD:
		if (on)
			world_engine_stop();
		return;
	case ON:
		start_engine();
		return;
	case CLOCK:
		totals.jumps++;
		sim_wall(world_now() + en->by);
		return;
	case RECALL:
		ledger_recall(RECALL_SHARE);
		return;
	case A_DAY:
		check_places(sim_forgotten);
		ledger_daily();
		return;
	}
}

static void
run(void)
{
	size_t i;

	start_engine();
	for (i = 0; i < n_entries; i++) {
		if (calendar[i].at >= SIM_START + opts.span_s)
			break;
		run_until(calendar[i].at);
		carry_out(&calendar[i]);
	}
	run_until(SIM_START + opts.span_s);
	ledger_end();
}

/* Arguments */

static const char *
value_of(int argc, char **argv, int *i)
{
	if (++*i == argc)
		errx(2, "%s: what?", argv[*i - 1]);
	return argv[*i];
}

static enum breakage
breakage_of(const char *s)
{
	if (strcmp(s, "renewals") == 0)
		return BROKEN_RENEWALS;
	if (strcmp(s, "limits") == 0)
		return BROKEN_LIMITS;
	if (strcmp(s, "pace") == 0)
		return BROKEN_PACE;
	if (strcmp(s, "queues") == 0)
		return BROKEN_QUEUES;
	errx(2, "--broken renewals, limits, pace or queues, not %s", s);
}

static void
read_args(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		const char *a = argv[i];

		if (strcmp(a, "--certs") == 0)
			opts.certs = (uint32_t)strtoul(
			    value_of(argc, argv, &i), NULL, 10);
		else if (strcmp(a, "--years") == 0)
			opts.span_s =
			    (int64_t)(strtod(value_of(argc, argv, &i), NULL) *
				      365 * (double)DAY);
		else if (strcmp(a, "--seed") == 0)
			opts.seed =
			    strtoull(value_of(argc, argv, &i), NULL, 10);
		else if (strcmp(a, "--max-orders") == 0)
			opts.max_orders = (uint32_t)strtoul(
			    value_of(argc, argv, &i), NULL, 10);
		else if (strcmp(a, "--broken") == 0)
			opts.broken = breakage_of(value_of(argc, argv, &i));
		else if (strcmp(a, "-v") == 0)
			opts.verbose = true;
		else
			errx(2, "usage: fleet [-v] [--certs N] [--years Y] "
				"[--seed S] [--max-orders N] "
				"[--broken renewals|limits|pace|queues]");
	}
	if (opts.certs < 1 || opts.span_s < DAY || opts.span_s > 30 * 365 * DAY)
		errx(2, "at least one certificate, and a day to 30 years");
}

int
main(int argc, char **argv)
{
	struct err e;
	clock_t cpu;

	read_args(argc, argv);
	chance_state = opts.seed * 2 + 1;
	rnd_seed(opts.seed);
	log_init(
	    "fleet", opts.verbose ? LOG_L_WARN : (enum log_level)0, LOG_F_TEXT);
	sim_time_reset();
	if (world_open(&e) == -1 || ledger_open(&e) == -1 || ca_open(&e) == -1)
		errx(1, "%s", e.what);
	plan_all();
	cpu = clock();
	run();
	report((double)(clock() - cpu) / CLOCKS_PER_SEC);
	if (the_engine->started)
		world_engine_stop();
	ca_close();
	ledger_close();
	world_close();
	return (totals.violations == 0) == (opts.broken == BROKEN_NOT) ? 0 : 1;
}
