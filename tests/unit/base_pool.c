/* SPDX-License-Identifier: ISC */
/* Limits, alignment and zeroes. */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/pool.h"

static void
zeroed_and_aligned(void **state)
{
	AUTO(pool_free) struct pool *p = pool_new(1 << 20);
	unsigned char *mem;
	size_t n, i;

	(void)state;
	for (n = 0; n < 300; n++) {
		mem = pool_alloc(p, n);
		assert_non_null(mem);
		assert_int_equal((uintptr_t)mem % alignof(max_align_t), 0);
		for (i = 0; i < n; i++)
			assert_int_equal(mem[i], 0);
		memset(mem, 0xff, n);
	}
}

static void
nothing_overlaps(void **state)
{
	AUTO(pool_free) struct pool *p = pool_new(1 << 20);
	unsigned char *mem[200];
	size_t i, j;

	(void)state;
	for (i = 0; i < 200; i++) {
		/* now and then one that is larger than a chunk */
		mem[i] = pool_alloc(p, i % 50 == 7 ? 5000 : 10 + i);
		assert_non_null(mem[i]);
		memset(mem[i], (int)i, i % 50 == 7 ? 5000 : 10 + i);
	}
	for (i = 0; i < 200; i++)
		for (j = 0; j < 10 + (i % 50 == 7 ? 4990 : i); j++)
			assert_int_equal(mem[i][j], i);
}

static void
limit(void **state)
{
	AUTO(pool_free) struct pool *p = pool_new(1024);
	size_t used;

	(void)state;
	assert_int_equal(pool_used(p), 0);
	assert_non_null(pool_alloc(p, 1000));
	used = pool_used(p);
	assert_true(used >= 1000);
	assert_null(pool_alloc(p, 100));
	assert_int_equal(pool_used(p), used);
	assert_non_null(pool_alloc(p, 16)); /* what fits still fits */
	assert_null(pool_alloc(p, 1));
	assert_null(pool_strdup(p, "x"));
}

static void
absurd_sizes(void **state)
{
	AUTO(pool_free) struct pool *p = pool_new(SIZE_MAX);

	(void)state;
	assert_null(pool_alloc(p, SIZE_MAX));
	assert_null(pool_alloc(p, SIZE_MAX - 8));
	assert_null(pool_alloc(p, SIZE_MAX / 2 + 1));
	assert_non_null(pool_alloc(p, 1));
}

static void
strings(void **state)
{
	AUTO(pool_free) struct pool *p = pool_new(4096);
	const char raw[] = { 'a', 'b', 'c' }; /* no NUL */
	char *s;

	(void)state;
	s = pool_strdup(p, "order");
	assert_string_equal(s, "order");
	assert_string_equal(pool_strdup(p, ""), "");
	assert_string_equal(pool_strndup(p, raw, 3), "abc");
	assert_string_equal(pool_strndup(p, "abcdef", 2), "ab");
	assert_string_equal(pool_strndup(p, "ab", 10), "ab");
	assert_string_equal(s, "order");
}

static void
free_of_null(void **state)
{
	(void)state;
	pool_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroed_and_aligned),
		cmocka_unit_test(nothing_overlaps),
		cmocka_unit_test(limit),
		cmocka_unit_test(absurd_sizes),
		cmocka_unit_test(strings),
		cmocka_unit_test(free_of_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
