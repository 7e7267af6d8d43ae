/* SPDX-License-Identifier: ISC */
/* Payloads that we send, one function each (RFC 8555 7.3, 7.4). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

/* newAccount.  email may be NULL (no contact); eab is JSON text or NULL. */
int request_new_account(const char *email, bool agree_tos, bool only_existing,
    const char *eab, struct buf *out, struct err *);

/* Contacts of an account (7.3.2): [] when email is NULL. */
int request_update_account(const char *email, struct buf *out, struct err *);

/*
 * newOrder.  replaces: ARI certificate id (RFC 9773 5), or NULL.  profile: one
 * that the directory offers (draft-ietf-acme-profiles 4), or NULL.
 */
int request_new_order(const char *const *idents, size_t n, const char *replaces,
    const char *profile, struct buf *out, struct err *);

int request_finalize(
    const void *csr_der, size_t, struct buf *out, struct err *);
