/* SPDX-License-Identifier: ISC */
/*
 * The real acmed with an engine and a keeper of ours, which this program is
 * too when it is called by their names: what they are given, how they are
 * started again, reloads, and the end.  Under root with real users.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "lib/io/sock.h"
#include "lib/ipc/ipc.h"
#include "tests/unit/folder.h"

#define PATIENCE_MS 60000

struct head {
	uint32_t type, id, len;
};

/* -- the engine and the keeper ------------------------------------------ */

static void
say(int fd, uint32_t type, const void *body, size_t len)
{
	char packet[4096];
	struct head h = { type, 0, (uint32_t)len };

	memcpy(packet, &h, sizeof(h));
	memcpy(packet + sizeof(h), body, len);
	(void)send(fd, packet, sizeof(h) + len, MSG_NOSIGNAL);
}

static void
hear(int fd, void *out, size_t size)
{
	struct pollfd p = { fd, POLLIN, 0 };

	while (poll(&p, 1, -1) == -1 && errno == EINTR)
		;
	if (recv(fd, out, size, 0) <= 0)
		_exit(0);
}

static void
report_line(struct buf *b, const char *from, const char *key)
{
	AUTO(buf_done) struct buf text = BUF_INIT(1u << 20);
	AUTO(close) int fd = open(from, O_RDONLY | O_CLOEXEC);
	const char *at;

	if (fs_read_fd(fd, &text, NULL) == -1)
		return;
	at = strstr(buf_str(&text), key);
	if (at != NULL)
		buf_add(b, at, strcspn(at, "\n") + 1);
}

static void
report_fds(struct buf *b)
{
	int fd;

	buf_puts(b, "fds");
	for (fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			buf_printf(b, " %d", fd);
	buf_putc(b, '\n');
}

static void
report_env(struct buf *b)
{
	extern char **environ;
	char **v;

	buf_puts(b, "env");
	for (v = environ; *v != NULL; v++)
		buf_printf(b, " %.*s", (int)strcspn(*v, "="), *v);
	buf_putc(b, '\n');
}

static void
report(const struct ipc_start *st, const char *argv0)
{
	struct buf b = BUF_INIT(1u << 16);
	struct rlimit core, files;
	int death = 0;

	(void)getrlimit(RLIMIT_CORE, &core);
	(void)getrlimit(RLIMIT_NOFILE, &files);
	(void)prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0);
	buf_printf(&b, "argv0 %s\n", argv0);
	buf_printf(&b, "version %u listen %u secrets %u separated %u\n",
	    st->version, st->n_listen, st->n_secrets, st->separated);
	buf_printf(&b, "alive %u\n", st->alive_s);
	buf_printf(&b, "uid %u %u gid %u groups %d\n", getuid(), geteuid(),
	    getgid(), getgroups(0, NULL));
	buf_printf(&b, "core %llu files %d death %d session %d umask %03o\n",
	    (unsigned long long)core.rlim_max, files.rlim_cur >= 1024, death,
	    getsid(0) == getpid(), umask(077));
	buf_printf(&b, "sealed %d\n", fs_is_sealed(IPC_FD_CONFIG));
	buf_puts(&b, "oom ");
	report_line(&b, "/proc/self/oom_score_adj", "");
	report_line(&b, "/proc/self/status", "NoNewPrivs");
	report_line(&b, "/proc/self/status", "CapBnd");
	report_line(&b, "/proc/self/status", "CapEff");
	report_fds(&b);
	report_env(&b);
	buf_printf(&b, "pid %d\n", getpid());
	if (fs_replace(IPC_FD_STATE, "report", b.data, b.len, 0600, NULL) == -1)
		_exit(99);
}

static int
child(const char *argv0)
{
	AUTO(buf_done) struct buf how = BUF_INIT(4096);
	struct ipc_empty empty = { 0 };
	struct {
		struct head h;
		struct ipc_start start;
		char more[4096];
	} m;

	(void)fs_read(IPC_FD_STATE, "behave", &how, NULL);
	if (strstr(buf_str(&how), "exit3") != NULL)
		_exit(3);
	hear(IPC_FD_SUPER, &m, sizeof(m));
	report(&m.start, argv0);
	if (strstr(buf_str(&how), "stubborn") != NULL) {
		struct sigaction ignore = { .sa_handler = SIG_IGN };

		(void)sigaction(SIGTERM, &ignore, NULL);
		say(IPC_FD_SUPER, IPC_READY, &empty, sizeof(empty));
		for (;;)
			(void)pause();
	}
	if (strstr(buf_str(&how), "garbage") != NULL)
		say(IPC_FD_SUPER, IPC_INSTALL, "x", 1);
	else
		say(IPC_FD_SUPER, IPC_READY, &empty, sizeof(empty));
	for (;;)
		hear(IPC_FD_SUPER, &m, sizeof(m));
}

/* -- the test ------------------------------------------------------------ */

static char dir[64], conf_path[96], notify_path[96];
static int notify_fd, log_fd;
static pid_t acmed;
static struct buf seen; /* of the log */

static const char *
our_address(void)
{
	static char out[SOCK_ADDR_MAX];
	unsigned pid = (unsigned)getpid();

	(void)snprintf(out, sizeof(out), "127.%u.%u.%u:8080",
	    1 + (pid >> 16) % 254, pid >> 8 & 255, pid & 255);
	return out;
}

static void
write_file(const char *sub, const char *name, const char *text, mode_t mode)
{
	char path[128];
	struct err e;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, sub);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_not_equal(fd, -1);
	if (fs_replace(fd, name, text, strlen(text), mode, &e) == -1)
		fail_msg("%s", e.what);
	(void)close(fd);
}

static void
write_conf(const char *more)
{
	char text[2048];
	int n = snprintf(text, sizeof(text),
	    "email: a@example.org\nagree-tos: true\nstate-dir: %s/st\n"
	    "http: {listen: [\"%s\"]}\ncontrol: {socket: %s/run/sock}\n"
	    "%s\n%s\ndomains: [example.org]\n",
	    dir, our_address(), dir,
	    geteuid() == 0 ? "user: daemon\nkeeper-user: nobody" : "", more);

	assert_true(n > 0 && (size_t)n < sizeof(text));
	write_file("", "acmed.yaml", text, 0600);
}

static void
copy_to(const char *from, const char *name)
{
	AUTO(buf_done) struct buf data = BUF_INIT(256u << 20);
	AUTO(close) int fd = open(from, O_RDONLY | O_CLOEXEC);
	AUTO(close) int to = -1;
	char path[128];

	if (fs_read_fd(fd, &data, NULL) == -1)
		fail_msg("%s: %s", from, strerror(errno));
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	assert_int_equal(write(to, data.data, data.len), data.len);
}

static int
begin(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	(void)state;
	folder_new(dir, sizeof(dir), "life");
	assert_int_equal(chmod(dir, 0755), 0);
	(void)snprintf(conf_path, sizeof(conf_path), "%s/acmed.yaml", dir);
	(void)snprintf(notify_path, sizeof(notify_path), "%s/notify", dir);
	memcpy(un.sun_path, notify_path, strlen(notify_path));
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
	    bind(notify_fd, (const struct sockaddr *)&un, sizeof(un)), 0);
	copy_to(BINARY_DIR "/acmed", "acmed");
	copy_to("/proc/self/exe", "acmed-engine");
	copy_to("/proc/self/exe", "acmed-keeper");
	write_conf("");
	acmed = 0;
	log_fd = -1;
	seen = BUF_INIT(1u << 20);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	if (acmed != 0) {
		(void)kill(acmed, SIGKILL);
		(void)waitpid(acmed, NULL, 0);
	}
	close_p(&log_fd);
	(void)close(notify_fd);
	buf_done(&seen);
	return folder_remove(dir);
}

/* Run acmed with these arguments; given: sockets that systemd would pass. */
static pid_t
run(const char *const *args, const int *given, int n_given, int *out)
{
	char path[128], number[24];
	int i, pipes[2];
	pid_t pid;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	(void)snprintf(path, sizeof(path), "%s/acmed", dir);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		(void)dup2(pipes[1], 1);
		(void)dup2(pipes[1], 2);
		(void)setenv("NOTIFY_SOCKET", notify_path, 1);
		(void)setenv("https_proxy", "http://proxy.example:3128", 1);
		(void)setenv("ACMED_TEST_LEAK", "1", 1);
		for (i = 0; i < n_given; i++)
			(void)dup2(given[i], 3 + i);
		if (n_given > 0) {
			(void)snprintf(number, sizeof(number), "%d", getpid());
			(void)setenv("LISTEN_PID", number, 1);
			(void)snprintf(number, sizeof(number), "%d", n_given);
			(void)setenv("LISTEN_FDS", number, 1);
		}
		(void)execv(path, (char *const *)(uintptr_t)args);
		_exit(126);
	}
	(void)close(pipes[1]);
	*out = pipes[0];
	return pid;
}

static void
start(void)
{
	const char *const args[] = { "acmed", "-c", conf_path, NULL };

	acmed = run(args, NULL, 0, &log_fd);
}

/* One more piece of the log; false at its end. */
static bool
read_log(void)
{
	struct pollfd p = { log_fd, POLLIN, 0 };
	char chunk[4096];
	ssize_t n;

	if (poll(&p, 1, PATIENCE_MS) != 1)
		fail_msg("no more log after: %s", buf_str(&seen));
	n = read(log_fd, chunk, sizeof(chunk));
	if (n > 0)
		buf_add(&seen, chunk, (size_t)n);
	return n > 0;
}

static void
wait_log(const char *text)
{
	while (strstr(buf_str(&seen), text) == NULL)
		if (!read_log())
			fail_msg("no \"%s\" in: %s", text, buf_str(&seen));
}

static void
wait_notify(const char *text)
{
	struct pollfd p = { notify_fd, POLLIN, 0 };
	char have[2048];
	ssize_t n;

	for (;;) {
		if (poll(&p, 1, PATIENCE_MS) != 1) {
			(void)fcntl(log_fd, F_SETFL, O_NONBLOCK);
			(void)read_log();
			fail_msg("no %s: %s", text, buf_str(&seen));
		}
		n = recv(notify_fd, have, sizeof(have) - 1, 0);
		assert_true(n > 0);
		have[n] = '\0';
		if (strncmp(have, text, strlen(text)) == 0)
			return;
	}
}

static int
wait_exit(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (pid == acmed)
		acmed = 0;
	if (!WIFEXITED(status))
		return -WTERMSIG(status);
	return WEXITSTATUS(status);
}

static char *
report_of(const char *who)
{
	struct buf text = BUF_INIT(1u << 16);
	char path[128];
	struct err e;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/st/%s", dir, who);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_not_equal(fd, -1);
	if (fs_read(fd, "report", &text, &e) == -1)
		fail_msg("%s", e.what);
	(void)close(fd);
	return buf_take(&text);
}

static pid_t
pid_of(const char *who)
{
	AUTO(free) char *text = report_of(who);
	const char *at = strstr(text, "\npid ");
	uint64_t pid;

	assert_non_null(at);
	text[strlen(text) - 1] = '\0';
	assert_int_equal(str_u64(at + 5, 2, INT32_MAX, &pid), 0);
	return (pid_t)pid;
}

static void
has_line(const char *text, const char *line)
{
	char want[256];

	(void)snprintf(want, sizeof(want), "\n%s\n", line);
	if (strstr(text, want) == NULL)
		fail_msg("no \"%s\" in:\n%s", line, text);
}

static void
behave(const char *who, const char *how)
{
	char sub[32];

	(void)snprintf(sub, sizeof(sub), "st/%s", who);
	write_file(sub, "behave", how, 0644);
}

static void
stop(void)
{
	(void)kill(acmed, SIGTERM);
	wait_notify("STOPPING=1");
	assert_int_equal(wait_exit(acmed), 0);
}

static void
id_line(const char *user, char *out, size_t size)
{
	const struct passwd *pw = getpwnam(user);

	if (geteuid() != 0) {
		(void)snprintf(out, size, "uid %u %u gid %u groups %d",
		    getuid(), getuid(), getgid(), getgroups(0, NULL));
		return;
	}
	assert_non_null(pw);
	(void)snprintf(out, size, "uid %u %u gid %u groups 0", pw->pw_uid,
	    pw->pw_uid, pw->pw_gid);
}

/* Everything that a child is given, and nothing else. */
static void
given(void **state)
{
	bool root = geteuid() == 0;
	AUTO(free) char *engine = NULL;
	AUTO(free) char *keeper = NULL;
	char want[128];

	(void)state;
	start();
	wait_notify("READY=1");
	engine = report_of("engine");
	keeper = report_of("keeper");
	assert_int_equal(strncmp(engine, "argv0 acmed-engine\n", 19), 0);
	assert_int_equal(strncmp(keeper, "argv0 acmed-keeper\n", 19), 0);
	(void)snprintf(want, sizeof(want),
	    "version %u listen 1 secrets 0 separated %d", IPC_VERSION, root);
	has_line(engine, want);
	(void)snprintf(want, sizeof(want),
	    "version %u listen 0 secrets 0 separated %d", IPC_VERSION, root);
	has_line(keeper, want);
	id_line("daemon", want, sizeof(want));
	has_line(engine, want);
	id_line("nobody", want, sizeof(want));
	has_line(keeper, want);
	has_line(engine, "core 0 files 1 death 9 session 1 umask 077");
	has_line(keeper, "core 0 files 1 death 9 session 1 umask 077");
	has_line(engine, "alive 300");
	has_line(engine, "sealed 1");
	has_line(engine, "oom 250");
	assert_null(strstr(keeper, "oom 250"));
	has_line(engine, "NoNewPrivs:\t1");
	has_line(keeper, "NoNewPrivs:\t1");
	has_line(engine, "fds 0 1 2 3 4 5 6 7 8");
	has_line(keeper, "fds 0 1 2 3 4 5 6");
	if (root) {
		has_line(engine, "CapBnd:\t0000000000000000");
		has_line(keeper, "CapBnd:\t0000000000000000");
		has_line(keeper, "CapEff:\t0000000000000000");
	}
	assert_non_null(strstr(engine, " https_proxy"));
	assert_null(strstr(keeper, " https_proxy"));
	assert_null(strstr(engine, "LEAK"));
	assert_null(strstr(engine, "NOTIFY_SOCKET"));
	assert_non_null(strstr(engine, "\nenv PATH"));
	if (!root)
		wait_log("no separation");
	stop();
	(void)snprintf(want, sizeof(want), "%s/run/sock", dir);
	assert_int_equal(access(want, F_OK), -1);
	/* the log ends because nobody is left to write it */
	while (read_log())
		;
}

static void
secrets(void **state)
{
	AUTO(free) char *keeper = NULL;
	char more[512];

	(void)state;
	write_file("", "hmac", "c2VjcmV0", 0644);
	(void)snprintf(more, sizeof(more),
	    "ca: {x: {directory: \"https://x.example/d\", "
	    "eab: {kid: a, hmac-file: %s/hmac}}}\ndefaults: {ca: x}",
	    dir);
	write_conf(more);
	start();
	assert_int_equal(wait_exit(acmed), 2);
	wait_notify("STATUS=not started: ");
	wait_log("/hmac: everybody may read this secret: chmod 600 /");
	(void)close(log_fd);
	buf_reset(&seen);
	write_file("", "hmac", "c2VjcmV0", 0600);
	start();
	wait_notify("READY=1");
	keeper = report_of("keeper");
	assert_non_null(strstr(keeper, " listen 0 secrets 1 "));
	has_line(keeper, "fds 0 1 2 3 4 5 6 7");
	stop();
}

static void
restarted(void **state)
{
	pid_t engine, keeper;

	(void)state;
	start();
	wait_notify("READY=1");
	engine = pid_of("engine");
	keeper = pid_of("keeper");
	assert_int_equal(kill(engine, SIGKILL), 0);
	wait_notify("READY=1");
	wait_log("killed by signal 9");
	assert_int_not_equal(pid_of("engine"), engine);
	assert_int_not_equal(pid_of("keeper"), keeper);
	keeper = pid_of("keeper");
	assert_int_equal(kill(keeper, SIGSEGV), 0);
	wait_notify("READY=1");
	assert_int_not_equal(pid_of("keeper"), keeper);
	stop();
}

static void
breach(void **state)
{
	(void)state;
	start();
	wait_notify("READY=1");
	behave("engine", "garbage");
	assert_int_equal(kill(pid_of("engine"), SIGKILL), 0);
	wait_log("how=\"install: 1 bytes instead of ");
	behave("engine", "ready");
	wait_notify("READY=1");
	behave("keeper", "garbage");
	assert_int_equal(kill(pid_of("engine"), SIGKILL), 0);
	wait_log("how=\"message type 3 is not for us\"");
	behave("keeper", "");
	wait_notify("READY=1");
	stop();
}

static void
backoff(void **state)
{
	(void)state;
	start();
	wait_notify("READY=1");
	behave("engine", "exit3");
	assert_int_equal(kill(pid_of("engine"), SIGKILL), 0);
	wait_log("in_ms=100");
	wait_log("in_ms=200");
	wait_log("in_ms=400");
	wait_log("in_ms=800");
	assert_non_null(strstr(buf_str(&seen), "how=\"exit status 3\""));
	/* a reload does not wait for the end of it */
	behave("engine", "");
	(void)kill(acmed, SIGHUP);
	wait_notify("READY=1");
	stop();
}

static int
try_connect(void)
{
	unsigned pid = (unsigned)getpid();
	struct sockaddr_in in = { .sin_family = AF_INET };
	AUTO(close) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_port = htons(8080);
	in.sin_addr.s_addr = htonl(127u << 24 | (1 + (pid >> 16) % 254) << 16 |
				   (pid >> 8 & 255) << 8 | (pid & 255));
	return connect(fd, (const struct sockaddr *)&in, sizeof(in));
}

static void
reloaded(void **state)
{
	pid_t engine;
	int i;

	(void)state;
	start();
	wait_notify("READY=1");
	engine = pid_of("engine");
	assert_int_equal(try_connect(), 0);
	(void)kill(acmed, SIGHUP);
	/* nobody is refused meanwhile */
	for (i = 0; i < 200; i++)
		assert_int_equal(try_connect(), 0);
	wait_notify("RELOADING=1\nMONOTONIC_USEC=");
	wait_notify("READY=1");
	assert_int_not_equal(pid_of("engine"), engine);
	engine = pid_of("engine");
	write_file("", "acmed.yaml", "agree-tos: true\ndomians: []\n", 0600);
	(void)kill(acmed, SIGHUP);
	wait_notify("RELOADING=1");
	wait_notify("READY=1\nSTATUS=reload failed: ");
	wait_log("acmed.yaml:2:1: ");
	assert_int_equal(pid_of("engine"), engine);
	assert_int_equal(kill(engine, 0), 0);
	stop();
}

static void
new_does_not_start(void **state)
{
	(void)state;
	start();
	wait_notify("READY=1");
	behave("engine", "exit3");
	(void)kill(acmed, SIGHUP);
	wait_notify("RELOADING=1");
	wait_notify("READY=1\nSTATUS=reloaded, but the engine does not start");
	stop();
}

static void
second_instance(void **state)
{
	const char *const args[] = { "acmed", "-c", conf_path, NULL };
	int out;
	pid_t pid;

	(void)state;
	start();
	wait_notify("READY=1");
	pid = run(args, NULL, 0, &out);
	assert_int_equal(wait_exit(pid), 1);
	wait_notify("STATUS=cannot run: another acmed uses ");
	(void)close(log_fd);
	log_fd = out;
	wait_log("another acmed uses ");
	stop();
}

static void
stubborn(void **state)
{
	pid_t engine;

	(void)state;
	start();
	wait_notify("READY=1");
	behave("engine", "stubborn");
	assert_int_equal(kill(pid_of("keeper"), SIGKILL), 0);
	wait_notify("READY=1");
	engine = pid_of("engine");
	(void)kill(acmed, SIGINT);
	wait_notify("STOPPING=1");
	assert_int_equal(kill(engine, 0), 0);
	(void)kill(acmed, SIGINT); /* impatient */
	assert_int_equal(wait_exit(acmed), 0);
	while (read_log())
		;
}

/* Our engine never says ALIVE. */
static void
hangs(void **state)
{
	(void)state;
	assert_int_equal(setenv("WATCHDOG_USEC", "3000000", 1), 0);
	start();
	(void)unsetenv("WATCHDOG_USEC");
	wait_notify("READY=1");
	wait_notify("WATCHDOG=1");
	wait_log("how=\"it hangs\"");
	wait_log("program=engine");
	wait_notify("READY=1");
	stop();
}

static void
orphans(void **state)
{
	(void)state;
	start();
	wait_notify("READY=1");
	behave("engine", "stubborn");
	assert_int_equal(kill(pid_of("keeper"), SIGKILL), 0);
	wait_notify("READY=1");
	(void)kill(acmed, SIGKILL);
	assert_int_equal(wait_exit(acmed), -SIGKILL);
	/* both hold the log open: they are gone when it ends */
	while (read_log())
		;
}

static void
activated(void **state)
{
	const char *const args[] = { "acmed", "-c", conf_path, NULL };
	AUTO(free) char *engine = NULL;
	int fds[2];
	char path[128];
	struct err e;

	(void)state;
	fds[0] = sock_listen("127.0.0.1:0", &e);
	(void)snprintf(path, sizeof(path), "%s/given", dir);
	fds[1] = sock_listen_unix(path, 0666, (gid_t)-1, &e);
	assert_int_not_equal(fds[0], -1);
	assert_int_not_equal(fds[1], -1);
	acmed = run(args, fds, 2, &log_fd);
	(void)close(fds[0]);
	(void)close(fds[1]);
	wait_notify("READY=1");
	engine = report_of("engine");
	has_line(engine, "fds 0 1 2 3 4 5 6 7 8");
	assert_null(strstr(engine, "LISTEN_FDS"));
	assert_int_equal(try_connect(), -1); /* not bound: one was given */
	(void)kill(acmed, SIGHUP);
	wait_notify("RELOADING=1");
	wait_notify("READY=1");
	stop();
	assert_int_equal(access(path, F_OK), 0);
}

static void
run_and_see(const char *const *args, int status, const char *text)
{
	int out;
	pid_t pid;

	pid = run(args, NULL, 0, &out);
	close_p(&log_fd);
	log_fd = out;
	buf_reset(&seen);
	while (read_log())
		;
	assert_int_equal(wait_exit(pid), status);
	if (strstr(buf_str(&seen), text) == NULL)
		fail_msg("%s, want %s", buf_str(&seen), text);
}

static void
options(void **state)
{
	const char *const version[] = { "acmed", "-V", NULL };
	const char *const help[] = { "acmed", "-h", NULL };
	const char *const wrong[] = { "acmed", "-x", NULL };
	const char *const extra[] = { "acmed", "start", NULL };
	const char *const check[] = { "acmed", "-c", conf_path, "-t", NULL };
	const char *const print[] = { "acmed", "-T", "-c", conf_path, NULL };
	const char *const none[] = { "acmed", "-tc", "/nonexistent", NULL };
	char want[160];

	(void)state;
	run_and_see(version, 0, "acmed " ACMED_VERSION "\n");
	run_and_see(help, 0, "usage: acmed [-hTtVv] [-c file]\n");
	run_and_see(wrong, 2, "usage: acmed");
	run_and_see(extra, 2, "usage: acmed");
	(void)snprintf(
	    want, sizeof(want), "%s: ok (1 certificate, 2 CAs)\n", conf_path);
	run_and_see(check, 0, want);
	run_and_see(print, 0, "names: [example.org]\n");
	run_and_see(none, 1, "/nonexistent");
	write_conf("wrong: 1\nwronger: 2");
	run_and_see(check, 1, "wronger");
	assert_non_null(strstr(buf_str(&seen), "`wrong`"));
	run_and_see(print, 1, "wronger");
}

int
main(int argc, char **argv)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = { T(given), T(secrets), T(restarted),
		T(breach), T(backoff), T(reloaded), T(new_does_not_start),
		T(second_instance), T(stubborn), T(hangs), T(orphans),
		T(activated), T(options) };

	if (argc == 1 && strncmp(argv[0], "acmed-", 6) == 0)
		return child(argv[0]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
