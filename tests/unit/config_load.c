/* SPDX-License-Identifier: ISC */
/* What a good file becomes, how little of it is kept, and that printing it is
 * writing it down again. */
#include "config_support.h"

#define LE "https://acme-v02.api.letsencrypt.org/directory"

/* The five lines of design.md. */
static void
test_five_lines(void **state)
{
	struct conf *c = load_good("email: admin@example.org\n"
				   "agree-tos: true\n"
				   "reload: systemctl reload nginx\n"
				   "domains:\n"
				   "  - example.org\n"
				   "  - [www.example.com, shop.example.com]\n");

	(void)state;
	assert_string_equal(c->file, "m");
	assert_true(c->agree_tos);
	assert_string_equal(c->state_dir, "/var/lib/acmed");
	assert_string_equal(c->user, "acmed");
	assert_string_equal(c->keeper_user, "acmed-keeper");
	assert_int_equal(c->http.n_listen, 2);
	assert_string_equal(c->http.listen[0], "0.0.0.0:80");
	assert_string_equal(c->http.listen[1], "[::]:80");
	assert_null(c->http.listen[2]);
	assert_int_equal(c->http.redirect, 308);
	assert_int_equal(c->http.max_connections, 1024);
	assert_int_equal(c->http.timeout_s, 10);
	assert_string_equal(c->control.socket, "/run/acmed/acmed.sock");
	assert_null(c->control.group);
	assert_int_equal(c->control.others, CONF_OTHERS_READ);
	assert_int_equal(c->log.level, LOG_L_INFO);
	assert_int_equal(c->log.format, LOG_F_TEXT);

	assert_int_equal(c->n_cas, 1);
	assert_string_equal(c->cas[0].name, "letsencrypt");
	assert_string_equal(c->cas[0].directory, LE);
	assert_string_equal(c->cas[0].email, "admin@example.org");
	assert_null(c->cas[0].ca_file);
	assert_null(c->cas[0].proxy);
	assert_null(c->cas[0].eab_kid);
	assert_int_equal(c->cas[0].eab_alg, 256);
	assert_int_equal(c->cas[0].account_key, CONF_EC256);
	assert_int_equal(c->cas[0].max_orders, 8);
	assert_false(c->cas[0].http1);
	assert_true(c->cas[0].used);

	assert_int_equal(c->n_commands, 1);
	assert_string_equal(c->commands[0].argv[0], "systemctl");
	assert_string_equal(c->commands[0].argv[1], "reload");
	assert_string_equal(c->commands[0].argv[2], "nginx");
	assert_null(c->commands[0].argv[3]);
	assert_int_equal(c->commands[0].timeout_s, 60);

	assert_int_equal(c->n_certs, 2);
	assert_string_equal(c->certs[0].name, "example.org");
	assert_int_equal(c->certs[0].n_idents, 1);
	assert_string_equal(c->certs[0].idents[0], "example.org");
	assert_null(c->certs[0].preferred_chain);
	assert_int_equal(c->certs[0].line, 5);
	assert_int_equal(c->certs[0].ca, 0);
	assert_int_equal(c->certs[0].reload, 0);
	assert_int_equal(c->certs[0].key, CONF_EC256);
	/* Called after the first as written; sorted all the same. */
	assert_string_equal(c->certs[1].name, "www.example.com");
	assert_int_equal(c->certs[1].n_idents, 2);
	assert_string_equal(c->certs[1].idents[0], "shop.example.com");
	assert_string_equal(c->certs[1].idents[1], "www.example.com");
	conf_free(c);
}

static const char whole[] =
    "domains:\n"
    "- b.example\n"
    "- name: all\n"
    "  names: [Z.Example., a.example, z.example, \"2001:DB8:0::1\"]\n"
    "  ca: mine\n"
    "  challenge: http-01\n"
    "  key: rsa4096\n"
    "  reload: [\"/bin/sh\", -c, \"a && b # \\\"\\u00e9\\n\"]\n"
    "  reload-timeout: 2m\n"
    "  preferred-chain: ISRG Root X1\n"
    "- {names: c.example, reload-timeout: 5}\n"
    "- {names: d.example, reload: systemctl reload nginx}\n"
    "- {names: \"2001:db8::2\", ca: [mine], key: [ec384]}\n"
    "defaults: {ca: zerossl, key: rsa2048, preferred-chain: \"null\",\n"
    "  reload: systemctl  reload 'nginx'}\n"
    "ca:\n"
    "  mine: {directory: \"https://ca.internal/d?a=b\", ca-file: /r.pem,\n"
    "    proxy: \"\", email: me@mine.example, account-key: rsa3072,\n"
    "    max-orders: 64, http1: true}\n"
    "  zerossl: {eab: {kid: \"- x\", hmac-file: /h, alg: HS512},\n"
    "    proxy: \"socks5h://[::1]:9050\"}\n"
    "  idle: {directory: \"https://idle.example/\"}\n"
    "http: {listen: \"127.0.0.1:8080\", redirect: none, timeout: 1h,\n"
    "  max-connections: 8}\n"
    "control: {socket: /x/s, group: www-data, others: refuse}\n"
    "log: {level: debug, format: json}\n"
    "state-dir: \"/a b/c\"\n"
    "user: u\n"
    "keeper-user: k\n"
    "reload-timeout: 90s\n"
    "agree-tos: true\n";

static void
test_whole(void **state)
{
	struct conf *c = load_good(whole);
	const struct conf_cert *t = c->certs;

	(void)state;
	assert_int_equal(c->n_cas, 3);
	assert_string_equal(c->cas[0].name, "mine");
	assert_string_equal(c->cas[0].directory, "https://ca.internal/d?a=b");
	assert_string_equal(c->cas[0].ca_file, "/r.pem");
	assert_string_equal(c->cas[0].proxy, "");
	assert_string_equal(c->cas[0].email, "me@mine.example");
	assert_int_equal(c->cas[0].account_key, CONF_RSA3072);
	assert_int_equal(c->cas[0].max_orders, 64);
	assert_true(c->cas[0].http1);
	assert_true(c->cas[0].used);
	/* A preset that is changed keeps its directory. */
	assert_string_equal(
	    c->cas[1].directory, "https://acme.zerossl.com/v2/DV90");
	assert_string_equal(c->cas[1].eab_kid, "- x");
	assert_string_equal(c->cas[1].eab_hmac_file, "/h");
	assert_int_equal(c->cas[1].eab_alg, 512);
	assert_string_equal(c->cas[1].proxy, "socks5h://[::1]:9050");
	assert_null(c->cas[1].email);
	assert_true(c->cas[1].used);
	assert_false(c->cas[2].used);

	assert_int_equal(c->n_certs, 5);
	assert_int_equal(t[0].ca, 1);
	assert_int_equal(t[0].key, CONF_RSA2048);
	assert_string_equal(t[0].preferred_chain, "null");
	assert_int_equal(t[1].n_idents, 3);
	assert_string_equal(t[1].idents[0], "2001:db8::1");
	assert_string_equal(t[1].idents[1], "a.example");
	assert_string_equal(t[1].idents[2], "z.example");
	assert_int_equal(t[1].ca, 0);
	assert_int_equal(t[1].key, CONF_RSA4096);
	assert_string_equal(t[1].preferred_chain, "ISRG Root X1");
	assert_string_equal(t[4].name, "2001-db8--2");
	assert_int_equal(t[4].key, CONF_EC384);

	/* The same words with the same timeout are one command. */
	assert_int_equal(c->n_commands, 3);
	assert_int_equal(t[0].reload, 0);
	assert_int_equal(t[3].reload, 0);
	assert_int_equal(t[4].reload, 0);
	assert_int_equal(c->commands[0].timeout_s, 90);
	assert_string_equal(
	    c->commands[t[1].reload].argv[2], "a && b # \"\xc3\xa9\n");
	assert_int_equal(c->commands[t[1].reload].timeout_s, 120);
	assert_string_equal(c->commands[t[2].reload].argv[2], "nginx");
	assert_int_equal(c->commands[t[2].reload].timeout_s, 5);

	assert_int_equal(c->http.redirect, 0);
	assert_int_equal(c->http.n_listen, 1);
	assert_int_equal(c->http.timeout_s, 3600);
	assert_string_equal(c->state_dir, "/a b/c");
	assert_int_equal(c->control.others, CONF_OTHERS_REFUSE);
	assert_int_equal(c->log.format, LOG_F_JSON);
	conf_free(c);
}

static void
expect_same(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		assert_true(a == b);
	else
		assert_string_equal(a, b);
}

static void
expect_same_list(const char *const *a, const char *const *b, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		expect_same(a[i], b[i]);
}

static void
expect_same_cas(const struct conf *a, const struct conf *b)
{
	uint32_t i;

	assert_int_equal(a->n_cas, b->n_cas);
	for (i = 0; i < a->n_cas; i++) {
		const struct conf_ca *x = &a->cas[i], *y = &b->cas[i];

		expect_same(x->name, y->name);
		expect_same(x->directory, y->directory);
		expect_same(x->ca_file, y->ca_file);
		expect_same(x->proxy, y->proxy);
		expect_same(x->email, y->email);
		expect_same(x->eab_kid, y->eab_kid);
		expect_same(x->eab_hmac_file, y->eab_hmac_file);
		assert_int_equal(x->eab_alg, y->eab_alg);
		assert_int_equal(x->account_key, y->account_key);
		assert_int_equal(x->max_orders, y->max_orders);
		assert_int_equal(x->http1, y->http1);
		assert_int_equal(x->used, y->used);
	}
}

static void
expect_same_certs(const struct conf *a, const struct conf *b)
{
	uint32_t i;

	assert_int_equal(a->n_certs, b->n_certs);
	for (i = 0; i < a->n_certs; i++) {
		const struct conf_cert *x = &a->certs[i], *y = &b->certs[i];

		expect_same(x->name, y->name);
		assert_int_equal(x->n_idents, y->n_idents);
		expect_same_list(x->idents, y->idents, x->n_idents);
		expect_same(x->preferred_chain, y->preferred_chain);
		assert_int_equal(x->ca, y->ca);
		assert_int_equal(x->reload, y->reload);
		assert_int_equal(x->key, y->key);
	}
	assert_int_equal(a->n_commands, b->n_commands);
	for (i = 0; i < a->n_commands; i++) {
		const char *const *v = a->commands[i].argv;
		size_t n = 0;

		while (v[n] != NULL)
			n++;
		expect_same_list(v, b->commands[i].argv, n + 1);
		assert_int_equal(
		    a->commands[i].timeout_s, b->commands[i].timeout_s);
	}
}

static void
expect_round_trip(const char *text)
{
	AUTO(buf_done) struct buf once = BUF_INIT(1u << 20);
	AUTO(buf_done) struct buf twice = BUF_INIT(1u << 20);
	struct conf *a = load_good(text), *b;

	conf_print(a, &once);
	b = load_good(buf_str(&once));
	conf_print(b, &twice);
	assert_string_equal(buf_str(&once), buf_str(&twice));
	assert_int_equal(a->agree_tos, b->agree_tos);
	expect_same(a->state_dir, b->state_dir);
	expect_same(a->user, b->user);
	expect_same(a->keeper_user, b->keeper_user);
	assert_int_equal(a->http.n_listen, b->http.n_listen);
	expect_same_list(a->http.listen, b->http.listen, a->http.n_listen + 1);
	assert_int_equal(a->http.redirect, b->http.redirect);
	assert_int_equal(a->http.max_connections, b->http.max_connections);
	assert_int_equal(a->http.timeout_s, b->http.timeout_s);
	expect_same(a->control.socket, b->control.socket);
	expect_same(a->control.group, b->control.group);
	assert_int_equal(a->control.others, b->control.others);
	assert_int_equal(a->log.level, b->log.level);
	assert_int_equal(a->log.format, b->log.format);
	expect_same_cas(a, b);
	expect_same_certs(a, b);
	conf_free(a);
	conf_free(b);
}

static void
test_round_trip(void **state)
{
	(void)state;
	expect_round_trip(HEAD "domains: [a.example]\n");
	expect_round_trip(whole);
	expect_round_trip(HEAD "domains: [[b.example, a.example]]\n"
			       "http: {redirect-status: 302}\n"
			       "reload: [x, \"\", \"~\", \"-\", \"\\\\\", "
			       "\"\\u0085\\u2028\\ufeff\\U0001f600\", 'a: b']"
			       "\n");
}

static void
test_print(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(1u << 20);
	struct conf *c = load_good(HEAD "reload: /r it\n"
					"domains: [b.example]\n");

	(void)state;
	conf_print(c, &b);
	assert_string_equal(buf_str(&b),
	    "agree-tos: true\n"
	    "state-dir: /var/lib/acmed\n"
	    "user: acmed\n"
	    "keeper-user: acmed-keeper\n"
	    "http:\n"
	    "  listen: [\"0.0.0.0:80\", \"[::]:80\"]\n"
	    "  redirect: https\n"
	    "  redirect-status: 308\n"
	    "  max-connections: 1024\n"
	    "  timeout: 10s\n"
	    "control:\n"
	    "  socket: /run/acmed/acmed.sock\n"
	    "  others: read\n"
	    "log:\n"
	    "  level: info\n"
	    "  format: text\n"
	    "ca:\n"
	    "  letsencrypt:\n"
	    "    directory: \"" LE "\"\n"
	    "    account-key: ec256\n"
	    "    max-orders: 8\n"
	    "    http1: false\n"
	    "domains:\n"
	    "  - name: b.example\n"
	    "    names: [b.example]\n"
	    "    ca: letsencrypt\n"
	    "    challenge: http-01\n"
	    "    key: ec256\n"
	    "    reload: [/r, it]\n"
	    "    reload-timeout: 60s\n");
	conf_free(c);
}

static void
test_include(void **state)
{
	struct conf_report r;
	struct conf *c = load_texts(HEAD "defaults: {ca: x}\n"
					 "include: [nothing, \"*.none\"]\n",
	    "domains: [a.example]\n"
	    "ca: {x: {directory: \"https://x\"}}\n",
	    &r);

	(void)state;
	assert_string_equal(buf_str(&r.errors), "");
	assert_non_null(c);
	assert_string_equal(c->file, "m");
	assert_int_equal(c->n_certs, 1);
	assert_string_equal(c->cas[c->certs[0].ca].directory, "https://x");
	conf_free(c);
	conf_report_done(&r);
	/* Nothing but a comment is an included file, too. */
	c = load_texts(HEAD "domains: [a.example]\n", "# later\n", &r);
	assert_non_null(c);
	conf_free(c);
	conf_report_done(&r);
}

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
	    "m:4:3: `b.example` is also in certificate `a.example` (m:3)\n"
	    "i:1:3: `a.example` is also in certificate `a.example` (m:3)\n");
	assert_int_equal(r.n_errors, 0);
	assert_non_null(c);
	conf_free(c);
	conf_report_done(&r);
}

static void
test_split(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text;
		const char *argv[6];
	} good[] = {
		{ "a", { "a" } },
		{ " \ta  b\nc ", { "a", "b", "c" } },
		{ "a 'b c' \"d e\"", { "a", "b c", "d e" } },
		{ "a b' 'c\"\"d", { "a", "b cd" } },
		{ "a '' \"\"", { "a", "", "" } },
		{ "a '\"' \"'\"", { "a", "\"", "'" } },
		{ "a \\; \\$x \\\\ \\' b\\ c",
		  { "a", ";", "$x", "\\", "'", "b c" } },
		{ "a '\\'' \\s\\t\\n", { "a", "'", " \t\n" } },
		{ "a ';' \"$(b) | c > d\"", { "a", ";", "$(b) | c > d" } },
		{ "/a/b *.c ~ #d", { "/a/b", "*.c", "~", "#d" } },
	};
	/* clang-format on */
	size_t i, k;

	(void)state;
	for (i = 0; i < NELEM(good); i++) {
		AUTO(args_done)
		struct args a = { .flat = BUF_INIT(CONF_ARGS_BYTES) };
		const char *why = NULL, *p;

		assert_int_equal(command_split(good[i].text, &a, &why), 0);
		p = buf_str(&a.flat);
		for (k = 0; k < a.n; k++) {
			assert_non_null(good[i].argv[k]);
			assert_string_equal(p, good[i].argv[k]);
			p += strlen(p) + 1;
		}
		assert_true(k == 6 || good[i].argv[k] == NULL);
	}
}

static void
test_find(void **state)
{
	struct conf *c = load_good(HEAD "domains:\n- a.example\n"
					"- {name: x, names: b.example}\n");

	(void)state;
	assert_int_equal(conf_find_cert(c, "a.example"), 0);
	assert_int_equal(conf_find_cert(c, "x"), 1);
	assert_int_equal(conf_find_cert(c, "b.example"), CONF_NONE);
	assert_int_equal(conf_find_cert(c, ""), CONF_NONE);
	conf_free(c);
}

/* Of a certificate with one name, one struct and one string are kept. */
static void
test_many(void **state)
{
	const uint32_t n = 100000;
	AUTO(buf_done) struct buf b = BUF_INIT(16u << 20);
	const struct owner *o;
	struct conf *c;
	uint32_t i;
	char name[32];
	size_t used;

	(void)state;
	buf_puts(&b, HEAD "reload: systemctl reload nginx\ndomains:\n");
	for (i = 0; i < n; i++)
		buf_printf(&b, "- name-%u.example\n", i);
	c = load_good(buf_str(&b));
	assert_int_equal(c->n_certs, n);
	assert_int_equal(c->n_commands, 1);
	for (i = 0; i < n; i++) {
		assert_ptr_equal(c->certs[i].idents[0], c->certs[i].name);
		assert_ptr_equal(c->certs[i].idents, &c->certs[i].name);
		(void)snprintf(name, sizeof(name), "name-%u.example", i);
		assert_int_equal(conf_find_cert(c, name), i);
	}
	o = c->owner;
	used = pool_used(o->pool) + n * sizeof(*c->certs) +
	       o->names.cap * sizeof(*o->names.slots);
	assert_in_range(used, 1, 10u << 20);
	conf_free(c);
}

static void
test_free_nothing(void **state)
{
	(void)state;
	conf_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_five_lines),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_warning),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_free_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
