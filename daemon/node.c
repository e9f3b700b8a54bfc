/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The node itself: its memory, its events, its timers and its notices. Runs on its worker's thread; the simulator
 * runs it in virtual time.
 */
#include "node.h"

enum { FAILURES_A_SECOND = 32 };

static struct qb_bond_cfg bond_cfg(const struct qb_node_cfg *cfg, struct qb_node *n)
{
	return (struct qb_bond_cfg){
		.sched = cfg->sched,
		.worker = cfg->quic.worker,
		.fec = cfg->fec,
		.reorder = cfg->reorder,
		.reorder_max_ns = cfg->reorder_max_ns,
		.failback_ns = cfg->failback_ns,
		.fail = cfg->fail,
		.queue_pkts = 4096,
		.reorder_pkts = 16384,
		.counters = n ? n->counters : NULL,
		.pool = n ? n->pool : NULL,
	};
}

static size_t align64(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

/* bond_off is where the bond begins in the block of a tunnel, its HTTP/3 state and its bond: on a page (base/slab.h). */
static size_t bond_off(void)
{
	return qb_page_up(align64(sizeof(struct qb_tunnel)) + align64(qb_h3_footprint()));
}

static size_t tunnel_bytes(const struct qb_node_cfg *cfg)
{
	struct qb_bond_cfg bond = bond_cfg(cfg, NULL);

	return bond_off() + qb_page_up(qb_bond_footprint(&bond));
}

size_t qb_node_footprint(const struct qb_node_cfg *cfg)
{
	return qb_page_up(sizeof(struct qb_node)) + qb_page_up(qb_quic_footprint(&cfg->quic.limits)) +
	       qb_page_up(cfg->tunnels * sizeof(struct qb_timer *)) + qb_slab_footprint(tunnel_bytes(cfg), cfg->tunnels);
}

struct qb_node *qb_node_init(void *mem, const struct qb_node_cfg *cfg, uint64_t now_ns)
{
	struct qb_node *n = mem;
	uint8_t *p = (uint8_t *)mem + qb_page_up(sizeof(*n));
	struct qb_quic_cfg quic = cfg->quic;
	uint64_t seed;

	memset(n, 0, sizeof(*n));
	n->role = cfg->role;
	n->cfg = *cfg;
	n->counters = cfg->quic.counters;
	n->pool = cfg->quic.pool;
	memcpy(&seed, cfg->quic.seed, sizeof(seed));
	qb_rand_seed(&n->rand, seed);

	quic.is_server = cfg->role == QB_ROLE_HUB;
	n->quic = qb_quic_init(p, &quic, now_ns);
	p += qb_page_up(qb_quic_footprint(&cfg->quic.limits));
	qb_heap_init(&n->heap, (struct qb_timer **)(void *)p, cfg->tunnels);
	p += qb_page_up(cfg->tunnels * sizeof(struct qb_timer *));
	qb_slab_init(&n->tunnel_slab, p, tunnel_bytes(cfg), cfg->tunnels);
	if (n->role == QB_ROLE_EDGE)
		qb_edge_init(n, now_ns);
	return n;
}

void qb_node_fini(struct qb_node *n)
{
	while (n->tunnels)
		qb_tunnel_free(n->tunnels);
	qb_batch_put(n->pool, &n->datagrams);
	qb_batch_put(n->pool, &n->run);
	qb_batch_put(n->pool, &n->icmp_out);
	qb_quic_fini(n->quic);
	explicit_bzero(&n->cfg.quic, sizeof(n->cfg.quic));
	explicit_bzero(&n->edge.tickets, sizeof(n->edge.tickets));
}

void qb_node_set_cc(struct qb_node *n, const struct qb_cc *cc, uint64_t now_ns)
{
	n->cfg.quic.cc = cc;
	qb_quic_set_cc(n->quic, cc);
	for (struct qb_tunnel *t = n->tunnels; t; t = t->next)
		qb_tunnel_apply_cc(t, now_ns);
}

void qb_node_set_policy(struct qb_node *n, const struct qb_policy *policy, const struct qb_fec_want *fec)
{
	n->cfg.policy = policy;
	n->cfg.fec = *fec;
	for (struct qb_tunnel *t = n->tunnels; t; t = t->next) {
		qb_bond_set_policy(t->bond, policy);
		qb_bond_want_fec(t->bond, fec);
	}
}

void qb_node_set_sched(struct qb_node *n, const struct qb_sched *sched)
{
	n->cfg.sched = sched;
	for (struct qb_tunnel *t = n->tunnels; t; t = t->next)
		qb_bond_set_sched(t->bond, sched);
}

/* ---- tunnels' memory ---- */

struct qb_tunnel *qb_tunnel_new(struct qb_node *n, struct qb_conn *conn, uint64_t now_ns)
{
	struct qb_tunnel *t = qb_slab_get(&n->tunnel_slab);
	struct qb_bond_cfg bond = bond_cfg(&n->cfg, n);
	uint8_t *p = (uint8_t *)t + align64(sizeof(*t));

	if (!t)
		return NULL;
	memset(t, 0, sizeof(*t));
	t->node = n;
	t->conn = conn;
	t->session = QB_H3_NO_SESSION;
	t->site = QB_SITE_NONE;
	t->mtu_bytes = n->cfg.mtu_bytes ? n->cfg.mtu_bytes : QB_INNER_MTU_MIN;
	t->opened_ns = now_ns;
	t->tick_ns = now_ns;
	if (qb_h3_init(p, conn, n->role == QB_ROLE_HUB, &t->h3)) {
		qb_slab_put(&n->tunnel_slab, t);
		return NULL;
	}
	bond.seed = qb_rand_u64(&n->rand);
	t->bond = qb_bond_init((uint8_t *)t + bond_off(), &bond, now_ns);
	qb_bond_set_policy(t->bond, n->cfg.policy);
	qb_bond_set_failover(t->bond, n->cfg.is_failover);
	qb_bond_set_grain(t->bond, n->cfg.grain);
	qb_bond_set_tail(t->bond, n->cfg.has_tail_copies);
	qb_bond_set_reorder_max(t->bond, n->cfg.reorder_max_bytes);
	t->next = n->tunnels;
	n->tunnels = t;
	qb_conn_set_user(conn, t);
	return t;
}

/* unlink_ready takes the tunnel out of the list of those to flush. */
static void unlink_ready(struct qb_tunnel *t)
{
	struct qb_tunnel **at = &t->node->ready;

	while (*at && *at != t)
		at = &(*at)->next_ready;
	if (*at)
		*at = t->next_ready;
	t->is_ready = false;
}

void qb_tunnel_free(struct qb_tunnel *t)
{
	struct qb_node *n = t->node;
	struct qb_tunnel **at = &n->tunnels;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	unlink_ready(t);
	if (n->run_tunnel == t) {
		qb_batch_put(n->pool, &n->run);
		n->run_tunnel = NULL;
	}
	qb_heap_set(&n->heap, &t->timer, QB_NEVER_NS);
	qb_conn_set_user(t->conn, NULL);
	qb_bond_fini(t->bond);
	qb_slab_put(&n->tunnel_slab, t);
}

void qb_tunnel_mark_ready(struct qb_tunnel *t)
{
	if (t->is_ready)
		return;
	t->is_ready = true;
	t->next_ready = t->node->ready;
	t->node->ready = t;
}

/* ---- events ---- */

static void path_events(struct qb_tunnel *t, const struct qb_quic_event *ev, uint64_t now_ns)
{
	struct qb_path_info info;

	switch (ev->type) {
	case QB_EV_PATH_OPENED:
	case QB_EV_PATH_VALIDATED:
		if (t->paths[ev->path].is_used) {
			qb_tunnel_path_resume(t, ev->path, now_ns);
			return;
		}
		if (!qb_conn_path_info(t->conn, ev->path, now_ns, &info))
			return;
		qb_tunnel_path_add(t, ev->path, info.tuple.link, QB_TIER_PRIMARY, now_ns);
		qb_tunnel_tell_peer(t, &info);
		break;
	case QB_EV_PATH_MOVED:
		if (t->node->role == QB_ROLE_HUB)
			qb_count(t->node->counters, QB_CNT_PATH_MOVES);
		qb_tunnel_path_resume(t, ev->path, now_ns);
		if (qb_conn_path_info(t->conn, ev->path, now_ns, &info))
			qb_tunnel_tell_peer(t, &info);
		break;
	case QB_EV_PATH_CLOSED:
		qb_tunnel_path_del(t, ev->path, now_ns);
		break;
	default:
		break;
	}
	t->observe_ns = now_ns;
	qb_tunnel_arm(t, now_ns);
}

static void h3_events(struct qb_node *n, struct qb_tunnel *t, uint64_t now_ns)
{
	struct qb_h3_event ev;

	while (qb_h3_next_event(t->h3, &ev)) {
		if (n->role == QB_ROLE_EDGE)
			qb_edge_on_h3(n, t, &ev, now_ns);
		else
			qb_hub_on_h3(n, t, &ev, now_ns);
	}
}

/* may_tell_failure: who floods us with handshakes does not flood the outbox. */
static bool may_tell_failure(struct qb_node *n, uint64_t now_ns)
{
	if (now_ns - n->failure_ns >= QB_NS_PER_SEC) {
		n->failure_ns = now_ns;
		n->failure_cnt = 0;
	}
	return n->failure_cnt++ < FAILURES_A_SECOND;
}

static void tell_failures(struct qb_node *n, uint64_t now_ns)
{
	struct qb_quic_failure f;

	while (qb_quic_next_failure(n->quic, &f)) {
		/* In order: somebody did not want it any more; in a handshake applications have no other word. */
		if ((f.is_app && f.error_code == QB_H3_NO_ERROR) ||
		    (f.is_handshake && !f.is_app && f.error_code == QB_QUIC_APPLICATION_ERROR))
			continue;
		if (may_tell_failure(n, now_ns))
			qb_node_notice(n, QB_NOTE_FAILURE)->failure.conn = f;
	}
}

/* log_event: what happens to connections, for who wants to know that much. */
static void log_event(const struct qb_quic_event *ev)
{
	static const char *const names[] = {
		[QB_EV_CONN_NEW] = "accepted",	     [QB_EV_CONN_ESTABLISHED] = "established",
		[QB_EV_CONN_CLOSED] = "closed",	     [QB_EV_PATH_OPENED] = "path opened",
		[QB_EV_PATH_VALIDATED] = "path validated", [QB_EV_PATH_FAILED] = "path failed",
		[QB_EV_PATH_CLOSED] = "path closed", [QB_EV_PATH_MOVED] = "path moved",
		[QB_EV_PATHS_AVAILABLE] = "more paths possible",
	};
	struct qb_conn_info info;

	if (ev->type >= QB_ARRAY_LEN(names) || !names[ev->type])
		return;
	qb_conn_get_info(ev->conn, &info);
	qb_log_to(QB_LOG_QUIC, QB_LOG_DBG, "connection %02x%02x%02x%02x%02x%02x%02x%02x: %s, path index %u", info.odcid.id[0],
		  info.odcid.id[1], info.odcid.id[2], info.odcid.id[3], info.odcid.id[4], info.odcid.id[5], info.odcid.id[6],
		  info.odcid.id[7], names[ev->type], ev->path);
}

static void tell_path_failure(struct qb_node *n, const struct qb_quic_event *ev, uint64_t now_ns)
{
	struct qb_path_info path;
	struct qb_conn_info conn;
	struct qb_notice *note;

	if (!qb_conn_path_info(ev->conn, ev->path, now_ns, &path) || !may_tell_failure(n, now_ns))
		return;
	qb_conn_get_info(ev->conn, &conn);
	note = qb_node_notice(n, QB_NOTE_FAILURE);
	note->failure.conn = (struct qb_quic_failure){
		.error_code = QB_QUIC_PATH_UNSTABLE_OR_POOR,
		.has_key = true,
		.odcid = conn.odcid,
		.peer = path.tuple.peer,
		.reason = "no answer to path challenges",
	};
	memcpy(note->failure.conn.peer_key, conn.peer_key, sizeof(conn.peer_key));
	note->failure.has_path = true;
	note->failure.path_id = path.path_id;
}

void qb_node_handle_events(struct qb_node *n, uint64_t now_ns)
{
	struct qb_quic_event ev;

	while (qb_quic_next_event(n->quic, &ev)) {
		struct qb_tunnel *t = qb_conn_user(ev.conn);

		if (QB_UNLIKELY(qb_log_max >= QB_LOG_DBG))
			log_event(&ev);
		switch (ev.type) {
		case QB_EV_STREAM_READABLE:
		case QB_EV_STREAM_WRITABLE:
		case QB_EV_STREAM_STOPPED:
			if (t) {
				qb_h3_on_quic_event(t->h3, &ev);
				h3_events(n, t, now_ns);
			}
			continue;
		case QB_EV_PATH_OPENED:
		case QB_EV_PATH_VALIDATED:
		case QB_EV_PATH_CLOSED:
		case QB_EV_PATH_MOVED:
			if (t)
				path_events(t, &ev, now_ns);
			break;
		case QB_EV_PATH_FAILED:
			tell_path_failure(n, &ev, now_ns);
			break;
		default:
			break;
		}
		if (n->role == QB_ROLE_EDGE)
			qb_edge_on_event(n, &ev, now_ns);
		else
			qb_hub_on_event(n, &ev, now_ns);
	}
	tell_failures(n, now_ns);
}

/* ---- timers ---- */

bool qb_node_poll(struct qb_node *n, struct qb_batch *inner, uint64_t now_ns)
{
	struct qb_timer *first;

	while ((first = qb_heap_first(&n->heap)) && first->at_ns <= now_ns) {
		struct qb_tunnel *t = (struct qb_tunnel *)first;
		uint32_t before = inner->cnt;
		bool has_more = qb_bond_rx_poll(t->bond, inner, now_ns);

		qb_rx_admit(n, t, inner, before);
		if (has_more)
			return true;
		qb_tunnel_observe(t, now_ns);
		if (qb_bond_has_queued(t->bond))
			qb_tunnel_mark_ready(t);
		qb_tunnel_arm(t, now_ns + QB_NS_PER_US);
	}
	if (n->role == QB_ROLE_EDGE)
		qb_edge_poll(n, now_ns);
	qb_node_handle_events(n, now_ns);
	while (n->icmp_out.cnt && !qb_batch_full(inner))
		qb_batch_add(inner, n->icmp_out.buf[--n->icmp_out.cnt]);
	return n->icmp_out.cnt > 0;
}

uint64_t qb_node_deadline_ns(const struct qb_node *n)
{
	uint64_t at = qb_quic_deadline_ns(n->quic);
	const struct qb_timer *first = qb_heap_first(&n->heap);

	if (first)
		at = qb_min_u64(at, first->at_ns);
	if (n->role == QB_ROLE_EDGE)
		at = qb_min_u64(at, qb_edge_deadline_ns(n));
	return n->icmp_out.cnt ? 0 : at;
}

/* ---- notices ---- */

static struct qb_notice *notice_at(struct qb_node *n, uint32_t pos)
{
	return &n->notices[pos % QB_NODE_NOTICES_MAX];
}

/* forget_notice takes the oldest notice of a link out, or the oldest of all: who is here matters more than how he is. */
static void forget_notice(struct qb_node *n)
{
	uint32_t pos = n->notice_tail;

	while (pos != n->notice_head && notice_at(n, pos)->type != QB_NOTE_LINK_STATE &&
	       notice_at(n, pos)->type != QB_NOTE_LINK_USE &&
	       notice_at(n, pos)->type != QB_NOTE_PEER)
		pos++;
	if (pos == n->notice_head)
		pos = n->notice_tail;
	for (; pos != n->notice_tail; pos--)
		*notice_at(n, pos) = *notice_at(n, pos - 1);
	n->notice_tail++;
}

static struct qb_notice *clear_notice(struct qb_notice *note, enum qb_notice_type type)
{
	memset(note, 0, sizeof(*note));
	note->type = type;
	note->site = QB_SITE_NONE;
	note->from = note->to = "";
	return note;
}

struct qb_notice *qb_node_notice(struct qb_node *n, enum qb_notice_type type)
{
	if (n->notice_head - n->notice_tail == QB_NODE_NOTICES_MAX)
		forget_notice(n);
	return clear_notice(notice_at(n, n->notice_head++), type);
}

static struct qb_notice *pending_notice(struct qb_tunnel *t, enum qb_notice_type type)
{
	struct qb_node *n = t->node;

	if (type != QB_NOTE_ROUTES && type != QB_NOTE_MTU)
		return NULL;
	for (uint32_t pos = n->notice_tail; pos != n->notice_head; pos++) {
		struct qb_notice *note = notice_at(n, pos);

		if (note->type == type && note->site == t->site && note->generation == t->generation)
			return clear_notice(note, type);
	}
	return NULL;
}

struct qb_notice *qb_tunnel_notice(struct qb_tunnel *t, enum qb_notice_type type)
{
	struct qb_node *n = t->node;
	struct qb_notice *note = pending_notice(t, type);

	if (!note)
		note = qb_node_notice(n, type);
	note->site = t->site;
	note->generation = t->generation;
	note->group = t->group;
	note->opened_ns = t->opened_ns;
	if (n->role == QB_ROLE_HUB && t->site < n->hub.site_cnt)
		memcpy(note->site_key, n->hub.sites[t->site].public_key, QB_PUBKEY_LEN);
	return note;
}

void qb_tunnel_tell_peer(struct qb_tunnel *t, const struct qb_path_info *path)
{
	if (t->node->role == QB_ROLE_HUB)
		qb_tunnel_notice(t, QB_NOTE_PEER)->peer = path->tuple.peer;
}

bool qb_node_next_notice(struct qb_node *n, struct qb_notice *out)
{
	if (n->notice_head == n->notice_tail)
		return false;
	*out = n->notices[n->notice_tail++ % QB_NODE_NOTICES_MAX];
	return true;
}

/* ---- who watches ---- */

void qb_node_observe_site(struct qb_node *n, struct qb_conn *conn, const uint8_t *key, uint64_t now_ns)
{
	if (QB_UNLIKELY(n->is_site_observed && memcmp(n->observed_key, key, sizeof(n->observed_key)) == 0))
		qb_conn_set_observer(conn, n->observer, now_ns);
}

void qb_node_observe(struct qb_node *n, const struct qb_observer *o, const uint8_t *site_key, uint64_t now_ns)
{
	struct qb_conn_info info;

	n->observer = o;
	n->is_site_observed = o && site_key;
	if (n->is_site_observed)
		memcpy(n->observed_key, site_key, sizeof(n->observed_key));
	qb_quic_set_observer(n->quic, n->is_site_observed ? NULL : o);
	for (struct qb_conn *c = NULL; (c = qb_quic_next_conn(n->quic, c));) {
		qb_conn_get_info(c, &info);
		if (o && info.is_closing) /* too late to learn anything */
			continue;
		if (n->is_site_observed)
			qb_node_observe_site(n, c, info.peer_key, now_ns);
		else
			qb_conn_set_observer(c, o, now_ns);
	}
}
