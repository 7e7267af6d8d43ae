/* SPDX-License-Identifier: ISC */
/*
 * Orders are pending, then ready as soon as every token was found on port 80,
 * then processing once, then valid.
 */

#include "tests/torture/fake_ca.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/b64.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/io/json.h"

#define NAMES_MAX 8
#define HOST      "https://ca"

struct ca_order {
	struct ca_order *next;
	unsigned id;
	size_t n;
	char *names[NAMES_MAX];
	bool valid[NAMES_MAX];
	enum { PENDING, READY, PROCESSING, VALID } status;
	unsigned key;
};

struct fake_ca fake_ca;
static struct ca_order *orders;
static unsigned nonces;

void
fake_ca_reset(void)
{
	struct ca_order *o;
	size_t i;

	while ((o = orders) != NULL) {
		orders = o->next;
		for (i = 0; i < o->n; i++)
			free(o->names[i]);
		free(o);
	}
	memset(&fake_ca, 0, sizeof(fake_ca));
	nonces = 0;
}

static void __attribute__((format(printf, 3, 4)))
reply(struct http_call *c, int status, const char *fmt, ...)
{
	char text[16], *body;
	va_list ap;

	(void)snprintf(text, sizeof(text), "f%u", ++nonces);
	sim_header(c, "Replay-Nonce", text);
	if (status >= 400)
		sim_header(c, "Content-Type", "application/problem+json");
	va_start(ap, fmt);
	if (vasprintf(&body, fmt, ap) == -1)
		abort();
	va_end(ap);
	sim_reply(c, status, body, strlen(body));
	free(body);
}

static void
problem(struct http_call *c, int status, const char *type)
{
	reply(c, status,
	    "{\"type\": \"urn:ietf:params:acme:error:%s\", \"detail\": "
	    "\"unkind\"}",
	    type);
}

static struct ca_order *
order_of(const char *url, unsigned *i)
{
	const char *p = strpbrk(url + strlen(HOST "/"), "0123456789");
	struct ca_order *o;
	unsigned long id = 0;
	char *end;

	*i = 0;
	if (p != NULL) {
		id = strtoul(p, &end, 10);
		if (*end == '/')
			*i = (unsigned)strtoul(end + 1, NULL, 10);
	}
	for (o = orders; o != NULL && o->id != id; o = o->next)
		continue;
	return o;
}

static void
show_order(struct http_call *c, int status, const struct ca_order *o)
{
	static const char *const names[] = { "pending", "ready", "processing",
		"valid" };
	AUTO(buf_done) struct buf b = BUF_INIT(1 << 20);
	size_t i;

	buf_printf(
	    &b, "{\"status\": \"%s\", \"identifiers\": [", names[o->status]);
	for (i = 0; i < o->n; i++)
		buf_printf(&b, "%s{\"type\": \"dns\", \"value\": \"%s\"}",
		    i == 0 ? "" : ", ", o->names[i]);
	buf_puts(&b, "], \"authorizations\": [");
	for (i = 0; i < o->n; i++)
		buf_printf(&b, "%s\"" HOST "/authz/%u/%zu\"",
		    i == 0 ? "" : ", ", o->id, i);
	buf_printf(&b, "], \"finalize\": \"" HOST "/finalize/%u\"", o->id);
	if (o->status == VALID)
		buf_printf(
		    &b, ", \"certificate\": \"" HOST "/cert/%u\"", o->id);
	buf_putc(&b, '}');
	reply(c, status, "%s", buf_str(&b));
}

static void
new_order(struct http_call *c)
{
	AUTO(json_free)
	struct json *root = json_parse(c->payload, strlen(c->payload), NULL);
	const struct json *list = json_get_array(root, "identifiers");
	struct ca_order *o = calloc(1, sizeof(*o));
	char url[64];

	o->id = ++fake_ca.orders;
	o->next = orders;
	orders = o;
	for (; o->n < json_len(list) && o->n < NAMES_MAX; o->n++)
		o->names[o->n] =
		    strdup(json_get_text(json_at(list, o->n), "value"));
	(void)snprintf(url, sizeof(url), HOST "/order/%u", o->id);
	sim_header(c, "Location", url);
	show_order(c, 201, o);
}

static void
token_of(const struct ca_order *o, unsigned i, char out[32])
{
	(void)snprintf(out, 32, "token-%06u-%02u-abcdefgh", o->id, i);
}

static void
show_authz(struct http_call *c, const struct ca_order *o, unsigned i)
{
	char token[32];

	token_of(o, i, token);
	reply(c, 200,
	    "{\"status\": \"%s\", \"identifier\": {\"type\": \"dns\", "
	    "\"value\": \"%s\"}, \"challenges\": [{\"type\": \"http-01\", "
	    "\"url\": \"" HOST "/chall/%u/%u\", \"token\": \"%s\", "
	    "\"status\": \"%s\"}]}",
	    o->valid[i] ? "valid" : "pending", o->names[i], o->id, i, token,
	    o->valid[i] ? "valid" : "pending");
}

static void
validate(struct http_call *c, struct ca_order *o, unsigned i)
{
	struct tokens *t = sim_engine()->tokens;
	char token[32];
	size_t n;

	token_of(o, i, token);
	if (tokens_find(t, token, strlen(token)) != NULL) {
		o->valid[i] = true;
		tokens_tell(t, token, strlen(token));
	}
	for (n = 0; n < o->n && o->valid[n]; n++)
		continue;
	if (n == o->n && o->status == PENDING)
		o->status = READY;
	reply(c, 200, "{}");
}

static void
finalize(struct http_call *c, struct ca_order *o)
{
	AUTO(json_free)
	struct json *root = json_parse(c->payload, strlen(c->payload), NULL);
	AUTO(buf_done) struct buf csr = BUF_INIT(1024);
	const char *text = json_get_text(root, "csr");

	if (o->status != READY) {
		problem(c, 403, "orderNotReady");
		return;
	}
	if (b64url_decode(text, strlen(text), &csr) == -1 ||
	    strncmp(buf_str(&csr), "csr ", 4) != 0)
		abort();
	o->key = (unsigned)strtoul(buf_str(&csr) + 4, NULL, 10);
	o->status = PROCESSING;
	fake_ca.finalized++;
	show_order(c, 200, o);
}

/* The same runs again and again: signing is what they would spend time on. */
static const char *
minted(const struct mint *m)
{
	static struct {
		char key[160];
		struct buf pem;
	} made[16];
	static unsigned next;
	char key[160];
	unsigned i;

	(void)snprintf(key, sizeof(key), "%s %zu %u %lld %lld %s %d",
	    m->names[0], m->n_names, m->key, (long long)m->from,
	    (long long)m->to, m->issuer, m->leaf_only);
	for (i = 0; i < NELEM(made); i++)
		if (strcmp(made[i].key, key) == 0)
			return buf_str(&made[i].pem);
	i = next++ % NELEM(made);
	memcpy(made[i].key, key, sizeof(key));
	buf_done(&made[i].pem);
	made[i].pem = BUF_INIT(1 << 20);
	mint_chain(m, &made[i].pem);
	return buf_str(&made[i].pem);
}

static void
certificate(struct http_call *c, const struct ca_order *o, bool other)
{
	struct mint m = { .names = (const char *const *)o->names,
		.n_names = o->n,
		.key = o->key,
		.from = clock_now(),
		.to = clock_now() + fake_ca.life_s,
		.issuer = other ? "Other CA" : "Test CA",
		.leaf_only = fake_ca.leaf_only };
	char link[80];

	if (fake_ca.alternates && !other) {
		(void)snprintf(link, sizeof(link),
		    "<" HOST "/other/%u>;rel=\"alternate\"", o->id);
		sim_header(c, "Link", link);
	}
	fake_ca.issued++;
	reply(c, 200, "%s", minted(&m));
}

/* Some trouble now and then, never twice the same at once. */
static bool
unkind(struct http_call *c)
{
	if (fake_ca.unkind == 0 || fake_ca.posts % fake_ca.unkind != 0)
		return false;
	switch (fake_ca.posts / fake_ca.unkind % 5) {
	case 0:
		sim_lose(c, "connection lost");
		return true;
	case 1:
		problem(c, 400, "badNonce");
		return true;
	case 2:
		sim_header(c, "Retry-After", "60");
		problem(c, 503, "serverInternal");
		return true;
	case 3:
		sim_header(c, "Retry-After", "100");
		problem(c, 429, "rateLimited");
		return true;
	default:
		problem(c, 500, "serverInternal");
		return true;
	}
}

static bool
is_for(const char *url, const char *path)
{
	return strncmp(url + strlen(HOST), path, strlen(path)) == 0;
}

static void
answer_about(struct http_call *c)
{
	unsigned i;
	struct ca_order *o = order_of(c->url, &i);

	if (o == NULL) {
		problem(c, 404, "malformed");
	} else if (is_for(c->url, "/order/")) {
		show_order(c, 200, o);
		if (o->status == PROCESSING)
			o->status = VALID;
	} else if (is_for(c->url, "/authz/")) {
		show_authz(c, o, i);
	} else if (is_for(c->url, "/chall/")) {
		validate(c, o, i);
	} else if (is_for(c->url, "/finalize/")) {
		finalize(c, o);
	} else {
		certificate(c, o, is_for(c->url, "/other/"));
	}
}

static void
answer(struct http_call *c)
{
	if (fake_ca.down) {
		sim_lose(c, "connection refused");
		return;
	}
	if (strcmp(c->method, "GET") == 0) {
		reply(c, 200,
		    "{\"newNonce\": \"" HOST "/new-nonce\", \"newAccount\": "
		    "\"" HOST "/new-acct\", \"newOrder\": \"" HOST
		    "/new-order\"}");
		return;
	}
	if (strcmp(c->method, "HEAD") == 0) {
		reply(c, 200, "%s", "");
		return;
	}
	fake_ca.posts++;
	if (unkind(c))
		return;
	if (is_for(c->url, "/new-acct")) {
		fake_ca.accounts++;
		sim_header(c, "Location", HOST "/acct/1");
		reply(c, fake_ca.accounts == 1 ? 201 : 200,
		    "{\"status\": \"valid\"}");
	} else if (is_for(c->url, "/acct/")) {
		reply(c, 200, "{\"status\": \"valid\"}");
	} else if (is_for(c->url, "/new-order")) {
		new_order(c);
	} else {
		answer_about(c);
	}
}

static void
answer_all(void)
{
	bool fails = sim_memory_fails;
	struct http_call *c;

	sim_memory_fails = false;
	TAILQ_FOREACH (c, &sim_calls, link)
		if (!c->answered)
			answer(c);
	sim_memory_fails = fails;
}

/* Whatever has failed, nobody is forgotten. */
static void
check_places(void)
{
	const char *bad = sim_busy() ? NULL : sim_forgotten(sim_engine());

	if (bad == NULL)
		return;
	(void)printf("forgotten at %lld s: %s\n",
	    (long long)(sim_ms() / 1000 - 1000), bad);
	(void)fflush(stdout);
	abort();
}

void
fake_ca_run(int64_t ms, bool (*done)(void))
{
	int64_t until = sim_ms() + ms;

	do {
		answer_all();
		check_places();
	} while ((done == NULL || !done()) && sim_step(until));
}
