/* SPDX-License-Identifier: ISC */
/*
 * Reload commands.  Certificates that share a command share its runs: a run
 * waits, but not for long, until none of them is being issued any more.  A
 * command that fails is repeated on its own; it never causes a new order.
 */

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/engine.h"
#include "daemon/engine/schedule.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define GATHER_MS (10 * INT64_C(1000)) /* how long a run waits for others */

static void group_look(struct reload_group *);

static struct reload_group *
group_of(struct engine *en, const struct cert *c)
{
	return c->conf->reload == CONF_NONE ? NULL
					    : &en->groups[c->conf->reload];
}

static void
take_off(struct reload_group *g, struct cert *c)
{
	if (!c->reload_listed)
		return;
	TAILQ_REMOVE(&g->due, c, due);
	c->reload_listed = false;
	g->n_due--;
}

static void
put_on(struct reload_group *g, struct cert *c)
{
	if (c->reload_listed)
		return;
	if (g->n_due == 0)
		g->since_ms = clock_mono_ms();
	TAILQ_INSERT_TAIL(&g->due, c, due);
	c->reload_listed = true;
	g->n_due++;
}

static void
settle(struct engine *en, struct cert *c, const char *why)
{
	struct trouble *t = &c->deploy_trouble;

	if (why == NULL) {
		c->deploy = DEPLOY_DONE;
		trouble_clear(t);
		log_debug("reloaded", KV("cert", c->conf->name));
	} else {
		log_debug("reload failed", KV("cert", c->conf->name),
		    KV("command", en->conf->commands[c->conf->reload].argv[0]),
		    KV("error", why));
		trouble_set(t, "hook", why, clock_now());
		t->failures++;
		t->next = clock_now() + schedule_backoff(t->failures,
					    c->have.not_before,
					    c->have.not_after, clock_now());
	}
	cert_save_told(&en->certs, c);
}

static void
log_run(const struct reload_group *g, const struct ipc_hooked *h)
{
	const struct conf *conf = g->engine->conf;
	const char *command = conf->commands[g - g->engine->groups].argv[0];
	char next[CLOCK_RFC3339_MAX];

	clock_format(g->next, next);
	if (h->ok != 0)
		log_info("reload command ran", KV("command", command),
		    KV("cert", g->batch[0]->conf->name),
		    KN("certificates", g->n_batch), KN("ms", h->ms));
	else
		log_error("reload command failed", KV("command", command),
		    KV("cert", g->batch[0]->conf->name),
		    KN("certificates", g->n_batch), KN("ms", h->ms),
		    KV("error", h->error), KV("output", h->output),
		    KV("next", g->next == 0 ? NULL : next));
}

/* What a command printed becomes part of a line that people read. */
static void
one_line(char *s)
{
	size_t n = strlen(s);

	while (n > 0 && (s[n - 1] == '\n' || s[n - 1] == ' '))
		s[--n] = '\0';
	while ((s = strchr(s, '\n')) != NULL)
		*s = ' ';
}

/* When the failures of those that are due let it run; 0: one has none. */
static int64_t
next_run(const struct reload_group *g)
{
	const struct cert *c;
	int64_t next = 0;

	TAILQ_FOREACH (c, &g->due, due) {
		if (c->deploy_trouble.failures == 0)
			return 0;
		if (c->deploy_trouble.next > next)
			next = c->deploy_trouble.next;
	}
	return next;
}

static void
hooked(void *arg, const struct ipc_hooked *answer)
{
	AUTO(buf_done) struct buf why = BUF_INIT(2 * sizeof(answer->output));
	struct ipc_hooked copy = *answer, *h = &copy;
	struct reload_group *g = arg;
	struct cert *c;
	uint32_t i;

	g->running = NULL;
	g->engine->hooks--;
	h->output[sizeof(h->output) - 1] = '\0';
	one_line(h->output);
	buf_printf(&why, "%.*s", (int)sizeof(h->error) - 1, h->error);
	if (h->output[0] != '\0')
		buf_printf(&why, ": %s", h->output);
	for (i = 0; i < g->n_batch; i++) {
		c = g->batch[i];
		/* renewed again meanwhile: that one's run is still to come */
		if (!c->reload_listed)
			settle(g->engine, c, h->ok != 0 ? NULL : buf_str(&why));
		if (h->ok == 0)
			put_on(g, c);
	}
	g->next = next_run(g);
	log_run(g, h);
	g->n_batch = 0;
	for (i = 0; i < g->engine->conf->n_commands; i++)
		group_look(&g->engine->groups[i]);
}

static void
group_run(struct reload_group *g)
{
	struct ipc_hook certs[IPC_HOOK_BATCH];
	struct cert *c;
	struct err e;

	while (
	    (c = TAILQ_FIRST(&g->due)) != NULL && g->n_batch < IPC_HOOK_BATCH) {
		take_off(g, c);
		certs[g->n_batch] = (struct ipc_hook){ .cert = c->index };
		partial_without(c, certs[g->n_batch].left_out);
		g->batch[g->n_batch++] = c;
	}
	g->engine->hooks++;
	g->running = upstairs_hook(
	    g->engine->upstairs, certs, g->n_batch, hooked, g, &e);
	if (g->running == NULL) {
		struct ipc_hooked h = { 0 };

		(void)memcpy(h.error, e.what, sizeof(h.error) - 1);
		hooked(g, &h);
	}
}

static void
group_look(struct reload_group *g)
{
	int64_t waited = clock_mono_ms() - g->since_ms;
	int64_t wait;

	if (g->running != NULL || g->n_due == 0 ||
	    g->engine->hooks >= g->engine->conf->max_hooks)
		return;
	wait = g->next == 0 ? 0 : (g->next - clock_now()) * 1000;
	if (wait <= 0 && g->busy != 0 && waited < GATHER_MS)
		wait = GATHER_MS - waited;
	if (wait > 0)
		loop_timer_set(g->timer, wait);
	else
		group_run(g);
}

static void
on_timer(void *arg)
{
	group_look(arg);
}

void
deploy_look(struct engine *en)
{
	uint32_t i;

	for (i = 0; i < en->conf->n_commands; i++) {
		struct reload_group *g = &en->groups[i];

		if (g->n_due == 0)
			continue;
		g->next = next_run(g);
		loop_timer_set(g->timer, 0);
	}
}

void
deploy_due(struct engine *en, struct cert *c)
{
	struct reload_group *g = group_of(en, c);
	int64_t next = c->deploy_trouble.next;

	put_on(g, c);
	/* What was installed just now does not wait for an old failure. */
	if (c->deploy_trouble.failures == 0)
		g->next = 0;
	else if (next > g->next)
		g->next = next;
	loop_timer_set(g->timer, 0);
}

void
deploy_busy(struct engine *en, const struct cert *c, int change)
{
	struct reload_group *g = group_of(en, c);

	if (g == NULL)
		return;
	g->busy = (uint32_t)((int64_t)g->busy + change);
	if (g->busy == 0 && g->n_due != 0)
		loop_timer_set(g->timer, 0);
}

int
deploy_init(struct engine *en, struct err *e)
{
	uint32_t i;

	en->groups = calloc(en->conf->n_commands + 1, sizeof(*en->groups));
	if (en->groups == NULL)
		return err_nomem(e, "reload commands");
	for (i = 0; i < en->conf->n_commands; i++) {
		struct reload_group *g = &en->groups[i];

		g->engine = en;
		TAILQ_INIT(&g->due);
		g->timer = loop_timer_new(en->loop, on_timer, g, e);
		g->batch = calloc(IPC_HOOK_BATCH, sizeof(struct cert *));
		if (g->timer == NULL || g->batch == NULL)
			return err_nomem(e, "reload commands");
	}
	return 0;
}

void
deploy_done(struct engine *en)
{
	uint32_t i;

	for (i = 0; en->groups != NULL && i < en->conf->n_commands; i++) {
		up_cancel(en->groups[i].running);
		loop_timer_free(en->groups[i].timer);
		free(en->groups[i].batch);
	}
	free(en->groups);
	en->groups = NULL;
}
