/* SPDX-License-Identifier: ISC */
/*
 * The control interface's HTTP, on libevent's evhttp.  Owns connections and
 * their bounds, and tells when a client has gone.  Who may ask for what, and
 * what the answers mean, is not decided here.
 *
 * evhttp neither counts its connections nor limits the time that a request
 * takes to arrive (only the time between two of its bytes), so both are done
 * here, from outside: by descriptor and inode of the accepted sockets.  It has
 * one limit of the body for all, and tells nothing of a request before that is
 * complete; so its limit is the large one, and the bytes of each connection are
 * counted as they come.
 */

#include "lib/io/uhttp.h"

#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"

#define SIZE_TEXT 24

#define HEADERS_MAX  (16 << 10)
#define BODY_MAX     (64 << 10)
#define REQUEST_MAX  (HEADERS_MAX + BODY_MAX) /* unless it may be large */
#define LARGE_MAX    (32 << 20)
#define REFUSAL_MAX  512
#define TIMEOUT_S    30
#define CONNS_MAX    64
#define OTHERS_MAX   48   /* of those who are not trusted */
#define FULL_LOOK_MS 1000 /* when full: how often we look for a free place */
#define BACKLOG_MAX  (1u << 20)
#define EXCESS_MAX   4096 /* bytes behind a request that we care to read */

enum place_is { PLACE_FREE, PLACE_NEW, PLACE_USED, PLACE_ASKED };

struct place { /* for one connection */
	enum place_is is;
	/* PLACE_NEW: with a reference of ours; later for on_input() only, which
	 * does not run without it */
	struct bufferevent *bev;
	int fd;
	ino_t ino;
	int64_t since_ms;
	struct uhttp *u;
	size_t got; /* bytes, but for what is thrown away */
	bool trusted;
	bool large; /* is the one with a large request */
};

struct uhttp {
	struct evhttp *http;
	struct evconnlistener *listener;
	struct event *learn;
	struct loop_timer *full;
	uhttp_fn *fn;
	uhttp_may *may; /* NULL: nobody is trusted, and all are alike */
	void *arg;
	bool resting;
	loop_fn *sent; /* the last answer */
	void *sent_arg;
	struct place places[CONNS_MAX];
};

struct uhttp_req {
	struct evhttp_request *req;
	struct evkeyvalq query;
	char *path;
	loop_fn *gone;
	void *gone_arg;
};

static bool
socket_inode(int fd, ino_t *ino)
{
	struct stat st;

	if (fstat(fd, &st) == -1 || !S_ISSOCK(st.st_mode))
		return false;
	*ino = st.st_ino;
	return true;
}

/* Free the places of closed connections, close those that take too long. */
static bool
find_free(struct uhttp *u)
{
	int64_t now = clock_mono_ms();
	bool any = false;
	struct place *p;
	ino_t ino;

	for (p = u->places; p < u->places + CONNS_MAX; p++) {
		if (p->is == PLACE_USED || p->is == PLACE_ASKED) {
			if (!socket_inode(p->fd, &ino) || ino != p->ino)
				p->is = PLACE_FREE;
			else if (p->is == PLACE_USED &&
				 now - p->since_ms > TIMEOUT_S * 1000)
				(void)shutdown(p->fd, SHUT_RDWR);
		}
		any |= p->is == PLACE_FREE;
	}
	return any;
}

static void
accept_if_room(void *arg)
{
	struct uhttp *u = arg;

	if (u->resting)
		return;
	if (find_free(u))
		(void)evconnlistener_enable(u->listener);
	else
		loop_timer_set(u->full, FULL_LOOK_MS);
}

/* Who is there?  If he is one too many, he is told so, and evhttp hears that he
 * has left. */
static void
look_at_peer(struct uhttp *u, struct place *p)
{
	static const char full[] = "HTTP/1.1 503 Service Unavailable\r\n"
				   "Connection: close\r\n"
				   "Content-Length: 0\r\n\r\n";
	const struct place *q;
	unsigned others = 0;

	p->trusted = u->may != NULL && u->may(u->arg, p->fd);
	for (q = u->places; q < u->places + CONNS_MAX; q++)
		others += q->is != PLACE_FREE && !q->trusted;
	if (u->may == NULL || p->trusted || others <= OTHERS_MAX)
		return;
	(void)send(p->fd, full, sizeof(full) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)shutdown(p->fd, SHUT_RDWR);
}

/*
 * Runs right after the accept, when evhttp has given the new connection its
 * socket and before anything can have happened to it.
 */
static void
on_learn(evutil_socket_t fd, short what, void *arg)
{
	struct uhttp *u = arg;
	struct place *p;

	(void)fd;
	(void)what;
	for (p = u->places; p < u->places + CONNS_MAX; p++) {
		if (p->is != PLACE_NEW)
			continue;
		p->fd = bufferevent_getfd(p->bev);
		p->is = p->fd != -1 && socket_inode(p->fd, &p->ino)
			    ? PLACE_USED
			    : PLACE_FREE;
		if (p->is == PLACE_USED)
			look_at_peer(u, p);
		(void)bufferevent_decref(p->bev);
	}
	accept_if_room(u);
}

static void
throw_away(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);

	(void)arg;
	(void)evbuffer_drain(in, evbuffer_get_length(in));
}

/*
 * Say why, and let the client find time to read it: what it still sends goes
 * nowhere until it leaves or its time is up.
 */
static void
cut_off(const struct place *p, const char *status, const char *error)
{
	bufferevent_data_cb read_cb, write_cb;
	bufferevent_event_cb event_cb;
	char answer[REFUSAL_MAX];
	void *arg;
	int n;

	bufferevent_getcb(p->bev, &read_cb, &write_cb, &event_cb, &arg);
	bufferevent_setcb(p->bev, throw_away, write_cb, event_cb, arg);
	n = snprintf(answer, sizeof(answer),
	    "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
	    "Connection: close\r\nContent-Length: %zu\r\n\r\n"
	    "{\"error\":\"%s\"}\n",
	    status, strlen(error) + strlen("{\"error\":\"\"}\n"), error);
	(void)send(p->fd, answer, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static bool
large_is_read(struct uhttp *u)
{
	const struct place *p;

	(void)find_free(u);
	for (p = u->places; p < u->places + CONNS_MAX; p++)
		if (p->is != PLACE_FREE && p->large)
			return true;
	return false;
}

static void
on_input(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg)
{
	struct place *p = arg;
	struct uhttp *u = p->u;

	(void)in;
	/* behind a request that is complete watch_client() has its own limit */
	if (info->n_added == 0 || p->is != PLACE_USED || p->got > REQUEST_MAX)
		return;
	p->got += info->n_added;
	if (p->got <= REQUEST_MAX)
		return;
	if (!p->trusted)
		cut_off(p, "413 Request Entity Too Large",
		    "so much is taken only from root and members of the "
		    "control group");
	else if (large_is_read(u))
		cut_off(p, "503 Service Unavailable",
		    "another large request is being read: try again");
	else
		p->large = true;
}

/* evhttp has accepted a connection and wants a bufferevent for it. */
static struct bufferevent *
on_accept(struct event_base *base, void *arg)
{
	struct bufferevent *bev = bufferevent_socket_new(base, -1, 0);
	struct uhttp *u = arg;
	struct place *p;

	for (p = u->places; p < u->places + CONNS_MAX; p++)
		if (p->is == PLACE_FREE)
			break;
	if (bev == NULL || p == u->places + CONNS_MAX)
		return bev;
	if (evbuffer_add_cb(bufferevent_get_input(bev), on_input, p) == NULL) {
		bufferevent_free(bev);
		return NULL;
	}
	bufferevent_incref(bev);
	*p = (struct place){ .is = PLACE_NEW,
		.u = u,
		.bev = bev,
		.fd = -1,
		.since_ms = clock_mono_ms() };
	/* One at a time, so that there is always a place for the next. */
	(void)evconnlistener_disable(u->listener);
	event_active(u->learn, EV_TIMEOUT, 0);
	return bev;
}

static void
mark_asked(struct uhttp *u, int fd)
{
	struct place *p;

	for (p = u->places; p < u->places + CONNS_MAX; p++)
		if (p->is == PLACE_USED && p->fd == fd)
			p->is = PLACE_ASKED;
}

static void
req_free(struct uhttp_req *r)
{
	if (r == NULL)
		return;
	evhttp_clear_headers(&r->query);
	free(r->path);
	free(r);
}

DEFINE_AUTO(struct uhttp_req, req_free)

static struct bufferevent *
req_bev(const struct uhttp_req *r)
{
	return evhttp_connection_get_bufferevent(
	    evhttp_request_get_connection(r->req));
}

/* Only while the answer is not complete: afterwards evhttp is alone. */
static void
on_close(struct evhttp_connection *c, void *arg)
{
	AUTO(req_free) struct uhttp_req *r = arg;

	(void)c;
	/* Without a connection it is ours; else it goes with that. */
	if (evhttp_request_get_connection(r->req) == NULL)
		evhttp_request_free(r->req);
	if (r->gone != NULL)
		r->gone(r->gone_arg);
}

/* The decoded path and query in r, or -1 when they make no sense. */
static int
decode_uri(struct uhttp_req *r)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(r->req);
	const char *path, *query;
	size_t len;

	if (uri == NULL)
		return -1;
	path = evhttp_uri_get_path(uri);
	query = evhttp_uri_get_query(uri);
	r->path = evhttp_uridecode(path != NULL ? path : "", 0, &len);
	if (r->path == NULL || strlen(r->path) != len)
		return -1;
	if (query == NULL)
		return 0;
	return evhttp_parse_query_str(query, &r->query);
}

/*
 * Watch for the client to go away, which evhttp does not do between request
 * and answer.  Its own read callback would end the program if the client sent
 * more, so there is none; and no time limit but for writing.
 */
static void
watch_client(struct uhttp_req *r)
{
	const struct timeval tv = { .tv_sec = TIMEOUT_S };
	struct bufferevent *bev = req_bev(r);
	bufferevent_data_cb read_cb, write_cb;
	bufferevent_event_cb event_cb;
	void *arg;

	bufferevent_getcb(bev, &read_cb, &write_cb, &event_cb, &arg);
	bufferevent_setcb(bev, NULL, write_cb, event_cb, arg);
	bufferevent_setwatermark(bev, EV_READ, 0, EXCESS_MAX);
	bufferevent_set_timeouts(bev, NULL, &tv);
	(void)bufferevent_enable(bev, EV_READ);
	evhttp_connection_set_closecb(
	    evhttp_request_get_connection(r->req), on_close, r);
}

static void
on_request(struct evhttp_request *req, void *arg)
{
	struct uhttp *u = arg;
	AUTO(req_free) struct uhttp_req *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		evhttp_send_error(req, HTTP_SERVUNAVAIL, NULL);
		return;
	}
	TAILQ_INIT(&r->query);
	r->req = req;
	if (decode_uri(r) == -1) {
		evhttp_send_error(req, HTTP_BADREQUEST, NULL);
		return;
	}
	mark_asked(u, uhttp_fd(r));
	watch_client(r);
	u->fn(u->arg, take_ptr(r));
}

static int
setup(struct uhttp *u, struct loop *l, int fd, struct err *e)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct event_base *base = loop_base(l);

	/* evhttp writes to clients that have left without MSG_NOSIGNAL. */
	if (sigaction(SIGPIPE, &ignore, NULL) == -1)
		return err_set(e, ERR_SYS, errno, "ignore SIGPIPE");
	u->full = loop_timer_new(l, accept_if_room, u, e);
	if (u->full == NULL)
		return -1;
	u->learn = event_new(base, -1, 0, on_learn, u);
	u->http = evhttp_new(base);
	if (u->learn == NULL || u->http == NULL)
		return err_nomem(e, "control socket");
	evhttp_set_allowed_methods(
	    u->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(u->http, HEADERS_MAX);
	evhttp_set_max_body_size(u->http, LARGE_MAX);
	evhttp_set_timeout(u->http, TIMEOUT_S);
	evhttp_set_bevcb(u->http, on_accept, u);
	evhttp_set_gencb(u->http, on_request, u);
	u->listener = evconnlistener_new(
	    base, NULL, NULL, LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED, 0, fd);
	if (u->listener == NULL)
		return err_set(e, ERR_SYS, errno, "control socket");
	if (evhttp_bind_listener(u->http, u->listener) == NULL) {
		evconnlistener_free(take_ptr(u->listener));
		return err_nomem(e, "control socket");
	}
	if (evconnlistener_enable(u->listener) == -1)
		return err_set(e, ERR_SYS, errno, "control socket");
	return 0;
}

void
uhttp_free(struct uhttp *u)
{
	struct place *p;

	if (u == NULL)
		return;
	/* The clients of unanswered requests are gone as of now. */
	if (u->http != NULL)
		evhttp_free(u->http);
	for (p = u->places; p < u->places + CONNS_MAX; p++)
		if (p->is == PLACE_NEW)
			(void)bufferevent_decref(p->bev);
	if (u->learn != NULL)
		event_free(u->learn);
	loop_timer_free(u->full);
	free(u);
}

DEFINE_AUTO(struct uhttp, uhttp_free)

struct uhttp *
uhttp_new(struct loop *l, int fd, uhttp_fn *fn, void *arg, struct err *e)
{
	AUTO(uhttp_free) struct uhttp *u = calloc(1, sizeof(*u));

	if (u == NULL) {
		(void)err_nomem(e, "control socket");
		return NULL;
	}
	u->fn = fn;
	u->arg = arg;
	if (setup(u, l, fd, e) == -1)
		return NULL;
	return take_ptr(u);
}

void
uhttp_trust(struct uhttp *u, uhttp_may *may)
{
	u->may = may;
}

void
uhttp_rest(struct uhttp *u)
{
	u->resting = true;
	(void)evconnlistener_disable(u->listener);
}

static void
on_sent(struct evhttp_request *req, void *arg)
{
	const struct uhttp *u = arg;

	(void)req;
	u->sent(u->sent_arg);
}

void
uhttp_last(struct uhttp *u, struct uhttp_req *r, loop_fn *sent, void *arg)
{
	uhttp_rest(u);
	u->sent = sent;
	u->sent_arg = arg;
	evhttp_request_set_on_complete_cb(r->req, on_sent, u);
}

const char *
uhttp_method(const struct uhttp_req *r)
{
	/* HEAD is a GET whose answer's body is not sent: see uhttp_answer(). */
	switch ((unsigned)evhttp_request_get_command(r->req)) {
	case EVHTTP_REQ_GET:
	case EVHTTP_REQ_HEAD:
		return "GET";
	case EVHTTP_REQ_POST:
		return "POST";
	default:
		return "";
	}
}

const char *
uhttp_path(const struct uhttp_req *r)
{
	return r->path;
}

const char *
uhttp_query(const struct uhttp_req *r, const char *key)
{
	return evhttp_find_header(&r->query, key);
}

const void *
uhttp_body(const struct uhttp_req *r, size_t *len)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(r->req);

	*len = evbuffer_get_length(in);
	return *len == 0 ? "" : (const void *)evbuffer_pullup(in, -1);
}

int
uhttp_fd(const struct uhttp_req *r)
{
	return bufferevent_getfd(req_bev(r));
}

void
uhttp_on_gone(struct uhttp_req *r, loop_fn *fn, void *arg)
{
	r->gone = fn;
	r->gone_arg = arg;
}

static bool
is_head(const struct uhttp_req *r)
{
	return evhttp_request_get_command(r->req) == EVHTTP_REQ_HEAD;
}

static void
add_header(struct uhttp_req *r, const char *key, const char *value)
{
	/* Without memory for it the client gets less than it could know. */
	(void)evhttp_add_header(
	    evhttp_request_get_output_headers(r->req), key, value);
}

static void
add_headers(struct uhttp_req *r, const char *type)
{
	add_header(r, "Content-Type", type);
	add_header(r, "Connection", "close");
	add_header(r, "Cache-Control", "no-store");
}

/* From here on evhttp frees connection and request, whatever happens. */
static void
let_go(struct uhttp_req *r)
{
	evhttp_connection_set_closecb(
	    evhttp_request_get_connection(r->req), NULL, NULL);
	req_free(r);
}

void
uhttp_answer(struct uhttp_req *r, int status, const char *type,
    const void *data, size_t len)
{
	struct evhttp_request *req = r->req;
	struct evbuffer *body = evbuffer_new();
	char size[SIZE_TEXT];

	if (body == NULL || evbuffer_add(body, data, len) == -1) {
		status = HTTP_SERVUNAVAIL;
		len = 0;
	}
	(void)snprintf(size, sizeof(size), "%zu", len);
	add_headers(r, type);
	add_header(r, "Content-Length", size);
	if (body != NULL && is_head(r))
		(void)evbuffer_drain(body, len);
	let_go(r);
	evhttp_send_reply(req, status, NULL, body);
	if (body != NULL)
		evbuffer_free(body);
}

int
uhttp_stream(struct uhttp_req *r, const char *type, struct err *e)
{
	if (is_head(r))
		return err_set(e, ERR_PROTO, 0, "HEAD of an endless body");
	add_headers(r, type);
	/* A client may well look at the screen for longer than TIMEOUT_S. */
	bufferevent_set_timeouts(req_bev(r), NULL, NULL);
	evhttp_send_reply_start(r->req, HTTP_OK, NULL);
	return 0;
}

int
uhttp_stream_send(struct uhttp_req *r, const void *data, size_t len)
{
	struct evbuffer *out = bufferevent_get_output(req_bev(r));
	struct evbuffer *chunk;
	int rc = -1;

	if (evbuffer_get_length(out) + len > BACKLOG_MAX)
		return -1;
	chunk = evbuffer_new();
	if (chunk == NULL)
		return -1;
	if (evbuffer_add(chunk, data, len) == 0) {
		evhttp_send_reply_chunk(r->req, chunk);
		rc = 0;
	}
	evbuffer_free(chunk);
	return rc;
}

void
uhttp_stream_end(struct uhttp_req *r)
{
	const struct timeval tv = { .tv_sec = TIMEOUT_S };
	struct evhttp_request *req = r->req;

	/* What still waits is written, but not for ever. */
	bufferevent_set_timeouts(req_bev(r), NULL, &tv);
	let_go(r);
	evhttp_send_reply_end(req);
}
