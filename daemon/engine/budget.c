/* SPDX-License-Identifier: ISC */
/* The CA's limits as buckets: when, spend, refund, keep. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/engine/budget_int.h"

#define ENTRIES_MAX 400000
#define NAMES_MAX   100 /* of a certificate: lib/config */
#define SPAN_TEXT   32

static const char *const limit_names[LIMIT__COUNT] = {
	[LIMIT_NEW_ORDERS] = "new-orders",
	[LIMIT_PER_DOMAIN] = "per-domain",
	[LIMIT_PER_NAMES] = "per-names",
	[LIMIT_FAILURES] = "failures",
};

const char *
budget_limit_name(enum conf_limit l)
{
	return limit_names[l];
}

void
budget_describe(const struct budget_wait *why, const struct conf_ca *ca,
    char *text, size_t size)
{
	const struct conf_rate *r = &ca->limits[why->limit];
	char span[SPAN_TEXT];

	str_ago(r->per_s, span, sizeof(span));
	(void)snprintf(text, size, "%s: limit %s, %u in %s%s%s", ca->name,
	    budget_limit_name(why->limit), r->n, span,
	    why->of[0] == '\0' ? "" : ", of ", why->of);
}

/* One bucket */

/* Rounded up: never more than the CA allows, and never nothing at all. */
static int64_t
refill_ms(const struct conf_rate *r)
{
	return (r->per_s * INT64_C(1000) + r->n - 1) / r->n;
}

int64_t
budget_depth_ms(const struct conf_rate *r)
{
	return r->n == 0 ? 0 : refill_ms(r) * r->n;
}

static int64_t
later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* When one more may be taken; 0: now. */
static int64_t
bucket_when(const struct conf_rate *r, const struct bucket *b, int64_t now_ms)
{
	int64_t t = refill_ms(r), depth = budget_depth_ms(r);
	int64_t when = b->full_ms, margin;

	/* all of it: one of the orders has to end first */
	if (b->held >= r->n)
		when = later(when, now_ms);
	when += (b->held + INT64_C(1)) * t - depth;

	/* out of what was in it when it was full */
	if (when <= b->since_ms && when <= now_ms)
		return 0;
	/* Out of a refill: the CA counted a little later than we did, and the
	 * next one perhaps sooner. */
	margin = t / 4;
	margin = margin < 1000 ? 1000 : margin > 120000 ? 120000 : margin;
	return when + margin <= now_ms ? 0 : when + margin;
}

static void
bucket_take(const struct conf_rate *r, struct bucket *b, int64_t now_ms)
{
	if (b->full_ms <= now_ms)
		b->since_ms = now_ms;
	if (b->full_ms < now_ms + refill_ms(r))
		b->shallow_ms = now_ms;
	b->full_ms = later(b->full_ms, now_ms) + refill_ms(r);
}

/* What it is when n more have been taken. */
static struct bucket
bucket_after(const struct conf_rate *r, const struct bucket *b, uint32_t n,
    int64_t now_ms)
{
	struct bucket after = *b;

	if (after.full_ms <= now_ms)
		after.full_ms = after.since_ms = now_ms;
	after.full_ms += n * refill_ms(r);
	return after;
}

/* One that was taken then, by who has not used it.  Had it stayed in a bucket
 * that was as good as full meanwhile, it would have run over. */
static void
bucket_give(const struct conf_rate *r, struct bucket *b, int64_t taken_ms)
{
	if (taken_ms >= b->shallow_ms)
		b->full_ms -= refill_ms(r);
}

static uint32_t
bucket_left(const struct conf_rate *r, const struct bucket *b, int64_t now_ms)
{
	int64_t used =
	    later(b->full_ms, now_ms) - now_ms + b->held * refill_ms(r);

	return used >= budget_depth_ms(r)
		   ? 0
		   : (uint32_t)((budget_depth_ms(r) - used) / refill_ms(r));
}

/* Those of a kind, by key */

static struct shelf *
shelf_of(const struct budget *b, enum conf_limit limit, const char *key)
{
	uint64_t h = str_hash(key, strlen(key)) + (uint64_t)limit * 31;
	const struct shelf *s = &b->shelves[h % SHELVES];

	return (struct shelf *)(uintptr_t)s;
}

static struct entry *
entry_find(const struct budget *b, enum conf_limit limit, const char *key)
{
	struct entry *en;

	LIST_FOREACH (en, shelf_of(b, limit, key), link)
		if (en->limit == limit && strcmp(en->key, key) == 0)
			return en;
	return NULL;
}

bool
budget_is_full(const struct entry *en, int64_t now_ms)
{
	return en->bucket.full_ms <= now_ms && en->bucket.held == 0 &&
	       en->at_ms[0] + HOUR_MS <= now_ms;
}

void
budget_entry_drop(struct budget *b, struct entry *en)
{
	LIST_REMOVE(en, link);
	free(en);
	b->n--;
}

static void
drop_full(struct budget *b, int64_t now_ms)
{
	struct entry *en, *next;
	size_t i;

	for (i = 0; i < SHELVES; i++)
		for (en = LIST_FIRST(&b->shelves[i]); en != NULL; en = next) {
			next = LIST_NEXT(en, link);
			if (budget_is_full(en, now_ms))
				budget_entry_drop(b, en);
		}
}

struct entry *
budget_entry(
    struct budget *b, enum conf_limit limit, const char *key, int64_t now_ms)
{
	struct entry *en = entry_find(b, limit, key);
	size_t len = strlen(key);

	if (en != NULL)
		return en;
	if (b->n >= ENTRIES_MAX)
		drop_full(b, now_ms);
	if (b->n >= ENTRIES_MAX)
		return NULL;
	en = calloc(1, sizeof(*en) + len + 1);
	if (en == NULL)
		return NULL;
	en->limit = limit;
	memcpy(en->key, key, len + 1);
	LIST_INSERT_HEAD(shelf_of(b, limit, key), en, link);
	b->n++;
	return en;
}

struct budget *
budget_new(const struct conf_ca *ca, const struct psl *psl, struct err *e)
{
	struct budget *b = calloc(1, sizeof(*b));

	if (b == NULL) {
		(void)err_nomem(e, "budget");
		return NULL;
	}
	b->ca = ca;
	b->psl = psl;
	return b;
}

void
budget_free(struct budget *b)
{
	size_t i;

	if (b == NULL)
		return;
	for (i = 0; i < SHELVES; i++)
		while (!LIST_EMPTY(&b->shelves[i]))
			budget_entry_drop(b, LIST_FIRST(&b->shelves[i]));
	free(b);
}

struct budget *
budget_clone(const struct budget *from, const struct conf_ca *ca, int64_t now,
    struct err *e)
{
	AUTO(budget_free) struct budget *b = budget_new(ca, from->psl, e);
	const struct entry *en;
	struct entry *copy;
	size_t i;

	if (b == NULL)
		return NULL;
	b->orders = from->orders;
	for (i = 0; i < SHELVES; i++)
		LIST_FOREACH (en, &from->shelves[i], link) {
			copy = budget_entry(b, en->limit, en->key, 0);
			if (copy == NULL) {
				(void)err_nomem(e, "budget");
				return NULL;
			}
			copy->bucket = en->bucket;
			while (copy->bucket.held > 0) {
				copy->bucket.held--;
				bucket_take(&ca->limits[en->limit],
				    &copy->bucket, now * 1000);
			}
			memcpy(copy->at_ms, en->at_ms, sizeof(copy->at_ms));
		}
	return take_ptr(b);
}

/* What an order counts for */

static void
names_key(const struct budget_order *o, char key[BUDGET_KEY_MAX])
{
	uint64_t h = 0;
	uint32_t i;

	if (o->n_idents == 1) {
		(void)snprintf(key, BUDGET_KEY_MAX, "%s", o->idents[0]);
		return;
	}
	for (i = 0; i < o->n_idents; i++)
		h = h * 31 + str_hash(o->idents[i], strlen(o->idents[i]));
	(void)snprintf(key, BUDGET_KEY_MAX, "%s+%" PRIu32 " %08" PRIx32,
	    o->idents[0], o->n_idents - 1, (uint32_t)(h ^ (h >> 32)));
}

/* Call fn with each registered domain of the order, once. */
static void
each_domain(const struct budget *b, const struct budget_order *o,
    void (*fn)(void *arg, const char *domain), void *arg)
{
	char seen[NAMES_MAX][STR_IDENT_MAX];
	uint32_t i, j, n = 0;

	for (i = 0; i < o->n_idents && n < NAMES_MAX; i++) {
		if (psl_domain(b->psl, o->idents[i], seen[n]) == NULL)
			continue;
		for (j = 0; j < n; j++)
			if (strcmp(seen[j], seen[n]) == 0)
				break;
		if (j == n)
			fn(arg, seen[n++]);
	}
}

static bool
limits(const struct budget *b, enum conf_limit l)
{
	return b->ca->limits[l].n != 0;
}

/* Which limits it does not escape (Let's Encrypt: protocol M.1, J15). */
static bool
counts(const struct budget *b, const struct budget_order *o, enum conf_limit l)
{
	if (!limits(b, l))
		return false;
	if (!b->ca->renewals_exempt)
		return true;
	return !o->in_window && (l == LIMIT_PER_NAMES || !o->again);
}

struct look {
	const struct budget *budget;
	enum conf_limit limit;
	int64_t now_ms, when_ms;
	struct budget_wait *why;
};

static void
look_at(void *arg, const char *key)
{
	struct look *l = arg;
	const struct budget *b = l->budget;
	const struct entry *en = entry_find(b, l->limit, key);
	int64_t when;

	if (en == NULL)
		return;
	when = bucket_when(&b->ca->limits[l->limit], &en->bucket, l->now_ms);
	if (when <= l->when_ms)
		return;
	l->when_ms = when;
	if (l->why == NULL)
		return;
	l->why->limit = l->limit;
	(void)snprintf(l->why->of, sizeof(l->why->of), "%s", key);
}

/* Which of the limits; bits by enum conf_limit. */
#define OF_ACCOUNT (1u << LIMIT_NEW_ORDERS)
#define OF_OTHERS  (1u << LIMIT_PER_DOMAIN | 1u << LIMIT_PER_NAMES)

static int64_t
when_ms(const struct budget *b, const struct budget_order *o, unsigned which,
    int64_t now_ms, struct budget_wait *why)
{
	struct look l = { .budget = b, .now_ms = now_ms, .why = why };
	char key[BUDGET_KEY_MAX];

	if ((which & OF_ACCOUNT) != 0 && counts(b, o, LIMIT_NEW_ORDERS)) {
		l.when_ms = bucket_when(
		    &b->ca->limits[LIMIT_NEW_ORDERS], &b->orders, now_ms);
		if (l.when_ms != 0 && why != NULL)
			*why = (struct budget_wait){ LIMIT_NEW_ORDERS, "" };
	}
	if ((which & OF_OTHERS) == 0)
		return l.when_ms;
	l.limit = LIMIT_PER_DOMAIN;
	if (counts(b, o, l.limit))
		each_domain(b, o, look_at, &l);
	l.limit = LIMIT_PER_NAMES;
	if (counts(b, o, l.limit)) {
		names_key(o, key);
		look_at(&l, key);
	}
	return l.when_ms;
}

int64_t
budget_when(const struct budget *b, const struct budget_order *o, int64_t now,
    struct budget_wait *why)
{
	int64_t ms = when_ms(b, o, OF_ACCOUNT | OF_OTHERS, now * 1000, why);

	return (ms + 999) / 1000;
}

int64_t
budget_turn(const struct budget *b, const struct budget_order *o, uint32_t n,
    int64_t now)
{
	const struct conf_rate *r = &b->ca->limits[LIMIT_NEW_ORDERS];
	struct bucket after;

	if (!counts(b, o, LIMIT_NEW_ORDERS))
		return 0;
	after = bucket_after(r, &b->orders, n, now * 1000);
	return (bucket_when(r, &after, now * 1000) + 999) / 1000;
}

uint32_t
budget_turns(const struct budget *b, const struct budget_order *o,
    int64_t until, int64_t now)
{
	const struct conf_rate *r = &b->ca->limits[LIMIT_NEW_ORDERS];
	int64_t used, n;

	if (!counts(b, o, LIMIT_NEW_ORDERS))
		return UINT32_MAX;
	used = later(b->orders.full_ms, now * 1000) - until * 1000;
	n = (budget_depth_ms(r) - used) / refill_ms(r);
	return n < 0 ? 0 : n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

uint32_t
budget_left(const struct budget *b, const char *ident, int64_t now)
{
	const struct conf_rate *r = &b->ca->limits[LIMIT_PER_DOMAIN];
	char domain[STR_IDENT_MAX];
	const struct entry *en;

	if (r->n == 0 || psl_domain(b->psl, ident, domain) == NULL)
		return UINT32_MAX;
	en = entry_find(b, LIMIT_PER_DOMAIN, domain);
	return en == NULL ? r->n : bucket_left(r, &en->bucket, now * 1000);
}

/* What becomes of what an order counts for: the account's is taken when it is
 * made, the others' are held until a certificate is, for then they count. */
enum taking { HOLD, TAKE, COUNT, GIVE };

struct move {
	struct budget *budget;
	enum taking how;
	enum conf_limit limit;
	int64_t now_ms;
	int64_t taken_ms; /* GIVE: then */
};

static void
move_one(void *arg, const char *key)
{
	struct move *m = arg;
	const struct conf_rate *r = &m->budget->ca->limits[m->limit];
	struct entry *en =
	    m->how == GIVE ? entry_find(m->budget, m->limit, key)
			   : budget_entry(m->budget, m->limit, key, m->now_ms);

	if (en == NULL)
		return;
	if (m->how == HOLD)
		en->bucket.held++;
	else if (m->how != TAKE && en->bucket.held > 0)
		en->bucket.held--;
	if (m->how == TAKE || m->how == COUNT)
		bucket_take(r, &en->bucket, m->now_ms);
	if (budget_is_full(en, m->now_ms))
		budget_entry_drop(m->budget, en);
}

static void
move(struct move m, const struct budget_order *o, unsigned what)
{
	struct budget *b = m.budget;
	const struct conf_rate *r = &b->ca->limits[LIMIT_NEW_ORDERS];
	char key[BUDGET_KEY_MAX];

	if ((what & BUDGET_SPENT_ORDER) != 0 && r->n != 0) {
		if (m.how == GIVE)
			bucket_give(r, &b->orders, m.taken_ms);
		else if (m.how != COUNT)
			bucket_take(r, &b->orders, m.now_ms);
	}
	m.limit = LIMIT_PER_DOMAIN;
	if ((what & BUDGET_SPENT_DOMAIN) != 0 && limits(b, m.limit))
		each_domain(b, o, move_one, &m);
	m.limit = LIMIT_PER_NAMES;
	if ((what & BUDGET_SPENT_NAMES) != 0 && limits(b, m.limit)) {
		names_key(o, key);
		move_one(&m, key);
	}
}

static unsigned
counted(const struct budget *b, const struct budget_order *o)
{
	return (counts(b, o, LIMIT_NEW_ORDERS) ? BUDGET_SPENT_ORDER : 0) |
	       (counts(b, o, LIMIT_PER_DOMAIN) ? BUDGET_SPENT_DOMAIN : 0) |
	       (counts(b, o, LIMIT_PER_NAMES) ? BUDGET_SPENT_NAMES : 0);
}

unsigned
budget_spend(struct budget *b, const struct budget_order *o, int64_t now)
{
	unsigned what = counted(b, o);

	move((struct move){ .budget = b, .how = HOLD, .now_ms = now * 1000 }, o,
	    what);
	return what;
}

/* No later than each limit's own wait: one round may end in another. */
static int64_t
first_free(const struct budget *b, const struct budget_order *o, unsigned which,
    int64_t t, struct budget_wait *why)
{
	int64_t ms;

	while ((ms = when_ms(b, o, which, t * 1000, why)) > t * 1000)
		t = (ms + 999) / 1000;
	return t;
}

int64_t
budget_peek(const struct budget *b, const struct budget_order *o, int64_t t,
    struct budget_wait *why)
{
	return first_free(b, o, OF_ACCOUNT | OF_OTHERS, t, why);
}

int64_t
budget_book(struct budget *b, const struct budget_order *o, bool account,
    int64_t t, struct budget_wait *why)
{
	unsigned what = counted(b, o);

	t = first_free(b, o, account ? OF_ACCOUNT : OF_OTHERS, t, why);
	what &= account ? BUDGET_SPENT_ORDER : ~BUDGET_SPENT_ORDER;
	move((struct move){ .budget = b, .how = TAKE, .now_ms = t * 1000 }, o,
	    what);
	return t;
}

void
budget_take(struct budget *b, const struct budget_order *o, int64_t t)
{
	move((struct move){ .budget = b, .how = TAKE, .now_ms = t * 1000 }, o,
	    counted(b, o));
}

void
budget_refund(struct budget *b, const struct budget_order *o, unsigned what,
    int64_t spent_at, int64_t now)
{
	move((struct move){ .budget = b,
		 .how = GIVE,
		 .now_ms = now * 1000,
		 .taken_ms = spent_at > now ? 0 : spent_at * 1000 },
	    o, what);
}

void
budget_issued(
    struct budget *b, const struct budget_order *o, unsigned what, int64_t now)
{
	move((struct move){ .budget = b, .how = COUNT, .now_ms = now * 1000 },
	    o, what);
}

void
budget_hold(
    struct budget *b, const struct budget_order *o, unsigned what, int64_t now)
{
	move((struct move){ .budget = b, .how = HOLD, .now_ms = now * 1000 }, o,
	    what & ~BUDGET_SPENT_ORDER);
}

/* Failed validations */

void
budget_failed(struct budget *b, const char *ident, int64_t now)
{
	const struct conf_rate *r = &b->ca->limits[LIMIT_FAILURES];
	struct entry *en = budget_entry(b, LIMIT_FAILURES, ident, now * 1000);

	if (en == NULL)
		return; /* the certificate's own back-off still holds */
	memmove(
	    en->at_ms + 1, en->at_ms, sizeof(en->at_ms) - sizeof(en->at_ms[0]));
	en->at_ms[0] = now * 1000;
	if (r->n != 0)
		bucket_take(r, &en->bucket, now * 1000);
}

static int64_t
failed_when_ms(
    const struct budget *b, const struct entry *en, bool forced, int64_t now_ms)
{
	const struct conf_rate *r = &b->ca->limits[LIMIT_FAILURES];
	int64_t oldest = en->at_ms[BUDGET_FAILED_HOUR - 1];
	int64_t guard = oldest == 0 ? 0 : oldest + HOUR_MS;
	int64_t when = r->n == 0 ? 0 : bucket_when(r, &en->bucket, now_ms);

	guard = forced || guard <= now_ms ? 0 : guard;
	return later(guard, when);
}

int64_t
budget_failed_when(const struct budget *b, const char *const *idents,
    uint32_t n, bool forced, int64_t now)
{
	const struct entry *en;
	int64_t when = 0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		en = entry_find(b, LIMIT_FAILURES, idents[i]);
		if (en != NULL)
			when = later(
			    when, failed_when_ms(b, en, forced, now * 1000));
	}
	return (when + 999) / 1000;
}

static int64_t
sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void
mend(struct bucket *b, const struct conf_rate *r, int64_t now_ms)
{
	b->full_ms = sooner(b->full_ms, now_ms + budget_depth_ms(r));
	b->since_ms = b->since_ms > now_ms ? 0 : b->since_ms;
	b->shallow_ms = sooner(b->shallow_ms, now_ms);
}

void
budget_mend(struct budget *b, int64_t now)
{
	const struct conf_rate *limit = b->ca->limits;
	int64_t now_ms = now * 1000;
	struct entry *en;
	size_t i, k;

	mend(&b->orders, &limit[LIMIT_NEW_ORDERS], now_ms);
	for (i = 0; i < SHELVES; i++)
		LIST_FOREACH (en, &b->shelves[i], link) {
			mend(&en->bucket, &limit[en->limit], now_ms);
			for (k = 0; k < BUDGET_FAILED_HOUR; k++)
				en->at_ms[k] = sooner(en->at_ms[k], now_ms);
		}
}

static void
shift(int64_t *instant, int64_t ms)
{
	if (*instant != 0)
		*instant += ms;
}

void
budget_shift(struct budget *b, int64_t ms)
{
	struct entry *en;
	size_t i, k;

	shift(&b->orders.full_ms, ms);
	shift(&b->orders.since_ms, ms);
	shift(&b->orders.shallow_ms, ms);
	for (i = 0; i < SHELVES; i++)
		LIST_FOREACH (en, &b->shelves[i], link) {
			shift(&en->bucket.full_ms, ms);
			shift(&en->bucket.since_ms, ms);
			shift(&en->bucket.shallow_ms, ms);
			for (k = 0; k < BUDGET_FAILED_HOUR; k++)
				shift(&en->at_ms[k], ms);
		}
}

/* For people */

static void
line_of(const struct budget *b, const struct entry *en, int64_t now_ms,
    struct budget_line *out)
{
	const struct conf_rate *r = &b->ca->limits[en->limit];
	int64_t when, full = en->bucket.full_ms;
	uint32_t i, left = BUDGET_FAILED_HOUR;

	*out = (struct budget_line){ .limit = en->limit, .of = en->key };
	if (en->limit == LIMIT_FAILURES) {
		for (i = 0; i < BUDGET_FAILED_HOUR; i++)
			left -= en->at_ms[i] + HOUR_MS > now_ms;
		out->capacity = BUDGET_FAILED_HOUR;
		out->per_s = 3600;
		when = failed_when_ms(b, en, false, now_ms);
		full = later(full, en->at_ms[0] + HOUR_MS);
		out->left = when != 0 ? 0 : left;
	} else {
		out->capacity = r->n;
		out->per_s = r->per_s;
		when = bucket_when(r, &en->bucket, now_ms);
		out->left = bucket_left(r, &en->bucket, now_ms);
	}
	out->next_at = (when + 999) / 1000;
	out->full_at = full > now_ms ? (full + 999) / 1000 : 0;
}

void
budget_each(const struct budget *b, int64_t now,
    void (*fn)(void *arg, const struct budget_line *), void *arg)
{
	const struct conf_rate *r = &b->ca->limits[LIMIT_NEW_ORDERS];
	int64_t now_ms = now * 1000;
	struct budget_line line;
	const struct entry *en;
	size_t i;

	if (r->n != 0) {
		int64_t when = bucket_when(r, &b->orders, now_ms);

		line = (struct budget_line){ .limit = LIMIT_NEW_ORDERS,
			.of = "",
			.capacity = r->n,
			.per_s = r->per_s,
			.left = bucket_left(r, &b->orders, now_ms),
			.next_at = (when + 999) / 1000,
			.full_at = b->orders.full_ms > now_ms
				       ? (b->orders.full_ms + 999) / 1000
				       : 0 };
		fn(arg, &line);
	}
	for (i = 0; i < SHELVES; i++)
		LIST_FOREACH (en, &b->shelves[i], link) {
			if (budget_is_full(en, now_ms))
				continue;
			line_of(b, en, now_ms, &line);
			fn(arg, &line);
		}
}
