/* SPDX-License-Identifier: ISC */
/* What is written about the configuration is true: the manual page has every
 * key with its default and its limits, and every example can be loaded. */
#include "config_support.h"

#include <fcntl.h>

#include "lib/base/fs.h"

#define MANUAL  SOURCE_DIR "/lib/config/acmed.yaml.5"
#define EXAMPLE SOURCE_DIR "/conf/acmed.yaml"

static void
read_whole(const char *path, struct buf *out)
{
	AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct err e;

	assert_int_not_equal(fd, -1);
	assert_int_equal(fs_read_fd(fd, out, &e), 0);
}

/* From start to the first end after it, as a string of its own. */
static char *
cut(const char *start, const char *end)
{
	const char *stop;

	assert_non_null(start);
	stop = strstr(start + 1, end);
	return stop != NULL ? strndup(start, (size_t)(stop - start))
			    : strdup(start);
}

static char *
manual_section(const char *manual, const char *section)
{
	char head[64];

	if (section[0] == '\0')
		(void)snprintf(head, sizeof(head), "\n.Ss Top level\n");
	else
		(void)snprintf(
		    head, sizeof(head), "\n.Ss Section %s\n", section);
	if (strstr(manual, head) == NULL)
		fail_msg("no%s", head);
	return cut(strstr(manual, head), "\n.Ss ");
}

static void
check_key(void *arg, const char *section, const char *key, const char *dflt,
    const char *help)
{
	const char *manual = arg;
	AUTO(free) char *text = manual_section(manual, section);
	AUTO(free) char *item = NULL;
	char line[128];

	(void)snprintf(line, sizeof(line), "\n.It Ic %s :", key);
	if (strstr(text, line) == NULL)
		fail_msg("the manual has no %s.%s", section, key);
	item = cut(strstr(text, line), "\n.It ");
	if (dflt != NULL) {
		(void)snprintf(
		    line, sizeof(line), "\nThe default is\n.Cm %s .", dflt);
		if (strstr(item, line) == NULL)
			fail_msg("the manual does not say that %s.%s is %s",
			    section, key, dflt);
	}
	assert_non_null(help);
	assert_true(strlen(help) > 0 && help[strlen(help) - 1] == '.');
}

static void
test_keys(void **state)
{
	AUTO(buf_done) struct buf manual = BUF_INIT(1u << 20);

	(void)state;
	read_whole(MANUAL, &manual);
	conf_each_key(check_key, manual.data);
}

static void
count_key(void *arg, const char *section, const char *key, const char *dflt,
    const char *help)
{
	unsigned *n = arg;

	(void)section;
	(void)key;
	(void)dflt;
	(void)help;
	(*n)++;
}

/* The manual has no key that is not there. */
static void
test_no_more_keys(void **state)
{
	AUTO(buf_done) struct buf manual = BUF_INIT(1u << 20);
	unsigned there = 0, written = 0;
	AUTO(free) char *keys = NULL;
	const char *p;

	(void)state;
	read_whole(MANUAL, &manual);
	keys = cut(strstr(manual.data, "\n.Sh KEYS\n"), "\n.Sh ");
	for (p = keys; (p = strstr(p, "\n.It Ic ")) != NULL; p++)
		written++;
	conf_each_key(count_key, &there);
	assert_int_equal(written, there);
}

static void
check_words(const char *item, const struct field *f)
{
	const struct choice *c;
	char word[64];

	/* Key types are listed once, among the values. */
	if (f->type != F_CHOICE || strcmp(f->choices->name, "ec256") == 0)
		return;
	for (c = f->choices; c->name != NULL; c++) {
		(void)snprintf(word, sizeof(word), " %s", c->name);
		if (!c->reserved && strstr(item, word) == NULL)
			fail_msg(
			    "the manual does not say %s for %s", word, f->key);
	}
}

static void
test_choices_and_reserved(void **state)
{
	static const struct section *const all[] = { &section_top, &section_ca,
		&section_eab, &section_limits, &section_http, &section_control,
		&section_log, &section_defaults, &section_cert };
	AUTO(buf_done) struct buf manual = BUF_INIT(1u << 20);
	AUTO(free) char *reserved = NULL;
	const struct field *f;
	char line[64];
	size_t i;

	(void)state;
	read_whole(MANUAL, &manual);
	reserved = cut(strstr(manual.data, "\n.Sh RESERVED KEYS\n"), "\n.Sh ");
	for (i = 0; i < NELEM(all); i++) {
		AUTO(free)
		char *text = manual_section(manual.data, all[i]->name);

		for (f = all[i]->fields; f->key != NULL; f++) {
			AUTO(free) char *item = NULL;

			(void)snprintf(line, sizeof(line), "\n.It Ic %s%s",
			    f->key, f->reserved ? "\n" : " :");
			if (strstr(f->reserved ? reserved : text, line) == NULL)
				fail_msg("the manual has no %s", f->key);
			if (f->reserved)
				continue;
			item = cut(strstr(text, line), "\n.It ");
			check_words(item, f);
		}
		assert_true((size_t)(f - all[i]->fields) <= CONF_FIELDS_MAX);
	}
}

static void
test_presets(void **state)
{
	AUTO(buf_done) struct buf manual = BUF_INIT(1u << 20);
	AUTO(buf_done) struct buf example = BUF_INIT(1u << 20);
	const struct preset *p;
	char line[64];

	(void)state;
	read_whole(MANUAL, &manual);
	read_whole(EXAMPLE, &example);
	for (p = presets; p->name != NULL; p++) {
		(void)snprintf(line, sizeof(line), "\n.It Cm %s\n", p->name);
		assert_non_null(strstr(manual.data, line));
		assert_non_null(strstr(example.data, p->name));
	}
}

/* The displays of the manual that are whole files. */
static void
test_manual_examples(void **state)
{
	AUTO(buf_done) struct buf manual = BUF_INIT(1u << 20);
	const char *p;
	unsigned n = 0;

	(void)state;
	read_whole(MANUAL, &manual);
	for (p = manual.data; (p = strstr(p, "\n.Bd -literal")) != NULL; p++) {
		AUTO(free) char *text = cut(strchr(p + 1, '\n'), "\n.Ed");

		if (strstr(text, "agree-tos") == NULL)
			continue;
		conf_free(load_good(text));
		n++;
	}
	assert_int_equal(n, 2);
}

static void
test_example(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(1u << 20);
	struct conf *c;

	(void)state;
	read_whole(EXAMPLE, &text);
	c = load_good(text.data);
	assert_int_equal(c->n_certs, 2);
	assert_string_equal(c->cas[0].email, "admin@example.org");
	conf_free(c);
}

/* The example again, with all that is commented out ("#key", and not "# word")
 * put in force. */
static void
test_example_whole(void **state)
{
	AUTO(buf_done) struct buf text = BUF_INIT(1u << 20);
	struct conf *c;
	char *line;

	(void)state;
	read_whole(EXAMPLE, &text);
	for (line = text.data; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (line[0] == '#' && (line[1] != ' ' || line[2] == ' ') &&
		    strchr("#\n", line[1]) == NULL)
			memmove(line, line + 1, strlen(line));
	}
	c = load_good(text.data);
	assert_int_equal(c->n_certs, 3);
	assert_string_equal(c->certs[2].name, "mail");
	assert_int_equal(c->n_cas, 5);
	assert_string_equal(c->control.group, "adm");
	conf_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_no_more_keys),
		cmocka_unit_test(test_choices_and_reserved),
		cmocka_unit_test(test_presets),
		cmocka_unit_test(test_manual_examples),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_example_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
