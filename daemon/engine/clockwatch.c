/* SPDX-License-Identifier: ISC */
/*
 * The wall clock, which may be wrong at boot, be set while we run, or be off
 * all the time (protocol Q5, J16).  What a CA says of the time, over TLS, is
 * believed more than what we once wrote down.
 */

#include <stdlib.h>

#include "daemon/engine/engine.h"
#include "daemon/engine/schedule.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define BAD_MS     INT64_C(60000)
#define UNHEARD_MS 1000
#define AHEAD_S    INT64_C(60)          /* what is due changes with that */
#define HEARD_S    (22 * INT64_C(3600)) /* session_clock() has a day */

int64_t
engine_now(const struct engine *en)
{
	return clock_now() + en->ahead_s;
}

/* From the clock that is right, to the monotonic one. */
static int64_t
offset_ms(void)
{
	return clock_now_ms() - clock_mono_ms();
}

/* All that we set ourselves by our clock moves with it: a wait that is neither
 * longer nor shorter for that.  What is on disk follows with the next save. */
static void
shift(struct engine *en, int64_t ms)
{
	uint32_t i;

	for (i = 0; i < en->conf->n_cas; i++) {
		struct ca_queue *q = &en->cas[i];

		budget_shift(session_budget(q->session), ms);
		session_shift(q->session, ms / 1000);
		q->pace_full_ms += ms;
		q->first_at += q->first_at == 0 ? 0 : ms / 1000;
	}
	certs_shift(&en->certs, ms / 1000);
	deploy_look(en);
}

/* It is right now. */
static void
take_offset(struct engine *en)
{
	int64_t was = en->offset_ms;

	en->offset_ms = offset_ms();
	if (was != 0)
		shift(en, en->offset_ms - was);
}

unsigned
clock_mend(struct engine *en)
{
	int64_t now = clock_now();
	unsigned n;
	uint32_t i;

	for (i = 0; i < en->conf->n_cas; i++) {
		budget_mend(session_budget(en->cas[i].session), now);
		session_mend(en->cas[i].session);
	}
	n = certs_mend_instants(&en->certs, now);
	ari_look(en);
	deploy_look(en);
	return n;
}

/* What the CAs say: that we are right, when one of them does; else what the one
 * that differs least has.  What they said holds until one is heard again. */
static bool
ask_cas(struct engine *en)
{
	bool known = false;
	int64_t ahead;
	uint32_t i;

	for (i = 0; i < en->conf->n_cas; i++) {
		if (en->cas[i].session == NULL ||
		    !session_clock(en->cas[i].session, &ahead))
			continue;
		if (!known || llabs(ahead) < llabs(en->ahead_s))
			en->ahead_s = ahead;
		known = true;
	}
	return known;
}

static void
say_bad(const struct engine *en)
{
	char newest[CLOCK_RFC3339_MAX], now[CLOCK_RFC3339_MAX];

	clock_format(en->certs.newest_saved, newest);
	clock_format(clock_now(), now);
	log_error("the clock is wrong: nothing is renewed until it is right, "
		  "or a CA confirms it",
	    KV("now", now), KV("saved", newest));
}

static void
on_probed(void *arg, const struct reply *r, const struct err *e)
{
	struct engine *en = arg;

	(void)r;
	en->probe = NULL;
	/* it, or another one, is asked once more before it is used */
	en->clock_doubt =
	    e != NULL &&
	    session_blocked(en->cas[en->probe_ca].session, NULL) != 0;
	clock_look(en);
	renew_all(en);
}

/*
 * The Date of a directory is enough to know.  Not with a clock that is plainly
 * wrong: TLS cannot be had with that.
 */
void
clock_ask(struct engine *en)
{
	struct ask_spec spec = { .kind = ASK_READY };
	struct err e;
	uint32_t i;

	if (!schedule_clock_sane(clock_now(), 0))
		return;
	for (i = 0; en->probe == NULL && i < en->conf->n_cas; i++) {
		session_mend(en->cas[i].session);
		if (!en->conf->cas[i].used ||
		    session_blocked(en->cas[i].session, NULL) != 0)
			continue;
		/* its Date of now is wanted */
		if (en->clock_bad || en->ahead_s != 0)
			session_doubt(en->cas[i].session);
		en->probe_ca = i;
		en->probe =
		    session_ask(en->cas[i].session, &spec, on_probed, en, &e);
	}
}

void
clock_tick(struct engine *en)
{
	uint32_t i;

	for (i = 0; en->ahead_s != 0 && i < en->conf->n_cas; i++)
		if (session_heard_s(en->cas[i].session) < HEARD_S)
			return;
	if (en->ahead_s != 0)
		clock_ask(en);
}

/* Nothing but the clock says that it is due. */
static bool
is_timed(const struct engine *en, const struct cert *c)
{
	return c->have.version != 0 && !c->forced && c->check == 0 &&
	       c->order_url == NULL &&
	       cert_changed(en->conf, c->conf, &c->wants, &c->have) ==
		   CHANGE_NONE;
}

bool
clock_settled(struct engine *en, const struct cert *c)
{
	/* it was set, and we are about to hear of it */
	if (llabs(offset_ms() - en->offset_ms) > AHEAD_S * 1000) {
		loop_timer_set(en->all_timer, UNHEARD_MS);
		return false;
	}
	if (!en->clock_doubt || !is_timed(en, c))
		return true;
	clock_ask(en);
	return en->probe == NULL;
}

/* Nor with a CA's word for it is a clock of use with which there is no TLS. */
static bool
is_sane(const struct engine *en, bool known)
{
	return schedule_clock_sane(
	    clock_now(), known ? 0 : en->certs.newest_saved);
}

void
clock_look(struct engine *en)
{
	bool known = ask_cas(en), sane = is_sane(en, known), changed;
	unsigned n;

	if (sane && (en->offset_ms == 0 || en->clock_bad))
		take_offset(en);
	if (known && sane && en->certs.newest_saved > clock_now() + AHEAD_S) {
		n = clock_mend(en);
		log_warn("state was saved by a clock that was ahead",
		    KN("waits_ended", n));
		en->certs.newest_saved = clock_now();
	}
	if (!sane && !en->clock_bad)
		say_bad(en);
	if (sane && en->clock_bad)
		log_info("the clock is right again", KN("now", clock_now()));
	if (!sane)
		loop_timer_set(en->clock_timer, en->clock_bad ? BAD_MS : 0);
	changed = en->clock_bad != !sane ||
		  llabs(en->ahead_s - en->sorted_s) > AHEAD_S;
	en->clock_bad = !sane;
	if (!changed)
		return;
	en->sorted_s = en->ahead_s;
	ari_look(en);
	renew_all(en);
}

static void
on_timer(void *arg)
{
	struct engine *en = arg;

	clock_look(en);
	if (en->clock_bad)
		clock_ask(en);
}

void
clock_heard(void *engine)
{
	struct engine *en = engine;

	loop_timer_set(en->clock_timer, 0);
}

/* NTP's small steps are nobody's business; nor is that the host has slept,
 * which moves both clocks. */
static void
tell_jump(struct engine *en)
{
	int64_t offset = offset_ms();
	char now[CLOCK_RFC3339_MAX];

	if (llabs(offset - en->told_ms) <= AHEAD_S * 1000)
		return;
	en->told_ms = offset;
	clock_format(clock_now(), now);
	log_warn("the clock was set", KV("now", now));
}

/* Timers stand still while the host sleeps. */
static void
look_again(struct engine *en, bool doubt)
{
	uint32_t i;

	for (i = 0; i < en->conf->n_cas; i++) {
		if (doubt)
			session_doubt(en->cas[i].session);
		session_look(en->cas[i].session);
	}
	for (i = 0; i < en->certs.n; i++)
		if (en->certs.all[i].issue != NULL)
			issue_look(en->certs.all[i].issue);
	deploy_look(en);
}

static void
on_jump(void *arg)
{
	struct engine *en = arg;
	/* Ours is wrong now, or was; or a machine that is not there while it
	 * is paused has lost both. */
	bool doubt = llabs(offset_ms() - en->offset_ms) > AHEAD_S * 1000;

	tell_jump(en);
	if (doubt)
		en->ahead_s = 0;
	if (is_sane(en, ask_cas(en)))
		take_offset(en);
	look_again(en, doubt);
	if (doubt) {
		ask_cancel(en->probe);
		en->probe = NULL;
		en->clock_doubt = true;
		clock_ask(en);
	}
	clock_look(en);
	if (!en->clock_bad)
		(void)clock_mend(en);
	renew_all(en);
}

int
clock_init(struct engine *en, struct err *e)
{
	en->told_ms = offset_ms();
	en->clock_doubt = true;
	en->clock_timer = loop_timer_new(en->loop, on_timer, en, e);
	en->jump = en->clock_timer == NULL
		       ? NULL
		       : loop_jump_new(en->loop, on_jump, en, e);
	return en->jump == NULL ? -1 : 0;
}

void
clock_done(struct engine *en)
{
	ask_cancel(en->probe);
	en->probe = NULL;
	loop_jump_free(en->jump);
	loop_timer_free(en->clock_timer);
}
