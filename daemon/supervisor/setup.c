/* SPDX-License-Identifier: ISC */
/* Loading the configuration, and the files that it names for root to open. */
#include "daemon/supervisor/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/supervisor/ports.h"
#include "daemon/supervisor/state.h"
#include "lib/base/fs.h"
#include "lib/io/proc.h"
#include "lib/io/sock.h"

#define NOTIFY_MAX 512
#define STATUS_MAX 400

static void
complain(struct conf_report *r, const char *path, const char *what)
{
	buf_printf(&r->errors, "%s: %s\n", path, what);
	r->n_errors++;
}

/*
 * Symlinks are followed: the path comes from a file that only root writes, and
 * secrets that an orchestrator mounts are symlinks.
 */
static int
secret_open(const char *path, struct err *e)
{
	AUTO(close) int fd = -1;
	struct stat st;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1)
		return err_set(e, ERR_SYS, errno, "%s", path);
	if (fstat(fd, &st) == -1)
		return err_set(e, ERR_SYS, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(
		    e, ERR_CONFIG, 0, "%s: not a regular file", path);
	if ((st.st_mode & (S_IROTH | S_IWOTH)) != 0)
		return err_set(e, ERR_CONFIG, 0,
		    "%s: everybody may read this secret: chmod 600 %s", path,
		    path);
	return take_fd(&fd);
}

static void
warn(struct conf_report *r, const char *path, const struct err *e)
{
	buf_printf(&r->warnings, "%s: warning: %s\n", path, e->what);
}

/* One that is not there is missed when an account is made, and not before: an
 * account that is there does without (protocol D13). */
static void
secrets_open(struct setup *s, const char *path, struct conf_report *r)
{
	const struct conf_ca *ca;
	struct err e;
	uint32_t i;
	int fd;

	for (i = 0; i < s->conf->n_cas; i++) {
		ca = &s->conf->cas[i];
		if (!ca->used || ca->eab_hmac_file == NULL)
			continue;
		if (s->n_secrets == IPC_SECRETS) {
			complain(r, path, "too many CAs with hmac-file");
			return;
		}
		fd = secret_open(ca->eab_hmac_file, &e);
		if (fd == -1) {
			(void)err_wrap(&e, "ca %s: hmac-file", ca->name);
			if (e.kind == ERR_SYS)
				warn(r, path, &e);
			else
				complain(r, path, e.what);
			continue;
		}
		s->ca_of_secret[s->n_secrets] = i;
		s->secrets[s->n_secrets++] = fd;
	}
}

/* What may be there when it is needed, and now is not. */
static void
look_for_files(const struct conf *conf, const char *path, struct conf_report *r)
{
	char program[PATH_MAX];
	struct err e;
	uint32_t i;

	for (i = 0; i < conf->n_commands; i++)
		if (proc_find(conf->commands[i].argv[0], program, &e) == -1) {
			(void)err_wrap(&e, "reload");
			warn(r, path, &e);
		}
	for (i = 0; i < conf->n_cas; i++) {
		const struct conf_ca *ca = &conf->cas[i];

		if (!ca->used || ca->ca_file == NULL ||
		    access(ca->ca_file, R_OK) == 0)
			continue;
		(void)err_set(&e, ERR_SYS, errno, "CA `%s`: ca-file: %s",
		    ca->name, ca->ca_file);
		warn(r, path, &e);
	}
}

int
setup_check(const struct setup *s, const char *path, struct conf_report *r)
{
	struct state st = STATE_INIT;
	struct err e;
	mode_t mode;
	gid_t gid;

	if (state_users(&st, s->conf, true, &e) == -1)
		complain(r, path, e.what);
	if (ports_access(s->conf, &gid, &mode, &e) == -1)
		complain(r, path, e.what);
	return r->n_errors == 0 ? 0 : -1;
}

struct setup *
setup_load(const char *path, struct conf_report *r)
{
	AUTO(buf_done) struct buf bundle = BUF_INIT(CONF_BUNDLE_MAX);
	AUTO(setup_free) struct setup *s = calloc(1, sizeof(*s));
	struct err e;

	if (s == NULL) {
		complain(r, path, "out of memory");
		return NULL;
	}
	s->bundle = -1;
	if (conf_read(path, &bundle, r) == -1)
		return NULL;
	s->conf = conf_load(bundle.data, bundle.len, r);
	if (s->conf == NULL)
		return NULL;
	s->bundle = fs_memfd("acmed.yaml", bundle.data, bundle.len, &e);
	if (s->bundle == -1) {
		complain(r, path, e.what);
		return NULL;
	}
	secrets_open(s, path, r);
	look_for_files(s->conf, path, r);
	if (r->n_errors > 0)
		return NULL;
	return take_ptr(s);
}

void
setup_free(struct setup *s)
{
	uint32_t i;

	if (s == NULL)
		return;
	for (i = 0; i < s->n_secrets; i++)
		(void)close(s->secrets[i]);
	if (s->bundle != -1)
		(void)close(s->bundle);
	conf_free(s->conf);
	free(s);
}

void
setup_log(enum log_level level, const char *msg, const char *lines)
{
	AUTO(free) char *copy = strdup(lines);
	char *rest = copy, *line;

	if (copy == NULL)
		return; /* what the lines are about is logged anyway */
	while ((line = strsep(&rest, "\n")) != NULL)
		if (*line != '\0')
			LOG_AT(level, msg, KV("at", line), { 0 });
}

void
setup_notify(const char *state, const char *lines)
{
	AUTO(buf_done) struct buf text = BUF_INIT(NOTIFY_MAX);
	size_t len = strcspn(lines, "\n");

	buf_printf(&text, "%s: %.*s", state,
	    (int)(len < STATUS_MAX ? len : STATUS_MAX), lines);
	sock_notify(buf_str(&text));
}
