/* SPDX-License-Identifier: ISC */
/*
 * acmed-engine: everything that touches a network.  Started by acmed only,
 * with its descriptors in place (lib/ipc/ipc.h); holds no private key.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/engine/control.h"
#include "daemon/engine/engine.h"
#include "daemon/engine/events.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/pool.h"
#include "lib/base/usage.h"
#include "lib/io/confine.h"

#define LISTEN_MAX 64
#define AGENT_MAX  128
#define DIRS_MAX   (512 << 10)

/*
 * What name resolution and TLS read of the system.  Folders, since a rule is
 * about the file that is there now: resolv.conf is replaced whenever a lease
 * changes, and roots with each update.  Of /etc, what everybody may read.
 */
static const char *const read_paths[] = {
	"/etc",
	"/usr/share/ca-certificates",
	"/usr/local/share/ca-certificates",
	"/usr/share/zoneinfo",
	"/usr/lib",
	"/lib",
	"/lib64",
	"/run/systemd/resolve",
	"/run/NetworkManager",
	"/run/resolvconf",
	"/dev/urandom",
	"/dev/null",
	"/proc/sys",
};

static void
stop(struct engine *en, const char *why, const struct err *e)
{
	if (e->kind != ERR_NONE) {
		log_error(why, KV("error", e->what));
		en->failed = true;
	}
	loop_stop(en->loop);
}

static void
on_super_gone(void *arg, const struct err *e)
{
	stop(arg, "supervisor lost", e);
}

static void
on_stopped(void *arg)
{
	struct engine *en = arg;

	loop_stop(en->loop);
}

/* An order that the CA is making just now is waited for, not for long. */
static void
leave(struct engine *en)
{
	control_rest(en->control);
	if (!en->started)
		loop_stop(en->loop);
	else if (!en->stopping)
		engine_stop(en, on_stopped);
}

/* Told to end when we are, it need not wait for a CA, and we may hear of its
 * end first. */
static void
on_keeper_lost(void *arg, const struct err *e)
{
	if (e->kind == ERR_NONE)
		leave(arg);
	else
		stop(arg, "keeper lost", e);
}

/* The first may come when we are leaving already, since root has said that it
 * has a new configuration. */
static void
on_term(void *arg, int signo)
{
	struct engine *en = arg;

	(void)signo;
	if (en->told)
		loop_stop(en->loop);
	en->told = true;
	leave(en);
}

static void
on_alive(void *arg)
{
	struct engine *en = arg;

	upstairs_alive(en->upstairs);
	loop_timer_set(en->alive, en->start.alive_s * INT64_C(1000));
}

/* All state is in memory: serve, say so, begin. */
static void
ready(struct engine *en)
{
	int fds[LISTEN_MAX];
	struct responder_conf rc = {
		.redirect = en->conf->http.redirect,
		.max_connections = en->conf->http.max_connections,
		.timeout_s = en->conf->http.timeout_s,
	};
	struct err e;
	uint32_t i;

	engine_republish(en);
	/* who asked earlier would have heard that there is nothing */
	en->control = control_new(en, IPC_FD_FIRST, &e);
	if (en->control == NULL) {
		stop(en, "cannot serve the control socket", &e);
		return;
	}
	for (i = 0; i < en->start.n_listen && i < LISTEN_MAX; i++)
		fds[i] = IPC_FD_FIRST + 1 + (int)i;
	en->responder = responder_new(en->loop, fds, i, &rc, en->tokens, &e);
	if (en->responder == NULL || upstairs_ready(en->upstairs, &e) == -1) {
		stop(en, "cannot serve port 80", &e);
		return;
	}
	log_info("ready", KN("certificates", en->certs.n),
	    KN("listeners", en->start.n_listen),
	    KN("ms", clock_now_ms() - en->started_at));
	if (en->start.alive_s != 0)
		on_alive(en);
	engine_begin(en);
}

static void
on_loaded(struct engine *en, unsigned damaged, const struct err *e)
{
	if (e != NULL) {
		stop(en, "cannot read the state folder", e);
		return;
	}
	if (damaged != 0)
		log_warn("some certificates' state was damaged",
		    KN("count", damaged));
	ready(en);
}

static int
setup(struct engine *en, struct err *e)
{
	char agent[AGENT_MAX];

	(void)http_agent(ACMED_VERSION, agent, sizeof(agent));
	en->http = http_new(en->loop, agent, e);
	if (en->http == NULL || engine_setup(en, e) == -1)
		return -1;
	en->alive = loop_timer_new(en->loop, on_alive, en, e);
	return en->alive == NULL ? -1 : engine_load(en, on_loaded, e);
}

static int
go_unprivileged(const struct engine *en, struct err *e)
{
	AUTO(pool_free) struct pool *pool = pool_new(DIRS_MAX);
	const char *paths[NELEM(read_paths) + 65] = { NULL };
	const int write_dirs[] = { IPC_FD_STATE, -1 };
	struct confine_spec spec = { CONFINE_ENGINE, paths, write_dirs };
	struct confine_done done;
	size_t n = 0;
	uint32_t i;

	for (; n < NELEM(read_paths); n++)
		paths[n] = read_paths[n];
	for (i = 0; i < en->conf->n_cas && n < NELEM(paths) - 1; i++) {
		char *dir;

		if (en->conf->cas[i].ca_file == NULL)
			continue;
		dir = pool == NULL
			  ? NULL
			  : pool_strdup(pool, en->conf->cas[i].ca_file);
		if (dir == NULL)
			return err_nomem(e, "ca-file");
		/* an absolute path; of "/x" the file itself has to do */
		if (strrchr(dir, '/') != dir)
			*strrchr(dir, '/') = '\0';
		paths[n++] = dir;
	}
	if (confine(&spec, &done, e) == -1)
		return -1;
	log_debug("confined", KN("landlock", done.landlock_abi),
	    KN("seccomp", done.seccomp));
	return 0;
}

/* The first message.  From here on others' bytes are read. */
static void
on_start(void *arg, const struct ipc_start *start)
{
	struct engine *en = arg;
	struct err e;

	en->start = *start;
	if (start->debug != 0)
		log_init("engine", LOG_L_DEBUG, en->conf->log.format);
	if (go_unprivileged(en, &e) == -1 || setup(en, &e) == -1)
		stop(en, "cannot start", &e);
}

/* One that is started meanwhile says it again: it is so still. */
static void
on_refused(void *arg, const struct ipc_refused *r)
{
	struct engine *en = arg;

	en->refused = *r;
	log_warn("configuration refused, an older one is in force",
	    KN("errors", r->n_errors), KV("error", r->error));
}

static int
begin(struct engine *en, struct err *e)
{
	static const struct upstairs_says says = {
		.start = on_start, .refused = on_refused, .gone = on_super_gone
	};
	struct stat st;

	/* sealed when root had read it; the same after an end of ours */
	if (fstat(IPC_FD_CONFIG, &st) == 0)
		en->conf_read_at = st.st_mtime;
	en->conf = conf_inherit(IPC_FD_CONFIG, "acmed-engine", e);
	if (en->conf == NULL)
		return -1;
	log_init("engine", en->conf->log.level, en->conf->log.format);
	en->loop = loop_new(e);
	if (en->loop == NULL)
		return -1;
	en->store = store_files(en->loop, IPC_FD_STATE, e);
	if (en->store == NULL)
		return -1;
	en->events = events_new(en, e);
	if (en->events == NULL)
		return -1;
	en->keys = keys_new(en->loop, IPC_FD_PEER, on_keeper_lost, en, e);
	if (en->keys == NULL)
		return -1;
	en->upstairs = upstairs_new(en->loop, IPC_FD_SUPER, &says, en, e);
	return en->upstairs == NULL ? -1 : 0;
}

static void
end(struct engine *en)
{
	control_free(en->control);
	responder_free(en->responder);
	engine_done(en);
	http_free(en->http);
	loop_timer_free(en->alive);
	upstairs_free(en->upstairs);
	keys_free(en->keys);
	events_free(en->events);
	store_free(en->store);
	conf_free(en->conf);
}

int
main(int argc, char **argv)
{
	struct loop_signal *term = NULL, *intr = NULL;
	struct engine en = { .started_at = clock_now_ms(), .leave = leave };
	struct err e;
	int r = usage_of_child("acmed-engine", argc, argv);

	if (r != -1)
		return r;
	r = begin(&en, &e);
	log_init("engine", en.conf == NULL ? LOG_L_INFO : en.conf->log.level,
	    en.conf == NULL ? LOG_F_TEXT : en.conf->log.format);
	if (r == 0)
		term = loop_signal_new(en.loop, SIGTERM, on_term, &en, &e);
	if (term != NULL)
		intr = loop_signal_new(en.loop, SIGINT, on_term, &en, &e);
	if (intr != NULL)
		r = loop_run(en.loop, &e);
	if (intr == NULL || r == -1) {
		log_error("engine cannot run", KV("error", e.what),
		    KV("hint", err_hint(&e)));
		en.failed = true;
	}
	end(&en);
	loop_signal_free(term);
	loop_signal_free(intr);
	loop_free(en.loop);
	log_end();
	return en.failed ? 1 : 0;
}
