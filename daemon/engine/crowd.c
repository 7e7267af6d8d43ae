/* SPDX-License-Identifier: ISC */
/*
 * New names of one registered domain, of which its CA allows so many a week.
 * Those that will wait longest begin first: else their domain's bucket stands
 * full while they queue for the account's, and they are left when all others
 * are done.
 */

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/engine.h"
#include "daemon/engine/failover.h"
#include "lib/base/clock.h"

struct share {
	uint64_t domain;
	struct cert *cert;
	const char *ident;
};

static int
by_domain(const void *a, const void *b)
{
	const struct share *x = a, *y = b;

	if (x->domain != y->domain)
		return x->domain < y->domain ? -1 : 1;
	return (x->cert > y->cert) - (x->cert < y->cert);
}

static size_t
add_shares(const struct engine *en, struct cert *c, struct share *out)
{
	char domain[STR_IDENT_MAX];
	uint64_t hash;
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < c->conf->n_idents; i++) {
		const char *ident = c->conf->idents[i];

		if (psl_domain(en->psl, ident, domain) == NULL)
			continue;
		hash = str_hash(domain, strlen(domain));
		if (n == 0 || out[n - 1].domain != hash)
			out[n++] = (struct share){ hash, c, ident };
	}
	return n;
}

static size_t
same_domain(const struct share *all, size_t n)
{
	size_t i = 1;

	while (i < n && all[i].domain == all[0].domain)
		i++;
	return i;
}

/* Without memory nobody is preferred. */
void
crowd_begin(struct engine *en)
{
	struct cert *all = en->certs.all;
	struct share *s, *fit;
	size_t n = 0, i, run, kept = 0;
	uint32_t k;

	for (k = 0; k < en->certs.n; k++)
		n += all[k].have.version == 0 ? all[k].conf->n_idents : 0;
	s = n == 0 ? NULL : calloc(n, sizeof(*s));
	if (s == NULL)
		return;
	for (n = 0, k = 0; k < en->certs.n; k++)
		if (all[k].have.version == 0)
			n += add_shares(en, &all[k], s + n);
	qsort(s, n, sizeof(*s), by_domain);
	for (i = 0; i < n; i += run) {
		run = same_domain(s + i, n - i);
		if (s[i].cert == s[i + run - 1].cert)
			continue; /* nobody else's */
		memmove(s + kept, s + i, run * sizeof(*s));
		kept += run;
	}
	if (kept == 0) {
		free(s);
		return;
	}
	fit = realloc(s, kept * sizeof(*s));
	en->shares = fit == NULL ? s : fit;
	en->n_shares = kept;
}

void
crowd_end(struct engine *en)
{
	free(take_ptr(en->shares));
	en->n_shares = 0;
}

static void
note(const struct engine *en, const struct share *s, uint32_t crowd)
{
	struct cert *c = s->cert;
	const struct session *at = en->cas[failover_ca(c)].session;
	uint32_t left = budget_left(session_budget(at), s->ident, clock_now());

	if (crowd > left && crowd - left > c->crowd)
		c->crowd = crowd - left;
}

void
crowd_learn(struct engine *en)
{
	const struct share *s = en->shares;
	size_t i, k, run;
	uint32_t crowd;

	for (i = 0; i < en->n_shares; i++)
		s[i].cert->crowd = 0;
	for (i = 0; i < en->n_shares; i += run) {
		run = same_domain(s + i, en->n_shares - i);
		for (crowd = 0, k = i; k < i + run; k++)
			crowd += s[k].cert->have.version == 0 &&
				 (k == i || s[k].cert != s[k - 1].cert);
		for (k = i; crowd > 1 && k < i + run; k++)
			if (s[k].cert->have.version == 0)
				note(en, &s[k], crowd);
	}
}
