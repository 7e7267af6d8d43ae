/* SPDX-License-Identifier: ISC */
/*
 * The configuration, as a bundle of bytes and as the one file of a good
 * bundle.  What loads must print, and what was printed must load and print the
 * same again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config/internal.h"

#define PRINT_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct conf *
load_file(const void *text, size_t size)
{
	AUTO(buf_done) struct buf b = BUF_INIT(CONF_BUNDLE_MAX);
	struct conf_report r;
	struct conf *c;

	if (bundle_add(&b, "acmed.yaml", text, size) == -1)
		return NULL;
	conf_report_init(&r);
	c = conf_load(b.data, b.len, &r);
	if ((c == NULL) != (r.n_errors > 0))
		abort();
	conf_report_done(&r);
	return c;
}

static void
round_trip(const struct conf *c)
{
	AUTO(buf_done) struct buf once = BUF_INIT(PRINT_MAX);
	AUTO(buf_done) struct buf twice = BUF_INIT(PRINT_MAX);
	struct conf *again;

	conf_print(c, &once);
	if (!buf_ok(&once) || once.len > CONF_FILE_MAX)
		return;
	again = load_file(once.data, once.len);
	if (again == NULL)
		abort();
	conf_print(again, &twice);
	if (strcmp(buf_str(&once), buf_str(&twice)) != 0)
		abort();
	conf_free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_report r;
	struct conf *c;

	conf_report_init(&r);
	conf_free(conf_load(data, size, &r));
	conf_report_done(&r);
	c = load_file(data, size);
	if (c != NULL)
		round_trip(c);
	conf_free(c);
	return 0;
}
