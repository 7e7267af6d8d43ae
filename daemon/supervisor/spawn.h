/* SPDX-License-Identifier: ISC */
/*
 * Starting one of our own programs with nothing but what it was given: these
 * descriptors, this user, no capabilities and no way to more, a small
 * environment.  What it may do with system calls is its own business: it
 * confines itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "daemon/supervisor/state.h"
#include "lib/base/err.h"

#define SPAWN_FDS_MAX 80

struct spawn {
	const char *path, *argv0;
	const int *fds; /* become 3, 4, ... */
	size_t n_fds;
	const struct ids *ids; /* NULL: as we are */
	bool network;          /* proxy variables, and many descriptors */
};

pid_t spawn(const struct spawn *, struct err *); /* -1 on failure */
