/* SPDX-License-Identifier: ISC */
/* The bytes of each line, and that nobody can write a second one. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

static int real_stderr, pipes[2];
static char line[2 * PIPE_BUF];

static int
setup(void **state)
{
	(void)state;
	(void)unsetenv("JOURNAL_STREAM");
	(void)unsetenv("INVOCATION_ID");
	clock_fake(1795446245);
	log_init("engine", LOG_L_INFO, LOG_F_TEXT);
	log_tap(NULL, NULL, LOG_L_ERR);
	/* Packets: one read gives exactly what one write gave. */
	if (pipe2(pipes, O_DIRECT | O_NONBLOCK | O_CLOEXEC) == -1)
		return -1;
	/* for 256 of them */
	if (fcntl(pipes[1], F_SETPIPE_SZ, 1 << 20) == -1)
		return -1;
	real_stderr = dup(STDERR_FILENO);
	return dup2(pipes[1], STDERR_FILENO) == -1 ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)dup2(real_stderr, STDERR_FILENO);
	(void)close(real_stderr);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	return 0;
}

/* What the last log_*() wrote. */
static const char *
got(void)
{
	ssize_t n = read(pipes[0], line, sizeof(line) - 1);

	line[n < 0 ? 0 : n] = '\0';
	return line;
}

static void
text_form(void **state)
{
	(void)state;
	log_info("certificate issued", KV("cert", "www"), KN("orders", 3));
	assert_string_equal(got(),
	    "level=info time=2026-11-23T15:04:05Z part=engine "
	    "msg=\"certificate issued\" cert=www orders=3\n");
	log_info("up");
	assert_string_equal(got(),
	    "level=info time=2026-11-23T15:04:05Z part=engine msg=\"up\"\n");
	log_error("e", KN("n", INT64_MIN));
	assert_string_equal(got(),
	    "level=error time=2026-11-23T15:04:05Z part=engine msg=\"e\" "
	    "n=-9223372036854775808\n");
	log_warn("w");
	assert_memory_equal(got(), "level=warn ", 11);
}

static void
values_are_quoted_and_cleaned(void **state)
{
	/* clang-format off */
	static const struct {
		const char *value, *want;
	} known[] = {
		{ "plain",          "v=plain" },
		{ "",               "v=\"\"" },
		{ "two words",      "v=\"two words\"" },
		{ "a=b",            "v=\"a=b\"" },
		{ "say \"hi\"",     "v=\"say \\\"hi\\\"\"" },
		{ "c:\\x",          "v=c:\\x" },
		{ "c:\\x y",        "v=\"c:\\\\x y\"" },
		{ "a\nlevel=error", "v=\"a?level=error\"" },
		{ "\x1b[2J\x07",    "v=\"?[2J?\"" },
		{ "\xc2\x9b" "2J",  "v=\"??2J\"" },
		{ "caf\xc3\xa9",    "v=caf\xc3\xa9" },
		{ "\xff\r\t",       "v=\"???\"" },
	};
	/* clang-format on */
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		log_info("m", KV("v", known[i].value));
		(void)got();
		assert_string_equal(
		    strstr(line, "v=") + strlen(known[i].want), "\n");
		assert_memory_equal(
		    strstr(line, "v="), known[i].want, strlen(known[i].want));
	}
	log_info("two\nlines \"and\" \x1b[0m");
	assert_non_null(strstr(got(), " msg=\"two?lines \\\"and\\\" ?[0m\"\n"));
}

static void
json_form(void **state)
{
	(void)state;
	log_init("keeper", LOG_L_DEBUG, LOG_F_JSON);
	log_info("a \"b\"\n\\", KV("cert", "w\tw"), KN("n", -3), KV("e", NULL));
	assert_string_equal(got(),
	    "{\"level\":\"info\",\"time\":\"2026-11-23T15:04:05Z\","
	    "\"part\":\"keeper\",\"msg\":\"a \\\"b\\\"?\\\\\","
	    "\"cert\":\"w?w\",\"n\":-3}\n");
	log_debug("d");
	assert_memory_equal(got(), "{\"level\":\"debug\"", 16);
}

static void
journal_form(void **state)
{
	(void)state;
	assert_int_equal(setenv("JOURNAL_STREAM", "8:1", 1), 0);
	log_init("supervisor", LOG_L_DEBUG, LOG_F_TEXT);
	log_error("x");
	assert_string_equal(
	    got(), "<3>level=error part=supervisor msg=\"x\"\n");
	log_warn("x");
	assert_string_equal(got(), "<4>level=warn part=supervisor msg=\"x\"\n");
	log_info("x");
	assert_string_equal(got(), "<6>level=info part=supervisor msg=\"x\"\n");
	log_debug("x");
	assert_string_equal(
	    got(), "<7>level=debug part=supervisor msg=\"x\"\n");
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
	assert_int_equal(setenv("INVOCATION_ID", "1", 1), 0);
	log_init("supervisor", LOG_L_INFO, LOG_F_TEXT);
	log_info("x");
	assert_string_equal(got(), "<6>level=info part=supervisor msg=\"x\"\n");
}

static void
levels(void **state)
{
	(void)state;
	assert_true(log_wants(LOG_L_INFO));
	assert_false(log_wants(LOG_L_DEBUG));
	log_debug("not asked for", KV("k", "v"));
	assert_string_equal(got(), "");
	log_init("engine", LOG_L_ERR, LOG_F_TEXT);
	log_warn("not asked for");
	assert_string_equal(got(), "");
	log_error("asked for");
	assert_string_not_equal(got(), "");
}

static void
errno_survives(void **state)
{
	(void)state;
	errno = ENOENT;
	log_info("x");
	assert_int_equal(errno, ENOENT);
	(void)close(STDERR_FILENO);
	log_info("nobody hears this");
	assert_int_equal(errno, ENOENT);
}

/* Whatever the length, it is one line of at most PIPE_BUF that is well-formed.
 */
static void
long_lines_are_cut(void **state)
{
	static char value[3 * PIPE_BUF];
	enum log_format f;
	size_t n;

	(void)state;
	for (f = LOG_F_TEXT; f <= LOG_F_JSON; f++) {
		log_init("engine", LOG_L_INFO, f);
		for (n = PIPE_BUF - 200; n < PIPE_BUF + 20; n++) {
			memset(value, 'x', n);
			value[n] = '\0';
			log_info(
			    "m", KV("a", value), KV("b", "y z"), KN("c", 7));
			(void)got();
			assert_true(strlen(line) <= PIPE_BUF);
			assert_ptr_equal(
			    strchr(line, '\n'), line + strlen(line) - 1);
			if (f == LOG_F_JSON)
				assert_int_equal(line[strlen(line) - 2], '}');
			if (strstr(line, "xxx...") != NULL)
				assert_non_null(strstr(line, "xxx...\""));
			else if (strstr(line, "y z") != NULL)
				assert_non_null(strstr(line, "\"y z\""));
		}
	}
	log_init("engine", LOG_L_INFO, LOG_F_TEXT);
	memset(value, '"', sizeof(value) - 1);
	log_info(value, KV("k", "lost"));
	(void)got();
	assert_true(strlen(line) <= PIPE_BUF);
	assert_string_equal(line + strlen(line) - 7, "\\\"...\"\n");
}

static struct {
	int calls;
	enum log_level level;
	const char *msg, *key;
	int64_t num;
} tapped;

static void
tap(void *arg, enum log_level level, const char *msg, const struct kv *kvs)
{
	assert_ptr_equal(arg, &tapped);
	tapped.calls++;
	tapped.level = level;
	tapped.msg = msg;
	tapped.key = kvs[0].key;
	tapped.num = kvs[0].num;
	log_info("from the tap");
}

static void
tap_sees_the_parts(void **state)
{
	(void)state;
	log_tap(tap, &tapped, LOG_L_INFO);
	log_warn("m", KN("n", 5));
	assert_int_equal(tapped.calls, 1);
	assert_int_equal(tapped.level, LOG_L_WARN);
	assert_string_equal(tapped.msg, "m");
	assert_string_equal(tapped.key, "n");
	assert_int_equal(tapped.num, 5);
	assert_non_null(strstr(got(), "msg=\"m\" n=5"));
	assert_non_null(strstr(got(), "from the tap"));
	log_debug("unwanted");
	assert_int_equal(tapped.calls, 1);
	log_info("again");
	assert_int_equal(tapped.calls, 2);
	log_tap(NULL, NULL, LOG_L_ERR);
	log_info("untapped");
	assert_int_equal(tapped.calls, 2);
}

static void
count_tap(
    void *arg, enum log_level level, const char *msg, const struct kv *kvs)
{
	(void)arg;
	(void)level;
	(void)msg;
	(void)kvs;
	tapped.calls++;
}

static void
spam(unsigned times)
{
	for (; times > 0; times--)
		log_error("cannot", KV("cert", "www"), KN("n", 3));
}

/* How many lines there are to read that hold text. */
static unsigned
count(const char *text)
{
	unsigned n = 0;

	while (*got() != '\0')
		n += strstr(line, text) != NULL;
	return n;
}

static void
equal_lines_are_left_out(void **state)
{
	(void)state;
	spam(1000);
	assert_int_equal(count("msg=\"cannot\" cert=www n=3"), LOG_EQUAL_MAX);
	/* Lines between do not end it. */
	log_info("other");
	assert_non_null(strstr(got(), "msg=\"other\""));
	assert_string_equal(got(), "");
	spam(2);
	assert_string_equal(got(), "");
	/* When its time is over, the next line that is written says so, once.
	 */
	clock_fake_advance_ms(LOG_EQUAL_S * 1000);
	log_info("third");
	assert_non_null(strstr(got(), "msg=\"equal lines left out\" of=cannot "
				      "lines=992\n"));
	assert_non_null(strstr(got(), "msg=\"third\""));
	log_info("fourth");
	assert_int_equal(count("left out"), 0);
}

static void
time_gives_room_again(void **state)
{
	unsigned i, written = 0;

	(void)state;
	spam(LOG_EQUAL_MAX);
	assert_int_equal(count("cannot"), LOG_EQUAL_MAX);
	clock_fake_advance_ms(LOG_EQUAL_S * 1000 - 1);
	spam(1);
	assert_string_equal(got(), "");
	clock_fake_advance_ms(1);
	spam(LOG_EQUAL_MAX + 5);
	assert_non_null(strstr(got(), "of=cannot lines=1\n"));
	assert_int_equal(count("msg=\"cannot\""), LOG_EQUAL_MAX);
	/* Each second for an hour: ten a minute, and how many there were. */
	for (i = 0; i < 3600; i++) {
		clock_fake_advance_ms(1000);
		spam(1);
		written += count("");
	}
	assert_in_range(
	    written, 59 * (LOG_EQUAL_MAX + 1), 61 * (LOG_EQUAL_MAX + 1));
}

/* Whatever differs, be it a number or the level, is another line. */
static void
other_lines_are_not_held_back(void **state)
{
	int64_t i;

	(void)state;
	spam(LOG_EQUAL_MAX + 1);
	assert_int_equal(count("cannot"), LOG_EQUAL_MAX);
	for (i = 0; i < 200; i++)
		log_error("cannot", KV("cert", "www"), KN("n", 1000 + i));
	assert_int_equal(count("n=1"), 200);
	log_warn("cannot", KV("cert", "www"), KN("n", 3));
	log_error("cannot", KV("cert", "ww"), KN("n", 3));
	log_error("cannot", KV("cer", "twww"), KN("n", 3));
	log_error("cannot", KV("cert", "www"), KV("n", "3"));
	log_error("cannot", KV("cert", "www"));
	log_error("canno", KV("cert", "www"), KN("n", 3));
	assert_int_equal(count("canno"), 6);
}

/* Two that take turns hold each other back no less. */
static void
lines_in_turn(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 100; i++) {
		log_error("a", KV("v", NULL));
		log_error("b");
	}
	assert_int_equal(count(""), 2 * LOG_EQUAL_MAX);
	log_init("keeper", LOG_L_INFO, LOG_F_TEXT);
	assert_int_equal(count("part=engine msg=\"equal lines left out\""), 2);
	log_error("b");
	assert_int_equal(count("msg=\"b\""), 1);
}

/* The table is full of newer lines: its row is lost, and its count is not. */
static void
many_lines_between(void **state)
{
	int64_t i;

	(void)state;
	spam(LOG_EQUAL_MAX + 7);
	for (i = 0; i < 100; i++) {
		clock_fake_advance_ms(1);
		log_info("filler", KN("i", i));
	}
	assert_int_equal(count("lines="), 1);
	spam(1);
	assert_int_equal(count("msg=\"cannot\""), 1);
}

static void
debug_and_the_tap_get_all(void **state)
{
	int i;

	(void)state;
	tapped.calls = 0;
	log_init("engine", LOG_L_DEBUG, LOG_F_TEXT);
	for (i = 0; i < 30; i++)
		log_debug("same");
	assert_int_equal(count("same"), 30);
	log_tap(count_tap, NULL, LOG_L_INFO);
	spam(30);
	assert_int_equal(tapped.calls, 30);
	assert_int_equal(count("cannot"), LOG_EQUAL_MAX);
	/* What nobody writes is not counted. */
	log_tap(NULL, NULL, LOG_L_ERR);
	log_init("engine", LOG_L_ERR, LOG_F_TEXT);
	for (i = 0; i < 30; i++)
		log_info("unwanted");
	log_error("wanted");
	assert_int_equal(count(""), 1 + 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(text_form),
		T(values_are_quoted_and_cleaned),
		T(json_form),
		T(journal_form),
		T(levels),
		T(errno_survives),
		T(long_lines_are_cut),
		T(tap_sees_the_parts),
		T(equal_lines_are_left_out),
		T(time_gives_room_again),
		T(other_lines_are_not_held_back),
		T(lines_in_turn),
		T(many_lines_between),
		T(debug_and_the_tap_get_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
