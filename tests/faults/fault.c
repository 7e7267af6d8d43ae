/* SPDX-License-Identifier: ISC */
/*
 * A disk that fails on demand.  Linked into acmed, acmed-engine and
 * acmed-keeper of a build of its own (ACMED_FAULTS), in front of the calls by
 * which they change what is below the state folder; disk.py shares a plan with
 * them, which counts these calls and says which ones fail.
 *
 * Each errno is an adversary of its own.  A full disk takes half of what is
 * written.  A broken one (EIO) does what it is asked and says that it did not;
 * of what it cannot make durable, the content is lost.  A read-only one does
 * nothing.
 *
 * So that a minute until the next attempt need not be waited for, the engine's
 * clock runs faster.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PLAN      "ACMED_FAULTS" /* names the file of the plan */
#define PROCESSES 3
#define CALLS_MAX 512
#define ENV_MAX   64

enum kind {
	K_NONE,
	K_CREATE,
	K_WRITE,
	K_FSYNC,
	K_SYNC_RANGE,
	K_TRUNCATE,
	K_CLOSE,
	K_CHMOD,
	K_CHOWN,
	K_MKDIR,
	K_RENAME,
	K_SYMLINK,
	K_UNLINK,
	K_NOTE, /* anything with the journal of events, nobody's loss */
};

/* disk.py knows this layout. */
struct plan {
	uint64_t dev;     /* the state folders' file system */
	uint64_t real_ms; /* the engine's clocks run from here */
	uint64_t boot_ms;
	uint32_t speed;
	uint32_t victim; /* which process */
	uint32_t nth;    /* the first call that fails, counted from 1 */
	uint32_t times;  /* how many calls fail; 0: none */
	uint32_t num;    /* their errno */
	uint32_t kinds;  /* bits: which calls fail behind the first one */
	uint32_t failed; /* how many have */
	uint32_t count[PROCESSES];
	uint8_t kind[PROCESSES][CALLS_MAX];
};

static struct plan *plan; /* NULL: nothing fails */
static unsigned me;

__attribute__((constructor)) static void
plan_open(void)
{
	static const char *const names[PROCESSES] = { "acmed", "acmed-engine",
		"acmed-keeper" };
	const char *path = getenv(PLAN);
	void *map;
	int fd;

	while (me < PROCESSES - 1 &&
	       strcmp(program_invocation_short_name, names[me]) != 0)
		me++;
	fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
	if (fd == -1)
		return;
	map = mmap(
	    NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (map == MAP_FAILED)
		abort();
	plan = map;
}

/* Whether the call that is about to be made fails. */
static bool
fails(enum kind kind)
{
	uint32_t n = __atomic_add_fetch(&plan->count[me], 1, __ATOMIC_SEQ_CST);

	if (n <= CALLS_MAX)
		plan->kind[me][n - 1] = (uint8_t)kind;
	if (plan->victim != me || n < plan->nth ||
	    plan->failed >= plan->times ||
	    (n > plan->nth && (plan->kinds & (1u << kind)) == 0))
		return false;
	(void)__atomic_add_fetch(&plan->failed, 1, __ATOMIC_SEQ_CST);
	return true;
}

static int
fail(void)
{
	errno = (int)plan->num;
	return -1;
}

static bool
is_ours(int fd)
{
	struct stat st;

	return plan != NULL && fstat(fd, &st) == 0 && st.st_dev == plan->dev &&
	       (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

static bool
is_broken(void)
{
	return plan->num == EIO;
}

/* What only appends is the journal. */
static enum kind
kind_of(enum kind kind, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags != -1 && (flags & O_APPEND) != 0 ? K_NOTE : kind;
}

#define REAL(result, name, ...)            \
	result __real_##name(__VA_ARGS__); \
	result __wrap_##name(__VA_ARGS__); \
	result __wrap_##name(__VA_ARGS__)

REAL(ssize_t, write, int fd, const void *data, size_t len)
{
	if (!is_ours(fd) || !fails(kind_of(K_WRITE, fd)))
		return __real_write(fd, data, len);
	if (plan->num != EROFS)
		(void)!__real_write(fd, data, len / 2);
	return fail();
}

REAL(int, ftruncate, int fd, off_t len)
{
	if (!is_ours(fd) || !fails(kind_of(K_TRUNCATE, fd)))
		return __real_ftruncate(fd, len);
	return fail();
}

REAL(int, fsync, int fd)
{
	if (!is_ours(fd) || !fails(K_FSYNC))
		return __real_fsync(fd);
	if (is_broken())
		(void)!__real_ftruncate(fd, 0); /* not of a folder */
	return fail();
}

REAL(int, sync_file_range, int fd, off_t at, off_t len, unsigned flags)
{
	if (!is_ours(fd) || !fails(K_SYNC_RANGE))
		return __real_sync_file_range(fd, at, len, flags);
	return fail();
}

/* A descriptor is gone whatever close(2) says. */
REAL(int, close, int fd)
{
	bool failed = is_ours(fd) &&
		      (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY &&
		      fails(kind_of(K_CLOSE, fd));
	int r = __real_close(fd);

	return failed ? fail() : r;
}

REAL(int, fchmod, int fd, mode_t mode)
{
	if (!is_ours(fd) || !fails(K_CHMOD))
		return __real_fchmod(fd, mode);
	return fail();
}

REAL(int, fchown, int fd, uid_t uid, gid_t gid)
{
	if (!is_ours(fd) || !fails(K_CHOWN))
		return __real_fchown(fd, uid, gid);
	return fail();
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int
__wrap_openat(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if ((flags & O_CREAT) != 0) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
		if (is_ours(dir) &&
		    fails((flags & O_APPEND) != 0 ? K_NOTE : K_CREATE))
			return fail();
	}
	return __real_openat(dir, path, flags, mode);
}

/* The state folder itself: nothing of it is there by which to know it. */
REAL(int, mkdir, const char *path, mode_t mode)
{
	if (plan == NULL || !fails(K_MKDIR))
		return __real_mkdir(path, mode);
	if (is_broken())
		(void)__real_mkdir(path, mode);
	return fail();
}

REAL(int, mkdirat, int dir, const char *path, mode_t mode)
{
	if (!is_ours(dir) || !fails(K_MKDIR))
		return __real_mkdirat(dir, path, mode);
	if (is_broken())
		(void)__real_mkdirat(dir, path, mode);
	return fail();
}

REAL(int, renameat, int from, const char *a, int to, const char *b)
{
	if (!is_ours(from) ||
	    !fails(strcmp(a, "events") == 0 ? K_NOTE : K_RENAME))
		return __real_renameat(from, a, to, b);
	if (is_broken())
		(void)__real_renameat(from, a, to, b);
	return fail();
}

REAL(int, symlinkat, const char *target, int dir, const char *path)
{
	if (!is_ours(dir) || !fails(K_SYMLINK))
		return __real_symlinkat(target, dir, path);
	if (is_broken())
		(void)!__real_symlinkat(target, dir, path);
	return fail();
}

REAL(int, unlinkat, int dir, const char *path, int flags)
{
	if (!is_ours(dir) || !fails(K_UNLINK))
		return __real_unlinkat(dir, path, flags);
	if (is_broken())
		(void)__real_unlinkat(dir, path, flags);
	return fail();
}

/* The supervisor gives its children an environment of few variables. */
REAL(int, execve, const char *path, char *const *argv, char *const *envp)
{
	char text[4096];
	char *env[ENV_MAX];
	size_t n = 0;

	for (; envp[n] != NULL && n < ENV_MAX - 2; n++)
		env[n] = envp[n];
	if (plan != NULL && strncmp(argv[0], "acmed-", 6) == 0) {
		(void)snprintf(text, sizeof(text), PLAN "=%s", getenv(PLAN));
		env[n++] = text;
	}
	env[n] = NULL;
	return __real_execve(path, argv, env);
}

static bool
is_fast(void)
{
	return plan != NULL && me == 1 && plan->speed > 1;
}

REAL(int, clock_gettime, clockid_t id, struct timespec *ts)
{
	uint64_t from, ms;
	int r = __real_clock_gettime(id, ts);

	if (r == -1 || !is_fast())
		return r;
	from = id == CLOCK_REALTIME ? plan->real_ms : plan->boot_ms;
	ms = (uint64_t)ts->tv_sec * 1000 + (uint64_t)ts->tv_nsec / 1000000;
	ms = from + (ms - from) * plan->speed;
	ts->tv_sec = (time_t)(ms / 1000);
	ts->tv_nsec = (long)(ms % 1000 * 1000000);
	return 0;
}

/* Not what is short: curl forgets a timer of its own that comes too early. */
REAL(int, event_add, struct event *ev, const struct timeval *tv)
{
	struct timeval soon;
	uint64_t us;

	if (tv == NULL || tv->tv_sec == 0 || !is_fast())
		return __real_event_add(ev, tv);
	us = ((uint64_t)tv->tv_sec * 1000000 + (uint64_t)tv->tv_usec) /
	     plan->speed;
	soon.tv_sec = (time_t)(us / 1000000);
	soon.tv_usec = (suseconds_t)(us % 1000000);
	return __real_event_add(ev, &soon);
}
