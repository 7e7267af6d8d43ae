/* SPDX-License-Identifier: ISC */
/*
 * What surrounds the engine: a configuration, a disk, and a keeper and a root
 * who have nothing to do.  State is written as text when the engine stops, by
 * the engine's own words, and read so again; before that a save costs nothing
 * but its callback.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/budget.h"
#include "daemon/engine/session_int.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "tests/fleet/fleet.h"
#include "tests/fleet/session.h"

#define STATUS_S (6 * HOUR)

/* Of lib/config/internal.h, whose other names collide with lib/acme's. */
int bundle_add(struct buf *, const char *name, const void *, size_t);

struct store_op {
	TAILQ_ENTRY(store_op) link;
	store_done *done;
	store_each *each;
	void *arg;
	char key[STORE_KEY_MAX];
};
TAILQ_HEAD(store_ops_list, store_op);

static struct engine engine;
struct engine *the_engine = &engine;

static struct {
	struct store store;
	struct conf *conf;
	struct store_ops_list ops, spare;
	struct loop_timer *timer;
	char **certs, **orders, **budgets;
	int64_t *not_before;
	uint64_t rev;
	bool writing;
} world;

/* The disk */

static void
answer_list(struct store_op *op)
{
	char key[STORE_KEY_MAX];
	char **docs = op->key[0] == 'c' ? world.certs : world.orders;
	uint32_t i;

	for (i = 0; i < opts.certs; i++) {
		if (docs[i] == NULL)
			continue;
		(void)snprintf(key, sizeof(key), "%s%s", op->key,
		    world.conf->certs[i].name);
		op->each(op->arg, key,
		    &(struct store_value){ .data = docs[i],
			.len = strlen(docs[i]),
			.rev = ++world.rev });
	}
}

static const char *
budget_doc(const char *key)
{
	uint32_t i;

	for (i = 0; strncmp(key, "budgets/", 8) == 0 && i < world.conf->n_cas;
	     i++)
		if (strcmp(key + 8, world.conf->cas[i].name) == 0)
			return world.budgets[i];
	return NULL;
}

static void
on_ops(void *arg)
{
	struct store_op *op;

	(void)arg;
	while ((op = TAILQ_FIRST(&world.ops)) != NULL) {
		const char *doc = budget_doc(op->key);
		struct store_value v = { .data = doc == NULL ? "" : doc,
			.len = doc == NULL ? 0 : strlen(doc),
			.rev = doc == NULL ? STORE_ABSENT : ++world.rev };

		TAILQ_REMOVE(&world.ops, op, link);
		if (op->each != NULL)
			answer_list(op);
		op->done(op->arg, &v, NULL);
		TAILQ_INSERT_HEAD(&world.spare, op, link);
	}
}

static struct store_op *
op_new(const char *key, store_each *each, store_done *done, void *arg)
{
	struct store_op *op = TAILQ_FIRST(&world.spare);

	if (op != NULL)
		TAILQ_REMOVE(&world.spare, op, link);
	else if ((op = malloc(sizeof(*op))) == NULL)
		abort();
	op->done = done;
	op->each = each;
	op->arg = arg;
	(void)snprintf(op->key, sizeof(op->key), "%s", key);
	TAILQ_INSERT_TAIL(&world.ops, op, link);
	loop_timer_set(world.timer, 0);
	return op;
}

static struct store_op *
store_get(struct store *s, const char *key, store_done *done, void *arg,
    struct err *e)
{
	(void)s;
	(void)e;
	return op_new(key, NULL, done, arg);
}

static struct store_op *
store_put(struct store *s, const struct store_put *put, store_done *done,
    void *arg, struct err *e)
{
	(void)s;
	(void)put;
	(void)e;
	return op_new("", NULL, done, arg);
}

static struct store_op *
store_list(struct store *s, const char *prefix, store_each *each,
    store_done *done, void *arg, struct err *e)
{
	(void)s;
	(void)e;
	return op_new(prefix, each, done, arg);
}

static int
store_set_aside(struct store *s, const char *key, struct err *e)
{
	(void)s;
	(void)e;
	violation("%s: the engine cannot read what it wrote", key);
	return 0;
}

static void
store_cancel(struct store_op *op)
{
	if (op == NULL)
		return;
	TAILQ_REMOVE(&world.ops, op, link);
	TAILQ_INSERT_HEAD(&world.spare, op, link);
}

static const struct store_ops disk = { .name = "none",
	.get = store_get,
	.put = store_put,
	.drop = store_get,
	.list = store_list,
	.set_aside = store_set_aside,
	.cancel = store_cancel };

/* The engine's own writing, which is wanted at the end only. */

int __real_cert_encode(
    const struct conf *, const struct cert *, struct buf *, struct err *);
int __wrap_cert_encode(
    const struct conf *, const struct cert *, struct buf *, struct err *);
int
__wrap_cert_encode(const struct conf *conf, const struct cert *c,
    struct buf *out, struct err *e)
{
	return world.writing ? __real_cert_encode(conf, c, out, e) : 0;
}

int __real_cert_encode_order(
    const struct conf *, const struct cert *, struct buf *, struct err *);
int __wrap_cert_encode_order(
    const struct conf *, const struct cert *, struct buf *, struct err *);
int
__wrap_cert_encode_order(const struct conf *conf, const struct cert *c,
    struct buf *out, struct err *e)
{
	return world.writing ? __real_cert_encode_order(conf, c, out, e) : 0;
}

int __real_budget_encode(
    const struct budget *, int64_t, struct buf *, struct err *);
int __wrap_budget_encode(
    const struct budget *, int64_t, struct buf *, struct err *);
int
__wrap_budget_encode(
    const struct budget *b, int64_t now, struct buf *out, struct err *e)
{
	return world.writing ? __real_budget_encode(b, now, out, e) : 0;
}

/* Everybody is counted after each attempt, for people to see. */
void __real_engine_count(const struct engine *, struct ipc_status *);
void __wrap_engine_count(const struct engine *, struct ipc_status *);
void
__wrap_engine_count(const struct engine *en, struct ipc_status *s)
{
	static int64_t last;

	memset(s, 0, sizeof(*s));
	if (sim_ms() - last < STATUS_S * 1000)
		return;
	last = sim_ms();
	__real_engine_count(en, s);
}

int64_t __real_pace_when(const struct ca_queue *);
int64_t __wrap_pace_when(const struct ca_queue *);
int64_t
__wrap_pace_when(const struct ca_queue *q)
{
	return opts.broken == BROKEN_PACE ? 0 : __real_pace_when(q);
}

bool __real_turn_elsewhere(
    struct engine *, struct cert *, const char *, int64_t *);
bool __wrap_turn_elsewhere(
    struct engine *, struct cert *, const char *, int64_t *);
bool
__wrap_turn_elsewhere(
    struct engine *en, struct cert *c, const char *limit, int64_t *until)
{
	return opts.broken != BROKEN_QUEUES &&
	       __real_turn_elsewhere(en, c, limit, until);
}

static void
keep(char **doc, struct buf *text)
{
	free(*doc);
	*doc = buf_take(text);
	if (*doc == NULL)
		abort();
}

static void
write_cert(uint32_t i)
{
	AUTO(buf_done) struct buf cert = BUF_INIT(STORE_VALUE_MAX);
	AUTO(buf_done) struct buf order = BUF_INIT(STORE_VALUE_MAX);
	struct cert *c = &engine.certs.all[i];
	struct err e;

	if (cert_encode(engine.conf, c, &cert, &e) == -1 ||
	    cert_encode_order(engine.conf, c, &order, &e) == -1)
		abort();
	keep(&world.certs[i], &cert);
	free(world.orders[i]);
	world.orders[i] = NULL;
	if (cert_ordering(c))
		keep(&world.orders[i], &order);
}

static void
write_all(void)
{
	struct err e;
	uint32_t i;

	world.writing = true;
	for (i = 0; i < opts.certs; i++)
		write_cert(i);
	for (i = 0; i < world.conf->n_cas; i++) {
		AUTO(buf_done) struct buf text = BUF_INIT(STORE_VALUE_MAX);
		const struct session *s = engine.cas[i].session;

		if (budget_encode(session_budget(s), clock_now(), &text, &e) ==
		    -1)
			violation("budget: %s", e.what);
		keep(&world.budgets[i], &text);
		world.not_before[i] = s->not_before;
	}
	world.writing = false;
}

int64_t
world_not_before(uint32_t ca)
{
	return world.not_before[ca];
}

/* Those whom the engine talks to */

struct dns *
dns_new(struct loop *l, const char *const *servers, uint32_t n, struct err *e)
{
	(void)l;
	(void)servers;
	(void)n;
	(void)e;
	return (struct dns *)&world;
}

void
dns_free(struct dns *d)
{
	(void)d;
}

void
keys_drop(struct keys *k, const char *key_id)
{
	(void)k;
	(void)key_id;
}

void
sweep_start(struct engine *en)
{
	(void)en; /* there is no keeper */
}

void
sweep_cancel(struct engine *en)
{
	(void)en;
}

struct up_op *
upstairs_hook(struct upstairs *u, struct ipc_hook *certs, size_t n,
    upstairs_hooked *done, void *arg, struct err *e)
{
	(void)u;
	(void)certs;
	(void)n;
	(void)done;
	(void)arg;
	(void)err_set(e, ERR_PROTO, 0, "no commands here");
	return NULL;
}

int
restore_init(struct engine *en, struct err *e)
{
	(void)en;
	(void)e;
	return 0;
}

void
restore_start(struct engine *en, void (*known)(struct engine *))
{
	known(en);
}

void
restore_done(struct engine *en)
{
	(void)en;
}

void
up_cancel(struct up_op *op)
{
	(void)op;
}

void
upstairs_status(struct upstairs *u, const struct ipc_status *s)
{
	(void)u;
	(void)s;
}

/* The configuration: by tenths of a percent, one kind after the other, and
 * every tenth certificate is one of BLOCK of a large domain. */

static void
add_domain(struct buf *b, uint32_t i)
{
	static const struct {
		unsigned until;
		const char *what;
	} kinds[] = {
		{ 30, "profile: shortlived" },
		{ 130, "profile: tlsserver" },
		{ 180, "ca: other" },
		{ 280, "ca: [other, letsencrypt]" },
		{ 480, "ca: [letsencrypt, other]" },
		{ 1000, "key: ec384" },
	};
	unsigned luck = (unsigned)chance(1000), k = 0;

	while (luck >= kinds[k].until)
		k++;
	if (i % 10 == 3)
		buf_printf(b, "  - {names: [host%u.large%u.com], %s}\n", i,
		    i / 10 / BLOCK, kinds[k].what);
	else if (i % 10 == 7)
		buf_printf(b,
		    "  - {names: [customer%u.com, mail.customer%u.com, "
		    "www.customer%u.com], %s}\n",
		    i, i, i, kinds[k].what);
	else
		buf_printf(
		    b, "  - {names: [customer%u.com], %s}\n", i, kinds[k].what);
}

int
world_open(struct err *e)
{
	AUTO(buf_done) struct buf text = BUF_INIT(CONF_BUNDLE_MAX);
	AUTO(buf_done) struct buf bundle = BUF_INIT(CONF_BUNDLE_MAX);
	struct conf_report report;
	uint32_t i;

	buf_printf(&text,
	    "agree-tos: true\nca:\n"
	    "  other: {directory: https://other.test/directory,\n"
	    "    limits: {new-orders: 100/1h, failures: 5/1h}}\n");
	if (opts.max_orders != 0)
		buf_printf(&text, "  letsencrypt: {max-orders: %u}\n",
		    opts.max_orders);
	buf_printf(&text, "defaults: {ca: letsencrypt}\ndomains:\n");
	for (i = 0; i < opts.certs; i++)
		add_domain(&text, i);
	if (bundle_add(&bundle, "acmed.yaml", text.data, text.len) == -1)
		return err_nomem(e, "configuration");
	conf_report_init(&report);
	world.conf = conf_load(bundle.data, bundle.len, &report);
	if (world.conf == NULL)
		(void)err_set(e, ERR_CONFIG, 0, "%s", buf_str(&report.errors));
	conf_report_done(&report);
	if (world.conf == NULL)
		return -1;
	engine.conf = world.conf;
	TAILQ_INIT(&world.ops);
	TAILQ_INIT(&world.spare);
	world.store.ops = &disk;
	world.certs = calloc(opts.certs + 1, sizeof(char *));
	world.orders = calloc(opts.certs + 1, sizeof(char *));
	world.budgets = calloc(world.conf->n_cas, sizeof(char *));
	world.not_before = calloc(world.conf->n_cas, sizeof(int64_t));
	world.timer = loop_timer_new(loop_new(e), on_ops, NULL, e);
	return world.certs == NULL || world.orders == NULL ||
		       world.budgets == NULL || world.not_before == NULL ||
		       world.timer == NULL
		   ? err_nomem(e, "world")
		   : 0;
}

void
world_close(void)
{
	struct store_op *op;
	uint32_t i;

	for (i = 0; i < opts.certs; i++) {
		free(world.certs[i]);
		free(world.orders[i]);
	}
	for (i = 0; i < world.conf->n_cas; i++)
		free(world.budgets[i]);
	free(world.certs);
	free(world.orders);
	free(world.budgets);
	free(world.not_before);
	while ((op = TAILQ_FIRST(&world.spare)) != NULL) {
		TAILQ_REMOVE(&world.spare, op, link);
		free(op);
	}
	loop_timer_free(world.timer);
	conf_free(world.conf);
}

static void
on_loaded(struct engine *en, unsigned damaged, const struct err *e)
{
	if (e != NULL || damaged != 0)
		violation("%u damaged, %s", damaged, e == NULL ? "" : e->what);
	engine_republish(en);
	engine_begin(en);
}

int
world_engine_start(struct err *e)
{
	memset(&engine, 0, sizeof(engine));
	engine.conf = world.conf;
	engine.loop = loop_new(e);
	engine.store = &world.store;
	if (engine_setup(&engine, e) == -1 ||
	    engine_load(&engine, on_loaded, e) == -1)
		return -1;
	while (!engine.started && sim_step(sim_ms()))
		continue;
	return engine.started ? 0 : err_set(e, ERR_PROTO, 0, "not started");
}

void
world_engine_stop(void)
{
	struct store_op *op;

	write_all();
	engine_done(&engine);
	sessions_end();
	while ((op = TAILQ_FIRST(&world.ops)) != NULL)
		store_cancel(op);
	memset(&engine, 0, sizeof(engine));
	engine.conf = world.conf;
}
