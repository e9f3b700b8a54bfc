/* SPDX-License-Identifier: BSD-2-Clause */
/* The config parser on any bytes: it takes them, or refuses with an error that begins with
 * FILE:LINE. */
#include <stdlib.h>

#include "conf/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const list[] = {"minrtt", "cubic", NULL};
	static const struct qb_conf_names names = {.schedulers = list, .congestions = list};
	char err[QB_CONF_ERR_LEN];
	struct qb_conf *c = qb_conf_parse("f", (const char *)data, len, &names, err);

	if (c) {
		/* What was taken keeps its promises. */
		QB_BUG_ON(!qb_conf_is_name(c->name) || c->key_file[0] != '/');
		QB_BUG_ON(c->role == QB_ROLE_EDGE ? c->hub_cnt == 0
						  : !c->pool.v4.family && !c->pool.v6.family);
		QB_BUG_ON(c->role == QB_ROLE_EDGE && !c->is_links_auto && c->link_cnt == 0);
		QB_BUG_ON(err[0] != '\0');
	} else {
		char *end;

		QB_BUG_ON(strncmp(err, "f:", 2) != 0);
		QB_BUG_ON(strtol(err + 2, &end, 10) < 1 || strncmp(end, ": ", 2) != 0);
		QB_BUG_ON(strlen(err) >= QB_CONF_ERR_LEN);
	}
	qb_conf_free(c);
	return 0;
}
