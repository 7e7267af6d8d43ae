/* SPDX-License-Identifier: ISC */
/*
 * Who goes first at a CA.  Renewals that have time are spread, so that what a
 * long downtime or one evening's first start has put together does not come
 * back together for ever, nor all at once to a CA (protocol M6, Q7).  What has
 * no certificate, has been changed, or has less than a quarter of its lifetime
 * left does not wait; nor does what lives so shortly that a quarter would be
 * over meanwhile.
 */

#include <stdlib.h>

#include "daemon/engine/engine.h"
#include "daemon/engine/failover.h"
#include "daemon/engine/schedule.h"
#include "lib/base/clock.h"

#define HOUR           INT64_C(3600)
#define HOUR_MS        (HOUR * 1000)
#define LEAST          120 /* an hour */
#define WHOLE_H        12  /* hours for all there are */
#define ATTEMPT_S      30  /* as long as one takes, about */
#define PLACES_MIN     8
#define PLACES_MAX     64
#define ROOM           3  /* times what even renewals would take */
#define BURST          20 /* of an hour's share: 1 in so many, at once */
#define SHORT_PERMILLE 250
#define LATE           125000 /* of the lifetime left, in 1/1000000 */
#define SPREAD         250000 /* more of it: it may wait for its turn */
#define SHORT_LIFE     (4 * WHOLE_H * HOUR)
#define HASTY          (4 * HOUR) /* in which an hour is much */
/* In front of what is left of a lifetime */
#define ASKED (INT64_C(1) << 30)
#define OVER  (INT64_C(1) << 29)
/* Behind it */
#define LAST INT64_C(1000001)

/* What the configuration does not say is as many as that hour's share takes. */
static uint32_t
places(const struct conf_ca *ca, uint32_t per_hour)
{
	uint32_t n = per_hour / (HOUR / ATTEMPT_S);

	if (ca->max_orders != 0)
		return ca->max_orders;
	return n < PLACES_MIN ? PLACES_MIN : n > PLACES_MAX ? PLACES_MAX : n;
}

void
pace_learn(struct engine *en)
{
	double *steady = calloc(en->conf->n_cas + 1, sizeof(*steady));
	uint32_t *n = calloc(en->conf->n_cas + 1, sizeof(*n));
	uint32_t i;

	for (i = 0; steady != NULL && n != NULL && i < en->certs.n; i++) {
		const struct cert *c = &en->certs.all[i];
		const struct issued *h = &c->have;
		uint32_t ca = failover_ca(c);

		n[ca]++;
		if (h->version != 0)
			steady[ca] +=
			    (double)HOUR /
			    (double)(schedule_due(h->not_before, h->not_after) -
				     h->not_before);
	}
	for (i = 0; i < en->conf->n_cas; i++) {
		/* without memory it stays what it was */
		uint32_t all = n == NULL ? 0 : n[i] / WHOLE_H;
		uint32_t even =
		    steady == NULL ? 0 : (uint32_t)(steady[i] * ROOM);
		struct ca_queue *q = &en->cas[i];

		all = all < LEAST ? LEAST : all;
		all = all < even ? even : all;
		if ((n != NULL && steady != NULL) || q->per_hour == 0)
			q->per_hour = all;
		q->places = places(&en->conf->cas[i], q->per_hour);
	}
	free(steady);
	free(n);
}

bool
pace_applies(const struct engine *en, const struct cert *c)
{
	const struct issued *h = &c->have;

	return h->version != 0 && !c->forced && c->check == 0 &&
	       h->not_after - h->not_before > SHORT_LIFE && !cert_ordering(c) &&
	       c->issue_trouble.failures == 0 &&
	       schedule_left(h->not_before, h->not_after, engine_now(en)) >=
		   SHORT_PERMILLE &&
	       cert_changed(en->conf, c->conf, &c->wants, h) == CHANGE_NONE;
}

static int64_t
each_ms(const struct ca_queue *q)
{
	return HOUR_MS / (q->per_hour == 0 ? LEAST : q->per_hour);
}

int64_t
pace_when(const struct ca_queue *q)
{
	int64_t now = clock_now_ms();
	int64_t when = q->pace_full_ms - HOUR_MS / BURST;

	/* what is far ahead was put there by a clock that was wrong */
	return when <= now || when > now + HOUR_MS ? 0 : (when + 999) / 1000;
}

void
pace_take(struct ca_queue *q)
{
	int64_t now = clock_now_ms();

	q->pace_full_ms =
	    (q->pace_full_ms > now ? q->pace_full_ms : now) + each_ms(q);
}

/* By its CA, or by who changed the configuration: not behind what has time. */
static bool
is_wanted_now(const struct engine *en, const struct cert *c)
{
	return cert_recalled(c, engine_now(en)) ||
	       cert_changed(en->conf, c->conf, &c->wants, &c->have) !=
		   CHANGE_NONE;
}

/* What an operator waits for goes first, the latest of it in front; then what
 * has ended or is about to, then what is new, then what ends first; at last
 * what is new and here only because another CA has too much. */
static int64_t
urgency(const struct engine *en, const struct cert *c, bool instead)
{
	const struct issued *h = &c->have;
	int64_t now = engine_now(en), left;

	if (c->forced || c->check != 0)
		return -ASKED - (int64_t)c->asked;
	if (h->version == 0 && instead)
		return LAST;
	if (h->version == 0)
		return c->crowd < OVER - LATE ? -(int64_t)c->crowd
					      : LATE - OVER;
	if (h->not_after <= now)
		return -OVER;
	left = (h->not_after - now) * 1000000 / (h->not_after - h->not_before);
	if (left < LATE)
		return left - OVER;
	if (is_wanted_now(en, c))
		return LATE;
	/* never behind one that is to be spread */
	return pace_applies(en, c) || left < SPREAD ? left : SPREAD - 1;
}

int64_t
pace_late_at(const struct engine *en, const struct cert *c)
{
	const struct issued *h = &c->have;
	int64_t late = (h->not_after - h->not_before) * LATE / 1000000;
	int64_t at = h->not_after - late + 1 - en->ahead_s;

	return h->version != 0 && late < HASTY && at > clock_now() ? at
								   : INT64_MAX;
}

/* Alike, as the configuration has them, which is what plan.c foretells. */
int64_t
pace_urgency(const struct engine *en, const struct cert *c, bool instead)
{
	return urgency(en, c, instead) * (INT64_C(1) << 32) + c->index;
}
