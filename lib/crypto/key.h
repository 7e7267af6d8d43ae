/* SPDX-License-Identifier: ISC */
/*
 * Private keys.  mbedTLS (2.28 and 3.6) stays behind this line.  Not for use
 * by two threads at once, but different keys may be used by different threads.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/err.h"

struct key;

enum key_type {
	KEY_EC256,
	KEY_EC384,
	KEY_RSA2048,
	KEY_RSA3072,
	KEY_RSA4096,
	KEY_TYPE__COUNT
};

/* Hex of SHA-256 over the DER SubjectPublicKeyInfo. */
#define KEY_ID_LEN  64
#define KEY_PEM_MAX 8192

/* "ec256", ...; NULL when out of range. */
const char *key_type_name(enum key_type);

/* A new key, from the system's random numbers.  May take seconds for RSA. */
struct key *key_generate(enum key_type, struct err *); /* NULL on failure */

/* PKCS#8, SEC1 or PKCS#1 PEM of a type above; need not end in NUL. */
struct key *key_from_pem(const void *, size_t, struct err *);

/* Append unencrypted PKCS#8 PEM ("BEGIN PRIVATE KEY").  Reserve KEY_PEM_MAX
 * in out first, and wipe it. */
int key_to_pem(const struct key *, struct buf *out, struct err *);

enum key_type key_type(const struct key *);
int key_id(const struct key *, char out[KEY_ID_LEN + 1], struct err *);

/* Append the RFC 7638 canonical JWK: lexical order, no white space. */
int key_jwk(const struct key *, struct buf *out, struct err *);

/* Append base64url(SHA-256(key_jwk)) (RFC 7638 3). */
int key_thumbprint(const struct key *, struct buf *out, struct err *);

/* "ES256", "ES384", "RS256" (every RSA size). */
const char *key_jws_alg(const struct key *);

/* Append the raw JWS signature of data (RFC 7518 3.3, 3.4: for EC, padded
 * r || s and not DER). */
int key_sign_jws(
    struct key *, const void *, size_t, struct buf *out, struct err *);

/* Whether sig is that key's JWS signature of data (tests; the mock CA). */
bool key_verify_jws(
    struct key *, const void *, size_t, const void *sig, size_t sig_len);

void key_free(struct key *); /* wipes; NULL is fine */
DEFINE_AUTO(struct key, key_free)
