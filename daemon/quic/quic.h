/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QUIC v1 with multiple paths, sans I/O: the front door of this folder.
 *
 * A struct qb_quic is one worker's endpoint: its connections, its connection ID table, its timers. It sees
 * no descriptor, clock or allocator: datagrams come in as batches of buffers, leave as batches of buffers,
 * time is an argument, memory is one region given at the start. Nothing here calls back: what happened is
 * read with qb_quic_next_event.
 *
 *     qb_quic_recv ──► datagram payloads (out batch) + events
 *     qb_conn_send_datagram ──► one sealed packet, in the caller's buffer
 *     qb_quic_send ──► everything else that is due: ACKs, handshake, streams, probes
 *     qb_quic_deadline_ns ──► when to call qb_quic_send again at the latest
 *
 * A connection has 1..QB_PATHS_MAX paths; one path is n = 1 of the same code. Path *indices* (0..n-1) name
 * slots and are what callers use; path *IDs* (RFC 10069) are never reused and stay inside.
 */
#pragma once

#include "base/buf.h"
#include "base/counters.h"
#include "cc/cc.h"
#include "quic/observer.h"
#include "tls/tls.h"

enum {
	QB_PATHS_MAX = 8,
	QB_CID_LEN = 10, /* of the connection IDs that we issue: QUIC-LB first octet, worker, 8 random bytes */
	QB_CID_WORKER_OFF = 1,
	QB_CONN_REASON_LEN = 96,
	QB_VERSIONS_MAX = 4,
	QB_SESSION_MAX = QB_TLS_SESSION_MAX + 128,
	QB_TOKENS_KEPT = 16,	 /* a client's, of servers, for its next connections */
	QB_TOKEN_KEPT_MAX = 256, /* bytes of one of them; larger ones are not kept */
	QB_TOKENS_BYTES = 9 + QB_TOKENS_KEPT * (14 + QB_TOKEN_KEPT_MAX),
	QB_BUNDLE_MAX = 16, /* datagrams in one packet */
	QB_QUIC_OVERHEAD = 1 + 20 + 4 + 1 + QB_AEAD_TAG_LEN, /* most that a DATAGRAM packet adds */
};

struct qb_quic;
struct qb_conn;

struct qb_quic_limits {
	uint32_t conns;		     /* connections at once */
	uint32_t streams_per_conn;   /* peer-opened streams open at once, of each kind */
	uint32_t sent_records;	     /* packets in flight, all connections together */
	uint32_t stream_chunks;	     /* chunks of stream data (send and receive), all together */
};

/* Where a path's controller starts from; zeros: as the RFCs have it. */
struct qb_path_tune {
	uint32_t init_window_pkts, min_window_pkts; /* of the largest size that the path may get (RFC 9002 §7.2) */
	uint64_t init_rtt_ns;			    /* RFC 9002 §6.2.2 */
	uint32_t persistent_ptos; /* all lost for so many PTOs is persistent congestion; 0: 3 (RFC 9002 §7.6.1) */
	bool is_ecn_off;	  /* nothing is marked ECN-capable */
};

struct qb_quic_cfg {
	bool is_server;
	uint16_t worker;	     /* our number, written into every connection ID */
	uint16_t worker_cnt;	     /* how many there are; 0: this one alone */
	struct qb_quic_limits limits;
	struct qb_tls_ctx *tls;	     /* borrowed */
	struct qb_node_secret reset_secret, token_secret;
	uint8_t seed[32];	     /* of the endpoint's qb_drbg */
	const struct qb_cc *cc;	     /* for new paths */
	struct qb_path_tune tune;    /* likewise */
	uint64_t idle_timeout_ns;
	uint64_t handshake_timeout_ns;
	uint64_t keepalive_ns;	     /* PING on each path that has been quiet so long; 0 never */
	uint32_t max_path_id;	     /* initial_max_path_id that we offer; UINT32_MAX: no multipath at all */
	uint32_t mp_dialects;	     /* bits of enum qb_mp_dialect (wire/frame.h) that it is offered in; 0: the RFC's alone */
	/* Server: where clients are asked to go once they are in (RFC 9000 §9.6); family 0: nowhere. */
	struct qb_addr preferred4, preferred6;
	bool is_preferred_ignored;   /* client: stay at the address that was connected to */
	bool is_migration_refused;   /* peers are asked to keep their addresses (disable_active_migration) */
	uint64_t key_update_ns;	     /* 1-RTT keys older than that are updated; 0: only by use */
	uint64_t key_update_pkts;    /* ... or that sealed so many packets; 0: half of what the AEAD allows */
	enum qb_retry_mode { QB_RETRY_AUTO, QB_RETRY_ALWAYS, QB_RETRY_OFF } retry;
	uint32_t retry_half_open;    /* auto: Retry once so many handshakes are under way */
	uint16_t max_udp_bytes;	     /* largest UDP payload to send after MTU discovery: 1200..1472 */
	/*
	 * Versions spoken, the favourite first, 0 at the end; none: v1, v2. A client's first packet has version_first
	 * (0: v1); a server whose favourite is v2 goes over to it with clients that have it (RFC 9369).
	 */
	uint32_t versions[QB_VERSIONS_MAX], version_first;
	/*
	 * 0-RTT: a client sends in it, a server whose context has tickets takes it; QB_EV_CONN_EARLY tells. What is written then may
	 * reach the server twice, if all its defences fail. early_context (server) names whatever else 0-RTT data relies on, SETTINGS
	 * for example: another one makes tickets good for resumption only.
	 */
	bool is_early;
	const char *early_context;   /* borrowed; NULL: nothing */
	bool is_quic_bit_greased;    /* the fixed bit may be anything, in both directions (RFC 9287) */
	uint8_t spin_of_16;	     /* on so many paths of 16, 15 at most, the spin bit shows the RTT (RFC 9000 §17.4) */
	uint16_t pad_bytes;	     /* sizes of packets with datagrams are multiples of it, or the path's MTU; 0: as they are */
	uint32_t ack_pkts_max;	     /* packets that a peer is asked to answer with one ACK; 0: 32; 1: never asked */
	struct qb_counters *counters; /* borrowed */
	struct qb_pool *pool;	     /* borrowed */
	const struct qb_observer *observer; /* of new connections; borrowed; NULL: nobody watches */
};

/* qb_quic_footprint is the memory that an endpoint with these limits needs (16-byte alignment; on a page it needs least). */
size_t qb_quic_footprint(const struct qb_quic_limits *limits);
/* qb_quic_init builds the endpoint in mem. cfg is copied. */
struct qb_quic *qb_quic_init(void *mem, const struct qb_quic_cfg *cfg, uint64_t now_ns);
/* qb_quic_fini frees what TLS holds; connections are dropped silently. */
void qb_quic_fini(struct qb_quic *q);
/* qb_quic_set_tls swaps the identity policy (reload): new connections use it. */
void qb_quic_set_tls(struct qb_quic *q, struct qb_tls_ctx *tls);
void qb_quic_set_cc(struct qb_quic *q, const struct qb_cc *cc);
/* qb_quic_set_rekey changes how old keys get, and how many packets they seal (cfg.key_update_ns, _pkts). */
void qb_quic_set_rekey(struct qb_quic *q, uint64_t ns, uint64_t pkts);
/* qb_quic_set_spin: another number than before is one for the paths that there are, too. */
void qb_quic_set_spin(struct qb_quic *q, uint8_t of_16);
/* qb_quic_set_padding: sizes from now on (cfg.pad_bytes). */
void qb_quic_set_padding(struct qb_quic *q, uint16_t bytes);
/* qb_quic_set_preferred (server) changes where new clients are asked to go (cfg.preferred4, 6). */
void qb_quic_set_preferred(struct qb_quic *q, const struct qb_addr *v4, const struct qb_addr *v6);
/* qb_quic_set_observer has new connections watched (observer.h), or with NULL not. */
void qb_quic_set_observer(struct qb_quic *q, const struct qb_observer *o);
void qb_quic_set_tune(struct qb_quic *q, const struct qb_path_tune *tune);
/* qb_quic_set_retry changes when clients have to prove their addresses. */
void qb_quic_set_retry(struct qb_quic *q, enum qb_retry_mode mode);

/*
 * What proves a client's addresses to servers that it was at (NEW_TOKEN, RFC 9000 §8.1.3), as bytes that another endpoint of the
 * same identity can begin with. qb_quic_tokens returns their length, qb_quic_tokens_change a number that is another one
 * whenever they are others, qb_quic_set_tokens 0, or -EBADMSG and there are none.
 */
size_t qb_quic_tokens(const struct qb_quic *q, uint8_t out[QB_TOKENS_BYTES]);
uint32_t qb_quic_tokens_change(const struct qb_quic *q);
int qb_quic_set_tokens(struct qb_quic *q, const uint8_t *p, size_t len) QB_MUST_CHECK;

/* What a "packet too big" says, and of which packet (the beginning of its UDP payload). */
struct qb_ptb {
	struct qb_addr local, peer;
	uint32_t bytes; /* UDP payload that fits */
	const uint8_t *quoted;
	uint32_t quoted_len;
};

/* qb_quic_on_ptb takes it as a hint if it quotes a packet of ours. Returns whether some path's it was. */
bool qb_quic_on_ptb(struct qb_quic *q, const struct qb_ptb *ptb, uint64_t now_ns);

/* ---- receive ---- */

/*
 * qb_quic_recv processes a batch of UDP payloads (b->tuple set, and b->rx_ns or 0: when it arrived). All buffers of `in` are taken.
 * DATAGRAM payloads are appended to `out` in place: b->data/len is the payload, b->conn and b->path tell where
 * from. Stops early when `out` is full: then in->buf[0..in->cnt) are the ones left, call again.
 */
void qb_quic_recv(struct qb_quic *q, struct qb_batch *in, struct qb_batch *out, uint64_t now_ns);

enum qb_quic_event_type {
	QB_EV_NONE,
	/*
	 * Client: streams may be written, in 0-RTT. Server: a known client's 0-RTT data is coming, streams may be read and answered,
	 * but who sent it is proven to be alive by CONN_NEW only.
	 */
	QB_EV_CONN_EARLY,
	QB_EV_CONN_NEW,		  /* server: handshake complete, peer's key verified */
	QB_EV_CONN_ESTABLISHED,	  /* client: likewise; streams and datagrams may be sent */
	QB_EV_CONN_CLOSED,	  /* error_code, is_app_error, is_by_peer; qb_conn_reason; conn dies after this */
	QB_EV_STREAM_READABLE,	  /* stream_id: data, FIN or a reset is there */
	QB_EV_STREAM_WRITABLE,	  /* stream_id: a write that was short may go on */
	QB_EV_STREAM_STOPPED,	  /* stream_id, error_code: the peer sent STOP_SENDING */
	QB_EV_PATH_OPENED,	  /* server: the peer opened path `path` */
	QB_EV_PATH_VALIDATED,	  /* path: its peer address answered a challenge */
	QB_EV_PATH_FAILED,	  /* path: validation gave up; the path is being abandoned */
	QB_EV_PATH_CLOSED,	  /* path: abandoned by either side (is_by_peer); the slot is free again */
	QB_EV_PATH_MOVED,	  /* path: the peer's address changed and was validated */
	QB_EV_PATHS_AVAILABLE,	  /* client: the peer's CIDs allow another qb_conn_open_path */
	QB_EV_SESSION,		  /* client: qb_conn_take_session has something */
};

/* A connection that ended otherwise than by an application without an error, or a handshake that came to nothing. */
struct qb_quic_failure {
	uint64_t error_code;
	bool is_app, is_by_peer;
	bool is_silent;	   /* a timeout: nobody said anything */
	bool is_handshake; /* it had not been complete */
	bool has_key;
	uint8_t peer_key[QB_PUBKEY_LEN]; /* proven only if the handshake was complete */
	struct qb_cid odcid;
	struct qb_addr peer;
	char reason[QB_CONN_REASON_LEN];
};

/* qb_quic_next_failure takes the oldest; false: none. Bounded: the oldest are forgotten. */
bool qb_quic_next_failure(struct qb_quic *q, struct qb_quic_failure *out);

struct qb_quic_event {
	enum qb_quic_event_type type;
	struct qb_conn *conn;
	uint64_t stream_id;
	uint64_t error_code;
	uint8_t path;
	bool is_by_peer, is_app_error;
};

/* qb_quic_next_event takes the oldest event. Returns false when there is none. */
bool qb_quic_next_event(struct qb_quic *q, struct qb_quic_event *ev);

/* ---- send ---- */

/*
 * qb_quic_send appends packets that are due at now_ns to `out`, up to its capacity, each with its tuple.
 * Returns true when `out` filled up and there is more.
 */
bool qb_quic_send(struct qb_quic *q, struct qb_batch *out, uint64_t now_ns);
/* qb_quic_deadline_ns: QB_NEVER_NS where nothing is pending; a time in the past means "now". */
uint64_t qb_quic_deadline_ns(const struct qb_quic *q);

/*
 * qb_conn_send_datagram makes b (payload at b->data, with QB_QUIC_OVERHEAD in front and QB_AEAD_TAG_LEN behind)
 * into one sealed packet on a path, with a DATAGRAM frame and, where there is room, the ACKs that are due. On 0
 * b is a UDP payload ready for qb_net_send, with its tuple. Else b is untouched: -EAGAIN (window or pacer; see
 * qb_conn_path_info), -EMSGSIZE (larger than the path carries), -ENOTCONN (no such path, or closing).
 * cookie comes back through qb_conn_next_lost if the packet is declared lost.
 */
int qb_conn_send_datagram(struct qb_conn *c, uint8_t path, struct qb_buf *b, uint64_t cookie,
			  uint64_t now_ns) QB_MUST_CHECK;

/*
 * A bundle: small payloads that wait at the same time leave in one packet, a DATAGRAM frame each. qb_conn_bundle_room is how
 * many bytes of frames a packet of that path takes, 0 where there are no bundles; qb_bundle_bytes how many a payload makes.
 * qb_bundle_add appends a payload to an empty buffer; cnt of them, two to QB_BUNDLE_MAX, leave by qb_conn_send_bundle as if it
 * were one datagram: it can be refused, and lost, as a whole.
 */
uint32_t qb_conn_bundle_room(const struct qb_conn *c, uint8_t path);
uint32_t qb_bundle_bytes(uint32_t len);
void qb_bundle_add(struct qb_buf *bundle, const struct qb_buf *b);
int qb_conn_send_bundle(struct qb_conn *c, uint8_t path, struct qb_buf *bundle, uint32_t cnt, uint64_t cookie,
			uint64_t now_ns) QB_MUST_CHECK;

/*
 * qb_conn_set_backlog tells, after the owner has sent what it could, whether more datagrams wait with it. A path that could
 * not take them is limited by its window or pacer; every other path is limited by the application, and what is measured on it
 * says nothing against its capacity.
 */
void qb_conn_set_backlog(struct qb_conn *c, bool has_backlog, uint64_t now_ns);

/*
 * qb_conn_next_lost takes one report of a lost datagram, or bundle; false: none. Bounded: the oldest are forgotten. Of paths in doubt
 * it reports as well what arrived after all: cnt datagrams of cookies in a row, the last of which left at sent_ns.
 */
struct qb_lost_datagram {
	uint64_t cookie;
	uint64_t sent_ns;
	uint8_t path;
	bool has_arrived;
	uint16_t cnt; /* datagrams in it */
};
bool qb_conn_next_lost(struct qb_conn *c, struct qb_lost_datagram *out);
/* qb_conn_next_in_flight gives the first datagram, or bundle, from packet number *pn on (0 at first) that the path waits for. */
bool qb_conn_next_in_flight(struct qb_conn *c, uint8_t path, uint64_t *pn, struct qb_lost_datagram *out);

/*
 * qb_conn_unseal_datagram turns a packet that qb_conn_send_datagram made (b->data, b->len) back into its plaintext, in place:
 * ACKs, if any, and the DATAGRAM frame, whose payload is the end of it. Returns 0, or -EBADMSG: its keys or its path are gone.
 */
int qb_conn_unseal_datagram(const struct qb_conn *c, uint8_t path, struct qb_buf *b) QB_MUST_CHECK;

/* ---- connections ---- */

/* qb_quic_connect begins a handshake over a first path. NULL: no room. */
struct qb_conn *qb_quic_connect(struct qb_quic *q, const struct qb_tuple *tuple, const char *server_name,
				uint64_t now_ns);
/*
 * qb_quic_resume is qb_quic_connect with a session of an earlier connection: one message less, and with cfg.is_early 0-RTT, if
 * the session allows it. Each session is good once. Bytes that are no session, or one of a version that we do not speak, are as
 * good as none.
 */
struct qb_conn *qb_quic_resume(struct qb_quic *q, const struct qb_tuple *tuple, const char *server_name,
			       const uint8_t *session, size_t len, uint64_t now_ns);
/* qb_conn_take_session (client, established) moves out the oldest session that the server gave. It is a secret. 0: none. */
size_t qb_conn_take_session(struct qb_conn *c, uint8_t out[QB_SESSION_MAX]);
/* qb_conn_close sends CONNECTION_CLOSE (application error) and closes; QB_EV_CONN_CLOSED follows. */
void qb_conn_close(struct qb_conn *c, uint64_t error_code, const char *reason, uint64_t now_ns);
/* qb_conn_update_key has the keys updated as soon as RFC 9001 §6 allows. */
void qb_conn_update_key(struct qb_conn *c);
/*
 * qb_conn_set_observer has one connection watched from now on, beginning with what has happened so far in short; the
 * observer that it had is told that this is the end. Borrowed; NULL: nobody.
 */
void qb_conn_set_observer(struct qb_conn *c, const struct qb_observer *o, uint64_t now_ns);
/*
 * qb_conn_trace_link tells the observer what the owner holds of a path from now on: names of states, static texts, and why.
 */
void qb_conn_trace_link(const struct qb_conn *c, uint8_t path, const char *was, const char *now, const char *reason,
			uint64_t now_ns);
void *qb_conn_user(const struct qb_conn *c);
void qb_conn_set_user(struct qb_conn *c, void *user);
/*
 * qb_quic_next_moved takes a connection for which something arrived, or a timer ran, since it was taken last: it may have lost
 * packets, and its paths may take more. NULL: there is none.
 */
struct qb_conn *qb_quic_next_moved(struct qb_quic *q);
struct qb_conn *qb_quic_next_conn(struct qb_quic *q, struct qb_conn *after); /* NULL begins and ends */

struct qb_conn_info {
	const char *state; /* "handshake", "established", "confirmed", "closing", "draining" */
	bool is_established, is_closing, is_multipath;
	bool is_closed_by_peer;	       /* the reason is the peer's */
	bool is_resumed;
	bool is_greasing;	       /* the fixed bit of what we send is noise */
	enum qb_tls_early early;
	int peer_idx;		       /* of the TLS context's list; -1 none */
	bool has_peer_key;
	uint8_t peer_key[QB_PUBKEY_LEN];
	enum qb_suite suite;
	uint32_t version;
	uint64_t created_ns, last_rx_ns;
	uint32_t streams;	       /* that are open */
	uint64_t stream_credit_bytes;  /* that the peer lets us send on them */
	uint64_t stream_window_bytes;  /* that we let the peer be ahead of who reads */
	struct qb_cid odcid;	       /* the client's first Destination Connection ID: how both ends name it */
	uint32_t max_datagram_bytes;   /* payload that the peer's max_datagram_frame_size allows */
	uint64_t key_updates;
};
void qb_conn_get_info(const struct qb_conn *c, struct qb_conn_info *out);
/* qb_conn_reason: why it closed, in words (ours or the peer's, printable). */
const char *qb_conn_reason(const struct qb_conn *c);

/* ---- paths ---- */

enum qb_path_phase {
	QB_PATH_UNUSED,	    /* the slot is free */
	QB_PATH_VALIDATING, /* PATH_CHALLENGE under way; may carry data within 3× */
	QB_PATH_OPEN,
	QB_PATH_CLOSING,    /* abandoned; lingers 3 PTO */
};

struct qb_path_info {
	enum qb_path_phase phase;
	uint32_t path_id;
	struct qb_tuple tuple;
	uint64_t keepalive_ns;	     /* the silence after which a PING is sent; 0 none */
	struct qb_addr public_addr; /* client: ours as the server sees it, behind any NAT; family 0: it does not say */
	uint64_t opened_ns, validated_ns;
	/* RTT (RFC 9002 §5); 0 before the first sample */
	uint64_t rtt_ns, srtt_ns, rttvar_ns, min_rtt_ns, pto_ns;
	uint32_t pto_count;
	/*
	 * One-way delays, there and back, by the peer's clock: each up to a constant that is the same for all paths of the connection
	 * (there: + c, back: - c), so that only differences mean anything. The base is the smallest lately, queue how far above it.
	 */
	bool has_owd_tx, has_owd_rx;
	int64_t owd_tx_ns, owd_tx_base_ns, owd_rx_ns, owd_rx_base_ns;
	uint64_t queue_tx_ns, queue_rx_ns;
	/* sending */
	uint64_t cwnd_bytes, in_flight_bytes, pacing_bps, delivery_bps, ssthresh_bytes;
	uint64_t busy_bps;  /* delivered when it was last kept busy */
	uint64_t limit_bps; /* as qb_conn_limit_path said */
	const char *cc_name, *cc_phase, *cc_why; /* why: "" where there is nothing to say */
	bool is_cc_starting;	   /* as qb_cc.is_starting has it */
	uint64_t budget_bytes;	   /* that window, pacer and 3× allow right now */
	uint64_t next_send_ns;	   /* when the pacer allows the next packet; 0: now */
	uint32_t max_datagram_bytes; /* largest payload for qb_conn_send_datagram on this path */
	uint32_t mtu_bytes;	   /* largest UDP payload */
	bool is_mtu_settled;	   /* ... and the search for a larger one has ended */
	/* liveness */
	uint64_t last_rx_ns;	   /* a packet that opened, on this path */
	uint64_t last_ack_ns;	   /* something sent on this path was newly acknowledged */
	uint64_t oldest_unacked_ns; /* send time of the oldest ack-eliciting packet in flight; 0 none */
	uint64_t last_acked_sent_ns; /* send time of the newest packet acknowledged */
	/* totals */
	uint64_t tx_packets, tx_bytes, rx_packets, rx_bytes, lost_packets, lost_bytes, spurious_packets;
	uint64_t acked_packets;
	/* Received: did not open; came before; came behind a newer one. */
	uint64_t unopened_packets, duplicate_packets, reordered_packets;
	uint64_t ect0_rx, ect1_rx, ce_rx;
	bool is_ecn_capable;	   /* our marks arrive, and the peer reports them (RFC 9000 §13.4.2) */
	const char *ecn;	   /* "off", "testing", "capable", "failed" */
	uint64_t ce_tx;		   /* of the packets sent here, marked on their way, as the peer reports */
	bool is_peer_backup;	   /* the peer's PATH_STATUS_BACKUP is in force */
};

/* qb_conn_path_info returns false when the slot is unused. Cheap: called for each path before each batch. */
bool qb_conn_path_info(const struct qb_conn *c, uint8_t path, uint64_t now_ns, struct qb_path_info *out);
/* qb_conn_path_is_l4s: what the peer marks ECN-capable on a path, it marks ECT(1) at present. */
bool qb_conn_path_is_l4s(const struct qb_conn *c, uint8_t path);

/*
 * qb_conn_open_path opens another path (client only, RFC 10069 §3.1). Returns its index, or -ENOTCONN (not
 * confirmed yet), -EOPNOTSUPP (no multipath with this peer), -EAGAIN (path IDs or CIDs missing: wait for
 * QB_EV_PATHS_AVAILABLE), -EPERM (server, or the peer refuses paths to this address), -ENOSPC (QB_PATHS_MAX).
 */
int qb_conn_open_path(struct qb_conn *c, const struct qb_tuple *tuple, uint64_t now_ns) QB_MUST_CHECK;
/* qb_conn_close_path sends PATH_ABANDON. Returns 0, or -EBUSY for the only path, -ENOENT. */
int qb_conn_close_path(struct qb_conn *c, uint8_t path, uint64_t error_code, uint64_t now_ns);
/*
 * qb_conn_move_path: our own address of a path changed (client): new 4-tuple, same path ID, validated anew. -EPERM: the
 * peer refuses migration.
 */
int qb_conn_move_path(struct qb_conn *c, uint8_t path, const struct qb_tuple *tuple, uint64_t now_ns);
/* qb_conn_set_path_backup tells the peer PATH_STATUS_BACKUP or _AVAILABLE. */
void qb_conn_set_path_backup(struct qb_conn *c, uint8_t path, bool is_backup);
/*
 * qb_conn_set_path_keepalive: a PING on the path when it has been quiet so long, in place of the endpoint's keepalive_ns.
 * QB_KEEPALIVE_LONGEST: as seldom as the NATs on the way and the idle timeout allow.
 */
#define QB_KEEPALIVE_LONGEST UINT64_MAX
void qb_conn_set_path_keepalive(struct qb_conn *c, uint8_t path, uint64_t keepalive_ns);
/* qb_conn_probe_path sends a PING on the path with the next qb_quic_send, whatever window and backoff say. */
void qb_conn_probe_path(struct qb_conn *c, uint8_t path, uint64_t now_ns);
/*
 * qb_conn_fill_path keeps the path full until then, with PING and PADDING where there is nothing else: its congestion control
 * finds out what it carries. Pacer, window and losses count as ever.
 */
void qb_conn_fill_path(struct qb_conn *c, uint8_t path, uint64_t until_ns, uint64_t now_ns);
/* qb_conn_set_path_down: nothing but probes and challenges is sent on a path that is held for dead; its
 * in-flight STREAM and control frames are sent again on the others at once. */
void qb_conn_set_path_down(struct qb_conn *c, uint8_t path, bool is_down, uint64_t now_ns);
/*
 * qb_conn_doubt_path: the owner suspects that the path is dead. What must arrive goes by others, and one of them asks the peer what it
 * received by this one: its ACKs may have died with it. What they say comes out of qb_conn_next_lost.
 */
void qb_conn_doubt_path(struct qb_conn *c, uint8_t path, bool is_doubted, uint64_t now_ns);
/* qb_conn_set_path_cc gives the path another controller, which begins afresh; the same one goes on as it is. */
void qb_conn_set_path_cc(struct qb_conn *c, uint8_t path, const struct qb_cc *cc, uint64_t now_ns);
/* qb_conn_set_path_sharers: so many paths of the connection wait in one queue, this one among them; 1: it is alone. A controller
 * that can takes no more for all of them than for one. */
void qb_conn_set_path_sharers(struct qb_conn *c, uint8_t path, uint32_t cnt);
/*
 * qb_conn_tune_path gives the path values of its own. The window and the RTT to begin with have an effect until the first RTT
 * sample, the least window from the next controller on.
 */
void qb_conn_tune_path(struct qb_conn *c, uint8_t path, const struct qb_path_tune *tune, uint64_t now_ns);
/* qb_conn_limit_path paces the path below a rate of IP packets, whatever congestion control allows; 0: no more. */
void qb_conn_limit_path(struct qb_conn *c, uint8_t path, uint64_t limit_bps, uint64_t now_ns);
/* qb_conn_path_known tells what is worth remembering of the path's capacity; qb_conn_resume_path gives it to a new path, for a
 * careful start (RFC 9959). */
bool qb_conn_path_known(const struct qb_conn *c, uint8_t path, struct qb_known *out);
void qb_conn_resume_path(struct qb_conn *c, uint8_t path, const struct qb_known *known);

/* ---- streams ---- */

/* qb_conn_open_stream returns the stream ID, or -EAGAIN at the peer's limit, -ENOTCONN. */
int64_t qb_conn_open_stream(struct qb_conn *c, bool is_bidi) QB_MUST_CHECK;
/*
 * qb_conn_stream_write queues up to len bytes; returns how many were taken (0 when flow control or memory is
 * exhausted: QB_EV_STREAM_WRITABLE follows), -EPIPE (stopped or reset), -ENOENT. is_fin counts once all is taken.
 */
int64_t qb_conn_stream_write(struct qb_conn *c, uint64_t id, const void *data, size_t len, bool is_fin);
/*
 * qb_conn_stream_read copies in-order bytes out; returns how many (0: none now), sets *is_fin at the end,
 * -ECONNRESET after a RESET_STREAM (code in *error_code when not NULL), -ENOENT.
 */
int64_t qb_conn_stream_read(struct qb_conn *c, uint64_t id, void *out, size_t cap, bool *is_fin,
			    uint64_t *error_code);
int qb_conn_stream_reset(struct qb_conn *c, uint64_t id, uint64_t error_code);
/*
 * qb_conn_stream_reset_at gives up a stream, but what was written up to reliable_bytes still arrives; called again, it
 * may promise less. -ENOENT, -EOPNOTSUPP (not with this peer: reset, or write to the end), -EINVAL.
 */
int qb_conn_stream_reset_at(struct qb_conn *c, uint64_t id, uint64_t error_code, uint64_t reliable_bytes);
/*
 * qb_conn_stream_priority: urgency 0 (first) to 7, 3 by default. Streams of one urgency take turns if they are incremental (the
 * default), else each is sent to its end. -ENOENT.
 */
int qb_conn_stream_priority(struct qb_conn *c, uint64_t id, uint8_t urgency, bool is_incremental);
int qb_conn_stream_stop(struct qb_conn *c, uint64_t id, uint64_t error_code);
/* qb_conn_fail_app closes with an application (HTTP/3) error code from the layer above. */
void qb_conn_fail_app(struct qb_conn *c, uint64_t error_code, const char *why);
