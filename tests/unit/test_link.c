/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Netlink in a network namespace of its own: what comes and goes is seen, what we set is there, and
 * all of it is gone after a sweep. `ip` is the other side.
 */
#include <check.h>
#include <errno.h>
#include <linux/nl80211.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "link/link.h"

static struct qb_nl *nl;

static void QB_PRINTF(1, 2) run(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	ck_assert_msg(system(cmd) == 0, "%s", cmd);
}

/* output_has runs a command and tells whether it prints the text. */
static bool output_has(const char *cmd, const char *text)
{
	static char out[65536];
	FILE *f = popen(cmd, "r");
	size_t len;

	ck_assert_ptr_nonnull(f);
	len = fread(out, 1, sizeof(out) - 1, f);
	pclose(f);
	out[len] = '\0';
	return strstr(out, text) != NULL;
}

static void open_nl(void)
{
	char err[160] = "";

	ck_assert_msg(qb_nl_open(&nl, err) == 0, "%s", err);
}

static void setup(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	run("ip link set lo up && ip link add qbw0 type veth peer name qbp0 && "
	    "ip link add qbw1 type veth peer name qbp1");
	/* No link-local addresses, whose notifications come when they please. */
	run("for i in qbw0 qbp0 qbw1 qbp1; do ip link set $i addrgenmode none || exit 1; done");
	open_nl();
}

static void teardown(void)
{
	qb_nl_close(nl);
}

static bool is_readable(int timeout_ms)
{
	struct pollfd p = {.fd = qb_nl_fd(nl), .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

/* changes: messages come, and say something new. */
static bool changes(void)
{
	while (is_readable(2000)) {
		if (qb_nl_process(nl))
			return true;
	}
	return false;
}

/* AWAIT: some things the kernel does a moment later (carrier, IPv6 addresses). */
#define AWAIT(cond)                                                                                \
	do {                                                                                       \
		while (!(cond) && is_readable(2000))                                               \
			qb_nl_process(nl);                                                         \
		ck_assert(cond);                                                                   \
	} while (0)

static const struct qb_if *get(const char *name)
{
	return qb_nl_if_by_name(nl, name);
}

static bool is_up(const char *name)
{
	return get(name)->is_up;
}

static void up(void)
{
	run("ip link set qbw0 up && ip link set qbp0 up && ip link set qbw1 up && ip link set qbp1 "
	    "up");
	AWAIT(is_up("qbw0") && is_up("qbp0") && is_up("qbw1") && is_up("qbp1"));
}

static struct qb_addr addr(const char *text)
{
	struct qb_addr a;

	ck_assert_int_eq(qb_addr_parse(text, 0, &a), 0);
	return a;
}

static struct qb_prefix prefix(const char *text)
{
	struct qb_prefix p;

	ck_assert_int_eq(qb_prefix_parse(text, &p), 0);
	return p;
}

static bool is_addr(const struct qb_addr *a, const char *text)
{
	struct qb_addr want = addr(text);

	return qb_addr_ip_eq(a, &want);
}

START_TEST(interfaces_come_and_go)
{
	uint32_t cnt;
	const struct qb_if *ifs = qb_nl_interfaces(nl, &cnt);

	ck_assert_uint_ge(cnt, 5);
	ck_assert(get("lo")->is_loopback);
	ck_assert(!get("lo")->has_mac);
	ck_assert(get("qbw0")->has_mac && !get("qbw0")->is_up && !get("qbw0")->is_tun);
	ck_assert_uint_eq(get("qbw0")->mtu_bytes, 1500);
	ck_assert_ptr_eq(qb_nl_if_by_index(nl, get("qbw0")->ifindex), get("qbw0"));
	ck_assert_ptr_null(get("qbw9"));
	ck_assert_uint_eq(ifs[0].ifindex, 1);

	run("ip link set qbw0 up");
	ck_assert(changes());
	/* No carrier while the other end is down. */
	ck_assert(!get("qbw0")->is_up);
	run("ip link set qbp0 up");
	AWAIT(get("qbw0")->is_up);
	run("ip link set qbw0 mtu 1400 address 02:00:00:00:00:01");
	ck_assert(changes());
	ck_assert_uint_eq(get("qbw0")->mtu_bytes, 1400);
	ck_assert_uint_eq(get("qbw0")->mac[5], 1);
	run("ip tuntap add qbt0 mode tun && ip tuntap add qbt1 mode tap");
	ck_assert(changes());
	ck_assert(get("qbt0")->is_tun && !get("qbt0")->has_mac);
	ck_assert(!get("qbt1")->is_tun && get("qbt1")->has_mac);
	run("ip link set qbw1 name qbx1");
	ck_assert(changes());
	ck_assert_ptr_null(get("qbw1"));
	ck_assert_ptr_nonnull(get("qbx1"));
	run("ip link del qbx1");
	ck_assert(changes());
	ck_assert_ptr_null(get("qbx1"));
	ck_assert(!qb_nl_process(nl));
}
END_TEST

START_TEST(addresses_and_default_routes)
{
	up();
	run("ip addr add 192.0.2.2/24 dev qbw0 && ip route add default via 192.0.2.1 metric 100");
	AWAIT(is_addr(&get("qbw0")->src4, "192.0.2.2"));
	ck_assert(get("qbw0")->has_default4);
	ck_assert(is_addr(&get("qbw0")->gw4, "192.0.2.1"));
	ck_assert(!get("qbw0")->has_default6);
	ck_assert_uint_eq(get("qbw1")->src4.family, 0);

	/* A second address and a second link, on link, in another table. */
	run("ip addr add 198.51.100.2/24 dev qbw1 && ip route add default dev qbw1 table 77");
	AWAIT(get("qbw1")->has_default4);
	ck_assert_uint_eq(get("qbw1")->gw4.family, 0);
	/* The main table goes before others, low metrics before high ones. */
	run("ip route add default via 198.51.100.9 dev qbw1 metric 900");
	AWAIT(is_addr(&get("qbw1")->gw4, "198.51.100.9"));
	run("ip route add default via 198.51.100.8 dev qbw1 metric 800");
	AWAIT(is_addr(&get("qbw1")->gw4, "198.51.100.8"));
	run("ip route replace default via 198.51.100.7 dev qbw1 metric 800");
	AWAIT(is_addr(&get("qbw1")->gw4, "198.51.100.7"));
	run("ip route del default metric 800");
	AWAIT(is_addr(&get("qbw1")->gw4, "198.51.100.9"));

	/* A preferred source beats the first address; a lease renewed is no news. */
	run("ip addr add 192.0.2.3/24 dev qbw0 && ip route replace default via 192.0.2.1 metric "
	    "100 src 192.0.2.3");
	AWAIT(is_addr(&get("qbw0")->src4, "192.0.2.3"));
	run("ip addr change 192.0.2.2/24 dev qbw0 valid_lft 1000 preferred_lft 1000");
	ck_assert(is_readable(2000));
	qb_nl_process(nl);
	ck_assert(is_addr(&get("qbw0")->src4, "192.0.2.3"));

	/* Routes that the kernel drops in silence: with their preferred source, and with the
	 * interface. */
	run("ip addr del 192.0.2.3/24 dev qbw0");
	AWAIT(is_addr(&get("qbw0")->src4, "192.0.2.2"));
	ck_assert(!get("qbw0")->has_default4);
	run("ip link set qbw1 down");
	AWAIT(!get("qbw1")->has_default4);
	run("ip addr flush dev qbw0");
	ck_assert(changes());
	ck_assert_uint_eq(get("qbw0")->src4.family, 0);
}
END_TEST

START_TEST(ipv6_source_choice)
{
	up();
	run("ip addr add fd00::2/64 dev qbw0 nodad");
	AWAIT(is_addr(&get("qbw0")->src6, "fd00::2"));
	run("ip addr add 2001:db8::9/64 dev qbw0 nodad preferred_lft 0");
	ck_assert(changes());
	/* Deprecated: the local one stays. */
	ck_assert(is_addr(&get("qbw0")->src6, "fd00::2"));
	run("ip addr add 2001:db8::2/64 dev qbw0 nodad");
	AWAIT(is_addr(&get("qbw0")->src6, "2001:db8::2"));
	run("ip -6 route add default via fe80::1 dev qbw0");
	AWAIT(get("qbw0")->has_default6);
	ck_assert(is_addr(&get("qbw0")->gw6, "fe80::1"));
	ck_assert_uint_eq(get("qbw0")->gw6.scope_id, get("qbw0")->ifindex);
	run("ip -6 route del default");
	AWAIT(!get("qbw0")->has_default6);
	/* Tentative: not before duplicates are ruled out. */
	run("ip link set qbp1 down && ip addr add 2001:db8:1::2/64 dev qbw1");
	ck_assert(changes());
	ck_assert_uint_eq(get("qbw1")->src6.family, 0);
}
END_TEST

START_TEST(multipath_and_ipv6_gateway)
{
	up();
	run("ip addr add 192.0.2.2/24 dev qbw0 && ip addr add 198.51.100.2/24 dev qbw1");
	run("ip route add default nexthop via 192.0.2.1 dev qbw0 nexthop via 198.51.100.1 dev "
	    "qbw1");
	AWAIT(is_addr(&get("qbw0")->gw4, "192.0.2.1"));
	ck_assert(is_addr(&get("qbw1")->gw4, "198.51.100.1"));
	run("ip -4 route replace default via inet6 fe80::1 dev qbw0");
	AWAIT(is_addr(&get("qbw0")->gw4, "fe80::1"));
	ck_assert(!get("qbw1")->has_default4);
}
END_TEST

/* Whatever is there at the start is the same as what is told afterwards. */
START_TEST(dump_equals_events)
{
	const struct qb_if *a, *b;
	uint32_t cnt_a, cnt_b;
	struct qb_nl *first = nl;

	up();
	run("ip addr add 192.0.2.2/24 dev qbw0 && ip route add default via 192.0.2.1");
	run("ip addr add 2001:db8::2/64 dev qbw0 nodad && ip -6 route add default via 2001:db8::1");
	AWAIT(get("qbw0")->src6.family && get("qbw0")->gw6.family);
	a = qb_nl_interfaces(first, &cnt_a);
	open_nl();
	b = qb_nl_interfaces(nl, &cnt_b);
	ck_assert_uint_eq(cnt_a, cnt_b);
	for (uint32_t i = 0; i < cnt_a; i++)
		ck_assert_msg(memcmp(&a[i], &b[i], sizeof(*a)) == 0, "%s", a[i].name);
	qb_nl_close(first);
}
END_TEST

/* More messages than the socket holds: everything is listed anew. */
START_TEST(overrun_dumps_anew)
{
	FILE *f;

	up();
	while (is_readable(0))
		qb_nl_process(nl);
	f = popen("ip -batch -", "w");
	ck_assert_ptr_nonnull(f);
	for (int i = 0; i < 4000; i++)
		fprintf(f, "addr add 10.%d.%d.1/32 dev qbw1\naddr del 10.%d.%d.1/32 dev qbw1\n",
			i >> 8, i & 255, i >> 8, i & 255);
	fprintf(f, "addr add 192.0.2.2/24 dev qbw0\nroute add default via 192.0.2.1\n");
	ck_assert_int_eq(pclose(f), 0);
	ck_assert(output_has("awk 'NR > 1 && $9 > 0' /proc/net/netlink", " "));
	AWAIT(is_addr(&get("qbw0")->src4, "192.0.2.2"));
	ck_assert(is_addr(&get("qbw0")->gw4, "192.0.2.1"));
	ck_assert_uint_eq(get("qbw1")->src4.family, 0);
}
END_TEST

START_TEST(neighbours)
{
	struct qb_addr gw = addr("192.0.2.1"), gw6 = addr("2001:db8::1");
	const uint8_t want[6] = {2, 0, 0, 0, 0, 7};
	uint8_t mac[6];
	uint32_t ifindex;

	up();
	run("ip addr add 192.0.2.2/24 dev qbw0 && ip addr add 2001:db8::2/64 dev qbw0 nodad");
	ck_assert(changes());
	while (is_readable(0))
		qb_nl_process(nl);
	ifindex = get("qbw0")->ifindex;
	ck_assert_int_eq(qb_nl_neighbour(nl, ifindex, &gw, mac), -ENOENT);
	/* The kernel was asked, so it has an entry and sends requests. */
	ck_assert(output_has("ip neigh show dev qbw0", "192.0.2.1"));
	ck_assert_int_eq(qb_nl_neighbour(nl, ifindex, &gw6, mac), -ENOENT);
	ck_assert(output_has("ip neigh show dev qbw0", "2001:db8::1"));
	run("ip neigh replace 192.0.2.1 lladdr 02:00:00:00:00:07 dev qbw0 nud reachable");
	ck_assert(changes());
	ck_assert_int_eq(qb_nl_neighbour(nl, ifindex, &gw, mac), 0);
	ck_assert_mem_eq(mac, want, 6);
	/* The same again is no news; neighbours that nobody asked for are none either. */
	run("ip neigh replace 192.0.2.1 lladdr 02:00:00:00:00:07 dev qbw0 nud permanent");
	run("ip neigh replace 192.0.2.77 lladdr 02:00:00:00:00:77 dev qbw0 nud permanent");
	ck_assert(is_readable(2000));
	ck_assert(!qb_nl_process(nl));
	run("ip neigh replace 192.0.2.1 lladdr 02:00:00:00:00:08 dev qbw0 nud permanent");
	ck_assert(changes());
	ck_assert_int_eq(qb_nl_neighbour(nl, ifindex, &gw, mac), 0);
	ck_assert_uint_eq(mac[5], 8);
}
END_TEST

/* A stale neighbour is still good, and the kernel is made to ask again. */
START_TEST(stale_neighbour)
{
	struct qb_addr gw = addr("192.0.2.1");
	uint8_t mac[6];

	up();
	run("ip addr add 192.0.2.2/24 dev qbw0");
	ck_assert(changes());
	run("ip neigh replace 192.0.2.1 lladdr 02:00:00:00:00:07 dev qbw0 nud stale");
	ck_assert_int_eq(qb_nl_neighbour(nl, get("qbw0")->ifindex, &gw, mac), 0);
	ck_assert_uint_eq(mac[5], 7);
	ck_assert(!output_has("ip neigh show dev qbw0", "STALE"));
}
END_TEST

START_TEST(next_hops)
{
	struct qb_addr far = addr("203.0.113.5:4433"), near = addr("192.0.2.200"), hop;
	uint32_t w0, w1;

	up();
	run("ip addr add 192.0.2.2/24 dev qbw0 && ip addr add 198.51.100.2/24 dev qbw1");
	ck_assert(changes());
	w0 = get("qbw0")->ifindex;
	w1 = get("qbw1")->ifindex;
	ck_assert_int_eq(qb_nl_next_hop(nl, w0, &near, &hop), 0);
	ck_assert(is_addr(&hop, "192.0.2.200"));
	ck_assert_int_eq(qb_nl_next_hop(nl, w0, &far, &hop), -ENETUNREACH);
	ck_assert_int_eq(qb_nl_next_hop(nl, 4711, &far, &hop), -ENODEV);
	/* Two defaults: each interface has its own. */
	run("ip route add default via 192.0.2.1 metric 1 && ip route add default via 198.51.100.1 "
	    "metric 2");
	ck_assert(changes());
	ck_assert_int_eq(qb_nl_next_hop(nl, w0, &far, &hop), 0);
	ck_assert(is_addr(&hop, "192.0.2.1"));
	ck_assert_uint_eq(hop.port, 0);
	ck_assert_int_eq(qb_nl_next_hop(nl, w1, &far, &hop), 0);
	ck_assert(is_addr(&hop, "198.51.100.1"));
	/* A route of its own for the peer. */
	run("ip route add 203.0.113.0/24 via 198.51.100.33");
	ck_assert_int_eq(qb_nl_next_hop(nl, w1, &far, &hop), 0);
	ck_assert(is_addr(&hop, "198.51.100.33"));
	ck_assert_int_eq(qb_nl_next_hop(nl, w0, &far, &hop), 0);
	ck_assert(is_addr(&hop, "192.0.2.1"));
	/* A default in a table that no rule leads to. */
	run("ip route flush 203.0.113.0/24 && ip route flush default && ip route add default via "
	    "198.51.100.7 table 9");
	ck_assert(changes());
	ck_assert_int_eq(qb_nl_next_hop(nl, w1, &far, &hop), 0);
	ck_assert(is_addr(&hop, "198.51.100.7"));
	far = addr("2001:db8:9::1");
	ck_assert_int_eq(qb_nl_next_hop(nl, w1, &far, &hop), -ENETUNREACH);
	run("ip addr add 2001:db8::2/64 dev qbw1 nodad && ip -6 route add default via 2001:db8::1");
	ck_assert(changes());
	ck_assert_int_eq(qb_nl_next_hop(nl, w1, &far, &hop), 0);
	ck_assert(is_addr(&hop, "2001:db8::1"));
}
END_TEST

START_TEST(sets_addresses)
{
	struct qb_prefix p4 = prefix("10.64.0.2/32"), p6 = prefix("fd64::2/128");
	uint32_t ifindex;

	run("ip link set qbp0 up");
	ifindex = get("qbw0")->ifindex;
	ck_assert_int_eq(qb_nl_if_up(nl, ifindex, 1380), 0);
	AWAIT(get("qbw0")->is_up);
	ck_assert_uint_eq(get("qbw0")->mtu_bytes, 1380);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(qb_nl_addr_add(nl, ifindex, &p4), 0);
		ck_assert_int_eq(qb_nl_addr_add(nl, ifindex, &p6), 0);
	}
	AWAIT(is_addr(&get("qbw0")->src4, "10.64.0.2"));
	/* At once, without duplicate address detection. */
	AWAIT(is_addr(&get("qbw0")->src6, "fd64::2"));
	ck_assert_int_eq(qb_nl_addr_del(nl, ifindex, &p4), 0);
	ck_assert_int_eq(qb_nl_addr_del(nl, ifindex, &p4), -EADDRNOTAVAIL);
	ck_assert_int_eq(qb_nl_addr_del(nl, ifindex, &p6), 0);
	ck_assert(changes());
	ck_assert_uint_eq(get("qbw0")->src4.family + get("qbw0")->src6.family, 0);
	ck_assert_int_eq(qb_nl_if_up(nl, 4711, 0), -ENODEV);
}
END_TEST

START_TEST(sets_routes)
{
	struct qb_nl_route r = {
		.dst = prefix("0.0.0.0/0"), .table = QB_LINK_TABLE_DEFAULT, .mtu_bytes = 1380};
	const char *show = "ip -4 -d route show table 5181";

	up();
	run("ip addr add 192.0.2.2/24 dev qbw0 && ip addr add 2001:db8::2/64 dev qbw0 nodad");
	r.ifindex = get("qbw0")->ifindex;
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(qb_nl_route_add(nl, &r), 0);
	ck_assert(output_has(show, "unicast default dev qbw0 proto 81 scope link mtu 1380"));
	r.via = addr("192.0.2.9");
	r.src = addr("192.0.2.2");
	r.advmss_bytes = 1200;
	ck_assert_int_eq(qb_nl_route_add(nl, &r), 0);
	ck_assert(output_has(show, "default via 192.0.2.9 dev qbw0 proto 81 scope global src "
				   "192.0.2.2 mtu 1380 advmss 1200"));
	ck_assert(!output_has(show, "scope link"));
	ck_assert_int_eq(qb_nl_route_del(nl, &r), 0);
	ck_assert_int_eq(qb_nl_route_del(nl, &r), -ESRCH);
	ck_assert(!output_has(show, "default"));

	/* Where packets go to die while the hub is lost. */
	r = (struct qb_nl_route){
		.dst = prefix("::/0"), .table = QB_LINK_TABLE_DEFAULT, .metric = 4000};
	ck_assert_int_eq(qb_nl_route_add(nl, &r), 0);
	ck_assert(output_has("ip -6 -d route show table 5181",
			     "unreachable default dev lo proto 81"));
	ck_assert_int_eq(qb_nl_route_add(nl, &r), 0);
	ck_assert_int_eq(qb_nl_route_del(nl, &r), 0);
	ck_assert(!output_has("ip -6 -d route show table 5181", "default"));

	/* IPv6 by a gateway; twice is once. */
	r = (struct qb_nl_route){.dst = prefix("2001:db8:5::/48"),
				 .ifindex = get("qbw0")->ifindex,
				 .via = addr("2001:db8::1"),
				 .metric = 50};
	ck_assert_int_eq(qb_nl_route_add(nl, &r), 0);
	r.via = addr("2001:db8::3");
	ck_assert_int_eq(qb_nl_route_add(nl, &r), 0);
	ck_assert(output_has("ip -6 route show",
			     "2001:db8:5::/48 via 2001:db8::3 dev qbw0 proto 81 metric 50"));
	ck_assert(!output_has("ip -6 route show", "2001:db8::1"));
	/* IPv4 by an IPv6 router. */
	r = (struct qb_nl_route){.dst = prefix("203.0.113.0/24"),
				 .ifindex = get("qbw0")->ifindex,
				 .via = addr("fe80::1")};
	ck_assert_int_eq(qb_nl_route_add(nl, &r), 0);
	ck_assert(
		output_has("ip route show", "203.0.113.0/24 via inet6 fe80::1 dev qbw0 proto 81"));
}
END_TEST

/* A route of somebody else's is neither replaced nor removed; a predecessor's is taken over. */
START_TEST(respects_other_routes)
{
	struct qb_nl_route r = {
		.dst = prefix("203.0.113.0/24"), .via = addr("192.0.2.9"), .metric = 5};

	up();
	run("ip addr add 192.0.2.2/24 dev qbw0");
	r.ifindex = get("qbw0")->ifindex;
	run("ip route add 203.0.113.0/24 via 192.0.2.1 metric 5");
	ck_assert_int_eq(qb_nl_route_add(nl, &r), -EEXIST);
	ck_assert_int_eq(qb_nl_route_del(nl, &r), -ESRCH);
	ck_assert(output_has("ip route show", "203.0.113.0/24 via 192.0.2.1"));
	run("ip route del 203.0.113.0/24 && ip route add 203.0.113.0/24 via 192.0.2.1 metric 5 "
	    "proto 81");
	ck_assert_int_eq(qb_nl_route_add(nl, &r), 0);
	ck_assert(output_has("ip route show", "203.0.113.0/24 via 192.0.2.9"));
}
END_TEST

START_TEST(sets_rules)
{
	struct qb_nl_rule r4 = {.family = 4,
				.priority = 5181,
				.table = QB_LINK_TABLE_DEFAULT,
				.fwmark = 0x51,
				.is_inverted = true};
	struct qb_nl_rule r6 = {
		.family = 6, .priority = 5180, .table = 254, .suppress_prefix_len_plus1 = 1};
	struct qb_nl_rule from = {.family = 4,
				  .priority = 5179,
				  .table = 9,
				  .from = prefix("192.0.2.2/32"),
				  .to = prefix("198.51.100.0/24"),
				  .iif = "qbw0"};

	struct qb_nl_rule past[] = {
		{.family = 4, .priority = 5191, .goto_priority = 5199, .proto = 17, .dport_first = 53, .dport_last = 54,
		 .fwmark = 0x10, .fwmask = 0xf0},
		{.family = 6, .priority = 5191, .goto_priority = 5199, .fwmask = 3},
		{.family = 4, .priority = 5194, .table = 254, .is_not_tunnel = true},
		{.family = 4, .priority = 5198, .is_unreachable = true},
		{.family = 4, .priority = 5199, .is_nop = true},
	};

	for (size_t i = 0; i < QB_ARRAY_LEN(past); i++)
		ck_assert_int_eq(qb_nl_rule_add(nl, &past[i]), 0);
	ck_assert(output_has("ip -d -4 rule", "5191:\tfrom all fwmark 0x10/0xf0 ipproto udp dport 53-54 goto 5199 proto 81"));
	ck_assert(output_has("ip -d -6 rule", "5191:\tfrom all fwmark 0/0x3 goto 5199"));
	ck_assert(output_has("ip -d -4 rule", "5194:\tfrom all lookup main suppress_ifgroup 5181 proto 81"));
	ck_assert(output_has("ip -d -4 rule", "5198:\tfrom all unreachable proto 81"));
	ck_assert(output_has("ip -d -4 rule", "5199:\tfrom all nop proto 81"));
	for (size_t i = 0; i < QB_ARRAY_LEN(past); i++)
		ck_assert_int_eq(qb_nl_rule_del(nl, &past[i]), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(qb_nl_rule_add(nl, &r4), 0);
		ck_assert_int_eq(qb_nl_rule_add(nl, &r6), 0);
		ck_assert_int_eq(qb_nl_rule_add(nl, &from), 0);
	}
	ck_assert(output_has("ip -d -4 rule",
			     "5181:\tnot from all fwmark 0x51 lookup 5181 proto 81"));
	ck_assert(output_has("ip -d -6 rule",
			     "5180:\tfrom all lookup main suppress_prefixlength 0 proto 81"));
	ck_assert(output_has("ip -d -4 rule", "5179:\tfrom 192.0.2.2 to 198.51.100.0/24 iif qbw0"));
	ck_assert_int_eq(qb_nl_rule_del(nl, &r4), 0);
	ck_assert_int_eq(qb_nl_rule_del(nl, &r4), -ENOENT);
	ck_assert_int_eq(qb_nl_rule_del(nl, &r6), 0);
	ck_assert_int_eq(qb_nl_rule_del(nl, &from), 0);
	ck_assert(!output_has("ip -d rule; ip -d -6 rule", "proto 81"));
}
END_TEST

START_TEST(sweeps)
{
	struct qb_nl_rule rule = {.family = 4,
				  .priority = 5181,
				  .table = QB_LINK_TABLE_DEFAULT,
				  .fwmark = 1,
				  .is_inverted = true};
	struct qb_prefix p = prefix("10.64.0.2/32");
	struct qb_nl_route r = {.table = QB_LINK_TABLE_DEFAULT};

	up();
	run("ip addr add 192.0.2.2/24 dev qbw0 && ip addr add 2001:db8::2/64 dev qbw0 nodad");
	r.ifindex = get("qbw0")->ifindex;
	for (uint32_t i = 0; i < 100; i++) {
		char text[64];

		snprintf(text, sizeof(text), "10.1.%u.0/24", i);
		r.dst = prefix(text);
		ck_assert_int_eq(qb_nl_route_add(nl, &r), 0);
		snprintf(text, sizeof(text), "2001:db8:%u::/48", i + 1);
		r.dst = prefix(text);
		r.table = i & 1 ? 0 : 70000;
		ck_assert_int_eq(qb_nl_route_add(nl, &r), 0);
	}
	ck_assert_int_eq(qb_nl_rule_add(nl, &rule), 0);
	rule.family = 6;
	rule.suppress_prefix_len_plus1 = 1;
	ck_assert_int_eq(qb_nl_rule_add(nl, &rule), 0);
	ck_assert_int_eq(qb_nl_addr_add(nl, r.ifindex, &p), 0);
	run("ip route add 203.0.113.0/24 via 192.0.2.1 && ip route add default via 192.0.2.1 table "
	    "5181");
	run("ip rule add priority 99 lookup 5181");
	/* As after kill -9: another object sweeps. */
	qb_nl_close(nl);
	open_nl();
	ck_assert_int_eq(qb_nl_sweep(nl), 203);
	ck_assert(!output_has("ip -d rule; ip -d -6 rule; ip -d route show table all; ip -d -6 "
			      "route show table all",
			      "proto 81"));
	ck_assert(!output_has("ip addr", "10.64.0.2"));
	ck_assert(output_has("ip route", "203.0.113.0/24"));
	ck_assert(output_has("ip route show table 5181", "default via 192.0.2.1"));
	ck_assert(output_has("ip rule", "99:"));
	ck_assert_int_eq(qb_nl_sweep(nl), 0);
}
END_TEST

/* Our own default route into the tunnel does not make a link of the tunnel. */
START_TEST(own_default_is_none)
{
	struct qb_nl_route r = {.dst = prefix("0.0.0.0/0")};

	up();
	r.ifindex = get("qbw0")->ifindex;
	ck_assert_int_eq(qb_nl_route_add(nl, &r), 0);
	ck_assert(is_readable(2000));
	qb_nl_process(nl);
	ck_assert(!get("qbw0")->has_default4);
}
END_TEST

START_TEST(kinds_of_interfaces)
{
	static const struct {
		unsigned long arphrd;
		const char *uevent, *want;
	} rows[] = {
		{1, "INTERFACE=eth0\nIFINDEX=2\n", "ethernet"},
		{1, "DEVTYPE=wlan\nINTERFACE=wlan0\n", "wifi"},
		{1, "DEVTYPE=wwan\nINTERFACE=wwan0\n", "mobile"},
		{519, "INTERFACE=rmnet0\n", "mobile"},
		{512, "", "ppp"},
		{65534, "DEVTYPE=wireguard\n", "vpn"},
		{1, "DEVTYPE=wlanx\n", "ethernet"},
		{1, "DEVTYPE=", "ethernet"},
		{24, "DEVTYPE=what\n", "other"},
	};

	for (size_t i = 0; i < QB_ARRAY_LEN(rows); i++)
		ck_assert_str_eq(qb_link_kind(rows[i].arphrd, rows[i].uevent), rows[i].want);
	ck_assert_str_eq(qb_link_kind_of("lo"), "other");
	ck_assert_str_eq(qb_link_kind_of("nobody0"), "");
}
END_TEST

/* heard builds what nl80211 says of a station, and reads it. 0: without that attribute. */
static int heard(int8_t signal, int8_t average, int cut)
{
	struct nl_msg *msg = nlmsg_alloc();
	struct nlattr *info;
	int dbm;

	ck_assert_ptr_nonnull(genlmsg_put(msg, 1, 1, 28, 0, 0, NL80211_CMD_NEW_STATION, 1));
	ck_assert_int_eq(nla_put_u32(msg, NL80211_ATTR_IFINDEX, 3), 0);
	info = nla_nest_start(msg, NL80211_ATTR_STA_INFO);
	ck_assert_int_eq(nla_put_u32(msg, NL80211_STA_INFO_INACTIVE_TIME, 7), 0);
	if (signal)
		ck_assert_int_eq(nla_put_u8(msg, NL80211_STA_INFO_SIGNAL, (uint8_t)signal), 0);
	if (average)
		ck_assert_int_eq(nla_put_u8(msg, NL80211_STA_INFO_SIGNAL_AVG, (uint8_t)average), 0);
	nla_nest_end(msg, info);
	nlmsg_hdr(msg)->nlmsg_len -= (uint32_t)cut;
	dbm = qb_radio_parse(nlmsg_hdr(msg));
	nlmsg_free(msg);
	return dbm;
}

START_TEST(radios)
{
	struct qb_radio *r = qb_radio_open();

	ck_assert_int_eq(heard(-70, 0, 0), -70);
	ck_assert_int_eq(heard(-70, -64, 0), -64);
	ck_assert_int_eq(heard(0, 0, 0), 0);
	for (int cut = 4; cut < 40; cut += 4)
		ck_assert_int_eq(heard(-70, 0, cut), 0);
	/* Where this host knows nl80211, the loopback is none of its stations. */
	if (r)
		ck_assert_int_eq(qb_radio_dbm(r, 1), 0);
	qb_radio_close(r);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("link");
	TCase *tc = tcase_create("netlink");
	SRunner *sr;
	int failed;

	if (geteuid() != 0) {
		puts("SKIP: network namespaces need root");
		return 77;
	}
	if (system("ip -V >/dev/null 2>&1") != 0) {
		puts("SKIP: there is no ip command (iproute2)");
		return 77;
	}
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, kinds_of_interfaces);
	tcase_add_test(tc, radios);
	tcase_add_test(tc, interfaces_come_and_go);
	tcase_add_test(tc, addresses_and_default_routes);
	tcase_add_test(tc, ipv6_source_choice);
	tcase_add_test(tc, multipath_and_ipv6_gateway);
	tcase_add_test(tc, dump_equals_events);
	tcase_add_test(tc, overrun_dumps_anew);
	tcase_add_test(tc, neighbours);
	tcase_add_test(tc, stale_neighbour);
	tcase_add_test(tc, next_hops);
	tcase_add_test(tc, sets_addresses);
	tcase_add_test(tc, sets_routes);
	tcase_add_test(tc, respects_other_routes);
	tcase_add_test(tc, sets_rules);
	tcase_add_test(tc, sweeps);
	tcase_add_test(tc, own_default_is_none);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
