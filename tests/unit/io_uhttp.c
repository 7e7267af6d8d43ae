/* SPDX-License-Identifier: ISC */
/* The bytes of answers, bounds, streams, and clients that leave or misbehave.
 */

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/str.h"
#include "lib/io/uhttp.h"

#define WAIT_MS 30000

struct client {
	struct loop *loop;
	struct loop_fd *watch;
	struct buf in;
	int fd;
	size_t
	    stop_len; /* stop the loop when so much is there; 0: at the end */
	bool ended;
	const char *out; /* what is still to be sent */
	size_t left;
};

enum how { ANSWER, KEEP, STREAM };

struct fixture {
	struct loop *loop;
	struct uhttp *u;
	int listener;
	enum how how;
	/* the last request */
	struct uhttp_req *req;
	unsigned n_reqs, n_gone, n_sent;
	char method[8], path[128], x[32];
	bool has_x;
	pid_t pid;
	bool stop_on_request, stop_on_gone;
	size_t body_len;
	uint64_t body_hash;
	bool may;
	unsigned n_may;
};

static char dir[] = "/tmp/acmed-uhttp-XXXXXX";
static char sock_path[64];

static void
on_gone(void *arg)
{
	struct fixture *f = arg;

	f->n_gone++;
	f->req = NULL;
	if (f->stop_on_gone)
		loop_stop(f->loop);
}

static void
on_request(void *arg, struct uhttp_req *r)
{
	struct fixture *f = arg;
	struct sock_peer peer = { 0 };
	const char *x = uhttp_query(r, "x");
	const void *body_in;

	f->n_reqs++;
	(void)snprintf(f->method, sizeof(f->method), "%s", uhttp_method(r));
	(void)snprintf(f->path, sizeof(f->path), "%s", uhttp_path(r));
	f->has_x = x != NULL;
	(void)snprintf(f->x, sizeof(f->x), "%s", x != NULL ? x : "");
	assert_int_equal(sock_peer(uhttp_fd(r), &peer, NULL), 0);
	f->pid = peer.pid;
	body_in = uhttp_body(r, &f->body_len);
	assert_non_null(body_in);
	f->body_hash = str_hash(body_in, f->body_len);
	if (f->how == ANSWER) {
		uhttp_answer(r, 200, "application/json", "{\"a\":1}\n", 8);
	} else {
		f->req = r;
		uhttp_on_gone(r, on_gone, f);
		if (f->how == STREAM)
			assert_int_equal(
			    uhttp_stream(r, "application/x-ndjson", NULL), 0);
	}
	if (f->stop_on_request)
		loop_stop(f->loop);
}

static int
setup(void **state)
{
	static struct fixture f;
	struct err e;

	f = (struct fixture){ .loop = loop_new(NULL) };
	(void)snprintf(sock_path, sizeof(sock_path), "%s/s", dir);
	(void)unlink(sock_path);
	f.listener = sock_listen_unix(sock_path, 0600, (gid_t)-1, &e);
	f.u = uhttp_new(f.loop, f.listener, on_request, &f, &e);
	*state = &f;
	return f.u != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	uhttp_free(f->u);
	assert_int_not_equal(fcntl(f->listener, F_GETFD), -1); /* ours */
	(void)close(f->listener);
	loop_free(f->loop);
	return 0;
}

static int
make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int
remove_dir(void **state)
{
	(void)state;
	(void)unlink(sock_path);
	return rmdir(dir);
}

static void
on_bytes(void *arg, int fd, unsigned what)
{
	struct client *c = arg;
	static char chunk[65536];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	(void)what;
	if (n > 0) {
		buf_add(&c->in, chunk, (size_t)n);
		if (c->stop_len != 0 && c->in.len >= c->stop_len)
			loop_stop(c->loop);
		return;
	}
	c->ended = true;
	loop_fd_free(c->watch);
	c->watch = NULL;
	loop_stop(c->loop);
}

static void
client_start(struct client *c, struct fixture *f, const char *request)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t len = strlen(request);

	*c = (struct client){ .loop = f->loop,
		.in = BUF_INIT(8 << 20),
		.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0) };
	memcpy(un.sun_path, sock_path, strlen(sock_path) + 1);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(send(c->fd, request, len, MSG_NOSIGNAL), len);
	c->watch = loop_fd_new(f->loop, c->fd, LOOP_READ, on_bytes, c, NULL);
	assert_non_null(c->watch);
}

static void
client_end(struct client *c)
{
	loop_fd_free(c->watch);
	buf_done(&c->in);
	(void)close(c->fd);
}

static void
too_late(void *arg)
{
	(void)arg;
	fail_msg("nothing happened");
}

static void
run(struct fixture *f)
{
	struct loop_timer *t = loop_timer_new(f->loop, too_late, f, NULL);

	loop_timer_set(t, WAIT_MS);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	loop_timer_free(t);
}

static void
on_tick(void *arg)
{
	loop_stop(arg);
}

/* Let the loop do what it has to do by now. */
static void
settle(struct fixture *f)
{
	struct loop_timer *t = loop_timer_new(f->loop, on_tick, f->loop, NULL);
	int i;

	for (i = 0; i < 5; i++) {
		loop_timer_set(t, 2);
		assert_int_equal(loop_run(f->loop, NULL), 0);
	}
	loop_timer_free(t);
}

/* Ask, and the whole of what comes until the connection ends. */
static void
ask(struct fixture *f, const char *request, struct client *c)
{
	client_start(c, f, request);
	while (!c->ended)
		run(f);
}

static bool
has_header(const struct client *c, const char *line)
{
	const char *end = strstr(buf_str(&c->in), "\r\n\r\n");
	const char *at = strstr(buf_str(&c->in), line);

	return at != NULL && end != NULL && at <= end && at[-1] == '\n' &&
	       at[strlen(line)] == '\r';
}

static const char *
body(const struct client *c)
{
	const char *end = strstr(buf_str(&c->in), "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}

static void
begins(const struct client *c, const char *what)
{
	if (strncmp(buf_str(&c->in), what, strlen(what)) != 0)
		fail_msg(
		    "\"%s\" does not begin with \"%s\"", buf_str(&c->in), what);
}

static void
test_get(void **state)
{
	struct fixture *f = *state;
	struct client c;

	ask(f, "GET /v1/a%20b?y=2&x=%411 HTTP/1.1\r\nHost: acmed\r\n\r\n", &c);
	assert_string_equal(f->method, "GET");
	assert_string_equal(f->path, "/v1/a b");
	assert_true(f->has_x);
	assert_string_equal(f->x, "A1");
	assert_int_equal(f->pid, getpid());
	begins(&c, "HTTP/1.1 200 OK\r\n");
	assert_true(has_header(&c, "Content-Type: application/json"));
	assert_true(has_header(&c, "Content-Length: 8"));
	assert_true(has_header(&c, "Connection: close"));
	assert_true(has_header(&c, "Cache-Control: no-store"));
	assert_string_equal(body(&c), "{\"a\":1}\n");
	client_end(&c);

	/* In pieces, old, and without a query. */
	client_start(&c, f, "GET /v1/sta");
	settle(f);
	assert_int_equal(f->n_reqs, 1);
	assert_int_equal(send(c.fd, "tus HTTP/1.0\r\n\r\n", 16, 0), 16);
	run(f);
	assert_string_equal(f->path, "/v1/status");
	assert_false(f->has_x);
	begins(&c, "HTTP/1.0 200 OK\r\n");
	assert_string_equal(body(&c), "{\"a\":1}\n");
	client_end(&c);
}

static void
test_post(void **state)
{
	struct fixture *f = *state;
	struct client c;

	ask(f,
	    "POST /v1/renew?x= HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
	    "\r\nbody",
	    &c);
	assert_string_equal(f->method, "POST");
	assert_true(f->has_x);
	assert_string_equal(f->x, "");
	begins(&c, "HTTP/1.1 200 OK\r\n");
	client_end(&c);
	/* As `curl -X POST` does it: no word of a body. */
	ask(f, "POST /v1/reload HTTP/1.1\r\nHost: a\r\n\r\n", &c);
	assert_string_equal(f->path, "/v1/reload");
	begins(&c, "HTTP/1.1 200 OK\r\n");
	client_end(&c);
	ask(f,
	    "POST /v1/chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
	    "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	    &c);
	assert_string_equal(f->path, "/v1/chunks");
	begins(&c, "HTTP/1.1 200 OK\r\n");
	client_end(&c);
}

static void
test_head(void **state)
{
	struct fixture *f = *state;
	struct client c;

	ask(f, "HEAD /v1/status HTTP/1.1\r\nHost: acmed\r\n\r\n", &c);
	assert_string_equal(f->method, "GET");
	begins(&c, "HTTP/1.1 200 OK\r\n");
	assert_true(has_header(&c, "Content-Length: 8"));
	assert_string_equal(body(&c), "");
	client_end(&c);

	f->how = KEEP;
	f->stop_on_request = true;
	client_start(&c, f, "HEAD /v1/events HTTP/1.1\r\nHost: acmed\r\n\r\n");
	run(f);
	assert_int_equal(uhttp_stream(f->req, "text/plain", NULL), -1);
	uhttp_answer(f->req, 405, "text/plain", "no\n", 3);
	run(f);
	begins(&c, "HTTP/1.1 405 Method Not Allowed\r\n");
	client_end(&c);
}

static void
test_statuses(void **state)
{
	static const struct {
		int status;
		const char *line;
	} t[] = { { 202, "HTTP/1.1 202 Accepted\r\n" },
		{ 400, "HTTP/1.1 400 Bad Request\r\n" },
		{ 403, "HTTP/1.1 403 Forbidden\r\n" },
		{ 404, "HTTP/1.1 404 Not Found\r\n" },
		{ 409, "HTTP/1.1 409 Conflict\r\n" },
		{ 500, "HTTP/1.1 500 Internal Server Error\r\n" },
		{ 503, "HTTP/1.1 503 Service Unavailable\r\n" } };
	struct fixture *f = *state;
	struct client c;
	size_t i;

	f->how = KEEP;
	for (i = 0; i < NELEM(t); i++) {
		f->stop_on_request = true;
		client_start(&c, f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		run(f);
		/* Later, and not from inside the callback. */
		uhttp_answer(f->req, t[i].status, "text/plain", NULL, 0);
		run(f);
		assert_true(c.ended);
		begins(&c, t[i].line);
		assert_true(has_header(&c, "Content-Length: 0"));
		client_end(&c);
	}
	assert_int_equal(f->n_gone, 0);
}

/* What must be refused before the daemon sees it. */
static void
refused(struct fixture *f, const char *request, const char *answer)
{
	struct client c;

	ask(f, request, &c);
	assert_int_equal(f->n_reqs, 0);
	begins(&c, answer);
	client_end(&c);
}

static void
test_refused(void **state)
{
	static char big[100 << 10];
	struct fixture *f = *state;
	struct client c;
	int n;

	refused(f, "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 501 ");
	refused(f, "nonsense\r\n\r\n", "HTTP/1.1 400 ");
	refused(f, "GET\r\n\r\n", "HTTP/1.1 400 ");
	refused(f, "GET / HTTP/9.9\r\n\r\n", "HTTP/1.1 400 ");
	refused(f, "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 ");
	refused(f, "GET / HTTP/1.1\r\nno colon\r\n\r\n", "HTTP/1.1 400 ");
	refused(f, "POST / HTTP/1.1\r\nContent-Length: 33554433\r\n\r\n",
	    "HTTP/1.1 413 ");
	refused(f, "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
	    "HTTP/1.1 400 ");
	refused(f,
	    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2000001\r\n",
	    "HTTP/1.1 413 ");

	n = snprintf(big, sizeof(big), "GET / HTTP/1.1\r\nX: ");
	memset(big + n, 'x', 17 << 10);
	memcpy(big + n + (17 << 10), "\r\n\r\n", 5);
	ask(f, big, &c);
	assert_int_equal(f->n_reqs, 0);
	assert_true(strncmp(buf_str(&c.in), "HTTP/1.1 4", 10) == 0);
	client_end(&c);
}

static void
test_body(void **state)
{
	struct fixture *f = *state;
	struct client c;

	ask(f, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
	    &c);
	assert_int_equal(f->body_len, 4);
	assert_true(f->body_hash == str_hash("body", 4));
	client_end(&c);
	ask(f,
	    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
	    &c);
	assert_true(f->body_hash == str_hash("abcde", 5));
	client_end(&c);
	ask(f, "POST / HTTP/1.1\r\nHost: a\r\n\r\n", &c);
	assert_int_equal(f->body_len, 0);
	client_end(&c);
	ask(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", &c);
	assert_int_equal(f->body_len, 0);
	client_end(&c);
}

#define MIB ((size_t)1 << 20)

static char large[32 * MIB];

static bool
may(void *arg, int fd)
{
	struct sock_peer peer = { 0 };
	struct fixture *f = arg;

	f->n_may++;
	assert_int_equal(sock_peer(fd, &peer, NULL), 0);
	assert_int_equal(peer.pid, getpid());
	return f->may;
}

static void
on_room(void *arg, int fd, unsigned what)
{
	struct client *c = arg;
	ssize_t n;

	if ((what & LOOP_WRITE) != 0 && c->left != 0) {
		n = send(fd, c->out, c->left, MSG_NOSIGNAL);
		if (n > 0) {
			c->out += n;
			c->left -= (size_t)n;
		}
		if (c->left == 0 || n == -1)
			(void)loop_fd_want(c->watch, LOOP_READ);
	}
	if ((what & LOOP_READ) != 0)
		on_bytes(c, fd, what);
}

/* A POST that says it has len bytes, of which so many come. */
static void
post_start(struct client *c, struct fixture *f, size_t len, size_t come)
{
	char head[128];

	(void)snprintf(head, sizeof(head),
	    "POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
	    len);
	client_start(c, f, head);
	loop_fd_free(c->watch);
	c->out = large;
	c->left = come;
	c->watch = loop_fd_new(
	    f->loop, c->fd, LOOP_READ | LOOP_WRITE, on_room, c, NULL);
}

static void
post(struct fixture *f, size_t len, const char *answer)
{
	struct client c;

	post_start(&c, f, len, len);
	while (!c.ended)
		run(f);
	begins(&c, answer);
	client_end(&c);
}

/* The answer of who is cut off ends without the connection's end. */
static void
post_cut_off(struct fixture *f, size_t len, const char *begin, const char *end)
{
	struct client c;
	char length[48];

	post_start(&c, f, len, len);
	c.stop_len = 1;
	run(f);
	begins(&c, begin);
	assert_true(has_header(&c, "Connection: close"));
	assert_non_null(strstr(body(&c), end));
	(void)snprintf(
	    length, sizeof(length), "Content-Length: %zu", strlen(body(&c)));
	assert_true(has_header(&c, length));
	/* it may go on as it likes, and is heard no more */
	while (c.left != 0)
		settle(f);
	assert_false(c.ended);
	client_end(&c);
	settle(f);
}

static void
fill_large(void)
{
	uint32_t x = 1;
	size_t i;

	for (i = 0; i < sizeof(large); i++) {
		x = x * 1664525 + 1013904223;
		large[i] = (char)(x >> 24);
	}
}

static void
test_large(void **state)
{
	static const size_t sizes[] = { 64 << 10, 100 << 10, MIB, 32 * MIB };
	struct fixture *f = *state;
	size_t i;

	fill_large();
	uhttp_trust(f->u, may);
	f->may = true;
	for (i = 0; i < NELEM(sizes); i++) {
		post(f, sizes[i], "HTTP/1.1 200 OK\r\n");
		assert_int_equal(f->n_reqs, i + 1);
		assert_int_equal(f->n_may, i + 1); /* once each */
		assert_int_equal(f->body_len, sizes[i]);
		assert_true(f->body_hash == str_hash(large, sizes[i]));
	}
}

static void
test_large_refused(void **state)
{
	struct fixture *f = *state;

	post_cut_off(f, MIB, "HTTP/1.1 413 ", "only from root and");
	uhttp_trust(f->u, may);
	post_cut_off(f, MIB, "HTTP/1.1 413 ", "only from root and");
	assert_int_equal(f->n_may, 1);
	post_cut_off(f, 32 * MIB, "HTTP/1.1 413 ", "only from root and");
	assert_int_equal(f->n_reqs, 0);
	post(f, 64 << 10, "HTTP/1.1 200 OK\r\n");
	assert_int_equal(f->n_may, 3);
}

/* More than one would cost more memory than one. */
static void
test_large_alone(void **state)
{
	struct fixture *f = *state;
	struct client first, c;

	clock_fake(3000000);
	uhttp_trust(f->u, may);
	f->may = true;
	post_start(&first, f, MIB, MIB - 1);
	while (first.left != 0)
		settle(f);
	post_cut_off(f, MIB, "HTTP/1.1 503 ", "try again");
	ask(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", &c);
	begins(&c, "HTTP/1.1 200 OK\r\n");
	client_end(&c);

	/* until it is answered */
	f->how = KEEP;
	f->stop_on_request = true;
	assert_int_equal(send(first.fd, "x", 1, MSG_NOSIGNAL), 1);
	run(f);
	assert_int_equal(f->body_len, MIB);
	post_cut_off(f, MIB, "HTTP/1.1 503 ", "try again");
	uhttp_answer(f->req, 200, "text/plain", "", 0);
	while (!first.ended)
		run(f);
	client_end(&first);
	f->how = ANSWER;
	f->stop_on_request = false;
	post(f, MIB, "HTTP/1.1 200 OK\r\n");
}

/* It is gone, or does not go on: others get their turn. */
static void
test_large_left(void **state)
{
	struct fixture *f = *state;
	struct client first;

	clock_fake(4000000);
	uhttp_trust(f->u, may);
	f->may = true;
	post_start(&first, f, MIB, MIB - 1);
	while (first.left != 0)
		settle(f);
	client_end(&first);
	settle(f);
	post(f, MIB, "HTTP/1.1 200 OK\r\n");
	post_start(&first, f, MIB, MIB - 1);
	while (first.left != 0)
		settle(f);
	clock_fake_advance_ms(31000);
	post(f, MIB, "HTTP/1.1 200 OK\r\n");
	while (!first.ended)
		run(f);
	client_end(&first);
	assert_int_equal(f->n_reqs, 2);
}

static void
test_gone(void **state)
{
	struct fixture *f = *state;
	struct client c;

	f->how = KEEP;
	f->stop_on_request = true;
	f->stop_on_gone = true;
	client_start(&c, f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	run(f);
	assert_int_equal(f->n_gone, 0);
	client_end(&c);
	run(f);
	assert_int_equal(f->n_gone, 1);
	settle(f);
	assert_int_equal(f->n_gone, 1);
}

/* Nobody wants to know: nothing leaks, nothing is called. */
static void
test_gone_unwatched(void **state)
{
	struct fixture *f = *state;
	struct client c;

	f->how = KEEP;
	f->stop_on_request = true;
	client_start(&c, f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	run(f);
	uhttp_on_gone(f->req, NULL, NULL);
	client_end(&c);
	settle(f);
	assert_int_equal(f->n_gone, 0);
}

/* It leaves while the answer is on its way. */
static void
test_gone_late(void **state)
{
	static char big[4 << 20];
	struct fixture *f = *state;
	struct client c;

	f->how = KEEP;
	f->stop_on_request = true;
	client_start(&c, f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	run(f);
	uhttp_answer(f->req, 200, "text/plain", big, sizeof(big));
	c.stop_len = 1;
	run(f);
	client_end(&c);
	settle(f);
	assert_int_equal(f->n_gone, 0); /* it was answered */
}

/* More bytes behind a request must neither end us nor disturb the answer. */
static void
test_pipelined(void **state)
{
	static char junk[32 << 10];
	struct fixture *f = *state;
	struct client c;

	memset(junk, 'j', sizeof(junk));
	f->how = KEEP;
	f->stop_on_request = true;
	client_start(&c, f,
	    "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
	    "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	run(f);
	assert_true(send(c.fd, junk, sizeof(junk), MSG_NOSIGNAL) > 0);
	settle(f);
	assert_int_equal(f->n_reqs, 1);
	assert_int_equal(f->n_gone, 0);
	uhttp_answer(f->req, 200, "text/plain", "one\n", 4);
	c.stop_len = 1;
	run(f);
	settle(f);
	begins(&c, "HTTP/1.1 200 OK\r\n");
	assert_string_equal(body(&c), "one\n");
	assert_int_equal(f->n_reqs, 1); /* the connection was closed */
	client_end(&c);
}

static void
test_stream(void **state)
{
	struct fixture *f = *state;
	struct client c;

	f->how = STREAM;
	f->stop_on_request = true;
	client_start(&c, f, "GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n");
	run(f);
	settle(f);
	begins(&c, "HTTP/1.1 200 OK\r\n");
	assert_true(has_header(&c, "Transfer-Encoding: chunked"));
	assert_true(has_header(&c, "Content-Type: application/x-ndjson"));
	assert_string_equal(body(&c), "");
	assert_int_equal(uhttp_stream_send(f->req, "{}\n", 3), 0);
	assert_int_equal(uhttp_stream_send(f->req, "", 0), 0);
	settle(f);
	assert_string_equal(body(&c), "3\r\n{}\n\r\n");
	assert_int_equal(uhttp_stream_send(f->req, "[]\n", 3), 0);
	uhttp_stream_end(f->req);
	while (!c.ended)
		run(f);
	assert_string_equal(body(&c), "3\r\n{}\n\r\n3\r\n[]\n\r\n0\r\n\r\n");
	assert_int_equal(f->n_gone, 0);
	client_end(&c);

	/* To those who know no chunks, the end is the end. */
	client_start(&c, f, "GET /v1/events HTTP/1.0\r\n\r\n");
	run(f);
	assert_int_equal(uhttp_stream_send(f->req, "{}\n", 3), 0);
	uhttp_stream_end(f->req);
	while (!c.ended)
		run(f);
	assert_string_equal(body(&c), "{}\n");
	client_end(&c);
	/* And without a word in between. */
	client_start(&c, f, "GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n");
	run(f);
	uhttp_stream_end(f->req);
	while (!c.ended)
		run(f);
	assert_string_equal(body(&c), "0\r\n\r\n");
	client_end(&c);
}

static void
test_stream_gone(void **state)
{
	struct fixture *f = *state;
	struct client c;

	f->how = STREAM;
	f->stop_on_request = true;
	f->stop_on_gone = true;
	client_start(&c, f, "GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n");
	run(f);
	assert_int_equal(uhttp_stream_send(f->req, "{}\n", 3), 0);
	settle(f);
	assert_int_equal(f->n_gone, 0);
	client_end(&c);
	run(f);
	assert_int_equal(f->n_gone, 1);

	/* The same with something to write at that moment. */
	client_start(&c, f, "GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n");
	run(f);
	client_end(&c);
	assert_int_equal(uhttp_stream_send(f->req, "{}\n", 3), 0);
	run(f);
	assert_int_equal(f->n_gone, 2);
}

static void
test_stream_slow(void **state)
{
	static char line[4096];
	struct fixture *f = *state;
	struct client c;
	unsigned n = 0;

	memset(line, 'l', sizeof(line));
	f->how = STREAM;
	f->stop_on_request = true;
	client_start(&c, f, "GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n");
	loop_fd_free(c.watch); /* does not read */
	c.watch = NULL;
	run(f);
	while (uhttp_stream_send(f->req, line, sizeof(line)) == 0)
		assert_true(++n < 10000);
	assert_in_range(n, 200, 256); /* 1 MiB */
	uhttp_stream_end(f->req);
	client_end(&c);
	settle(f);
	assert_int_equal(f->n_gone, 0); /* it was ended, by us */
}

static void
test_free_with_clients(void **state)
{
	struct fixture *f = *state;
	struct client a, b, c;

	f->stop_on_request = true;
	f->how = STREAM;
	client_start(&a, f, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
	run(f);
	f->how = KEEP;
	client_start(&b, f, "GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
	run(f);
	client_start(&c, f, "GET /c");
	settle(f);
	assert_int_equal(f->n_reqs, 2);
	uhttp_free(f->u);
	f->u = NULL;
	assert_int_equal(f->n_gone, 2);
	while (!a.ended || !b.ended || !c.ended)
		run(f);
	client_end(&a);
	client_end(&b);
	client_end(&c);
}

/* The name that a client gives its own end is of no interest to us. */
static void
test_named_client(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un me = { .sun_family = AF_UNIX };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct client c = { .loop = f->loop, .in = BUF_INIT(1 << 20) };
	const char *request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

	(void)snprintf(me.sun_path, sizeof(me.sun_path), "%s/%060d", dir, 7);
	memcpy(to.sun_path, sock_path, strlen(sock_path) + 1);
	c.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(c.fd, (struct sockaddr *)&me, sizeof(me)), 0);
	assert_int_equal(connect(c.fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(
	    send(c.fd, request, strlen(request), 0), strlen(request));
	c.watch = loop_fd_new(f->loop, c.fd, LOOP_READ, on_bytes, &c, NULL);
	run(f);
	(void)unlink(me.sun_path);
	begins(&c, "HTTP/1.1 200 OK\r\n");
	client_end(&c);
}

static void
test_too_many(void **state)
{
	static struct client idle[80];
	struct fixture *f = *state;
	struct client c;
	size_t i;

	clock_fake(1000000);
	for (i = 0; i < NELEM(idle); i++)
		client_start(&idle[i], f, i % 2 == 0 ? "GET /slow" : "");
	settle(f);
	client_start(&c, f, "GET /last HTTP/1.1\r\nHost: a\r\n\r\n");
	settle(f);
	assert_int_equal(f->n_reqs, 0); /* it waits for a place */

	/* One that leaves makes a place for the 65th, and so on. */
	for (i = 0; i < 17; i++)
		client_end(&idle[i]);
	while (!c.ended)
		run(f);
	assert_string_equal(f->path, "/last");
	begins(&c, "HTTP/1.1 200 OK\r\n");
	client_end(&c);

	/* The rest holds its places, though only until its time is up. */
	for (i = 0; i < 17; i++)
		client_start(&idle[i], f, "GET /again");
	settle(f);
	f->n_reqs = 0;
	client_start(&c, f, "GET /last HTTP/1.1\r\nHost: a\r\n\r\n");
	settle(f);
	assert_int_equal(f->n_reqs, 0);
	clock_fake_advance_ms(31000);
	while (!c.ended)
		run(f);
	assert_int_equal(f->n_reqs, 1);
	client_end(&c);
	for (i = 0; i < NELEM(idle); i++)
		client_end(&idle[i]);
}

/* Whoever may only read cannot keep out those who may do more. */
static void
test_too_many_others(void **state)
{
	static struct client idle[80];
	struct fixture *f = *state;
	unsigned n_left = 0;
	struct client c;
	size_t i;

	uhttp_trust(f->u, may);
	for (i = 0; i < NELEM(idle); i++)
		client_start(&idle[i], f, "");
	for (i = 0; i < NELEM(idle); i++) {
		settle(f);
		n_left += !idle[i].ended;
		if (idle[i].ended)
			begins(&idle[i], "HTTP/1.1 503 ");
	}
	assert_int_equal(n_left, 48);
	f->may = true;
	for (i = 0; i < 20; i++) {
		ask(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", &c);
		begins(&c, "HTTP/1.1 200 OK\r\n");
		client_end(&c);
	}
	for (i = 0; i < NELEM(idle); i++)
		client_end(&idle[i]);
}

/* A stream is not a slow request, however long it lasts. */
static void
test_stream_keeps_place(void **state)
{
	static struct client idle[63];
	struct fixture *f = *state;
	struct client s, c;
	size_t i;

	clock_fake(2000000);
	f->how = STREAM;
	f->stop_on_request = true;
	client_start(&s, f, "GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
	run(f);
	for (i = 0; i < NELEM(idle); i++)
		client_start(&idle[i], f, "GET /slow");
	settle(f);
	clock_fake_advance_ms(3600 * 1000);
	f->how = ANSWER;
	client_start(&c, f, "GET /last HTTP/1.1\r\nHost: a\r\n\r\n");
	while (!c.ended)
		run(f);
	assert_int_equal(f->n_gone, 0);
	assert_int_equal(uhttp_stream_send(f->req, "{}\n", 3), 0);
	settle(f);
	assert_string_equal(body(&s), "3\r\n{}\n\r\n");
	client_end(&c);
	client_end(&s);
	settle(f);
	assert_int_equal(f->n_gone, 1);
	for (i = 0; i < NELEM(idle); i++)
		client_end(&idle[i]);
}

static void
test_many(void **state)
{
	struct fixture *f = *state;
	struct client c;
	unsigned i;

	for (i = 0; i < 300; i++) {
		ask(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", &c);
		begins(&c, "HTTP/1.1 200 OK\r\n");
		client_end(&c);
	}
	assert_int_equal(f->n_reqs, 300);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* Whoever connects then is served by the next one at the same socket. */
static void
test_rest(void **state)
{
	struct fixture *f = *state, next = { .loop = f->loop };
	struct client c;

	uhttp_rest(f->u);
	client_start(&c, f,
	    "GET /x HTTP/1.1\r\nHost: a\r\n"
	    "Connection: close\r\n\r\n");
	next.u = uhttp_new(f->loop, f->listener, on_request, &next, NULL);
	assert_non_null(next.u);
	run(f);
	assert_true(c.ended);
	assert_int_equal(f->n_reqs, 0);
	assert_int_equal(next.n_reqs, 1);
	uhttp_free(next.u);
	client_end(&c);
}

static void
on_sent(void *arg)
{
	struct fixture *f = arg;

	f->n_sent++;
	loop_stop(f->loop);
}

/* It is all on its way to the client before that is said. */
static void
test_last(void **state)
{
	static char big[4 << 20];
	struct fixture *f = *state;
	struct client c;

	f->how = KEEP;
	f->stop_on_request = true;
	client_start(&c, f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	run(f);
	uhttp_last(f->u, f->req, on_sent, f);
	memset(big, 'x', sizeof(big) - 1);
	uhttp_answer(f->req, 200, "text/plain", big, sizeof(big) - 1);
	assert_int_equal(f->n_sent, 0);
	run(f);
	assert_int_equal(f->n_sent, 1);
	/* we may end now */
	uhttp_free(f->u);
	f->u = NULL;
	if (!c.ended)
		run(f);
	assert_string_equal(body(&c), big);
	client_end(&c);
}

/* Who has gone is not waited for, nor told of. */
static void
test_last_gone(void **state)
{
	static char big[4 << 20];
	struct fixture *f = *state;
	struct client c;

	f->how = KEEP;
	f->stop_on_request = true;
	client_start(&c, f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	run(f);
	uhttp_last(f->u, f->req, on_sent, f);
	uhttp_answer(f->req, 200, "text/plain", big, sizeof(big));
	c.stop_len = 1;
	run(f);
	client_end(&c);
	settle(f);
	assert_int_equal(f->n_sent, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_get),
		TEST(test_post),
		TEST(test_head),
		TEST(test_statuses),
		TEST(test_refused),
		TEST(test_body),
		TEST(test_large),
		TEST(test_large_refused),
		TEST(test_large_alone),
		TEST(test_large_left),
		TEST(test_gone),
		TEST(test_gone_unwatched),
		TEST(test_gone_late),
		TEST(test_pipelined),
		TEST(test_stream),
		TEST(test_stream_gone),
		TEST(test_stream_slow),
		TEST(test_free_with_clients),
		TEST(test_rest),
		TEST(test_last),
		TEST(test_last_gone),
		TEST(test_named_client),
		TEST(test_many),
		TEST(test_too_many),
		TEST(test_too_many_others),
		TEST(test_stream_keeps_place),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
