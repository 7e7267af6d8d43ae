/* SPDX-License-Identifier: ISC */
/* From one CA of the list to the next. */

#include "daemon/engine/failover.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/rnd.h"

#define SOON_S         30
#define SHORT_PERMILLE 250 /* less than that left: no time to lose */
#define SPARE_S        (24 * INT64_C(3600)) /* without one that failed */
#define PATIENCE_S     INT64_C(3600)        /* of a name that is new */
#define PATIENCE_MIN_S INT64_C(60)
#define OUTAGE_S       (2 * INT64_C(3600)) /* as three steps of the ladder */
#define GONE_S         (24 * INT64_C(3600))

uint32_t
failover_ca(const struct cert *c)
{
	return c->conf->cas[c->ca_at];
}

static bool
short_of_time(const struct issued *h, unsigned left)
{
	return h->version != 0 && left < SHORT_PERMILLE;
}

void
failover_to(struct cert *c, uint32_t at)
{
	c->ca_at = at;
	c->ca_failures = c->in_vain = 0;
	c->rehearse = false;
	c->rehearsed = 0;
	free(c->instead);
	c->instead = NULL;
}

void
failover_instead(struct cert *c, uint32_t at, const char *why)
{
	failover_to(c, at);
	if (at != 0) /* the first one is nobody's stand-in */
		c->instead = strdup(why);
}

bool
failover_stays(const struct cert *c)
{
	return c->have.version == 0 && policy_of_name(c->issue_trouble.row);
}

int64_t
failover_patience(const struct issued *h, unsigned left, int64_t now)
{
	int64_t patience = (h->not_after - now) / 8;

	if (h->version == 0)
		return PATIENCE_S;
	return short_of_time(h, left) || patience < PATIENCE_MIN_S
		   ? PATIENCE_MIN_S
		   : patience;
}

/* The next that may issue it; itself when there is no other. */
static uint32_t
next_of(const struct conf *conf, const struct cert *c)
{
	uint32_t at = c->ca_at;

	do
		at = (at + 1) % c->conf->n_cas;
	while (at != c->ca_at && failover_refusal(conf, c, at) != NULL);
	return at;
}

const char *
failover_refusal(const struct conf *conf, const struct cert *c, uint32_t at)
{
	return conf_refusal(&conf->cas[c->conf->cas[at]], c->conf);
}

static const struct said *
said_of(const struct cert *c, uint32_t ca)
{
	static const struct said none;
	unsigned i;

	for (i = 0; i < c->n_said; i++)
		if (c->said[i].ca == ca)
			return &c->said[i];
	return &none;
}

int64_t
failover_said(const struct cert *c, uint32_t ca)
{
	const struct said *s = said_of(c, ca);

	return s->failed ? 0 : s->until;
}

int64_t
failover_open(const struct cert *c, uint32_t ca)
{
	return said_of(c, ca)->until;
}

static void
note(struct cert *c, const struct said *new, int64_t now)
{
	unsigned i, n = 0;
	struct said *all;

	for (i = 0; i < c->n_said; i++)
		if (c->said[i].until > now && c->said[i].ca != new->ca)
			c->said[n++] = c->said[i];
	c->n_said = n;
	all = reallocarray(c->said, n + 1, sizeof(*all));
	if (all == NULL)
		return; /* then the certificate's own wait has to do */
	c->said = all;
	c->said[c->n_said++] = *new;
}

void
failover_note_said(struct cert *c, uint32_t ca, int64_t until, int64_t now)
{
	note(c, &(struct said){ .ca = ca, .until = until }, now);
}

/* All have had their turn: the first of them that can be asked again. */
static int64_t
soonest(const struct cert *c, int64_t until, int64_t now)
{
	unsigned i;

	for (i = 0; i < c->n_said; i++)
		if (!c->said[i].failed && c->said[i].until > now &&
		    c->said[i].until < until)
			until = c->said[i].until;
	return until;
}

bool
failover_after(const struct conf *conf, struct cert *c, struct decision *d,
    unsigned left, int64_t now)
{
	uint32_t next = next_of(conf, c), ca = failover_ca(c);
	bool instead = c->instead != NULL;

	if (!d->failover || next == c->ca_at)
		return false;
	c->ca_failures++;
	if (c->ca_failures < conf->failover_after &&
	    !short_of_time(&c->have, left) &&
	    !d->operator&& d->row->wait != WAIT_SAID)
		return false;
	if (instead && d->row->wait != WAIT_SAID)
		note(c, &(struct said){ ca, true, now + SPARE_S }, now);
	failover_to(c, instead ? 0 : next);
	if (c->ca_at == 0 && !instead) {
		if (d->row->wait == WAIT_SAID)
			d->until = soonest(c, d->until, now);
		return true;
	}
	d->until = now + 1 + (int64_t)rnd_below(SOON_S);
	d->operator= false;
	return true;
}

/* It has said when, and that is longer than the certificate has. */
static bool
too_long(
    const struct cert *c, const struct breaker *b, unsigned left, int64_t now)
{
	int64_t life = c->have.not_after - c->have.not_before;

	return policy_is_long(b->until - now, now + life * left / 1000, now);
}

/* Whatever it is: that a CA's name is nowhere is no trouble of the network when
 * it stays so. */
static bool
is_for_good(
    const struct cert *c, const struct breaker *b, unsigned left, int64_t now)
{
	return now - b->since >=
	       (short_of_time(&c->have, left) ? OUTAGE_S : GONE_S);
}

/* With a key in a CSR that was sent, the order may be valid by now; but whose
 * account is stopped, for a person, cannot have it. */
static bool
may_leave(const struct cert *c, const struct breaker *b)
{
	return c->order_url == NULL || c->rehearsal || c->order_key == NULL ||
	       b->until == INT64_MAX;
}

bool
failover_blocked(const struct conf *conf, struct cert *c,
    const struct breaker *b, unsigned left, int64_t now)
{
	uint32_t next = next_of(conf, c);
	bool lasting;

	if (next == c->ca_at || b->until == 0 || !may_leave(c, b))
		return false;
	lasting = c->have.version == 0 || short_of_time(&c->have, left) ||
		  now - b->since >= OUTAGE_S;
	if (b->until != INT64_MAX &&
	    !(lasting && b->counted >= conf->failover_after) &&
	    !is_for_good(c, b, left, now) && !too_long(c, b, left, now))
		return false;
	failover_to(c, next);
	return true;
}

void
failover_reset(struct cert *c)
{
	failover_to(c, 0);
}
