/* SPDX-License-Identifier: ISC */
/*
 * What root reads from the engine and the keeper: any messages, through the
 * tables, into a state folder of our own, in which there is also a certificate
 * that the configuration has not.  Nothing is run, but everything else is real.
 *
 * An input is a list of messages: type, kind, length of the body and of the
 * memfd (two bytes each, little endian), body, content of the memfd.  Bit 7 of
 * kind makes it the keeper's; the others choose the descriptor.
 */
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/supervisor/children.h"
#include "daemon/supervisor/pemtext.h"
#include "daemon/supervisor/reload.h"
#include "daemon/supervisor/requests.h"
#include "daemon/supervisor/super.h"
#include "lib/base/fs.h"

#define MESSAGES_MAX 64
#define BODY_MAX     8192
#define KEEPER       0x80u
#define KEY          "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);
int LLVMFuzzerInitialize(int *, char ***);

static struct super s;
static char dir[64], file[96];
static pid_t owner;

static int
rm(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void
clean_up(void)
{
	if (getpid() == owner)
		(void)nftw(dir, rm, 16, FTW_DEPTH | FTW_PHYS);
}

static void
must(int ok, const struct err *e)
{
	if (ok == -1) {
		(void)fprintf(stderr, "%s\n", e->what);
		abort();
	}
}

static void
make_world(void)
{
	AUTO(close) int top = -1;
	struct conf_report r;
	char text[512];
	struct err e;
	int n;

	(void)snprintf(dir, sizeof(dir), "%s/acmed-fuzz-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(dir) == NULL)
		abort();
	owner = getpid();
	(void)atexit(clean_up);
	(void)snprintf(file, sizeof(file), "%s/acmed.yaml", dir);
	n = snprintf(text, sizeof(text),
	    "email: a@example.org\nagree-tos: true\nstate-dir: %s/st\n"
	    "domains:\n"
	    "  - {name: www, names: [a.example.org, www.example.org],\n"
	    "     partial: true, reload: /bin/false}\n"
	    "  - {name: quiet, names: [q.example.org]}\n",
	    dir);
	top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(fs_replace(top, "acmed.yaml", text, (size_t)n, 0600, &e), &e);
	conf_report_init(&r);
	s.setup = setup_load(file, &r);
	if (s.setup == NULL)
		abort();
	conf_report_done(&r);
	must(state_open(&s.state, s.setup->conf, false, &e), &e);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char name[128];
	struct err e;

	(void)argc;
	(void)argv;
	(void)umask(022);
	log_init("fuzz", LOG_L_ERR, LOG_F_TEXT);
	(void)unsetenv("NOTIFY_SOCKET");
	s.file = file;
	s.state = STATE_INIT;
	s.ports = PORTS_INIT;
	make_world();
	memset(name, 'a', sizeof(name));
	memcpy(name, "cert-", 5);
	memcpy(name + 5 + 64, ".pem", 5);
	must(fs_replace(s.state.keeper, name, KEY, strlen(KEY), 0600, &e), &e);
	s.loop = loop_new(&e);
	(void)children_init(&s, &e); /* there need be no programs */
	must(reload_init(&s, &e), &e);
	s.hooks = hooks_new(s.loop, requests_hooked, &s, &e);
	return 0;
}

static int
a_descriptor(unsigned kind, const uint8_t *data, size_t len)
{
	int fd;

	switch (kind & 7u) {
	case 0:
		return -1;
	case 1:
		fd = memfd_create("open", MFD_CLOEXEC);
		if (fd != -1 && write(fd, data, len) == -1)
			abort();
		return fd;
	case 2:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 3:
		return open(dir, O_RDONLY | O_CLOEXEC);
	default:
		return fs_memfd("pem", data, len, NULL);
	}
}

static void
on_closed(void *arg, const struct err *e)
{
	(void)arg;
	(void)e;
}

static void
open_channel(struct child *c, const struct chan_rule *rules, int *peer)
{
	struct err e;
	int fds[2];

	must(chan_pair(fds, &e), &e);
	*peer = fds[1];
	c->chan = chan_new(s.loop, fds[0], rules, on_closed, c, &e);
}

static bool
there(int folder, const char *name)
{
	struct stat st;

	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The certificate that may be archived, anew when it was. */
static void
make_old(void)
{
	AUTO(close) int old = -1;
	char path[128];
	struct err e;

	if (there(s.state.versions, "old") && there(s.state.live, "old"))
		return;
	(void)snprintf(path, sizeof(path), "%s/st/archive", dir);
	(void)nftw(path, rm, 16, FTW_DEPTH | FTW_PHYS);
	old = fs_make_dir(
	    s.state.versions, "old", 0755, (uid_t)-1, (gid_t)-1, &e);
	must(old == -1 ? -1 : 0, &e);
	must(fs_symlink(s.state.live, "old", "../versions/old/1", &e), &e);
}

static int
archived(void *arg, const char *name)
{
	(void)arg;
	assert(strncmp(name, "old-", 4) == 0);
	return 0;
}

/* Only what may be archived is, and it is in one of the two places. */
static void
check_archive(bool had_www)
{
	AUTO(close) int archive = fs_open_dir(s.state.dir, "archive", NULL);

	assert(!had_www || there(s.state.live, "www"));
	assert(there(s.state.versions, "old") || archive != -1);
	if (archive != -1)
		(void)fs_each(archive, archived, NULL, NULL);
}

/* Whatever was said, what servers see is whole, and nothing else is there. */
static void
check_world(void)
{
	static const char *const allowed[] = { "www", "quiet", "old" };
	AUTO(buf_done) struct buf pem = BUF_INIT(IPC_PEM_MAX);
	AUTO(close) int fd = -1;
	struct dirent *ent;
	char path[128];
	DIR *d;

	(void)snprintf(path, sizeof(path), "%s/st/live", dir);
	d = opendir(path);
	while (d != NULL && (ent = readdir(d)) != NULL)
		assert(ent->d_name[0] == '.' ||
		       strcmp(ent->d_name, allowed[0]) == 0 ||
		       strcmp(ent->d_name, allowed[1]) == 0 ||
		       strcmp(ent->d_name, allowed[2]) == 0);
	if (d != NULL)
		(void)closedir(d);
	fd = openat(s.state.live, "www/fullchain.pem", O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return;
	assert(fs_read_fd(fd, &pem, NULL) == 0);
	assert(pemtext_certs(buf_str(&pem), pem.len) >= 1);
}

/* One message of size bytes in front of data; -1: the peer would be killed. */
static int
hear(const uint8_t *head, const uint8_t *data, size_t body, size_t extra,
    bool *seen)
{
	static _Alignas(max_align_t) uint8_t copy[BODY_MAX];
	bool keeper = (head[1] & KEEPER) != 0;
	const struct chan_rule *rules =
	    keeper ? requests_of_keeper : requests_of_engine;
	struct chan_msg m = { .type = head[0], .id = 1 };
	AUTO(close) int fd = -1;
	struct err e;
	int rc;

	if (body > sizeof(copy))
		return -1;
	memcpy(copy, data, body);
	m.fd = a_descriptor(head[1], data + body, extra);
	if (chan_check(rules, seen, &m, body, &e) == -1) {
		fd = m.fd;
		return -1;
	}
	m.body = copy;
	m.size = rules[m.type].size;
	m.tail = copy + m.size;
	m.tail_len = body - m.size;
	rc = rules[m.type].handle(keeper ? &s.keeper : &s.engine, &m, &e);
	fd = m.fd;
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	bool seen_engine[IPC__COUNT] = { 0 }, seen_keeper[IPC__COUNT] = { 0 };
	int peers[2], n;
	bool had_www;

	make_old();
	had_www = there(s.state.live, "www");
	open_channel(&s.engine, requests_of_engine, &peers[0]);
	open_channel(&s.keeper, requests_of_keeper, &peers[1]);
	s.phase = PHASE_STARTING;
	for (n = 0; n < MESSAGES_MAX && len >= 6; n++) {
		size_t body = data[2] | (size_t)data[3] << 8;
		size_t extra = data[4] | (size_t)data[5] << 8;
		const uint8_t *head = data;

		data += 6;
		len -= 6;
		if (body > len)
			body = len;
		if (extra > len - body)
			extra = len - body;
		if (hear(head, data, body, extra,
			(head[1] & KEEPER) != 0 ? seen_keeper : seen_engine) ==
		    -1)
			break;
		data += body + extra;
		len -= body + extra;
	}
	check_world();
	check_archive(had_www);
	hooks_forget(s.hooks);
	reload_forget(&s);
	loop_timer_stop(s.reload_timer);
	loop_timer_stop(s.watch_timer);
	chan_free(take_ptr(s.engine.chan));
	chan_free(take_ptr(s.keeper.chan));
	s.engine.ready = s.keeper.ready = false;
	(void)close(peers[0]);
	(void)close(peers[1]);
	return 0;
}
