/* SPDX-License-Identifier: ISC */
/* What an account key signs, whatever the engine asks for. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "daemon/keeper/keeper.h"
#include "lib/acme/requests.h"

#define MADE_DER "made here"

static int
check(const struct payloads *p, const char *text)
{
	struct err e;

	return payloads_check(p, text, strlen(text), &e);
}

/* Everything that the engine really sends. */
static void
test_ours(void **state)
{
	static const char *const names[] = { "status", "www.example.org",
		"::1" };
	/* A CA may call its profiles what it likes, members of others too. */
	static const struct {
		const char *replaces, *profile;
	} orders[] = {
		{ NULL, NULL },
		{ "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", NULL },
		{ NULL, "shortlived" },
		{ "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", "tlsserver" },
		{ "a.b", "certificate" },
		{ "a.b", "csr" },
	};
	struct buf out = BUF_INIT(65536);
	struct payloads p = { 0 };
	struct err e;
	size_t i;

	(void)state;
	assert_int_equal(check(&p, ""), 0);
	assert_int_equal(check(&p, "{}"), 0);
	assert_int_equal(request_new_account("a@example.org", true, false,
			     "{\"protected\":\"e30\",\"payload\":\"e30\","
			     "\"signature\":\"eA\"}",
			     &out, &e),
	    0);
	assert_int_equal(check(&p, buf_str(&out)), 0);
	buf_reset(&out);
	assert_int_equal(
	    request_new_account(NULL, true, true, NULL, &out, &e), 0);
	assert_int_equal(check(&p, buf_str(&out)), 0);
	buf_reset(&out);
	assert_int_equal(request_update_account(NULL, &out, &e), 0);
	assert_int_equal(check(&p, buf_str(&out)), 0);
	buf_reset(&out);
	for (i = 0; i < NELEM(orders); i++) {
		assert_int_equal(
		    request_new_order(names, NELEM(names), orders[i].replaces,
			orders[i].profile, &out, &e),
		    0);
		assert_int_equal(check(&p, buf_str(&out)), 0);
		buf_reset(&out);
	}
	buf_done(&out);
}

static void
test_csr(void **state)
{
	struct buf made = BUF_INIT(65536), other = BUF_INIT(65536);
	struct payloads p = { 0 };
	struct err e;
	size_t i;

	(void)state;
	assert_int_equal(
	    request_finalize(MADE_DER, strlen(MADE_DER), &made, &e), 0);
	assert_int_equal(request_finalize("not ours", 8, &other, &e), 0);
	assert_int_equal(check(&p, buf_str(&made)), -1);
	assert_int_equal(
	    payloads_note_csr(&p, MADE_DER, strlen(MADE_DER), &e), 0);
	assert_int_equal(check(&p, buf_str(&made)), 0);
	assert_int_equal(check(&p, buf_str(&other)), -1);
	assert_int_equal(check(&p, "{\"csr\":\"\"}"), -1);
	/* a second member behind the right one */
	buf_reset(&other);
	buf_add(&other, made.data, made.len - 1);
	buf_puts(&other, ",\"csr\":\"bm90IG91cnM\"}");
	assert_int_equal(check(&p, buf_str(&other)), -1);
	/* the oldest of many is forgotten, and then made again */
	for (i = 0; i < PAYLOAD_CSRS; i++)
		assert_int_equal(payloads_note_csr(&p, &i, sizeof(i), &e), 0);
	assert_int_equal(check(&p, buf_str(&made)), -1);
	buf_done(&made);
	buf_done(&other);
}

/* What somebody inside the engine would like to have signed. */
static void
test_foreign(void **state)
{
	static const char *const texts[] = {
		"{\"identifiers\":[],\"csr\":\"x\"}",
		"{\"identifiers\":[],\"\\u0063sr\":\"x\"}",
		"{\"identifiers\":[],\"csr\" :\"x\"}",
		"{\"identifiers\":[],\"csr\"\n:\"x\"}",
		"{\"identifiers\":[],\"csr\"\t:\"x\"}",
		"{\"identifiers\":[],\"profile\":\"a b\"}",
		"{\"identifiers\":[],\"profile\":\"a\\\\b\"}",
		"{\"identifiers\":[],\"profile\":\"x\",\"csr\":\"y\"}",
		"{\"identifiers\":[{\"type\":\"dns\",\"csr\":\"x\"}]}",
		/* what encoding/json of Go takes for csr and status */
		"{\"identifiers\":[],\"CSR\":\"x\"}",
		"{\"identifiers\":[],\"c\xc5\xbfr\":\"x\"}",
		"{\"contact\":[],\"Status\":\"deactivated\"}",
		/* what lenient parsers take */
		"{\"identifiers\":[],'csr':\"x\"}",
		"{\"identifiers\":[],csr:\"x\"}",
		"{\"identifiers\":[]/**/,\"csr\"/**/:\"x\"}",
		"{\"contact\":[]}{\"csr\":\"x\"}",
		/* a roll-over of the key, with a member that is ignored */
		"{\"contact\":[],\"protected\":\"x\",\"payload\":\"y\","
		"\"signature\":\"z\"}",
		"{\"externalAccountBinding\":{\"protected\":\"x\"},"
		"\"protected\":\"x\",\"payload\":\"y\",\"signature\":\"z\"}",
		"{\"contact\":[{\"value\":{\"csr\":\"x\"}}]}",
		"{\"contact\":[]",
		"{\"contact\":[\"x]}",
		"{\"contact\":[]}}",
		"{\"certificate\":\"x\",\"reason\":0}",
		"{\"contact\":[],\"certificate\":\"x\"}",
		"{\"status\":\"deactivated\"}",
		"{\"contact\":[],\"status\":\"deactivated\"}",
		"{\"protected\":\"x\",\"payload\":\"y\",\"signature\":\"z\"}",
		"{\"contact\":[],\"oldKey\":{}}",
		"{\"contact\":[],\"newKey\":{}}",
		"[]",
		"\"\"",
		" {}",
		"{ }",
		"x",
	};
	struct payloads p = { 0 };
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(texts); i++) {
		if (check(&p, texts[i]) == 0)
			fail_msg("signed: %s", texts[i]);
		assert_int_equal(
		    payloads_check(&p, texts[i], strlen(texts[i]), &e), -1);
		assert_int_equal(e.kind, ERR_PROTO);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ours),
		cmocka_unit_test(test_csr),
		cmocka_unit_test(test_foreign),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
