/* SPDX-License-Identifier: ISC */
/*
 * The public suffix list (libpsl stays behind this line): under which name a
 * CA counts what it allows per registered domain.
 */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

struct psl;

/*
 * The newer of the distribution's list and the one built into libpsl.  Files
 * are read here and never again.  NULL on failure.
 */
struct psl *psl_new(struct err *);
/* Not psl_free(): that is libpsl's, and libcurl calls it. */
void psl_close(struct psl *); /* NULL is fine */
DEFINE_AUTO(struct psl, psl_close)

/*
 * What ident, canonical as str_ident() makes it, is counted under: the
 * registered domain of a name, private suffixes (github.io) included, and a
 * public suffix itself under its own name, each without "*."; an IPv4 address
 * as it is; of an IPv6 address the network, "2001:db8:1:2::/64".  Returns out.
 */
const char *psl_domain(
    const struct psl *, const char *ident, char out[STR_IDENT_MAX]);
