/* SPDX-License-Identifier: ISC */
/*
 * Makes, names and questions sockets, and talks to systemd about them.  What
 * travels through them is the business of others.
 */

#include "lib/io/sock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/str.h"

#define BACKLOG         4096
#define INHERITED_FIRST 3
#define INHERITED_MAX   64

union addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	struct sockaddr_storage storage;
};

/* What an errno of bind(2) or listen(2) usually means for a person. */
static const char *
listen_hint(int num)
{
	/* clang-format off */
	static const struct {
		int num;
		const char *hint;
	} hints[] = {
		{ EADDRINUSE,    " (`ss -ltnp` says who has it; acmed.yaml(5) shows "
				 "how a web server can keep it)" },
		{ EACCES,        " (ports below 1024 need root)" },
		{ EADDRNOTAVAIL, " (no interface has this address)" },
		{ EAFNOSUPPORT,  " (is IPv6 turned off?)" },
	};
	/* clang-format on */
	size_t i;

	for (i = 0; i < NELEM(hints); i++)
		if (hints[i].num == num)
			return hints[i].hint;
	return "";
}

static int
listen_failed(const char *addr, int num, struct err *e)
{
	size_t used, room, n;
	const char *hint = listen_hint(num);

	(void)err_set(e, ERR_SYS, num, "listen on %s", addr);
	if (e == NULL)
		return -1;
	used = strlen(e->what);
	room = sizeof(e->what) - used - 1;
	n = strlen(hint);
	if (n <= room)
		memcpy(e->what + used, hint, n + 1);
	return -1;
}

/* "host:port" or "[host]:port" in two; the host must be an address. */
static int
parse_addr(const char *s, union addr *a, socklen_t *len)
{
	const char *colon = strrchr(s, ':');
	char host[INET6_ADDRSTRLEN];
	bool bracket = s[0] == '[';
	uint64_t port;
	size_t n;

	if (colon == NULL || str_u64(colon + 1, 0, UINT16_MAX, &port) == -1)
		return -1;
	n = (size_t)(colon - s);
	if (bracket) {
		if (n < 2 || colon[-1] != ']')
			return -1;
		s++;
		n -= 2;
	}
	if (n >= sizeof(host))
		return -1;
	memcpy(host, s, n);
	host[n] = '\0';

	*a = (union addr){ 0 };
	if (bracket) {
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons((uint16_t)port);
		*len = sizeof(a->in6);
		return inet_pton(AF_INET6, host, &a->in6.sin6_addr) == 1 ? 0
									 : -1;
	}
	a->in.sin_family = AF_INET;
	a->in.sin_port = htons((uint16_t)port);
	*len = sizeof(a->in);
	return inet_pton(AF_INET, host, &a->in.sin_addr) == 1 ? 0 : -1;
}

int
sock_listen(const char *addr, struct err *e)
{
	AUTO(close) int fd = -1;
	union addr a;
	socklen_t len;
	int on = 1;

	if (parse_addr(addr, &a, &len) == -1)
		return err_set(e, ERR_CONFIG, 0,
		    "listen on %s: not \"1.2.3.4:80\" or \"[::]:80\"", addr);
	fd = socket(
	    a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return listen_failed(addr, errno, e);
	/* V6ONLY: "[::]:80" and "0.0.0.0:80" are two sockets everywhere. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    (a.sa.sa_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) ==
		    -1) ||
	    bind(fd, &a.sa, len) == -1 || listen(fd, BACKLOG) == -1)
		return listen_failed(addr, errno, e);
	return take_fd(&fd);
}

static int
unix_addr(const char *path, struct sockaddr_un *un, struct err *e)
{
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(un->sun_path))
		return err_set(e, ERR_CONFIG, 0,
		    "%s: the path of a socket has 1 to %zu bytes", path,
		    sizeof(un->sun_path) - 1);
	*un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(un->sun_path, path, len + 1);
	return 0;
}

/* Make room for a socket at path, unless somebody answers there. */
static int
remove_stale(const struct sockaddr_un *un, struct err *e)
{
	const char *path = un->sun_path;
	AUTO(close) int fd = -1;
	struct stat st;

	if (lstat(path, &st) == -1) {
		if (errno == ENOENT)
			return 0;
		return err_set(e, ERR_SYS, errno, "listen on %s", path);
	}
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, ERR_SYS, EEXIST,
		    "listen on %s: this is not a socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return err_set(e, ERR_SYS, errno, "socket");
	if (connect(fd, (const struct sockaddr *)un, sizeof(*un)) == 0 ||
	    errno == EAGAIN)
		return err_set(e, ERR_SYS, EADDRINUSE,
		    "listen on %s: another acmed, or some other program, "
		    "answers there",
		    path);
	if (errno != ECONNREFUSED)
		return err_set(e, ERR_SYS, errno, "try %s", path);
	if (unlink(path) == -1)
		return err_set(e, ERR_SYS, errno, "remove stale %s", path);
	return 0;
}

int
sock_listen_unix(const char *path, mode_t mode, gid_t gid, struct err *e)
{
	AUTO(close) int fd = -1;
	struct sockaddr_un un;
	mode_t old;
	int r;

	if (unix_addr(path, &un, e) == -1 || remove_stale(&un, e) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return err_set(e, ERR_SYS, errno, "socket");
	old = umask(~mode & 0777);
	r = bind(fd, (const struct sockaddr *)&un, sizeof(un));
	(void)umask(old);
	if (r == -1)
		return err_set(e, ERR_SYS, errno, "listen on %s", path);
	/* Nobody can connect before listen(), so the group is never wrong. */
	if ((gid != (gid_t)-1 && fchownat(AT_FDCWD, path, (uid_t)-1, gid,
				     AT_SYMLINK_NOFOLLOW) == -1) ||
	    listen(fd, BACKLOG) == -1) {
		(void)err_set(e, ERR_SYS, errno, "listen on %s", path);
		(void)unlink(path);
		return -1;
	}
	return take_fd(&fd);
}

static int
unix_name(const struct sockaddr_un *un, socklen_t len, char out[SOCK_ADDR_MAX])
{
	size_t n = 0;

	if (len > offsetof(struct sockaddr_un, sun_path))
		n = len - offsetof(struct sockaddr_un, sun_path);
	if (n > 0 && un->sun_path[0] != '\0')
		n = strnlen(un->sun_path, n);
	memcpy(out, un->sun_path, n);
	out[n] = '\0';
	if (n > 0 && out[0] == '\0')
		out[0] = '@'; /* as ss(8) and systemd write abstract ones */
	return 0;
}

int
sock_name(int fd, char out[SOCK_ADDR_MAX], struct err *e)
{
	union addr a = { 0 };
	socklen_t len = sizeof(a);
	char host[INET6_ADDRSTRLEN];

	if (getsockname(fd, &a.sa, &len) == -1)
		return err_set(e, ERR_SYS, errno, "name of descriptor %d", fd);
	switch (a.sa.sa_family) {
	case AF_UNIX:
		return unix_name(&a.un, len, out);
	case AF_INET:
		(void)inet_ntop(AF_INET, &a.in.sin_addr, host, sizeof(host));
		(void)snprintf(
		    out, SOCK_ADDR_MAX, "%s:%u", host, ntohs(a.in.sin_port));
		return 0;
	case AF_INET6:
		(void)inet_ntop(AF_INET6, &a.in6.sin6_addr, host, sizeof(host));
		(void)snprintf(out, SOCK_ADDR_MAX, "[%s]:%u", host,
		    ntohs(a.in6.sin6_port));
		return 0;
	default:
		return err_set(
		    e, ERR_SYS, EAFNOSUPPORT, "name of descriptor %d", fd);
	}
}

static int
inherited_count(void)
{
	const char *pid = getenv("LISTEN_PID");
	const char *fds = getenv("LISTEN_FDS");
	uint64_t p, n;

	if (pid == NULL || fds == NULL ||
	    str_u64(pid, 1, INT32_MAX, &p) == -1 ||
	    str_u64(fds, 1, INHERITED_MAX, &n) == -1 || (pid_t)p != getpid())
		return 0;
	return (int)n;
}

int
sock_inherited(void)
{
	int i, n = inherited_count();

	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	for (i = 0; i < n; i++)
		if (fcntl(INHERITED_FIRST + i, F_SETFD, FD_CLOEXEC) == -1)
			return 0;
	return n;
}

bool
sock_is_unix(int fd)
{
	socklen_t len = sizeof(int);
	int domain = 0;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       domain == AF_UNIX;
}

int
sock_peer(int fd, struct sock_peer *p, struct err *e)
{
	struct ucred u = { 0 };
	socklen_t len = sizeof(u);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &len) == -1)
		return err_set(e, ERR_SYS, errno, "who is at the other end");
	/* Not a Unix socket: the kernel says nobody, and no error. */
	if (u.uid == (uid_t)-1)
		return err_set(e, ERR_SYS, ENOTCONN, "who is at the other end");
	*p = (struct sock_peer){ .pid = u.pid, .uid = u.uid, .gid = u.gid };
	return 0;
}

bool
sock_peer_in_group(int fd, gid_t gid)
{
	AUTO(free) gid_t *groups = NULL;
	struct sock_peer p;
	socklen_t len = 0;
	size_t i;

	if (gid == (gid_t)-1 || sock_peer(fd, &p, NULL) == -1)
		return false;
	if (p.gid == gid)
		return true;
	/* The first call only asks how much room the list needs. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 ||
	    errno != ERANGE || len == 0)
		return false;
	groups = malloc(len);
	if (groups == NULL ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == -1)
		return false;
	for (i = 0; i < len / sizeof(*groups); i++)
		if (groups[i] == gid)
			return true;
	return false;
}

void
sock_notify(const char *state)
{
	const char *to = getenv("NOTIFY_SOCKET");
	AUTO(close) int fd = -1;
	struct sockaddr_un un;
	socklen_t len;

	if (to == NULL || (to[0] != '/' && to[0] != '@') ||
	    unix_addr(to, &un, NULL) == -1)
		return;
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(to));
	if (to[0] == '@')
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return;
	/* Nobody to tell that nobody was told. */
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
	    (const struct sockaddr *)&un, len);
}
