/* SPDX-License-Identifier: ISC */
/*
 * The event loop on libevent's epoll backend.  It owns the base and the
 * registrations, and never the descriptors that it is given, nor what the
 * callbacks do.
 */
#include "lib/io/loop.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct loop {
	struct event_base *base;
	uint64_t wakeups;
	bool stop;
};

/* The struct event lies inside, so that a handle is one allocation. */
struct loop_timer {
	struct event ev;
	loop_fn *fn;
	void *arg;
};

struct loop_fd {
	struct event ev;
	struct event_base *base;
	loop_fd_fn *fn;
	void *arg;
	int fd;
	unsigned what;
};

struct loop_signal {
	struct event ev;
	loop_signal_fn *fn;
	void *arg;
};

struct loop_jump {
	struct event ev;
	loop_fn *fn;
	void *arg;
	int fd;
};

/* Every call's failure is returned; nothing may go past the log. */
static void
be_silent(int severity, const char *msg)
{
	(void)severity;
	(void)msg;
}

static struct event_base *
new_base(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base;

	if (cfg == NULL)
		return NULL;
	/* One thread a loop, and no environment variable picks the backend. */
	(void)event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
	(void)event_config_set_flag(cfg, EVENT_BASE_FLAG_IGNORE_ENV);
	base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	return base;
}

struct loop *
loop_new(struct err *e)
{
	struct loop *l = calloc(1, sizeof(*l));

	event_set_log_callback(be_silent);
	if (l == NULL || (l->base = new_base()) == NULL) {
		free(l);
		(void)err_set(e, ERR_SYS, errno, "event loop");
		return NULL;
	}
	return l;
}

void
loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	event_base_free(l->base);
	free(l);
}

int
loop_run(struct loop *l, struct err *e)
{
	int r;

	/* One round a call, to count them. */
	while (!l->stop) {
		r = event_base_loop(l->base, EVLOOP_ONCE);
		if (r == -1)
			return err_set(e, ERR_SYS, errno, "event loop");
		if (r == 1)
			return err_set(e, ERR_SYS, EDEADLK,
			    "event loop: nothing to wait for");
		l->wakeups++;
	}
	l->stop = false;
	return 0;
}

void
loop_stop(struct loop *l)
{
	l->stop = true;
	(void)event_base_loopbreak(l->base);
}

uint64_t
loop_wakeups(const struct loop *l)
{
	return l->wakeups;
}

struct event_base *
loop_base(struct loop *l)
{
	return l->base;
}

/* In the three below, the handle may be gone when fn returns. */
static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	const struct loop_timer *t = arg;

	(void)fd;
	(void)what;
	t->fn(t->arg);
}

static void
on_fd(evutil_socket_t fd, short what, void *arg)
{
	const struct loop_fd *f = arg;
	unsigned got = 0;

	if (what & EV_READ)
		got |= LOOP_READ;
	if (what & EV_WRITE)
		got |= LOOP_WRITE;
	f->fn(f->arg, fd, got);
}

static void
on_signal(evutil_socket_t signo, short what, void *arg)
{
	const struct loop_signal *s = arg;

	(void)what;
	s->fn(s->arg, signo);
}

struct loop_timer *
loop_timer_new(struct loop *l, loop_fn *fn, void *arg, struct err *e)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		(void)err_nomem(e, "timer");
		return NULL;
	}
	t->fn = fn;
	t->arg = arg;
	(void)event_assign(&t->ev, l->base, -1, 0, on_timer, t);
	return t;
}

void
loop_timer_set(struct loop_timer *t, int64_t delay_ms)
{
	struct timeval tv;

	if (delay_ms < 0)
		delay_ms = 0;
	tv.tv_sec = (time_t)(delay_ms / 1000);
	tv.tv_usec = (suseconds_t)(delay_ms % 1000 * 1000);
	/*
	 * Only the growing of libevent's heap can fail.  Every owner survives
	 * a timer that runs too early, and none one that never does.
	 */
	if (event_add(&t->ev, &tv) == -1)
		event_active(&t->ev, EV_TIMEOUT, 1);
}

void
loop_timer_stop(struct loop_timer *t)
{
	(void)event_del(&t->ev);
}

bool
loop_timer_pending(const struct loop_timer *t)
{
	return event_pending(&t->ev, EV_TIMEOUT, NULL) != 0;
}

void
loop_timer_free(struct loop_timer *t)
{
	if (t == NULL)
		return;
	(void)event_del(&t->ev);
	free(t);
}

struct loop_fd *
loop_fd_new(struct loop *l, int fd, unsigned what, loop_fd_fn *fn, void *arg,
    struct err *e)
{
	struct loop_fd *f = calloc(1, sizeof(*f));

	assert(fd >= 0);
	if (f == NULL) {
		(void)err_nomem(e, "descriptor's handle");
		return NULL;
	}
	f->base = l->base;
	f->fn = fn;
	f->arg = arg;
	f->fd = fd;
	(void)event_assign(&f->ev, l->base, fd, EV_PERSIST, on_fd, f);
	if (loop_fd_want(f, what) == -1) {
		(void)err_set(e, ERR_SYS, errno, "watch descriptor %d", fd);
		free(f);
		return NULL;
	}
	return f;
}

int
loop_fd_want(struct loop_fd *f, unsigned what)
{
	short ev = EV_PERSIST;

	if (what == f->what)
		return 0;
	if (f->what != 0)
		(void)event_del(&f->ev);
	f->what = 0;
	if (what == 0)
		return 0;
	if (what & LOOP_READ)
		ev |= EV_READ;
	if (what & LOOP_WRITE)
		ev |= EV_WRITE;
	(void)event_assign(&f->ev, f->base, f->fd, ev, on_fd, f);
	if (event_add(&f->ev, NULL) == -1)
		return -1;
	f->what = what;
	return 0;
}

void
loop_fd_free(struct loop_fd *f)
{
	if (f == NULL)
		return;
	if (f->what != 0)
		(void)event_del(&f->ev);
	free(f);
}

struct loop_signal *
loop_signal_new(
    struct loop *l, int signo, loop_signal_fn *fn, void *arg, struct err *e)
{
	struct loop_signal *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		(void)err_nomem(e, "signal's handle");
		return NULL;
	}
	s->fn = fn;
	s->arg = arg;
	if (evsignal_assign(&s->ev, l->base, signo, on_signal, s) == -1 ||
	    event_add(&s->ev, NULL) == -1) {
		(void)err_set(e, ERR_SYS, errno, "watch signal %d", signo);
		free(s);
		return NULL;
	}
	return s;
}

void
loop_signal_free(struct loop_signal *s)
{
	if (s == NULL)
		return;
	(void)event_del(&s->ev);
	free(s);
}

static int
arm_jump(int fd)
{
	/* Due at the end of time; only what cancels it is of interest. */
	const struct itimerspec never = {
		.it_value.tv_sec =
		    (time_t)(INT64_MAX >> (64 - 8 * sizeof(time_t)))
	};
	int r = timerfd_settime(
	    fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);

	/* ECANCELED: armed, and the clock was set once more meanwhile. */
	return r == -1 && errno != ECANCELED ? -1 : 0;
}

static void
on_jump(evutil_socket_t fd, short what, void *arg)
{
	const struct loop_jump *j = arg;
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) != -1 || errno != ECANCELED)
		return;
	/* Before fn looks at the clock, so that no change falls between. */
	(void)arm_jump(fd);
	j->fn(j->arg);
}

struct loop_jump *
loop_jump_new(struct loop *l, loop_fn *fn, void *arg, struct err *e)
{
	struct loop_jump *j = calloc(1, sizeof(*j));

	if (j == NULL) {
		(void)err_nomem(e, "clock's handle");
		return NULL;
	}
	j->fn = fn;
	j->arg = arg;
	j->fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	(void)event_assign(
	    &j->ev, l->base, j->fd, EV_READ | EV_PERSIST, on_jump, j);
	if (j->fd == -1 || arm_jump(j->fd) == -1 ||
	    event_add(&j->ev, NULL) == -1) {
		(void)err_set(e, ERR_SYS, errno, "watch the clock");
		loop_jump_free(j);
		return NULL;
	}
	return j;
}

void
loop_jump_free(struct loop_jump *j)
{
	if (j == NULL)
		return;
	(void)event_del(&j->ev);
	if (j->fd != -1)
		(void)close(j->fd);
	free(j);
}
