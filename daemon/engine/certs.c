/* SPDX-License-Identifier: ISC */
/* The certificates' state: loaded once, saved at every step that matters. */

#include "daemon/engine/certs.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/schedule.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/io/json.h"

#define HASH_HEX 16
#define AGAIN_MS 60000 /* when something could not be saved */

struct save {
	TAILQ_ENTRY(save) link;
	struct certs *certs;
	struct cert *cert;
	cert_saved *saved; /* NULL: cancelled */
	void *arg;
	enum save_what what;
	bool covered; /* by the put that is under way */
};

struct load {
	struct certs *certs;
	certs_loaded *loaded;
	void *arg;
	unsigned damaged;
	bool no_memory; /* which is no damage */
};

uint64_t
cert_wants(const struct conf *conf, const struct conf_cert *cc)
{
	const char *directory = conf->cas[cc->cas[0]].directory;
	uint64_t h = str_hash(directory, strlen(directory) + 1);
	uint32_t i;

	h = h * 31 + (uint64_t)cc->key;
	for (i = 0; i < cc->n_idents; i++)
		h = h * 31 + str_hash(cc->idents[i], strlen(cc->idents[i]));
	return h;
}

const char *
certs_intern(const char *text)
{
	static struct interned {
		struct interned *next;
		char text[];
	} * all;
	struct interned *t;
	size_t len = strlen(text);

	/* issuers and CAs: a handful */
	for (t = all; t != NULL; t = t->next)
		if (strcmp(t->text, text) == 0)
			return t->text;
	t = malloc(sizeof(*t) + len + 1);
	if (t == NULL)
		return NULL;
	memcpy(t->text, text, len + 1);
	t->next = all;
	all = t;
	return t->text;
}

void
trouble_clear(struct trouble *t)
{
	free(t->text);
	memset(t, 0, sizeof(*t));
}

void
trouble_set(struct trouble *t, const char *type, const char *text, int64_t now)
{
	free(t->text);
	t->text = strdup(text);
	t->type = type;
	t->at = now;
}

void
cert_forget_order(struct cert *c)
{
	c->begun = 0;
	free(c->order_url);
	c->order_url = NULL;
	free(c->order_key);
	c->order_key = NULL;
	free(c->tokens);
	c->tokens = NULL;
}

static void
set_time(struct json *o, const char *key, int64_t t)
{
	char text[CLOCK_RFC3339_MAX];

	if (t == 0)
		return;
	clock_format(t, text);
	json_set_str(o, key, text);
}

static int64_t
get_time(const struct json *o, const char *key)
{
	const char *text = json_get_text(o, key);
	int64_t t;

	return text != NULL && clock_parse(text, &t) == 0 ? t : 0;
}

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

	str_hex((unsigned char[8]){ (unsigned char)(v >> 56),
		    (unsigned char)(v >> 48), (unsigned char)(v >> 40),
		    (unsigned char)(v >> 32), (unsigned char)(v >> 24),
		    (unsigned char)(v >> 16), (unsigned char)(v >> 8),
		    (unsigned char)v },
	    8, text);
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

static int64_t
get_int(const struct json *o, const char *key)
{
	int64_t v;

	return o != NULL && json_opt_int(o, key, 0, &v, NULL) == 0 ? v : 0;
}

static bool
get_bool(const struct json *o, const char *key)
{
	bool v;

	return o != NULL && json_opt_bool(o, key, false, &v, NULL) == 0 && v;
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
	json_set_int(o, "failures", t->failures);
	json_set_bool(o, "operator", t->operator);
	set_time(o, "at", t->at);
	set_time(o, "next", t->next);
}

static void
get_trouble(const struct json *root, const char *key, struct trouble *t)
{
	const struct json *o = json_get_object(root, key);
	const char *type;
	int64_t n;

	if (o == NULL)
		return;
	type = json_get_text(o, "type");
	t->type = type == NULL ? NULL : certs_intern(type);
	t->text = get_dup(o, "text");
	n = get_int(o, "failures");
	t->failures = n < 0 ? 0 : n > 1000000 ? 1000000 : (unsigned)n;
	t->operator= get_bool(o, "operator");
	t->at = get_time(o, "at");
	t->next = get_time(o, "next");
}

static void
put_issued(struct json *root, const struct issued *h)
{
	struct json *o;

	if (h->version == 0)
		return;
	o = json_set_object(root, "certificate");
	json_set_str(o, "key", h->key_id);
	json_set_str(o, "serial", h->serial);
	json_set_str(o, "issuer", h->issuer);
	json_set_str(o, "ca", h->ca);
	json_set_str(o, "ari", h->ari_id);
	set_time(o, "not_before", h->not_before);
	set_time(o, "not_after", h->not_after);
	set_time(o, "installed_at", h->installed_at);
	set_time(o, "renew_at", h->renew_at);
	json_set_int(o, "version", h->version);
	set_hash(o, "made_for", h->made_for);
}

static int
get_issued(const struct json *root, struct issued *h, struct err *e)
{
	const struct json *o = json_get_object(root, "certificate");
	const char *text;
	int64_t version;

	if (o == NULL)
		return 0;
	if (take_text(o, "key", &h->key_id, e) == -1 ||
	    take_text(o, "serial", &h->serial, e) == -1 ||
	    take_text(o, "ari", &h->ari_id, e) == -1)
		return -1;
	text = json_get_text(o, "issuer");
	h->issuer = text == NULL ? NULL : certs_intern(text);
	text = json_get_text(o, "ca");
	h->ca = text == NULL ? NULL : certs_intern(text);
	h->not_before = get_time(o, "not_before");
	h->not_after = get_time(o, "not_after");
	h->installed_at = get_time(o, "installed_at");
	h->renew_at = get_time(o, "renew_at");
	h->made_for = get_hash(o, "made_for");
	version = get_int(o, "version");
	if (h->key_id == NULL || !str_is_hex(h->key_id, KEY_ID_LEN) ||
	    h->not_after <= h->not_before || h->renew_at == 0 || version <= 0 ||
	    version > UINT32_MAX)
		return err_set(
		    e, ERR_PROTO, 0, "\"certificate\" is not what we wrote");
	h->version = (uint32_t)version;
	return 0;
}

static const char *const deploy_names[] = {
	[DEPLOY_NONE] = "none",
	[DEPLOY_RELOAD] = "reload",
	[DEPLOY_DONE] = "done",
};

int
cert_encode(const struct cert *c, struct buf *out, struct err *e)
{
	AUTO(json_free) struct json *root = json_object();

	json_set_str(root, "name", c->conf->name);
	set_time(root, "saved_at", clock_now());
	set_hash(root, "wants", c->wants);
	put_trouble(root, "trouble", &c->issue_trouble);
	put_issued(root, &c->have);
	json_set_str(root, "deploy", deploy_names[c->deploy]);
	put_trouble(root, "deploy_trouble", &c->deploy_trouble);
	if (c->old_keys != NULL)
		json_set_str(root, "old_keys", c->old_keys);
	return json_dump(root, true, out, e);
}

int
cert_encode_order(const struct cert *c, struct buf *out, struct err *e)
{
	AUTO(json_free) struct json *root = json_object();

	json_set_str(root, "name", c->conf->name);
	set_hash(root, "wants", c->wants);
	set_time(root, "begun", c->begun);
	json_set_str(root, "url", c->order_url);
	json_set_str(root, "key", c->order_key);
	json_set_str(root, "tokens", c->tokens);
	return json_dump(root, true, out, e);
}

int
cert_decode_order(struct cert *c, const char *text, size_t len, struct err *e)
{
	AUTO(json_free) struct json *root = json_parse(text, len, e);
	const char *url = json_get_text(root, "url");
	const char *key = json_get_text(root, "key");
	int64_t begun = get_time(root, "begun");

	if (root == NULL)
		return -1;
	if (url == NULL ? begun == 0
			: !str_is_https_url(url) ||
			      (key != NULL && !str_is_hex(key, KEY_ID_LEN)))
		return err_set(e, ERR_PROTO, 0, "not what we wrote");
	/* for other names, key type or CA than are wanted now: of no use */
	if (get_hash(root, "wants") != c->wants)
		return 0;
	if (url == NULL) {
		c->begun = begun;
		return 0;
	}
	if (take_text(root, "url", &c->order_url, e) == -1 ||
	    take_text(root, "key", &c->order_key, e) == -1 ||
	    take_text(root, "tokens", &c->tokens, e) == -1)
		return -1;
	return 0;
}

int
cert_decode(struct cert *c, const char *text, size_t len, struct err *e)
{
	AUTO(json_free) struct json *root = json_parse(text, len, e);
	const char *name = json_get_text(root, "name");
	const char *deploy;
	size_t i;

	if (root == NULL)
		return -1;
	if (name == NULL || strcmp(name, c->conf->name) != 0)
		return err_set(e, ERR_PROTO, 0, "not what we wrote");
	if (get_issued(root, &c->have, e) == -1)
		return -1;
	c->saved_at = get_time(root, "saved_at");
	get_trouble(root, "deploy_trouble", &c->deploy_trouble);
	/* What was tried for another configuration says nothing of this one. */
	if (get_hash(root, "wants") == c->wants)
		get_trouble(root, "trouble", &c->issue_trouble);
	c->old_keys = get_dup(root, "old_keys");
	deploy = json_get_text(root, "deploy");
	for (i = 0; deploy != NULL && i < NELEM(deploy_names); i++)
		if (strcmp(deploy, deploy_names[i]) == 0)
			c->deploy = (enum deploy)i;
	return 0;
}

static void
issued_done(struct issued *h)
{
	free(h->key_id);
	free(h->serial);
	free(h->ari_id);
	memset(h, 0, sizeof(*h));
}

static void
cert_clear(struct cert *c)
{
	cert_forget_order(c);
	trouble_clear(&c->issue_trouble);
	trouble_clear(&c->deploy_trouble);
	issued_done(&c->have);
	free(c->old_keys);
	c->old_keys = NULL;
	c->deploy = DEPLOY_NONE;
}

static void save_again(void *);

int
certs_init(struct certs *cs, const struct conf *conf, struct loop *loop,
    struct store *store, struct err *e)
{
	uint32_t i;

	cs->conf = conf;
	cs->n = conf->n_certs;
	cs->store = store;
	cs->loop = loop;
	cs->newest_saved = 0;
	cs->n_unsaved = cs->at_unsaved = 0;
	cs->all = calloc(cs->n + 1, sizeof(*cs->all));
	cs->again = loop_timer_new(loop, save_again, cs, e);
	if (cs->all == NULL || cs->again == NULL)
		return err_nomem(e, "certificates");
	for (i = 0; i < cs->n; i++) {
		cs->all[i].conf = &conf->certs[i];
		cs->all[i].index = i;
		cs->all[i].wants = cert_wants(conf, &conf->certs[i]);
		TAILQ_INIT(&cs->all[i].saves);
	}
	return 0;
}

void
certs_free(struct certs *cs)
{
	struct save *s;
	uint32_t i;

	for (i = 0; cs->all != NULL && i < cs->n; i++) {
		struct cert *c = &cs->all[i];

		if (c->save_op != NULL)
			cs->store->ops->cancel(c->save_op);
		while ((s = TAILQ_FIRST(&c->saves)) != NULL) {
			TAILQ_REMOVE(&c->saves, s, link);
			free(s);
		}
		cert_clear(c);
	}
	free(cs->all);
	cs->all = NULL;
	loop_timer_free(cs->again);
	cs->again = NULL;
}

/* A damaged value is put aside, and costs only what it said. */
static void
damaged(struct load *l, const char *key, const struct err *why)
{
	struct store *store = l->certs->store;
	struct err e;

	if (why->kind == ERR_NOMEM) {
		l->no_memory = true;
		return;
	}
	l->damaged++;
	log_error("damaged state put aside, begun anew", KV("key", key),
	    KV("error", why->what));
	if (store->ops->set_aside(store, key, &e) == -1)
		log_error(
		    "cannot put it aside", KV("key", key), KV("error", e.what));
}

/* The certificate that a key of the store is about; NULL: no longer
 * configured, kept on disk and not looked at. */
static struct cert *
of_key(struct certs *cs, const char *key)
{
	uint32_t i = conf_find_cert(cs->conf, strchr(key, '/') + 1);

	return i == CONF_NONE ? NULL : &cs->all[i];
}

static void
load_cert(void *arg, const char *key, const struct store_value *v)
{
	struct load *l = arg;
	struct cert *c = of_key(l->certs, key);
	struct err e;

	if (c == NULL)
		return;
	if (cert_decode(c, v->data, v->len, &e) == -1) {
		cert_clear(c);
		damaged(l, key, &e);
		return;
	}
	c->rev = v->rev;
	if (c->saved_at > l->certs->newest_saved)
		l->certs->newest_saved = c->saved_at;
}

/*
 * The process ended between sending a newOrder and hearing of its order.  That
 * counts as a failure, so that crashing there again and again does not make an
 * order each time (protocol Q2).
 */
static void
interrupted(struct certs *cs, struct cert *c)
{
	struct trouble *t = &c->issue_trouble;
	struct err e;

	trouble_set(t, "interrupted",
	    "acmed ended while it was waiting for a new order", c->begun);
	t->failures++;
	t->next = c->begun + schedule_backoff(t->failures, c->have.not_before,
				 c->have.not_after, clock_now());
	c->begun = 0;
	if (cert_save(cs, c, SAVE_CERT, NULL, NULL, &e) == NULL)
		log_error("state not saved", KV("cert", c->conf->name),
		    KV("error", e.what));
}

static void
load_order(void *arg, const char *key, const struct store_value *v)
{
	struct load *l = arg;
	struct cert *c = of_key(l->certs, key);
	struct err e;

	if (c == NULL)
		return;
	if (cert_decode_order(c, v->data, v->len, &e) == -1) {
		cert_forget_order(c);
		damaged(l, key, &e);
	} else if (c->begun != 0)
		interrupted(l->certs, c);
}

static void
load_end(struct load *l, const struct err *failed)
{
	struct err e;

	if (failed == NULL && l->no_memory) {
		(void)err_nomem(&e, "loading certificates");
		failed = &e;
	}
	l->loaded(l->arg, l->damaged, failed);
	free(l);
}

static void
loaded_orders(void *arg, const struct store_value *v, const struct err *e)
{
	struct load *l = arg;

	l->damaged += v == NULL ? 0 : v->aside;
	load_end(l, e);
}

static void
loaded_certs(void *arg, const struct store_value *v, const struct err *failed)
{
	struct load *l = arg;
	struct store *store = l->certs->store;
	struct err e;

	if (failed != NULL) {
		load_end(l, failed);
		return;
	}
	l->damaged += v->aside;
	if (store->ops->list(
		store, "orders/", load_order, loaded_orders, l, &e) == NULL)
		load_end(l, &e);
}

int
certs_load(struct certs *cs, certs_loaded *loaded, void *arg, struct err *e)
{
	struct load *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return err_nomem(e, "loading certificates");
	l->certs = cs;
	l->loaded = loaded;
	l->arg = arg;
	if (cs->store->ops->list(
		cs->store, "certs/", load_cert, loaded_certs, l, e) == NULL) {
		free(l);
		return -1;
	}
	return 0;
}

static int save_start(struct certs *, struct cert *, struct err *);

static void
saves_end(struct cert *c, const struct err *e)
{
	struct save_list over = TAILQ_HEAD_INITIALIZER(over);
	struct save *s, *next;

	for (s = TAILQ_FIRST(&c->saves); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		if (!s->covered)
			continue;
		TAILQ_REMOVE(&c->saves, s, link);
		TAILQ_INSERT_TAIL(&over, s, link);
	}
	while ((s = TAILQ_FIRST(&over)) != NULL) {
		TAILQ_REMOVE(&over, s, link);
		if (s->saved != NULL)
			s->saved(s->arg, e);
		free(s);
	}
}

/* What those that wait want: the order first, and its most; but when that is
 * over, the certificate's end covers all. */
static enum save_what
wanted(const struct cert *c)
{
	enum save_what most = SAVE_NOTHING, order = SAVE_NOTHING;
	struct save *s;

	TAILQ_FOREACH (s, &c->saves, link) {
		if (s->what > most)
			most = s->what;
		if (s->what > order && s->what != SAVE_CERT)
			order = s->what;
	}
	return order == SAVE_NOTHING || (order != most && c->order_url == NULL)
		   ? most
		   : order;
}

static void
dropped(void *arg, const struct store_value *v, const struct err *e)
{
	/* An order that stays behind is looked at and found to be over. */
	(void)arg;
	(void)v;
	(void)e;
}

static void
drop_order(struct certs *cs, const struct cert *c)
{
	char key[STORE_KEY_MAX];

	(void)snprintf(key, sizeof(key), "orders/%s", c->conf->name);
	(void)cs->store->ops->drop(cs->store, key, dropped, NULL, NULL);
}

/* A certificate's state that is in memory only is tried again: a disk that was
 * full does not stay so. */
static void
note_saved(struct certs *cs, struct cert *c, const struct err *failed)
{
	if (failed != NULL) {
		cs->n_unsaved += c->unsaved ? 0 : 1;
		if (!loop_timer_pending(cs->again))
			loop_timer_set(cs->again, AGAIN_MS);
	} else if (c->unsaved) {
		cs->n_unsaved--;
	}
	c->unsaved = failed != NULL;
}

static void
saved_again(void *arg, const struct err *e)
{
	const struct save *s = arg;
	const struct cert *c = s->cert;

	if (e != NULL) {
		log_error("state still not saved", KV("cert", c->conf->name),
		    KN("certificates", s->certs->n_unsaved),
		    KV("error", e->what));
		return;
	}
	log_info("state saved after all", KV("cert", c->conf->name));
	if (s->certs->n_unsaved != 0)
		loop_timer_set(s->certs->again, 0);
}

/* One of them, to see whether it works again. */
static void
save_again(void *arg)
{
	struct certs *cs = arg;
	struct cert *c = NULL;
	struct save *s;
	struct err e;
	uint32_t i;

	for (i = 0; i < cs->n && (c == NULL || !c->unsaved); i++)
		c = &cs->all[(cs->at_unsaved + i) % cs->n];
	if (c == NULL || !c->unsaved)
		return;
	cs->at_unsaved = c->index;
	s = cert_save(cs, c, SAVE_CERT, saved_again, NULL, &e);
	if (s != NULL)
		s->arg = s;
	else
		loop_timer_set(cs->again, AGAIN_MS);
}

static void
save_end(void *arg, const struct store_value *v, const struct err *failed)
{
	struct cert *c = arg;
	struct certs *cs = TAILQ_FIRST(&c->saves)->certs;
	struct save *s;
	struct err e;

	c->save_op = NULL;
	if (c->saving == SAVE_CERT)
		note_saved(cs, c, failed);
	/* Nobody else writes here: what is there is of less use. */
	if (failed != NULL && failed->kind == ERR_STALE)
		c->rev = STORE_ANY;
	if (failed == NULL && c->saving == SAVE_CERT)
		c->rev = v->rev;
	if (failed == NULL && c->saving == SAVE_CERT && c->order_url == NULL)
		drop_order(cs, c);
	saves_end(c, failed);
	if (TAILQ_EMPTY(&c->saves) || c->save_op != NULL ||
	    save_start(cs, c, &e) == 0)
		return;
	TAILQ_FOREACH (s, &c->saves, link)
		s->covered = true;
	saves_end(c, &e);
}

static int
save_start(struct certs *cs, struct cert *c, struct err *e)
{
	AUTO(buf_done) struct buf text = BUF_INIT(STORE_VALUE_MAX);
	enum save_what what = wanted(c);
	char key[STORE_KEY_MAX];
	struct store_put put = {
		.key = key, .rev = STORE_ANY, .soft = what == SAVE_ORDER
	};
	struct save *s;
	int r;

	(void)snprintf(key, sizeof(key), "%s/%s",
	    what == SAVE_CERT ? "certs" : "orders", c->conf->name);
	if (what == SAVE_CERT) {
		put.rev = c->rev;
		r = cert_encode(c, &text, e);
	} else {
		r = cert_encode_order(c, &text, e);
	}
	if (r == -1)
		return -1;
	put.data = text.data;
	put.len = text.len;
	c->save_op = cs->store->ops->put(cs->store, &put, save_end, c, e);
	if (c->save_op == NULL)
		return -1;
	c->saving = what;
	TAILQ_FOREACH (s, &c->saves, link)
		s->covered = what == SAVE_CERT || s->what != SAVE_CERT;
	return 0;
}

struct save *
cert_save(struct certs *cs, struct cert *c, enum save_what what,
    cert_saved *saved, void *arg, struct err *e)
{
	struct save *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		(void)err_nomem(e, "saving state");
		return NULL;
	}
	s->certs = cs;
	s->cert = c;
	s->what = what;
	s->saved = saved;
	s->arg = arg;
	TAILQ_INSERT_TAIL(&c->saves, s, link);
	if (c->save_op == NULL && save_start(cs, c, e) == -1) {
		TAILQ_REMOVE(&c->saves, s, link);
		free(s);
		return NULL;
	}
	return s;
}

void
save_cancel(struct save *s)
{
	if (s != NULL)
		s->saved = NULL;
}
