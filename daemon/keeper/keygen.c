/* SPDX-License-Identifier: ISC */
/*
 * The thread that makes keys.  It sees what is wanted and hands back keys; it
 * knows no files, no channel and no other key.  Keys of elliptic curves go
 * before RSA ones, which take thousands of times as long.
 */
#include "daemon/keeper/keeper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>

#define STACK (256u << 10)

struct job {
	STAILQ_ENTRY(job) entry;
	struct keygen_want want;
	struct key *key; /* NULL: err */
	struct err err;
};
STAILQ_HEAD(job_list, job);

struct keygen {
	/* Of the loop's thread. */
	struct loop_fd *ready;
	keygen_done *done;
	void *arg;
	pthread_t thread;
	unsigned n; /* jobs in any list, or in the making */
	/* Of both. */
	int fd; /* eventfd: how many are in made */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct job_list fast, slow, made;
	bool busy, stop;
};

static void
job_free(struct job *j)
{
	key_free(j->key);
	free(j);
}

static void
empty(struct job_list *list)
{
	struct job *j;

	while ((j = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, entry);
		job_free(j);
	}
}

static void
destroy(struct keygen *g)
{
	empty(&g->fast);
	empty(&g->slow);
	empty(&g->made);
	(void)pthread_cond_destroy(&g->wake);
	(void)pthread_mutex_destroy(&g->lock);
	if (g->fd != -1)
		(void)close(g->fd);
	free(g);
}

static struct job *
next_job(struct keygen *g)
{
	struct job_list *list = STAILQ_EMPTY(&g->fast) ? &g->slow : &g->fast;
	struct job *j = STAILQ_FIRST(list);

	if (j != NULL)
		STAILQ_REMOVE_HEAD(list, entry);
	return j;
}

static void *
work(void *arg)
{
	struct keygen *g = arg;
	struct job *j;

	(void)pthread_mutex_lock(&g->lock);
	while (!g->stop) {
		j = next_job(g);
		if (j == NULL) {
			(void)pthread_cond_wait(&g->wake, &g->lock);
			continue;
		}
		g->busy = true;
		(void)pthread_mutex_unlock(&g->lock);
		j->key = key_generate(j->want.type, &j->err);
		(void)pthread_mutex_lock(&g->lock);
		g->busy = false;
		STAILQ_INSERT_TAIL(&g->made, j, entry);
		if (g->stop) {
			/* keygen_free() has left everything to us. */
			(void)pthread_mutex_unlock(&g->lock);
			destroy(g);
			return NULL;
		}
		/* Cannot overflow: there are KEYGEN_MAX at most. */
		(void)eventfd_write(g->fd, 1);
	}
	(void)pthread_mutex_unlock(&g->lock);
	return NULL;
}

/* One a turn of the loop: each costs an fsync, and signatures go between. */
static void
on_ready(void *arg, int fd, unsigned what)
{
	struct keygen *g = arg;
	struct job *j;
	eventfd_t one;

	(void)what;
	if (eventfd_read(fd, &one) == -1)
		return;
	(void)pthread_mutex_lock(&g->lock);
	j = STAILQ_FIRST(&g->made);
	STAILQ_REMOVE_HEAD(&g->made, entry);
	(void)pthread_mutex_unlock(&g->lock);
	g->n--;
	g->done(g->arg, &j->want, take_ptr(j->key), &j->err);
	job_free(j);
}

int
keygen_start(struct keygen *g, const struct keygen_want *w, struct err *e)
{
	struct job *j;

	if (g->n == KEYGEN_MAX)
		return err_set(
		    e, ERR_LIMIT, 0, "%u keys are being made", KEYGEN_MAX);
	j = calloc(1, sizeof(*j));
	if (j == NULL)
		return err_nomem(e, "new key");
	j->want = *w;
	g->n++;
	(void)pthread_mutex_lock(&g->lock);
	if (w->type == KEY_EC256 || w->type == KEY_EC384)
		STAILQ_INSERT_TAIL(&g->fast, j, entry);
	else
		STAILQ_INSERT_TAIL(&g->slow, j, entry);
	(void)pthread_cond_signal(&g->wake);
	(void)pthread_mutex_unlock(&g->lock);
	return 0;
}

/* The thread takes no signal: they are the loop's. */
static int
start_thread(struct keygen *g, struct err *e)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int r;

	r = pthread_attr_init(&attr);
	if (r != 0)
		return err_set(e, ERR_SYS, r, "thread");
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_attr_setstacksize(&attr, STACK);
	if (r == 0)
		r = pthread_create(&g->thread, &attr, work, g);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attr);
	return r == 0 ? 0 : err_set(e, ERR_SYS, r, "thread");
}

struct keygen *
keygen_new(struct loop *loop, keygen_done *done, void *arg, struct err *e)
{
	struct keygen *g = calloc(1, sizeof(*g));

	if (g == NULL) {
		(void)err_nomem(e, "thread");
		return NULL;
	}
	g->done = done;
	g->arg = arg;
	STAILQ_INIT(&g->fast);
	STAILQ_INIT(&g->slow);
	STAILQ_INIT(&g->made);
	(void)pthread_mutex_init(&g->lock, NULL); /* these two cannot fail */
	(void)pthread_cond_init(&g->wake, NULL);
	g->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	if (g->fd == -1)
		(void)err_set(e, ERR_SYS, errno, "eventfd");
	else
		g->ready = loop_fd_new(loop, g->fd, LOOP_READ, on_ready, g, e);
	if (g->ready == NULL || start_thread(g, e) == -1) {
		loop_fd_free(g->ready);
		destroy(g);
		return NULL;
	}
	return g;
}

void
keygen_free(struct keygen *g)
{
	pthread_t thread;
	bool busy;

	if (g == NULL)
		return;
	loop_fd_free(g->ready);
	thread = g->thread;
	(void)pthread_mutex_lock(&g->lock);
	g->stop = true;
	busy = g->busy;
	if (busy)
		/* Before it can end, and take g with it. */
		(void)pthread_detach(thread);
	(void)pthread_cond_signal(&g->wake);
	(void)pthread_mutex_unlock(&g->lock);
	if (busy)
		return;
	(void)pthread_join(thread, NULL);
	destroy(g);
}
