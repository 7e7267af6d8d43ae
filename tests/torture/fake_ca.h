/* SPDX-License-Identifier: ISC */
/* A CA that answers by itself, on the virtual time of tests/scenarios/sim.h. */
#pragma once

#include "tests/scenarios/sim.h"

extern struct fake_ca {
	int64_t life_s;  /* of certificates */
	bool leaf_only;  /* without issuer: cheap */
	bool down;       /* no request gets through */
	bool alternates; /* one other chain, whose issuer is "Other CA" */
	unsigned unkind; /* every so many POSTs go wrong in some way; 0: none */
	/* counted */
	unsigned posts, accounts, orders, finalized, issued;
} fake_ca;

void fake_ca_reset(void);
/* Let time pass and answer; done (NULL: never) ends it early. */
void fake_ca_run(int64_t ms, bool (*done)(void));
