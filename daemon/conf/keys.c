/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every section and key of the config file, one row each. A new key is a field in conf.h, a row
 * here and a paragraph in quicbond.conf.5; a test holds the two tables together.
 */
#include "conf/keys.h"

#include <strings.h>

#include "ctl/ctl.h"

#define EDGE QB_CONF_FOR_EDGE
#define HUB  QB_CONF_FOR_HUB
#define BOTH QB_CONF_FOR_BOTH

/* clang-format off */
const struct qb_conf_section qb_conf_sections[] = {
	/* name       named  known  roles max */
	{ "Node",     false, true,  BOTH, 1 },
	{ "Tunnel",   false, true,  BOTH, 1 },
	{ "Hub",      true,  true,  EDGE, QB_CONF_HUBS_MAX },
	{ "Links",    false, true,  EDGE, 1 },
	{ "Link",     true,  true,  EDGE, QB_CONF_LINKS_MAX },
	{ "Bond",     false, true,  BOTH, 1 },
	{ "Route",    false, true,  BOTH, 1 },
	{ "Listen",   false, true,  HUB,  1 },
	{ "Pool",     false, true,  HUB,  1 },
	{ "Site",     true,  true,  HUB,  QB_CONF_SITES_MAX },
	{ "Control",  false, true,  BOTH, 1 },
	{ "Log",      false, true,  BOTH, 1 },
	{ "Metrics",  false, true,  BOTH, 1 },
	{ "Policy",   true,  true,  BOTH, QB_CONF_POLICIES_MAX },
	{ 0 },
};

#define ROOT(field) offsetof(struct qb_conf, field), sizeof(((struct qb_conf *)0)->field)
#define OF_HUB(field) offsetof(struct qb_conf_hub, field), sizeof(((struct qb_conf_hub *)0)->field)
#define OF_LINK(field) offsetof(struct qb_conf_link, field), sizeof(((struct qb_conf_link *)0)->field)
#define OF_SITE(field) offsetof(struct qb_conf_site, field), sizeof(((struct qb_conf_site *)0)->field)
#define OF_POLICY(field) offsetof(struct qb_conf_policy, field), sizeof(((struct qb_conf_policy *)0)->field)
#define WHOLE 0, 0
#define NAME "letters, digits, '.', '_' and '-', at most 63"
#define IFNAME "an interface's name, at most 15 characters without '/', ':' or blanks"
#define PUBKEY "the 44 characters that `quicbondctl pubkey` prints"
#define PREFIXES "prefixes like 192.168.10.0/24, 2001:db8:1::/48"
#define IO "auto, xdp-zerocopy, xdp-copy, xdp-generic, udp, uring"
#define FEC "auto, auto:MIN-MAX (per cent, 2 to 50), off, xor:K (K packets and one repair, 2 to 32), rs:K+R (R repairs, 1 to 16 and up to half of K)"
#define AUTO_ADDR "auto or an IP address"
#define LATER(section, key) { section, key, NULL, WHOLE, BOTH, false, NULL, NULL, NULL }

const struct qb_conf_key qb_conf_keys[] = {
	{ "Node", "Role", qb_conf_parse_role, ROOT(role), BOTH, true, NULL,
	  "edge, hub", "which end of the bond this node is" },
	{ "Node", "Name", qb_conf_parse_name, ROOT(name), BOTH, false, NULL,
	  NAME, "the node's name; the host's, up to its first dot, where none is given" },
	{ "Node", "Key", qb_conf_parse_path, ROOT(key_file), BOTH, true, NULL,
	  "the absolute path of a PEM file", "the node's private key, as `quicbondctl genkey` prints it" },
	{ "Node", "Workers", qb_conf_parse_workers, ROOT(workers), BOTH, false, "auto",
	  "auto or 1 to 255", "packet threads; auto is one a core" },
	{ "Node", "Buffers", qb_conf_parse_buffers, ROOT(buffers), BOTH, false, "auto",
	  "auto or 4096 to 1048576", "packets that the daemon may hold, 2 KiB each; auto is 16384 on an edge, 32768 on a hub" },
	{ "Node", "Umem", qb_conf_parse_umem, ROOT(umem_frames), BOTH, false, "auto",
	  "auto or 1024 to 1048576, but not more than Buffers", "packets for which AF_XDP holds memory from the start, 2 KiB each; auto is a quarter of Buffers" },
	{ "Node", "FrameSize", qb_conf_parse_frame_size, ROOT(frame_bytes), BOTH, false, "2048",
	  "2048, 4096", "bytes of memory for each of the Buffers; more is for drivers that want it" },
	{ "Node", "User", qb_conf_parse_name, ROOT(user), BOTH, false, NULL,
	  NAME, "whom the daemon becomes once everything is open; quicbond, if that user exists" },

	{ "Tunnel", "Device", qb_conf_parse_ifname, ROOT(tunnel.device), BOTH, false, "qb0",
	  IFNAME, "the TUN device" },
	{ "Tunnel", "Mtu", qb_conf_parse_mtu, ROOT(tunnel.mtu_bytes), BOTH, false, "auto",
	  "auto or 1280 to 1500", "the TUN device's MTU; auto follows the paths" },
	{ "Tunnel", "Table", qb_conf_parse_table, ROOT(tunnel.table), BOTH, false, "auto",
	  "auto or 1 to 4294967295, but not the kernel's own 253, 254 and 255",
	  "routing table that the bond's own rules use" },
	{ "Tunnel", "DefaultRoute", qb_conf_parse_bool, ROOT(tunnel.has_default_route), EDGE, false, "no",
	  "yes, no", "send 0.0.0.0/0 and ::/0 into the tunnel" },
	{ "Tunnel", "OnHubLoss", qb_conf_parse_on_loss, ROOT(tunnel.is_direct_on_loss), EDGE, false, "block",
	  "block, direct", "what happens to routed traffic while no hub answers" },
	{ "Tunnel", "RekeyTime", qb_conf_parse_rekey_time, ROOT(tunnel.rekey_ns), BOTH, false, "1h",
	  "off or 10s to 24h", "how old keys get before they are changed" },
	{ "Tunnel", "RekeyPackets", qb_conf_parse_rekey_packets, ROOT(tunnel.rekey_pkts), BOTH, false, "auto",
	  "auto or 1000 to 4194304", "how many packets keys seal before they are changed; auto is half of what the cipher allows" },
	{ "Tunnel", "HoldTime", qb_conf_parse_hold, ROOT(tunnel.hold_ns), BOTH, false, "auto",
	  "auto or 5s to 60min", "how long a session is kept while no link works" },
	{ "Tunnel", "Padding", qb_conf_parse_padding, ROOT(tunnel.pad_bytes), BOTH, false, "off",
	  "off, full, or 64 to 1200", "packets with tunnelled traffic get sizes that are multiples of it, so that they do not tell what is inside" },
	{ "Tunnel", "SpinBit", qb_conf_parse_spin, ROOT(tunnel.spin_of_16), BOTH, false, "never",
	  "never, probabilistic, always", "on how many paths the spin bit shows the round-trip time to who looks on" },

	{ "Hub", "Address", qb_conf_parse_hub_addrs, WHOLE, EDGE, true, NULL,
	  "HOST:PORT, up to 8, port 443 where none is written", "where the hub listens" },
	{ "Hub", "PublicKey", qb_conf_parse_pubkey, OF_HUB(public_key), EDGE, false, NULL,
	  PUBKEY, "the hub's identity" },
	{ "Hub", "CA", qb_conf_parse_ca, OF_HUB(ca), EDGE, false, NULL,
	  "system or the absolute path of a PEM file", "whose certificates prove the hub, in place of PublicKey" },
	{ "Hub", "CRL", qb_conf_parse_path, OF_HUB(crl), EDGE, false, NULL,
	  "the absolute path of a PEM file", "what these CAs have revoked; with CA" },
	{ "Hub", "ServerName", qb_conf_parse_server_name, OF_HUB(server_name), EDGE, false, NULL,
	  "a DNS name or an IP address", "whom the hub's certificate must be made out to; with CA" },

	{ "Links", "Auto", qb_conf_parse_bool, ROOT(is_links_auto), EDGE, false, NULL,
	  "yes, no", "use every interface with a default route; yes, unless a [Link] is given" },

	{ "Link", "Interface", qb_conf_parse_ifname, OF_LINK(ifname), EDGE, true, NULL,
	  IFNAME, "the link's network interface" },
	{ "Link", "Source", qb_conf_parse_auto_addr, OF_LINK(source), EDGE, false, "auto",
	  AUTO_ADDR, "the address to send from" },
	{ "Link", "Gateway", qb_conf_parse_auto_addr, OF_LINK(gateway), EDGE, false, "auto",
	  AUTO_ADDR, "the next hop" },
	{ "Link", "Io", qb_conf_parse_io, OF_LINK(io), EDGE, false, "auto",
	  IO, "how packets get to and from the interface" },
	{ "Link", "BusyPoll", qb_conf_parse_bool, OF_LINK(xdp.is_busy_polled), EDGE, false, "no",
	  "yes, no", "ask the driver of AF_XDP for packets instead of waiting for its interrupts" },
	{ "Link", "NeedWakeup", qb_conf_parse_bool, OF_LINK(xdp.has_wakeup), EDGE, false, "yes",
	  "yes, no", "AF_XDP: the driver is woken for what is to be sent, and when it wants memory; without that it looks by itself" },
	{ "Link", "RingSize", qb_conf_parse_ring_size, OF_LINK(xdp.ring_size), EDGE, false, "auto",
	  "auto or a power of two from 64 to 16384", "places in each of AF_XDP's rings; auto is 2048" },
	{ "Link", "Tier", qb_conf_parse_tier, OF_LINK(tier), EDGE, false, "primary",
	  "primary, secondary, backup, never", "when the link is used" },
	{ "Link", "Congestion", qb_conf_parse_link_congestion, OF_LINK(congestion), EDGE, false, "bond",
	  NULL, "congestion control of this link" },
	{ "Link", "Keepalive", qb_conf_parse_keepalive, OF_LINK(keepalive_ns), EDGE, false, "auto",
	  "auto, longest or 1s to 120s", "how long the link may be silent before a packet is sent for its NATs" },
	{ "Link", "InitialWindow", qb_conf_parse_init_window, OF_LINK(init_window_pkts), EDGE, false, "auto",
	  "auto or 2 to 1000", "packets that the link starts with; auto is the bond's" },
	{ "Link", "MinimumWindow", qb_conf_parse_min_window, OF_LINK(min_window_pkts), EDGE, false, "auto",
	  "auto or 2 to 100", "packets that congestion control always leaves the link; auto is the bond's" },
	{ "Link", "InitialRtt", qb_conf_parse_auto_time, OF_LINK(init_rtt_ns), EDGE, false, "auto",
	  "auto or 1ms to 10s", "the round-trip time to assume until it is measured; auto is the bond's" },
	LATER("Link", "Cap"),
	LATER("Link", "Cost"),
	{ "Link", "RateUp", qb_conf_parse_rate, OF_LINK(rate_up_bps), EDGE, false, "auto",
	  "auto or 64k to 400G, in bit/s", "the most to send over the link; auto is what it carries" },
	{ "Link", "RateDown", qb_conf_parse_rate, OF_LINK(rate_down_bps), EDGE, false, "auto",
	  "auto or 64k to 400G, in bit/s", "the most that the hub is to send over the link; auto is what it carries" },
	{ "Link", "Weight", qb_conf_parse_weight, OF_LINK(weight), EDGE, false, "auto",
	  "auto or 50 to 1000", "the link's part with the weighted scheduler; auto is by its rate" },
	{ "Link", "Priority", qb_conf_parse_priority, OF_LINK(priority), EDGE, false, "auto",
	  "auto or 1 to 100", "the link's place among those of its tier, where one is used at a time; the lowest comes first" },

	{ "Bond", "Mode", qb_conf_parse_mode, ROOT(bond.mode), EDGE, false, "bond",
	  "bond, failover, single", "whether links are used together, one at a time, or one alone" },
	{ "Bond", "Primary", qb_conf_parse_name, ROOT(bond.primary), EDGE, false, "auto",
	  "auto or a link's name", "the link that comes first where one is used at a time" },
	{ "Bond", "Mesh", qb_conf_parse_mesh, ROOT(bond.is_mesh_full), EDGE, false, "pairs",
	  "pairs, full", "whether each link has one path, or one to each of the hub's addresses" },
	{ "Bond", "Scheduler", qb_conf_parse_sched, ROOT(bond.scheduler), BOTH, false, "auto",
	  NULL, "which link a packet takes" },
	{ "Bond", "Grain", qb_conf_parse_grain, ROOT(bond.grain), BOTH, false, "auto",
	  "auto, packet, flow", "what keeps to one link: flows that send little, nothing, all flows" },
	{ "Bond", "TailCopies", qb_conf_parse_bool, ROOT(bond.has_tail_copies), BOTH, false, "no",
	  "yes, no", "whether the end of a transfer that a slow link holds up goes by a quicker one, too" },
	{ "Bond", "Congestion", qb_conf_parse_congestion, ROOT(bond.congestion), BOTH, false, "auto",
	  NULL, "congestion control of each link" },
	{ "Bond", "Reorder", qb_conf_parse_reorder, WHOLE, BOTH, false, "auto",
	  "auto, off or 1ms to 10s", "the longest wait for a packet that is missing" },
	{ "Bond", "ReorderMax", qb_conf_parse_memory, ROOT(bond.reorder_max_bytes), BOTH, false, "auto",
	  "auto or 64K to 64M, in bytes", "the memory for packets that are held back to be put in order, of each connection" },
	{ "Bond", "Failover", qb_conf_parse_failover, ROOT(bond.failover_ns), EDGE, false, "auto",
	  "auto, manual or 1s to 60min", "when links in reserve are opened" },
	{ "Bond", "Failback", qb_conf_parse_failback, ROOT(bond.failback_ns), BOTH, false, "auto",
	  "auto, never or 1s to 60min", "when a link of a better tier that failed is used again" },
	{ "Bond", "FailMult", qb_conf_parse_fail_mult, ROOT(bond.fail.mult), BOTH, false, "auto",
	  "auto or 2 to 20", "how many times the normal wait for an ACK a link may be silent while another works; auto is 3" },
	{ "Bond", "FailMin", qb_conf_parse_auto_time, ROOT(bond.fail.min_ns), BOTH, false, "auto",
	  "auto or 1ms to 10s", "the least silence by which a link is given up; auto is 120ms" },
	{ "Bond", "FailMax", qb_conf_parse_auto_time, ROOT(bond.fail.max_ns), BOTH, false, "auto",
	  "auto or 1ms to 10s", "the longest silence before a link is given up; auto is by FailMult alone" },
	{ "Bond", "RecoverProbes", qb_conf_parse_probes, ROOT(bond.fail.recover_probes), BOTH, false, "auto",
	  "auto or 1 to 20", "probes in a row that a link must answer once it is back; auto is 2" },
	{ "Bond", "RecoverMax", qb_conf_parse_recover, ROOT(bond.fail.recover_max_ns), BOTH, false, "auto",
	  "auto or 1s to 60min", "the longest that a link which fails again and again must stay sound before it is used; auto is 30s" },
	{ "Bond", "InitialWindow", qb_conf_parse_init_window, ROOT(bond.init_window_pkts), BOTH, false, "auto",
	  "auto or 2 to 1000", "packets that a link starts with; auto is 10" },
	{ "Bond", "MinimumWindow", qb_conf_parse_min_window, ROOT(bond.min_window_pkts), BOTH, false, "auto",
	  "auto or 2 to 100", "packets that congestion control always leaves a link; auto is what the algorithm has" },
	{ "Bond", "InitialRtt", qb_conf_parse_auto_time, ROOT(bond.init_rtt_ns), BOTH, false, "auto",
	  "auto or 1ms to 10s", "the round-trip time to assume until it is measured; auto is 333ms" },
	{ "Bond", "PersistentCongestion", qb_conf_parse_persistent, ROOT(bond.persistent_ptos), BOTH, false, "auto",
	  "auto or 2 to 50", "probe timeouts in which all is lost that make a link begin anew; auto is 3" },
	{ "Bond", "AckFrequency", qb_conf_parse_auto_off, ROOT(bond.is_ack_freq_off), BOTH, false, "auto",
	  "auto, off", "ask the other end for fewer ACKs while much is sent to it; auto is as many as that needs" },
	{ "Bond", "Ecn", qb_conf_parse_bool, ROOT(bond.is_ecn_on), BOTH, false, "yes",
	  "yes, no", "mark packets as ECN-capable, where the path leaves the marks alone" },
	LATER("Bond", "Recovery"),
	{ "Bond", "Fec", qb_conf_parse_fec, ROOT(bond.fec), BOTH, false, "auto",
	  FEC, "forward error correction; auto for calls, while that pays" },
	LATER("Bond", "TcpLane"),

	{ "Route", "Advertise", qb_conf_parse_prefixes, ROOT(route.advertise), BOTH, false, NULL,
	  PREFIXES, "what is behind this node" },
	{ "Route", "Accept", qb_conf_parse_accept, WHOLE, BOTH, false, NULL,
	  PREFIXES, "what the other end may be the way to; without the key, all that it advertises" },

	{ "Listen", "Address", qb_conf_parse_listen_addrs, WHOLE, HUB, false, "0.0.0.0:443, [::]:443",
	  "ADDRESS:PORT, up to 8, port 443 where none is written", "where the hub listens" },
	{ "Listen", "PreferredAddress", qb_conf_parse_preferred, WHOLE, HUB, false, NULL,
	  "ADDRESS:PORT, one of each family, port 443 where none is written", "where edges are asked to go once they are connected" },
	{ "Listen", "Interface", qb_conf_parse_listen_ifaces, WHOLE, HUB, false, NULL,
	  "names of interfaces, up to 8", "interfaces to attach to; all, where none is given" },
	{ "Listen", "Io", qb_conf_parse_io, ROOT(listen.io), HUB, false, "auto",
	  IO, "how packets get to and from the interfaces" },
	{ "Listen", "BusyPoll", qb_conf_parse_bool, ROOT(listen.xdp.is_busy_polled), HUB, false, "no",
	  "yes, no", "ask the driver of AF_XDP for packets instead of waiting for its interrupts" },
	{ "Listen", "NeedWakeup", qb_conf_parse_bool, ROOT(listen.xdp.has_wakeup), HUB, false, "yes",
	  "yes, no", "AF_XDP: the driver is woken for what is to be sent, and when it wants memory; without that it looks by itself" },
	{ "Listen", "RingSize", qb_conf_parse_ring_size, ROOT(listen.xdp.ring_size), HUB, false, "auto",
	  "auto or a power of two from 64 to 16384", "places in each of AF_XDP's rings; auto is 2048" },
	{ "Listen", "Retry", qb_conf_parse_retry, ROOT(listen.retry), HUB, false, "auto",
	  "auto, always, off", "when clients have to prove their addresses before the hub keeps anything of them" },
	{ "Listen", "SourceLimit", qb_conf_parse_source_limit, ROOT(listen.source_limit), HUB, false, "auto",
	  "auto or 1 to 100000", "Initials a second from an IPv4 /24 or an IPv6 /56; auto is 32" },
	{ "Listen", "StrangerLimit", qb_conf_parse_stranger_limit, ROOT(listen.stranger_limit), HUB, false, "auto",
	  "auto or 10 to 1000000", "Initials a second from all prefixes together that no site has come from; auto is 200" },
	{ "Listen", "BlockFile", qb_conf_parse_path, ROOT(listen.block_file), HUB, false, NULL,
	  "the absolute path of a file, a prefix a line", "whom the hub does not hear at all" },
	{ "Listen", "Certificate", qb_conf_parse_path, ROOT(listen.cert_file), HUB, false, NULL,
	  "the absolute path of a PEM file", "the hub's certificate and its chain, for clients that know it by a CA" },
	{ "Listen", "CertificateKey", qb_conf_parse_path, ROOT(listen.cert_key_file), HUB, false, NULL,
	  "the absolute path of a PEM file", "the private key of that certificate" },

	{ "Pool", "IPv4", qb_conf_parse_pool4, ROOT(pool.v4), HUB, false, NULL,
	  "an IPv4 prefix like 10.64.0.0/24", "what sites get their IPv4 addresses from" },
	{ "Pool", "IPv6", qb_conf_parse_pool6, ROOT(pool.v6), HUB, false, NULL,
	  "an IPv6 prefix like fd00:64::/64", "what sites get their IPv6 addresses from" },

	{ "Site", "PublicKey", qb_conf_parse_pubkey, OF_SITE(public_key), HUB, true, NULL,
	  PUBKEY, "the site's identity" },
	{ "Site", "Address", qb_conf_parse_site_addrs, WHOLE, HUB, false, NULL,
	  "an IPv4 address, an IPv6 address, or both, from the pool",
	  "the site's own addresses; the next free ones, where none are given" },
	{ "Site", "Prefixes", qb_conf_parse_prefixes, OF_SITE(prefixes), HUB, false, NULL,
	  PREFIXES, "what the site may advertise" },

	{ "Control", "Socket", qb_conf_parse_socket, ROOT(control.socket), BOTH, false,
	  QB_CTL_SOCKET_DEFAULT, "an absolute path of at most 107 characters", "the control socket" },
	{ "Control", "Group", qb_conf_parse_name, ROOT(control.group), BOTH, false, "quicbond",
	  NAME, "whose members may use the control socket" },

	{ "Log", "Level", qb_conf_parse_log_levels, ROOT(log.levels), BOTH, false, "info",
	  "err, warn, info, debug, and TARGET:LEVEL for daemon, quic, bond, tls, net, link, tun, os, conf, ctl, qlog",
	  "how much is logged" },
	{ "Log", "Qlog", qb_conf_parse_path_or_off, ROOT(log.qlog), BOTH, false, "off",
	  "off or the absolute path of a folder", "where a trace of each connection is written, in qlog" },
	{ "Log", "KeyLog", qb_conf_parse_path_or_off, ROOT(log.key_log), BOTH, false, "off",
	  "off or the absolute path of a file", "where the keys of each connection are written, for Wireshark" },

	{ "Metrics", "Listen", qb_conf_parse_metrics_addr, ROOT(metrics.listen), BOTH, false, "off",
	  "off or ADDRESS:PORT, port 9100 where none is written", "where /metrics is, for Prometheus" },

	{ "Policy", "Match", qb_conf_parse_match, OF_POLICY(match), BOTH, true, NULL,
	  "dscp:ef, udp:3478-3481, tcp:22, port:53, proto:esp, src:PREFIX, dst:PREFIX, mark:0x1", "which packets it is for" },
	{ "Policy", "Class", qb_conf_parse_class, OF_POLICY(class), BOTH, false, "auto",
	  "auto, realtime, interactive, bulk, background", "what they are; auto looks at how they come" },
	{ "Policy", "Scheduler", qb_conf_parse_policy_sched, OF_POLICY(scheduler), BOTH, false, "bond",
	  NULL, "which link they take; bond is the bond's scheduler" },
	{ "Policy", "Ordered", qb_conf_parse_ordered, OF_POLICY(ordered), BOTH, false, "auto",
	  "auto, yes, no", "whether they leave the tunnel in order; auto for flows that are striped" },
	{ "Policy", "Duplicate", qb_conf_parse_duplicate, OF_POLICY(copies), BOTH, false, "auto",
	  "auto, off, 2 to 8", "by how many links each of them is sent; auto for calls, while that pays" },
	{ "Policy", "Fec", qb_conf_parse_policy_fec, OF_POLICY(fec), BOTH, false, "bond",
	  "bond, " FEC, "forward error correction; bond is the bond's" },
	{ "Policy", "Deadline", qb_conf_parse_deadline, OF_POLICY(deadline_ns), BOTH, false, "auto",
	  "auto or 10ms to 2s", "within which they are of use: how long a repair may take" },
	{ "Policy", "Via", qb_conf_parse_via, OF_POLICY(via), EDGE, false, "bond",
	  "bond, direct or names of links", "the links that they take, while one of those works; direct is past the tunnel" },
	{ 0 },
};
/* clang-format on */

const char *qb_role_name(enum qb_role r)
{
	return r == QB_ROLE_HUB ? "hub" : "edge";
}

int qb_conf_key_slot(const struct qb_conf_section *s, const char *key)
{
	int slot = 0;

	for (const struct qb_conf_key *k = qb_conf_keys; k->name; k++) {
		if (strcmp(k->section, s->name) != 0)
			continue;
		if (strcasecmp(k->name, key) == 0)
			return slot;
		slot++;
	}
	return -1;
}
