/* SPDX-License-Identifier: ISC */
/* Key files, the keys that are kept loaded, and the thread that makes keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/keeper/keeper.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "tests/unit/folder.h"

#define LOADED 64 /* of each role */

struct fix {
	char path[64];
	int dir;
	struct loop *loop;
	struct keys *ks;
	/* of on_made() */
	unsigned made, failed;
	uint32_t last;
	sigset_t mask;
};

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct err e;

	f->dir = folder_open(f->path, sizeof(f->path), "keeper");
	f->loop = loop_new(&e);
	assert_non_null(f->loop);
	f->ks = keys_new(f->dir, &e);
	assert_non_null(f->ks);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	keys_free(f->ks);
	loop_free(f->loop);
	(void)close(f->dir);
	assert_int_equal(folder_remove(f->path), 0);
	free(f);
	return 0;
}

static void
add(struct fix *f, enum ipc_role role, char id[KEY_ID_LEN + 1])
{
	struct err e;

	assert_non_null(
	    keys_add(f->ks, role, key_generate(KEY_EC256, &e), id, &e));
}

static void
garble(const struct fix *f, const char *id)
{
	char name[128];

	(void)snprintf(name, sizeof(name), "cert-%.64s.pem", id);
	assert_int_equal(fs_replace(f->dir, name, "x", 1, 0600, NULL), 0);
}

/* So many are kept and no more; those that are used stay. */
static void
test_loaded(void **state)
{
	char ids[LOADED + 2][KEY_ID_LEN + 1];
	struct fix *f = *state;
	bool missing;
	struct err e;
	size_t i;

	for (i = 0; i < LOADED; i++)
		add(f, IPC_ROLE_CERT, ids[i]);
	assert_non_null(keys_get(f->ks, IPC_ROLE_CERT, ids[0], &missing, &e));
	add(f, IPC_ROLE_CERT, ids[LOADED]);
	/* Keys of the other role push nothing out. */
	add(f, IPC_ROLE_ACCOUNT, ids[LOADED + 1]);
	for (i = 0; i <= LOADED; i++)
		garble(f, ids[i]);
	for (i = 0; i <= LOADED; i++) {
		if (i == 1)
			continue;
		assert_non_null(
		    keys_get(f->ks, IPC_ROLE_CERT, ids[i], &missing, &e));
		assert_false(missing);
	}
	assert_null(keys_get(f->ks, IPC_ROLE_CERT, ids[1], &missing, &e));
	assert_true(missing);
	assert_non_null(
	    keys_get(f->ks, IPC_ROLE_ACCOUNT, ids[LOADED + 1], &missing, &e));
}

/* What is wrong with the disk and not with the file leaves the file alone. */
static void
test_unreadable(void **state)
{
	char id[KEY_ID_LEN + 1], name[128];
	struct fix *f = *state;
	bool missing;
	struct err e;

	add(f, IPC_ROLE_CERT, id);
	keys_free(f->ks);
	f->ks = keys_new(f->dir, &e);
	(void)snprintf(name, sizeof(name), "cert-%.64s.pem", id);
	assert_int_equal(renameat(f->dir, name, f->dir, "elsewhere"), 0);
	assert_int_equal(symlinkat("elsewhere", f->dir, name), 0);
	assert_null(keys_get(f->ks, IPC_ROLE_CERT, id, &missing, &e));
	assert_false(missing);
	assert_int_equal(e.num, ELOOP);
	assert_int_equal(faccessat(f->dir, name, F_OK, AT_SYMLINK_NOFOLLOW), 0);
}

static void
test_too_long(void **state)
{
	char id[KEY_ID_LEN + 1], name[128], big[KEY_PEM_MAX + 1];
	struct fix *f = *state;
	bool missing;
	struct err e;

	add(f, IPC_ROLE_CERT, id);
	keys_free(f->ks);
	f->ks = keys_new(f->dir, &e);
	(void)snprintf(name, sizeof(name), "cert-%.64s.pem", id);
	memset(big, 'A', sizeof(big));
	assert_int_equal(
	    fs_replace(f->dir, name, big, sizeof(big), 0600, &e), 0);
	assert_null(keys_get(f->ks, IPC_ROLE_CERT, id, &missing, &e));
	assert_true(missing);
	assert_non_null(strstr(e.what, "key file damaged"));
}

/* A file of that name, so many seconds old. */
static void
touch(const struct fix *f, const char *name, time_t age)
{
	const struct timespec t = { .tv_sec = clock_now() - age };
	const struct timespec both[2] = { t, t };

	assert_int_equal(fs_replace(f->dir, name, "x", 1, 0600, NULL), 0);
	assert_int_equal(utimensat(f->dir, name, both, 0), 0);
}

#define OLDS  (2 * IPC_OLD_KEYS + 7)
#define A_DAY ((time_t)IPC_OLD_KEY_S)

/* Each is listed once, a bounded number at a time, while they are dropped. */
static void
test_old(void **state)
{
	static const char hex[] = "00112233445566778899aabbccddeeff"
				  "00112233445566778899aabb";
	AUTO(buf_done) struct buf ids = BUF_INIT(IPC_TAIL_MAX);
	bool seen[OLDS] = { false }, more = true;
	char id[KEY_ID_LEN + 1], name[128];
	struct fix *f = *state;
	unsigned i, n = 0, calls;
	struct err e;

	for (i = 0; i < OLDS; i++) {
		(void)snprintf(name, sizeof(name), "cert-%s%08x.pem", hex, i);
		touch(f, name, A_DAY + 60);
	}
	for (calls = 0; more; calls++) {
		buf_reset(&ids);
		assert_int_equal(
		    keys_old(f->ks, calls == 0, &ids, &more, &e), 0);
		assert_int_equal(ids.len % KEY_ID_LEN, 0);
		assert_in_range(ids.len / KEY_ID_LEN, 0, IPC_OLD_KEYS);
		for (i = 0; i < ids.len; i += KEY_ID_LEN, n++) {
			memcpy(id, ids.data + i, KEY_ID_LEN);
			id[KEY_ID_LEN] = '\0';
			assert_false(seen[strtoul(id + 56, NULL, 16)]);
			seen[strtoul(id + 56, NULL, 16)] = true;
			assert_int_equal(keys_drop(f->ks, id, &e), 0);
		}
	}
	assert_in_range(calls, 3, 4);
	assert_int_equal(n, OLDS);
	/* the end stays the end, and from the beginning there is nothing */
	buf_reset(&ids);
	assert_int_equal(keys_old(f->ks, false, &ids, &more, &e), 0);
	assert_false(more);
	assert_int_equal(keys_old(f->ks, true, &ids, &more, &e), 0);
	assert_int_equal(ids.len, 0);
}

/* What is young, in use, an account's, or no key file at all, is not. */
static void
test_not_old(void **state)
{
	char ids[3][KEY_ID_LEN + 1], name[3][128];
	AUTO(buf_done) struct buf out = BUF_INIT(IPC_TAIL_MAX);
	struct fix *f = *state;
	bool more;
	struct err e;

	add(f, IPC_ROLE_CERT, ids[0]);
	add(f, IPC_ROLE_CERT, ids[1]);
	add(f, IPC_ROLE_ACCOUNT, ids[2]);
	(void)snprintf(name[0], sizeof(name[0]), "cert-%s.pem", ids[0]);
	(void)snprintf(name[1], sizeof(name[1]), "cert-%s.pem", ids[1]);
	(void)snprintf(name[2], sizeof(name[2]), "account-%s.pem", ids[2]);
	touch(f, name[0], A_DAY + 60);
	touch(f, name[1], A_DAY - 60);
	touch(f, name[2], 2 * A_DAY);
	assert_int_equal(keys_old(f->ks, true, &out, &more, &e), 0);
	assert_int_equal(out.len, 0); /* the old one has just been made */
	keys_free(f->ks);
	f->ks = keys_new(f->dir, &e);
	(void)snprintf(name[1], sizeof(name[1]), "cert-%s.pem.x", ids[0]);
	touch(f, name[1], 2 * A_DAY);
	(void)snprintf(name[1], sizeof(name[1]), ".bad-1-cert-%s.pem", ids[0]);
	touch(f, name[1], 2 * A_DAY);
	touch(f, "cert-.pem", 2 * A_DAY);
	(void)snprintf(name[1], sizeof(name[1]), "cert-%064d.pem", 0);
	assert_int_equal(symlinkat(name[0], f->dir, name[1]), 0);
	(void)snprintf(name[1], sizeof(name[1]), "cert-%064X.pem", 0xa);
	touch(f, name[1], 2 * A_DAY);
	assert_int_equal(keys_old(f->ks, true, &out, &more, &e), 0);
	assert_false(more);
	assert_string_equal(buf_str(&out), ids[0]);
}

static void
on_made(void *arg, const struct keygen_want *w, struct key *key,
    const struct err *e)
{
	struct fix *f = arg;

	if (key == NULL) {
		print_error("%s\n", e->what);
		f->failed++;
	} else {
		assert_int_equal(key_type(key), w->type);
		f->made++;
	}
	f->last = w->id;
	key_free(key);
	loop_stop(f->loop);
}

static void
test_queue(void **state)
{
	struct keygen_want w = { .role = IPC_ROLE_CERT, .type = KEY_EC256 };
	struct fix *f = *state;
	struct keygen *g;
	struct err e;

	g = keygen_new(f->loop, on_made, f, &e);
	assert_non_null(g);
	for (w.id = 0; w.id < KEYGEN_MAX; w.id++)
		assert_int_equal(keygen_start(g, &w, &e), 0);
	assert_int_equal(keygen_start(g, &w, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_int_equal(f->made, 0);
	/* One handed over makes room for one. */
	assert_int_equal(loop_run(f->loop, &e), 0);
	assert_int_equal(f->made, 1);
	assert_int_equal(f->last, 0);
	assert_int_equal(keygen_start(g, &w, &e), 0);
	assert_int_equal(keygen_start(g, &w, &e), -1);
	keygen_free(g);
	keygen_free(NULL);
	assert_int_equal(f->made, 1);
	assert_int_equal(f->failed, 0);
}

/* Every type fits the thread's stack. */
static void
test_types(void **state)
{
	struct keygen_want w = { .role = IPC_ROLE_CERT };
	struct fix *f = *state;
	struct keygen *g;
	sigset_t mask = { 0 };
	struct err e;
	int i;

	(void)pthread_sigmask(SIG_SETMASK, NULL, &f->mask);
	g = keygen_new(f->loop, on_made, f, &e);
	assert_non_null(g);
	/* The loop's thread hears its signals as before. */
	(void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_memory_equal(&mask, &f->mask, sizeof(mask));
	for (i = 0; i < KEY_TYPE__COUNT; i++) {
		w.type = (enum key_type)i;
		assert_int_equal(keygen_start(g, &w, &e), 0);
	}
	while (f->made + f->failed < KEY_TYPE__COUNT)
		assert_int_equal(loop_run(f->loop, &e), 0);
	assert_int_equal(f->failed, 0);
	keygen_free(g);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_loaded),
		TEST(test_unreadable),
		TEST(test_too_long),
		TEST(test_old),
		TEST(test_not_old),
		TEST(test_queue),
		TEST(test_types),
	};

	(void)alarm(580); /* a lost key must not hang the run */
	log_init("keeper", LOG_L_ERR, LOG_F_TEXT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
