/* SPDX-License-Identifier: ISC */
/*
 * The driver, and the steps that talk about the order as a whole.  What
 * concerns authorizations is in issue_authz.c, what comes after the CA has
 * issued in issue_chain.c.
 */

#include "daemon/engine/issue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/issue_int.h"
#include "lib/acme/problem.h"
#include "lib/acme/requests.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/rnd.h"
#include "lib/base/str.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   (60 * MINUTE_MS)

#define SLOW_MS (2 * MINUTE_MS)

#define ENDS_SOON_S INT64_C(300)
#define TAKEN_MS    INT64_C(5000) /* and twice as long each time */
#define TAKEN_MAX   7
#define RESYNCS_MAX 5 /* looks at an order that is not what it should be */

static const struct step_def steps[STEP__COUNT];

const char *
issue_step_name(const struct issue *is)
{
	return steps[is->step].name;
}

enum issue_mode
issue_mode(const struct issue *is)
{
	return is->mode;
}

const char *
issue_step(unsigned i, const char **resume)
{
	if (i >= STEP__COUNT)
		return NULL;
	*resume = steps[steps[i].resume].name;
	return steps[i].name;
}

void
issue_free(struct issue *is)
{
	is->cert->issue = NULL;
	ask_cancel(is->ask);
	keys_cancel(is->key_op);
	save_cancel(is->save);
	up_cancel(is->up_op);
	dns_cancel(is->dns_op);
	loop_timer_free(is->timer);
	chain_free(is->chain);
	buf_done(&is->csr);
	buf_done(&is->failures);
	pool_free(is->order_pool);
	pool_free(is->pool);
	free(is);
}

void
issue_look(struct issue *is)
{
	if (is->waiting)
		loop_timer_set(
		    is->timer, is->early ? 0 : is->until_ms - clock_mono_ms());
}

bool
issue_ordering(const struct issue *is)
{
	return is->step == STEP_NEW_ORDER &&
	       (is->save != NULL || (is->ask != NULL && ask_sent(is->ask)));
}

void
issue_cancel(struct issue *is)
{
	if (is == NULL)
		return;
	/* what was not sent makes no order */
	if (is->cert->begun != 0 && is->step != STEP_LOST &&
	    !issue_ordering(is)) {
		cert_forget_order(is->cert);
		certs_drop_order(is->env->certs, is->cert);
	}
	issue_keep_waited(is);
	issue_free(is);
}

/* Nothing was said of the order: the CA may be validating this moment. */
static bool
is_beside_it(const struct err *e)
{
	return e->kind != ERR_PROBLEM || e->num >= 500 ||
	       e->problem == PROBLEM_RATE_LIMITED ||
	       e->problem == PROBLEM_BAD_NONCE;
}

static void
issue_finish(struct issue *is, enum issue_end end, const struct err *e)
{
	struct outcome o = { .end = end,
		.mode = is->mode,
		.where = steps[is->step].where,
		.ordered = is->ordered,
		.issued = is->issued,
		.err = e };
	struct cert *c = is->cert;
	issue_done *done = is->done;
	void *arg = is->arg;

	/* then unheard, for the order goes on later (F4) */
	if (c->order_url != NULL &&
	    (end == ISSUE_BLOCKED || (e != NULL && is_beside_it(e))))
		tokens_leave(is);
	else
		tokens_stop(is);
	issue_keep_waited(is);
	if (c->begun != 0 && is->step != STEP_LOST) {
		cert_forget_order(c);
		/* it was refused: a restart has nothing to be careful of */
		if (end == ISSUE_BLOCKED && e->kind != ERR_NET)
			certs_drop_order(is->env->certs, c);
	}
	issue_free(is);
	done(arg, c, &o);
}

/* Whether e is what the session is blocked for, and not this certificate's. */
static bool
is_blockade(const struct issue *is, const struct err *e)
{
	const char *why;

	assert(e != NULL);
	if (session_blocked(is->session, &why) == 0)
		return false;
	return e->kind == ERR_NET || (e->num >= 502 && e->num <= 504) ||
	       (why != NULL && strcmp(why, e->what) == 0);
}

static void
issue_fail(struct issue *is, struct err *e)
{
	enum issue_end end = is->lost             ? ISSUE_LOST
			     : is_blockade(is, e) ? ISSUE_BLOCKED
						  : ISSUE_FAILED;

	(void)err_wrap(e, "%s", steps[is->step].name);
	issue_finish(is, end, e);
}

/* Begin the present step. */
static void
issue_go(struct issue *is)
{
	const struct step_def *s = &steps[is->step];
	struct err e;
	int r;

	if (is->env->halted) {
		is->env->on_halted(is->env->halted_arg);
		return;
	}
	/* what waits has a deadline instead, and so have rounds of looks */
	if (!is->waiting && is->step != STEP_POLL_AUTHZ &&
	    ++is->asks > ASKS_MAX + 8 * is->cert->conf->n_idents) {
		(void)err_set(&e, ERR_LIMIT, 0, "no end in sight");
		issue_fail(is, &e);
		return;
	}
	is->waiting = false;
	log_debug(
	    "step", KV("cert", is->cert->conf->name), KV("step", s->name));
	r = s->start(is, &e);
	if (r == -1)
		issue_fail(is, &e);
	else if (r == STARTED_NOTHING)
		issue_next(is, s->on_reply(is, NULL, &e), &e);
}

static void
on_timer(void *arg)
{
	issue_go(arg);
}

/* Once it is installed there is nothing to do again but the saving. */
static void
not_saved(struct issue *is, struct err *e)
{
	(void)err_wrap(e, "state not saved");
	if (is->then.what == NEXT_DONE)
		issue_finish(is, ISSUE_OK, e);
	else
		issue_fail(is, e);
}

static void
on_saved(void *arg, const struct err *failed)
{
	struct issue *is = arg;
	struct err e;

	is->save = NULL;
	if (failed != NULL) {
		e = *failed;
		not_saved(is, &e);
		return;
	}
	issue_next(is, is->then, NULL);
}

/* Do what a step said, after making durable what it learned. */
void
issue_next(struct issue *is, struct next n, struct err *e)
{
	if (n.what == NEXT_FAIL) {
		issue_fail(is, e);
		return;
	}
	if (n.save != SAVE_NOTHING) {
		enum save_what what = n.save;
		struct err se = { .kind = ERR_NONE };

		n.save = SAVE_NOTHING;
		is->then = n;
		is->save = cert_save(
		    is->env->certs, is->cert, what, on_saved, is, &se);
		if (is->save == NULL)
			not_saved(is, &se);
		return;
	}
	if (n.what == NEXT_DONE) {
		issue_finish(is, ISSUE_OK, NULL);
		return;
	}
	is->step = n.to;
	if (n.what == NEXT_GO) {
		issue_go(is);
		return;
	}
	/* such a wait is not waited for once more */
	if (n.wait_ms >= MINUTE_MS)
		issue_keep_waited(is);
	is->waiting = true;
	is->until_ms = clock_mono_ms() + n.wait_ms;
	is->waited_ms += n.wait_ms;
	loop_timer_set(is->timer, n.wait_ms);
	if (!is->slow && is->env->on_slow != NULL && is->waited_ms > SLOW_MS)
		is->slow = is->env->on_slow(is->env->slow_arg, is->cert);
}

/* The answer of whatever the step had started. */
void
issue_answer(struct issue *is, const struct answer *a, const struct err *failed)
{
	const struct step_def *s = &steps[is->step];
	struct err e;

	if (failed == NULL) {
		issue_next(is, s->on_reply(is, a, &e), &e);
		return;
	}
	e = *failed;
	if (s->on_error != NULL)
		issue_next(is, s->on_error(is, &e), &e);
	else
		issue_fail(is, &e);
}

static void
on_ask(void *arg, const struct reply *r, const struct err *failed)
{
	struct issue *is = arg;

	is->ask = NULL;
	issue_answer(is, &(struct answer){ .reply = r }, failed);
}

int
issue_ask_at(struct issue *is, struct session *s, const struct ask_spec *spec,
    struct err *e)
{
	is->ask = session_ask(s, spec, on_ask, is, e);
	return is->ask == NULL ? -1 : 0;
}

int
issue_ask(struct issue *is, const struct ask_spec *spec, struct err *e)
{
	return issue_ask_at(is, is->session, spec, e);
}

void
issue_on_key(void *arg, const struct keys_reply *k, const struct err *failed)
{
	struct issue *is = arg;

	is->key_op = NULL;
	issue_answer(is, &(struct answer){ .key = k }, failed);
}

void
issue_on_install(void *arg, uint32_t version, const struct err *failed)
{
	struct issue *is = arg;

	is->up_op = NULL;
	issue_answer(is, &(struct answer){ .version = version }, failed);
}

struct next
next_later(enum step to, int64_t wait_ms)
{
	return (
	    struct next){ .what = NEXT_LATER, .to = to, .wait_ms = wait_ms };
}

void
issue_drop_key(const struct issue_env *env, const struct cert *c)
{
	const char *key = c->order_key, *used = c->have.key_id;

	if (key != NULL && (used == NULL || strcmp(key, used) != 0))
		keys_drop(env->keys, key);
}

void
issue_drop_order(struct issue *is)
{
	tokens_stop(is);
	issue_drop_key(is->env, is->cert);
	cert_forget_order(is->cert);
	is->resumed_ms = 0;
	is->n_authzs = 0;
	is->all_valid = is->post_mortem = false;
	buf_reset(&is->failures);
}

/* The order is of no use: forget it, and try a new one, but once only. */
struct next
issue_abandon(struct issue *is, struct err *e)
{
	if (e->kind == ERR_NOMEM) /* which is no fault of the order */
		return NEXT_FAILED;
	log_info("order abandoned", KV("cert", is->cert->conf->name),
	    KV("order", is->cert->order_url), KV("why", e->what));
	issue_drop_order(is);
	if (is->abandoned)
		return NEXT_FAILED;
	is->abandoned = true;
	return NEXT_TO(STEP_NEW_ORDER);
}

/* The order itself */

/* All is proven, and the CA is a moment behind with its order (E20). */
static struct next
still_pending(struct issue *is, const struct reply *r, struct err *e)
{
	if (is->waited_ms > HOUR_MS) {
		(void)err_set(e, ERR_LIMIT, 0,
		    "still pending 1 h after all names were validated");
		issue_drop_order(is);
		return NEXT_FAILED;
	}
	is->all_valid = false; /* look at them again after that */
	return next_later(
	    STEP_POLL_ORDER, issue_poll_wait(is, r->retry_after_s, PACE_ORDER));
}

/* Which may take a CA days, but not longer than the order lives (E22). */
static struct next
still_processing(struct issue *is, const struct reply *r, struct err *e)
{
	const struct order *o = &is->order;

	if (o->expires != 0 && o->expires < session_now(is->session))
		(void)err_set(e, ERR_LIMIT, 0,
		    "the order has expired while the CA was processing it");
	else if (!issue_too_long(is, PACE_ORDER, "the CA has not issued it", e))
		return next_later(STEP_POLL_ORDER,
		    issue_poll_wait(is, r->retry_after_s, PACE_ORDER));
	issue_drop_order(is);
	return NEXT_FAILED;
}

/* 2 s, and twice as long each time. */
static struct next
resync(const struct issue *is)
{
	return next_later(STEP_POLL_ORDER, 1000 * (INT64_C(1) << is->resyncs));
}

/* Finalized, and shown as it was before: look again, not at once. */
static struct next
still_ready(struct issue *is, struct err *e)
{
	if (is->resyncs++ < RESYNCS_MAX)
		return resync(is);
	(void)err_set(
	    e, ERR_LIMIT, 0, "the order is still ready after its finalization");
	return NEXT_FAILED;
}

static struct next
by_status(struct issue *is, const struct reply *r, struct err *e)
{
	struct order *o = &is->order;

	switch (o->status) {
	case ACME_PENDING:
		is->at = 0;
		if (!is->all_valid)
			return NEXT_TO(STEP_AUTHZ);
		return still_pending(is, r, e);
	case ACME_READY:
		if (is->step == STEP_FINALIZE)
			return still_ready(is, e);
		is->resumed_ms = is->cert->waited_s = 0;
		return NEXT_TO(STEP_KEY);
	case ACME_PROCESSING:
		return still_processing(is, r, e);
	case ACME_VALID:
		is->issued = true;
		/* no second order may name the same predecessor (RFC 9773 5) */
		if (is->mode == ISSUE_REAL)
			is->cert->have.replaced = true;
		if (is->cert->order_key != NULL)
			return NEXT_TO(STEP_DOWNLOAD);
		(void)err_set(e, ERR_PROTO, 0,
		    "the order is valid, but not with a key of ours");
		return issue_abandon(is, e);
	case ACME_INVALID:
		return issue_invalid(is, e);
	case ACME_UNKNOWN:
	case ACME_DEACTIVATED:
	case ACME_EXPIRED:
	case ACME_REVOKED:
	case ACME_STATUS__COUNT:
		break;
	}
	(void)err_set(e, ERR_PROTO, 0, "order has status %s",
	    acme_status_name(o->status));
	return issue_abandon(is, e);
}

/* They never change (RFC 8555 7.1.3), but may be left out later on. */
static bool
authzs_changed(const struct issue *is)
{
	const struct order *o = &is->order;
	size_t i, j;

	if (is->n_authzs == 0 || o->n_authzs == 0)
		return false;
	for (i = 0; i < o->n_authzs; i++) {
		for (j = 0; j < is->n_authzs; j++)
			if (strcmp(o->authzs[i], is->authzs[j].url) == 0)
				break;
		if (j == is->n_authzs)
			return true;
	}
	return o->n_authzs != is->n_authzs;
}

static struct next
got_order(struct issue *is, const struct answer *a, struct err *e)
{
	const struct reply *r = a->reply;

	pool_free(is->order_pool);
	is->order_pool = pool_new(2 * ACME_BODY_MAX);
	if (is->order_pool == NULL) {
		(void)err_nomem(e, "order");
		return NEXT_FAILED;
	}
	if (order_decode(r->body, r->len, is->order_pool, &is->order, e) ==
	    -1) {
		/* finalized perhaps: not given up for an odd reply (A24) */
		if (is->cert->order_key != NULL && e->kind != ERR_NOMEM &&
		    is->resyncs++ < RESYNCS_MAX)
			return resync(is);
		return issue_abandon(is, e);
	}
	if (!order_is_for(&is->order, is->cert->idents, is->cert->n_idents)) {
		(void)err_set(e, ERR_PROTO, 0,
		    "the CA's order is for other names than we asked for");
		return issue_abandon(is, e);
	}
	if (authzs_changed(is)) {
		(void)err_set(e, ERR_PROTO, 0,
		    "the order's authorizations are not what they were");
		return issue_abandon(is, e);
	}
	if (is->step == STEP_POLL_ORDER &&
	    is->order.status != ACME_PROCESSING && is->polls == 1 &&
	    !is->told_when)
		session_pace_learn(is->session, PACE_ORDER, true);
	else if (is->polls == 2 && !is->told_when)
		session_pace_learn(is->session, PACE_ORDER, false);
	return by_status(is, r, e);
}

/*
 * Some CAs give the order of before again, as it was.  When it ends within
 * minutes, wait for that, and for a new one, rather than fail in its middle
 * (protocol E25).  Once: such a CA may have no others.
 */
static bool
outlives(struct issue *is, struct next *n)
{
	const struct order *o = &is->order;
	int64_t left = o->expires - session_now(is->session);

	if (o->status != ACME_PENDING || o->expires == 0 ||
	    left > ENDS_SOON_S || is->outlived)
		return false;
	log_info("the CA's order ends too soon, waiting for a new one",
	    KV("cert", is->cert->conf->name), KV("order", is->cert->order_url),
	    KN("ends_in_s", left));
	is->outlived = true;
	issue_drop_order(is);
	*n = next_later(
	    STEP_NEW_ORDER, (left < 0 ? 1 : left + 1) * INT64_C(1000));
	return true;
}

/*
 * A CA that gives the order of before again gives it to another certificate of
 * the same names, too; but only one of them can have it, with its key.
 */
static bool
is_taken(struct issue *is, const char *url, struct next *n)
{
	if (is->taken == TAKEN_MAX || !certs_holds(is->env->certs, url))
		return false;
	log_info("the CA's order is that of another certificate of the same "
		 "names, waiting for it",
	    KV("cert", is->cert->conf->name), KV("order", url));
	certs_drop_order(is->env->certs, is->cert);
	*n = next_later(STEP_NEW_ORDER, TAKEN_MS << is->taken++);
	return true;
}

static struct next
got_new_order(struct issue *is, const struct answer *a, struct err *e)
{
	struct next n;

	if (a->reply->location == NULL) {
		(void)err_set(
		    e, ERR_PROTO, 0, "the reply has no https Location");
		return NEXT_FAILED;
	}
	issue_drop_order(is);
	is->ordered = true;
	if (is_taken(is, a->reply->location, &n))
		return n;
	is->cert->order_ca = session_index(is->session);
	is->cert->rehearsal = is->mode == ISSUE_REHEARSAL;
	is->cert->order_url = strdup(a->reply->location);
	if (is->cert->order_url == NULL) {
		(void)err_nomem(e, "order");
		return NEXT_FAILED;
	}
	log_info("order made", KV("cert", is->cert->conf->name),
	    KV("ca", session_ca(is->session)->name),
	    KV("order", is->cert->order_url));
	n = got_order(is, a, e);
	if (n.what == NEXT_FAIL || is->cert->order_url == NULL)
		return n;
	if (!outlives(is, &n))
		n.save = SAVE_ORDER;
	return n;
}

static int
start_poll_order(struct issue *is, struct err *e)
{
	return issue_ask(
	    is, &(struct ask_spec){ .url = is->cert->order_url }, e);
}

/* An order of an earlier run that the CA will not show us any more. */
static struct next
lost_order(struct issue *is, struct err *e)
{
	/* of the directory or the account, perhaps, and not of the order */
	if (session_blocked(is->session, NULL) != 0)
		return NEXT_FAILED;
	if (e->num == 404 || e->num == 410 ||
	    (e->kind == ERR_PROBLEM && (e->problem == PROBLEM_UNAUTHORIZED ||
					   e->problem == PROBLEM_MALFORMED)))
		return issue_abandon(is, e);
	return NEXT_FAILED;
}

/* Issued, and not there yet: the CA's servers may not all know of it at once,
 * and another order would be one certificate more. */
static struct next
no_certificate(struct issue *is, struct err *e)
{
	if (e->num == 404 && session_blocked(is->session, NULL) == 0 &&
	    is->resyncs++ < RESYNCS_MAX)
		return resync(is);
	return lost_order(is, e);
}

static int
start_key(struct issue *is, struct err *e)
{
	if (is->cert->order_key != NULL)
		return STARTED_NOTHING;
	is->key_op = keys_make(
	    is->env->keys, IPC_ROLE_CERT, is->cert->index, issue_on_key, is, e);
	return is->key_op == NULL ? -1 : 0;
}

static struct next
got_key(struct issue *is, const struct answer *a, struct err *e)
{
	struct next n = NEXT_TO(STEP_CSR);

	if (a == NULL)
		return n;
	is->cert->order_key = strdup(a->key->key_id);
	if (is->cert->order_key == NULL) {
		(void)err_nomem(e, "key");
		return NEXT_FAILED;
	}
	n.save = SAVE_ORDER_DURABLY;
	return n;
}

static int
start_csr(struct issue *is, struct err *e)
{
	is->key_op = keys_csr(is->env->keys, is->cert->index,
	    is->cert->order_key, partial_mask(is->cert), issue_on_key, is, e);
	return is->key_op == NULL ? -1 : 0;
}

static struct next
got_csr(struct issue *is, const struct answer *a, struct err *e)
{
	buf_reset(&is->csr);
	buf_add(&is->csr, a->key->data, a->key->len);
	if (!buf_ok(&is->csr)) {
		(void)err_nomem(e, "CSR");
		return NEXT_FAILED;
	}
	return NEXT_TO(STEP_FINALIZE);
}

/* The order's key is lost, or the CA does not want it: another one, once. */
static struct next
other_key(struct issue *is, struct err *e)
{
	if (is->second_key)
		return NEXT_FAILED;
	log_warn("another key for the order", KV("cert", is->cert->conf->name),
	    KV("key", is->cert->order_key), KV("why", e->what));
	is->second_key = true;
	free(is->cert->order_key);
	is->cert->order_key = NULL;
	return NEXT_TO(STEP_KEY);
}

static int
start_finalize(struct issue *is, struct err *e)
{
	AUTO(buf_done) struct buf payload = BUF_INIT(JWS_PAYLOAD_MAX);
	struct ask_spec spec = { .url = is->order.finalize, .once = true };

	if (request_finalize(is->csr.data, is->csr.len, &payload, e) == -1)
		return -1;
	spec.payload = payload.data;
	issue_poll_begin(is);
	return issue_ask(is, &spec, e);
}

/* A lost reply says nothing about the order: ask it (protocol A24, E20). */
static struct next
finalize_failed(struct issue *is, struct err *e)
{
	bool sync =
	    e->kind == ERR_PROBLEM && e->problem == PROBLEM_ORDER_NOT_READY;
	int64_t wait = 1000 * (INT64_C(1) << is->resyncs);

	if (e->kind == ERR_PROBLEM && e->problem == PROBLEM_BAD_PUBLIC_KEY)
		return other_key(is, e);
	if (issue_drop_profile(is, e))
		return issue_abandon(is, e);
	if (e->retry_after_s * 1000 > wait)
		wait = e->retry_after_s * 1000;
	if ((sync || e->kind == ERR_NET || e->num >= 500) &&
	    session_blocked(is->session, NULL) == 0 &&
	    is->resyncs++ < RESYNCS_MAX)
		return next_later(
		    STEP_POLL_ORDER, wait < HOUR_MS ? wait : HOUR_MS);
	if (e->kind == ERR_PROBLEM && e->problem == PROBLEM_BAD_CSR)
		issue_drop_order(is);
	return NEXT_FAILED;
}

/*
 * The protocol.  "resume" is where a restarted daemon takes the attempt up
 * again: once the order exists, the CA remembers better than we do.
 */
/* clang-format off */
static const struct step_def steps[STEP__COUNT] = {
	[STEP_LOST]       = { "lost order",  start_lost,       got_lost,       NULL,            STEP_LOST,       WHERE_ORDER },
	[STEP_LOOK]       = { "prepare",     start_look,       got_look,       NULL,            STEP_LOOK,       WHERE_ORDER },
	[STEP_CAA]        = { "caa",         start_caa,        got_caa,        no_caa,          STEP_LOOK,       WHERE_ORDER },
	[STEP_NEW_ORDER]  = { "newOrder",    start_new_order,  got_new_order,  new_order_failed, STEP_LOOK,      WHERE_ORDER },
	[STEP_AUTHZ]      = { "authorization", start_authz,    got_authz,      lost_order,      STEP_POLL_ORDER, WHERE_NAME },
	[STEP_PUBLISH]    = { "publish",     start_publish,    published,      NULL,            STEP_POLL_ORDER, WHERE_HERE },
	[STEP_ANSWER]     = { "challenge",   start_answer,     answered,       answer_failed,   STEP_POLL_ORDER, WHERE_NAME },
	[STEP_POLL_AUTHZ] = { "validation",  start_poll_authz, polled_authz,   NULL,            STEP_POLL_ORDER, WHERE_NAME },
	[STEP_POLL_ORDER] = { "order",       start_poll_order, got_order,      lost_order,      STEP_POLL_ORDER, WHERE_CERT },
	[STEP_KEY]        = { "key",         start_key,        got_key,        NULL,            STEP_POLL_ORDER, WHERE_HERE },
	[STEP_CSR]        = { "csr",         start_csr,        got_csr,        other_key,       STEP_POLL_ORDER, WHERE_HERE },
	[STEP_FINALIZE]   = { "finalize",    start_finalize,   got_order,      finalize_failed, STEP_POLL_ORDER, WHERE_CERT },
	[STEP_DOWNLOAD]   = { "certificate", start_download,   downloaded,     no_certificate,  STEP_POLL_ORDER, WHERE_CERT },
	[STEP_ALTERNATE]  = { "alternate",   start_alternate,  got_alternate,  no_alternate,    STEP_POLL_ORDER, WHERE_CERT },
	[STEP_INSTALL]    = { "install",     start_install,    installed,      NULL,            STEP_POLL_ORDER, WHERE_HERE },
};
/* clang-format on */

struct issue *
issue_start(const struct issue_env *env, struct cert *c,
    const struct issue_spec *spec, issue_done *done, void *arg, struct err *e)
{
	struct issue *is = calloc(1, sizeof(*is));

	if (is == NULL) {
		(void)err_nomem(e, "attempt");
		return NULL;
	}
	is->env = env;
	is->cert = c;
	is->session = spec->session;
	is->rehearsed = spec->rehearsed;
	is->mode = spec->mode;
	is->caa = spec->caa;
	is->ordered = cert_ordering(c);
	is->done = done;
	is->arg = arg;
	is->csr = BUF_INIT(JWS_PAYLOAD_MAX);
	is->failures = BUF_INIT(FAILURES_MAX);
	is->pool = pool_new(4 * ACME_BODY_MAX);
	is->timer = loop_timer_new(env->loop, on_timer, is, e);
	if (is->timer == NULL || is->pool == NULL) {
		issue_free(is);
		(void)err_nomem(e, "attempt");
		return NULL;
	}
	is->resumed_ms = c->waited_s * 1000;
	issue_poll_begin(is);
	is->step = c->order_url != NULL ? STEP_POLL_ORDER
		   : c->begun != 0      ? STEP_LOST
					: STEP_LOOK;
	c->issue = is;
	partial_begin(c);
	/* The first step comes from the loop, so that done never runs here. */
	loop_timer_set(is->timer, 0);
	return is;
}
