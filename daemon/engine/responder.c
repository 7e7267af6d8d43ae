/* SPDX-License-Identifier: ISC */
/*
 * The port-80 listener's connections.  Heads are read into one buffer that all
 * connections share, so that one which waits costs no memory but its slot; a
 * connection owns memory only for half a head or half an answer.
 *
 * The age of a connection counts from when it was accepted, began a request or
 * got an answer.  Bytes alone do not make it younger: whoever sends a head a
 * byte at a time is the first to go, by time or when the table is full.
 */
#include "daemon/engine/responder.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"

#define IN_MAX       (2 * HTTP01_HEAD_MAX)
#define OUT_MAX      (HTTP01_HEAD_MAX + 1024) /* a redirect repeats the head */
#define ACCEPT_BATCH 64    /* then the others have their turn */
#define REST_MS      1000  /* without a descriptor to spare */
#define LINGER_MAX   65536 /* bytes of a body that we drop, not reset */
#define DATE_MAX     32    /* "Sun, 06 Nov 1994 08:49:37 GMT" */

#define LIT(s) (s), sizeof(s) - 1

static const char prefix[] = "/.well-known/acme-challenge/";

enum then { THEN_STAY, THEN_CLOSE, THEN_LINGER };

struct conn {
	TAILQ_ENTRY(conn) link;
	struct responder *r;
	struct loop_fd *watch;
	int64_t since_ms;
	int fd;          /* -1: free */
	enum then then;  /* once out is sent */
	bool lingering;  /* answered and shut down; input is dropped */
	size_t lingered; /* how much was */
	char *in, *out;  /* half a head; the rest of an answer */
	size_t in_len, out_len, out_at;
};

TAILQ_HEAD(conns, conn);

struct responder {
	struct loop *loop;
	struct tokens *tokens;
	struct loop_timer *timer; /* set while there are connections */
	struct loop_fd **listeners;
	size_t listeners_len;
	struct responder_conf conf;
	struct responder_stats stats;
	struct conn *conns;
	struct conns live, idle_slots; /* live: the oldest first */
	bool resting;
	int64_t date_s;
	char date[DATE_MAX];
	size_t out_len;
	char in[IN_MAX], out[OUT_MAX];
};

/* Set the one timer for what comes first. */
static void
arm(struct responder *r)
{
	const struct conn *oldest = TAILQ_FIRST(&r->live);

	if (r->resting)
		loop_timer_set(r->timer, REST_MS);
	else if (oldest != NULL)
		loop_timer_set(r->timer, oldest->since_ms +
					     (int64_t)r->conf.timeout_s * 1000 -
					     clock_mono_ms());
	else
		loop_timer_stop(r->timer);
}

static void
conn_close(struct conn *c)
{
	struct responder *r = c->r;

	loop_fd_free(c->watch);
	(void)close(c->fd);
	free(c->in);
	free(c->out);
	TAILQ_REMOVE(&r->live, c, link);
	*c = (struct conn){ .r = r, .fd = -1 };
	TAILQ_INSERT_HEAD(&r->idle_slots, c, link);
	r->stats.open--;
	if (TAILQ_EMPTY(&r->live))
		arm(r);
}

/* Now it is the youngest. */
static void
conn_touch(struct conn *c)
{
	c->since_ms = clock_mono_ms();
	TAILQ_REMOVE(&c->r->live, c, link);
	TAILQ_INSERT_TAIL(&c->r->live, c, link);
}

/* Make room: the oldest that is not being answered, or the oldest. */
static bool
evict(struct responder *r)
{
	struct conn *c;

	TAILQ_FOREACH (c, &r->live, link)
		if (c->out == NULL)
			break;
	if (c == NULL)
		c = TAILQ_FIRST(&r->live);
	if (c == NULL)
		return false;
	r->stats.evicted++;
	conn_close(c);
	return true;
}

static void
put(struct responder *r, const char *s, size_t n)
{
	assert(n <= sizeof(r->out) - r->out_len);
	memcpy(r->out + r->out_len, s, n);
	r->out_len += n;
}

static void
put_str(struct responder *r, const char *s)
{
	put(r, s, strlen(s));
}

static void
put_date(struct responder *r)
{
	int64_t now = clock_now();
	time_t t = (time_t)now;
	struct tm tm;

	if (now != r->date_s || r->date[0] == '\0') {
		r->date_s = now;
		if (gmtime_r(&t, &tm) == NULL ||
		    strftime(r->date, sizeof(r->date),
			"%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
			return;
	}
	put(r, LIT("Date: "));
	put_str(r, r->date);
	put(r, LIT("\r\n"));
}

/*
 * Write a whole answer but for its Location.  fields end in CRLF; without a
 * body to show (HEAD), its length is told all the same.
 */
static void
put_answer(struct responder *r, const char *fields, const char *body, bool show,
    enum then then)
{
	char length[sizeof("Content-Length: 18446744073709551615\r\n")];
	size_t n = strlen(body);

	put_str(r, fields);
	put_date(r);
	(void)snprintf(length, sizeof(length), "Content-Length: %zu\r\n", n);
	put_str(r, length);
	if (then == THEN_STAY)
		put(r, LIT("Connection: keep-alive\r\n\r\n"));
	else
		put(r, LIT("Connection: close\r\n\r\n"));
	if (show)
		put(r, body, n);
}

/* The answer is out: what now?  May close c. */
static void
conn_answered(struct conn *c, enum then then)
{
	conn_touch(c);
	switch (then) {
	case THEN_STAY:
		break;
	case THEN_CLOSE:
		conn_close(c);
		break;
	case THEN_LINGER:
		/* Closing now would reset, and destroy what we have said. */
		c->lingering = true;
		if (shutdown(c->fd, SHUT_WR) == -1)
			conn_close(c);
		break;
	}
}

static ssize_t
send_some(int fd, const char *data, size_t len)
{
	ssize_t n;

	do
		n = send(fd, data, len, MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	return n == -1 && errno == EAGAIN ? 0 : n;
}

/* Send the prepared answer, or what goes out now.  May close c. */
static void
conn_send(struct conn *c, enum then then)
{
	struct responder *r = c->r;
	ssize_t n = send_some(c->fd, r->out, r->out_len);
	size_t rest;

	if (n == -1) {
		conn_close(c);
		return;
	}
	rest = r->out_len - (size_t)n;
	if (rest == 0) {
		conn_answered(c, then);
		return;
	}
	c->out = malloc(rest);
	if (c->out == NULL || loop_fd_want(c->watch, LOOP_WRITE) == -1) {
		conn_close(c);
		return;
	}
	memcpy(c->out, r->out + n, rest);
	c->out_len = rest;
	c->then = then;
}

/* 400 or 431, and goodbye. */
static void
refuse(struct conn *c, const char *line)
{
	struct responder *r = c->r;

	r->stats.bad++;
	r->out_len = 0;
	put_answer(r, line, "", false, THEN_LINGER);
	conn_send(c, THEN_LINGER);
}

static const char *
redirect_line(uint32_t status)
{
	switch (status) {
	case 301:
		return "HTTP/1.1 301 Moved Permanently\r\n";
	case 302:
		return "HTTP/1.1 302 Found\r\n";
	case 307:
		return "HTTP/1.1 307 Temporary Redirect\r\n";
	default:
		return "HTTP/1.1 308 Permanent Redirect\r\n";
	}
}

static void
put_redirect(
    struct responder *r, const struct http01_request *q, enum then then)
{
	put_str(r, redirect_line(r->conf.redirect));
	put(r, LIT("Location: https://"));
	put(r, q->host, q->host_len);
	if (q->target_len == 0 || *q->target != '/')
		put(r, LIT("/"));
	put(r, q->target, q->target_len);
	put_answer(r, "\r\n", "", false, then);
}

/* The answer to q's token, or NULL: only what somebody published. */
static const char *
look_up(const struct responder *r, const struct http01_request *q)
{
	return tokens_find(r->tokens, q->path + sizeof(prefix) - 1,
	    q->path_len - (sizeof(prefix) - 1));
}

static bool
is_challenge(const struct http01_request *q)
{
	return q->path_len >= sizeof(prefix) - 1 &&
	       memcmp(q->path, prefix, sizeof(prefix) - 1) == 0;
}

static void
answer(struct conn *c, const struct http01_request *q)
{
	static const char found[] = "HTTP/1.1 200 OK\r\n"
				    "Content-Type: application/octet-stream\r\n"
				    "Cache-Control: no-store\r\n";
	static const char not_found[] = "HTTP/1.1 404 Not Found\r\n"
					"Content-Type: text/plain\r\n"
					"Cache-Control: no-store\r\n";
	static const char not_allowed[] = "HTTP/1.1 405 Method Not Allowed\r\n"
					  "Allow: GET, HEAD\r\n";
	struct responder *r = c->r;
	enum then then = THEN_STAY;
	const char *text = NULL;

	if (q->body)
		then = THEN_LINGER;
	else if (!q->keep_alive)
		then = THEN_CLOSE;
	r->stats.requests++;
	r->out_len = 0;
	if (q->bad_method)
		put_answer(r, not_allowed, "", false, then);
	else if (is_challenge(q) && (text = look_up(r, q)) != NULL) {
		r->stats.answered++;
		put_answer(r, found, text, !q->head, then);
	} else if (is_challenge(q) || r->conf.redirect == 0)
		put_answer(r, not_found, "not found\n", !q->head, then);
	else if (q->host == NULL) {
		refuse(c, "HTTP/1.1 400 Bad Request\r\n");
		return;
	} else
		put_redirect(r, q, then);
	conn_send(c, then);
	if (text != NULL && !q->head)
		tokens_tell(r->tokens, q->path + sizeof(prefix) - 1,
		    q->path_len - (sizeof(prefix) - 1));
}

/* Keep what is not yet a whole head.  May close c. */
static void
conn_keep(struct conn *c, const char *data, size_t len)
{
	free(take_ptr(c->in));
	c->in_len = len;
	if (len == 0)
		return;
	c->in = malloc(len);
	if (c->in == NULL) {
		conn_close(c);
		return;
	}
	memcpy(c->in, data, len);
}

/* Answer every request in the first len bytes of the shared buffer. */
static void
conn_serve(struct conn *c, size_t len)
{
	struct responder *r = c->r;
	struct http01_request q;
	size_t at = 0;
	int n;

	while (c->fd != -1 && c->out == NULL && !c->lingering) {
		n = http01_parse(r->in + at, len - at, &q);
		if (n == 0 && len - at < HTTP01_HEAD_MAX)
			break;
		if (n == 0)
			refuse(c,
			    "HTTP/1.1 431 Request Header Fields Too Large\r\n");
		else if (n == -1)
			refuse(c, "HTTP/1.1 400 Bad Request\r\n");
		else {
			at += (size_t)n;
			answer(c, &q);
		}
	}
	if (c->fd == -1)
		return;
	if (at == 0 && c->in == NULL && len > 0)
		conn_touch(c); /* a request begins */
	conn_keep(c, r->in + at, c->lingering ? 0 : len - at);
}

/* Send more of an answer.  Whether it is all out and c is still open. */
static bool
conn_resume(struct conn *c)
{
	ssize_t n =
	    send_some(c->fd, c->out + c->out_at, c->out_len - c->out_at);

	if (n == -1) {
		conn_close(c);
		return false;
	}
	c->out_at += (size_t)n;
	if (c->out_at < c->out_len)
		return false;
	free(take_ptr(c->out));
	c->out_at = c->out_len = 0;
	if (loop_fd_want(c->watch, LOOP_READ) == -1) {
		conn_close(c);
		return false;
	}
	conn_answered(c, c->then);
	return c->fd != -1;
}

static void
on_conn(void *arg, int fd, unsigned what)
{
	struct conn *c = arg;
	struct responder *r = c->r;
	ssize_t n = 0;

	(void)what;
	if (c->in_len > 0)
		memcpy(r->in, c->in, c->in_len);
	if (c->out != NULL) {
		/* Requests may have come behind the one that took so long. */
		if (conn_resume(c) && !c->lingering)
			conn_serve(c, c->in_len);
		return;
	}
	n = read(fd, r->in + c->in_len, sizeof(r->in) - c->in_len);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (c->lingering && n > 0)
		c->lingered += (size_t)n;
	if (n <= 0 || c->lingered > LINGER_MAX)
		conn_close(c);
	else if (!c->lingering)
		conn_serve(c, c->in_len + (size_t)n);
}

/* Takes fd. */
static void
conn_open(struct responder *r, int fd)
{
	static const int on = 1;
	struct conn *c;

	if (TAILQ_EMPTY(&r->idle_slots))
		(void)evict(r);
	c = TAILQ_FIRST(&r->idle_slots);
	c->watch = loop_fd_new(r->loop, fd, LOOP_READ, on_conn, c, NULL);
	if (c->watch == NULL) {
		(void)close(fd);
		return;
	}
	/* Answers to pipelined requests; without it they are only slower. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->fd = fd;
	c->since_ms = clock_mono_ms();
	TAILQ_REMOVE(&r->idle_slots, c, link);
	TAILQ_INSERT_TAIL(&r->live, c, link);
	r->stats.accepted++;
	r->stats.open++;
	if (!loop_timer_pending(r->timer))
		arm(r);
}

static void
listen_to(struct responder *r, unsigned what)
{
	size_t i;

	for (i = 0; i < r->listeners_len; i++)
		if (loop_fd_want(r->listeners[i], what) == -1)
			r->resting = true; /* try again */
}

/* A listener that cannot accept would wake us for ever. */
static void
rest(struct responder *r)
{
	listen_to(r, 0);
	r->resting = true;
	arm(r);
}

static bool
is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS ||
	       error == ENOMEM;
}

static void
on_listener(void *arg, int fd, unsigned what)
{
	struct responder *r = arg;
	int i, s;

	(void)what;
	for (i = 0; i < ACCEPT_BATCH; i++) {
		s = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (s != -1) {
			conn_open(r, s);
			continue;
		}
		/*
		 * All else is one connection's trouble, or none is left.  Only
		 * the first shortage counts: without a descriptor, accept4()
		 * complains even if nobody waits any more.
		 */
		if (!is_shortage(errno) || i > 0)
			return;
		if (!evict(r)) {
			rest(r);
			return;
		}
	}
}

static void
on_timer(void *arg)
{
	struct responder *r = arg;
	int64_t due = clock_mono_ms() - (int64_t)r->conf.timeout_s * 1000;
	struct conn *c;

	while ((c = TAILQ_FIRST(&r->live)) != NULL && c->since_ms <= due) {
		r->stats.timed_out++;
		conn_close(c);
	}
	if (r->resting) {
		r->resting = false;
		listen_to(r, LOOP_READ);
	}
	arm(r);
}

static int
listen_on(struct responder *r, const int *fds, size_t n, struct err *e)
{
	r->listeners = calloc(n, sizeof(struct loop_fd *));
	if (r->listeners == NULL && n > 0)
		return err_nomem(e, "responder");
	for (; r->listeners_len < n; r->listeners_len++) {
		r->listeners[r->listeners_len] = loop_fd_new(r->loop,
		    fds[r->listeners_len], LOOP_READ, on_listener, r, e);
		if (r->listeners[r->listeners_len] == NULL)
			return -1;
	}
	return 0;
}

struct responder *
responder_new(struct loop *loop, const int *fds, size_t n,
    const struct responder_conf *conf, struct tokens *tokens, struct err *e)
{
	AUTO(responder_free) struct responder *r = calloc(1, sizeof(*r));
	size_t i;

	assert(conf->max_connections > 0 && conf->timeout_s > 0);
	if (r == NULL) {
		(void)err_nomem(e, "responder");
		return NULL;
	}
	r->loop = loop;
	r->tokens = tokens;
	r->conf = *conf;
	TAILQ_INIT(&r->live);
	TAILQ_INIT(&r->idle_slots);
	r->conns = calloc(conf->max_connections, sizeof(*r->conns));
	if (r->conns == NULL) {
		(void)err_nomem(e, "responder");
		return NULL;
	}
	for (i = 0; i < conf->max_connections; i++) {
		r->conns[i] = (struct conn){ .r = r, .fd = -1 };
		TAILQ_INSERT_TAIL(&r->idle_slots, &r->conns[i], link);
	}
	r->timer = loop_timer_new(loop, on_timer, r, e);
	if (r->timer == NULL || listen_on(r, fds, n, e) == -1)
		return NULL;
	return take_ptr(r);
}

void
responder_stats(const struct responder *r, struct responder_stats *out)
{
	*out = r->stats;
}

void
responder_free(struct responder *r)
{
	struct conn *c;

	if (r == NULL)
		return;
	while (r->listeners_len > 0)
		loop_fd_free(r->listeners[--r->listeners_len]);
	free(r->listeners);
	while (r->conns != NULL && (c = TAILQ_FIRST(&r->live)) != NULL)
		conn_close(c);
	loop_timer_free(r->timer);
	free(r->conns);
	free(r);
}
