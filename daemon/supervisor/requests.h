/* SPDX-License-Identifier: ISC */
/*
 * What root does when it is asked: all of it is in two tables.  The argument
 * of every handler is the struct child that asks.
 */
#pragma once

#include "daemon/supervisor/super.h"
#include "lib/ipc/chan.h"

extern const struct chan_rule requests_of_engine[IPC__COUNT];
extern const struct chan_rule requests_of_keeper[IPC__COUNT];

/* A hooks_done: the answer to a HOOK.  arg is the super. */
void requests_hooked(void *arg, uint32_t id, const struct ipc_hooked *);
