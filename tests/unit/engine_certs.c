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
#include "daemon/engine/failover.h"
#include "daemon/engine/policy.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define T0   INT64_C(1796083200)
#define KEY1 "1111111111111111111111111111111111111111111111111111111111111111"
#define KEY2 "2222222222222222222222222222222222222222222222222222222222222222"

static const char *const idents[] = { "a.example", "b.example" };
static const char *const other[] = { "a.example" };
/* clang-format off */
static const struct conf_ca cas[] = {
	{ .name = "one", .directory = "https://one/dir", .staging = 2 },
	{ .name = "two", .directory = "https://two/dir", .staging = CONF_NONE },
	{ .name = "test", .directory = "https://test/dir", .staging = CONF_NONE },
};
/* clang-format on */
static const uint32_t first[] = { 0 }, second[] = { 1 };
static const uint32_t both[] = { 0, 1 }, turned[] = { 1, 0 };
static struct conf_cert confs[] = {
	{ .name = "a", .idents = idents, .n_idents = 2 }
};
static const struct conf conf = {
	.cas = cas, .n_cas = NELEM(cas), .certs = confs, .n_certs = 1
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
static bool put_fails;

static struct store_op *
fake_put(struct store *s, const struct store_put *p, store_done *done,
    void *arg, struct err *e)
{
	struct store_op *op = &written[n_puts];

	(void)s;
	if (put_fails) {
		(void)err_nomem(e, "put");
		return NULL;
	}
	assert_true(++n_puts <= PUTS_MAX);
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
	put_fails = false;
	confs[0].cas = first;
	confs[0].n_cas = 1;
	confs[0].key = CONF_EC256;
	confs[0].profile = NULL;
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
		.row = policy_name("rateLimited"),
		.at = T0 - 5,
		.since = T0 - 500,
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
		.account = "https://one/acct/1",
		.not_before = T0 - 100,
		.not_after = T0 + 90 * 86400,
		.installed_at = T0 - 50,
		.by_fraction = T0 + 60 * 86400,
		.made_for = c->wants,
		.replaced = true,
		.version = 7 };
	c->window = (struct window){ .start = T0 + 50 * 86400,
		.end = T0 + 52 * 86400,
		.picked = T0 + 51 * 86400,
		.next = T0 + 6 * 3600,
		.past_since = T0 - 1,
		.url = strdup("https://ca/why"),
		.failures = 2 };
	c->deploy = DEPLOY_RELOAD;
	c->old_keys = strdup(KEY2 " " KEY1);
}

/* Encode, forget, decode. */
static void
again(void)
{
	AUTO(buf_done) struct buf text = BUF_INIT(STORE_VALUE_MAX);

	assert_int_equal(cert_encode(&conf, c, &text, &e), 0);
	certs_free(&cs);
	assert_int_equal(certs_init(&cs, &conf, loop, &fake, &e), 0);
	c = &cs.all[0];
	assert_int_equal(cert_decode(&conf, c, text.data, text.len, &e), 0);
}

static void
there_and_back(void **state)
{
	const struct issued *h;
	struct wants wants = c->wants;

	(void)state;
	wants.names ^= UINT64_C(0xfedcba9876543210);
	fill();
	c->have.made_for = wants;
	again();
	h = &c->have;
	assert_string_equal(c->issue_trouble.text, "it \"said\" no");
	assert_string_equal(c->issue_trouble.type, "rateLimited");
	assert_ptr_equal(c->issue_trouble.row, policy_name("rateLimited"));
	assert_int_equal(c->issue_trouble.at, T0 - 5);
	assert_int_equal(c->issue_trouble.since, T0 - 500);
	assert_int_equal(c->issue_trouble.failures, 3);
	assert_int_equal(c->issue_trouble.next, T0 + 3600);
	assert_true(c->issue_trouble.operator);
	assert_string_equal(c->deploy_trouble.text, "exit status 1");
	assert_int_equal(c->deploy_trouble.failures, 1);
	assert_false(c->deploy_trouble.operator);
	assert_string_equal(h->key_id, KEY1);
	assert_string_equal(h->serial, "00ff");
	assert_string_equal(h->ari_id, "aki.serial");
	assert_string_equal(h->issuer, "CA 1");
	assert_string_equal(h->ca, "one");
	assert_string_equal(h->account, "https://one/acct/1");
	assert_int_equal(h->not_before, T0 - 100);
	assert_int_equal(h->not_after, T0 + 90 * 86400);
	assert_int_equal(h->installed_at, T0 - 50);
	assert_int_equal(h->by_fraction, T0 + 60 * 86400);
	assert_true(h->made_for.names == wants.names);
	assert_int_equal(h->made_for.ca, wants.ca);
	assert_int_equal(h->made_for.key, wants.key);
	assert_int_equal(h->made_for.profile, wants.profile);
	assert_true(h->replaced);
	assert_int_equal(h->version, 7);
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
	assert_int_equal(c->window.end, 0);
	assert_int_equal(c->ca_at, 0);
}

/* J3: the instant is kept with the window that it was picked in. */
static void
window_there_and_back(void **state)
{
	(void)state;
	fill();
	again();
	assert_int_equal(c->window.start, T0 + 50 * 86400);
	assert_int_equal(c->window.end, T0 + 52 * 86400);
	assert_int_equal(c->window.picked, T0 + 51 * 86400);
	assert_int_equal(c->window.next, T0 + 6 * 3600);
	assert_int_equal(c->window.past_since, T0 - 1);
	assert_string_equal(c->window.url, "https://ca/why");
	assert_int_equal(c->window.failures, 2);
	assert_int_equal(cert_renew_at(c), T0 + 51 * 86400);
	/* when nothing is known of it but when to ask again */
	c->window.start = c->window.end = c->window.picked = 0;
	again();
	assert_int_equal(c->window.next, T0 + 6 * 3600);
	assert_int_equal(c->window.end, 0);
	assert_int_equal(cert_renew_at(c), T0 + 60 * 86400);
}

/* A window that is over does not hurry what is hours old, when that was hurried
 * itself. */
static void
young(void **state)
{
	(void)state;
	fill();
	c->window.picked = T0 - 86400;
	assert_int_equal(cert_renew_at(c), T0 - 86400);
	c->have.hurried = true;
	assert_int_equal(cert_renew_at(c), c->have.installed_at + 6 * 3600);
	c->window.picked = c->have.installed_at + 6 * 3600 + 1;
	assert_int_equal(cert_renew_at(c), c->window.picked);
	/* or minutes, in a life of hours */
	c->have.not_before = T0 - 3600;
	c->have.not_after = T0 + 3600;
	c->have.by_fraction = T0;
	c->window.picked = T0 - 86400;
	assert_int_equal(cert_renew_at(c), c->have.installed_at + 360);
}

/* So is what comes after one that was over, or was hardly in service. */
static void
hurried(void **state)
{
	int64_t at;

	(void)state;
	fill();
	at = c->have.installed_at;
	assert_true(cert_hurried(c, at + 12 * 3600)); /* its window is over */
	c->window.past_since = 0;
	assert_true(cert_hurried(c, at + 12 * 3600 - 1));
	assert_false(cert_hurried(c, at + 12 * 3600));
	c->have.version = 0;
	assert_false(cert_hurried(c, at));
}

/* An instant without its window, or outside of it, was not picked in it. */
static void
strange_window(void **state)
{
	/* clang-format off */
	static const char *const bad[] = {
		"{}", "[]", "7",
		"{\"picked\": \"2026-12-05T00:00:00Z\"}",
		"{\"start\": \"2026-12-04T00:00:00Z\", \"end\": \"2026-12-06T00:00:00Z\"}",
		"{\"start\": \"2026-12-04T00:00:00Z\", \"end\": \"2026-12-06T00:00:00Z\","
		" \"picked\": \"2026-12-07T00:00:00Z\"}",
		"{\"start\": \"2026-12-04T00:00:00Z\", \"end\": \"2026-12-06T00:00:00Z\","
		" \"picked\": \"2026-12-03T00:00:00Z\"}",
		"{\"start\": \"2026-12-06T00:00:00Z\", \"end\": \"2026-12-04T00:00:00Z\","
		" \"picked\": \"2026-12-05T00:00:00Z\"}",
		"{\"start\": \"2026-12-04T00:00:00Z\", \"end\": \"2026-12-04T00:00:00Z\","
		" \"picked\": \"2026-12-04T00:00:00Z\"}",
	};
	/* clang-format on */
	char text[512];
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(bad); i++) {
		(void)snprintf(text, sizeof(text),
		    "{\"name\": \"a\", \"window\": %s}", bad[i]);
		assert_int_equal(
		    cert_decode(&conf, c, text, strlen(text), &e), 0);
		assert_int_equal(c->window.start, 0);
		assert_int_equal(c->window.end, 0);
		assert_int_equal(c->window.picked, 0);
	}
}

/* Where the next try goes, which is another CA's name in the file. */
static void
try_there_and_back(void **state)
{
	(void)state;
	confs[0].cas = both;
	confs[0].n_cas = 2;
	again();
	c->ca_at = 1;
	c->ca_failures = 2;
	c->rehearse = true;
	c->rehearsed = 1;
	c->instead = strdup("one is full");
	again();
	assert_int_equal(c->ca_at, 1);
	assert_string_equal(c->instead, "one is full");
	assert_int_equal(c->ca_failures, 2);
	assert_true(c->rehearse);
	assert_int_equal(c->rehearsed, 1);
	/* the first one counts for what is wanted, so all begins anew */
	confs[0].cas = turned;
	again();
	assert_int_equal(c->ca_at, 0);
	assert_int_equal(c->ca_failures, 0);
	assert_false(c->rehearse);
	assert_null(c->instead);
}

/* When each CA can be asked again; and when that was said by a clock that was
 * ahead, it is not waited for. */
static void
said_there_and_back(void **state)
{
	(void)state;
	confs[0].cas = both;
	confs[0].n_cas = 2;
	again();
	assert_int_equal(failover_said(c, 0), 0);
	failover_note_said(c, 0, T0 + 5000, T0);
	failover_note_said(c, 2, T0 + 9000, T0);
	failover_note_said(c, 1, T0 + 10, T0 - 5);
	failover_note_said(c, 0, T0 + 7000, T0);
	again();
	assert_int_equal(c->n_said, 3);
	assert_int_equal(failover_said(c, 0), T0 + 7000);
	assert_int_equal(failover_said(c, 1), T0 + 10);
	assert_int_equal(failover_said(c, 2), T0 + 9000);
	certs_shift(&cs, -60);
	assert_int_equal(failover_said(c, 2), T0 + 8940);
	/* what is over goes */
	failover_note_said(c, 0, T0 + 20000, T0 + 8000);
	assert_int_equal(c->n_said, 2);
	assert_int_equal(failover_said(c, 1), 0);
	(void)certs_mend_instants(&cs, T0);
	assert_int_equal(c->n_said, 2);
	(void)certs_mend_instants(&cs, T0 - 86400);
	assert_int_equal(c->n_said, 0);
	/* once: what is said from then on counts */
	failover_note_said(c, 0, T0, T0 - 86400);
	(void)certs_mend_instants(&cs, T0 - 86400);
	assert_int_equal(failover_said(c, 0), T0);
}

/* Its next CA has gone from the list: the first one is next. */
static void
try_at_a_ca_that_has_gone(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(STORE_VALUE_MAX);

	(void)state;
	confs[0].cas = both;
	confs[0].n_cas = 2;
	c->ca_at = 1;
	c->ca_failures = 2;
	assert_int_equal(cert_encode(&conf, c, &text, &e), 0);
	confs[0].n_cas = 1;
	c->ca_at = c->ca_failures = 0;
	assert_int_equal(cert_decode(&conf, c, text.data, text.len, &e), 0);
	assert_int_equal(c->ca_at, 0);
	assert_int_equal(c->ca_failures, 0);
}

/* Q3: what was tried for other names says nothing of these. */
static void
another_configuration(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(STORE_VALUE_MAX);

	(void)state;
	fill();
	c->rehearse = true;
	assert_int_equal(cert_encode(&conf, c, &text, &e), 0);
	certs_free(&cs);
	confs[0].idents = other;
	confs[0].n_idents = 1;
	assert_int_equal(certs_init(&cs, &conf, loop, &fake, &e), 0);
	c = &cs.all[0];
	assert_int_equal(cert_decode(&conf, c, text.data, text.len, &e), 0);
	assert_null(c->issue_trouble.text);
	assert_int_equal(c->issue_trouble.failures, 0);
	assert_false(c->rehearse);
	/* but the certificate, its window and its reload are still there */
	assert_int_equal(c->have.version, 7);
	assert_string_equal(c->have.names, "a.example b.example");
	assert_int_equal(c->window.picked, T0 + 51 * 86400);
	assert_int_equal(c->deploy_trouble.failures, 1);
	/* and both outlive the next saving */
	again();
	assert_string_equal(c->have.names, "a.example b.example");
}

/* J13: what is installed does not meet what is wanted, and in which part. */
static void
what_has_changed(void **state)
{
	struct issued h = { .version = 1, .ca = "one" };
	struct conf_cert *cc = &confs[0];
	struct wants w = cert_wants(&conf, cc);

	(void)state;
#define CHANGED() (w = cert_wants(&conf, cc), cert_changed(&conf, cc, &w, &h))
	h.made_for = w;
	assert_int_equal(CHANGED(), CHANGE_NONE);
	h.version = 0;
	assert_int_equal(CHANGED(), CHANGE_NEW);
	h.version = 1;
	cc->idents = other;
	cc->n_idents = 1;
	assert_int_equal(CHANGED(), CHANGE_NAMES);
	cc->idents = idents;
	cc->n_idents = 2;
	cc->key = CONF_RSA2048;
	assert_int_equal(CHANGED(), CHANGE_KEY);
	cc->key = CONF_EC256;
	cc->profile = "shortlived";
	assert_int_equal(CHANGED(), CHANGE_PROFILE);
	h.made_for = w;
	assert_int_equal(CHANGED(), CHANGE_NONE);
	cc->profile = "classic";
	assert_int_equal(CHANGED(), CHANGE_PROFILE);
	cc->profile = NULL;
	assert_int_equal(CHANGED(), CHANGE_PROFILE);
	h.made_for = w;
#undef CHANGED
}

static void
another_ca(void **state)
{
	struct issued h = { .version = 1, .ca = "one" };
	struct conf_cert *cc = &confs[0];
	struct wants w = cert_wants(&conf, cc);

	(void)state;
#define CHANGED() (w = cert_wants(&conf, cc), cert_changed(&conf, cc, &w, &h))
	h.made_for = w;
	/* one more behind the first changes nothing */
	cc->cas = both;
	cc->n_cas = 2;
	assert_int_equal(CHANGED(), CHANGE_NONE);
	/* one that the second issued, with the same first: failover is fine */
	h.ca = "two";
	assert_int_equal(CHANGED(), CHANGE_NONE);
	/* but not when it is not listed any more */
	cc->n_cas = 1;
	assert_int_equal(CHANGED(), CHANGE_CA);
	h.ca = NULL;
	assert_int_equal(CHANGED(), CHANGE_CA);
	h.ca = "one";
	/* another first one, whether or not the issuer is still listed */
	cc->cas = turned;
	cc->n_cas = 2;
	assert_int_equal(CHANGED(), CHANGE_CA);
	cc->cas = second;
	cc->n_cas = 1;
	assert_int_equal(CHANGED(), CHANGE_CA);
#undef CHANGED
}

static void
changes_have_names(void **state)
{
	int i, j;

	(void)state;
	for (i = 0; i < CHANGE__COUNT; i++)
		for (j = 0; j < i; j++)
			assert_string_not_equal(change_name((enum change)i),
			    change_name((enum change)j));
}

/* An order as it is on disk. */
static void
write_order(struct buf *text)
{
	c->order_url = strdup("https://ca/order/1");
	c->order_key = strdup(KEY2);
	c->tokens = strdup("t1 t2");
	c->order_ca = 0;
	c->spent = 5;
	c->order_failures = 3;
	assert_int_equal(cert_encode_order(&conf, c, text, &e), 0);
	cert_forget_order(c);
	c->spent = 0;
}

static void
read_order(const struct buf *text)
{
	cert_forget_order(c);
	free(c->stale_key);
	c->stale_key = NULL;
	c->wants = cert_wants(&conf, &confs[0]);
	assert_int_equal(
	    cert_decode_order(&conf, c, text->data, text->len, &e), 0);
}

static void
order_there_and_back(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(STORE_VALUE_MAX);
	AUTO(buf_done) struct buf begun = BUF_INIT(STORE_VALUE_MAX);

	(void)state;
	c->begun = T0;
	c->order_ca = 0;
	assert_int_equal(cert_encode_order(&conf, c, &begun, &e), 0);
	write_order(&text);
	assert_null(c->order_url);
	assert_int_equal(c->order_ca, CONF_NONE);
	assert_int_equal(c->begun, 0);
	read_order(&text);
	assert_string_equal(c->order_url, "https://ca/order/1");
	assert_string_equal(c->order_key, KEY2);
	assert_string_equal(c->tokens, "t1 t2");
	assert_int_equal(c->order_ca, 0);
	assert_int_equal(c->spent, 5);
	assert_int_equal(c->order_failures, 3);
	assert_false(c->rehearsal);
	assert_null(c->stale_key);
	assert_int_equal(c->begun, 0);
	read_order(&begun);
	assert_null(c->order_url);
	assert_int_equal(c->begun, T0);
	assert_int_equal(c->order_ca, 0);
	/* at a CA that is not asked any more it is no matter */
	c->order_ca = CONF_NONE;
	buf_reset(&begun);
	assert_int_equal(cert_encode_order(&conf, c, &begun, &e), 0);
	read_order(&begun);
	assert_int_equal(c->begun, 0);
	assert_false(cert_ordering(c));
}

/* Of no use for another key type, other names, another profile or without its
 * CA: its key is to be dropped, and is remembered for that. */
static void
order_of_another_configuration(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(STORE_VALUE_MAX);
	struct conf_cert was = confs[0];
	struct conf_ca moved_cas[NELEM(cas)];
	struct conf moved = conf;
	unsigned i;

	(void)state;
	moved.cas = moved_cas;
	write_order(&text);
	for (i = 0; i < 4; i++) {
		confs[0] = was;
		if (i == 0)
			confs[0].key = CONF_RSA2048;
		else if (i == 1)
			confs[0].n_idents = 1;
		else if (i == 2)
			confs[0].profile = "shortlived";
		else
			confs[0].cas = second;
		read_order(&text);
		assert_null(c->order_url);
		assert_null(c->order_key);
		assert_int_equal(c->order_ca, CONF_NONE);
		assert_string_equal(c->stale_key, KEY2);
	}
	/* another first CA does not matter, while its own is listed */
	confs[0] = was;
	confs[0].cas = turned;
	confs[0].n_cas = 2;
	read_order(&text);
	assert_string_equal(c->order_url, "https://ca/order/1");
	assert_int_equal(c->order_ca, 0);
	assert_null(c->stale_key);
	/* what is called the same elsewhere is another CA */
	memcpy(moved_cas, cas, sizeof(moved_cas));
	moved_cas[0].directory = "https://elsewhere/dir";
	cert_forget_order(c);
	assert_int_equal(
	    cert_decode_order(&moved, c, text.data, text.len, &e), 0);
	assert_null(c->order_url);
	assert_int_equal(c->order_ca, CONF_NONE);
	assert_string_equal(c->stale_key, KEY2);
}

/* One of the test CA's is good while that is the test CA of a listed one. */
static void
order_of_a_rehearsal(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(STORE_VALUE_MAX);

	(void)state;
	c->order_url = strdup("https://ca/order/1");
	c->order_key = strdup(KEY2);
	c->order_ca = 2;
	c->rehearsal = true;
	assert_int_equal(cert_encode_order(&conf, c, &text, &e), 0);
	read_order(&text);
	assert_int_equal(c->order_ca, 2);
	assert_true(c->rehearsal);
	confs[0].cas = second;
	read_order(&text);
	assert_null(c->order_url);
	assert_false(c->rehearsal);
	assert_string_equal(c->stale_key, KEY2);
}

/* Q5: what was noted in the future is not waited for. */
static void
mend_the_future(void **state)
{
	(void)state;
	fill();
	c->issue_trouble.at = T0 + 40 * 86400;
	c->issue_trouble.next = T0 + 41 * 86400;
	assert_int_equal(certs_mend_instants(&cs, T0), 1);
	assert_int_equal(c->issue_trouble.next, T0);
	assert_int_equal(c->issue_trouble.at, T0);
	assert_int_equal(c->issue_trouble.failures, 3);
	/* a wait that is only long stays: the CA said so */
	c->issue_trouble.at = T0 - 5;
	c->issue_trouble.next = T0 + 41 * 86400;
	assert_int_equal(certs_mend_instants(&cs, T0), 0);
	assert_int_equal(c->issue_trouble.next, T0 + 41 * 86400);
	/* minutes are the clocks' difference */
	c->deploy_trouble.at = T0 + 299;
	assert_int_equal(certs_mend_instants(&cs, T0), 0);
	c->deploy_trouble.at = T0 + 301;
	assert_int_equal(certs_mend_instants(&cs, T0), 1);
	assert_int_equal(c->deploy_trouble.next, T0);
	/* windows are asked for daily at least */
	assert_int_equal(c->window.next, T0 + 6 * 3600);
	c->window.next = T0 + 2 * 86400;
	(void)certs_mend_instants(&cs, T0);
	assert_int_equal(c->window.next, T0);
}

/* What is not configured any more: as far as it can be understood. */
static void
orphans(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(STORE_VALUE_MAX);
	struct orphan o = { .keys = NULL };

	(void)state;
	fill();
	assert_int_equal(cert_encode(&conf, c, &text, &e), 0);
	orphan_decode(&o, text.data, text.len);
	assert_int_equal(o.have.version, 7);
	assert_string_equal(o.have.ca, "one");
	assert_int_equal(o.have.not_before, T0 - 100);
	assert_int_equal(o.have.not_after, T0 + 90 * 86400);
	assert_int_equal(o.have.by_fraction, T0 + 60 * 86400);
	assert_true(o.have.made_for.names == c->wants.names);
	assert_string_equal(o.keys, KEY1 " " KEY2 " " KEY1);
	orphan_decode_order(&o, "{\"name\": \"x\", \"key\": \"z\"}", 25);
	assert_string_equal(o.keys, KEY1 " " KEY2 " " KEY1);
	c->order_key = strdup(KEY2);
	buf_reset(&text);
	assert_int_equal(cert_encode_order(&conf, c, &text, &e), 0);
	orphan_decode_order(&o, text.data, text.len);
	assert_string_equal(o.keys, KEY2 " " KEY1 " " KEY2 " " KEY1);
	free(o.keys);
	o = (struct orphan){ .keys = NULL };
	orphan_decode(&o, "{\"name\": \"x\"", 12);
	assert_int_equal(o.have.version, 0);
	assert_null(o.keys);
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
		" \"by_fraction\": \"2026-12-01T12:00:00Z\"}}",
		"{\"name\": \"a\", \"certificate\": {\"key\": \"" KEY1 "\", \"version\": 1,"
		" \"not_before\": \"2026-12-02T00:00:00Z\","
		" \"not_after\": \"2026-12-01T00:00:00Z\","
		" \"by_fraction\": \"2026-12-01T12:00:00Z\"}}",
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
		    cert_decode(&conf, c, bad[i], strlen(bad[i]), &e), -1);
		free(c->have.key_id);
		c->have.key_id = NULL;
	}
	for (i = 0; i < NELEM(bad_orders); i++)
		assert_int_equal(cert_decode_order(&conf, c, bad_orders[i],
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
		    "\"wants\": {\"names\": \"%016llx\", \"ca\": %u}, "
		    "\"trouble\": {\"failures\": %s, "
		    "\"next\": \"soon\", \"type\": 5, \"row\": \"x\"}}",
		    (unsigned long long)c->wants.names, c->wants.ca,
		    t[i].failures);
		assert_int_equal(
		    cert_decode(&conf, c, text, strlen(text), &e), 0);
		assert_null(c->issue_trouble.row);
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

/* A save that waited and cannot be begun is tried again, as one that failed. */
static void
waiting_fails(void **state)
{
	(void)state;
	memset(ends, 0, sizeof(ends));
	c->order_url = strdup("https://ca/order/1");
	assert_non_null(cert_save(&cs, c, SAVE_ORDER, on_saved, &ends[0], &e));
	assert_non_null(cert_save(&cs, c, SAVE_CERT, on_saved, &ends[1], &e));
	put_fails = true;
	answer(NULL);
	assert_int_equal(ends[0], 1);
	assert_int_equal(ends[1], 1);
	assert_int_equal(last.kind, ERR_NOMEM);
	assert_int_equal(cs.n_unsaved, 1);
	assert_true(loop_timer_pending(cs.again));
}

/* What waited behind something else is written when the engine ends. */
static void
written_at_the_end(void **state)
{
	(void)state;
	fill();
	memset(ends, 0, sizeof(ends));
	assert_non_null(cert_save(&cs, c, SAVE_ORDER, on_saved, &ends[0], &e));
	assert_non_null(cert_save(&cs, c, SAVE_CERT, on_saved, &ends[1], &e));
	assert_int_equal(n_puts, 1);
	certs_free(&cs);
	assert_int_equal(n_puts, 2);
	assert_string_equal(written[1].key, "certs/a");
	assert_non_null(strstr(written[1].text, "rateLimited"));
	assert_int_equal(n_drops, 1);
	n_answered = 1; /* the first one was cancelled */
	answer(NULL);
	assert_int_equal(ends[0] + ends[1], 0);
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
		T(window_there_and_back),
		T(young),
		T(hurried),
		T(strange_window),
		T(try_there_and_back),
		T(said_there_and_back),
		T(try_at_a_ca_that_has_gone),
		T(another_configuration),
		T(what_has_changed),
		T(another_ca),
		T(changes_have_names),
		T(order_there_and_back),
		T(order_of_another_configuration),
		T(order_of_a_rehearsal),
		T(mend_the_future),
		T(orphans),
		T(damage),
		T(strange_trouble),
		T(saves_together),
		T(order_and_certificate),
		T(order_over),
		T(saving_fails),
		T(waiting_fails),
		T(written_at_the_end),
		T(interned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
