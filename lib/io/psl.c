/* SPDX-License-Identifier: ISC */
/*
 * Registered domains by libpsl.  A struct psl is a psl_ctx_t under another
 * name.
 */
#include "lib/io/psl.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <libpsl.h>
#include <stdio.h>
#include <string.h>

struct psl *
psl_new(struct err *e)
{
	psl_ctx_t *list = psl_latest(NULL);

	/* What is newest and cannot be read is passed over by libpsl. */
	if (list == NULL)
		(void)err_set(e, ERR_SYS, ENOENT,
		    "public suffix list: none built in, and %s",
		    psl_dist_filename());
	return (struct psl *)list;
}

void
psl_close(struct psl *p)
{
	psl_free((psl_ctx_t *)p); /* knows the built-in one */
}

/* The 64 bits that one customer has at least. */
static void
network(const struct in6_addr *a, char out[STR_IDENT_MAX])
{
	struct in6_addr net = *a;

	memset(net.s6_addr + 8, 0, 8);
	(void)inet_ntop(AF_INET6, &net, out, STR_IDENT_MAX);
	(void)snprintf(out + strlen(out), STR_IDENT_MAX - strlen(out), "/64");
}

const char *
psl_domain(const struct psl *p, const char *ident, char out[STR_IDENT_MAX])
{
	const char *domain = NULL;
	struct in6_addr six;
	struct in_addr four;
	int n;

	if (inet_pton(AF_INET6, ident, &six) == 1) {
		network(&six, out);
		return out;
	}
	if (strncmp(ident, "*.", 2) == 0)
		ident += 2;
	if (inet_pton(AF_INET, ident, &four) != 1)
		domain = psl_registrable_domain((const psl_ctx_t *)p, ident);
	n = snprintf(out, STR_IDENT_MAX, "%s", domain != NULL ? domain : ident);
	assert(n >= 0 && n < STR_IDENT_MAX);
	return out;
}
