/* SPDX-License-Identifier: ISC */
/* Between fork and exec. */
#include "daemon/supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/io/proc.h"

#define FD_FIRST      3
#define ENGINE_NOFILE 65536
#define ENV_MAX       (64u << 10)
#define ENV_VAR_MAX   16

static const struct {
	const char *name;
	bool network; /* only for who may use one */
} passed_on[] = {
	{ "PATH", false },
	{ "JOURNAL_STREAM", false },
	{ "INVOCATION_ID", false },
	{ "ASAN_OPTIONS", false },
	{ "UBSAN_OPTIONS", false },
	{ "LSAN_OPTIONS", false },
	{ "http_proxy", true }, /* curl reads no HTTP_PROXY, and why */
	{ "https_proxy", true },
	{ "HTTPS_PROXY", true },
	{ "all_proxy", true },
	{ "ALL_PROXY", true },
	{ "no_proxy", true },
	{ "NO_PROXY", true },
};
_Static_assert(NELEM(passed_on) < ENV_VAR_MAX, "envp is too small");

/* The strings stay in text, which the caller keeps. */
static int
environment(bool network, struct buf *text, const char *envp[ENV_VAR_MAX],
    struct err *e)
{
	size_t at[ENV_VAR_MAX], i, n = 0;
	const char *value;

	for (i = 0; i < NELEM(passed_on); i++) {
		if (passed_on[i].network && !network)
			continue;
		value = getenv(passed_on[i].name);
		if (value == NULL)
			continue;
		at[n++] = text->len;
		buf_printf(text, "%s=%s", passed_on[i].name, value);
		buf_putc(text, '\0');
	}
	if (!buf_ok(text))
		return err_set(e, ERR_LIMIT, 0, "the environment is too large");
	for (i = 0; i < n; i++)
		envp[i] = text->data + at[i];
	envp[n] = NULL;
	return 0;
}

/* Two rounds, because a source may sit where another one must go. */
static int
descriptors(const int *fds, size_t n)
{
	int high[SPAWN_FDS_MAX];
	int null, end = FD_FIRST + (int)n;
	size_t i;

	for (i = 0; i < n; i++) {
		high[i] = fcntl(fds[i], F_DUPFD, end);
		if (high[i] == -1)
			return -1;
	}
	for (i = 0; i < n; i++)
		if (dup2(high[i], FD_FIRST + (int)i) == -1)
			return -1;
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null == -1 || dup2(null, STDIN_FILENO) == -1)
		return -1;
	/* what an old kernel cannot close at once is close-on-exec anyway,
	 * but for the copies above */
	if (close_range((unsigned)end, ~0u, 0) == -1)
		for (i = 0; i < n; i++)
			(void)close(high[i]);
	return 0;
}

static int
limits(bool network)
{
	const struct rlimit none = { 0, 0 };
	struct rlimit files;

	if (setrlimit(RLIMIT_CORE, &none) == -1)
		return -1;
	if (!network)
		return 0;
	if (getrlimit(RLIMIT_NOFILE, &files) == -1)
		return -1;
	if (files.rlim_max < ENGINE_NOFILE && geteuid() == 0)
		files.rlim_max = ENGINE_NOFILE;
	files.rlim_cur =
	    files.rlim_max < ENGINE_NOFILE ? files.rlim_max : ENGINE_NOFILE;
	if (setrlimit(RLIMIT_NOFILE, &files) == 0)
		return 0;
	/* a container may not let root raise it: take what there is */
	if (getrlimit(RLIMIT_NOFILE, &files) == -1)
		return -1;
	files.rlim_cur = files.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &files);
}

/* When memory runs out, who talks to strangers goes first, not what the host is
 * for.  Where that cannot be said, it is as the supervisor is. */
static void
expendable(void)
{
	static const char score[] = "250";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd == -1)
		return;
	n = write(fd, score, sizeof(score) - 1);
	(void)n;
	(void)close(fd);
}

static int
privileges(const struct ids *ids)
{
	unsigned long cap;

	if (ids != NULL) {
		/* ends with EINVAL behind the last one; EPERM where we never
		 * had CAP_SETPCAP, and then no_new_privs alone must do */
		for (cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
			;
		if (setgroups(0, NULL) == -1 ||
		    setresgid(ids->gid, ids->gid, ids->gid) == -1 ||
		    setresuid(ids->uid, ids->uid, ids->uid) == -1)
			return -1;
	}
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* After setresuid(), which clears it. */
static int
die_with_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1)
		return -1;
	if (getppid() != parent)
		_exit(1); /* it was quicker */
	return 0;
}

static int
signals_default(void)
{
	struct sigaction act = { .sa_handler = SIG_DFL };
	sigset_t none;
	int signo;

	(void)sigemptyset(&act.sa_mask);
	/* fails for SIGKILL, SIGSTOP and the C library's own, as it must */
	for (signo = 1; signo < NSIG; signo++)
		(void)sigaction(signo, &act, NULL);
	(void)sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The name of the step that failed, with errno. */
static const char *
prepare(const struct spawn *s, pid_t parent)
{
	(void)umask(077);
	/* a session of its own: the terminal's signals are for the supervisor
	 */
	if (setsid() == -1)
		return "setsid";
	if (signals_default() == -1)
		return "signals";
	if (chdir("/") == -1)
		return "chdir";
	if (limits(s->network) == -1)
		return "limits";
	if (s->network)
		expendable();
	if (privileges(s->ids) == -1)
		return "privileges";
	if (die_with_parent(parent) == -1)
		return "prctl";
	if (descriptors(s->fds, s->n_fds) == -1)
		return "descriptors";
	return NULL;
}

static void
become(const struct spawn *s, pid_t parent, const char *const *envp)
{
	char *argv[] = { NULL, NULL };
	const char *step = prepare(s, parent);

	/* execve(2) takes char *const[] for the history's sake, and only
	 * reads them */
	if (step == NULL) {
		argv[0] = (char *)(uintptr_t)s->argv0;
		(void)execve(s->path, argv, (char *const *)(uintptr_t)envp);
		step = "execute";
	}
	log_error("cannot start a program", KV("program", s->path),
	    KV("step", step), KV("error", strerror(errno)));
	_exit(127);
}

pid_t
spawn(const struct spawn *s, struct err *e)
{
	AUTO(buf_done) struct buf text = BUF_INIT(ENV_MAX);
	const char *envp[ENV_VAR_MAX];
	pid_t pid, parent = getpid();

	if (s->n_fds > SPAWN_FDS_MAX)
		return err_set(e, ERR_LIMIT, 0, "too many descriptors");
	if (environment(s->network, &text, envp, e) == -1)
		return -1;
	pid = proc_fork();
	if (pid == -1)
		return err_set(e, ERR_SYS, errno, "fork");
	if (pid == 0)
		become(s, parent, envp);
	return pid;
}
