/* SPDX-License-Identifier: ISC */
/*
 * Keys that no state knows.  A process that ended between a new key and the
 * note of its id has left one in the keeper's folder for good.  So those older
 * than a day, of which the keeper tells the ids, are held against what is
 * known, and what is left over is dropped.  In no hurry: a page, and then a
 * key, at a time.
 */

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/engine.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

#define HEAD_LEN 16 /* hex digits, of an id that is found by them */
#define HEADS    1024

struct old_key {
	uint64_t head;
	bool known;
	char id[IPC_KEY_ID];
};

struct sweep {
	struct engine *engine;
	struct keys_op *op;
	bool more;
	uint32_t seen, dropped;
	uint64_t *known; /* heads of what was at the beginning, sorted */
	size_t n_known, max_known;
	bool no_memory;
	size_t n, at;
	struct old_key page[IPC_OLD_KEYS]; /* sorted */
};

static void next(struct sweep *);

static uint64_t
head_of(const char *id)
{
	char text[HEAD_LEN + 1];

	memcpy(text, id, HEAD_LEN);
	text[HEAD_LEN] = '\0';
	return strtoull(text, NULL, 16);
}

static int
compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b; /* of struct old_key it is the first */

	return *x < *y ? -1 : *x > *y;
}

/* Remember it for the pages that come. */
static void
note(struct sweep *sw, uint64_t head)
{
	size_t max = sw->max_known == 0 ? HEADS : 2 * sw->max_known;
	uint64_t *more;

	if (sw->n_known == sw->max_known) {
		more = reallocarray(sw->known, max, sizeof(*more));
		if (more == NULL) {
			sw->no_memory = true;
			return;
		}
		sw->known = more;
		sw->max_known = max;
	}
	sw->known[sw->n_known++] = head;
}

/* It is not dropped, when it is on this page. */
static void
mark(struct sweep *sw, uint64_t head)
{
	struct old_key *found =
	    bsearch(&head, sw->page, sw->n, sizeof(sw->page[0]), compare);

	if (found != NULL)
		found->known = true;
}

typedef void known_fn(struct sweep *, uint64_t head);

static void
each_of(struct sweep *sw, const char *list, known_fn *fn)
{
	size_t len;

	for (; list != NULL && *list != '\0'; list += len) {
		len = strcspn(list, " ");
		if (len >= HEAD_LEN)
			fn(sw, head_of(list));
		len += strspn(list + len, " ");
	}
}

static void
each_known(struct sweep *sw, known_fn *fn)
{
	const struct certs *cs = &sw->engine->certs;
	const struct orphan *o;
	uint32_t i;

	for (i = 0; i < cs->n; i++) {
		const struct cert *c = &cs->all[i];

		each_of(sw, c->have.key_id, fn);
		each_of(sw, c->old_keys, fn);
		each_of(sw, c->order_key, fn);
		each_of(sw, c->stale_key, fn);
	}
	SLIST_FOREACH (o, &cs->orphans, link)
		each_of(sw, o->keys, fn);
}

/* By what was known at the beginning, which is found fast; and of what is left
 * then, if anything is, by what is known now. */
static void
mark_known(struct sweep *sw)
{
	bool left = false;
	size_t i;

	for (i = 0; i < sw->n; i++) {
		struct old_key *o = &sw->page[i];

		if (sw->n_known != 0 &&
		    bsearch(&o->head, sw->known, sw->n_known, sizeof(o->head),
			compare) != NULL)
			o->known = true;
		left = left || !o->known;
	}
	if (left)
		each_known(sw, mark);
}

static void
sweep_free(struct sweep *sw)
{
	free(sw->known);
	free(sw);
}

static void
end(struct sweep *sw, const struct err *e)
{
	if (e != NULL)
		log_warn("old keys not looked through", KV("error", e->what));
	else if (sw->dropped != 0)
		log_info("keys that nobody knows dropped",
		    KN("dropped", sw->dropped), KN("old", sw->seen));
	else
		log_debug("no key that nobody knows", KN("old", sw->seen));
	sw->engine->sweep = NULL;
	sweep_free(sw);
}

static void
on_dropped(void *arg, const struct keys_reply *k, const struct err *failed)
{
	struct sweep *sw = arg;

	(void)k;
	sw->op = NULL;
	sw->dropped += failed == NULL; /* if not, the keeper has said why */
	sw->at++;
	next(sw);
}

static void
on_page(void *arg, const struct keys_reply *k, const struct err *failed)
{
	struct sweep *sw = arg;
	const char *id = k->data;
	size_t i;

	sw->op = NULL;
	if (failed != NULL) {
		end(sw, failed);
		return;
	}
	sw->more = k->more;
	sw->at = sw->n = 0;
	for (i = 0; i < k->len / KEY_ID_LEN && i < IPC_OLD_KEYS; i++) {
		struct old_key *o = &sw->page[sw->n++];

		o->known = false;
		memcpy(o->id, id + i * KEY_ID_LEN, KEY_ID_LEN);
		o->id[KEY_ID_LEN] = '\0';
		o->head = head_of(o->id);
	}
	sw->seen += (uint32_t)sw->n;
	qsort(sw->page, sw->n, sizeof(sw->page[0]), compare);
	/* which of them one is by its head alone cannot be told */
	for (i = 1; i < sw->n; i++)
		if (sw->page[i - 1].head == sw->page[i].head)
			sw->page[i - 1].known = sw->page[i].known = true;
	mark_known(sw);
	next(sw);
}

static void
next(struct sweep *sw)
{
	struct keys *keys = sw->engine->keys;
	struct err e;

	while (sw->at < sw->n && sw->page[sw->at].known)
		sw->at++;
	if (sw->at < sw->n) {
		log_debug(
		    "a key that nobody knows", KV("key", sw->page[sw->at].id));
		sw->op = keys_drop_told(
		    keys, sw->page[sw->at].id, on_dropped, sw, &e);
	} else if (sw->more) {
		sw->op = keys_old(keys, false, on_page, sw, &e);
	} else {
		end(sw, NULL);
		return;
	}
	if (sw->op == NULL)
		end(sw, &e);
}

void
sweep_start(struct engine *en)
{
	struct sweep *sw;
	struct err e;

	if (!en->certs.all_known) {
		log_info("keys that nobody knows stay: some state is damaged, "
			 "or was and is kept aside");
		return;
	}
	sw = calloc(1, sizeof(*sw));
	if (sw == NULL)
		return; /* at the next start */
	en->sweep = sw;
	sw->engine = en;
	each_known(sw, note);
	if (sw->n_known != 0)
		qsort(sw->known, sw->n_known, sizeof(sw->known[0]), compare);
	if (sw->no_memory)
		(void)err_nomem(&e, "known keys");
	else
		sw->op = keys_old(en->keys, true, on_page, sw, &e);
	if (sw->op == NULL)
		end(sw, &e);
}

void
sweep_cancel(struct engine *en)
{
	if (en->sweep == NULL)
		return;
	keys_cancel(en->sweep->op);
	sweep_free(en->sweep);
	en->sweep = NULL;
}
