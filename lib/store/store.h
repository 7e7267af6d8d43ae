/* SPDX-License-Identifier: ISC */
/*
 * Where accounts and renewal state live.
 *
 * A key is of one of store_kinds, "accounts/<ca>", "certs/<name>", both parts
 * str_is_name().  Every value has a revision; a put names the revision that it
 * replaces, so that of two daemons that both renewed, one learns that it lost
 * (ERR_STALE).  Written for etcd; files imitate it.
 *
 * x_start() semantics: callbacks run from the loop, exactly once, never from
 * inside the call that started them, and never after store_cancel().  They
 * may free whatever started the operation, and the store.
 *
 * Operations take effect in the order in which they were started, except that
 * others may run between the values of a listing.  A put or drop that is
 * cancelled may have taken effect or not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/io/loop.h"

#define STORE_KEY_MAX   160
#define STORE_VALUE_MAX (1u << 20)
#define STORE_ABSENT    0u         /* put: must not exist; get: does not */
#define STORE_ANY       UINT64_MAX /* put: whatever is there */

struct store;
struct store_op;

struct store_value {
	const char *data; /* valid during the callback only; NUL behind */
	size_t len;
	uint64_t rev; /* of get: STORE_ABSENT when there is none */
	/* of list's done: values that could not be read (too long, not a file,
	 * an I/O error); they were set aside and the listing went on */
	unsigned aside;
	/* and how many had been before, and still are there */
	unsigned was_aside;
};

typedef void store_done(void *arg, const struct store_value *,
    const struct err *); /* err is NULL on success; value NULL on failure */

/* One value of a listing; key is the whole key. */
typedef void store_each(void *arg, const char *key, const struct store_value *);

struct store_put { /* all is copied */
	const char *key;
	const void *data;
	size_t len;
	uint64_t rev; /* what it replaces, STORE_ABSENT or STORE_ANY */
	bool soft;    /* is to survive this process, not a power cut: cheap */
};

struct store_ops {
	const char *name;
	struct store_op *(*get)(struct store *, const char *key, store_done *,
	    void *arg, struct err *);
	/* done's value has the new rev, and no data */
	struct store_op *(*put)(struct store *, const struct store_put *,
	    store_done *, void *arg, struct err *);
	/* dropping what is not there is a success; after a power cut it may
	 * be back */
	struct store_op *(*drop)(struct store *, const char *key, store_done *,
	    void *arg, struct err *);
	/* Every value below "certs/" or another kind, in any order, then
	 * done. */
	struct store_op *(*list)(struct store *, const char *prefix,
	    store_each *, store_done *, void *arg, struct err *);
	/*
	 * A value that cannot be understood is put aside, under a name that no
	 * key has (".bad-<time>-<name>"), for people to look at.
	 */
	int (*set_aside)(struct store *, const char *key, struct err *);
	/*
	 * Append one line to the journal of events, which is bounded: what is
	 * oldest goes.  Not durable, and a failure is nobody's loss.
	 */
	void (*note)(struct store *, const char *line, size_t);
	void (*cancel)(struct store_op *); /* NULL is fine */
	/* Puts and drops that wait are carried out; no callback runs. */
	void (*free)(struct store *);
};

struct store {
	const struct store_ops *ops; /* first member of each backend */
};

/*
 * Files below dir, which stays the caller's: accounts/<ca>.json,
 * certs/<name>.json, ..., each replaced durably.  Makes the folders.
 */
struct store *store_files(struct loop *, int dir, struct err *);
void store_free(struct store *); /* NULL is fine */
DEFINE_AUTO(struct store, store_free)

/* The kinds of keys, NULL behind. */
extern const char *const store_kinds[];

bool store_key_ok(const char *key);
