/* SPDX-License-Identifier: ISC */
/*
 * Commands: a list of arguments, or a string that is split as systemd splits
 * ExecStart=, without a shell.  Equal commands are kept once.
 */
#include "lib/config/internal.h"

#include <ctype.h>
#include <string.h>

#include "lib/base/str.h"

#define NO_SHELL                                                              \
	", but no shell runs this: quote it, or write [\"/bin/sh\", \"-c\", " \
	"\"...\"]"

/* What would mean something to a shell, at s and outside of quotes. */
static const char *
shell_fault(const char *s)
{
	switch (*s) {
	case ';':
		return "found `;`" NO_SHELL;
	case '|':
		return "found `|`" NO_SHELL;
	case '&':
		return "found `&`" NO_SHELL;
	case '>':
		return "found `>`" NO_SHELL;
	case '<':
		return "found `<`" NO_SHELL;
	case '`':
		return "found a backquote" NO_SHELL;
	case '$':
		return "found `$`" NO_SHELL;
	default:
		return NULL;
	}
}

/* What a backslash and c stand for; '\0': nothing. */
static char
unescape(char c)
{
	if (c == 'n')
		return '\n';
	if (c == 't')
		return '\t';
	if (c == 's')
		return ' ';
	return isalnum((unsigned char)c) ? '\0' : c;
}

/* One argument at *s into flat.  -1 and why. */
static int
split_one(const char **s, struct buf *flat, const char **why)
{
	char quote = '\0';
	const char *p;

	for (p = *s; *p != '\0'; p++) {
		if (*p == '\\') {
			char c = unescape(*++p);

			if (c == '\0') {
				*why = "a backslash before a letter other than "
				       "n, s or t, or at the end";
				return -1;
			}
			buf_putc(flat, c);
		} else if (quote != '\0') {
			if (*p == quote)
				quote = '\0';
			else
				buf_putc(flat, *p);
		} else if (*p == '"' || *p == '\'') {
			quote = *p;
		} else if (isspace((unsigned char)*p)) {
			break;
		} else if ((*why = shell_fault(p)) != NULL) {
			return -1;
		} else {
			buf_putc(flat, *p);
		}
	}
	buf_putc(flat, '\0');
	*s = p;
	if (quote == '\0')
		return 0;
	*why = "a quote is not closed";
	return -1;
}

int
command_split(const char *s, struct args *a, const char **why)
{
	for (;;) {
		while (isspace((unsigned char)*s))
			s++;
		if (*s == '\0')
			return command_check(a, why);
		if (split_one(&s, &a->flat, why) == -1)
			return -1;
		a->n++;
	}
}

int
command_check(const struct args *a, const char **why)
{
	const char *first = buf_str(&a->flat);

	if (!buf_ok(&a->flat) || a->n > CONF_ARGS_MAX)
		*why = "more than 256 arguments or 64 KiB";
	else if (a->n == 0 || first[0] == '\0')
		*why = "the command is empty";
	else if (first[0] != '/' && strchr(first, '/') != NULL)
		*why = "the program must be an absolute path or a bare name";
	else if (first[0] != '/' && strpbrk(first, " \t") != NULL)
		*why = "no program has spaces in its name: a list is one "
		       "command, and each argument an item of it";
	else
		return 0;
	return -1;
}

static bool
same_argv(const void *arg, uint32_t i, const void *key)
{
	const struct load *ld = arg;
	const struct buf *flat = key;

	return ld->argvs[i].len == flat->len &&
	       memcmp(ld->argvs[i].flat, flat->data, flat->len) == 0;
}

/* Keep a command that is new, as argv number n_argvs. */
static int
keep_argv(struct load *ld, const struct args *a, uint64_t hash)
{
	const char **v = pool_alloc(ld->pool, ((size_t)a->n + 1) * sizeof(*v));
	char *flat = pool_alloc(ld->pool, a->flat.len);
	const char *p = flat;
	uint32_t i;

	if (v == NULL || flat == NULL ||
	    index_put(&ld->argv_index, hash, ld->n_argvs) == -1) {
		ld->diags.nomem = true;
		return -1;
	}
	memcpy(flat, a->flat.data, a->flat.len);
	for (i = 0; i < a->n; i++) {
		v[i] = p;
		p += strlen(p) + 1;
	}
	ld->argvs[ld->n_argvs++] = (struct argv){ flat, a->flat.len, v };
	return 0;
}

static int
args_of(struct load *ld, const struct field *f, const struct node *n,
    struct args *a)
{
	const struct node *item;
	const char *why;
	int r;

	if (n->kind == NODE_MAP || (n->kind == NODE_SCALAR && n->nothing))
		return bad_value(ld, f, n);
	if (n->kind == NODE_SCALAR) {
		r = command_split(n->text, a, &why);
	} else {
		for (item = n->first; item != NULL; item = item->next) {
			if (item->kind != NODE_SCALAR)
				return bad_value(ld, f, item);
			buf_add(&a->flat, item->text, strlen(item->text) + 1);
			a->n++;
		}
		r = command_check(a, &why);
	}
	if (r == -1)
		diag_error(
		    &ld->diags, where_of(ld, n), "`%s`: %s", f->key, why);
	return r;
}

int
read_command(struct load *ld, const struct field *f, uint32_t *argv,
    const struct node *n)
{
	AUTO(args_done) struct args a = { .flat = BUF_INIT(CONF_ARGS_BYTES) };
	uint64_t hash;
	uint32_t i;

	if (*argv != CONF_NONE) {
		diag_error(&ld->diags, where_of(ld, n),
		    "`%s` is given at the top level and in `defaults`", f->key);
		return -1;
	}
	if (args_of(ld, f, n, &a) == -1)
		return -1;
	hash = str_hash(a.flat.data, a.flat.len);
	i = index_get(&ld->argv_index, hash, same_argv, ld, &a.flat);
	if (i == CONF_NONE) {
		if (ld->n_argvs == CONF_COMMANDS_MAX) {
			diag_error(&ld->diags, where_of(ld, n),
			    "more than %d different commands",
			    CONF_COMMANDS_MAX);
			return -1;
		}
		if (keep_argv(ld, &a, hash) == -1)
			return -1;
		i = ld->n_argvs - 1;
	}
	*argv = i;
	return 0;
}

struct command_key {
	uint32_t argv, timeout_s;
};

static bool
same_command(const void *arg, uint32_t i, const void *key)
{
	const struct load *ld = arg;
	const struct command_key *k = key;

	return ld->commands[i].argv == ld->argvs[k->argv].v &&
	       ld->commands[i].timeout_s == k->timeout_s;
}

uint32_t
command_of(struct load *ld, uint32_t argv, uint32_t timeout_s, struct where at)
{
	struct command_key k = { argv, timeout_s };
	uint64_t hash = str_hash(&k, sizeof(k));
	uint32_t i;

	i = index_get(&ld->command_index, hash, same_command, ld, &k);
	if (i != CONF_NONE)
		return i;
	if (ld->n_commands == CONF_COMMANDS_MAX) {
		diag_error(&ld->diags, at, "more than %d different commands",
		    CONF_COMMANDS_MAX);
		return CONF_NONE;
	}
	if (index_put(&ld->command_index, hash, ld->n_commands) == -1) {
		ld->diags.nomem = true;
		return CONF_NONE;
	}
	ld->commands[ld->n_commands] =
	    (struct conf_command){ .argv = ld->argvs[argv].v,
		    .timeout_s = timeout_s };
	return ld->n_commands++;
}
