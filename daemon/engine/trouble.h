/* SPDX-License-Identifier: ISC */
/* Why a job did not succeed, for people and for the schedule. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct trouble {
	char *text; /* the CA's own words where it said some; NULL: none */
	const char *type;  /* static: "rateLimited", "network", "hook", ... */
	const char *row;   /* of policy.h's table; NULL: none */
	int64_t at;        /* the latest */
	int64_t since;     /* the first of those in a row */
	unsigned failures; /* in a row */
	unsigned alike;    /* the latest of them, of that row */
	int64_t next;      /* not before; 0: none */
	bool operator;     /* a person must act */
};

/* type is not copied; text NULL: no memory for one. */
void trouble_set(
    struct trouble *, const char *type, const char *text, int64_t now);
void trouble_clear(struct trouble *);
