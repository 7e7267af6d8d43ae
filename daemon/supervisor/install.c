/* SPDX-License-Identifier: ISC */
/* Versions of certificates, and which one is live. */
#include "daemon/supervisor/install.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/supervisor/pemtext.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/ipc/ipc.h"

#define KEY_MAX      (16u << 10)
#define KEY_BEGIN    "-----BEGIN PRIVATE KEY-----\n"
#define KEY_END      "-----END PRIVATE KEY-----\n"
#define VERSIONS_MAX 64 /* of one name that are looked at in one go */
#define TARGET_MAX   (sizeof("../versions//4294967295") + NAME_MAX)

/* The numbers in versions/<name>, the highest ones, ascending. */
struct listing {
	uint32_t n;
	uint32_t number[VERSIONS_MAX];
};

static int
pem_read(const struct install *in, struct buf *pem, struct err *e)
{
	size_t len = in->leaf_len + in->chain_len;
	struct stat st;

	if (in->leaf_len == 0 || in->leaf_len > IPC_PEM_MAX ||
	    in->chain_len > IPC_PEM_MAX || len > IPC_PEM_MAX)
		return err_set(e, ERR_PROTO, 0, "chain of %zu bytes", len);
	if (!fs_is_sealed(in->pem))
		return err_set(e, ERR_PROTO, 0, "not a sealed memfd");
	if (fstat(in->pem, &st) == -1)
		return err_set(e, ERR_SYS, errno, "memfd");
	if (st.st_size < 0 || (size_t)st.st_size != len)
		return err_set(e, ERR_PROTO, 0, "memfd of %jd bytes, want %zu",
		    (intmax_t)st.st_size, len);
	if (fs_read_fd(in->pem, pem, e) == -1)
		return err_wrap(e, "memfd");
	if (pem->len != len || pemtext_certs(pem->data, in->leaf_len) != 1 ||
	    pemtext_certs(pem->data + in->leaf_len, in->chain_len) == -1)
		return err_set(e, ERR_PROTO, 0, "not PEM certificates");
	return 0;
}

static int
key_read(const struct install *in, struct buf *key, struct err *e)
{
	char name[sizeof("cert-.pem") + IPC_KEY_ID];
	AUTO(close) int fd = -1;
	struct stat st;

	assert(str_is_hex(in->key_id, IPC_KEY_ID - 1));
	(void)snprintf(name, sizeof(name), "cert-%s.pem", in->key_id);
	/* the keeper owns that folder: it may hold anything */
	fd = openat(in->keeper, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd == -1)
		return err_set(e, ERR_SYS, errno, "keeper/%s", name);
	if (fstat(fd, &st) == -1)
		return err_set(e, ERR_SYS, errno, "keeper/%s", name);
	if (!S_ISREG(st.st_mode) || st.st_uid != in->keeper_uid)
		return err_set(e, ERR_CONFIG, 0,
		    "keeper/%s: not a regular file of the keeper's", name);
	if (st.st_size <= 0 || st.st_size > KEY_MAX)
		return err_set(e, ERR_LIMIT, 0, "keeper/%s: %jd bytes", name,
		    (intmax_t)st.st_size);
	buf_reserve(key, KEY_MAX);
	if (fs_read_fd(fd, key, e) == -1)
		return err_wrap(e, "keeper/%s", name);
	if (key->len < strlen(KEY_BEGIN) + strlen(KEY_END) ||
	    memcmp(key->data, KEY_BEGIN, strlen(KEY_BEGIN)) != 0 ||
	    memcmp(key->data + key->len - strlen(KEY_END), KEY_END,
		strlen(KEY_END)) != 0)
		return err_set(e, ERR_CONFIG, 0,
		    "keeper/%s: not a private key in PEM", name);
	return 0;
}

static void
listing_add(struct listing *l, uint32_t number)
{
	uint32_t i;

	if (l->n == VERSIONS_MAX) {
		if (number < l->number[0])
			return;
		memmove(l->number, l->number + 1,
		    (VERSIONS_MAX - 1) * sizeof(l->number[0]));
		l->n--;
	}
	for (i = l->n; i > 0 && l->number[i - 1] > number; i--)
		l->number[i] = l->number[i - 1];
	l->number[i] = number;
	l->n++;
}

static int
version_number(const char *text, uint32_t *number)
{
	uint64_t n;

	if (text[0] == '0' || str_u64(text, 1, UINT32_MAX - 1, &n) == -1)
		return -1;
	*number = (uint32_t)n;
	return 0;
}

static int
listing_entry(void *arg, const char *name)
{
	struct listing *l = arg;
	uint32_t number;

	if (version_number(name, &number) == 0)
		listing_add(l, number);
	return 0;
}

/* The version that live/<name> points at; 0: none of ours. */
static int
live_version(const struct install *in, uint32_t *number, struct err *e)
{
	char target[TARGET_MAX], ours[TARGET_MAX];
	ssize_t n = readlinkat(in->live, in->name, target, sizeof(target) - 1);
	int skip;

	*number = 0;
	if (n == -1 && errno == ENOENT)
		return 0;
	if (n == -1 && errno == EINVAL)
		return err_set(e, ERR_CONFIG, 0,
		    "live/%s is in the way: not a symlink", in->name);
	if (n == -1)
		return err_set(e, ERR_SYS, errno, "live/%s", in->name);
	target[n] = '\0';
	skip = snprintf(ours, sizeof(ours), "../versions/%s/", in->name);
	if (skip > 0 && strncmp(target, ours, (size_t)skip) == 0)
		(void)version_number(target + skip, number);
	return 0;
}

static bool
file_is(int dir, const char *name, const struct buf *want)
{
	AUTO(buf_wipe) struct buf have = BUF_INIT(want->len + 1);
	AUTO(close) int fd = -1;
	struct stat st;

	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    (size_t)st.st_size != want->len)
		return false;
	buf_reserve(&have, want->len + 1);
	return fs_read_fd(fd, &have, NULL) == 0 && have.len == want->len &&
	       memcmp(have.data, want->data, want->len) == 0;
}

/* Whether version number holds exactly this already. */
static bool
version_is(
    int vdir, uint32_t number, const struct buf *pem, const struct buf *key)
{
	char name[sizeof("4294967295")];
	AUTO(close) int dir = -1;

	(void)snprintf(name, sizeof(name), "%" PRIu32, number);
	dir = fs_open_dir(vdir, name, NULL);
	return dir != -1 && file_is(dir, "fullchain.pem", pem) &&
	       file_is(dir, "privkey.pem", key);
}

static bool
is_key(int dir)
{
	static const char end[] = KEY_END;
	AUTO(buf_wipe) struct buf key = BUF_INIT(KEY_MAX);

	buf_reserve(&key, KEY_MAX);
	return fs_read(dir, "privkey.pem", &key, NULL) == 0 &&
	       key.len >= strlen(end) &&
	       memcmp(key.data + key.len - strlen(end), end, strlen(end)) == 0;
}

/* Whether a version was finished: one that was not has never been live. */
static bool
version_whole(int vdir, uint32_t number)
{
	AUTO(buf_done) struct buf parts = BUF_INIT(IPC_PEM_MAX + 1);
	char name[sizeof("4294967295")];
	AUTO(close) int dir = -1;

	(void)snprintf(name, sizeof(name), "%" PRIu32, number);
	dir = fs_open_dir(vdir, name, NULL);
	return dir != -1 && fs_read(dir, "cert.pem", &parts, NULL) == 0 &&
	       fs_read(dir, "chain.pem", &parts, NULL) == 0 && parts.len != 0 &&
	       file_is(dir, "fullchain.pem", &parts) && is_key(dir);
}

/* What a crash has left above the live version. */
static void
drop_unfinished(int vdir, uint32_t live, struct listing *l)
{
	char name[sizeof("4294967295")];

	while (l->n > 0 && l->number[l->n - 1] > live &&
	       !version_whole(vdir, l->number[l->n - 1])) {
		(void)snprintf(
		    name, sizeof(name), "%" PRIu32, l->number[l->n - 1]);
		if (fs_remove(vdir, name, NULL) == -1)
			return; /* in the way of nothing: it has a number */
		l->n--;
	}
}

static int
version_fill(int vdir, const char *name, const struct install *in,
    const struct buf *pem, const struct buf *key, struct err *e)
{
	const struct fs_file files[] = {
		{ "cert.pem", pem->data, in->leaf_len, 0644 },
		{ "chain.pem", pem->data + in->leaf_len, in->chain_len, 0644 },
		{ "fullchain.pem", pem->data, pem->len, 0644 },
		{ "privkey.pem", key->data, key->len, 0600 },
	};
	AUTO(close) int dir = fs_open_dir(vdir, name, e);

	return dir == -1 ? -1 : fs_create_all(dir, files, NELEM(files), e);
}

/*
 * Nothing points at the new number until it is whole and durable, so it needs
 * no other name before; what a crash leaves is found by drop_unfinished().
 */
static int
version_make(int vdir, uint32_t number, const struct install *in,
    const struct buf *pem, const struct buf *key, struct err *e)
{
	char name[sizeof("4294967295")];

	(void)snprintf(name, sizeof(name), "%" PRIu32, number);
	if (mkdirat(vdir, name, 0755) == -1)
		return err_set(e, ERR_SYS, errno, "make %s", name);
	if (version_fill(vdir, name, in, pem, key, e) == -1 ||
	    fs_sync_dir(vdir, e) == -1) {
		(void)fs_remove(vdir, name, NULL); /* the first error counts */
		return -1;
	}
	return 0;
}

static int
go_live(const struct install *in, uint32_t number, struct err *e)
{
	char target[TARGET_MAX];

	(void)snprintf(target, sizeof(target), "../versions/%s/%" PRIu32,
	    in->name, number);
	return fs_symlink(in->live, in->name, target, e);
}

/* The last one is live.  What cannot be removed now is tried again by the next
 * install. */
static void
prune(const struct install *in, int vdir, const struct listing *l)
{
	char name[sizeof("4294967295")];
	struct err e;
	uint32_t i;

	for (i = 0; i + INSTALL_KEEP < l->n; i++) {
		(void)snprintf(name, sizeof(name), "%" PRIu32, l->number[i]);
		if (fs_remove(vdir, name, &e) == -1)
			log_warn("old version not removed, tried again at the "
				 "next install",
			    KV("cert", in->name), KV("error", e.what),
			    KV("hint", err_hint(&e)));
	}
}

static int
versions_dir(const struct install *in, struct err *e)
{
	int fd = fs_open_dir(in->versions, in->name, e);

	if (fd != -1 || e->kind != ERR_SYS || e->num != ENOENT)
		return fd;
	return fs_make_dir(
	    in->versions, in->name, 0755, (uid_t)-1, (gid_t)-1, e);
}

static int
install_version(const struct install *in, const struct buf *pem,
    const struct buf *key, uint32_t *version, struct err *e)
{
	struct listing l = { .n = 0 };
	AUTO(close) int vdir = versions_dir(in, e);
	uint32_t live, newest;

	if (vdir == -1)
		return -1;
	if (fs_each(vdir, listing_entry, &l, e) == -1 ||
	    live_version(in, &live, e) == -1)
		return -1;
	if (live != 0 && version_is(vdir, live, pem, key)) {
		*version = live;
		return 0;
	}
	drop_unfinished(vdir, live, &l);
	newest = l.n > 0 ? l.number[l.n - 1] : 0;
	/* a crash, or a full disk, before it went live */
	if (newest == 0 || newest == live ||
	    !version_is(vdir, newest, pem, key)) {
		newest = (newest > live ? newest : live) + 1;
		if (version_make(vdir, newest, in, pem, key, e) == -1)
			return -1;
		listing_add(&l, newest);
	}
	if (go_live(in, newest, e) == -1)
		return -1;
	prune(in, vdir, &l);
	*version = newest;
	return 0;
}

int
install_run(const struct install *in, uint32_t *version, struct err *e)
{
	AUTO(buf_done) struct buf pem = BUF_INIT(IPC_PEM_MAX + 1);
	AUTO(buf_wipe) struct buf key = BUF_INIT(KEY_MAX);

	if (pem_read(in, &pem, e) == -1 || key_read(in, &key, e) == -1)
		return -1;
	if (install_version(in, &pem, &key, version, e) == -1)
		return err_wrap(e, "install %s", in->name);
	return 0;
}

/* The one after skip others; 0: there are no more. */
static uint32_t
nth_version(const struct listing *l, uint32_t live, uint32_t skip)
{
	uint32_t i;

	if (live != 0 && skip-- == 0)
		return live;
	for (i = l->n; i > 0; i--)
		if (l->number[i - 1] != live && skip-- == 0)
			return l->number[i - 1];
	return 0;
}

/* Its key is the keeper's; where the keeper has lost it, any. */
static bool
key_right(const struct install *in, int dir)
{
	AUTO(buf_wipe) struct buf key = BUF_INIT(KEY_MAX);

	return in->key_id[0] == '\0' || key_read(in, &key, NULL) == -1 ||
	       file_is(dir, "privkey.pem", &key);
}

int
install_find(const struct install *in, uint32_t skip, struct install_found *f,
    struct buf *pem, struct err *e)
{
	char name[sizeof("4294967295")];
	AUTO(close) int vdir = fs_open_dir(in->versions, in->name, e);
	AUTO(close) int dir = -1;
	struct listing l = { .n = 0 };
	uint32_t live = 0;

	*f = (struct install_found){ .version = 0 };
	if (vdir == -1)
		return e->kind == ERR_SYS && e->num == ENOENT ? 0 : -1;
	if (fs_each(vdir, listing_entry, &l, e) == -1)
		return -1;
	/* what is in the way is no version: the others are there still */
	(void)live_version(in, &live, NULL);
	f->version = nth_version(&l, live, skip);
	if (f->version == 0)
		return 0;
	f->live = f->version == live;
	(void)snprintf(name, sizeof(name), "%" PRIu32, f->version);
	dir = fs_open_dir(vdir, name, e);
	if (dir == -1 && (e->kind != ERR_SYS || e->num == EMFILE ||
			     e->num == ENFILE || e->num == EIO))
		return -1;
	f->whole =
	    dir != -1 && version_whole(vdir, f->version) && key_right(in, dir);
	if (dir == -1 || fs_read(dir, "fullchain.pem", pem, NULL) == -1)
		buf_reset(pem);
	return 0;
}
