/* SPDX-License-Identifier: ISC */
/* What a CA's renewal window means for its certificate. */

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/certs.h"
#include "daemon/engine/schedule.h"

#define YOUTH_S (6 * INT64_C(3600)) /* not hurried again then */

static int64_t
youth_of(const struct issued *h)
{
	int64_t youth = (h->not_after - h->not_before) / 20;

	return youth < YOUTH_S ? youth : YOUTH_S;
}

bool
cert_hurried(const struct cert *c, int64_t now)
{
	return c->window.past_since != 0 ||
	       (c->have.version != 0 &&
		   now < c->have.installed_at + 2 * youth_of(&c->have));
}

/* A CA whose windows are always over, or open at once, must not have us renew
 * without end: the second time in a row it waits. */
static int64_t
not_too_young(const struct issued *h, int64_t picked)
{
	int64_t grown = h->installed_at + youth_of(h);

	return !h->hurried || picked == 0 || picked > grown ? picked : grown;
}

int64_t
cert_renew_at(const struct cert *c)
{
	const struct issued *h = &c->have;

	return schedule_renew_at(h->not_before, h->not_after, h->by_fraction,
	    not_too_young(h, c->window.picked));
}

bool
cert_recalled(const struct cert *c, int64_t now)
{
	/* one that has expired is in more need than that */
	return c->have.version != 0 && c->window.end != 0 &&
	       c->window.end <= now && c->have.not_after > now;
}

void
window_clear(struct window *w)
{
	free(w->url);
	memset(w, 0, sizeof(*w));
}
