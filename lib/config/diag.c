/* SPDX-License-Identifier: ISC */
/*
 * Messages about a configuration.  They are found out of order, because some
 * need the whole, and reported in file order; their number is bounded.
 */
#include "lib/config/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"

#define REPORT_MAX (4u << 20)
#define TEXT_MAX   2048

void
conf_report_init(struct conf_report *r)
{
	*r = (struct conf_report){ .errors = BUF_INIT(REPORT_MAX),
		.warnings = BUF_INIT(REPORT_MAX) };
}

void
conf_report_done(struct conf_report *r)
{
	buf_done(&r->errors);
	buf_done(&r->warnings);
}

static struct diag *
diag_new(struct diags *d)
{
	if (d->n == d->cap) {
		uint32_t cap = d->cap == 0 ? 16 : 2 * d->cap;
		struct diag *v = realloc(d->v, cap * sizeof(*v));

		if (v == NULL)
			return NULL;
		d->v = v;
		d->cap = cap;
	}
	return &d->v[d->n];
}

__attribute__((format(printf, 4, 0))) static void
diag_add(
    struct diags *d, struct where at, bool warning, const char *fmt, va_list ap)
{
	uint32_t *count = warning ? &d->n_warnings : &d->n_errors;
	struct diag *new;
	char text[TEXT_MAX];
	int n;

	if (++*count > CONF_SHOWN_MAX)
		return;
	n = vsnprintf(text, sizeof(text), fmt, ap);
	if (n < 0)
		text[0] = '\0';
	else if ((size_t)n >= sizeof(text))
		memcpy(text + sizeof(text) - 4, "...", 4);
	str_clean(text);
	new = diag_new(d);
	if (new == NULL || (new->text = strdup(text)) == NULL) {
		d->nomem = true;
		return;
	}
	new->at = at;
	new->warning = warning;
	new->seq = d->n++;
}

void
diag_error(struct diags *d, struct where at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag_add(d, at, false, fmt, ap);
	va_end(ap);
}

void
diag_warn(struct diags *d, struct where at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag_add(d, at, true, fmt, ap);
	va_end(ap);
}

static int
diag_order(const void *va, const void *vb)
{
	const struct diag *a = va, *b = vb;

	if (a->at.file != b->at.file)
		return a->at.file < b->at.file ? -1 : 1;
	if (a->at.line != b->at.line)
		return a->at.line < b->at.line ? -1 : 1;
	if (a->at.column != b->at.column)
		return a->at.column < b->at.column ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static void
diag_print(const struct diag *g, const char *file, struct buf *out)
{
	/* A buffer that overflows drops all that it held. */
	if (out->max - out->len < strlen(file) + strlen(g->text) + 64)
		return;
	buf_puts(out, file);
	if (g->at.line != 0)
		buf_printf(out, ":%u:%u", g->at.line, (unsigned)g->at.column);
	buf_printf(out, ": %s%s\n", g->warning ? "warning: " : "", g->text);
}

static void
print_more(uint32_t n, const char *what, struct buf *out)
{
	if (n > CONF_SHOWN_MAX && out->max - out->len > 64)
		buf_printf(
		    out, "... and %u more %s\n", n - CONF_SHOWN_MAX, what);
}

void
diag_flush(struct diags *d, const char *const *files, struct conf_report *r)
{
	uint32_t i;

	if (d->n > 1)
		qsort(d->v, d->n, sizeof(*d->v), diag_order);
	for (i = 0; i < d->n; i++)
		diag_print(&d->v[i], files[d->v[i].at.file],
		    d->v[i].warning ? &r->warnings : &r->errors);
	print_more(d->n_errors, "errors", &r->errors);
	print_more(d->n_warnings, "warnings", &r->warnings);
	r->n_errors += d->n_errors;
	if (d->nomem) {
		buf_puts(&r->errors, "out of memory\n");
		r->n_errors++;
	}
}

void
diag_done(struct diags *d)
{
	uint32_t i;

	for (i = 0; i < d->n; i++)
		free(d->v[i].text);
	free(d->v);
}
