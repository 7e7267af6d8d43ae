/* SPDX-License-Identifier: ISC */
/* Error and place to action: each row of the table, and what follows of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/engine/policy.h"
#include "lib/acme/problem.h"
#include "lib/base/cleanup.h"
#include "lib/base/rnd.h"

#define MINUTE INT64_C(60)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define T0     INT64_C(1796083200)
#define NEVER  INT64_MAX

#define NO_PROXY  5 /* of libcurl */
#define NO_HOST   6
#define NO_ANSWER 7
#define TIMED_OUT 28

struct row {
	const char *name;
	enum policy_where where;
	unsigned places; /* where it is the same row */
	enum policy_wait wait;
	enum err_kind kind;
	int num;
	unsigned problem;
	int64_t said; /* Retry-After; 0: none */
	const char *what;
	enum policy_scope scope;
	int64_t from, to; /* wait after the first failure */
	bool operator, failover, rehearse;
};

#define P(x)    ERR_PROBLEM, 400, PROBLEM_##x
#define LADDER  48, 72
#define DAILY   95 * DAY / 100, 105 * DAY / 100
#define PERSON  NEVER, NEVER
#define DOUBLE1 HOUR, HOUR + 30
#define CA      WHERE_CA
#define ORDER   WHERE_ORDER
#define NAME    WHERE_NAME
#define CERT    WHERE_CERT
#define HERE    WHERE_HERE
#define EVERY   (CA | LATER)
#define LATER   (ORDER | NAME | CERT | HERE)
#define OP      true
#define OVER    true
#define TRY     true

/* Nothing is in service. */
/* clang-format off */
static const struct row rows[] = {
	{ "paused", ORDER, EVERY, WAIT_DAILY, P(RATE_LIMITED), 0, "see https://ca/sfe/v1/unpause?jwt=x", SCOPE_CERT, DAILY, OP, OVER, false },
	{ "rateLimited", ORDER, EVERY, WAIT_SAID, P(RATE_LIMITED), 777, "too many", SCOPE_CERT, 777, 807, false, false, false },
	{ "rateLimited", ORDER, EVERY, WAIT_SAID, P(RATE_LIMITED), 40 * DAY, "https://ca/unpause", SCOPE_CERT, 40 * DAY, 40 * DAY + 30, false, OVER, false },
	{ "rateLimited-unsaid", ORDER, EVERY, WAIT_DOUBLING, P(RATE_LIMITED), 0, "https://ca/docs", SCOPE_CERT, DOUBLE1, false, OVER, false },
	{ "no-network", ORDER, EVERY, WAIT_BREAKER, ERR_NET, NO_HOST, 0, 0, "", SCOPE_CA, LADDER, false, false, false },
	{ "no-network", CA, EVERY, WAIT_BREAKER, ERR_NET, NO_PROXY, 0, 0, "", SCOPE_CA, LADDER, false, false, false },
	{ "unreachable", ORDER, EVERY, WAIT_BREAKER, ERR_NET, NO_ANSWER, 0, 0, "", SCOPE_CA, LADDER, false, OVER, false },
	{ "unreachable", CERT, EVERY, WAIT_BREAKER, ERR_NET, TIMED_OUT, 0, 0, "", SCOPE_CA, LADDER, false, OVER, false },
	{ "unavailable", ORDER, EVERY, WAIT_BREAKER, ERR_HTTP, 503, 0, 0, "", SCOPE_CA, LADDER, false, OVER, false },
	{ "unavailable", NAME, EVERY, WAIT_BREAKER, ERR_HTTP, 502, 0, 0, "", SCOPE_CA, LADDER, false, OVER, false },
	{ "unavailable", CERT, EVERY, WAIT_BREAKER, ERR_PROBLEM, 504, PROBLEM_SERVER_INTERNAL, 0, "", SCOPE_CA, LADDER, false, OVER, false },
	{ "userActionRequired", ORDER, EVERY, WAIT_PERSON, P(USER_ACTION_REQUIRED), 0, "", SCOPE_ACCOUNT, PERSON, OP, OVER, false },
	{ "externalAccountRequired", CA, EVERY, WAIT_PERSON, P(EXTERNAL_ACCOUNT_REQUIRED), 0, "", SCOPE_ACCOUNT, PERSON, OP, OVER, false },
	{ "badSignatureAlgorithm", CA, EVERY, WAIT_PERSON, P(BAD_SIGNATURE_ALGORITHM), 0, "", SCOPE_ACCOUNT, PERSON, OP, OVER, false },
	{ "unauthorized-account", CA, CA, WAIT_PERSON, P(UNAUTHORIZED), 0, "", SCOPE_ACCOUNT, PERSON, OP, OVER, false },
	{ "malformed-account", CA, CA, WAIT_PERSON, P(MALFORMED), 0, "", SCOPE_ACCOUNT, PERSON, OP, OVER, false },
	{ "badPublicKey-account", CA, CA, WAIT_PERSON, P(BAD_PUBLIC_KEY), 0, "", SCOPE_ACCOUNT, PERSON, OP, OVER, false },
	{ "invalidContact", CA, EVERY, WAIT_PERSON, P(INVALID_CONTACT), 0, "", SCOPE_ACCOUNT, PERSON, OP, OVER, false },
	{ "unsupportedContact", CA, EVERY, WAIT_PERSON, P(UNSUPPORTED_CONTACT), 0, "", SCOPE_ACCOUNT, PERSON, OP, OVER, false },
	{ "rejectedIdentifier", ORDER, EVERY, WAIT_DAILY, P(REJECTED_IDENTIFIER), 0, "", SCOPE_CERT, DAILY, OP, OVER, false },
	{ "unsupportedIdentifier", ORDER, EVERY, WAIT_DAILY, P(UNSUPPORTED_IDENTIFIER), 0, "", SCOPE_CERT, DAILY, OP, OVER, false },
	{ "invalidProfile", ORDER, EVERY, WAIT_DAILY, P(INVALID_PROFILE), 0, "", SCOPE_CERT, DAILY, OP, OVER, false },
	{ "badPublicKey", CERT, LATER, WAIT_DAILY, P(BAD_PUBLIC_KEY), 0, "", SCOPE_CERT, DAILY, OP, OVER, false },
	{ "badCSR", CERT, EVERY, WAIT_DAILY, P(BAD_CSR), 0, "", SCOPE_CERT, DAILY, OP, OVER, false },
	{ "caa", NAME, EVERY, WAIT_LADDER, P(CAA), 0, "", SCOPE_CERT, LADDER, OP, OVER, false },
	{ "dns", NAME, EVERY, WAIT_LADDER, P(DNS), 0, "", SCOPE_NAME, LADDER, false, false, TRY },
	{ "connection", NAME, EVERY, WAIT_LADDER, P(CONNECTION), 0, "", SCOPE_NAME, LADDER, false, false, TRY },
	{ "connection", CERT, EVERY, WAIT_LADDER, P(CONNECTION), 0, "", SCOPE_NAME, LADDER, false, false, TRY },
	{ "tls", NAME, EVERY, WAIT_LADDER, P(TLS), 0, "", SCOPE_NAME, LADDER, false, false, TRY },
	{ "incorrectResponse", NAME, EVERY, WAIT_LADDER, P(INCORRECT_RESPONSE), 0, "", SCOPE_NAME, LADDER, false, false, TRY },
	{ "unauthorized", NAME, NAME | CERT, WAIT_LADDER, P(UNAUTHORIZED), 0, "", SCOPE_NAME, LADDER, false, false, TRY },
	{ "unauthorized", CERT, NAME | CERT, WAIT_LADDER, P(UNAUTHORIZED), 0, "", SCOPE_NAME, LADDER, false, false, TRY },
	{ "unauthorized-order", ORDER, ORDER | HERE, WAIT_LADDER, P(UNAUTHORIZED), 0, "", SCOPE_CERT, LADDER, false, OVER, false },
	{ "malformed", ORDER, LATER, WAIT_DAILY, P(MALFORMED), 0, "", SCOPE_CERT, DAILY, OP, OVER, false },
	{ "malformed", CERT, LATER, WAIT_DAILY, P(MALFORMED), 0, "", SCOPE_CERT, DAILY, OP, OVER, false },
	{ "compound", ORDER, EVERY, WAIT_LADDER, P(COMPOUND), 0, "", SCOPE_CERT, LADDER, false, OVER, false },
	{ "badNonce", ORDER, EVERY, WAIT_LADDER, P(BAD_NONCE), 0, "", SCOPE_CERT, LADDER, false, OVER, false },
	{ "orderNotReady", CERT, EVERY, WAIT_LADDER, P(ORDER_NOT_READY), 0, "", SCOPE_CERT, LADDER, false, OVER, false },
	{ "conflict", NAME, EVERY, WAIT_LADDER, P(CONFLICT), 0, "", SCOPE_CERT, LADDER, false, OVER, false },
	{ "alreadyReplaced", ORDER, EVERY, WAIT_LADDER, P(ALREADY_REPLACED), 0, "", SCOPE_CERT, LADDER, false, OVER, false },
	{ "accountDoesNotExist", ORDER, EVERY, WAIT_LADDER, P(ACCOUNT_DOES_NOT_EXIST), 0, "", SCOPE_CERT, LADDER, false, OVER, false },
	{ "serverInternal", CERT, EVERY, WAIT_LADDER, ERR_PROBLEM, 500, PROBLEM_SERVER_INTERNAL, 0, "", SCOPE_CERT, LADDER, false, OVER, false },
	{ "unknown-5xx", CERT, EVERY, WAIT_LADDER, ERR_PROBLEM, 500, PROBLEM_UNKNOWN, 0, "", SCOPE_CERT, LADDER, false, OVER, false },
	{ "unknown-5xx", ORDER, EVERY, WAIT_LADDER, ERR_HTTP, 500, 0, 0, "", SCOPE_CERT, LADDER, false, OVER, false },
	{ "refused", CA, CA, WAIT_BREAKER, P(UNKNOWN), 0, "", SCOPE_CA, LADDER, false, OVER, false },
	{ "refused", CA, CA, WAIT_BREAKER, ERR_HTTP, 404, 0, 0, "", SCOPE_CA, LADDER, false, OVER, false },
	{ "unknown-4xx", ORDER, LATER, WAIT_LADDER, P(UNKNOWN), 0, "", SCOPE_CERT, LADDER, false, OVER, false },
	{ "unknown-4xx", ORDER, LATER, WAIT_LADDER, P(ALREADY_REVOKED), 0, "", SCOPE_CERT, LADDER, false, OVER, false },
	{ "unknown-4xx", ORDER, LATER, WAIT_LADDER, ERR_HTTP, 404, 0, 0, "", SCOPE_CERT, LADDER, false, OVER, false },
	{ "odd-reply", CERT, EVERY, WAIT_LADDER, ERR_PROTO, 0, 0, 0, "", SCOPE_CERT, LADDER, false, OVER, false },
	{ "endless", NAME, EVERY, WAIT_LADDER, ERR_LIMIT, 0, 0, 0, "", SCOPE_CERT, LADDER, false, OVER, false },
	{ "configuration", ORDER, EVERY, WAIT_DAILY, ERR_CONFIG, 0, 0, 0, "", SCOPE_CERT, DAILY, OP, OVER, false },
	{ "this-machine", HERE, EVERY, WAIT_HOURLY, ERR_SYS, 28, 0, 0, "", SCOPE_CERT, LADDER, false, false, false },
	{ "this-machine", HERE, EVERY, WAIT_HOURLY, ERR_NOMEM, 0, 0, 0, "", SCOPE_CERT, LADDER, false, false, false },
	{ "this-machine", HERE, EVERY, WAIT_HOURLY, ERR_CRYPTO, 0, 0, 0, "", SCOPE_CERT, LADDER, false, false, false },
	{ "this-machine", HERE, EVERY, WAIT_HOURLY, ERR_STALE, 0, 0, 0, "", SCOPE_CERT, LADDER, false, false, false },
};
/* clang-format on */

static struct err
error_of(const struct row *r)
{
	struct err e;

	(void)err_set(&e, r->kind, r->num, "%s", r->what);
	e.problem = r->problem;
	e.retry_after_s = r->said == 0 ? -1 : r->said;
	return e;
}

static void
check_row(const struct row *r)
{
	struct err e = error_of(r);
	struct policy_in in = { .err = &e,
		.where = r->where,
		.failures = 1,
		.alike = 1,
		.now = T0 };
	struct decision d;
	int64_t wait;

	policy_decide(&in, &d);
	assert_string_equal(d.row->name, r->name);
	assert_ptr_equal(d.row, policy_find(&e, r->where));
	assert_int_equal(d.row->scope, r->scope);
	assert_int_equal(d.row->wait, r->wait);
	wait = d.until == INT64_MAX ? INT64_MAX : d.until - T0;
	if (wait < r->from || wait > r->to)
		fail_msg("%s: waits %lld s", r->name, (long long)wait);
	assert_int_equal(d.operator, r->operator);
	assert_int_equal(d.failover, r->failover);
	assert_int_equal(d.rehearse, r->rehearse);
	assert_ptr_equal(policy_name(r->name), policy_name(d.row->name));
}

/* What it means in other parts of an attempt too. */
static void
check_places(const struct row *r)
{
	struct err e = error_of(r);
	const struct policy_row *row = policy_find(&e, r->where);
	unsigned at;

	for (at = CA; at <= HERE; at <<= 1)
		if ((policy_find(&e, (enum policy_where)at) == row) !=
		    ((r->places & at) != 0))
			fail_msg("%s: at %u", r->name, at);
}

/* How long a wait is makes another CA the next only where a limit is meant. */
static void
check_long(const struct row *r)
{
	struct err e = error_of(r);
	struct policy_in in = { .err = &e,
		.where = r->where,
		.failures = 9,
		.alike = 9,
		.now = T0 };
	struct decision d;
	bool limit = r->problem == PROBLEM_RATE_LIMITED && !r->operator;

	/* what is said makes it neither a pause nor a limit of unknown end */
	if (r->problem != PROBLEM_RATE_LIMITED || r->said != 0)
		e.retry_after_s = 40 * DAY;
	policy_decide(&in, &d);
	if (d.failover != (r->failover || limit))
		fail_msg("%s: after a long wait", r->name);
	in.not_before = T0 - 10 * DAY;
	in.not_after = T0 + 80 * DAY;
	e.retry_after_s = r->said == 0 ? -1 : 777;
	policy_decide(&in, &d);
	if (d.failover != (r->failover && !limit))
		fail_msg("%s: after a short wait", r->name);
}

static void
what_each_row_does(void **state)
{
	unsigned seed;
	size_t i;

	(void)state;
	for (seed = 1; seed <= 20; seed++)
		for (i = 0; i < NELEM(rows); i++) {
			rnd_seed(seed * 1000 + i);
			check_row(&rows[i]);
			check_places(&rows[i]);
			check_long(&rows[i]);
		}
}

/* A row that is new, or that one above it hides, has no case here. */
static void
every_row_has_a_case(void **state)
{
	const struct policy_row *row;
	struct err e;
	size_t i, k;

	(void)state;
	for (i = 0; (row = policy_row(i)) != NULL; i++) {
		for (k = 0; k < NELEM(rows); k++) {
			e = error_of(&rows[k]);
			if (policy_find(&e, rows[k].where) == row)
				break;
		}
		if (k == NELEM(rows))
			fail_msg("row %zu, %s: no case", i, row->name);
	}
	assert_null(policy_name("rateLimite"));
	assert_null(policy_name(""));
}

/* Whatever comes from wherever is somebody's. */
static void
always_finds_a_row(void **state)
{
	static const int nums[] = { 0, 5, 200, 400, 404, 500, 503, 999 };
	struct policy_in in = { .failures = 1, .alike = 1, .now = T0 };
	unsigned kind, problem;
	struct decision d;
	struct err e;
	size_t i;

	(void)state;
	for (kind = 0; kind <= ERR_STALE; kind++)
		for (problem = 0; problem < PROBLEM__COUNT; problem++)
			for (i = 0; i < NELEM(nums) * 5; i++) {
				(void)err_set(
				    &e, (enum err_kind)kind, nums[i / 5], "x");
				e.problem = problem;
				in.err = &e;
				in.where = (enum policy_where)(1u << i % 5);
				policy_decide(&in, &d);
				assert_non_null(d.row->name);
				assert_true(d.until > T0);
			}
}

/* Of several names that failed, the worst decides: what a person must mend is
 * not tried every minute. */
static void
worst_of_compound(void **state)
{
	static const char body[] =
	    "{\"type\": \"urn:ietf:params:acme:error:compound\","
	    " \"detail\": \"several\", \"subproblems\": ["
	    "{\"type\": \"urn:ietf:params:acme:error:%s\"},"
	    "{\"type\": \"urn:ietf:params:acme:error:%s\"}]}";
	static const struct {
		const char *a, *b, *row;
	} t[] = {
		{ "connection", "rejectedIdentifier", "rejectedIdentifier" },
		{ "rejectedIdentifier", "connection", "rejectedIdentifier" },
		{ "dns", "serverInternal", "dns" },
		{ "rateLimited", "dns", "dns" },
		{ "dns", "userActionRequired", "userActionRequired" },
	};
	char text[512];
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(t); i++) {
		(void)snprintf(text, sizeof(text), body, t[i].a, t[i].b);
		(void)problem_decode(
		    400, "application/problem+json", text, strlen(text), &e);
		assert_string_equal(
		    policy_find(&e, WHERE_NAME)->name, t[i].row);
	}
}

/* The type alone would send people to the wrong place. */
static void
hints(void **state)
{
	static const struct {
		unsigned problem;
		enum policy_where where;
		const char *what, *has, *has_not;
	} t[] = {
		{ PROBLEM_RATE_LIMITED, WHERE_ORDER, "see https://ca/unpause",
		    "open the page", "wait" },
		{ PROBLEM_RATE_LIMITED, WHERE_ORDER, "too many", "wait",
		    "page" },
		{ PROBLEM_UNAUTHORIZED, WHERE_CA, "wrong MAC", "account",
		    "DNS" },
		{ PROBLEM_UNAUTHORIZED, WHERE_CA, "it is deactivated",
		    "engine/accounts", "hmac" },
		{ PROBLEM_MALFORMED, WHERE_CA, "x", "account", "bug" },
		{ PROBLEM_UNAUTHORIZED, WHERE_ORDER, "x", "account", "DNS" },
		{ PROBLEM_UNAUTHORIZED, WHERE_NAME, "x", "DNS", "binding" },
	};
	const char *hint;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(t); i++) {
		(void)err_set(&e, ERR_PROBLEM, 403, "%s", t[i].what);
		e.problem = t[i].problem;
		hint = policy_hint(policy_find(&e, t[i].where)->name, &e);
		assert_non_null(hint);
		assert_non_null(strstr(hint, t[i].has));
		assert_null(strstr(hint, t[i].has_not));
	}
	(void)err_set(&e, ERR_NET, NO_ANSWER, "x");
	assert_non_null(strstr(policy_hint("unreachable", &e), "firewall"));
	(void)err_set(&e, ERR_NET, NO_ANSWER, "%s: x", POLICY_OTHERS);
	assert_non_null(strstr(policy_hint("unreachable", &e), "name servers"));
	(void)err_set(&e, ERR_HTTP, 504, "%s: x", POLICY_OTHERS);
	assert_non_null(strstr(policy_hint("unavailable", &e), "name servers"));
	/* as libcurl says it, and as it is told again after a restart */
	(void)err_set(&e, ERR_NET, 60,
	    "GET https://ca/dir: SSL peer "
	    "certificate or SSH remote key was not OK");
	assert_non_null(strstr(policy_hint("unreachable", &e), "not trusted"));
	(void)err_set(&e, ERR_NET, 77,
	    "GET https://ca/dir: Problem with the "
	    "SSL CA cert (path? access rights?)");
	assert_non_null(strstr(policy_hint("unreachable", &e), "is PEM"));
	(void)err_set(&e, ERR_HTTP, 404, "one: directory: HTTP 404: hello");
	assert_non_null(strstr(policy_hint("refused", &e), "acmed.yaml"));
	(void)err_set(&e, ERR_HTTP, 404, "newOrder: HTTP 404: hello");
	assert_null(policy_hint("unknown-4xx", &e));
	assert_null(policy_hint(NULL, &e));
}

static struct err
limited(int64_t said)
{
	struct err e;

	(void)err_set(&e, ERR_PROBLEM, 429, "too many");
	e.problem = PROBLEM_RATE_LIMITED;
	e.retry_after_s = said;
	return e;
}

/* A CA's word on a limit is taken exactly, any other within reason; but none
 * makes us ask faster and faster. */
static void
retry_after(void **state)
{
	static const struct {
		int64_t said, from, to;
	} t[] = {
		{ -1, 48, 72 }, /* unsaid: the ladder */
		{ 0, 48, 72 },  /* less than the ladder */
		{ 30, 48, 72 },
		{ 600, 600, 630 }, /* more */
		{ DAY, DAY, DAY + 30 },
		{ DAY + 1, DAY, DAY }, /* without reason */
		{ INT64_C(1) << 40, DAY, DAY },
	};
	struct err e = limited(0);
	struct policy_in in = { .err = &e,
		.where = WHERE_ORDER,
		.failures = 1,
		.alike = 1,
		.now = T0 };
	struct decision d;
	size_t i;

	(void)state;
	policy_decide(&in, &d);
	assert_in_range(d.until, T0 + 48, T0 + 102);
	in.failures = 9;
	policy_decide(&in, &d);
	assert_in_range(d.until, T0 + 48 * MINUTE, T0 + 72 * MINUTE + 30);
	e.retry_after_s = 2 * HOUR;
	policy_decide(&in, &d);
	assert_in_range(d.until, T0 + 2 * HOUR, T0 + 2 * HOUR + 30);
	in.failures = 1;
	e.retry_after_s = 400 * DAY;
	policy_decide(&in, &d);
	assert_in_range(d.until, T0 + 400 * DAY, T0 + 400 * DAY + 30);
	(void)err_set(&e, ERR_HTTP, 500, "x");
	for (i = 0; i < NELEM(t); i++) {
		e.retry_after_s = t[i].said;
		policy_decide(&in, &d);
		assert_in_range(d.until, T0 + t[i].from, T0 + t[i].to);
	}
}

/* M1: without a word of the CA, an hour, doubling to a day; by what failed in
 * another way before, it is no longer. */
static void
doubling(void **state)
{
	static const int64_t hours[] = { 1, 2, 4, 8, 16, 24, 24 };
	struct err e = limited(-1);
	struct policy_in in = {
		.err = &e, .where = WHERE_ORDER, .failures = 50, .now = T0
	};
	struct decision d;
	unsigned i;

	(void)state;
	for (i = 0; i < NELEM(hours); i++) {
		in.alike = i + 1;
		policy_decide(&in, &d);
		assert_in_range(
		    d.until, T0 + hours[i] * HOUR, T0 + hours[i] * HOUR + 30);
	}
	in.alike = 1000000;
	policy_decide(&in, &d);
	assert_in_range(d.until, T0 + DAY, T0 + DAY + 30);
}

/* N2: another CA is looked for when a limit's wait is long for what is left. */
static void
long_waits(void **state)
{
	static const struct {
		int64_t left, said;
		bool is_long;
	} t[] = {
		{ 0, 30 * MINUTE, false }, /* nothing in service */
		{ 0, HOUR + 1, true }, { -5, HOUR + 1, true }, /* over */
		{ 30 * DAY, 3 * DAY, false }, /* less than an eighth */
		{ 30 * DAY, 4 * DAY, true }, { 2 * DAY, 5 * HOUR, false },
		{ 2 * DAY, 7 * HOUR, true },
		{ 2 * HOUR, 30 * MINUTE, false }, /* an hour is never long */
	};
	struct err e = limited(0);
	struct policy_in in = { .err = &e,
		.where = WHERE_ORDER,
		.failures = 1,
		.alike = 1,
		.now = T0 };
	struct decision d;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(t); i++) {
		e.retry_after_s = t[i].said;
		in.not_before = t[i].left == 0 ? 0 : T0 - 60 * DAY;
		in.not_after = t[i].left == 0 ? 0 : T0 + t[i].left;
		policy_decide(&in, &d);
		assert_int_equal(d.failover, t[i].is_long);
	}
	/* that we wait longer than it says is no reason */
	e.retry_after_s = 600;
	in.not_before = in.not_after = 0;
	in.failures = 9;
	for (i = 0; i < 50; i++) {
		policy_decide(&in, &d);
		assert_false(d.failover);
	}
}

/* What is this machine's, or may pass soon, is tried hourly at least. */
static void
hourly(void **state)
{
	struct policy_in in = { .where = WHERE_HERE,
		.failures = 50,
		.not_before = T0,
		.not_after = T0 + 90 * DAY,
		.now = T0 + 5 };
	struct decision d;
	struct err e;

	(void)state;
	(void)err_set(&e, ERR_SYS, 28, "disk");
	in.err = &e;
	policy_decide(&in, &d);
	assert_in_range(d.until, in.now + 48 * MINUTE, in.now + 72 * MINUTE);
	/* so is an outage that is only one certificate's, but as the CA says */
	(void)err_set(&e, ERR_HTTP, 504, "gateway timeout");
	policy_decide(&in, &d);
	assert_in_range(d.until, in.now + 48 * MINUTE, in.now + 72 * MINUTE);
	e.retry_after_s = 2 * HOUR;
	policy_decide(&in, &d);
	assert_in_range(d.until, in.now + 2 * HOUR, in.now + 2 * HOUR + 30);
	/* and a CA's error by the ladder's last rung */
	(void)err_set(&e, ERR_PROTO, 0, "odd");
	policy_decide(&in, &d);
	assert_in_range(d.until, in.now + 19 * HOUR, in.now + 29 * HOUR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_each_row_does),
		cmocka_unit_test(every_row_has_a_case),
		cmocka_unit_test(always_finds_a_row),
		cmocka_unit_test(worst_of_compound),
		cmocka_unit_test(hints),
		cmocka_unit_test(retry_after),
		cmocka_unit_test(doubling),
		cmocka_unit_test(long_waits),
		cmocka_unit_test(hourly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
