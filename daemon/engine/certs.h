/* SPDX-License-Identifier: ISC */
/*
 * What the engine remembers of each certificate: the order under way, the
 * failures and when the next attempt may be, the certificate that is
 * installed, the reload that is due.
 *
 * Persisted as two values of JSON: "certs/<name>", written when an attempt or a
 * reload has ended, and "orders/<name>" while an order is under way.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/engine/heap.h"
#include "lib/base/err.h"
#include "lib/config/config.h"
#include "lib/crypto/x509.h"
#include "lib/io/loop.h"
#include "lib/store/store.h"

/* Why a job did not succeed, for people and for the schedule. */
struct trouble {
	char *text; /* the CA's own words where it said some; NULL: none */
	const char *type; /* static: "rateLimited", "network", "hook", ... */
	int64_t at;
	unsigned failures; /* in a row */
	int64_t next;      /* not before; 0: none */
	bool operator;     /* a person must act */
};

enum deploy {
	DEPLOY_NONE,   /* nothing installed yet */
	DEPLOY_RELOAD, /* installed: the reload command has not succeeded yet */
	DEPLOY_DONE,
};

struct issued {
	char *key_id;
	char *serial;
	char *ari_id;
	const char *issuer; /* interned for the life of the process */
	const char *ca;     /* name in the configuration of then; interned */
	int64_t not_before, not_after, installed_at, renew_at;
	uint64_t made_for; /* cert_wants() of then */
	uint32_t version;  /* versions/<name>/<n>; 0: none installed */
};

enum save_what {
	SAVE_NOTHING,
	/* The order under way: survives this process.  A power cut may cost it,
	 * and then a pending order that the CA gives us again. */
	SAVE_ORDER,
	SAVE_ORDER_DURABLY, /* from here on a lost order would be a lost one */
	SAVE_CERT,          /* all else, durably; an order that is over goes */
};

struct save;
TAILQ_HEAD(save_list, save);
struct issue;

struct cert {
	const struct conf_cert *conf;
	uint32_t index;
	uint64_t wants; /* cert_wants() now */

	/* persisted in orders/<name> */
	int64_t begun;   /* a newOrder was sent, or was about to be */
	char *order_url; /* NULL: no order under way */
	char *order_key; /* key of its CSR, which was sent or may have been */
	char *tokens;    /* live ones, separated by spaces; NULL: none */

	/* persisted in certs/<name> */
	struct trouble issue_trouble, deploy_trouble;
	struct issued have;
	enum deploy deploy;
	char *old_keys; /* of the versions that are kept, newest first */
	int64_t saved_at;

	/* the run of the process */
	uint64_t rev;
	struct save_list saves;
	struct store_op *save_op;
	enum save_what saving;  /* by save_op */
	struct issue *issue;    /* under way */
	struct heap_item sleep; /* in the engine's heap, by instant */
	struct heap_item ready; /* in its CA's heap, by urgency */
	TAILQ_ENTRY(cert) due;  /* in its reload command's list */
	bool reload_listed;
	bool unsaved;               /* the last SAVE_CERT failed: tried again */
	unsigned char shown_health; /* view.c: while it sorts */
	bool forced; /* an operator said: now, whatever the back-off */
};

struct certs {
	const struct conf *conf;
	struct cert *all; /* one for each of the configuration, same index */
	uint32_t n;
	struct store *store;
	int64_t newest_saved; /* the latest instant found on disk */
	struct loop *loop;
	struct loop_timer *again; /* for those that could not be saved */
	uint32_t n_unsaved, at_unsaved;
};

/* Names, key type and CA that the configuration wants, as a hash. */
uint64_t cert_wants(const struct conf *, const struct conf_cert *);

int certs_init(struct certs *, const struct conf *, struct loop *,
    struct store *, struct err *);
void certs_free(struct certs *);

/*
 * Read the state of all.  Damaged values are set aside and cost only their
 * own memory.  loaded runs once, from the loop.
 */
typedef void certs_loaded(void *arg, unsigned damaged, const struct err *);
int certs_load(struct certs *, certs_loaded *, void *arg, struct err *);

/*
 * Save that part of a certificate's state; saved runs from the loop when it is
 * done.  Saves that come while one is under way wait for it and are written
 * together.  NULL: no memory.
 */
typedef void cert_saved(void *arg, const struct err *);
struct save *cert_save(struct certs *, struct cert *, enum save_what,
    cert_saved *, void *arg, struct err *);
void save_cancel(struct save *); /* saved will not run; the save goes on */

/* Both as JSON, which is also what is on disk. */
int cert_encode(const struct cert *, struct buf *out, struct err *);
int cert_decode(struct cert *, const char *, size_t, struct err *);
int cert_encode_order(const struct cert *, struct buf *out, struct err *);
int cert_decode_order(struct cert *, const char *, size_t, struct err *);

/* The order is over, one way or another.  Withdraw its tokens first. */
void cert_forget_order(struct cert *);

void trouble_set(
    struct trouble *, const char *type, const char *text, int64_t now);
void trouble_clear(struct trouble *);

/* One copy of a text that many certificates share.  NULL: no memory. */
const char *certs_intern(const char *);
