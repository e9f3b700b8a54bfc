/* SPDX-License-Identifier: BSD-2-Clause */
/* Inner IP packets of any kind: parse, mark, and what a router does to them, within bounds;
 * checksums that were right stay so. */
#include <stdlib.h>

#include "base/csum.h"
#include "base/ip_ecn.h"
#include "bond/flow.h"
#include "inner.h"

enum { SIZE_MAX_BYTES = 2048, MTU_BYTES = 1400, ERROR4_MAX = 576, ERROR6_MAX = 1280 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_flow(uint8_t *p, uint32_t len)
{
	static const struct qb_hash_key key = {1, 2};
	struct qb_flow_pkt pkt;

	if (qb_flow_parse(p, len, &key, &pkt) != 0)
		return;
	QB_BUG_ON(pkt.l4_off > len || pkt.hash == 0 || (pkt.version != 4 && pkt.version != 6));
	QB_BUG_ON(qb_flow_back_hash(p, &pkt, &key) == 0);
	QB_BUG_ON(qb_ip_mark_ce(p) != (pkt.ecn != 0));
	QB_BUG_ON(qb_flow_parse(p, len, &key, &pkt) != 0 || pkt.ecn == 1 || pkt.ecn == 2);
}

/* sum_of is the sum of these bytes; 0 where they hold a right checksum. */
static uint16_t sum_of(const uint8_t *p, size_t len)
{
	return qb_csum_fold(qb_csum_add(0, p, len)) % 0xffff;
}

static void fuzz_error(const struct qb_buf *bad, int version)
{
	static const uint8_t src[16] = {0xfd, 1};
	uint8_t bytes[ERROR6_MAX];

	for (enum qb_inner_error e = QB_INNER_TOO_BIG; e <= QB_INNER_BAD_SOURCE; e++) {
		struct qb_buf out = {.data = bytes};

		if (!qb_inner_icmp_error(bad, e, MTU_BYTES, src, &out))
			continue;
		QB_BUG_ON(out.len > (version == 4 ? (uint32_t)ERROR4_MAX : (uint32_t)ERROR6_MAX));
		QB_BUG_ON(qb_inner_check(&out) != version);
		QB_BUG_ON(memcmp(qb_inner_dest(bytes), qb_inner_source(bad->data),
				 version == 4 ? 4 : 16) != 0);
		QB_BUG_ON(version == 4 && (sum_of(bytes, 20) || sum_of(bytes + 20, out.len - 20)));
		/* Never about itself. */
		QB_BUG_ON(qb_inner_icmp_error(&out, QB_INNER_TTL, MTU_BYTES, src,
					      &(struct qb_buf){.data = bytes}));
	}
}

static void fuzz_router(uint8_t *p, uint32_t len)
{
	struct qb_buf b = {.data = p, .len = len};
	int version = qb_inner_check(&b);
	uint32_t hdr_len, flow;
	uint16_t before;

	if (version < 0)
		return;
	QB_BUG_ON(b.len > len);
	hdr_len = version == 4 ? 4u * (p[0] & 0x0f) : 40;
	flow = qb_inner_flow(p, b.len);
	fuzz_error(&b, version);
	before = sum_of(p, hdr_len);
	if (qb_inner_hop(&b))
		QB_BUG_ON(version == 4 && sum_of(p, hdr_len) != before);
	QB_BUG_ON(qb_inner_flow(p, b.len) != flow);
	before = sum_of(p + hdr_len, b.len - hdr_len);
	if (qb_inner_clamp_mss(&b, MTU_BYTES)) {
		QB_BUG_ON(sum_of(p + hdr_len, b.len - hdr_len) != before);
		QB_BUG_ON(qb_inner_clamp_mss(&b, MTU_BYTES));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size > SIZE_MAX_BYTES)
		return 0;
	/* A heap block of exactly that size, so that the sanitizer sees each byte too many. */
	copy = malloc(size ? size : 1);
	memcpy(copy, data, size);
	fuzz_flow(copy, (uint32_t)size);
	memcpy(copy, data, size);
	fuzz_router(copy, (uint32_t)size);
	free(copy);
	return 0;
}
