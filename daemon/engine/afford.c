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
#include "daemon/engine/renew.h"
#include "daemon/engine/turn.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define LIMIT_TEXT 128

/* Once; and again to whoever asks for it. */
static void
tell_waits(struct cert *c, const char *text)
{
	if (c->forced || c->waits == NULL || strcmp(c->waits, text) != 0)
		log_info("an order waits for a limit of the CA",
		    KV("cert", c->conf->name), KV("limit", text),
		    KV("hint", c->forced
				   ? "acmectl status says when its turn is"
				   : NULL));
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

/* Rather than to wait: without a rehearsal, or at another CA.  beside: others
 * may not count for that limit. */
static void
wait_for_limit(struct ca_queue *q, struct cert *c, const char *text,
    int64_t until, bool beside)
{
	struct engine *en = q->engine;

	if (end_check(en, c, text, until))
		return;
	if (renew_rehearses(en, c)) {
		c->rehearse = false;
		renew_look(en, c);
	} else if (turn_elsewhere(en, c, text, &until)) {
		renew_look(en, c);
	} else {
		tell_waits(c, text);
		if (beside)
			renew_limited(q, c);
		else
			renew_sleep(en, c, until);
	}
}

bool
afford(struct ca_queue *q, struct cert *c)
{
	struct engine *en = q->engine;
	struct budget *b = session_budget(q->session);
	struct budget_order order = issue_counts(c, q->session);
	char text[BUDGET_KEY_MAX + LIMIT_TEXT];
	int64_t now = clock_now(), until;
	struct budget_wait why;

	until = failover_said(c, c->queue);
	if (until > now && !c->forced) {
		/* when this certificate can be asked for again */
		(void)snprintf(text, sizeof(text),
		    "%s: a limit that it has told of",
		    session_ca(q->session)->name);
		wait_for_limit(q, c, text, until, false);
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
		budget_describe(
		    &why, session_ca(q->session), text, sizeof(text));
		wait_for_limit(
		    q, c, text, until, why.limit == LIMIT_NEW_ORDERS);
		return false;
	}
	c->spent = budget_spend(b, &order, now);
	c->spent_at = now;
	if (c->spent != 0)
		session_budget_changed(q->session);
	return true;
}
