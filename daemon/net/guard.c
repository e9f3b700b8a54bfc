/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guard's maps and what drives them: rates, the block list, counters, and whether an attack is
 * under way. One object for a daemon; the XDP programs of all interfaces and the filter on sockets
 * share its maps. Main thread, but for qb_guard_attach, which a worker's port calls while it is
 * opened.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bpf/qb_bpf.h"
#include "bpf/guard.skel.h"
#include "net/guard.h"
#include "net/xif.h"

enum {
	/* A /24 behind which many sites sit comes up at once within a few seconds; so does a hub
	   with many sites. */
	SOURCE_PER_S = 32,
	/*
	 * Strangers in all. What answers them goes to addresses that may be forged: on a network
	 * without a router each of them is a neighbour that the kernel looks for, for three
	 * seconds, and its table holds 1024, of all interfaces together.
	 */
	STRANGERS_PER_S = 200,
	TOKENS_PER_S = 1000, /* for each worker: those who bring a token */
	TOKENS_BURST = 1000,
	STRAYS_PER_S = 1000, /* in all: stateless resets of peers that lost their state */
	STRAYS_BURST = 1000,
	ATTACK_PER_S = 100, /* first flights refused */
	ATTACK_HOLD_S = 10,
	CPUS_MAX = 1024,
};

struct qb_guard {
	struct guard *skel;
	uint64_t polled_ns, refused[2], attack_until_ns; /* refused: by source, by total */
	struct qb_guard_attack attack;
};

/* clang-format off */
static const char *const counter_names[QB_GUARD_REASON_CNT] = {
#define NAME(id, name, text) [QB_GUARD_##id] = name,
	QB_GUARD_REASONS(NAME)
#undef NAME
};
/* clang-format on */

static struct qb_bpf_rate make_rate(uint64_t per_s, uint64_t burst)
{
	uint64_t gap_ns = QB_NS_PER_SEC / per_s;

	return (struct qb_bpf_rate){.gap_ns = gap_ns, .burst_ns = (burst - 1) * gap_ns};
}

static int write_conf(struct qb_guard *g, const struct qb_bpf_guard_conf *c)
{
	uint32_t zero = 0;

	return bpf_map__update_elem(g->skel->maps.guard_conf, &zero, sizeof(zero), c, sizeof(*c),
				    BPF_ANY);
}

static int read_conf(const struct qb_guard *g, struct qb_bpf_guard_conf *c)
{
	uint32_t zero = 0;

	return bpf_map__lookup_elem(g->skel->maps.guard_conf, &zero, sizeof(zero), c, sizeof(*c),
				    0);
}

static void set_limits(struct qb_bpf_guard_conf *c, const struct qb_guard_limits *l)
{
	uint32_t source = l->source ? l->source : SOURCE_PER_S;
	uint32_t strangers = l->strangers ? l->strangers : STRANGERS_PER_S;

	c->source = make_rate(source, 2 * (uint64_t)source);
	c->total[QB_GUARD_TOTAL_STRANGERS] = make_rate(strangers, 2 * (uint64_t)strangers);
}

int qb_guard_limit(struct qb_guard *g, const struct qb_guard_limits *l)
{
	struct qb_bpf_guard_conf c;
	int rc = read_conf(g, &c);

	if (rc)
		return rc;
	set_limits(&c, l);
	return write_conf(g, &c);
}

int qb_guard_open(uint16_t worker_cnt, struct qb_guard **out)
{
	static const struct qb_guard_limits usual = {0};
	struct qb_bpf_guard_conf conf = {
		.total = {[QB_GUARD_TOTAL_TOKENS] = make_rate((uint64_t)TOKENS_PER_S * QB_MAX(worker_cnt, 1), TOKENS_BURST),
			  [QB_GUARD_TOTAL_STRAYS] = make_rate(STRAYS_PER_S, STRAYS_BURST)},
	};
	struct qb_guard *g = calloc(1, sizeof(*g));
	int rc = -ENOMEM;

	*out = NULL;
	if (g == NULL)
		return rc;
	set_limits(&conf, &usual);
	qb_bpf_prepare();
	g->skel = guard__open();
	if (g->skel == NULL) {
		rc = -errno;
		goto fail;
	}
	g->skel->rodata->worker_cnt = worker_cnt;
	rc = bpf_map__set_max_entries(g->skel->maps.guard_sources, QB_GUARD_SOURCES_MAX);
	if (rc == 0)
		rc = bpf_map__set_max_entries(g->skel->maps.guard_known, QB_GUARD_KNOWN_MAX);
	if (rc == 0)
		rc = guard__load(g->skel);
	if (rc == 0)
		rc = write_conf(g, &conf);
	if (rc)
		goto fail;
	*out = g;
	return 0;
fail:
	qb_guard_close(g);
	return rc;
}

void qb_guard_close(struct qb_guard *g)
{
	if (g)
		guard__destroy(g->skel);
	free(g);
}

int qb_guard_share(const struct qb_guard *g, const struct qb_guard_maps *m)
{
	const struct guard *s = g->skel;
	int rc = bpf_map__reuse_fd(m->conf, bpf_map__fd(s->maps.guard_conf));

	if (rc == 0)
		rc = bpf_map__reuse_fd(m->state, bpf_map__fd(s->maps.guard_state));
	if (rc == 0)
		rc = bpf_map__reuse_fd(m->sources, bpf_map__fd(s->maps.guard_sources));
	if (rc == 0)
		rc = bpf_map__reuse_fd(m->known, bpf_map__fd(s->maps.guard_known));
	if (rc == 0)
		rc = bpf_map__reuse_fd(m->blocks, bpf_map__fd(s->maps.guard_blocks));
	if (rc == 0)
		rc = bpf_map__reuse_fd(m->counters, bpf_map__fd(s->maps.guard_counters));
	return rc;
}

void qb_guard_fds(const struct qb_guard *g, int out[6])
{
	const struct guard *s = g->skel;
	struct bpf_map *const maps[] = {s->maps.guard_conf,    s->maps.guard_state,
					s->maps.guard_sources, s->maps.guard_known,
					s->maps.guard_blocks,  s->maps.guard_counters};

	for (size_t k = 0; k < QB_ARRAY_LEN(maps); k++)
		out[k] = bpf_map__fd(maps[k]);
}

int qb_guard_attach(const struct qb_guard *g, int fd)
{
	int prog = bpf_program__fd(g->skel->progs.qb_guard_filter);

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)) ? -errno : 0;
}

void qb_guard_know(const struct qb_guard *g, const struct qb_addr *peer)
{
	struct qb_bpf_source key = {.family = peer->family};
	uint8_t one = 1;

	memcpy(key.ip, peer->ip,
	       peer->family == 6 ? QB_GUARD_PREFIX6_BYTES : QB_GUARD_PREFIX4_BYTES);
	(void)bpf_map__update_elem(g->skel->maps.guard_known, &key, sizeof(key), &one, sizeof(one),
				   BPF_ANY);
}

/* ---- the block list ---- */

static struct qb_bpf_block block_key(const struct qb_prefix *p)
{
	struct qb_bpf_block key = {.prefix_bits = 32u + p->len, .family = p->family};

	memcpy(key.ip, p->ip, sizeof(key.ip));
	return key;
}

static int add_to_count(struct qb_guard *g, uint32_t delta)
{
	struct qb_bpf_guard_conf c;
	int rc = read_conf(g, &c);

	if (rc)
		return rc;
	c.block_cnt += delta;
	return write_conf(g, &c);
}

int qb_guard_block(struct qb_guard *g, const struct qb_prefix *p)
{
	struct qb_bpf_block key = block_key(p);
	uint8_t one = 1;
	int rc = bpf_map__update_elem(g->skel->maps.guard_blocks, &key, sizeof(key), &one,
				      sizeof(one), BPF_NOEXIST);

	return rc ? rc : add_to_count(g, 1);
}

int qb_guard_unblock(struct qb_guard *g, const struct qb_prefix *p)
{
	struct qb_bpf_block key = block_key(p);
	int rc = bpf_map__delete_elem(g->skel->maps.guard_blocks, &key, sizeof(key), 0);

	return rc ? rc : add_to_count(g, UINT32_MAX);
}

uint32_t qb_guard_blocks(const struct qb_guard *g, struct qb_prefix *out, uint32_t cap)
{
	struct bpf_map *map = g->skel->maps.guard_blocks;
	struct qb_bpf_block key;
	uint32_t cnt = 0;
	int rc = bpf_map__get_next_key(map, NULL, &key, sizeof(key));

	for (; rc == 0 && cnt < cap; rc = bpf_map__get_next_key(map, &key, &key, sizeof(key))) {
		out[cnt] = (struct qb_prefix){.family = (uint8_t)key.family,
					      .len = (uint8_t)(key.prefix_bits - 32)};
		memcpy(out[cnt++].ip, key.ip, sizeof(key.ip));
	}
	return cnt;
}

/* ---- counters ---- */

uint64_t qb_bpf_read_counter(const struct bpf_map *map, uint32_t idx)
{
	uint64_t per_cpu[CPUS_MAX] = {0}, sum = 0;
	int cpu_cnt = libbpf_num_possible_cpus();

	if (cpu_cnt <= 0 || cpu_cnt > CPUS_MAX ||
	    bpf_map__lookup_elem(map, &idx, sizeof(idx), per_cpu,
				 (size_t)cpu_cnt * sizeof(*per_cpu), 0))
		return 0;
	for (int cpu = 0; cpu < cpu_cnt; cpu++)
		sum += per_cpu[cpu];
	return sum;
}

const char *qb_guard_counter(const struct qb_guard *g, uint32_t idx, uint64_t *value)
{
	*value = 0;
	if (idx >= QB_GUARD_REASON_CNT)
		return NULL;
	*value = qb_bpf_read_counter(g->skel->maps.guard_counters, idx);
	return counter_names[idx];
}

/* count_refused sets how many a second were refused since the last look, by source and by total. */
static void count_refused(struct qb_guard *g, uint64_t age_ns, uint64_t per_s[2])
{
	static const uint32_t reasons[2] = {QB_GUARD_SOURCE_LIMIT, QB_GUARD_TOTAL_LIMIT};
	uint64_t now;

	for (int i = 0; i < 2; i++) {
		(void)qb_guard_counter(g, reasons[i], &now);
		per_s[i] = g->polled_ns ? (now - g->refused[i]) / (age_ns / QB_NS_PER_SEC) : 0;
		g->refused[i] = now;
	}
}

const struct qb_guard_attack *qb_guard_poll(struct qb_guard *g, uint64_t now_ns)
{
	uint64_t age_ns = now_ns - g->polled_ns, per_s[2];
	struct qb_guard_attack *a = &g->attack;

	if (age_ns >= QB_NS_PER_SEC) {
		count_refused(g, age_ns, per_s);
		g->polled_ns = now_ns;
		if (per_s[0] + per_s[1] > ATTACK_PER_S) {
			g->attack_until_ns = now_ns + ATTACK_HOLD_S * QB_NS_PER_SEC;
			if (!a->is_on)
				*a = (struct qb_guard_attack){
					.is_on = true, .cnt = a->cnt + 1, .begin_ns = now_ns, .end_ns = a->end_ns};
			a->source_ps = QB_MAX(a->source_ps, per_s[0]);
			a->total_ps = QB_MAX(a->total_ps, per_s[1]);
		}
	}
	if (a->is_on && now_ns >= g->attack_until_ns) {
		a->is_on = false;
		a->end_ns = now_ns;
	}
	return a;
}

const struct qb_guard_attack *qb_guard_attack(const struct qb_guard *g)
{
	return &g->attack;
}
