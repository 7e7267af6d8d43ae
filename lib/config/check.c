/* SPDX-License-Identifier: ISC */
/*
 * What can only be said once all is read: what is missing, which CA and which
 * command a certificate has, and what that CA will not do.
 */
#include "lib/config/internal.h"

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
	ca = ref_ca(ld, ld->s.defaults.ca);
	if (ca != CONF_NONE && ld->cas[ca].directory != NULL)
		directory = ld->cas[ca].directory;
	diag_error(&ld->diags, at,
	    "`agree-tos`%s must be true: read the terms of service of the CA "
	    "(termsOfService in %s) and agree to them",
	    a->at.line == 0 ? " is missing, it" : "", directory);
}

/* Protocol G3, and what N says of the presets. */
static void
check_ip(struct load *ld, const struct conf_ca *ca, struct where ip)
{
	const struct preset *p = preset_of(ca);

	if (ip.line == 0 || p == NULL)
		return;
	if (p->shortlived_ip)
		diag_error(&ld->diags, ip,
		    "CA `%s` issues certificates for IP addresses only with "
		    "profile shortlived, which is not supported in this "
		    "version",
		    ca->name);
	else if (p->no_ip)
		diag_error(&ld->diags, ip,
		    "CA `%s` issues no certificates for IP addresses",
		    ca->name);
}

static void
resolve_cert(struct load *ld, uint32_t i)
{
	const struct entry *d = &ld->s.defaults;
	struct conf_cert *c = &ld->certs[i];
	const struct draft *draft = &ld->drafts[i];
	uint32_t argv = c->reload != CONF_NONE ? c->reload : d->reload;

	c->ca = ref_ca(ld, c->ca != CONF_NONE ? c->ca : d->ca);
	if (c->ca != CONF_NONE)
		check_ip(ld, &ld->cas[c->ca], draft->ip);
	if ((int)c->key == -1)
		c->key = (enum conf_key)d->key;
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
		    "`domains` is missing or empty: expected a list of "
		    "certificates");
	check_refs(ld);
	for (i = 0; i < ld->n_certs; i++)
		resolve_cert(ld, i);
	for (i = 0; i < ld->n_cas; i++)
		if (ld->cas[i].email == NULL)
			ld->cas[i].email = s->email;
	check_eab(ld);
	check_agree(ld);
	s->c.agree_tos = s->agree.yes;
	s->c.http.listen = s->listen.v;
	s->c.http.n_listen = s->listen.n;
	if (s->redirect == REDIRECT_HTTPS)
		s->c.http.redirect = (uint32_t)s->redirect_status;
}
