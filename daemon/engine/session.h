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

#include "daemon/engine/keys.h"
#include "lib/acme/objects.h"
#include "lib/base/err.h"
#include "lib/config/config.h"
#include "lib/io/http.h"
#include "lib/io/loop.h"
#include "lib/store/store.h"

struct session;
struct ask;

struct session_env { /* what all sessions share; outlives them */
	struct loop *loop;
	struct http *http;
	struct keys *keys;
	struct store *store;
	const struct conf *conf;
	/* It became possible to ask again, or impossible. */
	void (*changed)(void *arg, struct session *);
	void *arg;
};

struct session *session_new(
    const struct session_env *, uint32_t ca, struct err *);
void session_free(struct session *); /* asks under way are dropped silently */

/* Read what is stored of the account; loaded runs once, from the loop. */
int session_load(struct session *, store_done *loaded, void *arg, struct err *);

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

struct ask_spec {
	const char *url;     /* NULL: the directory's newOrder */
	const char *payload; /* NULL: POST-as-GET */
	const char *accept;  /* NULL: application/json */
	bool once; /* do not repeat when the reply was lost: finalize */
	/* newOrder: its turn comes; it is sent after ask_go().  May be NULL. */
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

/*
 * When the CA may be asked again: 0 now, INT64_MAX when a person must act.
 * why (if not NULL) gets the reason, valid until the session changes.
 */
int64_t session_blocked(const struct session *, const char **why);

/* An operator wants it tried now. */
void session_unblock(struct session *);

const struct conf_ca *session_ca(const struct session *);
const char *session_account_url(const struct session *); /* NULL: none yet */
const char *session_thumbprint(const struct session *);  /* NULL: no key yet */
const struct directory *session_directory(const struct session *); /* or NULL */

/*
 * Failed validations count per identifier across all certificates of the
 * account (protocol M4: at most 3 an hour), and are kept on disk.
 */
void session_validation_failed(struct session *, const char *ident);
/* When an order with these identifiers may be tried; 0: now. */
int64_t session_validation_when(
    const struct session *, const char *const *idents, uint32_t n);

/*
 * How long validations and finalizations have taken here lately: the first
 * poll comes then.  Learned from what polls find.
 */
enum pace { PACE_AUTHZ, PACE_ORDER, PACE__COUNT };
int64_t session_pace_ms(const struct session *, enum pace);
void session_pace_learn(struct session *, enum pace, bool done_at_first_poll);
