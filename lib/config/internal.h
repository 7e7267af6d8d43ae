/* SPDX-License-Identifier: ISC */
/*
 * What the files of this folder share: positions and messages, YAML as nodes
 * (libyaml stops at yaml.c), the table of fields, and the configuration while
 * it is being loaded.
 */
#pragma once

#include "lib/base/pool.h"
#include "lib/config/config.h"

#define CONF_FILE_MAX     (16u << 20)
#define CONF_DEPTH_MAX    8
#define CONF_NODES_MAX    65536 /* in one value; "domains" is streamed */
#define CONF_INCLUDES_MAX 1000
#define CONF_CERTS_MAX    200000
#define CONF_IDENTS_MAX   100 /* in one certificate */
#define CONF_CAS_MAX      64
#define CONF_CA_LIST_MAX  8    /* CAs of one certificate */
#define CONF_CA_LISTS_MAX 4096 /* different ones */
#define CONF_COMMANDS_MAX 4096
#define CONF_ARGS_MAX     256
#define CONF_ARGS_BYTES   65536
#define CONF_LISTEN_MAX   16
#define CONF_RESOLVER_MAX 3
#define CONF_RATE_MAX     1000000
#define CONF_RATE_SPAN    (366 * 86400) /* seconds, at most */
#define CONF_PROFILE_MAX  64
#define CONF_STRING_MAX   1024
#define CONF_FIELDS_MAX   32   /* in one section */
#define CONF_SHOWN_MAX    1000 /* errors, and as many warnings */
#define CONF_FOUND_MAX    160

/* Where something stands.  file is its number in the bundle; line 0: nowhere,
 * or the file as a whole. */
struct where {
	uint32_t line;
	uint16_t column, file;
};

/* Messages, kept until all are known, then put into file order. */
struct diag {
	struct where at;
	uint32_t seq;
	bool warning;
	char *text;
};

struct diags {
	struct diag *v;
	uint32_t n, cap, n_errors, n_warnings;
	bool nomem;
};

void diag_error(struct diags *, struct where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void diag_warn(struct diags *, struct where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* files[i] is the name of file i. */
void diag_flush(struct diags *, const char *const *files, struct conf_report *);
void diag_done(struct diags *);

/*
 * YAML.  A small value is read whole, as a node; a long list is walked.
 * Refused: anchors, aliases, tags, more than one document, more than
 * CONF_DEPTH_MAX levels, keys that are no scalars, NUL.
 */
enum node_kind {
	NODE_BAD,  /* see yaml_error() */
	NODE_NONE, /* the end of the document */
	NODE_END,  /* the end of a list or mapping */
	NODE_SCALAR,
	NODE_LIST,
	NODE_MAP,
};

struct node {
	struct node *first, *next; /* in a mapping: key, value, key, value */
	enum node_kind kind;
	bool nothing; /* empty, ~ or null, not quoted */
	uint32_t line, column;
	char text[];
};

struct yaml;

struct yaml *yaml_open(const void *text, size_t); /* NULL: no memory */
/* What comes next, and where. */
enum node_kind yaml_peek(struct yaml *, struct where *);
/* Step into a list or mapping, or over its end. */
void yaml_step(struct yaml *);
/* The next value and all that is in it.  NULL: bad, or the end of what it
 * would be in. */
struct node *yaml_value(struct yaml *);
struct node *yaml_key(struct yaml *); /* the same, but must be a scalar */
void yaml_pass(struct yaml *);        /* skip the next value */
/* What is wrong, or NULL. */
const char *yaml_error(const struct yaml *, struct where *);
bool yaml_nomem(const struct yaml *); /* that is what was wrong */
void yaml_close(struct yaml *);
DEFINE_AUTO(struct yaml, yaml_close)
void node_free(struct node *);
DEFINE_AUTO(struct node, node_free)

/* The table. */
enum field_type {
	F_BOOL,     /* bool */
	F_AGREE,    /* struct agree */
	F_UINT,     /* uint32_t; below min: not set */
	F_SPAN,     /* uint32_t, seconds; below min: not set */
	F_RATE,     /* struct conf_rate */
	F_CHOICE,   /* int or an enum; not among the choices: not set */
	F_STR,      /* const char *, as all up to F_EMAIL; NULL: not set */
	F_NAME,     /* str_is_name() */
	F_PATH,     /* absolute, at most max bytes */
	F_URL,      /* https */
	F_PROXY,    /* URL or empty */
	F_PROFILE,  /* what a CA calls a profile */
	F_EMAIL,    /* one address */
	F_LISTEN,   /* struct listen */
	F_RESOLVER, /* the same; without a port, 53 */
	F_COMMAND,  /* uint32_t, index of an argv; CONF_NONE: not set */
	F_CA,       /* uint32_t, index of a ref; CONF_NONE: not set */
	F_CA_LIST,  /* struct ca_list */
	F_IDENTS,   /* struct idents */
	F_INCLUDE,  /* nothing: conf_read() has followed it */
	F_SECTION,  /* the fields of sub, in the same struct */
	F_DEFAULTS, /* the fields of sub, in the struct entry at offset */
	F_CAS,      /* name to section */
	F_DOMAINS,
	F__COUNT
};

struct choice {
	const char *name; /* NULL ends the list */
	int value;
	bool reserved; /* designed, but not supported in this version */
};

struct section;

struct field {
	const char *key; /* NULL ends the list */
	enum field_type type;
	bool reserved; /* designed, but not supported in this version */
	bool included; /* may stand in an included file */
	bool many;     /* a list is designed, but only one is supported */
	size_t offset;
	uint64_t min, max;
	const char *dflt; /* YAML; NULL: none, or inherited */
	const struct choice *choices;
	const struct section *sub;
	const char *not_with; /* a key which cannot stand beside this one */
	const char *help;
};

struct section {
	const char *name; /* "" is the top level */
	const struct field *fields;
};

extern const struct section section_top, section_ca, section_eab,
    section_limits, section_http, section_control, section_log,
    section_defaults, section_cert;

/* A CA that needs no "directory".  It is known by that URL and by nothing
 * else. */
struct preset {
	const char *name; /* NULL ends the list */
	const char *directory;
	const char *staging; /* another preset, its test CA */
	struct conf_rate limits[LIMIT__COUNT], requests;
	bool renewals_exempt;
	bool eab;           /* wants external account binding */
	bool no_ip;         /* no IP addresses */
	bool shortlived_ip; /* IP addresses with profile shortlived only */
};
extern const struct preset presets[];

const struct field *field_find(const struct section *, const char *key);
const struct preset *preset_find(const char *name);
const struct preset *preset_at(const char *directory);

/* The values which are not plain C types. */
struct agree {
	bool yes;
	struct where at;
};

struct listen {
	const char *const *v;
	uint32_t n;
};

struct idents {
	const char *v[CONF_IDENTS_MAX]; /* canonical, as written */
	struct where at[CONF_IDENTS_MAX];
	uint32_t n;
	uint32_t wild;   /* how many are wildcards */
	struct where ip; /* the first IP address */
};

/* The CAs of a certificate: while loading an index of what is kept in struct
 * load, CONF_NONE for not set; for printing what became of it. */
struct ca_list {
	uint32_t kept, n;
	const uint32_t *v;
};

enum challenge { CHALLENGE_HTTP, CHALLENGE_DNS, CHALLENGE_TLS_ALPN };

/* A certificate as it is written, or the defaults of all. */
struct entry {
	const char *name;
	struct idents names;
	struct ca_list cas;
	uint32_t reload, reload_timeout_s;
	uint32_t failover_after; /* of the defaults only */
	int key, challenge, partial;
	const char *preferred_chain, *profile, *preferred_profile;
};

/* What the sections below the top level are read into. */
struct settings {
	struct conf c;
	struct agree agree;
	const char *email;
	struct listen listen, resolvers;
	int redirect, redirect_status;
	struct entry defaults;
};

enum redirect { REDIRECT_NONE, REDIRECT_HTTPS };

/* A hash table of numbers; who asks knows what they stand for. */
struct index {
	struct slot {
		uint32_t hash, value;
	} * slots;
	uint32_t cap, n;
};
typedef bool index_same_fn(const void *arg, uint32_t value, const void *key);

uint32_t index_get(const struct index *, uint64_t hash, index_same_fn *,
    const void *arg, const void *key);
int index_put(struct index *, uint64_t hash, uint32_t value); /* -1: memory */
void index_done(struct index *);

/* The arguments of a command, one after the other, each with its NUL. */
struct args {
	struct buf flat;
	uint32_t n;
};

static inline void
args_done_p(struct args *a)
{
	buf_done(&a->flat);
}

/* Split as systemd does ExecStart=.  -1 and what is wrong. */
int command_split(const char *, struct args *, const char **why);
int command_check(const struct args *, const char **why);

/* The configuration while it is being loaded. */
struct argv {
	const char *flat;
	size_t len;
	const char *const *v;
};

struct ref {
	const char *name; /* of a CA, somewhere */
	struct where at;  /* first use; line 0: by default */
	uint32_t ca;
};

struct draft {
	struct where at, ip;
	uint32_t timeout_s, ca_list;
	int partial;
};

/* All that a struct conf points to, itself included, is in the pool, except: */
struct owner {
	struct pool *pool;
	struct conf_cert *certs;
	struct index names;
};

struct load {
	struct settings s;
	struct diags diags;
	struct pool *pool;
	uint16_t file; /* being read */
	/* Text that was kept, for the next one like it. */
	const char *last_str, *last_profile;

	const char **files;
	struct text {
		const char *data;
		size_t len;
	} * texts;
	uint32_t n_files;

	/* While loading, reload is an argv, and cas is in the draft. */
	struct conf_cert *certs;
	struct draft *drafts;
	uint32_t n_certs, cap_certs;
	bool saw_entry; /* a good or a bad one */
	bool full_certs, full_cas;
	bool broken;             /* a file was not read to its end */
	struct where domains_at; /* the key, or the main file's start */
	struct index names, idents;

	struct argv argvs[CONF_COMMANDS_MAX];
	struct conf_command commands[CONF_COMMANDS_MAX];
	uint32_t n_argvs, n_commands;
	struct index argv_index, command_index;

	struct conf_ca cas[CONF_CAS_MAX];
	struct where ca_at[CONF_CAS_MAX];
	uint32_t n_cas;
	struct ref refs[CONF_CAS_MAX]; /* staging of a CA is one, too */
	uint32_t n_refs;
	struct kept {
		uint32_t *v, n; /* refs, and when settled, indices in cas */
		bool settled;
	} ca_lists[CONF_CA_LISTS_MAX];
	uint32_t n_ca_lists;
	struct index ca_list_index;
};

/* bundle.c */
int bundle_add(struct buf *, const char *name, const void *, size_t);
int bundle_split(struct load *, const void *, size_t);

/* value.c: each returns -1 having said why. */
struct where where_of(const struct load *, const struct node *);
int read_section(
    struct load *, const struct section *, void *base, const struct node *map);
const struct field *read_key(struct load *, const struct section *,
    const struct node *key, uint32_t seen[CONF_FIELDS_MAX]);
int read_value(
    struct load *, const struct field *, void *base, const struct node *);
int read_defaults(struct load *, const struct section *, void *base);
int bad_value(struct load *, const struct field *, const struct node *);
char *keep(struct load *, const char *); /* in the pool */

/* entry.c */
int read_idents(
    struct load *, const struct field *, struct idents *, const struct node *);
void entry_init(struct entry *);
void set_profile(struct conf_cert *, const struct entry *);
void read_entry(struct load *, const struct node *);

/* ca.c */
int read_cas(struct load *, const struct field *, const struct node *);
int read_ref(
    struct load *, const struct field *, uint32_t *, const struct node *);
void check_refs(struct load *);
int read_ca_list(
    struct load *, const struct field *, struct ca_list *, const struct node *);
/* The CAs of a list whose refs check_refs() has found, used from now on; in
 * it, CONF_NONE: no room. */
const struct kept *ca_list_cas(struct load *, uint32_t kept);
void settle_staging(struct load *);
void check_eab(struct load *);

/* command.c */
int read_command(
    struct load *, const struct field *, uint32_t *, const struct node *);
/* The command of an argv and a timeout.  CONF_NONE: no room. */
uint32_t command_of(
    struct load *, uint32_t argv, uint32_t timeout_s, struct where);

/* check.c: all that needs the whole. */
void resolve(struct load *);
