/* SPDX-License-Identifier: ISC */
/*
 * What one certificate cannot do without, through the functions that the
 * daemon itself uses: signatures, a key, a certificate request; and, beside
 * it, what making one file durable costs on the disk of a folder.  Prints JSON,
 * in milliseconds.
 *
 *   bench_arith FOLDER [rounds]
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/cleanup.h"
#include "lib/base/fs.h"
#include "lib/crypto/csr.h"
#include "lib/crypto/key.h"

#define ROUNDS_MAX 2000
#define JWS_LEN    400 /* of what is signed, about */
#define CSR_MAX    4096
#define STATE_LEN  700 /* of a certificate's state, about */

struct bench {
	struct key *key;
	int dir;
};

struct times {
	double cpu_ms[ROUNDS_MAX], wall_ms[ROUNDS_MAX];
};

static int
sign(struct bench *b, struct err *e)
{
	AUTO(buf_done) struct buf out = BUF_INIT(KEY_PEM_MAX);
	char data[JWS_LEN];

	memset(data, 'x', sizeof(data));
	return key_sign_jws(b->key, data, sizeof(data), &out, e);
}

static int
generate(struct bench *b, struct err *e)
{
	key_free(b->key);
	b->key = key_generate(KEY_EC256, e);
	return b->key == NULL ? -1 : 0;
}

static int
request(struct bench *b, struct err *e)
{
	const char *const names[] = { "n1000.example.org" };
	AUTO(buf_done) struct buf out = BUF_INIT(CSR_MAX);

	return csr_make(b->key, names, NELEM(names), &out, e);
}

static int
replace(struct bench *b, struct err *e)
{
	char data[STATE_LEN];

	memset(data, 'x', sizeof(data));
	return fs_replace(b->dir, "bench.json", data, sizeof(data), 0600, e);
}

static double
now_ms(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int
compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The median: another process on the same core must not count. */
static double
median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

static int
measure(const char *name, int (*what)(struct bench *, struct err *),
    struct bench *b, size_t rounds, struct err *e)
{
	static struct times t;
	double cpu, wall;
	size_t i;

	for (i = 0; i < rounds; i++) {
		cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID);
		wall = now_ms(CLOCK_MONOTONIC);
		if (what(b, e) == -1)
			return err_wrap(e, "%s", name);
		t.cpu_ms[i] = now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu;
		t.wall_ms[i] = now_ms(CLOCK_MONOTONIC) - wall;
	}
	cpu = median(t.cpu_ms, rounds);
	wall = median(t.wall_ms, rounds);
	(void)printf(
	    "\"%s\": {\"cpu\": %.4f, \"wall\": %.4f}", name, cpu, wall);
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*what)(struct bench *, struct err *);
	} all[] = {
		{ "generate", generate },
		{ "sign", sign },
		{ "csr", request },
		{ "replace", replace },
	};
	struct bench b = { .dir = -1 };
	unsigned long rounds = 300;
	struct err e;
	size_t i;

	if (argc > 2)
		rounds = strtoul(argv[2], NULL, 10);
	if (argc < 2 || rounds == 0 || rounds > ROUNDS_MAX) {
		(void)fprintf(stderr, "usage: bench_arith FOLDER [rounds]\n");
		return 2;
	}
	b.dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b.dir == -1) {
		perror(argv[1]);
		return 1;
	}
	for (i = 0; i < NELEM(all); i++) {
		(void)printf("%s", i == 0 ? "{" : ", ");
		if (measure(all[i].name, all[i].what, &b, rounds, &e) == -1) {
			(void)fprintf(stderr, "bench_arith: %s\n", e.what);
			return 1;
		}
	}
	(void)printf("}\n");
	key_free(b.key);
	(void)close(b.dir);
	return 0;
}
