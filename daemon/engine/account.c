/* SPDX-License-Identifier: ISC */
/*
 * Getting ready to ask: directory, account key, registration, contact.  Each
 * step is skipped when there is nothing to do, so that the first start, a
 * restart and a CA that has forgotten us are one path.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/policy.h"
#include "daemon/engine/session_int.h"
#include "lib/acme/problem.h"
#include "lib/acme/reply.h"
#include "lib/acme/requests.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/io/json.h"

#define PAYLOAD_MAX  16384
#define DIR_FRESH_MS INT64_C(3600000)

static int step_directory(struct session *, struct err *);
static int step_key(struct session *, struct err *);
static int step_account(struct session *, struct err *);
static int step_status(struct session *, struct err *);
static int step_contact(struct session *, struct err *);

/* Start one step after the other.  1: it is under way; 0: nothing to do. */
static int (*const steps[])(struct session *, struct err *) = {
	step_directory,
	step_key,
	step_account,
	step_status,
	step_contact,
	step_lost,
};

static int
run_steps(struct session *s, struct err *e)
{
	size_t i;

	for (i = 0; i < NELEM(steps); i++) {
		int r = steps[i](s, e);

		if (r != 0)
			return r;
	}
	return 0;
}

/* A step ended well: go on, from the loop. */
void
account_go_on(struct session *s)
{
	struct err e;
	int r = run_steps(s, &e);

	if (r <= 0)
		session_prepared(s, r == 0 ? NULL : &e);
}

static void
fail(struct session *s, const struct err *why)
{
	struct err e = *why;

	(void)err_wrap(&e, "%s", s->ca->name);
	session_prepared(s, &e);
}

/* Fail, and do not try again until a person has acted. */
static void
stop(struct session *s, const struct err *why)
{
	struct err e = *why;

	(void)err_wrap(&e, "%s", s->ca->name);
	session_stop(s, &e);
	session_prepared(s, &e);
}

void
account_doc_clear(struct account_doc *d)
{
	free(d->key_id);
	free(d->thumbprint);
	free(d->url);
	free(d->email);
	free(d->eab_kid);
	memset(d, 0, sizeof(*d));
}

static int
keep(char **to, const char *text, struct err *e)
{
	char *copy = text == NULL ? NULL : strdup(text);

	if (text != NULL && copy == NULL)
		return err_nomem(e, "account");
	free(*to); /* text may be in it */
	*to = copy;
	return 0;
}

/* Storing */

struct account_write {
	TAILQ_ENTRY(account_write) link;
	struct session *s;
	struct store_op *op;
	store_done *done;
	void *arg;
};

static void
on_saved(void *arg, const struct store_value *v, const struct err *e)
{
	AUTO(free) struct account_write *p = arg;

	TAILQ_REMOVE(&p->s->saves, p, link);
	if (e == NULL)
		p->s->doc.rev = v->rev;
	if (p->done != NULL)
		p->done(p->arg, v, e);
	else if (e != NULL)
		log_error("account state not saved", KV("ca", p->s->ca->name),
		    KV("error", e->what), KV("hint", err_hint(e)));
}

int
account_save(struct session *s, store_done *done, void *arg, struct err *e)
{
	AUTO(buf_done) struct buf text = BUF_INIT(STORE_VALUE_MAX);
	AUTO(json_free) struct json *root = json_object();
	AUTO(free) struct account_write *p = calloc(1, sizeof(*p));
	const struct account_doc *d = &s->doc;
	char key[STORE_KEY_MAX];
	struct store_put put = { .key = key, .rev = STORE_ANY };

	if (p == NULL)
		return err_nomem(e, "account");
	p->s = s;
	p->done = done;
	p->arg = arg;
	json_set_str(root, "directory", s->ca->directory);
	json_set_str(root, "key", d->key_id);
	json_set_str(root, "thumbprint", d->thumbprint);
	json_set_str(root, "url", d->url);
	json_set_str(root, "email", d->email);
	json_set_str(root, "eab_kid", d->eab_kid);
	if (s->not_before > clock_now()) {
		struct json *o = json_set_object(root, "blocked");

		json_set_time(o, "since", s->breaker.since);
		json_set_time(o, "until", s->not_before);
		json_set_str(o, "why", s->why.what);
	}
	if (json_dump(root, true, &text, e) == -1)
		return -1;
	(void)snprintf(key, sizeof(key), "accounts/%s", s->ca->name);
	/* One writer, and saves may overlap: the last one counts. */
	put.data = text.data;
	put.len = text.len;
	p->op = s->env->store->ops->put(s->env->store, &put, on_saved, p, e);
	if (p->op == NULL)
		return -1;
	TAILQ_INSERT_TAIL(&s->saves, p, link);
	(void)take_ptr(p);
	return 0;
}

/* What the CA asked for before we were started: it still holds. */
static void
decode_block(struct session *s, const struct json *o)
{
	int64_t until = json_get_time(o, "until");
	int64_t since = json_get_time(o, "since");
	const char *why = json_get_text(o, "why");

	if (why == NULL || until <= clock_now())
		return;
	s->not_before = until;
	session_block(s, since == 0 ? clock_now() : since, until, why);
}

int
account_decode_doc(
    struct session *s, const char *text, size_t len, struct err *e)
{
	AUTO(json_free) struct json *root = json_parse(text, len, e);
	const char *key = json_get_text(root, "key");
	const char *thumb = json_get_text(root, "thumbprint");
	const char *url = json_get_text(root, "url");
	const char *dir = json_get_text(root, "directory");

	if (root == NULL)
		return -1;
	if (key == NULL || !str_is_hex(key, KEY_ID_LEN) || thumb == NULL ||
	    (url != NULL && !str_is_https_url(url)))
		return err_set(e, ERR_PROTO, 0, "not what we wrote");
	if (dir == NULL || strcmp(dir, s->ca->directory) != 0)
		return err_set(e, ERR_CONFIG, 0,
		    "made for another directory: %s",
		    dir == NULL ? "none" : dir);
	s->key_is_old = true;
	decode_block(s, json_get_object(root, "blocked"));
	if (keep(&s->doc.key_id, key, e) == -1 ||
	    keep(&s->doc.thumbprint, thumb, e) == -1 ||
	    keep(&s->doc.url, url, e) == -1 ||
	    keep(&s->doc.email, json_get_text(root, "email"), e) == -1 ||
	    keep(&s->doc.eab_kid, json_get_text(root, "eab_kid"), e) == -1)
		return -1;
	return 0;
}

/* The binding was used when the account was made, and never again (D13, D14).
 */
static void
compare_eab(const struct session *s)
{
	const struct account_doc *d = &s->doc;

	if (d->url != NULL && d->eab_kid != NULL && s->ca->eab_kid != NULL &&
	    strcmp(d->eab_kid, s->ca->eab_kid) != 0)
		log_warn("the eab kid has changed, the account stays the one "
			 "made with the old kid: to make another, move its "
			 "file in the state folder away",
		    KV("ca", s->ca->name), KV("account", d->url),
		    KV("made_with", d->eab_kid), KV("now", s->ca->eab_kid));
}

static void
on_loaded(void *arg, const struct store_value *v, const struct err *failed)
{
	struct session *s = arg;
	char key[STORE_KEY_MAX];
	struct err e;

	s->load_op = NULL;
	if (failed == NULL && v->rev != STORE_ABSENT) {
		s->doc.rev = v->rev;
		if (account_decode_doc(s, v->data, v->len, &e) == 0) {
			compare_eab(s);
		} else if (e.kind == ERR_NOMEM) {
			s->loaded(s->loaded_arg, NULL, &e);
			return;
		} else {
			account_doc_clear(&s->doc);
			s->key_is_old = false;
			log_error("account state put aside: a new account "
				  "will be made",
			    KV("ca", s->ca->name), KV("error", e.what));
			(void)snprintf(
			    key, sizeof(key), "accounts/%s", s->ca->name);
			if (s->env->store->ops->set_aside(
				s->env->store, key, &e) == -1)
				log_error("cannot put it aside",
				    KV("ca", s->ca->name), KV("error", e.what));
		}
	}
	if (failed != NULL || budget_load(s, &e) == -1)
		s->loaded(s->loaded_arg, NULL, failed != NULL ? failed : &e);
}

int
session_load(struct session *s, store_done *loaded, void *arg, struct err *e)
{
	char key[STORE_KEY_MAX];

	s->loaded = loaded;
	s->loaded_arg = arg;
	(void)snprintf(key, sizeof(key), "accounts/%s", s->ca->name);
	s->load_op =
	    s->env->store->ops->get(s->env->store, key, on_loaded, s, e);
	return s->load_op == NULL ? -1 : 0;
}

/* Directory */

static void
got_directory(void *arg, const struct http_reply *h, const struct err *net)
{
	AUTO(pool_free) struct pool *pool = pool_new(ACME_BODY_MAX);
	struct session *s = arg;
	struct directory dir;
	struct err e;
	size_t len;
	const char *body;

	s->dir_call = NULL;
	session_log(
	    s, "GET", s->ca->directory, h, net == NULL ? "" : net->what);
	if (net != NULL) {
		fail(s, net);
		return;
	}
	clock_learn(s, h);
	body = http_body(h, &len);
	if (http_status(h) != 200) {
		(void)problem_decode(http_status(h),
		    http_header(h, "Content-Type", 0), body, len, &e);
		e.retry_after_s =
		    reply_retry_after(http_header(h, "Retry-After", 0),
			http_header(h, "Date", 0), clock_now());
		(void)err_wrap(&e, "directory");
		fail(s, &e);
		return;
	}
	if (pool == NULL) {
		(void)err_nomem(&e, "directory");
		fail(s, &e);
		return;
	}
	if (directory_decode(body, len, pool, &dir, &e) == -1) {
		(void)err_wrap(&e, "directory %s", s->ca->directory);
		fail(s, &e);
		return;
	}
	pool_free(s->dir_pool);
	s->dir_pool = take_ptr(pool);
	s->dir = dir;
	/* if not since, it is asked for once more */
	if (session_asked_since(s, h))
		s->dir_at_ms = clock_mono_ms();
	account_go_on(s);
}

static bool
directory_is_fresh(const struct session *s)
{
	return s->dir_at_ms != 0 &&
	       clock_mono_ms() - s->dir_at_ms < DIR_FRESH_MS;
}

bool
session_look_again(struct session *s)
{
	if (directory_is_fresh(s))
		return false;
	s->dir_at_ms = 0;
	return true;
}

static int
step_directory(struct session *s, struct err *e)
{
	struct http_req req = {
		.method = "GET",
		.url = s->ca->directory,
		.ca_file = s->ca->ca_file,
		.proxy = s->ca->proxy,
		.http1 = s->ca->http1,
		.max_body = ACME_BODY_MAX,
		.redirects = 5,
	};

	if (directory_is_fresh(s))
		return 0;
	(void)request_slot(s); /* counts, and has never to wait */
	s->dir_call = http_start(s->env->http, &req, got_directory, s, e);
	return s->dir_call == NULL ? -1 : 1;
}

/* Key */

static void
key_saved(void *arg, const struct store_value *v, const struct err *failed)
{
	struct session *s = arg;

	(void)v;
	if (failed != NULL) {
		fail(s, failed);
		return;
	}
	s->key_unsaved = false;
	s->key_checked = s->doc.thumbprint != NULL;
	account_go_on(s);
}

static void
got_key(void *arg, const struct keys_reply *k, const struct err *failed)
{
	struct session *s = arg;
	struct err e;

	s->key_op = NULL;
	if (failed != NULL) {
		fail(s, failed);
		return;
	}
	log_info(
	    "account key made", KV("ca", s->ca->name), KV("key", k->key_id));
	s->key_unsaved = true;
	if (keep(&s->doc.key_id, k->key_id, &e) == -1 ||
	    keep(&s->doc.thumbprint, k->thumbprint, &e) == -1 ||
	    account_save(s, key_saved, s, &e) == -1)
		fail(s, &e);
}

static void
checked_key(void *arg, const struct keys_reply *k, const struct err *failed)
{
	struct session *s = arg;
	struct err e;

	s->key_op = NULL;
	if (failed == NULL) {
		s->key_checked = true;
		if (keep(&s->doc.thumbprint, k->thumbprint, &e) == -1)
			fail(s, &e);
		else
			account_go_on(s);
		return;
	}
	if (!k->missing) {
		fail(s, failed);
		return;
	}
	log_error("the account's key is lost: a new account will be made",
	    KV("ca", s->ca->name), KV("account", s->doc.url),
	    KV("key", s->doc.key_id));
	account_doc_clear(&s->doc);
	s->key_is_old = false;
	account_go_on(s);
}

static int
step_key(struct session *s, struct err *e)
{
	if (s->doc.key_id == NULL)
		s->key_op = keys_make(
		    s->env->keys, IPC_ROLE_ACCOUNT, s->index, got_key, s, e);
	else if (s->key_unsaved) /* no other key because a disk was full */
		return account_save(s, key_saved, s, e) == -1 ? -1 : 1;
	else if (!s->key_checked)
		s->key_op = keys_get(s->env->keys, IPC_ROLE_ACCOUNT,
		    s->doc.key_id, checked_key, s, e);
	else
		return 0;
	return s->key_op == NULL ? -1 : 1;
}

/* Registration */

static void
registered(void *arg, const struct store_value *v, const struct err *failed)
{
	struct session *s = arg;

	(void)v;
	if (failed == NULL)
		account_go_on(s);
	else
		fail(s, failed);
}

static void
refused(struct session *s, struct err *e)
{
	/* what no ACME server said may be a proxy's, and pass */
	bool lasting = policy_find(e, WHERE_CA)->wait == WAIT_PERSON;

	if (e->kind == ERR_PROBLEM && e->problem == PROBLEM_RATE_LIMITED &&
	    e->retry_after_s < 0)
		e->retry_after_s = 3600;
	if (e->kind == ERR_PROBLEM && s->dir.terms != NULL &&
	    e->problem == PROBLEM_USER_ACTION_REQUIRED)
		(void)err_wrap(e, "terms of service %s", s->dir.terms);
	if (lasting)
		stop(s, e);
	else
		fail(s, e);
}

/* Whether r is the account at url, and can be used.  If not, that is the end.
 */
static bool
is_valid(struct session *s, const struct reply *r, const char *url)
{
	AUTO(pool_free) struct pool *pool = pool_new(ACME_BODY_MAX);
	struct account acct;
	struct err e;

	if (pool == NULL) {
		(void)err_nomem(&e, "account");
		fail(s, &e);
	} else if (account_decode(r->body, r->len, pool, &acct, &e) == -1) {
		fail(s, &e);
	} else if (acct.status != ACME_VALID) {
		(void)err_set(&e, ERR_PROBLEM, 403,
		    "account %s is %s: a new account key is needed", url,
		    acme_status_name(acct.status));
		stop(s, &e);
	} else {
		return true;
	}
	return false;
}

static void
got_account(void *arg, const struct reply *r, const struct err *failed)
{
	struct session *s = arg;
	struct err e;

	s->account_ask = NULL;
	if (failed != NULL) {
		e = *failed;
		if (!s->tried_existing && e.kind == ERR_PROBLEM &&
		    (e.problem == PROBLEM_ACCOUNT_DOES_NOT_EXIST ||
			e.problem == PROBLEM_EXTERNAL_ACCOUNT_REQUIRED ||
			e.problem == PROBLEM_MALFORMED)) {
			s->tried_existing = true;
			account_go_on(s);
			return;
		}
		(void)err_wrap(&e, "account");
		refused(s, &e);
		return;
	}
	if (r->location == NULL) {
		(void)err_set(&e, ERR_PROTO, 0,
		    "account: the reply has no https Location");
		fail(s, &e);
		return;
	}
	if (!is_valid(s, r, r->location))
		return;
	log_info(r->status == 201 ? "account registered" : "account found",
	    KV("ca", s->ca->name), KV("account", r->location));
	if (keep(&s->doc.url, r->location, &e) == -1 ||
	    keep(&s->doc.email, r->status == 201 ? s->ca->email : s->doc.email,
		&e) == -1 ||
	    keep(&s->doc.eab_kid, s->ca->eab_kid, &e) == -1 ||
	    account_save(s, registered, s, &e) == -1)
		fail(s, &e);
}

static int
send_account(struct session *s, const char *eab, struct err *e)
{
	AUTO(buf_done) struct buf payload = BUF_INIT(PAYLOAD_MAX);
	bool only_existing = s->key_is_old && !s->tried_existing;
	struct ask_spec spec = { .url = s->dir.new_account };

	if (request_new_account(s->ca->email, s->env->conf->agree_tos,
		only_existing, eab, &payload, e) == -1)
		return -1;
	if (!only_existing)
		s->tried_existing = true;
	spec.payload = payload.data;
	s->account_ask = session_ask_setup(s, &spec, true, got_account, s, e);
	return s->account_ask == NULL ? -1 : 1;
}

static void
got_eab(void *arg, const struct keys_reply *k, const struct err *failed)
{
	AUTO(free) char *eab = NULL;
	struct session *s = arg;
	struct err e;

	s->key_op = NULL;
	if (failed != NULL) {
		e = *failed;
		(void)err_wrap(&e, "external account binding");
		stop(s, &e);
		return;
	}
	eab = strndup(k->data, k->len);
	if (eab == NULL) {
		(void)err_nomem(&e, "account");
		fail(s, &e);
	} else if (send_account(s, eab, &e) == -1) {
		fail(s, &e);
	}
}

static int
step_account(struct session *s, struct err *e)
{
	if (s->doc.url != NULL)
		return 0;
	/* Known before anything is sent, and no retry can help (C5). */
	if (s->dir.eab_required && s->ca->eab_kid == NULL) {
		(void)err_set(e, ERR_CONFIG, 0,
		    "%s: this CA wants an external account binding: add "
		    "\"eab: {kid: ..., hmac-file: ...}\" to its entry",
		    s->ca->name);
		session_stop(s, e);
		return -1;
	}
	if (s->ca->eab_kid == NULL || (s->key_is_old && !s->tried_existing))
		return send_account(s, NULL, e);
	s->key_op = keys_eab(s->env->keys, s->index, s->doc.key_id,
	    s->dir.new_account, got_eab, s, e);
	return s->key_op == NULL ? -1 : 1;
}

/* Status, when the CA has refused an order as unauthorized */

static void
got_status(void *arg, const struct reply *r, const struct err *failed)
{
	struct session *s = arg;
	struct err e;

	s->account_ask = NULL;
	s->doubted = false;
	if (failed != NULL) {
		e = *failed;
		(void)err_wrap(&e, "account %s", s->doc.url);
		if (e.kind == ERR_PROBLEM && e.problem == PROBLEM_UNAUTHORIZED)
			stop(s, &e);
		else {
			/* lost again: nobody asks before it is made again */
			if (e.problem == PROBLEM_ACCOUNT_DOES_NOT_EXIST)
				e.retry_after_s = session_register_in(s);
			fail(s, &e);
		}
		return;
	}
	if (is_valid(s, r, s->doc.url))
		account_go_on(s);
}

static int
step_status(struct session *s, struct err *e)
{
	struct ask_spec spec = { .url = s->doc.url };

	if (!s->doubted)
		return 0;
	s->account_ask = session_ask_setup(s, &spec, false, got_status, s, e);
	return s->account_ask == NULL ? -1 : 1;
}

/* Contact */

static void
got_contact(void *arg, const struct reply *r, const struct err *failed)
{
	struct session *s = arg;
	struct err e;

	(void)r;
	s->account_ask = NULL;
	if (failed != NULL) {
		/* Issuing does not depend on it; the next start asks again. */
		log_warn("contact not changed", KV("ca", s->ca->name),
		    KV("email", s->ca->email), KV("error", failed->what));
		s->contact_tried = true;
		account_go_on(s);
		return;
	}
	log_info("contact changed", KV("ca", s->ca->name),
	    KV("email", s->ca->email));
	if (keep(&s->doc.email, s->ca->email, &e) == -1 ||
	    account_save(s, registered, s, &e) == -1)
		fail(s, &e);
}

static int
step_contact(struct session *s, struct err *e)
{
	AUTO(buf_done) struct buf payload = BUF_INIT(PAYLOAD_MAX);
	struct ask_spec spec = { .url = s->doc.url };
	const char *was = s->doc.email == NULL ? "" : s->doc.email;
	const char *want = s->ca->email == NULL ? "" : s->ca->email;

	if (s->contact_tried || strcmp(was, want) == 0)
		return 0;
	if (request_update_account(s->ca->email, &payload, e) == -1)
		return -1;
	spec.payload = payload.data;
	s->account_ask = session_ask_setup(s, &spec, false, got_contact, s, e);
	return s->account_ask == NULL ? -1 : 1;
}

/* The whole */

int
account_prepare(struct session *s, struct err *e)
{
	int r = run_steps(s, e);

	if (r == 0)
		s->state = SESSION_READY;
	return r == -1 ? -1 : 0;
}

void
account_cancel(struct session *s)
{
	struct account_write *w;

	http_cancel(s->dir_call);
	keys_cancel(s->key_op);
	if (s->load_op != NULL)
		s->env->store->ops->cancel(s->load_op);
	while ((w = TAILQ_FIRST(&s->saves)) != NULL) {
		TAILQ_REMOVE(&s->saves, w, link);
		s->env->store->ops->cancel(w->op);
		free(w);
	}
	s->dir_call = NULL;
	s->key_op = NULL;
	s->load_op = NULL;
}
