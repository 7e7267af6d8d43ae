/* SPDX-License-Identifier: ISC */
/* When a certificate is renewed, and when a failed attempt is repeated. */

#include "daemon/engine/schedule.h"

#include <assert.h>

#include "lib/base/cleanup.h"
#include "lib/base/rnd.h"

#define MINUTE INT64_C(60)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

#define SHORT_LIFE (10 * DAY)
#define HASTY_MAX  10 /* tries after the end of a life of hours */

/* 2026-11-01: no clock that is right can be before this. */
#define WRITTEN INT64_C(1793491200)

static int64_t
clamp(int64_t v, int64_t lo, int64_t hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

int64_t
schedule_due(int64_t not_before, int64_t not_after)
{
	int64_t life = not_after - not_before;

	return not_after - (life < SHORT_LIFE ? life / 2 : life / 3);
}

int64_t
schedule_pick(int64_t not_before, int64_t not_after, int64_t now)
{
	int64_t spread = (not_after - not_before) / 100;
	int64_t due = schedule_due(not_before, not_after);

	if (due - spread <= now && now < not_after && not_before < now) {
		due = schedule_due(now, not_after);
		spread = (not_after - now) / 100;
	}
	if (spread <= 0)
		return due;
	return due - spread + (int64_t)rnd_below(2 * (uint64_t)spread + 1);
}

int64_t
schedule_in_window(int64_t start, int64_t end)
{
	return start + (int64_t)rnd_below((uint64_t)(end - start) + 1);
}

int64_t
schedule_renew_at(
    int64_t not_before, int64_t not_after, int64_t by_fraction, int64_t picked)
{
	int64_t latest = not_after - (not_after - not_before) / 4;

	if (picked == 0)
		return by_fraction;
	latest = latest > by_fraction ? latest : by_fraction;
	return picked < latest ? picked : latest;
}

/* The longest wait.  A life of hours, or of minutes, has no time for an hour,
 * and its end does not end that at once (protocol K4). */
static int64_t
backoff_cap(unsigned n, int64_t life, bool over)
{
	int64_t least = clamp(life / 10, MINUTE, HOUR);

	if (!over)
		return clamp(life / 40, least, DAY);
	return life > 0 && least < HOUR && n <= HASTY_MAX ? least : DAY;
}

int64_t
schedule_backoff(unsigned n, int64_t not_before, int64_t not_after, int64_t now)
{
	static const int64_t first[] = { MINUTE, 10 * MINUTE, 100 * MINUTE };
	int64_t cap = backoff_cap(n, not_after - not_before, now >= not_after);
	int64_t wait;

	assert(n >= 1);
	wait = n <= NELEM(first) ? first[n - 1] : cap;
	return rnd_jitter(wait < cap ? wait : cap, 20);
}

int64_t
schedule_when(const struct schedule_in *in, int64_t now)
{
	int64_t when = in->renew_at;

	if (in->forced)
		return now;
	if (!in->have || in->changed || in->ordering)
		when = now;
	return when > in->not_before_attempt ? when : in->not_before_attempt;
}

bool
schedule_clock_sane(int64_t now, int64_t newest_saved)
{
	return now >= WRITTEN && now >= newest_saved - HOUR;
}

unsigned
schedule_left(int64_t not_before, int64_t not_after, int64_t now)
{
	int64_t life = not_after - not_before;

	if (life <= 0 || now >= not_after)
		return 0;
	if (now <= not_before)
		return 1000;
	return (unsigned)((not_after - now) * 1000 / life);
}

enum alarm
schedule_alarm(int64_t not_before, int64_t not_after, int64_t now)
{
	int64_t life = not_after - not_before, left = not_after - now;

	if (life <= 0)
		return ALARM_NONE;
	/* a day is no alarm in a life of hours */
	if (left < life / 8 || (left < DAY && life > SHORT_LIFE))
		return ALARM_CRITICAL;
	if (left < life / 4)
		return ALARM_WARN;
	if (left < life / 3)
		return ALARM_INFO;
	return ALARM_NONE;
}
