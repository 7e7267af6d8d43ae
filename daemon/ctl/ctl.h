/* SPDX-License-Identifier: ISC */
/*
 * acmectl: asks acmed over its control socket and prints what it says.  Knows
 * nothing that the socket does not say.
 */
#pragma once

#include <stdbool.h>

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
	struct loop *loop;
	struct http *http;
};

/*
 * One request, waited for.  *status is HTTP's; *root (freed by the caller) is
 * the JSON body.  -1: the daemon could not be asked; the text says what to do.
 */
int ctl_ask(struct ctl *, const char *method, const char *path, int *status,
    struct json **root, struct err *);

/*
 * Print what happens to one certificate until it is over.  begin runs once
 * the daemon has begun to tell.  Returns the exit status.
 */
int ctl_follow(struct ctl *, const char *name, bool reloads,
    int (*begin)(struct ctl *, const char *name));

/* print.c */
void print_status(const struct ctl *, const struct json *);
void print_cert(const struct ctl *, const struct json *);
void print_event(const struct ctl *, const struct json *);
