/* SPDX-License-Identifier: ISC */
/*
 * What the engine may ask for: the whole of what an intruder there can do with
 * keys.  An account key signs JWS, built here; a certificate key signs CSRs,
 * with the names of our own configuration, or some of them where it is partial.
 * Nothing signs bytes as they come.
 *
 * A request that breaks the rules ends the channel.  One that cannot be
 * granted is answered: no such key, a URL that is not https.
 */
#include "daemon/keeper/keeper.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/acme/jws.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/crypto/csr.h"

_Static_assert((int)KEY_EC256 == (int)CONF_EC256 &&
		   (int)KEY_EC384 == (int)CONF_EC384 &&
		   (int)KEY_RSA2048 == (int)CONF_RSA2048 &&
		   (int)KEY_RSA3072 == (int)CONF_RSA3072 &&
		   (int)KEY_RSA4096 == (int)CONF_RSA4096,
    "the configuration's key types are lib/crypto's");
_Static_assert(IPC_KEY_ID == KEY_ID_LEN + 1, "an id fits");
_Static_assert(JWS_MAX <= IPC_TAIL_MAX, "a JWS fits");
_Static_assert(IPC_OLD_KEYS *KEY_ID_LEN < IPC_TAIL_MAX, "a page of ids fits");
_Static_assert(sizeof(struct ipc_key_reply) + IPC_TAIL_MAX <= CHAN_MSG_MAX,
    "an answer fits");

/* Answers. */

static int
send_reply(struct keeper *k, uint32_t id, const struct ipc_key_reply *r,
    const struct buf *tail, struct err *e)
{
	struct err why;

	if (chan_send(k->engine, IPC_KEY_REPLY, id, r, sizeof(*r),
		tail != NULL ? tail->data : NULL, r->tail_len, -1, &why) == 0)
		return 0;
	/* The engine has gone: the channel says so to closed(). */
	if (why.kind == ERR_SYS && why.num == EPIPE)
		return 0;
	*e = why;
	return -1;
}

static int
answer(struct keeper *k, uint32_t id, struct ipc_key_reply *r,
    const struct buf *tail, struct err *e)
{
	r->ok = 1;
	r->tail_len = tail != NULL ? (uint32_t)tail->len : 0;
	return send_reply(k, id, r, tail, e);
}

static int
refuse(struct keeper *k, uint32_t id, bool missing, const struct err *why,
    struct err *e)
{
	struct ipc_key_reply r = { .missing = missing };
	size_t len = strlen(why->what);

	if (len < sizeof(r.error))
		memcpy(r.error, why->what, len);
	else
		(void)snprintf(r.error, sizeof(r.error), "%.*s...",
		    (int)sizeof(r.error) - 4, why->what);
	return send_reply(k, id, &r, NULL, e);
}

/* Fill in what is public of key. */
static int
describe(const struct key *key, const char *id, struct ipc_key_reply *r,
    struct err *e)
{
	AUTO(buf_done) struct buf thumb = BUF_INIT(sizeof(r->thumbprint) - 1);

	if (key_thumbprint(key, &thumb, e) == -1)
		return -1;
	if (!buf_ok(&thumb))
		return err_nomem(e, "thumbprint");
	memcpy(r->key_id, id, sizeof(r->key_id));
	memcpy(r->thumbprint, thumb.data, thumb.len);
	return 0;
}

/* Checks; what fails them cannot have come from an engine of ours. */

static int
check_id(const char id[IPC_KEY_ID], struct err *e)
{
	if (!chan_text_ok(id, IPC_KEY_ID) || !str_is_hex(id, KEY_ID_LEN))
		return err_set(e, ERR_PROTO, 0, "bad key id");
	return 0;
}

static int
check_index(uint32_t i, uint32_t n, struct err *e)
{
	if (i >= n)
		return err_set(e, ERR_PROTO, 0, "index %u of %u", i, n);
	return 0;
}

static int
bad_text(const char *what, struct err *e)
{
	return err_set(e, ERR_PROTO, 0, "bad text in %s", what);
}

/* The requests. */

static int
on_key_new(void *arg, struct chan_msg *m, struct err *e)
{
	const struct ipc_key_new *q = m->body;
	const struct keeper *k = arg;
	struct keygen_want w = { .id = m->id, .index = q->index };
	struct err why;

	switch (q->role) {
	case IPC_ROLE_ACCOUNT:
		if (check_index(q->index, k->conf->n_cas, e) == -1)
			return -1;
		w.role = IPC_ROLE_ACCOUNT;
		w.type = (enum key_type)k->conf->cas[q->index].account_key;
		break;
	case IPC_ROLE_CERT:
		if (check_index(q->index, k->conf->n_certs, e) == -1)
			return -1;
		w.role = IPC_ROLE_CERT;
		w.type = (enum key_type)k->conf->certs[q->index].key;
		break;
	default:
		return err_set(e, ERR_PROTO, 0, "bad role");
	}
	if (keygen_start(k->keygen, &w, &why) == -1)
		return refuse(arg, m->id, false, &why, e);
	return 0;
}

static int
key_made(struct keeper *k, const struct keygen_want *w, struct key *made,
    const struct err *failed, struct err *e)
{
	bool account = w->role == IPC_ROLE_ACCOUNT;
	const char *name = account ? k->conf->cas[w->index].name
				   : k->conf->certs[w->index].name;
	struct ipc_key_reply r = { 0 };
	struct err why = *failed;
	struct key *key = NULL;

	if (made != NULL)
		key = keys_add(k->keys, w->role, made, r.key_id, &why);
	if (key == NULL || describe(key, r.key_id, &r, &why) == -1) {
		log_error("no new key", KV(account ? "ca" : "cert", name),
		    KV("error", why.what), KV("hint", err_hint(&why)));
		return refuse(k, w->id, false, &why, e);
	}
	if (account)
		log_info("account key made", KV("ca", name),
		    KV("type", key_type_name(w->type)), KV("key", r.key_id));
	else
		log_debug("certificate key made", KV("cert", name),
		    KV("type", key_type_name(w->type)), KV("key", r.key_id));
	return answer(k, w->id, &r, NULL, e);
}

void
keeper_key_made(void *arg, const struct keygen_want *w, struct key *made,
    const struct err *failed)
{
	struct keeper *k = arg;
	struct err e;

	/* Nobody would ever tell the engine: as when a handler fails. */
	if (key_made(k, w, made, failed, &e) == -1)
		k->closed(k->closed_arg, &e);
}

static int
on_key_get(void *arg, struct chan_msg *m, struct err *e)
{
	const struct ipc_key_get *q = m->body;
	struct ipc_key_reply r = { 0 };
	struct keeper *k = arg;
	struct err why;
	struct key *key;
	bool missing;

	if (q->role != IPC_ROLE_ACCOUNT && q->role != IPC_ROLE_CERT)
		return err_set(e, ERR_PROTO, 0, "bad role");
	if (check_id(q->key_id, e) == -1)
		return -1;
	key = keys_get(
	    k->keys, (enum ipc_role)q->role, q->key_id, &missing, &why);
	if (key == NULL || describe(key, q->key_id, &r, &why) == -1)
		return refuse(k, m->id, missing, &why, e);
	return answer(k, m->id, &r, NULL, e);
}

static int
on_key_drop(void *arg, struct chan_msg *m, struct err *e)
{
	const struct ipc_key_drop *q = m->body;
	struct ipc_key_reply r = { 0 };
	struct keeper *k = arg;
	struct err why;

	if (check_id(q->key_id, e) == -1)
		return -1;
	if (keys_drop(k->keys, q->key_id, &why) == -1) {
		log_warn("old key not removed", KV("error", why.what),
		    KV("hint", err_hint(&why)));
		return refuse(k, m->id, false, &why, e);
	}
	memcpy(r.key_id, q->key_id, sizeof(r.key_id));
	return answer(k, m->id, &r, NULL, e);
}

/* Ids only, which are hashes of public keys; of accounts not even those. */
static int
on_keys_old(void *arg, struct chan_msg *m, struct err *e)
{
	AUTO(buf_done) struct buf ids = BUF_INIT(IPC_TAIL_MAX);
	const struct ipc_keys_old *q = m->body;
	struct ipc_key_reply r = { 0 };
	struct keeper *k = arg;
	struct err why;
	bool more;

	if (q->first > 1)
		return err_set(e, ERR_PROTO, 0, "bad flag");
	if (keys_old(k->keys, q->first == 1, &ids, &more, &why) == -1)
		return refuse(k, m->id, false, &why, e);
	r.more = more;
	return answer(k, m->id, &r, &ids, e);
}

static int
on_jws(void *arg, struct chan_msg *m, struct err *e)
{
	AUTO(buf_done) struct buf out = BUF_INIT(IPC_TAIL_MAX);
	const struct ipc_jws *q = m->body;
	struct ipc_key_reply r = { 0 };
	struct jws_head head = {
		.kid = q->kid[0] != '\0' ? q->kid : NULL,
		.nonce = q->nonce,
		.url = q->url,
	};
	struct keeper *k = arg;
	struct err why;
	struct key *key;
	bool missing;

	if (check_id(q->key_id, e) == -1)
		return -1;
	if (!CHAN_TEXT_OK(q->kid) || !CHAN_TEXT_OK(q->url) ||
	    !CHAN_TEXT_OK(q->nonce) || q->payload_len != m->tail_len)
		return bad_text("jws", e);
	key = keys_get(k->keys, IPC_ROLE_ACCOUNT, q->key_id, &missing, &why);
	if (key == NULL ||
	    payloads_check(&k->payloads, m->tail, m->tail_len, &why) == -1 ||
	    jws_make(key, &head, m->tail, m->tail_len, &out, &why) == -1)
		return refuse(k, m->id, missing, &why, e);
	memcpy(r.key_id, q->key_id, sizeof(r.key_id));
	return answer(k, m->id, &r, &out, e);
}

/* The names of cert without those that the engine wants left out: into names,
 * and how many; -1: no engine of ours asks for that. */
static int
csr_names(const struct conf_cert *cert, const struct ipc_csr *q,
    const char *names[IPC_NAMES], struct err *e)
{
	int n = 0;
	uint32_t i;

	for (i = 0; i < IPC_NAMES; i++) {
		bool out = ipc_is_out(q->left_out, i);

		if (out && (!cert->partial || i >= cert->n_idents))
			return err_set(e, ERR_PROTO, 0, "no such name to omit");
		if (!out && i < cert->n_idents)
			names[n++] = cert->idents[i];
	}
	return n == 0 ? err_set(e, ERR_PROTO, 0, "no names") : n;
}

static int
on_csr(void *arg, struct chan_msg *m, struct err *e)
{
	AUTO(buf_done) struct buf out = BUF_INIT(IPC_TAIL_MAX);
	const char *names[IPC_NAMES];
	const struct ipc_csr *q = m->body;
	struct ipc_key_reply r = { 0 };
	struct keeper *k = arg;
	struct err why;
	struct key *key;
	bool missing;
	int n;

	if (check_id(q->key_id, e) == -1 ||
	    check_index(q->cert, k->conf->n_certs, e) == -1)
		return -1;
	n = csr_names(&k->conf->certs[q->cert], q, names, e);
	if (n == -1)
		return -1;
	key = keys_get(k->keys, IPC_ROLE_CERT, q->key_id, &missing, &why);
	if (key == NULL || csr_make(key, names, (size_t)n, &out, &why) == -1 ||
	    payloads_note_csr(&k->payloads, out.data, out.len, &why) == -1)
		return refuse(k, m->id, missing, &why, e);
	memcpy(r.key_id, q->key_id, sizeof(r.key_id));
	return answer(k, m->id, &r, &out, e);
}

static int
make_eab(const struct keeper *k, const struct ipc_eab *q, struct key *key,
    struct buf *out, struct err *e)
{
	const struct conf_ca *ca = &k->conf->cas[q->ca];
	const struct buf *mac = &k->secrets[q->ca];

	if (ca->eab_kid == NULL || mac->len == 0)
		return err_set(e, ERR_CONFIG, 0, "%s: no usable EAB key%s%s",
		    ca->name, ca->eab_hmac_file != NULL ? ": see " : "",
		    ca->eab_hmac_file != NULL ? ca->eab_hmac_file : "");
	return jws_eab(
	    key, ca->eab_kid, mac->data, mac->len, ca->eab_alg, q->url, out, e);
}

static int
on_eab(void *arg, struct chan_msg *m, struct err *e)
{
	AUTO(buf_done) struct buf out = BUF_INIT(IPC_TAIL_MAX);
	const struct ipc_eab *q = m->body;
	struct ipc_key_reply r = { 0 };
	struct keeper *k = arg;
	struct err why;
	struct key *key;
	bool missing;

	if (check_id(q->key_id, e) == -1 ||
	    check_index(q->ca, k->conf->n_cas, e) == -1)
		return -1;
	if (!CHAN_TEXT_OK(q->url))
		return bad_text("eab", e);
	key = keys_get(k->keys, IPC_ROLE_ACCOUNT, q->key_id, &missing, &why);
	if (key == NULL || make_eab(k, q, key, &out, &why) == -1)
		return refuse(k, m->id, missing, &why, e);
	memcpy(r.key_id, q->key_id, sizeof(r.key_id));
	return answer(k, m->id, &r, &out, e);
}

#define SIZE(x) sizeof(struct ipc_##x)
/* clang-format off */
const struct chan_rule keeper_rules[IPC__COUNT] = {
	[IPC_KEY_NEW]  = { "key-new",  SIZE(key_new),  0, 0, on_key_new  },
	[IPC_KEY_GET]  = { "key-get",  SIZE(key_get),  0, 0, on_key_get  },
	[IPC_KEY_DROP] = { "key-drop", SIZE(key_drop), 0, 0, on_key_drop },
	[IPC_JWS]      = { "jws",      SIZE(jws), IPC_TAIL_MAX, 0, on_jws },
	[IPC_CSR]      = { "csr",      SIZE(csr),      0, 0, on_csr      },
	[IPC_EAB]      = { "eab",      SIZE(eab),      0, 0, on_eab      },
	[IPC_KEYS_OLD] = { "keys-old", SIZE(keys_old), 0, 0, on_keys_old },
};
/* clang-format on */
