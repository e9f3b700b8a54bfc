/* SPDX-License-Identifier: BSD-2-Clause */
/* HyStart++ as RFC 9406 §4.2 and §4.3 have it, with rounds measured in delivered bytes. */
#include "cc/hystart.h"

enum {
	MIN_RTT_THRESH_NS = 4000000,
	MAX_RTT_THRESH_NS = 16000000,
	RTT_DIVISOR = 8,
	RTT_SAMPLES = 8,
	CSS_ROUNDS = 5,
};

void qb_hystart_init(struct qb_hystart *h)
{
	memset(h, 0, sizeof(*h));
	h->last_min_rtt_ns = h->min_rtt_ns = QB_NEVER_NS;
}

static void next_round(struct qb_hystart *h, const struct qb_cc_ack *ev)
{
	h->last_min_rtt_ns = h->min_rtt_ns;
	h->min_rtt_ns = QB_NEVER_NS;
	h->sample_cnt = 0;
	h->round_end_bytes = ev->delivered_bytes + ev->in_flight_bytes;
	if (h->is_css)
		h->css_rounds++;
}

static uint64_t rtt_thresh(uint64_t last_min_rtt_ns)
{
	uint64_t thresh_ns = last_min_rtt_ns / RTT_DIVISOR;

	return QB_MIN(QB_MAX(thresh_ns, (uint64_t)MIN_RTT_THRESH_NS), (uint64_t)MAX_RTT_THRESH_NS);
}

enum qb_hystart_verdict qb_hystart_on_ack(struct qb_hystart *h, const struct qb_cc_ack *ev)
{
	if (ev->delivered_bytes >= h->round_end_bytes)
		next_round(h, ev);
	if (ev->rtt_ns) {
		h->min_rtt_ns = qb_min_u64(h->min_rtt_ns, ev->rtt_ns);
		h->sample_cnt++;
	}
	if (h->is_css) {
		if (h->min_rtt_ns < h->css_baseline_ns && h->sample_cnt >= RTT_SAMPLES) {
			h->is_css = false; /* the growth was noise */
			h->css_rounds = 0;
			h->css_baseline_ns = QB_NEVER_NS;
			return QB_HYSTART_GROW;
		}
		return h->css_rounds >= CSS_ROUNDS ? QB_HYSTART_EXIT : QB_HYSTART_GROW_CSS;
	}
	if (h->sample_cnt >= RTT_SAMPLES && h->last_min_rtt_ns != QB_NEVER_NS &&
	    h->min_rtt_ns >= h->last_min_rtt_ns + rtt_thresh(h->last_min_rtt_ns)) {
		h->is_css = true;
		h->css_rounds = 0;
		h->css_baseline_ns = h->min_rtt_ns;
		return QB_HYSTART_GROW_CSS;
	}
	return QB_HYSTART_GROW;
}
