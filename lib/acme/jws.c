/* SPDX-License-Identifier: ISC */
/*
 * JWS by hand: the keeper links this file, and must not link a JSON library.
 * That is safe because nothing but checked text is ever formatted here: URLs,
 * base64url, and what lib/crypto wrote itself.
 */
#include "lib/acme/jws.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/acme/reply.h"
#include "lib/base/b64.h"
#include "lib/base/cleanup.h"
#include "lib/base/str.h"
#include "lib/crypto/hash.h"

#define BODY_MAX 50000 /* Boulder's limit, and the lowest that is known */

static int
too_large(const char *url, size_t size, struct err *e)
{
	return err_set(e, ERR_LIMIT, 0,
	    "request of %zu bytes for %s: CAs take %d at most; this "
	    "certificate has too many names",
	    size, url, BODY_MAX);
}

static bool
url_ok(const char *url)
{
	return strlen(url) <= JWS_URL_MAX && str_is_https_url(url);
}

/* Append what gets signed: base64url(head) "." base64url(payload). */
static int
add_input(const struct buf *head, const void *payload, size_t len,
    struct buf *input, struct err *e)
{
	if (!buf_ok(head))
		return err_nomem(e, "JWS header");
	b64url_encode(head->data, head->len, input);
	buf_putc(input, '.');
	b64url_encode(payload, len, input);
	return buf_ok(input) ? 0 : err_nomem(e, "JWS");
}

/* The flattened form of RFC 7515 7.2.2. */
static void
flatten(const struct buf *input, const struct buf *sig, struct buf *body)
{
	const char *dot = memchr(input->data, '.', input->len);
	size_t head;

	assert(dot != NULL);
	head = (size_t)(dot - input->data);
	buf_puts(body, "{\"protected\":\"");
	buf_add(body, input->data, head);
	buf_puts(body, "\",\"payload\":\"");
	buf_add(body, dot + 1, input->len - head - 1);
	buf_puts(body, "\",\"signature\":\"");
	b64url_encode(sig->data, sig->len, body);
	buf_puts(body, "\"}");
}

static int
check_head(const struct jws_head *h, struct err *e)
{
	if (!url_ok(h->url))
		return err_set(e, ERR_PROTO, 0, "JWS: bad url");
	if (h->kid != NULL && !url_ok(h->kid))
		return err_set(e, ERR_PROTO, 0, "JWS: bad kid");
	if (!reply_nonce_ok(h->nonce))
		return err_set(e, ERR_PROTO, 0, "JWS: bad nonce");
	return 0;
}

static int
make_head(const struct key *key, const struct jws_head *h, struct buf *head,
    struct err *e)
{
	buf_printf(head, "{\"alg\":\"%s\",", key_jws_alg(key));
	if (h->kid != NULL) {
		buf_printf(head, "\"kid\":\"%s\",", h->kid);
	} else {
		buf_puts(head, "\"jwk\":");
		if (key_jwk(key, head, e) == -1)
			return -1;
		buf_putc(head, ',');
	}
	buf_printf(head, "\"nonce\":\"%s\",\"url\":\"%s\"}", h->nonce, h->url);
	return 0;
}

int
jws_make(struct key *key, const struct jws_head *h, const void *payload,
    size_t len, struct buf *out, struct err *e)
{
	AUTO(buf_done) struct buf head = BUF_INIT(JWS_MAX);
	AUTO(buf_done) struct buf input = BUF_INIT(JWS_MAX);
	AUTO(buf_done) struct buf sig = BUF_INIT(JWS_MAX);
	AUTO(buf_done) struct buf body = BUF_INIT(JWS_MAX);

	if (check_head(h, e) == -1)
		return -1;
	if (len > JWS_PAYLOAD_MAX)
		return too_large(h->url, len / 3 * 4, e);
	if (make_head(key, h, &head, e) == -1 ||
	    add_input(&head, payload, len, &input, e) == -1 ||
	    key_sign_jws(key, input.data, input.len, &sig, e) == -1)
		return -1;
	flatten(&input, &sig, &body);
	if (!buf_ok(&sig) || !buf_ok(&body))
		return err_nomem(e, "JWS");
	if (body.len > BODY_MAX)
		return too_large(h->url, body.len, e);
	buf_add(out, body.data, body.len);
	return buf_ok(out) ? 0 : err_nomem(e, "JWS");
}

/* An EAB key id is whatever the CA handed out, as long as it needs no escape
 * in JSON. */
static bool
eab_kid_ok(const char *kid)
{
	size_t i;

	for (i = 0; kid[i] != '\0'; i++) {
		unsigned char c = (unsigned char)kid[i];

		if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
			return false;
	}
	return i > 0 && i <= JWS_URL_MAX;
}

static int
eab_hash(int alg, enum hash_alg *hash)
{
	switch (alg) {
	case 256:
		*hash = HASH_SHA256;
		return 0;
	case 384:
		*hash = HASH_SHA384;
		return 0;
	case 512:
		*hash = HASH_SHA512;
		return 0;
	default:
		return -1;
	}
}

int
jws_eab(const struct key *account, const char *kid, const void *mac_key,
    size_t mac_len, int alg, const char *url, struct buf *out, struct err *e)
{
	AUTO(buf_done) struct buf head = BUF_INIT(JWS_MAX);
	AUTO(buf_done) struct buf jwk = BUF_INIT(JWS_MAX);
	AUTO(buf_done) struct buf input = BUF_INIT(JWS_MAX);
	unsigned char mac[HASH_MAX_LEN];
	struct buf sig = { .data = (char *)mac };
	enum hash_alg hash;

	if (!eab_kid_ok(kid))
		return err_set(e, ERR_CONFIG, 0,
		    "EAB: kid must be 1 to %d printable characters without "
		    "quotes and backslashes",
		    JWS_URL_MAX);
	if (eab_hash(alg, &hash) == -1)
		return err_set(e, ERR_CONFIG, 0, "EAB: no such alg: HS%d", alg);
	if (mac_len == 0)
		return err_set(e, ERR_CONFIG, 0, "EAB: the HMAC key is empty");
	if (!url_ok(url))
		return err_set(e, ERR_PROTO, 0, "EAB: bad url");
	buf_printf(&head, "{\"alg\":\"HS%d\",\"kid\":\"%s\",\"url\":\"%s\"}",
	    alg, kid, url);
	if (key_jwk(account, &jwk, e) == -1)
		return -1;
	if (!buf_ok(&jwk))
		return err_nomem(e, "EAB");
	if (add_input(&head, jwk.data, jwk.len, &input, e) == -1 ||
	    hash_hmac(hash, mac_key, mac_len, input.data, input.len, mac,
		&sig.len, e) == -1)
		return -1;
	flatten(&input, &sig, out);
	return buf_ok(out) ? 0 : err_nomem(e, "EAB");
}

void
jws_key_authorization(
    const char *token, const char *thumbprint, struct buf *out)
{
	buf_puts(out, token);
	buf_putc(out, '.');
	buf_puts(out, thumbprint);
}
