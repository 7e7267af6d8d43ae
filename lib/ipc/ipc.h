/* SPDX-License-Identifier: ISC */
/*
 * Every message between the processes, as a fixed struct.  Things are named
 * by index in the configuration and by key id, never by path; what FORGET is
 * about has no index any more, and goes by its name.  Text is NUL-terminated
 * inside its array; the receiver checks that.
 *
 * All three programs come from one build: there is no compatibility, only
 * IPC_VERSION, which START carries and the child compares.  It is the
 * release's, for it is not messages alone that have to agree: an index means
 * the same only to who reads the configuration in the same way.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IPC_VERSION ACMED_VERSION_NUMBER

/* Descriptors that a child finds open. */
enum ipc_fd {
	IPC_FD_CONFIG = 3, /* sealed memfd: the bundle */
	IPC_FD_SUPER,      /* channel to the supervisor */
	IPC_FD_PEER,       /* channel between engine and keeper */
	IPC_FD_STATE,      /* its folder: engine/ or keeper/ */
	IPC_FD_FIRST,      /* engine: control socket, then :80 sockets;
			      keeper: EAB key files in order of START */
};

#define IPC_KEY_ID   65 /* hex SHA-256 and NUL */
#define IPC_THUMB    44
#define IPC_NAMES    104 /* of one certificate; a multiple of 8 */
#define IPC_NAME     65  /* str_is_name() and NUL */
#define IPC_ERROR    1024
#define IPC_PATH     4352 /* PATH_MAX, and what is in the state folder */
#define IPC_URL      1024
#define IPC_NONCE    513
#define IPC_SECRETS  64
#define IPC_OUTPUT   4097
#define IPC_REPORT   8192
#define IPC_REFUSAL  2048       /* ERR_WHAT_MAX */
#define IPC_PEM_MAX  (1u << 20) /* of an installed chain */
#define IPC_TAIL_MAX (100u << 10)

enum ipc_type {
	/* supervisor to child */
	IPC_START = 1,
	/* engine or keeper to supervisor */
	IPC_READY,
	/* engine to supervisor */
	IPC_INSTALL,
	IPC_HOOK,
	IPC_RELOAD,
	IPC_STATUS,
	IPC_ALIVE,
	IPC_FORGET,
	/* supervisor to engine, with the id of the request */
	IPC_INSTALLED,
	IPC_HOOKED,
	IPC_RELOADED,
	IPC_FORGOT,
	/* engine to keeper */
	IPC_KEY_NEW,
	IPC_KEY_GET,
	IPC_KEY_DROP,
	IPC_JWS,
	IPC_CSR,
	IPC_EAB,
	IPC_KEYS_OLD,
	/* keeper to engine, with the id of the request */
	IPC_KEY_REPLY,
	/* engine to supervisor, and its answer */
	IPC_FIND,
	IPC_FOUND,
	/* supervisor to engine, unasked */
	IPC_REFUSED,
	IPC__COUNT,
};

struct ipc_start {
	uint32_t version;
	uint32_t n_listen;  /* engine: :80 sockets behind the control socket */
	uint32_t n_secrets; /* keeper: EAB files */
	uint32_t separated; /* 1: own user and root above; 0: one uid for all */
	uint32_t control_gid; /* UINT32_MAX: none */
	uint32_t debug;       /* acmed -v: whatever the configuration says */
	uint32_t alive_s;     /* engine: say ALIVE this often; 0: never */
	uint32_t ca_of_secret[IPC_SECRETS];
};

struct ipc_empty { /* READY, RELOAD, ALIVE */
	uint32_t zero;
};

struct ipc_install { /* + sealed memfd: leaf PEM, then chain PEM */
	uint32_t cert;
	uint32_t leaf_len;
	uint32_t chain_len;
	char key_id[IPC_KEY_ID];
};

struct ipc_installed {
	uint32_t ok;
	uint32_t version; /* the n of versions/<name>/<n> */
	char error[IPC_ERROR];
};

/*
 * Run the reload command of cert.  Those that carry more = 1 are added to the
 * batch of the same command that the one with more = 0 starts.  Only that last
 * one is answered.
 */
struct ipc_hook {
	uint32_t cert;
	uint32_t more;
	uint8_t left_out[IPC_NAMES / 8]; /* it is without; see struct ipc_csr */
};
#define IPC_HOOK_BATCH 256 /* certificates in one run, at most */

struct ipc_hooked {
	uint32_t ok;
	uint32_t timed_out;
	int32_t status; /* waitpid(2)'s */
	uint32_t ms;
	char error[IPC_ERROR]; /* "exit status 1", "killed after 60 s", ... */
	char output[IPC_OUTPUT];
};

struct ipc_reloaded {
	uint32_t ok;
	char text[IPC_REPORT]; /* every error of the file, or warnings */
};

/*
 * What is in force is not what root was told to read last.  Sent when that was
 * refused, and to each engine that is started behind START; the engine that a
 * good configuration starts is not told.
 */
struct ipc_refused {
	int64_t since; /* of those in a row, the first */
	int64_t at;
	uint32_t n_errors;
	uint32_t checks;         /* 1: acmed -t finds them too */
	char error[IPC_REFUSAL]; /* the first: "FILE:LINE:COLUMN: text" */
};

struct ipc_forget { /* archive what is not in the configuration */
	char name[IPC_NAME];
};

struct ipc_forgot {
	uint32_t ok;
	uint32_t missing; /* 1: root has nothing of that name */
	char error[IPC_ERROR];
	char path[IPC_PATH]; /* where its files are now */
};

/* What is there of cert: the live version, then the others, newest first. */
struct ipc_find {
	uint32_t cert;
	uint32_t skip; /* so many of them */
	char
	    key_id[IPC_KEY_ID]; /* its key, as far as the engine knows; or "" */
};

struct ipc_found {        /* + tail: fullchain.pem, if it can be read */
	uint32_t version; /* 0: no more of them */
	uint32_t live;    /* 1: it is that one */
	uint32_t whole;   /* 1: its files are all there, and agree */
	uint32_t failed;  /* 1: it could not be looked at, whatever is there */
	uint32_t tail_len;
};

struct ipc_status { /* for systemd's STATUS= */
	uint32_t total, valid, busy, failing;
	int64_t next; /* instant of the next renewal, 0: none */
};

enum ipc_role { IPC_ROLE_ACCOUNT = 1, IPC_ROLE_CERT = 2 };

struct ipc_key_new { /* make a key: durable before the answer */
	uint32_t role;
	uint32_t index; /* of the CA, or of the certificate */
};

struct ipc_key_get { /* is it there?  thumbprint */
	uint32_t role;
	char key_id[IPC_KEY_ID];
};

struct ipc_key_drop { /* certificate keys only */
	char key_id[IPC_KEY_ID];
};

struct ipc_keys_old {   /* ids of certificate keys that are old: some more */
	uint32_t first; /* 1: from the beginning */
};
#define IPC_OLD_KEYS  1024 /* in one answer, at most */
#define IPC_OLD_KEY_S 86400

struct ipc_jws { /* + tail: the payload */
	uint32_t payload_len;
	char key_id[IPC_KEY_ID]; /* of an account */
	char kid[IPC_URL];       /* "": send the jwk */
	char url[IPC_URL];
	char nonce[IPC_NONCE];
};

struct ipc_csr {
	uint32_t cert;
	char key_id[IPC_KEY_ID];
	/* Which of its names: bit n % 8 of byte n / 8; where the configuration
	 * lets some be left out.  None is left out by all 0. */
	uint8_t left_out[IPC_NAMES / 8];
};

static inline bool
ipc_is_out(const uint8_t *left_out, uint32_t name)
{
	return (left_out[name / 8] >> name % 8 & 1) != 0;
}

struct ipc_eab {
	uint32_t ca;
	char key_id[IPC_KEY_ID]; /* of the account */
	char url[IPC_URL];
};

struct ipc_key_reply { /* + tail: JWS, CSR (DER), EAB JSON, or key ids */
	uint32_t ok;
	uint32_t missing; /* 1: no such key */
	uint32_t more;    /* 1: KEYS_OLD has not come to the end */
	uint32_t tail_len;
	char key_id[IPC_KEY_ID];
	char thumbprint[IPC_THUMB];
	char error[IPC_ERROR];
};
