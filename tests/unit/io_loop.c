/* SPDX-License-Identifier: ISC */
/* The event loop: timers, descriptors, signals, and freeing in callbacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/io/loop.h"

struct fix {
	struct loop *loop;
	struct loop_timer *t1, *t2, *limit;
	struct loop_fd *f1, *f2;
	struct loop_signal *sig;
	struct loop_jump *jump;
	int pipe1[2], pipe2[2];
	unsigned ran, got;
	char order[16];
};

static int64_t
mono_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
too_late(void *arg)
{
	(void)arg;
	fail_msg("what the test waits for did not happen");
}

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->loop = loop_new(NULL);
	assert_non_null(f->loop);
	assert_int_equal(pipe2(f->pipe1, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(pipe2(f->pipe2, O_NONBLOCK | O_CLOEXEC), 0);
	f->limit = loop_timer_new(f->loop, too_late, f, NULL);
	assert_non_null(f->limit);
	loop_timer_set(f->limit, 20000);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	loop_timer_free(f->t1);
	loop_timer_free(f->t2);
	loop_timer_free(f->limit);
	loop_fd_free(f->f1);
	loop_fd_free(f->f2);
	loop_signal_free(f->sig);
	loop_jump_free(f->jump);
	loop_free(f->loop);
	(void)close(f->pipe1[0]);
	(void)close(f->pipe1[1]);
	(void)close(f->pipe2[0]);
	(void)close(f->pipe2[1]);
	free(f);
	return 0;
}

static void
note(struct fix *f, char c)
{
	assert_true(f->ran < sizeof(f->order) - 1);
	f->order[f->ran++] = c;
}

static void
note_1(void *arg)
{
	note(arg, '1');
}

static void
note_2_stop(void *arg)
{
	struct fix *f = arg;

	note(f, '2');
	loop_stop(f->loop);
}

static void
test_timer_order_and_time(void **state)
{
	struct fix *f = *state;
	int64_t start = mono_ms();

	f->t1 = loop_timer_new(f->loop, note_1, f, NULL);
	f->t2 = loop_timer_new(f->loop, note_2_stop, f, NULL);
	assert_false(loop_timer_pending(f->t1));
	loop_timer_set(f->t2, 60);
	loop_timer_set(f->t1, 20);
	assert_true(loop_timer_pending(f->t1));
	assert_int_equal(f->ran, 0);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	/* In order, once each; the coarse clock may be a tick early. */
	assert_string_equal(f->order, "12");
	assert_false(loop_timer_pending(f->t1));
	assert_true(mono_ms() - start >= 50);
	assert_in_range(loop_wakeups(f->loop), 1, 2);
}

static void
test_timer_moves_and_stops(void **state)
{
	struct fix *f = *state;

	f->t1 = loop_timer_new(f->loop, note_1, f, NULL);
	f->t2 = loop_timer_new(f->loop, note_2_stop, f, NULL);
	loop_timer_set(f->t1, 0);
	loop_timer_stop(f->t1);
	assert_false(loop_timer_pending(f->t1));
	loop_timer_set(f->t2, 3600 * 1000);
	loop_timer_set(f->t2, -5);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_string_equal(f->order, "2");
}

static void
again_thrice(void *arg)
{
	struct fix *f = arg;

	note(f, 'a');
	if (f->ran == 3)
		loop_stop(f->loop);
	else
		loop_timer_set(f->t1, 0);
	/* Never from inside the call that sets it. */
	assert_int_equal(strlen(f->order), f->ran);
}

static void
test_timer_sets_itself(void **state)
{
	struct fix *f = *state;

	f->t1 = loop_timer_new(f->loop, again_thrice, f, NULL);
	loop_timer_set(f->t1, 0);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_string_equal(f->order, "aaa");
}

static void
free_both(void *arg)
{
	struct fix *f = arg;

	note(f, 'f');
	loop_timer_free(f->t1);
	loop_timer_free(f->t2);
	f->t1 = f->t2 = NULL;
	loop_stop(f->loop);
}

/* Both are due in one round: whichever runs frees itself and the other. */
static void
test_timer_frees_itself_and_another(void **state)
{
	struct fix *f = *state;

	f->t1 = loop_timer_new(f->loop, free_both, f, NULL);
	f->t2 = loop_timer_new(f->loop, free_both, f, NULL);
	loop_timer_set(f->t1, 0);
	loop_timer_set(f->t2, 0);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	f->t2 = loop_timer_new(f->loop, note_2_stop, f, NULL);
	loop_timer_set(f->t2, 0);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_string_equal(f->order, "f2");
}

static void
on_readable(void *arg, int fd, unsigned what)
{
	struct fix *f = arg;
	char c;

	assert_int_equal(fd, f->pipe1[0]);
	assert_int_equal(what, LOOP_READ);
	assert_int_equal(read(fd, &c, 1), 1);
	note(f, c);
	if (c == 'z')
		loop_stop(f->loop);
}

static void
test_fd_stays_until_nothing_is_wanted(void **state)
{
	struct fix *f = *state;

	assert_int_equal(write(f->pipe1[1], "abz", 3), 3);
	f->f1 =
	    loop_fd_new(f->loop, f->pipe1[0], LOOP_READ, on_readable, f, NULL);
	assert_non_null(f->f1);
	assert_int_equal(f->ran, 0);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_string_equal(f->order, "abz");
	assert_int_equal(loop_wakeups(f->loop), 3);

	/* Wanting nothing leaves the byte alone, and wanting again finds it. */
	assert_int_equal(loop_fd_want(f->f1, 0), 0);
	assert_int_equal(write(f->pipe1[1], "z", 1), 1);
	f->t2 = loop_timer_new(f->loop, note_2_stop, f, NULL);
	loop_timer_set(f->t2, 0);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_string_equal(f->order, "abz2");
	assert_int_equal(loop_fd_want(f->f1, LOOP_READ), 0);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_string_equal(f->order, "abz2z");
}

static void
on_writable(void *arg, int fd, unsigned what)
{
	struct fix *f = arg;

	(void)fd;
	f->got |= what;
	note(f, 'w');
	assert_int_equal(loop_fd_want(f->f1, 0), 0);
	loop_stop(f->loop);
}

static void
test_fd_writable(void **state)
{
	struct fix *f = *state;

	f->f1 = loop_fd_new(f->loop, f->pipe1[1], 0, on_writable, f, NULL);
	assert_non_null(f->f1);
	assert_int_equal(loop_fd_want(f->f1, LOOP_WRITE), 0);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_int_equal(f->got, LOOP_WRITE);
	assert_string_equal(f->order, "w");
}

static void
free_fds(void *arg, int fd, unsigned what)
{
	struct fix *f = arg;

	(void)fd;
	(void)what;
	note(f, 'f');
	loop_fd_free(f->f1);
	loop_fd_free(f->f2);
	f->f1 = f->f2 = NULL;
	loop_stop(f->loop);
}

static void
test_fd_frees_itself_and_another(void **state)
{
	struct fix *f = *state;

	assert_int_equal(write(f->pipe1[1], "x", 1), 1);
	assert_int_equal(write(f->pipe2[1], "x", 1), 1);
	f->f1 = loop_fd_new(f->loop, f->pipe1[0], LOOP_READ, free_fds, f, NULL);
	f->f2 = loop_fd_new(f->loop, f->pipe2[0], LOOP_READ, free_fds, f, NULL);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	f->t2 = loop_timer_new(f->loop, note_2_stop, f, NULL);
	loop_timer_set(f->t2, 0);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_string_equal(f->order, "f2");
	/* Freeing did not close. */
	assert_int_equal(write(f->pipe1[1], "x", 1), 1);
}

static void
test_fd_that_cannot_be_watched(void **state)
{
	struct fix *f = *state;
	char file[] = "/tmp/io_loop.XXXXXX";
	AUTO(close) int reg = mkstemp(file);
	struct err e;

	assert_true(reg != -1);
	(void)unlink(file);
	assert_null(loop_fd_new(f->loop, reg, LOOP_READ, free_fds, f, &e));
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.num, EPERM);
	assert_non_null(strstr(e.what, "watch descriptor "));
}

static void
on_sig(void *arg, int signo)
{
	struct fix *f = arg;

	assert_int_equal(signo, SIGUSR1);
	note(f, 's');
	loop_signal_free(f->sig);
	f->sig = NULL;
	loop_stop(f->loop);
}

static void
test_signal_frees_itself(void **state)
{
	struct fix *f = *state;

	f->sig = loop_signal_new(f->loop, SIGUSR1, on_sig, f, NULL);
	assert_non_null(f->sig);
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	assert_int_equal(f->ran, 0);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_string_equal(f->order, "s");
}

/* The least change that is one: a nanosecond.  false: we may not. */
static bool
set_clock(bool back)
{
	struct timex t = { .modes = ADJ_SETOFFSET | ADJ_NANO };

	t.time.tv_sec = back ? -1 : 0;
	t.time.tv_usec = back ? 999999999 : 1;
	if (adjtimex(&t) != -1)
		return true;
	assert_true(errno == EPERM || errno == ENOSYS);
	return false;
}

static void
jumped(void *arg)
{
	struct fix *f = arg;

	note(f, 'j');
	loop_stop(f->loop);
}

static void
test_jump(void **state)
{
	struct fix *f = *state;

	f->jump = loop_jump_new(f->loop, jumped, f, NULL);
	assert_non_null(f->jump);
	f->t2 = loop_timer_new(f->loop, note_2_stop, f, NULL);
	loop_timer_set(f->t2, 0);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_string_equal(f->order, "2");
	if (!set_clock(false)) {
		print_message("the clock cannot be set here\n");
		skip();
	}
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_string_equal(f->order, "2j");
	/* It goes on, and stays quiet in between. */
	loop_timer_set(f->t2, 0);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_true(set_clock(true));
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_string_equal(f->order, "2j2j");
}

static void
free_jump(void *arg)
{
	struct fix *f = arg;

	loop_jump_free(f->jump);
	f->jump = NULL;
	jumped(f);
}

static void
test_jump_frees_itself(void **state)
{
	struct fix *f = *state;

	f->jump = loop_jump_new(f->loop, free_jump, f, NULL);
	assert_non_null(f->jump);
	if (!set_clock(false)) {
		print_message("the clock cannot be set here\n");
		skip();
	}
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_true(set_clock(true));
	f->t2 = loop_timer_new(f->loop, note_2_stop, f, NULL);
	loop_timer_set(f->t2, 0);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_string_equal(f->order, "j2");
}

static void
test_jump_without_descriptors(void **state)
{
	struct fix *f = *state;
	struct rlimit was, none;
	struct err e;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){ 0, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	f->jump = loop_jump_new(f->loop, jumped, f, &e);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_null(f->jump);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.num, EMFILE);
}

static void
test_stop_before_run(void **state)
{
	struct fix *f = *state;

	loop_stop(f->loop);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_int_equal(loop_wakeups(f->loop), 0);
	/* And it counts once. */
	f->t2 = loop_timer_new(f->loop, note_2_stop, f, NULL);
	loop_timer_set(f->t2, 0);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_string_equal(f->order, "2");
}

static void
test_nothing_to_wait_for(void **state)
{
	struct fix *f = *state;
	struct err e;

	loop_timer_stop(f->limit);
	assert_int_equal(loop_run(f->loop, &e), -1);
	assert_non_null(strstr(e.what, "nothing to wait for"));
}

static void
stop_leaving_work(void *arg, int fd, unsigned what)
{
	struct fix *f = arg;
	char c;

	(void)what;
	assert_int_equal(read(fd, &c, 1), 1);
	note(f, c);
	loop_stop(f->loop);
}

/* What was due when the loop stopped is not lost. */
static void
test_stop_keeps_what_is_due(void **state)
{
	struct fix *f = *state;

	assert_int_equal(write(f->pipe1[1], "x", 1), 1);
	assert_int_equal(write(f->pipe2[1], "x", 1), 1);
	f->f1 = loop_fd_new(
	    f->loop, f->pipe1[0], LOOP_READ, stop_leaving_work, f, NULL);
	f->f2 = loop_fd_new(
	    f->loop, f->pipe2[0], LOOP_READ, stop_leaving_work, f, NULL);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_string_equal(f->order, "x");
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_string_equal(f->order, "xx");
}

static void
test_null_is_fine(void **state)
{
	(void)state;
	loop_timer_free(NULL);
	loop_fd_free(NULL);
	loop_signal_free(NULL);
	loop_jump_free(NULL);
	loop_free(NULL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_timer_order_and_time),
		T(test_timer_moves_and_stops),
		T(test_timer_sets_itself),
		T(test_timer_frees_itself_and_another),
		T(test_fd_stays_until_nothing_is_wanted),
		T(test_fd_writable),
		T(test_fd_frees_itself_and_another),
		T(test_fd_that_cannot_be_watched),
		T(test_signal_frees_itself),
		T(test_jump),
		T(test_jump_frees_itself),
		T(test_jump_without_descriptors),
		T(test_stop_before_run),
		T(test_nothing_to_wait_for),
		T(test_stop_keeps_what_is_due),
		cmocka_unit_test(test_null_is_fine),
	};

	return cmocka_run_group_tests_name("io/loop", tests, NULL, NULL);
}
