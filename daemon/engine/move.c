/* SPDX-License-Identifier: ISC */
/* Many at once from one CA's queue to another's. */

#include <stdlib.h>

#include "daemon/engine/renew.h"
#include "daemon/engine/turn.h"

static int
by_key(const void *a, const void *b)
{
	const struct cert *const *x = a, *const *y = b;

	return ((*x)->ready.key > (*y)->ready.key) -
	       ((*x)->ready.key < (*y)->ready.key);
}

/* Each is put behind those that are before it, so that nobody needs to be
 * counted. */
void
move_elsewhere(struct engine *en, struct ca_queue *q)
{
	size_t n = q->limited.n, i;
	struct cert **all = calloc(n + 1, sizeof(struct cert *));
	bool lists = false;
	int64_t until;

	for (i = 0; all != NULL && i < n; i++) {
		all[i] = CERT_OF(q->limited.slots[i + 1].item, ready);
		lists = lists || all[i]->conf->n_cas > 1;
	}
	if (!lists || session_blocked(q->session, NULL) != 0)
		n = 0;
	else
		qsort(all, n, sizeof(struct cert *), by_key);
	for (i = n; i-- > 0;) /* the last of a heap costs nothing */
		renew_leave(en, all[i]);
	for (i = 0; i < n; i++) {
		until = 0;
		if (turn_elsewhere(en, all[i], all[i]->waits, &until))
			renew_look(en, all[i]);
		else
			renew_limited(q, all[i]);
	}
	free(all);
}

void
move_on(struct engine *en, struct ca_queue *q)
{
	const char *why;
	int64_t until = session_blocked(q->session, &why);
	uint32_t i, ca = (uint32_t)(q - en->cas);

	for (i = 0; i < en->certs.n; i++) {
		struct cert *c = &en->certs.all[i];

		if (c->ready.pos == 0 || c->queue != ca || c->issue != NULL)
			continue;
		if (c->check != 0)
			outcome_no_check(c, why, until);
		else if (c->conf->n_cas < 2 && !renew_rehearses(en, c))
			continue;
		renew_look(en, c);
	}
}

static bool
lists(const struct cert *c, uint32_t ca)
{
	uint32_t i;

	for (i = 0; i < c->conf->n_cas; i++)
		if (c->conf->cas[i] == ca)
			return true;
	return false;
}

void
move_back(struct engine *en, const struct session *s)
{
	struct ca_queue *q = &en->cas[session_index(s)];
	bool works = session_breaker(s)->since == 0;
	uint32_t i;

	for (i = 0; i < en->certs.n; i++) {
		struct cert *c = &en->certs.all[i];

		if (!works &&
		    (q->ready.n != 0 || q->limited.n != 0 || q->active != 0))
			return;
		if (c->ready.pos != 0 && c->conf->n_cas > 1 &&
		    lists(c, session_index(s)) &&
		    session_blocked(en->cas[c->queue].session, NULL) != 0)
			renew_look(en, c);
	}
}
