/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opens UDP sockets for the UDP backend: don't-fragment with path MTU left to QUIC, destination
 * address and ECN of what arrives, GRO, large buffers, and bound to an interface where a link asks
 * for that. Called while a port is opened, never per packet.
 */
#include "net/sock.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	/* A worker that stalls for a few ms at 10 Gbit/s must not lose packets. */
	RCVBUF_BYTES = 8 << 20,
	SNDBUF_BYTES = 2 << 20,
};

struct sock_opt {
	int level, name, value;
	bool is_needed;
	const char *text;
};

/* clang-format off */
static const struct sock_opt opts4[] = {
	{IPPROTO_IP,   IP_MTU_DISCOVER,   IP_PMTUDISC_PROBE,   true,  "IP_MTU_DISCOVER"},
	{IPPROTO_IP,   IP_PKTINFO,        1,                   true,  "IP_PKTINFO"},
	{IPPROTO_IP,   IP_RECVTOS,        1,                   true,  "IP_RECVTOS"},
	{IPPROTO_UDP,  UDP_GRO,           1,                   false, "UDP_GRO"},
	{SOL_SOCKET,   SO_TIMESTAMPNS,    1,                   false, "SO_TIMESTAMPNS"},
};

static const struct sock_opt opts6[] = {
	{IPPROTO_IPV6, IPV6_V6ONLY,       1,                   true,  "IPV6_V6ONLY"},
	{IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE, true,  "IPV6_MTU_DISCOVER"},
	{IPPROTO_IPV6, IPV6_RECVPKTINFO,  1,                   true,  "IPV6_RECVPKTINFO"},
	{IPPROTO_IPV6, IPV6_RECVTCLASS,   1,                   true,  "IPV6_RECVTCLASS"},
	{IPPROTO_UDP,  UDP_GRO,           1,                   false, "UDP_GRO"},
	{SOL_SOCKET,   SO_TIMESTAMPNS,    1,                   false, "SO_TIMESTAMPNS"},
};
/* clang-format on */

socklen_t qb_sockaddr_set(union qb_sockaddr *sa, const struct qb_addr *a)
{
	memset(sa, 0, sizeof(*sa));
	if (a->family == 6) {
		sa->in6.sin6_family = AF_INET6;
		sa->in6.sin6_port = htons(a->port);
		sa->in6.sin6_scope_id = a->scope_id;
		memcpy(&sa->in6.sin6_addr, a->ip, 16);
		return sizeof(sa->in6);
	}
	sa->in.sin_family = AF_INET;
	sa->in.sin_port = htons(a->port);
	memcpy(&sa->in.sin_addr, a->ip, 4);
	return sizeof(sa->in);
}

void qb_sockaddr_get(const union qb_sockaddr *sa, struct qb_addr *out)
{
	memset(out, 0, sizeof(*out));
	if (sa->sa.sa_family == AF_INET6) {
		out->family = 6;
		out->port = ntohs(sa->in6.sin6_port);
		out->scope_id = sa->in6.sin6_scope_id;
		memcpy(out->ip, &sa->in6.sin6_addr, 16);
	} else if (sa->sa.sa_family == AF_INET) {
		out->family = 4;
		out->port = ntohs(sa->in.sin_port);
		memcpy(out->ip, &sa->in.sin_addr, 4);
	}
}

static int set_opts(int fd, const struct sock_opt *opts, size_t cnt, char err[QB_NET_ERR_LEN])
{
	for (size_t i = 0; i < cnt; i++) {
		const struct sock_opt *o = &opts[i];

		if (setsockopt(fd, o->level, o->name, &o->value, sizeof(o->value)) == 0 ||
		    !o->is_needed)
			continue;
		snprintf(err, QB_NET_ERR_LEN, "setsockopt %s: %m", o->text);
		return -errno;
	}
	return 0;
}

/* The FORCE form passes the host's rmem_max, but wants CAP_NET_ADMIN. */
static void set_buffer(int fd, int forced, int plain, int bytes)
{
	if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof(bytes)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof(bytes));
}

static int bind_device(int fd, const struct qb_net_cfg *cfg, char err[QB_NET_ERR_LEN])
{
	const char *ifname = qb_net_ifname(cfg);

	if (!cfg->is_bound_to_device || ifname[0] == '\0')
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ifname, (socklen_t)strlen(ifname)) == 0)
		return 0;
	snprintf(err, QB_NET_ERR_LEN, "cannot bind a socket to interface %s: %m", ifname);
	return -errno;
}

static int bind_addr(int fd, const struct qb_net_cfg *cfg, uint8_t family, uint16_t port,
		     char err[QB_NET_ERR_LEN])
{
	struct qb_addr a = {.family = family, .port = port};
	char text[QB_ADDR_STRLEN];
	union qb_sockaddr sa;
	socklen_t len;
	int rc;

	if (cfg->local.family == family) {
		memcpy(a.ip, cfg->local.ip, sizeof(a.ip));
		a.scope_id = cfg->local.scope_id;
	}
	len = qb_sockaddr_set(&sa, &a);
	if (bind(fd, &sa.sa, len) == 0)
		return 0;
	rc = -errno;
	snprintf(err, QB_NET_ERR_LEN, "cannot bind UDP %s: %m", qb_addr_format(&a, text));
	return rc;
}

static int configure(int fd, const struct qb_net_cfg *cfg, uint8_t family, char err[QB_NET_ERR_LEN])
{
	int one = 1;
	int rc;

	if (family == 6)
		rc = set_opts(fd, opts6, QB_ARRAY_LEN(opts6), err);
	else
		rc = set_opts(fd, opts4, QB_ARRAY_LEN(opts4), err);
	if (rc)
		return rc;
	set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, RCVBUF_BYTES);
	set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, SNDBUF_BYTES);
	if (cfg->is_server && cfg->worker_cnt > 1 &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0) {
		snprintf(err, QB_NET_ERR_LEN, "setsockopt SO_REUSEPORT: %m");
		return -errno;
	}
	return bind_device(fd, cfg, err);
}

int qb_sock_open(const struct qb_net_cfg *cfg, uint8_t family, uint16_t port,
		 char err[QB_NET_ERR_LEN])
{
	int fd, rc;

	fd = socket(family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		rc = -errno;
		snprintf(err, QB_NET_ERR_LEN, "no IPv%u sockets here: %m", family);
		return rc;
	}
	rc = configure(fd, cfg, family, err);
	if (rc == 0)
		rc = bind_addr(fd, cfg, family, port, err);
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

void qb_sock_local(int fd, struct qb_addr *out)
{
	union qb_sockaddr sa = {0};
	socklen_t len = sizeof(sa);

	if (getsockname(fd, &sa.sa, &len) != 0)
		memset(&sa, 0, sizeof(sa));
	qb_sockaddr_get(&sa, out);
}
