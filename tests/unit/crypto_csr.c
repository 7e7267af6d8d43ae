/* SPDX-License-Identifier: ISC */
/* Certificate requests (protocol.md E21), as openssl(1) reads them. */
#include "tests/unit/crypto_data/helper.h"

#include <stdio.h>

#include "lib/crypto/csr.h"

#define OUT_MAX (1u << 20)

static struct key *keys[KEY_TYPE__COUNT];

static int
make_keys(void **state)
{
	/* the larger RSA keys take another way through nothing here */
	static const enum key_type some[] = { KEY_EC256, KEY_EC384,
		KEY_RSA2048 };
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(some); i++)
		if ((keys[some[i]] = key_generate(some[i], NULL)) == NULL)
			return -1;
	return 0;
}

static int
free_keys(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(keys); i++)
		key_free(keys[i]);
	return 0;
}

/* What openssl says of it, having checked its signature. */
static void
show(enum key_type type, const char *const *idents, size_t n, struct buf *text)
{
	AUTO(buf_done) struct buf der = BUF_INIT(OUT_MAX);
	struct err e;

	assert_int_equal(csr_make(keys[type], idents, n, &der, &e), 0);
	assert_int_equal(openssl(text, der.data, der.len, "req", "-inform",
			     "DER", "-noout", "-verify", "-text", NULL),
	    0);
	assert_contains(buf_str(text), "verify OK");
	assert_contains(buf_str(text), "Version: 1 (0x0)");
	assert_contains(buf_str(text), "Subject: \n");
	assert_contains(buf_str(text), "Requested Extensions:\n");
	assert_contains(buf_str(text), "X509v3 Subject Alternative Name: \n");
	assert_lacks(buf_str(text), "Key Usage");
	assert_lacks(buf_str(text), "TLS Feature");
	assert_lacks(buf_str(text), "Basic Constraints");
}

static void
test_names_of_each_kind(void **state)
{
	static const char *const idents[] = { "example.org", "*.example.org",
		"192.0.2.7", "2001:db8::7", "xn--bcher-kva.example" };
	static const char *const algs[KEY_TYPE__COUNT] = {
		[KEY_EC256] = "Signature Algorithm: ecdsa-with-SHA256\n",
		[KEY_EC384] = "Signature Algorithm: ecdsa-with-SHA384\n",
		[KEY_RSA2048] =
		    "Signature Algorithm: sha256WithRSAEncryption\n",
	};
	enum key_type t;

	(void)state;
	for (t = 0; t < KEY_TYPE__COUNT; t++) {
		AUTO(buf_done) struct buf text = BUF_INIT(OUT_MAX);

		if (algs[t] == NULL)
			continue;
		show(t, idents, NELEM(idents), &text);
		assert_contains(buf_str(&text), algs[t]);
		assert_contains(buf_str(&text),
		    "  DNS:example.org, DNS:*.example.org, "
		    "IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:7, "
		    "DNS:xn--bcher-kva.example\n");
	}
}

/* RSA and EC, with lengths of one, two and three bytes in the DER. */
static void
test_many_names(void **state)
{
	static char names[2000][64];
	const char *idents[NELEM(names)];
	static const size_t counts[] = { 1, 4, 100, 2000 };
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(names); i++) {
		(void)snprintf(names[i], sizeof(names[i]),
		    "host-%zu.some-longer-domain.example.org", i);
		idents[i] = names[i];
	}
	for (i = 0; i < NELEM(counts); i++) {
		AUTO(buf_done) struct buf ec = BUF_INIT(OUT_MAX);
		AUTO(buf_done) struct buf rsa = BUF_INIT(OUT_MAX);
		char last[80];

		show(KEY_EC256, idents, counts[i], &ec);
		show(KEY_RSA2048, idents, counts[i], &rsa);
		(void)snprintf(
		    last, sizeof(last), "DNS:%s\n", names[counts[i] - 1]);
		assert_contains(buf_str(&ec), last);
		assert_contains(buf_str(&rsa), last);
	}
}

/*
 * DER drops leading zeros of r and s, and openssl insists on that.  Signatures
 * are deterministic (RFC 6979), so that a known key has known short ones.
 */
static void
test_short_signatures(void **state)
{
	AUTO(buf_done) struct buf pem = BUF_INIT(KEY_PEM_MAX);
	AUTO(key_free) struct key *key = NULL;
	size_t i, n_short = 0, longest = 0;
	struct err e;

	(void)state;
	slurp("rfc6979-p256.pem", &pem);
	assert_non_null(key = key_from_pem(pem.data, pem.len, &e));
	for (i = 0; i < 500; i++) {
		AUTO(buf_done) struct buf der = BUF_INIT(OUT_MAX);
		AUTO(buf_done) struct buf text = BUF_INIT(OUT_MAX);
		char name[32];
		const char *ident = name;

		(void)snprintf(name, sizeof(name), "n%zu.example.org", 100 + i);
		assert_int_equal(csr_make(key, &ident, 1, &der, &e), 0);
		if (der.len > longest)
			longest = der.len;
		if (der.len + 2 >= longest)
			continue;
		n_short++;
		assert_int_equal(
		    openssl(&text, der.data, der.len, "req", "-inform", "DER",
			"-noout", "-verify", NULL),
		    0);
		assert_contains(buf_str(&text), "verify OK");
	}
	assert_true(n_short > 0);
}

static void
test_appends(void **state)
{
	AUTO(buf_done) struct buf out = BUF_INIT(OUT_MAX);
	static const char *const idents[] = { "example.org" };
	struct err e;

	(void)state;
	buf_puts(&out, "x");
	assert_int_equal(csr_make(keys[KEY_EC256], idents, 1, &out, &e), 0);
	assert_memory_equal(out.data, "x\x30\x81", 3);
}

static void
test_refuses(void **state)
{
	static const char *const bad[] = { "Example.org", "example.org.", "a b",
		"", "2001:DB8::7", "192.0.2.256", "*.*.example.org" };
	static const char *many[2000];
	AUTO(buf_done) struct buf out = BUF_INIT(OUT_MAX);
	AUTO(buf_done) struct buf tiny = BUF_INIT(100);
	static char longest[254];
	struct err e;
	size_t i;

	(void)state;
	assert_int_equal(csr_make(keys[KEY_EC256], bad, 0, &out, &e), -1);
	assert_string_equal(e.what, "csr: no names");
	for (i = 0; i < NELEM(bad); i++) {
		const char *two[] = { "example.org", bad[i] };
		char want[64];

		assert_int_equal(
		    csr_make(keys[KEY_EC256], two, 2, &out, &e), -1);
		assert_int_equal(e.kind, ERR_CONFIG);
		(void)snprintf(want, sizeof(want), "csr: name %s: ", bad[i]);
		assert_starts(e.what, want);
	}
	for (i = 0; i < sizeof(longest) - 1; i++)
		longest[i] = i % 50 == 49 ? '.' : 'a';
	for (i = 0; i < NELEM(many); i++)
		many[i] = longest;
	assert_int_equal(
	    csr_make(keys[KEY_EC256], many, NELEM(many), &out, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_int_equal(out.len, 0);
	assert_int_equal(csr_make(keys[KEY_EC256], many, 1, &tiny, &e), -1);
	assert_int_equal(e.kind, ERR_NOMEM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_each_kind),
		cmocka_unit_test(test_many_names),
		cmocka_unit_test(test_short_signatures),
		cmocka_unit_test(test_appends),
		cmocka_unit_test(test_refuses),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
