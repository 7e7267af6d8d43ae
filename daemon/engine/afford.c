/* SPDX-License-Identifier: ISC */
/*
 * Whether there is an order to be had: of what the CA's limits leave, of what
 * it has said, and of the validations that may fail.  Else the certificate goes
 * where there is one, or waits.
 */

#include <stdio.h>
#include <string.h>

#include "daemon/engine/engine.h"
#include "daemon/engine/failover.h"
#include "daemon/engine/plan.h"
#include "daemon/engine/policy.h"
#include "daemon/engine/renew.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define LIMIT_TEXT 128

/* Once; and again to whoever asks for it. */
static void
tell_waits(struct cert *c, const char *text)
{
	if (c->forced || c->waits == NULL || strcmp(c->waits, text) != 0)
		log_info("an order waits for a limit of the CA",
		    KV("cert", c->conf->name), KV("limit", text));
	renew_waits(c, text);
}

/* Nobody sits there so long for what only tries it out. */
static bool
end_check(struct engine *en, struct cert *c, const char *text, int64_t until)
{
	if (c->check == 0)
		return false;
	outcome_no_check(c, text, until);
	renew_look(en, c);
	return true;
}

/* Its names have failed too often this hour, perhaps for others (M4). */
static void
wait_for_names(struct engine *en, struct cert *c, int64_t until)
{
	static const char text[] =
	    "a name of it failed 3 validations within the hour, as part of "
	    "this certificate or another";
	struct trouble *t = &c->issue_trouble;

	if (end_check(en, c, text, until))
		return;
	tell_waits(c, text);
	if (t->text == NULL)
		trouble_set(t, "validation", text, clock_now());
	t->next = until;
	renew_sleep(en, c, until);
}

static void
wait_for_limit(struct ca_queue *q, struct cert *c,
    const struct budget_wait *why, int64_t until, bool here)
{
	struct engine *en = q->engine;
	char text[BUDGET_KEY_MAX + LIMIT_TEXT];

	budget_describe(why, session_ca(q->session), text, sizeof(text));
	if (end_check(en, c, text, until))
		return;
	tell_waits(c, text);
	if (why->limit != LIMIT_NEW_ORDERS || !here) {
		renew_sleep(en, c, until);
		return;
	}
	/* others may not count for it: it waits beside them */
	renew_limited(q, c);
}

/* It has told before when this certificate can be asked for again. */
static void
wait_as_said(struct ca_queue *q, struct cert *c, int64_t until)
{
	char text[LIMIT_TEXT];

	(void)snprintf(text, sizeof(text), "%s: a limit that it has told of",
	    session_ca(q->session)->name);
	if (end_check(q->engine, c, text, until))
		return;
	tell_waits(c, text);
	renew_sleep(q->engine, c, until);
}

/* Rather than to wait so long: without a rehearsal, or at another CA.  until:
 * when to look again, if that is sooner. */
static bool
elsewhere(struct engine *en, struct cert *c, int64_t *until)
{
	int64_t now = clock_now(), wait = *until - now, at;
	const char *was = en->conf->cas[c->queue].name;
	uint32_t i;

	if (renew_rehearses(en, c)) {
		c->rehearse = false;
		return true;
	}
	if (c->check != 0 ||
	    !policy_is_long(wait, c->have.not_after - en->ahead_s, now))
		return false;
	for (i = 0; i < c->conf->n_cas; i++) {
		if (failover_refusal(en->conf, c, i) != NULL)
			continue;
		at = plan_room(en, c, c->conf->cas[i]);
		if (at != 0) {
			/* over this moment, and about to be told */
			at = at > now ? at : now + 1;
			*until = at < *until ? at : *until;
			continue;
		}
		failover_to(c, i);
		log_info("a limit of the CA would make it wait: another one is "
			 "asked",
		    KV("cert", c->conf->name), KV("ca", was),
		    KV("next", en->conf->cas[failover_ca(c)].name));
		return true;
	}
	return false;
}

bool
afford(struct ca_queue *q, struct cert *c)
{
	struct engine *en = q->engine;
	struct budget *b = session_budget(q->session);
	struct budget_order order = issue_counts(c, q->session);
	int64_t now = clock_now(), until, own;
	struct budget_wait why;

	until = failover_said(c, c->queue);
	if (until > now && !c->forced) {
		if (elsewhere(en, c, &until))
			renew_look(en, c);
		else
			wait_as_said(q, c, until);
		return false;
	}
	until =
	    budget_failed_when(b, order.idents, order.n_idents, c->forced, now);
	if (until != 0) {
		wait_for_names(en, c, until);
		return false;
	}
	until = budget_when(b, &order, now, &why);
	if (until != 0) {
		own = until;
		if (elsewhere(en, c, &until))
			renew_look(en, c);
		else
			wait_for_limit(q, c, &why, until, until == own);
		return false;
	}
	c->spent = budget_spend(b, &order, now);
	c->spent_at = now;
	if (c->spent != 0)
		session_budget_changed(q->session);
	return true;
}
