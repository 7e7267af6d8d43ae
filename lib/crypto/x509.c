/* SPDX-License-Identifier: ISC */
/*
 * Reading what a CA sent: PEM to certificates, certificates to plain values.
 * Whether they are good for anything is x509_check.c's business.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <mbedtls/asn1.h>
#include <mbedtls/base64.h>
#include <mbedtls/oid.h>
#include <mbedtls/x509.h>

#include "lib/base/b64.h"
#include "lib/base/clock.h"
#include "lib/base/str.h"
#include "lib/crypto/chain.h"

#define PEM_MAX   (1u << 20)
#define BEGIN     "-----BEGIN "
#define END       "-----END "
#define DASHES    "-----"
#define LABEL     "CERTIFICATE"
#define LABEL_MAX 64
#define WHAT_MAX  64

#define NAME_TEXT_MAX 512
#define ARI_ID_MAX    256
#define AKI_MAX       64
#define SAN_DNS       2
#define SAN_IP        7
#define AKI_KEY_ID    MBEDTLS_ASN1_CONTEXT_SPECIFIC /* [0] IMPLICIT */
#define SEQUENCE      (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)

struct block {
	const char *label, *body;
	size_t label_len, body_len;
};

static const char *
find(const char *p, const char *end, const char *what)
{
	return memmem(p, (size_t)(end - p), what, strlen(what));
}

/* The next PEM block from *p on.  1, 0 when there is none, or -1. */
static int
next_block(const char **p, const char *end, struct block *b, struct err *e)
{
	const char *q = find(*p, end, BEGIN);

	if (q == NULL)
		return 0;
	b->label = q + strlen(BEGIN);
	q = find(b->label, end, DASHES);
	if (q == NULL || q - b->label > LABEL_MAX ||
	    memchr(b->label, '\n', (size_t)(q - b->label)) != NULL)
		return err_set(e, ERR_PROTO, 0, "chain: broken BEGIN line");
	b->label_len = (size_t)(q - b->label);
	b->body = q + strlen(DASHES);
	q = find(b->body, end, END);
	if (q == NULL)
		return err_set(e, ERR_PROTO, 0, "chain: no END line");
	b->body_len = (size_t)(q - b->body);
	q += strlen(END);
	if ((size_t)(end - q) < b->label_len + strlen(DASHES) ||
	    memcmp(q, b->label, b->label_len) != 0 ||
	    memcmp(q + b->label_len, DASHES, strlen(DASHES)) != 0)
		return err_set(e, ERR_PROTO, 0, "chain: broken END line");
	*p = q + b->label_len + strlen(DASHES);
	return 1;
}

/* A critical extension that mbedTLS does not know is no reason to refuse what
 * we only pass on. */
static int
any_extension(void *arg, const mbedtls_x509_crt *crt,
    const mbedtls_x509_buf *oid, int critical, const unsigned char *p,
    const unsigned char *end)
{
	(void)arg, (void)crt, (void)oid, (void)critical, (void)p, (void)end;
	return 0;
}

static int
read_time(const mbedtls_x509_time *t, int64_t *out)
{
	char text[CLOCK_RFC3339_MAX];
	int n;

	n = snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02dZ",
	    t->year, t->mon, t->day, t->hour, t->min, t->sec);
	return (size_t)n < sizeof(text) ? clock_parse(text, out) : -1;
}

static int
read_cert(struct cert *cert, const unsigned char *der, size_t len,
    const char *what, struct err *e)
{
	int rc;

	rc = mbedtls_x509_crt_parse_der_with_ext_cb(
	    &cert->crt, der, len, 1, any_extension, NULL);
	if (rc != 0)
		return mbed_err(e, rc, what);
	if (cert->crt.raw.len != len)
		return err_set(e, ERR_PROTO, 0, "%s: %zu bytes after its end",
		    what, len - cert->crt.raw.len);
	if (cert->crt.serial.len > X509_SERIAL_MAX)
		return err_set(e, ERR_PROTO, 0, "%s: serial of %zu bytes", what,
		    cert->crt.serial.len);
	if (read_time(&cert->crt.valid_from, &cert->not_before) == -1 ||
	    read_time(&cert->crt.valid_to, &cert->not_after) == -1)
		return err_set(e, ERR_PROTO, 0, "%s: impossible date", what);
	return hash_sha256(der, len, cert->sha256, e);
}

static int
add_cert(struct chain *c, const struct block *b, struct err *e)
{
	AUTO(free) unsigned char *der = NULL;
	struct cert *cert = &c->certs[c->n];
	char what[WHAT_MAX];
	size_t len;
	int rc;

	if (c->n == X509_CHAIN_MAX)
		return err_set(e, ERR_LIMIT, 0,
		    "chain: more than %d certificates", X509_CHAIN_MAX);
	if ((der = malloc(b->body_len + 1)) == NULL)
		return err_nomem(e, "chain");
	(void)snprintf(what, sizeof(what), "chain: certificate %zu", c->n + 1);
	rc = mbedtls_base64_decode(der, b->body_len + 1, &len,
	    (const unsigned char *)b->body, b->body_len);
	if (rc != 0)
		return mbed_err(e, rc, what);
	mbedtls_x509_crt_init(&cert->crt);
	c->n++; /* chain_free() has to do with it from here on */
	return read_cert(cert, der, len, what, e);
}

static int
add_block(struct chain *c, const struct block *b, struct err *e)
{
	char label[LABEL_MAX + 1];

	if (b->label_len == strlen(LABEL) &&
	    memcmp(b->label, LABEL, b->label_len) == 0)
		return add_cert(c, b, e);
	memcpy(label, b->label, b->label_len);
	label[b->label_len] = '\0';
	str_clean(label);
	return err_set(e, ERR_PROTO, 0, "chain: has a block of type %s", label);
}

static int
read_pem(struct chain *c, const char *pem, size_t len, struct err *e)
{
	const char *end = pem + len;
	struct block b = { 0 };
	int more;

	if (len > PEM_MAX)
		return err_set(
		    e, ERR_LIMIT, 0, "chain: longer than %u bytes", PEM_MAX);
	if (len > 0 && memchr(pem, '\0', len) != NULL)
		return err_set(e, ERR_PROTO, 0, "chain: has a NUL byte");
	while ((more = next_block(&pem, end, &b, e)) == 1)
		if (add_block(c, &b, e) == -1)
			return -1;
	if (more == -1)
		return -1;
	return c->n > 0 ? 0 : err_set(e, ERR_PROTO, 0, "chain: no certificate");
}

struct chain *
chain_parse(const char *pem, size_t len, struct err *e)
{
	AUTO(chain_free) struct chain *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		(void)err_nomem(e, "chain");
		return NULL;
	}
	return read_pem(c, pem, len, e) == -1 ? NULL : take_ptr(c);
}

void
chain_free(struct chain *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->n; i++)
		mbedtls_x509_crt_free(&c->certs[i].crt);
	free(c);
}

size_t
chain_len(const struct chain *c)
{
	return c->n;
}

int
chain_pem(const struct chain *c, size_t from, size_t to, struct buf *out,
    struct err *e)
{
	size_t i;

	assert(from <= to && to <= c->n);
	for (i = from; i < to; i++)
		pem_write(
		    LABEL, c->certs[i].crt.raw.p, c->certs[i].crt.raw.len, out);
	return buf_ok(out) ? 0 : err_nomem(e, "chain");
}

/* Step into the next element: p to end become its contents. */
static bool
enter(unsigned char **p, unsigned char **end, int tag)
{
	size_t len;

	if (mbedtls_asn1_get_tag(p, *end, &len, tag) != 0)
		return false;
	*end = *p + len;
	return true;
}

/* What stands in the extension *p to *end, which has that OID. */
static bool
enter_extension(unsigned char **p, unsigned char **end, const char *oid)
{
	unsigned char *id = *p, *id_end = *end;
	int rc, critical;

	if (!enter(&id, &id_end, MBEDTLS_ASN1_OID) ||
	    (size_t)(id_end - id) != strlen(oid) ||
	    memcmp(id, oid, strlen(oid)) != 0)
		return false;
	*p = id_end;
	rc = mbedtls_asn1_get_bool(p, *end, &critical);
	return (rc == 0 || rc == MBEDTLS_ERR_ASN1_UNEXPECTED_TAG) &&
	       enter(p, end, MBEDTLS_ASN1_OCTET_STRING);
}

/*
 * The AuthorityKeyIdentifier's keyIdentifier, which 2.28 does not know.  A
 * certificate without a readable one only lacks a renewal id.
 */
static bool
find_aki(const mbedtls_x509_crt *crt, mbedtls_x509_buf *out)
{
	unsigned char *p = crt->v3_ext.p, *end, *ext, *ext_end;

	if (p == NULL)
		return false;
	end = p + crt->v3_ext.len;
	if (!enter(&p, &end, SEQUENCE))
		return false;
	while (p < end) {
		ext = p;
		ext_end = end;
		if (!enter(&ext, &ext_end, SEQUENCE))
			return false;
		p = ext_end;
		if (!enter_extension(
			&ext, &ext_end, MBEDTLS_OID_AUTHORITY_KEY_IDENTIFIER))
			continue;
		if (!enter(&ext, &ext_end, SEQUENCE) ||
		    !enter(&ext, &ext_end, AKI_KEY_ID))
			return false;
		out->p = ext;
		out->len = (size_t)(ext_end - ext);
		return true;
	}
	return false;
}

/* RFC 9773 4.1; *out stays NULL without a key identifier. */
static int
read_ari_id(
    const mbedtls_x509_crt *crt, struct pool *pool, char **out, struct err *e)
{
	AUTO(buf_done) struct buf id = BUF_INIT(ARI_ID_MAX);
	mbedtls_x509_buf aki;

	if (!find_aki(crt, &aki) || aki.len > AKI_MAX)
		return 0;
	b64url_encode(aki.p, aki.len, &id);
	buf_putc(&id, '.');
	b64url_encode(crt->serial.p, crt->serial.len, &id);
	if (!buf_ok(&id) || (*out = pool_strdup(pool, id.data)) == NULL)
		return err_nomem(e, "chain: renewal id");
	return 0;
}

/* A part of a name as text; its bytes are the CA's. */
static void
clean_copy(const mbedtls_x509_buf *part, char *out, size_t size)
{
	size_t i, n = part->len < size ? part->len : size - 1;

	for (i = 0; i < n; i++)
		out[i] = part->p[i] == '\0' ? '?' : (char)part->p[i];
	out[n] = '\0';
	str_clean(out);
}

/* CN, or O, or all of it. */
static void
read_issuer(const mbedtls_x509_crt *crt, char out[NAME_TEXT_MAX])
{
	static const char *const oids[] = { MBEDTLS_OID_AT_CN,
		MBEDTLS_OID_AT_ORGANIZATION };
	const mbedtls_x509_name *part;
	size_t i;

	for (i = 0; i < NELEM(oids); i++)
		for (part = &crt->issuer; part != NULL; part = part->next) {
			if (part->oid.len != strlen(oids[i]) ||
			    memcmp(part->oid.p, oids[i], part->oid.len) != 0)
				continue;
			clean_copy(&part->val, out, NAME_TEXT_MAX);
			return;
		}
	if (mbedtls_x509_dn_gets(out, NAME_TEXT_MAX, &crt->issuer) < 0)
		out[0] = '\0';
	str_clean(out);
}

/*
 * One SubjectAltName in canonical form.  What has none (another kind of name,
 * a NUL inside, an address as a DNS name) starts with '?', and so equals no
 * identifier.
 */
static char *
read_san(const mbedtls_x509_buf *san, struct pool *pool)
{
	char text[STR_IDENT_MAX], canonical[STR_IDENT_MAX];
	const char *why;
	int kind = san->tag & MBEDTLS_ASN1_TAG_VALUE_MASK;
	bool is_ip, known = false;

	if (kind == SAN_IP && (san->len == 4 || san->len == 16)) {
		known = inet_ntop(san->len == 4 ? AF_INET : AF_INET6, san->p,
			    text, sizeof(text)) != NULL;
	} else if (kind == SAN_DNS && san->len < sizeof(text)) {
		memcpy(text, san->p, san->len);
		text[san->len] = '\0';
		known = strlen(text) == san->len;
	}
	if (known && str_ident(text, canonical, &is_ip, &why) == 0 &&
	    is_ip == (kind == SAN_IP))
		return pool_strdup(pool, canonical);
	if (kind == SAN_DNS) {
		text[0] = '?';
		clean_copy(san, text + 1, sizeof(text) - 1);
	} else {
		(void)snprintf(text, sizeof(text), "?name-of-type-%d", kind);
	}
	return pool_strdup(pool, text);
}

static int
read_sans(const mbedtls_x509_crt *crt, struct pool *pool,
    struct x509_info *info, struct err *e)
{
	const mbedtls_x509_sequence *san, *first = &crt->subject_alt_names;
	size_t n = 0;

	if (first->buf.p == NULL)
		return 0;
	for (san = first; san != NULL; san = san->next)
		n++;
	info->idents = pool_alloc(pool, n * sizeof(*info->idents));
	if (info->idents == NULL)
		return err_nomem(e, "chain: names");
	for (san = first; san != NULL; san = san->next) {
		char *text = read_san(&san->buf, pool);

		if (text == NULL)
			return err_nomem(e, "chain: names");
		info->idents[info->n_idents++] = text;
	}
	return 0;
}

int
chain_info(const struct chain *c, struct pool *pool, struct x509_info *info,
    struct err *e)
{
	const struct cert *leaf = &c->certs[0];
	unsigned char hash[HASH_SHA256_LEN];
	char issuer[NAME_TEXT_MAX];

	*info = (struct x509_info){ .not_before = leaf->not_before,
		.not_after = leaf->not_after };
	if (hash_sha256(leaf->crt.pk_raw.p, leaf->crt.pk_raw.len, hash, e) ==
	    -1)
		return -1;
	str_hex(hash, sizeof(hash), info->key_id);
	str_hex(leaf->crt.serial.p, leaf->crt.serial.len, info->serial);
	read_issuer(&leaf->crt, issuer);
	if ((info->issuer = pool_strdup(pool, issuer)) == NULL)
		return err_nomem(e, "chain: issuer");
	if (read_ari_id(&leaf->crt, pool, &info->ari_id, e) == -1)
		return -1;
	return read_sans(&leaf->crt, pool, info, e);
}

static bool
is_fingerprint(const char *name, const unsigned char sha256[HASH_SHA256_LEN])
{
	char hex[2 * HASH_SHA256_LEN + 1];
	const char *p = hex;

	str_hex(sha256, HASH_SHA256_LEN, hex);
	for (; *name != '\0'; name++) {
		if (*name == ':')
			continue;
		if (tolower((unsigned char)*name) != *p)
			return false;
		p++;
	}
	return *p == '\0';
}

bool
chain_matches(const struct chain *c, const char *name)
{
	char issuer[NAME_TEXT_MAX];
	size_t i;

	for (i = 0; i < c->n; i++)
		if (is_fingerprint(name, c->certs[i].sha256))
			return true;
	read_issuer(&c->certs[c->n - 1].crt, issuer);
	return strcmp(issuer, name) == 0;
}

int64_t
chain_issuers_end(const struct chain *c)
{
	int64_t end = INT64_MAX;
	size_t i;

	for (i = 1; i < c->n; i++)
		if (c->certs[i].not_after < end)
			end = c->certs[i].not_after;
	return end;
}
