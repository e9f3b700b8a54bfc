/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The config file: good ones field by field, bad ones by the exact line and message, the table of
 * keys against the manual page, and the example files.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/keys.h"

#define KEY1	  "9AXGcjqk6GN2Vz0UPhLgrb7C+YLpQCx3dTtkkw7QsHw="
#define KEY2	  "BBBBcjqk6GN2Vz0UPhLgrb7C+YLpQCx3dTtkkw7QsHw="
#define NODE_EDGE "[Node]\nRole=edge\nName=n\nKey=/k\n"
#define OR_CA	  ", or CA and ServerName"
#define HUB_FRA	  "[Hub fra]\nAddress=h.example:443\nPublicKey=" KEY1 "\n"
#define EDGE	  NODE_EDGE HUB_FRA /* 7 lines */
#define HUB                                                                                        \
	"[Node]\nRole=hub\nName=n\nKey=/k\n[Pool]\nIPv4=10.64.0.0/24\nIPv6=fd00::/64\n" /* 7 lines \
											 */
#define SITE_A "[Site a]\nPublicKey=" KEY1 "\n" /* 2 lines */
#define SITE_B "[Site b]\nPublicKey=" KEY2 "\n" /* 2 lines */

static const char *const scheds[] = {"auto", "minrtt", "blest", "minrtt:0-100%", NULL};
static const char *const ccs[] = {"newreno", "cubic", NULL};
static const struct qb_conf_names names = {.schedulers = scheds, .congestions = ccs};

static struct qb_conf *parse(const char *text, char err[QB_CONF_ERR_LEN])
{
	return qb_conf_parse("f", text, strlen(text), &names, err);
}

static struct qb_conf *must_parse(const char *text)
{
	char err[QB_CONF_ERR_LEN];
	struct qb_conf *c = parse(text, err);

	ck_assert_msg(c != NULL, "%s", err);
	return c;
}

/* A link that is found, not configured (Links.Auto), is as one of which only the interface is given. */
START_TEST(test_link_found)
{
	struct qb_conf *c = must_parse("[Node]\nRole=edge\nKey=/k\n[Hub h]\nAddress=h:1\nPublicKey=" KEY1 "\n[Link a]\nInterface=a\n");
	struct qb_conf_link found;

	qb_conf_link_init(&found);
	ck_assert_str_eq(found.io, "auto");
	ck_assert(found.xdp.has_wakeup);
	strcpy(found.name, "a");
	strcpy(found.ifname, "a");
	found.line = c->links[0].line;
	ck_assert_mem_eq(&found, &c->links[0], sizeof(found));
	qb_conf_free(c);
}
END_TEST

START_TEST(test_edge)
{
	struct qb_conf *c = must_parse(
		"\xef\xbb\xbf# comment\n; comment\n\n"
		"[node]\r\nROLE = Edge   # inline\nName=paris\nKey = /etc/qb.pem ; "
		"inline\nWorkers=3\nBuffers=8192\nUmem=2048\nFrameSize=4096\n"
		"User=nobody\n"
		"[Tunnel]\nDevice=bond0\nMtu=1400\nTable=5000\nDefaultRoute=yes\nOnHubLoss=direct\n"
		"RekeyTime=2h\nRekeyPackets=100000\nSpinBit=Always\nPadding=Full\n"
		"[Hub fra]\nAddress = fra.example.net:4433, 192.0.2.1 , "
		"[2001:db8::1]:444,2001:db8::2\n"
		"PublicKey=" KEY1 "\n"
		"[Hub ams]\nAddress=ams:1\nPublicKey=" KEY2 "\n"
		"\t[Link dsl]  # indented\n\tInterface = "
		"eth1\n\tSource=192.0.2.9\n\tGateway=192.0.2.10\n"
		"\tIo=UDP\n\tTier=backup\n\tKeepalive=1.5s\n"
		"[Link lte]\nInterface=wwan0\nNeedWakeup=no\nRingSize=1024\nCongestion=NewReno\nKeepalive=Longest\n"
		"InitialWindow=20\nMinimumWindow=8\nInitialRtt=600ms\n"
		"[Bond]\nScheduler=BLEST\nCongestion=cubic\nReorder=50ms\n"
		"InitialWindow=32\nMinimumWindow=4\nInitialRtt=50ms\nPersistentCongestion=5\nEcn=no\nAckFrequency=off\n"
		"[Route]\nAdvertise=192.168.10.0/24, 2001:db8:1::/48\nAccept=10.0.0.0/8\n"
		"[Control]\nSocket=/tmp/s\nGroup=adm\n[Log]\nLevel=debug, net:warn"); /* no newline at the end
									     */

	ck_assert_int_eq(c->role, QB_ROLE_EDGE);
	ck_assert_str_eq(c->name, "paris");
	ck_assert_str_eq(c->key_file, "/etc/qb.pem");
	ck_assert_uint_eq(c->workers, 3);
	ck_assert_uint_eq(c->buffers, 8192);
	ck_assert_uint_eq(qb_conf_buffers(c), 8192);
	ck_assert_uint_eq(qb_conf_umem(c), 2048);
	ck_assert_str_eq(c->user, "nobody");
	ck_assert_str_eq(c->tunnel.device, "bond0");
	ck_assert_uint_eq(c->tunnel.mtu_bytes, 1400);
	ck_assert_uint_eq(c->tunnel.table, 5000);
	ck_assert(c->tunnel.has_default_route && c->tunnel.is_direct_on_loss);
	ck_assert_uint_eq(c->tunnel.rekey_ns, 7200 * QB_NS_PER_SEC);
	ck_assert_uint_eq(c->tunnel.rekey_pkts, 100000);
	ck_assert_uint_eq(c->tunnel.spin_of_16, 15);
	ck_assert_uint_eq(c->tunnel.pad_bytes, UINT16_MAX);
	ck_assert_uint_eq(c->hub_cnt, 2);
	ck_assert_uint_eq(c->hubs[0].addr_cnt, 4);
	ck_assert_str_eq(c->hubs[0].addrs[0].host, "fra.example.net");
	ck_assert_uint_eq(c->hubs[0].addrs[0].port, 4433);
	ck_assert_str_eq(c->hubs[0].addrs[1].host, "192.0.2.1");
	ck_assert_uint_eq(c->hubs[0].addrs[1].port, 443);
	ck_assert_str_eq(c->hubs[0].addrs[2].host, "2001:db8::1");
	ck_assert_uint_eq(c->hubs[0].addrs[2].port, 444);
	ck_assert_str_eq(c->hubs[0].addrs[3].host, "2001:db8::2");
	ck_assert_uint_eq(c->hubs[0].addrs[3].port, 443);
	ck_assert_uint_eq(c->hubs[0].public_key[0], 0xf4);
	ck_assert_uint_eq(c->hubs[0].public_key[31], 0x7c);
	ck_assert_str_eq(c->hubs[1].name, "ams");
	ck_assert(!c->is_links_auto);
	ck_assert_uint_eq(c->link_cnt, 2);
	ck_assert_str_eq(c->links[0].name, "dsl");
	ck_assert_str_eq(c->links[0].ifname, "eth1");
	ck_assert_uint_eq(c->links[0].source.ip[3], 9);
	ck_assert_uint_eq(c->links[0].gateway.ip[3], 10);
	ck_assert_str_eq(c->links[0].io, "udp");
	ck_assert_str_eq(c->links[0].tier, "backup");
	ck_assert_str_eq(c->links[1].io, "auto");
	ck_assert(c->links[0].xdp.has_wakeup && !c->links[1].xdp.has_wakeup);
	ck_assert_uint_eq(c->links[0].xdp.ring_size, 0);
	ck_assert_uint_eq(c->links[1].xdp.ring_size, 1024);
	ck_assert_uint_eq(c->frame_bytes, 4096);
	ck_assert(!c->links[0].xdp.is_busy_polled && !c->links[1].xdp.is_busy_polled);
	ck_assert_str_eq(c->links[1].tier, "primary");
	ck_assert_str_eq(c->links[0].congestion, "bond");
	ck_assert_str_eq(c->links[1].congestion, "newreno");
	ck_assert_uint_eq(c->links[1].source.family, 0);
	ck_assert_uint_eq(c->links[0].keepalive_ns, 1500 * QB_NS_PER_MS);
	ck_assert_uint_eq(c->links[1].keepalive_ns, UINT64_MAX);
	ck_assert_str_eq(c->bond.scheduler, "blest");
	ck_assert_str_eq(c->bond.congestion, "cubic");
	ck_assert(!c->bond.is_reorder_off);
	ck_assert_uint_eq(c->bond.reorder_max_ns, 50 * QB_NS_PER_MS);
	ck_assert_uint_eq(c->bond.init_window_pkts, 32);
	ck_assert_uint_eq(c->bond.min_window_pkts, 4);
	ck_assert_uint_eq(c->bond.init_rtt_ns, 50 * QB_NS_PER_MS);
	ck_assert_uint_eq(c->bond.persistent_ptos, 5);
	ck_assert(!c->bond.is_ecn_on && c->bond.is_ack_freq_off);
	ck_assert_uint_eq(c->links[0].init_window_pkts, 0);
	ck_assert_uint_eq(c->links[1].init_window_pkts, 20);
	ck_assert_uint_eq(c->links[1].min_window_pkts, 8);
	ck_assert_uint_eq(c->links[1].init_rtt_ns, 600 * QB_NS_PER_MS);
	ck_assert_uint_eq(c->route.advertise.cnt, 2);
	ck_assert_uint_eq(c->route.advertise.p[1].len, 48);
	ck_assert(c->route.has_accept);
	ck_assert_uint_eq(c->route.accept.cnt, 1);
	ck_assert_str_eq(c->control.socket, "/tmp/s");
	ck_assert_str_eq(c->control.group, "adm");
	ck_assert_int_eq(c->log.levels.of[QB_LOG_DAEMON], QB_LOG_DBG);
	ck_assert_int_eq(c->log.levels.of[QB_LOG_NET], QB_LOG_WARN);
	qb_conf_free(c);
}
END_TEST

/* Hubs by key and by name, side by side. */
START_TEST(test_hubs)
{
	struct qb_conf *c = must_parse(NODE_EDGE HUB_FRA "[Hub ams]\nAddress=a\nCA=System\nServerName=hub.example.net\n"
							 "[Hub par]\nAddress=b\nCA=/ca.pem\nServerName=192.0.2.1\n");

	ck_assert_uint_eq(c->hub_cnt, 3);
	ck_assert_str_eq(c->hubs[0].ca, "");
	ck_assert_str_eq(c->hubs[1].ca, "system");
	ck_assert_str_eq(c->hubs[1].server_name, "hub.example.net");
	ck_assert_str_eq(c->hubs[2].ca, "/ca.pem");
	ck_assert_str_eq(c->hubs[2].server_name, "192.0.2.1");
	qb_conf_free(c);
}
END_TEST

START_TEST(test_edge_defaults)
{
	struct qb_conf *c = must_parse("[Node]\nRole=edge\nKey=/k\n" HUB_FRA);

	ck_assert_uint_gt(strlen(c->name), 0);
	ck_assert_uint_eq(c->workers, 0);
	ck_assert_uint_eq(c->buffers, 0);
	ck_assert_uint_eq(qb_conf_umem(c), qb_conf_buffers(c) / 4);
	ck_assert_str_eq(c->user, "");
	ck_assert_str_eq(c->tunnel.device, "qb0");
	ck_assert_uint_eq(c->tunnel.mtu_bytes, 0);
	ck_assert_uint_eq(c->tunnel.table, 0);
	ck_assert(!c->tunnel.has_default_route && !c->tunnel.is_direct_on_loss);
	ck_assert_uint_eq(c->tunnel.spin_of_16, 0);
	ck_assert_uint_eq(c->tunnel.pad_bytes, 0);
	ck_assert(c->is_links_auto);
	ck_assert_str_eq(c->bond.scheduler, "auto");
	ck_assert_str_eq(c->bond.congestion, "auto");
	ck_assert(!c->bond.is_reorder_off);
	ck_assert_uint_eq(c->bond.reorder_max_ns, 0);
	ck_assert(!c->route.has_accept);
	ck_assert_str_eq(c->control.socket, "/run/quicbond/quicbondd.sock");
	ck_assert_str_eq(c->control.group, "quicbond");
	ck_assert_int_eq(c->log.levels.of[QB_LOG_DAEMON], QB_LOG_INFO);
	qb_conf_free(c);
}
END_TEST

START_TEST(test_hub)
{
	struct qb_conf *c =
		must_parse(HUB SITE_A "Address=10.64.0.2, fd00::2\nPrefixes=192.168.1.0/24\n" SITE_B
				      "Prefixes=192.168.2.0/24,2001:db8::/48\n"
				      "[Listen]\nInterface=eth0,eth1\nIo=xdp-copy\nBusyPoll=yes\nRetry=Off\n"
				      "PreferredAddress=192.0.2.7, [2001:db8::7]:4433\n"
				      "Certificate=/c.pem\nCertificateKey=/k.pem\n");

	ck_assert_int_eq(c->role, QB_ROLE_HUB);
	ck_assert_uint_eq(c->listen.addr_cnt, 2);
	ck_assert_uint_eq(c->listen.addrs[0].family, 4);
	ck_assert_uint_eq(c->listen.addrs[0].port, 443);
	ck_assert_uint_eq(c->listen.addrs[1].family, 6);
	ck_assert_uint_eq(c->listen.if_cnt, 2);
	ck_assert_str_eq(c->listen.ifnames[1], "eth1");
	ck_assert_str_eq(c->listen.io, "xdp-copy");
	ck_assert(c->listen.xdp.is_busy_polled);
	ck_assert_str_eq(c->listen.retry, "off");
	ck_assert_uint_eq(c->listen.preferred4.ip[3], 7);
	ck_assert_uint_eq(c->listen.preferred4.port, 443);
	ck_assert_uint_eq(c->listen.preferred6.ip[15], 7);
	ck_assert_uint_eq(c->listen.preferred6.port, 4433);
	ck_assert_str_eq(c->listen.cert_file, "/c.pem");
	ck_assert_str_eq(c->listen.cert_key_file, "/k.pem");
	ck_assert_uint_eq(c->pool.v4.len, 24);
	ck_assert_uint_eq(c->pool.v6.len, 64);
	ck_assert_uint_eq(c->site_cnt, 2);
	ck_assert_str_eq(c->sites[0].name, "a");
	ck_assert_uint_eq(c->sites[0].address4.ip[3], 2);
	ck_assert_uint_eq(c->sites[0].address6.ip[15], 2);
	ck_assert_uint_eq(c->sites[1].address4.family, 0);
	ck_assert_uint_eq(c->sites[1].prefixes.cnt, 2);
	qb_conf_free(c);
}
END_TEST

START_TEST(test_policies)
{
	struct qb_conf *c = must_parse(EDGE "[Policy voice]\nMatch=dscp:ef, dscp:46, udp:3478-3481, udp:5004, port:53, proto:esp, "
					    "tcp, src:192.168.10.0/24, src:2001:db8::/32, dst:198.51.100.1\n"
					    "Class=realtime\nScheduler=blest\nOrdered=yes\nDuplicate=3\n"
					    "Fec=RS:10+2\nDeadline=150ms\n"
					    "[Policy rest]\nMatch=dscp:63, dscp:0\nScheduler=BPF:/usr/lib/x.o\n"
					    "[Policy past]\nMatch=mark:0x1F0/0xff0, mark:7, mark:0/3, udp:53\nVia=Direct\n");
	const struct qb_match *m = &c->policies[0].match;

	ck_assert_uint_eq(c->policy_cnt, 3);
	ck_assert(!c->policies[0].via.is_direct && c->policies[2].via.is_direct && !c->policies[2].via.cnt);
	ck_assert_uint_eq(c->policies[2].match.mark_cnt, 3);
	ck_assert_uint_eq(c->policies[2].match.marks[0].value, 0x1f0);
	ck_assert_uint_eq(c->policies[2].match.marks[0].mask, 0xff0);
	ck_assert_uint_eq(c->policies[2].match.marks[1].value, 7);
	ck_assert_uint_eq(c->policies[2].match.marks[1].mask, UINT32_MAX);
	ck_assert_uint_eq(c->policies[2].match.marks[2].mask, 3);
	ck_assert_str_eq(c->policies[0].name, "voice");
	ck_assert_str_eq(c->policies[0].class, "realtime");
	ck_assert_str_eq(c->policies[0].scheduler, "blest");
	ck_assert_str_eq(c->policies[0].ordered, "yes");
	ck_assert_uint_eq(c->policies[0].copies, 3);
	ck_assert_uint_eq(c->policies[1].copies, 0);
	ck_assert_int_eq(c->policies[0].fec.mode, QB_FEC_FIXED);
	ck_assert(c->policies[0].fec.is_rs && c->policies[0].fec.sources == 10 && c->policies[0].fec.repairs == 2);
	ck_assert_int_eq(c->policies[1].fec.mode, QB_FEC_INHERIT);
	ck_assert_uint_eq(c->policies[0].deadline_ns, 150 * QB_NS_PER_MS);
	ck_assert_uint_eq(c->policies[1].deadline_ns, 0);
	ck_assert_int_eq(c->bond.fec.mode, QB_FEC_AUTO);
	ck_assert_uint_eq(m->dscps, UINT64_C(1) << 46);
	ck_assert_uint_eq(m->port_cnt, 5);
	ck_assert_uint_eq(m->ports[0].proto, 17);
	ck_assert_uint_eq(m->ports[0].first, 3478);
	ck_assert_uint_eq(m->ports[0].last, 3481);
	ck_assert_uint_eq(m->ports[1].last, 5004);
	ck_assert(m->ports[2].proto == 0 && m->ports[2].has_port && m->ports[2].first == 53);
	ck_assert(m->ports[3].proto == 50 && !m->ports[3].has_port);
	ck_assert(m->ports[4].proto == 6 && !m->ports[4].has_port);
	ck_assert(m->src_cnt == 2 && m->src[1].family == 6 && m->dst_cnt == 1 && m->dst[0].len == 32);
	ck_assert_uint_eq(c->policies[1].match.dscps, UINT64_C(1) << 63 | 1);
	ck_assert_str_eq(c->policies[1].class, "auto");
	ck_assert_str_eq(c->policies[1].scheduler, "bpf:/usr/lib/x.o");
	ck_assert_str_eq(c->policies[1].ordered, "auto");
	qb_conf_free(c);
}
END_TEST

/* Values that are fine in more than one spelling. */
START_TEST(test_spellings)
{
	static const char *const good[] = {
		EDGE "[Bond]\nFailback=never\n",
		EDGE "[Bond]\nFailback=30s\n",
		EDGE "[Bond]\nFailMult=5\nFailMin=100ms\nFailMax=100ms\nRecoverProbes=20\nRecoverMax=auto\n",
		EDGE "[Tunnel]\nHoldTime=auto\n",
		EDGE "[Tunnel]\nHoldTime=2min\n",
		EDGE "[Bond]\nReorder=off\n",
		EDGE "[Bond]\nReorder=auto\nFec=off\n",
		EDGE "[Bond]\nFec=xor:32\n",
		EDGE "[Policy a]\nMatch=mark:1, mark:2, mark:3, mark:4, mark:5, mark:6, mark:7, mark:8\n"
		     "[Policy b]\nMatch=mark:9, mark:10, mark:11, mark:12, mark:13, mark:14, mark:15, mark:0x10\n"
		     "[Policy c]\nMatch=mark:1, mark:16, mark:2, udp\n[Policy d]\nMatch=mark:17\nVia=direct\n",
		HUB "[Policy voice]\nMatch=mark:1\n",
		EDGE "[Bond]\nFec=auto:2-50\n[Policy a]\nMatch=udp\nFec=auto:30-30\n",
		EDGE "[Bond]\nFec=rs:2+1\n[Policy a]\nMatch=udp\nFec=bond\nDeadline=auto\n",
		EDGE "[Policy a]\nMatch=UDP\n[Policy b]\nMatch = Dscp: EF , tcp : "
		     "22,proto:ICMP\nClass=Realtime\n",
		HUB "[Policy a]\nMatch=dst:10.0.0.0/8\nScheduler=Bond\nOrdered=NO\n",
		EDGE "[Bond]\nReorder=2s\n",
		EDGE "[Bond]\nReorder=1.5 ms\n",
		EDGE "[Links]\nAuto=yes\n[Link a]\nInterface=eth0\n",
		EDGE "[Links]\nAuto=on\n",
		EDGE "[Tunnel]\nTable=auto\nMtu=auto\nDefaultRoute=false\n",
		EDGE "[Link a]\nInterface=eth0\nSource=192.0.2.1\n"
		     "[Link b]\nInterface=eth0\nSource=192.0.2.2\n",
		EDGE "[Link a]\nInterface=eth0\nSource=auto\nGateway=auto\n",
		HUB "[Listen]\nInterface=all\nAddress=0.0.0.0:4433\n",
		HUB "[Listen]\nAddress=192.0.2.1\n",
		HUB, /* a hub without sites can still be started */
	};

	qb_conf_free(must_parse(good[_i]));
	ck_assert_uint_eq(QB_ARRAY_LEN(good), 24);
}
END_TEST

struct bad {
	const char *text, *err;
};

#define LINK_KEYS                                                                                  \
	"Interface, Source, Gateway, Io, BusyPoll, NeedWakeup, RingSize, Tier, Congestion, Keepalive, InitialWindow, "               \
	"MinimumWindow, InitialRtt, RateUp, RateDown, Weight, Priority"
#define SECTIONS    "Node, Tunnel, Hub, Links, Link, Bond, Route, Listen, Pool, Site, Control, Log, Metrics, Policy"
#define FEC_RULE    "auto, auto:MIN-MAX (per cent, 2 to 50), off, xor:K (K packets and one repair, 2 to 32), rs:K+R (R repairs, 1 to 16 and up to half of K)"
#define MATCH_RULE  "dscp:ef, udp:3478-3481, tcp:22, port:53, proto:esp, src:PREFIX, dst:PREFIX, mark:0x1"
#define NAME_RULE   "letters, digits, '.', '_' and '-', at most 63"
#define IF_RULE	    "an interface's name, at most 15 characters without '/', ':' or blanks"
#define PREFIX_RULE "prefixes like 192.168.10.0/24, 2001:db8:1::/48"
#define PUBKEY_RULE "the 44 characters that `quicbondctl pubkey` prints"
#define LOG_RULE    "err, warn, info, debug, and TARGET:LEVEL for daemon, quic, bond, tls, net, link, tun, os, conf, ctl, qlog"
#define SYNTAX	    "allowed: KEY = VALUE, [SECTION], # comment"
#define LATER	    "is known, but this version does not support it; remove it"

static const struct bad bads[] = {
	/* lines */
	{"", "f:1: there is no [Node]; give one with Role and Key"},
	{"\n\n# x\n", "f:3: there is no [Node]; give one with Role and Key"},
	{"Role=edge\n", "f:1: \"Role\" comes before any section; begin with one like [Node]"},
	{"[Node]\nRole\n", "f:2: \"Role\" is no setting; " SYNTAX},
	{"[Node]\nRole: edge\n", "f:2: \"Role: edge\" is no setting; " SYNTAX},
	{"[Node]\n=edge\n", "f:2: \"=edge\" is no setting; " SYNTAX},
	{"[Node]\nRole # = edge\n", "f:2: \"Role # = edge\" is no setting; " SYNTAX},
	{"[Node]\nName=a\001b\n", "f:2: control character 0x01; only text is allowed"},
	{"[Node\n", "f:1: a section's name has no closing bracket; write [NAME]"},
	{"[Node] Role=edge\n",
	 "f:1: \"Role=edge\" after a section's name; only a comment is allowed there"},
	{"[]\n", "f:1: there is no section []; allowed: " SECTIONS},
	/* sections */
	{"[Nod]\n", "f:1: there is no section [Nod], the nearest is [Node]; allowed: " SECTIONS},
	{"[Quux]\n", "f:1: there is no section [Quux]; allowed: " SECTIONS},
	{"[Node a]\n", "f:1: [Node] takes no name; write [Node]"},
	{"[Link]\n", "f:1: [Link] has no name; write [Link NAME]"},
	{"[Link a b]\n", "f:1: \"a b\" is not a name for a [Link]; allowed: " NAME_RULE},
	{EDGE "[Node]\n", "f:8: [Node] is already in line 1; one section of a name is allowed"},
	{EDGE HUB_FRA, "f:8: [Hub fra] is already in line 5; one section of a name is allowed"},
	{EDGE "[Metrics]\nListen=here\n",
	 "f:9: [Metrics] Listen: \"here\" is not an address to listen on; allowed: off or ADDRESS:PORT, port 9100 where none is "
	 "written"},
	{EDGE "[Metrics]\nListen=224.0.0.1:80\n",
	 "f:9: [Metrics] Listen: \"224.0.0.1:80\" is not an address to listen on; allowed: off or ADDRESS:PORT, port 9100 where "
	 "none is written"},
	{EDGE "[Policy voice]\n", "f:8: [Policy voice] has no Match; give " MATCH_RULE},
	{EDGE "[Policy voice]\nMatch=dscp:xx\n",
	 "f:9: [Policy voice] Match: \"xx\" is not a DSCP (a name like ef, af41, cs1, or 0 to 63); "
	 "allowed: " MATCH_RULE},
	{EDGE "[Policy voice]\nMatch=dscp:64\n",
	 "f:9: [Policy voice] Match: \"64\" is not a DSCP (a name like ef, af41, cs1, or 0 to 63); "
	 "allowed: " MATCH_RULE},
	{EDGE "[Policy voice]\nMatch=udp:5-4\n",
	 "f:9: [Policy voice] Match: \"5-4\" is not a port or a range of ports (1 to 65535, like "
	 "3478-3481); allowed: " MATCH_RULE},
	{EDGE "[Policy voice]\nMatch=tcp:\n",
	 "f:9: [Policy voice] Match: \"\" is not a port or a range of ports (1 to 65535, like "
	 "3478-3481); allowed: " MATCH_RULE},
	{EDGE "[Policy voice]\nMatch=port\n",
	 "f:9: [Policy voice] Match: \"port\" is not a condition; allowed: " MATCH_RULE},
	{EDGE "[Policy voice]\nMatch=proto:0\n",
	 "f:9: [Policy voice] Match: \"0\" is not a protocol (a name like udp, esp, or 1 to 255); "
	 "allowed: " MATCH_RULE},
	{EDGE "[Policy voice]\nMatch=src:10.0.0.1/8\n",
	 "f:9: [Policy voice] Match: 10.0.0.1/8 has host bits set; is it 10.0.0.0/8?; "
	 "allowed: " MATCH_RULE},
	{EDGE "[Policy voice]\nMatch=udp,\n",
	 "f:9: [Policy voice] Match: an item of the list is empty; allowed: " MATCH_RULE},
	{EDGE "[Policy voice]\nMatch=udp\nClass=urgent\n",
	 "f:10: [Policy voice] Class: \"urgent\" is not a class; allowed: auto, realtime, "
	 "interactive, bulk, background"},
	{EDGE "[Policy voice]\nMatch=udp\nScheduler=x\n",
	 "f:10: [Policy voice] Scheduler: \"x\" is not a scheduler; allowed: bond, auto, minrtt, "
	 "blest, minrtt:0-100%, bpf:/FILE.o"},
	{EDGE "[Policy voice]\nMatch=udp\nOrdered=maybe\n",
	 "f:10: [Policy voice] Ordered: \"maybe\" is not auto, yes or no; allowed: auto, yes, no"},
	{EDGE "[Policy voice]\nMatch=udp\nDuplicate=9\n",
	 "f:10: [Policy voice] Duplicate: \"9\" is not auto, off or a number in the range; "
	 "allowed: auto, off, 2 to 8"},
	{EDGE "[Policy a]\nMatch=mark:1, mark:2, mark:3, mark:4, mark:5, mark:6, mark:7, mark:8\n"
	      "[Policy b]\nMatch=mark:9, mark:10, mark:11, mark:12, mark:13, mark:14, mark:15, mark:16\n"
	      "[Policy c]\nMatch=mark:1, mark:0x11\n",
	 "f:13: the policies match by more than 16 different marks; masks may serve for several"},
	{EDGE "[Policy voice]\nMatch=dscp:ef\nVia=direct\n",
	 "f:9: [Policy voice] Match: dscp: does not go with Via = direct; set a mark by it and match that"},
	{EDGE "[Policy voice]\nMatch=mark:1/2\nVia=direct\n", "f:9: [Policy voice] Match: mark:1/2 has bits outside of its mask: no packet's mark is that; allowed: " MATCH_RULE},
	{EDGE "[Policy voice]\nMatch=mark:1/0\n", "f:9: [Policy voice] Match: \"1/0\" is not a firewall mark (a number, or number/mask); allowed: " MATCH_RULE},
	{EDGE "[Policy voice]\nMatch=src:10.0.0.0/8, src:10.1.0.0/16, dst:2001:db8::/32\n",
	 "f:9: [Policy voice] Match: src: and dst: are of different families, which no packet's are; give both of one"},
	{EDGE "[Policy voice]\nMatch=udp\nVia=lte, bond\n", "f:10: [Policy voice] Via: \"bond\" is not a link's name; allowed: bond, direct or names of links"},
	{EDGE "[Link dsl]\nInterface=e\n[Policy voice]\nMatch=udp\nVia=dsl, lte\n", "f:12: [Policy voice] Via: there is no [Link lte]; name links, or bond"},
	{HUB "[Policy voice]\nMatch=udp\nVia=dsl\n", "f:10: [Policy] Via is for a node whose Role is edge; this one is hub"},
	{"[Hub a]\n[Hub b]\n[Hub c]\n[Hub d]\n[Hub e]\n[Hub f]\n[Hub g]\n[Hub h]\n[Hub i]\n",
	 "f:9: too many [Hub] sections; up to 8 are allowed"},
	/* keys */
	{EDGE "[Link dsl]\nTeir=x\n",
	 "f:9: [Link dsl] has no key \"Teir\", the nearest is Tier; allowed: " LINK_KEYS},
	{EDGE "[Link dsl]\nPrefixes=x\n",
	 "f:9: [Link dsl] has no key \"Prefixes\", it belongs in [Site]; allowed: " LINK_KEYS},
	{EDGE "[Link dsl]\nQuux=x\n", "f:9: [Link dsl] has no key \"Quux\"; allowed: " LINK_KEYS},
	{EDGE "[Link dsl]\nCap=80G/month@5\n", "f:9: [Link dsl] Cap " LATER},
	{EDGE "[Link dsl]\nCost=1\n", "f:9: [Link dsl] Cost " LATER},
	{EDGE "[Link dsl]\nInterface=e\nRateUp=1k\n", "f:10: [Link dsl] RateUp: \"1k\" is not in the range; allowed: auto or 64k to 400G, in bit/s"},
	{EDGE "[Link dsl]\nInterface=e\nRateDown=-3M\n", "f:10: [Link dsl] RateDown: \"-3M\" is not a rate (like 20M); allowed: auto or 64k to 400G, in bit/s"},
	{EDGE "[Link dsl]\nInterface=e\nWeight=49\n", "f:10: [Link dsl] Weight: \"49\" is not auto or a number in the range; allowed: auto or 50 to 1000"},
	{EDGE "[Link dsl]\ncap=80G\n", "f:9: [Link dsl] Cap " LATER},
	{EDGE "[Bond]\nFec=xor:1\n", "f:9: [Bond] Fec: \"xor:1\" is not auto, off or a code; allowed: " FEC_RULE},
	{EDGE "[Bond]\nFec=rs:10\n", "f:9: [Bond] Fec: \"rs:10\" is not auto, off or a code; allowed: " FEC_RULE},
	{EDGE "[Bond]\nFec=rs:10+6\n", "f:9: [Bond] Fec: \"rs:10+6\" is not auto, off or a code; allowed: " FEC_RULE},
	{EDGE "[Bond]\nFec=rs:33+1\n", "f:9: [Bond] Fec: \"rs:33+1\" is not auto, off or a code; allowed: " FEC_RULE},
	{EDGE "[Bond]\nFec=auto:1-20\n", "f:9: [Bond] Fec: \"auto:1-20\" is not auto, off or a code; allowed: " FEC_RULE},
	{EDGE "[Bond]\nFec=auto:20-10\n", "f:9: [Bond] Fec: \"auto:20-10\" is not auto, off or a code; allowed: " FEC_RULE},
	{EDGE "[Bond]\nFec=auto:10\n", "f:9: [Bond] Fec: \"auto:10\" is not auto, off or a code; allowed: " FEC_RULE},
	{EDGE "[Bond]\nFec=auto:-20\n", "f:9: [Bond] Fec: \"auto:-20\" is not auto, off or a code; allowed: " FEC_RULE},
	{EDGE "[Bond]\nFec=auto:10-51\n", "f:9: [Bond] Fec: \"auto:10-51\" is not auto, off or a code; allowed: " FEC_RULE},
	{EDGE "[Bond]\nFec=auto:100-50\n", "f:9: [Bond] Fec: \"auto:100-50\" is not auto, off or a code; allowed: " FEC_RULE},
	{EDGE "[Bond]\nFec=bond\n", "f:9: [Bond] Fec: \"bond\" is not auto, off or a code; allowed: " FEC_RULE},
	{EDGE "[Policy voice]\nMatch=udp\nFec=rs:+2\n",
	 "f:10: [Policy voice] Fec: \"rs:+2\" is not auto, off or a code; allowed: bond, " FEC_RULE},
	{EDGE "[Policy voice]\nMatch=udp\nDeadline=5ms\n",
	 "f:10: [Policy voice] Deadline: \"5ms\" is not in the range; allowed: auto or 10ms to 2s"},
	{EDGE "[Policy voice]\nMatch=udp\nDeadline=0ms\n",
	 "f:10: [Policy voice] Deadline: \"0ms\" is not in the range; allowed: auto or 10ms to 2s"},
	{EDGE "[Policy voice]\nMatch=udp\nDeadline=50\n",
	 "f:10: [Policy voice] Deadline: \"50\" is not a time with its unit (like 50ms); allowed: auto or 10ms to 2s"},
	{EDGE "[Bond]\nRecovery=auto\n", "f:9: [Bond] Recovery " LATER},
	{EDGE "[Bond]\nTcpLane=auto\n", "f:9: [Bond] TcpLane " LATER},
	{EDGE "[Log]\nQlog=q\n",
	 "f:9: [Log] Qlog: \"q\" is not an absolute path; allowed: off or the absolute path of a folder"},
	{EDGE "[Log]\nKeyLog=on\n",
	 "f:9: [Log] KeyLog: \"on\" is not an absolute path; allowed: off or the absolute path of a file"},
	{NODE_EDGE "[Hub fra]\nCA=ca.pem\n",
	 "f:6: [Hub fra] CA: \"ca.pem\" is not an absolute path; allowed: system or the absolute path of a PEM file"},
	{NODE_EDGE "[Hub fra]\nServerName=a b\n",
	 "f:6: [Hub fra] ServerName: \"a b\" is not the name of a server; allowed: a DNS name or an IP address"},
	{NODE_EDGE "[Hub fra]\nAddress=h\nCA=system\n",
	 "f:7: [Hub fra] has a CA and no ServerName; give the name in the hub's certificate"},
	{NODE_EDGE HUB_FRA "CRL=/crl.pem\n",
	 "f:8: [Hub fra] has a CRL and no CA; a key is revoked by another one in its place"},
	{NODE_EDGE "[Hub fra]\nAddress=h\nServerName=h\n", "f:5: [Hub fra] has no PublicKey; give " PUBKEY_RULE OR_CA},
	{NODE_EDGE HUB_FRA "CA=system\n",
	 "f:8: [Hub fra] has a PublicKey, which says it all; give that, or CA and ServerName"},
	{NODE_EDGE HUB_FRA "ServerName=x\n",
	 "f:8: [Hub fra] has a PublicKey, which says it all; give that, or CA and ServerName"},
	{NODE_EDGE "[Hub fra]\nAddress=h\nCA=system\nServerName=h\n[Hub ams]\nAddress=i\nCA=/c\nServerName=H\n",
	 "f:12: [Hub ams] has the ServerName of [Hub fra]; list all addresses of one hub in its one section"},
	{NODE_EDGE "[Hub fra]\nServerName=.example.net\n",
	 "f:6: [Hub fra] ServerName: \".example.net\" is not the name of a server; allowed: a DNS name or an IP address"},
	{NODE_EDGE "[Hub fra]\nServerName=a..b\n",
	 "f:6: [Hub fra] ServerName: \"a..b\" is not the name of a server; allowed: a DNS name or an IP address"},
	{NODE_EDGE HUB_FRA "[Hub ams]\nAddress=i\nCA=/c\nServerName=FRA\n",
	 "f:8: [Hub fra] and [Hub ams]: one has the other's ServerName for its own; call it otherwise"},
	{NODE_EDGE "[Hub ams]\nAddress=i\nCA=/c\nServerName=fra\n" HUB_FRA,
	 "f:9: [Hub ams] and [Hub fra]: one has the other's ServerName for its own; call it otherwise"},
	{HUB "[Listen]\nCertificate=/c\n",
	 "f:9: [Listen] Certificate and CertificateKey belong together; give both"},
	{HUB "[Listen]\nCertificateKey=/c\n",
	 "f:9: [Listen] Certificate and CertificateKey belong together; give both"},
	{EDGE "[Log]\nLevel=info\nLEVEL=info\n",
	 "f:10: [Log] Level is already in line 9; each key is allowed once"},
	{"[Node]\nRole=\n", "f:2: [Node] Role: no value; allowed: edge, hub"},
	{"[Node]\nRole= # edge\n", "f:2: [Node] Role: no value; allowed: edge, hub"},
	/* missing */
	{"[Node]\nKey=/k\n", "f:1: [Node] has no Role; give edge, hub"},
	{"[Node]\nRole=edge\n" HUB_FRA,
	 "f:1: [Node] has no Key; give the absolute path of a PEM file"},
	{NODE_EDGE, "f:4: an edge needs a hub; give [Hub NAME] with Address and PublicKey"},
	{NODE_EDGE "\n[Hub fra]\nAddress=h\n",
	 "f:6: [Hub fra] has no PublicKey; give " PUBKEY_RULE OR_CA},
	{NODE_EDGE "[Hub fra]\nPublicKey=" KEY1 "\n",
	 "f:5: [Hub fra] has no Address; give HOST:PORT, up to 8, port 443 where none is written"},
	{EDGE "[Link dsl]\nTier=primary\n", "f:8: [Link dsl] has no Interface; give " IF_RULE},
	{HUB "[Site a]\n", "f:8: [Site a] has no PublicKey; give " PUBKEY_RULE},
	{"[Node]\nRole=hub\nKey=/k\n",
	 "f:3: a hub needs addresses for its sites; give [Pool] IPv4, IPv6 or both"},
	{"[Node]\nRole=hub\nKey=/k\n[Pool]\n# none\n",
	 "f:4: a hub needs addresses for its sites; give [Pool] IPv4, IPv6 or both"},
	/* roles */
	{EDGE "[Pool]\nIPv4=10.0.0.0/8\n",
	 "f:8: [Pool] is for a node whose Role is hub; this one is edge"},
	{EDGE "[Site a]\nPublicKey=" KEY1 "\n",
	 "f:8: [Site a] is for a node whose Role is hub; this one is edge"},
	{HUB HUB_FRA, "f:8: [Hub fra] is for a node whose Role is edge; this one is hub"},
	{HUB "[Tunnel]\nMtu=1400\nDefaultRoute=yes\n",
	 "f:10: [Tunnel] DefaultRoute is for a node whose Role is edge; this one is hub"},
	{HUB "[Tunnel]\nOnHubLoss=block\n",
	 "f:9: [Tunnel] OnHubLoss is for a node whose Role is edge; this one is hub"},
	/* values */
	{"[Node]\nRole=spoke\n", "f:2: [Node] Role: \"spoke\" is not a role; allowed: edge, hub"},
	{"[Node]\nName=a b\n", "f:2: [Node] Name: \"a b\" is not a name; allowed: " NAME_RULE},
	{"[Node]\nName=-a\n", "f:2: [Node] Name: \"-a\" is not a name; allowed: " NAME_RULE},
	{"[Node]\nKey=key.pem\n", "f:2: [Node] Key: \"key.pem\" is not an absolute path; allowed: "
				  "the absolute path of a PEM file"},
	{"[Node]\nWorkers=0\n", "f:2: [Node] Workers: \"0\" is not auto or a number in the range; "
				"allowed: auto or 1 to 255"},
	{"[Node]\nWorkers=4294967297\n",
	 "f:2: [Node] Workers: \"4294967297\" is not auto or a number in the range; "
	 "allowed: auto or 1 to 255"},
	{"[Node]\nBuffers=4095\n", "f:2: [Node] Buffers: \"4095\" is not auto or a number in the range; "
				   "allowed: auto or 4096 to 1048576"},
	{"[Node]\nFrameSize=3000\n", "f:2: [Node] FrameSize: \"3000\" is not a size of frames; allowed: 2048, 4096"},
	{"[Link a]\nRingSize=1000\n", "f:2: [Link a] RingSize: \"1000\" is not a power of two; "
				     "allowed: auto or a power of two from 64 to 16384"},
	{"[Listen]\nRingSize=32\n", "f:2: [Listen] RingSize: \"32\" is not auto or a number in the range; "
				   "allowed: auto or a power of two from 64 to 16384"},
	{"[Listen]\nNeedWakeup=maybe\n", "f:2: [Listen] NeedWakeup: \"maybe\" is not yes or no; allowed: yes, no"},
	{"[Node]\nUmem=1023\n", "f:2: [Node] Umem: \"1023\" is not auto or a number in the range; "
				"allowed: auto or 1024 to 1048576, but not more than Buffers"},
	{"[Node]\nRole=hub\nKey=/k\nBuffers=8192\nUmem=8193\n",
	 "f:5: [Node] Umem is a part of Buffers, of which there are 8192; give fewer, or more Buffers"},
	{"[Node]\nRole=edge\nKey=/k\nUmem=16385\n",
	 "f:4: [Node] Umem is a part of Buffers, of which there are 16384; give fewer, or more Buffers"},
	{"[Tunnel]\nDevice=a/b\n",
	 "f:2: [Tunnel] Device: \"a/b\" is not an interface name; allowed: " IF_RULE},
	{"[Tunnel]\nDevice=0123456789abcdef\n",
	 "f:2: [Tunnel] Device: \"0123456789abcdef\" is not an interface name; allowed: " IF_RULE},
	{"[Tunnel]\nMtu=1279\n",
	 "f:2: [Tunnel] Mtu: \"1279\" is not auto or a number in the range; "
	 "allowed: auto or 1280 to 1500"},
	{"[Tunnel]\nTable=254\n",
	 "f:2: [Tunnel] Table: table 254 is the kernel's own; allowed: auto "
	 "or 1 to 4294967295, but not the kernel's own 253, 254 and 255"},
	{"[Tunnel]\nDefaultRoute=maybe\n",
	 "f:2: [Tunnel] DefaultRoute: \"maybe\" is not yes or no; allowed: yes, no"},
	{"[Tunnel]\nRekeyTime=9s\n",
	 "f:2: [Tunnel] RekeyTime: \"9s\" is not in the range; allowed: off or 10s to 24h"},
	{"[Tunnel]\nRekeyTime=3600\n",
	 "f:2: [Tunnel] RekeyTime: \"3600\" is not a time with its unit (like 1h); allowed: off or "
	 "10s to 24h"},
	{"[Tunnel]\nRekeyPackets=999\n",
	 "f:2: [Tunnel] RekeyPackets: \"999\" is not auto or a number in the range; allowed: auto or "
	 "1000 to 4194304"},
	{"[Tunnel]\nPadding=32\n",
	 "f:2: [Tunnel] Padding: \"32\" is not off, full or a number in the range; allowed: off, full, or 64 to 1200"},
	{"[Tunnel]\nSpinBit=yes\n",
	 "f:2: [Tunnel] SpinBit: \"yes\" is not a policy; allowed: never, probabilistic, always"},
	{"[Listen]\nRetry=on\n",
	 "f:2: [Listen] Retry: \"on\" is not a choice; allowed: auto, always, off"},
	{"[Tunnel]\nOnHubLoss=panic\n",
	 "f:2: [Tunnel] OnHubLoss: \"panic\" is not a choice; allowed: block, direct"},
	{"[Hub a]\nPublicKey=abc\n",
	 "f:2: [Hub a] PublicKey: not a public key: it has 3 characters; allowed: " PUBKEY_RULE},
	{"[Hub a]\nPublicKey=9AXGcjqk6GN2Vz0UPhL!rb7C+YLpQCx3dTtkkw7QsHw=\n",
	 "f:2: [Hub a] PublicKey: not a public key: character 20 is not base64; "
	 "allowed: " PUBKEY_RULE},
	{"[Hub a]\nPublicKey=9AXGcjqk6GN2Vz0UPhLgrb7C+YLpQCx3dTtkkw7QsHx=\n",
	 "f:2: [Hub a] PublicKey: not a public key: its last digit is impossible (mistyped?); "
	 "allowed: " PUBKEY_RULE},
	{"[Hub a]\nAddress=h:0\n", "f:2: [Hub a] Address: \"h:0\" is not HOST:PORT; allowed: "
				   "HOST:PORT, up to 8, port 443 where none is written"},
	{"[Hub a]\nAddress=h:65536\n",
	 "f:2: [Hub a] Address: \"h:65536\" is not HOST:PORT; allowed: "
	 "HOST:PORT, up to 8, port 443 where none is written"},
	{"[Hub a]\nAddress=192.0.2.256\n",
	 "f:2: [Hub a] Address: \"192.0.2.256\" is not a host's name or address; allowed: "
	 "HOST:PORT, up to 8, port 443 where none is written"},
	{"[Hub a]\nAddress=0.0.0.0:443\n",
	 "f:2: [Hub a] Address: \"0.0.0.0:443\" is not an address that a hub can have; allowed: "
	 "HOST:PORT, up to 8, port 443 where none is written"},
	{"[Hub a]\nAddress=a,,b\n", "f:2: [Hub a] Address: an item of the list is empty; allowed: "
				    "HOST:PORT, up to 8, port 443 where none is written"},
	{"[Hub a]\nAddress=x:443,X\n", "f:2: [Hub a] Address: X port 443 is listed twice; allowed: "
				       "HOST:PORT, up to 8, port 443 where none is written"},
	{"[Hub a]\nAddress=a,b,c,d,e,f,g,h,i\n",
	 "f:2: [Hub a] Address: more than 8 addresses; allowed: "
	 "HOST:PORT, up to 8, port 443 where none is written"},
	{"[Link a]\nSource=eth0\n", "f:2: [Link a] Source: \"eth0\" is not an IP address; allowed: "
				    "auto or an IP address"},
	{"[Link a]\nGateway=ff02::1\n",
	 "f:2: [Link a] Gateway: \"ff02::1\" is not the address of one host; allowed: "
	 "auto or an IP address"},
	{"[Link a]\nIo=dpdk\n", "f:2: [Link a] Io: \"dpdk\" is not a way of packet I/O; allowed: "
				"auto, xdp-zerocopy, xdp-copy, xdp-generic, udp, uring"},
	{"[Link a]\nTier=fast\n", "f:2: [Link a] Tier: \"fast\" is not a tier; allowed: primary, "
				  "secondary, backup, never"},
	{"[Link a]\nCongestion=vegas\n", "f:2: [Link a] Congestion: \"vegas\" is not a congestion "
					 "controller; allowed: bond, auto, newreno, cubic"},
	{"[Link a]\nKeepalive=5\n", "f:2: [Link a] Keepalive: \"5\" is not a time with its unit (like 25s); allowed: "
				    "auto, longest or 1s to 120s"},
	{"[Link a]\nPriority=101\n", "f:2: [Link a] Priority: \"101\" is not auto or a number in the range; allowed: auto or 1 to 100"},
	{EDGE "[Link a]\nInterface=a\n[Bond]\nPrimary=b\n", "f:11: [Bond] Primary: there is no [Link b]; name a link, or auto"},
	{"[Link a]\nKeepalive=0s\n", "f:2: [Link a] Keepalive: \"0s\" is not in the range; allowed: "
				     "auto, longest or 1s to 120s"},
	{"[Link a]\nKeepalive=3min\n", "f:2: [Link a] Keepalive: \"3min\" is not in the range; allowed: "
				       "auto, longest or 1s to 120s"},
	{"[Bond]\nScheduler=best\n",
	 "f:2: [Bond] Scheduler: \"best\" is not a scheduler; allowed: auto, minrtt, blest, minrtt:0-100%, bpf:/FILE.o"},
	{"[Bond]\nScheduler=bpf:mine.o\n",
	 "f:2: [Bond] Scheduler: \"mine.o\" is not an absolute path; allowed: bpf:/FILE.o"},
	{"[Bond]\nCongestion=vegas\n", "f:2: [Bond] Congestion: \"vegas\" is not a congestion "
				       "controller; allowed: auto, newreno, cubic"},
	{"[Bond]\nCongestion=bbr3\n",
	 "f:2: [Bond] Congestion: bbr3 is known, but this version does not support it; "
	 "allowed: auto, newreno, cubic"},
	{"[Bond]\nCongestion=bond\n", "f:2: [Bond] Congestion: \"bond\" is not a congestion "
				      "controller; allowed: auto, newreno, cubic"},
	{"[Tunnel]\nHoldTime=2\n",
	 "f:2: [Tunnel] HoldTime: \"2\" is not a time with its unit (like "
	 "2min); allowed: auto or 5s to 60min"},
	{"[Tunnel]\nHoldTime=4.9s\n", "f:2: [Tunnel] HoldTime: \"4.9s\" is not in the range; "
				      "allowed: auto or 5s to 60min"},
	{"[Bond]\nFailback=soon\n",
	 "f:2: [Bond] Failback: \"soon\" is not a time with its unit (like "
	 "30s); allowed: auto, never or 1s to 60min"},
	{"[Bond]\nInitialWindow=1\n",
	 "f:2: [Bond] InitialWindow: \"1\" is not auto or a number in the range; allowed: auto or 2 to 1000"},
	{"[Bond]\nMinimumWindow=101\n",
	 "f:2: [Bond] MinimumWindow: \"101\" is not auto or a number in the range; allowed: auto or 2 to 100"},
	{"[Bond]\nInitialRtt=100\n", "f:2: [Bond] InitialRtt: \"100\" is not a time with its unit (like 50ms); allowed: "
				     "auto or 1ms to 10s"},
	{"[Bond]\nInitialRtt=1us\n", "f:2: [Bond] InitialRtt: \"1us\" is not in the range; allowed: auto or 1ms to 10s"},
	{"[Bond]\nPersistentCongestion=1\n",
	 "f:2: [Bond] PersistentCongestion: \"1\" is not auto or a number in the range; allowed: auto or 2 to 50"},
	{"[Bond]\nFailMult=1\n", "f:2: [Bond] FailMult: \"1\" is not auto or a number in the range; allowed: auto or 2 to 20"},
	{"[Bond]\nFailMin=0.5ms\n", "f:2: [Bond] FailMin: \"0.5ms\" is not in the range; allowed: auto or 1ms to 10s"},
	{"[Bond]\nFailMax=100\n", "f:2: [Bond] FailMax: \"100\" is not a time with its unit (like 50ms); allowed: auto or 1ms to 10s"},
	{"[Bond]\nRecoverProbes=0\n",
	 "f:2: [Bond] RecoverProbes: \"0\" is not auto or a number in the range; allowed: auto or 1 to 20"},
	{"[Bond]\nRecoverMax=2h\n", "f:2: [Bond] RecoverMax: \"2h\" is not in the range; allowed: auto or 1s to 60min"},
	{EDGE "[Bond]\nFailMax=100ms\nFailMin=101ms\n", "f:10: [Bond] FailMin is more than FailMax; at most that"},
	{"[Bond]\nMesh=star\n", "f:2: [Bond] Mesh: \"star\" is not a mesh; allowed: pairs, full"},
	{"[Bond]\nEcn=maybe\n", "f:2: [Bond] Ecn: \"maybe\" is not yes or no; allowed: yes, no"},
	{"[Bond]\nReorder=50\n", "f:2: [Bond] Reorder: \"50\" is not a time with its unit (like "
				 "50ms); allowed: auto, off or 1ms to 10s"},
	{"[Bond]\nReorder=1h\n",
	 "f:2: [Bond] Reorder: \"1h\" is not in the range; allowed: auto, off or 1ms to 10s"},
	{"[Bond]\nReorder=1d\n", "f:2: [Bond] Reorder: \"1d\" is not a time with its unit (like "
				 "50ms); allowed: auto, off or 1ms to 10s"},
	{"[Bond]\nReorder=1.s\n", "f:2: [Bond] Reorder: \"1.s\" is not a time with its unit (like "
				  "50ms); allowed: auto, off or 1ms to 10s"},
	{"[Bond]\nReorder=11s\n",
	 "f:2: [Bond] Reorder: \"11s\" is not in the range; allowed: auto, off or 1ms to 10s"},
	{"[Bond]\nReorder=99999999999999999999s\n",
	 "f:2: [Bond] Reorder: \"99999999999999999999s\" is not in the range; allowed: auto, off "
	 "or "
	 "1ms to 10s"},
	{"[Route]\nAdvertise=lan\n",
	 "f:2: [Route] Advertise: \"lan\" is not a prefix; allowed: " PREFIX_RULE},
	{"[Route]\nAdvertise=10.0.0.0/33\n",
	 "f:2: [Route] Advertise: \"10.0.0.0/33\" is not a prefix; allowed: " PREFIX_RULE},
	{"[Route]\nAdvertise=10.1.2.3/8\n",
	 "f:2: [Route] Advertise: 10.1.2.3/8 has host bits set; is it 10.0.0.0/8?; "
	 "allowed: " PREFIX_RULE},
	{"[Route]\nAccept=::/0, ::/0\n",
	 "f:2: [Route] Accept: ::/0 is listed twice; allowed: " PREFIX_RULE},
	{"[Listen]\nAddress=host:443\n",
	 "f:2: [Listen] Address: \"host:443\" is not an address to listen on; allowed: "
	 "ADDRESS:PORT, up to 8, port 443 where none is written"},
	{"[Listen]\nAddress=0.0.0.0:443,0.0.0.0\n",
	 "f:2: [Listen] Address: 0.0.0.0 is listed twice; allowed: "
	 "ADDRESS:PORT, up to 8, port 443 where none is written"},
	{"[Listen]\nPreferredAddress=0.0.0.0:443\n",
	 "f:2: [Listen] PreferredAddress: \"0.0.0.0:443\" is not an address that edges could go to; allowed: "
	 "ADDRESS:PORT, one of each family, port 443 where none is written"},
	{"[Listen]\nPreferredAddress=192.0.2.1,192.0.2.2\n",
	 "f:2: [Listen] PreferredAddress: more than one IPv4 address; allowed: "
	 "ADDRESS:PORT, one of each family, port 443 where none is written"},
	{"[Listen]\nInterface=eth0,eth0\n",
	 "f:2: [Listen] Interface: eth0 is listed twice; allowed: names of interfaces, up to 8"},
	{"[Pool]\nIPv4=fd00::/64\n",
	 "f:2: [Pool] IPv4: fd00::/64 is not an IPv4 prefix; allowed: an "
	 "IPv4 prefix like 10.64.0.0/24"},
	{"[Pool]\nIPv6=fd00::1/128\n",
	 "f:2: [Pool] IPv6: /128 is no useful size for a pool; allowed: "
	 "an IPv6 prefix like fd00:64::/64"},
	{"[Site a]\nAddress=10.0.0.1,10.0.0.2\n",
	 "f:2: [Site a] Address: more than one IPv4 address; allowed: an IPv4 address, an IPv6 "
	 "address, or both, from the pool"},
	{"[Control]\nSocket=s\n",
	 "f:2: [Control] Socket: \"s\" is not an absolute path; allowed: an "
	 "absolute path of at most 107 characters"},
	{"[Log]\nLevel=loud\n",
	 "f:2: [Log] Level: \"loud\" is not a log level; allowed: " LOG_RULE},
	{"[Log]\nLevel=info, quick:debug\n",
	 "f:2: [Log] Level: \"quick:debug\" is not a log level; allowed: " LOG_RULE},
	/* contradictions */
	{EDGE "[Hub ams]\nAddress=a\nPublicKey=" KEY1 "\n",
	 "f:10: [Hub ams] has the PublicKey of [Hub fra]; list all addresses of one hub in its one "
	 "section"},
	{EDGE "[Links]\nAuto=no\n",
	 "f:9: no links: Auto is no and there is no [Link]; give either"},
	{EDGE "[Link a]\nInterface=qb0\n",
	 "f:9: [Link a] Interface: qb0 is the tunnel's own device; give a WAN interface"},
	{EDGE "[Link a]\nInterface=eth0\n[Link b]\nInterface=eth0\n",
	 "f:11: [Link b] is on the interface of [Link a]; two links may share one only with a "
	 "Source "
	 "each"},
	{EDGE "[Link a]\nInterface=eth0\nSource=192.0.2.1\nGateway=2001:db8::1\n",
	 "f:11: [Link a] Gateway is IPv6 and Source is IPv4; both must be of one family"},
	{EDGE "[Link a]\nInterface=eth0\nSource=192.0.2.1\nGateway=192.0.2.1\n",
	 "f:11: [Link a] Gateway is the Source; it must be the next hop's address"},
	{HUB "[Listen]\nInterface=eth0,qb0\n",
	 "f:9: [Listen] Interface: qb0 is the tunnel's own device; give WAN interfaces"},
	{HUB SITE_A "[Site b]\n\nPublicKey=" KEY1 "\n",
	 "f:12: [Site b] has the PublicKey of [Site a]; each site needs its own"},
	{HUB SITE_A "Address=10.65.0.2\n", "f:10: [Site a] Address: 10.65.0.2 is outside the pool; "
					   "allowed: addresses in 10.64.0.0/24"},
	{HUB SITE_A "Address=10.64.0.0\n",
	 "f:10: [Site a] Address: 10.64.0.0 is no host's address; allowed: the others in "
	 "10.64.0.0/24"},
	{HUB SITE_A "Address=10.64.0.255\n",
	 "f:10: [Site a] Address: 10.64.0.255 is no host's address; allowed: the others in "
	 "10.64.0.0/24"},
	{"[Node]\nRole=hub\nKey=/k\n[Pool]\nIPv4=10.64.0.0/24\n" SITE_A "Address=fd00::1\n",
	 "f:8: [Site a] Address: there is no pool for fd00::1; give [Pool] IPv6"},
	{HUB SITE_A "Address=10.64.0.2\n" SITE_B "Address=10.64.0.2\n",
	 "f:13: [Site b] Address: 10.64.0.2 is the address of [Site a]; each site needs its own"},
	{HUB SITE_A "Prefixes=192.168.1.0/24\n" SITE_B "Prefixes=10.1.0.0/16,192.168.0.0/16\n",
	 "f:13: [Site b] Prefixes: 192.168.0.0/16 overlaps 192.168.1.0/24 of [Site a]; a prefix "
	 "belongs to one site"},
	{HUB SITE_A "Prefixes=2001:db8::/32\n" SITE_B "Prefixes=2001:db8:5::/48\n",
	 "f:13: [Site b] Prefixes: 2001:db8:5::/48 overlaps 2001:db8::/32 of [Site a]; a prefix "
	 "belongs to one site"},
	{HUB SITE_A "Prefixes=10.64.0.128/25\n",
	 "f:10: [Site a] Prefixes: 10.64.0.128/25 overlaps the pool 10.64.0.0/24; the pool is the "
	 "hub's"},
	{"[Node]\nRole=hub\nKey=/k\n[Pool]\nIPv4=10.64.0.0/30\n" SITE_A SITE_B,
	 "f:5: [Pool] 10.64.0.0/30 has room for 1 sites and there are 2; give a larger one"},
};

START_TEST(test_bad)
{
	char err[QB_CONF_ERR_LEN];
	struct qb_conf *c = parse(bads[_i].text, err);

	ck_assert_msg(c == NULL, "taken, and should be: %s", bads[_i].err);
	ck_assert_str_eq(err, bads[_i].err);
}
END_TEST

START_TEST(test_limits)
{
	char err[QB_CONF_ERR_LEN], *text = malloc(8192), *p = text;
	struct qb_conf *c;

	/* A line that is too long is refused, not cut. */
	p += sprintf(p, "[Node]\nName=");
	memset(p, 'a', 5000);
	strcpy(p + 5000, "\n");
	ck_assert_ptr_null(parse(text, err));
	ck_assert_str_eq(err, "f:2: the line has 5005 characters; up to 4095 are allowed");
	/* The longest list fits a line. */
	p = text + sprintf(text, HUB SITE_A "Prefixes=");
	for (int i = 0; i < QB_CONF_PREFIXES_MAX; i++)
		p += sprintf(p, "%s2001:db8:1111:2222:3333:4444:5555:%04x/128", i ? ", " : "", i);
	strcpy(p, "\n");
	c = must_parse(text);
	ck_assert_uint_eq(c->sites[0].prefixes.cnt, QB_CONF_PREFIXES_MAX);
	qb_conf_free(c);
	strcpy(p, ", 10.0.0.0/8\n");
	ck_assert_ptr_null(parse(text, err));
	ck_assert_str_eq(err,
			 "f:10: [Site a] Prefixes: more than 32 prefixes; allowed: " PREFIX_RULE);
	/* A NUL does not end the file. */
	ck_assert_ptr_null(qb_conf_parse("f", "[Node]\n\0\n", 9, &names, err));
	ck_assert_str_eq(err, "f:2: control character 0x00; only text is allowed");
	free(text);
}
END_TEST

/* The n-th site: a key and a prefix that no other has. */
static size_t put_site(char *text, size_t cap, uint32_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef";

	return (size_t)snprintf(
		text, cap,
		"[Site s%u]\nPublicKey=%c%c%cGcjqk6GN2Vz0UPhLgrb7C+YLpQCx3dTtkkw7QsHw="
		"\nPrefixes=172.%u.%u.0/24\n",
		n, digits[n % 32], digits[n / 32 % 32], digits[n / 1024 % 32], 16 + n / 256,
		n % 256);
}

START_TEST(test_many_sites)
{
	size_t cap = 1 << 20, len;
	char *text = malloc(cap), err[QB_CONF_ERR_LEN];
	struct qb_conf *c;

	len = (size_t)snprintf(text, cap, "[Node]\nRole=hub\nKey=/k\n[Pool]\nIPv4=10.0.0.0/16\n");
	for (uint32_t i = 0; i < QB_CONF_SITES_MAX; i++)
		len += put_site(text + len, cap - len, i);
	c = must_parse(text);
	ck_assert_uint_eq(c->site_cnt, QB_CONF_SITES_MAX);
	ck_assert_str_eq(c->sites[4095].name, "s4095");
	qb_conf_free(c);
	put_site(text + len, cap - len, QB_CONF_SITES_MAX);
	ck_assert_ptr_null(parse(text, err));
	ck_assert_str_eq(err, "f:12294: too many [Site] sections; up to 4096 are allowed");
	free(text);
}
END_TEST

START_TEST(test_load)
{
	char path[] = "/tmp/qb-test-conf-XXXXXX", err[QB_CONF_ERR_LEN], want[QB_CONF_ERR_LEN];
	int fd = mkstemp(path);
	struct qb_conf *c;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, EDGE, strlen(EDGE)), (int)strlen(EDGE));
	c = qb_conf_load(path, &names, err);
	ck_assert_msg(c != NULL, "%s", err);
	qb_conf_free(c);
	ck_assert_int_eq(write(fd, "x\n", 2), 2);
	ck_assert_ptr_null(qb_conf_load(path, &names, err));
	snprintf(want, sizeof(want), "%s:8: \"x\" is no setting; " SYNTAX, path);
	ck_assert_str_eq(err, want);
	close(fd);
	unlink(path);
	ck_assert_ptr_null(qb_conf_load(path, &names, err));
	snprintf(want, sizeof(want),
		 "%s:0: cannot be read: No such file or directory; a config file is needed", path);
	ck_assert_str_eq(err, want);
	ck_assert_ptr_null(qb_conf_load("/tmp", &names, err));
	qb_conf_free(NULL);
}
END_TEST

/* Rows that contradict themselves would be our bug: a default that its own parser refuses, texts
 * that are missing. */
START_TEST(test_table)
{
	for (const struct qb_conf_key *k = qb_conf_keys; k->name; k++) {
		const struct qb_conf_section *s = qb_conf_sections;

		while (s->name && strcmp(s->name, k->section) != 0)
			s++;
		ck_assert_msg(s->name != NULL, "%s is in no section", k->name);
		ck_assert_int_lt(qb_conf_key_slot(s, k->name), QB_CONF_KEYS_MAX);
		if (!k->parse)
			continue;
		ck_assert_msg(s->is_supported, "[%s] %s", k->section, k->name);
		ck_assert_msg(k->help != NULL, "[%s] %s", k->section, k->name);
		ck_assert_msg((k->roles & s->roles) == k->roles, "[%s] %s", k->section, k->name);
		if (!k->allowed) { /* then who reads it says what is */
			struct qb_conf_value v = {.text = "?", .size = k->size, .names = &names};
			_Alignas(max_align_t) char field[1024];

			ck_assert_uint_le(k->size, sizeof(field));
			ck_assert_msg(k->parse(&v, field) && v.allowed[0], "[%s] %s", k->section, k->name);
		}
	}
}
END_TEST

/* What changes while the daemon runs is read as the file is; what is refused changes nothing. */
START_TEST(test_set)
{
	static const struct {
		const char *key, *value, *want; /* want: words of the error; NULL: taken */
	} rows[] = {
		{"Bond.Fec", "rs:8+3", NULL},
		{"Bond.Fec", "Auto:2-50", NULL},
		{"Bond.Fec", "auto:51-51", "Bond.Fec: \"auto:51-51\" is not auto, off or a code"},
		{"bond.fec", "XOR:4", NULL},
		{"Bond.Fec", "xor:40", "Bond.Fec: \"xor:40\" is not auto, off or a code; allowed: auto, auto:MIN-MAX"},
		{"Bond.Fec", "", "Bond.Fec: no value; allowed: auto"},
		{"Bond.Failback", "5s", NULL},
		{"Bond.Failback", "5", "Bond.Failback: "},
		{"Bond.Failback", "2h", "Bond.Failback: "},
		{"Bond.FailMult", "6", NULL},
		{"Bond.Mesh", "FULL", NULL},
		{"Bond.FailMax", "2s", NULL},
		{"Bond.FailMin", "3s", "Bond.FailMin: FailMin would be more than FailMax; allowed: a FailMin of at most FailMax"},
		{"Bond.FailMin", "1s", NULL},
		{"Bond.FailMax", "500ms", "Bond.FailMax: FailMin would be more than FailMax"},
		{"Bond.RecoverMax", "5s", NULL},
		{"Bond.Mode", "Failover", NULL},
		{"Bond.Mode", "none", "Bond.Mode: \"none\" is not a mode; allowed: bond, failover, single"},
		{"Bond.Primary", "wan 1", "Bond.Primary: "},
		{"Bond.Primary", "wan1", NULL},
		{"Bond.Failover", "500ms", "Bond.Failover: "},
		{"Bond.Failover", "never", "Bond.Failover: "},
		{"Bond.Failover", "Manual", NULL},
		{"Bond.Congestion", "cubic", NULL},
		{"Bond.Scheduler", "MinRTT:25%", NULL},
		{"Bond.Scheduler", "minrtt:101%", "Bond.Scheduler: \"minrtt:101%\" is not a scheduler; allowed: auto, minrtt, blest, minrtt:0-100%, "},
		{"Bond.Scheduler", "minrtt:25", "is not a scheduler"},
		{"Bond.Scheduler", "minrtt:0-100%", "write one number"},
		{"Bond.Grain", "byte", "Bond.Grain: \"byte\" is not a grain; allowed: auto, packet, flow"},
		{"Bond.Grain", "Flow", NULL},
		{"Bond.ReorderMax", "63K", "Bond.ReorderMax: \"63K\" is not in the range; allowed: auto or 64K to 64M, in bytes"},
		{"Bond.ReorderMax", "65M", "is not in the range"},
		{"Bond.ReorderMax", "18446744073709551615M", "is not in the range"},
		{"Bond.ReorderMax", "4", "is not a size (like 4M)"},
		{"Bond.ReorderMax", "256k", NULL},
		{"Bond.Congestion", "fast", "allowed: auto, newreno, cubic"},
		{"Policy.a.b.Class", "bulk", NULL},
		{"Policy.a.b.Deadline", "20ms", NULL},
		{"Policy.a.b.Deadline", "20h", "Policy.a.b.Deadline: "},
		{"Bond.Reorder", "off", ""},
		{"Bond.Fec.Fec", "off", ""},
		{"Policy.Class", "bulk", ""},
		{"Policy..Class", "bulk", ""},
		{"Policy.a b.Class", "bulk", ""},
		{"Class", "bulk", ""},
		{"", "bulk", ""},
		{"Node.Key", "/x", ""},
	};
	struct qb_conf *c = must_parse(EDGE "[Policy a.b]\nMatch=udp\n"), was;
	char err[QB_CONF_ERR_LEN], keys[QB_CONF_ERR_LEN];
	struct qb_conf_setting s;

	for (size_t i = 0; i < QB_ARRAY_LEN(rows); i++) {
		int rc = qb_conf_setting_find(rows[i].key, &s);

		ck_assert_msg(rc == (rows[i].want && !*rows[i].want ? -ENOENT : 0), "%s", rows[i].key);
		if (rc)
			continue;
		ck_assert_str_eq(s.name, strcmp(s.section, "Policy") ? "" : "a.b");
		memcpy(&was, c, sizeof(was));
		rc = qb_conf_setting_store(&s, *s.name ? (void *)c->policies : c, rows[i].value, &names, err);
		ck_assert_msg((rc == 0) == !rows[i].want, "%s %s", rows[i].key, rows[i].value);
		if (rc) {
			ck_assert_msg(strstr(err, rows[i].want) != NULL, "%s", err);
			ck_assert_mem_eq(&was, c, sizeof(was));
		}
	}
	ck_assert_int_eq(c->bond.fec.mode, QB_FEC_FIXED);
	ck_assert(!c->bond.fec.is_rs);
	ck_assert_uint_eq(c->bond.fec.sources, 4);
	ck_assert_uint_eq(c->bond.failback_ns, 5 * QB_NS_PER_SEC);
	ck_assert_uint_eq(c->bond.fail.mult, 6);
	ck_assert(c->bond.is_mesh_full);
	ck_assert_uint_eq(c->bond.fail.max_ns, 2 * QB_NS_PER_SEC);
	ck_assert_uint_eq(c->bond.fail.recover_max_ns, 5 * QB_NS_PER_SEC);
	ck_assert_int_eq(c->bond.mode, QB_MODE_FAILOVER);
	ck_assert_str_eq(c->bond.primary, "wan1");
	ck_assert_uint_eq(c->bond.failover_ns, QB_NEVER_NS);
	ck_assert_str_eq(c->bond.congestion, "cubic");
	ck_assert_str_eq(c->bond.scheduler, "minrtt:25%");
	ck_assert_uint_eq(c->bond.reorder_max_bytes, 256 * 1024);
	ck_assert_int_eq(c->bond.grain, QB_GRAIN_FLOW);
	ck_assert_str_eq(c->policies[0].class, "bulk");
	ck_assert_uint_eq(c->policies[0].deadline_ns, 20 * QB_NS_PER_MS);
	qb_conf_live_keys(keys, sizeof(keys));
	ck_assert_str_eq(keys, "Bond.Mode, Primary, Mesh, Scheduler, Congestion, Grain, TailCopies, ReorderMax, Failover, Failback, Fec, FailMult, FailMin, FailMax, RecoverProbes, RecoverMax; Policy.NAME.Class, Scheduler, Ordered, Duplicate, Fec, "
			       "Deadline, Via; Link.NAME.Tier, Congestion, RateUp, RateDown, Weight, Priority");
	qb_conf_free(c);
}
END_TEST

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 18);

	ck_assert_msg(f != NULL, "%s: run this from the source's top folder", path);
	ck_assert_uint_lt(fread(text, 1, (1 << 18) - 1, f), (1 << 18) - 1);
	fclose(f);
	return text;
}

/* In quicbond.conf.5 a section is ".Ss [Link NAME]" and a key ".It Ic Tier"; unsupported ones
 * are named too. */
START_TEST(test_manual)
{
	char *text = slurp("man/quicbond.conf.5"), *start, *end, want[128];

	for (const struct qb_conf_section *s = qb_conf_sections; s->name; s++) {
		snprintf(want, sizeof(want),
			 s->is_supported ? ".Ss [%s%s]\\&\n" : "\n.It Sy [%s%s]\n", s->name,
			 s->is_named ? " NAME" : "");
		ck_assert_msg(strstr(text, want) != NULL, "quicbond.conf.5 lacks %s", want);
	}
	for (const struct qb_conf_key *k = qb_conf_keys; k->name; k++) {
		if (!k->parse) {
			snprintf(want, sizeof(want), "Ic %s", k->name);
			ck_assert_msg(strstr(text, want) != NULL, "quicbond.conf.5 lacks %s",
				      k->name);
			continue;
		}
		snprintf(want, sizeof(want), "\n.Ss [%s", k->section);
		for (start = strstr(text, want); start; start = strstr(start + 1, want))
			if (strchr("] ", start[strlen(want)]))
				break;
		ck_assert_ptr_nonnull(start);
		end = strstr(start + 1, "\n.S");
		ck_assert_ptr_nonnull(end);
		snprintf(want, sizeof(want), "\n.It Ic %s\n", k->name);
		start = strstr(start, want);
		ck_assert_msg(start && start < end, "quicbond.conf.5 lacks [%s] %s", k->section,
			      k->name);
	}
	free(text);
}
END_TEST

START_TEST(test_examples)
{
	static const char *const files[] = {"examples/edge.conf", "examples/hub.conf"};
	char err[QB_CONF_ERR_LEN];

	for (size_t i = 0; i < QB_ARRAY_LEN(files); i++) {
		struct qb_conf *c = qb_conf_load(files[i], &names, err);

		ck_assert_msg(c != NULL, "%s", err);
		ck_assert_int_eq(c->role, i == 0 ? QB_ROLE_EDGE : QB_ROLE_HUB);
		qb_conf_free(c);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("conf");
	TCase *tc = tcase_create("conf");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, test_link_found);
	tcase_add_test(tc, test_edge);
	tcase_add_test(tc, test_hubs);
	tcase_add_test(tc, test_edge_defaults);
	tcase_add_test(tc, test_hub);
	tcase_add_loop_test(tc, test_spellings, 0, 24);
	tcase_add_test(tc, test_policies);
	tcase_add_loop_test(tc, test_bad, 0, (int)QB_ARRAY_LEN(bads));
	tcase_add_test(tc, test_limits);
	tcase_add_test(tc, test_many_sites);
	tcase_add_test(tc, test_load);
	tcase_add_test(tc, test_set);
	tcase_add_test(tc, test_table);
	tcase_add_test(tc, test_manual);
	tcase_add_test(tc, test_examples);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
