/* SPDX-License-Identifier: ISC */
/*
 * The steps after the CA has issued: download, choose among alternate chains,
 * check, and have root install it.
 */

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/issue_int.h"
#include "daemon/engine/schedule.h"
#include "lib/acme/reply.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

#define SKEW_S     INT64_C(3600)
#define CHAIN_TYPE "application/pem-certificate-chain"
#define KEPT_KEYS  3
#define NAMES_MAX  (256u << 10) /* of one certificate, as text */
#define EARLY_MS   (10 * INT64_C(60000))

int
start_download(struct issue *is, struct err *e)
{
	return issue_ask(is,
	    &(struct ask_spec){
		.url = is->order.certificate, .accept = CHAIN_TYPE },
	    e);
}

static void
add_alternate(void *arg, const char *url)
{
	struct issue *is = arg;

	if (is->n_alternates == ALTERNATES_MAX)
		return;
	is->alternates[is->n_alternates] = pool_strdup(is->pool, url);
	if (is->alternates[is->n_alternates] != NULL)
		is->n_alternates++;
}

static struct next
choose(struct issue *is)
{
	const char *want = is->cert->conf->preferred_chain;

	if (want == NULL || chain_matches(is->chain, want))
		return NEXT_TO(STEP_INSTALL);
	if (is->next_alternate < is->n_alternates)
		return NEXT_TO(STEP_ALTERNATE);
	log_warn("preferred chain not offered, the CA's default is used",
	    KV("cert", is->cert->conf->name), KV("wanted", want));
	return NEXT_TO(STEP_INSTALL);
}

/* What is wrong with what the CA sent is no trouble of ours, whoever found it.
 */
static void
blame_ca(struct err *e)
{
	if (e->kind != ERR_NOMEM)
		e->kind = ERR_PROTO;
}

struct next
downloaded(struct issue *is, const struct answer *a, struct err *e)
{
	const struct reply *r = a->reply;
	const char *link;
	unsigned i;

	chain_free(is->chain);
	is->chain = chain_parse(r->body, r->len, e);
	if (is->chain == NULL) {
		/* it is issued: another order would be one certificate more */
		blame_ca(e);
		return NEXT_FAILED;
	}
	is->n_alternates = is->next_alternate = 0;
	for (i = 0; (link = http_header(r->http, "Link", i)) != NULL; i++)
		reply_links(link, r->url, "alternate", add_alternate, is);
	return choose(is);
}

int
start_alternate(struct issue *is, struct err *e)
{
	return issue_ask(is,
	    &(struct ask_spec){ .url = is->alternates[is->next_alternate++],
		.accept = CHAIN_TYPE,
		.once = true },
	    e);
}

static int
check_at(struct issue *is, const struct chain *ch, int64_t now, struct err *e)
{
	const struct cert *c = is->cert;

	return chain_check(
	    ch, c->order_key, c->idents, c->n_idents, now, SKEW_S, e);
}

/* One that could not be installed costs the CA's default nothing. */
struct next
got_alternate(struct issue *is, const struct answer *a, struct err *e)
{
	AUTO(chain_free)
	struct chain *other = chain_parse(a->reply->body, a->reply->len, e);

	if (other == NULL)
		return no_alternate(is, e);
	if (!chain_matches(other, is->cert->conf->preferred_chain))
		return choose(is);
	if (check_at(is, other, clock_now(), e) == -1 &&
	    check_at(is, other, session_now(is->session), e) == -1)
		return no_alternate(is, e);
	chain_free(is->chain);
	is->chain = take_ptr(other);
	return choose(is);
}

/* An alternate that cannot be had never fails the issuance (protocol H6). */
struct next
no_alternate(struct issue *is, struct err *e)
{
	log_info("alternate chain not had", KV("cert", is->cert->conf->name),
	    KV("error", e->what));
	return choose(is);
}

/*
 * One of two clocks is wrong when a certificate is good by ours or by the CA's
 * only.  It is used all the same; but while another one is in service, not
 * before it is valid by ours as well, for that may be the right one.
 */
static int
check_chain(struct issue *is, struct err *e)
{
	const struct issued *h = &is->cert->have;
	int64_t now = session_now(is->session);
	bool by_ours;
	struct err why;

	by_ours = check_at(is, is->chain, clock_now(), &why) == 0;
	is->early = false;
	if (check_at(is, is->chain, now, e) == -1)
		return by_ours ? 0 : -1;
	is->early = !by_ours && h->version != 0 && h->not_after > now &&
		    is->mode == ISSUE_REAL;
	return 0;
}

int
install_fill(
    struct install *in, const struct chain *ch, struct buf *pem, struct err *e)
{
	if (chain_pem(ch, 0, 1, pem, e) == -1)
		return -1;
	in->leaf_len = pem->len;
	if (chain_pem(ch, 1, chain_len(ch), pem, e) == -1)
		return -1;
	in->pem = pem->data;
	in->chain_len = pem->len - in->leaf_len;
	return 0;
}

int
start_install(struct issue *is, struct err *e)
{
	AUTO(buf_done) struct buf pem = BUF_INIT(IPC_PEM_MAX);
	const struct conf_cert *cc = is->cert->conf;
	struct install in = { .cert = is->cert->index,
		.key_id = is->cert->order_key };

	if (check_chain(is, e) == -1) {
		if (e->kind == ERR_NOMEM)
			return -1;
		blame_ca(e);
		log_error("the CA issued something else than we ordered: "
			  "not installed",
		    KV("cert", cc->name), KV("order", is->cert->order_url),
		    KV("error", e->what));
		issue_drop_order(is);
		return -1;
	}
	if (is->mode == ISSUE_REHEARSAL || is->early)
		return STARTED_NOTHING;
	if (install_fill(&in, is->chain, &pem, e) == -1)
		return -1;
	is->up_op =
	    upstairs_install(is->env->upstairs, &in, issue_on_install, is, e);
	return is->up_op == NULL ? -1 : 0;
}

void
issued_retire(struct cert *c, struct keys *keys, const char *was)
{
	AUTO(buf_done) struct buf list = BUF_INIT(KEPT_KEYS * 80);
	AUTO(free) char *old = c->old_keys;
	char *rest = old, *key;
	unsigned n = 0;

	c->old_keys = NULL;
	if (was != NULL && strcmp(was, c->have.key_id) != 0) {
		buf_puts(&list, was);
		n = 1;
	}
	while ((key = strsep(&rest, " ")) != NULL) {
		if (strcmp(key, c->have.key_id) == 0)
			continue;
		if (++n < KEPT_KEYS)
			buf_printf(
			    &list, "%s%s", list.len == 0 ? "" : " ", key);
		else
			keys_drop(keys, key);
	}
	if (list.len != 0)
		c->old_keys = buf_take(&list);
}

/* It is for some of the configured names only. */
static bool
is_partial(const struct conf_cert *cc, const struct x509_info *info)
{
	uint32_t i;

	for (i = 0; i < cc->n_idents; i++)
		if (!str_among(cc->idents[i], (const char *const *)info->idents,
			info->n_idents))
			return true;
	return false;
}

/* NULL: no memory. */
static char *
names_of(const struct x509_info *info)
{
	AUTO(buf_done) struct buf list = BUF_INIT(NAMES_MAX);
	size_t i;

	for (i = 0; i < info->n_idents; i++)
		buf_printf(&list, "%s%s", i == 0 ? "" : " ", info->idents[i]);
	return buf_take(&list);
}

int
issued_take(struct issued *h, const struct conf_cert *cc,
    const struct x509_info *info, struct err *e)
{
	AUTO(free) char *key_id = strdup(info->key_id);
	AUTO(free) char *serial = strdup(info->serial);
	bool partial = is_partial(cc, info);
	AUTO(free) char *names = partial ? names_of(info) : NULL;
	AUTO(free) char *ari_id = NULL;

	if (info->ari_id != NULL)
		ari_id = strdup(info->ari_id);
	if (key_id == NULL || serial == NULL || (names == NULL && partial) ||
	    (ari_id == NULL && info->ari_id != NULL))
		return err_nomem(e, "certificate");
	free(h->key_id);
	free(h->serial);
	free(h->ari_id);
	free(h->names);
	h->key_id = take_ptr(key_id);
	h->serial = take_ptr(serial);
	h->ari_id = take_ptr(ari_id);
	h->names = take_ptr(names);
	h->partial = partial;
	h->issuer = certs_intern(info->issuer);
	h->not_before = info->not_before;
	h->not_after = info->not_after;
	h->replaced = h->hurried = h->ruined = h->uncounted = false;
	return 0;
}

/* All or nothing: what is known of the certificate before stays whole. */
static int
remember(struct issue *is, uint32_t version, struct err *e)
{
	AUTO(pool_free) struct pool *pool = pool_new(256 << 10);
	AUTO(free) char *was = NULL;
	struct cert *c = is->cert;
	struct issued *h = &c->have;
	bool hurried = cert_hurried(c, session_now(is->session));
	struct x509_info info;

	if (pool == NULL)
		return err_nomem(e, "certificate");
	if (chain_info(is->chain, pool, &info, e) == -1)
		return -1;
	was = h->key_id == NULL ? NULL : strdup(h->key_id);
	if ((was == NULL && h->key_id != NULL) ||
	    issued_take(h, c->conf, &info, e) == -1)
		return err_nomem(e, "certificate");
	issued_retire(c, is->env->keys, was);
	h->ca = certs_intern(session_ca(is->session)->name);
	h->account = certs_intern(session_account_url(is->session));
	/* as the certificate's own instants are */
	h->installed_at = session_now(is->session);
	h->by_fraction =
	    schedule_pick(info.not_before, info.not_after, h->installed_at);
	h->made_for = c->wants;
	h->version = version;
	h->hurried = hurried;
	window_clear(&c->window);
	return 0;
}

/* Clients refuse it from then on, whatever it says of itself (protocol H8). */
static void
compare_ends(const struct issue *is)
{
	int64_t end = chain_issuers_end(is->chain);
	char issuers[CLOCK_RFC3339_MAX], leaf[CLOCK_RFC3339_MAX];

	if (end >= is->cert->have.not_after)
		return;
	clock_format(end, issuers);
	clock_format(is->cert->have.not_after, leaf);
	log_warn("an issuer in the chain ends before the certificate: look for "
		 "another chain of the CA, for preferred-chain",
	    KV("cert", is->cert->conf->name), KV("issuer_ends", issuers),
	    KV("certificate_ends", leaf));
}

struct next
installed(struct issue *is, const struct answer *a, struct err *e)
{
	struct cert *c = is->cert;

	if (is->early) {
		log_warn("the new certificate is not valid by the clock of "
			 "this host: the old one stays until it is; look after "
			 "the clock",
		    KV("cert", c->conf->name));
		return next_later(STEP_INSTALL, EARLY_MS);
	}
	if (a == NULL) { /* a rehearsal: nothing of it is kept */
		issue_drop_order(is);
		return (struct next){ .what = NEXT_DONE, .save = SAVE_CERT };
	}
	if (remember(is, a->version, e) == -1)
		return NEXT_FAILED;
	partial_installed(c);
	log_info("certificate installed", KV("cert", c->conf->name),
	    KV("ca", c->have.ca), KV("issuer", c->have.issuer),
	    KV("serial", c->have.serial), KN("version", c->have.version));
	compare_ends(is);
	issue_drop_order(is);
	trouble_clear(&c->issue_trouble);
	trouble_clear(&c->deploy_trouble);
	c->deploy = c->conf->reload == CONF_NONE ? DEPLOY_DONE : DEPLOY_RELOAD;
	return (struct next){ .what = NEXT_DONE, .save = SAVE_CERT };
}
