/* SPDX-License-Identifier: ISC */
/* How things stand, for a person: the whole, and one certificate. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl/ctl.h"
#include "daemon/ctl/out.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/str.h"

#define NAME_WIDTH       30
#define NEXT_WIDTH       21
#define LIMITS_MAX       5
#define LIFTED_MAX       4096
#define UNCONFIGURED_MAX 20
#define VERDICT_MAX      8192
#define WORDS_SHOWN      20 /* certificates of which more is told */
#define WELL_SHOWN       20 /* that are well, of very many */

/* The character in front of a certificate, and its colour. */
static char
mark(const struct json *c, const char **colour)
{
	if (out_is(c, "alarm", "critical") || out_is(c, "health", "bad")) {
		*colour = OUT_RED;
		return '!';
	}
	if (out_is(c, "alarm", "warning") || out_is(c, "health", "warning")) {
		*colour = OUT_YELLOW;
		return '~';
	}
	*colour = OUT_GREEN;
	return ' ';
}

static void
heading(const struct ctl *ctl, const struct json *cert)
{
	AUTO(free) char *name = out_text(cert, "name");
	const char *colour;

	putchar('\n');
	/* what has a heading is not green */
	out_colour(ctl, mark(cert, &colour) == '!' ? OUT_RED : OUT_YELLOW);
	fputs(out_or_empty(name), stdout);
	out_plain(ctl);
}

/* Its CA is in trouble as a whole, of which is told once. */
static bool
waits_for_ca(const struct json *cert)
{
	return out_is(cert, "next", "wait for the CA") ||
	       out_is(cert, "next", "wait for you");
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
	if (out_is(cert, "next", "wait for you"))
		return "mend the cause, then: acmectl reload";
	return json_get_bool(trouble, "operator")
		   ? "mend the cause, then: acmectl renew NAME"
		   : "nothing yet: acmed tries again by itself";
}

static bool
alarming(const struct json *cert)
{
	return out_is(cert, "alarm", "warning") ||
	       out_is(cert, "alarm", "critical");
}

static void
alarm_line(const struct json *cert)
{
	AUTO(free) char *level = out_text(cert, "alarm");
	char ends[OUT_SPAN], buf[OUT_TEXT];

	out_relative(cert, "not_after", ends, sizeof(ends));
	if (!alarming(cert))
		return;
	(void)snprintf(buf, sizeof(buf), "%.16s: %s%s", level,
	    *ends == '\0'                 ? "there is none"
	    : strstr(ends, "ago") != NULL ? "it expired "
					  : "it expires ",
	    ends);
	out_line("alarm:", buf);
}

static void
next_line(const struct json *cert)
{
	/* what is waited for, and what is done when that is over */
	static const char *const then[][2] = {
		{ "wait for the CA", "ask the CA again" },
		{ "wait for a limit of the CA", "order it" },
	};
	AUTO(free) char *next = out_text(cert, "next");
	int64_t waited = json_get_int(cert, "waited_s");
	char at[OUT_SPAN], buf[OUT_TEXT], so_far[OUT_SPAN];
	const char *what = NULL;
	size_t i;

	out_relative(cert, "next_at", at, sizeof(at));
	for (i = 0; *at != '\0' && i < NELEM(then); i++)
		if (out_is(cert, "next", then[i][0]))
			what = then[i][1];
	str_ago(waited, so_far, sizeof(so_far));
	(void)snprintf(buf, sizeof(buf), "%s%s%s%s%s",
	    what != NULL ? what : out_or_empty(next), *at == '\0' ? "" : " ",
	    at, waited < 60 ? "" : ", so far for ", waited < 60 ? "" : so_far);
	out_line("acmed will:", buf);
}

/* Who is asked; and who was, when that was another. */
static void
ca_line(const struct json *cert, bool always)
{
	AUTO(free) char *ca = out_text(cert, "ca");
	AUTO(free) char *by = out_text(cert, "issued_by");
	AUTO(free) char *instead = out_text(cert, "instead");
	char buf[OUT_TEXT];
	bool other = ca != NULL && by != NULL && strcmp(ca, by) != 0;
	const struct json *list = json_get_array(cert, "passed_over");
	size_t i;

	if (other) {
		(void)snprintf(buf, sizeof(buf),
		    "%.64s now; what is installed is from %.64s", ca, by);
		out_line("CA:", buf);
	} else if (always) {
		out_line("CA:", ca);
	}
	out_line("instead:", instead);
	for (i = 0; i < json_len(list); i++) {
		AUTO(free) char *name = out_text(json_at(list, i), "ca");
		AUTO(free) char *why = out_text(json_at(list, i), "text");

		(void)snprintf(buf, sizeof(buf), "%.64s, which %.110s",
		    out_or_empty(name), out_or_empty(why));
		out_line("passed over:", buf);
	}
}

/* more: others, of which the same is true. */
static void
trouble(const struct ctl *ctl, const struct json *cert, const char *key,
    size_t more)
{
	const struct json *t = json_get_object(cert, key);
	bool deploy = strcmp(key, "deploy_trouble") == 0;
	AUTO(free) char *waits = out_text(cert, "waiting_for");
	int64_t failures = json_get_int(t, "failures");
	char last[OUT_SPAN], n[OUT_COUNT];

	if (t == NULL)
		return;
	out_relative(t, "at", last, sizeof(last));
	heading(ctl, cert);
	if (more != 0)
		printf(" and %s more", out_count((int64_t)more, n));
	printf(": %s", deploy ? "installed but not reloaded"
		       : json_get_text(cert, "not_after") == NULL
			   ? "no certificate"
			   : "not renewed");
	if (failures != 0)
		printf(", %lld failed attempt%s%s%s", (long long)failures,
		    failures == 1 ? "" : "s",
		    *last == '\0'   ? ""
		    : failures == 1 ? ", "
				    : ", the last ",
		    last);
	putchar('\n');
	if (failures != 1)
		out_instant(t, "since:", "since");
	alarm_line(cert);
	out_said("error:", json_get_text(t, "text"), json_get_text(t, "url"));
	out_words(t, "command:", "command");
	ca_line(cert, false);
	out_line("waiting for:", waits);
	next_line(cert);
	out_advice("you should:", json_get_text(cert, "name"), advice(cert, t));
}

static void
replace(const struct ctl *ctl, const struct json *cert)
{
	const struct json *r = json_get_object(cert, "replace");
	AUTO(free) char *url = out_text(r, "url");
	char since[OUT_SPAN];

	if (r == NULL)
		return;
	out_relative(r, "since", since, sizeof(since));
	heading(ctl, cert);
	printf(": the CA wants it replaced%s%s\n",
	    *since == '\0' ? "" : ", since ", since);
	out_line("open:", url);
	next_line(cert);
	out_line("you should:",
	    url == NULL ? "see to it that it is renewed soon"
			: "read there why, and see to it that it is renewed "
			  "soon");
}

/* Its certificate is without some of its names. */
static void
left_out(const struct ctl *ctl, const struct json *cert)
{
	const struct json *list = json_get_array(cert, "left_out");
	int64_t n = json_get_int(cert, "left_out_count");
	char buf[OUT_TEXT], since[OUT_SPAN], again[OUT_SPAN];
	bool page = false;
	size_t i;

	if (list == NULL)
		return;
	heading(ctl, cert);
	printf(": without %lld of its %lld names, which fail\n", (long long)n,
	    (long long)json_get_int(cert, "names_count"));
	for (i = 0; i < json_len(list); i++) {
		const struct json *one = json_at(list, i);
		const char *text = json_get_text(one, "text");
		AUTO(buf_done) struct buf line = BUF_INIT(LIFTED_MAX);

		out_relative(one, "since", since, sizeof(since));
		buf_printf(&line, "%s%s%s: %s",
		    out_or_empty(json_get_text(one, "name")),
		    *since == '\0' ? "" : ", since ", since,
		    text == NULL ? "it is not known why" : text);
		out_said(
		    "left out:", buf_str(&line), json_get_text(one, "url"));
		page = page || json_get_text(one, "url") != NULL;
	}
	if (n > (int64_t)json_len(list)) {
		(void)snprintf(buf, sizeof(buf), "... and %lld more",
		    (long long)(n - (int64_t)json_len(list)));
		out_line("left out:", buf);
	}
	out_relative(cert, "left_out_tried_again", again, sizeof(again));
	(void)snprintf(buf, sizeof(buf), "try all names again %s", again);
	out_line("acmed will:", buf);
	out_advice("you should:", json_get_text(cert, "name"),
	    page ? "mend these names, open the page above, then: acmectl renew "
		   "NAME; or remove them from the configuration"
		 : "mend these names, then: acmectl renew NAME; or remove them "
		   "from the configuration");
}

/* Nothing has failed, but time runs out. */
static void
late(const struct ctl *ctl, const struct json *cert)
{
	AUTO(free) char *waits = out_text(cert, "waiting_for");

	if (!alarming(cert) || json_get_object(cert, "trouble") != NULL ||
	    json_get_object(cert, "deploy_trouble") != NULL ||
	    json_get_object(cert, "replace") != NULL)
		return;
	heading(ctl, cert);
	puts(json_get_text(cert, "not_after") == NULL ? ": no certificate yet"
						      : ": not renewed yet");
	alarm_line(cert);
	ca_line(cert, false);
	out_line("waiting for:", waits);
	next_line(cert);
	out_advice("you should:", json_get_text(cert, "name"),
	    waits != NULL ? "see what is left: acmectl budget"
			  : "see how it goes: acmectl renew NAME --wait");
}

/* What comes next, where there is little room. */
static const char *
brief(const char *next)
{
	static const struct {
		const char *next, *brief;
	} words[] = {
		{ "wait for the CA", "the CA," },
		{ "wait for the clock to be right", "wait for the clock" },
		{ "try out at the test CA", "rehearse" },
		{ "try all names again", "all names" },
		{ "run the reload command", "reload" },
		{ "run the reload command again", "reload" },
	};
	size_t i;

	for (i = 0; i < NELEM(words); i++)
		if (strcmp(next, words[i].next) == 0)
			return words[i].brief;
	return next;
}

static void
row(const struct ctl *ctl, const struct json *c)
{
	AUTO(free) char *name = out_text(c, "name");
	AUTO(free) char *state = out_text(c, "state");
	AUTO(free) char *next = out_text(c, "next");
	AUTO(free) char *step = out_text(c, "step");
	char ends[OUT_SPAN], at[OUT_SPAN], what[OUT_TEXT];
	const char *colour;
	char sign = mark(c, &colour);

	out_relative(c, "not_after", ends, sizeof(ends));
	out_relative(c, "next_at", at, sizeof(at));
	if (step != NULL) {
		(void)snprintf(what, sizeof(what), "%s", step);
		out_cut(what, NEXT_WIDTH);
	} else if (json_get_text(c, "waiting_for") != NULL) {
		(void)snprintf(what, sizeof(what), "limit, %s",
		    *at == '\0' ? "for now" : at);
	} else {
		(void)snprintf(
		    what, sizeof(what), "%s", brief(out_or_empty(next)));
		out_cut(what, NEXT_WIDTH - 1 - strlen(at));
		(void)snprintf(what + strlen(what), sizeof(what) - strlen(what),
		    "%s%s", *at == '\0' ? "" : " ", at);
	}
	if (name != NULL)
		out_cut(name, NAME_WIDTH);
	out_colour(ctl, colour);
	printf("%c ", sign);
	out_plain(ctl);
	printf("%-*s %-10s %-14s %s\n", NAME_WIDTH, out_or_empty(name),
	    out_or_empty(state), *ends == '\0' ? "-" : ends, what);
}

/* "312 of 10,000 done, 8 running, 9,680 waiting, about 4 days to go." */
static void
progress(const struct json *root)
{
	const struct json *q = json_get_object(root, "queue");
	int64_t done = json_get_int(q, "done"),
		running = json_get_int(q, "running");
	int64_t waiting = json_get_int(q, "waiting");
	int64_t limited = json_get_int(q, "limited");
	char a[OUT_COUNT], b[OUT_COUNT], c[OUT_COUNT], d[OUT_COUNT];
	char ends[OUT_SPAN];

	if (running + waiting < 2)
		return;
	printf("%s of %s done, %s running, %s waiting", out_count(done, a),
	    out_count(done + running + waiting, b), out_count(running, c),
	    out_count(waiting, d));
	out_relative(q, "ends", ends, sizeof(ends));
	if (strncmp(ends, "in ", 3) == 0)
		printf(", about %s to go", ends + 3);
	puts(".");
	if (limited != 0)
		printf("Of these %s wait for a limit of the CA.\n",
		    out_count(limited, a));
}

static void
wrong_clock(const struct json *root)
{
	AUTO(free) char *now = out_text(root, "now");
	AUTO(free) char *saved = out_text(root, "state_saved");

	if (json_get_bool(root, "clock_right"))
		return;
	puts("The clock of this machine is wrong: nothing is renewed until it "
	     "is right, or a\nCA confirms it.");
	if (now != NULL && saved != NULL)
		printf("It shows %s, but acmed's state was saved at\n%s.\n",
		    now, saved);
	else if (now != NULL)
		printf("It shows %s.\n", now);
	out_line("you should:",
	    "set it, and see why it was wrong (timedatectl); acmed goes on by "
	    "itself");
}

static void
refused(const struct ctl *ctl, const struct json *root)
{
	const struct json *r = json_get_object(root, "config_refused");
	AUTO(free) char *error = out_text(r, "error");
	AUTO(free) char *hint = out_text(r, "hint");
	int64_t more = json_get_int(r, "errors") - 1;
	char at[OUT_SPAN], loaded[OUT_SPAN], n[OUT_COUNT], buf[OUT_TEXT];

	if (r == NULL)
		return;
	out_relative(r, "at", at, sizeof(at));
	out_relative(root, "config_loaded", loaded, sizeof(loaded));
	out_colour(ctl, OUT_RED);
	fputs("The configuration was refused", stdout);
	out_plain(ctl);
	printf("%s%s; %s%s\n", *at == '\0' ? "" : " ", at,
	    *loaded == '\0' ? "an older one is in force"
			    : "in force is the one read ",
	    loaded);
	out_instant(r, "since:", "since");
	out_line("error:", error);
	(void)snprintf(buf, sizeof(buf), "%s more", out_count(more, n));
	out_line("", more > 0 ? buf : NULL);
	out_line("you should:", hint);
}

static void
verdict(const struct ctl *ctl, const struct json *root)
{
	const struct json *n = json_get_object(root, "counts");
	AUTO(free) char *version = out_text(root, "version");
	int64_t total = json_get_int(n, "certificates");
	bool well = json_get_bool(root, "healthy");
	AUTO(buf_done) struct buf line = BUF_INIT(VERDICT_MAX);
	char num[OUT_COUNT];

	buf_printf(&line, "acmed %s: %s certificate%s", out_or_empty(version),
	    out_count(total, num), total == 1 ? "" : "s");
	buf_printf(
	    &line, ", %s valid", out_count(json_get_int(n, "valid"), num));
	if (json_get_int(n, "busy") != 0)
		buf_printf(&line, ", %s under way",
		    out_count(json_get_int(n, "busy"), num));
	if (json_get_int(n, "failing") != 0)
		buf_printf(&line, ", %s in trouble",
		    out_count(json_get_int(n, "failing"), num));
	buf_puts(&line, well ? "." : ": something needs you.");
	out_colour(ctl, well ? OUT_GREEN : OUT_RED);
	out_fold(buf_str(&line), 2);
	out_plain(ctl);
	progress(root);
	wrong_clock(root);
	refused(ctl, root);
	if (json_get_int(n, "unsaved") != 0)
		puts("The state folder cannot be written: look at its disk "
		     "and at acmed's log.");
}

static void
ca_trouble(const struct ctl *ctl, const struct json *ca)
{
	AUTO(free) char *name = out_text(ca, "name");
	const char *why = json_get_text(ca, "trouble");
	AUTO(free) char *hint = out_text(ca, "hint");
	int64_t queued = json_get_int(ca, "queued");
	char at[OUT_SPAN], n[OUT_COUNT], buf[OUT_TEXT];

	if (why == NULL)
		return;
	out_relative(ca, "next_at", at, sizeof(at));
	putchar('\n');
	out_colour(ctl, json_get_bool(ca, "stopped") ? OUT_RED : OUT_YELLOW);
	printf("CA %s", out_or_empty(name));
	out_plain(ctl);
	puts(": cannot be used now");
	out_instant(ca, "since:", "since");
	out_said("error:", why, json_get_text(ca, "url"));
	(void)snprintf(buf, sizeof(buf), "%s certificate%s",
	    out_count(queued, n), queued == 1 ? "" : "s");
	out_line("waiting:", queued == 0 ? NULL : buf);
	(void)snprintf(buf, sizeof(buf), "ask again %s", at);
	out_line("acmed will:", json_get_bool(ca, "stopped")
				    ? "wait for you, and not ask it"
				    : buf);
	out_line(
	    "you should:", hint != NULL ? hint
			   : json_get_bool(ca, "stopped")
			       ? "mend the cause, then: acmectl reload"
			       : "nothing yet: acmed asks again by itself");
}

/* How many of those shown wait for the same as number i; 0: told before. */
static size_t
same_limit(const struct json *certs, size_t i, const char *text)
{
	size_t j, n = 0;

	for (j = 0; j < json_len(certs); j++) {
		if (!out_is(json_at(certs, j), "waiting_for", text))
			continue;
		if (j < i)
			return 0;
		n++;
	}
	return n;
}

/* all: there are no others than those shown. */
static void
limits(const struct ctl *ctl, const struct json *certs, bool all)
{
	size_t i, n, told = 0;

	for (i = 0; i < json_len(certs) && told < LIMITS_MAX; i++) {
		AUTO(free)
		char *text = out_text(json_at(certs, i), "waiting_for");
		const char *raw =
		    json_get_text(json_at(certs, i), "waiting_for");

		if (text == NULL || (n = same_limit(certs, i, raw)) == 0)
			continue;
		if (told++ == 0) {
			putchar('\n');
			out_title(ctl, "Waiting for a limit (acmectl budget):");
		}
		printf("  %4zu%c ", n, all ? ' ' : '+');
		out_fold(text, 8);
	}
}

static void
unconfigured(const struct ctl *ctl, const struct json *root)
{
	const struct json *list = json_get_array(root, "unconfigured");
	size_t i, n = json_len(list);

	if (n == 0)
		return;
	putchar('\n');
	out_title(ctl, "No longer in the configuration, kept, not renewed:");
	for (i = 0; i < n && i < UNCONFIGURED_MAX; i++) {
		const struct json *c = json_at(list, i);
		AUTO(free) char *name = out_text(c, "name");
		AUTO(free) char *ca = out_text(c, "ca");
		char ends[OUT_SPAN];

		out_relative(c, "not_after", ends, sizeof(ends));
		if (name != NULL)
			out_cut(name, NAME_WIDTH);
		printf("  %-*s %-10s ", NAME_WIDTH, out_or_empty(name),
		    *ends == '\0'                 ? "none"
		    : strstr(ends, "ago") != NULL ? "expired"
						  : "valid");
		if (ca == NULL)
			puts(*ends == '\0' ? "-" : ends);
		else
			printf("%-14s %s\n", *ends == '\0' ? "-" : ends, ca);
	}
	if (i < n)
		printf("  ... and %zu more\n", n - i);
	puts("  acmectl forget NAME archives one.");
}

static bool
same_words(const struct json *a, const struct json *b)
{
	size_t i;

	for (i = 0; i < json_len(a) && i < json_len(b); i++)
		if (strcmp(out_or_empty(json_text(json_at(a, i))),
			out_or_empty(json_text(json_at(b, i)))) != 0)
			return false;
	return json_len(a) == json_len(b);
}

/* Of how many of those shown the same run of a command has failed as of number
 * i, itself included; 0: of none, or that was told with one before. */
static size_t
same_reload(const struct json *certs, size_t i)
{
	const struct json *t =
	    json_get_object(json_at(certs, i), "deploy_trouble");
	const char *text = json_get_text(t, "text");
	size_t j, n = 0;

	for (j = 0; text != NULL && j < json_len(certs); j++) {
		const struct json *o =
		    json_get_object(json_at(certs, j), "deploy_trouble");

		if (o == NULL || !out_is(o, "text", text) ||
		    !same_words(json_get_array(o, "command"),
			json_get_array(t, "command")))
			continue;
		if (j < i)
			return 0;
		n++;
	}
	return n;
}

/* Whether the table's line does not say all. */
static bool
needs_words(const struct json *cert)
{
	if (json_get_object(cert, "replace") != NULL ||
	    json_get_array(cert, "left_out") != NULL || alarming(cert))
		return true;
	return json_get_object(cert, "trouble") != NULL && !waits_for_ca(cert);
}

static void
words(const struct ctl *ctl, const struct json *certs)
{
	size_t i, n = json_len(certs), told = 0, more = 0;
	char num[OUT_COUNT];

	for (i = 0; i < n; i++) {
		const struct json *c = json_at(certs, i);
		size_t alike = same_reload(certs, i);

		if (alike == 0 && !needs_words(c))
			continue;
		if (told == WORDS_SHOWN && !ctl->all) {
			more++;
			continue;
		}
		told++;
		if (!waits_for_ca(c) || alarming(c))
			trouble(ctl, c, "trouble", 0);
		if (alike != 0)
			trouble(ctl, c, "deploy_trouble", alike - 1);
		left_out(ctl, c);
		replace(ctl, c);
		late(ctl, c);
	}
	if (more != 0)
		printf("\n... and %s more (acmectl show NAME, or acmectl "
		       "status --all)\n",
		    out_count((int64_t)more, num));
}

static void
table_head(const struct ctl *ctl)
{
	putchar('\n');
	out_colour(ctl, OUT_BOLD);
	printf("  %-*s %-10s %-14s %s\n", NAME_WIDTH, "NAME", "STATE",
	    "EXPIRES", "NEXT");
	out_plain(ctl);
}

/* Of so many that not all can be shown: those that something is wrong with,
 * which come first, and some of the others. */
static size_t
worth_a_row(const struct json *certs)
{
	size_t i, well = 0;
	const char *colour;

	for (i = 0; i < json_len(certs) && well < WELL_SHOWN; i++)
		well += mark(json_at(certs, i), &colour) == ' ';
	return i;
}

void
print_status(const struct ctl *ctl, const struct json *root)
{
	const struct json *certs = json_get_array(root, "certificates");
	const struct json *cas = json_get_array(root, "cas");
	int64_t hidden = json_get_int(root, "not_shown");
	bool all = hidden == 0;
	size_t i, n = json_len(certs);
	char num[OUT_COUNT];

	verdict(ctl, root);
	if (n != 0)
		table_head(ctl);
	n = all || ctl->all ? n : worth_a_row(certs);
	for (i = 0; i < n; i++)
		row(ctl, json_at(certs, i));
	hidden += (int64_t)(json_len(certs) - n);
	if (hidden != 0)
		printf("  ... and %s more, none of them worse (acmectl status "
		       "--all, up to 5000)\n",
		    out_count(hidden, num));
	limits(ctl, certs, all);
	unconfigured(ctl, root);
	for (i = 0; i < json_len(cas); i++)
		ca_trouble(ctl, json_at(cas, i));
	words(ctl, certs);
}

static void
labelled(const struct json *c, const char *const (*pairs)[2], size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		AUTO(free) char *value = out_text(c, pairs[i][1]);

		out_line(pairs[i][0], value);
	}
}

static const char *
reload_state(const struct json *cert)
{
	if (json_get_array(cert, "reload") == NULL)
		return "no command is configured";
	return out_is(cert, "deploy", "done")   ? "done"
	       : out_is(cert, "deploy", "none") ? NULL
						: "due";
}

void
print_cert(const struct ctl *ctl, const struct json *c)
{
	static const char *const first[][2] = { { "state:", "state" },
		{ "step:", "step" } };
	static const char *const second[][2] = { { "key type:", "key_type" },
		{ "issuer:", "issuer" }, { "serial:", "serial" },
		{ "key:", "key_id" }, { "account:", "account" },
		{ "files:", "dir" }, { "order:", "order" } };
	static const char *const third[][2] = { { "restored:", "restored" } };
	AUTO(free) char *name = out_text(c, "name");
	AUTO(free) char *next = out_text(c, "next");
	AUTO(free) char *waits = out_text(c, "waiting_for");
	const struct json *window = json_get_object(c, "window");
	AUTO(free) char *url = out_text(window, "url");

	out_title(ctl, out_or_empty(name));
	out_words(c, "names:", "names");
	labelled(c, first, NELEM(first));
	if (json_get_bool(c, "rehearsing"))
		out_line("rehearsal:",
		    "at the CA's test directory: nothing is installed");
	ca_line(c, true);
	labelled(c, second, NELEM(second));
	out_words(c, "command:", "reload");
	if (json_get_text(c, "deploy") != NULL)
		out_line("reload:", reload_state(c));
	out_instant(c, "issued:", "not_before");
	out_instant(c, "installed:", "installed_at");
	out_instant(c, "expires:", "not_after");
	out_instant(window, "CA's window:", "start");
	out_instant(window, "until:", "end");
	if (json_get_object(c, "replace") == NULL)
		out_line("CA says why:", url);
	alarm_line(c);
	labelled(c, third, NELEM(third));
	out_instant(c, "restored at:", "restored_at");
	out_line("waiting for:", waits);
	out_line("next:", next);
	out_instant(c, "next at:", "next_at");
	trouble(ctl, c, "trouble", 0);
	trouble(ctl, c, "deploy_trouble", 0);
	left_out(ctl, c);
	replace(ctl, c);
}

/* What forgetting a certificate means, told before it is asked for. */
void
print_forget(const struct ctl *ctl, const struct json *root, const char *name)
{
	const struct json *list = json_get_array(root, "unconfigured");
	char ends[OUT_SPAN] = "";
	size_t i;

	for (i = 0; i < json_len(list); i++)
		if (out_is(json_at(list, i), "name", name))
			out_relative(
			    json_at(list, i), "not_after", ends, sizeof(ends));
	out_title(ctl, name);
	if (strncmp(ends, "in ", 3) == 0)
		printf("  Its certificate is valid: it expires %s.\n", ends);
	else if (*ends != '\0')
		printf("  Its certificate has expired %s.\n", ends);
	puts("  It leaves live/, so that a service that still reads it there "
	     "fails at its\n  next start or reload.  Its files and keys move "
	     "to archive/ in the state\n  folder, and acmed remembers nothing "
	     "of it any more.");
}

void
print_lifted(const struct json *root)
{
	const struct json *list = json_get_array(root, "lifted"), *o;
	char until[OUT_SPAN];
	size_t i;

	for (i = 0; i < json_len(list); i++) {
		AUTO(buf_done) struct buf line = BUF_INIT(LIFTED_MAX);
		AUTO(free) char *ca = out_text(o = json_at(list, i), "ca");
		AUTO(free) char *why = out_text(o, "text");

		out_relative(o, "until", until, sizeof(until));
		if (ca == NULL)
			buf_printf(&line, "the next try was to be %s", until);
		else if (*until == '\0')
			buf_printf(&line, "CA %s waited for you", ca);
		else
			buf_printf(
			    &line, "CA %s was to be asked %s", ca, until);
		buf_printf(&line, ": %s", out_or_empty(why));
		out_line("lifted:", buf_str(&line));
	}
}
