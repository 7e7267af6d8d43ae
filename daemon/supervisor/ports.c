/* SPDX-License-Identifier: ISC */
/* Binding, taking over and keeping listening sockets. */
#include "daemon/supervisor/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/log.h"

static int
adopt_one(struct ports *p, int fd, struct err *e)
{
	socklen_t len = sizeof(int);
	int flags, listens = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == -1 ||
	    !listens)
		return err_set(e, ERR_CONFIG, 0,
		    "descriptor %d from systemd is not a listening stream "
		    "socket",
		    fd);
	flags = fcntl(fd, F_GETFL);
	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
		return err_set(e, ERR_SYS, errno, "descriptor %d", fd);
	if (sock_is_unix(fd)) {
		if (p->control_given)
			return err_set(e, ERR_CONFIG, 0,
			    "systemd passed two control sockets");
		p->control = fd;
		p->control_given = true;
		return 0;
	}
	if (p->n == PORTS_MAX)
		return err_set(e, ERR_LIMIT, 0,
		    "systemd passed more than %d sockets", PORTS_MAX);
	if (sock_name(fd, p->http[p->n].addr, e) == -1)
		return -1;
	p->http[p->n++].fd = fd;
	p->http_given = true;
	return 0;
}

int
ports_adopt(struct ports *p, int first, int n, struct err *e)
{
	int i;

	for (i = 0; i < n; i++)
		if (adopt_one(p, first + i, e) == -1)
			return -1;
	for (i = 0; i < (int)p->n; i++)
		log_info("listening socket from systemd",
		    KV("address", p->http[i].addr));
	return 0;
}

int
ports_access(const struct conf *conf, gid_t *gid, mode_t *mode, struct err *e)
{
	const struct group *gr;

	*gid = (gid_t)-1;
	*mode = conf->control.others == CONF_OTHERS_READ ? 0666 : 0660;
	if (conf->control.group == NULL)
		return 0;
	errno = 0;
	gr = getgrnam(conf->control.group);
	if (gr == NULL && errno != 0 && errno != ENOENT)
		return err_set(
		    e, ERR_SYS, errno, "look up group %s", conf->control.group);
	if (gr == NULL)
		return err_set(e, ERR_CONFIG, 0,
		    "control: there is no group \"%s\": groupadd --system %s",
		    conf->control.group, conf->control.group);
	*gid = gr->gr_gid;
	return 0;
}

/* /run is empty after a boot: the socket's folder is made, its parents not. */
static int
parent_make(const char *path, struct err *e)
{
	AUTO(free) char *dir = strdup(path);
	char *slash;

	if (dir == NULL)
		return err_nomem(e, "control socket");
	slash = strrchr(dir, '/');
	if (slash == NULL || slash == dir)
		return 0;
	*slash = '\0';
	if (mkdir(dir, 0755) == -1 && errno != EEXIST)
		return err_set(e, ERR_SYS, errno, "make %s", dir);
	return 0;
}

int
ports_control(struct ports *p, const struct conf *conf, struct err *e)
{
	mode_t mode;

	if (ports_access(conf, &p->control_gid, &mode, e) == -1)
		return -1;
	if (p->control_given)
		return 0;
	if (parent_make(conf->control.socket, e) == -1)
		return -1;
	p->control_path = strdup(conf->control.socket);
	if (p->control_path == NULL)
		return err_nomem(e, "control socket");
	p->control = sock_listen_unix(p->control_path, mode, p->control_gid, e);
	if (p->control == -1) {
		/* it may be somebody else's */
		free(take_ptr(p->control_path));
		return err_wrap(e, "control socket");
	}
	return 0;
}

int
ports_control_mend(struct ports *p, const struct conf *conf, struct err *e)
{
	mode_t mode;
	gid_t gid;

	if (ports_access(conf, &gid, &mode, e) == -1)
		return -1;
	if (p->control_path != NULL) {
		/* no group any more: root's own */
		if (lchown(p->control_path, (uid_t)-1,
			gid == (gid_t)-1 ? getegid() : gid) == -1 ||
		    chmod(p->control_path, mode) == -1)
			return err_set(
			    e, ERR_SYS, errno, "%s", p->control_path);
	}
	p->control_gid = gid;
	return 0;
}

static const struct port *
port_find(const struct ports *p, const char *addr)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (strcmp(p->http[i].addr, addr) == 0)
			return &p->http[i];
	return NULL;
}

/*
 * A host without IPv6 cannot listen on [::]:80, which the default asks for.
 * That is worth a line, not a refusal, if there is another address.
 */
static bool
family_missing(const char *addr, const struct err *e)
{
	return addr[0] == '[' && e->kind == ERR_SYS &&
	       (e->num == EAFNOSUPPORT || e->num == EADDRNOTAVAIL);
}

static int
plan_one(const struct ports *now, const char *addr, struct ports *next,
    struct err *e)
{
	const struct port *old = port_find(now, addr);
	struct port *p = &next->http[next->n];
	int n;

	if (next->n == PORTS_MAX)
		return err_set(e, ERR_LIMIT, 0,
		    "http: more than %d listen addresses", PORTS_MAX);
	if (port_find(next, addr) != NULL)
		return 0;
	n = snprintf(p->addr, sizeof(p->addr), "%s", addr);
	if (n < 0 || (size_t)n >= sizeof(p->addr))
		return err_set(
		    e, ERR_CONFIG, 0, "http: listen: %s: too long", addr);
	p->fresh = old == NULL;
	p->fd = old != NULL ? old->fd : sock_listen(addr, e);
	if (p->fd == -1)
		return -1;
	next->n++;
	return 0;
}

int
ports_plan(const struct ports *now, const struct conf *conf, struct ports *next,
    struct err *e)
{
	const char *const *addr = conf->http.listen;
	uint32_t i, skipped = 0;

	*next = *now;
	for (i = 0; i < now->n; i++)
		next->http[i].fresh = false;
	if (now->http_given)
		return 0;
	next->n = 0;
	for (i = 0; i < conf->http.n_listen; i++) {
		if (plan_one(now, addr[i], next, e) == 0)
			continue;
		if (family_missing(addr[i], e) &&
		    ++skipped < conf->http.n_listen) {
			log_warn("cannot listen there, going on without",
			    KV("address", addr[i]), KV("error", e->what));
			continue;
		}
		ports_drop(next);
		return err_wrap(e, "http: listen");
	}
	return 0;
}

void
ports_switch(struct ports *now, const struct ports *next)
{
	size_t i;

	for (i = 0; i < now->n; i++)
		if (port_find(next, now->http[i].addr) == NULL)
			(void)close(now->http[i].fd);
	*now = *next;
}

void
ports_drop(const struct ports *next)
{
	size_t i;

	for (i = 0; i < next->n; i++)
		if (next->http[i].fresh)
			(void)close(next->http[i].fd);
}

void
ports_close(struct ports *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		(void)close(p->http[i].fd);
	if (p->control_path != NULL)
		(void)unlink(p->control_path);
	free(p->control_path);
	close_p(&p->control);
	*p = PORTS_INIT;
}
