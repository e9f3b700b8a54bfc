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

#include "net/internal.h"

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

static int read_number(const char *name, long *out)
{
	char text[32], *end;
	ssize_t len;
	int fd;

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

int qb_net_sysctl(const char *path, long *out)
{
	char name[128];

	snprintf(name, sizeof(name), "/proc/sys/%s", path);
	return read_number(name, out);
}

/* Preferred busy polling keeps a device's interrupts off for as long as these two have it. */
bool qb_net_may_busy_poll(const char *ifname)
{
	static const char *const names[] = {"napi_defer_hard_irqs", "gro_flush_timeout"};

	for (size_t i = 0; i < QB_ARRAY_LEN(names); i++) {
		char name[128];
		long value;

		snprintf(name, sizeof(name), "/sys/class/net/%.15s/%s", ifname, names[i]);
		if (read_number(name, &value) == 0 && value == 0)
			return false;
	}
	return true;
}

uint64_t qb_net_busy_polled(void)
{
	static const char column[] = "BusyPollRxPackets";
	char names[4096], values[4096], *n_at, *v_at, *n, *v;
	FILE *f = fopen("/proc/net/netstat", "re");
	uint64_t found = 0;

	if (!f)
		return 0;
	/* A line of names, and below it one of values. */
	while (found == 0 && fgets(names, sizeof(names), f) && fgets(values, sizeof(values), f)) {
		n = strtok_r(names, " \n", &n_at);
		v = strtok_r(values, " \n", &v_at);
		while (n && v && strcmp(n, column) != 0) {
			n = strtok_r(NULL, " \n", &n_at);
			v = strtok_r(NULL, " \n", &v_at);
		}
		if (n && v)
			found = strtoull(v, NULL, 10);
	}
	fclose(f);
	return found;
}
