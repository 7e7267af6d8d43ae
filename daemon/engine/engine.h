/* SPDX-License-Identifier: ISC */
/*
 * The engine as a whole: what its parts share.  main.c makes it, renew.c
 * decides what to do next, deploy.c runs reload commands, control.c answers
 * people, events.c tells what happens.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/engine/certs.h"
#include "daemon/engine/heap.h"
#include "daemon/engine/issue.h"
#include "daemon/engine/responder.h"
#include "daemon/engine/session.h"
#include "daemon/engine/tokens.h"
#include "daemon/engine/upstairs.h"
#include "lib/config/config.h"
#include "lib/io/http.h"
#include "lib/io/loop.h"
#include "lib/ipc/ipc.h"
#include "lib/store/store.h"

struct control;
struct events;
struct engine;

TAILQ_HEAD(cert_list, cert);

struct ca_queue { /* one for each CA of the configuration */
	struct engine *engine;
	struct session *session; /* NULL: not used */
	struct heap ready;       /* due, waiting for a place; by urgency */
	uint32_t active;
};

struct reload_group { /* one for each command of the configuration */
	struct engine *engine;
	struct cert_list due; /* whose reload has not succeeded yet */
	uint32_t n_due;
	uint32_t busy; /* its certificates that are being issued or wait */
	int64_t since_ms;
	int64_t next; /* back-off after a failure: not before; 0: none */
	struct loop_timer *timer;
	struct up_op *running;
	struct cert **batch; /* of the run that is under way */
	uint32_t n_batch;
};

struct engine {
	struct conf *conf;
	struct loop *loop;
	struct http *http;
	struct keys *keys;
	struct upstairs *upstairs;
	struct store *store;
	struct tokens *tokens;
	struct responder *responder;
	struct control *control;
	struct events *events;
	struct certs certs;

	struct session_env session_env;
	struct issue_env issue_env;
	struct ca_queue *cas;
	struct reload_group *groups;

	struct heap sleeping; /* not due yet, by instant */
	struct loop_timer *tick;
	struct loop_timer *status_timer;
	struct loop_timer *alive;
	bool clock_bad;
	bool started;

	struct ipc_start start;
	int64_t started_at;
	unsigned loading;
	bool failed; /* exit status */
};

/* renew.c: everything that decides when. */
int renew_init(struct engine *, struct err *);
void renew_start(struct engine *); /* all state is loaded: begin */
void renew_done(struct engine *);
/* Look at a certificate again: something about it has changed. */
void renew_look(struct engine *, struct cert *);
/* An operator wants it renewed now, whatever the back-off. */
void renew_now(struct engine *, struct cert *);
/* When its next attempt begins; 0: one is under way or waits for a place. */
int64_t renew_next(const struct engine *, const struct cert *);
/* The session of a CA works again, or does not. */
void renew_ca_changed(void *arg, struct session *);
void renew_count(const struct engine *, struct ipc_status *);

/* deploy.c: reload commands. */
int deploy_init(struct engine *, struct err *);
void deploy_done(struct engine *);
void deploy_due(struct engine *, struct cert *); /* installed, not reloaded */
void deploy_busy(struct engine *, const struct cert *, int change);

/* What the whole comes to for one certificate. */
enum health {
	HEALTH_OK,      /* valid, nothing wrong */
	HEALTH_WAITING, /* no certificate yet, nothing has failed */
	HEALTH_WARN,    /* something failed, will be tried again in time */
	HEALTH_BAD,     /* a person must act */
};
enum health cert_health(const struct engine *, const struct cert *);
