/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inner packets: parse of IPv4 and IPv6 down to the ports, the flow hash, and the flow
 * table. Called by qb_bond_enqueue for each packet that the TUN device gave (anything a LAN host
 * cares to send).
 *
 * The table is set associative: four flows share a cache line, the one that was quiet longest gives
 * way. A flow that was forgotten merely has its next packet delivered at once.
 */
#include "bond/flow.h"

#include <errno.h>

#include "base/ip_ecn.h"

enum {
	PROTO_HOP_BY_HOP = 0,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_ESP = 50,
	PROTO_AH = 51,
	PROTO_DEST_OPTS = 60,
	PROTO_DCCP = 33,
	PROTO_SCTP = 132,
	PROTO_MOBILITY = 135,
	PROTO_UDPLITE = 136,
	PROTO_HIP = 139,
	PROTO_SHIM6 = 140,

	IPV4_MIN = 20,
	TCP_ACK_MAX = 80, /* header, options: nothing but an acknowledgement */
	UDP_ACK_MAX = 80, /* the same of QUIC's; speech is larger */
	PORT_HTTPS = 443,
	IPV6_LEN = 40,
	EXT_HEADERS_MAX =
		8, /* more than that is nobody's packet; it is hashed by addresses alone */

	TICK_SHIFT = 20,

	/* of qb_flow.state */
	HAS_SEQ = 0x8000,
	PATH_SHIFT = 12,
	PATH_MASK = 7 << PATH_SHIFT,
	BACK_SHIFT = 10,
	BACK_MASK = 3 << BACK_SHIFT,
	TICKS_MASK = (1 << BACK_SHIFT) - 1,
	/* The time of BACK: longer than a flow may be silent without being forgotten, so that of three the last but one is told. */
	BACK_TICKS_SHIFT = 11,
	BACK_TIMES = 3,
};

_Static_assert(QB_FLOW_TAIL_TICKS + QB_FLOW_BULK_TICKS < 1 << BACK_SHIFT, "fit");
_Static_assert(QB_FLOW_FORGET_TICKS <= 1 << BACK_TICKS_SHIFT, "see above");

static bool has_ports(uint8_t proto)
{
	/* The SPI of ESP stands where others have their ports, and tells flows apart as well. */
	return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_ESP ||
	       proto == PROTO_DCCP || proto == PROTO_SCTP || proto == PROTO_UDPLITE;
}

static uint32_t hash_of(const uint8_t *tuple, uint32_t n, const struct qb_hash_key *key)
{
	uint32_t hash = (uint32_t)qb_siphash(key, tuple, n);

	return hash ? hash : 1;
}

static int parse_ipv4(const uint8_t *p, uint32_t len, struct qb_flow_pkt *out)
{
	uint32_t header_len, total_len;

	if (len < IPV4_MIN)
		return -EBADMSG;
	header_len = (uint32_t)(p[0] & 0x0f) * 4;
	total_len = qb_load_be16(p + 2);
	if (header_len < IPV4_MIN || header_len > total_len || total_len > len)
		return -EBADMSG;
	out->proto = p[9];
	out->ecn = p[1] & 3;
	out->dscp = p[1] >> 2;
	out->is_fragment = (qb_load_be16(p + 6) & 0x3fff) != 0;
	out->l4_off = header_len;
	return 0;
}

static bool is_ipv6_extension(uint8_t proto)
{
	return proto == PROTO_HOP_BY_HOP || proto == PROTO_ROUTING || proto == PROTO_FRAGMENT ||
	       proto == PROTO_AH || proto == PROTO_DEST_OPTS || proto == PROTO_MOBILITY ||
	       proto == PROTO_HIP || proto == PROTO_SHIM6;
}

static int parse_ipv6(const uint8_t *p, uint32_t len, struct qb_flow_pkt *out)
{
	uint32_t end, off = IPV6_LEN, i;

	if (len < IPV6_LEN)
		return -EBADMSG;
	end = IPV6_LEN + qb_load_be16(p + 4);
	if (end > len)
		return -EBADMSG;
	out->proto = p[6];
	out->ecn = (p[1] >> 4) & 3;
	out->dscp = (uint8_t)((p[0] & 0x0f) << 2 | p[1] >> 6);
	for (i = 0; i < EXT_HEADERS_MAX && is_ipv6_extension(out->proto); i++) {
		uint32_t ext_len;

		if (end - off < 8)
			return -EBADMSG;
		if (out->proto == PROTO_FRAGMENT) {
			/* An "atomic" fragment (RFC 8200 §4.5) is a whole packet. */
			bool is_part = (qb_load_be16(p + off + 2) & 0xfff9) != 0;

			out->is_fragment = out->is_fragment || is_part;
			ext_len = 8;
		} else if (out->proto == PROTO_AH) {
			ext_len = ((uint32_t)p[off + 1] + 2) * 4;
		} else {
			ext_len = ((uint32_t)p[off + 1] + 1) * 8;
		}
		if (ext_len > end - off)
			return -EBADMSG;
		out->proto = p[off];
		off += ext_len;
		/* Behind the header of a fragment other than the first there is payload, not
		 * headers. */
		if (out->is_fragment)
			break;
	}
	out->l4_off = off;
	return 0;
}

static bool is_stream(const uint8_t *l4, uint32_t len, const struct qb_flow_pkt *pkt)
{
	if (pkt->proto == PROTO_TCP)
		return len > TCP_ACK_MAX;
	return pkt->proto == PROTO_UDP && !pkt->is_fragment && len >= 8 &&
	       (qb_load_be16(l4) == PORT_HTTPS || qb_load_be16(l4 + 2) == PORT_HTTPS);
}

int qb_flow_parse(const uint8_t *p, uint32_t len, const struct qb_hash_key *key,
		  struct qb_flow_pkt *out)
{
	uint8_t tuple[16 + 16 + 4 + 1];
	uint32_t n, end;
	int rc;

	memset(out, 0, sizeof(*out));
	if (len == 0)
		return -EBADMSG;
	out->version = p[0] >> 4;
	if (out->version == 4) {
		rc = parse_ipv4(p, len, out);
		n = 8;
		if (rc == 0)
			memcpy(tuple, p + 12, n);
	} else if (out->version == 6) {
		rc = parse_ipv6(p, len, out);
		n = 32;
		if (rc == 0)
			memcpy(tuple, p + 8, n);
	} else {
		return -EBADMSG;
	}
	if (rc != 0)
		return rc;

	/*
	 * Every fragment of a flow hashes alike, the first one too, though it shows its ports: else
	 * the parts of a datagram would overtake each other.
	 */
	end = out->version == 4 ? qb_load_be16(p + 2) : IPV6_LEN + (uint32_t)qb_load_be16(p + 4);
	if (!out->is_fragment && has_ports(out->proto) && end - out->l4_off >= 4) {
		out->has_ports = out->proto != PROTO_ESP;
		memcpy(tuple + n, p + out->l4_off, 4);
		n += 4;
	}
	tuple[n++] = out->proto;
	out->hash = hash_of(tuple, n, key);
	out->is_stream = is_stream(p + out->l4_off, end - out->l4_off, out);
	out->is_ack = out->proto == PROTO_TCP && !out->is_stream;
	out->may_ack = out->proto == PROTO_UDP && out->has_ports && end - out->l4_off <= UDP_ACK_MAX;
	return 0;
}

uint32_t qb_flow_back_hash(const uint8_t *p, const struct qb_flow_pkt *pkt, const struct qb_hash_key *key)
{
	uint32_t len = pkt->version == 4 ? 4 : 16, at = pkt->version == 4 ? 12 : 8, n = 2 * len;
	uint8_t tuple[16 + 16 + 4 + 1];

	memcpy(tuple, p + at + len, len);
	memcpy(tuple + len, p + at, len);
	if (pkt->has_ports) {
		memcpy(tuple + n, p + pkt->l4_off + 2, 2);
		memcpy(tuple + n + 2, p + pkt->l4_off, 2);
		n += 4;
	}
	tuple[n++] = pkt->proto;
	return hash_of(tuple, n, key);
}

/* ---- the table ---- */

size_t qb_flow_table_footprint(void)
{
	return sizeof(struct qb_flow) * QB_FLOW_WAYS * QB_FLOW_SETS;
}

void qb_flow_table_init(struct qb_flow_table *t, void *mem)
{
	t->sets = mem;
	memset(t->touched, 0, sizeof(t->touched));
}

static uint32_t tick_of(uint64_t now_ns)
{
	return (uint32_t)(now_ns >> TICK_SHIFT);
}

static uint32_t set_of(uint32_t hash)
{
	/* The low bits choose the queue: take others here. */
	return (hash >> 10) % QB_FLOW_SETS;
}

/* flow_of finds the flow's entry, or makes the least recently seen one of its set into it. */
static struct qb_flow *flow_of(struct qb_flow_table *t, uint32_t hash, uint32_t tick)
{
	uint32_t set_idx = set_of(hash), i, oldest = 0;
	uint64_t bit = UINT64_C(1) << (set_idx % 64);
	struct qb_flow *set = t->sets[set_idx];

	if (!(t->touched[set_idx / 64] & bit)) {
		memset(set, 0, sizeof(t->sets[0]));
		t->touched[set_idx / 64] |= bit;
	}
	for (i = 0; i < QB_FLOW_WAYS; i++) {
		if (set[i].hash == hash)
			return &set[i];
		if (set[oldest].hash != 0 &&
		    (set[i].hash == 0 || tick - set[i].seen_tick > tick - set[oldest].seen_tick))
			oldest = i;
	}
	memset(&set[oldest], 0, sizeof(set[oldest]));
	set[oldest].hash = hash;
	set[oldest].seen_tick = tick;
	return &set[oldest];
}

static void set_ticks(struct qb_flow *f, uint32_t ticks)
{
	f->state = (uint16_t)((f->state & ~TICKS_MASK) | ticks);
}

bool qb_flow_on_arrival(struct qb_flow_table *t, uint32_t hash, uint32_t bytes, uint64_t now_ns)
{
	uint32_t tick = tick_of(now_ns);
	struct qb_flow *f = flow_of(t, hash, tick);
	uint32_t gone = tick - f->seen_tick, level = f->level_16b;
	uint32_t ticks = f->state & TICKS_MASK;

	f->seen_tick = tick;
	if (gone > QB_FLOW_FORGET_TICKS) {
		f->state = 0;
		gone = QB_FLOW_FORGET_TICKS;
		ticks = 0;
	}
	level -= QB_MIN(level, gone * (QB_FLOW_SPARSE_BYTES_PER_TICK / 16));
	level = QB_MIN(level + (bytes + 15) / 16, (uint32_t)UINT16_MAX);
	f->level_16b = (uint16_t)level;
	ticks -= QB_MIN(ticks, gone);
	if (level > QB_FLOW_SPARSE_BURST_BYTES / 16)
		ticks = QB_FLOW_TAIL_TICKS + QB_FLOW_BULK_TICKS;
	set_ticks(f, ticks);
	return ticks > QB_FLOW_TAIL_TICKS;
}

void qb_flow_on_backlog(struct qb_flow_table *t, uint32_t hash, uint64_t now_ns)
{
	set_ticks(flow_of(t, hash, tick_of(now_ns)), QB_FLOW_TAIL_TICKS + QB_FLOW_BULK_TICKS);
}

/* back_time is of the time now, 1 to 3: 0 is none. */
static uint32_t back_time(uint32_t tick)
{
	return (tick >> BACK_TICKS_SHIFT) % BACK_TIMES + 1;
}

void qb_flow_on_back(struct qb_flow_table *t, uint32_t hash, uint64_t now_ns)
{
	uint32_t set_idx = set_of(hash);

	if (!(t->touched[set_idx / 64] >> (set_idx % 64) & 1))
		return;
	for (uint32_t i = 0; i < QB_FLOW_WAYS; i++) {
		struct qb_flow *f = &t->sets[set_idx][i];

		if (f->hash == hash)
			f->state = (uint16_t)((f->state & ~BACK_MASK) | back_time(tick_of(now_ns)) << BACK_SHIFT);
	}
}

bool qb_flow_has_back(struct qb_flow_table *t, uint32_t hash, uint64_t now_ns)
{
	uint32_t tick = tick_of(now_ns), time = back_time(tick);
	struct qb_flow *f = flow_of(t, hash, tick);
	uint32_t noted = (uint32_t)(f->state & BACK_MASK) >> BACK_SHIFT;

	if (noted == time || noted % BACK_TIMES + 1 == time)
		return noted != 0;
	f->state &= (uint16_t)~BACK_MASK;
	return false;
}

bool qb_flow_follow(struct qb_flow_table *t, uint32_t hash, uint8_t path, uint32_t alive,
		    uint64_t span_ns, uint64_t now_ns)
{
	struct qb_flow *f = flow_of(t, hash, tick_of(now_ns));
	uint32_t ticks = f->state & TICKS_MASK,
		 last = (uint32_t)(f->state & PATH_MASK) >> PATH_SHIFT;

	if (last == path)
		return ticks != 0;
	if (alive >> last & 1)
		ticks = QB_MAX(ticks, (uint32_t)qb_min_u64(span_ns >> TICK_SHIFT, QB_FLOW_TAIL_TICKS - 1) + 1);
	f->state = (uint16_t)((f->state & (HAS_SEQ | BACK_MASK)) | (uint32_t)path << PATH_SHIFT | ticks);
	return ticks != 0;
}

uint16_t qb_flow_number(struct qb_flow_table *t, uint32_t hash, uint32_t seq, uint64_t now_ns)
{
	struct qb_flow *f = flow_of(t, hash, tick_of(now_ns));
	uint32_t delta = f->state & HAS_SEQ ? seq - f->last_seq : 0;

	f->last_seq = seq;
	f->state |= HAS_SEQ;
	return delta <= UINT16_MAX ? (uint16_t)delta : 0;
}
