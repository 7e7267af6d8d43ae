/* SPDX-License-Identifier: ISC */
/* Folders of a test's own. */
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/base/fs.h"

/* Its path goes to path. */
static inline void
folder_new(char *path, size_t size, const char *what)
{
	(void)umask(022);
	(void)snprintf(path, size, "/tmp/acmed-%s-XXXXXX", what);
	assert_non_null(mkdtemp(path));
}

/* The same, opened. */
static inline int
folder_open(char *path, size_t size, const char *what)
{
	int fd;

	folder_new(path, size, what);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_not_equal(fd, -1);
	return fd;
}

static inline int
folder_make(int dir, const char *name)
{
	struct err e;
	int fd = fs_make_dir(dir, name, 0755, (uid_t)-1, (gid_t)-1, &e);

	if (fd == -1)
		fail_msg("%s", e.what);
	return fd;
}

static inline int
folder_remove_one(
    const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline int
folder_remove(const char *path)
{
	return nftw(path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
