/* SPDX-License-Identifier: ISC */
/* What a person reads, within 80 columns, colours only on a terminal. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl/ctl.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/str.h"

#define RED    "31"
#define GREEN  "32"
#define YELLOW "33"
#define BOLD   "1"
#define WIDTH  78

#define SPAN_MAX 48  /* "in 29 days" */
#define TEXT_MAX 160 /* what comes next, with its span */

/* Text of the daemon, made safe for a terminal; the caller frees. */
static char *
text(const struct json *o, const char *key)
{
	const char *value = json_get_text(o, key);
	char *copy = value == NULL ? NULL : strdup(value);

	if (copy != NULL)
		str_clean(copy);
	return copy;
}

static const char *
or_empty(const char *s)
{
	return s == NULL ? "" : s;
}

static int64_t
number(const struct json *o, const char *key)
{
	int64_t v;

	return o != NULL && json_opt_int(o, key, 0, &v, NULL) == 0 ? v : 0;
}

static bool
flag(const struct json *o, const char *key)
{
	bool v;

	return o != NULL && json_opt_bool(o, key, false, &v, NULL) == 0 && v;
}

static bool
has(const struct json *o, const char *key, const char *value)
{
	const char *v = json_get_text(o, key);

	return v != NULL && strcmp(v, value) == 0;
}

static void
colour(const struct ctl *ctl, const char *code)
{
	if (ctl->colour)
		printf("\033[%sm", code);
}

static void
plain(const struct ctl *ctl)
{
	if (ctl->colour)
		fputs("\033[0m", stdout);
}

/* "in 29 days", "5 h ago", "" */
static void
relative(const struct json *o, const char *key, char *out, size_t size)
{
	const char *value = json_get_text(o, key);
	char span[SPAN_MAX / 2];
	int64_t t, left;

	out[0] = '\0';
	if (value == NULL || clock_parse(value, &t) == -1)
		return;
	left = t - clock_now();
	str_ago(left < 0 ? -left : left, span, sizeof(span));
	if (left < 0)
		(void)snprintf(out, size, "%s ago", span);
	else
		(void)snprintf(out, size, "in %s", span);
}

/* The text folded at spaces, with an indent; a long URL is never broken. */
static void
fold(const char *s, int indent)
{
	size_t room = (size_t)(WIDTH - indent);
	size_t len, cut;

	while (*s != '\0') {
		len = strlen(s);
		cut = len;
		if (len > room) {
			for (cut = room; cut > 0 && s[cut] != ' '; cut--)
				continue;
			if (cut == 0)
				cut = strcspn(s, " ");
		}
		printf("%.*s\n", (int)cut, s);
		s += cut;
		while (*s == ' ')
			s++;
		if (*s != '\0')
			printf("%*s", indent, "");
	}
}

static void
line(const char *label, const char *value)
{
	if (value == NULL || *value == '\0')
		return;
	printf("  %-12s ", label);
	fold(value, 15);
}

static const char *
advice(const struct json *cert, const struct json *trouble)
{
	if (json_get_text(trouble, "url") != NULL)
		return "open the page above, then: acmectl renew NAME";
	if (json_get_text(trouble, "hint") != NULL)
		return json_get_text(trouble, "hint");
	if (json_get_object(cert, "deploy_trouble") == trouble)
		return "run the reload command by hand and mend what it says";
	return flag(trouble, "operator")
		   ? "mend the cause, then: acmectl renew NAME"
		   : "nothing yet: acmed tries again by itself";
}

static void
trouble(const struct ctl *ctl, const struct json *cert, const char *key)
{
	const struct json *t = json_get_object(cert, key);
	bool deploy = strcmp(key, "deploy_trouble") == 0;
	AUTO(free) char *name = text(cert, "name");
	AUTO(free) char *what = text(t, "text");
	AUTO(free) char *url = text(t, "url");
	AUTO(free) char *next = text(cert, "next");
	AUTO(free) char *should = NULL;
	char since[SPAN_MAX], at[SPAN_MAX], buf[TEXT_MAX];

	if (t == NULL)
		return;
	relative(t, "since", since, sizeof(since));
	relative(cert, "next_at", at, sizeof(at));
	putchar('\n');
	colour(ctl, has(cert, "health", "bad") ? RED : YELLOW);
	printf("%s", or_empty(name));
	plain(ctl);
	printf(": %s, %lld failed attempt%s, the last %s\n",
	    deploy ? "installed but not reloaded"
		   : (has(cert, "state", "none") ? "no certificate"
						 : "not renewed"),
	    (long long)number(t, "failures"),
	    number(t, "failures") == 1 ? "" : "s", since);
	line("error:", what);
	line("open:", url);
	(void)snprintf(buf, sizeof(buf), "%s %s", or_empty(next), at);
	line("acmed will:", buf);
	should = strdup(advice(cert, t));
	if (should != NULL)
		str_clean(should);
	line("you should:", should);
}

static void
row(const struct ctl *ctl, const struct json *c)
{
	AUTO(free) char *name = text(c, "name");
	AUTO(free) char *state = text(c, "state");
	AUTO(free) char *next = text(c, "next");
	AUTO(free) char *step = text(c, "step");
	char ends[SPAN_MAX], at[SPAN_MAX];
	bool bad = has(c, "health", "bad"), warn = has(c, "health", "warning");

	relative(c, "not_after", ends, sizeof(ends));
	relative(c, "next_at", at, sizeof(at));
	colour(ctl, bad ? RED : warn ? YELLOW : GREEN);
	printf("%s ", bad ? "!" : warn ? "~" : " ");
	plain(ctl);
	if (name != NULL && strlen(name) > 30)
		memcpy(name + 27, "...", 4);
	printf("%-30s %-9s %-14s %s %s\n", or_empty(name), or_empty(state),
	    *ends == '\0' ? "-" : ends, step != NULL ? step : or_empty(next),
	    step != NULL ? "" : at);
}

static void
verdict(const struct ctl *ctl, const struct json *root)
{
	const struct json *n = json_get_object(root, "counts");
	AUTO(free) char *version = text(root, "version");
	int64_t total = number(n, "certificates");
	bool well = flag(root, "healthy");

	colour(ctl, well ? GREEN : RED);
	printf("acmed %s: %lld certificate%s, %lld valid", or_empty(version),
	    (long long)total, total == 1 ? "" : "s",
	    (long long)number(n, "valid"));
	if (number(n, "busy") != 0)
		printf(", %lld under way", (long long)number(n, "busy"));
	if (number(n, "failing") != 0)
		printf(", %lld in trouble", (long long)number(n, "failing"));
	puts(well ? "." : ": something needs you.");
	plain(ctl);
	if (!flag(root, "clock_right"))
		puts("The clock of this machine is wrong: nothing is renewed "
		     "until it is right.");
	if (number(n, "unsaved") != 0)
		puts("The state folder cannot be written: look at its disk "
		     "and at acmed's log.");
}

static void
ca_trouble(const struct ctl *ctl, const struct json *ca)
{
	AUTO(free) char *name = text(ca, "name");
	AUTO(free) char *why = text(ca, "trouble");
	char at[SPAN_MAX];

	if (why == NULL)
		return;
	relative(ca, "next_at", at, sizeof(at));
	putchar('\n');
	colour(ctl, flag(ca, "stopped") ? RED : YELLOW);
	printf("CA %s", or_empty(name));
	plain(ctl);
	puts(": cannot be used now");
	line("error:", why);
	if (flag(ca, "stopped"))
		line("you should:", "mend the cause, then: acmectl reload");
	else
		printf("  acmed will:  ask again %s\n", at);
}

void
print_status(const struct ctl *ctl, const struct json *root)
{
	const struct json *certs = json_get_array(root, "certificates");
	const struct json *cas = json_get_array(root, "cas");
	size_t i, n = json_len(certs);

	verdict(ctl, root);
	if (n != 0) {
		putchar('\n');
		colour(ctl, BOLD);
		printf("  %-30s %-9s %-14s %s\n", "NAME", "STATE", "EXPIRES",
		    "NEXT");
		plain(ctl);
	}
	for (i = 0; i < n; i++)
		row(ctl, json_at(certs, i));
	if (number(root, "not_shown") != 0)
		printf("  ... and %lld more, none of them worse "
		       "(acmectl status --all, up to 5000)\n",
		    (long long)number(root, "not_shown"));
	for (i = 0; i < json_len(cas); i++)
		ca_trouble(ctl, json_at(cas, i));
	for (i = 0; i < n; i++) {
		trouble(ctl, json_at(certs, i), "trouble");
		trouble(ctl, json_at(certs, i), "deploy_trouble");
	}
}

/* "2026-11-23T15:04:05Z (in 5 h)" */
static void
instant(const struct json *o, const char *label, const char *key)
{
	AUTO(free) char *value = text(o, key);
	char ago[SPAN_MAX], buf[TEXT_MAX];

	if (value == NULL)
		return;
	relative(o, key, ago, sizeof(ago));
	(void)snprintf(buf, sizeof(buf), "%s (%s)", value, ago);
	line(label, buf);
}

static void
words(const struct json *o, const char *label, const char *key)
{
	const struct json *list = json_get_array(o, key);
	AUTO(buf_done) struct buf all = BUF_INIT(65536);
	size_t i;

	for (i = 0; i < json_len(list); i++)
		buf_printf(&all, "%s%s", i == 0 ? "" : " ",
		    or_empty(json_text(json_at(list, i))));
	if (buf_ok(&all) && all.len != 0) {
		str_clean(all.data);
		line(label, all.data);
	}
}

void
print_cert(const struct ctl *ctl, const struct json *c)
{
	static const struct {
		const char *label, *key;
	} before[] = { { "state:", "state" }, { "step:", "step" },
		{ "CA:", "ca" }, { "key type:", "key_type" },
		{ "issuer:", "issuer" }, { "serial:", "serial" },
		{ "key:", "key_id" }, { "account:", "account" },
		{ "files:", "dir" }, { "reload:", "deploy" },
		{ "order:", "order" } };
	AUTO(free) char *name = text(c, "name");
	AUTO(free) char *next = text(c, "next");
	size_t i;

	colour(ctl, BOLD);
	printf("%s\n", or_empty(name));
	plain(ctl);
	words(c, "names:", "names");
	for (i = 0; i < NELEM(before); i++) {
		AUTO(free) char *value = text(c, before[i].key);

		line(before[i].label, value);
	}
	words(c, "command:", "reload");
	instant(c, "issued:", "not_before");
	instant(c, "installed:", "installed_at");
	instant(c, "expires:", "not_after");
	line("next:", next);
	instant(c, "next at:", "next_at");
	trouble(ctl, c, "trouble");
	trouble(ctl, c, "deploy_trouble");
}

struct event_print {
	bool first;
};

static void
event_member(void *arg, const char *key, const struct json *v)
{
	const char *skip[] = { "time", "level", "event", "cert" };
	struct event_print *p = arg;
	AUTO(free) char *copy = NULL;
	int64_t n;
	size_t i;

	for (i = 0; i < NELEM(skip); i++)
		if (strcmp(key, skip[i]) == 0)
			return;
	if (json_text(v) != NULL) {
		if (*json_text(v) == '\0')
			return;
		copy = strdup(json_text(v));
		if (copy != NULL)
			str_clean(copy);
		printf("%s%s %s", p->first ? ": " : ", ", key, or_empty(copy));
	} else if (json_number(v, &n) == 0) {
		printf("%s%s %lld", p->first ? ": " : ", ", key, (long long)n);
	} else {
		return;
	}
	p->first = false;
}

void
print_event(const struct ctl *ctl, const struct json *o)
{
	AUTO(free) char *event = text(o, "event");
	AUTO(free) char *time = text(o, "time");
	struct event_print p = { .first = true };
	bool bad = has(o, "level", "error"), warn = has(o, "level", "warn");

	if (strcmp(or_empty(event), "exchange") == 0)
		return;
	printf("%s ", or_empty(time));
	if (bad || warn)
		colour(ctl, bad ? RED : YELLOW);
	printf("%s", or_empty(event));
	plain(ctl);
	json_each(o, event_member, &p);
	putchar('\n');
	fflush(stdout);
}
