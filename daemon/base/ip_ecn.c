/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ECN field of IP packets, for the queue that marks (bond/queue.c), for the end of the tunnel
 * (rx.c) and for emulated links (tools/netem_bridge.c).
 */
#include "base/ip_ecn.h"
#include "base/csum.h"

/*
 * csum_update is RFC 1624 §3, equation 3: the header checksum after one word of the header changed.
 * The old checksum is corrected, not computed anew: an error in the header must stay visible.
 */
static uint16_t csum_update(uint16_t csum, uint16_t from, uint16_t to)
{
	return (uint16_t)~qb_csum_fold((uint64_t)(uint16_t)~csum + (uint16_t)~from + to);
}

bool qb_ip_mark_ce(uint8_t *ip)
{
	uint16_t before, after;

	if (qb_ip_ecn(ip) == QB_ECN_NOT)
		return false;
	if (ip[0] >> 4 == 6) {
		ip[1] |= 0x30;
		return true;
	}
	before = qb_load_be16(ip);
	ip[1] |= 3;
	after = qb_load_be16(ip);
	qb_store_be16(ip + 10, csum_update(qb_load_be16(ip + 10), before, after));
	return true;
}

/*
 * RFC 6040 §4.2, figure 4, with what is another where the outer field is not a copy of the inner
 * one but says what the tunnel's own congestion control can do (RFC 9484 §10.2):
 *
 *     inner \ outer   Not-ECT   ECT(0)    ECT(1)    CE
 *     Not-ECT         Not-ECT   Not-ECT   Not-ECT   Not-ECT (a)
 *     ECT(0)          ECT(0)    ECT(0)    ECT(0)(b) CE (c)
 *     ECT(1)          ECT(1)    ECT(1)    ECT(1)    CE
 *     CE              CE        CE        CE        CE
 *
 * (a) Not dropped: the mark has been answered, by the tunnel's sender, and the inner transport
 * never said that it could be told. (b) Not ECT(1): here that is no mark of a network, but the
 * choice of the tunnel's controller; a classic flow would turn into one that L4S queues treat as
 * scalable (RFC 9331 §4.1). (c) Not where the path is L4S: its marks come early and often, for who
 * answers each one by little (RFC 9331 §5.2). To a classic flow each would be a loss.
 */
bool qb_ip_ecn_egress(uint8_t *ip, enum qb_ecn outer, bool is_l4s)
{
	enum qb_ecn inner = qb_ip_ecn(ip);

	if (outer != QB_ECN_CE || inner == QB_ECN_NOT || inner == QB_ECN_CE)
		return false;
	if (inner == QB_ECN_ECT0 && is_l4s)
		return false;
	return qb_ip_mark_ce(ip);
}
