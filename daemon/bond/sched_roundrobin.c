/* SPDX-License-Identifier: BSD-2-Clause */
/* Each free path in turn. A baseline: fair to paths, not to packets. */
#include "bond/sched.h"

struct roundrobin_state {
	uint32_t next;
};

static void roundrobin_init(void *st)
{
	memset(st, 0, sizeof(struct roundrobin_state));
}

static int roundrobin_pick(void *st, const struct qb_path_view *v, uint32_t n,
			   const struct qb_pkt_meta *pkt, uint64_t now_ns)
{
	struct roundrobin_state *s = st;
	uint32_t i;

	(void)now_ns;
	for (i = 0; i < n; i++) {
		uint32_t idx = (s->next + i) % n;

		if (qb_view_can_send(&v[idx], pkt->bytes)) {
			s->next = idx + 1;
			return (int)idx;
		}
	}
	return QB_SCHED_WAIT;
}

const struct qb_sched qb_sched_roundrobin = {
	.name = "roundrobin",
	.state_bytes = sizeof(struct roundrobin_state),
	.init = roundrobin_init,
	.pick = roundrobin_pick,
};
