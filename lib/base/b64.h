/* SPDX-License-Identifier: ISC */
/* base64url without padding (RFC 7515 section 2), and a lenient reader. */
#pragma once

#include <stddef.h>

#include "lib/base/buf.h"

/* Append the base64url form of data to out. */
void b64url_encode(const void *, size_t, struct buf *out);

/*
 * Append the bytes of strict, unpadded base64url.  -1, with nothing appended,
 * on padding, a foreign character, an impossible length or dangling bits.
 */
int b64url_decode(const char *, size_t, struct buf *out);

/*
 * Either alphabet, with or without padding, white space ignored: for keys that
 * people paste (EAB).  -1 when it is neither, or decodes to nothing.
 */
int b64_decode_any(const char *, size_t, struct buf *out);
