/* SPDX-License-Identifier: ISC */
/*
 * The HTTP client: curl's multi handle on the loop, and the life of calls.
 * One exchange's options and limits are http_call.c's.
 *
 * Callers' functions run after curl has returned, never from inside it, so
 * they may start, cancel and free whatever they like.
 */
#include "lib/io/http.h"

#include <assert.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/io/http_call.h"

#define IDLE_MAX         32 /* calls kept for reuse */
#define CONNECTIONS_MAX  64
#define HOST_CONNECTIONS 4 /* to servers without HTTP/2 */
#define IDLE_CONNECTIONS 16

LIST_HEAD(call_list, http_call);

/* A socket of curl's on the loop. */
struct watch {
	LIST_ENTRY(watch) link;
	struct loop_fd *handle;
	curl_socket_t fd;
};

struct http {
	struct loop *loop;
	struct loop_timer *timer;
	CURLM *multi;
	CURL *dummy; /* see wake_waiting() */
	char *agent;
	struct call_list calls; /* under way */
	struct call_list idle;
	LIST_HEAD(, watch) watches;
	unsigned n_idle;
	unsigned n_listeners; /* of calls: those with on_data */
	bool busy;            /* in act(), which destroys it when it is dead */
	bool dead;
	bool settled; /* what a new connection speaks is known */
};

static void act(struct http *, curl_socket_t, int);

static void
on_fd(void *arg, int fd, unsigned what)
{
	int ev = 0;

	if (what & LOOP_READ)
		ev |= CURL_CSELECT_IN;
	if (what & LOOP_WRITE)
		ev |= CURL_CSELECT_OUT;
	act(arg, fd, ev);
}

static void
on_timer(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void
unwatch(struct watch *w)
{
	LIST_REMOVE(w, link);
	loop_fd_free(w->handle);
	free(w);
}

static struct watch *
watch_new(struct http *h, curl_socket_t fd, unsigned want)
{
	struct watch *w;

	/* Out of memory, curl may have left out CURL_POLL_REMOVE. */
	LIST_FOREACH (w, &h->watches, link)
		if (w->fd == fd) {
			unwatch(w);
			break;
		}
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return NULL;
	w->fd = fd;
	w->handle = loop_fd_new(h->loop, fd, want, on_fd, h, NULL);
	if (w->handle == NULL) {
		free(w);
		return NULL;
	}
	LIST_INSERT_HEAD(&h->watches, w, link);
	return w;
}

/* curl wants to know of fd.  given: what curl_multi_assign() was. */
static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *given)
{
	struct http *h = arg;
	struct watch *w = given;
	unsigned want = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL)
			unwatch(w);
		return 0;
	}
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		want |= LOOP_READ;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		want |= LOOP_WRITE;
	if (w != NULL)
		return loop_fd_want(w->handle, want);
	w = watch_new(h, fd, want);
	if (w == NULL)
		return -1;
	(void)curl_multi_assign(h->multi, fd, w);
	return 0;
}

static int
watch_time(CURLM *multi, long ms, void *arg)
{
	struct http *h = arg;

	(void)multi;
	if (ms < 0)
		loop_timer_stop(h->timer);
	else
		loop_timer_set(h->timer, ms);
	return 0;
}

static CURLM *
new_multi(struct http *h)
{
	CURLM *m = curl_multi_init();

	if (m == NULL)
		return NULL;
	(void)curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, watch_socket);
	(void)curl_multi_setopt(m, CURLMOPT_SOCKETDATA, h);
	(void)curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, watch_time);
	(void)curl_multi_setopt(m, CURLMOPT_TIMERDATA, h);
	(void)curl_multi_setopt(m, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	(void)curl_multi_setopt(
	    m, CURLMOPT_MAX_HOST_CONNECTIONS, HOST_CONNECTIONS);
	(void)curl_multi_setopt(
	    m, CURLMOPT_MAX_TOTAL_CONNECTIONS, CONNECTIONS_MAX);
	(void)curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS);
	return m;
}

static void
destroy(struct http *h)
{
	struct http_call *c;

	while ((c = LIST_FIRST(&h->idle)) != NULL) {
		LIST_REMOVE(c, link);
		call_free(c);
	}
	if (h->multi != NULL) /* closes every connection, too */
		(void)curl_multi_cleanup(h->multi);
	while (!LIST_EMPTY(&h->watches))
		unwatch(LIST_FIRST(&h->watches));
	curl_easy_cleanup(h->dummy);
	loop_timer_free(h->timer);
	free(h->agent);
	free(h);
	curl_global_cleanup();
}

struct http *
http_new(struct loop *l, const char *agent, struct err *e)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct http *h;

	assert(strpbrk(agent, "\r\n") == NULL);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		(void)err_set(
		    e, ERR_NET, CURLE_FAILED_INIT, "cannot initialize libcurl");
		return NULL;
	}
	h = calloc(1, sizeof(*h));
	if (h == NULL) {
		curl_global_cleanup();
		(void)err_nomem(e, "HTTP client");
		return NULL;
	}
	h->loop = l;
	LIST_INIT(&h->calls);
	LIST_INIT(&h->idle);
	LIST_INIT(&h->watches);
	h->agent = strdup(agent);
	h->timer = loop_timer_new(l, on_timer, h, NULL);
	h->dummy = curl_easy_init();
	if (h->agent == NULL || h->timer == NULL || h->dummy == NULL ||
	    (h->multi = new_multi(h)) == NULL) {
		destroy(h);
		(void)err_nomem(e, "HTTP client");
		return NULL;
	}
	/* TLS writes to peers that have gone; curl is told not to mind. */
	(void)sigaction(SIGPIPE, &ignore, NULL);
	return h;
}

/* c has a connection, and its TLS handshake is done. */
static int
on_connected(void *arg, char *ip, char *my_ip, int port, int my_port)
{
	struct http_call *c = arg;
	long made;

	(void)ip;
	(void)my_ip;
	(void)port;
	(void)my_port;
	if (curl_easy_getinfo(c->easy, CURLINFO_NUM_CONNECTS, &made) ==
		CURLE_OK &&
	    made > 0)
		c->http->settled = true;
	return CURL_PREREQFUNC_OK;
}

/*
 * Calls wait for a connection that others are making, as it may be shared.
 * When it turns out that it cannot be, some curls (8.14) leave them waiting
 * until the call that made it is over.  Each looks again when a handle leaves,
 * and sets the timer for those that may go on when that handle had one.
 */
static void
wake_waiting(struct http *h)
{
	h->settled = false;
	(void)curl_multi_add_handle(h->multi, h->dummy);
	(void)curl_multi_remove_handle(h->multi, h->dummy);
}

static void
recycle(struct http *h, struct http_call *c)
{
	if (h->n_idle >= IDLE_MAX) {
		call_free(c);
		return;
	}
	call_rest(c);
	LIST_INSERT_HEAD(&h->idle, c, link);
	h->n_idle++;
}

/* The caller will hear no more of c. */
static void
end_call(struct http_call *c)
{
	struct http *h = c->http;

	(void)curl_multi_remove_handle(h->multi, c->easy);
	LIST_REMOVE(c, link);
	c->over = true;
	if (c->on_data != NULL)
		h->n_listeners--;
}

void
http_cancel(struct http_call *c)
{
	if (c == NULL || c->over)
		return;
	end_call(c);
	if (!c->busy)
		recycle(c->http, c);
}

void
http_free(struct http *h)
{
	struct http_call *c;

	if (h == NULL)
		return;
	while ((c = LIST_FIRST(&h->calls)) != NULL)
		http_cancel(c);
	if (h->busy)
		h->dead = true;
	else
		destroy(h);
}

/* Pass on what on_data has not seen; c may be gone afterwards. */
static void
hand_data(struct http_call *c)
{
	struct buf *b = &c->reply.body;

	c->handed = true;
	c->busy = true;
	c->on_data(c->arg, b->data, b->len);
	c->busy = false;
	buf_reset(b);
	if (c->over)
		recycle(c->http, c);
}

static void
finish(struct http_call *c, CURLcode code)
{
	struct http *h = c->http;
	struct err e;

	if (call_repeat(c, code) == 0) {
		(void)curl_multi_remove_handle(h->multi, c->easy);
		if (curl_multi_add_handle(h->multi, c->easy) == CURLM_OK)
			return;
		code = CURLE_OUT_OF_MEMORY;
	}
	end_call(c);
	if (call_result(c, code, &e) == 0)
		c->done(c->arg, &c->reply, NULL);
	else
		c->done(c->arg, NULL, &e);
	recycle(h, c);
}

static struct http_call *
next_fed(const struct http *h)
{
	struct http_call *c;

	if (h->n_listeners == 0)
		return NULL;
	LIST_FOREACH (c, &h->calls, link)
		if (c->on_data != NULL && c->reply.body.len > 0)
			return c;
	return NULL;
}

static struct http_call *
next_doomed(const struct http *h)
{
	struct http_call *c;

	LIST_FOREACH (c, &h->calls, link)
		if (c->doomed)
			return c;
	return NULL;
}

/* A multi handle that fails is good again once nothing is left in it. */
static void
fail_all(struct http *h)
{
	struct http_call *c;

	LIST_FOREACH (c, &h->calls, link)
		c->doomed = true;
	while ((c = next_doomed(h)) != NULL)
		finish(c, CURLE_OUT_OF_MEMORY);
}

/*
 * Let curl work, then tell the callers what came of it.  Each of them may
 * change the lists, or free h: so begin anew after each.
 */
static void
act(struct http *h, curl_socket_t fd, int ev)
{
	struct http_call *c;
	CURLMsg *m;
	int n;

	h->busy = true;
	if (curl_multi_socket_action(h->multi, fd, ev, &n) != CURLM_OK)
		fail_all(h);
	if (h->settled)
		wake_waiting(h);
	while ((c = next_fed(h)) != NULL)
		hand_data(c);
	while ((m = curl_multi_info_read(h->multi, &n)) != NULL) {
		CURLcode code = m->data.result;
		char *p = NULL;

		if (m->msg != CURLMSG_DONE ||
		    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &p) !=
			CURLE_OK)
			continue;
		finish((struct http_call *)(void *)p, code);
	}
	h->busy = false;
	if (h->dead)
		destroy(h);
}

static struct http_call *
get_call(struct http *h)
{
	struct http_call *c = LIST_FIRST(&h->idle);

	if (c == NULL)
		return call_new();
	LIST_REMOVE(c, link);
	h->n_idle--;
	return c;
}

struct http_call *
http_start(struct http *h, const struct http_req *r, http_done *done, void *arg,
    struct err *e)
{
	struct http_call *c = get_call(h);
	CURLMcode mc;

	assert(!h->dead);
	if (c == NULL) {
		(void)err_nomem(e, "HTTP request");
		return NULL;
	}
	if (call_setup(c, r, h->agent, e) == -1) {
		recycle(h, c);
		return NULL;
	}
	c->http = h;
	c->done = done;
	c->arg = arg;
	(void)curl_easy_setopt(c->easy, CURLOPT_PREREQFUNCTION, on_connected);
	(void)curl_easy_setopt(c->easy, CURLOPT_PREREQDATA, c);
	mc = curl_multi_add_handle(h->multi, c->easy);
	if (mc != CURLM_OK) {
		(void)err_set(e, ERR_NOMEM, 0, "%s %s: %s", r->method, r->url,
		    curl_multi_strerror(mc));
		recycle(h, c);
		return NULL;
	}
	LIST_INSERT_HEAD(&h->calls, c, link);
	if (c->on_data != NULL)
		h->n_listeners++;
	return c;
}

const char *
http_agent(const char *version, char *out, size_t size)
{
	(void)snprintf(out, size, "acmed/%s libcurl/%s", version,
	    curl_version_info(CURLVERSION_NOW)->version);
	return out;
}
