/* SPDX-License-Identifier: ISC */
/*
 * What people read, letter by letter: answers of the daemon as it gives them,
 * and the pages that acmectl makes of them.
 */
#include "ctl_support.h"

#define CLOCK_ADVICE                                       \
	"  you should:  set it, and see why it was wrong " \
	"(timedatectl); acmed goes on\n               by itself\n"

static void
well(void **state)
{
	(void)state;
	expect(print_status,
	    "{\"version\":\"1.2\",\"clock_right\":true,\"healthy\":true,"
	    "\"counts\":{\"certificates\":1,\"valid\":1},"
	    "\"queue\":{\"done\":1,\"running\":0,\"waiting\":0},"
	    "\"certificates\":[{\"name\":\"www\",\"health\":\"ok\","
	    "\"alarm\":\"none\",\"state\":\"valid\",\"ca\":\"letsencrypt\","
	    "\"not_after\":\"2027-01-23T15:04:05Z\",\"next\":\"renew\","
	    "\"next_at\":\"2026-12-23T15:04:05Z\"}]}",
	    "acmed 1.2: 1 certificate, 1 valid.\n"
	    "\n"
	    "  NAME                           STATE      EXPIRES        NEXT\n"
	    "  www                            valid      in 61 days     renew "
	    "in 30 "
	    "days\n");
}

static void
nothing(void **state)
{
	(void)state;
	expect(print_status, "{}",
	    "acmed : 0 certificates, 0 valid: something needs you.\n"
	    "The clock of this machine is wrong: nothing is renewed until it "
	    "is "
	    "right, or a\nCA confirms it.\n" CLOCK_ADVICE);
	expect(print_status,
	    "{\"now\":\"2026-11-23T15:04:05Z\","
	    "\"state_saved\":\"2030-11-23T15:04:05Z\"}",
	    "acmed : 0 certificates, 0 valid: something needs you.\n"
	    "The clock of this machine is wrong: nothing is renewed until it "
	    "is "
	    "right, or a\nCA confirms it.\n"
	    "It shows 2026-11-23T15:04:05Z, but acmed's state was saved at\n"
	    "2030-11-23T15:04:05Z.\n" CLOCK_ADVICE);
	expect(print_budget, "{}", "");
	expect(print_cert, "{}", "\n");
	expect(print_event, "{}", " \n");
	/* members of other types are not there */
	expect(print_status,
	    "{\"version\":7,\"healthy\":\"yes\",\"clock_right\":true,"
	    "\"queue\":[],\"certificates\":{},\"unconfigured\":7,"
	    "\"counts\":{\"certificates\":\"many\"},\"cas\":{}}",
	    "acmed : 0 certificates, 0 valid: something needs you.\n");
}

/* What an operator believes to be in force is not. */
static void
refused(void **state)
{
	(void)state;
	expect(print_status,
	    "{\"version\":\"1.2\",\"clock_right\":true,\"healthy\":false,"
	    "\"counts\":{\"certificates\":1,\"valid\":1},"
	    "\"config_loaded\":\"2026-11-19T15:04:05Z\","
	    "\"config_refused\":{\"since\":\"2026-11-21T15:04:05Z\","
	    "\"at\":\"2026-11-23T14:59:05Z\",\"errors\":4,"
	    "\"error\":\"/etc/acmed.yaml:9:3: unknown key `domians`, did you "
	    "mean `domains`?\",\"hint\":\"mend it\"}}",
	    "acmed 1.2: 1 certificate, 1 valid: something needs you.\n"
	    "The configuration was refused 5 min ago; in force is the one read "
	    "4 days ago\n"
	    "  since:       2026-11-21T15:04:05Z (2 days ago)\n"
	    "  error:       /etc/acmed.yaml:9:3: unknown key `domians`, did "
	    "you mean\n"
	    "               `domains`?\n"
	    "               3 more\n"
	    "  you should:  mend it\n");
	/* the last of them, and no more known of it */
	expect(print_status,
	    "{\"version\":\"1.2\",\"clock_right\":true,\"healthy\":false,"
	    "\"config_refused\":{\"errors\":1,\"error\":\"port taken\"}}",
	    "acmed 1.2: 0 certificates, 0 valid: something needs you.\n"
	    "The configuration was refused; an older one is in force\n"
	    "  error:       port taken\n");
}

/* A first start with 10,000 names. */
static void
queue(void **state)
{
	(void)state;
	expect(print_status,
	    "{\"version\":\"1.2\",\"clock_right\":true,\"healthy\":true,"
	    "\"counts\":{\"certificates\":10000,\"valid\":312,\"busy\":8},"
	    "\"queue\":{\"done\":312,\"running\":8,\"waiting\":9680,"
	    "\"limited\":9600,\"ends\":\"2026-11-27T15:04:05Z\"},"
	    "\"not_shown\":9996,\"certificates\":["
	    "{\"name\":\"a\",\"state\":\"issuing\",\"step\":\"finalize\"},"
	    "{\"name\":\"b\",\"state\":\"trying "
	    "out\",\"step\":\"authorization\","
	    "\"rehearsing\":true},"
	    "{\"name\":\"c\",\"state\":\"queued\",\"next\":\"wait\","
	    "\"next_at\":\"2026-11-23T17:04:05Z\","
	    "\"waiting_for\":\"new-orders of letsencrypt\"},"
	    "{\"name\":\"d\",\"state\":\"queued\","
	    "\"waiting_for\":\"per-domain of letsencrypt for example.org\"},"
	    "{\"name\":\"e\",\"state\":\"queued\","
	    "\"waiting_for\":\"new-orders of letsencrypt\"}]}",
	    "acmed 1.2: 10,000 certificates, 312 valid, 8 under way.\n"
	    "312 of 10,000 done, 8 running, 9,680 waiting, about 4 days to "
	    "go.\n"
	    "Of these 9,600 wait for a limit of the CA.\n"
	    "\n"
	    "  NAME                           STATE      EXPIRES        NEXT\n"
	    "  a                              issuing    -              "
	    "finalize\n"
	    "  b                              trying out -              "
	    "authorization\n"
	    "  c                              queued     -              limit, "
	    "in "
	    "2 h\n"
	    "  d                              queued     -              limit, "
	    "for "
	    "now\n"
	    "  e                              queued     -              limit, "
	    "for "
	    "now\n"
	    "  ... and 9,996 more, none of them worse (acmectl status --all, "
	    "up "
	    "to 5000)\n"
	    "\n"
	    "Waiting for a limit (acmectl budget):\n"
	    "     2+ new-orders of letsencrypt\n"
	    "     1+ per-domain of letsencrypt for example.org\n");
}

/* Of so many, those that are well say nothing. */
static void
very_many(void **state)
{
	AUTO(json_free) struct json *root = json_object();
	struct json *list = json_set_array(root, "certificates"), *c;
	const char *have;
	int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		c = json_push_object(list);
		json_set_str(c, "name", i < 50 ? "bad" : "well");
		json_set_str(c, "health", i < 50 ? "warning" : "ok");
	}
	begin_page();
	print_status(&ctl, root);
	have = end_page();
	assert_null(strstr(have, "more"));
	json_set_int(root, "not_shown", 1000);
	begin_page();
	print_status(&ctl, root);
	have = end_page();
	assert_non_null(strstr(have, "\n  ... and 1,030 more, "));
	for (i = 0; (have = strstr(have, "\n~ bad ")) != NULL; i++)
		have++;
	assert_int_equal(i, 50);
	ctl.all = true;
	begin_page();
	print_status(&ctl, root);
	have = end_page();
	assert_non_null(strstr(have, "\n  ... and 1,000 more, "));
}

static void
unconfigured(void **state)
{
	(void)state;
	expect(print_status,
	    "{\"version\":\"1.2\",\"clock_right\":true,\"healthy\":true,"
	    "\"unconfigured\":["
	    "{\"name\":\"old.example.org\",\"ca\":\"letsencrypt\","
	    "\"not_after\":\"2026-12-23T15:04:05Z\"},"
	    "{\"name\":\"older\",\"ca\":\"zerossl\","
	    "\"not_after\":\"2026-11-20T15:04:05Z\"},"
	    "{\"name\":\"never\"}]}",
	    "acmed 1.2: 0 certificates, 0 valid.\n"
	    "\n"
	    "No longer in the configuration, kept, not renewed:\n"
	    "  old.example.org                valid      in 30 days     "
	    "letsencrypt\n"
	    "  older                          expired    3 days ago     "
	    "zerossl\n"
	    "  never                          none       -\n"
	    "  acmectl forget NAME archives one.\n");
}

static void
many_unconfigured(void **state)
{
	AUTO(json_free) struct json *root = json_object();
	struct json *list = json_set_array(root, "unconfigured");
	const char *have;
	int i;

	(void)state;
	for (i = 0; i < 25; i++)
		json_set_str(json_push_object(list), "name", "x");
	begin_page();
	print_status(&ctl, root);
	have = end_page();
	assert_non_null(strstr(have, "\n  ... and 5 more\n"));
}

/* All that there is to say of one, in the order that it is needed. */
static void
paused(void **state)
{
	(void)state;
	expect(print_status,
	    "{\"version\":\"1.2\",\"clock_right\":true,\"healthy\":false,"
	    "\"counts\":{\"certificates\":1,\"valid\":1,\"failing\":1},"
	    "\"certificates\":[{\"name\":\"www\",\"health\":\"bad\","
	    "\"alarm\":\"critical\",\"state\":\"valid\",\"ca\":\"zerossl\","
	    "\"issued_by\":\"letsencrypt\","
	    "\"not_after\":\"2026-11-24T11:04:05Z\",\"next\":\"look again\","
	    "\"next_at\":\"2026-11-24T15:04:05Z\",\"trouble\":{"
	    "\"text\":\"Your account is temporarily prevented from requesting "
	    "certificates for www.example.org\",\"failures\":12,"
	    "\"operator\":true,\"at\":\"2026-11-23T15:00:00Z\","
	    "\"since\":\"2026-11-20T15:04:05Z\","
	    "\"url\":\"https://portal.letsencrypt.org/sfe/v1/unpause?jwt=x\"}"
	    "}]}",
	    "acmed 1.2: 1 certificate, 1 valid, 1 in trouble: something needs "
	    "you.\n"
	    "\n"
	    "  NAME                           STATE      EXPIRES        NEXT\n"
	    "! www                            valid      in 20 h        look "
	    "again "
	    "in 24 h\n"
	    "\n"
	    "www: not renewed, 12 failed attempts, the last 4 min ago\n"
	    "  since:       2026-11-20T15:04:05Z (3 days ago)\n"
	    "  alarm:       critical: it expires in 20 h\n"
	    "  error:       Your account is temporarily prevented from "
	    "requesting\n"
	    "               certificates for www.example.org\n"
	    "  open:        "
	    "https://portal.letsencrypt.org/sfe/v1/unpause?jwt=x\n"
	    "  CA:          zerossl now; what is installed is from "
	    "letsencrypt\n"
	    "  acmed will:  look again in 24 h\n"
	    "  you should:  open the page above, then: acmectl renew www\n");
}

/* The page of a CA is behind one URL, which must not be cut or folded. */
static void
whole_url(void **state)
{
	char url[1800] = "https://ca.example/unpause?jwt=", json[4096];
	size_t len = strlen(url);
	AUTO(json_free) struct json *root = NULL;
	const char *have;

	(void)state;
	memset(url + len, 'x', sizeof(url) - 1 - len);
	url[sizeof(url) - 1] = '\0';
	(void)snprintf(json, sizeof(json),
	    "{\"name\":\"www\",\"trouble\":{\"text\":\"open %s now\","
	    "\"url\":\"%s\"}}",
	    url, url);
	root = parse(json);
	begin_page();
	print_cert(&ctl, root);
	have = end_page();
	have = strstr(have, url);
	assert_non_null(have);
	assert_int_equal(have[strlen(url)], '\n');
	assert_null(strstr(have + 1, url)); /* once is enough */
	assert_non_null(strstr(buf_str(&text), "open (below) now\n"));
	(void)snprintf(json, sizeof(json),
	    "{\"time\":\"T\",\"event\":\"paused\",\"url\":\"%s\"}", url);
	json_free(root);
	root = parse(json);
	begin_page();
	print_event(&ctl, root);
	have = end_page();
	assert_non_null(strstr(have, url));
}

static void
replaced(void **state)
{
	(void)state;
	expect(print_status,
	    "{\"version\":\"1.2\",\"clock_right\":true,\"healthy\":true,"
	    "\"counts\":{\"certificates\":1,\"valid\":1},"
	    "\"certificates\":[{\"name\":\"www\",\"health\":\"warning\","
	    "\"alarm\":\"warning\",\"state\":\"valid\","
	    "\"not_after\":\"2027-01-23T15:04:05Z\",\"next\":\"renew\","
	    "\"next_at\":\"2026-11-23T15:05:05Z\",\"replace\":{"
	    "\"since\":\"2026-11-23T10:04:05Z\","
	    "\"url\":\"https://ca.example/incident\"}}]}",
	    "acmed 1.2: 1 certificate, 1 valid.\n"
	    "\n"
	    "  NAME                           STATE      EXPIRES        NEXT\n"
	    "~ www                            valid      in 61 days     renew "
	    "in 60 "
	    "s\n"
	    "\n"
	    "www: the CA wants it replaced, since 5 h ago\n"
	    "  open:        https://ca.example/incident\n"
	    "  acmed will:  renew in 60 s\n"
	    "  you should:  read there why, and see to it that it is renewed "
	    "soon\n");
}

/* What is the CA's is told once, however many certificates wait for it; but of
 * one whose time runs out, all is said. */
static void
ca_down(void **state)
{
	(void)state;
	expect(print_status,
	    "{\"version\":\"1.2\",\"clock_right\":true,\"healthy\":false,"
	    "\"counts\":{\"certificates\":2,\"valid\":1,\"failing\":2},"
	    "\"certificates\":["
	    "{\"name\":\"www\",\"health\":\"bad\",\"alarm\":\"critical\","
	    "\"state\":\"queued\",\"not_after\":\"2026-11-24T11:04:05Z\","
	    "\"next\":\"wait for the CA\","
	    "\"next_at\":\"2026-11-23T16:04:05Z\",\"trouble\":{"
	    "\"text\":\"newOrder: HTTP 503\",\"failures\":0,"
	    "\"at\":\"2026-11-23T15:04:00Z\","
	    "\"since\":\"2026-11-23T14:04:05Z\"}},"
	    "{\"name\":\"shop\",\"health\":\"warning\",\"state\":\"queued\","
	    "\"next\":\"wait for the CA\","
	    "\"next_at\":\"2026-11-23T16:04:05Z\",\"trouble\":{"
	    "\"text\":\"newOrder: HTTP 503\",\"failures\":0}}],"
	    "\"cas\":[{\"name\":\"one\",\"trouble\":\"HTTP 503\","
	    "\"queued\":2,\"since\":\"2026-11-23T14:04:05Z\","
	    "\"next_at\":\"2026-11-23T16:04:05Z\",\"hint\":\"wait\"}]}",
	    "acmed 1.2: 2 certificates, 1 valid, 2 in trouble: something needs "
	    "you.\n"
	    "\n"
	    "  NAME                           STATE      EXPIRES        NEXT\n"
	    "! www                            queued     in 20 h        the "
	    "CA, "
	    "in 60 min\n"
	    "~ shop                           queued     -              the "
	    "CA, "
	    "in 60 min\n"
	    "\n"
	    "CA one: cannot be used now\n"
	    "  since:       2026-11-23T14:04:05Z (60 min ago)\n"
	    "  error:       HTTP 503\n"
	    "  waiting:     2 certificates\n"
	    "  acmed will:  ask again in 60 min\n"
	    "  you should:  wait\n"
	    "\n"
	    "www: not renewed\n"
	    "  since:       2026-11-23T14:04:05Z (60 min ago)\n"
	    "  alarm:       critical: it expires in 20 h\n"
	    "  error:       newOrder: HTTP 503\n"
	    "  acmed will:  ask the CA again in 60 min\n"
	    "  you should:  nothing yet: acmed tries again by itself\n");
}

static void
ca_stopped(void **state)
{
	(void)state;
	expect(print_status,
	    "{\"version\":\"1.2\",\"clock_right\":true,\"healthy\":false,"
	    "\"counts\":{\"certificates\":1,\"failing\":1},"
	    "\"certificates\":[{\"name\":\"www\",\"health\":\"bad\","
	    "\"state\":\"queued\",\"next\":\"wait for you\",\"trouble\":{"
	    "\"text\":\"x\",\"failures\":0}}],"
	    "\"cas\":[{\"name\":\"one\",\"trouble\":\"new terms\","
	    "\"stopped\":true,\"queued\":1,\"url\":\"https://ca/terms\","
	    "\"since\":\"2026-11-23T14:04:05Z\"}]}",
	    "acmed 1.2: 1 certificate, 0 valid, 1 in trouble: something needs "
	    "you.\n"
	    "\n"
	    "  NAME                           STATE      EXPIRES        NEXT\n"
	    "! www                            queued     -              wait "
	    "for you\n"
	    "\n"
	    "CA one: cannot be used now\n"
	    "  since:       2026-11-23T14:04:05Z (60 min ago)\n"
	    "  error:       new terms\n"
	    "  open:        https://ca/terms\n"
	    "  waiting:     1 certificate\n"
	    "  acmed will:  wait for you, and not ask it\n"
	    "  you should:  mend the cause, then: acmectl reload\n");
}

#define FAILED(status, command)                              \
	"\"deploy_trouble\":{\"text\":\"exit status " status \
	"\",\"failures\":1,\"command\":[\"" command "\"]}"
#define NOT_RELOADED(status, command)                                     \
	": installed but not reloaded, 1 failed attempt\n"                \
	"  error:       exit status " status "\n"                         \
	"  command:     " command "\n"                                    \
	"  you should:  run the reload command by hand and mend what it " \
	"says\n"

static void
not_reloaded(void **state)
{
	(void)state;
	expect(print_status,
	    "{\"version\":\"1.2\",\"clock_right\":true,\"healthy\":true,"
	    "\"counts\":{\"certificates\":1,\"valid\":1,\"failing\":1},"
	    "\"certificates\":[{\"name\":\"www\",\"health\":\"warning\","
	    "\"state\":\"valid\",\"not_after\":\"2027-01-23T15:04:05Z\","
	    "\"next\":\"run the reload command again\","
	    "\"next_at\":\"2026-11-23T15:05:00Z\",\"deploy_trouble\":{"
	    "\"text\":\"exit status 1\",\"failures\":1,"
	    "\"at\":\"2026-11-23T15:04:00Z\","
	    "\"command\":[\"nginx\",\"-s\",\"reload\"]}}]}",
	    "acmed 1.2: 1 certificate, 1 valid, 1 in trouble.\n"
	    "\n"
	    "  NAME                           STATE      EXPIRES        NEXT\n"
	    "~ www                            valid      in 61 days     reload "
	    "in 55 s\n"
	    "\n"
	    "www: installed but not reloaded, 1 failed attempt, 5 s "
	    "ago\n"
	    "  error:       exit status 1\n"
	    "  command:     nginx -s reload\n"
	    "  acmed will:  run the reload command again in 55 s\n"
	    "  you should:  run the reload command by hand and mend what it "
	    "says\n");
	/* for several in the same way: once; what is wrong besides is told */
	expect(print_status,
	    "{\"version\":\"1.2\",\"clock_right\":true,\"healthy\":true,"
	    "\"certificates\":["
	    "{\"name\":\"a\"," FAILED("1",
		"nginx") "},"
			 "{\"name\":\"b\"," FAILED("1",
			     "exim") "},"
				     "{\"name\":\"c\"," FAILED("2",
					 "nginx") "},"
						  "{\"name\":\"d\"," FAILED("1",
						      "nginx") ","
							       "\"replace\":{}}"
							       ","
							       "{\"name\":"
							       "\"e\"," FAILED(
								   "1",
								   "nginx") "}]"
									    "}",
	    "acmed 1.2: 0 certificates, 0 valid.\n"
	    "\n"
	    "  NAME                           STATE      EXPIRES        NEXT\n"
	    "  a                                         -              \n"
	    "  b                                         -              \n"
	    "  c                                         -              \n"
	    "  d                                         -              \n"
	    "  e                                         -              \n"
	    "\na and 2 more" NOT_RELOADED("1", "nginx") "\nb" NOT_RELOADED(
		"1", "exim") "\nc" NOT_RELOADED("2",
		"nginx") "\nd: the CA wants it replaced\n"
			 "  you should:  see to it that it is renewed soon\n");
}

/* Nothing has failed: there is just no room for it. */
static void
late(void **state)
{
	(void)state;
	expect(print_status,
	    "{\"version\":\"1.2\",\"clock_right\":true,\"healthy\":false,"
	    "\"certificates\":[{\"name\":\"www\",\"health\":\"ok\","
	    "\"alarm\":\"critical\",\"state\":\"expired\","
	    "\"not_after\":\"2026-11-23T12:04:05Z\",\"next\":\"renew\","
	    "\"next_at\":\"2026-11-23T20:04:05Z\","
	    "\"waiting_for\":\"new-orders of letsencrypt\"},"
	    "{\"name\":\"shop\",\"alarm\":\"warning\",\"state\":\"none\","
	    "\"next\":\"wait for a place\"}]}",
	    "acmed 1.2: 0 certificates, 0 valid: something needs you.\n"
	    "\n"
	    "  NAME                           STATE      EXPIRES        NEXT\n"
	    "! www                            expired    3 h ago        limit, "
	    "in "
	    "5 h\n"
	    "~ shop                           none       -              wait "
	    "for a "
	    "place\n"
	    "\n"
	    "Waiting for a limit (acmectl budget):\n"
	    "     1  new-orders of letsencrypt\n"
	    "\n"
	    "www: not renewed yet\n"
	    "  alarm:       critical: it expired 3 h ago\n"
	    "  waiting for: new-orders of letsencrypt\n"
	    "  acmed will:  renew in 5 h\n"
	    "  you should:  see what is left: acmectl budget\n"
	    "\n"
	    "shop: no certificate yet\n"
	    "  alarm:       warning: there is none\n"
	    "  acmed will:  wait for a place\n"
	    "  you should:  see how it goes: acmectl renew shop --wait\n");
}

/* Nor is it that the CA takes its time. */
static void
slow_ca(void **state)
{
	(void)state;
	expect(print_status,
	    "{\"version\":\"1.2\",\"clock_right\":true,\"healthy\":true,"
	    "\"certificates\":[{\"name\":\"www\",\"health\":\"warning\","
	    "\"alarm\":\"warning\",\"state\":\"renewing\","
	    "\"not_after\":\"2026-11-26T15:04:05Z\","
	    "\"step\":\"order\",\"next\":\"wait for the CA to issue it\","
	    "\"waited_s\":72000}]}",
	    "acmed 1.2: 0 certificates, 0 valid.\n"
	    "\n"
	    "  NAME                           STATE      EXPIRES        NEXT\n"
	    "~ www                            renewing   in 3 days      order\n"
	    "\n"
	    "www: not renewed yet\n"
	    "  alarm:       warning: it expires in 3 days\n"
	    "  acmed will:  wait for the CA to issue it, so far for 20 h\n"
	    "  you should:  see how it goes: acmectl renew www --wait\n");
}

static void
passed_over(void **state)
{
	(void)state;
	expect(print_cert,
	    "{\"name\":\"ip\",\"ca\":\"letsencrypt\",\"passed_over\":"
	    "[{\"ca\":\"zerossl\",\"text\":\"issues no certificates for IP "
	    "addresses\"}]}",
	    "ip\n"
	    "  CA:          letsencrypt\n"
	    "  passed over: zerossl, which issues no certificates for IP "
	    "addresses\n");
}

static void
instead(void **state)
{
	(void)state;
	expect(print_cert,
	    "{\"name\":\"www\",\"ca\":\"zerossl\",\"instead\":"
	    "\"letsencrypt: limit new-orders\",\"waiting_for\":"
	    "\"zerossl: limit new-orders\"}",
	    "www\n"
	    "  CA:          zerossl\n"
	    "  instead:     letsencrypt: limit new-orders\n"
	    "  waiting for: zerossl: limit new-orders\n");
}

static void
shown(void **state)
{
	(void)state;
	expect(print_cert,
	    "{\"name\":\"www\",\"names\":[\"a.example.org\",\"b.example.org\"],"
	    "\"state\":\"renewing\",\"step\":\"authorization\","
	    "\"window\":{\"end\":\"2026-11-26T15:04:05Z\","
	    "\"url\":\"https://ca/why\"},"
	    "\"deploy\":\"reload "
	    "due\",\"rehearsing\":true,\"ca\":\"letsencrypt\","
	    "\"issued_by\":\"letsencrypt\",\"key_type\":\"ec256\","
	    "\"not_after\":\"2026-11-27T15:04:05Z\",\"alarm\":\"warning\","
	    "\"waiting_for\":\"per-names of letsencrypt\","
	    "\"reload\":[\"systemctl\",\"reload\",\"nginx\"]}",
	    "www\n"
	    "  names:       a.example.org b.example.org\n"
	    "  state:       renewing\n"
	    "  step:        authorization\n"
	    "  rehearsal:   at the CA's test directory: nothing is "
	    "installed\n"
	    "  CA:          letsencrypt\n"
	    "  key type:    ec256\n"
	    "  command:     systemctl reload nginx\n"
	    "  reload:      due\n"
	    "  expires:     2026-11-27T15:04:05Z (in 4 days)\n"
	    "  until:       2026-11-26T15:04:05Z (in 3 days)\n"
	    "  CA says why: https://ca/why\n"
	    "  alarm:       warning: it expires in 4 days\n"
	    "  waiting for: per-names of letsencrypt\n");
}

static void
budget(void **state)
{
#define DOMAIN                                      \
	"\"limit\":\"per-domain\",\"capacity\":50," \
	"\"period_s\":604800,\"full_at\":\"2026-11-29T15:04:05Z\""

	(void)state;
	expect(print_budget,
	    "{\"cas\":[{\"name\":\"letsencrypt\",\"staging\":false,\"limits\":["
	    "{\"limit\":\"new-orders\",\"capacity\":300,\"period_s\":10800,"
	    "\"left\":299,\"full_at\":\"2026-11-23T15:04:41Z\"}],"
	    "\"domains\":[{\"of\":\"example.org\",\"left\":0,"
	    "\"next_at\":\"2026-11-23T20:04:05Z\"," DOMAIN "},"
	    "{\"of\":\"example.net\",\"left\":3," DOMAIN "}],"
	    "\"names\":[{\"of\":\"a.example.org,b.example.org,"
	    "c.example.org,d.example.org\",\"left\":1,\"capacity\":5,"
	    "\"limit\":\"per-names\",\"period_s\":604800,"
	    "\"full_at\":\"2026-11-29T15:04:05Z\"}],"
	    "\"failures\":[{\"of\":\"a.example.org\",\"left\":2,"
	    "\"limit\":\"failures\",\"period_s\":3600,"
	    "\"capacity\":5,\"full_at\":\"2026-11-23T15:40:05Z\"}],"
	    "\"not_shown\":1234},"
	    "{\"name\":\"le-test\",\"staging\":true,\"limits\":[]},"
	    "{\"name\":\"full\",\"limits\":[{\"limit\":\"new-orders\","
	    "\"capacity\":1500,\"period_s\":10800,\"left\":1500}]},"
	    "{\"name\":\"empty\",\"limits\":[{\"limit\":\"new-orders\","
	    "\"capacity\":10,\"period_s\":3600,\"left\":0,"
	    "\"next_at\":\"2026-11-23T15:09:05Z\","
	    "\"full_at\":\"2026-11-23T16:04:05Z\"}]}]}",
	    "letsencrypt\n"
	    "  new-orders  300 orders in 3 h: 299 of 300 left, all in 36 s\n"
	    "  per-domain  50 certificates of a registered domain in 7 days:\n"
	    "    example.org                      none of 50, next in 5 h, all "
	    "in 6 days\n"
	    "    example.net                      3 of 50 left, all in 6 days\n"
	    "  per-names   5 certificates for the same names in 7 days:\n"
	    "    a.example.org,b.example.org,c... 1 of 5 left, all in 6 days\n"
	    "  failures    5 failed validations of a name in 60 min:\n"
	    "    a.example.org                    2 of 5 left, all in 36 min\n"
	    "    ... and 1,234 more, none of them emptier\n"
	    "\n"
	    "le-test (for tests)\n"
	    "  nothing is used of any limit that is known\n"
	    "\n"
	    "full\n"
	    "  new-orders  1,500 orders in 3 h: 1,500 of 1,500 left\n"
	    "\n"
	    "empty\n"
	    "  new-orders  10 orders in 60 min: none of 10, next in 5 min, all "
	    "in 60 min\n");
}

static void
print_a_plan(const struct ctl *c, const struct json *root)
{
	print_plan(c, root, "new.yaml");
}

static void
plan_nothing(void **state)
{
	(void)state;
	expect(print_a_plan,
	    "{\"orders\":[],\"n_orders\":0,\"n_unchanged\":1,\"forgotten\":[],"
	    "\"reloads\":[]}",
	    "new.yaml: nothing has been changed yet.\n"
	    "\n"
	    "No certificate to order.\n"
	    "\n"
	    "1 certificate stays as it is.\n");
}

static void
plan(void **state)
{
	(void)state;
	expect(print_a_plan,
	    "{\"orders\":["
	    "{\"name\":\"a\",\"why\":\"new\",\"ca\":\"letsencrypt\","
	    "\"at\":\"2026-11-23T15:04:05Z\"},"
	    "{\"name\":\"b\",\"why\":\"new\",\"ca\":\"letsencrypt\"},"
	    "{\"name\":\"c\",\"why\":\"names\",\"ca\":\"zerossl\","
	    "\"instead_of\":\"letsencrypt\"},"
	    "{\"name\":\"d-with-a-name-of-some-more-length.example.org\","
	    "\"why\":"
	    "\"new\",\"ca\":\"letsencrypt\"},"
	    "{\"name\":\"e\",\"why\":\"new\",\"ca\":\"letsencrypt\","
	    "\"at\":\"2026-11-23T18:04:05Z\",\"limit\":\"new-orders\"}],"
	    "\"n_orders\":5,\"n_unchanged\":9688,"
	    "\"forgotten\":[\"old\",\"older\"],"
	    "\"reloads\":[{\"command\":[\"systemctl\",\"reload\",\"nginx\"],"
	    "\"certificates\":5}],"
	    "\"first_limit\":{\"ca\":\"letsencrypt\",\"limit\":\"new-orders\","
	    "\"of\":\"\",\"at\":\"2026-11-23T18:04:05Z\",\"name\":\"e\"},"
	    "\"ends\":\"2026-11-23T19:04:05Z\"}",
	    "new.yaml: nothing has been changed yet.\n"
	    "\n"
	    "5 certificates to order at letsencrypt, zerossl:\n"
	    "  new                  4  a, b, ...\n"
	    "  other names          1  c\n"
	    "  1 waits for a limit\n"
	    "  1 goes to another CA, where that is sooner\n"
	    "\n"
	    "Reload commands that run:\n"
	    "  for 5: systemctl reload nginx\n"
	    "\n"
	    "No longer renewed, but kept:\n"
	    "  old\n"
	    "  older\n"
	    "  Afterwards, acmectl forget NAME archives one.\n"
	    "\n"
	    "9,688 certificates stay as they are.\n"
	    "  limit from:  2026-11-23T18:04:05Z (in 3 h)\n"
	    "               new-orders of letsencrypt, met first by e\n"
	    "  all done:    2026-11-23T19:04:05Z (in 4 h)\n");
}

/* More orders than an answer holds. */
static void
plan_large(void **state)
{
#define LARGE(more)                                                     \
	"{\"orders\":[{\"name\":\"a\",\"why\":\"new\",\"ca\":\"x\","    \
	"\"limit\":\"new-orders\"}],\"orders_not_shown\":9999," more    \
	"\"n_orders\":10000,\"n_unchanged\":0,\"first_limit\":{"        \
	"\"ca\":\"x\",\"limit\":\"per-domain\",\"of\":\"example.org\"," \
	"\"at\":\"2026-11-23T18:04:05Z\",\"name\":\"e\"}}"
#define LARGE_END                                        \
	"  at least 1 waits for a limit\n"               \
	"\n"                                             \
	"0 certificates stay as they are.\n"             \
	"  limit from:  2026-11-23T18:04:05Z (in 3 h)\n" \
	"               per-domain of x for example.org, met first by e\n"

	(void)state;
	expect(print_a_plan,
	    LARGE("\"forgotten\":[\"x\"],"
		  "\"forgotten_not_shown\":4000,"),
	    "new.yaml: nothing has been changed yet.\n"
	    "\n"
	    "10,000 certificates to order at x:\n"
	    "  new                  1  a\n"
	    "  and later        9,999\n"
	    "  at least 1 waits for a limit\n"
	    "\n"
	    "No longer renewed, but kept:\n"
	    "  x\n"
	    "  ... and 4,000 more\n"
	    "  Afterwards, acmectl forget NAME archives one.\n"
	    "\n"
	    "0 certificates stay as they are.\n"
	    "  limit from:  2026-11-23T18:04:05Z (in 3 h)\n"
	    "               per-domain of x for example.org, met first by e\n");
	expect(print_a_plan, LARGE(""),
	    "new.yaml: nothing has been changed yet.\n"
	    "\n"
	    "10,000 certificates to order at x:\n"
	    "  new                  1  a\n"
	    "  and later        9,999\n" LARGE_END);
	expect(print_a_plan, LARGE("\"reasons\":{\"new\":9000,\"due\":1000},"),
	    "new.yaml: nothing has been changed yet.\n"
	    "\n"
	    "10,000 certificates to order at x:\n"
	    "  new              9,000  a, ...\n"
	    "  due anyway       1,000  ...\n" LARGE_END);
}

static void
lifted(const struct ctl *c, const struct json *root)
{
	(void)c;
	print_lifted(root);
}

static void
what_was_lifted(void **state)
{
	(void)state;
	expect(lifted, "{}", "");
	expect(lifted, "{\"lifted\": []}", "");
	expect(lifted,
	    "{\"lifted\": [{\"text\": \"two: no\\u001b[1m\","
	    " \"until\": \"2026-11-24T13:04:05Z\"},"
	    " {\"ca\": \"one\", \"text\": \"new terms\"},"
	    " {\"ca\": \"two\", \"text\": \"HTTP status 503\","
	    " \"until\": \"2026-11-23T15:09:05Z\"}]}",
	    "  lifted:      the next try was to be in 22 h: two: no?[1m\n"
	    "  lifted:      CA one waited for you: new terms\n"
	    "  lifted:      CA two was to be asked in 5 min: HTTP status "
	    "503\n");
}

static void
print_forget_old(const struct ctl *c, const struct json *root)
{
	print_forget(c, root, "old");
}

static void
forget(void **state)
{
#define MEANS                                                              \
	"  It leaves live/, so that a service that still reads it there "  \
	"fails at its\n"                                                   \
	"  next start or reload.  Its files and keys move to archive/ in " \
	"the state\n"                                                      \
	"  folder, and acmed remembers nothing of it any more.\n"

	(void)state;
	expect(print_forget_old,
	    "{\"unconfigured\":[{\"name\":\"other\","
	    "\"not_after\":\"2027-01-01T00:00:00Z\"},{\"name\":\"old\","
	    "\"not_after\":\"2026-12-23T15:04:05Z\"}]}",
	    "old\n  Its certificate is valid: it expires in 30 days.\n" MEANS);
	expect(print_forget_old,
	    "{\"unconfigured\":[{\"name\":\"old\","
	    "\"not_after\":\"2026-11-03T15:04:05Z\"}]}",
	    "old\n  Its certificate has expired 20 days ago.\n" MEANS);
	expect(print_forget_old, "{}", "old\n" MEANS);
}

/* A certificate that is without some of its names (protocol E26). */
#define LEFT_OUT                                                           \
	"\"left_out_count\":12,\"names_count\":50,"                        \
	"\"left_out_tried_again\":\"2026-11-23T17:04:05Z\",\"left_out\":[" \
	"{\"name\":\"b.example\",\"type\":\"dns\","                        \
	"\"text\":\"dns: no such name\","                                  \
	"\"since\":\"2026-11-20T15:04:05Z\"},"                             \
	"{\"name\":\"c.example\"}]"
#define LEFT_OUT_TOLD                                                     \
	"\nshop: without 12 of its 50 names, which fail\n"                \
	"  left out:    b.example, since 3 days ago: dns: no such name\n" \
	"  left out:    c.example: it is not known why\n"                 \
	"  left out:    ... and 10 more\n"                                \
	"  acmed will:  try all names again in 2 h\n"                     \
	"  you should:  mend these names, then: acmectl renew shop; or "  \
	"remove "                                                         \
	"them from\n"                                                     \
	"               the configuration\n"
static void
left_out(void **state)
{
	(void)state;
	expect(print_status,
	    "{\"version\":\"1.2\",\"clock_right\":true,\"healthy\":false,"
	    "\"counts\":{\"certificates\":1,\"valid\":1,\"failing\":1},"
	    "\"certificates\":[{\"name\":\"shop\",\"health\":\"bad\","
	    "\"state\":\"valid\",\"not_after\":\"2027-01-23T15:04:05Z\","
	    "\"next\":\"try all names again\","
	    "\"next_at\":\"2026-11-23T17:04:05Z\"," LEFT_OUT "}]}",
	    "acmed 1.2: 1 certificate, 1 valid, 1 in trouble: something needs "
	    "you.\n"
	    "\n"
	    "  NAME                           STATE      EXPIRES        NEXT\n"
	    "! shop                           valid      in 61 days     all "
	    "names in 2 h\n" LEFT_OUT_TOLD);
	expect(print_cert, "{\"name\":\"shop\"," LEFT_OUT "}",
	    "shop\n" LEFT_OUT_TOLD);
	/* paused ones, with a page to be opened */
	expect(print_cert,
	    "{\"name\":\"shop\",\"left_out_count\":1,\"names_count\":2,"
	    "\"left_out_tried_again\":\"2026-11-23T17:04:05Z\",\"left_out\":["
	    "{\"name\":\"b.example\",\"url\":\"https://ca/u\","
	    "\"text\":\"paused. Please visit: https://ca/u\"}]}",
	    "shop\n\n"
	    "shop: without 1 of its 2 names, which fail\n"
	    "  left out:    b.example: paused. Please visit: (below)\n"
	    "  open:        https://ca/u\n"
	    "  acmed will:  try all names again in 2 h\n"
	    "  you should:  mend these names, open the page above, then: "
	    "acmectl renew\n"
	    "               shop; or remove them from the configuration\n");
}

static void
colours(void **state)
{
	(void)state;
	ctl.colour = true;
	expect(print_forget_old, "{}", "\033[1mold\033[0m\n" MEANS);
	expect(print_event,
	    "{\"time\":\"T\",\"level\":\"error\",\"event\":\"x\"}",
	    "T \033[31mx\n\033[0m");
}

static void
counts(void **state)
{
	static const struct {
		int64_t n;
		const char *text;
	} t[] = { { 0, "0" }, { 999, "999" }, { 1000, "1,000" },
		{ -1000, "-1,000" }, { -100, "-100" }, { 1234567, "1,234,567" },
		{ INT64_MIN, "-9,223,372,036,854,775,808" } };
	char out[OUT_COUNT];
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(t); i++)
		assert_string_equal(out_count(t[i].n, out), t[i].text);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = { T(well), T(nothing), T(refused),
		T(queue), T(very_many), T(unconfigured), T(many_unconfigured),
		T(paused), T(whole_url), T(replaced), T(ca_down), T(ca_stopped),
		T(not_reloaded), T(late), T(slow_ca), T(shown), T(passed_over),
		T(instead), T(budget), T(plan_nothing), T(plan), T(plan_large),
		T(what_was_lifted), T(forget), T(left_out), T(colours),
		T(counts) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
