/* SPDX-License-Identifier: ISC */
/*
 * Putting away a certificate that nobody asks for any more: its link leaves
 * live/, and its versions move from versions/<name> to
 * archive/<name>-<YYYYmmddTHHMMSSZ>, which is root's alone.  Nothing is ever
 * deleted.  Whether the certificate may go is not decided here.
 */
#pragma once

#include "daemon/supervisor/state.h"
#include "lib/base/err.h"

#define FORGET_ENTRY_MAX 96 /* a name, and when */

/*
 * name is a str_is_name().  entry becomes what it is called in archive/.  Ended
 * at any instruction, it is finished by the next call; when all of it has been
 * done already, entry is the newest of that name.  ENOENT: there is nothing of
 * that name.
 */
int forget_run(const struct state *, const char *name,
    char entry[FORGET_ENTRY_MAX], struct err *);
