/* SPDX-License-Identifier: ISC */
/*
 * One line, one write(2), at most PIPE_BUF bytes: the lines of processes that
 * share a pipe do not mix.  What does not fit ends in "...".
 */
#include "lib/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/str.h"

/* Room that is left for closing a line that was cut. */
#define TAIL_MAX 8

struct line {
	size_t len;
	bool cut;
	char data[PIPE_BUF];
};

/*
 * Lines that were written lately.  A line that comes again after EQUALS others
 * is a new one.
 */
#define EQUALS     64
#define EQUAL_TEXT 64

static struct equal {
	uint64_t hash;
	int64_t since_ms, last_ms; /* the first and the last of n */
	uint32_t n;                /* written since then; 0: not in use */
	uint32_t left_out;
	enum log_level level;
	char msg[EQUAL_TEXT]; /* the beginning */
} equals[EQUALS];

static struct {
	const char *part;
	enum log_level level;
	enum log_format format;
	bool journal, tapping;
	log_tap_fn *tap;
	void *tap_arg;
	enum log_level tap_level;
} logger = { .part = "acmed", .level = LOG_L_INFO };

bool
log_wants(enum log_level level)
{
	return level <= logger.level ||
	       (logger.tap != NULL && level <= logger.tap_level);
}

void
log_tap(log_tap_fn *fn, void *arg, enum log_level level)
{
	logger.tap = fn;
	logger.tap_level = level;
	logger.tap_arg = arg;
}

const char *
log_level_name(enum log_level level)
{
	switch (level) {
	case LOG_L_ERR:
		return "error";
	case LOG_L_WARN:
		return "warn";
	case LOG_L_INFO:
		return "info";
	case LOG_L_DEBUG:
		return "debug";
	}
	return "?";
}

static size_t
room(const struct line *l)
{
	size_t most = sizeof(l->data) - TAIL_MAX;

	return l->len < most ? most - l->len : 0;
}

/* All of s, or nothing more from now on. */
static void
put(struct line *l, const char *s, size_t n)
{
	if (l->cut)
		return;
	if (n > room(l)) {
		l->cut = true;
		return;
	}
	memcpy(l->data + l->len, s, n);
	l->len += n;
}

static void
put_str(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

static void
put_tail(struct line *l, const char *s)
{
	size_t n = strlen(s);

	if (n <= sizeof(l->data) - l->len) {
		memcpy(l->data + l->len, s, n);
		l->len += n;
	}
}

/* s in quotes; what was cut inside them ends there. */
static void
put_quoted(struct line *l, const char *s)
{
	size_t n;

	if (l->cut)
		return;
	put_str(l, "\"");
	for (; *s != '\0' && !l->cut; s += n) {
		char esc[2] = { '\\', *s };

		n = str_char(s);
		if (n == 0) {
			n = 1;
			put_str(l, "?");
		} else if (*s == '"' || *s == '\\')
			put(l, esc, 2);
		else
			put(l, s, n);
	}
	put_tail(l, l->cut ? "...\"" : "\"");
}

static bool
is_plain(const char *s)
{
	size_t n;

	if (*s == '\0')
		return false;
	for (; *s != '\0'; s += n) {
		n = str_char(s);
		if (n == 0 || *s == ' ' || *s == '"' || *s == '=')
			return false;
	}
	return true;
}

static void
put_key(struct line *l, const char *key)
{
	bool json = logger.format == LOG_F_JSON;

	/* A key without its value would be worse than neither. */
	if (strlen(key) + 32 > room(l))
		l->cut = true;
	put_str(l, json ? ",\"" : " ");
	put_str(l, key);
	put_str(l, json ? "\":" : "=");
}

static void
put_kv(struct line *l, const struct kv *kv)
{
	const char *s = kv->str;
	char num[24];

	if (s == NULL && !kv->is_num)
		return;
	put_key(l, kv->key);
	if (kv->is_num) {
		(void)snprintf(num, sizeof(num), "%" PRId64, kv->num);
		put_str(l, num);
	} else if (logger.format == LOG_F_JSON || !is_plain(s))
		put_quoted(l, s);
	else if (strlen(s) <= room(l))
		put_str(l, s);
	else
		put_quoted(l, s);
}

static void
put_head(struct line *l, enum log_level level)
{
	char prefix[] = { '<', (char)('0' + level), '>', '\0' };
	const struct kv first = KV("level", log_level_name(level));
	char now[CLOCK_RFC3339_MAX];

	if (logger.format == LOG_F_JSON) {
		put_str(l, "{\"level\":");
		put_quoted(l, first.str);
	} else {
		if (logger.journal)
			put_str(l, prefix);
		put_str(l, "level=");
		put_str(l, first.str);
	}
	if (!logger.journal || logger.format == LOG_F_JSON) {
		clock_format(clock_now(), now);
		put_kv(l, &(const struct kv)KV("time", now));
	}
	put_kv(l, &(const struct kv)KV("part", logger.part));
}

static void
to_stderr(enum log_level level, const char *msg, const struct kv *kvs)
{
	struct line l = { .len = 0 };
	const struct kv *kv;

	put_head(&l, level);
	put_key(&l, "msg");
	put_quoted(&l, msg);
	for (kv = kvs; kv->key != NULL; kv++)
		put_kv(&l, kv);
	put_tail(&l, logger.format == LOG_F_JSON ? "}\n" : "\n");
	/* Nowhere is left to complain about a log that cannot be written. */
	while (write(STDERR_FILENO, l.data, l.len) == -1 && errno == EINTR)
		continue;
}

static uint64_t
mix(uint64_t h, const void *data, size_t len)
{
	return h * UINT64_C(1099511628211) ^ str_hash(data, len);
}

static uint64_t
mix_str(uint64_t h, const char *s)
{
	return mix(h, s, strlen(s));
}

static uint64_t
hash_line(enum log_level level, const char *msg, const struct kv *kv)
{
	uint64_t h = mix_str((uint64_t)level, msg);

	for (; kv->key != NULL; kv++) {
		h = mix_str(h, kv->key);
		if (kv->is_num)
			h = mix(h, &kv->num, sizeof(kv->num));
		else
			h = mix_str(h, kv->str == NULL ? "" : kv->str);
	}
	return h;
}

static void
tell_left_out(struct equal *q)
{
	const struct kv kvs[] = { KV("of", q->msg), KN("lines", q->left_out),
		{ 0 } };

	if (q->left_out == 0)
		return;
	q->left_out = 0;
	to_stderr(q->level, "equal lines left out", kvs);
}

static void
tell_all(void)
{
	struct equal *q;

	for (q = equals; q < equals + NELEM(equals); q++)
		tell_left_out(q);
}

/* Those whose time is over: not after each line between two equal ones. */
static void
tell_due(void)
{
	int64_t now = clock_mono_ms();
	struct equal *q;

	for (q = equals; q < equals + NELEM(equals); q++)
		if (now - q->since_ms >= LOG_EQUAL_S * INT64_C(1000))
			tell_left_out(q);
}

/* The row of that line, or the one that is longest out of use, emptied. */
static struct equal *
find_equal(uint64_t hash, enum log_level level, const char *msg)
{
	struct equal *q, *oldest = equals;

	for (q = equals; q < equals + NELEM(equals); q++) {
		/* Whoever makes hashes meet can hide no other kind of line. */
		if (q->n > 0 && q->hash == hash && q->level == level &&
		    strncmp(q->msg, msg, sizeof(q->msg) - 1) == 0)
			return q;
		if (q->last_ms < oldest->last_ms)
			oldest = q;
	}
	tell_left_out(oldest);
	*oldest = (struct equal){ .hash = hash, .level = level };
	(void)snprintf(oldest->msg, sizeof(oldest->msg), "%s", msg);
	return oldest;
}

/* Has there been enough of this line?  It is counted. */
static bool
is_enough(enum log_level level, const char *msg, const struct kv *kvs)
{
	int64_t now = clock_mono_ms();
	struct equal *q;

	if (level >= LOG_L_DEBUG)
		return false;
	q = find_equal(hash_line(level, msg, kvs), level, msg);
	if (now - q->since_ms >= LOG_EQUAL_S * INT64_C(1000)) {
		tell_left_out(q);
		q->n = 0;
	}
	if (q->n == 0)
		q->since_ms = now;
	q->last_ms = now;
	if (q->n >= LOG_EQUAL_MAX) {
		q->left_out++;
		return true;
	}
	q->n++;
	return false;
}

void
log_init(const char *part, enum log_level level, enum log_format format)
{
	tell_all();
	memset(equals, 0, sizeof(equals));
	logger.part = part;
	logger.level = level;
	logger.format = format;
	logger.journal =
	    getenv("JOURNAL_STREAM") != NULL ||
	    (getenv("INVOCATION_ID") != NULL && !isatty(STDERR_FILENO));
}

void
log_end(void)
{
	tell_all();
}

void
log_write(enum log_level level, const char *msg, const struct kv *kvs)
{
	int saved = errno;

	if (level <= logger.level && !is_enough(level, msg, kvs)) {
		tell_due();
		to_stderr(level, msg, kvs);
	}
	/* A tap that logs must not meet itself. */
	if (logger.tap != NULL && level <= logger.tap_level &&
	    !logger.tapping) {
		logger.tapping = true;
		logger.tap(logger.tap_arg, level, msg, kvs);
		logger.tapping = false;
	}
	errno = saved;
}
