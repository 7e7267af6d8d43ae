/* SPDX-License-Identifier: ISC */
/*
 * Which names are left out of a certificate, from when on, and when all of them
 * are tried again.
 *
 * A failure counts here when the CA says of each thing that went wrong which
 * name it is about, and something is left.  A name that what is installed has
 * goes only when time runs short, any other one when it has failed twice.
 */

#include "daemon/engine/partial.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/engine.h"
#include "daemon/engine/renew.h"
#include "lib/acme/problem.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/rnd.h"

#define HOUR           INT64_C(3600)
#define DAY            (24 * HOUR)
#define SHORT_PERMILLE 250        /* less than that left: no time to lose */
#define AGAIN_S        (30 * DAY) /* of failing: tried weekly (protocol R38) */
#define LATE_PERMILLE  125
#define WHOLE_MAX_S    (8 * DAY) /* whole_wait() */
#define FAILURES_MIN   2         /* of a name, in a row */
#define FAILURES_MAX   5         /* of the certificate: then 1 */
#define TEXT_MAX       300       /* of the CA's words on one name */
#define TOLD_MAX       4096

void
partial_free(struct cert *c)
{
	struct partial *p = c->partial;
	uint32_t i;

	if (p == NULL)
		return;
	for (i = 0; i < p->n_bad; i++)
		free(p->bad[i].text);
	free(p->bad);
	free(p->idents);
	free(p);
	c->partial = NULL;
	partial_use(c, false);
}

uint32_t
partial_n_out(const struct cert *c)
{
	uint32_t i, n = 0;

	for (i = 0; c->partial != NULL && i < c->partial->n_bad; i++)
		n += c->partial->bad[i].out;
	return n;
}

const uint8_t *
partial_mask(const struct cert *c)
{
	static const uint8_t none[IPC_NAMES / 8];

	return c->partial == NULL ? none : c->partial->mask;
}

static void
put_out(uint8_t *mask, uint32_t ident)
{
	mask[ident / 8] |= (uint8_t)(1u << ident % 8);
}

void
partial_use(struct cert *c, bool reduced)
{
	const struct conf_cert *cc = c->conf;
	struct partial *p = c->partial;
	uint32_t i, n = 0;

	c->idents = cc->idents;
	c->n_idents = cc->n_idents;
	if (p == NULL)
		return;
	free(p->idents);
	p->idents = NULL;
	p->reduced = false;
	memset(p->mask, 0, sizeof(p->mask));
	if (!reduced || partial_n_out(c) == 0)
		return;
	p->idents = calloc(cc->n_idents, sizeof(*p->idents));
	if (p->idents == NULL)
		return; /* with all of them, then */
	for (i = 0; i < p->n_bad; i++)
		if (p->bad[i].out)
			put_out(p->mask, p->bad[i].ident);
	for (i = 0; i < cc->n_idents; i++)
		if (!ipc_is_out(p->mask, i))
			p->idents[n++] = cc->idents[i];
	c->idents = p->idents;
	c->n_idents = n;
	p->reduced = true;
}

/* What is known of a name; NULL: no memory, or it is not one of ours. */
static struct bad_name *
bad_of(struct cert *c, const char *ident)
{
	struct partial *p = c->partial;
	struct bad_name *all;
	uint32_t i, k;

	for (i = 0; i < c->conf->n_idents; i++)
		if (strcmp(c->conf->idents[i], ident) == 0)
			break;
	if (i == c->conf->n_idents)
		return NULL;
	if (p == NULL)
		p = c->partial = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	for (k = 0; k < p->n_bad; k++)
		if (p->bad[k].ident == i)
			return &p->bad[k];
	all = reallocarray(p->bad, p->n_bad + 1, sizeof(*all));
	if (all == NULL)
		return NULL;
	p->bad = all;
	p->bad[p->n_bad] = (struct bad_name){ .ident = i };
	return &p->bad[p->n_bad++];
}

struct bad_name *
partial_add(struct cert *c, const char *ident)
{
	return c->conf->partial ? bad_of(c, ident) : NULL;
}

/* One attempt */

void
partial_begin(struct cert *c)
{
	struct partial *p = c->partial;
	uint32_t i;

	for (i = 0; p != NULL && i < p->n_bad; i++)
		p->bad[i].now = false;
	if (p != NULL)
		p->some_good = p->other_faults = false;
}

static void
blame(struct cert *c, const char *ident, const struct err *why,
    const struct policy_row *row)
{
	struct bad_name *b = partial_add(c, ident);
	size_t len;

	if (b == NULL)
		return;
	free(b->text);
	/* but not a URL that a person needs */
	b->text = problem_url(why->what, &len) != NULL
		      ? strdup(why->what)
		      : strndup(why->what, TEXT_MAX);
	b->type = problem_name((enum acme_problem)why->problem);
	b->at = clock_now();
	if (b->since == 0)
		b->since = b->at;
	b->now = true;
	b->refused = row->wait == WAIT_DAILY;
}

void
partial_blame(struct cert *c, const char *ident, const struct err *why)
{
	const struct policy_row *row = policy_find(why, WHERE_NAME);

	blame(c, ident, why, row);
	if (c->partial != NULL && (row->flags & POLICY_NAMED) == 0)
		c->partial->other_faults = true;
}

void
partial_good(struct cert *c)
{
	/* without memory for it, nothing is left out */
	if (c->conf->partial && c->partial == NULL)
		c->partial = calloc(1, sizeof(*c->partial));
	if (c->partial != NULL)
		c->partial->some_good = true;
}

bool
partial_asks_all(const struct cert *c, bool rehearsal)
{
	return c->conf->partial &&
	       (rehearsal || (c->partial != NULL && c->partial->n_bad != 0));
}

/* What is installed */

static size_t
word_in(const char *list, const char *word)
{
	size_t len = strlen(word);
	const char *p;

	for (p = list; (p = strstr(p, word)) != NULL; p += len)
		if ((p == list || p[-1] == ' ') &&
		    (p[len] == ' ' || p[len] == '\0'))
			return len;
	return 0;
}

bool
partial_has(const struct issued *h, const char *ident)
{
	return h->version != 0 &&
	       (h->names == NULL || word_in(h->names, ident) != 0);
}

bool
partial_has_just(const struct issued *h, const char *const *idents, uint32_t n)
{
	size_t len = 0;
	uint32_t i;

	if (h->version == 0 || h->names == NULL)
		return false;
	for (i = 0; i < n; i++) {
		size_t one = word_in(h->names, idents[i]);

		if (one == 0)
			return false;
		len += one + 1;
	}
	return len == strlen(h->names) + 1;
}

bool
partial_changed(
    const struct conf_cert *cc, const struct wants *w, const struct issued *h)
{
	/* those that were left out have been removed */
	if (h->partial && partial_has_just(h, cc->idents, cc->n_idents))
		return false;
	return h->made_for.names != w->names || (h->partial && !cc->partial);
}

void
partial_fill(struct cert *c)
{
	const struct issued *h = &c->have;
	struct bad_name *b;
	uint32_t i;

	if (!h->partial || !c->conf->partial ||
	    h->made_for.names != c->wants.names)
		return;
	for (i = 0; i < c->conf->n_idents; i++) {
		if (partial_has(h, c->conf->idents[i]))
			continue;
		b = partial_add(c, c->conf->idents[i]);
		if (b == NULL || b->out)
			continue;
		b->out = true;
		if (b->since == 0)
			b->since = clock_now();
	}
}

/* When, and which */

static bool
is_out(const struct cert *c, uint32_t ident)
{
	const struct partial *p = c->partial;
	uint32_t i;

	for (i = 0; p != NULL && i < p->n_bad; i++)
		if (p->bad[i].ident == ident)
			return p->bad[i].out;
	return false;
}

bool
partial_lacks(const struct cert *c)
{
	const struct issued *h = &c->have;
	uint32_t i;

	if (!h->partial || h->made_for.names != c->wants.names)
		return false;
	for (i = 0; i < c->conf->n_idents; i++)
		if (!partial_has(h, c->conf->idents[i]) && !is_out(c, i))
			return true;
	return false;
}

void
partial_without(const struct cert *c, uint8_t mask[IPC_NAMES / 8])
{
	const struct conf_cert *cc = c->conf;
	uint32_t i, n = 0;

	memset(mask, 0, IPC_NAMES / 8);
	for (i = 0; cc->partial && i < cc->n_idents; i++)
		if (!partial_has(&c->have, cc->idents[i])) {
			put_out(mask, i);
			n++;
		}
	if (n == cc->n_idents) /* it is of another configuration */
		memset(mask, 0, IPC_NAMES / 8);
}

int64_t
partial_when(const struct cert *c, int64_t t)
{
	if (partial_lacks(c))
		return 0;
	return partial_n_out(c) != 0 && c->partial->whole_at < t
		   ? c->partial->whole_at
		   : t;
}

void
partial_shift(struct cert *c, int64_t s)
{
	if (partial_n_out(c) != 0)
		c->partial->whole_at += s;
}

void
partial_mend(struct cert *c, int64_t now)
{
	if (c->partial != NULL && c->partial->whole_at > now + WHOLE_MAX_S)
		c->partial->whole_at = now;
}

void
partial_choose(struct cert *c)
{
	const struct partial *p = c->partial;

	if (p != NULL && !cert_ordering(c))
		partial_use(c,
		    !c->forced && c->check == 0 && clock_now() < p->whole_at);
}

/* As long as it has failed, so that what was mended is soon found so; daily at
 * last, and weekly when it has been hopeless for a month. */
static int64_t
whole_wait(const struct partial *p, int64_t now)
{
	int64_t since = 0, wait;
	uint32_t i;

	for (i = 0; i < p->n_bad; i++)
		if (p->bad[i].out && p->bad[i].since > since)
			since = p->bad[i].since;
	wait = now - since;
	if (wait > AGAIN_S)
		wait = 7 * DAY;
	else if (wait > DAY)
		wait = DAY;
	else if (wait < HOUR)
		wait = HOUR;
	return wait + (int64_t)rnd_below((uint64_t)wait / 10);
}

/* What a failure means */

/* A refusal of the order as a whole says of which names it is in its text
 * alone, with or without subproblems. */
static void
blame_named(struct cert *c, const struct outcome *o)
{
	const struct policy_row *row = policy_find(o->err, o->where);
	uint32_t i;

	if ((o->where & (WHERE_ORDER | WHERE_CERT)) == 0 ||
	    o->err->kind != ERR_PROBLEM || (row->flags & POLICY_NAMED) == 0)
		return;
	for (i = 0; i < c->n_idents; i++)
		if (problem_names(o->err->what, c->idents[i]))
			blame(c, c->idents[i], o->err, row);
}

static uint32_t
n_now(const struct partial *p)
{
	uint32_t i, n = 0;

	for (i = 0; i < p->n_bad; i++)
		n += p->bad[i].now;
	return n;
}

/* It is the names' fault and nobody else's, as far as the CA can tell: not this
 * host's, or none would be well. */
static bool
is_theirs(
    const struct cert *c, const struct outcome *o, const struct decision *d)
{
	const struct partial *p = c->partial;
	uint32_t n = n_now(p);

	if (n == 0 || n >= c->n_idents || p->other_faults)
		return false;
	/* what the test CA will not have, the real one may */
	if (o->mode == ISSUE_REHEARSAL && !d->rehearse)
		return false;
	return p->some_good || (o->where & (WHERE_ORDER | WHERE_CERT)) != 0;
}

/* Once more each; what did not fail this time was no lasting trouble. */
static void
count(struct partial *p)
{
	uint32_t i, n = 0;

	for (i = 0; i < p->n_bad; i++) {
		struct bad_name *b = &p->bad[i];

		b->failures += b->now && b->failures < UINT16_MAX;
		if (b->now || b->out)
			p->bad[n++] = *b;
		else
			free(b->text);
	}
	p->n_bad = n;
}

/* It is in service, and may be for a while. */
static bool
is_served(const struct engine *en, const struct cert *c, const char *ident)
{
	return partial_has(&c->have, ident) && !c->have.ruined &&
	       renew_left(en, c) >= SHORT_PERMILLE &&
	       !cert_recalled(c, engine_now(en));
}

/* Each that has failed may be left out; if not, leaving out others is of no
 * use.  When they take turns at failing, once is enough at last. */
static bool
may_go(const struct engine *en, const struct cert *c)
{
	const struct partial *p = c->partial;
	bool late = c->have.version != 0 && renew_left(en, c) < LATE_PERMILLE;
	unsigned enough =
	    late || c->issue_trouble.failures > FAILURES_MAX ? 1 : FAILURES_MIN;
	uint32_t i;

	for (i = 0; i < p->n_bad; i++) {
		const struct bad_name *b = &p->bad[i];

		if (!b->now || b->out)
			continue;
		if (is_served(en, c, c->conf->idents[b->ident]) ||
		    (!b->refused && b->failures < enough))
			return false;
	}
	return true;
}

/* What did not fail this time is not left out any more. */
static void
take_back(struct partial *p)
{
	uint32_t i;

	for (i = 0; i < p->n_bad; i++)
		p->bad[i].out = p->bad[i].out && p->bad[i].now;
}

/* How many went. */
static uint32_t
leave_out(struct cert *c)
{
	struct partial *p = c->partial;
	uint32_t i, n = 0;

	for (i = 0; i < p->n_bad; i++) {
		n += p->bad[i].now && !p->bad[i].out;
		p->bad[i].out = p->bad[i].out || p->bad[i].now;
	}
	if (partial_n_out(c) == c->conf->n_idents)
		take_back(p); /* one at least has not failed */
	return n;
}

/* What a log line says of them.  What the CA has said of several at once is
 * told once. */
static void
tell(const struct cert *c, enum log_level level, const char *what)
{
	AUTO(buf_done) struct buf names = BUF_INIT(TOLD_MAX);
	AUTO(buf_done) struct buf words = BUF_INIT(TOLD_MAX);
	const struct partial *p = c->partial;
	const char *text, *last = "";
	char next[CLOCK_RFC3339_MAX];
	uint32_t i;

	for (i = 0; i < p->n_bad; i++) {
		const struct bad_name *b = &p->bad[i];
		const char *ident = c->conf->idents[b->ident];

		if (!b->out || names.len + words.len > TOLD_MAX / 4)
			continue;
		text = b->text == NULL ? "not known" : b->text;
		buf_printf(&names, "%s%s", names.len == 0 ? "" : " ", ident);
		if (strcmp(text, last) != 0)
			buf_printf(&words, "%s%s: %s",
			    words.len == 0 ? "" : "; ", ident, text);
		last = text;
	}
	clock_format(p->whole_at, next);
	LOG_AT(level, what, KV("cert", c->conf->name),
	    KN("left_out", partial_n_out(c)), KN("of", c->conf->n_idents),
	    KV("names", buf_str(&names)), KV("error", buf_str(&words)),
	    KV("tried_again", next), { 0 });
}

/* Nothing is to be ordered before its time.  That the names have changed is no
 * reason when the new ones are just those that fail. */
static bool
is_settled(const struct engine *en, struct cert *c)
{
	struct issued *h = &c->have;

	if (partial_has_just(h, c->idents, c->n_idents)) {
		h->made_for.names = c->wants.names;
		h->partial = true;
	}
	return cert_changed(en->conf, c->conf, &c->wants, h) == CHANGE_NONE &&
	       cert_renew_at(c) > engine_now(en) && !partial_lacks(c);
}

enum partial_end
partial_failed(struct engine *en, struct cert *c, const struct outcome *o,
    const struct decision *d)
{
	struct partial *p = c->partial;
	bool whole = !c->conf->partial || p == NULL || !p->reduced;
	bool again = whole && partial_n_out(c) != 0;
	uint32_t went;
	bool well;

	if (!c->conf->partial)
		return PARTIAL_FAILED;
	blame_named(c, o);
	p = c->partial;
	/* whatever it is, a renewal that is due does not wait for that */
	if (again && p != NULL)
		p->whole_at = clock_now() + whole_wait(p, clock_now());
	if (p == NULL || !is_theirs(c, o, d))
		return PARTIAL_FAILED;
	/* all were asked about, and a refusal names some only */
	if (again && o->where == WHERE_NAME)
		take_back(p);
	count(p);
	went = may_go(en, c) ? leave_out(c) : 0;
	if (went == 0 && (!again || partial_n_out(c) == 0))
		return PARTIAL_FAILED;
	p->whole_at = clock_now() + whole_wait(p, clock_now());
	/* finalized, perhaps, and refused then */
	renew_leave_order(en, c);
	partial_use(c, true);
	well = is_settled(en, c);
	tell(c, went != 0 ? LOG_L_ERR : LOG_L_WARN,
	    well        ? "the certificate stays without some of its names"
	    : went != 0 ? "names are left out of the certificate"
			: "names that are left out still fail");
	return well ? PARTIAL_WELL : PARTIAL_SOON;
}

void
partial_installed(struct cert *c)
{
	struct partial *p = c->partial;

	if (p == NULL)
		return;
	partial_begin(c);
	if (p->reduced) {
		count(p);
		tell(c, LOG_L_WARN, "installed without some of its names");
		return;
	}
	if (partial_n_out(c) != 0)
		tell(c, LOG_L_INFO, "all of its names are in it again");
	partial_free(c);
}
