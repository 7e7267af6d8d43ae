/* SPDX-License-Identifier: ISC */
/*
 * HTTP client: libcurl's multi interface driven by the loop.  HTTP/2 where the
 * peer speaks it, many requests on one connection, connections reused; every
 * request is bounded in time and every reply in bytes.  https only, except on
 * a Unix socket.
 *
 * http_start() returns a handle or fails at once.  done runs exactly once,
 * from the loop, never from inside http_start(), and not after http_cancel().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/io/loop.h"

struct http;
struct http_call;
struct http_reply;

struct http_req {
	const char *method; /* "GET", "HEAD", "POST" */
	const char *url;
	const void *body; /* POST; copied */
	size_t body_len;
	const char *content_type; /* with a body */
	const char *accept;       /* NULL: "application/json" */
	const char *language;     /* Accept-Language; NULL: "en" */
	const char *ca_file;      /* PEM roots; NULL: the system's */
	const char *proxy;        /* NULL: from the environment; "": none */
	const char *unix_socket;  /* connect here; allows http:// */
	size_t max_body;          /* reply bytes; 0: 1 MiB */
	uint32_t timeout_ms;      /* whole request; 0: 60000 */
	bool stream;              /* no whole-request limit; see on_data */
	bool http1;               /* do not offer HTTP/2 */
	unsigned redirects;       /* GET and HEAD only; 0: none followed */
	/*
	 * Body bytes as they come, instead of collecting them; may be NULL.
	 * max_body 0 then means no limit if it is a stream.
	 */
	void (*on_data)(void *arg, const char *, size_t);
};

/* err is NULL when a reply came, whatever its status. */
typedef void http_done(
    void *arg, const struct http_reply *, const struct err *);

/*
 * user_agent: sent on every request, copied.  From now on the process ignores
 * SIGPIPE.
 */
struct http *http_new(struct loop *, const char *user_agent, struct err *);
void http_free(struct http *); /* cancels what is under way */
DEFINE_AUTO(struct http, http_free)

/*
 * When a connection that lay idle ends before a byte of the reply came, libcurl
 * repeats the request on a new one, POSTs too.  http repeats GET and HEAD once
 * more when the exchange broke later; POSTs whose fate is unknown end in
 * ERR_NET.
 */
struct http_call *http_start(struct http *, const struct http_req *,
    http_done *, void *arg, struct err *); /* NULL on failure */
void http_cancel(struct http_call *);      /* NULL is fine */

/* The name and versions for User-Agent: "acmed/0.1.0 libcurl/7.88.1". */
const char *http_agent(const char *version, char *out, size_t size);

/* Valid inside done only. */
int http_status(const struct http_reply *);
const char *http_body(const struct http_reply *, size_t *len); /* NUL behind */
/* The i-th header of that name (any case), or NULL. */
const char *http_header(
    const struct http_reply *, const char *name, unsigned i);
/* How long it took, by clock_mono_ms(). */
uint32_t http_ms(const struct http_reply *);
