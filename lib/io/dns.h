/* SPDX-License-Identifier: ISC */
/*
 * What DNS says about who may issue for a name (c-ares stays behind this
 * line): the CAA records that RFC 8659 calls relevant.  They are an advice for
 * people before a CA is asked, and no proof: nothing here checks DNSSEC.
 *
 * dns_caa() returns a handle or fails at once.  done runs exactly once, from
 * the loop, never from inside dns_caa(), and not after dns_cancel().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/io/loop.h"

#define DNS_SERVERS_MAX 8
#define DNS_CAA_MAX     64    /* records at one name */
#define DNS_VALUE_MAX   512   /* bytes of one value; what is longer is cut */
#define DNS_TOTAL_MS    10000 /* for all levels of one name */
#define DNS_TRY_MS      1000  /* for the first answer; twice that later */
#define DNS_TRIES       3

struct dns;
struct dns_op;

/*
 * The records at the name or its closest parent that has any.  issuers are
 * those that count for the name: of "issue", or for a wildcard of "issuewild"
 * where there is one.  No issuer: anybody may issue.  An issuer "": that
 * record allows nobody.
 */
struct caa {
	bool found; /* false: neither the name nor a parent has any */
	char at[STR_IDENT_MAX];     /* where; "" */
	const char *const *issuers; /* lower case, without parameters */
	size_t n;
	bool unknown_critical; /* there is one that no CA may pass over */
};

/* err is NULL when DNS answered, be it that there are none. */
typedef void dns_caa_done(void *arg, const struct caa *, const struct err *);

/*
 * servers: "127.0.0.1:53", "[::1]:53", asked in this order; none: those of
 * /etc/resolv.conf, which is read anew for each name.  From now on the process
 * ignores SIGPIPE.  NULL on failure.
 */
struct dns *dns_new(
    struct loop *, const char *const *servers, uint32_t n, struct err *);
void dns_free(struct dns *); /* cancels what is under way; NULL is fine */
DEFINE_AUTO(struct dns, dns_free)

/*
 * Find the records for an identifier, "*." in front or not.  Addresses have
 * none (RFC 8738 6).  An answer that does not come in time, or that is an
 * error or nonsense, is ERR_NET, with num 0 and the name that was asked for;
 * more than DNS_CAA_MAX records are ERR_LIMIT.  Each is on sockets of its own.
 */
struct dns_op *dns_caa(struct dns *, const char *ident, dns_caa_done *,
    void *arg, struct err *);     /* NULL on failure */
void dns_cancel(struct dns_op *); /* NULL is fine */
