/* SPDX-License-Identifier: ISC */
/* Budgets on disk, and by clocks that were wrong. */
#include "budget_support.h"

static void
fill(void)
{
	const struct budget_order one = ORDER("a.example");
	const struct budget_order two = ORDER("a.example", "www.b.example");

	spend_n(&one, 3, T0);
	(void)spend(&two, T0);
	budget_failed(b, "a.example", T0 - 1800);
	budget_failed(b, "a.example", T0);
}

static void
there_and_back(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(1 << 20);
	AUTO(buf_done) struct buf again = BUF_INIT(1 << 20);
	static const char *const names[] = { "a.example" };
	struct budget_line l;

	(void)state;
	encode(&text, T0);
	assert_string_equal(buf_str(&text), "{}");
	fill();
	encode(&text, T0);
	decode(buf_str(&text), T0 + 5, 0);
	assert_int_equal(line(LIMIT_NEW_ORDERS, "", T0 + 5).left, 296);
	l = line(LIMIT_PER_DOMAIN, "a.example", T0 + 5);
	assert_int_equal(l.left, 46);
	assert_int_equal(l.capacity, 50);
	assert_int_equal(l.per_s, 7 * DAY);
	assert_int_equal(l.full_at, T0 + 4 * 7 * DAY / 50);
	assert_int_equal(line(LIMIT_PER_NAMES, "a.example", T0 + 5).left, 2);
	assert_int_equal(line(LIMIT_FAILURES, "a.example", T0 + 5).left, 1);
	budget_failed(b, "a.example", T0 + 6);
	assert_int_equal(
	    budget_failed_when(b, names, 1, false, T0 + 6), T0 + 1800);
	/* the same once more, and nothing of what is full by then */
	encode(&text, T0 + 6);
	decode(buf_str(&text), T0 + 6, 0);
	encode(&again, T0 + 6);
	decode(buf_str(&again), T0 + 6, 0);
	assert_int_equal(lines(T0 + 6), 6);
	decode(buf_str(&again), T0 + 8 * DAY, 0);
	encode(&text, T0 + 8 * DAY);
	assert_string_equal(buf_str(&text), "{}");
}

#define MANY  40000
#define TIGHT 100

static void
order_for(unsigned i, unsigned n, int64_t now)
{
	char name[STR_IDENT_MAX];
	const char *const idents[] = { name };
	const struct budget_order o = { .idents = idents, .n_idents = 1 };

	(void)snprintf(name, sizeof(name), "customer%06u.example", i);
	spend_n(&o, n, now);
}

/* More than there is room for on disk: what is nearest to full is left out. */
static void
too_many_to_keep(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(1 << 20);
	struct conf_ca ca = letsencrypt;
	char name[STR_IDENT_MAX];
	unsigned i;

	(void)state;
	ca.limits[LIMIT_PER_NAMES].n = 0;
	other_ca(&ca);
	for (i = 0; i < MANY; i++)
		order_for(i, i % (MANY / TIGHT) == 7 ? 40 : 1, T0);
	budget_failed(b, "failed.example", T0);
	encode(&text, T0);
	assert_in_range(text.len, 800 << 10, 1 << 20);
	decode(buf_str(&text), T0, 0);
	for (i = 7; i < MANY; i += MANY / TIGHT) {
		(void)snprintf(name, sizeof(name), "customer%06u.example", i);
		assert_int_equal(line(LIMIT_PER_DOMAIN, name, T0).left, 10);
	}
	assert_int_equal(line(LIMIT_FAILURES, "failed.example", T0).left, 2);
}

/* What is not understood counts as full; only what is no JSON is damage. */
static void
bad_json(void **state)
{
	static const char *const damaged[] = { "", "{", "x", "{} {}" };
	static const char *const odd[] = { "[]", "7", "{\"new-orders\": 5}",
		"{\"new-orders\": [\"x\"]}", "{\"new-orders\": [-5]}",
		"{\"new-orders\": [9223372036854775807]}",
		"{\"per-domain\": []}", "{\"per-domain\": {\"a\": \"x\"}}",
		"{\"per-domain\": {\"a\": -1, \"b\": 1.5}}",
		"{\"failures\": {\"a\": 7, \"b\": [], \"c\": [\"x\", {}]}}",
		"{\"per-names\": null, \"what\": {\"a\": 1}}" };
	char text[BUDGET_KEY_MAX + 64];
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(damaged); i++)
		decode(damaged[i], T0, -1);
	for (i = 0; i < NELEM(odd); i++) {
		decode(odd[i], T0, 0);
		assert_int_equal(lines(T0), 1);
		assert_int_equal(line(LIMIT_NEW_ORDERS, "", T0).left, 300);
	}
	(void)snprintf(text, sizeof(text), "{\"per-names\": {\"%0*d\": %lld}}",
	    BUDGET_KEY_MAX, 0, (long long)T0 + 5);
	decode(text, T0, 0);
	assert_int_equal(lines(T0), 1);
}

/* A clock that is decades back at boot takes nothing away. */
static void
clock_in_the_past(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(1 << 20);

	(void)state;
	fill();
	encode(&text, T0);
	decode(buf_str(&text), 600, 0);
	/* right again */
	budget_mend(b, T0 + 5);
	assert_int_equal(line(LIMIT_NEW_ORDERS, "", T0 + 5).left, 296);
	assert_int_equal(line(LIMIT_PER_DOMAIN, "a.example", T0 + 5).left, 46);
	assert_int_equal(line(LIMIT_FAILURES, "a.example", T0 + 5).left, 1);
	/* and written with that clock as well */
	encode(&text, 600);
	decode(buf_str(&text), T0 + 5, 0);
	assert_int_equal(line(LIMIT_PER_DOMAIN, "a.example", T0 + 5).left, 46);
}

/* What was noted by a clock years ahead is empty at most, not for years. */
static void
clock_in_the_future(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(1 << 20);
	static const char *const names[] = { "a.example" };
	const struct budget_order o = ORDER("a.example");
	int64_t ahead = T0 + 3650 * DAY;

	(void)state;
	spend_n(&o, 5, ahead);
	budget_failed(b, "a.example", ahead);
	budget_failed(b, "a.example", ahead);
	budget_failed(b, "a.example", ahead);
	encode(&text, ahead);
	decode(buf_str(&text), T0, 0);
	assert_true(budget_when(b, &o, T0, NULL) > T0 + 3000 * DAY);
	budget_mend(b, T0);
	assert_in_range(budget_when(b, &o, T0, NULL), T0 + 1, T0 + 34 * HOUR);
	assert_in_range(budget_failed_when(b, names, 1, false, T0), T0 + 1,
	    T0 + HOUR + 120);
	assert_int_equal(lines(T0 + 7 * DAY + 1), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(there_and_back),
		T(too_many_to_keep),
		T(bad_json),
		T(clock_in_the_past),
		T(clock_in_the_future),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
