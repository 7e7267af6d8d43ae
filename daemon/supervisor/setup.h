/* SPDX-License-Identifier: ISC */
/*
 * One loaded configuration with everything that only root can open for it:
 * the sealed bytes that the children parse, and the secret files.  Immutable;
 * a reload makes a new one.
 */
#pragma once

#include <stdint.h>

#include "lib/base/cleanup.h"
#include "lib/config/config.h"
#include "lib/ipc/ipc.h"

struct setup {
	struct conf *conf;
	int bundle; /* sealed memfd */
	uint32_t n_secrets;
	int secrets[IPC_SECRETS];
	uint32_t ca_of_secret[IPC_SECRETS];
};

/* Read, parse and open.  NULL with every error in the report.  Warns of files
 * that are not there. */
struct setup *setup_load(const char *path, struct conf_report *);

/* What root would not start with: users and groups that are not there.  -1
 * with the errors in the report. */
int setup_check(const struct setup *, const char *path, struct conf_report *);
void setup_free(struct setup *); /* NULL is fine */
DEFINE_AUTO(struct setup, setup_free)

/* Log each line of a report. */
void setup_log(enum log_level, const char *msg, const char *lines);

/* Tell systemd a state that ends in "STATUS=...", with the first line. */
void setup_notify(const char *state, const char *lines);
