/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Workers of an edge come and go with the load. Worker 0 serves always, and finds the hub; the
 * others connect to the hub that it has found, each over all links from ports of its own, and take
 * over the inner flows that their queue of the TUN device gets.
 *
 *     idle ──load──► joins: ports, hub ──connected, and its MTU is known──► serves: TUN queue on
 *       ▲                                                                        │
 *       └───────────────── leaves: TUN queue off, connection closed ◄──calm──────┘
 */
#include "spread.h"
#include "daemon.h"

#include <stdio.h>

enum {
	SPAN_MS = 1000,
	BUSY_SPANS = 2,
	CALM_SPANS = 60,
};

static const double busy_load = 0.75; /* of each worker that serves */
static const double calm_load = 0.5;  /* that one worker less would have */
static const double spare_cores = 0.5;

uint16_t qb_spread_decide(struct qb_spread *s, const double *loads, double idle_cores)
{
	double sum = 0, least = 1;

	for (uint16_t i = 0; i < s->active; i++) {
		sum += loads[i];
		least = loads[i] < least ? loads[i] : least;
	}
	s->busy_spans = least >= busy_load && idle_cores >= spare_cores ? s->busy_spans + 1 : 0;
	s->calm_spans = s->active > 1 && sum / (s->active - 1) < calm_load ? s->calm_spans + 1 : 0;
	if (s->busy_spans >= BUSY_SPANS && s->active < s->max)
		s->active++;
	else if (s->calm_spans >= CALM_SPANS)
		s->active--;
	else
		return s->active;
	s->busy_spans = s->calm_spans = 0;
	return s->active;
}

/* ---- on a worker's thread ---- */

struct hubs_call {
	const struct qb_edge_hub *hubs;
	uint32_t cnt;
	const struct qb_conf_prefixes *advertise;
};

static void do_set_hubs(struct qb_worker *w, void *arg)
{
	struct hubs_call *c = arg;

	qb_edge_set_hubs(w->node, c->hubs, c->cnt, qb_now_ns());
	qb_edge_set_advertise(w->node, c->advertise);
}

/* ---- on the main thread ---- */

static bool is_serving(const struct qb_daemon *d, uint16_t w, uint32_t mtu_bytes)
{
	return d->lanes[w].is_connected && d->lanes[w].mtu_bytes == mtu_bytes;
}

/* carried_mtu: the largest that some session carries; without any, what worker 0 knows. */
static uint32_t carried_mtu(const struct qb_daemon *d)
{
	uint32_t mtu_bytes = 0;

	for (uint16_t w = 0; w < d->worker_cnt; w++)
		if (d->lanes[w].is_connected)
			mtu_bytes = QB_MAX(mtu_bytes, d->lanes[w].mtu_bytes);
	return mtu_bytes ? mtu_bytes : d->lanes[0].mtu_bytes;
}

/*
 * steer turns on the TUN queues of the workers whose sessions carry the largest packets. One that
 * has just connected, and looks for its paths' MTU yet, does not count: hosts would hear of a small
 * MTU, and believe it for minutes.
 */
static void steer(struct qb_daemon *d)
{
	uint32_t mtu_bytes = carried_mtu(d);
	uint16_t serving = 0;

	for (uint16_t w = 0; w < d->worker_cnt; w++)
		serving += is_serving(d, w, mtu_bytes);
	for (uint16_t w = 0; w < d->worker_cnt; w++) {
		bool is_on = serving ? is_serving(d, w, mtu_bytes) : w == 0;
		int ret = is_on == d->lanes[w].is_steered
				  ? 0
				  : qb_tun_queue_steer(qb_tun_queue(d->tun, w), is_on);

		if (ret)
			qb_warn("worker %u: cannot turn its TUN queue %s: %s", w,
				is_on ? "on" : "off", strerror(-ret));
		else
			d->lanes[w].is_steered = is_on;
	}
	if (!d->conf->tunnel.mtu_bytes && mtu_bytes != d->tun_mtu_bytes)
		qb_daemon_set_mtu(d, mtu_bytes);
}

static uint32_t first_mtu(const struct qb_daemon *d)
{
	return d->conf->tunnel.mtu_bytes ? d->conf->tunnel.mtu_bytes : QB_INNER_MTU_MIN;
}

/* hubs_of lists what a worker may connect to: the first one all hubs, the others the one that the
 * first has reached. */
static uint32_t hubs_of(const struct qb_daemon *d, uint16_t w, struct qb_edge_hub *out)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < d->hub_cnt; i++)
		if (w == 0 || (w < d->spread.active && d->can_spread &&
			       !strcmp(d->hubs[i].name, d->hub_name)))
			out[cnt++] = d->hubs[i];
	return cnt;
}

static void tell_hubs(struct qb_daemon *d, uint16_t w)
{
	struct qb_edge_hub hubs[QB_EDGE_HUBS_MAX];
	struct hubs_call call = {
		.hubs = hubs, .cnt = hubs_of(d, w, hubs), .advertise = &d->conf->route.advertise};

	if (w > 0 && call.cnt)
		qb_uplinks_join(d, w);
	qb_worker_call(&d->workers[w], do_set_hubs, &call);
	if (w > 0 && !call.cnt)
		qb_uplinks_leave(d, w);
}

void qb_spread_refresh(struct qb_daemon *d)
{
	for (uint16_t w = 0; w < d->worker_cnt; w++)
		tell_hubs(d, w);
}

void qb_spread_open(struct qb_daemon *d, bool is_fixed)
{
	d->spread =
		(struct qb_spread){.active = is_fixed ? d->worker_cnt : 1, .max = d->worker_cnt};
	d->is_spread_fixed = is_fixed;
	for (uint16_t w = 0; w < d->worker_cnt;
	     w++) /* all queues are on as the device was opened */
		d->lanes[w] = (struct qb_lane){.is_steered = true, .mtu_bytes = first_mtu(d)};
	steer(d);
	d->spread_ns = qb_now_ns();
	d->idle_s = qb_cpu_idle_s();
}

/* measure takes the loads since the last time; false: too short a time ago. */
static bool measure(struct qb_daemon *d, double loads[QB_WORKERS_MAX], double *idle_cores)
{
	uint64_t now_ns = qb_now_ns(), span_ns = now_ns - d->spread_ns;
	double idle_s = qb_cpu_idle_s();

	if (span_ns < SPAN_MS * QB_NS_PER_MS)
		return false;
	for (uint16_t w = 0; w < d->worker_cnt; w++) {
		uint64_t slept_ns = d->workers[w].slept_ns, slept = slept_ns - d->lanes[w].slept_ns;

		loads[w] = 1 - (double)QB_MIN(slept, span_ns) / (double)span_ns;
		d->lanes[w].slept_ns = slept_ns;
	}
	*idle_cores = (idle_s - d->idle_s) * (double)QB_NS_PER_SEC / (double)span_ns;
	d->idle_s = idle_s;
	d->spread_ns = now_ns;
	return true;
}

void qb_spread_poll(struct qb_daemon *d)
{
	double loads[QB_WORKERS_MAX], idle_cores;
	uint16_t was = d->spread.active;

	if (d->conf->role != QB_ROLE_EDGE || d->worker_cnt == 1 || d->is_spread_fixed ||
	    !measure(d, loads, &idle_cores))
		return;
	if (!d->can_spread || qb_spread_decide(&d->spread, loads, idle_cores) == was)
		return;
	qb_info("the load asks for %s connection%s: %u",
		d->spread.active > was ? "another" : "fewer", d->spread.active > was ? "" : "s",
		d->spread.active);
	tell_hubs(d, QB_MIN(was, d->spread.active));
}

void qb_spread_on_hub(struct qb_daemon *d, uint16_t worker, bool is_connected, bool can_spread)
{
	d->lanes[worker].is_connected = is_connected;
	if (!is_connected)
		d->lanes[worker].mtu_bytes = first_mtu(d);
	if (worker == 0 && is_connected) {
		d->can_spread = can_spread;
		for (uint16_t w = 1; w < d->worker_cnt; w++)
			tell_hubs(d, w);
	}
	steer(d);
}

void qb_spread_on_mtu(struct qb_daemon *d, uint16_t worker, uint32_t mtu_bytes)
{
	d->lanes[worker].mtu_bytes = mtu_bytes;
	steer(d);
}
