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

/* A new CA with every default, those of a preset included. */
static struct conf_ca *
ca_new(
    struct load *ld, const char *name, const struct preset *p, struct where at)
{
	struct conf_ca *ca = &ld->cas[ld->n_cas];

	if (ld->n_cas == CONF_CAS_MAX) {
		too_many(ld, at);
		return NULL;
	}
	*ca = (struct conf_ca){ .staging = CONF_NONE };
	if (p != NULL) {
		ca->directory = p->directory;
		memcpy(ca->limits, p->limits, sizeof(ca->limits));
		ca->renewals_exempt = p->renewals_exempt;
		ca->requests = p->requests;
	}
	if ((ca->name = keep(ld, name)) == NULL ||
	    read_defaults(ld, &section_ca, ca) == -1)
		return NULL;
	ld->ca_at[ld->n_cas++] = at;
	return ca;
}

static const struct node *
value_of(const struct node *map, const char *name)
{
	const struct node *key;

	for (key = map->first; key != NULL; key = key->next->next)
		if (strcmp(key->text, name) == 0)
			return key->next;
	return NULL;
}

/* Whatever it is called here, it has the limits of who is at that URL. */
static const struct preset *
preset_for(const char *name, const struct node *map)
{
	const struct node *url = value_of(map, "directory");

	if (url == NULL)
		return preset_find(name);
	return url->kind == NODE_SCALAR ? preset_at(url->text) : NULL;
}

static void
check_ca(struct load *ld, const struct conf_ca *ca, const struct node *map,
    struct where at)
{
	if (ca->directory == NULL)
		diag_error(&ld->diags, at,
		    "CA `%s`: `directory` is missing, and it is no preset",
		    ca->name);
	if ((ca->eab_kid == NULL) != (ca->eab_hmac_file == NULL))
		diag_error(&ld->diags, at,
		    "CA `%s`: `eab` needs both `kid` and `hmac-file`",
		    ca->name);
	if (ca->staging != CONF_NONE &&
	    strcmp(ld->refs[ca->staging].name, ca->name) == 0)
		diag_error(&ld->diags, where_of(ld, value_of(map, "staging")),
		    "`staging`: found `%s`, expected another CA than that "
		    "itself",
		    ca->name);
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
	ca = ca_new(ld, key->text, preset_for(key->text, map), at);
	if (ca != NULL && read_section(ld, &section_ca, ca, map) == 0)
		check_ca(ld, ca, map, at);
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

static bool
same_ca_list(const void *arg, uint32_t i, const void *key)
{
	const struct kept *a = &((const struct load *)arg)->ca_lists[i],
			  *b = key;

	return a->n == b->n && memcmp(a->v, b->v, a->n * sizeof(*a->v)) == 0;
}

/* A hundred thousand certificates with the same CAs share them. */
static int
keep_ca_list(
    struct load *ld, const struct kept *c, struct where at, uint32_t *i)
{
	size_t len = c->n * sizeof(*c->v);
	uint64_t hash = str_hash(c->v, len);
	uint32_t *v;

	*i = index_get(&ld->ca_list_index, hash, same_ca_list, ld, c);
	if (*i != CONF_NONE)
		return 0;
	if (ld->n_ca_lists == CONF_CA_LISTS_MAX) {
		diag_error(&ld->diags, at,
		    "more than %d different lists of CAs", CONF_CA_LISTS_MAX);
		return -1;
	}
	v = pool_alloc(ld->pool, len);
	if (v == NULL ||
	    index_put(&ld->ca_list_index, hash, ld->n_ca_lists) == -1) {
		ld->diags.nomem = true;
		return -1;
	}
	memcpy(v, c->v, len);
	*i = ld->n_ca_lists++;
	ld->ca_lists[*i] = (struct kept){ .v = v, .n = c->n };
	return 0;
}

static int
add_ref(struct load *ld, const struct field *f, struct kept *c,
    const struct node *n)
{
	uint32_t i, ref = CONF_NONE;

	if (c->n == CONF_CA_LIST_MAX) {
		diag_error(&ld->diags, where_of(ld, n),
		    "`%s`: more than %d CAs", f->key, CONF_CA_LIST_MAX);
		return -1;
	}
	if (read_ref(ld, f, &ref, n) == -1)
		return -1;
	for (i = 0; i < c->n; i++)
		if (c->v[i] == ref) {
			diag_error(&ld->diags, where_of(ld, n),
			    "`%s`: `%s` is there twice", f->key, n->text);
			return -1;
		}
	c->v[c->n++] = ref;
	return 0;
}

int
read_ca_list(struct load *ld, const struct field *f, struct ca_list *l,
    const struct node *n)
{
	const struct node *item = n->kind == NODE_LIST ? n->first : n;
	uint32_t v[CONF_CA_LIST_MAX], kept;
	struct kept c = { .v = v };

	if (item == NULL)
		return bad_value(ld, f, n);
	for (; item != NULL; item = item->next) {
		if (add_ref(ld, f, &c, item) == -1)
			return -1;
		if (n->kind != NODE_LIST)
			break;
	}
	if (keep_ca_list(ld, &c, where_of(ld, n), &kept) == -1)
		return -1;
	l->kept = kept;
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
		like = str_closest(r->name, words, n);
		diag_error(&ld->diags, r->at, "unknown CA `%s`, %s%s%s",
		    r->name,
		    like != NULL ? "did you mean `" : "define it in `ca`",
		    like != NULL ? like : "", like != NULL ? "`?" : "");
	}
}

static uint32_t
ref_ca(struct load *ld, uint32_t ref)
{
	struct ref *r = &ld->refs[ref];

	if (r->ca == CONF_NONE)
		r->ca = ca_find(ld, r->name);
	if (r->ca == CONF_NONE &&
	    ca_new(ld, r->name, preset_find(r->name), r->at) != NULL)
		r->ca = ld->n_cas - 1;
	if (r->ca != CONF_NONE)
		ld->cas[r->ca].used = true;
	return r->ca;
}

const struct kept *
ca_list_cas(struct load *ld, uint32_t kept)
{
	struct kept *c = &ld->ca_lists[kept];
	uint32_t i;

	for (i = 0; i < c->n && !c->settled; i++)
		c->v[i] = ref_ca(ld, c->v[i]);
	c->settled = true;
	return c;
}

/* A test CA that the file does not have is reached as its CA is. */
static uint32_t
staging_new(struct load *ld, const struct preset *p, uint32_t of)
{
	const struct conf_ca *real = &ld->cas[of];
	struct conf_ca *ca = ca_new(ld, p->name, p, ld->ca_at[of]);

	if (ca == NULL)
		return CONF_NONE;
	ca->ca_file = real->ca_file;
	ca->proxy = real->proxy;
	ca->email = real->email;
	ca->account_key = real->account_key;
	ca->http1 = real->http1;
	ca->validation_timeout_s = real->validation_timeout_s;
	ca->issuance_timeout_s = real->issuance_timeout_s;
	return ld->n_cas - 1;
}

/* The test CA of one that says which, or that has one as a preset: then not
 * one that wants an account binding which nobody configured. */
static uint32_t
staging_of(struct load *ld, uint32_t i)
{
	const struct conf_ca *ca = &ld->cas[i];
	const struct preset *p = preset_at(ca->directory);
	bool named = ca->staging != CONF_NONE;
	const char *name = named       ? ld->refs[ca->staging].name
			   : p != NULL ? p->staging
				       : NULL;
	uint32_t test;

	if (name == NULL || !ca->rehearse)
		return CONF_NONE;
	test = ca_find(ld, name);
	p = test != CONF_NONE ? preset_at(ld->cas[test].directory)
			      : preset_find(name);
	if (!named && p != NULL && p->eab &&
	    (test == CONF_NONE || ld->cas[test].eab_kid == NULL))
		return CONF_NONE;
	if (test == CONF_NONE && p != NULL)
		test = staging_new(ld, p, i);
	return test != i ? test : CONF_NONE;
}

void
settle_staging(struct load *ld)
{
	bool named[CONF_CAS_MAX] = { false };
	uint32_t i, test;

	/* Nobody rehearses a rehearsal: the test CA of a test CA is idle. */
	for (i = 0; i < ld->n_cas; i++)
		named[i] = ld->cas[i].used;
	for (i = 0; i < ld->n_cas; i++) {
		test = staging_of(ld, i);
		ld->cas[i].staging = test;
		if (test != CONF_NONE && named[i])
			ld->cas[test].used = true;
	}
}

/* Protocol C5. */
void
check_eab(struct load *ld)
{
	const struct preset *p;
	uint32_t i;

	for (i = 0; i < ld->n_cas; i++) {
		const struct conf_ca *ca = &ld->cas[i];

		p = preset_at(ca->directory);
		if (!ca->used || p == NULL || !p->eab || ca->eab_kid != NULL)
			continue;
		diag_error(&ld->diags, ld->ca_at[i],
		    "CA `%s` wants external account binding: get a key "
		    "identifier and an HMAC key from it, and add `ca: {%s: "
		    "{eab: {kid: ..., hmac-file: ...}}}`",
		    ca->name, ca->name);
	}
}
