/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What LIA, OLIA and BALIA have in common: Reno on each path (slow start and recovery are the
 * path's own), whose growth in congestion avoidance depends on all paths of the connection. An
 * algorithm gives its increase and its decrease.
 */
#pragma once

#include "cc/reno.h"

struct qb_coupled;

struct qb_coupled_rule {
	/* The window's growth in bytes for so many acknowledged bytes, in congestion avoidance, two
	 * usable paths or more. */
	double (*increase)(const struct qb_coupled *s, uint64_t acked_bytes, uint64_t now_ns);
	/* The window after a loss. */
	uint64_t (*decrease)(const struct qb_coupled *s, uint64_t now_ns);
};

struct qb_coupled {
	struct qb_reno reno;
	const struct qb_coupled_rule *rule;
	struct qb_cc_group *group;
	struct qb_cc_member *self; /* NULL: no group, or no room in it */
};

_Static_assert(sizeof(struct qb_coupled) <= QB_CC_STATE_MAX, "state");

/* qb_coupled_is_usable: the member has an RTT and was acknowledged of late. */
bool qb_coupled_is_usable(const struct qb_cc_member *m, uint64_t now_ns);

/* qb_coupled_rate is w/rtt in bytes a nanosecond, x in the papers. */
static inline double qb_coupled_rate(const struct qb_cc_member *m)
{
	return (double)m->cwnd_bytes / (double)m->srtt_ns;
}

/* qb_coupled_total_rate: the sum of the rates of the usable paths. */
double qb_coupled_total_rate(const struct qb_coupled *s, uint64_t now_ns);
uint64_t qb_coupled_halve(const struct qb_coupled *s, uint64_t now_ns);

void qb_coupled_init(struct qb_coupled *s, const struct qb_coupled_rule *rule,
		     const struct qb_cc_cfg *cfg);
void qb_coupled_on_sent(void *st, const struct qb_cc_sent *ev);
void qb_coupled_on_ack(void *st, const struct qb_cc_ack *ev);
void qb_coupled_on_loss(void *st, const struct qb_cc_loss *ev);
void qb_coupled_on_ecn(void *st, const struct qb_cc_ecn *ev);
void qb_coupled_on_spurious(void *st, uint64_t now_ns);
void qb_coupled_view(const void *st, struct qb_cc_view *out);

/* What each of them has in its struct qb_cc besides its name and init. */
#define QB_COUPLED_HOOKS                                                                           \
	.state_bytes = sizeof(struct qb_coupled), .on_sent = qb_coupled_on_sent,                   \
	.on_ack = qb_coupled_on_ack, .on_loss = qb_coupled_on_loss, .on_ecn = qb_coupled_on_ecn,   \
	.on_spurious = qb_coupled_on_spurious, .view = qb_coupled_view
