/* SPDX-License-Identifier: ISC */
/* What it all comes to, and who is told when time runs short (protocol Q9). */

#include <string.h>

#include "daemon/engine/engine.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define DAY         (24 * INT64_C(3600))
#define FAILING_BAD 3
#define TOLD_MAX    20         /* at once, each by its name */
#define HOPELESS_S  (30 * DAY) /* since its end: told weekly (protocol R38) */

enum alarm
cert_alarm(const struct engine *en, const struct cert *c)
{
	enum alarm by_time = schedule_alarm(
	    c->have.not_before, c->have.not_after, engine_now(en));

	/* a page to tell of, and little time perhaps (protocol J10) */
	return by_time < ALARM_WARN && cert_recalled(c, engine_now(en))
		   ? ALARM_WARN
		   : by_time;
}

const char *
health_hint(const struct engine *en, const struct cert *c)
{
	static const char limit[] = "rateLimited"; /* however long */
	const struct trouble *t = &c->issue_trouble;

	if (c->have.version == 0 || t->row == NULL ||
	    strncmp(t->row, limit, strlen(limit)) != 0 ||
	    t->next + en->ahead_s < c->have.not_after)
		return NULL;
	return "the certificate ends before this CA takes an order for it: "
	       "list another CA for it in acmed.yaml, or have this one lift "
	       "its limit; then: acmectl reload";
}

static bool
needs_person(const struct engine *en, const struct cert *c)
{
	const struct issued *h = &c->have;
	const struct session *s = en->cas[renew_ca(en, c)].session;

	return c->issue_trouble.operator|| partial_n_out(c) != 0 ||
	       health_hint(en, c) != NULL || partial_lacks(c) ||
	       cert_alarm(en, c) == ALARM_CRITICAL ||
	       (h->version != 0 && h->not_after <= engine_now(en)) ||
	       session_blocked(s, NULL) == INT64_MAX ||
	       c->deploy_trouble.failures >= FAILING_BAD ||
	       (h->version == 0 && c->issue_trouble.failures >= FAILING_BAD);
}

/* What keeps it; NULL: nothing that is known. */
static const char *
held_by(const struct engine *en, const struct cert *c)
{
	const char *why = NULL;

	(void)session_blocked(en->cas[renew_ca(en, c)].session, &why);
	if (why == NULL && c->waits != NULL)
		why = c->waits;
	return why != NULL ? why : c->issue_trouble.text;
}

static void
tell(const struct engine *en, const struct cert *c, enum told told)
{
	static const char *const what[] = {
		[TOLD_SOON] = "the certificate ends soon",
		[TOLD_CRITICAL] = "the certificate is about to end",
		[TOLD_ENDED] = "the certificate has ended",
	};
	char ends[CLOCK_RFC3339_MAX], next[CLOCK_RFC3339_MAX];
	int64_t at = renew_next(c);

	clock_format(c->have.not_after, ends);
	clock_format(at, next);
	LOG_AT(told == TOLD_SOON ? LOG_L_WARN : LOG_L_ERR, what[told],
	    KV("cert", c->conf->name), KV("ends", ends),
	    KV("next", at == 0 ? NULL : next), KV("error", held_by(en, c)),
	    { 0 });
}

static enum told
to_tell(const struct issued *h, int64_t now)
{
	enum alarm alarm = schedule_alarm(h->not_before, h->not_after, now);

	if (h->version == 0 || alarm < ALARM_WARN)
		return TOLD_NOTHING;
	if (alarm == ALARM_WARN)
		return TOLD_SOON;
	return h->not_after > now ? TOLD_CRITICAL : TOLD_ENDED;
}

/* Since it was told of. */
static bool
is_news(struct cert *c, int64_t now)
{
	enum told told = to_tell(&c->have, now);
	bool hopeless = now - c->have.not_after >= HOPELESS_S;

	if (told == TOLD_NOTHING ||
	    (told == c->told && (told == TOLD_SOON || now < c->told_again))) {
		c->told = told;
		return false;
	}
	c->told = told;
	c->told_again = now + (hopeless ? 7 * DAY : DAY);
	return true;
}

void
health_tell(struct engine *en)
{
	int64_t now = engine_now(en);
	uint32_t i, n = 0;

	for (i = 0; !en->clock_bad && i < en->certs.n; i++) {
		struct cert *c = &en->certs.all[i];

		if (is_news(c, now) && n++ < TOLD_MAX)
			tell(en, c, c->told);
	}
	if (n > TOLD_MAX)
		log_warn("more certificates end soon, or have ended: acmectl "
			 "status lists them",
		    KN("certificates", n - TOLD_MAX));
}

enum health
cert_health(const struct engine *en, const struct cert *c)
{
	if (needs_person(en, c))
		return HEALTH_BAD;
	if (c->issue_trouble.text != NULL || c->deploy_trouble.text != NULL ||
	    cert_alarm(en, c) == ALARM_WARN || en->clock_bad ||
	    cert_recalled(c, engine_now(en)))
		return HEALTH_WARN;
	return c->have.version == 0 ? HEALTH_WAITING : HEALTH_OK;
}

void
engine_count(const struct engine *en, struct ipc_status *s)
{
	const struct heap_item *first = heap_first(&en->sleeping);
	int64_t now = engine_now(en);
	uint32_t i;

	memset(s, 0, sizeof(*s));
	s->total = en->certs.n;
	s->next = first == NULL ? 0 : first->key;
	for (i = 0; i < en->certs.n; i++) {
		const struct cert *c = &en->certs.all[i];

		s->valid += c->have.version != 0 && c->have.not_after > now;
		s->busy += c->issue != NULL || c->ready.pos != 0;
		s->failing += cert_health(en, c) >= HEALTH_WARN;
	}
}
