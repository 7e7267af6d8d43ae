/* SPDX-License-Identifier: ISC */
/*
 * Putting certificates away: what is where afterwards, once, again, over what
 * was put away before, and after a crash at every system call.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/supervisor/forget.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "tests/unit/crash.h"
#include "tests/unit/folder.h"

#define NOW   INT64_C(1795446245) /* 2026-11-23T15:04:05Z */
#define STAMP "20261123T150405Z"

static char top[64];
static struct state s;

/* A certificate as install_run() leaves it, as far as it matters here. */
static void
put(const char *name, const char *key)
{
	AUTO(close) int dir = folder_make(s.versions, name);
	AUTO(close) int one = folder_make(dir, "1");
	char target[128];
	struct err e;

	if (fs_replace(one, "privkey.pem", key, strlen(key), 0600, &e) == -1)
		fail_msg("%s", e.what);
	(void)snprintf(target, sizeof(target), "../versions/%s/1", name);
	assert_int_equal(fs_symlink(s.live, name, target, &e), 0);
}

static int
begin(void **state)
{
	(void)state;
	s = STATE_INIT;
	s.dir = folder_open(top, sizeof(top), "forget");
	s.versions = folder_make(s.dir, "versions");
	s.live = folder_make(s.dir, "live");
	clock_fake(NOW);
	put("www", "www's key");
	put("old", "old key");
	return 0;
}

static int
end(void **state)
{
	(void)state;
	state_close(&s);
	return folder_remove(top);
}

static bool
there(const char *path)
{
	struct stat st;

	return fstatat(s.dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void
assert_archived(const char *entry, const char *key)
{
	AUTO(buf_done) struct buf have = BUF_INIT(64);
	char path[192];
	struct err e;

	(void)snprintf(path, sizeof(path), "archive/%s/1/privkey.pem", entry);
	if (fs_read(s.dir, path, &have, &e) == -1)
		fail_msg("%s", e.what);
	assert_string_equal(buf_str(&have), key);
}

/* Nothing of its neighbour was touched. */
static void
assert_neighbour(void)
{
	AUTO(buf_done) struct buf have = BUF_INIT(64);

	assert_int_equal(
	    fs_read(s.dir, "live/www/privkey.pem", &have, NULL), 0);
	assert_string_equal(buf_str(&have), "www's key");
}

static void
forget(const char *name, const char *want)
{
	char entry[FORGET_ENTRY_MAX];
	struct err e;

	if (forget_run(&s, name, entry, &e) == -1)
		fail_msg("%s", e.what);
	assert_string_equal(entry, want);
	assert_neighbour();
}

static void
refused(const char *name, int num, const char *text)
{
	char entry[FORGET_ENTRY_MAX];
	struct err e;

	assert_int_equal(forget_run(&s, name, entry, &e), -1);
	assert_int_equal(e.num, num);
	if (strstr(e.what, text) == NULL)
		fail_msg("%s, want %s", e.what, text);
	assert_neighbour();
}

static void
moved(void **state)
{
	struct stat st;

	(void)state;
	forget("old", "old-" STAMP);
	assert_false(there("live/old"));
	assert_false(there("versions/old"));
	assert_archived("old-" STAMP, "old key");
	assert_int_equal(fstatat(s.dir, "archive", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

/* Root may have done it, and the engine not have lived to hear of it. */
static void
again(void **state)
{
	(void)state;
	forget("old", "old-" STAMP);
	clock_fake_advance_ms(3600 * 1000);
	forget("old", "old-" STAMP);
	put("old", "second key");
	forget("old", "old-20261123T160405Z");
	forget("old", "old-20261123T160405Z");
	assert_archived("old-" STAMP, "old key");
	assert_archived("old-20261123T160405Z", "second key");
}

/* Twice in a second, or with a clock that was set back. */
static void
taken(void **state)
{
	char entry[FORGET_ENTRY_MAX], key[16];
	int i;

	(void)state;
	forget("old", "old-" STAMP);
	put("old", "second key");
	forget("old", "old-20261123T150406Z");
	assert_archived("old-" STAMP, "old key");
	assert_archived("old-20261123T150406Z", "second key");
	for (i = 2; i < 60; i++) {
		(void)snprintf(key, sizeof(key), "key %d", i);
		put("old", key);
		assert_int_equal(forget_run(&s, "old", entry, NULL), 0);
		assert_archived(entry, key);
	}
	put("old", "one too many");
	refused("old", ENOTEMPTY, "move versions/old to archive");
	assert_true(there("versions/old/1/privkey.pem"));
}

static void
nothing(void **state)
{
	AUTO(close) int archive = -1;

	(void)state;
	refused("none", ENOENT, "nothing of none in live, versions or archive");
	assert_false(there("archive"));
	forget("old", "old-" STAMP);
	archive = folder_make(s.dir, "archive");
	/* entries of other names */
	refused("ol", ENOENT, "nothing of ol");
	refused("old-" STAMP, ENOENT, "nothing of old-");
	(void)close(folder_make(archive, "none-20261123"));
	(void)close(folder_make(archive, "none-20261123T150405Zx"));
	(void)close(folder_make(archive, "none-2026112xT150405Z"));
	(void)close(folder_make(archive, "none-20261123 150405Z"));
	refused("none", ENOENT, "nothing of none");
}

/* Names that look like entries, and the longest there is. */
static void
names(void **state)
{
	char name[65], entry[FORGET_ENTRY_MAX];

	(void)state;
	put("old-" STAMP, "tricky key");
	forget("old", "old-" STAMP);
	forget("old-" STAMP, "old-" STAMP "-" STAMP);
	forget("old", "old-" STAMP);
	assert_archived("old-" STAMP "-" STAMP, "tricky key");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	put(name, "long key");
	assert_int_equal(forget_run(&s, name, entry, NULL), 0);
	assert_int_equal(strlen(entry), 64 + sizeof("-" STAMP) - 1);
	assert_archived(entry, "long key");
}

/* Never installed to the end, or already out of live/. */
static void
half(void **state)
{
	(void)state;
	assert_int_equal(unlinkat(s.live, "old", 0), 0);
	forget("old", "old-" STAMP);
	assert_int_equal(symlinkat("../versions/gone/1", s.live, "gone"), 0);
	refused("gone", ENOENT, "nothing of gone");
	assert_false(there("live/gone"));
}

static void
in_the_way(void **state)
{
	struct err e;

	(void)state;
	(void)close(folder_make(s.live, "folder"));
	refused("folder", 0, "live/folder is in the way: not a symlink");
	assert_true(there("live/folder"));
	assert_int_equal(symlinkat("/etc", s.versions, "link"), 0);
	refused("link", ENOTDIR, "versions: link");
	assert_true(there("versions/link"));
	assert_int_equal(symlinkat("/tmp", s.dir, "archive"), 0);
	refused("old", ENOTDIR, "archive");
	assert_true(there("versions/old/1/privkey.pem"));
	assert_int_equal(fs_remove(s.dir, "archive", &e), 0);
	forget("old", "old-" STAMP);
}

static int
forget_old(void)
{
	char entry[FORGET_ENTRY_MAX];

	return forget_run(&s, "old", entry, NULL);
}

static void
crash_anywhere(void **state)
{
	unsigned n;
	bool done = false;

	for (n = 1; !done; n++) {
		if (n > 1)
			(void)begin(state);
		done = crash_at(n, forget_old);
		/* whole, in one of the two places */
		assert_true(there("versions/old/1/privkey.pem") !=
			    there("archive/old-" STAMP "/1/privkey.pem"));
		forget("old", "old-" STAMP);
		assert_false(there("live/old"));
		assert_false(there("versions/old"));
		assert_archived("old-" STAMP, "old key");
		if (!done)
			(void)end(state);
	}
	assert_true(n > 20); /* it did stop at every one */
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = { T(moved), T(again), T(taken),
		T(nothing), T(names), T(half), T(in_the_way),
		T(crash_anywhere) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
