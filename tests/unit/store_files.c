/* SPDX-License-Identifier: ISC */
/* The file backend of the store, on a real loop and real folders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "lib/store/store.h"
#include "tests/unit/folder.h"

struct fix {
	char path[64];
	int dir;
	struct loop *loop;
	struct store *s;
};

/* What one callback was told. */
struct got {
	struct fix *f;
	unsigned calls, order;
	enum err_kind kind;
	int num;
	uint64_t rev;
	unsigned aside, was_aside;
	char data[64];
	size_t len;
};

static unsigned turn;

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct err e;

	f->dir = folder_open(f->path, sizeof(f->path), "store");
	f->loop = loop_new(&e);
	assert_non_null(f->loop);
	f->s = store_files(f->loop, f->dir, &e);
	assert_non_null(f->s);
	turn = 0;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;
	size_t i;

	store_free(f->s);
	loop_free(f->loop);
	for (i = 0; store_kinds[i] != NULL; i++)
		assert_int_equal(fs_remove(f->dir, store_kinds[i], NULL), 0);
	(void)close(f->dir);
	assert_int_equal(rmdir(f->path), 0);
	free(f);
	return 0;
}

static void
on_done(void *arg, const struct store_value *v, const struct err *e)
{
	struct got *g = arg;

	g->calls++;
	g->order = ++turn;
	assert_true((v == NULL) == (e != NULL));
	if (v != NULL) {
		g->kind = ERR_NONE;
		g->rev = v->rev;
		g->len = v->len;
		g->aside = v->aside;
		g->was_aside = v->was_aside;
		assert_int_equal(v->data[v->len], '\0');
		(void)snprintf(g->data, sizeof(g->data), "%s", v->data);
	} else {
		g->kind = e->kind;
		g->num = e->num;
	}
	loop_stop(g->f->loop);
}

static void
wait_for(struct fix *f, const struct got *g)
{
	struct err e;

	/* Never from inside the call that started it. */
	assert_int_equal(g->calls, 0);
	while (g->calls == 0)
		assert_int_equal(loop_run(f->loop, &e), 0);
	assert_int_equal(g->calls, 1);
}

static struct got
get(struct fix *f, const char *key)
{
	struct got g = { .f = f };
	struct err e;

	assert_non_null(f->s->ops->get(f->s, key, on_done, &g, &e));
	wait_for(f, &g);
	return g;
}

static struct got
put(struct fix *f, const char *key, const char *text, uint64_t rev)
{
	struct got g = { .f = f };
	struct err e;

	assert_non_null(f->s->ops->put(f->s,
	    &(struct store_put){
		.key = key, .data = text, .len = strlen(text), .rev = rev },
	    on_done, &g, &e));
	wait_for(f, &g);
	return g;
}

static struct got
drop(struct fix *f, const char *key)
{
	struct got g = { .f = f };
	struct err e;

	assert_non_null(f->s->ops->drop(f->s, key, on_done, &g, &e));
	wait_for(f, &g);
	return g;
}

/* How many names in a kind's folder begin with start; the last one in name. */
static unsigned
count(const struct fix *f, const char *kind, const char *start, char *name)
{
	int fd = fs_open_dir(f->dir, kind, NULL);
	DIR *d = fdopendir(fd);
	const struct dirent *ent;
	unsigned n = 0;

	assert_non_null(d);
	while ((ent = readdir(d)) != NULL) {
		if (strncmp(ent->d_name, start, strlen(start)) != 0 ||
		    strcmp(ent->d_name, ".") == 0 ||
		    strcmp(ent->d_name, "..") == 0)
			continue;
		n++;
		if (name != NULL)
			(void)snprintf(name, 256, "%s", ent->d_name);
	}
	(void)closedir(d);
	return n;
}

static void
write_file(const struct fix *f, const char *kind, const char *name,
    const void *data, size_t len)
{
	int fd = fs_open_dir(f->dir, kind, NULL);

	assert_int_not_equal(fd, -1);
	assert_int_equal(fs_replace(fd, name, data, len, 0600, NULL), 0);
	(void)close(fd);
}

static void
test_keys(void **state)
{
	static const char *const good[] = { "accounts/letsencrypt",
		"certs/www.example.org", "orders/a", "certs/x.json",
		"certs/a-b_c" };
	static const char *const bad[] = { "", "/", "certs", "certs/", "/x",
		"../x", "certs/../x", "certs/.x", "certs/-x", "certs/a/b",
		"cert/x", "certss/x", "certs//x", "certs/a b", "certs/a\n",
		"Certs/x", "certs/\xc3\xa9" };
	char key[256] = "certs/";
	struct fix *f = *state;
	struct got g = { .f = f };
	struct err e;
	size_t i;

	for (i = 0; i < NELEM(good); i++)
		assert_true(store_key_ok(good[i]));
	for (i = 0; i < NELEM(bad); i++) {
		assert_false(store_key_ok(bad[i]));
		assert_null(f->s->ops->get(f->s, bad[i], on_done, &g, &e));
		assert_int_equal(e.kind, ERR_PROTO);
		assert_null(f->s->ops->put(f->s,
		    &(struct store_put){
			.key = bad[i], .data = "", .len = 0, .rev = 0 },
		    on_done, &g, &e));
		assert_null(f->s->ops->drop(f->s, bad[i], on_done, &g, &e));
		assert_int_equal(f->s->ops->set_aside(f->s, bad[i], &e), -1);
	}
	memset(key + 6, 'x', 64);
	assert_true(store_key_ok(key));
	key[6 + 64] = 'x';
	assert_false(store_key_ok(key));
	memset(key + 6, 'x', 200);
	assert_false(store_key_ok(key));
	assert_int_equal(g.calls, 0);
}

static void
test_put_get(void **state)
{
	struct fix *f = *state;
	struct stat st;
	struct got g;
	uint64_t rev;

	g = get(f, "certs/www");
	assert_int_equal(g.kind, ERR_NONE);
	assert_int_equal(g.rev, STORE_ABSENT);
	assert_int_equal(g.len, 0);

	g = put(f, "certs/www", "{\"a\":1}", STORE_ABSENT);
	assert_int_equal(g.kind, ERR_NONE);
	assert_int_equal(g.len, 0);
	rev = g.rev;
	assert_int_not_equal(rev, STORE_ABSENT);
	assert_true(rev != STORE_ANY);

	g = get(f, "certs/www");
	assert_string_equal(g.data, "{\"a\":1}");
	assert_int_equal(g.len, 7);
	assert_int_equal(g.rev, rev);

	assert_int_equal(fstatat(f->dir, "certs/www.json", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	(void)put(f, "accounts/le", "{}", STORE_ANY);
	assert_int_equal(fstatat(f->dir, "accounts/le.json", &st, 0), 0);
	(void)put(f, "orders/www", "PEM", STORE_ANY);
	assert_int_equal(fstatat(f->dir, "orders/www.json", &st, 0), 0);
	/* Same name, other kind: another value. */
	assert_string_equal(get(f, "certs/www").data, "{\"a\":1}");

	/* An empty value is there, unlike none. */
	g = put(f, "orders/www", "", STORE_ANY);
	assert_int_equal(g.kind, ERR_NONE);
	g = get(f, "orders/www");
	assert_int_equal(g.len, 0);
	assert_int_not_equal(g.rev, STORE_ABSENT);
}

static void
test_swap(void **state)
{
	struct fix *f = *state;
	uint64_t first, second;
	struct got g;

	first = put(f, "certs/www", "one", STORE_ABSENT).rev;
	g = put(f, "certs/www", "two", STORE_ABSENT);
	assert_int_equal(g.kind, ERR_STALE);
	assert_string_equal(get(f, "certs/www").data, "one");

	g = put(f, "certs/www", "two", first);
	assert_int_equal(g.kind, ERR_NONE);
	second = g.rev;
	assert_true(second != first);
	g = put(f, "certs/www", "three", first);
	assert_int_equal(g.kind, ERR_STALE);
	assert_string_equal(get(f, "certs/www").data, "two");

	assert_int_equal(put(f, "certs/www", "any", STORE_ANY).kind, ERR_NONE);
	assert_string_equal(get(f, "certs/www").data, "any");
	assert_int_equal(put(f, "certs/www", "x", second).kind, ERR_STALE);

	/* One that should replace a value that is gone. */
	g = drop(f, "certs/www");
	assert_int_equal(g.kind, ERR_NONE);
	assert_int_equal(g.rev, STORE_ABSENT);
	assert_int_equal(put(f, "certs/www", "x", second).kind, ERR_STALE);
	assert_int_equal(get(f, "certs/www").rev, STORE_ABSENT);
	assert_int_equal(drop(f, "certs/www").kind, ERR_NONE);
	assert_int_equal(put(f, "certs/www", "x", STORE_ANY).kind, ERR_NONE);
}

static void
test_value_max(void **state)
{
	struct fix *f = *state;
	char *big = calloc(1, STORE_VALUE_MAX + 2);
	struct got g = { .f = f };
	struct err e;

	memset(big, 'x', STORE_VALUE_MAX + 1);
	assert_null(f->s->ops->put(f->s,
	    &(struct store_put){ .key = "certs/big",
		.data = big,
		.len = STORE_VALUE_MAX + 1,
		.rev = STORE_ANY },
	    on_done, &g, &e));
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_non_null(f->s->ops->put(f->s,
	    &(struct store_put){ .key = "certs/big",
		.data = big,
		.len = STORE_VALUE_MAX,
		.rev = STORE_ANY },
	    on_done, &g, &e));
	wait_for(f, &g);
	assert_int_equal(g.kind, ERR_NONE);
	assert_int_equal(get(f, "certs/big").len, STORE_VALUE_MAX);

	write_file(f, "certs", "huge.json", big, STORE_VALUE_MAX + 1);
	assert_int_equal(get(f, "certs/huge").kind, ERR_LIMIT);
	free(big);
}

static void
test_order(void **state)
{
	struct got a = { 0 }, b = { 0 }, c = { 0 };
	struct fix *f = *state;
	struct store *s = f->s;
	struct err e;

	a.f = b.f = c.f = f;
	(void)put(f, "certs/www", "old", STORE_ANY);
	turn = 0;
	assert_non_null(s->ops->get(s, "certs/www", on_done, &a, &e));
	assert_non_null(s->ops->put(s,
	    &(struct store_put){
		.key = "certs/www", .data = "new", .len = 3, .rev = STORE_ANY },
	    on_done, &b, &e));
	assert_non_null(s->ops->get(s, "certs/www", on_done, &c, &e));
	assert_int_equal(a.calls + b.calls + c.calls, 0);
	wait_for(f, &c);
	assert_int_equal(a.order, 1);
	assert_int_equal(b.order, 2);
	assert_int_equal(c.order, 3);
	assert_string_equal(a.data, "old");
	assert_string_equal(c.data, "new");
}

static void
test_cancel(void **state)
{
	struct got a = { 0 }, b = { 0 }, c = { 0 };
	struct fix *f = *state;
	struct store *s = f->s;
	struct store_op *op, *other;
	struct err e;

	a.f = b.f = c.f = f;
	op = s->ops->get(s, "certs/a", on_done, &a, &e);
	other = s->ops->put(s,
	    &(struct store_put){
		.key = "certs/b", .data = "x", .len = 1, .rev = STORE_ANY },
	    on_done, &b, &e);
	assert_non_null(s->ops->get(s, "certs/c", on_done, &c, &e));
	s->ops->cancel(op);
	s->ops->cancel(other);
	s->ops->cancel(NULL);
	wait_for(f, &c);
	assert_int_equal(a.calls, 0);
	assert_int_equal(b.calls, 0);
	assert_int_equal(c.order, 1);
}

struct listing {
	struct got done; /* first: on_done's arg */
	struct store_op *op;
	unsigned n, stop_at;
	bool free_store;
	uint64_t sum;
	char last[STORE_KEY_MAX];
};

static void
on_each(void *arg, const char *key, const struct store_value *v)
{
	struct listing *l = arg;
	struct fix *f = l->done.f;

	l->n++;
	assert_true(store_key_ok(key));
	assert_non_null(v);
	assert_int_equal(v->data[v->len], '\0');
	assert_int_not_equal(v->rev, STORE_ABSENT);
	l->sum += str_hash(key, strlen(key)) ^ str_hash(v->data, v->len);
	(void)snprintf(l->last, sizeof(l->last), "%s", key);
	if (l->n != l->stop_at)
		return;
	if (l->free_store)
		store_free(take_ptr(f->s));
	else
		f->s->ops->cancel(l->op);
	loop_stop(f->loop);
}

static void
start_list(struct fix *f, struct listing *l, const char *prefix)
{
	struct err e;

	l->done.f = f;
	l->op = f->s->ops->list(f->s, prefix, on_each, on_done, l, &e);
	assert_non_null(l->op);
	assert_int_equal(l->n, 0);
}

#define MANY 5000

/* Returns the sum that listing them gives. */
static uint64_t
make_many(struct fix *f)
{
	char name[32], key[32];
	uint64_t sum = 0;
	int dir = fs_open_dir(f->dir, "certs", NULL), fd;
	unsigned i;

	for (i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "c%u.json", i);
		(void)snprintf(key, sizeof(key), "certs/c%u", i);
		fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
		assert_int_not_equal(fd, -1);
		assert_int_equal(write(fd, key, strlen(key)), strlen(key));
		(void)close(fd);
		sum += str_hash(key, strlen(key)) ^ str_hash(key, strlen(key));
	}
	(void)close(dir);
	return sum;
}

static void
test_list(void **state)
{
	struct fix *f = *state;
	struct listing l = { 0 }, none = { 0 };
	struct got g = { .f = f };
	uint64_t sum = make_many(f), before;
	struct err e;

	/* What is no key is not listed. */
	write_file(f, "certs", ".bad-1-x.json", "x", 1);
	write_file(f, "certs", "x.txt", "x", 1);
	write_file(f, "certs", ".json", "x", 1);
	write_file(f, "certs", "-x.json", "x", 1);
	write_file(f, "accounts", "le.json", "x", 1);

	before = loop_wakeups(f->loop);
	start_list(f, &l, "certs/");
	/* Started later, done sooner: a list does not hold up the rest. */
	assert_non_null(f->s->ops->get(f->s, "certs/c7", on_done, &g, &e));
	wait_for(f, &l.done);
	assert_int_equal(l.done.kind, ERR_NONE);
	assert_int_equal(l.n, MANY);
	assert_int_equal(l.sum, sum);
	assert_int_equal(l.done.aside, 0);
	assert_int_equal(g.order, 1);
	assert_string_equal(g.data, "certs/c7");
	/* In batches, and in not too many. */
	assert_in_range(loop_wakeups(f->loop) - before, 10, MANY / 10);

	start_list(f, &none, "orders/");
	wait_for(f, &none.done);
	assert_int_equal(none.done.kind, ERR_NONE);
	assert_int_equal(none.n, 0);
	assert_null(f->s->ops->list(f->s, "certs", on_each, on_done, &l, &e));
	assert_null(f->s->ops->list(f->s, "", on_each, on_done, &l, &e));
	assert_null(f->s->ops->list(f->s, "../", on_each, on_done, &l, &e));
	assert_int_equal(e.kind, ERR_PROTO);
}

static void
test_list_bad(void **state)
{
	struct fix *f = *state;
	struct listing l = { 0 }, again = { 0 }, orders = { 0 };
	char *big = calloc(1, STORE_VALUE_MAX + 1), name[256];
	int dir = fs_open_dir(f->dir, "certs", NULL);

	write_file(f, "certs", "huge.json", big, STORE_VALUE_MAX + 1);
	free(big);
	write_file(f, "certs", "good.json", "x", 1);
	assert_int_equal(mkdirat(dir, "folder.json", 0700), 0);
	assert_int_equal(symlinkat("good.json", dir, "link.json"), 0);

	clock_fake(1700000000);
	start_list(f, &l, "certs/");
	wait_for(f, &l.done);
	assert_int_equal(l.done.kind, ERR_NONE);
	assert_int_equal(l.n, 1);
	assert_string_equal(l.last, "certs/good");
	assert_int_equal(l.done.aside, 3);
	assert_int_equal(l.done.was_aside, 0);
	assert_int_equal(count(f, "certs", ".bad-1700000000-", NULL), 3);
	assert_int_equal(
	    count(f, "certs", ".bad-1700000000-huge.json", name), 1);
	/* and the next time they are known to be there, and only there */
	start_list(f, &again, "certs/");
	wait_for(f, &again.done);
	assert_int_equal(again.done.aside, 0);
	assert_int_equal(again.done.was_aside, 3);
	start_list(f, &orders, "orders/");
	wait_for(f, &orders.done);
	assert_int_equal(orders.done.was_aside, 0);
	assert_int_equal(
	    unlinkat(dir, ".bad-1700000000-folder.json", AT_REMOVEDIR), 0);
	(void)close(dir);
}

static void
test_list_dropped(void **state)
{
	struct listing l = { 0 };
	struct fix *f = *state;
	struct got g = { .f = f };
	char key[32];
	struct err e;

	(void)make_many(f);
	start_list(f, &l, "certs/");
	/* Runs after the first batch: of two, at least one is still to come. */
	(void)snprintf(key, sizeof(key), "certs/c%u", MANY - 1);
	assert_non_null(f->s->ops->drop(f->s, key, on_done, &g, &e));
	wait_for(f, &l.done);
	assert_int_equal(g.calls, 1);
	assert_int_equal(l.done.kind, ERR_NONE);
	assert_int_equal(l.done.aside, 0);
	assert_in_range(l.n, MANY - 1, MANY);
}

static void
test_list_cancel(void **state)
{
	struct listing l = { .stop_at = 1000 };
	struct fix *f = *state;
	struct err e;

	(void)make_many(f);
	start_list(f, &l, "certs/");
	assert_int_equal(loop_run(f->loop, &e), 0);
	(void)get(f, "certs/c1");
	assert_int_equal(l.n, 1000);
	assert_int_equal(l.done.calls, 0);
}

static void
test_free_in_list(void **state)
{
	struct listing l = { .stop_at = 130, .free_store = true };
	struct fix *f = *state;
	struct err e;

	(void)make_many(f);
	start_list(f, &l, "certs/");
	assert_int_equal(loop_run(f->loop, &e), 0);
	assert_int_equal(l.n, 130);
	assert_int_equal(l.done.calls, 0);
}

static void
free_store(void *arg, const struct store_value *v, const struct err *e)
{
	struct fix *f = arg;

	assert_null(e);
	store_free(take_ptr(f->s));
	/* Valid until we return. */
	assert_string_equal(v->data, "text");
	loop_stop(f->loop);
}

static void
test_free_in_done(void **state)
{
	struct fix *f = *state;
	struct got g = { .f = f };
	struct err e;

	(void)put(f, "certs/www", "text", STORE_ANY);
	assert_non_null(f->s->ops->get(f->s, "certs/www", free_store, f, &e));
	assert_non_null(f->s->ops->get(f->s, "certs/www", on_done, &g, &e));
	assert_int_equal(loop_run(f->loop, &e), 0);
	assert_null(f->s);
	assert_int_equal(g.calls, 0);
}

/* What waits when a store is freed is not lost. */
static void
test_free_flushes(void **state)
{
	struct fix *f = *state;
	struct got g = { .f = f };
	struct err e;

	(void)put(f, "certs/b", "b", STORE_ANY);
	assert_non_null(f->s->ops->put(f->s,
	    &(struct store_put){
		.key = "certs/a", .data = "a", .len = 1, .rev = STORE_ABSENT },
	    on_done, &g, &e));
	assert_non_null(f->s->ops->drop(f->s, "certs/b", on_done, &g, &e));
	store_free(f->s);
	assert_int_equal(g.calls, 0);
	f->s = store_files(f->loop, f->dir, &e);
	assert_non_null(f->s);
	assert_string_equal(get(f, "certs/a").data, "a");
	assert_int_equal(get(f, "certs/b").rev, STORE_ABSENT);
}

static void
test_set_aside(void **state)
{
	struct fix *f = *state;
	struct listing l = { 0 };
	struct stat st;
	struct err e;

	clock_fake(1700000000);
	(void)put(f, "certs/www", "{", STORE_ANY);
	assert_int_equal(f->s->ops->set_aside(f->s, "certs/www", &e), 0);
	assert_int_equal(
	    fstatat(f->dir, "certs/.bad-1700000000-www.json", &st, 0), 0);
	assert_int_equal(st.st_size, 1);
	assert_int_equal(get(f, "certs/www").rev, STORE_ABSENT);
	start_list(f, &l, "certs/");
	wait_for(f, &l.done);
	assert_int_equal(l.n, 0);
	assert_int_equal(f->s->ops->set_aside(f->s, "certs/www", &e), -1);
	assert_int_equal(e.num, ENOENT);
}

static void
test_leftovers(void **state)
{
	struct fix *f = *state;
	struct err e;

	(void)put(f, "certs/www", "whole", STORE_ANY);
	write_file(f, "certs", ".www.json.new", "ha", 2);
	write_file(f, "orders", ".www.json.new", "", 0);
	store_free(f->s);
	f->s = store_files(f->loop, f->dir, &e);
	assert_non_null(f->s);
	assert_int_equal(count(f, "certs", ".", NULL), 0);
	assert_int_equal(count(f, "orders", ".", NULL), 0);
	assert_string_equal(get(f, "certs/www").data, "whole");
}

static void
note(struct fix *f, const char *line)
{
	f->s->ops->note(f->s, line, strlen(line));
}

static void
assert_events(struct fix *f, const char *want)
{
	AUTO(buf_done) struct buf b = BUF_INIT(2 << 20);
	struct err e;

	assert_int_equal(fs_read(f->dir, "events", &b, &e), 0);
	assert_string_equal(buf_str(&b), want);
}

/* A torn line spoils no other. */
static void
test_torn_events(void **state)
{
	static const char *const torn[] = { "", "{\"a\"", "{\"a\"}\n{",
		"{\"a\"}\n" };
	static const char *const want[] = { "{\"b\"}\n", "{\"b\"}\n",
		"{\"a\"}\n{\"b\"}\n", "{\"a\"}\n{\"b\"}\n" };
	struct fix *f = *state;
	struct err e;
	size_t i;

	for (i = 0; i < NELEM(torn); i++) {
		assert_int_equal(fs_replace(f->dir, "events", torn[i],
				     strlen(torn[i]), 0600, &e),
		    0);
		note(f, "{\"b\"}\n");
		assert_events(f, want[i]);
		store_free(f->s);
		f->s = store_files(f->loop, f->dir, &e);
		assert_non_null(f->s);
		assert_int_equal(unlinkat(f->dir, "events", 0), 0);
	}
}

/* Part of a line is written, then there is no room: it goes, and those after
 * it are whole. */
static void
full_disk_and_events(struct fix *f)
{
	AUTO(buf_done) struct buf b = BUF_INIT(2 << 20);
	char line[4096];
	struct err e;
	size_t i;
	int fd = openat(f->dir, "ballast", O_WRONLY | O_CREAT, 0600);

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 2] = '\n';
	line[sizeof(line) - 1] = '\0';
	while (write(fd, line, sizeof(line)) > 0)
		;
	assert_int_equal(ftruncate(fd, 4096), 0);
	for (i = 0; i < 32; i++)
		note(f, line);
	assert_int_equal(unlinkat(f->dir, "ballast", 0), 0);
	(void)close(fd);
	note(f, "end\n");
	assert_int_equal(fs_read(f->dir, "events", &b, &e), 0);
	for (i = 0; i + strlen(line) < b.len; i += strlen(line))
		assert_memory_equal(b.data + i, line, strlen(line));
	assert_string_equal(buf_str(&b) + i, "end\n");
}

static void
full_disk(struct fix *f)
{
	char big[100 << 10];
	struct got g = { .f = f };
	struct err e;

	memset(big, 'x', sizeof(big));
	(void)put(f, "certs/www", "old", STORE_ANY);
	assert_non_null(f->s->ops->put(f->s,
	    &(struct store_put){ .key = "certs/www",
		.data = big,
		.len = sizeof(big),
		.rev = STORE_ANY },
	    on_done, &g, &e));
	wait_for(f, &g);
	assert_int_equal(g.kind, ERR_SYS);
	assert_int_equal(g.num, ENOSPC);
	assert_string_equal(get(f, "certs/www").data, "old");
	/* It left nothing behind that would keep the disk full. */
	assert_int_equal(count(f, "certs", ".", NULL), 0);
	assert_int_equal(put(f, "certs/www", "new", STORE_ANY).kind, ERR_NONE);
	full_disk_and_events(f);
}

static void
test_full_disk(void **state)
{
	char path[] = "/tmp/store-disk.XXXXXX";
	struct fix *real = *state, f = *real;
	struct err e;

	assert_non_null(mkdtemp(path));
	if (mount("tmpfs", path, "tmpfs", 0, "size=64k,mode=700") == -1) {
		print_message(
		    "SKIP: a full disk needs mount(2): %s\n", strerror(errno));
		(void)rmdir(path);
		skip();
	}
	f.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f.s = store_files(f.loop, f.dir, &e);
	assert_non_null(f.s);
	full_disk(&f);
	store_free(f.s);
	(void)close(f.dir);
	assert_int_equal(umount(path), 0);
	(void)rmdir(path);
}

/* The folder cannot be made: an error, and nothing leaks. */
static void
test_bad_folder(void **state)
{
	struct fix *f = *state;
	int dir = fs_open_dir(f->dir, "certs", NULL);
	struct err e;

	write_file(f, "certs", "damage", "", 0);
	assert_null(store_files(f->loop, dir, &e));
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(unlinkat(dir, "accounts", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(dir, "budgets", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(dir, "certs", AT_REMOVEDIR), 0);
	(void)close(dir);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_keys),
		TEST(test_put_get),
		TEST(test_swap),
		TEST(test_value_max),
		TEST(test_order),
		TEST(test_cancel),
		TEST(test_list),
		TEST(test_list_bad),
		TEST(test_list_dropped),
		TEST(test_list_cancel),
		TEST(test_free_in_list),
		TEST(test_free_in_done),
		TEST(test_free_flushes),
		TEST(test_set_aside),
		TEST(test_leftovers),
		TEST(test_torn_events),
		TEST(test_full_disk),
		TEST(test_bad_folder),
	};

	(void)alarm(580); /* a lost callback must not hang the run */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
