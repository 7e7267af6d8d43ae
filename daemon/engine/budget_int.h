/* SPDX-License-Identifier: ISC */
/* What budget.c, who counts, and budget_file.c, who writes it down, share. */
#pragma once

#include <sys/queue.h>

#include "daemon/engine/budget.h"

#define HOUR_MS (3600 * INT64_C(1000))
#define SHELVES 32768

struct bucket {
	int64_t full_ms;    /* when it is full again (GCRA's arrival time) */
	int64_t since_ms;   /* when it was full last; 0: not known */
	int64_t shallow_ms; /* when less than one was missing, last */
	uint32_t held;      /* for orders under way, which count later */
};

struct entry { /* a bucket that is not full */
	LIST_ENTRY(entry) link;
	enum conf_limit limit;
	struct bucket bucket;
	/* LIMIT_FAILURES: when the latest were, newest first */
	int64_t at_ms[BUDGET_FAILED_HOUR];
	char key[];
};
LIST_HEAD(shelf, entry);

struct budget {
	const struct conf_ca *ca;
	const struct psl *psl;
	struct bucket orders;
	uint32_t n;
	struct shelf shelves[SHELVES];
};

/* From empty to full. */
int64_t budget_depth_ms(const struct conf_rate *);
bool budget_is_full(const struct entry *, int64_t now_ms);
/* The entry, made when it is not there.  NULL: no memory, and then the CA's
 * own count has to do. */
struct entry *budget_entry(
    struct budget *, enum conf_limit, const char *key, int64_t now_ms);
void budget_entry_drop(struct budget *, struct entry *);
