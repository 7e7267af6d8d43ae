/* SPDX-License-Identifier: ISC */
/* What an account key signs, against a JSON parser: it has the members that
 * acmed sends, each at its place, and no others. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/keeper/keeper.h"
#include "lib/io/json.h"

#define TOP                                                          \
	" contact termsOfServiceAgreed onlyReturnExisting replaces " \
	"externalAccountBinding identifiers profile "
#define BELOW " type value protected payload signature "

static void member(void *, const char *, const struct json *);

static void
below(const struct json *j)
{
	size_t i;

	json_each(j, member, (void *)(uintptr_t)BELOW);
	for (i = 0; i < json_len(j); i++)
		below(json_at(j, i));
}

static void
member(void *arg, const char *key, const struct json *j)
{
	char word[64];

	(void)snprintf(word, sizeof(word), " %s ", key);
	if (strchr(key, ' ') != NULL || strstr(arg, word) == NULL)
		abort();
	below(j);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct payloads none;
	struct json *root;
	struct err e;

	if (payloads_check(&none, data, len, &e) == -1)
		return 0;
	root = json_parse((const char *)data, len, NULL);
	json_each(root, member, (void *)(uintptr_t)TOP);
	json_free(root);
	return 0;
}
