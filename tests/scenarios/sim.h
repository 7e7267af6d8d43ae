/* SPDX-License-Identifier: ISC */
/*
 * A world for the engine in which nothing waits: lib/io/loop.h on virtual
 * time, lib/io/http.h whose requests lie here until somebody plays the CA,
 * lib/io/dns.h by a table, a keeper without secrets and a root without files.
 * Only the store is real.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/engine/engine.h"
#include "lib/base/buf.h"
#include "lib/io/dns.h"

#define SIM_START INT64_C(1796083200) /* 2026-12-01 */

/* sim_loop.c: time */
int64_t sim_ms(void); /* monotonic; the wall clock is lib/base/clock.h's */
/* Run the next timer that is due until then, or move to then: false. */
bool sim_step(int64_t until_ms);
void sim_run_until(int64_t until_ms);
void sim_wall(int64_t now_s); /* the wall clock jumps; who watches, hears it */
void sim_sleep(int64_t ms);   /* both clocks go on, timers do not */
uint64_t sim_turns(void);     /* timers that have run */
int64_t sim_due_ms(const struct loop_timer *); /* from now; -1: not set */
bool sim_busy(void);                           /* more is due at this instant */
void sim_time_reset(void);

/* sim_http.c: the network */
#define SIM_HEADERS 12

struct http_reply {
	int status;
	char *body;
	size_t len;
	char *names[SIM_HEADERS], *values[SIM_HEADERS];
	unsigned n_headers;
};

struct http_call {
	TAILQ_ENTRY(http_call) link;
	struct loop_timer *timer;
	http_done *done;
	void *arg;
	struct http_reply reply;
	struct err lost; /* instead of a reply, when kind is set */
	unsigned redirects;
	bool seen; /* the script has named it */
	bool answered;
	char *method, *url, *accept, *body, *type;
	/* of the fake keeper's JWS; in body */
	char *signer, *inner_url, *nonce, *payload;
	bool jwk;
};
TAILQ_HEAD(http_calls, http_call);

extern struct http_calls sim_calls; /* under way, oldest first */
extern unsigned sim_n_calls;        /* ever started */
/* The first rule of the protocol that a request broke; "": none. */
extern char sim_broken[512];

void sim_header(struct http_call *, const char *name, const char *value);
void sim_reply(struct http_call *, int status, const char *body, size_t);
void sim_lose(struct http_call *, const char *why); /* no reply */
void sim_lose_by(struct http_call *, int curl_code, const char *why);
/* URL of the account that the CA at url gave last; "": none. */
const char *sim_account(const char *url);
void sim_http_reset(void);

/* sim_dns.c: name servers */
#define SIM_CAA     8
#define SIM_ISSUERS 4

struct sim_caa {
	char at[STR_IDENT_MAX]; /* also for what is below it; "": not used */
	char issuers[SIM_ISSUERS][64];
	size_t n;
	bool unknown_critical;
	char error[128]; /* instead of an answer; "": none */
};
extern struct sim_dns {
	struct sim_caa caa[SIM_CAA];
	uint32_t delay_ms; /* until each answer */
	unsigned asked;    /* look-ups so far */
} sim_dns;
void sim_dns_reset(void); /* nobody has any CAA records */

/* sim_keys.c: the keeper */
#define SIM_KEYS 12

extern struct sim_keeper {
	unsigned n_accounts, n_certs; /* made so far */
	bool account_lost;
	unsigned lost_certs;     /* bits: keys that are not there any more */
	unsigned old_certs;      /* bits: keys that are older than a day */
	unsigned dropped;        /* how often */
	int last_csr, last_cert; /* key number and certificate index */
	uint8_t left_out[SIM_KEYS + 1][IPC_NAMES / 8]; /* of its CSR */
	char fail_what[8], fail_text[128]; /* the next one of that kind */
} sim_keeper;
const char *sim_key_id(unsigned number); /* from 1; of a certificate's key */
unsigned sim_key_number(const char *key_id); /* 0: none */
void sim_keys_reset(void);

/* sim_upstairs.c: root */
#define SIM_VERSIONS 2

/* What it has of a certificate, the latest first. */
struct sim_files {
	char name[IPC_NAME];
	struct sim_version {
		uint32_t version; /* 0: none */
		char *pem;
		size_t len;
		bool key_damaged, damaged;
	} v[SIM_VERSIONS];
};

extern struct sim_root {
	unsigned installs, hooks, hooked_certs;
	char install_fails[256], hook_fails[256]; /* "": works */
	char forget_fails[256];
	char forgotten[IPC_NAME]; /* the last one */
	bool hook_hangs;
	struct ipc_status status;
	/* runs at each install that worked; may be NULL */
	void (*installed)(uint32_t cert, const struct install *);
	struct sim_files files[16];
} sim_root;
struct sim_files *sim_files(const char *name); /* NULL: none */
void sim_root_reset(void);
void sim_hooks_end(void); /* hanging ones */

/* sim_engine.c: the engine's own parts, put together as main.c does */
struct engine *sim_engine(void); /* NULL: not running */
/* conf is YAML, kept until the next one.  -1: it could not start. */
int sim_start(const char *conf, struct err *);
struct conf *sim_conf(const char *text, struct err *); /* NULL: no good */
void sim_stop(void);
int sim_state_dir(void); /* an empty one after sim_state_reset() */
void sim_state_reset(void);
extern char
    sim_full[16]; /* keys that begin so cannot be written; "": all can */

/*
 * sim_places.c: NULL, when every certificate is in exactly one place (being
 * issued, ready, waiting for a limit, asleep) and what takes it on from there
 * is armed, or says why a person has to; and so for windows, reload commands
 * and saves.  Else who is forgotten.  sim_stuck() looks at no certificate.
 */
const char *sim_forgotten(const struct engine *);
const char *sim_stuck(const struct engine *);

/* mint.c: certificates */
struct mint {
	const char *const *names;
	size_t n_names;
	unsigned key; /* number */
	int64_t from, to;
	const char *issuer; /* CN; NULL: "Test CA" */
	bool leaf_only;     /* signed by nobody */
	bool forged;        /* signed by somebody else than it says */
	bool ari;           /* names its issuer's key, as ARI needs it */
};
void mint_reset(void); /* serial numbers begin anew */
void mint_chain(const struct mint *, struct buf *out);

/*
 * Tests of memory trouble: allocations may fail while sim_memory_fails, which
 * is off in what is not the engine's, and goes on by sim_torture when the
 * configuration has been read.
 */
extern bool sim_memory_fails, sim_torture;
