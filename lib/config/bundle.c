/* SPDX-License-Identifier: ISC */
/*
 * The main file and all that it includes as one run of bytes: what root hands
 * to the other processes.  Numbers are in the machine's own order, for it
 * never leaves the machine.
 */
#include "lib/config/internal.h"

#include <limits.h>
#include <string.h>

#define MAGIC 0x31666361u /* "acf1" */

struct record {
	uint32_t magic, name_len, text_len;
};

int
bundle_add(struct buf *out, const char *name, const void *text, size_t len)
{
	struct record r = { MAGIC, (uint32_t)strlen(name), (uint32_t)len };

	if (len > CONF_FILE_MAX || r.name_len > PATH_MAX ||
	    out->len + sizeof(r) + r.name_len + len > CONF_BUNDLE_MAX)
		return -1;
	buf_add(out, &r, sizeof(r));
	buf_add(out, name, r.name_len);
	buf_add(out, text, len);
	return buf_ok(out) ? 0 : -1;
}

/* One record of the *len bytes at *p.  -1: damaged. */
static int
take_record(const char **p, size_t *len, struct record *r)
{
	if (*len < sizeof(*r))
		return -1;
	memcpy(r, *p, sizeof(*r));
	*p += sizeof(*r);
	*len -= sizeof(*r);
	if (r->magic != MAGIC || r->name_len == 0 || r->name_len > PATH_MAX ||
	    r->text_len > CONF_FILE_MAX ||
	    (size_t)r->name_len + r->text_len > *len)
		return -1;
	return memchr(*p, '\0', r->name_len) == NULL ? 0 : -1;
}

int
bundle_split(struct load *ld, const void *bundle, size_t len)
{
	const size_t max = CONF_INCLUDES_MAX + 1;
	const char *p = bundle;
	struct record r;

	ld->files = pool_alloc(ld->pool, max * sizeof(*ld->files));
	ld->texts = pool_alloc(ld->pool, max * sizeof(*ld->texts));
	if (ld->files == NULL || ld->texts == NULL) {
		ld->diags.nomem = true;
		return -1;
	}
	while (len > 0 && len <= CONF_BUNDLE_MAX && ld->n_files < max) {
		const char *name;

		if (take_record(&p, &len, &r) == -1)
			return -1;
		name = pool_strndup(ld->pool, p, r.name_len);
		if (name == NULL) {
			ld->diags.nomem = true;
			return -1;
		}
		ld->texts[ld->n_files].data = p + r.name_len;
		ld->texts[ld->n_files].len = r.text_len;
		ld->files[ld->n_files++] = name;
		p += (size_t)r.name_len + r.text_len;
		len -= (size_t)r.name_len + r.text_len;
	}
	return len == 0 && ld->n_files > 0 ? 0 : -1;
}
