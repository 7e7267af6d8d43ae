/* SPDX-License-Identifier: ISC */
/*
 * When a certificate's turn comes at a CA: what its limits leave, and who is
 * before it there; and where else that would be sooner (protocol N2).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/engine/engine.h"

/* How often those that wait are looked at for another CA, and so how much ahead
 * a CA is given what others have too much of. */
#define TURN_LOOK_S INT64_C(3600)

/* As far as is known; 0: now; INT64_MAX: later than until.  Costs as much as
 * the CA's account may order by then, or as a CA has waiting if that is less.
 */
int64_t turn_at(
    const struct engine *, const struct cert *, uint32_t ca, int64_t until);

/*
 * A limit makes it wait until then at its CA, or longer if others are before
 * it there.  True: another one of its list is next, where it does not wait so
 * long.  Else *until is when to look again, if that is sooner.
 */
bool turn_elsewhere(
    struct engine *, struct cert *, const char *limit, int64_t *until);

/* In steps of TURN_LOOK_S from now on: at which of them it does not wait for
 * longer than patience any more.  What turn_elsewhere() comes to, for plans. */
int64_t turn_step(int64_t at, int64_t patience, int64_t now);
