/* SPDX-License-Identifier: ISC */
/* Requests to the keeper and its one kind of answer. */

#include "daemon/engine/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/calls.h"
#include "lib/base/cleanup.h"

struct keys {
	struct chan *chan;
	struct calls calls;
	keys_lost *lost;
	void *arg;
};

struct keys_op {
	struct call *call;
	keys_done *done;
	void *arg;
};

static int on_reply(void *, struct chan_msg *, struct err *);

static const struct chan_rule rules[IPC__COUNT] = {
	[IPC_KEY_REPLY] = { "key-reply", sizeof(struct ipc_key_reply),
	    IPC_TAIL_MAX, 0, on_reply },
};

static int
on_reply(void *arg, struct chan_msg *m, struct err *e)
{
	const struct ipc_key_reply *r = m->body;
	struct keys *k = arg;

	if (!CHAN_TEXT_OK(r->key_id) || !CHAN_TEXT_OK(r->thumbprint) ||
	    !CHAN_TEXT_OK(r->error) || r->tail_len != m->tail_len)
		return err_set(e, ERR_PROTO, 0, "keeper: bad answer");
	return calls_answer(&k->calls, m, e);
}

static void
on_closed(void *arg, const struct err *why)
{
	struct keys *k = arg;

	k->lost(k->arg, why);
}

struct keys *
keys_new(struct loop *loop, int fd, keys_lost *lost, void *arg, struct err *e)
{
	struct keys *k = calloc(1, sizeof(*k));

	if (k == NULL) {
		(void)close(fd);
		(void)err_nomem(e, "keeper client");
		return NULL;
	}
	calls_init(&k->calls);
	k->lost = lost;
	k->arg = arg;
	k->chan = chan_new(loop, fd, rules, on_closed, k, e);
	if (k->chan == NULL) {
		free(k);
		return NULL;
	}
	return k;
}

void
keys_free(struct keys *k)
{
	if (k == NULL)
		return;
	chan_free(k->chan);
	calls_done(&k->calls);
	free(k);
}

static void
answered(void *arg, const struct chan_msg *m)
{
	AUTO(free) struct keys_op *op = arg;
	const struct ipc_key_reply *r = m->body;
	struct keys_reply out = {
		.key_id = r->key_id,
		.thumbprint = r->thumbprint,
		.data = m->tail,
		.len = m->tail_len,
		.missing = r->missing != 0,
		.more = r->more != 0,
	};
	struct err e;

	if (r->ok != 0) {
		op->done(op->arg, &out, NULL);
		return;
	}
	(void)err_set(&e, ERR_LIMIT, 0, "keeper: %s", r->error);
	e.kind = ERR_SYS; /* no CA minds; the text is complete */
	op->done(op->arg, &out, &e);
}

struct question {
	enum ipc_type type;
	const void *body;
	size_t size;
	const void *tail;
	size_t tail_len;
};

static struct keys_op *
ask(struct keys *k, const struct question *q, keys_done *done, void *arg,
    struct err *e)
{
	AUTO(free) struct keys_op *op = calloc(1, sizeof(*op));
	uint32_t id;

	if (op == NULL) {
		(void)err_nomem(e, "a question to the keeper");
		return NULL;
	}
	op->done = done;
	op->arg = arg;
	op->call = calls_add(&k->calls, answered, op, &id, e);
	if (op->call == NULL)
		return NULL;
	if (chan_send(k->chan, q->type, id, q->body, q->size, q->tail,
		q->tail_len, -1, e) == -1 &&
	    !calls_unheard(e)) {
		call_cancel(op->call);
		return NULL;
	}
	return take_ptr(op);
}

void
keys_cancel(struct keys_op *op)
{
	if (op == NULL)
		return;
	call_cancel(op->call);
	free(op);
}

/* Copy text into a fixed array of a message, or say that it does not fit. */
static int
put(char *to, size_t size, const char *text, const char *what, struct err *e)
{
	size_t len = strlen(text);

	if (len >= size)
		return err_set(e, ERR_LIMIT, 0, "%s is longer than %zu bytes",
		    what, size - 1);
	memcpy(to, text, len + 1);
	return 0;
}
#define PUT(to, text, e) put(to, sizeof(to), text, #to, e)

struct keys_op *
keys_make(struct keys *k, enum ipc_role role, uint32_t index, keys_done *done,
    void *arg, struct err *e)
{
	struct ipc_key_new b = { .role = role, .index = index };
	struct question q = { IPC_KEY_NEW, &b, sizeof(b), NULL, 0 };

	return ask(k, &q, done, arg, e);
}

struct keys_op *
keys_get(struct keys *k, enum ipc_role role, const char *key_id,
    keys_done *done, void *arg, struct err *e)
{
	struct ipc_key_get b = { .role = role };
	struct question q = { IPC_KEY_GET, &b, sizeof(b), NULL, 0 };

	if (PUT(b.key_id, key_id, e) == -1)
		return NULL;
	return ask(k, &q, done, arg, e);
}

struct keys_op *
keys_jws(struct keys *k, const struct keys_jws *j, keys_done *done, void *arg,
    struct err *e)
{
	struct ipc_jws b = { .payload_len = (uint32_t)j->len };
	struct question q = { IPC_JWS, &b, sizeof(b), j->payload, j->len };

	if (j->len > IPC_TAIL_MAX) {
		(void)err_set(e, ERR_LIMIT, 0,
		    "a request of %zu bytes for %s is too large", j->len,
		    j->url);
		return NULL;
	}
	if (PUT(b.key_id, j->key_id, e) == -1 ||
	    PUT(b.kid, j->kid == NULL ? "" : j->kid, e) == -1 ||
	    PUT(b.url, j->url, e) == -1 || PUT(b.nonce, j->nonce, e) == -1)
		return NULL;
	return ask(k, &q, done, arg, e);
}

struct keys_op *
keys_csr(struct keys *k, uint32_t cert, const char *key_id,
    const uint8_t left_out[IPC_NAMES / 8], keys_done *done, void *arg,
    struct err *e)
{
	struct ipc_csr b = { .cert = cert };
	struct question q = { IPC_CSR, &b, sizeof(b), NULL, 0 };

	if (PUT(b.key_id, key_id, e) == -1)
		return NULL;
	memcpy(b.left_out, left_out, sizeof(b.left_out));
	return ask(k, &q, done, arg, e);
}

struct keys_op *
keys_eab(struct keys *k, uint32_t ca, const char *key_id, const char *url,
    keys_done *done, void *arg, struct err *e)
{
	struct ipc_eab b = { .ca = ca };
	struct question q = { IPC_EAB, &b, sizeof(b), NULL, 0 };

	if (PUT(b.key_id, key_id, e) == -1 || PUT(b.url, url, e) == -1)
		return NULL;
	return ask(k, &q, done, arg, e);
}

/* A key that stays behind costs a file, nothing else. */
static void
dropped(void *arg, const struct chan_msg *m)
{
	(void)arg;
	(void)m;
}

void
keys_drop(struct keys *k, const char *key_id)
{
	struct ipc_key_drop b = { 0 };
	struct call *c;
	uint32_t id;

	if (PUT(b.key_id, key_id, NULL) == -1)
		return;
	c = calls_add(&k->calls, dropped, NULL, &id, NULL);
	if (c != NULL)
		(void)chan_send(k->chan, IPC_KEY_DROP, id, &b, sizeof(b), NULL,
		    0, -1, NULL);
}

struct keys_op *
keys_drop_told(struct keys *k, const char *key_id, keys_done *done, void *arg,
    struct err *e)
{
	struct ipc_key_drop b = { 0 };
	struct question q = { IPC_KEY_DROP, &b, sizeof(b), NULL, 0 };

	if (PUT(b.key_id, key_id, e) == -1)
		return NULL;
	return ask(k, &q, done, arg, e);
}

struct keys_op *
keys_old(struct keys *k, bool first, keys_done *done, void *arg, struct err *e)
{
	struct ipc_keys_old b = { .first = first };
	struct question q = { IPC_KEYS_OLD, &b, sizeof(b), NULL, 0 };

	return ask(k, &q, done, arg, e);
}
