/* SPDX-License-Identifier: ISC */
/*
 * Certificate authorities: those of the file, the presets, and who names
 * which.  A CA may be named before it is defined, so that names are kept as
 * refs until all is read.
 */
#include "lib/config/internal.h"

#include <string.h>

#include "lib/base/str.h"

static uint32_t
ca_find(const struct load *ld, const char *name)
{
	uint32_t i;

	for (i = 0; i < ld->n_cas; i++)
		if (strcmp(ld->cas[i].name, name) == 0)
			return i;
	return CONF_NONE;
}

static void
too_many(struct load *ld, struct where at)
{
	if (!ld->full_cas)
		diag_error(&ld->diags, at, "more than %d CAs", CONF_CAS_MAX);
	ld->full_cas = true;
}

/* A new CA with every default, preset's directory included. */
static struct conf_ca *
ca_new(struct load *ld, const char *name, struct where at)
{
	const struct preset *p = preset_find(name);
	struct conf_ca *ca = &ld->cas[ld->n_cas];

	if (ld->n_cas == CONF_CAS_MAX) {
		too_many(ld, at);
		return NULL;
	}
	*ca = (struct conf_ca){ .directory = p != NULL ? p->directory : NULL };
	if ((ca->name = keep(ld, name)) == NULL ||
	    read_defaults(ld, &section_ca, ca) == -1)
		return NULL;
	ld->ca_at[ld->n_cas++] = at;
	return ca;
}

static void
read_ca(struct load *ld, const struct node *key)
{
	struct where at = where_of(ld, key);
	const struct node *map = key->next;
	struct conf_ca *ca;

	if (!str_is_name(key->text) || ca_find(ld, key->text) != CONF_NONE) {
		diag_error(&ld->diags, at,
		    str_is_name(key->text)
			? "CA `%.*s` is defined twice"
			: "`%.*s` cannot be the name of a CA: expected 1 to 64 "
			  "letters, digits, '.', '_' or '-'",
		    CONF_FOUND_MAX, key->text);
		return;
	}
	if (map->kind != NODE_MAP) {
		diag_error(&ld->diags, where_of(ld, map),
		    "CA `%s`: expected a mapping with `directory` and more",
		    key->text);
		return;
	}
	ca = ca_new(ld, key->text, at);
	if (ca == NULL || read_section(ld, &section_ca, ca, map) == -1)
		return;
	if (ca->directory == NULL)
		diag_error(&ld->diags, at,
		    "CA `%s`: `directory` is missing, and it is no preset",
		    ca->name);
	if ((ca->eab_kid == NULL) != (ca->eab_hmac_file == NULL))
		diag_error(&ld->diags, at,
		    "CA `%s`: `eab` needs both `kid` and `hmac-file`",
		    ca->name);
}

int
read_cas(struct load *ld, const struct field *f, const struct node *n)
{
	const struct node *key;

	if (n->kind == NODE_SCALAR && !n->nothing && str_is_name(n->text)) {
		diag_error(&ld->diags, where_of(ld, n),
		    "`ca`: found `%s`, expected a mapping of names to CAs; to "
		    "choose a CA write `defaults: {ca: %s}`",
		    n->text, n->text);
		return -1;
	}
	if (n->kind != NODE_MAP)
		return bad_value(ld, f, n);
	for (key = n->first; key != NULL; key = key->next->next)
		read_ca(ld, key);
	return 0;
}

int
read_ref(
    struct load *ld, const struct field *f, uint32_t *ref, const struct node *n)
{
	uint32_t i;

	if (n->kind != NODE_SCALAR || n->nothing || !str_is_name(n->text))
		return bad_value(ld, f, n);
	for (i = 0; i < ld->n_refs; i++)
		if (strcmp(ld->refs[i].name, n->text) == 0)
			break;
	if (i == CONF_CAS_MAX) {
		too_many(ld, where_of(ld, n));
		return -1;
	}
	if (i == ld->n_refs) {
		const char *name = keep(ld, n->text);

		if (name == NULL)
			return -1;
		ld->refs[ld->n_refs++] = (struct ref){
			.name = name, .at = where_of(ld, n), .ca = CONF_NONE
		};
	}
	*ref = i;
	return 0;
}

void
check_refs(struct load *ld)
{
	const char *words[CONF_CAS_MAX + 16], *like;
	const struct preset *p;
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < ld->n_cas; i++)
		words[n++] = ld->cas[i].name;
	for (p = presets; p->name != NULL && n < NELEM(words); p++)
		words[n++] = p->name;
	for (i = 0; i < ld->n_refs; i++) {
		const struct ref *r = &ld->refs[i];

		if (ca_find(ld, r->name) != CONF_NONE ||
		    preset_find(r->name) != NULL)
			continue;
		like = closest(r->name, words, n);
		diag_error(&ld->diags, r->at, "unknown CA `%s`, %s%s%s",
		    r->name,
		    like != NULL ? "did you mean `" : "define it in `ca`",
		    like != NULL ? like : "", like != NULL ? "`?" : "");
	}
}

uint32_t
ref_ca(struct load *ld, uint32_t ref)
{
	struct ref *r = &ld->refs[ref];

	if (r->ca == CONF_NONE)
		r->ca = ca_find(ld, r->name);
	if (r->ca == CONF_NONE && ca_new(ld, r->name, r->at) != NULL)
		r->ca = ld->n_cas - 1;
	if (r->ca != CONF_NONE)
		ld->cas[r->ca].used = true;
	return r->ca;
}

/* Protocol C5. */
void
check_eab(struct load *ld)
{
	const struct preset *p;
	uint32_t i;

	for (i = 0; i < ld->n_cas; i++) {
		const struct conf_ca *ca = &ld->cas[i];

		p = preset_of(ca);
		if (!ca->used || p == NULL || !p->eab || ca->eab_kid != NULL)
			continue;
		diag_error(&ld->diags, ld->ca_at[i],
		    "CA `%s` wants external account binding: get a key "
		    "identifier and an HMAC key from it, and add `ca: {%s: "
		    "{eab: {kid: ..., hmac-file: ...}}}`",
		    ca->name, ca->name);
	}
}
