/* SPDX-License-Identifier: ISC */
/*
 * Clocks that a test sets: a library to be preloaded, for a time namespace does
 * not move CLOCK_REALTIME.  wallclock.py compiles it, and shares a plan of two
 * offsets with every process of one acmed.  CLOCK_REALTIME and CLOCK_BOOTTIME
 * are that far ahead; CLOCK_MONOTONIC is the kernel's.
 *
 * The kernel tells of a clock that was set by a timer on it that is cancelled.
 * Here that timer is an inotify descriptor, which can be read when somebody has
 * written to the plan.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define PLAN    "ACMED_WALLCLOCK" /* names the file of the plan */
#define PRELOAD "LD_PRELOAD"
#define ENV_MAX 64

/* wallclock.py knows this layout. */
struct plan {
	int64_t wall_ms, boot_ms;
	uint32_t heard; /* how often a jump was noticed, by any process */
};

static struct plan *plan; /* NULL: this process's clocks are the kernel's */
static int told = -1;     /* can be read when the plan was written to */
static int timer = -1;    /* told, once it was asked for */

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* Before the process confines itself. */
__attribute__((constructor)) static void
plan_open(void)
{
	const char *path = getenv(PLAN);
	int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
	void *map;

	if (fd == -1)
		return;
	map = mmap(
	    NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (map == MAP_FAILED)
		abort();
	plan = map;
	if (strcmp(program_invocation_short_name, "acmed-engine") != 0)
		return;
	told = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (told == -1 || inotify_add_watch(told, path, IN_MODIFY) == -1)
		abort();
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	static __typeof__(&clock_gettime) real;
	int64_t ms = 0;
	int r;

	if (real == NULL)
		real = REAL(clock_gettime);
	r = real(id, ts);
	if (r == -1 || plan == NULL)
		return r;
	if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
		ms = __atomic_load_n(&plan->wall_ms, __ATOMIC_SEQ_CST);
	else if (id == CLOCK_BOOTTIME)
		ms = __atomic_load_n(&plan->boot_ms, __ATOMIC_SEQ_CST);
	ts->tv_sec += (time_t)(ms / 1000);
	ts->tv_nsec += (long)(ms % 1000 * 1000000);
	if (ts->tv_nsec < 0) {
		ts->tv_sec--;
		ts->tv_nsec += 1000000000;
	} else if (ts->tv_nsec >= 1000000000) {
		ts->tv_sec++;
		ts->tv_nsec -= 1000000000;
	}
	return 0;
}

/* What a TLS library asks. */
time_t
time(time_t *t)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	if (t != NULL)
		*t = ts.tv_sec;
	return ts.tv_sec;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = (suseconds_t)(ts.tv_nsec / 1000);
	return 0;
}

int
timerfd_create(clockid_t id, int flags)
{
	if (told == -1 || id != CLOCK_REALTIME)
		return REAL(timerfd_create)(id, flags);
	timer = told;
	return timer;
}

int
timerfd_settime(
    int fd, int flags, const struct itimerspec *at, struct itimerspec *before)
{
	if (timer == -1 || fd != timer)
		return REAL(timerfd_settime)(fd, flags, at, before);
	return 0;
}

ssize_t
read(int fd, void *to, size_t len)
{
	static __typeof__(&read) real;
	char events[4096];
	ssize_t n;

	if (real == NULL)
		real = REAL(read);
	if (timer == -1 || fd != timer)
		return real(fd, to, len);
	n = real(fd, events, sizeof(events));
	if (n <= 0)
		return n;
	(void)__atomic_add_fetch(&plan->heard, 1, __ATOMIC_SEQ_CST);
	errno = ECANCELED;
	return -1;
}

/* The supervisor gives its children an environment of few variables. */
int
execve(const char *path, char *const *argv, char *const *envp)
{
	char preload[4096], file[4096];
	char *env[ENV_MAX];
	size_t n = 0;

	for (; envp[n] != NULL && n < ENV_MAX - 3; n++)
		env[n] = envp[n];
	if (plan != NULL && strncmp(argv[0], "acmed-", 6) == 0) {
		(void)snprintf(
		    preload, sizeof(preload), PRELOAD "=%s", getenv(PRELOAD));
		(void)snprintf(file, sizeof(file), PLAN "=%s", getenv(PLAN));
		env[n++] = preload;
		env[n++] = file;
	}
	env[n] = NULL;
	return REAL(execve)(path, argv, env);
}
