/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Turns a status snapshot into JSON, schema 1: the field names that quicbondctl(1) promises.
 * Tables of (name, kind, offset) say which field of which struct is called what; called by
 * request.c.
 */
#include "ctl/json.h"

#include <math.h>

enum kind { TEXT, REAL, RATIO, U32, U64, DBM, PLUS1 };

struct field {
	const char *name;
	enum kind kind;
	size_t offset;
};

#define LINK(name, kind, member)                                                                   \
	{                                                                                          \
		name, kind, offsetof(struct qb_link_status, member)                                \
	}

/* clang-format off */
static const struct field link_fields[] = {
	LINK("name", TEXT, name),
	LINK("peer_name", TEXT, peer_name),
	LINK("interface", TEXT, ifname),
	LINK("kind", TEXT, kind),
	LINK("signal_dbm", DBM, signal_dbm),
	LINK("signal_percent", PLUS1, signal_pct_plus1),
	LINK("technology", TEXT, technology),
	LINK("state", TEXT, state),
	LINK("state_age_s", REAL, state_age_s),
	LINK("tier", TEXT, tier),
	LINK("rank", U32, rank),
	LINK("weight", U32, weight),
	LINK("io", TEXT, io),
	LINK("io_reason", TEXT, io_reason),
	LINK("local", TEXT, local),
	LINK("peer", TEXT, peer),
	LINK("public", TEXT, public_addr),
	LINK("path_id", U32, path_id),
	LINK("paths", U32, path_cnt),
	LINK("mtu", U32, mtu_bytes),
	LINK("rtt_ms", REAL, rtt_ms),
	LINK("rtt_min_ms", REAL, rtt_min_ms),
	LINK("rtt_var_ms", REAL, rtt_var_ms),
	LINK("rtt_latest_ms", REAL, rtt_latest_ms),
	LINK("rtt_loaded_ms", REAL, rtt_loaded_ms),
	LINK("jitter_ms", REAL, jitter_ms),
	LINK("owd_tx_ms", REAL, owd_tx_ms),
	LINK("owd_rx_ms", REAL, owd_rx_ms),
	LINK("queue_tx_ms", REAL, queue_tx_ms),
	LINK("queue_rx_ms", REAL, queue_rx_ms),
	LINK("loss", RATIO, loss),
	LINK("tx_bps", U64, tx_bps),
	LINK("rx_bps", U64, rx_bps),
	LINK("cwnd", U64, cwnd_bytes),
	LINK("in_flight", U64, in_flight_bytes),
	LINK("ssthresh", U64, ssthresh_bytes),
	LINK("pacing_bps", U64, pacing_bps),
	LINK("delivery_bps", U64, delivery_bps),
	LINK("limit_bps", U64, limit_bps),
	LINK("congestion", TEXT, congestion),
	LINK("congestion_phase", TEXT, congestion_phase),
	LINK("congestion_reason", TEXT, congestion_reason),
	LINK("ecn", TEXT, ecn),
	LINK("share", RATIO, share),
	LINK("score", U32, score),
	LINK("reason", TEXT, reason),
	LINK("share_reason", TEXT, share_reason),
	LINK("use", TEXT, use),
	LINK("tx_packets", U64, tx_packets),
	LINK("rx_packets", U64, rx_packets),
	LINK("tx_bytes", U64, tx_bytes),
	LINK("rx_bytes", U64, rx_bytes),
	LINK("lost_packets", U64, lost_packets),
	LINK("spurious_packets", U64, spurious_packets),
	LINK("auth_fail", U64, auth_fail),
	LINK("dup_rx", U64, dup_rx),
	LINK("ooo_rx", U64, ooo_rx),
	LINK("ect0_rx", U64, ect0_rx),
	LINK("ect1_rx", U64, ect1_rx),
	LINK("ce_rx", U64, ce_rx),
	LINK("ce_tx", U64, ce_tx),
	LINK("failures", U64, failures),
	LINK("recoveries", U64, recoveries),
	LINK("flaps", U32, flaps),
};
/* clang-format on */

json_t *qb_json_text(const char *text)
{
	json_t *j = json_string(text);
	char ascii[512];
	size_t n = 0;

	if (j)
		return j;
	for (; text[n] && n < sizeof(ascii) - 1; n++)
		ascii[n] = (unsigned char)text[n] < 0x80 ? text[n] : '?';
	ascii[n] = '\0';
	return json_string(ascii);
}

/* real rounds to a number of decimals, so that 20.1 is printed as that. JSON has neither NaN nor
 * infinity. */
static json_t *real(double v, double unit)
{
	double rounded = round(v * unit) / unit;

	return json_real(isfinite(rounded) ? rounded : 0.0);
}

/* u64: "none" (UINT64_MAX) is null, and jansson's integers have a sign. */
static json_t *u64(uint64_t v)
{
	if (v == UINT64_MAX)
		return json_null();
	return json_integer((json_int_t)QB_MIN(v, (uint64_t)INT64_MAX));
}

static json_t *field_value(const struct field *f, const void *base)
{
	const char *p = (const char *)base + f->offset;
	uint32_t n;

	switch (f->kind) {
	case TEXT:
		return qb_json_text(p);
	case REAL:
		return real(*(const double *)(const void *)p, 1e3);
	case RATIO:
		return real(*(const double *)(const void *)p, 1e6);
	case U32:
		return json_integer(*(const uint32_t *)(const void *)p);
	case U64:
		return u64(*(const uint64_t *)(const void *)p);
	case DBM:
		return *(const int32_t *)(const void *)p ? json_integer(*(const int32_t *)(const void *)p) : json_null();
	case PLUS1:
		n = *(const uint32_t *)(const void *)p;
		return n ? json_integer((json_int_t)n - 1) : json_null();
	}
	return NULL;
}

/* set puts value under name unless the object is lost already; a failure loses it. Takes value. */
static void set(json_t **obj, const char *name, json_t *value)
{
	if (!*obj) {
		json_decref(value);
		return;
	}
	if (json_object_set_new(*obj, name, value)) {
		json_decref(*obj);
		*obj = NULL;
	}
}

static void append(json_t **array, json_t *value)
{
	if (!*array) {
		json_decref(value);
		return;
	}
	if (json_array_append_new(*array, value)) {
		json_decref(*array);
		*array = NULL;
	}
}

/* part_of is where v lies between two bounds by the logarithm, 0 to 1. */
static double part_of(double v, double low, double high)
{
	if (v <= low)
		return 0;
	return v >= high ? 1 : log(v / low) / log(high / low);
}

bool qb_status_link_counts(const char *state, double age_s)
{
	return !strcmp(state, "active") || !strcmp(state, "standby") || (!strcmp(state, "suspect") && age_s < 1);
}

const char *qb_status_bond_state(const char *hub_state, uint32_t up_cnt, uint32_t wanted_cnt)
{
	if (!hub_state || !strcmp(hub_state, "down"))
		return "down";
	if (strcmp(hub_state, "connected") != 0)
		return "connecting";
	if (up_cnt == 0)
		return "down";
	if (up_cnt == 1)
		return "single";
	return up_cnt == wanted_cnt ? "bonded" : "degraded";
}

uint32_t qb_status_score(double rtt_ms, double loss, double rate_bps)
{
	double loss_part = loss >= 0.1 ? 1 : loss / 0.1;

	return (uint32_t)lround(400 * (1 - part_of(rtt_ms, 20, 1000)) + 400 * (1 - loss_part) +
				200 * part_of(rate_bps, 100e3, 100e6));
}

static json_t *link_object(const struct qb_link_status *l, const char *site)
{
	json_t *o = json_object(), *partners = json_array();

	if (site)
		set(&o, "site", qb_json_text(site));
	for (size_t i = 0; i < QB_ARRAY_LEN(link_fields); i++)
		set(&o, link_fields[i].name, field_value(&link_fields[i], l));
	for (uint32_t i = 0; i < l->partner_cnt; i++)
		append(&partners, qb_json_text(l->partners[i]));
	set(&o, "shares_with", partners);
	return o;
}

static json_t *links_array(const struct qb_link_status *links, uint32_t cnt)
{
	json_t *a = json_array();

	for (uint32_t i = 0; i < cnt; i++)
		append(&a, link_object(&links[i], NULL));
	return a;
}

static json_t *prefixes_array(const char (*texts)[QB_PREFIX_STRLEN], uint32_t cnt)
{
	json_t *a = json_array();

	for (uint32_t i = 0; i < cnt; i++)
		append(&a, qb_json_text(texts[i]));
	return a;
}

json_t *qb_json_links(const struct qb_status *st)
{
	json_t *a = links_array(st->links, st->link_cnt);

	for (uint32_t i = 0; i < st->site_cnt; i++)
		for (uint32_t j = 0; j < st->sites[i].link_cnt; j++)
			append(&a, link_object(&st->sites[i].links[j], st->sites[i].name));
	return a;
}

static json_t *site_object(const struct qb_site_status *s)
{
	json_t *o = json_object();

	set(&o, "name", qb_json_text(s->name));
	set(&o, "state", qb_json_text(s->state));
	set(&o, "addresses", prefixes_array(s->addresses, s->address_cnt));
	set(&o, "prefixes", prefixes_array(s->prefixes, s->prefix_cnt));
	set(&o, "worker", json_integer(s->worker));
	set(&o, "connections", json_integer(s->connections));
	set(&o, "connected_s", real(s->connected_s, 1e3));
	set(&o, "loaded_queue_ms", real(s->loaded_queue_ms, 1e3));
	if (s->protection[0])
		set(&o, "protection", qb_json_text(s->protection));
	set(&o, "links", links_array(s->links, s->link_cnt));
	return o;
}

json_t *qb_json_sites(const struct qb_status *st)
{
	json_t *a = json_array();

	for (uint32_t i = 0; i < st->site_cnt; i++)
		append(&a, site_object(&st->sites[i]));
	return a;
}

json_t *qb_json_counters(const struct qb_status *st)
{
	json_t *o = json_object();

	for (uint32_t i = 0; i < QB_COUNTER_CNT; i++)
		set(&o, qb_counter_rows[i].name, u64(qb_counter_read(&st->counters, i)));
	for (uint32_t i = 0; i < st->extra_cnt; i++)
		set(&o, st->extra[i].name, u64(st->extra[i].value));
	return o;
}

static json_t *tunnel_object(const struct qb_status *st)
{
	json_t *o = json_object();

	set(&o, "device", qb_json_text(st->tunnel.device));
	set(&o, "mtu", json_integer(st->tunnel.mtu_bytes));
	set(&o, "addresses", prefixes_array(st->tunnel.addresses, st->tunnel.address_cnt));
	return o;
}

/* A hub has no hub. */
static json_t *hub_object(const struct qb_status *st)
{
	json_t *o;

	if (!st->hub.name[0])
		return json_null();
	o = json_object();
	set(&o, "name", qb_json_text(st->hub.name));
	set(&o, "address", qb_json_text(st->hub.address));
	set(&o, "state", qb_json_text(st->hub.state));
	set(&o, "reason", qb_json_text(st->hub.reason));
	if (!st->hub.cipher)
		return o;
	set(&o, "cipher", qb_json_text(st->hub.cipher));
	set(&o, "resumed", json_boolean(st->hub.is_resumed));
	set(&o, "early", json_boolean(st->hub.is_early));
	set(&o, "tickets", json_integer(st->hub.tickets));
	set(&o, "key_updates", json_integer((json_int_t)st->hub.key_updates));
	return o;
}

static json_t *guard_object(const struct qb_status *st)
{
	json_t *o;

	if (!st->guard.is_there)
		return json_null();
	o = json_object();
	set(&o, "attack", json_boolean(st->guard.is_attacked));
	set(&o, "since_s", st->guard.is_attacked ? real(st->guard.since_s, 1e3) : json_null());
	set(&o, "over_s", st->guard.over_s > 0 ? real(st->guard.over_s, 1e3) : json_null());
	set(&o, "attacks", json_integer(st->guard.attacks));
	set(&o, "reason", qb_json_text(st->guard.reason));
	set(&o, "blocks", json_integer(st->guard.blocks));
	return o;
}

/* fec_object: what the counters tell as well, with what only the config and the links know. */
static json_t *fec_object(const struct qb_status *st)
{
	json_t *o = json_object();

	set(&o, "wanted", qb_json_text(st->fec.wanted));
	set(&o, "on", json_boolean(st->fec.is_on));
	set(&o, "loss", real(st->fec.loss, 1e6));
	set(&o, "burst", real(st->fec.burst, 1e3));
	set(&o, "redundancy", real(st->fec.share, 1e4));
	set(&o, "overhead", real(st->fec.overhead, 1e6));
	set(&o, "protected", u64(qb_counter_read(&st->counters, QB_CNT_FEC_PROTECTED)));
	set(&o, "sent", u64(qb_counter_read(&st->counters, QB_CNT_FEC_SENT)));
	set(&o, "recovered", u64(qb_counter_read(&st->counters, QB_CNT_FEC_RECOVERED)));
	set(&o, "failed", u64(qb_counter_read(&st->counters, QB_CNT_FEC_FAILED)));
	return o;
}

json_t *qb_json_status(const struct qb_status *st)
{
	json_t *o = json_object();

	set(&o, "schema", json_integer(QB_CTL_SCHEMA));
	set(&o, "role", qb_json_text(st->role));
	set(&o, "name", qb_json_text(st->name));
	set(&o, "state", qb_json_text(st->state));
	set(&o, "uptime_s", real(st->uptime_s, 1e3));
	set(&o, "workers", json_integer(st->workers));
	set(&o, "connections", json_integer(st->connections));
	set(&o, "mode", qb_json_text(st->mode));
	set(&o, "scheduler", qb_json_text(st->scheduler));
	set(&o, "grain", qb_json_text(st->grain));
	if (st->protection[0])
		set(&o, "protection", qb_json_text(st->protection));
	set(&o, "loaded_queue_ms", real(st->loaded_queue_ms, 1e3));
	set(&o, "fec", fec_object(st));
	set(&o, "tunnel", tunnel_object(st));
	set(&o, "hub", hub_object(st));
	set(&o, "guard", guard_object(st));
	set(&o, "links", links_array(st->links, st->link_cnt));
	set(&o, "sites", qb_json_sites(st));
	set(&o, "counters", qb_json_counters(st));
	return o;
}

/* ---- packet I/O ---- */

static json_t *figures_object(const struct qb_figures *f)
{
	json_t *o = json_object();

	for (uint32_t i = 0; i < f->cnt; i++)
		set(&o, f->f[i].name, json_integer((json_int_t)f->f[i].value));
	return o;
}

static json_t *io_object(const struct qb_io_if *i)
{
	json_t *o = json_object(), *queues = json_array();

	set(&o, "name", qb_json_text(i->name));
	set(&o, "interface", qb_json_text(i->ifname));
	set(&o, "io", qb_json_text(i->io));
	set(&o, "reason", qb_json_text(i->reason));
	set(&o, "offers", qb_json_text(i->offers));
	set(&o, "sockets", figures_object(&i->sockets));
	set(&o, "program", figures_object(&i->program));
	for (uint32_t q = 0; q < i->queue_cnt; q++)
		json_array_append_new(queues, figures_object(&i->queues[q]));
	set(&o, "queues", queues);
	return o;
}

static json_t *stage_object(const struct qb_io_stage *s)
{
	json_t *o = json_object();

	set(&o, "stage", qb_json_text(s->name));
	set(&o, "packets", json_integer((json_int_t)s->packets));
	set(&o, "ns", json_integer((json_int_t)s->ns));
	set(&o, "ns_each", json_integer((json_int_t)(s->packets ? s->ns / s->packets : 0)));
	return o;
}

json_t *qb_json_io(const struct qb_io_status *st)
{
	json_t *o = json_object(), *ifs = json_array(), *stages = json_array();

	set(&o, "schema", json_integer(QB_CTL_SCHEMA));
	for (uint32_t i = 0; i < st->if_cnt; i++)
		json_array_append_new(ifs, io_object(&st->ifs[i]));
	set(&o, "interfaces", ifs);
	set(&o, "guard", figures_object(&st->guard));
	for (uint32_t i = 0; i < st->stage_cnt; i++)
		json_array_append_new(stages, stage_object(&st->stages[i]));
	set(&o, "stages", stages);
	return o;
}

static json_t *tun_queue_object(const struct qb_tun_queue_status *q)
{
	json_t *o = json_object();

	set(&o, "queue", json_integer(q->queue));
	set(&o, "worker", json_integer(q->worker));
	set(&o, "on", json_boolean(q->is_on));
	set(&o, "rx_packets", u64(q->rx_packets));
	set(&o, "rx_bytes", u64(q->rx_bytes));
	set(&o, "rx_super", u64(q->rx_super));
	set(&o, "rx_malformed", u64(q->rx_malformed));
	set(&o, "tx_packets", u64(q->tx_packets));
	set(&o, "tx_bytes", u64(q->tx_bytes));
	set(&o, "tx_super", u64(q->tx_super));
	set(&o, "tx_refused", u64(q->tx_refused));
	return o;
}

static json_t *tun_routes_array(const struct qb_tun_status *t)
{
	json_t *a = json_array();

	for (uint32_t i = 0; i < t->route_cnt; i++) {
		json_t *o = json_object();

		set(&o, "prefix", qb_json_text(t->routes[i].prefix));
		set(&o, "table", json_integer(t->routes[i].table));
		if (t->routes[i].site[0])
			set(&o, "site", qb_json_text(t->routes[i].site));
		append(&a, o);
	}
	return a;
}

json_t *qb_json_tun(const struct qb_tun_status *t)
{
	json_t *o = json_object(), *tun = json_object(), *offloads = json_array(), *queues = json_array();

	if (t->has_tso) {
		append(&offloads, json_string("checksum"));
		append(&offloads, json_string("tso"));
	}
	if (t->has_uso)
		append(&offloads, json_string("uso"));
	for (uint32_t i = 0; i < t->queue_cnt; i++)
		append(&queues, tun_queue_object(&t->queues[i]));
	set(&tun, "device", qb_json_text(t->device));
	set(&tun, "ifindex", json_integer(t->ifindex));
	set(&tun, "up", json_boolean(t->is_up));
	set(&tun, "mtu", json_integer(t->mtu_bytes));
	set(&tun, "mtu_auto", json_boolean(t->is_mtu_auto));
	set(&tun, "addresses", prefixes_array(t->addresses, t->address_cnt));
	set(&tun, "routes", tun_routes_array(t));
	set(&tun, "offloads", offloads);
	set(&tun, "queue_len", json_integer(t->queue_len));
	set(&tun, "unread", u64(t->kernel_dropped));
	set(&tun, "errors", u64(t->kernel_errors));
	set(&tun, "queues", queues);
	set(&o, "schema", json_integer(QB_CTL_SCHEMA));
	set(&o, "tun", tun);
	return o;
}

static json_t *flow_object(const struct qb_flow_status *f)
{
	bool is_tx = strcmp(f->direction, "tx") == 0;
	json_t *o = json_object(), *paths = json_array();

	if (f->site[0])
		set(&o, "site", qb_json_text(f->site));
	set(&o, "direction", qb_json_text(f->direction));
	set(&o, "protocol", qb_json_text(f->protocol));
	set(&o, "source", qb_json_text(f->source));
	set(&o, "destination", qb_json_text(f->destination));
	set(&o, "class", f->class ? qb_json_text(f->class) : json_null());
	set(&o, "rate_bps", u64(f->bps));
	for (uint32_t i = 0; i < f->path_cnt; i++) {
		json_t *p = json_object();

		set(&p, "link", qb_json_text(f->paths[i].link));
		set(&p, "share", real(f->paths[i].share, 1e6));
		append(&paths, p);
	}
	set(&o, "paths", paths);
	set(&o, "queue_ms", is_tx ? real(f->queue_ms, 1e3) : json_null());
	set(&o, "queue_max_ms", is_tx ? real(f->queue_max_ms, 1e3) : json_null());
	set(&o, "hold_ms", is_tx ? json_null() : real(f->hold_ms, 1e3));
	set(&o, "hold_max_ms", is_tx ? json_null() : real(f->hold_max_ms, 1e3));
	set(&o, "drops", u64(f->drops));
	set(&o, "marks", u64(f->marks));
	set(&o, "bytes", u64(f->bytes));
	set(&o, "age_s", real(f->age_s, 1e3));
	return o;
}

json_t *qb_json_flows(const struct qb_flows *flows)
{
	json_t *o = json_object(), *list = json_array();

	for (uint32_t i = 0; i < flows->cnt; i++)
		append(&list, flow_object(&flows->f[i]));
	set(&o, "schema", json_integer(QB_CTL_SCHEMA));
	set(&o, "flows", list);
	return o;
}

static json_t *decision_object(const struct qb_decision_status *d)
{
	json_t *o = json_object(), *choices = json_array();

	set(&o, "age_s", real(d->age_s, 1e3));
	if (d->site[0])
		set(&o, "site", qb_json_text(d->site));
	set(&o, "scheduler", qb_json_text(d->scheduler));
	set(&o, "flow", json_integer(d->flow));
	set(&o, "bytes", json_integer(d->bytes));
	set(&o, "kind", qb_json_text(d->kind));
	set(&o, "link", d->link[0] ? qb_json_text(d->link) : json_null());
	set(&o, "reason", qb_json_text(d->reason));
	for (uint32_t i = 0; i < d->choice_cnt; i++) {
		json_t *c = json_object();

		set(&c, "link", qb_json_text(d->choices[i].link));
		set(&c, "state", qb_json_text(d->choices[i].state));
		set(&c, "delay_ms", real(d->choices[i].delay_ms, 1e3));
		set(&c, "wait_ms", real(d->choices[i].wait_ms, 1e3));
		append(&choices, c);
	}
	set(&o, "choices", choices);
	return o;
}

json_t *qb_json_sched(const struct qb_sched_status *s)
{
	json_t *o = json_object(), *names = json_array(), *forms = json_array(), *list = json_array();

	for (uint32_t i = 0; i < s->name_cnt; i++)
		append(&names, qb_json_text(s->names[i]));
	for (uint32_t i = 0; i < s->form_cnt; i++)
		append(&forms, qb_json_text(s->forms[i]));
	for (uint32_t i = 0; i < s->cnt; i++)
		append(&list, decision_object(&s->d[i]));
	set(&o, "schema", json_integer(QB_CTL_SCHEMA));
	set(&o, "scheduler", qb_json_text(s->scheduler));
	set(&o, "schedulers", names);
	set(&o, "forms", forms);
	set(&o, "decisions", list);
	return o;
}

static json_t *crypto_object(const struct qb_findings *f)
{
	json_t *o = json_object(), *cpu = json_array();

	for (uint32_t i = 0; i < f->crypto.cpu_cnt; i++)
		append(&cpu, qb_json_text(f->crypto.cpu[i]));
	set(&o, "cpu", cpu);
	set(&o, "aead", qb_json_text(f->crypto.aead));
	set(&o, "why", qb_json_text(f->crypto.why));
	set(&o, "in_use", qb_json_text(f->crypto.in_use));
	return o;
}

json_t *qb_json_findings(const struct qb_findings *f)
{
	json_t *o = json_object(), *list = json_array();

	for (uint32_t i = 0; i < f->cnt; i++) {
		json_t *one = json_object();

		set(&one, "severity", qb_json_text(f->f[i].is_fault ? "fault" : "hint"));
		set(&one, "where", qb_json_text(f->f[i].where));
		set(&one, "text", qb_json_text(f->f[i].text));
		set(&one, "mend", qb_json_text(f->f[i].mend));
		json_array_append_new(list, one);
	}
	set(&o, "schema", json_integer(QB_CTL_SCHEMA));
	if (f->crypto.aead)
		set(&o, "crypto", crypto_object(f));
	set(&o, "findings", list);
	return o;
}

json_t *qb_json_event(const struct qb_ctl_event *ev)
{
	const struct {
		const char *name, *text;
	} texts[] = {
		{"name", ev->name},
		{"link", ev->link},
		{"peer_name", ev->peer_name},
		{"from", ev->from},
		{"to", ev->to},
		{"reason", ev->reason},
	};
	json_t *o = json_object();

	set(&o, "schema", json_integer(QB_CTL_SCHEMA));
	set(&o, "event", qb_json_text(ev->type ? ev->type : ""));
	set(&o, "time", real(ev->time_s, 1e3));
	for (size_t i = 0; i < QB_ARRAY_LEN(texts); i++)
		if (texts[i].text)
			set(&o, texts[i].name, qb_json_text(texts[i].text));
	return o;
}
