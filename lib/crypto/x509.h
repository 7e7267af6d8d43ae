/* SPDX-License-Identifier: ISC */
/* Reading issued certificates: what is in them, and may they be installed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/base/pool.h"
#include "lib/crypto/key.h"

#define X509_CHAIN_MAX  10
#define X509_SERIAL_MAX 64

struct chain; /* leaf first, as the CA sent it */

struct x509_info { /* of the leaf; strings live in the pool given */
	int64_t not_before, not_after;
	char key_id[KEY_ID_LEN + 1];
	char serial[2 * X509_SERIAL_MAX + 1]; /* hex, leading 00 kept */
	char *issuer;                         /* CN, or O, or the whole name */
	char *ari_id;  /* RFC 9773 4.1; NULL without an AKI */
	char **idents; /* canonical SANs */
	size_t n_idents;
};

/*
 * Only CERTIFICATE blocks (any other PEM block, a private key above all, is
 * refused; text between blocks is ignored), 1 to X509_CHAIN_MAX, each
 * parseable.  CRLF, no final newline and text around are accepted (RFC 8555
 * 7.4.2, 11.4).  pem need not end in NUL; a NUL inside is refused.
 */
struct chain *chain_parse(const char *pem, size_t, struct err *);
void chain_free(struct chain *); /* NULL is fine */
DEFINE_AUTO(struct chain, chain_free)

int chain_info(
    const struct chain *, struct pool *, struct x509_info *, struct err *);

/* Append clean PEM (LF, 64 columns) of certificates [from, to). */
int chain_pem(
    const struct chain *, size_t from, size_t to, struct buf *, struct err *);
size_t chain_len(const struct chain *);

/*
 * May this chain be installed for that key and these canonical identifiers at
 * the time now?  Leaf key is key_id; SAN set equals idents; not before now +
 * skew; not expired; every certificate is signed by the next.  The error says
 * which and what was found.
 */
int chain_check(const struct chain *, const char *key_id,
    const char *const *idents, size_t n, int64_t now, int64_t skew_s,
    struct err *);

/* Issuer CN of the last certificate equals name, or any certificate's
 * SHA-256 fingerprint (hex, colons allowed) does. */
bool chain_matches(const struct chain *, const char *name);

/* When the first certificate above the leaf expires; INT64_MAX: none. */
int64_t chain_issuers_end(const struct chain *);
