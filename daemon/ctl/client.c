/* SPDX-License-Identifier: ISC */
/* Asking the daemon, once or for as long as something goes on. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl/ctl.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

#define ANSWER_MAX (128u << 20)
#define LINE_LEN   65536
#define HOST       "http://acmed"

struct asking {
	struct ctl *ctl;
	int status;
	struct json *root;
	struct buf *text; /* of a good answer that is no JSON; NULL: it is */
	struct err *e;
	bool failed;
};

static int
cannot(const struct ctl *ctl, const struct err *why, struct err *e)
{
	if (access(ctl->socket, F_OK) == -1)
		return err_set(e, ERR_NET, 0,
		    "acmed is not running: there is no %s (look at "
		    "\"systemctl status acmed\", or name its socket with -s)",
		    ctl->socket);
	if (access(ctl->socket, W_OK) == -1)
		return err_set(e, ERR_NET, 0,
		    "you may not use %s: be root, or in the control group of "
		    "acmed.yaml",
		    ctl->socket);
	return err_set(e, ERR_NET, 0, "acmed does not answer on %s: %s",
	    ctl->socket, why->what);
}

static void
answered(void *arg, const struct http_reply *r, const struct err *failed)
{
	struct asking *a = arg;
	const char *body;
	size_t len;

	loop_stop(a->ctl->loop);
	if (failed != NULL) {
		a->failed = true;
		(void)cannot(a->ctl, failed, a->e);
		return;
	}
	body = http_body(r, &len);
	a->status = http_status(r);
	if (a->text != NULL && a->status == 200) {
		buf_add(a->text, body, len);
		if (!buf_ok(a->text)) {
			a->failed = true;
			(void)err_nomem(a->e, "answer");
		}
		return;
	}
	a->root = json_parse(body, len, a->e);
	a->failed = a->root == NULL;
	/* what the HTTP server refuses before the daemon has seen it */
	if (a->failed && a->status >= 400)
		(void)err_set(a->e, ERR_HTTP, a->status,
		    "acmed refuses the request with HTTP status %d", a->status);
}

static int
ask(struct ctl *ctl, const char *method, const char *path,
    const struct buf *body, struct asking *a)
{
	AUTO(buf_done) struct buf url = BUF_INIT(4096);
	struct http_req req = { .method = method,
		.unix_socket = ctl->socket,
		.max_body = ANSWER_MAX };

	buf_printf(&url, HOST "%s", path);
	req.url = buf_str(&url);
	if (body != NULL) {
		req.body = body->data;
		req.body_len = body->len;
		req.content_type = "application/octet-stream";
	}
	if (http_start(ctl->http, &req, answered, a, a->e) == NULL)
		return -1;
	return loop_run(ctl->loop, a->e) == -1 || a->failed ? -1 : 0;
}

int
ctl_ask(struct ctl *ctl, const char *method, const char *path,
    const struct buf *body, int *status, struct json **root, struct err *e)
{
	struct asking a = { .ctl = ctl, .e = e };

	if (ask(ctl, method, path, body, &a) == -1)
		return -1;
	*status = a.status;
	*root = a.root;
	return 0;
}

int
ctl_text(struct ctl *ctl, const char *path, struct buf *text, int *status,
    struct json **root, struct err *e)
{
	struct asking a = { .ctl = ctl, .e = e, .text = text };

	if (ask(ctl, "GET", path, NULL, &a) == -1)
		return -1;
	*status = a.status;
	*root = a.root;
	return 0;
}

struct follow {
	struct ctl *ctl;
	const struct ctl_end *ends;
	bool begun, over;
	bool ended;  /* the daemon tells no more */
	bool asking; /* begin() is under way, which stops the loop itself */
	struct buf line;
	int exit_status;
};

/* Whether it is what ends the wait, or NULL. */
static const struct ctl_end *
find_end(const struct follow *f, const char *event)
{
	const struct ctl_end *end;

	for (end = f->ends; end->event != NULL; end++)
		if (strcmp(event, end->event) == 0)
			return end;
	return NULL;
}

static void
follow_line(struct follow *f)
{
	AUTO(json_free)
	struct json *o = json_parse(f->line.data, f->line.len, NULL);
	const char *event = json_get_text(o, "event");
	const struct ctl_end *end;

	if (event == NULL || f->over)
		return;
	if (strcmp(event, "listening") == 0) {
		f->begun = true;
		loop_stop(f->ctl->loop);
		return;
	}
	print_event(f->ctl, o);
	end = find_end(f, event);
	if (end == NULL)
		return;
	f->exit_status = end->exit_status;
	f->over = true;
	if (!f->asking)
		loop_stop(f->ctl->loop);
}

static void
on_data(void *arg, const char *data, size_t len)
{
	struct follow *f = arg;
	size_t i;

	for (i = 0; i < len; i++) {
		if (data[i] != '\n') {
			buf_putc(&f->line, data[i]);
			continue;
		}
		if (f->line.len != 0)
			follow_line(f);
		buf_reset(&f->line);
	}
}

static void
followed(void *arg, const struct http_reply *r, const struct err *failed)
{
	struct follow *f = arg;
	struct err e;

	(void)r;
	if (failed != NULL)
		(void)cannot(f->ctl, failed, &e);
	if (!f->over)
		fprintf(stderr, "acmectl: %s\n",
		    failed != NULL ? e.what
				   : "acmed stopped telling (it was restarted "
				     "or reloaded): ask again");
	f->ended = true;
	if (!f->asking)
		loop_stop(f->ctl->loop);
}

int
ctl_follow(struct ctl *ctl, const struct args *a, const struct ctl_end *ends,
    int (*begin)(struct ctl *, const struct args *))
{
	struct follow f = { .ctl = ctl,
		.ends = ends,
		.line = BUF_INIT(LINE_LEN),
		.exit_status = EXIT_NO_ASK };
	AUTO(buf_done) struct buf url = BUF_INIT(4096);
	struct http_req req = { .method = "GET",
		.unix_socket = ctl->socket,
		.stream = true,
		.on_data = on_data };
	struct err e;
	int r;

	buf_printf(&url, HOST "/v1/events?cert=%s", a->what);
	req.url = buf_str(&url);
	if (http_start(ctl->http, &req, followed, &f, &e) == NULL) {
		fprintf(stderr, "acmectl: %s\n", e.what);
		return EXIT_NO_ASK;
	}
	if (loop_run(ctl->loop, &e) == 0 && f.begun) {
		f.asking = true;
		r = begin(ctl, a);
		f.asking = false;
		if (r != EXIT_WELL)
			f.exit_status = r;
		else if (!f.over && !f.ended && loop_run(ctl->loop, &e) == -1)
			fprintf(stderr, "acmectl: %s\n", e.what);
	}
	buf_done(&f.line);
	return f.exit_status;
}
