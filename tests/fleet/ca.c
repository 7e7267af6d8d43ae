/* SPDX-License-Identifier: ISC */
/*
 * CAs that count as Let's Encrypt says it counts (protocol M.1): buckets of
 * tokens that refill evenly.  Nothing here is the engine's.
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/acme/problem.h"
#include "tests/fleet/fleet.h"

#define DOMAIN_MAX 256

struct limit { /* 0: none */
	double capacity, period_s;
};

struct bucket {
	uint64_t key; /* 0: free */
	double used;
	int64_t at;
};

struct table { /* open addressing; full buckets are thrown out as it grows */
	struct bucket *all;
	size_t cap, n;
};

enum what { PER_DOMAIN, PER_NAMES, FAILURES, PAUSE, WHAT__COUNT };

struct made_up_ca {
	enum ca_kind kind;
	struct limit orders, limits[WHAT__COUNT];
	struct bucket account;
	struct table tables[WHAT__COUNT];
	bool *issued_before; /* by certificate */
	struct outage outages[OUTAGES_MAX];
	unsigned n_outages, at_outage;
	struct ca_stats stats;
};

static struct made_up_ca *cas;
static uint32_t n_cas;

static const struct limit lets_encrypt[WHAT__COUNT] = {
	[PER_DOMAIN] = { 50, 7 * 86400 },
	[PER_NAMES] = { 5, 7 * 86400 },
	[FAILURES] = { 5, 3600 },
	[PAUSE] = { 1152, 1152 * 86400.0 },
};
static const struct limit staging[WHAT__COUNT] = {
	[PER_DOMAIN] = { 30000, 7 * 86400 },
	[PER_NAMES] = { 30000, 7 * 86400 },
	[FAILURES] = { 200, 3600 },
	[PAUSE] = { 3600, 3600 * 6 * 3600.0 },
};
static const struct limit other[WHAT__COUNT] = {
	[FAILURES] = { 5, 3600 },
};

/* Buckets */

static void
refill(struct bucket *b, const struct limit *l, int64_t now)
{
	b->used -= (double)(now - b->at) * l->capacity / l->period_s;
	if (b->used < 0)
		b->used = 0;
	b->at = now;
}

/* Seconds until there is one token; 0: there is. */
static int64_t
missing(struct bucket *b, const struct limit *l, int64_t now)
{
	if (l->capacity == 0)
		return 0;
	refill(b, l, now);
	if (b->used + 1 <= l->capacity + 1e-6)
		return 0;
	return (int64_t)ceil(
	    (b->used + 1 - l->capacity) * l->period_s / l->capacity);
}

static uint64_t
mix(uint64_t h, const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001b3;
	return (h ^ 0xff) * 0x100000001b3;
}

static void table_grow(struct table *, const struct limit *, int64_t now);

static struct bucket *
table_get(struct table *t, const struct limit *l, uint64_t key, int64_t now)
{
	size_t i;

	if (2 * (t->n + 1) > t->cap)
		table_grow(t, l, now);
	key |= 1; /* never 0 */
	for (i = (key >> 7) & (t->cap - 1); t->all[i].key != 0;
	     i = (i + 1) & (t->cap - 1))
		if (t->all[i].key == key)
			return &t->all[i];
	t->n++;
	t->all[i].key = key;
	t->all[i].at = now;
	return &t->all[i];
}

static void
table_grow(struct table *t, const struct limit *l, int64_t now)
{
	struct table old = *t;
	size_t i;

	t->cap = old.cap == 0 ? 4096 : old.cap;
	for (i = 0; i < old.cap; i++)
		if (old.all[i].key != 0)
			refill(&old.all[i], l, now);
	for (i = t->n = 0; i < old.cap; i++)
		t->n += old.all[i].used > 0;
	if (4 * t->n >= t->cap)
		t->cap *= 2;
	t->n = 0;
	t->all = calloc(t->cap, sizeof(*t->all));
	if (t->all == NULL)
		abort();
	for (i = 0; i < old.cap; i++)
		if (old.all[i].used > 0)
			*table_get(t, l, old.all[i].key, now) = old.all[i];
	free(old.all);
}

/* What an order counts under */

/* All names here end in a suffix of one label. */
static const char *
domain_of(const char *name)
{
	const char *last = strrchr(name, '.'), *p = last;

	while (p != NULL && p > name && p[-1] != '.')
		p--;
	return p == NULL ? name : p;
}

static struct bucket *
bucket_of(struct made_up_ca *ca, enum what what, const char *text, int64_t now)
{
	return table_get(&ca->tables[what], &ca->limits[what],
	    mix(0xcbf29ce484222325, text, strlen(text)), now);
}

static struct bucket *
names_bucket(struct made_up_ca *ca, const struct conf_cert *cc, int64_t now)
{
	uint64_t h = 0x9e3779b97f4a7c15;
	uint32_t i;

	for (i = 0; i < cc->n_idents; i++)
		h = mix(h, cc->idents[i], strlen(cc->idents[i]));
	return table_get(
	    &ca->tables[PER_NAMES], &ca->limits[PER_NAMES], h, now);
}

/* Each domain once: a certificate's names are sorted, and of one domain here.
 */
static struct bucket *
domain_bucket(struct made_up_ca *ca, const struct conf_cert *cc, int64_t now)
{
	return bucket_of(ca, PER_DOMAIN, domain_of(cc->idents[0]), now);
}

/* Orders */

static bool
refuse(struct made_up_ca *ca, unsigned kind, int64_t wait, struct refusal *r)
{
	static const char *const what[REFUSED__COUNT] = {
		[REFUSED_ORDERS] = "too many new orders of this account",
		[REFUSED_DOMAIN] = "too many certificates of this domain",
		[REFUSED_NAMES] = "too many certificates of these names",
		[REFUSED_FAILURES] = "too many failed authorizations",
		[REFUSED_PAUSED] = "paused: visit https://le.test/unpause",
		[REFUSED_REPLACES] = "has been replaced already",
	};

	ca->stats.refused[kind]++;
	*r = (struct refusal){ .status = 429,
		.retry_after = kind == REFUSED_PAUSED ? -1 : wait,
		.problem = PROBLEM_RATE_LIMITED,
		.what = what[kind] };
	if (kind != REFUSED_REPLACES)
		return false;
	r->status = 409;
	r->retry_after = -1;
	r->problem = PROBLEM_ALREADY_REPLACED;
	return false;
}

static bool
names_fail(struct made_up_ca *ca, const struct conf_cert *cc, int64_t now,
    struct refusal *r)
{
	int64_t wait;
	uint32_t i;

	for (i = 0; i < cc->n_idents; i++) {
		wait = missing(bucket_of(ca, FAILURES, cc->idents[i], now),
		    &ca->limits[FAILURES], now);
		if (wait != 0)
			return !refuse(ca, REFUSED_FAILURES, wait, r);
		if (ca->limits[PAUSE].capacity == 0)
			continue;
		if (missing(bucket_of(ca, PAUSE, cc->idents[i], now),
			&ca->limits[PAUSE], now) != 0)
			return !refuse(ca, REFUSED_PAUSED, 0, r);
	}
	return false;
}

static void
note_hour(struct made_up_ca *ca, const struct record *rec)
{
	int64_t hour = (world_now() - world_start()) / HOUR;

	ca->stats.orders++;
	ca->stats.hours[hour]++;
	if (rec->to - world_now() < rec->life / 4)
		ca->stats.hasty[hour]++;
}

bool
ca_order(uint32_t index, const struct cert *c, const char *replaces,
    struct refusal *r)
{
	struct made_up_ca *ca = &cas[index];
	struct record *rec = &records[c->index];
	const struct conf_cert *cc = c->conf;
	int64_t now = world_now(), start, end, wait;
	bool again = ca->kind != CA_OTHER && ca->issued_before[c->index];
	bool in_window = false;

	note_hour(ca, rec);
	if (replaces != NULL) {
		if (strtoul(strchr(replaces, '.') + 1, NULL, 10) <=
		    rec->replaced)
			return refuse(ca, REFUSED_REPLACES, 0, r);
		ledger_window(rec, &start, &end);
		in_window = start <= now && now <= end;
	}
	if (names_fail(ca, cc, now, r))
		return false;
	if (!in_window && !again) {
		wait = missing(&ca->account, &ca->orders, now);
		if (wait != 0)
			return refuse(ca, REFUSED_ORDERS, wait, r);
		wait = missing(
		    domain_bucket(ca, cc, now), &ca->limits[PER_DOMAIN], now);
		if (wait != 0)
			return refuse(ca, REFUSED_DOMAIN, wait, r);
		ca->account.used += 1;
		ca->stats.counted++;
	}
	wait = in_window ? 0
			 : missing(names_bucket(ca, cc, now),
			       &ca->limits[PER_NAMES], now);
	if (wait != 0)
		return refuse(ca, REFUSED_NAMES, wait, r);
	ca->stats.exempt += in_window;
	ca->stats.again += again && !in_window;
	rec->order_exempt = in_window;
	rec->order_counts = !in_window && !again;
	rec->order_until = now + (rec->klass == K_90 ? 7 * DAY : 8 * HOUR);
	rec->valid_at = 0;
	return true;
}

bool
ca_order_lives(const struct cert *c)
{
	return world_now() < records[c->index].order_until;
}

int64_t
ca_validation(const struct cert *c, bool *valid)
{
	struct record *rec = &records[c->index];
	int64_t now = world_now();

	if (rec->valid_at == 0)
		rec->valid_at =
		    now + (rec->slow ? HOUR + (int64_t)chance(5 * 3600)
				     : 3 + (int64_t)chance(30));
	*valid = !ledger_bad(rec, now);
	return rec->valid_at > now ? rec->valid_at - now : 0;
}

void
ca_failed(uint32_t index, const struct cert *c)
{
	struct made_up_ca *ca = &cas[index];
	const char *name = c->conf->idents[0];
	int64_t now = world_now();

	ca->stats.failed++;
	(void)missing(
	    bucket_of(ca, FAILURES, name, now), &ca->limits[FAILURES], now);
	bucket_of(ca, FAILURES, name, now)->used += 1;
	if (ca->limits[PAUSE].capacity == 0)
		return;
	(void)missing(bucket_of(ca, PAUSE, name, now), &ca->limits[PAUSE], now);
	bucket_of(ca, PAUSE, name, now)->used += 1;
}

/* It counts when it is issued; then it must not have become one too many. */
static void
count_issued(struct made_up_ca *ca, const struct cert *c)
{
	const struct record *rec = &records[c->index];
	int64_t now = world_now();
	struct bucket *b;

	if (rec->order_counts && ca->limits[PER_DOMAIN].capacity != 0) {
		b = domain_bucket(ca, c->conf, now);
		if (missing(b, &ca->limits[PER_DOMAIN], now) != 0)
			ca->stats.refused[REFUSED_DOMAIN]++;
		b->used += 1;
	}
	if (!rec->order_exempt && ca->limits[PER_NAMES].capacity != 0) {
		b = names_bucket(ca, c->conf, now);
		if (missing(b, &ca->limits[PER_NAMES], now) != 0)
			ca->stats.refused[REFUSED_NAMES]++;
		b->used += 1;
	}
}

/* Days that its certificates are valid, by the calendar of protocol K. */
static int64_t
life_of(const struct made_up_ca *ca, const struct conf_cert *cc)
{
	int64_t now = world_now();

	if (ca->kind == CA_OTHER)
		return (now < 1868227200 ? 90 : 47) * DAY; /* 2029-03-15 */
	if (cc->profile != NULL && strcmp(cc->profile, "shortlived") == 0)
		return 160 * HOUR;
	if (cc->profile != NULL && strcmp(cc->profile, "tlsserver") == 0)
		return 45 * DAY;
	if (now < 1802217600) /* 2027-02-10 */
		return 90 * DAY;
	return (now < 1834272000 ? 64 : 45) * DAY; /* 2028-02-16 */
}

void
ca_issue(uint32_t index, struct cert *c)
{
	struct made_up_ca *ca = &cas[index];
	int64_t now = world_now();

	count_issued(ca, c);
	ca->issued_before[c->index] = true;
	ca->stats.issued++;
	if (ca->kind != CA_STAGING)
		ledger_issued(c->index, index, now - HOUR,
		    now - HOUR + life_of(ca, c->conf) - 1);
	if (ca->limits[PAUSE].capacity != 0)
		bucket_of(ca, PAUSE, c->conf->idents[0], now)->used = 0;
}

/* Outages */

void
ca_add_outage(uint32_t index, int64_t from, int64_t to, int64_t retry_after)
{
	struct made_up_ca *ca = &cas[index];
	unsigned i = ca->n_outages;

	if (i == OUTAGES_MAX)
		return;
	for (; i > 0 && ca->outages[i - 1].from > from; i--)
		ca->outages[i] = ca->outages[i - 1];
	ca->outages[i] = (struct outage){ from, to, retry_after };
	ca->n_outages++;
}

const struct outage *
ca_outage(uint32_t index, int64_t t)
{
	struct made_up_ca *ca = &cas[index];

	while (
	    ca->at_outage < ca->n_outages && ca->outages[ca->at_outage].to <= t)
		ca->at_outage++;
	return ca->at_outage < ca->n_outages &&
		       ca->outages[ca->at_outage].from <= t
		   ? &ca->outages[ca->at_outage]
		   : NULL;
}

int64_t
ca_missing(uint32_t index, int64_t from, int64_t to)
{
	const struct made_up_ca *ca = &cas[index];
	int64_t sum = 0, a, b;
	unsigned i;

	for (i = 0; i < ca->n_outages; i++) {
		a = ca->outages[i].from > from ? ca->outages[i].from : from;
		b = ca->outages[i].to < to ? ca->outages[i].to : to;
		sum += b > a ? b - a : 0;
	}
	return sum;
}

/* Life */

enum ca_kind
ca_kind(uint32_t ca)
{
	return cas[ca].kind;
}

uint32_t
ca_host(void)
{
	return n_cas;
}

struct ca_stats *
ca_stats(uint32_t ca)
{
	return &cas[ca].stats;
}

static void
set_limits(struct made_up_ca *ca)
{
	const struct limit *all = ca->kind == CA_LETSENCRYPT ? lets_encrypt
				  : ca->kind == CA_STAGING   ? staging
							     : other;
	unsigned i;

	memcpy(ca->limits, all, sizeof(ca->limits));
	ca->orders = ca->kind == CA_LETSENCRYPT ? (struct limit){ 300, 10800 }
		     : ca->kind == CA_STAGING   ? (struct limit){ 1500, 10800 }
						: (struct limit){ 100, 3600 };
	if (opts.broken != BROKEN_LIMITS)
		return;
	ca->orders.capacity /= 2;
	for (i = 0; i < PAUSE; i++)
		ca->limits[i].capacity = ca->limits[i].capacity == 0 ? 0 : 1;
}

int
ca_open(struct err *e)
{
	const struct conf *conf = the_engine->conf;
	size_t hours = (size_t)(opts.span_s / HOUR) + 48;
	uint32_t i;

	n_cas = conf->n_cas;
	cas = calloc(n_cas + 1, sizeof(*cas));
	for (i = 0; cas != NULL && i <= n_cas; i++) {
		struct made_up_ca *ca = &cas[i];

		if (i < n_cas && strcmp(conf->cas[i].name, "other") == 0)
			ca->kind = CA_OTHER;
		else if (i < n_cas && strstr(conf->cas[i].name, "staging"))
			ca->kind = CA_STAGING;
		set_limits(ca);
		ca->issued_before = calloc(conf->n_certs + 1, sizeof(bool));
		ca->stats.hours = calloc(hours, sizeof(uint32_t));
		ca->stats.hasty = calloc(hours, sizeof(uint32_t));
		if (ca->issued_before == NULL || ca->stats.hours == NULL ||
		    ca->stats.hasty == NULL)
			return err_nomem(e, "CAs");
	}
	return cas == NULL ? err_nomem(e, "CAs") : 0;
}

void
ca_close(void)
{
	uint32_t i;
	unsigned k;

	for (i = 0; cas != NULL && i <= n_cas; i++) {
		free(cas[i].issued_before);
		free(cas[i].stats.hours);
		free(cas[i].stats.hasty);
		for (k = 0; k < WHAT__COUNT; k++)
			free(cas[i].tables[k].all);
	}
	free(cas);
	cas = NULL;
}
