/* SPDX-License-Identifier: ISC */
/* Who keeps the port-80 listener's connections, and for how long. */
#include <sys/resource.h>

#include "tests/unit/port80.h"

#define FLOOD     4000
#define FLOOD_PAD 2000

static size_t
flood_request(char *out, size_t size, int i)
{
	int n = snprintf(out, size,
	    "GET /%0*d HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n", FLOOD_PAD, i);

	return (size_t)n;
}

/*
 * Somebody asks and asks and does not read: the answer that does not go out
 * waits, no more is read, and nothing is lost or mixed up in the end.
 */
static void
partial_writes(void **state)
{
	char request[FLOOD_PAD + 64], want[FLOOD_PAD + 256];
	struct peer p;
	size_t len = 0, at = 0, next = 0, n;
	ssize_t sent;
	int asked = 0, heard = 0, idle = 0;

	(void)state;
	start();
	peer_open(&p, 4096);
	while (idle < 3) {
		if (at == len) {
			assert_true(asked < FLOOD);
			len = flood_request(request, sizeof(request), asked++);
			at = 0;
		}
		sent = send(p.fd, request + at, len - at, MSG_NOSIGNAL);
		if (sent > 0) {
			at += (size_t)sent;
			idle = 0;
			continue;
		}
		settle();
		idle++;
	}
	assert_true((int)stats().requests < asked + 10);
	/* now read; the unfinished request is sent as soon as it can be */
	while (heard < asked) {
		n = (size_t)snprintf(want, sizeof(want),
		    "HTTP/1.1 301 Moved Permanently\r\n"
		    "Location: https://h/%0*d\r\n" DATE
		    "Content-Length: 0\r\n" KEEP,
		    FLOOD_PAD, heard);
		while (p.len - next < n) {
			memmove(p.got, p.got + next, p.len - next);
			p.len -= next;
			next = 0;
			if (at < len) {
				sent = send(
				    p.fd, request + at, len - at, MSG_NOSIGNAL);
				at += sent > 0 ? (size_t)sent : 0;
			}
			hear(&p, p.len + 1);
			assert_false(p.eof);
		}
		assert_memory_equal(p.got + next, want, n);
		next += n;
		heard++;
	}
	assert_int_equal(next, p.len);
	p.len = 0;
	say(&p, GET(PATH TOKEN));
	expect(&p, OK KEEP AUTHZ);
	peer_close(&p);
}

/* Bytes do not make a connection younger: a slow head ends in time. */
static void
slow_heads_time_out(void **state)
{
	struct peer p;

	(void)state;
	start();
	peer_open(&p, 0);
	settle();
	clock_fake_advance_ms(900);
	say(&p, "G"); /* the request's own time begins */
	settle();
	clock_fake_advance_ms(900);
	say(&p, "E");
	settle();
	assert_int_equal(stats().timed_out, 0);
	clock_fake_advance_ms(99);
	say(&p, "T");
	settle();
	assert_int_equal(stats().timed_out, 0);
	clock_fake_advance_ms(1);
	expect_end(&p, "");
	assert_int_equal(stats().timed_out, 1);
	peer_close(&p);
}

static void
idle_times_out(void **state)
{
	struct peer p;

	(void)state;
	start();
	peer_open(&p, 0);
	settle();
	clock_fake_advance_ms(600);
	say(&p, GET(PATH TOKEN));
	hear(&p, strlen(OK KEEP AUTHZ));
	p.len = 0;
	p.got[0] = '\0';
	clock_fake_advance_ms(600); /* an answer makes it younger */
	say(&p, "GET " PATH "x HTTP/1.1\r\nHost: h\r\n\r\n");
	hear(&p, strlen(NOT_FOUND KEEP "not found\n"));
	assert_false(p.eof);
	p.len = 0;
	p.got[0] = '\0';
	clock_fake_advance_ms(1000);
	expect_end(&p, "");
	assert_int_equal(stats().timed_out, 1);
	assert_int_equal(stats().open, 0);
	peer_close(&p);
}

static void
full_table_drops_the_longest_idle(void **state)
{
	struct peer p[9];
	size_t i;

	(void)state;
	start();
	for (i = 0; i < 8; i++) {
		peer_open(&p[i], 0);
		say(&p[i], GET(PATH TOKEN));
		expect(&p[i], OK KEEP AUTHZ);
	}
	say(&p[0], GET(PATH TOKEN)); /* the first is the youngest again */
	expect(&p[0], OK KEEP AUTHZ);
	peer_open(&p[8], 0);
	say(&p[8], GET(PATH TOKEN));
	expect(&p[8], OK KEEP AUTHZ);
	expect_end(&p[1], "");
	assert_int_equal(stats().evicted, 1);
	assert_int_equal(stats().open, 8);
	say(&p[0], GET(PATH TOKEN));
	expect(&p[0], OK KEEP AUTHZ);
	for (i = 0; i < 9; i++)
		peer_close(&p[i]);
}

/* The table is full of heads that never end, kept warm: the CA gets in. */
static void
slow_heads_do_not_shut_out_the_ca(void **state)
{
	struct peer slow[8], ca;
	size_t i, round, ended = 0;

	(void)state;
	start();
	for (i = 0; i < 8; i++) {
		peer_open(&slow[i], 0);
		say(&slow[i], "GET / HTTP/1.1\r\nX: ");
	}
	peer_open(&ca, 0); /* connected, and silent for now */
	for (round = 0; round < 3; round++)
		for (i = 0; i < 8; i++)
			(void)send(slow[i].fd, "a", 1, MSG_NOSIGNAL);
	settle(); /* takes a slot too */
	say(&ca, GET(PATH TOKEN));
	expect(&ca, OK KEEP AUTHZ);
	assert_int_equal(stats().evicted, 2);
	assert_int_equal(stats().open, 7);
	for (i = 0; i < 8; i++) {
		char byte;

		ended += recv(slow[i].fd, &byte, 1, MSG_DONTWAIT) != -1 ||
			 errno != EAGAIN;
		peer_close(&slow[i]);
	}
	assert_int_equal(ended, 2);
	peer_close(&ca);
}

static int fillers[4096];
static size_t fillers_len;

/* Leave no descriptor free. */
static void
fill_descriptors(struct rlimit *was)
{
	struct rlimit few;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, was), 0);
	few = *was;
	few.rlim_cur = 256;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	fillers_len = 0;
	while ((fillers[fillers_len] = dup(STDERR_FILENO)) != -1)
		fillers_len++;
	assert_int_equal(errno, EMFILE);
}

static void
free_descriptors(const struct rlimit *was)
{
	while (fillers_len > 0)
		(void)close(fillers[--fillers_len]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, was), 0);
}

static void
out_of_descriptors_drops_the_oldest(void **state)
{
	struct peer old, ca;
	struct rlimit was;

	(void)state;
	start();
	peer_open(&old, 0);
	say(&old, GET(PATH TOKEN));
	expect(&old, OK KEEP AUTHZ);
	peer_open(&ca, 0);
	fill_descriptors(&was);
	say(&ca, GET(PATH TOKEN));
	expect(&ca, OK KEEP AUTHZ);
	expect_end(&old, "");
	free_descriptors(&was);
	assert_int_equal(stats().evicted, 1);
	peer_close(&old);
	peer_close(&ca);
}

static struct rlimit before_shortage;

static void
end_shortage(void *arg)
{
	(void)arg;
	free_descriptors(&before_shortage);
}

/* With nobody to drop, it waits quietly and then takes up again. */
static void
out_of_descriptors_rests(void **state)
{
	struct loop_timer *relief;
	struct peer ca;
	uint64_t wakeups;

	(void)state;
	start();
	relief = loop_timer_new(t.loop, end_shortage, NULL, &e);
	peer_open(&ca, 0);
	fill_descriptors(&before_shortage);
	say(&ca, GET(PATH TOKEN));
	loop_timer_set(relief, 300);
	wakeups = loop_wakeups(t.loop);
	expect(&ca, OK KEEP AUTHZ);
	assert_true(loop_wakeups(t.loop) - wakeups < 20);
	loop_timer_free(relief);
	peer_close(&ca);
}

static void
on_fetched_withdraw(void *arg, const char *token)
{
	tokens_withdraw(arg, token);
	t.fetched++;
}

static void
the_told_may_withdraw(void **state)
{
	(void)state;
	start();
	tokens_withdraw(t.tokens, TOKEN);
	assert_int_equal(tokens_publish(t.tokens, TOKEN, AUTHZ,
			     on_fetched_withdraw, t.tokens, &e),
	    0);
	ask(GET(PATH TOKEN) GET(PATH TOKEN),
	    OK KEEP AUTHZ NOT_FOUND KEEP "not found\n");
	assert_int_equal(t.fetched, 1);
}

/* The sockets are the caller's: who comes between two of us is served. */
static void
the_next_serves_who_waits(void **state)
{
	struct peer late;

	(void)state;
	start();
	responder_free(t.r);
	peer_open(&late, 0);
	say(&late, GET(PATH TOKEN));
	start();
	expect(&late, OK KEEP AUTHZ);
	peer_close(&late);
}

static void
peers_that_vanish(void **state)
{
	static const struct linger hard = { 1, 0 };
	struct peer p;

	(void)state;
	start();
	peer_open(&p, 0);
	say(&p, "GET / HT");
	peer_close(&p);
	peer_open(&p, 0);
	say(&p, GET(PATH TOKEN) "GET");
	settle();
	(void)setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	peer_close(&p); /* a reset */
	peer_open(&p, 0);
	say(&p, GET(PATH TOKEN));
	assert_int_equal(shutdown(p.fd, SHUT_WR), 0);
	expect_end(&p, OK KEEP AUTHZ);
	peer_close(&p);
	settle();
	assert_int_equal(stats().open, 0);
	assert_int_equal(stats().timed_out, 0);
}

static void
over_ipv6(void **state)
{
	(void)state;
	(void)teardown(state);
	if (setup_on("[::1]:0") == -1)
		skip();
	start();
	ask("GET " PATH TOKEN " HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
	    OK KEEP AUTHZ);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(partial_writes),
		T(slow_heads_time_out),
		T(idle_times_out),
		T(full_table_drops_the_longest_idle),
		T(slow_heads_do_not_shut_out_the_ca),
		T(out_of_descriptors_drops_the_oldest),
		T(out_of_descriptors_rests),
		T(the_told_may_withdraw),
		T(the_next_serves_who_waits),
		T(peers_that_vanish),
		T(over_ipv6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
