/* SPDX-License-Identifier: ISC */
/*
 * The CA's renewal windows (RFC 9773): asked for when a certificate is there,
 * and then as often as the CA says.  What is learned moves the instant of the
 * renewal; that nothing is learned never does.
 */

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/engine.h"
#include "daemon/engine/schedule.h"
#include "lib/acme/ari.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/rnd.h"

#define MINUTE     INT64_C(60)
#define HOUR       (60 * MINUTE)
#define DAY        (24 * HOUR)
#define USUAL_S    (6 * HOUR) /* when the CA does not say (4.3.3) */
#define LOOKS_MAX  8          /* at once */
#define SPREAD_S   2          /* a certificate, after a start */
#define CURL_TIMED 28         /* CURLE_OPERATION_TIMEDOUT */
#define TRIES_MAX  9          /* 1 min doubled so often is over 6 h */

#define OF(ptr) \
	((struct cert *)(void *)((char *)(ptr)-offsetof(struct cert, look)))

static void pump(struct engine *);

static void
timer_set(struct engine *en)
{
	const struct heap_item *first = heap_first(&en->looks);
	int64_t wait;

	if (first == NULL || en->looking >= LOOKS_MAX)
		return;
	wait = first->key - clock_now();
	wait = wait < 0 ? 0 : wait > HOUR ? HOUR : wait;
	if (en->clock_bad && wait < MINUTE)
		wait = MINUTE; /* nobody is asked until it is right */
	loop_timer_set(en->look_timer, wait * 1000);
}

static void
look_at(struct engine *en, struct cert *c, int64_t when)
{
	c->window.next = when;
	heap_put(&en->looks, &c->look, when);
	if (heap_first(&en->looks) == &c->look)
		timer_set(en);
}

void
ari_drop(struct engine *en, struct cert *c)
{
	heap_remove(&en->looks, &c->look);
	if (c->looking != NULL) {
		ask_cancel(c->looking);
		c->looking = NULL;
		en->looking--;
	}
}

/* When it is over there is nothing to time any more (protocol J8). */
static bool
has_window(const struct engine *en, const struct cert *c)
{
	return c->have.version != 0 && c->have.ari_id != NULL &&
	       c->have.not_after > engine_now(en);
}

void
ari_watch(struct engine *en, struct cert *c)
{
	ari_drop(en, c);
	if (has_window(en, c))
		look_at(en, c, clock_now());
}

static void
tell(const struct engine *en, const struct cert *c)
{
	const struct window *w = &c->window;
	char start[CLOCK_RFC3339_MAX], end[CLOCK_RFC3339_MAX];
	char at[CLOCK_RFC3339_MAX];

	clock_format(w->start, start);
	clock_format(w->end, end);
	clock_format(cert_renew_at(c), at);
	if (cert_recalled(c, engine_now(en)))
		log_warn("the CA wants this certificate replaced now: its "
			 "renewal window is over",
		    KV("cert", c->conf->name), KV("ca", c->have.ca),
		    KV("start", start), KV("end", end), KV("see", w->url));
	else if (cert_renew_at(c) < w->start)
		/* nothing to act on: it is renewed, if not when the CA likes */
		log_info("the CA's renewal window is later than acmed waits",
		    KV("cert", c->conf->name), KV("ca", c->have.ca),
		    KV("start", start), KV("end", end), KV("renewal", at));
	else
		log_info("renewal window", KV("cert", c->conf->name),
		    KV("start", start), KV("end", end), KV("renewal", at),
		    KV("see", w->url));
}

static bool
same_page(const struct window *w, const struct renewal_info *info)
{
	if (w->url == NULL || info->explanation == NULL)
		return w->url == NULL && info->explanation == NULL;
	return strcmp(w->url, info->explanation) == 0;
}

/* The same window keeps its instant, whatever else is new (protocol J3). */
static void
take_window(struct engine *en, struct cert *c, const struct renewal_info *info)
{
	struct window *w = &c->window;
	int64_t now = engine_now(en);
	bool same = w->start == info->start && w->end == info->end;

	if (same && (info->end > now) == (w->past_since == 0) &&
	    same_page(w, info))
		return;
	if (!same)
		w->picked = schedule_in_window(info->start, info->end);
	w->start = info->start;
	w->end = info->end;
	free(w->url);
	w->url = info->explanation == NULL ? NULL : strdup(info->explanation);
	w->past_since = info->end > now ? 0 : now;
	tell(en, c);
	cert_save_told(&en->certs, c);
	renew_look(en, c);
}

/* Temporary: soon again, ever later; else, and in the end, as usual (J7). */
static int64_t
after_failure(struct window *w, const struct err *e)
{
	bool temporary = (e->kind == ERR_NET && e->num == CURL_TIMED) ||
			 e->num >= 500 || e->num == 429;

	if (!temporary || w->failures >= TRIES_MAX)
		return rnd_jitter(USUAL_S, 20);
	return rnd_jitter(MINUTE << w->failures++, 20);
}

static int64_t
as_said(int64_t said, int64_t otherwise)
{
	if (said <= 0)
		return otherwise;
	said = said < MINUTE ? MINUTE : said > DAY ? DAY : said;
	return said + (int64_t)rnd_below((uint64_t)said / 50 + 1);
}

static void
failed(struct engine *en, struct cert *c, const struct err *e)
{
	struct window *w = &c->window;

	log_debug("no renewal window", KV("cert", c->conf->name),
	    KV("error", e->what));
	/* the CA does not know it: what it said before is void */
	if (e->num == 404 && w->end != 0) {
		window_clear(w);
		cert_save_told(&en->certs, c);
		renew_look(en, c);
	}
	look_at(en, c,
	    clock_now() + as_said(e->retry_after_s, after_failure(w, e)));
}

static void
on_info(void *arg, const struct reply *r, const struct err *e)
{
	AUTO(pool_free) struct pool *pool = pool_new(2 * ARI_BODY_MAX);
	struct cert *c = arg;
	struct engine *en = c->engine;
	struct renewal_info info;
	struct err bad;

	c->looking = NULL;
	en->looking--;
	if (e == NULL && pool != NULL &&
	    renewal_info_decode(r->body, r->len, pool, &info, &bad) == 0) {
		c->window.failures = 0;
		look_at(en, c,
		    clock_now() +
			as_said(r->retry_after_s, rnd_jitter(USUAL_S, 20)));
		take_window(en, c, &info);
	} else {
		if (pool == NULL)
			(void)err_nomem(&bad, "renewal information");
		bad.retry_after_s = e == NULL ? r->retry_after_s : -1;
		failed(en, c, e == NULL ? &bad : e);
	}
	pump(en);
}

/* The one that issued it, whatever is configured now (protocol J9). */
static struct session *
issuer_of(const struct engine *en, const struct cert *c)
{
	uint32_t i;

	for (i = 0; c->have.ca != NULL && i < en->conf->n_cas; i++)
		if (strcmp(en->conf->cas[i].name, c->have.ca) == 0)
			return en->cas[i].session;
	return NULL;
}

static void
ask(struct engine *en, struct cert *c)
{
	struct session *s = issuer_of(en, c);
	struct ask_spec spec = {
		.kind = ASK_RENEWAL, .url = c->have.ari_id, .once = true
	};
	struct err e;

	if (s == NULL || session_blocked(s, NULL) != 0) {
		look_at(en, c, clock_now() + rnd_jitter(HOUR, 20));
		return;
	}
	c->looking = session_ask(s, &spec, on_info, c, &e);
	if (c->looking == NULL)
		failed(en, c, &e);
	else
		en->looking++;
}

static void
pump(struct engine *en)
{
	struct heap_item *it;
	struct cert *c;

	while (en->looking < LOOKS_MAX && !en->clock_bad &&
	       (it = heap_first(&en->looks)) != NULL &&
	       it->key <= clock_now()) {
		c = OF(it);
		heap_remove(&en->looks, it);
		if (has_window(en, c))
			ask(en, c);
	}
	timer_set(en);
}

static void
on_timer(void *arg)
{
	pump(arg);
}

int
ari_init(struct engine *en, struct err *e)
{
	en->look_timer = loop_timer_new(en->loop, on_timer, en, e);
	if (en->look_timer == NULL)
		return -1;
	return heap_init(&en->looks, en->conf->n_certs, e);
}

/* Also those that were over by a clock that was wrong. */
void
ari_look(struct engine *en)
{
	uint64_t spread = (uint64_t)en->certs.n * SPREAD_S;
	int64_t now = clock_now();
	uint32_t i;

	/* A restart does not make all of them ask at once. */
	spread = spread < MINUTE ? MINUTE : spread > USUAL_S ? USUAL_S : spread;
	for (i = 0; en->started && i < en->certs.n; i++) {
		struct cert *c = &en->certs.all[i];

		if (c->looking != NULL || !has_window(en, c))
			continue;
		if (c->look.pos == 0 && c->window.next <= now)
			c->window.next = now + (int64_t)rnd_below(spread);
		heap_put(&en->looks, &c->look, c->window.next);
	}
	timer_set(en);
}

void
ari_done(struct engine *en)
{
	uint32_t i;

	for (i = 0; en->certs.all != NULL && i < en->certs.n; i++)
		ari_drop(en, &en->certs.all[i]);
	heap_done(&en->looks);
	loop_timer_free(en->look_timer);
}
