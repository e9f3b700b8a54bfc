/* SPDX-License-Identifier: BSD-2-Clause */
/* A packet's payload, frame by frame: the first byte is the packet type. What parses must build and
 * parse again. */
#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void walk_ack(const struct qb_frame *f)
{
	struct qb_ack_iter it;
	struct qb_range r;
	uint64_t below = UINT64_MAX;

	if (f->type != QB_FRAME_ACK && f->type != QB_FRAME_ACK_ECN &&
	    f->type != QB_FRAME_PATH_ACK && f->type != QB_FRAME_PATH_ACK_ECN &&
	    !qb_frame_is_ack_ts(f->type))
		return;
	qb_ack_iter_init(&it, &f->ack);
	while (qb_ack_iter_next(&it, &r)) {
		QB_BUG_ON(r.first > r.last || r.last >= below);
		below = r.first;
	}
	QB_BUG_ON(it.rd.bad);
}

/* A frame of n bytes needs at most n bytes again, plus the length that a last STREAM frame had left
 * out. */
static void build_again(const struct qb_frame *f, size_t n, enum qb_pkt_type pkt)
{
	static uint8_t buf[1 << 16];
	struct qb_wr w = qb_wr_init(buf, sizeof(buf));
	struct qb_fault fault;
	struct qb_frame got;

	if (n > sizeof(buf) - 8)
		return;
	qb_frame_build(&w, f);
	QB_BUG_ON(w.bad || (size_t)(w.p - buf) > n + 4);
	QB_BUG_ON(qb_frame_parse(&got, buf, (size_t)(w.p - buf), pkt, &fault) != w.p - buf);
	QB_BUG_ON(got.type != f->type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	enum qb_pkt_type pkt;
	size_t off = 1;

	if (len == 0)
		return 0;
	pkt = data[0] % 4;
	while (off < len) {
		struct qb_fault fault = {0};
		struct qb_frame f;
		int n = qb_frame_parse(&f, data + off, len - off, pkt, &fault);

		if (n < 0) {
			QB_BUG_ON(fault.code == 0 || !fault.why);
			return 0;
		}
		QB_BUG_ON(n == 0 || (size_t)n > len - off);
		QB_BUG_ON(!(qb_frame_rule(f.type)->packets & (1u << pkt)));
		walk_ack(&f);
		build_again(&f, (size_t)n, pkt);
		off += (size_t)n;
	}
	return 0;
}
