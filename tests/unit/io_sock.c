/* SPDX-License-Identifier: ISC */
/* Listening, replacing stale sockets, inheriting, and who is at the end. */

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/cleanup.h"
#include "lib/io/sock.h"

static char dir[] = "/tmp/acmed-sock-XXXXXX";
static char path[64];

static int
make_dir(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir);
}

static int
connect_unix(const char *to)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", to);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static void
test_listen_v4(void **state)
{
	AUTO(close) int fd = -1;
	AUTO(close) int second = -1;
	char name[SOCK_ADDR_MAX];
	struct err e;

	(void)state;
	fd = sock_listen("127.0.0.1:0", &e);
	assert_int_not_equal(fd, -1);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(accept(fd, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(sock_name(fd, name, &e), 0);
	assert_memory_equal(name, "127.0.0.1:", 10);
	assert_string_not_equal(name, "127.0.0.1:0");
	assert_false(sock_is_unix(fd));

	second = sock_listen(name, &e);
	assert_int_equal(second, -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.num, EADDRINUSE);
	assert_memory_equal(e.what, "listen on 127.0.0.1:", 20);
	assert_non_null(strstr(e.what,
	    ": Address already in use (`ss -ltnp` says who has it; "
	    "acmed.yaml(5) shows how a web server can keep it)"));
	assert_int_equal(sock_listen(name, NULL), -1); /* nobody asks why */
}

static void
test_listen_v6(void **state)
{
	AUTO(close) int four = -1;
	AUTO(close) int six = -1;
	char name[SOCK_ADDR_MAX], both[SOCK_ADDR_MAX + 8];
	struct err e;

	(void)state;
	six = sock_listen("[::]:0", &e);
	if (six == -1 && e.num == EAFNOSUPPORT) {
		assert_non_null(strstr(e.what, "(is IPv6 turned off?)"));
		skip();
	}
	assert_int_not_equal(six, -1);
	assert_int_equal(sock_name(six, name, &e), 0);
	assert_memory_equal(name, "[::]:", 5);
	/* V6ONLY: the same port is free for the other family. */
	(void)snprintf(both, sizeof(both), "0.0.0.0:%s", name + 5);
	four = sock_listen(both, &e);
	assert_int_not_equal(four, -1);
	assert_int_equal(sock_name(four, name, &e), 0);
	assert_string_equal(name, both);
}

static void
test_listen_nonsense(void **state)
{
	static const char *const bad[] = {
		"", "80", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
		"127.0.0.1:-1", "127.0.0.1:80 ", "localhost:80", "::1:80",
		"[::1]80", "[]:80", "[:80", "[127.0.0.1]:80", "[::1:80",
		"127.0.0.1000000000000000000000000000000000000000000000000:80"
	};
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(bad); i++) {
		assert_int_equal(sock_listen(bad[i], &e), -1);
		assert_int_equal(e.kind, ERR_CONFIG);
		assert_non_null(strstr(e.what, "not \"1.2.3.4:80\""));
	}
	/* 192.0.2.0/24 is for documentation: no host has it. */
	assert_int_equal(sock_listen("192.0.2.1:0", &e), -1);
	assert_int_equal(e.num, EADDRNOTAVAIL);
	assert_non_null(strstr(e.what, "(no interface has this address)"));
}

static void
test_unix(void **state)
{
	AUTO(close) int fd = -1;
	AUTO(close) int c = -1;
	AUTO(close) int s = -1;
	char name[SOCK_ADDR_MAX];
	struct sock_peer p;
	struct stat st;
	struct err e;

	(void)state;
	fd = sock_listen_unix(path, 0640, (gid_t)-1, &e);
	assert_int_not_equal(fd, -1);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(sock_is_unix(fd));
	assert_int_equal(sock_name(fd, name, &e), 0);
	assert_string_equal(name, path);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);

	c = connect_unix(path);
	assert_int_not_equal(c, -1);
	s = accept(fd, NULL, NULL);
	assert_int_equal(sock_peer(s, &p, &e), 0);
	assert_int_equal(p.pid, getpid());
	assert_int_equal(p.uid, geteuid());
	assert_int_equal(p.gid, getegid());
	assert_int_equal(sock_name(c, name, &e), 0);
	assert_string_equal(name, "");

	/* Alive: refused, and not removed. */
	assert_int_equal(sock_listen_unix(path, 0600, (gid_t)-1, &e), -1);
	assert_int_equal(e.num, EADDRINUSE);
	assert_non_null(strstr(e.what, "program, answers there"));
	assert_int_equal(lstat(path, &st), 0);
}

static void
test_unix_stale(void **state)
{
	struct stat st;
	struct err e;
	mode_t old;
	int fd, c;

	(void)state;
	fd = sock_listen_unix(path, 0600, (gid_t)-1, &e);
	assert_int_not_equal(fd, -1);
	(void)close(fd);   /* as a crash leaves it */
	old = umask(0177); /* which must not matter */
	fd = sock_listen_unix(path, 0666, getegid(), &e);
	assert_int_equal(umask(old), 0177);
	assert_int_not_equal(fd, -1);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	assert_int_equal(st.st_gid, getegid());
	c = connect_unix(path);
	assert_int_not_equal(c, -1);
	(void)close(c);
	(void)close(fd);
}

static void
test_unix_group(void **state)
{
	struct stat st;
	struct err e;
	int fd;

	(void)state;
	if (geteuid() != 0) {
		print_message("not root: nothing can be given to a group\n");
		skip();
	}
	fd = sock_listen_unix(path, 0660, 4242, &e);
	assert_int_not_equal(fd, -1);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_gid, 4242);
	assert_int_equal(st.st_mode & 07777, 0660);
	(void)close(fd);
}

static void
test_unix_refused(void **state)
{
	char longer[200];
	struct stat st;
	struct err e;
	int fd;

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(sock_listen_unix(longer, 0600, (gid_t)-1, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_non_null(strstr(e.what, "1 to 107 bytes"));
	assert_int_equal(sock_listen_unix("", 0600, (gid_t)-1, &e), -1);
	assert_int_equal(
	    sock_listen_unix("/no/such/folder/s", 0600, (gid_t)-1, &e), -1);
	assert_int_equal(e.num, ENOENT);

	/* Somebody's file is not a stale socket. */
	(void)unlink(path);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	(void)close(fd);
	assert_int_equal(sock_listen_unix(path, 0600, (gid_t)-1, &e), -1);
	assert_non_null(strstr(e.what, "this is not a socket"));
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	(void)unlink(path);
	/* Nor is a link to one. */
	assert_int_equal(symlink("/dev/log", path), 0);
	assert_int_equal(sock_listen_unix(path, 0600, (gid_t)-1, &e), -1);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	(void)unlink(path);
}

static void
test_name_abstract(void **state)
{
	AUTO(close) int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char name[SOCK_ADDR_MAX], want[SOCK_ADDR_MAX];
	socklen_t len;
	struct err e;
	int null = open("/dev/null", O_RDONLY);

	(void)state;
	(void)snprintf(want, sizeof(want), "@acmed-test-%d", (int)getpid());
	memcpy(un.sun_path, want, strlen(want));
	un.sun_path[0] = '\0';
	len =
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(want));
	assert_int_equal(bind(fd, (struct sockaddr *)&un, len), 0);
	assert_int_equal(sock_name(fd, name, &e), 0);
	assert_string_equal(name, want);
	assert_int_equal(sock_name(null, name, &e), -1);
	assert_int_equal(e.num, ENOTSOCK);
	assert_false(sock_is_unix(null));
	(void)close(null);
}

static void
test_inherited(void **state)
{
	char pid[16];
	pid_t child;
	int status;

	(void)state;
	assert_int_equal(setenv("LISTEN_FDS", "2", 1), 0);
	assert_int_equal(setenv("LISTEN_PID", "1", 1), 0);
	assert_int_equal(sock_inherited(), 0); /* for somebody else */
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_PID"));
	assert_int_equal(sock_inherited(), 0);

	child = fork();
	if (child == 0) {
		(void)dup2(1, 3);
		(void)dup2(1, 4);
		(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
		(void)setenv("LISTEN_PID", pid, 1);
		(void)setenv("LISTEN_FDS", "2", 1);
		(void)setenv("LISTEN_FDNAMES", "http:control", 1);
		if (sock_inherited() != 2 || getenv("LISTEN_PID") != NULL ||
		    getenv("LISTEN_FDNAMES") != NULL ||
		    fcntl(3, F_GETFD) != FD_CLOEXEC ||
		    fcntl(4, F_GETFD) != FD_CLOEXEC)
			_exit(1);
		/* Promised, but not there. */
		(void)setenv("LISTEN_PID", pid, 1);
		(void)setenv("LISTEN_FDS", "2", 1);
		(void)close(4);
		if (sock_inherited() != 0)
			_exit(2);
		(void)setenv("LISTEN_PID", pid, 1);
		(void)setenv("LISTEN_FDS", "2000000000", 1);
		_exit(sock_inherited() == 0 ? 0 : 3);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void
test_peer_groups(void **state)
{
	static const gid_t groups[] = { 4001, 4002 };
	pid_t child;
	struct err e;
	int listener, status, s;

	(void)state;
	if (geteuid() != 0) {
		print_message("not root: no other groups to be in\n");
		skip();
	}
	(void)unlink(path);
	assert_int_equal(chmod(dir, 0755), 0);
	listener = sock_listen_unix(path, 0666, (gid_t)-1, &e);
	assert_int_not_equal(listener, -1);
	assert_int_equal(fcntl(listener, F_SETFL, 0), 0);
	child = fork();
	if (child == 0) {
		char byte;
		int c;

		if (setgroups(NELEM(groups), groups) == -1 ||
		    setgid(4000) == -1 || setuid(4000) == -1 ||
		    (c = connect_unix(path)) == -1)
			_exit(1);
		_exit(read(c, &byte, 1) == 1 ? 0 : 2);
	}
	s = accept(listener, NULL, NULL);
	assert_int_not_equal(s, -1);
	assert_true(sock_peer_in_group(s, 4000));
	assert_true(sock_peer_in_group(s, 4001));
	assert_true(sock_peer_in_group(s, 4002));
	assert_false(sock_peer_in_group(s, 4003));
	assert_false(sock_peer_in_group(s, 0));
	assert_false(sock_peer_in_group(s, (gid_t)-1));
	assert_int_equal(write(s, "x", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	(void)close(s);
	(void)close(listener);
}

static void
test_peer_of_tcp(void **state)
{
	AUTO(close) int fd = sock_listen("127.0.0.1:0", NULL);
	struct sock_peer p;
	struct err e;

	(void)state;
	assert_int_equal(sock_peer(fd, &p, &e), -1);
	assert_int_equal(e.num, ENOTCONN);
	assert_false(sock_peer_in_group(fd, getegid()));
}

static void
notified(const char *env, const struct sockaddr_un *un, socklen_t len)
{
	AUTO(close) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	char got[64] = { 0 };

	assert_int_equal(bind(fd, (const struct sockaddr *)un, len), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", env, 1), 0);
	sock_notify("READY=1\nSTATUS=all well");
	assert_int_equal(recv(fd, got, sizeof(got) - 1, 0), 23);
	assert_string_equal(got, "READY=1\nSTATUS=all well");
}

static void
test_notify(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char name[64];

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	sock_notify("READY=1");
	setenv("NOTIFY_SOCKET", "/no/such/socket", 1);
	sock_notify("READY=1");
	setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
	sock_notify("READY=1");

	(void)unlink(path);
	memcpy(un.sun_path, path, strlen(path) + 1);
	notified(path, &un, sizeof(un));

	(void)snprintf(name, sizeof(name), "@acmed-notify-%d", (int)getpid());
	memset(un.sun_path, 0, sizeof(un.sun_path));
	memcpy(un.sun_path + 1, name + 1, strlen(name) - 1);
	notified(name, &un,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name)));
	unsetenv("NOTIFY_SOCKET");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listen_v4),
		cmocka_unit_test(test_listen_v6),
		cmocka_unit_test(test_listen_nonsense),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_unix_stale),
		cmocka_unit_test(test_unix_group),
		cmocka_unit_test(test_unix_refused),
		cmocka_unit_test(test_name_abstract),
		cmocka_unit_test(test_inherited),
		cmocka_unit_test(test_peer_groups),
		cmocka_unit_test(test_peer_of_tcp),
		cmocka_unit_test(test_notify),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
