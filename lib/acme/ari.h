/* SPDX-License-Identifier: ISC */
/*
 * Renewal information (RFC 9773): when a CA wants a certificate replaced, and
 * where to ask for it.  What makes no sense is refused whole, so that a window
 * from here always has a start, a later end and a year of today's; when within
 * it to renew is the caller's business.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/pool.h"

#define ARI_BODY_MAX (1u << 14)

struct renewal_info {
	int64_t start, end; /* start < end, both of 2020 to 2200 */
	const char
	    *explanation; /* https, for people; NULL: none; in the pool */
};

/*
 * RFC 9773 4.2.  Needs suggestedWindow with two RFC 3339 instants; ERR_PROTO
 * says what is wrong, ERR_LIMIT that the body is longer than ARI_BODY_MAX.  An
 * explanationURL that is not https, or that cannot be shown, is left out.
 */
int renewal_info_decode(const char *body, size_t, struct pool *,
    struct renewal_info *, struct err *);

/*
 * RFC 9773 4.1: where to GET it for cert_id (x509_info.ari_id), by the https
 * URL that is the directory's renewalInfo.  A slash at the end of that is not
 * doubled, and a query stays behind the path.  Appends to out; -1 when cert_id
 * is none, or out has no room.
 */
int ari_url(const char *renewal_info, const char *cert_id, struct buf *out,
    struct err *);
