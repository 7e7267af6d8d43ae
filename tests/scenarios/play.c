/* SPDX-License-Identifier: ISC */
/*
 * Plays *.scn files: conversations between the engine and a CA in plain text
 * (see README), on virtual time.  Usage: scenarios [-v] FILE|FOLDER...
 */

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/engine/issue_int.h"
#include "daemon/engine/plan.h"
#include "daemon/engine/session_int.h"
#include "lib/acme/problem.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/rnd.h"
#include "lib/base/str.h"
#include "tests/scenarios/sim.h"

#define LINES_MAX   4000
#define REPEATS_MAX 4
#define NAMES_MAX   100
#define SERVES_MAX  128
#define SOON_MS     30000 /* how long an expected request may take to come */
#define DAY_S       INT64_C(86400)
#define CA_HOST     "https://ca"

struct line {
	char *file, *text;
	unsigned no;
};

struct range { /* of milliseconds */
	int64_t from, to;
};

struct wanted {
	const char *method, *nonce, *accept, *payload;
	char url[1024];
	bool jwk;
};

struct serve {             /* what is answered without the script's doing */
	char *text, *args; /* as written; args is what wanted points into */
	struct wanted wanted;
	size_t reply; /* its line */
	unsigned times;
};

static struct play {
	struct line lines[LINES_MAX];
	size_t n, pc;
	struct {
		size_t begin;
		unsigned left;
	} repeats[REPEATS_MAX];
	unsigned depth;
	struct buf conf, certs; /* the file, and its domains */
	struct range within;    /* for the next request; to 0: SOON_MS */
	struct http_call *call; /* the request that "<" answers */
	char subject[65];       /* certificate; "": the first */
	char ca[65];            /* "": the first of the certificate's */
	struct serve serves[SERVES_MAX];
	unsigned n_serves, served;
	int64_t shown; /* the instant that was expected last */
	unsigned nonces, orders;
	struct buf plan; /* the last one as text */
	struct buf log;
	unsigned n_errors; /* lines of that level in it */
	unsigned n_warnings;
	bool failed;
} play;

static bool verbose;
static struct buf steps_seen; /* " name name " over all files */

/* Failing */

static const struct line *
here(void)
{
	return &play.lines[play.pc < play.n ? play.pc : play.n - 1];
}

static void
show_pending(void)
{
	const struct http_call *c;

	TAILQ_FOREACH (c, &sim_calls, link)
		(void)fprintf(stderr, "  %s %s %s %s%s\n",
		    c->answered ? "answered:" : "waiting: ", c->method, c->url,
		    c->jwk ? "jwk " : "", c->payload == NULL ? "" : c->payload);
}

static int __attribute__((format(printf, 1, 2))) mismatch(const char *fmt, ...)
{
	const char *log = buf_str(&play.log);
	va_list ap;

	if (play.failed)
		return -1;
	play.failed = true;
	(void)fprintf(
	    stderr, "%s:%u: %s\n  ", here()->file, here()->no, here()->text);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "\n");
	show_pending();
	if (!verbose)
		(void)fprintf(stderr, "  log:\n%s",
		    play.log.len > 3000 ? log + play.log.len - 3000 : log);
	return -1;
}

static void
on_log(void *arg, enum log_level level, const char *msg, const struct kv *kv)
{
	struct buf *log = &play.log;
	bool fails = sim_memory_fails;

	(void)arg;
	play.n_errors += level == LOG_L_ERR;
	play.n_warnings += level == LOG_L_WARN;
	sim_memory_fails = false;
	buf_printf(log, "  %" PRId64 " %s", (sim_ms() - 1000000) / 1000, msg);
	for (; kv->key != NULL; kv++) {
		if (kv->is_num)
			buf_printf(log, " %s=%" PRId64, kv->key, kv->num);
		else
			buf_printf(log, " %s=%s", kv->key,
			    kv->str == NULL ? "" : kv->str);
		if (strcmp(msg, "step") == 0 && strcmp(kv->key, "step") == 0)
			buf_printf(&steps_seen, " %s ", kv->str);
	}
	buf_putc(log, '\n');
	sim_memory_fails = fails;
}

/* Words */

static char *
word(char **rest)
{
	char *w;

	*rest += strspn(*rest, " \t");
	if (**rest == '\0')
		return NULL;
	w = strsep(rest, " \t");
	if (*rest == NULL)
		*rest = w + strlen(w);
	*rest += strspn(*rest, " \t");
	return w;
}

/* "300ms", "1.5s", "10m", "2h", "90d", "-1h".  Returns where it ends. */
static const char *
span(const char *s, int64_t *ms)
{
	static const struct {
		const char *unit;
		double ms;
	} units[] = { { "ms", 1 }, { "s", 1e3 }, { "m", 6e4 }, { "h", 3.6e6 },
		{ "d", 8.64e7 } };
	char *end;
	double v = strtod(s, &end);
	size_t i;

	for (i = 0; i < NELEM(units); i++) {
		size_t len = strlen(units[i].unit);

		if (strncmp(end, units[i].unit, len) == 0 &&
		    !isalpha((unsigned char)end[len])) {
			*ms = (int64_t)(v * units[i].ms);
			return end + len;
		}
	}
	*ms = (int64_t)(v * 1e3);
	return end;
}

static struct range
range(const char *s)
{
	struct range r;

	s = span(s, &r.from);
	r.to = r.from;
	if (strncmp(s, "..", 2) == 0)
		(void)span(s + 2, &r.to);
	return r;
}

/* "~text": contains it; "!~text": does not; else: equals. */
static bool
fits(const char *spec, const char *text)
{
	if (spec[0] == '~')
		return strstr(text, spec + 1) != NULL;
	if (spec[0] == '!' && spec[1] == '~')
		return strstr(text, spec + 2) == NULL;
	return strcmp(spec, text) == 0;
}

/* $time+1h and $date+1h become the instant in RFC 3339 or as a HTTP-date. */
static void
put_http_date(int64_t t, struct buf *out)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static const char days[] = "ThuFriSatSunMonTueWed";
	char iso[CLOCK_RFC3339_MAX];
	int month;

	clock_format(t, iso);
	month = (iso[5] - '0') * 10 + iso[6] - '1';
	buf_printf(out, "%.3s, %.2s %.3s %.4s %.8s GMT",
	    days + t / 86400 % 7 * 3, iso + 8, names + month * 3, iso,
	    iso + 11);
}

static void
expand(const char *text, struct buf *out)
{
	char iso[CLOCK_RFC3339_MAX];
	int64_t ms;

	for (; *text != '\0'; text++) {
		bool date = strncmp(text, "$date", 5) == 0;

		if (!date && strncmp(text, "$time", 5) != 0) {
			buf_putc(out, *text);
			continue;
		}
		text += 5;
		ms = 0;
		if (*text == '+' || *text == '-')
			text = span(text, &ms);
		text--;
		clock_format(clock_now() + ms / 1000, iso);
		if (date)
			put_http_date(clock_now() + ms / 1000, out);
		else
			buf_puts(out, iso);
	}
}

static void
full_url(const char *s, char *out, size_t size)
{
	(void)snprintf(out, size, "%s%s", *s == '/' ? CA_HOST : "", s);
}

static struct cert *
subject(void)
{
	struct engine *en = sim_engine();
	uint32_t i = 0;

	if (en == NULL)
		return NULL;
	if (play.subject[0] != '\0')
		i = conf_find_cert(en->conf, play.subject);
	return i < en->certs.n ? &en->certs.all[i] : NULL;
}

static struct session *
the_session(void)
{
	struct engine *en = sim_engine();
	uint32_t i = subject()->conf->cas[0];

	if (play.ca[0] != '\0')
		for (i = 0; i + 1 < en->conf->n_cas; i++)
			if (strcmp(en->conf->cas[i].name, play.ca) == 0)
				break;
	return en->cas[i].session;
}

/* A block of lines until an empty one; the line after the command is pc. */
static const char *
block_line(void)
{
	if (play.pc + 1 >= play.n || play.lines[play.pc + 1].text[0] == '\0')
		return NULL;
	return play.lines[++play.pc].text;
}

/* Running */

/* What an attempt waits for, once it has begun its step. */
static bool
is_idle(const struct issue *is)
{
	return is->ask == NULL && is->key_op == NULL && is->save == NULL &&
	       is->up_op == NULL && is->dns_op == NULL &&
	       !loop_timer_pending(is->timer);
}

/* When all is done that is due at an instant, nobody is forgotten. */
static void
check_places(void)
{
	const struct engine *en = sim_engine();
	const char *bad;
	uint32_t i;

	if (en == NULL || sim_busy())
		return;
	bad = sim_forgotten(en);
	for (i = 0; bad == NULL && i < en->certs.n; i++)
		if (en->certs.all[i].issue != NULL &&
		    is_idle(en->certs.all[i].issue))
			bad = "an attempt waits for nothing";
	if (bad != NULL)
		(void)mismatch("forgotten: %s", bad);
}

static int
check_wire(void)
{
	if (play.failed)
		return -1;
	return sim_broken[0] == '\0' ? 0 : mismatch("%s", sim_broken);
}

static void serve_calls(void);

static bool
turn(int64_t until_ms)
{
	bool more = sim_step(until_ms);

	check_places();
	return more;
}

/* The next thing that is due until then, with what is served at once. */
static bool
step(int64_t until_ms)
{
	bool more = turn(until_ms);

	serve_calls();
	return more;
}

static int
run_for(int64_t ms)
{
	int64_t until = sim_ms() + ms;

	serve_calls();
	while (step(until))
		continue;
	return check_wire();
}

static unsigned
unseen(void)
{
	const struct http_call *c;
	unsigned n = 0;

	TAILQ_FOREACH (c, &sim_calls, link)
		n += !c->seen;
	return n;
}

static int
do_start(char *args)
{
	AUTO(buf_done) struct buf all = BUF_INIT(1 << 20);
	struct err e;

	(void)args;
	if (play.conf.len == 0)
		buf_puts(&play.conf,
		    "email: admin@example.org\n"
		    "agree-tos: true\n"
		    "ca: {test: {directory: " CA_HOST "/dir}}\n"
		    "defaults: {ca: test}\n");
	buf_printf(&all, "%s", buf_str(&play.conf));
	if (play.certs.len != 0)
		buf_printf(&all, "domains:\n%s", play.certs.data);
	if (sim_start(buf_str(&all), &e) == -1)
		return mismatch("not started: %s", e.what);
	return 0;
}

static int
do_stop(char *args)
{
	(void)args;
	sim_stop();
	play.call = NULL;
	return 0;
}

static int
do_restart(char *args)
{
	(void)do_stop(args);
	return do_start(args);
}

static int
do_conf(char *args)
{
	const char *l;

	(void)args;
	buf_reset(&play.conf);
	buf_reset(&play.certs);
	while ((l = block_line()) != NULL)
		buf_printf(&play.conf, "%s\n", l);
	return 0;
}

static int
do_names(char *args)
{
	char *w, *first = NULL;

	while ((w = word(&args)) != NULL) {
		buf_printf(
		    &play.certs, "%s%s", first == NULL ? "  - [" : ", ", w);
		first = w;
	}
	buf_puts(&play.certs, "]\n");
	return 0;
}

static int
do_cert(char *args)
{
	(void)snprintf(play.subject, sizeof(play.subject), "%s", args);
	return 0;
}

static int
do_ca(char *args)
{
	(void)snprintf(play.ca, sizeof(play.ca), "%s", args);
	return 0;
}

static int
do_clock(char *args)
{
	int64_t t, ms;

	if (args[0] == '+' || args[0] == '-') {
		(void)span(args, &ms);
		sim_wall(clock_now() + ms / 1000);
		return 0;
	}
	if (clock_parse(args, &t) == -1)
		return mismatch("no time: %s", args);
	sim_wall(t);
	return 0;
}

static int
do_sleep(char *args)
{
	int64_t ms;

	(void)span(args, &ms);
	sim_sleep(ms);
	return 0;
}

static int
do_seed(char *args)
{
	rnd_seed(strtoull(args, NULL, 10));
	return 0;
}

static int
do_advance(char *args)
{
	int64_t ms;

	(void)span(args, &ms);
	return run_for(ms);
}

static int
do_quiet(char *args)
{
	unsigned before = sim_n_calls - play.served, left = unseen();
	int64_t ms;

	(void)span(args, &ms);
	if (run_for(ms) == -1)
		return -1;
	return sim_n_calls - play.served != before || left != 0
		   ? mismatch("requests came")
		   : 0;
}

static int
do_wait(char *args)
{
	play.within = range(args);
	return 0;
}

static int
do_repeat(char *args)
{
	if (play.depth == REPEATS_MAX)
		return mismatch("too deep");
	play.repeats[play.depth].begin = play.pc;
	play.repeats[play.depth++].left = (unsigned)strtoul(args, NULL, 10);
	return 0;
}

static int
do_end(char *args)
{
	(void)args;
	if (play.depth == 0)
		return mismatch("no repeat");
	if (--play.repeats[play.depth - 1].left > 0)
		play.pc = play.repeats[play.depth - 1].begin;
	else
		play.depth--;
	return 0;
}

/* Requests */

static int
parse_wanted(char *args, struct wanted *w)
{
	char *url;

	*w = (struct wanted){ .method = word(&args) };
	url = word(&args);
	if (w->method == NULL || url == NULL)
		return mismatch("METHOD URL is needed");
	full_url(url, w->url, sizeof(w->url));
	for (;;) {
		if (strncmp(args, "jwk", 3) == 0 &&
		    (args[3] == ' ' || args[3] == '\0')) {
			w->jwk = true;
			(void)word(&args);
		} else if (strncmp(args, "nonce=", 6) == 0)
			w->nonce = word(&args) + 6;
		else if (strncmp(args, "accept=", 7) == 0)
			w->accept = word(&args) + 7;
		else
			break;
	}
	w->payload = args;
	return 0;
}

/* "https://ca/x*": whatever begins like that. */
static bool
url_fits(const char *spec, const char *url)
{
	size_t len = strlen(spec);

	if (len > 0 && spec[len - 1] == '*')
		return strncmp(spec, url, len - 1) == 0;
	return strcmp(spec, url) == 0;
}

static bool
is_wanted(const struct http_call *c, const struct wanted *w)
{
	if (c->seen || strcmp(c->method, w->method) != 0 ||
	    !url_fits(w->url, c->url))
		return false;
	if (w->accept != NULL && strcmp(c->accept, w->accept) != 0)
		return false;
	if (c->payload == NULL)
		return true;
	return fits(w->payload, c->payload) && c->jwk == w->jwk &&
	       (w->nonce == NULL || strcmp(c->nonce, w->nonce) == 0) &&
	       (w->jwk || strcmp(c->signer, sim_account(c->url)) == 0);
}

static struct http_call *
find_wanted(const struct wanted *w)
{
	struct http_call *c;

	TAILQ_FOREACH (c, &sim_calls, link)
		if (is_wanted(c, w))
			return c;
	return NULL;
}

/* What the script waits for comes before what is served. */
static struct http_call *
find_unserved(const struct wanted *w)
{
	struct http_call *c = find_wanted(w);

	if (c == NULL)
		serve_calls();
	return c;
}

/* "> METHOD URL [jwk] [nonce=N] [accept=TYPE] PAYLOAD" */
static int
do_request(char *args)
{
	int64_t begin = sim_ms(), end;
	struct range in = play.within;
	struct wanted w;

	if (in.to == 0)
		in.to = SOON_MS;
	play.within = (struct range){ 0 };
	end = begin + in.to;
	if (parse_wanted(args, &w) == -1)
		return -1;
	play.call = find_unserved(&w);
	while (play.call == NULL && unseen() == 0 && turn(end))
		play.call = find_unserved(&w);
	/* what else is due at this instant may be it */
	while (play.call == NULL && turn(sim_ms()))
		play.call = find_unserved(&w);
	if (check_wire() == -1)
		return -1;
	if (play.call == NULL)
		return mismatch(
		    "no such request came in %" PRId64 " ms", sim_ms() - begin);
	play.call->seen = true;
	play.orders += strstr(w.url, "new-order") != NULL;
	if (sim_ms() - begin < in.from)
		return mismatch(
		    "came after %" PRId64 " ms already", sim_ms() - begin);
	return 0;
}

/* Replies */

static bool
is_header(const char *l)
{
	size_t n = strspn(l, "abcdefghijklmnopqrstuvwxyz"
			     "ABCDEFGHIJKLMNOPQRSTUVWXYZ-");

	return n > 0 && l[n] == ':';
}

static void
add_header(const char *l, struct http_call *c, bool *nonce, bool *type)
{
	AUTO(buf_done) struct buf value = BUF_INIT(65536);
	AUTO(free) char *name = strndup(l, strcspn(l, ":"));
	const char *v = l + strlen(name) + 1;

	v += strspn(v, " ");
	if (strcasecmp(name, "Replay-Nonce") == 0)
		*nonce = true;
	if (strcasecmp(name, "Content-Type") == 0)
		*type = true;
	if (strcmp(v, "-") == 0)
		return;
	expand(v, &value);
	sim_header(c, name, buf_str(&value));
}

/* The certificate that the last ">" downloads, or the one of the last CSR. */
static const struct conf_cert *
downloaded_cert(unsigned *key)
{
	const struct engine *en = sim_engine();
	uint32_t i;

	*key = (unsigned)sim_keeper.last_csr;
	for (i = 0; i < en->certs.n; i++) {
		const struct cert *c = &en->certs.all[i];
		const char *url =
		    c->issue == NULL ? NULL : c->issue->order.certificate;

		if (url == NULL || c->order_key == NULL ||
		    strcmp(url, play.call->url) != 0)
			continue;
		*key = sim_key_number(c->order_key);
		return c->conf;
	}
	return &en->conf->certs[sim_keeper.last_cert];
}

/* "@chain [names=a,b] [key=N] [from=-1h] [life=90d] [issuer=CN] [leaf-only]
 * [forged]": of the last CSR where not said otherwise. */
static int
put_chain(char *args, struct buf *out)
{
	unsigned key;
	const struct conf_cert *cc = downloaded_cert(&key);
	const char *names[NAMES_MAX];
	struct mint m = { .names = names, .key = key };
	int64_t from = -3600000, life = 90 * DAY_S * 1000;
	char *w, *list;
	uint32_t i;

	for (i = 0; i < cc->n_idents && m.n_names < NAMES_MAX; i++)
		if (!ipc_is_out(sim_keeper.left_out[key], i))
			names[m.n_names++] = cc->idents[i];
	while ((w = word(&args)) != NULL) {
		if (strncmp(w, "names=", 6) == 0) {
			m.names = names;
			m.n_names = 0;
			list = w + 6;
			while (m.n_names < NAMES_MAX &&
			       (names[m.n_names] = strsep(&list, ",")) != NULL)
				m.n_names++;
		} else if (strncmp(w, "key=", 4) == 0)
			m.key = (unsigned)strtoul(w + 4, NULL, 10);
		else if (strncmp(w, "from=", 5) == 0)
			(void)span(w + 5, &from);
		else if (strncmp(w, "life=", 5) == 0)
			(void)span(w + 5, &life);
		else if (strncmp(w, "issuer=", 7) == 0)
			m.issuer = w + 7;
		else if (strcmp(w, "leaf-only") == 0)
			m.leaf_only = true;
		else if (strcmp(w, "ari") == 0)
			m.ari = true;
		else if (strcmp(w, "forged") == 0)
			m.forged = true;
		else
			return mismatch("@chain: %s?", w);
	}
	if (m.key == 0 || m.key > SIM_KEYS)
		return mismatch("no CSR was made");
	m.from = clock_now() + from / 1000;
	m.to = m.from + life / 1000;
	mint_chain(&m, out);
	return 0;
}

static int
put_body(struct buf *body, const char *l)
{
	AUTO(free) char *copy = strdup(l);

	if (strncmp(l, "@chain", 6) == 0)
		return put_chain(copy + 6, body);
	if (strncmp(l, "@zeros ", 7) == 0) {
		unsigned long n = strtoul(l + 7, NULL, 10);

		while (n-- > 0)
			buf_putc(body, '0');
		return 0;
	}
	if (body->len != 0 && body->data[body->len - 1] != '\n')
		buf_putc(body, '\n');
	expand(l, body);
	return 0;
}

static void
finish_reply(int status, const struct buf *body, bool nonce, bool type)
{
	struct http_call *c = play.call;
	bool json = buf_str(body)[0] == '{';
	char text[32];

	if (!nonce && strcmp(c->method, "GET") != 0) {
		(void)snprintf(text, sizeof(text), "n%u", ++play.nonces);
		sim_header(c, "Replay-Nonce", text);
	}
	if (!type && body->len != 0)
		sim_header(c, "Content-Type",
		    !json          ? "text/plain"
		    : status < 400 ? "application/json"
				   : "application/problem+json");
	sim_reply(c, status, buf_str(body), body->len);
}

static int
lose(char *args)
{
	if (strcmp(args, "timeout") == 0)
		sim_lose_by(play.call, 28, "no answer in time");
	else if (strcmp(args, "no-host") == 0)
		sim_lose_by(play.call, 6, "could not resolve host");
	else
		sim_lose(play.call, *args == '\0' ? "connection lost" : args);
	return 0;
}

static int reply_served(void);

/* "< STATUS [Header: value]", more headers, body; "< lost [WHY]"; "< served"
 */
static int
do_reply(char *args)
{
	AUTO(buf_done) struct buf body = BUF_INIT(4 << 20);
	bool nonce = false, type = false;
	char *first = word(&args);
	const char *l;

	if (play.call == NULL || play.call->answered)
		return mismatch("no request waits for a reply");
	if (first == NULL)
		return mismatch("STATUS is needed");
	if (strcmp(first, "lost") == 0)
		return lose(args);
	if (strcmp(first, "served") == 0)
		return reply_served();
	if (*args != '\0')
		add_header(args, play.call, &nonce, &type);
	while ((l = block_line()) != NULL) {
		if (body.len == 0 && is_header(l))
			add_header(l, play.call, &nonce, &type);
		else if (put_body(&body, l) == -1)
			return -1;
	}
	finish_reply((int)strtol(first, NULL, 10), &body, nonce, type);
	return 0;
}

/* Serving */

static void
serve_one(struct serve *s, struct http_call *c)
{
	AUTO(free) char *args = strdup(play.lines[s->reply].text + 1);
	struct http_call *was = play.call;
	size_t pc = play.pc;

	c->seen = true;
	s->times++;
	play.served++;
	play.orders += strstr(c->url, "new-order") != NULL;
	play.call = c;
	play.pc = s->reply;
	(void)do_reply(args);
	play.call = was;
	play.pc = pc;
}

static struct serve *
who_serves(const struct http_call *c)
{
	unsigned i;

	for (i = play.n_serves; i-- > 0;)
		if (is_wanted(c, &play.serves[i].wanted))
			return &play.serves[i];
	return NULL;
}

static void
serve_calls(void)
{
	struct http_call *c;
	struct serve *s;

	TAILQ_FOREACH (c, &sim_calls, link)
		if ((s = who_serves(c)) != NULL)
			serve_one(s, c);
}

static int
reply_served(void)
{
	struct serve *s;

	play.call->seen = false;
	s = who_serves(play.call);
	play.call->seen = true;
	if (s == NULL)
		return mismatch("not served");
	play.orders -= strstr(play.call->url, "new-order") != NULL;
	serve_one(s, play.call);
	play.served--; /* the script has asked for it */
	return 0;
}

static struct serve *
find_serve(const char *text)
{
	unsigned i;

	for (i = 0; i < play.n_serves; i++)
		if (strcmp(play.serves[i].text, text) == 0)
			return &play.serves[i];
	return NULL;
}

static int
do_unserve(char *args)
{
	struct serve *s = find_serve(args);

	if (s == NULL)
		return mismatch("not served");
	free(s->text);
	free(s->args);
	/* the order says which comes first */
	play.n_serves--;
	memmove(
	    s, s + 1, (size_t)(&play.serves[play.n_serves] - s) * sizeof(*s));
	return 0;
}

/* As "> ", and below it "< ", for now and for as long as it is served; the
 * latest comes first. */
static int
do_serve(char *args)
{
	struct serve *s = find_serve(args);

	if (s == NULL && play.n_serves == SERVES_MAX)
		return mismatch("too many");
	if (s != NULL)
		(void)do_unserve(args);
	s = &play.serves[play.n_serves];
	*s = (struct serve){ .text = strdup(args), .args = strdup(args) };
	play.n_serves++;
	if (parse_wanted(s->args, &s->wanted) == -1)
		return -1;
	if (play.pc + 1 == play.n || play.lines[play.pc + 1].text[0] != '<')
		return mismatch("its reply is needed");
	s->reply = ++play.pc;
	while (block_line() != NULL)
		continue;
	return 0;
}

/* Events */

/* "fetch TOKEN [none]": the CA asks port 80. */
static int
do_fetch(char *args)
{
	struct engine *en = sim_engine();
	const char *token = word(&args);
	const char *answer = tokens_find(en->tokens, token, strlen(token));
	char want[512];

	if (strcmp(args, "none") == 0)
		return answer == NULL ? 0 : mismatch("answered: %s", answer);
	if (answer == NULL)
		return mismatch("not answered");
	(void)snprintf(want, sizeof(want), "%s.%s", token,
	    session_thumbprint(the_session()));
	if (strcmp(answer, want) != 0)
		return mismatch("answered: %s", answer);
	tokens_tell(en->tokens, token, strlen(token));
	return 0;
}

static int
do_renew(char *args)
{
	(void)args;
	renew_now(sim_engine(), subject());
	return 0;
}

/* "check [refused TEXT]", "rehearse [refused TEXT]" */
static int
try_out(char *args, enum issue_mode mode)
{
	const char *w = word(&args);
	struct err e;

	if (renew_check(sim_engine(), subject(), mode, &e) == 0)
		return w == NULL ? 0 : mismatch("not refused");
	if (w == NULL || strcmp(w, "refused") != 0 || !fits(args, e.what))
		return mismatch("%s", e.what);
	return 0;
}

static int
do_check(char *args)
{
	return try_out(args, ISSUE_CHECK);
}

static int
do_rehearse(char *args)
{
	return try_out(args, ISSUE_REHEARSAL);
}

/* "caa NAME [ISSUER...]", "caa NAME fails TEXT", "caa NAME gone" */
static int
do_caa(char *args)
{
	const char *name = word(&args), *w;
	struct sim_caa *s = NULL;
	size_t i;

	for (i = 0; i < SIM_CAA && s == NULL; i++)
		if (sim_dns.caa[i].at[0] == '\0' ||
		    strcmp(sim_dns.caa[i].at, name) == 0)
			s = &sim_dns.caa[i];
	if (s == NULL)
		return mismatch("too many");
	*s = (struct sim_caa){ 0 };
	if (strcmp(args, "gone") == 0) {
		/* no name is like that */
		(void)snprintf(s->at, sizeof(s->at), "-");
		return 0;
	}
	(void)snprintf(s->at, sizeof(s->at), "%s", name);
	if (strncmp(args, "fails ", 6) == 0) {
		(void)snprintf(s->error, sizeof(s->error), "%s", args + 6);
		return 0;
	}
	while (s->n < SIM_ISSUERS && (w = word(&args)) != NULL)
		(void)snprintf(s->issuers[s->n++], sizeof(s->issuers[0]), "%s",
		    strcmp(w, "nobody") == 0 ? "" : w);
	return 0;
}

static void
print_plan(const struct plan *p, const struct conf *conf)
{
	uint32_t i;

	for (i = 0; i < p->n; i++) {
		const struct plan_item *it = &p->items[i];

		buf_printf(&play.plan, "%s %s %s +%" PRId64 "m%s%s%s%s\n",
		    it->cert->name, change_name(it->why),
		    conf->cas[it->ca].name, (it->at - clock_now()) / 60,
		    it->limited ? " " : "",
		    it->limited ? budget_limit_name(it->why_not.limit) : "",
		    it->instead_of == CONF_NONE ? "" : " instead of ",
		    it->instead_of == CONF_NONE
			? ""
			: conf->cas[it->instead_of].name);
	}
	buf_printf(&play.plan, "unchanged %" PRIu32 "\n", p->n_unchanged);
	if (p->first_limited != NULL)
		buf_printf(&play.plan, "first limited %s\n",
		    p->first_limited->cert->name);
	if (p->ends != 0)
		buf_printf(&play.plan, "ends +%" PRId64 "m\n",
		    (p->ends - clock_now()) / 60);
}

/* "plan" and a block: what that configuration would do; "plan now". */
static int
do_plan(char *args)
{
	AUTO(buf_done) struct buf text = BUF_INIT(1 << 20);
	AUTO(conf_free) struct conf *conf = NULL;
	const char *l;
	struct plan p;
	struct err e;

	while (args[0] == '\0' && (l = block_line()) != NULL)
		buf_printf(&text, "%s\n", l);
	if (text.len != 0 && (conf = sim_conf(buf_str(&text), &e)) == NULL)
		return mismatch("%s", e.what);
	if (plan_make(sim_engine(), conf == NULL ? sim_engine()->conf : conf,
		&p, &e) == -1)
		return mismatch("%s", e.what);
	buf_reset(&play.plan);
	print_plan(&p, conf == NULL ? sim_engine()->conf : conf);
	plan_done(&p);
	return 0;
}

static int
fails_or_works(char *args, char *text, size_t size)
{
	const char *w = word(&args);

	if (w != NULL && strcmp(w, "works") == 0)
		text[0] = '\0';
	else if (w != NULL && strcmp(w, "fails") == 0)
		(void)snprintf(text, size, "%s", *args == '\0' ? "no" : args);
	else
		return mismatch("fails or works?");
	return 0;
}

static int
do_install(char *args)
{
	return fails_or_works(
	    args, sim_root.install_fails, sizeof(sim_root.install_fails));
}

/* "files NAME key|damaged|all": what is there of it has a damaged key, is
 * damaged, the version before as well. */
static int
do_files(char *args)
{
	struct sim_files *f = sim_files(word(&args));

	if (f == NULL)
		return mismatch("nothing was installed");
	if (strcmp(args, "key") == 0)
		f->v[0].key_damaged = true;
	else if (strcmp(args, "damaged") == 0)
		f->v[0].damaged = true;
	else if (strcmp(args, "all") == 0)
		f->v[0].damaged = f->v[1].damaged = true;
	else
		return mismatch("not key, damaged or all");
	return 0;
}

static int
do_hook(char *args)
{
	if (strcmp(args, "hangs") == 0) {
		sim_root.hook_hangs = true;
		return 0;
	}
	sim_hooks_end();
	return fails_or_works(
	    args, sim_root.hook_fails, sizeof(sim_root.hook_fails));
}

/* "keeper fails make|get|jws|csr|eab|old|drop TEXT",
 * "keeper loses account|key N", "keeper has old N..." */
static int
do_keeper(char *args)
{
	const char *w = word(&args);

	if (w != NULL && strcmp(w, "fails") == 0) {
		(void)snprintf(sim_keeper.fail_what,
		    sizeof(sim_keeper.fail_what), "%s", word(&args));
		(void)snprintf(sim_keeper.fail_text,
		    sizeof(sim_keeper.fail_text), "%s", args);
		return 0;
	}
	if (w != NULL && strcmp(w, "has") == 0) {
		sim_keeper.old_certs = 0;
		for (w = word(&args); (w = word(&args)) != NULL && *w != '\0';)
			sim_keeper.old_certs |= 1u << strtoul(w, NULL, 10);
		return 0;
	}
	if (w == NULL || strcmp(w, "loses") != 0)
		return mismatch("fails, loses or has?");
	w = word(&args);
	if (strcmp(w, "account") == 0)
		sim_keeper.account_lost = true;
	else
		sim_keeper.lost_certs |= 1u << strtoul(args, NULL, 10);
	return 0;
}

/* "disk full KIND", "disk works" */
static int
do_disk(char *args)
{
	const char *w = word(&args);
	bool full = w != NULL && strcmp(w, "full") == 0;

	if (!full && (w == NULL || strcmp(w, "works") != 0))
		return mismatch("full or works?");
	(void)snprintf(sim_full, sizeof(sim_full), "%s", full ? args : "");
	return 0;
}

/* "state certs/NAME" and a block: what is on disk; only while stopped. */
static int
do_state(char *args)
{
	AUTO(buf_done) struct buf text = BUF_INIT(1 << 20);
	AUTO(close) int dir = -1;
	char name[256], *slash = strchr(args, '/');
	struct err e;
	const char *l;

	if (slash == NULL)
		return mismatch("KIND/NAME is needed");
	while ((l = block_line()) != NULL) {
		expand(l, &text);
		buf_putc(&text, '\n');
	}
	*slash = '\0';
	(void)snprintf(name, sizeof(name), "%s.json", slash + 1);
	dir =
	    fs_make_dir(sim_state_dir(), args, 0700, (uid_t)-1, (gid_t)-1, &e);
	if (dir == -1 ||
	    fs_replace(dir, name, buf_str(&text), text.len, 0600, &e) == -1)
		return mismatch("%s", e.what);
	return 0;
}

/* Expectations */

static int
want_count(const char *what, uint64_t is, const char *spec)
{
	const char *dots = strstr(spec, "..");
	uint64_t from = strtoull(spec, NULL, 10);
	uint64_t to = dots == NULL ? from : strtoull(dots + 2, NULL, 10);

	if (is < from || is > to)
		return mismatch("%s: %" PRIu64, what, is);
	return 0;
}

static int
want_text(const char *what, const char *is, const char *spec)
{
	if (is == NULL)
		is = "none";
	return fits(spec, is) ? 0 : mismatch("%s: %s", what, is);
}

/* at: an instant in seconds, 0: none. */
static int
want_time(const char *what, int64_t at, const char *spec)
{
	struct range r = range(spec);
	int64_t in = (at - clock_now()) * 1000;
	char text[CLOCK_RFC3339_MAX];

	if (strcmp(spec, "none") == 0)
		return at == 0 ? 0 : mismatch("%s: not none", what);
	if (at == 0)
		return mismatch("%s: none", what);
	clock_format(at, text);
	if (strcmp(spec, "same") == 0 || strcmp(spec, "other") == 0) {
		bool same = at == play.shown;

		play.shown = at;
		return same == (spec[0] == 's')
			   ? 0
			   : mismatch("%s: %s", what, text);
	}
	play.shown = at;
	if (in < r.from || in > r.to)
		return mismatch(
		    "%s: in %" PRId64 " s, at %s", what, in / 1000, text);
	return 0;
}

static int
want_trouble(const struct trouble *t, char *args)
{
	const char *type = word(&args);

	if (type == NULL || strcmp(type, "none") == 0)
		return t->text == NULL ? 0 : mismatch("trouble: %s", t->text);
	if (t->text == NULL)
		return mismatch("trouble: none");
	if (t->type == NULL || strcmp(t->type, type) != 0)
		return mismatch("trouble: %s %s", t->type, t->text);
	return *args == '\0' ? 0 : want_text("trouble", t->text, args);
}

static int
x_trouble(char *args)
{
	return want_trouble(&subject()->issue_trouble, args);
}

static int
x_deploy_trouble(char *args)
{
	return want_trouble(&subject()->deploy_trouble, args);
}

static int
x_instead(char *args)
{
	return want_text("instead", subject()->instead, args);
}

static int
x_installed(char *args)
{
	return want_count("installed", sim_root.installs, args);
}

static int
x_version(char *args)
{
	return want_count("version", subject()->have.version, args);
}

static int
x_orders(char *args)
{
	return want_count("new orders", play.orders, args);
}

static int
x_requests(char *args)
{
	return want_count("requests", sim_n_calls, args);
}

static int
x_tokens(char *args)
{
	return want_count("tokens", tokens_count(sim_engine()->tokens), args);
}

static int
x_hooks(char *args)
{
	return want_count("hooks", sim_root.hooks, args);
}

static int
x_failures(char *args)
{
	return want_count("failures", subject()->issue_trouble.failures, args);
}

static int
x_nonces(char *args)
{
	return want_count("nonces", the_session()->n_nonces, args);
}

static int
x_accounts(char *args)
{
	return want_count("account keys made", sim_keeper.n_accounts, args);
}

static int
x_dropped(char *args)
{
	return want_count("keys dropped", sim_keeper.dropped, args);
}

static int
x_keys(char *args)
{
	return want_count("certificate keys made", sim_keeper.n_certs, args);
}

static int
x_turns(char *args)
{
	return want_count("timers run", sim_turns(), args);
}

static int
x_order(char *args)
{
	return want_text("order", subject()->order_url, args);
}

static int
x_account(char *args)
{
	return want_text("account", session_account_url(the_session()), args);
}

static int
x_key(char *args)
{
	const char *id = subject()->order_key;
	char text[16];

	(void)snprintf(
	    text, sizeof(text), "%u", id == NULL ? 0 : sim_key_number(id));
	return want_text("key", id == NULL ? NULL : text, args);
}

static int
x_next(char *args)
{
	return want_time("next attempt", renew_next(subject()), args);
}

static int
x_turn(char *args)
{
	(void)plan_turns(sim_engine());
	return want_time("turn", subject()->turn_at, args);
}

static int
x_retry(char *args)
{
	return want_time("not before", subject()->issue_trouble.next, args);
}

static int
x_renewal(char *args)
{
	return want_time("renewal", cert_renew_at(subject()), args);
}

static int
x_window(char *args)
{
	const struct window *w = &subject()->window;
	const char *spec = word(&args);
	int64_t shown = play.shown;
	int r;

	if (spec == NULL || strcmp(spec, "none") == 0)
		return w->end == 0 ? 0 : mismatch("there is a window");
	r = want_time("window from", w->start, spec);
	r = r == -1 ? r : want_time("window to", w->end, args);
	play.shown = shown;
	return r;
}

static int
x_window_url(char *args)
{
	return want_text("url", subject()->window.url, args);
}

static int
x_recalled(char *args)
{
	bool is = cert_recalled(subject(), engine_now(sim_engine()));

	return want_text("recalled", is ? "yes" : "no", args);
}

static int
x_alarm(char *args)
{
	static const char *const names[] = {
		[ALARM_NONE] = "none",
		[ALARM_INFO] = "info",
		[ALARM_WARN] = "warning",
		[ALARM_CRITICAL] = "critical",
	};

	return want_text(
	    "alarm", names[cert_alarm(sim_engine(), subject())], args);
}

/* The CA that its next attempt goes to, or the one under way. */
static int
x_ca(char *args)
{
	const struct engine *en = sim_engine();

	return want_text(
	    "CA", en->conf->cas[renew_ca(en, subject())].name, args);
}

static int
x_issued_by(char *args)
{
	return want_text("issued by", subject()->have.ca, args);
}

static int
x_row(char *args)
{
	return want_text("row", subject()->issue_trouble.row, args);
}

static int
x_waits(char *args)
{
	return want_text("waits for", subject()->waits, args);
}

static int
x_rehearse(char *args)
{
	return want_text("rehearse", subject()->rehearse ? "yes" : "no", args);
}

/* "plan TEXT": a line of it, but for "~" */
static int
x_plan(char *args)
{
	AUTO(buf_done) struct buf all = BUF_INIT(1 << 20);
	char want[256];

	if (args[0] == '~' || args[0] == '!')
		return want_text("plan", buf_str(&play.plan), args);
	buf_printf(&all, "\n%s", buf_str(&play.plan));
	(void)snprintf(want, sizeof(want), "\n%s\n", args);
	return strstr(buf_str(&all), want) != NULL
		   ? 0
		   : mismatch("plan:%s", buf_str(&all));
}

static int
x_orphan(char *args)
{
	const struct orphan *o = certs_orphan(&sim_engine()->certs, args);

	return o == NULL ? mismatch("no orphan") : 0;
}

struct left {
	const char *limit, *of;
	int64_t left;
};

static void
find_left(void *arg, const struct budget_line *l)
{
	struct left *f = arg;

	if (strcmp(f->limit, budget_limit_name(l->limit)) == 0 &&
	    strcmp(f->of, l->of) == 0)
		f->left = l->left;
}

/* "budget LIMIT [of OF] LEFT", or "full": nothing is spent of it */
static int
x_budget(char *args)
{
	struct left f = { .limit = word(&args), .of = "", .left = -1 };

	if (strncmp(args, "of ", 3) == 0) {
		(void)word(&args);
		f.of = word(&args);
	}
	budget_each(session_budget(the_session()), engine_now(sim_engine()),
	    find_left, &f);
	if (strcmp(args, "full") == 0)
		return f.left == -1 ? 0 : mismatch("left: %" PRId64, f.left);
	if (f.left == -1)
		return mismatch("full, or no such limit");
	return want_count("left", (uint64_t)f.left, args);
}

/* "served N METHOD URL ..." */
static int
x_served(char *args)
{
	const char *spec = word(&args);
	const struct serve *s = find_serve(args);

	return s == NULL ? mismatch("not served")
			 : want_count("served", s->times, spec);
}

static int
x_restored(char *args)
{
	return want_text("restored", subject()->restored, args);
}

/* Of what is installed, when it is without some that were configured. */
static int
x_names(char *args)
{
	return want_text("names", subject()->have.names, args);
}

static int
x_left_out(char *args)
{
	const struct partial *p = subject()->partial;
	AUTO(buf_done) struct buf names = BUF_INIT(4096);
	uint32_t i;

	for (i = 0; p != NULL && i < p->n_bad; i++)
		if (p->bad[i].out)
			buf_printf(&names, "%s%s", names.len == 0 ? "" : " ",
			    subject()->conf->idents[p->bad[i].ident]);
	return want_text(
	    "left out", names.len == 0 ? NULL : buf_str(&names), args);
}

static int
x_whole(char *args)
{
	const struct partial *p = subject()->partial;

	return want_time("tried whole", p == NULL ? 0 : p->whole_at, args);
}

static int
x_operator(char *args)
{
	return want_text(
	    "operator", subject()->issue_trouble.operator? "yes" : "no", args);
}

static int
x_blocked(char *args)
{
	const char *why, *spec = word(&args);
	int64_t until = session_blocked(the_session(), &why);

	if (spec == NULL || strcmp(spec, "no") == 0)
		return until == 0 ? 0 : mismatch("blocked: %s", why);
	if (until == 0)
		return mismatch("blocked: no");
	if (strcmp(spec, "forever") == 0) {
		if (until != INT64_MAX)
			return mismatch("blocked for a time: %s", why);
	} else if (want_time("blocked", until, spec) == -1)
		return -1;
	return *args == '\0' ? 0 : want_text("blocked", why, args);
}

static int
x_deploy(char *args)
{
	static const char *const names[] = { "none", "reload", "done" };

	return want_text("deploy", names[subject()->deploy], args);
}

static int
x_step(char *args)
{
	const struct issue *is = subject()->issue;

	return want_text("step", is == NULL ? NULL : issue_step_name(is), args);
}

/* What the CA is waited for, and for how many minutes: "it 61". */
static int
x_ca_does(char *args)
{
	const struct issue *is = subject()->issue;
	const char *what = NULL;
	char text[128];
	int64_t s;

	if (is != NULL)
		what = issue_waits(is, &s);
	if (what != NULL)
		(void)snprintf(
		    text, sizeof(text), "%s, %" PRId64 " min", what, s / 60);
	return want_text("the CA", what == NULL ? NULL : text, args);
}

static int
x_health(char *args)
{
	static const char *const names[] = { "ok", "waiting", "warn", "bad" };

	return want_text(
	    "health", names[cert_health(sim_engine(), subject())], args);
}

static int
x_errors(char *args)
{
	return want_count("errors in the log", play.n_errors, args);
}

static int
x_warnings(char *args)
{
	return want_count("warnings in the log", play.n_warnings, args);
}

static int
x_log(char *args)
{
	return fits(args, buf_str(&play.log)) ? 0 : mismatch("not logged");
}

/* "saved KIND/NAME SPEC" or "saved KIND/NAME none" */
static int
x_saved(char *args)
{
	AUTO(buf_done) struct buf text = BUF_INIT(1 << 20);
	const char *key = word(&args);
	char path[300];
	struct err e;

	/* whatever waits to be written */
	while (turn(sim_ms()))
		continue;
	(void)snprintf(path, sizeof(path), "%s.json", key);
	if (fs_read(sim_state_dir(), path, &text, &e) == -1)
		return want_text("saved", NULL, args);
	return want_text("saved", buf_str(&text), args);
}

static int
count_bad(void *arg, const char *name)
{
	unsigned *n = arg;

	*n += strncmp(name, ".bad-", 5) == 0;
	return 0;
}

static int
x_aside(char *args)
{
	const char *const *kind;
	unsigned n = 0;

	for (kind = store_kinds; *kind != NULL; kind++) {
		AUTO(close) int dir = fs_open_dir(sim_state_dir(), *kind, NULL);

		if (dir != -1)
			(void)fs_each(dir, count_bad, &n, NULL);
	}
	return want_count("put aside", n, args);
}

static int
x_hint(char *args)
{
	struct err e = { .kind = ERR_PROBLEM };
	const struct trouble *t = &subject()->issue_trouble;
	const char *url;
	size_t len;

	(void)snprintf(e.what, sizeof(e.what), "%s", t->text);
	url = problem_url(e.what, &len);
	if (url == NULL)
		return mismatch("no URL");
	e.what[url + len - e.what] = '\0';
	return want_text("url", url, args);
}

struct command {
	const char *name;
	int (*fn)(char *args);
};

/* clang-format off */
static const struct command expectations[] = {
	{ "account",        x_account },
	{ "account-keys",   x_accounts },
	{ "alarm",          x_alarm },
	{ "aside",          x_aside },
	{ "blocked",        x_blocked },
	{ "budget",         x_budget },
	{ "ca",             x_ca },
	{ "ca-does",        x_ca_does },
	{ "deploy",         x_deploy },
	{ "deploy-trouble", x_deploy_trouble },
	{ "dropped",        x_dropped },
	{ "failures",       x_failures },
	{ "health",         x_health },
	{ "hooks",          x_hooks },
	{ "installed",      x_installed },
	{ "instead",        x_instead },
	{ "issued-by",      x_issued_by },
	{ "key",            x_key },
	{ "keys",           x_keys },
	{ "errors",         x_errors },
	{ "left-out",       x_left_out },
	{ "log",            x_log },
	{ "names",          x_names },
	{ "next",           x_next },
	{ "nonces",         x_nonces },
	{ "operator",       x_operator },
	{ "order",          x_order },
	{ "orders",         x_orders },
	{ "orphan",         x_orphan },
	{ "plan",           x_plan },
	{ "recalled",       x_recalled },
	{ "rehearse",       x_rehearse },
	{ "renewal",        x_renewal },
	{ "requests",       x_requests },
	{ "restored",       x_restored },
	{ "retry",          x_retry },
	{ "row",            x_row },
	{ "saved",          x_saved },
	{ "served",         x_served },
	{ "step",           x_step },
	{ "tokens",         x_tokens },
	{ "trouble",        x_trouble },
	{ "turn",           x_turn },
	{ "turns",          x_turns },
	{ "url",            x_hint },
	{ "version",        x_version },
	{ "waits",          x_waits },
	{ "warnings",       x_warnings },
	{ "whole",          x_whole },
	{ "window",         x_window },
	{ "window-url",     x_window_url },
};

static int do_expect(char *);

static const struct command commands[] = {
	{ "<",       do_reply },
	{ ">",       do_request },
	{ "advance", do_advance },
	{ "ca",      do_ca },
	{ "caa",     do_caa },
	{ "cert",    do_cert },
	{ "check",   do_check },
	{ "clock",   do_clock },
	{ "conf",    do_conf },
	{ "disk",    do_disk },
	{ "end",     do_end },
	{ "expect",  do_expect },
	{ "fetch",   do_fetch },
	{ "files",   do_files },
	{ "hook",    do_hook },
	{ "install", do_install },
	{ "keeper",  do_keeper },
	{ "names",   do_names },
	{ "plan",    do_plan },
	{ "quiet",   do_quiet },
	{ "rehearse", do_rehearse },
	{ "renew",   do_renew },
	{ "repeat",  do_repeat },
	{ "restart", do_restart },
	{ "seed",    do_seed },
	{ "serve",   do_serve },
	{ "sleep",   do_sleep },
	{ "start",   do_start },
	{ "state",   do_state },
	{ "stop",    do_stop },
	{ "unserve", do_unserve },
	{ "wait",    do_wait },
};
/* clang-format on */

static int
dispatch(const struct command *list, size_t n, char *args)
{
	const char *name = word(&args);
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return list[i].fn(args);
	return mismatch("\"%s\" is nothing I know", name);
}

static int
do_expect(char *args)
{
	if (sim_engine() == NULL || subject() == NULL)
		return mismatch("not started");
	/* what is due now has happened */
	serve_calls();
	while (step(sim_ms()))
		continue;
	if (check_wire() == -1)
		return -1;
	return dispatch(expectations, NELEM(expectations), args);
}

/* Files */

static int load(const char *path, unsigned depth, char *args);

/* $1 to $9 of an included file. */
static char *
fill_in(const char *text, char *const *words)
{
	AUTO(buf_done) struct buf out = BUF_INIT(65536);

	for (; *text != '\0'; text++) {
		if (text[0] == '$' && text[1] >= '1' && text[1] <= '9') {
			const char *w = words[*++text - '1'];

			buf_puts(&out, w == NULL ? "" : w);
		} else
			buf_putc(&out, *text);
	}
	return strdup(buf_str(&out));
}

static int
load_line(const char *path, unsigned no, const char *text, unsigned depth)
{
	struct line *l;
	char other[1024];

	if (strncmp(text, "include ", 8) == 0) {
		AUTO(free) char *args = strdup(text + 8);
		char *rest = args;

		(void)snprintf(other, sizeof(other), "%.*s%s.inc",
		    (int)(strrchr(path, '/') + 1 - path), path, word(&rest));
		return load(other, depth + 1, rest);
	}
	if (play.n == LINES_MAX) {
		(void)fprintf(stderr, "%s: too long\n", path);
		return -1;
	}
	l = &play.lines[play.n++];
	l->file = strdup(path);
	l->text = strdup(text);
	l->no = no;
	return 0;
}

static int
load(const char *path, unsigned depth, char *args)
{
	AUTO(free) char *text = NULL;
	FILE *f = depth > 8 ? NULL : fopen(path, "re");
	char *words[9] = { NULL };
	size_t cap = 0, i;
	unsigned no = 0;
	int r = 0;

	for (i = 0; i < NELEM(words) && args != NULL; i++)
		words[i] = word(&args);

	if (f == NULL) {
		perror(path);
		return -1;
	}
	while (r == 0 && getline(&text, &cap, f) != -1) {
		AUTO(free) char *l = NULL;

		text[strcspn(text, "\n")] = '\0';
		l = fill_in(text, words);
		r = load_line(path, ++no, l, depth);
	}
	(void)fclose(f);
	return r;
}

static void
reset(void)
{
	size_t i;

	sim_stop();
	for (i = 0; i < play.n; i++) {
		free(play.lines[i].file);
		free(play.lines[i].text);
	}
	while (play.n_serves > 0) {
		free(play.serves[--play.n_serves].text);
		free(play.serves[play.n_serves].args);
	}
	buf_done(&play.conf);
	buf_done(&play.certs);
	buf_done(&play.plan);
	buf_done(&play.log);
	memset(&play, 0, sizeof(play));
	play.conf = BUF_INIT(1 << 20);
	play.certs = BUF_INIT(1 << 20);
	play.plan = BUF_INIT(1 << 20);
	play.log = BUF_INIT(256 << 20);
	play.n_errors = play.n_warnings = 0;
	sim_http_reset();
	mint_reset();
	sim_dns_reset();
	sim_keys_reset();
	sim_root_reset();
	sim_time_reset();
	sim_state_reset();
	sim_full[0] = '\0';
	rnd_seed(1);
}

static int
play_lines(void)
{
	for (; play.pc < play.n; play.pc++) {
		AUTO(free) char *args = strdup(here()->text);
		size_t len = strlen(args);

		while (len > 0 && args[len - 1] == ' ')
			args[--len] = '\0';
		if (len == 0 || args[0] == '#')
			continue;
		if (dispatch(commands, NELEM(commands), args) == -1)
			return -1;
	}
	if (play.depth != 0)
		return mismatch("repeat without end");
	while (step(sim_ms()))
		continue;
	if (check_wire() == -1)
		return -1;
	return unseen() != 0 ? mismatch("requests that nobody expected") : 0;
}

static int
play_file(const char *path)
{
	const char *name = strrchr(path, '/');
	int r;

	reset();
	r = load(path, 0, NULL) == -1 || play_lines() == -1 ? -1 : 0;
	(void)printf("%s %-34s %4u requests, %" PRId64 " s\n",
	    r == 0 ? "ok    " : "FAILED", name == NULL ? path : name + 1,
	    sim_n_calls, (sim_ms() - 1000000) / 1000);
	if (verbose)
		(void)printf("%s", buf_str(&play.log));
	(void)fflush(stdout);
	return r;
}

static int
is_scenario(const struct dirent *d)
{
	size_t len = strlen(d->d_name);

	return len > 4 && strcmp(d->d_name + len - 4, ".scn") == 0;
}

/* Every row of the step table must have been in use somewhere. */
static int
check_steps(void)
{
	const char *name, *resume;
	char text[64];
	unsigned i;
	int r = 0;

	for (i = 0; (name = issue_step(i, &resume)) != NULL; i++) {
		(void)snprintf(text, sizeof(text), " %s ", name);
		if (strstr(buf_str(&steps_seen), text) == NULL) {
			(void)printf(
			    "FAILED no scenario has the step %s\n", name);
			r = -1;
		}
	}
	return r;
}

/* A restart of a restart goes on at the same place. */
static int
check_resume(void)
{
	const char *name, *resume, *again, *other;
	unsigned i, j;

	for (i = 0; (name = issue_step(i, &resume)) != NULL; i++)
		for (j = 0; (other = issue_step(j, &again)) != NULL; j++)
			if (strcmp(other, resume) == 0 &&
			    strcmp(again, resume) != 0) {
				(void)printf("FAILED %s resumes at %s, and "
					     "that at %s\n",
				    name, resume, again);
				return -1;
			}
	return 0;
}

static int
play_folder(const char *path)
{
	struct dirent **files;
	int i, n = scandir(path, &files, is_scenario, alphasort), r = 0;
	char file[1024];

	if (n <= 0) {
		(void)fprintf(stderr, "%s: no *.scn\n", path);
		return -1;
	}
	for (i = 0; i < n; i++) {
		(void)snprintf(
		    file, sizeof(file), "%s/%s", path, files[i]->d_name);
		if (play_file(file) == -1)
			r = -1;
		free(files[i]);
	}
	free(files);
	return check_steps() == -1 || check_resume() == -1 ? -1 : r;
}

int
main(int argc, char **argv)
{
	struct stat st;
	int i, r = 0;

	steps_seen = BUF_INIT(64 << 20);
	log_init("engine", (enum log_level)0, LOG_F_TEXT);
	log_tap(on_log, NULL, LOG_L_DEBUG);
	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-v") == 0)
			verbose = true;
		else if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)) {
			if (play_folder(argv[i]) == -1)
				r = 1;
		} else if (play_file(argv[i]) == -1)
			r = 1;
	}
	reset();
	buf_done(&steps_seen);
	return r;
}
