/* SPDX-License-Identifier: ISC */
/* The certificates' state: there and back, damaged, and saved in time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/engine/certs.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define T0   INT64_C(1796083200)
#define KEY1 "1111111111111111111111111111111111111111111111111111111111111111"
#define KEY2 "2222222222222222222222222222222222222222222222222222222222222222"

static const char *const idents[] = { "a.example", "b.example" };
static const char *const other[] = { "a.example" };
static const struct conf_ca cas[] = { { .name = "one",
					  .directory = "https://one/dir" },
	{ .name = "two", .directory = "https://two/dir" } };
static const uint32_t first[] = { 0 }, second[] = { 1 };
static struct conf_cert confs[] = {
	{ .name = "a", .idents = idents, .n_idents = 2 }
};
static const struct conf conf = {
	.cas = cas, .n_cas = 2, .certs = confs, .n_certs = 1
};

/* A store that only writes down what it was told, and answers when asked. */
#define PUTS_MAX 8
struct store_op {
	char key[STORE_KEY_MAX], text[4096];
	bool soft;
	uint64_t rev;
	store_done *done;
	void *arg;
};
static struct store_op written[PUTS_MAX];
static unsigned n_puts, n_answered, n_drops;

static struct store_op *
fake_put(struct store *s, const struct store_put *p, store_done *done,
    void *arg, struct err *e)
{
	struct store_op *op = &written[n_puts++];

	(void)s;
	(void)e;
	assert_true(n_puts <= PUTS_MAX);
	(void)snprintf(op->key, sizeof(op->key), "%s", p->key);
	(void)snprintf(op->text, sizeof(op->text), "%.*s", (int)p->len,
	    (const char *)p->data);
	op->soft = p->soft;
	op->rev = p->rev;
	op->done = done;
	op->arg = arg;
	return op;
}

static struct store_op *
fake_drop(struct store *s, const char *key, store_done *done, void *arg,
    struct err *e)
{
	(void)s;
	(void)done;
	(void)arg;
	(void)e;
	assert_string_equal(key, "orders/a");
	n_drops++;
	return written;
}

static void
fake_cancel(struct store_op *op)
{
	(void)op;
}

static const struct store_ops fake_ops = {
	.put = fake_put, .drop = fake_drop, .cancel = fake_cancel
};
static struct store fake = { &fake_ops };

static void
answer(const struct err *e)
{
	struct store_op *op = &written[n_answered++];
	struct store_value v = { .rev = 100 + n_answered };

	assert_true(n_answered <= n_puts);
	op->done(op->arg, e == NULL ? &v : NULL, e);
}

static struct loop *loop;
static struct certs cs;
static struct cert *c;
static struct err e;

static int
setup(void **state)
{
	(void)state;
	log_init("test", (enum log_level)0, LOG_F_TEXT);
	clock_fake(T0);
	n_puts = n_answered = n_drops = 0;
	confs[0].cas = first;
	confs[0].n_cas = 1;
	confs[0].key = CONF_EC256;
	confs[0].idents = idents;
	confs[0].n_idents = 2;
	loop = loop_new(&e);
	assert_non_null(loop);
	assert_int_equal(certs_init(&cs, &conf, loop, &fake, &e), 0);
	c = &cs.all[0];
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
fill(void)
{
	c->issue_trouble = (struct trouble){ .text = strdup("it \"said\" no"),
		.type = "rateLimited",
		.at = T0 - 5,
		.failures = 3,
		.next = T0 + 3600,
		.operator= true };
	c->deploy_trouble = (struct trouble){ .text = strdup("exit status 1"),
		.type = "hook",
		.at = T0 - 4,
		.failures = 1,
		.next = T0 + 60 };
	c->have = (struct issued){ .key_id = strdup(KEY1),
		.serial = strdup("00ff"),
		.ari_id = strdup("aki.serial"),
		.issuer = "CA 1",
		.ca = "one",
		.not_before = T0 - 100,
		.not_after = T0 + 90 * 86400,
		.installed_at = T0 - 50,
		.renew_at = T0 + 60 * 86400,
		.made_for = UINT64_C(0xfedcba9876543210),
		.version = 7 };
	c->deploy = DEPLOY_RELOAD;
	c->old_keys = strdup(KEY2 " " KEY1);
}

/* Encode, forget, decode. */
static void
again(void)
{
	AUTO(buf_done) struct buf text = BUF_INIT(STORE_VALUE_MAX);

	assert_int_equal(cert_encode(c, &text, &e), 0);
	certs_free(&cs);
	assert_int_equal(certs_init(&cs, &conf, loop, &fake, &e), 0);
	c = &cs.all[0];
	assert_int_equal(cert_decode(c, text.data, text.len, &e), 0);
}

static void
there_and_back(void **state)
{
	(void)state;
	fill();
	again();
	assert_string_equal(c->issue_trouble.text, "it \"said\" no");
	assert_string_equal(c->issue_trouble.type, "rateLimited");
	assert_int_equal(c->issue_trouble.at, T0 - 5);
	assert_int_equal(c->issue_trouble.failures, 3);
	assert_int_equal(c->issue_trouble.next, T0 + 3600);
	assert_true(c->issue_trouble.operator);
	assert_string_equal(c->deploy_trouble.text, "exit status 1");
	assert_int_equal(c->deploy_trouble.failures, 1);
	assert_false(c->deploy_trouble.operator);
	assert_string_equal(c->have.key_id, KEY1);
	assert_string_equal(c->have.serial, "00ff");
	assert_string_equal(c->have.ari_id, "aki.serial");
	assert_string_equal(c->have.issuer, "CA 1");
	assert_string_equal(c->have.ca, "one");
	assert_int_equal(c->have.not_before, T0 - 100);
	assert_int_equal(c->have.not_after, T0 + 90 * 86400);
	assert_int_equal(c->have.installed_at, T0 - 50);
	assert_int_equal(c->have.renew_at, T0 + 60 * 86400);
	assert_true(c->have.made_for == UINT64_C(0xfedcba9876543210));
	assert_int_equal(c->have.version, 7);
	assert_int_equal(c->deploy, DEPLOY_RELOAD);
	assert_string_equal(c->old_keys, KEY2 " " KEY1);
	assert_int_equal(c->saved_at, T0);
}

static void
empty_there_and_back(void **state)
{
	(void)state;
	again();
	assert_null(c->issue_trouble.text);
	assert_int_equal(c->have.version, 0);
	assert_int_equal(c->deploy, DEPLOY_NONE);
	assert_null(c->old_keys);
}

/* Q3: what was tried for other names says nothing of these. */
static void
another_configuration(void **state)
{
	(void)state;
	fill();
	confs[0].idents = other;
	confs[0].n_idents = 1;
	again();
	assert_null(c->issue_trouble.text);
	assert_int_equal(c->issue_trouble.failures, 0);
	/* but the certificate and its reload are still there */
	assert_int_equal(c->have.version, 7);
	assert_int_equal(c->deploy_trouble.failures, 1);
}

static void
wants_differ(void **state)
{
	uint64_t was = cert_wants(&conf, &confs[0]);

	(void)state;
	assert_true(was == cert_wants(&conf, &confs[0]));
	confs[0].cas = second;
	assert_true(was != cert_wants(&conf, &confs[0]));
	confs[0].cas = first;
	confs[0].key = CONF_RSA2048;
	assert_true(was != cert_wants(&conf, &confs[0]));
	confs[0].key = CONF_EC256;
	confs[0].idents = other;
	confs[0].n_idents = 1;
	assert_true(was != cert_wants(&conf, &confs[0]));
}

static void
order_there_and_back(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(STORE_VALUE_MAX);
	AUTO(buf_done) struct buf begun = BUF_INIT(STORE_VALUE_MAX);

	(void)state;
	c->begun = T0;
	assert_int_equal(cert_encode_order(c, &begun, &e), 0);
	c->order_url = strdup("https://ca/order/1");
	c->order_key = strdup(KEY2);
	c->tokens = strdup("t1 t2");
	assert_int_equal(cert_encode_order(c, &text, &e), 0);
	cert_forget_order(c);
	assert_null(c->order_url);
	assert_int_equal(c->begun, 0);
	assert_int_equal(cert_decode_order(c, text.data, text.len, &e), 0);
	assert_string_equal(c->order_url, "https://ca/order/1");
	assert_string_equal(c->order_key, KEY2);
	assert_string_equal(c->tokens, "t1 t2");
	assert_int_equal(c->begun, 0);
	cert_forget_order(c);
	assert_int_equal(cert_decode_order(c, begun.data, begun.len, &e), 0);
	assert_null(c->order_url);
	assert_int_equal(c->begun, T0);
	/* of no use for another key type */
	cert_forget_order(c);
	c->wants++;
	assert_int_equal(cert_decode_order(c, text.data, text.len, &e), 0);
	assert_null(c->order_url);
	assert_int_equal(cert_decode_order(c, begun.data, begun.len, &e), 0);
	assert_int_equal(c->begun, 0);
}

static void
damage(void **state)
{
	/* clang-format off */
	static const char *const bad[] = {
		"", "{", "[", "x", "{} {}", "{}", "[]", "{\"name\": \"b\"}",
		"{\"name\": \"a\", \"certificate\": {}}",
		"{\"name\": \"a\", \"certificate\": {\"key\": \"zz\", \"version\": 1}}",
		"{\"name\": \"a\", \"certificate\": {\"key\": \"" KEY1 "\", \"version\": -1}}",
		"{\"name\": \"a\", \"certificate\": {\"key\": \"" KEY1 "\", \"version\": 1}}",
		"{\"name\": \"a\", \"certificate\": {\"key\": \"" KEY1 "\", \"version\": 4294967296,"
		" \"not_before\": \"2026-12-01T00:00:00Z\","
		" \"not_after\": \"2026-12-02T00:00:00Z\","
		" \"renew_at\": \"2026-12-01T12:00:00Z\"}}",
		"{\"name\": \"a\", \"certificate\": {\"key\": \"" KEY1 "\", \"version\": 1,"
		" \"not_before\": \"2026-12-02T00:00:00Z\","
		" \"not_after\": \"2026-12-01T00:00:00Z\","
		" \"renew_at\": \"2026-12-01T12:00:00Z\"}}",
	};
	static const char *const bad_orders[] = {
		"", "{", "{}", "[]", "{\"url\": 7}", "{\"url\": \"http://ca/1\"}",
		"{\"url\": \"https://ca/1\", \"key\": \"zz\"}",
		"{\"begun\": \"yesterday\"}",
	};
	/* clang-format on */
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(bad); i++) {
		assert_int_equal(
		    cert_decode(c, bad[i], strlen(bad[i]), &e), -1);
		free(c->have.key_id);
		c->have.key_id = NULL;
	}
	for (i = 0; i < NELEM(bad_orders); i++)
		assert_int_equal(cert_decode_order(c, bad_orders[i],
				     strlen(bad_orders[i]), &e),
		    -1);
}

/* Numbers that somebody has edited do not run away. */
static void
strange_trouble(void **state)
{
	char text[512];
	size_t i;
	static const struct {
		const char *failures;
		unsigned want;
	} t[] = { { "-5", 0 }, { "99999999999", 1000000 }, { "\"x\"", 0 },
		{ "4", 4 } };

	(void)state;
	for (i = 0; i < NELEM(t); i++) {
		(void)snprintf(text, sizeof(text),
		    "{\"name\": \"a\", "
		    "\"wants\": \"%016llx\", \"trouble\": {\"failures\": %s, "
		    "\"next\": \"soon\", \"type\": 5}}",
		    (unsigned long long)c->wants, t[i].failures);
		assert_int_equal(cert_decode(c, text, strlen(text), &e), 0);
		assert_int_equal(c->issue_trouble.failures, t[i].want);
		assert_int_equal(c->issue_trouble.next, 0);
	}
}

/* Saving */

static unsigned ends[3];
static struct err last;

static void
on_saved(void *arg, const struct err *failed)
{
	(*(unsigned *)arg)++;
	last.kind = ERR_NONE;
	if (failed != NULL)
		last = *failed;
}

/* What comes while a save is under way is written together, afterwards. */
static void
saves_together(void **state)
{
	(void)state;
	memset(ends, 0, sizeof(ends));
	c->order_url = strdup("https://ca/order/1");
	assert_non_null(cert_save(&cs, c, SAVE_ORDER, on_saved, &ends[0], &e));
	assert_non_null(cert_save(&cs, c, SAVE_ORDER, on_saved, &ends[1], &e));
	c->order_key = strdup(KEY1);
	assert_non_null(
	    cert_save(&cs, c, SAVE_ORDER_DURABLY, on_saved, &ends[2], &e));
	assert_int_equal(n_puts, 1);
	assert_true(written[0].soft);
	assert_string_equal(written[0].key, "orders/a");
	answer(NULL);
	assert_int_equal(ends[0], 1);
	assert_int_equal(ends[1], 0);
	assert_int_equal(n_puts, 2);
	assert_false(written[1].soft);
	assert_non_null(strstr(written[1].text, KEY1));
	answer(NULL);
	assert_int_equal(ends[1], 1);
	assert_int_equal(ends[2], 1);
	assert_int_equal(n_puts, 2);
}

/* The order's key is on disk before anybody hears that it is, even when the
 * certificate's own state is to be saved as well. */
static void
order_and_certificate(void **state)
{
	(void)state;
	memset(ends, 0, sizeof(ends));
	c->order_url = strdup("https://ca/order/1");
	assert_non_null(cert_save(&cs, c, SAVE_ORDER, on_saved, &ends[0], &e));
	assert_non_null(cert_save(&cs, c, SAVE_CERT, on_saved, &ends[1], &e));
	assert_non_null(
	    cert_save(&cs, c, SAVE_ORDER_DURABLY, on_saved, &ends[2], &e));
	answer(NULL);
	assert_int_equal(n_puts, 2);
	assert_string_equal(written[1].key, "orders/a");
	assert_false(written[1].soft);
	answer(NULL);
	assert_int_equal(ends[2], 1);
	assert_int_equal(ends[1], 0);
	assert_string_equal(written[2].key, "certs/a");
	answer(NULL);
	assert_int_equal(ends[1], 1);
	assert_int_equal(n_drops, 0);
	assert_int_equal(c->rev, 103);
}

/* The end of a certificate's order takes the order's own value away. */
static void
order_over(void **state)
{
	(void)state;
	memset(ends, 0, sizeof(ends));
	c->order_url = strdup("https://ca/order/1");
	assert_non_null(cert_save(&cs, c, SAVE_ORDER, on_saved, &ends[0], &e));
	answer(NULL);
	assert_int_equal(n_drops, 0);
	cert_forget_order(c);
	assert_non_null(cert_save(&cs, c, SAVE_CERT, on_saved, &ends[1], &e));
	assert_int_equal(written[1].rev, 0);
	answer(NULL);
	assert_int_equal(n_drops, 1);
	/* the next one replaces what this one wrote */
	assert_non_null(cert_save(&cs, c, SAVE_CERT, on_saved, &ends[1], &e));
	assert_int_equal(written[2].rev, 102);
	answer(NULL);
	assert_int_equal(ends[1], 2);
}

static void
saving_fails(void **state)
{
	struct err why;
	struct save *s;

	(void)state;
	memset(ends, 0, sizeof(ends));
	(void)err_set(&why, ERR_SYS, 28, "disk");
	s = cert_save(&cs, c, SAVE_CERT, on_saved, &ends[0], &e);
	assert_non_null(cert_save(&cs, c, SAVE_CERT, on_saved, &ends[1], &e));
	save_cancel(s);
	save_cancel(NULL);
	answer(&why);
	assert_int_equal(ends[0], 0); /* cancelled */
	assert_int_equal(c->rev, 0);
	assert_int_equal(n_puts, 2);
	answer(&why);
	assert_int_equal(ends[1], 1);
	assert_int_equal(last.kind, ERR_SYS);
	assert_int_equal(n_drops, 0);
}

static void
interned(void **state)
{
	char text[] = "Some CA";
	const char *one = certs_intern(text);

	(void)state;
	assert_ptr_not_equal(one, text);
	assert_ptr_equal(certs_intern("Some CA"), one);
	assert_ptr_not_equal(certs_intern("Some CB"), one);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(there_and_back),
		T(empty_there_and_back),
		T(another_configuration),
		T(wants_differ),
		T(order_there_and_back),
		T(damage),
		T(strange_trouble),
		T(saves_together),
		T(order_and_certificate),
		T(order_over),
		T(saving_fails),
		T(interned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
