/* SPDX-License-Identifier: ISC */
/* Names that are left out (protocol E26): which order is for which, what is
 * installed, and there and back.  When they are is played by scenarios. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/engine/certs.h"
#include "lib/acme/problem.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define T0   INT64_C(1796083200)
#define KEY1 "1111111111111111111111111111111111111111111111111111111111111111"

static const char *const idents[] = { "a.example", "a.example.org", "b.example",
	"www.a.example" };
static const struct conf_ca cas[] = { { .name = "one",
    .directory = "https://one/dir" } };
static const uint32_t first[] = { 0 };
static struct conf_cert confs[1];
static const struct conf conf = {
	.cas = cas, .n_cas = 1, .certs = confs, .n_certs = 1
};

static void
no_cancel(struct store_op *op)
{
	assert_null(op);
}

static const struct store_ops ops = { .cancel = no_cancel };
static struct store store = { .ops = &ops };
static struct loop *loop;
static struct certs cs;
static struct cert *c;
static struct err e;

static void
begin(void)
{
	assert_int_equal(certs_init(&cs, &conf, loop, &store, &e), 0);
	c = &cs.all[0];
}

static int
setup(void **state)
{
	(void)state;
	log_init("test", (enum log_level)0, LOG_F_TEXT);
	clock_fake(T0);
	confs[0] = (struct conf_cert){ .name = "a",
		.idents = idents,
		.n_idents = NELEM(idents),
		.cas = first,
		.n_cas = 1,
		.reload = CONF_NONE,
		.partial = true };
	loop = loop_new(&e);
	assert_non_null(loop);
	begin();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	certs_free(&cs);
	loop_free(loop);
	return 0;
}

static void
blame(const char *ident, enum acme_problem problem, const char *text)
{
	struct err why;

	(void)err_set(&why, ERR_PROBLEM, 400, "%s", text);
	why.problem = problem;
	partial_blame(c, ident, &why);
}

static void
leave_out(const char *ident)
{
	struct bad_name *b;

	blame(ident, PROBLEM_DNS, "dns: no such name");
	b = partial_add(c, ident);
	assert_non_null(b);
	b->out = true;
	b->failures = 2;
	c->partial->whole_at = T0 + 3600;
}

static void
install(const char *names)
{
	c->have = (struct issued){ .key_id = strdup(KEY1),
		.serial = strdup("00ff"),
		.ca = "one",
		.not_before = T0,
		.not_after = T0 + 90 * 86400,
		.by_fraction = T0 + 60 * 86400,
		.made_for = c->wants,
		.version = 1,
		.partial = names != NULL,
		.names = names == NULL ? NULL : strdup(names) };
}

/* Encode, forget, decode. */
static void
again(void)
{
	AUTO(buf_done) struct buf text = BUF_INIT(STORE_VALUE_MAX);

	assert_int_equal(cert_encode(&conf, c, &text, &e), 0);
	certs_free(&cs);
	begin();
	assert_int_equal(cert_decode(&conf, c, text.data, text.len, &e), 0);
}

static enum change
changed(void)
{
	c->wants = cert_wants(&conf, &confs[0]);
	return cert_changed(&conf, &confs[0], &c->wants, &c->have);
}

static void
reduced(void **state)
{
	const uint8_t *mask;
	size_t i;

	(void)state;
	assert_ptr_equal(c->idents, idents);
	assert_int_equal(c->n_idents, 4);
	for (i = 0; i < IPC_NAMES / 8; i++)
		assert_int_equal(partial_mask(c)[i], 0);
	leave_out("a.example.org");
	leave_out("www.a.example");
	assert_int_equal(partial_n_out(c), 2);
	/* not before it is said so */
	assert_ptr_equal(c->idents, idents);
	partial_use(c, true);
	assert_int_equal(c->n_idents, 2);
	assert_string_equal(c->idents[0], "a.example");
	assert_string_equal(c->idents[1], "b.example");
	mask = partial_mask(c);
	assert_int_equal(mask[0], 1 << 1 | 1 << 3);
	for (i = 1; i < IPC_NAMES / 8; i++)
		assert_int_equal(mask[i], 0);
	partial_use(c, false);
	assert_ptr_equal(c->idents, idents);
	assert_int_equal(partial_mask(c)[0], 0);
	/* and not while nothing is to be left out */
	partial_free(c);
	partial_use(c, true);
	assert_ptr_equal(c->idents, idents);
	assert_null(c->partial);
}

/* Nobody has asked for it. */
static void
not_partial(void **state)
{
	(void)state;
	confs[0].partial = false;
	blame("a.example", PROBLEM_DNS, "dns: no such name");
	partial_good(c);
	assert_null(c->partial);
	assert_false(partial_asks_all(c, true));
	assert_int_equal(partial_when(c, T0), T0);
}

static void
not_ours(void **state)
{
	(void)state;
	assert_null(partial_add(c, "example"));
	blame("c.example", PROBLEM_DNS, "dns: no such name");
	assert_null(c->partial);
}

static void
one_attempt(void **state)
{
	struct partial *p;

	(void)state;
	assert_false(partial_asks_all(c, false));
	assert_true(partial_asks_all(c, true));
	blame("a.example", PROBLEM_DNS, "dns: no such name");
	p = c->partial;
	assert_int_equal(p->n_bad, 1);
	assert_true(p->bad[0].now);
	assert_false(p->bad[0].refused);
	assert_int_equal(p->bad[0].since, T0);
	assert_string_equal(p->bad[0].type, "dns");
	assert_string_equal(p->bad[0].text, "dns: no such name");
	assert_false(p->other_faults);
	assert_false(p->some_good);
	assert_true(partial_asks_all(c, false));
	partial_good(c);
	assert_true(p->some_good);
	clock_fake(T0 + 60);
	blame("b.example", PROBLEM_REJECTED_IDENTIFIER, "not that one");
	assert_true(p->bad[1].refused);
	/* which is of the CA's making */
	blame("a.example", PROBLEM_SERVER_INTERNAL, "sorry");
	assert_true(p->other_faults);
	assert_int_equal(p->n_bad, 2);
	assert_int_equal(p->bad[0].since, T0);
	assert_int_equal(p->bad[0].at, T0 + 60);
	assert_string_equal(p->bad[0].text, "sorry");
	partial_begin(c);
	assert_false(p->bad[0].now);
	assert_false(p->some_good);
	assert_false(p->other_faults);
}

static void
when(void **state)
{
	(void)state;
	blame("a.example", PROBLEM_DNS, "dns: no such name");
	assert_int_equal(partial_when(c, T0 + 7200), T0 + 7200);
	leave_out("a.example");
	assert_int_equal(partial_when(c, T0 + 7200), T0 + 3600);
	assert_int_equal(partial_when(c, T0 + 60), T0 + 60);
	/* before that without it, then with all; and when a person asks */
	partial_choose(c);
	assert_int_equal(c->n_idents, 3);
	c->forced = true;
	partial_choose(c);
	assert_int_equal(c->n_idents, 4);
	c->forced = false;
	clock_fake(T0 + 3600);
	partial_choose(c);
	assert_int_equal(c->n_idents, 4);
	/* an order under way is for what it is for */
	clock_fake(T0);
	c->begun = T0;
	partial_choose(c);
	assert_int_equal(c->n_idents, 4);
	c->begun = 0;
	/* the clock is set, or was wrong */
	certs_shift(&cs, -60);
	assert_int_equal(c->partial->whole_at, T0 + 3540);
	c->partial->whole_at = T0 + 9 * 86400;
	(void)certs_mend_instants(&cs, T0);
	assert_int_equal(c->partial->whole_at, T0);
}

static void
what_is_installed(void **state)
{
	static const char *const some[] = { "a.example", "b.example" };
	static const char *const longer[] = { "www.a.example", "b.example" };

	(void)state;
	assert_false(partial_has(&c->have, "a.example"));
	install(NULL);
	assert_true(partial_has(&c->have, "b.example"));
	assert_false(partial_has_just(&c->have, some, 2));
	certs_free(&cs);
	begin();
	install("b.example a.example");
	assert_true(partial_has(&c->have, "a.example"));
	assert_false(partial_has(&c->have, "a.example.org"));
	assert_false(partial_has(&c->have, "www.a.example"));
	assert_true(partial_has_just(&c->have, some, 2));
	assert_false(partial_has_just(&c->have, some, 1));
	assert_false(partial_has_just(&c->have, longer, 2));
	assert_false(partial_has_just(&c->have, idents, 4));
}

/* Reload commands are for what is in service, whatever is wanted by now. */
static void
without(void **state)
{
	static const uint8_t none[IPC_NAMES / 8];
	uint8_t mask[IPC_NAMES / 8];

	(void)state;
	install("a.example b.example");
	partial_without(c, mask);
	assert_int_equal(mask[0], 0x0a);
	assert_memory_equal(mask + 1, none, sizeof(none) - 1);
	confs[0].partial = false; /* root would not have it */
	partial_without(c, mask);
	assert_memory_equal(mask, none, sizeof(none));
	confs[0].partial = true;
	free(c->have.names); /* nor that all are left out */
	c->have.names = strdup("other.example");
	partial_without(c, mask);
	assert_memory_equal(mask, none, sizeof(none));
	free(take_ptr(c->have.names));
	partial_without(c, mask);
	assert_memory_equal(mask, none, sizeof(none));
}

static void
what_has_changed(void **state)
{
	static const char *const some[] = { "a.example", "b.example" };
	static const char *const others[] = { "a.example", "c.example" };

	(void)state;
	install("b.example a.example");
	assert_int_equal(changed(), CHANGE_NONE);
	/* it has to be for all now */
	confs[0].partial = false;
	assert_int_equal(changed(), CHANGE_NAMES);
	/* but not when those that it has are all */
	confs[0].idents = some;
	confs[0].n_idents = 2;
	assert_int_equal(changed(), CHANGE_NONE);
	confs[0].partial = true;
	assert_int_equal(changed(), CHANGE_NONE);
	confs[0].idents = others;
	assert_int_equal(changed(), CHANGE_NAMES);
}

static void
there_and_back(void **state)
{
	const struct partial *p;

	(void)state;
	install("a.example b.example");
	leave_out("a.example.org");
	leave_out("www.a.example");
	blame("b.example", PROBLEM_CAA, "caa: no");
	again();
	p = c->partial;
	assert_non_null(p);
	assert_int_equal(p->n_bad, 3);
	assert_int_equal(partial_n_out(c), 2);
	assert_int_equal(p->whole_at, T0 + 3600);
	assert_int_equal(p->bad[0].ident, 1);
	assert_true(p->bad[0].out);
	assert_int_equal(p->bad[0].failures, 2);
	assert_int_equal(p->bad[0].since, T0);
	assert_int_equal(p->bad[0].at, T0);
	assert_string_equal(p->bad[0].type, "dns");
	assert_string_equal(p->bad[0].text, "dns: no such name");
	assert_false(p->bad[2].out);
	assert_true(c->have.partial);
	assert_string_equal(c->have.names, "a.example b.example");
	/* what it was told for other wants says nothing of these (Q3) */
	confs[0].key = CONF_RSA2048;
	again();
	assert_int_equal(c->partial->n_bad, 2);
	assert_null(c->partial->bad[0].text);
	assert_int_equal(c->partial->whole_at, 0);
}

/* All that is known is that what is installed is without them. */
static void
filled_in(void **state)
{
	(void)state;
	install("a.example b.example");
	again();
	assert_int_equal(partial_n_out(c), 2);
	assert_int_equal(c->partial->bad[0].ident, 1);
	assert_null(c->partial->bad[0].text);
	assert_int_equal(partial_when(c, T0), 0);
	again();
	assert_int_equal(partial_n_out(c), 2);
	/* when it was another configuration's, that is a change */
	partial_free(c);
	c->have.made_for.names++;
	again();
	assert_int_equal(partial_n_out(c), 0);
}

/* A file that says that nothing is left of it. */
static void
all_out(void **state)
{
	(void)state;
	leave_out("a.example");
	leave_out("a.example.org");
	leave_out("b.example");
	leave_out("www.a.example");
	again();
	assert_int_equal(partial_n_out(c), 0);
}

static void
orders(void **state)
{
	AUTO(buf_done) struct buf whole = BUF_INIT(STORE_VALUE_MAX);
	AUTO(buf_done) struct buf less = BUF_INIT(STORE_VALUE_MAX);

	(void)state;
	c->order_url = strdup("https://one/order/1");
	c->order_key = strdup(KEY1);
	c->order_ca = 0;
	assert_int_equal(cert_encode_order(&conf, c, &whole, &e), 0);
	assert_null(strstr(whole.data, "reduced_to"));
	leave_out("b.example");
	partial_use(c, true);
	assert_int_equal(cert_encode_order(&conf, c, &less, &e), 0);

	cert_forget_order(c);
	partial_use(c, false);
	assert_int_equal(
	    cert_decode_order(&conf, c, less.data, less.len, &e), 0);
	assert_string_equal(c->order_url, "https://one/order/1");
	assert_int_equal(c->n_idents, 3);

	cert_forget_order(c);
	partial_use(c, false);
	assert_int_equal(
	    cert_decode_order(&conf, c, whole.data, whole.len, &e), 0);
	assert_non_null(c->order_url);
	assert_int_equal(c->n_idents, 4);

	/* something else is left out now: of no use, and its key goes */
	cert_forget_order(c);
	leave_out("a.example");
	assert_int_equal(
	    cert_decode_order(&conf, c, less.data, less.len, &e), 0);
	assert_null(c->order_url);
	assert_string_equal(c->stale_key, KEY1);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(reduced), T(not_partial),
		T(not_ours), T(one_attempt), T(when), T(what_is_installed),
		T(without), T(what_has_changed), T(there_and_back),
		T(filled_in), T(all_out), T(orders) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
