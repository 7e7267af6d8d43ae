/* SPDX-License-Identifier: ISC */
/*
 * libyaml stops here.  Events come out as nodes with positions; everything of
 * YAML that a configuration does not need is refused.
 */
#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "lib/base/cleanup.h"
#include "lib/config/internal.h"

#define ERROR_MAX 256
#define BOM       "\xef\xbb\xbf"

struct yaml {
	yaml_parser_t parser;
	yaml_event_t event; /* the one that comes next, when have */
	const char *text;
	size_t len;
	bool have, bad, nomem, document;
	unsigned depth;
	struct where error_at;
	char error[ERROR_MAX];
};

struct yaml *
yaml_open(const void *text, size_t len)
{
	struct yaml *y = calloc(1, sizeof(*y));

	if (y == NULL)
		return NULL;
	if (yaml_parser_initialize(&y->parser) == 0) {
		free(y);
		return NULL;
	}
	/* what some editors begin UTF-8 with is no text */
	if (len >= strlen(BOM) && memcmp(text, BOM, strlen(BOM)) == 0) {
		text = (const char *)text + strlen(BOM);
		len -= strlen(BOM);
	}
	y->text = text;
	y->len = len;
	yaml_parser_set_encoding(&y->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&y->parser, text, len);
	return y;
}

static struct where
where_of_mark(const yaml_mark_t *m)
{
	struct where w = { .line = (uint32_t)m->line + 1 };

	w.column =
	    m->column < UINT16_MAX ? (uint16_t)(m->column + 1) : UINT16_MAX;
	return w;
}

static bool
fail(struct yaml *y, struct where at, const char *context, const char *problem)
{
	y->bad = true;
	y->error_at = at;
	/* Both are texts of libyaml or ours, and short. */
	(void)snprintf(y->error, sizeof(y->error), "%s%s%s",
	    context != NULL ? context : "", context != NULL ? ": " : "",
	    problem != NULL ? problem : "cannot be read");
	return false;
}

static bool
fail_memory(struct yaml *y)
{
	y->nomem = true;
	return fail(y, where_of_mark(&y->parser.mark), NULL, "out of memory");
}

/* For bytes that are no UTF-8 libyaml only says how far in they are. */
static struct where
where_of_offset(const struct yaml *y, size_t offset)
{
	yaml_mark_t m = { 0 };
	size_t i;

	for (i = 0; i < offset && i < y->len; i++) {
		m.column++;
		if (y->text[i] == '\n') {
			m.line++;
			m.column = 0;
		}
	}
	return where_of_mark(&m);
}

/* What stands at a mark, of which libyaml knows line and column alone. */
static char
at_mark(const struct yaml *y, const yaml_mark_t *m)
{
	const char *s = y->text, *end = y->text + y->len;
	size_t n;

	for (n = m->line; n > 0 && s < end; s++)
		n -= *s == '\n';
	for (n = m->column; n > 0 && s < end; s++)
		/* a character ends before a byte that is no continuation */
		n -= s + 1 == end || ((unsigned char)s[1] & 0xc0) != 0x80;
	return s < end ? *s : '\0';
}

/*
 * What libyaml's words mean to somebody who wrote a configuration, by the
 * beginning of what it says.  What began it is told where it is not clear from
 * the place where it came to light.
 */
static const struct {
	const char *context, *problem, *plain;
	char at;    /* what stands there; '\0': anything */
	bool begin; /* where it began is what is wrong */
} plain[] = {
	{ "", "found character that cannot start any token",
	    "a tab: only spaces may indent a line or stand before a value",
	    '\t', false },
	{ "", "found a tab character",
	    "a tab: only spaces may indent a line or stand before a value",
	    '\0', false },
	{ "", "found character that cannot start any token",
	    "a value that begins with this character must be in quotes", '\0',
	    false },
	{ "while scanning an alias", "",
	    "a value that begins with `*` must be in quotes, and wildcards "
	    "are not supported in this version",
	    '\0', true },
	{ "while scanning an anchor", "",
	    "a value that begins with `&` must be in quotes", '\0', true },
	{ "", "mapping values are not allowed",
	    "a `:` that cannot be here: is the line indented as the one above "
	    "it, or does a value with `: ` want quotes?",
	    '\0', false },
	{ "", "block sequence entries are not allowed",
	    "a `- ` that cannot be here: the first one of a list begins a line "
	    "of its own",
	    '\0', false },
	{ "while parsing a block mapping", "did not find expected key",
	    "expected a key, indented as those above it", '\0', false },
	{ "while parsing a block collection", "did not find expected '-'",
	    "expected `- `, or another indentation: the items of a list are "
	    "indented alike",
	    '\0', false },
	{ "while scanning a simple key", "could not find expected ':'",
	    "expected `- ` before an item of a list, or a key and `: `", '\0',
	    true },
	{ "while scanning a quoted scalar", "found unexpected",
	    "a quote that is not closed", '\0', true },
	{ "while parsing a flow sequence", "did not find expected ','",
	    "a `[` that is not closed, or a comma is missing in the list", '\0',
	    true },
	{ "while parsing a flow mapping", "did not find expected ','",
	    "a `{` that is not closed, or a comma is missing behind it", '\0',
	    true },
	{ "while parsing a ", "did not find expected node",
	    "expected a value: is it one that must be in quotes, like "
	    "\"[::]:80\"?",
	    '\0', false },
	{ "", "did not find expected <document start>",
	    "text behind the `}` or `]` that ends the file: all of it must be "
	    "within",
	    '\0', false },
	{ "while parsing a quoted scalar", "found unknown escape",
	    "a backslash in double quotes that means nothing: write two, or "
	    "use single quotes",
	    '\0', false },
};

static bool
begins(const char *s, const char *with)
{
	return s == NULL ? *with == '\0' : strncmp(s, with, strlen(with)) == 0;
}

static bool
fail_parser(struct yaml *y)
{
	const yaml_parser_t *p = &y->parser;
	char at;
	size_t i;

	if (p->error == YAML_MEMORY_ERROR)
		return fail_memory(y);
	if (p->error == YAML_READER_ERROR)
		return fail(y, where_of_offset(y, p->problem_offset),
		    begins(p->problem, "control") ? NULL : "not UTF-8",
		    p->problem);
	at = at_mark(y, &p->problem_mark);
	for (i = 0; i < NELEM(plain); i++)
		if (begins(p->context, plain[i].context) &&
		    begins(p->problem, plain[i].problem) &&
		    (plain[i].at == '\0' || plain[i].at == at))
			return fail(y,
			    where_of_mark(plain[i].begin ? &p->context_mark
							 : &p->problem_mark),
			    NULL, plain[i].plain);
	return fail(y, where_of_mark(&p->problem_mark), p->context, p->problem);
}

/* Also libyaml's own errors end here: it must not be asked again. */
static bool
check_event(struct yaml *y)
{
	const yaml_event_t *ev = &y->event;
	struct where at = where_of_mark(&ev->start_mark);
	const yaml_char_t *anchor = NULL, *tag = NULL;

	if (ev->type == YAML_ALIAS_EVENT)
		return fail(y, at, NULL, "aliases are not supported");
	if (ev->type == YAML_SCALAR_EVENT) {
		anchor = ev->data.scalar.anchor;
		tag = ev->data.scalar.tag;
		if (memchr(ev->data.scalar.value, '\0',
			ev->data.scalar.length) != NULL)
			return fail(y, at, NULL, "a NUL is not supported");
	} else if (ev->type == YAML_SEQUENCE_START_EVENT) {
		anchor = ev->data.sequence_start.anchor;
		tag = ev->data.sequence_start.tag;
	} else if (ev->type == YAML_MAPPING_START_EVENT) {
		anchor = ev->data.mapping_start.anchor;
		tag = ev->data.mapping_start.tag;
	} else if (ev->type == YAML_DOCUMENT_START_EVENT && y->document) {
		return fail(y, at, NULL, "only one document is supported");
	}
	if (anchor != NULL)
		return fail(y, at, NULL, "anchors are not supported");
	if (tag != NULL)
		return fail(y, at, NULL, "tags are not supported");
	return true;
}

static void
drop(struct yaml *y)
{
	yaml_event_delete(&y->event);
	y->have = false;
}

/* Have the next event that means something here. */
static bool
fetch(struct yaml *y)
{
	while (!y->have && !y->bad) {
		if (yaml_parser_parse(&y->parser, &y->event) == 0)
			return fail_parser(y);
		y->have = true;
		if (!check_event(y))
			return false;
		if (y->event.type == YAML_DOCUMENT_START_EVENT)
			y->document = true;
		if (y->event.type == YAML_STREAM_START_EVENT ||
		    y->event.type == YAML_DOCUMENT_START_EVENT ||
		    y->event.type == YAML_DOCUMENT_END_EVENT)
			drop(y);
	}
	return !y->bad;
}

enum node_kind
yaml_peek(struct yaml *y, struct where *at)
{
	if (!fetch(y))
		return NODE_BAD;
	*at = where_of_mark(&y->event.start_mark);
	switch (y->event.type) {
	case YAML_SCALAR_EVENT:
		return NODE_SCALAR;
	case YAML_SEQUENCE_START_EVENT:
		return NODE_LIST;
	case YAML_MAPPING_START_EVENT:
		return NODE_MAP;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return NODE_END;
	case YAML_STREAM_END_EVENT:
		return NODE_NONE;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
	case YAML_ALIAS_EVENT:
	default:
		(void)fail(y, *at, NULL, "an event that should not be");
		return NODE_BAD;
	}
}

void
yaml_step(struct yaml *y)
{
	struct where at;
	enum node_kind kind = yaml_peek(y, &at);

	if (kind == NODE_LIST || kind == NODE_MAP) {
		if (++y->depth > CONF_DEPTH_MAX) {
			(void)fail(y, at, NULL, "nested too deeply");
			return;
		}
	} else if (kind == NODE_END) {
		y->depth--;
	}
	if (kind != NODE_BAD && kind != NODE_NONE)
		drop(y);
}

void
yaml_pass(struct yaml *y)
{
	unsigned depth = y->depth;
	enum node_kind kind;
	struct where at;

	do {
		kind = yaml_peek(y, &at);
		yaml_step(y);
	} while (kind != NODE_BAD && kind != NODE_NONE && y->depth > depth);
}

static bool
is_nothing(const yaml_event_t *ev)
{
	const char *s = (const char *)ev->data.scalar.value;

	return ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (s[0] == '\0' || strcmp(s, "~") == 0 || strcmp(s, "null") == 0);
}

static struct node *
node_new(struct yaml *y, enum node_kind kind, struct where at)
{
	size_t len = kind == NODE_SCALAR ? y->event.data.scalar.length : 0;
	struct node *n = calloc(1, sizeof(*n) + len + 1);

	if (n == NULL) {
		(void)fail_memory(y);
		return NULL;
	}
	n->kind = kind;
	n->line = at.line;
	n->column = at.column;
	if (kind == NODE_SCALAR) {
		memcpy(n->text, y->event.data.scalar.value, len);
		n->nothing = is_nothing(&y->event);
	}
	return n;
}

/* NULL at the end of a collection as well as when bad. */
static struct node *
build(struct yaml *y, unsigned *room, bool key)
{
	AUTO(node_free) struct node *n = NULL;
	struct node **tail, *item;
	struct where at;
	enum node_kind kind = yaml_peek(y, &at);
	unsigned i;

	if (kind == NODE_BAD || kind == NODE_NONE || kind == NODE_END)
		return NULL;
	if (key && kind != NODE_SCALAR)
		(void)fail(y, at, NULL, "keys must be plain words");
	else if ((*room)-- == 0)
		(void)fail(y, at, NULL, "too long");
	if (y->bad || (n = node_new(y, kind, at)) == NULL)
		return NULL;
	yaml_step(y);
	if (kind == NODE_SCALAR)
		return take_ptr(n);
	tail = &n->first;
	for (i = 0;
	     (item = build(y, room, kind == NODE_MAP && i % 2 == 0)) != NULL;
	     i++) {
		*tail = item;
		tail = &item->next;
	}
	if (y->bad)
		return NULL;
	yaml_step(y);
	return take_ptr(n);
}

struct node *
yaml_value(struct yaml *y)
{
	unsigned room = CONF_NODES_MAX;

	return build(y, &room, false);
}

struct node *
yaml_key(struct yaml *y)
{
	unsigned room = 1;

	return build(y, &room, true);
}

const char *
yaml_error(const struct yaml *y, struct where *at)
{
	*at = y->error_at;
	return y->bad ? y->error : NULL;
}

bool
yaml_nomem(const struct yaml *y)
{
	return y->nomem;
}

void
yaml_close(struct yaml *y)
{
	if (y == NULL)
		return;
	if (y->have)
		yaml_event_delete(&y->event);
	yaml_parser_delete(&y->parser);
	free(y);
}

void
node_free(struct node *n)
{
	while (n != NULL) {
		struct node *next = n->next;

		node_free(n->first);
		free(n);
		n = next;
	}
}
