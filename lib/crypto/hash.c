/* SPDX-License-Identifier: ISC */
/* Digests and MACs, by mbedTLS's generic interface: the same in 2.28 and 3.6.
 */
#include <assert.h>

#include <mbedtls/md.h>

#include "lib/base/cleanup.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/mbed.h"

int
hash_sha256(const void *data, size_t len, unsigned char out[HASH_SHA256_LEN],
    struct err *e)
{
	int rc = mbedtls_md(
	    mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), data, len, out);

	return rc == 0 ? 0 : mbed_err(e, rc, "sha256");
}

int
hash_hmac(enum hash_alg alg, const void *key, size_t key_len, const void *data,
    size_t len, unsigned char out[HASH_MAX_LEN], size_t *out_len, struct err *e)
{
	static const mbedtls_md_type_t mds[] = {
		[HASH_SHA256] = MBEDTLS_MD_SHA256,
		[HASH_SHA384] = MBEDTLS_MD_SHA384,
		[HASH_SHA512] = MBEDTLS_MD_SHA512,
	};
	const mbedtls_md_info_t *md;
	int rc;

	assert(alg < NELEM(mds));
	md = mbedtls_md_info_from_type(mds[alg]);
	rc = mbedtls_md_hmac(md, key, key_len, data, len, out);
	if (rc != 0)
		return mbed_err(e, rc, "hmac");
	*out_len = mbedtls_md_get_size(md);
	return 0;
}
