/* SPDX-License-Identifier: ISC */
/*
 * Budgets on disk: seconds, rounded up, of each bucket that is not full.  What
 * there is no room for is what is least missed: nearest to full.
 */

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/budget_int.h"
#include "lib/io/json.h"

#define KEPT_MAX     (900u << 10) /* of JSON: fits STORE_VALUE_MAX */
#define ENTRY_BYTES  18           /* beside its key: an instant, punctuation */
#define FAILED_BYTES (20 + BUDGET_FAILED_HOUR * 15)

static void
encode_one(const struct entry *en, struct json *o)
{
	struct json *times;
	size_t i;

	if (en->limit != LIMIT_FAILURES) {
		json_set_int(o, en->key, (en->bucket.full_ms + 999) / 1000);
		return;
	}
	times = json_set_array(o, en->key);
	json_push_int(times, (en->bucket.full_ms + 999) / 1000);
	for (i = 0; i < BUDGET_FAILED_HOUR && en->at_ms[i] != 0; i++)
		json_push_int(times, en->at_ms[i] / 1000);
}

/* Bytes of it, at most. */
static size_t
room_for(const struct entry *en)
{
	return strlen(en->key) +
	       (en->limit == LIMIT_FAILURES ? FAILED_BYTES : ENTRY_BYTES);
}

struct listed {
	const struct entry *entry;
	double used; /* of all that it may hold */
};

static double
used(const struct budget *b, const struct entry *en, int64_t now_ms)
{
	int64_t depth = budget_depth_ms(&b->ca->limits[en->limit]);
	double share = 0, ours = 0;
	size_t i;

	if (depth != 0)
		share = (double)(en->bucket.full_ms - now_ms) / (double)depth;
	for (i = 0; en->limit == LIMIT_FAILURES && i < BUDGET_FAILED_HOUR; i++)
		if (en->at_ms[i] + HOUR_MS > now_ms)
			ours += 1.0 / BUDGET_FAILED_HOUR;
	return share > ours ? share : ours;
}

static int
by_use(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	return (x->used < y->used) - (x->used > y->used);
}

/* All that is not full; the emptiest first, when there is not room for all. */
static struct listed *
list(const struct budget *b, int64_t now_ms, size_t *n, struct err *e)
{
	struct listed *all = calloc(b->n + 1, sizeof(*all));
	const struct entry *en;
	size_t i, bytes = 0;

	*n = 0;
	if (all == NULL) {
		(void)err_nomem(e, "budget");
		return NULL;
	}
	for (i = 0; i < SHELVES; i++)
		LIST_FOREACH (en, &b->shelves[i], link) {
			/* what is held is in the orders' own state */
			if (en->bucket.full_ms <= now_ms &&
			    en->at_ms[0] + HOUR_MS <= now_ms)
				continue;
			bytes += room_for(en);
			all[(*n)++] =
			    (struct listed){ en, used(b, en, now_ms) };
		}
	if (bytes <= KEPT_MAX)
		return all;
	qsort(all, *n, sizeof(*all), by_use);
	for (i = bytes = 0; i < *n; i++)
		if ((bytes += room_for(all[i].entry)) > KEPT_MAX)
			*n = i;
	return all;
}

int
budget_encode(
    const struct budget *b, int64_t now, struct buf *out, struct err *e)
{
	AUTO(json_free) struct json *root = json_object();
	struct json *o[LIMIT__COUNT] = { NULL };
	struct listed *all;
	size_t i, n;

	all = list(b, now * 1000, &n, e);
	if (all == NULL)
		return -1;
	if (b->orders.full_ms > now * 1000)
		json_push_int(
		    json_set_array(root, budget_limit_name(LIMIT_NEW_ORDERS)),
		    (b->orders.full_ms + 999) / 1000);
	for (i = 0; i < n; i++) {
		enum conf_limit l = all[i].entry->limit;

		if (o[l] == NULL)
			o[l] = json_set_object(root, budget_limit_name(l));
		encode_one(all[i].entry, o[l]);
	}
	free(all);
	return json_dump(root, false, out, e);
}

struct decoding {
	struct budget *budget;
	enum conf_limit limit;
	int64_t now_ms;
	bool no_memory;
};

static int64_t
instant(const struct json *v)
{
	int64_t n;

	return json_number(v, &n) == -1 || n <= 0 || n > INT64_MAX / 2000
		   ? 0
		   : n * 1000;
}

static void
decode_one(void *arg, const char *key, const struct json *v)
{
	struct decoding *d = arg;
	struct entry *en;
	size_t i;

	if (strlen(key) >= BUDGET_KEY_MAX)
		return;
	en = budget_entry(d->budget, d->limit, key, d->now_ms);
	if (en == NULL) { /* for room, no file is too long */
		d->no_memory = true;
		return;
	}
	if (d->limit != LIMIT_FAILURES) {
		en->bucket.full_ms = instant(v);
	} else {
		en->bucket.full_ms = instant(json_at(v, 0));
		for (i = 0; i < BUDGET_FAILED_HOUR && i + 1 < json_len(v); i++)
			en->at_ms[i] = instant(json_at(v, i + 1));
	}
	if (budget_is_full(en, d->now_ms))
		budget_entry_drop(d->budget, en);
}

int
budget_decode(
    struct budget *b, const char *text, size_t len, int64_t now, struct err *e)
{
	AUTO(json_free) struct json *root = json_parse(text, len, e);
	struct decoding d = { .budget = b, .now_ms = now * 1000 };
	const struct json *orders;
	int l;

	if (root == NULL)
		return -1;
	orders = json_get_array(root, budget_limit_name(LIMIT_NEW_ORDERS));
	b->orders.full_ms = instant(json_at(orders, 0));
	/* what was spent before is not given back: nobody knows how full */
	b->orders.shallow_ms = d.now_ms;
	for (l = LIMIT_PER_DOMAIN; l < LIMIT__COUNT; l++) {
		d.limit = (enum conf_limit)l;
		if (b->ca->limits[l].n != 0 || d.limit == LIMIT_FAILURES)
			json_each(
			    json_get_object(root, budget_limit_name(d.limit)),
			    decode_one, &d);
	}
	return d.no_memory ? err_nomem(e, "budget") : 0;
}
