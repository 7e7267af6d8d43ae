/* SPDX-License-Identifier: ISC */
/* The request parser by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/engine/responder.h"

/* Every beginning of a request asks for more, and nothing reads past it. */
static void
parse_prefixes(void **state)
{
	static const char head[] =
	    "\r\nGET http://a.example:80/p/q?r#s HTTP/1.1\r\n"
	    "Host: b.example\r\nConnection: keep-alive\r\n"
	    "Content-Length: 5\r\n\r\n";
	struct http01_request q;
	const int whole = (int)sizeof(head) - 1;
	int n;

	(void)state;
	for (n = 0; n < whole; n++) {
		/* exactly as much memory, for the sanitizer */
		char *part = malloc((size_t)n + 1);

		memcpy(part, head, (size_t)n);
		part = realloc(part, n == 0 ? 1 : (size_t)n);
		assert_int_equal(http01_parse(part, (size_t)n, &q), 0);
		free(part);
	}
	assert_int_equal(http01_parse(head, sizeof(head) - 1, &q), whole);
	assert_int_equal(q.host_len, 9);
	assert_memory_equal(q.host, "a.example", 9);
	assert_int_equal(q.path_len, 4);
	assert_memory_equal(q.path, "/p/q", 4);
	assert_int_equal(q.target_len, 8);
	assert_memory_equal(q.target, "/p/q?r#s", 8);
	assert_false(q.head);
	assert_false(q.bad_method);
	assert_true(q.body);
	assert_false(q.keep_alive);
}

static void
parse_stops_at_the_limit(void **state)
{
	static char many[3 * HTTP01_HEAD_MAX];
	struct http01_request q;

	(void)state;
	memset(many, '\n', sizeof(many));
	assert_int_equal(http01_parse(many, sizeof(many), &q), 0);
	memset(many, 'A', sizeof(many));
	assert_int_equal(http01_parse(many, sizeof(many), &q), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_prefixes),
		cmocka_unit_test(parse_stops_at_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
