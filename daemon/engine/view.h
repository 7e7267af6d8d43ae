/* SPDX-License-Identifier: ISC */
/* What the control interface shows, as JSON: the caller frees. */
#pragma once

#include "daemon/engine/engine.h"
#include "lib/base/buf.h"
#include "lib/io/json.h"

#define VIEW_LIMIT  200u  /* certificates in a status, unless asked for */
#define VIEW_SERIES 1000u /* those with metrics of their own, likewise */
#define VIEW_MAX    5000u /* in any answer: the loop must not stand still */

/* The whole: verdict, counts, CAs, and up to limit certificates, those that
 * need somebody first, but for the first from of them. */
struct json *view_status(struct engine *, uint32_t from, uint32_t limit);

/* All that is known of one certificate. */
struct json *view_cert(struct engine *, const struct cert *);

/* What renew_now() would lift: what keeps it and the CAs of its list waiting.
 */
struct json *view_stops(const struct engine *, const struct cert *);

/* view_plan.c: what is left of the CAs' limits. */
struct json *view_budget(const struct engine *);
/* What that configuration would do; NULL: no memory. */
struct json *view_plan(
    const struct engine *, const struct conf *, struct err *);

/*
 * view_metrics.c: the same as numbers, in Prometheus' text format.  Each
 * certificate has series of its own when there are no more than limit; else
 * those that something is wrong with have, up to limit, the worst first.
 */
int view_metrics(
    const struct engine *, uint32_t limit, struct buf *out, struct err *);

/* What the views share. */
enum view_state {
	STATE_NONE,
	STATE_QUEUED,
	STATE_ISSUING,
	STATE_TRYING_OUT,
	STATE_VALID,
	STATE_RENEWING,
	STATE_EXPIRED,
	STATE__COUNT
};
enum view_state view_state(const struct engine *, const struct cert *);
extern const char *const view_states[STATE__COUNT];
extern const char *const view_healths[HEALTH_BAD + 1];
extern const char *const view_alarms[ALARM_CRITICAL + 1];
/* bad: how many certificates need somebody */
bool view_healthy(const struct engine *, uint32_t bad);
/* When the next attempt begins; 0: one is under way or waits for its turn,
 * which plan_turns() knows, or no instant is set. */
int64_t view_next(const struct engine *, const struct cert *);
