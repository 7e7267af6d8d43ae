/* SPDX-License-Identifier: ISC */
/* From live/ and versions/ to archive/. */
#include "daemon/supervisor/forget.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"

#define STAMP     "00000000T000000Z"
#define STAMP_LEN (sizeof(STAMP) - 1)
#define TRIES     60 /* seconds that may be taken already */

struct search {
	const char *name;
	char *newest; /* FORGET_ENTRY_MAX */
};

/* name-20261123T150405Z */
static void
entry_name(const char *name, int64_t when, char out[FORGET_ENTRY_MAX])
{
	char text[CLOCK_RFC3339_MAX];
	const char *from = text;
	char *to = text;

	clock_format(when, text);
	for (; *from != '\0'; from++)
		if (*from != '-' && *from != ':')
			*to++ = *from;
	*to = '\0';
	(void)snprintf(out, FORGET_ENTRY_MAX, "%.64s-%.20s", name, text);
}

static bool
is_stamp(const char *s)
{
	const char *form = STAMP;

	for (; *form != '\0'; form++, s++)
		if (*form == '0' ? !str_is_digit(*s) : *s != *form)
			return false;
	return *s == '\0';
}

static int
search_entry(void *arg, const char *entry)
{
	const struct search *s = arg;
	size_t len = strlen(s->name);

	/* the stamp's length is fixed, so "a" is not taken for "a-b" */
	if (strlen(entry) == len + 1 + STAMP_LEN &&
	    strncmp(entry, s->name, len) == 0 && entry[len] == '-' &&
	    is_stamp(entry + len + 1) && strcmp(entry, s->newest) > 0)
		memcpy(s->newest, entry, strlen(entry) + 1);
	return 0;
}

/* An earlier call has moved it, but perhaps not lived to say so. */
static int
find_archived(const struct state *s, const char *name,
    char entry[FORGET_ENTRY_MAX], struct err *e)
{
	AUTO(close) int archive = fs_open_dir(s->dir, "archive", e);
	struct search look = { .name = name, .newest = entry };

	entry[0] = '\0';
	if (archive == -1 && e->num != ENOENT)
		return -1;
	if (archive != -1 && fs_each(archive, search_entry, &look, e) == -1)
		return err_wrap(e, "archive");
	if (entry[0] == '\0')
		return err_set(e, ERR_SYS, ENOENT,
		    "nothing of %s in live, versions or archive", name);
	return fs_sync_dir(archive, e);
}

static int
leave_live(const struct state *s, const char *name, struct err *e)
{
	char byte; /* of its target, which does not matter */
	ssize_t n = readlinkat(s->live, name, &byte, 1);

	if (n == -1 && errno == EINVAL)
		return err_set(e, ERR_CONFIG, 0,
		    "live/%s is in the way: not a symlink", name);
	if (unlinkat(s->live, name, 0) == -1 && errno != ENOENT)
		return err_set(e, ERR_SYS, errno, "remove live/%s", name);
	return fs_sync_dir(s->live, e);
}

/* An empty folder in the way is replaced, which is no loss. */
static int
move(const struct state *s, const char *name, char entry[FORGET_ENTRY_MAX],
    struct err *e)
{
	AUTO(close) int archive = -1;
	int64_t now = clock_now(), t;
	int r = -1;

	archive = fs_make_dir(s->dir, "archive", 0700, (uid_t)-1, (gid_t)-1, e);
	if (archive == -1)
		return -1;
	for (t = now; r == -1 && t < now + TRIES; t++) {
		entry_name(name, t, entry);
		r = renameat(s->versions, name, archive, entry);
		if (r == -1 && errno != EEXIST && errno != ENOTEMPTY)
			break;
	}
	if (r == -1)
		return err_set(
		    e, ERR_SYS, errno, "move versions/%s to archive", name);
	return fs_sync_dir(archive, e);
}

int
forget_run(const struct state *s, const char *name,
    char entry[FORGET_ENTRY_MAX], struct err *e)
{
	AUTO(close) int versions = -1;
	int r;

	assert(str_is_name(name));
	if (leave_live(s, name, e) == -1)
		return -1;
	versions = fs_open_dir(s->versions, name, e);
	if (versions == -1 && e->num != ENOENT)
		return err_wrap(e, "versions");
	r = versions != -1 ? move(s, name, entry, e)
			   : find_archived(s, name, entry, e);
	return r == -1 ? -1 : fs_sync_dir(s->versions, e);
}
