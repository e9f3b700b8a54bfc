/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which path is quickest hardly changes within a packet's time on the wire. So the scheduler is
 * asked once for a QUIC packet's worth of small bulk packets that leave at one moment, not for each
 * of them: they can share that packet (qb_conn_send_bundle), where taking turns between links would
 * tear them apart. Called by qb_bond_pick.
 */
#include "bond/internal.h"

enum { SHARE_BYTES = 16 }; /* what a packet takes in one that it shares, beside its own */

static bool is_free(const struct qb_bond *b, const struct qb_buf *buf)
{
	return b->grain != QB_GRAIN_FLOW && qb_bond_is_free(b, qb_classes_treat(&b->classes, buf)) &&
	       qb_bond_remote_path(b, buf) < 0;
}

int qb_bond_ride(const struct qb_bond *b, const struct qb_path_view *views, uint32_t n,
		 const struct qb_buf *buf, uint64_t now_ns)
{
	const struct qb_bond_ride *r = &b->ride;
	uint32_t bytes = qb_bond_inner_len(buf);

	if (bytes + SHARE_BYTES > r->room_bytes || r->at_ns != now_ns || r->path >= n ||
	    !qb_view_can_send(&views[r->path], bytes) || !is_free(b, buf))
		return QB_SCHED_WAIT;
	return r->path;
}

void qb_bond_board(struct qb_bond *b, const struct qb_buf *buf, uint8_t path, bool rode,
		   uint64_t now_ns)
{
	struct qb_bond_ride *r = &b->ride;

	/* Who does not have to shall not be late with it. */
	if (b->tuning.outlook.remote >> path & 1)
		return;
	if (!rode)
		*r = (struct qb_bond_ride){
			.at_ns = now_ns,
			.path = path,
			.room_bytes = b->least_inner_bytes < UINT32_MAX ? b->least_inner_bytes : 0,
		};
	r->room_bytes =
		(uint32_t)qb_sub_sat_u64(r->room_bytes, qb_bond_inner_len(buf) + SHARE_BYTES);
}
