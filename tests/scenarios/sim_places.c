/* SPDX-License-Identifier: ISC */
/*
 * Whether somebody is forgotten: a certificate that is in no place, or in one
 * from which nothing takes it any more.  What is here is thought out once
 * more, and not asked of the engine's own functions.
 */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/engine/failover.h"
#include "daemon/engine/session_int.h"
#include "lib/base/clock.h"
#include "tests/scenarios/sim.h"

#define HOUR_MS INT64_C(3600000)
#define LIMIT_S                                                      \
	(8 * INT64_C(86400)) /* the longest that a budget has refill \
			      */
#define ROUND_S 1            /* instants are seconds, timers are not */
#define NEWS_S  61 /* by less the clock may be off, and nobody is moved */

static char found[512];

static const char *__attribute__((format(printf, 2, 3)))
wrong(const struct cert *c, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	(void)snprintf(found, sizeof(found), "%s%s%s",
	    c == NULL ? "" : c->conf->name, c == NULL ? "" : ": ", what);
	return found;
}

static bool
armed(const struct loop_timer *t, int64_t within_ms)
{
	int64_t ms = sim_due_ms(t);

	return ms >= 0 && ms <= within_ms;
}

/* The wall clock shows t then, and a moment. */
static int64_t
until_ms(int64_t t)
{
	int64_t s = t - clock_now();

	return (s < 0 ? ROUND_S : s + ROUND_S) * 1000;
}

static bool
is_at(const struct heap *h, const struct heap_item *it)
{
	return it->pos >= 1 && it->pos <= h->n &&
	       h->slots[it->pos].item == it && h->slots[it->pos].key == it->key;
}

/* Asleep */

/* By what is in memory now. */
static int64_t
due(const struct engine *en, const struct cert *c)
{
	int64_t t = cert_renew_at(c) - en->ahead_s;

	if (c->forced || c->check != 0)
		return 0;
	if (cert_ordering(c) ||
	    cert_changed(en->conf, c->conf, &c->wants, &c->have) != CHANGE_NONE)
		t = 0;
	return t > c->issue_trouble.next ? t : c->issue_trouble.next;
}

static const char *
check_asleep(const struct engine *en, const struct cert *c)
{
	int64_t now = clock_now(), said = failover_said(c, c->queue);

	if (!is_at(&en->sleeping, &c->sleep))
		return wrong(c, "asleep, but not where it says");
	if (en->clock_bad || sim_due_ms(en->all_timer) >= 0 ||
	    c->sleep.key <= now + ROUND_S ||
	    c->sleep.key <= due(en, c) + NEWS_S)
		return NULL;
	if (c->waits == NULL)
		return wrong(c, "asleep for %" PRId64 " s, due in %" PRId64,
		    c->sleep.key - now, due(en, c) - now);
	return c->sleep.key <= now + LIMIT_S || c->sleep.key <= said
		   ? NULL
		   : wrong(c, "waits %" PRId64 " s for %s", c->sleep.key - now,
			 c->waits);
}

/* Queued */

/* Something lets the queue go on, or a person has to. */
static const char *
check_queue(const struct engine *en, const struct ca_queue *q)
{
	const struct breaker *b = session_breaker(q->session);
	uint32_t places = breaker_probing(b) ? 1 : q->places;
	const char *why;

	if (q->ready.n == 0 && q->limited.n == 0)
		return NULL;
	if (session_blocked(q->session, &why) == INT64_MAX && why[0] != '\0')
		return NULL;
	if (b->until != 0 || en->clock_bad || q->active >= places ||
	    sim_due_ms(q->timer) >= 0 || sim_due_ms(en->all_timer) >= 0 ||
	    en->probe != NULL)
		return NULL;
	return wrong(NULL, "%s: nothing takes up those that wait",
	    session_ca(q->session)->name);
}

static const char *
check_session(const struct session *s)
{
	if (s->breaker.until != 0 && s->breaker.until != INT64_MAX &&
	    !armed(s->retry, until_ms(s->breaker.until)))
		return wrong(NULL,
		    "%s: blocked for %" PRId64 " s, tried in %" PRId64 " ms",
		    s->ca->name, s->breaker.until - clock_now(),
		    sim_due_ms(s->retry));
	if (s->budget_changed && s->budget_op == NULL &&
	    sim_due_ms(s->budget_timer) < 0)
		return wrong(NULL, "%s: budget not saved", s->ca->name);
	if (s->state == SESSION_PREPARING && s->dir_call == NULL &&
	    s->key_op == NULL && s->account_ask == NULL &&
	    TAILQ_EMPTY(&s->saves))
		return wrong(NULL, "%s: nobody makes it ready", s->ca->name);
	return NULL;
}

/* Another CA of its list is well. */
static bool
has_another(const struct engine *en, const struct cert *c)
{
	uint32_t i;

	for (i = 0; i < c->conf->n_cas; i++)
		if (failover_refusal(en->conf, c, i) == NULL &&
		    session_breaker(en->cas[c->conf->cas[i]].session)->since ==
			0)
			return true;
	return false;
}

static const char *
check_queued(const struct engine *en, const struct cert *c)
{
	const struct ca_queue *q = &en->cas[c->queue];

	if (!is_at(c->limited ? &q->limited : &q->ready, &c->ready))
		return wrong(c, "queued, but not where it says");
	/* what was finalized there may be issued by now */
	if (session_blocked(q->session, NULL) == INT64_MAX &&
	    c->order_key == NULL && has_another(en, c))
		return wrong(c, "waits where a person has to act");
	return NULL;
}

/* What is to come beside issuing */

static const char *
check_window(const struct engine *en, const struct cert *c)
{
	if (c->look.pos != 0)
		return is_at(&en->looks, &c->look) &&
			       c->look.key == c->window.next
			   ? NULL
			   : wrong(c, "its window: not where it says");
	return c->looking != NULL || c->have.version == 0 ||
		       c->have.ari_id == NULL || en->clock_bad ||
		       c->have.not_after <= engine_now(en) ||
		       sim_due_ms(en->all_timer) >= 0
		   ? NULL
		   : wrong(c, "its window is never asked for again");
}

static const char *
check_reload(const struct engine *en, const struct cert *c)
{
	const struct reload_group *g;
	uint32_t i;

	if (c->deploy != DEPLOY_RELOAD || c->issue != NULL)
		return NULL;
	g = &en->groups[c->conf->reload];
	for (i = 0; i < g->n_batch; i++)
		if (g->batch[i] == c)
			return NULL;
	return c->reload_listed ? NULL : wrong(c, "never reloaded");
}

static const char *
check_group(const struct engine *en, const struct reload_group *g)
{
	const struct cert *c;
	int64_t next = 0;

	TAILQ_FOREACH (c, &g->due, due)
		if (c->deploy_trouble.next > next)
			next = c->deploy_trouble.next;
	if (g->n_due == 0 || g->running != NULL ||
	    en->hooks >= en->conf->max_hooks)
		return NULL;
	return armed(g->timer, until_ms(next) + 10000)
		   ? NULL
		   : wrong(NULL,
			 "a reload in %" PRId64 " ms, wanted in %" PRId64,
			 sim_due_ms(g->timer), until_ms(next));
}

/* The counts, which are kept beside what is counted. */

static const char *
check_counts(const struct engine *en)
{
	size_t at = en->sleeping.n;
	uint32_t i;

	for (i = 0; i < en->conf->n_cas; i++) {
		const struct ca_queue *q = &en->cas[i];

		at += q->ready.n + q->limited.n + q->active + q->parked;
	}
	return at == en->certs.n
		   ? NULL
		   : wrong(NULL, "%zu places for %" PRIu32 " certificates", at,
			 en->certs.n);
}

static bool
saving(const struct engine *en)
{
	uint32_t i;

	for (i = 0; i < en->certs.n; i++)
		if (en->certs.all[i].save_op != NULL)
			return true;
	return false;
}

static const char *
check_timers(const struct engine *en)
{
	const struct heap_item *first = heap_first(&en->sleeping);
	const struct heap_item *look = heap_first(&en->looks);
	int64_t wait = first == NULL ? HOUR_MS : until_ms(first->key);

	if (sim_due_ms(en->all_timer) < 0 &&
	    !armed(en->tick, wait > HOUR_MS || en->clock_bad ? HOUR_MS : wait))
		return wrong(NULL, "the next look is in %" PRId64 " ms",
		    sim_due_ms(en->tick));
	if (look != NULL && en->looking == 0 && !armed(en->look_timer, HOUR_MS))
		return wrong(NULL, "nobody looks at windows");
	if (en->clock_bad && !armed(en->clock_timer, HOUR_MS))
		return wrong(NULL, "nobody looks at the clock");
	if (en->certs.n_unsaved != 0 && sim_due_ms(en->certs.again) < 0 &&
	    !saving(en))
		return wrong(NULL, "state is never saved again");
	return NULL;
}

static const char *
check_cert(const struct engine *en, const struct cert *c)
{
	unsigned places = (unsigned)(c->issue != NULL) +
			  (unsigned)(c->sleep.pos != 0) +
			  (unsigned)(c->ready.pos != 0);
	const char *bad = NULL;

	if (places != 1)
		return wrong(c, "is in %u places", places);
	if (c->busy != (c->sleep.pos == 0))
		return wrong(c, c->busy ? "busy asleep" : "not busy");
	if (c->sleep.pos != 0)
		bad = check_asleep(en, c);
	else if (c->ready.pos != 0)
		bad = check_queued(en, c);
	bad = bad != NULL ? bad : check_window(en, c);
	return bad != NULL ? bad : check_reload(en, c);
}

const char *
sim_stuck(const struct engine *en)
{
	const char *bad = NULL;
	uint32_t i;

	if (!en->started || en->stopping)
		return NULL;
	for (i = 0; bad == NULL && i < en->conf->n_cas; i++) {
		bad = check_queue(en, &en->cas[i]);
		bad = bad != NULL ? bad : check_session(en->cas[i].session);
	}
	for (i = 0; bad == NULL && i < en->conf->n_commands; i++)
		bad = check_group(en, &en->groups[i]);
	bad = bad != NULL ? bad : check_counts(en);
	return bad != NULL ? bad : check_timers(en);
}

const char *
sim_forgotten(const struct engine *en)
{
	const char *bad = sim_stuck(en);
	uint32_t i;

	if (!en->started || en->stopping)
		return NULL;
	for (i = 0; bad == NULL && i < en->certs.n; i++)
		bad = check_cert(en, &en->certs.all[i]);
	return bad;
}
