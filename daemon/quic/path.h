/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One path of a connection: its addresses, packet number space, RTT, congestion controller, pacer, MTU and
 * validation. Path 0 also carries the handshake, whose packets count against its window.
 */
#pragma once

#include "quic/cids.h"
#include "quic/mtu.h"
#include "quic/nat.h"
#include "quic/owd.h"
#include "quic/pacer.h"
#include "quic/quic.h"
#include "quic/rate.h"
#include "quic/rtt.h"
#include "quic/space.h"

enum {
	QB_CHALLENGES = 4, /* PATH_CHALLENGEs whose answers are accepted */
	QB_AMPLIFICATION = 3,
	QB_CHALLENGE_ROOM_MIN = 64, /* less than that left: no challenge */
	QB_PTO_BACKOFF_MAX = 10, /* doublings */
};

/* Address validation by PATH_CHALLENGE (RFC 9000 §8.2). */
struct qb_validation {
	bool is_active;
	uint8_t sent_cnt;      /* challenges sent in this validation */
	uint64_t next_ns;      /* when to send the next one */
	uint64_t give_up_ns;
	uint8_t data[QB_CHALLENGES][QB_PATH_CHALLENGE_LEN];
};

/* How much an unvalidated address may be sent (RFC 9000 §8.1). */
struct qb_amp {
	bool is_validated;
	uint64_t rx_bytes, tx_bytes;
};

/* ECN as a sender (RFC 9000 §13.4). */
struct qb_ecn_tx {
	enum qb_ecn_state state;
	uint8_t codepoint; /* of the IP header, while testing or capable */
	uint32_t test_cnt, lost_cnt; /* marked packets since the test began */
	uint64_t ect0_cnt, ect1_cnt; /* sent, ever */
	uint64_t largest_acked;
	uint64_t peer_ect0, peer_ect1, peer_ce; /* counts that the peer reported last */
};

struct qb_path_liveness {
	uint64_t last_rx_ns, last_ack_ns, last_acked_sent_ns;
	uint64_t last_tx_eliciting_ns;
};

struct qb_path_totals {
	uint64_t tx_packets, tx_bytes, rx_packets, rx_bytes;
	uint64_t lost_packets, lost_bytes, spurious_packets, acked_packets;
	uint64_t unopened_packets, duplicate_packets, reordered_packets; /* received */
};

/* Congestion control: the instance and what the transport remembers for it. */
struct qb_path_cc {
	const struct qb_cc *algo;
	_Alignas(16) uint8_t state[QB_CC_STATE_MAX];
	struct qb_resume resume;
	struct qb_cc_view view; /* as of the last event */
	uint64_t in_flight_bytes;
	uint64_t limited_pn; /* packets below it were sent while the window or the pacer was the bound */
	uint64_t recovery_sent_ns; /* losses of packets sent before belong to the last loss event */
	uint32_t event_lost_cnt; /* packets lost in that event and not found to be spurious */
	/* Packets [foreign_pn, own_pn) went to another address than the one that is measured here, and say nothing of
	 * it (RFC 9000 §9.4). */
	uint64_t foreign_pn, own_pn;
	uint64_t left_pn, moved_pn; /* the first sent since it left its validated address; to the present one */
};

/* An address that is probed while the path stays where it is. */
struct qb_alt {
	struct qb_tuple tuple;
	uint64_t cid_seq; /* of the peer's connection ID for it */
	struct qb_validation validation;
};

struct qb_spin {
	bool is_on; /* else the bit is noise */
	bool value;
	uint64_t cid_seq; /* of the peer's connection ID that it was last sent with */
};

/* What an observer knows already (trace.h). */
struct qb_path_told {
	const char *cc_phase;
	uint32_t mtu_bytes;
	enum qb_ecn_state ecn;
	bool is_mtu_settled;
};

struct qb_path {
	enum qb_path_phase phase;
	uint8_t idx;
	uint8_t pid;	      /* index of its path ID in the connection */
	uint32_t id;
	bool is_down;	      /* held for dead by the owner: probes only */
	bool is_doubted;      /* by the owner: for what must arrive, others are better */
	bool is_hearsay_due;  /* another path is to say what arrived */
	bool is_ack_detoured; /* the peer doubts it: it is to hear by another path at once what arrived by this one */
	bool is_closed_by_peer;
	bool was_validated;   /* once: the PATH_VALIDATED event was given */
	bool was_datagram;    /* the last of what it carried: streams are next */
	uint64_t fill_until_ns; /* as qb_conn_fill_path */
	uint8_t probe_cnt;    /* packets to send although the window is full (PTO, qb_conn_probe_path) */
	struct qb_tuple tuple, prev_tuple; /* prev: where it was before the peer's address changed */
	bool has_prev;
	bool has_prev_cid;	/* there it had a connection ID of its own */
	uint64_t prev_cid_seq;
	const struct qb_cid_entry *rx_cid; /* of ours, by which the peer sends from tuple (server) */
	bool is_new_network; /* once validated, nothing that was measured holds */
	uint8_t prev_challenge[QB_PATH_CHALLENGE_LEN]; /* sent to prev_tuple */
	struct qb_alt alt;
	struct qb_addr former_peer; /* client: where the server was before it preferred another address */
	enum qb_tx_state token_tx;  /* server: a NEW_TOKEN for this address */
	enum qb_tx_state observed_tx; /* server: an OBSERVED_ADDRESS */
	uint64_t observed_seq;	      /* server: of the last one sent; client: of the next one that counts */
	struct qb_addr observed;      /* client: what the server sees; family 0: not known */
	struct qb_amp amp;
	struct qb_validation validation;
	uint64_t opened_ns, validated_ns, forget_ns;
	struct qb_space space;
	struct qb_rtt rtt;
	bool is_rtt_detoured; /* it was measured by ACKs that came by other paths */
	uint64_t doubted_ns;  /* since when, if it is doubted */
	uint64_t detour_ns;   /* since when ACKs come by others than before; 0: they do not */
	struct qb_owd owd;
	struct qb_path_tune tune;
	uint64_t limit_bps; /* of IP packets; 0: none */
	uint32_t pto_count;
	struct qb_rate rate;
	struct qb_pacer pacer;
	struct qb_path_cc cc;
	uint32_t sharer_cnt; /* paths at this one's bottleneck, as the owner found out; 0: not known */
	struct qb_mtu mtu;
	uint64_t keepalive_ns; /* 0: the endpoint's; QB_KEEPALIVE_LONGEST: as nat says */
	struct qb_nat nat;
	struct qb_ecn_tx ecn;
	struct qb_spin spin;
	uint64_t rx_phase_pn; /* lowest number received in the current key phase; QB_PN_NONE */
	uint64_t tx_phase_pn; /* first number sent in the current key phase */
	uint64_t skip_pn;     /* the next packet number to leave out */
	uint64_t rx_largest_nonprobing; /* RFC 9000 §9.3: only newer packets move the path */
	struct qb_path_liveness live;
	struct qb_path_totals total;
	struct qb_path_told told;
};

/* qb_path_window is what may be in flight beside what is. */
static inline uint64_t qb_path_window(const struct qb_path *p)
{
	return qb_sub_sat_u64(p->cc.view.cwnd_bytes, p->cc.in_flight_bytes);
}

/* How many bytes window, pacer and anti-amplification allow at now_ns; UINT64_MAX cannot occur. */
uint64_t qb_path_budget(const struct qb_path *p, uint64_t now_ns);
/* qb_path_amp_room is how much the anti-amplification limit leaves; UINT64_MAX once validated. */
uint64_t qb_path_amp_room(const struct qb_path *p);
void qb_path_init_cc(struct qb_path *p, const struct qb_cc *algo, struct qb_cc_group *group, uint64_t seed,
		     uint64_t now_ns);
/* qb_path_draw_spin decides by lot whether the path is one of those that show their RTT: of_16 of 16. */
void qb_path_draw_spin(struct qb_path *p, uint8_t of_16, uint64_t lot);
/* qb_path_update_cc reads the controller's view and sets the pacer by it. */
void qb_path_update_cc(struct qb_path *p, uint64_t now_ns);
/* qb_path_pto_ns is the path's probe timeout with its backoff. */
uint64_t qb_path_pto_ns(const struct qb_path *p, uint64_t peer_max_ack_delay_ns);
/* qb_path_is_foreign: a 1-RTT packet of the path went to an address that its controller knows nothing of. */
static inline bool qb_path_is_foreign(const struct qb_path *p, const struct qb_sent_pkt *rec, uint64_t pn)
{
	return (rec->flags & QB_SENT_ELSEWHERE) || (pn >= p->cc.foreign_pn && pn < p->cc.own_pn);
}
/* qb_path_is_usable: data may be sent on it. */
static inline bool qb_path_is_usable(const struct qb_path *p)
{
	return p->phase == QB_PATH_OPEN && !p->is_down;
}
/* qb_path_is_suspect: what was sent on it lately went unanswered; others are better for what must arrive. */
static inline bool qb_path_is_suspect(const struct qb_path *p)
{
	return p->pto_count > 0 || p->is_doubted;
}
/* qb_path_is_peer_ok: a host that is heard at `local` may have that address (RFC 9000 §21.5). */
bool qb_path_is_peer_ok(const struct qb_addr *local, const struct qb_addr *peer);
void qb_validation_start(struct qb_validation *v, uint64_t pto_ns, uint64_t now_ns);
void qb_path_start_validation(struct qb_path *p, uint64_t pto_ns, uint64_t now_ns);
