/* SPDX-License-Identifier: ISC */
/* How long a CA in trouble is left alone. */

#include "daemon/engine/breaker.h"

#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/rnd.h"

bool
breaker_trip(struct breaker *b, int64_t retry_after_s, bool counts, int64_t now)
{
	static const int64_t waits[] = { 30, 60, 120, 300, 600 };
	unsigned n = b->failures < NELEM(waits) ? b->failures
						: (unsigned)NELEM(waits) - 1;
	int64_t said =
	    retry_after_s < BREAKER_MAX_S ? retry_after_s : BREAKER_MAX_S;
	int64_t wait = rnd_jitter(waits[n], 20);

	if (b->until != 0) {
		if (said <= 0 || now + said <= b->until)
			return false;
		b->until = now + said;
		return true;
	}
	b->failures++;
	b->counted += counts ? 1 : 0;
	if (b->since == 0)
		b->since = now;
	b->until = now + (said > wait ? said : wait);
	return true;
}

void
breaker_stop(struct breaker *b, int64_t now)
{
	b->until = INT64_MAX;
	if (b->since == 0)
		b->since = now;
}

void
breaker_try(struct breaker *b)
{
	b->until = 0;
}

void
breaker_ok(struct breaker *b)
{
	/* what was under way when it was opened may still end well */
	if (b->until == 0)
		memset(b, 0, sizeof(*b));
}

bool
breaker_probing(const struct breaker *b)
{
	return b->until == 0 && b->since != 0;
}
