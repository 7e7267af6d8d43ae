/* SPDX-License-Identifier: ISC */
/* Making, owning and locking the state folder. */
#include "daemon/supervisor/state.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/cleanup.h"
#include "lib/base/fs.h"

static int
user_find(const char *name, struct ids *out, struct err *e)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(name);
	if (pw == NULL && errno != 0 && errno != ENOENT)
		return err_set(e, ERR_SYS, errno, "look up user %s", name);
	if (pw == NULL)
		return err_set(e, ERR_CONFIG, 0,
		    "there is no user \"%s\": run systemd-sysusers, or "
		    "adduser --system --group %s",
		    name, name);
	if (pw->pw_uid == 0)
		return err_set(e, ERR_CONFIG, 0,
		    "user \"%s\" is root: the engine and the keeper must not "
		    "be",
		    name);
	out->uid = pw->pw_uid;
	out->gid = pw->pw_gid;
	return 0;
}

int
state_users(struct state *s, const struct conf *conf, bool root, struct err *e)
{
	if (!root) {
		s->engine_ids = (struct ids){ getuid(), getgid() };
		s->keeper_ids = s->engine_ids;
		return 0;
	}
	if (user_find(conf->user, &s->engine_ids, e) == -1 ||
	    user_find(conf->keeper_user, &s->keeper_ids, e) == -1)
		return -1;
	if (s->engine_ids.uid == s->keeper_ids.uid)
		return err_set(e, ERR_CONFIG, 0,
		    "user and keeper-user are one and the same (%s): then "
		    "nothing keeps the engine from the keys",
		    conf->user);
	return 0;
}

/* The folder itself: it may hang from a symlink, but others may not write. */
static int
top_open(const char *path, struct err *e)
{
	AUTO(close) int fd = -1;
	struct stat st;

	if (mkdir(path, 0755) == -1 && errno != EEXIST)
		return err_set(e, ERR_SYS, errno, "make state-dir %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1)
		return err_set(e, ERR_SYS, errno, "open state-dir %s", path);
	if (st.st_uid != geteuid())
		return err_set(e, ERR_CONFIG, 0,
		    "state-dir %s belongs to uid %u, not to acmed's own (%u): "
		    "%s %s",
		    path, (unsigned)st.st_uid, (unsigned)geteuid(),
		    geteuid() == 0
			? "chown root"
			: "start it as root, or with a state-dir instead of",
		    path);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return err_set(e, ERR_CONFIG, 0,
		    "state-dir %s: others may write there: chmod 755 %s", path,
		    path);
	return take_fd(&fd);
}

static int
lock_take(struct state *s, const char *path, struct err *e)
{
	s->lock = fs_lock(s->dir, "lock", e);
	if (s->lock != -1)
		return 0;
	if (e->kind == ERR_STALE)
		return err_wrap(e, "another acmed uses %s", path);
	return err_wrap(e, "state-dir %s", path);
}

int
state_open(struct state *s, const struct conf *conf, bool root, struct err *e)
{
	const struct ids own = { root ? 0 : getuid(), root ? 0 : getgid() };
	const struct {
		const char *name;
		int *fd;
		mode_t mode;
		const struct ids *ids;
	} parts[] = {
		{ "engine", &s->engine, 0700, &s->engine_ids },
		{ "keeper", &s->keeper, 0700, &s->keeper_ids },
		{ "versions", &s->versions, 0755, &own },
		{ "live", &s->live, 0755, &own },
	};
	size_t i;

	if (state_users(s, conf, root, e) == -1)
		return -1;
	s->dir = top_open(conf->state_dir, e);
	if (s->dir == -1 || lock_take(s, conf->state_dir, e) == -1)
		return -1;
	for (i = 0; i < NELEM(parts); i++) {
		*parts[i].fd = fs_make_dir(s->dir, parts[i].name, parts[i].mode,
		    parts[i].ids->uid, parts[i].ids->gid, e);
		if (*parts[i].fd == -1)
			return err_wrap(e, "state-dir %s", conf->state_dir);
	}
	return 0;
}

void
state_close(struct state *s)
{
	close_p(&s->engine);
	close_p(&s->keeper);
	close_p(&s->versions);
	close_p(&s->live);
	close_p(&s->lock);
	close_p(&s->dir);
	*s = STATE_INIT;
}
