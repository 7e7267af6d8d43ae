/* SPDX-License-Identifier: ISC */
/* What renew.c and afford.c share; for others: engine.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ca_queue;
struct cert;
struct engine;

/* The next attempt is one at a test CA, and no person asked for it. */
bool renew_rehearses(const struct engine *, const struct cert *);
/* From wherever it is: to sleep until t, or beside those that wait for the
 * account's next order. */
void renew_sleep(struct engine *, struct cert *, int64_t t);
void renew_limited(struct ca_queue *, struct cert *);
/* What it waits for, to be shown; NULL: nothing.  A copy is kept. */
void renew_waits(struct cert *, const char *text);

/* Spend what its order at this CA counts for.  False: it has to wait, and does,
 * or has gone to another CA. */
bool afford(struct ca_queue *, struct cert *);
