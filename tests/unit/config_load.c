/* SPDX-License-Identifier: ISC */
/* What a good file becomes, how little of it is kept, and that printing it is
 * writing it down again. */
#include "config_support.h"

#define LE      "https://acme-v02.api.letsencrypt.org/directory"
#define STAGING "https://acme-staging-v02.api.letsencrypt.org/directory"
#define HOUR    3600
#define DAY     86400

static void
expect_rate(struct conf_rate r, uint32_t n, uint32_t per_s)
{
	assert_int_equal(r.n, n);
	assert_int_equal(r.per_s, per_s);
}

static void
expect_no_limits(const struct conf_ca *ca)
{
	size_t i;

	for (i = 0; i < LIMIT__COUNT; i++)
		expect_rate(ca->limits[i], 0, 0);
	assert_false(ca->renewals_exempt);
}

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

	assert_null(c->resolvers);
	assert_int_equal(c->n_resolvers, 0);
	assert_int_equal(c->max_hooks, 4);
	assert_int_equal(c->failover_after, 3);

	assert_int_equal(c->n_cas, 2);
	assert_string_equal(c->cas[0].name, "letsencrypt");
	assert_string_equal(c->cas[0].directory, LE);
	assert_string_equal(c->cas[0].email, "admin@example.org");
	assert_null(c->cas[0].ca_file);
	assert_null(c->cas[0].proxy);
	assert_null(c->cas[0].eab_kid);
	assert_int_equal(c->cas[0].eab_alg, 256);
	assert_int_equal(c->cas[0].account_key, CONF_EC256);
	assert_int_equal(c->cas[0].max_orders, 0);
	assert_int_equal(c->cas[0].validation_timeout_s, 600);
	assert_int_equal(c->cas[0].issuance_timeout_s, 86400);
	assert_false(c->cas[0].http1);
	assert_true(c->cas[0].used);
	assert_int_equal(c->cas[0].staging, 1);
	assert_true(c->cas[0].rehearse);
	expect_rate(c->cas[0].requests, 20, 1);
	assert_string_equal(c->cas[1].name, "letsencrypt-staging");
	assert_string_equal(c->cas[1].directory, STAGING);
	assert_string_equal(c->cas[1].email, "admin@example.org");
	assert_int_equal(c->cas[1].staging, CONF_NONE);
	assert_true(c->cas[1].used);

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
	assert_int_equal(c->certs[0].n_cas, 1);
	assert_int_equal(c->certs[0].cas[0], 0);
	assert_null(c->certs[0].profile);
	assert_false(c->certs[0].profile_required);
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
    "    max-orders: 64, http1: true, validation-timeout: 7d,\n"
    "    issuance-timeout: 30d}\n"
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
	assert_int_equal(c->cas[0].validation_timeout_s, 7 * 86400);
	assert_int_equal(c->cas[0].issuance_timeout_s, 30 * 86400);
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
	assert_int_equal(t[0].cas[0], 1);
	assert_int_equal(t[0].key, CONF_RSA2048);
	assert_string_equal(t[0].preferred_chain, "null");
	assert_int_equal(t[1].n_idents, 3);
	assert_string_equal(t[1].idents[0], "2001:db8::1");
	assert_string_equal(t[1].idents[1], "a.example");
	assert_string_equal(t[1].idents[2], "z.example");
	assert_int_equal(t[1].cas[0], 0);
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

/* Test CAs, limits and lists, of which few are the default. */
static const char many_cas[] =
    HEAD "resolvers: [127.0.0.1, \"0:0::1\", \"[2001:DB8::1]:5353\"]\n"
	 "max-hooks: 64\n"
	 "defaults: {ca: [mine, letsencrypt], failover-after: 20,\n"
	 "  preferred-profile: tlsserver}\n"
	 "ca:\n"
	 "  mine: {directory: \"https://ca.internal/d\", staging: test,\n"
	 "    max-requests: 5/90s, limits: {new-orders: 1000000/366d,\n"
	 "      per-names: 1/1s, renewals-exempt: true}}\n"
	 "  test: {directory: \"https://test.internal/d\", staging: idle}\n"
	 "  idle: {directory: \"https://idle.example/\"}\n"
	 "  letsencrypt: {proxy: \"http://p:1\", ca-file: /r, http1: true,\n"
	 "    email: le@example.org, account-key: ec384,\n"
	 "    limits: {new-orders: none, failures: 4/2h}}\n"
	 "  quiet: {directory: \"" LE "\", rehearse: false,\n"
	 "    max-requests: none}\n"
	 "  google: {eab: {kid: g, hmac-file: /g}}\n"
	 "domains:\n"
	 "- a.example\n"
	 "- {names: b.example, ca: [quiet, google, mine], profile: \"!~\"}\n"
	 "- {names: c.example, ca: [mine, letsencrypt]}\n"
	 "- {names: 192.0.2.1, ca: letsencrypt, profile: shortlived}\n"
	 "- {names: 192.0.2.2, ca: quiet, preferred-profile: shortlived}\n";

static void
test_cas(void **state)
{
	struct conf *c = load_good(many_cas);
	const struct conf_ca *mine = &c->cas[0], *le = &c->cas[3];
	const struct conf_ca *staging = &c->cas[6];

	(void)state;
	assert_int_equal(c->n_cas, 7);
	assert_int_equal(mine->staging, 1);
	expect_rate(mine->requests, 5, 90);
	expect_rate(mine->limits[LIMIT_NEW_ORDERS], 1000000, 366 * DAY);
	expect_rate(mine->limits[LIMIT_PER_DOMAIN], 0, 0);
	expect_rate(mine->limits[LIMIT_PER_NAMES], 1, 1);
	expect_rate(mine->limits[LIMIT_FAILURES], 0, 0);
	assert_true(mine->renewals_exempt);
	/* A test CA is used; its own test CA is not. */
	assert_true(c->cas[1].used);
	assert_int_equal(c->cas[1].staging, 2);
	expect_rate(c->cas[1].requests, 0, 0);
	expect_no_limits(&c->cas[1]);
	assert_false(c->cas[2].used);
	assert_int_equal(c->cas[2].staging, CONF_NONE);
	/* What a preset has, but for what is said otherwise. */
	expect_rate(le->limits[LIMIT_NEW_ORDERS], 0, 0);
	expect_rate(le->limits[LIMIT_PER_DOMAIN], 50, 7 * DAY);
	expect_rate(le->limits[LIMIT_PER_NAMES], 5, 7 * DAY);
	expect_rate(le->limits[LIMIT_FAILURES], 4, 2 * HOUR);
	assert_true(le->renewals_exempt);
	expect_rate(le->requests, 20, 1);
	assert_int_equal(le->staging, 6);
	/* It is known by its URL, whatever it is called. */
	expect_rate(c->cas[4].limits[LIMIT_NEW_ORDERS], 300, 3 * HOUR);
	expect_rate(c->cas[4].limits[LIMIT_FAILURES], 5, HOUR);
	expect_rate(c->cas[4].requests, 0, 0);
	assert_int_equal(c->cas[4].staging, CONF_NONE);
	assert_false(c->cas[4].rehearse);
	/* Nobody has an account binding for Google's test CA. */
	assert_int_equal(c->cas[5].staging, CONF_NONE);
	expect_no_limits(&c->cas[5]);
	/* Reached as its CA is. */
	assert_string_equal(staging->name, "letsencrypt-staging");
	assert_string_equal(staging->directory, STAGING);
	assert_string_equal(staging->proxy, "http://p:1");
	assert_string_equal(staging->ca_file, "/r");
	assert_string_equal(staging->email, "le@example.org");
	assert_int_equal(staging->account_key, CONF_EC384);
	assert_true(staging->http1);
	assert_true(staging->used);
	expect_rate(staging->limits[LIMIT_NEW_ORDERS], 1500, 3 * HOUR);
	expect_rate(staging->limits[LIMIT_PER_DOMAIN], 30000, 7 * DAY);
	expect_rate(staging->limits[LIMIT_PER_NAMES], 30000, 7 * DAY);
	expect_rate(staging->limits[LIMIT_FAILURES], 200, HOUR);
	expect_rate(staging->requests, 20, 1);
	conf_free(c);
}

static void
test_lists_and_profiles(void **state)
{
	struct conf *c = load_good(many_cas);
	const struct conf_cert *t = c->certs;

	(void)state;
	assert_int_equal(c->n_resolvers, 3);
	assert_string_equal(c->resolvers[0], "127.0.0.1:53");
	assert_string_equal(c->resolvers[1], "[::1]:53");
	assert_string_equal(c->resolvers[2], "[2001:db8::1]:5353");
	assert_int_equal(c->max_hooks, 64);
	assert_int_equal(c->failover_after, 20);

	assert_int_equal(t[0].n_cas, 2);
	assert_int_equal(t[0].cas[0], 0);
	assert_int_equal(t[0].cas[1], 3);
	assert_string_equal(t[0].profile, "tlsserver");
	assert_false(t[0].profile_required);
	assert_int_equal(t[1].n_cas, 3);
	assert_int_equal(t[1].cas[0], 4);
	assert_int_equal(t[1].cas[1], 5);
	assert_int_equal(t[1].cas[2], 0);
	assert_string_equal(t[1].profile, "!~");
	assert_true(t[1].profile_required);
	/* The same list is kept once. */
	assert_ptr_equal(t[2].cas, t[0].cas);
	assert_int_equal(t[3].n_cas, 1);
	assert_true(t[3].profile_required);
	assert_string_equal(t[4].profile, "shortlived");
	assert_false(t[4].profile_required);
	conf_free(c);

	c = load_good(HEAD "defaults: {profile: x}\ndomains:\n- a.example\n"
			   "- {names: b.example, preferred-profile: y}\n");
	assert_string_equal(c->certs[0].profile, "x");
	assert_true(c->certs[0].profile_required);
	assert_string_equal(c->certs[1].profile, "y");
	assert_false(c->certs[1].profile_required);
	conf_free(c);
}

/* By itself, by default, and never of one name (protocol E26). */
static void
test_partial(void **state)
{
	static const char text[] =
	    HEAD "defaults: {partial: true}\ndomains:\n"
		 "- [a.example, b.example]\n"
		 "- c.example\n"
		 "- {names: [d.example, e.example], partial: false}\n"
		 "- {names: [f.example, g.example], partial: true}\n";
	struct conf_report r;
	struct conf *c = load_good(text);

	(void)state;
	assert_true(c->certs[0].partial);
	assert_false(c->certs[1].partial);
	assert_false(c->certs[2].partial);
	assert_true(c->certs[3].partial);
	conf_free(c);

	c = load_good(HEAD "domains:\n- [a.example, b.example]\n");
	assert_false(c->certs[0].partial);
	conf_free(c);

	c = load_texts(HEAD "domains:\n"
			    "- {names: [a.example], partial: true}\n",
	    NULL, &r);
	assert_non_null(c);
	assert_string_equal(buf_str(&r.warnings),
	    "m:3:3: warning: `partial` has no effect on `a.example`, which has "
	    "one "
	    "name\n");
	conf_free(c);
	conf_report_done(&r);
}

/* Which test CA a preset has, that its account needs and that it is no loop. */
static void
test_staging(void **state)
{
	struct conf *c =
	    load_good(HEAD "defaults: {ca: google}\nca:\n"
			   "  google-staging: {eab: {kid: t, hmac-file: /t}}\n"
			   "  google: {eab: {kid: g, hmac-file: /g}}\n"
			   "domains: [a.example]\n");

	(void)state;
	assert_int_equal(c->n_cas, 2);
	assert_int_equal(c->cas[1].staging, 0);
	assert_true(c->cas[0].used);
	conf_free(c);
	/* It is there, but without what it wants. */
	c = load_good(HEAD "defaults: {ca: google}\nca:\n"
			   "  google-staging: {}\n"
			   "  google: {eab: {kid: g, hmac-file: /g}}\n"
			   "domains: [a.example]\n");
	assert_int_equal(c->cas[1].staging, CONF_NONE);
	assert_false(c->cas[0].used);
	conf_free(c);
	/* A preset by its name, of a CA of one's own. */
	c = load_good(HEAD "ca: {mine: {directory: \"https://x\", "
			   "staging: letsencrypt-staging}}\n"
			   "domains: [{names: a.example, ca: mine}]\n");
	assert_int_equal(c->n_cas, 2);
	assert_int_equal(c->cas[0].staging, 1);
	assert_string_equal(c->cas[1].directory, STAGING);
	assert_true(c->cas[1].used);
	conf_free(c);
	/* What is called so and is not that has nothing of the preset. */
	c = load_good(HEAD "ca: {letsencrypt: {directory: \"https://x\"}}\n"
			   "domains: [a.example]\n");
	assert_int_equal(c->n_cas, 1);
	assert_int_equal(c->cas[0].staging, CONF_NONE);
	expect_no_limits(&c->cas[0]);
	expect_rate(c->cas[0].requests, 0, 0);
	conf_free(c);
	/* Its own test CA by another name is none. */
	c = load_good(HEAD "defaults: {ca: letsencrypt-staging}\n"
			   "ca: {letsencrypt-staging: {directory: \"" LE
			   "\"}}\ndomains: [a.example]\n");
	assert_int_equal(c->n_cas, 1);
	assert_int_equal(c->cas[0].staging, CONF_NONE);
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
		assert_int_equal(
		    x->validation_timeout_s, y->validation_timeout_s);
		assert_int_equal(x->issuance_timeout_s, y->issuance_timeout_s);
		assert_int_equal(x->http1, y->http1);
		assert_int_equal(x->used, y->used);
		assert_int_equal(x->staging, y->staging);
		assert_int_equal(x->rehearse, y->rehearse);
		assert_int_equal(x->renewals_exempt, y->renewals_exempt);
		assert_memory_equal(x->limits, y->limits, sizeof(x->limits));
		expect_rate(x->requests, y->requests.n, y->requests.per_s);
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
		expect_same(x->profile, y->profile);
		assert_int_equal(x->profile_required, y->profile_required);
		assert_int_equal(x->n_cas, y->n_cas);
		assert_memory_equal(x->cas, y->cas, x->n_cas * sizeof(*x->cas));
		assert_int_equal(x->reload, y->reload);
		assert_int_equal(x->key, y->key);
		assert_int_equal(x->partial, y->partial);
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
	assert_int_equal(a->n_resolvers, b->n_resolvers);
	expect_same_list(a->resolvers, b->resolvers, a->n_resolvers);
	assert_int_equal(a->max_hooks, b->max_hooks);
	assert_int_equal(a->failover_after, b->failover_after);
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
	expect_round_trip(many_cas);
	expect_round_trip(HEAD "defaults: {partial: true}\ndomains:\n"
			       "- [a.example, b.example]\n- c.example\n");
	expect_round_trip(HEAD "ca: {letsencrypt: {rehearse: false}}\n"
			       "domains: [a.example]\n");
	expect_round_trip(HEAD "ca: {letsencrypt: {limits: {new-orders: none,"
			       " renewals-exempt: false}, max-requests: none}}"
			       "\ndomains: [a.example]\n");
	/* A CA that nobody uses, whose test CA is there for another. */
	expect_round_trip(HEAD "ca:\n  letsencrypt: {}\n  mine: {directory: "
			       "\"" LE "\", proxy: \"\"}\n"
			       "domains: [{names: a.example, ca: mine}]\n");
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
	    "max-hooks: 4\n"
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
	    "defaults:\n"
	    "  failover-after: 3\n"
	    "ca:\n"
	    "  letsencrypt:\n"
	    "    directory: \"" LE "\"\n"
	    "    account-key: ec256\n"
	    "    max-orders: 0\n"
	    "    validation-timeout: 600s\n"
	    "    issuance-timeout: 86400s\n"
	    "    http1: false\n"
	    "    staging: letsencrypt-staging\n"
	    "    rehearse: true\n"
	    "    max-requests: 20/1s\n"
	    "    limits:\n"
	    "      new-orders: 300/3h\n"
	    "      per-domain: 50/7d\n"
	    "      per-names: 5/7d\n"
	    "      failures: 5/1h\n"
	    "      renewals-exempt: true\n"
	    "  letsencrypt-staging:\n"
	    "    directory: \"" STAGING "\"\n"
	    "    account-key: ec256\n"
	    "    max-orders: 0\n"
	    "    validation-timeout: 600s\n"
	    "    issuance-timeout: 86400s\n"
	    "    http1: false\n"
	    "    rehearse: true\n"
	    "    max-requests: 20/1s\n"
	    "    limits:\n"
	    "      new-orders: 1500/3h\n"
	    "      per-domain: 30000/7d\n"
	    "      per-names: 30000/7d\n"
	    "      failures: 200/1h\n"
	    "      renewals-exempt: true\n"
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
	assert_string_equal(c->cas[c->certs[0].cas[0]].directory, "https://x");
	conf_free(c);
	conf_report_done(&r);
	/* Nothing but a comment is an included file, too. */
	c = load_texts(HEAD "domains: [a.example]\n", "# later\n", &r);
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
		assert_ptr_equal(c->certs[i].cas, c->certs[0].cas);
		assert_ptr_equal(c->certs[i].idents, &c->certs[i].name);
		(void)snprintf(name, sizeof(name), "name-%u.example", i);
		assert_int_equal(conf_find_cert(c, name), i);
	}
	o = c->owner;
	used = pool_used(o->pool) + n * sizeof(*c->certs) +
	       o->names.cap * sizeof(*o->names.slots);
	assert_in_range(used, 1, 11u << 20);
	conf_free(c);
}

static void
test_free_nothing(void **state)
{
	(void)state;
	conf_free(NULL);
}

/* As some editors write UTF-8; only the first of all is no text. */
static void
test_byte_order_mark(void **state)
{
	AUTO(conf_free)
	struct conf *c =
	    load_good("\xef\xbb\xbf" HEAD "domains: [a.example]\n");

	(void)state;
	assert_string_equal(c->certs[0].name, "a.example");
	expect_errors("\xef\xbb\xbf" HEAD "domains: [x_y]\n", NULL,
	    "m:2:11: `x_y`: only letters, digits, hyphens and dots\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_byte_order_mark),
		cmocka_unit_test(test_five_lines),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_cas),
		cmocka_unit_test(test_lists_and_profiles),
		cmocka_unit_test(test_partial),
		cmocka_unit_test(test_staging),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_free_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
