/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The endpoint of quicbond-client and quicbond-server: QUIC (quic/quic.h) over UDP ports (net/net.h)
 * in one thread. The owner runs rounds and reads events from io->quic.
 */
#pragma once

#include <stdio.h>

#include "net/net.h"
#include "os/os.h"
#include "quic/quic.h"

enum { QB_INTEROP_PORTS = 8, QB_INTEROP_ERR_LEN = 200 };

struct qb_interop_cfg {
	bool is_server;
	const char *alpn;
	/* Client: how to look at the server. */
	enum qb_tls_check check;
	const char *ca_file;
	const char *name;
	/* Server: an ordinary certificate and its key (PEM files). */
	const char *cert_file, *key_file;
	const char *keylog_file; /* NULL: none */
	const char *cc;
	uint32_t streams; /* of the peer's, of each kind, at once */
	uint32_t max_path_id; /* UINT32_MAX: no multipath */
	uint64_t idle_ns, handshake_ns;
	struct qb_addr preferred4, preferred6; /* server: where clients are asked to go */
	bool is_retry;
	bool is_early; /* 0-RTT: send in it, or take it */
	bool is_v2; /* from v1 on to v2, with peers that have it */
};

struct qb_interop_port {
	struct qb_net *net; /* NULL: free */
	bool is_ready, is_rebound;
	struct qb_addr told; /* its address as QUIC knows it */
	struct qb_batch out;
};

struct qb_interop {
	struct qb_quic *quic;
	struct qb_tls_ctx *tls;
	struct qb_tickets *tickets; /* server: good while it runs */
	struct qb_counters counters;
	struct qb_depot depot;
	struct qb_pool pool;
	struct qb_pages frames, bufs, mem;
	int epoll_fd;
	FILE *keylog;
	struct qb_interop_port port[QB_INTEROP_PORTS];
};

/* qb_interop_open returns 0 or -errno with why in err; qb_interop_close undoes it, also half of it. */
int qb_interop_open(struct qb_interop *io, const struct qb_interop_cfg *cfg,
		    char err[QB_INTEROP_ERR_LEN]) QB_MUST_CHECK;
void qb_interop_close(struct qb_interop *io);
/* qb_interop_add_port binds a UDP port and returns its index, which is its link in tuples, or -errno. */
int qb_interop_add_port(struct qb_interop *io, const struct qb_addr *local,
			char err[QB_INTEROP_ERR_LEN]) QB_MUST_CHECK;
/*
 * qb_interop_rebind closes a port and goes on from another one in its place, without a word to QUIC:
 * as when a NAT forgets a mapping. Returns 0 or -errno.
 */
int qb_interop_rebind(struct qb_interop *io, int port, char err[QB_INTEROP_ERR_LEN]) QB_MUST_CHECK;
/* qb_interop_round sends what is due, waits until something comes or until_ns at the latest, and receives. */
void qb_interop_round(struct qb_interop *io, uint64_t until_ns);
/* qb_interop_flush sends what is due and does not wait. */
void qb_interop_flush(struct qb_interop *io);

/* qb_interop_read_file returns a file's text in memory of malloc's; NULL with why in err. */
char *qb_interop_read_file(const char *path, char err[QB_INTEROP_ERR_LEN]);
/* qb_interop_source finds the address that packets to a peer leave from. Returns 0 or -errno. */
int qb_interop_source(const struct qb_addr *peer, struct qb_addr *out) QB_MUST_CHECK;
