/* SPDX-License-Identifier: ISC */
/*
 * The engine's side of the keeper: what it wants signed, it asks for.  The
 * engine sees key ids and public halves only.
 *
 * Each function returns a handle or fails at once; done runs once, from the
 * loop, never from inside, and not after keys_cancel().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/io/loop.h"
#include "lib/ipc/ipc.h"

struct keys;

struct keys_reply {
	const char *key_id;     /* hex */
	const char *thumbprint; /* RFC 7638, base64url */
	const void *data;       /* JWS, CSR, EAB; ids of keys_old() */
	size_t len;
	bool missing; /* with an error: the keeper has no such key */
	bool more;    /* keys_old(): ask again */
};

typedef void keys_done(
    void *arg, const struct keys_reply *, const struct err *);
typedef void keys_lost(void *arg, const struct err *);

/* fd: the channel to the keeper, owned from here on.  lost: it is gone. */
struct keys *keys_new(
    struct loop *, int fd, keys_lost *, void *arg, struct err *);
void keys_free(struct keys *);

/* A new key for CA or certificate index: durable when done runs. */
struct keys_op *keys_make(struct keys *, enum ipc_role, uint32_t index,
    keys_done *, void *arg, struct err *);
struct keys_op *keys_get(struct keys *, enum ipc_role, const char *key_id,
    keys_done *, void *arg, struct err *);

struct keys_jws {
	const char *key_id, *kid, *url, *nonce; /* kid NULL: send the jwk */
	const void *payload;
	size_t len;
};
struct keys_op *keys_jws(struct keys *, const struct keys_jws *, keys_done *,
    void *arg, struct err *);
/* left_out: see struct ipc_csr. */
struct keys_op *keys_csr(struct keys *, uint32_t cert, const char *key_id,
    const uint8_t left_out[IPC_NAMES / 8], keys_done *, void *arg,
    struct err *);
struct keys_op *keys_eab(struct keys *, uint32_t ca, const char *key_id,
    const char *url, keys_done *, void *arg, struct err *);

/* Delete a certificate's key that no version uses any more; no answer. */
void keys_drop(struct keys *, const char *key_id);
struct keys_op *keys_drop_told(
    struct keys *, const char *key_id, keys_done *, void *arg, struct err *);

/* Ids of certificate keys that are older than IPC_OLD_KEY_S, one behind the
 * other, up to IPC_OLD_KEYS: the first ones, or those behind the last. */
struct keys_op *keys_old(
    struct keys *, bool first, keys_done *, void *arg, struct err *);

void keys_cancel(struct keys_op *); /* NULL is fine */
