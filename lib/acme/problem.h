/* SPDX-License-Identifier: ISC */
/* Problem documents (RFC 7807, RFC 8555 6.7), and what they say to people. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"

enum acme_problem {
	PROBLEM_UNKNOWN, /* a type we do not know, or about:blank */
	PROBLEM_ACCOUNT_DOES_NOT_EXIST,
	PROBLEM_ALREADY_REPLACED,
	PROBLEM_ALREADY_REVOKED,
	PROBLEM_BAD_CSR,
	PROBLEM_BAD_NONCE,
	PROBLEM_BAD_PUBLIC_KEY,
	PROBLEM_BAD_REVOCATION_REASON,
	PROBLEM_BAD_SIGNATURE_ALGORITHM,
	PROBLEM_CAA,
	PROBLEM_COMPOUND,
	PROBLEM_CONFLICT,
	PROBLEM_CONNECTION,
	PROBLEM_DNS,
	PROBLEM_EXTERNAL_ACCOUNT_REQUIRED,
	PROBLEM_INCORRECT_RESPONSE,
	PROBLEM_INVALID_CONTACT,
	PROBLEM_INVALID_PROFILE,
	PROBLEM_MALFORMED,
	PROBLEM_ORDER_NOT_READY,
	PROBLEM_RATE_LIMITED,
	PROBLEM_REJECTED_IDENTIFIER,
	PROBLEM_SERVER_INTERNAL,
	PROBLEM_TLS,
	PROBLEM_UNAUTHORIZED,
	PROBLEM_UNSUPPORTED_CONTACT,
	PROBLEM_UNSUPPORTED_IDENTIFIER,
	PROBLEM_USER_ACTION_REQUIRED, /* also Pebble's old agreementRequired */
	PROBLEM__COUNT,
};

const char *problem_name(enum acme_problem); /* "rateLimited"; "unknown" */
/* Of two things that are wrong at once, a is the one to name. */
bool problem_outweighs(enum acme_problem a, enum acme_problem b);
const char *problem_hint(enum acme_problem); /* advice for people, or NULL */
/* The same, looking at what the CA said too.  NULL unless ERR_PROBLEM. */
const char *problem_hint_for(const struct err *);
enum acme_problem problem_from_type(const char *urn); /* NULL is fine */

/*
 * Turn a reply of status >= 400 into e: ERR_PROBLEM when it is (or looks like)
 * a problem document, with subproblems, the "algorithms" list and their
 * identifiers in the text; else ERR_HTTP with the first 200 printable bytes.
 * A compound problem takes the id of its worst part.  retry_after_s stays -1.
 *
 * Text of the CA is cleaned.  It leaves PROBLEM_ROOM bytes of what[] for
 * err_wrap(), and when it must be cut, the URL of problem_url() is kept whole.
 * content_type and body may be NULL.  Always -1.
 */
#define PROBLEM_ROOM 256
int problem_decode(int status, const char *content_type, const char *body,
    size_t, struct err *);

/* The same for an "error" object inside an order or challenge: status is 0,
 * and e->num is what its own "status" says.  Always -1. */
struct json;
int problem_from_json(int status, const struct json *, struct err *);

/* Whether what a CA said, as err.what has it, is about that identifier. */
bool problem_names(const char *text, const char *ident);

/* The https URL in text that a person should open: an unpause URL, else the
 * first; NULL when there is none.  Points into text; *len is its length. */
const char *problem_url(const char *text, size_t *len);
