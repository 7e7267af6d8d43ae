/* SPDX-License-Identifier: ISC */
/* What happens, as it happens: a line for an event, and its words below. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl/ctl.h"
#include "daemon/ctl/out.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/str.h"

#define EVENT_MAX    8192
#define EVENT_INDENT 21 /* behind the time */

/* What has more words than a line: below it. */
static const char *const event_words[] = { "error", "output", "hint" };

struct event_print {
	const char *event;
	struct buf line;
	bool first;
};

static void
event_member(void *arg, const char *key, const struct json *v)
{
	static const char *const head[] = { "time", "level", "event", "cert" };
	struct event_print *p = arg;
	const char *text = json_text(v);
	int64_t n;

	if (str_among(key, head, NELEM(head)) ||
	    str_among(key, event_words, NELEM(event_words)) ||
	    (text == NULL ? json_number(v, &n) == -1 : *text == '\0'))
		return;
	buf_puts(&p->line, p->first ? ": " : ", ");
	p->first = false;
	if (text == NULL)
		buf_printf(&p->line, "%s %lld", key, (long long)n);
	else if (strcmp(key, p->event) == 0) /* "step: newOrder" */
		buf_puts(&p->line, text);
	else
		buf_printf(&p->line, "%s %s", key, text);
}

void
print_event(const struct ctl *ctl, const struct json *o)
{
	AUTO(free) char *time = out_text(o, "time");
	AUTO(free) char *rest = NULL;
	struct event_print p = { .first = true, .line = BUF_INIT(EVENT_MAX) };
	bool bad = out_is(o, "level", "error"),
	     warn = out_is(o, "level", "warn");
	char label[OUT_SPAN];
	size_t i;

	p.event = out_or_empty(json_get_text(o, "event"));
	if (strcmp(p.event, "exchange") == 0)
		return;
	buf_puts(&p.line, p.event);
	json_each(o, event_member, &p);
	rest = out_copy(buf_str(&p.line));
	buf_done(&p.line);
	printf("%s ", out_or_empty(time));
	if (bad || warn)
		out_colour(ctl, bad ? OUT_RED : OUT_YELLOW);
	out_fold(out_or_empty(rest), EVENT_INDENT);
	out_plain(ctl);
	for (i = 0; i < NELEM(event_words); i++) {
		const char *text = json_get_text(o, event_words[i]);

		(void)snprintf(label, sizeof(label), "%s:", event_words[i]);
		if (text != NULL)
			out_advice(label, json_get_text(o, "cert"), text);
	}
	fflush(stdout);
}
