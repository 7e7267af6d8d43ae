/* SPDX-License-Identifier: ISC */
/* Messages to and from the supervisor. */

#include "daemon/engine/upstairs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/calls.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/fs.h"

struct upstairs {
	struct chan *chan;
	struct calls calls;
	const struct upstairs_says *says;
	void *arg;
};

struct up_op {
	struct call *call;
	union {
		upstairs_installed *installed;
		upstairs_hooked *hooked;
		upstairs_reloaded *reloaded;
		upstairs_forgot *forgot;
		upstairs_found *found;
	} done;
	void *arg;
};

static int on_start(void *, struct chan_msg *, struct err *);
static int on_refused(void *, struct chan_msg *, struct err *);
static int on_answer(void *, struct chan_msg *, struct err *);
static int on_found(void *, struct chan_msg *, struct err *);

/* clang-format off */
static const struct chan_rule rules[IPC__COUNT] = {
	[IPC_START]     = { "start", sizeof(struct ipc_start), 0, CHAN_ONCE, on_start },
	[IPC_REFUSED]   = { "refused", sizeof(struct ipc_refused), 0, 0, on_refused },
	[IPC_INSTALLED] = { "installed", sizeof(struct ipc_installed), 0, 0, on_answer },
	[IPC_HOOKED]    = { "hooked", sizeof(struct ipc_hooked), 0, 0, on_answer },
	[IPC_RELOADED]  = { "reloaded", sizeof(struct ipc_reloaded), 0, 0, on_answer },
	[IPC_FORGOT]    = { "forgot", sizeof(struct ipc_forgot), 0, 0, on_answer },
	[IPC_FOUND]     = { "found", sizeof(struct ipc_found), IPC_TAIL_MAX, 0, on_found },
};
/* clang-format on */

static int
on_start(void *arg, struct chan_msg *m, struct err *e)
{
	const struct ipc_start *s = m->body;
	struct upstairs *u = arg;

	if (s->version != IPC_VERSION)
		return err_set(e, ERR_PROTO, 0,
		    "acmed and acmed-engine are of different versions: "
		    "restart acmed");
	u->says->start(u->arg, s);
	return 0;
}

static int
on_refused(void *arg, struct chan_msg *m, struct err *e)
{
	const struct ipc_refused *r = m->body;
	struct upstairs *u = arg;

	if (!CHAN_TEXT_OK(r->error))
		return err_set(e, ERR_PROTO, 0, "supervisor: bad message");
	u->says->refused(u->arg, r);
	return 0;
}

static int
on_answer(void *arg, struct chan_msg *m, struct err *e)
{
	struct upstairs *u = arg;

	return calls_answer(&u->calls, m, e);
}

static int
on_found(void *arg, struct chan_msg *m, struct err *e)
{
	const struct ipc_found *r = m->body;
	struct upstairs *u = arg;

	if (r->tail_len != m->tail_len)
		return err_set(e, ERR_PROTO, 0, "supervisor: bad answer");
	return calls_answer(&u->calls, m, e);
}

static void
on_closed(void *arg, const struct err *why)
{
	struct upstairs *u = arg;

	u->says->gone(u->arg, why);
}

struct upstairs *
upstairs_new(struct loop *loop, int fd, const struct upstairs_says *says,
    void *arg, struct err *e)
{
	struct upstairs *u = calloc(1, sizeof(*u));

	if (u == NULL) {
		(void)close(fd);
		(void)err_nomem(e, "supervisor client");
		return NULL;
	}
	calls_init(&u->calls);
	u->says = says;
	u->arg = arg;
	u->chan = chan_new(loop, fd, rules, on_closed, u, e);
	if (u->chan == NULL) {
		free(u);
		return NULL;
	}
	return u;
}

void
upstairs_free(struct upstairs *u)
{
	if (u == NULL)
		return;
	chan_free(u->chan);
	calls_done(&u->calls);
	free(u);
}

static struct up_op *
op_new(struct upstairs *u, call_done *answered, void *arg, uint32_t *id,
    struct err *e)
{
	AUTO(free) struct up_op *op = calloc(1, sizeof(*op));

	if (op == NULL) {
		(void)err_nomem(e, "a question to the supervisor");
		return NULL;
	}
	op->arg = arg;
	op->call = calls_add(&u->calls, answered, op, id, e);
	return op->call == NULL ? NULL : take_ptr(op);
}

void
up_cancel(struct up_op *op)
{
	if (op == NULL)
		return;
	call_cancel(op->call);
	free(op);
}

/* NULL when that cannot be sent: nothing comes of op then. */
static struct up_op *
op_send(struct upstairs *u, struct up_op *op, uint32_t type, uint32_t id,
    const void *body, size_t len, int fd, struct err *e)
{
	if (chan_send(u->chan, type, id, body, len, NULL, 0, fd, e) != -1 ||
	    calls_unheard(e))
		return op;
	up_cancel(op);
	return NULL;
}

static void
installed(void *arg, const struct chan_msg *m)
{
	AUTO(free) struct up_op *op = arg;
	const struct ipc_installed *r = m->body;
	struct err e;

	if (r->ok != 0) {
		op->done.installed(op->arg, r->version, NULL);
	} else {
		(void)err_set(&e, ERR_LIMIT, 0, "%.*s",
		    (int)sizeof(r->error) - 1, r->error);
		e.kind = ERR_SYS; /* the text is complete */
		op->done.installed(op->arg, 0, &e);
	}
}

struct up_op *
upstairs_install(struct upstairs *u, const struct install *in,
    upstairs_installed *done, void *arg, struct err *e)
{
	AUTO(close) int fd = -1;
	struct ipc_install b = { .cert = in->cert,
		.leaf_len = (uint32_t)in->leaf_len,
		.chain_len = (uint32_t)in->chain_len };
	struct up_op *op;
	uint32_t id;

	if (strlen(in->key_id) >= sizeof(b.key_id)) {
		(void)err_set(e, ERR_PROTO, 0, "key id %s", in->key_id);
		return NULL;
	}
	memcpy(b.key_id, in->key_id, strlen(in->key_id));
	fd = fs_memfd("chain", in->pem, in->leaf_len + in->chain_len, e);
	if (fd == -1)
		return NULL;
	op = op_new(u, installed, arg, &id, e);
	if (op == NULL)
		return NULL;
	op->done.installed = done;
	return op_send(u, op, IPC_INSTALL, id, &b, sizeof(b), fd, e);
}

static void
hooked(void *arg, const struct chan_msg *m)
{
	AUTO(free) struct up_op *op = arg;

	op->done.hooked(op->arg, m->body);
}

struct up_op *
upstairs_hook(struct upstairs *u, struct ipc_hook *certs, size_t n,
    upstairs_hooked *done, void *arg, struct err *e)
{
	struct up_op *op;
	uint32_t id;
	size_t i;

	op = op_new(u, hooked, arg, &id, e);
	if (op == NULL)
		return NULL;
	op->done.hooked = done;
	for (i = 0; i < n && op != NULL; i++) {
		certs[i].more = i + 1 < n;
		op = op_send(
		    u, op, IPC_HOOK, id, &certs[i], sizeof(certs[i]), -1, e);
	}
	return op;
}

static void
reloaded(void *arg, const struct chan_msg *m)
{
	AUTO(free) struct up_op *op = arg;
	const struct ipc_reloaded *r = m->body;

	if (!CHAN_TEXT_OK(r->text))
		op->done.reloaded(op->arg, false, "supervisor gone");
	else
		op->done.reloaded(op->arg, r->ok != 0, r->text);
}

struct up_op *
upstairs_reload(
    struct upstairs *u, upstairs_reloaded *done, void *arg, struct err *e)
{
	struct ipc_empty b = { 0 };
	struct up_op *op;
	uint32_t id;

	op = op_new(u, reloaded, arg, &id, e);
	if (op == NULL)
		return NULL;
	op->done.reloaded = done;
	return op_send(u, op, IPC_RELOAD, id, &b, sizeof(b), -1, e);
}

static void
forgot(void *arg, const struct chan_msg *m)
{
	AUTO(free) struct up_op *op = arg;
	const struct ipc_forgot *r = m->body;
	struct err e;

	if (r->ok != 0 && CHAN_TEXT_OK(r->path)) {
		op->done.forgot(op->arg, r->path, NULL);
	} else {
		(void)err_set(&e, ERR_LIMIT, 0, "%.*s",
		    (int)sizeof(r->error) - 1, r->error);
		e.kind = ERR_SYS; /* the text is complete */
		e.num = r->missing != 0 ? ENOENT : 0;
		op->done.forgot(op->arg, NULL, &e);
	}
}

struct up_op *
upstairs_forget(struct upstairs *u, const char *name, upstairs_forgot *done,
    void *arg, struct err *e)
{
	struct ipc_forget b = { 0 };
	struct up_op *op;
	uint32_t id;

	if (strlen(name) >= sizeof(b.name)) {
		(void)err_set(e, ERR_PROTO, 0, "name %s", name);
		return NULL;
	}
	memcpy(b.name, name, strlen(name));
	op = op_new(u, forgot, arg, &id, e);
	if (op == NULL)
		return NULL;
	op->done.forgot = done;
	return op_send(u, op, IPC_FORGET, id, &b, sizeof(b), -1, e);
}

static void
found(void *arg, const struct chan_msg *m)
{
	AUTO(free) struct up_op *op = arg;
	const struct ipc_found *r = m->body;
	struct found f;
	struct err e;

	if (r->failed != 0) {
		(void)err_set(&e, ERR_LIMIT, 0, "root cannot look at it");
		op->done.found(op->arg, NULL, &e);
		return;
	}
	f = (struct found){ .version = r->version,
		.live = r->live != 0,
		.whole = r->whole != 0,
		.pem = m->tail,
		.len = m->tail_len };
	op->done.found(op->arg, &f, NULL);
}

struct up_op *
upstairs_find(struct upstairs *u, uint32_t cert, uint32_t skip,
    const char *key_id, upstairs_found *done, void *arg, struct err *e)
{
	struct ipc_find b = { .cert = cert, .skip = skip };
	struct up_op *op;
	uint32_t id;

	if (key_id != NULL && strlen(key_id) >= sizeof(b.key_id)) {
		(void)err_set(e, ERR_PROTO, 0, "key id %s", key_id);
		return NULL;
	}
	if (key_id != NULL)
		memcpy(b.key_id, key_id, strlen(key_id));
	op = op_new(u, found, arg, &id, e);
	if (op == NULL)
		return NULL;
	op->done.found = done;
	return op_send(u, op, IPC_FIND, id, &b, sizeof(b), -1, e);
}

int
upstairs_ready(struct upstairs *u, struct err *e)
{
	struct ipc_empty b = { 0 };

	return chan_send(u->chan, IPC_READY, 0, &b, sizeof(b), NULL, 0, -1, e);
}

/* The next two may be lost when the channel is full: the supervisor then does
 * not read, and has worse to worry about. */
void
upstairs_alive(struct upstairs *u)
{
	struct ipc_empty b = { 0 };

	(void)chan_send(
	    u->chan, IPC_ALIVE, 0, &b, sizeof(b), NULL, 0, -1, NULL);
}

void
upstairs_status(struct upstairs *u, const struct ipc_status *s)
{
	(void)chan_send(
	    u->chan, IPC_STATUS, 0, s, sizeof(*s), NULL, 0, -1, NULL);
}
