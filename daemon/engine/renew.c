/* SPDX-License-Identifier: ISC */
/*
 * What to do next.  Every certificate is in one place: asleep in a heap by the
 * instant of its next attempt, ready in a CA's heap by urgency, in that CA's
 * heap of those that wait for the account's next order, or active.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/engine.h"
#include "daemon/engine/failover.h"
#include "daemon/engine/plan.h"
#include "daemon/engine/renew.h"
#include "daemon/engine/turn.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define HOUR       INT64_C(3600)
#define PARKED_MAX 256 /* at a CA, beside max-orders */
#define SORT_S     10  /* no more often than that for what is urgent */
#define STATUS_MS  200
#define STATUS_OF  50 /* certificates that cost one more */

static void pump(struct ca_queue *);

/* Where it is, and where it goes */

/* A rehearsal that is due, and can be had. */
uint32_t
renew_test_ca(const struct engine *en, const struct cert *c)
{
	return en->conf->cas[failover_ca(c)].staging;
}

static enum issue_mode
mode_of(const struct engine *en, const struct cert *c)
{
	if (c->issue != NULL)
		return issue_mode(c->issue);
	if (cert_ordering(c))
		return c->rehearsal ? ISSUE_REHEARSAL : ISSUE_REAL;
	if (c->check != 0)
		return (enum issue_mode)c->check;
	return c->rehearse && renew_test_ca(en, c) != CONF_NONE
		   ? ISSUE_REHEARSAL
		   : ISSUE_REAL;
}

uint32_t
renew_ca(const struct engine *en, const struct cert *c)
{
	if (c->issue != NULL || c->ready.pos != 0)
		return c->queue;
	if (cert_ordering(c))
		return c->order_ca;
	return mode_of(en, c) == ISSUE_REHEARSAL ? renew_test_ca(en, c)
						 : failover_ca(c);
}

/* What we set ourselves (waits, heaps) is by our own clock, whatever it shows;
 * what a certificate or a window says is by the CA's (protocol J16). */
static int64_t
when(const struct engine *en, const struct cert *c)
{
	struct schedule_in in = {
		.have = c->have.version != 0,
		.changed = cert_changed(en->conf, c->conf, &c->wants,
			       &c->have) != CHANGE_NONE,
		.ordering = cert_ordering(c),
		.forced = c->forced || c->check != 0,
		.renew_at = partial_when(c, cert_renew_at(c) - en->ahead_s),
		.not_before_attempt = c->issue_trouble.next,
	};

	return schedule_when(&in, clock_now());
}

int64_t
renew_next(const struct cert *c)
{
	return c->sleep.pos == 0 ? 0 : c->sleep.key;
}

static void
tick_set(struct engine *en)
{
	struct heap_item *first = heap_first(&en->sleeping);
	int64_t wait, next = en->paced_at + HOUR;

	if (first != NULL && first->key < next)
		next = first->key;
	if (en->sort_at < next)
		next = en->sort_at;
	wait = next - clock_now();
	/* at least hourly: the wall clock may have jumped (protocol Q5) */
	if (wait > HOUR || en->clock_bad)
		wait = HOUR;
	loop_timer_set(en->tick, wait < 0 ? 0 : wait * 1000);
}

/* Its reload command's list waits for what is being issued. */
static void
busy(struct engine *en, struct cert *c, bool is)
{
	if (c->busy == is)
		return;
	c->busy = is;
	deploy_busy(en, c, is ? 1 : -1);
}

void
renew_waits(struct cert *c, const char *text)
{
	free(c->waits);
	c->waits = text == NULL ? NULL : strdup(text);
}

void
renew_leave(struct engine *en, struct cert *c)
{
	heap_remove(&en->sleeping, &c->sleep);
	if (c->ready.pos == 0)
		return;
	if (c->limited)
		heap_remove(&en->cas[c->queue].limited, &c->ready);
	else
		heap_remove(&en->cas[c->queue].ready, &c->ready);
	c->limited = false;
}

void
renew_sleep(struct engine *en, struct cert *c, int64_t t)
{
	renew_leave(en, c);
	busy(en, c, false);
	heap_put(&en->sleeping, &c->sleep, t);
	if (heap_first(&en->sleeping) == &c->sleep)
		tick_set(en);
}

void
renew_limited(struct ca_queue *q, struct cert *c)
{
	renew_leave(q->engine, c);
	c->limited = true;
	heap_put(&q->limited, &c->ready,
	    pace_urgency(q->engine, c, c->instead != NULL));
}

static void
status_soon(struct engine *en)
{
	if (!loop_timer_pending(en->status_timer))
		loop_timer_set(
		    en->status_timer, STATUS_MS + en->certs.n / STATUS_OF);
}

unsigned
renew_left(const struct engine *en, const struct cert *c)
{
	return schedule_left(
	    c->have.not_before, c->have.not_after, engine_now(en));
}

void
renew_leave_order(struct engine *en, struct cert *c)
{
	if (!cert_ordering(c))
		return;
	issue_unhold(c, en->cas[c->order_ca].session);
	issue_leave(&en->issue_env, c);
}

/* Another CA when the one that is next is in trouble as a whole. */
static void
choose_ca(struct engine *en, struct cert *c)
{
	uint32_t i, was = failover_ca(c), ca = renew_ca(en, c);

	for (i = 0; i < c->conf->n_cas; i++) {
		if (c->check != 0 || !failover_blocked(en->conf, c,
					 session_breaker(en->cas[ca].session),
					 renew_left(en, c), clock_now()))
			break;
		ca = failover_ca(c);
	}
	if (failover_ca(c) == was)
		return;
	renew_leave_order(en, c);
	log_warn("the CA is in trouble: another one is asked",
	    KV("cert", c->conf->name), KV("ca", en->conf->cas[was].name),
	    KV("next", en->conf->cas[failover_ca(c)].name));
}

bool
renew_rehearses(const struct engine *en, const struct cert *c)
{
	return c->check == 0 && mode_of(en, c) == ISSUE_REHEARSAL;
}

/* The test CA's own trouble does not hold up what is real. */
static void
skip_rehearsal(struct engine *en, struct cert *c)
{
	if (!renew_rehearses(en, c) ||
	    session_blocked(en->cas[renew_ca(en, c)].session, NULL) == 0)
		return;
	renew_leave_order(en, c);
	c->rehearse = false;
}

/* It waits: look again when it becomes urgent. */
static void
sort_when_late(struct engine *en, const struct cert *c)
{
	int64_t at = pace_late_at(en, c), soon = clock_now() + SORT_S;

	at = at < soon ? soon : at;
	if (at >= en->sort_at)
		return;
	en->sort_at = at;
	tick_set(en);
}

static struct ca_queue *
enqueue(struct engine *en, struct cert *c)
{
	struct ca_queue *q;

	renew_leave(en, c);
	partial_choose(c);
	c->queue = renew_ca(en, c);
	q = &en->cas[c->queue];
	busy(en, c, true);
	if (q->ready.n == 0 && q->limited.n == 0 && q->active == 0) {
		q->first_at = clock_now();
		q->done = 0;
	}
	heap_put(&q->ready, &c->ready, pace_urgency(en, c, c->instead != NULL));
	sort_when_late(en, c);
	return q;
}

static struct ca_queue *
make_ready(struct engine *en, struct cert *c)
{
	renew_leave(en, c);
	skip_rehearsal(en, c);
	choose_ca(en, c);
	return enqueue(en, c);
}

void
renew_look(struct engine *en, struct cert *c)
{
	int64_t t;

	if (!en->started || c->issue != NULL)
		return;
	t = when(en, c);
	if (t > clock_now() || en->clock_bad)
		renew_sleep(en, c, t);
	else
		pump(make_ready(en, c));
}

/* All that are due are queued before the first one starts. */
static void
wake(struct engine *en)
{
	struct heap_item *it;
	struct cert *c;
	uint32_t i;

	while (!en->clock_bad && (it = heap_first(&en->sleeping)) != NULL &&
	       it->key <= clock_now()) {
		c = CERT_OF(it, sleep);
		if (when(en, c) > clock_now())
			renew_sleep(en, c, when(en, c));
		else
			(void)make_ready(en, c);
	}
	for (i = 0; i < en->conf->n_cas; i++)
		pump(&en->cas[i]);
	tick_set(en);
}

/* From the loop: whoever finds that the clock has changed may be about to say
 * what became of an attempt. */
void
renew_all(struct engine *en)
{
	loop_timer_set(en->all_timer, 0);
}

static void
on_all(void *arg)
{
	struct engine *en = arg;
	uint32_t i;

	for (i = 0; en->started && i < en->certs.n; i++)
		if (en->certs.all[i].issue == NULL)
			renew_sleep(
			    en, &en->certs.all[i], when(en, &en->certs.all[i]));
	if (en->started)
		wake(en);
}

/* The first CA of its list that waits for a person is next. */
static void
back_to_stopped(const struct engine *en, struct cert *c)
{
	const struct session *s;
	uint32_t i;

	for (i = 0; !cert_ordering(c) && i < c->ca_at; i++) {
		s = en->cas[c->conf->cas[i]].session;
		if (failover_refusal(en->conf, c, i) == NULL &&
		    session_blocked(s, NULL) == INT64_MAX)
			failover_to(c, i);
	}
}

/* All of its list are tried again. */
static void
unblock(struct engine *en, struct cert *c)
{
	const uint32_t *cas = c->conf->cas;
	const char *why;
	uint32_t i;

	for (i = 0; i < c->conf->n_cas; i++) {
		if (session_blocked(en->cas[cas[i]].session, &why) != 0)
			log_info("the CA is tried again at once",
			    KV("cert", c->conf->name),
			    KV("ca", en->conf->cas[cas[i]].name),
			    KV("error", why));
		session_unblock(en->cas[cas[i]].session);
	}
}

void
renew_now(struct engine *en, struct cert *c)
{
	c->forced = true;
	c->in_vain = 0;
	c->asked = ++en->asked;
	c->rehearse = false;
	c->issue_trouble.operator= false;
	if (en->clock_bad) {
		/* a person does not wait for the next look */
		clock_ask(en);
		log_warn("issuing has to wait", KV("cert", c->conf->name),
		    KV("error", "the clock of this machine is wrong"),
		    KV("hint", "set it; acmed goes on by itself"));
	}
	renew_leave(en, c); /* or it begins where it is now */
	back_to_stopped(en, c);
	/* in front of those that wait for the same CA: it is the one to try */
	if (en->started && c->issue == NULL && !en->clock_bad)
		(void)enqueue(en, c);
	unblock(en, c);
	renew_look(en, c);
}

int
renew_check(
    struct engine *en, struct cert *c, enum issue_mode mode, struct err *e)
{
	struct ca_queue *q;

	if (c->issue != NULL || cert_ordering(c) || c->check != 0)
		return err_set(e, ERR_STALE, 0,
		    "%s: an attempt is under way: look at acmectl status, and "
		    "ask again when it is over",
		    c->conf->name);
	if (mode == ISSUE_REHEARSAL && renew_test_ca(en, c) == CONF_NONE)
		return err_set(e, ERR_CONFIG, 0,
		    "%s: CA %s has no test CA (staging), or is told not to "
		    "rehearse",
		    c->conf->name, en->conf->cas[failover_ca(c)].name);
	if (en->clock_bad)
		return err_set(e, ERR_STALE, 0,
		    "%s: the clock of this machine is wrong: nothing can be "
		    "checked until it is right",
		    c->conf->name);
	c->check = (unsigned char)mode;
	c->asked = ++en->asked;
	if (!en->started)
		return 0;
	q = enqueue(en, c);
	session_unblock(q->session);
	pump(q);
	return 0;
}

/* What waits gets more urgent: six days are half over when sixty have hardly
 * begun, and what was least urgent when an outage began is first behind it. */
static void
sort_again(struct engine *en, struct ca_queue *q)
{
	uint32_t i;

	for (i = 0; q->ready.n + q->limited.n != 0 && i < en->certs.n; i++) {
		struct cert *c = &en->certs.all[i];

		if (c->ready.pos == 0 || &en->cas[c->queue] != q)
			continue;
		heap_put(c->limited ? &q->limited : &q->ready, &c->ready,
		    pace_urgency(en, c, c->instead != NULL));
		sort_when_late(en, c);
	}
}

static void
on_tick(void *arg)
{
	struct engine *en = arg;
	int64_t now = clock_now();
	bool hourly = now - en->paced_at >= HOUR || now < en->paced_at;
	uint32_t i;

	clock_look(en);
	clock_tick(en);
	if (hourly) {
		en->paced_at = now;
		pace_learn(en);
		crowd_learn(en);
		health_tell(en);
	}
	if (hourly || now >= en->sort_at) {
		en->sort_at = INT64_MAX;
		for (i = 0; i < en->conf->n_cas; i++)
			sort_again(en, &en->cas[i]);
	}
	for (i = 0; hourly && i < en->conf->n_cas; i++)
		move_elsewhere(en, &en->cas[i]);
	wake(en);
}

/* A validation that takes hours keeps nobody else waiting. */
static bool
on_slow(void *arg, struct cert *c)
{
	struct engine *en = arg;
	struct ca_queue *q = &en->cas[c->queue];

	if (q->parked >= PARKED_MAX)
		return false;
	c->parked = true;
	q->parked++;
	q->active--;
	pump(q);
	return true;
}

static void
ended(void *arg, struct cert *c, const struct outcome *o)
{
	struct engine *en = arg;
	struct ca_queue *q = &en->cas[c->queue];

	/* the end is not the CA's fault: what is on disk holds */
	if (en->stopping) {
		engine_halted(en);
		return;
	}
	clock_look(en); /* a reply may have told of the time */
	if (c->parked)
		q->parked--;
	else
		q->active--;
	c->parked = false;
	busy(en, c, false);
	outcome_note(en, c, o);
	q->done += o->end == ISSUE_OK && o->mode == ISSUE_REAL;
	status_soon(en);
	renew_look(en, c);
	pump(q);
}

/* Before an attempt */

static bool
may_start(const struct ca_queue *q)
{
	const struct breaker *b;

	if (!q->engine->started || q->engine->stopping ||
	    q->engine->clock_bad || (q->ready.n == 0 && q->limited.n == 0))
		return false;
	b = session_breaker(q->session);
	return b->until == 0 &&
	       q->active < (breaker_probing(b) ? 1 : q->places);
}

static void
begin(struct ca_queue *q, struct cert *c)
{
	struct engine *en = q->engine;
	const struct conf_ca *ca = session_ca(q->session);
	struct issue_spec spec = { .session = q->session,
		.mode = mode_of(en, c) };
	struct err e = { .kind = ERR_NONE };
	bool paced = pace_applies(en, c);

	if (!cert_ordering(c) && spec.mode != ISSUE_CHECK && !afford(q, c))
		return;
	if (paced)
		pace_take(q);
	renew_waits(c, NULL);
	renew_leave(en, c);
	if (spec.mode == ISSUE_REHEARSAL)
		spec.rehearsed = en->cas[failover_ca(c)].session;
	spec.caa = spec.mode == ISSUE_CHECK || c->check != 0 || c->ca_at != 0;
	if (spec.mode == ISSUE_REAL)
		log_info(c->have.version == 0 ? "issuing" : "renewing",
		    KV("cert", c->conf->name), KV("ca", ca->name));
	else
		log_info(spec.mode == ISSUE_CHECK ? "checking" : "trying out",
		    KV("cert", c->conf->name), KV("ca", ca->name));
	q->active++;
	if (issue_start(&en->issue_env, c, &spec, ended, en, &e) == NULL)
		ended(en, c,
		    &(struct outcome){ ISSUE_FAILED, spec.mode, WHERE_HERE,
			false, false, &e });
}

/* Call again then.  Several reasons may ask; the first one counts. */
static void
again_at(struct ca_queue *q, int64_t t)
{
	int64_t wait = t - clock_now();

	loop_timer_set(q->timer, (wait < 1 ? 1 : wait) * 1000);
}

/* The next one that waits only for the account's limit. */
static struct cert *
next_limited(struct ca_queue *q, int64_t *until)
{
	struct heap_item *it = heap_first(&q->limited);
	struct budget_order order;
	struct budget_wait why;
	struct cert *c;

	*until = 0;
	if (it == NULL)
		return NULL;
	c = CERT_OF(it, ready);
	order = issue_counts(c, q->session);
	*until =
	    budget_when(session_budget(q->session), &order, clock_now(), &why);
	if (*until != 0 && why.limit == LIMIT_NEW_ORDERS)
		return NULL;
	return c;
}

/*
 * One of them asks whether the CA is well again: each in its turn, or the most
 * urgent one would do it for ever, and may be what the CA cannot answer.
 */
static struct cert *
next_probe(struct ca_queue *q, struct cert *c)
{
	struct certs *cs = &q->engine->certs;
	uint32_t i;

	for (i = 0; i < cs->n && c->in_vain != 0; i++) {
		struct cert *o = &cs->all[i];

		if (o->ready.pos == 0 || o->limited ||
		    &q->engine->cas[o->queue] != q)
			continue;
		if (o->in_vain < c->in_vain ||
		    (o->in_vain == c->in_vain && o->ready.key < c->ready.key))
			c = o;
	}
	return c;
}

/* What it begins may end at once, or go to another CA's queue, and so come back
 * here: the loop that runs already looks again.  The stack does not grow with
 * the number of those that wait. */
static void
pump(struct ca_queue *q)
{
	int64_t paced = 0, limited = 0;
	struct heap_item *first;
	struct cert *c;

	if (q->pumping)
		return;
	q->pumping = true;
	while (may_start(q)) {
		c = next_limited(q, &limited);
		first = heap_first(&q->ready);
		if (first != NULL && (c == NULL || first->key < c->ready.key))
			c = CERT_OF(first, ready);
		if (c == NULL)
			break;
		if (breaker_probing(session_breaker(q->session)))
			c = next_probe(q, c);
		if (!clock_settled(q->engine, c))
			break;
		paced = pace_applies(q->engine, c) ? pace_when(q) : 0;
		if (paced != 0)
			break;
		begin(q, c);
	}
	q->pumping = false;
	if (paced != 0 && (limited == 0 || paced < limited))
		again_at(q, paced);
	else if (limited != 0)
		again_at(q, limited);
}

static void
on_queue_timer(void *arg)
{
	pump(arg);
}

void
renew_ca_changed(void *arg, struct session *s)
{
	struct engine *en = arg;
	uint32_t i;

	if (en->clock_bad)
		clock_ask(en);
	for (i = 0; i < en->conf->n_cas; i++) {
		if (en->cas[i].session != s)
			continue;
		if (session_blocked(s, NULL) != 0 && en->started)
			move_on(en, &en->cas[i]);
		else if (en->started)
			sort_again(en, &en->cas[i]);
		pump(&en->cas[i]);
	}
	if (en->started && session_blocked(s, NULL) == 0)
		move_back(en, s);
	/* what waits at others for a limit may be for it */
	for (i = 0; en->started && i < en->conf->n_cas; i++)
		move_elsewhere(en, &en->cas[i]);
	status_soon(en);
}

static void
on_status(void *arg)
{
	struct engine *en = arg;
	struct ipc_status s;

	engine_count(en, &s);
	upstairs_status(en->upstairs, &s);
}

/* Life */

static int
queue_init(struct engine *en, uint32_t i, struct err *e)
{
	struct ca_queue *q = &en->cas[i];

	q->engine = en;
	q->timer = loop_timer_new(en->loop, on_queue_timer, q, e);
	q->session =
	    q->timer == NULL ? NULL : session_new(&en->session_env, i, e);
	if (q->session == NULL || heap_init(&q->ready, en->certs.n, e) == -1)
		return -1;
	return heap_init(&q->limited, en->certs.n, e);
}

int
renew_init(struct engine *en, struct err *e)
{
	uint32_t i;

	en->issue_env.on_slow = on_slow;
	en->issue_env.slow_arg = en;
	en->tick = loop_timer_new(en->loop, on_tick, en, e);
	en->all_timer = loop_timer_new(en->loop, on_all, en, e);
	en->status_timer = loop_timer_new(en->loop, on_status, en, e);
	en->cas = calloc(en->conf->n_cas + 1, sizeof(*en->cas));
	if (en->cas == NULL || en->tick == NULL || en->all_timer == NULL ||
	    en->status_timer == NULL)
		return err_nomem(e, "schedule");
	for (i = 0; i < en->conf->n_cas; i++)
		if (queue_init(en, i, e) == -1)
			return -1;
	return heap_init(&en->sleeping, en->certs.n, e);
}

/* When it cannot be looked for, it will not be found, and that is all. */
static void
seek(struct engine *en, const struct cert *c)
{
	struct err e;

	if (session_seek(en->cas[c->order_ca].session, c, &e) == -1)
		log_warn("a lost order is not looked for",
		    KV("cert", c->conf->name), KV("error", e.what));
}

void
renew_start(struct engine *en)
{
	uint32_t i;

	clock_look(en);
	if (!en->clock_bad)
		(void)clock_mend(en);
	for (i = 0; i < en->certs.n; i++) {
		struct cert *c = &en->certs.all[i];

		c->engine = en;
		if (cert_ordering(c))
			issue_hold(c, en->cas[c->order_ca].session);
		if (c->begun != 0)
			seek(en, c);
		if (c->stale_key != NULL)
			keys_drop(en->keys, c->stale_key);
		if (c->deploy == DEPLOY_RELOAD && c->conf->reload == CONF_NONE)
			c->deploy = DEPLOY_DONE;
		if (c->deploy == DEPLOY_RELOAD)
			deploy_due(en, c);
		heap_put(&en->sleeping, &c->sleep, when(en, c));
	}
	en->started = true;
	en->sort_at = INT64_MAX;
	en->paced_at = clock_now();
	pace_learn(en);
	crowd_begin(en);
	crowd_learn(en);
	wake(en);
	status_soon(en);
}

void
renew_done(struct engine *en)
{
	uint32_t i;

	for (i = 0; en->certs.all != NULL && i < en->certs.n; i++)
		issue_cancel(en->certs.all[i].issue);
	for (i = 0; en->cas != NULL && i < en->conf->n_cas; i++) {
		session_free(en->cas[i].session);
		loop_timer_free(en->cas[i].timer);
		heap_done(&en->cas[i].ready);
		heap_done(&en->cas[i].limited);
	}
	free(en->cas);
	en->cas = NULL;
	heap_done(&en->sleeping);
	crowd_end(en);
	loop_timer_free(en->tick);
	loop_timer_free(en->all_timer);
	loop_timer_free(en->status_timer);
}
