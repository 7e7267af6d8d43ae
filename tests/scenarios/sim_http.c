/* SPDX-License-Identifier: ISC */
/*
 * Requests that wait for a reply, and what holds for each of them whatever the
 * script says (RFC 8555 6: https, content type, url and nonce inside the
 * signature, each nonce once and only at its own server).
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/cleanup.h"
#include "tests/scenarios/sim.h"

struct http {
	struct loop *loop;
};

struct nonce {
	LIST_ENTRY(nonce) link;
	bool used;
	char host[64];
	char value[];
};

struct http_calls sim_calls = TAILQ_HEAD_INITIALIZER(sim_calls);
unsigned sim_n_calls;
char sim_broken[512];

static LIST_HEAD(, nonce) nonces;
/* the account that each CA gave last */
static struct {
	char host[64], url[512];
} accounts[8];
static struct http the_http;

static void __attribute__((format(printf, 1, 2))) broken(const char *fmt, ...)
{
	va_list ap;

	if (sim_broken[0] != '\0')
		return;
	va_start(ap, fmt);
	(void)vsnprintf(sim_broken, sizeof(sim_broken), fmt, ap);
	va_end(ap);
}

static void
host_of(const char *url, char out[64])
{
	const char *p = strncmp(url, "https://", 8) == 0 ? url + 8 : url;

	(void)snprintf(out, 64, "%.*s", (int)strcspn(p, "/?#"), p);
}

static void
check_nonce(const struct http_call *c)
{
	struct nonce *n;
	char host[64];

	host_of(c->url, host);
	LIST_FOREACH (n, &nonces, link)
		if (strcmp(n->value, c->nonce) == 0)
			break;
	if (n == NULL)
		broken("nonce %s was never given out", c->nonce);
	else if (n->used)
		broken("nonce %s was used before", c->nonce);
	else if (strcmp(n->host, host) != 0)
		broken("nonce %s of %s went to %s", c->nonce, n->host, host);
	else
		n->used = true;
}

/* Take the fake keeper's JWS apart, in place. */
static void
open_jws(struct http_call *c)
{
	char *rest = c->body, *how = strsep(&rest, "\n");

	c->inner_url = strsep(&rest, "\n");
	c->nonce = strsep(&rest, "\n");
	c->payload = rest;
	if (rest == NULL) {
		broken("POST %s: not a signed request", c->url);
		return;
	}
	c->jwk = strncmp(how, "jwk ", 4) == 0;
	c->signer = how + 4;
	if (strcmp(c->inner_url, c->url) != 0)
		broken("%s was signed for %s", c->url, c->inner_url);
	check_nonce(c);
}

static void
check(struct http_call *c)
{
	if (strncmp(c->url, "https://", 8) != 0)
		broken("request to %s", c->url);
	if (strcmp(c->method, "POST") != 0) {
		if (c->body[0] != '\0' || c->type != NULL)
			broken("%s %s has a body", c->method, c->url);
		return;
	}
	if (c->redirects != 0)
		broken("POST %s would follow redirects", c->url);
	if (c->type == NULL || strcmp(c->type, "application/jose+json") != 0)
		broken("POST %s: content type %s", c->url,
		    c->type == NULL ? "none" : c->type);
	open_jws(c);
}

static void
call_free(struct http_call *c)
{
	unsigned i;

	TAILQ_REMOVE(&sim_calls, c, link);
	for (i = 0; i < c->reply.n_headers; i++) {
		free(c->reply.names[i]);
		free(c->reply.values[i]);
	}
	free(c->reply.body);
	loop_timer_free(c->timer);
	free(c->method);
	free(c->url);
	free(c->accept);
	free(c->body);
	free(c->type);
	free(c);
}

static void
on_timer(void *arg)
{
	struct http_call *c = arg;
	struct http_call copy = *c;

	/* Gone from the list while done runs, which may start others. */
	TAILQ_REMOVE(&sim_calls, c, link);
	c->done(c->arg, copy.lost.kind == ERR_NONE ? &c->reply : NULL,
	    copy.lost.kind == ERR_NONE ? NULL : &copy.lost);
	TAILQ_INSERT_HEAD(&sim_calls, c, link);
	call_free(c);
}

struct http *
http_new(struct loop *l, const char *user_agent, struct err *e)
{
	(void)user_agent;
	(void)e;
	the_http.loop = l;
	return &the_http;
}

void
http_free(struct http *h)
{
	(void)h;
	while (!TAILQ_EMPTY(&sim_calls))
		call_free(TAILQ_FIRST(&sim_calls));
}

struct http_call *
http_start(struct http *h, const struct http_req *r, http_done *done, void *arg,
    struct err *e)
{
	struct http_call *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		(void)err_nomem(e, "request");
		return NULL;
	}
	c->done = done;
	c->arg = arg;
	c->redirects = r->redirects;
	c->timer = loop_timer_new(h->loop, on_timer, c, e);
	c->method = strdup(r->method);
	c->url = strdup(r->url);
	c->accept = strdup(r->accept == NULL ? "" : r->accept);
	c->body = r->body == NULL ? strdup("") : strndup(r->body, r->body_len);
	c->type = r->content_type == NULL ? NULL : strdup(r->content_type);
	TAILQ_INSERT_TAIL(&sim_calls, c, link);
	if (c->timer == NULL || c->method == NULL || c->url == NULL ||
	    c->accept == NULL || c->body == NULL ||
	    (c->type == NULL && r->content_type != NULL)) {
		call_free(c);
		(void)err_nomem(e, "request");
		return NULL;
	}
	sim_n_calls++;
	check(c);
	return c;
}

void
http_cancel(struct http_call *c)
{
	if (c != NULL)
		call_free(c);
}

const char *
http_agent(const char *version, char *out, size_t size)
{
	(void)snprintf(out, size, "acmed/%s", version);
	return out;
}

int
http_status(const struct http_reply *r)
{
	return r->status;
}

const char *
http_body(const struct http_reply *r, size_t *len)
{
	*len = r->len;
	return r->body;
}

const char *
http_header(const struct http_reply *r, const char *name, unsigned i)
{
	unsigned at;

	for (at = 0; at < r->n_headers; at++)
		if (strcasecmp(r->names[at], name) == 0 && i-- == 0)
			return r->values[at];
	return NULL;
}

uint32_t
http_ms(const struct http_reply *r)
{
	(void)r;
	return 0; /* as the virtual clock has it, which stands still */
}

/* The CA's side */

static void
give_nonce(const struct http_call *c, const char *value)
{
	struct nonce *n = malloc(sizeof(*n) + strlen(value) + 1);

	if (n == NULL)
		abort();
	n->used = false;
	host_of(c->url, n->host);
	memcpy(n->value, value, strlen(value) + 1);
	LIST_INSERT_HEAD(&nonces, n, link);
}

void
sim_header(struct http_call *c, const char *name, const char *value)
{
	struct http_reply *r = &c->reply;

	if (r->n_headers == SIM_HEADERS)
		abort();
	r->names[r->n_headers] = strdup(name);
	r->values[r->n_headers++] = strdup(value);
	if (strcasecmp(name, "Replay-Nonce") == 0)
		give_nonce(c, value);
}

static void
give_account(const char *ca, const char *url)
{
	char host[64];
	size_t i = 0;

	host_of(ca, host);
	while (
	    accounts[i].host[0] != '\0' && strcmp(accounts[i].host, host) != 0)
		if (++i == NELEM(accounts))
			abort();
	(void)snprintf(accounts[i].host, sizeof(host), "%s", host);
	(void)snprintf(accounts[i].url, sizeof(accounts[i].url), "%s", url);
}

const char *
sim_account(const char *ca)
{
	char host[64];
	size_t i;

	host_of(ca, host);
	for (i = 0; i < NELEM(accounts); i++)
		if (strcmp(accounts[i].host, host) == 0)
			return accounts[i].url;
	return "";
}

void
sim_reply(struct http_call *c, int status, const char *body, size_t len)
{
	const char *location = http_header(&c->reply, "Location", 0);

	c->reply.status = status;
	c->reply.body = strndup(body, len);
	c->reply.len = len;
	c->answered = true;
	if (c->jwk && location != NULL && (status == 200 || status == 201))
		give_account(c->url, location);
	loop_timer_set(c->timer, 0);
}

void
sim_lose_by(struct http_call *c, int curl_code, const char *why)
{
	(void)err_set(&c->lost, ERR_NET, curl_code, "%s", why);
	c->lost.retry_after_s = -1;
	c->answered = true;
	loop_timer_set(c->timer, 0);
}

void
sim_lose(struct http_call *c, const char *why)
{
	sim_lose_by(c, 56, why); /* CURLE_RECV_ERROR */
}

void
sim_http_reset(void)
{
	struct nonce *n;

	while ((n = LIST_FIRST(&nonces)) != NULL) {
		LIST_REMOVE(n, link);
		free(n);
	}
	memset(accounts, 0, sizeof(accounts));
	sim_broken[0] = '\0';
	sim_n_calls = 0;
}
