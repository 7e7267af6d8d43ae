/* SPDX-License-Identifier: ISC */
/*
 * The key grammar that every backend shares, so that no backend can be made
 * to open a path that is not a key.
 */
#include "lib/store/store.h"

#include <string.h>

#include "lib/base/str.h"

const char *const store_kinds[] = { "accounts", "budgets", "certs", "damage",
	"orders", NULL };

bool
store_key_ok(const char *key)
{
	const char *slash = strchr(key, '/');
	size_t i, n;

	if (slash == NULL || strnlen(key, STORE_KEY_MAX) == STORE_KEY_MAX)
		return false;
	n = (size_t)(slash - key);
	for (i = 0; store_kinds[i] != NULL; i++)
		if (strlen(store_kinds[i]) == n &&
		    memcmp(store_kinds[i], key, n) == 0)
			return str_is_name(slash + 1);
	return false;
}

void
store_free(struct store *s)
{
	if (s != NULL)
		s->ops->free(s);
}
