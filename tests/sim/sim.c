/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulated world: two nodes, their links, and a clock that jumps from one event to the next. What the daemon's worker does
 * with sockets and the TUN device is done here with emulated links and flows.
 */
#include "sim_flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum {
	FRAMES = 32768,
	LINK_PACKETS = 65536,
	HUB_PORT = 4433,
	CONNECT_STEP_MS = 5,
};

static const uint64_t START_NS = 1000 * QB_NS_PER_SEC;

/* A UDP payload on a link. */
struct packet {
	struct qb_tuple tuple; /* as the receiver sees it */
	uint32_t len;
	uint32_t link;
	uint8_t data[QB_FRAME_BYTES];
};

struct side {
	struct qb_node *node;
	void *mem;
	size_t mem_bytes;
	struct qb_pool pool;
	struct qb_counters counters;
};

struct sim {
	struct sim_cfg cfg;
	uint64_t now_ns;
	struct qb_rand rand;
	struct qb_depot depot;
	void *frames, *bufs, *link_mem;
	struct side side[2]; /* edge, hub */
	struct qb_hub_site site;
	struct qb_netem link[SIM_LINKS_MAX][SIM_DIR_CNT];
	uint64_t bytes[SIM_LINKS_MAX][SIM_DIR_CNT];
	bool carrier[SIM_LINKS_MAX];
	struct flow flows[SIM_FLOWS_MAX];
	uint32_t flow_cnt;
	bool is_due[2]; /* a flow gave it packets to send */
	struct qb_batch inner_tx[2]; /* answers of flows, to enter a node */
	char hub_key[1024], edge_key[1024];
	struct qb_tls_ctx *tls[2];
	struct qb_tickets *tickets; /* the hub's */
};

enum { EDGE, HUB };

static void *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	QB_BUG_ON(p == MAP_FAILED);
	return p;
}

/* ---- set-up ---- */

static struct qb_addr outer_addr(const struct sim *s, bool is_hub, uint32_t link, uint16_t port)
{
	struct qb_addr a = {.family = s->cfg.is_ipv6_outside ? 6 : 4, .port = port};

	if (a.family == 4) {
		memcpy(a.ip, (uint8_t[4]){10, 0, (uint8_t)link, is_hub ? 1 : 2}, 4);
		if (is_hub)
			a.ip[1] = 99;
		if (is_hub)
			a.ip[2] = 0;
	} else {
		memcpy(a.ip, (uint8_t[16]){0xfd, [7] = (uint8_t)(is_hub ? 0 : link + 1), [15] = is_hub ? 1 : 2}, 16);
	}
	return a;
}

static void make_tls(struct sim *s)
{
	char *pems[2] = {s->edge_key, s->hub_key};
	uint8_t pub[2][1][QB_PUBKEY_LEN];
	char err[QB_TLS_ERR_LEN];

	for (int i = 0; i < 2; i++) {
		QB_BUG_ON(qb_key_generate(pems[i], sizeof(s->edge_key)));
		QB_BUG_ON(qb_key_public(pems[i], pub[i][0], err));
	}
	s->tickets = qb_tickets_new(NULL, (uint64_t)time(NULL));
	QB_BUG_ON(!s->tickets);
	for (int i = 0; i < 2; i++) {
		struct qb_tls_cfg cfg = {
			.is_server = i == HUB,
			.tickets = i == HUB ? s->tickets : NULL,
			.is_early = true,
			.key_pem = pems[i],
			.name = i == HUB ? "hub" : "edge",
			.alpn = "h3",
			.peers = (const uint8_t(*)[QB_PUBKEY_LEN])pub[!i],
			.peer_cnt = 1,
		};

		s->tls[i] = qb_tls_ctx_new(&cfg, err);
		QB_BUG_ON(!s->tls[i]);
	}
	memcpy(s->site.public_key, pub[EDGE][0], QB_PUBKEY_LEN);
}

static void make_node(struct sim *s, int i)
{
	const struct qb_cc *cc = qb_cc_find(s->cfg.congestion ? s->cfg.congestion : "auto");
	struct side *side = &s->side[i];
	struct qb_node_cfg cfg = {
		.role = i == HUB ? QB_ROLE_HUB : QB_ROLE_EDGE,
		.sched = s->cfg.scheduler ? qb_sched_find(s->cfg.scheduler) : NULL,
		.tunnels = 16,
		.quic = {
			.limits = {.conns = 16, .streams_per_conn = 16, .sent_records = 65536, .stream_chunks = 1024},
			.tls = s->tls[i],
			.cc = cc,
			.idle_timeout_ns = (s->cfg.hold_s ? s->cfg.hold_s : 30) * QB_NS_PER_SEC,
			.handshake_timeout_ns = 10 * QB_NS_PER_SEC,
			.keepalive_ns = i == HUB ? 0 : 2 * QB_NS_PER_SEC,
			.max_path_id = s->cfg.is_single_path && i == EDGE ? UINT32_MAX : 16,
			.retry_half_open = 64,
			.is_early = true,
			.early_context = "sim",
			.max_udp_bytes = 1472,
			.counters = &side->counters,
			.pool = &side->pool,
		},
	};

	QB_BUG_ON(!cc);
	QB_BUG_ON(qb_node_secret_derive(i == HUB ? s->hub_key : s->edge_key, "reset", &cfg.quic.reset_secret));
	QB_BUG_ON(qb_node_secret_derive(i == HUB ? s->hub_key : s->edge_key, "token", &cfg.quic.token_secret));
	for (unsigned int k = 0; k < sizeof(cfg.quic.seed); k++)
		cfg.quic.seed[k] = (uint8_t)qb_rand_u64(&s->rand);
	side->mem_bytes = qb_node_footprint(&cfg);
	side->mem = map(side->mem_bytes);
	side->node = qb_node_init(side->mem, &cfg, s->now_ns);
}

static void drop_node(struct sim *s, int i)
{
	qb_node_fini(s->side[i].node);
	munmap(s->side[i].mem, s->side[i].mem_bytes);
	s->side[i].node = NULL;
}

static void set_up_hub(struct sim *s)
{
	struct qb_conf_prefixes all = {.cnt = 1};

	all.p[0].family = 4;
	s->site.tunnels[0] = NULL;
	qb_hub_set_sites(s->side[HUB].node, &s->site, 1, s->now_ns);
	qb_hub_set_advertise(s->side[HUB].node, &all);
}

static void set_up_edge(struct sim *s)
{
	struct qb_edge_hub hub = {.name = "hub"};
	char err[QB_TLS_ERR_LEN];

	hub.addr = outer_addr(s, true, 0, HUB_PORT);
	QB_BUG_ON(qb_key_public(s->hub_key, hub.public_key, err));
	qb_edge_set_hubs(s->side[EDGE].node, &hub, 1, s->now_ns);
}

struct sim *sim_new(const struct sim_cfg *cfg)
{
	struct sim *s = calloc(1, sizeof(*s));

	QB_BUG_ON(!s);
	s->cfg = *cfg;
	s->now_ns = START_NS;
	qb_rand_seed(&s->rand, cfg->seed);
	s->frames = map((size_t)FRAMES * QB_FRAME_BYTES);
	s->bufs = map(FRAMES * sizeof(struct qb_buf));
	s->link_mem = map(2 * SIM_LINKS_MAX * qb_netem_footprint(LINK_PACKETS));
	qb_depot_init(&s->depot, s->frames, s->bufs, FRAMES);
	make_tls(s);
	QB_BUG_ON(qb_prefix_parse("10.64.0.2/32", &s->site.addrs[0]));
	s->site.addr_cnt = 1;
	for (int i = 0; i < 2; i++) {
		qb_pool_init(&s->side[i].pool, &s->depot);
		make_node(s, i);
	}
	for (uint32_t l = 0; l < cfg->link_cnt; l++)
		for (int d = 0; d < SIM_DIR_CNT; d++)
			qb_netem_init(&s->link[l][d],
				      (uint8_t *)s->link_mem + (2 * l + d) * qb_netem_footprint(LINK_PACKETS),
				      LINK_PACKETS, qb_rand_u64(&s->rand));
	set_up_edge(s);
	set_up_hub(s);
	for (uint32_t l = 0; l < cfg->link_cnt; l++)
		sim_link_carrier(s, l, true);
	for (int d = 0; cfg->cell && d < SIM_DIR_CNT; d++)
		qb_netem_init(&s->link[SIM_CELL][d],
			      (uint8_t *)s->link_mem +
				      (2 * SIM_CELL + d) * qb_netem_footprint(LINK_PACKETS),
			      LINK_PACKETS, qb_rand_u64(&s->rand));
	return s;
}

void sim_free(struct sim *s)
{
	for (uint32_t i = 0; i < s->flow_cnt; i++)
		flow_fini(&s->flows[i]);
	for (uint32_t l = 0; l < SIM_LINKS_MAX; l++) {
		bool is_there = l < s->cfg.link_cnt || (l == SIM_CELL && s->cfg.cell);

		for (int d = 0; is_there && d < SIM_DIR_CNT; d++) {
			struct qb_netem_params params = s->link[l][d].params;
			struct qb_netem_out out;

			params.is_down = true;
			qb_netem_configure(&s->link[l][d], &params, s->now_ns);
			while (qb_netem_dequeue(&s->link[l][d], QB_NEVER_NS - 1, &out))
				if (!out.is_copy)
					free(out.pkt);
		}
	}
	for (int i = 0; i < 2; i++) {
		drop_node(s, i);
		qb_tls_ctx_free(s->tls[i]);
	}
	qb_tickets_free(s->tickets);
	munmap(s->frames, (size_t)FRAMES * QB_FRAME_BYTES);
	munmap(s->bufs, FRAMES * sizeof(struct qb_buf));
	munmap(s->link_mem, 2 * SIM_LINKS_MAX * qb_netem_footprint(LINK_PACKETS));
	free(s);
}

/* ---- links ---- */

void sim_link_profile(struct sim *s, uint32_t link, uint64_t rate_bps, uint64_t delay_ns, uint64_t queue_ns)
{
	for (int d = 0; d < SIM_DIR_CNT; d++) {
		struct qb_netem_params p = qb_netem_params_default();

		p.rate_bps = rate_bps;
		p.delay_ns = delay_ns;
		p.limit_pkts = 0;
		p.limit_ns = queue_ns;
		p.overhead_bytes = 28;
		qb_netem_configure(&s->link[link][d], &p, s->now_ns);
	}
}

struct qb_netem *sim_link(struct sim *s, uint32_t link, enum sim_dir dir)
{
	return &s->link[link][dir];
}

void sim_link_down(struct sim *s, uint32_t link, bool is_down)
{
	for (int d = 0; d < SIM_DIR_CNT; d++) {
		struct qb_netem_params p = sim_link(s, link, d)->params;

		p.is_down = is_down;
		qb_netem_configure(sim_link(s, link, d), &p, sim_now_ns(s));
	}
}

void sim_link_carrier(struct sim *s, uint32_t link, bool is_up)
{
	struct qb_addr none = {0}, local = outer_addr(s, false, link, (uint16_t)(5000 + link));

	s->carrier[link] = is_up;
	qb_edge_set_link(s->side[EDGE].node, link, is_up, is_up && local.family == 4 ? &local : &none,
			 is_up && local.family == 6 ? &local : &none, QB_TIER_PRIMARY, s->now_ns);
}

/* put_on_link takes a UDP payload that a node sends. */
static void put_on_link(struct sim *s, int from, const struct qb_buf *b)
{
	enum sim_dir dir = from == EDGE ? SIM_UP : SIM_DOWN;
	struct packet *p = malloc(sizeof(*p));
	uint32_t link;

	QB_BUG_ON(!p || b->len > sizeof(p->data));
	memset(&p->tuple, 0, sizeof(p->tuple));
	p->tuple.local = b->tuple.peer;
	p->tuple.peer = b->tuple.local;
	link = from == EDGE ? b->tuple.link : (uint32_t)(b->tuple.peer.port - 5000);
	p->tuple.link = from == EDGE ? 0 : (uint16_t)link;
	p->tuple.ecn = b->tuple.ecn;
	p->len = b->len;
	p->link = link;
	memcpy(p->data, b->data, b->len);
	if (link >= s->cfg.link_cnt || !s->carrier[link]) {
		free(p);
		return;
	}
	s->bytes[link][dir] += p->len;
	if (qb_netem_enqueue(&s->link[link][dir], p, p->len, s->now_ns) != QB_NETEM_TAKEN)
		free(p);
}

/* ---- nodes ---- */

struct qb_tunnel *sim_tunnel(struct sim *s, bool is_hub)
{
	const struct qb_node *n = s->side[is_hub].node;

	if (!is_hub)
		return n->edge.tunnel;
	/* A test may have given the hub another table of sites. */
	for (uint32_t i = 0; i < n->hub.site_cnt; i++)
		if (!memcmp(n->hub.sites[i].public_key, s->site.public_key, QB_PUBKEY_LEN))
			return n->hub.sites[i].tunnels[0];
	return NULL;
}

static void send_inner(struct sim *s, int at, struct qb_batch *in)
{
	struct qb_node *n = s->side[at].node;

	if (in->cnt == 0)
		return;
	s->is_due[at] = true;
	qb_tx(n, sim_tunnel(s, at == HUB), in, s->now_ns);
	in->cnt = 0;
}

/* take_quic hands over what comes out for one of the ends of a transfer inside. */
static void take_quic(struct sim *s, struct flow *f, int at, const struct qb_buf *b)
{
	bool is_data = at == (f->dir == SIM_UP ? HUB : EDGE);

	inner_recv(f->inner, at == HUB, b, s->now_ns);
	if (!is_data)
		return;
	f->stats.received++;
	f->stats.bytes = inner_read_bytes(f->inner) - f->read_bytes;
	f->stats.max_gap_ns = qb_max_u64(f->stats.max_gap_ns, s->now_ns - f->last_rx_ns);
	f->last_rx_ns = s->now_ns;
}

static void take_inner(struct sim *s, int at, struct qb_batch *inner)
{
	struct side *side = &s->side[at];

	for (uint32_t i = 0; i < inner->cnt; i++) {
		struct qb_buf *b = inner->buf[i], *ack;
		uint32_t id = flow_of(b);

		if (id < s->flow_cnt && s->flows[id].inner) {
			take_quic(s, &s->flows[id], at, b);
			continue;
		}
		ack = qb_buf_get(&side->pool);
		QB_BUG_ON(!ack);
		if (qb_batch_full(&s->inner_tx[at]))
			send_inner(s, at, &s->inner_tx[at]);
		if (id < s->flow_cnt && flow_on_packet(&s->flows[id], b, ack, s->now_ns))
			qb_batch_add(&s->inner_tx[at], ack);
		else
			qb_buf_put(&side->pool, ack);
	}
	qb_batch_put(&side->pool, inner);
}

static void run_node(struct sim *s, int at, struct qb_batch *udp)
{
	struct qb_node *n = s->side[at].node;
	struct qb_batch inner = {0}, out = {0};
	bool has_more;

	while (qb_rx(n, udp, &inner, s->now_ns))
		take_inner(s, at, &inner);
	take_inner(s, at, &inner);
	while (qb_node_poll(n, &inner, s->now_ns))
		take_inner(s, at, &inner);
	take_inner(s, at, &inner);
	send_inner(s, at, &s->inner_tx[at]);
	do {
		has_more = qb_tx_flush(n, &out, s->now_ns);
		for (uint32_t i = 0; i < out.cnt; i++)
			put_on_link(s, at, out.buf[i]);
		qb_batch_put(&s->side[at].pool, &out);
	} while (has_more);
}

/* arrive hands what a link delivers by now to its node. Returns whether there was anything. */
static bool arrive(struct sim *s, uint32_t link, enum sim_dir dir)
{
	int at = dir == SIM_UP ? HUB : EDGE;
	struct qb_batch udp = {0};
	struct qb_netem_out out;

	while (!qb_batch_full(&udp) && qb_netem_dequeue(&s->link[link][dir], s->now_ns, &out)) {
		struct packet *p = out.pkt;
		struct qb_buf *b;

		if (out.is_late && p->tuple.ecn != QB_ECN_NOT)
			p->tuple.ecn = QB_ECN_CE;
		if (out.drop == QB_NETEM_TAKEN && link != SIM_CELL && (s->cfg.cell >> link & 1)) {
			if (qb_netem_enqueue(&s->link[SIM_CELL][dir], p, p->len, s->now_ns) !=
			    QB_NETEM_TAKEN)
				free(p);
			continue;
		}
		if (out.drop == QB_NETEM_TAKEN && s->carrier[p->link] &&
		    (b = qb_buf_get(&s->side[at].pool))) {
			memcpy(b->data, p->data, p->len);
			b->len = p->len;
			b->tuple = p->tuple;
			b->rx_ns = s->now_ns;
			if (out.is_corrupt)
				b->data[out.corrupt_rand / 8 % p->len] ^= (uint8_t)(1u << (out.corrupt_rand % 8));
			qb_batch_add(&udp, b);
		}
		if (!out.is_copy)
			free(p);
	}
	if (udp.cnt == 0)
		return false;
	run_node(s, at, &udp);
	return true;
}

/* ---- time ---- */

static uint64_t next_event_ns(const struct sim *s)
{
	uint64_t at = qb_min_u64(qb_node_deadline_ns(s->side[EDGE].node), qb_node_deadline_ns(s->side[HUB].node));

	for (uint32_t l = 0; l < s->cfg.link_cnt; l++)
		for (int d = 0; d < SIM_DIR_CNT; d++)
			at = qb_min_u64(at, qb_netem_deadline_ns(&s->link[l][d]));
	for (int d = 0; s->cfg.cell && d < SIM_DIR_CNT; d++)
		at = qb_min_u64(at, qb_netem_deadline_ns(&s->link[SIM_CELL][d]));
	for (uint32_t i = 0; i < s->flow_cnt; i++)
		at = qb_min_u64(at, flow_next_ns(&s->flows[i]));
	return at;
}

static void run_quic(struct sim *s, struct flow *f)
{
	for (int at = 0; at < 2; at++) {
		bool has_more;

		do {
			struct qb_batch in = {0};

			has_more = inner_send(f->inner, at == HUB, &s->side[at].pool, &in, s->now_ns);
			send_inner(s, at, &in);
		} while (has_more);
	}
}

/* run_flows lets every flow that is due send, a batch at a time. */
static void run_flows(struct sim *s)
{
	for (uint32_t i = 0; i < s->flow_cnt; i++) {
		struct flow *f = &s->flows[i];
		int at = f->dir == SIM_UP ? EDGE : HUB;
		struct qb_batch in = {0};

		if (f->inner) {
			run_quic(s, f);
			continue;
		}
		while (!qb_batch_full(&in) && flow_next_ns(f) <= s->now_ns) {
			struct qb_buf *b = qb_buf_get(&s->side[at].pool);

			QB_BUG_ON(!b);
			flow_build(f, b, s->now_ns);
			qb_batch_add(&in, b);
		}
		send_inner(s, at, &in);
	}
}

static void step(struct sim *s)
{
	struct qb_batch none = {0};
	bool is_busy;

	run_flows(s);
	do {
		is_busy = false;
		for (uint32_t l = 0; l < s->cfg.link_cnt; l++)
			for (int d = 0; d < SIM_DIR_CNT; d++)
				is_busy |= arrive(s, l, d);
		for (int d = 0; s->cfg.cell && d < SIM_DIR_CNT; d++)
			is_busy |= arrive(s, SIM_CELL, d);
	} while (is_busy);
	for (int i = 0; i < 2; i++)
		if (s->is_due[i] || qb_node_deadline_ns(s->side[i].node) <= s->now_ns) {
			s->is_due[i] = false;
			run_node(s, i, &none);
		}
}

void sim_run(struct sim *s, uint64_t span_ns)
{
	uint64_t end_ns = s->now_ns + span_ns;

	for (;;) {
		uint64_t at = next_event_ns(s);

		if (s->cfg.tick_ns && at < end_ns)
			at += (s->cfg.tick_ns - at % s->cfg.tick_ns) % s->cfg.tick_ns;
		if (at >= end_ns)
			break;
		/* Time passes at least a little: nobody can demand to be run for ever at one instant. */
		s->now_ns = qb_max_u64(at, s->now_ns + 1);
		step(s);
	}
	s->now_ns = end_ns;
}

bool sim_connect(struct sim *s, uint64_t limit_ns)
{
	uint64_t end_ns = s->now_ns + limit_ns;

	while (s->now_ns < end_ns) {
		const struct qb_tunnel *edge, *hub;
		uint32_t up = 0;

		sim_run(s, CONNECT_STEP_MS * QB_NS_PER_MS);
		edge = sim_tunnel(s, false);
		hub = sim_tunnel(s, true);
		if (!edge || !edge->is_open || !hub)
			continue;
		/* A round trip later both know that they may number packets. */
		if (!edge->bond_tx_context || !hub->bond_tx_context)
			continue;
		/* The flows' packets have one size: they begin when path MTU discovery has found room for it. */
		if (edge->mtu_bytes < SIM_MTU || hub->mtu_bytes < SIM_MTU)
			continue;
		for (uint32_t l = 0; l < s->cfg.link_cnt; l++)
			up += sim_link_state(s, false, l) == QB_LINK_ACTIVE && sim_link_state(s, true, l) == QB_LINK_ACTIVE;
		if (up == (s->cfg.is_single_path ? 1 : s->cfg.link_cnt))
			return true;
	}
	return false;
}

void sim_hub_restart(struct sim *s)
{
	drop_node(s, HUB);
	make_node(s, HUB);
	set_up_hub(s);
}

void sim_edge_restart(struct sim *s)
{
	struct qb_edge_tickets tickets = s->side[EDGE].node->edge.tickets;
	uint8_t tokens[QB_TOKENS_BYTES];
	size_t len = qb_quic_tokens(s->side[EDGE].node->quic, tokens);

	drop_node(s, EDGE);
	make_node(s, EDGE);
	set_up_edge(s);
	qb_edge_set_tickets(s->side[EDGE].node, &tickets);
	QB_BUG_ON(qb_quic_set_tokens(s->side[EDGE].node->quic, tokens, len));
	for (uint32_t l = 0; l < s->cfg.link_cnt; l++)
		sim_link_carrier(s, l, s->carrier[l]);
}

/* ---- what tests look at ---- */

uint64_t sim_now_ns(const struct sim *s)
{
	return s->now_ns;
}

struct qb_node *sim_edge(struct sim *s)
{
	return s->side[EDGE].node;
}

struct qb_node *sim_hub(struct sim *s)
{
	return s->side[HUB].node;
}

const struct qb_counters *sim_counters(const struct sim *s, bool is_hub)
{
	return &s->side[is_hub].counters;
}

uint64_t sim_bytes(const struct sim *s, uint32_t link, enum sim_dir dir)
{
	return s->bytes[link][dir];
}

enum qb_link_state sim_link_state(struct sim *s, bool is_hub, uint32_t link)
{
	struct qb_tunnel *t = sim_tunnel(s, is_hub);

	for (uint8_t i = 0; t && i < QB_PATHS_MAX; i++) {
		struct qb_bond_link_info info;
		struct qb_path_info path;

		if (!t->paths[i].is_used || !qb_conn_path_info(t->conn, i, s->now_ns, &path))
			continue;
		if ((is_hub ? (uint32_t)path.tuple.peer.port - 5000 : path.tuple.link) != link)
			continue;
		qb_bond_link_info(t->bond, i, s->now_ns, &info);
		return info.state;
	}
	return QB_LINK_ABSENT;
}

/* ---- flows ---- */

static uint32_t add_flow(struct sim *s, enum flow_kind kind, enum sim_dir dir)
{
	QB_BUG_ON(s->flow_cnt == SIM_FLOWS_MAX);
	flow_init(&s->flows[s->flow_cnt], s->flow_cnt, kind, dir, s->now_ns);
	return s->flow_cnt++;
}

uint32_t sim_udp_flow(struct sim *s, enum sim_dir dir, double pps, uint32_t bytes)
{
	uint32_t id = add_flow(s, FLOW_UDP, dir);

	s->flows[id].interval_ns = (uint64_t)(1e9 / pps);
	s->flows[id].bytes = QB_MAX(bytes, 64u);
	return id;
}

uint32_t sim_tcp_flow(struct sim *s, enum sim_dir dir)
{
	return add_flow(s, FLOW_TCP, dir);
}

uint32_t sim_quic_flow(struct sim *s, enum sim_dir dir)
{
	return add_flow(s, FLOW_QUIC, dir);
}

uint32_t sim_inner_flow(struct sim *s, enum sim_dir dir, const char *congestion)
{
	uint32_t id = add_flow(s, FLOW_INNER, dir);
	struct inner_cfg cfg = {
		.seed = s->cfg.seed * 65537 + id,
		.id = id,
		.dir = dir,
		.cc = congestion,
		.tls = {s->tls[EDGE], s->tls[HUB]},
		.depot = &s->depot,
	};

	s->flows[id].inner = inner_new(&cfg, s->now_ns);
	return id;
}

void sim_flow_ecn(struct sim *s, uint32_t flow, enum qb_ecn ecn)
{
	s->flows[flow].ecn = ecn;
}

void sim_flow_stop(struct sim *s, uint32_t flow)
{
	s->flows[flow].is_stopped = true;
}

void sim_flow_reset(struct sim *s, uint32_t flow)
{
	struct flow *f = &s->flows[flow];

	memset(&f->stats, 0, sizeof(f->stats));
	f->from_seq = f->next_seq;
	f->delay_cnt = 0;
	f->last_rx_ns = s->now_ns;
	if (f->inner)
		f->read_bytes = inner_read_bytes(f->inner);
}

static int cmp_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void sim_flow_stats(struct sim *s, uint32_t flow, struct sim_flow_stats *out)
{
	struct flow *f = &s->flows[flow];
	struct qb_path_info path;

	*out = f->stats;
	out->cwnd = f->cwnd;
	out->srtt_ns = f->srtt_ns;
	out->max_gap_ns = qb_max_u64(out->max_gap_ns, s->now_ns - f->last_rx_ns);
	if (f->inner && inner_path(f->inner, s->now_ns, &path)) {
		out->cwnd = (double)path.cwnd_bytes / path.mtu_bytes;
		out->srtt_ns = path.srtt_ns;
		out->cuts = path.lost_packets;
		out->phase = path.cc_phase;
	}
	if (f->delay_cnt == 0)
		return;
	qsort(f->delay_us, f->delay_cnt, sizeof(f->delay_us[0]), cmp_u32);
	out->delay_p50_ns = (uint64_t)f->delay_us[f->delay_cnt / 2] * 1000;
	out->delay_p95_ns = (uint64_t)f->delay_us[(uint64_t)f->delay_cnt * 95 / 100] * 1000;
	out->delay_p99_ns = (uint64_t)f->delay_us[(uint64_t)f->delay_cnt * 99 / 100] * 1000;
	out->delay_max_ns = (uint64_t)f->delay_us[f->delay_cnt - 1] * 1000;
}
