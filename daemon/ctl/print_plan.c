/* SPDX-License-Identifier: ISC */
/* What a configuration would do if it were loaded. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl/ctl.h"
#include "daemon/ctl/out.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

#define FIRST_MAX   3  /* names that stand for a reason */
#define ROOM        44 /* for those on one line */
#define LIST_MAX    20 /* names of a list */
#define COMMAND_MAX 4096

static const struct {
	const char *why, *text;
} reasons[] = {
	{ "new", "new" },
	{ "names", "other names" },
	{ "files", "damaged files" },
	{ "key", "other key type" },
	{ "ca", "other CA" },
	{ "profile", "other profile" },
	{ "due", "due anyway" },
};

/* How many of the orders that are listed have this reason. */
static int64_t
listed(const struct json *orders, const char *why)
{
	int64_t n = 0;
	size_t i;

	for (i = 0; i < json_len(orders); i++)
		n += out_is(json_at(orders, i), "why", why);
	return n;
}

static void
reason(const struct json *root, size_t r)
{
	const struct json *orders = json_get_array(root, "orders");
	const struct json *all = json_get_object(root, "reasons");
	int64_t n = listed(orders, reasons[r].why), shown = 0, total = n;
	AUTO(buf_done) struct buf names = BUF_INIT(COMMAND_MAX);
	char num[OUT_COUNT];
	size_t i;

	if (all != NULL)
		total = json_get_int(all, reasons[r].why);
	if (total == 0)
		return;
	for (i = 0; i < json_len(orders) && shown < FIRST_MAX; i++) {
		AUTO(free) char *name = out_text(json_at(orders, i), "name");

		if (!out_is(json_at(orders, i), "why", reasons[r].why))
			continue;
		if (shown > 0 && names.len + strlen(out_or_empty(name)) > ROOM)
			break;
		buf_printf(
		    &names, "%s%s", shown == 0 ? "" : ", ", out_or_empty(name));
		shown++;
	}
	if (total > shown)
		buf_puts(&names, shown == 0 ? "..." : ", ...");
	printf("  %-14s %7s  ", reasons[r].text, out_count(total, num));
	out_fold(buf_str(&names), 26);
}

/* " at letsencrypt": all the CAs that are asked. */
static void
at_cas(const struct json *orders)
{
	AUTO(buf_done) struct buf cas = BUF_INIT(COMMAND_MAX);
	size_t i, j;

	for (i = 0; i < json_len(orders); i++) {
		const char *ca = json_get_text(json_at(orders, i), "ca");
		AUTO(free) char *copy = out_copy(ca);

		for (j = 0; ca != NULL && j < i; j++)
			if (out_is(json_at(orders, j), "ca", ca))
				break;
		if (ca != NULL && j == i)
			buf_printf(&cas, "%s%s", cas.len == 0 ? "" : ", ",
			    out_or_empty(copy));
	}
	if (buf_ok(&cas) && cas.len != 0)
		printf(" at %s", buf_str(&cas));
}

static void
print_orders(const struct ctl *ctl, const struct json *root)
{
	const struct json *orders = json_get_array(root, "orders");
	int64_t n = json_get_int(root, "n_orders"), limited = 0, moved = 0;
	int64_t hidden = json_get_int(root, "orders_not_shown");
	char num[OUT_COUNT];
	size_t i;

	out_colour(ctl, OUT_BOLD);
	printf(
	    "%s certificate%s to order", out_count(n, num), n == 1 ? "" : "s");
	at_cas(orders);
	puts(":");
	out_plain(ctl);
	for (i = 0; i < NELEM(reasons); i++)
		reason(root, i);
	for (i = 0; i < json_len(orders); i++) {
		limited += json_get_text(json_at(orders, i), "limit") != NULL;
		moved +=
		    json_get_text(json_at(orders, i), "instead_of") != NULL;
	}
	if (hidden != 0 && json_get_object(root, "reasons") == NULL)
		printf("  %-14s %7s\n", "and later", out_count(hidden, num));
	if (limited != 0)
		printf("  %s%s wait%s for a limit\n",
		    hidden != 0 ? "at least " : "", out_count(limited, num),
		    limited == 1 ? "s" : "");
	if (moved != 0)
		printf("  %s%s go%s to another CA, where that is sooner\n",
		    hidden != 0 ? "at least " : "", out_count(moved, num),
		    moved == 1 ? "es" : "");
	putchar('\n');
}

static void
print_forgotten(const struct ctl *ctl, const struct json *root)
{
	const struct json *list = json_get_array(root, "forgotten");
	size_t i, n = json_len(list);
	int64_t more = json_get_int(root, "forgotten_not_shown");
	char num[OUT_COUNT];

	if (n == 0)
		return;
	out_title(ctl, "No longer renewed, but kept:");
	for (i = 0; i < n && i < LIST_MAX; i++) {
		AUTO(free) char *name = out_copy(json_text(json_at(list, i)));

		printf("  %s\n", out_or_empty(name));
	}
	more += (int64_t)(n - i);
	if (more != 0)
		printf("  ... and %s more\n", out_count(more, num));
	puts("  Afterwards, acmectl forget NAME archives one.\n");
}

static void
print_reloads(const struct ctl *ctl, const struct json *root)
{
	const struct json *list = json_get_array(root, "reloads");
	size_t i, j;

	if (json_len(list) == 0)
		return;
	out_title(ctl, "Reload commands that run:");
	for (i = 0; i < json_len(list) && i < LIST_MAX; i++) {
		const struct json *r = json_at(list, i);
		const struct json *argv = json_get_array(r, "command");
		AUTO(buf_done) struct buf text = BUF_INIT(COMMAND_MAX);
		AUTO(free) char *copy = NULL;
		char num[OUT_COUNT];

		for (j = 0; j < json_len(argv); j++)
			buf_printf(&text, "%s%s", j == 0 ? "" : " ",
			    out_or_empty(json_text(json_at(argv, j))));
		copy = out_copy(buf_str(&text));
		printf("  for %s: ",
		    out_count(json_get_int(r, "certificates"), num));
		out_fold(out_or_empty(copy), 8);
	}
	if (i < json_len(list))
		printf("  ... and %zu more\n", json_len(list) - i);
	putchar('\n');
}

/* The first day with a limit in the way, and the last of all. */
static void
print_when(const struct json *root)
{
	const struct json *first = json_get_object(root, "first_limit");
	AUTO(free) char *ca = out_text(first, "ca");
	AUTO(free) char *limit = out_text(first, "limit");
	AUTO(free) char *of = out_text(first, "of");
	AUTO(free) char *name = out_text(first, "name");
	AUTO(buf_done) struct buf text = BUF_INIT(COMMAND_MAX);

	if (first != NULL) {
		buf_printf(
		    &text, "%s of %s", out_or_empty(limit), out_or_empty(ca));
		if (of != NULL && *of != '\0')
			buf_printf(&text, " for %s", of);
		if (name != NULL)
			buf_printf(&text, ", met first by %s", name);
		out_instant(first, "limit from:", "at");
		out_line("", buf_str(&text));
	}
	out_instant(root, "all done:", "ends");
}

void
print_plan(const struct ctl *ctl, const struct json *root, const char *file)
{
	int64_t same = json_get_int(root, "n_unchanged");
	bool orders = json_get_int(root, "n_orders") != 0;
	char num[OUT_COUNT];

	printf("%s: nothing has been changed yet.\n\n", file);
	if (orders)
		print_orders(ctl, root);
	else
		puts("No certificate to order.\n");
	print_reloads(ctl, root);
	print_forgotten(ctl, root);
	printf("%s certificate%s as %s.\n", out_count(same, num),
	    same == 1 ? " stays" : "s stay", same == 1 ? "it is" : "they are");
	print_when(root);
}
