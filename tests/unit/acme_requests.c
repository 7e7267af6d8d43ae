/* SPDX-License-Identifier: ISC */
/* Payloads, byte for byte (protocol.md D4, D5, D8, D9, E5, E27, G1, J11, K1).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/acme/jws.h"
#include "lib/acme/requests.h"
#include "lib/base/cleanup.h"

static void
test_new_account(void **state)
{
	/* clang-format off */
	static const struct {
		const char *email;
		bool agree, only;
		const char *eab, *want;
	} rows[] = {
		{ "admin@example.org", true, false, NULL,
		  "{\"termsOfServiceAgreed\":true,"
		  "\"contact\":[\"mailto:admin@example.org\"]}" },
		/* D4: silence is not consent */
		{ "admin@example.org", false, false, NULL,
		  "{\"contact\":[\"mailto:admin@example.org\"]}" },
		{ NULL, false, false, NULL, "{}" },
		{ NULL, false, true, NULL, "{\"onlyReturnExisting\":true}" },
		{ NULL, true, false,
		  "{\"protected\":\"a\",\"payload\":\"b\",\"signature\":\"c\"}",
		  "{\"termsOfServiceAgreed\":true,\"externalAccountBinding\":"
		  "{\"protected\":\"a\",\"payload\":\"b\",\"signature\":\"c\"}}"
		},
		{ "\"quoted\"@example.org", false, false, NULL,
		  "{\"contact\":[\"mailto:\\\"quoted\\\"@example.org\"]}" },
	};
	/* clang-format on */
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(buf_done) struct buf out = BUF_INIT(JWS_PAYLOAD_MAX);

		assert_int_equal(
		    request_new_account(rows[i].email, rows[i].agree,
			rows[i].only, rows[i].eab, &out, &e),
		    0);
		assert_string_equal(buf_str(&out), rows[i].want);
	}
}

static void
test_bad_account(void **state)
{
	AUTO(buf_done) struct buf out = BUF_INIT(JWS_PAYLOAD_MAX);
	struct err e;

	(void)state;
	assert_int_equal(
	    request_new_account("a@x?subject=y", true, false, NULL, &out, &e),
	    -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_string_equal(e.what,
	    "contact: one plain address is needed, not \"a@x?subject=y\"");
	assert_int_equal(request_update_account("a@x,b@y", &out, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_int_equal(
	    request_new_account(NULL, true, false, "{\"a\"", &out, &e), -1);
	assert_memory_equal(e.what, "EAB: ", 5);
	assert_int_equal(out.len, 0);
}

static void
test_update_account(void **state)
{
	AUTO(buf_done) struct buf out = BUF_INIT(JWS_PAYLOAD_MAX);
	struct err e;

	(void)state;
	assert_int_equal(request_update_account("a@example.org", &out, &e), 0);
	assert_string_equal(
	    buf_str(&out), "{\"contact\":[\"mailto:a@example.org\"]}");
	buf_reset(&out);
	assert_int_equal(request_update_account(NULL, &out, &e), 0);
	assert_string_equal(buf_str(&out), "{\"contact\":[]}");
}

static void
test_new_order(void **state)
{
	static const char *const idents[] = { "example.org", "*.example.org",
		"192.0.2.1", "2001:db8::1" };
	static const char *const bad[] = { "example..org" };
	AUTO(buf_done) struct buf out = BUF_INIT(JWS_PAYLOAD_MAX);
	struct err e;

	(void)state;
	assert_int_equal(request_new_order(idents, 4, NULL, NULL, &out, &e), 0);
	assert_string_equal(buf_str(&out),
	    "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"example.org\"},"
	    "{\"type\":\"dns\",\"value\":\"*.example.org\"},"
	    "{\"type\":\"ip\",\"value\":\"192.0.2.1\"},"
	    "{\"type\":\"ip\",\"value\":\"2001:db8::1\"}]}");
	buf_reset(&out);
	assert_int_equal(request_new_order(bad, 1, NULL, NULL, &out, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_memory_equal(e.what, "example..org: ", 14);
}

/* Compact, and the identifiers in front: the keeper looks for both. */
static void
test_new_order_more(void **state)
{
#define FRONT "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example\"}]"
	/* clang-format off */
	static const struct {
		const char *replaces, *profile, *want;
	} rows[] = {
		{ NULL, NULL, FRONT "}" },
		{ "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", NULL,
		  FRONT ",\"replaces\":"
		  "\"aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE\"}" },
		{ NULL, "shortlived", FRONT ",\"profile\":\"shortlived\"}" },
		{ "a.b", "tlsserver",
		  FRONT ",\"replaces\":\"a.b\",\"profile\":\"tlsserver\"}" },
		{ NULL, "a\"b", FRONT ",\"profile\":\"a\\\"b\"}" },
	};
	/* clang-format on */
	static const char *const idents[] = { "a.example" };
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		AUTO(buf_done) struct buf out = BUF_INIT(JWS_PAYLOAD_MAX);

		assert_int_equal(request_new_order(idents, 1, rows[i].replaces,
				     rows[i].profile, &out, &e),
		    0);
		assert_string_equal(buf_str(&out), rows[i].want);
	}
}

static void
test_finalize(void **state)
{
	static unsigned char big[JWS_PAYLOAD_MAX];
	AUTO(buf_done) struct buf out = BUF_INIT(JWS_PAYLOAD_MAX);
	struct err e;

	(void)state;
	assert_int_equal(request_finalize("\x30\xff\xfe\x00", 4, &out, &e), 0);
	assert_string_equal(buf_str(&out), "{\"csr\":\"MP_-AA\"}");
	buf_reset(&out);
	assert_int_equal(request_finalize(big, sizeof(big), &out, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_non_null(strstr(e.what, "too many names"));
	assert_int_equal(request_finalize(big, 36000, &out, &e), 0);
	assert_int_equal(out.len, 48000 + strlen("{\"csr\":\"\"}"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_account),
		cmocka_unit_test(test_bad_account),
		cmocka_unit_test(test_update_account),
		cmocka_unit_test(test_new_order),
		cmocka_unit_test(test_new_order_more),
		cmocka_unit_test(test_finalize),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
