/* SPDX-License-Identifier: ISC */
/*
 * What can only be said once all is read: what is missing, which CA and which
 * command a certificate has, and what that CA will not do.
 */
#include "lib/config/internal.h"

#include <string.h>

#define SHORTLIVED "shortlived"

/* A missing one is an error at the start of the main file. */
static void
check_agree(struct load *ld)
{
	const struct agree *a = &ld->s.agree;
	const char *directory = "its directory";
	struct where at = a->at;
	uint32_t ca;

	if (a->yes || (ld->broken && at.line == 0))
		return;
	if (at.line == 0)
		at = (struct where){ .line = 1, .column = 1 };
	ca = ca_list_cas(ld, ld->s.defaults.cas.kept)->v[0];
	if (ca != CONF_NONE && ld->cas[ca].directory != NULL)
		directory = ld->cas[ca].directory;
	diag_error(&ld->diags, at,
	    "`agree-tos`%s must be true: read the terms of service of the CA "
	    "(termsOfService in %s) and agree to them",
	    a->at.line == 0 ? " is missing, it" : "", directory);
}

/* Protocol G3, and what N says of the presets. */
const char *
conf_refusal(const struct conf_ca *ca, const struct conf_cert *c)
{
	const struct preset *p = c->has_ip ? preset_at(ca->directory) : NULL;

	if (p == NULL)
		return NULL;
	if (p->no_ip)
		return "issues no certificates for IP addresses";
	if (p->shortlived_ip &&
	    (c->profile == NULL || strcmp(c->profile, SHORTLIVED) != 0))
		return "issues certificates for IP addresses only with "
		       "`profile: " SHORTLIVED "`";
	return NULL;
}

/* The first of the list has to do; another one is a spare. */
static void
check_list(struct load *ld, const struct conf_cert *c, struct where ip)
{
	const struct conf_ca *ca;
	const char *why;
	uint32_t i;

	for (i = 0; c->has_ip && i < c->n_cas; i++) {
		if (c->cas[i] == CONF_NONE)
			continue;
		ca = &ld->cas[c->cas[i]];
		why = conf_refusal(ca, c);
		if (why == NULL)
			continue;
		if (i == 0 && c->profile != NULL)
			diag_error(&ld->diags, ip,
			    "CA `%s` %s, found `profile: %s`", ca->name, why,
			    c->profile);
		else if (i == 0)
			diag_error(&ld->diags, ip, "CA `%s` %s", ca->name, why);
		else
			diag_warn(&ld->diags, ip,
			    "CA `%s` %s: it is passed over", ca->name, why);
	}
}

/* Whether a name cannot be in public DNS: RFC 6761, 6762, 8375, ICANN's
 * "internal", and what home routers make of them. */
static bool
is_private(const char *name)
{
	static const char *const ends[] = { ".local", ".localhost", ".internal",
		".invalid", ".home.arpa", ".lan" };
	size_t i, len = strlen(name);

	for (i = 0; i < NELEM(ends); i++)
		if (len > strlen(ends[i]) &&
		    strcmp(name + len - strlen(ends[i]), ends[i]) == 0)
			return true;
	return strchr(name, '.') == NULL && strchr(name, ':') == NULL;
}

static void
check_private(
    struct load *ld, const struct conf_cert *c, const struct draft *draft)
{
	const struct conf_ca *ca =
	    c->cas[0] == CONF_NONE ? NULL : &ld->cas[c->cas[0]];
	uint32_t i;

	if (ca == NULL || preset_at(ca->directory) == NULL)
		return;
	for (i = 0; i < c->n_idents; i++) {
		const char *name = c->idents == NULL ? c->name : c->idents[i];

		if (is_private(name))
			diag_warn(&ld->diags, draft->at,
			    "`%s`: CA `%s` will not issue for it: it is no "
			    "name in public DNS",
			    name, ca->name);
	}
}

static void
resolve_cert(struct load *ld, uint32_t i)
{
	const struct entry *d = &ld->s.defaults;
	struct conf_cert *c = &ld->certs[i];
	const struct draft *draft = &ld->drafts[i];
	uint32_t argv = c->reload != CONF_NONE ? c->reload : d->reload;
	const struct kept *cas = ca_list_cas(
	    ld, draft->ca_list != CONF_NONE ? draft->ca_list : d->cas.kept);

	c->cas = cas->v;
	c->n_cas = cas->n;
	if (c->profile == NULL)
		set_profile(c, d);
	check_list(ld, c, draft->ip);
	check_private(ld, c, draft);
	if ((int)c->key == -1)
		c->key = (enum conf_key)d->key;
	c->partial = c->n_idents > 1 &&
		     (draft->partial != -1 ? draft->partial : d->partial) == 1;
	if (c->preferred_chain == NULL)
		c->preferred_chain = d->preferred_chain;
	c->reload = CONF_NONE;
	if (argv != CONF_NONE)
		c->reload = command_of(ld, argv,
		    draft->timeout_s != 0 ? draft->timeout_s
					  : d->reload_timeout_s,
		    draft->at);
}

void
resolve(struct load *ld)
{
	struct settings *s = &ld->s;
	uint32_t i;

	if (!ld->saw_entry && !ld->broken)
		diag_error(&ld->diags, ld->domains_at,
		    "`domains` is missing or empty: expected a list, "
		    "like `- example.org` in a line for each certificate");
	check_refs(ld);
	for (i = 0; i < ld->n_certs; i++)
		resolve_cert(ld, i);
	settle_staging(ld);
	for (i = 0; i < ld->n_cas; i++)
		if (ld->cas[i].email == NULL)
			ld->cas[i].email = s->email;
	check_eab(ld);
	check_agree(ld);
	if (strcmp(s->c.user, s->c.keeper_user) == 0)
		diag_error(&ld->diags, (struct where){ 0 },
		    "`user` and `keeper-user` are both `%s`: then nothing "
		    "keeps the process on the network from the keys",
		    s->c.user);
	s->c.agree_tos = s->agree.yes;
	s->c.resolvers = s->resolvers.v;
	s->c.n_resolvers = s->resolvers.n;
	s->c.failover_after = s->defaults.failover_after;
	s->c.http.listen = s->listen.v;
	s->c.http.n_listen = s->listen.n;
	if (s->redirect == REDIRECT_HTTPS)
		s->c.http.redirect = (uint32_t)s->redirect_status;
}
