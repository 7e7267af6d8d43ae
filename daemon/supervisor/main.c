/* SPDX-License-Identifier: ISC */
/*
 * acmed: reads the configuration, holds the state folder and the listening
 * sockets, and keeps an engine and a keeper running.  Parses nothing that came
 * from a network.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/supervisor/children.h"
#include "daemon/supervisor/reload.h"
#include "daemon/supervisor/requests.h"
#include "daemon/supervisor/super.h"
#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/io/proc.h"

#define CONFIG_FILE "/etc/acmed.yaml"
#define PRINT_MAX   (256u << 20)
#define SYSTEMD_FD  3 /* SD_LISTEN_FDS_START */

enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USELESS = 2, /* to try again: wrong usage or configuration */
};

struct options {
	const char *file;
	bool check, print, debug;
};

struct signals {
	struct loop_signal *term, *intr, *hup, *chld;
};

static void
usage(FILE *to)
{
	(void)fprintf(to,
	    "usage: acmed [-hTtVv] [-c file]\n"
	    "  -c file        read this file instead of " CONFIG_FILE "\n"
	    "  -t             check the configuration and exit\n"
	    "  -T             print the effective configuration and exit\n"
	    "  -v             log at level debug\n"
	    "  -V, --version  print the version and exit\n"
	    "  -h, --help     print this and exit\n"
	    "manual pages: acmed(8), acmed.yaml(5), acmectl(1)\n");
}

/* -1: go on; else the exit status. */
static int
options_read(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:htTvV", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->file = optarg;
			break;
		case 't':
			o->check = true;
			break;
		case 'T':
			o->print = true;
			break;
		case 'v':
			o->debug = true;
			break;
		case 'V':
			(void)printf("acmed %s\n", ACMED_VERSION);
			return EXIT_OK;
		case 'h':
			usage(stdout);
			return EXIT_OK;
		default:
			usage(stderr);
			return EXIT_USELESS;
		}
	}
	if (optind == argc)
		return -1;
	(void)fprintf(stderr, "acmed: unexpected argument: %s\n", argv[optind]);
	usage(stderr);
	return EXIT_USELESS;
}

static struct conf *
load_only(const char *file, struct conf_report *r)
{
	AUTO(buf_done) struct buf bundle = BUF_INIT(CONF_BUNDLE_MAX);

	if (conf_read(file, &bundle, r) == -1)
		return NULL;
	return conf_load(bundle.data, bundle.len, r);
}

static int
print_conf(const struct conf *conf)
{
	AUTO(buf_done) struct buf out = BUF_INIT(PRINT_MAX);

	conf_print(conf, &out);
	if (!buf_ok(&out)) {
		(void)fprintf(stderr, "acmed: too large to print\n");
		return EXIT_FAILED;
	}
	if (fputs(buf_str(&out), stdout) == EOF || fflush(stdout) == EOF) {
		perror("acmed: stdout");
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

/* -t and -T.  Only root can tell whether the secret files are there. */
static int
check(const struct options *o)
{
	AUTO(conf_free) struct conf *own = NULL;
	AUTO(setup_free) struct setup *setup = NULL;
	const struct conf *conf;
	struct conf_report r;
	int status = EXIT_FAILED;

	conf_report_init(&r);
	if (o->check && geteuid() == 0)
		setup = setup_load(o->file, &r);
	else
		own = load_only(o->file, &r);
	conf = setup != NULL ? setup->conf : own;
	if (setup != NULL && setup_check(setup, o->file, &r) == -1)
		conf = NULL;
	(void)fputs(buf_str(&r.warnings), stderr);
	(void)fputs(buf_str(&r.errors), stderr);
	if (conf != NULL && o->print) {
		status = print_conf(conf);
	} else if (conf != NULL) {
		(void)printf("%s: ok (%u certificate%s, %u CA%s)\n", o->file,
		    conf->n_certs, conf->n_certs == 1 ? "" : "s", conf->n_cas,
		    conf->n_cas == 1 ? "" : "s");
		status = EXIT_OK;
	}
	conf_report_done(&r);
	return status;
}

static void
on_stop(void *arg, int signo)
{
	struct super *s = arg;

	if (s->quit) { /* asked twice */
		children_kill(s);
		return;
	}
	log_info("stopping", KV("signal", strsignal(signo)));
	sock_notify("STOPPING=1");
	s->quit = true;
	children_stop(s, 0, 0);
}

static void
on_hup(void *arg, int signo)
{
	(void)signo;
	reload_soon(arg);
}

static void
on_chld(void *arg, int signo)
{
	(void)signo;
	proc_reap(children_reaped, arg);
}

static int
signals_set(struct super *s, struct signals *g, struct err *e)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	(void)sigaction(SIGPIPE, &ignore, NULL); /* cannot fail */
	g->term = loop_signal_new(s->loop, SIGTERM, on_stop, s, e);
	g->intr = loop_signal_new(s->loop, SIGINT, on_stop, s, e);
	g->hup = loop_signal_new(s->loop, SIGHUP, on_hup, s, e);
	g->chld = loop_signal_new(s->loop, SIGCHLD, on_chld, s, e);
	if (g->term == NULL || g->intr == NULL || g->hup == NULL ||
	    g->chld == NULL)
		return -1;
	return 0;
}

static int
super_open(struct super *s, struct signals *g, struct err *e)
{
	const struct ports nothing = s->ports;

	s->loop = loop_new(e);
	if (s->loop == NULL || signals_set(s, g, e) == -1)
		return -1;
	if (children_init(s, e) == -1 || reload_init(s, e) == -1)
		return -1;
	s->hooks = hooks_new(s->loop, requests_hooked, s, e);
	if (s->hooks == NULL)
		return -1;
	if (state_open(&s->state, s->setup->conf, s->root, e) == -1)
		return -1;
	if (ports_plan(&nothing, s->setup->conf, &s->ports, e) == -1)
		return -1;
	return ports_control(&s->ports, s->setup->conf, e);
}

static void
super_close(struct super *s, struct signals *g)
{
	hooks_free(s->hooks);
	if (s->loop != NULL) {
		children_done(s);
		reload_done(s);
	}
	ports_close(&s->ports);
	state_close(&s->state);
	setup_free(s->setup);
	loop_signal_free(g->term);
	loop_signal_free(g->intr);
	loop_signal_free(g->hup);
	loop_signal_free(g->chld);
	loop_free(s->loop);
}

static int
run(struct super *s, struct signals *g, struct err *e)
{
	if (ports_adopt(&s->ports, SYSTEMD_FD, sock_inherited(), e) == -1 ||
	    super_open(s, g, e) == -1)
		return -1;
	if (!s->root)
		log_warn("running without root: no separation between the "
			 "processes",
		    KN("uid", getuid()));
	log_info("starting", KV("version", ACMED_VERSION), KV("file", s->file));
	children_start(s);
	return loop_run(s->loop, e);
}

/* The journal wants to know that these are errors. */
static void
complain(const char *lines)
{
	if (getenv("JOURNAL_STREAM") == NULL) {
		(void)fputs(lines, stderr);
		return;
	}
	log_init("supervisor", LOG_L_INFO, LOG_F_TEXT);
	setup_log(LOG_L_ERR, "the configuration is not good", lines);
}

static int
serve(const struct options *o)
{
	struct super s = { .file = o->file, .debug = o->debug };
	struct conf_report r;
	struct signals g = { 0 };
	struct err e;
	int status = EXIT_OK;

	s.state = STATE_INIT;
	s.ports = PORTS_INIT;
	s.root = geteuid() == 0;
	(void)umask(022); /* live/ is for servers to read */
	conf_report_init(&r);
	s.setup = setup_load(o->file, &r);
	if (s.setup == NULL) {
		complain(buf_str(&r.errors));
		setup_notify("STATUS=not started", buf_str(&r.errors));
		conf_report_done(&r);
		return EXIT_USELESS;
	}
	log_init("supervisor",
	    o->debug ? LOG_L_DEBUG : s.setup->conf->log.level,
	    s.setup->conf->log.format);
	setup_log(LOG_L_WARN, "configuration", buf_str(&r.warnings));
	conf_report_done(&r);
	if (run(&s, &g, &e) == -1) {
		log_error("cannot run", KV("error", e.what),
		    KV("hint", err_hint(&e)));
		setup_notify("STATUS=cannot run", e.what);
		status = EXIT_FAILED;
	}
	super_close(&s, &g);
	log_end();
	return status;
}

int
main(int argc, char **argv)
{
	struct options o = { .file = CONFIG_FILE };
	int status = options_read(argc, argv, &o);

	if (status != -1)
		return status;
	return o.check || o.print ? check(&o) : serve(&o);
}
