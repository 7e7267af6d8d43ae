/* SPDX-License-Identifier: ISC */
/*
 * The configuration as plain structs, constant after loading.  One table
 * (schema.c) is parser, defaults, limits and documentation.
 *
 * Root reads the file and what it includes into one bundle; every process
 * parses the same bundle, so that certificate 3 is the same everywhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#define CONF_BUNDLE_MAX (64u << 20)
#define CONF_NONE       UINT32_MAX

/* What certificate keys and account keys may be; equal to enum key_type. */
enum conf_key {
	CONF_EC256,
	CONF_EC384,
	CONF_RSA2048,
	CONF_RSA3072,
	CONF_RSA4096
};

struct conf_command {
	const char *const *argv; /* NULL-terminated; argv[0] absolute or bare */
	uint32_t timeout_s;
};

struct conf_rate {
	uint32_t n, per_s; /* n 0: no limit */
};

/* What a CA counts. */
enum conf_limit {
	LIMIT_NEW_ORDERS, /* orders of an account */
	LIMIT_PER_DOMAIN, /* certificates of a registered domain */
	LIMIT_PER_NAMES,  /* certificates with just these names */
	LIMIT_FAILURES,   /* failed validations of a name */
	LIMIT__COUNT
};

struct conf_ca {
	const char *name;      /* "letsencrypt": file name of the account */
	const char *directory; /* URL */
	const char *ca_file;   /* PEM roots, or NULL: the system's */
	const char *proxy;     /* NULL: environment; "": none */
	const char *email;     /* contact, or NULL */
	const char *eab_kid;   /* NULL: no external account binding */
	const char *eab_hmac_file;
	int eab_alg; /* 256, 384, 512 */
	enum conf_key account_key;
	uint32_t max_orders; /* in flight at once; 0: by how many there are */
	uint32_t validation_timeout_s, issuance_timeout_s;
	uint32_t staging; /* its test CA in cas; CONF_NONE: no rehearsal */
	struct conf_rate limits[LIMIT__COUNT];
	struct conf_rate requests;
	bool renewals_exempt; /* but from LIMIT_FAILURES */
	bool rehearse;        /* as written; staging is what counts */
	bool http1;           /* do not offer HTTP/2 */
	bool used; /* some certificate names it, or a CA that one names */
};

struct conf_cert {
	const char *name;
	const char *const *idents; /* canonical, sorted, no duplicates */
	const char *preferred_chain;
	const char *profile; /* NULL: the CA's choice */
	const uint32_t *cas; /* indices in cas, in order; shared */
	uint32_t n_idents, n_cas;
	uint32_t line;   /* where it stands, for messages */
	uint32_t reload; /* index in commands, or CONF_NONE */
	enum conf_key key;
	bool profile_required; /* a CA that does not offer it will not do */
	bool has_ip;           /* among idents */
	bool partial;          /* names that keep failing are left out of it */
};

enum conf_others { CONF_OTHERS_READ, CONF_OTHERS_REFUSE };

struct conf {
	const char *file; /* the main file's name, for messages */
	bool agree_tos;

	const char *state_dir;   /* /var/lib/acmed */
	const char *user;        /* acmed: the engine */
	const char *keeper_user; /* acmed-keeper */

	const char *const *resolvers; /* "127.0.0.1:53", "[::1]:53" */
	uint32_t n_resolvers;         /* 0: the system's */
	uint32_t max_hooks;           /* reload commands at once */
	uint32_t failover_after;      /* failures at a CA before the next */

	struct {
		const char *const
		    *listen; /* "0.0.0.0:80", ... NULL-terminated */
		uint32_t n_listen;
		uint32_t redirect; /* 308, 301, 302, 307; 0: answer 404 */
		uint32_t max_connections;
		uint32_t timeout_s; /* for a whole request, and idle */
	} http;
	struct {
		const char *socket; /* /run/acmed/acmed.sock */
		const char *group;  /* may change things; NULL: root only */
		enum conf_others others;
	} control;
	struct {
		enum log_level level;
		enum log_format format;
	} log;

	const struct conf_ca *cas;
	const struct conf_cert *certs;
	const struct conf_command *commands; /* no two alike */
	uint32_t n_cas, n_certs, n_commands;
	void *owner; /* what conf_free() frees */
};

/* All that is wrong with a file, in file order: "FILE:LINE:COLUMN: text", of a
 * warning "FILE:LINE:COLUMN: warning: text". */
struct conf_report {
	struct buf errors;   /* one per line */
	struct buf warnings; /* one per line */
	unsigned n_errors;
};
void conf_report_init(struct conf_report *);
void conf_report_done(struct conf_report *);

/*
 * Root: append file path and all that it includes to bundle.  Refuses files
 * that others than root (or the caller) may write.  0, or -1 with the report
 * filled.
 */
int conf_read(const char *path, struct buf *bundle, struct conf_report *);

/* Why a CA of its list will never issue it, as far as the presets know: to go
 * behind the CA's name.  NULL: it may.  The first one of the list always may.
 */
const char *conf_refusal(const struct conf_ca *, const struct conf_cert *);

/* Parse a bundle.  NULL with every error in the report.  Warnings either way.
 */
struct conf *conf_load(const void *bundle, size_t, struct conf_report *);

/* The same of the sealed memfd that program was started with.  Closes fd. */
struct conf *conf_inherit(int fd, const char *program, struct err *);
void conf_free(struct conf *); /* NULL is fine */
DEFINE_AUTO(struct conf, conf_free)

/* Append the effective configuration, every default written out, as YAML that
 * conf_load() reads to the same configuration. */
void conf_print(const struct conf *, struct buf *out);

/* Index of the certificate of that name, or CONF_NONE. */
uint32_t conf_find_cert(const struct conf *, const char *name);

/* Every key there is, for tests and documents: section "" is the top level. */
void conf_each_key(void (*fn)(void *arg, const char *section, const char *key,
		       const char *dflt, const char *help),
    void *arg);
