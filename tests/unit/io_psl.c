/* SPDX-License-Identifier: ISC */
/* What a CA counts a name under (protocol.md M1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/cleanup.h"
#include "lib/io/psl.h"

/* Rules that have been in the list for ten years and longer. */
/* clang-format off */
static const struct {
	const char *ident, *want;
} rows[] = {
	{ "example.org",                "example.org" },
	{ "www.example.org",            "example.org" },
	{ "a.b.c.d.e.f.g.example.org",  "example.org" },
	{ "*.example.org",              "example.org" },
	{ "*.www.example.org",          "example.org" },
	{ "www.example.co.uk",          "example.co.uk" },
	{ "example.co.uk",              "example.co.uk" },
	/* public suffixes */
	{ "co.uk",                      "co.uk" },
	{ "org",                        "org" },
	{ "*.org",                      "org" },
	/* private ones: the operators' customers are counted each */
	{ "pages.user.github.io",       "user.github.io" },
	{ "github.io",                  "github.io" },
	/* rules with a star, and exceptions from them */
	{ "a.b.c.ck",                   "b.c.ck" },
	{ "c.ck",                       "c.ck" },
	{ "a.www.ck",                   "www.ck" },
	{ "a.b.c.kawasaki.jp",          "b.c.kawasaki.jp" },
	{ "www.city.kawasaki.jp",       "city.kawasaki.jp" },
	/* no rule: the last label is the suffix */
	{ "www.example.test",           "example.test" },
	{ "test",                       "test" },
	{ "localhost",                  "localhost" },
	/* A-labels, of domains and of suffixes */
	{ "www.xn--bcher-kva.example",  "xn--bcher-kva.example" },
	{ "www.xn--85x722f.com.cn",     "xn--85x722f.com.cn" },
	{ "www.shishi.xn--fiqs8s",      "shishi.xn--fiqs8s" },
	{ "a.b.xn--55qx5d.cn",          "b.xn--55qx5d.cn" },
	/* addresses */
	{ "192.0.2.1",                  "192.0.2.1" },
	{ "2001:db8:1:2:3:4:5:6",       "2001:db8:1:2::/64" },
	{ "2001:db8:1:2::",             "2001:db8:1:2::/64" },
	{ "2001:db8::1",                "2001:db8::/64" },
	{ "::1",                        "::/64" },
	{ "fe80:0:0:1::7",              "fe80:0:0:1::/64" },
};
/* clang-format on */

/* NULL, or the first row that is not as it should be. */
static const char *
first_wrong(const struct psl *psl)
{
	char out[STR_IDENT_MAX];
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		if (strcmp(psl_domain(psl, rows[i].ident, out), rows[i].want) ==
		    0)
			continue;
		print_message("%s: %s\n", rows[i].ident, out);
		return rows[i].ident;
	}
	return NULL;
}

static void
test_domains(void **state)
{
	AUTO(psl_close) struct psl *psl = psl_new(NULL);

	(void)state;
	assert_non_null(psl);
	assert_null(first_wrong(psl));
	psl_close(NULL);
}

static void
test_longest(void **state)
{
	AUTO(psl_close) struct psl *psl = psl_new(NULL);
	char name[STR_IDENT_MAX], out[STR_IDENT_MAX], label[64];

	(void)state;
	memset(label, 'a', 63);
	label[63] = '\0';
	(void)snprintf(
	    name, sizeof(name), "%s.%s.%s.%.61s", label, label, label, label);
	assert_int_equal(strlen(name), 253);
	assert_string_equal(psl_domain(psl, name, out), name + 128);
}

/* In children that can open nothing: before the list is read, and after. */
static void
test_without_files(void **state)
{
	const struct rlimit none = { 3, 3 };
	int when, status;
	pid_t pid;

	(void)state;
	for (when = 0; when < 2; when++) {
		pid = fork();
		if (pid == 0) {
			struct psl *psl = when == 1 ? psl_new(NULL) : NULL;

			(void)close_range(3, ~0u, 0);
			if (setrlimit(RLIMIT_NOFILE, &none) == -1)
				_exit(2);
			if (when == 0)
				psl = psl_new(NULL);
			if (psl == NULL || first_wrong(psl) != NULL)
				_exit(1);
			psl_close(psl);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_without_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
