/* SPDX-License-Identifier: ISC */
/*
 * Header fields of replies: strict where a wrong guess would cost a request,
 * and never an error, because a CA's odd header is no reason to stop.
 */
#include "lib/acme/reply.h"

#include <string.h>
#include <strings.h>

#include "lib/acme/jws.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/str.h"

#define RETRY_AFTER_MAX (365 * 86400)
#define LINKS_MAX       32 /* in one header */
#define OWS             " \t"

int64_t
reply_retry_after(const char *value, const char *date, int64_t now)
{
	uint64_t seconds;
	int64_t then, base = now;

	if (value == NULL)
		return -1;
	if (str_u64(value, 0, RETRY_AFTER_MAX, &seconds) == 0)
		return (int64_t)seconds;
	if (clock_parse_http(value, &then) == -1)
		return -1;
	if (date != NULL && clock_parse_http(date, &base) == -1)
		base = now;
	if (then <= base)
		return 0;
	return then - base <= RETRY_AFTER_MAX ? then - base : -1;
}

bool
reply_nonce_ok(const char *nonce)
{
	size_t len = strspn(nonce, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz0123456789-_");

	return len > 0 && len <= JWS_NONCE_MAX && nonce[len] == '\0';
}

bool
reply_type_is(const char *content_type, const char *type)
{
	size_t len = strlen(type);

	if (content_type == NULL)
		return false;
	content_type += strspn(content_type, OWS);
	if (strncasecmp(content_type, type, len) != 0)
		return false;
	content_type += len;
	content_type += strspn(content_type, OWS);
	return *content_type == '\0' || *content_type == ';';
}

/* Whether word is among the words of a list, case aside. */
static bool
has_word(const char *list, size_t len, const char *word)
{
	const char *end = list + len;
	size_t n;

	while (list < end) {
		for (n = 0; list + n < end && list[n] != ' '; n++)
			;
		if (n == strlen(word) && strncasecmp(list, word, n) == 0)
			return true;
		list += n < (size_t)(end - list) ? n + 1 : n;
	}
	return false;
}

/* What one link-value says (RFC 8288 3). */
struct link {
	const char *target, *rel;
	size_t target_len, rel_len;
	bool anchor; /* the link is about another resource */
};

/* A token or quoted-string at p; behind it. */
static const char *
param_value(const char *p, const char **value, size_t *len)
{
	*value = p;
	if (*p != '"') {
		*len = strcspn(p, OWS ";,");
		return p + *len;
	}
	*value = ++p;
	while (*p != '\0' && *p != '"')
		p += p[0] == '\\' && p[1] != '\0' ? 2 : 1;
	*len = (size_t)(p - *value);
	return *p == '"' ? p + 1 : p;
}

/* One ";name=value" at p, behind the ';'; behind it. */
static const char *
param(const char *p, struct link *link)
{
	const char *name, *value = NULL;
	size_t name_len, len = 0;

	p += strspn(p, OWS);
	name = p;
	name_len = strcspn(p, OWS "=;,");
	p += name_len;
	p += strspn(p, OWS);
	if (*p == '=') {
		p++;
		p = param_value(p + strspn(p, OWS), &value, &len);
		p += strspn(p, OWS);
	}
	if (name_len == 6 && strncasecmp(name, "anchor", 6) == 0)
		link->anchor = true;
	/* Only the first rel counts. */
	if (name_len == 3 && strncasecmp(name, "rel", 3) == 0 &&
	    value != NULL && link->rel == NULL) {
		link->rel = value;
		link->rel_len = len;
	}
	return p;
}

/* The next link-value at *pp, which moves behind it; false: no more. */
static bool
next_link(const char **pp, struct link *link)
{
	const char *p = *pp, *end;

	*link = (struct link){ 0 };
	p += strspn(p, OWS ",");
	if (*p != '<' || (end = strchr(p, '>')) == NULL)
		return false;
	link->target = p + 1;
	link->target_len = (size_t)(end - link->target);
	p = end + 1 + strspn(end + 1, OWS);
	while (*p == ';')
		p = param(p + 1, link);
	/* Junk between parameters and the comma belongs to nobody. */
	*pp = p + strcspn(p, ",");
	return true;
}

/* How much of base a relative target keeps (RFC 3986 5.2, without dots). */
static size_t
base_part(const char *base, const char *target, size_t len)
{
	size_t origin = strlen("https://"), path, end;

	if (len >= 2 && target[0] == '/' && target[1] == '/')
		return strlen("https:");
	origin += strcspn(base + origin, "/?#");
	if (len >= 1 && target[0] == '/')
		return origin;
	end = origin + strcspn(base + origin, "?#");
	if (len == 0 || target[0] == '?')
		return end;
	for (path = end; path > origin && base[path - 1] != '/'; path--)
		;
	return path;
}

static void
resolve(const char *base, const char *target, size_t len, struct buf *url)
{
	size_t scheme, kept;

	for (scheme = 0; scheme < len; scheme++)
		if (strchr(":/?#", target[scheme]) != NULL)
			break;
	if ((scheme == len || target[scheme] != ':') &&
	    str_is_https_url(base)) {
		kept = base_part(base, target, len);
		buf_add(url, base, kept);
		if (base[kept - 1] != '/' && len > 0 && target[0] != '/' &&
		    target[0] != '?')
			buf_putc(url, '/'); /* base has no path at all */
	}
	buf_add(url, target, len);
}

void
reply_links(const char *header, const char *base, const char *rel,
    void (*fn)(void *arg, const char *url), void *arg)
{
	struct link link;
	unsigned n;

	for (n = 0; n < LINKS_MAX && next_link(&header, &link); n++) {
		AUTO(buf_done) struct buf url = BUF_INIT(2 * JWS_URL_MAX);

		if (link.anchor || link.rel == NULL ||
		    !has_word(link.rel, link.rel_len, rel))
			continue;
		resolve(base, link.target, link.target_len, &url);
		if (buf_ok(&url) && url.len <= JWS_URL_MAX &&
		    str_is_https_url(buf_str(&url)))
			fn(arg, buf_str(&url));
	}
}
