/* SPDX-License-Identifier: ISC */
/*
 * Installing certificates: what stands on disk afterwards, after a crash at
 * every system call, and on a disk that is full at every write (H9, H10).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/install.h"
#include "daemon/supervisor/pemtext.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/fs.h"
#include "lib/ipc/ipc.h"
#include "tests/unit/crash.h"
#include "tests/unit/folder.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define B64  "MIIBszCCAVmgAwIBAgIUQYzkYcJmzU0wCgYIKoZIzj0EAwIwFTETMBEGA1UEAwwK\n"
#define CERT(tag)                                   \
	"-----BEGIN CERTIFICATE-----\n" B64 B64 tag \
	"\n-----END CERTIFICATE-----\n"
#define KEY(tag) \
	"-----BEGIN PRIVATE KEY-----\n" tag "\n-----END PRIVATE KEY-----\n"

struct world {
	char path[64];
	int top, versions, live, keeper;
};

static struct world w;

static void
put(int dir, const char *name, const char *text)
{
	struct err e;

	if (fs_replace(dir, name, text, strlen(text), 0600, &e) == -1)
		fail_msg("%s", e.what);
}

static void
world_fill(void)
{
	w.top = open(w.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_not_equal(w.top, -1);
	w.versions = folder_make(w.top, "versions");
	w.live = folder_make(w.top, "live");
	w.keeper = folder_make(w.top, "keeper");
	put(w.keeper, "cert-" ID_A ".pem", KEY("QQ=="));
	put(w.keeper, "cert-" ID_B ".pem", KEY("Qg=="));
}

static int
world_new(void **state)
{
	(void)state;
	folder_new(w.path, sizeof(w.path), "install");
	world_fill();
	return 0;
}

static void
world_close(void)
{
	(void)close(w.versions);
	(void)close(w.live);
	(void)close(w.keeper);
	(void)close(w.top);
}

static int
rm_version(const char *number)
{
	char path[PATH_MAX];

	(void)snprintf(
	    path, sizeof(path), "%s/versions/www/%s", w.path, number);
	return folder_remove(path);
}

static int
world_end(void **state)
{
	(void)state;
	world_close();
	return folder_remove(w.path);
}

static int
install_as(const char *key_id, const char *leaf, const char *chain,
    uint32_t *version, struct err *e)
{
	AUTO(buf_done) struct buf pem = BUF_INIT(4u << 20);
	AUTO(close) int fd = -1;
	struct install in = { .versions = w.versions,
		.live = w.live,
		.keeper = w.keeper,
		.keeper_uid = getuid(),
		.name = "www",
		.key_id = key_id,
		.leaf_len = strlen(leaf),
		.chain_len = strlen(chain) };

	buf_puts(&pem, leaf);
	buf_puts(&pem, chain);
	fd = fs_memfd("pem", pem.data, pem.len, e);
	assert_int_not_equal(fd, -1);
	in.pem = fd;
	return install_run(&in, version, e);
}

static uint32_t
install_ok(const char *key_id, const char *leaf, const char *chain)
{
	uint32_t version = 0;
	struct err e;

	if (install_as(key_id, leaf, chain, &version, &e) == -1)
		fail_msg("%s", e.what);
	return version;
}

/* The names in a folder, sorted, separated by spaces. */
static const char *
names(const char *sub)
{
	static char out[4096];
	char path[PATH_MAX];
	struct dirent **list;
	int i, n;

	(void)snprintf(path, sizeof(path), "%s/%s", w.path, sub);
	n = scandir(path, &list, NULL, alphasort);
	out[0] = '\0';
	for (i = 0; i < n; i++) {
		if (strcmp(list[i]->d_name, ".") != 0 &&
		    strcmp(list[i]->d_name, "..") != 0) {
			size_t len = strlen(out);

			(void)snprintf(out + len, sizeof(out) - len, "%s%s",
			    len > 0 ? " " : "", list[i]->d_name);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return out;
}

static void
assert_file(const char *sub, const char *text, mode_t mode)
{
	AUTO(buf_done) struct buf have = BUF_INIT(4u << 20);
	char path[PATH_MAX];
	AUTO(close) int fd = -1;
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", w.path, sub);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(fs_read_fd(fd, &have, NULL), 0);
	assert_string_equal(buf_str(&have), text);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	assert_int_equal(st.st_uid, geteuid());
}

static void
assert_live(const char *target)
{
	char have[PATH_MAX];
	ssize_t n = readlinkat(w.live, "www", have, sizeof(have) - 1);

	assert_true(n > 0);
	have[n] = '\0';
	assert_string_equal(have, target);
}

static void
first(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(
	    install_ok(ID_A, CERT("AAAA"), CERT("BBBB") CERT("CCCC")), 1);
	assert_live("../versions/www/1");
	assert_string_equal(names("versions/www"), "1");
	assert_string_equal(names("live"), "www");
	assert_string_equal(
	    names("live/www"), "cert.pem chain.pem fullchain.pem privkey.pem");
	assert_file("live/www/cert.pem", CERT("AAAA"), 0644);
	assert_file("live/www/chain.pem", CERT("BBBB") CERT("CCCC"), 0644);
	assert_file("live/www/fullchain.pem",
	    CERT("AAAA") CERT("BBBB") CERT("CCCC"), 0644);
	assert_file("live/www/privkey.pem", KEY("QQ=="), 0600);
	assert_int_equal(fstatat(w.versions, "www/1", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
}

static void
no_chain(void **state)
{
	(void)state;
	assert_int_equal(install_ok(ID_A, CERT("AAAA"), ""), 1);
	assert_file("live/www/chain.pem", "", 0644);
	assert_file("live/www/fullchain.pem", CERT("AAAA"), 0644);
}

static void
again(void **state)
{
	(void)state;
	assert_int_equal(install_ok(ID_A, CERT("AAAA"), CERT("BBBB")), 1);
	assert_int_equal(install_ok(ID_A, CERT("AAAA"), CERT("BBBB")), 1);
	assert_string_equal(names("versions/www"), "1");
	/* the same certificate with another key is another version */
	assert_int_equal(install_ok(ID_B, CERT("AAAA"), CERT("BBBB")), 2);
	assert_live("../versions/www/2");
	assert_file("live/www/privkey.pem", KEY("Qg=="), 0600);
	assert_file("versions/www/1/privkey.pem", KEY("QQ=="), 0600);
	/* and going back is a new version, not an old number */
	assert_int_equal(install_ok(ID_A, CERT("AAAA"), CERT("BBBB")), 3);
}

static void
pruned(void **state)
{
	static const char *const leaves[] = { CERT("AAAA"), CERT("BBBB"),
		CERT("CCCC"), CERT("DDDD"), CERT("EEEE") };
	uint32_t i;

	(void)state;
	for (i = 0; i < 14; i++)
		assert_int_equal(install_ok(ID_A, leaves[i % 5], ""), i + 1);
	assert_string_equal(names("versions/www"), "12 13 14");
	assert_live("../versions/www/14");
	/* what is not ours is left alone */
	assert_int_equal(mkdirat(w.versions, "www/0", 0755), 0);
	assert_int_equal(mkdirat(w.versions, "www/007", 0755), 0);
	assert_int_equal(mkdirat(w.versions, "www/notes", 0755), 0);
	assert_int_equal(install_ok(ID_B, CERT("AAAA"), ""), 15);
	assert_string_equal(names("versions/www"), "0 007 13 14 15 notes");
}

static void
rolled_back(void **state)
{
	struct err e;

	(void)state;
	(void)install_ok(ID_A, CERT("AAAA"), "");
	(void)install_ok(ID_A, CERT("BBBB"), "");
	(void)install_ok(ID_A, CERT("CCCC"), "");
	assert_int_equal(fs_symlink(w.live, "www", "../versions/www/1", &e), 0);
	/* what is live again is live already */
	assert_int_equal(install_ok(ID_A, CERT("AAAA"), ""), 1);
	assert_string_equal(names("versions/www"), "1 2 3");
	assert_int_equal(install_ok(ID_A, CERT("DDDD"), ""), 4);
	assert_string_equal(names("versions/www"), "2 3 4");
}

static void
leftovers(void **state)
{
	struct err e;
	int fd;

	(void)state;
	(void)install_ok(ID_A, CERT("AAAA"), "");
	fd = openat(w.versions, "www", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)close(folder_make(fd, "2"));
	(void)close(fd);
	fd = openat(w.versions, "www/2", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(fd, "cert.pem", "half");
	(void)close(fd);
	assert_int_equal(symlinkat("nowhere", w.live, ".www.new"), 0);
	assert_int_equal(install_ok(ID_A, CERT("BBBB"), ""), 2);
	assert_string_equal(names("versions/www"), "1 2");
	assert_string_equal(names("live"), "www");

	/* a crash before it went live */
	assert_int_equal(fs_symlink(w.live, "www", "../versions/www/1", &e), 0);
	assert_int_equal(install_ok(ID_A, CERT("BBBB"), ""), 2);
	assert_live("../versions/www/2");
	/* and then another certificate */
	assert_int_equal(fs_symlink(w.live, "www", "../versions/www/1", &e), 0);
	assert_int_equal(install_ok(ID_A, CERT("CCCC"), ""), 3);
	assert_live("../versions/www/3");
}

/* The live version was damaged by somebody: the same is installed anew. */
static void
damaged(void **state)
{
	(void)state;
	(void)install_ok(ID_A, CERT("AAAA"), "");
	assert_int_equal(unlinkat(w.versions, "www/1/privkey.pem", 0), 0);
	assert_int_equal(install_ok(ID_A, CERT("AAAA"), ""), 2);
	assert_file("live/www/privkey.pem", KEY("QQ=="), 0600);
	assert_int_equal(unlinkat(w.live, "www", 0), 0);
	assert_int_equal(install_ok(ID_A, CERT("AAAA"), ""), 2);
	assert_live("../versions/www/2");
}

static void
refused(const char *key_id, const char *leaf, const char *chain,
    enum err_kind kind, const char *text)
{
	uint32_t version;
	struct err e = { 0 };

	assert_int_equal(install_as(key_id, leaf, chain, &version, &e), -1);
	if (e.kind != kind || strstr(e.what, text) == NULL)
		fail_msg("%s: %s, want %s: %s", err_kind_name(e.kind), e.what,
		    err_kind_name(kind), text);
	assert_string_equal(names("live"), "");
	assert_string_equal(names("versions/www"), "");
}

static void
bad_text(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"x",
		"-----BEGIN CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\n" B64,
		"-----BEGIN CERTIFICATE-----\n" B64 "-----END CERTIFICATE-----",
		"-----BEGIN CERTIFICATE-----\r\nAAAA\r\n"
		"-----END CERTIFICATE-----\r\n",
		"-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nA===\n"
		"-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nAA=A\n"
		"-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nAAAA\nAAAA\n"
		"-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nAA==\n" B64
		"-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nAA A\n"
		"-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\n\nAAAA\n"
		"-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\n"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		"AAAAAAA\n-----END CERTIFICATE-----\n",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"
		"\n",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END PRIVATE "
		"KEY-----\n",
		" " CERT("AAAA"),
		CERT("AAAA") "\n",
		CERT("AAAA") "# comment\n",
		"-----END CERTIFICATE-----\n",
		"* * * * * root id\n" CERT("AAAA"),
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(bad); i++) {
		refused(ID_A, bad[i], CERT("AAAA"), ERR_PROTO,
		    i == 0 ? "chain of" : "not PEM certificates");
		if (*bad[i] != '\0')
			refused(ID_A, CERT("AAAA"), bad[i], ERR_PROTO,
			    "not PEM certificates");
	}
	/* one leaf, not two: the boundary is the engine's word */
	refused(ID_A, CERT("AAAA") CERT("BBBB"), "", ERR_PROTO,
	    "not PEM certificates");
}

static void
pem_with_nul(void **state)
{
	char text[] = CERT("AAAA");

	(void)state;
	assert_int_equal(pemtext_certs(text, sizeof(text) - 1), 1);
	assert_int_equal(pemtext_certs(text, sizeof(text)), -1);
	text[40] = '\0';
	assert_int_equal(pemtext_certs(text, sizeof(text) - 1), -1);
	assert_int_equal(pemtext_certs(text, 0), 0);
}

static void
refused_fd(int fd, size_t leaf, size_t chain, const char *text)
{
	const struct install in = { .versions = w.versions,
		.live = w.live,
		.keeper = w.keeper,
		.keeper_uid = getuid(),
		.name = "www",
		.key_id = ID_A,
		.pem = fd,
		.leaf_len = leaf,
		.chain_len = chain };
	struct err e = { 0 };
	uint32_t version;

	assert_int_equal(install_run(&in, &version, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	if (strstr(e.what, text) == NULL)
		fail_msg("%s, want %s", e.what, text);
}

static void
bad_memfd(void **state)
{
	const char *cert = CERT("AAAA");
	size_t len = strlen(cert);
	AUTO(close) int sealed = fs_memfd("pem", cert, len, NULL);
	AUTO(close) int empty = fs_memfd("pem", "", 0, NULL);
	AUTO(close) int file = -1;
	int pipes[2];

	(void)state;
	refused_fd(sealed, len - 1, 0, "want");
	refused_fd(sealed, len, 1, "want");
	refused_fd(sealed, IPC_PEM_MAX + 1, 0, "chain of");
	refused_fd(sealed, len, UINT32_MAX, "chain of");
	refused_fd(sealed, UINT32_MAX, UINT32_MAX, "chain of");
	refused_fd(sealed, IPC_PEM_MAX, IPC_PEM_MAX, "chain of");
	refused_fd(empty, 0, 0, "chain of");
	put(w.top, "file", cert);
	file = openat(w.top, "file", O_RDWR | O_CLOEXEC);
	refused_fd(file, len, 0, "not a sealed memfd");
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	refused_fd(pipes[0], len, 0, "not a sealed memfd");
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	assert_string_equal(names("versions"), "");
}

static void
bad_key(void **state)
{
	static char large[32 << 10];
	const char *name = "cert-" ID_A ".pem";

	(void)state;
	(void)unlinkat(w.keeper, name, 0);
	refused(ID_A, CERT("AAAA"), "", ERR_SYS, "No such file");
	put(w.top, "secret", KEY("QQ=="));
	assert_int_equal(symlinkat("../secret", w.keeper, name), 0);
	refused(ID_A, CERT("AAAA"), "", ERR_SYS, "Too many levels");
	(void)unlinkat(w.keeper, name, 0);
	assert_int_equal(mkfifoat(w.keeper, name, 0600), 0);
	refused(ID_A, CERT("AAAA"), "", ERR_CONFIG, "not a regular file");
	(void)unlinkat(w.keeper, name, 0);
	assert_int_equal(mkdirat(w.keeper, name, 0700), 0);
	refused(ID_A, CERT("AAAA"), "", ERR_CONFIG, "not a regular file");
	(void)unlinkat(w.keeper, name, AT_REMOVEDIR);
	put(w.keeper, name, "");
	refused(ID_A, CERT("AAAA"), "", ERR_LIMIT, "0 bytes");
	put(w.keeper, name, "root:x:0:0:root:/root:/bin/bash\n");
	refused(ID_A, CERT("AAAA"), "", ERR_CONFIG, "not a private key");
	put(w.keeper, name, "-----BEGIN EC PRIVATE KEY-----\nAAAA\n");
	refused(ID_A, CERT("AAAA"), "", ERR_CONFIG, "not a private key");
	memset(large, 'A', sizeof(large) - 1);
	put(w.keeper, name, large);
	refused(ID_A, CERT("AAAA"), "", ERR_LIMIT, "32767 bytes");
}

static void
wrong_owner(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(
	    fchownat(w.keeper, "cert-" ID_A ".pem", 12345, (gid_t)-1, 0), 0);
	refused(ID_A, CERT("AAAA"), "", ERR_CONFIG, "of the keeper's");
}

static void
in_the_way(void **state)
{
	uint32_t version;
	struct err e;

	(void)state;
	put(w.live, "www", "mine");
	assert_int_equal(install_as(ID_A, CERT("AAAA"), "", &version, &e), -1);
	assert_non_null(strstr(e.what, "in the way"));
	assert_file("live/www", "mine", 0600);
	(void)unlinkat(w.live, "www", 0);
	assert_int_equal(mkdirat(w.live, "www", 0755), 0);
	assert_int_equal(install_as(ID_A, CERT("AAAA"), "", &version, &e), -1);
	assert_non_null(strstr(e.what, "in the way"));
	(void)unlinkat(w.live, "www", AT_REMOVEDIR);
	/* a foreign symlink is replaced, what it points at is not touched */
	put(w.top, "other", "mine");
	assert_int_equal(symlinkat("../other", w.live, "www"), 0);
	assert_int_equal(install_ok(ID_A, CERT("AAAA"), ""), 1);
	assert_file("other", "mine", 0600);
	/* a symlink for the folder of versions is not followed */
	assert_int_equal(renameat(w.versions, "www", w.top, "moved"), 0);
	assert_int_equal(symlinkat("../moved", w.versions, "www"), 0);
	assert_int_equal(install_as(ID_A, CERT("BBBB"), "", &version, &e), -1);
	assert_live("../versions/www/1");
}

/* Whatever happened: one of the two, whole. */
static void
assert_pair(bool may_be_new)
{
	AUTO(close) int fd = openat(w.live, "www", O_RDONLY | O_DIRECTORY);
	AUTO(buf_done) struct buf cert = BUF_INIT(1u << 20);
	AUTO(buf_done) struct buf key = BUF_INIT(1u << 20);
	struct err e;

	assert_int_not_equal(fd, -1);
	assert_int_equal(fs_read(fd, "fullchain.pem", &cert, &e), 0);
	assert_int_equal(fs_read(fd, "privkey.pem", &key, &e), 0);
	if (may_be_new && strcmp(buf_str(&cert), CERT("BBBB")) == 0) {
		assert_string_equal(buf_str(&key), KEY("Qg=="));
		return;
	}
	assert_string_equal(buf_str(&cert), CERT("AAAA"));
	assert_string_equal(buf_str(&key), KEY("QQ=="));
}

static int
install_b(void)
{
	uint32_t version;

	return install_as(ID_B, CERT("BBBB"), "", &version, NULL);
}

static void
crash_anywhere(void **state)
{
	unsigned n;
	bool done = false;

	for (n = 1; !done; n++) {
		if (n > 1)
			(void)world_new(state);
		(void)install_ok(ID_A, CERT("AAAA"), "");
		done = crash_at(n, install_b);
		assert_pair(true);
		assert_int_equal(install_ok(ID_B, CERT("BBBB"), ""), 2);
		assert_string_equal(names("versions/www"), "1 2");
		assert_string_equal(names("live"), "www");
		assert_file("live/www/fullchain.pem", CERT("BBBB"), 0644);
		assert_file("live/www/privkey.pem", KEY("Qg=="), 0600);
		if (!done)
			(void)world_end(state);
	}
	assert_true(n > 40); /* it did stop at every one */
}

/* A small file system of our own over the world's folder. */
static void
small_disk(const char *options)
{
	static bool own;

	if (geteuid() != 0)
		skip();
	if (!own &&
	    (unshare(CLONE_NEWNS) == -1 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1))
		skip();
	own = true;
	world_close();
	if (mount("none", w.path, "tmpfs", 0, options) == -1)
		skip();
	world_fill();
}

static void
disk_again(const char *options)
{
	assert_int_equal(
	    mount("none", w.path, "tmpfs", MS_REMOUNT, options), 0);
}

static void
disk_gone(void)
{
	world_close();
	assert_int_equal(umount2(w.path, MNT_DETACH), 0);
	w.top = open(w.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w.versions = w.live = w.keeper = -1;
}

/* Every creation fails once: folder, four files, symlink. */
static void
no_inodes(void **state)
{
	char options[64];
	unsigned n, failures = 0;
	uint32_t version = 0;
	struct err e;

	(void)state;
	small_disk("size=1m,nr_inodes=64");
	(void)install_ok(ID_A, CERT("AAAA"), "");
	for (n = 12; version == 0 && n < 64; n++) {
		(void)snprintf(
		    options, sizeof(options), "size=1m,nr_inodes=%u", n);
		if (mount("none", w.path, "tmpfs", MS_REMOUNT, options) == -1)
			continue; /* fewer than there are */
		if (install_as(ID_B, CERT("BBBB"), "", &version, &e) == -1) {
			failures++;
			assert_int_equal(e.kind, ERR_SYS);
			assert_int_equal(e.num, ENOSPC);
			assert_pair(false);
			assert_string_equal(names("live"), "www");
			if (strcmp(names("versions/www"), "1 2") != 0)
				assert_string_equal(names("versions/www"), "1");
		}
	}
	assert_int_equal(version, 2);
	assert_in_range(failures, 5, 8);
	assert_pair(true);
	disk_gone();
}

/* The same with blocks; a large chain takes many. */
static void
disk_full(void **state)
{
	static char chain[200 << 10];
	char options[64];
	uint32_t version = 0;
	unsigned kb, failures = 0;
	size_t len = 0;
	struct err e;

	(void)state;
	while (len + sizeof(CERT("AAAA")) < sizeof(chain)) {
		memcpy(chain + len, CERT("AAAA"), sizeof(CERT("AAAA")));
		len += sizeof(CERT("AAAA")) - 1;
	}
	small_disk("size=2m");
	(void)install_ok(ID_A, CERT("AAAA"), "");
	for (kb = 24; version == 0 && kb < 2048; kb += 4) {
		(void)snprintf(options, sizeof(options), "size=%uk", kb);
		disk_again(options);
		if (install_as(ID_B, CERT("BBBB"), chain, &version, &e) == 0)
			break;
		failures++;
		assert_int_equal(e.num, ENOSPC);
		assert_pair(false);
		assert_string_equal(names("versions/www"), "1");
		assert_string_equal(names("live"), "www");
	}
	assert_int_equal(version, 2);
	assert_true(failures > 50);
	assert_file("live/www/chain.pem", chain, 0644);
	disk_gone();
}

/* What a server sees that opens live/www while it is replaced. */
static void
reader(void **state)
{
	pid_t pid = fork();
	int status;
	uint32_t i;

	(void)state;
	if (pid == 0) {
		AUTO(close) int fd = -1;

		/* make sure that there is one */
		while (
		    (fd = openat(w.live, "www", O_RDONLY | O_DIRECTORY)) == -1)
			(void)sched_yield();
		for (i = 0; i < 2000; i++) {
			AUTO(buf_done) struct buf cert = BUF_INIT(4096);
			AUTO(buf_done) struct buf key = BUF_INIT(4096);
			AUTO(close)
			int dir = openat(w.live, "www", O_RDONLY | O_DIRECTORY);
			struct stat st;
			bool a;

			/* the link is always there; where it led to when it
			 * was read may be pruned three versions later */
			if (fstatat(w.live, "www", &st, AT_SYMLINK_NOFOLLOW) ==
			    -1)
				_exit(1);
			if (dir == -1)
				continue;
			if (fs_read(dir, "fullchain.pem", &cert, NULL) == -1 ||
			    fs_read(dir, "privkey.pem", &key, NULL) == -1)
				continue; /* three versions later: pruned */
			a = strcmp(buf_str(&cert), CERT("AAAA")) == 0;
			if (strcmp(buf_str(&key),
				a ? KEY("QQ==") : KEY("Qg==")) != 0)
				_exit(2);
		}
		_exit(0);
	}
	for (i = 0; waitpid(pid, &status, WNOHANG) == 0; i++) {
		if (i % 2 == 0)
			(void)install_ok(ID_A, CERT("AAAA"), "");
		else
			(void)install_ok(ID_B, CERT("BBBB"), "");
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* "1 live whole; PEM", and so on. */
static const char *
find(const char *key_id, uint32_t skip)
{
	static char out[4096];
	AUTO(buf_done) struct buf pem = BUF_INIT(sizeof(out));
	const struct install in = { .versions = w.versions,
		.live = w.live,
		.keeper = w.keeper,
		.keeper_uid = getuid(),
		.name = "www",
		.key_id = key_id };
	struct install_found f;
	struct err e;

	if (install_find(&in, skip, &f, &pem, &e) == -1)
		return "error";
	(void)snprintf(out, sizeof(out), "%u%s%s; %s", f.version,
	    f.live ? " live" : "", f.whole ? " whole" : "", buf_str(&pem));
	return out;
}

static void
found(void **state)
{
	(void)state;
	assert_string_equal(find("", 0), "0; ");
	(void)install_ok(ID_A, CERT("AAAA"), CERT("CCCC"));
	assert_string_equal(
	    find("", 0), "1 live whole; " CERT("AAAA") CERT("CCCC"));
	assert_string_equal(find("", 1), "0; ");
	(void)install_ok(ID_B, CERT("BBBB"), "");
	(void)install_ok(ID_A, CERT("DDDD"), "");
	assert_string_equal(find(ID_A, 0), "3 live whole; " CERT("DDDD"));
	assert_string_equal(find("", 1), "2 whole; " CERT("BBBB"));
	assert_string_equal(find("", 2), "1 whole; " CERT("AAAA") CERT("CCCC"));
	assert_string_equal(find("", 3), "0; ");
	/* somebody else's idea of what is live */
	assert_int_equal(unlinkat(w.live, "www", 0), 0);
	assert_int_equal(symlinkat("../versions/www/1", w.live, "www"), 0);
	assert_string_equal(
	    find("", 0), "1 live whole; " CERT("AAAA") CERT("CCCC"));
	assert_string_equal(find("", 1), "3 whole; " CERT("DDDD"));
	assert_int_equal(unlinkat(w.live, "www", 0), 0);
	assert_string_equal(find("", 0), "3 whole; " CERT("DDDD"));
	assert_int_equal(mkdirat(w.live, "www", 0755), 0);
	assert_string_equal(find("", 0), "3 whole; " CERT("DDDD"));
}

static void
found_damaged(void **state)
{
	int dir;

	(void)state;
	(void)install_ok(ID_A, CERT("AAAA"), CERT("CCCC"));
	dir = openat(w.versions, "www/1", O_RDONLY | O_DIRECTORY);
	assert_int_not_equal(dir, -1);
	/* another key, whole as it is; the keeper knows */
	put(dir, "privkey.pem", KEY("Qg=="));
	assert_string_equal(
	    find(ID_A, 0), "1 live; " CERT("AAAA") CERT("CCCC"));
	assert_string_equal(
	    find("", 0), "1 live whole; " CERT("AAAA") CERT("CCCC"));
	assert_string_equal(
	    find(ID_C, 0), "1 live whole; " CERT("AAAA") CERT("CCCC"));
	put(dir, "privkey.pem", "");
	assert_string_equal(find("", 0), "1 live; " CERT("AAAA") CERT("CCCC"));
	put(dir, "privkey.pem", KEY("QQ=="));
	put(dir, "cert.pem", "");
	assert_string_equal(
	    find(ID_A, 0), "1 live; " CERT("AAAA") CERT("CCCC"));
	put(dir, "cert.pem", CERT("AAAA"));
	assert_string_equal(
	    find(ID_A, 0), "1 live whole; " CERT("AAAA") CERT("CCCC"));
	put(dir, "fullchain.pem", "");
	assert_string_equal(find(ID_A, 0), "1 live; ");
	/* all empty, which is the same as each other */
	put(dir, "cert.pem", "");
	put(dir, "chain.pem", "");
	assert_string_equal(find(ID_A, 0), "1 live; ");
	put(dir, "cert.pem", CERT("AAAA"));
	put(dir, "chain.pem", CERT("CCCC"));
	assert_int_equal(unlinkat(dir, "fullchain.pem", 0), 0);
	assert_int_equal(
	    symlinkat("cert.pem", dir, "fullchain.pem"), 0); /* not followed */
	assert_string_equal(find(ID_A, 0), "1 live; ");
	/* and mended: what is live is not, so there is a new version */
	assert_int_equal(install_ok(ID_A, CERT("AAAA"), CERT("CCCC")), 2);
	assert_string_equal(
	    find(ID_A, 0), "2 live whole; " CERT("AAAA") CERT("CCCC"));
	(void)close(dir);
	/* the live one is gone altogether */
	(void)rm_version("2");
	assert_string_equal(find(ID_A, 0), "2 live; ");
	assert_string_equal(find(ID_A, 1), "1; ");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_new, world_end)
	const struct CMUnitTest tests[] = { T(first), T(no_chain), T(again),
		T(pruned), T(rolled_back), T(leftovers), T(damaged),
		T(bad_text), T(pem_with_nul), T(bad_memfd), T(bad_key),
		T(wrong_owner), T(in_the_way), T(crash_anywhere), T(no_inodes),
		T(disk_full), T(reader), T(found), T(found_damaged) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
