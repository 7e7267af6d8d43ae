/* SPDX-License-Identifier: ISC */
/* Texts, numbers, spans and lines for a terminal. */

#include "daemon/ctl/out.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/str.h"

#define WIDTH      78
#define WORDS_MAX  65536
#define ADVICE_MAX 4096

char *
out_copy(const char *value)
{
	char *copy = value == NULL ? NULL : strdup(value);

	if (copy != NULL)
		str_clean(copy);
	return copy;
}

char *
out_text(const struct json *o, const char *key)
{
	return out_copy(json_get_text(o, key));
}

const char *
out_or_empty(const char *s)
{
	return s == NULL ? "" : s;
}

void
out_lines(FILE *to, const char *s)
{
	AUTO(free) char *copy = strdup(s);

	if (copy == NULL)
		return;
	str_clean_lines(copy);
	fputs(copy, to);
}

bool
out_is(const struct json *o, const char *key, const char *value)
{
	const char *v = json_get_text(o, key);

	return v != NULL && strcmp(v, value) == 0;
}

const char *
out_count(int64_t n, char out[OUT_COUNT])
{
	char digits[OUT_COUNT];
	size_t len, i, at = 0;

	(void)snprintf(digits, sizeof(digits), "%" PRId64, n);
	len = strlen(digits);
	for (i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0 && digits[i - 1] != '-')
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

void
out_relative(const struct json *o, const char *key, char *out, size_t size)
{
	int64_t t = json_get_time(o, key), left;
	char span[OUT_SPAN / 2];

	out[0] = '\0';
	if (t == 0)
		return;
	left = t - clock_now();
	str_ago(left < 0 ? -left : left, span, sizeof(span));
	if (left == 0)
		(void)snprintf(out, size, "now");
	else if (left < 0)
		(void)snprintf(out, size, "%s ago", span);
	else
		(void)snprintf(out, size, "in %s", span);
}

void
out_cut(char *name, size_t width)
{
	if (strlen(name) > width)
		memcpy(name + width - 3, "...", 4);
}

void
out_colour(const struct ctl *ctl, const char *code)
{
	if (ctl->colour)
		printf("\033[%sm", code);
}

void
out_plain(const struct ctl *ctl)
{
	if (ctl->colour)
		fputs("\033[0m", stdout);
}

void
out_title(const struct ctl *ctl, const char *title)
{
	out_colour(ctl, OUT_BOLD);
	fputs(title, stdout);
	out_plain(ctl);
	putchar('\n');
}

void
out_fold(const char *s, int indent)
{
	size_t room = (size_t)(WIDTH - indent);
	size_t len, cut;

	do {
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
	} while (*s != '\0');
}

void
out_line(const char *label, const char *value)
{
	if (value == NULL || *value == '\0')
		return;
	printf("  %-12s ", label);
	out_fold(value, 15);
}

void
out_said(const char *label, const char *text, const char *url)
{
	AUTO(buf_done) struct buf out = BUF_INIT(WORDS_MAX);
	const char *at = text == NULL || url == NULL ? NULL : strstr(text, url);
	AUTO(free) char *copy = NULL, *page = out_copy(url);

	if (at == NULL)
		buf_puts(&out, out_or_empty(text));
	else
		buf_printf(&out, "%.*s(below)%s", (int)(at - text), text,
		    at + strlen(url));
	copy = out_copy(buf_str(&out));
	out_line(label, copy);
	out_line("open:", page);
}

/* "2026-11-23T15:04:05Z (in 5 h)" */
void
out_instant(const struct json *o, const char *label, const char *key)
{
	AUTO(free) char *value = out_text(o, key);
	char ago[OUT_SPAN], buf[OUT_TEXT];

	if (value == NULL)
		return;
	out_relative(o, key, ago, sizeof(ago));
	(void)snprintf(buf, sizeof(buf), "%s (%s)", value, ago);
	out_line(label, buf);
}

void
out_words(const struct json *o, const char *label, const char *key)
{
	const struct json *list = json_get_array(o, key);
	AUTO(buf_done) struct buf all = BUF_INIT(WORDS_MAX);
	size_t i;

	for (i = 0; i < json_len(list); i++)
		buf_printf(&all, "%s%s", i == 0 ? "" : " ",
		    out_or_empty(json_text(json_at(list, i))));
	if (buf_ok(&all) && all.len != 0) {
		str_clean(all.data);
		out_line(label, all.data);
	}
}

void
out_advice(const char *label, const char *raw, const char *text)
{
	AUTO(free) char *name = out_copy(raw);
	AUTO(buf_done) struct buf out = BUF_INIT(ADVICE_MAX);
	const char *at = strstr(text, "renew NAME");
	AUTO(free) char *copy = NULL;

	if (at == NULL || name == NULL)
		buf_puts(&out, text);
	else
		buf_printf(&out, "%.*srenew %s%s", (int)(at - text), text, name,
		    at + strlen("renew NAME"));
	copy = out_copy(buf_str(&out));
	out_line(label, copy);
}
