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
 *   suspect   No ACK came in the normal time (a few tens of ms): new packets go elsewhere at once,
 *             and a probe goes out.
 *   failed    Silent for three times that, while another link works: what is in flight is sent
 *             again by others.
 *   probing   After a failure: a few probes must come back. The first time the link is back within
 *             a second; one that fails again and again must stay sound for longer each time, up to
 *             half a minute, before it is trusted.
 *
 * Where no link works, none is given up: all stay suspect and are tried, so that the first ACK
 * heals. Which of the links that live carry traffic is decided in tiers.c.
 */
#include "bond/state.h"

#include <stdio.h>

/* The normal time for an ACK: RTT + 4 × RTT variance + the peer's delay, within bounds. */
#define ACK_DELAY_NS	   (10 * QB_NS_PER_MS)
#define SILENCE_MIN_NS	   (40 * QB_NS_PER_MS)
/* Of what a round trip takes beyond that, so much is no silence yet, however steady it was: to send again what is under way on a
 * satellite's link costs more than to wait for a hiccup to end. */
#define LONG_RTT_NS	   (300 * QB_NS_PER_MS)
#define LONG_RTT_SHARE	   8
#define UNKNOWN_SILENCE_NS (300 * QB_NS_PER_MS) /* while there is no RTT sample */

/* [Bond] FailMult and FailMin, where they are not set. */
#define FAIL_FACTOR 3
#define FAIL_MIN_NS (120 * QB_NS_PER_MS)

/* Each false alarm adds a step to the normal time; half of the sum is forgotten each decay time. */
#define PATIENCE_MAX_PCT  300
#define PATIENCE_STEP_PCT 50
#define PATIENCE_DECAY_NS (10 * QB_NS_PER_SEC)

/*
 * The time to the next probe: of a suspect and of a failed link at first (it grows by half and by a
 * quarter each), and of one that proves itself, shortly or for seconds.
 */
#define PROBE_SUSPECT_NS (50 * QB_NS_PER_MS)
#define PROBE_FAILED_NS	 (200 * QB_NS_PER_MS)
#define PROBE_PROVING_NS (20 * QB_NS_PER_MS)
#define PROBE_STABLE_NS	 (100 * QB_NS_PER_MS)
/* With the round trips of the proof the first return takes less than a second, however long the
 * link was dead. */
#define PROBE_FAILED_MAX_NS (500 * QB_NS_PER_MS)
/* [Bond] RecoverProbes, where it is not set. */
#define GOOD_PROBES 2u

/* After its second failure in this time, and each further one, a link must stay sound for 1, 2, 4 s
 * and so on. */
#define FLAP_MEMORY_NS (60 * QB_NS_PER_SEC)
#define FLAP_SOUND_NS  (10 * QB_NS_PER_SEC) /* so long in service makes up for a failure */
#define STABLE_STEP_NS (1 * QB_NS_PER_SEC)
#define STABLE_MAX_NS  (30 * QB_NS_PER_SEC) /* [Bond] RecoverMax, where it is not set */

/* How often a link is looked at while an ACK may come, and for so long after it carried data. */
#define WATCH_NS      (10 * QB_NS_PER_MS)
#define WATCH_TAIL_NS (200 * QB_NS_PER_MS)

static const char *const state_names[QB_LINK_STATE_CNT] = {
	[QB_LINK_ABSENT] = "absent",   [QB_LINK_PROBING] = "probing", [QB_LINK_ACTIVE] = "active",
	[QB_LINK_SUSPECT] = "suspect", [QB_LINK_STANDBY] = "standby", [QB_LINK_FAILED] = "failed",
	[QB_LINK_DRAINED] = "drained",
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

void qb_link_set_state(struct qb_link *k, enum qb_link_state to, const char *reason,
		       uint64_t now_ns)
{
	if (k->state != to) {
		QB_BUG_ON(!(allowed[k->state] & (1u << to)));
		k->state = (uint8_t)to;
		k->since_ns = now_ns;
	}
	snprintf(k->reason, sizeof(k->reason), "%s", reason);
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
	uint64_t varies_ns = qb_max_u64(4 * o->rttvar_ns + ACK_DELAY_NS,
					qb_sub_sat_u64(o->srtt_ns, LONG_RTT_NS) / LONG_RTT_SHARE);
	uint64_t t = o->srtt_ns ? o->srtt_ns + varies_ns : UNKNOWN_SILENCE_NS;

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

/* silent_since_ns: when the oldest packet left without an ACK of it or a later one; 0 none. */
static uint64_t silent_since_ns(const struct qb_path_obs *o)
{
	/* Acknowledged later than the oldest one in flight: that one was lost alone, the path
	 * lives. The packets of one batch left at the same time: the last one acknowledged does not
	 * vouch for the rest of its batch. */
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

/* enter_service: from here the tiers decide between active and standby. */
static uint32_t enter_service(struct qb_links *l, struct qb_link *k, uint64_t now_ns)
{
	bool was_down = k->is_down;

	k->is_back = qb_links_is_comeback(l, k);
	k->serving_ns = now_ns;
	qb_link_set_state(k, QB_LINK_ACTIVE, "", now_ns);
	k->was_in_service = true;
	k->is_down = false;
	qb_links_settle(l, now_ns);
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
	qb_link_set_state(k, to, reason, now_ns);
	qb_links_settle(l, now_ns);
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

/* count_flap: time in service between two failures makes up for earlier ones. */
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
	qb_link_set_state(k, QB_LINK_FAILED, "no ACK", now_ns);
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
	if (now_ns >= k->silent_since_ns + limit && qb_links_others_serve(l, path) &&
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
	qb_link_set_state(k, QB_LINK_PROBING, reason, now_ns);
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
	bool is_needed = !qb_links_others_serve(l, path);
	uint32_t probes = l->fail.recover_probes ? l->fail.recover_probes : GOOD_PROBES;

	if (k->is_probe_out && o->last_acked_sent_ns >= k->probe_ns) {
		k->is_probe_out = false;
		k->good_probes++;
	}
	if (k->is_probe_out && now_ns > k->probe_ns + 2 * normal_ack_ns(l, k, o)) {
		k->silent_since_ns = k->probe_ns;
		qb_link_set_state(k, QB_LINK_FAILED, "no ACK", now_ns);
		return send_probe(k, PROBE_FAILED_NS, now_ns);
	}
	/* With nothing better at hand there is nobody to protect from it. Else, the probe that is out may be the one that is lost. */
	if (k->good_probes >= (is_needed ? 1u : probes) &&
	    (is_needed || (!k->is_probe_out && now_ns - k->since_ns >= k->stable_ns)))
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
		qb_links_settle(l, now_ns);
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
	if (k->is_back && qb_link_is_serving(k)) {
		if (now_ns >= qb_links_failback_at_ns(l, k))
			qb_links_settle(l, now_ns);
		else
			k->deadline_ns = qb_min_u64(k->deadline_ns, qb_links_failback_at_ns(l, k));
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
		qb_link_set_state(k, QB_LINK_ABSENT, "", now_ns);
	memset(k, 0, sizeof(*k));
	k->since_ns = now_ns;
	k->tier = (uint8_t)tier;
	k->is_present = is_present;
	k->deadline_ns = QB_NEVER_NS;
	if (is_present) {
		qb_link_set_state(k, QB_LINK_PROBING, "being validated", now_ns);
		k->deadline_ns = now_ns;
	}
	qb_links_settle(l, now_ns);
}

void qb_links_set_drained(struct qb_links *l, uint8_t path, bool is_drained, uint64_t now_ns)
{
	struct qb_link *k = &l->link[path];

	if (!k->is_present || k->is_drained == is_drained)
		return;
	k->is_drained = is_drained;
	if (is_drained) {
		qb_link_set_state(k, QB_LINK_DRAINED, "by command", now_ns);
	} else if (k->is_down) {
		begin_proof(l, k, now_ns);
	} else {
		qb_link_set_state(k, QB_LINK_PROBING, "being validated", now_ns);
		k->was_in_service = false;
	}
	k->deadline_ns = now_ns;
	qb_links_settle(l, now_ns);
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

		if (k->is_present && k->was_in_service && !k->is_drained &&
		    !qb_links_is_alive(l, i))
			set |= 1u << i;
	}
	return set;
}

uint32_t qb_links_back(const struct qb_links *l, uint64_t now_ns)
{
	uint32_t set = 0;

	for (uint8_t i = 0; i < QB_BOND_PATHS_MAX; i++) {
		const struct qb_link *k = &l->link[i];

		if (qb_link_is_serving(k) && k->recoveries && now_ns - k->returned_ns < FLAP_SOUND_NS)
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
