/* SPDX-License-Identifier: ISC */
/* Chance that is not a secret: jitter, spreads.  Keys use lib/crypto. */
#pragma once

#include <stdint.h>

uint64_t rnd_below(uint64_t n);                  /* uniform in [0, n), n > 0 */
int64_t rnd_jitter(int64_t v, unsigned percent); /* v +- percent */

/* From now on a fixed sequence.  For tests only. */
void rnd_seed(uint64_t);
