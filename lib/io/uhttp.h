/* SPDX-License-Identifier: ISC */
/*
 * HTTP/1.1 server on a Unix socket for the control interface (libevent's
 * evhttp).  Requests are bounded: 16 KiB of headers, 80 KiB with the body, 30 s
 * to arrive.  Never on a network socket.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/io/loop.h"
#include "lib/io/sock.h"

struct uhttp;
struct uhttp_req; /* lives until answered, or until its client has gone */

/*
 * A request came.  Answer it now or later, exactly once, with uhttp_answer()
 * or uhttp_stream_*; when its client goes away first, gone (if set) is called
 * and the request must not be touched again.
 */
typedef void uhttp_fn(void *arg, struct uhttp_req *);

/* fd is a listening socket and stays the caller's.  SIGPIPE is ignored from
 * then on, in the whole program. */
struct uhttp *uhttp_new(
    struct loop *, int fd, uhttp_fn *, void *arg, struct err *);
/*
 * Who is trusted, by the connection's descriptor; nobody unless this is called.
 * They may send a body of up to 32 MiB, one at a time, so that this much memory
 * is all that it costs.  And a quarter of the places is theirs alone: the
 * others cannot keep them out.  arg is uhttp_new()'s.
 */
typedef bool uhttp_may(void *arg, int fd);
void uhttp_trust(struct uhttp *, uhttp_may *);
/* Takes no more connections: they wait for whoever has the socket next. */
void uhttp_rest(struct uhttp *);
/* The same, for the answer to this request will be the last one: sent runs,
 * from the loop, when the client has it; never when the client goes first. */
void uhttp_last(struct uhttp *, struct uhttp_req *, loop_fn *sent, void *arg);
void uhttp_free(struct uhttp *); /* drops every connection */

const char *uhttp_method(const struct uhttp_req *); /* "GET", "POST", "" */
const char *uhttp_path(const struct uhttp_req *);   /* decoded, no query */
const char *uhttp_query(
    const struct uhttp_req *, const char *key); /* or NULL */
/* Until the answer; NULL: no memory to have it in one piece. */
const void *uhttp_body(const struct uhttp_req *, size_t *len);
int uhttp_fd(const struct uhttp_req *); /* for sock_peer(); -1: unknown */
void uhttp_on_gone(struct uhttp_req *, loop_fn *, void *arg);

void uhttp_answer(
    struct uhttp_req *, int status, const char *type, const void *, size_t);

/* A body without an end (events): begin, then send until gone or end. */
int uhttp_stream(struct uhttp_req *, const char *type, struct err *);
/* -1 when the client reads too slowly (1 MiB waiting): end it then. */
int uhttp_stream_send(struct uhttp_req *, const void *, size_t);
void uhttp_stream_end(struct uhttp_req *);
