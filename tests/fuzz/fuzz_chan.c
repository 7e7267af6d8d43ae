/* SPDX-License-Identifier: ISC */
/*
 * Arbitrary bytes as the packets of a peer: a byte of flags (1: a descriptor
 * comes along), two of length, then that many bytes, and so on.  Whatever
 * passes decode() must be what its rule promises to a handler.
 */

#include "lib/ipc/chan.c"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* clang-format off */
static const struct chan_rule fuzz_rules[IPC__COUNT] = {
	[IPC_START]     = { "start",     sizeof(struct ipc_start),     0,            CHAN_ONCE, NULL },
	[IPC_READY]     = { "ready",     sizeof(struct ipc_empty),     0,            CHAN_ONCE, NULL },
	[IPC_INSTALL]   = { "install",   sizeof(struct ipc_install),   0,            CHAN_FD,   NULL },
	[IPC_HOOK]      = { "hook",      sizeof(struct ipc_hook),      0,            0,         NULL },
	[IPC_STATUS]    = { "status",    sizeof(struct ipc_status),    0,            0,         NULL },
	[IPC_FORGET]    = { "forget",    sizeof(struct ipc_forget),    0,            0,         NULL },
	[IPC_HOOKED]    = { "hooked",    sizeof(struct ipc_hooked),    0,            0,         NULL },
	[IPC_KEY_NEW]   = { "key-new",   sizeof(struct ipc_key_new),   0,            0,         NULL },
	[IPC_JWS]       = { "jws",       sizeof(struct ipc_jws),       IPC_TAIL_MAX, 0,         NULL },
	[IPC_CSR]       = { "csr",       sizeof(struct ipc_csr),       0,            0,         NULL },
	[IPC_KEY_REPLY] = { "key-reply", sizeof(struct ipc_key_reply), IPC_TAIL_MAX, 0,         NULL },
};
/* clang-format on */

static void
must(bool ok)
{
	if (!ok)
		abort();
}

/* One packet, in memory that ends where the packet does. */
static void
feed(struct chan *ch, const uint8_t *packet, size_t n, bool with_fd)
{
	struct chan_msg m = { .fd = with_fd ? 0 : -1 };
	struct head h = { 0 };
	struct err e = { 0 };
	const struct chan_rule *r;
	size_t head = n < sizeof(h) ? n : sizeof(h);
	AUTO(free) uint8_t *data = malloc(n - head + 1);
	bool seen;

	if (data == NULL)
		return;
	memcpy(&h, packet, head);
	memcpy(data, packet + head, n - head);
	seen = h.type < IPC__COUNT && ch->seen[h.type];
	if (decode(&m, &h, n, data, ch, &e) == -1) {
		must(e.kind == ERR_PROTO && e.what[0] != '\0');
		return;
	}
	r = &fuzz_rules[m.type];
	must(r->name != NULL && m.size == r->size && m.id == h.id);
	must(m.tail_len <= r->tail_max && m.size + m.tail_len == n - head);
	must(m.body == data && m.tail == data + m.size);
	must(((r->flags & CHAN_FD) != 0) == with_fd);
	must((r->flags & CHAN_ONCE) == 0 || !seen);
	(void)chan_text_ok(m.body, m.size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t size)
{
	struct chan ch = { .rules = fuzz_rules };
	size_t n;

	while (size >= 3) {
		n = in[1] | (size_t)in[2] << 8;
		if (n > size - 3)
			n = size - 3;
		feed(&ch, in + 3, n, (in[0] & 1) != 0);
		in += 3 + n;
		size -= 3 + n;
	}
	return 0;
}
