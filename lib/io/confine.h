/* SPDX-License-Identifier: ISC */
/*
 * Give up power for good: no_new_privs, no capabilities, no core dumps,
 * Landlock where the kernel has it, and a seccomp allowlist (libseccomp).
 * Called before the first byte that somebody else wrote is read.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/err.h"

enum confine_role {
	CONFINE_ENGINE, /* sockets and threads (resolver), no exec */
	CONFINE_KEEPER, /* no sockets of its own, no exec */
};

struct confine_spec {
	enum confine_role role;
	const char *const
	    *read_paths;       /* NULL-terminated; missing ones skipped */
	const int *write_dirs; /* -1-terminated open folders */
};

struct confine_done {     /* what the kernel gave us, for the log */
	int landlock_abi; /* 0: the kernel has none */
	bool seccomp;
};

int confine(const struct confine_spec *, struct confine_done *, struct err *);
