/* SPDX-License-Identifier: ISC */
/*
 * What an attempt's end means: for the certificate's next one, for the CA's
 * budget, and for people.
 */

#include <stdio.h>
#include <string.h>

#include "daemon/engine/engine.h"
#include "daemon/engine/failover.h"
#include "daemon/engine/policy.h"
#include "daemon/engine/renew.h"
#include "lib/acme/problem.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/rnd.h"

#define DAY            (24 * INT64_C(3600))
#define IDENTITY_ROOM  64 /* of what is said of it */
#define FAILING_MAX    1000000
#define SOON_S         30
#define REHEARSE_MAX   3          /* in vain, before a real try again */
#define LATE_PERMILLE  125        /* less is left: no time to rehearse */
#define HOPELESS_S     (30 * DAY) /* of failing: told weekly (protocol R38) */
#define ORDER_MAX      4          /* attempts at an order that fail */
#define PATIENCE_MIN_S INT64_C(600)
#define VAIN_MIN       3 /* times, before it is one's own */

static const char *
trouble_type(const struct err *e)
{
	if (e->kind == ERR_PROBLEM && e->problem != PROBLEM_UNKNOWN)
		return problem_name((enum acme_problem)e->problem);
	return err_kind_name(e->kind);
}

/* For weeks already: once a week is enough (protocol R38). */
static bool
worth_telling(const struct trouble *t, int64_t before)
{
	int64_t failing = t->at - t->since;

	return failing < HOPELESS_S ||
	       failing / (7 * DAY) != (before - t->since) / (7 * DAY);
}

static void
tell_failure(const struct engine *en, const struct cert *c, const struct err *e,
    int64_t before)
{
	const struct trouble *t = &c->issue_trouble;
	const char *hint = health_hint(en, c);
	char next[CLOCK_RFC3339_MAX], ends[CLOCK_RFC3339_MAX];
	enum log_level level =
	    worth_telling(t, before) ? LOG_L_ERR : LOG_L_DEBUG;

	clock_format(t->next, next);
	clock_format(c->have.not_after, ends);
	LOG_AT(level, "certificate not issued", KV("cert", c->conf->name),
	    KV("type", t->type), KV("error", e->what),
	    KN("failures", t->failures), KV("next", next),
	    KV("ends", c->have.version == 0 ? NULL : ends),
	    KV("hint", hint == NULL ? policy_hint(t->row, e) : hint), { 0 });
}

/* With this one; which has not been noted yet. */
static unsigned
alike(const struct trouble *t, const struct outcome *o)
{
	const char *row = policy_find(o->err, o->where)->name;

	if (t->row == NULL || strcmp(t->row, row) != 0)
		return 1;
	return t->alike < FAILING_MAX ? t->alike + 1 : FAILING_MAX;
}

static void
decide(const struct engine *en, const struct cert *c, const struct outcome *o,
    struct decision *d)
{
	struct policy_in in = { .err = o->err,
		.where = o->where,
		.failures = c->issue_trouble.failures,
		.alike = alike(&c->issue_trouble, o),
		.not_before = c->have.not_before - en->ahead_s,
		.not_after = c->have.not_after - en->ahead_s,
		.now = clock_now() };

	policy_decide(&in, d);
	if (d->until != INT64_MAX)
		return;
	/* It is the session that waits for a person, and we for it; but when
	 * no reply said so, but an order, the session knows nothing of it. */
	d->until = session_blocked(en->cas[c->queue].session, NULL) == INT64_MAX
		       ? in.now
		       : in.now + rnd_jitter(DAY, 5);
}

/* What a CAA record must say for this CA (protocol P). */
static void
add_identity(const struct engine *en, const struct cert *c, struct err *e)
{
	const struct directory *d =
	    session_directory(en->cas[c->queue].session);
	size_t len = strlen(e->what), room = sizeof(e->what) - len;
	const char *id = d == NULL || d->caa_identities == NULL
			     ? NULL
			     : d->caa_identities[0];

	if (e->kind == ERR_PROBLEM && e->problem == PROBLEM_CAA && id != NULL &&
	    strstr(e->what, id) == NULL && strlen(id) + IDENTITY_ROOM < room)
		(void)snprintf(e->what + len, room,
		    " (a CAA record names this CA as %s)", id);
}

static void
give_up_order(struct engine *en, struct cert *c)
{
	log_warn("order given up", KV("cert", c->conf->name),
	    KV("ca", session_ca(en->cas[c->order_ca].session)->name),
	    KV("order", c->order_url));
	renew_leave_order(en, c);
}

/* Not for ever, nor in the way of another CA: it may be this order that the CA
 * cannot deal with.  What fails here costs no order (protocol H10). */
static void
keep_order(
    struct engine *en, struct cert *c, const struct decision *d, bool leave)
{
	if (c->order_url == NULL || d->row->wait == WAIT_HOURLY)
		return;
	if (leave || ++c->order_failures >= ORDER_MAX)
		give_up_order(en, c);
	else
		certs_keep_order(&en->certs, c);
}

static void
note_failure(struct engine *en, struct cert *c, const struct outcome *o)
{
	struct trouble *t = &c->issue_trouble;
	const char *ca = en->conf->cas[c->queue].name;
	struct err e = *o->err;
	int64_t now = clock_now(), before = t->at;
	unsigned n_alike = alike(t, o);
	enum partial_end partial = PARTIAL_FAILED;
	bool elsewhere = false, leave;
	struct decision d;

	if (t->failures < FAILING_MAX)
		t->failures++;
	decide(en, c, o, &d);
	add_identity(en, c, &e);
	if (e.kind == ERR_PROBLEM && e.problem == PROBLEM_RATE_LIMITED)
		failover_note_said(c, c->queue, d.until, now);
	if (o->mode == ISSUE_REHEARSAL) {
		(void)err_wrap(&e, "tried out at %s", ca);
		/* The test CA's own troubles say nothing of the real one. */
		c->rehearsed++;
		c->rehearse = d.rehearse && c->rehearsed < REHEARSE_MAX;
		leave = !c->rehearse;
		if (!d.rehearse)
			d.until = now + schedule_backoff(t->failures,
					    c->have.not_before,
					    c->have.not_after, engine_now(en));
		d.operator= false;
	} else {
		if (c->conf->n_cas > 1)
			(void)err_wrap(&e, "%s", ca);
		c->rehearsed = 0;
		c->rehearse =
		    d.rehearse && renew_test_ca(en, c) != CONF_NONE &&
		    (c->have.version == 0 || renew_left(en, c) > LATE_PERMILLE);
		leave = failover_after(en->conf, c, &d, renew_left(en, c), now);
		if (leave) {
			log_warn("another CA is next",
			    KV("cert", c->conf->name), KV("ca", ca),
			    KV("next", en->conf->cas[failover_ca(c)].name));
			/* which may issue for all of its names */
			elsewhere = c->ca_at != 0;
		}
	}
	keep_order(en, c, &d, leave);
	if (!elsewhere)
		partial = partial_failed(en, c, o, &d);
	if (partial == PARTIAL_WELL) {
		trouble_clear(t);
		cert_save_told(&en->certs, c);
		return;
	}
	if (partial == PARTIAL_SOON) {
		t->failures = 0; /* of what is another certificate */
		d.until = now + 1 + (int64_t)rnd_below(SOON_S);
		d.operator= false;
	}
	trouble_set(t, trouble_type(&e), e.what, now);
	t->row = d.row->name;
	t->alike = n_alike;
	t->operator= d.operator;
	t->next = d.until;
	if (partial == PARTIAL_FAILED)
		tell_failure(en, c, &e, before);
	cert_save_told(&en->certs, c);
}

/* How long a CA may be in trouble before its order is given up: perhaps it is
 * only the order that is not to be had, and another CA may be asked then. */
static int64_t
order_patience(const struct issued *h, int64_t now)
{
	int64_t patience = (h->not_after - now) / 8;

	if (h->version == 0 || patience > DAY)
		return DAY;
	return patience > PATIENCE_MIN_S ? patience : PATIENCE_MIN_S;
}

/* The CA's trouble, which it tells; tried again with it. */
static void
note_blocked(struct engine *en, struct cert *c, const struct outcome *o)
{
	struct session *s = en->cas[c->queue].session;
	int64_t until = session_blocked(s, NULL);
	struct trouble *t = &c->issue_trouble;
	char next[CLOCK_RFC3339_MAX] = "";

	if (o->mode == ISSUE_REHEARSAL)
		return; /* it is not waited for */
	trouble_set(t, trouble_type(o->err), o->err->what, clock_now());
	t->row = policy_find(o->err, WHERE_CA)->name;
	if (until != 0 && until != INT64_MAX)
		clock_format(until, next);
	log_warn("issuing has to wait", KV("cert", c->conf->name),
	    KV("ca", en->conf->cas[c->queue].name), KV("error", o->err->what),
	    KV("next", *next == '\0' ? NULL : next),
	    KV("hint", policy_hint(t->row, o->err)));
	if (c->order_url == NULL ||
	    t->at - session_breaker(s)->since <=
		order_patience(&c->have, engine_now(en)))
		return;
	give_up_order(en, c);
	cert_save_told(&en->certs, c);
}

static void
note_success(struct engine *en, struct cert *c, const struct outcome *o)
{
	if (o->mode == ISSUE_REHEARSAL) {
		log_info("tried out and found well, now for real",
		    KV("cert", c->conf->name),
		    KV("ca", en->conf->cas[c->queue].name));
		c->rehearse = false;
		cert_save_told(&en->certs, c);
		return;
	}
	failover_reset(c);
	c->rehearse =
	    partial_n_out(c) != 0 && renew_test_ca(en, c) != CONF_NONE;
	session_proved(en->cas[c->queue].session);
	if (o->err != NULL) {
		cert_tell_saved(c, o->err);
		cert_save_told(&en->certs, c);
	}
	if (c->deploy == DEPLOY_RELOAD)
		deploy_due(en, c);
	ari_watch(en, c);
}

static void
note_checked(struct cert *c, const struct outcome *o)
{
	c->check = 0;
	if (o->end == ISSUE_OK)
		log_info("check passed", KV("cert", c->conf->name));
	else
		log_error("check failed", KV("cert", c->conf->name),
		    KV("type", trouble_type(o->err)), KV("error", o->err->what),
		    KV("hint", policy_hint(policy_find(o->err, o->where)->name,
				   o->err)));
}

void
outcome_no_check(struct cert *c, const char *why, int64_t until)
{
	struct err e = { .kind = ERR_NONE };
	char at[CLOCK_RFC3339_MAX] = "that";

	if (until != INT64_MAX)
		clock_format(until, at);
	(void)err_set(&e, ERR_LIMIT, 0,
	    "nothing was tried: %s: ask again after %s", why, at);
	note_checked(
	    c, &(struct outcome){
		   .end = ISSUE_FAILED, .where = WHERE_ORDER, .err = &e });
}

/* What was spent for an order that is over: it counts now, or does not. */
static void
settle_budget(struct engine *en, struct cert *c, const struct outcome *o)
{
	struct session *s = en->cas[c->queue].session;
	struct budget_order order = issue_counts(c, s);
	unsigned back = c->spent;

	if (cert_ordering(c) || c->spent == 0)
		return;
	c->spent = 0;
	if (o->issued) {
		budget_issued(session_budget(s), &order, back, clock_now());
	} else {
		if (o->ordered)
			back &= ~BUDGET_SPENT_ORDER;
		budget_refund(
		    session_budget(s), &order, back, c->spent_at, clock_now());
	}
	session_budget_changed(s);
}

/*
 * The process ended between sending a newOrder and hearing of its order, which
 * is not to be found.  That counts as a failure, so that crashing there again
 * and again does not make an order each time (protocol Q2).
 */
static void
note_lost(struct engine *en, struct cert *c, const struct outcome *o)
{
	struct trouble *t = &c->issue_trouble;
	char next[CLOCK_RFC3339_MAX];
	int64_t now = clock_now(), begun = c->begun;

	if (begun > now) /* by a clock that was wrong */
		begun = now;
	trouble_set(t, "interrupted", o->err->what, begun);
	if (t->failures < FAILING_MAX)
		t->failures++;
	t->next = begun + schedule_backoff(t->failures, c->have.not_before,
			      c->have.not_after, now);
	cert_forget_order(c);
	settle_budget(en, c, o);
	clock_format(t->next, next);
	log_warn("a new order was never heard of", KV("cert", c->conf->name),
	    KN("failures", t->failures), KV("next", next));
	cert_save_told(&en->certs, c);
}

/*
 * Whenever this one asks, the CA is in trouble, and others were served in
 * between: it is this one that the CA cannot answer, and a failure of its own.
 */
static bool
is_its_own(const struct ca_queue *q, struct cert *c, const struct outcome *o)
{
	const struct policy_row *row;

	if (o->end != ISSUE_BLOCKED)
		c->in_vain = 0;
	if (o->mode != ISSUE_REAL || o->end != ISSUE_BLOCKED)
		return false;
	if (c->in_vain++ == 0)
		c->served = q->served;
	row = policy_find(o->err, WHERE_CA);
	return c->in_vain >= VAIN_MIN && c->served != q->served &&
	       row->scope == SCOPE_CA && (row->flags & POLICY_FAILOVER) != 0;
}

static void
note_its_own(struct engine *en, struct cert *c, const struct outcome *blocked)
{
	struct outcome o = *blocked;
	struct err e = *blocked->err;

	(void)err_wrap(&e, POLICY_OTHERS);
	o.err = &e;
	note_failure(en, c, &o);
}

void
outcome_note(struct engine *en, struct cert *c, const struct outcome *o)
{
	struct ca_queue *q = &en->cas[c->queue];
	bool own;

	if (o->end == ISSUE_LOST) {
		note_lost(en, c, o);
		return;
	}
	settle_budget(en, c, o);
	own = is_its_own(q, c, o);
	if (o->end == ISSUE_OK)
		q->served++;
	if (o->mode != ISSUE_CHECK && c->check == 0 && o->end != ISSUE_BLOCKED)
		c->forced = false;
	if (o->mode == ISSUE_CHECK || c->check != 0)
		note_checked(c, o);
	else if (o->end == ISSUE_OK)
		note_success(en, c, o);
	else if (o->end == ISSUE_FAILED)
		note_failure(en, c, o);
	else if (own)
		note_its_own(en, c, o);
	else
		note_blocked(en, c, o);
}
