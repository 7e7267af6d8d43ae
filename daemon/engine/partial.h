/* SPDX-License-Identifier: ISC */
/*
 * Names that fail, of a certificate of several (protocol E26).  Where the
 * configuration has `partial: true` they are left out of it after a while,
 * rather than that it expires for all, and tried again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/engine/policy.h"
#include "lib/base/err.h"
#include "lib/config/config.h"
#include "lib/ipc/ipc.h"

struct cert;
struct engine;
struct issued;
struct outcome;
struct wants;

struct bad_name {
	uint32_t ident; /* which of conf->idents */
	bool out;       /* left out */
	bool now; /* it failed in the attempt that is under way, or was last */
	bool refused;      /* then, by a rule of the CA: not by a validation */
	unsigned failures; /* attempts in a row */
	int64_t since, at;
	const char *type; /* static or interned */
	char *text;       /* the CA's words; NULL: not known */
};

struct partial {
	struct bad_name *bad;
	uint32_t n_bad;
	int64_t whole_at; /* tried with all names again then, if some are out */
	bool reduced;     /* the order to come, or under way, is without them */
	bool some_good;   /* of that attempt's names; see bad_name.now */
	bool other_faults;   /* what failed is not each time a name's fault */
	const char **idents; /* what is left; NULL: not reduced */
	uint8_t mask[IPC_NAMES / 8];
};

void partial_free(struct cert *);
/* What is known of that name.  NULL: no memory, or it is none of a certificate
 * that may be partial. */
struct bad_name *partial_add(struct cert *, const char *ident);

/* Of one attempt: it begins; a name of it has failed, or is valid. */
void partial_begin(struct cert *);
void partial_blame(struct cert *, const char *ident, const struct err *why);
void partial_good(struct cert *);
/* All names are asked about, whatever fails: which ones it is, is to be known.
 */
bool partial_asks_all(const struct cert *, bool rehearsal);

/* The order to come is for cert->idents: all of them, or without what is left
 * out.  Not while one is under way, whose names these are. */
void partial_use(struct cert *, bool reduced);
const uint8_t *partial_mask(const struct cert *); /* for struct ipc_csr */
uint32_t partial_n_out(const struct cert *);

/* Names that it should have, of which nothing is known but that what is
 * installed is without: they are left out, and tried soon. */
void partial_fill(struct cert *);
/* What is installed has that name. */
bool partial_has(const struct issued *, const char *ident);
/* It has just these. */
bool partial_has_just(
    const struct issued *, const char *const *idents, uint32_t n);
/* Which of the configured names it has not, for struct ipc_hook. */
void partial_without(const struct cert *, uint8_t mask[IPC_NAMES / 8]);
/* It is without some that is not left out any more. */
bool partial_lacks(const struct cert *);
/* It is for other names than are wanted; left out is not other. */
bool partial_changed(
    const struct conf_cert *, const struct wants *, const struct issued *);

/* When the certificate is due: at t, or to try all of its names again. */
int64_t partial_when(const struct cert *, int64_t t);
/* The clock was set by so much; what was noted in the future is not waited
 * for. */
void partial_shift(struct cert *, int64_t s);
void partial_mend(struct cert *, int64_t now);
/* Before the next order: which names it is for. */
void partial_choose(struct cert *);

enum partial_end {
	PARTIAL_FAILED, /* as any other failure */
	PARTIAL_SOON,   /* the next attempt is without what failed, and soon */
	PARTIAL_WELL,   /* what is in service has all that can be had now */
};
enum partial_end partial_failed(struct engine *, struct cert *,
    const struct outcome *, const struct decision *);
void partial_installed(struct cert *); /* and saved after that */
