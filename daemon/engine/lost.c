/* SPDX-License-Identifier: ISC */
/*
 * Orders whose newOrder the process did not live to hear the answer of: looked
 * for in the CA's list of the account's orders (RFC 8555 7.1.2.1), before
 * anything else is asked there.  Most CAs have no such list, and one that has
 * may be slow, broken or endless: what is not found is as good as not there.
 */

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/certs.h"
#include "daemon/engine/session_int.h"
#include "lib/acme/reply.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

#define WANTS_MAX 16 /* a crash leaves two at most */
#define PAGES_MAX 100
#define BYTES_MAX (16u << 20)
#define TIME_MS   (20 * INT64_C(1000))
#define LINKS_MAX 8
/* Orders that are looked at: the newest is the one, and it comes last; but
 * nothing says so, and some list may begin with it. */
#define LAST_MAX    16
#define FIRST_MAX   8
#define ENDS_SOON_S INT64_C(300) /* and then it is no use */

struct want {
	const struct cert *cert;
	char *order; /* found; NULL: not */
};

struct lost {
	struct want wants[WANTS_MAX];
	size_t n_wants;
	bool over;

	int64_t since_ms;
	size_t bytes;
	char *next; /* page */
	uint64_t pages[PAGES_MAX];
	size_t n_pages;

	/* of the list; the last ones are a ring */
	char *first[FIRST_MAX], *last[LAST_MAX];
	size_t n_listed, at;
	bool no_memory;
};

int
session_seek(struct session *s, const struct cert *cert, struct err *e)
{
	if (s->lost == NULL)
		s->lost = calloc(1, sizeof(*s->lost));
	if (s->lost == NULL)
		return err_nomem(e, "lost orders");
	if (s->lost->n_wants == WANTS_MAX)
		return err_set(e, ERR_LIMIT, 0,
		    "more than %d lost orders at one CA", WANTS_MAX);
	s->lost->wants[s->lost->n_wants++].cert = cert;
	return 0;
}

char *
session_found(struct session *s, const struct cert *cert)
{
	size_t i;

	for (i = 0; s->lost != NULL && i < s->lost->n_wants; i++)
		if (s->lost->wants[i].cert == cert)
			return take_ptr(s->lost->wants[i].order);
	return NULL;
}

static void
drop_list(struct lost *l)
{
	size_t i;

	for (i = 0; i < FIRST_MAX; i++)
		free(take_ptr(l->first[i]));
	for (i = 0; i < LAST_MAX; i++)
		free(take_ptr(l->last[i]));
	free(take_ptr(l->next));
}

void
lost_free(struct lost *l)
{
	size_t i;

	if (l == NULL)
		return;
	drop_list(l);
	for (i = 0; i < l->n_wants; i++)
		free(l->wants[i].order);
	free(l);
}

/* Nobody holds it up any more; 0, for whoever started it as a step. */
static int
over(struct session *s, const char *why)
{
	struct lost *l = s->lost;
	size_t i, found = 0;

	for (i = 0; i < l->n_wants; i++)
		found += l->wants[i].order != NULL;
	log_info("looked for orders that were not heard of",
	    KV("ca", s->ca->name), KN("lost", l->n_wants), KN("found", found),
	    KN("listed", l->n_listed), KV("ended", why));
	drop_list(l);
	l->over = true;
	return 0;
}

static int
ask(struct session *s, const char *url, ask_done *done, const char **why)
{
	struct ask_spec spec = { .kind = ASK_URL, .url = url, .once = true };
	struct err e;

	*why = "it takes too long";
	if (clock_mono_ms() - s->lost->since_ms > TIME_MS)
		return -1;
	*why = "no memory";
	s->account_ask = session_ask_setup(s, &spec, false, done, s, &e);
	return s->account_ask == NULL ? -1 : 0;
}

/* The orders */

static bool
fits(const struct order *o, const struct cert *c, int64_t now)
{
	const struct conf_cert *cc = c->conf;

	if (o->status != ACME_PENDING && o->status != ACME_READY)
		return false;
	if (o->expires != 0 && o->expires - now <= ENDS_SOON_S)
		return false;
	if (cc->profile != NULL && o->profile != NULL &&
	    strcmp(cc->profile, o->profile) != 0)
		return false;
	return order_is_for(o, c->idents, c->n_idents);
}

/* False: there is nothing left to look for. */
static bool
match(struct session *s, const char *url, const struct reply *r)
{
	AUTO(pool_free) struct pool *pool = pool_new(2 * ACME_BODY_MAX);
	struct lost *l = s->lost;
	bool taken = false, left = false;
	struct order o;
	size_t i;

	/* what cannot be read is not what we look for */
	if (pool == NULL || order_decode(r->body, r->len, pool, &o, NULL) == -1)
		return true;
	for (i = 0; i < l->n_wants; i++) {
		struct want *w = &l->wants[i];

		if (!taken && w->order == NULL &&
		    fits(&o, w->cert, session_now(s))) {
			w->order = strdup(url);
			taken = true;
		}
		left = left || w->order == NULL;
	}
	return left;
}

static const char *
at_order(const struct lost *l)
{
	size_t last = l->n_listed < LAST_MAX ? l->n_listed : LAST_MAX;

	if (l->at < last)
		return l->last[(l->n_listed - 1 - l->at) % LAST_MAX];
	/* of a short list these have been looked at */
	if (l->at < l->n_listed && l->at - last < FIRST_MAX)
		return l->first[l->at - last];
	return NULL;
}

/* From the end of the list to its beginning; NULL: that was all. */
static const char *
next_order(const struct session *s)
{
	const char *url;

	while ((url = at_order(s->lost)) != NULL &&
	       s->env->holds(s->env->arg, url))
		s->lost->at++;
	return url;
}

static void
got_order(void *arg, const struct reply *r, const struct err *failed)
{
	struct session *s = arg;
	const char *url, *why = "all looked at";

	s->account_ask = NULL;
	if (failed == NULL && !match(s, at_order(s->lost), r))
		why = "all found";
	else if (failed != NULL &&
		 (failed->kind == ERR_NET || failed->num >= 500))
		why = failed->what;
	else {
		s->lost->at++;
		url = next_order(s);
		if (url != NULL && ask(s, url, got_order, &why) == 0)
			return;
	}
	(void)over(s, why);
	account_go_on(s);
}

/* The list */

static void
add_order(void *arg, const char *url)
{
	struct lost *l = arg;
	char **last = &l->last[l->n_listed % LAST_MAX];

	free(*last);
	*last = strdup(url);
	l->no_memory = l->no_memory || *last == NULL;
	if (l->n_listed < FIRST_MAX) {
		l->first[l->n_listed] = strdup(url);
		l->no_memory = l->no_memory || l->first[l->n_listed] == NULL;
	}
	l->n_listed++;
}

static void
add_page(void *arg, const char *url)
{
	struct lost *l = arg;

	if (l->next != NULL)
		return;
	l->next = strdup(url);
	l->no_memory = l->no_memory || l->next == NULL;
}

/* Whether there is one more page, which is not one that has been seen. */
static bool
turn_page(struct lost *l)
{
	uint64_t h;
	size_t i;

	if (l->next == NULL)
		return false;
	if (l->n_pages == PAGES_MAX || l->bytes > BYTES_MAX) {
		l->at = LAST_MAX; /* what came last is not the newest */
		return false;
	}
	h = str_hash(l->next, strlen(l->next));
	for (i = 0; i < l->n_pages; i++)
		if (l->pages[i] == h)
			return false;
	l->pages[l->n_pages++] = h;
	return true;
}

static void
got_page(void *arg, const struct reply *r, const struct err *failed)
{
	struct session *s = arg;
	struct lost *l = s->lost;
	const char *link, *url, *why = "nothing is listed";
	struct err e;
	unsigned i;

	s->account_ask = NULL;
	free(take_ptr(l->next));
	if (failed != NULL) {
		(void)over(s, failed->what);
		account_go_on(s);
		return;
	}
	l->bytes += r->len;
	if (orders_decode(r->body, r->len, add_order, l, &e) == -1) {
		(void)over(s, e.what);
		account_go_on(s);
		return;
	}
	for (i = 0;
	     i < LINKS_MAX && (link = http_header(r->http, "Link", i)) != NULL;
	     i++)
		reply_links(link, r->url, "next", add_page, l);
	if (l->no_memory)
		why = "no memory";
	else if (turn_page(l)) {
		if (ask(s, l->next, got_page, &why) == 0)
			return;
	} else if ((url = next_order(s)) != NULL &&
		   ask(s, url, got_order, &why) == 0)
		return;
	(void)over(s, why);
	account_go_on(s);
}

static void
got_account(void *arg, const struct reply *r, const struct err *failed)
{
	AUTO(pool_free) struct pool *pool = pool_new(ACME_BODY_MAX);
	struct session *s = arg;
	struct account acct;
	const char *why = "no memory";
	struct err e;

	s->account_ask = NULL;
	if (failed != NULL)
		why = failed->what;
	else if (pool != NULL) {
		if (account_decode(r->body, r->len, pool, &acct, &e) == -1)
			why = e.what;
		else if (acct.orders == NULL)
			why = "the CA has no list of orders";
		else {
			add_page(s->lost, acct.orders);
			if (turn_page(s->lost) &&
			    ask(s, s->lost->next, got_page, &why) == 0)
				return;
		}
	}
	(void)over(s, why);
	account_go_on(s);
}

int
step_lost(struct session *s, struct err *e)
{
	const char *why;

	(void)e; /* nothing depends on it */
	if (s->lost == NULL || s->lost->over)
		return 0;
	s->lost->since_ms = clock_mono_ms();
	return ask(s, s->doc.url, got_account, &why) == 0 ? 1 : over(s, why);
}
