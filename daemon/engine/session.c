/* SPDX-License-Identifier: ISC */
/*
 * Asking a CA.  An ask waits until the session is ready, takes a nonce, has
 * the keeper sign, and sends; on_reply() sees every answer.
 */

#include "daemon/engine/session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/policy.h"
#include "daemon/engine/session_int.h"
#include "lib/acme/ari.h"
#include "lib/acme/problem.h"
#include "lib/acme/reply.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/rnd.h"
#include "lib/base/str.h"

#define HOUR        INT64_C(3600)
#define DIR_AGE_MS  (12 * HOUR * 1000)
#define AGAIN_S     INT64_C(30)
#define LINKS_MAX   8
#define VAIN_MAX    3     /* registrations in a row that the CA lost again */
#define REQUEST_MAX 50000 /* Boulder refuses longer bodies (protocol A19) */

struct ask {
	TAILQ_ENTRY(ask) link;
	TAILQ_ENTRY(ask) order_link;
	struct session *s;
	enum ask_kind kind;
	char *
	    url; /* that of ASK_ORDER and ASK_RENEWAL is made when it is sent */
	char *renewal_of;
	char *payload;
	char *accept;
	ask_done *done;
	void (*turn)(void *arg);
	void *arg;
	bool told, go; /* turn() was called; ask_go() was */
	bool setup, jwk, once, started, queued_order;
	bool sent;
	bool slotted; /* has its place among the requests a second (Q6) */
	bool
	    doubted; /* the account was asked for because of what it was told */
	unsigned resends, tries;
	unsigned registration; /* the session's, when it was last sent */
	char *nonce;
	struct http_call *call;
	struct keys_op *signing;
	struct loop_timer *pause;
};

static int ask_start(struct ask *, struct err *);
static int ask_send(struct ask *, struct err *);

static const char *
ask_url(const struct ask *a)
{
	if (a->kind == ASK_ORDER)
		return a->s->dir.new_order;
	return a->url == NULL ? "" : a->url;
}

static void
ask_free(struct ask *a)
{
	struct session *s = a->s;

	TAILQ_REMOVE(&s->asks, a, link);
	if (a->queued_order) {
		TAILQ_REMOVE(&s->ordering, a, order_link);
		loop_timer_set(s->next_order, 0);
	}
	if (s->newest_order == a) {
		s->newest_order = NULL;
		loop_timer_set(s->next_order, 0);
	}
	http_cancel(a->call);
	keys_cancel(a->signing);
	loop_timer_free(a->pause);
	free(a->nonce);
	free(a->renewal_of);
	free(a->url);
	free(a->payload);
	free(a->accept);
	free(a);
}

/* The end of an ask, from the loop. */
static void
ask_finish(struct ask *a, const struct reply *r, const struct err *e)
{
	ask_done *done = a->done;
	void *arg = a->arg;
	AUTO(free) char *url = take_ptr(a->url);

	(void)url; /* r has it too, and done reads that */
	ask_free(a);
	done(arg, r, e);
}

void
ask_cancel(struct ask *a)
{
	if (a != NULL)
		ask_free(a);
}

static bool
is_transient(const struct err *e)
{
	return session_is_outage(e) ||
	       ((e->kind == ERR_HTTP || e->kind == ERR_PROBLEM) &&
		   e->num >= 500);
}

static void
on_pause(void *arg)
{
	struct ask *a = arg;
	struct err e;

	if (a->kind == ASK_READY && a->started && a->s->state == SESSION_READY)
		ask_finish(a, &(struct reply){ .retry_after_s = -1 }, NULL);
	else if (ask_start(a, &e) == -1)
		ask_finish(a, NULL, &e);
}

static int
pause_for(struct ask *a, int64_t ms, struct err *e)
{
	if (a->pause == NULL)
		a->pause = loop_timer_new(a->s->env->loop, on_pause, a, e);
	if (a->pause == NULL)
		return -1;
	loop_timer_set(a->pause, ms);
	return 0;
}

/* Once more, after a moment: 0.25 s, 1 s, with jitter, or as the CA says. */
static int
ask_again(struct ask *a, const struct err *why, struct err *e)
{
	int64_t wait_ms = rnd_jitter(a->tries == 1 ? 250 : 1000, 40);

	if (why->retry_after_s > 0)
		wait_ms = why->retry_after_s * 1000;
	if (pause_for(a, wait_ms, e) == -1)
		return -1;
	log_info("asking again", KV("ca", a->s->ca->name),
	    KV("url", ask_url(a)), KN("try", a->tries + 1),
	    KN("wait_ms", wait_ms), KV("error", why->what));
	return 0;
}

/* After 30 s, and twice as long, up to an hour, while nothing comes of it. */
int64_t
session_register_in(const struct session *s)
{
	int64_t wait = AGAIN_S << (s->vain < 7 ? s->vain : 7);
	int64_t past_ms = clock_mono_ms() - s->reregistered_ms;

	wait = 1000 * (wait < HOUR ? wait : HOUR) - past_ms;
	return s->reregistered_ms == 0 || wait <= 0 ? 0 : (wait + 999) / 1000;
}

/* Not again so soon: is the account gone, or is it only said of this request?
 * A CA that loses it for ever does not keep its certificates from another. */
static bool
ask_for_account(struct ask *a)
{
	struct session *s = a->s;

	if (a->doubted || s->vain > VAIN_MAX)
		return false;
	a->doubted = s->doubted = true;
	return true;
}

static void
forget_account(struct session *s)
{
	log_warn("the CA does not know our account any more: registering again",
	    KV("ca", s->ca->name), KV("account", s->doc.url));
	s->reregistered_ms = clock_mono_ms();
	s->vain++;
	s->registrations++;
	free(take_ptr(s->doc.url));
	s->tried_existing = true;
}

/*
 * The account that we name is not there any more (a reset CA): make it again
 * with the same key, and not in a loop (protocol D6).  Others that named it
 * too wait for the new one.
 */
static bool
reregister(struct ask *a, const struct err *e)
{
	struct session *s = a->s;
	struct err ie;

	if (e->kind != ERR_PROBLEM ||
	    e->problem != PROBLEM_ACCOUNT_DOES_NOT_EXIST || a->setup)
		return false;
	if (a->registration == s->registrations) {
		if (session_register_in(s) == 0)
			forget_account(s);
		else if (!ask_for_account(a))
			return false;
		if (s->state == SESSION_READY)
			s->state = SESSION_COLD;
	}
	a->started = false;
	if (ask_start(a, &ie) == -1)
		ask_finish(a, NULL, &ie);
	return true;
}

/* What a problem says of the account as a whole (protocol D7, D10). */
static void
doubt_account(struct ask *a, const struct err *e)
{
	struct session *s = a->s;
	struct err ie;

	if (policy_find(e, WHERE_ORDER)->scope == SCOPE_ACCOUNT) {
		session_stop(s, e);
		return;
	}
	if (e->problem != PROBLEM_UNAUTHORIZED || a->kind != ASK_ORDER ||
	    s->state != SESSION_READY)
		return;
	/* No newOrder for us: is the account still valid? */
	s->doubted = true;
	s->state = SESSION_PREPARING;
	if (account_prepare(s, &ie) == -1)
		s->state = SESSION_COLD;
}

static void
ask_failed(struct ask *a, const struct err *e)
{
	struct session *s = a->s;
	struct err ie;
	/* a longer wait than this is the caller's to schedule */
	bool soon = e->retry_after_s <= 10;

	a->slotted = false;
	if (a->kind == ASK_RENEWAL) {
		/* never a reason to think less of the CA (protocol J5) */
		ask_finish(a, NULL, e);
		return;
	}
	if (e->kind == ERR_PROBLEM && e->problem == PROBLEM_BAD_NONCE &&
	    ++a->resends <= RESENDS_MAX) {
		if (ask_send(a, &ie) == -1)
			ask_finish(a, NULL, &ie);
		return;
	}
	if (reregister(a, e))
		return;
	if (is_transient(e) && !a->once && soon && ++a->tries < TRIES_MAX &&
	    ask_again(a, e, &ie) == 0)
		return;
	/* endpoints may have moved (protocol C2); of what was only looked for
	 * it says nothing */
	if (((e->num == 404 || e->num == 405) && !(a->setup && a->once)) ||
	    (session_is_outage(e) && !a->once))
		s->dir_at_ms = 0;
	/* what is asked once only is asked again in another way, or can be
	 * done without */
	if (session_is_outage(e) && !a->setup && !a->once) {
		s->deaf = true;
		session_trip(s, e);
	}
	if (e->kind == ERR_PROBLEM && !a->setup)
		doubt_account(a, e);
	ask_finish(a, NULL, e);
}

void
session_log(const struct session *s, const char *method, const char *url,
    const struct http_reply *h, const char *error)
{
	log_debug("exchange", KV("ca", s->ca->name), KV("method", method),
	    KV("url", url), KN("status", h == NULL ? 0 : http_status(h)),
	    KN("ms", h == NULL ? 0 : http_ms(h)), KV("error", error));
}

/* Put " (see URL)" behind what e says, if that leaves room in front. */
static void
add_page(void *arg, const char *url)
{
	struct err *e = arg;
	size_t len = strlen(e->what), room = sizeof(e->what) - len;

	if (strlen(url) + PROBLEM_ROOM < room && strstr(e->what, url) == NULL)
		(void)snprintf(e->what + len, room, " (see %s)", url);
}

/* The page that a refusal points to (protocol D10, M1). */
static void
add_pages(struct err *e, const struct reply *r)
{
	const char *rel, *link;
	unsigned i;

	if (e->kind != ERR_PROBLEM)
		return;
	rel = e->problem == PROBLEM_USER_ACTION_REQUIRED ? "terms-of-service"
	      : e->problem == PROBLEM_RATE_LIMITED       ? "help"
							 : NULL;
	for (i = 0; rel != NULL && i < LINKS_MAX &&
		    (link = http_header(r->http, "Link", i)) != NULL;
	     i++)
		reply_links(link, r->url, rel, add_page, e);
}

static const char *
method_of(const struct ask *a)
{
	return a->kind == ASK_RENEWAL ? "GET" : "POST";
}

/*
 * Every answer of the CA passes here, and only here: the nonce is kept, a
 * problem document becomes a struct err, badNonce is repeated, and the caller
 * sees either a reply or one error that says what the CA said.
 */
static void
on_reply(void *arg, const struct http_reply *h, const struct err *net)
{
	struct ask *a = arg;
	struct reply r = { 0 };
	struct err e;

	a->call = NULL;
	if (net != NULL) {
		session_log(a->s, method_of(a), ask_url(a), NULL, net->what);
		ask_failed(a, net);
		return;
	}
	clock_learn(a->s, h);
	nonce_keep(a->s, h);
	r.status = http_status(h);
	r.body = http_body(h, &r.len);
	r.location = http_header(h, "Location", 0);
	if (r.location != NULL && !str_is_https_url(r.location))
		r.location = NULL;
	r.retry_after_s = reply_retry_after(http_header(h, "Retry-After", 0),
	    http_header(h, "Date", 0), clock_now());
	r.url = ask_url(a);
	r.http = h;
	if (r.status >= 200 && r.status < 300) {
		session_log(a->s, method_of(a), r.url, h, "");
		if (a->kind != ASK_RENEWAL)
			session_answers(a->s);
		ask_finish(a, &r, NULL);
		return;
	}
	(void)problem_decode(
	    r.status, http_header(h, "Content-Type", 0), r.body, r.len, &e);
	e.retry_after_s = r.retry_after_s;
	add_pages(&e, &r);
	session_log(a->s, method_of(a), r.url, h, e.what);
	/* a refusal is an answer too */
	if (a->kind != ASK_RENEWAL && e.kind == ERR_PROBLEM && r.status < 500)
		session_answers(a->s);
	ask_failed(a, &e);
}

static void
on_signed(void *arg, const struct keys_reply *k, const struct err *failed)
{
	struct ask *a = arg;
	struct http_req req = {
		.method = "POST",
		.url = ask_url(a),
		.body = k->data,
		.body_len = k->len,
		.content_type = "application/jose+json",
		.accept = a->accept,
		.ca_file = a->s->ca->ca_file,
		.proxy = a->s->ca->proxy,
		.http1 = a->s->ca->http1,
		.max_body = ACME_BODY_MAX,
	};
	struct err e;

	a->signing = NULL;
	if (failed != NULL) {
		ask_finish(a, NULL, failed);
		return;
	}
	if (k->len > REQUEST_MAX)
		(void)err_set(&e, ERR_LIMIT, 0,
		    "a request of %zu bytes, and CAs take %d: put fewer names "
		    "into one certificate",
		    k->len, REQUEST_MAX);
	else
		a->call = http_start(a->s->env->http, &req, on_reply, a, &e);
	a->sent = a->call != NULL;
	if (a->call == NULL)
		ask_finish(a, NULL, &e);
}

static void
on_nonce(void *arg, const struct http_reply *h, const struct err *net)
{
	struct ask *a = arg;
	struct err e;

	a->call = NULL;
	session_log(
	    a->s, "HEAD", a->s->dir.new_nonce, h, net == NULL ? "" : net->what);
	if (net != NULL) {
		ask_failed(a, net);
		return;
	}
	nonce_keep(a->s, h);
	if (a->s->n_nonces == 0) {
		if (http_status(h) >= 400) {
			(void)problem_decode(http_status(h), NULL, NULL, 0, &e);
			e.retry_after_s =
			    reply_retry_after(http_header(h, "Retry-After", 0),
				http_header(h, "Date", 0), clock_now());
		} else {
			(void)err_set(
			    &e, ERR_HTTP, 502, "no nonce in the reply");
		}
		(void)err_wrap(&e, "%s", a->s->dir.new_nonce);
		ask_failed(a, &e);
		return;
	}
	if (ask_send(a, &e) == -1)
		ask_finish(a, NULL, &e);
}

static int
fetch_nonce(struct ask *a, struct err *e)
{
	struct http_req req = {
		.method = "HEAD",
		.url = a->s->dir.new_nonce,
		.ca_file = a->s->ca->ca_file,
		.proxy = a->s->ca->proxy,
		.http1 = a->s->ca->http1,
	};

	a->slotted = false; /* this took the place: one more for the POST */
	a->call = http_start(a->s->env->http, &req, on_nonce, a, e);
	return a->call == NULL ? -1 : 0;
}

/* The renewal information of a certificate (RFC 9773 4.1): not signed. */
static int
send_renewal(struct ask *a, struct err *e)
{
	AUTO(buf_done) struct buf url = BUF_INIT(2 * ERR_WHAT_MAX);
	struct session *s = a->s;
	struct http_req req = {
		.method = "GET",
		.ca_file = s->ca->ca_file,
		.proxy = s->ca->proxy,
		.http1 = s->ca->http1,
		.max_body = ARI_BODY_MAX,
		.redirects = 5,
	};

	if (s->dir.renewal_info == NULL)
		return err_set(e, ERR_CONFIG, 0,
		    "%s has no renewal information", s->ca->name);
	if (ari_url(s->dir.renewal_info, a->renewal_of, &url, e) == -1)
		return -1;
	free(a->url);
	a->url = buf_take(&url);
	req.url = a->url;
	a->call = http_start(s->env->http, &req, on_reply, a, e);
	return a->call == NULL ? -1 : 0;
}

static int
ask_send(struct ask *a, struct err *e)
{
	struct session *s = a->s;
	int64_t wait = a->slotted ? 0 : request_slot(s);
	struct keys_jws j = {
		.key_id = s->doc.key_id,
		.kid = a->jwk ? NULL : s->doc.url,
		.url = ask_url(a),
		.payload = a->payload,
		.len = a->payload == NULL ? 0 : strlen(a->payload),
	};

	a->slotted = true;
	if (wait > 0)
		return pause_for(a, wait, e);
	if (a->kind == ASK_RENEWAL)
		return send_renewal(a, e);
	/* The account has just got lost: wait for the next one. */
	if (!a->setup && s->doc.url == NULL)
		return ask_start(a, e);
	a->registration = s->registrations;
	free(a->nonce);
	a->nonce = nonce_take(s);
	if (a->nonce == NULL)
		return fetch_nonce(a, e);
	j.nonce = a->nonce;
	a->signing = keys_jws(s->env->keys, &j, on_signed, a, e);
	return a->signing == NULL ? -1 : 0;
}

/*
 * newOrders go one at a time: it is polite, and some CAs lock up otherwise.
 * The one that is next gets ready while the one before is under way.
 */
static void
on_next_order(void *arg)
{
	struct session *s = arg;
	struct ask *a = TAILQ_FIRST(&s->ordering);
	struct err e;

	if (a == NULL)
		return;
	if (s->breaker.until != 0) {
		e = s->why;
		ask_finish(a, NULL, &e);
	} else if (a->turn != NULL && !a->told) {
		a->told = true;
		a->turn(a->arg);
	} else if (s->newest_order == NULL && (a->turn == NULL || a->go)) {
		TAILQ_REMOVE(&s->ordering, a, order_link);
		a->queued_order = false;
		s->newest_order = a;
		loop_timer_set(s->next_order, 0);
		if (ask_send(a, &e) == -1)
			ask_finish(a, NULL, &e);
	}
}

void
ask_go(struct ask *a)
{
	a->go = true;
	loop_timer_set(a->s->next_order, 0);
}

bool
ask_sent(const struct ask *a)
{
	return a->sent;
}

static bool
directory_is_old(const struct session *s)
{
	return s->dir_at_ms == 0 || clock_mono_ms() - s->dir_at_ms > DIR_AGE_MS;
}

static int
ask_start(struct ask *a, struct err *e)
{
	struct session *s = a->s;

	if (!a->setup) {
		if (s->state == SESSION_READY && directory_is_old(s))
			s->state = SESSION_COLD;
		if (s->state == SESSION_COLD) {
			s->state = SESSION_PREPARING;
			if (account_prepare(s, e) == -1) {
				s->state = SESSION_COLD;
				return -1;
			}
		}
		a->started = false;
		if (s->state != SESSION_READY)
			return 0;
	}
	a->started = true;
	if (a->kind == ASK_READY)
		return pause_for(a, 0, e);
	if (a->kind != ASK_ORDER || s->newest_order == a)
		return ask_send(a, e);
	a->queued_order = true;
	TAILQ_INSERT_TAIL(&s->ordering, a, order_link);
	loop_timer_set(s->next_order, 0);
	return 0;
}

/* An ask that has waited for the session to be ready; NULL: none. */
static struct ask *
first_waiting(struct session *s)
{
	struct ask *a;

	TAILQ_FOREACH (a, &s->asks, link)
		if (!a->started && !a->setup &&
		    (a->pause == NULL || !loop_timer_pending(a->pause)))
			return a;
	return NULL;
}

void
session_prepared(struct session *s, const struct err *failed)
{
	struct ask *a;
	struct err e;

	if (failed != NULL) {
		s->state = SESSION_COLD;
		if (s->breaker.until == 0)
			session_trip(s, failed);
	} else {
		s->state = SESSION_READY;
		/* not what was deaf: a mirror may have the directory */
		if (!s->deaf)
			session_answers(s);
	}
	/* A callback may start asks and drop others: from the top each time. */
	while ((a = first_waiting(s)) != NULL) {
		if (failed != NULL) {
			ask_finish(a, NULL, failed);
		} else if (ask_start(a, &e) == -1) {
			ask_finish(a, NULL, &e);
		} else if (!a->started) {
			return; /* the session is not ready after all */
		}
	}
}

void
session_proved(struct session *s)
{
	s->vain = 0;
}

static char *
dup_or_null(const char *text, bool *failed)
{
	char *copy = text == NULL ? NULL : strdup(text);

	if (text != NULL && copy == NULL)
		*failed = true;
	return copy;
}

static struct ask *
ask_new(struct session *s, const struct ask_spec *spec, ask_done *done,
    void *arg, struct err *e)
{
	struct ask *a = calloc(1, sizeof(*a));
	bool failed = a == NULL;

	if (failed) {
		(void)err_nomem(e, "request");
		return NULL;
	}
	a->s = s;
	a->done = done;
	a->arg = arg;
	a->kind = spec->kind;
	a->once = spec->once;
	a->turn = spec->turn;
	if (a->kind == ASK_RENEWAL)
		a->renewal_of = dup_or_null(spec->url, &failed);
	else
		a->url = dup_or_null(spec->url, &failed);
	a->payload = dup_or_null(spec->payload, &failed);
	a->accept = dup_or_null(spec->accept, &failed);
	TAILQ_INSERT_TAIL(&s->asks, a, link);
	if (failed) {
		ask_free(a);
		(void)err_nomem(e, "request");
		return NULL;
	}
	return a;
}

/* NULL when a is, or cannot be begun. */
static struct ask *
begin(struct ask *a, struct err *e)
{
	if (a == NULL || ask_start(a, e) == 0)
		return a;
	ask_free(a);
	return NULL;
}

struct ask *
session_ask(struct session *s, const struct ask_spec *spec, ask_done *done,
    void *arg, struct err *e)
{
	return begin(ask_new(s, spec, done, arg, e), e);
}

struct ask *
session_ask_setup(struct session *s, const struct ask_spec *spec, bool jwk,
    ask_done *done, void *arg, struct err *e)
{
	struct ask *a = ask_new(s, spec, done, arg, e);

	if (a != NULL) {
		a->setup = true;
		a->jwk = jwk;
	}
	return begin(a, e);
}

struct session *
session_new(const struct session_env *env, uint32_t ca, struct err *e)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		(void)err_nomem(e, "session");
		return NULL;
	}
	s->env = env;
	s->ca = &env->conf->cas[ca];
	s->index = ca;
	s->pace_ms[PACE_AUTHZ] = s->pace_ms[PACE_ORDER] = 300;
	TAILQ_INIT(&s->asks);
	TAILQ_INIT(&s->ordering);
	TAILQ_INIT(&s->saves);
	s->next_order = loop_timer_new(env->loop, on_next_order, s, e);
	if (s->next_order == NULL || outage_begin(s, e) == -1 ||
	    budget_begin(s, e) == -1) {
		session_free(s);
		return NULL;
	}
	return s;
}

void
session_free(struct session *s)
{
	struct ask *a;

	if (s == NULL)
		return;
	account_cancel(s);
	budget_stop(s);
	while ((a = TAILQ_FIRST(&s->asks)) != NULL)
		ask_free(a);
	nonces_drop(s);
	account_doc_clear(&s->doc);
	lost_free(s->lost);
	outage_end(s);
	loop_timer_free(s->next_order);
	pool_free(s->dir_pool);
	free(s);
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

const char *
session_thumbprint(const struct session *s)
{
	return s->doc.thumbprint;
}

const struct directory *
session_directory(const struct session *s)
{
	return s->dir_pool == NULL ? NULL : &s->dir;
}
