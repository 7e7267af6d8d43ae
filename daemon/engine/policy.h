/* SPDX-License-Identifier: ISC */
/*
 * From what went wrong, and where, to what is done about it: one table
 * (protocol P).  Pure functions; what they say is carried out by renew.c for a
 * certificate and by session.c for an account or a CA.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

enum policy_where {      /* which part of an attempt; also bits of a mask */
	WHERE_CA = 1,    /* directory, nonce, account */
	WHERE_ORDER = 2, /* newOrder, and what is looked at before it */
	WHERE_NAME = 4,  /* authorizations and challenges */
	WHERE_CERT = 8,  /* finalize, certificate, chain */
	WHERE_HERE = 16, /* keys, state, installing: this machine */
};

enum policy_scope { /* what is not tried until then */
	SCOPE_CERT,
	SCOPE_NAME, /* counts for every certificate with that name (M4) */
	SCOPE_ACCOUNT,
	SCOPE_CA,
};

enum policy_wait {
	WAIT_LADDER,   /* Q1: 1 min, 10 min, 100 min, then lifetime / 40 */
	WAIT_SAID,     /* as the CA said; the ladder, or an hour, at least */
	WAIT_DOUBLING, /* 1 h, doubling to a day */
	WAIT_DAILY,
	WAIT_HOURLY,  /* the ladder, but an hour at most: it is ours to mend */
	WAIT_BREAKER, /* breaker.h, for the whole CA; one's own: the same */
	WAIT_PERSON,  /* until the configuration or a person's word changes */
};

/* In front of trouble of the whole CA that only one certificate has there. */
#define POLICY_OTHERS "the CA serves others, and fails at this one"

enum policy_flag {
	POLICY_OPERATOR = 1,      /* a person must act */
	POLICY_FAILOVER = 2,      /* another CA may succeed (protocol N2) */
	POLICY_FAILOVER_LONG = 4, /* the same, when the wait is a long one */
	POLICY_REHEARSE = 8,      /* the next try goes to the test CA (M5) */
	POLICY_NAMED = 16, /* a name's fault, when it says of which (E26) */
};

struct policy_row {
	const char *name; /* tests, state and acmectl call it that */
	unsigned where;   /* mask */
	enum policy_scope scope;
	enum policy_wait wait;
	unsigned flags;
};

struct policy_in {
	const struct err *err;
	enum policy_where where;
	unsigned failures; /* in a row, this one included; >= 1 */
	unsigned alike;    /* of them the last ones, of its row; >= 1 */
	int64_t not_before, not_after; /* of what is in service; 0: nothing */
	int64_t now;
};

struct decision {
	const struct policy_row *row;
	int64_t until; /* not before; INT64_MAX: WAIT_PERSON */
	bool operator, failover, rehearse;
};

/* Always finds a row. */
const struct policy_row *policy_find(
    const struct err *, enum policy_where where);
void policy_decide(const struct policy_in *, struct decision *);

/* Whether so many seconds of waiting for a limit are reason to look for another
 * CA (protocol N2).  not_after: of what is in service; 0: nothing. */
bool policy_is_long(int64_t wait, int64_t not_after, int64_t now);

/* What a person should do; row: the name of one, or NULL.  NULL: no advice. */
const char *policy_hint(const char *row, const struct err *);

/* For tests and documents: every row; NULL: the end. */
const struct policy_row *policy_row(size_t i);
/* The row of that name, or NULL, is of what was found at a name, which any CA
 * would find. */
bool policy_of_name(const char *row);
/* The row of that name in the program's own text, for what was on disk. */
const char *policy_name(const char *); /* NULL: none */
