/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connection IDs of one path ID (RFC 9000 §5.1, RFC 10069 §3.2): those we issued, by which packets find
 * us, and those of the peer, which we put on packets. Tables for lookup are the endpoint's (endpoint.c);
 * the entries for them live in here.
 */
#pragma once

#include "tls/tls.h"
#include "wire/frame.h"

struct qb_conn;

enum {
	QB_CIDS_LOCAL = 4,  /* slots for ours, one path ID */
	QB_CIDS_ISSUED = 3, /* of them issued at most at a time (and no more than the peer's limit) */
	QB_CIDS_REMOTE = 4, /* our active_connection_id_limit */
	QB_CIDS_RETIRES = 2 * QB_CIDS_REMOTE, /* RETIREs under way at most (RFC 9000 §5.1.2) */
};

/* How far a control frame has come that must reach the peer. */
enum qb_tx_state {
	QB_TX_NONE,
	QB_TX_DUE,  /* to be sent (again) */
	QB_TX_SENT, /* in flight */
	QB_TX_DONE, /* acknowledged */
};

/* A connection ID of ours in the endpoint's table. */
struct qb_cid_entry {
	struct qb_cid_entry *next;
	struct qb_conn *conn;
	struct qb_cid cid;
	uint8_t pid; /* index of the path ID in its connection */
	bool is_linked;
};

/* A stateless reset token of the peer's in the endpoint's table. */
struct qb_reset_entry {
	struct qb_reset_entry *next;
	struct qb_conn *conn;
	uint8_t token[QB_RESET_TOKEN_LEN];
	bool is_linked;
};

struct qb_local_cid {
	struct qb_cid_entry entry;
	uint64_t seq;
	/*
	 * Of the NEW_CONNECTION_ID; QB_TX_NONE: the slot is free. What the peer retired stays linked until its slot is
	 * needed: packets that were overtaken by the RETIRE_CONNECTION_ID, on another link, are still to be had, and
	 * are no reason for a stateless reset.
	 */
	enum qb_tx_state tx;
};

struct qb_local_cids {
	uint64_t next_seq;
	struct qb_local_cid slot[QB_CIDS_LOCAL];
};

struct qb_remote_cid {
	uint64_t seq;
	struct qb_cid cid;
	uint8_t token[QB_RESET_TOKEN_LEN];
	bool is_present, has_token;
};


struct qb_remote_cids {
	struct qb_remote_cid slot[QB_CIDS_REMOTE];
	int8_t cur; /* in use; -1 none */
	uint64_t retire_prior_to;
	uint64_t seen_end; /* one above the largest sequence number seen */
	uint64_t seen;	   /* bit i: so was that which is i below it */
	uint64_t retire_seq[QB_CIDS_RETIRES];
	uint8_t retire_tx[QB_CIDS_RETIRES]; /* enum qb_tx_state of each */
};

void qb_local_cids_init(struct qb_local_cids *s);
/* qb_local_cids_free_slot returns a slot for another CID (limit: the peer's), with its number, or NULL. */
struct qb_local_cid *qb_local_cids_free_slot(struct qb_local_cids *s, uint64_t limit);
struct qb_local_cid *qb_local_cids_find(struct qb_local_cids *s, uint64_t seq);

void qb_remote_cids_init(struct qb_remote_cids *s);
/*
 * qb_remote_cids_add takes a (PATH_)NEW_CONNECTION_ID. Returns 0, or -EBADMSG with the error in *fault.
 */
int qb_remote_cids_add(struct qb_remote_cids *s, const struct qb_frame_new_cid *f,
		       struct qb_fault *fault) QB_MUST_CHECK;
/* qb_remote_cids_see remembers a sequence number. Returns whether it was known. */
bool qb_remote_cids_see(struct qb_remote_cids *s, uint64_t seq);
/* qb_remote_cids_current is the CID to send to, choosing one if none is in use; NULL: the peer gave none. */
struct qb_remote_cid *qb_remote_cids_current(struct qb_remote_cids *s);
/* qb_remote_cids_find returns the one with that number, or NULL. */
struct qb_remote_cid *qb_remote_cids_find(struct qb_remote_cids *s, uint64_t seq);
/* qb_remote_cids_use goes over to that one and retires the one in use. False: it is not there. */
bool qb_remote_cids_use(struct qb_remote_cids *s, uint64_t seq);
/* qb_remote_cids_spare is the one that would be next, or NULL; qb_remote_cids_switch goes over to it and keeps the old one. */
struct qb_remote_cid *qb_remote_cids_spare(struct qb_remote_cids *s);
bool qb_remote_cids_switch(struct qb_remote_cids *s);
/* qb_remote_cids_retire gives back one that is not in use. */
void qb_remote_cids_retire(struct qb_remote_cids *s, uint64_t seq);
void qb_remote_cids_on_retire_fate(struct qb_remote_cids *s, uint64_t seq, bool is_acked);
