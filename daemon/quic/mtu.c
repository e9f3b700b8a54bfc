/* SPDX-License-Identifier: BSD-2-Clause */
/* The search for the largest UDP payload that a path carries; driven by conn_tx.c and ack.c. */
#include "quic/mtu.h"

enum {
	/* So many large packets lost in a row, over at least three PTOs, are not congestion. */
	BLACK_HOLE_PKTS = 8,
	BLACK_HOLE_PTOS = 3,
	/* Small packets get through a black hole, but for one in so many; a bad radio loses them as
	   well. */
	BLACK_HOLE_SMALL = 8,
	/* RFC 8899 §5.1.2, MAX_PROBES: where small packets are lost as well, three lost probes say little of their size. */
	LOSSY_PROBES_MAX = 12,
};

void qb_mtu_init(struct qb_mtu *m, uint16_t max_bytes)
{
	max_bytes = QB_MAX(max_bytes, (uint16_t)QB_MTU_BASE);
	*m = (struct qb_mtu){
		.cur_bytes = QB_MTU_BASE,
		.max_bytes = max_bytes,
		.fail_bytes = (uint16_t)(max_bytes + 1),
		.next_ns = QB_NEVER_NS,
	};
}

/* choose sets the next size: the maximum while nothing has failed, then the middle. */
static void choose(struct qb_mtu *m, uint64_t now_ns)
{
	m->tries = 0;
	m->try_acked_cnt = m->try_lost_cnt = 0;
	m->next_ns = now_ns;
	if (m->cur_bytes >= m->max_bytes) {
		m->is_settled = true;
		m->next_bytes = 0;
		m->next_ns = QB_NEVER_NS;
	} else if (m->fail_bytes > m->max_bytes) {
		m->next_bytes = m->max_bytes;
	} else if (m->fail_bytes - m->cur_bytes > QB_MTU_STEP) {
		m->next_bytes = (uint16_t)(m->cur_bytes + (m->fail_bytes - m->cur_bytes) / 2);
	} else {
		/* Found. Routes change: look again for more, later. */
		m->is_settled = true;
		m->fail_bytes = (uint16_t)(m->max_bytes + 1);
		m->next_bytes = m->max_bytes;
		m->next_ns = now_ns + QB_MTU_RAISE_NS;
	}
}

void qb_mtu_start(struct qb_mtu *m, uint64_t now_ns)
{
	m->probe_bytes = 0;
	choose(m, now_ns);
}

void qb_mtu_lower_max(struct qb_mtu *m, uint64_t max_bytes)
{
	if (max_bytes >= m->max_bytes)
		return;
	m->max_bytes = (uint16_t)QB_MAX(max_bytes, (uint64_t)QB_MTU_BASE);
	m->fail_bytes = (uint16_t)(m->max_bytes + 1);
}

uint16_t qb_mtu_probe_due(const struct qb_mtu *m, uint64_t now_ns)
{
	return !m->probe_bytes && m->next_ns <= now_ns ? m->next_bytes : 0;
}

uint64_t qb_mtu_deadline_ns(const struct qb_mtu *m)
{
	return m->probe_bytes || !m->next_bytes ? QB_NEVER_NS : m->next_ns;
}

void qb_mtu_on_probe_sent(struct qb_mtu *m, uint16_t bytes)
{
	m->probe_bytes = bytes;
}

void qb_mtu_on_probe_acked(struct qb_mtu *m, uint16_t bytes, uint64_t now_ns)
{
	if (bytes == m->probe_bytes)
		m->probe_bytes = 0;
	if (bytes <= m->cur_bytes)
		return;
	m->cur_bytes = bytes;
	m->large_lost_cnt = 0;
	if (m->fail_bytes <= bytes)
		m->fail_bytes = (uint16_t)(m->max_bytes + 1);
	choose(m, now_ns);
}

void qb_mtu_on_probe_lost(struct qb_mtu *m, uint16_t bytes, uint64_t now_ns)
{
	bool is_lossy = m->try_lost_cnt * BLACK_HOLE_SMALL > m->try_acked_cnt;

	if (bytes != m->probe_bytes)
		return;
	m->probe_bytes = 0;
	if (bytes <= m->cur_bytes || bytes != m->next_bytes)
		return;
	if (++m->tries < (is_lossy ? LOSSY_PROBES_MAX : QB_MTU_PROBES_MAX)) {
		m->next_ns = now_ns;
		return;
	}
	m->fail_bytes = bytes;
	choose(m, now_ns);
}

bool qb_mtu_on_ptb(struct qb_mtu *m, uint32_t bytes, uint64_t now_ns)
{
	bool was_larger = bytes < m->cur_bytes;

	if (bytes >= m->max_bytes || bytes + 1 >= m->fail_bytes)
		return false;
	bytes = QB_MAX(bytes, (uint32_t)QB_MTU_BASE);
	m->fail_bytes = (uint16_t)(bytes + 1);
	m->probe_bytes = 0;
	m->large_lost_cnt = 0;
	if (was_larger) {
		m->cur_bytes = QB_MTU_BASE;
		m->is_settled = false;
	}
	choose(m, now_ns);
	if (m->cur_bytes < bytes) {
		m->next_bytes = (uint16_t)bytes;
		m->next_ns = now_ns;
	}
	return was_larger;
}

/*
 * suspect goes back to the base, and asks for the size that worked before any other: a policer's bucket that has no room
 * for a full packet looks like a black hole until there is less in flight.
 */
static void suspect(struct qb_mtu *m, uint64_t now_ns)
{
	m->next_bytes = m->cur_bytes;
	m->next_ns = now_ns;
	m->tries = 0;
	m->try_acked_cnt = m->try_lost_cnt = 0;
	m->fail_bytes = (uint16_t)(m->max_bytes + 1);
	m->probe_bytes = 0;
	m->cur_bytes = QB_MTU_BASE;
	m->is_settled = false;
	m->large_lost_cnt = 0;
}

bool qb_mtu_on_lost(struct qb_mtu *m, uint32_t bytes, uint64_t pto_ns, uint64_t now_ns)
{
	m->small_lost_cnt += bytes <= QB_MTU_BASE;
	m->try_lost_cnt += bytes <= QB_MTU_BASE;
	if (bytes <= QB_MTU_BASE || m->cur_bytes == QB_MTU_BASE)
		return false;
	if (m->large_lost_cnt++ == 0) {
		m->small_acked_cnt = m->small_lost_cnt = 0;
		m->large_lost_ns = now_ns;
		m->large_lost_min_bytes = bytes;
	}
	m->large_lost_min_bytes = QB_MIN(m->large_lost_min_bytes, bytes);
	if (m->large_lost_cnt < BLACK_HOLE_PKTS ||
	    now_ns - m->large_lost_ns < BLACK_HOLE_PTOS * pto_ns ||
	    m->small_lost_cnt * BLACK_HOLE_SMALL > m->small_acked_cnt)
		return false;
	suspect(m, now_ns);
	return true;
}
