/* SPDX-License-Identifier: ISC */
/*
 * The engine as a whole: what its parts share.  main.c makes it, renew.c
 * decides what to do next, deploy.c runs reload commands, control.c answers
 * people, events.c tells what happens.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/engine/certs.h"
#include "daemon/engine/heap.h"
#include "daemon/engine/issue.h"
#include "daemon/engine/responder.h"
#include "daemon/engine/schedule.h"
#include "daemon/engine/session.h"
#include "daemon/engine/tokens.h"
#include "daemon/engine/upstairs.h"
#include "lib/config/config.h"
#include "lib/io/dns.h"
#include "lib/io/http.h"
#include "lib/io/loop.h"
#include "lib/io/psl.h"
#include "lib/ipc/ipc.h"
#include "lib/store/store.h"

struct control;
struct events;
struct sweep;
struct restore;
struct engine;

TAILQ_HEAD(cert_list, cert);

struct ca_queue { /* one for each CA of the configuration */
	struct engine *engine;
	struct session *session;
	struct heap ready;   /* due, waiting for a place; by urgency */
	struct heap limited; /* due, waiting for the account's next order */
	struct loop_timer *timer;
	uint32_t active, done;
	uint32_t served;      /* attempts that ended well */
	uint32_t parked;      /* active ones that the CA takes its time with */
	uint32_t per_hour;    /* renewals without haste, see pace.c */
	uint32_t places;      /* for active ones */
	int64_t pace_full_ms; /* how far that hour is used up */
	int64_t first_at;     /* of what is queued now; 0: nothing is */
	bool pumping;
};

struct reload_group { /* one for each command of the configuration */
	struct engine *engine;
	struct cert_list due; /* whose reload has not succeeded yet */
	uint32_t n_due;
	uint32_t busy; /* its certificates that are being issued or wait */
	int64_t since_ms;
	int64_t next; /* back-off after a failure: not before; 0: none */
	struct loop_timer *timer;
	struct up_op *running;
	struct cert **batch; /* of the run that is under way */
	uint32_t n_batch;
};

struct engine {
	struct conf *conf;
	struct loop *loop;
	struct http *http;
	struct keys *keys;
	struct upstairs *upstairs;
	struct store *store;
	struct tokens *tokens;
	struct responder *responder;
	struct control *control;
	struct events *events;
	struct sweep *sweep; /* under way */
	struct certs certs;

	struct session_env session_env;
	struct issue_env issue_env;
	struct ca_queue *cas;
	struct reload_group *groups;

	struct heap sleeping; /* not due yet, by instant */
	struct loop_timer *tick, *all_timer;
	struct loop_timer *status_timer;
	struct loop_timer *alive;
	struct psl *psl;
	struct dns *dns;

	struct heap looks; /* at renewal windows, by instant */
	struct loop_timer *look_timer;
	uint32_t looking;
	uint32_t asked; /* how often an operator has asked for something */

	struct restore *restore;

	struct loop_timer *clock_timer;
	struct loop_jump *jump;
	struct ask *probe;
	int64_t ahead_s;   /* the CAs' clocks, of ours; 0: they agree */
	int64_t sorted_s;  /* the same, by which what sleeps was sorted */
	int64_t offset_ms; /* ours when it was right last, of the monotonic */
	int64_t told_ms;   /* the same when it was last told of */
	uint32_t probe_ca;
	bool clock_bad;
	bool clock_doubt; /* no CA was asked since we began, or it was set */

	int64_t paced_at;            /* pace_learn() was called */
	int64_t sort_at;             /* what waits is, if within the hour */
	int64_t turns_at, turns_end; /* plan_turns() was, and came to */
	struct share *shares;        /* of new names in what limits domains */
	size_t n_shares;
	uint32_t hooks; /* reload commands that run */
	bool started;
	bool stopping;
	bool told;                      /* by a signal, to end */
	void (*leave)(struct engine *); /* end in order; may be NULL */
	loop_fn *stopped;
	struct loop_timer *stop_timer;

	struct ipc_start start;
	struct ipc_refused refused; /* at 0: none was, of later ones */
	int64_t started_at;
	int64_t conf_read_at; /* by root; 0: not known */
	unsigned loading;
	void (*loaded)(struct engine *, unsigned damaged, const struct err *);
	bool failed; /* exit status */
};

/* renew.c: everything that decides when. */
int renew_init(struct engine *, struct err *);
void renew_start(struct engine *); /* all state is loaded: begin */
void renew_done(struct engine *);
/* Look at a certificate again: something about it has changed. */
void renew_look(struct engine *, struct cert *);
/* At all of them, soon: the clock has changed. */
void renew_all(struct engine *);
/* An operator wants it renewed now, whatever the back-off, and whatever the CAs
 * of its list are waiting for. */
void renew_now(struct engine *, struct cert *);
/* An operator wants it tried out; busy: -1 and why. */
int renew_check(struct engine *, struct cert *, enum issue_mode, struct err *);
/* When its next attempt begins; 0: one is under way or waits for a place. */
int64_t renew_next(const struct cert *);
/* The CA that its next attempt goes to, or the one under way. */
uint32_t renew_ca(const struct engine *, const struct cert *);
/* The session of a CA works again, or does not. */
void renew_ca_changed(void *arg, struct session *);

/* The test CA of the one that is next, CONF_NONE: none. */
uint32_t renew_test_ca(const struct engine *, const struct cert *);
/* Of its lifetime, in 1/1000. */
unsigned renew_left(const struct engine *, const struct cert *);

/* outcome.c: an attempt is over. */
void outcome_note(struct engine *, struct cert *, const struct outcome *);
/* What an operator wanted tried out would have to wait until then, or until a
 * person has acted (INT64_MAX): it ends. */
void outcome_no_check(struct cert *, const char *why, int64_t until);

/* pace.c: renewals that have time are spread (protocol M6, Q7). */
void pace_learn(struct engine *); /* hourly: how many there are */
bool pace_applies(const struct engine *, const struct cert *);
/* Instant from which one more may begin; 0: now. */
int64_t pace_when(const struct ca_queue *);
void pace_take(struct ca_queue *);
/* What goes first at a CA: the smallest.  instead: one where it is new only
 * because another has too much. */
int64_t pace_urgency(const struct engine *, const struct cert *, bool instead);
/* When it will be about to end, if it has no time to be found so by the hourly
 * look; INT64_MAX: it has, or is already. */
int64_t pace_late_at(const struct engine *, const struct cert *);

/* crowd.c: new names of one registered domain. */
void crowd_begin(struct engine *);
void crowd_learn(struct engine *); /* hourly: how far behind each will be */
void crowd_end(struct engine *);

/* ari.c: renewal windows. */
int ari_init(struct engine *, struct err *);
void ari_done(struct engine *);
void ari_watch(struct engine *, struct cert *); /* it is a new one */
void ari_drop(struct engine *, struct cert *);
/* At all of them: it begins, or the clock or their instants have changed. */
void ari_look(struct engine *);

/* sweep.c: keys that nobody knows; once, when all state is loaded. */
void sweep_start(struct engine *);
void sweep_cancel(struct engine *);

/* clockwatch.c */
int clock_init(struct engine *, struct err *);
void clock_done(struct engine *);
void clock_look(struct engine *); /* is it right? */
void clock_heard(void *engine);   /* look soon: a CA says otherwise */
void clock_ask(struct engine *);  /* a CA, for the time it has */
/* Hourly: a difference is asked for again, when nobody else asks for anything:
 * what is due depends on it for months. */
void clock_tick(struct engine *);
/* Whether the clock is known well enough to begin with that one.  If not, it is
 * being seen to, and renew_all() follows. */
bool clock_settled(struct engine *, const struct cert *);
/* It is: what was noted in the future is not waited for (protocol Q5). */
unsigned clock_mend(struct engine *);
int64_t engine_now(const struct engine *); /* as the CAs have it */

/* restore.c: what is on disk of certificates that are forgotten, or damaged. */
int restore_init(struct engine *, struct err *);
/* known(engine) runs when all that can be had from disk is in memory.  What is
 * in service is looked after then, once a day. */
void restore_start(struct engine *, void (*known)(struct engine *));
void restore_done(struct engine *);

/* deploy.c: reload commands. */
int deploy_init(struct engine *, struct err *);
void deploy_done(struct engine *);
void deploy_due(struct engine *, struct cert *); /* installed, not reloaded */
void deploy_look(struct engine *); /* waits were changed, or may be over */
void deploy_busy(struct engine *, const struct cert *, int change);

/* What the whole comes to for one certificate. */
enum health {
	HEALTH_OK,      /* valid, nothing wrong */
	HEALTH_WAITING, /* no certificate yet, nothing has failed */
	HEALTH_WARN,    /* something failed, will be tried again in time */
	HEALTH_BAD,     /* a person must act */
};
enum health cert_health(const struct engine *, const struct cert *);
enum alarm cert_alarm(const struct engine *, const struct cert *);
void engine_count(const struct engine *, struct ipc_status *);
/* What a person should do about a limit that outlives it; NULL: none does. */
const char *health_hint(const struct engine *, const struct cert *);
/* Hourly: say which certificates are late, in the log: nothing else may be said
 * of what waits for months (protocol Q9). */
void health_tell(struct engine *);

/*
 * setup.c: the parts, put together.  loop, store, keys, upstairs, http and
 * conf are there; loaded runs from the loop when all state is in memory.
 */
int engine_setup(struct engine *, struct err *);
int engine_load(struct engine *,
    void (*loaded)(struct engine *, unsigned damaged, const struct err *),
    struct err *);
/* Answer what orders under way have waiting, before anything is served. */
void engine_republish(struct engine *);
void engine_begin(struct engine *); /* everything serves: go */
/* Begin nothing any more; stopped(engine) runs when no CA is at making an order
 * for us, which would be lost, or in 3 s. */
void engine_stop(struct engine *, loop_fn *stopped);
void engine_halted(void *arg); /* an attempt has come to a halt */
void engine_done(struct engine *);
