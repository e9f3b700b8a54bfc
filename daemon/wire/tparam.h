/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transport parameters (RFC 9000 §18, RFC 9221, 9287, 9368, 10069, ACK frequency, reliable stream
 * reset): the TLS extension's bytes to a struct and back, with every limit checked.
 */
#pragma once

#include "wire/error.h"
#include "wire/frame.h"
#include "wire/header.h"

enum {
	QB_TP_VERSIONS_MAX =
		16, /* of version_information that are kept; more are checked and forgotten */
	QB_TP_BYTES_MAX = 1024, /* room that qb_tparams_build needs at most */
	QB_ACK_DELAY_EXPONENT_DEFAULT = 3,
	QB_MAX_ACK_DELAY_DEFAULT_MS = 25,
	QB_CID_LIMIT_DEFAULT = 2,
	QB_UDP_PAYLOAD_MIN = 1200,
	QB_UDP_PAYLOAD_MAX = 65527,
};

/* draft-ietf-quic-address-discovery: whether an endpoint tells its peer the address that it sees, wants to be told, or both. */
enum qb_address_discovery { QB_ADDRESS_TELL, QB_ADDRESS_WANT, QB_ADDRESS_BOTH };

struct qb_preferred_addr {
	uint8_t ipv4[4], ipv6[16];
	uint16_t port4, port6; /* 0: that family is not offered */
	struct qb_cid cid;
	uint8_t reset_token[QB_SRT_LEN];
};

struct qb_version_info {
	uint32_t chosen;
	uint32_t available_cnt;
	uint32_t available[QB_TP_VERSIONS_MAX]; /* in the sender's order of preference */
};

/*
 * Values are as sent. A parameter that was absent has its default; has_* tells where absence means
 * something of its own.
 */
struct qb_tparams {
	bool has_original_dcid, has_initial_scid, has_retry_scid, has_reset_token,
		has_preferred_addr;
	bool has_version_info, has_max_path_id[QB_MP_DIALECT_CNT], has_min_ack_delay;
	bool has_rx_timestamps, has_address_discovery;
	bool disable_active_migration, grease_quic_bit, reset_stream_at;
	struct qb_cid original_dcid;		 /* server */
	struct qb_cid initial_scid;		 /* both, mandatory */
	struct qb_cid retry_scid;		 /* server, iff it sent Retry */
	uint8_t reset_token[QB_SRT_LEN];	 /* server */
	struct qb_preferred_addr preferred_addr; /* server */
	uint64_t max_idle_timeout_ms;		 /* 0: none */
	uint64_t max_udp_payload_bytes;
	uint64_t max_data;
	uint64_t max_stream_data_bidi_local, max_stream_data_bidi_remote, max_stream_data_uni;
	uint64_t max_streams_bidi, max_streams_uni;
	uint64_t ack_delay_exponent;
	uint64_t max_ack_delay_ms;
	uint64_t cid_limit;		   /* active_connection_id_limit; per path with multipath */
	uint64_t max_datagram_frame_bytes; /* 0: no DATAGRAM frames */
	/* initial_max_path_id, by dialect */
	uint64_t max_path_id[QB_MP_DIALECT_CNT];
	uint64_t min_ack_delay_us;
	uint64_t address_discovery;	 /* enum qb_address_discovery; with has_address_discovery */
	uint64_t rx_timestamps_max;	 /* max_receive_timestamps_per_ack; with has_rx_timestamps */
	uint64_t rx_timestamps_exponent; /* of the times that are sent to whom it comes from */
	struct qb_version_info version_info;
};

/* qb_tparams_init sets every default. */
void qb_tparams_init(struct qb_tparams *tp);

/*
 * qb_tparams_parse reads what a client (is_from_client) or a server sent. Absence of a mandatory
 * parameter is an error too. Comparing connection IDs (RFC 9000 §7.3) and versions with what was
 * seen is the caller's. Returns 0, or -EBADMSG with TRANSPORT_PARAMETER_ERROR and the parameter's
 * name in *fault.
 */
int qb_tparams_parse(struct qb_tparams *tp, const uint8_t *p, size_t len, bool is_from_client,
		     struct qb_fault *fault) QB_MUST_CHECK;

/*
 * qb_tparams_build appends tp as its sender (is_client) sends it, defaults left out. grease: random
 * bits for a reserved parameter among them, 0 for none. Server-only parameters of a client's tp are
 * left out.
 */
void qb_tparams_build(struct qb_wr *w, const struct qb_tparams *tp, bool is_client,
		      uint64_t grease);
