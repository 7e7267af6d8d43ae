/* SPDX-License-Identifier: ISC */
/*
 * One value of the file into one member of a struct, as its field says; or a
 * message with the key, what was found and what is allowed.
 */
#include "lib/config/internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"

#define WANT_MAX   512
#define EMAIL_MAX  254
#define RATE_LEN   8  /* of CONF_RATE_MAX, and a NUL */
#define HOST_LEN   64 /* of an address in text, and more */
#define LISTEN_LEN (INET6_ADDRSTRLEN + 8)
#define DNS_PORT   53

struct where
where_of(const struct load *ld, const struct node *n)
{
	return (struct where){
		.line = n->line, .column = (uint16_t)n->column, .file = ld->file
	};
}

char *
keep(struct load *ld, const char *s)
{
	char *copy = pool_strdup(ld->pool, s);

	if (copy == NULL)
		ld->diags.nomem = true;
	return copy;
}

static void
span_text(uint64_t s, struct buf *out)
{
	if (s % 86400 == 0)
		buf_printf(out, "%" PRIu64 "d", s / 86400);
	else if (s % 3600 == 0)
		buf_printf(out, "%" PRIu64 "h", s / 3600);
	else if (s % 60 == 0)
		buf_printf(out, "%" PRIu64 "m", s / 60);
	else
		buf_printf(out, "%" PRIu64 "s", s);
}

static void
choices_text(const struct choice *c, struct buf *out)
{
	const char *sep = "";

	for (; c->name != NULL; c++) {
		if (c->reserved)
			continue;
		buf_printf(out, "%s%s", sep, c->name);
		sep = ", ";
	}
}

/* The keys of a section, in v as well unless it is NULL; how many. */
static size_t
keys_text(const struct section *sec, const char **v, struct buf *out)
{
	const struct field *f;
	size_t n = 0;

	for (f = sec->fields; f->key != NULL; f++) {
		if (f->reserved || n == CONF_FIELDS_MAX)
			continue;
		buf_printf(out, "%s%s", n == 0 ? "" : ", ", f->key);
		if (v != NULL)
			v[n] = f->key;
		n++;
	}
	return n;
}

/* What the field may be, for a message. */
static void
want_text(const struct field *f, struct buf *out)
{
	/* clang-format off */
	static const char *const texts[F__COUNT] = {
		[F_BOOL]     = "true or false",
		[F_AGREE]    = "true",
		[F_UINT]     = "a number from ",
		[F_SPAN]     = "a time from ",
		[F_RATE]     = "a number and a time, like 300/3h, of at most "
			       "1000000 and 366d, or none",
		[F_CHOICE]   = "one of ",
		[F_STR]      = "a text of 1 to 1024 characters",
		[F_NAME]     = "1 to 64 letters, digits, '.', '_' or '-', "
			       "not starting with '.' or '-'",
		[F_PATH]     = "an absolute path of at most ",
		[F_URL]      = "a URL that starts with https://",
		[F_PROXY]    = "a URL that starts with http://, https://, "
			       "socks5:// or socks5h://, or \"\"",
		[F_PROFILE]  = "1 to 64 printable characters of ASCII without "
			       "space, \" and \\",
		[F_EMAIL]    = "one address in ASCII, like admin@example.org",
		[F_LISTEN]   = "up to 16 of ADDRESS:PORT, like \"0.0.0.0:80\" "
			       "or \"[::]:80\"",
		[F_RESOLVER] = "up to 3 IP addresses, with or without a port, "
			       "like \"127.0.0.1\" or \"[::1]:53\"",
		[F_COMMAND]  = "a command: a list of arguments, or a string",
		[F_CA]       = "the name of a CA",
		[F_CA_LIST]  = "the name of a CA, or a list of up to 8",
		[F_IDENTS]   = "a list of domain names and IP addresses",
		[F_INCLUDE]  = "a file name or a list of them",
		[F_SECTION]  = "a mapping with ",
		[F_DEFAULTS] = "a mapping with ",
		[F_CAS]      = "a mapping of names to CAs",
		[F_DOMAINS]  = "a list, like `- example.org` in a line for "
			       "each certificate",
	};
	/* clang-format on */

	buf_puts(out, f->type < F__COUNT ? texts[f->type] : "");
	if (f->type == F_UINT) {
		buf_printf(out, "%" PRIu64 " to %" PRIu64, f->min, f->max);
	} else if (f->type == F_SPAN) {
		span_text(f->min, out);
		buf_puts(out, " to ");
		span_text(f->max, out);
	} else if (f->type == F_CHOICE) {
		choices_text(f->choices, out);
	} else if (f->type == F_SECTION || f->type == F_DEFAULTS) {
		(void)keys_text(f->sub, NULL, out);
	} else if (f->type == F_PATH) {
		buf_printf(out, "%" PRIu64 " bytes",
		    f->max != 0 ? f->max : PATH_MAX - 1);
	}
}

int
bad_value(struct load *ld, const struct field *f, const struct node *n)
{
	AUTO(buf_done) struct buf want = BUF_INIT(WANT_MAX);
	AUTO(buf_done) struct buf found = BUF_INIT(CONF_FOUND_MAX + 8);

	want_text(f, &want);
	if (n->kind == NODE_LIST)
		buf_puts(&found, n->first != NULL ? "a list" : "an empty list");
	else if (n->kind == NODE_MAP)
		buf_puts(&found, "a mapping");
	else if (n->nothing)
		buf_puts(&found, "nothing");
	else
		buf_printf(&found, "`%.*s`", CONF_FOUND_MAX, n->text);
	diag_error(&ld->diags, where_of(ld, n), "`%s`: found %s, expected %s",
	    f->key, buf_str(&found), buf_str(&want));
	return -1;
}

static int
reserved(struct load *ld, const struct node *n)
{
	diag_error(&ld->diags, where_of(ld, n),
	    "`%.*s` is not supported in this version", CONF_FOUND_MAX, n->text);
	return -1;
}

static int
read_bool(struct load *ld, const struct field *f, bool *v, const struct node *n)
{
	if (n->kind != NODE_SCALAR ||
	    (strcmp(n->text, "true") != 0 && strcmp(n->text, "false") != 0))
		return bad_value(ld, f, n);
	*v = n->text[0] == 't';
	return 0;
}

static int
read_agree(struct load *ld, const struct field *f, struct agree *a,
    const struct node *n)
{
	a->at = where_of(ld, n);
	if (read_bool(ld, f, &a->yes, n) == 0)
		return 0;
	a->yes = true; /* enough has been said */
	return -1;
}

static int
read_number(
    struct load *ld, const struct field *f, uint32_t *v, const struct node *n)
{
	uint64_t u = 0;
	int64_t s = 0;

	if (n->kind != NODE_SCALAR)
		return bad_value(ld, f, n);
	if (f->type == F_UINT) {
		if (str_u64(n->text, f->min, f->max, &u) == -1)
			return bad_value(ld, f, n);
	} else {
		if (str_span(n->text, &s) == -1 || (uint64_t)s < f->min ||
		    (uint64_t)s > f->max)
			return bad_value(ld, f, n);
		u = (uint64_t)s;
	}
	*v = (uint32_t)u;
	return 0;
}

/* "300/3h" */
static bool
is_rate(const char *s, struct conf_rate *rate)
{
	const char *slash = strchr(s, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - s);
	char number[RATE_LEN];
	int64_t span;
	uint64_t n;

	if (len == 0 || len >= sizeof(number))
		return false;
	memcpy(number, s, len);
	number[len] = '\0';
	if (str_u64(number, 1, CONF_RATE_MAX, &n) == -1 ||
	    str_span(slash + 1, &span) == -1 || span < 1 ||
	    span > CONF_RATE_SPAN)
		return false;
	*rate = (struct conf_rate){ (uint32_t)n, (uint32_t)span };
	return true;
}

static int
read_rate(struct load *ld, const struct field *f, struct conf_rate *rate,
    const struct node *n)
{
	if (n->kind != NODE_SCALAR)
		return bad_value(ld, f, n);
	if (strcmp(n->text, "none") == 0)
		*rate = (struct conf_rate){ 0 };
	else if (!is_rate(n->text, rate))
		return bad_value(ld, f, n);
	return 0;
}

static int
read_choice(
    struct load *ld, const struct field *f, void *at, const struct node *n)
{
	const struct choice *c;

	for (c = f->choices; c->name != NULL; c++) {
		if (n->kind != NODE_SCALAR || strcmp(c->name, n->text) != 0)
			continue;
		/* An int, or one of these enums. */
		static_assert(sizeof(enum conf_key) == sizeof(int) &&
				  sizeof(enum conf_others) == sizeof(int) &&
				  sizeof(enum log_level) == sizeof(int) &&
				  sizeof(enum log_format) == sizeof(int),
		    "read through a pointer to int");
		memcpy(at, &c->value, sizeof(c->value));
		return c->reserved ? reserved(ld, n) : 0;
	}
	return bad_value(ld, f, n);
}

static bool
is_email(const char *s)
{
	static const char local[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789._+=~-";
	char host[STR_IDENT_MAX];
	const char *why, *at = strchr(s, '@');
	bool is_ip;

	return strlen(s) <= EMAIL_MAX && at != NULL && at != s && s[0] != '.' &&
	       at[-1] != '.' && strstr(s, "..") == NULL &&
	       strspn(s, local) == (size_t)(at - s) && at[1] != '*' &&
	       strchr(at, '.') != NULL &&
	       str_ident(at + 1, host, &is_ip, &why) == 0 && !is_ip;
}

static bool
is_proxy(const char *s)
{
	static const char *const schemes[] = { "http://", "https://",
		"socks5://", "socks5h://" };
	size_t i, n;

	for (i = 0; i < NELEM(schemes); i++) {
		n = strlen(schemes[i]);
		if (strncmp(s, schemes[i], n) == 0)
			return s[n] != '\0' && strpbrk(s, " \"<>\\") == NULL;
	}
	return s[0] == '\0';
}

static bool
is_path(const struct field *f, const char *s)
{
	return s[0] == '/' && s[1] != '\0' &&
	       strlen(s) <= (f->max != 0 ? f->max : PATH_MAX - 1);
}

static bool
is_profile(const char *s)
{
	const char *c;

	for (c = s; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~' || *c == '"' || *c == '\\')
			return false;
	return c != s && c - s <= CONF_PROFILE_MAX;
}

static bool
fits(const struct field *f, const char *s)
{
	const char *c;

	for (c = s; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == '\x7f')
			return false;
	if (f->type == F_PATH)
		return is_path(f, s);
	if (strlen(s) > CONF_STRING_MAX)
		return false;
	if (f->type == F_NAME)
		return str_is_name(s);
	if (f->type == F_URL)
		return str_is_https_url(s);
	if (f->type == F_PROXY)
		return is_proxy(s);
	if (f->type == F_PROFILE)
		return is_profile(s);
	if (f->type == F_EMAIL)
		return is_email(s);
	return s[0] != '\0';
}

/* A hundred thousand certificates that say the same share it. */
static const char *
share(struct load *ld, const char **last, const char *s)
{
	if (*last == NULL || strcmp(*last, s) != 0)
		*last = keep(ld, s);
	return *last;
}

static int
read_string(struct load *ld, const struct field *f, const char **v,
    const struct node *n)
{
	if (n->kind != NODE_SCALAR || n->nothing || !fits(f, n->text))
		return bad_value(ld, f, n);
	if (f->type == F_STR)
		*v = share(ld, &ld->last_str, n->text);
	else if (f->type == F_PROFILE)
		*v = share(ld, &ld->last_profile, n->text);
	else
		*v = keep(ld, n->text);
	return *v == NULL ? -1 : 0;
}

/* The numeric address of len bytes in the form that all write alike. */
static bool
canon_host(int family, const char *s, size_t len, char out[INET6_ADDRSTRLEN])
{
	char host[HOST_LEN], addr[sizeof(struct in6_addr)];

	if (len >= sizeof(host))
		return false;
	memcpy(host, s, len);
	host[len] = '\0';
	return inet_pton(family, host, addr) == 1 &&
	       inet_ntop(family, addr, out, INET6_ADDRSTRLEN) != NULL;
}

/* "ADDRESS:PORT", or just the address when there is a port for it.  Numeric,
 * because root binds it or asks there, and asks no name server. */
static bool
is_address(const char *s, uint64_t port, char out[LISTEN_LEN])
{
	char host[INET6_ADDRSTRLEN];
	const char *colon = strrchr(s, ':');
	size_t n = strlen(s);
	int family = AF_INET;

	if (port == 0 || (!canon_host(AF_INET, s, n, host) &&
			     !canon_host(AF_INET6, s, n, host))) {
		n = colon == NULL ? 0 : (size_t)(colon - s);
		if (n == 0 || str_u64(colon + 1, 1, 65535, &port) == -1)
			return false;
		if (s[0] == '[') {
			if (n < 2 || s[n - 1] != ']')
				return false;
			family = AF_INET6;
			s++;
			n -= 2;
		}
		if (!canon_host(family, s, n, host))
			return false;
	}
	(void)snprintf(out, LISTEN_LEN,
	    strchr(host, ':') != NULL ? "[%s]:%" PRIu64 : "%s:%" PRIu64, host,
	    port);
	return true;
}

static int
read_listen(struct load *ld, const struct field *f, struct listen *l,
    const struct node *n)
{
	const struct node *item = n->kind == NODE_LIST ? n->first : n;
	const char *v[CONF_LISTEN_MAX + 1] = { NULL };
	uint64_t port = f->type == F_RESOLVER ? DNS_PORT : 0;
	char text[LISTEN_LEN];
	const char **all;
	uint32_t i = 0;

	for (; item != NULL; item = item->next) {
		if (item->kind != NODE_SCALAR || i == f->max ||
		    !is_address(item->text, port, text))
			return bad_value(ld, f, item);
		if ((v[i++] = keep(ld, text)) == NULL)
			return -1;
		if (n->kind != NODE_LIST)
			break;
	}
	if (i == 0)
		return bad_value(ld, f, n);
	all = pool_alloc(ld->pool, (i + 1) * sizeof(*all));
	if (all == NULL) {
		ld->diags.nomem = true;
		return -1;
	}
	memcpy(all, v, (i + 1) * sizeof(*all));
	*l = (struct listen){ all, i };
	return 0;
}

static int
check_include(struct load *ld, const struct field *f, const struct node *n)
{
	const struct node *item = n->kind == NODE_LIST ? n->first : n;

	for (; item != NULL; item = item->next) {
		if (item->kind != NODE_SCALAR || item->text[0] == '\0')
			return bad_value(ld, f, item);
		if (n->kind != NODE_LIST)
			break;
	}
	return 0;
}

/* Of a list where one is enough, the one. */
static const struct node *
only(struct load *ld, const struct field *f, const struct node *n)
{
	if (!f->many || n->kind != NODE_LIST || n->first == NULL)
		return n;
	if (n->first->next == NULL)
		return n->first;
	diag_error(&ld->diags, where_of(ld, n),
	    "`%s`: a list of more than one is not supported in this version",
	    f->key);
	return NULL;
}

int
read_value(
    struct load *ld, const struct field *f, void *base, const struct node *n)
{
	void *at = (char *)base + f->offset;

	n = only(ld, f, n);
	if (n == NULL)
		return -1;
	switch (f->type) {
	case F_BOOL:
		return read_bool(ld, f, at, n);
	case F_AGREE:
		return read_agree(ld, f, at, n);
	case F_UINT:
	case F_SPAN:
		return read_number(ld, f, at, n);
	case F_RATE:
		return read_rate(ld, f, at, n);
	case F_CHOICE:
		return read_choice(ld, f, at, n);
	case F_STR:
	case F_NAME:
	case F_PATH:
	case F_URL:
	case F_PROXY:
	case F_PROFILE:
	case F_EMAIL:
		return read_string(ld, f, at, n);
	case F_LISTEN:
	case F_RESOLVER:
		return read_listen(ld, f, at, n);
	case F_COMMAND:
		return read_command(ld, f, at, n);
	case F_CA:
		return read_ref(ld, f, at, n);
	case F_CA_LIST:
		return read_ca_list(ld, f, at, n);
	case F_IDENTS:
		return read_idents(ld, f, at, n);
	case F_INCLUDE:
		return check_include(ld, f, n);
	case F_SECTION:
	case F_DEFAULTS:
		if (n->kind != NODE_MAP)
			return bad_value(ld, f, n);
		return read_section(
		    ld, f->sub, f->type == F_SECTION ? base : at, n);
	case F_CAS:
		return read_cas(ld, f, n);
	case F_DOMAINS: /* a list is streamed, in load.c */
	case F__COUNT:
		break;
	}
	return bad_value(ld, f, n);
}

static void
unknown_key(struct load *ld, const struct section *sec, const struct node *key)
{
	AUTO(buf_done) struct buf all = BUF_INIT(WANT_MAX);
	const char *words[CONF_FIELDS_MAX], *like;
	size_t n = keys_text(sec, words, &all);

	like = str_closest(key->text, words, n);
	if (sec == &section_cert && strchr(key->text, '.') != NULL) {
		diag_error(&ld->diags, where_of(ld, key),
		    "found the key `%.*s`: a name stands alone, without a "
		    "colon, or in the list `names`",
		    CONF_FOUND_MAX, key->text);
		return;
	}
	if (like != NULL)
		diag_error(&ld->diags, where_of(ld, key),
		    "unknown key `%.*s`, did you mean `%s`?", CONF_FOUND_MAX,
		    key->text, like);
	else
		diag_error(&ld->diags, where_of(ld, key),
		    "unknown key `%.*s`, expected one of %s", CONF_FOUND_MAX,
		    key->text, buf_str(&all));
}

/* How often it may be there, and what not beside it. */
static int
check_seen(struct load *ld, const struct section *sec, const struct field *f,
    const struct node *key, uint32_t seen[CONF_FIELDS_MAX])
{
	uint32_t *line = &seen[f - sec->fields];
	uint32_t other = f->not_with == NULL
			     ? 0
			     : seen[field_find(sec, f->not_with) - sec->fields];

	if (*line != 0) {
		diag_error(&ld->diags, where_of(ld, key),
		    "`%s` is given twice, first in line %" PRIu32, f->key,
		    *line);
		return -1;
	}
	*line = key->line;
	if (other == 0)
		return 0;
	diag_error(&ld->diags, where_of(ld, key),
	    "`%s` cannot stand beside `%s`, which is in line %" PRIu32, f->key,
	    f->not_with, other);
	return -1;
}

const struct field *
read_key(struct load *ld, const struct section *sec, const struct node *key,
    uint32_t seen[CONF_FIELDS_MAX])
{
	const struct field *f = field_find(sec, key->text);

	if (f == NULL) {
		unknown_key(ld, sec, key);
		return NULL;
	}
	if (f->reserved) {
		(void)reserved(ld, key);
		return NULL;
	}
	if (sec == &section_top && ld->file != 0 && !f->included) {
		diag_error(&ld->diags, where_of(ld, key),
		    "`%s` is not allowed in an included file, only `ca` and "
		    "`domains` are",
		    f->key);
		return NULL;
	}
	return check_seen(ld, sec, f, key, seen) == 0 ? f : NULL;
}

int
read_section(struct load *ld, const struct section *sec, void *base,
    const struct node *map)
{
	uint32_t seen[CONF_FIELDS_MAX] = { 0 };
	const struct field *f;
	const struct node *key;
	int r = 0;

	for (key = map->first; key != NULL; key = key->next->next) {
		f = read_key(ld, sec, key, seen);
		if (f == NULL || read_value(ld, f, base, key->next) == -1)
			r = -1;
	}
	return r;
}

static int
read_default(struct load *ld, const struct field *f, void *base)
{
	AUTO(yaml_close)
	struct yaml *y = yaml_open(f->dflt, strlen(f->dflt));
	AUTO(node_free) struct node *n = y != NULL ? yaml_value(y) : NULL;

	if (n == NULL) {
		ld->diags.nomem = true;
		return -1;
	}
	n->line = 0;
	return read_value(ld, f, base, n);
}

int
read_defaults(struct load *ld, const struct section *sec, void *base)
{
	const struct field *f;
	int r = 0;

	for (f = sec->fields; f->key != NULL && r == 0; f++) {
		if (f->dflt != NULL)
			r = read_default(ld, f, base);
		else if (f->type == F_SECTION)
			r = read_defaults(ld, f->sub, base);
		else if (f->type == F_DEFAULTS)
			r = read_defaults(ld, f->sub, (char *)base + f->offset);
	}
	return r;
}
