/* SPDX-License-Identifier: ISC */
/* Digests and MACs. */
#pragma once

#include <stddef.h>

#include "lib/base/err.h"

#define HASH_SHA256_LEN 32
#define HASH_MAX_LEN    64

enum hash_alg { HASH_SHA256, HASH_SHA384, HASH_SHA512 };

int hash_sha256(
    const void *, size_t, unsigned char out[HASH_SHA256_LEN], struct err *);

/* HMAC (RFC 2104).  *out_len: 32, 48 or 64. */
int hash_hmac(enum hash_alg, const void *key, size_t key_len, const void *,
    size_t, unsigned char out[HASH_MAX_LEN], size_t *out_len, struct err *);
