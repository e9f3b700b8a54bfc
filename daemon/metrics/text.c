/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The figures in Prometheus' text format: names begin with quicbond_, units are seconds, bytes and
 * ratios, counters end in _total. A family's samples stand together. What a link, a site or the
 * bond as a whole tells is rows of tables; what base/counters.def counts comes by itself. Called by
 * metrics.c.
 */
#include "metrics/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum kind { REAL, MS, U32, U64, BPS, DBM, PCT_PLUS1 };

struct row {
	const char *name, *type,
		*help;	   /* of the family; as in the row before: one more of its samples */
	const char *label; /* that tells the family's samples apart; NULL: none */
	enum kind kind;
	size_t offset;
};

#define LINK(name, type, label, kind, member, help)                                                \
	{                                                                                          \
		"quicbond_path_" name, type, help, label, kind,                                    \
			offsetof(struct qb_link_status, member)                                    \
	}
#define TX "direction=\"tx\""
#define RX "direction=\"rx\""

/* clang-format off */
static const struct row link_rows[] = {
	LINK("rtt_seconds", "gauge", NULL, MS, rtt_ms, "smoothed round-trip time"),
	LINK("rtt_min_seconds", "gauge", NULL, MS, rtt_min_ms, "least round-trip time"),
	LINK("rtt_variance_seconds", "gauge", NULL, MS, rtt_var_ms, "mean deviation of the round-trip time"),
	LINK("rtt_latest_seconds", "gauge", NULL, MS, rtt_latest_ms, "last round-trip time"),
	LINK("rtt_loaded_seconds", "gauge", NULL, MS, rtt_loaded_ms, "round-trip time while the link is kept busy; 0: it has not been"),
	LINK("jitter_seconds", "gauge", NULL, MS, jitter_ms, "how far delays are from each other"),
	LINK("one_way_delay_seconds", "gauge", TX, MS, owd_tx_ms, "one-way delay beyond that of the quickest link"),
	LINK("one_way_delay_seconds", "gauge", RX, MS, owd_rx_ms, ""),
	LINK("queue_seconds", "gauge", TX, MS, queue_tx_ms, "delay beyond the link's own least: its queue"),
	LINK("queue_seconds", "gauge", RX, MS, queue_rx_ms, ""),
	LINK("loss_ratio", "gauge", NULL, REAL, loss, "share of packets that are lost"),
	LINK("share_ratio", "gauge", NULL, REAL, share, "the link's share of what is sent"),
	LINK("score", "gauge", NULL, U32, score, "quality, 0 to 1000; nothing is decided by it"),
	LINK("signal_dbm", "gauge", NULL, DBM, signal_dbm, "signal of the radio that the link hears"),
	LINK("signal_ratio", "gauge", NULL, PCT_PLUS1, signal_pct_plus1, "signal as the link's modem rates it"),
	LINK("rate_bytes_per_second", "gauge", TX, BPS, tx_bps, "bytes in the last second"),
	LINK("rate_bytes_per_second", "gauge", RX, BPS, rx_bps, ""),
	LINK("delivery_bytes_per_second", "gauge", NULL, BPS, delivery_bps, "rate at which packets are seen to arrive"),
	LINK("pacing_bytes_per_second", "gauge", NULL, BPS, pacing_bps, "rate at which packets may leave"),
	LINK("limit_bytes_per_second", "gauge", NULL, BPS, limit_bps, "most that may be sent, by RateUp or RateDown; 0: no limit"),
	LINK("congestion_window_bytes", "gauge", NULL, U64, cwnd_bytes, "congestion window"),
	LINK("in_flight_bytes", "gauge", NULL, U64, in_flight_bytes, "sent, neither acknowledged nor lost"),
	LINK("slow_start_threshold_bytes", "gauge", NULL, U64, ssthresh_bytes, "slow start threshold, where there is one"),
	LINK("mtu_bytes", "gauge", NULL, U32, mtu_bytes, "largest UDP payload"),
	LINK("packets_total", "counter", TX, U64, tx_packets, "QUIC packets"),
	LINK("packets_total", "counter", RX, U64, rx_packets, ""),
	LINK("bytes_total", "counter", TX, U64, tx_bytes, "bytes of QUIC packets"),
	LINK("bytes_total", "counter", RX, U64, rx_bytes, ""),
	LINK("lost_packets_total", "counter", NULL, U64, lost_packets, "packets declared lost"),
	LINK("spurious_packets_total", "counter", NULL, U64, spurious_packets, "packets acknowledged after they were declared lost"),
	LINK("unopened_packets_total", "counter", NULL, U64, auth_fail, "packets that failed authentication"),
	LINK("duplicate_packets_total", "counter", NULL, U64, dup_rx, "packets received twice"),
	LINK("reordered_packets_total", "counter", NULL, U64, ooo_rx, "packets received after a later one"),
	LINK("ecn_packets_total", "counter", "direction=\"rx\",codepoint=\"ect0\"", U64, ect0_rx, "packets by ECN codepoint; of those sent, how many arrived marked"),
	LINK("ecn_packets_total", "counter", "direction=\"rx\",codepoint=\"ect1\"", U64, ect1_rx, ""),
	LINK("ecn_packets_total", "counter", "direction=\"rx\",codepoint=\"ce\"", U64, ce_rx, ""),
	LINK("ecn_packets_total", "counter", "direction=\"tx\",codepoint=\"ce\"", U64, ce_tx, ""),
	LINK("failures_total", "counter", NULL, U64, failures, "times that the path was given up"),
	LINK("recoveries_total", "counter", NULL, U64, recoveries, "times that it came back"),
	LINK("flaps", "gauge", NULL, U32, flaps, "failures that are still held against the link"),
	LINK("state_age_seconds", "gauge", NULL, REAL, state_age_s, "since when the link's state is what it is"),
};

static const struct {
	const char *name, *help;
	enum qb_counter first, last; /* its buckets, the last one without a bound */
	double bounds_s[6];
	enum qb_counter sum;
	double unit_s; /* of the sum */
} histograms[] = {
	{"quicbond_reorder_hold_seconds", "packets held back for one that was missing, by how long", QB_CNT_REORDER_HOLD_5MS,
	 QB_CNT_REORDER_HOLD_MORE, {0.005, 0.02, 0.05, 0.1}, QB_CNT_REORDER_HOLD_US, 1e-6},
	{"quicbond_failover_gap_seconds", "failovers by how long the path had been silent when its packets went elsewhere",
	 QB_CNT_FAILOVER_50MS, QB_CNT_FAILOVER_MORE, {0.05, 0.1, 0.2, 0.5}, QB_CNT_FAILOVER_GAP_MS, 1e-3},
};
/* clang-format on */

_Static_assert(QB_CNT_REORDER_HOLD_MORE - QB_CNT_REORDER_HOLD_5MS == 4 &&
		       QB_CNT_FAILOVER_MORE - QB_CNT_FAILOVER_50MS == 4,
	       "a bound for each bucket but the last");

static void family(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* label writes name="text", with what the format wants escaped, and a comma before it unless it is
 * the first. */
static void label(FILE *f, const char *name, const char *text, bool is_first)
{
	fprintf(f, "%s%s=\"", is_first ? "" : ",", name);
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", f);
		else if (*text == '"' || *text == '\\')
			fprintf(f, "\\%c", *text);
		else
			fputc(*text, f);
	}
	fputc('"', f);
}

static void one(FILE *f, const char *name, const char *type, const char *help, double value)
{
	family(f, name, type, help);
	fprintf(f, "%s %.15g\n", name, value);
}

/* ---- links ---- */

/* number reads a field. Returns false where there is nothing to tell. */
static bool number(const struct row *r, const void *base, double *out)
{
	const char *p = (const char *)base + r->offset;
	int32_t dbm;
	uint64_t v;

	switch (r->kind) {
	case REAL:
	case MS:
		*out = *(const double *)(const void *)p * (r->kind == MS ? 1e-3 : 1);
		return isfinite(*out);
	case U32:
		*out = *(const uint32_t *)(const void *)p;
		return true;
	case U64:
	case BPS:
		v = *(const uint64_t *)(const void *)p;
		*out = r->kind == BPS ? (double)v / 8 : (double)v;
		return v != UINT64_MAX;
	case DBM:
		dbm = *(const int32_t *)(const void *)p;
		*out = dbm;
		return dbm != 0;
	case PCT_PLUS1:
		v = *(const uint32_t *)(const void *)p;
		*out = ((double)v - 1) / 100;
		return v != 0;
	}
	return false;
}

static void link_labels(FILE *f, const struct qb_link_status *l, const char *site)
{
	if (site)
		label(f, "site", site, true);
	label(f, "link", l->name, !site);
}

static void link_sample(FILE *f, const struct row *r, const struct qb_link_status *l,
			const char *site)
{
	double value;

	if (!number(r, l, &value))
		return;
	fprintf(f, "%s{", r->name);
	link_labels(f, l, site);
	fprintf(f, "%s%s} %.15g\n", r->label ? "," : "", r->label ? r->label : "", value);
}

static void link_info(FILE *f, const struct qb_link_status *l, const char *site)
{
	fputs("quicbond_path_info{", f);
	link_labels(f, l, site);
	label(f, "interface", l->ifname, false);
	label(f, "kind", l->kind, false);
	label(f, "technology", l->technology, false);
	label(f, "state", l->state, false);
	label(f, "tier", l->tier, false);
	label(f, "io", l->io, false);
	label(f, "congestion", l->congestion, false);
	fputs("} 1\n", f);
}

static void link_up(FILE *f, const struct qb_link_status *l, const char *site)
{
	fputs("quicbond_path_up{", f);
	link_labels(f, l, site);
	fprintf(f, "} %d\n", !strcmp(l->state, "active") || !strcmp(l->state, "standby"));
}

static void each_link(FILE *f, const struct qb_status *st,
		      void (*print)(FILE *f, const struct qb_link_status *l, const char *site))
{
	for (uint32_t i = 0; i < st->link_cnt; i++)
		print(f, &st->links[i], NULL);
	for (uint32_t s = 0; s < st->site_cnt; s++)
		for (uint32_t i = 0; i < st->sites[s].link_cnt; i++)
			print(f, &st->sites[s].links[i], st->sites[s].name);
}

static void links(FILE *f, const struct qb_status *st)
{
	family(f, "quicbond_path_info", "gauge", "what each link is, and how it is used");
	each_link(f, st, link_info);
	family(f, "quicbond_path_up", "gauge",
	       "whether the link carries traffic, or could at once");
	each_link(f, st, link_up);
	for (size_t k = 0; k < QB_ARRAY_LEN(link_rows); k++) {
		const struct row *r = &link_rows[k];

		if (k == 0 || strcmp(r->name, link_rows[k - 1].name) != 0)
			family(f, r->name, r->type, r->help);
		for (uint32_t i = 0; i < st->link_cnt; i++)
			link_sample(f, r, &st->links[i], NULL);
		for (uint32_t s = 0; s < st->site_cnt; s++)
			for (uint32_t i = 0; i < st->sites[s].link_cnt; i++)
				link_sample(f, r, &st->sites[s].links[i], st->sites[s].name);
	}
}

/* ---- the bond ---- */

/* Of qb_status.state on an edge, and of qb_link_status.state. */
static const char *const bond_states[] = {"down", "connecting", "single", "bonded", "degraded"};
static const char *const link_states[] = {"active", "standby", "suspect", "probing",
					  "failed", "drained", "absent"};

/* What counters tell of the bond, under names that go with its links. */
static const struct {
	const char *name;
	enum qb_counter id;
} bond_counters[] = {
	{"quicbond_bond_failovers_total", QB_CNT_FAILOVERS},
	{"quicbond_bond_recoveries_total", QB_CNT_RECOVERIES},
	{"quicbond_bond_migrations_total", QB_CNT_PATH_MOVES},
	{"quicbond_bond_reordered_packets_total", QB_CNT_REORDER_HELD},
};

struct load {
	uint32_t in_state[QB_ARRAY_LEN(link_states)];
	double more_ms; /* the most that load adds to a round trip */
};

static void look_at(struct load *load, const struct qb_link_status *l, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++) {
		for (size_t k = 0; k < QB_ARRAY_LEN(link_states); k++)
			load->in_state[k] += strcmp(l[i].state, link_states[k]) == 0;
		if (l[i].rtt_loaded_ms > 0)
			load->more_ms = fmax(load->more_ms, l[i].rtt_loaded_ms - l[i].rtt_min_ms);
	}
}

static void bond(FILE *f, const struct qb_status *st)
{
	struct load load = {.more_ms = 0};

	look_at(&load, st->links, st->link_cnt);
	for (uint32_t s = 0; s < st->site_cnt; s++)
		look_at(&load, st->sites[s].links, st->sites[s].link_cnt);
	if (strcmp(st->role, "edge") == 0) {
		family(f, "quicbond_bond_state", "gauge",
		       "1 for the state that the bond is in, 0 for the others");
		for (size_t k = 0; k < QB_ARRAY_LEN(bond_states); k++)
			fprintf(f, "quicbond_bond_state{state=\"%s\"} %d\n", bond_states[k],
				!strcmp(st->state, bond_states[k]));
	}
	family(f, "quicbond_bond_links", "gauge", "links by state; on a hub of all sites");
	for (size_t k = 0; k < QB_ARRAY_LEN(link_states); k++)
		fprintf(f, "quicbond_bond_links{state=\"%s\"} %" PRIu32 "\n", link_states[k],
			load.in_state[k]);
	one(f, "quicbond_bond_rtt_under_load_seconds", "gauge",
	    "the most that load adds to a link's round trip", load.more_ms * 1e-3);
	one(f, "quicbond_bond_fec_overhead_ratio", "gauge",
	    "bytes of repair symbols to bytes of the packets that they protect", st->fec.overhead);
	for (size_t k = 0; k < QB_ARRAY_LEN(bond_counters); k++)
		one(f, bond_counters[k].name, "counter", qb_counter_rows[bond_counters[k].id].help,
		    (double)qb_counter_read(&st->counters, bond_counters[k].id));
}

/* ---- the node ---- */

static void node(FILE *f, const struct qb_status *st)
{
	family(f, "quicbond_info", "gauge", "the node");
	fputs("quicbond_info{", f);
	label(f, "role", st->role, true);
	label(f, "name", st->name, false);
	label(f, "state", st->state, false);
	label(f, "scheduler", st->scheduler, false);
	fputs("} 1\n", f);
	one(f, "quicbond_uptime_seconds", "gauge", "since the daemon started", st->uptime_s);
	one(f, "quicbond_workers", "gauge", "packet threads", st->workers);
	one(f, "quicbond_connections", "gauge", "connections of tunnels", st->connections);
	one(f, "quicbond_tunnel_mtu_bytes", "gauge", "MTU of the TUN device", st->tunnel.mtu_bytes);
	if (strcmp(st->role, "edge") == 0) {
		family(f, "quicbond_hub_up", "gauge", "whether the hub is connected");
		fputs("quicbond_hub_up{", f);
		label(f, "hub", st->hub.name, true);
		fprintf(f, "} %d\n", !strcmp(st->hub.state, "connected"));
		one(f, "quicbond_loaded_queue_seconds", "gauge",
		    "how long packets wait in the tunnel's queue while there is one",
		    st->loaded_queue_ms * 1e-3);
	}
}

static void attack(FILE *f, const struct qb_status *st)
{
	if (!st->guard.is_there)
		return;
	one(f, "quicbond_guard_attack_mode", "gauge", "whether clients have to prove their addresses because Initials are above the limits",
	    st->guard.is_attacked);
	one(f, "quicbond_guard_attacks_total", "counter", "times that this began", st->guard.attacks);
	one(f, "quicbond_guard_blocked_prefixes", "gauge", "prefixes on the block list", st->guard.blocks);
}

static void sites(FILE *f, const struct qb_status *st)
{
	if (strcmp(st->role, "hub") != 0)
		return;
	family(f, "quicbond_site_up", "gauge", "whether the site is connected");
	for (uint32_t s = 0; s < st->site_cnt; s++) {
		fputs("quicbond_site_up{", f);
		label(f, "site", st->sites[s].name, true);
		fprintf(f, "} %d\n", !strcmp(st->sites[s].state, "connected"));
	}
	family(f, "quicbond_site_loaded_queue_seconds", "gauge",
	       "how long packets for the site wait in the tunnel's queue while there is one");
	for (uint32_t s = 0; s < st->site_cnt; s++) {
		fputs("quicbond_site_loaded_queue_seconds{", f);
		label(f, "site", st->sites[s].name, true);
		fprintf(f, "} %.15g\n", st->sites[s].loaded_queue_ms * 1e-3);
	}
	family(f, "quicbond_site_connected_seconds", "gauge", "since when the site is connected");
	for (uint32_t s = 0; s < st->site_cnt; s++) {
		fputs("quicbond_site_connected_seconds{", f);
		label(f, "site", st->sites[s].name, true);
		fprintf(f, "} %.15g\n", st->sites[s].connected_s);
	}
}

/* ---- counters ---- */

static void histogram(FILE *f, size_t k, const struct qb_counters *c)
{
	enum qb_counter id = histograms[k].first;
	uint64_t sum = 0;

	family(f, histograms[k].name, "histogram", histograms[k].help);
	for (size_t b = 0; id < histograms[k].last; b++, id++) {
		sum += qb_counter_read(c, id);
		fprintf(f, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", histograms[k].name,
			histograms[k].bounds_s[b], sum);
	}
	sum += qb_counter_read(c, id);
	fprintf(f, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.15g\n%s_count %" PRIu64 "\n",
		histograms[k].name, sum, histograms[k].name,
		(double)qb_counter_read(c, histograms[k].sum) * histograms[k].unit_s,
		histograms[k].name, sum);
}

static bool is_of_histogram(enum qb_counter id)
{
	for (size_t k = 0; k < QB_ARRAY_LEN(histograms); k++)
		if ((id >= histograms[k].first && id <= histograms[k].last) ||
		    id == histograms[k].sum)
			return true;
	return false;
}

static void counters(FILE *f, const struct qb_counters *c)
{
	char name[96];

	for (enum qb_counter id = 0; id < QB_COUNTER_CNT; id++) {
		if (is_of_histogram(id))
			continue;
		snprintf(name, sizeof(name), "quicbond_%s_total", qb_counter_rows[id].name);
		family(f, name, "counter", qb_counter_rows[id].help);
		fprintf(f, "%s %" PRIu64 "\n", name, qb_counter_read(c, id));
	}
	for (size_t k = 0; k < QB_ARRAY_LEN(histograms); k++)
		histogram(f, k, c);
}

/* ---- packet I/O ---- */

static bool ends_in(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* is_level: it goes down, too. */
static bool is_level(const char *name)
{
	static const char *const ends[] = {"_level", "_target", "_size",   "_bytes",
					   "_frames", "_wakeup", "_sockets"};

	for (size_t i = 0; i < QB_ARRAY_LEN(ends); i++)
		if (ends_in(name, ends[i]))
			return true;
	return false;
}

/* The same figure of all interfaces' sockets (queue < 0), or of all their queues. */
static const struct qb_figures *figures_of(const struct qb_io_if *i, int queue)
{
	return queue < 0 ? &i->sockets : &i->queues[queue];
}

static void if_sample(FILE *f, const char *family_name, const struct qb_io_if *i, int queue,
		      uint32_t k)
{
	const struct qb_figures *of = figures_of(i, queue);

	if (k >= of->cnt)
		return;
	fprintf(f, "%s{", family_name);
	label(f, "interface", i->ifname, true);
	if (queue >= 0)
		fprintf(f, ",queue=\"%d\"", queue);
	fprintf(f, "} %" PRIu64 "\n", of->f[k].value);
}

/* One family a figure: they have the same place in all lists that are not empty. */
static void if_figures(FILE *f, const struct qb_io_status *io, const char *part, bool is_queue)
{
	for (uint32_t k = 0; k < QB_IO_FIGURES_MAX; k++) {
		const char *figure = NULL;
		char name[96];

		for (uint32_t i = 0; i < io->if_cnt && !figure; i++) {
			const struct qb_figures *of = figures_of(&io->ifs[i], is_queue ? 0 : -1);

			figure = k < of->cnt ? of->f[k].name : NULL;
		}
		if (!figure)
			return;
		snprintf(name, sizeof(name), "quicbond_%s_%s%s", part, figure,
			 is_level(figure) ? "" : "_total");
		family(f, name, is_level(figure) ? "gauge" : "counter",
		       is_queue ? "of AF_XDP's queue" : "of UDP sockets");
		for (uint32_t i = 0; i < io->if_cnt; i++) {
			if (!is_queue)
				if_sample(f, name, &io->ifs[i], -1, k);
			for (uint32_t q = 0; is_queue && q < io->ifs[i].queue_cnt; q++)
				if_sample(f, name, &io->ifs[i], (int)q, k);
		}
	}
}

/* without takes a prefix off. */
static const char *without(const char *prefix, const char *name)
{
	size_t len = strlen(prefix);

	return strncmp(name, prefix, len) == 0 ? name + len : name;
}

static void verdicts(FILE *f, const struct qb_io_status *io)
{
	family(f, "quicbond_xdp_frames_total", "counter",
	       "what became of frames in the XDP program");
	for (uint32_t i = 0; i < io->if_cnt; i++)
		for (uint32_t k = 0; k < io->ifs[i].program.cnt; k++) {
			fputs("quicbond_xdp_frames_total{", f);
			label(f, "interface", io->ifs[i].ifname, true);
			label(f, "verdict", without("xdp_", io->ifs[i].program.f[k].name), false);
			fprintf(f, "} %" PRIu64 "\n", io->ifs[i].program.f[k].value);
		}
	if (io->guard.cnt == 0)
		return;
	family(f, "quicbond_guard_packets_total", "counter",
	       "what the guard dropped, by reason, and Initials that it let by");
	for (uint32_t k = 0; k < io->guard.cnt; k++) {
		fputs("quicbond_guard_packets_total{", f);
		label(f, "verdict", without("guard_", io->guard.f[k].name), true);
		fprintf(f, "} %" PRIu64 "\n", io->guard.f[k].value);
	}
}

static void stages(FILE *f, const struct qb_io_status *io)
{
	family(f, "quicbond_stage_packets_total", "counter",
	       "packets in the rounds that were timed, by stage");
	for (uint32_t k = 0; k < io->stage_cnt; k++)
		fprintf(f, "quicbond_stage_packets_total{stage=\"%s\"} %" PRIu64 "\n",
			io->stages[k].name, io->stages[k].packets);
	family(f, "quicbond_stage_seconds_total", "counter", "time that those took");
	for (uint32_t k = 0; k < io->stage_cnt; k++)
		fprintf(f, "quicbond_stage_seconds_total{stage=\"%s\"} %.15g\n", io->stages[k].name,
			(double)io->stages[k].ns * 1e-9);
}

char *qb_metrics_text(const struct qb_status *st, const struct qb_io_status *io, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);
	bool is_bad;

	if (!f)
		return NULL;
	node(f, st);
	bond(f, st);
	sites(f, st);
	attack(f, st);
	links(f, st);
	counters(f, &st->counters);
	if_figures(f, io, "socket", false);
	if_figures(f, io, "queue", true);
	verdicts(f, io);
	stages(f, io);
	is_bad = ferror(f) != 0;
	if (fclose(f) || is_bad) {
		free(text);
		return NULL;
	}
	return text;
}
