/* SPDX-License-Identifier: ISC */
/* Filling struct err: cut text says so, and nothing here allocates. */
#include "lib/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"

#undef err_set
#undef err_nomem
#undef err_wrap

/* Replace the end of a full text by "...", at a character's start. */
static void
mark_cut(char *what)
{
	size_t n = ERR_WHAT_MAX - 4;

	while (n > 0 && ((unsigned char)what[n] & 0xc0) == 0x80)
		n--;
	memcpy(what + n, "...", 4);
}

static bool
append(char *what, const char *text)
{
	size_t len = strlen(what), n = strlen(text);
	bool fits = n < ERR_WHAT_MAX - len;

	if (!fits)
		n = ERR_WHAT_MAX - 1 - len;
	memcpy(what + len, text, n);
	what[len + n] = '\0';
	return fits;
}

/* A text, and what comes behind it. */
__attribute__((format(printf, 2, 0))) static void
compose(struct err *e, const char *fmt, va_list ap, const char *behind)
{
	char what[ERR_WHAT_MAX]; /* e->what may be among the arguments */
	int n = vsnprintf(what, sizeof(what), fmt, ap);
	bool fits = n < ERR_WHAT_MAX;

	if (n < 0)
		what[0] = '\0';
	if (behind != NULL)
		fits = append(what, ": ") && append(what, behind) && fits;
	if (!fits)
		mark_cut(what);
	memcpy(e->what, what, strlen(what) + 1);
}

int
err_set(struct err *e, enum err_kind kind, int num, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return -1;
	va_start(ap, fmt);
	compose(e, fmt, ap, kind == ERR_SYS ? strerror(num) : NULL);
	va_end(ap);
	e->kind = kind;
	e->num = num;
	e->problem = 0;
	e->retry_after_s = -1;
	return -1;
}

int
err_nomem(struct err *e, const char *what)
{
	return err_set(e, ERR_NOMEM, 0, "%s: out of memory", what);
}

int
err_wrap(struct err *e, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return -1;
	va_start(ap, fmt);
	compose(e, fmt, ap, e->what);
	va_end(ap);
	return -1;
}

const char *
err_hint(const struct err *e)
{
	static const struct {
		int num;
		const char *hint;
	} hints[] = {
		{ ENOSPC,
		    "make room on the file system that is full; acmed tries "
		    "again by itself" },
		{ EDQUOT,
		    "the disk quota is used up: raise it, or make room; acmed "
		    "tries again by itself" },
		{ EROFS,
		    "the kernel's log says why the file system is read-only; "
		    "when it is writable, acmed goes on by itself" },
		{ EIO, "the kernel's log says what is wrong with the disk: "
		       "replace it before it fails as a whole" },
	};
	size_t i;

	if (e->kind != ERR_SYS)
		return NULL;
	for (i = 0; i < NELEM(hints); i++)
		if (strstr(e->what, strerror(hints[i].num)) != NULL)
			return hints[i].hint;
	return NULL;
}

const char *
err_kind_name(enum err_kind kind)
{
	/* clang-format off */
	static const char *const names[] = {
		[ERR_NONE]    = "none",
		[ERR_SYS]     = "system",
		[ERR_NOMEM]   = "memory",
		[ERR_NET]     = "network",
		[ERR_HTTP]    = "http",
		[ERR_PROBLEM] = "problem",
		[ERR_PROTO]   = "protocol",
		[ERR_CONFIG]  = "config",
		[ERR_LIMIT]   = "limit",
		[ERR_CRYPTO]  = "crypto",
		[ERR_STALE]   = "stale",
	};
	/* clang-format on */

	if ((size_t)kind >= NELEM(names))
		return "unknown";
	return names[kind];
}
