/* SPDX-License-Identifier: ISC */
/* RFC 4648 section 10 and RFC 7515 appendix C, and what is not base64url. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/b64.h"
#include "lib/base/cleanup.h"

#define V(bin, text)                       \
	{                                  \
		bin, sizeof(bin) - 1, text \
	}
static const struct {
	const char *bin;
	size_t len;
	const char *text;
} vectors[] = {
	V("", ""),
	V("f", "Zg"),
	V("fo", "Zm8"),
	V("foo", "Zm9v"),
	V("foob", "Zm9vYg"),
	V("fooba", "Zm9vYmE"),
	V("foobar", "Zm9vYmFy"),
	V("\x03\xec\xff\xe0\xc1", "A-z_4ME"),
	V("\0", "AA"),
	V("\0\0\0", "AAAA"),
	V("\xff\xff\xff", "____"),
	V("\xfb\xef\xbe", "----"),
};

static void
rfc_vectors(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(vectors); i++) {
		AUTO(buf_done) struct buf text = BUF_INIT(100);
		AUTO(buf_done) struct buf bin = BUF_INIT(100);

		b64url_encode(vectors[i].bin, vectors[i].len, &text);
		assert_string_equal(buf_str(&text), vectors[i].text);
		assert_int_equal(b64url_decode(text.data, text.len, &bin), 0);
		assert_int_equal(bin.len, vectors[i].len);
		assert_memory_equal(buf_str(&bin), vectors[i].bin, bin.len);
	}
}

static void
every_byte_comes_back(void **state)
{
	unsigned char all[256];
	size_t n;

	(void)state;
	for (n = 0; n < sizeof(all); n++)
		all[n] = (unsigned char)(n * 167 + 13);
	for (n = 0; n <= sizeof(all); n++) {
		AUTO(buf_done) struct buf text = BUF_INIT(400);
		AUTO(buf_done) struct buf bin = BUF_INIT(n);

		b64url_encode(all, n, &text);
		assert_int_equal(
		    b64url_decode(buf_str(&text), text.len, &bin), 0);
		assert_int_equal(bin.len, n);
		assert_memory_equal(buf_str(&bin), all, n);
	}
}

static void
strict_refuses(void **state)
{
	static const char *const bad[] = {
		"Zg==",
		"Zg=",
		"Zm8=", /* padding */
		"Z",
		"Zm9vY", /* impossible length */
		"Zh",
		"Zm9",
		"Zm9vYh",
		"A-z_4MF", /* dangling bits */
		"Zm+v",
		"Zm/v", /* the other alphabet */
		"Zm 9v",
		"Zm9v\n",
		"Zm9v.",
		"\x80\x80",
		"Zm\xc3\xa9",
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(bad); i++) {
		AUTO(buf_done) struct buf out = BUF_INIT(100);

		buf_puts(&out, "keep");
		if (b64url_decode(bad[i], strlen(bad[i]), &out) != -1)
			fail_msg("\"%s\" was decoded", bad[i]);
		assert_true(buf_ok(&out));
		assert_string_equal(buf_str(&out), "keep");
	}
}

static void
appends_within_the_limit(void **state)
{
	AUTO(buf_done) struct buf out = BUF_INIT(7);
	AUTO(buf_done) struct buf text = BUF_INIT(3);

	(void)state;
	buf_puts(&out, "1:");
	assert_int_equal(b64url_decode("Zm9v", 4, &out), 0);
	assert_string_equal(buf_str(&out), "1:foo");
	assert_int_equal(b64url_decode("Zm9v", 4, &out), -1);
	assert_false(buf_ok(&out));
	b64url_encode("foo", 3, &text);
	assert_false(buf_ok(&text));
}

static void
any_reads_what_people_paste(void **state)
{
	static const char *const good[] = {
		"A-z_4ME",
		"A-z_4ME=",
		"A+z/4ME",
		"A+z/4ME=",
		" A+z/\n4ME=\r\n",
		"\tA-z_ 4M E",
		"A-z_4ME\v\f",
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(good); i++) {
		AUTO(buf_done) struct buf out = BUF_INIT(100);

		if (b64_decode_any(good[i], strlen(good[i]), &out) == -1)
			fail_msg("\"%s\" was refused", good[i]);
		assert_int_equal(out.len, 5);
		assert_memory_equal(out.data, "\x03\xec\xff\xe0\xc1", 5);
	}
}

static void
any_refuses(void **state)
{
	static const char *const bad[] = {
		"",
		" \n",
		"=",
		"==",
		"====",
		"A",
		"A-z/", /* both alphabets */
		"Zg=",
		"Zg===",
		"Z=g=",
		"Zm9v=",
		"Zm9v====",
		"Zg==Zg==",
		"Zh==",
		"Zm9v!",
		"Zm9v\x01",
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(bad); i++) {
		AUTO(buf_done) struct buf out = BUF_INIT(100);

		if (b64_decode_any(bad[i], strlen(bad[i]), &out) != -1)
			fail_msg("\"%s\" was decoded", bad[i]);
		assert_int_equal(out.len, 0);
	}
	{
		AUTO(buf_done) struct buf out = BUF_INIT(100);

		assert_int_equal(b64_decode_any("Zm9v\0Zm9v", 9, &out), -1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_vectors),
		cmocka_unit_test(every_byte_comes_back),
		cmocka_unit_test(strict_refuses),
		cmocka_unit_test(appends_within_the_limit),
		cmocka_unit_test(any_reads_what_people_paste),
		cmocka_unit_test(any_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
