/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Both directions of the TUN side on any bytes. First byte 0: a virtio header and a packet to cut.
 * Else: packets, each with two bytes of length in front, to join; what is joined must come apart
 * into the same packets.
 */
#include "tun/coalesce.h"
#include "tun/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void fuzz_cut(const uint8_t *data, size_t len)
{
	static uint8_t piece[65536 + 128], tagged[65536];
	uint8_t *pkt = tagged;
	uint32_t pkt_len = (uint32_t)(len - sizeof(struct virtio_net_hdr_v1));
	struct virtio_net_hdr_v1 vh;
	struct qb_segment s;

	if (len < sizeof(vh) || len > 65536)
		return;
	memcpy(&vh, data, sizeof(vh));
	memcpy(tagged, data + sizeof(vh), pkt_len);
	(void)qb_segment_untag(&vh, &pkt, &pkt_len);
	QB_BUG_ON(pkt + pkt_len != tagged + len - sizeof(vh));
	if (qb_segment_init(&s, &vh, pkt, pkt_len))
		return;
	while (qb_segment_left(&s))
		QB_BUG_ON(qb_segment_next(&s, piece) > qb_segment_max_len(&s));
}

static void fuzz_join(const uint8_t *data, size_t len)
{
	static uint8_t frames[QB_BATCH_MAX][QB_FRAME_BYTES],
		originals[QB_BATCH_MAX][QB_FRAME_BYTES];
	static uint8_t flat[65536], piece[QB_FRAME_BYTES];
	static struct qb_buf bufs[QB_BATCH_MAX];
	static struct qb_joiner j;
	struct iovec iov[QB_BATCH_MAX];
	struct virtio_net_hdr_v1 vh;
	struct qb_batch in = {0};
	struct qb_segment s;
	uint32_t seen_cnt = 0;

	while (len >= 2 && !qb_batch_full(&in)) {
		uint32_t n = qb_load_be16(data) % 1700;
		struct qb_buf *b = &bufs[in.cnt];

		n = QB_MIN(n, (uint32_t)len - 2);
		memcpy(frames[in.cnt], data + 2, n);
		memcpy(originals[in.cnt], data + 2, n);
		b->data = frames[in.cnt];
		b->len = n;
		qb_batch_add(&in, b);
		data += 2 + n;
		len -= 2 + n;
	}
	qb_joiner_plan(&j, &in, true);
	for (uint32_t i = 0; i < j.run_cnt; i++) {
		const struct qb_run *run = &j.run[i];
		uint32_t cnt = qb_joiner_build(&j, &in, run, &vh, iov), flat_len = 0;
		uint8_t idx = run->first;

		seen_cnt += cnt;
		if (cnt == 1)
			continue;
		for (uint32_t k = 0; k < cnt; k++) {
			memcpy(flat + flat_len, iov[k].iov_base, iov[k].iov_len);
			flat_len += (uint32_t)iov[k].iov_len;
		}
		QB_BUG_ON(qb_segment_init(&s, &vh, flat, flat_len) || qb_segment_left(&s) != cnt);
		for (uint32_t k = 0; k < cnt; k++, idx = j.next[idx]) {
			uint32_t n = qb_segment_next(&s, piece);

			QB_BUG_ON(n != in.buf[idx]->len);
			/* Identification and its checksum may differ where it stood still. */
			if (run->is_id_fixed) {
				memcpy(piece + 4, originals[idx] + 4, 2);
				memcpy(piece + 10, originals[idx] + 10, 2);
			}
			QB_BUG_ON(memcmp(piece, originals[idx], n) != 0);
		}
	}
	QB_BUG_ON(seen_cnt != in.cnt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	if (data[0] == 0)
		fuzz_cut(data + 1, len - 1);
	else
		fuzz_join(data + 1, len - 1);
	return 0;
}
