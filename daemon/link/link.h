/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Netlink: which interfaces, addresses, gateways and neighbours there are, as they come and go; and
 * the addresses, routes and rules that we set (route protocol number QB_RTPROT, a table of our
 * own), all of them removed again. Main thread only. libnl-3 underneath.
 */
#pragma once

#include "base/addr.h"

enum {
	QB_RTPROT = 81, /* route protocol number of every route and rule that we set */
	QB_LINK_IFS_MAX = 64,
	QB_LINK_TABLE_DEFAULT = 5181,
};

struct qb_nl;

/* What is known of one interface. */
struct qb_if {
	uint32_t ifindex;
	char name[16];
	bool is_up; /* IFF_UP and carrier */
	bool is_loopback, is_tun;
	uint32_t mtu_bytes;
	uint8_t mac[6];
	bool has_mac;		   /* an Ethernet-like device with one queueable MAC */
	struct qb_addr src4, src6; /* the address to send from: global, preferred; family 0: none */
	struct qb_addr gw4,
		gw6; /* next hop of its default route, or of an on-link default; family 0: none */
	bool has_default4, has_default6;
};

/* qb_link_kind_of says what kind of link an interface is: ethernet, wifi, mobile, ppp, vpn, bridge, bond, other; "": there is none. */
const char *qb_link_kind_of(const char *ifname);
/* qb_link_kind is the same of what sysfs has of it: its ARP hardware type and its uevent. */
const char *qb_link_kind(unsigned long arphrd, const char *uevent);

/*
 * qb_radio_open asks for nl80211; NULL: this host has none. qb_radio_dbm is the strength of what the interface hears, below 0; 0: it
 * is no radio, or hears nobody.
 */
struct qb_radio;
struct qb_radio *qb_radio_open(void);
void qb_radio_close(struct qb_radio *r);
int qb_radio_dbm(struct qb_radio *r, uint32_t ifindex);
/* qb_radio_parse is the same of a message about a station. */
struct nlmsghdr;
int qb_radio_parse(struct nlmsghdr *nlh);

enum { QB_MODEMS_MAX = 8 };

/* A modem, by one of its network interfaces. */
struct qb_modem {
	char ifname[16];
	char technology[8]; /* 2G, 3G, LTE, 5G; "": not known */
	bool has_quality;
	uint8_t quality_pct;
	int32_t dbm; /* below 0; 0: not known */
};

/*
 * qb_modems_new asks ModemManager on the system's bus, or (fd not negative, taken over) whoever is at the other end. NULL: out of
 * memory. qb_modems_poll takes answers, and asks when it is time: call it about once a second; it never waits. qb_modems_find: what
 * is known of the modem behind an interface, valid until the next poll; NULL: nothing.
 */
struct qb_modems;
struct qb_modems *qb_modems_new(int fd);
void qb_modems_free(struct qb_modems *all);
void qb_modems_poll(struct qb_modems *all, uint64_t now_ns);
const struct qb_modem *qb_modems_find(const struct qb_modems *all, const char *ifname);

/* qb_nl_open dumps everything and subscribes. Returns 0 or -errno with why in err. */
int qb_nl_open(struct qb_nl **out, char err[160]) QB_MUST_CHECK;
void qb_nl_close(struct qb_nl *nl);
/* qb_nl_fd: readable when something changed; then call qb_nl_process. */
int qb_nl_fd(const struct qb_nl *nl);
/* qb_nl_process reads all pending messages. Returns true when an interface, address, default route
 * or neighbour changed (also after an overrun, which dumps everything anew). */
bool qb_nl_process(struct qb_nl *nl);
/* qb_nl_interfaces: the present state of all interfaces; valid until the next qb_nl_process. */
const struct qb_if *qb_nl_interfaces(const struct qb_nl *nl, uint32_t *cnt);
const struct qb_if *qb_nl_if_by_name(const struct qb_nl *nl, const char *name);
const struct qb_if *qb_nl_if_by_index(const struct qb_nl *nl, uint32_t ifindex);
/* What the kernel counts of a device, seen from the kernel: what it gave to the device is tx. */
struct qb_nl_stats {
	bool is_up;
	uint32_t mtu_bytes, queue_len;
	uint64_t rx_packets, rx_bytes, rx_dropped, rx_errors;
	uint64_t tx_packets, tx_bytes, tx_dropped, tx_errors;
};
/* qb_nl_stats_read asks. Returns 0 or -errno. */
int qb_nl_stats_read(struct qb_nl *nl, uint32_t ifindex, struct qb_nl_stats *out) QB_MUST_CHECK;
/* qb_nl_addresses lists an interface's addresses, with their prefixes' lengths. Returns how many (<= cap). */
uint32_t qb_nl_addresses(const struct qb_nl *nl, uint32_t ifindex, struct qb_prefix *out, uint32_t cap);
/* qb_nl_neighbour stores the MAC of an on-link address. Returns 0, -ENOENT (and asks the kernel to
 * resolve it). */
int qb_nl_neighbour(struct qb_nl *nl, uint32_t ifindex, const struct qb_addr *ip,
		    uint8_t mac[6]) QB_MUST_CHECK;
/* qb_nl_next_hop: the on-link address by which dst is reached through an interface (gateway or dst
 * itself). */
int qb_nl_next_hop(struct qb_nl *nl, uint32_t ifindex, const struct qb_addr *dst,
		   struct qb_addr *hop) QB_MUST_CHECK;

/* ---- what we set ---- */

int qb_nl_if_up(struct qb_nl *nl, uint32_t ifindex, uint32_t mtu_bytes) QB_MUST_CHECK;
int qb_nl_addr_add(struct qb_nl *nl, uint32_t ifindex, const struct qb_prefix *p) QB_MUST_CHECK;
int qb_nl_addr_del(struct qb_nl *nl, uint32_t ifindex, const struct qb_prefix *p);

struct qb_nl_route {
	struct qb_prefix dst;
	uint32_t ifindex;      /* 0: an unreachable route, where packets end */
	struct qb_addr via;    /* family 0: on link */
	struct qb_addr src;    /* preferred source; family 0: none */
	uint32_t table;	       /* 0: main */
	uint32_t metric;       /* 0: the kernel's default */
	uint32_t mtu_bytes;    /* 0: none */
	uint32_t advmss_bytes; /* 0: none */
};
/* Routes carry QB_RTPROT. Adding one that is there already is fine. */
int qb_nl_route_add(struct qb_nl *nl, const struct qb_nl_route *r) QB_MUST_CHECK;
int qb_nl_route_del(struct qb_nl *nl, const struct qb_nl_route *r);

struct qb_nl_rule {
	uint8_t family;
	uint32_t priority;
	uint32_t table;
	struct qb_prefix from;		    /* family 0: any */
	struct qb_prefix to;		    /* family 0: any */
	char iif[16];			    /* "": any */
	uint32_t suppress_prefix_len_plus1; /* 0: none */
	bool is_inverted;
	uint32_t fwmark; /* 0: none */
	uint32_t fwmask; /* 0: all of it */
	uint8_t proto;	 /* 0: any */
	uint16_t dport_first, dport_last; /* 0: any */
	/* What it does, other than to ask its table: */
	uint32_t goto_priority; /* 0: it does not */
	bool is_nop, is_unreachable;
	bool is_not_tunnel; /* what the table has is not taken where it leads to a device that qb_nl_sign has signed */
};
int qb_nl_rule_add(struct qb_nl *nl, const struct qb_nl_rule *r) QB_MUST_CHECK;
int qb_nl_rule_del(struct qb_nl *nl, const struct qb_nl_rule *r);
/*
 * qb_nl_sign writes QB_IF_ALIAS on our TUN device and puts it into the group QB_IF_GROUP, and qb_nl_is_alone tells whether no other device
 * in this network namespace with that alias is in use: if one is, a second quicbondd lives here, and
 * what has our protocol number may be its.
 */
#define QB_IF_ALIAS "quicbond"
#define QB_IF_GROUP 5181u
int qb_nl_sign(struct qb_nl *nl, uint32_t ifindex);
bool qb_nl_is_alone(struct qb_nl *nl, uint32_t own_ifindex);
/*
 * qb_nl_sweep removes every route and rule with QB_RTPROT: at start (after a kill -9) and at exit,
 * by who is alone. Returns how many.
 */
int qb_nl_sweep(struct qb_nl *nl);
