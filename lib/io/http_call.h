/* SPDX-License-Identifier: ISC */
/*
 * One exchange of the HTTP client, for http.c only: its curl handle, what is
 * sent, and what has come back.  It knows neither the loop nor other calls.
 */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/io/http.h"

#define HTTP_LINES_MAX 5

struct http_reply {
	struct buf head; /* "name\0value\0" each */
	struct buf body;
	const char *url;
	int status;
	uint32_t ms;
};

enum http_broke { BROKE_NOTHING, BROKE_HEAD, BROKE_BODY, BROKE_NOMEM };

struct http_call {
	LIST_ENTRY(http_call) link;
	struct http *http;
	CURL *easy;
	http_done *done;
	void (*on_data)(void *, const char *, size_t);
	void *arg;

	struct buf out; /* URL, header lines, body; the next two point there */
	struct curl_slist lines[HTTP_LINES_MAX];
	const char *url;
	unsigned n_lines;
	const char *method;
	uint32_t timeout_ms; /* 0: none */

	struct http_reply reply;
	size_t head_got, max_body;
	uint64_t body_got;
	uint32_t earlier_ms; /* of the first try */
	int64_t began_ms;    /* by clock_mono_ms() */
	enum http_broke broke;
	bool in_head;
	bool setup_bad;
	bool handed;   /* the caller has seen some of the body */
	bool repeated; /* this is the second try */
	bool doomed;   /* the multi handle failed */
	bool busy;     /* the caller's on_data is running */
	bool over;     /* the caller has heard the last of it */
	char why[CURL_ERROR_SIZE];
};

struct http_call *call_new(void); /* NULL: no memory */
void call_free(struct http_call *);

/* Give back memory that not every call needs. */
void call_rest(struct http_call *);

/* Forget the request before, and get everything ready for this one. */
int call_setup(struct http_call *, const struct http_req *, const char *agent,
    struct err *);

/* Get ready to send it once more, on a new connection, if that is safe. */
int call_repeat(struct http_call *, CURLcode);

/* How it ended: the reply is filled, or -1. */
int call_result(struct http_call *, CURLcode, struct err *);
