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

/* How everything else that we send begins (lib/acme/requests.c). */
static const char *const beginnings[] = {
	"{\"contact\":",
	"{\"termsOfServiceAgreed\":",
	"{\"onlyReturnExisting\":",
	"{\"externalAccountBinding\":",
	"{\"identifiers\":",
};

/* What none of those may hold, at any depth.  They are compact: no member
 * hides behind \u0063sr, or a space before its colon. */
static const char *const never[] = {
	"\\",
	" ",
	"\t",
	"\n",
	"\r",
	"\"csr\":",
	"\"certificate\":",
	"\"newKey\":",
	"\"oldKey\":",
	"\"status\":",
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

static bool
holds(const char *text, size_t len, const char *what)
{
	return memmem(text, len, what, strlen(what)) != NULL;
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

int
payloads_check(
    const struct payloads *p, const void *payload, size_t len, struct err *e)
{
	const char *text = payload;
	bool known = false;
	size_t i;

	if (len == 0 || (len == 2 && memcmp(text, "{}", 2) == 0))
		return 0;
	if (begins(text, len, CSR_BEFORE))
		return check_finalize(p, text, len, e);
	for (i = 0; i < NELEM(beginnings); i++)
		known = known || begins(text, len, beginnings[i]);
	if (!known)
		return err_set(e, ERR_PROTO, 0,
		    "a payload of a kind that acmed does not send");
	for (i = 0; i < NELEM(never); i++)
		if (holds(text, len, never[i]))
			return err_set(e, ERR_PROTO, 0,
			    "a payload that holds %s", never[i]);
	return 0;
}
