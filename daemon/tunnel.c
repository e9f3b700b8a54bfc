/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tunnel introduces QUIC, HTTP/3 and the bond to each other: paths become views and observations, link states become
 * QUIC path actions, timers become one deadline. On a node's thread.
 */
#include "node.h"
#include "inner.h"
#include "os/os.h"

#include <errno.h>
#include <stdio.h>

#define OWD_UNKNOWN INT64_MAX

enum {
	OBSERVE_IDLE_MS = 100, /* link states are looked at this often when nothing urges */
	OBSERVE_REST_MS = 10 * 1000, /* ... and at a hub where nothing goes on at all */
	TICK_MS = 1000,
	OWD_STALE_S = 15, /* clocks drift apart */
	FLAPS_HELD_MIN = 2, /* from so many on a proof takes longer (bond/state.c) */
	LOAD_WEIGHT = 16,   /* of what is known, to one look */
	LOAD_PKTS = 8,	    /* queued: more than what just passes */
	SHARER_DIV = 10, /* a path that carries less than so much of another one's rate is no rival */
};

static const struct qb_cc *link_cc(const struct qb_node *n, uint16_t link)
{
	if (n->role == QB_ROLE_EDGE && link < QB_NODE_LINKS_MAX && n->edge.links[link].cc)
		return n->edge.links[link].cc;
	return n->cfg.quic.cc;
}

void qb_tunnel_apply_cc(struct qb_tunnel *t, uint64_t now_ns)
{
	for (uint8_t i = 0; i < QB_PATHS_MAX; i++)
		if (t->paths[i].is_used)
			qb_conn_set_path_cc(t->conn, i, link_cc(t->node, t->paths[i].link), now_ns);
}

/*
 * qb_tunnel_known_key says whose capacity a path has: the link's in its network at an edge, the site's address at a hub. Where an edge's
 * workers have a connection each, each knows its own share.
 */
uint64_t qb_tunnel_known_key(const struct qb_tunnel *t, const struct qb_tuple *tuple)
{
	const struct qb_node *n = t->node;
	struct qb_conn_info info;
	uint64_t network;

	qb_conn_get_info(t->conn, &info);
	if (n->role == QB_ROLE_HUB)
		return qb_known_key(0, &tuple->peer, info.peer_key);
	network = tuple->link < QB_NODE_LINKS_MAX ? n->edge.links[tuple->link].network : 0;
	return qb_known_key(network + n->cfg.quic.worker, &tuple->local, info.peer_key);
}

void qb_tunnel_path_resume(struct qb_tunnel *t, uint8_t path, uint64_t now_ns)
{
	struct qb_path_info info;
	struct qb_known known;

	if (qb_conn_path_info(t->conn, path, now_ns, &info) &&
	    qb_known_get(&t->node->known, qb_tunnel_known_key(t, &info.tuple), now_ns, &known))
		qb_conn_resume_path(t->conn, path, &known);
}

static void remember(struct qb_tunnel *t, uint8_t path, const struct qb_path_info *info, uint64_t now_ns)
{
	struct qb_known known;

	if (qb_conn_path_known(t->conn, path, &known))
		qb_known_put(&t->node->known, qb_tunnel_known_key(t, &info->tuple), &known, now_ns);
}

/* ---- what an edge wishes of its hub ---- */

static void grant(struct qb_tunnel *t, uint8_t path, uint64_t now_ns)
{
	struct qb_path_info info;

	if (!t->paths[path].is_used || !qb_conn_path_info(t->conn, path, now_ns, &info))
		return;
	for (uint32_t i = 0; i < QB_PATHS_MAX; i++) {
		const struct qb_path_wish *w = &t->wishes[i];

		if (!w->is_used || w->path_id != info.path_id)
			continue;
		qb_conn_limit_path(t->conn, path, w->limit_bps, now_ns);
		t->paths[path].weight = w->weight;
		t->paths[path].is_metered = w->is_metered;
	}
}

static bool is_path_of(const struct qb_tunnel *t, uint64_t path_id, uint64_t now_ns)
{
	struct qb_path_info info;

	for (uint8_t i = 0; i < QB_PATHS_MAX; i++)
		if (t->paths[i].is_used && qb_conn_path_info(t->conn, i, now_ns, &info) && info.path_id == path_id)
			return true;
	return false;
}

const char *qb_tunnel_peer_name(const struct qb_tunnel *t, uint64_t path_id)
{
	for (uint32_t i = 0; i < QB_PATHS_MAX; i++)
		if (t->wishes[i].is_used && t->wishes[i].path_id == path_id)
			return t->wishes[i].name;
	return "";
}

/*
 * place_of finds where a wish goes: in the place of the last one about that path, or of none; else of one about a path that is not
 * there. That one may yet come, behind the wish, but path IDs rise: the lowest is of a path that is gone.
 */
static struct qb_path_wish *place_of(struct qb_tunnel *t, uint64_t path_id, uint64_t now_ns)
{
	struct qb_path_wish *unused = NULL, *lowest = NULL;

	for (uint32_t i = 0; i < QB_PATHS_MAX; i++) {
		struct qb_path_wish *w = &t->wishes[i];

		if (!w->is_used)
			unused = w;
		else if (w->path_id == path_id)
			return w;
		else if ((!lowest || w->path_id < lowest->path_id) && !is_path_of(t, w->path_id, now_ns))
			lowest = w;
	}
	return unused ? unused : lowest;
}

void qb_tunnel_wish(struct qb_tunnel *t, const struct qb_path_wish *wish, uint64_t now_ns)
{
	struct qb_path_wish *at = place_of(t, wish->path_id, now_ns);

	if (!at)
		return;
	*at = *wish;
	for (uint8_t i = 0; i < QB_PATHS_MAX; i++)
		grant(t, i, now_ns);
}

void qb_tunnel_path_add(struct qb_tunnel *t, uint8_t path, uint16_t link, enum qb_tier tier, uint64_t now_ns)
{
	t->paths[path] = (struct qb_tunnel_path){.is_used = true,
						 .link = link,
						 .generation = t->paths[path].generation + 1,
						 .seen_state = QB_LINK_ABSENT};
	qb_conn_set_path_cc(t->conn, path, link_cc(t->node, link), now_ns);
	qb_tunnel_path_resume(t, path, now_ns);
	grant(t, path, now_ns);
	qb_bond_path_reset(t->bond, path, true, tier, now_ns);
	if (link < QB_BOND_LINKS_MAX)
		qb_bond_set_link(t->bond, path, (uint8_t)link);
	for (uint8_t i = 0; t->node->role == QB_ROLE_EDGE && i < QB_PATHS_MAX; i++)
		if (i != path && t->paths[i].is_used && t->paths[i].link == link)
			qb_bond_expect_partners(t->bond, path, i);
	t->observe_ns = now_ns;
	qb_tunnel_arm(t, now_ns);
}

void qb_tunnel_path_del(struct qb_tunnel *t, uint8_t path, uint64_t now_ns)
{
	if (!t->paths[path].is_used)
		return;
	t->paths[path].is_used = false;
	qb_bond_path_reset(t->bond, path, false, QB_TIER_PRIMARY, now_ns);
}

/* inner_limit is the largest inner packet that fits a QUIC datagram payload. */
static uint32_t inner_limit(uint32_t datagram_bytes)
{
	return (uint32_t)qb_sub_sat_u64(datagram_bytes, 2 + QB_BOND_HEADER_LEN);
}

/* limit_view: neither a rate nor a window promises more than the path may be given. */
static void limit_view(struct qb_path_view *v, uint64_t limit_bps)
{
	uint64_t window_bytes = limit_bps / 8 * (v->srtt_ns / QB_NS_PER_US) / (QB_NS_PER_SEC / QB_NS_PER_US);

	v->rate_bps = v->rate_bps ? QB_MIN(v->rate_bps, limit_bps) : limit_bps;
	v->cwnd_bytes = QB_MIN(v->cwnd_bytes, qb_max_u64(2 * window_bytes, QB_FRAME_BYTES));
}

/* A path's way towards the peer by the peer's clock, and what of it is no queue. */
struct way {
	int64_t ns, base_ns;
};

/*
 * compare_ways fills in by how much longer each path's way towards the peer is than the quickest one's, if the peer tells arrival
 * times of all paths: one whose way is not known must not look like the quickest.
 */
static void compare_ways(struct qb_path_view *views, uint32_t cnt, const struct way ways[QB_PATHS_MAX])
{
	struct way least = {OWD_UNKNOWN, OWD_UNKNOWN};

	for (uint32_t i = 0; i < cnt; i++) {
		if (!views[i].is_usable)
			continue;
		if (ways[i].ns == OWD_UNKNOWN)
			return;
		least.ns = QB_MIN(least.ns, ways[i].ns);
		least.base_ns = QB_MIN(least.base_ns, ways[i].base_ns);
	}
	for (uint32_t i = 0; i < cnt; i++) {
		if (!views[i].is_usable)
			continue;
		views[i].owd_delta_ns = (uint64_t)(ways[i].ns - least.ns);
		views[i].owd_base_delta_ns = (uint64_t)(ways[i].base_ns - least.base_ns);
	}
}

/* way_of: what is known of a path's queue has drained for as long as it is old. */
static struct way way_of(const struct qb_path_info *info, uint64_t age_ns)
{
	if (!info->has_owd_tx || age_ns > OWD_STALE_S * QB_NS_PER_SEC)
		return (struct way){OWD_UNKNOWN, OWD_UNKNOWN};
	return (struct way){info->owd_tx_base_ns + (int64_t)qb_sub_sat_u64(info->queue_tx_ns, age_ns),
			    info->owd_tx_base_ns};
}

/* used_paths: the indexes that are used end before it. Each packet is paid for what is looked at in vain behind them. */
static uint8_t used_paths(const struct qb_tunnel *t)
{
	uint8_t cnt = QB_PATHS_MAX;

	while (cnt && !t->paths[cnt - 1].is_used)
		cnt--;
	return cnt;
}

uint32_t qb_tunnel_views(struct qb_tunnel *t, struct qb_path_view *views, uint64_t now_ns)
{
	uint64_t oldest_ns[QB_PATHS_MAX] = {0};
	struct way ways[QB_PATHS_MAX];
	uint8_t cnt = used_paths(t);
	struct qb_path_info info;

	for (uint8_t i = 0; i < cnt; i++) {
		struct qb_path_view *v = &views[i];

		memset(v, 0, sizeof(*v));
		ways[i] = (struct way){OWD_UNKNOWN, OWD_UNKNOWN};
		if (!t->paths[i].is_used || !qb_conn_path_info(t->conn, i, now_ns, &info))
			continue;
		v->is_usable = info.phase == QB_PATH_OPEN || info.phase == QB_PATH_VALIDATING;
		v->is_validated = info.phase == QB_PATH_OPEN;
		v->srtt_ns = info.srtt_ns;
		v->min_rtt_ns = info.min_rtt_ns;
		v->rttvar_ns = info.rttvar_ns;
		v->cwnd_bytes = info.cwnd_bytes;
		v->in_flight_bytes = info.in_flight_bytes;
		v->rate_bps = info.delivery_bps ? info.delivery_bps : info.pacing_bps;
		v->pacing_bps = info.pacing_bps;
		v->budget_bytes = info.budget_bytes;
		v->sample_age_ns = qb_sub_sat_u64(now_ns, info.last_ack_ns);
		v->next_send_ns = info.next_send_ns;
		ways[i] = way_of(&info, v->sample_age_ns);
		v->max_inner_bytes = inner_limit(info.max_datagram_bytes);
		v->weight = t->paths[i].weight;
		if (info.limit_bps)
			limit_view(v, info.limit_bps);
		v->generation = t->paths[i].generation;
		v->link = t->node->role == QB_ROLE_EDGE ? t->paths[i].link : 0;
		v->tx_packets = info.tx_packets;
		v->acked_packets = info.acked_packets;
		v->lost_packets = info.lost_packets;
		oldest_ns[i] = info.oldest_unacked_ns;
	}
	compare_ways(views, cnt, ways);
	qb_bond_on_settled(t->bond, oldest_ns, now_ns);
	return cnt;
}

/* least_mtu is what every open path carries; 0 without one. */
static uint32_t least_mtu(const struct qb_tunnel *t, const struct qb_path_info *infos, bool must_be_settled)
{
	uint32_t mtu = 0;

	for (uint8_t i = 0; i < QB_PATHS_MAX; i++) {
		uint32_t limit;

		if (!t->paths[i].is_used || infos[i].phase != QB_PATH_OPEN ||
		    (must_be_settled && !infos[i].is_mtu_settled))
			continue;
		limit = inner_limit(infos[i].max_datagram_bytes);
		mtu = mtu ? QB_MIN(mtu, limit) : limit;
	}
	return mtu;
}

static bool has_settled_service(const struct qb_tunnel *t, const struct qb_path_info *infos)
{
	for (uint8_t i = 0; i < QB_PATHS_MAX; i++)
		if (t->paths[i].is_used && infos[i].phase == QB_PATH_OPEN && infos[i].is_mtu_settled &&
		    qb_link_state_serves(t->paths[i].seen_state))
			return true;
	return false;
}

/*
 * follow_mtu keeps mtu_bytes at what every open path carries (RFC 9484 §8: never below 1280 for IPv6). A path whose MTU
 * is still being looked for does not count while another serves: large packets avoid it, and no host hears of a small
 * MTU, which it would believe for minutes, each time that a link comes.
 */
static void follow_mtu(struct qb_tunnel *t, const struct qb_path_info *infos)
{
	struct qb_notice *note;
	uint32_t mtu;

	if (t->node->cfg.mtu_bytes)
		return;
	mtu = QB_MIN(least_mtu(t, infos, has_settled_service(t, infos)), (uint32_t)QB_INNER_MTU_MAX);
	if (mtu == 0)
		return;
	mtu = QB_MAX(mtu - qb_bond_fec_room(t->bond), (uint32_t)QB_INNER_MTU_MIN);
	if (mtu == t->mtu_bytes)
		return;
	t->mtu_bytes = mtu;
	note = qb_tunnel_notice(t, QB_NOTE_MTU);
	note->mtu_bytes = mtu;
}

static void observation(const struct qb_path_info *info, struct qb_path_obs *obs)
{
	*obs = (struct qb_path_obs){
		.is_open = info->phase == QB_PATH_OPEN,
		.srtt_ns = info->srtt_ns,
		.rttvar_ns = info->rttvar_ns,
		.pto_ns = info->pto_ns,
		.last_rx_ns = info->last_rx_ns,
		.last_ack_ns = info->last_ack_ns,
		.oldest_unacked_ns = info->oldest_unacked_ns,
		.last_acked_sent_ns = info->last_acked_sent_ns,
		.acked_packets = info->acked_packets,
		.lost_packets = info->lost_packets,
		.is_starting = info->is_cc_starting,
		.is_peer_backup = info->is_peer_backup,
		.has_owd = info->has_owd_tx,
		.owd_ns = info->owd_tx_ns,
	};
}

/* send_again makes a packet that left what the bond had picked, and gives it back to it. */
static void send_again(struct qb_tunnel *t, struct qb_buf *b, uint32_t inner_len)
{
	bool is_plain = b->flags & QB_BUF_BUNDLED;

	b->flags &= (uint8_t)~(QB_BUF_BUNDLED | QB_BUF_FOLLOWS);
	if ((!is_plain && qb_conn_unseal_datagram(t->conn, b->path, b)) || b->len < inner_len) {
		qb_count(t->node->counters, QB_CNT_REPAIR_FAILED);
		qb_buf_put(t->node->pool, b);
		return;
	}
	qb_buf_pull(b, b->len - inner_len);
	qb_bond_repair(t->bond, b);
}

/* repair_one: those that shared a packet have numbers in a row. */
static bool repair_one(struct qb_tunnel *t, const struct qb_lost_datagram *lost, uint32_t idx, uint64_t now_ns)
{
	uint32_t inner_len;
	struct qb_buf *b = qb_bond_take_lost(t->bond, (uint32_t)lost->cookie + idx, lost->path, lost->sent_ns, &inner_len,
					     now_ns);

	if (b)
		send_again(t, b, inner_len);
	return b != NULL;
}

bool qb_tunnel_repair(struct qb_tunnel *t, uint64_t now_ns)
{
	struct qb_lost_datagram lost;
	bool has_any = false;

	while (qb_conn_next_lost(t->conn, &lost)) {
		if (lost.has_arrived) {
			qb_bond_on_arrived(t->bond, (uint32_t)lost.cookie, lost.cnt, lost.path, lost.sent_ns);
			continue;
		}
		for (uint32_t i = 0; i < lost.cnt; i++)
			has_any |= repair_one(t, &lost, i, now_ns);
	}
	return has_any;
}

void qb_tunnel_wake_moved(struct qb_node *n, uint64_t now_ns)
{
	struct qb_conn *c;

	while ((c = qb_quic_next_moved(n->quic))) {
		struct qb_tunnel *t = qb_conn_user(c);

		if (!t)
			continue;
		if (qb_tunnel_repair(t, now_ns) || qb_bond_has_queued(t->bond))
			qb_tunnel_mark_ready(t);
		if (t->is_resting) {
			t->observe_ns = now_ns;
			qb_tunnel_observe(t, now_ns);
			qb_tunnel_arm(t, now_ns);
		}
	}
}

static bool has_other_path(const struct qb_tunnel *t, uint8_t path)
{
	for (uint8_t i = 0; i < QB_PATHS_MAX; i++)
		if (i != path && t->paths[i].is_used &&
		    qb_link_state_serves(t->paths[i].seen_state))
			return true;
	return false;
}

/*
 * rescue sends again what is under way on a path that has gone silent: what it still waits for. The bond keeps more, for it forgets in
 * the order in which packets left.
 */
static void rescue(struct qb_tunnel *t, uint8_t path)
{
	struct qb_lost_datagram d;
	uint64_t pn = 0;

	while (qb_conn_next_in_flight(t->conn, path, &pn, &d)) {
		for (uint32_t i = 0; i < d.cnt; i++) {
			uint32_t inner_len;
			struct qb_buf *b = qb_bond_take_stranded(t->bond, (uint32_t)d.cookie + i, path, d.sent_ns, &inner_len);

			if (!b)
				continue;
			qb_count(t->node->counters, QB_CNT_RESCUED);
			send_again(t, b, inner_len);
		}
	}
	qb_tunnel_mark_ready(t);
}

/* is_news: what becomes of a path is, for its link, unless another one of the link's serves all the time. */
static bool is_news(const struct qb_tunnel *t, uint8_t path)
{
	if (t->node->role != QB_ROLE_EDGE)
		return true;
	for (uint8_t i = 0; i < QB_PATHS_MAX; i++)
		if (i != path && t->paths[i].is_used && t->paths[i].link == t->paths[path].link && qb_link_state_serves(t->paths[i].seen_state))
			return false;
	return true;
}

/* path_notice is about what becomes of a path. */
static struct qb_notice *path_notice(struct qb_tunnel *t, enum qb_notice_type type, uint8_t path, uint64_t now_ns)
{
	struct qb_notice *note = qb_tunnel_notice(t, type);
	struct qb_path_info info;

	note->link = t->paths[path].link;
	note->path.name[0] = '\0';
	if (t->node->role == QB_ROLE_HUB && qb_conn_path_info(t->conn, path, now_ns, &info)) {
		note->path.path_id = info.path_id;
		snprintf(note->path.name, sizeof(note->path.name), "%s", qb_tunnel_peer_name(t, info.path_id));
	}
	return note;
}

static void tell_state(struct qb_tunnel *t, uint8_t path, uint64_t now_ns)
{
	struct qb_bond_link_info info;
	struct qb_tunnel_path *p = &t->paths[path];
	struct qb_notice *note;
	bool is_silent;

	if (qb_bond_link_state(t->bond, path) == p->seen_state)
		return;
	qb_bond_link_info(t->bond, path, now_ns, &info);
	is_silent = info.state == QB_LINK_SUSPECT || info.state == QB_LINK_FAILED;
	if (is_silent && has_other_path(t, path))
		rescue(t, path);
	qb_conn_doubt_path(t->conn, path, is_silent && has_other_path(t, path), now_ns);
	if (info.state == QB_LINK_SUSPECT)
		p->gap_ns = info.silent_ns;
	/* The hub is to keep to the same tier, although the better link looks sound to it. */
	if (t->node->role == QB_ROLE_EDGE && (t->node->cfg.failback_ns || t->node->cfg.is_failover) &&
	    qb_link_state_serves(info.state))
		qb_conn_set_path_backup(t->conn, path, info.state == QB_LINK_STANDBY);
	if (is_news(t, path)) {
		note = path_notice(t, QB_NOTE_LINK_STATE, path, now_ns);
		note->from = qb_link_state_name(p->seen_state);
		note->to = qb_link_state_name(info.state);
		memcpy(note->reason, info.reason, sizeof(info.reason));
	}
	qb_conn_trace_link(t->conn, path, qb_link_state_name(p->seen_state), qb_link_state_name(info.state), info.reason, now_ns);
	if (p->seen_state == QB_LINK_FAILED && info.state == QB_LINK_PROBING && info.flaps >= FLAPS_HELD_MIN)
		qb_count(t->node->counters, QB_CNT_FLAPS_HELD);
	p->seen_state = info.state;
}

/* count_failover puts the gap that a path's packets met into its class. */
static void count_failover(struct qb_counters *c, uint64_t gap_ns)
{
	static const uint16_t bounds_ms[] = {50, 100, 200, 500};
	uint64_t gap_ms = gap_ns / QB_NS_PER_MS;
	uint32_t i = 0;

	while (i < QB_ARRAY_LEN(bounds_ms) && gap_ns > bounds_ms[i] * QB_NS_PER_MS)
		i++;
	qb_count(c, QB_CNT_FAILOVERS);
	qb_count(c, (enum qb_counter)(QB_CNT_FAILOVER_50MS + i));
	qb_count_add(c, QB_CNT_FAILOVER_GAP_MS, gap_ms);
}

void qb_tunnel_path_lost(struct qb_tunnel *t, uint8_t path, uint64_t now_ns)
{
	struct qb_path_info info;

	if (t->paths[path].seen_state != QB_LINK_ACTIVE || !has_other_path(t, path) ||
	    !qb_conn_path_info(t->conn, path, now_ns, &info) || !info.oldest_unacked_ns)
		return;
	rescue(t, path);
	count_failover(t->node->counters, now_ns - info.oldest_unacked_ns);
}

static void act(struct qb_tunnel *t, uint8_t path, uint32_t actions, uint64_t now_ns)
{
	if (actions & QB_LINK_ACT_PROBE)
		qb_conn_probe_path(t->conn, path, now_ns);
	if (actions & QB_LINK_ACT_FILL && !t->paths[path].is_metered)
		qb_conn_fill_path(t->conn, path, now_ns + QB_BOND_FILL_MS * QB_NS_PER_MS, now_ns);
	if (actions & QB_LINK_ACT_DOWN) {
		count_failover(t->node->counters, t->paths[path].gap_ns);
		qb_conn_set_path_down(t->conn, path, true, now_ns);
	}
	if (actions & QB_LINK_ACT_UP) {
		qb_count(t->node->counters, QB_CNT_RECOVERIES);
		qb_conn_set_path_down(t->conn, path, false, now_ns);
	}
}

/* tell_use tells when the scheduler begins to use a link otherwise, once that has held from one tick to the next. */
static void tell_use(struct qb_tunnel *t, uint8_t path, uint64_t now_ns)
{
	struct qb_tunnel_path *p = &t->paths[path];
	struct qb_bond_link_info info;
	struct qb_notice *note;
	bool has_held;

	qb_bond_link_info(t->bond, path, now_ns, &info);
	has_held = info.use == p->next_use;
	p->next_use = info.use;
	if (info.state != QB_LINK_ACTIVE || info.use == p->seen_use || !has_held)
		return;
	note = path_notice(t, QB_NOTE_LINK_USE, path, now_ns);
	note->from = qb_link_use_name(p->seen_use);
	note->to = qb_link_use_name(info.use);
	snprintf(note->reason, sizeof(note->reason), "%s", info.share_reason);
	p->seen_use = info.use;
}

/* sharers counts the paths that wait in this one's queue, itself included; those that carry next to nothing take nothing from
 * anybody. */
static uint32_t sharers(const struct qb_tunnel *t, uint8_t path)
{
	uint8_t partners = qb_bond_partners(t->bond, path);
	uint32_t cnt = 1;

	for (uint8_t i = 0; i < QB_PATHS_MAX; i++)
		if ((partners & (1u << i)) && t->paths[i].is_used)
			cnt += t->paths[i].tx_bps > t->paths[path].tx_bps / SHARER_DIV;
	return cnt;
}

/* give_back: what a bond that was quiet for a while does without, the system has other uses for. */
static void give_back(struct qb_tunnel *t, uint64_t now_ns)
{
	struct qb_bond_span spans[QB_BOND_SPANS_MAX];
	uint32_t cnt = qb_bond_rest(t->bond, spans, now_ns);

	for (uint32_t i = 0; i < cnt; i++)
		qb_pages_discard(spans[i].mem, spans[i].bytes);
}

static void tick(struct qb_tunnel *t, const struct qb_path_info *infos, uint64_t now_ns)
{
	uint64_t span_ns = now_ns - t->tick_ns;

	for (uint8_t i = 0; i < QB_PATHS_MAX; i++) {
		struct qb_tunnel_path *p = &t->paths[i];

		if (!p->is_used)
			continue;
		p->tx_bps = (infos[i].tx_bytes - p->second_tx_bytes) * 8 * QB_NS_PER_SEC / span_ns;
		p->rx_bps = (infos[i].rx_bytes - p->second_rx_bytes) * 8 * QB_NS_PER_SEC / span_ns;
		p->second_tx_bytes = infos[i].tx_bytes;
		p->second_rx_bytes = infos[i].rx_bytes;
		remember(t, i, &infos[i], now_ns);
		tell_use(t, i, now_ns);
	}
	for (uint8_t i = 0; i < QB_PATHS_MAX; i++)
		if (t->paths[i].is_used)
			qb_conn_set_path_sharers(t->conn, i, sharers(t, i));
	give_back(t, now_ns);
	t->tick_ns = now_ns;
}

static uint64_t smooth(uint64_t known_ns, uint64_t ns)
{
	return known_ns ? (known_ns * (LOAD_WEIGHT - 1) + ns) / LOAD_WEIGHT : ns;
}

/* note_load: what the paths' delays and the queue are like while there is more to send than they carry. */
static void note_load(struct qb_tunnel *t, const struct qb_path_info *infos)
{
	struct qb_bond_stats stats;

	if (qb_bond_queued_pkts(t->bond) >= LOAD_PKTS) {
		qb_bond_get_stats(t->bond, &stats);
		t->loaded_queue_ns = smooth(t->loaded_queue_ns, stats.queue_delay_ns);
	}
	for (uint8_t i = 0; i < QB_PATHS_MAX; i++)
		if (t->paths[i].is_used && infos[i].srtt_ns && infos[i].in_flight_bytes * 2 >= infos[i].cwnd_bytes)
			t->paths[i].loaded_rtt_ns = smooth(t->paths[i].loaded_rtt_ns, infos[i].srtt_ns);
}

void qb_tunnel_note_sent(struct qb_tunnel *t, enum qb_unsent what, int ret)
{
	if (ret == -EAGAIN) {
		t->unsent |= (uint8_t)what;
		qb_tunnel_stir(t);
	} else {
		t->unsent &= (uint8_t)~what;
	}
}

/* hasten sends again what would keep the end of a transfer waiting. */
static void hasten(struct qb_tunnel *t, const struct qb_path_obs *obs, uint32_t cnt, uint64_t now_ns)
{
	uint32_t seq = 0, inner_len;
	struct qb_buf *b;

	while ((b = qb_bond_take_tail(t->bond, obs, cnt, &seq, &inner_len, now_ns))) {
		send_again(t, b, inner_len);
		qb_tunnel_mark_ready(t);
	}
}

static void resend(struct qb_tunnel *t, uint64_t now_ns)
{
	if (t->node->role == QB_ROLE_EDGE)
		qb_edge_resend(t->node, t, now_ns);
	else
		qb_hub_resend(t->node, t);
}

/*
 * is_at_rest: nothing changes unless something happens on the connection, or qb_tunnel_stir is told. A hub has thousands of such
 * tunnels, and looks at none of them in vain. (An edge has one a worker.)
 */
static bool is_at_rest(const struct qb_tunnel *t)
{
	return t->node->role == QB_ROLE_HUB && !t->unsent && qb_bond_is_quiet(t->bond) &&
	       qb_bond_observe_deadline_ns(t->bond) == QB_NEVER_NS;
}

void qb_tunnel_observe(struct qb_tunnel *t, uint64_t now_ns)
{
	struct qb_path_info infos[QB_PATHS_MAX];
	struct qb_path_obs obs[QB_PATHS_MAX];
	uint8_t cnt = used_paths(t);

	if (now_ns < qb_min_u64(t->observe_ns, qb_bond_observe_deadline_ns(t->bond)))
		return;
	t->observe_ns = now_ns + OBSERVE_IDLE_MS * QB_NS_PER_MS;
	for (uint8_t i = 0; i < cnt; i++) {
		if (!t->paths[i].is_used || !qb_conn_path_info(t->conn, i, now_ns, &infos[i]))
			memset(&infos[i], 0, sizeof(infos[i]));
		observation(&infos[i], &obs[i]);
	}
	for (uint8_t i = 0; i < cnt; i++) {
		if (!t->paths[i].is_used)
			continue;
		act(t, i, qb_bond_observe(t->bond, i, obs, cnt, now_ns), now_ns);
		tell_state(t, i, now_ns);
	}
	hasten(t, obs, cnt, now_ns);
	note_load(t, infos);
	follow_mtu(t, infos);
	if (t->unsent)
		resend(t, now_ns);
	if (now_ns - t->tick_ns >= TICK_MS * QB_NS_PER_MS)
		tick(t, infos, now_ns);
	t->is_resting = is_at_rest(t);
	if (t->is_resting)
		t->observe_ns = now_ns + OBSERVE_REST_MS * QB_NS_PER_MS;
}

void qb_tunnel_stir(struct qb_tunnel *t)
{
	if (!t->is_resting)
		return;
	t->is_resting = false;
	t->observe_ns = 0;
	qb_tunnel_arm(t, 0);
}

/* qb_tunnel_arm sets the tunnel's timer to the earliest thing that it waits for, but not before now_ns. */
void qb_tunnel_arm(struct qb_tunnel *t, uint64_t now_ns)
{
	uint64_t at = qb_min_u64(t->observe_ns, qb_bond_observe_deadline_ns(t->bond));

	at = qb_min_u64(at, qb_bond_rx_deadline_ns(t->bond));
	if (!t->is_ready)
		at = qb_min_u64(at, qb_bond_tx_deadline_ns(t->bond));
	qb_heap_set(&t->node->heap, &t->timer, qb_max_u64(at, now_ns));
}

static bool in_range(const struct qb_h3_route *r, uint8_t family, const uint8_t *ip, size_t len)
{
	return r->family == family && memcmp(ip, r->first, len) >= 0 && memcmp(ip, r->last, len) <= 0;
}

bool qb_tunnel_may_source(const struct qb_tunnel *t, const uint8_t *ip_packet, uint32_t len)
{
	uint8_t family = ip_packet[0] >> 4;
	const uint8_t *src = qb_inner_source(ip_packet);

	(void)len;
	if (t->source_cnt == 0)
		return t->node->role == QB_ROLE_EDGE;
	for (uint32_t i = 0; i < t->source_cnt; i++)
		if (in_range(&t->sources[i], family, src, family == 4 ? 4 : 16))
			return true;
	return false;
}

static int range_cmp(const struct qb_h3_route *a, const struct qb_h3_route *b)
{
	return a->family != b->family ? a->family - b->family : memcmp(a->first, b->first, sizeof(a->first));
}

uint32_t qb_tunnel_ranges(const struct qb_prefix *p, uint32_t cnt, struct qb_h3_route *out, uint32_t cap)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < cnt && used < cap; i++) {
		struct qb_h3_route r = {.family = p[i].family};
		uint32_t at = used++;

		qb_prefix_range(&p[i], r.first, r.last);
		for (; at > 0 && range_cmp(&out[at - 1], &r) > 0; at--)
			out[at] = out[at - 1];
		out[at] = r;
	}
	return used;
}
