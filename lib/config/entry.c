/* SPDX-License-Identifier: ISC */
/*
 * One entry of "domains" into one certificate.  There may be very many, so
 * that of an entry with one name no more is kept than that name.
 */
#include "lib/config/internal.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/str.h"

#define CERTS_MIN 64

void
entry_init(struct entry *en)
{
	en->name = en->preferred_chain = NULL;
	en->profile = en->preferred_profile = NULL;
	en->names.n = en->names.wild = 0;
	en->names.ip.line = 0;
	en->cas = (struct ca_list){ .kept = CONF_NONE };
	en->reload = CONF_NONE;
	en->reload_timeout_s = en->failover_after = 0;
	en->key = en->challenge = en->partial = -1;
}

static int
read_ident(struct load *ld, const struct field *f, struct idents *ids,
    const struct node *n)
{
	struct where at = where_of(ld, n);
	char canon[STR_IDENT_MAX];
	const char *why;
	bool is_ip;

	if (n->kind != NODE_SCALAR || n->nothing)
		return bad_value(ld, f, n);
	if (str_ident(n->text, canon, &is_ip, &why) == -1) {
		diag_error(
		    &ld->diags, at, "`%.*s`: %s", CONF_FOUND_MAX, n->text, why);
		return -1;
	}
	if ((ids->v[ids->n] = keep(ld, canon)) == NULL)
		return -1;
	ids->at[ids->n++] = at;
	if (is_ip && ids->ip.line == 0)
		ids->ip = at;
	if (canon[0] != '*')
		return 0;
	ids->wild++;
	diag_error(&ld->diags, at,
	    "`%s`: a wildcard needs challenge dns-01, which is not supported "
	    "in this version",
	    canon);
	return -1;
}

/* CAs refuse www.x beside *.x, or charge for it. */
static int
check_covered(struct load *ld, const struct idents *ids)
{
	const char *dot;
	uint32_t i, j;
	int r = 0;

	if (ids->wild == 0)
		return 0;
	for (i = 0; i < ids->n; i++) {
		dot = strchr(ids->v[i], '.');
		if (ids->v[i][0] == '*' || dot == NULL)
			continue;
		for (j = 0; j < ids->n; j++) {
			if (ids->v[j][0] != '*' ||
			    strcmp(ids->v[j] + 1, dot) != 0)
				continue;
			diag_error(&ld->diags, ids->at[i],
			    "`%s` is covered by `%s` in the same certificate: "
			    "remove one of them",
			    ids->v[i], ids->v[j]);
			r = -1;
		}
	}
	return r;
}

int
read_idents(struct load *ld, const struct field *f, struct idents *ids,
    const struct node *n)
{
	const struct node *item = n->kind == NODE_LIST ? n->first : n;
	int r = 0;

	if (item == NULL)
		return bad_value(ld, f, n);
	for (; item != NULL; item = item->next) {
		if (ids->n == CONF_IDENTS_MAX) {
			diag_error(&ld->diags, where_of(ld, item),
			    "more than %d names in one certificate",
			    CONF_IDENTS_MAX);
			return -1;
		}
		if (read_ident(ld, f, ids, item) == -1)
			r = -1;
		if (n->kind != NODE_LIST)
			break;
	}
	return check_covered(ld, ids) == -1 ? -1 : r;
}

/* "*.example.org" to "_.example.org", "2001:db8::1" to "2001-db8--1". */
static const char *
name_of(struct load *ld, const char *ident)
{
	char *c, name[STR_IDENT_MAX];
	size_t len = strlen(ident);

	if (ident[0] != '*' && strchr(ident, ':') == NULL)
		return ident;
	memcpy(name, ident, len + 1);
	if (name[0] == '*')
		name[0] = '_';
	for (c = name; *c != '\0'; c++)
		if (*c == ':')
			*c = '-';
	return keep(ld, name);
}

static int
by_text(const void *a, const void *b)
{
	const char *const *sa = a, *const *sb = b;

	return strcmp(*sa, *sb);
}

/* Sort, and drop what is there twice (protocol E5). */
static void
settle(struct idents *ids)
{
	uint32_t i, n = 1;

	qsort(ids->v, ids->n, sizeof(ids->v[0]), by_text);
	for (i = 1; i < ids->n; i++)
		if (strcmp(ids->v[i], ids->v[n - 1]) != 0)
			ids->v[n++] = ids->v[i];
	ids->n = n;
}

static struct conf_cert *
cert_new(struct load *ld)
{
	if (ld->n_certs == ld->cap_certs) {
		uint32_t cap =
		    ld->cap_certs == 0 ? CERTS_MIN : 2 * ld->cap_certs;
		struct conf_cert *c = realloc(ld->certs, cap * sizeof(*c));
		struct draft *d;

		if (c != NULL)
			ld->certs = c;
		d = realloc(ld->drafts, cap * sizeof(*d));
		if (d != NULL)
			ld->drafts = d;
		if (c == NULL || d == NULL) {
			ld->diags.nomem = true;
			return NULL;
		}
		ld->cap_certs = cap;
	}
	return &ld->certs[ld->n_certs];
}

/* The one name of most certificates is its own list, in the end: until then
 * the array moves, and idents is NULL. */
static const char *const *
idents_of(const struct conf_cert *c)
{
	return c->idents != NULL ? c->idents : &c->name;
}

static bool
same_name(const void *arg, uint32_t i, const void *name)
{
	const struct load *ld = arg;

	return strcmp(ld->certs[i].name, name) == 0;
}

static bool
has_ident(const void *arg, uint32_t i, const void *name)
{
	const struct conf_cert *c = &((const struct load *)arg)->certs[i];

	return str_among(name, idents_of(c), c->n_idents);
}

static const char *
file_of(const struct load *ld, uint32_t cert)
{
	return ld->files[ld->drafts[cert].at.file];
}

static void
index_idents(struct load *ld, uint32_t cert)
{
	const struct conf_cert *c = &ld->certs[cert];
	uint32_t i, other;

	for (i = 0; i < c->n_idents; i++) {
		const char *id = idents_of(c)[i];
		uint64_t hash = str_hash(id, strlen(id));

		other = index_get(&ld->idents, hash, has_ident, ld, id);
		if (other != CONF_NONE)
			diag_warn(&ld->diags, ld->drafts[cert].at,
			    "`%s` is also in certificate `%s` (%s:%" PRIu32 ")",
			    id, ld->certs[other].name, file_of(ld, other),
			    ld->certs[other].line);
		else if (index_put(&ld->idents, hash, cert) == -1)
			ld->diags.nomem = true;
	}
}

static int
check_name(struct load *ld, const struct entry *en, struct where at)
{
	uint32_t other;

	if (!str_is_name(en->name)) {
		diag_error(&ld->diags, at,
		    "`%s` cannot be the name of a folder: give this "
		    "certificate a `name`",
		    en->name);
		return -1;
	}
	other = index_get(&ld->names, str_hash(en->name, strlen(en->name)),
	    same_name, ld, en->name);
	if (other == CONF_NONE)
		return 0;
	diag_error(&ld->diags, at,
	    "certificate `%s` is there already (%s:%" PRIu32
	    "): give one of them another `name`",
	    en->name, file_of(ld, other), ld->certs[other].line);
	return -1;
}

/* The list of idents in the pool; NULL for the one that is the name itself. */
static int
keep_idents(struct load *ld, const struct entry *en, const char *const **out)
{
	const char **v;

	*out = NULL;
	if (en->names.n == 1 && strcmp(en->names.v[0], en->name) == 0)
		return 0;
	v = pool_alloc(ld->pool, en->names.n * sizeof(*v));
	if (v == NULL) {
		ld->diags.nomem = true;
		return -1;
	}
	memcpy(v, en->names.v, en->names.n * sizeof(*v));
	*out = v;
	return 0;
}

void
set_profile(struct conf_cert *c, const struct entry *en)
{
	c->profile_required = en->profile != NULL;
	c->profile = en->profile != NULL ? en->profile : en->preferred_profile;
}

static void
add_cert(struct load *ld, struct entry *en, struct where at)
{
	struct conf_cert *c;
	const char *const *idents;

	if (en->name == NULL &&
	    (en->name = name_of(ld, en->names.v[0])) == NULL)
		return;
	settle(&en->names);
	if (check_name(ld, en, at) == -1 ||
	    keep_idents(ld, en, &idents) == -1 || (c = cert_new(ld)) == NULL)
		return;
	*c = (struct conf_cert){ .name = en->name,
		.idents = idents,
		.n_idents = en->names.n,
		.preferred_chain = en->preferred_chain,
		.line = at.line,
		.has_ip = en->names.ip.line != 0,
		.reload = en->reload,
		.key = (enum conf_key)en->key };
	set_profile(c, en);
	ld->drafts[ld->n_certs] = (struct draft){ .at = at,
		.ip = en->names.ip,
		.timeout_s = en->reload_timeout_s,
		.ca_list = en->cas.kept,
		.partial = en->partial };
	if (en->partial == 1 && c->n_idents == 1)
		diag_warn(&ld->diags, at,
		    "`partial` has no effect on `%s`, which has one name",
		    c->name);
	if (index_put(&ld->names, str_hash(c->name, strlen(c->name)),
		ld->n_certs) == -1)
		ld->diags.nomem = true;
	index_idents(ld, ld->n_certs++);
}

static int
read_parts(struct load *ld, struct entry *en, const struct node *n)
{
	const struct field *names = field_find(&section_cert, "names");
	int r;

	if (n->kind != NODE_MAP)
		return read_value(ld, names, en, n);
	r = read_section(ld, &section_cert, en, n);
	if (en->challenge == CHALLENGE_DNS && en->names.ip.line != 0)
		diag_error(&ld->diags, en->names.ip,
		    "an IP address cannot be validated with dns-01");
	if (en->names.n == 0 && r == 0) {
		diag_error(&ld->diags, where_of(ld, n),
		    "`names` is missing: expected a list of domain names and "
		    "IP addresses");
		r = -1;
	}
	return r;
}

void
read_entry(struct load *ld, const struct node *n)
{
	struct entry en;

	ld->saw_entry = true;
	if (ld->n_certs == CONF_CERTS_MAX) {
		if (!ld->full_certs)
			diag_error(&ld->diags, where_of(ld, n),
			    "more than %d certificates", CONF_CERTS_MAX);
		ld->full_certs = true;
		return;
	}
	entry_init(&en);
	if (read_parts(ld, &en, n) == 0)
		add_cert(ld, &en, where_of(ld, n));
}
