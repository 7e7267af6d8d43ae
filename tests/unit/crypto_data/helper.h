/* SPDX-License-Identifier: ISC */
/* For tests/unit/crypto_*.c: the files beside this one, and openssl(1). */
#pragma once

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/base/fs.h"

#define DATA_MAX (1u << 20)

/* Append the file to out. */
static inline void
slurp(const char *name, struct buf *out)
{
	AUTO(close)
	int dir = open(SOURCE_DIR "/tests/unit/crypto_data",
	    O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	struct err e;

	assert_int_not_equal(dir, -1);
	assert_int_equal(fs_read(dir, name, out, &e), 0);
}

/*
 * Run openssl with these arguments (NULL-terminated) and that input; out gets
 * what it says on both streams.  Returns its exit code.
 */
static inline int
openssl(struct buf *out, const void *in, size_t len, ...)
{
	const char *argv[32] = { "openssl" };
	AUTO(close) int ifd = memfd_create("in", MFD_CLOEXEC);
	AUTO(close) int ofd = memfd_create("out", MFD_CLOEXEC);
	struct err e;
	size_t n = 1;
	int status;
	va_list ap;
	pid_t pid;

	va_start(ap, len);
	do {
		assert_true(n < NELEM(argv));
		argv[n] = va_arg(ap, const char *);
	} while (argv[n++] != NULL);
	va_end(ap);
	assert_int_equal(write(ifd, in, len), len);
	assert_int_equal(lseek(ifd, 0, SEEK_SET), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		if (dup2(ifd, 0) == 0 && dup2(ofd, 1) == 1 && dup2(ofd, 2) == 2)
			(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), 127);
	assert_int_equal(fs_read_fd(ofd, out, &e), 0);
	return WEXITSTATUS(status);
}

static inline void
assert_contains(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static inline void
assert_starts(const char *text, const char *start)
{
	if (strncmp(text, start, strlen(start)) != 0)
		fail_msg("\"%s\" does not start with \"%s\"", text, start);
}

static inline void
assert_lacks(const char *text, const char *part)
{
	if (strstr(text, part) != NULL)
		fail_msg("\"%s\" is in \"%s\"", part, text);
}
