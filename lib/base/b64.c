/* SPDX-License-Identifier: ISC */
/* Base64url, written and read a character at a time. */
#include "lib/base/b64.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/cleanup.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void
b64url_encode(const void *data, size_t len, struct buf *out)
{
	const unsigned char *p = data;
	unsigned bits = 0, acc = 0;
	size_t i;

	if (len > SIZE_MAX / 2)
		len = SIZE_MAX / 2; /* no such object: the buffer says no */
	buf_reserve(out, len / 3 * 4 + (len % 3 * 8 + 5) / 6);
	for (i = 0; i < len && buf_ok(out); i++) {
		acc = (acc << 8 | p[i]) & 0xffff;
		for (bits += 8; bits >= 6; bits -= 6)
			buf_putc(out, alphabet[acc >> (bits - 6) & 63]);
	}
	if (bits > 0)
		buf_putc(out, alphabet[acc << (6 - bits) & 63]);
}

static int
value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

static bool
is_strict(const char *s, size_t len)
{
	/* The bits of the last character that belong to no byte. */
	static const int dangling[] = { 0, 0, 0xf, 0x3 };
	size_t i;

	if (len % 4 == 1)
		return false;
	for (i = 0; i < len; i++)
		if (value(s[i]) == -1)
			return false;
	return len == 0 || (value(s[len - 1]) & dangling[len % 4]) == 0;
}

int
b64url_decode(const char *s, size_t len, struct buf *out)
{
	unsigned bits = 0, acc = 0;
	size_t i;

	if (!is_strict(s, len))
		return -1;
	buf_reserve(out, len / 4 * 3 + len % 4 * 6 / 8);
	for (i = 0; i < len; i++) {
		acc = (acc << 6 | (unsigned)value(s[i])) & 0xffff;
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		buf_putc(out, (char)(acc >> bits & 0xff));
	}
	return buf_ok(out) ? 0 : -1;
}

/* Append s to url in the other alphabet, without white space and padding. */
static int
to_url(const char *s, size_t len, struct buf *url)
{
	size_t i, pad = 0;
	bool std = false, safe = false;

	for (i = 0; i < len; i++) {
		if (s[i] != '\0' && strchr(" \t\r\n\v\f", s[i]) != NULL)
			continue;
		if (s[i] == '=') {
			pad++;
			continue;
		}
		if (pad > 0)
			return -1;
		std = std || s[i] == '+' || s[i] == '/';
		safe = safe || s[i] == '-' || s[i] == '_';
		buf_putc(url, s[i] == '+' ? '-' : s[i] == '/' ? '_' : s[i]);
	}
	if (std && safe)
		return -1;
	if (pad > 2 || (pad > 0 && (url->len + pad) % 4 != 0))
		return -1;
	return 0;
}

int
b64_decode_any(const char *s, size_t len, struct buf *out)
{
	AUTO(buf_wipe) struct buf url = BUF_INIT(len);

	buf_reserve(&url, len);
	if (to_url(s, len, &url) == -1 || !buf_ok(&url) || url.len == 0)
		return -1;
	return b64url_decode(url.data, url.len, out);
}
