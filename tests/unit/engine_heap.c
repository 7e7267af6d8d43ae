/* SPDX-License-Identifier: ISC */
/* The heap of instants, against a plain search. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/engine/heap.h"
#include "lib/base/cleanup.h"
#include "lib/base/rnd.h"

#define N 300

static struct heap_item items[N];

static const struct heap_item *
earliest(void)
{
	const struct heap_item *best = NULL;
	size_t i;

	for (i = 0; i < N; i++)
		if (items[i].pos != 0 &&
		    (best == NULL || items[i].key < best->key))
			best = &items[i];
	return best;
}

static void
check(const struct heap *h, size_t n)
{
	const struct heap_item *best = earliest();
	size_t i;

	assert_int_equal(h->n, n);
	for (i = 1; i <= h->n; i++) {
		assert_int_equal(h->slots[i].item->pos, i);
		assert_int_equal(h->slots[i].item->key, h->slots[i].key);
		if (i > 1)
			assert_true(
			    h->slots[(i + 2) / 4].key <= h->slots[i].key);
	}
	if (best == NULL)
		assert_null(heap_first(h));
	else
		assert_int_equal(heap_first(h)->key, best->key);
}

static void
empty(void **state)
{
	struct heap h;
	struct err e;
	struct heap_item it = { 0 };

	(void)state;
	assert_int_equal(heap_init(&h, 0, &e), 0);
	assert_null(heap_first(&h));
	heap_remove(&h, &it);
	assert_null(heap_first(&h));
	heap_done(&h);
}

static void
one(void **state)
{
	struct heap h;
	struct err e;
	struct heap_item it = { 0 };

	(void)state;
	assert_int_equal(heap_init(&h, 1, &e), 0);
	heap_put(&h, &it, 5);
	heap_put(&h, &it, INT64_MIN);
	assert_ptr_equal(heap_first(&h), &it);
	assert_int_equal(it.key, INT64_MIN);
	heap_remove(&h, &it);
	assert_int_equal(it.pos, 0);
	assert_null(heap_first(&h));
	heap_remove(&h, &it);
	heap_done(&h);
}

static size_t
earlier_than(int64_t key)
{
	size_t i, n = 0;

	for (i = 0; i < N; i++)
		n += items[i].pos != 0 && items[i].key < key;
	return n;
}

static void
check_before(const struct heap *h)
{
	int64_t key = (int64_t)rnd_below(1010) - 5;
	size_t n = earlier_than(key), max = (size_t)rnd_below(N + 10);

	assert_int_equal(heap_before(h, key, SIZE_MAX), n);
	assert_int_equal(heap_before(h, key, max), n < max ? n : max);
	assert_int_equal(heap_before(h, key, 0), 0);
}

static void
any_order(void **state)
{
	struct heap h;
	struct err e;
	size_t n = 0, i;
	unsigned turn;

	(void)state;
	rnd_seed(3);
	assert_int_equal(heap_init(&h, N, &e), 0);
	for (turn = 0; turn < 20000; turn++) {
		i = (size_t)rnd_below(N);
		if (rnd_below(3) == 0) {
			n -= items[i].pos != 0;
			heap_remove(&h, &items[i]);
			assert_int_equal(items[i].pos, 0);
		} else { /* put, or move up or down */
			n += items[i].pos == 0;
			heap_put(&h, &items[i], (int64_t)rnd_below(1000));
		}
		check(&h, n);
		check_before(&h);
	}
	while (n > 0) {
		heap_remove(&h, heap_first(&h));
		check(&h, --n);
	}
	heap_done(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty),
		cmocka_unit_test(one),
		cmocka_unit_test(any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
