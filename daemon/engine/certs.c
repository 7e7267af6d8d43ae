/* SPDX-License-Identifier: ISC */
/* The certificates' state: loaded once, saved at every step that matters. */

#include "daemon/engine/certs.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

#define AGAIN_MS          60000 /* when something could not be saved */
#define CLOCK_SLACK_S     300
#define WINDOW_NEXT_MAX_S (25 * INT64_C(3600)) /* ari.c asks daily at least */

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
	bool unsure;    /* about keys: damage that costs nothing else */
};

struct wants
cert_wants(const struct conf *conf, const struct conf_cert *cc)
{
	const char *directory = conf->cas[cc->cas[0]].directory;
	struct wants w = { .key = (uint32_t)cc->key,
		.names = cert_hash_names(cc->idents, cc->n_idents) };

	w.ca = (uint32_t)str_hash(directory, strlen(directory));
	w.required = cc->profile_required;
	if (cc->profile != NULL)
		w.profile =
		    (uint32_t)str_hash(cc->profile, strlen(cc->profile));
	return w;
}

static bool
lists_ca(const struct conf *conf, const struct conf_cert *cc, const char *name)
{
	uint32_t i;

	for (i = 0; name != NULL && i < cc->n_cas; i++)
		if (strcmp(conf->cas[cc->cas[i]].name, name) == 0)
			return true;
	return false;
}

enum change
cert_changed(const struct conf *conf, const struct conf_cert *cc,
    const struct wants *w, const struct issued *h)
{
	if (h->version == 0)
		return CHANGE_NEW;
	if (partial_changed(cc, w, h))
		return CHANGE_NAMES;
	if (h->ruined)
		return CHANGE_FILES;
	if (h->made_for.key != w->key)
		return CHANGE_KEY;
	if (h->made_for.profile != w->profile)
		return CHANGE_PROFILE;
	return h->made_for.ca != w->ca || !lists_ca(conf, cc, h->ca)
		   ? CHANGE_CA
		   : CHANGE_NONE;
}

const char *
change_name(enum change c)
{
	static const char *const names[CHANGE__COUNT] = {
		[CHANGE_NONE] = "due",
		[CHANGE_NEW] = "new",
		[CHANGE_NAMES] = "names",
		[CHANGE_KEY] = "key",
		[CHANGE_PROFILE] = "profile",
		[CHANGE_FILES] = "files",
		[CHANGE_CA] = "ca",
	};

	return names[c];
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
cert_forget_order(struct cert *c)
{
	c->begun = 0;
	free(take_ptr(c->order_url));
	free(take_ptr(c->order_key));
	free(take_ptr(c->tokens));
	c->order_ca = CONF_NONE;
	c->rehearsal = false;
	c->waited_s = 0;
	c->order_failures = 0;
}

static void
issued_done(struct issued *h)
{
	free(h->key_id);
	free(h->serial);
	free(h->ari_id);
	free(h->names);
	memset(h, 0, sizeof(*h));
}

static void
cert_clear(struct cert *c)
{
	cert_forget_order(c);
	partial_free(c);
	trouble_clear(&c->issue_trouble);
	trouble_clear(&c->deploy_trouble);
	issued_done(&c->have);
	window_clear(&c->window);
	free(take_ptr(c->old_keys));
	free(take_ptr(c->waits));
	free(take_ptr(c->instead));
	free(take_ptr(c->stale_key));
	free(take_ptr(c->said));
	c->n_said = 0;
	free(take_ptr(c->restored));
	c->ca_at = c->ca_failures = c->rehearsed = 0;
	c->rehearse = false;
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
	SLIST_INIT(&cs->orphans);
	cs->all = calloc(cs->n + 1, sizeof(*cs->all));
	cs->again = loop_timer_new(loop, save_again, cs, e);
	if (cs->all == NULL || cs->again == NULL)
		return err_nomem(e, "certificates");
	for (i = 0; i < cs->n; i++) {
		cs->all[i].conf = &conf->certs[i];
		cs->all[i].index = i;
		cs->all[i].order_ca = CONF_NONE;
		partial_use(&cs->all[i], false);
		cs->all[i].wants = cert_wants(conf, &conf->certs[i]);
		TAILQ_INIT(&cs->all[i].saves);
	}
	return 0;
}

static void save_last(struct certs *, struct cert *);

void
certs_free(struct certs *cs)
{
	struct orphan *o;
	struct save *s;
	uint32_t i;

	for (i = 0; cs->all != NULL && i < cs->n; i++) {
		struct cert *c = &cs->all[i];

		save_last(cs, c);
		while ((s = TAILQ_FIRST(&c->saves)) != NULL) {
			TAILQ_REMOVE(&c->saves, s, link);
			free(s);
		}
		cert_clear(c);
	}
	while ((o = SLIST_FIRST(&cs->orphans)) != NULL) {
		SLIST_REMOVE_HEAD(&cs->orphans, link);
		free(o->keys);
		free(o);
	}
	free(take_ptr(cs->all));
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
 * configured. */
static struct cert *
of_key(struct certs *cs, const char *key)
{
	uint32_t i = conf_find_cert(cs->conf, strchr(key, '/') + 1);

	return i == CONF_NONE ? NULL : &cs->all[i];
}

/* Kept on disk, shown, not renewed. */
static struct orphan *
orphan_new(struct load *l, const char *name)
{
	size_t len = strlen(name);
	struct orphan *o = calloc(1, sizeof(*o) + len + 1);

	if (o == NULL) {
		l->no_memory = true;
		return NULL;
	}
	memcpy(o->name, name, len + 1);
	SLIST_INSERT_HEAD(&l->certs->orphans, o, link);
	return o;
}

static void
load_cert(void *arg, const char *key, const struct store_value *v)
{
	struct load *l = arg;
	struct cert *c = of_key(l->certs, key);
	struct orphan *o;
	struct err e;

	if (c == NULL) {
		o = orphan_new(l, strchr(key, '/') + 1);
		if (o != NULL && orphan_decode(o, v->data, v->len) == -1)
			l->unsure = true;
		return;
	}
	if (cert_decode(l->certs->conf, c, v->data, v->len, &e) == -1) {
		cert_clear(c);
		c->lost = true;
		damaged(l, key, &e);
		return;
	}
	c->rev = v->rev;
	if (c->saved_at > l->certs->newest_saved)
		l->certs->newest_saved = c->saved_at;
}

static void
load_order(void *arg, const char *key, const struct store_value *v)
{
	struct load *l = arg;
	struct cert *c = of_key(l->certs, key);
	struct orphan *o;
	struct err e;

	if (c == NULL) {
		o = certs_orphan(l->certs, strchr(key, '/') + 1);
		if (o == NULL) /* taken out before it was ever issued */
			o = orphan_new(l, strchr(key, '/') + 1);
		if (o != NULL && orphan_decode_order(o, v->data, v->len) == -1)
			l->unsure = true;
		return;
	}
	if (cert_decode_order(l->certs->conf, c, v->data, v->len, &e) == -1) {
		cert_forget_order(c);
		damaged(l, key, &e);
	}
}

static void
load_end(struct load *l, const struct err *failed)
{
	struct err e;

	if (failed == NULL && l->no_memory) {
		(void)err_nomem(&e, "loading certificates");
		failed = &e;
	}
	l->certs->all_known = l->damaged == 0 && !l->unsure;
	l->loaded(l->arg, l->damaged, failed);
	free(l);
}

static void
loaded_orders(void *arg, const struct store_value *v, const struct err *e)
{
	struct load *l = arg;

	if (v != NULL) {
		l->damaged += v->aside;
		l->unsure = l->unsure || v->was_aside != 0;
	}
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
	l->unsure = l->unsure || v->was_aside != 0;
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
	return order == SAVE_NOTHING ||
		       (order != most && c->order_url == NULL && c->begun == 0)
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

void
certs_drop_order(struct certs *cs, const struct cert *c)
{
	char key[STORE_KEY_MAX];

	(void)snprintf(key, sizeof(key), "orders/%s", c->conf->name);
	(void)cs->store->ops->drop(cs->store, key, dropped, NULL, NULL);
}

bool
certs_holds(const struct certs *cs, const char *order_url)
{
	uint32_t i;

	for (i = 0; i < cs->n; i++)
		if (cs->all[i].order_url != NULL &&
		    strcmp(cs->all[i].order_url, order_url) == 0)
			return true;
	return false;
}

struct orphan *
certs_orphan(const struct certs *cs, const char *name)
{
	struct orphan *o;

	SLIST_FOREACH (o, &cs->orphans, link)
		if (strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

int
certs_forget(struct certs *cs, struct orphan *o, struct err *e)
{
	const struct store_ops *ops = cs->store->ops;
	char key[STORE_KEY_MAX];

	(void)snprintf(key, sizeof(key), "orders/%s", o->name);
	if (ops->drop(cs->store, key, dropped, NULL, e) == NULL)
		return -1;
	(void)snprintf(key, sizeof(key), "certs/%s", o->name);
	if (ops->drop(cs->store, key, dropped, NULL, e) == NULL)
		return -1;
	SLIST_REMOVE(&cs->orphans, o, orphan, link);
	free(o->keys);
	free(o);
	return 0;
}

static unsigned
mend(struct trouble *t, int64_t now)
{
	if (t->at <= now + CLOCK_SLACK_S || t->next == 0)
		return 0;
	t->at = now;
	t->next = now;
	return 1;
}

static void
shift(struct trouble *t, int64_t s)
{
	t->at += t->at == 0 ? 0 : s;
	t->since += t->since == 0 ? 0 : s;
	t->next += t->next == 0 ? 0 : s;
}

/* Windows are asked for anew instead: that tells the time, too. */
void
certs_shift(struct certs *cs, int64_t s)
{
	uint32_t i, k;

	for (i = 0; i < cs->n; i++) {
		shift(&cs->all[i].issue_trouble, s);
		shift(&cs->all[i].deploy_trouble, s);
		for (k = 0; k < cs->all[i].n_said; k++)
			cs->all[i].said[k].until += s;
		cs->all[i].spent_at += cs->all[i].spent_at == 0 ? 0 : s;
		partial_shift(&cs->all[i], s);
	}
}

unsigned
certs_mend_instants(struct certs *cs, int64_t now)
{
	unsigned n = 0;
	uint32_t i;

	for (i = 0; i < cs->n; i++) {
		struct cert *c = &cs->all[i];

		if (c->issue_trouble.at > now + CLOCK_SLACK_S)
			c->n_said = 0;
		if (c->saved_at > now + CLOCK_SLACK_S) { /* so was that */
			c->n_said = 0;
			c->saved_at = now;
		}
		n += mend(&c->issue_trouble, now);
		n += mend(&c->deploy_trouble, now);
		if (c->window.next > now + WINDOW_NEXT_MAX_S)
			c->window.next = now;
		partial_mend(c, now);
	}
	return n;
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
	if (failed == NULL && c->saving == SAVE_CERT && c->order_url == NULL &&
	    c->begun == 0)
		certs_drop_order(cs, c);
	saves_end(c, failed);
	if (TAILQ_EMPTY(&c->saves) || c->save_op != NULL ||
	    save_start(cs, c, &e) == 0)
		return;
	TAILQ_FOREACH (s, &c->saves, link) {
		s->covered = true;
		if (s->what == SAVE_CERT)
			note_saved(cs, c, &e);
	}
	saves_end(c, &e);
}

static struct store_op *
save_put(struct certs *cs, struct cert *c, enum save_what what,
    store_done *done, void *arg, struct err *e)
{
	AUTO(buf_done) struct buf text = BUF_INIT(STORE_VALUE_MAX);
	char key[STORE_KEY_MAX];
	struct store_put put = {
		.key = key, .rev = STORE_ANY, .soft = what == SAVE_ORDER
	};
	int r;

	(void)snprintf(key, sizeof(key), "%s/%s",
	    what == SAVE_CERT ? "certs" : "orders", c->conf->name);
	if (what == SAVE_CERT) {
		if (clock_now() > cs->newest_saved)
			cs->newest_saved = clock_now();
		put.rev = c->rev;
		r = cert_encode(cs->conf, c, &text, e);
	} else {
		r = cert_encode_order(cs->conf, c, &text, e);
	}
	if (r == -1)
		return NULL;
	put.data = text.data;
	put.len = text.len;
	/* cppcheck-suppress returnDanglingLifetime ; all of put is copied */
	return cs->store->ops->put(cs->store, &put, done, arg, e);
}

void
certs_keep_order(struct certs *cs, struct cert *c)
{
	(void)save_put(cs, c, SAVE_ORDER, dropped, NULL, NULL);
}

static int
save_start(struct certs *cs, struct cert *c, struct err *e)
{
	enum save_what what = wanted(c);
	struct save *s;

	c->save_op = save_put(cs, c, what, save_end, c, e);
	if (c->save_op == NULL)
		return -1;
	c->saving = what;
	TAILQ_FOREACH (s, &c->saves, link)
		s->covered = what == SAVE_CERT || s->what != SAVE_CERT;
	return 0;
}

/* What waits is written when the store ends, and nobody is told. */
static void
save_last(struct certs *cs, struct cert *c)
{
	bool order = false, cert = false;
	struct save *s;

	TAILQ_FOREACH (s, &c->saves, link) {
		order = order || s->what != SAVE_CERT;
		cert = cert || s->what == SAVE_CERT;
	}
	cs->store->ops->cancel(c->save_op);
	c->rev = STORE_ANY;
	if (order && c->order_url != NULL)
		(void)save_put(cs, c, SAVE_ORDER_DURABLY, dropped, NULL, NULL);
	if (!cert)
		return;
	(void)save_put(cs, c, SAVE_CERT, dropped, NULL, NULL);
	if (c->order_url == NULL && c->begun == 0)
		certs_drop_order(cs, c);
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
		if (what == SAVE_CERT)
			note_saved(cs, c, e);
		return NULL;
	}
	return s;
}

void
cert_tell_saved(void *arg, const struct err *e)
{
	const struct cert *c = arg;

	if (e != NULL)
		log_error("state not saved", KV("cert", c->conf->name),
		    KV("error", e->what), KV("hint", err_hint(e)));
}

void
cert_save_told(struct certs *cs, struct cert *c)
{
	struct err e = { .kind = ERR_NONE };

	if (cert_save(cs, c, SAVE_CERT, cert_tell_saved, c, &e) == NULL)
		cert_tell_saved(c, &e);
}

void
save_cancel(struct save *s)
{
	if (s != NULL)
		s->saved = NULL;
}
