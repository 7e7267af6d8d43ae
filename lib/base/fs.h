/* SPDX-License-Identifier: ISC */
/*
 * Files, always relative to an open folder, never following a symlink in the
 * last component, never half written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

/* Open dir/name as a folder (O_DIRECTORY | O_NOFOLLOW).  fd, or -1. */
int fs_open_dir(int dir, const char *name, struct err *);

/*
 * Make dir/name with this mode and owner if it is not there, and fsync dir; a
 * folder that is there must be a folder, and gets its owner and mode mended.
 * uid or gid -1: leave.  Returns an fd for it, or -1.
 */
int fs_make_dir(int dir, const char *name, mode_t, uid_t, gid_t, struct err *);

/*
 * Append the whole regular file dir/name to out, within out's limit.  -1 with
 * ERR_SYS and the errno (ENOENT included) or ERR_LIMIT.
 */
int fs_read(int dir, const char *name, struct buf *out, struct err *);

/* The same from an open descriptor, from its start. */
int fs_read_fd(int fd, struct buf *out, struct err *);

/*
 * Replace dir/name by data, durably.  Whatever happens, a reader finds either
 * the whole old file or the whole new one.
 */
int fs_replace(
    int dir, const char *name, const void *, size_t, mode_t, struct err *);

/*
 * The same in steps, so that several files share the cost of becoming durable:
 * fs_stage() writes a file that nobody sees yet (fd, or -1); fs_stage_begin()
 * has the kernel begin to write it out, which several files then do at the same
 * time; fs_stage_sync() waits for it and closes fd;
 * fs_stage_publish() lets it take the place of dir/name, which the caller
 * makes durable by fs_sync_dir().  Without the sync the file survives the end
 * of the process, but perhaps not of the machine.
 */
int fs_stage(
    int dir, const char *name, const void *, size_t, mode_t, struct err *);
void fs_stage_begin(int fd);
int fs_stage_sync(int fd, const char *name, struct err *);
int fs_stage_publish(int dir, const char *name, struct err *);
void fs_stage_drop(int dir, const char *name); /* instead of publishing */

/*
 * Create several files, none of which may exist, in dir with their final
 * modes, and make them and dir durable together.  On failure those that were
 * made are gone.
 */
struct fs_file {
	const char *name;
	const void *data;
	size_t len;
	mode_t mode;
};
int fs_create_all(int dir, const struct fs_file *, size_t n, struct err *);

/* Point the symlink dir/name at target in one durable rename(2). */
int fs_symlink(int dir, const char *name, const char *target, struct err *);

/* Remove dir/name: a file, or a folder and the files in it (one level). */
int fs_remove(int dir, const char *name, struct err *);

/* Take dir/name as a lock until the process ends.  fd, or -1 (ERR_STALE and
 * the holder's pid in the text when somebody has it). */
int fs_lock(int dir, const char *name, struct err *);

int fs_sync_dir(int dir, struct err *);

/*
 * Call fn for each entry of dir but "." and "..".  Stops and returns -1 when fn
 * does; the error is then fn's to have filled.
 */
int fs_each(
    int dir, int (*fn)(void *arg, const char *name), void *arg, struct err *);

/* A sealed memfd that holds data: nobody can change it any more.  fd or -1. */
int fs_memfd(const char *name, const void *, size_t, struct err *);

/* Whether fd is a memfd sealed against writing, growing and shrinking. */
bool fs_is_sealed(int fd);
