/* SPDX-License-Identifier: BSD-2-Clause */
/* The TUN device as tun/'s files share it. Internal to tun/. */
#pragma once

#include <net/if.h>

#include "tun/coalesce.h"
#include "tun/segment.h"
#include "tun/tun.h"

enum {
	/* The longest packet and a tag. */
	QB_TUN_SCRATCH_BYTES = 65536 + QB_CACHELINE,
};

struct tun_marks; /* the skeleton of bpf/tun_marks.bpf.c */

struct qb_tun_queue {
	int fd;
	bool has_offload, has_uso;
	bool has_marks;	       /* packets may be tagged; set once by the main thread; atomic */
	uint16_t marks;	       /* of the packet in `cut` */
	struct qb_segment cut; /* what was read last; pieces left: goes on with the next read */
	struct virtio_net_hdr_v1 vh;
	uint8_t scratch[QB_TUN_SCRATCH_BYTES];
	struct qb_joiner joiner;
};

struct qb_tun {
	char name[IFNAMSIZ];
	uint32_t ifindex;
	uint32_t queue_cnt;
	struct qb_tun_queue **queue;
	struct tun_marks *marks; /* NULL: none is wanted yet */
};

/* qb_tun_drop_marks gives up what set_marks made; the program itself goes with the device. */
void qb_tun_drop_marks(struct qb_tun *t);
