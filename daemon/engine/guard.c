/* SPDX-License-Identifier: ISC */
/*
 * What a session learns from what happens: what is left of the CA's limits,
 * how many requests it takes, what time it has, and how long things take there.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/session_int.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define PACE_MIN_MS 10
#define PACE_MAX_MS 2000
#define DAY_MS      (24 * 3600 * INT64_C(1000))
/* By a clock that is off by more than this no TLS can be had, for the server's
 * certificate is short: then it is the CA's that is wrong. */
#define CLOCK_ODD_S  (100 * INT64_C(86400))
#define AGAIN_MS     60000 /* when the budget could not be saved */
#define CLOCK_OFF_S  300   /* protocol J16 */
#define CLOCK_NEWS_S 60

/* The budget: in the store's "budgets/<ca>", soft: a power cut may cost the
 * last few, which the CA then counts for us. */

static void budget_save(void *);

static void
budget_saved(void *arg, const struct store_value *v, const struct err *e)
{
	struct session *s = arg;

	(void)v;
	s->budget_op = NULL;
	if (e != NULL) {
		log_error("budget not saved", KV("ca", s->ca->name),
		    KV("error", e->what), KV("hint", err_hint(e)));
		s->budget_changed = true;
	}
	if (s->budget_changed)
		loop_timer_set(s->budget_timer, e == NULL ? 0 : AGAIN_MS);
}

static void
budget_save(void *arg)
{
	AUTO(buf_done) struct buf text = BUF_INIT(STORE_VALUE_MAX);
	struct session *s = arg;
	char key[STORE_KEY_MAX];
	struct store_put put = { .key = key, .rev = STORE_ANY, .soft = true };
	struct err e;

	if (s->budget_op != NULL)
		return;
	s->budget_changed = false;
	(void)snprintf(key, sizeof(key), "budgets/%s", s->ca->name);
	if (budget_encode(s->budget, clock_now(), &text, &e) == 0) {
		put.data = text.data;
		put.len = text.len;
		s->budget_op = s->env->store->ops->put(
		    s->env->store, &put, budget_saved, s, &e);
	}
	if (s->budget_op != NULL)
		return;
	log_error(
	    "budget not saved", KV("ca", s->ca->name), KV("error", e.what));
	s->budget_changed = true;
	loop_timer_set(s->budget_timer, AGAIN_MS);
}

struct budget *
session_budget(const struct session *s)
{
	return s->budget;
}

void
session_budget_changed(struct session *s)
{
	s->budget_changed = true;
	if (s->budget_op == NULL)
		loop_timer_set(s->budget_timer, 0);
}

static void
budget_loaded(void *arg, const struct store_value *v, const struct err *failed)
{
	struct session *s = arg;
	char key[STORE_KEY_MAX];
	struct err e;

	s->budget_op = NULL;
	if (failed == NULL && v->rev != STORE_ABSENT &&
	    budget_decode(s->budget, v->data, v->len, clock_now(), &e) == -1) {
		if (e.kind == ERR_NOMEM) { /* which is no damage */
			s->loaded(s->loaded_arg, NULL, &e);
			return;
		}
		log_error("damaged budget put aside: the CA's own count holds",
		    KV("ca", s->ca->name), KV("error", e.what));
		(void)snprintf(key, sizeof(key), "budgets/%s", s->ca->name);
		if (s->env->store->ops->set_aside(s->env->store, key, &e) == -1)
			log_error("cannot put it aside", KV("ca", s->ca->name),
			    KV("error", e.what));
	}
	s->loaded(s->loaded_arg, v, failed);
}

int
budget_begin(struct session *s, struct err *e)
{
	s->budget = budget_new(s->ca, s->env->psl, e);
	s->budget_timer = loop_timer_new(s->env->loop, budget_save, s, e);
	return s->budget == NULL || s->budget_timer == NULL ? -1 : 0;
}

int
budget_load(struct session *s, struct err *e)
{
	char key[STORE_KEY_MAX];

	(void)snprintf(key, sizeof(key), "budgets/%s", s->ca->name);
	s->budget_op =
	    s->env->store->ops->get(s->env->store, key, budget_loaded, s, e);
	return s->budget_op == NULL ? -1 : 0;
}

void
budget_stop(struct session *s)
{
	/* What waits is written when the store ends, and nobody is told. */
	s->budget_op = NULL;
	if (s->budget_changed && s->budget != NULL)
		budget_save(s);
	loop_timer_free(s->budget_timer);
	budget_free(s->budget);
}

/* Requests */

int64_t
request_slot(struct session *s)
{
	const struct conf_rate *r = &s->ca->requests;
	int64_t period = r->per_s * INT64_C(1000), now = clock_mono_ms();
	int64_t start = s->requests_full_ms > now ? s->requests_full_ms : now;
	int64_t wait;

	if (r->n == 0)
		return 0;
	s->requests_full_ms = start + period / r->n;
	wait = s->requests_full_ms - period - now;
	return wait > 0 ? wait : 0;
}

/* The clock */

void
clock_tell(struct session *s)
{
	char said[CLOCK_RFC3339_MAX];
	int64_t ahead;
	bool was_off;

	if (!session_clock(s, &ahead) ||
	    llabs(ahead - s->clock_told_s) <= CLOCK_NEWS_S)
		return;
	was_off = s->clock_told_s != 0;
	s->clock_told_s = ahead;
	s->env->clock(s->env->arg);
	if (was_off == (ahead != 0))
		return;
	clock_format(clock_now() + ahead, said);
	if (ahead != 0)
		log_warn("the clock of this host differs from the CA's: what "
			 "acmed does it does by the CA's; look after the clock",
		    KV("ca", s->ca->name), KV("ca_says", said),
		    KN("ahead_s", ahead));
	else
		log_info("the clock agrees with the CA's again",
		    KV("ca", s->ca->name));
}

void
clock_learn(struct session *s, const struct http_reply *h)
{
	const char *date = http_header(h, "Date", 0);
	int64_t t, ahead;

	/* what comes out of a cache has the time of then */
	if (http_header(h, "Age", 0) != NULL || !session_asked_since(s, h))
		return;
	/* nor is it known of when an answer is that was minutes on its way, for
	 * the host has slept meanwhile */
	if (http_ms(h) > CLOCK_OFF_S * 1000)
		return;
	if (date == NULL || clock_parse_http(date, &t) == -1)
		return;
	ahead = t - clock_now();
	if (llabs(ahead) > CLOCK_ODD_S) {
		if (!s->clock_odd)
			log_warn("the CA's clock is not believed",
			    KV("ca", s->ca->name), KV("ca_says", date),
			    KN("ahead_s", ahead));
		s->clock_odd = true;
		return;
	}
	s->clock_odd = false;
	s->clock_said_s = t;
	s->clock_seen_ms = clock_mono_ms();
	clock_tell(s);
}

void
session_doubt(struct session *s)
{
	s->dir_at_ms = 0;
	s->doubt_ms = clock_mono_ms();
}

bool
session_asked_since(const struct session *s, const struct http_reply *h)
{
	return clock_mono_ms() - http_ms(h) >= s->doubt_ms;
}

bool
session_clock(const struct session *s, int64_t *ahead_s)
{
	int64_t age_ms = clock_mono_ms() - s->clock_seen_ms, ahead;

	if (s->clock_seen_ms == 0 || age_ms > DAY_MS)
		return false;
	ahead = s->clock_said_s + age_ms / 1000 - clock_now();
	*ahead_s = llabs(ahead) > CLOCK_OFF_S ? ahead : 0;
	return true;
}

int64_t
session_heard_s(const struct session *s)
{
	return s->clock_seen_ms == 0
		   ? INT64_MAX
		   : (clock_mono_ms() - s->clock_seen_ms) / 1000;
}

int64_t
session_now(const struct session *s)
{
	int64_t ahead;

	return clock_now() + (session_clock(s, &ahead) ? ahead : 0);
}

/* How long things take */

int64_t
session_pace_ms(const struct session *s, enum pace p)
{
	return s->pace_ms[p];
}

/* Meets at the time by which about half of the first polls find it done. */
void
session_pace_learn(struct session *s, enum pace p, bool done_at_first_poll)
{
	int64_t *ms = &s->pace_ms[p];

	*ms = done_at_first_poll ? *ms * 4 / 5 : *ms * 5 / 4 + 1;
	if (*ms < PACE_MIN_MS)
		*ms = PACE_MIN_MS;
	if (*ms > PACE_MAX_MS)
		*ms = PACE_MAX_MS;
}
