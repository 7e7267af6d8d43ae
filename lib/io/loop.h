/* SPDX-License-Identifier: ISC */
/*
 * The event loop (libevent stays behind this line): timers, descriptors,
 * signals.  One loop a process, one thread a loop.
 *
 * Every callback runs from loop_run(), never from inside the call that set it
 * up, and may free anything, its own handle included.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

struct loop;
struct loop_timer;
struct loop_fd;
struct loop_signal;
struct loop_jump;

typedef void loop_fn(void *arg);
typedef void loop_fd_fn(void *arg, int fd, unsigned what);
typedef void loop_signal_fn(void *arg, int signo);

#define LOOP_READ  0x1u
#define LOOP_WRITE 0x2u

struct loop *loop_new(struct err *); /* NULL on failure */
void loop_free(struct loop *);       /* after every handle is freed */
DEFINE_AUTO(struct loop, loop_free)

int loop_run(struct loop *, struct err *); /* until loop_stop() */
void loop_stop(struct loop *);
uint64_t loop_wakeups(const struct loop *); /* how often it had work to do */

/* A timer runs once for each loop_timer_set(); setting again moves it. */
struct loop_timer *loop_timer_new(
    struct loop *, loop_fn *, void *arg, struct err *);
void loop_timer_set(struct loop_timer *, int64_t delay_ms); /* 0: soon */
void loop_timer_stop(struct loop_timer *);
bool loop_timer_pending(const struct loop_timer *);
void loop_timer_free(struct loop_timer *); /* NULL is fine */

/* Watch fd, which stays the caller's, for what (0: nothing for now). */
struct loop_fd *loop_fd_new(struct loop *, int fd, unsigned what, loop_fd_fn *,
    void *arg, struct err *);
int loop_fd_want(struct loop_fd *, unsigned what);
void loop_fd_free(struct loop_fd *); /* NULL is fine; does not close */

struct loop_signal *loop_signal_new(
    struct loop *, int signo, loop_signal_fn *, void *arg, struct err *);
void loop_signal_free(struct loop_signal *);

/*
 * Run fn whenever the wall clock is set: by a person, by a first step of NTP,
 * and when the machine resumes from suspend.  Timers here follow
 * CLOCK_MONOTONIC, which stands still in suspend and knows nothing of the
 * rest; so whoever waits for an instant looks again then, with clock_now(),
 * and with clock_mono_ms() (CLOCK_BOOTTIME) for how long it took.  Several
 * changes may be told as one.
 */
struct loop_jump *loop_jump_new(
    struct loop *, loop_fn *, void *arg, struct err *);
void loop_jump_free(struct loop_jump *); /* NULL is fine */

/* The foreign base, for other files of this folder only. */
struct event_base *loop_base(struct loop *);
