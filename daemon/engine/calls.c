/* SPDX-License-Identifier: ISC */
/*
 * Waiting questions.  A cancelled one stays listed without its callback, since
 * its answer is still on the way.
 */

#include "daemon/engine/calls.h"

#include <errno.h>
#include <stdlib.h>

struct call {
	TAILQ_ENTRY(call) link;
	uint32_t id;
	call_done *done; /* NULL: cancelled */
	void *arg;
};

void
calls_init(struct calls *cs)
{
	TAILQ_INIT(&cs->waiting);
	cs->last_id = 0;
}

void
calls_done(struct calls *cs)
{
	struct call *c;

	while ((c = TAILQ_FIRST(&cs->waiting)) != NULL) {
		TAILQ_REMOVE(&cs->waiting, c, link);
		free(c);
	}
}

struct call *
calls_add(
    struct calls *cs, call_done *done, void *arg, uint32_t *id, struct err *e)
{
	struct call *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		(void)err_nomem(e, "a question to another process");
		return NULL;
	}
	c->id = *id = ++cs->last_id;
	c->done = done;
	c->arg = arg;
	TAILQ_INSERT_TAIL(&cs->waiting, c, link);
	return c;
}

void
call_cancel(struct call *c)
{
	if (c != NULL)
		c->done = NULL;
}

int
calls_answer(struct calls *cs, const struct chan_msg *m, struct err *e)
{
	struct call *c;

	TAILQ_FOREACH (c, &cs->waiting, link)
		if (c->id == m->id)
			break;
	if (c == NULL)
		return err_set(
		    e, ERR_PROTO, 0, "answer %u to no question", m->id);
	TAILQ_REMOVE(&cs->waiting, c, link);
	if (c->done != NULL)
		c->done(c->arg, m);
	free(c);
	return 0;
}

bool
calls_unheard(const struct err *e)
{
	return e->kind == ERR_SYS &&
	       (e->num == EPIPE || e->num == ECONNRESET || e->num == ENOTCONN);
}
