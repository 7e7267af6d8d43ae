/* SPDX-License-Identifier: ISC */
/*
 * One line per event on stderr: key=value, with a "<n>" level in front when
 * journald reads it, or JSON.  Only daemons log; libraries return errors.
 * Secrets never come here, at any level.
 *
 *   log_info("certificate issued", KV("cert", name), KN("orders", n));
 *   level=info time=... part=engine msg="certificate issued" cert=www orders=3
 *
 * Of lines that are equal but for their time, LOG_EQUAL_MAX are written within
 * LOG_EQUAL_S; lines at level debug all are.  How many were left out is said
 * before the next line that is written, and when that time is over:
 *
 *   level=error time=... part=engine msg="equal lines left out" of="..."
 * lines=7
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LOG_EQUAL_MAX 10
#define LOG_EQUAL_S   60

enum log_level {
	LOG_L_ERR = 3,
	LOG_L_WARN = 4,
	LOG_L_INFO = 6,
	LOG_L_DEBUG = 7
};
enum log_format { LOG_F_TEXT, LOG_F_JSON };

struct kv {
	const char *key; /* NULL ends the list */
	const char *str; /* untrusted is fine: it is cleaned and quoted; NULL:
			  * the pair is left out */
	int64_t num;
	bool is_num;
};

#define KV(k, v)                       \
	{                              \
		.key = (k), .str = (v) \
	}
#define KN(k, n)                                                \
	{                                                       \
		.key = (k), .num = (int64_t)(n), .is_num = true \
	}

/* part: "supervisor", "engine", "keeper"; static. */
void log_init(const char *part, enum log_level, enum log_format);
void log_end(void); /* tells how many equal lines were left out lately */
bool log_wants(enum log_level);
const char *log_level_name(enum log_level); /* "error", ... */
void log_write(enum log_level, const char *msg, const struct kv *);

/* Besides stderr, hand the parts of each line of up to that level to fn, which
 * may be finer than what stderr gets (for the events stream).  It sees those
 * that were left out, too. */
typedef void log_tap_fn(
    void *arg, enum log_level, const char *msg, const struct kv *);
void log_tap(log_tap_fn *, void *arg, enum log_level);

/* The list may be empty, which is why it is closed out here. */
#define LOG_AT(level, msg, ...) \
	log_write(level, msg, (const struct kv[]){ __VA_ARGS__ })
#define log_error(...) LOG_AT(LOG_L_ERR, __VA_ARGS__, { 0 })
#define log_warn(...)  LOG_AT(LOG_L_WARN, __VA_ARGS__, { 0 })
#define log_info(...)  LOG_AT(LOG_L_INFO, __VA_ARGS__, { 0 })
#define log_debug(...)                                           \
	do {                                                     \
		if (log_wants(LOG_L_DEBUG))                      \
			LOG_AT(LOG_L_DEBUG, __VA_ARGS__, { 0 }); \
	} while (0)
