/* SPDX-License-Identifier: ISC */
/*
 * Which CA of a certificate's list is asked next (protocol N2).  It moves on
 * when the one before fails in a way that another may not: after so many
 * failures, at once when little of the lifetime is left or the CA will not
 * issue; or when a limit of that CA would make it wait longer than it should
 * (turn.h).  A success brings the next renewal back to the first.
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
/* The same, and why: the one before has not failed, a limit of it would make it
 * wait.  When that one fails, the first is next, which has not had its turn;
 * and not that one again for a day. */
void failover_instead(struct cert *, uint32_t at, const char *why);

/* It waits where it is, however long: what is wrong with it is so at any CA,
 * and nothing of it is in service. */
bool failover_stays(const struct cert *);

/* How many seconds it is left to wait for a limit while another CA of its list
 * could be sooner: an hour without a certificate, an eighth of what is left of
 * it, or a minute when little of its lifetime is. */
int64_t failover_patience(const struct issued *, unsigned left, int64_t now);

/* When a CA has said that it can be asked for this certificate again (protocol
 * M1), be it not the one that is next meanwhile; past or 0: it can be. */
int64_t failover_said(const struct cert *, uint32_t ca);
void failover_note_said(struct cert *, uint32_t ca, int64_t until, int64_t now);
/* The same when it would be asked only because another has a limit: nor when it
 * has failed as such a one. */
int64_t failover_open(const struct cert *, uint32_t ca);

void failover_reset(struct cert *); /* issued */
