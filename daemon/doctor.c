/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `quicbondctl doctor` finds: settings of the host and its interfaces that make links slow or lose packets, and what does not
 * work as configured, each with what mends it. The checks are rows of a table. Main thread.
 */
#include "daemon.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/resource.h>

enum {
	RX_RING_MIN = 1024,
	RX_BUFFER_MIN_BYTES = 4 << 20,
	RP_FILTER_STRICT = 1,
	ATTACK_TOLD_S = 3600,
	SILENCE_S = 2, /* shorter ones mend themselves */
};

static void QB_PRINTF(5, 6) found(struct qb_findings *f, bool is_fault, const char *where, const char *mend,
				  const char *fmt, ...)
{
	struct qb_finding *one;
	va_list ap;

	if (f->cnt == QB_ARRAY_LEN(f->f))
		return;
	one = &f->f[f->cnt++];
	one->is_fault = is_fault;
	snprintf(one->where, sizeof(one->where), "%s", where);
	snprintf(one->mend, sizeof(one->mend), "%s", mend);
	va_start(ap, fmt);
	vsnprintf(one->text, sizeof(one->text), fmt, ap);
	va_end(ap);
}

/* ---- the host ---- */

static bool is_off(const char *sysctl)
{
	long value;

	return qb_net_sysctl(sysctl, &value) == 0 && value == 0;
}

static void check_forwarding(const struct qb_daemon *d, struct qb_findings *f)
{
	(void)d;
	if (is_off("net/ipv4/ip_forward"))
		found(f, false, "host", "sysctl -w net.ipv4.ip_forward=1", "the host does not forward IPv4: only its own "
									   "traffic can use the tunnel");
	if (is_off("net/ipv6/conf/all/forwarding"))
		found(f, false, "host", "sysctl -w net.ipv6.conf.all.forwarding=1",
		      "the host does not forward IPv6: only its own traffic can use the tunnel");
}

static void check_crypto(const struct qb_daemon *d, struct qb_findings *f)
{
	if (!qb_suite_is_fast())
		found(f, false, "host", "a CPU with AES-NI, or AES of ARMv8; in a guest, one that shows them",
		      d->conf->role == QB_ROLE_HUB
			      ? "the CPU has no AES instructions: packets are protected by ChaCha20-Poly1305, in software"
			      : "the CPU has no AES instructions, and a hub whose CPU has them chooses AES: that is slow here");
}

/* count_suites writes which AEADs connections use: "AES-128-GCM 3, ChaCha20-Poly1305 1". */
static void count_suites(struct qb_daemon *d, char *out, size_t len)
{
	struct qb_ctl_conns *conns = calloc(1, sizeof(*conns));
	char err[QB_ERR_LEN];
	size_t n = 0;

	if (!conns || qb_conns_fill(d, conns, err))
		conns = NULL;
	for (uint32_t s = 0; conns && s < QB_SUITE_CNT; s++) {
		uint32_t cnt = 0;

		for (uint32_t i = 0; i < QB_MIN(conns->total, (uint32_t)QB_CTL_CONNS); i++)
			cnt += !strcmp(conns->list[i].cipher, qb_suite_name((enum qb_suite)s));
		if (cnt && n < len)
			n += (size_t)snprintf(out + n, len - n, "%s%s %u", n ? ", " : "", qb_suite_name((enum qb_suite)s), cnt);
	}
	free(conns);
}

static void tell_crypto(struct qb_daemon *d, struct qb_findings *f)
{
	bool is_hub = d->conf->role == QB_ROLE_HUB, has_aes = qb_suite_is_fast();

	_Static_assert(QB_ARRAY_LEN(f->crypto.cpu) == QB_CPU_CRYPTO_MAX, "room for all");
	f->crypto.cpu_cnt = qb_cpu_crypto(f->crypto.cpu);
	f->crypto.aead = qb_suite_name(has_aes ? QB_SUITE_AES128GCM : QB_SUITE_CHACHA20);
	snprintf(f->crypto.why, sizeof(f->crypto.why), "the CPU has %s; %s", has_aes ? "instructions for AES" : "none for AES",
		 is_hub ? "the hub's choice holds for its sites" : "offered first, the hub chooses by its own CPU");
	count_suites(d, f->crypto.in_use, sizeof(f->crypto.in_use));
}

static void check_key_log(const struct qb_daemon *d, struct qb_findings *f)
{
	if (d->conf->log.key_log[0])
		found(f, true, "host", "take KeyLog out of [Log] and restart", "the keys of all connections are written to %s",
		      d->conf->log.key_log);
}

static void check_key_files(const struct qb_daemon *d, struct qb_findings *f)
{
	const char *path = qb_identity_open_key(d);

	if (path)
		found(f, true, "host", "chmod o= the file; if others were on this host, make a new key", "others may read or write the private key %s",
		      path);
}

static void check_user(const struct qb_daemon *d, struct qb_findings *f)
{
	if (qb_daemon_stays_root(d))
		found(f, false, "host", "systemd-sysusers, and restart; or User in [Node]", "there is no user quicbond: the daemon is root");
}

static void check_marks(const struct qb_daemon *d, struct qb_findings *f)
{
	if (d->marks_err[0])
		found(f, true, "host", "what it names; sch_ingress and cls_bpf in the kernel, CAP_BPF for the daemon; then quicbondctl reload",
		      "policies do not match firewall marks: %s", d->marks_err);
}

static void check_scheduler(const struct qb_daemon *d, struct qb_findings *f)
{
	const char *wanted = d->conf->bond.scheduler;
	uint64_t faults = 0;

	for (uint16_t w = 0; w < d->worker_cnt; w++)
		faults += qb_counter_read(&d->workers[w].counters, QB_CNT_SCHED_FAULTS);
	if (faults)
		found(f, false, "host", "the log says what it did; quicbondctl sched set NAME takes another",
		      "a BPF scheduler made no sense %llu times since the start: auto stood in for it each time", (unsigned long long)faults);

	if (qb_scheds_missing(d->scheds, wanted))
		found(f, true, "host", "quicbondctl reload says why",
		      "the scheduler %.120s could not be had at the start: auto is used", wanted);
	for (uint32_t i = 0; i < d->conf->policy_cnt; i++) {
		const struct qb_conf_policy *p = &d->conf->policies[i];

		if (qb_scheds_missing(d->scheds, p->scheduler))
			found(f, true, "host", "quicbondctl reload says why",
			      "the scheduler %.120s of [Policy %s] could not be had at the start: the bond's is used", p->scheduler, p->name);
	}
}

static void check_guard(const struct qb_daemon *d, struct qb_findings *f)
{
	if (d->conf->role == QB_ROLE_HUB && !d->guard)
		found(f, true, "host", "CAP_BPF and CAP_NET_ADMIN for the daemon, and a kernel with BPF",
		      "there is no guard before the ports: floods reach the daemon");
}

static void check_attack(const struct qb_daemon *d, struct qb_findings *f)
{
	const struct qb_guard_attack *a = d->guard ? qb_guard_attack(d->guard) : NULL;
	uint64_t now_ns = qb_now_ns();
	char why[160];

	if (!a || (!a->is_on && (!a->cnt || now_ns - a->end_ns > ATTACK_TOLD_S * QB_NS_PER_SEC)))
		return;
	qb_shield_why(d, why, sizeof(why));
	if (a->is_on)
		found(f, true, "host", "quicbondctl block add PREFIX, if it is from few; quicbondctl io shows what is dropped",
		      "an attack for %llu s; new clients have to prove their addresses (Retry); %s",
		      (unsigned long long)((now_ns - a->begin_ns) / QB_NS_PER_SEC), why);
	else
		found(f, false, "host", "SourceLimit and StrangerLimit in [Listen], if it was none",
		      "an attack ended %llu s ago; %s", (unsigned long long)((now_ns - a->end_ns) / QB_NS_PER_SEC), why);
}

/* A hub that answers strangers on a network without a router looks for each of them as a neighbour. */
static void check_router(const struct qb_daemon *d, struct qb_findings *f)
{
	for (uint32_t i = 0; i < d->conf->listen.if_cnt; i++) {
		const struct qb_if *iface = qb_nl_if_by_name(d->nl, d->conf->listen.ifnames[i]);

		if (iface && !iface->has_default4 && !iface->has_default6)
			found(f, false, iface->name, "ip route add default via ROUTER, or sysctl -w "
						     "net.ipv4.neigh.default.gc_thresh3=8192",
			      "no default route: in a flood answers to forged addresses fill the table of neighbours");
	}
}

/* ---- the hub, links and their interfaces ---- */

static void check_hub(const struct qb_daemon *d, struct qb_findings *f)
{
	if (d->conf->role != QB_ROLE_EDGE || (d->hub_state && !strcmp(d->hub_state, "connected")))
		return;
	found(f, true, "hub", "Address and PublicKey in [Hub], UDP to that port on the way, quicbondctl status on the hub",
	      "no hub is connected: %s", d->hub_reason[0] ? d->hub_reason : "none has answered yet");
}

/* check_silence: the interface is there, and the hub is not to be reached by it. */
static void check_silence(const struct qb_uplink *u, struct qb_findings *f)
{
	uint64_t since_ns = qb_now_ns() - u->path_since_ns;
	enum qb_link_state silent[] = {QB_LINK_PROBING, QB_LINK_SUSPECT, QB_LINK_FAILED};

	if (!u->is_up || !u->path_state || u->is_drained || u->tier_in_force == QB_TIER_NEVER || since_ns < SILENCE_S * QB_NS_PER_SEC)
		return;
	for (size_t i = 0; i < QB_ARRAY_LEN(silent); i++)
		if (!strcmp(u->path_state, qb_link_state_name(silent[i])))
			found(f, true, u->conf.name, "the line and its modem, and whatever on the way filters UDP to the hub",
			      "the link has been %s for %llu s: nothing comes back by it", u->path_state,
			      (unsigned long long)(since_ns / QB_NS_PER_SEC));
}

static void check_links(const struct qb_daemon *d, struct qb_findings *f)
{
	for (uint32_t i = 0; i < QB_NODE_LINKS_MAX; i++) {
		const struct qb_uplink *u = &d->uplinks[i];

		if (!u->is_used)
			continue;
		check_silence(u, f);
		if (!u->is_up && !u->is_down_by_command)
			found(f, true, u->conf.name, u->is_io_refused ? "what the reason names, or Io = auto" : "the interface, its address and its route",
			      "the link is not used: %s", u->reason);
		else if (u->is_open && strcasecmp(u->conf.io, "auto") &&
			 strcasecmp(u->conf.io, qb_io_mode_name(u->io)))
			found(f, true, u->conf.name, "what the reason names, or Io = auto",
			      "Io = %s cannot be had; %s serves: %.100s", u->conf.io, qb_io_mode_name(u->io), u->io_reason);
	}
}

static void check_listens(const struct qb_daemon *d, struct qb_findings *f)
{
	const struct qb_conf *c = d->conf;

	for (uint32_t i = 0; i < c->listen.if_cnt; i++) {
		const struct qb_listen *l = &d->listens[i];

		if (!l->is_open)
			found(f, true, c->listen.ifnames[i], "the interface and its address", "nobody listens on it");
		else if (strcasecmp(c->listen.io, "auto") &&
			 strcasecmp(c->listen.io, qb_io_mode_name(qb_net_if_mode(l->xif))))
			found(f, true, c->listen.ifnames[i], "what the reason names, or Io = auto",
			      "Io = %s cannot be had: %.120s", c->listen.io, qb_net_if_reason(l->xif));
	}
}

static bool is_xdp(const char *io)
{
	return !strncasecmp(io, "xdp-", 4);
}

static const char *demanded_io(const struct qb_daemon *d, const struct qb_io_if *i)
{
	for (uint32_t k = 0; k < d->conf->link_cnt; k++)
		if (!strcmp(d->conf->links[k].name, i->name))
			return d->conf->links[k].io;
	return d->conf->role == QB_ROLE_HUB ? d->conf->listen.io : "auto";
}

/* Whether the limit counts depends on capabilities: where AF_XDP works it does not. */
static void check_memlock(const struct qb_daemon *d, const struct qb_io_if *i, struct qb_findings *f)
{
	struct rlimit lim;

	if (!is_xdp(demanded_io(d, i)) || is_xdp(i->io) || getrlimit(RLIMIT_MEMLOCK, &lim) ||
	    lim.rlim_cur == RLIM_INFINITY || lim.rlim_cur >= d->frame_mem.bytes)
		return;
	found(f, false, i->ifname, "LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited",
	      "%llu KB may be locked, AF_XDP needs %zu KB for its frames", (unsigned long long)lim.rlim_cur / 1024,
	      d->frame_mem.bytes / 1024);
}

/* The kernel uses the stricter of the interface's and the general setting. */
static void check_rp_filter(const struct qb_daemon *d, const struct qb_io_if *i, struct qb_findings *f)
{
	char path[64], mend[96];
	long all = 0, own = 0;

	(void)d;
	snprintf(path, sizeof(path), "net/ipv4/conf/%s/rp_filter", i->ifname);
	if (qb_net_sysctl("net/ipv4/conf/all/rp_filter", &all) || qb_net_sysctl(path, &own) ||
	    QB_MAX(all, own) != RP_FILTER_STRICT)
		return;
	snprintf(mend, sizeof(mend), "sysctl -w net.ipv4.conf.%s.rp_filter=2", i->ifname);
	found(f, true, i->ifname, mend, "rp_filter is strict: the kernel drops what comes by this link while its route to the "
					"peer leaves by another");
}

static void check_device(const struct qb_daemon *d, const struct qb_io_if *i, struct qb_findings *f)
{
	struct qb_net_device dev;
	char mend[96];

	(void)d;
	if (qb_net_device_read(i->ifname, &dev))
		return;
	if (dev.rx_ring && dev.rx_ring < RX_RING_MIN && dev.rx_ring < dev.rx_ring_max) {
		snprintf(mend, sizeof(mend), "ethtool -G %s rx %u", i->ifname, QB_MIN(dev.rx_ring_max, 4 * RX_RING_MIN));
		found(f, false, i->ifname, mend, "a receive ring of %u descriptors loses packets in bursts; %u can be had",
		      dev.rx_ring, dev.rx_ring_max);
	}
	snprintf(mend, sizeof(mend), "ethtool -K %s tx on", i->ifname);
	if (!dev.has_tx_csum)
		found(f, false, i->ifname, mend, "no checksum offload: without it the kernel takes no batches (UDP GSO)");
	snprintf(mend, sizeof(mend), "ethtool -K %s gro on", i->ifname);
	if (!dev.has_gro && !is_xdp(i->io))
		found(f, false, i->ifname, mend, "GRO is off: every packet goes through the kernel alone");
	snprintf(mend, sizeof(mend), "ethtool -K %s lro off", i->ifname);
	if (dev.has_lro)
		found(f, true, i->ifname, mend, "LRO is on: it joins packets in a way that cannot be undone when forwarding");
}

static uint64_t figure(const struct qb_figures *fs, const char *name)
{
	for (uint32_t i = 0; i < fs->cnt; i++)
		if (!strcmp(fs->f[i].name, name))
			return fs->f[i].value;
	return 0;
}

static void check_figures(const struct qb_daemon *d, const struct qb_io_if *i, struct qb_findings *f)
{
	uint64_t drops = figure(&i->sockets, "drops"), buffer = figure(&i->sockets, "rx_buffer_bytes");

	(void)d;
	if (buffer && buffer < RX_BUFFER_MIN_BYTES)
		found(f, false, i->ifname, "sysctl -w net.core.rmem_max=8388608",
		      "sockets may hold only %llu KB of what has come", (unsigned long long)buffer / 1024);
	if (drops)
		found(f, false, i->ifname, "more workers, or less load on this host",
		      "%llu packets found no room in the sockets since they were opened", (unsigned long long)drops);
	for (uint32_t q = 0; q < i->queue_cnt; q++) {
		uint64_t full = figure(&i->queues[q], "rx_ring_full");
		uint64_t empty = figure(&i->queues[q], "rx_fill_ring_empty");

		if (full + empty)
			found(f, false, i->ifname, "more workers, or less load on this host",
			      "queue %u: %llu packets found the AF_XDP ring full, %llu times no frame was left", q,
			      (unsigned long long)full, (unsigned long long)empty);
	}
}

/* clang-format off */
static void (*const host_checks[])(const struct qb_daemon *d, struct qb_findings *f) = {
	check_key_log, check_key_files, check_user, check_marks, check_scheduler, check_crypto, check_hub, check_links, check_listens, check_guard, check_attack, check_forwarding, check_router,
};
static void (*const if_checks[])(const struct qb_daemon *d, const struct qb_io_if *i, struct qb_findings *f) = {
	check_rp_filter, check_memlock, check_device, check_figures,
};
/* clang-format on */

int qb_doctor(void *arg, struct qb_findings *f, char *err)
{
	struct qb_daemon *d = arg;
	struct qb_io_status *io = calloc(1, sizeof(*io));

	if (!io) {
		snprintf(err, QB_ERR_LEN, "out of memory");
		return -ENOMEM;
	}
	qb_io_fill(d, io, err);
	tell_crypto(d, f);
	for (size_t k = 0; k < QB_ARRAY_LEN(host_checks); k++)
		host_checks[k](d, f);
	for (uint32_t i = 0; i < io->if_cnt; i++)
		for (size_t k = 0; k < QB_ARRAY_LEN(if_checks); k++)
			if_checks[k](d, &io->ifs[i], f);
	free(io);
	return 0;
}
