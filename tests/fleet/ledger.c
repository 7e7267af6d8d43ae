/* SPDX-License-Identifier: ISC */
/*
 * What is true of each certificate, whatever the engine believes, and what
 * must not happen to it: only a name that does not validate, or a time in
 * which nobody could have done better, excuses a late renewal.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "tests/fleet/fleet.h"

#define SHOWN_MAX 20
/* A name that is mended is tried again a day later, +- 20 %, and first at the
 * test CA (protocol Q1, M5). */
#define MENDED_S (30 * HOUR)
#define SLOW_S   (12 * HOUR)
#define RECALL_S DAY
/* Renewals of an hour, of the fleet: pace.c promises 1/12, and lets 1/20 of an
 * hour's share go at once; what is late or has failed before is not paced. */
#define HOUR_PERMILLE 90
#define LEAST         280 /* pace.c's own, and its burst, at both CAs */
#define IDEAL_PERCENT 3
#define WASTE_PERCENT 1
#define FIRST_PERCENT 1
#define FIRST_S       (12 * HOUR)

struct record *records;
struct totals totals;

void
violation(const char *fmt, ...)
{
	char when[CLOCK_RFC3339_MAX];
	va_list ap;

	/* what is summed up in the end is always shown */
	if (totals.violations++ >= SHOWN_MAX && !totals.ended)
		return;
	clock_format(world_now(), when);
	printf("VIOLATION %s: ", when);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

bool
ledger_bad(const struct record *r, int64_t t)
{
	return (r->bad_from[0] <= t && t < r->bad_to[0]) ||
	       (r->bad_from[1] <= t && t < r->bad_to[1]);
}

/* Half of its life when that is less than ten days, else two thirds. */
static int64_t
ideal_s(const struct record *r)
{
	return r->life < 10 * DAY ? r->life / 2 : r->life / 3 * 2;
}

void
ledger_window(const struct record *r, int64_t *start, int64_t *end)
{
	int64_t wide = r->life < 10 * DAY ? r->life / 100 : DAY;
	int64_t middle = r->from + ideal_s(r);

	if (r->revoked) {
		*start = world_now() - HOUR;
		*end = *start + HOUR / 2;
		return;
	}
	*start = middle - wide;
	*end = middle + wide;
}

enum excuse { NO_EXCUSE, BAD_NAME, OUTAGE };

/* Why it may not have been renewed at t yet, having been due then. */
static enum excuse
excuse_since(const struct record *r, int64_t due, int64_t t)
{
	const struct conf_cert *cc = &the_engine->conf->certs[r - records];
	int64_t out = NEVER, host;
	uint32_t i;

	for (i = 0; i < 2; i++) {
		int64_t mended =
		    r->bad_to[i] + MENDED_S + (r->slow ? SLOW_S : 0);

		if (r->bad_from[i] <= t &&
		    (r->bad_to[i] == NEVER ||
			t < mended + ca_missing(r->ca, r->bad_to[i], t) +
				ca_missing(ca_host(), r->bad_to[i], t)))
			return BAD_NAME;
	}
	for (i = 0; i < cc->n_cas; i++) {
		int64_t n = ca_missing(cc->cas[i], due, t);

		out = n < out ? n : out;
	}
	host = ca_missing(ca_host(), due, t);
	return 2 * (out + host) >= t - due ? OUTAGE : NO_EXCUSE;
}

static enum excuse
excuse(const struct record *r, int64_t t)
{
	return excuse_since(r, r->from + ideal_s(r), t);
}

static void
judge(const struct record *r, int64_t now)
{
	int64_t late = r->to - r->life / 8, host;
	const char *name = the_engine->conf->certs[r - records].name;
	enum excuse why;

	if (now <= late)
		return;
	why = excuse(r, late);
	totals.late_name += why == BAD_NAME;
	totals.late_outage += why == OUTAGE;
	if (why == NO_EXCUSE)
		violation(
		    "%s: below 1/8 of its lifetime for no good reason", name);
	if (now <= r->to)
		return;
	host = ca_missing(ca_host(), r->to - r->life / 2, r->to);
	if (excuse(r, r->to) == BAD_NAME && excuse(r, now) == BAD_NAME)
		totals.expired_name++;
	else if (host > r->life / 8)
		totals.expired_off++;
	else
		violation("%s: EXPIRED for no good reason", name);
}

static void
count_left(const struct record *r, int64_t now)
{
	int64_t left = r->to <= now ? 0 : (r->to - now) * 1000 / r->life;
	unsigned alarm = 0;

	totals.left[r->klass][left]++;
	if (left < 125 || (r->to - now < DAY && r->life > 10 * DAY))
		alarm = ALARM_CRITICAL;
	else if (left < 250)
		alarm = ALARM_WARN;
	else if (left < 333)
		alarm = ALARM_INFO;
	totals.alarms[alarm]++;
}

static void
replaced(struct record *r, uint32_t ca, int64_t now)
{
	int64_t took = now - totals.recall_at;

	if (r->revoked) {
		totals.recalled++;
		if (excuse_since(r, totals.recall_at, now) == NO_EXCUSE) {
			if (took > totals.slowest_recall)
				totals.slowest_recall = took;
			if (took > RECALL_S)
				violation("a recalled one after %d h",
				    (int)(took / HOUR));
		}
	} else {
		totals.replaced++;
		totals.ideal += (double)(now - r->from) / (double)ideal_s(r);
	}
	count_left(r, now);
	judge(r, now);
	totals.failovers += ca != r->ca;
	r->replaced = r->serial;
}

static void
first(struct record *r, int64_t now)
{
	uint32_t i;

	r->first = now;
	totals.first++;
	if (excuse(r, now) == BAD_NAME)
		return;
	if (the_engine->conf->certs[r - records].n_cas > 1 &&
	    now > totals.last_listed)
		totals.last_listed = now;
	if (now <= totals.last_first)
		return;
	totals.last_first = now;
	for (i = 0; i < the_engine->conf->n_cas; i++)
		if (ca_kind(i) == CA_LETSENCRYPT)
			totals.counted_first = ca_stats(i)->counted;
}

void
ledger_issued(uint32_t cert, uint32_t ca, int64_t from, int64_t to)
{
	struct record *r = &records[cert];
	int64_t now = world_now(), days = (to - from + HOUR) / DAY;

	if (r->to != 0) {
		replaced(r, ca, now);
	} else {
		first(r, now);
	}
	r->from = from;
	r->to = to;
	r->life = to - from;
	r->serial++;
	r->ca = ca;
	r->revoked = false;
	r->klass = ca_kind(ca) == CA_OTHER ? K_OTHER
		   : days >= 90            ? K_90
		   : days >= 64            ? K_64
		   : days >= 45            ? K_45
					   : K_6;
	totals.issued[r->klass]++;
}

void
ledger_recall(unsigned permille)
{
	uint32_t i;

	totals.recall_at = world_now();
	for (i = 0; i < opts.certs; i++)
		if (records[i].to > world_now() &&
		    ca_kind(records[i].ca) == CA_LETSENCRYPT &&
		    chance(1000) < permille)
			records[i].revoked = true;
}

void
ledger_daily(void)
{
	uint32_t i;

	for (i = 0; the_engine->started && i < opts.certs; i++) {
		const struct cert *c = &the_engine->certs.all[i];

		totals.daily_alarms[cert_alarm(the_engine, c)]++;
		totals.daily_waits += c->waits != NULL;
	}
}

static void
each_ca(void)
{
	static const char *const what[REFUSED__COUNT] = { "new orders",
		"per domain", "per names", "failures", "paused", "replaces" };
	uint64_t orders = 0, failed = 0, issued = 0, polls = 0, turns;
	uint32_t i;
	unsigned k;

	for (i = 0; i < the_engine->conf->n_cas; i++) {
		const struct ca_stats *s = ca_stats(i);

		for (k = 0; k < REFUSED__COUNT; k++)
			if (s->refused[k] != 0)
				violation("%s: limit broken %ju times: %s",
				    the_engine->conf->cas[i].name,
				    (uintmax_t)s->refused[k], what[k]);
		polls += s->polls;
		if (ca_kind(i) == CA_STAGING)
			continue;
		orders += s->orders;
		failed += s->failed;
		issued += s->issued;
	}
	/* a look at a window is two timers, a renewal a handful */
	turns = 2 * polls + 60 * orders + (uint64_t)opts.span_s / 60;
	if (sim_turns() > turns)
		violation("%ju timers ran, more than %ju",
		    (uintmax_t)sim_turns(), (uintmax_t)turns);
	if (orders - failed > issued + issued * WASTE_PERCENT / 100)
		violation("%ju orders for %ju certificates, %ju failed",
		    (uintmax_t)orders, (uintmax_t)issued, (uintmax_t)failed);
}

uint32_t
ledger_hour(int64_t hour, bool hasty)
{
	uint32_t i, sum = 0;

	for (i = 0; i < the_engine->conf->n_cas; i++) {
		const struct ca_stats *s = ca_stats(i);

		if (ca_kind(i) != CA_STAGING)
			sum += hasty ? s->hasty[hour]
				     : s->hours[hour] - s->hasty[hour];
	}
	return sum;
}

static void
each_hour(void)
{
	uint32_t most = opts.certs * HOUR_PERMILLE / 1000, n = 0;
	int64_t h;

	most = most < LEAST ? LEAST : most;
	for (h = 0; h < opts.span_s / HOUR; h++)
		n += ledger_hour(h, false) > most;
	if (n != 0)
		violation("%u hours with more than %u renewals", n, most);
}

/* How long the domain with the most names takes, if none goes elsewhere. */
static int64_t
domains_s(void)
{
	const struct conf *conf = the_engine->conf;
	uint32_t i, n = 0, most = 0;

	for (i = 0; i < opts.certs; i++) {
		const struct conf_cert *cc = &conf->certs[i];

		if (i % (10 * BLOCK) == 0)
			n = 0;
		n += i % 10 == 3 && ca_kind(cc->cas[0]) == CA_LETSENCRYPT;
		most = n > most ? n : most;
	}
	return most <= 50 ? 0 : (most - 50) * INT64_C(12096);
}

/* Each order that counted until then, failed ones too, took 36 s of the
 * account's; what is longer than that is time in which it stood full. */
static void
first_ones(void)
{
	int64_t domains = domains_s(), ideal;

	ideal = ((int64_t)totals.counted_first - 300) * 36;
	ideal = ideal > domains ? ideal : domains;
	totals.ideal_first = ideal;
	if (totals.last_first - world_start() >
	    ideal + ideal * FIRST_PERCENT / 100 + FIRST_S)
		violation("the last first one came after %d h, not %d h",
		    (int)((totals.last_first - world_start()) / HOUR),
		    (int)(ideal / HOUR));
}

/* The other CA alone could issue all that may go there, behind its own, at 36 s
 * each. */
static void
first_listed(void)
{
	const struct conf *conf = the_engine->conf;
	int64_t ideal = 0;
	uint32_t i;

	for (i = 0; i < opts.certs; i++)
		ideal += conf->certs[i].n_cas > 1 ||
				 ca_kind(conf->certs[i].cas[0]) == CA_OTHER
			     ? 36
			     : 0;
	if (totals.last_listed - world_start() > ideal + FIRST_S)
		violation("of those with another CA, the last first one came "
			  "after %d h, not %d h",
		    (int)((totals.last_listed - world_start()) / HOUR),
		    (int)(ideal / HOUR));
}

void
ledger_end(void)
{
	int64_t now = world_now();
	double ratio;
	uint32_t i;

	for (i = 0; i < opts.certs; i++) {
		const struct record *r = &records[i];

		if (r->to != 0)
			judge(r, now);
		else if (excuse(r, now) != BAD_NAME)
			violation("%s: never issued",
			    the_engine->conf->certs[i].name);
	}
	totals.ended = true;
	each_ca();
	each_hour();
	first_ones();
	first_listed();
	ratio = totals.ideal == 0 ? 1 : (double)totals.replaced / totals.ideal;
	if (ratio < 1 - IDEAL_PERCENT / 100.0 ||
	    ratio > 1 + IDEAL_PERCENT / 100.0)
		violation("%.4f of the renewals that had to be", ratio);
}

/* One in 200 never validates, one in 100 not for weeks, twice. */
static void
make_bad(struct record *r)
{
	uint64_t span =
	    (uint64_t)(opts.span_s > 90 * DAY ? opts.span_s - 80 * DAY : DAY);
	uint64_t luck = chance(1000);
	unsigned i;

	if (luck < 5) {
		r->bad_from[0] =
		    world_start() + (luck < 2 ? 0 : (int64_t)chance(span));
		r->bad_to[0] = NEVER;
	} else if (luck < 15) {
		for (i = 0; i < 2; i++) {
			r->bad_from[i] = world_start() + (int64_t)chance(span);
			r->bad_to[i] = r->bad_from[i] + 14 * DAY +
				       (int64_t)chance(28 * DAY);
		}
	}
}

static bool
is_short(const struct conf_cert *cc)
{
	return cc->profile != NULL && strcmp(cc->profile, "shortlived") == 0;
}

int
ledger_open(struct err *e)
{
	uint32_t i;

	records = aligned_alloc(64, (opts.certs + 1) * sizeof(*records));
	if (records == NULL)
		return err_nomem(e, "ledger");
	memset(records, 0, (opts.certs + 1) * sizeof(*records));
	for (i = 0; i < opts.certs; i++) {
		make_bad(&records[i]);
		/* for one of six days, hours after an outage are too long */
		records[i].slow =
		    chance(100) == 0 && !is_short(&the_engine->conf->certs[i]);
	}
	return 0;
}

void
ledger_close(void)
{
	free(records);
	records = NULL;
}
