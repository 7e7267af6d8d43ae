/* SPDX-License-Identifier: ISC */
/*
 * Owns the framing: one message is one packet, and what does not fit its row
 * of the table never gets further than decode().  Knows nothing of what the
 * messages mean, and keeps no message longer than its handler runs.
 */

#include "lib/ipc/chan.h"

#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Messages handled in one wakeup: other work of the loop must get its turn. */
#define BURST 64

#define SEND_BUFFER     (1 << 20)
#define QUEUE_BYTES_MAX ((size_t)32 << 20)
#define RETRY_MS        50 /* when the kernel has no memory for a packet */
#define FDS_MAX         8  /* room for those that we refuse */

struct head {
	uint32_t type, id;
	uint32_t len; /* of body and tail */
};

struct frame {
	struct head head;
	const void *body, *tail;
	size_t size, tail_len;
	int fd;
};

struct queued {
	STAILQ_ENTRY(queued) next;
	struct frame frame; /* its body points at data and it owns its fd */
	unsigned char data[];
};

struct chan {
	int fd;
	bool dead;   /* closed() was called */
	bool mute;   /* nobody reads what we send; there may be more to read */
	bool *freed; /* tells the function that runs a callback */
	struct loop_fd *watch;
	struct loop_timer *soon;
	const struct chan_rule *rules;
	chan_closed *closed;
	void *arg;
	size_t n_queued, queued_bytes;
	STAILQ_HEAD(, queued) queue;
	bool seen[IPC__COUNT];
};

bool
chan_text_ok(const char *s, size_t size)
{
	return memchr(s, '\0', size) != NULL;
}

int
chan_pair(int fds[2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		0, fds) == -1)
		return err_set(e, ERR_SYS, errno, "socketpair");
	return 0;
}

int
chan_check(const struct chan_rule *rules, bool *seen, const struct chan_msg *m,
    size_t body_and_tail, struct err *e)
{
	const struct chan_rule *r;

	if (m->type >= IPC__COUNT || rules[m->type].name == NULL)
		return err_set(
		    e, ERR_PROTO, 0, "message type %u is not for us", m->type);
	r = &rules[m->type];
	if (body_and_tail < r->size || body_and_tail - r->size > r->tail_max)
		return err_set(e, ERR_PROTO, 0,
		    "%s: %zu bytes instead of %zu to %zu", r->name,
		    body_and_tail, r->size, r->size + r->tail_max);
	if ((r->flags & CHAN_FD) != 0 && m->fd == -1)
		return err_set(e, ERR_PROTO, 0, "%s: no descriptor", r->name);
	if ((r->flags & CHAN_FD) == 0 && m->fd != -1)
		return err_set(
		    e, ERR_PROTO, 0, "%s: unwanted descriptor", r->name);
	if ((r->flags & CHAN_ONCE) != 0 && seen[m->type])
		return err_set(e, ERR_PROTO, 0, "%s: a second one", r->name);
	seen[m->type] = true;
	return 0;
}

/*
 * The n bytes of one packet as a message that is checked against its rule.
 * data is what came behind the head.
 */
static int
decode(struct chan_msg *m, const struct head *h, size_t n, const void *data,
    struct chan *ch, struct err *e)
{
	size_t len;

	if (n < sizeof(*h))
		return err_set(e, ERR_PROTO, 0, "message of %zu bytes", n);
	len = n - sizeof(*h);
	if (h->len != len)
		return err_set(e, ERR_PROTO, 0,
		    "message of %zu bytes says it has %u", len, h->len);
	m->type = h->type;
	m->id = h->id;
	if (chan_check(ch->rules, ch->seen, m, len, e) == -1)
		return -1;
	m->body = data;
	m->size = ch->rules[m->type].size;
	m->tail = (const unsigned char *)data + m->size;
	m->tail_len = len - m->size;
	return 0;
}

static int
send_frame(int fd, const struct frame *f)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov[] = {
		{ (void *)(uintptr_t)&f->head, sizeof(f->head) },
		{ (void *)(uintptr_t)f->body, f->size },
		{ (void *)(uintptr_t)f->tail, f->tail_len },
	};
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = NELEM(iov) };
	struct cmsghdr *c;
	ssize_t n;

	if (f->fd != -1) {
		mh.msg_control = control.space;
		mh.msg_controllen = sizeof(control.space);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &f->fd, sizeof(int));
	}
	do
		n = sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	return n == -1 ? -1 : 0;
}

static bool
want_later(int num)
{
	return num == EAGAIN || num == ENOBUFS || num == ENOMEM ||
	       num == ETOOMANYREFS;
}

static bool
peer_left(int num)
{
	return num == EPIPE || num == ECONNRESET || num == ENOTCONN;
}

static void
drop_first(struct chan *ch)
{
	struct queued *q = STAILQ_FIRST(&ch->queue);

	STAILQ_REMOVE_HEAD(&ch->queue, next);
	ch->n_queued--;
	ch->queued_bytes -= q->frame.size;
	if (q->frame.fd != -1)
		(void)close(q->frame.fd);
	free(q);
}

static void
drop_all(struct chan *ch)
{
	while (!STAILQ_EMPTY(&ch->queue))
		drop_first(ch);
}

/* The last thing that happens to a channel; it may be freed afterwards. */
static void
die(struct chan *ch, const struct err *e)
{
	ch->dead = true;
	loop_fd_free(take_ptr(ch->watch));
	loop_timer_stop(ch->soon);
	drop_all(ch);
	ch->closed(ch->arg, e);
}

/* What the peer sent before it left is still read, in receive(). */
static void
become_mute(struct chan *ch)
{
	ch->mute = true;
	drop_all(ch);
	loop_timer_set(ch->soon, 0);
}

/* Watch for room in the socket, which is no help when memory is short. */
static int
wait_for_room(struct chan *ch, int why)
{
	if (why != EAGAIN) {
		loop_timer_set(ch->soon, RETRY_MS);
		return loop_fd_want(ch->watch, LOOP_READ);
	}
	return loop_fd_want(ch->watch, LOOP_READ | LOOP_WRITE);
}

/* -1: the channel has died, and may be gone. */
static int
flush(struct chan *ch)
{
	struct err e = { 0 };
	int num = 0;

	while (!STAILQ_EMPTY(&ch->queue)) {
		if (send_frame(ch->fd, &STAILQ_FIRST(&ch->queue)->frame) ==
		    -1) {
			num = errno;
			break;
		}
		drop_first(ch);
	}
	if (peer_left(num)) {
		become_mute(ch);
		num = 0;
	}
	if (num == 0 && loop_fd_want(ch->watch, LOOP_READ) == 0)
		return 0;
	if (want_later(num) && wait_for_room(ch, num) == 0)
		return 0;
	(void)err_set(&e, ERR_SYS, num != 0 ? num : ENOMEM, "send");
	die(ch, &e);
	return -1;
}

/* Every descriptor of a packet, and whether it may come with a message. */
static int
take_fds(struct msghdr *mh, int *fd, struct err *e)
{
	struct cmsghdr *c;
	size_t i, n, count = 0;
	int got;

	for (c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(
			    &got, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (count++ == 0)
				*fd = got;
			else
				(void)close(got);
		}
	}
	if (count > 1 || (mh->msg_flags & MSG_CTRUNC) != 0)
		return err_set(
		    e, ERR_PROTO, 0, "too many descriptors in a message");
	if ((mh->msg_flags & MSG_TRUNC) != 0)
		return err_set(e, ERR_PROTO, 0, "message is too large");
	return 0;
}

enum got { GOT_MESSAGE, GOT_NOTHING, GOT_END, GOT_ERROR };

/*
 * One packet.  The body lies in a buffer that all channels share: handlers do
 * not nest, and there is one thread a loop.
 */
static enum got
receive(struct chan *ch, struct chan_msg *m, struct err *e)
{
	static _Alignas(max_align_t) unsigned char data[CHAN_MSG_MAX];
	struct head h = { 0 };
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov[] = { { &h, sizeof(h) }, { data, sizeof(data) } };
	struct msghdr mh = { .msg_iov = iov,
		.msg_iovlen = NELEM(iov),
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	ssize_t n;

	/* A peer that left with our messages unread is reported once as
	 * ECONNRESET, before what it still had to say. */
	do
		n = recvmsg(ch->fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n == -1 && (errno == EINTR || errno == ECONNRESET));
	if (n == -1 && errno == EAGAIN)
		return ch->mute ? GOT_END : GOT_NOTHING;
	if (n == -1) {
		(void)err_set(e, ERR_SYS, errno, "receive");
		return GOT_ERROR;
	}
	if (take_fds(&mh, &m->fd, e) == -1)
		return GOT_ERROR;
	if (n == 0 && m->fd == -1)
		return GOT_END;
	if (decode(m, &h, (size_t)n, data, ch, e) == -1)
		return GOT_ERROR;
	return GOT_MESSAGE;
}

/* -1: the channel has died, and may be gone. */
static int
receive_one(struct chan *ch)
{
	struct err e = { 0 };
	struct chan_msg m = { .fd = -1 };
	enum got got = receive(ch, &m, &e);
	AUTO(close) int fd = -1;
	bool freed = false;
	int rc = 0;

	if (got == GOT_NOTHING)
		return 1;
	if (got == GOT_MESSAGE) {
		ch->freed = &freed;
		rc = ch->rules[m.type].handle(ch->arg, &m, &e);
	}
	fd = m.fd; /* nobody took it */
	if (freed)
		return -1;
	ch->freed = NULL;
	if (got == GOT_MESSAGE && rc == 0)
		return 0;
	die(ch, &e);
	return -1;
}

static void
receive_burst(struct chan *ch)
{
	int i;

	for (i = 0; i < BURST; i++)
		if (receive_one(ch) != 0)
			return;
	/* Without a peer there is no event that brings us back. */
	if (ch->mute)
		loop_timer_set(ch->soon, 0);
}

static void
on_io(void *arg, int fd, unsigned what)
{
	struct chan *ch = arg;

	(void)fd;
	if ((what & LOOP_WRITE) != 0 && flush(ch) == -1)
		return;
	if ((what & LOOP_READ) != 0)
		receive_burst(ch);
}

static void
on_soon(void *arg)
{
	struct chan *ch = arg;

	if (ch->mute)
		receive_burst(ch);
	else
		(void)flush(ch);
}

static int
check_socket(int fd, struct err *e)
{
	socklen_t len = sizeof(int);
	int type = 0, size = SEND_BUFFER;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == -1)
		return err_set(
		    e, ERR_SYS, errno, "channel on descriptor %d", fd);
	if (type != SOCK_SEQPACKET)
		return err_set(e, ERR_PROTO, 0,
		    "channel on descriptor %d: wrong type of socket", fd);
	/* Less than asked for only means that we queue earlier. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

struct chan *
chan_new(struct loop *l, int fd_, const struct chan_rule *rules,
    chan_closed *closed, void *arg, struct err *e)
{
	AUTO(close) int fd = fd_;
	AUTO(chan_free) struct chan *ch = NULL;

	if (check_socket(fd, e) == -1)
		return NULL;
	ch = calloc(1, sizeof(*ch));
	if (ch == NULL) {
		(void)err_nomem(e, "channel");
		return NULL;
	}
	ch->fd = take_fd(&fd);
	ch->rules = rules;
	ch->closed = closed;
	ch->arg = arg;
	STAILQ_INIT(&ch->queue);
	ch->soon = loop_timer_new(l, on_soon, ch, e);
	if (ch->soon == NULL)
		return NULL;
	ch->watch = loop_fd_new(l, ch->fd, LOOP_READ, on_io, ch, e);
	if (ch->watch == NULL)
		return NULL;
	return take_ptr(ch);
}

void
chan_free(struct chan *ch)
{
	if (ch == NULL)
		return;
	if (ch->freed != NULL)
		*ch->freed = true;
	/* What fits now is delivered even though we leave. */
	while (!STAILQ_EMPTY(&ch->queue) &&
	       send_frame(ch->fd, &STAILQ_FIRST(&ch->queue)->frame) == 0)
		drop_first(ch);
	drop_all(ch);
	loop_fd_free(ch->watch);
	loop_timer_free(ch->soon);
	(void)close(ch->fd);
	free(ch);
}

static int
enqueue(struct chan *ch, const struct frame *f, struct err *e)
{
	size_t len = f->size + f->tail_len;
	AUTO(free) struct queued *q = NULL;

	if (ch->n_queued >= CHAN_QUEUE_MAX ||
	    ch->queued_bytes + len > QUEUE_BYTES_MAX)
		return err_set(e, ERR_LIMIT, 0,
		    "send: %zu messages are waiting already", ch->n_queued);
	q = malloc(sizeof(*q) + len);
	if (q == NULL)
		return err_nomem(e, "send");
	q->frame = (struct frame){
		.head = f->head, .body = q->data, .size = len, .fd = -1
	};
	if (f->size > 0)
		memcpy(q->data, f->body, f->size);
	if (f->tail_len > 0)
		memcpy(q->data + f->size, f->tail, f->tail_len);
	if (f->fd != -1) {
		q->frame.fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 3);
		if (q->frame.fd == -1)
			return err_set(
			    e, ERR_SYS, errno, "send: copy descriptor");
	}
	ch->n_queued++;
	ch->queued_bytes += len;
	STAILQ_INSERT_TAIL(&ch->queue, q, next);
	(void)take_ptr(q);
	return 0;
}

/* Send at once when nothing waits; errno otherwise, EAGAIN for "queue it". */
static int
send_now(struct chan *ch, const struct frame *f)
{
	if (!STAILQ_EMPTY(&ch->queue))
		return EAGAIN;
	return send_frame(ch->fd, f) == 0 ? 0 : errno;
}

int
chan_send(struct chan *ch, uint32_t type, uint32_t id, const void *body,
    size_t size, const void *tail, size_t tail_len, int fd, struct err *e)
{
	struct frame f = { .body = body,
		.tail = tail,
		.size = size,
		.tail_len = tail_len,
		.fd = fd };
	bool first = STAILQ_EMPTY(&ch->queue);
	int num;

	assert(type < IPC__COUNT);
	if (ch->dead || ch->mute)
		return err_set(e, ERR_SYS, EPIPE, "send");
	if (size > CHAN_MSG_MAX || tail_len > CHAN_MSG_MAX - size)
		return err_set(e, ERR_LIMIT, 0,
		    "send: message of %zu + %zu bytes is too large", size,
		    tail_len);
	f.head = (struct head){ type, id, (uint32_t)(size + tail_len) };
	num = send_now(ch, &f);
	if (num == 0)
		return 0;
	if (peer_left(num))
		become_mute(ch);
	if (!want_later(num))
		return err_set(e, ERR_SYS, num, "send");
	if (enqueue(ch, &f, e) == -1)
		return -1;
	if (first && wait_for_room(ch, num) == -1) {
		drop_all(ch);
		return err_nomem(e, "send");
	}
	return 0;
}
