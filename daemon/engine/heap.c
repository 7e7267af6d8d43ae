/* SPDX-License-Identifier: ISC */
/* A binary heap of pointers. */

#include "daemon/engine/heap.h"

#include <assert.h>
#include <stdlib.h>

int
heap_init(struct heap *h, size_t n, struct err *e)
{
	h->n = 0;
	h->cap = n;
	h->items = calloc(n + 1, sizeof(*h->items));
	return h->items == NULL ? err_nomem(e, "schedule") : 0;
}

void
heap_done(struct heap *h)
{
	free(h->items);
	h->items = NULL;
}

static void
place(struct heap *h, size_t pos, struct heap_item *it)
{
	h->items[pos] = it;
	it->pos = pos;
}

static void
rise(struct heap *h, struct heap_item *it)
{
	size_t pos = it->pos;

	while (pos > 1 && h->items[pos / 2]->key > it->key) {
		place(h, pos, h->items[pos / 2]);
		pos /= 2;
	}
	place(h, pos, it);
}

static void
sink(struct heap *h, struct heap_item *it)
{
	size_t pos = it->pos, child;

	for (;;) {
		child = 2 * pos;
		if (child > h->n)
			break;
		if (child < h->n &&
		    h->items[child + 1]->key < h->items[child]->key)
			child++;
		if (h->items[child]->key >= it->key)
			break;
		place(h, pos, h->items[child]);
		pos = child;
	}
	place(h, pos, it);
}

void
heap_put(struct heap *h, struct heap_item *it, int64_t key)
{
	if (it->pos == 0) {
		assert(h->n < h->cap);
		it->pos = ++h->n;
		h->items[it->pos] = it;
	}
	it->key = key;
	rise(h, it);
	sink(h, it);
}

void
heap_remove(struct heap *h, struct heap_item *it)
{
	struct heap_item *last;

	if (it->pos == 0)
		return;
	last = h->items[h->n--];
	if (last != it) {
		place(h, it->pos, last);
		rise(h, last);
		sink(h, last);
	}
	it->pos = 0;
}

struct heap_item *
heap_first(const struct heap *h)
{
	return h->n == 0 ? NULL : h->items[1];
}
