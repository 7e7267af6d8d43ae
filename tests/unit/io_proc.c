/* SPDX-License-Identifier: ISC */
/* What a program gets, what is kept of it, and how it ends. */

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/io/proc.h"

struct run {
	struct loop *loop;
	unsigned n_done, want_done, n_other;
	pid_t other;
	int status, other_status;
	bool timed_out;
	uint32_t ms;
	char output[PROC_OUTPUT_MAX + 1];
};

static void
on_other(void *arg, pid_t pid, int status)
{
	struct run *r = arg;

	r->n_other++;
	r->other = pid;
	r->other_status = status;
	if (r->want_done == 0)
		loop_stop(r->loop);
}

static void
on_sigchld(void *arg, int signo)
{
	(void)signo;
	proc_reap(on_other, arg);
}

static void
on_done(void *arg, const struct proc_result *res)
{
	struct run *r = arg;

	r->n_done++;
	r->status = res->status;
	r->timed_out = res->timed_out;
	r->ms = res->ms;
	assert_true(strlen(res->output) <= PROC_OUTPUT_MAX);
	memcpy(r->output, res->output, strlen(res->output) + 1);
	if (r->n_done == r->want_done)
		loop_stop(r->loop);
}

static void
too_late(void *arg)
{
	(void)arg;
	fail_msg("nothing happened");
}

static void
wait_loop(struct run *r)
{
	struct loop_timer *t = loop_timer_new(r->loop, too_late, r, NULL);

	loop_timer_set(t, 60000);
	assert_int_equal(loop_run(r->loop, NULL), 0);
	loop_timer_free(t);
}

struct fixture {
	struct run r;
	struct loop_signal *sig;
};

static int
setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ 0 };
	f.r.loop = loop_new(NULL);
	f.sig = loop_signal_new(f.r.loop, SIGCHLD, on_sigchld, &f.r, NULL);
	*state = &f;
	return f.sig != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	loop_signal_free(f->sig);
	loop_free(f->r.loop);
	return 0;
}

/* Run to the end; env NULL-terminated or NULL. */
static void
run_env(struct run *r, const char *const *argv, const char *const *env,
    uint32_t timeout_s)
{
	const struct proc_spec s = {
		.argv = argv, .env = env, .timeout_s = timeout_s
	};
	struct err e = { 0 };

	r->want_done = r->n_done + 1;
	if (proc_start(r->loop, &s, on_done, r, &e) == NULL)
		fail_msg("%s", e.what);
	wait_loop(r);
}

static void
run_sh(struct run *r, const char *script, uint32_t timeout_s)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	const char *const env[] = { "PATH=" PROC_PATH, NULL };

	run_env(r, argv, env, timeout_s);
}

static void
test_success(void **state)
{
	struct run *r = &((struct fixture *)*state)->r;

	run_sh(r, "echo out; echo err >&2; exit 3", 30);
	assert_true(WIFEXITED(r->status));
	assert_int_equal(WEXITSTATUS(r->status), 3);
	assert_false(r->timed_out);
	assert_string_equal(r->output, "out\nerr\n");
	assert_int_equal(r->n_done, 1);
	run_sh(r, "kill -9 $$", 30);
	assert_true(WIFSIGNALED(r->status));
	assert_int_equal(WTERMSIG(r->status), SIGKILL);
	assert_false(r->timed_out);
}

static void
test_environment(void **state)
{
	struct run *r = &((struct fixture *)*state)->r;
	const char *const argv[] = { "env", NULL };
	const char *const env[] = { "ACMED_NAME=www", "ACMED_X=a b'\"$c",
		NULL };

	assert_int_equal(setenv("SECRET_OF_PARENT", "1", 1), 0);
	run_env(r, argv, env, 30);
	assert_string_equal(r->output, "ACMED_NAME=www\nACMED_X=a b'\"$c\n");
	run_env(r, argv, NULL, 30);
	assert_string_equal(r->output, "");
	assert_int_equal(r->status, 0);
}

/* No shell in between: what is an argument stays one. */
static void
test_arguments(void **state)
{
	struct run *r = &((struct fixture *)*state)->r;
	const char *const argv[] = { "printf", "[%s]", "a b", "", "$(id);*",
		NULL };

	run_env(r, argv, NULL, 30);
	assert_string_equal(r->output, "[a b][][$(id);*]");
}

static void
test_clean_slate(void **state)
{
	struct run *r = &((struct fixture *)*state)->r;
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
	sigset_t block, before;
	int leak = open("/dev/null", O_RDONLY); /* not close-on-exec */
	mode_t mask = umask(0);

	assert_int_not_equal(leak, -1);
	assert_int_equal(sigaction(SIGPIPE, &ignore, &old), 0);
	assert_int_equal(sigemptyset(&block), 0);
	assert_int_equal(sigaddset(&block, SIGTERM), 0);
	assert_int_equal(sigprocmask(SIG_BLOCK, &block, &before), 0);
	run_sh(r,
	    "pwd; umask; ls /proc/self/fd | wc -l; readlink /proc/self/fd/0;"
	    "grep -E '^Sig(Blk|Ign)' /proc/self/status;"
	    "read -r a b c d pgrp e </proc/$$/stat; [ $pgrp = $$ ] && "
	    "echo leader",
	    30);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	(void)sigaction(SIGPIPE, &old, NULL);
	(void)umask(mask);
	(void)close(leak);
	/* ls has 0 to 2 and the folder it reads. */
	assert_string_equal(r->output,
	    "/\n0022\n4\n/dev/null\n"
	    "SigBlk: 0000000000000000\nSigIgn: 0000000000000000\nleader\n");
}

/* The same although the parent's own three were closed. */
static void
test_low_descriptors(void **state)
{
	struct run *r = &((struct fixture *)*state)->r;
	int saved = fcntl(0, F_DUPFD_CLOEXEC, 100);

	(void)close(0);
	run_sh(r, "cat; echo out; echo err >&2", 30);
	if (saved != -1) {
		(void)dup2(saved, 0);
		(void)close(saved);
	}
	assert_string_equal(r->output, "out\nerr\n");
	assert_int_equal(r->status, 0);
}

static void
refused(struct run *r, const char *program, enum err_kind kind, int num,
    const char *what)
{
	const char *const argv[] = { program, NULL };
	const struct proc_spec s = { .argv = argv, .timeout_s = 5 };
	struct err e = { 0 };

	assert_null(proc_start(r->loop, &s, on_done, r, &e));
	assert_int_equal(e.kind, kind);
	assert_int_equal(e.num, num);
	if (strstr(e.what, what) == NULL || strstr(e.what, program) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.what, what);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
	assert_int_equal(errno, ECHILD);
}

static void
test_not_found(void **state)
{
	struct run *r = &((struct fixture *)*state)->r;
	char script[] = "/tmp/acmed-proc-XXXXXX";
	int fd = mkstemp(script);

	refused(r, "no-such-program-xyz", ERR_SYS, ENOENT,
	    "not found in /usr/local/sbin:");
	refused(r, "/no/such/program", ERR_SYS, ENOENT, "No such file");
	refused(r, "bin/true", ERR_CONFIG, 0, "neither an absolute path");
	refused(r, "./true", ERR_CONFIG, 0, "neither an absolute path");
	refused(r, "", ERR_CONFIG, 0, "neither an absolute path");
	refused(r, "/etc", ERR_SYS, EACCES, "Permission denied");
	refused(r, "/etc/passwd", ERR_SYS, EACCES, "Permission denied");
	/* Found and executable, but not a program: only exec can tell. */
	assert_int_equal(write(fd, "echo no\n", 8), 8);
	assert_int_equal(fchmod(fd, 0755), 0);
	(void)close(fd);
	refused(r, script, ERR_SYS, ENOEXEC, "no #! line?");
	fd = open(script, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "#!/no/interpreter\n", 18), 18);
	(void)close(fd);
	refused(r, script, ERR_SYS, ENOENT, "No such file");
	(void)unlink(script);
	assert_int_equal(r->n_done, 0);
}

static void
test_timeout(void **state)
{
	struct run *r = &((struct fixture *)*state)->r;
	char pid_file[] = "/tmp/acmed-proc-XXXXXX", script[128];
	int fd = mkstemp(pid_file);
	struct pollfd end = { .events = POLLIN };
	char text[16] = { 0 };
	long pid;

	/* The child of the child dies with it. */
	(void)snprintf(script, sizeof(script),
	    "sleep 1000 & echo $! > %s; echo started; wait", pid_file);
	run_sh(r, script, 1);
	assert_true(r->timed_out);
	assert_true(WIFSIGNALED(r->status));
	assert_int_equal(WTERMSIG(r->status), SIGTERM);
	assert_string_equal(r->output, "started\n");
	assert_in_range(r->ms, 900, 20000);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	pid = strtol(text, NULL, 10);
	assert_true(pid > 1);
	/* Gone already, or readable once it is. */
	end.fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (end.fd != -1) {
		assert_int_equal(poll(&end, 1, 20000), 1);
		(void)close(end.fd);
	}
	(void)close(fd);
	(void)unlink(pid_file);
}

/* SIGTERM is ignored: SIGKILL comes, and for the whole group. */
static void
test_timeout_stubborn(void **state)
{
	struct run *r = &((struct fixture *)*state)->r;

	run_sh(r, "trap '' TERM; while :; do sleep 0.1; done", 1);
	assert_true(r->timed_out);
	assert_true(WIFSIGNALED(r->status));
	assert_int_equal(WTERMSIG(r->status), SIGKILL);
	assert_in_range(r->ms, 5900, 40000);
}

static void
test_output_ring(void **state)
{
	struct run *r = &((struct fixture *)*state)->r;
	size_t n;

	run_sh(r, "i=1000; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done",
	    30);
	n = strlen(r->output);
	assert_int_equal(n, PROC_OUTPUT_MAX);
	assert_memory_equal(r->output, "...", 3);
	assert_string_equal(r->output + n - 15, "2997\n2998\n2999\n");
	/* Exactly full is not cut. */
	run_sh(r, "head -c 4096 /dev/zero | tr '\\0' x", 30);
	assert_int_equal(strspn(r->output, "x"), PROC_OUTPUT_MAX);
	run_sh(r, "head -c 4097 /dev/zero | tr '\\0' x", 30);
	assert_memory_equal(r->output, "...x", 4);
}

static void
test_output_cleaned(void **state)
{
	struct run *r = &((struct fixture *)*state)->r;

	run_sh(r, "printf 'a\\tb\\r\\n\\033[31mred\\000x\\377\\n\\303\\251\\n'",
	    30);
	assert_string_equal(r->output, "a b \n?[31mred?x?\n\303\251\n");
}

static void
test_output_huge(void **state)
{
	struct run *r = &((struct fixture *)*state)->r;
	struct rusage before, after;

	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	run_sh(r, "head -c 1000000000 /dev/zero; echo the end", 50);
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	assert_int_equal(r->status, 0);
	assert_string_equal(r->output + strlen(r->output) - 9, "?the end\n");
	assert_true(after.ru_maxrss - before.ru_maxrss < 16 << 10); /* KiB */
}

/* A daemon that the hook leaves behind keeps the pipe, and its life. */
static void
test_grandchild(void **state)
{
	struct run *r = &((struct fixture *)*state)->r;
	long pid;

	run_sh(r, "sleep 1000 & echo $!", 50);
	assert_int_equal(r->status, 0);
	assert_in_range(r->ms, 0, 20000);
	pid = strtol(r->output, NULL, 10);
	assert_true(pid > 1);
	assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
}

/* The same when it never stops to print. */
static void
test_grandchild_loud(void **state)
{
	struct run *r = &((struct fixture *)*state)->r;
	char pid_file[] = "/tmp/acmed-proc-XXXXXX", script[64];
	int fd = mkstemp(pid_file);
	char *end;
	long pid;

	/* The pid goes through a file: the output is all noise. */
	(void)snprintf(
	    script, sizeof(script), "yes >&2 & echo $! >%s", pid_file);
	run_sh(r, script, 50);
	assert_int_equal(r->status, 0);
	assert_in_range(r->ms, 0, 20000);
	(void)snprintf(script, sizeof(script), "cat %s", pid_file);
	run_sh(r, script, 50);
	(void)close(fd);
	(void)unlink(pid_file);
	pid = strtol(r->output, &end, 10);
	assert_true(pid > 1 && *end == '\n');
	/* Its pipe has lost its reader, which may have ended it already. */
	(void)kill((pid_t)pid, SIGKILL);
}

static void
on_tick(void *arg)
{
	loop_stop(arg);
}

static void
test_cancel(void **state)
{
	struct run *r = &((struct fixture *)*state)->r;
	const char *const argv[] = { "sleep", "1000", NULL };
	const struct proc_spec s = { .argv = argv, .timeout_s = 50 };
	struct loop_timer *t = loop_timer_new(r->loop, on_tick, r->loop, NULL);
	struct proc *p = proc_start(r->loop, &s, on_done, r, NULL);
	siginfo_t si;

	assert_non_null(p);
	proc_cancel(p);
	assert_int_equal(waitid(P_ALL, 0, &si, WEXITED | WNOWAIT), 0);
	assert_int_equal(si.si_status, SIGKILL);
	loop_timer_set(t, 20);
	assert_int_equal(loop_run(r->loop, NULL), 0);
	proc_reap(on_other, r);
	assert_int_equal(r->n_done, 0);
	assert_int_equal(r->n_other, 0); /* it is ours still */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	loop_timer_free(t);
}

static void
test_other_children(void **state)
{
	struct run *r = &((struct fixture *)*state)->r;
	pid_t pid;

	r->want_done = 0;
	pid = fork();
	if (pid == 0)
		_exit(7);
	wait_loop(r);
	assert_int_equal(r->n_other, 1);
	assert_int_equal(r->other, pid);
	assert_int_equal(WEXITSTATUS(r->other_status), 7);
}

static void
test_many(void **state)
{
	struct run *r = &((struct fixture *)*state)->r;
	const char *const argv[] = { "true", NULL };
	const struct proc_spec s = { .argv = argv, .timeout_s = 50 };
	unsigned i;

	r->want_done = 50;
	for (i = 0; i < 50; i++)
		assert_non_null(proc_start(r->loop, &s, on_done, r, NULL));
	assert_int_equal(r->n_done, 0); /* only from the loop */
	wait_loop(r);
	assert_int_equal(r->n_done, 50);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_success, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_environment, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_arguments, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_clean_slate, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_low_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_not_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_timeout_stubborn, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_output_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_output_cleaned, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_output_huge, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_grandchild, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_grandchild_loud, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_other_children, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
