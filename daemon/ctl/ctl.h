/* SPDX-License-Identifier: ISC */
/*
 * acmectl: asks acmed over its control socket and prints what it says.  Knows
 * nothing that the socket does not say, but for the configuration files that
 * the command plan sends there.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/io/http.h"
#include "lib/io/json.h"
#include "lib/io/loop.h"

#define EXIT_WELL   0 /* all is well */
#define EXIT_PERSON 1 /* something needs a person */
#define EXIT_NO_ASK 2 /* could not ask, or asked wrongly */

struct ctl {
	const char *socket;
	bool colour;
	bool all; /* tell of each certificate, however many there are */
	struct loop *loop;
	struct http *http;
};

struct args {
	bool json, watch, wait, all, yes, rehearse;
	const char *what; /* a certificate's name, or a file */
};

/* commands.c: each returns the exit status */
int cmd_status(struct ctl *, const struct args *);
int cmd_show(struct ctl *, const struct args *);
int cmd_renew(struct ctl *, const struct args *);
int cmd_check(struct ctl *, const struct args *);
int cmd_budget(struct ctl *, const struct args *);
int cmd_metrics(struct ctl *, const struct args *);
int cmd_plan(struct ctl *, const struct args *);
int cmd_forget(struct ctl *, const struct args *);
int cmd_reload(struct ctl *, const struct args *);
int cmd_version(struct ctl *, const struct args *);

/*
 * One request, waited for.  *status is HTTP's; *root (freed by the caller) is
 * the JSON body.  body may be NULL.  -1: the daemon could not be asked; the
 * text says what to do.
 */
int ctl_ask(struct ctl *, const char *method, const char *path,
    const struct buf *body, int *status, struct json **root, struct err *);

/* GET what is no JSON: status 200 and text, or root with the daemon's error. */
int ctl_text(struct ctl *, const char *path, struct buf *text, int *status,
    struct json **root, struct err *);

/* What can happen last, up to an event of NULL. */
struct ctl_end {
	const char *event;
	int exit_status;
};

/*
 * Print what happens to one certificate until it is over.  begin runs once
 * the daemon has begun to tell.  Returns the exit status.
 */
int ctl_follow(struct ctl *, const struct args *, const struct ctl_end *,
    int (*begin)(struct ctl *, const struct args *));

/* print*.c */
void print_status(const struct ctl *, const struct json *);
void print_cert(const struct ctl *, const struct json *);
void print_lifted(const struct json *);
void print_event(const struct ctl *, const struct json *);
void print_budget(const struct ctl *, const struct json *);
void print_forget(const struct ctl *, const struct json *, const char *name);
void print_plan(const struct ctl *, const struct json *, const char *file);
