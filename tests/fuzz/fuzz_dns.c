/* SPDX-License-Identifier: ISC */
/* An answer with CAA records, as c-ares hands it over. */

/* How an answer is read is nobody's business outside. */
#include "lib/io/dns.c"

#include "lib/base/str.h"

static void
need(bool true_)
{
	if (!true_)
		abort();
}

static void
check_text(const char *s)
{
	need(s != NULL && strlen(s) <= DNS_VALUE_MAX);
	for (; *s != '\0'; s += str_char(s))
		need(str_char(s) != 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	AUTO(pool_free) struct pool *pool = pool_new(POOL_MAX);
	struct dns_op op = {
		.pool = pool, .name = "www.example.org", .state = WAITING
	};
	size_t i;

	if (len == 0 || len > UINT16_MAX)
		return 0;
	op.wildcard = data[0] & 1;
	op.at = op.name;
	read_reply(&op, data + 1, (int)len - 1);
	need(op.state != WAITING);
	need(op.caa.n == 0 || op.caa.found);
	for (i = 0; i < op.caa.n; i++)
		check_text(op.caa.issuers[i]);
	return 0;
}
