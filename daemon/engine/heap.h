/* SPDX-License-Identifier: ISC */
/*
 * Certificates by an instant, the earliest first.  An element knows where it
 * stands, so that moving one of 100,000 costs a handful of steps; keys are
 * compared where they lie side by side, four to a cache line.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

struct heap_item {
	int64_t key;
	size_t pos; /* 1-based; 0: in no heap */
};

struct heap_slot {
	int64_t key;
	struct heap_item *item;
};

struct heap {
	struct heap_slot *slots; /* [0] is not used */
	size_t n, cap;
	int64_t most; /* no key is greater */
};

/* Room for n items in all, so that heap_put() cannot fail. */
int heap_init(struct heap *, size_t n, struct err *);
void heap_done(struct heap *);

void heap_put(struct heap *, struct heap_item *, int64_t key); /* or move */
void heap_remove(struct heap *, struct heap_item *);
struct heap_item *heap_first(const struct heap *); /* NULL: empty */

/* How many are earlier than key; max when there are more, and it looks at no
 * more than four times as many. */
size_t heap_before(const struct heap *, int64_t key, size_t max);
