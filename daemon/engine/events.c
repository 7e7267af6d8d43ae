/* SPDX-License-Identifier: ISC */
/* A tap on the log, made JSON. */

#include "daemon/engine/events.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/io/json.h"

#define LISTENERS_MAX 16
#define OTHERS_MAX    8 /* of them who are not trusted */
#define LINE_MAX_LEN  16384

struct listener {
	LIST_ENTRY(listener) link;
	struct events *events;
	struct uhttp_req *req;
	char *cert; /* NULL: all */
	bool trusted;
};

struct events {
	struct engine *engine;
	LIST_HEAD(, listener) listeners;
	unsigned n, n_others;
};

static void tap(void *, enum log_level, const char *, const struct kv *);

static int
encode(enum log_level level, const char *msg, const struct kv *kvs,
    struct buf *out)
{
	AUTO(json_free) struct json *o = json_object();

	json_set_time(o, "time", clock_now());
	json_set_str(o, "level", log_level_name(level));
	json_set_str(o, "event", msg);
	for (; kvs->key != NULL; kvs++) {
		if (kvs->is_num)
			json_set_int(o, kvs->key, kvs->num);
		else if (kvs->str != NULL)
			json_set_str(o, kvs->key, kvs->str);
	}
	if (json_dump(o, false, out, NULL) == -1)
		return -1;
	buf_putc(out, '\n');
	return buf_ok(out) ? 0 : -1;
}

static const char *
cert_of(const struct kv *kvs)
{
	for (; kvs->key != NULL; kvs++)
		if (strcmp(kvs->key, "cert") == 0)
			return kvs->str;
	return NULL;
}

/* Debug lines are made only while somebody listens. */
static void
listen_level(struct events *ev)
{
	log_tap(tap, ev, ev->n == 0 ? LOG_L_INFO : LOG_L_DEBUG);
}

static void
drop(struct listener *l)
{
	struct events *ev = l->events;

	LIST_REMOVE(l, link);
	ev->n--;
	ev->n_others -= !l->trusted;
	free(l->cert);
	free(l);
	listen_level(ev);
}

static void
gone(void *arg)
{
	drop(arg);
}

static void
tap(void *arg, enum log_level level, const char *msg, const struct kv *kvs)
{
	AUTO(buf_done) struct buf line = BUF_INIT(LINE_MAX_LEN);
	struct events *ev = arg;
	const char *cert = cert_of(kvs);
	struct listener *l, *next;

	if (level > LOG_L_INFO && ev->n == 0)
		return;
	if (encode(level, msg, kvs, &line) == -1)
		return;
	if (level <= LOG_L_INFO)
		ev->engine->store->ops->note(
		    ev->engine->store, line.data, line.len);
	for (l = LIST_FIRST(&ev->listeners); l != NULL; l = next) {
		next = LIST_NEXT(l, link);
		if (l->cert != NULL &&
		    (cert == NULL || strcmp(l->cert, cert) != 0))
			continue;
		if (uhttp_stream_send(l->req, line.data, line.len) == -1) {
			struct uhttp_req *req = l->req;

			drop(l);
			uhttp_stream_end(req);
		}
	}
}

struct events *
events_new(struct engine *en, struct err *e)
{
	struct events *ev = calloc(1, sizeof(*ev));

	if (ev == NULL) {
		(void)err_nomem(e, "events");
		return NULL;
	}
	ev->engine = en;
	LIST_INIT(&ev->listeners);
	listen_level(ev);
	return ev;
}

void
events_free(struct events *ev)
{
	struct listener *l;

	if (ev == NULL)
		return;
	log_tap(NULL, NULL, LOG_L_ERR);
	/* the requests are the control socket's, which is gone already */
	while ((l = LIST_FIRST(&ev->listeners)) != NULL) {
		LIST_REMOVE(l, link);
		free(l->cert);
		free(l);
	}
	free(ev);
}

int
events_stream(struct events *ev, struct uhttp_req *req, const char *cert,
    bool trusted, struct err *e)
{
	static const char hello[] = "{\"event\": \"listening\"}\n";
	struct listener *l;

	if (ev->n == LISTENERS_MAX || (!trusted && ev->n_others == OTHERS_MAX))
		return err_set(
		    e, ERR_LIMIT, 0, "%u listeners already: try later", ev->n);
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return err_nomem(e, "events");
	l->events = ev;
	l->req = req;
	l->trusted = trusted;
	l->cert = cert == NULL ? NULL : strdup(cert);
	if (uhttp_stream(req, "application/x-ndjson", e) == -1) {
		free(l->cert);
		free(l);
		return -1;
	}
	LIST_INSERT_HEAD(&ev->listeners, l, link);
	ev->n++;
	ev->n_others += !trusted;
	uhttp_on_gone(req, gone, l);
	listen_level(ev);
	/* so that its reader knows that nothing is missed from here on */
	(void)uhttp_stream_send(req, hello, sizeof(hello) - 1);
	return 0;
}
