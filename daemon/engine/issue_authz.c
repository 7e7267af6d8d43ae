/* SPDX-License-Identifier: ISC */
/*
 * The steps that prove control of the names: look at each authorization,
 * publish every token, answer the challenges and watch them.  Several names are
 * validated side by side, a few at first, and more as they succeed: what is
 * wrong with all of them is found out with a few (protocol E19).
 * Requests go one after the other.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/issue_int.h"
#include "lib/acme/problem.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define UNSEEN_MS    1000 /* first look when nobody has fetched the token */
#define TOKEN_MAX    256  /* str_is_token() */
#define KEY_AUTH_MAX 512
#define WINDOW_FIRST 4 /* validations under way at once */
#define WINDOW_STEP  3 /* more for each that succeeds */
#define WINDOW_MAX   64
#define RESULTS_MS   60000 /* of the others, after a failure */
#define WORDS_MAX    1200  /* of the CA; more names are only named */

/* Publishing */

static void
fetched(void *arg, const char *token)
{
	struct issue *is = arg;
	size_t i;

	for (i = 0; i < is->fresh && i < is->n_authzs; i++) {
		struct one_authz *z = &is->authzs[i];

		if (!z->pending || strcmp(z->token, token) != 0)
			continue;
		/* The CA has begun: look soon, unless it told us when. */
		if (!z->fetched && !is->hurried && is->waiting &&
		    is->step == STEP_POLL_AUTHZ && z->told_ms == 0) {
			is->hurried = true;
			loop_timer_set(is->timer,
			    session_pace_ms(is->session, PACE_AUTHZ));
		}
		z->fetched = true;
	}
}

static int
publish_one(struct tokens *t, const char *token, const char *thumbprint,
    token_fetched *fn, void *arg, struct err *e)
{
	AUTO(buf_done) struct buf answer = BUF_INIT(KEY_AUTH_MAX);

	jws_key_authorization(token, thumbprint, &answer);
	if (!buf_ok(&answer))
		return err_nomem(e, "key authorization");
	return tokens_publish(t, token, answer.data, fn, arg, e);
}

/* Call fn with each of the tokens in a list separated by spaces.  Without
 * memory of its own: what is published must always be withdrawn. */
static void
each_token(
    const char *list, void (*fn)(void *arg, const char *token), void *arg)
{
	char token[TOKEN_MAX + 1];
	size_t len;

	for (; list != NULL && *list != '\0'; list += len) {
		list += strspn(list, " ");
		len = strcspn(list, " ");
		if (len == 0 || len > TOKEN_MAX)
			continue;
		memcpy(token, list, len);
		token[len] = '\0';
		fn(arg, token);
	}
}

static void
withdraw(void *arg, const char *token)
{
	tokens_withdraw(arg, token);
}

void
tokens_stop(struct issue *is)
{
	each_token(is->cert->tokens, withdraw, is->env->tokens);
	free(is->cert->tokens);
	is->cert->tokens = NULL;
}

static void
unhear(void *arg, const char *token)
{
	struct issue *is = arg;

	tokens_unhear(is->env->tokens, token, is);
}

void
tokens_leave(struct issue *is)
{
	each_token(is->cert->tokens, unhear, is);
}

void
issue_leave(const struct issue_env *env, struct cert *c)
{
	each_token(c->tokens, withdraw, env->tokens);
	issue_drop_key(env, c);
	cert_forget_order(c);
	c->spent = 0;
}

struct republish {
	struct tokens *tokens;
	const char *thumbprint;
};

static void
republish(void *arg, const char *token)
{
	struct republish *r = arg;

	/* Not served: the CA finds 404 and says so. */
	(void)publish_one(r->tokens, token, r->thumbprint, NULL, NULL, NULL);
}

void
issue_republish(
    const struct issue_env *env, struct cert *c, const char *thumbprint)
{
	struct republish r = { env->tokens, thumbprint };

	each_token(c->tokens, republish, &r);
}

/* What the CA says of names that failed */

static void
note_failure(struct issue *is, const char *ident, const struct authz *z)
{
	struct err why;

	if (z->has_error)
		why = z->error;
	else
		(void)err_set(&why, ERR_PROBLEM, 403,
		    "the authorization is %s, the CA does not say why",
		    acme_status_name(z->status));
	if (is->failures.len == 0)
		is->failed_ms = is->waited_ms;
	if (is->failures.len == 0 ||
	    problem_outweighs((enum acme_problem)why.problem,
		(enum acme_problem)is->failure.problem))
		is->failure = why;
	buf_printf(&is->failures, "%s%s: %s", is->failures.len == 0 ? "" : "; ",
	    ident,
	    is->failures.len < WORDS_MAX
		? why.what
		: problem_name((enum acme_problem)why.problem));
	partial_blame(is->cert, ident, &why);
	log_warn("validation failed", KV("cert", is->cert->conf->name),
	    KV("name", ident), KV("error", why.what));
	budget_failed(session_budget(is->session), ident, clock_now());
	session_budget_changed(is->session);
}

/* Every name that failed, in one error: the worst one's type decides. */
static struct next
fail_names(struct issue *is, struct err *e)
{
	AUTO(buf_done) struct buf all = is->failures;

	is->failures = BUF_INIT(FAILURES_MAX);
	*e = is->failure;
	(void)err_set(e, is->failure.kind, is->failure.num, "%s",
	    buf_ok(&all) ? buf_str(&all) : is->failure.what);
	e->problem = is->failure.problem;
	issue_drop_order(is);
	return NEXT_FAILED;
}

/* Looking at each authorization */

static int
list_authzs(struct issue *is, struct err *e)
{
	struct order *o = &is->order;
	size_t i;

	/* Each look begins anew, and may be one of many. */
	is->n_authzs = 0;
	pool_free(is->pool);
	is->pool = pool_new(4 * ACME_BODY_MAX);
	is->authzs =
	    is->pool == NULL
		? NULL
		: pool_alloc(is->pool, (o->n_authzs + 1) * sizeof(*is->authzs));
	if (is->authzs == NULL)
		return err_nomem(e, "authorizations");
	is->n_authzs = o->n_authzs;
	for (i = 0; i < o->n_authzs; i++) {
		is->authzs[i].url = pool_strdup(is->pool, o->authzs[i]);
		if (is->authzs[i].url == NULL)
			return err_nomem(e, "authorizations");
	}
	return 0;
}

int
start_authz(struct issue *is, struct err *e)
{
	if (is->at == 0 && list_authzs(is, e) == -1)
		return -1;
	return issue_ask(
	    is, &(struct ask_spec){ .url = is->authzs[is->at].url }, e);
}

/* From there on, the first one that is pending; n_authzs: none. */
static size_t
seek_pending(const struct issue *is, size_t i)
{
	while (i < is->n_authzs && !is->authzs[i].pending)
		i++;
	return i;
}

static bool
is_ours(const struct issue *is, const struct authz *z)
{
	const struct cert *c = is->cert;
	uint32_t i;

	for (i = 0; i < c->n_idents; i++)
		if (strcmp(c->idents[i], z->ident.value) == 0)
			return true;
	return false;
}

/* One of an order that is invalid: it is asked only for the reason. */
static struct next
examine_authz(struct issue *is, const struct authz *z, struct err *e)
{
	if (z->status != ACME_VALID && z->status != ACME_PENDING)
		note_failure(is, z->ident.value, z);
	if (++is->at < is->n_authzs)
		return NEXT_TO(STEP_AUTHZ);
	is->post_mortem = false;
	if (is->failures.len != 0 || is->failures.bad)
		return fail_names(is, e);
	(void)err_set(
	    e, ERR_PROTO, 0, "the order is invalid, the CA does not say why");
	return issue_abandon(is, e);
}

static struct next
take_authz(struct issue *is, const struct authz *z, struct err *e)
{
	struct one_authz *one = &is->authzs[is->at];

	if (!is_ours(is, z)) {
		(void)err_set(e, ERR_PROTO, 0,
		    "authorization for %s, which we did not order",
		    z->ident.value);
		return issue_abandon(is, e);
	}
	if (z->status == ACME_VALID)
		partial_good(is->cert);
	if (is->post_mortem)
		return examine_authz(is, z, e);
	if (z->status != ACME_VALID && z->status != ACME_PENDING) {
		(void)err_set(e, ERR_PROTO, 0, "authorization of %s is %s",
		    z->ident.value, acme_status_name(z->status));
		return issue_abandon(is, e);
	}
	one->ident = z->ident.value;
	one->pending = z->status == ACME_PENDING;
	if (one->pending && z->http01 == NULL) {
		(void)err_set(e, ERR_PROTO, 0,
		    "%s: the CA offers no http-01 challenge, only: %s",
		    z->ident.value, z->offered);
		return NEXT_FAILED;
	}
	if (one->pending) {
		one->challenge = z->http01->url;
		one->token = z->http01->token;
	}
	if (++is->at < is->n_authzs)
		return NEXT_TO(STEP_AUTHZ);
	is->all_valid = seek_pending(is, 0) == is->n_authzs;
	return NEXT_TO(is->all_valid ? STEP_POLL_ORDER : STEP_PUBLISH);
}

struct next
got_authz(struct issue *is, const struct answer *a, struct err *e)
{
	struct authz z;

	if (authz_decode(a->reply->body, a->reply->len, is->pool, &z, e) == -1)
		return NEXT_FAILED;
	return take_authz(is, &z, e);
}

/* The tokens are on disk before the CA hears of them: after a crash they are
 * served again at once, and withdrawn in the end. */
static int
list_tokens(struct issue *is, struct err *e)
{
	AUTO(buf_done) struct buf list = BUF_INIT(64 << 10);
	size_t i;

	for (i = 0; i < is->n_authzs; i++)
		if (is->authzs[i].pending)
			buf_printf(&list, "%s%s", list.len == 0 ? "" : " ",
			    is->authzs[i].token);
	is->cert->tokens = buf_take(&list);
	return is->cert->tokens == NULL ? err_nomem(e, "tokens") : 0;
}

int
start_publish(struct issue *is, struct err *e)
{
	const char *thumb = session_thumbprint(is->session);
	size_t i;

	/* Those of an earlier run may be others.  Listed first, so that what
	 * fails half way is withdrawn. */
	tokens_stop(is);
	if (list_tokens(is, e) == -1)
		return -1;
	for (i = 0; i < is->n_authzs; i++)
		if (is->authzs[i].pending &&
		    publish_one(is->env->tokens, is->authzs[i].token, thumb,
			fetched, is, e) == -1)
			return -1;
	return STARTED_NOTHING;
}

/* Answering */

static bool
some_failed(const struct issue *is)
{
	return is->failures.len != 0 || is->failures.bad;
}

static bool
may_answer(const struct issue *is)
{
	return (!some_failed(is) || is->asks_all) && is->flying < is->window &&
	       is->fresh < is->n_authzs;
}

/* From there on, the first one that is under way and may be looked at by now;
 * n_authzs: none. */
static size_t
seek_flying(const struct issue *is, size_t i, bool fetched_only)
{
	int64_t now = clock_mono_ms();

	for (; i < is->fresh && i < is->n_authzs; i++)
		if (is->authzs[i].pending && is->authzs[i].told_ms <= now &&
		    (is->authzs[i].fetched || !fetched_only))
			return i;
	return is->n_authzs;
}

/* Look at them again after so long, but for those of which the CA said when. */
static struct next
next_round(struct issue *is, int64_t own_ms)
{
	int64_t now = clock_mono_ms(), wait = INT64_MAX;
	size_t i;

	for (i = 0; i < is->fresh && i < is->n_authzs; i++) {
		const struct one_authz *z = &is->authzs[i];
		int64_t ms = z->told_ms > now ? z->told_ms - now : own_ms;

		if (z->pending && ms < wait)
			wait = ms;
	}
	is->at = is->n_authzs;
	is->hurried = false;
	return next_later(STEP_POLL_AUTHZ, wait);
}

/* Answer as many as may be under way, then look after them. */
static struct next
answer_more(struct issue *is)
{
	bool seen;

	if (may_answer(is)) {
		is->at = is->fresh;
		return NEXT_TO(STEP_ANSWER);
	}
	seen = seek_flying(is, 0, true) < is->n_authzs;
	return next_round(
	    is, seen ? session_pace_ms(is->session, PACE_AUTHZ) : UNSEEN_MS);
}

/* What a reply says of the present one. */
static void
note_told(struct issue *is, const struct reply *r)
{
	is->authzs[is->at].told_ms =
	    r->retry_after_s <= 0
		? 0
		: clock_mono_ms() +
		      issue_poll_wait(is, r->retry_after_s, PACE_AUTHZ);
}

struct next
published(struct issue *is, const struct answer *a, struct err *e)
{
	struct next n;

	(void)a;
	(void)e;
	is->fresh = seek_pending(is, 0);
	is->flying = 0;
	is->window = WINDOW_FIRST;
	is->asks_all = partial_asks_all(is->cert, is->mode == ISSUE_REHEARSAL);
	issue_poll_begin(is);
	n = answer_more(is);
	n.save = SAVE_ORDER;
	return n;
}

int
start_answer(struct issue *is, struct err *e)
{
	struct ask_spec spec = { .url = is->authzs[is->at].challenge,
		.payload = "{}" };

	log_debug("challenge answered", KV("cert", is->cert->conf->name),
	    KV("name", is->authzs[is->at].ident));
	return issue_ask(is, &spec, e);
}

static struct next
next_answer(struct issue *is)
{
	if (is->at == is->fresh) {
		is->fresh = seek_pending(is, is->fresh + 1);
		is->flying++;
		is->answered_ms = is->waited_ms;
	}
	return answer_more(is);
}

struct next
answered(struct issue *is, const struct answer *a, struct err *e)
{
	(void)e;
	note_told(is, a->reply);
	return next_answer(is);
}

/* Somebody answered before us, or the CA is at it already: look (E15, E18). */
struct next
answer_failed(struct issue *is, struct err *e)
{
	if (e->kind == ERR_PROBLEM &&
	    (e->num == 409 || e->problem == PROBLEM_CONFLICT ||
		e->problem == PROBLEM_MALFORMED))
		return next_answer(is);
	return NEXT_FAILED;
}

/* Watching */

int
start_poll_authz(struct issue *is, struct err *e)
{
	if (is->at == is->n_authzs) /* a round begins, with the oldest */
		is->at = seek_flying(is, 0, false);
	if (is->at == is->n_authzs)
		is->at = seek_pending(is, 0);
	return issue_ask(
	    is, &(struct ask_spec){ .url = is->authzs[is->at].url }, e);
}

/*
 * When the looks go round: what can be over is looked at, and no more is
 * answered before.  After a failure, what the CA says of the others that are
 * under way is waited for, but not for long; one that stays pending hides none.
 */
static struct next
look_on(struct issue *is, struct err *e)
{
	int64_t end = is->failed_ms + RESULTS_MS;
	bool failed = some_failed(is), done = !is->authzs[is->at].pending;
	struct next n;

	is->at = seek_flying(is, is->at + 1, !done && !failed);
	if (is->at < is->n_authzs)
		return NEXT_TO(STEP_POLL_AUTHZ);
	if (may_answer(is))
		return answer_more(is);
	if (is->flying != 0) {
		n = next_round(is, issue_poll_wait(is, 0, PACE_AUTHZ));
		if (!failed || is->waited_ms + n.wait_ms <= end)
			return n;
	}
	if (failed)
		return fail_names(is, e);
	tokens_stop(is);
	issue_poll_begin(is);
	is->all_valid = true;
	return NEXT_TO(STEP_POLL_ORDER);
}

static struct next
look_again(struct issue *is, const struct authz *z, struct err *e)
{
	struct one_authz *one = &is->authzs[is->at];

	if (some_failed(is))
		return look_on(is, e);
	if (issue_too_long(is, PACE_AUTHZ, "the CA has not validated it", e)) {
		(void)err_wrap(e, "%s", one->ident);
		if (z->has_error) {
			partial_blame(is->cert, one->ident, &z->error);
			(void)err_wrap(e, "%s", z->error.what);
		}
		issue_drop_order(is);
		return NEXT_FAILED;
	}
	/* Some CAs leave a failed challenge pending, to be answered again. */
	if (z->http01 != NULL && z->http01->has_error &&
	    z->http01->status == ACME_PENDING &&
	    one->reanswers < REANSWERS_MAX) {
		int64_t wait = 5000 * (INT64_C(1) << one->reanswers++);

		log_warn("validation failed, the CA will try again",
		    KV("cert", is->cert->conf->name), KV("name", one->ident),
		    KV("error", z->error.what));
		return next_later(STEP_ANSWER, wait);
	}
	return look_on(is, e);
}

/* Only the first look at a name that the CA was seen to validate teaches. */
static void
learn(struct issue *is, bool finished)
{
	struct one_authz *one = &is->authzs[is->at];

	if (one->fetched && !one->looked && one->told_ms == 0)
		session_pace_learn(is->session, PACE_AUTHZ, finished);
	one->looked = one->fetched;
}

/* The present one is over, one way or the other. */
static struct next
over(struct issue *is, const struct authz *z, struct err *e)
{
	struct one_authz *one = &is->authzs[is->at];

	one->pending = false;
	is->flying--;
	is->polls = 0;
	if (z->status != ACME_VALID) {
		note_failure(is, one->ident, z);
	} else {
		partial_good(is->cert);
		is->resumed_ms = is->cert->waited_s = 0; /* it is at it */
		if (is->window < WINDOW_MAX)
			is->window += WINDOW_STEP;
	}
	if (is->asks_all)
		is->failed_ms = is->waited_ms;
	return look_on(is, e);
}

struct next
polled_authz(struct issue *is, const struct answer *a, struct err *e)
{
	AUTO(pool_free) struct pool *pool = pool_new(ACME_BODY_MAX);
	struct authz z;

	if (pool == NULL) {
		(void)err_nomem(e, "authorization");
		return NEXT_FAILED;
	}
	if (authz_decode(a->reply->body, a->reply->len, pool, &z, e) == -1)
		return NEXT_FAILED;
	learn(is, z.status != ACME_PENDING);
	note_told(is, a->reply);
	return z.status == ACME_PENDING ? look_again(is, &z, e)
					: over(is, &z, e);
}

/* The order is invalid: say why, from its error or from its authorizations. */
struct next
issue_invalid(struct issue *is, struct err *e)
{
	if (is->order.has_error) {
		*e = is->order.error;
		issue_drop_order(is);
		return NEXT_FAILED;
	}
	if (is->order.n_authzs != 0) {
		is->post_mortem = true;
		is->at = 0;
		return NEXT_TO(STEP_AUTHZ);
	}
	(void)err_set(
	    e, ERR_PROTO, 0, "the order is invalid, the CA does not say why");
	return issue_abandon(is, e);
}
