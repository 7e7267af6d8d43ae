/* SPDX-License-Identifier: ISC */
/*
 * What the pages for people are made of: texts of the daemon made safe for a
 * terminal, spans and instants, labels, lines within 80 columns.  Members that
 * are not there, or of another type, count as empty.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/ctl/ctl.h"

#define OUT_RED    "31"
#define OUT_GREEN  "32"
#define OUT_YELLOW "33"
#define OUT_BOLD   "1"

#define OUT_SPAN  48  /* "in 29 days" */
#define OUT_TEXT  192 /* a few words and a span */
#define OUT_COUNT 32  /* "9,680" */

/* The caller frees; NULL when it is not there. */
char *out_text(const struct json *, const char *key);
char *out_copy(const char *); /* the same of a text in hand */
const char *out_or_empty(const char *);
void out_lines(FILE *, const char *); /* a text as it is, line by line */
bool out_is(const struct json *, const char *key, const char *value);

/* "9,680" in out, which is returned. */
const char *out_count(int64_t, char out[OUT_COUNT]);
/* "in 29 days", "now", "5 h ago", or "". */
void out_relative(const struct json *, const char *key, char *, size_t);
/* A name cut to width, in place, with "..." at its end. */
void out_cut(char *, size_t width);

void out_colour(const struct ctl *, const char *code);
void out_plain(const struct ctl *);
void out_title(const struct ctl *, const char *); /* a line in bold */

/* Folded at spaces, the lines behind the first indented; what has no space,
 * such as a URL, is never cut. */
void out_fold(const char *, int indent);
/* "  label:     value", folded; nothing without a value. */
void out_line(const char *label, const char *value);
/* What a CA said, and below it the page that a person should open, once: not in
 * the words as well. */
void out_said(const char *label, const char *text, const char *url);
void out_instant(const struct json *, const char *label, const char *key);
void out_words(const struct json *, const char *label, const char *key);
/* What the daemon says is to be done, with the certificate's name, which it
 * knows nothing of, in place of NAME. */
void out_advice(const char *label, const char *raw, const char *text);
