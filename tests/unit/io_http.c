/* SPDX-License-Identifier: ISC */
/*
 * The HTTP client against io_http.py, which misbehaves on request.  Numbers
 * like A16 are the protocol's requirements that a test is about.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/io/http.h"
#include "tests/unit/folder.h"

#define AGENT "acmed/0 test"

/* One server for all tests. */
static struct {
	pid_t pid;
	int in; /* closing it ends the server */
	char dir[32], ca[64], other[64], sock[64];
	int https, wrong, plain, hold, rst, goaway, early;
} srv;

struct fix {
	struct loop *loop;
	struct loop_timer *limit;
	struct http *http;
	unsigned open; /* asks that loop_run() waits for */
};

/* A request and what came of it. */
struct ask {
	struct fix *fix;
	struct http_call *call;
	unsigned times; /* that done ran */
	bool ok;
	int status;
	struct err err;
	char body[4096], conn[16], data[4096];
	struct ask *other; /* cancelled in a callback */
	void (*in_done)(struct ask *);
	void (*in_data)(struct ask *);
};

static void
read_ports(int fd)
{
	const struct {
		const char *name;
		int *port;
	} ports[] = {
		{ "https", &srv.https },
		{ "wrong", &srv.wrong },
		{ "plain", &srv.plain },
		{ "hold", &srv.hold },
		{ "rst", &srv.rst },
		{ "goaway", &srv.goaway },
		{ "early", &srv.early },
	};
	FILE *f = fdopen(fd, "r");
	char name[16];
	size_t i;
	int port;

	assert_non_null(f);
	for (;;) {
		assert_int_equal(fscanf(f, "%15s %d", name, &port), 2);
		if (strcmp(name, "ready") == 0)
			break;
		for (i = 0; i < NELEM(ports); i++)
			if (strcmp(name, ports[i].name) == 0)
				*ports[i].port = port;
	}
	(void)fclose(f);
}

static int
start_server(void **state)
{
	int in[2], out[2];

	(void)state;
	/* Nothing of the environment may come between. */
	(void)unsetenv("https_proxy");
	(void)unsetenv("HTTPS_PROXY");
	(void)unsetenv("all_proxy");
	(void)unsetenv("ALL_PROXY");
	(void)snprintf(srv.dir, sizeof(srv.dir), "/tmp/io_http.XXXXXX");
	assert_non_null(mkdtemp(srv.dir));
	(void)snprintf(srv.ca, sizeof(srv.ca), "%s/ca.pem", srv.dir);
	(void)snprintf(srv.other, sizeof(srv.other), "%s/other.pem", srv.dir);
	(void)snprintf(srv.sock, sizeof(srv.sock), "%s/sock", srv.dir);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	srv.pid = fork();
	if (srv.pid == 0) {
		(void)dup2(in[0], 0);
		(void)dup2(out[1], 1);
		(void)execlp("python3", "python3",
		    SOURCE_DIR "/tests/unit/io_http.py", srv.dir, NULL);
		_exit(127);
	}
	assert_true(srv.pid > 0);
	(void)close(in[0]);
	(void)close(out[1]);
	srv.in = in[1];
	read_ports(out[0]);
	return 0;
}

static int
stop_server(void **state)
{
	(void)state;
	(void)close(srv.in);
	(void)waitpid(srv.pid, NULL, 0);
	(void)folder_remove(srv.dir);
	return 0;
}

static void
too_late(void *arg)
{
	(void)arg;
	fail_msg("no answer came");
}

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->loop = loop_new(NULL);
	assert_non_null(f->loop);
	f->limit = loop_timer_new(f->loop, too_late, NULL, NULL);
	assert_non_null(f->limit);
	loop_timer_set(f->limit, 30000);
	f->http = http_new(f->loop, AGENT, NULL);
	assert_non_null(f->http);
	*state = f;
	return 0;
}

/* With no connection that is kept. */
static void
anew(struct fix *f)
{
	http_free(f->http);
	f->http = http_new(f->loop, AGENT, NULL);
	assert_non_null(f->http);
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	http_free(f->http);
	loop_timer_free(f->limit);
	loop_free(f->loop);
	free(f);
	return 0;
}

static void
copy(char *out, size_t size, const char *s)
{
	(void)snprintf(out, size, "%s", s != NULL ? s : "(none)");
}

static void
on_done(void *arg, const struct http_reply *r, const struct err *e)
{
	struct ask *a = arg;
	size_t len;

	a->times++;
	a->ok = e == NULL;
	if (e != NULL) {
		assert_null(r);
		a->err = *e;
	} else {
		a->status = http_status(r);
		copy(a->body, sizeof(a->body), http_body(r, &len));
		if (len < sizeof(a->body))
			assert_int_equal(strlen(a->body), len);
		copy(a->conn, sizeof(a->conn), http_header(r, "x-conn", 0));
	}
	if (a->in_done != NULL)
		a->in_done(a);
	if (--a->fix->open == 0)
		loop_stop(a->fix->loop);
}

static const char *
url(int port, const char *path)
{
	static char s[8][256]; /* a result lives for seven more calls */
	static size_t i;

	i = (i + 1) % NELEM(s);
	(void)snprintf(
	    s[i], sizeof(s[i]), "https://localhost:%d%s", port, path);
	return s[i];
}

static struct http_req
request(const char *method, const char *u)
{
	return (struct http_req){
		.method = method,
		.url = u,
		.ca_file = srv.ca,
	};
}

static void
start_as(
    struct fix *f, struct ask *a, const struct http_req *r, http_done *done)
{
	struct err e;

	a->fix = f;
	a->times = 0;
	a->call = http_start(f->http, r, done, a, &e);
	if (a->call == NULL)
		fail_msg("%s", e.what);
	assert_int_equal(a->times, 0);
	f->open++;
}

static void
start(struct fix *f, struct ask *a, const struct http_req *r)
{
	start_as(f, a, r, on_done);
}

static void
run(struct fix *f)
{
	assert_int_equal(loop_run(f->loop, NULL), 0);
}

static void
ask(struct fix *f, struct ask *a, const struct http_req *r)
{
	start(f, a, r);
	run(f);
	assert_int_equal(a->times, 1);
}

/* GET that must succeed. */
static void
get(struct fix *f, struct ask *a, const char *u)
{
	struct http_req r = request("GET", u);

	ask(f, a, &r);
	if (!a->ok)
		fail_msg("%s", a->err.what);
}

static long
stat_of(struct fix *f, const char *key)
{
	struct ask a = { 0 };
	const char *p;

	get(f, &a, url(srv.https, "/stats"));
	p = strstr(a.body, key);
	assert_non_null(p);
	return strtol(p + strlen(key) + 1, NULL, 10);
}

static void
assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static void
assert_has_not(const char *text, const char *part)
{
	if (strcasestr(text, part) != NULL)
		fail_msg("\"%s\" is in \"%s\"", part, text);
}

static void
check_headers(void *arg, const struct http_reply *r, const struct err *e)
{
	assert_null(e);
	assert_string_equal(
	    http_header(r, "content-type", 0), "text/plain; charset=utf-8");
	assert_string_equal(http_header(r, "X-TWICE", 0), "one");
	assert_string_equal(http_header(r, "X-Twice", 1), "two");
	assert_null(http_header(r, "X-Twice", 2));
	assert_string_equal(http_header(r, "X-Empty", 0), "");
	assert_null(http_header(r, "X-Empt", 0));
	assert_true(http_ms(r) < 30000);
	on_done(arg, r, e);
}

static void
test_reply(void **state)
{
	struct fix *f = *state;
	const char *u = url(srv.https, "/hello");
	struct http_req r = request("GET", u);
	struct ask a = { 0 };

	start_as(f, &a, &r, check_headers);
	run(f);
	assert_int_equal(a.times, 1);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, "hello");
}

/* A3, A4, A10, A16: what is on the wire, and no leftovers afterwards. */
static void
test_what_is_sent(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("POST", url(srv.https, "/a"));
	char body[] = "{\"payload\":\"\"}", type[] = "application/jose+json";
	char u[64];
	struct ask a = { 0 };

	(void)snprintf(u, sizeof(u), "%s", r.url);
	r.url = u;
	r.body = body;
	r.body_len = strlen(body);
	r.content_type = type;
	start(f, &a, &r);
	/* All of it was copied. */
	memset(body, '#', sizeof(body) - 1);
	memset(type, '#', sizeof(type) - 1);
	memset(u, '#', sizeof(u) - 1);
	run(f);
	assert_has(a.body, "POST /a HTTP/1.1\n");
	assert_has(a.body, "\nUser-Agent: " AGENT "\n");
	assert_has(a.body, "\nAccept: application/json\n");
	assert_has(a.body, "\nAccept-Language: en\n");
	assert_has(a.body, "\nContent-Type: application/jose+json\n");
	assert_has(a.body, "\nContent-Length: 14\n");
	assert_has(a.body, "\n\n{\"payload\":\"\"}");
	assert_has_not(a.body, "Expect");

	r = request("GET", url(srv.https, "/b"));
	r.accept = "application/pem-certificate-chain";
	r.language = "de, en;q=0.5";
	ask(f, &a, &r);
	assert_has(a.body, "GET /b HTTP/1.1\n");
	assert_has(a.body, "\nUser-Agent: " AGENT "\n");
	assert_has(a.body, "\nAccept: application/pem-certificate-chain\n");
	assert_has(a.body, "\nAccept-Language: de, en;q=0.5\n");
	assert_has_not(a.body, "Content-");
	assert_has_not(a.body, "Cookie");
	assert_has_not(a.body, "Authorization");
	assert_has_not(a.body, "payload");

	/* A POST with nothing in it is still a POST, of no type. */
	r = request("POST", url(srv.https, "/c"));
	ask(f, &a, &r);
	assert_has(a.body, "POST /c HTTP/1.1\n");
	assert_has(a.body, "\nContent-Length: 0\n");
	assert_has_not(a.body, "Content-Type");

	r = request("HEAD", url(srv.https, "/d"));
	ask(f, &a, &r);
	assert_true(a.ok);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, "");
	get(f, &a, url(srv.https, "/e"));
	assert_has(a.body, "GET /e HTTP/1.1\n");
}

/* A9: the URL is asked for as the server wrote it. */
static void
test_url_is_not_normalized(void **state)
{
	struct fix *f = *state;
	struct ask a = { 0 };

	get(f, &a, url(srv.https, "/a%2Fb/./c/../d/?x=%2F&y"));
	assert_has(a.body, "GET /a%2Fb/./c/../d/?x=%2F&y HTTP/1.1\n");
}

static void
test_header_injection(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("GET", url(srv.https, "/"));
	struct err e;

	r.language = "en\r\nX-Evil: 1";
	assert_null(http_start(f->http, &r, on_done, NULL, &e));
	assert_int_equal(e.kind, ERR_PROTO);
	assert_has(e.what, "line break in header Accept-Language");
}

static void
expect_failure(
    struct fix *f, const struct http_req *r, int code, const char *what)
{
	struct ask a = { 0 };

	ask(f, &a, r);
	assert_false(a.ok);
	if (a.err.kind != ERR_NET || a.err.num != code)
		fail_msg("kind %d, num %d: %s", (int)a.err.kind, a.err.num,
		    a.err.what);
	assert_has(a.err.what, r->url);
	assert_has(a.err.what, what);
}

/* A2 */
static void
test_certificates(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("GET", url(srv.https, "/hello"));

	r.ca_file = srv.other;
	expect_failure(f, &r, CURLE_PEER_FAILED_VERIFICATION, "certificate");
	r.ca_file = NULL; /* the system's */
	expect_failure(f, &r, CURLE_PEER_FAILED_VERIFICATION, "certificate");
	r.ca_file = "/nonexistent.pem";
	expect_failure(f, &r, CURLE_SSL_CACERT_BADFILE, "/nonexistent.pem");
	r = request("GET", url(srv.wrong, "/hello"));
	expect_failure(f, &r, CURLE_PEER_FAILED_VERIFICATION, "localhost");
}

/* A connection that one ca_file vouched for is not used for another. */
static void
test_connections_are_not_shared_between_roots(void **state)
{
	struct fix *f = *state;
	struct ask a = { 0 };
	struct http_req r;

	get(f, &a, url(srv.https, "/hello"));
	r = request("GET", url(srv.https, "/hello"));
	r.ca_file = srv.other;
	expect_failure(f, &r, CURLE_PEER_FAILED_VERIFICATION, "certificate");
}

/* A1 */
static void
test_only_https(void **state)
{
	static const char *const urls[] = {
		"http://localhost:1/x",
		"file:///etc/passwd",
		"localhost/x",
		"",
	};
	struct fix *f = *state;
	struct http_req r;
	struct err e;
	size_t i;

	for (i = 0; i < NELEM(urls); i++) {
		r = request("GET", urls[i]);
		assert_null(http_start(f->http, &r, on_done, NULL, &e));
		assert_int_equal(e.kind, ERR_PROTO);
		assert_has(e.what, "not an https URL");
	}
	r = request("GET", "HTTPS://user:secret@localhost/");
	expect_failure(f, &r, CURLE_LOGIN_DENIED, "");
	r = request("GET", "https://bad host/");
	expect_failure(f, &r, CURLE_URL_MALFORMAT, "");
}

/* A26, A1 */
static void
test_redirects(void **state)
{
	struct fix *f = *state;
	char path[128];
	struct http_req r =
	    request("GET", url(srv.https, "/redirect?/redirect?/hello"));
	struct ask a = { 0 };
	long plain = stat_of(f, "plain");

	ask(f, &a, &r);
	assert_int_equal(a.status, 307);
	assert_string_equal(a.body, "elsewhere");

	r.url = url(srv.https, "/redirect?/redirect?/hello");
	r.redirects = 5;
	start_as(f, &a, &r, check_headers); /* of the last reply */
	run(f);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, "hello");

	r.url = url(srv.https, "/redirect?/redirect?/hello");
	r.redirects = 1;
	ask(f, &a, &r);
	assert_false(a.ok);
	assert_int_equal(a.err.num, CURLE_TOO_MANY_REDIRECTS);

	(void)snprintf(path, sizeof(path),
	    "/redirect?http://localhost:%d/hello", srv.plain);
	r.url = url(srv.https, path);
	r.redirects = 5;
	ask(f, &a, &r);
	assert_false(a.ok);
	assert_int_equal(a.err.kind, ERR_NET);
	assert_int_equal(a.err.num, CURLE_UNSUPPORTED_PROTOCOL);

	r = request("POST", url(srv.https, "/redirect?/hello"));
	r.redirects = 5;
	ask(f, &a, &r);
	assert_int_equal(a.status, 307);
	assert_int_equal(stat_of(f, "plain"), plain);
}

static void
expect_limit(struct fix *f, const struct http_req *r, const char *what)
{
	struct ask a = { 0 };

	ask(f, &a, r);
	assert_false(a.ok);
	assert_int_equal(a.err.kind, ERR_LIMIT);
	assert_has(a.err.what, what);
	assert_has(a.err.what, r->url);
}

/* A17 */
static void
test_body_limit(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("GET", url(srv.https, "/big?1000"));
	struct ask a = { 0 };

	r.max_body = 1000;
	ask(f, &a, &r);
	assert_true(a.ok);
	assert_int_equal(strlen(a.body), 1000);
	r.max_body = 999;
	expect_limit(f, &r, "reply body of more than 999 bytes");
	r = request("GET", url(srv.https, "/endless"));
	expect_limit(f, &r, "reply body of more than 1048576 bytes");
	r.stream = true; /* nobody takes the data: limited as ever */
	expect_limit(f, &r, "reply body of more than 1048576 bytes");
	/* What was kept for a large reply does not spoil a small one. */
	get(f, &a, url(srv.https, "/big?1048576"));
	r = request("GET", url(srv.https, "/big?11"));
	r.max_body = 10;
	expect_limit(f, &r, "reply body of more than 10 bytes");
}

/* A17 */
static void
test_header_limit(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("GET", url(srv.https, "/endless-head"));

	expect_limit(f, &r, "reply headers of more than 65536 bytes");
	r.url = url(srv.https, "/many-interim");
	expect_limit(f, &r, "reply headers of more than 65536 bytes");
}

static void
check_interim(void *arg, const struct http_reply *r, const struct err *e)
{
	assert_null(e);
	assert_null(http_header(r, "X-Old", 0));
	assert_string_equal(http_header(r, "X-New", 0), "yes");
	on_done(arg, r, e);
}

static void
check_trailer(void *arg, const struct http_reply *r, const struct err *e)
{
	assert_null(e);
	assert_null(http_header(r, "X-Trailer", 0));
	on_done(arg, r, e);
}

static void
test_only_the_last_head_counts(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("GET", url(srv.https, "/interim"));
	struct ask a = { 0 };

	start_as(f, &a, &r, check_interim);
	run(f);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, "late");
	r = request("GET", url(srv.https, "/trailer"));
	start_as(f, &a, &r, check_trailer);
	run(f);
	assert_string_equal(a.body, "x");
}

/* A18 */
static void
test_timeout(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("GET", url(srv.https, "/never"));

	r.timeout_ms = 200;
	expect_failure(f, &r, CURLE_OPERATION_TIMEDOUT, "GET https://");
}

static void
test_refused_connection(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("POST", "https://127.0.0.1:1/x");

	expect_failure(
	    f, &r, CURLE_COULDNT_CONNECT, "POST https://127.0.0.1:1/x: ");
	expect_failure(f, &r, CURLE_COULDNT_CONNECT, " (Connection refused)");
}

/* A25 */
static void
test_proxy(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("GET", url(srv.https, "/hello"));
	struct ask a = { 0 };

	assert_int_equal(setenv("https_proxy", "http://127.0.0.1:1", 1), 0);
	expect_failure(f, &r, CURLE_COULDNT_CONNECT, "");
	r.proxy = "";
	ask(f, &a, &r);
	assert_string_equal(a.body, "hello");
	assert_int_equal(unsetenv("https_proxy"), 0);
	r.proxy = "http://127.0.0.1:1";
	expect_failure(f, &r, CURLE_COULDNT_CONNECT, "");
}

/* A23: the server closes a kept connection as the next request comes. */
static void
test_idle_connection_dies(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("POST", url(srv.https, "/die-second"));
	struct ask a = { 0 };
	long hits = stat_of(f, "die");

	anew(f);
	get(f, &a, url(srv.https, "/die-second"));
	get(f, &a, url(srv.https, "/die-second"));
	assert_string_equal(a.body, "alive");
	ask(f, &a, &r);
	assert_true(a.ok);
	assert_string_equal(a.body, "alive");
	/* Each of the later two was asked twice, and not more. */
	anew(f);
	assert_int_equal(stat_of(f, "die"), hits + 5);
}

/* The body ends early; torn: TLS was not told, which some curls see. */
static void
expect_cut(struct fix *f, const struct http_req *r, bool torn)
{
	struct ask a = { 0 };

	ask(f, &a, r);
	assert_false(a.ok);
	assert_int_equal(a.err.kind, ERR_NET);
	if (!torn || a.err.num != CURLE_RECV_ERROR)
		assert_int_equal(a.err.num, CURLE_PARTIAL_FILE);
	assert_has(a.err.what, r->url);
}

static void
cut_short(struct fix *f, bool torn)
{
	const char *path = torn ? "/partial?torn" : "/partial";
	const char *once = torn ? "/partial-once?torn" : "/partial-once";
	struct http_req r = request("GET", url(srv.https, path));
	struct ask a = { 0 };
	long hits;

	/* On a new connection there is nothing to blame: no second try. */
	anew(f);
	expect_cut(f, &r, torn);
	hits = stat_of(f, "partial");
	get(f, &a, url(srv.https, once));
	assert_string_equal(a.body, "whole body");
	assert_int_equal(stat_of(f, "partial"), hits + 1);
	/* A24: nobody knows what became of a POST. */
	r = request("POST", url(srv.https, path));
	expect_cut(f, &r, torn);
}

static void
test_reply_cut_short(void **state)
{
	cut_short(*state, false);
	cut_short(*state, true);
}

static void
test_connection_is_kept(void **state)
{
	struct fix *f = *state;
	struct ask a = { 0 }, b = { 0 };

	get(f, &a, url(srv.https, "/hello"));
	get(f, &b, url(srv.https, "/hello"));
	assert_string_equal(a.conn, b.conn);
	anew(f);
	get(f, &b, url(srv.https, "/hello"));
	assert_string_not_equal(a.conn, b.conn);
}

/* The server answers none before it has all twenty, on one connection. */
static void
test_http2_shares_one_connection(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("POST", url(srv.hold, "/"));
	struct ask a[20] = { { 0 } };
	size_t i;

	r.body = "{}";
	r.body_len = 2;
	for (i = 0; i < NELEM(a); i++)
		start(f, &a[i], &r);
	run(f);
	for (i = 0; i < NELEM(a); i++) {
		assert_true(a[i].ok);
		assert_int_equal(a[i].status, 200);
		assert_string_equal(a[i].body, a[0].body);
	}
}

/* Twenty at once to a server without HTTP/2: few connections, all served. */
static void
test_http1_connections_are_few(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("GET", url(srv.https, "/hello"));
	struct ask a[20] = { { 0 } };
	long before = stat_of(f, "conns");
	size_t i;

	for (i = 0; i < NELEM(a); i++)
		start(f, &a[i], &r);
	run(f);
	for (i = 0; i < NELEM(a); i++)
		assert_string_equal(a[i].body, "hello");
	assert_in_range(stat_of(f, "conns"), before, before + 4);
}

/* Which nobody answers: others do not wait for that. */
static void
test_http1_beside_a_slow_call(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("GET", url(srv.https, "/never"));
	struct ask slow = { 0 }, a[8] = { { 0 } };
	size_t i;

	start(f, &slow, &r);
	r = request("GET", url(srv.https, "/hello"));
	for (i = 0; i < NELEM(a); i++)
		start(f, &a[i], &r);
	f->open--; /* slow */
	run(f);
	for (i = 0; i < NELEM(a); i++)
		assert_string_equal(a[i].body, "hello");
	assert_int_equal(slow.times, 0);
	http_cancel(slow.call);
}

/* Until the server has seen all that it can; then cancel one of them. */
static void
cancel_when_full(struct ask *a)
{
	struct http_req r = request("GET", "http://acmed/stats");

	if (strstr(a->body, "never=4") != NULL) {
		http_cancel(a->other->call);
		return;
	}
	r.unix_socket = srv.sock;
	start(a->fix, a, &r);
}

/* Calls wait for a connection: one that is cancelled makes room. */
static void
test_cancel_makes_room(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("GET", url(srv.https, "/never"));
	struct ask slow[4] = { { 0 } }, a = { 0 };
	struct ask full = { .in_done = cancel_when_full, .other = &slow[0] };
	size_t i;

	r.stream = true; /* curl has no timer for it */
	for (i = 0; i < NELEM(slow); i++)
		start(f, &slow[i], &r);
	r = request("GET", url(srv.https, "/hello"));
	start(f, &a, &r);
	full.fix = f;
	cancel_when_full(&full);
	f->open -= 4; /* the slow ones */
	run(f);
	assert_string_equal(a.body, "hello");
	for (i = 0; i < NELEM(slow); i++) {
		assert_int_equal(slow[i].times, 0);
		if (i > 0)
			http_cancel(slow[i].call);
	}
}

static void
test_http1_on_request(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("GET", url(srv.hold, "/"));
	struct ask a = { 0 };

	/* That server only speaks HTTP/2 then, so it hangs up. */
	r.http1 = true;
	ask(f, &a, &r);
	assert_false(a.ok);
	assert_int_equal(a.err.kind, ERR_NET);
}

/* A23, A24 */
static void
test_http2_stream_breaks(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("GET", url(srv.rst, "/"));
	struct ask a = { 0 };

	ask(f, &a, &r);
	assert_true(a.ok);
	assert_int_equal(a.status, 200);
	assert_int_equal(stat_of(f, "rst"), 2);

	anew(f);
	r = request("POST", url(srv.rst, "/"));
	expect_failure(f, &r, CURLE_HTTP2_STREAM, "POST https://");
	assert_int_equal(stat_of(f, "rst"), 3);
}

/*
 * A23, A24: the server says that it has not processed the second request.
 * Not every curl can tell: then a GET is safe to repeat, and a POST fails.
 */
static void
test_http2_goaway(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("GET", url(srv.goaway, "/"));
	struct ask a = { 0 }, b = { 0 };

	get(f, &a, r.url);
	get(f, &b, r.url);
	assert_string_not_equal(a.body, b.body);
	r.method = "POST";
	ask(f, &a, &r);
	if (!a.ok) {
		assert_int_equal(a.err.kind, ERR_NET);
		assert_int_equal(a.err.num, CURLE_HTTP2);
	}
}

static void
test_unix_socket(void **state)
{
	struct fix *f = *state;
	struct http_req r = request("GET", "http://acmed/v1/status");
	struct ask a = { 0 };

	r.unix_socket = srv.sock;
	assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
	ask(f, &a, &r);
	assert_int_equal(unsetenv("http_proxy"), 0);
	assert_true(a.ok);
	assert_has(a.body, "GET /v1/status HTTP/1.1\nHost: acmed\n");
	r.unix_socket = "/nonexistent/sock";
	expect_failure(f, &r, CURLE_COULDNT_CONNECT, "");
}

static void
on_data(void *arg, const char *p, size_t n)
{
	struct ask *a = arg;
	size_t len = strlen(a->data);

	assert_int_equal(a->times, 0);
	assert_true(len + n < sizeof(a->data));
	memcpy(a->data + len, p, n);
	if (a->in_data != NULL)
		a->in_data(a);
}

/* Each word comes only after the one before has been seen. */
static void
go_on(struct ask *a)
{
	struct http_req r = request("POST", "http://acmed/go");

	r.unix_socket = srv.sock;
	if (strcmp(a->data, "one ") == 0 || strcmp(a->data, "one two ") == 0)
		start(a->fix, a->other, &r);
}

static struct http_req
stream_request(void)
{
	struct http_req r = request("GET", "http://acmed/stream");

	r.unix_socket = srv.sock;
	r.stream = true;
	r.timeout_ms = 1; /* means nothing to a stream */
	r.on_data = on_data;
	return r;
}

static void
start_other(struct ask *a)
{
	struct http_req r = request("GET", url(srv.early, "/"));

	start(a->fix, a->other, &r);
}

/* What proxies do that refuse a request: the reply counts. */
static void
test_http2_answer_before_the_body(void **state)
{
	struct fix *f = *state;
	struct ask b = { 0 }, a = { .in_data = start_other, .other = &b };
	struct http_req r = request("POST", url(srv.early, "/"));
	AUTO(free) char *body = calloc(1, 200000);

	assert_non_null(body);
	r.body = body;
	r.body_len = 200000; /* more than a stream's first window */
	r.on_data = on_data;
	start(f, &a, &r);
	run(f);
	if (!a.ok)
		fail_msg("%s", a.err.what);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.data, "no");
	assert_true(b.ok);
}

static void
test_stream(void **state)
{
	struct fix *f = *state;
	struct ask go = { 0 }, a = { .in_data = go_on, .other = &go };
	struct http_req r = stream_request();

	start(f, &a, &r);
	run(f);
	assert_true(a.ok);
	assert_string_equal(a.data, "one two three");
	assert_string_equal(a.body, "");
}

static void
cancel_self(struct ask *a)
{
	http_cancel(a->call);
	http_cancel(a->call);
	a->call = NULL;
	if (--a->fix->open == 0)
		loop_stop(a->fix->loop);
}

static void
test_cancel_in_data(void **state)
{
	struct fix *f = *state;
	struct ask a = { .in_data = cancel_self }, b = { 0 };
	struct http_req r = stream_request();

	start(f, &a, &r);
	run(f);
	assert_string_equal(a.data, "one ");
	get(f, &b, url(srv.https, "/hello"));
	assert_int_equal(a.times, 0);
}

static void
cancel_other(struct ask *a)
{
	http_cancel(a->other->call);
	http_cancel(a->call); /* its own end: means nothing any more */
	a->fix->open--;
}

static void
test_cancel_in_done(void **state)
{
	struct fix *f = *state;
	struct ask b = { 0 }, a = { .in_done = cancel_other, .other = &b };
	struct ask c = { 0 };
	struct http_req never = request("GET", url(srv.https, "/never"));
	struct http_req r;

	start(f, &b, &never);
	r = request("GET", url(srv.https, "/hello"));
	start(f, &a, &r);
	run(f);
	assert_int_equal(a.times, 1);
	get(f, &c, url(srv.https, "/hello"));
	assert_int_equal(b.times, 0);
}

static void
test_cancel_at_once(void **state)
{
	struct fix *f = *state;
	struct ask a = { 0 }, b = { 0 };
	struct http_req r = request("GET", url(srv.https, "/hello"));

	start(f, &a, &r);
	http_cancel(a.call);
	http_cancel(NULL);
	f->open--;
	get(f, &b, url(srv.https, "/hello"));
	assert_int_equal(a.times, 0);
}

static void
free_all(struct ask *a)
{
	http_free(a->fix->http);
	a->fix->http = NULL;
	a->fix->open = 0;
	loop_stop(a->fix->loop);
}

static void
free_in_done(struct ask *a)
{
	free_all(a);
	a->fix->open = 1; /* on_done() takes it */
}

static void
test_free_in_done(void **state)
{
	struct fix *f = *state;
	struct ask a = { .in_done = free_in_done }, b = { 0 };
	struct http_req r = request("GET", url(srv.https, "/never"));

	start(f, &b, &r);
	r = request("GET", url(srv.https, "/hello"));
	start(f, &a, &r);
	run(f);
	assert_int_equal(a.times, 1);
	assert_string_equal(a.body, "hello");
	assert_int_equal(b.times, 0);
}

static void
test_free_in_data(void **state)
{
	struct fix *f = *state;
	struct ask a = { .in_data = free_all };
	struct http_req r = stream_request();

	start(f, &a, &r);
	run(f);
	assert_string_equal(a.data, "one ");
	assert_int_equal(a.times, 0);
}

static void
test_free_under_way(void **state)
{
	struct fix *f = *state;
	struct ask a = { 0 };
	struct http_req r = request("GET", url(srv.https, "/never"));

	start(f, &a, &r);
	http_free(f->http);
	http_free(NULL);
	f->http = NULL;
	assert_int_equal(a.times, 0);
}

static void
once_more(struct ask *a)
{
	struct http_req r = request("GET", url(srv.https, "/hello"));
	unsigned times = a->times;

	if (times == 100)
		return;
	start(a->fix, a, &r);
	a->times = times;
}

/* done starts the next one, which reuses what this one leaves. */
static void
test_start_in_done(void **state)
{
	struct fix *f = *state;
	struct ask a = { .in_done = once_more };
	struct http_req r = request("GET", url(srv.https, "/hello"));

	start(f, &a, &r);
	run(f);
	assert_int_equal(a.times, 100);
	assert_true(a.ok);
}

static void
test_agent(void **state)
{
	char s[128], want[128];
	const char *curl = curl_version_info(CURLVERSION_NOW)->version;

	(void)state;
	(void)snprintf(want, sizeof(want), "acmed/1.2.3 libcurl/%s", curl);
	assert_string_equal(http_agent("1.2.3", s, sizeof(s)), want);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_reply),
		T(test_what_is_sent),
		T(test_url_is_not_normalized),
		T(test_header_injection),
		T(test_certificates),
		T(test_connections_are_not_shared_between_roots),
		T(test_only_https),
		T(test_redirects),
		T(test_body_limit),
		T(test_header_limit),
		T(test_only_the_last_head_counts),
		T(test_timeout),
		T(test_refused_connection),
		T(test_proxy),
		T(test_idle_connection_dies),
		T(test_reply_cut_short),
		T(test_connection_is_kept),
		T(test_http2_shares_one_connection),
		T(test_http1_connections_are_few),
		T(test_http1_beside_a_slow_call),
		T(test_cancel_makes_room),
		T(test_http1_on_request),
		T(test_http2_stream_breaks),
		T(test_http2_goaway),
		T(test_http2_answer_before_the_body),
		T(test_unix_socket),
		T(test_stream),
		T(test_cancel_in_data),
		T(test_cancel_in_done),
		T(test_cancel_at_once),
		T(test_free_in_done),
		T(test_free_in_data),
		T(test_free_under_way),
		T(test_start_in_done),
		cmocka_unit_test(test_agent),
	};

	return cmocka_run_group_tests_name(
	    "io/http", tests, start_server, stop_server);
}
