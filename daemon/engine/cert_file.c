/* SPDX-License-Identifier: ISC */
/* A certificate's state as JSON, and back. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/engine/certs.h"
#include "daemon/engine/failover.h"
#include "daemon/engine/policy.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/str.h"
#include "lib/io/json.h"

#define HASH_HEX     16
#define FAILURES_MAX 1000000
#define WAITED_MAX_S (366 * INT64_C(86400))

static char *
get_dup(const struct json *o, const char *key)
{
	const char *text = json_get_text(o, key);

	return text == NULL ? NULL : strdup(text);
}

/* The same, and no memory is not the same as no text. */
static int
take_text(const struct json *o, const char *key, char **out, struct err *e)
{
	*out = get_dup(o, key);
	if (*out == NULL && json_get_text(o, key) != NULL)
		return err_nomem(e, key);
	return 0;
}

static void
set_hash(struct json *o, const char *key, uint64_t v)
{
	char text[HASH_HEX + 1];

	(void)snprintf(text, sizeof(text), "%0*" PRIx64, HASH_HEX, v);
	json_set_str(o, key, text);
}

static uint64_t
get_hash(const struct json *o, const char *key)
{
	const char *text = json_get_text(o, key);

	return text == NULL || !str_is_hex(text, HASH_HEX)
		   ? 0
		   : strtoull(text, NULL, 16);
}

static unsigned
get_count(const struct json *o, const char *key)
{
	int64_t n = json_get_int(o, key);

	return n < 0 ? 0 : n > FAILURES_MAX ? FAILURES_MAX : (unsigned)n;
}

static void
put_trouble(struct json *root, const char *key, const struct trouble *t)
{
	struct json *o;

	if (t->text == NULL && t->failures == 0)
		return;
	o = json_set_object(root, key);
	json_set_str(o, "text", t->text);
	json_set_str(o, "type", t->type);
	json_set_str(o, "row", t->row);
	json_set_int(o, "failures", t->failures);
	json_set_int(o, "alike", t->alike);
	json_set_bool(o, "operator", t->operator);
	json_set_time(o, "at", t->at);
	json_set_time(o, "since", t->since);
	json_set_time(o, "next", t->next);
}

static void
get_trouble(const struct json *root, const char *key, struct trouble *t)
{
	const struct json *o = json_get_object(root, key);
	const char *type;

	if (o == NULL)
		return;
	type = json_get_text(o, "type");
	t->type = type == NULL ? NULL : certs_intern(type);
	type = json_get_text(o, "row");
	t->row = type == NULL ? NULL : policy_name(type);
	t->text = get_dup(o, "text");
	t->failures = get_count(o, "failures");
	t->alike = get_count(o, "alike");
	t->operator= json_get_bool(o, "operator");
	t->at = json_get_time(o, "at");
	t->since = json_get_time(o, "since");
	t->next = json_get_time(o, "next");
}

uint64_t
cert_hash_names(const char *const *idents, uint32_t n)
{
	uint64_t h = 0;
	uint32_t i;

	for (i = 0; i < n; i++)
		h = h * 31 + str_hash(idents[i], strlen(idents[i]));
	return h;
}

static void
put_wants(struct json *root, const char *key, const struct wants *w)
{
	struct json *o = json_set_object(root, key);

	set_hash(o, "names", w->names);
	json_set_int(o, "ca", w->ca);
	json_set_int(o, "profile", w->profile);
	json_set_bool(o, "required", w->required);
	json_set_int(o, "key", w->key);
}

static void
get_wants(const struct json *root, const char *key, struct wants *w)
{
	const struct json *o = json_get_object(root, key);

	w->names = get_hash(o, "names");
	w->ca = (uint32_t)json_get_int(o, "ca");
	w->profile = (uint32_t)json_get_int(o, "profile");
	w->required = json_get_bool(o, "required");
	w->key = (uint32_t)json_get_int(o, "key");
}

uint64_t
cert_list(const struct conf *conf, const struct conf_cert *cc)
{
	uint64_t h = 0;
	uint32_t i;

	for (i = 0; i < cc->n_cas; i++) {
		const char *name = conf->cas[cc->cas[i]].name;

		h = h * 31 + str_hash(name, strlen(name));
	}
	return h;
}

bool
cert_same_wants(const struct wants *a, const struct wants *b)
{
	return a->names == b->names && a->key == b->key &&
	       a->profile == b->profile && a->required == b->required &&
	       a->ca == b->ca;
}

static int
put_names(const struct cert *c, struct json *o, struct err *e)
{
	AUTO(buf_done) struct buf list = BUF_INIT(STORE_VALUE_MAX / 2);
	uint32_t i;

	for (i = 0; c->have.names == NULL && i < c->conf->n_idents; i++)
		buf_printf(
		    &list, "%s%s", i == 0 ? "" : " ", c->conf->idents[i]);
	if (c->have.names == NULL && !buf_ok(&list))
		return err_nomem(e, "names");
	json_set_str(
	    o, "names", c->have.names != NULL ? c->have.names : buf_str(&list));
	return 0;
}

static int
put_issued(struct json *root, const struct cert *c, struct err *e)
{
	const struct issued *h = &c->have;
	struct json *o;

	if (h->version == 0)
		return 0;
	o = json_set_object(root, "certificate");
	json_set_str(o, "key", h->key_id);
	json_set_str(o, "serial", h->serial);
	json_set_str(o, "issuer", h->issuer);
	json_set_str(o, "ca", h->ca);
	json_set_str(o, "account", h->account);
	json_set_str(o, "ari", h->ari_id);
	json_set_bool(o, "replaced", h->replaced);
	json_set_bool(o, "hurried", h->hurried);
	json_set_bool(o, "partial", h->partial);
	json_set_time(o, "not_before", h->not_before);
	json_set_time(o, "not_after", h->not_after);
	json_set_time(o, "installed_at", h->installed_at);
	json_set_time(o, "by_fraction", h->by_fraction);
	json_set_int(o, "version", h->version);
	put_wants(o, "made_for", &h->made_for);
	return put_names(c, o, e);
}

static const char *
get_interned(const struct json *o, const char *key)
{
	const char *text = json_get_text(o, key);

	return text == NULL ? NULL : certs_intern(text);
}

static int
get_issued(const struct json *root, struct cert *c, struct err *e)
{
	const struct json *o = json_get_object(root, "certificate");
	struct issued *h = &c->have;
	int64_t version;

	if (o == NULL)
		return 0;
	get_wants(o, "made_for", &h->made_for);
	h->partial = json_get_bool(o, "partial");
	if (take_text(o, "key", &h->key_id, e) == -1 ||
	    take_text(o, "serial", &h->serial, e) == -1 ||
	    take_text(o, "ari", &h->ari_id, e) == -1 ||
	    ((h->partial || h->made_for.names != c->wants.names) &&
		take_text(o, "names", &h->names, e) == -1))
		return -1;
	h->issuer = get_interned(o, "issuer");
	h->ca = get_interned(o, "ca");
	h->account = get_interned(o, "account");
	h->replaced = json_get_bool(o, "replaced");
	h->hurried = json_get_bool(o, "hurried");
	h->not_before = json_get_time(o, "not_before");
	h->not_after = json_get_time(o, "not_after");
	h->installed_at = json_get_time(o, "installed_at");
	h->by_fraction = json_get_time(o, "by_fraction");
	version = json_get_int(o, "version");
	if (h->key_id == NULL || !str_is_hex(h->key_id, KEY_ID_LEN) ||
	    h->not_after <= h->not_before || h->by_fraction == 0 ||
	    version <= 0 || version > UINT32_MAX)
		return err_set(
		    e, ERR_PROTO, 0, "\"certificate\" is not what we wrote");
	h->version = (uint32_t)version;
	return 0;
}

/* The instant is kept with the window that it is of (protocol J3). */
static void
put_window(struct json *root, const struct window *w)
{
	struct json *o;

	if (w->end == 0 && w->next == 0)
		return;
	o = json_set_object(root, "window");
	json_set_time(o, "start", w->start);
	json_set_time(o, "end", w->end);
	json_set_time(o, "picked", w->picked);
	json_set_time(o, "next", w->next);
	json_set_time(o, "past_since", w->past_since);
	json_set_str(o, "url", w->url);
	json_set_int(o, "failures", w->failures);
}

static void
get_window(const struct json *root, struct window *w)
{
	const struct json *o = json_get_object(root, "window");

	w->next = json_get_time(o, "next");
	w->failures = get_count(o, "failures");
	w->start = json_get_time(o, "start");
	w->end = json_get_time(o, "end");
	w->picked = json_get_time(o, "picked");
	w->past_since = json_get_time(o, "past_since");
	w->url = get_dup(o, "url");
	if (w->start == 0 || w->end <= w->start || w->picked < w->start ||
	    w->picked > w->end)
		w->start = w->end = w->picked = w->past_since = 0;
}

/* Where the next try goes. */
static void
put_failover(struct json *root, const struct conf *conf, const struct cert *c)
{
	struct json *o;

	if (c->ca_at == 0 && c->ca_failures == 0 && !c->rehearse &&
	    c->rehearsed == 0)
		return;
	o = json_set_object(root, "try");
	json_set_str(o, "ca", conf->cas[c->conf->cas[c->ca_at]].name);
	json_set_int(o, "failures", c->ca_failures);
	json_set_bool(o, "rehearse", c->rehearse);
	json_set_int(o, "rehearsed", c->rehearsed);
	if (c->instead != NULL)
		json_set_str(o, "instead", c->instead);
}

static void
get_failover(const struct json *root, const struct conf *conf, struct cert *c)
{
	const struct json *o = json_get_object(root, "try");
	const char *name = json_get_text(o, "ca");
	uint32_t i;

	for (i = 0; name != NULL && i < c->conf->n_cas; i++)
		if (strcmp(conf->cas[c->conf->cas[i]].name, name) == 0)
			break;
	if (name == NULL || i == c->conf->n_cas ||
	    failover_refusal(conf, c, i) != NULL)
		return;
	c->ca_at = i;
	c->ca_failures = get_count(o, "failures");
	c->rehearse = json_get_bool(o, "rehearse");
	c->rehearsed = get_count(o, "rehearsed");
	if (i != 0)
		c->instead = get_dup(o, "instead");
}

/* By name: the configuration may have the CAs in another order then. */
static void
put_said(struct json *root, const struct conf *conf, const struct cert *c)
{
	struct json *o = NULL;
	unsigned i;

	for (i = 0; i < c->n_said; i++) {
		if (c->said[i].until <= clock_now() || c->said[i].failed)
			continue;
		if (o == NULL)
			o = json_set_object(root, "said");
		json_set_time(
		    o, conf->cas[c->said[i].ca].name, c->said[i].until);
	}
}

static void
get_said(const struct json *root, const struct conf *conf, struct cert *c)
{
	const struct json *o = json_get_object(root, "said");
	int64_t until;
	uint32_t i;

	for (i = 0; o != NULL && i < conf->n_cas; i++) {
		until = json_get_time(o, conf->cas[i].name);
		if (until != 0)
			failover_note_said(c, i, until, clock_now());
	}
}

/* Names that fail, and when all are tried again. */
static void
put_partial(struct json *root, const struct cert *c)
{
	const struct partial *p = c->partial;
	struct json *o, *list, *one;
	uint32_t i;

	if (p == NULL || p->n_bad == 0)
		return;
	o = json_set_object(root, "bad_names");
	json_set_time(o, "whole_at", p->whole_at);
	list = json_set_array(o, "names");
	for (i = 0; i < p->n_bad; i++) {
		const struct bad_name *b = &p->bad[i];

		one = json_push_object(list);
		json_set_str(one, "name", c->conf->idents[b->ident]);
		json_set_bool(one, "left_out", b->out);
		json_set_int(one, "failures", b->failures);
		json_set_str(one, "type", b->type);
		json_set_str(one, "text", b->text);
		json_set_time(one, "since", b->since);
		json_set_time(one, "at", b->at);
	}
}

static int
get_partial(const struct json *root, struct cert *c, struct err *e)
{
	const struct json *o = json_get_object(root, "bad_names");
	const struct json *list = json_get_array(o, "names"), *one;
	const char *name;
	struct bad_name *b;
	size_t i;

	for (i = 0; c->conf->partial && i < json_len(list); i++) {
		one = json_at(list, i);
		name = json_get_text(one, "name");
		b = name == NULL ? NULL : partial_add(c, name);
		if (b == NULL || b->text != NULL)
			continue;
		b->out = json_get_bool(one, "left_out");
		b->failures = get_count(one, "failures");
		b->type = get_interned(one, "type");
		b->since = json_get_time(one, "since");
		b->at = json_get_time(one, "at");
		if (take_text(one, "text", &b->text, e) == -1)
			return -1;
	}
	/* all of them: no certificate is without any */
	if (partial_n_out(c) == c->conf->n_idents)
		partial_free(c);
	if (c->partial != NULL)
		c->partial->whole_at = json_get_time(o, "whole_at");
	return 0;
}

static const char *const deploy_names[] = {
	[DEPLOY_NONE] = "none",
	[DEPLOY_RELOAD] = "reload",
	[DEPLOY_DONE] = "done",
};

int
cert_encode(const struct conf *conf, const struct cert *c, struct buf *out,
    struct err *e)
{
	AUTO(json_free) struct json *root = json_object();

	json_set_str(root, "name", c->conf->name);
	json_set_time(root, "saved_at", clock_now());
	put_wants(root, "wants", &c->wants);
	set_hash(root, "list", cert_list(conf, c->conf));
	put_trouble(root, "trouble", &c->issue_trouble);
	if (put_issued(root, c, e) == -1)
		return -1;
	put_window(root, &c->window);
	put_failover(root, conf, c);
	put_said(root, conf, c);
	put_partial(root, c);
	json_set_str(root, "deploy", deploy_names[c->deploy]);
	put_trouble(root, "deploy_trouble", &c->deploy_trouble);
	if (c->old_keys != NULL)
		json_set_str(root, "old_keys", c->old_keys);
	json_set_bool(root, "ruined", c->have.ruined);
	if (c->restored != NULL) {
		json_set_str(root, "restored", c->restored);
		json_set_time(root, "restored_at", c->restored_at);
	}
	return json_dump(root, true, out, e);
}

int
cert_encode_order(const struct conf *conf, const struct cert *c,
    struct buf *out, struct err *e)
{
	AUTO(json_free) struct json *root = json_object();

	json_set_str(root, "name", c->conf->name);
	put_wants(root, "wants", &c->wants);
	json_set_time(root, "begun", c->begun);
	json_set_str(root, "url", c->order_url);
	json_set_str(root, "key", c->order_key);
	json_set_str(root, "tokens", c->tokens);
	if (c->order_ca != CONF_NONE) {
		json_set_str(root, "ca", conf->cas[c->order_ca].name);
		json_set_str(
		    root, "directory", conf->cas[c->order_ca].directory);
	}
	json_set_bool(root, "rehearsal", c->rehearsal);
	json_set_int(root, "spent", c->spent);
	json_set_int(root, "waited", c->waited_s);
	json_set_int(root, "failures", c->order_failures);
	if (c->n_idents != c->conf->n_idents)
		set_hash(root, "reduced_to",
		    cert_hash_names(c->idents, c->n_idents));
	return json_dump(root, true, out, e);
}

/* It is called the same, and has not moved: elsewhere is another CA. */
static bool
is_ca(const struct conf_ca *ca, const char *name, const char *directory)
{
	return strcmp(ca->name, name) == 0 &&
	       (directory == NULL || strcmp(ca->directory, directory) == 0);
}

/* The CA of an order, when the certificate may still have it. */
static uint32_t
ca_of_order(const struct conf *conf, const struct cert *c,
    const struct json *root, bool rehearsal)
{
	const char *directory = json_get_text(root, "directory");
	const char *name = json_get_text(root, "ca");
	uint32_t i, ca;

	for (i = 0; name != NULL && i < c->conf->n_cas; i++) {
		ca = c->conf->cas[i];
		if (rehearsal)
			ca = conf->cas[ca].staging;
		if (ca != CONF_NONE && is_ca(&conf->cas[ca], name, directory))
			return ca;
	}
	return CONF_NONE;
}

/* Without the names that are left out now, if without any. */
static bool
is_for(struct cert *c, uint64_t reduced_to)
{
	if (reduced_to == 0)
		return true;
	partial_use(c, true);
	return cert_hash_names(c->idents, c->n_idents) == reduced_to;
}

int
cert_decode_order(const struct conf *conf, struct cert *c, const char *text,
    size_t len, struct err *e)
{
	AUTO(json_free) struct json *root = json_parse(text, len, e);
	const char *url = json_get_text(root, "url");
	const char *key = json_get_text(root, "key");
	int64_t begun = json_get_time(root, "begun");
	struct wants wants;
	uint32_t ca;

	if (root == NULL)
		return -1;
	if ((key != NULL && !str_is_hex(key, KEY_ID_LEN)) ||
	    (url == NULL ? begun == 0 : !str_is_https_url(url)))
		return err_set(e, ERR_PROTO, 0, "not what we wrote");
	c->spent = (unsigned)json_get_int(root, "spent");
	get_wants(root, "wants", &wants);
	wants.ca = c->wants.ca; /* another first CA: still good */
	ca = ca_of_order(conf, c, root, json_get_bool(root, "rehearsal"));
	/* for other names, key type or CA than are wanted now: of no use */
	if (!cert_same_wants(&wants, &c->wants) || ca == CONF_NONE ||
	    !is_for(c, get_hash(root, "reduced_to")))
		return take_text(root, "key", &c->stale_key, e);
	c->order_ca = ca;
	c->rehearsal = json_get_bool(root, "rehearsal");
	if (url == NULL) {
		c->begun = begun;
		return 0;
	}
	c->waited_s = json_get_int(root, "waited");
	if (c->waited_s < 0 || c->waited_s > WAITED_MAX_S)
		c->waited_s = 0;
	c->order_failures = get_count(root, "failures");
	if (take_text(root, "url", &c->order_url, e) == -1 ||
	    take_text(root, "key", &c->order_key, e) == -1 ||
	    take_text(root, "tokens", &c->tokens, e) == -1)
		return -1;
	return 0;
}

int
cert_decode(const struct conf *conf, struct cert *c, const char *text,
    size_t len, struct err *e)
{
	AUTO(json_free) struct json *root = json_parse(text, len, e);
	const char *name = json_get_text(root, "name");
	struct wants wants;
	const char *deploy;
	uint64_t list;
	size_t i;

	if (root == NULL)
		return -1;
	if (name == NULL || strcmp(name, c->conf->name) != 0)
		return err_set(e, ERR_PROTO, 0, "not what we wrote");
	if (get_issued(root, c, e) == -1)
		return -1;
	get_window(root, &c->window);
	c->saved_at = json_get_time(root, "saved_at");
	get_trouble(root, "deploy_trouble", &c->deploy_trouble);
	/* What was tried for another configuration says nothing of this one
	 * (protocol Q3). */
	get_wants(root, "wants", &wants);
	if (cert_same_wants(&wants, &c->wants)) {
		get_trouble(root, "trouble", &c->issue_trouble);
		get_failover(root, conf, c);
		get_said(root, conf, c);
		if (get_partial(root, c, e) == -1)
			return -1;
	}
	/* another CA may not have it wait */
	list = get_hash(root, "list");
	if (list != 0 && list != cert_list(conf, c->conf))
		c->issue_trouble.next = 0;
	partial_fill(c);
	if (take_text(root, "old_keys", &c->old_keys, e) == -1)
		return -1;
	c->have.ruined = json_get_bool(root, "ruined");
	c->restored = get_dup(root, "restored");
	c->restored_at = json_get_time(root, "restored_at");
	deploy = json_get_text(root, "deploy");
	for (i = 0; deploy != NULL && i < NELEM(deploy_names); i++)
		if (strcmp(deploy, deploy_names[i]) == 0)
			c->deploy = (enum deploy)i;
	return 0;
}

int
orphan_decode(struct orphan * or, const char *text, size_t len)
{
	AUTO(json_free) struct json *root = json_parse(text, len, NULL);
	const struct json *o = json_get_object(root, "certificate");
	const char *key = json_get_text(o, "key");
	const char *old = json_get_text(root, "old_keys");

	or->have.ca = get_interned(o, "ca");
	or->have.not_before = json_get_time(o, "not_before");
	or->have.not_after = json_get_time(o, "not_after");
	or->have.by_fraction = json_get_time(o, "by_fraction");
	or->have.version = (uint32_t)json_get_int(o, "version");
	get_wants(o, "made_for", & or->have.made_for);
	if (root == NULL || (o != NULL && key == NULL))
		return -1;
	if (o == NULL)
		return 0;
	if (!str_is_hex(key, KEY_ID_LEN))
		return -1;
	if (asprintf(& or->keys, "%s %s", key, old == NULL ? "" : old) == -1) {
		or->keys = NULL;
		return -1;
	}
	return 0;
}

/* Of an order that was under way only the key counts. */
int
orphan_decode_order(struct orphan * or, const char *text, size_t len)
{
	AUTO(json_free) struct json *root = json_parse(text, len, NULL);
	AUTO(free) char *keys = NULL;
	const char *key = json_get_text(root, "key");

	if (key == NULL)
		return root == NULL ? -1 : 0;
	if (!str_is_hex(key, KEY_ID_LEN))
		return -1;
	keys = or->keys;
	if (asprintf(& or->keys, "%s %s", key, keys == NULL ? "" : keys) ==
	    -1) {
		or->keys = take_ptr(keys);
		return -1;
	}
	return 0;
}
