/* SPDX-License-Identifier: ISC */
/*
 * Run an administrator's program without a shell, bounded in time and output.
 *
 * The child gets no descriptors but stdin (/dev/null), stdout and stderr (one
 * pipe, the last PROC_OUTPUT_MAX bytes are kept), the environment given and
 * nothing else, "/" as folder, its own process group, and default signal
 * dispositions.  When the time is up the group gets SIGTERM, then SIGKILL.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/io/loop.h"

#define PROC_OUTPUT_MAX 4096

/* Where a program without a '/' is looked for, whatever our environment. */
#define PROC_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Where the program of that name is, and may be run. */
int proc_find(const char *name, char out[PATH_MAX], struct err *);

struct proc;

struct proc_spec {
	const char *const *argv; /* argv[0]: absolute, or found in PROC_PATH */
	const char *const *env;  /* "ACMED_NAME=www", ..., NULL: all there is */
	uint32_t timeout_s;
};

struct proc_result {
	int status;     /* as waitpid(2) says */
	bool timed_out; /* we killed it */
	const char
	    *output; /* cleaned of control characters but \n; NUL behind */
	uint32_t ms;
};

typedef void proc_done(void *arg, const struct proc_result *);

/* done runs once, from the loop, when the process has ended and its pipe is
 * closed or drained; a grandchild that keeps the pipe open delays nothing. */
struct proc *proc_start(struct loop *, const struct proc_spec *, proc_done *,
    void *arg, struct err *);    /* NULL on failure: not found, no fork */
void proc_cancel(struct proc *); /* kills the group; done will not run */

/*
 * fork(2) with every signal blocked, in the child still: our handlers must not
 * run there before it has made its dispositions.  -1 and errno on failure.
 */
pid_t proc_fork(void);

/*
 * The processes of this program are reaped here: call from the SIGCHLD
 * handler of the daemon.  Pids that are not procs go to other.
 */
void proc_reap(void (*other)(void *arg, pid_t, int status), void *arg);
