/* SPDX-License-Identifier: ISC */
/* Questions and answers by id: in any order, cancelled, never asked. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/engine/calls.h"

struct seen {
	unsigned n;
	const void *reply, *tail;
	size_t len;
	struct calls *more; /* ask again from inside */
};

static void
on_answer(void *arg, const struct chan_msg *m)
{
	struct seen *s = arg;
	uint32_t id;

	s->n++;
	s->reply = m->body;
	s->tail = m->tail;
	s->len = m->tail_len;
	if (s->more != NULL)
		assert_non_null(calls_add(s->more, on_answer, s, &id, NULL));
	s->more = NULL;
}

static int
answer(struct calls *cs, uint32_t id, const void *body, const void *tail,
    size_t len, struct err *e)
{
	const struct chan_msg m = {
		.id = id, .body = body, .tail = tail, .tail_len = len
	};

	return calls_answer(cs, &m, e);
}

static void
any_order(void **state)
{
	struct seen a = { 0 }, b = { 0 };
	struct calls cs;
	uint32_t id_a, id_b;
	struct err e;

	(void)state;
	calls_init(&cs);
	assert_non_null(calls_add(&cs, on_answer, &a, &id_a, &e));
	assert_non_null(calls_add(&cs, on_answer, &b, &id_b, &e));
	assert_int_not_equal(id_a, id_b);
	assert_int_equal(answer(&cs, id_b, "B", "tail", 4, &e), 0);
	assert_int_equal(b.n, 1);
	assert_string_equal(b.reply, "B");
	assert_string_equal(b.tail, "tail");
	assert_int_equal(b.len, 4);
	assert_int_equal(a.n, 0);
	assert_int_equal(answer(&cs, id_a, "A", NULL, 0, &e), 0);
	assert_int_equal(a.n, 1);
	/* each once */
	assert_int_equal(answer(&cs, id_a, "A", NULL, 0, &e), -1);
	assert_string_equal(e.what, "answer 1 to no question");
	assert_int_equal(a.n, 1);
	calls_done(&cs);
}

static void
nobody_asked(void **state)
{
	struct calls cs;
	struct err e;

	(void)state;
	calls_init(&cs);
	assert_int_equal(answer(&cs, 7, "A", NULL, 0, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_string_equal(e.what, "answer 7 to no question");
	calls_done(&cs);
}

/* Its answer is still on the way, and is no offence. */
static void
cancelled(void **state)
{
	struct seen a = { 0 };
	struct calls cs;
	struct call *c;
	uint32_t id;
	struct err e;

	(void)state;
	calls_init(&cs);
	c = calls_add(&cs, on_answer, &a, &id, &e);
	call_cancel(c);
	call_cancel(NULL);
	assert_int_equal(answer(&cs, id, "A", NULL, 0, &e), 0);
	assert_int_equal(a.n, 0);
	assert_int_equal(answer(&cs, id, "A", NULL, 0, &e), -1);
	calls_done(&cs);
}

static void
asked_from_inside(void **state)
{
	struct calls cs;
	struct seen a = { .more = &cs };
	uint32_t id;
	struct err e;

	(void)state;
	calls_init(&cs);
	assert_non_null(calls_add(&cs, on_answer, &a, &id, &e));
	assert_int_equal(answer(&cs, id, "A", NULL, 0, &e), 0);
	assert_int_equal(answer(&cs, id + 1, "A", NULL, 0, &e), 0);
	assert_int_equal(a.n, 2);
	/* forgotten without a word */
	assert_non_null(calls_add(&cs, on_answer, &a, &id, &e));
	calls_done(&cs);
	assert_int_equal(a.n, 2);
}

/* What nobody heard has not failed; what was not sent has. */
static void
unheard(void **state)
{
	struct err e;

	(void)state;
	(void)err_set(&e, ERR_SYS, EPIPE, "send");
	assert_true(calls_unheard(&e));
	(void)err_set(&e, ERR_SYS, ECONNRESET, "send");
	assert_true(calls_unheard(&e));
	(void)err_set(&e, ERR_SYS, EMSGSIZE, "send");
	assert_false(calls_unheard(&e));
	(void)err_set(&e, ERR_LIMIT, EPIPE, "send");
	assert_false(calls_unheard(&e));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_order),
		cmocka_unit_test(nobody_asked),
		cmocka_unit_test(cancelled),
		cmocka_unit_test(asked_from_inside),
		cmocka_unit_test(unheard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
