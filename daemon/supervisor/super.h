/* SPDX-License-Identifier: ISC */
/*
 * What the supervisor is made of: one of each, in one struct, so that every
 * part can be run by a test without the others.
 *
 * The life of the two children is the phase:
 *
 *   DOWN -> STARTING -> UP -> STOPPING -> DOWN -> ...
 *
 * Whatever goes wrong with either of them, both are stopped and both are
 * started again: there is one way to recover, and a reload takes it too.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/supervisor/hooks.h"
#include "daemon/supervisor/ports.h"
#include "daemon/supervisor/setup.h"
#include "daemon/supervisor/state.h"
#include "lib/io/loop.h"
#include "lib/ipc/chan.h"

#define STATUS_MAX 256

struct super;

enum phase {
	PHASE_DOWN,     /* none runs; the start timer may be set */
	PHASE_STARTING, /* both run, not both are ready */
	PHASE_UP,
	PHASE_STOPPING, /* both were told to end; requests are not heard */
};

struct child {
	struct super *super;
	const char *name;    /* for the log */
	const char *program; /* file name, and argv[0] */
	char *path;
	struct chan *chan;
	pid_t pid; /* 0: none */
	bool ready;
	bool closed; /* its channel has ended, and it must end too */
};

struct super {
	struct loop *loop;
	const char *file; /* the configuration's name */
	bool root;        /* separation is possible */
	bool debug;       /* -v */

	struct setup *setup; /* what runs now */
	struct state state;
	struct ports ports;
	struct hooks *hooks;

	struct child engine, keeper;
	enum phase phase;
	bool told; /* STOPPING: they have had their SIGTERM */
	bool quit; /* the next DOWN is the end */
	int64_t started_ms, backoff_ms, again_ms;
	bool watched;     /* by systemd, which wants to hear WATCHDOG=1 */
	uint32_t alive_s; /* how often the engine is to say ALIVE */
	/* what systemd was told last, so as not to be made to flood it */
	int64_t watchdog_ms, status_ms;
	char status[STATUS_MAX];
	struct loop_timer *status_timer;
	struct loop_timer *start_timer; /* DOWN: start the children */
	struct loop_timer *kill_timer;  /* STOPPING: to SIGTERM, then SIGKILL */
	struct loop_timer *watch_timer; /* STARTING, UP: is the engine alive */

	struct loop_timer *reload_timer;
	int64_t asked_ms; /* when the engine's latest reload is, or was, due */
	bool reload_answer; /* the engine waits for the answer to reload_id */
	uint32_t reload_id;
	bool reloading;             /* systemd was told RELOADING=1 */
	struct ipc_refused refused; /* at 0: what was read last is in force */
};
