/* SPDX-License-Identifier: ISC */
/*
 * Scope-bound ownership.  A variable marked AUTO(fn) owns what it holds:
 * leaving the scope releases it, take_*() hands it on.
 */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#define AUTO(fn) __attribute__((cleanup(fn##_p)))

/* Given void fn(T *), make the cleanup function that AUTO(fn) wants. */
#define DEFINE_AUTO(T, fn)               \
	static inline void fn##_p(T **p) \
	{                                \
		fn(*p);                  \
	}

static inline void
free_p(void *p)
{
	free(*(void **)p);
}

static inline void
close_p(int *fd)
{
	if (*fd != -1)
		(void)close(*fd);
}

static inline int
take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define take_ptr(p)                         \
	__extension__({                     \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})

#define NELEM(a) (sizeof(a) / sizeof((a)[0]))
