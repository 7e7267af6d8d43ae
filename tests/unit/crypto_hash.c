/* SPDX-License-Identifier: ISC */
/* FIPS 180-4 examples and RFC 4231. */
#include "tests/unit/crypto_data/helper.h"

#include "lib/base/str.h"
#include "lib/crypto/hash.h"

static void
test_sha256(void **state)
{
	/* clang-format off */
	static const struct { const char *in, *hex; } rows[] = {
		{ "",    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca4"
		         "95991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb4"
		         "10ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6"
		         "ecedd419db06c1" },
	};
	/* clang-format on */
	unsigned char out[HASH_SHA256_LEN];
	char hex[2 * HASH_SHA256_LEN + 1];
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		assert_int_equal(
		    hash_sha256(rows[i].in, strlen(rows[i].in), out, &e), 0);
		str_hex(out, sizeof(out), hex);
		assert_string_equal(hex, rows[i].hex);
	}
}

static void
check_hmac(enum hash_alg alg, const char *key, size_t key_len, const char *in,
    const char *want)
{
	unsigned char out[HASH_MAX_LEN];
	char hex[2 * HASH_MAX_LEN + 1];
	struct err e;
	size_t len = 0;

	assert_int_equal(
	    hash_hmac(alg, key, key_len, in, strlen(in), out, &len, &e), 0);
	assert_int_equal(len, strlen(want) / 2);
	str_hex(out, len, hex);
	assert_string_equal(hex, want);
}

static void
test_hmac_case_2(void **state)
{
	static const char in[] = "what do ya want for nothing?";

	(void)state;
	check_hmac(HASH_SHA256, "Jefe", 4, in,
	    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	check_hmac(HASH_SHA384, "Jefe", 4, in,
	    "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
	    "8e2240ca5e69e2c78b3239ecfab21649");
	check_hmac(HASH_SHA512, "Jefe", 4, in,
	    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
	    "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
}

/* A key longer than a block is hashed first. */
static void
test_hmac_case_6(void **state)
{
	static const char in[] =
	    "Test Using Larger Than Block-Size Key - Hash Key First";
	char key[131];

	(void)state;
	memset(key, 0xaa, sizeof(key));
	check_hmac(HASH_SHA256, key, sizeof(key), in,
	    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	check_hmac(HASH_SHA512, key, sizeof(key), in,
	    "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
	    "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_hmac_case_2),
		cmocka_unit_test(test_hmac_case_6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
