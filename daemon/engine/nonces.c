/* SPDX-License-Identifier: ISC */
/* Nonces: kept from every reply, used once, youngest first (RFC 8555 6.5). */

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/session_int.h"
#include "lib/acme/reply.h"
#include "lib/base/clock.h"

void
nonce_keep(struct session *s, const struct http_reply *h)
{
	const char *value = http_header(h, "Replay-Nonce", 0);
	char *copy;

	if (value == NULL || !reply_nonce_ok(value)) {
		/* perhaps badNonce, and what is left is as old as that one */
		if (http_status(h) == 400)
			nonces_drop(s);
		return;
	}
	copy = strdup(value);
	if (copy == NULL)
		return;
	if (s->n_nonces == NONCES_MAX) {
		free(s->nonces[0].value);
		memmove(s->nonces, s->nonces + 1,
		    (NONCES_MAX - 1) * sizeof(s->nonces[0]));
		s->n_nonces--;
	}
	s->nonces[s->n_nonces++] =
	    (struct nonce){ .value = copy, .at_ms = clock_mono_ms() };
}

char *
nonce_take(struct session *s)
{
	struct nonce n;

	while (s->n_nonces > 0) {
		n = s->nonces[--s->n_nonces];
		if (clock_mono_ms() - n.at_ms < NONCE_AGE_MS)
			return n.value;
		free(n.value);
	}
	return NULL;
}

void
nonces_drop(struct session *s)
{
	while (s->n_nonces > 0)
		free(s->nonces[--s->n_nonces].value);
}
