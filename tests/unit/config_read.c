/* SPDX-License-Identifier: ISC */
/* Root's side, with real files: what is followed and what is refused. */
#include "config_support.h"
#include "tests/unit/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define PATH_SIZE 256

static char dir[PATH_SIZE];

static void
path_of(const char *name, char out[2 * PATH_SIZE])
{
	(void)snprintf(out, 2 * PATH_SIZE, "%s/%s", dir, name);
}

static void
put(const char *name, const char *text)
{
	char path[2 * PATH_SIZE];
	FILE *f;

	path_of(name, path);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0644), 0);
}

static int
setup(void **state)
{
	char path[2 * PATH_SIZE];

	(void)state;
	/* A folder whose name is a pattern, if one forgets to quote it. */
	(void)snprintf(dir, sizeof(dir), "/tmp/acmed-config[x]-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	path_of("d", path);
	return mkdir(path, 0755);
}

static int
teardown(void **state)
{
	(void)state;
	return folder_remove(dir);
}

/* Read dir/name; the report's errors with dir cut out must be these. */
static void
expect_read(const char *name, const char *errors, struct buf *bundle)
{
	AUTO(buf_done) struct buf told = BUF_INIT(1u << 20);
	char path[2 * PATH_SIZE];
	struct conf_report r;
	const char *p, *at;

	conf_report_init(&r);
	path_of(name, path);
	assert_int_equal(conf_read(path, bundle, &r), *errors ? -1 : 0);
	for (p = buf_str(&r.errors); (at = strstr(p, dir)) != NULL;
	     p = at + strlen(dir) + 1)
		buf_add(&told, p, (size_t)(at - p));
	buf_puts(&told, p);
	assert_string_equal(buf_str(&told), errors);
	assert_int_equal(r.n_errors, count_lines(errors));
	conf_report_done(&r);
}

static void
expect_refused(const char *name, const char *errors)
{
	AUTO(buf_done) struct buf b = BUF_INIT(CONF_BUNDLE_MAX);

	expect_read(name, errors, &b);
}

static void
test_include(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(CONF_BUNDLE_MAX);
	char path[2 * PATH_SIZE], link[2 * PATH_SIZE];
	struct conf_report r;
	struct conf *c;

	(void)state;
	put("d/2.yaml", "- two.example\n");
	put("d/1.yaml", "- one.example\n");
	put("d/.hidden.yaml", "- hidden.example\n");
	put("d/1.yaml~", "- backup.example\n");
	put("last.yaml", "domains: [last.example]\n");
	put("main.yaml", "# first\n" HEAD "domains: [main.example]\n"
			 "include: [d/*.yaml, last.yaml, none/*.yaml]\n");
	path_of("main.yaml", path);
	path_of("link.yaml", link);
	(void)unlink(link);
	assert_int_equal(symlink(path, link), 0);
	expect_read("link.yaml", "", &b);

	conf_report_init(&r);
	c = conf_load(b.data, b.len, &r);
	assert_string_equal(buf_str(&r.errors), "");
	assert_non_null(c);
	assert_string_equal(c->file, link);
	assert_int_equal(c->n_certs, 4);
	assert_string_equal(c->certs[0].name, "main.example");
	assert_string_equal(c->certs[1].name, "one.example");
	assert_string_equal(c->certs[2].name, "two.example");
	assert_string_equal(c->certs[3].name, "last.example");
	conf_free(c);
	conf_report_done(&r);
}

static void
test_refused(void **state)
{
	char path[2 * PATH_SIZE];

	(void)state;
	expect_refused("absent",
	    "absent: cannot be opened: No such file or directory: "
	    "acmed.yaml(5) begins with an example\n");
	expect_refused("d", "d: is not a regular file\n");
	path_of("fifo", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_refused("fifo", "fifo: is not a regular file\n");

	put("loose", HEAD "domains: [a.example]\n");
	path_of("loose", path);
	assert_int_equal(chmod(path, 0664), 0);
	expect_refused("loose",
	    "loose: others than its owner may write it: chmod go-w loose\n");
	assert_int_equal(chmod(path, 0646), 0);
	expect_refused("loose",
	    "loose: others than its owner may write it: chmod go-w loose\n");
	assert_int_equal(chmod(path, 0600), 0);
	expect_refused("loose", "");
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(path, 12345, 0), 0);
	expect_refused("loose",
	    "loose: belongs to user 12345, but must belong to root: chown "
	    "root loose\n");
}

static void
test_include_refused(void **state)
{
	char path[2 * PATH_SIZE];

	(void)state;
	put("x.yaml", "- x.example\n");
	path_of("x.yaml", path);
	assert_int_equal(chmod(path, 0666), 0);
	put("m.yaml", HEAD "domains: [a.example]\n"
			   "include:\n"
			   "- absent.yaml\n"
			   "- x.yaml\n"
			   "- /proc\n");
	expect_refused("m.yaml",
	    "m.yaml:4:3: absent.yaml: cannot be opened: No such file or "
	    "directory\n"
	    "m.yaml:5:3: x.yaml: others than its owner may write it: chmod "
	    "go-w x.yaml\n"
	    "m.yaml:6:3: /proc: is not a regular file\n");
}

/* A fault in the main file is for conf_load() to tell. */
static void
test_bad_yaml(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(CONF_BUNDLE_MAX);
	struct conf_report r;

	(void)state;
	put("bad.yaml", "include: {a: b}\nx: [\n");
	expect_read("bad.yaml", "", &b);
	conf_report_init(&r);
	assert_null(conf_load(b.data, b.len, &r));
	assert_int_equal(r.n_errors, 3);
	conf_report_done(&r);
}

static void
test_too_large(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(CONF_BUNDLE_MAX);
	AUTO(buf_done) struct buf list = BUF_INIT(1u << 20);
	char path[2 * PATH_SIZE];
	int i;

	(void)state;
	put("large.yaml", HEAD);
	path_of("large.yaml", path);
	assert_int_equal(truncate(path, (16 << 20) + 1), 0);
	expect_refused(
	    "large.yaml", "large.yaml: larger than 16777216 bytes\n");

	assert_int_equal(truncate(path, 16 << 20), 0);
	put("four.yaml", "include:\n- large.yaml\n- large.yaml\n- large.yaml\n"
			 "- large.yaml\n");
	expect_read("four.yaml",
	    "four.yaml:5:3: large.yaml: the configuration is larger than 64 "
	    "MiB with all it includes\n",
	    &b);
	/* What did fit is whole. */
	assert_true(buf_ok(&b));

	put("small.yaml", "");
	buf_puts(&list, "include:\n");
	for (i = 0; i < 1002; i++)
		buf_puts(&list, "- small.yaml\n");
	put("many.yaml", buf_str(&list));
	expect_refused("many.yaml",
	    "many.yaml:1002:3: more than 1000 files are included\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_include_refused),
		cmocka_unit_test(test_bad_yaml),
		cmocka_unit_test(test_too_large),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
