/* SPDX-License-Identifier: ISC */
/*
 * The control interface: HTTP with JSON on a Unix socket.  Anybody whom the
 * configuration lets may read; root, the engine's own user and members of the
 * control group may change things (SO_PEERCRED).
 *
 *   GET  /v1/status                   all is well, or what is not
 *   GET  /v1/certificates[?from=&limit=]  the same, up to 5000 at a time
 *   GET  /v1/certificates/NAME        all that is known of one
 *   POST /v1/certificates/NAME/renew  renew now
 *   GET  /v1/metrics[?limit=]         numbers, as Prometheus reads them
 *   POST /v1/reload                   read the configuration again
 *   GET  /v1/events[?cert=NAME]       what happens, as it happens (JSON lines)
 */
#pragma once

#include "daemon/engine/engine.h"

struct control *control_new(struct engine *, int fd, struct err *);
/* The end is near: who comes now is the next engine's. */
void control_rest(struct control *);
void control_free(struct control *);
