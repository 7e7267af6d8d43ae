/* SPDX-License-Identifier: ISC */
/*
 * JSON (jansson stays behind this line): getters for what others sent, and
 * building what we send.  Depth is bounded.  null counts as missing, and so
 * does a text with NUL inside.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/err.h"

struct json; /* borrowed from its root unless json_parse/json_object made it */

#define JSON_DEPTH_MAX 32

/* One value, nothing behind it.  NULL on failure.  Free with json_free(). */
struct json *json_parse(const char *, size_t, struct err *);
void json_free(struct json *); /* only roots; NULL is fine */
DEFINE_AUTO(struct json, json_free)

bool json_is_object(const struct json *);

/* A member of that type, or NULL, 0 and false.  Borrowed. */
const struct json *json_get_object(const struct json *, const char *key);
const struct json *json_get_array(const struct json *, const char *key);
size_t json_len(const struct json *array); /* 0 when NULL */
const struct json *json_at(const struct json *array, size_t);
const char *json_text(const struct json *); /* of a string value, or NULL */
int json_number(const struct json *, int64_t *); /* of an integer, or -1 */
const char *json_get_text(const struct json *, const char *key);
int64_t json_get_int(const struct json *, const char *key);
bool json_get_bool(const struct json *, const char *key);
int64_t json_get_time(const struct json *, const char *key); /* RFC 3339 */

/* Call fn for each member of an object. */
void json_each(const struct json *object,
    void (*fn)(void *arg, const char *key, const struct json *), void *arg);

/*
 * Building.  Text is made valid UTF-8 on the way in.  Any failure (memory)
 * makes the root bad, and json_dump() says so once.
 */
struct json *json_new_object(void); /* NULL: no memory */
struct json *json_new_array(void);
/* jansson exports these two names itself: to the linker ours must differ. */
#define json_object() json_new_object()
#define json_array()  json_new_array()

void json_set_str(
    struct json *, const char *key, const char *); /* NULL: null */
void json_set_int(struct json *, const char *key, int64_t);
void json_set_bool(struct json *, const char *key, bool);
void json_set_time(struct json *, const char *key, int64_t); /* 0: not at all */
struct json *json_set_object(struct json *, const char *key); /* borrowed */
struct json *json_set_array(struct json *, const char *key);  /* borrowed */
void json_set(struct json *, const char *key, struct json *taken);
void json_push_str(struct json *array, const char *);
void json_push_int(struct json *array, int64_t);
struct json *json_push_object(struct json *array); /* borrowed */

/* Setters and pushers on NULL do nothing, so a chain needs one check. */

/* Append the text: compact, or indented for people.  -1: the root is bad. */
int json_dump(const struct json *, bool indent, struct buf *out, struct err *);
