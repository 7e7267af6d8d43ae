/* SPDX-License-Identifier: ISC */
/* acmed-keeper itself, started as acmed starts it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/config/config.h"
#include "lib/ipc/chan.h"
#include "tests/unit/folder.h"

#define PROGRAM BINARY_DIR "/acmed-keeper"

static const char yaml[] = "agree-tos: true\n"
			   "ca:\n"
			   "  internal:\n"
			   "    directory: https://ca.example/directory\n"
			   "    eab: {kid: kid-1, hmac-file: /no/such/file}\n"
			   "defaults: {ca: internal}\n"
			   "domains: [www.example.org]\n";

struct fix {
	char path[64];
	int dir, config;
	uint32_t ca; /* index of "internal" */
	pid_t pid;
	struct loop *loop;
	struct chan *super, *engine;
	bool ready, replied;
	unsigned gone;
	struct ipc_key_reply r;
};

static int
on_ready(void *arg, struct chan_msg *m, struct err *e)
{
	struct fix *f = arg;

	(void)m;
	(void)e;
	/* What the engine asks is heard after we are told, not before. */
	assert_false(f->replied);
	f->ready = true;
	loop_stop(f->loop);
	return 0;
}

static int
on_reply(void *arg, struct chan_msg *m, struct err *e)
{
	struct fix *f = arg;

	(void)e;
	f->replied = true;
	memcpy(&f->r, m->body, sizeof(f->r));
	loop_stop(f->loop);
	return 0;
}

static const struct chan_rule super_rules[IPC__COUNT] = {
	[IPC_READY] = { "ready", sizeof(struct ipc_empty), 0, CHAN_ONCE,
	    on_ready },
};

static const struct chan_rule engine_rules[IPC__COUNT] = {
	[IPC_KEY_REPLY] = { "key-reply", sizeof(struct ipc_key_reply),
	    IPC_TAIL_MAX, 0, on_reply },
};

static void
on_gone(void *arg, const struct err *e)
{
	struct fix *f = arg;

	(void)e;
	f->gone++;
	loop_stop(f->loop);
}

static void
make_config(struct fix *f)
{
	AUTO(buf_done) struct buf bundle = BUF_INIT(CONF_BUNDLE_MAX);
	AUTO(conf_free) struct conf *conf = NULL;
	struct conf_report report;
	char path[128];
	struct err e;

	assert_int_equal(
	    fs_replace(f->dir, "acmed.yaml", yaml, sizeof(yaml) - 1, 0600, &e),
	    0);
	(void)snprintf(path, sizeof(path), "%s/acmed.yaml", f->path);
	conf_report_init(&report);
	if (conf_read(path, &bundle, &report) == 0)
		conf = conf_load(bundle.data, bundle.len, &report);
	if (conf == NULL) {
		print_error("%s\n", buf_str(&report.errors));
		abort();
	}
	conf_report_done(&report);
	f->ca = conf->certs[0].cas[0];
	assert_string_equal(conf->cas[f->ca].name, "internal");
	f->config = fs_memfd("config", bundle.data, bundle.len, &e);
	assert_int_not_equal(f->config, -1);
	assert_int_equal(unlinkat(f->dir, "acmed.yaml", 0), 0);
}

/* In the child: the descriptors in their places, and the program. */
static void
become_keeper(const int *fds, int n)
{
	char *argv[] = { (char *)(uintptr_t) "acmed-keeper", NULL };
	/* The leak checker is another process, which confinement forbids. */
	char *env[] = { (char *)(uintptr_t) "ASAN_OPTIONS=detect_leaks=0",
		NULL };
	int high[8], i;

	for (i = 0; i < n; i++)
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 100);
	for (i = 0; i < n; i++)
		(void)dup2(high[i], IPC_FD_CONFIG + i);
	(void)execve(PROGRAM, argv, env);
	_exit(99);
}

static void
start(struct fix *f)
{
	int super[2], engine[2], secret;
	struct err e;

	secret = fs_memfd("hmac", "c2VjcmV0", 8, &e);
	assert_int_equal(chan_pair(super, &e), 0);
	assert_int_equal(chan_pair(engine, &e), 0);
	f->pid = fork();
	assert_int_not_equal(f->pid, -1);
	if (f->pid == 0)
		become_keeper(
		    (int[]){ f->config, super[1], engine[1], f->dir, secret },
		    5);
	(void)close(super[1]);
	(void)close(engine[1]);
	(void)close(secret);
	f->super = chan_new(f->loop, super[0], super_rules, on_gone, f, &e);
	assert_non_null(f->super);
	f->engine = chan_new(f->loop, engine[0], engine_rules, on_gone, f, &e);
	assert_non_null(f->engine);
}

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct err e;

	*state = f;
	f->dir = folder_open(f->path, sizeof(f->path), "keeper");
	f->loop = loop_new(&e);
	assert_non_null(f->loop);
	make_config(f);
	start(f);
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	chan_free(f->super);
	chan_free(f->engine);
	if (f->pid > 0) {
		(void)kill(f->pid, SIGKILL);
		(void)waitpid(f->pid, NULL, 0);
	}
	loop_free(f->loop);
	(void)close(f->config);
	(void)close(f->dir);
	assert_int_equal(folder_remove(f->path), 0);
	free(f);
	return 0;
}

static void
send_start(struct fix *f, uint32_t version)
{
	struct ipc_start s = { .version = version, .n_secrets = 1 };
	struct err e;

	s.ca_of_secret[0] = f->ca;
	assert_int_equal(
	    chan_send(f->super, IPC_START, 0, &s, sizeof(s), NULL, 0, -1, &e),
	    0);
}

static void
ask(struct fix *f, enum ipc_type type, const void *body, size_t size)
{
	struct err e;

	f->replied = false;
	assert_int_equal(
	    chan_send(f->engine, type, 1, body, size, NULL, 0, -1, &e), 0);
}

static void
run_until(struct fix *f, const bool *what)
{
	struct err e;

	while (!*what && f->gone == 0)
		assert_int_equal(loop_run(f->loop, &e), 0);
	assert_true(*what);
}

static int
exit_status(struct fix *f)
{
	int status;

	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	f->pid = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Every thread of the program. */
static void
check_confined(const struct fix *f)
{
	static const char *const lines[] = { "NoNewPrivs:\t1\n",
		"Seccomp:\t2\n", "CapPrm:\t0000000000000000\n",
		"CapEff:\t0000000000000000\n" };
	AUTO(buf_done) struct buf text = BUF_INIT(1 << 16);
	char path[300], line[256];
	const struct dirent *ent;
	unsigned n = 0;
	size_t i;
	FILE *file;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)f->pid);
	d = opendir(path);
	assert_non_null(d);
	while ((ent = readdir(d)) != NULL) {
		if (ent->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/status",
		    (int)f->pid, ent->d_name);
		file = fopen(path, "re");
		assert_non_null(file);
		buf_reset(&text);
		while (fgets(line, sizeof(line), file) != NULL)
			buf_puts(&text, line);
		(void)fclose(file);
		for (i = 0; i < NELEM(lines); i++)
			assert_non_null(strstr(buf_str(&text), lines[i]));
		n++;
	}
	(void)closedir(d);
	assert_int_equal(n, 2);
}

/* Keys are made, stored and used by the confined program, EAB included. */
static void
test_life(void **state)
{
	struct fix *f = *state;
	struct ipc_key_new new = { IPC_ROLE_ACCOUNT, f->ca };
	struct ipc_eab eab = { .ca = f->ca, .url = "https://ca.example/new" };
	struct ipc_csr csr = { .cert = 0 };
	char name[128];
	struct stat st;

	ask(f, IPC_KEY_NEW, &new, sizeof(new));
	send_start(f, IPC_VERSION);
	run_until(f, &f->ready);
	check_confined(f);
	run_until(f, &f->replied);
	assert_int_equal(f->r.ok, 1);
	(void)snprintf(name, sizeof(name), "account-%s.pem", f->r.key_id);
	assert_int_equal(fstatat(f->dir, name, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);

	memcpy(eab.key_id, f->r.key_id, sizeof(eab.key_id));
	ask(f, IPC_EAB, &eab, sizeof(eab));
	run_until(f, &f->replied);
	assert_string_equal(f->r.error, "");
	assert_int_equal(f->r.ok, 1);

	new.role = IPC_ROLE_CERT;
	new.index = 0;
	ask(f, IPC_KEY_NEW, &new, sizeof(new));
	run_until(f, &f->replied);
	assert_int_equal(f->r.ok, 1);
	memcpy(csr.key_id, f->r.key_id, sizeof(csr.key_id));
	ask(f, IPC_CSR, &csr, sizeof(csr));
	run_until(f, &f->replied);
	assert_int_equal(f->r.ok, 1);

	/* The engine goes: so does the keeper. */
	chan_free(take_ptr(f->engine));
	assert_int_equal(exit_status(f), 0);
}

static void
test_supervisor_gone(void **state)
{
	struct fix *f = *state;

	send_start(f, IPC_VERSION);
	run_until(f, &f->ready);
	chan_free(take_ptr(f->super));
	assert_int_equal(exit_status(f), 0);
}

static void
test_terminate(void **state)
{
	struct fix *f = *state;

	send_start(f, IPC_VERSION);
	run_until(f, &f->ready);
	/* Of a terminal, and not for us. */
	assert_int_equal(kill(f->pid, SIGINT), 0);
	assert_int_equal(kill(f->pid, SIGHUP), 0);
	assert_int_equal(kill(f->pid, SIGTERM), 0);
	assert_int_equal(exit_status(f), 0);
}

static void
test_hostile_engine(void **state)
{
	struct ipc_key_new bad = { IPC_ROLE_CERT, 1 };
	struct fix *f = *state;

	send_start(f, IPC_VERSION);
	run_until(f, &f->ready);
	ask(f, IPC_KEY_NEW, &bad, sizeof(bad));
	assert_int_equal(exit_status(f), 1);
}

static void
test_other_version(void **state)
{
	struct fix *f = *state;

	send_start(f, IPC_VERSION + 1);
	assert_int_equal(exit_status(f), 1);
	assert_false(f->ready);
}

/* By hand, with nothing open, or with a file that others can change. */
static void
test_by_hand(void **state)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct fix *f = *state;

	chan_free(take_ptr(f->super));
	assert_int_equal(exit_status(f), 0);
	f->pid = fork();
	assert_int_not_equal(f->pid, -1);
	if (f->pid == 0)
		become_keeper((int[]){ null, null, null, null }, 4);
	assert_int_equal(exit_status(f), 1);
	(void)close(null);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_life),
		TEST(test_supervisor_gone),
		TEST(test_terminate),
		TEST(test_hostile_engine),
		TEST(test_other_version),
		TEST(test_by_hand),
	};

	if (access(PROGRAM, X_OK) == -1) {
		print_message("SKIP: %s is not built\n", PROGRAM);
		return 0;
	}
	(void)alarm(580); /* a lost answer must not hang the run */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
