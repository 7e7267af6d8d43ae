/* SPDX-License-Identifier: ISC */
/*
 * The control socket: arbitrary bytes from a client, over a real Unix socket,
 * to the real server and the real routes.  Nothing may be started by them but
 * what the routes say, and every client must be let go of.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/engine/control.h"
#include "daemon/engine/events.h"
#include "lib/base/log.h"

#define INPUT_MAX  (64u << 10) /* what a socket takes at once */
#define ROUNDS_MAX 200
#define CONF_TEXT                                          \
	"agree-tos: true\ndomains:\n  - www.example.org\n" \
	"  - {name: two, names: [a.example, b.example], reload: /bin/true}\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct engine en;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static int listening;

static void
changed(void *arg, struct session *s)
{
	(void)arg;
	(void)s;
}

static void
note(struct store *s, const char *line, size_t len)
{
	(void)s;
	if (len == 0 || line[len - 1] != '\n')
		abort();
}

static struct conf *
conf(void)
{
	struct buf b = BUF_INIT(CONF_BUNDLE_MAX);
	char path[] = "/tmp/fuzz_control.XXXXXX";
	int fd = mkstemp(path);
	struct conf_report r;
	struct conf *c = NULL;

	conf_report_init(&r);
	if (fd == -1 || write(fd, CONF_TEXT, strlen(CONF_TEXT)) == -1)
		abort();
	if (conf_read(path, &b, &r) == 0)
		c = conf_load(b.data, b.len, &r);
	(void)unlink(path);
	(void)close(fd);
	conf_report_done(&r);
	buf_done(&b);
	return c;
}

/* An abstract address: no file to clean up, none to collide with. */
static int
listen_somewhere(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(sa_family_t);

	if (fd == -1 || bind(fd, (struct sockaddr *)&address, len) == -1 ||
	    listen(fd, 64) == -1)
		abort();
	len = sizeof(address);
	if (getsockname(fd, (struct sockaddr *)&address, &len) == -1)
		abort();
	return fd;
}

static void
setup(void)
{
	static const struct store_ops ops = { .name = "none", .note = note };
	static struct store store = { .ops = &ops };
	struct err e;

	en.conf = conf();
	en.loop = loop_new(&e);
	en.store = &store;
	en.psl = psl_new(&e);
	en.session_env = (struct session_env){ .loop = en.loop,
		.conf = en.conf,
		.psl = en.psl,
		.store = en.store,
		.changed = changed };
	en.start.control_gid = UINT32_MAX;
	listening = listen_somewhere();
	log_init("engine", (enum log_level)0, LOG_F_TEXT);
	if (en.conf == NULL || en.loop == NULL || en.psl == NULL ||
	    certs_init(&en.certs, en.conf, en.loop, en.store, &e) == -1 ||
	    renew_init(&en, &e) == -1 || deploy_init(&en, &e) == -1 ||
	    (en.events = events_new(&en, &e)) == NULL ||
	    (en.control = control_new(&en, listening, &e)) == NULL)
		abort();
	/* something to tell of */
	trouble_set(&en.certs.all[1].issue_trouble, "dns", "no such name", 1);
}

static int
client(const uint8_t *data, size_t size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = (socklen_t)(sizeof(sa_family_t) + 6);

	if (fd == -1 || connect(fd, (struct sockaddr *)&address, len) == -1)
		abort();
	(void)send(fd, data, size, MSG_NOSIGNAL);
	(void)shutdown(fd, SHUT_WR);
	return fd;
}

static void
stop_loop(void *arg)
{
	loop_stop(arg);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loop_timer *t;
	char answer[4096];
	struct err e;
	ssize_t n = 1;
	int fd, i;

	if (en.loop == NULL)
		setup();
	if (size > INPUT_MAX)
		return 0;
	t = loop_timer_new(en.loop, stop_loop, en.loop, &e);
	if (t == NULL)
		abort();
	fd = client(data, size);
	for (i = 0; i < ROUNDS_MAX && n != 0; i++) {
		loop_timer_set(t, 0);
		(void)loop_run(en.loop, &e);
		while ((n = recv(fd, answer, sizeof(answer), 0)) > 0)
			continue;
		if (n == -1 && errno != EAGAIN)
			n = 0;
	}
	(void)close(fd);
	for (i = 0; i < 3; i++) {
		loop_timer_set(t, 0);
		(void)loop_run(en.loop, &e);
	}
	loop_timer_free(t);
	return 0;
}

/* Root, as far as the routes are concerned, is not there. */
struct up_op *
upstairs_reload(
    struct upstairs *u, upstairs_reloaded *done, void *arg, struct err *e)
{
	(void)u;
	(void)done;
	(void)arg;
	(void)err_set(e, ERR_PROTO, 0, "no supervisor");
	return NULL;
}

struct up_op *
upstairs_forget(struct upstairs *u, const char *name, upstairs_forgot *done,
    void *arg, struct err *e)
{
	(void)u;
	(void)done;
	(void)arg;
	if (!str_is_name(name))
		abort();
	(void)err_set(e, ERR_PROTO, 0, "no supervisor");
	return NULL;
}

struct up_op *
upstairs_find(struct upstairs *u, uint32_t cert, uint32_t skip,
    const char *key_id, upstairs_found *done, void *arg, struct err *e)
{
	(void)u;
	(void)cert;
	(void)skip;
	(void)key_id;
	(void)done;
	(void)arg;
	(void)err_set(e, ERR_PROTO, 0, "no supervisor");
	return NULL;
}

void
up_cancel(struct up_op *op)
{
	(void)op;
}

struct up_op *
upstairs_hook(struct upstairs *u, struct ipc_hook *certs, size_t n,
    upstairs_hooked *done, void *arg, struct err *e)
{
	(void)u;
	(void)certs;
	(void)n;
	(void)done;
	(void)arg;
	(void)e;
	abort();
}

struct up_op *
upstairs_install(struct upstairs *u, const struct install *in,
    upstairs_installed *done, void *arg, struct err *e)
{
	(void)u;
	(void)in;
	(void)done;
	(void)arg;
	(void)e;
	abort();
}

void
upstairs_status(struct upstairs *u, const struct ipc_status *s)
{
	(void)u;
	(void)s;
}
