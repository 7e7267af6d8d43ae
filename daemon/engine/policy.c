/* SPDX-License-Identifier: ISC */
/* What is done about each error: the table, and what follows from a row. */

#include "daemon/engine/policy.h"

#include <string.h>

#include "daemon/engine/schedule.h"
#include "lib/acme/problem.h"
#include "lib/base/cleanup.h"
#include "lib/base/rnd.h"

#define HOUR INT64_C(3600)
#define DAY  (24 * HOUR)

#define CURL_NO_PROXY 5 /* CURLE_COULDNT_RESOLVE_PROXY */
#define CURL_NO_HOST  6 /* CURLE_COULDNT_RESOLVE_HOST */

#define ANY UINT32_MAX

struct rule {
	enum err_kind kind;
	unsigned problem; /* ERR_PROBLEM: this one, or ANY */
	bool (*also)(const struct err *);
	struct policy_row row;
};

static bool
unpause(const struct err *e)
{
	size_t len;
	const char *url = problem_url(e->what, &len);

	return e->retry_after_s < 0 && url != NULL &&
	       memmem(url, len, "unpause", 7) != NULL;
}

static bool
said_when(const struct err *e)
{
	return e->retry_after_s >= 0;
}

/* The balancer, or something in front of it (protocol M3). */
static bool
outage(const struct err *e)
{
	return e->num == 502 || e->num == 503 || e->num == 504;
}

static bool
server(const struct err *e)
{
	return e->num >= 500;
}

/* A name that cannot be looked up is our network's trouble, not the CA's. */
static bool
no_network(const struct err *e)
{
	return e->num == CURL_NO_HOST || e->num == CURL_NO_PROXY;
}

#define EVERY (WHERE_CA | WHERE_ORDER | WHERE_NAME | WHERE_CERT | WHERE_HERE)
#define LATER (EVERY & ~(unsigned)WHERE_CA)
#define OP    POLICY_OPERATOR
#define OVER  POLICY_FAILOVER
#define LONG  POLICY_FAILOVER_LONG
#define TRY   POLICY_REHEARSE
#define NAMED POLICY_NAMED
#define P(x)  ERR_PROBLEM, PROBLEM_##x

/*
 * The first row that fits.  What is dealt with inside an attempt (badNonce,
 * orderNotReady, conflict, alreadyReplaced, accountDoesNotExist) comes here
 * only when that did not help.
 */
/* clang-format off */
static const struct rule rules[] = {
	{ P(RATE_LIMITED), unpause,
	  { "paused",                  EVERY,       SCOPE_CERT,    WAIT_DAILY,    OP | OVER | NAMED } },
	{ P(RATE_LIMITED), said_when,
	  { "rateLimited",             EVERY,       SCOPE_CERT,    WAIT_SAID,     LONG } },
	{ P(RATE_LIMITED), NULL,
	  { "rateLimited-unsaid",      EVERY,       SCOPE_CERT,    WAIT_DOUBLING, LONG } },
	{ ERR_NET, ANY, no_network,
	  { "no-network",              EVERY,       SCOPE_CA,      WAIT_BREAKER,  0 } },
	{ ERR_NET, ANY, NULL,
	  { "unreachable",             EVERY,       SCOPE_CA,      WAIT_BREAKER,  OVER } },
	{ ERR_HTTP, ANY, outage,
	  { "unavailable",             EVERY,       SCOPE_CA,      WAIT_BREAKER,  OVER } },
	{ ERR_PROBLEM, ANY, outage,
	  { "unavailable",             EVERY,       SCOPE_CA,      WAIT_BREAKER,  OVER } },
	{ P(USER_ACTION_REQUIRED), NULL,
	  { "userActionRequired",      EVERY,       SCOPE_ACCOUNT, WAIT_PERSON,   OP | OVER } },
	{ P(EXTERNAL_ACCOUNT_REQUIRED), NULL,
	  { "externalAccountRequired", EVERY,       SCOPE_ACCOUNT, WAIT_PERSON,   OP | OVER } },
	{ P(BAD_SIGNATURE_ALGORITHM), NULL,
	  { "badSignatureAlgorithm",   EVERY,       SCOPE_ACCOUNT, WAIT_PERSON,   OP | OVER } },
	{ P(UNAUTHORIZED), NULL,
	  { "unauthorized-account",    WHERE_CA,    SCOPE_ACCOUNT, WAIT_PERSON,   OP | OVER } },
	{ P(MALFORMED), NULL,
	  { "malformed-account",       WHERE_CA,    SCOPE_ACCOUNT, WAIT_PERSON,   OP | OVER } },
	{ P(BAD_PUBLIC_KEY), NULL,
	  { "badPublicKey-account",    WHERE_CA,    SCOPE_ACCOUNT, WAIT_PERSON,   OP | OVER } },
	{ P(INVALID_CONTACT), NULL,
	  { "invalidContact",          EVERY,       SCOPE_ACCOUNT, WAIT_PERSON,   OP | OVER } },
	{ P(UNSUPPORTED_CONTACT), NULL,
	  { "unsupportedContact",      EVERY,       SCOPE_ACCOUNT, WAIT_PERSON,   OP | OVER } },
	{ P(REJECTED_IDENTIFIER), NULL,
	  { "rejectedIdentifier",      EVERY,       SCOPE_CERT,    WAIT_DAILY,    OP | OVER | NAMED } },
	{ P(UNSUPPORTED_IDENTIFIER), NULL,
	  { "unsupportedIdentifier",   EVERY,       SCOPE_CERT,    WAIT_DAILY,    OP | OVER | NAMED } },
	{ P(INVALID_PROFILE), NULL,
	  { "invalidProfile",          EVERY,       SCOPE_CERT,    WAIT_DAILY,    OP | OVER } },
	{ P(BAD_PUBLIC_KEY), NULL,
	  { "badPublicKey",            LATER,       SCOPE_CERT,    WAIT_DAILY,    OP | OVER } },
	{ P(BAD_CSR), NULL,
	  { "badCSR",                  EVERY,       SCOPE_CERT,    WAIT_DAILY,    OP | OVER } },
	{ P(CAA), NULL,
	  { "caa",                     EVERY,       SCOPE_CERT,    WAIT_LADDER,   OP | OVER | NAMED } },
	{ P(DNS), NULL,
	  { "dns",                     EVERY,       SCOPE_NAME,    WAIT_LADDER,   TRY | NAMED } },
	{ P(CONNECTION), NULL,
	  { "connection",              EVERY,       SCOPE_NAME,    WAIT_LADDER,   TRY | NAMED } },
	{ P(TLS), NULL,
	  { "tls",                     EVERY,       SCOPE_NAME,    WAIT_LADDER,   TRY | NAMED } },
	{ P(INCORRECT_RESPONSE), NULL,
	  { "incorrectResponse",       EVERY,       SCOPE_NAME,    WAIT_LADDER,   TRY | NAMED } },
	/* what it says of an order's end, it says of its names */
	{ P(UNAUTHORIZED), NULL,
	  { "unauthorized",            WHERE_NAME | WHERE_CERT, SCOPE_NAME, WAIT_LADDER, TRY | NAMED } },
	/* the account is asked about meanwhile (session.c) */
	{ P(UNAUTHORIZED), NULL,
	  { "unauthorized-order",      WHERE_ORDER | WHERE_HERE, SCOPE_CERT, WAIT_LADDER, OVER } },
	/* one CA's "too many names" is another one's limit */
	{ P(MALFORMED), NULL,
	  { "malformed",               LATER,       SCOPE_CERT,    WAIT_DAILY,    OP | OVER | NAMED } },
	{ P(COMPOUND), NULL,
	  { "compound",                EVERY,       SCOPE_CERT,    WAIT_LADDER,   OVER } },
	{ P(BAD_NONCE), NULL,
	  { "badNonce",                EVERY,       SCOPE_CERT,    WAIT_LADDER,   OVER } },
	{ P(ORDER_NOT_READY), NULL,
	  { "orderNotReady",           EVERY,       SCOPE_CERT,    WAIT_LADDER,   OVER } },
	{ P(CONFLICT), NULL,
	  { "conflict",                EVERY,       SCOPE_CERT,    WAIT_LADDER,   OVER } },
	{ P(ALREADY_REPLACED), NULL,
	  { "alreadyReplaced",         EVERY,       SCOPE_CERT,    WAIT_LADDER,   OVER } },
	{ P(ACCOUNT_DOES_NOT_EXIST), NULL,
	  { "accountDoesNotExist",     EVERY,       SCOPE_CERT,    WAIT_LADDER,   OVER } },
	{ P(SERVER_INTERNAL), NULL,
	  { "serverInternal",          EVERY,       SCOPE_CERT,    WAIT_LADDER,   OVER } },
	{ ERR_PROBLEM, ANY, server,
	  { "unknown-5xx",             EVERY,       SCOPE_CERT,    WAIT_LADDER,   OVER } },
	{ ERR_HTTP, ANY, server,
	  { "unknown-5xx",             EVERY,       SCOPE_CERT,    WAIT_LADDER,   OVER } },
	/* closed, or it does not want us: for all that it says, for good */
	{ ERR_PROBLEM, ANY, NULL,
	  { "refused",                 WHERE_CA,    SCOPE_CA,      WAIT_BREAKER,  OVER } },
	{ ERR_HTTP, ANY, NULL,
	  { "refused",                 WHERE_CA,    SCOPE_CA,      WAIT_BREAKER,  OVER } },
	{ ERR_PROBLEM, ANY, NULL,
	  { "unknown-4xx",             LATER,       SCOPE_CERT,    WAIT_LADDER,   OVER } },
	{ ERR_HTTP, ANY, NULL,
	  { "unknown-4xx",             LATER,       SCOPE_CERT,    WAIT_LADDER,   OVER } },
	{ ERR_PROTO, ANY, NULL,
	  { "odd-reply",               EVERY,       SCOPE_CERT,    WAIT_LADDER,   OVER } },
	{ ERR_LIMIT, ANY, NULL,
	  { "endless",                 EVERY,       SCOPE_CERT,    WAIT_LADDER,   OVER } },
	{ ERR_CONFIG, ANY, NULL,
	  { "configuration",           EVERY,       SCOPE_CERT,    WAIT_DAILY,    OP | OVER } },
	{ ERR_SYS, ANY, NULL,
	  { "this-machine",            EVERY,       SCOPE_CERT,    WAIT_HOURLY,   0 } },
	{ ERR_NONE, ANY, NULL, /* all that is left */
	  { "this-machine",            EVERY,       SCOPE_CERT,    WAIT_HOURLY,   0 } },
};
/* clang-format on */

static bool
fits(const struct rule *r, const struct err *e, unsigned where)
{
	if (r->kind == ERR_NONE)
		return true;
	return r->kind == e->kind && (r->row.where & where) != 0 &&
	       (r->problem == ANY || r->problem == e->problem) &&
	       (r->also == NULL || r->also(e));
}

const struct policy_row *
policy_find(const struct err *e, enum policy_where where)
{
	const struct rule *r = rules;

	while (!fits(r, e, (unsigned)where))
		r++;
	return &r->row;
}

const struct policy_row *
policy_row(size_t i)
{
	return i < NELEM(rules) ? &rules[i].row : NULL;
}

static const struct policy_row *
row_of(const char *name)
{
	size_t i;

	for (i = 0; name != NULL && i < NELEM(rules); i++)
		if (strcmp(rules[i].row.name, name) == 0)
			return &rules[i].row;
	return NULL;
}

const char *
policy_name(const char *name)
{
	const struct policy_row *row = row_of(name);

	return row == NULL ? NULL : row->name;
}

bool
policy_of_name(const char *name)
{
	const struct policy_row *row = row_of(name);

	return row != NULL && row->scope == SCOPE_NAME;
}

/* Where the type alone would say something else, or nothing. */
const char *
policy_hint(const char *row, const struct err *e)
{
	static const char account[] =
	    "the CA does not accept this account: if it wants an external "
	    "account binding, check kid and hmac-file of its eab, which may "
	    "have expired; else ask the CA; then: acmectl reload";
	static const char no_directory[] =
	    "what answers there is no ACME directory: if it stays so, check "
	    "the directory of this CA in acmed.yaml";
	static const char dead[] =
	    "this account can do nothing any more: to go on with a new one, "
	    "stop acmed, move the file of this CA in engine/accounts of its "
	    "state folder away, and start it";
	static const char others[] =
	    "nothing, acmed asks again: if it stays so, look whether the name "
	    "servers of these names answer, or ask the CA";
	static const struct {
		const char *row, *word, *hint; /* word: in the text, or NULL */
	} hints[] = {
		{ "paused", NULL,
		    "the CA has paused these names after many failures: mend "
		    "their cause, open the page that it names, then: acmectl "
		    "renew NAME" },
		{ "no-network", NULL,
		    "the name of the CA, or of the proxy, cannot be looked up: "
		    "check this machine's network and its resolvers" },
		{ "unreachable", POLICY_OTHERS, others },
		{ "unavailable", POLICY_OTHERS, others },
		/* libcurl's words: the number does not outlive a restart */
		{ "unreachable", "SSL peer certificate",
		    "the certificate of the CA's own server is not trusted "
		    "here: check ca-file, this machine's clock, and whether a "
		    "proxy opens the connection" },
		{ "unreachable", "SSL CA cert",
		    "the roots to check the CA with cannot be used: check that "
		    "ca-file is there, is PEM, and can be read by the user of "
		    "acmed-engine" },
		{ "unreachable", NULL,
		    "no connection to the CA: check this machine's network, "
		    "firewall and proxy; if they are well, wait for the CA" },
		{ "unavailable", NULL,
		    "the CA is down or overloaded: nothing, acmed asks again" },
		{ "refused", ": directory", no_directory },
		{ "odd-reply", ": directory", no_directory },
		{ "refused", "a new account key is needed", dead },
		{ "unauthorized-account", "deactivated", dead },
		{ "unauthorized-account", NULL, account },
		{ "malformed-account", NULL, account },
		{ "badPublicKey-account", NULL,
		    "the CA refuses the key of the account: ask the CA which "
		    "it takes" },
		{ "unauthorized-order", NULL,
		    "the CA does not let this account order these names: ask "
		    "the CA, if it does not say why" },
	};
	size_t i;

	for (i = 0; row != NULL && i < NELEM(hints); i++)
		if (strcmp(row, hints[i].row) == 0 &&
		    (hints[i].word == NULL ||
			strstr(e->what, hints[i].word) != NULL))
			return hints[i].hint;
	return problem_hint_for(e);
}

/* A limit without a word on when it ends. */
static int64_t
doubling(unsigned alike)
{
	unsigned n = alike < 6 ? alike : 6;
	int64_t wait = HOUR << (n - 1);

	return (wait < DAY ? wait : DAY) + (int64_t)rnd_below(30);
}

static int64_t
wait_of(const struct policy_in *in, enum policy_wait kind)
{
	int64_t wait = schedule_backoff(
	    in->failures, in->not_before, in->not_after, in->now);
	int64_t hourly = wait < HOUR ? wait : rnd_jitter(HOUR, 20);

	switch (kind) {
	case WAIT_SAID: /* never earlier, and not all in the same second */
		/* "now", again and again, would have us ask without end */
		wait = in->err->retry_after_s;
		return (wait > hourly ? wait : hourly) + (int64_t)rnd_below(30);
	case WAIT_DOUBLING:
		return doubling(in->alike);
	case WAIT_DAILY:
		return rnd_jitter(DAY, 5);
	case WAIT_HOURLY:
		return hourly;
	case WAIT_BREAKER:
		wait = hourly;
		break;
	case WAIT_LADDER:
	case WAIT_PERSON:
		break;
	}
	/* what a CA says without a limit being meant is taken with reason */
	if (in->err->retry_after_s > wait)
		return in->err->retry_after_s <= DAY
			   ? in->err->retry_after_s + (int64_t)rnd_below(30)
			   : DAY;
	return wait;
}

bool
policy_is_long(int64_t wait, int64_t not_after, int64_t now)
{
	int64_t left = not_after - now;

	return wait > HOUR && wait > left / 8;
}

/* What the CA says counts, not that we wait longer. */
static bool
is_long(const struct policy_in *in, int64_t wait)
{
	int64_t said = in->err->retry_after_s;

	return policy_is_long(said >= 0 ? said : wait, in->not_after, in->now);
}

void
policy_decide(const struct policy_in *in, struct decision *d)
{
	const struct policy_row *row = policy_find(in->err, in->where);
	int64_t wait = wait_of(in, row->wait);

	d->row = row;
	d->until = row->wait == WAIT_PERSON ? INT64_MAX : in->now + wait;
	d->operator=(row->flags & POLICY_OPERATOR) != 0;
	d->rehearse = (row->flags & POLICY_REHEARSE) != 0;
	d->failover =
	    (row->flags & POLICY_FAILOVER) != 0 ||
	    ((row->flags & POLICY_FAILOVER_LONG) != 0 && is_long(in, wait));
}
