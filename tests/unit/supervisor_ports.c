/* SPDX-License-Identifier: ISC */
/*
 * Listening sockets: kept, bound and closed across reloads, taken over from
 * systemd; the state folder with its owners and its lock (Q12).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/supervisor/ports.h"
#include "daemon/supervisor/state.h"
#include "lib/base/cleanup.h"
#include "tests/unit/folder.h"

static char dir[64], sock_path[96], state_dir[96];

static int
begin(void **state)
{
	(void)state;
	folder_new(dir, sizeof(dir), "ports");
	(void)snprintf(sock_path, sizeof(sock_path), "%s/run/sock", dir);
	(void)snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	return folder_remove(dir);
}

/* "127.x.y.z:port" that no other test uses. */
static const char *
an_address(unsigned port)
{
	static char out[8][SOCK_ADDR_MAX];
	static unsigned next;
	unsigned pid = (unsigned)getpid();
	char *addr = out[next++ % NELEM(out)];

	(void)snprintf(addr, SOCK_ADDR_MAX, "127.%u.%u.%u:%u",
	    1 + (pid >> 16) % 254, pid >> 8 & 255, pid & 255, port);
	return addr;
}

static struct conf
conf_listen(const char *const *addrs, uint32_t n)
{
	struct conf conf = { .state_dir = state_dir,
		.user = "acmed",
		.keeper_user = "acmed-keeper" };

	conf.http.listen = addrs;
	conf.http.n_listen = n;
	conf.control.socket = sock_path;
	return conf;
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

static void
plan(const struct ports *now, const struct conf *conf, struct ports *next)
{
	struct err e;

	if (ports_plan(now, conf, next, &e) == -1)
		fail_msg("%s", e.what);
}

static void
kept(void **state)
{
	const char *const first[] = { an_address(8001), an_address(8002) };
	const char *const second[] = { an_address(8003), an_address(8002),
		an_address(8003) };
	struct conf conf = conf_listen(first, 2);
	struct ports now = PORTS_INIT, next;
	int one, two;

	(void)state;
	plan(&now, &conf, &next);
	ports_switch(&now, &next);
	assert_int_equal(now.n, 2);
	one = now.http[0].fd;
	two = now.http[1].fd;
	conf = conf_listen(second, 3);
	plan(&now, &conf, &next);
	/* nothing has changed yet, and the new one listens already */
	assert_true(is_open(one));
	assert_int_equal(next.n, 2); /* named twice, bound once */
	assert_int_equal(next.http[1].fd, two);
	assert_false(next.http[1].fresh);
	assert_true(next.http[0].fresh);
	ports_switch(&now, &next);
	assert_false(is_open(one));
	assert_true(is_open(two));
	ports_close(&now);
	assert_false(is_open(two));
	assert_int_equal(now.n, 0);
}

static void
refused(void **state)
{
	const char *const first[] = { an_address(8001) };
	const char *const second[] = { an_address(8004), "192.0.2.1:80",
		an_address(8001) };
	struct conf conf = conf_listen(first, 1);
	struct ports now = PORTS_INIT, next;
	struct err e;
	int one, fd;

	(void)state;
	plan(&now, &conf, &next);
	ports_switch(&now, &next);
	one = now.http[0].fd;
	conf = conf_listen(second, 3);
	assert_int_equal(ports_plan(&now, &conf, &next, &e), -1);
	assert_non_null(strstr(e.what, "http: listen"));
	assert_non_null(strstr(e.what, "192.0.2.1:80"));
	assert_true(is_open(one));
	assert_int_equal(now.n, 1);
	/* what was bound for the plan is free again */
	fd = sock_listen(an_address(8004), &e);
	assert_int_not_equal(fd, -1);
	(void)close(fd);
	ports_close(&now);
}

/* An address family that the host has not is left out, but not the last. */
static void
no_ipv6(void **state)
{
	const char *const both[] = { "[2001:db8::1]:8080", an_address(8001) };
	struct conf conf = conf_listen(both, 2);
	struct ports now = PORTS_INIT, next;
	struct err e;

	(void)state;
	plan(&now, &conf, &next);
	assert_int_equal(next.n, 1);
	assert_string_equal(next.http[0].addr, both[1]);
	ports_drop(&next);
	conf = conf_listen(both, 1);
	assert_int_equal(ports_plan(&now, &conf, &next, &e), -1);
	conf = conf_listen(NULL, 0);
	plan(&now, &conf, &next);
	assert_int_equal(next.n, 0);
}

static void
too_many(void **state)
{
	static char text[PORTS_MAX + 1][SOCK_ADDR_MAX];
	const char *addrs[PORTS_MAX + 1] = { NULL };
	struct conf conf = conf_listen(addrs, PORTS_MAX + 1);
	struct ports now = PORTS_INIT, next;
	struct err e;
	unsigned i;

	(void)state;
	for (i = 0; i <= PORTS_MAX; i++) {
		memcpy(text[i], an_address(9000 + i), SOCK_ADDR_MAX);
		addrs[i] = text[i];
	}
	assert_int_equal(ports_plan(&now, &conf, &next, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
}

static void
adopted(void **state)
{
	const char *const other[] = { an_address(8009) };
	struct conf conf = conf_listen(other, 1);
	struct ports now = PORTS_INIT, next;
	char path[128];
	struct err e;
	int i, from[3];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/given", dir);
	from[0] = sock_listen(an_address(8001), &e);
	from[1] = sock_listen_unix(path, 0600, (gid_t)-1, &e);
	from[2] = sock_listen(an_address(8002), &e);
	for (i = 0; i < 3; i++) { /* side by side, as systemd has them */
		assert_int_not_equal(from[i], -1);
		assert_int_equal(dup2(from[i], 200 + i), 200 + i);
		(void)close(from[i]);
	}
	assert_int_equal(fcntl(200, F_SETFL, 0), 0);
	assert_int_equal(ports_adopt(&now, 200, 3, &e), 0);
	assert_int_equal(now.n, 2);
	assert_int_equal(now.control, 201);
	assert_string_equal(now.http[1].addr, an_address(8002));
	assert_true((fcntl(200, F_GETFL) & O_NONBLOCK) != 0);
	/* http.listen is not looked at, now or at a reload */
	plan(&now, &conf, &next);
	assert_int_equal(next.n, 2);
	ports_switch(&now, &next);
	assert_true(is_open(200) && is_open(202));
	/* nor is the control socket bound, or removed */
	assert_int_equal(ports_control(&now, &conf, &e), 0);
	assert_int_equal(now.control, 201);
	assert_int_equal(access(sock_path, F_OK), -1);
	ports_close(&now);
	assert_int_equal(access(path, F_OK), 0);
}

static void
not_adopted(void **state)
{
	struct ports now = PORTS_INIT;
	AUTO(close) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	AUTO(close) int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AUTO(close) int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct err e;

	(void)state;
	assert_int_equal(ports_adopt(&now, null, 1, &e), -1);
	assert_int_equal(ports_adopt(&now, sock, 1, &e), -1);
	assert_int_equal(ports_adopt(&now, udp, 1, &e), -1);
	assert_non_null(strstr(e.what, "not a listening stream socket"));
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void
control(void **state)
{
	struct conf conf = conf_listen(NULL, 0);
	struct ports now = PORTS_INIT, second = PORTS_INIT;
	const struct group *gr = getgrgid(getegid());
	struct err e;

	(void)state;
	assert_non_null(gr);
	conf.control.others = CONF_OTHERS_READ;
	assert_int_equal(ports_control(&now, &conf, &e), 0);
	assert_int_equal(mode_of(sock_path), 0666);
	assert_int_equal(now.control_gid, (gid_t)-1);
	/* one that is alive is not taken away, nor removed afterwards */
	assert_int_equal(ports_control(&second, &conf, &e), -1);
	ports_close(&second);
	assert_int_equal(access(sock_path, F_OK), 0);
	conf.control.others = CONF_OTHERS_REFUSE;
	conf.control.group = gr->gr_name;
	assert_int_equal(ports_control_mend(&now, &conf, &e), 0);
	assert_int_equal(mode_of(sock_path), 0660);
	assert_int_equal(now.control_gid, getegid());
	conf.control.group = "no-such-group";
	assert_int_equal(ports_control_mend(&now, &conf, &e), -1);
	assert_string_equal(e.what,
	    "control: there is no group \"no-such-group\": "
	    "groupadd --system no-such-group");
	assert_int_equal(now.control_gid, getegid());
	ports_close(&now);
	assert_int_equal(access(sock_path, F_OK), -1);
}

static void
folders(void **state)
{
	static const struct {
		const char *name;
		mode_t mode;
	} parts[] = { { "", 0755 }, { "engine", 0700 }, { "keeper", 0700 },
		{ "versions", 0755 }, { "live", 0755 }, { "lock", 0600 } };
	struct conf conf = conf_listen(NULL, 0);
	struct state one = STATE_INIT, two = STATE_INIT;
	char path[128], want[128];
	struct err e;
	size_t i;

	(void)state;
	if (state_open(&one, &conf, false, &e) == -1)
		fail_msg("%s", e.what);
	for (i = 0; i < NELEM(parts); i++) {
		(void)snprintf(
		    path, sizeof(path), "%s/%s", state_dir, parts[i].name);
		assert_int_equal(mode_of(path), parts[i].mode);
	}
	assert_int_equal(one.keeper_ids.uid, getuid());
	/* Q12 */
	assert_int_equal(state_open(&two, &conf, false, &e), -1);
	(void)snprintf(want, sizeof(want), "another acmed uses %s", state_dir);
	assert_non_null(strstr(e.what, want));
	(void)snprintf(want, sizeof(want), "process %ld", (long)getpid());
	assert_non_null(strstr(e.what, want));
	state_close(&two);
	state_close(&one);
	/* what was loosened is mended */
	(void)snprintf(path, sizeof(path), "%s/keeper", state_dir);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(state_open(&one, &conf, false, &e), 0);
	assert_int_equal(mode_of(path), 0700);
	state_close(&one);
}

static void
state_refused(const struct conf *conf, bool root, const char *text)
{
	struct state st = STATE_INIT;
	struct err e = { 0 };

	assert_int_equal(state_open(&st, conf, root, &e), -1);
	if (strstr(e.what, text) == NULL)
		fail_msg("%s, want %s", e.what, text);
	state_close(&st);
}

static void
bad_folders(void **state)
{
	struct conf conf = conf_listen(NULL, 0);
	char path[128];

	(void)state;
	assert_int_equal(mkdir(state_dir, 0755), 0);
	assert_int_equal(chmod(state_dir, 0777), 0);
	state_refused(&conf, false, "others may write there: chmod 755 ");
	assert_int_equal(chmod(state_dir, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/keeper", state_dir);
	assert_int_equal(symlink("/tmp", path), 0);
	state_refused(&conf, false, "state-dir");
	conf.user = "no-such-user";
	state_refused(&conf, true,
	    "there is no user \"no-such-user\": run systemd-sysusers, or "
	    "adduser --system --group no-such-user");
	conf.user = "root";
	state_refused(&conf, true, "is root");
	conf.user = conf.keeper_user = "nobody";
	state_refused(&conf, true, "one and the same (nobody)");
	conf.keeper_user = "daemon";
	if (geteuid() == 0) {
		assert_int_equal(chown(state_dir, 1, 1), 0);
		state_refused(&conf, true, "belongs to uid 1");
	}
}

/* Root: the parts belong to whom they must. */
static void
owners(void **state)
{
	struct conf conf = conf_listen(NULL, 0);
	struct state st = STATE_INIT;
	struct stat engine, keeper, live;
	struct err e;

	(void)state;
	if (geteuid() != 0)
		skip();
	conf.user = "nobody";
	conf.keeper_user = "daemon";
	if (state_open(&st, &conf, true, &e) == -1)
		fail_msg("%s", e.what);
	assert_int_equal(fstat(st.engine, &engine), 0);
	assert_int_equal(fstat(st.keeper, &keeper), 0);
	assert_int_equal(fstat(st.live, &live), 0);
	assert_int_equal(engine.st_uid, st.engine_ids.uid);
	assert_int_equal(keeper.st_uid, st.keeper_ids.uid);
	assert_int_not_equal(engine.st_uid, keeper.st_uid);
	assert_int_equal(live.st_uid, 0);
	state_close(&st);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = { T(kept), T(refused), T(no_ipv6),
		T(too_many), T(adopted), T(not_adopted), T(control), T(folders),
		T(bad_folders), T(owners) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
