/* SPDX-License-Identifier: ISC */
/* The commands, as one table. */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl/ctl.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/str.h"

#define SOCKET_DEFAULT "/run/acmed/acmed.sock"
#define WATCH_MS       2000

struct args {
	bool json, watch, wait, all;
	const char *name;
};

static int cmd_status(struct ctl *, const struct args *);
static int cmd_show(struct ctl *, const struct args *);
static int cmd_renew(struct ctl *, const struct args *);
static int cmd_reload(struct ctl *, const struct args *);
static int cmd_version(struct ctl *, const struct args *);
static int cmd_help(struct ctl *, const struct args *);

/* clang-format off */
static const struct command {
	const char *name, *options, *help;
	bool wants_name;
	int (*run)(struct ctl *, const struct args *);
} commands[] = {
	{ "status",  "[--json] [--watch] [--all]", "is all well; if not, what is wrong and what to do", false, cmd_status },
	{ "show",    "NAME [--json]",              "all that is known of one certificate",              true,  cmd_show },
	{ "renew",   "NAME [--wait]",              "renew now; --wait shows each step as it happens",   true,  cmd_renew },
	{ "reload",  "",                           "read the configuration again",                      false, cmd_reload },
	{ "version", "",                           "of acmectl, and of the daemon that runs",           false, cmd_version },
	{ "help",    "",                           "this",                                              false, cmd_help },
};
/* clang-format on */

static int
complain(const struct err *e)
{
	fprintf(stderr, "acmectl: %s\n", e->what);
	return EXIT_NO_ASK;
}

/* The daemon's own words for why not. */
static int
refused(const struct json *root, int status)
{
	const char *text = json_get_text(root, "error");

	fprintf(stderr, "acmectl: %s\n", text == NULL ? "refused" : text);
	return status == 403 || status == 404 ? EXIT_NO_ASK : EXIT_PERSON;
}

static int
print_json(const struct json *root)
{
	AUTO(buf_done) struct buf out = BUF_INIT(256u << 20);
	struct err e;

	if (json_dump(root, true, &out, &e) == -1)
		return complain(&e);
	puts(buf_str(&out));
	return EXIT_WELL;
}

static bool
healthy(const struct json *root)
{
	bool v;

	return json_opt_bool(root, "healthy", false, &v, NULL) == 0 && v;
}

static int
status_once(struct ctl *ctl, const struct args *a)
{
	AUTO(json_free) struct json *root = NULL;
	struct err e;
	int status;

	if (ctl_ask(ctl, "GET", a->all ? "/v1/certificates" : "/v1/status",
		&status, &root, &e) == -1)
		return complain(&e);
	if (status != 200)
		return refused(root, status);
	if (a->json && print_json(root) != EXIT_WELL)
		return EXIT_NO_ASK;
	if (a->watch && !a->json)
		fputs("\033[H\033[2J", stdout);
	if (!a->json)
		print_status(ctl, root);
	fflush(stdout);
	return healthy(root) ? EXIT_WELL : EXIT_PERSON;
}

static void
wake(void *arg)
{
	loop_stop(arg);
}

static int
cmd_status(struct ctl *ctl, const struct args *a)
{
	struct loop_timer *t;
	struct err e;
	int r = status_once(ctl, a);

	if (!a->watch || r == EXIT_NO_ASK)
		return r;
	t = loop_timer_new(ctl->loop, wake, ctl->loop, &e);
	if (t == NULL)
		return complain(&e);
	do {
		loop_timer_set(t, WATCH_MS);
		if (loop_run(ctl->loop, &e) == -1)
			break;
		r = status_once(ctl, a);
	} while (r != EXIT_NO_ASK);
	loop_timer_free(t);
	return r;
}

static int
ask_cert(struct ctl *ctl, const char *method, const char *name,
    const char *verb, struct json **root)
{
	AUTO(buf_done) struct buf path = BUF_INIT(1024);
	struct err e;
	int status;

	buf_printf(&path, "/v1/certificates/%s%s", name, verb);
	if (ctl_ask(ctl, method, buf_str(&path), &status, root, &e) == -1)
		return complain(&e);
	return status >= 300 ? refused(*root, status) : EXIT_WELL;
}

static int
cmd_show(struct ctl *ctl, const struct args *a)
{
	AUTO(json_free) struct json *root = NULL;
	int r = ask_cert(ctl, "GET", a->name, "", &root);

	if (r != EXIT_WELL)
		return r;
	if (a->json)
		return print_json(root);
	print_cert(ctl, root);
	return EXIT_WELL;
}

static int
begin_renew(struct ctl *ctl, const char *name)
{
	AUTO(json_free) struct json *root = NULL;

	return ask_cert(ctl, "POST", name, "/renew", &root);
}

static int
cmd_renew(struct ctl *ctl, const struct args *a)
{
	AUTO(json_free) struct json *root = NULL;
	int r = ask_cert(ctl, "GET", a->name, "", &root);

	if (r != EXIT_WELL)
		return r;
	if (a->wait)
		return ctl_follow(ctl, a->name,
		    json_get_array(root, "reload") != NULL, begin_renew);
	r = begin_renew(ctl, a->name);
	if (r == EXIT_WELL)
		printf("%s: renewal begun (acmectl status tells how it goes)\n",
		    a->name);
	return r;
}

static int
cmd_reload(struct ctl *ctl, const struct args *a)
{
	AUTO(json_free) struct json *root = NULL;
	const char *text;
	struct err e;
	int status;

	(void)a;
	if (ctl_ask(ctl, "POST", "/v1/reload", &status, &root, &e) == -1)
		return complain(&e);
	if (status != 200) {
		fputs("acmectl: the configuration is not good, the old one "
		      "stays in force:\n",
		    stderr);
		return refused(root, status);
	}
	text = json_get_text(root, "warnings");
	if (text != NULL)
		fputs(text, stderr);
	puts("configuration read again");
	return EXIT_WELL;
}

static int
cmd_version(struct ctl *ctl, const struct args *a)
{
	AUTO(json_free) struct json *root = NULL;
	const char *v = NULL;
	struct err e;
	int status;

	(void)a;
	printf("acmectl %s\n", ACMED_VERSION);
	if (ctl_ask(ctl, "GET", "/v1/status?limit=0", &status, &root, &e) == 0)
		v = json_get_text(root, "version");
	printf("acmed   %s\n", v == NULL ? "not reached" : v);
	return EXIT_WELL;
}

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
	if (c->wants_name && a->name == NULL)
		return usage("a certificate's name is missing for", word);
	if (extra > (c->wants_name ? 1 : 0))
		return usage("too many arguments for", word);
	if (a->name != NULL && !str_is_name(a->name))
		return usage("not a certificate's name:", a->name);
	return c->run(ctl, a);
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "watch", no_argument, NULL, 'w' },
		{ "wait", no_argument, NULL, 'W' },
		{ "all", no_argument, NULL, 'a' },
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
		if (c == 'j')
			a.json = true;
		else if (c == 'w')
			a.watch = true;
		else if (c == 'W')
			a.wait = true;
		else if (c == 'a')
			a.all = true;
		else if (c == 's')
			ctl.socket = optarg;
		else if (c == 'h' || c == 'V')
			break;
		else
			return EXIT_NO_ASK;
	}
	if (c == 'V')
		word = "version";
	else if (c == -1 && optind < argc)
		word = argv[optind++];
	else if (c == -1)
		return usage("a command is missing", "");
	a.name = c == -1 && optind < argc ? argv[optind] : NULL;
	ctl.loop = loop_new(&e);
	ctl.http = ctl.loop == NULL
		       ? NULL
		       : http_new(ctl.loop, "acmectl/" ACMED_VERSION, &e);
	if (ctl.http == NULL)
		return complain(&e);
	r = run(&ctl, word, &a, c == -1 ? argc - optind : 0);
	http_free(ctl.http);
	loop_free(ctl.loop);
	return r;
}
