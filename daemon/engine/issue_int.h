/* SPDX-License-Identifier: ISC */
/* The step table's shape, and the steps that live in other files. */
#pragma once

#include "daemon/engine/issue.h"
#include "lib/acme/jws.h"
#include "lib/acme/objects.h"
#include "lib/base/buf.h"
#include "lib/base/pool.h"

#define ASKS_MAX        2000 /* of one attempt: no bug can spin for ever */
#define ALTERNATES_MAX  8
#define REANSWERS_MAX   3
#define FAILURES_MAX    8192
#define STARTED_NOTHING 1

enum step {
	STEP_LOST,
	STEP_LOOK,
	STEP_CAA,
	STEP_NEW_ORDER,
	STEP_AUTHZ,
	STEP_PUBLISH,
	STEP_ANSWER,
	STEP_POLL_AUTHZ,
	STEP_POLL_ORDER,
	STEP_KEY,
	STEP_CSR,
	STEP_FINALIZE,
	STEP_DOWNLOAD,
	STEP_ALTERNATE,
	STEP_INSTALL,
	STEP__COUNT,
};

struct next {
	enum { NEXT_GO, NEXT_LATER, NEXT_DONE, NEXT_FAIL } what;
	enum step to;
	int64_t wait_ms;     /* NEXT_LATER */
	enum save_what save; /* keep this first */
};
#define NEXT_TO(s)  ((struct next){ .what = NEXT_GO, .to = (s) })
#define NEXT_FAILED ((struct next){ .what = NEXT_FAIL })

struct answer { /* of whatever the step started; one is set */
	const struct reply *reply;
	const struct keys_reply *key;
	const struct caa *caa;
	uint32_t version;
};

struct step_def {
	const char *name;
	/* 0: under way; STARTED_NOTHING: go to on_reply at once, with NULL. */
	int (*start)(struct issue *, struct err *);
	struct next (*on_reply)(
	    struct issue *, const struct answer *, struct err *);
	struct next (*on_error)(struct issue *, struct err *); /* or fail */
	enum step resume;
	enum policy_where where;
};

struct one_authz {
	const char *url, *challenge, *token, *ident;
	bool pending, fetched, looked; /* at it, since it was fetched */
	int64_t told_ms; /* the CA said: not before that; 0: did not say */
	unsigned reanswers;
};

struct issue {
	const struct issue_env *env;
	struct cert *cert;
	struct session *session;
	struct session *rehearsed; /* whose test CA it is, or NULL */
	enum issue_mode mode;
	issue_done *done;
	void *arg;

	enum step step;
	struct next then; /* after the save that is under way */
	bool waiting;     /* for the timer */
	bool slow;        /* gave up its place */
	bool early;       /* not valid by our clock, by the CA's it is */
	unsigned asks;

	/* what is under way: one of these */
	struct ask *ask;
	struct keys_op *key_op;
	struct save *save;
	struct up_op *up_op;
	struct dns_op *dns_op;
	struct loop_timer *timer;

	struct pool *pool;       /* of the attempt: authorizations */
	struct pool *order_pool; /* of the latest order object */
	struct order order;
	struct one_authz *authzs;
	size_t n_authzs, at;
	/* of those that are pending: answered up to there, and of these so many
	 * not over yet, which may be up to so many */
	size_t fresh, flying, window;
	bool hurried;        /* the timer: for one that was fetched */
	bool asks_all;       /* of the others as well when some have failed */
	int64_t answered_ms; /* the latest one, by waited_ms */
	int64_t failed_ms;   /* the first one, by waited_ms; asks_all: or the
				latest that was over */
	struct buf failures; /* what the CA said of each failed name */
	struct err failure;  /* the worst of them */

	unsigned polls, resyncs, taken;
	int64_t waited_ms;  /* for the CA; not while the host slept */
	int64_t resumed_ms; /* of it before a restart; 0: none, or it moves */
	int64_t until_ms;   /* monotonic, while waiting */
	bool told_when;     /* the CA said Retry-After: do not be cleverer */
	bool abandoned, second_key, outlived;
	bool caa;           /* look at it first */
	bool lost;          /* the order of an earlier run is not to be found */
	bool looked_again;  /* for a profile that was not there */
	bool looks_beside;  /* at the directory of the CA that is rehearsed */
	bool ordered;       /* the CA has made an order, or may have */
	bool issued;        /* and a certificate of it */
	bool replaces_sent; /* in the newOrder that is under way */
	bool no_profile;    /* the CA does not want the one preferred */
	bool post_mortem;   /* the order is invalid: looking for the reason */
	bool all_valid;     /* as the last look at the authorizations found */

	struct buf csr;
	struct chain *chain;
	char *alternates[ALTERNATES_MAX];
	size_t n_alternates, next_alternate;
};

void issue_free(struct issue *);
void issue_next(struct issue *, struct next, struct err *);
int issue_ask(struct issue *, const struct ask_spec *, struct err *);
int issue_ask_at(
    struct issue *, struct session *, const struct ask_spec *, struct err *);
void issue_on_key(void *, const struct keys_reply *, const struct err *);
void issue_on_install(void *, uint32_t version, const struct err *);
void issue_answer(
    struct issue *, const struct answer *, const struct err *failed);
struct next next_later(enum step, int64_t wait_ms);
/* The order's, unless it is in service. */
void issue_drop_key(const struct issue_env *, const struct cert *);
/* Withdraw the tokens and forget the order. */
void issue_drop_order(struct issue *);
struct next issue_abandon(struct issue *, struct err *);

/* issue_wait.c */
/* How long to wait, when the CA said so many seconds; 0: did not say. */
int64_t issue_poll_wait(struct issue *, int64_t said_s, enum pace);
/* Whether it is polled for longer than that, which e says then. */
bool issue_too_long(struct issue *, enum pace, const char *what, struct err *);
void issue_poll_begin(struct issue *);
/* What was waited so far is on disk, unless it cannot be had there. */
void issue_keep_waited(struct issue *);

/* issue_order.c */
int start_lost(struct issue *, struct err *);
struct next got_lost(struct issue *, const struct answer *, struct err *);
int start_look(struct issue *, struct err *);
struct next got_look(struct issue *, const struct answer *, struct err *);
int start_caa(struct issue *, struct err *);
struct next got_caa(struct issue *, const struct answer *, struct err *);
struct next no_caa(struct issue *, struct err *);
int start_new_order(struct issue *, struct err *);
struct next new_order_failed(struct issue *, struct err *);
/* The CA does not take the profile: go on without, if it may be. */
bool issue_drop_profile(struct issue *, const struct err *);

/* issue_authz.c */
int start_authz(struct issue *, struct err *);
struct next got_authz(struct issue *, const struct answer *, struct err *);
int start_publish(struct issue *, struct err *);
struct next published(struct issue *, const struct answer *, struct err *);
int start_answer(struct issue *, struct err *);
struct next answered(struct issue *, const struct answer *, struct err *);
struct next answer_failed(struct issue *, struct err *);
int start_poll_authz(struct issue *, struct err *);
struct next polled_authz(struct issue *, const struct answer *, struct err *);
struct next issue_invalid(struct issue *, struct err *);
void tokens_stop(struct issue *);  /* withdraw them */
void tokens_leave(struct issue *); /* they stay, we go */

/* issue_chain.c */
int start_download(struct issue *, struct err *);
struct next downloaded(struct issue *, const struct answer *, struct err *);
int start_alternate(struct issue *, struct err *);
struct next got_alternate(struct issue *, const struct answer *, struct err *);
struct next no_alternate(struct issue *, struct err *);
int start_install(struct issue *, struct err *);
struct next installed(struct issue *, const struct answer *, struct err *);
