/* SPDX-License-Identifier: ISC */
/*
 * For lib/crypto alone: where mbedTLS 2.28 and 3.6 differ, and what its
 * modules share (curves, randomness, error texts, writing DER and PEM).
 */
#pragma once

#include <stddef.h>

#include <mbedtls/ecp.h>
#include <mbedtls/md.h>
#include <mbedtls/pk.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

#if MBEDTLS_VERSION_NUMBER < 0x03000000
#define MBEDTLS_PRIVATE(member) member
#define mbed_pk_parse_key(pk, der, len) \
	mbedtls_pk_parse_key((pk), (der), (len), NULL, 0)
#define mbed_pk_sign(pk, md, hash, hash_len, sig, size, len) \
	mbedtls_pk_sign(                                     \
	    (pk), (md), (hash), (hash_len), (sig), (len), mbed_random, NULL)
#else
#define mbed_pk_parse_key(pk, der, len) \
	mbedtls_pk_parse_key((pk), (der), (len), NULL, 0, mbed_random, NULL)
#define mbed_pk_sign(pk, md, hash, hash_len, sig, size, len)                  \
	mbedtls_pk_sign((pk), (md), (hash), (hash_len), (sig), (size), (len), \
	    mbed_random, NULL)
#endif

/* 3.6 copies a whole key to show these three. */
#define mbed_ec_group(kp)  ((kp)->MBEDTLS_PRIVATE(grp))
#define mbed_ec_secret(kp) ((kp)->MBEDTLS_PRIVATE(d))
#define mbed_ec_point(kp)  ((kp)->MBEDTLS_PRIVATE(Q))

/* 3.6 has no accessor for a certificate's signature. */
#define mbed_crt_sig(crt)      ((crt)->MBEDTLS_PRIVATE(sig))
#define mbed_crt_sig_md(crt)   ((crt)->MBEDTLS_PRIVATE(sig_md))
#define mbed_crt_sig_pk(crt)   ((crt)->MBEDTLS_PRIVATE(sig_pk))
#define mbed_crt_sig_opts(crt) ((crt)->MBEDTLS_PRIVATE(sig_opts))

/* ERR_CRYPTO (or ERR_NOMEM) with mbedTLS's own words after what.  -1. */
int mbed_err(struct err *, int code, const char *what);

/* An f_rng: getrandom(2). */
int mbed_random(void *unused, unsigned char *, size_t);

/*
 * The process's own group for P-256 or P-384, with the multiples of its base
 * point computed once; any thread may use it.  2.28 computes them again for
 * every signature made or checked through mbedtls_pk (1.2 ms and not 0.35 for
 * a P-256 signature).  *out is NULL for other curves.  An mbedTLS code.
 */
int mbed_curve(mbedtls_ecp_group_id, mbedtls_ecp_group **out);

/* A key's SubjectPublicKeyInfo in DER; it lives as long as the key. */
struct key;
const unsigned char *key_spki(const struct key *, size_t *len);

/* A signature as it stands in a certificate. */
struct mbed_sig {
	mbedtls_pk_type_t type; /* and opts: see mbedtls_pk_verify_ext() */
	const void *opts;
	mbedtls_md_type_t md;
	const unsigned char *sig;
	size_t len;
};

/* 0 when it is that key's signature of hash; an mbedTLS code otherwise. */
int mbed_verify(mbedtls_pk_context, const struct mbed_sig *,
    const unsigned char *hash, size_t hash_len);

/*
 * DER is written backwards, from the end of buf to p.  The first failure
 * sticks in rc.
 */
struct der {
	unsigned char *buf, *p, *end;
	int rc;
};
#define DER_INIT(b, size) \
	((struct der){ .buf = (b), .p = (b) + (size), .end = (b) + (size) })
void der_raw(struct der *, const void *, size_t);
void der_mpi(struct der *, const mbedtls_mpi *);
/* Put a tag in front of what was written since p was at until. */
void der_wrap(struct der *, const unsigned char *until, unsigned char tag);
#define DER_STR(d, lit) der_raw((d), (lit), sizeof(lit) - 1)

/* Append a PEM block with lines of 64.  A failure shows in buf_ok(). */
void pem_write(
    const char *label, const unsigned char *der, size_t, struct buf *);
