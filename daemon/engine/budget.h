/* SPDX-License-Identifier: ISC */
/*
 * What may still be asked of a CA under one account, as far as its limits are
 * known (protocol M.1): orders of the account, certificates of a registered
 * domain and of a set of names, failed validations of a name.  Spent ahead of
 * time, so that the CA need not say 429.
 *
 * Each limit is a bucket that refills evenly (GCRA, as Let's Encrypt counts):
 * one instant a bucket, and none for a bucket that is full.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/config/config.h"
#include "lib/io/psl.h"

struct budget;

#define BUDGET_FAILED_HOUR                                 \
	3 /* our own guard: of a name, a rolling hour (M4) \
	   */
#define BUDGET_KEY_MAX (STR_IDENT_MAX + 32)

/* ca and psl outlive it. */
struct budget *budget_new(
    const struct conf_ca *, const struct psl *, struct err *);
void budget_free(struct budget *); /* NULL is fine */
DEFINE_AUTO(struct budget, budget_free)
/* To try out what would be; ca: the one whose limits count from then on.  What
 * is under way counts as issued. */
struct budget *budget_clone(
    const struct budget *, const struct conf_ca *ca, int64_t now, struct err *);

struct budget_order { /* what decides which limits an order counts for */
	const char *const *idents; /* canonical, sorted */
	uint32_t n_idents;
	bool again;     /* this CA has issued for exactly these names before */
	bool in_window; /* sent with replaces, inside of its renewal window */
};

struct budget_wait { /* the limit that makes it wait longest */
	enum conf_limit limit;
	char of[BUDGET_KEY_MAX]; /* domain or names; "" for the account's */
};

/* "one: limit per-domain, 50 in 7 days, of example.org" */
void budget_describe(
    const struct budget_wait *, const struct conf_ca *, char *text, size_t);

/* When such an order may be sent; 0: now.  why may be NULL. */
int64_t budget_when(const struct budget *, const struct budget_order *,
    int64_t now, struct budget_wait *why);

/* The account's limit alone: when such an order may be sent after n others; 0:
 * now.  And how many there may be until then; UINT32_MAX: any number. */
int64_t budget_turn(const struct budget *, const struct budget_order *,
    uint32_t n, int64_t now);
uint32_t budget_turns(const struct budget *, const struct budget_order *,
    int64_t until, int64_t now);

/* Certificates that ident's registered domain may have now; UINT32_MAX: any. */
uint32_t budget_left(const struct budget *, const char *ident, int64_t now);

/*
 * For planning: the first instant from t on at which such an order may be
 * sent, which is taken.  account: the account's limit alone, else all others;
 * of one bucket, in the order of the instants.
 */
int64_t budget_book(struct budget *, const struct budget_order *, bool account,
    int64_t t, struct budget_wait *why);
/* The same as far as all limits go, in two: why is set when it is later. */
int64_t budget_peek(const struct budget *, const struct budget_order *,
    int64_t t, struct budget_wait *why);
void budget_take(struct budget *, const struct budget_order *, int64_t t);

/* It is going to be sent.  Returns what was spent, for budget_refund(). */
unsigned budget_spend(
    struct budget *, const struct budget_order *, int64_t now);
#define BUDGET_SPENT_ORDER  0x1u
#define BUDGET_SPENT_DOMAIN 0x2u
#define BUDGET_SPENT_NAMES  0x4u
/* Give back those bits: no order was made, or none that was issued.  Not an
 * order that would be there again by itself since spent_at; 0: it was spent
 * before this process. */
void budget_refund(struct budget *, const struct budget_order *, unsigned what,
    int64_t spent_at, int64_t now);
/* A certificate was issued: the CA counts it now, however long it took. */
void budget_issued(
    struct budget *, const struct budget_order *, unsigned what, int64_t now);
/* It is under way again, after a restart. */
void budget_hold(
    struct budget *, const struct budget_order *, unsigned what, int64_t now);

/* A validation of ident has failed. */
void budget_failed(struct budget *, const char *ident, int64_t now);
/* When an order for these may be tried, as far as failures go; 0: now.  forced:
 * past our own guard, but not past the CA's limit. */
int64_t budget_failed_when(const struct budget *, const char *const *idents,
    uint32_t n, bool forced, int64_t now);

/* Everything that is not full, as JSON text, and back; the emptiest when that
 * is too much.  What of it is not understood counts as full; without memory,
 * ERR_NOMEM, it is there half. */
int budget_encode(
    const struct budget *, int64_t now, struct buf *out, struct err *);
int budget_decode(
    struct budget *, const char *, size_t, int64_t now, struct err *);
/* What cannot be yet was noted by a clock that was ahead.  Only by a clock
 * that is right: at boot it may be decades back. */
void budget_mend(struct budget *, int64_t now);
/* The clock was set by so much: nothing was spent or refilled by that. */
void budget_shift(struct budget *, int64_t ms);

struct budget_line { /* for people */
	enum conf_limit limit;
	const char *of; /* "" for the account's */
	uint32_t capacity, left;
	uint32_t per_s;
	int64_t next_at; /* when one is there again; 0: now */
	int64_t full_at; /* 0: it is */
};
/* Those that are not full, and the account's always when there is a limit. */
void budget_each(const struct budget *, int64_t now,
    void (*fn)(void *arg, const struct budget_line *), void *arg);

const char *budget_limit_name(enum conf_limit); /* "new-orders", ... */
