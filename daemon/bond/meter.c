/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The meter of heavy flows. The bond calls it for each packet that leaves or is handed on; most of
 * these calls are the subtraction in qb_meter_wants.
 */
#include "bond/meter.h"

#include "bond/flow.h"

#define WINDOW_NS QB_NS_PER_SEC
/* By the nanosecond ten gigabits would be more than 64 bits hold. */
#define US_PER_SEC (QB_NS_PER_SEC / QB_NS_PER_US)

enum {
	STEP_MAX_BYTES = 1 << 20,
	STEP_SLOWER_BYTES = 1500,
};

void qb_meter_init(struct qb_meter *m, struct qb_meter_flow *flows, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	m->flows = flows;
	m->random = qb_mix_u64(seed);
}

/*
 * next_look draws the bytes until the next look at random: what comes at regular intervals must not
 * be missed, or hit, each time. A rate that rises within a window is not waited for.
 */
static void next_look(struct qb_meter *m)
{
	if (++m->look_cnt > 2 * QB_METER_PER_SECOND) {
		m->look_cnt = QB_METER_PER_SECOND;
		m->step_bytes =
			QB_MIN(2 * m->step_bytes + STEP_SLOWER_BYTES, (uint32_t)STEP_MAX_BYTES);
	}
	m->random = qb_mix_u64(m->random + 1);
	m->left_bytes = (int64_t)(m->random % (2 * (uint64_t)m->step_bytes + 1));
	m->gone_bytes = 0;
}

void qb_meter_forget(struct qb_meter *m)
{
	memset(m->hash, 0, sizeof(m->hash));
}

static struct qb_meter_flow *find(struct qb_meter *m, uint32_t hash)
{
	for (uint32_t i = 0; i < QB_METER_FLOWS; i++)
		if (m->hash[i] == hash)
			return &m->flows[i];
	return NULL;
}

static uint64_t weight(const struct qb_meter_flow *f)
{
	return (uint64_t)f->now.bytes + f->last.bytes;
}

static void name_ends(struct qb_meter_flow *f, const uint8_t *ip, const struct qb_flow_pkt *pkt)
{
	uint32_t len = pkt->version == 4 ? 4 : 16, at = pkt->version == 4 ? 12 : 8;

	f->proto = pkt->proto;
	f->src.family = f->dst.family = pkt->version;
	memcpy(f->src.ip, ip + at, len);
	memcpy(f->dst.ip, ip + at + len, len);
	if (!pkt->has_ports)
		return;
	f->src.port = qb_load_be16(ip + pkt->l4_off);
	f->dst.port = qb_load_be16(ip + pkt->l4_off + 2);
}

/* begin makes the lightest entry this flow's. */
static struct qb_meter_flow *begin(struct qb_meter *m, const struct qb_hash_key *key, const uint8_t *ip,
				   const struct qb_flow_pkt *pkt, uint64_t now_ns)
{
	uint32_t least = 0;

	for (uint32_t i = 0; i < QB_METER_FLOWS && m->hash[least]; i++)
		if (!m->hash[i] || weight(&m->flows[i]) < weight(&m->flows[least]))
			least = i;
	m->hash[least] = pkt->hash;
	m->flows[least] = (struct qb_meter_flow){
		.back_hash = qb_flow_back_hash(ip, pkt, key),
		.since_ns = now_ns,
	};
	name_ends(&m->flows[least], ip, pkt);
	return &m->flows[least];
}

static void end_window(struct qb_meter *m, uint64_t span_ns)
{
	uint64_t a_second = m->window_bytes * US_PER_SEC / (span_ns / QB_NS_PER_US);

	for (uint32_t i = 0; i < QB_METER_FLOWS; i++) {
		if (!m->hash[i])
			continue;
		m->flows[i].last = m->flows[i].now;
		memset(&m->flows[i].now, 0, sizeof(m->flows[i].now));
	}
	m->last_span_ns = span_ns;
	m->window_bytes = 0;
	m->look_cnt = 0;
	m->step_bytes = (uint32_t)qb_min_u64(a_second / QB_METER_PER_SECOND, STEP_MAX_BYTES);
}

bool qb_meter_settle(struct qb_meter *m, uint64_t now_ns)
{
	uint64_t span_ns = qb_sub_sat_u64(now_ns, m->window_ns);

	if (m->window_ns == 0 || span_ns >= 2 * WINDOW_NS) {
		/* Nothing for a while: what was before is no rate of now. */
		end_window(m, qb_max_u64(span_ns, WINDOW_NS));
		end_window(m, WINDOW_NS);
		m->window_ns = now_ns;
	} else if (span_ns >= WINDOW_NS) {
		end_window(m, span_ns);
		m->window_ns = now_ns;
	}
	for (uint32_t i = 0; i < QB_METER_FLOWS; i++)
		if (m->hash[i] && weight(&m->flows[i]))
			return true;
	return false;
}

const struct qb_meter_flow *qb_meter_look(struct qb_meter *m, const struct qb_hash_key *key,
					  const struct qb_meter_look *look, uint64_t now_ns)
{
	uint32_t bytes = m->gone_bytes;
	struct qb_meter_flow *f;
	struct qb_flow_pkt pkt;

	if (qb_sub_sat_u64(now_ns, m->window_ns) >= WINDOW_NS)
		qb_meter_settle(m, now_ns);
	m->window_bytes += bytes;
	next_look(m);
	if (qb_flow_parse(look->ip, look->len, key, &pkt) != 0)
		return NULL;
	f = find(m, pkt.hash);
	if (!f)
		f = begin(m, key, look->ip, &pkt, now_ns);
	f->class = look->class;
	f->seen_ns = now_ns;
	f->bytes += bytes;
	f->now.bytes += bytes;
	f->now.samples++;
	f->now.by_path[look->path % QB_METER_PATHS] += bytes;
	f->now.delay_sum_ns += look->delay_ns;
	f->now.delay_max_ns = qb_max_u64(f->now.delay_max_ns, look->delay_ns);
	return f;
}

void qb_meter_on_drop(struct qb_meter *m, uint32_t hash)
{
	struct qb_meter_flow *f = find(m, hash);

	if (f)
		f->drops++;
}

void qb_meter_on_mark(struct qb_meter *m, uint32_t hash)
{
	struct qb_meter_flow *f = find(m, hash);

	if (f)
		f->marks++;
}

uint64_t qb_meter_bps(const struct qb_meter *m, const struct qb_meter_flow *f, uint64_t now_ns)
{
	uint64_t span_ns = m->last_span_ns + qb_sub_sat_u64(now_ns, m->window_ns);

	/* A flow that has just begun is not spread over the time before it. */
	span_ns = qb_min_u64(span_ns, qb_sub_sat_u64(now_ns, f->since_ns));
	span_ns = qb_max_u64(span_ns, WINDOW_NS / 10);
	return weight(f) * 8 * US_PER_SEC / (span_ns / QB_NS_PER_US);
}
