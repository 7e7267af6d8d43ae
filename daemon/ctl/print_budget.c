/* SPDX-License-Identifier: ISC */
/* What is left of each CA's limits, and when there is more. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl/ctl.h"
#include "daemon/ctl/out.h"
#include "lib/base/cleanup.h"
#include "lib/base/str.h"

#define OF_WIDTH 32

/* "3 of 50 left, all in 6 days", "none of 50, next in 5 h, all in 6 days" */
static void
left(const struct json *o)
{
	char n[OUT_COUNT], of[OUT_COUNT], next[OUT_SPAN], full[OUT_SPAN];
	int64_t have = json_get_int(o, "left");

	out_relative(o, "next_at", next, sizeof(next));
	out_relative(o, "full_at", full, sizeof(full));
	printf("%s of %s%s", have == 0 ? "none" : out_count(have, n),
	    out_count(json_get_int(o, "capacity"), of),
	    have == 0 ? "" : " left");
	if (have == 0 && strncmp(next, "in ", 3) == 0)
		printf(", next %s", next);
	if (strncmp(full, "in ", 3) == 0)
		printf(", all %s", full);
	putchar('\n');
}

static const char *
counts(const char *limit)
{
	static const char *const what[][2] = {
		{ "new-orders", "orders" },
		{ "per-domain", "certificates of a registered domain" },
		{ "per-names", "certificates for the same names" },
		{ "failures", "failed validations of a name" },
	};
	size_t i;

	for (i = 0; i < NELEM(what); i++)
		if (strcmp(what[i][0], limit) == 0)
			return what[i][1];
	return "";
}

static void
limit(const struct json *o, bool with_left)
{
	AUTO(free) char *name = out_text(o, "limit");
	char n[OUT_COUNT], span[OUT_SPAN];

	str_ago(json_get_int(o, "period_s"), span, sizeof(span));
	printf("  %-11s %s %s in %s", out_or_empty(name),
	    out_count(json_get_int(o, "capacity"), n),
	    counts(out_or_empty(name)), span);
	if (with_left) {
		fputs(": ", stdout);
		left(o);
	} else {
		puts(":");
	}
}

/* Each domain, set of names or name of which something is used. */
static void
used(const struct json *ca, const char *key)
{
	const struct json *list = json_get_array(ca, key);
	size_t i;

	if (json_len(list) != 0)
		limit(json_at(list, 0), false);
	for (i = 0; i < json_len(list); i++) {
		AUTO(free) char *of = out_text(json_at(list, i), "of");

		if (of != NULL)
			out_cut(of, OF_WIDTH);
		printf("    %-*s ", OF_WIDTH, out_or_empty(of));
		left(json_at(list, i));
	}
}

static void
budget_of(const struct ctl *ctl, const struct json *ca)
{
	static const char *const keys[] = { "domains", "names", "failures" };
	const struct json *limits = json_get_array(ca, "limits");
	AUTO(free) char *name = out_text(ca, "name");
	size_t i, n = json_len(limits);
	char num[OUT_COUNT];

	out_colour(ctl, OUT_BOLD);
	fputs(out_or_empty(name), stdout);
	out_plain(ctl);
	puts(json_get_bool(ca, "staging") ? " (for tests)" : "");
	for (i = 0; i < json_len(limits); i++)
		limit(json_at(limits, i), true);
	for (i = 0; i < NELEM(keys); i++) {
		used(ca, keys[i]);
		n += json_len(json_get_array(ca, keys[i]));
	}
	if (n == 0)
		puts("  nothing is used of any limit that is known");
	if (json_get_int(ca, "not_shown") != 0)
		printf("    ... and %s more, none of them emptier\n",
		    out_count(json_get_int(ca, "not_shown"), num));
}

void
print_budget(const struct ctl *ctl, const struct json *root)
{
	const struct json *cas = json_get_array(root, "cas");
	size_t i;

	for (i = 0; i < json_len(cas); i++) {
		if (i > 0)
			putchar('\n');
		budget_of(ctl, json_at(cas, i));
	}
}
