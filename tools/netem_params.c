/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of parameters, and numbers with units to and from text. */
#include "tools/netem_params.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct unit {
	const char *name;
	double factor;
};

static const struct unit time_units[] = {
	{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {NULL, 0}};
static const struct unit rate_units[] = {
	{"", 1},       {"k", 1e3},    {"M", 1e6},    {"G", 1e9}, {"bit", 1},
	{"kbit", 1e3}, {"Mbit", 1e6}, {"Gbit", 1e9}, {NULL, 0},
};
static const struct unit size_units[] = {
	{"B", 1}, {"kB", 1e3}, {"MB", 1e6}, {"", 1}, {"k", 1e3}, {"M", 1e6}, {NULL, 0},
};
static const struct unit count_units[] = {{"p", 1}, {"", 1}, {NULL, 0}};

/* parse_number reads a plain decimal number and one of the units behind it. */
static int parse_number(const char *text, const struct unit *units, double *out)
{
	char *end;
	double v;

	/* strtod alone would also take signs, exponents, hexadecimal and infinity. */
	v = strtod(text, &end);
	if (end == text || end != text + strspn(text, "0123456789."))
		return -EINVAL;
	for (; units->name; units++) {
		if (strcasecmp(end, units->name) == 0) {
			*out = v * units->factor;
			return *out < 9e18 ? 0 : -EINVAL;
		}
	}
	return -EINVAL;
}

static int parse_u64(const char *text, const struct unit *units, void *field)
{
	double v;

	if (parse_number(text, units, &v))
		return -EINVAL;
	*(uint64_t *)field = (uint64_t)(v + 0.5);
	return 0;
}

static int parse_time(const char *text, void *field)
{
	if (strcmp(text, "0") == 0) {
		*(uint64_t *)field = 0;
		return 0;
	}
	return parse_u64(text, time_units, field);
}

static int parse_rate(const char *text, void *field)
{
	return parse_u64(text, rate_units, field);
}

static int parse_size(const char *text, void *field)
{
	return parse_u64(text, size_units, field);
}

static int parse_pct(const char *text, void *field)
{
	static const struct unit units[] = {{"", 0.01}, {"%", 0.01}, {NULL, 0}};
	double v;

	if (parse_number(text, units, &v) || v > 1)
		return -EINVAL;
	*(double *)field = v;
	return 0;
}

static int parse_u32(const char *text, void *field)
{
	uint64_t v;

	if (parse_u64(text, count_units, &v) || v > UINT32_MAX)
		return -EINVAL;
	*(uint32_t *)field = (uint32_t)v;
	return 0;
}

static int parse_i32(const char *text, void *field)
{
	bool is_negative = *text == '-';
	uint32_t v;

	if (parse_u32(text + is_negative, &v) || v > 65535)
		return -EINVAL;
	*(int32_t *)field = is_negative ? -(int32_t)v : (int32_t)v;
	return 0;
}

static int parse_flag(const char *text, void *field)
{
	bool is_on = !strcmp(text, "1") || !strcasecmp(text, "yes") || !strcasecmp(text, "on");

	if (!is_on && strcmp(text, "0") && strcasecmp(text, "no") && strcasecmp(text, "off"))
		return -EINVAL;
	*(bool *)field = is_on;
	return 0;
}

static int parse_dist(const char *text, void *field)
{
	bool is_normal = strcasecmp(text, "normal") == 0;

	if (!is_normal && strcasecmp(text, "uniform"))
		return -EINVAL;
	*(enum qb_netem_dist *)field = is_normal ? QB_NETEM_NORMAL : QB_NETEM_UNIFORM;
	return 0;
}

/* parse_limit reads "50ms", "100p", "64kB", or several of them with commas: all hold; those not
 * named are off. */
static int parse_limit(const char *text, void *field)
{
	struct qb_netem_params *p = field;
	uint64_t pkts = 0, bytes = 0, ns = 0;
	char word[32];

	for (;;) {
		size_t len = strcspn(text, ",");

		if (len >= sizeof(word))
			return -EINVAL;
		memcpy(word, text, len);
		word[len] = '\0';
		if (parse_u64(word, count_units, &pkts) && parse_u64(word, size_units, &bytes) &&
		    parse_u64(word, time_units, &ns))
			return -EINVAL;
		if (text[len] == '\0')
			break;
		text += len + 1;
	}
	p->limit_pkts = pkts;
	p->limit_bytes = bytes;
	p->limit_ns = ns;
	return 0;
}

/* parse_burst reads Gilbert-Elliott's "P,R" at once. */
static int parse_burst(const char *text, void *field)
{
	struct qb_netem_params *p = field;
	const char *comma = strchr(text, ',');
	char first[32];
	double ge_p, ge_r;

	if (!comma) {
		if (strcmp(text, "0"))
			return -EINVAL;
		p->ge_p = 0;
		return 0;
	}
	snprintf(first, sizeof(first), "%.*s", (int)(comma - text), text);
	if (parse_pct(first, &ge_p) || parse_pct(comma + 1, &ge_r))
		return -EINVAL;
	p->ge_p = ge_p;
	p->ge_r = ge_r;
	return 0;
}

static void format_u64(const void *field, char out[QB_NETEM_VALUE_LEN])
{
	snprintf(out, QB_NETEM_VALUE_LEN, "%llu", (unsigned long long)*(const uint64_t *)field);
}

static void format_time(const void *field, char out[QB_NETEM_VALUE_LEN])
{
	uint64_t ns = *(const uint64_t *)field;

	snprintf(out, QB_NETEM_VALUE_LEN, ns ? "%.10gms" : "0", (double)ns / 1e6);
}

static void format_pct(const void *field, char out[QB_NETEM_VALUE_LEN])
{
	snprintf(out, QB_NETEM_VALUE_LEN, "%.10g", *(const double *)field * 100);
}

static void format_i32(const void *field, char out[QB_NETEM_VALUE_LEN])
{
	snprintf(out, QB_NETEM_VALUE_LEN, "%d", *(const int32_t *)field);
}

static void format_flag(const void *field, char out[QB_NETEM_VALUE_LEN])
{
	snprintf(out, QB_NETEM_VALUE_LEN, "%d", *(const bool *)field);
}

static void format_dist(const void *field, char out[QB_NETEM_VALUE_LEN])
{
	bool is_normal = *(const enum qb_netem_dist *)field == QB_NETEM_NORMAL;

	snprintf(out, QB_NETEM_VALUE_LEN, "%s", is_normal ? "normal" : "uniform");
}

static void format_limit(const void *field, char out[QB_NETEM_VALUE_LEN])
{
	const struct qb_netem_params *p = field;
	int len = 0;

	if (p->limit_pkts)
		len += snprintf(out, QB_NETEM_VALUE_LEN, "%llup",
				(unsigned long long)p->limit_pkts);
	if (p->limit_bytes)
		len += snprintf(out + len, (size_t)(QB_NETEM_VALUE_LEN - len), "%s%lluB",
				len ? "," : "", (unsigned long long)p->limit_bytes);
	if (p->limit_ns)
		len += snprintf(out + len, (size_t)(QB_NETEM_VALUE_LEN - len), "%s%.10gms",
				len ? "," : "", (double)p->limit_ns / 1e6);
	if (len == 0)
		snprintf(out, QB_NETEM_VALUE_LEN, "0");
}

/* clang-format off */
#define FIELD(f) offsetof(struct qb_netem_params, f)
const struct qb_netem_key qb_netem_keys[] = {
	{"rate", "BITS/S", "serialisation rate, like 300M; 0: infinite", parse_rate, format_u64, FIELD(rate_bps)},
	{"limit", "LIMIT", "queue before the rate: 100p, 64kB, 50ms, or several with commas; 0: none",
	 parse_limit, format_limit, 0},
	{"mark", "TIME", "ECN-capable packets that waited longer in the queue are marked (bridge); 0: never", parse_time,
	 format_time, FIELD(mark_ns)},
	{"overhead", "BYTES", "counted with each packet by rate and policer; may be negative", parse_i32, format_i32,
	 FIELD(overhead_bytes)},
	{"delay", "TIME", "propagation delay", parse_time, format_time, FIELD(delay_ns)},
	{"jitter", "TIME", "its variation: half the width, or the standard deviation", parse_time, format_time,
	 FIELD(jitter_ns)},
	{"dist", "NAME", "of the jitter: uniform or normal", parse_dist, format_dist, FIELD(dist)},
	{"jitter-reorder", "0|1", "jitter may change the order", parse_flag, format_flag, FIELD(is_jitter_reorder)},
	{"loss", "PERCENT", "random loss", parse_pct, format_pct, FIELD(loss)},
	{"burst", "P,R", "burst loss (Gilbert-Elliott): percent a packet from good to bad, and back", parse_burst,
	 NULL, 0},
	{"burst-p", "PERCENT", "from good to bad; 0: no bursts", parse_pct, format_pct, FIELD(ge_p)},
	{"burst-r", "PERCENT", "from bad to good", parse_pct, format_pct, FIELD(ge_r)},
	{"burst-loss", "PERCENT", "loss in the bad state (100)", parse_pct, format_pct, FIELD(ge_bad)},
	{"burst-good", "PERCENT", "loss in the good state (0)", parse_pct, format_pct, FIELD(ge_good)},
	{"reorder", "PERCENT", "packets held back, so that others overtake", parse_pct, format_pct, FIELD(reorder)},
	{"reorder-gap", "N", "only every N-th packet may be held back", parse_u32, format_i32, FIELD(reorder_gap)},
	{"reorder-delay", "TIME", "how long they are held back (10ms)", parse_time, format_time,
	 FIELD(reorder_delay_ns)},
	{"dup", "PERCENT", "packets that arrive twice", parse_pct, format_pct, FIELD(dup)},
	{"dup-delay", "TIME", "how much later the copy arrives", parse_time, format_time, FIELD(dup_delay_ns)},
	{"corrupt", "PERCENT", "packets with a bit of the payload flipped", parse_pct, format_pct, FIELD(corrupt)},
	{"corrupt-from", "BYTES", "the payload's first bytes that no bit is flipped in", parse_u32, format_i32,
	 FIELD(corrupt_from)},
	{"streak", "N", "at most so many in a row are lost by loss, or damaged; 0: any number", parse_u32, format_i32,
	 FIELD(streak)},
	{"police", "BITS/S", "policer: drops what is above; 0: off", parse_rate, format_u64, FIELD(police_bps)},
	{"police-burst", "BYTES", "its bucket (10 ms of its rate, at least 10kB)", parse_size, format_u64,
	 FIELD(police_burst_bytes)},
	{"mtu", "BYTES", "longer IP packets vanish; 0: any length", parse_u32, format_i32, FIELD(mtu_bytes)},
	{"down", "0|1", "blackout: everything is dropped silently", parse_flag, format_flag, FIELD(is_down)},
	{0},
};
/* clang-format on */

int qb_netem_time_parse(const char *text, uint64_t *out_ns)
{
	return parse_time(text, out_ns);
}

int qb_netem_params_set(struct qb_netem_params *p, const char *name, const char *value,
			char err[QB_NETEM_ERR_LEN])
{
	for (const struct qb_netem_key *k = qb_netem_keys; k->name; k++) {
		if (strcmp(k->name, name))
			continue;
		if (k->parse(value, (char *)p + k->offset) == 0)
			return 0;
		snprintf(err, QB_NETEM_ERR_LEN, "%s=%.40s: expected %s (%.80s)", name, value,
			 k->value, k->help);
		return -EINVAL;
	}
	snprintf(err, QB_NETEM_ERR_LEN, "unknown parameter \"%.40s\"", name);
	return -EINVAL;
}
