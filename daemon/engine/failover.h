/* SPDX-License-Identifier: ISC */
/*
 * Which CA of a certificate's list is asked next (protocol N2).  It moves on
 * when the one before fails in a way that another may not: after so many
 * failures, at once when little of the lifetime is left or the CA will not
 * issue.  A success brings the next renewal back to the first.
 */
#pragma once

#include <stdbool.h>

#include "daemon/engine/breaker.h"
#include "daemon/engine/certs.h"
#include "daemon/engine/policy.h"

/* Index of the CA that is next, in the configuration. */
uint32_t failover_ca(const struct cert *);

/* left: of the lifetime, in 1/1000.  A real attempt at it failed.  True: it has
 * moved, and d's instant is brought forward unless every CA of the list has had
 * its turn. */
bool failover_after(const struct conf *, struct cert *, struct decision *d,
    unsigned left, int64_t now);

/* That CA as a whole is in trouble.  True: it has moved. */
bool failover_blocked(const struct conf *, struct cert *,
    const struct breaker *, unsigned left, int64_t now);

/* Why that one of its list is passed over; NULL: it is not. */
const char *failover_refusal(
    const struct conf *, const struct cert *, uint32_t at);

/* That one of its list is next. */
void failover_to(struct cert *, uint32_t at);

/* When a CA has said that it can be asked for this certificate again (protocol
 * M1), be it not the one that is next meanwhile; past or 0: it can be. */
int64_t failover_said(const struct cert *, uint32_t ca);
void failover_note_said(struct cert *, uint32_t ca, int64_t until, int64_t now);

void failover_reset(struct cert *); /* issued */
