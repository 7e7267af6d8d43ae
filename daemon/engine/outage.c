/* SPDX-License-Identifier: ISC */
/*
 * A CA, or an account, that is not usable as a whole: who has to wait hears
 * it, and hears again when it is tried and when it answers (protocol Q8, D7).
 */

#include "daemon/engine/policy.h"
#include "daemon/engine/session_int.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define LONG_S      600  /* a wait that is worth keeping on disk */
#define SLACK_S     3600 /* clocks differ */
#define UNAVAILABLE 503

static void
arm(struct session *s)
{
	int64_t until = s->breaker.until, wait = until - clock_now();

	loop_timer_stop(s->retry);
	if (until != 0 && until != INT64_MAX)
		loop_timer_set(s->retry, (wait < 1 ? 1 : wait) * 1000);
}

/* The breaker has opened: say so, and when it will be tried. */
static void
tell_blocked(struct session *s, const struct err *e)
{
	int64_t until = s->breaker.until, wait = until - clock_now();
	const char *why = s->why.what, *hint;

	s->why = *e;
	s->why.retry_after_s = -1; /* the breaker has it */
	hint = policy_hint(policy_find(e, WHERE_CA)->name, e);
	s->hint = hint;
	arm(s);
	if (until == INT64_MAX)
		log_error("CA not usable for now", KV("ca", s->ca->name),
		    KV("until", "a person has acted"), KV("error", why),
		    KV("hint", hint));
	else
		log_warn("CA not usable for now", KV("ca", s->ca->name),
		    KN("retry_in_s", wait), KV("error", why), KV("hint", hint));
	s->env->changed(s->env->arg, s);
}

void
session_block(struct session *s, int64_t since, int64_t until, const char *why)
{
	struct err e;

	s->breaker.until = until;
	s->breaker.since = since;
	(void)err_set(&e, ERR_HTTP, UNAVAILABLE, "%s", why);
	tell_blocked(s, &e);
}

/* A restart must not ask any earlier (protocol M1, Q2). */
static void
keep_wait(struct session *s, int64_t until)
{
	struct err e;

	s->not_before = until;
	if (account_save(s, NULL, NULL, &e) == -1)
		log_error("account state not saved", KV("ca", s->ca->name),
		    KV("error", e.what), KV("hint", err_hint(&e)));
}

void
session_trip(struct session *s, const struct err *e)
{
	bool counts = (policy_find(e, WHERE_CA)->flags & POLICY_FAILOVER) != 0;

	if (!breaker_trip(&s->breaker, e->retry_after_s, counts, clock_now()))
		return;
	tell_blocked(s, e);
	if (e->retry_after_s >= LONG_S && s->doc.key_id != NULL)
		keep_wait(s, s->breaker.until);
}

/* A failure that is the CA's or the network's as a whole, not of one request:
 * no connection, or a 503 of the load balancer (protocol M3). */
bool
session_is_outage(const struct err *e)
{
	return e->kind == ERR_NET ||
	       ((e->kind == ERR_HTTP || e->kind == ERR_PROBLEM) &&
		   (e->num == 502 || e->num == 503 || e->num == 504));
}

static void
on_retry(void *arg)
{
	session_unblock(arg);
}

void
session_unblock(struct session *s)
{
	if (s->breaker.until == 0)
		return;
	breaker_try(&s->breaker);
	loop_timer_stop(s->retry);
	s->env->changed(s->env->arg, s);
}

void
session_shift(struct session *s, int64_t by)
{
	struct breaker *b = &s->breaker;

	if (b->until != 0 && b->until != INT64_MAX)
		b->until += by;
	if (b->since != 0)
		b->since += by;
	if (s->not_before != 0)
		s->not_before += by;
	arm(s);
}

void
session_look(struct session *s)
{
	arm(s);
	clock_tell(s);
}

/* No trouble is waited for longer than a day. */
void
session_mend(struct session *s)
{
	int64_t latest = clock_now() + BREAKER_MAX_S + SLACK_S;

	if (s->breaker.until == INT64_MAX || s->breaker.until <= latest)
		return;
	s->breaker.until = s->not_before = clock_now();
	arm(s);
}

int64_t
session_blocked(const struct session *s, const char **why)
{
	if (why != NULL)
		*why = s->breaker.until == 0 ? NULL : s->why.what;
	return s->breaker.until;
}

const char *
session_hint(const struct session *s)
{
	return s->breaker.until == 0 ? NULL : s->hint;
}

const struct breaker *
session_breaker(const struct session *s)
{
	return &s->breaker;
}

void
session_answers(struct session *s)
{
	bool was = breaker_probing(&s->breaker);

	if (s->breaker.until == 0)
		s->deaf = false;
	breaker_ok(&s->breaker);
	/* whoever has ended that wait was right */
	if (s->breaker.until == 0 && s->not_before != 0)
		keep_wait(s, 0);
	if (was)
		s->env->changed(s->env->arg, s);
}

void
session_stop(struct session *s, const struct err *e)
{
	breaker_stop(&s->breaker, clock_now());
	tell_blocked(s, e);
}

int
outage_begin(struct session *s, struct err *e)
{
	s->retry = loop_timer_new(s->env->loop, on_retry, s, e);
	return s->retry == NULL ? -1 : 0;
}

void
outage_end(struct session *s)
{
	loop_timer_free(s->retry);
}
