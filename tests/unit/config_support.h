/* SPDX-License-Identifier: ISC */
/* What the tests of lib/config share: texts in, struct conf and report out. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/config/internal.h"

/* The shortest file that is right, but for domains. */
#define HEAD "agree-tos: true\n"

static inline void
add_text(struct buf *bundle, const char *name, const char *text)
{
	assert_int_equal(bundle_add(bundle, name, text, strlen(text)), 0);
}

/* Load text as file "m", and more, unless NULL, as included file "i". */
static inline struct conf *
load_texts(const char *text, const char *more, struct conf_report *r)
{
	AUTO(buf_done) struct buf b = BUF_INIT(CONF_BUNDLE_MAX);

	add_text(&b, "m", text);
	if (more != NULL)
		add_text(&b, "i", more);
	conf_report_init(r);
	return conf_load(b.data, b.len, r);
}

/* Load what must be without an error. */
static inline struct conf *
load_good(const char *text)
{
	struct conf_report r;
	struct conf *c = load_texts(text, NULL, &r);

	assert_string_equal(buf_str(&r.errors), "");
	assert_int_equal(r.n_errors, 0);
	assert_string_equal(buf_str(&r.warnings), "");
	conf_report_done(&r);
	assert_non_null(c);
	return c;
}

static inline unsigned
count_lines(const char *s)
{
	unsigned n = 0;

	for (; *s != '\0'; s++)
		n += *s == '\n';
	return n;
}

/* Load what must fail with just these lines. */
static inline void
expect_errors(const char *text, const char *more, const char *errors)
{
	struct conf_report r;

	assert_null(load_texts(text, more, &r));
	assert_string_equal(buf_str(&r.errors), errors);
	assert_int_equal(r.n_errors, count_lines(errors));
	conf_report_done(&r);
}
