/* SPDX-License-Identifier: ISC */
/*
 * A queue is not left for another one because that is shorter: then all of it
 * would move, and back.  What has a long wait goes to where it has a short one,
 * which is as many at a time as that CA lets through by the next look; all
 * others stay where the configuration wants them.
 */

#include "daemon/engine/turn.h"

#include <stdio.h>

#include "daemon/engine/failover.h"
#include "daemon/engine/plan.h"
#include "daemon/engine/renew.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define WHY_MAX 512
#define STAYS_S 60 /* where it has just come to */

/* In that CA's queue, which it may not be in. */
static size_t
before(const struct engine *en, const struct cert *c, uint32_t ca, size_t max)
{
	const struct ca_queue *q = &en->cas[ca];
	bool instead =
	    ca == failover_ca(c) ? c->instead != NULL : ca != c->conf->cas[0];
	int64_t key = pace_urgency(en, c, instead);
	size_t n = heap_before(&q->limited, key, max);

	/* as if each of these took one, too */
	return n + heap_before(&q->ready, key, max - n);
}

int64_t
turn_at(
    const struct engine *en, const struct cert *c, uint32_t ca, int64_t until)
{
	const struct session *s = en->cas[ca].session;
	struct budget_order o = issue_counts(c, s);
	int64_t now = clock_now(), turn = 0, at;
	uint32_t room = budget_turns(session_budget(s), &o, until, now);
	size_t n;

	if (room != UINT32_MAX) {
		n = before(en, c, ca, room);
		if (n >= room)
			return INT64_MAX;
		turn = budget_turn(session_budget(s), &o, (uint32_t)n, now);
	}
	at = plan_room(en, c, ca);
	return turn > at ? turn : at;
}

static void
go(struct engine *en, struct cert *c, uint32_t at, const char *limit,
    int64_t not_before)
{
	const char *was = en->conf->cas[failover_ca(c)].name;
	char why[WHY_MAX], text[CLOCK_RFC3339_MAX];

	clock_format(not_before, text);
	(void)snprintf(
	    why, sizeof(why), "%s, would let it wait beyond %s", limit, text);
	failover_instead(c, at, why);
	c->moved_at = clock_now();
	log_info("a limit of the CA would make it wait: another one is asked",
	    KV("cert", c->conf->name), KV("ca", was),
	    KV("next", en->conf->cas[failover_ca(c)].name), KV("limit", limit),
	    KV("beyond", text));
	renew_waits(c, NULL);
}

bool
turn_elsewhere(
    struct engine *en, struct cert *c, const char *limit, int64_t *until)
{
	int64_t now = clock_now(), look = now + TURN_LOOK_S, here, there;
	int64_t latest = now + failover_patience(
				   &c->have, renew_left(en, c), engine_now(en));
	uint32_t i, ca;

	if (c->check != 0 || c->conf->n_cas < 2 || failover_stays(c))
		return false;
	/* Whatever is counted wrong, none goes to and fro without end. */
	if (c->moved_at <= now && now - c->moved_at < STAYS_S) {
		*until = *until < now + STAYS_S ? *until : now + STAYS_S;
		return false;
	}
	/* both as far as the other one is looked at, or each seemed sooner than
	 * the other */
	here = turn_at(en, c, c->queue, latest > look ? latest : look);
	here = here > *until ? here : *until;
	for (i = 0; here > latest && i < c->conf->n_cas; i++) {
		ca = c->conf->cas[i];
		/* one in trouble would be left again, and is heard of when it
		 * is not */
		if (ca == c->queue ||
		    failover_refusal(en->conf, c, i) != NULL ||
		    session_blocked(en->cas[ca].session, NULL) != 0)
			continue;
		there = turn_at(en, c, ca, look);
		if (there > look || there >= here)
			continue;
		go(en, c, i, limit, *until > latest ? *until : latest);
		return true;
	}
	if (here > latest && look < *until)
		*until = look;
	return false;
}

int64_t
turn_step(int64_t at, int64_t patience, int64_t now)
{
	int64_t late = at - patience - now;

	return late <= 0 ? 0 : (late + TURN_LOOK_S - 1) / TURN_LOOK_S;
}
