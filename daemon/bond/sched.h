/* SPDX-License-Identifier: BSD-2-Clause */
/* What schedulers have in common: questions to a path view. Internal to bond/. */
#pragma once

#include "bond/bond.h"

enum {
	/*
	 * QUIC and HTTP add at least this to an inner packet. Less than the truth, so that a budget
	 * of exactly one packet is not refused here; the transport has the last word
	 * (qb_bond_unpick).
	 */
	QB_SCHED_OVERHEAD = 30,
	/* While something could be sent but better waits, look again this often at the latest. */
	QB_SCHED_POLL_US = 1000,
	/* For each per cent that a path adds to the rate it may be so far behind, up to ... */
	QB_SCHED_LAG_PER_PCT_US = 4500,
	QB_SCHED_LAG_GOOD_MS = 150,
	/* No further apart than the receiver can wait. */
	QB_SCHED_LAG_MAX_MS = 350,
	/* A path whose way alone takes so much longer is remote. */
	QB_SCHED_REMOTE_MS = 150,
	/* A path so far behind must carry so much more for flows to go there for good: they start slowly there. */
	QB_SCHED_REMOTE_TIMES = 4,
	/* Loss up to this is what a window-based controller causes by itself on a small path. */
	QB_SCHED_LOSS_FREE_PPM = 10000,
	QB_SCHED_RATE_MIN_BPS = 64000, /* of any path, so that nothing is divided by 0 */
	QB_SCHED_AUTO_BYTES = 96, /* auto's state, which others embed */
};

extern const struct qb_sched qb_sched_auto, qb_sched_minrtt, qb_sched_roundrobin, qb_sched_weighted,
	qb_sched_blest, qb_sched_ecf, qb_sched_deadline, qb_sched_redundant, qb_sched_redundant2, qb_sched_redundant3, qb_sched_redundant4;

/* qb_view_fits: the path is usable and its MTU carries the packet. */
static inline bool qb_view_fits(const struct qb_path_view *v, uint32_t bytes)
{
	return v->is_usable && (v->max_inner_bytes == 0 || bytes <= v->max_inner_bytes);
}
/* qb_view_can_send: it fits, and window and pacer let it go now. */
static inline bool qb_view_can_send(const struct qb_path_view *v, uint32_t bytes)
{
	return qb_view_fits(v, bytes) && v->budget_bytes >= bytes + QB_SCHED_OVERHEAD;
}
/* qb_view_is_cwnd_limited: it waits for an ACK, not for the pacer. */
static inline bool qb_view_is_cwnd_limited(const struct qb_path_view *v, uint32_t bytes)
{
	return v->in_flight_bytes + bytes + QB_SCHED_OVERHEAD > v->cwnd_bytes;
}
/* qb_view_rate_bps: bits a second that the path carries when it is kept busy; never 0. */
uint64_t qb_view_rate_bps(const struct qb_path_view *v);
/* qb_view_base_rtt_ns is the round trip without a queue, as far as it is known. */
uint64_t qb_view_base_rtt_ns(const struct qb_path_view *v);
/* qb_view_loss_cost_ns: what the path's loss is expected to cost an inner flow, a packet, as delay. */
uint64_t qb_view_loss_cost_ns(const struct qb_path_view *v);
/* qb_view_tx_ns is the time that bytes take at the path's rate. */
uint64_t qb_view_tx_ns(const struct qb_path_view *v, uint64_t bytes);
/* qb_view_wait_ns: how long until the packet may leave; 0 now. An estimate where only an ACK can
 * tell. */
uint64_t qb_view_wait_ns(const struct qb_path_view *v, const struct qb_pkt_meta *pkt,
			 uint64_t now_ns);
/* qb_views_next_ns: when a packet that waits now is to be looked at again; QB_NEVER_NS: an ACK must
 * come. */
uint64_t qb_views_next_ns(const struct qb_path_view *v, uint32_t n, uint32_t bytes,
			  uint64_t now_ns);
/* What the delay of a path is taken from. */
enum qb_delay_by {
	QB_DELAY_BY_RTT,  /* half of the round trip, and a queue that it shows */
	QB_DELAY_BY_OWD,  /* the way there, as the peer sees it */
	QB_DELAY_BY_BASE, /* the way there without a queue, and one that the round trip shows */
};
/*
 * qb_views_delay_by: the way there counts where the peer tells of it: of n views the fastest has a difference of 0, so that one alone
 * says nothing. For what is striped it does where round trips are far from twice of it.
 */
enum qb_delay_by qb_views_delay_by(const struct qb_path_view *v, uint32_t n, bool is_sparse);
/*
 * qb_view_delay_ns: from leaving here to arriving there, as far as differences between paths go,
 * with what loss is expected to cost.
 */
uint64_t qb_view_delay_ns(const struct qb_path_view *v, enum qb_delay_by by);
/* qb_views_lowest_rtt returns the path with the lowest smoothed RTT that the packet fits, or -1. */
int qb_views_lowest_rtt(const struct qb_path_view *v, uint32_t n, uint32_t bytes,
			bool must_be_free);
/* qb_view_charge takes a packet off the view's budget. */
void qb_view_charge(struct qb_path_view *v, uint32_t bytes, uint64_t now_ns);

/* qb_sched_stand bounds how long bulk may wait while a path has room: it is told what the scheduler said, and says where to. */
int qb_sched_stand(struct qb_sched_stand *s, struct qb_counters *counters, const struct qb_sched_ask *ask, int path);

/*
 * What is remembered of a scheduler that runs outside: a plan for each kind of packet, and its own memory.
 * qb_sched_plan_init clears it; qb_sched_plan_pick is the scheduler's pick: by the plan, which is made anew when it does
 * not serve any more.
 */
void qb_sched_plan_init(void *st);
int qb_sched_plan_pick(const struct qb_sched *s, void *st, struct qb_counters *counters,
		       const struct qb_sched_ask *ask);

/* What the auto scheduler makes of the paths as a whole. */
struct qb_sched_outlook {
	uint64_t lag_ns[QB_BOND_PATHS_MAX]; /* behind the best path */
	uint64_t late_ns[QB_BOND_PATHS_MAX]; /* so much after the quickest one's its packets arrive, if they do */
	uint64_t backlog_ns; /* queue that must be let stand before the slowest path that helps is
				used */
	uint32_t far;	     /* too far behind for striping, a bit each */
	uint32_t remote;     /* of these: behind by more than anything may be that is striped */
};
/*
 * qb_sched_look: bit i of `known` says that path i's rate has been found out. `out` holds what was made of the paths before,
 * zero at first.
 */
void qb_sched_look(const struct qb_path_view *v, uint32_t n, uint32_t known, struct qb_sched_outlook *out);
