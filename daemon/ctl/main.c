/* SPDX-License-Identifier: ISC */
/* The commands, as one table. */

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl/ctl.h"
#include "lib/base/cleanup.h"
#include "lib/base/str.h"

#define SOCKET_DEFAULT "/run/acmed/acmed.sock"
#define FLAG_FIRST     256 /* behind all characters */
#define FLAG_LEN       16

static int cmd_help(struct ctl *, const struct args *);

enum operand {
	OPERAND_NONE,
	OPERAND_NAME,
	OPERAND_ANY_NAME, /* may be left out */
	OPERAND_FILE,     /* the same */
	OPERAND_COMMAND,  /* the same */
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
	{ "metrics", "[--all]",                    "numbers for Prometheus",                                OPERAND_NONE, cmd_metrics },
	{ "plan",    "[FILE] [--json]",            "what a configuration would do, before it is loaded",    OPERAND_FILE, cmd_plan },
	{ "forget",  "NAME [--yes]",               "archive a certificate that is configured no longer",    OPERAND_NAME, cmd_forget },
	{ "reload",  "",                           "read the configuration again",                          OPERAND_NONE, cmd_reload },
	{ "version", "",                           "of acmectl, and of the daemon that runs",               OPERAND_NONE, cmd_version },
	{ "help",    "[COMMAND]",                  "this, or what one command takes",                       OPERAND_COMMAND, cmd_help },
};
/* clang-format on */

/* clang-format off */
static const struct flag {
	const char *name;
	size_t offset; /* of its bool in struct args */
} flags[] = {
	{ "json",     offsetof(struct args, json)     },
	{ "watch",    offsetof(struct args, watch)    },
	{ "wait",     offsetof(struct args, wait)     },
	{ "all",      offsetof(struct args, all)      },
	{ "yes",      offsetof(struct args, yes)      },
	{ "rehearse", offsetof(struct args, rehearse) },
};
/* clang-format on */

static bool *
flag_of(struct args *a, const struct flag *f)
{
	return (bool *)((char *)a + f->offset);
}

static const struct command *
find(const char *word)
{
	const struct command *c;

	for (c = commands; c < commands + NELEM(commands); c++)
		if (strcmp(word, c->name) == 0)
			return c;
	return NULL;
}

static int
usage(const char *why, const char *what)
{
	fprintf(stderr, "acmectl: %s%s%s: see \"acmectl help\"\n", why,
	    *what == '\0' ? "" : " ", what);
	return EXIT_NO_ASK;
}

static int
unknown(const char *word)
{
	const char *names[NELEM(commands)], *meant;
	size_t i;

	for (i = 0; i < NELEM(commands); i++)
		names[i] = commands[i].name;
	meant = str_closest(word, names, NELEM(commands));
	if (meant == NULL)
		return usage("no such command:", word);
	fprintf(stderr, "acmectl: no such command: %s, did you mean %s?\n",
	    word, meant);
	return EXIT_NO_ASK;
}

static void
print_command(const char *before, const struct command *c)
{
	printf("%s%s%s%s\n      %s\n", before, c->name,
	    *c->options == '\0' ? "" : " ", c->options, c->help);
}

static int
cmd_help(struct ctl *ctl, const struct args *a)
{
	const struct command *c;

	(void)ctl;
	if (a->what != NULL) {
		c = find(a->what);
		if (c == NULL)
			return unknown(a->what);
		print_command("usage: acmectl [-s SOCKET] ", c);
		puts("\nMore is in acmectl(1).");
		return EXIT_WELL;
	}
	puts("usage: acmectl [-s SOCKET] COMMAND\n");
	for (c = commands; c < commands + NELEM(commands); c++)
		print_command("  ", c);
	puts(
	    "\nExit status: 0 all is well, 1 something needs a person, 2 could "
	    "not ask.\nMore is in acmectl(1).");
	return EXIT_WELL;
}

/* Whether the command takes every option that was given. */
static const struct flag *
stray(const struct command *c, struct args *a)
{
	char option[FLAG_LEN];
	const struct flag *f;

	for (f = flags; f < flags + NELEM(flags); f++) {
		(void)snprintf(option, sizeof(option), "--%s", f->name);
		if (*flag_of(a, f) && strstr(c->options, option) == NULL)
			return f;
	}
	return NULL;
}

static int
run(struct ctl *ctl, const char *word, struct args *a, int extra)
{
	const struct command *c = find(word);
	const struct flag *f;

	if (c == NULL)
		return unknown(word);
	f = stray(c, a);
	if (f != NULL) {
		fprintf(stderr,
		    "acmectl: %s does not take --%s: see \"acmectl help %s\"\n",
		    word, f->name, word);
		return EXIT_NO_ASK;
	}
	if (c->operand == OPERAND_NAME && a->what == NULL)
		return usage("a certificate's name is missing for", word);
	if (extra > (c->operand == OPERAND_NONE ? 0 : 1))
		return usage("too many arguments for", word);
	if (a->what != NULL &&
	    (c->operand == OPERAND_NAME || c->operand == OPERAND_ANY_NAME) &&
	    !str_is_name(a->what))
		return usage("not a certificate's name:", a->what);
	return c->run(ctl, a);
}

/* Whoever asked has not been told. */
static int
end(int status)
{
	if (fflush(stdout) != EOF && !ferror(stdout))
		return status;
	perror("acmectl: standard output");
	return EXIT_NO_ASK;
}

struct options {
	const char *socket;
	bool help, version;
};

static int
read_options(int argc, char **argv, struct options *o, struct args *a)
{
	struct option longs[NELEM(flags) + 4] = { { 0 } };
	size_t n;
	int c;

	for (n = 0; n < NELEM(flags); n++)
		longs[n] = (struct option){ flags[n].name, no_argument, NULL,
			FLAG_FIRST + (int)n };
	longs[n++] = (struct option){ "socket", required_argument, NULL, 's' };
	longs[n++] = (struct option){ "help", no_argument, NULL, 'h' };
	longs[n] = (struct option){ "version", no_argument, NULL, 'V' };
	while ((c = getopt_long(argc, argv, "s:hV", longs, NULL)) != -1) {
		if (c == 's')
			o->socket = optarg;
		else if (c == 'h')
			o->help = true;
		else if (c == 'V')
			o->version = true;
		else if (c >= FLAG_FIRST)
			*flag_of(a, &flags[c - FLAG_FIRST]) = true;
		else
			return -1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	struct options o = { .socket = SOCKET_DEFAULT };
	struct ctl ctl = { .colour = isatty(STDOUT_FILENO) &&
				     getenv("NO_COLOR") == NULL };
	struct args a = { 0 };
	const char *word;
	struct err e;
	int r, extra;

	if (read_options(argc, argv, &o, &a) == -1) {
		fputs("acmectl: see \"acmectl help\"\n", stderr);
		return EXIT_NO_ASK;
	}
	word = optind < argc ? argv[optind++] : NULL;
	a.what = optind < argc ? argv[optind] : NULL;
	extra = argc - optind;
	if (o.help || o.version) {
		/* "acmectl renew --help" is "acmectl help renew" */
		a = (struct args){ .what = o.help ? word : NULL };
		word = o.help ? "help" : "version";
		extra = 0;
	}
	if (word == NULL)
		return usage("a command is missing", "");
	ctl.socket = o.socket;
	ctl.all = a.all;
	ctl.loop = loop_new(&e);
	ctl.http = ctl.loop == NULL
		       ? NULL
		       : http_new(ctl.loop, "acmectl/" ACMED_VERSION, &e);
	if (ctl.http == NULL) {
		fprintf(stderr, "acmectl: %s\n", e.what);
		return EXIT_NO_ASK;
	}
	r = end(run(&ctl, word, &a, extra));
	http_free(ctl.http);
	loop_free(ctl.loop);
	return r;
}
