/* SPDX-License-Identifier: ISC */
/*
 * What one exchange tells curl, and what it keeps of the answer.  Every limit
 * on bytes and time is set here.  curl's callbacks only collect: the caller's
 * functions are never run from inside curl.
 */
#include "lib/io/http_call.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/clock.h"
#include "lib/base/str.h"

#define BODY_MAX_DEFAULT   ((size_t)1 << 20)
#define KEEP_MAX           ((size_t)64 << 10) /* of a buffer, between calls */
#define DATA_ROUND_MAX     ((size_t)4 << 20)  /* unread on_data bytes */
#define HEAD_MAX           ((size_t)64 << 10)
#define OUT_MAX            ((size_t)33 << 20) /* what acmectl plan sends */
#define TIMEOUT_MS_DEFAULT 60000

/* clang-format off */
/* What every request has in common and is not curl's default. */
static const struct {
	CURLoption opt;
	long value;
} always[] = {
	{ CURLOPT_NOSIGNAL,                 1 },
	{ CURLOPT_CONNECTTIMEOUT_MS,        15000 },
	{ CURLOPT_SSL_VERIFYPEER,           1 },
	{ CURLOPT_SSL_VERIFYHOST,           2 },
	{ CURLOPT_SSLVERSION,               CURL_SSLVERSION_TLSv1_2 },
	{ CURLOPT_TCP_KEEPALIVE,            1 },
	{ CURLOPT_SUPPRESS_CONNECT_HEADERS, 1 },
	{ CURLOPT_DISALLOW_USERNAME_IN_URL, 1 },
	/* URLs are asked as the server wrote them. */
	{ CURLOPT_PATH_AS_IS,               1 },
	/* Ending a call must not wait for a resolver thread. */
	{ CURLOPT_QUICK_EXIT,               1 },
};
/* clang-format on */

struct http_call *
call_new(void)
{
	struct http_call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->easy = curl_easy_init();
	if (c->easy == NULL) {
		free(c);
		return NULL;
	}
	c->out.max = OUT_MAX;
	c->reply.head.max = HEAD_MAX;
	return c;
}

void
call_free(struct http_call *c)
{
	curl_easy_cleanup(c->easy);
	buf_done(&c->out);
	buf_done(&c->reply.head);
	buf_done(&c->reply.body);
	free(c);
}

void
call_rest(struct http_call *c)
{
	if (c->out.cap > KEEP_MAX)
		buf_done(&c->out);
	if (c->reply.body.cap > KEEP_MAX)
		buf_done(&c->reply.body);
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct http_call *c = arg;

	n *= size;
	c->body_got += n;
	if (c->body_got > c->max_body) {
		c->broke = BROKE_BODY;
		return CURL_WRITEFUNC_ERROR;
	}
	buf_add(&c->reply.body, p, n);
	if (!buf_ok(&c->reply.body)) {
		c->broke = BROKE_NOMEM;
		return CURL_WRITEFUNC_ERROR;
	}
	return n;
}

static bool
is_space(char ch)
{
	return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}

static void
keep_header(struct http_call *c, const char *p, size_t n)
{
	struct buf *head = &c->reply.head;
	const char *colon = memchr(p, ':', n), *v;

	/* No colon: not a header; NUL: nothing that could be compared. */
	if (colon == NULL || memchr(p, '\0', n) != NULL)
		return;
	v = colon + 1;
	n -= (size_t)(v - p);
	while (n > 0 && is_space(*v)) {
		v++;
		n--;
	}
	while (n > 0 && is_space(v[n - 1]))
		n--;
	buf_add(head, p, (size_t)(colon - p));
	buf_putc(head, '\0');
	buf_add(head, v, n);
	buf_putc(head, '\0');
	if (!buf_ok(head))
		c->broke = BROKE_NOMEM;
}

static size_t
on_head(char *p, size_t size, size_t n, void *arg)
{
	struct http_call *c = arg;

	n *= size;
	c->head_got += n;
	if (c->head_got > HEAD_MAX) {
		c->broke = BROKE_HEAD;
		return 0;
	}
	if (n >= 5 && memcmp(p, "HTTP/", 5) == 0) {
		/* Another response: only the last one counts. */
		buf_reset(&c->reply.head);
		c->in_head = true;
	} else if (n <= 2 && c->in_head) {
		c->in_head = false; /* trailers are not looked at */
	} else if (c->in_head) {
		keep_header(c, p, n);
	}
	return c->broke == BROKE_NOTHING ? n : 0;
}

static void
set_long(struct http_call *c, CURLoption opt, long v)
{
	if (curl_easy_setopt(c->easy, opt, v) != CURLE_OK)
		c->setup_bad = true;
}

static void
set_str(struct http_call *c, CURLoption opt, const char *s)
{
	if (curl_easy_setopt(c->easy, opt, s) != CURLE_OK)
		c->setup_bad = true;
}

static void
set_ptr(struct http_call *c, CURLoption opt, void *p)
{
	if (curl_easy_setopt(c->easy, opt, p) != CURLE_OK)
		c->setup_bad = true;
}

/* A line break would begin a header of somebody else's choice. */
static int
check_value(const char *name, const char *v, struct err *e)
{
	if (v != NULL && strpbrk(v, "\r\n") != NULL)
		return err_set(
		    e, ERR_PROTO, 0, "line break in header %s", name);
	return 0;
}

static int
check(const struct http_req *r, struct err *e)
{
	assert(strcmp(r->method, "GET") == 0 ||
	       strcmp(r->method, "HEAD") == 0 ||
	       strcmp(r->method, "POST") == 0);
	if (r->unix_socket == NULL && strncasecmp(r->url, "https://", 8) != 0)
		return err_set(e, ERR_PROTO, 0, "%s %s: not an https URL",
		    r->method, r->url);
	if (check_value("Accept", r->accept, e) == -1 ||
	    check_value("Accept-Language", r->language, e) == -1 ||
	    check_value("Content-Type", r->content_type, e) == -1)
		return err_wrap(e, "%s %s", r->method, r->url);
	return 0;
}

/* v NULL: leave out the header that curl would make up itself. */
static void
add_line(struct http_call *c, const char *name, const char *v)
{
	struct curl_slist *line = &c->lines[c->n_lines];

	assert(c->n_lines < HTTP_LINES_MAX);
	line->data = c->out.data + c->out.len;
	line->next = NULL;
	if (c->n_lines++ > 0)
		line[-1].next = line;
	buf_puts(&c->out, name);
	buf_putc(&c->out, ':');
	if (v != NULL) {
		buf_putc(&c->out, ' ');
		buf_puts(&c->out, v);
	}
	buf_putc(&c->out, '\0');
}

/*
 * Copy what the request refers to, in one piece, and give it to curl, which
 * takes no copies of header lines and body.
 */
static int
set_content(struct http_call *c, const struct http_req *r, struct err *e)
{
	const char *accept = r->accept != NULL ? r->accept : "application/json";
	const char *lang = r->language != NULL ? r->language : "en";
	size_t type_len = r->content_type != NULL ? strlen(r->content_type) : 0;

	buf_reset(&c->out);
	buf_reserve(&c->out, strlen(r->url) + strlen(accept) + strlen(lang) +
				 type_len + r->body_len + 128);
	if (!buf_ok(&c->out))
		return err_set(e, ERR_LIMIT, 0,
		    "%s %s: no memory for a request of %zu bytes", r->method,
		    r->url, r->body_len);
	c->url = c->out.data;
	buf_puts(&c->out, r->url);
	buf_putc(&c->out, '\0');

	c->n_lines = 0;
	add_line(c, "Accept", accept);
	add_line(c, "Accept-Language", lang);
	add_line(c, "Expect", NULL);
	set_str(c, CURLOPT_URL, c->url);
	if (strcmp(r->method, "HEAD") == 0) {
		c->method = "HEAD";
		set_long(c, CURLOPT_NOBODY, 1);
	} else if (strcmp(r->method, "POST") == 0) {
		c->method = "POST";
		add_line(c, "Content-Type", r->content_type);
		set_long(c, CURLOPT_POST, 1);
		set_long(c, CURLOPT_POSTFIELDSIZE, (long)r->body_len);
		set_ptr(c, CURLOPT_POSTFIELDS, c->out.data + c->out.len);
		buf_add(&c->out, r->body, r->body_len);
	} else {
		c->method = "GET";
	}
	set_ptr(c, CURLOPT_HTTPHEADER, c->lines);
	return 0;
}

static void
set_peer(struct http_call *c, const struct http_req *r)
{
	char *file = NULL;

	/*
	 * curl would trust its folder of roots besides ca_file.  And it parses
	 * the system's roots only once if they are all in one file.
	 */
	(void)curl_easy_getinfo(c->easy, CURLINFO_CAINFO, &file);
	if (r->ca_file != NULL)
		set_str(c, CURLOPT_CAINFO, r->ca_file);
	if (r->ca_file != NULL || file != NULL)
		set_str(c, CURLOPT_CAPATH, NULL);

	set_str(c, CURLOPT_PROTOCOLS_STR,
	    r->unix_socket != NULL ? "http,https" : "https");
	if (r->unix_socket != NULL) {
		set_str(c, CURLOPT_UNIX_SOCKET_PATH, r->unix_socket);
		set_str(c, CURLOPT_PROXY, "");
	} else if (r->proxy != NULL) {
		set_str(c, CURLOPT_PROXY, r->proxy);
	}

	if (r->redirects > 0 && strcmp(r->method, "POST") != 0) {
		set_long(c, CURLOPT_FOLLOWLOCATION, 1);
		set_long(c, CURLOPT_MAXREDIRS, (long)r->redirects);
		set_str(c, CURLOPT_REDIR_PROTOCOLS_STR, "https");
	}

	/* Rather wait for a connection that can be shared than open another. */
	set_long(c, CURLOPT_PIPEWAIT, !r->http1);
	set_long(c, CURLOPT_HTTP_VERSION,
	    r->http1 ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS);
}

static void
set_limits(struct http_call *c, const struct http_req *r)
{
	c->max_body = r->max_body;
	if (c->max_body == 0)
		c->max_body = r->stream && r->on_data != NULL
				  ? SIZE_MAX
				  : BODY_MAX_DEFAULT;
	/* on_body() looks at max_body itself, to tell which of two it was. */
	c->reply.body.max = c->max_body;
	if (r->on_data != NULL && c->max_body > DATA_ROUND_MAX)
		c->reply.body.max = DATA_ROUND_MAX;

	c->timeout_ms = 0;
	if (r->stream)
		return;
	c->timeout_ms = r->timeout_ms != 0 ? r->timeout_ms : TIMEOUT_MS_DEFAULT;
	set_long(c, CURLOPT_TIMEOUT_MS, (long)c->timeout_ms);
	set_long(c, CURLOPT_LOW_SPEED_LIMIT, 10);
	set_long(c, CURLOPT_LOW_SPEED_TIME, 45);
}

static void
forget_reply(struct http_call *c)
{
	buf_reset(&c->reply.head);
	buf_reset(&c->reply.body);
	c->head_got = 0;
	c->body_got = 0;
	c->broke = BROKE_NOTHING;
	c->in_head = false;
	c->why[0] = '\0';
}

int
call_setup(struct http_call *c, const struct http_req *r, const char *agent,
    struct err *e)
{
	size_t i;

	if (check(r, e) == -1)
		return -1;
	curl_easy_reset(c->easy);
	forget_reply(c);
	c->setup_bad = c->handed = c->repeated = c->doomed = false;
	c->busy = c->over = false;
	c->earlier_ms = 0;
	c->began_ms = clock_mono_ms();
	c->on_data = r->on_data;

	for (i = 0; i < NELEM(always); i++)
		set_long(c, always[i].opt, always[i].value);
	set_str(c, CURLOPT_USERAGENT, agent);
	if (set_content(c, r, e) == -1)
		return -1;
	set_peer(c, r);
	set_limits(c, r);
	set_ptr(c, CURLOPT_PRIVATE, c);
	set_ptr(c, CURLOPT_ERRORBUFFER, c->why);
	set_ptr(c, CURLOPT_WRITEDATA, c);
	set_ptr(c, CURLOPT_HEADERDATA, c);
	if (c->setup_bad ||
	    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body) !=
		CURLE_OK ||
	    curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, on_head) !=
		CURLE_OK)
		return err_set(e, ERR_NOMEM, 0, "%s %s: cannot prepare",
		    r->method, r->url);
	return 0;
}

static long
info_long(struct http_call *c, CURLINFO what)
{
	long v = 0;

	if (curl_easy_getinfo(c->easy, what, &v) != CURLE_OK)
		return 0;
	return v;
}

static uint32_t
elapsed_ms(struct http_call *c)
{
	curl_off_t us = 0;

	(void)curl_easy_getinfo(c->easy, CURLINFO_TOTAL_TIME_T, &us);
	us /= 1000;
	if (us < 0 || us > (curl_off_t)(UINT32_MAX - c->earlier_ms))
		return UINT32_MAX;
	return c->earlier_ms + (uint32_t)us;
}

/*
 * A connection that was dead before a byte of the reply came, and a stream
 * that the server refused, curl has tried again by itself, POSTs included.
 * Left are the ends after which the server may have done it: fine to ask
 * again for what changes nothing.
 */
static bool
may_repeat(struct http_call *c, CURLcode code)
{
	if (c->repeated || c->handed || c->broke != BROKE_NOTHING ||
	    strcmp(c->method, "POST") == 0)
		return false;
	if (code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM)
		return true;
	return (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
		   code == CURLE_GOT_NOTHING || code == CURLE_PARTIAL_FILE) &&
	       info_long(c, CURLINFO_NUM_CONNECTS) == 0;
}

int
call_repeat(struct http_call *c, CURLcode code)
{
	uint32_t ms = elapsed_ms(c);

	if (!may_repeat(c, code) || (c->timeout_ms != 0 && ms >= c->timeout_ms))
		return -1;
	if (c->timeout_ms != 0)
		set_long(c, CURLOPT_TIMEOUT_MS, (long)(c->timeout_ms - ms));
	set_long(c, CURLOPT_FRESH_CONNECT, 1);
	c->earlier_ms = ms;
	c->repeated = true;
	forget_reply(c);
	return c->setup_bad ? -1 : 0;
}

/* What curl_easy_strerror() does not say, or "". */
static const char *
detail(struct http_call *c, CURLcode code)
{
	long num;

	if (code == CURLE_COULDNT_CONNECT &&
	    (num = info_long(c, CURLINFO_OS_ERRNO)) != 0)
		return strerror((int)num);
	str_clean(c->why);
	if (strcmp(c->why, curl_easy_strerror(code)) == 0)
		return "";
	return c->why;
}

static int
call_error(struct http_call *c, CURLcode code, struct err *e)
{
	const char *more;

	if (code == CURLE_OUT_OF_MEMORY || code == CURLE_ABORTED_BY_CALLBACK)
		c->broke = BROKE_NOMEM;
	switch (c->broke) {
	case BROKE_HEAD:
		return err_set(e, ERR_LIMIT, 0,
		    "%s %s: reply headers of more than %zu bytes", c->method,
		    c->reply.url, HEAD_MAX);
	case BROKE_BODY:
		return err_set(e, ERR_LIMIT, 0,
		    "%s %s: reply body of more than %zu bytes", c->method,
		    c->reply.url, c->max_body);
	case BROKE_NOMEM:
		return err_set(e, ERR_NOMEM, 0, "%s %s: out of memory",
		    c->method, c->reply.url);
	case BROKE_NOTHING:
		break;
	}
	more = detail(c, code);
	return err_set(e, ERR_NET, (int)code, "%s %s: %s%s%s%s", c->method,
	    c->reply.url, curl_easy_strerror(code), *more == '\0' ? "" : " (",
	    more, *more == '\0' ? "" : ")");
}

/*
 * A server that answers before it has read the request, as proxies do when
 * they refuse one, then closes the stream: older curls call that an error even
 * when all of the reply is there.
 */
static bool
is_whole(struct http_call *c, CURLcode code)
{
	const char *v = http_header(&c->reply, "Content-Length", 0);
	uint64_t len;

	return code == CURLE_HTTP2_STREAM && c->broke == BROKE_NOTHING &&
	       !c->in_head && v != NULL &&
	       str_u64(v, 0, UINT64_MAX, &len) == 0 && len == c->body_got;
}

int
call_result(struct http_call *c, CURLcode code, struct err *e)
{
	char *url = NULL;
	int64_t ms;

	c->reply.url = c->url;
	if (info_long(c, CURLINFO_REDIRECT_COUNT) > 0 &&
	    curl_easy_getinfo(c->easy, CURLINFO_EFFECTIVE_URL, &url) ==
		CURLE_OK &&
	    url != NULL)
		c->reply.url = url;
	if (code != CURLE_OK && !is_whole(c, code))
		return call_error(c, code, e);
	c->reply.status = (int)info_long(c, CURLINFO_RESPONSE_CODE);
	/* curl's own clock stands still while the host sleeps */
	ms = clock_mono_ms() - c->began_ms;
	c->reply.ms = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
	return 0;
}

int
http_status(const struct http_reply *r)
{
	return r->status;
}

const char *
http_body(const struct http_reply *r, size_t *len)
{
	if (len != NULL)
		*len = r->body.len;
	return buf_str(&r->body);
}

const char *
http_header(const struct http_reply *r, const char *name, unsigned i)
{
	const char *p = buf_str(&r->head), *end = p + r->head.len, *v;

	while (p < end) {
		v = p + strlen(p) + 1;
		if (strcasecmp(p, name) == 0 && i-- == 0)
			return v;
		p = v + strlen(v) + 1;
	}
	return NULL;
}

uint32_t
http_ms(const struct http_reply *r)
{
	return r->ms;
}
