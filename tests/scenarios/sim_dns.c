/* SPDX-License-Identifier: ISC */
/* Name servers that know of CAA what sim_dns says, and answer by a timer. */

#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "tests/scenarios/sim.h"

struct dns {
	struct loop *loop;
	LIST_HEAD(, dns_op) ops;
};

struct dns_op {
	LIST_ENTRY(dns_op) link;
	struct loop_timer *timer;
	dns_caa_done *done;
	void *arg;
	const char *issuers[SIM_ISSUERS];
	bool reported;
	char name[STR_IDENT_MAX];
};

struct sim_dns sim_dns;

void
sim_dns_reset(void)
{
	sim_dns = (struct sim_dns){ 0 };
}

struct dns *
dns_new(struct loop *l, const char *const *servers, uint32_t n, struct err *e)
{
	struct dns *d = calloc(1, sizeof(*d));

	(void)servers;
	(void)n;
	if (d == NULL) {
		(void)err_nomem(e, "resolver");
		return NULL;
	}
	d->loop = l;
	LIST_INIT(&d->ops);
	return d;
}

static void
op_free(struct dns_op *op)
{
	loop_timer_free(op->timer);
	free(op);
}

void
dns_cancel(struct dns_op *op)
{
	if (op == NULL || op->reported)
		return;
	LIST_REMOVE(op, link);
	op_free(op);
}

void
dns_free(struct dns *d)
{
	if (d == NULL)
		return;
	while (!LIST_EMPTY(&d->ops))
		dns_cancel(LIST_FIRST(&d->ops));
	free(d);
}

/* What is scripted for the name or its closest parent. */
static const struct sim_caa *
find(const char *name)
{
	size_t i;

	if (strncmp(name, "*.", 2) == 0)
		name += 2;
	while (name != NULL) {
		for (i = 0; i < SIM_CAA; i++)
			if (strcmp(sim_dns.caa[i].at, name) == 0)
				return &sim_dns.caa[i];
		name = strchr(name, '.');
		name = name == NULL ? NULL : name + 1;
	}
	return NULL;
}

static void
report(struct dns_op *op, const struct sim_caa *s)
{
	struct caa caa = { .issuers = op->issuers };
	struct err e;

	if (s != NULL && s->error[0] != '\0') {
		(void)err_set(
		    &e, ERR_NET, 0, "CAA records of %s: %s", s->at, s->error);
		op->done(op->arg, NULL, &e);
		return;
	}
	if (s != NULL) {
		caa.found = true;
		caa.unknown_critical = s->unknown_critical;
		memcpy(caa.at, s->at, sizeof(caa.at));
		for (; caa.n < s->n && caa.n < SIM_ISSUERS; caa.n++)
			op->issuers[caa.n] = s->issuers[caa.n];
	}
	op->done(op->arg, &caa, NULL);
}

static void
on_timer(void *arg)
{
	struct dns_op *op = arg;

	LIST_REMOVE(op, link);
	op->reported = true;
	report(op, find(op->name));
	op_free(op);
}

struct dns_op *
dns_caa(struct dns *d, const char *ident, dns_caa_done *done, void *arg,
    struct err *e)
{
	struct dns_op *op = calloc(1, sizeof(*op));
	const char *why;
	bool is_ip;

	if (op == NULL ||
	    (op->timer = loop_timer_new(d->loop, on_timer, op, e)) == NULL) {
		free(op);
		(void)err_nomem(e, "CAA records");
		return NULL;
	}
	if (str_ident(ident, op->name, &is_ip, &why) == -1) {
		op_free(op);
		(void)err_set(e, ERR_CONFIG, 0, "%s: %s", ident, why);
		return NULL;
	}
	op->done = done;
	op->arg = arg;
	sim_dns.asked++;
	LIST_INSERT_HEAD(&d->ops, op, link);
	loop_timer_set(op->timer, sim_dns.delay_ms);
	return op;
}
