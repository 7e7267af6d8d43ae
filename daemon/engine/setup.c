/* SPDX-License-Identifier: ISC */
/* The engine's parts put together, and their state read. */

#include "daemon/engine/engine.h"

#define STOP_MS 3000

static bool
holds(void *arg, const char *url)
{
	const struct engine *en = arg;

	return certs_holds(&en->certs, url);
}

static void
on_stop_timer(void *arg)
{
	struct engine *en = arg;

	en->stopped(en);
}

int
engine_setup(struct engine *en, struct err *e)
{
	en->tokens = tokens_new(e);
	en->stop_timer = en->tokens == NULL
			     ? NULL
			     : loop_timer_new(en->loop, on_stop_timer, en, e);
	en->psl = en->stop_timer == NULL ? NULL : psl_new(e);
	en->dns = en->psl == NULL ? NULL
				  : dns_new(en->loop, en->conf->resolvers,
					en->conf->n_resolvers, e);
	if (en->dns == NULL)
		return -1;
	en->session_env = (struct session_env){ .loop = en->loop,
		.http = en->http,
		.keys = en->keys,
		.store = en->store,
		.conf = en->conf,
		.psl = en->psl,
		.changed = renew_ca_changed,
		.clock = clock_heard,
		.holds = holds,
		.arg = en };
	en->issue_env = (struct issue_env){ .loop = en->loop,
		.certs = &en->certs,
		.keys = en->keys,
		.tokens = en->tokens,
		.upstairs = en->upstairs,
		.dns = en->dns,
		.conf = en->conf };
	if (certs_init(&en->certs, en->conf, en->loop, en->store, e) == -1)
		return -1;
	return restore_init(en, e) == -1 || renew_init(en, e) == -1 ||
		       ari_init(en, e) == -1 || clock_init(en, e) == -1 ||
		       deploy_init(en, e) == -1
		   ? -1
		   : 0;
}

static void
on_certs(void *arg, unsigned damaged, const struct err *e)
{
	struct engine *en = arg;

	en->loaded(en, damaged, e);
}

static void
on_account(void *arg, const struct store_value *v, const struct err *failed)
{
	struct engine *en = arg;
	struct err e;

	(void)v;
	/* A second account because a disk did not answer is not a way out. */
	if (failed != NULL)
		en->loaded(en, 0, failed);
	else if (--en->loading == 0 &&
		 certs_load(&en->certs, on_certs, en, &e) == -1)
		en->loaded(en, 0, &e);
}

int
engine_load(struct engine *en,
    void (*loaded)(struct engine *, unsigned damaged, const struct err *),
    struct err *e)
{
	uint32_t i;

	en->loaded = loaded;
	en->loading = en->conf->n_cas;
	for (i = 0; i < en->conf->n_cas; i++)
		if (session_load(en->cas[i].session, on_account, en, e) == -1)
			return -1;
	return 0;
}

void
engine_republish(struct engine *en)
{
	const char *thumb;
	uint32_t i;

	for (i = 0; i < en->certs.n; i++) {
		struct cert *c = &en->certs.all[i];

		if (c->order_ca == CONF_NONE)
			continue;
		thumb = session_thumbprint(en->cas[c->order_ca].session);
		if (thumb != NULL)
			issue_republish(&en->issue_env, c, thumb);
	}
}

static void
on_known(struct engine *en)
{
	renew_start(en);
	ari_look(en);
	sweep_start(en);
}

void
engine_halted(void *arg)
{
	struct engine *en = arg;
	uint32_t i;

	for (i = 0; i < en->certs.n; i++)
		if (en->certs.all[i].issue != NULL &&
		    issue_ordering(en->certs.all[i].issue))
			return;
	loop_timer_set(en->stop_timer, 0);
}

void
engine_stop(struct engine *en, loop_fn *stopped)
{
	en->stopping = true;
	en->stopped = stopped;
	en->issue_env.halted = true;
	en->issue_env.on_halted = engine_halted;
	en->issue_env.halted_arg = en;
	loop_timer_set(en->stop_timer, STOP_MS);
	engine_halted(en);
}

void
engine_begin(struct engine *en)
{
	restore_start(en, on_known);
}

void
engine_done(struct engine *en)
{
	sweep_cancel(en);
	restore_done(en);
	ari_done(en);
	clock_done(en);
	renew_done(en);
	deploy_done(en);
	certs_free(&en->certs);
	dns_free(en->dns);
	psl_close(en->psl);
	tokens_free(en->tokens);
	loop_timer_free(en->stop_timer);
}
