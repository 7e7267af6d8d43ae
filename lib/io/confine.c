/* SPDX-License-Identifier: ISC */
/*
 * Owns the lists of what a confined process may still do.  Each mechanism is
 * complete without the others, so that a kernel which lacks one leaves the
 * rest in force.  There is no way back, and none is offered.
 */

#include "lib/io/confine.h"

#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

/*
 * The kernel's headers may be older than the kernel: what was added to
 * Landlock after its first version is spelled out here.
 */
#define FS_V1        ((UINT64_C(1) << 13) - 1)
#define FS_REFER     (UINT64_C(1) << 13) /* version 2 */
#define FS_TRUNCATE  (UINT64_C(1) << 14) /* version 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* version 5 */
#define NET_BIND     (UINT64_C(1) << 0)  /* version 4 */
#define NET_CONNECT  (UINT64_C(1) << 1)
#define SCOPE_ALL    UINT64_C(3) /* version 6: abstract sockets, signals */

#define FS_READ_FILE LANDLOCK_ACCESS_FS_READ_FILE
#define FS_READ      (FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* clang-format off */
#define FS_SPECIAL                                                             \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |           \
	    LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |     \
	    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_SYM |       \
	    FS_IOCTL_DEV)
/* clang-format on */

struct ruleset {
	uint64_t fs, net, scoped; /* all that is forbidden unless allowed */
};

static int
drop_privileges(struct err *e)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	const struct rlimit no_core = { 0, 0 };
	unsigned long cap;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return err_set(e, ERR_SYS, errno, "no_new_privs");
	/* EPERM: we may not, so that there is nothing in it for us either. */
	for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == -1 &&
		    errno != EPERM)
			return err_set(
			    e, ERR_SYS, errno, "drop capability %lu", cap);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1 ||
	    syscall(SYS_capset, &head, none) == -1)
		return err_set(e, ERR_SYS, errno, "drop capabilities");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
	    setrlimit(RLIMIT_CORE, &no_core) == -1)
		return err_set(e, ERR_SYS, errno, "no core dumps");
	return 0;
}

static struct ruleset
handled(int abi, enum confine_role role)
{
	struct ruleset r = { .fs = FS_V1 };

	if (abi >= 2)
		r.fs |= FS_REFER;
	if (abi >= 3)
		r.fs |= FS_TRUNCATE;
	/* Even the engine gets its listening sockets from its parent. */
	if (abi >= 4)
		r.net =
		    role == CONFINE_ENGINE ? NET_BIND : NET_BIND | NET_CONNECT;
	if (abi >= 5)
		r.fs |= FS_IOCTL_DEV;
	if (abi >= 6)
		r.scoped = SCOPE_ALL;
	return r;
}

static int
allow_under(int ruleset, int fd, uint64_t access, struct err *e)
{
	const struct landlock_path_beneath_attr a = { .allowed_access = access,
		.parent_fd = fd };

	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		&a, 0) == -1)
		return err_set(e, ERR_SYS, errno, "landlock: add rule");
	return 0;
}

static int
allow_read(int ruleset, const char *path, struct err *e)
{
	AUTO(close) int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd == -1)
		return 0; /* what is not there needs no permission */
	if (fstat(fd, &st) == -1)
		return err_set(e, ERR_SYS, errno, "landlock: %s", path);
	/* On a file the kernel refuses rights that only folders have. */
	if (allow_under(ruleset, fd,
		S_ISDIR(st.st_mode) ? FS_READ : FS_READ_FILE, e) == -1)
		return err_wrap(e, "%s", path);
	return 0;
}

static int
confine_files(const struct confine_spec *s, int *abi, struct err *e)
{
	AUTO(close) int fd = -1;
	const char *const *path;
	const int *dir;
	struct ruleset r;

	*abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	if (*abi < 1) {
		*abi = 0;
		return 0;
	}
	r = handled(*abi, s->role);
	fd = (int)syscall(SYS_landlock_create_ruleset, &r, sizeof(r), 0);
	if (fd == -1)
		return err_set(e, ERR_SYS, errno, "landlock");
	for (path = s->read_paths; path != NULL && *path != NULL; path++)
		if (allow_read(fd, *path, e) == -1)
			return -1;
	for (dir = s->write_dirs; dir != NULL && *dir != -1; dir++)
		if (allow_under(fd, *dir, r.fs & ~(uint64_t)FS_SPECIAL, e) ==
		    -1)
			return -1;
	if (syscall(SYS_landlock_restrict_self, fd, 0) == -1)
		return err_set(e, ERR_SYS, errno, "landlock: restrict");
	return 0;
}

/* clang-format off */

/*
 * By name, because not every architecture has every call, nor every version of
 * libseccomp every name; a name that is unknown here is skipped.
 */
static const char *const for_all[] = {
	/* descriptors that are open */
	"read", "readv", "pread64", "preadv", "write", "writev", "pwrite64",
	"pwritev", "lseek", "_llseek", "close", "close_range", "dup", "dup2",
	"dup3", "fcntl", "fcntl64", "flock", "fsync", "fdatasync",
	"sync_file_range", "sync_file_range2", "ftruncate",
	"ftruncate64", "fallocate", "fadvise64", "fadvise64_64", "pipe",
	"pipe2", "memfd_create", "eventfd2",
	"signalfd4", "timerfd_create", "timerfd_settime", "timerfd_gettime",
	"timerfd_settime64", "timerfd_gettime64",
	/* files, as far as Landlock and their modes let us */
	"stat", "stat64", "lstat", "lstat64", "fstat",
	"fstat64", "newfstatat", "fstatat64", "statx", "statfs", "statfs64",
	"fstatfs", "fstatfs64", "access", "faccessat", "faccessat2",
	"getdents", "getdents64", "getcwd", "readlink", "readlinkat", "rename",
	"renameat", "renameat2", "unlink", "unlinkat", "rmdir", "mkdir",
	"mkdirat", "umask",
	/* memory */
	"brk", "munmap", "mremap", "madvise", "mincore", "mlock", "mlock2",
	"munlock", "membarrier",
	/* waiting */
	"poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6",
	"pselect6_time64", "epoll_create", "epoll_create1", "epoll_ctl",
	"epoll_ctl_old", "epoll_wait", "epoll_pwait", "epoll_pwait2",
	"nanosleep", "clock_nanosleep", "clock_nanosleep_time64",
	/* time and chance */
	"clock_gettime", "clock_gettime64", "clock_getres",
	"clock_getres_time64", "gettimeofday", "time", "getrandom",
	/* threads and signals of our own */
	"futex", "futex_time64", "set_robust_list", "get_robust_list", "rseq",
	"set_tid_address", "sched_yield", "sched_getaffinity", "getcpu",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending",
	"rt_sigtimedwait", "rt_sigtimedwait_time64", "sigaltstack",
	"sigreturn", "restart_syscall", "arch_prctl", "exit", "exit_group",
	/* who and where we are */
	"getpid", "getppid", "gettid", "getuid", "getuid32", "geteuid",
	"geteuid32", "getgid", "getgid32", "getegid", "getegid32",
	"getresuid", "getresgid", "getgroups", "getgroups32", "uname",
	"sysinfo", "getrusage", "getrlimit", "ugetrlimit",
	/* sockets that are open */
	"sendmsg", "recvmsg", "getsockopt", "shutdown",
};

static const char *const for_engine[] = {
	"connect", "bind", "accept", "accept4", "getsockname", "getpeername",
	"sendto", "recvfrom", "send", "recv", "sendmmsg", "recvmmsg",
	"recvmmsg_time64",
	/* with PROT_EXEC: name service modules are loaded when first needed */
	"mmap", "mmap2", "mprotect",
};

/*
 * What is on no list gets ENOSYS, so that a newer C library falls back to the
 * older calls that are on one (clone3 to clone, faccessat2, openat2).  These
 * few would puzzle whoever reads that they do not exist.
 */
static const char *const refused[] = {
	"execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv",
	"process_vm_writev", "kill", "tkill", "mount", "bpf", "keyctl",
	"io_uring_setup", "listen",
};

/* clang-format on */

/* s390 has the first two arguments of clone the other way round. */
#ifdef __s390__
#define CLONE_FLAGS 1
#else
#define CLONE_FLAGS 0
#endif

static int
add_rule(scmp_filter_ctx ctx, uint32_t action, const char *name, unsigned n,
    const struct scmp_arg_cmp *args)
{
	int nr = seccomp_syscall_resolve_name(name);

	if (nr == __NR_SCMP_ERROR)
		return 0;
	return seccomp_rule_add_array(ctx, action, nr, n, args);
}

static int
add_list(
    scmp_filter_ctx ctx, uint32_t action, const char *const *names, size_t n)
{
	size_t i;
	int r;

	for (i = 0; i < n; i++) {
		r = add_rule(ctx, action, names[i], 0, NULL);
		if (r != 0)
			return r;
	}
	return 0;
}

struct arg_rule { /* allowed when (argument & mask) == value, for each of n */
	const char *name;
	unsigned n;
	struct {
		unsigned arg;
		uint64_t mask, value;
	} is[2];
};

#define INT 0xffffffffu /* of an int the kernel looks at 32 bits only */

static int
add_arg_rules(scmp_filter_ctx ctx, const struct arg_rule *rules, size_t n)
{
	struct scmp_arg_cmp cmp[2] = { 0 };
	const struct arg_rule *rule;
	unsigned i;
	int r;

	for (rule = rules; rule < rules + n; rule++) {
		for (i = 0; i < rule->n; i++)
			cmp[i] = (struct scmp_arg_cmp){ rule->is[i].arg,
				SCMP_CMP_MASKED_EQ, rule->is[i].mask,
				rule->is[i].value };
		r = add_rule(ctx, SCMP_ACT_ALLOW, rule->name, rule->n, cmp);
		if (r != 0)
			return r;
	}
	return 0;
}

static int
add_args_for_all(scmp_filter_ctx ctx)
{
	const uint64_t me = (uint64_t)getpid();
	/* clang-format off */
	const struct arg_rule rules[] = {
		{ "clone",     1, { { CLONE_FLAGS, CLONE_THREAD, CLONE_THREAD } } },
		{ "tgkill",    1, { { 0, INT, me              } } },
		{ "prlimit64", 1, { { 0, INT, 0               } } },
		/* nothing that runs as its owner, whoever starts it */
		{ "open",      1, { { 1, O_CREAT, 0           } } },
		{ "open",      1, { { 2, S_ISUID | S_ISGID, 0 } } },
		{ "openat",    1, { { 2, O_CREAT, 0           } } },
		{ "openat",    1, { { 3, S_ISUID | S_ISGID, 0 } } },
		{ "fchmod",    1, { { 1, S_ISUID | S_ISGID, 0 } } },
		{ "prctl",     1, { { 0, INT, PR_SET_NAME     } } },
		{ "prctl",     1, { { 0, INT, PR_GET_NAME     } } },
		{ "prctl",     1, { { 0, INT, PR_GET_DUMPABLE } } },
		{ "prctl",     1, { { 0, INT, PR_SET_VMA      } } },
		{ "ioctl",     1, { { 1, INT, FIONREAD        } } },
		{ "ioctl",     1, { { 1, INT, FIONBIO         } } },
		{ "ioctl",     1, { { 1, INT, TCGETS          } } },
		{ "ioctl",     1, { { 1, INT, TIOCGWINSZ      } } },
	};
	/* clang-format on */

	return add_arg_rules(ctx, rules, NELEM(rules));
}

/*
 * All of setsockopt but SO_LINGER: whoever closes such a socket last waits, and
 * that may be the supervisor, to whom it was sent in a message.  Allowed is
 * what differs from it in any one bit, as a filter has no "not" for the 32 bits
 * that the kernel looks at.
 */
static int
add_options(scmp_filter_ctx ctx)
{
	const uint64_t level = SOL_SOCKET, linger = SO_LINGER;
	uint64_t bit;
	int r = 0;

	for (bit = 1; r == 0 && (bit & INT) != 0; bit <<= 1) {
		const struct arg_rule rules[] = {
			{ "setsockopt", 1, { { 1, bit, bit & ~level } } },
			{ "setsockopt", 1, { { 2, bit, bit & ~linger } } },
		};

		r = add_arg_rules(ctx, rules, NELEM(rules));
	}
	return r;
}

static int
add_engine(scmp_filter_ctx ctx)
{
	/* clang-format off */
	/* Netlink tells getaddrinfo(3) which addresses this host has. */
	static const struct arg_rule rules[] = {
		{ "socket",     1, { { 0, INT, AF_INET    } } },
		{ "socket",     1, { { 0, INT, AF_INET6   } } },
		{ "socket",     1, { { 0, INT, AF_UNIX    } } },
		{ "socket",     2, { { 0, INT, AF_NETLINK }, { 2, INT, 0 } } },
		{ "socketpair", 1, { { 0, INT, AF_UNIX    } } },
	};
	/* clang-format on */
	int r = add_list(ctx, SCMP_ACT_ALLOW, for_engine, NELEM(for_engine));

	return r != 0 ? r : add_arg_rules(ctx, rules, NELEM(rules));
}

static int
add_keeper(scmp_filter_ctx ctx)
{
	/* clang-format off */
	/* Nothing becomes code that is not code already. */
	static const struct arg_rule rules[] = {
		{ "mmap",     1, { { 2, PROT_EXEC, 0 } } },
		{ "mmap2",    1, { { 2, PROT_EXEC, 0 } } },
		{ "mprotect", 1, { { 2, PROT_EXEC, 0 } } },
	};
	/* clang-format on */

	return add_arg_rules(ctx, rules, NELEM(rules));
}

static int
load_filter(scmp_filter_ctx ctx, enum confine_role role)
{
	int r;

	if ((r = add_list(ctx, SCMP_ACT_ALLOW, for_all, NELEM(for_all))) != 0 ||
	    (r = add_list(
		 ctx, SCMP_ACT_ERRNO(EPERM), refused, NELEM(refused))) != 0 ||
	    (r = add_args_for_all(ctx)) != 0 || (r = add_options(ctx)) != 0)
		return r;
	r = role == CONFINE_ENGINE ? add_engine(ctx) : add_keeper(ctx);
	if (r != 0)
		return r;
	/* Threads that a library may have started already are included. */
	if ((r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1)) != 0)
		return r;
	return seccomp_load(ctx);
}

static int
confine_calls(enum confine_role role, bool *done, struct err *e)
{
	scmp_filter_ctx ctx;
	int r;

	*done = false;
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == -1 && errno == EINVAL)
		return 0; /* a kernel without it */
	ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (ctx == NULL)
		return err_nomem(e, "seccomp");
	r = load_filter(ctx, role);
	seccomp_release(ctx);
	if (r != 0)
		return err_set(e, ERR_SYS, -r, "seccomp");
	*done = true;
	return 0;
}

int
confine(const struct confine_spec *s, struct confine_done *done, struct err *e)
{
	*done = (struct confine_done){ 0 };
	if (drop_privileges(e) == -1 ||
	    confine_files(s, &done->landlock_abi, e) == -1 ||
	    confine_calls(s->role, &done->seccomp, e) == -1)
		return err_wrap(e, "confine");
	return 0;
}
