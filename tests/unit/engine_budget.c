/* SPDX-License-Identifier: ISC */
/* The CA's limits as buckets, against a CA that counts them. */
#include "budget_support.h"

/* A CA: a bucket that refills evenly, in units of 1/n of a millisecond's. */
struct ca {
	struct conf_rate rate;
	int64_t level, at_ms;
};

static void
ca_begin(struct ca *ca, struct conf_rate rate, int64_t now_ms)
{
	ca->rate = rate;
	ca->level = INT64_C(1000) * rate.per_s * rate.n;
	ca->at_ms = now_ms;
}

static bool
ca_takes(struct ca *ca, int64_t now_ms)
{
	int64_t one = INT64_C(1000) * ca->rate.per_s, most = one * ca->rate.n;

	ca->level += (now_ms - ca->at_ms) * ca->rate.n;
	ca->level = ca->level > most ? most : ca->level;
	ca->at_ms = now_ms;
	if (ca->level < one)
		return false;
	ca->level -= one;
	return true;
}

static const struct conf_rate rates[] = { { 300, 3 * HOUR }, { 50, 7 * DAY },
	{ 5, 7 * DAY }, { 1500, 3 * HOUR }, { 30000, 7 * DAY }, { 7, HOUR },
	{ 3, 10 }, { 1, HOUR }, { 1, 1 }, { 25001, 7 * DAY }, { 999983, DAY } };

/* Every order as early as it may be: none is refused, and next to none of what
 * the CA would give is left. */
static void
as_the_ca_counts(void **state)
{
	const struct budget_order o = ORDER("a.example");
	struct conf_ca conf = { .name = "x" };
	struct budget_wait why;
	struct ca ca;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rates); i++) {
		struct conf_rate r = rates[i];
		int64_t now = T0, until, sent = 0, possible;

		conf.limits[LIMIT_NEW_ORDERS] = r;
		other_ca(&conf);
		ca_begin(&ca, r, now * 1000);
		while (sent < r.n + 20) {
			until = budget_when(b, &o, now, &why);
			if (until != 0) {
				assert_int_equal(why.limit, LIMIT_NEW_ORDERS);
				assert_string_equal(why.of, "");
				assert_true(until > now);
				/* all of the burst goes at once */
				assert_true(sent >= r.n);
				now = until;
				continue;
			}
			assert_int_equal(spend(&o, now), BUDGET_SPENT_ORDER);
			if (!ca_takes(&ca, now * 1000 + 700))
				fail_msg("%u/%u: the CA refused number %lld",
				    r.n, r.per_s, (long long)sent);
			sent++;
		}
		possible = r.n + (now - T0) * r.n / r.per_s;
		/* seconds are our grain, and some are left to the CA's delay */
		if (r.per_s / r.n >= 30)
			assert_true(sent >= possible * 9 / 10 - 5);
	}
}

/* The same with pauses by chance. */
static void
as_the_ca_counts_with_pauses(void **state)
{
	const struct budget_order o = ORDER("a.example");
	struct conf_ca conf = { .name = "x" };
	struct ca ca;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rates); i++) {
		struct conf_rate r = rates[i];
		int64_t now = T0, until;
		unsigned k, every = r.per_s / r.n + 1;

		conf.limits[LIMIT_NEW_ORDERS] = r;
		other_ca(&conf);
		ca_begin(&ca, r, now * 1000);
		for (k = 0; k < 5000; k++) {
			if (rnd_below(100) == 0)
				now += (int64_t)rnd_below(r.per_s + 1);
			else if (rnd_below(3) == 0)
				now += (int64_t)rnd_below(every);
			until = budget_when(b, &o, now, NULL);
			now = until != 0 ? until : now;
			(void)spend(&o, now);
			assert_true(ca_takes(&ca, now * 1000 + 700));
		}
	}
}

/* More a second than there are milliseconds. */
static void
absurd_rate(void **state)
{
	const struct conf_ca conf = { .name = "x",
		.limits = { [LIMIT_NEW_ORDERS] = { 1000000, 1 },
		    [LIMIT_PER_DOMAIN] = { 1000000, 1 },
		    [LIMIT_PER_NAMES] = { 600, 1 },
		    [LIMIT_FAILURES] = { 1000000, 1 } } };
	const struct budget_order o = ORDER("a.example");

	(void)state;
	other_ca(&conf);
	assert_int_equal(budget_when(b, &o, T0, NULL), 0);
	spend_n(&o, 3, T0);
	budget_failed(b, "a.example", T0);
	assert_int_equal(line(LIMIT_NEW_ORDERS, "", T0).left, 999997);
	assert_int_equal(line(LIMIT_PER_NAMES, "a.example", T0).left, 597);
	assert_int_equal(line(LIMIT_FAILURES, "a.example", T0).left, 2);
}

static void
no_limits(void **state)
{
	const struct budget_order o = ORDER("a.example");

	(void)state;
	other_ca(&unlimited);
	assert_int_equal(spend(&o, T0), 0);
	spend_n(&o, 10000, T0);
	assert_int_equal(budget_when(b, &o, T0, NULL), 0);
	budget_refund(b, &o, ALL, T0, T0);
	assert_int_equal(lines(T0), 0);
}

/* Which names count for which domain. */
static void
registered_domains(void **state)
{
	const struct budget_order www = ORDER("www.shop.co.uk");
	const struct budget_order star = ORDER("*.mail.shop.co.uk");
	const struct budget_order other = ORDER("other.co.uk");
	const struct budget_order four = ORDER("192.0.2.1");
	const struct budget_order neighbour = ORDER("192.0.2.2");
	const struct budget_order six = ORDER("2001:db8:1:2:3::4");
	const struct budget_order six2 = ORDER("2001:db8:1:2::5");
	const struct budget_order six3 = ORDER("2001:db8:1:3::5");
	struct budget_wait why;

	(void)state;
	spend_n(&www, 4, T0);
	assert_int_equal(line(LIMIT_PER_DOMAIN, "shop.co.uk", T0).left, 46);
	(void)spend(&star, T0);
	assert_int_equal(line(LIMIT_PER_DOMAIN, "shop.co.uk", T0).left, 45);
	(void)spend(&other, T0);
	assert_int_equal(line(LIMIT_PER_DOMAIN, "other.co.uk", T0).left, 49);
	assert_int_equal(line(LIMIT_PER_DOMAIN, "shop.co.uk", T0).left, 45);
	(void)spend(&four, T0);
	assert_int_equal(line(LIMIT_PER_DOMAIN, "192.0.2.1", T0).left, 49);
	assert_int_equal(budget_when(b, &neighbour, T0, NULL), 0);
	(void)spend(&six, T0);
	(void)spend(&six2, T0);
	(void)spend(&six3, T0);
	assert_int_equal(
	    line(LIMIT_PER_DOMAIN, "2001:db8:1:2::/64", T0).left, 48);
	assert_int_equal(
	    line(LIMIT_PER_DOMAIN, "2001:db8:1:3::/64", T0).left, 49);
	/* empty: that domain waits, and no other */
	spend_n(&star, 45, T0);
	assert_in_range(budget_when(b, &www, T0, &why), T0 + 7 * DAY / 50,
	    T0 + 7 * DAY / 50 + 2 * MINUTE);
	assert_int_equal(why.limit, LIMIT_PER_DOMAIN);
	assert_string_equal(why.of, "shop.co.uk");
	assert_int_equal(budget_when(b, &other, T0, &why), 0);
}

/* One certificate counts once for each domain in it, however many names. */
static void
many_names(void **state)
{
	const struct budget_order o = ORDER("a.example.org", "b.example.org",
	    "example.net", "example.org", "www.example.net");
	const struct budget_order fewer = ORDER(
	    "a.example.org", "b.example.org", "example.net", "example.org");

	(void)state;
	assert_int_equal(spend(&o, T0), ALL);
	assert_int_equal(line(LIMIT_NEW_ORDERS, "", T0).left, 299);
	assert_int_equal(line(LIMIT_PER_DOMAIN, "example.org", T0).left, 49);
	assert_int_equal(line(LIMIT_PER_DOMAIN, "example.net", T0).left, 49);
	assert_int_equal(lines(T0), 4);
	/* five of just these names, but others are others */
	spend_n(&o, 4, T0);
	assert_true(budget_when(b, &o, T0, NULL) > T0 + 33 * HOUR);
	assert_int_equal(budget_when(b, &fewer, T0, NULL), 0);
	(void)spend(&fewer, T0);
	assert_int_equal(lines(T0), 5);
	/* all of it is back in time */
	assert_int_equal(line(LIMIT_PER_NAMES, "", T0 + 7 * DAY).left, 0);
	assert_int_equal(lines(T0 + 7 * DAY + 1), 1);
	assert_int_equal(line(LIMIT_NEW_ORDERS, "", T0 + 7 * DAY).left, 300);
	assert_int_equal(line(LIMIT_NEW_ORDERS, "", T0 + 7 * DAY).full_at, 0);
}

/* The limit that makes it wait longest is the one that is named. */
static void
the_longest_wait(void **state)
{
	const struct budget_order o = ORDER("a.example");
	struct budget_wait why;
	int64_t at;

	(void)state;
	spend_n(&o, 300, T0);
	at = budget_when(b, &o, T0, &why);
	assert_int_equal(why.limit, LIMIT_PER_NAMES);
	assert_string_equal(why.of, "a.example");
	assert_int_equal(budget_when(b, &o, T0, NULL), at);
}

/* J15: renewals of the same names escape two limits, in their window all. */
static void
exemptions(void **state)
{
	struct budget_order o = ORDER("a.example");
	struct conf_ca strict = letsencrypt;

	(void)state;
	assert_int_equal(spend(&o, T0), ALL);
	o.again = true;
	assert_int_equal(spend(&o, T0), BUDGET_SPENT_NAMES);
	o.in_window = true;
	assert_int_equal(spend(&o, T0), 0);
	/* other names, and yet in the window of what is replaced */
	o.again = false;
	assert_int_equal(spend(&o, T0), 0);
	assert_int_equal(line(LIMIT_NEW_ORDERS, "", T0).left, 299);
	assert_int_equal(line(LIMIT_PER_NAMES, "a.example", T0).left, 3);
	o.in_window = false;
	spend_n(&o, 299, T0);
	assert_true(budget_when(b, &o, T0, NULL) > T0);
	o.in_window = true;
	assert_int_equal(budget_when(b, &o, T0, NULL), 0);
	/* at a CA that exempts nobody */
	strict.renewals_exempt = false;
	other_ca(&strict);
	o.again = o.in_window = true;
	assert_int_equal(spend(&o, T0), ALL);
}

static void
refunds(void **state)
{
	const struct budget_order o = ORDER("a.example", "b.example");

	(void)state;
	assert_int_equal(budget_spend(b, &o, T0), ALL);
	(void)budget_spend(b, &o, T0);
	assert_int_equal(line(LIMIT_PER_DOMAIN, "b.example", T0).left, 48);
	budget_refund(b, &o, ALL, T0, T0);
	assert_int_equal(line(LIMIT_NEW_ORDERS, "", T0).left, 299);
	assert_int_equal(line(LIMIT_PER_DOMAIN, "a.example", T0).left, 49);
	/* the order was made, and is over */
	budget_refund(b, &o, ALL & ~BUDGET_SPENT_ORDER, T0, T0);
	assert_int_equal(line(LIMIT_NEW_ORDERS, "", T0).left, 299);
	assert_int_equal(lines(T0), 1);
	/* what is not there is not given back */
	budget_refund(b, &o, ALL, T0, T0 + DAY);
	assert_int_equal(lines(T0 + DAY), 1);
	assert_int_equal(line(LIMIT_NEW_ORDERS, "", T0 + DAY).left, 300);
}

/* What the account has back by itself is not given back once more. */
static void
late_refunds(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(1 << 20);
	const struct budget_order o = ORDER("a.example");
	int64_t later = T0 + MINUTE;

	(void)state;
	(void)budget_spend(b, &o, T0);
	(void)budget_spend(b, &o, later);
	budget_refund(b, &o, ALL, T0, later);
	assert_int_equal(line(LIMIT_NEW_ORDERS, "", later).left, 299);
	budget_refund(b, &o, ALL, later, later);
	assert_int_equal(line(LIMIT_NEW_ORDERS, "", later).left, 300);
	/* nor what was spent in an hour that never was, or before a restart */
	(void)budget_spend(b, &o, later);
	budget_refund(b, &o, ALL, later + DAY, later);
	assert_int_equal(line(LIMIT_NEW_ORDERS, "", later).left, 299);
	encode(&text, later);
	decode(buf_str(&text), later, 0);
	budget_refund(b, &o, ALL, 0, later);
	assert_int_equal(line(LIMIT_NEW_ORDERS, "", later).left, 299);
}

/* A CA counts a certificate when it issues it, which may be hours after the
 * bucket would have been full again: until then it is not there for others. */
static void
slow_orders(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(1 << 20);
	const struct budget_order o = ORDER("a.example");
	struct budget_order other = ORDER("www.a.example");
	int64_t day = T0 + DAY, when;

	(void)state;
	(void)budget_spend(b, &o, T0);
	(void)budget_spend(b, &o, T0);
	assert_int_equal(line(LIMIT_PER_DOMAIN, "a.example", day).left, 48);
	budget_issued(b, &o, ALL, day);
	assert_int_equal(line(LIMIT_PER_DOMAIN, "a.example", day).left, 48);
	assert_int_equal(line(LIMIT_PER_DOMAIN, "a.example", day).full_at,
	    day + 7 * DAY / 50);
	budget_refund(b, &o, ALL, T0, day);
	assert_int_equal(line(LIMIT_PER_DOMAIN, "a.example", day).left, 49);
	/* orders under way have all there is: somebody has to end first */
	other.idents = o.idents;
	while (budget_when(b, &other, day + 90 * DAY, NULL) == 0)
		(void)budget_spend(b, &other, day + 90 * DAY);
	when = budget_when(b, &other, day + 90 * DAY, NULL);
	assert_in_range(when, day + 90 * DAY + 1, day + 92 * DAY);
	budget_refund(b, &other, ALL, day, day + 90 * DAY);
	assert_int_equal(budget_when(b, &other, day + 90 * DAY, NULL), 0);
	/* a restart knows of them by the orders' own state */
	(void)budget_spend(b, &other, day + 180 * DAY);
	encode(&text, day + 181 * DAY);
	assert_string_equal(buf_str(&text), "{}");
	budget_free(b);
	b = budget_new(&letsencrypt, psl, &e);
	budget_hold(b, &other, ALL, T0);
	assert_int_equal(line(LIMIT_NEW_ORDERS, "", T0).left, 300);
	assert_int_equal(line(LIMIT_PER_NAMES, "a.example", T0).left, 4);
}

/* M4: three failed validations of a name an hour are enough, whatever the CA
 * says; when it allows fewer, fewer. */
static void
own_guard(void **state)
{
	static const char *const names[] = { "b.example", "a.example" };
	struct conf_ca conf = unlimited;
	unsigned i;

	(void)state;
	for (i = 0; i < 2; i++) {
		other_ca(i == 0 ? &letsencrypt : &unlimited);
		budget_failed(b, "a.example", T0);
		budget_failed(b, "a.example", T0 + 10 * MINUTE);
		assert_int_equal(
		    budget_failed_when(b, names, 2, false, T0 + 10 * MINUTE),
		    0);
		budget_failed(b, "a.example", T0 + 20 * MINUTE);
		assert_int_equal(
		    budget_failed_when(b, names, 2, false, T0 + 20 * MINUTE),
		    T0 + HOUR);
		assert_int_equal(
		    budget_failed_when(b, names, 1, false, T0 + 20 * MINUTE),
		    0);
		assert_int_equal(
		    budget_failed_when(b, names, 2, false, T0 + HOUR), 0);
		/* rolling: the fourth moves it on */
		budget_failed(b, "a.example", T0 + HOUR);
		assert_int_equal(
		    budget_failed_when(b, names, 2, false, T0 + HOUR),
		    T0 + HOUR + 10 * MINUTE);
	}
	conf.limits[LIMIT_FAILURES] = (struct conf_rate){ 1, 2 * HOUR };
	other_ca(&conf);
	budget_failed(b, "a.example", T0);
	assert_in_range(budget_failed_when(b, names, 2, false, T0),
	    T0 + 2 * HOUR, T0 + 2 * HOUR + 2 * MINUTE);
}

/* Never more than three in any hour, tried as early as may be for two days. */
static void
own_guard_for_long(void **state)
{
	static const char *const names[] = { "a.example" };
	int64_t at[200], now = T0, until;
	unsigned n = 0;

	(void)state;
	while (n < NELEM(at)) {
		until = budget_failed_when(b, names, 1, false, now);
		now = until != 0 ? until : now + (int64_t)rnd_below(60);
		if (until != 0)
			continue;
		budget_failed(b, "a.example", now);
		at[n++] = now;
		if (n > 3)
			assert_true(now - at[n - 4] >= HOUR);
	}
}

/* Who comes by chance at the instant of a refill waits as long as who waited
 * for it: the CA may have counted the one before later. */
static void
at_the_refill(void **state)
{
	const struct budget_order o = ORDER("a.example");
	struct budget_order other = ORDER("b.example");
	int64_t when;

	(void)state;
	other.again = true;
	spend_n(&o, 5, T0);
	when = budget_when(b, &o, T0, NULL);
	assert_int_equal(when, T0 + 34 * HOUR - 1440 + 120);
	assert_int_equal(budget_when(b, &o, when - 1, NULL), when);
	assert_int_equal(budget_when(b, &o, when - 119, NULL), when);
	assert_int_equal(budget_when(b, &o, when, NULL), 0);
	/* what was there from the start needs no refill */
	spend_n(&other, 4, T0 + 10);
	assert_int_equal(budget_when(b, &other, T0 + 10, NULL), 0);
}

/* A clock that is set refills nothing and spends nothing. */
static void
clock_that_is_set(void **state)
{
	static const char *const names[] = { "a.example" };
	static const int64_t by[] = { 40 * DAY, -40 * DAY, -2 * DAY, 1 };
	const struct budget_order o = ORDER("a.example");
	int64_t wait, guard, now = T0;
	size_t i;

	(void)state;
	spend_n(&o, 5, now);
	for (i = 0; i < 3; i++)
		budget_failed(b, "a.example", now);
	wait = budget_when(b, &o, now, NULL) - now;
	guard = budget_failed_when(b, names, 1, false, now) - now;
	assert_in_range(wait, 1, 34 * HOUR);
	assert_in_range(guard, 1, HOUR + 120);
	for (i = 0; i < NELEM(by); i++) {
		now += by[i];
		budget_shift(b, by[i] * 1000);
		assert_int_equal(budget_when(b, &o, now, NULL) - now, wait);
		assert_int_equal(
		    budget_failed_when(b, names, 1, false, now) - now, guard);
		assert_int_equal(line(LIMIT_NEW_ORDERS, "", now).left, 295);
	}
}

/* The instants of a plan are those at which orders could go one by one. */
static void
book_as_spent(void **state)
{
	AUTO(budget_free) struct budget *one = NULL, *two = NULL;
	struct budget_wait why;
	int64_t at, was = T0, now = T0;
	char name[64];
	unsigned i;

	(void)state;
	one = budget_clone(b, &letsencrypt, T0, &e);
	two = budget_clone(b, &letsencrypt, T0, &e);
	assert_non_null(one);
	assert_non_null(two);
	for (i = 0; i < 60; i++) {
		struct budget_order o = ORDER(name);

		(void)snprintf(name, sizeof(name), "h%u.example.co.uk", i);
		at = budget_book(one, &o, false, T0, &why);
		assert_true(at >= was);
		was = at;
		while (budget_when(two, &o, now, NULL) != 0)
			now = budget_when(two, &o, now, NULL);
		budget_issued(two, &o, budget_spend(two, &o, now), now);
		assert_int_equal(at, now);
		assert_true(at == T0 || why.limit == LIMIT_PER_DOMAIN);
	}
	assert_true(was > T0 + 10 * (7 * DAY / 50) - 1);
	/* the original has not changed, nor has the account's limit */
	assert_int_equal(lines(T0), 1);
	budget_free(b);
	b = take_ptr(one);
	assert_int_equal(line(LIMIT_NEW_ORDERS, "", T0).left, 300);
}

static void
book_the_account(void **state)
{
	struct budget_order o = ORDER("a.example");
	int64_t at = T0;
	unsigned i;

	(void)state;
	for (i = 0; i < 600; i++)
		at = budget_book(b, &o, true, at, NULL);
	assert_in_range(at, T0 + 300 * 36, T0 + 300 * 36 + 120);
	assert_int_equal(lines(at), 1); /* of no domain, of no names */
	/* what is exempt goes at once and takes nothing */
	o.again = true;
	assert_int_equal(budget_book(b, &o, true, T0, NULL), T0);
}

/* Those before it in the account's queue: its turn is what booking them all
 * would give it, at any fill. */
static void
turns(void **state)
{
	struct budget_order o = ORDER("a.example");
	unsigned spent, ahead;

	(void)state;
	for (spent = 0; spent <= 330; spent += 30) {
		AUTO(budget_free) struct budget *copy = NULL;
		int64_t at = T0, turn;

		other_ca(&letsencrypt);
		spend_n(&o, spent, T0);
		copy = budget_clone(b, &letsencrypt, T0, &e);
		for (ahead = 0; ahead < 500; ahead++) {
			turn = budget_turn(b, &o, ahead, T0);
			at = budget_book(copy, &o, true, T0, NULL);
			assert_int_equal(turn == 0 ? T0 : turn, at);
			/* as many may be sent by then, or by our margin less */
			assert_true(budget_turns(b, &o, at, T0) > ahead);
			assert_true(budget_turns(b, &o, at - 45, T0) <= ahead ||
				    turn == 0);
		}
	}
	assert_int_equal(budget_turns(b, &o, T0, T0), 0);
	/* what does not count has no turn to wait for */
	o.again = true;
	assert_int_equal(budget_turn(b, &o, 1000, T0), 0);
	assert_int_equal(budget_turns(b, &o, T0, T0), UINT32_MAX);
	other_ca(&unlimited);
	o.again = false;
	assert_int_equal(budget_turns(b, &o, T0, T0), UINT32_MAX);
}

/* A look takes nothing, and finds the limit that is met last. */
static void
peek(void **state)
{
	struct budget_order o = ORDER("a.example");
	struct budget_wait why;
	int64_t at;

	(void)state;
	spend_n(&o, 50, T0);
	at = budget_peek(b, &o, T0, &why);
	assert_int_equal(why.limit, LIMIT_PER_NAMES);
	assert_true(at > T0 + 7 * DAY);
	assert_int_equal(budget_peek(b, &o, T0, NULL), at);
	assert_int_equal(budget_peek(b, &o, at + 5, NULL), at + 5);
	o = ORDER("b.example");
	assert_int_equal(budget_peek(b, &o, T0, NULL), T0);
}

/* The same past under the limits of another configuration. */
static void
other_limits(void **state)
{
	AUTO(budget_free) struct budget *copy = NULL;
	struct conf_ca tight = letsencrypt;
	const struct budget_order o = ORDER("a.example");

	(void)state;
	tight.limits[LIMIT_PER_DOMAIN] = (struct conf_rate){ 2, 7 * DAY };
	spend_n(&o, 2, T0);
	copy = budget_clone(b, &tight, T0, &e);
	assert_non_null(copy);
	assert_int_equal(budget_when(b, &o, T0, NULL), 0);
	budget_free(copy);
	copy = budget_clone(b, &unlimited, T0, &e);
	assert_int_equal(budget_when(copy, &o, T0, NULL), 0);
	assert_int_equal(budget_book(copy, &o, false, T0, NULL), T0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(as_the_ca_counts),
		T(as_the_ca_counts_with_pauses),
		T(absurd_rate),
		T(no_limits),
		T(registered_domains),
		T(many_names),
		T(the_longest_wait),
		T(exemptions),
		T(refunds),
		T(late_refunds),
		T(slow_orders),
		T(own_guard),
		T(own_guard_for_long),
		T(at_the_refill),
		T(clock_that_is_set),
		T(book_as_spent),
		T(book_the_account),
		T(turns),
		T(peek),
		T(other_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
