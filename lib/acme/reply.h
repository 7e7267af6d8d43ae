/* SPDX-License-Identifier: ISC */
/* Headers of a CA's replies. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/pool.h"

/*
 * Retry-After (RFC 9110 10.2.3): delta-seconds or any HTTP-date, the date
 * relative to the reply's own Date header (NULL or bad: now).  Seconds from
 * now, never negative; -1: absent, not understood, or more than a year.
 */
int64_t reply_retry_after(const char *value, const char *date, int64_t now);

/* base64url and 1 to 512 long: what we send back as a nonce (RFC 8555 6.5.1).
 */
bool reply_nonce_ok(const char *);

/* The media type alone, case and parameters aside: "application/pem-...". */
bool reply_type_is(const char *content_type, const char *type);

/*
 * Call fn with each target of relation rel in one Link header (RFC 8288):
 * several links, quoted or not, several relations, relative to base.  Targets
 * that are not https are skipped.
 */
void reply_links(const char *header, const char *base, const char *rel,
    void (*fn)(void *arg, const char *url), void *arg);
