/* SPDX-License-Identifier: ISC */
/* What went wrong, kept for people. */

#include "daemon/engine/trouble.h"

#include <stdlib.h>
#include <string.h>

void
trouble_clear(struct trouble *t)
{
	free(t->text);
	memset(t, 0, sizeof(*t));
}

void
trouble_set(struct trouble *t, const char *type, const char *text, int64_t now)
{
	free(t->text);
	t->text = strdup(text);
	t->type = type;
	t->row = NULL;
	t->alike = 0;
	t->at = now;
	if (t->since == 0)
		t->since = now;
}
