/* SPDX-License-Identifier: ISC */
/* The numbers for a monitoring system (protocol Q9): each sample, and which
 * there are.  That all of it is well formed is looked at in ../e2e. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/engine/session_int.h"
#include "daemon/engine/view.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define T0  INT64_C(1796083200)
#define DAY (24 * INT64_C(3600))
#define CONF_TEXT                                                             \
	"agree-tos: true\n"                                                   \
	"ca: {one: {directory: https://one/dir, limits: {new-orders: 2/1h},"  \
	" rehearse: false}, unused: {directory: https://two/dir}}\n"          \
	"defaults: {ca: one}\n"                                               \
	"domains:\n"                                                          \
	"  - www.example.org\n"                                               \
	"  - {name: two, names: [a.example, b.example], reload: /bin/true}\n" \
	"  - three.example\n"

static void
cancel(struct store_op *op)
{
	(void)op;
}

static const struct store_ops ops = { .cancel = cancel };
static struct store fake = { &ops };
static struct engine en;
static struct buf page;
static struct err e;

static void
changed(void *arg, struct session *s)
{
	(void)arg;
	(void)s;
}

static struct conf *
conf(void)
{
	AUTO(buf_done) struct buf b = BUF_INIT(CONF_BUNDLE_MAX);
	char path[] = "/tmp/acmed-metrics.XXXXXX";
	int fd = mkstemp(path);
	struct conf_report r;
	struct conf *c;

	conf_report_init(&r);
	assert_int_equal(write(fd, CONF_TEXT, strlen(CONF_TEXT)),
	    (ssize_t)strlen(CONF_TEXT));
	assert_int_equal(conf_read(path, &b, &r), 0);
	(void)unlink(path);
	(void)close(fd);
	c = conf_load(b.data, b.len, &r);
	assert_string_equal(buf_str(&r.errors), "");
	conf_report_done(&r);
	return c;
}

static int
setup(void **state)
{
	uint32_t i;

	(void)state;
	log_init("test", (enum log_level)0, LOG_F_TEXT);
	clock_fake(T0);
	en = (struct engine){ .conf = conf(), .started_at = T0 * 1000 };
	en.loop = loop_new(&e);
	en.psl = psl_new(&e);
	en.session_env = (struct session_env){ .loop = en.loop,
		.conf = en.conf,
		.psl = en.psl,
		.store = &fake,
		.changed = changed };
	assert_int_equal(certs_init(&en.certs, en.conf, en.loop, &fake, &e), 0);
	assert_int_equal(renew_init(&en, &e), 0);
	for (i = 0; i < en.certs.n; i++) {
		struct cert *c = &en.certs.all[i];

		c->have = (struct issued){ .version = 1,
			.ca = "one",
			.not_before = T0 - 30 * DAY,
			.not_after = T0 + 60 * DAY,
			.by_fraction = T0 + 31 * DAY };
		c->deploy = DEPLOY_DONE;
		heap_put(&en.sleeping, &c->sleep, T0 + 31 * DAY);
	}
	page = BUF_INIT(1 << 20);
	return 0;
}

static int
teardown(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < en.certs.n; i++) {
		trouble_clear(&en.certs.all[i].issue_trouble);
		trouble_clear(&en.certs.all[i].deploy_trouble);
	}
	renew_done(&en);
	certs_free(&en.certs);
	psl_close(en.psl);
	loop_free(en.loop);
	conf_free(en.conf);
	buf_done(&page);
	return 0;
}

static void
ask(uint32_t limit)
{
	buf_reset(&page);
	if (view_metrics(&en, limit, &page, &e) == -1)
		fail_msg("%s", e.what);
}

/* A whole line. */
static bool
says(const char *line)
{
	AUTO(buf_done) struct buf b = BUF_INIT(4096);

	buf_printf(&b, "\n%s\n", line);
	return strstr(buf_str(&page), buf_str(&b)) != NULL;
}

static void
has(const char *line)
{
	if (!says(line))
		fail_msg("no \"%s\" in:\n%s", line, buf_str(&page));
}

/* Nothing begins like that. */
static void
lacks(const char *begin)
{
	AUTO(buf_done) struct buf b = BUF_INIT(4096);

	buf_printf(&b, "\n%s", begin);
	if (strstr(buf_str(&page), buf_str(&b)) != NULL)
		fail_msg("\"%s\" in:\n%s", begin, buf_str(&page));
}

static void
test_refused(void **state)
{
	(void)state;
	en.refused = (struct ipc_refused){ .since = T0, .at = T0 };
	ask(10);
	has("acmed_config_refused 1");
	has("acmed_healthy 0");
}

/* What is missing is not 0, which would be an instant, too. */
static void
test_valid(void **state)
{
	(void)state;
	en.certs.all[2].have = (struct issued){ 0 };
	en.certs.all[2].deploy = DEPLOY_NONE;
	en.conf_read_at = T0 - 60;
	ask(10);
	has("acmed_build_info{version=\"" ACMED_VERSION "\"} 1");
	has("acmed_healthy 1");
	has("acmed_clock_right 1");
	has("acmed_engine_start_timestamp_seconds 1796083200");
	has("acmed_config_load_timestamp_seconds 1796083140");
	has("acmed_config_refused 0");
	has("acmed_certificates 3");
	has("acmed_certificates_valid 2");
	has("acmed_certificates_by_state{state=\"valid\"} 2");
	has("acmed_certificates_by_state{state=\"none\"} 1");
	has("acmed_certificates_by_state{state=\"trying out\"} 0");
	has("acmed_certificates_by_health{health=\"ok\"} 2");
	has("acmed_certificates_by_health{health=\"waiting\"} 1");
	has("acmed_certificates_by_alarm{alarm=\"none\"} 3");
	has("acmed_certificates_not_shown 0");
	has("acmed_certificate_info{cert=\"two\",ca=\"one\"} 1");
	has("acmed_certificate_not_before_timestamp_seconds{cert=\"two\"} "
	    "1793491200");
	has("acmed_certificate_not_after_timestamp_seconds{cert=\"two\"} "
	    "1801267200");
	has("acmed_certificate_renew_timestamp_seconds{cert=\"two\"} "
	    "1798761600");
	has("acmed_certificate_next_attempt_timestamp_seconds{cert=\"two\"} "
	    "1798761600");
	has("acmed_certificate_failures{cert=\"two\"} 0");
	has("acmed_certificate_alarm_level{cert=\"two\"} 0");
	has("acmed_certificate_needs_person{cert=\"two\"} 0");
	has("acmed_certificate_info{cert=\"three.example\",ca=\"one\"} 1");
	lacks("acmed_certificate_not_after_timestamp_seconds{cert=\"three");
	lacks("acmed_certificate_not_before_timestamp_seconds{cert=\"three");
	lacks("acmed_certificate_renew_timestamp_seconds{cert=\"three");
	lacks("acmed_certificate_error_info{");
	lacks("acmed_certificates_by_error{");
	lacks("acmed_http_");
}

static void
test_failing(void **state)
{
	struct cert *c = &en.certs.all[0];

	(void)state;
	trouble_set(&c->issue_trouble, "connection", "no way in", T0);
	c->issue_trouble.failures = 4;
	c->issue_trouble.next = T0 + 60;
	heap_put(&en.sleeping, &c->sleep, T0 + 60);
	trouble_set(&en.certs.all[2].issue_trouble, "connection", "nor", T0);
	c = &en.certs.all[1];
	c->deploy = DEPLOY_RELOAD;
	trouble_set(&c->deploy_trouble, "hook", "exit status 1", T0);
	c->deploy_trouble.failures = 3;
	ask(10);
	has("acmed_healthy 0"); /* a command that fails for the third time */
	has("acmed_certificates_by_health{health=\"warning\"} 2");
	has("acmed_certificates_by_health{health=\"bad\"} 1");
	has("acmed_certificates_by_error{type=\"connection\"} 2");
	has("acmed_certificate_failures{cert=\"www.example.org\"} 4");
	has("acmed_certificate_error_info{cert=\"www.example.org\","
	    "type=\"connection\"} 1");
	has("acmed_certificate_next_attempt_timestamp_seconds"
	    "{cert=\"www.example.org\"} 1796083260");
	has("acmed_certificates_reload_due 1");
	has("acmed_certificates_reload_failing 1");
	has("acmed_certificate_reload_due{cert=\"two\"} 1");
	has("acmed_certificate_reload_failures{cert=\"two\"} 3");
	has("acmed_certificate_needs_person{cert=\"two\"} 1");
	has("acmed_certificate_needs_person{cert=\"www.example.org\"} 0");
	lacks("acmed_certificate_error_info{cert=\"two\"");
}

static void
test_left_out(void **state)
{
	struct bad_name bad[] = { { .ident = 0, .out = true }, { .ident = 1 } };
	struct partial p = { .bad = bad, .n_bad = 2 };

	(void)state;
	en.certs.all[1].partial = &p;
	ask(10);
	en.certs.all[1].partial = NULL;
	has("acmed_certificates_partial 1");
	has("acmed_certificate_names_left_out{cert=\"two\"} 1");
	has("acmed_certificate_names_left_out{cert=\"www.example.org\"} 0");
	has("acmed_certificate_needs_person{cert=\"two\"} 1");
}

/* By the fraction that is left, of whatever lifetime. */
static void
test_alarms(void **state)
{
	static const struct {
		int64_t left;
		const char *line;
	} rows[] = {
		{ 31 * DAY, "acmed_certificate_alarm_level{cert=\"two\"} 0" },
		{ 29 * DAY, "acmed_certificate_alarm_level{cert=\"two\"} 1" },
		{ 22 * DAY, "acmed_certificate_alarm_level{cert=\"two\"} 2" },
		{ 11 * DAY, "acmed_certificate_alarm_level{cert=\"two\"} 3" },
		{ -DAY, "acmed_certificates_by_state{state=\"expired\"} 1" },
	};
	struct issued *h = &en.certs.all[1].have;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		h->not_after = T0 + rows[i].left;
		h->not_before = h->not_after - 90 * DAY;
		ask(10);
		has(rows[i].line);
	}
	has("acmed_certificates_valid 2");
	has("acmed_certificates_by_alarm{alarm=\"critical\"} 1");
	has("acmed_certificates_by_alarm{alarm=\"none\"} 2");
}

static void
test_clock(void **state)
{
	(void)state;
	en.clock_bad = true;
	en.certs.n_unsaved = 2;
	ask(10);
	has("acmed_healthy 0");
	has("acmed_clock_right 0");
	has("acmed_certificates_unsaved 2");
	lacks("acmed_certificate_next_attempt_timestamp_seconds{");
	en.clock_bad = false;
	ask(10);
	has("acmed_healthy 0"); /* the disk is enough */
}

static void
test_ca(void **state)
{
	struct session *s = en.cas[0].session;

	(void)state;
	assert_string_equal(en.conf->cas[0].name, "one");
	ask(10);
	has("acmed_ca_blocked{ca=\"one\"} 0");
	has("acmed_ca_orders_active{ca=\"one\"} 0");
	has("acmed_ca_orders_queued{ca=\"one\"} 0");
	lacks("acmed_ca_next_attempt_timestamp_seconds{");
	lacks("acmed_ca_clock_ahead_seconds{");
	lacks("acmed_ca_blocked{ca=\"unused\"}");
	assert_true(breaker_trip(&s->breaker, 7200, true, T0));
	s->clock_seen_ms = clock_mono_ms();
	s->clock_said_s = T0 - 3600;
	ask(10);
	has("acmed_ca_blocked{ca=\"one\"} 1");
	has("acmed_ca_needs_person{ca=\"one\"} 0");
	has("acmed_ca_failures{ca=\"one\"} 1");
	has("acmed_ca_next_attempt_timestamp_seconds{ca=\"one\"} 1796090400");
	has("acmed_ca_clock_ahead_seconds{ca=\"one\"} -3600");
	breaker_stop(&s->breaker, T0);
	ask(10);
	has("acmed_ca_blocked{ca=\"one\"} 1");
	has("acmed_ca_needs_person{ca=\"one\"} 1");
	lacks("acmed_ca_next_attempt_timestamp_seconds{");
	has("acmed_healthy 0");
}

static void
test_limits(void **state)
{
	struct budget *b = session_budget(en.cas[0].session);
	const char *const idents[] = { "www.example.org" };
	const struct budget_order order = { .idents = idents, .n_idents = 1 };

	(void)state;
	ask(10);
	has("acmed_ca_limit_capacity{ca=\"one\",limit=\"new-orders\"} 2");
	has("acmed_ca_limit_left{ca=\"one\",limit=\"new-orders\"} 2");
	has("acmed_ca_limit_exhausted{ca=\"one\",limit=\"new-orders\"} 0");
	has("acmed_ca_limit_left{ca=\"one\",limit=\"failures\"} 3");
	lacks("acmed_ca_limit_capacity{ca=\"one\",limit=\"per-domain\"}");
	(void)budget_spend(b, &order, T0);
	(void)budget_spend(b, &order, T0);
	budget_failed(b, "www.example.org", T0);
	ask(10);
	has("acmed_ca_limit_left{ca=\"one\",limit=\"new-orders\"} 0");
	has("acmed_ca_limit_exhausted{ca=\"one\",limit=\"new-orders\"} 1");
	has("acmed_ca_limit_left{ca=\"one\",limit=\"failures\"} 2");
	has("acmed_ca_limit_exhausted{ca=\"one\",limit=\"failures\"} 0");
	en.certs.all[1].waits = strdup("one: limit new-orders");
	ask(10);
	has("acmed_certificates_waiting_for_limit 1");
}

/* Of too many, those that something is wrong with, the worst first. */
static void
test_many(void **state)
{
	(void)state;
	ask(2);
	has("acmed_certificates 3");
	has("acmed_certificates_not_shown 3");
	lacks("acmed_certificate_info{");
	trouble_set(&en.certs.all[0].issue_trouble, "dns", "no name", T0);
	trouble_set(&en.certs.all[2].issue_trouble, "caa", "not here", T0);
	en.certs.all[2].issue_trouble.operator= true;
	ask(2);
	has("acmed_certificates_not_shown 1");
	has("acmed_certificate_failures{cert=\"three.example\"} 0");
	has("acmed_certificate_failures{cert=\"www.example.org\"} 0");
	lacks("acmed_certificate_failures{cert=\"two\"}");
	ask(1);
	has("acmed_certificates_not_shown 2");
	has("acmed_certificate_needs_person{cert=\"three.example\"} 1");
	lacks("acmed_certificate_failures{cert=\"www.example.org\"}");
	ask(0);
	has("acmed_certificates_not_shown 3");
	lacks("acmed_certificate_failures{");
	has("acmed_certificates_by_error{type=\"caa\"} 1"); /* of all */
}

/* Whatever stands in a label, it ends where it should. */
static void
test_labels(void **state)
{
	struct conf_cert odd = *en.certs.all[0].conf;
	struct trouble *t = &en.certs.all[0].issue_trouble;

	(void)state;
	odd.name = "a\"b\\c\nd} 1";
	en.certs.all[0].conf = &odd;
	trouble_set(t, "\"", "from a state that somebody wrote", T0);
	trouble_set(&en.certs.all[1].issue_trouble, NULL, "without a type", T0);
	ask(10);
	has("acmed_certificate_failures{cert=\"a\\\"b\\\\c\\nd} 1\"} 0");
	has("acmed_certificates_by_error{type=\"\\\"\"} 1");
	has("acmed_certificate_error_info{cert=\"two\",type=\"unknown\"} 1");
}

/* More types than there can be: all others are counted. */
static void
test_types(void **state)
{
	static char names[100][8];
	struct cert *all = calloc(100, sizeof(*all)), *was = en.certs.all;
	uint32_t i;

	(void)state;
	for (i = 0; i < 100; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "t%u", i);
		all[i] =
		    (struct cert){ .conf = was[0].conf, .order_ca = CONF_NONE };
		trouble_set(&all[i].issue_trouble, names[i], "x", T0);
	}
	en.certs.all = all;
	en.certs.n = 100;
	ask(0);
	has("acmed_certificates_by_error{type=\"t63\"} 1");
	lacks("acmed_certificates_by_error{type=\"t64\"}");
	for (i = 0; i < 100; i++)
		trouble_clear(&all[i].issue_trouble);
	free(all);
	en.certs.all = was;
	en.certs.n = 3;
}

/* Cut off in the middle it would be believed. */
static void
test_no_memory(void **state)
{
	AUTO(buf_done) struct buf small = BUF_INIT(1000);

	(void)state;
	assert_int_equal(view_metrics(&en, 10, &small, &e), -1);
	assert_int_equal(e.kind, ERR_NOMEM);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_refused),
		TEST(test_valid),
		TEST(test_failing),
		TEST(test_left_out),
		TEST(test_alarms),
		TEST(test_clock),
		TEST(test_ca),
		TEST(test_limits),
		TEST(test_many),
		TEST(test_labels),
		TEST(test_types),
		TEST(test_no_memory),
	};

	return cmocka_run_group_tests_name("engine/metrics", tests, NULL, NULL);
}
