/* SPDX-License-Identifier: ISC */
/* Files that are whole, with their mode from birth, and never behind a link. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/cleanup.h"
#include "lib/base/fs.h"

#define NOBODY ((uid_t)-1), ((gid_t)-1)

static int dir; /* a fresh folder for each test */
static char path[PATH_MAX];

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(path, sizeof(path), "/tmp/acmed-fs.XXXXXX");
	if (mkdtemp(path) == NULL)
		return -1;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)umask(077); /* must not matter */
	return dir == -1 ? -1 : 0;
}

static int
wipe(void *arg, const char *name)
{
	struct err e;

	(void)arg;
	return fs_remove(dir, name, &e);
}

static int
teardown(void **state)
{
	struct err e;

	(void)state;
	(void)fs_each(dir, wipe, NULL, &e);
	(void)close(dir);
	return rmdir(path);
}

static void
put(const char *name, const char *text)
{
	AUTO(close)
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void
assert_holds(const char *name, const char *text)
{
	AUTO(buf_done) struct buf b = BUF_INIT(1 << 20);
	struct err e;

	if (fs_read(dir, name, &b, &e) == -1)
		fail_msg("%s", e.what);
	assert_string_equal(buf_str(&b), text);
}

static void
assert_mode(const char *name, mode_t mode)
{
	struct stat st;

	assert_int_equal(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static bool
exists(const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int
count_one(void *arg, const char *name)
{
	(void)name;
	++*(int *)arg;
	return 0;
}

static int
count(void)
{
	struct err e;
	int n = 0;

	assert_int_equal(fs_each(dir, count_one, &n, &e), 0);
	return n;
}

static void
read_appends_within_the_limit(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(7);
	struct err e;

	(void)state;
	put("f", "12345");
	buf_puts(&b, "a:");
	assert_int_equal(fs_read(dir, "f", &b, &e), 0);
	assert_string_equal(buf_str(&b), "a:12345");
	assert_int_equal(fs_read(dir, "f", &b, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_string_equal(e.what, "f: larger than 7 bytes");
}

static void
read_of_what_is_no_file(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(100);
	struct err e;

	(void)state;
	assert_int_equal(fs_read(dir, "none", &b, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.num, ENOENT);
	assert_string_equal(e.what, "none: No such file or directory");
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	assert_int_equal(fs_read(dir, "d", &b, &e), -1);
	assert_int_equal(e.num, EISDIR);
	assert_int_equal(mkfifoat(dir, "p", 0600), 0);
	assert_int_equal(fs_read(dir, "p", &b, &e), -1); /* and does not hang */
	assert_int_equal(e.kind, ERR_SYS);
	put("secret", "x");
	assert_int_equal(symlinkat("secret", dir, "l"), 0);
	assert_int_equal(fs_read(dir, "l", &b, &e), -1);
	assert_int_equal(e.num, ELOOP);
	assert_int_equal(b.len, 0);
	assert_true(buf_ok(&b));
}

static void
read_of_a_file_without_size(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(1 << 16);
	AUTO(buf_done) struct buf small = BUF_INIT(3);
	struct err e;

	(void)state;
	assert_int_equal(fs_read(AT_FDCWD, "/proc/self/status", &b, &e), 0);
	assert_non_null(strstr(buf_str(&b), "\nPid:"));
	assert_int_equal(
	    fs_read(AT_FDCWD, "/proc/self/status", &small, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
}

static void
read_fd_starts_at_the_start(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(1 << 20);
	AUTO(free) char *big = malloc(100001);
	AUTO(close) int fd = -1;
	struct err e;

	(void)state;
	memset(big, 'x', 100000);
	big[100000] = '\0';
	put("f", big);
	fd = openat(dir, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(lseek(fd, 500, SEEK_SET), 500);
	assert_int_equal(fs_read_fd(fd, &b, &e), 0);
	assert_int_equal(b.len, 100000);
	assert_string_equal(b.data, big);
}

static int
create(int fd, const char *name, const void *data, size_t len, mode_t mode,
    struct err *e)
{
	const struct fs_file f = { name, data, len, mode };

	return fs_create_all(fd, &f, 1, e);
}

static void
create_is_exclusive_with_its_mode(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(create(dir, "k", "key", 3, 0640, &e), 0);
	assert_holds("k", "key");
	assert_mode("k", 0640);
	assert_int_equal(create(dir, "k", "new", 3, 0600, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.num, EEXIST);
	assert_holds("k", "key");
	assert_int_equal(create(dir, "empty", NULL, 0, 0444, &e), 0);
	assert_mode("empty", 0444);
	assert_holds("empty", "");
}

static void
create_never_writes_through_a_link(void **state)
{
	struct err e;

	(void)state;
	put("victim", "old");
	assert_int_equal(symlinkat("victim", dir, "k"), 0);
	assert_int_equal(symlinkat("nowhere", dir, "dangling"), 0);
	assert_int_equal(create(dir, "k", "new", 3, 0600, &e), -1);
	assert_int_equal(e.num, EEXIST);
	assert_int_equal(create(dir, "dangling", "new", 3, 0600, &e), -1);
	assert_int_equal(e.num, EEXIST);
	assert_false(exists("nowhere"));
	assert_holds("victim", "old");
}

static void
names_are_single(void **state)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "/etc/x",
		"../x" };
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(bad); i++) {
		assert_int_equal(create(dir, bad[i], "", 0, 0600, &e), -1);
		assert_int_equal(e.num, EINVAL);
		assert_int_equal(fs_replace(dir, bad[i], "", 0, 0600, &e), -1);
		assert_int_equal(e.num, EINVAL);
		assert_int_equal(fs_symlink(dir, bad[i], "t", &e), -1);
		assert_int_equal(e.num, EINVAL);
		assert_int_equal(fs_remove(dir, bad[i], &e), -1);
		assert_int_equal(e.num, EINVAL);
		assert_int_equal(
		    fs_make_dir(dir, bad[i], 0700, NOBODY, &e), -1);
		assert_int_equal(e.num, EINVAL);
	}
	assert_int_equal(count(), 0);
}

static void
replace_new_and_old(void **state)
{
	struct stat before, after;
	struct err e;

	(void)state;
	assert_int_equal(fs_replace(dir, "f", "one", 3, 0644, &e), 0);
	assert_holds("f", "one");
	assert_mode("f", 0644);
	assert_int_equal(fstatat(dir, "f", &before, 0), 0);
	assert_int_equal(fs_replace(dir, "f", "two", 3, 0600, &e), 0);
	assert_holds("f", "two");
	assert_mode("f", 0600);
	assert_int_equal(fstatat(dir, "f", &after, 0), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	assert_int_equal(count(), 1);
}

/* H9: who has the old file open goes on reading the old file. */
static void
replace_leaves_open_readers_alone(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(100);
	AUTO(close) int fd = -1;
	struct err e;

	(void)state;
	put("f", "old content");
	fd = openat(dir, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fs_replace(dir, "f", "new", 3, 0600, &e), 0);
	assert_int_equal(fs_read_fd(fd, &b, &e), 0);
	assert_string_equal(buf_str(&b), "old content");
}

static void
replace_clears_crash_leftovers(void **state)
{
	struct err e;

	(void)state;
	put(".f.new", "half writ");
	assert_int_equal(fs_replace(dir, "f", "whole", 5, 0600, &e), 0);
	assert_holds("f", "whole");
	assert_false(exists(".f.new"));

	put("victim", "old");
	assert_int_equal(symlinkat("victim", dir, ".f.new"), 0);
	assert_int_equal(symlinkat("victim", dir, ".l.new"), 0);
	assert_int_equal(fs_replace(dir, "f", "again", 5, 0600, &e), 0);
	assert_int_equal(fs_symlink(dir, "l", "f", &e), 0);
	assert_holds("f", "again");
	assert_holds("victim", "old");
	assert_int_equal(count(), 3);
}

/* A link in the file's place is replaced, not followed. */
static void
replace_of_a_link(void **state)
{
	struct err e;

	(void)state;
	put("victim", "old");
	assert_int_equal(symlinkat("victim", dir, "f"), 0);
	assert_int_equal(fs_replace(dir, "f", "new", 3, 0600, &e), 0);
	assert_holds("f", "new");
	assert_holds("victim", "old");
}

static void
replace_that_fails_leaves_the_old(void **state)
{
	char name[NAME_MAX + 1];
	struct err e;

	(void)state;
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	assert_int_equal(fs_replace(dir, "d", "x", 1, 0600, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.num, EISDIR);
	assert_int_equal(count(), 1);

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(fs_replace(dir, name, "x", 1, 0600, &e), -1);
	assert_int_equal(e.num, ENAMETOOLONG);
	name[NAME_MAX - 5] = '\0'; /* "." and ".new" fit */
	assert_int_equal(fs_replace(dir, name, "x", 1, 0600, &e), 0);
}

/* H10: a write that fails in the middle (here a file size limit). */
static void
disk_full_leaves_the_old(void **state)
{
	static const char big[8192];
	struct rlimit small = { 4096, RLIM_INFINITY };
	struct err e;
	int status;
	pid_t pid;

	(void)state;
	put("f", "old");
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		struct sigaction ignore = { .sa_handler = SIG_IGN };

		(void)sigaction(SIGXFSZ, &ignore, NULL);
		(void)setrlimit(RLIMIT_FSIZE, &small);
		if (fs_replace(dir, "f", big, sizeof(big), 0600, &e) != -1 ||
		    e.kind != ERR_SYS || e.num != EFBIG)
			_exit(1);
		if (create(dir, "g", big, sizeof(big), 0600, &e) != -1 ||
		    e.num != EFBIG)
			_exit(2);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_holds("f", "old");
	assert_int_equal(count(), 1);
}

/* Staged files are seen by nobody, and published or dropped whole. */
static void
stage_then_publish(void **state)
{
	struct err e;
	int fd;

	(void)state;
	put("f", "old");
	put(".f.new", "a leftover");
	fd = fs_stage(dir, "f", "new", 3, 0640, &e);
	assert_int_not_equal(fd, -1);
	assert_holds("f", "old");
	assert_int_equal(fs_stage_sync(fd, "f", &e), 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed */
	assert_holds("f", "old");
	assert_int_equal(fs_stage_publish(dir, "f", &e), 0);
	assert_holds("f", "new");
	assert_mode("f", 0640);
	assert_int_equal(count(), 1);
}

static void
stage_then_drop(void **state)
{
	struct err e;
	int fd;

	(void)state;
	fd = fs_stage(dir, "f", "new", 3, 0600, &e);
	assert_int_not_equal(fd, -1);
	assert_int_equal(close(fd), 0);
	fs_stage_drop(dir, "f");
	fs_stage_drop(dir, "f");
	assert_int_equal(count(), 0);
	assert_int_equal(fs_stage_publish(dir, "f", &e), -1);
	assert_int_equal(e.num, ENOENT);
	assert_int_equal(fs_stage(dir, "a/b", "", 0, 0600, &e), -1);
	assert_int_equal(e.num, EINVAL);
	assert_int_equal(fs_stage_sync(-1, "f", &e), -1);
	assert_int_equal(e.num, EBADF);
}

static void
create_all_or_none(void **state)
{
	const struct fs_file files[] = {
		{ "cert", "c", 1, 0644 },
		{ "key", "k", 1, 0600 },
		{ "chain", "", 0, 0644 },
	};
	struct err e;

	(void)state;
	assert_int_equal(fs_create_all(dir, files, 3, &e), 0);
	assert_holds("cert", "c");
	assert_holds("key", "k");
	assert_holds("chain", "");
	assert_mode("cert", 0644);
	assert_mode("key", 0600);
	assert_int_equal(count(), 3);

	/* one is there: it stays, and the others go again */
	assert_int_equal(unlinkat(dir, "cert", 0), 0);
	assert_int_equal(unlinkat(dir, "chain", 0), 0);
	assert_int_equal(fs_create_all(dir, files, 3, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.num, EEXIST);
	assert_string_equal(e.what, "create key: File exists");
	assert_holds("key", "k");
	assert_int_equal(count(), 1);
	assert_int_equal(fs_create_all(dir, files, 0, &e), 0);
}

static void
symlink_swaps(void **state)
{
	char to[16];
	struct err e;

	(void)state;
	assert_int_equal(fs_symlink(dir, "live", "../v/1", &e), 0);
	assert_int_equal(fs_symlink(dir, "live", "../v/2", &e), 0);
	assert_int_equal(readlinkat(dir, "live", to, sizeof(to)), 6);
	assert_memory_equal(to, "../v/2", 6);
	assert_int_equal(count(), 1);
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	assert_int_equal(fs_symlink(dir, "d", "x", &e), -1);
	assert_int_equal(e.num, EISDIR);
	assert_int_equal(count(), 2);
}

static void
make_dir_makes_and_mends(void **state)
{
	AUTO(close) int fd = -1;
	AUTO(close) int again = -1;
	struct err e;

	(void)state;
	fd = fs_make_dir(dir, "d", 0755, NOBODY, &e);
	assert_int_not_equal(fd, -1);
	assert_mode("d", 0755);
	assert_int_equal(create(fd, "f", "x", 1, 0600, &e), 0);
	again = fs_make_dir(dir, "d", 0700, NOBODY, &e);
	assert_int_not_equal(again, -1);
	assert_mode("d", 0700);
	assert_int_equal(fcntl(again, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	if (geteuid() == 0) {
		AUTO(close) int owned = fs_make_dir(dir, "d", 0750, 12, 34, &e);
		struct stat st;

		assert_int_equal(fstat(owned, &st), 0);
		assert_int_equal(st.st_uid, 12);
		assert_int_equal(st.st_gid, 34);
		assert_mode("d", 0750);
	}
}

static void
make_dir_wants_a_folder(void **state)
{
	struct err e;

	(void)state;
	put("f", "x");
	assert_int_equal(fs_make_dir(dir, "f", 0700, NOBODY, &e), -1);
	assert_int_equal(e.num, ENOTDIR);
	assert_int_equal(mkdirat(dir, "elsewhere", 0755), 0);
	assert_int_equal(symlinkat("elsewhere", dir, "l"), 0);
	assert_int_equal(fs_make_dir(dir, "l", 0700, NOBODY, &e), -1);
	assert_true(e.num == ENOTDIR || e.num == ELOOP);
	assert_int_equal(fs_open_dir(dir, "l", &e), -1);
	assert_true(e.num == ENOTDIR || e.num == ELOOP);
	assert_int_equal(fs_open_dir(dir, "none", &e), -1);
	assert_int_equal(e.num, ENOENT);
}

static void
remove_files_and_folders(void **state)
{
	AUTO(close) int sub = -1;
	struct err e;

	(void)state;
	put("f", "x");
	put("kept", "x");
	assert_int_equal(fs_remove(dir, "f", &e), 0);
	assert_int_equal(fs_remove(dir, "f", &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.num, ENOENT);

	sub = fs_make_dir(dir, "d", 0700, NOBODY, &e);
	assert_int_equal(create(sub, "a", "x", 1, 0600, &e), 0);
	assert_int_equal(symlinkat("../kept", sub, "b"), 0);
	assert_int_equal(fs_remove(dir, "d", &e), 0);
	assert_false(exists("d"));
	assert_holds("kept", "x"); /* the link went, not what it names */

	assert_int_equal(symlinkat("kept", dir, "l"), 0);
	assert_int_equal(fs_remove(dir, "l", &e), 0);
	assert_holds("kept", "x");
}

static void
remove_is_one_level(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	assert_int_equal(mkdirat(dir, "d/sub", 0700), 0);
	assert_int_equal(fs_remove(dir, "d", &e), -1);
	assert_int_equal(e.num, EISDIR);
	assert_non_null(strstr(e.what, "d: remove sub"));
	assert_int_equal(unlinkat(dir, "d/sub", AT_REMOVEDIR), 0);
}

static int
stop_at_once(void *arg, const char *name)
{
	(void)name;
	++*(int *)arg;
	return -1;
}

static void
each_visits_and_stops(void **state)
{
	struct err e;
	int n = 0;

	(void)state;
	put("a", "");
	put(".b", "");
	put("c", "");
	assert_int_equal(count(), 3);
	assert_int_equal(count(), 3); /* no reading position is left behind */
	assert_int_equal(fs_each(dir, stop_at_once, &n, &e), -1);
	assert_int_equal(n, 1);
	assert_int_equal(fs_each(-1, count_one, &n, &e), -1);
	assert_int_equal(e.num, EBADF);
}

static void
lock_names_its_holder(void **state)
{
	char want[64];
	struct err e;
	int fd, again, pipes[2], status;
	char c = 0;
	pid_t pid;

	(void)state;
	fd = fs_lock(dir, "lock", &e);
	assert_int_not_equal(fd, -1);
	assert_mode("lock", 0600);
	assert_int_equal(fs_lock(dir, "lock", &e), -1);
	assert_int_equal(e.kind, ERR_STALE);
	(void)snprintf(
	    want, sizeof(want), "lock: held by process %ld", (long)getpid());
	assert_string_equal(e.what, want);
	(void)close(fd);

	/* A holder that dies lets go, whatever it wrote. */
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		if (fs_lock(dir, "lock", &e) != -1)
			(void)!write(pipes[1], "x", 1);
		(void)pause();
		_exit(0);
	}
	assert_int_equal(read(pipes[0], &c, 1), 1);
	assert_int_equal(fs_lock(dir, "lock", &e), -1);
	assert_int_equal(e.kind, ERR_STALE);
	(void)snprintf(
	    want, sizeof(want), "lock: held by process %ld", (long)pid);
	assert_string_equal(e.what, want);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	again = fs_lock(dir, "lock", &e);
	assert_int_not_equal(again, -1);
	(void)close(again);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
}

static void
lock_never_writes_through_a_link(void **state)
{
	struct err e;

	(void)state;
	put("victim", "old");
	assert_int_equal(symlinkat("victim", dir, "lock"), 0);
	assert_int_equal(fs_lock(dir, "lock", &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.num, ELOOP);
	assert_holds("victim", "old");
}

static void
memfd_is_sealed(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(100);
	AUTO(close) int fd = -1;
	AUTO(close) int plain = -1;
	struct err e;

	(void)state;
	fd = fs_memfd("config", "bytes", 5, &e);
	assert_int_not_equal(fd, -1);
	assert_true(fs_is_sealed(fd));
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 100), -1);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	assert_int_equal(fs_read_fd(fd, &b, &e), 0);
	assert_string_equal(buf_str(&b), "bytes");

	put("f", "bytes");
	plain = openat(dir, "f", O_RDONLY | O_CLOEXEC);
	assert_false(fs_is_sealed(plain));
	assert_false(fs_is_sealed(-1));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(read_appends_within_the_limit),
		T(read_of_what_is_no_file),
		T(read_of_a_file_without_size),
		T(read_fd_starts_at_the_start),
		T(create_is_exclusive_with_its_mode),
		T(create_never_writes_through_a_link),
		T(names_are_single),
		T(replace_new_and_old),
		T(replace_leaves_open_readers_alone),
		T(replace_clears_crash_leftovers),
		T(replace_of_a_link),
		T(replace_that_fails_leaves_the_old),
		T(disk_full_leaves_the_old),
		T(stage_then_publish),
		T(stage_then_drop),
		T(create_all_or_none),
		T(symlink_swaps),
		T(make_dir_makes_and_mends),
		T(make_dir_wants_a_folder),
		T(remove_files_and_folders),
		T(remove_is_one_level),
		T(each_visits_and_stops),
		T(lock_names_its_holder),
		T(lock_never_writes_through_a_link),
		T(memfd_is_sealed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
