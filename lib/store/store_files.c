/* SPDX-License-Identifier: ISC */
/*
 * The store as files: one folder a kind of key, one file a value, and the hash
 * of the content as its revision.  One process at a time: what makes a put's
 * comparison and its rename one step is that nobody else is there.
 *
 * Everything waits in one queue behind one timer, so that the loop gets to
 * breathe between two values and nothing is ever answered from inside the call
 * that asked.
 */
#include "lib/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"

#define KINDS     5
#define BATCH     128         /* values of a listing in one turn */
#define PUTS_MAX  32          /* that become durable together */
#define NAMES_MAX (64u << 20) /* bytes of file names in a listing */

#define EXTENSION        ".json"
#define ASIDE            ".bad-"  /* begins the name of what is damaged */
#define JOURNAL          "events" /* and one older one */
#define JOURNAL_OLD      "events.1"
#define JOURNAL_MAX      (1u << 20)
#define JOURNAL_LINE_MAX (32u << 10) /* more than any line is long */

enum what { GET, PUT, DROP, LIST };

struct store_op {
	TAILQ_ENTRY(store_op) entry;
	struct files *files;
	enum what what;
	size_t kind;
	uint64_t rev;           /* PUT: what it replaces */
	bool soft;              /* PUT */
	int fd;                 /* PUT: the staged file */
	struct store_op **told; /* PUT, in a batch: cleared when it is freed */
	struct buf data; /* PUT: the value; LIST: names, each with its NUL */
	size_t at;       /* LIST: the next name */
	unsigned aside;  /* LIST */
	unsigned was_aside;
	bool *gone;       /* LIST, while it runs: set when it is freed */
	store_each *each; /* LIST */
	store_done *done;
	void *arg;
	char file[NAME_MAX + 1]; /* but LIST */
};
TAILQ_HEAD(op_queue, store_op);

struct files {
	struct store store;
	struct loop_timer *soon;
	struct op_queue queue;
	int dirs[KINDS];
	int root;    /* the folder itself */
	int journal; /* -1: not open */
	size_t journal_len;
};

static struct files *
files_of(struct store *s)
{
	return (struct files *)(void *)s;
}

/* 0 and UINT64_MAX mean something else. */
static uint64_t
revision(const void *data, size_t len)
{
	uint64_t h = str_hash(data, len);

	return h == STORE_ABSENT || h == STORE_ANY ? 1 : h;
}

static struct store_op *
op_new(
    struct store *s, enum what what, store_done *done, void *arg, struct err *e)
{
	struct store_op *op = calloc(1, sizeof(*op));

	if (op == NULL) {
		(void)err_nomem(e, "store");
		return NULL;
	}
	op->files = files_of(s);
	op->what = what;
	op->done = done;
	op->arg = arg;
	return op;
}

static struct store_op *
op_start(struct store_op *op)
{
	struct files *f = op->files;

	TAILQ_INSERT_TAIL(&f->queue, op, entry);
	if (!loop_timer_pending(f->soon))
		loop_timer_set(f->soon, 0);
	return op;
}

static void
op_free(struct store_op *op)
{
	if (op->gone != NULL)
		*op->gone = true;
	if (op->told != NULL)
		*op->told = NULL;
	TAILQ_REMOVE(&op->files->queue, op, entry);
	buf_done(&op->data);
	free(op);
}

/* What each operation does. */

/* Read the value into b.  *rev is STORE_ABSENT when there is none. */
static int
read_value(struct files *f, size_t kind, const char *file, struct buf *b,
    uint64_t *rev, struct err *e)
{
	struct stat st;

	*rev = STORE_ABSENT;
	if (fs_read(f->dirs[kind], file, b, e) == -1) {
		if (e->kind == ERR_SYS && e->num == ENOENT)
			return 0;
		/* A buffer cannot say why it is bad. */
		if (e->kind == ERR_LIMIT &&
		    fstatat(f->dirs[kind], file, &st, 0) == 0 &&
		    st.st_size <= STORE_VALUE_MAX)
			return err_nomem(e, file);
		return -1;
	}
	*rev = revision(buf_str(b), b->len);
	return 0;
}

static int
do_get(struct store_op *op, struct buf *b, struct store_value *v, struct err *e)
{
	if (read_value(op->files, op->kind, op->file, b, &v->rev, e) == -1)
		return -1;
	v->data = buf_str(b);
	v->len = b->len;
	return 0;
}

/* Write what is put, to where nobody sees it yet. */
static int
put_stage(struct store_op *op, struct err *e)
{
	AUTO(buf_done) struct buf old = BUF_INIT(STORE_VALUE_MAX);
	struct files *f = op->files;
	uint64_t rev;

	if (op->rev != STORE_ANY) {
		if (read_value(f, op->kind, op->file, &old, &rev, e) == -1)
			return -1;
		if (rev != op->rev)
			return err_set(e, ERR_STALE, 0, "%s/%s has changed",
			    store_kinds[op->kind], op->file);
	}
	op->rev = revision(buf_str(&op->data), op->data.len);
	op->fd = fs_stage(f->dirs[op->kind], op->file, buf_str(&op->data),
	    op->data.len, 0600, e);
	if (op->fd == -1)
		return err_wrap(e, "%s", store_kinds[op->kind]);
	/* what is soft may never have to reach the disk */
	if (!op->soft)
		fs_stage_begin(op->fd);
	return 0;
}

static int
put_finish(struct store_op *op, struct err *e)
{
	int dir = op->files->dirs[op->kind];
	int r = op->soft ? close(op->fd) : fs_stage_sync(op->fd, op->file, e);

	if (r == -1) {
		if (op->soft)
			(void)err_set(e, ERR_SYS, errno, "write %s", op->file);
		fs_stage_drop(dir, op->file);
	} else {
		r = fs_stage_publish(dir, op->file, e);
	}
	return r == 0 ? 0 : err_wrap(e, "%s", store_kinds[op->kind]);
}

static int
sync_kind(const struct files *f, size_t kind, struct err *e)
{
	if (fs_sync_dir(f->dirs[kind], e) == -1)
		return err_wrap(e, "%s", store_kinds[kind]);
	return 0;
}

static int
do_drop(struct store_op *op, struct err *e)
{
	int dir = op->files->dirs[op->kind];

	if (unlinkat(dir, op->file, 0) == -1)
		return errno == ENOENT
			   ? 0
			   : err_set(e, ERR_SYS, errno, "remove %s/%s",
				 store_kinds[op->kind], op->file);
	return 0;
}

static int
put_aside(struct files *f, size_t kind, const char *file, struct err *e)
{
	char bad[NAME_MAX + 1];
	int n;

	n = snprintf(
	    bad, sizeof(bad), ASIDE "%lld-%s", (long long)clock_now(), file);
	if (n < 0 || (size_t)n >= sizeof(bad))
		return err_set(e, ERR_SYS, ENAMETOOLONG, "%s", file);
	if (renameat(f->dirs[kind], file, f->dirs[kind], bad) == -1)
		return err_set(e, ERR_SYS, errno, "set %s/%s aside",
		    store_kinds[kind], file);
	return fs_sync_dir(f->dirs[kind], e);
}

/* Listing. */

/* The key of a file in out; false for what is none of ours. */
static bool
key_of(size_t kind, const char *file, char out[STORE_KEY_MAX])
{
	size_t len = strlen(file), ext = strlen(EXTENSION);
	int n;

	if (len <= ext || strcmp(file + len - ext, EXTENSION) != 0)
		return false;
	n = snprintf(out, STORE_KEY_MAX, "%s/%.*s", store_kinds[kind],
	    (int)(len - ext), file);
	return n > 0 && n < STORE_KEY_MAX && store_key_ok(out);
}

static int
add_name(void *arg, const char *file)
{
	struct store_op *op = arg;
	char key[STORE_KEY_MAX];

	if (key_of(op->kind, file, key))
		buf_add(&op->data, file, strlen(file) + 1);
	else if (strncmp(file, ASIDE, strlen(ASIDE)) == 0)
		op->was_aside++;
	return 0;
}

/* Whether the trouble is with us and not with that one file. */
static bool
is_shortage(const struct err *e)
{
	return e->kind == ERR_NOMEM ||
	       (e->kind == ERR_SYS &&
		   (e->num == EMFILE || e->num == ENFILE || e->num == ENOMEM));
}

/* Hand out one value.  -1 ends the listing; *gone: it has been freed. */
static int
list_one(struct store_op *op, const char *file, struct buf *b, const bool *gone,
    struct err *e)
{
	struct store_value v = { 0 };
	char key[STORE_KEY_MAX];

	(void)key_of(op->kind, file, key);
	buf_reset(b);
	if (read_value(op->files, op->kind, file, b, &v.rev, e) == -1) {
		if (is_shortage(e))
			return -1;
		/* It stays where it is if even that fails: nobody's loss. */
		(void)put_aside(op->files, op->kind, file, NULL);
		op->aside++;
		return 0;
	}
	if (v.rev == STORE_ABSENT) /* dropped meanwhile */
		return 0;
	v.data = buf_str(b);
	v.len = b->len;
	op->each(op->arg, key, &v);
	return *gone ? -1 : 0;
}

/* A batch.  1: there is more; 0 done; -1 failed, or *gone. */
static int
list_some(struct store_op *op, const bool *gone, struct err *e)
{
	AUTO(buf_done) struct buf b = BUF_INIT(STORE_VALUE_MAX);
	const char *file;
	size_t i;

	/* A copy of the names: what puts do to a folder that is being read is
	 * left open by POSIX. */
	if (op->at == 0 && op->data.len == 0) {
		if (fs_each(op->files->dirs[op->kind], add_name, op, e) == -1)
			return -1;
		if (!buf_ok(&op->data))
			return err_set(e, ERR_LIMIT, 0, "%s: too many files",
			    store_kinds[op->kind]);
	}
	for (i = 0; i < BATCH && op->at < op->data.len; i++) {
		file = op->data.data + op->at;
		op->at += strlen(file) + 1;
		if (list_one(op, file, &b, gone, e) == -1)
			return -1;
	}
	return op->at < op->data.len ? 1 : 0;
}

static void
run_list(struct files *f, struct store_op *op)
{
	struct store_value v = { .data = "" };
	store_done *done = op->done;
	void *arg = op->arg;
	bool gone = false;
	struct err e;
	int r;

	op->gone = &gone;
	r = list_some(op, &gone, &e);
	if (gone)
		return;
	op->gone = NULL;
	if (r == 1) {
		/* To the end: small things need not wait for the whole list. */
		TAILQ_REMOVE(&f->queue, op, entry);
		TAILQ_INSERT_TAIL(&f->queue, op, entry);
		return;
	}
	v.aside = op->aside;
	v.was_aside = op->was_aside;
	op_free(op);
	done(arg, r == 0 ? &v : NULL, r == 0 ? NULL : &e);
}

/* The queue. */

/* A put of its own, when there is nobody to share with. */
static int
do_put(struct store_op *op, struct store_value *v, struct err *e)
{
	if (put_stage(op, e) == -1 || put_finish(op, e) == -1)
		return -1;
	v->rev = op->rev;
	return op->soft ? 0 : sync_kind(op->files, op->kind, e);
}

static int
run_simple(
    struct store_op *op, struct buf *b, struct store_value *v, struct err *e)
{
	switch (op->what) {
	case GET:
		return do_get(op, b, v, e);
	case PUT:
		return do_put(op, v, e);
	case DROP:
		return do_drop(op, e);
	case LIST:
		break;
	}
	return err_set(e, ERR_PROTO, 0, "no such operation");
}

static void
run_first(struct files *f)
{
	AUTO(buf_done) struct buf b = BUF_INIT(STORE_VALUE_MAX);
	struct store_value v = { .data = "" };
	struct store_op *op = TAILQ_FIRST(&f->queue);
	store_done *done = op->done;
	void *arg = op->arg;
	struct err e;
	int r = run_simple(op, &b, &v, &e);

	op_free(op);
	done(arg, r == 0 ? &v : NULL, r == 0 ? NULL : &e);
}

struct batch {
	struct store_op *ops[PUTS_MAX];
	struct err errs[PUTS_MAX];
	bool ok[PUTS_MAX];
	size_t n;
};

/* The puts at the head of the queue, up to one whose file is there already. */
static void
batch_gather(struct files *f, struct batch *b)
{
	struct store_op *op;
	size_t i;

	b->n = 0;
	TAILQ_FOREACH (op, &f->queue, entry) {
		if (op->what != PUT || b->n == PUTS_MAX)
			return;
		for (i = 0; i < b->n; i++)
			if (b->ops[i]->kind == op->kind &&
			    strcmp(b->ops[i]->file, op->file) == 0)
				return;
		b->ops[b->n++] = op;
	}
}

static void
batch_sync_dirs(struct files *f, struct batch *b)
{
	struct err e;
	size_t i, kind;

	for (kind = 0; kind < KINDS; kind++) {
		bool wanted = false, good;

		for (i = 0; i < b->n; i++)
			wanted = wanted || (b->ok[i] && !b->ops[i]->soft &&
					       b->ops[i]->kind == kind);
		good = !wanted || sync_kind(f, kind, &e) == 0;
		for (i = 0; !good && i < b->n; i++)
			if (b->ok[i] && b->ops[i]->kind == kind) {
				b->ok[i] = false;
				b->errs[i] = e;
			}
	}
}

/*
 * Several puts at once: written first, then waited for, so that the disk has
 * one thing to do instead of many.  Each is answered for itself.
 */
static void
run_puts(struct files *f)
{
	AUTO(free) struct batch *b = calloc(1, sizeof(*b));
	struct store_value v = { .data = "" };
	struct err e;
	size_t i;

	if (b == NULL) {
		run_first(f);
		return;
	}
	batch_gather(f, b);
	for (i = 0; i < b->n; i++)
		b->ok[i] = put_stage(b->ops[i], &b->errs[i]) == 0;
	for (i = 0; i < b->n; i++)
		b->ok[i] = b->ok[i] && put_finish(b->ops[i], &b->errs[i]) == 0;
	batch_sync_dirs(f, b);
	/* A callback may cancel others of the batch, or free the store. */
	for (i = 0; i < b->n; i++)
		b->ops[i]->told = &b->ops[i];
	for (i = 0; i < b->n; i++) {
		struct store_op *op = b->ops[i];
		store_done *done;
		void *arg;

		if (op == NULL)
			continue;
		done = op->done;
		arg = op->arg;
		v.rev = op->rev;
		e = b->errs[i];
		op_free(op);
		done(arg, b->ok[i] ? &v : NULL, b->ok[i] ? NULL : &e);
	}
}

static void
run_one(void *arg)
{
	struct files *f = arg;
	struct store_op *op = TAILQ_FIRST(&f->queue);

	if (op == NULL)
		return;
	/* Before any callback, which may free us. */
	if (op->what == LIST || TAILQ_NEXT(op, entry) != NULL)
		loop_timer_set(f->soon, 0);
	if (op->what == LIST)
		run_list(f, op);
	else if (op->what == PUT && TAILQ_NEXT(op, entry) != NULL)
		run_puts(f);
	else
		run_first(f);
}

/* The operations. */

static int
make_file_name(
    const char *key, size_t *kind, char *out, size_t size, struct err *e)
{
	const char *slash;
	size_t i;
	int n;

	if (!store_key_ok(key))
		return err_set(e, ERR_PROTO, 0, "not a key: %.200s", key);
	slash = strchr(key, '/');
	for (i = 0; i < KINDS - 1; i++)
		if (strncmp(key, store_kinds[i], (size_t)(slash - key)) == 0)
			break;
	*kind = i;
	n = snprintf(out, size, "%s" EXTENSION, slash + 1);
	if (n < 0 || (size_t)n >= size)
		return err_set(e, ERR_SYS, ENAMETOOLONG, "%s", key);
	return 0;
}

static struct store_op *
start_simple(struct store *s, enum what what, const char *key, store_done *done,
    void *arg, struct err *e)
{
	struct store_op *op;
	char file[NAME_MAX + 1];
	size_t kind;

	if (make_file_name(key, &kind, file, sizeof(file), e) == -1)
		return NULL;
	op = op_new(s, what, done, arg, e);
	if (op == NULL)
		return NULL;
	op->kind = kind;
	memcpy(op->file, file, sizeof(file));
	return op_start(op);
}

static struct store_op *
files_get(struct store *s, const char *key, store_done *done, void *arg,
    struct err *e)
{
	return start_simple(s, GET, key, done, arg, e);
}

static struct store_op *
files_put(struct store *s, const struct store_put *p, store_done *done,
    void *arg, struct err *e)
{
	struct store_op *op = start_simple(s, PUT, p->key, done, arg, e);

	if (op == NULL)
		return NULL;
	op->rev = p->rev;
	op->soft = p->soft;
	op->data = BUF_INIT(STORE_VALUE_MAX);
	buf_add(&op->data, p->data, p->len);
	if (!buf_ok(&op->data)) {
		op_free(op);
		(void)err_set(e,
		    p->len > STORE_VALUE_MAX ? ERR_LIMIT : ERR_NOMEM, 0,
		    "%s: a value of %zu bytes", p->key, p->len);
		return NULL;
	}
	return op;
}

static struct store_op *
files_drop(struct store *s, const char *key, store_done *done, void *arg,
    struct err *e)
{
	return start_simple(s, DROP, key, done, arg, e);
}

static struct store_op *
files_list(struct store *s, const char *prefix, store_each *each,
    store_done *done, void *arg, struct err *e)
{
	struct store_op *op;
	size_t i, n;

	for (i = 0; i < KINDS; i++) {
		n = strlen(store_kinds[i]);
		if (strncmp(prefix, store_kinds[i], n) == 0 &&
		    strcmp(prefix + n, "/") == 0)
			break;
	}
	if (i == KINDS) {
		(void)err_set(e, ERR_PROTO, 0, "not a prefix: %.200s", prefix);
		return NULL;
	}
	op = op_new(s, LIST, done, arg, e);
	if (op == NULL)
		return NULL;
	op->kind = i;
	op->each = each;
	op->data = BUF_INIT(NAMES_MAX);
	return op_start(op);
}

static int
files_set_aside(struct store *s, const char *key, struct err *e)
{
	char file[NAME_MAX + 1];
	size_t kind;

	if (make_file_name(key, &kind, file, sizeof(file), e) == -1)
		return -1;
	return put_aside(files_of(s), kind, file, e);
}

static void
files_cancel(struct store_op *op)
{
	if (op != NULL)
		op_free(op);
}

static void
files_free(struct store *s)
{
	struct files *f = files_of(s);
	struct store_value v;
	struct store_op *op;
	struct err e;
	size_t i;

	while ((op = TAILQ_FIRST(&f->queue)) != NULL) {
		/* Nobody is left who could be told how it went. */
		if (op->what == PUT || op->what == DROP)
			(void)run_simple(op, NULL, &v, &e);
		op_free(op);
	}
	loop_timer_free(f->soon);
	for (i = 0; i < KINDS; i++)
		if (f->dirs[i] != -1)
			(void)close(f->dirs[i]);
	close_p(&f->root);
	close_p(&f->journal);
	free(f);
}

/* A line that a full disk or a power cut has torn goes, so that the next one
 * is not spoilt as well. */
static int
journal_mend(int fd, size_t *len)
{
	char tail[JOURNAL_LINE_MAX];
	const char *end;
	struct stat st;
	off_t from;
	ssize_t n;

	if (fstat(fd, &st) == -1)
		return -1;
	from = st.st_size - (off_t)sizeof(tail);
	if (from < 0)
		from = 0;
	n = pread(fd, tail, sizeof(tail), from);
	if (n == -1)
		return -1;
	end = memrchr(tail, '\n', (size_t)n);
	*len = (size_t)from + (end == NULL ? 0 : (size_t)(end - tail) + 1);
	return (off_t)*len == st.st_size ? 0 : ftruncate(fd, (off_t)*len);
}

static int
journal_open(struct files *f)
{
	AUTO(close)
	int fd = openat(f->root, JOURNAL,
	    O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd == -1 || journal_mend(fd, &f->journal_len) == -1)
		return -1;
	f->journal = take_fd(&fd);
	return 0;
}

static void
files_note(struct store *s, const char *line, size_t len)
{
	struct files *f = files_of(s);
	ssize_t n;

	if (f->journal != -1 && f->journal_len + len > JOURNAL_MAX) {
		(void)renameat(f->root, JOURNAL, f->root, JOURNAL_OLD);
		(void)close(take_fd(&f->journal));
	}
	if (f->journal == -1 && journal_open(f) == -1)
		return;
	n = write(f->journal, line, len);
	if (n != (ssize_t)len) /* opening it anew mends it */
		(void)close(take_fd(&f->journal));
	f->journal_len += len;
}

static const struct store_ops files_ops = {
	.name = "files",
	.get = files_get,
	.put = files_put,
	.drop = files_drop,
	.list = files_list,
	.set_aside = files_set_aside,
	.note = files_note,
	.cancel = files_cancel,
	.free = files_free,
};

/* What fs_replace() left when it was interrupted. */
static int
remove_leftover(void *arg, const char *name)
{
	size_t len = strlen(name);

	if (name[0] == '.' && len > 4 && strcmp(name + len - 4, ".new") == 0)
		(void)unlinkat(*(int *)arg, name, 0); /* harmless if it stays */
	return 0;
}

struct store *
store_files(struct loop *loop, int dir, struct err *e)
{
	AUTO(store_free) struct store *s = NULL;
	struct files *f = calloc(1, sizeof(*f));
	size_t i;

	if (f == NULL) {
		(void)err_nomem(e, "store");
		return NULL;
	}
	s = &f->store;
	s->ops = &files_ops;
	TAILQ_INIT(&f->queue);
	f->root = f->journal = -1;
	for (i = 0; i < KINDS; i++)
		f->dirs[i] = -1;
	f->root = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	if (f->root == -1) {
		(void)err_set(e, ERR_SYS, errno, "state folder");
		return NULL;
	}
	for (i = 0; i < KINDS; i++) {
		f->dirs[i] = fs_make_dir(
		    dir, store_kinds[i], 0700, (uid_t)-1, (gid_t)-1, e);
		if (f->dirs[i] == -1 ||
		    fs_each(f->dirs[i], remove_leftover, &f->dirs[i], e) == -1)
			return NULL;
	}
	f->soon = loop_timer_new(loop, run_one, f, e);
	if (f->soon == NULL)
		return NULL;
	return take_ptr(s);
}
