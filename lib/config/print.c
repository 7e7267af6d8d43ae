/* SPDX-License-Identifier: ISC */
/*
 * The effective configuration as YAML, by the same table that read it.  What
 * is not set is not there; every certificate says all that it has.
 */
#include "lib/config/internal.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/str.h"

#define STATUS_DEFAULT 308

struct print {
	const struct conf *conf;
	struct buf *out;
};

static void print_section(
    struct print *, const struct section *, const void *base, unsigned depth);

/* One character of UTF-8 at *s as an escape that YAML reads back. */
static void
escape(const unsigned char **s, struct buf *out)
{
	unsigned first = *(*s)++;
	unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0;
	uint32_t c = more == 0 ? first : first & (0x3fu >> more);

	for (; more > 0 && (**s & 0xc0) == 0x80; more--)
		c = c << 6 | (*(*s)++ & 0x3fu);
	buf_printf(out, "\\U%08" PRIX32, c);
}

static void
print_text(const char *s, struct buf *out)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789/._@+-";
	const unsigned char *p;

	if (s[0] != '\0' && strchr(".@+-", s[0]) == NULL &&
	    strspn(s, plain) == strlen(s) && strcmp(s, "null") != 0) {
		buf_puts(out, s);
		return;
	}
	buf_putc(out, '"');
	for (p = (const unsigned char *)s; *p != '\0';) {
		if (*p == '"' || *p == '\\')
			buf_putc(out, '\\');
		if (*p >= ' ' && *p <= '~')
			buf_putc(out, (char)*p++);
		else
			escape(&p, out);
	}
	buf_putc(out, '"');
}

static void
print_list(const char *const *v, size_t n, struct buf *out)
{
	size_t i;

	buf_putc(out, '[');
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_puts(out, ", ");
		print_text(v[i], out);
	}
	buf_putc(out, ']');
}

/* One CA as its name, more as a list. */
static void
print_ca_list(struct print *p, const struct ca_list *l)
{
	const char *names[CONF_CA_LIST_MAX];
	uint32_t i;

	for (i = 0; i < l->n; i++)
		names[i] = p->conf->cas[l->v[i]].name;
	if (l->n == 1)
		print_text(names[0], p->out);
	else if (l->n > 1)
		print_list(names, l->n, p->out);
}

static void
print_command(struct print *p, uint32_t i)
{
	const char *const *argv;
	size_t n = 0;

	if (i == CONF_NONE)
		return;
	argv = p->conf->commands[i].argv;
	while (argv[n] != NULL)
		n++;
	print_list(argv, n, p->out);
}

static void
print_choice(const struct field *f, const void *at, struct buf *out)
{
	const struct choice *c;
	int v;

	memcpy(&v, at, sizeof(v));
	for (c = f->choices; c->name != NULL; c++)
		if (c->value == v)
			buf_puts(out, c->name);
}

static void
print_number(const struct field *f, uint32_t v, struct buf *out)
{
	if (v >= f->min)
		buf_printf(
		    out, "%" PRIu32 "%s", v, f->type == F_SPAN ? "s" : "");
}

static void
print_rate(const struct conf_rate *r, struct buf *out)
{
	/* clang-format off */
	static const struct {
		uint32_t seconds;
		char unit;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	/* clang-format on */
	size_t i = 0;

	if (r->n == 0) {
		buf_puts(out, "none");
		return;
	}
	while (r->per_s % units[i].seconds != 0)
		i++;
	buf_printf(out, "%" PRIu32 "/%" PRIu32 "%c", r->n,
	    r->per_s / units[i].seconds, units[i].unit);
}

static void
entry_of(const struct conf *c, const struct conf_cert *cert, struct entry *en)
{
	uint32_t i;

	entry_init(en);
	en->name = cert->name;
	for (i = 0; i < cert->n_idents; i++)
		en->names.v[en->names.n++] = cert->idents[i];
	en->cas.v = cert->cas;
	en->cas.n = cert->n_cas;
	en->challenge = CHALLENGE_HTTP;
	en->key = (int)cert->key;
	if (cert->n_idents > 1) /* of no effect without that */
		en->partial = cert->partial;
	en->preferred_chain = cert->preferred_chain;
	if (cert->profile_required)
		en->profile = cert->profile;
	else
		en->preferred_profile = cert->profile;
	en->reload = cert->reload;
	if (cert->reload != CONF_NONE)
		en->reload_timeout_s = c->commands[cert->reload].timeout_s;
}

/* Make what was printed since start the first item's lines of a list. */
static void
print_dash(struct buf *out, size_t start)
{
	char *dash = out->data + start;

	if (buf_ok(out) && out->len > start + 4)
		dash[2] = '-';
}

static void
print_domains(struct print *p)
{
	struct entry en;
	uint32_t i;

	for (i = 0; i < p->conf->n_certs; i++) {
		size_t start = p->out->len;

		entry_of(p->conf, &p->conf->certs[i], &en);
		print_section(p, &section_cert, &en, 2);
		print_dash(p->out, start);
	}
}

static void
print_cas(struct print *p)
{
	struct conf_ca ca;
	uint32_t i;

	for (i = 0; i < p->conf->n_cas; i++) {
		ca = p->conf->cas[i];
		if (ca.eab_kid == NULL)
			ca.eab_alg = 0;
		buf_puts(p->out, "  ");
		print_text(ca.name, p->out);
		buf_puts(p->out, ":\n");
		print_section(p, &section_ca, &ca, 2);
	}
}

/* Nothing at all when it is not set. */
static void
print_value(struct print *p, const struct field *f, const void *at)
{
	struct buf *out = p->out;
	const struct listen *l = at;
	const struct idents *ids = at;
	const char *const *s = at;
	const uint32_t *u = at;
	const bool *b = at;

	switch (f->type) {
	case F_BOOL:
	case F_AGREE: /* starts with a bool */
		buf_puts(out, *b ? "true" : "false");
		break;
	case F_UINT:
	case F_SPAN:
		print_number(f, *u, out);
		break;
	case F_RATE:
		print_rate(at, out);
		break;
	case F_CHOICE:
		print_choice(f, at, out);
		break;
	case F_STR:
	case F_NAME:
	case F_PATH:
	case F_URL:
	case F_PROXY:
	case F_PROFILE:
	case F_EMAIL:
		if (*s != NULL)
			print_text(*s, out);
		break;
	case F_LISTEN:
	case F_RESOLVER:
		if (l->n > 0)
			print_list(l->v, l->n, out);
		break;
	case F_COMMAND:
		print_command(p, *u);
		break;
	case F_CA:
		if (*u != CONF_NONE)
			print_text(p->conf->cas[*u].name, out);
		break;
	case F_CA_LIST:
		print_ca_list(p, at);
		break;
	case F_IDENTS:
		print_list(ids->v, ids->n, out);
		break;
	case F_INCLUDE:
	case F_SECTION:
	case F_DEFAULTS:
	case F_CAS:
	case F_DOMAINS:
	case F__COUNT:
		break;
	}
}

static void
print_nested(
    struct print *p, const struct field *f, const void *base, unsigned depth)
{
	buf_putc(p->out, '\n');
	if (f->type == F_CAS)
		print_cas(p);
	else if (f->type == F_DOMAINS)
		print_domains(p);
	else if (f->type == F_SECTION)
		print_section(p, f->sub, base, depth + 1);
	else if (f->type == F_DEFAULTS)
		print_section(
		    p, f->sub, (const char *)base + f->offset, depth + 1);
}

static void
print_field(
    struct print *p, const struct field *f, const void *base, unsigned depth)
{
	size_t start = p->out->len, empty;

	buf_printf(p->out, "%*s%s:", (int)(2 * depth), "", f->key);
	empty = p->out->len + 1;
	if (f->sub != NULL) {
		print_nested(p, f, base, depth);
	} else {
		buf_putc(p->out, ' ');
		print_value(p, f, (const char *)base + f->offset);
	}
	if (!buf_ok(p->out))
		return;
	if (p->out->len == empty)
		p->out->len = start;
	else if (f->sub == NULL)
		buf_putc(p->out, '\n');
	p->out->data[p->out->len] = '\0';
}

static void
print_section(struct print *p, const struct section *sec, const void *base,
    unsigned depth)
{
	const struct field *f;

	for (f = sec->fields; f->key != NULL && buf_ok(p->out); f++)
		if (!f->reserved)
			print_field(p, f, base, depth);
}

void
conf_print(const struct conf *c, struct buf *out)
{
	struct print p = { c, out };
	struct settings s = { .c = *c };

	s.agree.yes = c->agree_tos;
	s.listen = (struct listen){ c->http.listen, c->http.n_listen };
	s.redirect = c->http.redirect != 0 ? REDIRECT_HTTPS : REDIRECT_NONE;
	s.redirect_status =
	    c->http.redirect != 0 ? (int)c->http.redirect : STATUS_DEFAULT;
	s.resolvers = (struct listen){ c->resolvers, c->n_resolvers };
	entry_init(&s.defaults);
	s.defaults.failover_after = c->failover_after;
	print_section(&p, &section_top, &s, 0);
}
