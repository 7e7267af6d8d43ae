/* SPDX-License-Identifier: ISC */
/*
 * What to do next.  Every certificate is in one place: asleep in a heap by the
 * instant of its next attempt, ready in its CA's heap by urgency, or active.
 */

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/engine.h"
#include "daemon/engine/schedule.h"
#include "lib/acme/problem.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/rnd.h"

#define HOUR        INT64_C(3600)
#define DAY         (24 * HOUR)
#define STATUS_MS   200
#define FAILING_MAX 1000000

#define OF(ptr, member) \
	((struct cert *)(void *)((char *)(ptr)-offsetof(struct cert, member)))

static void pump(struct ca_queue *);

static struct ca_queue *
queue_of(const struct engine *en, const struct cert *c)
{
	return &en->cas[c->conf->cas[0]];
}

static int64_t
when(const struct cert *c)
{
	struct schedule_in in = {
		.have = c->have.version != 0,
		.changed = c->have.made_for != c->wants,
		.ordering = c->order_url != NULL,
		.forced = c->forced,
		.renew_at = c->have.renew_at,
		.not_before_attempt = c->issue_trouble.next,
	};

	return schedule_when(&in, clock_now());
}

int64_t
renew_next(const struct engine *en, const struct cert *c)
{
	(void)en;
	return c->sleep.pos == 0 ? 0 : c->sleep.key;
}

static void
tick_set(struct engine *en)
{
	struct heap_item *first = heap_first(&en->sleeping);
	int64_t wait;

	if (first == NULL) {
		loop_timer_stop(en->tick);
		return;
	}
	/* At least hourly: the wall clock may have jumped (protocol Q5). */
	wait = first->key - clock_now();
	if (wait > HOUR)
		wait = HOUR;
	loop_timer_set(en->tick, wait < 0 ? 0 : wait * 1000);
}

static void
sleep_until(struct engine *en, struct cert *c, int64_t t)
{
	heap_put(&en->sleeping, &c->sleep, t);
	if (heap_first(&en->sleeping) == &c->sleep)
		tick_set(en);
}

static void
status_soon(struct engine *en)
{
	if (!loop_timer_pending(en->status_timer))
		loop_timer_set(en->status_timer, STATUS_MS);
}

static void
make_ready(struct engine *en, struct cert *c)
{
	struct ca_queue *q = queue_of(en, c);
	const struct issued *h = &c->have;

	heap_remove(&en->sleeping, &c->sleep);
	if (c->ready.pos == 0)
		deploy_busy(en, c, 1);
	/* what an operator waits for goes first, then what ends first */
	heap_put(&q->ready, &c->ready,
	    c->forced ? -1
		      : (int64_t)schedule_left(
			    h->not_before, h->not_after, clock_now()));
}

void
renew_look(struct engine *en, struct cert *c)
{
	int64_t t;

	if (!en->started || c->issue != NULL)
		return;
	t = when(c);
	if (t > clock_now() || en->clock_bad) {
		sleep_until(en, c, t);
		return;
	}
	make_ready(en, c);
	pump(queue_of(en, c));
}

void
renew_now(struct engine *en, struct cert *c)
{
	c->forced = true;
	c->issue_trouble.operator= false;
	session_unblock(queue_of(en, c)->session);
	renew_look(en, c);
}

static bool
clock_check(struct engine *en)
{
	bool sane = schedule_clock_sane(clock_now(), en->certs.newest_saved);
	char newest[CLOCK_RFC3339_MAX];

	if (!sane && !en->clock_bad) {
		clock_format(en->certs.newest_saved, newest);
		log_error("the clock is wrong: nothing is renewed until it "
			  "is right",
		    KV("saved", newest));
	}
	if (sane && en->clock_bad)
		log_info("the clock is right again", KN("now", clock_now()));
	en->clock_bad = !sane;
	return sane;
}

static void
on_tick(void *arg)
{
	struct engine *en = arg;
	struct heap_item *it;
	struct cert *c;
	bool was_bad = en->clock_bad;
	uint32_t i;

	if (!clock_check(en)) {
		loop_timer_set(en->tick, 60000);
		return;
	}
	for (i = 0; was_bad && i < en->conf->n_cas; i++)
		pump(&en->cas[i]);
	while ((it = heap_first(&en->sleeping)) != NULL &&
	       it->key <= clock_now()) {
		c = OF(it, sleep);
		heap_remove(&en->sleeping, it);
		renew_look(en, c);
	}
	tick_set(en);
}

/* A limit without a word on when it ends: 1 h, doubling to a day. */
static int64_t
unsaid(unsigned failures)
{
	unsigned n = failures < 6 ? failures : 6;
	int64_t wait = HOUR << (n == 0 ? 0 : n - 1);

	return (wait < DAY ? wait : DAY) + (int64_t)rnd_below(30);
}

/* After a failure: when may it be tried again (protocol P, Q1, M1, M2)? */
static int64_t
retry_at(const struct cert *c, const struct err *e, bool *operator)
{
	const struct issued *h = &c->have;
	int64_t now = clock_now();
	int64_t wait = schedule_backoff(
	    c->issue_trouble.failures, h->not_before, h->not_after, now);
	enum verdict v = VERDICT_BACK_OFF;
	bool limited;
	size_t len;

	/* trouble of this machine: mended soon perhaps, and no CA minds */
	if ((e->kind == ERR_SYS || e->kind == ERR_NOMEM) && wait > HOUR)
		wait = rnd_jitter(HOUR, 20);
	if (e->kind == ERR_PROBLEM)
		v = problem_verdict((enum acme_problem)e->problem);
	*operator= v == VERDICT_OPERATOR || v == VERDICT_ACCOUNT;
	limited = e->kind == ERR_PROBLEM && e->problem == PROBLEM_RATE_LIMITED;
	if (limited && e->retry_after_s < 0) {
		const char *url = problem_url(e->what, &len);

		/* paused by the CA: a person must open a page */
		if (url != NULL && memmem(url, len, "unpause", 7) != NULL)
			*operator= true;
		else
			wait = unsaid(c->issue_trouble.failures);
	}
	if (*operator)
		wait = rnd_jitter(DAY, 5);
	if (e->retry_after_s > 0) {
		int64_t said = e->retry_after_s + (int64_t)rnd_below(30);

		/* exactly as the CA says, when it says it of a limit */
		if (limited || (said > wait && said <= DAY))
			wait = said;
		else if (said > DAY && wait < DAY)
			wait = DAY;
	}
	return now + wait;
}

static const char *
trouble_type(const struct err *e)
{
	if (e->kind == ERR_PROBLEM && e->problem != PROBLEM_UNKNOWN)
		return problem_name((enum acme_problem)e->problem);
	return err_kind_name(e->kind);
}

static void
state_saved(void *arg, const struct err *e)
{
	const struct cert *c = arg;

	if (e != NULL)
		log_error("state not saved", KV("cert", c->conf->name),
		    KV("error", e->what));
}

static void
save(struct engine *en, struct cert *c)
{
	struct err e = { .kind = ERR_NONE };

	if (cert_save(&en->certs, c, SAVE_CERT, state_saved, c, &e) == NULL)
		state_saved(c, &e);
}

static void
note_failure(struct engine *en, struct cert *c, const struct err *e)
{
	struct trouble *t = &c->issue_trouble;
	char next[CLOCK_RFC3339_MAX];

	trouble_set(t, trouble_type(e), e->what, clock_now());
	if (t->failures < FAILING_MAX)
		t->failures++;
	t->next = retry_at(c, e, &t->operator);
	clock_format(t->next, next);
	log_error("certificate not issued", KV("cert", c->conf->name),
	    KV("type", t->type), KV("error", e->what),
	    KN("failures", t->failures), KV("next", next),
	    KV("hint", problem_hint_for(e)));
	save(en, c);
}

static void
ended(void *arg, struct cert *c, enum issue_end end, const struct err *e)
{
	struct engine *en = arg;
	struct ca_queue *q = queue_of(en, c);

	q->active--;
	deploy_busy(en, c, -1);
	switch (end) {
	case ISSUE_OK:
		c->forced = false;
		if (e != NULL) {
			state_saved(c, e);
			save(en, c);
		}
		if (c->deploy == DEPLOY_RELOAD)
			deploy_due(en, c);
		break;
	case ISSUE_FAILED:
		c->forced = false;
		note_failure(en, c, e);
		break;
	case ISSUE_BLOCKED:
		/* The CA's trouble, which it tells; tried again with it. */
		trouble_set(
		    &c->issue_trouble, trouble_type(e), e->what, clock_now());
		log_warn("issuing has to wait", KV("cert", c->conf->name),
		    KV("error", e->what));
		break;
	}
	status_soon(en);
	renew_look(en, c);
	pump(q);
}

static bool
may_start(struct engine *en, struct ca_queue *q)
{
	const struct conf_ca *ca;

	if (q->session == NULL || en->clock_bad || q->ready.n == 0)
		return false;
	ca = session_ca(q->session);
	return q->active < ca->max_orders &&
	       session_blocked(q->session, NULL) == 0;
}

/* Its names have failed too often this hour, perhaps for others (M4). */
static void
wait_for_names(struct engine *en, struct cert *c, int64_t until)
{
	struct trouble *t = &c->issue_trouble;
	char text[CLOCK_RFC3339_MAX];

	clock_format(until, text);
	log_info("too many failed validations of its names: not tried yet",
	    KV("cert", c->conf->name), KV("next", text));
	if (t->text == NULL)
		trouble_set(t, "validation",
		    "a name of it failed 3 validations within the hour, as "
		    "part of another certificate",
		    clock_now());
	t->next = until;
	deploy_busy(en, c, -1);
	sleep_until(en, c, until);
}

static void
begin(struct engine *en, struct ca_queue *q, struct cert *c)
{
	const struct conf_cert *cc = c->conf;
	int64_t guard = 0;
	struct err e;

	heap_remove(&q->ready, &c->ready);
	if (!c->forced && c->order_url == NULL)
		guard = session_validation_when(
		    q->session, cc->idents, cc->n_idents);
	if (guard != 0) {
		wait_for_names(en, c, guard);
		return;
	}
	log_info(c->have.version == 0 ? "issuing" : "renewing",
	    KV("cert", cc->name), KV("ca", session_ca(q->session)->name));
	q->active++;
	if (issue_start(&en->issue_env, c, q->session, ended, en, &e) != NULL)
		return;
	q->active--;
	deploy_busy(en, c, -1);
	note_failure(en, c, &e);
	sleep_until(en, c, c->issue_trouble.next);
}

static void
pump(struct ca_queue *q)
{
	while (may_start(q->engine, q))
		begin(q->engine, q, OF(heap_first(&q->ready), ready));
}

void
renew_ca_changed(void *arg, struct session *s)
{
	struct engine *en = arg;
	uint32_t i;

	for (i = 0; i < en->conf->n_cas; i++)
		if (en->cas[i].session == s)
			pump(&en->cas[i]);
	status_soon(en);
}

void
renew_count(const struct engine *en, struct ipc_status *s)
{
	struct heap_item *first = heap_first(&en->sleeping);
	int64_t now = clock_now();
	uint32_t i;

	memset(s, 0, sizeof(*s));
	s->total = en->certs.n;
	s->next = first == NULL ? 0 : first->key;
	for (i = 0; i < en->certs.n; i++) {
		const struct cert *c = &en->certs.all[i];

		s->valid += c->have.version != 0 && c->have.not_after > now;
		s->busy += c->issue != NULL || c->ready.pos != 0;
		s->failing += cert_health(en, c) >= HEALTH_WARN;
	}
}

static void
on_status(void *arg)
{
	struct engine *en = arg;
	struct ipc_status s;

	renew_count(en, &s);
	upstairs_status(en->upstairs, &s);
}

enum health
cert_health(const struct engine *en, const struct cert *c)
{
	const struct issued *h = &c->have;
	const struct session *s = queue_of(en, c)->session;
	enum alarm a = schedule_alarm(h->not_before, h->not_after, clock_now());

	if (c->issue_trouble.operator|| a ==
	    ALARM_CRITICAL ||(h->version != 0 && h->not_after <= clock_now()) ||
	    (s != NULL && session_blocked(s, NULL) == INT64_MAX) ||
	    c->deploy_trouble.failures >= 3)
		return HEALTH_BAD;
	if (c->issue_trouble.text != NULL || c->deploy_trouble.text != NULL ||
	    a == ALARM_WARN || en->clock_bad)
		return h->version == 0 && c->issue_trouble.failures >= 3
			   ? HEALTH_BAD
			   : HEALTH_WARN;
	return h->version == 0 ? HEALTH_WAITING : HEALTH_OK;
}

int
renew_init(struct engine *en, struct err *e)
{
	const struct conf *conf = en->conf;
	uint32_t i, *per_ca;

	en->tick = loop_timer_new(en->loop, on_tick, en, e);
	en->status_timer = loop_timer_new(en->loop, on_status, en, e);
	en->cas = calloc(conf->n_cas + 1, sizeof(*en->cas));
	per_ca = calloc(conf->n_cas + 1, sizeof(*per_ca));
	if (en->cas == NULL || per_ca == NULL || en->tick == NULL ||
	    en->status_timer == NULL) {
		free(per_ca);
		return err_nomem(e, "schedule");
	}
	for (i = 0; i < conf->n_certs; i++)
		per_ca[conf->certs[i].cas[0]]++;
	for (i = 0; i < conf->n_cas; i++) {
		struct ca_queue *q = &en->cas[i];

		q->engine = en;
		if (per_ca[i] == 0)
			continue;
		q->session = session_new(&en->session_env, i, e);
		if (q->session == NULL ||
		    heap_init(&q->ready, per_ca[i], e) == -1) {
			free(per_ca);
			return -1;
		}
	}
	free(per_ca);
	return heap_init(&en->sleeping, conf->n_certs, e);
}

void
renew_start(struct engine *en)
{
	struct ca_queue *q;
	uint32_t i;

	en->started = true;
	(void)clock_check(en);
	for (i = 0; i < en->certs.n; i++) {
		struct cert *c = &en->certs.all[i];

		if (c->deploy == DEPLOY_RELOAD && c->conf->reload == CONF_NONE)
			c->deploy = DEPLOY_DONE;
		if (c->deploy == DEPLOY_RELOAD)
			deploy_due(en, c);
		heap_put(&en->sleeping, &c->sleep, when(c));
	}
	/* All are in the heap before the first one starts: most urgent first.
	 */
	while (!en->clock_bad && heap_first(&en->sleeping) != NULL &&
	       heap_first(&en->sleeping)->key <= clock_now())
		make_ready(en, OF(heap_first(&en->sleeping), sleep));
	for (q = en->cas; q < en->cas + en->conf->n_cas; q++)
		pump(q);
	tick_set(en);
	if (en->clock_bad)
		loop_timer_set(en->tick, 60000);
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
		heap_done(&en->cas[i].ready);
	}
	free(en->cas);
	en->cas = NULL;
	heap_done(&en->sleeping);
	loop_timer_free(en->tick);
	loop_timer_free(en->status_timer);
}
