/* SPDX-License-Identifier: ISC */
/*
 * What tests of the port-80 listener share: a real loop and real loopback
 * sockets, on clocks that stand still, and the other side of a connection.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/engine/responder.h"
#include "lib/base/clock.h"
#include "lib/io/sock.h"

#define TOKEN "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA"
#define AUTHZ TOKEN ".9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
#define PATH  "/.well-known/acme-challenge/"
#define DATE  "Date: Mon, 23 Nov 2026 15:04:05 GMT\r\n"
#define KEEP  "Connection: keep-alive\r\n\r\n"
#define CLOSE "Connection: close\r\n\r\n"

#define OK                                                              \
	"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n" \
	"Cache-Control: no-store\r\n" DATE "Content-Length: 87\r\n"
#define NOT_FOUND                                                \
	"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n" \
	"Cache-Control: no-store\r\n" DATE "Content-Length: 10\r\n"
#define BAD "HTTP/1.1 400 Bad Request\r\n" DATE "Content-Length: 0\r\n" CLOSE
#define TOO_LARGE                                               \
	"HTTP/1.1 431 Request Header Fields Too Large\r\n" DATE \
	"Content-Length: 0\r\n" CLOSE
#define NOT_ALLOWED                                                    \
	"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\n" DATE \
	"Content-Length: 0\r\n"
#define MOVED(to)                                                     \
	"HTTP/1.1 301 Moved Permanently\r\nLocation: " to "\r\n" DATE \
	"Content-Length: 0\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: example.org\r\n\r\n"

static struct {
	struct loop *loop;
	struct tokens *tokens;
	struct responder *r;
	struct loop_timer *guard;
	struct responder_conf conf;
	int listener;
	struct sockaddr_storage addr;
	socklen_t addr_len;
	bool stuck;
	int fetched;
	char fetched_token[64];
} t;

static struct err e;

static inline void
on_guard(void *arg)
{
	(void)arg;
	t.stuck = true;
	loop_stop(t.loop);
}

static inline void
on_fetched(void *arg, const char *token)
{
	assert_ptr_equal(arg, &t);
	t.fetched++;
	(void)snprintf(t.fetched_token, sizeof(t.fetched_token), "%s", token);
}

static inline int
setup_on(const char *addr)
{
	memset(&t, 0, sizeof(t));
	clock_fake(1795446245);
	t.conf = (struct responder_conf){
		.redirect = 301, .max_connections = 8, .timeout_s = 1
	};
	t.loop = loop_new(&e);
	t.tokens = tokens_new(&e);
	t.guard = loop_timer_new(t.loop, on_guard, NULL, &e);
	t.listener = sock_listen(addr, &e);
	if (t.listener == -1)
		return -1;
	t.addr_len = sizeof(t.addr);
	if (getsockname(t.listener, (struct sockaddr *)&t.addr, &t.addr_len) ==
	    -1)
		return -1;
	return tokens_publish(t.tokens, TOKEN, AUTHZ, on_fetched, &t, &e);
}

static inline int
setup(void **state)
{
	(void)state;
	return setup_on("127.0.0.1:0");
}

static inline void
start(void)
{
	t.r = responder_new(t.loop, &t.listener, 1, &t.conf, t.tokens, &e);
	assert_non_null(t.r);
}

static inline int
teardown(void **state)
{
	(void)state;
	responder_free(t.r);
	if (t.listener != -1)
		(void)close(t.listener);
	tokens_free(t.tokens);
	loop_timer_free(t.guard);
	loop_free(t.loop);
	return 0;
}

static inline struct responder_stats
stats(void)
{
	struct responder_stats s;

	responder_stats(t.r, &s);
	return s;
}

/* The other side: what it has received so far, and whether it ended. */
struct peer {
	int fd;
	size_t len, want;
	bool eof, reset;
	struct loop_fd *watch;
	char got[65536];
};

static inline void
on_peer(void *arg, int fd, unsigned what)
{
	struct peer *p = arg;
	ssize_t n = read(fd, p->got + p->len, sizeof(p->got) - 1 - p->len);

	(void)what;
	if (n == -1 && errno == EAGAIN)
		return;
	p->eof = n <= 0;
	p->reset = n == -1;
	if (n > 0)
		p->len += (size_t)n;
	p->got[p->len] = '\0';
	if (p->eof || p->len >= p->want)
		loop_stop(t.loop);
}

static inline void
peer_open(struct peer *p, int rcvbuf)
{
	memset(p, 0, sizeof(*p));
	p->fd = socket(t.addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_not_equal(p->fd, -1);
	if (rcvbuf != 0)
		assert_int_equal(setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF,
				     &rcvbuf, sizeof(rcvbuf)),
		    0);
	/* The backlog completes it, whatever the loop does. */
	assert_int_equal(
	    connect(p->fd, (struct sockaddr *)&t.addr, t.addr_len), 0);
	assert_int_equal(fcntl(p->fd, F_SETFL, O_NONBLOCK), 0);
}

static inline void
peer_close(struct peer *p)
{
	loop_fd_free(p->watch);
	(void)close(p->fd);
	p->watch = NULL;
}

static inline void
peer_say(struct peer *p, const char *data, size_t len)
{
	assert_int_equal(send(p->fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

static inline void
say(struct peer *p, const char *text)
{
	peer_say(p, text, strlen(text));
}

/* Run the loop until p has want bytes in all, or its end. */
static inline void
hear(struct peer *p, size_t want)
{
	if (p->eof || p->len >= want)
		return;
	p->want = want;
	p->watch = loop_fd_new(t.loop, p->fd, LOOP_READ, on_peer, p, &e);
	assert_non_null(p->watch);
	loop_timer_set(t.guard, 20000);
	assert_int_equal(loop_run(t.loop, &e), 0);
	loop_timer_stop(t.guard);
	loop_fd_free(p->watch);
	p->watch = NULL;
	if (t.stuck)
		fail_msg("nothing more came after \"%s\"", p->got);
}

/* p has got exactly text, and may go on. */
static inline void
expect(struct peer *p, const char *text)
{
	hear(p, strlen(text));
	assert_string_equal(p->got, text);
	assert_false(p->eof);
	p->len = 0;
	p->got[0] = '\0';
}

/* p has got exactly text and then the end. */
static inline void
expect_end(struct peer *p, const char *text)
{
	hear(p, sizeof(p->got));
	assert_string_equal(p->got, text);
	assert_true(p->eof);
	assert_false(p->reset);
}

/* One exchange on a connection of its own. */
static inline void
ask(const char *request, const char *text)
{
	struct peer p;

	peer_open(&p, 0);
	say(&p, request);
	if (strstr(text, "Connection: close") != NULL)
		expect_end(&p, text);
	else
		expect(&p, text);
	peer_close(&p);
}

/* By the time that this is answered, all that arrived before it was read. */
static inline void
settle(void)
{
	struct peer p;

	peer_open(&p, 0);
	say(&p, "GET /settle HTTP/1.0\r\nHost: h\r\n\r\n");
	hear(&p, sizeof(p.got));
	assert_memory_equal(p.got, "HTTP/1.1 30", 11);
	peer_close(&p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
