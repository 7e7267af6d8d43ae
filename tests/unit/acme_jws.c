/* SPDX-License-Identifier: ISC */
/*
 * JWS and EAB (protocol.md A5-A14, A19, D11).  The key is RFC 7515 A.3's; the
 * EAB objects were computed with Python's hmac and base64.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/acme/jws.h"
#include "lib/base/b64.h"
#include "lib/base/cleanup.h"

#define URL   "https://ca.example/acme/new-order?x=%2F&y"
#define KID   "https://ca.example/acme/acct/1"
#define NONCE "oFvnlFP1wIhRlYS2jTaXbA"
#define JWK                                                      \
	"{\"crv\":\"P-256\",\"kty\":\"EC\","                     \
	"\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"," \
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"

static const char rfc7515_a3[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEII6bEJ5xkJi/mASH3x9dd+nLKWBuvtImO19XwhPfhPSyoAoGCCqGSM49\n"
    "AwEHoUQDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72b\n"
    "focs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"
    "-----END EC PRIVATE KEY-----\n";

static struct key *
the_key(void)
{
	struct err e;
	struct key *key = key_from_pem(rfc7515_a3, strlen(rfc7515_a3), &e);

	assert_non_null(key);
	return key;
}

/* body is exactly this JWS, with a signature by key. */
static void
assert_jws(
    struct key *key, const char *body, const char *head, const char *payload)
{
	AUTO(buf_done) struct buf want = BUF_INIT(JWS_MAX);
	AUTO(buf_done) struct buf input = BUF_INIT(JWS_MAX);
	AUTO(buf_done) struct buf sig = BUF_INIT(JWS_MAX);
	const char *end;

	b64url_encode(head, strlen(head), &input);
	buf_puts(&want, "{\"protected\":\"");
	buf_puts(&want, buf_str(&input));
	buf_puts(&want, "\",\"payload\":\"");
	buf_putc(&input, '.');
	b64url_encode(payload, strlen(payload), &input);
	b64url_encode(payload, strlen(payload), &want);
	buf_puts(&want, "\",\"signature\":\"");
	assert_true(buf_ok(&want) && buf_ok(&input));

	assert_memory_equal(body, buf_str(&want), want.len);
	body += want.len;
	end = strchr(body, '"');
	assert_non_null(end);
	assert_string_equal(end, "\"}");
	assert_int_equal(b64url_decode(body, (size_t)(end - body), &sig), 0);
	assert_true(
	    key_verify_jws(key, input.data, input.len, sig.data, sig.len));
}

static void
test_kid(void **state)
{
	AUTO(key_free) struct key *key = the_key();
	AUTO(buf_done) struct buf out = BUF_INIT(JWS_MAX);
	const struct jws_head h = { .kid = KID, .nonce = NONCE, .url = URL };
	struct err e;

	(void)state;
	assert_int_equal(jws_make(key, &h, "{}", 2, &out, &e), 0);
	assert_jws(key, buf_str(&out),
	    "{\"alg\":\"ES256\",\"kid\":\"" KID "\",\"nonce\":\"" NONCE
	    "\",\"url\":\"" URL "\"}",
	    "{}");
}

static void
test_jwk(void **state)
{
	AUTO(key_free) struct key *key = the_key();
	AUTO(buf_done) struct buf out = BUF_INIT(JWS_MAX);
	const struct jws_head h = { .nonce = NONCE, .url = URL };
	struct err e;

	(void)state;
	assert_int_equal(jws_make(key, &h, "{\"a\":1}", 7, &out, &e), 0);
	assert_jws(key, buf_str(&out),
	    "{\"alg\":\"ES256\",\"jwk\":" JWK ",\"nonce\":\"" NONCE
	    "\",\"url\":\"" URL "\"}",
	    "{\"a\":1}");
}

static void
test_rsa(void **state)
{
	AUTO(buf_done) struct buf out = BUF_INIT(JWS_MAX);
	const struct jws_head h = { .kid = KID, .nonce = NONCE, .url = URL };
	struct err e;
	AUTO(key_free) struct key *key = key_generate(KEY_RSA2048, &e);

	(void)state;
	assert_non_null(key);
	assert_int_equal(jws_make(key, &h, "x", 1, &out, &e), 0);
	assert_jws(key, buf_str(&out),
	    "{\"alg\":\"RS256\",\"kid\":\"" KID "\",\"nonce\":\"" NONCE
	    "\",\"url\":\"" URL "\"}",
	    "x");
}

/* A11: the payload is there and is "". */
static void
test_post_as_get(void **state)
{
	AUTO(key_free) struct key *key = the_key();
	AUTO(buf_done) struct buf out = BUF_INIT(JWS_MAX);
	const struct jws_head h = { .kid = KID, .nonce = NONCE, .url = URL };
	struct err e;

	(void)state;
	buf_puts(&out, "before");
	assert_int_equal(jws_make(key, &h, NULL, 0, &out, &e), 0);
	assert_memory_equal(out.data, "before{", 7);
	assert_non_null(strstr(out.data, "\",\"payload\":\"\",\"signature\""));
	assert_jws(key, out.data + 6,
	    "{\"alg\":\"ES256\",\"kid\":\"" KID "\",\"nonce\":\"" NONCE
	    "\",\"url\":\"" URL "\"}",
	    "");
}

/* Nothing that would need an escape in JSON gets into the header. */
static void
test_bad_head(void **state)
{
	char long_url[JWS_URL_MAX + 2], long_nonce[JWS_NONCE_MAX + 2];
	const struct {
		struct jws_head head;
		const char *what;
	} rows[] = {
		{ { KID, "", URL }, "JWS: bad nonce" },
		{ { KID, "a b", URL }, "JWS: bad nonce" },
		{ { KID, "YQ==", URL }, "JWS: bad nonce" },
		{ { KID, "a\"", URL }, "JWS: bad nonce" },
		{ { KID, long_nonce, URL }, "JWS: bad nonce" },
		{ { KID, NONCE, "http://ca.example/" }, "JWS: bad url" },
		{ { KID, NONCE, "https://ca.example/\"" }, "JWS: bad url" },
		{ { KID, NONCE, long_url }, "JWS: bad url" },
		{ { "kid-1", NONCE, URL }, "JWS: bad kid" },
		{ { "http://ca.example/1", NONCE, URL }, "JWS: bad kid" },
		{ { "https://ca.example/\\", NONCE, URL }, "JWS: bad kid" },
		{ { long_url, NONCE, URL }, "JWS: bad kid" },
	};
	AUTO(key_free) struct key *key = the_key();
	AUTO(buf_done) struct buf out = BUF_INIT(JWS_MAX);
	struct err e;
	size_t i;

	(void)state;
	memset(long_url, 'a', sizeof(long_url));
	memcpy(long_url, "https://", 8);
	long_url[JWS_URL_MAX + 1] = '\0';
	memset(long_nonce, 'a', sizeof(long_nonce));
	long_nonce[JWS_NONCE_MAX + 1] = '\0';
	for (i = 0; i < NELEM(rows); i++) {
		assert_int_equal(
		    jws_make(key, &rows[i].head, "", 0, &out, &e), -1);
		assert_string_equal(e.what, rows[i].what);
		assert_int_equal(e.kind, ERR_PROTO);
		assert_int_equal(out.len, 0);
	}
}

/* A19: Boulder's 50,000 bytes are of the body, not of the payload. */
static void
test_too_large(void **state)
{
	static char payload[200000];
	AUTO(key_free) struct key *key = the_key();
	AUTO(buf_done) struct buf out = BUF_INIT(JWS_MAX);
	const struct jws_head h = { .kid = KID, .nonce = NONCE, .url = URL };
	const size_t sizes[] = { 37400, JWS_PAYLOAD_MAX, sizeof(payload) };
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(sizes); i++) {
		assert_int_equal(
		    jws_make(key, &h, payload, sizes[i], &out, &e), -1);
		assert_int_equal(e.kind, ERR_LIMIT);
		assert_non_null(strstr(e.what, URL));
		assert_non_null(strstr(e.what, "too many names"));
		assert_int_equal(out.len, 0);
	}
	assert_int_equal(jws_make(key, &h, payload, 37000, &out, &e), 0);
	assert_true(out.len > 49000 && out.len <= 50000);
}

static void
test_no_room(void **state)
{
	AUTO(key_free) struct key *key = the_key();
	AUTO(buf_done) struct buf out = BUF_INIT(100);
	const struct jws_head h = { .kid = KID, .nonce = NONCE, .url = URL };
	struct err e;

	(void)state;
	assert_int_equal(jws_make(key, &h, "{}", 2, &out, &e), -1);
}

#define EAB_URL "https://ca.example/acme/new-account"
#define EAB_MAC_KEY \
	"zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"

static void
test_eab(void **state)
{
	/* clang-format off */
	static const struct {
		int alg;
		const char *mac;
	} rows[] = {
		{ 256, "bjJ_1QK1S1x1ny9I5PlOzgot-My92t6LcJUkk8j9BuU" },
		{ 384, "phLiUCwc9AyVGBU25LU5RiMqO6RY7_OtaP-0oL22NzPa968y"
		       "hSEovpKIaZ4sl8Bv" },
		{ 512, "itaX6iT5kcD5bE-A6XKEcX4aXMTHlaNXhJhZ8_0SQznDANeX"
		       "E9WL54vGwheIv1om3PG1WNaLuoSwNk92kwfTUA" },
	};
	/* clang-format on */
	AUTO(key_free) struct key *key = the_key();
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(buf_done) struct buf out = BUF_INIT(JWS_MAX);
		AUTO(buf_done) struct buf head = BUF_INIT(JWS_MAX);
		AUTO(buf_done) struct buf want = BUF_INIT(JWS_MAX);

		buf_printf(&head,
		    "{\"alg\":\"HS%d\",\"kid\":\"kid-1\",\"url\":\"" EAB_URL
		    "\"}",
		    rows[i].alg);
		buf_puts(&want, "{\"protected\":\"");
		b64url_encode(head.data, head.len, &want);
		buf_puts(&want, "\",\"payload\":\"");
		b64url_encode(JWK, strlen(JWK), &want);
		buf_printf(&want, "\",\"signature\":\"%s\"}", rows[i].mac);
		assert_int_equal(
		    jws_eab(key, "kid-1", EAB_MAC_KEY, strlen(EAB_MAC_KEY),
			rows[i].alg, EAB_URL, &out, &e),
		    0);
		assert_string_equal(buf_str(&out), buf_str(&want));
	}
}

static void
test_bad_eab(void **state)
{
	char long_kid[JWS_URL_MAX + 2];
	const struct {
		const char *kid;
		size_t mac_len;
		int alg;
		const char *url, *what;
	} rows[] = {
		{ "", 8, 256, URL, "EAB: kid must be" },
		{ "a\"b", 8, 256, URL, "EAB: kid must be" },
		{ "a\\b", 8, 256, URL, "EAB: kid must be" },
		{ "a\nb", 8, 256, URL, "EAB: kid must be" },
		{ "a\xffz", 8, 256, URL, "EAB: kid must be" },
		{ long_kid, 8, 256, URL, "EAB: kid must be" },
		{ "kid", 0, 256, URL, "EAB: the HMAC key is empty" },
		{ "kid", 8, 1, URL, "EAB: no such alg: HS1" },
		{ "kid", 8, 256, "http://ca.example/", "EAB: bad url" },
	};
	AUTO(key_free) struct key *key = the_key();
	AUTO(buf_done) struct buf out = BUF_INIT(JWS_MAX);
	struct err e;
	size_t i;

	(void)state;
	memset(long_kid, 'k', sizeof(long_kid));
	long_kid[JWS_URL_MAX + 1] = '\0';
	for (i = 0; i < NELEM(rows); i++) {
		assert_int_equal(
		    jws_eab(key, rows[i].kid, "12345678", rows[i].mac_len,
			rows[i].alg, rows[i].url, &out, &e),
		    -1);
		assert_memory_equal(e.what, rows[i].what, strlen(rows[i].what));
		assert_int_equal(out.len, 0);
	}
}

/* RFC 8555 8.1, with the thumbprint of the key above. */
static void
test_key_authorization(void **state)
{
	AUTO(key_free) struct key *key = the_key();
	AUTO(buf_done) struct buf print = BUF_INIT(64);
	AUTO(buf_done) struct buf out = BUF_INIT(512);
	struct err e;

	(void)state;
	assert_int_equal(key_thumbprint(key, &print, &e), 0);
	jws_key_authorization("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
	    buf_str(&print), &out);
	assert_string_equal(buf_str(&out),
	    "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
	    ".oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kid),
		cmocka_unit_test(test_jwk),
		cmocka_unit_test(test_rsa),
		cmocka_unit_test(test_post_as_get),
		cmocka_unit_test(test_bad_head),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_eab),
		cmocka_unit_test(test_bad_eab),
		cmocka_unit_test(test_key_authorization),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
