/* SPDX-License-Identifier: ISC */
/* A budget to try, and ways to look at it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/engine/budget.h"
#include "lib/base/cleanup.h"
#include "lib/base/rnd.h"

#define MINUTE INT64_C(60)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define T0     INT64_C(1796083200)
#define ALL    (BUDGET_SPENT_ORDER | BUDGET_SPENT_DOMAIN | BUDGET_SPENT_NAMES)

/* clang-format off */
static const struct conf_ca letsencrypt = { .name = "le", .limits = {
	[LIMIT_NEW_ORDERS] = { 300, 3 * HOUR },
	[LIMIT_PER_DOMAIN] = { 50, 7 * DAY },
	[LIMIT_PER_NAMES] = { 5, 7 * DAY },
	[LIMIT_FAILURES] = { 5, HOUR } }, .renewals_exempt = true };
/* clang-format on */
static const struct conf_ca unlimited = { .name = "none" };
static struct psl *psl;
static struct budget *b;
static struct err e;

static inline int
setup(void **state)
{
	(void)state;
	rnd_seed(1);
	psl = psl_new(&e);
	assert_non_null(psl);
	b = budget_new(&letsencrypt, psl, &e);
	assert_non_null(b);
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	budget_free(b);
	psl_close(psl);
	return 0;
}

static inline void
other_ca(const struct conf_ca *ca)
{
	budget_free(b);
	b = budget_new(ca, psl, &e);
	assert_non_null(b);
}

#define ORDER(...)                                                         \
	(struct budget_order)                                              \
	{                                                                  \
		.idents = (const char *const[]){ __VA_ARGS__ },            \
		.n_idents = sizeof((const char *const[]){ __VA_ARGS__ }) / \
			    sizeof(char *)                                 \
	}

/* Ordered and issued in the same second. */
static inline unsigned
spend(const struct budget_order *o, int64_t now)
{
	unsigned what = budget_spend(b, o, now);

	budget_issued(b, o, what, now);
	return what;
}

static inline void
spend_n(const struct budget_order *o, unsigned n, int64_t now)
{
	while (n-- > 0)
		(void)spend(o, now);
}

struct found {
	enum conf_limit limit;
	const char *of;
	struct budget_line line;
	unsigned n;
};

static inline void
find_line(void *arg, const struct budget_line *line)
{
	struct found *f = arg;

	assert_true(line->left <= line->capacity);
	f->n++;
	if (line->limit == f->limit && strcmp(line->of, f->of) == 0)
		f->line = *line;
}

static inline struct budget_line
line(enum conf_limit limit, const char *of, int64_t now)
{
	struct found f = { .limit = limit, .of = of };

	budget_each(b, now, find_line, &f);
	return f.line;
}

static inline unsigned
lines(int64_t now)
{
	struct found f = { .of = "" };

	budget_each(b, now, find_line, &f);
	return f.n;
}

static inline void
encode(struct buf *text, int64_t now)
{
	buf_reset(text);
	assert_int_equal(budget_encode(b, now, text, &e), 0);
}

static inline void
decode(const char *text, int64_t now, int want)
{
	other_ca(&letsencrypt);
	assert_int_equal(budget_decode(b, text, strlen(text), now, &e), want);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
