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
	if (h->n == 1 || key > h->most)
		h->most = key;
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

/* Those below pos, which is one of them, and it. */
static size_t
count(const struct heap *h, size_t pos, int64_t key, size_t max)
{
	size_t child = first_child(pos), end = child + CHILDREN, n = 1;

	for (; child < end && child <= h->n && n < max; child++)
		if (h->slots[child].key < key)
			n += count(h, child, key, max - n);
	return n;
}

size_t
heap_before(const struct heap *h, int64_t key, size_t max)
{
	if (h->n == 0 || max == 0 || h->slots[1].key >= key)
		return 0;
	if (key > h->most) /* as what is put in one after the other */
		return h->n < max ? h->n : max;
	return count(h, 1, key, max);
}
