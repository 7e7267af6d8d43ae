/* SPDX-License-Identifier: ISC */
/*
 * Memory that dies together.  Everything decoded for one attempt (order,
 * authorizations, challenges, URLs), or for one configuration, comes from one
 * pool and is freed by one pool_free(); nothing in a pool is freed alone, and
 * no pointer into it outlives it.
 */
#pragma once

#include <stddef.h>

#include "lib/base/cleanup.h"

struct pool;

struct pool *pool_new(size_t limit);     /* NULL: no memory */
void *pool_alloc(struct pool *, size_t); /* zeroed; NULL: limit or no memory */
char *pool_strdup(struct pool *, const char *);
char *pool_strndup(struct pool *, const char *, size_t);
size_t pool_used(const struct pool *);
void pool_free(struct pool *); /* NULL is fine */
DEFINE_AUTO(struct pool, pool_free)
