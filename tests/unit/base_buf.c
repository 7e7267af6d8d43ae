/* SPDX-License-Identifier: ISC */
/* Limits that stick, and who owns what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

static void
appends(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(100);

	(void)state;
	assert_string_equal(buf_str(&b), "");
	buf_puts(&b, "one");
	buf_putc(&b, ' ');
	buf_printf(&b, "%d%s", 2, "!");
	buf_add(&b, "\0z", 2);
	buf_add(&b, NULL, 0);
	assert_true(buf_ok(&b));
	assert_int_equal(b.len, 8);
	assert_memory_equal(b.data, "one 2!\0z", 9);
}

static void
limit_is_exact(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(5);

	(void)state;
	buf_puts(&b, "12345");
	assert_true(buf_ok(&b));
	assert_string_equal(buf_str(&b), "12345");
	assert_true(b.cap <= 6);
	buf_putc(&b, '6');
	assert_false(buf_ok(&b));
}

static void
limit_sticks(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(4);

	(void)state;
	buf_puts(&b, "abc");
	buf_puts(&b, "de");
	assert_false(buf_ok(&b));
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(b.len, 0);
	buf_puts(&b, "x");
	buf_printf(&b, "%d", 1);
	buf_reserve(&b, 1);
	assert_false(buf_ok(&b));
	assert_string_equal(buf_str(&b), "");
	assert_null(buf_take(&b));
	buf_reset(&b);
	buf_puts(&b, "xyz");
	assert_true(buf_ok(&b));
	assert_string_equal(buf_str(&b), "xyz");
}

static void
printf_limit(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(4);

	(void)state;
	buf_printf(&b, "%04d", 7);
	assert_string_equal(buf_str(&b), "0007");
	buf_printf(&b, "%s", "");
	assert_true(buf_ok(&b));
	buf_printf(&b, "%s", "x");
	assert_false(buf_ok(&b));
}

static void
zero_limit(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	buf_puts(&b, "");
	assert_true(buf_ok(&b));
	buf_putc(&b, 'x');
	assert_false(buf_ok(&b));
	buf_done(&b);
}

static void
absurd_sizes(void **state)
{
	struct buf b = BUF_INIT(SIZE_MAX);

	(void)state;
	buf_puts(&b, "x");
	assert_string_equal(buf_str(&b), "x");
	buf_reserve(&b, SIZE_MAX);
	assert_false(buf_ok(&b));
	buf_reset(&b);
	buf_puts(&b, "x");
	buf_reserve(&b, SIZE_MAX - 1);
	assert_false(buf_ok(&b));
	buf_done(&b);
}

static void
grows_to_many(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(100000);
	size_t i;

	(void)state;
	for (i = 0; i < 100000; i++)
		buf_putc(&b, (char)('a' + i % 26));
	assert_true(buf_ok(&b));
	for (i = 0; i < 100000; i++)
		assert_int_equal(b.data[i], 'a' + i % 26);
	buf_putc(&b, 'x');
	assert_false(buf_ok(&b));
}

static void
take_hands_on(void **state)
{
	struct buf b = BUF_INIT(10);
	AUTO(free) char *empty = NULL;
	AUTO(free) char *s = NULL;

	(void)state;
	empty = buf_take(&b);
	assert_string_equal(empty, "");
	buf_puts(&b, "mine");
	s = buf_take(&b);
	assert_string_equal(s, "mine");
	assert_null(b.data);
	buf_puts(&b, "0123456789");
	assert_true(buf_ok(&b));
	buf_done(&b);
	assert_null(b.data);
	assert_int_equal(b.max, 10);
	buf_done(&b);
}

static void
reset_keeps_memory(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(100);
	const char *data;

	(void)state;
	buf_puts(&b, "something");
	data = b.data;
	buf_reset(&b);
	assert_string_equal(buf_str(&b), "");
	buf_puts(&b, "else");
	assert_ptr_equal(b.data, data);
}

static void
reserve_moves_nothing_later(void **state)
{
	AUTO(buf_wipe) struct buf b = BUF_INIT(1000);
	const char *data;
	size_t i;

	(void)state;
	buf_reserve(&b, 1000);
	assert_true(buf_ok(&b));
	assert_string_equal(buf_str(&b), "");
	data = b.data;
	for (i = 0; i < 1000; i++)
		buf_putc(&b, 'k');
	assert_ptr_equal(b.data, data);
	assert_true(buf_ok(&b));
	buf_reserve(&b, 1);
	assert_false(buf_ok(&b));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends),
		cmocka_unit_test(limit_is_exact),
		cmocka_unit_test(limit_sticks),
		cmocka_unit_test(printf_limit),
		cmocka_unit_test(zero_limit),
		cmocka_unit_test(absurd_sizes),
		cmocka_unit_test(grows_to_many),
		cmocka_unit_test(take_hands_on),
		cmocka_unit_test(reset_keeps_memory),
		cmocka_unit_test(reserve_moves_nothing_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
