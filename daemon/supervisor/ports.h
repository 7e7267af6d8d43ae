/* SPDX-License-Identifier: ISC */
/*
 * The listening sockets: the :80 ones and the control socket, taken over from
 * systemd or bound here.  They outlive engines, and those whose address stays
 * outlive reloads, so that nobody's connection is refused meanwhile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/config/config.h"
#include "lib/io/sock.h"

#define PORTS_MAX 32

struct port {
	int fd;
	bool fresh; /* not in the set that this one was planned from */
	char addr[SOCK_ADDR_MAX]; /* as configured */
};

struct ports {
	struct port http[PORTS_MAX];
	size_t n;
	bool http_given; /* by systemd: http.listen is not looked at */
	bool control_given;
	int control;
	char *control_path; /* to be unlinked at the end; NULL: not ours */
	gid_t control_gid;  /* (gid_t)-1: none */
};

#define PORTS_INIT ((struct ports){ .control = -1, .control_gid = (gid_t)-1 })

/* Take over the n descriptors from first on (systemd's are at 3). */
int ports_adopt(struct ports *, int first, int n, struct err *);

/* Who may use the control socket: its group, or (gid_t)-1, and its mode. */
int ports_access(const struct conf *, gid_t *, mode_t *, struct err *);

/* Bind the control socket, unless it was handed over. */
int ports_control(struct ports *, const struct conf *, struct err *);

/* A new group or mode of the control socket, after a reload. */
int ports_control_mend(struct ports *, const struct conf *, struct err *);

/*
 * next gets the sockets that conf asks for: those of now whose address stays,
 * and new ones.  Then either ports_switch() or ports_drop(), after which next
 * is spent.
 */
int ports_plan(const struct ports *now, const struct conf *, struct ports *next,
    struct err *);
void ports_switch(struct ports *now, const struct ports *next);
void ports_drop(const struct ports *next);

void ports_close(struct ports *); /* unlinks the control socket if ours */
