/* SPDX-License-Identifier: ISC */
/* What came of it, in numbers. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "tests/fleet/fleet.h"

static void
lifetimes(void)
{
	static const char *const names[K__COUNT] = { "90 days", "64 days",
		"45 days", "160 h", "other CA" };
	static const unsigned percent[] = { 0, 1, 10, 50, 90, 99, 100 };
	unsigned k, p, i;

	printf("\nlifetime    issued    left at renewal, 1/1000 of it\n"
	       "                       least   1%%  10%%  50%%  90%%  99%%  "
	       "most\n");
	for (k = 0; k < K__COUNT; k++) {
		uint64_t sum = 0, seen = 0;

		printf("%-10s %8" PRIu64 "   ", names[k], totals.issued[k]);
		for (i = 0; i <= 1000; i++)
			sum += totals.left[k][i];
		for (p = i = 0; sum != 0 && p < 7; p++) {
			while (seen == 0 ||
			       (seen < sum && seen * 100 < sum * percent[p]))
				seen += totals.left[k][i++];
			printf(" %4u", i - 1);
		}
		printf("\n");
	}
}

static int
by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The hours' orders, sorted; the caller frees. */
static uint32_t *
sorted_hours(size_t n, bool hasty)
{
	uint32_t *all = calloc(n, sizeof(*all));
	size_t i;

	if (all == NULL)
		abort();
	for (i = 0; i < n; i++)
		all[i] = ledger_hour((int64_t)i, hasty);
	qsort(all, n, sizeof(*all), by_number);
	return all;
}

static void
percentiles(const char *what, const uint32_t *all, size_t n)
{
	static const unsigned permille[] = { 500, 900, 990, 999, 1000 };
	size_t k;

	printf("%-28s", what);
	for (k = 0; k < sizeof(permille) / sizeof(permille[0]); k++)
		printf(" %5u", all[(n - 1) * permille[k] / 1000]);
	printf("   (%.2f%% of the fleet)\n", all[n - 1] * 100.0 / opts.certs);
}

static void
hours(void)
{
	static const unsigned edges[] = { 1, 5, 10, 20, 50, 100, 200, 500, 1000,
		2000, 5000, UINT32_MAX };
	size_t n = (size_t)(opts.span_s / HOUR), i, k, from = 0;
	uint32_t *spread = sorted_hours(n, false);
	uint32_t *hasty = sorted_hours(n, true);

	printf("\norders an hour                50%%   90%%   99%% 99.9%%  "
	       "most\n");
	percentiles("renewals that are spread", spread, n);
	percentiles("first ones, and in haste", hasty, n);
	for (k = 0; k < sizeof(edges) / sizeof(edges[0]); k++) {
		for (i = from; i < n && spread[i] < edges[k];)
			i++;
		if (i != from && edges[k] != UINT32_MAX)
			printf("  below %5u spread ones: %6zu hours\n",
			    edges[k], i - from);
		from = i;
	}
	free(spread);
	free(hasty);
}

static void
each_ca(void)
{
	uint32_t i;

	printf("\nCA                     orders  in window  renewals   failed"
	       "   issued      polls\n");
	for (i = 0; i < the_engine->conf->n_cas; i++) {
		const struct ca_stats *s = ca_stats(i);

		printf("%-20s %8" PRIu64 "   %8" PRIu64 "  %8" PRIu64
		       " %8" PRIu64 " %8" PRIu64 " %10" PRIu64 "\n",
		    the_engine->conf->cas[i].name, s->orders, s->exempt,
		    s->again, s->failed, s->issued, s->polls);
	}
}

void
report(double cpu_s)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	printf("%u certificates, %.2f years, seed %ju\n", opts.certs,
	    (double)opts.span_s / (365.0 * DAY), (uintmax_t)opts.seed);
	lifetimes();
	hours();
	each_ca();
	printf("\nfirst ones: %" PRIu64 ", the last after %.1f h (by the "
	       "limits %.1f h), of those with another CA after %.1f h\n",
	    totals.first, (double)(totals.last_first - world_start()) / HOUR,
	    (double)totals.ideal_first / HOUR,
	    (double)(totals.last_listed - world_start()) / HOUR);
	printf("renewals: %" PRIu64 ", at their best instant %.0f; recalled "
	       "%" PRIu64 ", the slowest after %.1f h; other CA %" PRIu64 "\n",
	    totals.replaced, totals.ideal, totals.recalled,
	    (double)totals.slowest_recall / HOUR, totals.failovers);
	printf("level at renewal: none %" PRIu64 ", info %" PRIu64
	       ", warning %" PRIu64 ", critical %" PRIu64 "\n",
	    totals.alarms[0], totals.alarms[1], totals.alarms[2],
	    totals.alarms[3]);
	printf("days of a level: none %" PRIu64 ", info %" PRIu64
	       ", warning %" PRIu64 ", critical %" PRIu64
	       "; waiting for a limit %" PRIu64 "\n",
	    totals.daily_alarms[0], totals.daily_alarms[1],
	    totals.daily_alarms[2], totals.daily_alarms[3], totals.daily_waits);
	printf("below 1/8: the name %" PRIu64 ", outages %" PRIu64
	       "; expired: the name %" PRIu64 ", this host off %" PRIu64 "\n",
	    totals.late_name, totals.late_outage, totals.expired_name,
	    totals.expired_off);
	printf("starts %" PRIu64 ", clock set %" PRIu64 ", timers %ju\n",
	    totals.restarts, totals.jumps, (uintmax_t)sim_turns());
	printf("CPU %.1f s, memory %ld MB\n", cpu_s, u.ru_maxrss / 1024);
	printf("%u violations\n", totals.violations);
}
