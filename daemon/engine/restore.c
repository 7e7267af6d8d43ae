/* SPDX-License-Identifier: ISC */
/*
 * Damage to what is on disk is mended from what else is there, and is hardly
 * ever a reason for an order (protocol Q4).  A certificate whose memory is lost
 * has it made anew from the version that is live; one whose version is damaged
 * gets its files again, or an older version.  When nothing of it is of use any
 * more it is ordered, but twice in a week at most: that is counted in a file of
 * its own.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/engine.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/crypto/x509.h"
#include "lib/io/json.h"

#define DAY_S      (24 * INT64_C(3600))
#define DAMAGE_S   (7 * DAY_S) /* DAMAGE_MAX orders in so long */
#define DAMAGE_MAX 2
#define AGAIN_MS   (DAY_S * 1000)
#define UNSAVED_MS (AGAIN_MS / 24) /* to count again what could not be */
#define LOOKS_MAX  16              /* at once, before anything else begins */
#define PACE_MS    20 /* between them later: 100,000 take half an hour */
#define VERSIONS   5  /* looked at; root keeps fewer */
#define INFO_MAX   (256u << 10)
#define TEXT_MAX   256
#define RECORD_MAX 1024

struct damage { /* orders for that reason, the latest last; may be to come */
	uint64_t names;
	int64_t at[DAMAGE_MAX];
};

struct look { /* at what there is of one certificate */
	TAILQ_ENTRY(look) link;
	struct restore *restore;
	struct cert *cert;
	struct up_op *up_op;
	struct keys_op *key_op;
	struct store_op *store_op;
	uint32_t skip, version;
	bool checked; /* that the key with the keeper is none that is damaged */
	bool any_key; /* the version at hand need not have the key remembered */
	bool whole;   /* it is live, and can be left so */
	bool older;   /* what is made of it is not the latest that there was */
	bool bad;     /* something there is damaged */
	bool useless; /* nothing there can be used */
	struct chain *chain;
	struct pool *pool;
	struct x509_info info;
	struct damage damage;
	char key[STORE_KEY_MAX]; /* of that in the store */
	int64_t wait;            /* for the order; 0: now */
	bool unsaved;            /* the count of it */
};

struct restore {
	struct engine *engine;
	TAILQ_HEAD(, look) looks;
	struct loop_timer *timer;
	void (*known)(struct engine *);
	uint32_t at, n; /* the next one to look at; looks */
	bool began;     /* those without memory are through */
	bool some;      /* only those that could not be counted */
};

static void find(struct look *);

static void
look_free(struct look *l)
{
	TAILQ_REMOVE(&l->restore->looks, l, link);
	l->restore->n--;
	up_cancel(l->up_op);
	keys_cancel(l->key_op);
	l->restore->engine->store->ops->cancel(l->store_op);
	chain_free(l->chain);
	pool_free(l->pool);
	free(l);
}

static void
look_end(struct look *l)
{
	struct restore *r = l->restore;
	struct cert *c = l->cert;

	look_free(l);
	if (r->began)
		renew_look(r->engine, c);
	loop_timer_set(r->timer, r->began ? PACE_MS : 0);
}

/* How often that was so */

static void
damage_read(struct look *l, const char *text, size_t len)
{
	AUTO(json_free) struct json *root = json_parse(text, len, NULL);
	const char *names = json_get_text(root, "names");
	const char *keys[DAMAGE_MAX] = { "before", "latest" };
	struct damage *d = &l->damage;
	int64_t now = clock_now();
	size_t i;

	/* it is damaged as well: a bad disk, and no time for many orders */
	if (root == NULL || names == NULL) {
		log_warn("the count of damages is damaged",
		    KV("cert", l->cert->conf->name));
		d->at[0] = d->at[1] = now;
		return;
	}
	if (strtoull(names, NULL, 16) != d->names)
		return;
	for (i = 0; i < DAMAGE_MAX; i++) {
		d->at[i] = json_get_time(root, keys[i]);
		if (d->at[i] > now + DAMAGE_S) /* by a clock that was wrong */
			d->at[i] = now;
	}
}

static int
damage_write(const struct damage *d, struct buf *out, struct err *e)
{
	AUTO(json_free) struct json *root = json_object();
	char names[2 * sizeof(d->names) + 1];

	(void)snprintf(
	    names, sizeof(names), "%016llx", (unsigned long long)d->names);
	json_set_str(root, "names", names);
	json_set_time(root, "before", d->at[0]);
	json_set_time(root, "latest", d->at[1]);
	return json_dump(root, true, out, e);
}

static void
order_anew(struct look *l)
{
	struct cert *c = l->cert;
	struct trouble *t = &c->issue_trouble;
	char text[TEXT_MAX];

	/* it could not be counted before */
	if (l->wait == 0 && t->type != NULL &&
	    strcmp(t->type, "damaged") == 0) {
		t->next = clock_now();
		t->operator= false;
	}
	c->have.ruined = l->useless && !l->unsaved;
	c->have.uncounted = l->unsaved;
	if (l->wait == 0) {
		log_warn("its files are damaged or gone: it is ordered anew",
		    KV("cert", c->conf->name));
	} else {
		if (l->unsaved)
			(void)snprintf(text, sizeof(text),
			    "its files are damaged or gone, and that cannot be "
			    "noted: not ordered for that before it can be");
		else
			(void)snprintf(text, sizeof(text),
			    "its files were found damaged or gone more than %d "
			    "times in a week%s; not ordered again for that "
			    "before its time is come: look after the disk, "
			    "then acmectl renew",
			    DAMAGE_MAX,
			    l->useless ? ", and none of them can be used" : "");
		trouble_set(t, "damaged", text, clock_now());
		t->next = l->wait;
		t->operator= true;
		log_error("its files are damaged or gone once more: not "
			  "ordered for that",
		    KV("cert", c->conf->name), KN("days", DAMAGE_S / DAY_S));
	}
	cert_save_told(&l->restore->engine->certs, c);
	look_end(l);
}

static void
counted(void *arg, const struct store_value *v, const struct err *failed)
{
	struct look *l = arg;

	(void)v;
	l->store_op = NULL;
	if (failed != NULL) { /* it is tried again before that */
		l->unsaved = true;
		log_error("damage not counted", KV("cert", l->cert->conf->name),
		    KV("error", failed->what), KV("hint", err_hint(failed)));
		l->wait = clock_now() + DAY_S;
	}
	order_anew(l);
}

/* On disk before anything is ordered for it. */
static void
count(struct look *l)
{
	AUTO(buf_done) struct buf text = BUF_INIT(RECORD_MAX);
	struct store *store = l->restore->engine->store;
	struct damage *d = &l->damage;
	int64_t now = clock_now();
	struct err e;

	if (d->at[1] > now) { /* that order is to come still */
		l->wait = d->at[1];
		order_anew(l);
		return;
	}
	l->wait = d->at[0] > now - DAMAGE_S ? d->at[0] + DAMAGE_S : 0;
	d->at[0] = d->at[1];
	d->at[1] = l->wait != 0 ? l->wait : now;
	if (damage_write(d, &text, &e) == 0)
		l->store_op = store->ops->put(store,
		    &(struct store_put){ .key = l->key,
			.data = text.data,
			.len = text.len,
			.rev = STORE_ANY },
		    counted, l, &e);
	if (l->store_op == NULL)
		counted(l, NULL, &e);
}

static void
on_damage(void *arg, const struct store_value *v, const struct err *failed)
{
	struct look *l = arg;

	l->store_op = NULL;
	if (failed != NULL || v == NULL)
		damage_read(l, "", 0);
	else if (v->rev != STORE_ABSENT)
		damage_read(l, v->data, v->len);
	count(l);
}

static void
damaged(struct look *l)
{
	struct store *store = l->restore->engine->store;
	struct err e;

	l->damage.names = l->cert->wants.names;
	(void)snprintf(
	    l->key, sizeof(l->key), "damage/%s", l->cert->conf->name);
	l->store_op = store->ops->get(store, l->key, on_damage, l, &e);
	if (l->store_op == NULL)
		on_damage(l, NULL, &e);
}

/* Making use of what is there */

static void
say(const struct look *l, uint32_t version)
{
	struct cert *c = l->cert;
	char text[TEXT_MAX];

	(void)snprintf(text, sizeof(text), "its %s: %s from version %u",
	    c->have.version == 0 ? "memory was damaged or gone"
				 : "files were damaged",
	    l->older ? "an older one is in service again," : "made anew",
	    l->version);
	free(c->restored);
	c->restored = strdup(text);
	c->restored_at = clock_now();
	log_warn("restored", KV("cert", c->conf->name), KV("what", text),
	    KN("version", version));
}

static int
adopt(struct look *l, uint32_t version, struct err *e)
{
	struct engine *en = l->restore->engine;
	struct cert *c = l->cert;
	struct issued *h = &c->have;
	AUTO(free) char *was = h->key_id == NULL ? NULL : strdup(h->key_id);
	const char *account;
	uint32_t ca = c->conf->cas[0];

	if (h->version != 0 && strcmp(h->serial, l->info.serial) == 0) {
		h->version = version;
		h->ruined = false;
		return 0;
	}
	if (issued_take(h, c->conf, &l->info, e) == -1)
		return -1;
	issued_retire(c, en->keys, was);
	if (h->version == 0) {
		/* which one is not written on it; the first one mostly */
		account = session_account_url(en->cas[ca].session);
		h->ca = certs_intern(en->conf->cas[ca].name);
		if (c->conf->n_cas == 1 && account != NULL)
			h->account = certs_intern(account);
	}
	h->installed_at = h->not_before + 1;
	h->by_fraction =
	    schedule_pick(h->not_before, h->not_after, h->installed_at);
	h->made_for = c->wants;
	h->version = version;
	partial_fill(c);
	window_clear(&c->window);
	return 0;
}

static void
on_installed(void *arg, uint32_t version, const struct err *failed)
{
	struct look *l = arg;
	struct engine *en = l->restore->engine;
	struct cert *c = l->cert;
	struct err e;

	l->up_op = NULL;
	if (failed != NULL) { /* its key is gone, say */
		log_info("a version cannot be used", KV("cert", c->conf->name),
		    KN("version", l->version), KV("error", failed->what));
		l->bad = true;
		l->skip++;
		find(l);
		return;
	}
	say(l, version);
	if (adopt(l, version, &e) == -1) {
		log_error("not restored", KV("cert", c->conf->name),
		    KV("error", e.what));
		look_end(l);
		return;
	}
	/* whether it was run for it is not known either */
	c->deploy = c->conf->reload == CONF_NONE ? DEPLOY_DONE : DEPLOY_RELOAD;
	if (l->restore->began && c->deploy == DEPLOY_RELOAD)
		deploy_due(en, c);
	if (l->restore->began)
		ari_watch(en, c);
	if (l->older) {
		damaged(l);
		return;
	}
	cert_save_told(&en->certs, c);
	look_end(l);
}

static void
install(struct look *l)
{
	AUTO(buf_done) struct buf pem = BUF_INIT(IPC_PEM_MAX);
	struct engine *en = l->restore->engine;
	struct install in = { .cert = l->cert->index,
		.key_id = l->info.key_id };
	struct err e;

	if (install_fill(&in, l->chain, &pem, &e) == 0)
		l->up_op =
		    upstairs_install(en->upstairs, &in, on_installed, l, &e);
	if (l->up_op == NULL)
		on_installed(l, 0, &e);
}

/* The keeper alone can tell a key from something that looks like one, and root
 * takes what the keeper has. */
static void
on_key(void *arg, const struct keys_reply *k, const struct err *failed)
{
	struct look *l = arg;

	(void)k;
	l->key_op = NULL;
	if (failed == NULL)
		install(l);
	else
		on_installed(l, l->version, l->whole ? NULL : failed);
}

/* Or some of them, when that is not to be another certificate. */
static bool
same_names(const struct x509_info *info, const struct conf_cert *cc)
{
	size_t i;

	for (i = 0; i < info->n_idents; i++)
		if (!str_among(info->idents[i], cc->idents, cc->n_idents))
			return false;
	return info->n_idents == cc->n_idents ||
	       (cc->partial && info->n_idents != 0);
}

/* 1: can be; 0: it is whole, but for other names; -1: it is damaged. */
static int
usable(struct look *l, const struct found *f, struct err *e)
{
	const struct conf_cert *cc = l->cert->conf;
	const struct engine *en = l->restore->engine;
	int64_t now = engine_now(en);

	chain_free(l->chain);
	pool_free(l->pool);
	l->pool = pool_new(INFO_MAX);
	l->chain = l->pool == NULL ? NULL : chain_parse(f->pem, f->len, e);
	if (l->chain == NULL ||
	    chain_info(l->chain, l->pool, &l->info, e) == -1)
		return -1;
	if (!same_names(&l->info, cc))
		return 0;
	/* what is live is what it is, be it over; and the clock may be wrong */
	if (f->live && now >= l->info.not_after)
		now = l->info.not_after - 1;
	if (now < l->info.not_before)
		now = l->info.not_before;
	return chain_check(l->chain, l->info.key_id,
		   (const char *const *)l->info.idents, l->info.n_idents, now,
		   DAY_S, e) == -1
		   ? -1
		   : 1;
}

/* What is in service is as it was left; or another version of it is, whole,
 * and somebody wanted that. */
static bool
is_well(struct look *l, const struct found *f)
{
	const struct cert *c = l->cert;
	const struct issued *h = &c->have;
	struct err e;
	int r;

	if (!f->live || !f->whole)
		return false;
	r = f->len == 0 ? 1 : usable(l, f, &e);
	if (r == -1)
		return false;
	if (f->version != h->version ||
	    (f->len != 0 && strcmp(l->info.serial, h->serial) != 0))
		log_warn("another version is live than was installed last: "
			 "left so",
		    KV("cert", c->conf->name), KN("live", f->version),
		    KN("installed", h->version));
	return true;
}

/* Nothing there is of use. */
static void
nothing(struct look *l)
{
	if (l->bad || l->cert->lost || l->cert->have.version != 0) {
		l->useless = true;
		damaged(l);
		return;
	}
	look_end(l); /* there has not been any, or for other names */
}

static void
on_checked(void *arg, const struct keys_reply *k, const struct err *failed)
{
	struct look *l = arg;

	(void)k;
	(void)failed; /* what is damaged is put aside by that */
	l->key_op = NULL;
	find(l);
}

/* Not what was installed last: it may be that the keeper's key is damaged, and
 * not this one. */
static void
check_key(struct look *l, const struct found *f)
{
	const struct issued *h = &l->cert->have;
	struct err e;

	l->checked = true;
	l->any_key = f->version != h->version;
	if (!l->any_key)
		l->key_op = keys_get(l->restore->engine->keys, IPC_ROLE_CERT,
		    h->key_id, on_checked, l, &e);
	if (l->key_op == NULL)
		find(l);
}

static void
on_found(void *arg, const struct found *f, const struct err *failed)
{
	struct look *l = arg;
	struct cert *c = l->cert;
	struct err e = { .kind = ERR_NONE };
	int r;

	l->up_op = NULL;
	/* somebody is at it: what comes of that is whole */
	if (c->issue != NULL || c->order_url != NULL ||
	    (failed != NULL && !c->lost)) {
		look_end(l);
		return;
	}
	if (failed != NULL || f->version == 0 || l->skip == VERSIONS) {
		nothing(l);
		return;
	}
	if (c->have.version != 0 && l->skip == 0) {
		if (is_well(l, f)) {
			if (c->have.uncounted)
				damaged(l);
			else
				look_end(l);
			return;
		}
		if (f->live && !l->checked) {
			check_key(l, f);
			return;
		}
		log_error("its files are damaged", KV("cert", c->conf->name),
		    KN("version", f->version));
	}
	l->version = f->version;
	l->whole = f->live && f->whole;
	r = f->len == 0 ? -1 : usable(l, f, &e);
	if (r == 1) {
		l->older = l->skip != 0 &&
			   (c->have.version == 0 ||
			       strcmp(c->have.serial, l->info.serial) != 0);
		l->key_op = keys_get(l->restore->engine->keys, IPC_ROLE_CERT,
		    l->info.key_id, on_key, l, &e);
		if (l->key_op == NULL)
			on_key(l, NULL, &e);
		return;
	}
	if (e.kind != ERR_NONE)
		log_info("a version cannot be used", KV("cert", c->conf->name),
		    KN("version", f->version), KV("error", e.what));
	l->bad = l->bad || r == -1;
	l->skip++;
	find(l);
}

static void
find(struct look *l)
{
	struct err e;

	l->up_op = upstairs_find(l->restore->engine->upstairs, l->cert->index,
	    l->skip, l->any_key ? NULL : l->cert->have.key_id, on_found, l, &e);
	if (l->up_op == NULL)
		on_found(l, NULL, &e);
}

/* All of them, one after the other */

static bool
wants_look(const struct restore *r, const struct cert *c)
{
	if (r->began && c->have.uncounted)
		return c->issue == NULL && c->order_url == NULL;
	return (c->have.version != 0) == r->began && !r->some &&
	       c->issue == NULL && c->order_url == NULL && !c->have.ruined;
}

static bool
some_uncounted(const struct engine *en)
{
	uint32_t i;

	for (i = 0; i < en->certs.n; i++)
		if (en->certs.all[i].have.uncounted)
			return true;
	return false;
}

static void
look_start(struct restore *r, struct cert *c)
{
	struct look *l = calloc(1, sizeof(*l));

	if (l == NULL) /* in a day, then */
		return;
	l->restore = r;
	l->cert = c;
	TAILQ_INSERT_TAIL(&r->looks, l, link);
	r->n++;
	find(l);
}

/* Those without memory first, and nothing is begun before they are through;
 * then the others, without haste. */
static void
on_timer(void *arg)
{
	struct restore *r = arg;
	struct engine *en = r->engine;
	struct cert *c;

	while (r->n < (r->began ? 1 : LOOKS_MAX) && r->at < en->certs.n) {
		c = &en->certs.all[r->at++];
		if (wants_look(r, c))
			look_start(r, c);
	}
	if (r->n != 0 || r->at < en->certs.n)
		return;
	r->at = 0;
	r->some = r->began && some_uncounted(en);
	loop_timer_set(r->timer, r->some    ? UNSAVED_MS
				 : r->began ? AGAIN_MS
					    : 0);
	if (r->began)
		return;
	r->began = true;
	r->known(en);
}

int
restore_init(struct engine *en, struct err *e)
{
	struct restore *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return err_nomem(e, "restoring");
	en->restore = r;
	r->engine = en;
	TAILQ_INIT(&r->looks);
	r->timer = loop_timer_new(en->loop, on_timer, r, e);
	return r->timer == NULL ? -1 : 0;
}

void
restore_start(struct engine *en, void (*known)(struct engine *))
{
	en->restore->known = known;
	on_timer(en->restore);
}

void
restore_done(struct engine *en)
{
	struct restore *r = en->restore;

	if (r == NULL)
		return;
	while (!TAILQ_EMPTY(&r->looks))
		look_free(TAILQ_FIRST(&r->looks));
	loop_timer_free(r->timer);
	free(r);
	en->restore = NULL;
}
