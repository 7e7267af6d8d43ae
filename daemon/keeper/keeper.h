/* SPDX-License-Identifier: ISC */
/*
 * The keeper: every private key, and the few things that are done with one.
 *
 * keys.c     key files and the keys that are loaded
 * keygen.c   the thread that makes keys
 * keeper.c   what START brings (EAB secrets), the life of a struct keeper
 * payload.c  what an account key may be made to sign
 * requests.c the table of what the engine may ask for
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/config/config.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/key.h"
#include "lib/io/loop.h"
#include "lib/ipc/chan.h"
#include "lib/ipc/ipc.h"

/*
 * Key files: account-<id>.pem and cert-<id>.pem, so that what an account key
 * is for can be read off its name, by root too, which installs cert-... only.
 */
struct keys;
struct keys *keys_new(int dir, struct err *); /* dir stays the caller's */
void keys_free(struct keys *);                /* wipes; NULL is fine */
DEFINE_AUTO(struct keys, keys_free)

/*
 * Write a new key durably.  Takes key, also on failure.  id is filled.  The
 * key returned is borrowed, as keys_get()'s.
 */
struct key *keys_add(struct keys *, enum ipc_role, struct key *,
    char id[KEY_ID_LEN + 1], struct err *);

/*
 * The key of that id: valid until the next call of keys_*.  NULL on failure;
 * *missing: there is none, or its file was damaged and has been set aside.
 */
struct key *keys_get(
    struct keys *, enum ipc_role, const char *id, bool *missing, struct err *);

/* Remove a certificate key; that there is none is a success. */
int keys_drop(struct keys *, const char *id, struct err *);

/*
 * Append the ids of certificate keys whose files are older than
 * IPC_OLD_KEY_S and which are not in use just now: some more of them, from the
 * beginning of the folder when first.  *more: that was not its end.
 */
int keys_old(
    struct keys *, bool first, struct buf *ids, bool *more, struct err *);

/* One thread that makes keys, so that a signature never waits for one. */
#define KEYGEN_MAX 1024 /* keys wanted and not yet handed over */

struct keygen;
struct keygen_want {
	uint32_t id;    /* of the request */
	uint32_t index; /* of the CA or certificate */
	enum ipc_role role;
	enum key_type type;
};

/* key is the callee's; NULL: err says why.  Must not free the keygen. */
typedef void keygen_done(
    void *arg, const struct keygen_want *, struct key *key, const struct err *);

struct keygen *keygen_new(
    struct loop *, keygen_done *, void *arg, struct err *);
int keygen_start(struct keygen *, const struct keygen_want *, struct err *);
void keygen_free(struct keygen *); /* does not wait for a key in the making */
DEFINE_AUTO(struct keygen, keygen_free)

/* Which payloads an account key signs: payload.c. */
#define PAYLOAD_CSRS 256 /* the latest ones that were made here */

struct payloads {
	unsigned char csrs[PAYLOAD_CSRS][HASH_SHA256_LEN];
	size_t next;
};
int payloads_note_csr(struct payloads *, const void *der, size_t, struct err *);
int payloads_check(
    const struct payloads *, const void *payload, size_t, struct err *);

struct keeper {
	struct payloads payloads;
	const struct conf *conf;
	struct loop *loop;
	struct keys *keys;
	struct keygen *keygen;
	struct chan *engine;
	chan_closed *closed; /* what keeper_serve() was given */
	void *closed_arg;
	struct buf *secrets; /* EAB MAC keys by CA; empty: none */
};

/* conf and dir stay the caller's. */
struct keeper *keeper_new(
    struct loop *, const struct conf *, int dir, struct err *);
void keeper_free(struct keeper *); /* wipes; NULL is fine */
DEFINE_AUTO(struct keeper, keeper_free)

/*
 * Take what START brings: the EAB secrets, in descriptors from first_fd on,
 * which are closed.  A secret that is no use is logged, and costs only new
 * registrations at that CA (an account that exists needs none).
 */
int keeper_take(
    struct keeper *, const struct ipc_start *, int first_fd, struct err *);

/* Start the thread, and answer the engine, whose channel fd is taken.  closed
 * may be called again for a key that was in the making. */
int keeper_serve(
    struct keeper *, int fd, chan_closed *, void *arg, struct err *);

/* What the engine may ask for; its arg is the struct keeper. */
extern const struct chan_rule keeper_rules[IPC__COUNT];

/* A key is there, or there is none: the answer to KEY_NEW. */
keygen_done keeper_key_made;
