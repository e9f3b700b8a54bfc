/* SPDX-License-Identifier: BSD-2-Clause */
/* What a path may send, and its congestion controller; used by everything that sends or acknowledges. */
#include "quic/path.h"

uint64_t qb_path_amp_room(const struct qb_path *p)
{
	if (p->amp.is_validated)
		return UINT64_MAX;
	return qb_sub_sat_u64(QB_AMPLIFICATION * p->amp.rx_bytes, p->amp.tx_bytes);
}

uint64_t qb_path_budget(const struct qb_path *p, uint64_t now_ns)
{
	uint64_t budget = QB_MIN(qb_path_window(p), qb_pacer_budget(&p->pacer, now_ns));

	return QB_MIN(budget, qb_path_amp_room(p));
}

void qb_path_init_cc(struct qb_path *p, const struct qb_cc *algo, struct qb_cc_group *group, uint64_t seed,
		     uint64_t now_ns)
{
	struct qb_cc_cfg cfg = {
		.mss_bytes = p->mtu.max_bytes,
		.init_cwnd_bytes = (uint64_t)p->tune.init_window_pkts * p->mtu.max_bytes,
		.min_cwnd_bytes = (uint64_t)p->tune.min_window_pkts * p->mtu.max_bytes,
		.init_rtt_ns = p->rtt.smoothed_ns,
		.seed = seed,
		.group = group,
	};

	QB_BUG_ON(algo->state_bytes > QB_CC_STATE_MAX);
	qb_cc_group_leave(group, p->cc.state);
	p->cc.algo = algo;
	algo->init(p->cc.state, &cfg, now_ns);
	qb_resume_init(&p->cc.resume, &cfg);
	qb_path_update_cc(p, now_ns);
}

void qb_path_draw_spin(struct qb_path *p, uint8_t of_16, uint64_t lot)
{
	p->spin = (struct qb_spin){.is_on = lot % 16 < QB_MIN(of_16, 15)};
}

/* limited_bps: the pacer counts UDP payloads, the limit is one of IP packets. */
static uint64_t limited_bps(const struct qb_path *p, uint64_t bps)
{
	uint64_t headers = p->tuple.peer.family == 6 ? 48 : 28, limit_bps;

	if (!p->limit_bps)
		return bps;
	limit_bps = p->limit_bps * p->mtu.cur_bytes / (p->mtu.cur_bytes + headers);
	return bps ? QB_MIN(bps, limit_bps) : limit_bps;
}

void qb_path_update_cc(struct qb_path *p, uint64_t now_ns)
{
	struct qb_cc_view *v = &p->cc.view;
	uint64_t srtt_ns = qb_rtt_has_sample(&p->rtt) ? p->rtt.smoothed_ns : 0;

	*v = (struct qb_cc_view){0};
	p->cc.algo->view(p->cc.state, v);
	qb_resume_view(&p->cc.resume, srtt_ns, v);
	qb_pacer_set_rate(&p->pacer, limited_bps(p, qb_cc_pacing_bps(v, srtt_ns)), p->mtu.cur_bytes, now_ns);
}

uint64_t qb_path_pto_ns(const struct qb_path *p, uint64_t peer_max_ack_delay_ns)
{
	uint64_t pto_ns = qb_rtt_pto_ns(&p->rtt, peer_max_ack_delay_ns);

	return pto_ns << QB_MIN(p->pto_count, (uint32_t)QB_PTO_BACKOFF_MAX);
}

bool qb_path_is_peer_ok(const struct qb_addr *local, const struct qb_addr *peer)
{
	enum qb_scope scope = qb_addr_scope(peer);

	/* Site-local hosts do reach global addresses, and NAT66 what it likes; nothing narrower does. */
	return peer->port && scope != QB_SCOPE_NONE && scope >= QB_MIN(qb_addr_scope(local), QB_SCOPE_SITE);
}

void qb_validation_start(struct qb_validation *v, uint64_t pto_ns, uint64_t now_ns)
{
	struct qb_rtt fresh;

	qb_rtt_init(&fresh, 0);
	*v = (struct qb_validation){
		.is_active = true,
		.next_ns = now_ns,
		/* RFC 9000 §8.2.4. */
		.give_up_ns = now_ns + 3 * QB_MAX(pto_ns, qb_rtt_pto_ns(&fresh, 0)),
	};
}

void qb_path_start_validation(struct qb_path *p, uint64_t pto_ns, uint64_t now_ns)
{
	qb_validation_start(&p->validation, pto_ns, now_ns);
}
