/* SPDX-License-Identifier: ISC */
/*
 * CAA look-ups: c-ares on the loop.  Each has a channel of its own: nothing is
 * shared that would have to be cancelled in parts, the source port is new, and
 * /etc/resolv.conf is read as it is by then.
 *
 * c-ares calls back from inside its functions, where it must not be destroyed.
 * So its callback only notes what came; go_on() acts when c-ares has returned.
 */
#include "lib/io/dns.h"

/* 1.34 has other functions for what 1.18 has these for only. */
#define CARES_NO_DEPRECATED
#include <ares.h>
#include <arpa/nameser.h>
#include <assert.h>
#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/pool.h"

#define TYPE_CAA   257
#define UDP_MAX    1232 /* what passes every path in one piece */
#define POOL_MAX   (1u << 18)
#define SERVER_MAX 64

/* 1 is no flag of RFC 8659, but meant as one so often that CAs take it so. */
#define CRITICAL (128 | 1)

enum state {
	WAITING, /* for an answer, or not asked yet */
	NONE,    /* here: a parent is next */
	OVER,
};

struct watch {
	LIST_ENTRY(watch) link;
	struct loop_fd *handle;
	ares_socket_t fd;
};

struct dns_op {
	LIST_ENTRY(dns_op) link;
	struct dns *dns;
	ares_channel channel;
	struct loop_timer *timer;
	LIST_HEAD(, watch) watches;
	struct pool *pool;
	dns_caa_done *done;
	void *arg;
	int64_t deadline_ms;
	enum state state;
	bool wildcard;
	bool reported;  /* done runs: this is over for everybody else */
	const char *at; /* in name; the level that is asked for */
	char name[STR_IDENT_MAX];
	struct caa caa;
	struct err error; /* when its kind is set */
};

struct dns {
	struct loop *loop;
	struct buf servers; /* comma-separated; empty: the system's */
	LIST_HEAD(, dns_op) ops;
};

static void go_on(struct dns_op *);

static void
on_fd(void *arg, int fd, unsigned what)
{
	struct dns_op *op = arg;

	ares_process_fd(op->channel, what & LOOP_READ ? fd : ARES_SOCKET_BAD,
	    what & LOOP_WRITE ? fd : ARES_SOCKET_BAD);
	go_on(op);
}

static void
unwatch(struct watch *w)
{
	LIST_REMOVE(w, link);
	loop_fd_free(w->handle);
	free(w);
}

static struct watch *
watch_new(struct dns_op *op, ares_socket_t fd)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->fd = fd;
	w->handle = loop_fd_new(op->dns->loop, fd, 0, on_fd, op, NULL);
	if (w->handle == NULL) {
		free(w);
		return NULL;
	}
	LIST_INSERT_HEAD(&op->watches, w, link);
	return w;
}

/* A socket that cannot be watched ends in a time-out. */
static void
watch_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns_op *op = arg;
	struct watch *w;

	LIST_FOREACH (w, &op->watches, link)
		if (w->fd == fd)
			break;
	if (readable == 0 && writable == 0) {
		if (w != NULL)
			unwatch(w);
		return;
	}
	if (w == NULL)
		w = watch_new(op, fd);
	if (w != NULL)
		(void)loop_fd_want(w->handle,
		    (readable ? LOOP_READ : 0) | (writable ? LOOP_WRITE : 0));
}

/* op may be NULL, to see whether it works. */
static int
open_channel(
    const struct dns *d, struct dns_op *op, ares_channel *out, struct err *e)
{
	char bind_only[] = "b"; /* no /etc/hosts */
	struct ares_options o = {
		.flags = ARES_FLAG_EDNS,
		.ednspsz = UDP_MAX,
		.timeout = DNS_TRY_MS,
		.tries = DNS_TRIES,
		.lookups = bind_only,
		.sock_state_cb = watch_socket,
		.sock_state_cb_data = op,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS |
		   ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
	int r = ares_init_options(out, &o, mask);

	if (r == ARES_SUCCESS && d->servers.len > 0) {
		r = ares_set_servers_ports_csv(*out, buf_str(&d->servers));
		if (r != ARES_SUCCESS)
			ares_destroy(*out);
	}
	if (r == ARES_SUCCESS)
		return 0;
	*out = NULL;
	return err_set(e, r == ARES_ENOMEM ? ERR_NOMEM : ERR_CONFIG, 0,
	    "name servers %s: %s",
	    d->servers.len > 0 ? buf_str(&d->servers) : "of the system",
	    ares_strerror(r));
}

static int
init(struct dns *d, const char *const *servers, uint32_t n, struct err *e)
{
	ares_channel channel;
	uint32_t i;

	for (i = 0; i < n; i++)
		buf_printf(&d->servers, "%s%s", i > 0 ? "," : "", servers[i]);
	if (!buf_ok(&d->servers))
		return err_nomem(e, "name servers");
	if (open_channel(d, NULL, &channel, e) == -1)
		return -1;
	ares_destroy(channel);
	return 0;
}

struct dns *
dns_new(struct loop *l, const char *const *servers, uint32_t n, struct err *e)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct dns *d;

	assert(n <= DNS_SERVERS_MAX);
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
		(void)err_nomem(e, "resolver");
		return NULL;
	}
	d = calloc(1, sizeof(*d));
	if (d == NULL) {
		ares_library_cleanup();
		(void)err_nomem(e, "resolver");
		return NULL;
	}
	d->loop = l;
	d->servers = BUF_INIT(DNS_SERVERS_MAX * SERVER_MAX);
	LIST_INIT(&d->ops);
	if (init(d, servers, n, e) == -1) {
		dns_free(d);
		return NULL;
	}
	/* Some c-ares write(2) to TCP servers that have gone. */
	(void)sigaction(SIGPIPE, &ignore, NULL);
	return d;
}

/* c-ares tells of what is under way, and of its sockets, on the way out. */
static void
close_channel(struct dns_op *op)
{
	if (op->channel != NULL)
		ares_destroy(op->channel);
	op->channel = NULL;
	while (!LIST_EMPTY(&op->watches))
		unwatch(LIST_FIRST(&op->watches));
}

static void
op_free(struct dns_op *op)
{
	close_channel(op);
	loop_timer_free(op->timer);
	pool_free(op->pool);
	free(op);
}

void
dns_cancel(struct dns_op *op)
{
	if (op == NULL || op->reported)
		return;
	LIST_REMOVE(op, link);
	op_free(op);
}

void
dns_free(struct dns *d)
{
	if (d == NULL)
		return;
	while (!LIST_EMPTY(&d->ops))
		dns_cancel(LIST_FIRST(&d->ops));
	buf_done(&d->servers);
	free(d);
	ares_library_cleanup();
}

static void
fail(struct dns_op *op, int status)
{
	op->state = OVER;
	if (status == ARES_ENOMEM)
		(void)err_nomem(&op->error, "CAA records");
	else
		(void)err_set(&op->error, ERR_NET, 0, "CAA records of %s: %s",
		    op->at, ares_strerror(status));
}

static bool
has_tag(const struct ares_caa_reply *r, const char *tag)
{
	return r->plength == strlen(tag) &&
	       strncasecmp((const char *)r->property, tag, r->plength) == 0;
}

/* len bytes, or their beginning, fit for people; NULL: no memory. */
static char *
keep_text(struct pool *pool, const unsigned char *s, size_t len)
{
	char *copy;
	size_t i;

	if (len > DNS_VALUE_MAX)
		len = DNS_VALUE_MAX;
	copy = pool_alloc(pool, len + 1);
	if (copy == NULL)
		return NULL;
	for (i = 0; i < len; i++)
		copy[i] = s[i] != '\0' ? (char)s[i] : '?';
	str_clean(copy);
	return copy;
}

static bool
is_space(unsigned char c)
{
	return c == ' ' || c == '\t';
}

/* RFC 8659 4.2: the name in front of the parameters, between white space. */
static char *
keep_issuer(struct pool *pool, const unsigned char *s, size_t len)
{
	const unsigned char *end = memchr(s, ';', len);
	char *issuer;
	size_t i;

	if (end != NULL)
		len = (size_t)(end - s);
	for (; len > 0 && is_space(*s); len--)
		s++;
	while (len > 0 && is_space(s[len - 1]))
		len--;
	issuer = keep_text(pool, s, len);
	for (i = 0; issuer != NULL && issuer[i] != '\0'; i++)
		issuer[i] = (char)tolower((unsigned char)issuer[i]);
	return issuer;
}

/* The records that are called tag, into op->caa.  0 or -1: no memory. */
static int
keep_issuers(struct dns_op *op, const struct ares_caa_reply *r, const char *tag)
{
	const char **issuers;
	size_t n = 0;

	issuers = pool_alloc(op->pool, DNS_CAA_MAX * sizeof(*issuers));
	if (issuers == NULL)
		return -1;
	for (; r != NULL; r = r->next) {
		if (!has_tag(r, tag))
			continue;
		issuers[n] = keep_issuer(op->pool, r->value, r->length);
		if (issuers[n] == NULL)
			return -1;
		n++;
	}
	op->caa.issuers = issuers;
	op->caa.n = n;
	return 0;
}

static bool
is_known(const struct ares_caa_reply *r)
{
	static const char *const tags[] = { "issue", "issuewild", "iodef",
		"issuemail" };
	size_t i;

	for (i = 0; i < NELEM(tags); i++)
		if (has_tag(r, tags[i]))
			return true;
	return false;
}

static int
keep_records(
    struct dns_op *op, const struct ares_caa_reply *list, struct err *e)
{
	const struct ares_caa_reply *r;
	size_t n = 0;

	for (r = list; r != NULL; r = r->next) {
		if (++n > DNS_CAA_MAX)
			return err_set(e, ERR_LIMIT, 0,
			    "more than %d CAA records at %s", DNS_CAA_MAX,
			    op->at);
		if ((r->critical & CRITICAL) != 0 && !is_known(r))
			op->caa.unknown_critical = true;
	}
	op->caa.found = true;
	memcpy(op->caa.at, op->at, strlen(op->at) + 1);
	if (op->wildcard && keep_issuers(op, list, "issuewild") == -1)
		return err_nomem(e, "CAA records");
	if (op->caa.n == 0 && keep_issuers(op, list, "issue") == -1)
		return err_nomem(e, "CAA records");
	return 0;
}

static void
read_reply(struct dns_op *op, const unsigned char *reply, int len)
{
	struct ares_caa_reply *list = NULL;
	int status = ares_parse_caa_reply(reply, len, &list);

	if (status != ARES_SUCCESS && status != ARES_ENODATA)
		fail(op, status);
	else if (list == NULL) /* an alias of a name without any */
		op->state = NONE;
	else {
		op->state = OVER;
		(void)keep_records(op, list, &op->error);
	}
	if (list != NULL)
		ares_free_data(list);
}

static void
on_reply(void *arg, int status, int timeouts, unsigned char *reply, int len)
{
	struct dns_op *op = arg;

	(void)timeouts;
	if (status == ARES_SUCCESS)
		read_reply(op, reply, len);
	else if (status == ARES_ENODATA || status == ARES_ENOTFOUND)
		op->state = NONE;
	else
		fail(op, status);
}

static void
ask(struct dns_op *op)
{
	op->state = WAITING;
	ares_query(op->channel, op->at, ns_c_in, TYPE_CAA, on_reply, op);
}

static void
climb(struct dns_op *op)
{
	const char *dot = strchr(op->at, '.');

	if (dot == NULL) {
		op->state = OVER;
		return;
	}
	op->at = dot + 1;
	ask(op);
}

/* Run again when c-ares or the whole time wants it; at once when it is over. */
static void
arm(struct dns_op *op)
{
	int64_t left = op->deadline_ms - clock_mono_ms(), ms;
	struct timeval tv;

	if (op->state != WAITING)
		left = 0;
	else if (ares_timeout(op->channel, NULL, &tv) != NULL) {
		ms = (int64_t)tv.tv_sec * 1000 + (tv.tv_usec + 999) / 1000;
		left = ms < left ? ms : left;
	}
	loop_timer_set(op->timer, left);
}

static void
report(struct dns_op *op)
{
	bool failed = op->error.kind != ERR_NONE;

	LIST_REMOVE(op, link);
	close_channel(op);
	op->reported = true;
	op->done(op->arg, failed ? NULL : &op->caa, failed ? &op->error : NULL);
	op_free(op);
}

/* op may be gone afterwards. */
static void
go_on(struct dns_op *op)
{
	while (op->state == NONE)
		climb(op);
	if (op->state == OVER)
		report(op);
	else
		arm(op);
}

static void
on_timer(void *arg)
{
	struct dns_op *op = arg;

	if (op->state == WAITING)
		ares_process_fd(op->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	if (op->state == WAITING && clock_mono_ms() >= op->deadline_ms)
		fail(op, ARES_ETIMEOUT);
	go_on(op);
}

/* 0 or -1; an address is over before it has begun. */
static int
begin(struct dns_op *op, const char *ident, struct err *e)
{
	const char *why;
	bool is_ip;

	if (str_ident(ident, op->name, &is_ip, &why) == -1)
		return err_set(e, ERR_CONFIG, 0, "%s: %s", ident, why);
	op->wildcard = op->name[0] == '*';
	op->at = op->wildcard ? op->name + 2 : op->name;
	op->deadline_ms = clock_mono_ms() + DNS_TOTAL_MS;
	op->pool = pool_new(POOL_MAX);
	op->timer = loop_timer_new(op->dns->loop, on_timer, op, e);
	if (op->pool == NULL || op->timer == NULL)
		return err_nomem(e, "CAA records");
	if (is_ip)
		op->state = OVER;
	else if (open_channel(op->dns, op, &op->channel, e) == -1)
		return -1;
	else
		ask(op);
	arm(op);
	return 0;
}

struct dns_op *
dns_caa(struct dns *d, const char *ident, dns_caa_done *done, void *arg,
    struct err *e)
{
	struct dns_op *op = calloc(1, sizeof(*op));

	if (op == NULL) {
		(void)err_nomem(e, "CAA records");
		return NULL;
	}
	op->dns = d;
	op->done = done;
	op->arg = arg;
	LIST_INIT(&op->watches);
	if (begin(op, ident, e) == -1) {
		op_free(op);
		return NULL;
	}
	LIST_INSERT_HEAD(&d->ops, op, link);
	return op;
}
