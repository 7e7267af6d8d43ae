/* SPDX-License-Identifier: ISC */
/* Renewal information as text; it keeps no state and asks nobody. */
#include "lib/acme/ari.h"

#include <assert.h>
#include <string.h>

#include "lib/acme/jws.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/str.h"
#include "lib/io/json.h"

/* Outside these a window is a mistake, and arithmetic with it another. */
#define YEAR_2020 INT64_C(1577836800)
#define YEAR_2201 INT64_C(7289654400)

static int
get_instant(
    const struct json *window, const char *key, int64_t *out, struct err *e)
{
	const char *text = json_get_text(window, key);

	if (text == NULL)
		return err_set(
		    e, ERR_PROTO, 0, "%s is missing or no text", key);
	if (clock_parse(text, out) == -1)
		return err_set(e, ERR_PROTO, 0, "%s is no RFC 3339 time", key);
	if (*out < YEAR_2020 || *out >= YEAR_2201)
		return err_set(e, ERR_PROTO, 0,
		    "%s is not in the years 2020 to 2200", key);
	return 0;
}

static int
get_window(const struct json *root, struct renewal_info *r, struct err *e)
{
	const struct json *window = json_get_object(root, "suggestedWindow");

	if (window == NULL)
		return err_set(
		    e, ERR_PROTO, 0, "suggestedWindow is missing or no object");
	if (get_instant(window, "start", &r->start, e) == -1 ||
	    get_instant(window, "end", &r->end, e) == -1)
		return err_wrap(e, "suggestedWindow");
	if (r->end <= r->start)
		return err_set(e, ERR_PROTO, 0,
		    "suggestedWindow does not end after its start");
	return 0;
}

int
renewal_info_decode(const char *body, size_t len, struct pool *pool,
    struct renewal_info *r, struct err *e)
{
	AUTO(json_free) struct json *root = NULL;
	const char *url;

	*r = (struct renewal_info){ 0 };
	if (len > ARI_BODY_MAX)
		return err_set(e, ERR_LIMIT, 0,
		    "renewal information: longer than %u bytes", ARI_BODY_MAX);
	root = json_parse(body, len, e);
	if (root == NULL || get_window(root, r, e) == -1)
		return err_wrap(e, "renewal information");
	url = json_get_text(root, "explanationURL");
	/* An https URL has no character that a terminal would obey. */
	if (url == NULL || !str_is_https_url(url) || strlen(url) > JWS_URL_MAX)
		return 0;
	r->explanation = pool_strdup(pool, url);
	return r->explanation == NULL ? err_nomem(e, "renewal information") : 0;
}

/* As x509 makes it: two times base64url, and a dot between them. */
#define CERT_ID_CHARS                \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"abcdefghijklmnopqrstuvwxyz" \
	"0123456789-_."

int
ari_url(const char *renewal_info, const char *cert_id, struct buf *out,
    struct err *e)
{
	size_t path = strcspn(renewal_info, "?#"), end = path;
	const char *query = renewal_info + path;

	assert(
	    str_is_https_url(renewal_info)); /* directory_decode() saw to it */
	if (*cert_id == '\0' || cert_id[strspn(cert_id, CERT_ID_CHARS)] != '\0')
		return err_set(e, ERR_PROTO, 0,
		    "renewalInfo: no certificate id: \"%.100s\"", cert_id);
	while (renewal_info[end - 1] == '/')
		end--;
	/* A fragment is nothing that is sent (RFC 9110 4.2.5). */
	buf_printf(out, "%.*s/%s%.*s", (int)end, renewal_info, cert_id,
	    (int)strcspn(query, "#"), query);
	if (!buf_ok(out))
		return err_set(e, ERR_LIMIT, 0, "renewalInfo: URL too long");
	return 0;
}
