/* SPDX-License-Identifier: ISC */
/*
 * The state folder: who owns what in it, one acmed at a time, and open
 * descriptors of its parts, so that no path is looked up twice.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/config/config.h"

struct ids {
	uid_t uid;
	gid_t gid;
};

struct state {
	struct ids engine_ids, keeper_ids; /* our own without root */
	int dir, lock;
	int engine, keeper, versions, live;
};

#define STATE_INIT                  \
	((struct state){ .dir = -1, \
	    .lock = -1,             \
	    .engine = -1,           \
	    .keeper = -1,           \
	    .versions = -1,         \
	    .live = -1 })

/* Look the users up, as state_open() does. */
int state_users(struct state *, const struct conf *, bool root, struct err *);

/*
 * Look the users up, take the lock, make and mend the folders.  On failure
 * what was opened is closed by state_close().
 */
int state_open(struct state *, const struct conf *, bool root, struct err *);
void state_close(struct state *);
