/* SPDX-License-Identifier: ISC */
/*
 * A session that sends nothing: the engine's breaker, budget and clock
 * (outage.c, guard.c) behind session.h, and a CA that answers by a call.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/engine/session_int.h"
#include "lib/acme/ari.h"
#include "lib/base/clock.h"
#include "tests/fleet/fleet.h"
#include "tests/fleet/session.h"

#define LATENCY_MS    80
#define DATE_MS       60000 /* a Date is looked at so often */
#define WINDOWS_AGAIN 21600 /* as Let's Encrypt says */

/* All answers take as long as each other: first in, first out. */
struct ask {
	TAILQ_ENTRY(ask) link;
	struct session *s;
	enum ask_kind kind;
	int64_t at_ms;
	ask_done *done;
	void *arg;
	uint32_t cert;
};
static struct ask_list asks = TAILQ_HEAD_INITIALIZER(asks);
static struct ask_list spare = TAILQ_HEAD_INITIALIZER(spare);
static struct loop_timer *answering;

static char date[64];

const char *
http_header(const struct http_reply *h, const char *name, unsigned i)
{
	(void)h;
	return i == 0 && strcmp(name, "Date") == 0 ? date : NULL;
}

uint32_t
http_ms(const struct http_reply *h)
{
	(void)h;
	return 0;
}

void
session_heard(struct session *s)
{
	time_t t = (time_t)world_now();
	struct tm tm;

	session_answers(s);
	if (s->clock_seen_ms != 0 &&
	    clock_mono_ms() - s->clock_seen_ms < DATE_MS)
		return;
	(void)strftime(
	    date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
	clock_learn(s, NULL);
}

static bool
is_out(const struct session *s, struct err *e)
{
	const struct outage *o = ca_outage(s->index, world_now());

	if (o == NULL)
		return false;
	if (o->retry_after == -1)
		(void)err_set(e, ERR_NET, 28, "%s: timed out", s->ca->name);
	else
		(void)err_set(e, ERR_HTTP, 503, "%s: 503", s->ca->name);
	e->retry_after_s = o->retry_after;
	return true;
}

bool
session_out(struct session *s, struct err *e)
{
	if (!is_out(s, e))
		return false;
	session_trip(s, e);
	return true;
}

static void
answer_window(struct ask *a)
{
	struct renewal_info info = { 0 };
	struct reply r = { .status = 200, .retry_after_s = WINDOWS_AGAIN };

	ledger_window(&records[a->cert], &info.start, &info.end);
	if (records[a->cert].revoked)
		info.explanation = "https://le.test/incident";
	r.body = (const char *)&info;
	r.len = sizeof(info);
	a->done(a->arg, &r, NULL);
}

static void
answer(struct ask *a)
{
	struct err e;

	/* of windows alone nothing follows (protocol J5) */
	if (a->kind == ASK_RENEWAL ? is_out(a->s, &e) : session_out(a->s, &e)) {
		a->done(a->arg, NULL, &e);
		return;
	}
	session_heard(a->s);
	if (a->kind == ASK_RENEWAL)
		answer_window(a);
	else
		a->done(a->arg, &(struct reply){ .retry_after_s = -1 }, NULL);
}

static void
on_answering(void *arg)
{
	struct ask *a;

	(void)arg;
	while ((a = TAILQ_FIRST(&asks)) != NULL && a->at_ms <= sim_ms()) {
		TAILQ_REMOVE(&asks, a, link);
		answer(a);
		TAILQ_INSERT_HEAD(&spare, a, link);
	}
	if (a != NULL)
		loop_timer_set(answering, a->at_ms - sim_ms());
}

/* lib/acme's, but for the body, which is a struct here. */
int
renewal_info_decode(const char *body, size_t len, struct pool *pool,
    struct renewal_info *out, struct err *e)
{
	(void)len;
	(void)pool;
	(void)e;
	memcpy(out, body, sizeof(*out));
	return 0;
}

struct ask *
session_ask(struct session *s, const struct ask_spec *spec, ask_done *done,
    void *arg, struct err *e)
{
	struct ask *a = TAILQ_FIRST(&spare);

	if (spec->kind == ASK_RENEWAL && s->dir.renewal_info == NULL) {
		(void)err_set(e, ERR_CONFIG, 0, "%s has no renewal information",
		    s->ca->name);
		return NULL;
	}
	if (a != NULL)
		TAILQ_REMOVE(&spare, a, link);
	else if ((a = malloc(sizeof(*a))) == NULL)
		abort();
	*a = (struct ask){ .s = s,
		.kind = spec->kind,
		.at_ms = sim_ms() + LATENCY_MS,
		.done = done,
		.arg = arg };
	if (spec->kind == ASK_RENEWAL) {
		/* ari.c's; to read its id again would cost a tenth of all */
		a->cert = ((const struct cert *)arg)->index;
		__builtin_prefetch(&records[a->cert]);
		ca_stats(s->index)->polls++;
	}
	if (TAILQ_EMPTY(&asks))
		loop_timer_set(answering, LATENCY_MS);
	TAILQ_INSERT_TAIL(&asks, a, link);
	return a;
}

void
ask_cancel(struct ask *a)
{
	if (a == NULL)
		return;
	TAILQ_REMOVE(&asks, a, link);
	TAILQ_INSERT_HEAD(&spare, a, link);
}

/* What has been said of when to ask again is kept by world.c. */
int
account_save(struct session *s, store_done *done, void *arg, struct err *e)
{
	(void)s;
	(void)done;
	(void)arg;
	(void)e;
	return 0;
}

struct session *
session_new(const struct session_env *env, uint32_t ca, struct err *e)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL ||
	    (answering == NULL && (answering = loop_timer_new(env->loop,
				       on_answering, NULL, e)) == NULL)) {
		free(s);
		(void)err_nomem(e, "session");
		return NULL;
	}
	s->env = env;
	s->ca = &env->conf->cas[ca];
	s->index = ca;
	s->state = SESSION_READY;
	s->dir.renewal_info = strcmp(s->ca->name, "other") == 0
				  ? NULL
				  : "https://le.test/renewal-info";
	if (asprintf(&s->doc.url, "https://%s.test/account", s->ca->name) ==
		-1 ||
	    (s->doc.key_id = strdup("key")) == NULL ||
	    outage_begin(s, e) == -1 || budget_begin(s, e) == -1) {
		session_free(s);
		return NULL;
	}
	return s;
}

void
session_free(struct session *s)
{
	if (s == NULL)
		return;
	budget_stop(s);
	outage_end(s);
	free(s->doc.url);
	free(s->doc.key_id);
	free(s);
}

int
session_load(struct session *s, store_done *loaded, void *arg, struct err *e)
{
	int64_t until = world_not_before(s->index);

	if (until > clock_now()) {
		s->not_before = until;
		session_block(s, clock_now(), until, "as it said before");
	}
	s->loaded = loaded;
	s->loaded_arg = arg;
	return budget_load(s, e);
}

void
sessions_end(void)
{
	struct ask *a;

	TAILQ_CONCAT(&spare, &asks, link);
	while ((a = TAILQ_FIRST(&spare)) != NULL) {
		TAILQ_REMOVE(&spare, a, link);
		free(a);
	}
	loop_timer_free(answering);
	answering = NULL;
}

uint32_t
session_index(const struct session *s)
{
	return s->index;
}

const struct conf_ca *
session_ca(const struct session *s)
{
	return s->ca;
}

const char *
session_account_url(const struct session *s)
{
	return s->doc.url;
}

/* This CA lists no orders. */
int
session_seek(struct session *s, const struct cert *cert, struct err *e)
{
	(void)s;
	(void)cert;
	(void)e;
	return 0;
}

void
session_proved(struct session *s)
{
	(void)s; /* no account gets lost here */
}

const char *
session_thumbprint(const struct session *s)
{
	(void)s;
	return NULL;
}

const struct directory *
session_directory(const struct session *s)
{
	return &s->dir;
}

bool
session_look_again(struct session *s)
{
	(void)s;
	return false;
}
