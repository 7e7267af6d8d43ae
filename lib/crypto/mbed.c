/* SPDX-License-Identifier: ISC */
/*
 * What the modules of lib/crypto share.  Nothing here knows of keys or
 * certificates as the rest of acmed does.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>

#include <mbedtls/asn1.h>
#include <mbedtls/asn1write.h>
#include <mbedtls/base64.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/error.h>
#include <mbedtls/pem.h>
#include <mbedtls/x509.h>

#include "lib/base/cleanup.h"
#include "lib/crypto/mbed.h"

#define MBED_TEXT_MAX 160
#define PEM_LINE      48 /* bytes that make 64 columns */

static bool
is_nomem(int code)
{
	int low = -code & 0x7f, high = -(-code & ~0x7f);

	return low == -MBEDTLS_ERR_MPI_ALLOC_FAILED ||
	       low == -MBEDTLS_ERR_ASN1_ALLOC_FAILED ||
	       high == MBEDTLS_ERR_X509_ALLOC_FAILED ||
	       high == MBEDTLS_ERR_PK_ALLOC_FAILED ||
	       high == MBEDTLS_ERR_PEM_ALLOC_FAILED ||
	       high == MBEDTLS_ERR_ECP_ALLOC_FAILED ||
	       high == MBEDTLS_ERR_MD_ALLOC_FAILED;
}

int
mbed_err(struct err *e, int code, const char *what)
{
	char text[MBED_TEXT_MAX];

	if (is_nomem(code))
		return err_nomem(e, what);
	mbedtls_strerror(code, text, sizeof(text));
	return err_set(e, ERR_CRYPTO, code, "%s: %s", what, text);
}

int
mbed_random(void *unused, unsigned char *out, size_t len)
{
	ssize_t n;

	(void)unused;
	while (len > 0) {
		n = getrandom(out, len, 0);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return MBEDTLS_ERR_ECP_RANDOM_FAILED;
		out += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The first product with the base point leaves its table in the group. */
static int
warm(mbedtls_ecp_group *grp, mbedtls_ecp_group_id id)
{
	mbedtls_ecp_point q;
	mbedtls_mpi d;
	int rc;

	mbedtls_mpi_init(&d);
	mbedtls_ecp_point_init(&q);
	mbedtls_ecp_group_init(grp);
	if ((rc = mbedtls_ecp_group_load(grp, id)) == 0)
		rc = mbedtls_ecp_gen_keypair(grp, &d, &q, mbed_random, NULL);
	mbedtls_ecp_point_free(&q);
	mbedtls_mpi_free(&d);
	if (rc != 0)
		mbedtls_ecp_group_free(grp);
	return rc;
}

int
mbed_curve(mbedtls_ecp_group_id id, mbedtls_ecp_group **out)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct {
		mbedtls_ecp_group_id id;
		bool ready;
		mbedtls_ecp_group grp;
	} curves[] = {
		{ .id = MBEDTLS_ECP_DP_SECP256R1 },
		{ .id = MBEDTLS_ECP_DP_SECP384R1 },
	};
	size_t i;
	int rc = 0;

	*out = NULL;
	(void)pthread_mutex_lock(&lock); /* a plain mutex: cannot fail */
	for (i = 0; i < NELEM(curves); i++) {
		if (curves[i].id != id)
			continue;
		if (!curves[i].ready && (rc = warm(&curves[i].grp, id)) == 0)
			curves[i].ready = true;
		if (rc == 0)
			*out = &curves[i].grp;
	}
	(void)pthread_mutex_unlock(&lock);
	return rc;
}

/* Ecdsa-Sig-Value ::= SEQUENCE { r INTEGER, s INTEGER }, and nothing after. */
static int
get_ecdsa(const struct mbed_sig *sig, mbedtls_mpi *r, mbedtls_mpi *s)
{
	unsigned char der[MBEDTLS_PK_SIGNATURE_MAX_SIZE], *p = der;
	size_t len;
	int rc;

	if (sig->len > sizeof(der))
		return MBEDTLS_ERR_ECP_SIG_LEN_MISMATCH;
	memcpy(der, sig->sig, sig->len);
	rc = mbedtls_asn1_get_tag(&p, der + sig->len, &len,
	    MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE);
	if (rc == 0 && p + len != der + sig->len)
		rc = MBEDTLS_ERR_ASN1_LENGTH_MISMATCH;
	if (rc == 0)
		rc = mbedtls_asn1_get_mpi(&p, der + sig->len, r);
	if (rc == 0)
		rc = mbedtls_asn1_get_mpi(&p, der + sig->len, s);
	if (rc == 0 && p != der + sig->len)
		rc = MBEDTLS_ERR_ASN1_LENGTH_MISMATCH;
	return rc;
}

int
mbed_verify(mbedtls_pk_context pk, const struct mbed_sig *sig,
    const unsigned char *hash, size_t hash_len)
{
	mbedtls_ecp_keypair *kp = mbedtls_pk_ec(pk); /* NULL: RSA */
	mbedtls_ecp_group *grp = NULL;
	mbedtls_mpi r, s;
	int rc;

	if (kp != NULL && sig->type == MBEDTLS_PK_ECDSA &&
	    (rc = mbed_curve(mbed_ec_group(kp).id, &grp)) != 0)
		return rc;
	if (kp == NULL || grp == NULL)
		return mbedtls_pk_verify_ext(sig->type, sig->opts, &pk, sig->md,
		    hash, hash_len, sig->sig, sig->len);
	mbedtls_mpi_init(&r);
	mbedtls_mpi_init(&s);
	if ((rc = get_ecdsa(sig, &r, &s)) == 0)
		rc = mbedtls_ecdsa_verify(
		    grp, hash, hash_len, &mbed_ec_point(kp), &r, &s);
	mbedtls_mpi_free(&r);
	mbedtls_mpi_free(&s);
	return rc;
}

void
der_raw(struct der *d, const void *data, size_t len)
{
	if (d->rc != 0)
		return;
	if (len > (size_t)(d->p - d->buf)) {
		d->rc = MBEDTLS_ERR_ASN1_BUF_TOO_SMALL;
		return;
	}
	d->p -= len;
	memcpy(d->p, data, len);
}

void
der_mpi(struct der *d, const mbedtls_mpi *n)
{
	int rc;

	if (d->rc == 0 && (rc = mbedtls_asn1_write_mpi(&d->p, d->buf, n)) < 0)
		d->rc = rc;
}

void
der_wrap(struct der *d, const unsigned char *until, unsigned char tag)
{
	int rc;

	if (d->rc != 0)
		return;
	rc = mbedtls_asn1_write_len(&d->p, d->buf, (size_t)(until - d->p));
	if (rc >= 0)
		rc = mbedtls_asn1_write_tag(&d->p, d->buf, tag);
	if (rc < 0)
		d->rc = rc;
}

void
pem_write(
    const char *label, const unsigned char *der, size_t len, struct buf *out)
{
	unsigned char line[PEM_LINE / 3 * 4 + 1];
	size_t n, put;

	buf_puts(out, "-----BEGIN ");
	buf_puts(out, label);
	buf_puts(out, "-----\n");
	for (; len > 0; der += n, len -= n) {
		n = len < PEM_LINE ? len : PEM_LINE;
		if (mbedtls_base64_encode(line, sizeof(line), &put, der, n) !=
		    0)
			abort(); /* the line has room for its 64 columns */
		buf_add(out, line, put);
		buf_putc(out, '\n');
	}
	explicit_bzero(line, sizeof(line));
	buf_puts(out, "-----END ");
	buf_puts(out, label);
	buf_puts(out, "-----\n");
}
