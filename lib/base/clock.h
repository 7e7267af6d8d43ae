/* SPDX-License-Identifier: ISC */
/*
 * Time.  Instants are seconds since 1970 UTC in an int64_t, on disk as well as
 * in memory; 0 means "not set".  Tests replace both clocks.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CLOCK_RFC3339_MAX 32

int64_t clock_now(void);     /* wall clock, seconds */
int64_t clock_now_ms(void);  /* wall clock, milliseconds */
int64_t clock_mono_ms(void); /* never jumps; counts suspend (CLOCK_BOOTTIME) */

/* Both clocks stand still at now_s until moved.  For tests only. */
void clock_fake(int64_t now_s);
void clock_fake_advance_ms(int64_t ms);

/* "2026-11-23T15:04:05Z" */
void clock_format(int64_t, char out[CLOCK_RFC3339_MAX]);

/* RFC 3339 with any offset and fraction (cut off).  0 or -1. */
int clock_parse(const char *, int64_t *);

/* HTTP-date: IMF-fixdate, RFC 850 and asctime forms (RFC 9110 5.6.7). */
int clock_parse_http(const char *, int64_t *);
