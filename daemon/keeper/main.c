/* SPDX-License-Identifier: ISC */
/*
 * acmed-keeper: started by acmed with its descriptors open, holds every
 * private key, and answers the engine.  Ends when either of them does: acmed
 * starts it anew.
 */
#include "daemon/keeper/keeper.h"

#include <signal.h>
#include <sys/stat.h>

#include "lib/base/log.h"
#include "lib/base/usage.h"
#include "lib/io/confine.h"

struct program {
	struct loop *loop;
	struct loop_signal *term;
	struct chan *super;
	struct keeper *keeper;
	int status;
};

static void
program_done(struct program *p)
{
	keeper_free(p->keeper);
	chan_free(p->super);
	loop_signal_free(p->term);
	loop_free(p->loop);
}

static void
stop(struct program *p, const char *peer, const struct err *e)
{
	if (e->kind != ERR_NONE) {
		log_error(
		    "channel broken", KV("to", peer), KV("error", e->what));
		p->status = 1;
	} else {
		log_debug("peer has gone", KV("to", peer));
	}
	loop_stop(p->loop);
}

static void
on_super_closed(void *arg, const struct err *e)
{
	stop(arg, "supervisor", e);
}

static void
on_engine_closed(void *arg, const struct err *e)
{
	stop(arg, "engine", e);
}

static void
on_signal(void *arg, int signo)
{
	(void)signo;
	loop_stop(((struct program *)arg)->loop);
}

static int
confine_self(struct err *e)
{
	const int dirs[] = { IPC_FD_STATE, -1 };
	const char *const reads[] = { NULL };
	const struct confine_spec spec = {
		.role = CONFINE_KEEPER,
		.read_paths = reads,
		.write_dirs = dirs,
	};
	struct confine_done done;

	if (confine(&spec, &done, e) == -1)
		return -1;
	log_debug("confined", KN("landlock", done.landlock_abi),
	    KN("seccomp", done.seccomp));
	return 0;
}

/*
 * The one message of the supervisor.  Nothing of the engine is read before we
 * are confined; the thread is born confined.
 */
static int
on_start(void *arg, struct chan_msg *m, struct err *e)
{
	const struct ipc_empty ready = { 0 };
	struct program *p = arg;

	if (keeper_take(p->keeper, m->body, IPC_FD_FIRST, e) == -1 ||
	    confine_self(e) == -1 ||
	    keeper_serve(p->keeper, IPC_FD_PEER, on_engine_closed, p, e) == -1)
		return -1;
	return chan_send(
	    p->super, IPC_READY, m->id, &ready, sizeof(ready), NULL, 0, -1, e);
}

/* clang-format off */
static const struct chan_rule super_rules[IPC__COUNT] = {
	[IPC_START] = { "start", sizeof(struct ipc_start), 0, CHAN_ONCE,
	    on_start },
};
/* clang-format on */

static int
run(struct program *p, const struct conf *conf, struct err *e)
{
	p->loop = loop_new(e);
	if (p->loop == NULL)
		return -1;
	p->term = loop_signal_new(p->loop, SIGTERM, on_signal, p, e);
	if (p->term == NULL)
		return -1;
	p->keeper = keeper_new(p->loop, conf, IPC_FD_STATE, e);
	if (p->keeper == NULL)
		return -1;
	p->super =
	    chan_new(p->loop, IPC_FD_SUPER, super_rules, on_super_closed, p, e);
	if (p->super == NULL)
		return -1;
	return loop_run(p->loop, e);
}

/* A terminal's signals are for the supervisor, which then tells us. */
static void
ignore(int signo)
{
	struct sigaction sa = { 0 };

	sa.sa_handler = SIG_IGN;
	(void)sigaction(signo, &sa, NULL); /* cannot fail for these */
}

int
main(int argc, char **argv)
{
	AUTO(conf_free) struct conf *conf = NULL;
	struct program p = { 0 };
	struct err e;
	int status = usage_of_child("acmed-keeper", argc, argv);

	if (status != -1)
		return status;
	log_init("keeper", LOG_L_INFO, LOG_F_TEXT);
	(void)umask(077);
	ignore(SIGINT);
	ignore(SIGHUP);
	ignore(SIGPIPE);
	conf = conf_inherit(IPC_FD_CONFIG, "acmed-keeper", &e);
	if (conf == NULL) {
		log_error("cannot start", KV("error", e.what));
		return 1;
	}
	log_init("keeper", conf->log.level, conf->log.format);
	if (run(&p, conf, &e) == -1) {
		log_error("cannot go on", KV("error", e.what));
		p.status = 1;
	}
	program_done(&p);
	log_end();
	return p.status;
}
