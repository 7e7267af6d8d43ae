/* SPDX-License-Identifier: ISC */
/* The commands, as one table. */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl/ctl.h"
#include "lib/base/cleanup.h"
#include "lib/base/str.h"

#define SOCKET_DEFAULT "/run/acmed/acmed.sock"

static int cmd_help(struct ctl *, const struct args *);

enum operand {
	OPERAND_NONE,
	OPERAND_NAME,
	OPERAND_ANY_NAME, /* may be left out */
	OPERAND_FILE,     /* the same */
};

/* clang-format off */
static const struct command {
	const char *name, *options, *help;
	enum operand operand;
	int (*run)(struct ctl *, const struct args *);
} commands[] = {
	{ "status",  "[NAME] [--json] [--watch] [--all]", "is all well; if not, what is wrong and what to do", OPERAND_ANY_NAME, cmd_status },
	{ "show",    "NAME [--json]",              "all that is known of one certificate",                  OPERAND_NAME, cmd_show },
	{ "renew",   "NAME [--wait]",              "renew now; --wait shows each step as it happens",       OPERAND_NAME, cmd_renew },
	{ "check",   "NAME [--rehearse]",          "would it be issued; --rehearse tries at the test CA",   OPERAND_NAME, cmd_check },
	{ "budget",  "[--json]",                   "what is left of each CA's limits",                      OPERAND_NONE, cmd_budget },
	{ "plan",    "[FILE] [--json]",            "what a configuration would do, before it is loaded",    OPERAND_FILE, cmd_plan },
	{ "forget",  "NAME [--yes]",               "archive a certificate that is configured no longer",    OPERAND_NAME, cmd_forget },
	{ "reload",  "",                           "read the configuration again",                          OPERAND_NONE, cmd_reload },
	{ "version", "",                           "of acmectl, and of the daemon that runs",               OPERAND_NONE, cmd_version },
	{ "help",    "",                           "this",                                                  OPERAND_NONE, cmd_help },
};
/* clang-format on */

static int
cmd_help(struct ctl *ctl, const struct args *a)
{
	size_t i;

	(void)ctl;
	(void)a;
	puts("usage: acmectl [-s SOCKET] COMMAND\n");
	for (i = 0; i < NELEM(commands); i++) {
		printf("  %s %s\n", commands[i].name, commands[i].options);
		printf("      %s\n", commands[i].help);
	}
	puts(
	    "\nExit status: 0 all is well, 1 something needs a person, 2 could "
	    "not ask.");
	return EXIT_WELL;
}

static int
usage(const char *why, const char *what)
{
	fprintf(stderr, "acmectl: %s%s%s: see \"acmectl help\"\n", why,
	    *what == '\0' ? "" : " ", what);
	return EXIT_NO_ASK;
}

static int
run(struct ctl *ctl, const char *word, const struct args *a, int extra)
{
	const struct command *c;

	for (c = commands; c < commands + NELEM(commands); c++)
		if (strcmp(word, c->name) == 0)
			break;
	if (c == commands + NELEM(commands))
		return usage("no such command:", word);
	if (c->operand == OPERAND_NAME && a->what == NULL)
		return usage("a certificate's name is missing for", word);
	if (extra > (c->operand == OPERAND_NONE ? 0 : 1))
		return usage("too many arguments for", word);
	if (a->what != NULL && c->operand != OPERAND_FILE &&
	    c->operand != OPERAND_NONE && !str_is_name(a->what))
		return usage("not a certificate's name:", a->what);
	return c->run(ctl, a);
}

/* Whether c is one that asks for something of a command. */
static bool
take_flag(struct args *a, int c)
{
	bool *flag = c == 'j'   ? &a->json
		     : c == 'w' ? &a->watch
		     : c == 'W' ? &a->wait
		     : c == 'a' ? &a->all
		     : c == 'y' ? &a->yes
		     : c == 'r' ? &a->rehearse
				: NULL;

	if (flag != NULL)
		*flag = true;
	return flag != NULL;
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "watch", no_argument, NULL, 'w' },
		{ "wait", no_argument, NULL, 'W' },
		{ "all", no_argument, NULL, 'a' },
		{ "yes", no_argument, NULL, 'y' },
		{ "rehearse", no_argument, NULL, 'r' },
		{ "socket", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	struct ctl ctl = { .socket = SOCKET_DEFAULT,
		.colour = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL };
	struct args a = { 0 };
	const char *word = "help";
	struct err e;
	int c, r;

	while ((c = getopt_long(argc, argv, "s:hV", longs, NULL)) != -1) {
		if (c == 'h' || c == 'V')
			break;
		if (c == 's')
			ctl.socket = optarg;
		else if (!take_flag(&a, c))
			return EXIT_NO_ASK;
	}
	if (c == 'V')
		word = "version";
	else if (c == -1 && optind < argc)
		word = argv[optind++];
	else if (c == -1)
		return usage("a command is missing", "");
	a.what = c == -1 && optind < argc ? argv[optind] : NULL;
	ctl.loop = loop_new(&e);
	ctl.http = ctl.loop == NULL
		       ? NULL
		       : http_new(ctl.loop, "acmectl/" ACMED_VERSION, &e);
	if (ctl.http == NULL) {
		fprintf(stderr, "acmectl: %s\n", e.what);
		return EXIT_NO_ASK;
	}
	r = run(&ctl, word, &a, c == -1 ? argc - optind : 0);
	http_free(ctl.http);
	loop_free(ctl.loop);
	return r;
}
