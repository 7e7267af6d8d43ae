/* SPDX-License-Identifier: ISC */
/*
 * Starts programs, keeps the end of what they print, and sees them out.  It
 * does not know what the programs are for, nor does it wait for anything but
 * for exec to say that it worked.
 */

#include "lib/io/proc.h"

#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/str.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4u
#endif

#define KILL_AFTER_MS 5000 /* between SIGTERM and SIGKILL */
#define READ_SIZE     65536
#define DRAIN_MAX     16 /* reads at the end: somebody may still be writing */

struct proc {
	LIST_ENTRY(proc) next;
	pid_t pid;
	struct loop_fd *watch;
	struct loop_timer *deadline;
	proc_done *done; /* NULL: cancelled, only to be reaped */
	void *arg;
	int64_t started_ms;
	int out;
	bool timed_out;
	size_t pos, total; /* of the ring; total bytes ever printed */
	char ring[PROC_OUTPUT_MAX];
};

static LIST_HEAD(, proc) procs = LIST_HEAD_INITIALIZER(procs);

static void
proc_free(struct proc *p)
{
	if (p == NULL)
		return;
	loop_fd_free(p->watch);
	loop_timer_free(p->deadline);
	if (p->out != -1)
		(void)close(p->out);
	free(p);
}

DEFINE_AUTO(struct proc, proc_free)

static void
ring_add(struct proc *p, const char *data, size_t n)
{
	size_t first;

	p->total = p->total > SIZE_MAX - n ? SIZE_MAX : p->total + n;
	if (n > sizeof(p->ring)) {
		data += n - sizeof(p->ring);
		n = sizeof(p->ring);
	}
	first = sizeof(p->ring) - p->pos;
	if (first > n)
		first = n;
	memcpy(p->ring + p->pos, data, first);
	memcpy(p->ring, data + first, n - first);
	p->pos = (p->pos + n) % sizeof(p->ring);
}

/* One read.  false: there is no more now, or ever. */
static bool
read_some(struct proc *p)
{
	static char chunk[READ_SIZE];
	ssize_t n;

	if (p->out == -1)
		return false;
	n = read(p->out, chunk, sizeof(chunk));
	if (n > 0) {
		ring_add(p, chunk, (size_t)n);
		return true;
	}
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return false;
	loop_fd_free(take_ptr(p->watch));
	(void)close(take_fd(&p->out));
	return false;
}

static void
on_output(void *arg, int fd, unsigned what)
{
	(void)fd;
	(void)what;
	(void)read_some(arg);
}

/* Replace what could do harm on a terminal or in a log, but keep the lines. */
static void
clean_lines(char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (s[i] == '\0')
			s[i] = '?';
		else if (s[i] == '\t' || s[i] == '\r')
			s[i] = ' ';
	str_clean_lines(s);
}

/* The end of what was printed, in order; "..." in front when it was more. */
static void
ring_text(const struct proc *p, char out[PROC_OUTPUT_MAX + 1])
{
	size_t size = sizeof(p->ring), n = p->total;

	if (n <= size) {
		memcpy(out, p->ring, n);
	} else {
		n = size;
		memcpy(out, p->ring + p->pos, size - p->pos);
		memcpy(out + size - p->pos, p->ring, p->pos);
		memcpy(out, "...", 3);
	}
	out[n] = '\0';
	clean_lines(out, n);
}

static void
on_deadline(void *arg)
{
	struct proc *p = arg;

	(void)kill(-p->pid, p->timed_out ? SIGKILL : SIGTERM);
	if (!p->timed_out)
		loop_timer_set(p->deadline, KILL_AFTER_MS);
	p->timed_out = true;
}

static void
finish(struct proc *owned, int status)
{
	AUTO(proc_free) struct proc *p = owned;
	char out[PROC_OUTPUT_MAX + 1];
	struct proc_result r = { .status = status, .output = out };
	int64_t ms = clock_mono_ms() - p->started_ms;
	int i;

	LIST_REMOVE(p, next);
	if (p->done == NULL)
		return;
	for (i = 0; i < DRAIN_MAX && read_some(p); i++)
		;
	ring_text(p, out);
	r.timed_out = p->timed_out;
	r.ms = ms < 0 ? 0 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
	p->done(p->arg, &r);
}

void
proc_reap(void (*other)(void *arg, pid_t, int status), void *arg)
{
	struct proc *p;
	siginfo_t si;
	int status;

	for (;;) {
		si = (siginfo_t){ 0 };
		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == -1 ||
		    si.si_pid == 0)
			return;
		LIST_FOREACH (p, &procs, next)
			if (p->pid == si.si_pid)
				break;
		/* Before the pid, which names the group, can be used again. */
		if (p != NULL && p->timed_out)
			(void)kill(-p->pid, SIGKILL);
		if (waitpid(si.si_pid, &status, WNOHANG) != si.si_pid)
			return;
		if (p != NULL)
			finish(p, status);
		else if (other != NULL)
			other(arg, si.si_pid, status);
	}
}

void
proc_cancel(struct proc *p)
{
	(void)kill(-p->pid, SIGKILL);
	p->done = NULL;
	loop_fd_free(take_ptr(p->watch));
	loop_timer_free(take_ptr(p->deadline));
	if (p->out != -1)
		(void)close(take_fd(&p->out));
}

static int
check_program(const char *path, int *why)
{
	struct stat st;

	if (stat(path, &st) == -1)
		*why = errno;
	else if (!S_ISREG(st.st_mode) ||
		 faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == -1)
		*why = EACCES;
	else
		return 0;
	return -1;
}

/* As a shell does, a file that cannot run counts last. */
int
proc_find(const char *name, char out[PATH_MAX], struct err *e)
{
	const char *dir = PROC_PATH, *end;
	int n, why, worst = ENOENT;

	if (name[0] == '/') {
		n = snprintf(out, PATH_MAX, "%s", name);
		if (n < 0 || n >= PATH_MAX)
			return err_set(
			    e, ERR_SYS, ENAMETOOLONG, "run %s", name);
		if (check_program(out, &why) == -1)
			return err_set(e, ERR_SYS, why, "run %s", name);
		return 0;
	}
	if (name[0] == '\0' || strchr(name, '/') != NULL)
		return err_set(e, ERR_CONFIG, 0,
		    "run \"%s\": neither an absolute path nor a plain name",
		    name);
	for (; *dir != '\0'; dir = *end == ':' ? end + 1 : end) {
		end = strchrnul(dir, ':');
		n = snprintf(
		    out, PATH_MAX, "%.*s/%s", (int)(end - dir), dir, name);
		if (n < 0 || n >= PATH_MAX)
			return err_set(
			    e, ERR_SYS, ENAMETOOLONG, "run %s", name);
		if (check_program(out, &why) == 0)
			return 0;
		if (why != ENOENT && why != ENOTDIR)
			worst = why;
	}
	return err_set(
	    e, ERR_SYS, worst, "run %s: not found in " PROC_PATH, name);
}

static void
reset_signals(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;
	int i;

	/* The C library keeps a few for itself, and two cannot be changed. */
	for (i = 1; i < NSIG; i++)
		(void)sigaction(i, &sa, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * The child: only what is safe between fork and exec.  The ends are above 2
 * and everything above 2 is closed by exec, as it is for the pipe that tells
 * the parent why there was no exec.
 */
static _Noreturn void
become(const char *path, const struct proc_spec *s, int in, int out, int tell)
{
	static const char *const no_env[] = { NULL };
	const char *const *env = s->env != NULL ? s->env : no_env;
	int num;

	if (setpgid(0, 0) == 0 && chdir("/") == 0 && dup2(in, 0) != -1 &&
	    dup2(out, 1) != -1 && dup2(out, 2) != -1 &&
	    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) == 0) {
		(void)umask(022);
		reset_signals();
		(void)execve(path, (char *const *)(uintptr_t)s->argv,
		    (char *const *)(uintptr_t)env);
	}
	num = errno;
	while (write(tell, &num, sizeof(num)) == -1 && errno == EINTR)
		;
	_exit(127);
}

/* The same descriptor above 2, which the child's own three must not hit. */
static int
lift(int fd)
{
	int high;

	if (fd == -1 || fd > 2)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	(void)close(fd);
	return high;
}

static int
high_pipe(int *r, int *w, struct err *e)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) == -1)
		return err_set(e, ERR_SYS, errno, "pipe");
	*r = lift(fds[0]);
	*w = lift(fds[1]);
	if (*r == -1 || *w == -1)
		return err_set(e, ERR_SYS, errno, "pipe");
	return 0;
}

pid_t
proc_fork(void)
{
	sigset_t all, old;
	pid_t pid;
	int num;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	num = errno;
	if (pid != 0)
		(void)sigprocmask(SIG_SETMASK, &old, NULL);
	errno = num;
	return pid;
}

/* The errno that the child tells, or 0 when exec closed the pipe. */
static int
exec_result(int fd)
{
	int num = 0;
	ssize_t n;

	do
		n = read(fd, &num, sizeof(num));
	while (n == -1 && errno == EINTR);
	return n == (ssize_t)sizeof(num) ? num : 0;
}

static int
spawn(const struct proc_spec *s, int out, pid_t *pid, struct err *e)
{
	char path[PATH_MAX];
	AUTO(close) int null = -1;
	AUTO(close) int tell_r = -1;
	AUTO(close) int tell_w = -1;
	int num;

	if (proc_find(s->argv[0], path, e) == -1)
		return -1;
	null = lift(open("/dev/null", O_RDONLY | O_CLOEXEC));
	if (null == -1)
		return err_set(e, ERR_SYS, errno, "open /dev/null");
	if (high_pipe(&tell_r, &tell_w, e) == -1)
		return -1;
	*pid = proc_fork();
	if (*pid == -1)
		return err_set(e, ERR_SYS, errno, "run %s: fork", path);
	if (*pid == 0)
		become(path, s, null, out, tell_w);
	(void)close(take_fd(&tell_w));
	num = exec_result(tell_r);
	if (num == 0)
		return 0;
	while (waitpid(*pid, NULL, 0) == -1 && errno == EINTR)
		;
	return err_set(e, ERR_SYS, num, "run %s%s", path,
	    num == ENOEXEC ? ": no #! line?" : "");
}

struct proc *
proc_start(struct loop *l, const struct proc_spec *s, proc_done *done,
    void *arg, struct err *e)
{
	AUTO(proc_free) struct proc *p = calloc(1, sizeof(*p));
	AUTO(close) int w = -1;

	assert(s->argv[0] != NULL);
	if (p == NULL) {
		(void)err_nomem(e, "run a program");
		return NULL;
	}
	p->out = -1;
	p->done = done;
	p->arg = arg;
	p->started_ms = clock_mono_ms();
	if (high_pipe(&p->out, &w, e) == -1)
		return NULL;
	if (fcntl(p->out, F_SETFL, O_NONBLOCK) == -1) {
		(void)err_set(e, ERR_SYS, errno, "pipe");
		return NULL;
	}
	p->watch = loop_fd_new(l, p->out, LOOP_READ, on_output, p, e);
	if (p->watch == NULL)
		return NULL;
	p->deadline = loop_timer_new(l, on_deadline, p, e);
	if (p->deadline == NULL || spawn(s, w, &p->pid, e) == -1)
		return NULL;
	loop_timer_set(p->deadline, (int64_t)s->timeout_s * 1000);
	LIST_INSERT_HEAD(&procs, p, next);
	return take_ptr(p);
}
