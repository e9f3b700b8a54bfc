/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The link state machine, run by qb_bond_observe.
 *
 *     absent ──► probing ──validated──► active ◄──tier──► standby
 *                   ▲                      │                 │
 *                   │          no ACK in time, others show the peer lives
 *                   │                      ▼                 ▼
 *                   │                   suspect ──an ACK──► active
 *                   │                      │ still silent
 *                   └──a probe came back── failed
 *
 *   suspect   after the normal time for an ACK (a few tens of ms): data goes elsewhere at once, a
 * probe goes out failed    after three times that, if another link works: what is in flight is
 * moved probing   after a failure: a few probes must come back. A link that fails again and again
 * must stay sound for longer each time, up to half a minute, before it is trusted; the first time
 * it is back within a second.
 *
 * Where no link works, none is held for failed: all stay suspect and are tried, so that the first
 * ACK heals.
 */
#include "bond/state.h"

#include <errno.h>
#include <stdio.h>

#define ACK_DELAY_NS	   (10 * QB_NS_PER_MS)
#define SILENCE_MIN_NS	   (40 * QB_NS_PER_MS)
#define UNKNOWN_SILENCE_NS (300 * QB_NS_PER_MS)
#define FAIL_FACTOR	   3
#define FAIL_MIN_NS	   (120 * QB_NS_PER_MS)

#define PATIENCE_MAX_PCT  300
#define PATIENCE_STEP_PCT 50
#define PATIENCE_DECAY_NS (10 * QB_NS_PER_SEC)

#define PROBE_SUSPECT_NS (50 * QB_NS_PER_MS)
#define PROBE_FAILED_NS	 (200 * QB_NS_PER_MS)
/* With the round trips of the proof this keeps the first return under a second, however long it was
 * dead. */
#define PROBE_FAILED_MAX_NS (500 * QB_NS_PER_MS)
#define PROBE_PROVING_NS    (20 * QB_NS_PER_MS)
#define PROBE_STABLE_NS	    (100 * QB_NS_PER_MS)
#define GOOD_PROBES	    2u

#define FLAP_MEMORY_NS (60 * QB_NS_PER_SEC)
#define FLAP_SOUND_NS  (10 * QB_NS_PER_SEC) /* so long in service makes up for a failure */
#define STABLE_STEP_NS (1 * QB_NS_PER_SEC)
#define STABLE_MAX_NS  (30 * QB_NS_PER_SEC)

#define WATCH_NS (10 * QB_NS_PER_MS)
/* A link is watched closely for so long after it sent something. */
#define WATCH_TAIL_NS (200 * QB_NS_PER_MS)

static const char *const state_names[QB_LINK_STATE_CNT] = {
	[QB_LINK_ABSENT] = "absent",   [QB_LINK_PROBING] = "probing", [QB_LINK_ACTIVE] = "active",
	[QB_LINK_SUSPECT] = "suspect", [QB_LINK_STANDBY] = "standby", [QB_LINK_FAILED] = "failed",
	[QB_LINK_DRAINED] = "drained",
};

static const char *const tier_names[QB_TIER_CNT] = {
	[QB_TIER_PRIMARY] = "primary",
	[QB_TIER_SECONDARY] = "secondary",
	[QB_TIER_BACKUP] = "backup",
	[QB_TIER_NEVER] = "never",
};

#define TO(s) (1u << QB_LINK_##s)
static const uint8_t allowed[QB_LINK_STATE_CNT] = {
	[QB_LINK_ABSENT] = TO(PROBING) | TO(DRAINED),
	[QB_LINK_PROBING] = TO(ABSENT) | TO(ACTIVE) | TO(STANDBY) | TO(FAILED) | TO(DRAINED),
	[QB_LINK_ACTIVE] = TO(ABSENT) | TO(PROBING) | TO(SUSPECT) | TO(STANDBY) | TO(DRAINED),
	[QB_LINK_SUSPECT] =
		TO(ABSENT) | TO(PROBING) | TO(ACTIVE) | TO(STANDBY) | TO(FAILED) | TO(DRAINED),
	[QB_LINK_STANDBY] = TO(ABSENT) | TO(PROBING) | TO(SUSPECT) | TO(ACTIVE) | TO(DRAINED),
	[QB_LINK_FAILED] = TO(ABSENT) | TO(PROBING) | TO(DRAINED),
	[QB_LINK_DRAINED] = TO(ABSENT) | TO(PROBING),
};
#undef TO

const char *qb_link_state_name(enum qb_link_state s)
{
	return (unsigned)s < QB_LINK_STATE_CNT ? state_names[s] : "?";
}

const char *qb_tier_name(enum qb_tier t)
{
	return (unsigned)t < QB_TIER_CNT ? tier_names[t] : "?";
}

int qb_tier_parse(const char *text, enum qb_tier *out)
{
	unsigned i;

	for (i = 0; i < QB_TIER_CNT; i++) {
		if (strcmp(text, tier_names[i]) == 0) {
			*out = (enum qb_tier)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* The one place where a state changes. */
static void set_state(struct qb_link *k, enum qb_link_state to, const char *reason, uint64_t now_ns)
{
	if (k->state != to) {
		QB_BUG_ON(!(allowed[k->state] & (1u << to)));
		k->state = (uint8_t)to;
		k->since_ns = now_ns;
	}
	snprintf(k->reason, sizeof(k->reason), "%s", reason);
}

static bool is_serving(const struct qb_link *k)
{
	return qb_link_state_serves(k->state);
}

static enum qb_tier tier_in_force(const struct qb_link *k)
{
	return k->is_peer_backup ? QB_MAX((enum qb_tier)k->tier, QB_TIER_BACKUP)
				 : (enum qb_tier)k->tier;
}

/* order_of: which links are used before which; those of one order together. */
static uint32_t order_of(const struct qb_links *l, const struct qb_link *k)
{
	return tier_in_force(k) * QB_BOND_PATHS_MAX + (l->is_failover ? k->rank : 0);
}

/* failback_at_ns: when a link that came back is trusted as before. */
static uint64_t failback_at_ns(const struct qb_links *l, const struct qb_link *k)
{
	return l->failback_ns == QB_NEVER_NS ? QB_NEVER_NS : k->serving_ns + l->failback_ns;
}

/* best_order of the links in service; those that only just came back count where no other does. */
static uint32_t best_order(const struct qb_links *l, uint64_t now_ns)
{
	uint32_t none = QB_TIER_NEVER * QB_BOND_PATHS_MAX, best = none, best_of_all = none, i;

	for (i = 0; i < QB_BOND_PATHS_MAX; i++) {
		const struct qb_link *k = &l->link[i];

		if (!is_serving(k))
			continue;
		best_of_all = QB_MIN(best_of_all, order_of(l, k));
		if (!k->is_back || now_ns >= failback_at_ns(l, k))
			best = QB_MIN(best, order_of(l, k));
	}
	return best >= none ? best_of_all : best;
}

/* settle_tiers makes the links of the best tier that has a sound one active, and keeps the others
 * in reserve. */
static void settle_tiers(struct qb_links *l, uint64_t now_ns)
{
	uint32_t best = best_order(l, now_ns), i;

	for (i = 0; i < QB_BOND_PATHS_MAX; i++) {
		struct qb_link *k = &l->link[i];
		enum qb_tier tier = tier_in_force(k);
		uint32_t order = order_of(l, k);
		char reason[64];

		if (!is_serving(k))
			continue;
		if (order == best && tier != QB_TIER_NEVER) {
			k->is_back = false;
			l->seen_orders |= 1u << order;
			if (k->state != QB_LINK_ACTIVE)
				set_state(k, QB_LINK_ACTIVE, "", now_ns);
			continue;
		}
		if (order < best && l->failback_ns == QB_NEVER_NS)
			snprintf(reason, sizeof(reason), "in reserve: back, and Failback is never");
		else if (order < best)
			snprintf(reason, sizeof(reason), "in reserve: back, must stay sound for %llu s",
				 (unsigned long long)(l->failback_ns / QB_NS_PER_SEC));
		else if (tier == best / QB_BOND_PATHS_MAX)
			snprintf(reason, sizeof(reason), "in reserve: one link is used at a time");
		else if (tier == QB_TIER_NEVER)
			snprintf(reason, sizeof(reason), "not used");
		else
			snprintf(reason, sizeof(reason), "in reserve: %s",
				 k->is_peer_backup && k->tier < QB_TIER_BACKUP
					 ? "the peer asked for it"
					 : tier_names[tier]);
		set_state(k, QB_LINK_STANDBY, reason, now_ns);
	}
}

static bool others_serve(const struct qb_links *l, uint8_t path)
{
	uint32_t i;

	for (i = 0; i < QB_BOND_PATHS_MAX; i++) {
		if (i != path && is_serving(&l->link[i]) &&
		    tier_in_force(&l->link[i]) != QB_TIER_NEVER)
			return true;
	}
	return false;
}

/* ---- silence ---- */

/* at_most_ns: a limit of 0 is none. */
static uint64_t at_most_ns(uint64_t t_ns, uint64_t limit_ns)
{
	return limit_ns ? qb_min_u64(t_ns, limit_ns) : t_ns;
}

static uint64_t normal_ack_ns(const struct qb_links *l, const struct qb_link *k,
			      const struct qb_path_obs *o)
{
	uint64_t t = o->srtt_ns ? o->srtt_ns + 4 * o->rttvar_ns + ACK_DELAY_NS : UNKNOWN_SILENCE_NS;

	t = qb_max_u64(t, SILENCE_MIN_NS);
	return at_most_ns(t + t * k->patience_pct / 100, l->fail.max_ns);
}

/* fail_after_ns: a link that is silent for so long is given up, if another one works. */
static uint64_t fail_after_ns(const struct qb_links *l, const struct qb_link *k,
			      const struct qb_path_obs *o)
{
	uint64_t mult = l->fail.mult ? l->fail.mult : FAIL_FACTOR,
		 least_ns = l->fail.min_ns ? l->fail.min_ns : FAIL_MIN_NS;

	return at_most_ns(qb_max_u64(mult * normal_ack_ns(l, k, o), least_ns), l->fail.max_ns);
}

/* is_alone: no other link that could tell whether the peer lives. */
static bool is_alone(const struct qb_links *l, uint8_t path, const struct qb_path_obs *obs,
		     uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (i != path && l->link[i].is_present && obs[i].is_open)
			return false;
	}
	return true;
}

/* has_proof: another link had something acknowledged that was sent later. The peer lives, so it is
 * the path. */
static bool has_proof(const struct qb_links *l, uint8_t path, const struct qb_path_obs *obs,
		      uint32_t n, uint64_t since_ns)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (i != path && l->link[i].is_present && obs[i].is_open &&
		    obs[i].last_acked_sent_ns > since_ns)
			return true;
	}
	return false;
}

/* silent_since_ns returns when the oldest packet left that nothing later has vouched for; 0 none.
 */
static uint64_t silent_since_ns(const struct qb_path_obs *o)
{
	/* Acknowledged later than the oldest one in flight: that one was lost alone, the path lives.
	 * The packets of one batch left at the same time: the last one acknowledged does not vouch
	 * for the rest of its batch. */
	return o->oldest_unacked_ns >= o->last_acked_sent_ns ? o->oldest_unacked_ns : 0;
}

static void decay_patience(struct qb_link *k, uint64_t now_ns)
{
	if (k->patience_pct && now_ns - k->patience_ns >= PATIENCE_DECAY_NS) {
		k->patience_pct /= 2;
		k->patience_ns = now_ns;
	}
}

/* ---- probes ---- */

static uint32_t send_probe(struct qb_link *k, uint64_t interval_ns, uint64_t now_ns)
{
	k->probe_ns = now_ns;
	k->probe_interval_ns = interval_ns;
	return QB_LINK_ACT_PROBE;
}

static bool probe_is_due(const struct qb_link *k, uint64_t now_ns)
{
	return now_ns >= k->probe_ns + k->probe_interval_ns;
}

/* ---- one state each ---- */

/* is_comeback: its tier was in use, then a worse one took over, and serves. */
static bool is_comeback(const struct qb_links *l, const struct qb_link *k)
{
	uint32_t order = order_of(l, k), i;

	if (l->failback_ns == 0 || tier_in_force(k) == QB_TIER_NEVER ||
	    !(l->seen_orders >> order & 1) ||
	    (k->was_in_service && !k->is_down))
		return false;
	for (i = 0; i < QB_BOND_PATHS_MAX; i++) {
		if (l->link[i].state == QB_LINK_ACTIVE && &l->link[i] != k)
			return order_of(l, &l->link[i]) > order;
	}
	return false;
}

/* enter_service: from here the tiers decide between active and standby. */
static uint32_t enter_service(struct qb_links *l, struct qb_link *k, uint64_t now_ns)
{
	bool was_down = k->is_down;

	k->is_back = is_comeback(l, k);
	k->serving_ns = now_ns;
	set_state(k, QB_LINK_ACTIVE, "", now_ns);
	k->was_in_service = true;
	k->is_down = false;
	settle_tiers(l, now_ns);
	if (!was_down)
		return 0;
	k->recoveries++;
	k->returned_ns = now_ns;
	k->patience_pct = 0;
	return QB_LINK_ACT_UP;
}

static void leave_service(struct qb_links *l, struct qb_link *k, enum qb_link_state to,
			  const char *reason, uint64_t now_ns)
{
	set_state(k, to, reason, now_ns);
	settle_tiers(l, now_ns);
}

static uint32_t observe_serving(struct qb_links *l, uint8_t path, const struct qb_path_obs *obs,
				uint32_t n, uint64_t now_ns)
{
	struct qb_link *k = &l->link[path];
	const struct qb_path_obs *o = &obs[path];
	uint64_t since = silent_since_ns(o), limit = normal_ack_ns(l, k, o);

	if (!o->is_open) {
		k->was_in_service = false;
		leave_service(l, k, QB_LINK_PROBING, "being validated", now_ns);
		return 0;
	}
	decay_patience(k, now_ns);
	if (since == 0)
		return 0;
	if (!is_alone(l, path, obs, n) && !has_proof(l, path, obs, n, since))
		limit *= 2;
	if (now_ns < since + limit) {
		k->deadline_ns = qb_min_u64(k->deadline_ns, since + limit);
		return 0;
	}
	k->silent_since_ns = since;
	leave_service(l, k, QB_LINK_SUSPECT, "no ACK in time", now_ns);
	return send_probe(k, PROBE_SUSPECT_NS, now_ns);
}

static uint64_t stable_time_ns(const struct qb_links *l, const struct qb_link *k)
{
	uint64_t most_ns = l->fail.recover_max_ns ? l->fail.recover_max_ns : STABLE_MAX_NS;

	if (k->flaps < 2)
		return 0;
	return qb_min_u64(STABLE_STEP_NS << QB_MIN(k->flaps - 2, 12u), most_ns);
}

/* count_flap: a link that works for long between two failures is worth what it carries meanwhile. */
static void count_flap(struct qb_link *k, uint64_t now_ns)
{
	uint64_t made_up_for = (now_ns - k->returned_ns) / FLAP_SOUND_NS;

	if (!k->failed_ns || now_ns - k->failed_ns >= FLAP_MEMORY_NS)
		k->flaps = 0;
	k->flaps = (uint32_t)qb_sub_sat_u64(k->flaps, made_up_for) + 1;
	k->failed_ns = now_ns;
}

static uint32_t fail(struct qb_link *k, uint64_t now_ns)
{
	set_state(k, QB_LINK_FAILED, "no ACK", now_ns);
	count_flap(k, now_ns);
	k->failures++;
	k->is_down = true;
	return send_probe(k, PROBE_FAILED_NS, now_ns) | QB_LINK_ACT_DOWN;
}

static uint32_t observe_suspect(struct qb_links *l, uint8_t path, const struct qb_path_obs *obs,
				uint32_t n, uint64_t now_ns)
{
	struct qb_link *k = &l->link[path];
	const struct qb_path_obs *o = &obs[path];
	uint64_t since = silent_since_ns(o), limit;

	if (!o->is_open) {
		k->was_in_service = false;
		leave_service(l, k, QB_LINK_PROBING, "being validated", now_ns);
		return 0;
	}
	/* An ACK of what was overdue, or of anything sent after it: late, but alive. */
	if (since == 0 || since > k->silent_since_ns) {
		k->patience_pct =
			QB_MIN(k->patience_pct + PATIENCE_STEP_PCT, (uint32_t)PATIENCE_MAX_PCT);
		k->patience_ns = now_ns;
		return enter_service(l, k, now_ns);
	}
	limit = fail_after_ns(l, k, o);
	if (now_ns >= k->silent_since_ns + limit && others_serve(l, path) &&
	    has_proof(l, path, obs, n, k->silent_since_ns))
		return fail(k, now_ns);
	if (probe_is_due(k, now_ns))
		return send_probe(k, qb_min_u64(k->probe_interval_ns * 3 / 2, PROBE_FAILED_MAX_NS),
				  now_ns);
	return 0;
}

/* begin_proof: it answers again, or is put back to work by command after it had failed. */
static void begin_proof(const struct qb_links *l, struct qb_link *k, uint64_t now_ns)
{
	char reason[64] = "back, proving itself";

	k->stable_ns = stable_time_ns(l, k);
	k->good_probes = 0;
	k->is_probe_out = false;
	k->probe_ns = now_ns;
	k->probe_interval_ns = 0;
	if (k->stable_ns)
		snprintf(reason, sizeof(reason), "back, must stay sound for %u s after %u failures",
			 (unsigned)(k->stable_ns / QB_NS_PER_SEC), k->flaps);
	set_state(k, QB_LINK_PROBING, reason, now_ns);
}

static uint32_t observe_failed(const struct qb_links *l, struct qb_link *k,
			       const struct qb_path_obs *o, uint64_t now_ns)
{
	if (o->last_acked_sent_ns >= k->since_ns) {
		begin_proof(l, k, now_ns);
		k->is_probe_out = true;
		return send_probe(k, PROBE_PROVING_NS, now_ns);
	}
	if (probe_is_due(k, now_ns))
		return send_probe(k, qb_min_u64(k->probe_interval_ns * 5 / 4, PROBE_FAILED_MAX_NS),
				  now_ns);
	return 0;
}

/* observe_proving: a failed link that answers again. One probe at a time; each must come back. */
static uint32_t observe_proving(struct qb_links *l, uint8_t path, const struct qb_path_obs *o,
				uint64_t now_ns)
{
	struct qb_link *k = &l->link[path];
	bool is_needed = !others_serve(l, path);
	uint32_t probes = l->fail.recover_probes ? l->fail.recover_probes : GOOD_PROBES;

	if (k->is_probe_out && o->last_acked_sent_ns >= k->probe_ns) {
		k->is_probe_out = false;
		k->good_probes++;
	}
	if (k->is_probe_out && now_ns > k->probe_ns + 2 * normal_ack_ns(l, k, o)) {
		k->silent_since_ns = k->probe_ns;
		set_state(k, QB_LINK_FAILED, "no ACK", now_ns);
		return send_probe(k, PROBE_FAILED_NS, now_ns);
	}
	/* With nothing better at hand there is nobody to protect from it. */
	if (k->good_probes >= (is_needed ? 1u : probes) &&
	    (is_needed || now_ns - k->since_ns >= k->stable_ns))
		return enter_service(l, k, now_ns);
	if (k->is_probe_out || !probe_is_due(k, now_ns))
		return 0;
	k->is_probe_out = true;
	return send_probe(k, k->stable_ns ? PROBE_STABLE_NS : PROBE_PROVING_NS, now_ns);
}

uint32_t qb_links_observe(struct qb_links *l, uint8_t path, const struct qb_path_obs *obs,
			  uint32_t n, uint64_t now_ns)
{
	struct qb_link *k = &l->link[path];
	const struct qb_path_obs *o = &obs[path];
	uint32_t actions = 0;

	k->deadline_ns = QB_NEVER_NS;
	if (!k->is_present)
		return 0;
	if (k->is_peer_backup != o->is_peer_backup) {
		k->is_peer_backup = o->is_peer_backup;
		settle_tiers(l, now_ns);
	}
	if (o->tx_packets != k->tx_packets) {
		k->tx_packets = o->tx_packets;
		k->tx_ns = now_ns;
	}
	switch ((enum qb_link_state)k->state) {
	case QB_LINK_PROBING:
		if (!o->is_open)
			break;
		if (!k->was_in_service)
			actions = enter_service(l, k, now_ns);
		else
			actions = observe_proving(l, path, o, now_ns);
		break;
	case QB_LINK_ACTIVE:
	case QB_LINK_STANDBY:
		actions = observe_serving(l, path, obs, n, now_ns);
		break;
	case QB_LINK_SUSPECT:
		actions = observe_suspect(l, path, obs, n, now_ns);
		break;
	case QB_LINK_FAILED:
		actions = observe_failed(l, k, o, now_ns);
		break;
	case QB_LINK_ABSENT:
	case QB_LINK_DRAINED:
	case QB_LINK_STATE_CNT:
		break;
	}
	if (k->is_back && is_serving(k)) {
		if (now_ns >= failback_at_ns(l, k))
			settle_tiers(l, now_ns);
		else
			k->deadline_ns = qb_min_u64(k->deadline_ns, failback_at_ns(l, k));
	}
	/* ACKs come unannounced: whoever expects some looks often. */
	if (o->oldest_unacked_ns || now_ns - k->tx_ns < WATCH_TAIL_NS ||
	    k->state == QB_LINK_SUSPECT || k->state == QB_LINK_FAILED ||
	    (k->state == QB_LINK_PROBING && k->was_in_service))
		k->deadline_ns = qb_min_u64(k->deadline_ns, now_ns + WATCH_NS);
	return actions;
}

/* ---- set from outside ---- */

void qb_links_init(struct qb_links *l)
{
	uint32_t i;

	memset(l, 0, sizeof(*l));
	for (i = 0; i < QB_BOND_PATHS_MAX; i++)
		l->link[i].deadline_ns = QB_NEVER_NS;
}

void qb_links_reset(struct qb_links *l, uint8_t path, bool is_present, enum qb_tier tier,
		    uint64_t now_ns)
{
	struct qb_link *k = &l->link[path];

	if (k->state != QB_LINK_ABSENT)
		set_state(k, QB_LINK_ABSENT, "", now_ns);
	memset(k, 0, sizeof(*k));
	k->since_ns = now_ns;
	k->tier = (uint8_t)tier;
	k->is_present = is_present;
	k->deadline_ns = QB_NEVER_NS;
	if (is_present) {
		set_state(k, QB_LINK_PROBING, "being validated", now_ns);
		k->deadline_ns = now_ns;
	}
	settle_tiers(l, now_ns);
}

void qb_links_set_tier(struct qb_links *l, uint8_t path, enum qb_tier tier, uint64_t now_ns)
{
	l->link[path].tier = (uint8_t)tier;
	settle_tiers(l, now_ns);
}

void qb_links_set_drained(struct qb_links *l, uint8_t path, bool is_drained, uint64_t now_ns)
{
	struct qb_link *k = &l->link[path];

	if (!k->is_present || k->is_drained == is_drained)
		return;
	k->is_drained = is_drained;
	if (is_drained) {
		set_state(k, QB_LINK_DRAINED, "by command", now_ns);
	} else if (k->is_down) {
		begin_proof(l, k, now_ns);
	} else {
		set_state(k, QB_LINK_PROBING, "being validated", now_ns);
		k->was_in_service = false;
	}
	k->deadline_ns = now_ns;
	settle_tiers(l, now_ns);
}

void qb_links_set_failback(struct qb_links *l, uint64_t failback_ns, uint64_t now_ns)
{
	l->failback_ns = failback_ns;
	settle_tiers(l, now_ns);
}

void qb_links_set_rank(struct qb_links *l, uint8_t path, uint8_t rank, uint64_t now_ns)
{
	if (l->link[path].rank == rank)
		return;
	l->link[path].rank = rank;
	settle_tiers(l, now_ns);
}

void qb_links_set_failover(struct qb_links *l, bool is_failover, uint64_t now_ns)
{
	l->is_failover = is_failover;
	settle_tiers(l, now_ns);
}

uint64_t qb_links_deadline_ns(const struct qb_links *l)
{
	uint64_t at = QB_NEVER_NS;
	uint32_t i;

	for (i = 0; i < QB_BOND_PATHS_MAX; i++) {
		if (l->link[i].is_present)
			at = qb_min_u64(at, l->link[i].deadline_ns);
	}
	return at;
}

void qb_links_on_sent(struct qb_links *l, uint8_t path, uint64_t now_ns)
{
	struct qb_link *k = &l->link[path];

	k->tx_ns = now_ns;
	k->deadline_ns = qb_min_u64(k->deadline_ns, now_ns + WATCH_NS);
}

/* badness orders what may carry data: smaller is better. Drained links and tier "never" never do.
 */
static uint32_t badness(const struct qb_link *k)
{
	enum qb_tier tier = tier_in_force(k);

	if (!k->is_present || k->is_drained || tier == QB_TIER_NEVER)
		return UINT32_MAX;
	switch ((enum qb_link_state)k->state) {
	case QB_LINK_ACTIVE:
		return 0;
	case QB_LINK_STANDBY:
		return 1 + tier;
	case QB_LINK_SUSPECT:
		return 10;
	case QB_LINK_PROBING:
		return 11;
	case QB_LINK_FAILED:
		return 12;
	default:
		return UINT32_MAX;
	}
}

bool qb_links_is_alive(const struct qb_links *l, uint8_t path)
{
	uint8_t state = l->link[path].state;

	return qb_link_state_serves(state) || state == QB_LINK_DRAINED;
}

uint32_t qb_links_absent(const struct qb_links *l)
{
	uint32_t set = 0;

	for (uint8_t i = 0; i < QB_BOND_PATHS_MAX; i++) {
		const struct qb_link *k = &l->link[i];

		if (k->is_present && k->was_in_service && !k->is_drained && !qb_links_is_alive(l, i))
			set |= 1u << i;
	}
	return set;
}

uint32_t qb_links_choose(const struct qb_links *l, uint32_t candidates)
{
	uint32_t best = UINT32_MAX, set = 0;

	for (; candidates; candidates &= candidates - 1) {
		uint32_t i = (uint32_t)__builtin_ctz(candidates);
		uint32_t bad = badness(&l->link[i]);

		if (bad == UINT32_MAX || bad > best)
			continue;
		if (bad < best)
			set = 0;
		best = bad;
		set |= 1u << i;
	}
	return set;
}

void qb_links_reason(const struct qb_links *l, uint8_t path, uint64_t now_ns, char *buf, size_t len)
{
	const struct qb_link *k = &l->link[path];

	if (k->state == QB_LINK_SUSPECT || k->state == QB_LINK_FAILED)
		snprintf(buf, len, "no ACK for %llu ms",
			 (unsigned long long)(qb_sub_sat_u64(now_ns, k->silent_since_ns) /
					      QB_NS_PER_MS));
	else
		snprintf(buf, len, "%s", k->reason);
}
