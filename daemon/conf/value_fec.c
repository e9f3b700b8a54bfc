/* SPDX-License-Identifier: BSD-2-Clause */
/* Values of Fec: a code, or what auto may add. Called by conf.c through the table of keys. */
#include "conf/value.h"

#include <string.h>
#include <strings.h>

/* parse_scheme reads "xor:K" and "rs:K+R". */
static bool parse_scheme(const char *text, struct qb_fec_want *out)
{
	const char *plus = strchr(text, '+');
	char sources[4] = "";
	uint32_t k, r = 1;

	out->mode = QB_FEC_FIXED;
	out->is_rs = strncasecmp(text, "rs:", 3) == 0;
	if (out->is_rs) {
		if (!plus || plus - text - 3 >= (ptrdiff_t)sizeof(sources))
			return false;
		memcpy(sources, text + 3, (size_t)(plus - text - 3));
		if (qb_conf_parse_u32(sources, 2, 32, &k) || qb_conf_parse_u32(plus + 1, 1, k / 2, &r))
			return false;
	} else if (strncasecmp(text, "xor:", 4) != 0 || qb_conf_parse_u32(text + 4, 2, 32, &k)) {
		return false;
	}
	out->sources = (uint8_t)k;
	out->repairs = (uint8_t)r;
	return true;
}

/* parse_bounds reads "auto:MIN-MAX". */
static bool parse_bounds(const char *text, struct qb_fec_want *out)
{
	const char *dash = strchr(text, '-');
	char least[3] = "";
	uint32_t min, max;

	if (strncasecmp(text, "auto:", 5) != 0 || !dash || dash - text - 5 >= (ptrdiff_t)sizeof(least))
		return false;
	memcpy(least, text + 5, (size_t)(dash - text - 5));
	if (qb_conf_parse_u32(least, QB_FEC_MIN_PCT, QB_FEC_MAX_PCT, &min) ||
	    qb_conf_parse_u32(dash + 1, min, QB_FEC_MAX_PCT, &max))
		return false;
	*out = (struct qb_fec_want){.mode = QB_FEC_AUTO, .min_pct = (uint8_t)min, .max_pct = (uint8_t)max};
	return true;
}

int qb_conf_parse_fec(struct qb_conf_value *v, void *dst)
{
	static const char *const words[] = {"auto", "off", NULL};
	struct qb_fec_want want = {0};
	int i = qb_conf_find_word(words, v->text);

	if (i >= 0)
		want.mode = i == 0 ? QB_FEC_AUTO : QB_FEC_OFF;
	else if (!parse_bounds(v->text, &want) && !parse_scheme(v->text, &want))
		return qb_conf_refuse_text(v, v->text, "auto, off or a code");
	*(struct qb_fec_want *)dst = want;
	return 0;
}

int qb_conf_parse_policy_fec(struct qb_conf_value *v, void *dst)
{
	if (strcasecmp(v->text, "bond") != 0)
		return qb_conf_parse_fec(v, dst);
	*(struct qb_fec_want *)dst = (struct qb_fec_want){.mode = QB_FEC_INHERIT};
	return 0;
}
