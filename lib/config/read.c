/* SPDX-License-Identifier: ISC */
/*
 * Root's side: opens the main file and what it includes, and refuses what
 * somebody else may write.  Of YAML it wants "include" only; all other faults
 * are conf_load()'s to tell.
 */
#include "lib/config/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/fs.h"

#define PATTERN_MAX 8192

struct reading {
	struct diags diags;
	struct buf *bundle;
	const char *path; /* of the main file */
	uint32_t n_includes;
};

static void
globfree_p(glob_t *g)
{
	globfree(g);
}

static int
check_file(int fd, const char *path, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_set(e, ERR_SYS, errno, "stat");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_CONFIG, 0, "is not a regular file");
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(e, ERR_CONFIG, 0,
		    "belongs to user %u, but must belong to root: chown root "
		    "%s",
		    (unsigned)st.st_uid, path);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return err_set(e, ERR_CONFIG, 0,
		    "others than its owner may write it: chmod go-w %s", path);
	return 0;
}

/* A symlink is fine: what counts is who may write what it points to, and the
 * folder of a configuration is root's. */
static int
read_text(const char *path, struct buf *text, struct err *e)
{
	/* O_NONBLOCK: a fifo must not stop us. */
	AUTO(close)
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd == -1)
		return err_set(e, ERR_SYS, errno, "cannot be opened");
	if (check_file(fd, path, e) == -1)
		return -1;
	return fs_read_fd(fd, text, e);
}

static int
add_text(
    struct reading *rd, const char *path, const struct buf *text, struct err *e)
{
	if (bundle_add(rd->bundle, path, buf_str(text), text->len) == 0)
		return 0;
	return err_set(e, ERR_LIMIT, 0,
	    "the configuration is larger than %u MiB with all it includes",
	    CONF_BUNDLE_MAX >> 20);
}

static void
include_file(struct reading *rd, const char *path, struct where at)
{
	AUTO(buf_done) struct buf text = BUF_INIT(CONF_FILE_MAX);
	struct err e;

	if (++rd->n_includes > CONF_INCLUDES_MAX) {
		if (rd->n_includes == CONF_INCLUDES_MAX + 1)
			diag_error(&rd->diags, at,
			    "more than %d files are included",
			    CONF_INCLUDES_MAX);
		return;
	}
	if (read_text(path, &text, &e) == -1 ||
	    add_text(rd, path, &text, &e) == -1)
		diag_error(&rd->diags, at, "%s: %s", path, e.what);
}

/* The folder of the main file, and its slash. */
static void
add_folder(const struct reading *rd, bool quote, struct buf *out)
{
	const char *c, *end = strrchr(rd->path, '/');

	for (c = rd->path; end != NULL && c <= end; c++) {
		if (quote && strchr("*?[\\", *c) != NULL)
			buf_putc(out, '\\');
		buf_putc(out, *c);
	}
}

static void
include_pattern(struct reading *rd, const char *pattern, struct where at)
{
	AUTO(buf_done) struct buf full = BUF_INIT(PATTERN_MAX);
	AUTO(globfree) glob_t g = { 0 };
	bool literal = strpbrk(pattern, "*?[") == NULL;
	size_t i;

	if (pattern[0] != '/')
		add_folder(rd, !literal, &full);
	buf_puts(&full, pattern);
	if (!buf_ok(&full)) {
		diag_error(&rd->diags, at, "`include`: too long");
		return;
	}
	if (literal) {
		include_file(rd, buf_str(&full), at);
		return;
	}
	/* No match is fine: an empty folder is how one starts. */
	if (glob(buf_str(&full), 0, NULL, &g) == GLOB_NOSPACE)
		rd->diags.nomem = true;
	for (i = 0; i < g.gl_pathc; i++)
		include_file(rd, g.gl_pathv[i], at);
}

/* What is no file name, conf_load() complains of. */
static void
include_value(struct reading *rd, const struct node *n)
{
	const struct node *item = n->kind == NODE_LIST ? n->first : n;

	for (; item != NULL; item = item->next) {
		if (item->kind == NODE_SCALAR && item->text[0] != '\0')
			include_pattern(rd, item->text,
			    (struct where){ .line = item->line,
				.column = (uint16_t)item->column });
		if (n->kind != NODE_LIST)
			break;
	}
}

static void
follow_keys(struct reading *rd, struct yaml *y)
{
	struct where at;

	if (yaml_peek(y, &at) != NODE_MAP)
		return;
	yaml_step(y);
	for (;;) {
		AUTO(node_free) struct node *key = yaml_key(y), *value = NULL;

		if (key == NULL)
			return;
		if (strcmp(key->text, "include") != 0)
			yaml_pass(y);
		else if ((value = yaml_value(y)) != NULL)
			include_value(rd, value);
	}
}

static void
follow(struct reading *rd, const struct buf *text)
{
	AUTO(yaml_close) struct yaml *y = yaml_open(buf_str(text), text->len);

	if (y != NULL)
		follow_keys(rd, y);
	if (y == NULL || yaml_nomem(y))
		rd->diags.nomem = true;
}

int
conf_read(const char *path, struct buf *bundle, struct conf_report *r)
{
	AUTO(buf_done) struct buf text = BUF_INIT(CONF_FILE_MAX);
	struct reading rd = { .bundle = bundle, .path = path };
	unsigned before = r->n_errors;
	struct err e;

	if (read_text(path, &text, &e) == -1 ||
	    add_text(&rd, path, &text, &e) == -1)
		diag_error(&rd.diags, (struct where){ 0 }, "%s%s", e.what,
		    e.kind == ERR_SYS && e.num == ENOENT
			? ": acmed.yaml(5) begins with an example"
			: "");
	else
		follow(&rd, &text);
	diag_flush(&rd.diags, &path, r);
	diag_done(&rd.diags);
	return r->n_errors == before ? 0 : -1;
}
