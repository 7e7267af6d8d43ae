/* SPDX-License-Identifier: ISC */
/*
 * How long a CA is waited for: when to look again, and when not any more, which
 * a restart does not put off.  What counts is the time that was waited, and not
 * an instant: the clock may be set, and the host be off.
 */

#include "daemon/engine/issue_int.h"
#include "lib/base/clock.h"
#include "lib/base/rnd.h"
#include "lib/base/str.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   (60 * MINUTE_MS)

#define SPAN_TEXT 32

/* For names, since the latest that was answered; but those of an order of
 * before were, before. */
static int64_t
waited_ms(const struct issue *is)
{
	return is->waited_ms - (is->resumed_ms != 0 ? 0 : is->answered_ms);
}

/* Without what is left of the wait that is under way. */
static int64_t
so_far_s(const struct issue *is)
{
	int64_t rest = is->waiting ? is->until_ms - clock_mono_ms() : 0;

	return (waited_ms(is) - (rest > 0 ? rest : 0)) / 1000;
}

const char *
issue_waits(const struct issue *is, int64_t *waited_s)
{
	*waited_s = so_far_s(is);
	if (is->waiting && is->step == STEP_POLL_AUTHZ)
		return "wait for the CA to validate its names";
	if (is->waiting && is->step == STEP_POLL_ORDER &&
	    is->order.status == ACME_PROCESSING)
		return "wait for the CA to issue it";
	return NULL;
}

/* To its deadline. */
static int64_t
left_of(const struct issue *is, enum pace p)
{
	const struct conf_ca *ca = session_ca(is->session);
	int64_t all =
	    p == PACE_AUTHZ ? ca->validation_timeout_s : ca->issuance_timeout_s;

	return 1000 * all - waited_ms(is);
}

bool
issue_too_long(struct issue *is, enum pace p, const char *what, struct err *e)
{
	const struct conf_ca *ca = session_ca(is->session);
	char span[SPAN_TEXT];

	if (left_of(is, p) > 0)
		return false;
	str_ago(
	    p == PACE_AUTHZ ? ca->validation_timeout_s : ca->issuance_timeout_s,
	    span, sizeof(span));
	(void)err_set(e, ERR_LIMIT, 0, "%s in %s (%s)", what, span,
	    p == PACE_AUTHZ ? "validation-timeout" : "issuance-timeout");
	return true;
}

/* As the CA says, within reason; else soon, then ever more rarely. */
static int64_t
wait_for(struct issue *is, int64_t said_s, enum pace p)
{
	bool young = is->waited_ms < 10 * MINUTE_MS;
	int64_t most = young ? MINUTE_MS : HOUR_MS;
	int64_t wait = session_pace_ms(is->session, p);
	unsigned i;

	if (said_s > 0) {
		is->told_when = true;
		return said_s * 1000 > most ? most : said_s * 1000;
	}
	for (i = 0; i < is->polls && wait < 15000; i++)
		wait *= 2;
	is->polls++;
	if (wait < 15000)
		return wait;
	/* 20 s at first, 10 min when it takes hours */
	wait = is->waited_ms / 30;
	if (wait < 20000)
		wait = 20000;
	if (wait > 10 * MINUTE_MS)
		wait = 10 * MINUTE_MS;
	return rnd_jitter(wait, 25);
}

/*
 * When to look again.  A huge Retry-After neither hangs the job nor makes it
 * give up, nor has it outlast its deadline.
 */
int64_t
issue_poll_wait(struct issue *is, int64_t said_s, enum pace p)
{
	int64_t wait = wait_for(is, said_s, p);
	int64_t left = left_of(is, p);

	return left > 0 && wait > left ? left : wait;
}

void
issue_poll_begin(struct issue *is)
{
	is->polls = 0;
	is->told_when = false;
	is->waited_ms = is->resumed_ms;
	is->answered_ms = 0;
}

/* For those that go on with the order. */
void
issue_keep_waited(struct issue *is)
{
	if (is->cert->order_url == NULL)
		return;
	is->cert->waited_s = so_far_s(is);
	certs_keep_order(is->env->certs, is->cert);
}
