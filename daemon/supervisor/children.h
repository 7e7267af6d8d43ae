/* SPDX-License-Identifier: ISC */
/*
 * The engine and the keeper: started together, stopped together, started
 * again with backoff.  The phases are in super.h.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "daemon/supervisor/super.h"
#include "lib/base/err.h"

/* Where the two programs are, and the timers.  children_done() in any case. */
int children_init(struct super *, struct err *);
void children_done(struct super *);

/* Start both, soon.  Only in DOWN. */
void children_start(struct super *);

/*
 * Stop both, so that they are started again after again_ms, or that the loop
 * stops when s->quit is set.  They get term_ms to finish what they are saying,
 * or until one has ended by itself, which says that it is finished.
 * In any phase; a second call moves the times.
 */
void children_stop(struct super *, int64_t again_ms, int64_t term_ms);

/* SIGKILL now for what does not stop. */
void children_kill(struct super *);

/* From the SIGCHLD handler: arg is the super. */
void children_reaped(void *arg, pid_t, int status);

/* What they say. */
void children_ready(struct child *);
void children_alive(struct super *);
/* For systemd's STATUS=: now, or the last one of a second. */
void children_status(struct super *, const char *text);
