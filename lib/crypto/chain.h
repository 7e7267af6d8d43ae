/* SPDX-License-Identifier: ISC */
/* For lib/crypto alone: what x509.c reads and x509_check.c judges. */
#pragma once

#include "lib/crypto/hash.h"
#include "lib/crypto/mbed.h"
#include "lib/crypto/x509.h"

struct chain {
	size_t n;
	struct cert {
		mbedtls_x509_crt crt;
		unsigned char sha256[HASH_SHA256_LEN]; /* of the DER */
		int64_t not_before, not_after;
	} certs[X509_CHAIN_MAX];
};
