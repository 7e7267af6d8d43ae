/* SPDX-License-Identifier: ISC */
/* Certificate requests (RFC 2986) as CAs of today want them. */
#pragma once

#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/crypto/key.h"

/*
 * Append the DER of a CSR with an empty subject, one SubjectAltName extension
 * with these identifiers (canonical, see str_ident(): DNS names, or IP
 * addresses as iPAddress), no EKU, no must-staple; signed with SHA-256, or
 * SHA-384 for KEY_EC384.
 */
int csr_make(struct key *, const char *const *idents, size_t n, struct buf *out,
    struct err *);
