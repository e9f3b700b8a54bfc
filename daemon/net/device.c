/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a network device is set to, by ethtool's ioctls and /proc/sys: for `doctor`. Main thread,
 * when somebody asks.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net.h"

static int ask(int fd, const char *ifname, void *cmd)
{
	struct ifreq ifr = {.ifr_data = cmd};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	return ioctl(fd, SIOCETHTOOL, &ifr) == 0 ? 0 : -errno;
}

/* A feature that the driver does not tell of is taken for one that is as it should be. */
static bool ask_value(int fd, const char *ifname, uint32_t cmd, bool otherwise)
{
	struct ethtool_value v = {.cmd = cmd};

	return ask(fd, ifname, &v) == 0 ? v.data != 0 : otherwise;
}

int qb_net_device_read(const char *ifname, struct qb_net_device *out)
{
	struct ethtool_ringparam ring = {.cmd = ETHTOOL_GRINGPARAM};
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memset(out, 0, sizeof(*out));
	if (fd < 0)
		return -errno;
	if (ask(fd, ifname, &ring) == 0) {
		out->rx_ring = ring.rx_pending;
		out->rx_ring_max = ring.rx_max_pending;
	}
	out->has_tx_csum = ask_value(fd, ifname, ETHTOOL_GTXCSUM, true);
	out->has_gro = ask_value(fd, ifname, ETHTOOL_GGRO, true);
	out->has_lro = ask(fd, ifname, &flags) == 0 && flags.data & ETH_FLAG_LRO;
	close(fd);
	return 0;
}

int qb_net_sysctl(const char *path, long *out)
{
	char name[128], text[32], *end;
	ssize_t len;
	int fd;

	snprintf(name, sizeof(name), "/proc/sys/%s", path);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return -EIO;
	text[len] = '\0';
	*out = strtol(text, &end, 10);
	return end == text ? -EBADMSG : 0;
}
