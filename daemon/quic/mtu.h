/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Path MTU discovery by padded PINGs (DPLPMTUD, RFC 8899; RFC 9000 §14.3), one instance a path. The largest
 * size is tried first, since it mostly fits; after three losses of a size (more where small packets are lost, too) the search
 * is binary. A size that worked and then swallows packets (a black hole) sends the path back to 1200 bytes, until a probe of
 * it arrives.
 */
#pragma once

#include "base/base.h"

enum {
	QB_MTU_BASE = 1200, /* every QUIC path carries this (RFC 9000 §14) */
	QB_MTU_PROBES_MAX = 3,
	QB_MTU_STEP = 12,   /* the search ends when it is this close */
};

#define QB_MTU_RAISE_NS (600 * QB_NS_PER_SEC) /* RFC 8899 §5.1.1 PMTU_RAISE_TIMER */

struct qb_mtu {
	uint16_t cur_bytes;    /* proven */
	uint16_t fail_bytes;   /* smallest size that failed, or max + 1 */
	uint16_t max_bytes;
	uint16_t probe_bytes;  /* in flight; 0 none */
	uint16_t next_bytes;   /* size to try next; 0 none */
	uint8_t tries;	       /* losses of next_bytes so far */
	uint32_t try_acked_cnt, try_lost_cnt; /* small packets since it is tried */
	bool is_settled;       /* a search has ended: cur_bytes is the path's, as far as we know */
	uint64_t next_ns;      /* when to try; QB_NEVER_NS */
	/* Black hole detection: large packets lost since one at least as large as the smallest of them arrived. */
	uint32_t large_lost_cnt;
	uint32_t large_lost_min_bytes;
	uint64_t large_lost_ns; /* when the first of them was declared lost */
	uint32_t small_acked_cnt, small_lost_cnt; /* meanwhile: what every path carries */
};

void qb_mtu_init(struct qb_mtu *m, uint16_t max_bytes);
/* qb_mtu_start begins the search: the path is validated. */
void qb_mtu_start(struct qb_mtu *m, uint64_t now_ns);
/* qb_mtu_lower_max takes the peer's max_udp_payload_size into account. */
void qb_mtu_lower_max(struct qb_mtu *m, uint64_t max_bytes);
/* qb_mtu_probe_due returns the size of the probe to send at now_ns, or 0. */
uint16_t qb_mtu_probe_due(const struct qb_mtu *m, uint64_t now_ns);
uint64_t qb_mtu_deadline_ns(const struct qb_mtu *m);
void qb_mtu_on_probe_sent(struct qb_mtu *m, uint16_t bytes);
void qb_mtu_on_probe_acked(struct qb_mtu *m, uint16_t bytes, uint64_t now_ns);
void qb_mtu_on_probe_lost(struct qb_mtu *m, uint16_t bytes, uint64_t now_ns);
/* qb_mtu_on_acked: a packet of that size arrived, not a probe, and one that would have been missed. */
static inline void qb_mtu_on_acked(struct qb_mtu *m, uint32_t bytes)
{
	if (m->large_lost_cnt && bytes >= m->large_lost_min_bytes)
		m->large_lost_cnt = 0;
	m->small_acked_cnt += bytes <= QB_MTU_BASE;
	m->try_acked_cnt += bytes <= QB_MTU_BASE;
}
/*
 * qb_mtu_on_ptb: a router says that no more than so many bytes fit. That is a hint (RFC 8899 §4.6.2): the size is proven by a probe, from
 * the base on. Returns true when the size in use was larger, and is QB_MTU_BASE now.
 */
bool qb_mtu_on_ptb(struct qb_mtu *m, uint32_t bytes, uint64_t now_ns);
/* qb_mtu_on_lost returns true when this loss shows a black hole; the size is then QB_MTU_BASE again. */
bool qb_mtu_on_lost(struct qb_mtu *m, uint32_t bytes, uint64_t pto_ns, uint64_t now_ns);
