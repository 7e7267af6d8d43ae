/* SPDX-License-Identifier: ISC */
/*
 * Messages over a SOCK_SEQPACKET socket pair: the kernel keeps the frames, so
 * there is no reassembly to get wrong.  Each carries a type, an id that its
 * answer repeats, a body, and at most one descriptor.
 *
 * What a message may look like is a table; a message that does not fit its row
 * never reaches a handler.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/io/loop.h"
#include "lib/ipc/ipc.h"

#define CHAN_MSG_MAX   (112u << 10)
#define CHAN_QUEUE_MAX 4096 /* messages waiting to be sent */

struct chan;

struct chan_msg {
	uint32_t type, id;
	const void *body; /* of size bytes exactly; aligned for any struct */
	size_t size;
	const void *tail; /* behind the body */
	size_t tail_len;
	int fd; /* -1: none; the receiver of the message owns it: take_fd() */
};

#define CHAN_ONCE 0x1u /* a second one means the peer has lost its mind */
#define CHAN_FD   0x2u /* carries exactly one descriptor; others none */

/* One row of what this end accepts. */
struct chan_rule {
	const char *name; /* NULL: not accepted */
	size_t size;
	size_t tail_max;
	unsigned flags;
	/* -1 with ERR_PROTO: the peer broke the rules; other errors too are
	 * given to closed(). */
	int (*handle)(void *arg, struct chan_msg *, struct err *);
};

/* The peer has gone (err->kind ERR_NONE) or must go (why is in err).  The
 * channel is dead but not freed.  Called once, from the loop. */
typedef void chan_closed(void *arg, const struct err *);

/*
 * Owns fd (a SOCK_SEQPACKET end) from here on, also when it fails.  rules is
 * indexed by type, has IPC__COUNT rows and outlives the channel.
 */
struct chan *chan_new(struct loop *, int fd, const struct chan_rule *rules,
    chan_closed *, void *arg, struct err *);
void chan_free(struct chan *); /* NULL is fine; from any callback */
DEFINE_AUTO(struct chan, chan_free)

/*
 * Queue a message; a copy is taken, fd is duplicated.  -1: too large, too many
 * waiting, or the channel is dead.
 */
int chan_send(struct chan *, uint32_t type, uint32_t id, const void *body,
    size_t size, const void *tail, size_t tail_len, int fd, struct err *);

/* Check one received message against rules: what chan does before handle().
 * Public for the fuzzer and the hostile tests. */
int chan_check(const struct chan_rule *rules, bool *seen,
    const struct chan_msg *, size_t body_and_tail, struct err *);

/* A connected pair, close-on-exec, both non-blocking. */
int chan_pair(int fds[2], struct err *);

/* Whether a text array holds its NUL. */
bool chan_text_ok(const char *, size_t size);
#define CHAN_TEXT_OK(array) chan_text_ok(array, sizeof(array))
