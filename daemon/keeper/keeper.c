/* SPDX-License-Identifier: ISC */
/*
 * The life of a struct keeper, and the EAB secrets: the only ones that people
 * bring, handed over by root as open files.
 */
#include "daemon/keeper/keeper.h"

#include <string.h>
#include <sys/mman.h>

#include "lib/base/b64.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"

#define SECRET_MAX 4096 /* bytes of a file */

struct keeper *
keeper_new(struct loop *loop, const struct conf *conf, int dir, struct err *e)
{
	AUTO(keeper_free) struct keeper *k = calloc(1, sizeof(*k));
	uint32_t i;

	if (k == NULL) {
		(void)err_nomem(e, "keeper");
		return NULL;
	}
	k->loop = loop;
	k->conf = conf;
	k->secrets = calloc(conf->n_cas + 1u, sizeof(*k->secrets));
	if (k->secrets == NULL) {
		(void)err_nomem(e, "keeper");
		return NULL;
	}
	for (i = 0; i < conf->n_cas; i++)
		k->secrets[i] = BUF_INIT(SECRET_MAX);
	k->keys = keys_new(dir, e);
	if (k->keys == NULL)
		return NULL;
	return take_ptr(k);
}

void
keeper_free(struct keeper *k)
{
	uint32_t i;

	if (k == NULL)
		return;
	chan_free(k->engine);
	keygen_free(k->keygen);
	keys_free(k->keys);
	for (i = 0; k->secrets != NULL && i < k->conf->n_cas; i++)
		buf_wipe(&k->secrets[i]);
	free(k->secrets);
	free(k);
}

static int
read_secret(int fd, struct buf *mac, struct err *e)
{
	AUTO(buf_wipe) struct buf text = BUF_INIT(SECRET_MAX);

	buf_reserve(&text, SECRET_MAX);
	if (fs_read_fd(fd, &text, e) == -1)
		return -1;
	buf_reserve(mac, SECRET_MAX);
	if (b64_decode_any(buf_str(&text), text.len, mac) == -1 ||
	    mac->len == 0)
		return err_set(e, ERR_CONFIG, 0, "empty, or not base64");
	/* Best effort: without the limit raised it may be refused. */
	(void)mlock(mac->data, mac->cap);
	return 0;
}

int
keeper_take(
    struct keeper *k, const struct ipc_start *s, int first_fd, struct err *e)
{
	struct err why;
	uint32_t i, ca;

	if (s->version != IPC_VERSION)
		return err_set(e, ERR_PROTO, 0,
		    "acmed and acmed-keeper are of different versions: "
		    "restart acmed");
	if (s->debug != 0)
		log_init("keeper", LOG_L_DEBUG, k->conf->log.format);
	if (s->n_secrets > IPC_SECRETS)
		return err_set(e, ERR_PROTO, 0, "%u secrets", s->n_secrets);
	for (i = 0; i < s->n_secrets; i++) {
		AUTO(close) int fd = first_fd + (int)i;

		ca = s->ca_of_secret[i];
		if (ca >= k->conf->n_cas || k->secrets[ca].len != 0)
			return err_set(e, ERR_PROTO, 0, "secret of CA %u", ca);
		if (read_secret(fd, &k->secrets[ca], &why) == 0)
			continue;
		buf_wipe(&k->secrets[ca]);
		k->secrets[ca] = BUF_INIT(SECRET_MAX);
		log_error("EAB key file cannot be used",
		    KV("ca", k->conf->cas[ca].name),
		    KV("file", k->conf->cas[ca].eab_hmac_file),
		    KV("error", why.what));
	}
	return 0;
}

static void
on_closed(void *arg, const struct err *e)
{
	struct keeper *k = arg;

	k->closed(k->closed_arg, e);
}

int
keeper_serve(
    struct keeper *k, int fd, chan_closed *closed, void *arg, struct err *e)
{
	AUTO(close) int taken = fd;

	k->closed = closed;
	k->closed_arg = arg;
	k->keygen = keygen_new(k->loop, keeper_key_made, k, e);
	if (k->keygen == NULL)
		return -1;
	k->engine =
	    chan_new(k->loop, take_fd(&taken), keeper_rules, on_closed, k, e);
	return k->engine == NULL ? -1 : 0;
}
