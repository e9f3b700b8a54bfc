/* SPDX-License-Identifier: BSD-2-Clause */
/* Birth, timers, events and death of a connection. */
#include "quic/conn.h"

enum {
	/* A timer that is due although nothing could be done about it (no buffer, say) waits so long. */
	RETRY_LATER_NS = 1000 * 1000,
	SEND_BUF_BYTES = 256 << 10,
	SEND_BUF_CAP_BYTES = 4 << 20,
};

static void init_streams(struct qb_conn *c)
{
	struct qb_quic *q = c->q;
	struct qb_streams_cfg cfg = {
		.is_server = c->is_server,
		.own_max = q->cfg.limits.streams_per_conn + QB_STREAMS_OWN_EXTRA,
		.send_buf_bytes = SEND_BUF_BYTES,
		.send_buf_cap_bytes = SEND_BUF_CAP_BYTES,
		.max_data_cap = UINT64_C(16) << 20,
		.max_stream_data_cap = UINT64_C(4) << 20,
		.stream_slab = &q->stream_slab,
		.chunks = &q->chunks,
	};
	struct qb_tparams tp;

	qb_conn_our_params(q, &tp);
	qb_streams_init(&c->streams, &cfg, &tp);
}

static void link_conn(struct qb_conn *c)
{
	struct qb_quic *q = c->q;

	c->next = q->conns;
	if (q->conns)
		q->conns->prev = c;
	q->conns = c;
}

static void unlink_conn(struct qb_conn *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		c->q->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
}

struct qb_conn *qb_conn_new(struct qb_quic *q, bool is_server, const struct qb_tuple *tuple,
			    uint64_t now_ns)
{
	struct qb_conn *c = qb_slab_get(&q->conn_slab);
	struct qb_local_cid *scid;
	uint32_t i;

	if (!c)
		return NULL;
	memset(c, 0, offsetof(struct qb_conn, path));
	c->q = q;
	c->is_server = is_server;
	c->observer = q->cfg.observer;
	c->number = ++q->conn_cnt;
	c->created_ns = c->last_rx_ns = c->idle_base_ns = now_ns;
	c->idle_timeout_ns = q->cfg.idle_timeout_ns;
	c->hs.give_up_ns = now_ns + q->cfg.handshake_timeout_ns;
	qb_tparams_init(&c->peer);
	qb_ack_freq_init(&c->ack_freq);
	c->hs_space = qb_slab_get(&q->hs_space_slab);
	QB_BUG_ON(!c->hs_space); /* there are as many as connections */
	for (i = 0; i < 2; i++)
		qb_space_init(&c->hs_space[i], &q->sent_slab);
	for (i = 0; i < QB_LEVEL_CNT; i++)
		qb_crypto_init(&c->crypto[i], &q->chunks);
	init_streams(c);
	qb_frames_init(c, now_ns);
	qb_path_init_moves(c, now_ns);
	link_conn(c);
	qb_multipath_init(c);
	/* Sequence number 0 is the handshake's own and needs no frame (RFC 9000 §5.1.1). */
	scid = qb_multipath_add_cid(c, &c->mp.pid[0], 1);
	scid->tx = QB_TX_DONE;
	c->hs.local_scid = scid->entry.cid;
	qb_multipath_attach(c, &c->mp.pid[0], tuple, now_ns);
	c->path[0].amp.is_validated = !is_server;
	c->early.forget_ns = QB_NEVER_NS;
	c->timer.at_ns = QB_NEVER_NS;
	qb_conn_touch(c);
	return c;
}

static void unlink_ids(struct qb_conn *c)
{
	uint32_t i, j;

	qb_endpoint_unlink_cid(c->q, &c->hs.odcid_entry);
	for (i = 0; i < QB_PATH_IDS; i++) {
		struct qb_path_id *pid = &c->mp.pid[i];

		qb_endpoint_unlink_reset(c->q, &pid->reset);
		for (j = 0; j < QB_CIDS_LOCAL; j++)
			qb_endpoint_unlink_cid(c->q, &pid->local.slot[j].entry);
	}
}

static void forget_moved(struct qb_conn *c);

static void drop_hs_space(struct qb_conn *c)
{
	struct qb_quic *q = c->q;

	if (c->hs_space == q->no_space)
		return;
	for (uint32_t i = 0; i < 2; i++)
		qb_loss_forget(c, NULL, &c->hs_space[i]);
	qb_slab_put(&q->hs_space_slab, c->hs_space);
	c->hs_space = q->no_space;
}

void qb_conn_free(struct qb_conn *c)
{
	struct qb_quic *q = c->q;
	uint32_t i;

	qb_trace_ended(c, q->now_ns);
	qb_conn_unqueue(c);
	forget_moved(c);
	unlink_ids(c);
	for (i = 0; i < c->path_cnt; i++) {
		if (c->path[i].phase != QB_PATH_UNUSED)
			qb_loss_forget(c, &c->path[i], &c->path[i].space);
	}
	drop_hs_space(c);
	for (i = 0; i < QB_LEVEL_CNT; i++)
		qb_crypto_fini(&c->crypto[i]);
	qb_streams_fini(&c->streams);
	qb_keyring_fini(&c->keys);
	qb_tls_free(c->tls);
	qb_half_open_remove(&q->half_opens, &c->half_open);
	qb_heap_set(&q->timers, &c->timer, QB_NEVER_NS);
	unlink_conn(c);
	qb_slab_put(&q->conn_slab, c);
}

void qb_conn_touch(struct qb_conn *c)
{
	qb_heap_set(&c->q->timers, &c->timer, 0);
}

uint64_t qb_conn_max_pto_ns(const struct qb_conn *c)
{
	uint64_t max_ns = 0;
	uint32_t i;

	for (i = 0; i < c->path_cnt; i++) {
		const struct qb_path *p = &c->path[i];

		if (p->phase == QB_PATH_UNUSED)
			continue;
		max_ns = QB_MAX(max_ns, qb_rtt_pto_ns(&p->rtt, qb_conn_peer_ack_delay_ns(c)));
	}
	return max_ns;
}

/* ---- time ---- */

static uint64_t idle_deadline_ns(const struct qb_conn *c)
{
	if (!c->idle_timeout_ns)
		return QB_NEVER_NS;
	/* RFC 9000 §10.1: at least three PTOs. */
	return c->idle_base_ns + QB_MAX(c->idle_timeout_ns, 3 * qb_conn_max_pto_ns(c));
}

void qb_conn_on_rx_progress(struct qb_conn *c, uint64_t now_ns)
{
	c->last_rx_ns = now_ns;
	c->idle_base_ns = now_ns;
	c->is_idle_armed_by_tx = false;
}

/* is_kept_by_other: another path is pinged often enough for the connection not to be taken for idle. */
static bool is_kept_by_other(const struct qb_conn *c, const struct qb_path *but)
{
	uint32_t i;

	for (i = 0; i < c->path_cnt; i++) {
		const struct qb_path *p = &c->path[i];
		uint64_t own_ns = p->keepalive_ns ? p->keepalive_ns : c->q->cfg.keepalive_ns;

		if (p != but && qb_path_is_usable(p) && !p->pto_count && own_ns && own_ns <= c->idle_timeout_ns / 2)
			return true;
	}
	return false;
}

uint64_t qb_conn_keepalive_ns(const struct qb_conn *c, const struct qb_path *p)
{
	uint64_t ns = p->keepalive_ns ? p->keepalive_ns : c->q->cfg.keepalive_ns;

	if (p->keepalive_ns == QB_KEEPALIVE_LONGEST)
		ns = p->nat.interval_ns;
	/* Somebody has to keep the connection. */
	if (ns && c->idle_timeout_ns && ns > c->idle_timeout_ns / 2 && !is_kept_by_other(c, p))
		ns = c->idle_timeout_ns / 2;
	return ns;
}

static uint64_t quiet_since_ns(const struct qb_path *p)
{
	return QB_MAX(p->live.last_rx_ns, p->live.last_tx_eliciting_ns);
}

/* keepalive_deadline_ns: a path that has been quiet for so long gets a PING. */
static uint64_t keepalive_deadline_ns(const struct qb_conn *c, const struct qb_path *p)
{
	uint64_t every_ns = qb_conn_keepalive_ns(c, p);

	if (!every_ns || !c->hs.is_confirmed || !qb_path_is_usable(p))
		return QB_NEVER_NS;
	return quiet_since_ns(p) + every_ns;
}

static void run_path(struct qb_conn *c, struct qb_path *p, uint64_t now_ns)
{
	qb_loss_on_timer(c, p, now_ns);
	qb_path_on_validation_timer(c, p, now_ns);
	if (keepalive_deadline_ns(c, p) <= now_ns && !p->probe_cnt) {
		qb_nat_on_ping(&p->nat, now_ns - quiet_since_ns(p), now_ns);
		p->probe_cnt = 1;
	}
}

/* key_age_deadline_ns: old keys are changed, but not while the last change is still to be acknowledged. */
static uint64_t key_age_deadline_ns(const struct qb_conn *c)
{
	uint64_t age_ns = c->q->cfg.key_update_ns;

	if (!age_ns || !c->hs.is_confirmed || c->keys.is_update_unacked || c->is_update_wanted)
		return QB_NEVER_NS;
	return c->keys.phase_ns + age_ns;
}

static void run_keys(struct qb_conn *c, uint64_t now_ns)
{
	struct qb_keyring *k = &c->keys;

	if (k->rx_prev && k->rx_prev_until_ns <= now_ns) {
		qb_keys_free(k->rx_prev);
		k->rx_prev = NULL;
		qb_trace_key(c, QB_TRACE_KEY_DISCARDED, QB_LEVEL_APP, false, k->update_cnt - 1, NULL, now_ns);
	}
	if (!c->hs.is_confirmed)
		return;
	if (key_age_deadline_ns(c) <= now_ns)
		c->is_update_wanted = true;
	if ((c->is_update_wanted || qb_keyring_wants_update(k, c->q->cfg.key_update_pkts)) &&
	    qb_keyring_may_update(k, qb_conn_max_pto_ns(c), now_ns))
		qb_conn_update_keys(c);
	if (qb_keyring_is_worn(k))
		qb_conn_fail(c, QB_QUIC_AEAD_LIMIT_REACHED, 0, "keys are worn out", now_ns);
}

void qb_conn_run(struct qb_conn *c, uint64_t now_ns)
{
	uint32_t i;

	if (!qb_conn_is_open(c)) {
		if (now_ns >= c->close.until_ns)
			c->state = QB_CONN_DEAD;
		return;
	}
	if (c->state == QB_CONN_HANDSHAKE && now_ns >= c->hs.give_up_ns) {
		qb_close_silently(c, QB_QUIC_NO_ERROR, "handshake timed out", now_ns);
		return;
	}
	if (now_ns >= idle_deadline_ns(c)) {
		qb_count(c->q->cfg.counters, QB_CNT_CONNS_TIMED_OUT);
		qb_close_silently(c, QB_QUIC_NO_ERROR, "idle timeout", now_ns);
		return;
	}
	run_keys(c, now_ns);
	qb_early_on_timer(c, now_ns);
	for (i = 0; i < c->path_cnt && qb_conn_is_open(c); i++) {
		if (c->path[i].phase != QB_PATH_UNUSED)
			run_path(c, &c->path[i], now_ns);
	}
	if (qb_conn_is_open(c))
		qb_multipath_on_timer(c, now_ns);
}

static uint64_t path_deadline_ns(struct qb_conn *c, struct qb_path *p, uint64_t now_ns)
{
	uint64_t at_ns = qb_loss_deadline_ns(c, p);

	at_ns = QB_MIN(at_ns, qb_path_validation_deadline_ns(p));
	at_ns = QB_MIN(at_ns, keepalive_deadline_ns(c, p));
	if (qb_conn_may_write(c))
		at_ns = QB_MIN(at_ns, p->space.rx.ack_at_ns);
	if (qb_path_is_usable(p)) {
		at_ns = QB_MIN(at_ns, qb_mtu_deadline_ns(&p->mtu));
		if (qb_streams_has_data(&c->streams) &&
		    qb_path_window(p) >= QB_DATA_ROOM_MIN)
			at_ns = QB_MIN(at_ns, qb_pacer_next_ns(&p->pacer, p->mtu.cur_bytes, now_ns));
		if (QB_UNLIKELY(c->fill_until_ns > now_ns) && p->fill_until_ns > now_ns && qb_path_window(p) >= p->mtu.cur_bytes)
			at_ns = QB_MIN(at_ns, qb_pacer_next_ns(&p->pacer, p->mtu.cur_bytes, now_ns));
	}
	return at_ns;
}

static uint64_t deadline_ns(struct qb_conn *c, uint64_t now_ns)
{
	uint64_t at_ns;
	uint32_t i;

	if (c->state == QB_CONN_DEAD)
		return c->events.is_queued ? QB_NEVER_NS : 0;
	if (!qb_conn_is_open(c))
		return c->close.until_ns;
	at_ns = QB_MIN(idle_deadline_ns(c), c->keys.rx_prev ? c->keys.rx_prev_until_ns
							    : QB_NEVER_NS);
	if (c->state == QB_CONN_HANDSHAKE)
		at_ns = QB_MIN(at_ns, c->hs.give_up_ns);
	at_ns = QB_MIN(at_ns, key_age_deadline_ns(c));
	at_ns = QB_MIN(at_ns, c->early.forget_ns);
	if (c->is_update_wanted)
		at_ns = QB_MIN(at_ns, now_ns + qb_conn_max_pto_ns(c));
	for (i = 0; i < c->path_cnt; i++) {
		if (c->path[i].phase != QB_PATH_UNUSED)
			at_ns = QB_MIN(at_ns, path_deadline_ns(c, &c->path[i], now_ns));
	}
	return QB_MIN(at_ns, qb_multipath_deadline_ns(c));
}

void qb_conn_rearm(struct qb_conn *c, bool has_more, uint64_t now_ns)
{
	uint64_t at_ns;

	/* Not at the moment when the keys go: the packet that is being read may be the last one in such a space. */
	if (QB_UNLIKELY(c->hs_space != c->q->no_space) && c->hs.is_confirmed &&
	    !c->keys.rx[QB_LEVEL_INITIAL] && !c->keys.rx[QB_LEVEL_HANDSHAKE])
		drop_hs_space(c);
	at_ns = has_more ? now_ns : deadline_ns(c, now_ns);
	if (!has_more && at_ns <= now_ns && c->state != QB_CONN_DEAD)
		at_ns = now_ns + RETRY_LATER_NS;
	qb_heap_set(&c->q->timers, &c->timer, at_ns);
}

/* ---- who has moved ---- */

void qb_conn_note_moved(struct qb_conn *c)
{
	struct qb_quic *q = c->q;

	if (c->is_moved)
		return;
	c->is_moved = true;
	c->moved_prev = NULL;
	c->moved_next = q->moved;
	if (q->moved)
		q->moved->moved_prev = c;
	q->moved = c;
}

static void forget_moved(struct qb_conn *c)
{
	if (!c->is_moved)
		return;
	c->is_moved = false;
	if (c->moved_prev)
		c->moved_prev->moved_next = c->moved_next;
	else
		c->q->moved = c->moved_next;
	if (c->moved_next)
		c->moved_next->moved_prev = c->moved_prev;
}

struct qb_conn *qb_quic_next_moved(struct qb_quic *q)
{
	struct qb_conn *c = q->moved;

	if (c)
		forget_moved(c);
	return c;
}

/* ---- events ---- */

static void enqueue(struct qb_conn *c)
{
	struct qb_conn_queue *eq = &c->q->event_queue;

	if (c->events.is_queued)
		return;
	c->events.is_queued = true;
	c->events.next = NULL;
	if (eq->tail)
		eq->tail->events.next = c;
	else
		eq->head = c;
	eq->tail = c;
}

void qb_conn_queue_event(struct qb_conn *c, uint8_t conn_bit)
{
	c->events.conn |= conn_bit;
	enqueue(c);
}

void qb_conn_queue_path_event(struct qb_conn *c, const struct qb_path *p, uint8_t path_bit)
{
	if (!c->was_announced)
		return;
	c->events.path[p->idx] |= path_bit;
	enqueue(c);
}

void qb_conn_queue_stream_events(struct qb_conn *c)
{
	if (c->was_announced && qb_streams_has_event(&c->streams))
		enqueue(c);
}

void qb_conn_unqueue(struct qb_conn *c)
{
	struct qb_conn_queue *eq = &c->q->event_queue;
	struct qb_conn **at, *prev = NULL;

	if (!c->events.is_queued)
		return;
	for (at = &eq->head; *at != c; at = &(*at)->events.next)
		prev = *at;
	*at = c->events.next;
	if (eq->tail == c)
		eq->tail = prev;
	c->events.is_queued = false;
}

static bool take_conn_bit(struct qb_conn *c, uint8_t bit, enum qb_quic_event_type type,
			  struct qb_quic_event *ev)
{
	if (!(c->events.conn & bit))
		return false;
	c->events.conn &= (uint8_t)~bit;
	ev->type = type;
	return true;
}

static bool take_path_event(struct qb_conn *c, struct qb_quic_event *ev)
{
	static const enum qb_quic_event_type types[] = {
		QB_EV_PATH_OPENED, QB_EV_PATH_VALIDATED, QB_EV_PATH_MOVED,
		QB_EV_PATH_FAILED, QB_EV_PATH_CLOSED,
	};
	uint32_t i, bit;

	for (i = 0; i < c->path_cnt; i++) {
		if (!c->events.path[i])
			continue;
		bit = (uint32_t)__builtin_ctz(c->events.path[i]);
		c->events.path[i] &= (uint8_t)~(1u << bit);
		ev->type = types[bit];
		ev->path = (uint8_t)i;
		ev->is_by_peer = c->path[i].is_closed_by_peer;
		return true;
	}
	return false;
}

static bool take_event(struct qb_conn *c, struct qb_quic_event *ev)
{
	*ev = (struct qb_quic_event){.conn = c};
	if (take_conn_bit(c, QB_EVBIT_EARLY, QB_EV_CONN_EARLY, ev) ||
	    take_conn_bit(c, QB_EVBIT_READY,
			  c->is_server ? QB_EV_CONN_NEW : QB_EV_CONN_ESTABLISHED, ev) ||
	    take_path_event(c, ev))
		return true;
	if (c->was_announced && qb_streams_next_event(&c->streams, ev)) {
		ev->conn = c;
		return true;
	}
	if (take_conn_bit(c, QB_EVBIT_PATHS_AVAILABLE, QB_EV_PATHS_AVAILABLE, ev) ||
	    take_conn_bit(c, QB_EVBIT_SESSION, QB_EV_SESSION, ev))
		return true;
	if (take_conn_bit(c, QB_EVBIT_CLOSED, QB_EV_CONN_CLOSED, ev)) {
		ev->error_code = c->close.error_code;
		ev->is_by_peer = c->close.is_by_peer;
		ev->is_app_error = c->close.is_app;
		return true;
	}
	return false;
}

bool qb_quic_next_event(struct qb_quic *q, struct qb_quic_event *ev)
{
	struct qb_conn *c;

	while ((c = q->event_queue.head)) {
		if (take_event(c, ev))
			return true;
		qb_conn_unqueue(c);
		if (c->state == QB_CONN_DEAD)
			qb_conn_touch(c);
	}
	return false;
}
