/* SPDX-License-Identifier: ISC */
/* JSON: getters, limits, building, and building without memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Allocations that fail when a test wants it; -1: never. */
static long allocs_left = -1;

static void *
failing_malloc(size_t n)
{
	if (allocs_left == 0)
		return NULL;
	if (allocs_left > 0)
		allocs_left--;
	return malloc(n);
}

#define malloc failing_malloc
#include "lib/io/json.c"
#undef malloc

static struct json *
parse(const char *s)
{
	struct err e;
	struct json *j = json_parse(s, strlen(s), &e);

	if (j == NULL)
		fail_msg("%s", e.what);
	return j;
}

static void
refuses(const char *s, size_t len, enum err_kind kind, const char *what)
{
	struct err e;

	assert_null(json_parse(s, len, &e));
	assert_int_equal(e.kind, kind);
	if (strstr(e.what, what) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", what, e.what);
}

static void
test_parse_refuses(void **state)
{
	(void)state;
	refuses("", 0, ERR_PROTO, "not JSON: line 1, column 0: ");
	refuses("{\"a\":1} x", 9, ERR_PROTO, "end of file expected");
	refuses("{\"a\":1", 6, ERR_PROTO, "not JSON: line 1");
	refuses("{\"a\":1,\"a\":2}", 13, ERR_PROTO, "duplicate object key");
	refuses("\"\xff\"", 3, ERR_PROTO, "unable to decode byte 0xff");
	refuses("<html>\033[1m", 9, ERR_PROTO, "not JSON: line 1");
	refuses("1e999", 5, ERR_PROTO, "overflow");
	refuses("99999999999999999999", 20, ERR_PROTO, "too big integer");
	refuses("{\"\\u0000\":1}", 12, ERR_PROTO, "NUL");
	/* The bytes end where the length says, not at a NUL. */
	refuses("{}\0{}", 5, ERR_PROTO, "not JSON");
}

static void
test_parse_cleans_what_it_quotes(void **state)
{
	struct err e;

	(void)state;
	assert_null(json_parse("{\"a\": b\033c}", 10, &e));
	assert_null(strchr(e.what, '\033'));
}

static void
test_depth(void **state)
{
	char s[2 * (JSON_DEPTH_MAX + 1) + 1];
	AUTO(json_free) struct json *j = NULL;
	AUTO(json_free) struct json *quoted = NULL;

	(void)state;
	memset(s, '[', JSON_DEPTH_MAX);
	memset(s + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	s[2 * JSON_DEPTH_MAX] = '\0';
	j = parse(s);

	memset(s, '[', JSON_DEPTH_MAX + 1);
	memset(s + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	refuses(s, 2 * (JSON_DEPTH_MAX + 1), ERR_LIMIT,
	    "JSON nests deeper than 32");

	/* Brackets inside strings are text, after an escaped quote too. */
	quoted = parse("[\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]");
	assert_int_equal(json_len(quoted), 1);
}

static void
test_members(void **state)
{
	AUTO(json_free)
	struct json *j = parse("{\"i\":-9223372036854775808,\"r\":1.5,"
			       "\"t\":true,\"s\":\"1\",\"o\":{},\"a\":[],"
			       "\"z\":null,\"nul\":\"a\\u0000b\","
			       "\"d\":\"2026-11-26T03:00:00Z\"}");
	static const char *const no_number[] = { "r", "t", "s", "o", "a", "z",
		"nul", "none" };
	static const char *const no_flag[] = { "i", "r", "s", "o", "a", "z",
		"nul", "none" };
	static const char *const no_text[] = { "i", "r", "t", "o", "a", "z",
		"nul", "none" };
	size_t i;

	(void)state;
	assert_true(json_get_int(j, "i") == INT64_MIN);
	assert_true(json_get_bool(j, "t"));
	assert_string_equal(json_get_text(j, "s"), "1");
	assert_int_equal(json_get_time(j, "d"), 1795662000);
	assert_int_equal(json_get_time(j, "s"), 0);
	for (i = 0; i < NELEM(no_number); i++)
		assert_int_equal(json_get_int(j, no_number[i]), 0);
	for (i = 0; i < NELEM(no_flag); i++)
		assert_false(json_get_bool(j, no_flag[i]));
	for (i = 0; i < NELEM(no_text); i++)
		assert_null(json_get_text(j, no_text[i]));
	for (i = 0; i < NELEM(no_text); i++)
		assert_int_equal(json_get_time(j, no_text[i]), 0);
}

static void
test_not_an_object(void **state)
{
	AUTO(json_free) struct json *j = parse("[1]");

	(void)state;
	assert_false(json_is_object(j));
	assert_false(json_is_object(NULL));
	assert_int_equal(json_get_int(j, "i"), 0);
	assert_int_equal(json_get_int(NULL, "i"), 0);
	assert_false(json_get_bool(j, "i"));
	assert_false(json_get_bool(NULL, "i"));
	assert_null(json_get_object(j, "i"));
	assert_null(json_get_text(j, "i"));
}

static void
count_member(void *arg, const char *key, const struct json *v)
{
	struct buf *b = arg;

	buf_printf(b, "%s=%s;", key, json_text(v) != NULL ? json_text(v) : "-");
}

static void
test_tolerant(void **state)
{
	AUTO(json_free)
	struct json *j = parse("{\"o\":{\"x\":\"1\",\"y\":2},\"a\":[\"p\",3],"
			       "\"z\":null}");
	AUTO(buf_done) struct buf b = BUF_INIT(100);
	const struct json *a = json_get_array(j, "a");

	(void)state;
	assert_true(json_is_object(j));
	assert_int_equal(json_len(a), 2);
	assert_string_equal(json_text(json_at(a, 0)), "p");
	assert_null(json_text(json_at(a, 1)));
	assert_null(json_at(a, 2));
	assert_int_equal(json_len(NULL), 0);
	assert_null(json_at(NULL, 0));
	assert_null(json_get_array(j, "o"));
	assert_null(json_get_object(j, "a"));
	assert_null(json_get_object(j, "z"));
	assert_null(json_get_object(NULL, "z"));
	assert_null(json_get_text(j, "z"));
	assert_null(json_get_text(NULL, "z"));
	json_each(json_get_object(j, "o"), count_member, &b);
	json_each(a, count_member, &b);
	json_each(NULL, count_member, &b);
	assert_string_equal(buf_str(&b), "x=1;y=-;");
}

static struct json *
build(void)
{
	struct json *root = json_new_object(), *o, *a, *sub;

	json_set_str(root, "name", "www");
	json_set_str(root, "none", NULL);
	json_set_int(root, "n", INT64_MAX);
	json_set_bool(root, "b", true);
	json_set_str(root, "z", NULL);
	json_set_time(root, "never", 0);
	json_set_time(root, "d", 1795662000);
	o = json_set_object(root, "o");
	json_set_str(o, "text", "\"\n\\\xc3\xa4");
	a = json_set_array(o, "a");
	json_push_str(a, "one");
	json_set_int(json_push_object(a), "two", 2);
	sub = json_new_object();
	json_set_bool(sub, "c", false);
	json_set(root, "sub", sub);
	return root;
}

#define BUILT                                                          \
	"{\"name\":\"www\",\"none\":null,\"n\":9223372036854775807,"   \
	"\"b\":true,\"z\":null,\"d\":\"2026-11-26T03:00:00Z\",\"o\":{" \
	"\"text\":\"\\\"\\n\\\\\xc3\xa4\","                            \
	"\"a\":[\"one\",{\"two\":2}]},\"sub\":{\"c\":false}}"

static void
test_build(void **state)
{
	AUTO(json_free) struct json *j = build();
	AUTO(buf_done) struct buf b = BUF_INIT(1000);
	struct err e;

	(void)state;
	buf_puts(&b, "> ");
	assert_int_equal(json_dump(j, false, &b, &e), 0);
	assert_string_equal(buf_str(&b), "> " BUILT);
}

static void
test_build_indented(void **state)
{
	AUTO(json_free) struct json *j = json_new_object();
	AUTO(buf_done) struct buf b = BUF_INIT(1000);
	struct err e;

	(void)state;
	json_push_str(json_set_array(j, "a"), "x");
	assert_int_equal(json_dump(j, true, &b, &e), 0);
	assert_string_equal(buf_str(&b), "{\n  \"a\": [\n    \"x\"\n  ]\n}");
}

static void
test_build_mends_text(void **state)
{
	AUTO(json_free) struct json *j = json_new_object();
	AUTO(buf_done) struct buf b = BUF_INIT(1000);
	struct err e;

	(void)state;
	/* Text that is UTF-8 is not touched; what is not stays readable. */
	json_set_str(j, "ok", "a\tb\nc\xc3\xa4");
	json_set_str(j, "bad",
	    "a\xff"
	    "b\nline \xe4 two");
	assert_int_equal(json_dump(j, false, &b, &e), 0);
	assert_string_equal(buf_str(&b), "{\"ok\":\"a\\tb\\nc\xc3\xa4\","
					 "\"bad\":\"a?b\\nline ? two\"}");
}

static void
test_dump_limit(void **state)
{
	AUTO(json_free) struct json *j = build();
	AUTO(buf_done) struct buf b = BUF_INIT(20);
	struct err e;

	(void)state;
	assert_int_equal(json_dump(j, false, &b, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_string_equal(e.what, "JSON text does not fit into 20 bytes");
}

static void
test_null_chain(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(20);
	struct err e;

	(void)state;
	json_set_str(NULL, "a", "b");
	json_set_int(NULL, "a", 1);
	assert_null(json_set_object(NULL, "a"));
	assert_null(json_set_array(NULL, "a"));
	assert_null(json_push_object(NULL));
	json_set(NULL, "a", json_new_object()); /* taken, so freed */
	json_free(NULL);
	assert_int_equal(json_dump(NULL, false, &b, &e), -1);
	assert_int_equal(e.kind, ERR_NOMEM);
}

static void
test_misuse_is_not_lost(void **state)
{
	AUTO(json_free) struct json *j = json_new_object();
	AUTO(buf_done) struct buf b = BUF_INIT(100);
	struct err e;

	(void)state;
	json_push_str(json_set_object(j, "o"), "not an array");
	assert_int_equal(json_dump(j, false, &b, &e), -1);
	assert_int_equal(b.len, 0);
}

/* In turn each allocation of a builder fails, and all after it. */
static void
test_build_without_memory(void **state)
{
	long i, good = 0;

	(void)state;
	for (i = 0; i < 1000 && good == 0; i++) {
		AUTO(buf_done) struct buf b = BUF_INIT(1000);
		struct json *j;
		struct err e;

		allocs_left = i;
		j = build();
		allocs_left = -1;
		if (json_dump(j, false, &b, &e) == 0) {
			assert_string_equal(buf_str(&b), BUILT);
			good = i;
		} else {
			assert_int_equal(e.kind, ERR_NOMEM);
			assert_int_equal(b.len, 0);
		}
		json_free(j);
	}
	assert_in_range(good, 15, 999);
	assert_true(LIST_EMPTY(&parsing));
	assert_int_equal(bad_marks, 0);
}

/* A bad part makes what it is put into bad, and is not lost when it is not. */
static void
test_bad_part(void **state)
{
	AUTO(json_free) struct json *j = json_new_object();
	AUTO(buf_done) struct buf b = BUF_INIT(1000);
	struct json *part = json_new_array();
	struct err e;

	(void)state;
	allocs_left = 0;
	json_push_str(part, "x");
	allocs_left = -1;
	json_set(j, "part", part);
	assert_int_equal(json_dump(j, false, &b, &e), -1);

	part = json_new_array();
	allocs_left = 0;
	json_push_str(part, "x");
	json_set(j, "other", part);
	allocs_left = -1;
	assert_int_equal(json_dump(j, false, &b, &e), -1);
}

static void
test_parse_and_dump_without_memory(void **state)
{
	AUTO(json_free) struct json *older = json_new_object();
	long i, parsed = 0, dumped = 0;

	(void)state;
	for (i = 0; i < 1000 && dumped == 0; i++) {
		AUTO(buf_done) struct buf b = BUF_INIT(1000);
		struct json *j;
		struct err e;

		allocs_left = i;
		j = json_parse(BUILT, strlen(BUILT), &e);
		if (j == NULL) {
			assert_int_equal(e.kind, ERR_NOMEM);
			continue;
		}
		parsed++;
		if (json_dump(j, false, &b, &e) == 0)
			dumped++;
		else
			assert_int_equal(e.kind, ERR_NOMEM);
		json_free(j);
	}
	allocs_left = -1;
	assert_int_equal(dumped, 1);
	assert_true(parsed > 1);
	assert_in_range(i, 30, 999);
	/* What was there before the failures still is. */
	json_set_str(older, "a", "b");
	assert_string_equal(json_get_text(older, "a"), "b");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_parse_cleans_what_it_quotes),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_not_an_object),
		cmocka_unit_test(test_tolerant),
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_build_indented),
		cmocka_unit_test(test_build_mends_text),
		cmocka_unit_test(test_dump_limit),
		cmocka_unit_test(test_null_chain),
		cmocka_unit_test(test_misuse_is_not_lost),
		cmocka_unit_test(test_build_without_memory),
		cmocka_unit_test(test_bad_part),
		cmocka_unit_test(test_parse_and_dump_without_memory),
	};

	return cmocka_run_group_tests_name("io/json", tests, NULL, NULL);
}
