/* SPDX-License-Identifier: BSD-2-Clause */
/* What `ethtool -K` does for the handful of offloads that change how packets look between two
 * interfaces. */
#include "tools/netem_host.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FEATURES_MAX = 1024 };

/* The kernel's names (ethtool -k shows friendlier ones for some). */
static const char *const names[] = {
	"tx-checksum-ipv4",	"tx-checksum-ip-generic",     "tx-checksum-ipv6",
	"tx-checksum-sctp",	"tx-scatter-gather-fraglist", "tx-generic-segmentation",
	"tx-tcp-segmentation",	"tx-tcp-ecn-segmentation",    "tx-tcp-mangleid-segmentation",
	"tx-tcp6-segmentation", "tx-udp-segmentation",	      "rx-gro",
	"rx-gro-list",		"rx-udp-gro-forwarding",      "rx-lro",
};

static bool is_listed(const char *name)
{
	for (size_t i = 0; i < QB_ARRAY_LEN(names); i++)
		if (strncmp(names[i], name, ETH_GSTRING_LEN) == 0)
			return true;
	return false;
}

static int ask(int fd, struct ifreq *ifr, void *cmd)
{
	ifr->ifr_data = cmd;
	return ioctl(fd, SIOCETHTOOL, ifr) < 0 ? -errno : 0;
}

/* feature_cnt asks how many features this kernel knows. */
static int feature_cnt(int fd, struct ifreq *ifr, uint32_t *cnt)
{
	union {
		struct ethtool_sset_info info;
		uint8_t room[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
	} q = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES}};
	int ret = ask(fd, ifr, &q);

	*cnt = q.info.data[0];
	return ret ? ret : (*cnt == 0 || *cnt > FEATURES_MAX) ? -EOPNOTSUPP : 0;
}

static int set_features(int fd, struct ifreq *ifr, uint32_t cnt, bool is_on)
{
	struct ethtool_gstrings *strings =
		calloc(1, sizeof(*strings) + (size_t)cnt * ETH_GSTRING_LEN);
	uint32_t blocks = (cnt + 31) / 32;
	struct ethtool_sfeatures *want =
		calloc(1, sizeof(*want) + blocks * sizeof(want->features[0]));
	int ret = -ENOMEM;

	if (!strings || !want)
		goto out;
	strings->cmd = ETHTOOL_GSTRINGS;
	strings->string_set = ETH_SS_FEATURES;
	strings->len = cnt;
	ret = ask(fd, ifr, strings);
	if (ret)
		goto out;
	want->cmd = ETHTOOL_SFEATURES;
	want->size = blocks;
	for (uint32_t i = 0; i < cnt; i++) {
		if (!is_listed((const char *)strings->data + (size_t)i * ETH_GSTRING_LEN))
			continue;
		want->features[i / 32].valid |= 1u << i % 32;
		want->features[i / 32].requested |= is_on ? 1u << i % 32 : 0;
	}
	/* Features that a device does not have, or cannot change, are passed over. */
	ret = ask(fd, ifr, want);
out:
	free(strings);
	free(want);
	return ret;
}

int qb_netem_offload_set(const char *ifname, bool is_on)
{
	struct ifreq ifr = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint32_t cnt;
	int ret;

	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	ret = feature_cnt(fd, &ifr, &cnt);
	if (!ret)
		ret = set_features(fd, &ifr, cnt, is_on);
	close(fd);
	return ret;
}
