/* SPDX-License-Identifier: ISC */
/* The orders that a configuration asks for, against copies of the budgets. */

#include "daemon/engine/plan.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/failover.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"

#define LATE_PERMILLE  125
#define WHOLE_PERMILLE 1000

/* A budget for each CA of the planned configuration */

static const struct session *
same_account(const struct engine *en, const struct conf_ca *ca)
{
	uint32_t i;

	for (i = 0; i < en->conf->n_cas; i++)
		if (strcmp(en->conf->cas[i].name, ca->name) == 0 &&
		    strcmp(en->conf->cas[i].directory, ca->directory) == 0)
			return en->cas[i].session;
	return NULL;
}

static void
budgets_free(struct budget **all, uint32_t n)
{
	uint32_t i;

	for (i = 0; all != NULL && i < n; i++)
		budget_free(all[i]);
	free(all);
}

static struct budget **
budgets_copy(const struct engine *en, const struct conf *conf, struct err *e)
{
	struct budget **all = calloc(conf->n_cas + 1, sizeof(struct budget *));
	const struct session *s;
	uint32_t i;

	for (i = 0; all != NULL && i < conf->n_cas; i++) {
		s = same_account(en, &conf->cas[i]);
		all[i] = s == NULL ? budget_new(&conf->cas[i], en->psl, e)
				   : budget_clone(session_budget(s),
					 &conf->cas[i], clock_now(), e);
		if (all[i] == NULL) {
			budgets_free(all, conf->n_cas);
			return NULL;
		}
	}
	if (all == NULL)
		(void)err_nomem(e, "plan");
	return all;
}

/* What is there under that name, or would be taken up again */

static const struct issued *
known(const struct engine *en, const char *name)
{
	uint32_t i = conf_find_cert(en->conf, name);
	const struct orphan *o;

	if (i != CONF_NONE)
		return &en->certs.all[i].have;
	o = certs_orphan(&en->certs, name);
	return o == NULL ? NULL : &o->have;
}

static bool
is_due(const struct engine *en, const char *name, const struct issued *h)
{
	uint32_t i = conf_find_cert(en->conf, name);
	int64_t at =
	    i == CONF_NONE ? h->by_fraction : cert_renew_at(&en->certs.all[i]);

	return at <= engine_now(en);
}

/* What a limit has given for these names is not asked of it again. */
static bool
is_paid(const struct engine *en, const char *name, const struct wants *w)
{
	uint32_t i = conf_find_cert(en->conf, name);

	return i != CONF_NONE && en->certs.all[i].spent != 0 &&
	       en->certs.all[i].wants.names == w->names;
}

/* What has failed waits, unless it would be another order. */
static int64_t
not_before(const struct engine *en, const char *name, const struct wants *w)
{
	uint32_t i = conf_find_cert(en->conf, name);
	const struct cert *c = i == CONF_NONE ? NULL : &en->certs.all[i];

	return c == NULL || c->forced || !cert_same_wants(&c->wants, w)
		   ? 0
		   : c->issue_trouble.next;
}

static void
add(const struct engine *en, const struct conf *conf, struct plan *p,
    const struct conf_cert *cc)
{
	static const struct issued none;
	const struct issued *h = known(en, cc->name);
	struct wants w = cert_wants(conf, cc);
	struct plan_item *it = &p->items[p->n];
	int64_t now = clock_now(), at;

	if (h == NULL)
		h = &none;
	*it = (struct plan_item){ .cert = cc,
		.why = cert_changed(conf, cc, &w, h),
		.ca = cc->cas[0] };
	if (it->why == CHANGE_NONE && !is_due(en, cc->name, h)) {
		p->n_unchanged++;
		return;
	}
	it->order = (struct budget_order){ .idents = cc->idents,
		.n_idents = cc->n_idents,
		.again = h->version != 0 && h->ca != NULL &&
			 strcmp(h->ca, conf->cas[it->ca].name) == 0 &&
			 h->made_for.names == w.names };
	it->urgency =
	    schedule_left(h->not_before, h->not_after, engine_now(en));
	at = not_before(en, cc->name, &w);
	it->at = at > now ? at : now;
	it->paid = is_paid(en, cc->name, &w);
	if (it->why != CHANGE_NONE && it->urgency > LATE_PERMILLE)
		it->urgency = LATE_PERMILLE; /* as pace.c does */
	if (h->version != 0 && it->urgency < LATE_PERMILLE)
		it->urgency -= WHOLE_PERMILLE; /* before what is new */
	p->n++;
}

/* Of those that can go at once: what ends first. */
static int
by_urgency(const void *a, const void *b)
{
	const struct plan_item *x = a, *y = b;

	if (x->urgency != y->urgency)
		return x->urgency < y->urgency ? -1 : 1;
	return x->cert < y->cert ? -1 : x->cert > y->cert;
}

static int
by_instant(const void *a, const void *b)
{
	const struct plan_item *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return by_urgency(a, b);
}

/*
 * The buckets of domains and names first, each on its own; then, in the order
 * of the instants that came of it, the account's.
 */
static void
book(struct plan *p, struct budget *const *budgets)
{
	static const bool account[] = { false, true };
	struct budget_wait why;
	int64_t at;
	uint32_t i;
	size_t k;

	for (k = 0; k < NELEM(account); k++) {
		qsort(p->items, p->n, sizeof(*p->items), by_instant);
		for (i = 0; i < p->n; i++) {
			struct plan_item *it = &p->items[i];

			if (it->paid)
				continue;
			at = budget_book(budgets[it->ca], &it->order,
			    account[k], it->at, &why);
			if (at > it->at) {
				it->limited = true;
				it->why_not = why;
			}
			it->at = at;
		}
	}
	qsort(p->items, p->n, sizeof(*p->items), by_instant);
}

int
plan_make(const struct engine *en, const struct conf *conf, struct plan *p,
    struct err *e)
{
	struct budget **budgets = budgets_copy(en, conf, e);
	uint32_t i;

	if (budgets == NULL)
		return -1;
	*p = (struct plan){ .items =
				calloc(conf->n_certs + 1, sizeof(*p->items)) };
	if (p->items == NULL) {
		budgets_free(budgets, conf->n_cas);
		return err_nomem(e, "plan");
	}
	for (i = 0; i < conf->n_certs; i++)
		add(en, conf, p, &conf->certs[i]);
	book(p, budgets);
	for (i = 0; i < p->n && p->first_limited == NULL; i++)
		if (p->items[i].limited)
			p->first_limited = &p->items[i];
	if (p->n != 0)
		p->ends = p->items[p->n - 1].at;
	budgets_free(budgets, conf->n_cas);
	return 0;
}

void
plan_done(struct plan *p)
{
	free(p->items);
}

int64_t
plan_turns(const struct engine *en)
{
	struct plan p;
	int64_t ends;
	uint32_t i;

	if (plan_make(en, en->conf, &p, NULL) == -1)
		return 0;
	for (i = 0; i < p.n; i++)
		en->certs.all[p.items[i].cert - en->conf->certs].turn_at =
		    p.items[i].at;
	ends = p.ends;
	plan_done(&p);
	return ends;
}

int64_t
plan_room(const struct engine *en, const struct cert *c, uint32_t ca)
{
	const struct session *s = en->cas[ca].session;
	const struct budget *b = session_budget(s);
	struct budget_order o = issue_counts(c, s);
	int64_t now = clock_now(), blocked = session_blocked(s, NULL);
	int64_t failed =
	    budget_failed_when(b, o.idents, o.n_idents, c->forced, now);
	int64_t limited = budget_when(b, &o, now, NULL);

	int64_t said = failover_said(c, ca);

	limited = failed > limited ? failed : limited;
	limited = said > now && said > limited ? said : limited;
	return blocked > limited ? blocked : limited;
}
