/* SPDX-License-Identifier: ISC */
/*
 * The port-80 listener: answers exactly the live tokens, redirects everything
 * else to https or says 404.  Small, and bounded in connections, header bytes
 * and time; when full it closes the connection that has been idle longest
 * rather than refuse the CA.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/engine/tokens.h"
#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/io/loop.h"

struct responder;

struct responder_conf {
	uint32_t redirect;        /* 301, 302, 307, 308; 0: 404 */
	uint32_t max_connections; /* at least 8 */
	uint32_t timeout_s;       /* for one request; and idle between two */
};

struct responder_stats {
	uint64_t accepted, requests, answered; /* answered: with a token */
	uint64_t bad, timed_out, evicted;
	uint32_t open;
};

/*
 * fds are listening sockets and stay the caller's.  It must not be freed from
 * within a token_fetched.
 */
struct responder *responder_new(struct loop *, const int *fds, size_t n,
    const struct responder_conf *, struct tokens *, struct err *);
void responder_stats(const struct responder *, struct responder_stats *);
void responder_free(struct responder *);
DEFINE_AUTO(struct responder, responder_free)

/*
 * The pure part, for the fuzzer and the tests: read one request from data.
 * Returns bytes used (the whole head), 0 when more is needed, -1 when it is
 * not a request that we answer (then answer 400 and close).  Looks at no more
 * than HTTP01_HEAD_MAX bytes.
 *
 * All pointers point into data.
 */
struct http01_request {
	const char *path; /* "/..." as sent, query cut off; or empty */
	size_t path_len;
	const char *target; /* path and query, for the redirect */
	size_t target_len;
	const char *host; /* without port; NULL: none, or not a host */
	size_t host_len;
	int head;       /* HEAD, not GET */
	int keep_alive; /* 1.1 without "close", or 1.0 with keep-alive; no body
			 */
	int body;       /* more follows that we shall not read */
	int bad_method; /* known to be HTTP but neither GET nor HEAD */
};
#define HTTP01_HEAD_MAX 8192
int http01_parse(const char *data, size_t len, struct http01_request *);
