/* SPDX-License-Identifier: ISC */
/*
 * Questions to another process that are waiting for their answer: an id on the
 * wire, a callback here.  Answers come in any order.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/base/err.h"
#include "lib/ipc/chan.h"

struct call; /* until its callback has run, or call_cancel() */

typedef void call_done(void *arg, const struct chan_msg *answer);

TAILQ_HEAD(call_list, call);

struct calls {
	struct call_list waiting;
	uint32_t last_id;
};

void calls_init(struct calls *);
void calls_done(struct calls *); /* forgets all: no callback runs */

/* NULL: no memory.  The id goes with the question. */
struct call *calls_add(
    struct calls *, call_done *, void *arg, uint32_t *id, struct err *);
void call_cancel(struct call *); /* its callback will not run; NULL is fine */

/* An answer came.  -1: nobody asked (the peer is mad). */
int calls_answer(struct calls *, const struct chan_msg *, struct err *);

/*
 * Whether a question could not be sent because nobody is there any more.  It is
 * not answered then, and nothing has failed by it: the end of the channel comes
 * to its owner in a moment, and with it the end of this process.
 */
bool calls_unheard(const struct err *);
