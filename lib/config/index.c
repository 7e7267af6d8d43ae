/* SPDX-License-Identifier: ISC */
/*
 * A hash table of numbers, open addressing: what finds the twin of a name
 * among hundreds of thousands.  It knows nothing of what they stand for.
 */
#include "lib/config/internal.h"

static void
slot_put(struct index *ix, uint32_t hash, uint32_t value)
{
	uint32_t i = hash & (ix->cap - 1);

	while (ix->slots[i].value != CONF_NONE)
		i = (i + 1) & (ix->cap - 1);
	ix->slots[i] = (struct slot){ hash, value };
}

static int
grow(struct index *ix)
{
	struct index new = { .cap = ix->cap == 0 ? 16 : 2 * ix->cap };
	uint32_t i;

	new.slots = calloc(new.cap, sizeof(*new.slots));
	if (new.slots == NULL)
		return -1;
	for (i = 0; i < new.cap; i++)
		new.slots[i].value = CONF_NONE;
	for (i = 0; i < ix->cap; i++)
		if (ix->slots[i].value != CONF_NONE)
			slot_put(&new, ix->slots[i].hash, ix->slots[i].value);
	new.n = ix->n;
	free(ix->slots);
	*ix = new;
	return 0;
}

static uint32_t
fold(uint64_t hash)
{
	return (uint32_t)(hash ^ hash >> 32);
}

uint32_t
index_get(const struct index *ix, uint64_t hash, index_same_fn *same,
    const void *arg, const void *key)
{
	uint32_t h = fold(hash), i;

	if (ix->cap == 0)
		return CONF_NONE;
	for (i = h & (ix->cap - 1); ix->slots[i].value != CONF_NONE;
	     i = (i + 1) & (ix->cap - 1))
		if (ix->slots[i].hash == h &&
		    same(arg, ix->slots[i].value, key))
			return ix->slots[i].value;
	return CONF_NONE;
}

int
index_put(struct index *ix, uint64_t hash, uint32_t value)
{
	/* Seven eighths full: 100,000 names are 1 MiB. */
	if (ix->n >= ix->cap - ix->cap / 8 && grow(ix) == -1)
		return -1;
	slot_put(ix, fold(hash), value);
	ix->n++;
	return 0;
}

void
index_done(struct index *ix)
{
	free(ix->slots);
}
