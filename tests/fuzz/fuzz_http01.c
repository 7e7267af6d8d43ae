/* SPDX-License-Identifier: ISC */
/* The port-80 request parser: what anybody on the Internet may send. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/responder.h"

#define MUST(x)                  \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* s lies within the head, and could stand in a header field. */
static void
check_text(const char *s, size_t n, const char *head, size_t len)
{
	size_t i;

	if (s == NULL) {
		MUST(n == 0);
		return;
	}
	MUST(s >= head && n <= len && s <= head + len - n);
	for (i = 0; i < n; i++)
		MUST(s[i] > ' ' && s[i] <= '~');
}

static void
check_request(const struct http01_request *q, const char *head, size_t len)
{
	MUST(len <= HTTP01_HEAD_MAX);
	check_text(q->path, q->path_len, head, len);
	check_text(q->target, q->target_len, head, len);
	check_text(q->host, q->host_len, head, len);
	MUST(q->bad_method || q->path != NULL);
	MUST(q->path_len <= q->target_len);
	MUST(q->path_len == 0 || *q->path == '/');
	MUST(q->host == NULL || q->host_len > 0);
	MUST(q->host == NULL || memchr(q->host, '/', q->host_len) == NULL);
	MUST(!(q->keep_alive && q->body));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http01_request whole, part;
	const char *text = (const char *)data;
	int n = http01_parse(text, size, &whole);
	size_t cut;

	MUST(n >= -1 && (n == -1 || (size_t)n <= size));
	if (n > 0)
		check_request(&whole, text, (size_t)n);
	/* However the network cuts it, the verdict is the same. */
	cut = size == 0 ? 0 : data[size - 1] * size / 256;
	switch (http01_parse(text, cut, &part)) {
	case 0:
		MUST(n <= 0 || cut < (size_t)n);
		break;
	case -1:
		MUST(n == -1);
		break;
	default:
		MUST(memcmp(&part, &whole, sizeof(part)) == 0);
		break;
	}
	return 0;
}
