/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of each link: whether it lives, and whether it carries traffic. Fed with observations,
 * answers with actions; never sees a packet.
 */
#pragma once

#include "bond/bond.h"

struct qb_link {
	bool is_present, is_drained, is_peer_backup;
	bool was_in_service; /* since it was validated; until then there is nothing to recover from
			      */
	bool is_back; /* of a better tier than what serves, and not trusted with it yet (failback)
		       */
	uint64_t serving_ns; /* when it last entered service */
	bool is_down;	     /* QB_LINK_ACT_DOWN was said, and not taken back */
	bool is_probe_out;   /* proving: a probe waits for its ACK */
	uint8_t state;	     /* enum qb_link_state; changed by set_state alone */
	uint8_t tier;	     /* enum qb_tier, as configured */
	uint8_t rank;	     /* among those of its tier, where one is used at a time */
	uint64_t since_ns;
	char reason[64];

	uint64_t silent_since_ns; /* when the first packet left that ought to have been acknowledged
				   */
	uint32_t patience_pct;	  /* on top of the normal time for an ACK; grows by false alarms */
	uint64_t patience_ns;	  /* when it was last changed */

	uint64_t probe_ns;	    /* when the last probe was sent */
	uint64_t probe_interval_ns; /* to the next one */
	uint32_t good_probes;	    /* acknowledged in a row */
	uint32_t flaps;		    /* failures soon after one another */
	uint64_t failed_ns, returned_ns; /* when it last did each */
	uint64_t stable_ns; /* how long it must prove itself this time */
	uint64_t failures, recoveries;

	uint64_t tx_packets, tx_ns; /* when it was last seen to send */
	uint64_t deadline_ns;
};

struct qb_links {
	struct qb_link link[QB_BOND_PATHS_MAX];
	uint64_t failback_ns; /* how long a better tier must be sound before it is used again;
				 QB_NEVER_NS */
	struct qb_fail_want fail; /* may change at any time */
	uint32_t seen_orders; /* that were in use, a bit each (order_of) */
	bool is_failover;     /* one link is used at a time */
};

void qb_links_init(struct qb_links *l);
/* qb_links_is_alive: neither suspect nor failed nor still proving itself. */
bool qb_links_is_alive(const struct qb_links *l, uint8_t path);
/* qb_links_absent returns the links (a bit each) that carried traffic, do not for now, and will again when they live. */
uint32_t qb_links_absent(const struct qb_links *l);
void qb_links_reset(struct qb_links *l, uint8_t path, bool is_present, enum qb_tier tier,
		    uint64_t now_ns);
void qb_links_set_tier(struct qb_links *l, uint8_t path, enum qb_tier tier, uint64_t now_ns);
void qb_links_set_drained(struct qb_links *l, uint8_t path, bool is_drained, uint64_t now_ns);
/* qb_links_observe: as qb_bond_observe. */
uint32_t qb_links_observe(struct qb_links *l, uint8_t path, const struct qb_path_obs *obs,
			  uint32_t n, uint64_t now_ns);
void qb_links_set_failback(struct qb_links *l, uint64_t failback_ns, uint64_t now_ns);
/* qb_links_set_rank: which comes before which among those of a tier. */
void qb_links_set_rank(struct qb_links *l, uint8_t path, uint8_t rank, uint64_t now_ns);
void qb_links_set_failover(struct qb_links *l, bool is_failover, uint64_t now_ns);
uint64_t qb_links_deadline_ns(const struct qb_links *l);
/* qb_links_on_sent: data left by the path; it is watched from now on. */
void qb_links_on_sent(struct qb_links *l, uint8_t path, uint64_t now_ns);
/*
 * qb_links_choose returns the set (a bit a path) of those in `candidates` that may carry data: the
 * active ones, or the least bad where there is none.
 */
uint32_t qb_links_choose(const struct qb_links *l, uint32_t candidates);
/* qb_links_reason writes why the link is in its state, as of now. */
void qb_links_reason(const struct qb_links *l, uint8_t path, uint64_t now_ns, char *buf,
		     size_t len);
