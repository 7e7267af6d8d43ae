/* SPDX-License-Identifier: ISC */
/* What each command asks, and what it makes of the answers. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl/ctl.h"
#include "daemon/ctl/out.h"
#include "lib/base/cleanup.h"
#include "lib/base/str.h"
#include "lib/config/config.h"

#define WATCH_MS    2000
#define CONFIG_FILE "/etc/acmed.yaml"
#define PLAN_MAX    (32u << 20) /* that acmed takes */
#define ANSWER_LEN  16
#define METRICS_MAX (64u << 20)

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
	size_t len = text == NULL ? 0 : strlen(text);
	bool whole = len > 0 && text[len - 1] == '\n'; /* names its file */

	fputs(whole ? "" : "acmectl: ", stderr);
	out_lines(stderr, len == 0 ? "refused" : text);
	fputs(whole ? "" : "\n", stderr);
	return status == 403 || status == 404 || status == 409 ||
		       status == 413 || status == 503
		   ? EXIT_NO_ASK
		   : EXIT_PERSON;
}

static int
print_json(const struct json *root)
{
	AUTO(buf_done) struct buf out = BUF_INIT(256u << 20);
	struct err e;

	if (json_dump(root, true, &out, &e) == -1)
		return complain(&e);
	/* JSON escapes C0, but neither DEL nor C1 */
	out_lines(stdout, buf_str(&out));
	putchar('\n');
	return EXIT_WELL;
}

static void
clear_screen(void)
{
	fputs("\033[H\033[2J", stdout);
}

static int
status_once(struct ctl *ctl, const struct args *a)
{
	AUTO(json_free) struct json *root = NULL;
	struct err e;
	int status;

	if (a->what != NULL)
		return cmd_show(ctl, a);
	if (ctl_ask(ctl, "GET", a->all ? "/v1/certificates" : "/v1/status",
		NULL, &status, &root, &e) == -1)
		return complain(&e);
	if (status != 200)
		return refused(root, status);
	if (a->json && print_json(root) != EXIT_WELL)
		return EXIT_NO_ASK;
	if (a->watch && !a->json)
		clear_screen();
	if (!a->json)
		print_status(ctl, root);
	fflush(stdout);
	return json_get_bool(root, "healthy") ? EXIT_WELL : EXIT_PERSON;
}

static void
wake(void *arg)
{
	loop_stop(arg);
}

int
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
	if (ctl_ask(ctl, method, buf_str(&path), NULL, &status, root, &e) == -1)
		return complain(&e);
	return status >= 300 ? refused(*root, status) : EXIT_WELL;
}

int
cmd_show(struct ctl *ctl, const struct args *a)
{
	AUTO(json_free) struct json *root = NULL;
	int r = ask_cert(ctl, "GET", a->what, "", &root);

	if (r != EXIT_WELL)
		return r;
	if (a->json && print_json(root) != EXIT_WELL)
		return EXIT_NO_ASK;
	if (a->watch && !a->json)
		clear_screen();
	if (!a->json)
		print_cert(ctl, root);
	fflush(stdout);
	return out_is(root, "health", "bad") ? EXIT_PERSON : EXIT_WELL;
}

static int
begin_renew(struct ctl *ctl, const struct args *a)
{
	AUTO(json_free) struct json *root = NULL;
	int r = ask_cert(ctl, "POST", a->what, "/renew", &root);

	if (r != EXIT_WELL)
		return r;
	if (!a->wait)
		printf("%s: renewal begun (acmectl status tells how it goes)\n",
		    a->what);
	print_lifted(root);
	return r;
}

int
cmd_renew(struct ctl *ctl, const struct args *a)
{
	/* the first is the end when there is no reload command */
	static const struct ctl_end ends[] = {
		{ "certificate installed", EXIT_WELL },
		{ "certificate not issued", EXIT_PERSON },
		{ "installed without some of its names", EXIT_PERSON },
		{ "the certificate stays without some of its names",
		    EXIT_PERSON },
		{ "issuing has to wait", EXIT_PERSON },
		/* that may take days: nobody should sit and wait for it */
		{ "an order waits for a limit of the CA", EXIT_PERSON },
		{ "the new certificate is not valid by the clock of this host: "
		  "the old one stays until it is; look after the clock",
		    EXIT_PERSON },
		{ "reload failed", EXIT_PERSON },
		{ "reloaded", EXIT_WELL },
		{ NULL, 0 },
	};
	AUTO(json_free) struct json *root = NULL;
	int r = ask_cert(ctl, "GET", a->what, "", &root);

	if (r != EXIT_WELL)
		return r;
	if (a->wait)
		return ctl_follow(ctl, a,
		    json_get_array(root, "reload") == NULL ? ends : ends + 1,
		    begin_renew);
	return begin_renew(ctl, a);
}

static int
begin_check(struct ctl *ctl, const struct args *a)
{
	AUTO(json_free) struct json *root = NULL;

	return ask_cert(ctl, "POST", a->what,
	    a->rehearse ? "/check?rehearse=1" : "/check", &root);
}

int
cmd_check(struct ctl *ctl, const struct args *a)
{
	static const struct ctl_end ends[] = {
		{ "check passed", EXIT_WELL },
		{ "check failed", EXIT_PERSON },
		{ NULL, 0 },
	};

	return ctl_follow(ctl, a, ends, begin_check);
}

int
cmd_budget(struct ctl *ctl, const struct args *a)
{
	AUTO(json_free) struct json *root = NULL;
	struct err e;
	int status;

	if (ctl_ask(ctl, "GET", "/v1/budget", NULL, &status, &root, &e) == -1)
		return complain(&e);
	if (status != 200)
		return refused(root, status);
	if (a->json)
		return print_json(root);
	print_budget(ctl, root);
	return EXIT_WELL;
}

/* Whoever puts it into a file must know when that is not whole. */
int
cmd_metrics(struct ctl *ctl, const struct args *a)
{
	AUTO(buf_done) struct buf page = BUF_INIT(METRICS_MAX);
	AUTO(json_free) struct json *root = NULL;
	AUTO(free) char *text = NULL;
	struct err e;
	int status;

	if (ctl_text(ctl, a->all ? "/v1/metrics?limit=5000" : "/v1/metrics",
		&page, &status, &root, &e) == -1)
		return complain(&e);
	if (status != 200) {
		(void)refused(root, status);
		return EXIT_NO_ASK;
	}
	text = buf_take(&page);
	if (text == NULL) {
		(void)err_nomem(&e, "metrics");
		return complain(&e);
	}
	str_clean_lines(text);
	if (fputs(text, stdout) == EOF || fflush(stdout) == EOF) {
		(void)err_set(&e, ERR_SYS, errno, "cannot write");
		return complain(&e);
	}
	return EXIT_WELL;
}

/* The file and all that it includes, in one piece. */
static int
read_config(const char *file, struct buf *bundle)
{
	struct conf_report r;
	int rc;

	conf_report_init(&r);
	rc = conf_read(file, bundle, &r);
	fputs(buf_str(&r.errors), stderr);
	conf_report_done(&r);
	if (rc == 0 && !buf_ok(bundle)) {
		fprintf(stderr,
		    "acmectl: %s: larger than %u MiB with all it includes, "
		    "which is more than can be planned for\n",
		    file, PLAN_MAX >> 20);
		rc = -1;
	}
	return rc;
}

int
cmd_plan(struct ctl *ctl, const struct args *a)
{
	const char *file = a->what == NULL ? CONFIG_FILE : a->what;
	AUTO(buf_done) struct buf bundle = BUF_INIT(PLAN_MAX);
	AUTO(json_free) struct json *root = NULL;
	const char *text;
	struct err e;
	int status;

	if (read_config(file, &bundle) == -1)
		return EXIT_PERSON;
	if (ctl_ask(ctl, "POST", "/v1/plan", &bundle, &status, &root, &e) == -1)
		return complain(&e);
	if (status == 422)
		fprintf(stderr, "acmectl: %s is not good:\n", file);
	if (status != 200)
		return refused(root, status);
	text = json_get_text(root, "warnings");
	if (text != NULL)
		out_lines(stderr, text);
	if (a->json)
		return print_json(root);
	print_plan(ctl, root, file);
	return EXIT_WELL;
}

/* Only who sees the question can answer it. */
static bool
confirmed(void)
{
	char answer[ANSWER_LEN];

	fputs("Forget it? [y/N] ", stdout);
	fflush(stdout);
	if (fgets(answer, sizeof(answer), stdin) == NULL)
		answer[0] = '\0';
	return strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0;
}

static int
not_configured(struct ctl *ctl, const char *name)
{
	AUTO(buf_done) struct buf path = BUF_INIT(1024);
	AUTO(json_free) struct json *root = NULL;
	struct err e;
	int status;

	buf_printf(&path, "/v1/certificates/%s", name);
	if (ctl_ask(ctl, "GET", buf_str(&path), NULL, &status, &root, &e) == -1)
		return complain(&e);
	if (status == 404)
		return EXIT_WELL;
	if (status != 200)
		return refused(root, status);
	fprintf(stderr,
	    "acmectl: %s is in the configuration: take it out there, then: "
	    "acmectl reload\n",
	    name);
	return EXIT_NO_ASK;
}

/* What forgetting it means; EXIT_WELL: it may go on. */
static int
may_forget(struct ctl *ctl, const struct args *a)
{
	AUTO(json_free) struct json *root = NULL;
	struct err e;
	int status, r;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		fputs("acmectl: there is no terminal to ask on: say --yes if "
		      "you mean it\n",
		    stderr);
		return EXIT_NO_ASK;
	}
	r = not_configured(ctl, a->what);
	if (r != EXIT_WELL)
		return r;
	if (ctl_ask(ctl, "GET", "/v1/status?limit=0", NULL, &status, &root,
		&e) == -1)
		return complain(&e);
	if (status != 200)
		return refused(root, status);
	print_forget(ctl, root, a->what);
	if (confirmed())
		return EXIT_WELL;
	puts("Nothing has been changed.");
	return EXIT_PERSON;
}

int
cmd_forget(struct ctl *ctl, const struct args *a)
{
	AUTO(json_free) struct json *root = NULL;
	AUTO(free) char *path = NULL;
	int r;

	r = a->yes ? EXIT_WELL : may_forget(ctl, a);
	if (r == EXIT_WELL)
		r = ask_cert(ctl, "POST", a->what, "/forget", &root);
	if (r != EXIT_WELL)
		return r;
	path = out_text(root, "archived");
	if (path == NULL)
		printf("%s: forgotten; there were no files\n", a->what);
	else
		printf("%s: forgotten; its files and keys are in\n%s\n"
		       "until you delete them\n",
		    a->what, path);
	return EXIT_WELL;
}

int
cmd_reload(struct ctl *ctl, const struct args *a)
{
	AUTO(json_free) struct json *root = NULL;
	const char *text;
	struct err e;
	int status;

	(void)a;
	if (ctl_ask(ctl, "POST", "/v1/reload", NULL, &status, &root, &e) == -1)
		return complain(&e);
	if (status == 422)
		fputs("acmectl: the configuration is not good, the old one "
		      "stays in force:\n",
		    stderr);
	if (status != 200)
		return refused(root, status);
	text = json_get_text(root, "warnings");
	if (text != NULL)
		out_lines(stderr, text);
	puts("configuration read again");
	return EXIT_WELL;
}

int
cmd_version(struct ctl *ctl, const struct args *a)
{
	AUTO(json_free) struct json *root = NULL;
	AUTO(free) char *v = NULL;
	struct err e;
	int status;

	(void)a;
	printf("acmectl %s\n", ACMED_VERSION);
	if (ctl_ask(ctl, "GET", "/v1/status?limit=0", NULL, &status, &root,
		&e) == 0)
		v = out_text(root, "version");
	printf("acmed   %s\n", v == NULL ? "not reached" : v);
	return EXIT_WELL;
}
