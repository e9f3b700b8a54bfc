/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP sockets with every option that the datapath wants, and addresses in the kernel's form. */
#pragma once

#include <netinet/in.h>

#include "net/internal.h"

union qb_sockaddr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* qb_sockaddr_set writes the kernel's form of an address and returns its length. */
socklen_t qb_sockaddr_set(union qb_sockaddr *sa, const struct qb_addr *a);
/* qb_sockaddr_get reads it back; families other than IP give family 0. */
void qb_sockaddr_get(const union qb_sockaddr *sa, struct qb_addr *out);

/*
 * qb_sock_open makes a bound, nonblocking UDP socket of one family for cfg->local's address and
 * `port`. Returns the descriptor or -errno with why in err.
 */
int qb_sock_open(const struct qb_net_cfg *cfg, uint8_t family, uint16_t port,
		 char err[QB_NET_ERR_LEN]);
/* qb_sock_local: the address and port that the kernel has it bound to. */
void qb_sock_local(int fd, struct qb_addr *out);
