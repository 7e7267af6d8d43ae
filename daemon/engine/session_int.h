/* SPDX-License-Identifier: ISC */
/* What session.c (asking) and account.c (getting ready to ask) share. */
#pragma once

#include <sys/queue.h>

#include "daemon/engine/session.h"
#include "lib/base/pool.h"
#include "lib/crypto/key.h"
#include "lib/io/json.h"

#define NONCES_MAX   16
#define NONCE_AGE_MS (120 * INT64_C(1000))
#define RESENDS_MAX  8 /* badNonce, per request */
#define TRIES_MAX    3 /* lost or 5xx, per request */

struct nonce {
	char *value;
	int64_t at_ms;
};

/* What is kept of an account: "accounts/<ca>" in the store. */
struct account_doc {
	char *key_id, *thumbprint;
	char *url;
	char *email;   /* as the CA has it; NULL: none */
	char *eab_kid; /* used at registration */
	uint64_t rev;
};

enum session_state {
	SESSION_COLD,      /* not ready, nobody is making it so */
	SESSION_PREPARING, /* account.c is at work */
	SESSION_READY,
};

TAILQ_HEAD(ask_list, ask);
struct account_write;
TAILQ_HEAD(account_writes, account_write);

struct lost;

struct session {
	const struct session_env *env;
	const struct conf_ca *ca;
	uint32_t index;
	enum session_state state;
	unsigned n_nonces;
	unsigned registrations;
	unsigned vain; /* registered again, and no certificate since */

	struct pool *dir_pool;
	struct directory dir;
	int64_t dir_at_ms; /* monotonic; 0: none */
	int64_t doubt_ms;  /* of what was asked before, the Date is void */

	struct nonce nonces[NONCES_MAX];

	struct account_doc doc;
	int64_t reregistered_ms;

	struct ask_list asks;     /* all that live */
	struct ask_list ordering; /* newOrders that wait for the one before */
	struct ask *newest_order; /* the newOrder that is under way */
	struct loop_timer *next_order;

	/* loading */
	store_done *loaded;
	void *loaded_arg;
	struct store_op *load_op;

	/* preparing */
	struct http_call *dir_call;
	struct keys_op *key_op;
	struct account_writes saves;
	struct ask *account_ask;
	struct lost *lost; /* NULL: no order was */
	bool tried_existing, key_checked, contact_tried;
	bool key_unsaved; /* made, and not yet on disk */
	bool doubted;     /* the account may not be valid any more */
	bool clock_odd;   /* the CA's, by its Date: not believed */
	bool budget_changed;
	bool deaf;       /* to signed requests, whatever its directory does */
	bool key_is_old; /* the key was on disk: the CA may know it */

	/* after a failure that concerns the CA or the account as a whole */
	struct breaker breaker;
	int64_t not_before; /* as the CA asked, kept on disk; 0: not */
	struct err why;
	const char *hint;
	struct loop_timer *retry;

	struct budget *budget;
	struct loop_timer *budget_timer;
	struct store_op *budget_op;
	int64_t requests_full_ms; /* of the cap on requests (protocol Q6) */

	int64_t clock_told_s;  /* how far ours is off, as the log has it */
	int64_t clock_said_s;  /* the CA's, by its Date */
	int64_t clock_seen_ms; /* monotonic; 0: never */

	int64_t pace_ms[PACE__COUNT];
};

/* One line for each exchange, at debug level; h NULL: no reply came. */
void session_log(const struct session *, const char *method, const char *url,
    const struct http_reply *h, const char *error);

/* Start preparing; ends in session_prepared() from the loop.  -1: it cannot
 * even start. */
int account_prepare(struct session *, struct err *);
void account_cancel(struct session *);

/* lost.c, as a step of preparing: and the step before it to account.c. */
int step_lost(struct session *, struct err *);
void lost_free(struct lost *);
void account_go_on(struct session *);

/* account.c to session.c: err NULL means ready. */
void session_prepared(struct session *, const struct err *);

/* Ask outside of the gate, for account.c: jwk means sign with the key itself.
 */
struct ask *session_ask_setup(struct session *, const struct ask_spec *,
    bool jwk, ask_done *, void *arg, struct err *);

/* Write the account's state; done may be NULL. */
int account_save(struct session *, store_done *, void *arg, struct err *);
int account_decode_doc(struct session *, const char *, size_t, struct err *);
void account_doc_clear(struct account_doc *);

/* Seconds until an account that is lost may be made again; 0: now. */
int64_t session_register_in(const struct session *);

/* nonces.c */
void nonce_keep(struct session *, const struct http_reply *);
char *nonce_take(struct session *); /* the caller frees; NULL: none */
void nonces_drop(struct session *);

/* outage.c */
int outage_begin(struct session *, struct err *);
void outage_end(struct session *);
/* A failure that concerns the CA or the network as a whole, not one request:
 * no connection, or a 503 of the load balancer (protocol M3). */
bool session_is_outage(const struct err *);
void session_trip(struct session *, const struct err *); /* one of these */
void session_answers(struct session *); /* others may have waited for that */
/* Nobody asks until then, as was found before the process was started. */
void session_block(
    struct session *, int64_t since, int64_t until, const char *why);

/* Account-level refusal: nobody asks until a person acts (protocol D7, D10). */
void session_stop(struct session *, const struct err *);

/* guard.c */
int budget_begin(struct session *, struct err *);
int budget_load(struct session *, struct err *); /* then loaded() */
void budget_stop(struct session *);
/* Milliseconds until one more request may be sent, which is counted; 0: now. */
int64_t request_slot(struct session *);
/* A reply came: what its Date says of the clocks. */
void clock_learn(struct session *, const struct http_reply *);
/* It answers what was asked since session_doubt(). */
bool session_asked_since(const struct session *, const struct http_reply *);
/* Whether the two clocks differ, when that is news. */
void clock_tell(struct session *);
