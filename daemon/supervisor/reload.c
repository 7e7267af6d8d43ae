/* SPDX-License-Identifier: ISC */
/* Reading a new configuration, and taking it or not. */
#include "daemon/supervisor/reload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/supervisor/children.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/io/sock.h"

#define SOON_MS    100 /* between two starts, however often it is asked */
#define RECENT_MS  1000
#define ASKED_MS   1000 /* between two that the engine asks for */
#define PASS_ON_MS 2000 /* the engine ends by itself when it has */
#define NOTIFY_MAX 512

/* As much as fits, in whole lines, and how many are not there. */
static void
report_text(const char *lines, char *out, size_t size)
{
	const size_t room = size - sizeof("... and 4294967295 more lines\n");
	size_t len = strlen(lines);
	const char *p;
	unsigned more = 0;
	int n;

	if (len > room) {
		for (len = room; len > 0 && lines[len - 1] != '\n'; len--)
			;
		for (p = lines + len; *p != '\0'; p++)
			more += *p == '\n';
	}
	memcpy(out, lines, len);
	out[len] = '\0';
	if (more > 0) {
		n = snprintf(
		    out + len, size - len, "... and %u more lines\n", more);
		if (n < 0)
			out[len] = '\0';
	}
}

static void
answer(struct super *s, bool ok, const char *lines)
{
	struct ipc_reloaded m = { .ok = ok };
	struct err e;

	if (!s->reload_answer)
		return;
	s->reload_answer = false;
	report_text(lines, m.text, sizeof(m.text));
	if (chan_send(s->engine.chan, IPC_RELOADED, s->reload_id, &m, sizeof(m),
		NULL, 0, -1, &e) == -1)
		log_debug("answer lost", KV("error", e.what));
}

static void
notify_reloading(struct super *s)
{
	AUTO(buf_done) struct buf text = BUF_INIT(NOTIFY_MAX);
	struct timespec ts;

	s->reloading = true;
	if (clock_gettime(CLOCK_MONOTONIC, &ts) == -1)
		return;
	buf_printf(&text, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
	    (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
	sock_notify(buf_str(&text));
}

int
reload_tell(struct super *s, struct err *e)
{
	if (s->refused.at == 0 || s->engine.chan == NULL)
		return 0;
	return chan_send(s->engine.chan, IPC_REFUSED, 0, &s->refused,
	    sizeof(s->refused), NULL, 0, -1, e);
}

/* n_errors of the file; 0: the file is good, but not for what runs here. */
static void
remember(struct super *s, const char *lines, unsigned n_errors)
{
	struct ipc_refused *r = &s->refused;
	int64_t now = clock_now();
	struct err e;

	*r = (struct ipc_refused){ .since = r->at == 0 ? now : r->since,
		.at = now,
		.n_errors = n_errors == 0 ? 1 : n_errors,
		.checks = n_errors != 0 };
	_Static_assert(sizeof(r->error) == sizeof(e.what), "may be cut");
	(void)err_set(
	    &e, ERR_CONFIG, 0, "%.*s", (int)strcspn(lines, "\n"), lines);
	memcpy(r->error, e.what, strlen(e.what) + 1);
	if (reload_tell(s, &e) == -1)
		log_debug("refusal not told", KV("error", e.what));
}

static void
refuse(struct super *s, const char *lines, unsigned n_errors)
{
	remember(s, lines, n_errors);
	setup_log(LOG_L_ERR, "not reloaded", lines);
	setup_notify("READY=1\nSTATUS=reload failed", lines);
	s->reloading = false;
	answer(s, false, lines);
}

/* What was opened, or handed over, at the start stays. */
static const char *
immovable(const struct conf *a, const struct conf *b)
{
	if (strcmp(a->state_dir, b->state_dir) != 0)
		return "state-dir";
	if (strcmp(a->user, b->user) != 0)
		return "user";
	if (strcmp(a->keeper_user, b->keeper_user) != 0)
		return "keeper-user";
	if (strcmp(a->control.socket, b->control.socket) != 0)
		return "control: socket";
	return NULL;
}

/* All that can fail; nothing has changed when it does. */
static int
prepare(
    struct super *s, const struct conf *conf, struct ports *next, struct err *e)
{
	const char *what = immovable(s->setup->conf, conf);

	if (what != NULL)
		return err_set(e, ERR_CONFIG, 0,
		    "%s: %s has changed, which needs a restart of acmed",
		    s->file, what);
	if (ports_plan(&s->ports, conf, next, e) == -1)
		return err_wrap(e, "%s", s->file);
	if (ports_control_mend(next, conf, e) == -1) {
		ports_drop(next);
		return err_wrap(e, "%s", s->file);
	}
	return 0;
}

static void
take(struct super *s, struct setup **next_setup, const struct ports *next,
    int64_t term_ms)
{
	struct setup *old = s->setup;
	int64_t life = clock_mono_ms() - s->started_ms;

	s->backoff_ms = 0;
	s->refused = (struct ipc_refused){ .at = 0 };
	if (s->phase == PHASE_DOWN)
		children_start(s);
	else
		children_stop(s, life < RECENT_MS ? SOON_MS : 0, term_ms);
	ports_switch(&s->ports, next);
	s->setup = take_ptr(*next_setup);
	setup_free(old);
	log_init("supervisor",
	    s->debug ? LOG_L_DEBUG : s->setup->conf->log.level,
	    s->setup->conf->log.format);
}

static void
reload(struct super *s, struct conf_report *r)
{
	AUTO(setup_free) struct setup *next_setup = NULL;
	struct ports next;
	struct err e;
	int64_t term_ms;

	next_setup = setup_load(s->file, r);
	if (next_setup == NULL) {
		refuse(s, buf_str(&r->errors), r->n_errors);
		return;
	}
	if (prepare(s, next_setup->conf, &next, &e) == -1) {
		refuse(s, e.what, 0);
		return;
	}
	setup_log(LOG_L_WARN, "configuration", buf_str(&r->warnings));
	log_info("reloaded", KN("certificates", next_setup->conf->n_certs));
	/* the engine has to pass the answer on before it ends */
	term_ms = s->reload_answer ? PASS_ON_MS : 0;
	answer(s, true, buf_str(&r->warnings));
	take(s, &next_setup, &next, term_ms);
}

static void
on_reload_timer(void *arg)
{
	struct conf_report r;
	struct super *s = arg;

	if (s->quit)
		return;
	notify_reloading(s);
	conf_report_init(&r);
	reload(s, &r);
	conf_report_done(&r);
}

int
reload_init(struct super *s, struct err *e)
{
	s->reload_timer = loop_timer_new(s->loop, on_reload_timer, s, e);
	return s->reload_timer == NULL ? -1 : 0;
}

void
reload_done(struct super *s)
{
	loop_timer_free(take_ptr(s->reload_timer));
}

void
reload_soon(struct super *s)
{
	loop_timer_set(s->reload_timer, 0);
}

int
reload_asked(struct super *s, uint32_t id, struct err *e)
{
	struct ipc_reloaded m = { .ok = 0, .text = "a reload is under way" };
	int64_t now = clock_mono_ms(), due = s->asked_ms + ASKED_MS;

	if (s->reload_answer)
		return chan_send(s->engine.chan, IPC_RELOADED, id, &m,
		    sizeof(m), NULL, 0, -1, e);
	s->reload_answer = true;
	s->reload_id = id;
	s->asked_ms = due > now ? due : now;
	loop_timer_set(s->reload_timer, s->asked_ms - now);
	return 0;
}

void
reload_forget(struct super *s)
{
	s->reload_answer = false;
}
