/* SPDX-License-Identifier: ISC */
/*
 * Headers, one a line: Retry-After, Date, Link, the URL they came from, the
 * relation looked for, Content-Type, Replay-Nonce; the rest is the body of an
 * error.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/acme/jws.h"
#include "lib/acme/problem.h"
#include "lib/acme/reply.h"
#include "lib/base/cleanup.h"
#include "lib/base/str.h"

static void
must(bool truth)
{
	if (!truth)
		__builtin_trap();
}

static void
on_link(void *arg, const char *url)
{
	must(++*(unsigned *)arg <= 32);
	must(str_is_https_url(url) && strlen(url) <= JWS_URL_MAX);
}

static void
try_body(const char *type, const char *body)
{
	struct err e;
	const char *url;
	size_t len;

	must(problem_decode(503, type, body, strlen(body), &e) == -1);
	must(e.kind == ERR_PROBLEM || e.kind == ERR_HTTP);
	must(e.num == 503 && e.retry_after_s == -1);
	must(strlen(e.what) <= ERR_WHAT_MAX - PROBLEM_ROOM);
	(void)problem_hint_for(&e);
	url = problem_url(body, &len);
	if (url != NULL) {
		must(url >= body && len >= strlen("https://"));
		must(len <= strlen(url));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { RETRY, DATE, LINK, BASE, REL, TYPE, NONCE, LINES };
	const char *line[LINES];
	AUTO(free) char *text = malloc(size + 1);
	int64_t now = INT64_C(1790000000), seconds;
	unsigned links = 0;
	char *rest = text;
	size_t i;

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	for (i = 0; i < LINES; i++) {
		line[i] = strsep(&rest, "\n");
		if (line[i] == NULL)
			return 0;
	}
	seconds = reply_retry_after(line[RETRY], line[DATE], now);
	must(seconds >= -1 && seconds <= 366 * 86400);
	must(reply_retry_after(line[RETRY], NULL, now) >= -1);
	reply_links(line[LINK], line[BASE], line[REL], on_link, &links);
	(void)reply_type_is(line[TYPE], line[REL]);
	must(!reply_nonce_ok(line[NONCE]) ||
	     strlen(line[NONCE]) <= JWS_NONCE_MAX);
	if (rest != NULL)
		try_body(line[TYPE], rest);
	return 0;
}
