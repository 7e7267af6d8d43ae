/* SPDX-License-Identifier: ISC */
/* Strict readers and checkers of text that somebody else wrote. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of ASCII. */
bool str_is_digit(char);
bool str_is_alnum(char);

/* Decimal digits only, the whole string, within [min, max].  0 or -1. */
int str_u64(const char *, uint64_t min, uint64_t max, uint64_t *);

/* "90", "90s", "15m", "12h", "30d", "2w" to seconds.  0 or -1. */
int str_span(const char *, int64_t *seconds);

/* Seconds to "45 s", "12 min", "5 h", "29 days": two figures, for people. */
void str_ago(int64_t seconds, char *out, size_t size);

/* Two hex digits a byte, lower case; out holds 2 * len + 1. */
void str_hex(const void *, size_t len, char *out);

/* Exactly len lower-case hex digits and the end. */
bool str_is_hex(const char *, size_t len);

/* RFC 8555 8.3 token as we accept it: 22 to 256 of base64url's alphabet. */
bool str_is_token(const char *);

/* A URL we would ask: "https://", printable ASCII without space " < > \. */
bool str_is_https_url(const char *);

/*
 * A name for files, hooks and the control socket: 1 to 64 of A-Z a-z 0-9 . _ -
 * and not starting with '.' or '-'.
 */
bool str_is_name(const char *);

/*
 * The canonical form of an identifier in out (RFC 8555 7.1.4, 9.7.7): lower
 * case DNS name without its trailing dot, "*." only in front, labels of 1 to
 * 63, 253 in all, at most 10 labels; or an IP address as inet_ntop writes it,
 * with *is_ip set.  -1 and *why (static text) when it is neither.
 */
#define STR_IDENT_MAX 256
int str_ident(
    const char *, char out[STR_IDENT_MAX], bool *is_ip, const char **why);

/*
 * How many bytes the character at the start has; 0 when it is a control
 * character (C1, DEL, and those of Unicode that turn text round or end lines),
 * not UTF-8, or the end.
 */
size_t str_char(const char *);

/* Replace control characters, DEL and invalid UTF-8 by '?', in place. */
void str_clean(char *);
void str_clean_lines(char *); /* but line ends stay */

/* Whether s is one of n strings. */
bool str_among(const char *s, const char *const *strings, size_t n);

/* Edit distance, for "did you mean"; stops counting above 3. */
unsigned str_distance(const char *, const char *);

/* Which of n words was meant, mistyped or cut short; NULL: none of them. */
const char *str_closest(const char *, const char *const *words, size_t n);

/* FNV-1a, 64 bits: a revision or a hash bucket, never a proof. */
uint64_t str_hash(const void *, size_t);
