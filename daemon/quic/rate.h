/* SPDX-License-Identifier: BSD-2-Clause */
/* Delivery rate estimation of a path (draft-ietf-ccwg-bbr §4.1): what congestion controllers are fed with. */
#pragma once

#include "quic/sent.h"

struct qb_rate {
	uint64_t delivered_bytes;
	uint64_t delivered_ns;
	uint64_t first_sent_ns;	    /* send time of the packet that was delivered last */
	uint64_t app_limited_bytes; /* samples are app-limited until so much is delivered; 0: not */
	uint32_t lost_bytes;	    /* only differences are looked at */
	uint32_t busy_kbps;	    /* the latest sample that tells what the path can: it was kept busy, or delivered more than ever then */
	uint64_t bps;		    /* the latest sample that was usable */
};

/* One ACK's sample in the making. */
struct qb_rate_sample {
	uint64_t newest_sent_ns;
	uint64_t newest_pn;
	uint64_t prior_delivered_bytes, prior_ns;
	uint64_t send_elapsed_ns, ack_elapsed_ns;
	uint64_t tx_in_flight_bytes;
	uint32_t prior_lost_bytes;
	bool has_data, is_app_limited;
	/* filled by qb_rate_finish */
	uint64_t bps, interval_ns, delivered_bytes, lost_bytes;
};

/* qb_rate_on_sent stamps the record; in_flight_bytes is the path's before this packet. */
void qb_rate_on_sent(struct qb_rate *r, struct qb_sent_pkt *p, uint64_t in_flight_bytes,
		     uint64_t now_ns);
/* qb_rate_on_acked takes one newly acknowledged packet. */
void qb_rate_on_acked(struct qb_rate *r, struct qb_rate_sample *rs, const struct qb_sent_pkt *p,
		      uint64_t pn, uint64_t now_ns);
/* qb_rate_finish computes the sample after all of an ACK's packets; rs->bps stays 0 if it is unusable. */
void qb_rate_finish(struct qb_rate *r, struct qb_rate_sample *rs, uint64_t min_rtt_ns);
/* qb_rate_set_app_limited: the sender has nothing more to send although it might. */
void qb_rate_set_app_limited(struct qb_rate *r, uint64_t in_flight_bytes);
