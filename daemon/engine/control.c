/* SPDX-License-Identifier: ISC */
/* Requests on the control socket: who may ask what, and the answers. */

#include "daemon/engine/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/events.h"
#include "daemon/engine/view.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/io/json.h"
#include "lib/io/uhttp.h"

#define BODY_MAX (32u << 20) /* VIEW_MAX certificates in one list */
#define TEXT_MAX 192
#define NAME_LEN 64 /* str_is_name() */

struct control {
	struct engine *engine;
	struct uhttp *server;
};

struct call_ctx {
	struct engine *engine;
	struct uhttp_req *req;
	const char *name;  /* of the certificate in the path; "" */
	struct cert *cert; /* that one; NULL: it is not configured */
};

static void
answer(struct uhttp_req *req, int status, struct json *taken)
{
	AUTO(json_free) struct json *root = taken;
	AUTO(buf_done) struct buf out = BUF_INIT(BODY_MAX);
	static const char broken[] = "{\"error\":\"out of memory\"}\n";

	if (json_dump(root, true, &out, NULL) == 0)
		buf_putc(&out, '\n');
	if (root == NULL || !buf_ok(&out))
		uhttp_answer(
		    req, 500, "application/json", broken, sizeof(broken) - 1);
	else
		uhttp_answer(
		    req, status, "application/json", out.data, out.len);
}

static void
refuse(struct uhttp_req *req, int status, const char *text)
{
	struct json *root = json_object();

	json_set_str(root, "error", text);
	answer(req, status, root);
}

static void
no_such(const struct call_ctx *x)
{
	char text[TEXT_MAX];

	(void)snprintf(text, sizeof(text),
	    "no certificate is called %.64s in the configuration%s", x->name,
	    x->engine->refused.at == 0
		? ""
		: " that is in force; a newer one was refused (acmectl "
		  "status)");
	refuse(x->req, 404, text);
}

/* The whole, with certificates number from and up to limit more. */
static void
get_list(const struct call_ctx *x, uint64_t limit)
{
	const char *l = uhttp_query(x->req, "limit");
	const char *f = uhttp_query(x->req, "from");
	uint64_t from = 0;

	if ((l != NULL && str_u64(l, 0, VIEW_MAX, &limit) == -1) ||
	    (f != NULL && str_u64(f, 0, UINT32_MAX, &from) == -1)) {
		refuse(x->req, 400,
		    "limit: 0 to 5000 is expected; from: a number");
		return;
	}
	answer(x->req, 200,
	    view_status(x->engine, (uint32_t)from, (uint32_t)limit));
}

static void
get_status(const struct call_ctx *x)
{
	get_list(x, VIEW_LIMIT);
}

static void
get_all(const struct call_ctx *x)
{
	get_list(x, VIEW_MAX);
}

static void
get_one(const struct call_ctx *x)
{
	answer(x->req, 200, view_cert(x->engine, x->cert));
}

static void
renew_one(const struct call_ctx *x)
{
	struct json *stops, *root;

	log_info("renewal asked for", KV("cert", x->name));
	stops = view_stops(x->engine, x->cert);
	renew_now(x->engine, x->cert);
	root = view_cert(x->engine, x->cert);
	json_set(root, "lifted", stops);
	answer(x->req, 202, root);
}

static void
check_one(const struct call_ctx *x)
{
	const char *rehearse = uhttp_query(x->req, "rehearse");
	bool all = rehearse != NULL && strcmp(rehearse, "0") != 0;
	struct err e;

	if (renew_check(x->engine, x->cert, all ? ISSUE_REHEARSAL : ISSUE_CHECK,
		&e) == -1)
		refuse(x->req, e.kind == ERR_STALE ? 409 : 422, e.what);
	else
		answer(x->req, 202, view_cert(x->engine, x->cert));
}

static void
get_budget(const struct call_ctx *x)
{
	answer(x->req, 200, view_budget(x->engine));
}

static void
get_metrics(const struct call_ctx *x)
{
	AUTO(buf_done) struct buf out = BUF_INIT(BODY_MAX);
	const char *l = uhttp_query(x->req, "limit");
	uint64_t limit = VIEW_SERIES;
	struct err e;

	if (l != NULL && str_u64(l, 0, VIEW_MAX, &limit) == -1)
		refuse(x->req, 400, "limit: 0 to 5000 is expected");
	else if (view_metrics(x->engine, (uint32_t)limit, &out, &e) == -1)
		refuse(x->req, 500, e.what);
	else
		uhttp_answer(x->req, 200,
		    "text/plain; version=0.0.4; charset=utf-8", out.data,
		    out.len);
}

/* What a configuration would do: its bundle is the body (conf_read()). */
static void
plan(const struct call_ctx *x)
{
	struct conf_report report;
	struct json *root = NULL;
	struct conf *conf;
	struct err e;
	size_t len;
	const void *body = uhttp_body(x->req, &len);

	conf_report_init(&report);
	conf = body == NULL ? NULL : conf_load(body, len, &report);
	if (conf == NULL && report.n_errors != 0)
		refuse(x->req, 422, buf_str(&report.errors));
	else if (conf == NULL ||
		 (root = view_plan(x->engine, conf, &e)) == NULL)
		refuse(x->req, 500, "out of memory");
	else {
		if (report.warnings.len != 0)
			json_set_str(
			    root, "warnings", buf_str(&report.warnings));
		answer(x->req, 200, root);
	}
	conf_free(conf);
	conf_report_done(&report);
}

/* A request that root works on. */
struct upward {
	struct up_op *op;
	struct uhttp_req *req;
	struct engine *engine;
	char name[NAME_LEN + 1];
};

static void
req_gone(void *arg)
{
	struct upward *u = arg;

	up_cancel(u->op);
	free(u);
}

static struct upward *
upward_new(const struct call_ctx *x)
{
	struct upward *u = calloc(1, sizeof(*u));

	if (u == NULL) {
		refuse(x->req, 500, "out of memory");
		return NULL;
	}
	u->req = x->req;
	u->engine = x->engine;
	(void)snprintf(u->name, sizeof(u->name), "%s", x->name);
	return u;
}

static void
upward_begun(struct upward *u, const struct err *e)
{
	if (u->op != NULL) {
		uhttp_on_gone(u->req, req_gone, u);
		return;
	}
	refuse(u->req, 500, e->what);
	free(u);
}

static void
drop_keys(struct engine *en, char *list)
{
	char *key;

	while (list != NULL && (key = strsep(&list, " ")) != NULL)
		if (*key != '\0')
			keys_drop(en->keys, key);
}

/* The archive has the certificate and its key: the rest goes. */
static void
forgot(void *arg, const char *path, const struct err *failed)
{
	AUTO(free) struct upward *u = arg;
	struct orphan *o = certs_orphan(&u->engine->certs, u->name);
	struct json *root;
	struct err e;

	uhttp_on_gone(u->req, NULL, NULL);
	/* what was never issued is in our state alone */
	if (failed != NULL && (o == NULL || failed->num != ENOENT)) {
		refuse(u->req, failed->num == ENOENT ? 404 : 500, failed->what);
		return;
	}
	if (o != NULL) {
		drop_keys(u->engine, o->keys);
		if (certs_forget(&u->engine->certs, o, &e) == -1)
			log_error("state of what was forgotten stays",
			    KV("cert", u->name), KV("error", e.what));
	}
	log_info("certificate forgotten", KV("cert", u->name),
	    KV("archived", failed == NULL ? path : "nothing"));
	root = json_object();
	if (failed == NULL)
		json_set_str(root, "archived", path);
	answer(u->req, 200, root);
}

static void
forget_one(const struct call_ctx *x)
{
	struct upward *u;
	struct err e;

	if (x->cert != NULL) {
		refuse(x->req, 409,
		    "it is in the configuration: take it out there first, and "
		    "reload acmed");
		return;
	}
	u = upward_new(x);
	if (u == NULL)
		return;
	u->op = upstairs_forget(x->engine->upstairs, x->name, forgot, u, &e);
	upward_begun(u, &e);
}

static void
passed_on(void *arg)
{
	struct engine *en = arg;

	if (en->leave != NULL)
		en->leave(en);
}

static void
reloaded(void *arg, bool ok, const char *text)
{
	AUTO(free) struct upward *r = arg;
	struct json *root = json_object();

	uhttp_on_gone(r->req, NULL, NULL);
	if (ok) /* we are about to be replaced */
		uhttp_last(
		    r->engine->control->server, r->req, passed_on, r->engine);
	json_set_bool(root, "ok", ok);
	json_set_str(root, ok ? "warnings" : "error", text);
	answer(r->req, ok ? 200 : 422, root);
}

static void
reload(const struct call_ctx *x)
{
	struct upward *u = upward_new(x);
	struct err e;

	if (u == NULL)
		return;
	u->op = upstairs_reload(x->engine->upstairs, reloaded, u, &e);
	upward_begun(u, &e);
}

static bool
may_change(const struct engine *en, int fd)
{
	struct sock_peer peer;

	if (sock_peer(fd, &peer, NULL) == -1)
		return false;
	return peer.uid == 0 || peer.uid == getuid() ||
	       (en->start.control_gid != UINT32_MAX &&
		   sock_peer_in_group(fd, (gid_t)en->start.control_gid));
}

static void
get_events(const struct call_ctx *x)
{
	bool trusted = may_change(x->engine, uhttp_fd(x->req));
	struct err e;

	if (events_stream(x->engine->events, x->req,
		uhttp_query(x->req, "cert"), trusted, &e) == -1)
		refuse(x->req, 503, e.what);
}

/* The whole interface.  '*' stands for a certificate's name. */
/* clang-format off */
static const struct route {
	const char *method, *before, *after; /* path: before [name after] */
	bool changes, known; /* known: the certificate must be */
	void (*call)(const struct call_ctx *);
} routes[] = {
	{ "GET",  "/v1/status",        NULL,      false, false, get_status },
	{ "GET",  "/v1/certificates",  NULL,      false, false, get_all },
	{ "GET",  "/v1/certificates/", "",        false, true,  get_one },
	{ "POST", "/v1/certificates/", "/renew",  true,  true,  renew_one },
	{ "POST", "/v1/certificates/", "/check",  true,  true,  check_one },
	{ "POST", "/v1/certificates/", "/forget", true,  false, forget_one },
	{ "GET",  "/v1/budget",        NULL,      false, false, get_budget },
	{ "GET",  "/v1/metrics",       NULL,      false, false, get_metrics },
	{ "POST", "/v1/plan",          NULL,      true,  false, plan },
	{ "POST", "/v1/reload",        NULL,      true,  false, reload },
	{ "GET",  "/v1/events",        NULL,      false, false, get_events },
};
/* clang-format on */

/* Whether path is the route's; the certificate's name is copied out. */
static bool
matches(const struct route *r, const char *path, char *name, size_t size)
{
	size_t before = strlen(r->before), after, len = strlen(path);

	name[0] = '\0';
	if (r->after == NULL)
		return strcmp(path, r->before) == 0;
	after = strlen(r->after);
	if (len < before + after || strncmp(path, r->before, before) != 0 ||
	    strcmp(path + len - after, r->after) != 0 ||
	    len - before - after >= size)
		return false;
	memcpy(name, path + before, len - before - after);
	name[len - before - after] = '\0';
	return str_is_name(name);
}

static bool
allowed(const struct engine *en, struct uhttp_req *req, bool changes)
{
	if (may_change(en, uhttp_fd(req)))
		return true;
	return !changes && en->conf->control.others == CONF_OTHERS_READ;
}

static void
on_request(void *arg, struct uhttp_req *req)
{
	struct control *k = arg;
	struct call_ctx x = { .engine = k->engine, .req = req };
	const char *path = uhttp_path(req);
	bool path_known = false;
	char name[NAME_LEN + 1];
	uint32_t cert;
	size_t i;

	for (i = 0; i < NELEM(routes); i++) {
		if (!matches(&routes[i], path, name, sizeof(name)))
			continue;
		path_known = true;
		if (strcmp(uhttp_method(req), routes[i].method) != 0)
			continue;
		if (!allowed(k->engine, req, routes[i].changes)) {
			refuse(req, 403,
			    "only root and members of the control group may "
			    "do that");
			return;
		}
		x.name = name;
		cert = conf_find_cert(k->engine->conf, name);
		if (cert != CONF_NONE)
			x.cert = &k->engine->certs.all[cert];
		if (routes[i].known && x.cert == NULL)
			no_such(&x);
		else
			routes[i].call(&x);
		return;
	}
	refuse(req, path_known ? 405 : 404,
	    path_known ? "that method is not for this path"
		       : "no such path: see acmectl(1)");
}

/* A configuration may be large, and comes from those who may change things. */
static bool
trusts(void *arg, int fd)
{
	const struct control *k = arg;

	return may_change(k->engine, fd);
}

struct control *
control_new(struct engine *en, int fd, struct err *e)
{
	struct control *k = calloc(1, sizeof(*k));

	if (k == NULL) {
		(void)err_nomem(e, "control socket");
		return NULL;
	}
	k->engine = en;
	k->server = uhttp_new(en->loop, fd, on_request, k, e);
	if (k->server == NULL) {
		free(k);
		return NULL;
	}
	uhttp_trust(k->server, trusts);
	return k;
}

void
control_rest(struct control *k)
{
	if (k != NULL)
		uhttp_rest(k->server);
}

void
control_free(struct control *k)
{
	if (k == NULL)
		return;
	uhttp_free(k->server);
	free(k);
}
