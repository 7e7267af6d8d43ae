/* SPDX-License-Identifier: ISC */
/*
 * When: pure functions of state and clock.  No constant of days anywhere;
 * everything follows from the lifetime that the certificate itself states.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * The instant at which a certificate's renewal is due: when 1/3 of its
 * lifetime is left, 1/2 under ten days.
 */
int64_t schedule_due(int64_t not_before, int64_t not_after);

/* The same with a spread of 1 % of the lifetime to either side, by chance:
 * picked once a certificate, then kept.  What is due when it is issued, as a
 * CA's of before, counts from now: else it was renewed without end. */
int64_t schedule_pick(int64_t not_before, int64_t not_after, int64_t now);

/* An instant of the CA's renewal window, by chance (RFC 9773 4.2). */
int64_t schedule_in_window(int64_t start, int64_t end);

/*
 * When both are known: as the CA says, but never later than when a quarter of
 * the lifetime is left, or by_fraction, whatever its window says.  picked 0: it
 * says nothing.
 */
int64_t schedule_renew_at(
    int64_t not_before, int64_t not_after, int64_t by_fraction, int64_t picked);

/*
 * Seconds to wait after the n-th failed attempt in a row (n >= 1): 1 min,
 * 10 min, 100 min, then lifetime / 40 within 1 h to 24 h; 24 h after the end
 * or without a certificate (both times 0).  With less than 10 h of lifetime
 * none is longer than a tenth of it, or 1 min, nor are the first ten after the
 * end.  +- 20 %.
 */
int64_t schedule_backoff(
    unsigned n, int64_t not_before, int64_t not_after, int64_t now);

/* What decides when a certificate's next attempt begins. */
struct schedule_in {
	bool have;     /* there is a certificate */
	bool changed;  /* it is another one than is configured (J13) */
	bool ordering; /* an order is under way: a restart goes on with it */
	bool forced;   /* an operator said now */
	int64_t renew_at;
	int64_t not_before_attempt; /* back-off; 0: none */
};
/* Never earlier than the back-off unless forced.  May be in the past. */
int64_t schedule_when(const struct schedule_in *, int64_t now);

/*
 * Whether the wall clock can be believed: not before this program was
 * written, nor more than an hour before the newest instant we saved.
 */
bool schedule_clock_sane(int64_t now, int64_t newest_saved);

/* Share of the lifetime that is left, in 1/1000; 0 when ended or none. */
unsigned schedule_left(int64_t not_before, int64_t not_after, int64_t now);

/* How loudly to say it (protocol Q9). */
enum alarm { ALARM_NONE, ALARM_INFO, ALARM_WARN, ALARM_CRITICAL };
enum alarm schedule_alarm(int64_t not_before, int64_t not_after, int64_t now);
