/* SPDX-License-Identifier: ISC */
/* What happens, line by line, and what is told when too much has. */
#include "ctl_support.h"

static void
events(void **state)
{
	(void)state;
	expect(print_event,
	    "{\"time\":\"2026-11-23T15:04:05Z\",\"level\":\"info\","
	    "\"event\":\"check: CAA allows\",\"cert\":\"www\","
	    "\"name\":\"a.example.org\",\"ms\":12,\"empty\":\"\"}",
	    "2026-11-23T15:04:05Z check: CAA allows: name a.example.org, ms "
	    "12\n");
	expect(print_event,
	    "{\"time\":\"T\",\"event\":\"step\",\"step\":\"csr\"}",
	    "T step: csr\n");
	expect(print_event, "{\"event\":\"exchange\"}", "");
	/* what a CA says cannot write on the terminal as it likes */
	expect(print_event,
	    "{\"time\":\"T\",\"event\":\"x\",\"error\":\"a\\u001b[31mb\"}",
	    "T x\n  error:       a?[31mb\n");
	/* what is long is below it, folded, and the advice can be typed */
	expect(print_event,
	    "{\"time\":\"2026-11-23T15:04:05Z\",\"event\":\"check failed\","
	    "\"cert\":\"www\",\"type\":\"rateLimited\",\"hint\":\"mend "
	    "their cause, open the page that it names, then: acmectl renew "
	    "NAME\",\"error\":\"newOrder: rateLimited: too many certificates "
	    "already issued for this exact set\"}",
	    "2026-11-23T15:04:05Z check failed: type rateLimited\n"
	    "  error:       newOrder: rateLimited: too many certificates "
	    "already "
	    "issued for\n"
	    "               this exact set\n"
	    "  hint:        mend their cause, open the page that it names, "
	    "then: "
	    "acmectl\n"
	    "               renew www\n");
	expect(print_event,
	    "{\"time\":\"2026-11-23T15:04:05Z\",\"event\":\"renewal window\","
	    "\"start\":\"2027-01-24T03:08:46Z\","
	    "\"end\":\"2027-01-25T22:20:46Z\",\"level\":\"info\"}",
	    "2026-11-23T15:04:05Z renewal window: start 2027-01-24T03:08:46Z, "
	    "end\n"
	    "                     2027-01-25T22:20:46Z\n");
}

/* Of a few that need words all is told, of the rest that they are there. */
static void
many_troubles(void **state)
{
	AUTO(buf_done) struct buf json = BUF_INIT(65536);
	AUTO(json_free) struct json *root = NULL;
	const char *at;
	unsigned i, n = 0;

	(void)state;
	buf_puts(&json,
	    "{\"version\":\"0.1.0\",\"clock_right\":true,\"counts\":{"
	    "\"certificates\":10000,\"valid\":9970,\"busy\":8,\"failing\":30"
	    "},\"certificates\":[");
	for (i = 0; i < 30; i++)
		buf_printf(&json,
		    "%s{\"name\":\"n%u\",\"trouble\":{\"text\":\"no\"}}",
		    i == 0 ? "" : ",", i);
	buf_puts(&json, "]}");
	root = parse(buf_str(&json));
	begin_page();
	print_status(&ctl, root);
	at = end_page();
	assert_memory_equal(at,
	    "acmed 0.1.0: 10,000 certificates, 9,970 valid, 8 under way, 30 in "
	    "trouble:\n  something needs you.\n",
	    98);
	assert_non_null(strstr(at, "\n... and 10 more (acmectl show NAME, or "
				   "acmectl status --all)\n"));
	ctl.all = true;
	begin_page();
	print_status(&ctl, root);
	for (at = end_page(); (at = strstr(at, "error: ")) != NULL; at++)
		n++;
	ctl.all = false;
	assert_int_equal(n, 30);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = { T(events), T(many_troubles) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
