/* SPDX-License-Identifier: ISC */
/*
 * The http-01 answers that are live right now (RFC 8555 8.3).  Whoever
 * publishes a token hears when the CA has fetched it.
 */
#pragma once

#include <stddef.h>

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

struct tokens;

#define TOKENS_ANSWER_MAX 512 /* a token, a dot and a digest are 300 */

/* The listener has just answered a request for the token.  May withdraw it. */
typedef void token_fetched(void *arg, const char *token);

struct tokens *tokens_new(struct err *);
void tokens_free(struct tokens *);
DEFINE_AUTO(struct tokens, tokens_free)

/*
 * Answer token (str_is_token()) with key_authorization from now on.  A token
 * that is live already, since two orders share an authorization, gets the new
 * answer and listener, and stays until each publisher has withdrawn it.
 * fetched may be NULL.
 */
int tokens_publish(struct tokens *, const char *token,
    const char *key_authorization, token_fetched *, void *arg, struct err *);
/* arg goes away: its listener is not called any more, the answer stays. */
void tokens_unhear(struct tokens *, const char *token, const void *arg);
void tokens_withdraw(struct tokens *, const char *token); /* none: no-op */
size_t tokens_count(const struct tokens *);

/* The key authorization, or NULL.  token need not end in NUL. */
const char *tokens_find(const struct tokens *, const char *token, size_t len);
/* Tell the publisher of token; it need not be live any more. */
void tokens_tell(struct tokens *, const char *token, size_t len);
