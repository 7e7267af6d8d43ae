/* SPDX-License-Identifier: ISC */
/*
 * Sixty days in the life of 200 certificates that live for two, with a CA that
 * is unkind now and then, down for half a day, and a daemon that is restarted
 * every week.  Nothing expires, nothing is ordered twice, nobody storms.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/session_int.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/rnd.h"
#include "tests/torture/fake_ca.h"

#define CERTS   200u
#define DAYS    60u
#define HOUR_MS INT64_C(3600000)

static unsigned max_active;

static void __attribute__((noreturn)) die(const char *what)
{
	(void)printf("soak: %s at %lld s, %u orders, %u installed\n", what,
	    (long long)(sim_ms() / 1000 - 1000), fake_ca.orders,
	    sim_root.installs);
	(void)fflush(stdout);
	abort();
}

static void
nothing(void *arg, enum log_level level, const char *msg, const struct kv *kv)
{
	(void)arg;
	(void)level;
	(void)msg;
	(void)kv;
}

static void
start(void)
{
	AUTO(buf_done) struct buf conf = BUF_INIT(1 << 20);
	struct err e;
	unsigned i;

	buf_puts(&conf, "agree-tos: true\n"
			"reload: systemctl reload nginx\n"
			"ca: {test: {directory: https://ca/dir}}\n"
			"defaults: {ca: test}\n"
			"domains:\n");
	for (i = 0; i < CERTS; i++)
		buf_printf(&conf, "  - c%u.example\n", i);
	if (sim_start(buf_str(&conf), &e) == -1)
		die(e.what);
}

/* Looked at after every event; never ends the run. */
static bool
watch(void)
{
	struct engine *en = sim_engine();

	if (en->cas[0].active > max_active)
		max_active = en->cas[0].active;
	if (en->cas[0].session->n_nonces > NONCES_MAX)
		die("too many nonces");
	return false;
}

static void
check_all(void)
{
	struct engine *en = sim_engine();
	uint32_t i;

	if (sim_broken[0] != '\0')
		die(sim_broken);
	for (i = 0; i < en->certs.n; i++)
		if (en->certs.all[i].have.not_after <= clock_now())
			die("a certificate has expired");
}

static void
day(unsigned n)
{
	uint64_t turns = sim_turns();
	unsigned calls = sim_n_calls, hour;

	for (hour = 0; hour < 24; hour++) {
		/* on the tenth day the CA is away for half a day */
		fake_ca.down = n == 10 && hour < 12;
		fake_ca_run(HOUR_MS, watch);
		if (n > 0 || hour > 0)
			check_all();
	}
	/* an issuance is about 10 requests, and a few timers each */
	if (sim_n_calls - calls > 25 * CERTS)
		die("too many requests in a day");
	if (sim_turns() - turns > 60 * 25 * CERTS / 10)
		die("too many wake-ups in a day");
	if (n % 7 == 6) {
		sim_stop();
		start();
	}
}

int
main(void)
{
	unsigned i, least = CERTS * (DAYS - 2), most = CERTS * (DAYS + 4);

	log_init("engine", (enum log_level)0, LOG_F_TEXT);
	log_tap(nothing, NULL, LOG_L_INFO);
	sim_time_reset();
	sim_state_reset();
	rnd_seed(7);
	fake_ca.life_s = INT64_C(2) * 24 * 3600;
	fake_ca.leaf_only = true;
	fake_ca.unkind = 101;
	start();
	for (i = 0; i < DAYS; i++)
		day(i);
	(void)printf("soak: %u certificates, %u days: %u orders, %u installed, "
		     "%u requests, %llu timers, %u runs of the hook, at most "
		     "%u at once\n",
	    CERTS, DAYS, fake_ca.orders, sim_root.installs, sim_n_calls,
	    (unsigned long long)sim_turns(), sim_root.hooks, max_active);
	if (fake_ca.orders < least || fake_ca.orders > most)
		die("too few or too many orders");
	if (sim_root.installs > fake_ca.orders)
		die("installed more than was ordered");
	if (max_active > 8)
		die("more orders at once than configured");
	sim_stop();
	fake_ca_reset();
	sim_http_reset();
	return 0;
}
