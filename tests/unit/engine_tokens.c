/* SPDX-License-Identifier: ISC */
/* Live answers: published, replaced, told of, withdrawn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/engine/tokens.h"

#define T1 "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA"
#define T2 "DGyRejmCefe7v4NfDGDKfA_6iY6l9cTPEyg7Zf1gZ5k"

static struct err e;

static void
publish_find_withdraw(void **state)
{
	AUTO(tokens_free) struct tokens *t = tokens_new(&e);

	(void)state;
	assert_null(tokens_find(t, T1, strlen(T1)));
	assert_int_equal(tokens_publish(t, T1, T1 ".abc", NULL, NULL, &e), 0);
	assert_int_equal(tokens_count(t), 1);
	assert_string_equal(tokens_find(t, T1, strlen(T1)), T1 ".abc");
	assert_null(tokens_find(t, T2, strlen(T2)));
	tokens_withdraw(t, T2);
	assert_int_equal(tokens_count(t), 1);
	tokens_withdraw(t, T1);
	assert_int_equal(tokens_count(t), 0);
	assert_null(tokens_find(t, T1, strlen(T1)));
	tokens_withdraw(t, T1);
	assert_int_equal(tokens_count(t), 0);
}

/* F2: nothing but the exact token will do. */
static void
find_is_exact(void **state)
{
	AUTO(tokens_free) struct tokens *t = tokens_new(&e);
	char other[] = T1;

	(void)state;
	assert_int_equal(tokens_publish(t, T1, "a", NULL, NULL, &e), 0);
	assert_string_equal(tokens_find(t, T1 "/more", strlen(T1)), "a");
	assert_null(tokens_find(t, T1, strlen(T1) - 1));
	assert_null(tokens_find(t, T1 "A", strlen(T1) + 1));
	assert_null(tokens_find(t, T1, strlen(T1) + 1)); /* with its NUL */
	assert_null(tokens_find(t, "", 0));
	other[0] = 'E';
	assert_null(tokens_find(t, other, strlen(other)));
}

static void
publish_refuses(void **state)
{
	AUTO(tokens_free) struct tokens *t = tokens_new(&e);
	char longest[TOKENS_ANSWER_MAX + 2];

	(void)state;
	assert_int_equal(tokens_publish(t, "short", "a", NULL, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_int_equal(tokens_publish(t, "../../../../../../../../etc", "a",
			     NULL, NULL, &e),
	    -1);
	assert_int_equal(e.kind, ERR_PROTO);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[TOKENS_ANSWER_MAX + 1] = '\0';
	assert_int_equal(tokens_publish(t, T1, longest, NULL, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_int_equal(tokens_count(t), 0);
	longest[TOKENS_ANSWER_MAX] = '\0';
	assert_int_equal(tokens_publish(t, T1, longest, NULL, NULL, &e), 0);
	assert_string_equal(tokens_find(t, T1, strlen(T1)), longest);
}

struct heard {
	struct tokens *withdraw_from;
	char token[64];
	int calls;
};

static void
hear(void *arg, const char *token)
{
	struct heard *h = arg;

	h->calls++;
	if (h->withdraw_from != NULL)
		tokens_withdraw(h->withdraw_from, token);
	(void)snprintf(h->token, sizeof(h->token), "%s", token);
}

static void
tell_reaches_the_publisher(void **state)
{
	AUTO(tokens_free) struct tokens *t = tokens_new(&e);
	struct heard first = { 0 }, second = { 0 };

	(void)state;
	tokens_tell(t, T1, strlen(T1));
	assert_int_equal(tokens_publish(t, T1, "a", hear, &first, &e), 0);
	tokens_tell(t, T1, strlen(T1));
	assert_int_equal(first.calls, 1);
	assert_string_equal(first.token, T1);
	tokens_tell(t, T2, strlen(T2));
	tokens_tell(t, T1, strlen(T1) - 1);
	assert_int_equal(first.calls, 1);

	/* the new publisher takes over, answer and all */
	assert_int_equal(tokens_publish(t, T1, "b", hear, &second, &e), 0);
	assert_int_equal(tokens_count(t), 1);
	assert_string_equal(tokens_find(t, T1, strlen(T1)), "b");
	tokens_tell(t, T1, strlen(T1));
	assert_int_equal(first.calls, 1);
	assert_int_equal(second.calls, 1);
	assert_int_equal(tokens_publish(t, T1, "c", NULL, NULL, &e), 0);
	tokens_tell(t, T1, strlen(T1));
	assert_int_equal(second.calls, 1);
}

static void
the_told_may_withdraw(void **state)
{
	AUTO(tokens_free) struct tokens *t = tokens_new(&e);
	struct heard h = { .withdraw_from = t };

	(void)state;
	assert_int_equal(tokens_publish(t, T1, "a", hear, &h, &e), 0);
	tokens_tell(t, T1, strlen(T1));
	assert_string_equal(h.token, T1);
	assert_int_equal(tokens_count(t), 0);
	tokens_tell(t, T1, strlen(T1));
	assert_int_equal(h.calls, 1);
}

/* Two orders that share an authorization: the first to end takes neither the
 * answer nor, with what it has freed, the listener along. */
static void
shared(void **state)
{
	AUTO(tokens_free) struct tokens *t = tokens_new(&e);
	struct heard first = { 0 }, second = { 0 };

	(void)state;
	assert_int_equal(tokens_publish(t, T1, "a", hear, &first, &e), 0);
	assert_int_equal(tokens_publish(t, T1, "a", hear, &second, &e), 0);
	tokens_withdraw(t, T1);
	assert_string_equal(tokens_find(t, T1, strlen(T1)), "a");
	tokens_tell(t, T1, strlen(T1));
	assert_int_equal(first.calls + second.calls, 0);
	tokens_withdraw(t, T1);
	assert_null(tokens_find(t, T1, strlen(T1)));
	assert_int_equal(tokens_count(t), 0);
}

static void
many(void **state)
{
	AUTO(tokens_free) struct tokens *t = tokens_new(&e);
	char token[64], answer[64];
	const char *found;
	int i;

	(void)state;
	for (i = 0; i < 20000; i++) {
		(void)snprintf(token, sizeof(token), "token-%032d", i);
		(void)snprintf(answer, sizeof(answer), "answer %d", i);
		assert_int_equal(
		    tokens_publish(t, token, answer, NULL, NULL, &e), 0);
	}
	assert_int_equal(tokens_count(t), 20000);
	for (i = 0; i < 20000; i += 2) {
		(void)snprintf(token, sizeof(token), "token-%032d", i);
		tokens_withdraw(t, token);
	}
	assert_int_equal(tokens_count(t), 10000);
	for (i = 0; i < 20000; i++) {
		(void)snprintf(token, sizeof(token), "token-%032d", i);
		(void)snprintf(answer, sizeof(answer), "answer %d", i);
		found = tokens_find(t, token, strlen(token));
		if (i % 2 == 0)
			assert_null(found);
		else
			assert_string_equal(found, answer);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(publish_find_withdraw),
		cmocka_unit_test(find_is_exact),
		cmocka_unit_test(publish_refuses),
		cmocka_unit_test(tell_reaches_the_publisher),
		cmocka_unit_test(the_told_may_withdraw),
		cmocka_unit_test(shared),
		cmocka_unit_test(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
