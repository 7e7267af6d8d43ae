/* SPDX-License-Identifier: ISC */
/*
 * The growing buffer.  Memory that a buffer drops of itself is wiped, because
 * it cannot know whether it held a secret.
 */
#include "lib/base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"

#define CAP_MIN 64

static void
drop(struct buf *b)
{
	buf_wipe(b);
	b->bad = true;
}

/* Make room for n more bytes and the NUL. */
static bool
grow(struct buf *b, size_t n, bool exact)
{
	size_t need, cap;
	char *data;

	if (b->bad)
		return false;
	if (n > b->max - b->len || n == SIZE_MAX - b->len) {
		drop(b);
		return false;
	}
	need = b->len + n + 1;
	if (need <= b->cap)
		return true;
	cap = need;
	if (!exact) {
		if (cap < CAP_MIN)
			cap = CAP_MIN;
		if (b->cap <= SIZE_MAX / 2 && cap < b->cap * 2)
			cap = b->cap * 2;
		if (cap - 1 > b->max)
			cap = b->max + 1;
	}
	data = realloc(b->data, cap);
	if (data == NULL) {
		drop(b);
		return false;
	}
	if (b->data == NULL)
		data[0] = '\0';
	b->data = data;
	b->cap = cap;
	return true;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (!grow(b, n, false))
		return;
	if (n > 0)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void
buf_puts(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_putc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		drop(b);
	else if (grow(b, (size_t)n, false)) {
		(void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

bool
buf_ok(const struct buf *b)
{
	return !b->bad;
}

const char *
buf_str(const struct buf *b)
{
	return b->data == NULL ? "" : b->data;
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->bad = false;
	if (b->data != NULL)
		b->data[0] = '\0';
}

char *
buf_take(struct buf *b)
{
	char *data;

	if (!grow(b, 0, true))
		return NULL;
	data = take_ptr(b->data);
	b->len = b->cap = 0;
	return data;
}

void
buf_done(struct buf *b)
{
	free(b->data);
	*b = BUF_INIT(b->max);
}

void
buf_reserve(struct buf *b, size_t n)
{
	(void)grow(b, n, true);
}

void
buf_wipe(struct buf *b)
{
	if (b->data != NULL)
		explicit_bzero(b->data, b->cap);
	buf_done(b);
}
