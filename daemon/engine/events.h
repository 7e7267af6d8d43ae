/* SPDX-License-Identifier: ISC */
/*
 * What happens, as JSON lines: to those who listen on the control socket, and
 * (from level info up) to a bounded file in the state folder.
 */
#pragma once

#include "daemon/engine/engine.h"
#include "lib/io/uhttp.h"

struct events *events_new(struct engine *, struct err *);
void events_free(struct events *);

/* Send what happens from now on, of one certificate or (NULL) of all.  Half of
 * the places is for those who are trusted. */
int events_stream(struct events *, struct uhttp_req *, const char *cert,
    bool trusted, struct err *);
