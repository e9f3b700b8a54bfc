/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The points where a connection can be watched. Each is a USDT probe, which is a nop until a tracer
 * attaches, and a branch to the observer; what the observer gets is put together in trace.c.
 * Included by conn.h.
 */
#pragma once

#include <sys/sdt.h>

#include "quic/observer.h"

/* All probes have the same form: trace.def says what a and b are. */
#define QB_PROBE(name, conn, path_id, a, b)                                                        \
	DTRACE_PROBE4(quicbond, name, (conn)->number, path_id, a, b)

struct qb_conn;
struct qb_path;
struct qb_rx_pkt;
struct qb_tx_pkt;

/* How the packet around datagrams is laid out. */
struct qb_trace_layout {
	uint32_t hdr_len, payload_len,
		before_len; /* before_len: of the payload, in front of the DATAGRAM frames */
	uint64_t pn;
};

void qb_trace_emit_received(const struct qb_conn *c, const struct qb_rx_pkt *rx,
			    const uint8_t *payload, size_t len);
void qb_trace_emit_sent(const struct qb_conn *c, const struct qb_path *p,
			const struct qb_tx_pkt *pkt, uint64_t now_ns);
void qb_trace_emit_sent_datagram(const struct qb_conn *c, const struct qb_path *p,
				 const struct qb_buf *b, struct qb_trace_layout at,
				 uint64_t now_ns);
/* qb_trace_bare: a packet without frames was received that counts: Retry, Version Negotiation with these versions. */
void qb_trace_bare(const struct qb_conn *c, enum qb_pkt_type type, const uint32_t *versions, uint32_t cnt,
		   uint64_t now_ns);
void qb_trace_reset(const struct qb_conn *c, uint64_t now_ns);
void qb_trace_emit_dropped(const struct qb_conn *c, uint32_t why);
void qb_trace_lost(const struct qb_conn *c, const struct qb_path *p,
		   const struct qb_trace_lost *lost, uint64_t now_ns);
void qb_trace_emit_datagram(const struct qb_conn *c, const struct qb_path *p, bool is_out,
			    size_t bytes, uint64_t now_ns);
void qb_trace_emit_metrics(const struct qb_conn *c, const struct qb_path *p, uint64_t now_ns);

/* Rare ones: probe and observer both in trace.c. */
void qb_trace_started(const struct qb_conn *c, bool is_midway, uint64_t now_ns);
void qb_trace_state(const struct qb_conn *c, const char *state, uint64_t now_ns);
void qb_trace_closed(const struct qb_conn *c, bool is_silent, uint64_t now_ns);
void qb_trace_params(const struct qb_conn *c, bool is_local, const void *params, uint64_t now_ns);
void qb_trace_tuple(const struct qb_conn *c, const struct qb_path *p, bool is_gone,
		    uint64_t now_ns);
void qb_trace_validated(const struct qb_conn *c, const struct qb_path *p, uint64_t now_ns);
void qb_trace_abandoned(const struct qb_conn *c, uint32_t path_id, uint64_t error_code,
			bool is_by_peer, uint64_t now_ns);
/* qb_trace_key: a key of that level came (of the client's or the server's packets), or went. */
void qb_trace_key(const struct qb_conn *c, enum qb_trace_type type, enum qb_level level, bool is_tx,
		  uint64_t phase, const char *trigger, uint64_t now_ns);
void qb_trace_ended(const struct qb_conn *c, uint64_t now_ns);
/* qb_trace_changes tells what is not as it was told last: the controller's state, MTU, ECN. */
void qb_trace_changes(const struct qb_conn *c, struct qb_path *p, uint64_t now_ns);
