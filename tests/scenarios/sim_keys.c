/* SPDX-License-Identifier: ISC */
/*
 * A keeper without secrets: certificates' keys are small multiples of the
 * generator of P-256, and a "JWS" is its parts, one a line.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "tests/scenarios/sim.h"

#define ACCOUNT_ID \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%02x"

struct keys {
	struct loop *loop;
};

struct keys_op {
	TAILQ_ENTRY(keys_op) link;
	struct loop_timer *timer;
	keys_done *done;
	void *arg;
	char key_id[IPC_KEY_ID], thumbprint[IPC_THUMB];
	char *data;
	size_t len;
	bool missing, more, failed;
	struct err err;
};
static TAILQ_HEAD(, keys_op) ops = TAILQ_HEAD_INITIALIZER(ops);

struct sim_keeper sim_keeper;
static struct keys the_keys;

void
sim_keys_reset(void)
{
	memset(&sim_keeper, 0, sizeof(sim_keeper));
}

unsigned
sim_key_number(const char *key_id)
{
	unsigned i;

	for (i = 1; i <= SIM_KEYS; i++)
		if (strcmp(sim_key_id(i), key_id) == 0)
			return i;
	return 0;
}

static void
op_free(struct keys_op *op)
{
	TAILQ_REMOVE(&ops, op, link);
	loop_timer_free(op->timer);
	free(op->data);
	free(op);
}

static void
on_timer(void *arg)
{
	struct keys_op *op = arg;
	struct keys_reply r = { .key_id = op->key_id,
		.thumbprint = op->thumbprint,
		.data = op->data,
		.len = op->len,
		.missing = op->missing,
		.more = op->more };

	TAILQ_REMOVE(&ops, op, link);
	op->done(op->arg, &r, op->failed ? &op->err : NULL);
	TAILQ_INSERT_HEAD(&ops, op, link);
	op_free(op);
}

static struct keys_op *
op_new(
    struct keys *k, const char *what, keys_done *done, void *arg, struct err *e)
{
	struct keys_op *op = calloc(1, sizeof(*op));

	if (op == NULL) {
		(void)err_nomem(e, "a question to the keeper");
		return NULL;
	}
	op->done = done;
	op->arg = arg;
	op->timer = loop_timer_new(k->loop, on_timer, op, e);
	if (op->timer == NULL) {
		free(op);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&ops, op, link);
	loop_timer_set(op->timer, 0);
	if (strcmp(sim_keeper.fail_what, what) == 0) {
		op->failed = true;
		(void)err_set(
		    &op->err, ERR_LIMIT, 0, "keeper: %s", sim_keeper.fail_text);
		op->err.kind = ERR_SYS;
		op->err.retry_after_s = -1;
		sim_keeper.fail_what[0] = '\0';
	}
	return op;
}

static void
set_missing(struct keys_op *op)
{
	op->missing = op->failed = true;
	(void)err_set(&op->err, ERR_LIMIT, 0, "keeper: no such key");
	op->err.kind = ERR_SYS;
	op->err.retry_after_s = -1;
}

static struct keys_op *
with_data(struct keys_op *op, char *data, struct err *e)
{
	if (data == NULL) {
		op_free(op);
		(void)err_nomem(e, "a question to the keeper");
		return NULL;
	}
	op->data = data;
	op->len = strlen(data);
	return op;
}

struct keys *
keys_new(struct loop *loop, int fd, keys_lost *lost, void *arg, struct err *e)
{
	(void)fd;
	(void)lost;
	(void)arg;
	(void)e;
	the_keys.loop = loop;
	return &the_keys;
}

void
keys_free(struct keys *k)
{
	(void)k;
	while (!TAILQ_EMPTY(&ops))
		op_free(TAILQ_FIRST(&ops));
}

static void
name_account(struct keys_op *op, unsigned n)
{
	(void)snprintf(op->key_id, sizeof(op->key_id), ACCOUNT_ID, n);
	(void)snprintf(op->thumbprint, sizeof(op->thumbprint), "thumb%u", n);
}

struct keys_op *
keys_make(struct keys *k, enum ipc_role role, uint32_t index, keys_done *done,
    void *arg, struct err *e)
{
	struct keys_op *op = op_new(k, "make", done, arg, e);

	(void)index;
	if (op == NULL || op->failed)
		return op;
	if (role == IPC_ROLE_ACCOUNT)
		name_account(op, ++sim_keeper.n_accounts);
	else
		(void)snprintf(op->key_id, sizeof(op->key_id), "%s",
		    sim_key_id(sim_keeper.n_certs++ % SIM_KEYS + 1));
	return op;
}

struct keys_op *
keys_get(struct keys *k, enum ipc_role role, const char *key_id,
    keys_done *done, void *arg, struct err *e)
{
	struct keys_op *op = op_new(k, "get", done, arg, e);
	unsigned long n = 0;

	if (op == NULL || op->failed)
		return op;
	if (role == IPC_ROLE_CERT) {
		n = sim_key_number(key_id);
		if (n == 0 || (sim_keeper.lost_certs & 1u << n) != 0)
			set_missing(op);
		return op;
	}
	if (key_id[0] == 'a')
		n = strtoul(key_id + strlen(key_id) - 2, NULL, 16);
	if (key_id[0] != 'a' || n > sim_keeper.n_accounts ||
	    sim_keeper.account_lost) {
		sim_keeper.account_lost = false;
		set_missing(op);
	} else
		name_account(op, (unsigned)n);
	return op;
}

struct keys_op *
keys_jws(struct keys *k, const struct keys_jws *j, keys_done *done, void *arg,
    struct err *e)
{
	struct keys_op *op = op_new(k, "jws", done, arg, e);
	AUTO(buf_done) struct buf b = BUF_INIT(IPC_TAIL_MAX);

	if (op == NULL)
		return NULL;
	buf_printf(&b, "%s %s\n%s\n%s\n%.*s", j->kid == NULL ? "jwk" : "kid",
	    j->kid == NULL ? j->key_id : j->kid, j->url, j->nonce, (int)j->len,
	    j->payload == NULL ? "" : (const char *)j->payload);
	return with_data(op, buf_take(&b), e);
}

struct keys_op *
keys_csr(struct keys *k, uint32_t cert, const char *key_id,
    const uint8_t left_out[IPC_NAMES / 8], keys_done *done, void *arg,
    struct err *e)
{
	struct keys_op *op = op_new(k, "csr", done, arg, e);
	AUTO(buf_done) struct buf b = BUF_INIT(1024);
	unsigned n = sim_key_number(key_id);

	if (op == NULL || op->failed)
		return op;
	if (n == 0 || (sim_keeper.lost_certs & 1u << n) != 0) {
		set_missing(op);
		return op;
	}
	sim_keeper.last_csr = (int)n;
	sim_keeper.last_cert = (int)cert;
	memcpy(sim_keeper.left_out[n], left_out, IPC_NAMES / 8);
	buf_printf(&b, "csr %u %u", n, cert);
	return with_data(op, buf_take(&b), e);
}

struct keys_op *
keys_eab(struct keys *k, uint32_t ca, const char *key_id, const char *url,
    keys_done *done, void *arg, struct err *e)
{
	struct keys_op *op = op_new(k, "eab", done, arg, e);
	AUTO(buf_done) struct buf b = BUF_INIT(4096);

	(void)ca;
	(void)key_id;
	if (op == NULL || op->failed)
		return op;
	buf_printf(&b, "{\"eab\":\"%s\"}", url);
	return with_data(op, buf_take(&b), e);
}

void
keys_drop(struct keys *k, const char *key_id)
{
	(void)k;
	(void)key_id;
	sim_keeper.dropped++;
}

struct keys_op *
keys_drop_told(struct keys *k, const char *key_id, keys_done *done, void *arg,
    struct err *e)
{
	sim_keeper.old_certs &= ~(1u << sim_key_number(key_id));
	keys_drop(k, key_id);
	return op_new(k, "drop", done, arg, e);
}

/* One in each answer. */
struct keys_op *
keys_old(struct keys *k, bool first, keys_done *done, void *arg, struct err *e)
{
	static unsigned next;
	struct keys_op *op = op_new(k, "old", done, arg, e);

	if (op == NULL || op->failed)
		return op;
	next = first ? 1 : next + 1;
	while (next <= SIM_KEYS && (sim_keeper.old_certs & 1u << next) == 0)
		next++;
	op->more = next < SIM_KEYS;
	return with_data(
	    op, strdup(next > SIM_KEYS ? "" : sim_key_id(next)), e);
}

void
keys_cancel(struct keys_op *op)
{
	if (op != NULL)
		op_free(op);
}
