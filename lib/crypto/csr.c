/* SPDX-License-Identifier: ISC */
/*
 * Certificate requests, written by hand: mbedTLS 2.28 cannot say SubjectAltName
 * and would compute a table for each signature (see mbed_curve()).
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include <mbedtls/asn1.h>
#include <mbedtls/bignum.h>

#include "lib/base/cleanup.h"
#include "lib/base/str.h"
#include "lib/crypto/csr.h"
#include "lib/crypto/mbed.h"

#define CSR_MAX   (256u << 10)
#define CSR_HEAD  2048 /* all but the names: key, signature, frames */
#define NAME_HEAD 4    /* tag and length of one name */

#define SEQUENCE    (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)
#define SET         (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SET)
#define CONTEXT(n)  (MBEDTLS_ASN1_CONTEXT_SPECIFIC | (n))
#define OID_SAN     "\x06\x03\x55\x1d\x11"
#define OID_EXT_REQ "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e"
#define OID_ES256   "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
#define OID_ES384   "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"
#define OID_RS256   "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"
#define ASN1_NULL   "\x05\x00"

/* GeneralName: dNSName [2] or iPAddress [7] */
static int
put_name(struct der *d, const char *ident, struct err *e)
{
	char canonical[STR_IDENT_MAX];
	unsigned char ip[sizeof(struct in6_addr)];
	const unsigned char *end = d->p;
	const char *why = "not in canonical form";
	bool is_ip, v6;

	if (str_ident(ident, canonical, &is_ip, &why) == -1 ||
	    strcmp(ident, canonical) != 0)
		return err_set(
		    e, ERR_CONFIG, 0, "csr: name %s: %s", ident, why);
	if (!is_ip) {
		der_raw(d, ident, strlen(ident));
		der_wrap(d, end, CONTEXT(2));
		return 0;
	}
	v6 = strchr(ident, ':') != NULL;
	if (inet_pton(v6 ? AF_INET6 : AF_INET, ident, ip) != 1)
		return err_set(e, ERR_CONFIG, 0, "csr: address %s", ident);
	der_raw(d, ip, v6 ? sizeof(struct in6_addr) : sizeof(struct in_addr));
	der_wrap(d, end, CONTEXT(7));
	return 0;
}

/* CertificationRequestInfo with an extensionRequest of one extension */
static int
put_info(struct der *d, const struct key *k, const char *const *idents,
    size_t n, struct err *e)
{
	const unsigned char *spki, *end = d->p;
	size_t spki_len;

	while (n-- > 0)
		if (put_name(d, idents[n], e) == -1)
			return -1;
	der_wrap(d, end, SEQUENCE); /* GeneralNames */
	der_wrap(d, end, MBEDTLS_ASN1_OCTET_STRING);
	DER_STR(d, OID_SAN);
	der_wrap(d, end, SEQUENCE); /* Extension */
	der_wrap(d, end, SEQUENCE); /* Extensions */
	der_wrap(d, end, SET);
	DER_STR(d, OID_EXT_REQ);
	der_wrap(d, end, SEQUENCE); /* Attribute */
	der_wrap(d, end, CONTEXT(0) | MBEDTLS_ASN1_CONSTRUCTED);
	spki = key_spki(k, &spki_len);
	der_raw(d, spki, spki_len);
	DER_STR(d, "\x30\x00");     /* subject: none */
	DER_STR(d, "\x02\x01\x00"); /* version 1 */
	der_wrap(d, end, SEQUENCE);
	return 0;
}

/* From a JWS signature: r || s becomes a SEQUENCE of two INTEGERs. */
static void
put_ecdsa(struct der *d, const struct buf *sig)
{
	const unsigned char *end = d->p, *raw;
	mbedtls_mpi r, s;
	size_t n = sig->len / 2;
	int rc;

	raw = (const unsigned char *)sig->data;
	mbedtls_mpi_init(&r);
	mbedtls_mpi_init(&s);
	if ((rc = mbedtls_mpi_read_binary(&r, raw, n)) != 0 ||
	    (rc = mbedtls_mpi_read_binary(&s, raw + n, n)) != 0)
		d->rc = rc;
	der_mpi(d, &s);
	der_mpi(d, &r);
	der_wrap(d, end, SEQUENCE);
	mbedtls_mpi_free(&r);
	mbedtls_mpi_free(&s);
}

static void
put_signature(struct der *d, const struct key *k, const struct buf *sig)
{
	const unsigned char *end = d->p, *until;
	enum key_type type = key_type(k);

	if (type == KEY_EC256 || type == KEY_EC384)
		put_ecdsa(d, sig);
	else
		der_raw(d, sig->data, sig->len);
	DER_STR(d, "\0"); /* unused bits */
	der_wrap(d, end, MBEDTLS_ASN1_BIT_STRING);
	until = d->p;
	if (type == KEY_EC256) {
		DER_STR(d, OID_ES256);
	} else if (type == KEY_EC384) {
		DER_STR(d, OID_ES384);
	} else {
		DER_STR(d, ASN1_NULL);
		DER_STR(d, OID_RS256);
	}
	der_wrap(d, until, SEQUENCE);
}

int
csr_make(struct key *k, const char *const *idents, size_t n, struct buf *out,
    struct err *e)
{
	AUTO(buf_done) struct buf sig = BUF_INIT(MBEDTLS_PK_SIGNATURE_MAX_SIZE);
	AUTO(free) unsigned char *tmp = NULL;
	size_t i, size = CSR_HEAD, info_len;
	struct der info, d;

	if (n == 0)
		return err_set(e, ERR_CONFIG, 0, "csr: no names");
	for (i = 0; i < n && size <= CSR_MAX; i++)
		size += strlen(idents[i]) + NAME_HEAD;
	if (size > CSR_MAX)
		return err_set(e, ERR_LIMIT, 0, "csr: too many names");
	if ((tmp = malloc(2 * size)) == NULL)
		return err_nomem(e, "csr");

	info = DER_INIT(tmp, size);
	if (put_info(&info, k, idents, n, e) == -1)
		return -1;
	if (info.rc != 0)
		return mbed_err(e, info.rc, "csr");
	info_len = (size_t)(info.end - info.p);
	if (key_sign_jws(k, info.p, info_len, &sig, e) == -1)
		return err_wrap(e, "csr");

	d = DER_INIT(tmp + size, size);
	put_signature(&d, k, &sig);
	der_raw(&d, info.p, info_len);
	der_wrap(&d, d.end, SEQUENCE);
	if (d.rc != 0)
		return mbed_err(e, d.rc, "csr");
	buf_add(out, d.p, (size_t)(d.end - d.p));
	return buf_ok(out) ? 0 : err_nomem(e, "csr");
}
