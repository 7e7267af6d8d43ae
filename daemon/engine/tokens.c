/* SPDX-License-Identifier: ISC */
/* Live http-01 answers: a chained hash table, doubled when it gets full. */
#include "daemon/engine/tokens.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"

#define BUCKETS_MIN 64
#define TOKEN_MAX   256 /* as str_is_token() has it */

struct entry {
	struct entry *next;
	char *answer;
	token_fetched *fetched;
	void *arg;
	size_t len;
	unsigned publishers;
	char token[];
};

struct tokens {
	struct entry **buckets;
	size_t size, count; /* size is a power of two */
};

struct tokens *
tokens_new(struct err *e)
{
	struct tokens *t = calloc(1, sizeof(*t));

	if (t != NULL)
		t->buckets = calloc(BUCKETS_MIN, sizeof(struct entry *));
	if (t == NULL || t->buckets == NULL) {
		free(t);
		(void)err_nomem(e, "tokens");
		return NULL;
	}
	t->size = BUCKETS_MIN;
	return t;
}

static void
entry_free(struct entry *en)
{
	free(en->answer);
	free(en);
}

void
tokens_free(struct tokens *t)
{
	struct entry *en, *next;
	size_t i;

	if (t == NULL)
		return;
	for (i = 0; i < t->size; i++)
		for (en = t->buckets[i]; en != NULL; en = next) {
			next = en->next;
			entry_free(en);
		}
	free(t->buckets);
	free(t);
}

/* The link that points to token's entry, or the NULL where it would be. */
static struct entry **
find(const struct tokens *t, const char *token, size_t len)
{
	struct entry **at = &t->buckets[str_hash(token, len) & (t->size - 1)];

	while (*at != NULL &&
	       ((*at)->len != len || memcmp((*at)->token, token, len) != 0))
		at = &(*at)->next;
	return at;
}

/* Without memory it stays as it is: slower, not wrong. */
static void
grow(struct tokens *t)
{
	struct tokens old = *t;
	struct entry **buckets, *en, *next;
	size_t i;

	buckets = calloc(t->size * 2, sizeof(struct entry *));
	if (buckets == NULL)
		return;
	t->buckets = buckets;
	t->size *= 2;
	for (i = 0; i < old.size; i++)
		for (en = old.buckets[i]; en != NULL; en = next) {
			next = en->next;
			en->next = NULL;
			*find(t, en->token, en->len) = en;
		}
	free(old.buckets);
}

static struct entry *
add(struct tokens *t, const char *token)
{
	struct entry *en;
	size_t len = strlen(token);

	en = calloc(1, sizeof(*en) + len + 1);
	if (en == NULL)
		return NULL;
	memcpy(en->token, token, len);
	en->len = len;
	if (t->count >= t->size)
		grow(t);
	*find(t, token, len) = en;
	t->count++;
	return en;
}

int
tokens_publish(struct tokens *t, const char *token,
    const char *key_authorization, token_fetched *fetched, void *arg,
    struct err *e)
{
	AUTO(free) char *answer = NULL;
	struct entry *en;

	if (!str_is_token(token))
		return err_set(e, ERR_PROTO, 0, "not a token");
	if (strlen(key_authorization) > TOKENS_ANSWER_MAX)
		return err_set(e, ERR_LIMIT, 0, "key authorization: too long");
	answer = strdup(key_authorization);
	if (answer == NULL)
		return err_nomem(e, "token");
	en = *find(t, token, strlen(token));
	if (en == NULL && (en = add(t, token)) == NULL)
		return err_nomem(e, "token");
	free(en->answer);
	en->answer = take_ptr(answer);
	en->fetched = fetched;
	en->arg = arg;
	en->publishers++;
	return 0;
}

void
tokens_unhear(struct tokens *t, const char *token, const void *arg)
{
	struct entry *en = *find(t, token, strlen(token));

	if (en != NULL && en->arg == arg)
		en->fetched = NULL;
}

void
tokens_withdraw(struct tokens *t, const char *token)
{
	struct entry **at = find(t, token, strlen(token)), *en = *at;

	if (en == NULL)
		return;
	/* whose listener it was is not known: nobody's, from now on */
	en->fetched = NULL;
	if (--en->publishers > 0)
		return;
	*at = en->next;
	t->count--;
	entry_free(en);
}

size_t
tokens_count(const struct tokens *t)
{
	return t->count;
}

const char *
tokens_find(const struct tokens *t, const char *token, size_t len)
{
	const struct entry *en = *find(t, token, len);

	return en == NULL ? NULL : en->answer;
}

void
tokens_tell(struct tokens *t, const char *token, size_t len)
{
	const struct entry *en = *find(t, token, len);
	char name[TOKEN_MAX + 1]; /* the listener may withdraw the entry */

	if (en == NULL || en->fetched == NULL)
		return;
	memcpy(name, en->token, len + 1);
	en->fetched(en->arg, name);
}
