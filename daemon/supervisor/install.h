/* SPDX-License-Identifier: ISC */
/*
 * Putting a certificate where servers read it: versions/<name>/<n>/ with
 * certbot's file names, and the symlink live/<name>.
 *
 * A reader of live/<name>/ sees a key and a certificate that belong together
 * at every instant, through a crash at any instruction and a full disk at any
 * write.  Nothing that the engine says becomes a path, but for the key id,
 * which is checked to be hex.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

#define INSTALL_KEEP 3 /* versions, the live one among them */

struct install {
	int versions, live, keeper; /* folders; stay the caller's */
	uid_t keeper_uid;           /* whose key files are believed */
	const char *name;           /* of the certificate */
	const char *key_id;         /* 64 hex digits */
	int pem;                    /* sealed memfd: leaf, then chain */
	size_t leaf_len, chain_len;
};

/*
 * *version becomes the n that is live now.  Installing what is live already
 * changes nothing.  ERR_PROTO: the engine sent what it must not; any other
 * error: it may try again later, and nothing is lost.
 */
int install_run(const struct install *, uint32_t *version, struct err *);

struct install_found {
	uint32_t version; /* 0: no more */
	bool live;
	bool whole; /* its files are all there, and agree */
};

/*
 * What versions there are: the live one, then the others, newest first; skip
 * so many.  pem becomes its fullchain.pem, or stays empty.  Of in, versions,
 * live, keeper, keeper_uid, name and key_id count; key_id may be "".
 */
int install_find(const struct install *, uint32_t skip, struct install_found *,
    struct buf *pem, struct err *);
