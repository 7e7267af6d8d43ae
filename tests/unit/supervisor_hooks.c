/* SPDX-License-Identifier: ISC */
/*
 * Reload commands: their environment to the byte, batches, one at a time, how
 * their end is told (F21), and what happens when nobody waits any more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/hooks.h"
#include "daemon/supervisor/setup.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/io/proc.h"
#include "tests/unit/folder.h"

#define ANSWERS_MAX 16
#define PATH \
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"

static struct loop *loop;
static struct loop_signal *chld;
static struct loop_timer *patience;
static struct hooks *hooks;
static struct setup *setup;
static char dir[64];

static struct {
	uint32_t id;
	struct ipc_hooked m;
} answers[ANSWERS_MAX];
static size_t n_answers, n_wanted;

static void
on_chld(void *arg, int signo)
{
	(void)arg;
	(void)signo;
	proc_reap(NULL, NULL);
}

static void
out_of_patience(void *arg)
{
	(void)arg;
	fail_msg("%zu answers, want %zu", n_answers, n_wanted);
}

static void
on_hooked(void *arg, uint32_t id, const struct ipc_hooked *m)
{
	assert_ptr_equal(arg, &answers);
	assert_true(n_answers < ANSWERS_MAX);
	answers[n_answers].id = id;
	answers[n_answers++].m = *m;
	if (n_answers == n_wanted)
		loop_stop(loop);
}

/* Run until there are n answers in all. */
static void
wait_answers(size_t n)
{
	n_wanted = n;
	loop_timer_set(patience, 30000);
	assert_int_equal(loop_run(loop, NULL), 0);
	assert_int_equal(n_answers, n);
}

static void
configure(const char *domains)
{
	AUTO(buf_done) struct buf text = BUF_INIT(1u << 20);
	struct conf_report r;
	char path[128];
	struct err e;
	int fd;

	buf_printf(&text,
	    "email: a@example.org\nagree-tos: true\nstate-dir: %s/st\n"
	    "domains:\n%s",
	    dir, domains);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(
	    fs_replace(fd, "acmed.yaml", text.data, text.len, 0600, &e), 0);
	(void)close(fd);
	(void)snprintf(path, sizeof(path), "%s/acmed.yaml", dir);
	conf_report_init(&r);
	setup_free(setup);
	setup = setup_load(path, &r);
	if (setup == NULL)
		fail_msg("%s", buf_str(&r.errors));
	conf_report_done(&r);
}

static int
begin(void **state)
{
	(void)state;
	n_answers = 0;
	setup = NULL;
	folder_new(dir, sizeof(dir), "hooks");
	loop = loop_new(NULL);
	assert_non_null(loop);
	chld = loop_signal_new(loop, SIGCHLD, on_chld, NULL, NULL);
	patience = loop_timer_new(loop, out_of_patience, NULL, NULL);
	hooks = hooks_new(loop, on_hooked, &answers, NULL);
	assert_non_null(hooks);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	hooks_free(hooks);
	setup_free(setup);
	/* what was killed is reaped, so that nothing is leaked */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	loop_timer_free(patience);
	loop_signal_free(chld);
	loop_free(loop);
	return folder_remove(dir);
}

static void
add(const char *name, bool more, uint32_t id)
{
	struct ipc_hook m = { conf_find_cert(setup->conf, name), more, { 0 } };
	struct err e;

	if (hooks_add(hooks, setup->conf, &m, id, &e) == -1)
		fail_msg("%s: %s", name, e.what);
}

static void
add_refused(uint32_t cert, bool more, const char *text)
{
	struct ipc_hook m = { cert, more, { 0 } };
	struct err e = { 0 };

	assert_int_equal(hooks_add(hooks, setup->conf, &m, 1, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_string_equal(e.what, text);
}

static char *
file_text(const char *name)
{
	struct buf text = BUF_INIT(1u << 20);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err e;

	if (fs_read(fd, name, &text, &e) == -1)
		fail_msg("%s", e.what);
	(void)close(fd);
	buf_add(&text, "", 0);
	return buf_take(&text);
}

static void
environment(void **state)
{
	AUTO(buf_done) struct buf want = BUF_INIT(4096);

	(void)state;
	configure("  - name: www\n    names: [www.example.org, example.org]\n"
		  "    reload: env\n");
	assert_int_equal(setenv("ACMED_TEST_LEAK", "1", 1), 0);
	add("www", false, 7);
	assert_int_equal(n_answers, 0); /* never from inside */
	wait_answers(1);
	assert_int_equal(answers[0].id, 7);
	assert_int_equal(answers[0].m.ok, 1);
	assert_int_equal(answers[0].m.status, 0);
	assert_int_equal(answers[0].m.timed_out, 0);
	assert_string_equal(answers[0].m.error, "");
	buf_printf(&want,
	    PATH "ACMED_EVENT=reload\nACMED_COUNT=1\nACMED_NAME=www\n"
		 "ACMED_NAMES=www\nACMED_DOMAINS=example.org www.example.org\n"
		 "RENEWED_DOMAINS=example.org www.example.org\n"
		 "ACMED_DIR=%s/st/live/www\n"
		 "ACMED_CERT=%s/st/live/www/cert.pem\n"
		 "ACMED_CHAIN=%s/st/live/www/chain.pem\n"
		 "ACMED_FULLCHAIN=%s/st/live/www/fullchain.pem\n"
		 "ACMED_KEY=%s/st/live/www/privkey.pem\n"
		 "RENEWED_LINEAGE=%s/st/live/www\n",
	    dir, dir, dir, dir, dir, dir);
	assert_string_equal(answers[0].m.output, buf_str(&want));
}

static void
batch(void **state)
{
	(void)state;
	configure("  - {name: a, names: [a.example.org], reload: env}\n"
		  "  - {name: b, names: [b.example.org], reload: env}\n"
		  "  - {name: c, names: [c.example.org], reload: [echo, x y]}\n"
		  "  - {name: d, names: [d.example.org], reload: env}\n");
	/* two batches that grow at the same time */
	add("d", true, 1);
	add("c", true, 2);
	add("a", true, 3);
	add("c", false, 4);
	add("b", false, 5);
	wait_answers(2);
	assert_int_equal(answers[0].id + answers[1].id, 9);
	if (answers[0].id == 4)
		answers[0] = answers[1];
	else
		assert_string_equal(answers[1].m.output, "x y\n");
	assert_non_null(strstr(answers[0].m.output,
	    "\nACMED_COUNT=3\nACMED_NAME=d\nACMED_NAMES=d a b\n"
	    "ACMED_DOMAINS=d.example.org a.example.org b.example.org\n"
	    "RENEWED_DOMAINS=d.example.org\n"));
	assert_non_null(strstr(answers[0].m.output, "/st/live/d/cert.pem\n"));
}

/* What a certificate is without was not renewed, and is not told. */
static void
left_out(void **state)
{
	struct ipc_hook a = { 0, 1, { 0x02 } }, b = { 1, 0, { 0x01 } };
	struct ipc_hook plain = { 2, 0, { 0x01 } };
	struct err e;

	(void)state;
	configure("  - {name: a, names: [a1.example, a2.example, a3.example], "
		  "partial: true, reload: env}\n"
		  "  - {name: b, names: [b1.example, b2.example], "
		  "partial: true, reload: env}\n"
		  "  - {name: c, names: [c1.example, c2.example], "
		  "reload: env}\n");
	assert_int_equal(hooks_add(hooks, setup->conf, &a, 1, &e), 0);
	assert_int_equal(hooks_add(hooks, setup->conf, &b, 1, &e), 0);
	wait_answers(1);
	assert_non_null(strstr(answers[0].m.output,
	    "\nACMED_DOMAINS=a1.example a3.example b2.example\n"
	    "RENEWED_DOMAINS=a1.example a3.example\n"));
	/* not where all are wanted, none that is not there, and not all */
	assert_int_equal(hooks_add(hooks, setup->conf, &plain, 1, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	b.left_out[0] = 0x04;
	assert_int_equal(hooks_add(hooks, setup->conf, &b, 1, &e), -1);
	b.left_out[0] = 0;
	b.left_out[IPC_NAMES / 8 - 1] = 0x80;
	assert_int_equal(hooks_add(hooks, setup->conf, &b, 1, &e), -1);
	b.left_out[IPC_NAMES / 8 - 1] = 0;
	b.left_out[0] = 0x03;
	assert_int_equal(hooks_add(hooks, setup->conf, &b, 1, &e), -1);
	assert_string_equal(e.what, "no name is left");
}

static void
long_lists(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(1u << 20);
	AUTO(free) char *out = NULL;
	char label[64];
	size_t len;
	int i;

	(void)state;
	memset(label, 'x', sizeof(label) - 1);
	label[63] = '\0';
	for (i = 0; i < IPC_HOOK_BATCH; i++)
		buf_printf(&text,
		    "  - {name: n%d, names: [a%03d.%s.%s.%s.%s], "
		    "reload: [sh, -c, "
		    "'printf %%s \"$ACMED_DOMAINS\" > %s/out']}\n",
		    i, i, label, label, label, "example.org", dir);
	for (i = 0; i < IPC_HOOK_BATCH; i++)
		buf_printf(&text,
		    "  - {name: m%d, names: [b%03d.%s.%s.%s.%s]}\n", i, i,
		    label, label, label, "example.org");
	configure(buf_str(&text));
	for (i = 0; i < IPC_HOOK_BATCH; i++) {
		(void)snprintf(label, sizeof(label), "n%d", i);
		add(label, i + 1 < IPC_HOOK_BATCH, 1);
	}
	wait_answers(1);
	assert_int_equal(answers[0].m.ok, 1);
	out = file_text("out");
	len = strlen(out);
	/* 256 names of 208 and a space are 53503 */
	assert_int_equal(len, 256 * 209 - 1);
	assert_string_equal(out + len - 12, ".example.org");
}

/* As above with more than fits: the last word is whole. */
static void
cut_lists(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(4u << 20);
	AUTO(free) char *out = NULL;
	char label[64];
	size_t len;
	int i, j;

	(void)state;
	memset(label, 'x', sizeof(label) - 1);
	label[63] = '\0';
	for (i = 0; i < 8; i++) {
		buf_printf(&text, "  - name: n%d\n    names:\n", i);
		for (j = 0; j < 90; j++)
			buf_printf(&text, "      - a%d-%02d.%s.%s.%s\n", i, j,
			    label, label, "example.org");
		buf_printf(&text,
		    "    reload: [sh, -c, "
		    "'printf %%s \"$ACMED_DOMAINS\" > %s/out']\n",
		    dir);
	}
	configure(buf_str(&text));
	for (i = 0; i < 8; i++) {
		(void)snprintf(label, sizeof(label), "n%d", i);
		add(label, i < 7, 1);
	}
	wait_answers(1);
	assert_int_equal(answers[0].m.ok, 1);
	out = file_text("out");
	len = strlen(out);
	assert_true(len <= HOOKS_LIST_MAX);
	assert_true(len > HOOKS_LIST_MAX - 150);
	assert_string_equal(out + len - 12, ".example.org");
}

static void
ends(void **state)
{
	/* clang-format off */
	static const struct {
		const char *name, *error;
		bool timed_out;
	} want[] = {
		{ "code",   "exit status 3",                 false },
		{ "signal", "killed by signal 9",            false },
		{ "late",   "killed after 1 s",              true  },
		{ "deaf",   "killed after 1 s",              true  },
		{ "absent", "not found in",                  false },
		{ "data",   "Permission denied",             false },
	};
	/* clang-format on */
	size_t i, j;

	(void)state;
	configure(
	    "  - {name: code, names: [a.example.org],"
	    " reload: [sh, -c, 'echo sorry; exit 3']}\n"
	    "  - {name: signal, names: [b.example.org],"
	    " reload: [sh, -c, 'kill -9 $$']}\n"
	    "  - {name: late, names: [c.example.org], reload: [sleep, '999'],"
	    " reload-timeout: 1s}\n"
	    /* which says that all is well when it is ended */
	    "  - {name: deaf, names: [f.example.org], reload: [sh, -c, "
	    "'trap \"exit 0\" TERM; while :; do sleep 0.1; done'],"
	    " reload-timeout: 1s}\n"
	    "  - {name: absent, names: [d.example.org],"
	    " reload: no-such-program}\n"
	    "  - {name: data, names: [e.example.org], reload: /etc/passwd}\n");
	for (i = 0; i < NELEM(want); i++)
		add(want[i].name, false, (uint32_t)i);
	wait_answers(NELEM(want));
	for (i = 0; i < NELEM(want); i++) {
		for (j = 0; answers[j].id != i; j++)
			assert_true(j < NELEM(want) - 1);
		assert_int_equal(answers[j].m.ok, 0);
		assert_int_equal(answers[j].m.timed_out, want[i].timed_out);
		if (strstr(answers[j].m.error, want[i].error) == NULL)
			fail_msg("%s: %s, want %s", want[i].name,
			    answers[j].m.error, want[i].error);
		if (i == 0)
			assert_string_equal(answers[j].m.output, "sorry\n");
	}
}

/* The same command waits for itself, another one does not: the first holds
 * the pipe until the second opens it. */
static void
one_at_a_time(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(4096);
	char fifo[128];

	(void)state;
	(void)snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	buf_printf(&text,
	    "  - {name: a, names: [a.example.org], reload: [sh, -c, "
	    "'mkdir %s/lock && echo x > %s/fifo && rmdir %s/lock']}\n"
	    "  - {name: b, names: [b.example.org], reload: [sh, -c, "
	    "'cat %s/fifo']}\n",
	    dir, dir, dir, dir);
	configure(buf_str(&text));
	add("a", false, 1);
	add("a", false, 2);
	add("b", false, 3);
	add("b", false, 4);
	wait_answers(4);
	assert_int_equal(answers[0].m.ok, 1);
	assert_int_equal(answers[1].m.ok, 1);
	assert_int_equal(answers[2].m.ok, 1);
	assert_int_equal(answers[3].m.ok, 1);
}

/* So many commands, each of which ends well when all of them run at once. */
static void
together(unsigned n, unsigned max_hooks, unsigned timeout_s)
{
	AUTO(buf_done) struct buf text = BUF_INIT(16384);
	char name[sizeof("n4294967295")], path[sizeof(dir) + sizeof(name)];
	unsigned i;

	for (i = 1; i <= n; i++)
		buf_printf(&text,
		    "  - {name: n%u, names: [n%u.example.org], reload-timeout: "
		    "%us, reload: [sh, -c, 'cd %s; >r%u; for i in $(seq %u); "
		    "do "
		    "until [ -e r$i ]; do sleep 0.01; done; done']}\n",
		    i, i, timeout_s, dir, i, n);
	buf_printf(&text, "max-hooks: %u\n", max_hooks);
	configure(buf_str(&text));
	for (i = 1; i <= n; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		add(name, false, i);
	}
	wait_answers(n);
	for (i = 1; i <= n; i++) {
		(void)snprintf(path, sizeof(path), "%s/r%u", dir, i);
		assert_int_equal(unlink(path), 0);
	}
}

/* As many as the administrator has said, whatever the engine asks for. */
static void
places(void **state)
{
	size_t i;

	(void)state;
	together(9, 9, 25);
	for (i = 0; i < 9; i++)
		assert_int_equal(answers[i].m.ok, 1);
	n_answers = 0;
	together(2, 1, 1);
	assert_int_equal(answers[0].m.timed_out, 1);
	assert_int_equal(answers[1].m.ok, 1);
}

/* A loop of them would take down what the command restarts. */
static void
not_in_a_loop(void **state)
{
	int64_t begun = clock_mono_ms(), burst;
	uint32_t i;

	(void)state;
	configure("  - {name: a, names: [a.example.org], reload: 'true'}\n"
		  "  - {name: b, names: [b.example.org], reload: [echo, b]}\n");
	for (i = 0; i < HOOKS_BURST; i++)
		add("a", false, i);
	wait_answers(HOOKS_BURST);
	burst = clock_mono_ms() - begun;
	add("a", false, i);
	add("b", false, i + 1); /* does not wait for it */
	wait_answers(HOOKS_BURST + 2);
	assert_int_equal(answers[HOOKS_BURST].id, i + 1);
	assert_int_equal(answers[HOOKS_BURST + 1].m.ok, 1);
	assert_true(burst < HOOKS_REST_MS);
	assert_true(clock_mono_ms() - begun >= HOOKS_REST_MS);
}

static void
breaches(void **state)
{
	uint32_t i;

	(void)state;
	configure("  - {name: a, names: [a.example.org], reload: env}\n"
		  "  - {name: b, names: [b.example.org]}\n");
	add_refused(2, false, "no certificate 2");
	add_refused(UINT32_MAX, false, "no certificate 4294967295");
	add_refused(1, false, "b has no reload command");
	for (i = 0; i < IPC_HOOK_BATCH; i++)
		add("a", true, 1);
	add_refused(0, true, "batch too long");
	add_refused(0, false, "batch too long");
	hooks_forget(hooks);
	for (i = 0; i < HOOKS_WAITING_MAX; i++)
		add("a", false, i);
	add_refused(0, false, "too many batches waiting");
	/* and what waits may be dropped without a trace */
	hooks_forget(hooks);
	add("a", false, 99);
	wait_answers(1);
	assert_int_equal(answers[0].id, 99);
}

/* Run the loop until there is such a file. */
static void
wait_file(void *arg)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/pid", dir);
	if (access(path, F_OK) == 0)
		loop_stop(loop);
	else
		loop_timer_set(*(struct loop_timer **)arg, 5);
}

static void
until_started(void)
{
	struct loop_timer *poll = NULL;

	poll = loop_timer_new(loop, wait_file, &poll, NULL);
	loop_timer_set(poll, 0);
	loop_timer_set(patience, 30000);
	assert_int_equal(loop_run(loop, NULL), 0);
	loop_timer_free(poll);
}

/* A new engine asks for the command that runs for the old one. */
static void
forgotten(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(4096);
	char fifo[128];
	int fd;

	(void)state;
	(void)snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	buf_printf(&text,
	    "  - {name: a, names: [a.example.org], reload: [sh, -c, "
	    "'mkdir %s/lock && touch %s/pid && read x < %s/fifo && "
	    "rmdir %s/lock']}\n",
	    dir, dir, dir, dir);
	configure(buf_str(&text));
	add("a", false, 1);
	until_started();
	hooks_forget(hooks);
	/* the configuration may go, and the same command come with another */
	buf_puts(&text, "  - {name: b, names: [b.example.org]}\n");
	configure(buf_str(&text));
	add("a", false, 2);
	fd = open(fifo, O_RDWR | O_CLOEXEC);
	assert_int_equal(write(fd, "1\n2\n", 4), 4);
	wait_answers(1);
	(void)close(fd);
	assert_int_equal(answers[0].id, 2);
	assert_int_equal(answers[0].m.ok, 1);
}

static void
killed_with_us(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(4096);
	int status;

	(void)state;
	buf_printf(&text,
	    "  - {name: a, names: [a.example.org], reload: [sh, -c, "
	    "'echo $$ > %s/pid; while :; do sleep 1000; done']}\n",
	    dir);
	configure(buf_str(&text));
	add("a", false, 1);
	until_started();
	hooks_free(take_ptr(hooks));
	assert_true(waitpid(-1, &status, 0) > 0);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_int_equal(n_answers, 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = { T(environment), T(batch),
		T(left_out), T(long_lists), T(cut_lists), T(ends),
		T(one_at_a_time), T(places), T(not_in_a_loop), T(breaches),
		T(forgotten), T(killed_with_us) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
