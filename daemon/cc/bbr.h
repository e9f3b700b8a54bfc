/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine of BBRv2 and BBRv3: one engine, its constants in a table that the version's file
 * (bbr2.c, bbr3.c, auto.c) gives.
 *
 *     Startup ─> Drain ─> DOWN ─> CRUISE ─> REFILL ─> UP
 *                          ^──────────────────────────┘
 *     any of them ─> ProbeRTT ─> CRUISE, or Startup while the pipe was never full
 *
 * bbr.c takes the events and sets window and rate, bbr_phase.c moves between the states, bbr_loss.c
 * answers loss, CE marks and spurious losses. bbr_guide.c, bbr_noise.c and bbr_marks.c add what
 * auto.c wants. Names in comments (BBR.x, RS.x) are the draft's.
 */
#pragma once

#include "base/rand.h"
#include "cc/bbr_model.h"

#define QB_BBR_NONE UINT64_MAX /* a bound that is not set */

enum {
	QB_BBR_MIN_PIPE_PKTS = 4, /* BBR.MinPipeCwnd */
};

enum qb_bbr_state {
	QB_BBR_STARTUP,
	QB_BBR_DRAIN,
	QB_BBR_DOWN,
	QB_BBR_CRUISE,
	QB_BBR_REFILL,
	QB_BBR_UP,
	QB_BBR_PROBE_RTT,
	QB_BBR_STATE_CNT
};

/* What the ACKs of the moment say about the last probe for bandwidth (BBR.ack_phase). */
enum qb_bbr_acks {
	QB_BBR_ACKS_INIT,
	QB_BBR_ACKS_REFILLING,
	QB_BBR_ACKS_PROBE_STARTING,
	QB_BBR_ACKS_PROBE_FEEDBACK,
	QB_BBR_ACKS_PROBE_STOPPING,
};

/* What differs between versions. */
struct qb_bbr_params {
	double pacing_gain[QB_BBR_STATE_CNT];
	double cwnd_gain[QB_BBR_STATE_CNT];
	uint32_t startup_full_loss_cnt; /* discontiguous losses in a round that end Startup */
	uint32_t drain_max_rounds;	/* 0: no bound */
	bool is_up_until_full; /* UP ends when the rate stops growing; else at 1.25 BDP in flight */
	bool is_precautionary; /* after a probe that was too high one stops at inflight_longterm */
	bool is_guided;	       /* as bbr_guide.c has it; not in any draft */
};

/* What bbr_guide.c knows of the delay; QB_NEVER_NS is a minimum without samples. */
struct qb_bbr_guide {
	/* The window of an eighth of a round trip, and its least RTT: as it is, and without what
	 * ACKs waited for on their way back. */
	uint64_t win_start_ns, win_end_ns;
	uint64_t win_rtt_ns, last_win_rtt_ns;
	uint64_t win_min_ns, last_win_min_ns;
	uint64_t back_ns;	   /* what the last ACK with a time stamp waited for on its way */
	uint64_t jitter_ns;	   /* what the window minimum falls by itself, on average */
	uint64_t drained_until_ns; /* until then the RTT falls by what was left out */
	struct {		   /* what the RTT is without a queue, jitter and all */
		uint64_t slot_ns[2], end_ns;
		uint64_t round_max_ns; /* greatest window minimum of this round trip */
		uint32_t win_cnt;      /* windows of it so far */
		bool is_limited;       /* we were application-limited in it */
	} floor;
	uint32_t queue_windows; /* in a row with a queue although application-limited */
	uint64_t up_base_ns;	/* RTT when UP began; QB_NEVER_NS: it says nothing */
	uint64_t base_ns; /* RTT that draining does not lower: the path's and cross traffic's */
	/* The attempt to drain: window minimum (0: none) and round when it began. */
	uint64_t drain_from_ns, drain_from_round;
	bool is_drain_sure;	      /* it goes by the rate that is delivered */
	uint64_t cross_until_round;   /* until then the queue counts as cross traffic's */
	uint64_t step_ns, step_round; /* RTT that the path may have jumped to (0: none), and when */
	uint64_t step_queue_ns;	      /* what of it may be a queue that stood before */
	uint64_t jump_round;	      /* when it jumped to that height, or to more */
	uint64_t stepped_from_ns, stepped_to_ns; /* the last jump that was one; to 0: it is over */
	uint64_t round_win_ns;	      /* window minimum when the last loss round ended */
	bool is_round_filled;	      /* in this one we were not application-limited all the time */
	uint64_t slowed_bps; /* the rate after a fall that a queue told of; 0: none since UP */
};

/* What bbr_noise.c knows of random loss. */
struct qb_bbr_noise {
	uint64_t up_acked_bytes, up_lost_bytes;	      /* of what a probe sent above the rate */
	uint64_t quiet_acked_bytes, quiet_lost_bytes; /* of what was sent while no queue was seen */
	uint64_t round_lost_bytes;		      /* in this loss round */
	double quiet_loss;			      /* of the last quiet time, 0 to 1 */
	double loss;				      /* what is lost whatever we send, 0 to 1 */
};

/* What bbr_marks.c knows of CE marks. */
struct qb_bbr_marks {
	uint64_t ce_pkts, all_pkts; /* in this loss round */
	double part;		    /* of packets that are marked, on average; 0 to 1 */
	bool has_burst;		    /* one in this round was a burst's */
	bool is_long;		    /* inflight_longterm was set by a mark */
};

struct qb_bbr {
	const struct qb_bbr_params *par;
	enum qb_bbr_state state;
	uint32_t mss_bytes;
	uint64_t init_cwnd_bytes, min_cwnd_bytes, cwnd_bytes, prior_cwnd_bytes;
	uint64_t pacing_bps;
	uint64_t bw_bps; /* BBR.bw: min(max_bw, bw_shortterm) */
	uint64_t max_inflight_bytes;
	uint64_t delivered_bytes; /* C.delivered as of the last event */
	uint64_t recovery_start_ns;
	uint32_t sharer_cnt; /* of the connection's paths at this bottleneck, as of the last ACK */
	bool is_in_recovery;
	bool is_idle_restart;
	bool has_rtt;
	struct qb_rand rand;
	struct qb_bbr_round round;
	struct qb_bbr_full full;
	struct qb_bbr_agg agg;
	uint64_t drain_start_round;
	struct { /* BBR.max_bw over this ProbeBW cycle and the one before */
		uint64_t max_bps, cycle_bps[2];
		bool has_advanced; /* since the last ProbeRTT */
	} bw;
	struct {
		uint64_t min_ns, min_stamp_ns;		   /* BBR.min_rtt, 10 s */
		uint64_t probe_min_ns, probe_min_stamp_ns; /* BBR.probe_rtt_min_delay, 5 s */
		uint64_t probe_done_ns; /* BBR.probe_rtt_done_stamp; 0: not yet */
		bool is_probe_expired, is_probe_round_done;
	} rtt;
	struct { /* samples of packets sent in ProbeRTT say nothing of the path's rate */
		uint64_t from_bytes, to_bytes;
	} low;
	struct { /* BBR.*_latest, loss rounds and the two time scales of the model */
		uint64_t round_delivered_bytes, bw_latest_bps, inflight_latest_bytes;
		uint64_t bw_short_bps, inflight_short_bytes, inflight_long_bytes;
		uint64_t ce_pkts;   /* marks not yet answered */
		uint32_t range_cnt; /* losses in this round */
		bool is_round_start, is_in_round;
	} loss;
	struct { /* of Startup's loss rounds: this one so far, and how many overflowed a buffer */
		uint64_t from_bytes, lost_bytes, peak_rtt_ns;
		uint64_t overflow_bps;		 /* the rate in the last of these */
		uint32_t overflow_cnt, flat_cnt; /* of these, in a row: without growth */
	} start;
	struct {
		enum qb_bbr_acks acks;
		uint64_t cycle_start_ns, wait_ns;
		uint64_t rounds_since_up, up_acked_bytes, up_acked_per_inc_bytes;
		uint32_t up_rounds;
		bool is_sample; /* BBR.is_bw_probe_sample */
		bool was_too_high, was_precautionary;
	} probe;
	struct {
		uint64_t bw_short_bps, inflight_short_bytes, inflight_long_bytes;
		enum qb_bbr_state state; /* STARTUP or UP to go back to; STATE_CNT: none */
	} undo;
	struct qb_bbr_guide guide;
	struct qb_bbr_noise noise;
	struct qb_bbr_marks marks;
	struct { /* C.is_cwnd_limited: at some time in this round or the last */
		bool in_round, in_last_round;
	} limited;
};

_Static_assert(sizeof(struct qb_bbr) <= QB_CC_STATE_MAX, "state");

/* bbr.c: the hooks of a version's table; its init calls qb_bbr_init with its constants. */
void qb_bbr_init(struct qb_bbr *b, const struct qb_bbr_params *par, const struct qb_cc_cfg *cfg,
		 uint64_t now_ns);
void qb_bbr_on_sent(void *st, const struct qb_cc_sent *ev);
void qb_bbr_on_ack(void *st, const struct qb_cc_ack *ev);
void qb_bbr_view(const void *st, struct qb_cc_view *out);
bool qb_bbr_is_starting(const void *st);
/* What every version's struct qb_cc has besides its name and init. */
#define QB_BBR_HOOKS                                                                               \
	.state_bytes = sizeof(struct qb_bbr), .on_sent = qb_bbr_on_sent, .on_ack = qb_bbr_on_ack,  \
	.on_loss = qb_bbr_on_loss, .on_ecn = qb_bbr_on_ecn, .on_spurious = qb_bbr_on_spurious,     \
	.view = qb_bbr_view, .is_starting = qb_bbr_is_starting
/* qb_bbr_inflight is what a gain times the BDP asks for, packets that offload and delayed ACKs hold
 * included. */
uint64_t qb_bbr_inflight(const struct qb_bbr *b, double gain);
uint64_t qb_bbr_bdp(const struct qb_bbr *b, double gain);
void qb_bbr_save_cwnd(struct qb_bbr *b);
void qb_bbr_restore_cwnd(struct qb_bbr *b);

static inline uint64_t qb_bbr_min_pipe(const struct qb_bbr *b)
{
	return QB_MAX(QB_BBR_MIN_PIPE_PKTS * (uint64_t)b->mss_bytes, b->min_cwnd_bytes);
}

static inline bool qb_bbr_is_in_probe_bw(const struct qb_bbr *b)
{
	return b->state >= QB_BBR_DOWN && b->state <= QB_BBR_UP;
}

static inline bool qb_bbr_is_cwnd_limited(const struct qb_bbr *b)
{
	return b->limited.in_round || b->limited.in_last_round;
}

/* bbr_phase.c */
void qb_bbr_enter_startup(struct qb_bbr *b);
void qb_bbr_start_down(struct qb_bbr *b, uint64_t now_ns);
void qb_bbr_start_refill(struct qb_bbr *b);
/* qb_bbr_phase_update makes the transitions that an ACK calls for, ProbeRTT included. */
void qb_bbr_phase_update(struct qb_bbr *b, const struct qb_cc_ack *rs);
void qb_bbr_probe_rtt_check_done(struct qb_bbr *b, uint64_t now_ns);
uint64_t qb_bbr_probe_rtt_cwnd(const struct qb_bbr *b);
uint64_t qb_bbr_inflight_with_headroom(const struct qb_bbr *b);

/* bbr_loss.c */
void qb_bbr_on_loss(void *st, const struct qb_cc_loss *ev);
void qb_bbr_on_ecn(void *st, const struct qb_cc_ecn *ev);
void qb_bbr_on_spurious(void *st, uint64_t now_ns);
void qb_bbr_reset_congestion_signals(struct qb_bbr *b);
void qb_bbr_reset_short_term(struct qb_bbr *b);
bool qb_bbr_is_too_high(const struct qb_bbr *b, uint64_t lost_bytes, uint64_t tx_in_flight_bytes);
/* qb_bbr_loss_begin and _end enclose the processing of an ACK: signals of the last round, and their
 * end. */
void qb_bbr_loss_begin(struct qb_bbr *b, const struct qb_cc_ack *rs);
void qb_bbr_loss_end(struct qb_bbr *b, const struct qb_cc_ack *rs);

/* bbr_guide.c; all of it does nothing, and says no, unless the parameters want it. */
void qb_bbr_guide_init(struct qb_bbr *b);
void qb_bbr_guide_on_ack(struct qb_bbr *b, const struct qb_cc_ack *rs);
void qb_bbr_guide_on_up(struct qb_bbr *b);
/* qb_bbr_guide_on_refill: a rate that fell since the last probe becomes the long-term rate. */
void qb_bbr_guide_on_refill(struct qb_bbr *b);
/* qb_bbr_guide_has_queue: the last window had a queue on the forward path, of whomever. */
bool qb_bbr_guide_has_queue(const struct qb_bbr *b);
/* qb_bbr_guide_has_rtt_queue: there was one on either path, or ACKs were late. */
bool qb_bbr_guide_has_rtt_queue(const struct qb_bbr *b);
/* qb_bbr_guide_is_drained: after a round of DOWN no queue of ours is left, whatever the window. */
bool qb_bbr_guide_is_drained(const struct qb_bbr *b);
/* qb_bbr_guide_rtt_ns is the RTT without a queue that the window is made for. */
uint64_t qb_bbr_guide_rtt_ns(const struct qb_bbr *b);
/* qb_bbr_guide_gain: paths of one connection that share a bottleneck share the excess as well. */
double qb_bbr_guide_gain(const struct qb_bbr *b, double gain);
/* qb_bbr_guide_is_full: sending faster fills a queue and nothing else. */
bool qb_bbr_guide_is_full(const struct qb_bbr *b);
/* qb_bbr_guide_is_growing: the rate still grows in Startup, so that losses have another cause. */
bool qb_bbr_guide_is_growing(const struct qb_bbr *b);
/* qb_bbr_guide_is_yielding: a queue of our own is to be drained in CRUISE. */
bool qb_bbr_guide_is_yielding(const struct qb_bbr *b);
/* qb_bbr_guide_is_draining, at a loss round's end: we send at less than the rate, and in this round the queue shrank. */
bool qb_bbr_guide_is_draining(const struct qb_bbr *b);
/* qb_bbr_guide_bound_bw, at a loss round's end: a queue that grows although we yield says that the
 * rate has fallen. */
void qb_bbr_guide_bound_bw(struct qb_bbr *b);
/* qb_bbr_guide_renews_min: there is no queue; ProbeRTT would learn nothing. */
bool qb_bbr_guide_renews_min(const struct qb_bbr *b, uint64_t rtt_ns);
/* qb_bbr_guide_probe_wait_ns, _probe_rounds: at least so long between probes for bandwidth; and so
 * many rounds, whatever Reno's window would take. */
uint64_t qb_bbr_guide_probe_wait_ns(const struct qb_bbr *b);
uint64_t qb_bbr_guide_probe_rounds(const struct qb_bbr *b);
/* qb_bbr_guide_why says in words what is made of the path; NULL: nothing that BBRv3 would not. */
const char *qb_bbr_guide_why(const struct qb_bbr *b);

/* bbr_noise.c */
void qb_bbr_noise_on_ack(struct qb_bbr *b, const struct qb_cc_ack *rs);
void qb_bbr_noise_on_loss(struct qb_bbr *b, uint64_t lost_bytes);
/* qb_bbr_noise_on_probe_end: the last feedback of UP is in. */
void qb_bbr_noise_on_probe_end(struct qb_bbr *b);
/* qb_bbr_noise_bytes: of so many bytes so many may be lost at random. */
uint64_t qb_bbr_noise_bytes(const struct qb_bbr *b, uint64_t of_bytes);
/* qb_bbr_noise_is_policed: more is lost of so many bytes than any radio loses at random. */
bool qb_bbr_noise_is_policed(const struct qb_bbr *b, uint64_t lost_bytes, uint64_t of_bytes);
/* qb_bbr_noise_is_lossy: so much is lost at random that the user should know. */
bool qb_bbr_noise_is_lossy(const struct qb_bbr *b);
/* qb_bbr_noise_explains_round: the losses of the round that ends were random. */
bool qb_bbr_noise_explains_round(const struct qb_bbr *b);

/* bbr_marks.c */
void qb_bbr_marks_on_ecn(struct qb_bbr *b, const struct qb_cc_ecn *ev);
/* qb_bbr_marks_on_round answers the bursts' marks of a loss round that ends. */
void qb_bbr_marks_on_round(struct qb_bbr *b);
/* qb_bbr_marks_are_burst: what is marked now waits behind itself, in no queue that stands. */
bool qb_bbr_marks_are_burst(const struct qb_bbr *b);
/*
 * qb_bbr_marks_headroom_bytes: where inflight_longterm was set by a mark, headroom leaves others
 * the queue, and nothing of what the path itself holds.
 */
uint64_t qb_bbr_marks_headroom_bytes(const struct qb_bbr *b, uint64_t room_bytes);
