/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Congestion control: one instance a path, one file an algorithm, one registry. A controller sees
 * events, each a struct with units, and answers with a view: window and pacing rate. It reads no
 * clock, and of other paths only what a qb_cc_group holds. Delivery rate samples
 * (draft-ietf-ccwg-bbr §4.1) are made by the transport and come in with each acknowledgement.
 */
#pragma once

#include "base/base.h"

enum {
	QB_CC_STATE_MAX = 1024, /* bytes of a controller's state; each file asserts that it fits */
	QB_CC_GROUP_MAX = 8,	/* coupled paths of a connection */
};

/*
 * What the couplings (lia, olia, balia) share: one group a connection, a member for each path that
 * runs one of them. Each instance writes its own member and reads the others'. The owner clears the
 * group with the connection and calls qb_cc_group_leave when a path goes or gets another
 * controller; other controllers know nothing of it.
 */
struct qb_cc_member {
	const void *owner; /* the instance's state; NULL: free */
	uint64_t cwnd_bytes, srtt_ns;
	uint64_t last_ack_ns;
	uint64_t since_loss_bytes,
		between_losses_bytes; /* acknowledged since the last loss; between the last two */
};

struct qb_cc_group {
	struct qb_cc_member member[QB_CC_GROUP_MAX];
};

struct qb_cc_cfg {
	uint32_t mss_bytes;	   /* largest QUIC packet (UDP payload) at present */
	uint64_t init_rtt_ns;	   /* RTT to assume before the first sample */
	uint64_t init_cwnd_bytes;  /* 0: RFC 9002 §7.2 */
	uint64_t min_cwnd_bytes;   /* never less than that; 0: as the algorithm has it */
	uint64_t seed;		   /* for controllers that randomise */
	struct qb_cc_group *group; /* the connection's; NULL: the path is on its own */
};

struct qb_cc_sent {
	uint64_t now_ns;
	uint32_t bytes;
	uint64_t in_flight_bytes; /* after this packet */
	bool is_app_limited;	  /* the sender has less to send than the window allows */
};

/* One ACK frame's worth of newly acknowledged packets. */
struct qb_cc_ack {
	uint64_t now_ns;
	uint64_t acked_bytes;
	uint64_t in_flight_bytes;	/* after the ACK (and the losses it revealed) */
	uint64_t prior_in_flight_bytes; /* before it */
	uint64_t lost_bytes;		/* newly lost, also given to on_loss before this */
	uint64_t largest_sent_ns;	/* when the newest acknowledged packet was sent */
	uint64_t rtt_ns;		/* the latest sample; 0: this ACK gave none */
	uint64_t srtt_ns, min_rtt_ns;
	bool has_queue;	   /* the peer told when the newest packet arrived: */
	uint64_t queue_ns; /* how much longer it was on its way than packets are at least */
	/* Delivery rate sample; rate_bps is 0 where there is none. */
	uint64_t rate_bps; /* bits a second */
	uint64_t rate_interval_ns;
	uint64_t rate_delivered_bytes;	/* delivered in that interval */
	uint64_t rate_lost_bytes;	/* lost in that interval */
	uint64_t prior_delivered_bytes; /* path total when the newest acked packet was sent */
	uint64_t delivered_bytes;	/* path total now */
	uint64_t tx_in_flight_bytes; /* in flight when the newest acked packet was sent, with it */
	uint32_t sharer_cnt;	  /* of the connection's paths that wait in this one's queue, itself
				     included; 0: nobody knows */
	bool is_rate_app_limited; /* the sample was taken while app-limited */
	bool is_cwnd_limited;	  /* the window was the bound when this flight was sent */
};

struct qb_cc_loss {
	uint64_t now_ns;
	uint64_t lost_bytes;
	uint64_t largest_sent_ns;     /* when the newest lost packet was sent */
	uint64_t in_flight_bytes;     /* after the loss */
	uint64_t tx_in_flight_bytes;  /* in flight when the newest lost packet was sent */
	uint64_t lost_since_tx_bytes; /* lost on this path since that packet was sent, this loss
					 included */
	uint64_t delivered_bytes;
	uint32_t range_cnt;  /* discontiguous ranges of packet numbers in this loss */
	bool is_persistent;  /* persistent congestion (RFC 9002 §7.6) */
	bool is_app_limited; /* the newest lost packet was sent while app-limited */
};

struct qb_cc_ecn {
	uint64_t now_ns;
	uint64_t ce_pkts;  /* newly CE-marked */
	uint64_t ect_pkts; /* newly acknowledged with ECT and no CE */
	uint64_t largest_sent_ns;
	uint64_t in_flight_bytes;
	uint64_t srtt_ns;
	uint64_t delivered_bytes;
};

struct qb_cc_view {
	uint64_t cwnd_bytes;
	uint64_t pacing_bps;	      /* 0: by the window and the RTT, as qb_cc_pacing_bps has it */
	uint64_t pacing_window_bytes; /* the window to pace by; 0: cwnd_bytes */
	uint64_t ssthresh_bytes;      /* UINT64_MAX where the algorithm has none yet */
	const char *phase;	      /* "slow start", "recovery", "probe up", … */
	const char *why; /* in words, what no textbook says of it; NULL: there is nothing */
};

struct qb_cc {
	const char *name;
	size_t state_bytes;
	bool is_ect1; /* wants ECT(1) on its packets (L4S) */
	void (*init)(void *st, const struct qb_cc_cfg *cfg, uint64_t now_ns);
	void (*on_sent)(void *st, const struct qb_cc_sent *ev);
	void (*on_ack)(void *st, const struct qb_cc_ack *ev);
	void (*on_loss)(void *st, const struct qb_cc_loss *ev);
	void (*on_ecn)(void *st, const struct qb_cc_ecn *ev);
	void (*on_spurious)(void *st, uint64_t now_ns);	      /* the last loss event was none */
	void (*view)(const void *st, struct qb_cc_view *out); /* *out is all zero before */
	/* It still finds out what the path carries, by sending more. NULL: it does not tell. */
	bool (*is_starting)(const void *st);
};

/* qb_cc_find returns the algorithm of that name, or NULL; qb_cc_list is all of them, NULL at the
 * end. */
const struct qb_cc *qb_cc_find(const char *name);
extern const struct qb_cc *const qb_cc_list[];

/* qb_cc_group_leave removes the instance with that state; nothing happens if it is no member. */
void qb_cc_group_leave(struct qb_cc_group *group, const void *st);

/*
 * qb_cc_pacing_bps is the rate to send at: the controller's own, or else a quarter faster than its
 * window a round trip (RFC 9002 §7.7). srtt_ns is 0 before the first sample: then it is 0, no
 * bound, for the initial window is the burst that is allowed.
 */
static inline uint64_t qb_cc_pacing_bps(const struct qb_cc_view *v, uint64_t srtt_ns)
{
	uint64_t window_bytes = v->pacing_window_bytes ? v->pacing_window_bytes : v->cwnd_bytes;

	if (v->pacing_bps || !srtt_ns)
		return v->pacing_bps;
	return (uint64_t)((double)window_bytes * 8 * 1.25e9 /
			  (double)QB_MAX(srtt_ns, UINT64_C(1000)));
}

/* qb_cc_initial_cwnd: RFC 9002 §7.2. */
static inline uint64_t qb_cc_initial_cwnd(uint32_t mss_bytes)
{
	uint64_t floor_bytes = QB_MAX((uint64_t)14720, 2 * (uint64_t)mss_bytes);

	return QB_MIN(10 * (uint64_t)mss_bytes, floor_bytes);
}

/* qb_cc_start_cwnd is the window to begin with, _min_cwnd the least one (RFC 9002 §7.2: two
 * packets). */
static inline uint64_t qb_cc_start_cwnd(const struct qb_cc_cfg *cfg)
{
	uint64_t bytes =
		cfg->init_cwnd_bytes ? cfg->init_cwnd_bytes : qb_cc_initial_cwnd(cfg->mss_bytes);

	return QB_MAX(bytes, cfg->min_cwnd_bytes);
}

static inline uint64_t qb_cc_min_cwnd(const struct qb_cc_cfg *cfg)
{
	return QB_MAX(cfg->min_cwnd_bytes, 2 * (uint64_t)cfg->mss_bytes);
}

#include "cc/resume.h"
