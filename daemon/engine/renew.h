/* SPDX-License-Identifier: ISC */
/* What renew.c, move.c and afford.c share; for others: engine.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The certificate that has that item of a heap as its member. */
#define CERT_OF(ptr, member) \
	((struct cert *)(void *)((char *)(ptr)-offsetof(struct cert, member)))

struct ca_queue;
struct cert;
struct engine;
struct session;

/* The next attempt is one at a test CA, and no person asked for it. */
bool renew_rehearses(const struct engine *, const struct cert *);
/* From wherever it is: to nowhere; to sleep until t, or beside those that wait
 * for the account's next order. */
void renew_leave(struct engine *, struct cert *);
void renew_sleep(struct engine *, struct cert *, int64_t t);
void renew_limited(struct ca_queue *, struct cert *);
/* Its CA will not issue for it: forget it. */
void renew_leave_order(struct engine *, struct cert *);
/* What it waits for, to be shown; NULL: nothing.  A copy is kept. */
void renew_waits(struct cert *, const char *text);

/* Spend what its order at this CA counts for.  False: it has to wait, and does,
 * or has gone to another CA. */
bool afford(struct ca_queue *, struct cert *);

/* Those that wait for its next orders, in the order of their turns, go to
 * another CA if their turn is sooner there. */
void move_elsewhere(struct engine *, struct ca_queue *);
/* It cannot be used: those that could go to another CA do, and nobody is kept
 * by what was to be tried out only. */
void move_on(struct engine *, struct ca_queue *);
/* It is tried again, or works: those that wait at others, which cannot be used,
 * go there.  One of them, to try it, when it has none of its own. */
void move_back(struct engine *, const struct session *);
