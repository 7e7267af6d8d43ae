/* SPDX-License-Identifier: ISC */
/* The orders that a configuration asks for, against copies of the budgets. */

#include "daemon/engine/plan.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/failover.h"
#include "daemon/engine/turn.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"

#define LATE_PERMILLE 125
#define TURNS_OF      1000 /* certificates: a second older */
#define TURNS_MAX_S   60
#define LAST          1001 /* new, and not where it should be */

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

/* c: of that name, NULL: none is configured. */
static bool
is_due(const struct engine *en, const struct cert *c, const struct issued *h)
{
	int64_t at = c == NULL ? h->by_fraction : cert_renew_at(c);

	at -= en->ahead_s;
	return (c == NULL ? at : partial_when(c, at)) <= clock_now();
}

/* Where it is now, when the list still has that one. */
static uint32_t
ca_now(const struct engine *en, const struct conf *conf, const struct cert *c,
    const struct conf_cert *cc)
{
	const char *name;
	uint32_t i;

	if (c == NULL)
		return cc->cas[0];
	i = c->issue != NULL || cert_ordering(c) ? c->queue : failover_ca(c);
	name = en->conf->cas[i].name;
	for (i = 0; i < cc->n_cas; i++)
		if (strcmp(conf->cas[cc->cas[i]].name, name) == 0)
			return cc->cas[i];
	return cc->cas[0];
}

/* Not before that, as that CA has told. */
static int64_t
said_at(const struct plan_item *it, const struct session *s)
{
	int64_t said = it->known == NULL || s == NULL
			   ? 0
			   : failover_open(it->known, session_index(s));

	return said > it->from ? said : it->from;
}

/* As pace.c does: a change is wanted now. */
static int64_t
urgency(const struct plan_item *it, int64_t left)
{
	if (it->have->version == 0)
		return it->known != NULL && it->known->instead != NULL ? LAST
								       : 0;
	if (left < LATE_PERMILLE)
		return left - LAST;
	return it->why != CHANGE_NONE ? LATE_PERMILLE : left;
}

static void
add(const struct engine *en, const struct conf *conf, struct plan *p,
    const struct conf_cert *cc)
{
	static const struct issued none;
	const struct issued *h = known(en, cc->name);
	uint32_t i = conf_find_cert(en->conf, cc->name);
	const struct cert *c = i == CONF_NONE ? NULL : &en->certs.all[i];
	struct plan_item *it = &p->items[p->n];
	int64_t now = clock_now();
	unsigned left;

	*it = (struct plan_item){ .cert = cc,
		.have = h == NULL ? &none : h,
		.wants = cert_wants(conf, cc),
		.instead_of = CONF_NONE,
		.from = now };
	h = it->have;
	it->why = cert_changed(conf, cc, &it->wants, h);
	if (it->why == CHANGE_NONE && !is_due(en, c, h)) {
		p->n_unchanged++;
		return;
	}
	if (c != NULL && cert_same_wants(&c->wants, &it->wants))
		it->known = c;
	it->ca = ca_now(en, conf, it->known, cc);
	if (it->known != NULL && it->known->instead != NULL &&
	    it->ca != cc->cas[0])
		it->instead_of = cc->cas[0];
	/* what a limit has given for these names is not asked of it again */
	it->paid =
	    c != NULL && c->spent != 0 && c->wants.names == it->wants.names;
	/* what has failed waits, unless it would be another order, or there is
	 * another CA that it may go to */
	if (it->known != NULL && !c->forced && c->issue_trouble.next > now &&
	    cert_list(en->conf, c->conf) == cert_list(conf, cc))
		it->from = c->issue_trouble.next;
	left = schedule_left(h->not_before, h->not_after, engine_now(en));
	it->patience = failover_patience(h, left, engine_now(en));
	it->urgency = urgency(it, left);
	it->at = said_at(it, same_account(en, &conf->cas[it->ca]));
	p->n++;
}

/* What is wanted as it was may be without names that fail. */
static struct budget_order
order_at(const struct conf *conf, const struct plan_item *it, uint32_t ca)
{
	const struct conf_cert *cc = it->cert;
	const struct cert *c = it->known;
	const struct issued *h = it->have;
	bool same = c != NULL    ? issue_same_names(c)
		    : h->partial ? partial_has_just(h, cc->idents, cc->n_idents)
				 : h->made_for.names == it->wants.names;

	return (struct budget_order){
		.idents = c != NULL ? c->idents : cc->idents,
		.n_idents = c != NULL ? c->n_idents : cc->n_idents,
		.again = same && h->version != 0 && h->ca != NULL &&
			 strcmp(h->ca, conf->cas[ca].name) == 0,
	};
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
 * Each at the CA where it is: the buckets of domains and names first, each on
 * its own; then, in the order of the instants that came of it, the account's.
 */
static void
book(const struct conf *conf, struct plan *p, struct budget *const *budgets)
{
	static const bool account[] = { false, true };
	struct budget_order order;
	struct budget_wait why;
	int64_t at;
	uint32_t i;
	size_t k;

	for (k = 0; k < NELEM(account); k++) {
		qsort(p->items, p->n, sizeof(*p->items), by_instant);
		for (i = 0; i < p->n; i++) {
			struct plan_item *it = &p->items[i];

			it->free = it->at;
			if (it->paid)
				continue;
			order = order_at(conf, it, it->ca);
			at = budget_book(
			    budgets[it->ca], &order, account[k], it->at, &why);
			if (at > it->at) {
				it->limited = true;
				it->why_not = why;
			}
			it->at = at;
		}
	}
}

/* Another CA for what would wait too long */

static bool
some_go(const struct plan *p)
{
	int64_t now = clock_now();
	uint32_t i;

	for (i = 0; i < p->n; i++)
		if (p->items[i].cert->n_cas > 1 && !p->items[i].paid &&
		    p->items[i].at > now + p->items[i].patience)
			return true;
	return false;
}

/* INT64_MAX: it is in trouble. */
static int64_t
open_at(const struct engine *en, const struct conf *conf,
    const struct plan_item *it, uint32_t ca)
{
	const struct session *s = same_account(en, &conf->cas[ca]);

	return s != NULL && session_blocked(s, NULL) != 0 ? INT64_MAX
							  : said_at(it, s);
}

/* rest: the budgets when all who are at home there have had theirs, which is
 * what is there for a new name that is not. */
static void
place(const struct engine *en, const struct conf *conf, struct plan_item *it,
    struct budget *const *budgets, struct budget *const *rest)
{
	struct budget_order order = order_at(conf, it, it->ca);
	const struct conf_cert *cc = it->cert;
	uint32_t i, ca, home = it->ca;
	int64_t now = clock_now(), step, t, open;
	int64_t start = said_at(it, same_account(en, &conf->cas[home]));
	bool is_new = it->have->version == 0;
	struct budget *const *from;
	struct budget_wait why = { 0 };

	it->at = budget_peek(budgets[home], &order, start, &it->why_not);
	step = it->known != NULL && failover_stays(it->known)
		   ? 0
		   : turn_step(it->at, it->patience, now);
	for (i = 0; step > 0 && i < cc->n_cas; i++) {
		ca = cc->cas[i];
		open = open_at(en, conf, it, ca);
		if (ca == home || open == INT64_MAX ||
		    conf_refusal(&conf->cas[ca], cc) != NULL)
			continue;
		from = is_new && i != 0 ? rest : budgets;
		order = order_at(conf, it, ca);
		t = budget_peek(from[ca], &order, open, &why);
		if (t >= it->at || turn_step(t, TURN_LOOK_S, now) >= step)
			continue;
		step = turn_step(t, TURN_LOOK_S, now);
		it->ca = ca;
		it->at = t;
		start = open;
		it->why_not = why;
		it->instead_of = i == 0 ? CONF_NONE : home;
	}
	it->limited = it->at > start;
	order = order_at(conf, it, it->ca);
	if (it->ca != home)
		budget_take(rest[it->ca], &order, it->at);
	if (it->ca == home || !is_new)
		budget_take(budgets[it->ca], &order, it->at);
}

static int
share_out(const struct engine *en, const struct conf *conf, struct plan *p,
    struct budget *const *rest, struct err *e)
{
	struct budget **budgets = budgets_copy(en, conf, e);
	uint32_t i;

	if (budgets == NULL)
		return -1;
	for (i = 0; i < p->n; i++)
		p->items[i].at = p->items[i].free;
	qsort(p->items, p->n, sizeof(*p->items), by_instant);
	for (i = 0; i < p->n; i++)
		if (!p->items[i].paid)
			place(en, conf, &p->items[i], budgets, rest);
	budgets_free(budgets, conf->n_cas);
	return 0;
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
	book(conf, p, budgets);
	if (some_go(p) && share_out(en, conf, p, budgets, e) == -1) {
		budgets_free(budgets, conf->n_cas);
		plan_done(p);
		return -1;
	}
	qsort(p->items, p->n, sizeof(*p->items), by_instant);
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
plan_turns(struct engine *en)
{
	int64_t now = clock_now(), age = en->certs.n / TURNS_OF;
	struct plan p;
	uint32_t i;

	age = age < TURNS_MAX_S ? age : TURNS_MAX_S;
	if (now >= en->turns_at && now - en->turns_at < age)
		return en->turns_end;
	if (plan_make(en, en->conf, &p, NULL) == -1)
		return 0;
	for (i = 0; i < p.n; i++)
		en->certs.all[p.items[i].cert - en->conf->certs].turn_at =
		    p.items[i].at;
	en->turns_at = now;
	en->turns_end = p.ends;
	plan_done(&p);
	return en->turns_end;
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

	int64_t said = failover_open(c, ca);

	limited = failed > limited ? failed : limited;
	limited = said > now && said > limited ? said : limited;
	return blocked > limited ? blocked : limited;
}
