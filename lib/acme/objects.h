/* SPDX-License-Identifier: ISC */
/*
 * What a CA sends: JSON bytes in, structs out (RFC 8555 7.1).  Everything
 * lives in the caller's pool.  Decoding refuses impossible objects (a URL that
 * is not https, a pending order without authorizations), so that steps need
 * not ask; members that are unknown, null or optional never matter.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/pool.h"

#define ACME_BODY_MAX    (1u << 20)
#define ACME_AUTHZ_MAX   200
#define ACME_PROFILE_MAX 32

struct directory {
	const char *new_nonce, *new_account, *new_order;     /* never NULL */
	const char *revoke_cert, *key_change, *renewal_info; /* may be NULL */
	const char *terms, *website;                         /* may be NULL */
	bool eab_required;
	const char **caa_identities, **profiles; /* NULL-terminated */
};
int directory_decode(
    const char *, size_t, struct pool *, struct directory *, struct err *);

enum acme_status { /* of any object; which ones are possible depends on it */
	ACME_UNKNOWN,
	ACME_PENDING,
	ACME_READY,
	ACME_PROCESSING,
	ACME_VALID,
	ACME_INVALID,
	ACME_DEACTIVATED,
	ACME_EXPIRED,
	ACME_REVOKED,
	ACME_STATUS__COUNT,
};
const char *acme_status_name(enum acme_status);

struct account {
	enum acme_status status;
	const char *orders; /* URL of the list of its orders; NULL: has none */
};
int account_decode(
    const char *, size_t, struct pool *, struct account *, struct err *);

/* One page of that list (7.1.2.1): fn for each URL in it, in its order; what
 * is no URL that we would ask is left out. */
int orders_decode(const char *, size_t, void (*fn)(void *arg, const char *url),
    void *arg, struct err *);

struct ident { /* canonical, see str_ident() */
	const char *value;
	bool is_ip;
};

struct order {
	enum acme_status status; /* pending ready processing valid invalid */
	int64_t expires;         /* 0: not said */
	struct ident *idents;
	size_t n_idents;
	const char **authzs; /* URLs; at least one when pending */
	size_t n_authzs;
	const char *profile;     /* NULL: not said */
	const char *finalize;    /* never NULL when pending or ready */
	const char *certificate; /* never NULL when valid */
	bool has_error;
	struct err error; /* when has_error */
};
int order_decode(
    const char *, size_t, struct pool *, struct order *, struct err *);

/* Same identifiers as a set?  (RFC 8555 7.1.3: immutable, any order.) */
bool order_is_for(const struct order *, const char *const *idents, size_t n);

struct challenge {               /* one of a type we know */
	const char *url, *token; /* token passed str_is_token() */
	enum acme_status status; /* pending processing valid invalid */
	bool has_error;
};

struct authz {
	enum acme_status status;
	struct ident ident;
	struct challenge *http01; /* NULL: not offered */
	const char *offered; /* "dns-01, tls-alpn-01": for the error text */
	bool has_error;      /* some challenge's error, whatever its type */
	struct err error;
};
int authz_decode(
    const char *, size_t, struct pool *, struct authz *, struct err *);
