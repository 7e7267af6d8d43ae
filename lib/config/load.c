/* SPDX-License-Identifier: ISC */
/*
 * From a bundle to a struct conf: walks the files, entry by entry, and in the
 * end keeps what is worth keeping.  What the values mean is elsewhere.
 */
#include "lib/config/internal.h"

#include <inttypes.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "lib/base/fs.h"
#include "lib/base/str.h"

#define POOL_MAX ((size_t)1 << 30)

static void
load_free(struct load *ld)
{
	if (ld == NULL)
		return;
	index_done(&ld->names);
	index_done(&ld->idents);
	index_done(&ld->argv_index);
	index_done(&ld->command_index);
	index_done(&ld->ca_list_index);
	free(ld->certs);
	free(ld->drafts);
	diag_done(&ld->diags);
	pool_free(ld->pool);
	free(ld);
}
DEFINE_AUTO(struct load, load_free)

static struct load *
load_new(void)
{
	AUTO(load_free) struct load *ld = calloc(1, sizeof(*ld));

	if (ld == NULL || (ld->pool = pool_new(POOL_MAX)) == NULL)
		return NULL;
	ld->domains_at = (struct where){ .line = 1, .column = 1 };
	entry_init(&ld->s.defaults);
	if (read_defaults(ld, &section_top, &ld->s) == -1)
		return NULL;
	return take_ptr(ld);
}

static void
read_list(struct load *ld, struct yaml *y)
{
	struct node *n;

	yaml_step(y);
	while ((n = yaml_value(y)) != NULL) {
		read_entry(ld, n);
		node_free(n);
	}
	yaml_step(y);
}

static void
read_pair(struct load *ld, struct yaml *y, const struct node *key,
    uint32_t seen[CONF_FIELDS_MAX])
{
	const struct field *f = read_key(ld, &section_top, key, seen);
	AUTO(node_free) struct node *value = NULL;
	struct where at;

	if (f == NULL) {
		yaml_pass(y);
		return;
	}
	if (f->type == F_DOMAINS) {
		if (ld->file == 0)
			ld->domains_at = where_of(ld, key);
		if (yaml_peek(y, &at) == NODE_LIST) {
			read_list(ld, y);
			return;
		}
		ld->saw_entry = true; /* what it is instead is the error */
	}
	if ((value = yaml_value(y)) != NULL)
		(void)read_value(ld, f, &ld->s, value); /* it has said why */
}

static void
read_map(struct load *ld, struct yaml *y)
{
	uint32_t seen[CONF_FIELDS_MAX] = { 0 };
	struct node *key;

	yaml_step(y);
	while ((key = yaml_key(y)) != NULL) {
		read_pair(ld, y, key, seen);
		node_free(key);
	}
	yaml_step(y);
}

static void
wrong_root(struct load *ld, const char *found, struct where at)
{
	ld->broken = true;
	diag_error(&ld->diags, at,
	    "expected keys and values, like `email: admin@example.org`, found "
	    "%s",
	    found);
}

static void
read_file(struct load *ld, const struct text *t)
{
	AUTO(yaml_close) struct yaml *y = yaml_open(t->data, t->len);
	struct where at = { 0 };
	enum node_kind kind;
	const char *why;

	if (y == NULL) {
		ld->diags.nomem = true;
		return;
	}
	kind = yaml_peek(y, &at);
	at.file = ld->file;
	if (kind == NODE_MAP)
		read_map(ld, y);
	else if (kind == NODE_LIST && ld->file != 0)
		read_list(ld, y);
	else if (kind == NODE_LIST)
		wrong_root(ld, "a list", at);
	else if (kind == NODE_SCALAR)
		wrong_root(
		    ld, "a word: is there a space behind the colon?", at);
	else if (kind == NODE_NONE && ld->file == 0)
		wrong_root(ld, "an empty file", at);
	/* Whatever comes after: another document is an error. */
	if (kind == NODE_MAP || kind == NODE_LIST)
		(void)yaml_peek(y, &at);
	if ((why = yaml_error(y, &at)) != NULL) {
		ld->broken = true;
		at.file = ld->file;
		diag_error(&ld->diags, at, "%s", why);
	}
}

/* What the struct conf points to, moved out of the load. */
static struct conf *
finish(struct load *ld)
{
	struct conf *c = pool_alloc(ld->pool, sizeof(*c));
	struct owner *o = pool_alloc(ld->pool, sizeof(*o));
	struct conf_ca *cas = pool_alloc(ld->pool, ld->n_cas * sizeof(*cas));
	struct conf_command *commands =
	    pool_alloc(ld->pool, ld->n_commands * sizeof(*commands));
	struct conf_cert *certs;
	uint32_t i;

	if (c == NULL || o == NULL || cas == NULL || commands == NULL)
		return NULL;
	certs = realloc(ld->certs, ld->n_certs * sizeof(*certs));
	if (certs == NULL)
		return NULL;
	for (i = 0; i < ld->n_certs; i++)
		if (certs[i].idents == NULL)
			certs[i].idents = &certs[i].name;
	memcpy(cas, ld->cas, ld->n_cas * sizeof(*cas));
	memcpy(commands, ld->commands, ld->n_commands * sizeof(*commands));
	*c = ld->s.c;
	c->file = ld->files[0];
	c->cas = cas;
	c->n_cas = ld->n_cas;
	c->certs = certs;
	c->n_certs = ld->n_certs;
	c->commands = commands;
	c->n_commands = ld->n_commands;
	c->owner = o;
	ld->certs = NULL;
	*o = (struct owner){ take_ptr(ld->pool), certs, ld->names };
	ld->names = (struct index){ 0 };
	return c;
}

static struct conf *
load(const void *bundle, size_t len, struct conf_report *r)
{
	AUTO(load_free) struct load *ld = load_new();
	struct conf *c = NULL;
	uint32_t i;

	if (ld == NULL) {
		buf_puts(&r->errors, "out of memory\n");
		r->n_errors++;
		return NULL;
	}
	if (bundle_split(ld, bundle, len) == -1) {
		buf_puts(&r->errors,
		    ld->diags.nomem ? "out of memory\n"
				    : "the configuration bundle is damaged\n");
		r->n_errors++;
		return NULL;
	}
	for (i = 0; i < ld->n_files; i++) {
		ld->file = (uint16_t)i;
		read_file(ld, &ld->texts[i]);
	}
	resolve(ld);
	if (ld->diags.n_errors == 0 && !ld->diags.nomem &&
	    (c = finish(ld)) == NULL)
		ld->diags.nomem = true;
	diag_flush(&ld->diags, ld->files, r);
	return c;
}

struct conf *
conf_load(const void *bundle, size_t len, struct conf_report *r)
{
	struct conf *c = load(bundle, len, r);

#ifdef __GLIBC__
	/* Loading took several times what stays. */
	(void)malloc_trim(0);
#endif
	return c;
}

struct conf *
conf_inherit(int fd, const char *program, struct err *e)
{
	AUTO(buf_done) struct buf bundle = BUF_INIT(CONF_BUNDLE_MAX);
	struct conf_report report;
	struct conf *c;

	if (!fs_is_sealed(fd)) {
		(void)err_set(e, ERR_PROTO, 0,
		    "no configuration: %s is started by acmed, not by people",
		    program);
		return NULL;
	}
	if (fs_read_fd(fd, &bundle, e) == -1)
		return NULL;
	(void)close(fd);
	conf_report_init(&report);
	c = conf_load(bundle.data, bundle.len, &report);
	if (c == NULL)
		(void)err_set(e, ERR_CONFIG, 0, "%s", buf_str(&report.errors));
	conf_report_done(&report);
	return c;
}

void
conf_free(struct conf *c)
{
	struct owner *o;
	struct pool *pool;

	if (c == NULL)
		return;
	o = c->owner;
	pool = o->pool;
	index_done(&o->names);
	free(o->certs);
	pool_free(pool);
}

static bool
is_called(const void *arg, uint32_t i, const void *name)
{
	const struct conf *c = arg;

	return strcmp(c->certs[i].name, name) == 0;
}

uint32_t
conf_find_cert(const struct conf *c, const char *name)
{
	const struct owner *o = c->owner;

	return index_get(
	    &o->names, str_hash(name, strlen(name)), is_called, c, name);
}
