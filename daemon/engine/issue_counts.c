/* SPDX-License-Identifier: ISC */
/*
 * What an order is to the CA that gets it: a replacement within its window, a
 * renewal, or a new one, each of which its limits count in another way.
 */

#include <string.h>

#include "daemon/engine/issue.h"
#include "lib/base/clock.h"

static bool
shares_names(const struct cert *c)
{
	uint32_t i;

	for (i = 0; i < c->n_idents; i++)
		if (partial_has(&c->have, c->idents[i]))
			return true;
	return false;
}

bool
issue_same_names(const struct cert *c)
{
	const struct issued *h = &c->have;

	if (h->partial || (c->partial != NULL && c->partial->reduced))
		return partial_has_just(h, c->idents, c->n_idents);
	return h->made_for.names == c->wants.names;
}

bool
issue_replaces(const struct cert *c, const struct session *s)
{
	const struct directory *d = session_directory(s);
	const char *account = session_account_url(s);
	const struct issued *h = &c->have;

	return h->version != 0 && h->ari_id != NULL && !h->replaced &&
	       h->ca != NULL && strcmp(h->ca, session_ca(s)->name) == 0 &&
	       h->account != NULL && account != NULL &&
	       strcmp(h->account, account) == 0 && d != NULL &&
	       d->renewal_info != NULL && shares_names(c);
}

struct budget_order
issue_counts(const struct cert *c, const struct session *s)
{
	const struct window *w = &c->window;
	const struct issued *h = &c->have;
	int64_t now = session_now(s);

	return (struct budget_order){
		.idents = c->idents,
		.n_idents = c->n_idents,
		.again = h->version != 0 && h->ca != NULL &&
			 strcmp(h->ca, session_ca(s)->name) == 0 &&
			 issue_same_names(c),
		.in_window = w->end != 0 && w->start <= now && now <= w->end &&
			     issue_replaces(c, s),
	};
}

void
issue_hold(const struct cert *c, struct session *s)
{
	struct budget_order o = issue_counts(c, s);

	budget_hold(session_budget(s), &o, c->spent, clock_now());
}

void
issue_unhold(struct cert *c, struct session *s)
{
	struct budget_order o = issue_counts(c, s);

	budget_refund(session_budget(s), &o, c->spent & ~BUDGET_SPENT_ORDER,
	    c->spent_at, clock_now());
	c->spent = 0;
}

int
issue_spend_again(struct cert *c, struct session *s, struct err *e)
{
	struct budget *b = session_budget(s);
	int64_t now = clock_now();
	struct budget_order o = issue_counts(c, s);

	issue_unhold(c, s);
	if (budget_when(b, &o, now, NULL) != 0)
		return err_set(e, ERR_LIMIT, 0,
		    "a second order has to wait for a limit of the CA");
	c->spent = budget_spend(b, &o, now);
	c->spent_at = now;
	session_budget_changed(s);
	return 0;
}
