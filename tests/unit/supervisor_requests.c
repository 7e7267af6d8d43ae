/* SPDX-License-Identifier: ISC */
/*
 * The root side of the channels: every row with what it must take and what it
 * must not, as bytes on the wire, and what root does then.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/children.h"
#include "daemon/supervisor/reload.h"
#include "daemon/supervisor/requests.h"
#include "daemon/supervisor/super.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/io/proc.h"
#include "lib/io/sock.h"
#include "tests/unit/folder.h"

#define ID   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define CERT "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
#define DOMAINS                                                              \
	"  - {name: www, names: [www.example.org], reload: [echo, hello]}\n" \
	"  - {name: quiet, names: [q.example.org]}\n"

struct head {
	uint32_t type, id, len;
};

static struct super s;
static char dir[64], conf_path[128];
static int engine, keeper; /* our ends */
static int notify_fd;
static struct loop_signal *chld;
static struct loop_fd *watch;
static struct loop_timer *patience;

static void
on_chld(void *arg, int signo)
{
	(void)arg;
	(void)signo;
	proc_reap(NULL, NULL);
}

static void
out_of_patience(void *arg)
{
	(void)arg;
	fail_msg("no answer");
}

static void
on_closed(void *arg, const struct err *e)
{
	struct child *c = arg;

	assert_ptr_equal(c->super, &s);
	assert_int_equal(e->kind, ERR_PROTO);
	children_stop(&s, 60000, 0);
}

static void
write_conf(const char *more)
{
	unsigned pid = (unsigned)getpid();
	char text[2048];
	struct err e;
	int n, fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	n = snprintf(text, sizeof(text),
	    "email: a@example.org\nagree-tos: true\nstate-dir: %s/st\n"
	    "%s\ncontrol: {socket: %s/sock}\n",
	    dir, more, dir);
	if (strstr(more, "listen:") == NULL) /* an address of our own */
		n += snprintf(text + n, sizeof(text) - (size_t)n,
		    "http: {listen: [\"127.%u.%u.%u:8080\"]}\n",
		    1 + (pid >> 16) % 254, pid >> 8 & 255, pid & 255);
	assert_int_equal(
	    fs_replace(fd, "acmed.yaml", text, (size_t)n, 0600, &e), 0);
	(void)close(fd);
}

static void
open_notify(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/notify", dir);
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
	    bind(notify_fd, (const struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", un.sun_path, 1), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "90000000", 1), 0);
}

static void
put_key(void)
{
	const char *pem =
	    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
	struct err e;

	assert_int_equal(fs_replace(s.state.keeper, "cert-" ID ".pem", pem,
			     strlen(pem), 0600, &e),
	    0);
}

static int
begin(void **state)
{
	struct conf_report r;
	struct err e;
	int fds[2];

	(void)state;
	folder_new(dir, sizeof(dir), "requests");
	(void)snprintf(conf_path, sizeof(conf_path), "%s/acmed.yaml", dir);
	write_conf("domains:\n" DOMAINS);
	open_notify();
	s = (struct super){ .file = conf_path };
	s.state = STATE_INIT;
	s.ports = PORTS_INIT;
	s.loop = loop_new(&e);
	conf_report_init(&r);
	s.setup = setup_load(conf_path, &r);
	if (s.setup == NULL)
		fail_msg("%s", buf_str(&r.errors));
	conf_report_done(&r);
	assert_int_equal(state_open(&s.state, s.setup->conf, false, &e), 0);
	(void)children_init(&s, &e); /* there may be no programs */
	assert_int_equal(reload_init(&s, &e), 0);
	s.hooks = hooks_new(s.loop, requests_hooked, &s, &e);
	put_key();
	chld = loop_signal_new(s.loop, SIGCHLD, on_chld, NULL, &e);
	patience = loop_timer_new(s.loop, out_of_patience, NULL, &e);
	assert_int_equal(chan_pair(fds, &e), 0);
	engine = fds[1];
	s.engine.chan = chan_new(
	    s.loop, fds[0], requests_of_engine, on_closed, &s.engine, &e);
	assert_int_equal(chan_pair(fds, &e), 0);
	keeper = fds[1];
	s.keeper.chan = chan_new(
	    s.loop, fds[0], requests_of_keeper, on_closed, &s.keeper, &e);
	s.phase = PHASE_UP;
	s.started_ms = clock_mono_ms();
	return 0;
}

static int
end(void **state)
{
	(void)state;
	hooks_free(s.hooks);
	children_done(&s);
	reload_done(&s);
	ports_close(&s.ports);
	state_close(&s.state);
	setup_free(s.setup);
	loop_signal_free(chld);
	loop_timer_free(patience);
	loop_free(s.loop);
	(void)close(engine);
	(void)close(keeper);
	(void)close(notify_fd);
	return folder_remove(dir);
}

/* What the engine would send, whether right or not. */
static void
send_raw(
    int to, uint32_t type, uint32_t id, const void *body, size_t len, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct head h = { type, id, (uint32_t)len };
	struct iovec iov[] = { { &h, sizeof(h) },
		{ (void *)(uintptr_t)body, len } };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };
	struct cmsghdr *c;

	if (fd != -1) {
		mh.msg_control = control.space;
		mh.msg_controllen = sizeof(control.space);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	assert_int_equal(sendmsg(to, &mh, MSG_NOSIGNAL), sizeof(h) + len);
}

static void
stop_loop(void *arg, int fd, unsigned what)
{
	(void)arg;
	(void)fd;
	(void)what;
	loop_stop(s.loop);
}

/* Run until there is something on fd; its bytes.  0: it was closed. */
static size_t
wait_for(int fd, void *out, size_t size)
{
	ssize_t n;

	watch = loop_fd_new(s.loop, fd, LOOP_READ, stop_loop, NULL, NULL);
	loop_timer_set(patience, 30000);
	assert_int_equal(loop_run(s.loop, NULL), 0);
	loop_timer_stop(patience);
	loop_fd_free(watch);
	n = recv(fd, out, size, 0);
	assert_true(n >= 0 || errno == ECONNRESET);
	return n < 0 ? 0 : (size_t)n;
}

static void
expect(uint32_t type, uint32_t id, void *body, size_t size)
{
	struct {
		struct head h;
		char body[16384];
	} m;
	size_t n = wait_for(engine, &m, sizeof(m));

	assert_int_equal(n, sizeof(m.h) + size);
	assert_int_equal(m.h.type, type);
	assert_int_equal(m.h.id, id);
	assert_int_equal(m.h.len, size);
	memcpy(body, m.body, size);
}

static void
expect_notify(const char *text)
{
	char have[2048];
	size_t n = wait_for(notify_fd, have, sizeof(have) - 1);

	have[n] = '\0';
	assert_string_equal(have, text);
}

/* The message costs the sender its life, and nobody else. */
static void
expect_end(int fd)
{
	char byte;

	assert_int_equal(wait_for(fd, &byte, 1), 0);
	assert_int_equal(s.phase, PHASE_DOWN);
	assert_true(loop_timer_pending(s.start_timer));
	(void)end(NULL);
	(void)begin(NULL);
}

static struct ipc_install
an_install(void)
{
	struct ipc_install m = { .cert = 0,
		.leaf_len = sizeof(CERT) - 1,
		.chain_len = sizeof(CERT) - 1,
		.key_id = ID };

	return m;
}

static int
a_memfd(void)
{
	int fd = fs_memfd("pem", CERT CERT, 2 * (sizeof(CERT) - 1), NULL);

	assert_int_not_equal(fd, -1);
	return fd;
}

static void
sizes(void **state)
{
	static const char zeros[8192];
	uint32_t type;
	size_t size;

	(void)state;
	for (type = 0; type < IPC__COUNT; type++) {
		if (requests_of_engine[type].name == NULL)
			continue;
		size = requests_of_engine[type].size;
		send_raw(engine, type, 1, zeros, size - 1, -1);
		expect_end(engine);
		send_raw(engine, type, 1, zeros, size + 1, -1);
		expect_end(engine);
		send_raw(engine, type, 1, zeros, 0, -1);
		expect_end(engine);
		send_raw(engine, type, 1, zeros, sizeof(zeros), -1);
		expect_end(engine);
	}
}

static void
types(void **state)
{
	static const char zeros[8192];
	uint32_t type;

	(void)state;
	for (type = 0; type <= IPC__COUNT; type++) {
		if (type == IPC__COUNT ||
		    requests_of_engine[type].name == NULL) {
			send_raw(engine, type, 1, zeros, 4, -1);
			expect_end(engine);
		}
		if (type == IPC__COUNT ||
		    requests_of_keeper[type].name == NULL) {
			send_raw(keeper, type, 1, zeros, 4, -1);
			expect_end(keeper);
		}
	}
	send_raw(engine, UINT32_MAX, 1, zeros, 4, -1);
	expect_end(engine);
}

static void
descriptors(void **state)
{
	static const char zeros[8192];
	struct ipc_install m = an_install();
	AUTO(close) int fd = a_memfd();
	uint32_t type;

	(void)state;
	for (type = 0; type < IPC__COUNT; type++) {
		if (requests_of_engine[type].name == NULL ||
		    type == IPC_INSTALL)
			continue;
		send_raw(
		    engine, type, 1, zeros, requests_of_engine[type].size, fd);
		expect_end(engine);
	}
	send_raw(engine, IPC_INSTALL, 1, &m, sizeof(m), -1);
	expect_end(engine);
}

static void
short_frames(void **state)
{
	struct head h = { IPC_ALIVE, 1, 400 };

	(void)state;
	assert_int_equal(send(engine, &h, 11, 0), 11);
	expect_end(engine);
	assert_int_equal(send(engine, &h, 12, 0), 12);
	expect_end(engine);
}

static void
ready(void **state)
{
	struct ipc_empty m = { 0 };

	(void)state;
	s.phase = PHASE_STARTING;
	send_raw(engine, IPC_READY, 0, &m, sizeof(m), -1);
	send_raw(keeper, IPC_READY, 0, &m, sizeof(m), -1);
	expect_notify("READY=1\nSTATUS=running");
	assert_int_equal(s.phase, PHASE_UP);
	expect_notify("WATCHDOG=1");
	s.watchdog_ms -= 1000;
	send_raw(engine, IPC_ALIVE, 0, &m, sizeof(m), -1);
	expect_notify("WATCHDOG=1");
	send_raw(keeper, IPC_READY, 0, &m, sizeof(m), -1);
	expect_end(keeper);
	send_raw(engine, IPC_READY, 0, &m, sizeof(m), -1);
	send_raw(engine, IPC_READY, 0, &m, sizeof(m), -1);
	expect_end(engine);
}

static void
status(void **state)
{
	struct ipc_status m = { .total = 3, .valid = 2 };

	(void)state;
	send_raw(engine, IPC_STATUS, 0, &m, sizeof(m), -1);
	expect_notify("STATUS=3 certificates, 2 valid");
	s.status_ms = 0;
	m.busy = 1;
	m.failing = 1;
	m.next = 1900000000;
	send_raw(engine, IPC_STATUS, 0, &m, sizeof(m), -1);
	expect_notify("STATUS=3 certificates, 2 valid, 1 in progress, "
		      "1 failing; next renewal 2030-03-17T17:46:40Z");
	s.status_ms = 0;
	s.refused.at = 1;
	send_raw(engine, IPC_STATUS, 0, &m, sizeof(m), -1);
	expect_notify("STATUS=3 certificates, 2 valid, 1 in progress, "
		      "1 failing; next renewal 2030-03-17T17:46:40Z; "
		      "the latest configuration was refused");
	s.refused.at = 0;
	s.status_ms = 0;
	memset(&m, 0xff, sizeof(m));
	send_raw(engine, IPC_STATUS, 0, &m, sizeof(m), -1);
	expect_notify("STATUS=4294967295 certificates, 4294967295 valid, "
		      "4294967295 in progress, 4294967295 failing");
	s.status_ms = 0;
	m.next = INT64_MAX;
	send_raw(engine, IPC_STATUS, 0, &m, sizeof(m), -1);
	(void)wait_for(notify_fd, &m, sizeof(m));
}

/* systemd serves the whole host: it must not be flooded by way of us. */
static void
floods(void **state)
{
	struct ipc_status st = { .total = 1 };
	struct ipc_empty m = { 0 };
	int64_t begun;

	(void)state;
	send_raw(engine, IPC_ALIVE, 0, &m, sizeof(m), -1);
	expect_notify("WATCHDOG=1");
	send_raw(engine, IPC_ALIVE, 0, &m, sizeof(m), -1);
	send_raw(engine, IPC_STATUS, 0, &st, sizeof(st), -1);
	expect_notify("STATUS=1 certificates, 0 valid");
	begun = s.status_ms;
	for (st.total = 2; st.total < 100; st.total++)
		send_raw(engine, IPC_STATUS, 0, &st, sizeof(st), -1);
	expect_notify("STATUS=99 certificates, 0 valid");
	assert_true(s.status_ms - begun >= 1000);
}

static void
installs(void **state)
{
	struct ipc_install m = an_install();
	struct ipc_installed r;
	AUTO(close) int fd = a_memfd();
	char path[160], target[64];
	ssize_t n;

	(void)state;
	send_raw(engine, IPC_INSTALL, 77, &m, sizeof(m), fd);
	expect(IPC_INSTALLED, 77, &r, sizeof(r));
	assert_string_equal(r.error, "");
	assert_int_equal(r.ok, 1);
	assert_int_equal(r.version, 1);
	(void)snprintf(path, sizeof(path), "%s/st/live/www", dir);
	n = readlink(path, target, sizeof(target) - 1);
	assert_true(n > 0);
	target[n] = '\0';
	assert_string_equal(target, "../versions/www/1");

	/* a key that the keeper has not: no breach, a reason */
	memset(m.key_id, 'b', 64);
	send_raw(engine, IPC_INSTALL, 78, &m, sizeof(m), fd);
	expect(IPC_INSTALLED, 78, &r, sizeof(r));
	assert_int_equal(r.ok, 0);
	assert_non_null(strstr(r.error, "No such file"));
	assert_int_equal(s.phase, PHASE_UP);
}

static void
bad_install(const struct ipc_install *m, int fd)
{
	char path[160];

	send_raw(engine, IPC_INSTALL, 1, m, sizeof(*m), fd);
	(void)snprintf(path, sizeof(path), "%s/st/versions/www", dir);
	assert_int_equal(access(path, F_OK), -1);
	expect_end(engine);
}

static void
bad_installs(void **state)
{
	static const char *const ids[] = { "", "a", &ID[1],
		"../../../../../../../../../../../../../../../../../../../etc/"
		"x",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		"AA",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"a/" };
	struct ipc_install m;
	AUTO(close) int fd = a_memfd();
	AUTO(close) int file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	AUTO(close) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(ids); i++) {
		m = an_install();
		memset(m.key_id, 0, sizeof(m.key_id));
		memcpy(m.key_id, ids[i], strlen(ids[i]));
		bad_install(&m, fd);
	}
	m = an_install();
	m.key_id[64] = 'a'; /* no NUL */
	bad_install(&m, fd);
	m = an_install();
	m.cert = 2;
	bad_install(&m, fd);
	m.cert = UINT32_MAX;
	bad_install(&m, fd);
	m = an_install();
	m.leaf_len--;
	m.chain_len++;
	bad_install(&m, fd);
	m.leaf_len = UINT32_MAX;
	m.chain_len = 2 * (uint32_t)sizeof(CERT) - 1;
	bad_install(&m, fd);
	m = an_install();
	bad_install(&m, file);
	bad_install(&m, null);
}

static void
hook(void **state)
{
	struct ipc_hook m = { .cert = 0, .more = 0 };
	struct ipc_hooked r;

	(void)state;
	send_raw(engine, IPC_HOOK, 5, &m, sizeof(m), -1);
	expect(IPC_HOOKED, 5, &r, sizeof(r));
	assert_int_equal(r.ok, 1);
	assert_string_equal(r.output, "hello\n");
	m.more = 2;
	send_raw(engine, IPC_HOOK, 5, &m, sizeof(m), -1);
	expect_end(engine);
	m.more = 0;
	m.cert = 1; /* has no command */
	send_raw(engine, IPC_HOOK, 5, &m, sizeof(m), -1);
	expect_end(engine);
	m.cert = 2;
	send_raw(engine, IPC_HOOK, 5, &m, sizeof(m), -1);
	expect_end(engine);
}

/* What is not in the configuration, by its name. */
static struct ipc_forgot
forget(const char *name)
{
	struct ipc_forget m = { 0 };
	struct ipc_forgot r;

	memcpy(m.name, name, strlen(name));
	send_raw(engine, IPC_FORGET, 6, &m, sizeof(m), -1);
	expect(IPC_FORGOT, 6, &r, sizeof(r));
	return r;
}

static void
forgets(void **state)
{
	struct ipc_forgot r, again;
	char want[128];
	struct err e;

	(void)state;
	(void)close(fs_make_dir(
	    s.state.versions, "old", 0755, (uid_t)-1, (gid_t)-1, &e));
	(void)close(fs_make_dir(
	    s.state.versions, "www", 0755, (uid_t)-1, (gid_t)-1, &e));
	r = forget("old");
	assert_string_equal(r.error, "");
	assert_int_equal(r.ok, 1);
	(void)snprintf(want, sizeof(want), "%s/st/archive/old-", dir);
	assert_memory_equal(r.path, want, strlen(want));
	assert_int_equal(access(r.path, F_OK), 0);
	assert_int_equal(faccessat(s.state.versions, "old", F_OK, 0), -1);
	again = forget("old"); /* whoever asks again did not hear it */
	assert_string_equal(again.error, "");
	assert_int_equal(again.ok, 1);
	assert_string_equal(again.path, r.path);

	r = forget("www");
	assert_int_equal(r.ok, 0);
	assert_int_equal(r.missing, 0);
	assert_string_equal(r.error, "www is in the configuration");
	assert_int_equal(faccessat(s.state.versions, "www", F_OK, 0), 0);

	r = forget("none");
	assert_int_equal(r.ok, 0);
	assert_int_equal(r.missing, 1);
	assert_non_null(strstr(r.error, "nothing of none"));
	assert_int_equal(s.phase, PHASE_UP);
}

static void
bad_forgets(void **state)
{
	static const char *const bad[] = { "", ".", "..", "../keeper", "old/1",
		"-old", ".old", "o ld", "old\n" };
	struct ipc_forget m;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(bad); i++) {
		memset(&m, 0, sizeof(m));
		memcpy(m.name, bad[i], strlen(bad[i]));
		send_raw(engine, IPC_FORGET, 1, &m, sizeof(m), -1);
		expect_end(engine);
	}
	memset(&m, 'a', sizeof(m)); /* no NUL */
	send_raw(engine, IPC_FORGET, 1, &m, sizeof(m), -1);
	expect_end(engine);
}

static void
finds(void **state)
{
	struct ipc_find m = { 0 };
	struct ipc_found r;

	(void)state;
	send_raw(engine, IPC_FIND, 7, &m, sizeof(m), -1);
	expect(IPC_FOUND, 7, &r, sizeof(r));
	assert_int_equal(r.version, 0);
	assert_int_equal(r.failed, 0);
	assert_int_equal(r.tail_len, 0);
	/* no folder at all: that says nothing of what is there */
	assert_int_equal(symlinkat("/nonexistent", s.state.versions, "www"), 0);
	send_raw(engine, IPC_FIND, 8, &m, sizeof(m), -1);
	expect(IPC_FOUND, 8, &r, sizeof(r));
	assert_int_equal(r.version, 0);
	assert_int_equal(r.failed, 1);
	assert_int_equal(unlinkat(s.state.versions, "www", 0), 0);
	assert_int_equal(s.phase, PHASE_UP);
}

static void
bad_finds(void **state)
{
	struct ipc_find m = { .cert = 2 };

	(void)state;
	send_raw(engine, IPC_FIND, 1, &m, sizeof(m), -1);
	expect_end(engine);
	m.cert = 0;
	memcpy(m.key_id, "../x", 4);
	send_raw(engine, IPC_FIND, 1, &m, sizeof(m), -1);
	expect_end(engine);
	memset(m.key_id, 'a', sizeof(m.key_id)); /* no NUL */
	send_raw(engine, IPC_FIND, 1, &m, sizeof(m), -1);
	expect_end(engine);
}

/* Only systemd's part of a refusal. */
static void
drain_notify(const char *want)
{
	char have[2048] = "";
	ssize_t n;
	bool found = false;

	while (
	    (n = recv(notify_fd, have, sizeof(have) - 1, MSG_DONTWAIT)) > 0) {
		have[n] = '\0';
		found = found || strstr(have, want) != NULL;
	}
	if (!found)
		fail_msg("no notification with %s", want);
}

static struct ipc_refused told;

/* The engine hears of it before whoever has asked. */
static void
reload_refused(const char *text)
{
	const struct setup *old = s.setup;
	struct ipc_empty m = { 0 };
	struct ipc_reloaded r;

	send_raw(engine, IPC_RELOAD, 9, &m, sizeof(m), -1);
	expect(IPC_REFUSED, 0, &told, sizeof(told));
	expect(IPC_RELOADED, 9, &r, sizeof(r));
	assert_memory_equal(&told, &s.refused, sizeof(told));
	assert_int_equal(strncmp(told.error, r.text, strcspn(r.text, "\n")), 0);
	assert_int_equal(strlen(told.error), strcspn(r.text, "\n"));
	assert_int_equal(r.ok, 0);
	if (strstr(r.text, text) == NULL)
		fail_msg("%s, want %s", r.text, text);
	assert_int_equal(s.phase, PHASE_UP);
	assert_ptr_equal(s.setup, old);
	drain_notify("READY=1\nSTATUS=reload failed: ");
	assert_true(s.asked_ms <= clock_mono_ms());
	s.asked_ms = 0;
}

static void
bad_reloads(void **state)
{
	char more[512];
	int64_t begun;

	(void)state;
	write_conf("domians:\n" DOMAINS);
	reload_refused("acmed.yaml:4:1: ");
	assert_true(told.at <= clock_now() && told.at > clock_now() - 60);
	assert_int_equal(told.since, told.at);
	assert_true(told.n_errors == 2 && told.checks == 1);
	s.refused.since = s.refused.at = 1000;
	write_conf("user: nobody\ndomains:\n" DOMAINS);
	reload_refused("user has changed, which needs a restart");
	assert_true(told.since == 1000 && told.at > clock_now() - 60);
	assert_true(told.n_errors == 1 && told.checks == 0);
	write_conf("keeper-user: nobody\ndomains:\n" DOMAINS);
	reload_refused("keeper-user has changed, which needs a restart");
	write_conf("http: {listen: [\"192.0.2.77:80\"]}\ndomains:\n" DOMAINS);
	reload_refused("192.0.2.77:80");
	(void)snprintf(more, sizeof(more),
	    "ca: {x: {directory: https://x.example/d, "
	    "eab: {kid: a, hmac-file: %s}}}\ndefaults: {ca: x}\n"
	    "domains:\n%s",
	    dir, DOMAINS);
	write_conf(more);
	reload_refused("hmac-file: ");
	(void)unlink(conf_path);
	reload_refused("No such file");
	/* not as often as whoever is in the engine likes */
	s.asked_ms = begun = clock_mono_ms();
	reload_refused("No such file");
	assert_true(clock_mono_ms() - begun >= 1000);
}

/* More errors than an answer holds: whole lines, and how many are left. */
static void
long_report(void **state)
{
	char text[1 << 16];
	size_t len = 0;
	int i, fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	for (i = 0; i < 400; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "wrong-key-number-%d-that-nobody-knows: x\n", i);
	assert_int_equal(
	    fs_replace(fd, "acmed.yaml", text, len, 0600, NULL), 0);
	(void)close(fd);
	reload_refused(" more lines\n");
	assert_int_equal(told.n_errors, 402);
}

static void
good_reload(void **state)
{
	struct setup *old = s.setup;
	struct ipc_empty m = { 0 };
	struct ipc_reloaded r;

	(void)state;
	write_conf("domians:\n" DOMAINS);
	reload_refused("acmed.yaml:4:1: ");
	write_conf("domains:\n"
		   "  - {name: new, names: [n.example.org]}\n");
	send_raw(engine, IPC_RELOAD, 9, &m, sizeof(m), -1);
	/* asked twice: the second is told so */
	send_raw(engine, IPC_RELOAD, 10, &m, sizeof(m), -1);
	expect(IPC_RELOADED, 10, &r, sizeof(r));
	assert_int_equal(r.ok, 0);
	assert_string_equal(r.text, "a reload is under way");
	expect(IPC_RELOADED, 9, &r, sizeof(r));
	assert_int_equal(r.ok, 1);
	assert_string_equal(r.text, "");
	assert_int_equal(wait_for(engine, &r, sizeof(r)), 0);
	assert_int_equal(s.phase, PHASE_DOWN);
	assert_true(loop_timer_pending(s.start_timer));
	assert_ptr_not_equal(s.setup, old);
	assert_int_equal(conf_find_cert(s.setup->conf, "new"), 0);
	assert_int_equal(s.ports.n, 1);
	drain_notify("RELOADING=1\nMONOTONIC_USEC=");
	assert_true(s.reloading); /* until the new ones are ready */
	assert_int_equal(s.refused.at, 0);
}

static pid_t
idle(void)
{
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	while (pid == 0)
		(void)pause();
	return pid;
}

/* An engine that has passed the answer on ends, and nobody waits longer. */
static void
reload_is_passed_on(void **state)
{
	struct ipc_empty m = { 0 };
	struct ipc_reloaded r;
	pid_t pid;
	int how;

	(void)state;
	s.engine.pid = idle();
	s.keeper.pid = pid = idle();
	send_raw(engine, IPC_RELOAD, 9, &m, sizeof(m), -1);
	expect(IPC_RELOADED, 9, &r, sizeof(r));
	assert_int_equal(r.ok, 1);
	assert_int_equal(s.phase, PHASE_STOPPING);
	assert_false(s.told);
	assert_int_equal(kill(s.engine.pid, SIGKILL), 0);
	assert_int_equal(waitpid(s.engine.pid, &how, 0), s.engine.pid);
	children_reaped(&s, s.engine.pid, 0);
	assert_true(s.told);
	assert_int_equal(waitpid(pid, &how, 0), pid);
	assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGTERM);
	children_reaped(&s, pid, how);
	assert_int_equal(s.phase, PHASE_DOWN);
}

/* Indices of a dying engine may be those of an older configuration. */
static void
not_heard(void **state)
{
	struct ipc_hook h = { .cert = 99 };
	struct ipc_install in = an_install();
	struct ipc_forget f = { "old" };
	struct ipc_empty m = { 0 };
	struct ipc_reloaded r;
	struct err e;
	AUTO(close) int fd = a_memfd();

	(void)state;
	(void)close(fs_make_dir(
	    s.state.versions, "old", 0755, (uid_t)-1, (gid_t)-1, &e));
	s.phase = PHASE_STOPPING;
	send_raw(engine, IPC_FORGET, 6, &f, sizeof(f), -1);
	in.cert = 99;
	send_raw(engine, IPC_HOOK, 1, &h, sizeof(h), -1);
	send_raw(engine, IPC_INSTALL, 2, &in, sizeof(in), fd);
	send_raw(engine, IPC_RELOAD, 3, &m, sizeof(m), -1);
	send_raw(keeper, IPC_READY, 4, &m, sizeof(m), -1);
	/* all of that was read before this is: the channel keeps its order */
	send_raw(engine, IPC_STATUS, 5, &m, sizeof(m), -1);
	assert_int_equal(wait_for(engine, &r, sizeof(r)), 0);
	assert_false(s.keeper.ready);
	assert_false(s.reload_answer);
	assert_int_equal(faccessat(s.state.versions, "old", F_OK, 0), 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = { T(sizes), T(types), T(descriptors),
		T(short_frames), T(ready), T(status), T(floods), T(installs),
		T(bad_installs), T(hook), T(forgets), T(bad_forgets), T(finds),
		T(bad_finds), T(bad_reloads), T(long_report), T(good_reload),
		T(reload_is_passed_on), T(not_heard) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
