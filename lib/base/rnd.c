/* SPDX-License-Identifier: ISC */
/* splitmix64, seeded once from the kernel. */
#include "lib/base/rnd.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/base/clock.h"

static uint64_t state;
static bool seeded;

static uint64_t
next(void)
{
	uint64_t z;
	ssize_t n;

	if (!seeded) {
		do
			n = getrandom(&state, sizeof(state), 0);
		while (n == -1 && errno == EINTR);
		/* Without a kernel's help: hosts still differ from each other.
		 */
		if (n != (ssize_t)sizeof(state))
			state = (uint64_t)clock_now_ms() << 22 ^
				(uint64_t)clock_mono_ms() ^ (uint64_t)getpid();
		seeded = true;
	}
	z = state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint64_t
rnd_below(uint64_t n)
{
	uint64_t r, least;

	assert(n > 0);
	/* 2^64 mod n values at the bottom would come once too often. */
	least = (0 - n) % n;
	do
		r = next();
	while (r < least);
	return r % n;
}

int64_t
rnd_jitter(int64_t v, unsigned percent)
{
	uint64_t size = v < 0 ? 0 - (uint64_t)v : (uint64_t)v, span, at;
	int64_t out;

	assert(percent <= 100);
	span = size / 100 * percent + size % 100 * percent / 100;
	if (span > INT64_MAX)
		span = INT64_MAX;
	at = rnd_below(2 * span + 1);
	if (at >= span) {
		if (__builtin_add_overflow(v, (int64_t)(at - span), &out))
			return INT64_MAX;
	} else {
		if (__builtin_sub_overflow(v, (int64_t)(span - at), &out))
			return INT64_MIN;
	}
	return out;
}

void
rnd_seed(uint64_t seed)
{
	state = seed;
	seeded = true;
}
