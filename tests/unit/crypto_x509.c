/* SPDX-License-Identifier: ISC */
/*
 * Reading and judging chains (protocol.md H1, H2, H5, H8, J1).  make.sh says
 * what is in each certificate.
 */
#include "tests/unit/crypto_data/helper.h"

#include <stdio.h>

#include "lib/crypto/x509.h"

#define JAN_2026 1767225600 /* when most begin */
#define FEB_2026 1769904000
#define APR_2026 1775001600 /* when the leaves end */
#define PEM_ROOM (2u << 20)
#define SKEW     300

static const char *const all_names[] = { "2001:db8::7", "*.example.org",
	"example.org", "192.0.2.7", "www.example.org" };
static const char *const one_name[] = { "www.example.org" };

static void
slurp_all(struct buf *out, const char *const *names)
{
	for (; *names != NULL; names++)
		slurp(*names, out);
}

#define FILES(...) ((const char *const[]){ __VA_ARGS__, NULL })

static struct chain *
load(const char *const *names)
{
	AUTO(buf_done) struct buf pem = BUF_INIT(PEM_ROOM);
	struct chain *c;
	struct err e;

	slurp_all(&pem, names);
	c = chain_parse(pem.data, pem.len, &e);
	if (c == NULL)
		fail_msg("%s: %s", names[0], e.what);
	return c;
}

/* The id that make.sh noted for a leaf's key. */
static const char *
id_of(const char *name, char out[KEY_ID_LEN + 1])
{
	AUTO(buf_done) struct buf text = BUF_INIT(KEY_ID_LEN + 1);

	slurp(name, &text);
	assert_int_equal(text.len, KEY_ID_LEN + 1);
	memcpy(out, text.data, KEY_ID_LEN);
	out[KEY_ID_LEN] = '\0';
	return out;
}

static void
test_info(void **state)
{
	static const char *const want[] = { "www.example.org", "example.org",
		"*.example.org", "192.0.2.7", "2001:db8::7" };
	AUTO(chain_free)
	struct chain *c = load(FILES("leaf.pem", "inter.pem", "root.pem"));
	AUTO(pool_free) struct pool *pool = pool_new(1u << 16);
	AUTO(key_free) struct key *k = NULL;
	AUTO(buf_done) struct buf pem = BUF_INIT(PEM_ROOM);
	char id[KEY_ID_LEN + 1];
	struct x509_info info;
	struct err e;
	size_t i;

	(void)state;
	assert_int_equal(chain_len(c), 3);
	assert_int_equal(chain_info(c, pool, &info, &e), 0);
	assert_int_equal(info.not_before, JAN_2026);
	assert_int_equal(info.not_after, APR_2026);
	assert_string_equal(info.serial, "00a1b2c3d4");
	assert_string_equal(info.issuer, "Test Issuer 1");
	assert_int_equal(info.n_idents, NELEM(want));
	for (i = 0; i < NELEM(want); i++)
		assert_string_equal(info.idents[i], want[i]);

	/* the same id as that of the private key */
	assert_string_equal(info.key_id, id_of("leaf.id", id));
	slurp("leaf-key.pem", &pem);
	assert_non_null(k = key_from_pem(pem.data, pem.len, &e));
	assert_int_equal(key_id(k, id, &e), 0);
	assert_string_equal(info.key_id, id);

	assert_string_equal(strchr(info.ari_id, '.'), ".AKGyw9Q");
	assert_int_equal(strlen(info.ari_id), 27 + strlen(".AKGyw9Q"));
}

/* J1: the example of RFC 9773 appendix A; its dates are of the year 1. */
static void
test_ari_id(void **state)
{
	AUTO(chain_free) struct chain *c = load(FILES("rfc9773.pem"));
	AUTO(pool_free) struct pool *pool = pool_new(1u << 16);
	struct x509_info info;
	struct err e;

	(void)state;
	assert_int_equal(chain_info(c, pool, &info, &e), 0);
	assert_string_equal(info.ari_id, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
	assert_string_equal(info.serial, "0087654321");
	assert_string_equal(info.issuer, "Example CA");
	assert_int_equal(info.not_before, -62135596800);
	assert_int_equal(info.n_idents, 0);
	assert_null(info.idents);
}

static void
test_no_ari_id(void **state)
{
	static const char *const names[] = { "leaf-o.pem", "leaf-country.pem" };
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(names); i++) {
		AUTO(chain_free) struct chain *c = load(FILES(names[i]));
		AUTO(pool_free) struct pool *pool = pool_new(1u << 16);
		struct x509_info info;

		assert_int_equal(chain_info(c, pool, &info, NULL), 0);
		assert_null(info.ari_id);
	}
}

/* CN, or O, or the whole; never what a terminal would obey. */
static void
test_issuer_text(void **state)
{
	static const struct {
		const char *file, *issuer;
	} rows[] = {
		{ "leaf.pem", "Test Issuer 1" },
		{ "leaf-o.pem", "Only an organisation" },
		{ "leaf-country.pem", "C=XX" },
		{ "leaf-p521.pem", "P-521?[31m evil?\303\251" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(chain_free) struct chain *c = load(FILES(rows[i].file));
		AUTO(pool_free) struct pool *pool = pool_new(1u << 16);
		struct x509_info info;

		assert_int_equal(chain_info(c, pool, &info, NULL), 0);
		assert_string_equal(info.issuer, rows[i].issuer);
	}
}

/* What is no identifier of ours must not look like one. */
static void
test_odd_names(void **state)
{
	static const char *const want[] = {
		"?www.example.org?.evil.org",
		"?192.0.2.7",
		"?name-of-type-1",
		"?a?bc",
	};
	AUTO(chain_free) struct chain *c = load(FILES("leaf-odd.pem"));
	AUTO(pool_free) struct pool *pool = pool_new(1u << 16);
	char id[KEY_ID_LEN + 1];
	struct x509_info info;
	struct err e;
	size_t i;

	(void)state;
	assert_int_equal(chain_info(c, pool, &info, &e), 0);
	assert_int_equal(info.n_idents, NELEM(want));
	for (i = 0; i < NELEM(want); i++)
		assert_string_equal(info.idents[i], want[i]);
	assert_int_equal(chain_check(c, id_of("leaf.id", id), one_name, 1,
			     FEB_2026, SKEW, &e),
	    -1);
	assert_string_equal(e.what,
	    "chain: leaf's names: missing www.example.org; unexpected "
	    "?www.example.org?.evil.org, ?192.0.2.7, ?name-of-type-1, ?a?bc");
}

static void
test_small_pool(void **state)
{
	AUTO(chain_free) struct chain *c = load(FILES("leaf.pem"));
	AUTO(pool_free) struct pool *pool = pool_new(32);
	struct x509_info info;
	struct err e;

	(void)state;
	assert_int_equal(chain_info(c, pool, &info, &e), -1);
	assert_int_equal(e.kind, ERR_NOMEM);
}

/* The dresses of H1, each of which must come out clean. */
static void
test_pem_dress(void **state)
{
	static const struct {
		const char *before, *newline, *between, *after;
	} rows[] = {
		{ "", "\n", "", "\n" },
		{ "", "\n", "", "" },
		{ "", "\r\n", "\r\n", "\r\n" },
		{ "", "\r\n", "", "" },
		{ "subject=/\nissuer=x\n\n", "\n", "\n # - -- --- ---- \n",
		    "\nthe end" },
		{ "\xef\xbb\xbf", "\n", "\n\n\n", "\n" },
	};
	static const char *const files[] = { "leaf.pem", "inter.pem" };
	AUTO(buf_done) struct buf want = BUF_INIT(PEM_ROOM);
	size_t i, f;

	(void)state;
	slurp_all(&want, FILES("leaf.pem", "inter.pem"));
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(buf_done) struct buf in = BUF_INIT(PEM_ROOM);
		AUTO(buf_done) struct buf out = BUF_INIT(PEM_ROOM);
		AUTO(chain_free) struct chain *c = NULL;
		AUTO(free) char *exact = NULL;
		struct err e;

		buf_puts(&in, rows[i].before);
		for (f = 0; f < NELEM(files); f++) {
			AUTO(buf_done) struct buf pem = BUF_INIT(PEM_ROOM);
			const char *p;

			slurp(files[f], &pem);
			for (p = pem.data; *p != '\0'; p++) {
				if (*p != '\n')
					buf_putc(&in, *p);
				else if (p[1] != '\0')
					buf_puts(&in, rows[i].newline);
			}
			buf_puts(&in, f == 0 ? rows[i].between : rows[i].after);
		}
		assert_non_null(exact = malloc(in.len));
		memcpy(exact, in.data, in.len);
		c = chain_parse(exact, in.len, &e);
		if (c == NULL)
			fail_msg("row %zu: %s", i, e.what);
		assert_int_equal(chain_len(c), 2);
		assert_int_equal(chain_pem(c, 0, 2, &out, &e), 0);
		assert_string_equal(out.data, want.data);
	}
}

static void
test_pem_parts(void **state)
{
	AUTO(chain_free)
	struct chain *c = load(FILES("leaf.pem", "inter.pem", "root.pem"));
	AUTO(buf_done) struct buf leaf = BUF_INIT(PEM_ROOM);
	AUTO(buf_done) struct buf rest = BUF_INIT(PEM_ROOM);
	AUTO(buf_done) struct buf out = BUF_INIT(PEM_ROOM);
	AUTO(buf_done) struct buf tiny = BUF_INIT(100);
	struct err e;

	(void)state;
	slurp("leaf.pem", &leaf);
	slurp_all(&rest, FILES("inter.pem", "root.pem"));
	assert_int_equal(chain_pem(c, 0, 1, &out, &e), 0);
	assert_string_equal(out.data, leaf.data);
	buf_reset(&out);
	assert_int_equal(chain_pem(c, 1, 3, &out, &e), 0);
	assert_string_equal(out.data, rest.data);
	buf_reset(&out);
	assert_int_equal(chain_pem(c, 3, 3, &out, &e), 0);
	assert_int_equal(out.len, 0);
	assert_int_equal(chain_pem(c, 0, 1, &tiny, &e), -1);
	assert_int_equal(e.kind, ERR_NOMEM);
}

static void
refuse(const struct buf *pem, enum err_kind kind, const char *text)
{
	AUTO(free) char *exact = malloc(pem->len + 1);
	struct err e;

	assert_true(buf_ok(pem));
	assert_non_null(exact);
	/* ends where its memory does */
	if (pem->len > 0)
		memcpy(exact + 1, pem->data, pem->len);
	assert_null(chain_parse(exact + 1, pem->len, &e));
	assert_string_equal(e.what, text);
	assert_int_equal(e.kind, kind);
}

static void
test_refuses_text(void **state)
{
	static const struct {
		const char *pem, *text;
	} rows[] = {
		{ "", "chain: no certificate" },
		{ "<html>\n", "chain: no certificate" },
		{ "-----BEGIN ", "chain: broken BEGIN line" },
		{ "-----BEGIN CERTIFICATE", "chain: broken BEGIN line" },
		{ "-----BEGIN CERTIFICATE\n-----\n",
		    "chain: broken BEGIN line" },
		{ "-----BEGIN CERTIFICATE-----", "chain: no END line" },
		{ "-----BEGIN CERTIFICATE-----\n-----END ",
		    "chain: broken END line" },
		{ "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE----",
		    "chain: broken END line" },
		{ "-----BEGIN CERTIFICATE-----\n-----END PRIVATE KEY-----",
		    "chain: broken END line" },
		{ "-----BEGIN \033[31m-----\n-----END \033[31m-----",
		    "chain: has a block of type ?[31m" },
		{ "-----BEGIN -----\n-----END -----",
		    "chain: has a block of type " },
		{ "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
		    "chain: has a block of type X509 CRL" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(buf_done) struct buf pem = BUF_INIT(PEM_ROOM);

		buf_puts(&pem, rows[i].pem);
		refuse(&pem, ERR_PROTO, rows[i].text);
	}
}

/* Blocks that are certificates in name only. */
static void
test_refuses_bodies(void **state)
{
	static const char *const bodies[] = { "", "AAAA",
		"MAA=", "MIIBQ===", "M*AA", "MAA-_A==", "MIL//////",
		"Proc-Type: 4,ENCRYPTED\nMAA=" };
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(bodies); i++) {
		AUTO(buf_done) struct buf pem = BUF_INIT(PEM_ROOM);
		struct err e;

		slurp("leaf.pem", &pem);
		buf_printf(&pem,
		    "-----BEGIN CERTIFICATE-----\n%s\n"
		    "-----END CERTIFICATE-----\n",
		    bodies[i]);
		assert_null(chain_parse(pem.data, pem.len, &e));
		assert_int_equal(e.kind, ERR_CRYPTO);
		assert_starts(e.what, "chain: certificate 2: ");
	}
}

/* RFC 8555 11.4: a private key is refused wherever it is. */
static void
test_refuses_keys(void **state)
{
	static const char *const first[] = { "leaf-key.pem", "leaf.pem" };
	static const char *const second[] = { "leaf.pem", "leaf-key.pem" };
	AUTO(buf_done) struct buf a = BUF_INIT(PEM_ROOM);
	AUTO(buf_done) struct buf b = BUF_INIT(PEM_ROOM);
	AUTO(buf_done) struct buf c = BUF_INIT(PEM_ROOM);

	(void)state;
	slurp_all(&a, FILES(first[0], first[1]));
	slurp_all(&b, FILES(second[0], second[1]));
	slurp_all(&c, FILES("leaf.pem", "rfc7515-a3.pem", "inter.pem"));
	refuse(&a, ERR_PROTO, "chain: has a block of type PRIVATE KEY");
	refuse(&b, ERR_PROTO, "chain: has a block of type PRIVATE KEY");
	refuse(&c, ERR_PROTO, "chain: has a block of type EC PRIVATE KEY");
}

static void
test_refuses_sizes(void **state)
{
	AUTO(buf_done) struct buf many = BUF_INIT(PEM_ROOM);
	AUTO(buf_done) struct buf huge = BUF_INIT(PEM_ROOM);
	AUTO(buf_done) struct buf nul = BUF_INIT(PEM_ROOM);
	AUTO(buf_done) struct buf tail = BUF_INIT(PEM_ROOM);
	AUTO(chain_free) struct chain *ten = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < X509_CHAIN_MAX; i++)
		slurp("inter.pem", &many);
	assert_non_null(ten = chain_parse(many.data, many.len, NULL));
	assert_int_equal(chain_len(ten), X509_CHAIN_MAX);
	slurp("inter.pem", &many);
	refuse(&many, ERR_LIMIT, "chain: more than 10 certificates");

	slurp("leaf.pem", &huge);
	while (huge.len <= 1u << 20)
		buf_putc(&huge, '\n');
	refuse(&huge, ERR_LIMIT, "chain: longer than 1048576 bytes");

	slurp("leaf.pem", &nul);
	buf_putc(&nul, '\0');
	refuse(&nul, ERR_PROTO, "chain: has a NUL byte");

	/* a whole certificate, and four bytes more */
	buf_puts(&tail, "-----BEGIN CERTIFICATE-----\n"
			"MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQ"
			"QDEwpFeGFtcGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAx"
			"MDEwMDAwMDBaMBYxFDASBgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKo"
			"ZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu7cbpAYNXZLbbh8rNIzuOoqOO"
			"tmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFfqzLQ2PPQxdTXRE"
			"YEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4ByNQw"
			"CgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfut"
			"XIlwTb+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5Mds"
			"O3pKAAAA\n"
			"-----END CERTIFICATE-----\n");
	refuse(&tail, ERR_PROTO, "chain: certificate 1: 3 bytes after its end");
}

/* Cut or change it anywhere: an error or a chain, never a crash. */
static void
test_damage(void **state)
{
	AUTO(buf_done) struct buf pem = BUF_INIT(PEM_ROOM);
	size_t i;

	(void)state;
	slurp_all(&pem, FILES("leaf.pem", "leaf-pss.pem"));
	for (i = 0; i < pem.len; i++) {
		AUTO(pool_free) struct pool *pool = pool_new(1u << 16);
		AUTO(chain_free) struct chain *c = NULL, *d = NULL;
		AUTO(free) char *exact = malloc(i + 1);
		struct x509_info info;
		char was = pem.data[i];

		memcpy(exact, pem.data, i);
		if ((c = chain_parse(exact, i, NULL)) != NULL)
			assert_int_equal(chain_len(c), i + 1 < pem.len ? 1 : 2);
		pem.data[i] = was == 'A' ? '/' : 'A';
		if ((d = chain_parse(pem.data, pem.len, NULL)) != NULL)
			(void)chain_info(d, pool, &info, NULL);
		pem.data[i] = was;
	}
}

static void
test_check_good(void **state)
{
	static const struct {
		const char *files[4], *id;
		bool all;
	} rows[] = {
		{ { "leaf.pem" }, "leaf.id", true },
		{ { "leaf.pem", "inter.pem" }, "leaf.id", true },
		{ { "leaf.pem", "inter.pem", "root.pem" }, "leaf.id", true },
		{ { "leaf-rsa.pem", "inter-rsa.pem", "root-rsa.pem" },
		    "leaf-rsa.id", false },
		{ { "leaf-pss.pem", "inter-rsa.pem", "root-rsa.pem" },
		    "leaf-rsa.id", false },
		{ { "leaf-p521.pem", "p521.pem" }, "leaf.id", false },
		{ { "leaf-o.pem", "root-rsa.pem" }, "leaf.id", false },
	};
	char id[KEY_ID_LEN + 1];
	struct err e;
	size_t i, again;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(chain_free) struct chain *c = load(rows[i].files);
		const char *const *names = rows[i].all ? all_names : one_name;
		size_t n = rows[i].all ? NELEM(all_names) : 1;

		for (again = 0; again < 2; again++)
			if (chain_check(c, id_of(rows[i].id, id), names, n,
				FEB_2026, SKEW, &e) == -1)
				fail_msg("row %zu: %s", i, e.what);
	}
}

static void
check_fails(const char *const *files, int64_t now, const char *text)
{
	AUTO(chain_free) struct chain *c = load(files);
	char id[KEY_ID_LEN + 1];
	struct err e;

	assert_int_equal(chain_check(c, id_of("leaf.id", id), all_names,
			     NELEM(all_names), now, SKEW, &e),
	    -1);
	assert_starts(e.what, text);
}

static void
test_check_key(void **state)
{
	AUTO(chain_free) struct chain *c = load(FILES("leaf.pem"));
	char id[KEY_ID_LEN + 1], other[KEY_ID_LEN + 1], want[128];
	struct err e;

	(void)state;
	(void)id_of("leaf.id", id);
	(void)id_of("leaf-rsa.id", other);
	assert_int_equal(chain_check(c, other, all_names, NELEM(all_names),
			     FEB_2026, SKEW, &e),
	    -1);
	assert_int_equal(e.kind, ERR_PROTO);
	(void)snprintf(want, sizeof(want),
	    "chain: leaf is for key %.16s..., expected %.16s...", id, other);
	assert_string_equal(e.what, want);
}

static void
test_check_names(void **state)
{
	static const char *const more[] = { "2001:db8::7", "*.example.org",
		"example.org", "192.0.2.7", "www.example.org",
		"www.example.com" };
	static const char *const many[] = { "a", "b", "c", "d", "e", "f", "g" };
	static const char *const twice[] = { "2001:db8::7", "*.example.org",
		"example.org", "192.0.2.7", "www.example.org", "example.org" };
	static const struct {
		const char *const *names;
		size_t n;
		const char *text;
	} rows[] = {
		{ more, NELEM(more), "missing www.example.com" },
		{ all_names + 1, 4, "unexpected 2001:db8::7" },
		{ one_name, 1,
		    "unexpected example.org, *.example.org, 192.0.2.7, "
		    "2001:db8::7" },
		{ many, NELEM(many),
		    "missing a, b, c, d, e and 2 more; unexpected "
		    "www.example.org, example.org, *.example.org, 192.0.2.7, "
		    "2001:db8::7" },
	};
	AUTO(chain_free) struct chain *c = load(FILES("leaf.pem"));
	char id[KEY_ID_LEN + 1], want[256];
	struct err e;
	size_t i;

	(void)state;
	(void)id_of("leaf.id", id);
	for (i = 0; i < NELEM(rows); i++) {
		assert_int_equal(chain_check(c, id, rows[i].names, rows[i].n,
				     FEB_2026, SKEW, &e),
		    -1);
		(void)snprintf(want, sizeof(want), "chain: leaf's names: %s",
		    rows[i].text);
		assert_string_equal(e.what, want);
	}
	/* a set: the order and how often do not matter */
	assert_int_equal(
	    chain_check(c, id, twice, NELEM(twice), FEB_2026, SKEW, &e), 0);
}

/* H2: both ends to the second, and the skew that is forgiven. */
static void
test_check_dates(void **state)
{
	static const struct {
		int64_t now;
		const char *text;
	} rows[] = {
		{ JAN_2026, NULL },
		{ JAN_2026 - SKEW, NULL },
		{ JAN_2026 - SKEW - 1,
		    "chain: leaf is not valid before 2026-01-01T00:00:00Z, and "
		    "it is 2025-12-31T23:54:59Z" },
		{ APR_2026 - 1, NULL },
		{ APR_2026,
		    "chain: leaf expired at 2026-04-01T00:00:00Z, and it is "
		    "2026-04-01T00:00:00Z" },
	};
	AUTO(chain_free) struct chain *c = load(FILES("leaf.pem", "inter.pem"));
	char id[KEY_ID_LEN + 1];
	struct err e;
	size_t i;

	(void)state;
	(void)id_of("leaf.id", id);
	for (i = 0; i < NELEM(rows); i++) {
		assert_int_equal(chain_check(c, id, all_names, NELEM(all_names),
				     rows[i].now, SKEW, &e),
		    rows[i].text == NULL ? 0 : -1);
		if (rows[i].text != NULL)
			assert_string_equal(e.what, rows[i].text);
	}
}

static void
test_check_links(void **state)
{
	static const char first[] =
	    "chain: certificate 1 is not issued by certificate 2";
	static const char second[] =
	    "chain: certificate 2 is not signed by certificate 3: ";
	size_t again;

	(void)state;
	check_fails(FILES("leaf.pem", "root.pem"), FEB_2026, first);
	check_fails(FILES("leaf.pem", "leaf.pem"), FEB_2026, first);
	check_fails(FILES("leaf.pem", "inter-rsa.pem"), FEB_2026, first);
	check_fails(FILES("leaf.pem", "inter.pem", "root-rsa.pem"), FEB_2026,
	    "chain: certificate 2 is not issued by certificate 3");
	check_fails(FILES("leaf.pem", "inter-fake.pem"), FEB_2026,
	    "chain: certificate 1 is not signed by certificate 2: ");
	/* good links that were seen before vouch for no other */
	test_check_good(NULL);
	for (again = 0; again < 2; again++)
		check_fails(FILES("leaf.pem", "inter.pem", "root-fake.pem"),
		    FEB_2026, second);
	test_check_good(NULL);
}

/* A leaf whose signature was changed, below an issuer that signed others. */
static void
test_check_leaf_signature(void **state)
{
	AUTO(buf_done) struct buf pem = BUF_INIT(PEM_ROOM);
	AUTO(chain_free) struct chain *c = NULL;
	char id[KEY_ID_LEN + 1], *p;
	struct err e;

	(void)state;
	test_check_good(NULL);
	slurp("leaf.pem", &pem);
	assert_non_null(p = strstr(pem.data, "\n-----END"));
	p -= 8; /* in s */
	*p = *p == 'A' ? 'B' : 'A';
	slurp("inter.pem", &pem);
	assert_non_null(c = chain_parse(pem.data, pem.len, &e));
	assert_int_equal(chain_check(c, id_of("leaf.id", id), all_names,
			     NELEM(all_names), FEB_2026, SKEW, &e),
	    -1);
	assert_int_equal(e.kind, ERR_CRYPTO);
	assert_starts(
	    e.what, "chain: certificate 1 is not signed by certificate 2: ");
}

/* More issuer links than are remembered. */
static void
test_check_long_chains(void **state)
{
	AUTO(buf_done) struct buf pem = BUF_INIT(PEM_ROOM);
	AUTO(chain_free) struct chain *c = NULL;
	char id[KEY_ID_LEN + 1];
	struct err e;
	size_t i;

	(void)state;
	slurp_all(&pem, FILES("leaf.pem", "inter.pem"));
	for (i = 2; i < X509_CHAIN_MAX; i++)
		slurp("root.pem", &pem); /* signs itself */
	assert_non_null(c = chain_parse(pem.data, pem.len, &e));
	for (i = 0; i < 10; i++)
		assert_int_equal(chain_check(c, id_of("leaf.id", id), all_names,
				     NELEM(all_names), FEB_2026, SKEW, &e),
		    0);
}

static void
test_matches(void **state)
{
	AUTO(chain_free)
	struct chain *c = load(FILES("leaf.pem", "inter.pem"));
	static const char *const files[] = { "leaf.pem", "inter.pem",
		"root.pem" };
	size_t i;

	(void)state;
	assert_true(chain_matches(c, "Test Root"));
	assert_false(chain_matches(c, "Test Issuer 1"));
	assert_false(chain_matches(c, "Test"));
	assert_false(chain_matches(c, "Test Root 2"));
	assert_false(chain_matches(c, ""));
	assert_false(chain_matches(c, ":"));
	for (i = 0; i < NELEM(files); i++) {
		AUTO(buf_done) struct buf pem = BUF_INIT(PEM_ROOM);
		AUTO(buf_done) struct buf text = BUF_INIT(PEM_ROOM);
		char *hex, *p, *to;

		slurp(files[i], &pem);
		assert_int_equal(openssl(&text, pem.data, pem.len, "x509",
				     "-noout", "-fingerprint", "-sha256", NULL),
		    0);
		assert_non_null(hex = strchr(text.data, '='));
		hex++;
		hex[strcspn(hex, "\n")] = '\0';
		assert_int_equal(chain_matches(c, hex), i < 2);
		for (p = to = hex; *p != '\0'; p++)
			if (*p != ':')
				*to++ = *p;
		*to = '\0';
		assert_int_equal(chain_matches(c, hex), i < 2);
		to[-1] = '\0';
		assert_false(chain_matches(c, hex));
	}
}

static void
test_issuers_end(void **state)
{
	AUTO(chain_free) struct chain *alone = load(FILES("leaf.pem"));
	AUTO(chain_free)
	struct chain *c = load(FILES("leaf.pem", "inter.pem", "root.pem"));
	AUTO(chain_free)
	struct chain *old =
	    load(FILES("leaf.pem", "root.pem", "inter-old.pem"));

	(void)state;
	assert_true(chain_issuers_end(alone) == INT64_MAX);
	assert_int_equal(chain_issuers_end(c), 1893456000); /* 2030-01-01 */
	assert_int_equal(chain_issuers_end(old), FEB_2026);
	chain_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_ari_id),
		cmocka_unit_test(test_no_ari_id),
		cmocka_unit_test(test_issuer_text),
		cmocka_unit_test(test_odd_names),
		cmocka_unit_test(test_small_pool),
		cmocka_unit_test(test_pem_dress),
		cmocka_unit_test(test_pem_parts),
		cmocka_unit_test(test_refuses_text),
		cmocka_unit_test(test_refuses_bodies),
		cmocka_unit_test(test_refuses_keys),
		cmocka_unit_test(test_refuses_sizes),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_check_good),
		cmocka_unit_test(test_check_key),
		cmocka_unit_test(test_check_names),
		cmocka_unit_test(test_check_dates),
		cmocka_unit_test(test_check_links),
		cmocka_unit_test(test_check_leaf_signature),
		cmocka_unit_test(test_check_long_chains),
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_issuers_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
