/* SPDX-License-Identifier: ISC */
/* Filling and wrapping errors; cut text says so. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"

static void
set_fills_every_field(void **state)
{
	struct err e;

	(void)state;
	memset(&e, 0xaa, sizeof(e));
	assert_int_equal(err_set(&e, ERR_PROTO, 7, "%s %d", "a", 1), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_int_equal(e.num, 7);
	assert_int_equal(e.problem, 0);
	assert_int_equal(e.retry_after_s, -1);
	assert_string_equal(e.what, "a 1");
}

static void
sys_appends_the_reason(void **state)
{
	struct err e;

	(void)state;
	(void)err_set(&e, ERR_SYS, ENOENT, "open %s", "x");
	assert_string_equal(e.what, "open x: No such file or directory");
	assert_int_equal(e.num, ENOENT);
}

static void
hints_at_disks_by_text(void **state)
{
	struct err e;

	(void)state;
	(void)err_set(&e, ERR_SYS, ENOSPC, "write x");
	assert_non_null(strstr(err_hint(&e), "make room"));
	/* as another process told it */
	(void)err_set(&e, ERR_LIMIT, 0, "keeper: write: %s", strerror(EROFS));
	assert_null(err_hint(&e));
	e.kind = ERR_SYS;
	assert_non_null(strstr(err_hint(&e), "read-only"));
	(void)err_set(&e, ERR_SYS, ENOENT, "open x");
	assert_null(err_hint(&e));
}

static void
nobody_cares(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, ERR_SYS, EIO, "x"), -1);
	assert_int_equal(err_wrap(NULL, "x"), -1);
	assert_int_equal(err_nomem(NULL, "x"), -1);
}

static void
nomem(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_nomem(&e, "order"), -1);
	assert_int_equal(e.kind, ERR_NOMEM);
	assert_int_equal(e.num, 0);
	assert_string_equal(e.what, "order: out of memory");
}

static void
wrap_keeps_kind_and_numbers(void **state)
{
	struct err e;

	(void)state;
	(void)err_set(&e, ERR_PROBLEM, 429, "too many");
	e.problem = 5;
	e.retry_after_s = 3600;
	assert_int_equal(err_wrap(&e, "%s: %s", "www", "finalize"), -1);
	assert_string_equal(e.what, "www: finalize: too many");
	assert_int_equal(e.kind, ERR_PROBLEM);
	assert_int_equal(e.num, 429);
	assert_int_equal(e.problem, 5);
	assert_int_equal(e.retry_after_s, 3600);
}

static void
own_text_as_argument(void **state)
{
	struct err e;

	(void)state;
	(void)err_set(&e, ERR_NET, 1, "inner");
	(void)err_set(&e, ERR_PROTO, 0, "<%s>", e.what);
	assert_string_equal(e.what, "<inner>");
	(void)err_wrap(&e, "%s", e.what);
	assert_string_equal(e.what, "<inner>: <inner>");
}

static void
what_fits_exactly_is_whole(void **state)
{
	char text[ERR_WHAT_MAX];
	struct err e;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	(void)err_set(&e, ERR_PROTO, 0, "%s", text);
	assert_string_equal(e.what, text);
}

static void
cut_text_ends_in_dots(void **state)
{
	char text[3000];
	struct err e;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	(void)err_set(&e, ERR_PROTO, 0, "%s", text);
	assert_int_equal(strlen(e.what), ERR_WHAT_MAX - 1);
	assert_string_equal(e.what + ERR_WHAT_MAX - 5, "x...");

	text[ERR_WHAT_MAX - 5] = '\0'; /* the reason is what does not fit */
	(void)err_set(&e, ERR_SYS, ENOENT, "%s", text);
	assert_int_equal(strlen(e.what), ERR_WHAT_MAX - 1);
	assert_string_equal(e.what + ERR_WHAT_MAX - 4, "...");

	(void)err_set(&e, ERR_PROTO, 0, "%s", text);
	(void)err_wrap(&e, "a long enough prefix");
	assert_memory_equal(e.what, "a long enough prefix: x", 23);
	assert_string_equal(e.what + ERR_WHAT_MAX - 4, "...");
	(void)err_wrap(&e, "again");
	assert_memory_equal(e.what, "again: a long", 13);
	assert_string_equal(e.what + ERR_WHAT_MAX - 4, "...");
}

static void
cut_text_keeps_characters_whole(void **state)
{
	char text[3000];
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa9", 3);
	(void)err_set(&e, ERR_PROTO, 0, "x%s", text);
	assert_string_equal(e.what + strlen(e.what) - 5, "\xc3\xa9...");
}

static void
kinds_have_names(void **state)
{
	enum err_kind k;

	(void)state;
	assert_string_equal(err_kind_name(ERR_SYS), "system");
	assert_string_equal(err_kind_name(ERR_NET), "network");
	assert_string_equal(err_kind_name(ERR_PROBLEM), "problem");
	for (k = ERR_NONE; k <= ERR_STALE; k++)
		assert_string_not_equal(err_kind_name(k), "unknown");
	assert_string_equal(err_kind_name(k), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_fills_every_field),
		cmocka_unit_test(sys_appends_the_reason),
		cmocka_unit_test(hints_at_disks_by_text),
		cmocka_unit_test(nobody_cares),
		cmocka_unit_test(nomem),
		cmocka_unit_test(wrap_keeps_kind_and_numbers),
		cmocka_unit_test(own_text_as_argument),
		cmocka_unit_test(what_fits_exactly_is_whole),
		cmocka_unit_test(cut_text_ends_in_dots),
		cmocka_unit_test(cut_text_keeps_characters_whole),
		cmocka_unit_test(kinds_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
