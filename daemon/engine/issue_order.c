/* SPDX-License-Identifier: ISC */
/*
 * The steps up to a new order: what the CA offers, whether CAA lets it issue,
 * and newOrder itself with what it may be refused for.
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/engine/issue_int.h"
#include "lib/acme/problem.h"
#include "lib/acme/requests.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define LIST_MAX 1024 /* of a list in an error's text */

/* An order of an earlier run, which ended before it heard of it */

int
start_lost(struct issue *is, struct err *e)
{
	/* by the time that it is ready it has looked */
	return issue_ask(is, &(struct ask_spec){ .kind = ASK_READY }, e);
}

struct next
got_lost(struct issue *is, const struct answer *a, struct err *e)
{
	AUTO(free)
	char *url = session_found(is->session, is->cert);
	struct next n = NEXT_TO(STEP_POLL_ORDER);

	(void)a;
	if (url == NULL || certs_holds(is->env->certs, url)) {
		is->lost = true;
		(void)err_set(e, ERR_LIMIT, 0,
		    "acmed ended while it was waiting for a new order");
		return NEXT_FAILED;
	}
	log_info("order found that was not heard of",
	    KV("cert", is->cert->conf->name),
	    KV("ca", session_ca(is->session)->name), KV("order", url));
	is->cert->order_url = take_ptr(url);
	is->cert->begun = 0;
	n.save = SAVE_ORDER;
	return n;
}

/* What the CA offers */

int
start_look(struct issue *is, struct err *e)
{
	struct ask_spec spec = { .kind = ASK_READY };

	/* its directory says under which names CAA allows it */
	is->looks_beside = is->caa && is->rehearsed != NULL &&
			   session_directory(is->rehearsed) == NULL;
	return issue_ask_at(
	    is, is->looks_beside ? is->rehearsed : is->session, &spec, e);
}

static bool
in_list(const char **list, const char *what)
{
	for (; list != NULL && *list != NULL; list++)
		if (strcasecmp(*list, what) == 0)
			return true;
	return false;
}

static void
put_list(struct buf *b, const char *const *list, size_t n)
{
	size_t i;

	for (i = 0; i < n && b->len < LIST_MAX; i++)
		buf_printf(b, "%s%.128s", i == 0 ? "" : ", ",
		    *list[i] == '\0' ? "nobody" : list[i]);
}

static size_t
list_len(const char **list)
{
	size_t n = 0;

	while (list != NULL && list[n] != NULL)
		n++;
	return n;
}

static bool
has_profile(const struct issue *is)
{
	const char *profile = is->cert->conf->profile;
	const struct directory *d = session_directory(is->session);

	return profile == NULL || d == NULL || in_list(d->profiles, profile);
}

/* Profiles that are not advertised are not sent (protocol K1). */
static int
check_profile(struct issue *is, struct err *e)
{
	AUTO(buf_done) struct buf all = BUF_INIT(2 * LIST_MAX);
	const struct conf_cert *cc = is->cert->conf;
	const struct directory *d = session_directory(is->session);

	if (has_profile(is))
		return 0;
	if (!cc->profile_required) {
		log_info("the CA does not offer the preferred profile",
		    KV("cert", cc->name), KV("profile", cc->profile),
		    KV("ca", session_ca(is->session)->name));
		is->no_profile = true;
		return 0;
	}
	put_list(&all, d->profiles, list_len(d->profiles));
	(void)err_set(e, ERR_PROBLEM, 0,
	    "CA %s does not offer profile %s, only: %s",
	    session_ca(is->session)->name, cc->profile,
	    all.len == 0 ? "none" : buf_str(&all));
	e->problem = PROBLEM_INVALID_PROFILE;
	return -1;
}

struct next
got_look(struct issue *is, const struct answer *a, struct err *e)
{
	(void)a;
	if (is->looks_beside)
		return NEXT_TO(STEP_LOOK);
	/* a directory is kept for hours, and CAs do add profiles */
	if (!is->looked_again && !has_profile(is) &&
	    session_look_again(is->session)) {
		is->looked_again = true;
		return NEXT_TO(STEP_LOOK);
	}
	if (check_profile(is, e) == -1)
		return NEXT_FAILED;
	is->at = 0;
	if (is->caa)
		return NEXT_TO(STEP_CAA);
	return NEXT_TO(STEP_NEW_ORDER);
}

/* CAA, of one name after the other (RFC 8659, protocol C6) */

/* Whose identities count: of the CA that is meant, be it only rehearsed. */
static const struct directory *
meant(const struct issue *is)
{
	return session_directory(
	    is->rehearsed != NULL ? is->rehearsed : is->session);
}

static void
on_caa(void *arg, const struct caa *caa, const struct err *failed)
{
	struct issue *is = arg;

	is->dns_op = NULL;
	issue_answer(is, &(struct answer){ .caa = caa }, failed);
}

int
start_caa(struct issue *is, struct err *e)
{
	const struct directory *d = meant(is);

	/* without names of the CA there is nothing to compare with */
	if (d == NULL || list_len(d->caa_identities) == 0)
		return STARTED_NOTHING;
	is->dns_op =
	    dns_caa(is->env->dns, is->cert->idents[is->at], on_caa, is, e);
	return is->dns_op == NULL ? -1 : 0;
}

static struct next
next_caa(struct issue *is)
{
	if (++is->at < is->cert->n_idents)
		return NEXT_TO(STEP_CAA);
	is->at = 0;
	if (is->mode == ISSUE_CHECK)
		return (struct next){ .what = NEXT_DONE };
	return NEXT_TO(STEP_NEW_ORDER);
}

static bool
allows(const struct caa *caa, const struct directory *d)
{
	size_t i;

	if (caa->unknown_critical)
		return false;
	for (i = 0; i < caa->n; i++)
		if (in_list(d->caa_identities, caa->issuers[i]))
			return true;
	return caa->n == 0;
}

struct next
got_caa(struct issue *is, const struct answer *a, struct err *e)
{
	AUTO(buf_done) struct buf others = BUF_INIT(2 * LIST_MAX);
	const char *ident = is->cert->idents[is->at];
	const struct directory *d = meant(is);

	if (a == NULL) {
		is->at = is->cert->n_idents;
		log_info("check: the CA does not say under which name CAA "
			 "allows it: not looked at",
		    KV("cert", is->cert->conf->name));
		return next_caa(is);
	}
	if (!a->caa->found || allows(a->caa, d)) {
		log_info("check: CAA allows the CA",
		    KV("cert", is->cert->conf->name), KV("name", ident),
		    KV("at", a->caa->found ? a->caa->at : "no record"));
		return next_caa(is);
	}
	put_list(&others, a->caa->issuers, a->caa->n);
	(void)err_set(e, ERR_PROBLEM, 403,
	    "caa: the CAA record at %s lets only %s issue for %s, and not "
	    "CA %s (%s)",
	    a->caa->at, others.len == 0 ? "nobody" : buf_str(&others), ident,
	    session_ca(is->rehearsed != NULL ? is->rehearsed : is->session)
		->name,
	    d->caa_identities[0]);
	e->problem = PROBLEM_CAA;
	return NEXT_FAILED;
}

/* The CA will look for itself: not to know is no reason not to ask. */
struct next
no_caa(struct issue *is, struct err *e)
{
	log_warn("check: CAA cannot be looked at",
	    KV("cert", is->cert->conf->name),
	    KV("name", is->cert->idents[is->at]), KV("error", e->what));
	return next_caa(is);
}

/* newOrder */

static void
begun_saved(void *arg, const struct err *failed)
{
	struct issue *is = arg;
	struct err e;

	is->save = NULL;
	if (failed == NULL) {
		ask_go(is->ask);
		return;
	}
	e = *failed;
	(void)err_wrap(&e, "state not saved");
	issue_next(is, NEXT_FAILED, &e);
}

/* That it is sent is on disk first (protocol Q2). */
static void
our_turn(void *arg)
{
	struct issue *is = arg;
	struct err e = { .kind = ERR_NONE };

	if (is->ordered && issue_spend_again(is->cert, is->session, &e) == -1) {
		issue_next(is, NEXT_FAILED, &e);
		return;
	}
	is->cert->begun = clock_now();
	is->cert->order_ca = session_index(is->session);
	is->cert->rehearsal = is->mode == ISSUE_REHEARSAL;
	is->save = cert_save(
	    is->env->certs, is->cert, SAVE_ORDER, begun_saved, is, &e);
	if (is->save == NULL)
		issue_next(is, NEXT_FAILED, &e);
}

int
start_new_order(struct issue *is, struct err *e)
{
	AUTO(buf_done) struct buf payload = BUF_INIT(JWS_PAYLOAD_MAX);
	const struct conf_cert *cc = is->cert->conf;
	struct ask_spec spec = { .kind = ASK_ORDER, .turn = our_turn };

	is->replaces_sent =
	    is->mode == ISSUE_REAL && issue_replaces(is->cert, is->session);
	if (request_new_order(is->cert->idents, is->cert->n_idents,
		is->replaces_sent ? is->cert->have.ari_id : NULL,
		is->no_profile ? NULL : cc->profile, &payload, e) == -1)
		return -1;
	spec.payload = payload.data;
	return issue_ask(is, &spec, e);
}

/* Whether the CA may have refused for what "replaces" says (protocol J12). */
static bool
is_for_replaces(const struct err *e)
{
	if (e->kind == ERR_HTTP)
		return e->num < 502 || e->num > 504;
	if (e->kind != ERR_PROBLEM || (e->num >= 502 && e->num <= 504))
		return false;
	switch ((enum acme_problem)e->problem) {
	case PROBLEM_BAD_NONCE:
	case PROBLEM_RATE_LIMITED:
	case PROBLEM_CAA:
	case PROBLEM_INVALID_PROFILE:
	case PROBLEM_REJECTED_IDENTIFIER:
	case PROBLEM_UNSUPPORTED_IDENTIFIER:
	case PROBLEM_USER_ACTION_REQUIRED:
	case PROBLEM_EXTERNAL_ACCOUNT_REQUIRED:
	case PROBLEM_ACCOUNT_DOES_NOT_EXIST:
		return false;
	case PROBLEM_UNKNOWN:
	case PROBLEM_ALREADY_REPLACED:
	case PROBLEM_ALREADY_REVOKED:
	case PROBLEM_BAD_CSR:
	case PROBLEM_BAD_PUBLIC_KEY:
	case PROBLEM_BAD_REVOCATION_REASON:
	case PROBLEM_BAD_SIGNATURE_ALGORITHM:
	case PROBLEM_COMPOUND:
	case PROBLEM_CONFLICT:
	case PROBLEM_CONNECTION:
	case PROBLEM_DNS:
	case PROBLEM_INCORRECT_RESPONSE:
	case PROBLEM_INVALID_CONTACT:
	case PROBLEM_MALFORMED:
	case PROBLEM_ORDER_NOT_READY:
	case PROBLEM_SERVER_INTERNAL:
	case PROBLEM_TLS:
	case PROBLEM_UNAUTHORIZED:
	case PROBLEM_UNSUPPORTED_CONTACT:
	case PROBLEM__COUNT:
		break;
	}
	return true;
}

bool
issue_drop_profile(struct issue *is, const struct err *e)
{
	const struct conf_cert *cc = is->cert->conf;

	if (cc->profile == NULL || cc->profile_required || is->no_profile ||
	    e->kind != ERR_PROBLEM || e->problem != PROBLEM_INVALID_PROFILE)
		return false;
	log_warn("the CA refused the preferred profile: asked again without",
	    KV("cert", cc->name), KV("profile", cc->profile),
	    KV("error", e->what));
	is->no_profile = true;
	return true;
}

struct next
new_order_failed(struct issue *is, struct err *e)
{
	/* no answer says nothing of whether there is an order (A24) */
	is->ordered |= e->kind == ERR_NET;
	if (is->replaces_sent && is_for_replaces(e)) {
		log_warn("the CA refused the order that names the certificate "
			 "it replaces: asked again without",
		    KV("cert", is->cert->conf->name),
		    KV("replaces", is->cert->have.ari_id),
		    KV("error", e->what));
		/* remembered for this predecessor, for good */
		is->cert->have.replaced = true;
		return (struct next){
			.what = NEXT_GO, .to = STEP_NEW_ORDER, .save = SAVE_CERT
		};
	}
	if (issue_drop_profile(is, e))
		return NEXT_TO(STEP_NEW_ORDER);
	return NEXT_FAILED;
}
