/* SPDX-License-Identifier: ISC */
/*
 * Durable files.  The order is always the same: final mode while the file is
 * still empty, content, fsync, rename, fsync of the folder.
 */
#include "lib/base/fs.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/base/cleanup.h"
#include "lib/base/str.h"

#define KEEP_UID ((uid_t)-1)
#define KEEP_GID ((gid_t)-1)

#define FILES_MAX 8 /* that fs_create_all() makes at once */

/* What changes a folder names one entry of it, and nothing else. */
static int
check_name(const char *name, struct err *e)
{
	if (*name == '\0' || strchr(name, '/') != NULL ||
	    strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(e, ERR_SYS, EINVAL, "file name \"%s\"", name);
	return 0;
}

/* The name next to name that only we use; a leftover is from a crash of ours.
 */
static int
temp_name(const char *name, char out[NAME_MAX + 1], struct err *e)
{
	int n = snprintf(out, NAME_MAX + 1, ".%s.new", name);

	if (n < 0 || n > NAME_MAX)
		return err_set(e, ERR_SYS, ENAMETOOLONG, "%s", name);
	return check_name(name, e);
}

static int
write_all(int fd, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	while (len > 0) {
		n = write(fd, p, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int
fs_open_dir(int dir, const char *name, struct err *e)
{
	int fd =
	    openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd == -1)
		return err_set(e, ERR_SYS, errno, "%s%s", name,
		    errno == ENOTDIR || errno == ELOOP
			? " must be a folder, and not a symlink"
			: "");
	return fd;
}

/* Owner first: changing it may take mode bits away. */
static int
own(int fd, mode_t mode, uid_t uid, gid_t gid)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return -1;
	if (((uid != KEEP_UID && uid != st.st_uid) ||
		(gid != KEEP_GID && gid != st.st_gid)) &&
	    fchown(fd, uid, gid) == -1)
		return -1;
	return (st.st_mode & 07777) == mode ? 0 : fchmod(fd, mode);
}

int
fs_make_dir(
    int dir, const char *name, mode_t mode, uid_t uid, gid_t gid, struct err *e)
{
	AUTO(close) int fd = -1;

	if (check_name(name, e) == -1)
		return -1;
	if (mkdirat(dir, name, mode & 0700) == -1 && errno != EEXIST)
		return err_set(e, ERR_SYS, errno, "make folder %s", name);
	fd = fs_open_dir(dir, name, e);
	if (fd == -1)
		return -1;
	if (own(fd, mode, uid, gid) == -1)
		return err_set(e, ERR_SYS, errno, "owner and mode of %s", name);
	if (fs_sync_dir(dir, e) == -1)
		return -1;
	return take_fd(&fd);
}

int
fs_read_fd(int fd, struct buf *out, struct err *e)
{
	char chunk[4096];
	struct stat st;
	off_t at = 0;
	ssize_t n = 0;

	if (fstat(fd, &st) == -1)
		return err_set(e, ERR_SYS, errno, "stat");
	/* All the room at once, so that growing leaves no copy of a secret. */
	if (st.st_size > 0)
		buf_reserve(out, (size_t)st.st_size);
	while (buf_ok(out)) {
		n = pread(fd, chunk, sizeof(chunk), at);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_add(out, chunk, (size_t)n);
		at += n;
	}
	if (!buf_ok(out))
		n = err_set(e, ERR_LIMIT, 0, "larger than %zu bytes", out->max);
	else if (n == -1)
		(void)err_set(e, ERR_SYS, errno, "read");
	explicit_bzero(chunk, sizeof(chunk));
	return n == -1 ? -1 : 0;
}

int
fs_read(int dir, const char *name, struct buf *out, struct err *e)
{
	/* O_NONBLOCK: a fifo in the file's place must not stop us. */
	AUTO(close)
	int fd = openat(dir, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		return err_set(e, ERR_SYS, errno, "%s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_SYS,
		    S_ISDIR(st.st_mode) ? EISDIR : EINVAL,
		    "%s: not a regular file", name);
	if (fs_read_fd(fd, out, e) == -1)
		return err_wrap(e, "%s", name);
	return 0;
}

/* A new file with its final mode, written but not durable yet. */
static int
create_open(int dir, const struct fs_file *f, struct err *e)
{
	AUTO(close) int fd = -1;

	if (check_name(f->name, e) == -1)
		return -1;
	fd = openat(dir, f->name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    f->mode & 0600);
	if (fd == -1)
		return err_set(e, ERR_SYS, errno, "create %s", f->name);
	if (own(fd, f->mode, KEEP_UID, KEEP_GID) == -1 ||
	    write_all(fd, f->data, f->len) == -1) {
		(void)err_set(e, ERR_SYS, errno, "write %s", f->name);
		(void)unlinkat(dir, f->name, 0); /* the first error is told */
		return -1;
	}
	return take_fd(&fd);
}

/* A hint: what is on its way already costs the fsync less. */
void
fs_stage_begin(int fd)
{
	(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

int
fs_stage_sync(int fd, const char *name, struct err *e)
{
	AUTO(close) int own_fd = fd;

	if (fsync(own_fd) == -1 || close(take_fd(&own_fd)) == -1)
		return err_set(e, ERR_SYS, errno, "write %s", name);
	return 0;
}

static int
create_sync(
    int dir, const struct fs_file *f, const int *fds, size_t n, struct err *e)
{
	int r = 0;
	size_t i;

	/* every descriptor is closed, whatever one of them says */
	for (i = 0; i < n; i++)
		if (fs_stage_sync(fds[i], f[i].name, r == 0 ? e : NULL) == -1)
			r = -1;
	return r == -1 ? -1 : fs_sync_dir(dir, e);
}

int
fs_create_all(int dir, const struct fs_file *f, size_t n, struct err *e)
{
	int fds[FILES_MAX], r = 0;
	size_t made, i;

	assert(n <= FILES_MAX);
	for (made = 0; made < n; made++) {
		fds[made] = create_open(dir, &f[made], e);
		if (fds[made] == -1)
			break;
		fs_stage_begin(fds[made]);
	}
	r = create_sync(dir, f, fds, made, made == n ? e : NULL);
	if (made == n && r == 0)
		return 0;
	for (i = 0; i < made; i++)
		(void)unlinkat(dir, f[i].name, 0);
	return -1;
}

int
fs_stage(int dir, const char *name, const void *data, size_t len, mode_t mode,
    struct err *e)
{
	char tmp[NAME_MAX + 1];
	struct fs_file f = { tmp, data, len, mode };
	struct err first;
	int fd;

	if (temp_name(name, tmp, e) == -1)
		return -1;
	fd = create_open(dir, &f, &first);
	if (fd != -1)
		return fd;
	if (first.num != EEXIST) {
		if (e != NULL)
			*e = first;
		return -1;
	}
	/* A leftover is from a crash of our own: the folder is locked. */
	(void)unlinkat(dir, tmp, 0);
	return create_open(dir, &f, e);
}

void
fs_stage_drop(int dir, const char *name)
{
	char tmp[NAME_MAX + 1];

	if (temp_name(name, tmp, NULL) == 0)
		(void)unlinkat(dir, tmp, 0);
}

int
fs_stage_publish(int dir, const char *name, struct err *e)
{
	char tmp[NAME_MAX + 1];

	if (temp_name(name, tmp, e) == -1)
		return -1;
	if (renameat(dir, tmp, dir, name) == -1) {
		(void)err_set(e, ERR_SYS, errno, "replace %s", name);
		(void)unlinkat(dir, tmp, 0);
		return -1;
	}
	return 0;
}

int
fs_replace(int dir, const char *name, const void *data, size_t len, mode_t mode,
    struct err *e)
{
	int fd = fs_stage(dir, name, data, len, mode, e);

	if (fd == -1)
		return -1;
	if (fs_stage_sync(fd, name, e) == -1) {
		fs_stage_drop(dir, name);
		return -1;
	}
	if (fs_stage_publish(dir, name, e) == -1)
		return -1;
	return fs_sync_dir(dir, e);
}

int
fs_symlink(int dir, const char *name, const char *target, struct err *e)
{
	char tmp[NAME_MAX + 1];

	if (temp_name(name, tmp, e) == -1)
		return -1;
	if (symlinkat(target, dir, tmp) == -1 &&
	    (errno != EEXIST || unlinkat(dir, tmp, 0) == -1 ||
		symlinkat(target, dir, tmp) == -1))
		return err_set(e, ERR_SYS, errno, "symlink %s", name);
	if (fs_stage_publish(dir, name, e) == -1)
		return -1;
	return fs_sync_dir(dir, e);
}

struct emptying {
	int dir;
	struct err *e;
};

static int
remove_one(void *arg, const char *name)
{
	const struct emptying *em = arg;

	if (unlinkat(em->dir, name, 0) == -1 && errno != ENOENT)
		return err_set(em->e, ERR_SYS, errno, "remove %s", name);
	return 0;
}

int
fs_remove(int dir, const char *name, struct err *e)
{
	AUTO(close) int sub = -1;
	struct emptying em = { .e = e };

	if (check_name(name, e) == -1)
		return -1;
	if (unlinkat(dir, name, 0) == 0)
		return fs_sync_dir(dir, e);
	if (errno != EISDIR)
		return err_set(e, ERR_SYS, errno, "remove %s", name);
	em.dir = sub = fs_open_dir(dir, name, e);
	if (sub == -1)
		return -1;
	if (fs_each(sub, remove_one, &em, e) == -1)
		return err_wrap(e, "%s", name);
	if (unlinkat(dir, name, AT_REMOVEDIR) == -1)
		return err_set(e, ERR_SYS, errno, "remove %s", name);
	return fs_sync_dir(dir, e);
}

static int
lock_taken(int fd, const char *name, struct err *e)
{
	char pid[24];
	uint64_t v;
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n < 0 ? 0 : n] = '\0';
	if (str_u64(pid, 1, INT32_MAX, &v) == -1)
		return err_set(
		    e, ERR_STALE, 0, "%s: held by another process", name);
	return err_set(e, ERR_STALE, 0, "%s: held by process %s", name, pid);
}

int
fs_lock(int dir, const char *name, struct err *e)
{
	AUTO(close)
	int fd = openat(dir, name,
	    O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	char pid[24];
	int n;

	if (fd == -1)
		return err_set(e, ERR_SYS, errno, "lock %s", name);
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		if (errno == EWOULDBLOCK)
			return lock_taken(fd, name, e);
		return err_set(e, ERR_SYS, errno, "lock %s", name);
	}
	n = snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	if (ftruncate(fd, 0) == -1 || write_all(fd, pid, (size_t)n) == -1)
		return err_set(e, ERR_SYS, errno, "lock %s", name);
	return take_fd(&fd);
}

int
fs_sync_dir(int dir, struct err *e)
{
	if (fsync(dir) == -1)
		return err_set(e, ERR_SYS, errno, "sync folder");
	return 0;
}

static void
closedir_p(DIR **d)
{
	if (*d != NULL)
		(void)closedir(*d);
}

int
fs_each(
    int dir, int (*fn)(void *arg, const char *name), void *arg, struct err *e)
{
	/* Opened anew: a duplicate would share the reading position. */
	AUTO(close)
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(closedir) DIR *d = NULL;
	const struct dirent *ent;

	if (fd == -1 || (d = fdopendir(fd)) == NULL)
		return err_set(e, ERR_SYS, errno, "read folder");
	(void)take_fd(&fd);
	while ((errno = 0, ent = readdir(d)) != NULL) {
		if (strcmp(ent->d_name, ".") == 0 ||
		    strcmp(ent->d_name, "..") == 0)
			continue;
		if (fn(arg, ent->d_name) == -1)
			return -1;
	}
	if (errno != 0)
		return err_set(e, ERR_SYS, errno, "read folder");
	return 0;
}

#define SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)

int
fs_memfd(const char *name, const void *data, size_t len, struct err *e)
{
	AUTO(close)
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1 || write_all(fd, data, len) == -1 ||
	    fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) == -1 ||
	    lseek(fd, 0, SEEK_SET) == -1)
		return err_set(e, ERR_SYS, errno, "memory file %s", name);
	return take_fd(&fd);
}

bool
fs_is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals != -1 && (seals & SEALS) == SEALS;
}
