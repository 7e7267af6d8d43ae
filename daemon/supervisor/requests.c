/* SPDX-License-Identifier: ISC */
/* Checking and answering requests.  Every index and text is checked here, the
 * shape of the messages by lib/ipc/chan. */
#include "daemon/supervisor/requests.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "daemon/supervisor/children.h"
#include "daemon/supervisor/forget.h"
#include "daemon/supervisor/install.h"
#include "daemon/supervisor/reload.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

/* A child that was told to end may still speak, but of the configuration that
 * it was started with: its indices may mean something else by now. */
static bool
heard(const struct child *c)
{
	return c->super->phase == PHASE_STARTING || c->super->phase == PHASE_UP;
}

static int
on_ready(void *arg, struct chan_msg *m, struct err *e)
{
	struct child *c = arg;

	(void)m;
	(void)e;
	if (heard(c))
		children_ready(c);
	return 0;
}

static int
on_alive(void *arg, struct chan_msg *m, struct err *e)
{
	struct child *c = arg;

	(void)m;
	(void)e;
	if (heard(c))
		children_alive(c->super);
	return 0;
}

static int
install(struct super *s, const struct ipc_install *req, int pem,
    struct ipc_installed *reply, struct err *e)
{
	const struct install in = {
		.versions = s->state.versions,
		.live = s->state.live,
		.keeper = s->state.keeper,
		.keeper_uid = s->state.keeper_ids.uid,
		.name = s->setup->conf->certs[req->cert].name,
		.key_id = req->key_id,
		.pem = pem,
		.leaf_len = req->leaf_len,
		.chain_len = req->chain_len,
	};

	if (install_run(&in, &reply->version, e) == 0) {
		reply->ok = 1;
		log_debug("version live", KV("cert", in.name),
		    KN("version", reply->version));
		return 0;
	}
	if (e->kind == ERR_PROTO)
		return -1;
	log_warn("certificate not installed", KV("cert", in.name),
	    KV("error", e->what), KV("hint", err_hint(e)));
	(void)snprintf(reply->error, sizeof(reply->error), "%.*s",
	    (int)sizeof(reply->error) - 1, e->what);
	return 0;
}

static int
on_install(void *arg, struct chan_msg *m, struct err *e)
{
	const struct ipc_install *req = m->body;
	struct ipc_installed reply = { .ok = 0 };
	AUTO(close) int pem = take_fd(&m->fd);
	struct child *c = arg;

	if (!heard(c))
		return 0;
	if (req->cert >= c->super->setup->conf->n_certs)
		return err_set(
		    e, ERR_PROTO, 0, "no certificate %" PRIu32, req->cert);
	if (!CHAN_TEXT_OK(req->key_id) ||
	    !str_is_hex(req->key_id, IPC_KEY_ID - 1))
		return err_set(e, ERR_PROTO, 0, "not a key id");
	if (install(c->super, req, pem, &reply, e) == -1)
		return -1;
	return chan_send(c->chan, IPC_INSTALLED, m->id, &reply, sizeof(reply),
	    NULL, 0, -1, e);
}

static int
on_find(void *arg, struct chan_msg *m, struct err *e)
{
	const struct ipc_find *req = m->body;
	const struct child *c = arg;
	const struct super *s = c->super;
	AUTO(buf_done) struct buf pem = BUF_INIT(IPC_TAIL_MAX);
	struct install_found found;
	struct ipc_found reply = { .version = 0 };
	struct install in = { .versions = s->state.versions,
		.live = s->state.live,
		.keeper = s->state.keeper,
		.keeper_uid = s->state.keeper_ids.uid,
		.key_id = req->key_id };

	if (!heard(c))
		return 0;
	if (req->cert >= s->setup->conf->n_certs)
		return err_set(
		    e, ERR_PROTO, 0, "no certificate %" PRIu32, req->cert);
	if (!CHAN_TEXT_OK(req->key_id) ||
	    (req->key_id[0] != '\0' &&
		!str_is_hex(req->key_id, IPC_KEY_ID - 1)))
		return err_set(e, ERR_PROTO, 0, "not a key id");
	in.name = s->setup->conf->certs[req->cert].name;
	if (install_find(&in, req->skip, &found, &pem, e) == -1) {
		log_warn("cannot look at its versions", KV("cert", in.name),
		    KV("error", e->what));
		found.version = 0;
		reply.failed = 1;
	}
	reply.version = found.version;
	reply.live = found.live;
	reply.whole = found.whole;
	reply.tail_len = (uint32_t)pem.len;
	return chan_send(c->chan, IPC_FOUND, m->id, &reply, sizeof(reply),
	    pem.data, pem.len, -1, e);
}

static int
on_hook(void *arg, struct chan_msg *m, struct err *e)
{
	const struct ipc_hook *req = m->body;
	struct child *c = arg;

	if (!heard(c))
		return 0;
	if (req->more > 1)
		return err_set(e, ERR_PROTO, 0, "more is %" PRIu32, req->more);
	return hooks_add(c->super->hooks, c->super->setup->conf, req, m->id, e);
}

void
requests_hooked(void *arg, uint32_t id, const struct ipc_hooked *reply)
{
	struct super *s = arg;
	struct err e;

	/* when it cannot be sent, the channel is dead and the engine with it */
	if (s->engine.chan != NULL &&
	    chan_send(s->engine.chan, IPC_HOOKED, id, reply, sizeof(*reply),
		NULL, 0, -1, &e) == -1)
		log_debug("answer lost", KV("error", e.what));
}

static int
on_reload(void *arg, struct chan_msg *m, struct err *e)
{
	struct child *c = arg;

	if (!heard(c))
		return 0;
	return reload_asked(c->super, m->id, e);
}

static void
forget(const struct super *s, const char *name, struct ipc_forgot *reply)
{
	char entry[FORGET_ENTRY_MAX];
	struct err e;
	int r;

	if (conf_find_cert(s->setup->conf, name) != CONF_NONE)
		r = err_set(
		    &e, ERR_CONFIG, 0, "%s is in the configuration", name);
	else
		r = forget_run(&s->state, name, entry, &e);
	if (r == -1) {
		reply->missing = e.kind == ERR_SYS && e.num == ENOENT;
		log_warn("certificate not archived", KV("cert", name),
		    KV("error", e.what));
		(void)snprintf(reply->error, sizeof(reply->error), "%.*s",
		    (int)sizeof(reply->error) - 1, e.what);
		return;
	}
	reply->ok = 1;
	(void)snprintf(reply->path, sizeof(reply->path), "%s/archive/%s",
	    s->setup->conf->state_dir, entry);
	log_info(
	    "certificate archived", KV("cert", name), KV("path", reply->path));
}

static int
on_forget(void *arg, struct chan_msg *m, struct err *e)
{
	const struct ipc_forget *req = m->body;
	struct ipc_forgot reply = { .ok = 0 };
	const struct child *c = arg;

	if (!heard(c))
		return 0;
	if (!CHAN_TEXT_OK(req->name) || !str_is_name(req->name))
		return err_set(e, ERR_PROTO, 0, "not a certificate's name");
	forget(c->super, req->name, &reply);
	return chan_send(
	    c->chan, IPC_FORGOT, m->id, &reply, sizeof(reply), NULL, 0, -1, e);
}

static int
on_status(void *arg, struct chan_msg *m, struct err *e)
{
	const struct ipc_status *st = m->body;
	AUTO(buf_done) struct buf text = BUF_INIT(STATUS_MAX);
	struct child *c = arg;
	char when[CLOCK_RFC3339_MAX];

	(void)e;
	if (!heard(c))
		return 0;
	buf_printf(&text, "STATUS=%" PRIu32 " certificates, %" PRIu32 " valid",
	    st->total, st->valid);
	if (st->busy > 0)
		buf_printf(&text, ", %" PRIu32 " in progress", st->busy);
	if (st->failing > 0)
		buf_printf(&text, ", %" PRIu32 " failing", st->failing);
	if (st->next > 0) {
		clock_format(st->next, when);
		buf_printf(&text, "; next renewal %s", when);
	}
	if (c->super->refused.at != 0)
		buf_puts(&text, "; the latest configuration was refused");
	if (buf_ok(&text))
		children_status(c->super, buf_str(&text));
	return 0;
}

/* clang-format off */
const struct chan_rule requests_of_engine[IPC__COUNT] = {
	[IPC_READY]   = { "ready",   sizeof(struct ipc_empty),   0, CHAN_ONCE, on_ready   },
	[IPC_INSTALL] = { "install", sizeof(struct ipc_install), 0, CHAN_FD,   on_install },
	[IPC_HOOK]    = { "hook",    sizeof(struct ipc_hook),    0, 0,         on_hook    },
	[IPC_RELOAD]  = { "reload",  sizeof(struct ipc_empty),   0, 0,         on_reload  },
	[IPC_STATUS]  = { "status",  sizeof(struct ipc_status),  0, 0,         on_status  },
	[IPC_ALIVE]   = { "alive",   sizeof(struct ipc_empty),   0, 0,         on_alive   },
	[IPC_FORGET]  = { "forget",  sizeof(struct ipc_forget),  0, 0,         on_forget  },
	[IPC_FIND]    = { "find",    sizeof(struct ipc_find),    0, 0,         on_find    },
};

const struct chan_rule requests_of_keeper[IPC__COUNT] = {
	[IPC_READY]   = { "ready",   sizeof(struct ipc_empty),   0, CHAN_ONCE, on_ready   },
};
/* clang-format on */
