/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the cache to what the daemon wants to know of each interface: which address to send from,
 * and which gateway to send to. Built anew whenever the cache changed.
 */
#include "link/internal.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "base/log.h"

/* best_default: of the main table before others, of the lowest metric. */
static const struct nl_default *best_default(const struct qb_nl *nl, uint32_t ifindex,
					     uint8_t family)
{
	const struct nl_default *best = NULL;

	for (uint32_t i = 0; i < nl->defaults.cnt; i++) {
		const struct nl_default *d = qb_nl_table_row(&nl->defaults, i);
		bool is_main = d->table == RT_TABLE_MAIN;

		if (d->ifindex != ifindex || d->family != family)
			continue;
		if (!best || (is_main && best->table != RT_TABLE_MAIN) ||
		    (is_main == (best->table == RT_TABLE_MAIN) && d->metric < best->metric))
			best = d;
	}
	return best;
}

/* has_addr_in: the address row's subnet contains ip. */
static bool has_addr_in(const struct nl_addr_row *a, const struct qb_addr *ip)
{
	struct qb_prefix p = {.family = a->ip.family, .len = a->prefix_len};

	if (ip->family != a->ip.family)
		return false;
	memcpy(p.ip, a->ip.ip, sizeof(p.ip));
	for (uint32_t bit = p.len; bit < (p.family == 6 ? 128u : 32u); bit++)
		p.ip[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return qb_prefix_has(&p, ip->family, ip->ip);
}

/* addr_score ranks an address as the one to send from; 0: not fit for it. */
static uint32_t addr_score(const struct nl_addr_row *a, const struct nl_default *d)
{
	bool is_ula = a->ip.family == 6 && (a->ip.ip[0] & 0xfe) == 0xfc;
	uint32_t score = 1;

	if (a->flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) && !(a->flags & IFA_F_OPTIMISTIC))
		return 0;
	if (a->scope >= RT_SCOPE_LINK)
		return 0;
	if (d && d->src.family && qb_addr_ip_eq(&d->src, &a->ip))
		return UINT32_MAX;
	score += (a->flags & IFA_F_DEPRECATED) ? 0 : 64;
	score += is_ula ? 0 : 32;
	score += d && d->via.family && has_addr_in(a, &d->via) ? 16 : 0;
	/* The flag says "secondary" for IPv4, "temporary" for IPv6: a path should outlive a privacy
	 * address. */
	score += (a->flags & IFA_F_SECONDARY) ? 0 : 8;
	return score;
}

static void choose(const struct qb_nl *nl, uint32_t ifindex, uint8_t family, struct qb_addr *src,
		   struct qb_addr *gw, bool *has_default)
{
	const struct nl_default *d = best_default(nl, ifindex, family);
	uint32_t best = 0;

	*has_default = d != NULL;
	if (d)
		*gw = d->via;
	for (uint32_t i = 0; i < nl->addrs.cnt; i++) {
		const struct nl_addr_row *a = qb_nl_table_row(&nl->addrs, i);
		uint32_t score;

		if (a->ifindex != ifindex || a->ip.family != family)
			continue;
		score = addr_score(a, d);
		if (score > best) {
			best = score;
			*src = a->ip;
		}
	}
}

bool qb_nl_view_build(struct qb_nl *nl)
{
	bool has_changed = false;
	uint32_t cnt = QB_MIN(nl->links.cnt, (uint32_t)QB_LINK_IFS_MAX);

	nl->is_stale = false;
	if (nl->links.cnt > cnt && nl->if_cnt < cnt)
		qb_warn("%u interfaces: only the first %u are looked at", nl->links.cnt, cnt);
	for (uint32_t i = 0; i < cnt; i++) {
		const struct nl_link *l = qb_nl_table_row(&nl->links, i);
		struct qb_if f;

		/* Compared as bytes: the padding is zero, too. */
		memset(&f, 0, sizeof(f));
		f.ifindex = l->ifindex;
		memcpy(f.name, l->name, sizeof(f.name));
		f.is_up = (l->flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
		f.is_loopback = l->flags & IFF_LOOPBACK;
		f.is_tun = l->is_tun;
		f.mtu_bytes = l->mtu_bytes;
		memcpy(f.mac, l->mac, sizeof(f.mac));
		f.has_mac = l->has_mac;
		choose(nl, l->ifindex, 4, &f.src4, &f.gw4, &f.has_default4);
		choose(nl, l->ifindex, 6, &f.src6, &f.gw6, &f.has_default6);
		if (i >= nl->if_cnt || memcmp(&nl->ifs[i], &f, sizeof(f)) != 0)
			has_changed = true;
		memcpy(&nl->ifs[i], &f, sizeof(f));
	}
	has_changed |= nl->if_cnt != cnt;
	nl->if_cnt = cnt;
	return has_changed;
}
