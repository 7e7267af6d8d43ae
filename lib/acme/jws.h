/* SPDX-License-Identifier: ISC */
/* Signed requests: flattened JWS (RFC 7515, RFC 8555 6.2) and EAB (7.3.4). */
#pragma once

#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/crypto/key.h"

#define JWS_URL_MAX     1023
#define JWS_NONCE_MAX   512
#define JWS_PAYLOAD_MAX 49152 /* Boulder refuses bodies over 50,000 bytes */
#define JWS_MAX         (96u << 10)

struct jws_head {
	const char *kid;   /* account URL, or NULL: send the key itself (jwk) */
	const char *nonce; /* base64url; checked */
	const char *url;   /* str_is_https_url(); checked */
};

/*
 * Append {"protected","payload","signature"}.  payload of length 0 is
 * POST-as-GET (the empty string).
 */
int jws_make(struct key *, const struct jws_head *, const void *payload, size_t,
    struct buf *out, struct err *);

/* Append the EAB object: HMAC by mac_key over account's public JWK. alg is
 * 256, 384 or 512; kid printable ASCII without quote and backslash. */
int jws_eab(const struct key *account, const char *kid, const void *mac_key,
    size_t mac_len, int alg, const char *url, struct buf *out, struct err *);

/* Append token "." thumbprint (RFC 8555 8.1). */
void jws_key_authorization(
    const char *token, const char *thumbprint, struct buf *out);
