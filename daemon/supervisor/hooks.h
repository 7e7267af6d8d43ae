/* SPDX-License-Identifier: ISC */
/*
 * Reload commands: which program, with which environment, and when.
 *
 * Certificates that were renewed together are told to one run of their
 * command.  No more than max-hooks run at the same time; the same command never
 * twice, not even across a reload, and after a burst once in HOOKS_REST_MS:
 * whoever is in the engine must not have a service restarted until systemd
 * gives it up (five starts in ten seconds).  How a program is run is
 * lib/io/proc's affair.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/config/config.h"
#include "lib/io/loop.h"
#include "lib/ipc/ipc.h"

#define HOOKS_OPEN_MAX    256 /* batches that still grow */
#define HOOKS_WAITING_MAX 256
#define HOOKS_BURST       3 /* starts of one command that do not wait */
#define HOOKS_REST_MS     5000
#define HOOKS_LIST_MAX    (64u << 10) /* bytes of a list in the environment */

struct hooks;

typedef void hooks_done(void *arg, uint32_t id, const struct ipc_hooked *);

struct hooks *hooks_new(struct loop *, hooks_done *, void *arg, struct err *);

/*
 * Add a certificate to the batch of its command; more = 0 closes the batch,
 * which is answered under id by one call of done, from the loop.  conf must
 * stay until then or hooks_forget().  ERR_PROTO: no such certificate, it has no
 * command, names are left out that may not be, or the batch is too long.
 */
int hooks_add(struct hooks *, const struct conf *, const struct ipc_hook *,
    uint32_t id, struct err *);

/* Whoever asked is gone: what runs may finish, nothing else happens. */
void hooks_forget(struct hooks *);

void hooks_free(struct hooks *); /* kills what runs; NULL is fine */
DEFINE_AUTO(struct hooks, hooks_free)
