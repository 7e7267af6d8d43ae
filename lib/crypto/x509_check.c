/* SPDX-License-Identifier: ISC */
/*
 * May a chain be installed?  Judges what we asked for and what was signed; does
 * not judge whether a client will trust the chain's end.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/str.h"
#include "lib/crypto/chain.h"

#define NAMES_SHOWN 5
#define NAMES_TEXT  8192
#define WHAT_MAX    128
#define ID_SHOWN    16
#define POOL_MAX    (4u << 20)
#define LINKS       32

struct link {
	unsigned char child[HASH_SHA256_LEN], parent[HASH_SHA256_LEN];
};

/*
 * Links between CA certificates whose signature was found good: every chain of
 * a CA has the same ones.  Leaves do not come here.
 */
static struct {
	pthread_mutex_t lock;
	struct link links[LINKS];
	size_t n, next;
} known = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool
is_known(const struct link *l)
{
	bool found = false;
	size_t i;

	(void)pthread_mutex_lock(&known.lock);
	for (i = 0; i < known.n && !found; i++)
		found = memcmp(&known.links[i], l, sizeof(*l)) == 0;
	(void)pthread_mutex_unlock(&known.lock);
	return found;
}

static void
remember(const struct link *l)
{
	(void)pthread_mutex_lock(&known.lock);
	known.links[known.next] = *l;
	known.next = (known.next + 1) % LINKS;
	if (known.n < LINKS)
		known.n++;
	(void)pthread_mutex_unlock(&known.lock);
}

static int
verify(const mbedtls_x509_crt *child, const mbedtls_x509_crt *parent)
{
	const mbedtls_x509_buf *raw = &mbed_crt_sig(child);
	struct mbed_sig sig = { .type = mbed_crt_sig_pk(child),
		.opts = mbed_crt_sig_opts(child),
		.md = mbed_crt_sig_md(child),
		.sig = raw->p,
		.len = raw->len };
	const mbedtls_md_info_t *md = mbedtls_md_info_from_type(sig.md);
	unsigned char hash[MBEDTLS_MD_MAX_SIZE];
	int rc = mbedtls_md(md, child->tbs.p, child->tbs.len, hash);

	if (rc != 0)
		return rc;
	return mbed_verify(parent->pk, &sig, hash, mbedtls_md_get_size(md));
}

/* Certificate i (from 0) is issued and signed by the one after it. */
static int
check_link(const struct chain *c, size_t i, struct err *e)
{
	const struct cert *child = &c->certs[i], *parent = &c->certs[i + 1];
	const mbedtls_x509_buf *issuer = &child->crt.issuer_raw;
	const mbedtls_x509_buf *subject = &parent->crt.subject_raw;
	struct link l;
	char what[WHAT_MAX];
	int rc;

	if (issuer->len != subject->len ||
	    memcmp(issuer->p, subject->p, issuer->len) != 0)
		return err_set(e, ERR_PROTO, 0,
		    "chain: certificate %zu is not issued by certificate %zu",
		    i + 1, i + 2);
	memcpy(l.child, child->sha256, sizeof(l.child));
	memcpy(l.parent, parent->sha256, sizeof(l.parent));
	if (i > 0 && is_known(&l))
		return 0;
	if ((rc = verify(&child->crt, &parent->crt)) != 0) {
		(void)snprintf(what, sizeof(what),
		    "chain: certificate %zu is not signed by certificate %zu",
		    i + 1, i + 2);
		return mbed_err(e, rc, what);
	}
	if (i > 0)
		remember(&l);
	return 0;
}

/* Append "label a, b and 3 more" of the names of a that b lacks. */
static void
put_missing(const char *label, const char *const *a, size_t n_a,
    const char *const *b, size_t n_b, struct buf *out)
{
	size_t i, n = 0;

	for (i = 0; i < n_a; i++) {
		if (str_among(a[i], b, n_b))
			continue;
		if (n == 0)
			buf_printf(
			    out, "%s%s ", out->len > 0 ? "; " : "", label);
		if (n < NAMES_SHOWN)
			buf_printf(out, "%s%s", n > 0 ? ", " : "", a[i]);
		n++;
	}
	if (n > NAMES_SHOWN)
		buf_printf(out, " and %zu more", n - NAMES_SHOWN);
}

static int
check_names(const struct x509_info *info, const char *const *idents, size_t n,
    struct err *e)
{
	AUTO(buf_done) struct buf text = BUF_INIT(NAMES_TEXT);
	const char *const *found = (const char *const *)info->idents;

	put_missing("missing", idents, n, found, info->n_idents, &text);
	put_missing("unexpected", found, info->n_idents, idents, n, &text);
	if (!buf_ok(&text))
		return err_nomem(e, "chain: names");
	if (text.len > 0)
		return err_set(
		    e, ERR_PROTO, 0, "chain: leaf's names: %s", text.data);
	return 0;
}

static int
check_dates(
    const struct x509_info *info, int64_t now, int64_t skew_s, struct err *e)
{
	char when[CLOCK_RFC3339_MAX], clock[CLOCK_RFC3339_MAX];

	clock_format(now, clock);
	/* what is renewed when is a part of that: there must be some */
	if (info->not_after <= info->not_before)
		return err_set(
		    e, ERR_PROTO, 0, "chain: leaf ends before it begins");
	if (info->not_before > now + skew_s) {
		clock_format(info->not_before, when);
		return err_set(e, ERR_PROTO, 0,
		    "chain: leaf is not valid before %s, and it is %s", when,
		    clock);
	}
	if (info->not_after <= now) {
		clock_format(info->not_after, when);
		return err_set(e, ERR_PROTO, 0,
		    "chain: leaf expired at %s, and it is %s", when, clock);
	}
	return 0;
}

int
chain_check(const struct chain *c, const char *key_id,
    const char *const *idents, size_t n, int64_t now, int64_t skew_s,
    struct err *e)
{
	AUTO(pool_free) struct pool *pool = pool_new(POOL_MAX);
	struct x509_info info;
	size_t i;

	if (pool == NULL)
		return err_nomem(e, "chain");
	if (chain_info(c, pool, &info, e) == -1)
		return -1;
	if (strcmp(info.key_id, key_id) != 0)
		return err_set(e, ERR_PROTO, 0,
		    "chain: leaf is for key %.*s..., expected %.*s...",
		    ID_SHOWN, info.key_id, ID_SHOWN, key_id);
	if (check_names(&info, idents, n, e) == -1 ||
	    check_dates(&info, now, skew_s, e) == -1)
		return -1;
	for (i = 0; i + 1 < c->n; i++)
		if (check_link(c, i, e) == -1)
			return -1;
	return 0;
}
