/* SPDX-License-Identifier: ISC */
/*
 * The whole as numbers (protocol Q9), in version 0.0.4 of Prometheus' text
 * format: node_exporter's textfile collector reads no other.  Its rules are
 * one HELP and TYPE for each name and all of its samples behind them, so each
 * name is one walk over what it is told of.
 *
 * All is gone over once for the sums, and what has series of its own is bounded
 * by the caller: an answer costs the loop some milliseconds, however many
 * certificates there are.
 */

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/view.h"
#include "lib/base/clock.h"

#define ABSENT    INT64_MIN /* no sample */
#define TYPES_MAX 64        /* of errors: more than there are */

/* The format */

static void
family(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
put_label(struct buf *out, char before, const char *key, const char *value)
{
	buf_putc(out, before);
	buf_puts(out, key);
	buf_puts(out, "=\"");
	for (; *value != '\0'; value++) {
		if (*value == '\n') {
			buf_puts(out, "\\n");
			continue;
		}
		if (*value == '"' || *value == '\\')
			buf_putc(out, '\\');
		buf_putc(out, *value);
	}
	buf_putc(out, '"');
}

struct labels { /* up to two; key NULL: none */
	const char *key, *value;
	const char *key2, *value2;
};

static void
sample(struct buf *out, const char *name, const struct labels *l, int64_t v)
{
	if (v == ABSENT)
		return;
	buf_puts(out, name);
	if (l->key != NULL)
		put_label(out, '{', l->key, l->value);
	if (l->key2 != NULL)
		put_label(out, ',', l->key2, l->value2);
	buf_printf(out, "%s %lld\n", l->key == NULL ? "" : "}", (long long)v);
}

static void
single(struct buf *out, const char *name, const char *type, const char *help,
    int64_t v)
{
	if (v == ABSENT)
		return;
	family(out, name, type, help);
	sample(out, name, &(struct labels){ 0 }, v);
}

static int64_t
instant(int64_t t)
{
	return t == 0 ? ABSENT : t;
}

/* Sums of all certificates */

struct sums {
	uint32_t state[STATE__COUNT], health[HEALTH_BAD + 1];
	uint32_t alarm[ALARM_CRITICAL + 1];
	uint32_t valid, limited, partial, reload_due, reload_failing;
	const char *type[TYPES_MAX]; /* of the last error: text and number */
	uint32_t n_type[TYPES_MAX], n_types;
};

static const char *
error_type(const struct trouble *t)
{
	return t->type == NULL ? "unknown" : t->type;
}

/* One text is in few places of the memory, so most are found by that. */
static void
count_type(struct sums *s, const char *type)
{
	uint32_t i;

	for (i = 0; i < s->n_types; i++)
		if (s->type[i] == type || strcmp(s->type[i], type) == 0)
			break;
	if (i == TYPES_MAX)
		return;
	if (i == s->n_types) {
		s->type[i] = type;
		s->n_types++;
	}
	s->n_type[i]++;
}

static void
sum_up(const struct engine *en, struct sums *s)
{
	int64_t now = engine_now(en);
	uint32_t i;

	memset(s, 0, sizeof(*s));
	for (i = 0; i < en->certs.n; i++) {
		struct cert *c = &en->certs.all[i];
		enum health health = cert_health(en, c);

		c->shown_health = (unsigned char)health;
		s->health[health]++;
		s->state[view_state(en, c)]++;
		s->alarm[cert_alarm(en, c)]++;
		s->valid += c->have.version != 0 && c->have.not_after > now;
		s->limited +=
		    c->limited || (c->waits != NULL && c->sleep.pos != 0);
		s->partial += partial_n_out(c) != 0;
		s->reload_due += c->deploy == DEPLOY_RELOAD;
		s->reload_failing += c->deploy_trouble.text != NULL;
		if (c->issue_trouble.text != NULL)
			count_type(s, error_type(&c->issue_trouble));
	}
}

static void
by(struct buf *out, const char *name, const char *help, const char *key,
    const char *const *values, const uint32_t *n, size_t size)
{
	size_t i;

	family(out, name, "gauge", help);
	for (i = 0; i < size; i++)
		sample(out, name,
		    &(struct labels){ key, values[i], NULL, NULL }, n[i]);
}

static void
put_sums(const struct engine *en, const struct sums *s, struct buf *out)
{
	const struct orphan * or ;
	uint32_t orphans = 0;

	SLIST_FOREACH (or, &en->certs.orphans, link)
		orphans++;
	single(out, "acmed_certificates", "gauge",
	    "Certificates that are configured.", en->certs.n);
	single(out, "acmed_certificates_valid", "gauge",
	    "Certificates that are there and have not expired.", s->valid);
	by(out, "acmed_certificates_by_state",
	    "Certificates by what is done with them now.", "state", view_states,
	    s->state, STATE__COUNT);
	by(out, "acmed_certificates_by_health",
	    "Certificates by whether all is well; bad: a person must act.",
	    "health", view_healths, s->health, NELEM(s->health));
	by(out, "acmed_certificates_by_alarm",
	    "Certificates by the fraction of their lifetime that is left: info "
	    "below 1/3, warning below 1/4, critical below 1/8 or 24 hours.",
	    "alarm", view_alarms, s->alarm, NELEM(s->alarm));
	by(out, "acmed_certificates_by_error",
	    "Certificates whose last attempt failed, by the type of its error.",
	    "type", s->type, s->n_type, s->n_types);
	single(out, "acmed_certificates_waiting_for_limit", "gauge",
	    "Certificates whose order waits for a limit of the CA.",
	    s->limited);
	single(out, "acmed_certificates_partial", "gauge",
	    "Certificates that are without some of their names, which fail.",
	    s->partial);
	single(out, "acmed_certificates_reload_due", "gauge",
	    "Installed certificates whose reload command has not succeeded "
	    "yet.",
	    s->reload_due);
	single(out, "acmed_certificates_reload_failing", "gauge",
	    "Those of them whose reload command has failed.",
	    s->reload_failing);
	single(out, "acmed_certificates_unsaved", "gauge",
	    "Certificates whose state could not be written to disk.",
	    en->certs.n_unsaved);
	single(out, "acmed_certificates_unconfigured", "gauge",
	    "Certificates that are not configured any more, nor forgotten.",
	    orphans);
}

/* The process */

static void
put_http(const struct engine *en, struct buf *out)
{
	struct responder_stats rs;

	if (en->responder == NULL)
		return;
	responder_stats(en->responder, &rs);
	single(out, "acmed_http_connections", "gauge",
	    "Open connections on port 80.", rs.open);
	single(out, "acmed_http_requests_total", "counter",
	    "Requests on port 80 since the engine was started, as each reload "
	    "does.",
	    (int64_t)rs.requests);
	single(out, "acmed_http_challenges_answered_total", "counter",
	    "Those of them that asked for a challenge that is there.",
	    (int64_t)rs.answered);
	single(out, "acmed_http_connections_evicted_total", "counter",
	    "Connections on port 80 that made room for others, since then.",
	    (int64_t)rs.evicted);
}

static void
put_process(const struct engine *en, const struct sums *s, struct buf *out)
{
	static const char info[] = "acmed_build_info";

	family(out, info, "gauge", "Always 1; the version of acmed.");
	sample(out, info,
	    &(struct labels){ "version", ACMED_VERSION, NULL, NULL }, 1);
	single(out, "acmed_healthy", "gauge",
	    "Whether nothing needs a person, as acmectl status says.",
	    view_healthy(en, s->health[HEALTH_BAD]));
	single(out, "acmed_clock_right", "gauge",
	    "Whether the clock of this host can be right.", !en->clock_bad);
	single(out, "acmed_engine_start_timestamp_seconds", "gauge",
	    "When the engine was started; each reload does.",
	    en->started_at / 1000);
	single(out, "acmed_config_load_timestamp_seconds", "gauge",
	    "When the configuration that is in force was read.",
	    instant(en->conf_read_at));
	single(out, "acmed_config_refused", "gauge",
	    "Whether one that was to be loaded since was refused: acmed may "
	    "not start again.",
	    en->refused.at != 0);
	single(out, "acmed_reload_commands_running", "gauge",
	    "Reload commands that run.", en->hooks);
}

struct family { /* of each CA, or of each certificate */
	const char *name, *help;
};

static void
begin(struct buf *out, const struct family *f)
{
	family(out, f->name, "gauge", f->help);
}

/* CAs */

enum ca_number {
	CA_BLOCKED,
	CA_PERSON,
	CA_NEXT,
	CA_FAILURES,
	CA_CLOCK,
	CA_ACTIVE,
	CA_QUEUED,
	CA__COUNT
};

static const struct family ca_families[CA__COUNT] = {
	[CA_BLOCKED] = { "acmed_ca_blocked",
	    "Whether the CA is left alone after failures, or for a person." },
	[CA_PERSON] = { "acmed_ca_needs_person",
	    "Whether it will not be asked until a person acts." },
	[CA_NEXT] = { "acmed_ca_next_attempt_timestamp_seconds",
	    "When it is asked again; absent: it can be, or needs a person." },
	[CA_FAILURES] = { "acmed_ca_failures",
	    "Failures of the CA as a whole in a row." },
	[CA_CLOCK] = { "acmed_ca_clock_ahead_seconds",
	    "How far its clock is ahead of this host's; absent: it was not "
	    "asked within a day." },
	[CA_ACTIVE] = { "acmed_ca_orders_active",
	    "Attempts under way at the CA." },
	[CA_QUEUED] = { "acmed_ca_orders_queued",
	    "Certificates that are due and wait for their turn at it." },
};

enum limit_number { LIMIT_CAPACITY, LIMIT_LEFT, LIMIT_EXHAUSTED, LIMIT_N };

static const struct family limit_families[LIMIT_N] = {
	[LIMIT_CAPACITY] = { "acmed_ca_limit_capacity",
	    "What a limit of the CA allows, as far as it is known." },
	[LIMIT_LEFT] = { "acmed_ca_limit_left",
	    "What is left of it: for the account, or for that of the domains, "
	    "sets of names or names that has the least." },
	[LIMIT_EXHAUSTED] = { "acmed_ca_limit_exhausted",
	    "For how many of them nothing is left." },
};

struct ca_numbers {
	int64_t n[CA__COUNT], limits[LIMIT__COUNT][LIMIT_N];
};

static void
add_line(void *arg, const struct budget_line *line)
{
	struct ca_numbers *c = arg;
	int64_t *n = c->limits[line->limit];

	if (line->left < n[LIMIT_LEFT])
		n[LIMIT_LEFT] = line->left;
	n[LIMIT_EXHAUSTED] += line->left == 0;
}

static void
look_at_ca(const struct ca_queue *q, struct ca_numbers *c)
{
	const struct conf_rate *r = session_ca(q->session)->limits;
	int64_t until = session_blocked(q->session, NULL), ahead;
	size_t i;

	c->n[CA_BLOCKED] = until != 0;
	c->n[CA_PERSON] = until == INT64_MAX;
	c->n[CA_NEXT] = until == INT64_MAX ? ABSENT : instant(until);
	c->n[CA_FAILURES] = session_breaker(q->session)->failures;
	c->n[CA_CLOCK] = session_clock(q->session, &ahead) ? ahead : ABSENT;
	c->n[CA_ACTIVE] = q->active + q->parked;
	c->n[CA_QUEUED] = (int64_t)(q->ready.n + q->limited.n);
	for (i = 0; i < LIMIT__COUNT; i++)
		c->limits[i][LIMIT_CAPACITY] = c->limits[i][LIMIT_LEFT] =
		    i == LIMIT_FAILURES ? BUDGET_FAILED_HOUR : r[i].n;
	budget_each(session_budget(q->session), clock_now(), add_line, c);
}

static void
put_limits(const struct conf_ca *ca, const struct ca_numbers *c,
    enum limit_number f, struct buf *out)
{
	size_t i;

	for (i = 0; i < LIMIT__COUNT; i++)
		if (c->limits[i][LIMIT_CAPACITY] != 0)
			sample(out, limit_families[f].name,
			    &(struct labels){ "ca", ca->name, "limit",
				budget_limit_name((enum conf_limit)i) },
			    c->limits[i][f]);
}

/* -1: no memory. */
static int
put_cas(const struct engine *en, struct buf *out)
{
	const struct conf_ca *cas = en->conf->cas;
	AUTO(free)
	struct ca_numbers *all = calloc(en->conf->n_cas + 1, sizeof(*all));
	size_t f, i;

	if (all == NULL)
		return -1;
	for (i = 0; i < en->conf->n_cas; i++)
		look_at_ca(&en->cas[i], &all[i]);
	for (f = 0; f < CA__COUNT; f++) {
		begin(out, &ca_families[f]);
		for (i = 0; i < en->conf->n_cas; i++)
			if (cas[i].used)
				sample(out, ca_families[f].name,
				    &(struct labels){
					"ca", cas[i].name, NULL, NULL },
				    all[i].n[f]);
	}
	for (f = 0; f < LIMIT_N; f++) {
		begin(out, &limit_families[f]);
		for (i = 0; i < en->conf->n_cas; i++)
			if (cas[i].used)
				put_limits(&cas[i], &all[i],
				    (enum limit_number)f, out);
	}
	return 0;
}

/* Certificates */

enum cert_number {
	CERT_INFO,
	CERT_NOT_BEFORE,
	CERT_NOT_AFTER,
	CERT_RENEW,
	CERT_NEXT,
	CERT_FAILURES,
	CERT_ERROR,
	CERT_ALARM,
	CERT_PERSON,
	CERT_LEFT_OUT,
	CERT_RELOAD_DUE,
	CERT_RELOAD_FAILURES,
	CERT__COUNT
};

static const struct family cert_families[CERT__COUNT] = {
	[CERT_INFO] = { "acmed_certificate_info",
	    "Always 1; the CA that is asked next." },
	[CERT_NOT_BEFORE] = { "acmed_certificate_not_before_timestamp_seconds",
	    "When the lifetime of the installed certificate began." },
	[CERT_NOT_AFTER] = { "acmed_certificate_not_after_timestamp_seconds",
	    "When the installed certificate expires." },
	[CERT_RENEW] = { "acmed_certificate_renew_timestamp_seconds",
	    "When it is to be renewed." },
	[CERT_NEXT] = { "acmed_certificate_next_attempt_timestamp_seconds",
	    "When the next attempt begins; absent: one is under way or waits "
	    "for its turn, or no instant is set." },
	[CERT_FAILURES] = { "acmed_certificate_failures",
	    "Failed attempts in a row." },
	[CERT_ERROR] = { "acmed_certificate_error_info",
	    "Always 1; the type of the last attempt's error; absent: it has "
	    "not failed." },
	[CERT_ALARM] = { "acmed_certificate_alarm_level",
	    "How little of the lifetime is left: 0 enough, 1 below 1/3, 2 "
	    "below 1/4 or wanted back by the CA, 3 below 1/8 or 24 hours." },
	[CERT_PERSON] = { "acmed_certificate_needs_person",
	    "Whether a person must act." },
	[CERT_LEFT_OUT] = { "acmed_certificate_names_left_out",
	    "How many of its names it is without, since they fail." },
	[CERT_RELOAD_DUE] = { "acmed_certificate_reload_due",
	    "Whether its reload command has not succeeded since it was "
	    "installed." },
	[CERT_RELOAD_FAILURES] = { "acmed_certificate_reload_failures",
	    "Failures of its reload command in a row." },
};

struct cert_numbers {
	const struct cert *cert;
	const char *ca;
	int64_t n[CERT__COUNT];
};

static void
look_at_cert(
    const struct engine *en, const struct cert *c, struct cert_numbers *to)
{
	const struct issued *h = &c->have;
	bool have = h->version != 0;

	to->cert = c;
	to->ca = en->conf->cas[renew_ca(en, c)].name;
	to->n[CERT_INFO] = 1;
	to->n[CERT_NOT_BEFORE] = have ? h->not_before : ABSENT;
	to->n[CERT_NOT_AFTER] = have ? h->not_after : ABSENT;
	to->n[CERT_RENEW] = have ? instant(cert_renew_at(c)) : ABSENT;
	to->n[CERT_NEXT] = instant(view_next(en, c));
	to->n[CERT_FAILURES] = c->issue_trouble.failures;
	to->n[CERT_ERROR] = c->issue_trouble.text == NULL ? ABSENT : 1;
	to->n[CERT_ALARM] = cert_alarm(en, c);
	to->n[CERT_PERSON] = c->shown_health == HEALTH_BAD;
	to->n[CERT_LEFT_OUT] = partial_n_out(c);
	to->n[CERT_RELOAD_DUE] = c->deploy == DEPLOY_RELOAD;
	to->n[CERT_RELOAD_FAILURES] = c->deploy_trouble.failures;
}

/* Which have series of their own; returns how many. */
static uint32_t
choose(const struct engine *en, const struct sums *s, uint32_t limit,
    struct cert_numbers *list)
{
	unsigned least = en->certs.n <= limit ? HEALTH_OK : HEALTH_WARN, health;
	const struct cert *c;
	uint32_t n = 0, left;

	for (health = HEALTH_BAD + 1; health-- > least;) {
		left = s->health[health];
		for (c = en->certs.all; left > 0 && n < limit; c++)
			if (c->shown_health == health) {
				look_at_cert(en, c, &list[n++]);
				left--;
			}
	}
	return n;
}

static void
put_cert(const struct cert_numbers *c, enum cert_number f, struct buf *out)
{
	struct labels l = { "cert", c->cert->conf->name, NULL, NULL };

	if (f == CERT_INFO) {
		l.key2 = "ca";
		l.value2 = c->ca;
	} else if (f == CERT_ERROR) {
		l.key2 = "type";
		l.value2 = error_type(&c->cert->issue_trouble);
	}
	sample(out, cert_families[f].name, &l, c->n[f]);
}

/* -1: no memory. */
static int
put_certs(const struct engine *en, const struct sums *s, uint32_t limit,
    struct buf *out)
{
	AUTO(free) struct cert_numbers *list = calloc(limit + 1, sizeof(*list));
	uint32_t n, i;
	size_t f;

	if (list == NULL)
		return -1;
	n = choose(en, s, limit, list);
	single(out, "acmed_certificates_not_shown", "gauge",
	    "Certificates that have no series of their own here: of very many, "
	    "those that all is well with.",
	    en->certs.n - n);
	for (f = 0; f < CERT__COUNT; f++) {
		begin(out, &cert_families[f]);
		for (i = 0; i < n; i++)
			put_cert(&list[i], (enum cert_number)f, out);
	}
	return 0;
}

int
view_metrics(
    const struct engine *en, uint32_t limit, struct buf *out, struct err *e)
{
	struct sums s;

	sum_up(en, &s);
	put_process(en, &s, out);
	put_sums(en, &s, out);
	put_http(en, out);
	if (put_cas(en, out) == -1 || put_certs(en, &s, limit, out) == -1 ||
	    !buf_ok(out))
		return err_nomem(e, "metrics");
	return 0;
}
