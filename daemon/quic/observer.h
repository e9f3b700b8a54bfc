/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an observer of a connection is told (trace.def has the list). An event is valid during the
 * call only; the observer must neither block nor call back into quic/. A connection without an
 * observer pays one predicted branch an event.
 */
#pragma once

#include "base/addr.h"
#include "tls/keys.h"
#include "wire/frame.h"
#include "wire/header.h"

enum qb_trace_type {
#define QB_TRACE(id, name, space) QB_TRACE_##id,
#include "quic/trace.def"
#undef QB_TRACE
	QB_TRACE_TYPE_CNT
};

#define QB_TRACE_NO_PATH UINT32_MAX

enum qb_ecn_state { QB_ECN_OFF, QB_ECN_TESTING, QB_ECN_CAPABLE, QB_ECN_FAILED };

struct qb_trace_started {
	bool is_server;
	bool is_midway; /* it was there before the observer */
	uint32_t version;
	struct qb_cid odcid, local_cid, remote_cid;
	struct qb_tuple tuple;
};

struct qb_trace_closed {
	uint64_t error_code;
	bool is_app, is_by_peer, is_silent; /* silent: a timeout, nothing was sent */
};

struct qb_trace_packet {
	enum qb_pkt_type type;
	enum qb_mp_dialect dialect; /* of its frames */
	uint64_t pn;
	uint64_t key_phase;
	uint32_t bytes; /* with header and tag; received: 0 where not known */
	bool is_mtu_probe;
	bool is_reset; /* a stateless reset; type means nothing */
};

struct qb_trace_lost {
	enum qb_pkt_type type;
	uint64_t pn, sent_ns;
	uint32_t bytes;
	bool is_by_time; /* else by the packets behind it */
	bool is_mtu_probe;
};

struct qb_trace_key {
	enum qb_level level;
	bool is_server; /* whose packets it protects */
	uint64_t phase;
	const char *trigger; /* "tls", "local_update", "remote_update" */
};

struct qb_trace_metrics {
	uint64_t min_rtt_ns, srtt_ns, latest_rtt_ns, rttvar_ns; /* 0: no sample yet */
	uint64_t cwnd_bytes, in_flight_bytes, pacing_bps, delivery_bps;
	uint64_t ssthresh_bytes;		 /* UINT64_MAX: none */
	uint64_t lost_packets, spurious_packets; /* in all */
	uint32_t pto_count, eliciting_cnt;
};

struct qb_trace_event {
	enum qb_trace_type type;
	uint32_t path_id; /* QB_TRACE_NO_PATH where it is about none */
	uint64_t conn;	  /* number of the connection at its endpoint, never used again */
	uint64_t now_ns;
	union {
		struct qb_trace_started started;
		struct qb_trace_closed closed; /* extra: the reason */
		struct {
			const char *name; /* static text of qlog's schema */
			/* At the end of the handshake. */
			enum qb_suite suite;
			bool is_resumed, is_early;
		} state;
		struct {
			bool is_local;
		} params; /* extra: struct qb_tparams */
		struct {
			struct qb_tuple tuple;
			bool is_gone; /* abandoned and forgotten: no addresses */
		} assigned;
		struct {
			uint64_t error_code;
			bool is_by_peer;
		} abandoned;
		struct {
			uint32_t was_bytes, bytes;
			bool is_settled;
		} mtu;
		struct qb_trace_packet packet; /* extra: its frames in the clear; of a Version Negotiation: uint32_t of each */
		struct {
			uint32_t why; /* enum qb_counter */
		} dropped;
		struct qb_trace_lost lost;
		struct {
			bool is_out;
			uint32_t bytes;
		} datagram;
		struct qb_trace_key key;
		struct qb_trace_metrics metrics;
		struct {
			const char *was, *now; /* static texts; was may be NULL */
		} congestion; /* and link; extra: the reason, in words */
		struct {
			enum qb_ecn_state was, now;
		} ecn;
	};
	const void *extra; /* what else belongs to the event; NULL: nothing */
	uint32_t extra_bytes;
};

struct qb_observer {
	void (*on_event)(void *arg, const struct qb_trace_event *ev);
	void *arg;
};

/* qb_trace_name is "packet_sent" and so on, qb_trace_space its namespace in qlog. */
const char *qb_trace_name(enum qb_trace_type type);
const char *qb_trace_space(enum qb_trace_type type);
