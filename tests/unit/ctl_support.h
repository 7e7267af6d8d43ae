/* SPDX-License-Identifier: ISC */
/* What the tests of acmectl's pages share: answers in, what is printed out. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/ctl/ctl.h"
#include "daemon/ctl/out.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"

#define NOW INT64_C(1795446245) /* 2026-11-23T15:04:05Z */

static struct ctl ctl;
static int page, screen;
static struct buf text;

static inline struct json *
parse(const char *json)
{
	struct err e;
	struct json *root = json_parse(json, strlen(json), &e);

	if (root == NULL)
		fail_msg("%s", e.what);
	return root;
}

static inline void
begin_page(void)
{
	(void)fflush(stdout);
	page = memfd_create("page", MFD_CLOEXEC);
	screen = dup(STDOUT_FILENO);
	assert_int_not_equal(dup2(page, STDOUT_FILENO), -1);
}

static inline const char *
end_page(void)
{
	(void)fflush(stdout);
	assert_int_not_equal(dup2(screen, STDOUT_FILENO), -1);
	buf_reset(&text);
	assert_int_equal(fs_read_fd(page, &text, NULL), 0);
	(void)close(page);
	(void)close(screen);
	return buf_str(&text);
}

static inline void
expect(void (*print)(const struct ctl *, const struct json *), const char *json,
    const char *want)
{
	AUTO(json_free) struct json *root = parse(json);
	const char *have;

	begin_page();
	print(&ctl, root);
	have = end_page();
	if (strcmp(have, want) != 0)
		fail_msg("have:\n%s\nwant:\n%s", have, want);
}

static inline int
begin(void **state)
{
	(void)state;
	ctl = (struct ctl){ .colour = false };
	clock_fake(NOW);
	text = BUF_INIT(1 << 20);
	return 0;
}

static inline int
end(void **state)
{
	(void)state;
	buf_done(&text);
	return 0;
}
