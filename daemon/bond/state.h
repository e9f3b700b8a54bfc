/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of each link: whether it lives (state.c), and whether it carries traffic (tiers.c). Fed
 * with observations, answers with actions; never sees a packet. Internal to bond/.
 */
#pragma once

#include "bond/bond.h"

struct qb_link {
	bool is_present, is_drained, is_peer_backup;
	bool was_in_service; /* since it was validated: else there is nothing to recover from */
	bool is_back; /* of a better tier than what serves, not trusted with it yet (failback) */
	uint64_t serving_ns; /* when it last entered service */
	bool is_down;	     /* QB_LINK_ACT_DOWN was said, and QB_LINK_ACT_UP not since */
	bool is_probe_out;   /* proving: a probe waits for its ACK */
	uint8_t state;	     /* enum qb_link_state; changed by qb_link_set_state alone */
	uint8_t tier;	     /* enum qb_tier, as configured */
	uint8_t rank;	     /* among those of its tier, where one is used at a time */
	uint64_t since_ns;   /* when it entered its state */
	char reason[64];     /* why it is in that state; "" when all is well */

	uint64_t silent_since_ns; /* when the packet left that should have been acknowledged */
	uint32_t patience_pct;	  /* on top of the normal time for an ACK; grows by false alarms */
	uint64_t patience_ns;	  /* when it was last changed */

	uint64_t probe_ns;		 /* when the last probe was sent */
	uint64_t probe_interval_ns;	 /* from that to the next one */
	uint32_t good_probes;		 /* acknowledged in a row */
	uint32_t flaps;			 /* failures soon after one another */
	uint64_t failed_ns, returned_ns; /* when it last did each; 0 never */
	uint64_t stable_ns;		 /* how long it must prove itself this time */
	uint64_t failures, recoveries;	 /* in all */

	uint64_t tx_ns; /* when it last carried data */
	uint64_t deadline_ns;	    /* when its state may change by time alone */
};

struct qb_links {
	struct qb_link link[QB_BOND_PATHS_MAX];
	uint64_t failback_ns;	  /* as qb_bond_set_failback */
	struct qb_fail_want fail; /* may change at any time */
	uint32_t seen_orders;	  /* that were in use, a bit each (order_of in tiers.c) */
	bool is_failover;	  /* one link is used at a time */
};

/* ---- state.c ---- */

void qb_links_init(struct qb_links *l);
/* qb_links_reset: the slot has a new path, or none (is_present false). */
void qb_links_reset(struct qb_links *l, uint8_t path, bool is_present, enum qb_tier tier,
		    uint64_t now_ns);
void qb_links_set_drained(struct qb_links *l, uint8_t path, bool is_drained, uint64_t now_ns);
/* qb_links_observe: as qb_bond_observe. */
uint32_t qb_links_observe(struct qb_links *l, uint8_t path, const struct qb_path_obs *obs,
			  uint32_t n, uint64_t now_ns);
uint64_t qb_links_deadline_ns(const struct qb_links *l);
/* qb_links_on_sent: data left by the path; it is watched from now on. */
void qb_links_on_sent(struct qb_links *l, uint8_t path, uint64_t now_ns);
/* qb_links_is_alive: neither suspect nor failed nor still proving itself. */
bool qb_links_is_alive(const struct qb_links *l, uint8_t path);
/* qb_links_absent: links (a bit each) that carried traffic, and will again once they are alive. */
uint32_t qb_links_absent(const struct qb_links *l);
/* qb_links_back: links that failed, and are in service again since a moment ago. */
uint32_t qb_links_back(const struct qb_links *l, uint64_t now_ns);
/* qb_links_reason writes why the link is in its state, as of now. */
void qb_links_reason(const struct qb_links *l, uint8_t path, uint64_t now_ns, char *buf,
		     size_t len);
/* qb_link_set_state is the one place where a state changes; what is not allowed is a bug. */
void qb_link_set_state(struct qb_link *k, enum qb_link_state to, const char *reason,
		       uint64_t now_ns);
static inline bool qb_link_is_serving(const struct qb_link *k)
{
	return qb_link_state_serves(k->state);
}

/* ---- tiers.c ---- */

void qb_links_set_tier(struct qb_links *l, uint8_t path, enum qb_tier tier, uint64_t now_ns);
/* qb_links_set_failback: as qb_bond_set_failback. */
void qb_links_set_failback(struct qb_links *l, uint64_t failback_ns, uint64_t now_ns);
/* qb_links_set_rank: links of a tier are ordered by rank, the lowest first. */
void qb_links_set_rank(struct qb_links *l, uint8_t path, uint8_t rank, uint64_t now_ns);
void qb_links_set_failover(struct qb_links *l, bool is_failover, uint64_t now_ns);
/*
 * qb_links_settle makes the links that are to carry traffic active, and all others that could,
 * standby. To be called after whatever may change that.
 */
void qb_links_settle(struct qb_links *l, uint64_t now_ns);
/* qb_links_is_comeback: its tier was in use, and now a worse one is. */
bool qb_links_is_comeback(const struct qb_links *l, const struct qb_link *k);
/* qb_links_failback_at_ns: when a link that came back may replace one of a worse tier. */
uint64_t qb_links_failback_at_ns(const struct qb_links *l, const struct qb_link *k);
/* qb_links_others_serve: another link than this one carries traffic, or could at once. */
bool qb_links_others_serve(const struct qb_links *l, uint8_t path);
/*
 * qb_links_choose returns the set (a bit a path) of those in `candidates` that may carry data: the
 * active ones, or the least bad where there is none.
 */
uint32_t qb_links_choose(const struct qb_links *l, uint32_t candidates);
