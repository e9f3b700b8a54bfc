/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection, as the files of this folder see it. Its parts are sub-structures with a file each; functions take
 * the part where they can.
 *
 *     HANDSHAKE ──complete──► ESTABLISHED ──► CLOSING (we closed)  ──3 PTO──► DEAD
 *         └──────────error, timeout──────────► DRAINING (peer closed) ──────────┘
 *
 * A dead connection is freed once its CLOSED event was read.
 */
#pragma once

#include "quic/ack_freq.h"
#include "quic/cids.h"
#include "quic/crypto_stream.h"
#include "quic/endpoint.h"
#include "quic/keyring.h"
#include "quic/path.h"
#include "quic/refs.h"
#include "quic/streams.h"
#include "quic/trace.h"
#include "wire/tparam.h"

enum {
	QB_PATH_IDS = 12,   /* path IDs alive at once: open, lingering, or with CIDs in store */
	QB_LOST_RING = 256,
	QB_DATA_ROOM_MIN = 100, /* with less room in the window, streams and control frames wait */
	QB_RESPONSES = 8,   /* PATH_RESPONSEs waiting; more challenges are ignored */
	QB_RETRY_TOKEN_MAX = 512,
	QB_STREAMS_OWN_EXTRA = 8, /* of ours besides limits.streams_per_conn: control, QPACK */
};

/* Frames of our own that a packet remembers (frame_ref.h). */
enum qb_conn_ref {
	QB_REF_CRYPTO = QB_REF_CONN_FIRST, /* id: level; off, len */
	QB_REF_HANDSHAKE_DONE,
	QB_REF_NEW_CID,	     /* id: path ID; off: sequence number */
	QB_REF_RETIRE_CID,   /* likewise */
	QB_REF_PATH_ABANDON, /* id: path ID */
	QB_REF_PATH_STATUS,  /* id: path ID; off: sequence number */
	QB_REF_MAX_PATH_ID,  /* off: the limit */
	QB_REF_PATHS_BLOCKED, /* off: the limit */
	QB_REF_CIDS_BLOCKED,  /* id: path ID */
	QB_REF_ACK_FREQUENCY, /* off: sequence number */
	QB_REF_NEW_TOKEN,     /* id: path ID */
	QB_REF_OBSERVED,      /* id: path ID; off: sequence number */
};

enum qb_conn_state {
	QB_CONN_HANDSHAKE,
	QB_CONN_ESTABLISHED,
	QB_CONN_CLOSING,
	QB_CONN_DRAINING,
	QB_CONN_DEAD,
};

/* Events that wait to be read: bits of the connection and of each path. */
enum qb_conn_event_bit {
	QB_EVBIT_READY = 1 << 0, /* CONN_NEW or CONN_ESTABLISHED */
	QB_EVBIT_PATHS_AVAILABLE = 1 << 1,
	QB_EVBIT_CLOSED = 1 << 2,
	QB_EVBIT_EARLY = 1 << 3,
	QB_EVBIT_SESSION = 1 << 4,
	QB_EVBIT_PATH_OPENED = 1 << 0,
	QB_EVBIT_PATH_VALIDATED = 1 << 1,
	QB_EVBIT_PATH_MOVED = 1 << 2,
	QB_EVBIT_PATH_FAILED = 1 << 3,
	QB_EVBIT_PATH_CLOSED = 1 << 4,
};

struct qb_conn_events {
	struct qb_conn *next;
	bool is_queued;
	uint8_t conn;
	uint8_t path[QB_PATHS_MAX];
};

struct qb_handshake {
	struct qb_cid odcid;	  /* the client's first Destination Connection ID */
	struct qb_cid initial_dcid; /* that the Initial keys come from: odcid, or the Retry's */
	struct qb_cid retry_scid;
	struct qb_cid peer_scid;  /* the peer's, from its first packet */
	struct qb_cid local_scid;
	struct qb_cid_entry odcid_entry; /* server: finds the connection by the client's choice */
	bool has_retry, has_peer_scid, is_confirmed, is_params_ok;
	uint32_t first_version;	  /* of the client's first flight */
	bool is_version_fixed;	  /* client: the server's handshake has begun, in this version */
	bool has_vn;		  /* client: this is the second attempt */
	bool is_peer_validating;  /* client: the server has not proven that it accepted our address */
	uint8_t probe_cnt;	  /* Initial and Handshake packets that the probe timer wants */
	enum qb_tx_state done_tx; /* HANDSHAKE_DONE */
	uint64_t give_up_ns;
	uint64_t probe_base_ns;	  /* client: when the anti-deadlock timer began */
	struct qb_addr server_addr; /* client: where the handshake goes */
	uint64_t server_hash;	  /* client: of the server's name, for tokens */
	uint16_t token_len; /* client: of retry_token */
};

/* 0-RTT (early.c). */
struct qb_early {
	bool is_tried;		  /* client: there were 0-RTT keys */
	bool is_on;		  /* before the handshake is complete streams may be used */
	bool is_replay_counted;
	uint64_t end_pn;	  /* client: first packet number of path 0 under 1-RTT keys */
	uint64_t forget_ns;	  /* server: when 0-RTT keys go */
};

/* Why and how a connection ends. */
struct qb_close {
	uint64_t error_code, frame_type;
	bool is_app, is_by_peer, is_silent;
	bool is_due;	    /* a CONNECTION_CLOSE is to be sent */
	uint32_t rx_cnt, rx_next; /* answer to the 1st, 2nd, 4th, 8th ... packet */
	uint64_t until_ns;
	char reason[QB_CONN_REASON_LEN];
};

enum qb_pid_state {
	QB_PID_FREE,
	QB_PID_SPARE,	/* CIDs may be exchanged; no path yet */
	QB_PID_IN_USE,
	QB_PID_CLOSING, /* abandoned; our CIDs are still known, to stay silent about late packets */
};

/* A path ID (RFC 10069): its connection IDs and what was said about it. */
struct qb_path_id {
	enum qb_pid_state state;
	uint32_t id;
	uint8_t path; /* its path, while IN_USE or CLOSING with has_path */
	bool has_path;
	struct qb_local_cids local;
	struct qb_remote_cids remote;
	struct qb_reset_entry reset; /* of the remote CID in use */
	enum qb_tx_state abandon_tx, status_tx;
	bool is_abandoned_by_peer, is_backup, is_peer_backup;
	uint64_t abandon_code;
	uint64_t status_tx_seq, status_rx_seq; /* next to send; next to accept */
	uint64_t forget_ns;
};

struct qb_multipath {
	bool is_enabled;
	enum qb_mp_dialect dialect;
	uint32_t local_max, remote_max;	  /* path ID limits: ours, the peer's */
	uint32_t first_remote_max;	  /* as in its transport parameter */
	enum qb_tx_state max_path_id_tx;
	bool is_dirty;			  /* some frame below may be due */
	bool is_waiting;		  /* client: tell when another path may be opened */
	enum qb_tx_state blocked_tx;	  /* client: PATHS_BLOCKED or PATH_CIDS_BLOCKED */
	const struct qb_path_id *blocked_on; /* whose CIDs are missing; NULL: the limit */
	uint32_t blocked_at;		  /* the limit that was complained about last, + 1 */
	struct qb_path_id pid[QB_PATH_IDS];
};

/* A PATH_RESPONSE that is owed to a path. */
struct qb_response {
	uint8_t data[QB_PATH_CHALLENGE_LEN];
	uint8_t path;
	bool is_other_cid; /* what asked came by another connection ID than the path's packets do */
	uint32_t max_bytes; /* of the datagram: three times what asked */
	struct qb_tuple tuple;
};

struct qb_lost_ring {
	uint32_t head, cnt; /* of lost_slots */
};

struct qb_conn {
	struct qb_timer timer;
	struct qb_quic *q;
	struct qb_conn *next, *prev;
	struct qb_conn *moved_next, *moved_prev;
	bool is_moved; /* in the endpoint's list */
	void *user;
	enum qb_conn_state state;
	bool is_server;
	bool was_announced; /* CONN_NEW or CONN_ESTABLISHED was queued */
	bool is_update_wanted;
	bool is_greasing; /* the fixed bit of what we send is noise */
	bool has_backlog; /* of datagrams, with the owner */
	uint64_t fill_until_ns; /* the latest of its paths */
	const struct qb_observer *observer; /* borrowed; NULL: nobody watches */
	uint64_t number; /* of this connection at its endpoint, never used again */
	uint32_t version;
	uint64_t observed_seq; /* server: of the next OBSERVED_ADDRESS */
	uint64_t created_ns, last_rx_ns, idle_base_ns;
	uint64_t idle_timeout_ns;
	bool is_idle_armed_by_tx; /* sent something since the last receive */
	struct qb_tls *tls;
	struct qb_keyring keys;
	struct qb_handshake hs;
	struct qb_early early;
	struct qb_half_open half_open; /* server */
	struct qb_space *hs_space; /* Initial, Handshake: two of its own, or once it is open the endpoint's no_space */
	struct qb_crypto crypto[QB_LEVEL_CNT];
	struct qb_tparams peer;
	struct qb_multipath mp;
	struct qb_ack_freq ack_freq;
	struct qb_close close;
	struct qb_budget frame_budget; /* of frames that change nothing */
	struct qb_budget move_budget;  /* server: of moves to other addresses */
	uint32_t idle_frames;	       /* such frames in the packet that is being processed */
	struct qb_conn_events events;
	uint32_t response_cnt;
	struct qb_response response[QB_RESPONSES];
	struct qb_cc_group cc_group; /* for couplings of the paths */
	struct qb_lost_ring lost;
	struct qb_streams streams;
	/* What follows is large and mostly unused: it is touched, and costs memory, only as far as it is used. */
	uint32_t path_cnt; /* slots of path[] that were ever in use: the only ones that are initialised */
	struct qb_path path[QB_PATHS_MAX];
	struct qb_tparams remembered; /* client: the server's, of the earlier connection, for early.c */
	uint8_t retry_token[QB_RETRY_TOKEN_MAX];
	struct qb_lost_datagram lost_slots[QB_LOST_RING];
};

/* ---- conn.c ---- */

struct qb_conn *qb_conn_new(struct qb_quic *q, bool is_server, const struct qb_tuple *tuple,
			    uint64_t now_ns);
void qb_conn_free(struct qb_conn *c);
/* qb_conn_touch makes qb_quic_send look at the connection. */
void qb_conn_touch(struct qb_conn *c);
/* qb_conn_note_moved: something arrived, or a timer ran. */
void qb_conn_note_moved(struct qb_conn *c);
void qb_conn_queue_event(struct qb_conn *c, uint8_t conn_bit);
void qb_conn_queue_stream_events(struct qb_conn *c);
void qb_conn_unqueue(struct qb_conn *c);
/* qb_conn_update_keys begins a key update that the keyring allows. */
void qb_conn_update_keys(struct qb_conn *c);
void qb_conn_queue_path_event(struct qb_conn *c, const struct qb_path *p, uint8_t path_bit);
/* qb_conn_run does what is due by time. qb_conn_rearm sets the timer for what comes next. */
void qb_conn_run(struct qb_conn *c, uint64_t now_ns);
void qb_conn_rearm(struct qb_conn *c, bool is_blocked, uint64_t now_ns);
/* qb_conn_max_pto_ns: the largest PTO over the paths, without backoff. */
uint64_t qb_conn_max_pto_ns(const struct qb_conn *c);
/* qb_conn_on_idle_frame: a frame that is allowed, and changed nothing; cost 1 but for those that are rare by nature. */
static inline void qb_conn_on_idle_frame(struct qb_conn *c, uint32_t cost)
{
	c->idle_frames += cost;
}

/* qb_conn_keepalive_ns is the silence after which a path gets a PING; 0: none. */
uint64_t qb_conn_keepalive_ns(const struct qb_conn *c, const struct qb_path *p);
void qb_conn_on_rx_progress(struct qb_conn *c, uint64_t now_ns);

static inline uint64_t qb_conn_peer_ack_delay_ns(const struct qb_conn *c)
{
	return qb_ack_freq_delay_ns(&c->ack_freq);
}

/* qb_conn_token_key (client) is by what tokens are kept: the server, and the address of ours that it knows. */
static inline uint64_t qb_conn_token_key(const struct qb_conn *c, const struct qb_addr *local)
{
	return c->hs.server_hash ^ qb_siphash(&c->q->owner_key, local->ip, sizeof(local->ip));
}

static inline struct qb_path_id *qb_conn_pid(struct qb_conn *c, const struct qb_path *p)
{
	return &c->mp.pid[p->pid];
}

/* qb_conn_ack_form: how a path's 1-RTT packets are acknowledged. */
static inline struct qb_ack_form qb_conn_ack_form(const struct qb_conn *c, const struct qb_path *p)
{
	return (struct qb_ack_form){
		.has_path = c->mp.is_enabled,
		.dialect = c->mp.dialect,
		.path_id = p->id,
		.has_ts = c->peer.rx_timestamps_max && c->mp.dialect == QB_MP_RFC,
		.ts_exponent = (uint8_t)c->peer.rx_timestamps_exponent,
		.ts_basis_ns = c->created_ns,
	};
}

static inline bool qb_conn_is_open(const struct qb_conn *c)
{
	return c->state <= QB_CONN_ESTABLISHED;
}

/* qb_conn_may_write: the application may use streams, in 0-RTT or later. */
static inline bool qb_conn_may_write(const struct qb_conn *c)
{
	return c->state == QB_CONN_ESTABLISHED || (c->state == QB_CONN_HANDSHAKE && c->early.is_on);
}

/* qb_conn_space is the packet number space of a level; path counts for 0-RTT and 1-RTT only. */
static inline struct qb_space *qb_conn_space(struct qb_conn *c, enum qb_level level,
					     struct qb_path *p)
{
	if (level == QB_LEVEL_APP || level == QB_LEVEL_EARLY)
		return &p->space;
	return &c->hs_space[level == QB_LEVEL_HANDSHAKE];
}

/* ---- handshake.c ---- */

/*
 * qb_handshake_begin makes Initial keys and the TLS session of a client, or makes them anew. resume: an earlier connection's, or
 * NULL. -ENOMEM.
 */
struct qb_session;
int qb_handshake_begin(struct qb_conn *c, const char *server_name, const struct qb_session *resume,
		       uint64_t now_ns) QB_MUST_CHECK;
/* qb_handshake_accept makes those of a server. -ENOMEM. */
int qb_handshake_accept(struct qb_conn *c) QB_MUST_CHECK;
/* qb_handshake_advance runs TLS and takes what it made: keys, parameters, completion. */
void qb_handshake_advance(struct qb_conn *c, uint64_t now_ns);
void qb_handshake_confirm(struct qb_conn *c, uint64_t now_ns);
/* qb_handshake_discard drops the keys and the packet number space of Initial or Handshake. */
void qb_handshake_discard(struct qb_conn *c, enum qb_level level, uint64_t now_ns);
/* qb_conn_our_params fills in what this endpoint announces. */
void qb_conn_our_params(const struct qb_quic *q, struct qb_tparams *tp);
/* qb_conn_limit_params: those of them that follow from the endpoint's limits. */
void qb_conn_limit_params(const struct qb_quic_limits *lim, struct qb_tparams *tp);

/* ---- early.c ---- */

/* qb_early_set_context (server) says what 0-RTT data relies on. -EPROTO. */
int qb_early_set_context(struct qb_conn *c) QB_MUST_CHECK;
/* qb_early_accept (server) begins to take 0-RTT data if TLS does. */
void qb_early_accept(struct qb_conn *c);
/* qb_early_resume (client) offers a session. -EINVAL: it is none, and the handshake goes on without. */
int qb_early_resume(struct qb_conn *c, const struct qb_session *s) QB_MUST_CHECK;
/* qb_early_begin (client) lets data be sent if there are keys for it. */
void qb_early_begin(struct qb_conn *c);
/* qb_early_send_again: what was sent in 0-RTT was not read, by a server that wants a Retry's token, say. */
void qb_early_send_again(struct qb_conn *c);
/* qb_early_discard forgets the keys of 0-RTT. */
void qb_early_discard(struct qb_conn *c, uint64_t now_ns);
/* qb_early_stop does so and sends nothing more in 0-RTT. */
void qb_early_stop(struct qb_conn *c);
/* qb_early_check_params (client): the server's parameters are here, and with them its answer to 0-RTT. -EPROTO. */
int qb_early_check_params(struct qb_conn *c, uint64_t now_ns) QB_MUST_CHECK;
void qb_early_on_complete(struct qb_conn *c, uint64_t now_ns);
void qb_early_on_timer(struct qb_conn *c, uint64_t now_ns);
/*
 * qb_early_hold (server) keeps a datagram of 0-RTT packets until its connection's ClientHello is whole; false: no room.
 * qb_early_take_held returns one for a connection ID.
 */
bool qb_early_hold(struct qb_quic *q, struct qb_buf *b, uint64_t now_ns) QB_MUST_CHECK;
struct qb_buf *qb_early_take_held(struct qb_quic *q, const struct qb_cid *dcid);
/* qb_early_is_awaited: the ClientHello is not whole yet, and keys for 0-RTT may come of it. */
bool qb_early_is_awaited(const struct qb_conn *c);
void qb_early_fini(struct qb_quic *q);

/* ---- version.c ---- */

/* qb_version_init fills in the defaults. */
void qb_version_init(struct qb_quic_cfg *cfg);
bool qb_version_is_ours(const struct qb_quic_cfg *cfg, uint32_t version);
void qb_version_set_info(const struct qb_conn *c, struct qb_version_info *vi);
/* qb_version_negotiate (server): the client's parameters are known; changes to a better version. -ENOMEM. */
int qb_version_negotiate(struct qb_conn *c) QB_MUST_CHECK;
/* qb_version_other_keys: keys for an Initial that has another version than the connection; NULL: not acceptable. */
struct qb_keys *qb_version_other_keys(struct qb_conn *c, uint32_t version);
/* qb_version_switch (client): a packet opened with those keys. */
void qb_version_switch(struct qb_conn *c, uint32_t version);
/* qb_version_on_vn: a Version Negotiation packet; begins the handshake again, or gives up. */
void qb_version_on_vn(struct qb_conn *c, const struct qb_hdr *h, uint64_t now_ns);
/* qb_version_check compares what the peer says about versions with what happened. NULL, or what is wrong. */
const char *qb_version_check(const struct qb_conn *c);

/* ---- conn_rx.c ---- */

/*
 * qb_conn_rx processes a datagram for a connection. entry: the CID it came by. Returns true when b was put into
 * `out` (it holds a DATAGRAM payload now); else the caller still owns it.
 */
bool qb_conn_rx(struct qb_conn *c, const struct qb_cid_entry *entry, struct qb_buf *b,
		struct qb_batch *out, uint64_t now_ns);

/* A packet whose frames are being processed. */
struct qb_rx_pkt {
	struct qb_buf *b;
	struct qb_batch *out;
	struct qb_path *path;
	const struct qb_cid_entry *cid; /* the datagram was sent to */
	enum qb_pkt_type type;
	enum qb_level level;
	uint64_t pn, now_ns;
	uint64_t frame_type;
	bool is_eliciting, is_non_probing;
	bool is_opened; /* something of the UDP datagram could be read */
	bool wants_ack; /* IMMEDIATE_ACK */
	bool is_useful; /* something in it was news */
	uint32_t ack_cnt; /* ACK frames in it */
	struct qb_bytes datagram; /* the first DATAGRAM payload of the UDP datagram: stays in b */
	bool has_datagram;
	uint8_t datagram_path;
	uint8_t slot; /* in out, kept for b: what comes behind the first shall not overtake it */
};

/* ---- frames_rx.c ---- */

/* qb_frames_init fills the peer's budget of frames that change nothing. */
void qb_frames_init(struct qb_conn *c, uint64_t now_ns);

/*
 * qb_frames_rx processes all frames of an opened packet. Returns 0; -ENOBUFS: do not acknowledge it; -EPROTO: the
 * connection was closed.
 */
int qb_frames_rx(struct qb_conn *c, struct qb_rx_pkt *rx, const uint8_t *p, size_t len) QB_MUST_CHECK;

/* ---- ack.c, loss.c ---- */

/* qb_ack_on_frame: p is what it is about, which another path may have carried. */
int qb_ack_on_frame(struct qb_conn *c, struct qb_path *p, const struct qb_rx_pkt *rx,
		    const struct qb_frame_ack *ack) QB_MUST_CHECK;

/* What one loss detection found. */
struct qb_loss {
	uint64_t bytes;
	uint64_t largest_sent_ns, tx_in_flight_bytes, lost_since_tx_bytes; /* of the newest lost packet */
	uint32_t pkt_cnt, range_cnt;
	bool is_persistent;
	bool is_app_limited; /* of the newest lost packet */
};

/* qb_loss_detect declares losses in a space and tells the congestion controller. Returns the lost bytes. */
uint64_t qb_loss_detect(struct qb_conn *c, struct qb_path *p, enum qb_level level, uint64_t now_ns);
/* qb_loss_on_timer runs loss and probe timers of a path (path 0: of the handshake too). */
void qb_loss_on_timer(struct qb_conn *c, struct qb_path *p, uint64_t now_ns);
uint64_t qb_loss_deadline_ns(struct qb_conn *c, struct qb_path *p);
/* qb_loss_requeue has the frames of the oldest max_pkts packets in flight sent again, wherever there is room. */
void qb_loss_requeue(struct qb_conn *c, struct qb_space *s, uint32_t max_pkts);
/* qb_loss_abandon gives up all packets in flight: their frames are sent again, and no controller hears of it. */
void qb_loss_abandon(struct qb_conn *c, struct qb_path *p, struct qb_space *s);
/* qb_loss_forget drops a space's records, without a word to the controller. */
void qb_loss_forget(struct qb_conn *c, struct qb_path *p, struct qb_space *s);
/* qb_conn_on_ref gives a frame reference back to the module that it belongs to. */
void qb_conn_on_ref(struct qb_conn *c, const struct qb_frame_ref *ref, bool is_acked);

/* ---- conn_tx.c, tx_plan.c ---- */

/* qb_conn_tx fills `out` with what is due. Returns true when there is more than fits. */
bool qb_conn_tx(struct qb_conn *c, struct qb_batch *out, uint64_t now_ns);
/* qb_conn_note_limits tells the rate estimators of the paths whether there was more to send than they allowed. */
void qb_conn_note_limits(struct qb_conn *c, uint64_t now_ns);

/* ---- ecn.c ---- */

/* qb_ecn_on_ack validates the counts of an ACK (RFC 9000 §13.4.2) and tells the controller of CE marks. */
void qb_ecn_on_ack(struct qb_path *p, const struct qb_frame_ack *ack, uint32_t newly_ect_cnt,
		   uint64_t largest_sent_ns, uint64_t now_ns);
/* qb_ecn_start begins the validation of a path with its controller's codepoint, if that can use ECN. */
void qb_ecn_start(struct qb_path *p);
/* qb_ecn_codepoint is what to put into the IP header of the path's next packet. */
uint8_t qb_ecn_codepoint(struct qb_path *p);

/* ---- datagram_tx.c ---- */

/* qb_datagram_max is the largest DATAGRAM payload that a path takes. */
uint32_t qb_datagram_max(const struct qb_conn *c, const struct qb_path *p);

/* ---- multipath.c ---- */

void qb_multipath_init(struct qb_conn *c);
/* qb_multipath_is_offered: the peer's parameters offer multipath in some dialect. */
bool qb_multipath_is_offered(const struct qb_tparams *tp);
/* qb_multipath_on_params: both sides' limits are known; CIDs may be issued from now on. */
void qb_multipath_on_params(struct qb_conn *c);
struct qb_path_id *qb_multipath_find(struct qb_conn *c, uint64_t id);
/* qb_multipath_add_cid issues a CID of ours for a path ID. NULL: no slot. */
struct qb_local_cid *qb_multipath_add_cid(struct qb_conn *c, struct qb_path_id *pid, uint64_t limit);
/* qb_multipath_sync_reset keeps the endpoint's token table in step with the remote CID in use. */
void qb_multipath_sync_reset(struct qb_conn *c, struct qb_path_id *pid);
struct qb_path *qb_multipath_attach(struct qb_conn *c, struct qb_path_id *pid,
				    const struct qb_tuple *tuple, uint64_t now_ns);
/* qb_multipath_abandon: PATH_ABANDON is owed, the path lingers. */
void qb_multipath_abandon(struct qb_conn *c, struct qb_path_id *pid, uint64_t error_code,
			  bool is_by_peer, uint64_t now_ns);
void qb_multipath_on_timer(struct qb_conn *c, uint64_t now_ns);
uint64_t qb_multipath_deadline_ns(const struct qb_conn *c);
/* qb_multipath_write appends control frames about paths and CIDs that are due. */
void qb_multipath_write(struct qb_conn *c, struct qb_wr *w, struct qb_frame_ref *refs, size_t cap,
			size_t *cnt);
bool qb_multipath_has_due(const struct qb_conn *c);
void qb_multipath_on_ref(struct qb_conn *c, const struct qb_frame_ref *ref, bool is_acked);
/* qb_multipath_refill issues CIDs of ours wherever the peer may hold more. */
void qb_multipath_refill(struct qb_conn *c);
/* qb_multipath_next_spare is the path ID that the client may open next; NULL: none, or CIDs are missing. */
struct qb_path_id *qb_multipath_next_spare(struct qb_conn *c);
/* qb_multipath_complain tells the peer what keeps us from opening a path (RFC 10069 §4.7). */
void qb_multipath_complain(struct qb_conn *c);
void qb_multipath_set_status(struct qb_conn *c, struct qb_path_id *pid, bool is_backup);
/*
 * qb_multipath_ask says the path's status once more, by another path: who hears that answers with a PATH_ACK of it, by another path as well
 * (RFC 10069 §5.4). To others it is the status.
 */
void qb_multipath_ask(struct qb_conn *c, struct qb_path_id *pid);
/* qb_multipath_open_cnt: paths that are not being closed. */
uint32_t qb_multipath_open_cnt(const struct qb_conn *c);
/* qb_multipath_has_healthy: some other path is usable and answers. */
bool qb_multipath_has_healthy(const struct qb_conn *c, const struct qb_path *but);
/* Frames; each returns 0 or -EBADMSG with *fault. */
int qb_multipath_on_frame(struct qb_conn *c, const struct qb_rx_pkt *rx, const struct qb_frame *f,
			  struct qb_fault *fault) QB_MUST_CHECK;
void qb_multipath_check_available(struct qb_conn *c);

/* ---- preferred.c ---- */

/* qb_preferred_offer (server) makes the connection ID that goes with the address; _fill says both. */
void qb_preferred_offer(struct qb_conn *c);
void qb_preferred_fill(struct qb_conn *c, struct qb_tparams *tp);
/* qb_preferred_probe (client) begins to find out whether the address that the server prefers answers over a path. */
void qb_preferred_probe(struct qb_conn *c, struct qb_path *p, uint64_t now_ns);
/* qb_preferred_on_arrival (server): the client is heard at another address of ours. */
void qb_preferred_on_arrival(struct qb_conn *c, struct qb_path *p, const struct qb_tuple *tuple, uint64_t now_ns);
/* qb_preferred_on_response: the other end answers there; the path moves. */
void qb_preferred_on_response(struct qb_conn *c, struct qb_path *p, uint64_t now_ns);

/* ---- path_validation.c ---- */

/* qb_path_init_moves fills the client's budget of moves. */
void qb_path_init_moves(struct qb_conn *c, uint64_t now_ns);

void qb_path_on_challenge(struct qb_conn *c, struct qb_rx_pkt *rx, const uint8_t *data);
void qb_path_on_response(struct qb_conn *c, const uint8_t *data, uint64_t now_ns);
/* qb_path_may_migrate (client): the peer does not mind another address of ours at that one of its own. */
bool qb_path_may_migrate(const struct qb_conn *c, const struct qb_addr *peer);
/* qb_path_on_address: an authenticated packet came from another address (server). */
void qb_path_on_address(struct qb_conn *c, struct qb_path *p, const struct qb_rx_pkt *rx);
void qb_path_on_validation_timer(struct qb_conn *c, struct qb_path *p, uint64_t now_ns);
uint64_t qb_path_validation_deadline_ns(const struct qb_path *p);
/* qb_path_leave (client): the path goes elsewhere; nobody shall see that it is the same one. */
void qb_path_leave(struct qb_conn *c, struct qb_path *p);
/* qb_path_restart moves a path to other addresses and validates them. */
void qb_path_restart(struct qb_conn *c, struct qb_path *p, const struct qb_tuple *tuple,
		     uint64_t now_ns);
/* qb_path_on_observed (client): the server tells what address it sees on a path. */
void qb_path_on_observed(struct qb_path *p, const struct qb_frame *f, uint64_t now_ns);
/* qb_path_tell_observed (server): the client wants to know, and may not yet. */
void qb_path_tell_observed(struct qb_conn *c, struct qb_path *p);
void qb_path_on_validated(struct qb_conn *c, struct qb_path *p, uint64_t now_ns);

/* ---- close.c ---- */

/* qb_conn_fail closes because the peer broke the protocol (or we cannot go on). Returns -EPROTO. */
int qb_conn_fail(struct qb_conn *c, uint64_t error_code, uint64_t frame_type, const char *why,
		 uint64_t now_ns);
void qb_close_by_app(struct qb_conn *c, uint64_t error_code, const char *why, uint64_t now_ns);
void qb_close_on_peer(struct qb_conn *c, const struct qb_frame *f, uint64_t now_ns);
/* qb_close_silently: idle or handshake timeout, stateless reset: nothing is sent. */
void qb_close_silently(struct qb_conn *c, uint64_t error_code, const char *why, uint64_t now_ns);
/* qb_conn_close_path_of is where CONNECTION_CLOSE is sent; NULL: nowhere. */
struct qb_path *qb_conn_close_path_of(struct qb_conn *c);
/* qb_conn_on_stateless_reset ends the connection if the reset came from one of its peers' addresses. */
bool qb_conn_on_stateless_reset(struct qb_conn *c, const struct qb_tuple *tuple, uint64_t now_ns);
/* qb_close_on_packet counts a packet that arrived after we closed. */
void qb_close_on_packet(struct qb_conn *c);

/* ---- trace.h: the points on the packet path ---- */

static inline void qb_trace_received(const struct qb_conn *c, const struct qb_rx_pkt *rx, const uint8_t *payload,
				     size_t len)
{
	QB_PROBE(packet_received, c, rx->path->id, rx->pn, len);
	if (QB_UNLIKELY(c->observer))
		qb_trace_emit_received(c, rx, payload, len);
}

static inline void qb_trace_sent_datagram(const struct qb_conn *c, const struct qb_path *p, const struct qb_buf *b,
					  struct qb_trace_layout at, uint64_t now_ns)
{
	QB_PROBE(datagram_data_moved, c, p->id, 1, at.payload_len);
	QB_PROBE(packet_sent, c, p->id, at.pn, b->len);
	if (QB_UNLIKELY(c->observer))
		qb_trace_emit_sent_datagram(c, p, b, at, now_ns);
}

static inline void qb_trace_dropped(const struct qb_conn *c, uint32_t why)
{
	QB_PROBE(packet_dropped, c, QB_TRACE_NO_PATH, why, 0);
	if (QB_UNLIKELY(c->observer))
		qb_trace_emit_dropped(c, why);
}

static inline void qb_trace_datagram(const struct qb_conn *c, const struct qb_path *p, bool is_out, size_t bytes,
				     uint64_t now_ns)
{
	QB_PROBE(datagram_data_moved, c, p->id, (int)is_out, bytes);
	if (QB_UNLIKELY(c->observer))
		qb_trace_emit_datagram(c, p, is_out, bytes, now_ns);
}

/* qb_trace_recovery: acknowledgements, losses or timers changed what is known about a path. */
static inline void qb_trace_recovery(const struct qb_conn *c, struct qb_path *p, uint64_t now_ns)
{
	QB_PROBE(recovery_metrics_updated, c, p->id, p->rtt.smoothed_ns, p->cc.in_flight_bytes);
	if (QB_UNLIKELY(c->observer))
		qb_trace_emit_metrics(c, p, now_ns);
	if (QB_UNLIKELY(p->told.cc_phase != p->cc.view.phase || p->told.mtu_bytes != p->mtu.cur_bytes ||
			p->told.is_mtu_settled != p->mtu.is_settled || p->told.ecn != p->ecn.state))
		qb_trace_changes(c, p, now_ns);
}
