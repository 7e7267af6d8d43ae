/* SPDX-License-Identifier: ISC */
/* Framing, descriptors, bounds, and every way for a peer to break the rules. */

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/ipc/chan.h"

#define WAIT_MS 20000

struct wire_head { /* as the peer writes it, byte for byte */
	uint32_t type, id, len;
};

struct end {
	struct loop *loop;
	struct chan *chan;
	unsigned n_closed, n_msgs;
	unsigned stop_at; /* stop the loop after so many messages */
	struct err why;
	/* the last message */
	uint32_t id;
	unsigned char body[64];
	size_t size, tail_len;
	unsigned char tail_first, tail_last;
	int fd;
	bool refuse, free_in_handler, free_in_closed, echo, take;
	bool ordered;
};

static void
on_closed(void *arg, const struct err *e)
{
	struct end *x = arg;

	x->n_closed++;
	x->why = *e;
	if (x->free_in_closed) {
		chan_free(x->chan);
		x->chan = NULL;
	}
	loop_stop(x->loop);
}

static int
on_msg(void *arg, struct chan_msg *m, struct err *e)
{
	struct end *x = arg;

	if (x->n_msgs > 0 && m->id != x->id + 1)
		x->ordered = false;
	x->n_msgs++;
	x->id = m->id;
	x->size = m->size;
	memcpy(x->body, m->body,
	    m->size < sizeof(x->body) ? m->size : sizeof(x->body));
	x->tail_len = m->tail_len;
	if (m->tail_len > 0) {
		const unsigned char *t = m->tail;

		x->tail_first = t[0];
		x->tail_last = t[m->tail_len - 1];
	}
	assert_int_equal((uintptr_t)m->body % _Alignof(max_align_t), 0);
	if (x->take)
		x->fd = take_fd(&m->fd);
	if (x->echo)
		assert_int_equal(chan_send(x->chan, m->type, m->id, m->body,
				     m->size, m->tail, m->tail_len, -1, e),
		    0);
	if (x->free_in_handler) {
		chan_free(x->chan);
		x->chan = NULL;
		loop_stop(x->loop);
		return 0;
	}
	if (x->refuse)
		return err_set(e, ERR_PROTO, 0, "not like this");
	if (x->n_msgs == x->stop_at)
		loop_stop(x->loop);
	return 0;
}

/* clang-format off */
static const struct chan_rule rules[IPC__COUNT] = {
	[IPC_START]     = { "start",     sizeof(struct ipc_start),   0, CHAN_ONCE, on_msg },
	[IPC_READY]     = { "ready",     sizeof(struct ipc_empty),   0, 0,         on_msg },
	[IPC_INSTALL]   = { "install",   sizeof(struct ipc_install), 0, CHAN_FD,   on_msg },
	[IPC_KEY_REPLY] = { "key-reply", 16, IPC_TAIL_MAX,           0,            on_msg },
};
/* clang-format on */

static void
too_late(void *arg)
{
	(void)arg;
	fail_msg("nothing happened");
}

static void
run(struct end *x)
{
	struct loop_timer *t = loop_timer_new(x->loop, too_late, x, NULL);

	loop_timer_set(t, WAIT_MS);
	assert_int_equal(loop_run(x->loop, NULL), 0);
	loop_timer_free(t);
}

static void
on_tick(void *arg)
{
	loop_stop(arg);
}

/* Everything that is ready now: a timer set to 0 comes after one round. */
static void
run_rounds(struct loop *l, int n)
{
	struct loop_timer *t = loop_timer_new(l, on_tick, l, NULL);

	while (n-- > 0) {
		loop_timer_set(t, 1);
		assert_int_equal(loop_run(l, NULL), 0);
	}
	loop_timer_free(t);
}

static void
start(struct end *x, struct loop *l, int fd)
{
	struct err e;

	*x = (struct end){ .loop = l, .fd = -1, .ordered = true };
	x->chan = chan_new(l, fd, rules, on_closed, x, &e);
	assert_non_null(x->chan);
}

/* One channel, and the bare other end of its pair. */
struct bare {
	struct loop *loop;
	struct end x;
	int fd;
};

static void
bare_start(struct bare *b)
{
	int fds[2];

	b->loop = loop_new(NULL);
	assert_int_equal(chan_pair(fds, NULL), 0);
	start(&b->x, b->loop, fds[0]);
	b->fd = fds[1];
}

static void
bare_end(struct bare *b)
{
	chan_free(b->x.chan);
	close_p(&b->fd);
	close_p(&b->x.fd);
	loop_free(b->loop);
}

static unsigned
count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
send_raw(int fd, const void *p, size_t n, const int *fds, size_t n_fds)
{
	_Alignas(struct cmsghdr) char space[CMSG_SPACE(64 * sizeof(int))];
	struct iovec iov = { (void *)(uintptr_t)p, n };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	memset(space, 0, sizeof(space));
	if (n_fds > 0) {
		struct cmsghdr *c;

		mh.msg_control = space;
		mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &mh, MSG_NOSIGNAL), n);
}

static void
send_frame_raw(int fd, uint32_t type, size_t len, size_t said, const int *fds,
    size_t n_fds)
{
	static unsigned char packet[256 << 10];
	struct wire_head h = { type, 7, (uint32_t)said };

	assert_true(sizeof(h) + len <= sizeof(packet));
	memset(packet, 0, sizeof(packet));
	memcpy(packet, &h, sizeof(h));
	send_raw(fd, packet, sizeof(h) + len, fds, n_fds);
}

static void
test_message(void **state)
{
	struct bare b;
	struct end y;
	struct ipc_empty ready = { 0 };
	unsigned char body[16] = "sixteen bytes..";
	static unsigned char tail[IPC_TAIL_MAX];

	(void)state;
	bare_start(&b);
	start(&y, b.loop, take_fd(&b.fd));
	b.x.stop_at = 1;
	assert_int_equal(chan_send(y.chan, IPC_READY, 41, &ready, sizeof(ready),
			     NULL, 0, -1, NULL),
	    0);
	run(&b.x);
	assert_int_equal(b.x.id, 41);
	assert_int_equal(b.x.size, 4);
	assert_int_equal(b.x.tail_len, 0);

	tail[0] = 0xaa;
	tail[sizeof(tail) - 1] = 0xbb;
	b.x.stop_at = 2;
	b.x.id = 0;
	assert_int_equal(chan_send(y.chan, IPC_KEY_REPLY, 1, body, sizeof(body),
			     tail, sizeof(tail), -1, NULL),
	    0);
	run(&b.x);
	assert_int_equal(b.x.size, 16);
	assert_memory_equal(b.x.body, body, 16);
	assert_int_equal(b.x.tail_len, sizeof(tail));
	assert_int_equal(b.x.tail_first, 0xaa);
	assert_int_equal(b.x.tail_last, 0xbb);
	chan_free(y.chan);
	run(&b.x);
	assert_int_equal(b.x.n_closed, 1);
	assert_int_equal(b.x.why.kind, ERR_NONE);
	bare_end(&b);
}

static void
test_descriptor(void **state)
{
	struct bare b;
	struct end y;
	struct ipc_install in = { .cert = 3 };
	struct stat want, got;
	int null, i;
	unsigned before = 0;

	(void)state;
	bare_start(&b);
	start(&y, b.loop, take_fd(&b.fd));
	null = open("/dev/null", O_RDONLY);
	assert_int_equal(fstat(null, &want), 0);
	b.x.take = true;
	b.x.stop_at = 1;
	assert_int_equal(chan_send(y.chan, IPC_INSTALL, 1, &in, sizeof(in),
			     NULL, 0, null, NULL),
	    0);
	run(&b.x);
	assert_int_equal(fstat(b.x.fd, &got), 0);
	assert_int_equal(got.st_rdev, want.st_rdev);
	assert_int_equal(fcntl(b.x.fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(null, F_GETFD), 0); /* still ours, still open */
	close_p(&b.x.fd);
	b.x.fd = -1;

	/* A handler that does not take it leaks nothing. */
	b.x.take = false;
	for (i = 0; i < 3; i++) {
		b.x.stop_at++;
		assert_int_equal(chan_send(y.chan, IPC_INSTALL, 2, &in,
				     sizeof(in), NULL, 0, null, NULL),
		    0);
		run(&b.x);
		if (i == 0)
			before = count_fds();
	}
	assert_int_equal(count_fds(), before);
	close(null);
	chan_free(y.chan);
	bare_end(&b);
}

/* A packet that must end the channel, with what in the reason. */
static void
hostile(uint32_t type, size_t len, size_t said, size_t n_fds, const char *what)
{
	struct bare b;
	int fds[3];
	unsigned before;
	size_t i;

	bare_start(&b);
	for (i = 0; i < n_fds; i++)
		fds[i] = open("/dev/null", O_RDONLY);
	before = count_fds();
	send_frame_raw(b.fd, type, len, said, fds, n_fds);
	run(&b.x);
	assert_int_equal(b.x.n_closed, 1);
	assert_int_equal(b.x.n_msgs, 0);
	assert_int_equal(b.x.why.kind, ERR_PROTO);
	if (strstr(b.x.why.what, what) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", b.x.why.what, what);
	assert_int_equal(count_fds(), before);
	for (i = 0; i < n_fds; i++)
		close(fds[i]);
	/* Dead, and polite about it. */
	assert_int_equal(
	    chan_send(b.x.chan, IPC_READY, 1, "1234", 4, NULL, 0, -1, NULL),
	    -1);
	bare_end(&b);
}

static void
test_hostile_size(void **state)
{
	(void)state;
	hostile(IPC_READY, 3, 3, 0, "ready: 3 bytes instead of 4 to 4");
	hostile(IPC_READY, 5, 5, 0, "ready: 5 bytes");
	hostile(IPC_READY, 0, 0, 0, "ready: 0 bytes");
	hostile(IPC_READY, 4, 5, 0, "of 4 bytes says it has 5");
	hostile(IPC_READY, 4, 0, 0, "of 4 bytes says it has 0");
	hostile(IPC_READY, 4, UINT32_MAX, 0, "says it has 4294967295");
	hostile(IPC_KEY_REPLY, 15, 15, 0, "key-reply: 15 bytes");
	hostile(IPC_KEY_REPLY, 16 + IPC_TAIL_MAX + 1, 16 + IPC_TAIL_MAX + 1, 0,
	    "key-reply: 102417 bytes");
	hostile(
	    IPC_KEY_REPLY, CHAN_MSG_MAX + 1, CHAN_MSG_MAX + 1, 0, "too large");
}

static void
test_hostile_type(void **state)
{
	(void)state;
	hostile(0, 4, 4, 0, "type 0 is not for us");
	hostile(IPC_JWS, 4, 4, 0, "is not for us");
	hostile(IPC__COUNT, 4, 4, 0, "is not for us");
	hostile(UINT32_MAX, 4, 4, 0, "type 4294967295 is not for us");
}

static void
test_hostile_fds(void **state)
{
	const size_t n = sizeof(struct ipc_install);

	(void)state;
	hostile(IPC_INSTALL, n, n, 0, "install: no descriptor");
	hostile(IPC_INSTALL, n, n, 2, "too many descriptors");
	hostile(IPC_INSTALL, n, n, 3, "too many descriptors");
	hostile(IPC_READY, 4, 4, 1, "ready: unwanted descriptor");
	hostile(IPC_READY, 3, 3, 1, "ready: 3 bytes");
}

/* More than the room for them: the kernel drops some, we close the rest. */
static void
test_hostile_many_fds(void **state)
{
	struct bare b;
	int fds[64];
	unsigned before;
	size_t i;

	(void)state;
	bare_start(&b);
	for (i = 0; i < NELEM(fds); i++)
		fds[i] = b.fd;
	before = count_fds();
	send_frame_raw(b.fd, IPC_READY, 4, 4, fds, NELEM(fds));
	run(&b.x);
	assert_int_equal(b.x.why.kind, ERR_PROTO);
	assert_int_equal(count_fds(), before);
	bare_end(&b);
}

static void
test_hostile_short(void **state)
{
	struct bare b;
	size_t n;

	(void)state;
	for (n = 1; n < sizeof(struct wire_head); n++) {
		bare_start(&b);
		send_raw(b.fd, "\1\0\0\0\0\0\0\0\0\0\0\0", n, NULL, 0);
		run(&b.x);
		assert_int_equal(b.x.why.kind, ERR_PROTO);
		assert_non_null(strstr(b.x.why.what, "message of"));
		bare_end(&b);
	}
	/* Nothing at all but a descriptor. */
	bare_start(&b);
	send_raw(b.fd, "", 0, &b.fd, 1);
	run(&b.x);
	assert_int_equal(b.x.why.kind, ERR_PROTO);
	bare_end(&b);
}

static void
test_hostile_once(void **state)
{
	struct bare b;
	const size_t n = sizeof(struct ipc_start);

	(void)state;
	bare_start(&b);
	send_frame_raw(b.fd, IPC_START, n, n, NULL, 0);
	send_frame_raw(b.fd, IPC_START, n, n, NULL, 0);
	run(&b.x);
	assert_int_equal(b.x.n_msgs, 1);
	assert_int_equal(b.x.why.kind, ERR_PROTO);
	assert_string_equal(b.x.why.what, "start: a second one");
	bare_end(&b);
}

static void
test_check(void **state)
{
	bool seen[IPC__COUNT] = { false };
	struct chan_msg m = { .type = IPC_START, .fd = -1 };
	const size_t n = sizeof(struct ipc_start);
	struct err e;

	(void)state;
	/* A refused one does not count as the one. */
	assert_int_equal(chan_check(rules, seen, &m, n - 1, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_int_equal(chan_check(rules, seen, &m, n, &e), 0);
	assert_int_equal(chan_check(rules, seen, &m, n, &e), -1);
	m.type = IPC_READY;
	assert_int_equal(chan_check(rules, seen, &m, 4, &e), 0);
	assert_int_equal(chan_check(rules, seen, &m, 4, &e), 0);
	assert_int_equal(chan_check(rules, seen, &m, SIZE_MAX, &e), -1);
}

static void
test_text(void **state)
{
	struct {
		char a[4], b[4];
	} t = { { 'a', 'b', 'c', 'd' }, { 'e', 0, 'f', 'g' } };

	(void)state;
	assert_false(CHAN_TEXT_OK(t.a)); /* although t.b has one */
	assert_true(CHAN_TEXT_OK(t.b));
	t.a[3] = '\0';
	assert_true(CHAN_TEXT_OK(t.a));
}

static void
test_handler_refuses(void **state)
{
	struct bare b;

	(void)state;
	bare_start(&b);
	b.x.refuse = true;
	send_frame_raw(b.fd, IPC_READY, 4, 4, NULL, 0);
	send_frame_raw(b.fd, IPC_READY, 4, 4, NULL, 0);
	run(&b.x);
	assert_int_equal(b.x.n_msgs, 1);
	assert_int_equal(b.x.n_closed, 1);
	assert_string_equal(b.x.why.what, "not like this");
	run_rounds(b.loop, 3); /* and nothing comes any more */
	assert_int_equal(b.x.n_msgs, 1);
	assert_int_equal(b.x.n_closed, 1);
	bare_end(&b);
}

static void
test_free_in_handler(void **state)
{
	struct bare b;
	int fd;
	unsigned before;
	const size_t n = sizeof(struct ipc_install);

	(void)state;
	bare_start(&b);
	before = count_fds();
	b.x.free_in_handler = true;
	fd = open("/dev/null", O_RDONLY);
	send_frame_raw(b.fd, IPC_INSTALL, n, n, &fd, 1);
	send_frame_raw(b.fd, IPC_READY, 4, 4, NULL, 0);
	close(fd);
	run(&b.x);
	assert_int_equal(b.x.n_msgs, 1);
	assert_int_equal(b.x.n_closed, 0);
	assert_int_equal(count_fds(), before - 1); /* the channel's own */
	bare_end(&b);
}

static void
test_free_in_closed(void **state)
{
	struct bare b;

	(void)state;
	bare_start(&b);
	b.x.free_in_closed = true;
	send_frame_raw(b.fd, 0, 4, 4, NULL, 0);
	run(&b.x);
	assert_int_equal(b.x.n_closed, 1);
	assert_null(b.x.chan);
	bare_end(&b);
}

/* What was sent before the end arrives before the end, in both queues. */
static void
test_last_words(void **state)
{
	struct bare b;
	struct end y;
	int i;

	(void)state;
	bare_start(&b);
	start(&y, b.loop, take_fd(&b.fd));
	for (i = 0; i < 200; i++) {
		assert_int_equal(chan_send(y.chan, IPC_READY, (uint32_t)i,
				     "abcd", 4, NULL, 0, -1, NULL),
		    0);
		/* Unread by y when it goes: ECONNRESET for x, once. */
		assert_int_equal(chan_send(b.x.chan, IPC_READY, (uint32_t)i,
				     "efgh", 4, NULL, 0, -1, NULL),
		    0);
	}
	chan_free(y.chan);
	run(&b.x);
	assert_int_equal(b.x.n_msgs, 200);
	assert_true(b.x.ordered);
	assert_int_equal(b.x.n_closed, 1);
	assert_int_equal(b.x.why.kind, ERR_NONE);
	bare_end(&b);
}

/* The same when we notice by a send that fails. */
static void
test_send_to_nobody(void **state)
{
	struct bare b;
	struct err e;
	int i;

	(void)state;
	bare_start(&b);
	for (i = 0; i < 100; i++)
		send_frame_raw(b.fd, IPC_READY, 4, 4, NULL, 0);
	close(take_fd(&b.fd));
	assert_int_equal(
	    chan_send(b.x.chan, IPC_READY, 1, "abcd", 4, NULL, 0, -1, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.num, EPIPE);
	assert_int_equal(b.x.n_closed, 0); /* only from the loop */
	run(&b.x);
	assert_int_equal(b.x.n_msgs, 100);
	assert_int_equal(b.x.n_closed, 1);
	assert_int_equal(b.x.why.kind, ERR_NONE);
	bare_end(&b);
}

/* A peer that only stops to read has gone, too. */
static void
test_peer_deaf(void **state)
{
	struct bare b;

	(void)state;
	bare_start(&b);
	assert_int_equal(shutdown(b.fd, SHUT_RD), 0);
	send_frame_raw(b.fd, IPC_READY, 4, 4, NULL, 0);
	assert_int_equal(
	    chan_send(b.x.chan, IPC_READY, 1, "abcd", 4, NULL, 0, -1, NULL),
	    -1);
	run(&b.x);
	assert_int_equal(b.x.n_msgs, 1);
	assert_int_equal(b.x.n_closed, 1);
	bare_end(&b);
}

static void
test_queue_overflow(void **state)
{
	struct bare b;
	struct err e;
	unsigned n = 0;
	char packet[64];

	(void)state;
	bare_start(&b);
	while (
	    chan_send(b.x.chan, IPC_READY, n, "abcd", 4, NULL, 0, -1, &e) == 0)
		assert_true(++n < 100000);
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_non_null(strstr(e.what, "4096 messages are waiting"));
	assert_true(n > CHAN_QUEUE_MAX); /* the socket's own and ours */

	/* It is full, not broken: read some, and there is room again. */
	while (recv(b.fd, packet, sizeof(packet), MSG_DONTWAIT) > 0)
		;
	run_rounds(b.loop, 3);
	assert_int_equal(b.x.n_closed, 0);
	assert_int_equal(
	    chan_send(b.x.chan, IPC_READY, n, "abcd", 4, NULL, 0, -1, &e), 0);
	bare_end(&b);
}

/* Large ones are bounded by their bytes. */
static void
test_queue_bytes(void **state)
{
	static unsigned char big[IPC_TAIL_MAX];
	struct bare b;
	struct err e;
	unsigned n = 0;

	(void)state;
	bare_start(&b);
	while (chan_send(b.x.chan, IPC_KEY_REPLY, n, "0123456789abcdef", 16,
		   big, sizeof(big), -1, &e) == 0)
		n++;
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_in_range(n, 300, 400); /* 32 MiB of 100 KiB each */

	assert_int_equal(chan_send(b.x.chan, IPC_KEY_REPLY, n, big, sizeof(big),
			     big, sizeof(big), -1, &e),
	    -1);
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_non_null(strstr(e.what, "too large"));
	bare_end(&b);
}

/* A queued message holds its own copy of the descriptor, and only so long. */
static void
test_queued_fds(void **state)
{
	static unsigned char big[IPC_TAIL_MAX];
	struct bare b;
	struct ipc_install in = { 0 };
	int null = open("/dev/null", O_RDONLY), i;
	unsigned start_fds = count_fds(), before;

	(void)state;
	bare_start(&b);
	for (i = 0; i < 50; i++)
		assert_int_equal(chan_send(b.x.chan, IPC_KEY_REPLY, 0, big, 16,
				     big, sizeof(big), -1, NULL),
		    0);
	before = count_fds();
	for (i = 0; i < 10; i++)
		assert_int_equal(chan_send(b.x.chan, IPC_INSTALL, 1, &in,
				     sizeof(in), NULL, 0, null, NULL),
		    0);
	assert_int_equal(count_fds(), before + 10);
	bare_end(&b);
	assert_int_equal(count_fds(), start_fds);
	close(null);
}

static void
test_many_both_ways(void **state)
{
	struct bare b;
	struct end y;
	uint32_t sent = 0;
	struct err e;

	(void)state;
	bare_start(&b);
	start(&y, b.loop, take_fd(&b.fd));
	y.echo = true;
	while (b.x.n_msgs < 10000) {
		while (sent < 10000 && sent - b.x.n_msgs < 2000) {
			assert_int_equal(
			    chan_send(b.x.chan, IPC_READY, sent, &sent,
				sizeof(sent), NULL, 0, -1, &e),
			    0);
			sent++;
		}
		b.x.stop_at = b.x.n_msgs + 500;
		if (b.x.stop_at > 10000)
			b.x.stop_at = 10000;
		run(&b.x);
	}
	assert_true(b.x.ordered);
	assert_true(y.ordered);
	assert_int_equal(y.n_msgs, 10000);
	assert_int_equal(b.x.id, 9999);
	assert_int_equal(b.x.n_closed + y.n_closed, 0);
	chan_free(y.chan);
	bare_end(&b);
}

/* A peer that never stops does not keep the loop from other work. */
static void
test_burst_is_bounded(void **state)
{
	struct bare b;
	uint64_t before;
	int i;

	(void)state;
	bare_start(&b);
	for (i = 0; i < 200; i++)
		send_frame_raw(b.fd, IPC_READY, 4, 4, NULL, 0);
	before = loop_wakeups(b.loop);
	b.x.stop_at = 200;
	run(&b.x);
	assert_true(loop_wakeups(b.loop) - before >= 3);
	bare_end(&b);
}

static void
test_wrong_socket(void **state)
{
	struct loop *l = loop_new(NULL);
	struct end x = { 0 };
	struct err e;
	int fds[2];
	unsigned before = count_fds();

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_null(chan_new(l, fds[0], rules, on_closed, &x, &e));
	assert_int_equal(e.kind, ERR_PROTO);
	close(fds[1]);
	assert_int_equal(count_fds(), before); /* it owned the other */
	assert_null(
	    chan_new(l, open("/dev/null", O_RDONLY), rules, on_closed, &x, &e));
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.num, ENOTSOCK);
	loop_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_descriptor),
		cmocka_unit_test(test_hostile_size),
		cmocka_unit_test(test_hostile_type),
		cmocka_unit_test(test_hostile_fds),
		cmocka_unit_test(test_hostile_many_fds),
		cmocka_unit_test(test_hostile_short),
		cmocka_unit_test(test_hostile_once),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_handler_refuses),
		cmocka_unit_test(test_free_in_handler),
		cmocka_unit_test(test_free_in_closed),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_send_to_nobody),
		cmocka_unit_test(test_peer_deaf),
		cmocka_unit_test(test_queue_overflow),
		cmocka_unit_test(test_queue_bytes),
		cmocka_unit_test(test_queued_fds),
		cmocka_unit_test(test_many_both_ways),
		cmocka_unit_test(test_burst_is_bounded),
		cmocka_unit_test(test_wrong_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
