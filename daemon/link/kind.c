/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What kind of link an interface is, as sysfs tells: for people who look at `links`. Main thread,
 * when somebody asks.
 */
#include "link/link.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"

/* read_file reads a small file of the interface's folder. Returns how much, or -errno. */
static ssize_t read_file(const char *ifname, const char *file, char *out, size_t cap)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/class/net/%.15s/%s", ifname, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, out, cap - 1);
	close(fd);
	out[n > 0 ? n : 0] = '\0';
	return n;
}

const char *qb_link_kind(unsigned long arphrd, const char *uevent)
{
	static const struct {
		const char *devtype, *kind;
	} devtypes[] = {
		{"wlan", "wifi"},     {"wwan", "mobile"},   {"ppp", "ppp"},   {"wireguard", "vpn"},
		{"bridge", "bridge"}, {"vlan", "ethernet"}, {"bond", "bond"},
	};
	const char *at = strstr(uevent, "DEVTYPE=");
	size_t len = at ? strcspn(at + 8, "\n") : 0;

	for (size_t i = 0; at && i < QB_ARRAY_LEN(devtypes); i++)
		if (strlen(devtypes[i].devtype) == len &&
		    strncmp(at + 8, devtypes[i].devtype, len) == 0)
			return devtypes[i].kind;
	switch (arphrd) {
	case ARPHRD_ETHER:
		return "ethernet";
	case ARPHRD_PPP:
		return "ppp";
	case ARPHRD_RAWIP: /* what modems without Ethernet headers are */
		return "mobile";
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_NONE:
		return "vpn";
	default:
		return "other";
	}
}

const char *qb_link_kind_of(const char *ifname)
{
	char type[32], uevent[512];

	if (read_file(ifname, "type", type, sizeof(type)) <= 0)
		return "";
	if (read_file(ifname, "uevent", uevent, sizeof(uevent)) < 0)
		uevent[0] = '\0';
	return qb_link_kind(strtoul(type, NULL, 10), uevent);
}
