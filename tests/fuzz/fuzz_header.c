/* SPDX-License-Identifier: BSD-2-Clause */
/* A datagram, packet by packet: every part of a header that parses must lie inside its packet. */
#include "wire/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static volatile uint8_t sink;

static void touch(struct qb_bytes b, const uint8_t *p, size_t len)
{
	if (!b.len)
		return;
	QB_BUG_ON(b.p < p || b.len > len || b.p + b.len > p + len);
	sink = b.p[0] ^ b.p[b.len - 1];
}

static void check(const struct qb_hdr *h, const uint8_t *p, size_t len)
{
	bool has_pn = h->type <= QB_PKT_1RTT;
	struct qb_bytes dcid;

	QB_BUG_ON(h->pkt_len == 0 || h->pkt_len > len);
	touch(h->dcid, p, h->pkt_len);
	touch(h->scid, p, h->pkt_len);
	touch(h->token, p, h->pkt_len);
	touch(h->versions, p, h->pkt_len);
	QB_BUG_ON(has_pn != (h->pn_off != 0));
	QB_BUG_ON(has_pn && h->pn_off + QB_HP_SAMPLE_OFF + 16 > h->pkt_len);
	QB_BUG_ON(h->type < QB_PKT_VERSION_NEGOTIATION && h->dcid.len > QB_CID_MAX);
	if (h->type == QB_PKT_RETRY)
		touch((struct qb_bytes){h->retry_tag, QB_RETRY_TAG_LEN}, p, h->pkt_len);
	for (size_t i = 0; i < qb_vn_cnt(h); i++)
		sink = (uint8_t)qb_vn_version(h, i);
	QB_BUG_ON(qb_hdr_dcid(p, len, 8, &dcid) < 0 || dcid.p != h->dcid.p ||
		  dcid.len != h->dcid.len);
	if (has_pn)
		sink = (uint8_t)qb_pn_decode(h->pn_off, qb_pn_read(p + h->pn_off, 4), 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t off = 0;

	while (off < len) {
		struct qb_hdr h;

		if (qb_hdr_parse(&h, data + off, len - off, 8) < 0)
			return 0;
		check(&h, data + off, len - off);
		off += h.pkt_len;
	}
	return 0;
}
