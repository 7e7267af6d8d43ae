/* SPDX-License-Identifier: ISC */
/* Batches of reload commands: open, then waiting, then running. */
#include "daemon/supervisor/hooks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/io/proc.h"

#define ENV_MAX  (256u << 10)
#define ENV_VARS 16
#define KEY_MAX  (256u << 10)
#define RECENT   256 /* commands whose last starts are remembered */

struct batch {
	TAILQ_ENTRY(batch) entry;
	struct hooks *hooks;
	const struct conf *conf; /* not once it runs: a reload may free it */
	struct buf
	    key; /* the arguments and spaces: the same command, the log */
	uint32_t command;
	uint32_t timeout_s;
	uint32_t id;
	uint32_t n;
	struct ipc_hook certs[IPC_HOOK_BATCH];
	struct proc *proc;
	bool wanted; /* somebody waits for the answer */
};
TAILQ_HEAD(batches, batch);

/* When a command would have rested from all of its starts (GCRA). */
struct recent {
	uint64_t command; /* hash */
	int64_t rested_ms;
};

struct hooks {
	struct loop *loop;
	struct loop_timer *kick;
	hooks_done *done;
	void *arg;
	struct batches open, waiting, running;
	uint32_t n_open, n_waiting, n_running;
	struct recent recent[RECENT];
};

struct env {
	struct buf text;
	size_t at[ENV_VARS]; /* where each variable begins */
	size_t n;
	const char *vars[ENV_VARS + 1];
};

static void kick(void *);

static void
env_done_p(struct env *v)
{
	buf_done(&v->text);
}

static void
batch_free(struct batch *b)
{
	buf_done(&b->key);
	free(b);
}

struct hooks *
hooks_new(struct loop *loop, hooks_done *done, void *arg, struct err *e)
{
	struct hooks *h = calloc(1, sizeof(*h));

	if (h == NULL) {
		(void)err_nomem(e, "hooks");
		return NULL;
	}
	TAILQ_INIT(&h->open);
	TAILQ_INIT(&h->waiting);
	TAILQ_INIT(&h->running);
	h->loop = loop;
	h->done = done;
	h->arg = arg;
	h->kick = loop_timer_new(loop, kick, h, e);
	if (h->kick == NULL) {
		free(h);
		return NULL;
	}
	return h;
}

static void
env_begin(struct env *v, const char *name)
{
	v->at[v->n++] = v->text.len;
	buf_printf(&v->text, "%s=", name);
}

static void
env_end(struct env *v)
{
	buf_putc(&v->text, '\0');
}

static void
env_set(struct env *v, const char *name, const char *value)
{
	env_begin(v, name);
	buf_puts(&v->text, value);
	env_end(v);
}

/* Add a word to the list that began at start; false once it is full. */
static bool
env_word(struct env *v, size_t start, const char *word)
{
	bool first = v->text.len == start;

	if (v->text.len - start + !first + strlen(word) > HOOKS_LIST_MAX)
		return false;
	if (!first)
		buf_putc(&v->text, ' ');
	buf_puts(&v->text, word);
	return true;
}

static const struct conf_cert *
cert_of(const struct batch *b, uint32_t i)
{
	return &b->conf->certs[b->certs[i].cert];
}

static void
env_names(struct env *v, const struct batch *b)
{
	size_t start;
	uint32_t i;

	env_begin(v, "ACMED_NAMES");
	start = v->text.len;
	for (i = 0; i < b->n; i++)
		if (!env_word(v, start, cert_of(b, i)->name))
			break;
	env_end(v);
}

/* The domains that the first n certificates of the batch have. */
static void
env_domains(struct env *v, const char *name, const struct batch *b, uint32_t n)
{
	const struct conf_cert *cert;
	bool room = true;
	size_t start;
	uint32_t i, j;

	env_begin(v, name);
	start = v->text.len;
	for (i = 0; i < n && room; i++) {
		cert = cert_of(b, i);
		for (j = 0; j < cert->n_idents && room; j++)
			if (!ipc_is_out(b->certs[i].left_out, j))
				room = env_word(v, start, cert->idents[j]);
	}
	env_end(v);
}

static void
env_paths(struct env *v, const char *state_dir, const char *name)
{
	static const struct {
		const char *var, *file;
	} paths[] = {
		{ "ACMED_DIR", "" }, { "ACMED_CERT", "/cert.pem" },
		{ "ACMED_CHAIN", "/chain.pem" },
		{ "ACMED_FULLCHAIN", "/fullchain.pem" },
		{ "ACMED_KEY", "/privkey.pem" },
		{ "RENEWED_LINEAGE", "" }, /* certbot's name for ACMED_DIR */
	};
	size_t i;

	for (i = 0; i < NELEM(paths); i++) {
		env_begin(v, paths[i].var);
		buf_printf(
		    &v->text, "%s/live/%s%s", state_dir, name, paths[i].file);
		env_end(v);
	}
}

static int
env_build(struct env *v, const struct batch *b, struct err *e)
{
	const char *first = cert_of(b, 0)->name;
	size_t i;

	env_set(v, "PATH", PROC_PATH);
	env_set(v, "ACMED_EVENT", "reload");
	env_begin(v, "ACMED_COUNT");
	buf_printf(&v->text, "%" PRIu32, b->n);
	env_end(v);
	env_set(v, "ACMED_NAME", first);
	env_names(v, b);
	env_domains(v, "ACMED_DOMAINS", b, b->n);
	env_domains(v, "RENEWED_DOMAINS", b, 1);
	env_paths(v, b->conf->state_dir, first);
	if (!buf_ok(&v->text))
		return err_set(e, ERR_LIMIT, 0, "the environment is too large");
	for (i = 0; i < v->n; i++)
		v->vars[i] = v->text.data + v->at[i];
	v->vars[v->n] = NULL;
	return 0;
}

/* How it ended, in words; "" when well. */
static void
outcome(const struct proc_result *r, uint32_t timeout_s, char out[IPC_ERROR])
{
	out[0] = '\0';
	if (r->timed_out)
		(void)snprintf(
		    out, IPC_ERROR, "killed after %" PRIu32 " s", timeout_s);
	else if (WIFSIGNALED(r->status))
		(void)snprintf(
		    out, IPC_ERROR, "killed by signal %d", WTERMSIG(r->status));
	else if (WEXITSTATUS(r->status) != 0)
		(void)snprintf(
		    out, IPC_ERROR, "exit status %d", WEXITSTATUS(r->status));
}

/* Whoever asked will say what came of it; if nobody waits, we do. */
static void
batch_log(const struct batch *b, const struct ipc_hooked *m)
{
	if (b->wanted)
		log_debug("reload command ended",
		    KV("command", buf_str(&b->key)), KN("certificates", b->n),
		    KN("ms", m->ms), KV("error", m->error));
	else if (m->ok)
		log_info("reload command of before ended",
		    KV("command", buf_str(&b->key)), KN("ms", m->ms));
	else
		log_warn("reload command of before failed",
		    KV("command", buf_str(&b->key)), KV("error", m->error),
		    KV("output", m->output));
}

/* b leaves its list, is answered, and is gone. */
static void
batch_answer(struct batch *b, const struct ipc_hooked *m)
{
	struct hooks *h = b->hooks;
	uint32_t id = b->id;
	bool wanted = b->wanted;

	batch_log(b, m);
	batch_free(b);
	loop_timer_set(h->kick, 0); /* somebody may have waited for this one */
	if (wanted)
		h->done(h->arg, id, m);
}

static void
on_done(void *arg, const struct proc_result *r)
{
	struct ipc_hooked m = { .status = r->status, .ms = r->ms };
	struct batch *b = arg;

	m.timed_out = r->timed_out;
	m.ok = !r->timed_out && WIFEXITED(r->status) &&
	       WEXITSTATUS(r->status) == 0;
	outcome(r, b->timeout_s, m.error);
	(void)snprintf(m.output, sizeof(m.output), "%s", r->output);
	TAILQ_REMOVE(&b->hooks->running, b, entry);
	b->hooks->n_running--;
	batch_answer(b, &m);
}

/* Its row, or the one that has rested for longest. */
static struct recent *
recent_of(struct hooks *h, const struct batch *b)
{
	uint64_t command = str_hash(b->key.data, b->key.len);
	struct recent *r, *oldest = h->recent;

	for (r = h->recent; r < h->recent + RECENT; r++) {
		if (r->command == command)
			return r;
		if (r->rested_ms < oldest->rested_ms)
			oldest = r;
	}
	*oldest = (struct recent){ .command = command };
	return oldest;
}

static void
note_start(struct hooks *h, const struct batch *b)
{
	struct recent *r = recent_of(h, b);
	int64_t now = clock_mono_ms();

	r->rested_ms =
	    (r->rested_ms > now ? r->rested_ms : now) + HOOKS_REST_MS;
}

/* How long b has to wait, since its command was started so often. */
static int64_t
rest_ms(struct hooks *h, const struct batch *b)
{
	return recent_of(h, b)->rested_ms - clock_mono_ms() -
	       (HOOKS_BURST - 1) * HOOKS_REST_MS;
}

/* b is in no list. */
static void
batch_start(struct hooks *h, struct batch *b)
{
	AUTO(env_done) struct env env = { .text = BUF_INIT(ENV_MAX) };
	const struct conf_command *command = &b->conf->commands[b->command];
	struct ipc_hooked m = { .ok = 0 };
	struct err e;

	note_start(h, b);
	if (env_build(&env, b, &e) == 0) {
		const struct proc_spec spec = { .argv = command->argv,
			.env = env.vars,
			.timeout_s = command->timeout_s };

		b->proc = proc_start(h->loop, &spec, on_done, b, &e);
	}
	b->conf = NULL;
	if (b->proc == NULL) {
		(void)snprintf(m.error, sizeof(m.error), "%.*s",
		    (int)sizeof(m.error) - 1, e.what);
		batch_answer(b, &m);
		return;
	}
	TAILQ_INSERT_TAIL(&h->running, b, entry);
	h->n_running++;
}

static bool
runs_already(const struct hooks *h, const struct batch *b)
{
	const struct batch *r;

	TAILQ_FOREACH (r, &h->running, entry)
		if (strcmp(buf_str(&r->key), buf_str(&b->key)) == 0)
			return true;
	return false;
}

/* NULL: none now; the kick is set for one that only has to rest. */
static struct batch *
next_startable(struct hooks *h)
{
	int64_t wait, least = HOOKS_REST_MS;
	bool resting = false;
	struct batch *b;

	TAILQ_FOREACH (b, &h->waiting, entry) {
		if (h->n_running >= b->conf->max_hooks)
			return NULL;
		if (runs_already(h, b))
			continue;
		wait = rest_ms(h, b);
		if (wait <= 0)
			return b;
		resting = true;
		if (wait < least)
			least = wait;
	}
	if (resting)
		loop_timer_set(h->kick, least);
	return NULL;
}

static void
kick(void *arg)
{
	struct hooks *h = arg;
	struct batch *b = next_startable(h);

	if (b == NULL)
		return;
	TAILQ_REMOVE(&h->waiting, b, entry);
	h->n_waiting--;
	loop_timer_set(h->kick, 0); /* one a turn, and look again */
	batch_start(h, b);
}

static struct batch *
batch_new(
    struct hooks *h, const struct conf *conf, uint32_t command, struct err *e)
{
	const char *const *arg = conf->commands[command].argv;
	struct batch *b = calloc(1, sizeof(*b));

	if (b == NULL) {
		(void)err_nomem(e, "hook");
		return NULL;
	}
	b->hooks = h;
	b->conf = conf;
	b->command = command;
	b->timeout_s = conf->commands[command].timeout_s;
	b->wanted = true;
	b->key = BUF_INIT(KEY_MAX);
	for (; *arg != NULL; arg++) {
		if (b->key.len > 0)
			buf_putc(&b->key, ' ');
		buf_puts(&b->key, *arg);
	}
	if (!buf_ok(&b->key)) {
		batch_free(b);
		(void)err_set(e, ERR_LIMIT, 0, "command too long");
		return NULL;
	}
	return b;
}

static struct batch *
batch_open(
    struct hooks *h, const struct conf *conf, uint32_t command, struct err *e)
{
	struct batch *b;

	TAILQ_FOREACH (b, &h->open, entry)
		if (b->command == command)
			return b;
	if (h->n_open == HOOKS_OPEN_MAX) {
		(void)err_set(e, ERR_PROTO, 0, "too many open batches");
		return NULL;
	}
	b = batch_new(h, conf, command, e);
	if (b == NULL)
		return NULL;
	TAILQ_INSERT_TAIL(&h->open, b, entry);
	h->n_open++;
	return b;
}

static int
left_out_check(
    const struct conf_cert *cert, const uint8_t *left_out, struct err *e)
{
	uint32_t i, n = 0;

	for (i = 0; i < IPC_NAMES; i++) {
		if (!ipc_is_out(left_out, i))
			continue;
		if (!cert->partial || i >= cert->n_idents)
			return err_set(e, ERR_PROTO, 0, "no such name to omit");
		n++;
	}
	return n < cert->n_idents ? 0
				  : err_set(e, ERR_PROTO, 0, "no name is left");
}

int
hooks_add(struct hooks *h, const struct conf *conf, const struct ipc_hook *req,
    uint32_t id, struct err *e)
{
	const struct conf_cert *cert;
	struct batch *b;

	if (req->cert >= conf->n_certs)
		return err_set(
		    e, ERR_PROTO, 0, "no certificate %" PRIu32, req->cert);
	cert = &conf->certs[req->cert];
	if (cert->reload >= conf->n_commands)
		return err_set(
		    e, ERR_PROTO, 0, "%s has no reload command", cert->name);
	if (left_out_check(cert, req->left_out, e) == -1)
		return -1;
	b = batch_open(h, conf, cert->reload, e);
	if (b == NULL)
		return -1;
	if (b->n == IPC_HOOK_BATCH)
		return err_set(e, ERR_PROTO, 0, "batch too long");
	b->certs[b->n++] = *req;
	if (req->more != 0)
		return 0;
	if (h->n_waiting == HOOKS_WAITING_MAX)
		return err_set(e, ERR_PROTO, 0, "too many batches waiting");
	b->id = id;
	TAILQ_REMOVE(&h->open, b, entry);
	h->n_open--;
	TAILQ_INSERT_TAIL(&h->waiting, b, entry);
	h->n_waiting++;
	loop_timer_set(h->kick, 0);
	return 0;
}

static void
drop_all(struct batches *list)
{
	struct batch *b;

	while ((b = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, b, entry);
		batch_free(b);
	}
}

void
hooks_forget(struct hooks *h)
{
	struct batch *b;

	drop_all(&h->open);
	drop_all(&h->waiting);
	h->n_open = h->n_waiting = 0;
	TAILQ_FOREACH (b, &h->running, entry)
		b->wanted = false;
}

void
hooks_free(struct hooks *h)
{
	struct batch *b;

	if (h == NULL)
		return;
	hooks_forget(h);
	TAILQ_FOREACH (b, &h->running, entry)
		proc_cancel(b->proc);
	drop_all(&h->running);
	loop_timer_free(h->kick);
	free(h);
}
