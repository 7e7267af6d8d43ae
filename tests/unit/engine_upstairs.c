/* SPDX-License-Identifier: ISC */
/* What the engine makes of root's answers to FORGET and FIND, and of REFUSED.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/engine/upstairs.h"
#include "lib/base/cleanup.h"
#include "lib/ipc/chan.h"

static struct loop *loop;
static struct upstairs *up;
static struct chan *root;
static struct ipc_forgot answer;
static char asked[IPC_NAME + 32], path[IPC_PATH];
static unsigned answers;
static struct err error;

static int
on_forget(void *arg, struct chan_msg *m, struct err *e)
{
	const struct ipc_forget *req = m->body;

	(void)arg;
	memcpy(asked, req->name, sizeof(req->name));
	return chan_send(
	    root, IPC_FORGOT, m->id, &answer, sizeof(answer), NULL, 0, -1, e);
}

static struct ipc_found what;
static const char *tail;

static int
on_find(void *arg, struct chan_msg *m, struct err *e)
{
	const struct ipc_find *req = m->body;

	(void)arg;
	(void)snprintf(asked, sizeof(asked), "%u %u %s", req->cert, req->skip,
	    req->key_id);
	return chan_send(root, IPC_FOUND, m->id, &what, sizeof(what), tail,
	    strlen(tail), -1, e);
}

static const struct chan_rule rules[IPC__COUNT] = {
	[IPC_FIND] = { "find", sizeof(struct ipc_find), 0, 0, on_find },
	[IPC_FORGET] = { "forget", sizeof(struct ipc_forget), 0, 0, on_forget },
};

static bool may_close;

static void
on_closed(void *arg, const struct err *e)
{
	(void)arg;
	if (!may_close)
		fail_msg("%s", e->what);
	error = *e;
	loop_stop(loop);
}

static void
on_start(void *arg, const struct ipc_start *start)
{
	(void)arg;
	(void)start;
}

static struct ipc_refused heard;

static void
on_refused(void *arg, const struct ipc_refused *r)
{
	(void)arg;
	heard = *r;
	loop_stop(loop);
}

static const struct upstairs_says says = {
	.start = on_start, .refused = on_refused, .gone = on_closed
};

static void
forgot(void *arg, const char *where, const struct err *e)
{
	assert_ptr_equal(arg, &answers);
	answers++;
	error = e == NULL ? (struct err){ .kind = ERR_NONE } : *e;
	(void)snprintf(path, sizeof(path), "%s", where == NULL ? "" : where);
	loop_stop(loop);
}

static int
begin(void **state)
{
	struct err e;
	int fds[2];

	(void)state;
	loop = loop_new(&e);
	assert_int_equal(chan_pair(fds, &e), 0);
	up = upstairs_new(loop, fds[0], &says, NULL, &e);
	root = chan_new(loop, fds[1], rules, on_closed, NULL, &e);
	assert_non_null(up);
	assert_non_null(root);
	answer = (struct ipc_forgot){ .ok = 0 };
	answers = 0;
	may_close = false;
	return 0;
}

static int
end(void **state)
{
	(void)state;
	upstairs_free(up);
	chan_free(root);
	loop_free(loop);
	return 0;
}

static void
forget(const char *name)
{
	struct err e;

	assert_non_null(upstairs_forget(up, name, forgot, &answers, &e));
	assert_int_equal(loop_run(loop, NULL), 0);
	assert_int_equal(answers, 1);
	assert_string_equal(asked, name);
}

static void
archived(void **state)
{
	(void)state;
	answer.ok = 1;
	(void)snprintf(answer.path, sizeof(answer.path), "/st/archive/old-x");
	forget("old");
	assert_int_equal(error.kind, ERR_NONE);
	assert_string_equal(path, "/st/archive/old-x");
}

static void
configuration_refused(void **state)
{
	struct ipc_refused r = { .since = 1,
		.at = 2,
		.n_errors = 3,
		.checks = 1,
		.error = "acmed.yaml:4:1: unknown key" };

	(void)state;
	heard.at = 0;
	assert_int_equal(
	    chan_send(root, IPC_REFUSED, 0, &r, sizeof(r), NULL, 0, -1, NULL),
	    0);
	assert_int_equal(loop_run(loop, NULL), 0);
	assert_memory_equal(&heard, &r, sizeof(r));
	/* once more, and not as root says it */
	memset(r.error, 'x', sizeof(r.error)); /* no NUL */
	may_close = true;
	assert_int_equal(
	    chan_send(root, IPC_REFUSED, 0, &r, sizeof(r), NULL, 0, -1, NULL),
	    0);
	assert_int_equal(loop_run(loop, NULL), 0);
	assert_int_equal(error.kind, ERR_PROTO);
	assert_int_equal(heard.error[0], 'a');
}

static void
missing(void **state)
{
	(void)state;
	answer.missing = 1;
	(void)snprintf(answer.error, sizeof(answer.error), "nothing of old");
	forget("old");
	assert_int_equal(error.kind, ERR_SYS);
	assert_int_equal(error.num, ENOENT);
	assert_string_equal(error.what, "nothing of old");
}

static void
refused(void **state)
{
	(void)state;
	memset(answer.error, 'x', sizeof(answer.error)); /* no NUL */
	forget("old");
	assert_int_equal(error.kind, ERR_SYS);
	assert_int_equal(error.num, 0);
	assert_int_equal(strlen(error.what), sizeof(answer.error) - 1);
}

static void
bad_path(void **state)
{
	(void)state;
	answer.ok = 1;
	memset(answer.path, 'x', sizeof(answer.path)); /* no NUL */
	forget("old");
	assert_int_equal(error.kind, ERR_SYS);
	assert_string_equal(path, "");
}

static void
long_name(void **state)
{
	char name[IPC_NAME + 1];
	struct err e;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_null(upstairs_forget(up, name, forgot, &answers, &e));
	name[IPC_NAME - 1] = '\0';
	forget(name);
}

static void
found(void *arg, const struct found *f, const struct err *e)
{
	assert_ptr_equal(arg, &answers);
	answers++;
	error = e == NULL ? (struct err){ .kind = ERR_NONE } : *e;
	(void)snprintf(path, sizeof(path), "none");
	if (f != NULL)
		(void)snprintf(path, sizeof(path), "%u %d %d %.*s", f->version,
		    f->live, f->whole, (int)f->len, f->len == 0 ? "" : f->pem);
	loop_stop(loop);
}

static void
find(const char *key_id)
{
	struct err e;

	answers = 0;
	assert_non_null(upstairs_find(up, 7, 2, key_id, found, &answers, &e));
	assert_int_equal(loop_run(loop, NULL), 0);
	assert_int_equal(answers, 1);
}

static void
finds(void **state)
{
	char id[IPC_KEY_ID + 1];
	struct err e;

	(void)state;
	tail = "PEM";
	what = (struct ipc_found){
		.version = 4, .live = 1, .whole = 1, .tail_len = 3
	};
	find("key");
	assert_string_equal(asked, "7 2 key");
	assert_string_equal(path, "4 1 1 PEM");
	tail = "";
	what = (struct ipc_found){ .version = 0 };
	find(NULL);
	assert_string_equal(asked, "7 2 ");
	assert_string_equal(path, "0 0 0 ");
	assert_int_equal(error.kind, ERR_NONE);
	/* not to know is not to find nothing */
	what.failed = 1;
	find(NULL);
	assert_string_equal(path, "none");
	assert_int_equal(error.kind, ERR_LIMIT);
	memset(id, 'a', sizeof(id) - 1);
	id[sizeof(id) - 1] = '\0';
	assert_null(upstairs_find(up, 7, 0, id, found, &answers, &e));
}

static void
stop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void
cancelled(void **state)
{
	struct loop_timer *t;
	struct err e;

	(void)state;
	up_cancel(upstairs_forget(up, "old", forgot, &answers, &e));
	forget("other"); /* answered in order: the first has been dropped */
	t = loop_timer_new(loop, stop, NULL, &e);
	loop_timer_set(t, 0);
	assert_int_equal(loop_run(loop, NULL), 0);
	loop_timer_free(t);
	assert_int_equal(answers, 1);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = { T(archived), T(missing), T(refused),
		T(configuration_refused), T(bad_path), T(long_name),
		T(cancelled), T(finds) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
