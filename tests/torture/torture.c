/* SPDX-License-Identifier: ISC */
/*
 * A whole issuance and a renewal, again and again, each time with the next
 * allocation of our own code failing.  Only that one fails: whatever it was,
 * nothing may crash or leak, the state on disk can be read and is what is in
 * memory of the budget, and the daemon has its certificates within hours.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/budget.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/rnd.h"
#include "tests/torture/fake_ca.h"

#define HOUR_MS INT64_C(3600000)

#if defined(__SANITIZE_ADDRESS__)
int __lsan_do_recoverable_leak_check(void);
#else
static int
__lsan_do_recoverable_leak_check(void)
{
	return 0;
}
#endif

static const char conf[] = "email: a@example.org\n"
			   "agree-tos: true\n"
			   "reload: systemctl reload nginx\n"
			   "ca: {test: {directory: https://ca/dir, "
			   "limits: {new-orders: 100/7d, per-names: 50/7d}, "
			   "eab: {kid: k, hmac-file: /hmac}}}\n"
			   "defaults: {ca: test, preferred-chain: Other CA}\n"
			   "domains:\n"
			   "  - [a.example, b.example]\n";

static unsigned long countdown;
static bool fired;

static bool
fails(void)
{
	if (!sim_memory_fails || countdown == 0 || --countdown != 0)
		return false;
	fired = true;
	return true;
}

void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
char *__real_strdup(const char *);
char *__real_strndup(const char *, size_t);
void *__wrap_malloc(size_t);
void *__wrap_calloc(size_t, size_t);
void *__wrap_realloc(void *, size_t);
char *__wrap_strdup(const char *);
char *__wrap_strndup(const char *, size_t);

void *
__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

char *
__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

char *
__wrap_strndup(const char *s, size_t n)
{
	return fails() ? NULL : __real_strndup(s, n);
}

static void
nothing(void *arg, enum log_level level, const char *msg, const struct kv *kv)
{
	(void)arg;
	(void)level;
	(void)msg;
	(void)kv;
}

static void __attribute__((noreturn)) die(unsigned long n, const char *what)
{
	(void)printf(
	    "allocation %lu, unkind %u: %s\n", n, fake_ca.unkind, what);
	(void)printf("  at %lld s: %u orders, %u issued, %u installed, %u "
		     "hooks; %s\n",
	    (long long)(sim_ms() / 1000 - 1000), fake_ca.orders, fake_ca.issued,
	    sim_root.installs, sim_root.hooks,
	    sim_engine() == NULL || sim_engine()->certs.n == 0
		? "not running"
		: sim_engine()->certs.all[0].issue_trouble.text);
	(void)fflush(stdout);
	abort();
}

/* What is on disk is whole, whatever has happened. */
static void
check_disk(unsigned long n)
{
	AUTO(buf_done) struct buf text = BUF_INIT(1 << 20);
	struct engine *en = sim_engine();
	struct cert c = { .conf = &en->conf->certs[0] };
	struct err e;

	if (fs_read(sim_state_dir(), "certs/a.example.json", &text, &e) == -1)
		return;
	if (cert_decode(en->conf, &c, text.data, text.len, &e) == -1)
		die(n, e.what);
	trouble_clear(&c.issue_trouble);
	trouble_clear(&c.deploy_trouble);
	free(c.have.key_id);
	free(c.have.serial);
	free(c.have.ari_id);
	free(c.have.names);
	window_clear(&c.window);
	free(c.old_keys);
}

static unsigned wanted;

static bool
is_done(void)
{
	const struct cert *c = &sim_engine()->certs.all[0];

	return sim_root.installs >= wanted && c->have.version >= wanted &&
	       c->deploy == DEPLOY_DONE && c->issue == NULL;
}

static void
run_until(unsigned long n, unsigned installs, int64_t ms, const char *what)
{
	wanted = installs;
	fake_ca_run(ms, is_done);
	if (!is_done())
		die(n, what);
}

static void
begin(unsigned long n)
{
	struct err e;

	if (sim_start(conf, &e) == 0)
		return;
	/* It says so, and is started again. */
	if (!fired)
		die(n, e.what);
	sim_torture = sim_memory_fails = false;
	if (sim_start(conf, &e) == -1)
		die(n, e.what);
}

static void
reset(unsigned long n, unsigned unkind)
{
	sim_stop();
	sim_http_reset();
	sim_keys_reset();
	sim_root_reset();
	sim_time_reset();
	sim_state_reset();
	fake_ca_reset();
	rnd_seed(1);
	fake_ca.life_s = INT64_C(2) * 24 * 3600;
	fake_ca.alternates = true;
	fake_ca.unkind = unkind;
	sim_torture = sim_memory_fails = fired = false;
	countdown = n;
}

static void
take_budget(struct buf *out)
{
	struct err e;

	if (budget_encode(session_budget(sim_engine()->cas[0].session),
		clock_now(), out, &e) == -1)
		abort();
}

/* All is well, and is still known after a restart. */
static void
check_end(unsigned long n)
{
	AUTO(buf_done) struct buf spent = BUF_INIT(1 << 20);
	AUTO(buf_done) struct buf known = BUF_INIT(1 << 20);
	unsigned orders = fake_ca.orders;

	sim_torture = sim_memory_fails = false;
	fake_ca_run(1000, NULL); /* what is being written is */
	if (sim_broken[0] != '\0')
		die(n, sim_broken);
	if (tokens_count(sim_engine()->tokens) != 0)
		die(n, "a token stays");
	check_disk(n);
	take_budget(&spent);
	sim_stop();
	begin(n);
	take_budget(&known);
	if (strcmp(buf_str(&spent), buf_str(&known)) != 0)
		die(n, "what was spent is forgotten after a restart");
	run_until(n, wanted, HOUR_MS / 60, "forgotten after a restart");
	fake_ca_run(HOUR_MS, NULL);
	if (fake_ca.orders != orders)
		die(n, "ordered again after a restart");
	sim_stop();
}

/* Each says whether the n-th allocation was reached. */
typedef bool scene(unsigned long n, unsigned unkind);

static bool
issue_and_renew(unsigned long n, unsigned unkind)
{
	reset(n, unkind);
	sim_torture = true;
	begin(n);
	run_until(n, 1, 6 * HOUR_MS, "not installed in 6 h");
	run_until(n, 2, 36 * HOUR_MS, "not renewed");
	check_end(n);
	return fired;
}

/* The daemon starts with an installed certificate: it stays the same one. */
static bool
restart_idle(unsigned long n, unsigned unkind)
{
	reset(n, unkind);
	begin(n);
	run_until(n, 1, 6 * HOUR_MS, "not installed in 6 h");
	sim_stop();
	sim_torture = true;
	begin(n);
	fake_ca_run(HOUR_MS, NULL);
	if (fake_ca.orders != 1 || fake_ca.accounts != 1)
		die(n, "began anew");
	check_end(n);
	return fired;
}

static bool
is_answered(void)
{
	const struct issue *is = sim_engine()->certs.all[0].issue;

	return is != NULL && strcmp(issue_step_name(is), "finalize") == 0;
}

/* The daemon starts with an order under way: it is not made again. */
static bool
restart_in_order(unsigned long n, unsigned unkind)
{
	reset(n, unkind);
	begin(n);
	fake_ca_run(6 * HOUR_MS, is_answered);
	if (!is_answered())
		die(n, "nothing to finalize");
	sim_stop();
	sim_torture = true;
	begin(n);
	run_until(n, 1, 6 * HOUR_MS, "not installed in 6 h");
	if (fake_ca.orders != 1 || fake_ca.accounts != 1)
		die(n, "began anew");
	check_end(n);
	return fired;
}

static void
torture(const char *name, scene *fn, unsigned unkind, unsigned step)
{
	unsigned long n, points = 0;

	for (n = 1; fn(n, unkind); n += step)
		if (++points % 512 == 0 && __lsan_do_recoverable_leak_check())
			die(n, "leaks in the last 512 points");
	(void)printf("%s: %lu allocations, %lu of them failed, one a run\n",
	    name, n - 1, points);
	(void)fflush(stdout);
}

int
main(int argc, char **argv)
{
	log_init("engine", (enum log_level)(argc > 2 ? 7 : 0), LOG_F_TEXT);
	log_tap(nothing, NULL, LOG_L_DEBUG);
	if (argc > 2) /* one point: torture N UNKIND */
		return !issue_and_renew(strtoul(argv[1], NULL, 10),
		    (unsigned)strtoul(argv[2], NULL, 10));
	torture("restart", restart_idle, 0, 1);
	torture("restart in an order", restart_in_order, 0, 1);
	torture("issue and renew", issue_and_renew, 0, 1);
	torture("with an unkind CA", issue_and_renew, 7, 11);
	reset(0, 0);
	fake_ca_reset();
	sim_http_reset();
	return 0;
}
