/* SPDX-License-Identifier: ISC */
/*
 * CAA look-ups (RFC 8659) against a name server on the same loop, which knows
 * the zone below and answers each name in its own way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/io/confine.h"
#include "lib/io/dns.h"

#define RECORDS    4
#define TYPE_CAA   257
#define TYPE_CNAME 5

#define SERVFAIL 2
#define NXDOMAIN 3
#define REFUSED  5

enum way {
	ANSWER,
	BY_TCP,    /* cut short over UDP */
	SILENT,    /* never a word */
	ONCE_LOST, /* nothing for the first question */
	GARBAGE,   /* bytes that are no answer, and then nothing */
	SHORT,     /* an answer that ends inside its record */
	BAD_TAG,   /* a tag that is longer than its record */
	MANY,      /* DNS_CAA_MAX records by TCP */
	TOO_MANY,
	LONG, /* two values of 3,000 bytes, one with a NUL in it */
};

struct record {
	uint8_t flags;
	const char *tag, *value;
};

static const struct zone {
	const char *name;
	struct record records[RECORDS];
	enum way way;
	int rcode;
	const char *alias;
} zones[] = {
	/* clang-format off */
	{ "test", .rcode = 0 },
	{ "one.test", .records = { { 0, "issue", "ca.example" } } },
	{ "www.one.test", .rcode = 0 },
	{ "two.test", .records = { { 0, "issue", "ca.example" },
			{ 0, "ISSUE", " \tCA.other.example ; a=b; c=d" } } },
	{ "empty.test", .records = { { 0, "issue", "" } } },
	{ "nobody.test", .records = { { 0, "issue", ";" } } },
	{ "blank.test", .records = { { 0, "issue", " \t" } } },
	{ "params.test", .records = { { 0, "issue", "ca.example;accounturi=https://ca/1;"
			     " validationmethods=http-01" } } },
	{ "wild.test", .records = { { 0, "issue", "ca.example" },
			 { 0, "issuewild", "wild.example" } } },
	{ "onlywild.test", .records = { { 0, "issuewild", ";" } } },
	{ "mail.test", .records = { { 0, "iodef", "mailto:a@example.org" },
			 { 128, "issuemail", "ca.example" } } },
	{ "odd.test", .records = { { 0, "issue", "a\x1b[2J\tb" },
			{ 0, "issue", "\xff" } } },
	{ "future.test", .records = { { 0, "tbs", "Unknown" },
			   { 2, "tbs", "Unknown" },
			   { 128, "issue", "ca.example" } } },
	{ "critical.test", .records = { { 128, "tbs", "Unknown" },
			     { 0, "issue", "ca.example" } } },
	{ "critical1.test", .records = { { 1, "tbs", "Unknown" } } },
	{ "alias.one.test", .alias = "elsewhere.test" },
	{ "full.alias.test", .records = { { 0, "issue", "there.example" } },
	  .alias = "elsewhere.test" },
	{ "servfail.test", .rcode = SERVFAIL },
	{ "refused.test", .rcode = REFUSED },
	{ "tcp.test", .records = { { 0, "issue", "tcp.example" } }, .way = BY_TCP },
	{ "silent.test", .way = SILENT },
	{ "lost.test", .records = { { 0, "issue", "ca.example" } }, .way = ONCE_LOST },
	{ "garbage.test", .way = GARBAGE },
	{ "short.test", .records = { { 0, "issue", "ca.example" } }, .way = SHORT },
	{ "badtag.test", .records = { { 0, "issue", "ca.example" } }, .way = BAD_TAG },
	{ "many.test", .way = MANY },
	{ "toomany.test", .way = TOO_MANY },
	{ "long.test", .way = LONG },
	/* clang-format on */
};

struct peer { /* of a TCP connection */
	struct loop_fd *handle;
	int fd;
};

static struct world {
	struct loop *loop;
	struct dns *dns;
	struct loop_fd *udp, *tcp;
	struct loop_timer *limit;
	struct peer peer;
	int udp_fd, tcp_fd;
	char server[32];
	char asked[32][STR_IDENT_MAX]; /* in this order */
	unsigned n_asked, n_tcp;
	unsigned seen[NELEM(zones)];
	unsigned waiting;
} w;

/* What came of one look-up. */
struct outcome {
	struct dns_op *op;
	unsigned calls;
	bool failed;
	struct caa caa;
	char issuers[4][80]; /* the first few */
	size_t last_len;     /* of the last value */
	struct err e;
	struct outcome *cancels; /* another one, from its callback */
	bool frees;              /* the whole resolver */
};

static void
too_late(void *arg)
{
	(void)arg;
	fail_msg("no answer");
}

static void
add_u16(struct buf *b, unsigned n)
{
	buf_putc(b, (char)(n >> 8));
	buf_putc(b, (char)(n & 0xff));
}

static void
add_name(struct buf *b, const char *name)
{
	size_t n;

	for (; *name != '\0'; name += n + (name[n] == '.')) {
		n = strcspn(name, ".");
		buf_putc(b, (char)n);
		buf_add(b, name, n);
	}
	buf_putc(b, '\0');
}

/* The owner is the name that was asked for. */
static void
add_head(struct buf *b, unsigned type, size_t len)
{
	add_u16(b, 0xc00c);
	add_u16(b, type);
	add_u16(b, 1);
	add_u16(b, 0);
	add_u16(b, 300);
	add_u16(b, (unsigned)len);
}

static void
add_caa(struct buf *b, unsigned flags, const char *tag, const void *value,
    size_t len)
{
	add_head(b, TYPE_CAA, 2 + strlen(tag) + len);
	buf_putc(b, (char)flags);
	buf_putc(b, (char)strlen(tag));
	buf_puts(b, tag);
	buf_add(b, value, len);
}

static void
add_alias(struct buf *b, const char *alias)
{
	AUTO(buf_done) struct buf name = BUF_INIT(256);

	add_name(&name, alias);
	add_head(b, TYPE_CNAME, name.len);
	buf_add(b, name.data, name.len);
}

/* How many records it has added. */
static unsigned
add_records(struct buf *b, const struct zone *z)
{
	static char big[3000];
	unsigned n = 0, more;

	if (z->alias != NULL) {
		add_alias(b, z->alias);
		n++;
	}
	for (size_t i = 0; i < RECORDS && z->records[i].tag != NULL; i++, n++)
		add_caa(b, z->records[i].flags, z->records[i].tag,
		    z->records[i].value, strlen(z->records[i].value));
	more = z->way == MANY       ? DNS_CAA_MAX
	       : z->way == TOO_MANY ? DNS_CAA_MAX + 1
				    : 0;
	for (; more > 0; more--, n++)
		add_caa(b, 0, "issue", "many.example", 12);
	if (z->way == LONG) {
		memset(big, 'x', sizeof(big));
		memcpy(big, "ca.example\0.org;", 16);
		add_caa(b, 0, "issue", big, sizeof(big));
		add_caa(b, 0, "issue", big + 16, sizeof(big) - 16);
		n += 2;
	}
	return n;
}

static const struct zone *
find_zone(const char *name)
{
	size_t i;

	for (i = 0; i < NELEM(zones); i++)
		if (strcasecmp(zones[i].name, name) == 0)
			return &zones[i];
	return NULL;
}

/* The name in a question, and where that ends. */
static size_t
read_name(const unsigned char *q, size_t len, char out[STR_IDENT_MAX])
{
	size_t at = 12, n = 0;

	while (at < len && q[at] != 0) {
		assert_true(at + 1 + q[at] < len && n + q[at] + 2 < 256);
		memcpy(out + n, q + at + 1, q[at]);
		n += q[at];
		out[n++] = '.';
		at += 1u + q[at];
	}
	out[n > 0 ? n - 1 : 0] = '\0';
	assert_true(at + 5 <= len);
	assert_int_equal(q[at + 1] << 8 | q[at + 2], TYPE_CAA);
	assert_int_equal(q[at + 3] << 8 | q[at + 4], 1);
	return at + 5;
}

static void
spoil(struct buf *out, const struct zone *z, size_t question)
{
	/* name, type, class, TTL, length, flags: then comes the tag's length */
	if (z->way == BAD_TAG)
		out->data[question + 13] = (char)200;
	if (z->way == SHORT)
		out->len -= 4;
	if (z->way == GARBAGE)
		memset(out->data + 2, 0xa5, out->len - 2);
}

/* false: say nothing. */
static bool
answer(const unsigned char *q, size_t len, bool tcp, struct buf *out)
{
	char name[STR_IDENT_MAX];
	size_t end = read_name(q, len, name);
	const struct zone *z = find_zone(name);
	bool cut = z != NULL && !tcp &&
		   (z->way == BY_TCP || z->way == MANY || z->way == TOO_MANY ||
		       z->way == LONG);
	int rcode = z != NULL ? z->rcode : NXDOMAIN;
	unsigned n;

	assert_true(w.n_asked < NELEM(w.asked));
	memcpy(w.asked[w.n_asked++], name, sizeof(name));
	w.n_tcp += tcp;
	if (z != NULL && (z->way == SILENT ||
			     (w.seen[z - zones]++ == 0 && z->way == ONCE_LOST)))
		return false;
	buf_add(out, q, 2);
	buf_putc(out, (char)(0x81 | (cut ? 2 : 0))); /* a reply; RD */
	buf_putc(out, (char)(0x80 | rcode));         /* RA */
	buf_add(out, "\0\1\0\0\0\0\0\0", 8);
	buf_add(out, q + 12, end - 12);
	if (z != NULL && !cut) {
		n = add_records(out, z);
		assert_true(buf_ok(out));
		out->data[7] = (char)n;
		spoil(out, z, end);
	}
	return true;
}

static void
on_udp(void *arg, int fd, unsigned what)
{
	AUTO(buf_done) struct buf out = BUF_INIT(65536);
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	unsigned char q[1500];
	ssize_t n =
	    recvfrom(fd, q, sizeof(q), 0, (struct sockaddr *)&from, &from_len);

	(void)arg;
	(void)what;
	assert_true(n > 12);
	if (!answer(q, (size_t)n, false, &out))
		return;
	assert_true(sendto(fd, out.data, out.len, 0, (struct sockaddr *)&from,
			from_len) == (ssize_t)out.len);
}

static void
hang_up(void)
{
	loop_fd_free(w.peer.handle);
	if (w.peer.fd != -1)
		(void)close(w.peer.fd);
	w.peer = (struct peer){ .fd = -1 };
}

/* One question comes in one piece over loopback. */
static void
on_peer(void *arg, int fd, unsigned what)
{
	AUTO(buf_done) struct buf out = BUF_INIT(65536);
	AUTO(buf_done) struct buf framed = BUF_INIT(65538);
	unsigned char q[1500];
	ssize_t n = recv(fd, q, sizeof(q), 0);

	(void)arg;
	(void)what;
	if (n <= 0) {
		hang_up();
		return;
	}
	assert_int_equal(n, 2 + (q[0] << 8 | q[1]));
	if (!answer(q + 2, (size_t)n - 2, true, &out))
		return;
	add_u16(&framed, (unsigned)out.len);
	buf_add(&framed, out.data, out.len);
	/* In two pieces, for there is no promise that it comes in one. */
	assert_int_equal(send(fd, framed.data, 3, MSG_NOSIGNAL), 3);
	assert_int_equal(
	    send(fd, framed.data + 3, framed.len - 3, MSG_NOSIGNAL),
	    framed.len - 3);
}

static void
on_tcp(void *arg, int fd, unsigned what)
{
	(void)arg;
	(void)what;
	hang_up();
	w.peer.fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(w.peer.fd != -1);
	w.peer.handle =
	    loop_fd_new(w.loop, w.peer.fd, LOOP_READ, on_peer, NULL, NULL);
	assert_non_null(w.peer.handle);
}

/* Both sockets on one port that is free. */
static void
listen_both(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int tries;

	for (tries = 0; tries < 20; tries++) {
		a = (struct sockaddr_in){ .sin_family = AF_INET,
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		w.udp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		w.tcp_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(
		    bind(w.udp_fd, (struct sockaddr *)&a, sizeof(a)), 0);
		assert_int_equal(
		    getsockname(w.udp_fd, (struct sockaddr *)&a, &len), 0);
		if (bind(w.tcp_fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
		    listen(w.tcp_fd, 5) == 0)
			break;
		(void)close(w.udp_fd);
		(void)close(w.tcp_fd);
	}
	assert_true(tries < 20);
	(void)snprintf(
	    w.server, sizeof(w.server), "127.0.0.1:%u", ntohs(a.sin_port));
}

static int
setup(void **state)
{
	const char *servers[] = { w.server };
	struct err e;

	(void)state;
	w = (struct world){ .peer.fd = -1 };
	listen_both();
	w.loop = loop_new(NULL);
	assert_non_null(w.loop);
	w.udp = loop_fd_new(w.loop, w.udp_fd, LOOP_READ, on_udp, NULL, NULL);
	w.tcp = loop_fd_new(w.loop, w.tcp_fd, LOOP_READ, on_tcp, NULL, NULL);
	w.limit = loop_timer_new(w.loop, too_late, NULL, NULL);
	assert_true(w.udp != NULL && w.tcp != NULL && w.limit != NULL);
	loop_timer_set(w.limit, 60000);
	w.dns = dns_new(w.loop, servers, 1, &e);
	assert_non_null(w.dns);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	dns_free(w.dns);
	hang_up();
	loop_fd_free(w.udp);
	loop_fd_free(w.tcp);
	loop_timer_free(w.limit);
	loop_free(w.loop);
	(void)close(w.udp_fd);
	(void)close(w.tcp_fd);
	return 0;
}

static void
keep(struct outcome *o, const struct caa *caa)
{
	size_t i;

	o->caa = *caa;
	o->caa.issuers = NULL; /* gone with the callback */
	for (i = 0; i < caa->n; i++)
		o->last_len = strlen(caa->issuers[i]);
	for (i = 0; i < caa->n && i < NELEM(o->issuers); i++)
		(void)snprintf(o->issuers[i], sizeof(o->issuers[i]), "%s",
		    caa->issuers[i]);
}

static void
on_done(void *arg, const struct caa *caa, const struct err *e)
{
	struct outcome *o = arg;

	assert_non_null(o->op); /* dns_caa() has returned */
	assert_true((caa == NULL) != (e == NULL));
	o->calls++;
	o->failed = e != NULL;
	if (e != NULL)
		o->e = *e;
	else
		keep(o, caa);
	dns_cancel(o->op); /* too late, and no harm */
	if (o->cancels != NULL) {
		dns_cancel(o->cancels->op);
		w.waiting--;
	}
	if (o->frees) {
		dns_free(w.dns);
		w.dns = NULL;
		w.waiting = 1;
	}
	if (--w.waiting == 0)
		loop_stop(w.loop);
}

static void
start(struct outcome *o, const char *name)
{
	struct err e;

	o->op = dns_caa(w.dns, name, on_done, o, &e);
	if (o->op == NULL)
		fail_msg("%s: %s", name, e.what);
	assert_int_equal(o->calls, 0);
	w.waiting++;
}

static struct outcome
look_up(const char *name)
{
	struct outcome o = { 0 };

	w.n_asked = 0;
	start(&o, name);
	assert_int_equal(loop_run(w.loop, NULL), 0);
	assert_int_equal(o.calls, 1);
	return o;
}

static void
test_found(void **state)
{
	/* clang-format off */
	static const struct {
		const char *name, *at;
		size_t n;
		const char *issuers[2];
		bool critical;
	} rows[] = {
		{ "one.test", "one.test", 1, { "ca.example" }, false },
		{ "One.Test.", "one.test", 1, { "ca.example" }, false },
		/* the parent's: without any, and without the name */
		{ "www.one.test", "one.test", 1, { "ca.example" }, false },
		{ "a.b.c.d.e.f.g.h.one.test", "one.test", 1, { "ca.example" }, false },
		{ "two.test", "two.test", 2,
		  { "ca.example", "ca.other.example" }, false },
		{ "nobody.test", "nobody.test", 1, { "" }, false },
		{ "blank.test", "blank.test", 1, { "" }, false },
		{ "params.test", "params.test", 1, { "ca.example" }, false },
		{ "odd.test", "odd.test", 2, { "a?[2j?b", "?" }, false },
		/* a wildcard begins at its parent */
		{ "wild.test", "wild.test", 1, { "ca.example" }, false },
		{ "*.wild.test", "wild.test", 1, { "wild.example" }, false },
		{ "*.one.test", "one.test", 1, { "ca.example" }, false },
		{ "*.www.one.test", "one.test", 1, { "ca.example" }, false },
		{ "onlywild.test", "onlywild.test", 0, { 0 }, false },
		{ "*.onlywild.test", "onlywild.test", 1, { "" }, false },
		/* a set without "issue" ends the search and forbids nothing */
		{ "mail.test", "mail.test", 0, { 0 }, false },
		{ "future.test", "future.test", 1, { "ca.example" }, false },
		{ "critical.test", "critical.test", 1, { "ca.example" }, true },
		{ "critical1.test", "critical1.test", 0, { 0 }, true },
		/* the name's own parents count, not those of its alias */
		{ "alias.one.test", "one.test", 1, { "ca.example" }, false },
		{ "full.alias.test", "full.alias.test", 1, { "there.example" }, false },
	};
	/* clang-format on */
	size_t i, j;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		struct outcome o = look_up(rows[i].name);

		if (o.failed)
			fail_msg("%s: %s", rows[i].name, o.e.what);
		assert_true(o.caa.found);
		assert_string_equal(o.caa.at, rows[i].at);
		assert_int_equal(o.caa.n, rows[i].n);
		assert_int_equal(o.caa.unknown_critical, rows[i].critical);
		for (j = 0; j < o.caa.n; j++)
			assert_string_equal(o.issuers[j], rows[i].issuers[j]);
	}
	assert_int_equal(w.n_tcp, 0);
}

/* Every level is asked for, from below, and once. */
static void
test_climbs(void **state)
{
	static const char *const want[] = { "a.b.c.d.e.f.g.h.none.test",
		"b.c.d.e.f.g.h.none.test", "c.d.e.f.g.h.none.test",
		"d.e.f.g.h.none.test", "e.f.g.h.none.test", "f.g.h.none.test",
		"g.h.none.test", "h.none.test", "none.test", "test" };
	struct outcome o = look_up("a.b.c.d.e.f.g.h.none.test");
	size_t i;

	(void)state;
	assert_false(o.failed);
	assert_false(o.caa.found);
	assert_string_equal(o.caa.at, "");
	assert_int_equal(o.caa.n, 0);
	assert_int_equal(w.n_asked, NELEM(want));
	for (i = 0; i < NELEM(want); i++)
		assert_string_equal(w.asked[i], want[i]);
	o = look_up("*.none.test");
	assert_false(o.failed || o.caa.found);
	assert_int_equal(w.n_asked, 2);
	assert_string_equal(w.asked[0], "none.test");
}

static void
test_no_name(void **state)
{
	struct outcome o = look_up("192.0.2.1");
	struct err e;

	(void)state;
	assert_false(o.failed || o.caa.found);
	o = look_up("2001:db8::1");
	assert_false(o.failed || o.caa.found);
	assert_int_equal(w.n_asked, 0);
	assert_null(dns_caa(w.dns, "a..b", on_done, NULL, &e));
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_memory_equal(e.what, "a..b: ", 6);
}

static void
test_errors(void **state)
{
	/* clang-format off */
	static const struct {
		const char *name, *of;
	} rows[] = {
		{ "servfail.test",        "servfail.test" },
		{ "deep.in.servfail.test", "servfail.test" },
		{ "refused.test",         "refused.test" },
		{ "short.test",           "short.test" },
		{ "badtag.test",          "badtag.test" },
		/* not wrong, but to c-ares it is */
		{ "empty.test",           "empty.test" },
	};
	/* clang-format on */
	char want[80];
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		struct outcome o = look_up(rows[i].name);

		if (!o.failed)
			fail_msg("%s: no error", rows[i].name);
		(void)snprintf(
		    want, sizeof(want), "CAA records of %s: ", rows[i].of);
		assert_int_equal(o.e.kind, ERR_NET);
		assert_memory_equal(o.e.what, want, strlen(want));
		assert_true(strlen(o.e.what) > strlen(want));
	}
}

static void
test_tcp(void **state)
{
	struct outcome o = look_up("tcp.test");

	(void)state;
	assert_false(o.failed);
	assert_string_equal(o.issuers[0], "tcp.example");
	assert_int_equal(w.n_tcp, 1);
}

static void
test_bounds(void **state)
{
	struct outcome o = look_up("many.test");

	(void)state;
	assert_false(o.failed);
	assert_int_equal(o.caa.n, DNS_CAA_MAX);
	o = look_up("toomany.test");
	assert_true(o.failed);
	assert_int_equal(o.e.kind, ERR_LIMIT);
	assert_string_equal(
	    o.e.what, "more than 64 CAA records at toomany.test");
	/* Nothing ends at a NUL that somebody has put there. */
	o = look_up("long.test");
	assert_false(o.failed);
	assert_string_equal(o.issuers[0], "ca.example?.org");
	assert_int_equal(o.last_len, DNS_VALUE_MAX);
}

static void
pass_time(void *arg)
{
	(void)arg;
	clock_fake_advance_ms(DNS_TOTAL_MS + 1);
}

/*
 * The last test: the clock is not the real one any more.
 * At once, as each waits for c-ares' own clock: a second, for the next try. */
static void
test_time(void **state)
{
	struct outcome lost = { 0 }, silent = { 0 }, garbage = { 0 };
	struct loop_timer *t;

	(void)state;
	start(&lost, "lost.test");
	assert_int_equal(loop_run(w.loop, NULL), 0);
	assert_false(lost.failed);
	assert_string_equal(lost.issuers[0], "ca.example");
	assert_int_equal(w.n_asked, 2);

	clock_fake(clock_now());
	t = loop_timer_new(w.loop, pass_time, NULL, NULL);
	assert_non_null(t);
	loop_timer_set(t, 0);
	start(&silent, "silent.test");
	start(&garbage, "garbage.test");
	assert_int_equal(loop_run(w.loop, NULL), 0);
	loop_timer_free(t);
	assert_true(silent.failed && garbage.failed);
	assert_int_equal(silent.e.kind, ERR_NET);
	assert_memory_equal(silent.e.what, "CAA records of silent.test: ", 28);
	assert_memory_equal(
	    garbage.e.what, "CAA records of garbage.test: ", 29);
}

static void
test_cancel(void **state)
{
	struct outcome a = { 0 }, b = { 0 }, c = { 0 };

	(void)state;
	/* at once, with the question under way, and from another's callback */
	start(&a, "one.test");
	dns_cancel(a.op);
	w.waiting--;
	start(&b, "silent.test");
	start(&c, "www.one.test");
	c.cancels = &b;
	assert_int_equal(loop_run(w.loop, NULL), 0);
	assert_int_equal(a.calls, 0);
	assert_int_equal(b.calls, 0);
	assert_int_equal(c.calls, 1);
	dns_cancel(NULL);
	dns_free(NULL);
}

static void
test_freed(void **state)
{
	struct outcome a = { .frees = true }, b = { 0 }, c = { 0 };

	(void)state;
	start(&a, "one.test");
	start(&b, "silent.test");
	start(&c, "192.0.2.1");
	dns_cancel(c.op);
	assert_int_equal(loop_run(w.loop, NULL), 0);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 0);
}

static void
test_servers(void **state)
{
	static const char *const bad[] = { "127.0.0.1:53", "name.example:53" };
	const char *both[] = { "127.0.0.1:1", w.server };
	const char *six[] = { "[::1]:5353" };
	struct outcome o;
	struct err e;

	(void)state;
	/* Nobody is on port 1: the next one is asked. */
	dns_free(w.dns);
	w.dns = dns_new(w.loop, both, 2, &e);
	assert_non_null(w.dns);
	o = look_up("one.test");
	assert_false(o.failed);
	assert_true(o.caa.found);

	dns_free(w.dns);
	w.dns = dns_new(w.loop, both, 1, &e);
	assert_non_null(w.dns);
	o = look_up("one.test");
	assert_true(o.failed);
	assert_int_equal(o.e.kind, ERR_NET);
	assert_int_equal(w.n_asked, 0);

	dns_free(w.dns);
	w.dns = dns_new(w.loop, bad, 2, &e);
	assert_null(w.dns);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_non_null(strstr(e.what, "name.example:53"));
	w.dns = dns_new(w.loop, six, 1, &e);
	assert_non_null(w.dns);
	dns_free(w.dns);
	w.dns = dns_new(w.loop, NULL, 0, &e);
	assert_non_null(w.dns);
}

/* The engine looks up when it has confined itself. */
static void
confined(void)
{
	static const char *const reads[] = { "/etc/resolv.conf", "/dev/urandom",
		NULL };
	const struct confine_spec s = { .role = CONFINE_ENGINE,
		.read_paths = reads };
	struct confine_done done;
	struct outcome o;
	struct dns *system;
	struct err e;

	if (confine(&s, &done, &e) == -1)
		_exit(2);
	o = look_up("www.one.test");
	if (o.failed || !o.caa.found)
		_exit(3);
	o = look_up("tcp.test");
	if (o.failed || !o.caa.found)
		_exit(4);
	system = dns_new(w.loop, NULL, 0, &e);
	if (system == NULL)
		_exit(5);
	dns_free(system);
	_exit(0);
}

static void
test_confined(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		/* a loop of its own: the parent's epoll is shared */
		(void)teardown(NULL);
		(void)setup(NULL);
		confined();
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_found),
		T(test_climbs),
		T(test_no_name),
		T(test_errors),
		T(test_tcp),
		T(test_bounds),
		T(test_cancel),
		T(test_freed),
		T(test_servers),
		T(test_confined),
		T(test_time),
	};

	return cmocka_run_group_tests_name("io/dns", tests, NULL, NULL);
}
