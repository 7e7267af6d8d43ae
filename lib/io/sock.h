/* SPDX-License-Identifier: ISC */
/* Sockets: listening ones, handed-over ones, and who is at the other end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/base/err.h"

#define SOCK_ADDR_MAX 128

/*
 * Listen on "1.2.3.4:80" or "[::]:80" (IPV6_V6ONLY, SO_REUSEADDR, backlog
 * 4096), non-blocking and close-on-exec.  fd, or -1.
 */
int sock_listen(const char *addr, struct err *);

/*
 * Listen on a Unix socket: a stale one is replaced, a live one is an error.
 * Created with this mode and gid (gid -1: leave) and never looser in between.
 */
int sock_listen_unix(const char *path, mode_t, gid_t, struct err *);

/* "1.2.3.4:80", "[::]:80" or a path: where fd listens. */
int sock_name(int fd, char out[SOCK_ADDR_MAX], struct err *);

/*
 * Sockets that systemd handed over (LISTEN_PID, LISTEN_FDS; sd_listen_fds(3)):
 * how many, the first is fd 3.  Makes them close-on-exec and forgets the
 * environment.  0 when there are none.
 */
int sock_inherited(void);
bool sock_is_unix(int fd);

/* SO_PEERCRED of a connected Unix socket. */
struct sock_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};
int sock_peer(int fd, struct sock_peer *, struct err *);
/* Whether the peer was in gid, by primary or supplementary group. */
bool sock_peer_in_group(int fd, gid_t);

/* Send one line to systemd's NOTIFY_SOCKET (sd_notify(3)); no-op without. */
void sock_notify(const char *state);
