/* SPDX-License-Identifier: ISC */
/* Root, which installs and runs commands as the test says. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "tests/scenarios/sim.h"

struct upstairs {
	struct loop *loop;
};

struct up_op {
	TAILQ_ENTRY(up_op) link;
	struct loop_timer *timer;
	upstairs_installed *installed;
	upstairs_hooked *hooked;
	upstairs_forgot *forgot;
	upstairs_found *found;
	struct found what;
	uint32_t version;
	void *arg;
};
static TAILQ_HEAD(, up_op) ops = TAILQ_HEAD_INITIALIZER(ops);

struct sim_root sim_root;
static struct upstairs the_root;

void
sim_root_reset(void)
{
	size_t i, j;

	for (i = 0; i < NELEM(sim_root.files); i++)
		for (j = 0; j < SIM_VERSIONS; j++)
			free(sim_root.files[i].v[j].pem);
	memset(&sim_root, 0, sizeof(sim_root));
}

struct sim_files *
sim_files(const char *name)
{
	size_t i;

	for (i = 0; i < NELEM(sim_root.files); i++)
		if (strcmp(sim_root.files[i].name, name) == 0)
			return &sim_root.files[i];
	return NULL;
}

static const char *
name_of(uint32_t cert)
{
	return sim_engine()->conf->certs[cert].name;
}

/* A new version of it, unless it is live already; 0: no memory. */
static uint32_t
files_put(const struct install *in)
{
	const char *name = name_of(in->cert);
	struct sim_files *f = sim_files(name);
	struct sim_version *v;
	size_t len = in->leaf_len + in->chain_len, i;
	char *pem;

	if (f == NULL)
		f = sim_files("");
	if (f == NULL)
		return ++sim_root.installs;
	(void)snprintf(f->name, sizeof(f->name), "%s", name);
	v = f->v;
	if (v->version != 0 && !v->damaged && !v->key_damaged &&
	    v->len == len && memcmp(v->pem, in->pem, len) == 0)
		return v->version;
	pem = strndup(in->pem, len);
	if (pem == NULL)
		return 0;
	free(v[SIM_VERSIONS - 1].pem);
	for (i = SIM_VERSIONS - 1; i > 0; i--)
		v[i] = v[i - 1];
	*v = (struct sim_version){
		.version = ++sim_root.installs, .pem = pem, .len = len
	};
	return v->version;
}

static void
op_free(struct up_op *op)
{
	TAILQ_REMOVE(&ops, op, link);
	loop_timer_free(op->timer);
	free(op);
}

static void
on_install(struct up_op *op)
{
	struct err e;

	if (sim_root.install_fails[0] == '\0') {
		op->installed(op->arg, op->version, NULL);
		return;
	}
	(void)err_set(&e, ERR_SYS, 0, "%s", sim_root.install_fails);
	e.retry_after_s = -1;
	op->installed(op->arg, 0, &e);
}

static void
on_hook(struct up_op *op)
{
	struct ipc_hooked h = { .ok = sim_root.hook_fails[0] == '\0', .ms = 5 };

	if (h.ok == 0)
		(void)snprintf(
		    h.error, sizeof(h.error), "%s", sim_root.hook_fails);
	op->hooked(op->arg, &h);
}

static void
on_forget(struct up_op *op)
{
	char path[sizeof("/archive/") + IPC_NAME];
	struct err e;

	if (sim_root.forget_fails[0] == '\0') {
		(void)snprintf(
		    path, sizeof(path), "/archive/%s", sim_root.forgotten);
		op->forgot(op->arg, path, NULL);
		return;
	}
	(void)err_set(&e, ERR_SYS, 0, "%s", sim_root.forget_fails);
	e.retry_after_s = -1;
	op->forgot(op->arg, NULL, &e);
}

static void
on_timer(void *arg)
{
	struct up_op *op = arg;

	TAILQ_REMOVE(&ops, op, link);
	if (op->installed != NULL)
		on_install(op);
	else if (op->forgot != NULL)
		on_forget(op);
	else if (op->found != NULL)
		op->found(op->arg, &op->what, NULL);
	else
		on_hook(op);
	TAILQ_INSERT_HEAD(&ops, op, link);
	op_free(op);
}

static struct up_op *
op_new(struct upstairs *u, void *arg, struct err *e)
{
	struct up_op *op = calloc(1, sizeof(*op));

	if (op == NULL) {
		(void)err_nomem(e, "a question to root");
		return NULL;
	}
	op->arg = arg;
	op->timer = loop_timer_new(u->loop, on_timer, op, e);
	if (op->timer == NULL) {
		free(op);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&ops, op, link);
	return op;
}

struct upstairs *
upstairs_new(struct loop *loop, int fd, const struct upstairs_says *says,
    void *arg, struct err *e)
{
	(void)fd;
	(void)says;
	(void)arg;
	(void)e;
	the_root.loop = loop;
	return &the_root;
}

void
upstairs_free(struct upstairs *u)
{
	(void)u;
	while (!TAILQ_EMPTY(&ops))
		op_free(TAILQ_FIRST(&ops));
}

struct up_op *
upstairs_install(struct upstairs *u, const struct install *in,
    upstairs_installed *done, void *arg, struct err *e)
{
	struct up_op *op = op_new(u, arg, e);

	if (op == NULL)
		return NULL;
	op->installed = done;
	if (sim_root.install_fails[0] == '\0') {
		op->version = files_put(in);
		if (op->version == 0) {
			op_free(op);
			(void)err_nomem(e, "installing");
			return NULL;
		}
		if (sim_root.installed != NULL)
			sim_root.installed(in->cert, in);
	}
	loop_timer_set(op->timer, 20);
	return op;
}

struct up_op *
upstairs_hook(struct upstairs *u, struct ipc_hook *certs, size_t n,
    upstairs_hooked *done, void *arg, struct err *e)
{
	struct up_op *op = op_new(u, arg, e);

	(void)certs;
	if (op == NULL)
		return NULL;
	op->hooked = done;
	sim_root.hooks++;
	sim_root.hooked_certs += (unsigned)n;
	if (!sim_root.hook_hangs)
		loop_timer_set(op->timer, 50);
	return op;
}

void
sim_hooks_end(void)
{
	struct up_op *op;

	sim_root.hook_hangs = false;
	TAILQ_FOREACH (op, &ops, link)
		if (op->hooked != NULL)
			loop_timer_set(op->timer, 50);
}

struct up_op *
upstairs_reload(
    struct upstairs *u, upstairs_reloaded *done, void *arg, struct err *e)
{
	(void)u;
	(void)done;
	(void)arg;
	(void)err_set(e, ERR_PROTO, 0, "no reloads here");
	return NULL;
}

struct up_op *
upstairs_forget(struct upstairs *u, const char *name, upstairs_forgot *done,
    void *arg, struct err *e)
{
	struct up_op *op = op_new(u, arg, e);

	if (op == NULL)
		return NULL;
	op->forgot = done;
	(void)snprintf(
	    sim_root.forgotten, sizeof(sim_root.forgotten), "%s", name);
	loop_timer_set(op->timer, 20);
	return op;
}

/* No files of what a test says that there is: then nobody answers. */
struct up_op *
upstairs_find(struct upstairs *u, uint32_t cert, uint32_t skip,
    const char *key_id, upstairs_found *done, void *arg, struct err *e)
{
	const struct sim_files *f = sim_files(name_of(cert));
	struct up_op *op = op_new(u, arg, e);

	(void)key_id;
	if (op == NULL)
		return NULL;
	op->found = done;
	if (f != NULL && skip < SIM_VERSIONS && f->v[skip].version != 0) {
		const struct sim_version *v = &f->v[skip];

		op->what = (struct found){ .version = v->version,
			.live = skip == 0,
			.whole = !v->damaged && !v->key_damaged,
			.pem = v->damaged ? NULL : v->pem,
			.len = v->damaged ? 0 : v->len };
	}
	if (f != NULL || sim_engine()->certs.all[cert].have.version == 0)
		loop_timer_set(op->timer, 0);
	return op;
}

void
up_cancel(struct up_op *op)
{
	if (op != NULL)
		op_free(op);
}

int
upstairs_ready(struct upstairs *u, struct err *e)
{
	(void)u;
	(void)e;
	return 0;
}

void
upstairs_alive(struct upstairs *u)
{
	(void)u;
}

void
upstairs_status(struct upstairs *u, const struct ipc_status *s)
{
	(void)u;
	sim_root.status = *s;
}
