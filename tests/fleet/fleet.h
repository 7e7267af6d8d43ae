/* SPDX-License-Identifier: ISC */
/*
 * Years of a fleet's life in seconds: the engine's own schedule, policy,
 * budget, breaker, failover, pace and windows, on virtual time, against CAs
 * that are made up here and count for themselves.
 *
 *	main.c     the calendar: outages, restarts, a clock that is set
 *	world.c    loop's surroundings: configuration, store, keeper, root
 *	session.c  instead of the engine's: nothing is sent
 *	attempt.c  instead of issue.c: an attempt is three events
 *	ca.c       the CAs, and what they count
 *	ledger.c   what is true of each certificate, and what must not be
 *	report.c   what came of it
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/engine/engine.h"
#include "tests/scenarios/sim.h"

#define HOUR  INT64_C(3600)
#define DAY   (24 * HOUR)
#define NEVER (INT64_MAX / 2)
#define BLOCK 120 /* certificates of a large domain */

enum breakage { /* self checks: what the run must complain of */
	BROKEN_NOT,
	BROKEN_RENEWALS, /* the engine is stopped on day 100, for good */
	BROKEN_LIMITS,   /* the CA allows half of what is configured */
	BROKEN_PACE,     /* what has time is not spread */
	BROKEN_QUEUES,   /* nobody leaves one CA's queue for another CA */
};

extern struct fleet_opts {
	uint32_t certs;
	uint32_t max_orders; /* at Let's Encrypt; 0: not said */
	int64_t span_s;
	uint64_t seed;
	enum breakage broken;
	bool verbose;
} opts;

/* Chance of this world; the engine has its own. */
uint64_t chance(uint64_t below);
int64_t world_now(void); /* as the CAs have it */
int64_t world_start(void);

/* world.c */
extern struct engine *the_engine;
int world_open(struct err *); /* the configuration */
void world_close(void);
int world_engine_start(struct err *);
void world_engine_stop(void); /* what it knows is on disk */
int64_t world_not_before(uint32_t ca);

/* ca.c: by index in the configuration */
enum ca_kind { CA_LETSENCRYPT, CA_STAGING, CA_OTHER };
uint32_t ca_host(void); /* the index of this host, which may be off */

struct outage {
	int64_t from, to;
	int64_t retry_after; /* 503; -1: no connection */
};
#define OUTAGES_MAX 2000

struct refusal {
	int status;
	int64_t retry_after; /* -1: not said */
	unsigned problem;
	const char *what;
};

enum {
	REFUSED_ORDERS,
	REFUSED_DOMAIN,
	REFUSED_NAMES,
	REFUSED_FAILURES,
	REFUSED_PAUSED,
	REFUSED_REPLACES,
	REFUSED__COUNT
};

struct ca_stats {
	uint64_t orders, failed, issued, polls;
	uint64_t refused[REFUSED__COUNT];
	uint64_t counted; /* for the account's limit */
	uint64_t exempt;  /* in window, with replaces */
	uint64_t again;   /* renewals that are half exempt */
	/* orders of each hour; of those that are not spread, since they have
	 * no certificate, or less than a quarter of its lifetime left */
	uint32_t *hours, *hasty;
};

int ca_open(struct err *);
void ca_close(void);
enum ca_kind ca_kind(uint32_t ca);
struct ca_stats *ca_stats(uint32_t ca);
void ca_add_outage(uint32_t ca, int64_t from, int64_t to, int64_t retry_after);
const struct outage *ca_outage(uint32_t ca, int64_t t); /* NULL: it works */
/* Seconds of [from, to) without that CA. */
int64_t ca_missing(uint32_t ca, int64_t from, int64_t to);
/* An order for that certificate; replaces: its ARI id or NULL.  False: no. */
bool ca_order(
    uint32_t ca, const struct cert *, const char *replaces, struct refusal *);
/* How long its validation takes, and whether it succeeds. */
int64_t ca_validation(const struct cert *, bool *valid);
void ca_failed(uint32_t ca, const struct cert *);
/* The order is finalized: a certificate is made, and the ledger told. */
void ca_issue(uint32_t ca, struct cert *);
bool ca_order_lives(const struct cert *);

/* ledger.c */
enum klass { K_90, K_64, K_45, K_6, K_OTHER, K__COUNT };

/* Of a certificate of the configuration, as it is in truth.  What each look at
 * its window reads is in one line of the cache. */
struct record {
	_Alignas(64) int64_t from, to; /* what is served; 0: nothing */
	int64_t life;
	bool revoked; /* its window has been moved into the past */
	bool slow;    /* validations take hours */
	bool order_counts, order_exempt; /* the order under way */
	enum klass klass;
	uint32_t serial, replaced; /* the latest, and the latest replaced */
	uint32_t ca;
	int64_t first; /* instant of the first one; 0: none yet */
	int64_t bad_from[2], bad_to[2]; /* its name does not validate */
	int64_t order_until, valid_at;  /* as its CA has it */
};
extern struct record *records;

struct totals {
	uint64_t issued[K__COUNT], first, replaced, recalled, failovers;
	uint64_t left[K__COUNT][1001]; /* at renewal, in 1/1000 */
	uint64_t alarms[4];
	uint64_t late_name, late_outage;    /* below 1/8 */
	uint64_t expired_name, expired_off; /* the latter: this host was */
	double ideal;        /* renewals, had each been on time */
	int64_t last_listed; /* of those with a second CA to go to */
	int64_t last_first, ideal_first, recall_at, slowest_recall;
	uint64_t counted_first; /* orders of the account by last_first */
	uint64_t restarts, jumps, daily_alarms[4], daily_waits;
	unsigned violations;
	bool ended;
};
extern struct totals totals;

int ledger_open(struct err *);
void ledger_close(void);
bool ledger_bad(const struct record *, int64_t t);
void ledger_issued(uint32_t cert, uint32_t ca, int64_t from, int64_t to);
void ledger_window(const struct record *, int64_t *start, int64_t *end);
void ledger_recall(unsigned permille); /* the CA's mass revocation */
void ledger_daily(void);
uint32_t ledger_hour(int64_t hour, bool hasty); /* orders of that kind */
void ledger_end(void);
void violation(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* report.c */
void report(double cpu_s);
