/* SPDX-License-Identifier: ISC */
/* Budgets and plans, as people's programs want to read them. */

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/plan.h"
#include "daemon/engine/view.h"
#include "lib/base/clock.h"

#define LINES_MAX 200
#define ITEMS_MAX 1000

/* Budgets */

struct lines {
	struct budget_line *v;
	size_t n, cap;
	bool no_memory;
};

static void
add_line(void *arg, const struct budget_line *line)
{
	struct lines *ls = arg;
	size_t cap = ls->cap == 0 ? 64 : 2 * ls->cap;
	struct budget_line *v;

	if (ls->n == ls->cap) {
		v = realloc(ls->v, cap * sizeof(*v));
		if (v == NULL) {
			ls->no_memory = true;
			return;
		}
		ls->v = v;
		ls->cap = cap;
	}
	ls->v[ls->n++] = *line;
}

/* The emptiest first. */
static int
by_left(const void *a, const void *b)
{
	const struct budget_line *x = a, *y = b;

	if (x->limit != y->limit)
		return x->limit < y->limit ? -1 : 1;
	if (x->left != y->left)
		return x->left < y->left ? -1 : 1;
	if (x->full_at != y->full_at)
		return x->full_at > y->full_at ? -1 : 1;
	return strcmp(x->of, y->of);
}

static void
put_line(const struct budget_line *line, struct json *o)
{
	json_set_str(o, "limit", budget_limit_name(line->limit));
	if (line->of[0] != '\0')
		json_set_str(o, "of", line->of);
	json_set_int(o, "capacity", line->capacity);
	json_set_int(o, "period_s", line->per_s);
	json_set_int(o, "left", line->left);
	if (line->left == 0)
		json_set_time(o, "next_at", line->next_at);
	json_set_time(o, "full_at", line->full_at);
}

/* Returns how many were left out. */
static size_t
put_lines(const struct lines *ls, enum conf_limit limit, const char *key,
    struct json *o)
{
	struct json *list = json_set_array(o, key);
	size_t i, n = 0;

	for (i = 0; i < ls->n; i++)
		if (ls->v[i].limit == limit && n++ < LINES_MAX)
			put_line(&ls->v[i], json_push_object(list));
	return n > LINES_MAX ? n - LINES_MAX : 0;
}

static void
put_budget(const struct engine *en, uint32_t ca, struct json *o)
{
	const struct conf_ca *cc = &en->conf->cas[ca];
	struct lines ls = { 0 };
	bool staging = false;
	size_t more;
	uint32_t i;

	for (i = 0; i < en->conf->n_cas; i++)
		staging = staging || en->conf->cas[i].staging == ca;
	json_set_str(o, "name", cc->name);
	json_set_bool(o, "staging", staging);
	json_set_bool(o, "renewals_exempt", cc->renewals_exempt);
	budget_each(
	    session_budget(en->cas[ca].session), clock_now(), add_line, &ls);
	if (ls.n != 0)
		qsort(ls.v, ls.n, sizeof(*ls.v), by_left);
	more = put_lines(&ls, LIMIT_NEW_ORDERS, "limits", o);
	more += put_lines(&ls, LIMIT_PER_DOMAIN, "domains", o);
	more += put_lines(&ls, LIMIT_PER_NAMES, "names", o);
	more += put_lines(&ls, LIMIT_FAILURES, "failures", o);
	if (more != 0)
		json_set_int(o, "not_shown", (int64_t)more);
	if (ls.no_memory)
		json_set_bool(o, "cut", true);
	free(ls.v);
}

struct json *
view_budget(const struct engine *en)
{
	struct json *root = json_object();
	struct json *cas = json_set_array(root, "cas");
	uint32_t i;

	for (i = 0; i < en->conf->n_cas; i++)
		if (en->conf->cas[i].used)
			put_budget(en, i, json_push_object(cas));
	return root;
}

/* Plans */

static void
put_item(const struct conf *conf, const struct plan_item *it, struct json *o)
{
	json_set_str(o, "name", it->cert->name);
	json_set_str(o, "why", change_name(it->why));
	json_set_str(o, "ca", conf->cas[it->ca].name);
	if (it->instead_of != CONF_NONE)
		json_set_str(o, "instead_of", conf->cas[it->instead_of].name);
	json_set_time(o, "at", it->at);
	if (it->limited)
		json_set_str(o, "limit", budget_limit_name(it->why_not.limit));
}

static void
put_forgotten(
    const struct engine *en, const struct conf *conf, struct json *root)
{
	struct json *list = json_set_array(root, "forgotten");
	uint32_t i, n = 0;

	for (i = 0; i < en->certs.n; i++) {
		const struct cert *c = &en->certs.all[i];

		if (c->have.version == 0 ||
		    conf_find_cert(conf, c->conf->name) != CONF_NONE)
			continue;
		if (n++ < ITEMS_MAX)
			json_push_str(list, c->conf->name);
	}
	if (n > ITEMS_MAX)
		json_set_int(root, "forgotten_not_shown", n - ITEMS_MAX);
}

static void
put_reloads(const struct conf *conf, const struct plan *p, struct json *root)
{
	struct json *list = json_set_array(root, "reloads"), *o, *argv;
	uint32_t *n = calloc(conf->n_commands + 1, sizeof(*n)), i;
	const char *const *a;

	for (i = 0; n != NULL && i < p->n; i++)
		if (p->items[i].cert->reload != CONF_NONE)
			n[p->items[i].cert->reload]++;
	for (i = 0; n != NULL && i < conf->n_commands; i++) {
		if (n[i] == 0)
			continue;
		o = json_push_object(list);
		argv = json_set_array(o, "command");
		for (a = conf->commands[i].argv; *a != NULL; a++)
			json_push_str(argv, *a);
		json_set_int(o, "certificates", n[i]);
	}
	free(n);
}

static void
put_plan(const struct engine *en, const struct conf *conf, const struct plan *p,
    struct json *root)
{
	struct json *list = json_set_array(root, "orders"), *o;
	uint32_t i, reasons[CHANGE__COUNT] = { 0 };

	for (i = 0; i < p->n; i++)
		reasons[p->items[i].why]++;
	o = json_set_object(root, "reasons");
	for (i = 0; i < CHANGE__COUNT; i++)
		if (reasons[i] != 0)
			json_set_int(
			    o, change_name((enum change)i), reasons[i]);
	for (i = 0; i < p->n && i < ITEMS_MAX; i++)
		put_item(conf, &p->items[i], json_push_object(list));
	if (p->n > ITEMS_MAX)
		json_set_int(root, "orders_not_shown", p->n - ITEMS_MAX);
	json_set_int(root, "n_orders", p->n);
	json_set_int(root, "n_unchanged", p->n_unchanged);
	put_forgotten(en, conf, root);
	put_reloads(conf, p, root);
	if (p->first_limited != NULL) {
		o = json_set_object(root, "first_limit");
		put_item(conf, p->first_limited, o);
		if (p->first_limited->why_not.of[0] != '\0')
			json_set_str(o, "of", p->first_limited->why_not.of);
	}
	json_set_time(root, "ends", p->ends);
}

struct json *
view_plan(const struct engine *en, const struct conf *conf, struct err *e)
{
	struct json *root;
	struct plan p;

	if (plan_make(en, conf, &p, e) == -1)
		return NULL;
	root = json_object();
	put_plan(en, conf, &p, root);
	plan_done(&p);
	return root;
}
