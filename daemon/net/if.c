/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Puts the XDP program on an interface and takes it off again, and decides what an interface is
 * good for. The program hangs on a BPF link, so it goes with the process however that ends; where
 * others have put a dispatcher of libxdp's, it takes a place there. Main thread only, but for
 * qb_net_if_add_local and qb_net_if_set_socket.
 */
#include "net/xif.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "bpf/qb_bpf.h"
#include "bpf/xdp_steer.skel.h"
#include "net/guard.h"
#include "net/join.h"
#include "net/sock.h"
#include "net/uring.h"

/* clang-format off */
static const char *const counter_names[QB_XDP_REASON_CNT] = {
#define NAME(id, name) [QB_XDP_##id] = name,
	QB_XDP_REASONS(NAME)
#undef NAME
};

struct attach_error {
	int err;
	const char *text;
};

static const struct attach_error attach_errors[] = {
	{EBUSY,      "another XDP program is on the interface"},
	{EEXIST,     "another XDP program is on the interface"},
	{EOPNOTSUPP, "the driver has no native XDP"},
	{ERANGE,     "the driver refuses XDP at this MTU"},
	{EINVAL,     "the driver refuses XDP with this MTU or these offloads"},
	{ENOSPC,     "fewer receive queues than the peer has transmit queues"},
	{ENOMEM,     "the driver has no memory or queues left for XDP"},
	{EPERM,      "not permitted (CAP_NET_ADMIN and CAP_BPF are needed)"},
};
/* clang-format on */

static QB_PRINTF(2, 3) void say(struct qb_net_if *i, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(i->reason, sizeof(i->reason), fmt, ap);
	va_end(ap);
}

static const char *attach_error_text(int err)
{
	for (size_t i = 0; i < QB_ARRAY_LEN(attach_errors); i++) {
		if (attach_errors[i].err == err)
			return attach_errors[i].text;
	}
	return strerror(err);
}

/* ---- what the interface is ---- */

/* Receive queues as the driver has them now; virtual devices without ethtool have one. */
static uint32_t count_queues(int fd, const char *ifname)
{
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq ifr = {.ifr_data = (char *)&ch};
	uint32_t cnt;

	memcpy(ifr.ifr_name, ifname, sizeof(ifr.ifr_name) - 1);
	if (ioctl(fd, SIOCETHTOOL, &ifr) != 0)
		return 1;
	cnt = ch.combined_count + ch.rx_count;
	return QB_MIN(QB_MAX(cnt, 1), QB_NET_QUEUES_MAX);
}

static void read_device(struct qb_net_if *i)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {0};

	i->queue_cnt = 1;
	if (fd < 0)
		return;
	i->queue_cnt = count_queues(fd, i->cfg.ifname);
	memcpy(ifr.ifr_name, i->cfg.ifname, sizeof(ifr.ifr_name) - 1);
	if (ioctl(fd, SIOCGIFHWADDR, &ifr) == 0)
		memcpy(i->mac, ifr.ifr_hwaddr.sa_data, sizeof(i->mac));
	close(fd);
}

/* ---- the program ---- */

static __attribute__((format(printf, 2, 0))) int quiet_libbpf(enum libbpf_print_level level,
							      const char *fmt, va_list ap)
{
	char line[256];

	if (level == LIBBPF_DEBUG || qb_log_max < QB_LOG_DBG)
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	qb_dbg("%s", line);
	return 0;
}

void qb_bpf_prepare(void)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

	/* UMEM pages are charged to it, unless CAP_IPC_LOCK is there. */
	(void)setrlimit(RLIMIT_MEMLOCK, &unlimited);
	libbpf_set_print(quiet_libbpf);
}

static int share_guard(struct qb_net_if *i, struct xdp_steer *s)
{
	struct qb_guard_maps maps = {
		.conf = s->maps.guard_conf,
		.state = s->maps.guard_state,
		.sources = s->maps.guard_sources,
		.known = s->maps.guard_known,
		.blocks = s->maps.guard_blocks,
		.counters = s->maps.guard_counters,
	};

	return i->cfg.guard ? qb_guard_share(i->cfg.guard, &maps) : 0;
}

struct qb_steer_params qb_steer_params(const struct qb_net_if *i)
{
	return (struct qb_steer_params){
		.worker_cnt = i->cfg.worker_cnt,
		.queue_cnt = i->queue_cnt,
		.hash_seed = qb_net_steer_seed(),
		.is_server = i->cfg.guard != NULL,
	};
}

/*
 * Takes the call that makes room for the stamp out of the program. A dispatcher's places are for
 * programs that do not change packets, and since 6.14 the kernel holds one for such by this call
 * alone, whether it is ever reached or not.
 */
static int leave_out_stamp(struct bpf_program *prog)
{
	const struct bpf_insn *old = bpf_program__insns(prog);
	size_t cnt = bpf_program__insn_cnt(prog);
	struct bpf_insn *insns = calloc(cnt, sizeof(*insns));
	int rc;

	if (insns == NULL)
		return -ENOMEM;
	memcpy(insns, old, cnt * sizeof(*insns));
	for (size_t k = 0; k < cnt; k++) {
		if (insns[k].code == (BPF_JMP | BPF_CALL) && insns[k].src_reg == 0 &&
		    insns[k].imm == BPF_FUNC_xdp_adjust_meta)
			insns[k] = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K,
						     .dst_reg = BPF_REG_0,
						     .imm = -EOPNOTSUPP};
	}
	rc = bpf_program__set_insns(prog, insns, cnt);
	free(insns);
	return rc;
}

struct xdp_steer *qb_steer_open(const struct qb_steer_params *p, bool has_frags, bool is_beside)
{
	struct xdp_steer *s = xdp_steer__open();
	uint32_t flags;
	int rc;

	if (s == NULL)
		return NULL;
	s->rodata->worker_cnt = p->worker_cnt;
	s->rodata->hash_seed = p->hash_seed;
	s->rodata->is_server = p->is_server;
	flags = bpf_program__flags(s->progs.qb_xdp_steer);
	if (!has_frags)
		flags &= ~(uint32_t)BPF_F_XDP_HAS_FRAGS;
	rc = bpf_program__set_flags(s->progs.qb_xdp_steer, flags);
	if (rc == 0 && is_beside)
		rc = leave_out_stamp(s->progs.qb_xdp_steer);
	if (rc == 0)
		rc = bpf_map__set_max_entries(s->maps.xsks, p->queue_cnt * p->worker_cnt);
	if (rc == 0)
		return s;
	xdp_steer__destroy(s);
	errno = -rc;
	return NULL;
}

static int load_once(struct qb_net_if *i, bool has_frags)
{
	struct qb_steer_params params = qb_steer_params(i);
	struct xdp_steer *s = qb_steer_open(&params, has_frags, false);
	int rc;

	if (s == NULL)
		return -errno;
	rc = share_guard(i, s);
	if (rc == 0)
		rc = xdp_steer__load(s);
	if (rc) {
		xdp_steer__destroy(s);
		return rc;
	}
	i->skel = s;
	return 0;
}

static int load_program(struct qb_net_if *i)
{
	int rc = load_once(i, true);

	if (rc)
		rc = load_once(i, false);
	return rc;
}

static void detach_link(struct qb_net_if *i)
{
	if (i->link_fd >= 0)
		close(i->link_fd);
	i->link_fd = -1;
	qb_join_leave(i);
}

static void unload_program(struct qb_net_if *i)
{
	detach_link(i);
	xdp_steer__destroy(i->skel);
	i->skel = NULL;
}

/* What is on the interface, of the kernel's XDP programs; 0: nothing. */
static uint32_t query_program(const struct qb_net_if *i)
{
	uint32_t prog_id = 0;

	return bpf_xdp_query_id((int)i->cfg.ifindex, 0, &prog_id) ? 0 : prog_id;
}

static int attach_beside(struct qb_net_if *i, uint32_t prog_id, bool is_native)
{
	char why[QB_JOIN_WHY_LEN];
	int rc = qb_join_enter(i, is_native, why);

	i->dispatcher_id = query_program(i);
	if (rc == 0)
		return 0;
	i->blocked_id = prog_id;
	say(i, "UDP sockets: XDP program %u is already on %s: %s", prog_id, i->cfg.ifname, why);
	return -EBUSY;
}

static int attach_alone(struct qb_net_if *i, uint32_t xdp_flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = xdp_flags);
	int rc = load_program(i);

	if (rc) {
		say(i, "UDP sockets: the XDP program does not load: %s", strerror(-rc));
		return rc;
	}
	i->link_fd = bpf_link_create(bpf_program__fd(i->skel->progs.qb_xdp_steer),
				     (int)i->cfg.ifindex, BPF_XDP, &opts);
	if (i->link_fd < 0) {
		rc = -errno;
		if (rc == -EBUSY || rc == -EEXIST) /* it came this very moment */
			i->blocked_id = UINT32_MAX;
		say(i, "UDP sockets: no XDP on %s: %s", i->cfg.ifname, attach_error_text(-rc));
		unload_program(i);
	}
	return i->link_fd < 0 ? rc : 0;
}

static int attach(struct qb_net_if *i, uint32_t xdp_flags)
{
	uint32_t prog_id = query_program(i);
	int rc = -E2BIG;

	if (i->cfg.worker_cnt == 0 || i->cfg.worker_cnt > QB_BPF_WORKERS_MAX)
		return rc;
	qb_bpf_prepare();
	rc = prog_id ? attach_beside(i, prog_id, xdp_flags == XDP_FLAGS_DRV_MODE)
		     : attach_alone(i, xdp_flags);
	if (rc == 0)
		qb_net_if_refresh(i);
	return rc;
}

const char *qb_net_if_beside(const struct qb_net_if *i)
{
	return i->joined_id ? ", beside others in libxdp's dispatcher" : "";
}

/* What is configured and would only cost system calls is left off, and it is said. */
static void choose_busy_poll(struct qb_net_if *i)
{
	if (!i->cfg.is_busy_polled || qb_net_may_busy_poll(i->cfg.ifname))
		return;
	i->cfg.is_busy_polled = false;
	i->is_busy_poll_vain = true;
}

const char *qb_net_if_busy_poll(const struct qb_net_if *i)
{
	if (i->is_busy_poll_vain)
		return "; no busy polling: napi_defer_hard_irqs, gro_flush_timeout are 0";
	return i->cfg.is_busy_polled ? "; busy polling" : "";
}

/* ---- modes ---- */

static int open_zerocopy(struct qb_net_if *i)
{
	int rc = qb_xsk_probe_zerocopy(&i->cfg);
	char offers[QB_NET_OFFERS_LEN];

	if (rc) {
		say(i, "UDP sockets with GSO and GRO: no zero-copy on %s (%s)%s", i->cfg.ifname,
		    strerror(-rc),
		    i->cfg.mode == QB_IO_AUTO ? ", and they beat AF_XDP with copies" : "");
		return rc;
	}
	rc = attach(i, XDP_FLAGS_DRV_MODE);
	if (rc)
		return rc;
	i->mode = QB_IO_XDP_ZEROCOPY;
	i->has_tx_csum = qb_net_offers(i->cfg.ifindex, offers, sizeof(offers)) == 0 &&
			 strstr(offers, "tx-checksum");
	say(i, "AF_XDP zero-copy on %u queue%s%s%s", i->queue_cnt, i->queue_cnt == 1 ? "" : "s",
	    qb_net_if_beside(i), qb_net_if_busy_poll(i));
	return 0;
}

static int open_copy(struct qb_net_if *i)
{
	int rc = attach(i, XDP_FLAGS_DRV_MODE);

	if (rc)
		return rc;
	i->mode = QB_IO_XDP_COPY;
	say(i, "AF_XDP receive on %u queue%s, UDP socket send with GSO: as configured%s%s",
	    i->queue_cnt, i->queue_cnt == 1 ? "" : "s", qb_net_if_beside(i),
	    qb_net_if_busy_poll(i));
	return 0;
}

static int open_generic(struct qb_net_if *i)
{
	int rc = attach(i, XDP_FLAGS_SKB_MODE);

	if (rc)
		return rc;
	i->mode = QB_IO_XDP_GENERIC;
	say(i, "AF_XDP receive by generic XDP, UDP socket send with GSO: as configured%s%s",
	    qb_net_if_beside(i), qb_net_if_busy_poll(i));
	return 0;
}

static int open_uring(struct qb_net_if *i)
{
	int rc = qb_uring_probe();

	if (rc) {
		say(i, "UDP sockets with GSO and GRO: io_uring cannot be had: %s",
		    rc == -EPERM ? "not permitted (since the start, if Io = uring is new)"
				 : strerror(-rc));
		return rc;
	}
	i->mode = QB_IO_URING;
	say(i, "UDP sockets by io_uring, with GSO and GRO: as configured");
	return 0;
}

static int open_mode(struct qb_net_if *i)
{
	switch (i->cfg.mode) {
	case QB_IO_AUTO:
		(void)open_zerocopy(i);
		return 0;
	case QB_IO_XDP_ZEROCOPY:
		return open_zerocopy(i);
	case QB_IO_XDP_COPY:
		return open_copy(i);
	case QB_IO_XDP_GENERIC:
		return open_generic(i);
	case QB_IO_URING:
		return open_uring(i);
	default:
		say(i, "UDP sockets with GSO and GRO: as configured");
		return 0;
	}
}

int qb_net_if_open(const struct qb_net_if_cfg *cfg, struct qb_net_if **out)
{
	struct qb_net_if *i = calloc(1, sizeof(*i));
	int rc;

	*out = NULL;
	if (i)
		i->worker = calloc(QB_MAX(cfg->worker_cnt, 1), sizeof(*i->worker));
	if (i == NULL || i->worker == NULL) {
		free(i);
		return -ENOMEM;
	}
	i->cfg = *cfg;
	if (i->cfg.ring_size == 0)
		i->cfg.ring_size = QB_NET_RING_SIZE;
	if (i->cfg.frame_bytes == 0)
		i->cfg.frame_bytes = QB_FRAME_BYTES;
	i->cfg.ifname[sizeof(i->cfg.ifname) - 1] = '\0';
	i->mode = QB_IO_UDP;
	i->is_auto = cfg->mode == QB_IO_AUTO || cfg->may_fall_back;
	i->link_fd = -1;
	i->umem_fd = -1;
	pthread_mutex_init(&i->lock, NULL);
	read_device(i);
	choose_busy_poll(i);
	rc = open_mode(i);
	/* Else the caller says so. */
	if (rc && i->is_auto)
		qb_warn("%s: %s cannot be had; %s", i->cfg.ifname, qb_io_mode_name(cfg->mode),
			i->reason);
	*out = i;
	return i->is_auto ? 0 : rc;
}

/* An interface that came back in another namespace or under another program says so by its link. */
static bool is_attached(struct qb_net_if *i)
{
	struct bpf_link_info info = {0};
	uint32_t len = sizeof(info);

	/* Whoever comes or goes puts a new dispatcher in the old one's place. */
	if (i->joined_id) {
		uint32_t id = query_program(i);
		int rc = id == i->dispatcher_id ? 0 : qb_join_look(i);

		if (rc == 0)
			i->dispatcher_id = id;
		return rc != -ENOENT;
	}
	return bpf_obj_get_info_by_fd(i->link_fd, &info, &len) == 0 &&
	       info.xdp.ifindex == i->cfg.ifindex;
}

static bool has_other_queues(const struct qb_net_if *i)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint32_t cnt;

	if (fd < 0)
		return false;
	cnt = count_queues(fd, i->cfg.ifname);
	close(fd);
	return cnt != i->queue_cnt;
}

const char *qb_net_if_check(struct qb_net_if *i)
{
	bool is_on = i->link_fd >= 0 || i->joined_id;

	if (is_on && !is_attached(i))
		return "the XDP program was taken off";
	if (is_on && has_other_queues(i))
		return "the number of queues has changed";
	if (i->blocked_id && query_program(i) != i->blocked_id)
		return "the other XDP program has changed";
	return NULL;
}

void qb_net_if_close(struct qb_net_if *i)
{
	if (i == NULL)
		return;
	QB_BUG_ON(i->port_cnt != 0);
	/* First off the wire, then the rings: no frame is written to when it goes home. */
	detach_link(i);
	qb_xsk_queues_close(i);
	unload_program(i);
	pthread_mutex_destroy(&i->lock);
	free(i->worker);
	free(i);
}

void qb_net_if_detach(struct qb_net_if *i, const char *why)
{
	detach_link(i);
	i->mode = QB_IO_UDP;
	say(i, "UDP sockets with GSO and GRO: %.120s", why);
}

enum qb_io_mode qb_net_if_mode(const struct qb_net_if *i)
{
	return i->mode;
}

const char *qb_net_if_reason(const struct qb_net_if *i)
{
	return i->reason;
}

/* ---- maps ---- */

int qb_net_if_add_port(struct qb_net_if *i, uint16_t port)
{
	if (i->skel)
		__atomic_fetch_or(&i->skel->bss->port_bits[port / 64], UINT64_C(1) << (port % 64),
				  __ATOMIC_RELAXED);
	return 0;
}

void qb_net_if_clear_port(struct qb_net_if *i, uint16_t port)
{
	if (i->skel)
		__atomic_fetch_and(&i->skel->bss->port_bits[port / 64],
				   ~(UINT64_C(1) << (port % 64)), __ATOMIC_RELAXED);
}

static void local_key(struct qb_bpf_local *key, const struct qb_addr *a)
{
	memset(key, 0, sizeof(*key));
	memcpy(key->ip, a->ip, qb_addr_ip_len(a));
	key->family = a->family;
}

void qb_net_if_add_local(struct qb_net_if *i, const struct qb_addr *a)
{
	struct qb_bpf_local key;
	uint8_t value = 1;

	if (i->skel == NULL)
		return;
	local_key(&key, a);
	(void)bpf_map__update_elem(i->skel->maps.locals, &key, sizeof(key), &value, sizeof(value),
				   BPF_ANY);
}

static bool is_own(const struct ifaddrs *list, const struct qb_bpf_local *key)
{
	for (const struct ifaddrs *ifa = list; ifa; ifa = ifa->ifa_next) {
		struct qb_bpf_local other;
		struct qb_addr a;

		if (ifa->ifa_addr == NULL)
			continue;
		qb_sockaddr_get((const union qb_sockaddr *)ifa->ifa_addr, &a);
		local_key(&other, &a);
		if (a.family && memcmp(&other, key, sizeof(other)) == 0)
			return true;
	}
	return false;
}

static void drop_stale_locals(struct qb_net_if *i, const struct ifaddrs *list)
{
	struct bpf_map *map = i->skel->maps.locals;
	struct qb_bpf_local key, next;
	int rc = bpf_map__get_next_key(map, NULL, &next, sizeof(next));

	while (rc == 0) {
		key = next;
		rc = bpf_map__get_next_key(map, &key, &next, sizeof(next));
		if (!is_own(list, &key))
			(void)bpf_map__delete_elem(map, &key, sizeof(key), 0);
	}
}

void qb_net_if_refresh(struct qb_net_if *i)
{
	struct ifaddrs *list;
	struct qb_addr a;

	if (i->skel == NULL || getifaddrs(&list) != 0)
		return;
	drop_stale_locals(i, list);
	for (const struct ifaddrs *ifa = list; ifa; ifa = ifa->ifa_next) {
		if (ifa->ifa_addr == NULL)
			continue;
		qb_sockaddr_get((const union qb_sockaddr *)ifa->ifa_addr, &a);
		if (a.family)
			qb_net_if_add_local(i, &a);
	}
	freeifaddrs(list);
}

int qb_net_if_set_socket(struct qb_net_if *i, uint32_t queue, uint16_t worker, int fd)
{
	uint32_t key = queue * i->cfg.worker_cnt + worker;

	if (fd < 0)
		return bpf_map__delete_elem(i->skel->maps.xsks, &key, sizeof(key), 0);
	return bpf_map__update_elem(i->skel->maps.xsks, &key, sizeof(key), &fd, sizeof(fd),
				    BPF_ANY);
}

const char *qb_net_if_counter(const struct qb_net_if *i, uint32_t idx, uint64_t *value)
{
	*value = 0;
	if (i->skel == NULL || idx >= QB_XDP_REASON_CNT)
		return NULL;
	*value = qb_bpf_read_counter(i->skel->maps.counters, idx);
	return counter_names[idx];
}
