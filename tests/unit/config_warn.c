/* SPDX-License-Identifier: ISC */
/* What is worth a warning and does not keep a configuration from use. */
#include "config_support.h"

static void
test_warning(void **state)
{
	struct conf_report r;
	struct conf *c = load_texts(HEAD "domains:\n"
					 "- [a.example, b.example]\n"
					 "- [c.example, b.example]\n",
	    "- {name: x, names: a.example}\n", &r);

	(void)state;
	assert_string_equal(buf_str(&r.errors), "");
	assert_string_equal(buf_str(&r.warnings),
	    "m:4:3: warning: `b.example` is also in certificate `a.example` "
	    "(m:3)\n"
	    "i:1:3: warning: `a.example` is also in certificate `a.example` "
	    "(m:3)\n");
	assert_int_equal(r.n_errors, 0);
	assert_non_null(c);
	conf_free(c);
	conf_report_done(&r);
}

/* The first CA of a list has to do, another one is a spare. */
static void
test_refusals(void **state)
{
	struct conf_report r;
	const struct conf_cert *cc;
	struct conf *c =
	    load_texts(HEAD "ca:\n"
			    "  zerossl: {eab: {kid: x, hmac-file: /x}}\n"
			    "  own: {directory: \"https://x\"}\n"
			    "domains:\n"
			    "- {names: [a.example, 192.0.2.1], name: ip,"
			    " ca: [own, zerossl, letsencrypt]}\n"
			    "- {names: 192.0.2.2, ca: [letsencrypt, zerossl],"
			    " profile: shortlived}\n"
			    "- {names: a.test, ca: [letsencrypt, zerossl]}\n",
		NULL, &r);

	(void)state;
	assert_string_equal(buf_str(&r.errors), "");
	assert_string_equal(buf_str(&r.warnings),
	    "m:6:23: warning: CA `zerossl` issues no certificates for IP "
	    "addresses: it is passed over\n"
	    "m:6:23: warning: CA `letsencrypt` issues certificates for IP "
	    "addresses only with `profile: shortlived`: it is passed over\n"
	    "m:7:11: warning: CA `zerossl` issues no certificates for IP "
	    "addresses: it is passed over\n");
	assert_non_null(c);
	cc = &c->certs[0];
	assert_true(cc->has_ip);
	assert_null(conf_refusal(&c->cas[cc->cas[0]], cc));
	assert_string_equal(conf_refusal(&c->cas[cc->cas[1]], cc),
	    "issues no certificates for IP addresses");
	assert_non_null(conf_refusal(&c->cas[cc->cas[2]], cc));
	cc = &c->certs[1];
	assert_null(conf_refusal(&c->cas[cc->cas[0]], cc));
	assert_non_null(conf_refusal(&c->cas[cc->cas[1]], cc));
	cc = &c->certs[2];
	assert_false(cc->has_ip);
	assert_null(conf_refusal(&c->cas[cc->cas[1]], cc));
	conf_free(c);
	conf_report_done(&r);
}

/* Which no CA that is known here will ever issue for. */
static void
test_private_names(void **state)
{
	struct conf_report r;
	struct conf *c = load_texts(HEAD
	    "ca: {own: {directory: \"https://x\"}}\n"
	    "domains:\n"
	    "- [a.example, nas, NAS.local, local.example, b.internal.]\n"
	    "- {name: x, ca: own, names: [nas, nas.local]}\n"
	    "- {name: y, ca: [own, letsencrypt], names: [dslan, x.lan]}\n",
	    NULL, &r);

	(void)state;
	assert_string_equal(buf_str(&r.errors), "");
#define NO_CA " will not issue for it: it is no name in public DNS\n"
	assert_string_equal(buf_str(&r.warnings),
	    "m:4:3: warning: `b.internal`: CA `letsencrypt`" NO_CA
	    "m:4:3: warning: `nas`: CA `letsencrypt`" NO_CA
	    "m:4:3: warning: `nas.local`: CA `letsencrypt`" NO_CA
	    "m:5:3: warning: `nas` is also in certificate `a.example` (m:4)\n"
	    "m:5:3: warning: `nas.local` is also in certificate `a.example` "
	    "(m:4)\n");
	assert_non_null(c);
	conf_free(c);
	conf_report_done(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_warning),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_private_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
