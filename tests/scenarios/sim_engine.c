/* SPDX-License-Identifier: ISC */
/* The engine's parts put together as its main.c does, on a folder in memory
 * that outlives them. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/fs.h"
#include "tests/scenarios/sim.h"

/* Of lib/config/internal.h, whose other names collide with lib/acme's. */
int bundle_add(struct buf *, const char *name, const void *, size_t);

static struct {
	struct engine en;
	bool running, failed;
	struct err why;
	struct store_ops ops;
	const struct store_ops *real;
} sim;
char sim_full[16];
bool sim_memory_fails, sim_torture;
static int state_dir = -1;
static char state_path[64];

struct engine *
sim_engine(void)
{
	return sim.running ? &sim.en : NULL;
}

int
sim_state_dir(void)
{
	return state_dir;
}

static void
remove_state(void)
{
	const char *const *kind;
	int fd = state_dir;

	if (fd == -1)
		return;
	for (kind = store_kinds; *kind != NULL; kind++)
		(void)fs_remove(fd, *kind, NULL);
	(void)close(fd);
	(void)rmdir(state_path);
	state_dir = -1;
}

void
sim_state_reset(void)
{
	if (state_dir == -1)
		(void)atexit(remove_state);
	remove_state();
	(void)snprintf(state_path, sizeof(state_path), "%s/acmed-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(state_path) == NULL ||
	    (state_dir = open(state_path, O_RDONLY | O_DIRECTORY)) == -1) {
		perror(state_path);
		abort();
	}
}

static void
fail(const struct err *e)
{
	sim.failed = true;
	sim.why = *e;
}

static void
on_loaded(struct engine *en, unsigned damaged, const struct err *e)
{
	(void)damaged;
	if (e != NULL) {
		fail(e);
		return;
	}
	engine_republish(en);
	engine_begin(en);
}

struct conf *
sim_conf(const char *text, struct err *e)
{
	AUTO(buf_done) struct buf bundle = BUF_INIT(CONF_BUNDLE_MAX);
	struct conf_report report;
	struct conf *conf;

	if (bundle_add(&bundle, "acmed.yaml", text, strlen(text)) == -1) {
		(void)err_nomem(e, "configuration");
		return NULL;
	}
	conf_report_init(&report);
	conf = conf_load(bundle.data, bundle.len, &report);
	if (conf == NULL)
		(void)err_set(e, ERR_CONFIG, 0, "%s", buf_str(&report.errors));
	conf_report_done(&report);
	return conf;
}

/* The store, but for what the disk has no room for. */
static struct store_op *
put(struct store *st, const struct store_put *p, store_done *done, void *arg,
    struct err *e)
{
	size_t len = strlen(sim_full);

	if (len != 0 && strncmp(p->key, sim_full, len) == 0) {
		(void)err_set(e, ERR_SYS, ENOSPC, "%s", p->key);
		return NULL;
	}
	return sim.real->put(st, p, done, arg, e);
}

static int
setup(struct engine *en, struct err *e)
{
	en->loop = loop_new(e);
	en->http = http_new(en->loop, "", e);
	en->keys = keys_new(en->loop, -1, NULL, NULL, e);
	en->upstairs = upstairs_new(en->loop, -1, NULL, NULL, e);
	en->store = store_files(en->loop, state_dir, e);
	if (en->store == NULL)
		return -1;
	sim.real = en->store->ops;
	sim.ops = *sim.real;
	sim.ops.put = put;
	en->store->ops = &sim.ops;
	if (engine_setup(en, e) == -1)
		return -1;
	return engine_load(en, on_loaded, e);
}

int
sim_start(const char *conf, struct err *e)
{
	memset(&sim, 0, sizeof(sim));
	sim.running = true;
	sim.en.conf = sim_conf(conf, e);
	if (sim.en.conf == NULL) {
		sim_stop();
		return -1;
	}
	sim_memory_fails = sim_torture;
	if (setup(&sim.en, e) == -1) {
		sim_stop();
		return -1;
	}
	while (!sim.en.started && !sim.failed && sim_step(sim_ms()))
		continue;
	if (sim.failed) {
		*e = sim.why;
		sim_stop();
		return -1;
	}
	return 0;
}

void
sim_stop(void)
{
	struct engine *en = &sim.en;

	if (!sim.running)
		return;
	engine_done(en);
	http_free(en->http);
	upstairs_free(en->upstairs);
	keys_free(en->keys);
	store_free(en->store);
	conf_free(en->conf);
	sim.running = false;
}
