/* SPDX-License-Identifier: ISC */
/*
 * Key files and the keys that are loaded: read when first asked for, kept
 * while they are being used, wiped when others push them out.  Nothing here
 * knows how many files there are.
 */
#include "daemon/keeper/keeper.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

#define LOADED_MAX 64   /* of each role */
#define LOOKS_MAX  4096 /* files that one call of keys_old() looks at */
#define CERT       "cert-"
#define PEM        ".pem"

struct loaded {
	TAILQ_ENTRY(loaded) entry;
	struct key *key;
	char id[KEY_ID_LEN + 1];
};
TAILQ_HEAD(loaded_list, loaded);

struct keys {
	int dir;
	DIR *looking; /* keys_old() has come so far; NULL: to the end */
	struct role_keys {
		struct loaded_list list; /* used last first */
		unsigned n;
	} roles[2];
};

static struct role_keys *
of_role(struct keys *ks, enum ipc_role role)
{
	return &ks->roles[role == IPC_ROLE_ACCOUNT ? 0 : 1];
}

static void
unload(struct role_keys *r, struct loaded *l)
{
	TAILQ_REMOVE(&r->list, l, entry);
	r->n--;
	key_free(l->key);
	free(l);
}

static struct loaded *
find(struct role_keys *r, const char *id)
{
	struct loaded *l;

	TAILQ_FOREACH (l, &r->list, entry)
		if (memcmp(l->id, id, KEY_ID_LEN) == 0)
			return l;
	return NULL;
}

/* Keep key, which is taken.  NULL: no memory. */
static struct key *
keep(struct role_keys *r, struct key *key, const char *id, struct err *e)
{
	struct loaded *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		key_free(key);
		(void)err_nomem(e, "key");
		return NULL;
	}
	if (r->n == LOADED_MAX)
		unload(r, TAILQ_LAST(&r->list, loaded_list));
	l->key = key;
	memcpy(l->id, id, sizeof(l->id));
	TAILQ_INSERT_HEAD(&r->list, l, entry);
	r->n++;
	return key;
}

static void
file_name(enum ipc_role role, const char *id, char out[NAME_MAX + 1])
{
	int n;

	/* A name is made of nothing else, whatever the caller let through. */
	assert(str_is_hex(id, KEY_ID_LEN));
	n = snprintf(out, NAME_MAX + 1, "%s-%s.pem",
	    role == IPC_ROLE_ACCOUNT ? "account" : "cert", id);
	assert(n > 0 && n <= NAME_MAX);
}

struct key *
keys_add(struct keys *ks, enum ipc_role role, struct key *taken,
    char id[KEY_ID_LEN + 1], struct err *e)
{
	AUTO(key_free) struct key *key = taken;
	AUTO(buf_wipe) struct buf pem = BUF_INIT(KEY_PEM_MAX);
	char name[NAME_MAX + 1];

	buf_reserve(&pem, KEY_PEM_MAX);
	if (key_id(key, id, e) == -1 || key_to_pem(key, &pem, e) == -1)
		return NULL;
	file_name(role, id, name);
	/* Its name is told to nobody before it is whole, so it needs no other
	 * one until then. */
	if (fs_create_all(ks->dir,
		&(struct fs_file){ name, pem.data, pem.len, 0600 }, 1, e) == -1)
		return NULL;
	return keep(of_role(ks, role), take_ptr(key), id, e);
}

/* The key in pem, if it is the one that the file's name says. */
static struct key *
parse(const struct buf *pem, const char *id, struct err *e)
{
	AUTO(key_free) struct key *key = NULL;
	char found[KEY_ID_LEN + 1];

	key = key_from_pem(buf_str(pem), pem->len, e);
	if (key == NULL || key_id(key, found, e) == -1)
		return NULL;
	if (strcmp(found, id) != 0) {
		(void)err_set(e, ERR_CRYPTO, 0, "holds another key, %s", found);
		return NULL;
	}
	return take_ptr(key);
}

/* A zero-byte or damaged file would fail for ever if it stayed. */
static void
set_aside(struct keys *ks, const char *name, struct err *e)
{
	char bad[NAME_MAX + 1];
	int n;

	(void)err_wrap(e, "key file damaged: %s", name);
	n = snprintf(
	    bad, sizeof(bad), ".bad-%lld-%s", (long long)clock_now(), name);
	assert(n > 0 && (size_t)n < sizeof(bad));
	if (renameat(ks->dir, name, ks->dir, bad) == -1 ||
	    fs_sync_dir(ks->dir, NULL) == -1)
		log_error("damaged key file stays", KV("file", name),
		    KN("errno", errno));
	log_error("key file damaged", KV("file", name), KV("error", e->what));
}

static struct key *
load(struct keys *ks, enum ipc_role role, const char *id, bool *missing,
    struct err *e)
{
	AUTO(buf_wipe) struct buf pem = BUF_INIT(KEY_PEM_MAX);
	struct key *key = NULL;
	char name[NAME_MAX + 1];

	file_name(role, id, name);
	buf_reserve(&pem, KEY_PEM_MAX);
	if (!buf_ok(&pem)) {
		(void)err_nomem(e, name);
		return NULL;
	}
	if (fs_read(ks->dir, name, &pem, e) == 0)
		key = parse(&pem, id, e);
	else if (e->kind == ERR_SYS) {
		*missing = e->num == ENOENT;
		return NULL;
	}
	if (key == NULL) {
		if (e->kind == ERR_NOMEM)
			return NULL;
		set_aside(ks, name, e);
		*missing = true;
		return NULL;
	}
	return keep(of_role(ks, role), key, id, e);
}

struct key *
keys_get(struct keys *ks, enum ipc_role role, const char *id, bool *missing,
    struct err *e)
{
	struct role_keys *r = of_role(ks, role);
	struct loaded *l = find(r, id);

	*missing = false;
	if (l == NULL)
		return load(ks, role, id, missing, e);
	if (l != TAILQ_FIRST(&r->list)) {
		TAILQ_REMOVE(&r->list, l, entry);
		TAILQ_INSERT_HEAD(&r->list, l, entry);
	}
	return l->key;
}

int
keys_drop(struct keys *ks, const char *id, struct err *e)
{
	struct role_keys *r = of_role(ks, IPC_ROLE_CERT);
	struct loaded *l = find(r, id);
	char name[NAME_MAX + 1];

	if (l != NULL)
		unload(r, l);
	file_name(IPC_ROLE_CERT, id, name);
	if (unlinkat(ks->dir, name, 0) == -1) {
		if (errno == ENOENT)
			return 0;
		return err_set(e, ERR_SYS, errno, "remove %s", name);
	}
	return fs_sync_dir(ks->dir, e);
}

static int
look_from_start(struct keys *ks, struct err *e)
{
	/* Opened anew: a duplicate would share the reading position. */
	int fd = openat(ks->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (ks->looking != NULL)
		(void)closedir(ks->looking);
	ks->looking = fd == -1 ? NULL : fdopendir(fd);
	if (ks->looking != NULL)
		return 0;
	(void)err_set(e, ERR_SYS, errno, "read folder");
	if (fd != -1)
		(void)close(fd);
	return -1;
}

/* The id in the name of a certificate key's file. */
static bool
id_of(const char *name, char id[KEY_ID_LEN + 1])
{
	if (strlen(name) != strlen(CERT) + KEY_ID_LEN + strlen(PEM) ||
	    strncmp(name, CERT, strlen(CERT)) != 0)
		return false;
	memcpy(id, name + strlen(CERT), KEY_ID_LEN);
	id[KEY_ID_LEN] = '\0';
	return str_is_hex(id, KEY_ID_LEN) &&
	       strcmp(name + strlen(CERT) + KEY_ID_LEN, PEM) == 0;
}

static bool
is_old(struct keys *ks, const char *name, const char *id)
{
	struct stat st;

	return find(of_role(ks, IPC_ROLE_CERT), id) == NULL &&
	       fstatat(ks->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) && st.st_mtime < clock_now() - IPC_OLD_KEY_S;
}

int
keys_old(
    struct keys *ks, bool first, struct buf *ids, bool *more, struct err *e)
{
	const struct dirent *ent = NULL;
	char id[KEY_ID_LEN + 1];
	unsigned looks, found = 0;

	*more = false;
	if (first && look_from_start(ks, e) == -1)
		return -1;
	for (looks = 0;
	     ks->looking != NULL && looks < LOOKS_MAX && found < IPC_OLD_KEYS;
	     looks++) {
		ent = readdir(ks->looking);
		if (ent == NULL) {
			(void)closedir(ks->looking);
			ks->looking = NULL;
		} else if (id_of(ent->d_name, id) &&
			   is_old(ks, ent->d_name, id)) {
			buf_puts(ids, id);
			found++;
		}
	}
	*more = ks->looking != NULL;
	return buf_ok(ids) ? 0 : err_nomem(e, "key ids");
}

struct keys *
keys_new(int dir, struct err *e)
{
	struct keys *ks = calloc(1, sizeof(*ks));

	if (ks == NULL) {
		(void)err_nomem(e, "keys");
		return NULL;
	}
	ks->dir = dir;
	TAILQ_INIT(&ks->roles[0].list);
	TAILQ_INIT(&ks->roles[1].list);
	return ks;
}

void
keys_free(struct keys *ks)
{
	struct loaded *l;
	size_t i;

	if (ks == NULL)
		return;
	if (ks->looking != NULL)
		(void)closedir(ks->looking);
	for (i = 0; i < NELEM(ks->roles); i++)
		while ((l = TAILQ_FIRST(&ks->roles[i].list)) != NULL)
			unload(&ks->roles[i], l);
	free(ks);
}
