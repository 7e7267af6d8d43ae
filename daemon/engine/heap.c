/* SPDX-License-Identifier: ISC */
/* A heap in which every element has four children. */

#include "daemon/engine/heap.h"

#include <assert.h>
#include <stdlib.h>

#define CHILDREN 4

int
heap_init(struct heap *h, size_t n, struct err *e)
{
	h->n = 0;
	h->cap = n;
	h->slots = calloc(n + 1, sizeof(*h->slots));
	return h->slots == NULL ? err_nomem(e, "schedule") : 0;
}

void
heap_done(struct heap *h)
{
	free(h->slots);
	h->slots = NULL;
}

static size_t
parent(size_t pos)
{
	return (pos + CHILDREN - 2) / CHILDREN;
}

static size_t
first_child(size_t pos)
{
	return CHILDREN * (pos - 1) + 2;
}

static void
place(struct heap *h, size_t pos, struct heap_slot s)
{
	h->slots[pos] = s;
	s.item->pos = pos;
}

static void
rise(struct heap *h, size_t pos)
{
	struct heap_slot s = h->slots[pos];

	while (pos > 1 && h->slots[parent(pos)].key > s.key) {
		place(h, pos, h->slots[parent(pos)]);
		pos = parent(pos);
	}
	place(h, pos, s);
}

static void
sink(struct heap *h, size_t pos)
{
	struct heap_slot s = h->slots[pos];
	size_t child, i, end;

	for (;;) {
		child = first_child(pos);
		if (child > h->n)
			break;
		end = child + CHILDREN - 1 < h->n ? child + CHILDREN - 1 : h->n;
		for (i = child + 1; i <= end; i++)
			if (h->slots[i].key < h->slots[child].key)
				child = i;
		if (h->slots[child].key >= s.key)
			break;
		place(h, pos, h->slots[child]);
		pos = child;
	}
	place(h, pos, s);
}

void
heap_put(struct heap *h, struct heap_item *it, int64_t key)
{
	if (it->pos == 0) {
		assert(h->n < h->cap);
		it->pos = ++h->n;
	}
	it->key = key;
	h->slots[it->pos] = (struct heap_slot){ key, it };
	rise(h, it->pos);
	sink(h, it->pos);
}

void
heap_remove(struct heap *h, struct heap_item *it)
{
	struct heap_slot last;
	size_t pos = it->pos;

	if (pos == 0)
		return;
	it->pos = 0;
	last = h->slots[h->n--];
	if (last.item == it)
		return;
	place(h, pos, last);
	rise(h, pos);
	sink(h, last.item->pos);
}

struct heap_item *
heap_first(const struct heap *h)
{
	return h->n == 0 ? NULL : h->slots[1].item;
}
