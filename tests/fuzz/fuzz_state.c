/* SPDX-License-Identifier: ISC */
/*
 * The engine's own files, as whoever was in an engine before may have left
 * them.  What is understood can be written, and is understood again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/budget.h"
#include "daemon/engine/certs.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define NOW INT64_C(1796083200)

/* clang-format off */
static const char *const idents[] = { "a.example", "b.example" };
static const struct conf_ca cas[] = {
	{ .name = "one", .directory = "https://one/d", .staging = 1,
	  .limits = { [LIMIT_NEW_ORDERS] = { 300, 10800 },
	              [LIMIT_PER_DOMAIN] = { 50, 604800 },
	              [LIMIT_PER_NAMES] = { 5, 604800 },
	              [LIMIT_FAILURES] = { 5, 3600 } } },
	{ .name = "two", .directory = "https://two/d", .staging = CONF_NONE },
};
static const uint32_t both[] = { 0, 1 };
static const struct conf_cert confs[] = {
	{ .name = "a", .idents = idents, .n_idents = 2, .cas = both,
	  .n_cas = 2, .key = CONF_EC256, .reload = CONF_NONE },
};
/* clang-format on */
static const struct conf conf = {
	.cas = cas, .n_cas = NELEM(cas), .certs = confs, .n_certs = 1
};
static void
cancel(struct store_op *op)
{
	(void)op;
}

static const struct store_ops ops = { .cancel = cancel };
static struct store nowhere = { &ops };
static struct loop *loop;
static struct psl *psl;

static void
need(bool ok)
{
	if (!ok)
		abort();
}

typedef int decode_fn(
    const struct conf *, struct cert *, const char *, size_t, struct err *);
typedef int encode_fn(
    const struct conf *, const struct cert *, struct buf *, struct err *);

static void
try_cert(decode_fn *decode, encode_fn *encode, const char *text, size_t len)
{
	AUTO(buf_done) struct buf out = BUF_INIT(STORE_VALUE_MAX);
	struct certs a, b;
	struct err e;

	need(certs_init(&a, &conf, loop, &nowhere, &e) == 0);
	need(certs_init(&b, &conf, loop, &nowhere, &e) == 0);
	/* what is wanted is a hash that no input would find */
	a.all[0].wants = b.all[0].wants = (struct wants){ .names = 255 };
	if (decode(&conf, &a.all[0], text, len, &e) == 0 &&
	    encode(&conf, &a.all[0], &out, &e) == 0)
		(void)decode(&conf, &b.all[0], out.data, out.len, &e);
	certs_free(&a);
	certs_free(&b);
}

static void
try_orphan(const char *text, size_t len)
{
	struct orphan o = { 0 };

	(void)orphan_decode(&o, text, len);
	(void)orphan_decode_order(&o, text, len);
	free(o.keys);
}

static void
try_budget(const char *text, size_t len)
{
	AUTO(buf_done) struct buf out = BUF_INIT(STORE_VALUE_MAX);
	struct budget *b;
	struct err e;

	b = budget_new(&cas[0], psl, &e);
	need(b != NULL);
	if (budget_decode(b, text, len, NOW, &e) == 0) {
		need(budget_encode(b, NOW, &out, &e) == 0);
		need(budget_decode(b, out.data, out.len, NOW, &e) == 0);
	}
	budget_free(b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data + 1;
	struct err e;

	if (loop == NULL) {
		log_init("fuzz", LOG_L_ERR, LOG_F_TEXT);
		clock_fake(NOW);
		loop = loop_new(&e);
		psl = psl_new(&e);
		need(loop != NULL && psl != NULL);
	}
	if (len == 0)
		return 0;
	switch (data[0]) {
	case 'c':
		try_cert(cert_decode, cert_encode, text, len - 1);
		break;
	case 'o':
		try_cert(cert_decode_order, cert_encode_order, text, len - 1);
		break;
	case 'n':
		try_orphan(text, len - 1);
		break;
	case 'b':
		try_budget(text, len - 1);
		break;
	default:
		break;
	}
	return 0;
}
