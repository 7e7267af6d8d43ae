/* SPDX-License-Identifier: ISC */
/*
 * Every decoder reads the same bytes; what one accepts must keep the promises
 * of objects.h, ari.h and problem.h.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/acme/ari.h"
#include "lib/acme/jws.h"
#include "lib/acme/objects.h"
#include "lib/acme/problem.h"
#include "lib/base/cleanup.h"
#include "lib/base/str.h"

static void
must(bool truth)
{
	if (!truth)
		__builtin_trap();
}

static void
must_be_url(const char *url, bool needed)
{
	must(url != NULL || !needed);
	must(url == NULL ||
	     (str_is_https_url(url) && strlen(url) <= JWS_URL_MAX));
}

static void
must_be_clean(const char *text)
{
	for (; *text != '\0'; text++)
		must((unsigned char)*text >= ' ' && *text != 0x7f);
}

static void
must_be_error(const struct err *e)
{
	must(e->kind != ERR_NONE && e->what[0] != '\0');
	must_be_clean(e->what);
}

static void
must_be_problem(bool has, const struct err *e)
{
	if (!has)
		return;
	must_be_error(e);
	must(e->kind == ERR_PROBLEM && e->problem < PROBLEM__COUNT);
	must(strlen(e->what) <= ERR_WHAT_MAX - PROBLEM_ROOM);
	must(e->retry_after_s == -1);
}

static void
try_directory(const char *text, size_t len, struct pool *pool)
{
	struct directory d;
	struct err e;
	size_t i;

	if (directory_decode(text, len, pool, &d, &e) == -1) {
		must_be_error(&e);
		return;
	}
	must_be_url(d.new_nonce, true);
	must_be_url(d.new_account, true);
	must_be_url(d.new_order, true);
	must_be_url(d.revoke_cert, false);
	must_be_url(d.key_change, false);
	must_be_url(d.renewal_info, false);
	for (i = 0; d.profiles[i] != NULL; i++)
		must_be_clean(d.profiles[i]);
	must(i <= ACME_PROFILE_MAX);
	for (i = 0; d.caa_identities[i] != NULL; i++)
		must_be_clean(d.caa_identities[i]);
}

static void
try_order(const char *text, size_t len, struct pool *pool)
{
	struct order o;
	struct err e;
	bool unfinished;
	size_t i;

	if (order_decode(text, len, pool, &o, &e) == -1) {
		must_be_error(&e);
		return;
	}
	unfinished = o.status == ACME_PENDING || o.status == ACME_READY;
	must_be_url(o.finalize, unfinished);
	if (o.profile != NULL)
		must_be_clean(o.profile);
	must_be_url(o.certificate, o.status == ACME_VALID);
	must(o.n_authzs <= ACME_AUTHZ_MAX);
	must(o.n_authzs > 0 || o.status != ACME_PENDING);
	for (i = 0; i < o.n_authzs; i++)
		must_be_url(o.authzs[i], true);
	must(o.n_idents > 0 && o.n_idents <= ACME_AUTHZ_MAX);
	for (i = 0; i < o.n_idents; i++)
		must_be_clean(o.idents[i].value);
	must_be_problem(o.has_error, &o.error);
}

static void
try_authz(const char *text, size_t len, struct pool *pool)
{
	struct authz a;
	struct err e;

	if (authz_decode(text, len, pool, &a, &e) == 0) {
		must_be_clean(a.ident.value);
		must_be_clean(a.offered);
		must_be_problem(a.has_error, &a.error);
		if (a.http01 != NULL) {
			must_be_url(a.http01->url, true);
			must(str_is_token(a.http01->token));
		}
	} else
		must_be_error(&e);
}

static void
listed_order(void *arg, const char *url)
{
	(void)arg;
	must_be_url(url, true);
}

static void
try_rest(const char *text, size_t len, struct pool *pool)
{
	struct account a;
	struct err e;

	if (account_decode(text, len, pool, &a, &e) == 0) {
		must(a.status == ACME_VALID || a.status == ACME_DEACTIVATED ||
		     a.status == ACME_REVOKED);
		must_be_url(a.orders, false);
	} else
		must_be_error(&e);
	if (orders_decode(text, len, listed_order, NULL, &e) == -1)
		must_be_error(&e);
	must(problem_decode(400, "application/problem+json", text, len, &e) ==
	     -1);
	must(e.num == 400);
	must_be_error(&e);
	must_be_problem(e.kind == ERR_PROBLEM, &e);
}

static void
try_renewal(const char *text, size_t len, struct pool *pool)
{
	struct renewal_info r;
	struct err e;

	if (renewal_info_decode(text, len, pool, &r, &e) == -1) {
		must_be_error(&e);
		return;
	}
	must(r.start >= 1577836800 && r.start < r.end &&
	     r.end < INT64_C(7289654400));
	must_be_url(r.explanation, false);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(pool_free) struct pool *pool = pool_new(4 * ACME_BODY_MAX);
	const char *text = (const char *)data;

	if (pool == NULL)
		return 0;
	try_directory(text, size, pool);
	try_order(text, size, pool);
	try_authz(text, size, pool);
	try_rest(text, size, pool);
	try_renewal(text, size, pool);
	return 0;
}
