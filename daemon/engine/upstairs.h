/* SPDX-License-Identifier: ISC */
/*
 * The engine's side of the supervisor: install a certificate, run a reload
 * command, read the configuration again: by index only.  Put away what is not
 * in the configuration: by name.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/io/loop.h"
#include "lib/ipc/ipc.h"

struct upstairs;

/* What the supervisor says unasked. */
struct upstairs_says {
	void (*start)(void *arg, const struct ipc_start *); /* the first */
	void (*refused)(void *arg, const struct ipc_refused *);
	void (*gone)(void *arg, const struct err *); /* it is not there */
};

typedef void upstairs_installed(
    void *arg, uint32_t version, const struct err *);
typedef void upstairs_hooked(void *arg, const struct ipc_hooked *);
typedef void upstairs_reloaded(void *arg, bool ok, const char *text);
typedef void upstairs_forgot(void *arg, const char *path, const struct err *);

struct upstairs *upstairs_new(struct loop *, int fd,
    const struct upstairs_says *, void *arg, struct err *);
void upstairs_free(struct upstairs *);

struct install {
	uint32_t cert;
	const char *key_id;
	const char *pem; /* leaf, then chain */
	size_t leaf_len, chain_len;
};
struct up_op *upstairs_install(struct upstairs *, const struct install *,
    upstairs_installed *, void *arg, struct err *);

/* Run the command that these n (1 to IPC_HOOK_BATCH) certificates share; what
 * is more in them is set here. */
struct up_op *upstairs_hook(struct upstairs *, struct ipc_hook *certs, size_t n,
    upstairs_hooked *, void *arg, struct err *);
struct up_op *upstairs_reload(
    struct upstairs *, upstairs_reloaded *, void *arg, struct err *);
/* ENOENT: root has nothing of that name; otherwise path is where it is now.
 * It does not matter whether an earlier call has done all or part of it. */
struct up_op *upstairs_forget(struct upstairs *, const char *name,
    upstairs_forgot *, void *arg, struct err *);

struct found {
	uint32_t version; /* 0: no more */
	bool live, whole; /* see ipc.h */
	const char *pem;  /* of the whole chain; during the callback only */
	size_t len;       /* 0: cannot be read */
};
typedef void upstairs_found(
    void *arg, const struct found *, const struct err *);
/* What versions of it there are, but for the first skip.  key_id may be NULL.
 */
struct up_op *upstairs_find(struct upstairs *, uint32_t cert, uint32_t skip,
    const char *key_id, upstairs_found *, void *arg, struct err *);
void up_cancel(struct up_op *); /* NULL is fine */

/* One way: we are ready, well, and this is how things stand. */
int upstairs_ready(struct upstairs *, struct err *);
void upstairs_alive(struct upstairs *);
void upstairs_status(struct upstairs *, const struct ipc_status *);
