/* SPDX-License-Identifier: ISC */
/* What it all comes to. */

#include <string.h>

#include "daemon/engine/engine.h"

#define FAILING_BAD 3

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

static bool
needs_person(const struct engine *en, const struct cert *c)
{
	const struct issued *h = &c->have;
	const struct session *s = en->cas[renew_ca(en, c)].session;

	return c->issue_trouble.operator|| partial_n_out(c) != 0 ||
	       partial_lacks(c) || cert_alarm(en, c) == ALARM_CRITICAL ||
	       (h->version != 0 && h->not_after <= engine_now(en)) ||
	       session_blocked(s, NULL) == INT64_MAX ||
	       c->deploy_trouble.failures >= FAILING_BAD ||
	       (h->version == 0 && c->issue_trouble.failures >= FAILING_BAD);
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
