/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A place in the libxdp dispatcher that others have put on an interface. The kernel lets only a
 * process with all of root's rights look into a dispatcher, and a place there outlives whoever took
 * it. So a small process that keeps those rights, the joiner, takes the place for the daemon, hands
 * it the program's maps, and gives the place back when the daemon asks or is no more.
 */
#pragma once

#include <sys/types.h>

#include "net/xif.h"

struct bpf_map;

enum {
	QB_JOIN_WHY_LEN = 96,
	QB_JOIN_GUARD_MAPS = 6,
	QB_JOIN_FDS_MAX = 8, /* of a message */
};

enum qb_join_verb {
	QB_JOIN_ENTER, /* guard maps come with it, for a server */
	QB_JOIN_LEAVE,
	QB_JOIN_LOOK, /* is the program still in the dispatcher? */
};

/* The maps that come with the answer to QB_JOIN_ENTER. */
enum qb_join_map {
	QB_JOIN_XSKS,
	QB_JOIN_LOCALS,
	QB_JOIN_COUNTERS,
	QB_JOIN_PORT_BITS,
	QB_JOIN_MAP_CNT,
};

struct qb_join_request {
	enum qb_join_verb verb;
	uint32_t ifindex;
	uint32_t prog_id; /* leave, look */
	bool is_native;	  /* enter: the mode that the dispatcher has to be in */
	struct qb_steer_params params;
};

struct qb_join_answer {
	int rc; /* 0 or -errno */
	uint32_t prog_id;
	char why[QB_JOIN_WHY_LEN]; /* of rc */
};

/* qb_join_maps lists the maps of a skeleton in the order in which they travel. */
void qb_join_maps(const struct xdp_steer *s, struct bpf_map *out[QB_JOIN_MAP_CNT]);
/* qb_joiner_run serves the daemon on the socket until that is closed at the other end. */
void qb_joiner_run(int fd);
/* qb_join_send and qb_join_recv: one message with descriptors. recv returns its bytes, 0 at the
 * end, or -errno. */
int qb_join_send(int fd, const void *msg, size_t bytes, const int *fds,
		 uint32_t fd_cnt) QB_MUST_CHECK;
ssize_t qb_join_recv(int fd, void *msg, size_t bytes, int *fds, uint32_t *fd_cnt);

/*
 * qb_join_enter puts the program into the dispatcher on the interface and makes the skeleton whose
 * maps are the program's. Returns 0, or -errno with why: -EOPNOTSUPP where there is no joiner,
 * -EBUSY where what is on the interface is no dispatcher.
 */
int qb_join_enter(struct qb_net_if *i, bool is_native, char why[QB_JOIN_WHY_LEN]) QB_MUST_CHECK;
void qb_join_leave(struct qb_net_if *i);
/* qb_join_look returns 0 where the program is still in the dispatcher, -ENOENT where it is not, or
 * why that is not known. */
int qb_join_look(const struct qb_net_if *i);
