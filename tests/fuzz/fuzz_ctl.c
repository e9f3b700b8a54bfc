/* SPDX-License-Identifier: BSD-2-Clause */
/* One request line of any bytes: there is always an answer, an object with the schema. */
#include <stdlib.h>

#include "base/log.h"
#include "ctl/json.h"
#include "ctl/request.h"

static int do_io(void *arg, struct qb_io_status *st, char *err)
{
	(void)arg;
	(void)err;
	st->if_cnt = st->ifs[0].queue_cnt = 1;
	return 0;
}

static int do_doctor(void *arg, struct qb_findings *f, char *err)
{
	(void)arg;
	(void)err;
	f->cnt = 1;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int do_status(void *arg, struct qb_status *st, char *err)
{
	(void)arg;
	(void)err;
	memcpy(st->name, "\xc3\x28", 3);
	st->link_cnt = 1;
	return 0;
}

static int do_nothing(void *arg, char *err)
{
	(void)arg;
	(void)err;
	return 0;
}

static int do_link(void *arg, const char *name, const char *verb, char *err)
{
	(void)arg;
	(void)err;
	return strcmp(name, verb) ? -2 : 0;
}

static int do_block(void *arg, const char *verb, const char *prefix, const char *life, char *err)
{
	(void)arg;
	(void)err;
	return life && strcmp(life, prefix) == 0 ? -2 : verb[0] ? 0 : -1;
}

static int do_blocks(void *arg, struct qb_ctl_block *out, uint32_t *cnt, char *err)
{
	(void)arg;
	(void)err;
	out[0] = (struct qb_ctl_block){.prefix = {.family = 4, .len = 8}, .left_s = 3};
	*cnt = 1;
	return 0;
}

static int do_qlog(void *arg, const char *verb, const char *folder, const char *site,
		   struct qb_ctl_qlog *out, char *err)
{
	(void)arg;
	(void)err;
	*out = (struct qb_ctl_qlog){.is_on = folder != NULL};
	memccpy(out->folder, site ? site : verb, '\0', sizeof(out->folder) - 1);
	return 0;
}

static int do_errors(void *arg, struct qb_ctl_error *out, uint32_t *cnt, char *err)
{
	(void)arg;
	(void)err;
	out[0] = (struct qb_ctl_error){.time_s = 1, .text = "\xc3\x28"};
	*cnt = 1;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct qb_ctl_verbs verbs = {
		.status = do_status,
		.reload = do_nothing,
		.link = do_link,
		.set = do_link,
		.block = do_block,
		.blocks = do_blocks,
		.io = do_io,
		.doctor = do_doctor,
		.qlog = do_qlog,
		.errors = do_errors,
	};
	struct qb_ctl_request r = {.verbs = &verbs};
	json_t *j;
	char *text;

	qb_log_max = QB_LOG_ERR;
	j = qb_ctl_answer(&r, (const char *)data, len);
	QB_BUG_ON(json_integer_value(json_object_get(j, "schema")) != QB_CTL_SCHEMA);
	QB_BUG_ON(json_object_size(j) < 2);
	text = json_dumps(j, JSON_COMPACT);
	QB_BUG_ON(!text || strchr(text, '\n'));
	free(text);
	json_decref(j);
	return 0;
}
