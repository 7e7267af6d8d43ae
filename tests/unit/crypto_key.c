/* SPDX-License-Identifier: ISC */
/*
 * Keys: vectors of RFC 6979, 7515 and 7638, and openssl(1) as the judge of what
 * we write (protocol.md A12-A14, H3).
 */
#include "tests/unit/crypto_data/helper.h"

#include <pthread.h>
#include <stdio.h>

#include "lib/base/b64.h"
#include "lib/base/str.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/key.h"

#define PAYLOAD                                                        \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9l" \
	"eGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define BIN(a) a, sizeof(a) - 1

static struct key *
load(const char *name)
{
	AUTO(buf_wipe) struct buf pem = BUF_INIT(KEY_PEM_MAX);
	struct key *k;
	struct err e;

	slurp(name, &pem);
	k = key_from_pem(pem.data, pem.len, &e);
	if (k == NULL)
		fail_msg("%s: %s", name, e.what);
	return k;
}

static void
test_type_names(void **state)
{
	static const char *const names[] = { "ec256", "ec384", "rsa2048",
		"rsa3072", "rsa4096" };
	enum key_type t;

	(void)state;
	for (t = 0; t < KEY_TYPE__COUNT; t++)
		assert_string_equal(key_type_name(t), names[t]);
	assert_null(key_type_name(KEY_TYPE__COUNT));
}

/* The id is the hash of what openssl calls the public key. */
static void
check_id(const struct key *k, const struct buf *pem)
{
	AUTO(buf_done) struct buf der = BUF_INIT(DATA_MAX);
	unsigned char hash[HASH_SHA256_LEN];
	char id[KEY_ID_LEN + 1], want[KEY_ID_LEN + 1];
	struct err e;

	assert_int_equal(openssl(&der, pem->data, pem->len, "pkey", "-pubout",
			     "-outform", "DER", NULL),
	    0);
	assert_int_equal(hash_sha256(der.data, der.len, hash, &e), 0);
	str_hex(hash, sizeof(hash), want);
	assert_int_equal(key_id(k, id, &e), 0);
	assert_string_equal(id, want);
}

/* Our PEM is byte for byte what openssl makes of it, and comes back. */
static void
check_pem(const struct key *k)
{
	AUTO(buf_wipe) struct buf pem = BUF_INIT(KEY_PEM_MAX);
	AUTO(buf_wipe) struct buf again = BUF_INIT(DATA_MAX);
	AUTO(buf_wipe) struct buf text = BUF_INIT(DATA_MAX);
	AUTO(key_free) struct key *back = NULL;
	char id[KEY_ID_LEN + 1], back_id[KEY_ID_LEN + 1];
	struct err e;

	buf_reserve(&pem, KEY_PEM_MAX);
	assert_int_equal(key_to_pem(k, &pem, &e), 0);
	assert_starts(pem.data, "-----BEGIN PRIVATE KEY-----\n");
	assert_int_equal(openssl(&again, pem.data, pem.len, "pkey", NULL), 0);
	assert_string_equal(pem.data, again.data);
	assert_int_equal(openssl(&text, pem.data, pem.len, "pkey", "-noout",
			     "-text", "-check", NULL),
	    0);
	assert_contains(buf_str(&text), "Key is valid");
	check_id(k, &pem);

	assert_non_null(back = key_from_pem(pem.data, pem.len, &e));
	assert_int_equal(key_type(back), key_type(k));
	assert_int_equal(key_id(k, id, &e), 0);
	assert_int_equal(key_id(back, back_id, &e), 0);
	assert_string_equal(id, back_id);
}

/* What every key can do, by its type. */
static void
check_use(struct key *k, enum key_type type)
{
	static const char *const algs[] = { "ES256", "ES384", "RS256", "RS256",
		"RS256" };
	static const size_t sig_len[] = { 64, 96, 256, 384, 512 };
	AUTO(buf_done) struct buf sig = BUF_INIT(1024);
	struct err e;

	assert_int_equal(key_type(k), type);
	assert_string_equal(key_jws_alg(k), algs[type]);
	check_pem(k);
	assert_int_equal(key_sign_jws(k, BIN("text"), &sig, &e), 0);
	assert_int_equal(sig.len, sig_len[type]);
	assert_true(key_verify_jws(k, BIN("text"), sig.data, sig.len));
	assert_false(key_verify_jws(k, BIN("tex"), sig.data, sig.len));
	assert_false(key_verify_jws(k, BIN("text"), sig.data, sig.len - 1));
	assert_false(key_verify_jws(k, BIN("text"), sig.data, 0));
	sig.data[7] ^= 1;
	assert_false(key_verify_jws(k, BIN("text"), sig.data, sig.len));
}

static void
test_generate(void **state)
{
	/* the larger RSA keys take many seconds, and the same way */
	static const enum key_type some[] = { KEY_EC256, KEY_EC384,
		KEY_RSA2048 };
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(some); i++) {
		AUTO(key_free) struct key *k = key_generate(some[i], NULL);

		assert_non_null(k);
		check_use(k, some[i]);
	}
}

/* Two keys are never the same. */
static void
test_generate_differs(void **state)
{
	char a[KEY_ID_LEN + 1], b[KEY_ID_LEN + 1];
	AUTO(key_free) struct key *k = key_generate(KEY_EC256, NULL);
	AUTO(key_free) struct key *l = key_generate(KEY_EC256, NULL);

	(void)state;
	assert_int_equal(key_id(k, a, NULL), 0);
	assert_int_equal(key_id(l, b, NULL), 0);
	assert_true(str_is_hex(a, KEY_ID_LEN));
	assert_string_not_equal(a, b);
}

/* What openssl genpkey and openssl pkey write, of each type and form. */
static void
test_reads_openssl(void **state)
{
	static const struct {
		enum key_type type;
		const char *alg, *opt;
	} rows[] = {
		{ KEY_EC256, "EC", "ec_paramgen_curve:P-256" },
		{ KEY_EC384, "EC", "ec_paramgen_curve:P-384" },
		{ KEY_RSA2048, "RSA", "rsa_keygen_bits:2048" },
		{ KEY_RSA3072, "RSA", "rsa_keygen_bits:3072" },
		{ KEY_RSA4096, "RSA", "rsa_keygen_bits:4096" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(buf_done) struct buf pkcs8 = BUF_INIT(DATA_MAX);
		AUTO(buf_done) struct buf old = BUF_INIT(DATA_MAX);
		AUTO(buf_wipe) struct buf ours = BUF_INIT(KEY_PEM_MAX);
		AUTO(key_free) struct key *k = NULL, *l = NULL;
		struct err e;

		assert_int_equal(
		    openssl(&pkcs8, "", 0, "genpkey", "-quiet", "-algorithm",
			rows[i].alg, "-pkeyopt", rows[i].opt, NULL),
		    0);
		assert_int_equal(openssl(&old, pkcs8.data, pkcs8.len, "pkey",
				     "-traditional", NULL),
		    0);
		assert_non_null(k = key_from_pem(pkcs8.data, pkcs8.len, &e));
		assert_non_null(l = key_from_pem(old.data, old.len, &e));
		check_use(k, rows[i].type);
		assert_int_equal(key_type(l), rows[i].type);
		assert_int_equal(key_to_pem(l, &ours, &e), 0);
		assert_string_equal(ours.data, pkcs8.data);
	}
}

/* Read from memory that ends where the PEM does, in several dresses (H3). */
static void
test_pem_dress(void **state)
{
	static const struct {
		const char *before, *newline, *after;
	} rows[] = {
		{ "", "\n", "\n" },
		{ "", "\n", "" },
		{ "", "\r\n", "\r\n" },
		{ "", "\r\n", "" },
		{ "Key of www\n", "\n", "\ntrailing text" },
		{ "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
		  "-----END EC PARAMETERS-----\n",
		    "\n", "\n" },
	};
	AUTO(buf_done) struct buf pem = BUF_INIT(KEY_PEM_MAX);
	size_t i;
	char *p;

	(void)state;
	slurp("rfc7515-a3.pem", &pem);
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(buf_done) struct buf b = BUF_INIT(KEY_PEM_MAX);
		AUTO(free) char *exact = NULL;
		AUTO(key_free) struct key *k = NULL;
		struct err e;

		buf_puts(&b, rows[i].before);
		for (p = pem.data; *p != '\0'; p++) {
			if (*p != '\n')
				buf_putc(&b, *p);
			else if (p[1] != '\0')
				buf_puts(&b, rows[i].newline);
		}
		buf_puts(&b, rows[i].after);
		assert_non_null(exact = malloc(b.len));
		memcpy(exact, b.data, b.len);
		k = key_from_pem(exact, b.len, &e);
		if (k == NULL)
			fail_msg("row %zu: %s", i, e.what);
		assert_int_equal(key_type(k), KEY_EC256);
	}
}

static void
refuse(const struct buf *pem, enum err_kind kind, const char *text)
{
	struct err e;

	assert_null(key_from_pem(buf_str(pem), pem->len, &e));
	assert_int_equal(e.kind, kind);
	assert_string_equal(e.what, text);
}

static void
test_refuses_types(void **state)
{
	static const struct {
		const char *alg, *opt, *text;
	} rows[] = {
		{ "EC", "ec_paramgen_curve:P-521",
		    "key: curve secp521r1; P-256 (prime256v1) or P-384 "
		    "(secp384r1) can be used" },
		{ "EC", "ec_paramgen_curve:secp256k1",
		    "key: curve secp256k1; P-256 (prime256v1) or P-384 "
		    "(secp384r1) can be used" },
		{ "RSA", "rsa_keygen_bits:1024",
		    "key: RSA of 1024 bits; 2048, 3072 or 4096 can be used" },
		{ "RSA", "rsa_keygen_bits:2056",
		    "key: RSA of 2056 bits; 2048, 3072 or 4096 can be used" },
	};
	AUTO(buf_done) struct buf ed = BUF_INIT(DATA_MAX);
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(buf_done) struct buf pem = BUF_INIT(DATA_MAX);

		assert_int_equal(
		    openssl(&pem, "", 0, "genpkey", "-quiet", "-algorithm",
			rows[i].alg, "-pkeyopt", rows[i].opt, NULL),
		    0);
		refuse(&pem, ERR_CONFIG, rows[i].text);
	}
	assert_int_equal(
	    openssl(&ed, "", 0, "genpkey", "-algorithm", "ED25519", NULL), 0);
	assert_null(key_from_pem(ed.data, ed.len, &e));
	assert_int_equal(e.kind, ERR_CRYPTO);
	assert_starts(e.what, "key: ");
}

static void
test_refuses_damage(void **state)
{
	AUTO(buf_done) struct buf good = BUF_INIT(KEY_PEM_MAX);
	AUTO(buf_done) struct buf rsa = BUF_INIT(KEY_PEM_MAX);
	AUTO(buf_done) struct buf pem = BUF_INIT(DATA_MAX);
	AUTO(buf_done) struct buf cert = BUF_INIT(DATA_MAX);
	AUTO(key_free) struct key *k = NULL;
	struct err e;
	size_t n;

	(void)state;
	refuse(&pem, ERR_CONFIG, "key: empty, no PEM");
	slurp("rfc7515-a3.pem", &good);
	buf_add(&pem, good.data, good.len);
	buf_putc(&pem, '\0');
	refuse(&pem, ERR_CONFIG, "key: binary, no PEM");

	buf_reset(&pem);
	for (n = 0; n < KEY_PEM_MAX; n++)
		buf_putc(&pem, '\n');
	buf_add(&pem, good.data, good.len);
	refuse(&pem, ERR_LIMIT, "key: longer than 8192 bytes");

	/* cut anywhere before the END line is through */
	for (n = 0; n < good.len - 1; n++)
		if ((k = key_from_pem(good.data, n, &e)) != NULL)
			fail_msg("key from %zu of %zu bytes", n, good.len);

	/* another secret for the same public key */
	good.data[50] = good.data[50] == 'A' ? 'B' : 'A';
	assert_null(key_from_pem(good.data, good.len, &e));
	assert_starts(e.what, "key: halves do not match: ");

	slurp("rfc7638.pem", &rsa);
	rsa.data[700] = rsa.data[700] == 'A' ? 'B' : 'A';
	assert_null(key_from_pem(rsa.data, rsa.len, &e));
	assert_int_equal(e.kind, ERR_CRYPTO);

	slurp("leaf.pem", &cert);
	assert_null(key_from_pem(cert.data, cert.len, &e));
	assert_int_equal(e.kind, ERR_CRYPTO);
	assert_starts(e.what, "key: ");
}

static void
test_refuses_encrypted(void **state)
{
	AUTO(buf_done) struct buf good = BUF_INIT(KEY_PEM_MAX);
	AUTO(buf_done) struct buf pem = BUF_INIT(DATA_MAX);

	(void)state;
	slurp("rfc7515-a3.pem", &good);
	assert_int_equal(openssl(&pem, good.data, good.len, "pkcs8", "-topk8",
			     "-passout", "pass:x", NULL),
	    0);
	assert_contains(buf_str(&pem), "BEGIN ENCRYPTED PRIVATE KEY");
	refuse(&pem, ERR_CONFIG, "key: encrypted");
}

/* RFC 7638 3.1 (its key's private half is in RFC 7517 A.2). */
static void
test_rfc7638(void **state)
{
	AUTO(key_free) struct key *k = load("rfc7638.pem");
	AUTO(buf_done) struct buf out = BUF_INIT(4096);
	struct err e;

	(void)state;
	assert_int_equal(key_jwk(k, &out, &e), 0);
	assert_string_equal(out.data,
	    "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":"
	    "\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86z"
	    "wu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY"
	    "4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaS"
	    "qzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhA"
	    "I4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU"
	    "8awapJzKnqDKgw\"}");
	buf_reset(&out);
	buf_puts(&out, "token.");
	assert_int_equal(key_thumbprint(k, &out, &e), 0);
	assert_string_equal(
	    out.data, "token.NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

static void
test_ec_jwk(void **state)
{
	AUTO(key_free) struct key *k = load("rfc7515-a3.pem");
	AUTO(buf_done) struct buf out = BUF_INIT(4096);
	AUTO(buf_done) struct buf tiny = BUF_INIT(100);
	struct err e;

	(void)state;
	assert_int_equal(key_jwk(k, &out, &e), 0);
	assert_string_equal(out.data,
	    "{\"crv\":\"P-256\",\"kty\":\"EC\","
	    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
	    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}");
	assert_int_equal(key_jwk(k, &tiny, &e), -1);
	assert_int_equal(e.kind, ERR_NOMEM);
}

/* Cut the value of "name":"value" out of a JWK, decoded. */
static void
member(const char *jwk, const char *name, struct buf *out)
{
	char start[8];
	const char *p;

	(void)snprintf(start, sizeof(start), "\"%s\":\"", name);
	assert_non_null(p = strstr(jwk, start));
	p += strlen(start);
	buf_reset(out);
	assert_int_equal(b64url_decode(p, strcspn(p, "\""), out), 0);
}

/* Coordinates keep their length when they start with a zero byte (A14). */
static void
test_jwk_padding(void **state)
{
	static const struct {
		enum key_type type;
		size_t len;
	} rows[] = { { KEY_EC256, 32 }, { KEY_EC384, 48 } };
	size_t i, n, padded;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		/* one key in 128 has one; 20,000 without would be a bug */
		for (n = 0, padded = 0; padded < 2 && n < 20000; n++) {
			AUTO(key_free)
			struct key *k = key_generate(rows[i].type, NULL);
			AUTO(buf_done) struct buf jwk = BUF_INIT(4096);
			AUTO(buf_done) struct buf x = BUF_INIT(64);
			AUTO(buf_done) struct buf y = BUF_INIT(64);

			assert_int_equal(key_jwk(k, &jwk, NULL), 0);
			member(jwk.data, "x", &x);
			member(jwk.data, "y", &y);
			assert_int_equal(x.len, rows[i].len);
			assert_int_equal(y.len, rows[i].len);
			if (x.data[0] != 0 && y.data[0] != 0)
				continue;
			padded++;
			check_pem(k);
		}
		assert_int_equal(padded, 2);
	}
}

/* RFC 6979 A.2.5, P-256 and SHA-256: our signatures are deterministic. */
static void
test_rfc6979(void **state)
{
	static const struct {
		const char *text, *hex;
	} rows[] = {
		{ "sample",
		    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84e"
		    "af3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4"
		    "ab2f843acda8" },
		{ "test",
		    "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7"
		    "d38367019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc8"
		    "4250e46f0083" },
	};
	AUTO(key_free) struct key *k = load("rfc6979-p256.pem");
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(buf_done) struct buf sig = BUF_INIT(128);
		char hex[129];

		assert_int_equal(key_sign_jws(k, rows[i].text,
				     strlen(rows[i].text), &sig, NULL),
		    0);
		str_hex(sig.data, sig.len, hex);
		assert_string_equal(hex, rows[i].hex);
	}
}

/* RFC 7515 A.2: RSASSA-PKCS1-v1_5 is deterministic, so we must make it too. */
static void
test_rfc7515_rs256(void **state)
{
	static const char input[] = "eyJhbGciOiJSUzI1NiJ9." PAYLOAD;
	static const char want[] =
	    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7"
	    "AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4"
	    "BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K"
	    "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv"
	    "hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrB"
	    "p0igcN_IoypGlUPQGe77Rw";
	AUTO(key_free) struct key *k = load("rfc7515-a2.pem");
	AUTO(buf_done) struct buf sig = BUF_INIT(512);
	AUTO(buf_done) struct buf text = BUF_INIT(512);

	(void)state;
	assert_string_equal(key_jws_alg(k), "RS256");
	assert_int_equal(key_sign_jws(k, BIN(input), &sig, NULL), 0);
	b64url_encode(sig.data, sig.len, &text);
	assert_string_equal(text.data, want);
	assert_true(key_verify_jws(k, BIN(input), sig.data, sig.len));
}

/* RFC 7515 A.3 */
static void
test_rfc7515_es256(void **state)
{
	static const char input[] = "eyJhbGciOiJFUzI1NiJ9." PAYLOAD;
	static const char theirs[] =
	    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmX"
	    "FCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
	AUTO(key_free) struct key *k = load("rfc7515-a3.pem");
	AUTO(buf_done) struct buf sig = BUF_INIT(128);

	(void)state;
	assert_string_equal(key_jws_alg(k), "ES256");
	assert_int_equal(b64url_decode(BIN(theirs), &sig), 0);
	assert_true(key_verify_jws(k, BIN(input), sig.data, sig.len));
	assert_false(key_verify_jws(k, BIN(input) - 1, sig.data, sig.len));
	memset(sig.data, 0, sig.len);
	assert_false(key_verify_jws(k, BIN(input), sig.data, sig.len));
}

/*
 * A13: r and s keep their length.  The key and the texts are fixed, and so are
 * the signatures: that some start with a zero byte is no chance.
 */
static void
test_signature_padding(void **state)
{
	AUTO(key_free) struct key *k = load("rfc6979-p256.pem");
	size_t i, r = 0, s = 0;

	(void)state;
	for (i = 0; i < 1000; i++) {
		AUTO(buf_done) struct buf sig = BUF_INIT(128);
		char text[16];

		(void)snprintf(text, sizeof(text), "%zu", i);
		assert_int_equal(
		    key_sign_jws(k, text, strlen(text), &sig, NULL), 0);
		assert_int_equal(sig.len, 64);
		assert_true(
		    key_verify_jws(k, text, strlen(text), sig.data, sig.len));
		r += sig.data[0] == 0;
		s += sig.data[32] == 0;
	}
	assert_true(r > 0);
	assert_true(s > 0);
}

/* Another implementation agrees, through DER made by hand from r and s. */
static void
test_openssl_verifies_es384(void **state)
{
	AUTO(key_free) struct key *k = key_generate(KEY_EC384, NULL);
	AUTO(buf_wipe) struct buf pem = BUF_INIT(KEY_PEM_MAX);
	AUTO(buf_done) struct buf sig = BUF_INIT(128);
	AUTO(buf_done) struct buf out = BUF_INIT(DATA_MAX);
	AUTO(close) int key_fd = memfd_create("key", 0);
	AUTO(close) int sig_fd = memfd_create("sig", 0);
	char key_path[32], sig_path[32];
	unsigned char der[128] = { 0x30 };
	size_t n = 2, half, skip, pad;

	(void)state;
	assert_int_equal(key_sign_jws(k, BIN("text"), &sig, NULL), 0);
	assert_int_equal(sig.len, 96);
	for (half = 0; half < 96; half += 48) {
		for (skip = 0; sig.data[half + skip] == 0; skip++)
			;
		pad = (sig.data[half + skip] & 0x80) != 0;
		der[n++] = 0x02;
		der[n++] = (unsigned char)(48 - skip + pad);
		n += pad;
		memcpy(der + n, sig.data + half + skip, 48 - skip);
		n += 48 - skip;
	}
	der[1] = (unsigned char)(n - 2);
	assert_int_equal(key_to_pem(k, &pem, NULL), 0);
	assert_int_equal(write(key_fd, pem.data, pem.len), pem.len);
	assert_int_equal(write(sig_fd, der, n), n);
	(void)snprintf(key_path, sizeof(key_path), "/dev/fd/%d", key_fd);
	(void)snprintf(sig_path, sizeof(sig_path), "/dev/fd/%d", sig_fd);
	assert_int_equal(
	    openssl(&out, "text", 4, "dgst", "-sha384", "-prverify", key_path,
		"-signature", sig_path, NULL),
	    0);
	assert_contains(buf_str(&out), "Verified OK");
}

static void *
sign_many(void *arg)
{
	size_t i;

	for (i = 0; i < 50; i++) {
		AUTO(buf_done) struct buf sig = BUF_INIT(128);

		if (key_sign_jws(arg, "x", 1, &sig, NULL) == -1 ||
		    !key_verify_jws(arg, "x", 1, sig.data, sig.len))
			return NULL;
	}
	return arg;
}

static void
test_threads(void **state)
{
	struct key *keys[4];
	pthread_t threads[NELEM(keys)];
	void *result;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(keys); i++) {
		keys[i] = key_generate(i % 2 ? KEY_EC256 : KEY_EC384, NULL);
		assert_non_null(keys[i]);
	}
	for (i = 0; i < NELEM(keys); i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, sign_many, keys[i]), 0);
	for (i = 0; i < NELEM(keys); i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_ptr_equal(result, keys[i]);
		key_free(keys[i]);
	}
}

static void
test_out_of_room(void **state)
{
	AUTO(key_free) struct key *k = load("rfc7515-a3.pem");
	AUTO(buf_done) struct buf a = BUF_INIT(63), b = BUF_INIT(100);
	AUTO(buf_done) struct buf c = BUF_INIT(10);
	struct err e;

	(void)state;
	assert_int_equal(key_sign_jws(k, "x", 1, &a, &e), -1);
	assert_string_equal(e.what, "signature: out of memory");
	assert_int_equal(key_to_pem(k, &b, &e), -1);
	assert_int_equal(e.kind, ERR_NOMEM);
	assert_int_equal(key_thumbprint(k, &c, &e), -1);
	assert_int_equal(e.kind, ERR_NOMEM);
	key_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_type_names),
		cmocka_unit_test(test_generate),
		cmocka_unit_test(test_generate_differs),
		cmocka_unit_test(test_reads_openssl),
		cmocka_unit_test(test_pem_dress),
		cmocka_unit_test(test_refuses_types),
		cmocka_unit_test(test_refuses_damage),
		cmocka_unit_test(test_refuses_encrypted),
		cmocka_unit_test(test_rfc7638),
		cmocka_unit_test(test_ec_jwk),
		cmocka_unit_test(test_jwk_padding),
		cmocka_unit_test(test_rfc6979),
		cmocka_unit_test(test_rfc7515_rs256),
		cmocka_unit_test(test_rfc7515_es256),
		cmocka_unit_test(test_signature_padding),
		cmocka_unit_test(test_openssl_verifies_es384),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_out_of_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
