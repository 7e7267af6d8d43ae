/* SPDX-License-Identifier: ISC */
/* Checking the text of PEM certificates, line by line. */
#include "daemon/supervisor/pemtext.h"

#include <stdbool.h>
#include <string.h>

#include "lib/base/str.h"

#define LINE_MAX_B64 64

static bool
is_b64(char c)
{
	return str_is_alnum(c) || c == '+' || c == '/';
}

/* A line of base64; *last when nothing may follow it. */
static bool
b64_line(const char *line, size_t len, bool *last)
{
	size_t i, pads = 0;

	if (len == 0 || len > LINE_MAX_B64 || len % 4 != 0)
		return false;
	while (pads < 2 && line[len - 1 - pads] == '=')
		pads++;
	for (i = 0; i < len - pads; i++)
		if (!is_b64(line[i]))
			return false;
	*last = pads > 0 || len < LINE_MAX_B64;
	return true;
}

static bool
is_line(const char *line, size_t len, const char *want)
{
	return len == strlen(want) && memcmp(line, want, len) == 0;
}

int
pemtext_certs(const char *text, size_t len)
{
	enum { OUTSIDE, BEGUN, INSIDE, ENDING } at = OUTSIDE;
	const char *end = text + len, *nl;
	bool last = false;
	int blocks = 0;

	for (; text < end; text = nl + 1) {
		size_t n;

		nl = memchr(text, '\n', (size_t)(end - text));
		if (nl == NULL)
			return -1;
		n = (size_t)(nl - text);
		if (at == OUTSIDE) {
			if (!is_line(text, n, "-----BEGIN CERTIFICATE-----"))
				return -1;
			at = BEGUN;
		} else if (at != BEGUN &&
			   is_line(text, n, "-----END CERTIFICATE-----")) {
			at = OUTSIDE;
			blocks++;
		} else if (at != ENDING && b64_line(text, n, &last)) {
			at = last ? ENDING : INSIDE;
		} else {
			return -1;
		}
	}
	return at == OUTSIDE ? blocks : -1;
}
