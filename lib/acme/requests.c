/* SPDX-License-Identifier: ISC */
/*
 * Payloads as JSON.  Every text with a person or a configuration file behind
 * it goes through the JSON library; nothing is formatted by hand.
 */
#include "lib/acme/requests.h"

#include <string.h>

#include "lib/acme/jws.h"
#include "lib/base/b64.h"
#include "lib/base/cleanup.h"
#include "lib/base/str.h"
#include "lib/io/json.h"

/* An array even without email: that is how an account loses its contact. */
static int
set_contact(struct json *root, const char *email, struct err *e)
{
	AUTO(buf_done) struct buf url = BUF_INIT(JWS_URL_MAX);
	struct json *list = json_set_array(root, "contact");

	if (email == NULL)
		return 0;
	/* RFC 8555 7.3: one address and no header fields. */
	if (strpbrk(email, "?,") != NULL)
		return err_set(e, ERR_CONFIG, 0,
		    "contact: one plain address is needed, not \"%s\"", email);
	buf_printf(&url, "mailto:%s", email);
	if (!buf_ok(&url))
		return err_set(e, ERR_CONFIG, 0, "contact: too long");
	json_push_str(list, buf_str(&url));
	return 0;
}

int
request_new_account(const char *email, bool agree_tos, bool only_existing,
    const char *eab, struct buf *out, struct err *e)
{
	AUTO(json_free) struct json *root = json_object();
	struct json *binding;

	if (agree_tos)
		json_set_bool(root, "termsOfServiceAgreed", true);
	if (only_existing)
		json_set_bool(root, "onlyReturnExisting", true);
	if (email != NULL && set_contact(root, email, e) == -1)
		return -1;
	if (eab != NULL) {
		binding = json_parse(eab, strlen(eab), e);
		if (binding == NULL)
			return err_wrap(e, "EAB");
		json_set(root, "externalAccountBinding", binding);
	}
	return json_dump(root, false, out, e);
}

int
request_update_account(const char *email, struct buf *out, struct err *e)
{
	AUTO(json_free) struct json *root = json_object();

	if (set_contact(root, email, e) == -1)
		return -1;
	return json_dump(root, false, out, e);
}

int
request_new_order(const char *const *idents, size_t n, const char *replaces,
    const char *profile, struct buf *out, struct err *e)
{
	AUTO(json_free) struct json *root = json_object();
	struct json *list = json_set_array(root, "identifiers"), *one;
	char text[STR_IDENT_MAX];
	const char *why;
	bool is_ip;
	size_t i;

	for (i = 0; i < n; i++) {
		if (str_ident(idents[i], text, &is_ip, &why) == -1)
			return err_set(
			    e, ERR_CONFIG, 0, "%s: %s", idents[i], why);
		one = json_push_object(list);
		json_set_str(one, "type", is_ip ? "ip" : "dns");
		json_set_str(one, "value", text);
	}
	if (replaces != NULL)
		json_set_str(root, "replaces", replaces);
	if (profile != NULL)
		json_set_str(root, "profile", profile);
	return json_dump(root, false, out, e);
}

int
request_finalize(
    const void *csr_der, size_t len, struct buf *out, struct err *e)
{
	AUTO(buf_done) struct buf csr = BUF_INIT(JWS_PAYLOAD_MAX);
	AUTO(json_free) struct json *root = json_object();

	if (len > JWS_PAYLOAD_MAX / 4 * 3)
		return err_set(e, ERR_LIMIT, 0,
		    "certificate request of %zu bytes: too many names", len);
	b64url_encode(csr_der, len, &csr);
	if (!buf_ok(&csr))
		return err_nomem(e, "finalize");
	json_set_str(root, "csr", buf_str(&csr));
	return json_dump(root, false, out, e);
}
