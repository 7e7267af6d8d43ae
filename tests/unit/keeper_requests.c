/* SPDX-License-Identifier: ISC */
/* The keeper's table, asked over a real channel as the engine asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/keeper/keeper.h"
#include "lib/acme/jws.h"
#include "lib/base/b64.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/crypto/hash.h"
#include "lib/io/json.h"
#include "tests/unit/folder.h"

#define URL   "https://ca.example/acme/new-order"
#define KID   "https://ca.example/acme/acct/1"
#define NONCE "bm9uY2U"
#define NOBODY \
	"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const char *const www[] = { "www.example.org", "*.shop.example.org",
	"192.0.2.7" };
static const char *const mail[] = { "mail.example.org" };

static const struct conf_ca cas[] = {
	{ .name = "one",
	    .account_key = CONF_EC256,
	    .eab_kid = "kid-1",
	    .eab_hmac_file = "/etc/acmed/one.hmac",
	    .eab_alg = 256 },
	{ .name = "two", .account_key = CONF_EC384 },
	{ .name = "three",
	    .account_key = CONF_RSA2048,
	    .eab_kid = "kid-3",
	    .eab_hmac_file = "/etc/acmed/three.hmac",
	    .eab_alg = 512 },
};
static const struct conf_cert certs[] = {
	{ .name = "www", .idents = www, .n_idents = 3, .key = CONF_EC256 },
	{ .name = "mail", .idents = mail, .n_idents = 1, .key = CONF_EC384 },
	{ .name = "slow", .idents = mail, .n_idents = 1, .key = CONF_RSA4096 },
	{ .name = "rsa", .idents = mail, .n_idents = 1, .key = CONF_RSA2048 },
	{ .name = "some",
	    .idents = www,
	    .n_idents = 3,
	    .key = CONF_EC256,
	    .partial = true },
};
static const struct conf conf = {
	.cas = cas,
	.certs = certs,
	.n_cas = NELEM(cas),
	.n_certs = NELEM(certs),
};

struct fix {
	char path[64];
	int dir;
	struct loop *loop;
	struct keeper *k;
	struct chan *c;
	uint32_t asked; /* the last id */
	/* The answer that was waited for, and all in their order. */
	struct ipc_key_reply r;
	char tail[IPC_TAIL_MAX + 1];
	uint32_t ids[64];
	struct ipc_key_reply all[64];
	unsigned n;
	/* What the keeper said to its channel's end. */
	bool closed;
	struct err why;
};

static int
on_reply(void *arg, struct chan_msg *m, struct err *e)
{
	struct ipc_key_reply *r;
	struct fix *f = arg;

	(void)e;
	assert_true(f->n < NELEM(f->ids));
	r = &f->all[f->n];
	memcpy(r, m->body, sizeof(*r));
	assert_true(CHAN_TEXT_OK(r->error));
	assert_int_equal(r->tail_len, m->tail_len);
	memcpy(f->tail, m->tail, m->tail_len);
	f->tail[m->tail_len] = '\0';
	f->ids[f->n++] = m->id;
	loop_stop(f->loop);
	return 0;
}

static const struct chan_rule engine_rules[IPC__COUNT] = {
	[IPC_KEY_REPLY] = { "key-reply", sizeof(struct ipc_key_reply),
	    IPC_TAIL_MAX, 0, on_reply },
};

static void
on_engine_closed(void *arg, const struct err *e)
{
	(void)arg;
	(void)e;
}

static void
on_keeper_closed(void *arg, const struct err *e)
{
	struct fix *f = arg;

	f->closed = true;
	f->why = *e;
	loop_stop(f->loop);
}

static void
start(struct fix *f)
{
	struct err e;
	int fds[2];

	assert_int_equal(chan_pair(fds, &e), 0);
	f->k = keeper_new(f->loop, &conf, f->dir, &e);
	assert_non_null(f->k);
	f->c = chan_new(f->loop, fds[0], engine_rules, on_engine_closed, f, &e);
	assert_non_null(f->c);
	assert_int_equal(
	    keeper_serve(f->k, fds[1], on_keeper_closed, f, &e), 0);
	f->closed = false;
	f->n = 0;
}

static void
stop(struct fix *f)
{
	chan_free(f->c);
	keeper_free(f->k);
}

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct err e;

	f->dir = folder_open(f->path, sizeof(f->path), "keeper");
	f->loop = loop_new(&e);
	assert_non_null(f->loop);
	start(f);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	stop(f);
	loop_free(f->loop);
	(void)close(f->dir);
	assert_int_equal(folder_remove(f->path), 0);
	free(f);
	return 0;
}

static uint32_t
send_tail(struct fix *f, enum ipc_type type, const void *body, size_t size,
    const char *tail)
{
	struct err e;

	assert_int_equal(chan_send(f->c, type, ++f->asked, body, size, tail,
			     tail != NULL ? strlen(tail) : 0, -1, &e),
	    0);
	return f->asked;
}

/* Which answer that was, from 1 on; 0: none yet. */
static unsigned
place(const struct fix *f, uint32_t id)
{
	unsigned i;

	for (i = 0; i < f->n; i++)
		if (f->ids[i] == id)
			return i + 1;
	return 0;
}

/* Run until that request is answered, or the keeper has hung up. */
static void
wait_for(struct fix *f, uint32_t id)
{
	struct err e;

	while (!f->closed && place(f, id) == 0)
		assert_int_equal(loop_run(f->loop, &e), 0);
	if (!f->closed)
		f->r = f->all[place(f, id) - 1];
}

#define ASK(f, type, q) wait_for(f, send_tail(f, type, &(q), sizeof(q), NULL))

static void
granted(const struct fix *f)
{
	assert_false(f->closed);
	if (!f->r.ok)
		print_error("%s\n", f->r.error);
	assert_int_equal(f->r.ok, 1);
	assert_int_equal(f->r.missing, 0);
	assert_string_equal(f->r.error, "");
}

static void
refused(const struct fix *f, bool missing, const char *text)
{
	assert_false(f->closed);
	assert_int_equal(f->r.ok, 0);
	assert_int_equal(f->r.missing, missing);
	assert_int_equal(f->r.tail_len, 0);
	if (strstr(f->r.error, text) == NULL)
		print_error("\"%s\" is not in: %s\n", text, f->r.error);
	assert_non_null(strstr(f->r.error, text));
}

static void
make_key(struct fix *f, enum ipc_role role, uint32_t index, char *id)
{
	struct ipc_key_new q = { role, index };

	ASK(f, IPC_KEY_NEW, q);
	granted(f);
	memcpy(id, f->r.key_id, IPC_KEY_ID);
	assert_int_equal(strlen(id), KEY_ID_LEN);
}

static void
name_of(enum ipc_role role, const char *id, char out[128])
{
	(void)snprintf(out, 128, "%s-%s.pem",
	    role == IPC_ROLE_ACCOUNT ? "account" : "cert", id);
}

static struct key *
read_key(const struct fix *f, enum ipc_role role, const char *id)
{
	AUTO(buf_wipe) struct buf pem = BUF_INIT(KEY_PEM_MAX);
	char name[128];
	struct err e;

	name_of(role, id, name);
	assert_int_equal(fs_read(f->dir, name, &pem, &e), 0);
	return key_from_pem(pem.data, pem.len, &e);
}

static unsigned
count_files(const struct fix *f)
{
	DIR *d = opendir(f->path);
	unsigned n = 0;

	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n - 2;
}

/* The reply's tail as a flattened JWS, decoded. */
struct jws {
	struct buf protected, payload, sig, input;
};

static void
take_member(
    const struct json *j, const char *name, struct buf *raw, struct buf *out)
{
	const char *text = json_get_text(j, name);

	assert_non_null(text);
	*out = BUF_INIT(IPC_TAIL_MAX);
	assert_int_equal(b64url_decode(text, strlen(text), out), 0);
	if (raw != NULL)
		buf_printf(raw, "%s%s", raw->len > 0 ? "." : "", text);
}

static void
take_jws(const struct fix *f, struct jws *jws)
{
	struct err e;
	AUTO(json_free)
	struct json *j = json_parse(f->tail, f->r.tail_len, &e);

	assert_non_null(j);
	jws->input = BUF_INIT(IPC_TAIL_MAX);
	take_member(j, "protected", &jws->input, &jws->protected);
	take_member(j, "payload", &jws->input, &jws->payload);
	take_member(j, "signature", NULL, &jws->sig);
}

static void
jws_done(struct jws *jws)
{
	buf_done(&jws->protected);
	buf_done(&jws->payload);
	buf_done(&jws->sig);
	buf_done(&jws->input);
}

static struct ipc_jws
jws_request(const char *id, const char *kid, const char *payload)
{
	struct ipc_jws q = { .url = URL, .nonce = NONCE };

	q.payload_len = (uint32_t)strlen(payload);
	(void)snprintf(q.key_id, sizeof(q.key_id), "%s", id);
	(void)snprintf(q.kid, sizeof(q.kid), "%s", kid);
	return q;
}

static void
sign(struct fix *f, const struct ipc_jws *q, const char *payload)
{
	wait_for(f, send_tail(f, IPC_JWS, q, sizeof(*q), payload));
}

static void
test_account_keys(void **state)
{
	/* clang-format off */
	static const struct {
		uint32_t ca;
		enum key_type type;
		const char *alg;
	} rows[] = {
		{ 0, KEY_EC256,   "ES256" },
		{ 1, KEY_EC384,   "ES384" },
		{ 2, KEY_RSA2048, "RS256" },
	};
	/* clang-format on */
	struct fix *f = *state;
	char id[IPC_KEY_ID], name[128], found[KEY_ID_LEN + 1], head[512];
	struct jws jws;
	struct ipc_jws q;
	struct stat st;
	struct err e;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		AUTO(key_free) struct key *key = NULL;
		AUTO(buf_done) struct buf thumb = BUF_INIT(100);

		make_key(f, IPC_ROLE_ACCOUNT, rows[i].ca, id);
		name_of(IPC_ROLE_ACCOUNT, id, name);
		assert_int_equal(fstatat(f->dir, name, &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(count_files(f), i + 1);
		key = read_key(f, IPC_ROLE_ACCOUNT, id);
		assert_non_null(key);
		assert_int_equal(key_type(key), rows[i].type);
		assert_int_equal(key_id(key, found, &e), 0);
		assert_string_equal(found, id);
		assert_int_equal(key_thumbprint(key, &thumb, &e), 0);
		assert_string_equal(f->r.thumbprint, buf_str(&thumb));
		assert_int_equal(f->r.tail_len, 0);

		q = jws_request(id, KID, "{\"identifiers\":[]}");
		sign(f, &q, "{\"identifiers\":[]}");
		granted(f);
		assert_string_equal(f->r.key_id, id);
		take_jws(f, &jws);
		(void)snprintf(head, sizeof(head),
		    "{\"alg\":\"%s\",\"kid\":\"" KID "\",\"nonce\":\"" NONCE
		    "\",\"url\":\"" URL "\"}",
		    rows[i].alg);
		assert_string_equal(buf_str(&jws.protected), head);
		assert_string_equal(
		    buf_str(&jws.payload), "{\"identifiers\":[]}");
		assert_true(key_verify_jws(key, jws.input.data, jws.input.len,
		    jws.sig.data, jws.sig.len));
		jws_done(&jws);
	}
}

/* Without kid the key itself goes along; without payload it is POST-as-GET. */
static void
test_jwk(void **state)
{
	struct fix *f = *state;
	AUTO(buf_done) struct buf head = BUF_INIT(4096);
	AUTO(key_free) struct key *key = NULL;
	char id[IPC_KEY_ID];
	struct ipc_jws q;
	struct jws jws;
	struct err e;

	make_key(f, IPC_ROLE_ACCOUNT, 0, id);
	key = read_key(f, IPC_ROLE_ACCOUNT, id);
	q = jws_request(id, "", "");
	sign(f, &q, "");
	granted(f);
	take_jws(f, &jws);
	buf_puts(&head, "{\"alg\":\"ES256\",\"jwk\":");
	assert_int_equal(key_jwk(key, &head, &e), 0);
	buf_puts(&head, ",\"nonce\":\"" NONCE "\",\"url\":\"" URL "\"}");
	assert_string_equal(buf_str(&jws.protected), buf_str(&head));
	assert_int_equal(jws.payload.len, 0);
	assert_true(key_verify_jws(
	    key, jws.input.data, jws.input.len, jws.sig.data, jws.sig.len));
	jws_done(&jws);
}

static void
test_bad_head(void **state)
{
	static const char *const urls[] = { "", "http://ca.example/", "x",
		"https://ca.example/\"", "https://ca.example/ x" };
	char id[IPC_KEY_ID], big[JWS_PAYLOAD_MAX + 2];
	struct fix *f = *state;
	struct ipc_jws q;
	size_t i;

	make_key(f, IPC_ROLE_ACCOUNT, 0, id);
	for (i = 0; i < NELEM(urls); i++) {
		q = jws_request(id, KID, "{}");
		(void)snprintf(q.url, sizeof(q.url), "%s", urls[i]);
		sign(f, &q, "{}");
		refused(f, false, "bad url");
		if (*urls[i] == '\0')
			continue;
		q = jws_request(id, urls[i], "{}");
		sign(f, &q, "{}");
		refused(f, false, "bad kid");
	}
	q = jws_request(id, KID, "{}");
	(void)snprintf(q.nonce, sizeof(q.nonce), "a\"b");
	sign(f, &q, "{}");
	refused(f, false, "bad nonce");
	memset(big, 'x', sizeof(big));
	memcpy(big, "{\"profile\":\"", strlen("{\"profile\":\""));
	memcpy(big + sizeof(big) - sizeof("\"}"), "\"}", sizeof("\"}"));
	q = jws_request(id, KID, big);
	sign(f, &q, big);
	refused(f, false, "too many names");
	/* And it is none the worse for it. */
	q = jws_request(id, KID, "{}");
	sign(f, &q, "{}");
	granted(f);
}

static bool
has_name(const struct fix *f, unsigned char tag, const void *name, size_t len)
{
	unsigned char want[64] = { tag, (unsigned char)len };

	memcpy(want + 2, name, len);
	return memmem(f->tail, f->r.tail_len, want, len + 2) != NULL;
}

static void
test_csr(void **state)
{
	static const unsigned char ip[] = { 192, 0, 2, 7 };
	struct ipc_csr q = { .cert = 0 };
	struct fix *f = *state;
	AUTO(key_free) struct key *key = NULL;

	make_key(f, IPC_ROLE_CERT, 0, q.key_id);
	key = read_key(f, IPC_ROLE_CERT, q.key_id);
	assert_int_equal(key_type(key), KEY_EC256);
	ASK(f, IPC_CSR, q);
	granted(f);
	assert_string_equal(f->r.key_id, q.key_id);
	assert_int_equal((unsigned char)f->tail[0], 0x30);
	assert_true(has_name(f, 0x82, www[0], strlen(www[0])));
	assert_true(has_name(f, 0x82, www[1], strlen(www[1])));
	assert_true(has_name(f, 0x87, ip, sizeof(ip)));
	assert_false(has_name(f, 0x82, mail[0], strlen(mail[0])));

	make_key(f, IPC_ROLE_CERT, 1, q.key_id);
	key_free(key);
	key = read_key(f, IPC_ROLE_CERT, q.key_id);
	assert_int_equal(key_type(key), KEY_EC384);
	q.cert = 1;
	ASK(f, IPC_CSR, q);
	granted(f);
	assert_true(has_name(f, 0x82, mail[0], strlen(mail[0])));
	assert_false(has_name(f, 0x82, www[0], strlen(www[0])));
}

/* Without some of its names, where the configuration has that (E26). */
static void
test_csr_partial(void **state)
{
	static const unsigned char ip[] = { 192, 0, 2, 7 };
	struct ipc_csr q = { .cert = 4, .left_out = { 1 << 0 | 1 << 2 } };
	struct fix *f = *state;

	make_key(f, IPC_ROLE_CERT, 4, q.key_id);
	ASK(f, IPC_CSR, q);
	granted(f);
	assert_false(has_name(f, 0x82, www[0], strlen(www[0])));
	assert_true(has_name(f, 0x82, www[1], strlen(www[1])));
	assert_false(has_name(f, 0x87, ip, sizeof(ip)));
	q.left_out[0] = 0;
	ASK(f, IPC_CSR, q);
	granted(f);
	assert_true(has_name(f, 0x82, www[0], strlen(www[0])));
	assert_true(has_name(f, 0x87, ip, sizeof(ip)));
}

/* A key does what it was made for, and nothing else (D2). */
static void
test_roles(void **state)
{
	char account[IPC_KEY_ID];
	struct ipc_key_get get = { .role = IPC_ROLE_ACCOUNT };
	struct ipc_eab eab = { .ca = 0, .url = URL };
	struct ipc_csr csr = { .cert = 0 };
	struct fix *f = *state;
	struct ipc_jws jws;

	make_key(f, IPC_ROLE_ACCOUNT, 0, account);
	make_key(f, IPC_ROLE_CERT, 0, get.key_id);
	jws = jws_request(get.key_id, KID, "{}");
	sign(f, &jws, "{}");
	refused(f, true, "account-");
	memcpy(eab.key_id, get.key_id, IPC_KEY_ID);
	ASK(f, IPC_EAB, eab);
	refused(f, true, "account-");
	memcpy(csr.key_id, account, IPC_KEY_ID);
	ASK(f, IPC_CSR, csr);
	refused(f, true, "cert-");
	ASK(f, IPC_KEY_GET, get);
	refused(f, true, "account-");
	get.role = IPC_ROLE_CERT;
	ASK(f, IPC_KEY_GET, get);
	granted(f);

	jws = jws_request(NOBODY, KID, "{}");
	sign(f, &jws, "{}");
	refused(f, true, NOBODY);
}

static void
test_get_drop(void **state)
{
	struct ipc_key_get get = { .role = IPC_ROLE_CERT };
	struct ipc_key_drop drop = { 0 };
	char account[IPC_KEY_ID], thumb[IPC_THUMB];
	struct fix *f = *state;

	make_key(f, IPC_ROLE_ACCOUNT, 0, account);
	make_key(f, IPC_ROLE_CERT, 0, get.key_id);
	memcpy(thumb, f->r.thumbprint, sizeof(thumb));
	assert_int_equal(strlen(thumb), 43);
	/* From the file as well as from memory. */
	stop(f);
	start(f);
	ASK(f, IPC_KEY_GET, get);
	granted(f);
	assert_string_equal(f->r.key_id, get.key_id);
	assert_string_equal(f->r.thumbprint, thumb);

	memcpy(drop.key_id, get.key_id, IPC_KEY_ID);
	ASK(f, IPC_KEY_DROP, drop);
	granted(f);
	assert_int_equal(count_files(f), 1);
	ASK(f, IPC_KEY_GET, get);
	refused(f, true, "No such file");
	ASK(f, IPC_KEY_DROP, drop);
	granted(f);

	/* An account key cannot be dropped. */
	memcpy(drop.key_id, account, IPC_KEY_ID);
	ASK(f, IPC_KEY_DROP, drop);
	granted(f);
	get.role = IPC_ROLE_ACCOUNT;
	memcpy(get.key_id, account, IPC_KEY_ID);
	stop(f);
	start(f);
	ASK(f, IPC_KEY_GET, get);
	granted(f);
}

static void
age(const struct fix *f, enum ipc_role role, const char *id)
{
	const struct timespec t = { .tv_sec =
					clock_now() - IPC_OLD_KEY_S - 60 };
	const struct timespec both[2] = { t, t };
	char name[128];

	name_of(role, id, name);
	assert_int_equal(utimensat(f->dir, name, both, 0), 0);
}

/* A day old, and of a certificate; asked for by a page. */
static void
test_keys_old(void **state)
{
	struct ipc_keys_old first = { .first = 1 }, more = { .first = 0 };
	char account[IPC_KEY_ID], young[IPC_KEY_ID], old[IPC_KEY_ID];
	struct fix *f = *state;

	make_key(f, IPC_ROLE_ACCOUNT, 0, account);
	make_key(f, IPC_ROLE_CERT, 0, young);
	make_key(f, IPC_ROLE_CERT, 0, old);
	age(f, IPC_ROLE_ACCOUNT, account);
	age(f, IPC_ROLE_CERT, old);
	stop(f);
	start(f);
	/* without a beginning there is nothing behind it */
	ASK(f, IPC_KEYS_OLD, more);
	granted(f);
	assert_int_equal(f->r.tail_len, 0);
	assert_int_equal(f->r.more, 0);
	ASK(f, IPC_KEYS_OLD, first);
	granted(f);
	assert_int_equal(f->r.more, 0);
	assert_string_equal(f->tail, old);
	assert_int_equal(count_files(f), 3);
}

static void
overwrite(const struct fix *f, const char *name, const void *data, size_t len)
{
	assert_int_equal(fs_replace(f->dir, name, data, len, 0600, NULL), 0);
}

static void
test_damaged(void **state)
{
	struct ipc_key_get get = { .role = IPC_ROLE_CERT };
	char other[IPC_KEY_ID], name[128], bad[160];
	AUTO(buf_wipe) struct buf pem = BUF_INIT(KEY_PEM_MAX);
	struct fix *f = *state;
	unsigned i;

	clock_fake(1700000000);
	for (i = 0; i < 3; i++) {
		make_key(f, IPC_ROLE_CERT, 0, get.key_id);
		make_key(f, IPC_ROLE_CERT, 0, other);
		name_of(IPC_ROLE_CERT, other, name);
		buf_reset(&pem);
		assert_int_equal(fs_read(f->dir, name, &pem, NULL), 0);
		stop(f);
		name_of(IPC_ROLE_CERT, get.key_id, name);
		/* Of no bytes, of another key, of half a key. */
		overwrite(f, name, pem.data,
		    i == 0 ? 0 : pem.len >> (i == 2 ? 1 : 0));
		start(f);
		ASK(f, IPC_KEY_GET, get);
		refused(f, true, "key file damaged");
		assert_non_null(strstr(f->r.error, name));
		assert_int_equal(faccessat(f->dir, name, F_OK, 0), -1);
		(void)snprintf(bad, sizeof(bad), ".bad-1700000000-%s", name);
		assert_int_equal(faccessat(f->dir, bad, F_OK, 0), 0);
		ASK(f, IPC_KEY_GET, get);
		refused(f, true, "No such file");
		/* Its neighbour is as it was. */
		memcpy(get.key_id, other, IPC_KEY_ID);
		ASK(f, IPC_KEY_GET, get);
		granted(f);
	}
}

/* The folder is no more: no answer that names a key. */
static void
test_not_durable(void **state)
{
	struct ipc_key_new q = { IPC_ROLE_ACCOUNT, 0 };
	struct fix *f = *state;

	assert_int_equal(rmdir(f->path), 0);
	ASK(f, IPC_KEY_NEW, q);
	refused(f, false, "No such file");
	assert_string_equal(f->r.key_id, "");
	assert_string_equal(f->r.thumbprint, "");
	assert_int_equal(mkdir(f->path, 0700), 0);
}

static void
check_eab(const struct fix *f, enum hash_alg alg, const char *mac_key,
    const char *protected)
{
	AUTO(buf_done) struct buf jwk = BUF_INIT(4096);
	AUTO(key_free) struct key *key = NULL;
	unsigned char mac[HASH_MAX_LEN];
	struct jws jws;
	struct err e;
	size_t len;

	granted(f);
	key = read_key(f, IPC_ROLE_ACCOUNT, f->r.key_id);
	assert_int_equal(key_jwk(key, &jwk, &e), 0);
	take_jws(f, &jws);
	assert_string_equal(buf_str(&jws.protected), protected);
	assert_string_equal(buf_str(&jws.payload), buf_str(&jwk));
	assert_int_equal(hash_hmac(alg, mac_key, strlen(mac_key),
			     jws.input.data, jws.input.len, mac, &len, &e),
	    0);
	assert_int_equal(jws.sig.len, len);
	assert_memory_equal(jws.sig.data, mac, len);
	jws_done(&jws);
}

static void
give_secret(struct fix *f, uint32_t ca, const char *text)
{
	struct ipc_start s = { .version = IPC_VERSION, .n_secrets = 1 };
	int fd = fs_memfd("hmac", text, strlen(text), NULL);
	struct err e;

	s.ca_of_secret[0] = ca;
	assert_int_equal(keeper_take(f->k, &s, fd, &e), 0);
}

/* D11, D12: both alphabets, padded or not, with what editors append. */
static void
test_eab(void **state)
{
	struct ipc_eab q = { .ca = 0, .url = URL };
	struct fix *f = *state;

	give_secret(f, 0, "  Pj4-Pz8_c2VjcmV0\n");
	give_secret(f, 2, "Pj4+Pz8/c2VjcmV0cw==\n");
	make_key(f, IPC_ROLE_ACCOUNT, 0, q.key_id);
	ASK(f, IPC_EAB, q);
	check_eab(f, HASH_SHA256, ">>>\?\?\?secret",
	    "{\"alg\":\"HS256\",\"kid\":\"kid-1\",\"url\":\"" URL "\"}");
	q.ca = 2;
	ASK(f, IPC_EAB, q);
	check_eab(f, HASH_SHA512, ">>>\?\?\?secrets",
	    "{\"alg\":\"HS512\",\"kid\":\"kid-3\",\"url\":\"" URL "\"}");

	q.ca = 1;
	ASK(f, IPC_EAB, q);
	refused(f, false, "two: no usable EAB key");
	q.ca = 0;
	(void)snprintf(q.url, sizeof(q.url), "http://ca.example/");
	ASK(f, IPC_EAB, q);
	refused(f, false, "bad url");
}

/* A secret that is no use costs its CA's registrations, not the keeper. */
static void
test_bad_secret(void **state)
{
	static const char *const bad[] = { "", " \n", "a b c!", "====" };
	struct ipc_eab q = { .ca = 0, .url = URL };
	struct fix *f = *state;
	char big[8193];
	size_t i;

	make_key(f, IPC_ROLE_ACCOUNT, 0, q.key_id);
	for (i = 0; i < NELEM(bad); i++) {
		give_secret(f, 0, bad[i]);
		ASK(f, IPC_EAB, q);
		refused(f, false, "one: no usable EAB key");
		refused(f, false, "/etc/acmed/one.hmac");
	}
	memset(big, 'A', sizeof(big));
	big[4097] = '\0';
	give_secret(f, 0, big);
	ASK(f, IPC_EAB, q);
	refused(f, false, "one: no usable EAB key");
	give_secret(f, 0, "c2VjcmV0");
	ASK(f, IPC_EAB, q);
	granted(f);
}

static void
test_start(void **state)
{
	struct ipc_start s = { .version = IPC_VERSION + 1 };
	struct fix *f = *state;
	struct err e;

	assert_int_equal(keeper_take(f->k, &s, 7, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_non_null(strstr(e.what, "different versions"));
	s.version = IPC_VERSION;
	s.n_secrets = IPC_SECRETS + 1;
	assert_int_equal(keeper_take(f->k, &s, 7, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	s.n_secrets = 1;
	s.ca_of_secret[0] = NELEM(cas);
	assert_int_equal(
	    keeper_take(f->k, &s, fs_memfd("x", "eA", 2, NULL), &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	give_secret(f, 0, "c2VjcmV0");
	s.ca_of_secret[0] = 0;
	assert_int_equal(
	    keeper_take(f->k, &s, fs_memfd("x", "eA", 2, NULL), &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
}

/*
 * A signature never waits behind an RSA key in the making; nor does an
 * elliptic key behind RSA ones that are not begun.
 */
static void
test_not_delayed(void **state)
{
	struct ipc_key_new slow = { IPC_ROLE_CERT, 2 };
	struct ipc_key_new rsa = { IPC_ROLE_CERT, 3 };
	struct ipc_key_new fast = { IPC_ROLE_CERT, 0 };
	uint32_t last, slow_id, rsa_id, fast_id;
	AUTO(key_free) struct key *key = NULL;
	struct fix *f = *state;
	char id[IPC_KEY_ID];
	struct ipc_jws q;
	unsigned i;

	make_key(f, IPC_ROLE_ACCOUNT, 0, id);
	q = jws_request(id, KID, "{}");
	slow_id = send_tail(f, IPC_KEY_NEW, &slow, sizeof(slow), NULL);
	rsa_id = send_tail(f, IPC_KEY_NEW, &rsa, sizeof(rsa), NULL);
	fast_id = send_tail(f, IPC_KEY_NEW, &fast, sizeof(fast), NULL);
	for (i = 0; i < 20; i++)
		sign(f, &q, "{}");
	last = f->asked;
	wait_for(f, slow_id);
	granted(f);
	key = read_key(f, IPC_ROLE_CERT, f->r.key_id);
	assert_int_equal(key_type(key), KEY_RSA4096);
	wait_for(f, rsa_id);
	granted(f);
	assert_int_equal(f->n, 24);
	assert_in_range(place(f, last), 21, 22);
	assert_true(place(f, last) < place(f, slow_id));
	assert_int_equal(place(f, rsa_id), 24);
	assert_in_range(place(f, fast_id), 1, 23);
}

/* The keeper goes while a key is in the making, and does not wait for it. */
static void
test_stop_busy(void **state)
{
	struct ipc_key_new q = { IPC_ROLE_CERT, 2 };
	struct fix *f = *state;
	char id[IPC_KEY_ID];
	struct ipc_jws jws;

	make_key(f, IPC_ROLE_ACCOUNT, 0, id);
	jws = jws_request(id, KID, "{}");
	(void)send_tail(f, IPC_KEY_NEW, &q, sizeof(q), NULL);
	sign(f, &jws, "{}");
	granted(f);
	stop(f);
	start(f);
	assert_int_equal(count_files(f), 1);
}

static void
test_engine_gone(void **state)
{
	struct ipc_key_new q = { IPC_ROLE_CERT, 0 };
	struct fix *f = *state;
	struct err e;

	(void)send_tail(f, IPC_KEY_NEW, &q, sizeof(q), NULL);
	chan_free(take_ptr(f->c));
	while (!f->closed)
		assert_int_equal(loop_run(f->loop, &e), 0);
	assert_int_equal(f->why.kind, ERR_NONE);
}

/* Messages that no engine of ours would send.  Each ends the channel. */

#define ID NOBODY
struct hostile {
	const char *why; /* part of the error's text */
	enum ipc_type type;
	size_t size; /* 0: of the row */
	size_t tail;
	size_t full_at, full; /* an array without its NUL */
	union {
		struct ipc_key_new key_new;
		struct ipc_key_get key_get;
		struct ipc_key_drop key_drop;
		struct ipc_jws jws;
		struct ipc_csr csr;
		struct ipc_eab eab;
		struct ipc_keys_old keys_old;
	} body;
};

/* clang-format off */
#define BODY(x, ...) .body.x = { __VA_ARGS__ }
#define FULL(x, member) \
	.full_at = offsetof(struct ipc_##x, member), \
	.full = sizeof(((struct ipc_##x *)NULL)->member)
#define BAD(text, t, ...) { .why = text, .type = IPC_##t, __VA_ARGS__ }

static const struct hostile hostile[] = {
	BAD("not for us", START, .size = 0),
	BAD("not for us", INSTALL, .size = 0),
	BAD("not for us", KEY_REPLY, .size = 0),
	BAD("key-new: 7 bytes", KEY_NEW, .size = 7),
	BAD("key-new: 9 bytes", KEY_NEW, .tail = 1),
	BAD("key-get: 1 bytes", KEY_GET, .size = 1),
	BAD("key-get: ", KEY_GET, .tail = 1),
	BAD("key-drop: 64 bytes", KEY_DROP, .size = 64),
	BAD("key-drop: 66 bytes", KEY_DROP, .tail = 1),
	BAD("jws: ", JWS, .size = sizeof(struct ipc_jws) - 1),
	BAD("jws: ", JWS, .tail = IPC_TAIL_MAX + 1),
	BAD("csr: ", CSR, .size = 4),
	BAD("csr: ", CSR, .tail = 1),
	BAD("eab: ", EAB, .size = sizeof(struct ipc_eab) - 1),
	BAD("eab: ", EAB, .tail = 1),
	BAD("keys-old: ", KEYS_OLD, .size = 3),
	BAD("keys-old: ", KEYS_OLD, .tail = 1),
	BAD("bad flag", KEYS_OLD, BODY(keys_old, 2)),
	BAD("bad flag", KEYS_OLD, BODY(keys_old, UINT32_MAX)),

	BAD("bad role", KEY_NEW, BODY(key_new, 0, 0)),
	BAD("bad role", KEY_NEW, BODY(key_new, 3, 0)),
	BAD("index 3 of 3", KEY_NEW, BODY(key_new, IPC_ROLE_ACCOUNT, 3)),
	BAD("index 5 of 5", KEY_NEW, BODY(key_new, IPC_ROLE_CERT, 5)),
	BAD("index 4294967295 of 5", KEY_NEW,
	    BODY(key_new, IPC_ROLE_CERT, UINT32_MAX)),

	BAD("bad role", KEY_GET, BODY(key_get, 0, ID)),
	BAD("bad role", KEY_GET, BODY(key_get, 3, ID)),
	BAD("bad key id", KEY_GET, BODY(key_get, 1, "")),
	BAD("bad key id", KEY_GET, BODY(key_get, 1, "../../etc/shadow")),
	BAD("bad key id", KEY_GET, BODY(key_get, 2, ID), FULL(key_get, key_id)),
	BAD("bad key id", KEY_DROP, BODY(key_drop, "abc")),
	BAD("bad key id", KEY_DROP, FULL(key_drop, key_id)),

	BAD("bad key id", JWS, BODY(jws, 0, ID, KID, URL, NONCE),
	    FULL(jws, key_id)),
	BAD("bad text", JWS, BODY(jws, 0, ID, KID, URL, NONCE),
	    FULL(jws, kid)),
	BAD("bad text", JWS, BODY(jws, 0, ID, KID, URL, NONCE),
	    FULL(jws, url)),
	BAD("bad text", JWS, BODY(jws, 0, ID, KID, URL, NONCE),
	    FULL(jws, nonce)),
	BAD("bad text", JWS, BODY(jws, 1, ID, KID, URL, NONCE)),
	BAD("bad text", JWS, BODY(jws, 1, ID, KID, URL, NONCE), .tail = 2),
	BAD("bad text", JWS, BODY(jws, UINT32_MAX, ID, KID, URL, NONCE)),

	BAD("bad key id", CSR, BODY(csr, 0, ID), FULL(csr, key_id)),
	BAD("index 5 of 5", CSR, BODY(csr, 5, ID)),
	BAD("no such name to omit", CSR, BODY(csr, 0, ID, { 1 })),
	BAD("no such name to omit", CSR, BODY(csr, 4, ID, { 1 << 3 })),
	BAD("no such name to omit", CSR, BODY(csr, 4, ID, { [12] = 1 << 7 })),
	BAD("no names", CSR, BODY(csr, 4, ID, { 7 })),
	BAD("bad key id", EAB, BODY(eab, 0, ID, URL), FULL(eab, key_id)),
	BAD("index 3 of 3", EAB, BODY(eab, 3, ID, URL)),
	BAD("bad text", EAB, BODY(eab, 0, ID, URL), FULL(eab, url)),
};
/* clang-format on */

static void
test_hostile(void **state)
{
	static const char tail[IPC_TAIL_MAX + 1];
	const struct hostile *h;
	struct fix *f = *state;
	struct hostile bad;
	struct err e;
	size_t size;

	for (h = hostile; h < hostile + NELEM(hostile); h++) {
		stop(f);
		start(f);
		bad = *h;
		memset((char *)&bad.body + h->full_at, 'a', h->full);
		size = h->size != 0 ? h->size : keeper_rules[h->type].size;
		assert_int_equal(chan_send(f->c, h->type, 1, &bad.body, size,
				     tail, h->tail, -1, &e),
		    0);
		while (!f->closed)
			assert_int_equal(loop_run(f->loop, &e), 0);
		assert_int_equal(f->n, 0);
		assert_int_equal(f->why.kind, ERR_PROTO);
		if (strstr(f->why.what, h->why) == NULL)
			print_error("%s: %s\n", h->why, f->why.what);
		assert_non_null(strstr(f->why.what, h->why));
	}
	assert_int_equal(count_files(f), 0);
}

/* A descriptor that nobody asked for. */
static void
test_descriptor(void **state)
{
	struct ipc_key_new q = { IPC_ROLE_ACCOUNT, 0 };
	struct fix *f = *state;
	struct err e;

	assert_int_equal(
	    chan_send(f->c, IPC_KEY_NEW, 1, &q, sizeof(q), NULL, 0, 0, &e), 0);
	while (!f->closed)
		assert_int_equal(loop_run(f->loop, &e), 0);
	assert_int_equal(f->why.kind, ERR_PROTO);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_account_keys),
		TEST(test_jwk),
		TEST(test_bad_head),
		TEST(test_csr),
		TEST(test_csr_partial),
		TEST(test_roles),
		TEST(test_get_drop),
		TEST(test_keys_old),
		TEST(test_damaged),
		TEST(test_not_durable),
		TEST(test_eab),
		TEST(test_bad_secret),
		TEST(test_start),
		TEST(test_not_delayed),
		TEST(test_stop_busy),
		TEST(test_engine_gone),
		TEST(test_hostile),
		TEST(test_descriptor),
	};

	(void)alarm(580); /* a lost answer must not hang the run */
	log_init("keeper", LOG_L_ERR, LOG_F_TEXT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
