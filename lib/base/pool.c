/* SPDX-License-Identifier: ISC */
/* Chunks in a list; an allocation is a step within the newest one. */
#include "lib/base/pool.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#define CHUNK_MIN 2048

struct chunk {
	struct chunk *next;
	size_t size, used;
	alignas(max_align_t) char data[];
};

struct pool {
	struct chunk *chunks;
	size_t used, limit;
};

struct pool *
pool_new(size_t limit)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (p != NULL)
		p->limit = limit;
	return p;
}

static struct chunk *
chunk_add(struct pool *p, size_t n)
{
	struct chunk *c;
	size_t size = n < CHUNK_MIN ? CHUNK_MIN : n;

	c = calloc(1, sizeof(*c) + size);
	if (c == NULL)
		return NULL;
	c->size = size;
	/* What fills its own chunk must not hide the room in the newest. */
	if (size == n && p->chunks != NULL) {
		c->next = p->chunks->next;
		p->chunks->next = c;
	} else {
		c->next = p->chunks;
		p->chunks = c;
	}
	return c;
}

void *
pool_alloc(struct pool *p, size_t n)
{
	const size_t align = alignof(max_align_t);
	struct chunk *c = p->chunks;
	void *mem;

	if (n > SIZE_MAX / 2)
		return NULL;
	n = n == 0 ? align : (n + align - 1) / align * align;
	if (n > p->limit - p->used)
		return NULL;
	if (c == NULL || n > c->size - c->used)
		c = chunk_add(p, n);
	if (c == NULL)
		return NULL;
	mem = c->data + c->used;
	c->used += n;
	p->used += n;
	return mem;
}

char *
pool_strndup(struct pool *p, const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = pool_alloc(p, len + 1);

	if (copy != NULL)
		memcpy(copy, s, len);
	return copy;
}

char *
pool_strdup(struct pool *p, const char *s)
{
	return pool_strndup(p, s, strlen(s));
}

size_t
pool_used(const struct pool *p)
{
	return p->used;
}

void
pool_free(struct pool *p)
{
	struct chunk *c, *next;

	if (p == NULL)
		return;
	for (c = p->chunks; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
	free(p);
}
