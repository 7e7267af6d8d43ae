/* SPDX-License-Identifier: ISC */
/*
 * A CA, or the way to it, in trouble: nobody asks for a while, ever longer,
 * and then one asks first to see (protocol Q8).  Pure; time is the caller's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_MAX_S (24 * INT64_C(3600)) /* a CA can want no more */

struct breaker {
	int64_t until;     /* not before; 0: closed, INT64_MAX: a person */
	int64_t since;     /* of the trouble; 0: none */
	unsigned failures; /* in a row, each after a wait */
	unsigned counted;  /* those that say something of the CA (N2) */
};

/*
 * It failed.  30 s, 1, 2, 5, then 10 min, +- 20 %; or as the CA says, up to a
 * day.  counts: it is the CA's, and not our network's.  False: the same
 * trouble as another request has just met, nothing is changed.
 */
bool breaker_trip(
    struct breaker *, int64_t retry_after_s, bool counts, int64_t now);
void breaker_stop(struct breaker *, int64_t now); /* until a person acts */
/* The wait is over, or a person wants it tried. */
void breaker_try(struct breaker *);
void breaker_ok(struct breaker *); /* it answers */

/* The wait is over and nothing has been heard yet: one at a time. */
bool breaker_probing(const struct breaker *);
