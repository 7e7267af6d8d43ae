/* SPDX-License-Identifier: ISC */
/*
 * The one error type.  A function that can fail takes a struct err * last,
 * returns 0, or returns -1 having filled it.  It does not log: whoever decides
 * what the failure means logs it, once.
 */
#pragma once

#include <stdint.h>

/* Long enough for a CA's whole unpause URL, which must not be cut. */
#define ERR_WHAT_MAX 2048

enum err_kind {
	ERR_NONE,
	ERR_SYS,     /* num is an errno */
	ERR_NOMEM,   /* out of memory; num is 0 */
	ERR_NET,     /* num is a CURLcode */
	ERR_HTTP,    /* num is a status with no usable problem document */
	ERR_PROBLEM, /* the CA said why: problem is set, num is the status */
	ERR_PROTO,   /* a peer broke the rules */
	ERR_CONFIG,
	ERR_LIMIT,  /* a bound that we set ourselves was reached */
	ERR_CRYPTO, /* num is an mbedTLS code */
	ERR_STALE,  /* compare-and-swap: somebody else was first */
};

struct err {
	enum err_kind kind;
	int num;
	unsigned problem;      /* enum acme_problem; only for ERR_PROBLEM */
	int64_t retry_after_s; /* -1: the peer did not say */
	char what[ERR_WHAT_MAX];
};

/*
 * Fill e and return -1.  For ERR_SYS the text of errno num is appended.  Text
 * that does not fit ends in "...".  e may be NULL: the caller does not care.
 */
int err_set(struct err *e, enum err_kind kind, int num, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Out of memory while doing what.  Returns -1. */
int err_nomem(struct err *e, const char *what);

/* Put "fmt: " before what e already says.  Returns -1. */
int err_wrap(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * What to do about trouble with a disk, which is known by its text, so that it
 * may come from another process; NULL: nothing to say.
 */
const char *err_hint(const struct err *);

/* A kind as a short stable word: "system", "network", "problem", ... */
const char *err_kind_name(enum err_kind);

#ifdef __clang_analyzer__
/* It sees one file at a time: none of these ever returns 0. */
#define err_set(...)   ((void)(err_set)(__VA_ARGS__), -1)
#define err_nomem(...) ((void)(err_nomem)(__VA_ARGS__), -1)
#define err_wrap(...)  ((void)(err_wrap)(__VA_ARGS__), -1)
#endif
