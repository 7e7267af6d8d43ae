/* SPDX-License-Identifier: ISC */
/*
 * What a session learns from what happens: validations that failed, of which
 * only so many an hour may be tried, and how long a CA takes.
 */

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/session_int.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define HOUR        INT64_C(3600)
#define FAILED_MAX  4096 /* names whose failures are kept on disk */
#define PACE_MIN_MS 10
#define PACE_MAX_MS 2000

void
failed_encode(const struct session *s, struct json *root)
{
	struct json *o = NULL, *times;
	char text[CLOCK_RFC3339_MAX];
	const struct failed *f;
	size_t i, n = 0;

	LIST_FOREACH (f, &s->failed, link) {
		if (clock_now() - f->at[0] > HOUR)
			continue;
		if (n++ == FAILED_MAX)
			break;
		if (o == NULL)
			o = json_set_object(root, "failed_validations");
		times = json_set_array(o, f->ident);
		for (i = 0; i < FAILED_HOUR_MAX && f->at[i] != 0; i++) {
			clock_format(f->at[i], text);
			json_push_str(times, text);
		}
	}
}

static void
decode_one(void *arg, const char *ident, const struct json *times)
{
	struct session *s = arg;
	size_t i, len = strlen(ident);
	struct failed *f = calloc(1, sizeof(*f) + len + 1);
	const char *text;

	if (f == NULL)
		return;
	memcpy(f->ident, ident, len + 1);
	for (i = 0; i < FAILED_HOUR_MAX && i < json_len(times); i++) {
		text = json_text(json_at(times, i));
		if (text == NULL || clock_parse(text, &f->at[i]) == -1)
			f->at[i] = 0;
	}
	LIST_INSERT_HEAD(&s->failed, f, link);
}

void
failed_decode(struct session *s, const struct json *root)
{
	json_each(json_get_object(root, "failed_validations"), decode_one, s);
}

static struct failed *
failed_find(const struct session *s, const char *ident)
{
	struct failed *f;

	LIST_FOREACH (f, &s->failed, link)
		if (strcmp(f->ident, ident) == 0)
			return f;
	return NULL;
}

static void
forget_old(struct session *s, const struct failed *but)
{
	struct failed *f, *next;

	for (f = LIST_FIRST(&s->failed); f != NULL; f = next) {
		next = LIST_NEXT(f, link);
		if (f == but || clock_now() - f->at[0] <= HOUR)
			continue;
		LIST_REMOVE(f, link);
		free(f);
	}
}

void
session_validation_failed(struct session *s, const char *ident)
{
	struct failed *f = failed_find(s, ident);
	size_t len = strlen(ident);
	struct err e;

	forget_old(s, f);
	if (f == NULL) {
		f = calloc(1, sizeof(*f) + len + 1);
		if (f == NULL)
			return; /* the certificate's own back-off still holds */
		memcpy(f->ident, ident, len + 1);
		LIST_INSERT_HEAD(&s->failed, f, link);
	}
	memmove(f->at + 1, f->at, sizeof(f->at) - sizeof(f->at[0]));
	f->at[0] = clock_now();
	if (account_save(s, NULL, NULL, &e) == -1)
		log_error("account state not saved", KV("ca", s->ca->name),
		    KV("error", e.what));
}

int64_t
session_validation_when(
    const struct session *s, const char *const *idents, uint32_t n)
{
	int64_t when = 0, oldest;
	const struct failed *f;
	uint32_t i;

	for (i = 0; i < n; i++) {
		f = failed_find(s, idents[i]);
		if (f == NULL)
			continue;
		oldest = f->at[FAILED_HOUR_MAX - 1];
		if (oldest != 0 && oldest + HOUR > when)
			when = oldest + HOUR;
	}
	return when > clock_now() ? when : 0;
}

int64_t
session_pace_ms(const struct session *s, enum pace p)
{
	return s->pace_ms[p];
}

/* Meets at the time by which about half of the first polls find it done. */
void
session_pace_learn(struct session *s, enum pace p, bool done_at_first_poll)
{
	int64_t *ms = &s->pace_ms[p];

	*ms = done_at_first_poll ? *ms * 4 / 5 : *ms * 5 / 4 + 1;
	if (*ms < PACE_MIN_MS)
		*ms = PACE_MIN_MS;
	if (*ms > PACE_MAX_MS)
		*ms = PACE_MAX_MS;
}
