/* SPDX-License-Identifier: ISC */
/*
 * Which payloads an account key signs.  The engine writes them, and the engine
 * faces the internet: whoever is inside it must not get a certificate for a
 * key of his own, nor take the account away.  So a CSR is signed for only when
 * this process has made it, and roll-over, revocation and deactivation, which
 * acmed never asks for by itself, not at all.
 */

#include <string.h>

#include "daemon/keeper/keeper.h"
#include "lib/base/b64.h"

#define CSR_BEFORE "{\"csr\":\""
#define CSR_AFTER  "\"}"

/*
 * The members of everything else that we send (lib/acme/requests.c), at the top
 * and in an object below it.  Just as they are written, and in their place:
 * servers in Go take "CSR" and "\u017ftatus" for "csr" and "status", and a
 * roll-over is "protected", "payload" and "signature" at the top.
 */
#define DEPTH_MAX 2

static const char *const members[DEPTH_MAX][8] = {
	{ "contact", "termsOfServiceAgreed", "onlyReturnExisting",
	    "externalAccountBinding", "identifiers", "replaces", "profile" },
	{ "protected", "payload", "signature", "type", "value" },
};

int
payloads_note_csr(
    struct payloads *p, const void *der, size_t len, struct err *e)
{
	AUTO(buf_done) struct buf text = BUF_INIT(2 * IPC_TAIL_MAX);

	b64url_encode(der, len, &text);
	if (!buf_ok(&text))
		return err_nomem(e, "CSR");
	p->next = (p->next + 1) % PAYLOAD_CSRS;
	return hash_sha256(text.data, text.len, p->csrs[p->next], e);
}

static bool
csr_known(const struct payloads *p, const char *text, size_t len)
{
	unsigned char h[HASH_SHA256_LEN];
	size_t i;

	if (hash_sha256(text, len, h, NULL) == -1)
		return false;
	for (i = 0; i < PAYLOAD_CSRS; i++)
		if (memcmp(p->csrs[i], h, sizeof(h)) == 0)
			return true;
	return false;
}

static bool
begins(const char *text, size_t len, const char *with)
{
	size_t n = strlen(with);

	return len >= n && memcmp(text, with, n) == 0;
}

static int
check_finalize(
    const struct payloads *p, const char *text, size_t len, struct err *e)
{
	size_t before = strlen(CSR_BEFORE), after = strlen(CSR_AFTER);

	if (len > before + after &&
	    memcmp(text + len - after, CSR_AFTER, after) == 0 &&
	    csr_known(p, text + before, len - before - after))
		return 0;
	return err_set(e, ERR_PROTO, 0, "a CSR that the keeper has not made");
}

static bool
is_member(const char *name, size_t len, int depth)
{
	const char *const *m;

	if (depth < 1 || depth > DEPTH_MAX)
		return false;
	for (m = members[depth - 1]; *m != NULL; m++)
		if (strlen(*m) == len && memcmp(*m, name, len) == 0)
			return true;
	return false;
}

/*
 * Whether text is an object with no members but those.  It is compact, and has
 * no escapes: a member's name is a string with a colon right behind it.
 */
static bool
is_ours(const char *text, size_t len)
{
	const char *p = text, *end = text + len, *quote;
	int depth = 0;

	for (; p < end && (*p == '{' || depth > 0); p++) {
		if (*p == '"') {
			quote = memchr(p + 1, '"', (size_t)(end - p) - 1);
			if (quote == NULL)
				return false;
			if (quote + 1 < end && quote[1] == ':' &&
			    !is_member(p + 1, (size_t)(quote - p) - 1, depth))
				return false;
			p = quote;
		} else if (begins(p, (size_t)(end - p), "true")) {
			p += strlen("true") - 1;
		} else if (*p == '{') {
			depth++;
		} else if (*p == '}') {
			depth--;
			if (depth == 0)
				return p + 1 == end;
		} else if (memchr("[],:", *p, 4) == NULL) {
			return false;
		}
	}
	return false;
}

int
payloads_check(
    const struct payloads *p, const void *payload, size_t len, struct err *e)
{
	const char *text = payload;
	size_t i;

	if (len == 0)
		return 0;
	if (begins(text, len, CSR_BEFORE))
		return check_finalize(p, text, len, e);
	for (i = 0; i < len; i++)
		if ((unsigned char)text[i] <= ' ' || text[i] == '\\')
			return err_set(e, ERR_PROTO, 0,
			    "a payload with spaces or escapes");
	if (!is_ours(text, len))
		return err_set(e, ERR_PROTO, 0,
		    "a payload of a kind that acmed does not send");
	return 0;
}
