/* SPDX-License-Identifier: ISC */
/*
 * One conversation with one CA under one account: directory, nonces, account,
 * signing, problems, badNonce.  Steps ask; everything that every reply needs
 * is done here, and only here (RFC 8555 6, 7.1.1, 7.2, 7.3).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/engine/breaker.h"
#include "daemon/engine/budget.h"
#include "daemon/engine/keys.h"
#include "lib/acme/objects.h"
#include "lib/base/err.h"
#include "lib/config/config.h"
#include "lib/io/http.h"
#include "lib/io/loop.h"
#include "lib/store/store.h"

struct cert;
struct session;
struct ask;

struct session_env { /* what all sessions share; outlives them */
	struct loop *loop;
	struct http *http;
	struct keys *keys;
	struct store *store;
	const struct conf *conf;
	const struct psl *psl;
	/* It became possible to ask again, or impossible. */
	void (*changed)(void *arg, struct session *);
	/* How far its clock is ahead of ours is news. */
	void (*clock)(void *arg);
	/* Some certificate has that order under way. */
	bool (*holds)(void *arg, const char *url);
	void *arg;
};

struct session *session_new(
    const struct session_env *, uint32_t ca, struct err *);
void session_free(struct session *); /* asks under way are dropped silently */

/* Read what is stored of the account and of its budget; loaded runs once, from
 * the loop. */
int session_load(struct session *, store_done *loaded, void *arg, struct err *);

/*
 * Before anything else is asked there, look for the order that a newOrder for
 * cert may have made, whose answer nobody heard (lost.c); then, once: its URL,
 * the caller's to free, or NULL.
 */
int session_seek(struct session *, const struct cert *, struct err *);
char *session_found(struct session *, const struct cert *);

struct reply { /* valid during ask_done only */
	int status;
	const char *body; /* NUL behind */
	size_t len;
	const char *location;  /* checked to be https; NULL: none */
	int64_t retry_after_s; /* -1: not said */
	const char *url;
	const struct http_reply *http; /* for Link */
};

/* err: what the CA, or the way to it, said.  Exactly one of the two is set. */
typedef void ask_done(void *arg, const struct reply *, const struct err *);

enum ask_kind {
	ASK_URL,     /* POST to url, as the account */
	ASK_ORDER,   /* POST to the directory's newOrder, when its turn comes */
	ASK_RENEWAL, /* GET of the renewal information of url, an ARI id */
	ASK_READY,   /* nothing: done when directory and account are there */
};

struct ask_spec {
	enum ask_kind kind;
	const char *url;
	const char *payload; /* NULL: POST-as-GET */
	const char *accept;  /* NULL: application/json */
	bool once; /* do not repeat when the reply was lost: finalize */
	/* ASK_ORDER: its turn comes; it is sent after ask_go().  May be NULL.
	 */
	void (*turn)(void *arg);
};

/*
 * Ask as the account, which is made first if need be.  badNonce and short
 * outages are dealt with.  done runs once, from the loop, never from inside,
 * not after ask_cancel().  NULL on failure.
 */
struct ask *session_ask(struct session *, const struct ask_spec *, ask_done *,
    void *arg, struct err *);
void ask_cancel(struct ask *); /* NULL is fine */
void ask_go(struct ask *);
bool ask_sent(const struct ask *); /* it is on its way, or was */

/*
 * When the CA may be asked again: 0 now, INT64_MAX when a person must act.
 * why (if not NULL) gets the reason, valid until the session changes.
 */
int64_t session_blocked(const struct session *, const char **why);
/* What a person should do about it; NULL: no advice. */
const char *session_hint(const struct session *);

/* The clock was set by so much: waits are as long as before. */
void session_shift(struct session *, int64_t by);
/* It was set, or the host has slept: what is waited for may be over. */
void session_look(struct session *);
/* What a wrong clock wrote down is not waited for. */
void session_mend(struct session *);
/* What it said of the time may not hold: the next to ask it asks that too. */
void session_doubt(struct session *);

/* An operator wants it tried now. */
void session_unblock(struct session *);

/* How long it has been in trouble, and whether it is being tried out. */
const struct breaker *session_breaker(const struct session *);

uint32_t session_index(const struct session *); /* in the configuration */
const struct conf_ca *session_ca(const struct session *);
const char *session_account_url(const struct session *); /* NULL: none yet */
/* A certificate came of its account: that it gets lost again is news. */
void session_proved(struct session *);
const char *session_thumbprint(const struct session *); /* NULL: no key yet */
const struct directory *session_directory(const struct session *); /* or NULL */
/* What it lacks may have come since: the next ask fetches it anew.  False: it
 * is not an hour old. */
bool session_look_again(struct session *);

/* What may be asked of it; after a change, session_budget_changed(). */
struct budget *session_budget(const struct session *);
void session_budget_changed(struct session *);

/*
 * How far its clock is ahead of ours, by the Date of its latest reply (protocol
 * J16); that ours is set meanwhile does not matter.  False: it has not said
 * within the last day.
 */
bool session_clock(const struct session *, int64_t *ahead_s);
int64_t session_heard_s(const struct session *); /* how long that is ago */
/* Now, as that CA has it: what its orders and certificates are held against. */
int64_t session_now(const struct session *);

/*
 * How long validations and finalizations have taken here lately: the first
 * poll comes then.  Learned from what polls find.
 */
enum pace { PACE_AUTHZ, PACE_ORDER, PACE__COUNT };
int64_t session_pace_ms(const struct session *, enum pace);
void session_pace_learn(struct session *, enum pace, bool done_at_first_poll);
