/* SPDX-License-Identifier: ISC */
/*
 * Whatever an engine that has been taken over can send to the keeper.  An
 * input is a row of messages: type, length (two bytes, little endian), body
 * and tail.  "\xff" in front of a body puts the id of a real key where the
 * type has one, so that what lies behind the lookup is reached as well.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/keeper/keeper.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define MESSAGES_MAX 32

static const char *const idents[] = { "example.org", "www.example.org" };
static const struct conf_ca cas[] = { { .name = "ca",
    .eab_kid = "kid",
    .eab_alg = 256,
    .account_key = CONF_EC256 } };
static const struct conf_cert certs[] = { { .name = "www",
    .idents = idents,
    .n_idents = 2,
    .key = CONF_EC256,
    .partial = true } };
static const struct conf conf = {
	.cas = cas, .certs = certs, .n_cas = 1, .n_certs = 1
};

static struct loop *loop;
static char path[] = "/tmp/keeper-fuzz.XXXXXX";
static int dir = -1;
static char ids[2][KEY_ID_LEN + 1]; /* of an account, of a certificate */
static unsigned answers;
static bool closed;

static void
need(bool ok, const char *what)
{
	if (!ok) {
		(void)fprintf(stderr, "%s\n", what);
		abort();
	}
}

/* So that the folder does not fill up. */
static void
forget_new_key(const char *id)
{
	char name[128];

	if (strcmp(id, ids[0]) == 0 || strcmp(id, ids[1]) == 0)
		return;
	(void)snprintf(name, sizeof(name), "account-%s.pem", id);
	(void)unlinkat(dir, name, 0);
	(void)snprintf(name, sizeof(name), "cert-%s.pem", id);
	(void)unlinkat(dir, name, 0);
}

static int
on_reply(void *arg, struct chan_msg *m, struct err *e)
{
	const struct ipc_key_reply *r = m->body;

	(void)arg;
	(void)e;
	need(CHAN_TEXT_OK(r->error) && CHAN_TEXT_OK(r->key_id) &&
		 CHAN_TEXT_OK(r->thumbprint) && r->tail_len == m->tail_len,
	    "bad answer");
	need(r->more <= 1, "bad flag");
	need(r->ok != 0 || (r->error[0] != '\0' && r->tail_len == 0),
	    "refused without a word");
	if (r->ok != 0)
		forget_new_key(r->key_id);
	answers++;
	loop_stop(loop);
	return 0;
}

static const struct chan_rule rules[IPC__COUNT] = {
	[IPC_KEY_REPLY] = { "key-reply", sizeof(struct ipc_key_reply),
	    IPC_TAIL_MAX, 0, on_reply },
};

static void
on_closed(void *arg, const struct err *e)
{
	(void)arg;
	(void)e;
	closed = true;
	loop_stop(loop);
}

static void
remove_folder(void)
{
	char name[128];
	size_t i;

	for (i = 0; i < 2; i++) {
		(void)snprintf(name, sizeof(name), "%s-%s.pem",
		    i == 0 ? "account" : "cert", ids[i]);
		(void)unlinkat(dir, name, 0);
	}
	(void)rmdir(path);
}

/* Both, so that listing what is old is more than reading a folder. */
static void
make_old(void)
{
	const struct timespec long_ago[2] = { { 0 }, { 0 } };
	char name[128];

	(void)snprintf(name, sizeof(name), "account-%s.pem", ids[0]);
	need(utimensat(dir, name, long_ago, 0) == 0, name);
	(void)snprintf(name, sizeof(name), "cert-%s.pem", ids[1]);
	need(utimensat(dir, name, long_ago, 0) == 0, name);
}

static void
init(void)
{
	struct err e;
	struct keys *ks;

	log_init("keeper", LOG_L_ERR, LOG_F_TEXT);
	need(mkdtemp(path) != NULL, path);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	loop = loop_new(&e);
	ks = keys_new(dir, &e);
	need(dir != -1 && loop != NULL && ks != NULL, "no folder");
	need(keys_add(ks, IPC_ROLE_ACCOUNT, key_generate(KEY_EC256, &e), ids[0],
		 &e) != NULL &&
		 keys_add(ks, IPC_ROLE_CERT, key_generate(KEY_EC256, &e),
		     ids[1], &e) != NULL,
	    "no key");
	keys_free(ks);
	make_old();
	(void)atexit(remove_folder);
}

/* Where a type has its key id, and of which of the two keys. */
static size_t
id_at(uint32_t type, const char **id)
{
	*id = ids[0];
	switch (type) {
	case IPC_KEY_GET:
		return offsetof(struct ipc_key_get, key_id);
	case IPC_JWS:
		return offsetof(struct ipc_jws, key_id);
	case IPC_EAB:
		return offsetof(struct ipc_eab, key_id);
	case IPC_CSR:
		*id = ids[1];
		return offsetof(struct ipc_csr, key_id);
	default:
		return 0;
	}
}

/* One message of data; how much of it that took. */
static size_t
send_one(struct chan *c, const uint8_t *data, size_t size, bool *sent)
{
	static unsigned char body[1 << 16];
	uint32_t type = data[0] % IPC__COUNT, payload;
	size_t len = data[1] | (size_t)data[2] << 8, at, n;
	const char *id;

	n = len < size - 3 ? len : size - 3;
	memset(body, 0, len);
	memcpy(body, data + 3, n);
	at = id_at(type, &id);
	if (at != 0 && n > 0 && body[0] == 0xff && len >= at + IPC_KEY_ID) {
		body[0] = type == IPC_KEY_GET ? IPC_ROLE_ACCOUNT : 0;
		memcpy(body + at, id, IPC_KEY_ID);
		payload = (uint32_t)(len - sizeof(struct ipc_jws));
		if (type == IPC_JWS && len >= sizeof(struct ipc_jws))
			memcpy(body, &payload, sizeof(payload));
	}
	/* Its key is in use: the next input needs it. */
	*sent = !(type == IPC_KEY_DROP && memcmp(body, ids[1], 64) == 0) &&
		chan_send(c, type, 1, body, len, NULL, 0, -1, NULL) == 0;
	return 3 + n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned i, want = 0;
	struct keeper *k;
	struct chan *c;
	struct err e;
	int fds[2];
	bool sent;
	size_t n;

	if (loop == NULL)
		init();
	k = keeper_new(loop, &conf, dir, &e);
	need(k != NULL && chan_pair(fds, &e) == 0, "no keeper");
	buf_puts(&k->secrets[0], "secret");
	c = chan_new(loop, fds[0], rules, on_closed, NULL, &e);
	need(c != NULL && keeper_serve(k, fds[1], on_closed, NULL, &e) == 0,
	    "no channel");
	answers = 0;
	closed = false;
	for (i = 0; i < MESSAGES_MAX && size > 3; i++) {
		n = send_one(c, data, size, &sent);
		data += n;
		size -= n;
		want += sent;
	}
	/* Each is answered, or the channel closed: nothing is lost. */
	while (answers < want && !closed)
		need(loop_run(loop, &e) == 0, "loop");
	chan_free(c);
	keeper_free(k);
	return 0;
}
