/* SPDX-License-Identifier: ISC */
/*
 * JSON on jansson.  A struct json is a json_t under another name, so that a
 * borrowed value costs nothing.  It knows no document: which members there
 * must be, and what they mean, is the caller's business.
 */
#include "lib/io/json.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

/* Names that jansson has too; below they are jansson's. */
#undef json_object
#undef json_array
#include <jansson.h>
#undef json_is_object /* but this one is ours */

#include "lib/base/clock.h"
#include "lib/base/str.h"

/*
 * jansson's parser does not survive a failed allocation: it ignores some, and
 * then fails an assertion.  So it never sees one.  json_parse() is jumped back
 * to instead, and frees what the parser has allocated so far.
 */
struct block {
	LIST_ENTRY(block) link; /* le_prev is NULL when in no list */
};

static LIST_HEAD(, block) parsing = LIST_HEAD_INITIALIZER(parsing);
static jmp_buf *no_memory; /* set while the parser runs */

static void *
get_block(size_t n)
{
	struct block *b = NULL;

	if (n <= SIZE_MAX - sizeof(*b))
		b = malloc(sizeof(*b) + n);
	if (no_memory != NULL) {
		if (b == NULL)
			longjmp(*no_memory, 1);
		LIST_INSERT_HEAD(&parsing, b, link);
	} else if (b != NULL) {
		b->link.le_prev = NULL;
	} else {
		return NULL;
	}
	return b + 1;
}

static void
free_block(void *p)
{
	struct block *b;

	if (p == NULL)
		return;
	b = (struct block *)p - 1;
	if (b->link.le_prev != NULL)
		LIST_REMOVE(b, link);
	free(b);
}

/*
 * The hash of objects is seeded here, as its seed must not be guessed: jansson
 * would take the time when it cannot open /dev/urandom.
 */
static void
init_once(void)
{
	static bool done;
	size_t seed = 0;

	if (done)
		return;
	done = true;
	json_set_alloc_funcs(get_block, free_block);
	if (getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed))
		json_object_seed(seed);
}

/*
 * A container that could not take something carries this bit in its reference
 * count: there is no memory to note it elsewhere.  It also keeps jansson from
 * freeing the container, so json_free() takes it away first.
 */
#define BAD ((size_t)1 << (sizeof(size_t) * 8 - 2))

static size_t bad_marks; /* containers that carry it: nearly always none */

/* jansson does not always take const where it changes nothing. */
static json_t *
value(const struct json *j)
{
	return (json_t *)(uintptr_t)j;
}

static struct json *
ours(json_t *v)
{
	return (struct json *)v;
}

static bool
is_bad(const json_t *v)
{
	/* The constants true, false and null have every bit set. */
	return v->refcount != (size_t)-1 && (v->refcount & BAD) != 0;
}

static void
mark_bad(json_t *v)
{
	if (v == NULL || is_bad(v))
		return;
	v->refcount |= BAD;
	bad_marks++;
}

/* Whether there is a mark in or below v; takes the marks away if told so. */
static bool
find_bad(json_t *v, bool take)
{
	bool found = is_bad(v);
	void *it;
	size_t i;

	if (found && take) {
		v->refcount &= ~BAD;
		bad_marks--;
	}
	/* Each loop does nothing for values of another type. */
	for (i = 0; i < json_array_size(v); i++)
		found = find_bad(json_array_get(v, i), take) || found;
	for (it = json_object_iter(v); it != NULL;
	     it = json_object_iter_next(v, it))
		found = find_bad(json_object_iter_value(it), take) || found;
	return found;
}

/* Whether containers nest deeper than JSON_DEPTH_MAX. */
static bool
too_deep(const char *s, size_t len)
{
	size_t depth = 0, i;
	bool quoted = false;

	for (i = 0; i < len; i++) {
		switch (s[i]) {
		case '"':
			quoted = !quoted;
			break;
		case '\\':
			i += quoted;
			break;
		case '[':
		case '{':
			if (!quoted && ++depth > JSON_DEPTH_MAX)
				return true;
			break;
		case ']':
		case '}':
			if (!quoted && depth > 0)
				depth--;
			break;
		default:
			break;
		}
	}
	return false;
}

/* -1: no memory.  *v is NULL when the text is not JSON. */
static int
load(const char *s, size_t len, json_t **v, json_error_t *je)
{
	struct block *b;
	jmp_buf here;
	volatile bool done = false;

	no_memory = &here;
	if (setjmp(here) == 0) {
		/* NUL is refused where a member is read, and spoils only it. */
		*v = json_loadb(s, len,
		    JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL,
		    je);
		done = true;
	}
	no_memory = NULL;
	while ((b = LIST_FIRST(&parsing)) != NULL) {
		LIST_REMOVE(b, link);
		b->link.le_prev = NULL;
		if (!done)
			free(b);
	}
	return done ? 0 : -1;
}

struct json *
json_parse(const char *s, size_t len, struct err *e)
{
	json_error_t je = { 0 };
	json_t *v = NULL;

	init_once();
	if (too_deep(s, len)) {
		(void)err_set(e, ERR_LIMIT, 0, "JSON nests deeper than %d",
		    JSON_DEPTH_MAX);
		return NULL;
	}
	if (load(s, len, &v, &je) == -1) {
		(void)err_nomem(e, "JSON");
		return NULL;
	}
	if (v != NULL)
		return ours(v);
	str_clean(je.text); /* it quotes what was sent */
	(void)err_set(e, ERR_PROTO, 0, "not JSON: line %d, column %d: %s",
	    je.line, je.column, je.text);
	return NULL;
}

void
json_free(struct json *j)
{
	if (bad_marks > 0 && j != NULL)
		(void)find_bad(value(j), true);
	json_decref(value(j));
}

bool
json_is_object(const struct json *j)
{
	return j != NULL && json_typeof(value(j)) == JSON_OBJECT;
}

const struct json *
json_get_object(const struct json *j, const char *key)
{
	json_t *v = json_object_get(value(j), key);

	return v != NULL && json_typeof(v) == JSON_OBJECT ? ours(v) : NULL;
}

const struct json *
json_get_array(const struct json *j, const char *key)
{
	json_t *v = json_object_get(value(j), key);

	return json_is_array(v) ? ours(v) : NULL;
}

size_t
json_len(const struct json *array)
{
	return json_array_size(value(array));
}

const struct json *
json_at(const struct json *array, size_t i)
{
	return ours(json_array_get(value(array), i));
}

const char *
json_text(const struct json *j)
{
	const char *s = json_string_value(value(j));

	/* With a NUL inside it would be another text than was sent. */
	if (s == NULL || strlen(s) != json_string_length(value(j)))
		return NULL;
	return s;
}

int
json_number(const struct json *j, int64_t *n)
{
	if (!json_is_integer(value(j)))
		return -1;
	*n = json_integer_value(value(j));
	return 0;
}

const char *
json_get_text(const struct json *j, const char *key)
{
	return json_text(ours(json_object_get(value(j), key)));
}

int64_t
json_get_int(const struct json *j, const char *key)
{
	return json_integer_value(json_object_get(value(j), key));
}

bool
json_get_bool(const struct json *j, const char *key)
{
	return json_is_true(json_object_get(value(j), key));
}

int64_t
json_get_time(const struct json *j, const char *key)
{
	const char *s = json_get_text(j, key);
	int64_t t;

	return s != NULL && clock_parse(s, &t) == 0 ? t : 0;
}

void
json_each(const struct json *object,
    void (*fn)(void *arg, const char *key, const struct json *), void *arg)
{
	json_t *v = value(object);
	void *it;

	for (it = json_object_iter(v); it != NULL;
	     it = json_object_iter_next(v, it))
		fn(arg, json_object_iter_key(it),
		    ours(json_object_iter_value(it)));
}

struct json *
json_new_object(void)
{
	init_once();
	return ours(json_object());
}

struct json *
json_new_array(void)
{
	init_once();
	return ours(json_array());
}

static json_t *
text(const char *s)
{
	AUTO(free) char *copy = NULL;
	json_t *v;

	if (s == NULL)
		return json_null();
	if ((v = json_string(s)) != NULL)
		return v;
	/* Not UTF-8, or no memory, which will show again. */
	if ((copy = strdup(s)) == NULL)
		return NULL;
	str_clean_lines(copy);
	return json_string(copy);
}

/* Put v, which is ours to give away, or NULL when making it failed. */
static json_t *
put(struct json *j, const char *key, json_t *v)
{
	if (j == NULL || v == NULL || json_object_set(value(j), key, v) == -1) {
		mark_bad(value(j));
		json_free(ours(v));
		return NULL;
	}
	json_decref(v); /* j has its own reference */
	return v;
}

static json_t *
push(struct json *j, json_t *v)
{
	if (j == NULL || v == NULL || json_array_append(value(j), v) == -1) {
		mark_bad(value(j));
		json_free(ours(v));
		return NULL;
	}
	json_decref(v);
	return v;
}

void
json_set_str(struct json *j, const char *key, const char *s)
{
	(void)put(j, key, text(s));
}

void
json_set_int(struct json *j, const char *key, int64_t n)
{
	(void)put(j, key, json_integer(n));
}

void
json_set_bool(struct json *j, const char *key, bool b)
{
	(void)put(j, key, json_boolean(b));
}

void
json_set_time(struct json *j, const char *key, int64_t t)
{
	char s[CLOCK_RFC3339_MAX];

	if (t == 0)
		return;
	clock_format(t, s);
	json_set_str(j, key, s);
}

struct json *
json_set_object(struct json *j, const char *key)
{
	return ours(put(j, key, json_object()));
}

struct json *
json_set_array(struct json *j, const char *key)
{
	return ours(put(j, key, json_array()));
}

void
json_set(struct json *j, const char *key, struct json *taken)
{
	(void)put(j, key, value(taken));
}

void
json_push_str(struct json *array, const char *s)
{
	(void)push(array, text(s));
}

void
json_push_int(struct json *array, int64_t n)
{
	(void)push(array, json_integer(n));
}

struct json *
json_push_object(struct json *array)
{
	return ours(push(array, json_object()));
}

static int
to_buf(const char *s, size_t len, void *arg)
{
	struct buf *out = arg;

	buf_add(out, s, len);
	return buf_ok(out) ? 0 : -1;
}

int
json_dump(const struct json *j, bool indent, struct buf *out, struct err *e)
{
	size_t flags = JSON_ENCODE_ANY;

	if (j == NULL || (bad_marks > 0 && find_bad(value(j), false)))
		return err_nomem(e, "JSON text");
	flags |= indent ? JSON_INDENT(2) : JSON_COMPACT;
	if (json_dump_callback(value(j), to_buf, out, flags) == 0)
		return 0;
	if (!buf_ok(out))
		return err_set(e, ERR_LIMIT, 0,
		    "JSON text does not fit into %zu bytes", out->max);
	return err_nomem(e, "JSON text");
}
