/* SPDX-License-Identifier: ISC */
/* Readers and checkers of foreign text.  ASCII only, whatever the locale. */
#include "lib/base/str.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LABELS_MAX 10

bool
str_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool
str_is_alnum(char c)
{
	return str_is_digit(c) || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

int
str_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (*s == '\0')
		return -1;
	for (; *s != '\0'; s++)
		if (!str_is_digit(*s) || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -1;
	if (v < min || v > max)
		return -1;
	*out = v;
	return 0;
}

int
str_span(const char *s, int64_t *seconds)
{
	/* clang-format off */
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {
		{ '\0', 1 }, { 's', 1 }, { 'm', 60 }, { 'h', 3600 },
		{ 'd', 86400 }, { 'w', 7 * 86400 },
	};
	/* clang-format on */
	int64_t v = 0;
	size_t i;

	if (!str_is_digit(*s))
		return -1;
	for (; str_is_digit(*s); s++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, *s - '0', &v))
			return -1;
	if (*s != '\0' && s[1] != '\0')
		return -1;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (*s == units[i].unit) {
			if (__builtin_mul_overflow(v, units[i].seconds, &v))
				return -1;
			*seconds = v;
			return 0;
		}
	return -1;
}

void
str_ago(int64_t seconds, char *out, size_t size)
{
	uint64_t s = (uint64_t)seconds;
	const char *sign = "", *unit = "s";

	if (seconds < 0) {
		s = 0 - s;
		sign = "-";
	}
	/* Each unit hands over where its figures stop being two. */
	if (s >= UINT64_C(2) * 86400) {
		s /= 86400;
		unit = "days";
	} else if (s >= UINT64_C(100) * 60) {
		s /= 3600;
		unit = "h";
	} else if (s >= 100) {
		s /= 60;
		unit = "min";
	}
	(void)snprintf(out, size, "%s%" PRIu64 " %s", sign, s, unit);
}

void
str_hex(const void *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = data;
	size_t i;

	for (i = 0; i < len; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = '\0';
}

bool
str_is_hex(const char *s, size_t len)
{
	return strlen(s) == len && strspn(s, "0123456789abcdef") == len;
}

/* Whether s is min to max of letters, digits and the characters in more. */
static bool
is_word(const char *s, const char *more, size_t min, size_t max)
{
	size_t n;

	for (n = 0; s[n] != '\0'; n++)
		if (n == max || (!str_is_alnum(s[n]) && !strchr(more, s[n])))
			return false;
	return n >= min;
}

bool
str_is_token(const char *s)
{
	return is_word(s, "-_", 22, 256);
}

bool
str_is_https_url(const char *s)
{
	if (strncmp(s, "https://", 8) != 0)
		return false;
	s += 8;
	if (!str_is_alnum(*s) && *s != '[')
		return false;
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~' || strchr("\"<>\\", *s) != NULL)
			return false;
	return true;
}

bool
str_is_name(const char *s)
{
	return *s != '.' && *s != '-' && is_word(s, "._-", 1, 64);
}

/* What is wrong with a lower-case DNS name, or NULL. */
static const char *
dns_fault(const char *s)
{
	const char *label = s;
	size_t n, labels = 0;

	if (strlen(s) > 253)
		return "longer than 253 characters";
	for (;;) {
		n = strcspn(label, ".");
		if (n == 0)
			return "empty label";
		if (n > 63)
			return "a label is longer than 63 characters";
		if (label[0] == '-' || label[n - 1] == '-')
			return "a label starts or ends with a hyphen";
		if (++labels > LABELS_MAX)
			return "more than 10 labels";
		if (label[n] == '\0')
			break;
		label += n + 1;
	}
	/* No such top level: it was meant to be an address (RFC 1123 2.1). */
	if (strspn(label, "0123456789") == n)
		return "neither a DNS name nor an IP address";
	return NULL;
}

/* Copy s to out in lower case; what is wrong with its characters, or NULL. */
static const char *
lower(const char *s, char out[STR_IDENT_MAX])
{
	size_t n;

	for (n = 0; s[n] != '\0'; n++) {
		if ((unsigned char)s[n] >= 0x80)
			return "not ASCII: write it as xn--... (IDNA)";
		if (s[n] == '*')
			return "\"*.\" may only be in front";
		if (s[n] == '/' || strncmp(s + n, "://", 3) == 0)
			return "a name stands alone, without https:// and path";
		if (s[n] == ':')
			return "not an IP address, and no DNS name has a "
			       "colon or a port";
		if (s[n] == ' ' || s[n] == ',')
			return "no name has spaces or commas: several are a "
			       "list";
		if (!str_is_alnum(s[n]) && s[n] != '-' && s[n] != '.')
			return "only letters, digits, hyphens and dots";
		if (n == STR_IDENT_MAX - 1)
			return "longer than 253 characters";
		out[n] =
		    s[n] >= 'A' && s[n] <= 'Z' ? (char)(s[n] | 0x20) : s[n];
	}
	if (n > 0 && out[n - 1] == '.')
		n--;
	out[n] = '\0';
	return n == 0 ? "empty" : NULL;
}

int
str_ident(const char *s, char out[STR_IDENT_MAX], bool *is_ip, const char **why)
{
	unsigned char addr[sizeof(struct in6_addr)];
	char name[STR_IDENT_MAX];
	int af = strchr(s, ':') != NULL ? AF_INET6 : AF_INET;
	size_t star = strncmp(s, "*.", 2) == 0 ? 2 : 0;

	*is_ip = false;
	if (inet_pton(af, s, addr) == 1) {
		*is_ip = true;
		(void)inet_ntop(af, addr, out, STR_IDENT_MAX);
		return 0;
	}
	*why = lower(s + star, name);
	if (*why == NULL)
		*why = dns_fault(name);
	if (*why == NULL && strlen(name) + star > 253)
		*why = "longer than 253 characters";
	if (*why != NULL)
		return -1;
	memcpy(out, "*.", star);
	memcpy(out + star, name, strlen(name) + 1);
	return 0;
}

/* What ends a line, or turns the text behind it round: a CA's words must not
 * make a log say what it does not. */
static bool
is_layout(uint32_t c)
{
	return (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

size_t
str_char(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n, i;
	uint32_t c;

	if (p[0] < 0x80)
		return p[0] >= ' ' && p[0] != 0x7f;
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	c = p[0] & (0x7fu >> n);
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if (c < 0xa0 || (n == 3 && c < 0x800) || (n == 4 && c < 0x10000) ||
	    (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff || is_layout(c))
		return 0;
	return n;
}

void
str_clean(char *s)
{
	size_t n;

	for (; *s != '\0'; s += n) {
		n = str_char(s);
		if (n == 0) {
			*s = '?';
			n = 1;
		}
	}
}

void
str_clean_lines(char *s)
{
	char *end;

	while ((end = strchr(s, '\n')) != NULL) {
		*end = '\0';
		str_clean(s);
		*end = '\n';
		s = end + 1;
	}
	str_clean(s);
}

bool
str_among(const char *s, const char *const *strings, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(s, strings[i]) == 0)
			return true;
	return false;
}

#define DISTANCE_MAX 4
#define CUT_MIN      4 /* of a word that is cut short */

unsigned
str_distance(const char *a, const char *b)
{
	unsigned row[65], diag, up, best;
	size_t i, j, alen = strlen(a), blen = strlen(b);

	if (alen >= sizeof(row) / sizeof(row[0]) ||
	    blen >= sizeof(row) / sizeof(row[0]))
		return strcmp(a, b) == 0 ? 0 : DISTANCE_MAX;
	for (j = 0; j <= blen; j++)
		row[j] = (unsigned)j;
	for (i = 0; i < alen; i++) {
		diag = row[0]++;
		for (j = 0; j < blen; j++) {
			up = row[j + 1];
			best = diag + (a[i] != b[j]);
			if (up + 1 < best)
				best = up + 1;
			if (row[j] + 1 < best)
				best = row[j] + 1;
			row[j + 1] = best;
			diag = up;
		}
	}
	return row[blen] > DISTANCE_MAX ? DISTANCE_MAX : row[blen];
}

const char *
str_closest(const char *word, const char *const *words, size_t n)
{
	const char *best = NULL, *cut = NULL;
	size_t i, len = strlen(word);
	unsigned least = DISTANCE_MAX - 1;

	for (i = 0; i < n; i++) {
		unsigned d = str_distance(word, words[i]);

		/* Of three letters two are another word. */
		if (d < least && 2 * d < len) {
			least = d;
			best = words[i];
		}
		if (len >= CUT_MIN && strncmp(word, words[i], len) == 0)
			cut = words[i];
	}
	return best != NULL ? best : cut;
}

uint64_t
str_hash(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t h = 0xcbf29ce484222325;

	while (len-- > 0)
		h = (h ^ *p++) * 0x100000001b3;
	return h;
}
