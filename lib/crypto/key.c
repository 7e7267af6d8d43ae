/* SPDX-License-Identifier: ISC */
/*
 * Private keys and what is done with them.  Keeps the SubjectPublicKeyInfo at
 * hand: id, JWK and PKCS#8 are cut from it.  Signs EC by the process's shared
 * curves (see mbed_curve()).  Does not know where keys are stored.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <mbedtls/asn1.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/rsa.h>

#include "lib/base/b64.h"
#include "lib/base/str.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/key.h"
#include "lib/crypto/mbed.h"

#define DER_MAX      4096 /* PKCS#8 of RSA 4096 takes about 2400 */
#define COORD_MAX    48
#define MODULUS_MAX  512
#define SPKI_MAX     600 /* RSA 4096 takes 550 */
#define RSA_EXPONENT 65537

struct key {
	enum key_type type;
	mbedtls_pk_context pk;
	unsigned char spki[SPKI_MAX];
	size_t spki_len;
	size_t alg, bits; /* where in spki its two members start */
};

/* clang-format off */
static const struct type_def {
	const char *name;
	mbedtls_ecp_group_id curve; /* NONE: RSA */
	unsigned int bits;          /* of a coordinate, or the modulus */
	mbedtls_md_type_t md;
	const char *jws_alg, *crv;
} types[KEY_TYPE__COUNT] = {
	[KEY_EC256]   = { "ec256",   MBEDTLS_ECP_DP_SECP256R1, 256,
	                  MBEDTLS_MD_SHA256, "ES256", "P-256" },
	[KEY_EC384]   = { "ec384",   MBEDTLS_ECP_DP_SECP384R1, 384,
	                  MBEDTLS_MD_SHA384, "ES384", "P-384" },
	[KEY_RSA2048] = { "rsa2048", MBEDTLS_ECP_DP_NONE, 2048,
	                  MBEDTLS_MD_SHA256, "RS256", NULL },
	[KEY_RSA3072] = { "rsa3072", MBEDTLS_ECP_DP_NONE, 3072,
	                  MBEDTLS_MD_SHA256, "RS256", NULL },
	[KEY_RSA4096] = { "rsa4096", MBEDTLS_ECP_DP_NONE, 4096,
	                  MBEDTLS_MD_SHA256, "RS256", NULL },
};
/* clang-format on */

static bool
is_ec(const struct key *k)
{
	return types[k->type].curve != MBEDTLS_ECP_DP_NONE;
}

static size_t
key_bytes(const struct key *k)
{
	return types[k->type].bits / 8;
}

const char *
key_type_name(enum key_type type)
{
	return type < KEY_TYPE__COUNT ? types[type].name : NULL;
}

static struct key *
key_new(struct err *e)
{
	struct key *k = calloc(1, sizeof(*k));

	if (k == NULL)
		(void)err_nomem(e, "key");
	else
		mbedtls_pk_init(&k->pk);
	return k;
}

void
key_free(struct key *k)
{
	if (k == NULL)
		return;
	mbedtls_pk_free(&k->pk); /* wipes */
	free(k);
}

/* SubjectPublicKeyInfo ::= SEQUENCE { AlgorithmIdentifier, BIT STRING } */
static int
save_spki(struct key *k, struct err *e)
{
	unsigned char *p = k->spki;
	size_t len;
	int rc;

	rc = mbedtls_pk_write_pubkey_der(&k->pk, k->spki, sizeof(k->spki));
	if (rc < 0)
		return mbed_err(e, rc, "public key");
	k->spki_len = (size_t)rc;
	memmove(p, p + sizeof(k->spki) - k->spki_len, k->spki_len);
	rc = mbedtls_asn1_get_tag(&p, k->spki + k->spki_len, &len,
	    MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE);
	k->alg = (size_t)(p - k->spki);
	if (rc == 0)
		rc = mbedtls_asn1_get_tag(&p, k->spki + k->spki_len, &len,
		    MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE);
	if (rc != 0)
		return mbed_err(e, rc, "public key");
	k->bits = (size_t)(p - k->spki) + len;
	return 0;
}

static int
generate_ec(struct key *k, mbedtls_ecp_group_id id)
{
	mbedtls_ecp_keypair *kp = mbedtls_pk_ec(k->pk);
	mbedtls_ecp_group *grp;
	int rc;

	if ((rc = mbed_curve(id, &grp)) != 0 ||
	    (rc = mbedtls_ecp_group_load(&mbed_ec_group(kp), id)) != 0)
		return rc;
	return mbedtls_ecp_gen_keypair(
	    grp, &mbed_ec_secret(kp), &mbed_ec_point(kp), mbed_random, NULL);
}

struct key *
key_generate(enum key_type type, struct err *e)
{
	AUTO(key_free) struct key *k = key_new(e);
	int rc;

	assert(type < KEY_TYPE__COUNT);
	if (k == NULL)
		return NULL;
	k->type = type;
	rc = mbedtls_pk_setup(
	    &k->pk, mbedtls_pk_info_from_type(
			is_ec(k) ? MBEDTLS_PK_ECKEY : MBEDTLS_PK_RSA));
	if (rc == 0 && is_ec(k))
		rc = generate_ec(k, types[type].curve);
	else if (rc == 0)
		rc = mbedtls_rsa_gen_key(mbedtls_pk_rsa(k->pk), mbed_random,
		    NULL, types[type].bits, RSA_EXPONENT);
	if (rc != 0) {
		(void)mbed_err(e, rc, "new key");
		return NULL;
	}
	return save_spki(k, e) == -1 ? NULL : take_ptr(k);
}

/* Says so when the key is none of ours. */
static int
find_type(struct key *k, struct err *e)
{
	mbedtls_ecp_keypair *kp = mbedtls_pk_ec(k->pk); /* NULL: RSA */
	mbedtls_ecp_group_id curve = MBEDTLS_ECP_DP_NONE;
	const mbedtls_ecp_curve_info *info = NULL;
	size_t bits = mbedtls_pk_get_bitlen(&k->pk);
	enum key_type t;

	if (kp != NULL) {
		curve = mbed_ec_group(kp).id;
		info = mbedtls_ecp_curve_info_from_grp_id(curve);
	}
	for (t = 0; t < KEY_TYPE__COUNT; t++) {
		if (types[t].curve != curve || types[t].bits != bits)
			continue;
		k->type = t;
		return 0;
	}
	if (kp == NULL)
		return err_set(e, ERR_CONFIG, 0,
		    "key: RSA of %zu bits; 2048, 3072 or 4096 can be used",
		    bits);
	return err_set(e, ERR_CONFIG, 0,
	    "key: curve %s; P-256 (prime256v1) or P-384 (secp384r1) can be "
	    "used",
	    info == NULL ? "unknown" : info->name);
}

/* mbedTLS believes the public half of a file; a damaged file is found here. */
static int
check_pair(struct key *k, struct err *e)
{
	mbedtls_ecp_group *grp;
	mbedtls_ecp_keypair *kp;
	mbedtls_ecp_point q;
	int rc;

	if (!is_ec(k)) {
		rc = mbedtls_rsa_check_privkey(mbedtls_pk_rsa(k->pk));
		return rc == 0 ? 0 : mbed_err(e, rc, "key");
	}
	kp = mbedtls_pk_ec(k->pk);
	if ((rc = mbed_curve(types[k->type].curve, &grp)) != 0)
		return mbed_err(e, rc, "key");
	mbedtls_ecp_point_init(&q);
	rc = mbedtls_ecp_mul(
	    grp, &q, &mbed_ec_secret(kp), &grp->G, mbed_random, NULL);
	if (rc == 0)
		rc = mbedtls_ecp_point_cmp(&q, &mbed_ec_point(kp));
	mbedtls_ecp_point_free(&q);
	return rc == 0 ? 0 : mbed_err(e, rc, "key: halves do not match");
}

static int
parse_pem(struct key *k, const void *pem, size_t len, struct err *e)
{
	unsigned char *copy;
	int rc;

	if (len > KEY_PEM_MAX)
		return err_set(
		    e, ERR_LIMIT, 0, "key: longer than %d bytes", KEY_PEM_MAX);
	if (len == 0 || memchr(pem, '\0', len) != NULL)
		return err_set(e, ERR_CONFIG, 0, "key: %s, no PEM",
		    len == 0 ? "empty" : "binary");
	if ((copy = malloc(len + 1)) == NULL)
		return err_nomem(e, "key");
	memcpy(copy, pem, len);
	copy[len] = '\0'; /* mbedTLS counts it in */
	rc = mbed_pk_parse_key(&k->pk, copy, len + 1);
	explicit_bzero(copy, len);
	free(copy);
	if (rc == MBEDTLS_ERR_PK_PASSWORD_REQUIRED)
		return err_set(e, ERR_CONFIG, 0, "key: encrypted");
	return rc == 0 ? 0 : mbed_err(e, rc, "key");
}

struct key *
key_from_pem(const void *pem, size_t len, struct err *e)
{
	AUTO(key_free) struct key *k = key_new(e);

	if (k == NULL || parse_pem(k, pem, len, e) == -1 ||
	    find_type(k, e) == -1 || check_pair(k, e) == -1 ||
	    save_spki(k, e) == -1)
		return NULL;
	return take_ptr(k);
}

/* RFC 5915, with the public key but without the curve, which PKCS#8 names. */
static void
put_sec1(const struct key *k, struct der *d)
{
	unsigned char secret[COORD_MAX];
	const unsigned char *end = d->p, *at = d->p;
	size_t n = key_bytes(k);
	int rc;

	der_raw(d, k->spki + k->bits, k->spki_len - k->bits);
	der_wrap(d, at,
	    MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_ASN1_CONSTRUCTED | 1);
	rc = mbedtls_mpi_write_binary(
	    &mbed_ec_secret(mbedtls_pk_ec(k->pk)), secret, n);
	if (rc != 0 && d->rc == 0)
		d->rc = rc;
	at = d->p;
	der_raw(d, secret, n);
	explicit_bzero(secret, sizeof(secret));
	der_wrap(d, at, MBEDTLS_ASN1_OCTET_STRING);
	DER_STR(d, "\x02\x01\x01"); /* version 1 */
	der_wrap(d, end, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE);
}

static void
put_pkcs1(const struct key *k, struct der *d)
{
	mbedtls_pk_context pk = k->pk; /* 2.28 wants it without const */
	int n = mbedtls_pk_write_key_der(&pk, d->buf, (size_t)(d->p - d->buf));

	if (n < 0)
		d->rc = n;
	else
		d->p -= n;
}

int
key_to_pem(const struct key *k, struct buf *out, struct err *e)
{
	unsigned char der[DER_MAX];
	struct der d = DER_INIT(der, sizeof(der));

	if (is_ec(k))
		put_sec1(k, &d);
	else
		put_pkcs1(k, &d);
	der_wrap(&d, d.end, MBEDTLS_ASN1_OCTET_STRING);
	der_raw(&d, k->spki + k->alg, k->bits - k->alg);
	DER_STR(&d, "\x02\x01\x00"); /* version 0 */
	der_wrap(&d, d.end, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE);
	if (d.rc == 0)
		pem_write("PRIVATE KEY", d.p, (size_t)(d.end - d.p), out);
	explicit_bzero(der, sizeof(der));
	if (d.rc != 0)
		return mbed_err(e, d.rc, "private key");
	return buf_ok(out) ? 0 : err_nomem(e, "private key");
}

enum key_type
key_type(const struct key *k)
{
	return k->type;
}

const unsigned char *
key_spki(const struct key *k, size_t *len)
{
	*len = k->spki_len;
	return k->spki;
}

int
key_id(const struct key *k, char out[KEY_ID_LEN + 1], struct err *e)
{
	unsigned char hash[HASH_SHA256_LEN];

	if (hash_sha256(k->spki, k->spki_len, hash, e) == -1)
		return -1;
	str_hex(hash, sizeof(hash), out);
	return 0;
}

static int
put_mpi(const mbedtls_mpi *n, struct buf *out)
{
	unsigned char bin[MODULUS_MAX];
	size_t len = mbedtls_mpi_size(n);
	int rc;

	if (len > sizeof(bin))
		return MBEDTLS_ERR_MPI_BUFFER_TOO_SMALL;
	if ((rc = mbedtls_mpi_write_binary(n, bin, len)) == 0)
		b64url_encode(bin, len, out);
	return rc;
}

static int
put_rsa_jwk(const struct key *k, struct buf *out)
{
	mbedtls_mpi n, e;
	int rc;

	mbedtls_mpi_init(&n);
	mbedtls_mpi_init(&e);
	rc =
	    mbedtls_rsa_export(mbedtls_pk_rsa(k->pk), &n, NULL, NULL, NULL, &e);
	buf_puts(out, "{\"e\":\"");
	if (rc == 0)
		rc = put_mpi(&e, out);
	buf_puts(out, "\",\"kty\":\"RSA\",\"n\":\"");
	if (rc == 0)
		rc = put_mpi(&n, out);
	buf_puts(out, "\"}");
	mbedtls_mpi_free(&n);
	mbedtls_mpi_free(&e);
	return rc;
}

/* SubjectPublicKeyInfo ends in the two coordinates at their full length. */
static void
put_ec_jwk(const struct key *k, struct buf *out)
{
	size_t n = key_bytes(k);
	const unsigned char *xy = k->spki + k->spki_len - 2 * n;

	buf_printf(
	    out, "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"", types[k->type].crv);
	b64url_encode(xy, n, out);
	buf_puts(out, "\",\"y\":\"");
	b64url_encode(xy + n, n, out);
	buf_puts(out, "\"}");
}

int
key_jwk(const struct key *k, struct buf *out, struct err *e)
{
	int rc = 0;

	if (is_ec(k))
		put_ec_jwk(k, out);
	else
		rc = put_rsa_jwk(k, out);
	if (rc != 0)
		return mbed_err(e, rc, "jwk");
	return buf_ok(out) ? 0 : err_nomem(e, "jwk");
}

int
key_thumbprint(const struct key *k, struct buf *out, struct err *e)
{
	AUTO(buf_done) struct buf jwk = BUF_INIT(4096);
	unsigned char hash[HASH_SHA256_LEN];

	if (key_jwk(k, &jwk, e) == -1 ||
	    hash_sha256(jwk.data, jwk.len, hash, e) == -1)
		return -1;
	b64url_encode(hash, sizeof(hash), out);
	return buf_ok(out) ? 0 : err_nomem(e, "thumbprint");
}

const char *
key_jws_alg(const struct key *k)
{
	return types[k->type].jws_alg;
}

static int
sign_ec(struct key *k, const unsigned char *hash, size_t hash_len,
    unsigned char *sig)
{
	const struct type_def *t = &types[k->type];
	mbedtls_ecp_group *grp;
	mbedtls_mpi r, s;
	size_t n = key_bytes(k);
	int rc;

	if ((rc = mbed_curve(t->curve, &grp)) != 0)
		return rc;
	mbedtls_mpi_init(&r);
	mbedtls_mpi_init(&s);
	rc = mbedtls_ecdsa_sign_det_ext(grp, &r, &s,
	    &mbed_ec_secret(mbedtls_pk_ec(k->pk)), hash, hash_len, t->md,
	    mbed_random, NULL);
	if (rc == 0)
		rc = mbedtls_mpi_write_binary(&r, sig, n);
	if (rc == 0)
		rc = mbedtls_mpi_write_binary(&s, sig + n, n);
	mbedtls_mpi_free(&r);
	mbedtls_mpi_free(&s);
	return rc;
}

int
key_sign_jws(
    struct key *k, const void *data, size_t len, struct buf *out, struct err *e)
{
	const struct type_def *t = &types[k->type];
	const mbedtls_md_info_t *md = mbedtls_md_info_from_type(t->md);
	unsigned char hash[HASH_MAX_LEN], sig[MBEDTLS_PK_SIGNATURE_MAX_SIZE];
	size_t sig_len = 2 * key_bytes(k);
	int rc;

	rc = mbedtls_md(md, data, len, hash);
	if (rc == 0 && is_ec(k))
		rc = sign_ec(k, hash, mbedtls_md_get_size(md), sig);
	else if (rc == 0)
		rc = mbed_pk_sign(&k->pk, t->md, hash, mbedtls_md_get_size(md),
		    sig, sizeof(sig), &sig_len);
	if (rc != 0)
		return mbed_err(e, rc, "sign");
	buf_add(out, sig, sig_len);
	return buf_ok(out) ? 0 : err_nomem(e, "signature");
}

static bool
verify_ec(struct key *k, const unsigned char *hash, size_t hash_len,
    const unsigned char *sig)
{
	mbedtls_ecp_group *grp;
	mbedtls_mpi r, s;
	size_t n = key_bytes(k);
	bool good;

	if (mbed_curve(types[k->type].curve, &grp) != 0)
		return false;
	mbedtls_mpi_init(&r);
	mbedtls_mpi_init(&s);
	good = mbedtls_mpi_read_binary(&r, sig, n) == 0 &&
	       mbedtls_mpi_read_binary(&s, sig + n, n) == 0 &&
	       mbedtls_ecdsa_verify(grp, hash, hash_len,
		   &mbed_ec_point(mbedtls_pk_ec(k->pk)), &r, &s) == 0;
	mbedtls_mpi_free(&r);
	mbedtls_mpi_free(&s);
	return good;
}

bool
key_verify_jws(struct key *k, const void *data, size_t len, const void *sig,
    size_t sig_len)
{
	const struct type_def *t = &types[k->type];
	const mbedtls_md_info_t *md = mbedtls_md_info_from_type(t->md);
	unsigned char hash[HASH_MAX_LEN];

	if (mbedtls_md(md, data, len, hash) != 0)
		return false;
	if (is_ec(k))
		return sig_len == 2 * key_bytes(k) &&
		       verify_ec(k, hash, mbedtls_md_get_size(md), sig);
	return mbedtls_pk_verify(&k->pk, t->md, hash, mbedtls_md_get_size(md),
		   sig, sig_len) == 0;
}
