/* SPDX-License-Identifier: ISC */
/* The loop on virtual time: timers in order of their instant, then of when
 * they were set. */

#include <stdlib.h>

#include "lib/base/clock.h"
#include "tests/scenarios/sim.h"

struct loop_timer {
	TAILQ_ENTRY(loop_timer) link;
	loop_fn *fn;
	void *arg;
	int64_t at;
	bool pending;
};
TAILQ_HEAD(timers, loop_timer);

struct loop_jump {
	LIST_ENTRY(loop_jump) link;
	struct loop_timer *timer;
};

struct loop {
	struct timers timers;
	LIST_HEAD(, loop_jump) jumps;
};

static struct loop the_loop = { .timers =
				    TAILQ_HEAD_INITIALIZER(the_loop.timers) };
static int64_t now_ms;
static uint64_t turns;

/* The linker puts it in place of the real one, which a jump of the wall clock
 * in clock_fake() would move too. */
int64_t __wrap_clock_mono_ms(void);
int64_t
__wrap_clock_mono_ms(void)
{
	return now_ms;
}

int64_t
sim_ms(void)
{
	return now_ms;
}

uint64_t
sim_turns(void)
{
	return turns;
}

int64_t
sim_due_ms(const struct loop_timer *t)
{
	return !t->pending ? -1 : t->at > now_ms ? t->at - now_ms : 0;
}

bool
sim_busy(void)
{
	const struct loop_timer *t = TAILQ_FIRST(&the_loop.timers);

	return t != NULL && t->at <= now_ms;
}

void
sim_wall(int64_t now_s)
{
	struct loop_jump *j;

	clock_fake(now_s);
	LIST_FOREACH (j, &the_loop.jumps, link)
		loop_timer_set(j->timer, 0);
}

void
sim_sleep(int64_t ms)
{
	struct loop_timer *t;

	TAILQ_FOREACH (t, &the_loop.timers, link)
		t->at += ms;
	now_ms += ms;
	sim_wall(clock_now() + ms / 1000);
}

void
sim_time_reset(void)
{
	now_ms = 1000000;
	turns = 0;
	clock_fake(SIM_START);
}

static void
move_to(int64_t ms)
{
	if (ms <= now_ms)
		return;
	clock_fake_advance_ms(ms - now_ms);
	now_ms = ms;
}

bool
sim_step(int64_t until_ms)
{
	struct loop_timer *t = TAILQ_FIRST(&the_loop.timers);

	if (t == NULL || t->at > until_ms) {
		move_to(until_ms);
		return false;
	}
	move_to(t->at);
	loop_timer_stop(t);
	turns++;
	t->fn(t->arg);
	return true;
}

void
sim_run_until(int64_t until_ms)
{
	while (sim_step(until_ms))
		continue;
}

struct loop *
loop_new(struct err *e)
{
	(void)e;
	return &the_loop;
}

void
loop_free(struct loop *l)
{
	(void)l;
}

int
loop_run(struct loop *l, struct err *e)
{
	(void)l;
	return err_set(e, ERR_PROTO, 0, "virtual time is moved by the test");
}

void
loop_stop(struct loop *l)
{
	(void)l;
}

uint64_t
loop_wakeups(const struct loop *l)
{
	(void)l;
	return turns;
}

struct loop_timer *
loop_timer_new(struct loop *l, loop_fn *fn, void *arg, struct err *e)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	(void)l;
	if (t == NULL) {
		(void)err_nomem(e, "timer");
		return NULL;
	}
	t->fn = fn;
	t->arg = arg;
	return t;
}

void
loop_timer_set(struct loop_timer *t, int64_t delay_ms)
{
	struct loop_timer *before;

	loop_timer_stop(t);
	t->at = now_ms + (delay_ms < 0 ? 0 : delay_ms);
	t->pending = true;
	TAILQ_FOREACH_REVERSE(before, &the_loop.timers, timers, link)
	if (before->at <= t->at)
		break;
	if (before == NULL)
		TAILQ_INSERT_HEAD(&the_loop.timers, t, link);
	else
		TAILQ_INSERT_AFTER(&the_loop.timers, before, t, link);
}

void
loop_timer_stop(struct loop_timer *t)
{
	if (t->pending)
		TAILQ_REMOVE(&the_loop.timers, t, link);
	t->pending = false;
}

bool
loop_timer_pending(const struct loop_timer *t)
{
	return t->pending;
}

void
loop_timer_free(struct loop_timer *t)
{
	if (t == NULL)
		return;
	loop_timer_stop(t);
	free(t);
}

struct loop_jump *
loop_jump_new(struct loop *l, loop_fn *fn, void *arg, struct err *e)
{
	struct loop_jump *j = calloc(1, sizeof(*j));

	if (j == NULL || (j->timer = loop_timer_new(l, fn, arg, e)) == NULL) {
		free(j);
		(void)err_nomem(e, "clock's handle");
		return NULL;
	}
	LIST_INSERT_HEAD(&the_loop.jumps, j, link);
	return j;
}

void
loop_jump_free(struct loop_jump *j)
{
	if (j == NULL)
		return;
	LIST_REMOVE(j, link);
	loop_timer_free(j->timer);
	free(j);
}

/* Of descriptors and signals the engine's core knows nothing. */

struct loop_fd *
loop_fd_new(struct loop *l, int fd, unsigned what, loop_fd_fn *fn, void *arg,
    struct err *e)
{
	(void)l;
	(void)fd;
	(void)what;
	(void)fn;
	(void)arg;
	(void)err_set(e, ERR_PROTO, 0, "no descriptors here");
	return NULL;
}

int
loop_fd_want(struct loop_fd *f, unsigned what)
{
	(void)f;
	(void)what;
	return -1;
}

void
loop_fd_free(struct loop_fd *f)
{
	(void)f;
}

struct loop_signal *
loop_signal_new(
    struct loop *l, int signo, loop_signal_fn *fn, void *arg, struct err *e)
{
	(void)l;
	(void)signo;
	(void)fn;
	(void)arg;
	(void)err_set(e, ERR_PROTO, 0, "no signals here");
	return NULL;
}

void
loop_signal_free(struct loop_signal *s)
{
	(void)s;
}

struct event_base *
loop_base(struct loop *l)
{
	(void)l;
	return NULL;
}
