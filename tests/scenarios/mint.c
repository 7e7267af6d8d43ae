/* SPDX-License-Identifier: ISC */
/*
 * Certificates made on the spot, for any key, names and dates: DER by hand,
 * since a test may not depend on which mbedTLS there is.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/b64.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/str.h"
#include "lib/crypto/hash.h"
#include "tests/scenarios/sim.h"

#define CERT_MAX 8192

/* Multiples of the generator of P-256: public keys whose private halves would
 * be 1, 2, 3, ... */
/* clang-format off */
static const char *const points[SIM_KEYS] = {
	"6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
	"4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
	"7cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc47669978"
	"07775510db8ed040293d9ac69f7430dbba7dade63ce982299e04b79d227873d1",
	"5ecbe4d1a6330a44c8f7ef951d4bf165e6c6b721efada985fb41661bc6e7fd6c"
	"8734640c4998ff7e374b06ce1a64a2ecd82ab036384fb83d9a79b127a27d5032",
	"e2534a3532d08fbba02dde659ee62bd0031fe2db785596ef509302446b030852"
	"e0f1575a4c633cc719dfee5fda862d764efc96c3f30ee0055c42c23f184ed8c6",
	"51590b7a515140d2d784c85608668fdfef8c82fd1f5be52421554a0dc3d033ed"
	"e0c17da8904a727d8ae1bf36bf8a79260d012f00d4d80888d1d0bb44fda16da4",
	"b01a172a76a4602c92d3242cb897dde3024c740debb215b4c6b0aae93c2291a9"
	"e85c10743237dad56fec0e2dfba703791c00f7701c7e16bdfd7c48538fc77fe2",
	"8e533b6fa0bf7b4625bb30667c01fb607ef9f8b8a80fef5b300628703187b2a3"
	"73eb1dbde03318366d069f83a6f5900053c73633cb041b21c55e1a86c1f400b4",
	"62d9779dbee9b0534042742d3ab54cadc1d238980fce97dbb4dd9dc1db6fb393"
	"ad5accbd91e9d8244ff15d771167cee0a2ed51f6bbe76a78da540a6a0f09957e",
	"ea68d7b6fedf0b71878938d51d71f8729e0acb8c2c6df8b3d79e8a4b90949ee0"
	"2a2744c972c9fce787014a964a8ea0c84d714feaa4de823fe85a224a4dd048fa",
	"cef66d6b2a3a993e591214d1ea223fb545ca6c471c48306e4c36069404c5723f"
	"878662a229aaae906e123cdd9d3b4c10590ded29fe751eeeca34bbaa44af0773",
	"3ed113b7883b4c590638379db0c21cda16742ed0255048bf433391d374bc21d1"
	"9099209accc4c8a224c843afa4f4c68a090d04da5e9889dae2f8eefce82a3740",
	"741dd5bda817d95e4626537320e5d55179983028b2f82c99d500c5ee8624e3c4"
	"0770b46a9c385fdc567383554887b1548eeb912c35ba5ca71995ff22cd4481d3",
};
static const unsigned char spki_head[] = {
	0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
	0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03,
	0x42, 0x00, 0x04,
};
static const unsigned char ecdsa_sha256[] = {
	0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
};
/* clang-format on */

static void
tlv(struct buf *out, unsigned tag, const void *data, size_t len)
{
	buf_putc(out, (char)tag);
	if (len > 255) {
		buf_putc(out, (char)0x82);
		buf_putc(out, (char)(len >> 8));
	} else if (len > 127)
		buf_putc(out, (char)0x81);
	buf_putc(out, (char)(len & 255));
	buf_add(out, data, len);
}

/* What inner holds becomes one element of out. */
static void
wrap(struct buf *out, unsigned tag, struct buf *inner)
{
	tlv(out, tag, buf_str(inner), inner->len);
	buf_reset(inner);
}

static unsigned
hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The same of a key that has a private half. */
static void
key_spki(const struct key *k, struct buf *out)
{
	AUTO(buf_done) struct buf jwk = BUF_INIT(512);
	const char *x, *y;

	if (key_jwk(k, &jwk, NULL) == -1)
		abort();
	x = strstr(jwk.data, "\"x\":\"") + 5;
	y = strstr(jwk.data, "\"y\":\"") + 5;
	buf_add(out, spki_head, sizeof(spki_head));
	(void)b64url_decode(x, 43, out);
	(void)b64url_decode(y, 43, out);
}

static void
spki_of(unsigned number, struct buf *out)
{
	const char *hex = points[number - 1];

	buf_add(out, spki_head, sizeof(spki_head));
	for (; *hex != '\0'; hex += 2)
		buf_putc(
		    out, (char)(hex_digit(hex[0]) << 4 | hex_digit(hex[1])));
}

const char *
sim_key_id(unsigned number)
{
	static char ids[SIM_KEYS][KEY_ID_LEN + 1];
	unsigned char hash[HASH_SHA256_LEN];
	char *id = ids[number - 1];

	if (id[0] == '\0') {
		bool fails = sim_memory_fails;
		AUTO(buf_done) struct buf spki = BUF_INIT(128);

		sim_memory_fails = false;
		spki_of(number, &spki);
		(void)hash_sha256(spki.data, spki.len, hash, NULL);
		str_hex(hash, sizeof(hash), id);
		sim_memory_fails = fails;
	}
	return id;
}

/* The issuers' key, one for the run. */
static struct key *
ca_key(bool other)
{
	static struct key *keys[2];

	if (keys[other] == NULL)
		keys[other] = key_generate(KEY_EC256, NULL);
	return keys[other];
}

static void
put_name(struct buf *out, const char *cn)
{
	static const unsigned char oid[] = { 0x06, 0x03, 0x55, 0x04, 0x03 };
	AUTO(buf_done) struct buf a = BUF_INIT(512), b = BUF_INIT(512);

	buf_add(&a, oid, sizeof(oid));
	tlv(&a, 0x0c, cn, strlen(cn));
	wrap(&b, 0x30, &a);
	wrap(&a, 0x31, &b);
	wrap(out, 0x30, &a);
}

static void
put_time(struct buf *out, int64_t t)
{
	char text[CLOCK_RFC3339_MAX], digits[16];
	size_t n = 0;
	const char *p;

	clock_format(t, text);
	for (p = text; *p != '\0'; p++)
		if (*p >= '0' && *p <= '9')
			digits[n++] = *p;
	digits[n++] = 'Z';
	if (t < INT64_C(2524608000)) /* 2050 */
		tlv(out, 0x17, digits + 2, n - 2);
	else
		tlv(out, 0x18, digits, n);
}

static void
put_extensions(struct buf *out, const struct mint *m)
{
	static const unsigned char san[] = { 0x06, 0x03, 0x55, 0x1d, 0x11 };
	static const unsigned char basic[] = { 0x30, 0x0f, 0x06, 0x03, 0x55,
		0x1d, 0x13, 0x01, 0x01, 0xff, 0x04, 0x05, 0x30, 0x03, 0x01,
		0x01, 0xff };
	static const unsigned char issuer_key[] = { 0x30, 0x13, 0x06, 0x03,
		0x55, 0x1d, 0x23, 0x04, 0x0c, 0x30, 0x0a, 0x80, 0x08, 1, 2, 3,
		4, 5, 6, 7, 8 };
	AUTO(buf_done)
	struct buf a = BUF_INIT(CERT_MAX), b = BUF_INIT(CERT_MAX);
	size_t i;

	if (m == NULL) {
		buf_add(&b, basic, sizeof(basic));
	} else {
		for (i = 0; i < m->n_names; i++)
			tlv(&a, 0x82, m->names[i], strlen(m->names[i]));
		wrap(&b, 0x30, &a);
		wrap(&a, 0x04, &b);
		buf_add(&b, san, sizeof(san));
		buf_add(&b, a.data, a.len);
		buf_reset(&a);
		wrap(&a, 0x30, &b);
		buf_add(&b, a.data, a.len);
		buf_reset(&a);
		if (m->ari)
			buf_add(&b, issuer_key, sizeof(issuer_key));
	}
	wrap(&a, 0x30, &b);
	wrap(out, 0xa3, &a);
}

static void
put_int(struct buf *out, const unsigned char *raw, size_t len)
{
	unsigned char padded[33] = { 0 };
	size_t at = 0;

	memcpy(padded + 1, raw, len);
	while (at < len && padded[at] == 0 && padded[at + 1] < 0x80)
		at++;
	tlv(out, 0x02, padded + at, len + 1 - at);
}

static void
put_signature(struct buf *out, const struct buf *tbs, bool forged)
{
	AUTO(buf_done)
	struct buf raw = BUF_INIT(128), der = BUF_INIT(128),
		   bits = BUF_INIT(128);
	const unsigned char *r;

	if (key_sign_jws(ca_key(forged), tbs->data, tbs->len, &raw, NULL) == -1)
		abort();
	r = (const unsigned char *)raw.data;
	put_int(&der, r, 32);
	put_int(&der, r + 32, 32);
	buf_putc(&bits, 0);
	wrap(&bits, 0x30, &der);
	wrap(out, 0x03, &bits);
}

static void
put_validity(struct buf *out, int64_t from, int64_t to)
{
	AUTO(buf_done) struct buf a = BUF_INIT(64);

	put_time(&a, from);
	put_time(&a, to);
	wrap(out, 0x30, &a);
}

/* subject NULL: the leaf of m; else the issuer's own, self-signed. */
static unsigned char serial[] = { 0x01, 0, 0, 0 };

void
mint_reset(void)
{
	serial[2] = serial[3] = 0;
}

static void
put_cert(struct buf *der, const struct mint *m, const char *subject,
    const char *issuer)
{
	static const unsigned char version[] = { 0xa0, 0x03, 0x02, 0x01, 0x02 };
	AUTO(buf_done)
	struct buf a = BUF_INIT(CERT_MAX), b = BUF_INIT(CERT_MAX);

	/* those of issuers are made once, and do not count */
	if (subject == NULL && ++serial[3] == 0)
		serial[2]++;
	buf_add(&a, version, sizeof(version));
	tlv(&a, 0x02, serial, sizeof(serial));
	buf_add(&a, ecdsa_sha256, sizeof(ecdsa_sha256));
	put_name(&a, issuer);
	put_validity(&a, m->from, m->to);
	if (subject == NULL)
		tlv(&a, 0x30, "", 0);
	else
		put_name(&a, subject);
	if (subject == NULL)
		spki_of(m->key, &a);
	else
		key_spki(ca_key(false), &a);
	put_extensions(&a, subject == NULL ? m : NULL);
	wrap(&b, 0x30, &a);
	buf_add(&a, b.data, b.len);
	buf_add(&a, ecdsa_sha256, sizeof(ecdsa_sha256));
	if (m->leaf_only) /* nobody looks at it */
		tlv(&a, 0x03, "\0\x30\x06\x02\x01\x01\x02\x01\x01", 9);
	else
		put_signature(&a, &b, m->forged && subject == NULL);
	wrap(der, 0x30, &a);
}

static void
put_pem(struct buf *out, const struct buf *der)
{
	AUTO(buf_done) struct buf text = BUF_INIT(4 * CERT_MAX);
	size_t i;

	b64url_encode(der->data, der->len, &text);
	for (i = 0; i < text.len; i++) {
		if (text.data[i] == '-')
			text.data[i] = '+';
		if (text.data[i] == '_')
			text.data[i] = '/';
	}
	while (text.len % 4 != 0)
		buf_putc(&text, '=');
	buf_puts(out, "-----BEGIN CERTIFICATE-----\n");
	for (i = 0; i < text.len; i += 64)
		buf_printf(out, "%.64s\n", text.data + i);
	buf_puts(out, "-----END CERTIFICATE-----\n");
}

/* Good for a century, and signed once only: that takes its time. */
static void
put_issuer(const struct mint *m, const char *name, struct buf *out)
{
	static struct {
		char name[32];
		struct buf pem;
	} made[4];
	AUTO(buf_done) struct buf der = BUF_INIT(CERT_MAX);
	struct mint long_ago = *m;
	size_t i;

	for (i = 0; i + 1 < NELEM(made) && made[i].name[0] != '\0'; i++)
		if (strcmp(made[i].name, name) == 0)
			break;
	if (strcmp(made[i].name, name) != 0) {
		long_ago.from = 0;
		long_ago.to = INT64_C(4000000000);
		put_cert(&der, &long_ago, name, name);
		buf_done(&made[i].pem);
		made[i].pem = BUF_INIT(4 * CERT_MAX);
		put_pem(&made[i].pem, &der);
		(void)snprintf(made[i].name, sizeof(made[i].name), "%s", name);
	}
	buf_add(out, made[i].pem.data, made[i].pem.len);
}

void
mint_chain(const struct mint *m, struct buf *out)
{
	AUTO(buf_done) struct buf der = BUF_INIT(CERT_MAX);
	const char *issuer = m->issuer == NULL ? "Test CA" : m->issuer;

	put_cert(&der, m, NULL, issuer);
	put_pem(out, &der);
	if (m->leaf_only)
		return;
	put_issuer(m, issuer, out);
}
