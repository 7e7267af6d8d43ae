/* SPDX-License-Identifier: ISC */
/* Certificate chains as a CA sends them: everything that reads one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crypto/x509.h"

#define NOW 1769904000 /* inside the validity of the seeds */

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const idents[] = { "www.example.org" };
	AUTO(chain_free) struct chain *c = NULL, *again = NULL;
	AUTO(pool_free) struct pool *pool = pool_new(1u << 20);
	AUTO(buf_done) struct buf pem = BUF_INIT(2u << 20);
	struct x509_info info;
	struct err e;

	if (pool == NULL ||
	    (c = chain_parse((const char *)data, len, &e)) == NULL)
		return 0;
	(void)chain_matches(c, "Test Root");
	(void)chain_issuers_end(c);
	if (chain_info(c, pool, &info, &e) == 0)
		(void)chain_check(c, info.key_id, idents, 1, NOW, 0, &e);
	/* what we write, we read again as the same */
	if (chain_pem(c, 0, chain_len(c), &pem, &e) == -1 ||
	    (again = chain_parse(pem.data, pem.len, &e)) == NULL ||
	    chain_len(again) != chain_len(c))
		abort();
	return 0;
}
