/* SPDX-License-Identifier: ISC */
/* The life of the engine and the keeper. */
#include "daemon/supervisor/children.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/reload.h"
#include "daemon/supervisor/requests.h"
#include "daemon/supervisor/spawn.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/io/sock.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS (60 * 1000)
#define LIFE_GOOD_MS   (60 * 1000) /* after it the backoff begins anew */
#define CLOSED_MS      (1 * 1000)
#define STOP_MS        (5 * 1000)
#define QUIT_MS        (10 * 1000)
#define ALIVE_S        300 /* without a watchdog: wakes nobody often */
#define ALIVE_MISSED   2   /* times ALIVE did not come: it hangs */
#define START_MAX_MS   (10 * 60 * 1000) /* reading a huge state */
#define START_TICK_MS  (10 * 1000)
#define WATCHDOG_MS    500 /* to systemd no more often, whoever is asking */
#define STATUS_MS      1000

static void start(void *);

static void
notify_watchdog(struct super *s)
{
	int64_t now = clock_mono_ms();

	if (!s->watched || now - s->watchdog_ms < WATCHDOG_MS)
		return;
	s->watchdog_ms = now;
	sock_notify("WATCHDOG=1");
}

static void
on_status_timer(void *arg)
{
	struct super *s = arg;

	s->status_ms = clock_mono_ms();
	sock_notify(s->status);
}

void
children_status(struct super *s, const char *text)
{
	int64_t wait = s->status_ms + STATUS_MS - clock_mono_ms();

	(void)snprintf(s->status, sizeof(s->status), "%s", text);
	if (!loop_timer_pending(s->status_timer))
		loop_timer_set(s->status_timer, wait > 0 ? wait : 0);
}

/* Three times in the span that systemd waits, so that we see a hanging engine
 * before systemd sees us. */
static void
watchdog_init(struct super *s)
{
	const char *text = getenv("WATCHDOG_USEC");
	uint64_t usec;

	s->alive_s = ALIVE_S;
	s->watched = text != NULL && str_u64(text, 1, INT64_MAX, &usec) == 0;
	if (s->watched && usec / 3000000 < ALIVE_S)
		s->alive_s = usec < 6000000 ? 1 : (uint32_t)(usec / 3000000);
}

static void
notify_ready(struct super *s, const char *status)
{
	AUTO(buf_done) struct buf text = BUF_INIT(ERR_WHAT_MAX);

	buf_printf(&text, "READY=1\nSTATUS=%s", status);
	sock_notify(buf_str(&text));
	s->reloading = false;
}

/* A program that runs from where it was built finds its fellows there, if
 * they are whose it is. */
static bool
fellow_ok(const char *path, uid_t uid)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       st.st_uid == uid && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
	       (st.st_mode & S_IXUSR) != 0;
}

static int
use_folder(struct super *s, const char *dir, struct err *e)
{
	struct child *const both[] = { &s->engine, &s->keeper };
	size_t i;

	for (i = 0; i < NELEM(both); i++) {
		free(take_ptr(both[i]->path));
		if (asprintf(&both[i]->path, "%s/%s", dir, both[i]->program) ==
		    -1) {
			both[i]->path = NULL;
			return err_nomem(e, "programs");
		}
	}
	return 0;
}

static int
find_programs(struct super *s, struct err *e)
{
	AUTO(free) char *self = realpath("/proc/self/exe", NULL);
	struct stat st;

	if (self != NULL && stat("/proc/self/exe", &st) == 0) {
		*strrchr(self, '/') = '\0';
		if (use_folder(s, self, e) == -1)
			return -1;
		if (fellow_ok(s->engine.path, st.st_uid) &&
		    fellow_ok(s->keeper.path, st.st_uid))
			return 0;
	}
	if (use_folder(s, ACMED_LIBEXECDIR, e) == -1)
		return -1;
	if (access(s->engine.path, X_OK) == -1)
		return err_set(e, ERR_SYS, errno, "%s", s->engine.path);
	if (access(s->keeper.path, X_OK) == -1)
		return err_set(e, ERR_SYS, errno, "%s", s->keeper.path);
	return 0;
}

static void
send_signal(const struct child *c, int signo)
{
	/* it is not reaped yet, so the pid is still its own */
	if (c->pid != 0)
		(void)kill(c->pid, signo);
}

void
children_kill(struct super *s)
{
	send_signal(&s->engine, SIGKILL);
	send_signal(&s->keeper, SIGKILL);
}

static void
terminate(struct super *s)
{
	s->told = true;
	send_signal(&s->engine, SIGTERM);
	send_signal(&s->keeper, SIGTERM);
	loop_timer_set(s->kill_timer, s->quit ? QUIT_MS : STOP_MS);
}

static void
on_kill_timer(void *arg)
{
	struct super *s = arg;

	if (!s->told) {
		terminate(s);
		return;
	}
	log_warn("stopping takes too long: killed",
	    KV("engine", s->engine.pid != 0 ? "running" : "ended"),
	    KV("keeper", s->keeper.pid != 0 ? "running" : "ended"));
	children_kill(s);
}

static void
child_clear(struct child *c)
{
	chan_free(take_ptr(c->chan));
	c->ready = false;
	c->closed = false;
}

/* Both have ended. */
static void
gone(struct super *s)
{
	loop_timer_stop(s->kill_timer);
	child_clear(&s->engine);
	child_clear(&s->keeper);
	s->phase = PHASE_DOWN;
	if (s->quit)
		loop_stop(s->loop);
	else
		loop_timer_set(s->start_timer, s->again_ms);
}

void
children_stop(struct super *s, int64_t again_ms, int64_t term_ms)
{
	s->again_ms = again_ms;
	hooks_forget(s->hooks);
	reload_forget(s);
	loop_timer_stop(s->watch_timer);
	loop_timer_stop(s->start_timer);
	loop_timer_stop(s->status_timer);
	s->phase = PHASE_STOPPING;
	s->told = false;
	if (s->engine.pid == 0 && s->keeper.pid == 0)
		gone(s);
	else if (term_ms > 0)
		loop_timer_set(s->kill_timer, term_ms);
	else
		terminate(s);
}

void
children_start(struct super *s)
{
	loop_timer_set(s->start_timer, 0);
}

static int64_t
next_delay(struct super *s)
{
	int64_t delay;

	if (s->backoff_ms < BACKOFF_MIN_MS ||
	    clock_mono_ms() - s->started_ms >= LIFE_GOOD_MS)
		s->backoff_ms = BACKOFF_MIN_MS;
	delay = s->backoff_ms;
	s->backoff_ms *= 2;
	if (s->backoff_ms > BACKOFF_MAX_MS)
		s->backoff_ms = BACKOFF_MAX_MS;
	return delay;
}

/* Whoever started a reload must not wait for a start that does not come. */
static void
fail(struct super *s, struct child *c, const char *how)
{
	int64_t delay = next_delay(s);

	log_error("stopped unexpectedly, both are started again",
	    KV("program", c->name), KV("how", how), KN("in_ms", delay));
	if (s->reloading)
		notify_ready(s, "reloaded, but the engine does not start");
	children_stop(s, delay, 0);
}

static void
status_text(int status, char *out, size_t size)
{
	if (WIFSIGNALED(status))
		(void)snprintf(
		    out, size, "killed by signal %d", WTERMSIG(status));
	else
		(void)snprintf(
		    out, size, "exit status %d", WEXITSTATUS(status));
}

void
children_reaped(void *arg, pid_t pid, int status)
{
	char how[sizeof("killed by signal -2147483648")];
	struct super *s = arg;
	struct child *c = &s->engine;

	if (c->pid != pid)
		c = &s->keeper;
	if (c->pid != pid)
		return; /* a grandchild that was left to us */
	c->pid = 0;
	status_text(status, how, sizeof(how));
	if (s->phase != PHASE_STOPPING) {
		fail(s, c, how);
		return;
	}
	/* the one that failed may be reaped behind the other one */
	if (WIFSIGNALED(status) || WEXITSTATUS(status) != 0)
		log_info("ended", KV("program", c->name), KV("how", how));
	if (!s->told) /* what it had to finish is finished */
		terminate(s);
	if (s->engine.pid == 0 && s->keeper.pid == 0)
		gone(s);
}

/*
 * With no error it has closed its end, which it does by ending: its exit
 * status comes in a moment, and says more.
 */
static void
on_closed(void *arg, const struct err *e)
{
	struct child *c = arg;
	struct super *s = c->super;

	if (s->phase == PHASE_STOPPING)
		return;
	if (e->kind != ERR_NONE) {
		fail(s, c, e->what);
		return;
	}
	c->closed = true;
	loop_timer_set(s->watch_timer, CLOSED_MS);
}

static int64_t
start_tick(const struct super *s)
{
	int64_t ms = (int64_t)s->alive_s * 1000;

	return ms < START_TICK_MS ? ms : START_TICK_MS;
}

static void
on_watch(void *arg)
{
	struct super *s = arg;

	if (s->engine.closed || s->keeper.closed) {
		fail(s, s->engine.closed ? &s->engine : &s->keeper,
		    "it closed its channel");
		return;
	}
	if (s->phase == PHASE_STARTING) {
		if (clock_mono_ms() - s->started_ms < START_MAX_MS) {
			notify_watchdog(s);
			loop_timer_set(s->watch_timer, start_tick(s));
			return;
		}
		fail(s, s->engine.ready ? &s->keeper : &s->engine,
		    "not ready in time");
	} else {
		fail(s, &s->engine, "it hangs");
	}
	/* what hangs does not hear SIGTERM */
	send_signal(&s->engine, SIGKILL);
}

void
children_alive(struct super *s)
{
	notify_watchdog(s);
	if (s->phase == PHASE_UP && !s->engine.closed && !s->keeper.closed)
		loop_timer_set(
		    s->watch_timer, (int64_t)s->alive_s * 1000 * ALIVE_MISSED);
}

void
children_ready(struct child *c)
{
	struct super *s = c->super;

	c->ready = true;
	if (!s->engine.ready || !s->keeper.ready)
		return;
	s->phase = PHASE_UP;
	log_info("ready", KN("certificates", s->setup->conf->n_certs),
	    KN("ms", clock_mono_ms() - s->started_ms));
	notify_ready(s, "running");
	children_alive(s);
}

/* The descriptors of a child, in the order of enum ipc_fd. */
struct handover {
	int fds[SPAWN_FDS_MAX];
	size_t n;
};

_Static_assert(IPC_FD_CONFIG == 3 && IPC_FD_FIRST == 7, "order of handover");
_Static_assert(IPC_FD_FIRST - 3 + 1 + PORTS_MAX <= SPAWN_FDS_MAX &&
		   IPC_FD_FIRST - 3 + IPC_SECRETS <= SPAWN_FDS_MAX,
    "room in a handover");

static int
child_spawn(
    struct super *s, struct child *c, const struct handover *h, struct err *e)
{
	const struct ids *ids =
	    c == &s->engine ? &s->state.engine_ids : &s->state.keeper_ids;
	const struct spawn how = {
		.path = c->path,
		.argv0 = c->program,
		.fds = h->fds,
		.n_fds = h->n,
		.ids = s->root ? ids : NULL,
		.network = c == &s->engine,
	};
	pid_t pid = spawn(&how, e);

	if (pid == -1)
		return err_wrap(e, "start %s", c->name);
	c->pid = pid;
	return 0;
}

static int
channel_open(struct super *s, struct child *c, const struct chan_rule *rules,
    int *theirs, struct err *e)
{
	int fds[2];

	if (chan_pair(fds, e) == -1)
		return -1;
	*theirs = fds[1];
	c->chan = chan_new(s->loop, fds[0], rules, on_closed, c, e);
	return c->chan == NULL ? -1 : 0;
}

static int
engine_spawn(struct super *s, int super_end, int peer, struct err *e)
{
	struct handover h = { { s->setup->bundle, super_end, peer,
				  s->state.engine, s->ports.control },
		5 };
	size_t i;

	for (i = 0; i < s->ports.n; i++)
		h.fds[h.n++] = s->ports.http[i].fd;
	return child_spawn(s, &s->engine, &h, e);
}

static int
keeper_spawn(struct super *s, int super_end, int peer, struct err *e)
{
	struct handover h = {
		{ s->setup->bundle, super_end, peer, s->state.keeper }, 4
	};
	uint32_t i;

	for (i = 0; i < s->setup->n_secrets; i++)
		h.fds[h.n++] = s->setup->secrets[i];
	return child_spawn(s, &s->keeper, &h, e);
}

static int
spawn_both(struct super *s, struct err *e)
{
	AUTO(close) int peer_engine = -1;
	AUTO(close) int peer_keeper = -1;
	AUTO(close) int engine = -1;
	AUTO(close) int keeper = -1;
	int peers[2];

	if (chan_pair(peers, e) == -1)
		return -1;
	peer_engine = peers[0];
	peer_keeper = peers[1];
	if (channel_open(s, &s->keeper, requests_of_keeper, &keeper, e) == -1 ||
	    channel_open(s, &s->engine, requests_of_engine, &engine, e) == -1)
		return -1;
	if (keeper_spawn(s, keeper, peer_keeper, e) == -1)
		return -1;
	return engine_spawn(s, engine, peer_engine, e);
}

static int
send_start(struct super *s, struct err *e)
{
	const struct setup *set = s->setup;
	struct ipc_start m = { .version = IPC_VERSION,
		.separated = s->root,
		.debug = s->debug,
		.alive_s = s->alive_s,
		.n_listen = (uint32_t)s->ports.n,
		.control_gid = (uint32_t)s->ports.control_gid };

	if (chan_send(s->engine.chan, IPC_START, 0, &m, sizeof(m), NULL, 0, -1,
		e) == -1 ||
	    reload_tell(s, e) == -1)
		return -1;
	m.n_listen = 0;
	m.n_secrets = set->n_secrets;
	memcpy(m.ca_of_secret, set->ca_of_secret,
	    set->n_secrets * sizeof(m.ca_of_secret[0]));
	return chan_send(
	    s->keeper.chan, IPC_START, 0, &m, sizeof(m), NULL, 0, -1, e);
}

static void
start(void *arg)
{
	struct super *s = arg;
	struct err e;

	s->phase = PHASE_STARTING;
	s->started_ms = clock_mono_ms();
	notify_watchdog(s);
	if (spawn_both(s, &e) == -1 || send_start(s, &e) == -1) {
		fail(s, &s->engine, e.what);
		return;
	}
	log_debug("started", KN("engine", s->engine.pid),
	    KN("keeper", s->keeper.pid));
	loop_timer_set(s->watch_timer, start_tick(s));
}

int
children_init(struct super *s, struct err *e)
{
	s->engine = (struct child){
		.super = s, .name = "engine", .program = "acmed-engine"
	};
	s->keeper = (struct child){
		.super = s, .name = "keeper", .program = "acmed-keeper"
	};
	s->phase = PHASE_DOWN;
	watchdog_init(s);
	s->start_timer = loop_timer_new(s->loop, start, s, e);
	s->kill_timer = loop_timer_new(s->loop, on_kill_timer, s, e);
	s->watch_timer = loop_timer_new(s->loop, on_watch, s, e);
	s->status_timer = loop_timer_new(s->loop, on_status_timer, s, e);
	if (s->start_timer == NULL || s->kill_timer == NULL ||
	    s->watch_timer == NULL || s->status_timer == NULL)
		return -1;
	return find_programs(s, e);
}

void
children_done(struct super *s)
{
	children_kill(s);
	child_clear(&s->engine);
	child_clear(&s->keeper);
	free(take_ptr(s->engine.path));
	free(take_ptr(s->keeper.path));
	loop_timer_free(take_ptr(s->start_timer));
	loop_timer_free(take_ptr(s->kill_timer));
	loop_timer_free(take_ptr(s->watch_timer));
	loop_timer_free(take_ptr(s->status_timer));
}
