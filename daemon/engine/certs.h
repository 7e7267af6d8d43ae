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
#include "daemon/engine/partial.h"
#include "daemon/engine/trouble.h"
#include "lib/base/err.h"
#include "lib/config/config.h"
#include "lib/crypto/x509.h"
#include "lib/io/loop.h"
#include "lib/store/store.h"

enum deploy {
	DEPLOY_NONE,   /* nothing installed yet */
	DEPLOY_RELOAD, /* installed: the reload command has not succeeded yet */
	DEPLOY_DONE,
};

/* What the configuration wants of a certificate, each part as a hash, so that
 * what has changed can be told (protocol J13). */
struct wants {
	uint64_t names;
	uint32_t ca; /* the first of its list */
	uint32_t profile;
	uint32_t key;
	bool required; /* that profile: only a failure depends on it */
};

enum change {
	CHANGE_NONE,
	CHANGE_NEW, /* there is no certificate yet */
	CHANGE_NAMES,
	CHANGE_KEY,
	CHANGE_PROFILE,
	CHANGE_FILES, /* what is there of it is of no use */
	CHANGE_CA, /* another first CA, or the one that issued is not listed */
	CHANGE__COUNT,
};

struct issued {
	char *key_id;
	char *serial;
	char *ari_id;
	const char *issuer;  /* interned for the life of the process */
	const char *ca;      /* name in the configuration of then; interned */
	const char *account; /* its URL; interned */
	int64_t not_before, not_after, installed_at;
	int64_t by_fraction; /* renewal, when the CA says nothing */
	struct wants made_for;
	uint32_t version; /* versions/<name>/<n>; 0: none installed */
	bool replaced;    /* naming it in "replaces" is of no use any more */
	bool hurried;     /* cert_hurried(), of the one before */
	bool ruined;      /* its files are damaged, and cannot be made whole */
	bool uncounted;   /* they are, which could not be noted */
	bool partial;     /* some that were configured then were left out */
	char *names;      /* separated by spaces; NULL: those configured now */
};

/* The CA's renewal window of what is installed (RFC 9773 4.2). */
struct window {
	int64_t start, end; /* 0: none known */
	int64_t picked;     /* the instant in it */
	int64_t next;       /* ask again then; 0: soon */
	int64_t past_since; /* when it was found to be over; 0: is not */
	char *url;          /* why, for people; NULL: not said */
	unsigned failures;  /* of asking, in a row */
};

struct said { /* a CA will not be asked for this certificate until then */
	uint32_t ca;
	bool failed; /* instead of another CA only; on disk it is not */
	int64_t until;
};

enum told { TOLD_NOTHING, TOLD_SOON, TOLD_CRITICAL, TOLD_ENDED };

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
struct ask;
struct engine;

struct cert {
	const struct conf_cert *conf;
	uint32_t index, n_idents;
	const char *const *idents; /* of the order to come, or under way */
	struct wants wants;        /* cert_wants() now */

	/* persisted in orders/<name> */
	int64_t begun;     /* a newOrder was sent, or was about to be; without
			      an attempt under way: by a process that ended */
	char *order_url;   /* NULL: no order under way */
	char *order_key;   /* key of its CSR, which was sent or may have been */
	char *tokens;      /* live ones, separated by spaces; NULL: none */
	uint32_t order_ca; /* whose order it is; CONF_NONE: none */
	unsigned spent;    /* of that CA's budget, for it: BUDGET_SPENT_* */
	int64_t waited_s;  /* for the CA, where it is; not while we were not */
	unsigned order_failures; /* attempts at it that have failed */
	bool rehearsal; /* it is one of the test CA's, for trying out */
	/* which names it is for: idents */
	char *stale_key; /* of an order that is of no use; to be dropped */

	/* persisted in certs/<name> */
	struct trouble issue_trouble, deploy_trouble;
	struct issued have;
	char *old_keys; /* of the versions that are kept, newest first */
	int64_t saved_at;
	struct window window;
	char *restored; /* what restore.c did last; NULL: nothing */
	int64_t restored_at;
	struct said *said;    /* failover_said(): n_said of them */
	uint32_t ca_at;       /* which CA of its list is next (failover.h) */
	unsigned ca_failures; /* there, in a row, that another may not have */
	bool rehearse;        /* the next try goes to that CA's test CA */
	unsigned rehearsed;   /* in vain, since the last real try */
	unsigned n_said;
	enum deploy deploy;
	struct partial *partial; /* of names that fail; NULL: none do */

	/* the run of the process */
	struct engine *engine;
	uint64_t rev;
	struct save_list saves;
	struct store_op *save_op;
	enum save_what saving;  /* by save_op */
	struct issue *issue;    /* under way */
	struct heap_item sleep; /* in the engine's heap, by instant */
	struct heap_item ready; /* in a CA's heap, by urgency */
	struct heap_item look;  /* at its window, by instant */
	struct ask *looking;
	uint32_t queue;   /* the CA whose heap it is in, or which is at it */
	uint32_t asked;   /* by operators: which of all that they asked for */
	uint32_t crowd;   /* of its domain, beyond the CA's limit: crowd.c */
	bool parked;      /* under way, but counts for no place there */
	bool limited;     /* in its heap of those that wait for a limit */
	char *waits;      /* the limit that it waits for; NULL: none */
	char *instead;    /* why not the CA before: its limit; NULL: it is not
			     for one that this CA is asked */
	int64_t turn_at;  /* plan_turns(): when it can be ordered */
	int64_t moved_at; /* turn_elsewhere(): to the CA where it is */
	int64_t spent_at; /* by this process; 0: by one before */
	unsigned in_vain; /* attempts in a row that found the CA in trouble */
	uint32_t served;  /* ca_queue.served, at the first of them */
	TAILQ_ENTRY(cert) due; /* in its reload command's list */
	bool reload_listed;
	bool busy;    /* counted by its reload command's list */
	bool unsaved; /* the last SAVE_CERT failed: tried again */
	bool lost;    /* what was on disk of it was damaged */
	bool forced;  /* an operator said: now, whatever the back-off */
	unsigned char shown_health; /* view*.c: while they choose */
	unsigned char check; /* enum issue_mode that an operator asked for */
	enum told told;      /* of its end, in the log; and from then */
	int64_t told_again;  /* on once more */
};

/* State of a certificate that is not configured any more: kept, not renewed. */
struct orphan {
	SLIST_ENTRY(orphan) link;
	struct issued have; /* but for what is allocated */
	char *keys;         /* in the keeper's folder, separated by spaces */
	char name[];
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
	SLIST_HEAD(, orphan) orphans;
	bool all_known; /* no key may be in use of which no state tells us */
};

/* It has an order, or its newOrder was cut off and may have made one. */
static inline bool
cert_ordering(const struct cert *c)
{
	return c->order_url != NULL || c->begun != 0;
}

struct wants cert_wants(const struct conf *, const struct conf_cert *);
/* But for the certificate itself: what was tried for the one is true of the
 * other (protocol Q3). */
bool cert_same_wants(const struct wants *, const struct wants *);
/* All the CAs that it may go to, in their order; when these are others, what
 * one of them has said does not have it wait any more. */
uint64_t cert_list(const struct conf *, const struct conf_cert *);
uint64_t cert_hash_names(const char *const *idents, uint32_t n);
/* What of them what is installed does not meet; cc: wants of. */
enum change cert_changed(const struct conf *, const struct conf_cert *cc,
    const struct wants *, const struct issued *);
const char *change_name(enum change); /* "names", ... */

/* When what is installed is due by itself: ARI, else the fraction. */
int64_t cert_renew_at(const struct cert *);
/* The CA's window is there and over, and the certificate is not: it wants it
 * replaced now. */
bool cert_recalled(const struct cert *, int64_t now);
/* It was replaced because its window was over, or while it was very young. */
bool cert_hurried(const struct cert *, int64_t now);
void window_clear(struct window *);

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
/* Its order as it is, for a restart: soft, and nobody is told. */
void certs_keep_order(struct certs *, struct cert *);
/* Its order is over, or never was. */
void certs_drop_order(struct certs *, const struct cert *);
/* All of it, when nobody waits: that it failed is logged, and it is tried
 * again.
 */
void cert_save_told(struct certs *, struct cert *);
void cert_tell_saved(void *arg, const struct err *); /* arg: the cert */
void save_cancel(struct save *); /* saved will not run; the save goes on */

/* cert_file.c: as JSON, which is what is on disk. */
int cert_encode(
    const struct conf *, const struct cert *, struct buf *out, struct err *);
int cert_decode(
    const struct conf *, struct cert *, const char *, size_t, struct err *);
int cert_encode_order(
    const struct conf *, const struct cert *, struct buf *out, struct err *);
int cert_decode_order(
    const struct conf *, struct cert *, const char *, size_t, struct err *);
/* As far as it can be understood.  -1: there may be keys that it is silent of.
 */
int orphan_decode(struct orphan *, const char *, size_t);
int orphan_decode_order(struct orphan *, const char *, size_t);

/* The order is over, one way or another.  Withdraw its tokens first. */
void cert_forget_order(struct cert *);

/* Some certificate has that order under way. */
bool certs_holds(const struct certs *, const char *order_url);

/* The archive has it now; its state goes. */
int certs_forget(struct certs *, struct orphan *, struct err *);
struct orphan *certs_orphan(const struct certs *, const char *name);

/*
 * What was noted in the future was noted by a clock that was wrong: it is not
 * waited for (protocol Q5).  Returns how many there were.
 */
unsigned certs_mend_instants(struct certs *, int64_t now);
/* The clock was set by so much: waits are as long as before. */
void certs_shift(struct certs *, int64_t s);

/* One copy of a text that many certificates share.  NULL: no memory. */
const char *certs_intern(const char *);
