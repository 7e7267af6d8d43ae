/* SPDX-License-Identifier: ISC */
/*
 * A new configuration takes the place of the old one, whole or not at all.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/supervisor/super.h"
#include "lib/base/err.h"

int reload_init(struct super *, struct err *);
void reload_done(struct super *);

void reload_soon(struct super *);                            /* SIGHUP */
int reload_asked(struct super *, uint32_t id, struct err *); /* RELOAD */

/* Tell the engine, when it is not in force, what has become of the latest. */
int reload_tell(struct super *, struct err *);

/* The engine that asked is gone: nobody is answered. */
void reload_forget(struct super *);
