/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The guard: what is addressed to a port of ours and claims to be QUIC, but cannot be, is dropped
 * before it costs anything, and what may open a connection is limited in rate, by source prefix and
 * in all. Every reason is counted. Used by the XDP program and by the sockets' filter, with the
 * same maps; the includer defines QB_GUARD_LOAD(ctx, off, to, len), which copies bytes of the
 * packet and returns 0.
 */
#pragma once

#include "quic.bpf.h"

enum {
	QB_QUIC_FIXED = 0x40,
	QB_QUIC_MIN_BYTES = 21, /* a stateless reset, the shortest (RFC 9000 §10.3) */
	QB_QUIC_INITIAL_BYTES = 1200,
	QB_QUIC_CID_MAX = 20,
	QB_QUIC_ODCID_MIN = 8, /* of a client's own making (RFC 9000 §7.2) */
	QB_QUIC_BODY_MIN = 20, /* packet number and what header protection samples */
	QB_QUIC_TYPE_INITIAL = 0,
	QB_QUIC_TYPE_0RTT = 1,
	QB_QUIC_TYPE_HANDSHAKE = 2,
	QB_QUIC_TYPE_RETRY = 3,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct qb_bpf_guard_conf);
} guard_conf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct qb_bpf_guard_state);
} guard_state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64); /* the daemon's own map is larger and takes this one's place */
	__type(key, struct qb_bpf_source);
	__type(value, __u64);
} guard_sources SEC(".maps");

/* Prefixes from which somebody has proved who he is; the daemon fills it in. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64); /* here, too */
	__type(key, struct qb_bpf_source);
	__type(value, __u8);
} guard_known SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, QB_GUARD_BLOCKS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct qb_bpf_block);
	__type(value, __u8);
} guard_blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, QB_GUARD_REASON_CNT);
	__type(key, __u32);
	__type(value, __u64);
} guard_counters SEC(".maps");

/* A UDP payload that is being judged. */
struct qb_guarded {
	__u32 off;   /* of the payload in the packet */
	__u32 bytes; /* of the payload */
	__u32 cnt;   /* datagrams that GRO joined */
	__u32 workers;
	__u32 is_server;
	__u32 is_forged; /* the includer has found its source to be one that cannot send it */
	struct qb_bpf_local src;
};

static __always_inline void qb_guard_count(__u32 reason, __u64 cnt)
{
	__u64 *value = bpf_map_lookup_elem(&guard_counters, &reason);

	if (value)
		*value += cnt;
}

/*
 * One clock for each bucket, moved on by what each packet costs. Two CPUs at once may lose a step
 * of it, and let by one packet more than they should.
 */
static __always_inline int qb_bucket_take(__u64 *tat_ns, const struct qb_bpf_rate *r, __u64 now_ns,
					  __u32 cnt)
{
	__u64 t = *tat_ns < now_ns ? now_ns : *tat_ns;

	if (t - now_ns > r->burst_ns)
		return 0;
	*tat_ns = t + r->gap_ns * cnt;
	return 1;
}

static __always_inline struct qb_bpf_source qb_guard_source(const struct qb_guarded *g)
{
	struct qb_bpf_source key = {.family = g->src.family};

	if (g->src.family == 6)
		__builtin_memcpy(key.ip, g->src.ip, QB_GUARD_PREFIX6_BYTES);
	else
		__builtin_memcpy(key.ip, g->src.ip, QB_GUARD_PREFIX4_BYTES);
	return key;
}

static __always_inline int qb_source_take(const struct qb_bpf_source *key,
					  const struct qb_bpf_rate *r, __u64 now_ns, __u32 cnt)
{
	__u64 first = now_ns + r->gap_ns * cnt;
	__u64 *tat_ns = bpf_map_lookup_elem(&guard_sources, key);

	if (tat_ns)
		return qb_bucket_take(tat_ns, r, now_ns, cnt);
	bpf_map_update_elem(&guard_sources, key, &first, BPF_ANY);
	return 1;
}

/*
 * What may open a connection, and strays. A total comes first, but is only taken from last: a flood
 * from everywhere does not get to churn the table of sources, and a flood from one prefix does not
 * use up what all share.
 */
static __always_inline enum qb_guard_reason qb_guard_limit(const struct qb_guarded *g, __u32 total,
							   int is_known,
							   const struct qb_bpf_source *key,
							   enum qb_guard_reason by_source,
							   enum qb_guard_reason by_total)
{
	__u32 zero = 0;
	struct qb_bpf_guard_conf *c = bpf_map_lookup_elem(&guard_conf, &zero);
	struct qb_bpf_guard_state *s = bpf_map_lookup_elem(&guard_state, &zero);
	__u64 now_ns;

	if (!c || !s || !c->source.gap_ns || total >= QB_GUARD_TOTALS)
		return QB_GUARD_PASS;
	now_ns = bpf_ktime_get_ns();
	if (!is_known && s->tat_ns[total] > now_ns + c->total[total].burst_ns)
		return by_total;
	if (!qb_source_take(key, &c->source, now_ns, g->cnt))
		return by_source;
	if (!is_known && !qb_bucket_take(&s->tat_ns[total], &c->total[total], now_ns, g->cnt))
		return by_total;
	return QB_GUARD_PASS;
}

/* Known prefixes have only their own rate, so that a site comes back in the middle of a flood. */
static __always_inline enum qb_guard_reason qb_guard_first_flight(const struct qb_guarded *g,
								  __u32 has_token)
{
	struct qb_bpf_source key = qb_guard_source(g);
	int is_known = bpf_map_lookup_elem(&guard_known, &key) != NULL;
	enum qb_guard_reason reason =
		qb_guard_limit(g, has_token ? QB_GUARD_TOTAL_TOKENS : QB_GUARD_TOTAL_STRANGERS,
			       is_known, &key, QB_GUARD_SOURCE_LIMIT, QB_GUARD_TOTAL_LIMIT);

	if (reason == QB_GUARD_PASS)
		qb_guard_count(QB_GUARD_INITIALS, g->cnt);
	return reason;
}

/* A stateless reset looks like it, so some are let by. */
static __always_inline enum qb_guard_reason qb_guard_stray(const struct qb_guarded *g)
{
	struct qb_bpf_source key = qb_guard_source(g);

	return qb_guard_limit(g, QB_GUARD_TOTAL_STRAYS, 0, &key, QB_GUARD_STRAY_LIMIT,
			      QB_GUARD_STRAY_LIMIT);
}

/* Of this network, of all hosts, of a group: an answer would go to nobody, or to many. */
static __always_inline int qb_guard_is_nobody(const struct qb_guarded *g)
{
	const __u8 *ip = g->src.ip;

	if (g->src.family == 6)
		return ip[0] == 0xff;
	return ip[0] == 0 || ip[0] >= 224;
}

static __always_inline int qb_guard_is_blocked(const struct qb_guarded *g)
{
	struct qb_bpf_block key = {.prefix_bits = 32 + 128, .family = g->src.family};
	__u32 zero = 0;
	struct qb_bpf_guard_conf *c = bpf_map_lookup_elem(&guard_conf, &zero);

	if (!c || !c->block_cnt)
		return 0;
	__builtin_memcpy(key.ip, g->src.ip, 16);
	return bpf_map_lookup_elem(&guard_blocks, &key) != NULL;
}

/* Reads a varint at *off (RFC 9000 §16) and steps over it; below 2^30, and all ones where it is
 * more. */
static __always_inline int qb_guard_varint(void *ctx, const struct qb_guarded *g, __u32 *off,
					   __u32 *value)
{
	__u8 b[8] = {};

	if (*off + 8 > g->bytes || QB_GUARD_LOAD(ctx, g->off + *off, b, sizeof(b)))
		return -1;
	switch (b[0] >> 6) {
	case 0:
		*value = b[0];
		*off += 1;
		break;
	case 1:
		*value = (__u32)(b[0] & 0x3f) << 8 | b[1];
		*off += 2;
		break;
	case 2:
		*value = (__u32)(b[0] & 0x3f) << 24 | (__u32)b[1] << 16 | (__u32)b[2] << 8 | b[3];
		*off += 4;
		break;
	default:
		*value = ~0U;
		*off += 8;
	}
	return 0;
}

/* A client's Initial: its connection IDs are looked at, token and length must fit (RFC 9000
 * §17.2.2). */
static __always_inline enum qb_guard_reason qb_guard_initial(void *ctx, const struct qb_guarded *g,
							     __u32 dcid_len)
{
	__u32 off = 6 + dcid_len, token_bytes = 0, body_bytes = 0;
	__u8 scid_len = 0;

	if (g->bytes < QB_QUIC_INITIAL_BYTES)
		return QB_GUARD_INITIAL_SIZE;
	if (QB_GUARD_LOAD(ctx, g->off + off, &scid_len, 1) || scid_len > QB_QUIC_CID_MAX)
		return QB_GUARD_CID;
	off += 1 + scid_len;
	if (qb_guard_varint(ctx, g, &off, &token_bytes) || token_bytes > g->bytes - off)
		return QB_GUARD_LENGTH;
	off += token_bytes;
	if (qb_guard_varint(ctx, g, &off, &body_bytes) || body_bytes < QB_QUIC_BODY_MIN ||
	    off > g->bytes || body_bytes > g->bytes - off)
		return QB_GUARD_LENGTH;
	return qb_guard_first_flight(g, token_bytes != 0);
}

/* What a client may send to a server. p: QB_QUIC_LONG_BYTES readable bytes. */
static __always_inline enum qb_guard_reason
qb_guard_to_server(void *ctx, const struct qb_guarded *g, const __u8 *p, __u32 version)
{
	__u32 type = (p[0] >> 4) & 3;

	if (version == QB_QUIC_V2)
		type = (type - 1) & 3;
	switch (type) {
	case QB_QUIC_TYPE_INITIAL:
		if (p[5] < QB_QUIC_ODCID_MIN)
			return QB_GUARD_CID;
		return qb_guard_initial(ctx, g, p[5]);
	case QB_QUIC_TYPE_0RTT:
		return p[5] < QB_QUIC_ODCID_MIN ? QB_GUARD_CID : qb_guard_first_flight(g, 0);
	case QB_QUIC_TYPE_HANDSHAKE:
		if (p[5] != QB_BPF_CID_LEN || p[6 + QB_BPF_CID_WORKER_OFF] >= g->workers)
			return QB_GUARD_CID;
		return QB_GUARD_PASS;
	default:
		return QB_GUARD_TYPE;
	}
}

static __always_inline enum qb_guard_reason qb_guard_long(void *ctx, const struct qb_guarded *g,
							  const __u8 *p)
{
	__u32 version = ((__u32)p[1] << 24) | ((__u32)p[2] << 16) | ((__u32)p[3] << 8) | p[4];

	if (version != QB_QUIC_V1 && version != QB_QUIC_V2) {
		if (!g->is_server)
			return QB_GUARD_PASS;
		if (version == 0)
			return QB_GUARD_TYPE;
		return g->bytes < QB_QUIC_INITIAL_BYTES ? QB_GUARD_VERSION
							: qb_guard_first_flight(g, 0);
	}
	if (!(p[0] & QB_QUIC_FIXED))
		return QB_GUARD_FIXED_BIT;
	if (p[5] > QB_QUIC_CID_MAX)
		return QB_GUARD_CID;
	return g->is_server ? qb_guard_to_server(ctx, g, p, version) : QB_GUARD_PASS;
}

static __always_inline enum qb_guard_reason qb_guard_short(const struct qb_guarded *g,
							   const __u8 *p)
{
	if (!(p[0] & QB_QUIC_FIXED))
		return QB_GUARD_FIXED_BIT;
	return p[1 + QB_BPF_CID_WORKER_OFF] < g->workers ? QB_GUARD_PASS : qb_guard_stray(g);
}

/*
 * qb_guard_judge returns why the datagram has to be dropped, or QB_GUARD_PASS. p: its first
 * QB_QUIC_LONG_BYTES, which are there as the caller has found that it has at least
 * QB_QUIC_MIN_BYTES. Drops are counted.
 */
static __always_inline enum qb_guard_reason qb_guard_judge(void *ctx, const struct qb_guarded *g,
							   const __u8 *p)
{
	enum qb_guard_reason reason;

	if (g->is_forged || qb_guard_is_nobody(g))
		reason = QB_GUARD_SOURCE;
	else if (qb_guard_is_blocked(g))
		reason = QB_GUARD_BLOCKED;
	else if (p[0] & QB_QUIC_LONG)
		reason = qb_guard_long(ctx, g, p);
	else
		reason = qb_guard_short(g, p);
	if (reason != QB_GUARD_PASS)
		qb_guard_count(reason, g->cnt);
	return reason;
}
