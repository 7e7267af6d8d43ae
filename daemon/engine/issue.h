/* SPDX-License-Identifier: ISC */
/*
 * One attempt to get one certificate: a table of steps with one driver.  The
 * order's own status decides what comes next, whatever we did last, so a
 * restart, a reused authorization and an order that is born valid are one
 * case (RFC 8555 7.1.6, 7.4).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/engine/certs.h"
#include "daemon/engine/keys.h"
#include "daemon/engine/session.h"
#include "daemon/engine/tokens.h"
#include "daemon/engine/upstairs.h"

struct issue;

struct issue_env { /* outlives every attempt */
	struct loop *loop;
	struct certs *certs;
	struct keys *keys;
	struct tokens *tokens;
	struct upstairs *upstairs;
	const struct conf *conf;
};

enum issue_end {
	ISSUE_OK,      /* installed */
	ISSUE_FAILED,  /* of this certificate: back off */
	ISSUE_BLOCKED, /* the CA or the account as a whole: not our fault */
};

/* Runs once, from the loop.  e says why when it did not succeed; with ISSUE_OK,
 * that the state was not saved. */
typedef void issue_done(
    void *arg, struct cert *, enum issue_end, const struct err *e);

struct issue *issue_start(const struct issue_env *, struct cert *,
    struct session *, issue_done *, void *arg, struct err *);
void issue_cancel(struct issue *); /* state stays for a later attempt */

/* "newOrder", "authorization", ...: where it is, for people. */
const char *issue_step_name(const struct issue *);

/* Answer the tokens of an order that was under way when the process ended. */
void issue_republish(
    const struct issue_env *, struct cert *, const char *thumbprint);

/* For tests: the names of all steps, and where a restart takes each up. */
const char *issue_step(unsigned i, const char **resume); /* NULL: the end */
