/* SPDX-License-Identifier: ISC */
/* What a confined child can do, and what it cannot any more. */

#include <linux/landlock.h>
#include <linux/sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/cleanup.h"
#include "lib/base/fs.h"
#include "lib/io/confine.h"
#include "lib/io/loop.h"

static char state_dir[] = "/tmp/acmed-confine-XXXXXX";
static char other_dir[] = "/tmp/acmed-outside-XXXXXX";
static int dir_fd = -1;
static int landlock_here; /* version; 0: none */

static int
setup(void **state)
{
	(void)state;
	landlock_here = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	if (landlock_here < 0)
		landlock_here = 0;
	print_message("Landlock here: version %d\n", landlock_here);
	if (mkdtemp(state_dir) == NULL || mkdtemp(other_dir) == NULL)
		return -1;
	dir_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd == -1 ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlinkat(dir_fd, "inside", 0);
	(void)close(dir_fd);
	return rmdir(state_dir) | rmdir(other_dir);
}

/*
 * In the child.  Its report is the number of the line that went wrong; no
 * cmocka there, whose state belongs to the parent.
 */
#define CHECK(ok)                                                      \
	do {                                                           \
		if (!(ok)) {                                           \
			dprintf(2, "%s:%d: %s (errno %d)\n", __FILE__, \
			    __LINE__, #ok, errno);                     \
			_exit(1);                                      \
		}                                                      \
	} while (0)

/* The call fails, and says it that way. */
#define FAILS(num, call) CHECK((call) == -1 && errno == (num))

static void
in_child(void (*fn)(const struct confine_done *), enum confine_role role)
{
	static const char *const reads[] = { "/etc/hosts", "/etc/nsswitch.conf",
		"/etc/resolv.conf", "/etc/host.conf", "/etc/gai.conf",
		"/etc/ssl", "/lib", "/lib64", "/usr/lib", "/usr/share",
		"/etc/ld.so.cache", "/no/such/file", NULL };
	const int writes[] = { dir_fd, -1 };
	const struct confine_spec s = { role, reads, writes };
	struct confine_done done;
	struct err e = { 0 };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (confine(&s, &done, &e) == -1) {
			dprintf(2, "%s\n", e.what);
			_exit(2);
		}
		fn(&done);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
no_privileges(const struct confine_done *done)
{
	char name[16];

	CHECK(done->seccomp);
	CHECK(prctl(PR_GET_DUMPABLE) == 0);
	CHECK(prctl(PR_GET_NAME, name) == 0);
}

/* /proc shows from outside what the child has given up. */
static void
test_given_up(void **state)
{
	static const char *const zero[] = { "CapInh", "CapPrm", "CapEff",
		"CapAmb" };
	int to_child[2], to_parent[2], status;
	char path[64], text[4096] = { 0 }, want[64];
	size_t i;
	pid_t pid;
	int fd;

	(void)state;
	in_child(no_privileges, CONFINE_KEEPER);
	assert_int_equal(pipe(to_child), 0);
	assert_int_equal(pipe(to_parent), 0);
	pid = fork();
	if (pid == 0) {
		const struct confine_spec s = { .role = CONFINE_KEEPER };
		struct confine_done done;
		struct rlimit core;

		CHECK(confine(&s, &done, NULL) == 0);
		CHECK(getrlimit(RLIMIT_CORE, &core) == 0);
		CHECK(core.rlim_cur == 0 && core.rlim_max == 0);
		CHECK(write(to_parent[1], "x", 1) == 1);
		close(to_child[1]);
		_exit((int)read(to_child[0], text, 1));
	}
	close(to_parent[1]);
	assert_int_equal(read(to_parent[0], text, 1), 1);
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	fd = open(path, O_RDONLY);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	for (i = 0; i < NELEM(zero); i++) {
		(void)snprintf(want, sizeof(want), "%s:\t%016d\n", zero[i], 0);
		assert_non_null(strstr(text, want));
	}
	if (geteuid() == 0) /* who is not root may not lower this one */
		assert_non_null(strstr(text, "CapBnd:\t0000000000000000\n"));
	assert_non_null(strstr(text, "NoNewPrivs:\t1\n"));
	assert_non_null(strstr(text, "Seccomp:\t2\n"));
	close(to_child[0]);
	close(to_child[1]);
	close(to_parent[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
no_programs(const struct confine_done *done)
{
	char *const argv[] = { (char *)(uintptr_t) "true", NULL };

	(void)done;
	FAILS(EPERM, execve("/bin/true", argv, argv));
	FAILS(EPERM, execveat(dir_fd, "true", argv, argv, 0));
	CHECK(fork() == -1);
	CHECK(vfork() == -1);
	FAILS(EPERM, ptrace(PTRACE_TRACEME, 0, NULL, NULL));
	FAILS(EPERM, kill(getppid(), SIGTERM));
	FAILS(EPERM,
	    syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0));
	FAILS(EPERM, syscall(SYS_bpf, 0, NULL, 0));
	FAILS(EPERM, syscall(SYS_io_uring_setup, 8, NULL));
	FAILS(EPERM, syscall(SYS_keyctl, 0, 0, 0, 0, 0));
	FAILS(EPERM, syscall(SYS_mount, "x", "/", "tmpfs", 0, NULL));
	/* On no list. */
	FAILS(ENOSYS, syscall(SYS_unshare, CLONE_NEWUSER));
	FAILS(ENOSYS, syscall(SYS_setns, 0, 0));
	FAILS(ENOSYS, syscall(SYS_setuid, 0));
	FAILS(ENOSYS, syscall(SYS_clone3, NULL, 0));
	FAILS(ENOSYS, syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
	FAILS(
	    ENOSYS, syscall(SYS_prlimit64, getppid(), RLIMIT_CORE, NULL, NULL));
	FAILS(ENOSYS, syscall(SYS_tgkill, getppid(), getppid(), SIGTERM));
	FAILS(ENOSYS, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	CHECK(kill(getpid(), 0) == -1);
}

static void
test_no_programs(void **state)
{
	(void)state;
	in_child(no_programs, CONFINE_ENGINE);
	in_child(no_programs, CONFINE_KEEPER);
}

static void
engine_sockets(const struct confine_done *done)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd;

	FAILS(ENOSYS, socket(AF_PACKET, SOCK_RAW, 0));
	FAILS(ENOSYS, socket(AF_NETLINK, SOCK_RAW, 12)); /* netfilter */
	FAILS(ENOSYS, socket(AF_VSOCK, SOCK_STREAM, 0));
	FAILS(ENOSYS, socket(AF_ALG, SOCK_SEQPACKET, 0));
	CHECK((fd = socket(AF_NETLINK, SOCK_RAW, 0)) != -1);
	CHECK((fd = socket(AF_UNIX, SOCK_STREAM, 0)) != -1);
	CHECK((fd = socket(AF_INET, SOCK_STREAM, 0)) != -1);
	CHECK(bind(fd, (struct sockaddr *)&to, sizeof(to)) ==
	      (done->landlock_abi >= 4 ? -1 : 0));
	FAILS(EPERM, listen(fd, 1));
	/* Nobody listens on port 1, but we are allowed to find that out. */
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons(1);
	FAILS(ECONNREFUSED, connect(fd, (struct sockaddr *)&to, sizeof(to)));
}

static void
keeper_sockets(const struct confine_done *done)
{
	static const int domains[] = { AF_INET, AF_INET6, AF_UNIX, AF_NETLINK,
		AF_PACKET };
	struct sockaddr_in to = { .sin_family = AF_INET };
	int pair[2];
	size_t i;

	(void)done;
	for (i = 0; i < NELEM(domains); i++)
		FAILS(ENOSYS, socket(domains[i], SOCK_STREAM, 0));
	FAILS(ENOSYS, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	FAILS(ENOSYS, connect(0, (struct sockaddr *)&to, sizeof(to)));
	FAILS(ENOSYS, bind(0, (struct sockaddr *)&to, sizeof(to)));
	FAILS(ENOSYS, accept(0, NULL, NULL));
}

/* What would make the supervisor wait as it closes what it was sent. */
static void
engine_options(const struct confine_done *done)
{
	const struct linger l = { 1, 3600 };
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)done;
	FAILS(ENOSYS, setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	FAILS(ENOSYS, syscall(SYS_setsockopt, fd, (1L << 32) | SOL_SOCKET,
			  (1L << 32) | SO_LINGER, &l, sizeof(l)));
	CHECK(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &on, sizeof(on)) == 0);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &on, sizeof(on)) == 0);
	/* the number of SO_LINGER, but of another level */
	CHECK(setsockopt(fd, IPPROTO_TCP, SO_LINGER, &on, 1) == -1 &&
	      errno != ENOSYS);
}

static void
test_sockets(void **state)
{
	(void)state;
	in_child(engine_sockets, CONFINE_ENGINE);
	in_child(engine_options, CONFINE_ENGINE);
	in_child(keeper_sockets, CONFINE_KEEPER);
}

static void
names_resolve(const struct confine_done *done)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_ADDRCONFIG };
	struct addrinfo *found = NULL;

	(void)done;
	CHECK(getaddrinfo("localhost", "443", &hints, &found) == 0);
	CHECK(found != NULL);
	freeaddrinfo(found);
}

static void
test_names_resolve(void **state)
{
	(void)state;
	in_child(names_resolve, CONFINE_ENGINE);
}

static void *
set_flag(void *arg)
{
	*(int *)arg = 1;
	return arg;
}

static void
threads(const struct confine_done *done)
{
	pthread_t t;
	int flag = 0, i;
	void *ret;

	(void)done;
	for (i = 0; i < 3; i++) {
		flag = 0;
		CHECK(pthread_create(&t, NULL, set_flag, &flag) == 0);
		CHECK(pthread_join(t, &ret) == 0);
		CHECK(flag == 1 && ret == &flag);
	}
}

static void
test_threads(void **state)
{
	(void)state;
	in_child(threads, CONFINE_ENGINE);
	in_child(threads, CONFINE_KEEPER);
}

static void
files(const struct confine_done *done)
{
	AUTO(buf_done) struct buf b = BUF_INIT(64);
	char path[128];
	struct err e;
	int fd;

	CHECK(fs_replace(dir_fd, "inside", "hello", 5, 0600, &e) == 0);
	CHECK(fs_replace(dir_fd, "inside", "hallo", 5, 0600, &e) == 0);
	CHECK(fs_read(dir_fd, "inside", &b, &e) == 0);
	CHECK(strcmp(buf_str(&b), "hallo") == 0);
	CHECK(mkdirat(dir_fd, "sub", 0700) == 0);
	CHECK((fd = fs_open_dir(dir_fd, "sub", &e)) != -1);
	CHECK(fs_replace(fd, "deep", "x", 1, 0600, &e) == 0);
	/* what would trap whoever looks after the folder, or help others */
	FAILS(ENOSYS, symlinkat("sub", dir_fd, "link"));
	FAILS(ENOSYS, openat(fd, "x", O_WRONLY | O_CREAT, S_ISUID | 0700));
	FAILS(ENOSYS, fchmod(fd, S_ISGID | 0700));
	CHECK(fchmod(fd, 0700) == 0);
	CHECK(openat(fd, "deep", O_RDONLY, S_ISUID) != -1);
	CHECK(fs_remove(dir_fd, "sub", &e) == 0);
	CHECK(open("/etc/hosts", O_RDONLY) != -1);
	if (done->landlock_abi == 0)
		return;
	FAILS(EACCES, open("/etc/shadow", O_RDONLY));
	FAILS(EACCES, open("/etc/passwd", O_RDONLY));
	FAILS(EACCES, open("/", O_RDONLY | O_DIRECTORY));
	FAILS(EACCES, open("/etc/hosts", O_WRONLY));
	FAILS(EACCES, open("/proc/1/environ", O_RDONLY));
	(void)snprintf(path, sizeof(path), "%s/outside", other_dir);
	FAILS(EACCES, open(path, O_WRONLY | O_CREAT, 0600));
	FAILS(EACCES, mkdir(path, 0700));
	CHECK(renameat(dir_fd, "inside", AT_FDCWD, path) == -1);
	FAILS(ENOSYS, mknodat(dir_fd, "fifo", S_IFIFO | 0600, 0));
}

static void
test_files(void **state)
{
	(void)state;
	if (landlock_here == 0)
		print_message("no Landlock here: only half of this is "
			      "tested\n");
	in_child(files, CONFINE_ENGINE);
	in_child(files, CONFINE_KEEPER);
}

/* Without Landlock the modes alone protect, with it nothing is left. */
static void
nothing_given(void)
{
	const struct confine_spec s = { .role = CONFINE_KEEPER };
	struct confine_done done;

	CHECK(confine(&s, &done, NULL) == 0);
	if (done.landlock_abi > 0)
		FAILS(EACCES, openat(dir_fd, "inside", O_RDWR | O_CREAT, 0600));
}

static void
test_nothing_given(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		nothing_given();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
reports(const struct confine_done *done)
{
	CHECK(done->seccomp);
	CHECK(done->landlock_abi == landlock_here);
}

static void
test_reports(void **state)
{
	(void)state;
	in_child(reports, CONFINE_ENGINE);
}

static void
no_new_code(const struct confine_done *done)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)done;
	CHECK(p != MAP_FAILED);
	FAILS(ENOSYS, mprotect(p, 4096, PROT_READ | PROT_EXEC));
	CHECK(mprotect(p, 4096, PROT_READ) == 0);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
}

static void
test_no_new_code(void **state)
{
	(void)state;
	in_child(no_new_code, CONFINE_KEEPER);
}

static void
on_signal(void *arg, int signo)
{
	(void)signo;
	loop_stop(arg);
}

static void
on_timer(void *arg)
{
	(void)arg;
	CHECK(raise(SIGUSR1) == 0);
}

static void
on_clock(void *arg)
{
	loop_stop(arg);
}

/* What the daemons live on: a loop, sealed memfds, signals, much memory. */
static void
daily_work(const struct confine_done *done)
{
	sigset_t set;
	struct err e;
	struct loop *l = loop_new(&e);
	struct loop_timer *t;
	struct loop_signal *s;
	struct loop_jump *j;
	char *big;
	int fd;

	(void)done;
	CHECK(l != NULL);
	CHECK((t = loop_timer_new(l, on_timer, l, &e)) != NULL);
	CHECK((s = loop_signal_new(l, SIGUSR1, on_signal, l, &e)) != NULL);
	CHECK((j = loop_jump_new(l, on_clock, l, &e)) != NULL);
	loop_timer_set(t, 1);
	CHECK(loop_run(l, &e) == 0);
	CHECK((fd = fs_memfd("chain", "pem", 3, &e)) != -1);
	CHECK(fs_is_sealed(fd));
	CHECK(eventfd(0, EFD_CLOEXEC) != -1);
	CHECK(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC) != -1);
	CHECK(sigemptyset(&set) == 0);
	CHECK(signalfd(-1, &set, SFD_CLOEXEC) != -1);
	CHECK(epoll_create1(EPOLL_CLOEXEC) != -1);
	big = malloc((size_t)64 << 20);
	CHECK(big != NULL);
	memset(big, 1, (size_t)64 << 20);
	big = realloc(big, (size_t)96 << 20);
	CHECK(big != NULL && big[12345] == 1);
	free(big);
	CHECK(getentropy(&set, sizeof(set)) == 0);
	loop_jump_free(j);
	loop_signal_free(s);
	loop_timer_free(t);
	loop_free(l);
}

static void
test_daily_work(void **state)
{
	(void)state;
	in_child(daily_work, CONFINE_ENGINE);
	in_child(daily_work, CONFINE_KEEPER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given_up),
		cmocka_unit_test(test_no_programs),
		cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_names_resolve),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_nothing_given),
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_no_new_code),
		cmocka_unit_test(test_daily_work),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
