/* SPDX-License-Identifier: ISC */
/* Every kind of error, to the letter: what an administrator reads. */
#include "config_support.h"

#define NO_TOS                                                               \
	"must be true: read the terms of service of the CA (termsOfService " \
	"in https://acme-v02.api.letsencrypt.org/directory) and agree to "   \
	"them\n"
#define KEYS   "one of ec256, ec384, rsa2048, rsa3072, rsa4096\n"
#define LISTEN "up to 16 of ADDRESS:PORT, like \"0.0.0.0:80\" or \"[::]:80\"\n"
#define EMAIL  "one address in ASCII, like admin@example.org\n"
#define NAMES  "a list of domain names and IP addresses\n"
#define RATE                                                        \
	"a number and a time, like 300/3h, of at most 1000000 and " \
	"366d, or none\n"
#define TOP_KEYS                                                           \
	"email, agree-tos, reload, reload-timeout, max-hooks, resolvers, " \
	"include, state-dir, user, keeper-user, http, control, log, "      \
	"defaults, ca, domains\n"
#define CAS "the name of a CA, or a list of up to 8\n"
#define RESOLVERS                                             \
	"up to 3 IP addresses, with or without a port, like " \
	"\"127.0.0.1\" or \"[::1]:53\"\n"
#define PROFILE                                                        \
	"1 to 64 printable characters of ASCII without space, \" and " \
	"\\\n"
#define WILD                                                                 \
	"a wildcard needs challenge dns-01, which is not supported in this " \
	"version\n"
#define NO_SHELL                                                              \
	", but no shell runs this: quote it, or write [\"/bin/sh\", \"-c\", " \
	"\"...\"]\n"
#define NO_VALUE                                                    \
	"expected a value: is it one that must be in quotes, like " \
	"\"[::]:80\"?\n"
#define TAB "a tab: only spaces may indent a line or stand before a value\n"
#define COLON                                                         \
	"a `:` that cannot be here: is the line indented as the one " \
	"above it, or does a value with `: ` want quotes?\n"
#define NO_KEY "expected `- ` before an item of a list, or a key and `: `\n"
#define NO_DOMAINS                                                  \
	"expected a list, like `- example.org` in a line for each " \
	"certificate\n"
#define UNSUPPORTED " is not supported in this version\n"
#define SOME        HEAD "domains: [a.example]\n" /* two lines */

struct bad {
	const char *text;
	const char *errors;
};

static void
each(const struct bad *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		expect_errors(v[i].text, NULL, v[i].errors);
}

/* clang-format off */
static const struct bad yaml[] = {
	{ "", "m:1:1: expected keys and values, like `email: "
	  "admin@example.org`, found an empty file\n" },
	{ "- a.example\n", "m:1:1: expected keys and values, like `email: "
	  "admin@example.org`, found a list\n" },
	{ "hello\n", "m:1:1: expected keys and values, like `email: "
	  "admin@example.org`, found a word: is there a space "
	  "behind the colon?\n" },
	{ SOME "user: &x acmed\n", "m:3:7: anchors are not supported\n" },
	{ SOME "user: *x\n", "m:3:7: aliases are not supported\n" },
	{ SOME "user: !!str acmed\n", "m:3:7: tags are not supported\n" },
	{ SOME "log: !x {}\n", "m:3:6: tags are not supported\n" },
	{ SOME "include: &x [a]\n", "m:3:10: anchors are not supported\n" },
	{ SOME "---\nuser: x\n", "m:3:1: only one document is supported\n" },
	{ SOME "user: \"a\\0b\"\n", "m:3:7: a NUL is not supported\n" },
	{ SOME "? [a]\n: b\n", "m:3:3: keys must be plain words\n" },
	{ SOME "log: {? {a: b} : c}\n", "m:3:9: keys must be plain words\n" },
	{ SOME "user: \xff\n", "m:3:7: not UTF-8: invalid leading "
	  "UTF-8 octet\n" },
	{ SOME "http: {a: [[[[[[[x]]]]]]]}\n", "m:3:17: nested too deeply\n" },
	{ SOME "http: [a\n", "m:3:7: a `[` that is not closed, or a comma "
	  "is missing in the list\n" },
	/* What came before the syntax error is told as well; what might
	 * have come after it is not missed. */
	{ "usr: x\nhttp: }\n",
	  "m:1:1: unknown key `usr`, did you mean `user`?\n"
	  "m:2:7: " NO_VALUE },
};

/* What people do who do not write YAML every day. */
static const struct bad slips[] = {
	{ HEAD "domains:\n\t- a.example\n", "m:3:1: " TAB },
	{ HEAD "# \u00fc\ndomains:\n  -\ta.example\n", "m:4:4: " TAB },
	{ SOME "reload: |\n\tx\n", "m:4:1: " TAB },
	{ HEAD "domains:\n  - *.a.example\n",
	  "m:3:5: a value that begins with `*` must be in quotes, and "
	  "wildcards are not supported in this version\n" },
	{ SOME "reload: @x\n", "m:3:9: a value that begins with this "
	  "character must be in quotes\n" },
	{ SOME "user: &\n", "m:3:7: a value that begins with `&` must be in "
	  "quotes\n" },
	{ SOME "user: x\n group: y\n",
	  "m:3:7: `user`: found `x group`, expected 1 to 64 letters, digits, "
	  "'.', '_' or '-', not starting with '.' or '-'\n"
	  "m:4:7: " COLON },
	{ SOME "reload: echo: x\n", "m:3:13: " COLON },
	{ HEAD "domains: - a.example\n", "m:2:10: a `- ` that cannot be here: "
	  "the first one of a list begins a line of its own\n" },
	{ HEAD "domains:\n  - a.example\n  b.example\n", "m:4:3: " NO_KEY },
	{ HEAD "domains:\n  - a.example\n b.example\n",
	  "m:4:2: expected a key, indented as those above it\n" },
	{ HEAD "domains:\n  - name: a\n    names: [a.example]\n  key: ec256\n",
	  "m:5:3: expected `- `, or another indentation: the items of a list "
	  "are indented alike\n" },
	{ HEAD "user:x\n", "m:2:1: " NO_KEY },
	{ HEAD "domains:\n  - \"a.example\n",
	  "m:3:5: a quote that is not closed\n" },
	{ HEAD "domains:\n  - [a.example, b.example\nuser: x\n",
	  "m:3:5: a `[` that is not closed, or a comma is missing in the "
	  "list\n" },
	{ SOME "http: {timeout: 3\nuser: x\n", "m:3:7: a `{` that is not "
	  "closed, or a comma is missing behind it\n" },
	{ SOME "http: {listen: [::]:80}\n", "m:3:17: " NO_VALUE },
	{ "{agree-tos: true, domains: [a.example]}\nuser: x\n",
	  "m:2:1: text behind the `}` or `]` that ends the file: all of it must "
	  "be within\n" },
	{ SOME "reload: \"a\\.b\"\n", "m:3:11: a backslash in double quotes "
	  "that means nothing: write two, or use single quotes\n" },
	{ SOME "reload: [systemctl reload nginx, x]\n",
	  "m:3:9: `reload`: no program has spaces in its name: a list is one "
	  "command, and each argument an item of it\n" },
	{ SOME "user: x\nkeeper-user: x\n",
	  "m: `user` and `keeper-user` are both `x`: then nothing keeps the "
	  "process on the network from the keys\n" },
	{ HEAD "domains:\n  a.example:\n", "m:3:3: `domains`: found a mapping, "
	  NO_DOMAINS },
	{ HEAD "domains:\n  - a.example: {key: ec256}\n",
	  "m:3:5: found the key `a.example`: a name stands alone, without a "
	  "colon, or in the list `names`\n" },
	{ HEAD "domains:\n  - https://a.example\n  - a.example/\n"
	  "  - a.example:443\n  - a.example, b.example\n  - c.example\n"
	  "    - d.example\n",
	  "m:3:5: `https://a.example`: a name stands alone, without https:// "
	  "and path\n"
	  "m:4:5: `a.example/`: a name stands alone, without https:// and "
	  "path\n"
	  "m:5:5: `a.example:443`: not an IP address, and no DNS name has a "
	  "colon or a port\n"
	  "m:6:5: `a.example, b.example`: no name has spaces or commas: "
	  "several are a list\n"
	  "m:7:5: `c.example - d.example`: no name has spaces or commas: "
	  "several are a list\n" },
};

static const struct bad key[] = {
	{ SOME "relaod: x\n",
	  "m:3:1: unknown key `relaod`, did you mean `reload`?\n" },
	{ SOME "log: {leve: info}\n",
	  "m:3:7: unknown key `leve`, did you mean `level`?\n" },
	{ SOME "log: {zzz: info}\n",
	  "m:3:7: unknown key `zzz`, expected one of level, format\n" },
	{ SOME "<<: {a: b}\n", "m:3:1: unknown key `<<`, expected one of "
	  TOP_KEYS },
	{ SOME "agree-tos: true\n",
	  "m:3:1: `agree-tos` is given twice, first in line 1\n" },
	{ SOME "log: {level: info, format: text, level: warn}\n",
	  "m:3:34: `level` is given twice, first in line 3\n" },
	{ SOME "reload: a\ndefaults: {reload: a}\n",
	  "m:4:20: `reload` is given at the top level and in `defaults`\n" },
};

static const struct bad reserved[] = {
	{ SOME "dns: {x: {}}\n", "m:3:1: `dns`" UNSUPPORTED },
	{ SOME "verify: x\n", "m:3:1: `verify`" UNSUPPORTED },
	{ SOME "defaults: {dns: x}\n", "m:3:12: `dns`" UNSUPPORTED },
	{ SOME "defaults: {challenge: dns-01}\n",
	  "m:3:23: `dns-01`" UNSUPPORTED },
	{ SOME "defaults: {challenge: [tls-alpn-01]}\n",
	  "m:3:24: `tls-alpn-01`" UNSUPPORTED },
	{ SOME "defaults: {key: [ec256, rsa2048]}\n",
	  "m:3:17: `key`: a list of more than one" UNSUPPORTED },
	{ HEAD "domains:\n- names: a.example\n  verify: [x]\n"
	  "  install: []\n  dns: x\n  compat: x\n",
	  "m:4:3: `verify`" UNSUPPORTED
	  "m:5:3: `install`" UNSUPPORTED
	  "m:6:3: `dns`" UNSUPPORTED
	  "m:7:3: `compat`" UNSUPPORTED },
};

static const struct bad value[] = {
	{ "agree-tos: yes\ndomains: [a.example]\n",
	  "m:1:12: `agree-tos`: found `yes`, expected true\n" },
	{ SOME "email:\n", "m:3:7: `email`: found nothing, expected " EMAIL },
	{ SOME "email: ~\n", "m:3:8: `email`: found nothing, expected " EMAIL },
	{ SOME "email: [a]\n", "m:3:8: `email`: found a list, expected " EMAIL },
	{ SOME "user: {a: b}\n", "m:3:7: `user`: found a mapping, expected 1 "
	  "to 64 letters, digits, '.', '_' or '-', not starting with '.' or "
	  "'-'\n" },
	{ SOME "http: {max-connections: 7}\n", "m:3:25: `max-connections`: "
	  "found `7`, expected a number from 8 to 65536\n" },
	{ SOME "http: {max-connections: 65537}\n", "m:3:25: `max-connections`: "
	  "found `65537`, expected a number from 8 to 65536\n" },
	{ SOME "http: {max-connections: -8}\n", "m:3:25: `max-connections`: "
	  "found `-8`, expected a number from 8 to 65536\n" },
	{ SOME "http: {timeout: 0}\n", "m:3:17: `timeout`: found `0`, "
	  "expected a time from 1s to 1h\n" },
	{ SOME "reload-timeout: 61m\n", "m:3:17: `reload-timeout`: found "
	  "`61m`, expected a time from 1s to 1h\n" },
	{ SOME "reload-timeout: soon\n", "m:3:17: `reload-timeout`: found "
	  "`soon`, expected a time from 1s to 1h\n" },
	{ SOME "http: {redirect: http}\n", "m:3:18: `redirect`: found `http`, "
	  "expected one of https, none\n" },
	{ SOME "http: {redirect-status: 303}\n", "m:3:25: `redirect-status`: "
	  "found `303`, expected one of 301, 302, 307, 308\n" },
	{ SOME "log: {level: loud}\n", "m:3:14: `level`: found `loud`, "
	  "expected one of error, warn, info, debug\n" },
	{ SOME "defaults: {key: dsa}\n",
	  "m:3:17: `key`: found `dsa`, expected " KEYS },
	{ SOME "state-dir: acmed\n", "m:3:12: `state-dir`: found `acmed`, "
	  "expected an absolute path of at most 4095 bytes\n" },
	{ SOME "control: {socket: run}\n", "m:3:19: `socket`: found `run`, "
	  "expected an absolute path of at most 107 bytes\n" },
	{ SOME "log: [level]\n",
	  "m:3:6: `log`: found a list, expected a mapping "
	  "with level, format\n" },
	{ SOME "defaults: ec256\n",
	  "m:3:11: `defaults`: found `ec256`, expected a mapping "
	  "with ca, failover-after, challenge, key, reload, preferred-chain, "
	  "profile, preferred-profile, partial\n" },
	{ SOME "include: {a: b}\n", "m:3:10: `include`: found a mapping, "
	  "expected a file name or a list of them\n" },
	{ SOME "include: [a, [b]]\n", "m:3:14: `include`: found a list, "
	  "expected a file name or a list of them\n" },
	{ SOME "state-dir: \"/a\\nb\"\n", "m:3:12: `state-dir`: found "
	  "`/a?b`, expected an absolute path of at most 4095 bytes\n" },
};

static const struct bad listen[] = {
	{ SOME "http: {listen: 80}\n",
	  "m:3:16: `listen`: found `80`, expected " LISTEN },
	{ SOME "http: {listen: []}\n",
	  "m:3:16: `listen`: found an empty list, expected " LISTEN },
	{ SOME "http: {listen: [\"1.2.3.4:80\", \"1.2.3.4:0\"]}\n",
	  "m:3:31: `listen`: found `1.2.3.4:0`, expected " LISTEN },
	{ SOME "http: {listen: \"1.2.3:80\"}\n",
	  "m:3:16: `listen`: found `1.2.3:80`, expected " LISTEN },
	{ SOME "http: {listen: \"::1:80\"}\n",
	  "m:3:16: `listen`: found `::1:80`, expected " LISTEN },
	{ SOME "http: {listen: \"[::1:80\"}\n",
	  "m:3:16: `listen`: found `[::1:80`, expected " LISTEN },
	{ SOME "http: {listen: \"[]:80\"}\n",
	  "m:3:16: `listen`: found `[]:80`, expected " LISTEN },
	{ SOME "http: {listen: \"localhost:80\"}\n",
	  "m:3:16: `listen`: found `localhost:80`, expected " LISTEN },
};

/* Protocol D8. */
static const struct bad email[] = {
	{ SOME "email: admin\n",
	  "m:3:8: `email`: found `admin`, expected " EMAIL },
	{ SOME "email: a@b.example,c@d.example\n",
	  "m:3:8: `email`: found `a@b.example,c@d.example`, expected " EMAIL },
	{ SOME "email: a@b.example?subject=x\n", "m:3:8: `email`: found "
	  "`a@b.example?subject=x`, expected " EMAIL },
	{ SOME "email: mailto:a@b.example\n", "m:3:8: `email`: found "
	  "`mailto:a@b.example`, expected " EMAIL },
	{ SOME "email: j\xc3\xb6rg@b.example\n", "m:3:8: `email`: found "
	  "`j\xc3\xb6rg@b.example`, expected " EMAIL },
	{ SOME "email: \"@b.example\"\n",
	  "m:3:8: `email`: found `@b.example`, expected " EMAIL },
	{ SOME "email: a@localhost\n",
	  "m:3:8: `email`: found `a@localhost`, expected " EMAIL },
	{ SOME "email: a@192.0.2.1\n",
	  "m:3:8: `email`: found `a@192.0.2.1`, expected " EMAIL },
};

static const struct bad ca[] = {
	{ SOME "ca: zerossl\n", "m:3:5: `ca`: found `zerossl`, expected a "
	  "mapping of names to CAs; to choose a CA write `defaults: {ca: "
	  "zerossl}`\n" },
	{ SOME "ca: [zerossl]\n", "m:3:5: `ca`: found a list, expected a "
	  "mapping of names to CAs\n" },
	{ SOME "ca:\n  mine:\n", "m:4:8: CA `mine`: expected a mapping with "
	  "`directory` and more\n" },
	{ SOME "ca:\n  mine: {}\n", "m:4:3: CA `mine`: `directory` is "
	  "missing, and it is no preset\n" },
	{ SOME "ca:\n  a/b: {directory: \"https://x\"}\n", "m:4:3: `a/b` "
	  "cannot be the name of a CA: expected 1 to 64 letters, digits, "
	  "'.', '_' or '-'\n" },
	{ SOME "ca:\n  a: {directory: \"https://x\"}\n  a: {}\n",
	  "m:5:3: CA `a` is defined twice\n" },
	{ SOME "ca:\n  a: {directory: \"http://x\"}\n", "m:4:18: `directory`: "
	  "found `http://x`, expected a URL that starts with https://\n" },
	{ SOME "ca:\n  zerossl: {proxy: \"ftp://x\"}\n", "m:4:20: `proxy`: "
	  "found `ftp://x`, expected a URL that starts with http://, "
	  "https://, socks5:// or socks5h://, or \"\"\n" },
	{ SOME "ca:\n  zerossl: {max-orders: 65}\n", "m:4:25: `max-orders`: "
	  "found `65`, expected a number from 0 to 64\n" },
	{ SOME "ca: {zerossl: {validation-timeout: 8d}}\n", "m:3:36: "
	  "`validation-timeout`: found `8d`, expected a time from 1m to 7d\n" },
	{ SOME "ca: {zerossl: {issuance-timeout: 5m}}\n", "m:3:34: "
	  "`issuance-timeout`: found `5m`, expected a time from 10m to 30d\n" },
	{ SOME "ca:\n  zerossl: {http1: no}\n", "m:4:20: `http1`: found "
	  "`no`, expected true or false\n" },
	{ SOME "ca:\n  zerossl: {eab: {kid: x}}\n", "m:4:3: CA `zerossl`: "
	  "`eab` needs both `kid` and `hmac-file`\n" },
	{ SOME "ca:\n  zerossl: {eab: {kid: x, hmac: y}}\n",
	  "m:4:27: unknown key `hmac`, did you mean `hmac-file`?\n" },
	{ SOME "defaults: {ca: zerosll}\n",
	  "m:3:16: unknown CA `zerosll`, did you mean `zerossl`?\n" },
	{ SOME "defaults: {ca: mine}\n",
	  "m:3:16: unknown CA `mine`, define it in `ca`\n" },
	/* Protocol C5. */
	{ SOME "defaults: {ca: zerossl}\n", "m:3:16: CA `zerossl` wants "
	  "external account binding: get a key identifier and an HMAC key "
	  "from it, and add `ca: {zerossl: {eab: {kid: ..., hmac-file: "
	  "...}}}`\n" },
	{ SOME "ca:\n  google: {max-orders: 1}\ndefaults: {ca: google}\n",
	  "m:4:3: CA `google` wants external account binding: get a key "
	  "identifier and an HMAC key from it, and add `ca: {google: {eab: "
	  "{kid: ..., hmac-file: ...}}}`\n" },
};

/* The CAs of a certificate, in order. */
static const struct bad ca_list[] = {
	{ SOME "defaults: {ca: []}\n",
	  "m:3:16: `ca`: found an empty list, expected " CAS },
	{ SOME "defaults: {ca: {a: b}}\n",
	  "m:3:16: `ca`: found a mapping, expected " CAS },
	{ SOME "defaults: {ca: [letsencrypt, [zerossl]]}\n",
	  "m:3:30: `ca`: found a list, expected " CAS },
	{ SOME "defaults: {ca: [letsencrypt, a/b]}\n",
	  "m:3:30: `ca`: found `a/b`, expected " CAS },
	{ SOME "defaults: {ca: [letsencrypt, zerosll]}\n",
	  "m:3:30: unknown CA `zerosll`, did you mean `zerossl`?\n" },
	{ SOME "defaults: {ca: [letsencrypt, zerossl, letsencrypt]}\n",
	  "m:3:39: `ca`: `letsencrypt` is there twice\n" },
	{ SOME "ca: {a: {directory: \"https://x\"}, b: {directory: "
	  "\"https://x\"}}\ndefaults:\n  ca: [letsencrypt, zerossl, google, "
	  "actalis, letsencrypt-staging,\n  google-staging, a, b,\n  a]\n",
	  "m:7:3: `ca`: more than 8 CAs\n" },
	{ HEAD "domains:\n- {names: a.example, ca: [letsencrypt, nope]}\n",
	  "m:3:40: unknown CA `nope`, define it in `ca`\n" },
	/* The second is used, too. */
	{ SOME "defaults: {ca: [letsencrypt, zerossl]}\n",
	  "m:3:30: CA `zerossl` wants external account binding: get a key "
	  "identifier and an HMAC key from it, and add `ca: {zerossl: {eab: "
	  "{kid: ..., hmac-file: ...}}}`\n" },
	{ SOME "defaults: {failover-after: 0}\n", "m:3:28: `failover-after`: "
	  "found `0`, expected a number from 1 to 20\n" },
	{ SOME "defaults: {failover-after: 21}\n", "m:3:28: `failover-after`: "
	  "found `21`, expected a number from 1 to 20\n" },
	{ HEAD "domains:\n- {names: a.example, failover-after: 3}\n",
	  "m:3:22: unknown key `failover-after`, expected one of name, names, "
	  "ca, challenge, key, reload, reload-timeout, preferred-chain, "
	  "profile, preferred-profile, partial\n" },
	{ SOME "defaults: {partial: maybe}\n", "m:3:21: `partial`: found "
	  "`maybe`, expected one of true, false\n" },
	{ HEAD "domains:\n- {names: [a.example, b.example], partial: 1}\n",
	  "m:3:44: `partial`: found `1`, expected one of true, false\n" },
};

static const struct bad staging[] = {
	{ SOME "ca:\n  letsencrypt: {staging: letsencrypt}\n",
	  "m:4:26: `staging`: found `letsencrypt`, expected another CA than "
	  "that itself\n" },
	{ SOME "ca:\n  letsencrypt: {staging: letsencrypt-stagin}\n",
	  "m:4:26: unknown CA `letsencrypt-stagin`, did you mean "
	  "`letsencrypt-staging`?\n" },
	{ SOME "ca:\n  letsencrypt: {rehearse: false, staging: nope}\n",
	  "m:4:43: unknown CA `nope`, define it in `ca`\n" },
	{ SOME "ca:\n  letsencrypt: {staging: [a]}\n", "m:4:26: `staging`: "
	  "found a list, expected the name of a CA\n" },
	{ SOME "ca:\n  letsencrypt: {rehearse: maybe}\n", "m:4:27: "
	  "`rehearse`: found `maybe`, expected true or false\n" },
	/* Who names it wants it. */
	{ SOME "ca:\n  letsencrypt: {staging: google-staging}\n",
	  "m:4:3: CA `google-staging` wants external account binding: get a "
	  "key identifier and an HMAC key from it, and add `ca: "
	  "{google-staging: {eab: {kid: ..., hmac-file: ...}}}`\n" },
};

static const struct bad rate[] = {
#define LIMIT(rate) SOME "ca: {letsencrypt: {limits: {per-names: " rate "}}}\n"
#define NO_RATE(rate) \
	{ LIMIT(rate), \
	  "m:3:40: `per-names`: found `" rate "`, expected " RATE }
	NO_RATE("5"),
	NO_RATE("/1h"),
	NO_RATE("5/"),
	NO_RATE("0/1h"),
	NO_RATE("5/0"),
	NO_RATE("5/1y"),
	NO_RATE("-5/1h"),
	NO_RATE("5/-1h"),
	NO_RATE("1000001/1h"),
	NO_RATE("00000005/1h"),
	NO_RATE("5/367d"),
	NO_RATE("5/1h/1h"),
	NO_RATE("None"),
#undef NO_RATE
	{ LIMIT("[5]"),
	  "m:3:40: `per-names`: found a list, expected " RATE },
	{ LIMIT("~"), "m:3:40: `per-names`: found nothing, expected " RATE },
#undef LIMIT
	{ SOME "ca: {letsencrypt: {max-requests: 20}}\n",
	  "m:3:34: `max-requests`: found `20`, expected " RATE },
	{ SOME "ca: {letsencrypt: {limits: none}}\n",
	  "m:3:28: `limits`: found `none`, expected a mapping "
	  "with new-orders, per-domain, per-names, failures, "
	  "renewals-exempt\n" },
	{ SOME "ca: {letsencrypt: {limits: {per-name: 5/7d}}}\n",
	  "m:3:29: unknown key `per-name`, did you mean `per-names`?\n" },
	{ SOME "ca: {letsencrypt: {limits: {renewals-exempt: 5}}}\n",
	  "m:3:46: `renewals-exempt`: found `5`, expected true or false\n" },
};

static const struct bad profile[] = {
	{ SOME "defaults: {profile: a b}\n",
	  "m:3:21: `profile`: found `a b`, expected " PROFILE },
	{ SOME "defaults: {profile: \"\"}\n",
	  "m:3:21: `profile`: found ``, expected " PROFILE },
	{ SOME "defaults: {profile: j\xc3\xb6rg}\n",
	  "m:3:21: `profile`: found `j\xc3\xb6rg`, expected " PROFILE },
	{ SOME "defaults: {preferred-profile: a\\b}\n",
	  "m:3:31: `preferred-profile`: found `a\\b`, expected " PROFILE },
	{ SOME "defaults: {profile: a12345678901234567890123456789012345678901"
	  "23456789012345678901234}\n",
	  "m:3:21: `profile`: found `a12345678901234567890123456789012345678901"
	  "23456789012345678901234`, expected " PROFILE },
	{ SOME "defaults: {profile: a, preferred-profile: b}\n",
	  "m:3:24: `preferred-profile` cannot stand beside `profile`, which is "
	  "in line 3\n" },
	{ HEAD "domains:\n- names: a.example\n  preferred-profile: b\n"
	  "  profile: a\n", "m:5:3: `profile` cannot stand beside "
	  "`preferred-profile`, which is in line 4\n" },
	{ SOME "profile: a\n", "m:3:1: unknown key `profile`, expected one of "
	  TOP_KEYS },
};

static const struct bad resolvers[] = {
	{ SOME "resolvers: []\n",
	  "m:3:12: `resolvers`: found an empty list, expected " RESOLVERS },
	{ SOME "resolvers: localhost\n",
	  "m:3:12: `resolvers`: found `localhost`, expected " RESOLVERS },
	{ SOME "resolvers: [127.0.0.1, \"localhost:53\"]\n",
	  "m:3:24: `resolvers`: found `localhost:53`, expected " RESOLVERS },
	{ SOME "resolvers: \"127.0.0.1:65536\"\n",
	  "m:3:12: `resolvers`: found `127.0.0.1:65536`, expected " RESOLVERS },
	{ SOME "resolvers: \"[::1]\"\n",
	  "m:3:12: `resolvers`: found `[::1]`, expected " RESOLVERS },
	{ SOME "resolvers: \"[127.0.0.1]:53\"\n",
	  "m:3:12: `resolvers`: found `[127.0.0.1]:53`, expected " RESOLVERS },
	{ SOME "resolvers: [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4]\n",
	  "m:3:40: `resolvers`: found `1.1.1.4`, expected " RESOLVERS },
	{ SOME "max-hooks: 0\n", "m:3:12: `max-hooks`: found `0`, expected a "
	  "number from 1 to 64\n" },
	{ SOME "max-hooks: 65\n", "m:3:12: `max-hooks`: found `65`, expected "
	  "a number from 1 to 64\n" },
};

static const struct bad command[] = {
	{ SOME "reload: \"\"\n", "m:3:9: `reload`: the command is empty\n" },
	{ SOME "reload: []\n", "m:3:9: `reload`: the command is empty\n" },
	{ SOME "reload: [\"\", a]\n",
	  "m:3:9: `reload`: the command is empty\n" },
	{ SOME "reload:\n", "m:3:8: `reload`: found nothing, expected a "
	  "command: a list of arguments, or a string\n" },
	{ SOME "reload: {a: b}\n", "m:3:9: `reload`: found a mapping, "
	  "expected a command: a list of arguments, or a string\n" },
	{ SOME "reload: [a, [b]]\n", "m:3:13: `reload`: found a list, "
	  "expected a command: a list of arguments, or a string\n" },
	{ SOME "reload: ./run\n", "m:3:9: `reload`: the program must be an "
	  "absolute path or a bare name\n" },
	{ SOME "reload: a 'b\n", "m:3:9: `reload`: a quote is not closed\n" },
	{ SOME "reload: a \\q\n", "m:3:9: `reload`: a backslash before a "
	  "letter other than n, s or t, or at the end\n" },
	{ SOME "reload: a \\\n", "m:3:9: `reload`: a backslash before a "
	  "letter other than n, s or t, or at the end\n" },
	{ SOME "reload: a; b\n", "m:3:9: `reload`: found `;`" NO_SHELL },
	{ SOME "reload: a && b\n", "m:3:9: `reload`: found `&`" NO_SHELL },
	{ SOME "reload: a | b\n", "m:3:9: `reload`: found `|`" NO_SHELL },
	{ SOME "reload: a >b\n", "m:3:9: `reload`: found `>`" NO_SHELL },
	{ SOME "reload: a <b\n", "m:3:9: `reload`: found `<`" NO_SHELL },
	{ SOME "reload: a $(b)\n", "m:3:9: `reload`: found `$`" NO_SHELL },
	{ SOME "reload: a `b`\n",
	  "m:3:9: `reload`: found a backquote" NO_SHELL },
};

static const struct bad domains[] = {
	{ HEAD, "m:1:1: `domains` is missing or empty: " NO_DOMAINS },
	{ HEAD "domains: []\n", "m:2:1: `domains` is missing or empty: "
	  NO_DOMAINS },
	{ HEAD "domains: a.example\n", "m:2:10: `domains`: found "
	  "`a.example`, " NO_DOMAINS },
	{ HEAD "domains:\n", "m:2:9: `domains`: found nothing, " NO_DOMAINS },
	{ "domains: [a.example]\n", "m:1:1: `agree-tos` is missing, it " NO_TOS },
	{ "domains: [a.example]\nagree-tos: false\n",
	  "m:2:12: `agree-tos` " NO_TOS },
	{ HEAD "domains:\n- \n", "m:3:2: `names`: found nothing, expected "
	  NAMES },
	{ HEAD "domains:\n- []\n", "m:3:3: `names`: found an empty list, "
	  "expected " NAMES },
	{ HEAD "domains:\n- [a.example, [b.example]]\n", "m:3:15: `names`: "
	  "found a list, expected " NAMES },
	{ HEAD "domains:\n- {key: ec256}\n", "m:3:3: `names` is missing: "
	  "expected " NAMES },
	{ HEAD "domains:\n- {name: \"a b\", names: a.example}\n", "m:3:10: "
	  "`name`: found `a b`, expected 1 to 64 letters, digits, '.', '_' "
	  "or '-', not starting with '.' or '-'\n" },
	{ HEAD "domains:\n- a.example\n- a.example\n", "m:4:3: certificate "
	  "`a.example` is there already (m:3): give one of them another "
	  "`name`\n" },
	{ HEAD "domains:\n- "
	  "a123456789a123456789a123456789.a123456789a123456789a123456789.example"
	  "\n", "m:3:3: "
	  "`a123456789a123456789a123456789.a123456789a123456789a123456789."
	  "example` cannot be the name of a folder: give this certificate a "
	  "`name`\n" },
};

/* Protocol E6, G3. */
static const struct bad names[] = {
	{ HEAD "domains: [a_b.example]\n", "m:2:11: `a_b.example`: only "
	  "letters, digits, hyphens and dots\n" },
	{ HEAD "domains: [1.2.3]\n", "m:2:11: `1.2.3`: neither a DNS name "
	  "nor an IP address\n" },
	{ HEAD "domains: [a.b.c.d.e.f.g.h.i.j.k]\n", "m:2:11: "
	  "`a.b.c.d.e.f.g.h.i.j.k`: more than 10 labels\n" },
	{ HEAD "domains: [\"a.*.example\"]\n", "m:2:11: `a.*.example`: "
	  "\"*.\" may only be in front\n" },
	{ HEAD "domains: [\"*.example.org\"]\n",
	  "m:2:11: `*.example.org`: " WILD },
	{ HEAD "domains:\n- [www.a.example, a.example, x.y.a.example, "
	  "\"*.a.example\"]\n",
	  "m:3:4: `www.a.example` is covered by `*.a.example` in the same "
	  "certificate: remove one of them\n"
	  "m:3:45: `*.a.example`: " WILD },
	{ HEAD "domains: [192.0.2.1]\n", "m:2:11: CA `letsencrypt` issues "
	  "certificates for IP addresses only with `profile: shortlived`\n" },
	{ HEAD "domains:\n- {name: x, names: [a.example, \"2001:db8::1\"], "
	  "profile: classic}\n",
	  "m:3:32: CA `letsencrypt` issues certificates for IP addresses "
	  "only with `profile: shortlived`, found `profile: classic`\n" },
	{ HEAD "defaults: {ca: zerossl}\nca:\n  zerossl: {eab: {kid: x, "
	  "hmac-file: /x}}\ndomains: [192.0.2.1]\n", "m:5:11: CA `zerossl` "
	  "issues no certificates for IP addresses\n" },
	{ HEAD "domains:\n- {names: 192.0.2.1, challenge: dns-01}\n",
	  "m:3:11: an IP address cannot be validated with dns-01\n"
	  "m:3:33: `dns-01`" UNSUPPORTED },
};
/* clang-format on */

#define TABLE_TEST(table)                      \
	static void test_##table(void **state) \
	{                                      \
		(void)state;                   \
		each(table, NELEM(table));     \
	}
TABLE_TEST(yaml)
TABLE_TEST(slips)
TABLE_TEST(key)
TABLE_TEST(reserved)
TABLE_TEST(value)
TABLE_TEST(listen)
TABLE_TEST(email)
TABLE_TEST(ca)
TABLE_TEST(ca_list)
TABLE_TEST(staging)
TABLE_TEST(rate)
TABLE_TEST(profile)
TABLE_TEST(resolvers)
TABLE_TEST(command)
TABLE_TEST(domains)
TABLE_TEST(names)

/* Each file goes on after its own faults, and the others after its. */
static void
test_all_at_once(void **state)
{
	(void)state;
	expect_errors("emial: x\nagree-tos: true\nlog: {level: x}\n"
		      "defaults: {ca: nope}\ndomains: [a_b, c.example]\n",
	    "domains: [d.example]\nreload: x\nca: [\n",
	    "m:1:1: unknown key `emial`, did you mean `email`?\n"
	    "m:3:14: `level`: found `x`, expected one of error, warn, info, "
	    "debug\n"
	    "m:4:16: unknown CA `nope`, define it in `ca`\n"
	    "m:5:11: `a_b`: only letters, digits, hyphens and dots\n"
	    "i:2:1: `reload` is not allowed in an included file, only `ca` "
	    "and `domains` are\n"
	    "i:4:1: " NO_VALUE);
}

static void
test_included(void **state)
{
	(void)state;
	expect_errors(SOME, "include: x\n",
	    "i:1:1: `include` is not allowed in an included file, only `ca` "
	    "and `domains` are\n");
	expect_errors(SOME, "- a.example\n",
	    "i:1:3: certificate `a.example` is there already (m:2): give "
	    "one of them another `name`\n");
	expect_errors(SOME "ca: {x: {directory: \"https://x\"}}\n",
	    "ca: {x: {directory: \"https://x\"}}\n",
	    "i:1:6: CA `x` is defined twice\n");
	expect_errors(SOME, "hello",
	    "i:1:1: expected keys and values, like `email: "
	    "admin@example.org`, found a word: is there a space "
	    "behind the colon?\n");
}

static void
test_limits(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(1u << 20);
	int i;

	(void)state;
	buf_puts(&b, HEAD "domains:\n- [");
	for (i = 0; i <= 100; i++)
		buf_printf(&b, "n%d.example,\n", i);
	buf_puts(&b, "]\n");
	expect_errors(buf_str(&b), NULL,
	    "m:103:1: more than 100 names in one certificate\n");

	buf_reset(&b);
	buf_puts(&b, SOME "ca:\n");
	for (i = 0; i <= 64; i++)
		buf_printf(&b, "  c%d: {directory: \"https://x\"}\n", i);
	expect_errors(buf_str(&b), NULL, "m:68:3: more than 64 CAs\n");

	buf_reset(&b);
	buf_puts(&b, HEAD "domains:\n");
	for (i = 0; i <= 4096; i++)
		buf_printf(
		    &b, "- {names: n%d.example, reload: [r, %d]}\n", i, i);
	expect_errors(buf_str(&b), NULL,
	    "m:4099:34: more than 4096 different commands\n");

	buf_reset(&b);
	buf_puts(&b, SOME "reload: [x");
	for (i = 0; i < 256; i++)
		buf_puts(&b, ",x");
	buf_puts(&b, "]\n");
	expect_errors(buf_str(&b), NULL,
	    "m:3:9: `reload`: more than 256 arguments or 64 KiB\n");

	buf_reset(&b);
	buf_puts(&b, SOME "include: [");
	for (i = 0; i < CONF_NODES_MAX; i++)
		buf_puts(&b, "a,\n");
	buf_puts(&b, "]\n");
	expect_errors(buf_str(&b), NULL, "m:65538:1: too long\n");
}

/* The default is one of 4096, and three of twenty are enough for the others. */
static void
test_too_many_ca_lists(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(1u << 20);
	int i, x, y, z, n = 0;

	(void)state;
	buf_puts(&b, HEAD "ca:\n");
	for (i = 0; i < 20; i++)
		buf_printf(&b, "  c%d: {directory: \"https://x\"}\n", i);
	buf_puts(&b, "domains:\n");
	for (i = 0; n < 4097; i++) {
		x = i / 400;
		y = i / 20 % 20;
		z = i % 20;
		if (x == y || y == z || x == z)
			continue;
		buf_printf(&b, "- {ca: [c%d, c%d, c%d], names: n%d.example}\n",
		    x, y, z, n++);
	}
	expect_errors(buf_str(&b), NULL,
	    "m:4119:8: more than 4096 different lists of CAs\n"
	    "m:4120:8: more than 4096 different lists of CAs\n");
}

static void
test_too_many_certs(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(16u << 20);
	int i;

	(void)state;
	buf_puts(&b, HEAD "domains:\n");
	for (i = 0; i < CONF_CERTS_MAX + 2; i++)
		buf_printf(&b, "- n%d.example\n", i);
	expect_errors(
	    buf_str(&b), NULL, "m:200003:3: more than 200000 certificates\n");
}

/* However many there are, the report is bounded and says how many. */
static void
test_many_errors(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(1u << 20);
	struct conf_report r;
	int i;

	(void)state;
	buf_puts(&b, HEAD "domains:\n");
	for (i = 0; i < 1500; i++)
		buf_puts(&b, "- a_b\n");
	assert_null(load_texts(buf_str(&b), NULL, &r));
	assert_int_equal(r.n_errors, 1500);
	assert_int_equal(count_lines(buf_str(&r.errors)), 1001);
	assert_non_null(
	    strstr(buf_str(&r.errors), "\n... and 500 more errors\n"));
	conf_report_done(&r);
}

static void
test_damaged_bundle(void **state)
{
	AUTO(buf_done) struct buf b = BUF_INIT(CONF_BUNDLE_MAX);
	struct conf_report r;
	struct conf *c;
	size_t i;

	(void)state;
	add_text(&b, "m", SOME);
	for (i = 0; i < b.len; i++) {
		conf_report_init(&r);
		assert_null(conf_load(b.data, i, &r));
		assert_string_equal(buf_str(&r.errors),
		    "the configuration bundle is damaged\n");
		assert_int_equal(r.n_errors, 1);
		conf_report_done(&r);
	}
	conf_report_init(&r);
	b.data[0] ^= 1;
	assert_null(conf_load(b.data, b.len, &r));
	b.data[0] ^= 1;
	b.data[4] = 0; /* an empty name */
	assert_null(conf_load(b.data, b.len, &r));
	b.data[4] = 1;
	b.data[11] = (char)0xff; /* an endless text */
	assert_null(conf_load(b.data, b.len, &r));
	b.data[11] = 0;
	assert_int_equal(r.n_errors, 3);
	c = conf_load(b.data, b.len, &r);
	assert_non_null(c);
	conf_free(c);
	conf_report_done(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_yaml),
		cmocka_unit_test(test_slips),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_value),
		cmocka_unit_test(test_listen),
		cmocka_unit_test(test_email),
		cmocka_unit_test(test_ca),
		cmocka_unit_test(test_ca_list),
		cmocka_unit_test(test_staging),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_profile),
		cmocka_unit_test(test_resolvers),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_included),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_too_many_ca_lists),
		cmocka_unit_test(test_too_many_certs),
		cmocka_unit_test(test_many_errors),
		cmocka_unit_test(test_damaged_bundle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
