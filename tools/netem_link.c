/* SPDX-License-Identifier: BSD-2-Clause */
/* Two directions, their settings, their script, their state as JSON. */
#include "tools/netem_link.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const io_drop_names[QB_NETEM_IO_CNT] = {
	[QB_NETEM_IO_SOCKET] = "socket",
	[QB_NETEM_IO_SEND] = "send",
	[QB_NETEM_IO_BAD] = "bad",
};

void qb_netem_link_init(struct qb_netem_link *l, void *const mem[2], uint32_t cap, uint64_t seed,
			uint32_t l2_bytes, uint64_t now_ns)
{
	memset(l, 0, sizeof(*l));
	l->start_ns = now_ns;
	for (uint32_t i = 0; i < 2; i++) {
		qb_netem_init(&l->dir[i], mem[i], cap, 2 * seed + i);
		l->dir[i].l2_bytes = l2_bytes;
	}
}

void qb_netem_link_fini(struct qb_netem_link *l)
{
	free(l->script);
	l->script = NULL;
}

/* ---- settings ---- */

/* direction_mask takes a prefix off *word: 1 ab, 2 ba, 3 both; 0: no such direction. */
static uint32_t direction_mask(char **word)
{
	static const struct {
		const char *name;
		uint32_t mask;
	} rows[] = {{"ab", 1}, {"up", 1}, {"ba", 2}, {"down", 2}, {"both", 3}};
	char *dot = strchr(*word, '.');
	char *eq = strchr(*word, '=');

	if (!dot || dot > eq)
		return 3;
	for (size_t i = 0; i < QB_ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i].name);

		if (len == (size_t)(dot - *word) && memcmp(*word, rows[i].name, len) == 0) {
			*word = dot + 1;
			return rows[i].mask;
		}
	}
	return 0;
}

static int set_word(struct qb_netem_params p[2], char *word, char err[QB_NETEM_ERR_LEN])
{
	char *eq = strchr(word, '=');
	char *name = word;
	uint32_t mask;

	if (!eq) {
		snprintf(err, QB_NETEM_ERR_LEN, "\"%.60s\" is not [DIRECTION.]PARAMETER=VALUE",
			 word);
		return -EINVAL;
	}
	mask = direction_mask(&name);
	if (mask == 0) {
		snprintf(err, QB_NETEM_ERR_LEN,
			 "\"%.60s\": a direction is ab (up), ba (down) or both", word);
		return -EINVAL;
	}
	*eq = '\0';
	for (uint32_t i = 0; i < 2; i++)
		if ((mask >> i & 1) && qb_netem_params_set(&p[i], name, eq + 1, err))
			return -EINVAL;
	return 0;
}

static int parse_words(struct qb_netem_params p[2], const char *text, char err[QB_NETEM_ERR_LEN])
{
	char *copy = strdup(text), *save = NULL;
	int ret = 0;

	if (!copy) {
		snprintf(err, QB_NETEM_ERR_LEN, "out of memory");
		return -EINVAL;
	}
	for (char *w = strtok_r(copy, " \t\r\n", &save); w && !ret;
	     w = strtok_r(NULL, " \t\r\n", &save))
		ret = set_word(p, w, err);
	free(copy);
	return ret;
}

int qb_netem_link_set(struct qb_netem_link *l, const char *text, uint64_t now_ns,
		      char err[QB_NETEM_ERR_LEN])
{
	struct qb_netem_params p[2] = {l->dir[0].params, l->dir[1].params};

	if (parse_words(p, text, err))
		return -EINVAL;
	for (uint32_t i = 0; i < 2; i++)
		qb_netem_configure(&l->dir[i], &p[i], now_ns);
	return 0;
}

/* ---- script ---- */

static int parse_step(struct qb_netem_link *l, char *text, char err[QB_NETEM_ERR_LEN])
{
	struct qb_netem_params scratch[2] = {l->dir[0].params, l->dir[1].params};
	struct qb_netem_step *step = &l->steps[l->step_cnt];
	char *space;

	text += strspn(text, " \t\r\n");
	if (*text == '\0')
		return 0;
	if (l->step_cnt == QB_NETEM_STEPS_MAX) {
		snprintf(err, QB_NETEM_ERR_LEN, "the script has more than %d steps",
			 QB_NETEM_STEPS_MAX);
		return -EINVAL;
	}
	space = text + strcspn(text, " \t\r\n");
	step->text = *space ? space + 1 : space;
	*space = '\0';
	if (qb_netem_time_parse(text, &step->at_ns)) {
		snprintf(err, QB_NETEM_ERR_LEN,
			 "script: \"%.40s\" is not a time with its unit, like 10s", text);
		return -EINVAL;
	}
	if (l->step_cnt > 0 && step->at_ns < step[-1].at_ns) {
		snprintf(err, QB_NETEM_ERR_LEN, "script: %.40s is before the step in front of it",
			 text);
		return -EINVAL;
	}
	l->step_cnt++;
	return parse_words(scratch, step->text, err);
}

int qb_netem_link_script(struct qb_netem_link *l, const char *text, char err[QB_NETEM_ERR_LEN])
{
	char *save = NULL;

	free(l->script);
	l->step_cnt = l->step_idx = 0;
	l->script = strdup(text);
	if (!l->script) {
		snprintf(err, QB_NETEM_ERR_LEN, "out of memory");
		return -EINVAL;
	}
	for (char *s = strtok_r(l->script, ";", &save); s; s = strtok_r(NULL, ";", &save))
		if (parse_step(l, s, err))
			return -EINVAL;
	return 0;
}

void qb_netem_link_run(struct qb_netem_link *l, uint64_t now_ns)
{
	char err[QB_NETEM_ERR_LEN];

	while (l->step_idx < l->step_cnt && l->start_ns + l->steps[l->step_idx].at_ns <= now_ns) {
		/* Every step was checked when the script was read. */
		QB_BUG_ON(qb_netem_link_set(l, l->steps[l->step_idx].text, now_ns, err));
		l->step_idx++;
	}
}

uint64_t qb_netem_link_deadline_ns(const struct qb_netem_link *l)
{
	uint64_t at_ns =
		qb_min_u64(qb_netem_deadline_ns(&l->dir[0]), qb_netem_deadline_ns(&l->dir[1]));

	if (l->step_idx < l->step_cnt)
		at_ns = qb_min_u64(at_ns, l->start_ns + l->steps[l->step_idx].at_ns);
	return at_ns;
}

/* ---- JSON ---- */

struct text {
	char *out;
	size_t len, room;
};

static void QB_PRINTF(2, 3) add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->out + t->len, t->room - t->len, fmt, ap);
	va_end(ap);
	QB_BUG_ON(n < 0 || (size_t)n >= t->room - t->len);
	t->len += (size_t)n;
}

static void add_u64(struct text *t, const char *name, uint64_t v)
{
	add(t, "\"%s\":%llu,", name, (unsigned long long)v);
}

/* end_object puts the closing brace over the last comma. */
static void end_object(struct text *t)
{
	t->out[t->len - 1] = '}';
}

static void add_drops(struct text *t, const struct qb_netem_link *l, uint32_t d)
{
	const struct qb_netem_stats *s = &l->dir[d].stats;
	uint64_t total = 0;

	add(t, "\"drops\":{");
	for (uint32_t i = 1; i < QB_NETEM_DROP_CNT; i++) {
		add_u64(t, qb_netem_drop_names[i], s->drops[i]);
		total += s->drops[i];
	}
	for (uint32_t i = 0; i < QB_NETEM_IO_CNT; i++) {
		add_u64(t, io_drop_names[i], l->io_drops[d][i]);
		total += l->io_drops[d][i];
	}
	add_u64(t, "total", total);
	end_object(t);
}

static void add_params(struct text *t, const struct qb_netem_params *p)
{
	char value[QB_NETEM_VALUE_LEN];

	add(t, ",\"params\":{");
	for (const struct qb_netem_key *k = qb_netem_keys; k->name; k++) {
		if (!k->format)
			continue;
		k->format((const char *)p + k->offset, value);
		add(t, "\"%s\":\"%s\",", k->name, value);
	}
	end_object(t);
}

static void add_direction(struct text *t, const struct qb_netem_link *l, uint32_t d)
{
	const struct qb_netem *e = &l->dir[d];
	const struct qb_netem_stats *s = &e->stats;

	add(t, "{");
	add_u64(t, "packets_in", s->in_pkts);
	add_u64(t, "bytes_in", s->in_bytes);
	add_u64(t, "packets_out", s->out_pkts);
	add_u64(t, "bytes_out", s->out_bytes);
	add_u64(t, "duplicated", s->dup_pkts);
	add_u64(t, "corrupted", s->corrupt_pkts);
	add_u64(t, "reordered", s->reorder_pkts);
	add_u64(t, "late", s->late_pkts);
	add_u64(t, "queue_packets", e->queue_pkts);
	add_u64(t, "queue_bytes", e->queue_bytes);
	add_u64(t, "queue_us", qb_netem_queue_ns(e) / QB_NS_PER_US);
	add_u64(t, "queue_max_packets", s->queue_max_pkts);
	add_u64(t, "queue_max_bytes", s->queue_max_bytes);
	add_u64(t, "held_packets", qb_netem_held_cnt(e));
	add_drops(t, l, d);
	add_params(t, &e->params);
	add(t, "}");
}

size_t qb_netem_link_json(const struct qb_netem_link *l, uint64_t now_ns, char *out, size_t room)
{
	struct text t = {.out = out, .room = room};

	add(&t, "{\"schema\":1,\"uptime_s\":%.3f,\"ab\":", (double)(now_ns - l->start_ns) / 1e9);
	add_direction(&t, l, 0);
	add(&t, ",\"ba\":");
	add_direction(&t, l, 1);
	add(&t, "}\n");
	return t.len;
}
