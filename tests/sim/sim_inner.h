/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A QUIC transfer inside the tunnel: a client behind the edge and a server behind the hub, both our
 * own QUIC from handshake to congestion control, with an endless stream one way. Where struct flow
 * models what a sender does, this is one.
 */
#pragma once

#include "sim.h"

struct inner;

struct inner_cfg {
	uint64_t seed;
	uint32_t id;		   /* names the flow, in the client's port */
	enum sim_dir dir;	   /* of the data */
	const char *cc;		   /* of both ends */
	struct qb_tls_ctx *tls[2]; /* client, server; borrowed */
	struct qb_depot *depot;	   /* borrowed */
};

struct inner *inner_new(const struct inner_cfg *cfg, uint64_t now_ns);
void inner_free(struct inner *in);
/* inner_next_ns: when inner_send wants to be called, for either end, at the latest. */
uint64_t inner_next_ns(const struct inner *in);
/* inner_send appends the client's (behind the edge) or the server's inner packets that are due, in
 * buffers of `pool`. True: there are more. */
bool inner_send(struct inner *in, bool is_server, struct qb_pool *pool, struct qb_batch *out,
		uint64_t now_ns);
/* inner_recv takes an inner packet that came out on that end's side; b stays the caller's. */
void inner_recv(struct inner *in, bool is_server, const struct qb_buf *b, uint64_t now_ns);
/* inner_read_bytes: of the stream, so far. inner_path tells about the sender's path; false: there
 * is none (yet). */
uint64_t inner_read_bytes(const struct inner *in);
bool inner_path(const struct inner *in, uint64_t now_ns, struct qb_path_info *out);
