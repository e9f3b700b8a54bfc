/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The worker's loop: sockets and rings around a node.
 *
 *     ports ─► steer ─► qb_rx ─► TUN          TUN ─► route ─► qb_tx ─► qb_tx_flush ─► ports
 *
 * A round does a bounded amount of each, then sleeps in epoll until a descriptor is ready or the node's deadline comes.
 */
#include "worker.h"
#include "inner.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
	ROUND_RX_BATCHES = 8,  /* a port, a round */
	ROUND_TUN_BATCHES = 4,
	SHORT_DCID_OFF = 1,
	LONG_DCID_LEN_OFF = 5,
	LONG_DCID_OFF = 6,
	IDLE_WAKE_MS = 500,    /* the watchdog wants a sign of life */
	HELD_UP_MS = 5,	       /* so much longer than a round takes that the thread did not run in between */
};

/* What epoll hands back: a port's index, or one of these. */
enum { TAG_WAKE = 1000, TAG_TUN = 1001 };

struct call {
	void (*fn)(struct qb_worker *w, void *arg);
	void *arg;
	sem_t done;
};

/* ---- the main thread's side ---- */

void qb_worker_call(struct qb_worker *w, void (*fn)(struct qb_worker *w, void *arg), void *arg)
{
	struct call call = {.fn = fn, .arg = arg};

	sem_init(&call.done, 0, 0);
	QB_BUG_ON(!qb_ring_push(&w->calls, &call));
	qb_wake(w->wake_fd);
	while (sem_wait(&call.done) && errno == EINTR)
		;
	sem_destroy(&call.done);
}

struct qb_notice *qb_worker_next_notice(struct qb_worker *w)
{
	return qb_ring_pop(&w->notices);
}

/* ---- input ---- */

static void write_tun(struct qb_worker *w, struct qb_batch *inner)
{
	uint32_t cnt = inner->cnt;

	if (cnt)
		qb_tun_write(w->tun, &w->pool, &w->counters, inner);
	qb_stages_lap(&w->stages, QB_STAGE_DELIVER, cnt);
}

/* cid_worker reads whose connection a datagram is for out of its Destination Connection ID; own when it does not say. */
static uint16_t cid_worker(const struct qb_worker *w, const struct qb_buf *b)
{
	uint32_t off = SHORT_DCID_OFF;

	if (b->len > 0 && (b->data[0] & 0x80)) {
		if (b->len <= LONG_DCID_OFF || b->data[LONG_DCID_LEN_OFF] != QB_CID_LEN)
			return w->idx;
		off = LONG_DCID_OFF;
	}
	if (b->len < off + QB_CID_LEN || b->data[off + QB_CID_WORKER_OFF] >= w->cnt)
		return w->idx;
	return b->data[off + QB_CID_WORKER_OFF];
}

/* What a buffer that is handed to another worker is: qb_buf's meta. */
enum { HANDOFF_UDP, HANDOFF_INNER };

static void hand_off(struct qb_worker *w, uint16_t to, struct qb_buf *b, uint64_t what)
{
	b->meta = what;
	if (!qb_ring_push(&w->all[to].handoff[w->idx], b)) {
		qb_count(&w->counters, QB_CNT_DROP_HANDOFF);
		qb_buf_put(&w->pool, b);
		return;
	}
	qb_count(&w->counters, QB_CNT_HANDOFF);
}

static void wake_all(struct qb_worker *w, uint32_t woken)
{
	for (uint16_t i = 0; woken; i++, woken >>= 1)
		if (woken & 1)
			qb_wake(w->all[i].wake_fd);
}

/* steer keeps our own datagrams and hands the others on (a GRO batch is steered by its first one only). */
static void steer(struct qb_worker *w, struct qb_batch *udp)
{
	uint32_t woken = 0, kept = 0;

	for (uint32_t i = 0; i < udp->cnt; i++) {
		uint16_t to = cid_worker(w, udp->buf[i]);

		if (to == w->idx) {
			udp->buf[kept++] = udp->buf[i];
			continue;
		}
		hand_off(w, to, udp->buf[i], HANDOFF_UDP);
		woken |= 1u << to;
	}
	udp->cnt = kept;
	wake_all(w, woken);
}

static void receive(struct qb_worker *w, struct qb_batch *udp, uint64_t now_ns)
{
	struct qb_batch inner = {0};
	bool has_more;

	do {
		uint32_t cnt = udp->cnt;

		has_more = qb_rx(w->node, udp, &inner, now_ns);
		qb_stages_lap(&w->stages, QB_STAGE_OPEN, cnt - udp->cnt);
		write_tun(w, &inner);
	} while (has_more);
}

/*
 * The clock is read after each batch was taken in: a time from before, when the thread was kept waiting in between, would make
 * round trips shorter than they are, and a minimum RTT never forgives that.
 */
static bool receive_port(struct qb_worker *w, struct qb_port *port)
{
	struct qb_batch udp = {0};
	uint32_t round;

	for (round = 0; round < ROUND_RX_BATCHES; round++) {
		if (qb_net_recv(port->net, &w->pool, &udp) == 0) {
			port->is_ready = false;
			qb_stages_skip(&w->stages);
			break;
		}
		qb_stages_lap(&w->stages, QB_STAGE_RECEIVE, udp.cnt);
		if (w->cnt > 1)
			steer(w, &udp);
		receive(w, &udp, qb_now_ns());
	}
	return round > 0;
}

/* send_run queues inner packets of one tunnel (NULL: they have no route) and empties the batch. */
static void send_run(struct qb_worker *w, struct qb_tunnel *t, struct qb_batch *run, uint64_t now_ns)
{
	if (run->cnt)
		qb_tx(w->node, t, run, now_ns);
	run->cnt = 0;
}

static struct qb_tunnel *site_tunnel(const struct qb_worker *w, uint32_t site, uint8_t member)
{
	const struct qb_hub *h = &w->node->hub;

	return site < h->site_cnt ? h->sites[site].tunnels[member] : NULL;
}

static const struct qb_rtable_entry *find_route(const struct qb_worker *w, const struct qb_buf *b)
{
	uint8_t family = b->data[0] >> 4;

	if ((family != 4 && family != 6) || b->len < (family == 6 ? 40u : 20u))
		return NULL;
	return qb_rtable_find(w->rtable, family, qb_inner_dest(b->data));
}

/* route sends what came from the TUN device to its sites: runs of one tunnel at a time, others' to their workers. */
static void route(struct qb_worker *w, struct qb_batch *in, uint64_t now_ns)
{
	struct qb_batch run = {0};
	struct qb_tunnel *run_tunnel = NULL;
	uint32_t woken = 0;

	for (uint32_t i = 0; i < in->cnt; i++) {
		struct qb_buf *b = in->buf[i];
		const struct qb_rtable_entry *e = find_route(w, b);
		const struct qb_rtable_via *via = e ? qb_rtable_via_of(e, b) : NULL;
		struct qb_tunnel *t;

		if (via && via->worker != w->idx) {
			hand_off(w, via->worker, b, HANDOFF_INNER);
			woken |= 1u << via->worker;
			continue;
		}
		t = via ? site_tunnel(w, e->site, via->member) : NULL;
		if (t != run_tunnel)
			send_run(w, run_tunnel, &run, now_ns);
		run_tunnel = t;
		qb_batch_add(&run, b);
	}
	send_run(w, run_tunnel, &run, now_ns);
	in->cnt = 0;
	wake_all(w, woken);
}

/* stand_in: the worker that carries an edge's packets when the one that read them has no tunnel; itself when nobody has. */
static uint16_t stand_in(const struct qb_worker *w)
{
	if (w->node->edge.tunnel && w->node->edge.tunnel->is_open)
		return w->idx;
	for (uint16_t i = 0; i < w->cnt; i++)
		if (i != w->idx && atomic_load_explicit(&w->all[i].is_serving, memory_order_relaxed))
			return i;
	return w->idx;
}

/* send_out is the edge's route(): everything goes to the hub. */
static void send_out(struct qb_worker *w, struct qb_batch *in, uint64_t now_ns)
{
	uint16_t to = stand_in(w);

	if (to == w->idx) {
		send_run(w, w->node->edge.tunnel, in, now_ns);
		return;
	}
	for (uint32_t i = 0; i < in->cnt; i++)
		hand_off(w, to, in->buf[i], HANDOFF_INNER);
	in->cnt = 0;
	qb_wake(w->all[to].wake_fd);
}

static bool read_tun(struct qb_worker *w, uint64_t now_ns)
{
	uint32_t round, cnt;

	qb_stages_skip(&w->stages);
	if (!w->is_tun_ready && !qb_tun_has_pending(w->tun))
		return false;
	for (round = 0; round < ROUND_TUN_BATCHES; round++) {
		struct qb_batch in = {0};

		if (qb_tun_read(w->tun, &w->pool, &w->counters, &in, now_ns) == 0) {
			w->is_tun_ready = false;
			break;
		}
		cnt = in.cnt;
		qb_stages_lap(&w->stages, QB_STAGE_READ, cnt);
		if (w->rtable)
			route(w, &in, now_ns);
		else
			send_out(w, &in, now_ns);
		qb_stages_lap(&w->stages, QB_STAGE_QUEUE, cnt);
	}
	return round > 0;
}

/* send_handed looks the route up again: between the other worker's look and this, the tables may have changed. */
static void send_handed(struct qb_worker *w, struct qb_buf *b, uint64_t now_ns)
{
	const struct qb_rtable_entry *e = w->rtable ? find_route(w, b) : NULL;
	const struct qb_rtable_via *via = e ? qb_rtable_via_of(e, b) : NULL;
	struct qb_tunnel *t = w->rtable ? NULL : w->node->edge.tunnel;
	struct qb_batch one = {.cnt = 1, .buf = {b}};

	if (via && via->worker == w->idx)
		t = site_tunnel(w, e->site, via->member);
	send_run(w, t, &one, now_ns);
}

static bool take_handoffs(struct qb_worker *w, uint64_t now_ns)
{
	bool is_busy = false;

	for (uint16_t from = 0; from < w->cnt; from++) {
		struct qb_batch udp = {0};
		struct qb_buf *b;

		if (from == w->idx)
			continue;
		for (uint32_t k = 0; k < QB_BATCH_MAX && (b = qb_ring_pop(&w->handoff[from])); k++) {
			is_busy = true;
			if (b->meta == HANDOFF_UDP)
				qb_batch_add(&udp, b);
			else
				send_handed(w, b, now_ns);
		}
		qb_stages_skip(&w->stages);
		if (udp.cnt)
			receive(w, &udp, now_ns);
	}
	return is_busy;
}

/* ---- output ---- */

static void flush_port(struct qb_worker *w, struct qb_port *port)
{
	uint32_t cnt = port->out.cnt;

	if (cnt == 0)
		return;
	if (!port->net) {
		qb_batch_put(&w->pool, &port->out);
		return;
	}
	qb_net_send(port->net, &w->pool, &port->out);
	qb_stages_lap(&w->stages, QB_STAGE_SEND, cnt);
}

static void flush_ports(struct qb_worker *w)
{
	for (uint32_t i = 0; i < QB_PORTS_MAX; i++)
		flush_port(w, &w->ports[i]);
}

/* flush sends everything that may leave now. */
static void flush(struct qb_worker *w)
{
	struct qb_batch udp = {0};
	bool has_more;

	qb_stages_skip(&w->stages);
	do {
		has_more = qb_tx_flush(w->node, &udp, qb_now_ns());
		if (udp.cnt)
			qb_stages_lap(&w->stages, QB_STAGE_SEAL, udp.cnt);
		for (uint32_t i = 0; i < udp.cnt; i++) {
			struct qb_port *port = &w->ports[udp.buf[i]->tuple.link % QB_PORTS_MAX];

			if (qb_batch_full(&port->out))
				flush_port(w, port);
			qb_batch_add(&port->out, udp.buf[i]);
		}
		udp.cnt = 0;
	} while (has_more);
	flush_ports(w);
}

/* ---- ports ---- */

enum { PORT_FDS_MAX = 32 };

void qb_worker_add_port(struct qb_worker *w, uint32_t idx, struct qb_net *net)
{
	int fds[PORT_FDS_MAX];
	uint32_t cnt = qb_net_fds(net, fds, PORT_FDS_MAX);

	w->ports[idx].net = net;
	w->ports[idx].is_ready = true;
	for (uint32_t i = 0; i < cnt; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.u32 = idx};

		epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fds[i], &ev);
	}
}

void qb_worker_del_port(struct qb_worker *w, uint32_t idx)
{
	struct qb_port *port = &w->ports[idx];

	if (!port->net)
		return;
	flush(w);
	qb_net_close(port->net); /* epoll forgets closed descriptors */
	port->net = NULL;
	port->is_ready = false;
}

/* ---- the loop ---- */

static bool receive_ports(struct qb_worker *w)
{
	bool is_busy = false;

	for (uint32_t i = 0; i < QB_PORTS_MAX; i++)
		if (w->ports[i].net && w->ports[i].is_ready)
			is_busy |= receive_port(w, &w->ports[i]);
	return is_busy;
}

/*
 * time_for_timers: timers hold silence against a link, but what arrived and lies unread is no silence. Where the thread was
 * kept waiting since it read the ports, it reads them once more.
 */
static uint64_t time_for_timers(struct qb_worker *w, uint64_t read_ns)
{
	uint64_t now_ns = qb_now_ns();

	if (now_ns - read_ns < HELD_UP_MS * QB_NS_PER_MS)
		return now_ns;
	qb_count(&w->counters, QB_CNT_HELD_UP);
	for (uint32_t i = 0; i < QB_PORTS_MAX; i++)
		w->ports[i].is_ready = true;
	receive_ports(w);
	return qb_now_ns();
}

static void poll_node(struct qb_worker *w, uint64_t now_ns)
{
	struct qb_batch inner = {0};
	bool has_more;

	do {
		has_more = qb_node_poll(w->node, &inner, now_ns);
		qb_stages_skip(&w->stages); /* timers */
		write_tun(w, &inner);
	} while (has_more);
}

/* tell_serving lets other workers of an edge hand on what they cannot send. */
static void tell_serving(struct qb_worker *w)
{
	const struct qb_tunnel *t = w->node->edge.tunnel;
	bool is_serving = t && t->is_open;

	if (atomic_load_explicit(&w->is_serving, memory_order_relaxed) != is_serving)
		atomic_store_explicit(&w->is_serving, is_serving, memory_order_relaxed);
}

static void pass_notices(struct qb_worker *w)
{
	bool has_any = false;

	/* What finds no room stays with the node for the next round. */
	while (w->node->notice_head != w->node->notice_tail && !qb_ring_is_full(&w->notices)) {
		struct qb_notice *copy = malloc(sizeof(*copy));

		if (!copy)
			break;
		if (!qb_node_next_notice(w->node, copy) || !qb_ring_push(&w->notices, copy))
			free(copy);
		has_any = true;
	}
	if (has_any)
		qb_wake(w->main_wake_fd);
}

static void take_calls(struct qb_worker *w)
{
	struct call *call;

	while ((call = qb_ring_pop(&w->calls))) {
		call->fn(w, call->arg);
		sem_post(&call->done);
	}
}

static void wait_ready(struct qb_worker *w, bool is_busy)
{
	struct epoll_event evs[32];
	uint64_t now_ns = qb_now_ns();
	uint64_t wait_ns = qb_sub_sat_u64(qb_node_deadline_ns(w->node), now_ns);
	struct timespec ts;
	int cnt;

	wait_ns = is_busy ? 0 : qb_min_u64(wait_ns, IDLE_WAKE_MS * QB_NS_PER_MS);
	ts.tv_sec = 0;
	ts.tv_nsec = (long)wait_ns;
	cnt = epoll_pwait2(w->epoll_fd, evs, QB_ARRAY_LEN(evs), &ts, NULL);
	if (wait_ns)
		atomic_store_explicit(&w->slept_ns, w->slept_ns + qb_now_ns() - now_ns, memory_order_relaxed);
	for (int i = 0; i < cnt; i++) {
		if (evs[i].data.u32 == TAG_WAKE)
			qb_wake_clear(w->wake_fd);
		else if (evs[i].data.u32 == TAG_TUN)
			w->is_tun_ready = true;
		else
			w->ports[evs[i].data.u32].is_ready = true;
	}
}

static void worker_loop(void *arg)
{
	struct qb_worker *w = arg;

	while (!w->is_stopping) {
		uint64_t now_ns = qb_now_ns();
		uint64_t read_ns = now_ns;
		bool is_busy;

		atomic_store_explicit(&w->last_round_ns, now_ns, memory_order_relaxed);
		take_calls(w);
		/* Who would still be answered now would think that we are there, and hear no goodbye. */
		if (w->is_stopping)
			break;
		qb_stages_round(&w->stages);
		is_busy = receive_ports(w);
		now_ns = qb_now_ns();
		is_busy |= take_handoffs(w, now_ns);
		is_busy |= read_tun(w, now_ns);
		poll_node(w, time_for_timers(w, read_ns));
		flush(w);
		tell_serving(w);
		pass_notices(w);
		wait_ready(w, is_busy);
	}
}

/* ---- start and stop ---- */

static int open_epoll(struct qb_worker *w)
{
	struct epoll_event wake = {.events = EPOLLIN, .data.u32 = TAG_WAKE};
	struct epoll_event tun = {.events = EPOLLIN, .data.u32 = TAG_TUN};

	w->wake_fd = qb_wake_open();
	if (w->wake_fd < 0)
		return w->wake_fd;
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll_fd < 0 || epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &wake) ||
	    epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, qb_tun_queue_fd(w->tun), &tun))
		return -errno;
	return 0;
}

int qb_worker_start(struct qb_worker *w, const struct qb_worker_cfg *cfg)
{
	struct qb_node_cfg node = cfg->node;
	char name[16];
	int ret;

	memset(w, 0, sizeof(*w));
	w->idx = cfg->idx;
	w->cnt = cfg->cnt;
	w->all = cfg->all;
	w->tun = cfg->tun;
	w->main_wake_fd = cfg->main_wake_fd;
	qb_pool_init(&w->pool, cfg->depot);
	w->pool.counters = &w->counters;
	qb_ring_init(&w->calls, w->call_slots, QB_WORKER_CALLS_CAP);
	qb_ring_init(&w->notices, w->notice_slots, QB_WORKER_NOTICES_CAP);
	for (uint16_t i = 0; i < cfg->cnt; i++)
		qb_ring_init(&w->handoff[i], w->handoff_slots[i], QB_HANDOFF_CAP);
	node.quic.counters = &w->counters;
	node.quic.pool = &w->pool;
	node.quic.worker = w->idx;
	node.quic.worker_cnt = w->cnt;
	ret = qb_pages_map(qb_node_footprint(&node), 0, &w->node_mem);
	if (ret)
		return ret;
	w->node = qb_node_init(w->node_mem.mem, &node, qb_now_ns());
	ret = open_epoll(w);
	if (ret)
		return ret;
	snprintf(name, sizeof(name), "qb-worker%u", w->idx);
	return qb_thread_start(&w->thread, name, cfg->cpu, worker_loop, w);
}

static void say_goodbye(struct qb_worker *w, void *arg)
{
	uint64_t now_ns = qb_now_ns();

	(void)arg;
	for (struct qb_conn *c = NULL; (c = qb_quic_next_conn(w->node->quic, c));)
		qb_conn_close(c, QB_H3_NO_ERROR, "shutting down", now_ns);
	flush(w);
	w->is_stopping = true;
}

void qb_worker_halt(struct qb_worker *w)
{
	if (!w->node || !w->thread.is_running)
		return;
	qb_worker_call(w, say_goodbye, NULL);
	qb_thread_join(&w->thread);
}

void qb_worker_stop(struct qb_worker *w)
{
	struct qb_notice *note;

	if (!w->node)
		return;
	for (uint32_t i = 0; i < QB_PORTS_MAX; i++) {
		qb_batch_put(&w->pool, &w->ports[i].out);
		if (w->ports[i].net)
			qb_net_close(w->ports[i].net);
	}
	for (uint16_t from = 0; from < w->cnt; from++) {
		struct qb_buf *b;

		while ((b = qb_ring_pop(&w->handoff[from])))
			qb_buf_put(&w->pool, b);
	}
	while ((note = qb_worker_next_notice(w)))
		free(note);
	qb_node_fini(w->node);
	qb_pool_fini(&w->pool);
	qb_pages_unmap(&w->node_mem);
	close(w->epoll_fd);
	close(w->wake_fd);
	w->node = NULL;
}
