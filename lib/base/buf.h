/* SPDX-License-Identifier: ISC */
/*
 * A growing byte buffer that knows its limit.
 *
 * Appending never fails visibly.  The first append that would pass the limit,
 * or that finds no memory, marks the buffer bad and drops what it held; later
 * appends do nothing.  Build everything, then ask once with buf_ok().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data; /* NUL-terminated once anything was appended */
	size_t len, cap, max;
	bool bad;
};

#define BUF_INIT(limit) ((struct buf){ .max = (limit) })

void buf_add(struct buf *, const void *, size_t);
void buf_puts(struct buf *, const char *);
void buf_putc(struct buf *, char);
void buf_printf(struct buf *, const char *, ...)
    __attribute__((format(printf, 2, 3)));
bool buf_ok(const struct buf *);
const char *buf_str(const struct buf *); /* "" when empty or bad */
void buf_reset(struct buf *); /* empty and good again, keeps memory */
char *buf_take(struct buf *); /* caller frees; NULL when bad */
void buf_done(struct buf *);

/*
 * For secrets: take all the room at once, so that growing leaves no copies
 * behind, and wipe it on the way out.
 */
void buf_reserve(struct buf *, size_t);
void buf_wipe(struct buf *); /* explicit_bzero and free */

static inline void
buf_done_p(struct buf *b)
{
	buf_done(b);
}

static inline void
buf_wipe_p(struct buf *b)
{
	buf_wipe(b);
}
