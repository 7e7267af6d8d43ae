/* SPDX-License-Identifier: ISC */
/* What the port-80 listener answers (protocol rules F1-F4, F8). */
#include "tests/unit/port80.h"

/* F1: the bytes, and no more. */
static void
token_is_answered(void **state)
{
	(void)state;
	start();
	ask(GET(PATH TOKEN), OK KEEP AUTHZ);
	assert_int_equal(t.fetched, 1);
	assert_string_equal(t.fetched_token, TOKEN);
	ask(GET(PATH TOKEN "?x=1"), OK KEEP AUTHZ);
	ask("GET " PATH TOKEN " HTTP/1.0\r\n\r\n", OK CLOSE AUTHZ);
	assert_int_equal(t.fetched, 3);
	assert_int_equal(stats().answered, 3);
	assert_int_equal(stats().requests, 3);
	assert_int_equal(stats().accepted, 3);
}

static void
head_shows_no_body(void **state)
{
	struct peer p;

	(void)state;
	start();
	peer_open(&p, 0);
	say(&p, "HEAD " PATH TOKEN " HTTP/1.1\r\nHost: h\r\n\r\n");
	expect(&p, OK KEEP);
	assert_int_equal(t.fetched, 0);
	say(&p, "HEAD " PATH "x HTTP/1.1\r\nHost: h\r\n\r\n");
	expect(&p, NOT_FOUND KEEP);
	peer_close(&p);
}

/* F2: a constant, whatever is asked for. */
static void
unknown_token(void **state)
{
	(void)state;
	start();
	ask(GET(PATH), NOT_FOUND KEEP "not found\n");
	ask(GET(PATH "x"), NOT_FOUND KEEP "not found\n");
	ask(GET(PATH TOKEN "A"), NOT_FOUND KEEP "not found\n");
	ask(GET(PATH TOKEN "/"), NOT_FOUND KEEP "not found\n");
	ask(GET(PATH "%65"
		     "vaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA"),
	    NOT_FOUND KEEP "not found\n");
	ask(GET(PATH "../../../etc/passwd"), NOT_FOUND KEEP "not found\n");
	ask(GET(PATH "<script>alert(1)</script>"),
	    NOT_FOUND KEEP "not found\n");
	tokens_withdraw(t.tokens, TOKEN);
	ask(GET(PATH TOKEN), NOT_FOUND KEEP "not found\n");
	assert_int_equal(stats().answered, 0);
	assert_int_equal(t.fetched, 0);
}

/* F8: no name-based virtual host is asked for. */
static void
token_for_any_host(void **state)
{
	(void)state;
	start();
#define HOST(h) "GET " PATH TOKEN " HTTP/1.1\r\nHost: " h "\r\n\r\n"
	ask(HOST("192.0.2.1"), OK KEEP AUTHZ);
	ask(HOST("[2001:db8::1]"), OK KEEP AUTHZ);
	ask(HOST("example.org:80"), OK KEEP AUTHZ);
	ask(HOST(""), OK KEEP AUTHZ);
	ask(HOST("not/a host"), OK KEEP AUTHZ);
	ask("GET http://example.org" PATH TOKEN " HTTP/1.1\r\nHost: x\r\n\r\n",
	    OK KEEP AUTHZ);
}

static void
all_else_is_redirected(void **state)
{
	/* clang-format off */
	static const struct {
		const char *request, *reply;
	} known[] = {
		{ GET("/"), MOVED("https://example.org/") KEEP },
		{ GET("/a/b?c=d&e"), MOVED("https://example.org/a/b?c=d&e") KEEP },
		{ GET("//evil.example/x"),
		  MOVED("https://example.org//evil.example/x") KEEP },
		{ GET("/\\evil.example"),
		  MOVED("https://example.org/\\evil.example") KEEP },
		{ GET("/%0d%0aSet-Cookie:x"),
		  MOVED("https://example.org/%0d%0aSet-Cookie:x") KEEP },
		{ "GET / HTTP/1.1\r\nHost: Example.ORG:8080\r\n\r\n",
		  MOVED("https://Example.ORG/") KEEP },
		{ "GET / HTTP/1.1\r\nHost: example.org:\r\n\r\n",
		  MOVED("https://example.org/") KEEP },
		{ "GET / HTTP/1.1\r\nhOST:\t a_b.example.\t \r\n\r\n",
		  MOVED("https://a_b.example./") KEEP },
		{ "GET /x HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n",
		  MOVED("https://[2001:db8::1]/x") KEEP },
		{ "GET /x HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n",
		  MOVED("https://192.0.2.1/x") KEEP },
		{ "GET http://abs.example:81/p?q HTTP/1.1\r\nHost: h\r\n\r\n",
		  MOVED("https://abs.example/p?q") KEEP },
		{ "GET HTTP://abs.example HTTP/1.1\r\nHost: h\r\n\r\n",
		  MOVED("https://abs.example/") KEEP },
		{ "GET https://abs.example?q HTTP/1.1\r\nHost: h\r\n\r\n",
		  MOVED("https://abs.example/?q") KEEP },
		{ "GET http://abs.example/ HTTP/1.1\r\nHost: a b\r\n\r\n",
		  MOVED("https://abs.example/") KEEP },
		{ "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
		  MOVED("https://h/") KEEP },
		{ "GET / HTTP/1.0\r\nHost: h\r\n\r\n",
		  MOVED("https://h/") CLOSE },
		{ GET("/.well-known/acme-challengeX"),
		  MOVED("https://example.org/.well-known/acme-challengeX") KEEP },
	};
	/* clang-format on */
	size_t i;

	(void)state;
	start();
	for (i = 0; i < NELEM(known); i++)
		ask(known[i].request, known[i].reply);
	assert_int_equal(stats().bad, 0);
}

static void
redirect_status_is_configured(void **state)
{
	static const char *const line[] = { "301 Moved Permanently",
		"302 Found", "307 Temporary Redirect",
		"308 Permanent Redirect" };
	static const uint32_t status[] = { 301, 302, 307, 308 };
	struct peer p;
	char want[64];
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(status); i++) {
		t.conf.redirect = status[i];
		start();
		peer_open(&p, 0);
		say(&p, GET("/"));
		(void)snprintf(
		    want, sizeof(want), "HTTP/1.1 %s\r\nLocation: ", line[i]);
		hear(&p, strlen(want));
		assert_memory_equal(p.got, want, strlen(want));
		peer_close(&p);
		responder_free(t.r);
	}
	t.conf.redirect = 0;
	start();
	ask(GET("/"), NOT_FOUND KEEP "not found\n");
	ask("GET / HTTP/1.0\r\n\r\n", NOT_FOUND CLOSE "not found\n");
}

/* What cannot be a host never comes back in a Location. */
static void
redirect_needs_a_host(void **state)
{
	static const char *const bad[] = { "", ":80", "a b", "a/b", "a@b",
		"a\"b", "<x>", "a:b", "a:123456", "a:80:80", "[::1", "::1",
		"[::1]x", "[::1]:x", "[]", "[1.2.3.4]", "[::g]", "a\\b", "a?b",
		"a#b", "caf\xc3\xa9", "a,b" };
	struct peer p;
	char request[128];
	size_t i;

	(void)state;
	start();
	for (i = 0; i < NELEM(bad); i++) {
		(void)snprintf(request, sizeof(request),
		    "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
		ask(request, BAD);
	}
	ask("GET / HTTP/1.0\r\n\r\n", BAD);
	peer_open(&p, 0);
	say(&p, "GET / HTTP/1.1\r\nHost: ");
	for (i = 0; i < 16; i++)
		say(&p, "aaaaaaaaaaaaaaaa"); /* 256 in all */
	say(&p, "\r\n\r\n");
	expect_end(&p, BAD);
	peer_close(&p);
}

static void
other_methods(void **state)
{
	struct peer p;

	(void)state;
	start();
	peer_open(&p, 0);
	say(&p, "DELETE " PATH TOKEN " HTTP/1.1\r\nHost: h\r\n\r\n");
	expect(&p, NOT_ALLOWED KEEP);
	say(&p, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
	expect(&p, NOT_ALLOWED KEEP);
	say(&p, "get / HTTP/1.1\r\nHost: h\r\n\r\n");
	expect(&p, NOT_ALLOWED KEEP);
	say(&p, "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n");
	expect(&p, NOT_ALLOWED KEEP);
	peer_close(&p);
	assert_int_equal(t.fetched, 0);
}

/* A body is not read as the next request, nor does it cost the answer. */
static void
bodies_end_the_connection(void **state)
{
	struct peer p;

	(void)state;
	start();
	ask("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\n" GET(
		PATH TOKEN),
	    NOT_ALLOWED CLOSE);
	ask("GET " PATH TOKEN " HTTP/1.1\r\nHost: h\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	    OK CLOSE AUTHZ);
	ask("GET " PATH TOKEN
	    " HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
	    OK KEEP AUTHZ);
	assert_int_equal(t.fetched, 2);

	/* what comes after the answer is dropped, not reset */
	peer_open(&p, 0);
	say(&p, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n");
	expect_end(&p, NOT_ALLOWED CLOSE);
	say(&p, "some more");
	settle();
	say(&p, "and more");
	peer_close(&p);
	settle();
	assert_int_equal(stats().requests, 4 + 2);
}

static void
malformed_is_refused(void **state)
{
	/* clang-format off */
	static const char *const bad[] = {
		"\x16\x03\x01\x02\x01\x01\xfc", /* TLS on the wrong port */
		"GET /\r\n\r\n",
		"GET / HTTP/2.0\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\n",
		"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
		" GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET / x HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET x HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET * HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET http:/// HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
		"G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /\t HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",               /* no Host */
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nnocolon\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\rSet-Cookie: x\r\n\r\n",
		"GET /a\rb HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nX: \x1b[2J\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n",
	};
	/* clang-format on */
	size_t i;

	(void)state;
	start();
	for (i = 0; i < NELEM(bad); i++) {
		ask(bad[i], BAD);
		assert_int_equal(stats().bad, i + 1);
	}
	assert_int_equal(stats().requests, 0);
}

static void
keep_alive_and_close(void **state)
{
	struct peer p;
	int i;

	(void)state;
	start();
	peer_open(&p, 0);
	for (i = 0; i < 5; i++) {
		say(&p, GET(PATH TOKEN));
		expect(&p, OK KEEP AUTHZ);
	}
	say(&p, "\r\n\nGET / HTTP/1.1\nHost: h\nConnection: x, Close\n\n");
	expect_end(&p, MOVED("https://h/") CLOSE);
	peer_close(&p);

	peer_open(&p, 0);
	say(&p, "GET " PATH "x HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
	expect(&p, NOT_FOUND KEEP "not found\n");
	say(&p, "GET " PATH "x HTTP/1.0\r\n\r\n");
	expect_end(&p, NOT_FOUND CLOSE "not found\n");
	peer_close(&p);
	assert_int_equal(stats().accepted, 2);
}

static void
pipelined(void **state)
{
	struct peer p;

	(void)state;
	start();
	peer_open(&p, 0);
	say(&p, GET(PATH TOKEN) GET("/1") GET(PATH "x")
		    GET(PATH TOKEN) "GET /4 HTTP/1.1\r\nHos");
	expect(&p, OK KEEP AUTHZ MOVED("https://example.org/1")
		       KEEP NOT_FOUND KEEP "not found\n" OK KEEP AUTHZ);
	assert_int_equal(t.fetched, 2);
	say(&p, "t: h\r\n\r\nGET /5 HTTP/1.0\r\nHost: h\r\n\r\n" GET("/6"));
	expect_end(&p, MOVED("https://h/4") KEEP MOVED("https://h/5") CLOSE);
	peer_close(&p);
}

static void
byte_by_byte(void **state)
{
	static const char request[] = GET(PATH TOKEN);
	struct peer p;
	size_t i;

	(void)state;
	start();
	peer_open(&p, 0);
	for (i = 0; i < sizeof(request) - 1; i++) {
		peer_say(&p, request + i, 1);
		if (i % 8 == 0)
			settle();
	}
	expect(&p, OK KEEP AUTHZ);
	peer_close(&p);
}

static void
large_heads(void **state)
{
	static char head[HTTP01_HEAD_MAX + 1];
	static const char start_of[] = "GET /x HTTP/1.1\r\nHost: h\r\nX: ";
	struct peer p;

	(void)state;
	start();
	memset(head, 'x', sizeof(head));
	memcpy(head, start_of, sizeof(start_of) - 1);
	memcpy(head + HTTP01_HEAD_MAX - 4, "\r\n\r\n", 4);
	peer_open(&p, 0);
	peer_say(&p, head, HTTP01_HEAD_MAX); /* exactly fits */
	expect(&p, MOVED("https://h/x") KEEP);
	peer_close(&p);

	memset(head + HTTP01_HEAD_MAX - 4, 'x', 4);
	peer_open(&p, 0);
	peer_say(&p, head, HTTP01_HEAD_MAX);
	expect_end(&p, TOO_LARGE);
	peer_close(&p);

	memcpy(head + HTTP01_HEAD_MAX - 3, "\r\n\r\n", 4);
	peer_open(&p, 0);
	peer_say(&p, head, sizeof(head)); /* one more, all at once */
	expect_end(&p, TOO_LARGE);
	peer_close(&p);
	assert_int_equal(stats().bad, 2);
}

/* The longest Location there can be. */
static void
large_target(void **state)
{
	static char request[HTTP01_HEAD_MAX + 1], want[HTTP01_HEAD_MAX + 256];
	const char tail[] = " HTTP/1.0\r\nHost: h\r\n\r\n";
	int n = HTTP01_HEAD_MAX - 5 - (int)sizeof(tail) + 1;

	(void)state;
	start();
	(void)snprintf(request, sizeof(request), "GET /%0*d%s", n, 0, tail);
	assert_int_equal(strlen(request), HTTP01_HEAD_MAX);
	(void)snprintf(want, sizeof(want),
	    "HTTP/1.1 301 Moved Permanently\r\n"
	    "Location: https://h/%0*d\r\n" DATE "Content-Length: 0\r\n" CLOSE,
	    n, 0);
	ask(request, want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(token_is_answered),
		T(head_shows_no_body),
		T(unknown_token),
		T(token_for_any_host),
		T(all_else_is_redirected),
		T(redirect_status_is_configured),
		T(redirect_needs_a_host),
		T(other_methods),
		T(bodies_end_the_connection),
		T(malformed_is_refused),
		T(keep_alive_and_close),
		T(pipelined),
		T(byte_by_byte),
		T(large_heads),
		T(large_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
