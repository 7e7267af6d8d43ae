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
#include "daemon/engine/policy.h"
#include "daemon/engine/session.h"
#include "daemon/engine/tokens.h"
#include "daemon/engine/upstairs.h"
#include "lib/io/dns.h"

struct issue;

struct issue_env { /* outlives every attempt */
	struct loop *loop;
	struct certs *certs;
	struct keys *keys;
	struct tokens *tokens;
	struct upstairs *upstairs;
	struct dns *dns;
	const struct conf *conf;
	/* No step is begun any more: what is on disk goes on later. */
	bool halted;
	void (*on_halted)(void *arg); /* one has come to where it would */
	void *halted_arg;
	/* The CA takes its time with this one: it need not keep its place among
	 * those in flight.  False: it has to. */
	bool (*on_slow)(void *arg, struct cert *);
	void *slow_arg;
};

enum issue_mode {
	ISSUE_REAL = 0,
	ISSUE_REHEARSAL, /* everything but installing it (protocol M5) */
	ISSUE_CHECK,     /* what can be known without an order */
};

enum issue_end {
	ISSUE_OK,      /* installed; or tried out and found well */
	ISSUE_FAILED,  /* of this certificate: back off */
	ISSUE_BLOCKED, /* the CA or the account as a whole: not our fault */
	ISSUE_LOST, /* what a newOrder of an earlier run has made, if it did */
};

struct outcome {
	enum issue_end end;
	enum issue_mode mode;
	enum policy_where where; /* it ended, when it failed */
	bool ordered;            /* the CA has made an order, or may have */
	bool issued;             /* and a certificate */
	/* Why it did not succeed; with ISSUE_OK, that the state was not saved.
	 */
	const struct err *err;
};

/* Runs once, from the loop. */
typedef void issue_done(void *arg, struct cert *, const struct outcome *);

/* At that session's CA. */
struct issue_spec {
	struct session *session;
	enum issue_mode mode;
	bool caa; /* look first whether CAA lets this CA issue */
	/* ISSUE_REHEARSAL: whose test CA it is; CAA is looked at for that */
	struct session *rehearsed;
};
struct issue *issue_start(const struct issue_env *, struct cert *,
    const struct issue_spec *, issue_done *, void *arg, struct err *);
void issue_cancel(struct issue *); /* state stays for a later attempt */

/* "newOrder", "authorization", ...: where it is, for people. */
const char *issue_step_name(const struct issue *);
enum issue_mode issue_mode(const struct issue *);
/* What it waits for the CA to do, for people, and for how long already; NULL:
 * it does not. */
const char *issue_waits(const struct issue *, int64_t *waited_s);

/* Whether an order at that CA would name the certificate it replaces, so that
 * the CA does not count it (RFC 9773 5, protocol J11). */
bool issue_replaces(const struct cert *, const struct session *);
/* Whether the order to come is for just the names of what is installed. */
bool issue_same_names(const struct cert *);
/* Which of that CA's limits such an order counts for; its clock says whether
 * the window is open. */
struct budget_order issue_counts(const struct cert *, const struct session *);
/* Its order is under way again, or will not be issued: what it counts for. */
void issue_hold(const struct cert *, struct session *);
void issue_unhold(struct cert *, struct session *);
/* A second order within one attempt is one more for the CA's limits. */
int issue_spend_again(struct cert *, struct session *, struct err *);

/* What a certificate says of itself, taken down; all or nothing.  Its names are
 * those of the configuration, or some of them. */
int issued_take(struct issued *, const struct conf_cert *,
    const struct x509_info *, struct err *);
/* The key that was in use before (NULL: none) stays as long as the versions
 * that root keeps; older ones are dropped. */
void issued_retire(struct cert *, struct keys *, const char *was);
/* All but cert and key_id; pem is what it points into then. */
int install_fill(
    struct install *, const struct chain *, struct buf *pem, struct err *);

/* The CA may be making an order for it this moment. */
bool issue_ordering(const struct issue *);
/* The clock was set, or the host has slept: what is waited for may be over. */
void issue_look(struct issue *);

/* Give up the order under way. */
void issue_leave(const struct issue_env *, struct cert *);

/* Answer the tokens of an order that was under way when the process ended. */
void issue_republish(
    const struct issue_env *, struct cert *, const char *thumbprint);

/* For tests: the names of all steps, and where a restart takes each up. */
const char *issue_step(unsigned i, const char **resume); /* NULL: the end */
