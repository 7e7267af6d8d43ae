/* SPDX-License-Identifier: ISC */
/*
 * Instead of issue.c: an attempt is an order, a validation and a certificate,
 * each after a while, each of which the CA may refuse.  What an attempt
 * changes in a certificate's state, and when, is as there.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/issue.h"
#include "lib/acme/problem.h"
#include "lib/base/clock.h"
#include "lib/crypto/key.h"
#include "tests/fleet/fleet.h"
#include "tests/fleet/session.h"

#define POLL_S 600
#define SLOW_S 120

enum stage {
	STAGE_LOST,
	STAGE_LOOK,
	STAGE_ORDER,
	STAGE_VALIDATION,
	STAGE_CERTIFICATE
};

struct issue {
	const struct issue_env *env;
	struct cert *cert;
	struct session *session;
	enum issue_mode mode;
	issue_done *done;
	void *arg;
	struct loop_timer *timer;
	struct save *save;
	enum stage stage;
	bool ordered, issued, abandoned, slow;
};

static void
issue_free(struct issue *is)
{
	is->cert->issue = NULL;
	save_cancel(is->save);
	loop_timer_free(is->timer);
	free(is);
}

void
issue_cancel(struct issue *is)
{
	if (is != NULL)
		issue_free(is);
}

enum issue_mode
issue_mode(const struct issue *is)
{
	return is->mode;
}

void
issue_look(struct issue *is)
{
	(void)is; /* nobody sets this clock */
}

bool
issue_ordering(const struct issue *is)
{
	(void)is; /* an order is made in no time */
	return false;
}

static void
finish(struct issue *is, enum issue_end end, const struct err *e)
{
	static const enum policy_where where[] = {
		[STAGE_LOST] = WHERE_ORDER,
		[STAGE_LOOK] = WHERE_ORDER,
		[STAGE_ORDER] = WHERE_ORDER,
		[STAGE_VALIDATION] = WHERE_NAME,
		[STAGE_CERTIFICATE] = WHERE_CERT,
	};
	struct outcome o = { .end = end,
		.mode = is->mode,
		.where = where[is->stage],
		.ordered = is->ordered,
		.issued = is->issued,
		.err = e };
	struct cert *c = is->cert;
	issue_done *done = is->done;
	void *arg = is->arg;

	if (c->begun != 0 && is->stage != STAGE_LOST)
		cert_forget_order(c);
	issue_free(is);
	done(arg, c, &o);
}

static void
go(struct issue *is, enum stage stage, int64_t ms)
{
	is->stage = stage;
	loop_timer_set(is->timer, ms);
}

static int64_t
moment(void)
{
	return 500 + (int64_t)chance(3000);
}

static char *
copy(const char *text)
{
	char *s = strdup(text);

	if (s == NULL)
		abort();
	return s;
}

static void
refused(struct issue *is, const struct refusal *r)
{
	struct cert *c = is->cert;
	struct err e;

	if (r->problem == PROBLEM_ALREADY_REPLACED && !c->have.replaced) {
		c->have.replaced = true;
		go(is, STAGE_ORDER, moment());
		return;
	}
	(void)err_set(&e, ERR_PROBLEM, r->status, "%s", r->what);
	e.problem = r->problem;
	e.retry_after_s = r->retry_after;
	finish(is, ISSUE_FAILED, &e);
}

static void
order(struct issue *is)
{
	struct cert *c = is->cert;
	bool valid, replaces;
	struct refusal r;
	struct err e;

	c->begun = clock_now();
	c->order_ca = session_index(is->session);
	c->rehearsal = is->mode == ISSUE_REHEARSAL;
	if (is->ordered && issue_spend_again(c, is->session, &e) == -1) {
		finish(is, ISSUE_FAILED, &e);
		return;
	}
	replaces = is->mode == ISSUE_REAL && issue_replaces(c, is->session);
	if (!ca_order(session_index(is->session), c,
		replaces ? c->have.ari_id : NULL, &r)) {
		refused(is, &r);
		return;
	}
	cert_forget_order(c);
	is->ordered = true;
	c->order_ca = session_index(is->session);
	c->rehearsal = is->mode == ISSUE_REHEARSAL;
	c->order_url = copy("https://le.test/order");
	(void)cert_save(is->env->certs, c, SAVE_ORDER, NULL, NULL, &e);
	go(is, STAGE_VALIDATION, 1000 * ca_validation(c, &valid));
}

/* Its CA does not know the order any more: another one, but once only. */
static void
order_gone(struct issue *is)
{
	struct err e;

	cert_forget_order(is->cert);
	if (!is->abandoned) {
		is->abandoned = true;
		go(is, STAGE_ORDER, moment());
		return;
	}
	(void)err_set(&e, ERR_HTTP, 404, "no such order");
	finish(is, ISSUE_FAILED, &e);
}

static void
name_failed(struct issue *is)
{
	struct cert *c = is->cert;
	const char *name = c->conf->idents[0];
	struct err e;

	ca_failed(session_index(is->session), c);
	budget_failed(session_budget(is->session), name, clock_now());
	session_budget_changed(is->session);
	cert_forget_order(c);
	(void)err_set(&e, ERR_PROBLEM, 400, "%s: NXDOMAIN looking up A", name);
	e.problem = PROBLEM_DNS;
	finish(is, ISSUE_FAILED, &e);
}

static void
set_key(struct cert *c)
{
	char key[KEY_ID_LEN + 1];

	(void)snprintf(key, sizeof(key), "%0*x", KEY_ID_LEN,
	    c->index << 8 | (records[c->index].serial & 255));
	free(c->order_key);
	c->order_key = copy(key);
}

static void
validation(struct issue *is)
{
	struct cert *c = is->cert;
	int64_t wait;
	bool valid;

	if (!ca_order_lives(c)) {
		order_gone(is);
		return;
	}
	wait = ca_validation(c, &valid);
	if (wait > 0) {
		go(is, STAGE_VALIDATION,
		    1000 * (wait < POLL_S ? wait : POLL_S));
		if (!is->slow && wait > SLOW_S)
			is->slow = is->env->on_slow(is->env->slow_arg, c);
		return;
	}
	if (!valid) {
		name_failed(is);
		return;
	}
	set_key(c);
	(void)cert_save(
	    is->env->certs, c, SAVE_ORDER_DURABLY, NULL, NULL, NULL);
	go(is, STAGE_CERTIFICATE, moment());
}

static void
on_saved(void *arg, const struct err *e)
{
	struct issue *is = arg;

	is->save = NULL;
	finish(is, ISSUE_OK, e);
}

static void
remember(struct issue *is)
{
	struct cert *c = is->cert;
	const struct record *r = &records[c->index];
	struct issued *h = &c->have;
	bool hurried = cert_hurried(c, session_now(is->session));
	char id[32];

	(void)snprintf(id, sizeof(id), "A%u.%u", c->index, r->serial);
	free(h->key_id);
	free(h->serial);
	free(h->ari_id);
	h->key_id = c->order_key;
	c->order_key = NULL;
	h->serial = copy(id + 1);
	h->ari_id = copy(id);
	h->issuer = "Test";
	h->ca = certs_intern(session_ca(is->session)->name);
	h->account = certs_intern(session_account_url(is->session));
	h->not_before = r->from;
	h->not_after = r->to;
	h->installed_at = session_now(is->session);
	h->by_fraction = schedule_pick(r->from, r->to, h->installed_at);
	h->made_for = c->wants;
	h->version++;
	h->replaced = false;
	h->hurried = hurried;
	window_clear(&c->window);
	trouble_clear(&c->issue_trouble);
	c->deploy = DEPLOY_DONE;
}

static void
certificate(struct issue *is)
{
	struct cert *c = is->cert;
	struct err e;

	if (!ca_order_lives(c)) {
		order_gone(is);
		return;
	}
	ca_issue(session_index(is->session), c);
	is->issued = true;
	if (is->mode == ISSUE_REAL)
		remember(is);
	cert_forget_order(c);
	is->save = cert_save(is->env->certs, c, SAVE_CERT, on_saved, is, &e);
	if (is->save == NULL)
		abort();
}

static void
on_timer(void *arg)
{
	struct issue *is = arg;
	const char *why;
	struct err e;

	if (session_blocked(is->session, &why) != 0) {
		(void)err_set(&e, ERR_LIMIT, 0, "%s", why);
		finish(is, ISSUE_BLOCKED, &e);
		return;
	}
	if (session_out(is->session, &e)) {
		finish(is, ISSUE_BLOCKED, &e);
		return;
	}
	session_heard(is->session);
	if (is->stage == STAGE_LOST) {
		(void)err_set(&e, ERR_LIMIT, 0, "ended within newOrder");
		finish(is, ISSUE_LOST, &e);
	} else if (is->stage == STAGE_LOOK)
		go(is, STAGE_ORDER, moment());
	else if (is->stage == STAGE_ORDER)
		order(is);
	else if (is->stage == STAGE_VALIDATION)
		validation(is);
	else
		certificate(is);
}

struct issue *
issue_start(const struct issue_env *env, struct cert *c,
    const struct issue_spec *spec, issue_done *done, void *arg, struct err *e)
{
	struct issue *is = calloc(1, sizeof(*is));

	if (is == NULL)
		abort();
	is->env = env;
	is->cert = c;
	is->session = spec->session;
	is->mode = spec->mode;
	is->done = done;
	is->arg = arg;
	is->ordered = cert_ordering(c);
	is->timer = loop_timer_new(env->loop, on_timer, is, e);
	if (is->timer == NULL)
		abort();
	c->issue = is;
	go(is,
	    c->order_url != NULL ? STAGE_VALIDATION
	    : c->begun != 0      ? STAGE_LOST
				 : STAGE_LOOK,
	    0);
	return is;
}

void
issue_leave(const struct issue_env *env, struct cert *c)
{
	(void)env;
	cert_forget_order(c);
	c->spent = 0;
}

void
issue_republish(
    const struct issue_env *env, struct cert *c, const char *thumbprint)
{
	(void)env;
	(void)c;
	(void)thumbprint;
}
