/* SPDX-License-Identifier: ISC */
/*
 * Reading the head of one HTTP/1 request, and nothing of its body.  It keeps
 * no state and copies nothing; what it hands out is free of control characters.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "daemon/engine/responder.h"
#include "lib/base/str.h"

#define METHOD_MAX 32
#define HOST_MAX   255

struct text {
	const char *p;
	size_t len;
};

struct head {
	struct http01_request *r;
	int minor;   /* of HTTP/1.x */
	bool hosted; /* a Host field was seen */
	bool absolute, close, keep;
};

/* RFC 9110 5.6.2 */
static bool
is_tchar(char c)
{
	return str_is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool
is_token(struct text t)
{
	size_t i;

	for (i = 0; i < t.len; i++)
		if (!is_tchar(t.p[i]))
			return false;
	return t.len > 0;
}

static bool
is_word(struct text t, const char *word)
{
	return strlen(word) == t.len && strncasecmp(t.p, word, t.len) == 0;
}

/* What comes before the first c is cut off t and returned: all without c. */
static struct text
cut(struct text *t, char c)
{
	const char *at = t->len == 0 ? NULL : memchr(t->p, c, t->len);
	struct text front = *t;

	if (at != NULL)
		front.len = (size_t)(at - t->p);
	t->p += front.len + (at != NULL);
	t->len -= front.len + (at != NULL);
	return front;
}

static struct text
trim(struct text t)
{
	while (t.len > 0 && (*t.p == ' ' || *t.p == '\t')) {
		t.p++;
		t.len--;
	}
	while (t.len > 0 && (t.p[t.len - 1] == ' ' || t.p[t.len - 1] == '\t'))
		t.len--;
	return t;
}

/*
 * The next line of in, without its end.  1, 0 when it is not all there, or -1
 * when there is a control character in it.
 */
static int
next_line(struct text *in, struct text *line)
{
	size_t i;

	if (in->len == 0 || memchr(in->p, '\n', in->len) == NULL)
		return 0;
	*line = cut(in, '\n');
	if (line->len > 0 && line->p[line->len - 1] == '\r')
		line->len--;
	for (i = 0; i < line->len; i++) {
		unsigned char c = (unsigned char)line->p[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return -1;
	}
	return 1;
}

static bool
is_ipv6(struct text t)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr addr;

	if (t.len >= sizeof(text))
		return false;
	memcpy(text, t.p, t.len);
	text[t.len] = '\0';
	return inet_pton(AF_INET6, text, &addr) == 1;
}

/* Take host[:port]; false, and no host, when it is not that. */
static bool
read_host(struct text t, struct http01_request *r)
{
	struct text host = t, v6;
	size_t i;

	if (t.len > 0 && *t.p == '[') {
		v6 = (struct text){ t.p + 1, t.len - 1 };
		host.len = cut(&v6, ']').len + 2;
		if (host.len > t.len ||
		    !is_ipv6((struct text){ t.p + 1, host.len - 2 }))
			return false;
		t.p += host.len;
		t.len -= host.len;
		if (t.len > 0 && cut(&t, ':').len != 0)
			return false;
	} else {
		host = cut(&t, ':');
		for (i = 0; i < host.len; i++)
			if (!str_is_alnum(host.p[i]) &&
			    !strchr("-._", host.p[i]))
				return false;
	}
	if (host.len == 0 || host.len > HOST_MAX || t.len > 5)
		return false;
	for (i = 0; i < t.len; i++)
		if (!str_is_digit(t.p[i]))
			return false;
	r->host = host.p;
	r->host_len = host.len;
	return true;
}

/* How long "http://" or "https://" in front of t is; 0 when it is not there. */
static size_t
scheme_len(struct text t)
{
	if (t.len >= 7 && strncasecmp(t.p, "http://", 7) == 0)
		return 7;
	return t.len >= 8 && strncasecmp(t.p, "https://", 8) == 0 ? 8 : 0;
}

/* What comes before the first of the characters in stop. */
static struct text
before(struct text t, const char *stop)
{
	size_t n;

	for (n = 0; n < t.len && strchr(stop, t.p[n]) == NULL; n++)
		continue;
	t.len = n;
	return t;
}

/* origin-form, or absolute-form, whose authority wins over Host (9112 3.2.2) */
static int
read_target(struct text t, struct head *h)
{
	struct text host, path;
	size_t i, scheme;

	for (i = 0; i < t.len; i++)
		if (t.p[i] <= ' ' || t.p[i] > '~')
			return -1;
	if (t.len == 0)
		return -1;
	if (*t.p != '/') {
		scheme = scheme_len(t);
		/* "*" and "host:port" go with methods that we refuse anyway */
		if (scheme == 0)
			return h->r->bad_method ? 0 : -1;
		t.p += scheme;
		t.len -= scheme;
		host = before(t, "/?#");
		if (!read_host(host, h->r))
			return -1;
		h->absolute = true;
		t.p += host.len;
		t.len -= host.len;
	}
	path = before(t, "?#");
	h->r->path = path.p;
	h->r->path_len = path.len;
	h->r->target = t.p;
	h->r->target_len = t.len;
	return 0;
}

static int
read_request_line(struct text line, struct head *h)
{
	struct text method = cut(&line, ' '), target = cut(&line, ' ');

	if (!is_token(method) || method.len > METHOD_MAX)
		return -1;
	/* what is left is the version: HTTP/1.x (RFC 9112 2.3) */
	if (line.len != 8 || memcmp(line.p, "HTTP/1.", 7) != 0 ||
	    !str_is_digit(line.p[7]))
		return -1;
	h->minor = line.p[7] - '0';
	/* unlike field names, methods have a case */
	h->r->head = method.len == 4 && memcmp(method.p, "HEAD", 4) == 0;
	h->r->bad_method =
	    !h->r->head && (method.len != 3 || memcmp(method.p, "GET", 3) != 0);
	return read_target(target, h);
}

static int
read_length(struct text value, struct head *h)
{
	size_t i;

	for (i = 0; i < value.len; i++) {
		if (!str_is_digit(value.p[i]))
			return -1;
		if (value.p[i] != '0')
			h->r->body = 1;
	}
	return value.len > 0 ? 0 : -1;
}

static int
read_field(struct text line, struct head *h)
{
	struct text name = cut(&line, ':'), value = trim(line), option;

	/* no colon, folding, and a space before the colon all end here */
	if (!is_token(name) || name.p + name.len == line.p)
		return -1;
	if (is_word(name, "host")) {
		if (h->hosted)
			return -1;
		h->hosted = true;
		if (!h->absolute)
			(void)read_host(value, h->r); /* none, if it is bad */
	} else if (is_word(name, "connection")) {
		while (value.len > 0) {
			option = trim(cut(&value, ','));
			h->close = h->close || is_word(option, "close");
			h->keep = h->keep || is_word(option, "keep-alive");
		}
	} else if (is_word(name, "content-length"))
		return read_length(value, h);
	else if (is_word(name, "transfer-encoding"))
		h->r->body = 1;
	return 0;
}

int
http01_parse(const char *data, size_t len, struct http01_request *r)
{
	struct text in = { data,
		len < HTTP01_HEAD_MAX ? len : HTTP01_HEAD_MAX };
	struct head h = { .r = r };
	struct text line;
	int n;

	memset(r, 0, sizeof(*r));
	/* RFC 9112 2.2: empty lines in front are ignored */
	do {
		/* TLS, most of all: no line end need ever come */
		if (in.len > 0 && *in.p != '\r' && *in.p != '\n' &&
		    !is_tchar(*in.p))
			return -1;
		n = next_line(&in, &line);
		if (n != 1)
			return n;
	} while (line.len == 0);
	if (read_request_line(line, &h) == -1)
		return -1;
	while ((n = next_line(&in, &line)) == 1 && line.len > 0)
		if (read_field(line, &h) == -1)
			return -1;
	if (n != 1)
		return n;
	if (h.minor > 0 && !h.hosted)
		return -1; /* RFC 9112 3.2 */
	r->keep_alive = !r->body && !h.close && (h.minor > 0 || h.keep);
	return (int)(in.p - data);
}
