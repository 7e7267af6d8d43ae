/* SPDX-License-Identifier: ISC */
/* Certificates, CAs and the whole, as people's programs want to read them. */

#include "daemon/engine/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/failover.h"
#include "daemon/engine/plan.h"
#include "daemon/engine/schedule.h"
#include "lib/acme/problem.h"
#include "lib/base/clock.h"
#include "lib/crypto/key.h"

#define URN_MAX      96
#define HINT_MAX     8192
#define LEFT_OUT_MAX 10 /* of a certificate, in the list of all */

const char *const view_healths[] = {
	[HEALTH_OK] = "ok",
	[HEALTH_WAITING] = "waiting",
	[HEALTH_WARN] = "warning",
	[HEALTH_BAD] = "bad",
};

const char *const view_alarms[] = {
	[ALARM_NONE] = "none",
	[ALARM_INFO] = "info",
	[ALARM_WARN] = "warning",
	[ALARM_CRITICAL] = "critical",
};

const char *const view_states[] = {
	[STATE_NONE] = "none",
	[STATE_QUEUED] = "queued",
	[STATE_ISSUING] = "issuing",
	[STATE_TRYING_OUT] = "trying out",
	[STATE_VALID] = "valid",
	[STATE_RENEWING] = "renewing",
	[STATE_EXPIRED] = "expired",
};

enum view_state
view_state(const struct engine *en, const struct cert *c)
{
	if (c->issue != NULL && issue_mode(c->issue) == ISSUE_REHEARSAL)
		return STATE_TRYING_OUT;
	if (c->issue != NULL)
		return c->have.version == 0 ? STATE_ISSUING : STATE_RENEWING;
	if (c->ready.pos != 0)
		return STATE_QUEUED;
	if (c->have.version == 0)
		return STATE_NONE;
	return c->have.not_after <= engine_now(en) ? STATE_EXPIRED
						   : STATE_VALID;
}

bool
view_healthy(const struct engine *en, uint32_t bad)
{
	return bad == 0 && !en->clock_bad && en->certs.n_unsaved == 0 &&
	       en->refused.at == 0;
}

int64_t
view_next(const struct engine *en, const struct cert *c)
{
	int64_t at;

	if (c->issue != NULL || en->clock_bad)
		return 0;
	if (c->ready.pos == 0)
		return renew_next(c);
	at = session_blocked(en->cas[renew_ca(en, c)].session, NULL);
	return at == INT64_MAX ? 0 : at;
}

static const char *
hint_of(const struct trouble *t)
{
	struct err e;
	char urn[URN_MAX];

	if (t->type != NULL && strcmp(t->type, err_kind_name(ERR_SYS)) == 0) {
		(void)err_set(&e, ERR_PROTO, 0, "%s", t->text);
		e.kind = ERR_SYS; /* the text is complete */
		return policy_hint(t->row, &e);
	}
	(void)err_set(&e, ERR_PROBLEM, 0, "%s", t->text);
	(void)snprintf(urn, sizeof(urn), "urn:ietf:params:acme:error:%s",
	    t->type == NULL ? "" : t->type);
	e.problem = problem_from_type(urn);
	return policy_hint(t->row, &e);
}

/* The page that a person should open. */
static void
set_url(struct json *o, const char *text)
{
	char action[ERR_WHAT_MAX];
	size_t len;
	const char *url = problem_url(text, &len);

	if (url != NULL && (size_t)snprintf(action, sizeof(action), "%.*s",
			       (int)len, url) < sizeof(action))
		json_set_str(o, "url", action);
}

static struct json *
set_trouble(struct json *o, const char *key, const struct trouble *t)
{
	struct json *to;

	if (t->text == NULL)
		return NULL;
	to = json_set_object(o, key);
	json_set_str(to, "text", t->text);
	json_set_str(to, "type", t->type);
	json_set_int(to, "failures", t->failures);
	json_set_bool(to, "operator", t->operator);
	if (t->row != NULL)
		json_set_str(to, "policy", t->row);
	json_set_time(to, "at", t->at);
	json_set_time(to, "since", t->since);
	json_set_time(to, "next", t->next);
	if (t->operator)
		set_url(to, t->text);
	json_set_str(to, "hint", hint_of(t));
	return to;
}

/* Of the reload command, as it is run. */
static void
set_command(const struct engine *en, const struct cert *c, struct json *o,
    const char *key)
{
	const char *const *a;
	struct json *argv;

	if (o == NULL || c->conf->reload == CONF_NONE)
		return;
	argv = json_set_array(o, key);
	for (a = en->conf->commands[c->conf->reload].argv; *a != NULL; a++)
		json_push_str(argv, *a);
}

/* What acmed will do next about it, and when. */
static void
set_next(const struct engine *en, const struct cert *c, struct json *o)
{
	const struct session *s = en->cas[renew_ca(en, c)].session;
	int64_t at = view_next(en, c), blocked = session_blocked(s, NULL);
	const char *what = "renew";

	if (c->issue != NULL) {
		json_set_str(o, "step", issue_step_name(c->issue));
		what = issue_waits(c->issue, &at);
		json_set_str(o, "next",
		    what == NULL ? "go on with the attempt under way" : what);
		if (what != NULL)
			json_set_int(o, "waited_s", at);
		return;
	}
	if (en->clock_bad) {
		json_set_str(o, "next", "wait for the clock to be right");
		return;
	}
	if (c->ready.pos != 0) {
		what = blocked == INT64_MAX ? "wait for you"
		       : blocked != 0       ? "wait for the CA"
		       : c->limited         ? "wait for a limit of the CA"
					    : "wait for a place";
		if (blocked == 0 && c->limited)
			at = c->turn_at;
	} else if (c->waits != NULL) {
		what = "wait for a limit of the CA";
		at = c->turn_at > clock_now() ? c->turn_at : at;
	} else if (c->issue_trouble.next != 0 && at <= c->issue_trouble.next) {
		what = c->rehearse ? "try out at the test CA" : "try again";
	} else if (partial_when(c, INT64_MAX) <= at) {
		what = "try all names again";
	}
	if (c->deploy == DEPLOY_RELOAD) {
		at = c->reload_listed ? c->deploy_trouble.next : 0;
		what = c->deploy_trouble.failures != 0
			   ? "run the reload command again"
			   : "run the reload command";
	}
	json_set_str(o, "next", what);
	json_set_time(o, "next_at", at);
}

static void
set_recall(const struct engine *en, const struct cert *c, struct json *o)
{
	struct json *r;

	if (!cert_recalled(c, engine_now(en)))
		return;
	r = json_set_object(o, "replace");
	json_set_time(r, "since", c->window.end);
	if (c->window.url != NULL)
		json_set_str(r, "url", c->window.url);
}

/* Of its list, which will never be asked, and why. */
static void
set_passed_over(const struct engine *en, const struct cert *c, struct json *o)
{
	struct json *list = NULL, *one;
	const char *why;
	uint32_t i;

	for (i = 0; i < c->conf->n_cas; i++) {
		why = failover_refusal(en->conf, c, i);
		if (why == NULL)
			continue;
		if (list == NULL)
			list = json_set_array(o, "passed_over");
		one = json_push_object(list);
		json_set_str(one, "ca", en->conf->cas[c->conf->cas[i]].name);
		json_set_str(one, "text", why);
	}
}

/* Names that the certificate is without, and why. */
static void
set_left_out(const struct cert *c, struct json *o, uint32_t most)
{
	const struct partial *p = c->partial;
	uint32_t i, n = 0;
	struct json *list, *one;

	if (partial_n_out(c) == 0)
		return;
	json_set_int(o, "left_out_count", partial_n_out(c));
	json_set_int(o, "names_count", c->conf->n_idents);
	json_set_time(o, "left_out_tried_again", p->whole_at);
	list = json_set_array(o, "left_out");
	for (i = 0; i < p->n_bad; i++) {
		const struct bad_name *b = &p->bad[i];

		if (!b->out || n++ >= most)
			continue;
		one = json_push_object(list);
		json_set_str(one, "name", c->conf->idents[b->ident]);
		if (b->type != NULL)
			json_set_str(one, "type", b->type);
		if (b->text != NULL) {
			json_set_str(one, "text", b->text);
			set_url(one, b->text);
		}
		json_set_time(one, "since", b->since);
		json_set_time(one, "at", b->at);
	}
}

static void
brief(const struct engine *en, const struct cert *c, uint32_t left_out,
    struct json *o)
{
	const struct issued *h = &c->have;
	enum view_state state = view_state(en, c);
	const char *hint = health_hint(en, c);
	struct json *trouble;

	json_set_str(o, "name", c->conf->name);
	json_set_str(o, "health", view_healths[cert_health(en, c)]);
	json_set_str(o, "alarm", view_alarms[cert_alarm(en, c)]);
	json_set_str(o, "state", view_states[state]);
	json_set_str(
	    o, "ca", session_ca(en->cas[renew_ca(en, c)].session)->name);
	set_passed_over(en, c, o);
	if (h->version != 0)
		json_set_str(o, "issued_by", h->ca);
	json_set_time(o, "not_after", h->not_after);
	if (h->version != 0)
		json_set_int(o, "left_permille",
		    schedule_left(h->not_before, h->not_after, engine_now(en)));
	if (h->version != 0)
		json_set_time(o, "renew_at", cert_renew_at(c));
	json_set_str(o, "deploy",
	    c->deploy == DEPLOY_DONE     ? "done"
	    : c->deploy == DEPLOY_RELOAD ? "reload due"
					 : "none");
	set_next(en, c, o);
	if (c->waits != NULL)
		json_set_str(o, "waiting_for", c->waits);
	if (c->instead != NULL)
		json_set_str(o, "instead", c->instead);
	if (state == STATE_TRYING_OUT)
		json_set_bool(o, "rehearsing", true);
	set_recall(en, c, o);
	set_left_out(c, o, left_out);
	if (c->restored != NULL) {
		json_set_str(o, "restored", c->restored);
		json_set_time(o, "restored_at", c->restored_at);
	}
	trouble = set_trouble(o, "trouble", &c->issue_trouble);
	if (trouble != NULL && hint != NULL)
		json_set_str(trouble, "hint", hint);
	set_command(en, c, set_trouble(o, "deploy_trouble", &c->deploy_trouble),
	    "command");
}

static void
set_list(struct json *o, const char *key, const char **list)
{
	struct json *a = json_set_array(o, key);

	for (; list != NULL && *list != NULL; list++)
		json_push_str(a, *list);
}

static void
view_ca(const struct ca_queue *q, struct json *o)
{
	const struct directory *d = session_directory(q->session);
	const struct conf_ca *ca = session_ca(q->session);
	const char *why;
	int64_t until = session_blocked(q->session, &why), ahead = 0;

	(void)session_clock(q->session, &ahead);
	json_set_str(o, "name", ca->name);
	json_set_str(o, "directory", ca->directory);
	json_set_str(o, "account", session_account_url(q->session));
	json_set_str(o, "thumbprint", session_thumbprint(q->session));
	if (d != NULL) {
		json_set_str(o, "terms_of_service", d->terms);
		json_set_str(o, "website", d->website);
		set_list(o, "caa_identities", d->caa_identities);
		set_list(o, "profiles", d->profiles);
	}
	json_set_int(o, "active", q->active + q->parked);
	json_set_int(o, "queued", (int64_t)(q->ready.n + q->limited.n));
	json_set_int(o, "clock_ahead_s", ahead);
	json_set_bool(o, "stopped", until == INT64_MAX);
	if (until == 0)
		return;
	json_set_str(o, "trouble", why);
	json_set_str(o, "hint", session_hint(q->session));
	json_set_time(o, "since", session_breaker(q->session)->since);
	if (until != INT64_MAX)
		json_set_time(o, "next_at", until);
	else
		set_url(o, why);
}

/* Those that need somebody first, then what is under way, what ends first, and
 * what waits in the order of its turns. */
static int
by_need(const void *a, const void *b)
{
	const struct cert *x = *(const struct cert *const *)a;
	const struct cert *y = *(const struct cert *const *)b;

	if (x->shown_health != y->shown_health)
		return x->shown_health > y->shown_health ? -1 : 1;
	if ((x->issue != NULL) != (y->issue != NULL))
		return x->issue != NULL ? -1 : 1;
	if (x->have.not_after != y->have.not_after)
		return x->have.not_after < y->have.not_after ? -1 : 1;
	if (x->turn_at != y->turn_at)
		return x->turn_at < y->turn_at ? -1 : 1;
	return strcmp(x->conf->name, y->conf->name);
}

/* Returns how many need somebody; without memory that is not known. */
static uint32_t
list(const struct engine *en, uint32_t from, uint32_t limit, struct json *o)
{
	struct cert **order = calloc(en->certs.n + 1, sizeof(*order));
	struct json *certs = json_set_array(o, "certificates");
	uint32_t bad = 0, i;

	if (order == NULL)
		return UINT32_MAX;
	for (i = 0; i < en->certs.n; i++) {
		order[i] = &en->certs.all[i];
		order[i]->shown_health =
		    (unsigned char)cert_health(en, order[i]);
		bad += order[i]->shown_health == HEALTH_BAD;
	}
	qsort(order, en->certs.n, sizeof(*order), by_need);
	for (i = from; i < en->certs.n && i - from < limit; i++)
		brief(en, order[i], LEFT_OUT_MAX, json_push_object(certs));
	if (i < en->certs.n)
		json_set_int(o, "not_shown", en->certs.n - i);
	free(order);
	return bad;
}

/* Limits decide when there are some; else the pace that it has had. */
static int64_t
queue_ends(const struct engine *en, int64_t ends)
{
	int64_t now = clock_now(), left;
	uint32_t i;

	for (i = 0; i < en->conf->n_cas; i++) {
		const struct ca_queue *q = &en->cas[i];

		if (q->ready.n == 0 || q->done == 0)
			continue;
		left = (int64_t)q->ready.n * (now - q->first_at) / q->done;
		/* Sub-second is still not yet. */
		left = left > 0 ? left : 1;
		ends = now + left > ends ? now + left : ends;
	}
	return ends > now ? ends : 0;
}

/* How far a long queue is. */
static void
set_queue(const struct engine *en, int64_t ends, struct json *root)
{
	uint32_t done = 0, running = 0, waiting = 0, limited = 0, i;
	struct json *o = json_set_object(root, "queue");

	for (i = 0; i < en->conf->n_cas; i++) {
		const struct ca_queue *q = &en->cas[i];

		if (q->active + q->parked + q->ready.n + q->limited.n != 0)
			done += q->done;
		running += q->active + q->parked;
		waiting += (uint32_t)(q->ready.n + q->limited.n);
		limited += (uint32_t)q->limited.n;
	}
	for (i = 0; i < en->certs.n; i++) {
		const struct cert *c = &en->certs.all[i];

		if (c->waits != NULL && c->sleep.pos != 0) {
			waiting++;
			limited++;
		}
	}
	json_set_int(o, "done", done);
	json_set_int(o, "running", running);
	json_set_int(o, "waiting", waiting);
	json_set_int(o, "limited", limited);
	if (waiting != 0)
		json_set_time(o, "ends", queue_ends(en, ends));
}

static void
set_orphans(const struct engine *en, struct json *root)
{
	struct json *list = json_set_array(root, "unconfigured"), *o;
	const struct orphan * or ;
	unsigned n = 0;

	SLIST_FOREACH (or, &en->certs.orphans, link) {
		if (n++ == VIEW_MAX)
			break;
		o = json_push_object(list);
		json_set_str(o, "name", or->name);
		json_set_time(o, "not_after", or->have.not_after);
		json_set_str(o, "ca", or->have.ca);
	}
}

/* The latest configuration is not in force. */
static void
set_refused(const struct engine *en, struct json *root)
{
	AUTO(buf_done) struct buf hint = BUF_INIT(HINT_MAX);
	const struct ipc_refused *r = &en->refused;
	struct json *o;

	if (r->at == 0)
		return;
	o = json_set_object(root, "config_refused");
	json_set_time(o, "since", r->since);
	json_set_time(o, "at", r->at);
	json_set_int(o, "errors", r->n_errors);
	json_set_str(o, "error", r->error);
	if (r->checks != 0)
		buf_printf(&hint,
		    "mend it until this says ok: acmed -t -c %s; then: acmectl "
		    "reload; as it is, acmed would not start again",
		    en->conf->file);
	else
		buf_puts(&hint,
		    "mend the cause, or put the file back as it was; then: "
		    "acmectl reload");
	json_set_str(o, "hint", buf_str(&hint));
}

static bool
some_wait(const struct engine *en)
{
	uint32_t i;

	for (i = 0; i < en->certs.n; i++)
		if (en->certs.all[i].waits != NULL)
			return true;
	return false;
}

struct json *
view_status(struct engine *en, uint32_t from, uint32_t limit)
{
	struct json *root = json_object(), *counts, *cas;
	struct responder_stats rs;
	struct ipc_status s;
	int64_t ends = 0;
	uint32_t i;

	engine_count(en, &s);
	json_set_str(root, "version", ACMED_VERSION);
	json_set_str(root, "config", en->conf->file);
	json_set_time(root, "config_loaded", en->conf_read_at);
	set_refused(en, root);
	json_set_time(root, "now", clock_now());
	json_set_time(root, "started", en->started_at / 1000);
	json_set_bool(root, "clock_right", !en->clock_bad);
	if (en->clock_bad && en->certs.newest_saved > clock_now())
		json_set_time(root, "state_saved", en->certs.newest_saved);
	counts = json_set_object(root, "counts");
	json_set_int(counts, "certificates", s.total);
	json_set_int(counts, "valid", s.valid);
	json_set_int(counts, "busy", s.busy);
	json_set_int(counts, "failing", s.failing);
	json_set_int(counts, "unsaved", en->certs.n_unsaved);
	if (s.busy != 0 || some_wait(en))
		ends = plan_turns(en);
	json_set_bool(
	    root, "healthy", view_healthy(en, list(en, from, limit, root)));
	set_queue(en, ends, root);
	set_orphans(en, root);
	cas = json_set_array(root, "cas");
	for (i = 0; i < en->conf->n_cas; i++)
		if (en->conf->cas[i].used)
			view_ca(&en->cas[i], json_push_object(cas));
	if (en->responder != NULL) {
		responder_stats(en->responder, &rs);
		counts = json_set_object(root, "http");
		json_set_int(counts, "open", rs.open);
		json_set_int(counts, "requests", (int64_t)rs.requests);
		json_set_int(
		    counts, "challenges_answered", (int64_t)rs.answered);
		json_set_int(counts, "evicted", (int64_t)rs.evicted);
	}
	return root;
}

static void
set_window(const struct cert *c, struct json *o)
{
	const struct window *w = &c->window;
	struct json *to;

	if (w->next == 0)
		return;
	to = json_set_object(o, "window");
	json_set_time(to, "start", w->start);
	json_set_time(to, "end", w->end);
	json_set_time(to, "picked", w->picked);
	json_set_time(to, "asked_again", w->next);
	if (w->url != NULL)
		json_set_str(to, "url", w->url);
}

static void
push_stop(struct json *list, const char *ca, const char *why, int64_t until)
{
	struct json *o = json_push_object(list);

	if (ca != NULL)
		json_set_str(o, "ca", ca);
	json_set_str(o, "text", why);
	json_set_time(o, "until", until == INT64_MAX ? 0 : until);
}

struct json *
view_stops(const struct engine *en, const struct cert *c)
{
	const struct trouble *t = &c->issue_trouble;
	struct json *list = json_array();
	int64_t until;
	const char *why;
	uint32_t i;

	/* one that is not due would not be tried then */
	if (t->next > clock_now() && t->text != NULL &&
	    view_next(en, c) <= t->next)
		push_stop(list, NULL, t->text, t->next);
	for (i = 0; i < c->conf->n_cas; i++) {
		const struct session *s = en->cas[c->conf->cas[i]].session;

		until = session_blocked(s, &why);
		if (until != 0)
			push_stop(list, session_ca(s)->name, why, until);
	}
	return list;
}

struct json *
view_cert(struct engine *en, const struct cert *c)
{
	const struct issued *h = &c->have;
	struct json *o = json_object(), *names;
	AUTO(buf_done) struct buf dir = BUF_INIT(4096);
	uint32_t i;

	if (c->waits != NULL)
		(void)plan_turns(en);
	brief(en, c, UINT32_MAX, o);
	names = json_set_array(o, "names");
	for (i = 0; i < c->conf->n_idents; i++)
		json_push_str(names, c->conf->idents[i]);
	json_set_str(o, "account",
	    session_account_url(en->cas[renew_ca(en, c)].session));
	json_set_str(o, "key_type", key_type_name((enum key_type)c->conf->key));
	json_set_str(o, "order", c->order_url);
	json_set_int(o, "line", c->conf->line);
	set_command(en, c, o, "reload");
	if (h->version == 0)
		return o;
	json_set_str(o, "issuer", h->issuer);
	json_set_str(o, "serial", h->serial);
	json_set_str(o, "key_id", h->key_id);
	json_set_str(o, "ari_id", h->ari_id);
	json_set_time(o, "not_before", h->not_before);
	json_set_time(o, "installed_at", h->installed_at);
	json_set_int(o, "version", h->version);
	set_window(c, o);
	json_set_bool(o, "config_changed",
	    cert_changed(en->conf, c->conf, &c->wants, h) != CHANGE_NONE);
	buf_printf(&dir, "%s/live/%s", en->conf->state_dir, c->conf->name);
	json_set_str(o, "dir", buf_str(&dir));
	return o;
}
