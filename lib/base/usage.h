/* SPDX-License-Identifier: ISC */
/* What the programs say that acmed alone starts when a person does. */
#pragma once

/*
 * Answers -h, --help, -V and --version on stdout, refuses any other argument
 * on stderr.  The exit status, or -1: there was no argument, go on.
 */
int usage_of_child(const char *name, int argc, char *const *argv);
