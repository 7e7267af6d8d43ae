/* SPDX-License-Identifier: ISC */
/*
 * What orders there are to be made, and when the CAs' limits let each be made:
 * for a configuration that is not in force yet, and for what waits now.  Only
 * looks; spends nothing.
 */
#pragma once

#include "daemon/engine/engine.h"

struct plan_item {
	const struct conf_cert *cert;
	enum change why;
	uint32_t ca;  /* in the configuration that is planned for */
	int64_t at;   /* when its turn comes */
	bool limited; /* later than it could be, for why_not */
	struct budget_wait why_not;
	uint32_t instead_of; /* the CA whose limit sends it to ca; CONF_NONE */
	/* for the planner */
	const struct cert *known;  /* wanted just like that now; or NULL */
	const struct issued *have; /* version 0: nothing */
	struct wants wants;
	int64_t from; /* not before, whatever the limits */
	int64_t free; /* nor before, for all but the account's */
	int64_t patience;
	int64_t urgency;
	bool paid; /* its order is being made: the limits know of it */
};

struct plan {
	struct plan_item *items; /* by instant */
	uint32_t n, n_unchanged;
	const struct plan_item *first_limited; /* NULL: none is */
	int64_t ends; /* the last one's instant; 0: nothing is to do */
};

/* conf: what would be.  Names that are there already are known by name. */
int plan_make(
    const struct engine *, const struct conf *, struct plan *, struct err *);
void plan_done(struct plan *);

/* When all that is due now will be ordered, as far as limits go; 0: unknown.
 * Notes for each when its turn comes.  For a thousand certificates it may be a
 * second old, for 100,000 a minute. */
int64_t plan_turns(struct engine *);

/* When that certificate could be ordered at that CA, as far as is known; 0:
 * now. */
int64_t plan_room(const struct engine *, const struct cert *, uint32_t ca);
