/* SPDX-License-Identifier: ISC */
/* Usage of the programs that have none: acmed-engine and acmed-keeper. */
#include "lib/base/usage.h"

#include <stdio.h>
#include <string.h>

int
usage_of_child(const char *name, int argc, char *const *argv)
{
	const char *arg = argc > 1 ? argv[1] : NULL;

	if (arg == NULL)
		return -1;
	if (strcmp(arg, "-V") == 0 || strcmp(arg, "--version") == 0) {
		(void)printf("%s %s\n", name, ACMED_VERSION);
		return 0;
	}
	if (strcmp(arg, "-h") == 0 || strcmp(arg, "--help") == 0) {
		(void)printf("usage: %s [-hV]\n"
			     "Started by acmed and of no use to people: see "
			     "acmed(8).\n",
		    name);
		return 0;
	}
	(void)fprintf(stderr,
	    "%s: unexpected argument: %s: see \"%s --help\"\n", name, arg,
	    name);
	return 2;
}
