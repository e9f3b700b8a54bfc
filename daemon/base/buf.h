/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One packet, one buffer. A frame is 2,048 bytes (or 4,096, where a driver wants more) of one big area that AF_XDP may register as its UMEM;
 * beside it lies a descriptor, struct qb_buf. Headers are written in front of the payload, the packet is
 * sealed and opened in place, and the NIC or the TUN device reads the same bytes.
 *
 *     frame: | headroom ......... | payload ............... | tailroom (AEAD tag) |
 *            ^ frame              ^ data          data+len ^                      ^ frame + QB_FRAME_BYTES
 *
 * A worker takes buffers from its own qb_pool (no lock); pools trade batches with the shared qb_depot
 * under a spin lock, because with several workers on one NIC queue a frame may come home elsewhere.
 *
 * The first frames of the area are the UMEM: memory that the kernel holds for AF_XDP from the start, and which is
 * small for that. The others cost nothing until they are used. Whoever asks for a buffer gets one of the others,
 * as long as there are any; but one of the UMEM where a NIC sends from it, unless these are short.
 *
 * An empty pool is a counted drop, never an allocation. A buffer may have more than one holder: while a packet is
 * on its way, the bond keeps it for the case that it is lost.
 */
#pragma once

#include "base/addr.h"
#include "base/base.h"
#include "base/counters.h"

enum {
	QB_FRAME_BYTES = 2048,
	QB_FRAME_BYTES_MAX = 4096,
	/*
	 * Room in front of an inner packet for all that the stages prepend: Ethernet and VLAN (18), IPv6
	 * and UDP (48), QUIC short header (1 + 20 + 4), piggybacked ACK frames, DATAGRAM type, quarter
	 * stream ID and context ID, bond header. AF_XDP itself keeps XDP_PACKET_HEADROOM apart.
	 */
	QB_HEADROOM = 320,
	QB_TAILROOM = 32,
	QB_BATCH_MAX = 64,
	QB_POOL_CACHE = 512,
	QB_POOL_UMEM_CACHE = 128, /* of the UMEM's frames: they are few */
};

struct qb_buf {
	uint8_t *data; /* first byte of the packet as the present stage sees it */
	uint32_t len;
	uint32_t idx; /* of the frame in its area */
	struct qb_tuple tuple;
	uint64_t rx_ns; /* when it came in (from a NIC or from the TUN device) */
	void *conn;	/* struct qb_conn the datagram belongs to (receive), or NULL */
	uint64_t meta;	/* the stage's own: bond keeps its flow hash and class here */
	uint32_t seq;	/* bond: tunnel sequence number */
	uint16_t delta; /* bond: distance to the flow's previous packet, 0 for none */
	uint8_t path;	/* index of the QUIC path it came by or leaves by */
	uint8_t flags;	/* enum qb_buf_flag */
	uint32_t ref_cnt; /* who still needs the frame; the last one's qb_buf_put frees it */
	uint16_t marks;	  /* of those that policies name, which the packet had as it came to the TUN device, a bit each */
	struct qb_buf *next;
};

enum qb_buf_flag {
	QB_BUF_ORDERED = 1 << 0,      /* bond: carries a sequence number */
	QB_BUF_BUNDLED = 1 << 1,      /* left in a packet with others: this frame holds its plaintext still */
	QB_BUF_BULK = 1 << 2,	      /* bond: striped traffic */
	QB_BUF_FOLLOWS = 1 << 3,      /* in the same packet as the one before it */
	QB_BUF_STREAM = 1 << 4,	      /* bond: data of a sender that takes overtaking for loss */
	QB_BUF_FEC = 1 << 5,	      /* bond: in the context of forward error correction */
	QB_BUF_RECOVERED = 1 << 6,    /* bond: made from repair symbols */
	QB_BUF_BRIEF = 1 << 7, /* bond: waits, if at all, for what its flow overtakes, not for what
				  was lost */
};

struct qb_batch {
	uint32_t cnt;
	struct qb_buf *buf[QB_BATCH_MAX];
};

/* The frames of a process, and those no pool holds at present. */
struct qb_depot {
	uint8_t *frames; /* frame_cnt × frame_bytes, page aligned; owned by the caller */
	struct qb_buf *bufs;
	uint32_t frame_cnt;
	uint32_t frame_bytes;	/* QB_FRAME_BYTES, or QB_FRAME_BYTES_MAX: packets are no longer for that */
	uint32_t umem_cnt;	/* the frames below are the UMEM; 0: there is none */
	uint32_t umem_rx_queues; /* that fill their rings from it; atomic */
	uint32_t umem_tx_queues; /* that send from it; atomic */
	int lock; /* 0 free, 1 taken */
	uint32_t free_cnt, umem_free_cnt; /* all, and the UMEM's among them */
	struct qb_buf *free_list, *umem_free_list;
};

struct qb_pool {
	struct qb_depot *depot;
	uint32_t cnt, umem_cnt;
	uint64_t empty_cnt; /* times that no buffer could be had */
	struct qb_counters *counters; /* the owner's, if anybody counts; NULL after qb_pool_init */
	struct qb_buf *cache[QB_POOL_CACHE];
	struct qb_buf *umem_cache[QB_POOL_UMEM_CACHE];
};

/*
 * qb_depot_init puts frame_cnt frames under management. frames: frame_cnt × QB_FRAME_BYTES; bufs:
 * frame_cnt descriptors. Both stay the caller's.
 */
void qb_depot_init(struct qb_depot *d, uint8_t *frames, struct qb_buf *bufs, uint32_t frame_cnt);
/* qb_depot_set_frame_bytes: the area has frames of that size. Before any pool is used. */
void qb_depot_set_frame_bytes(struct qb_depot *d, uint32_t frame_bytes);
/* qb_depot_set_umem makes the first umem_cnt frames the UMEM. Before any pool is used. */
void qb_depot_set_umem(struct qb_depot *d, uint32_t umem_cnt);

void qb_pool_init(struct qb_pool *p, struct qb_depot *d);
/* qb_pool_fini gives all cached buffers back to the depot. */
void qb_pool_fini(struct qb_pool *p);

/* qb_buf_foresee: the descriptor is used soon, and nobody has touched it for long. */
static inline void qb_buf_foresee(const struct qb_buf *b)
{
	qb_prefetch(b);
	qb_prefetch(&b->next);
}

/* qb_buf_get returns an empty buffer whose data stands QB_HEADROOM into the frame, or NULL (counted). */
struct qb_buf *qb_buf_get(struct qb_pool *p);
/* qb_buf_get_umem returns one whose frame is of the UMEM, or NULL (not counted). */
struct qb_buf *qb_buf_get_umem(struct qb_pool *p);
void qb_buf_put(struct qb_pool *p, struct qb_buf *b);
/*
 * qb_buf_ref keeps the frame from being reused until one more qb_buf_put. The other holder may be another thread, and
 * may write in front of the packet (lower layers' headers): whoever comes back to it looks where it left the bytes.
 */
static inline void qb_buf_ref(struct qb_buf *b)
{
	__atomic_fetch_add(&b->ref_cnt, 1, __ATOMIC_RELAXED);
}
/* qb_buf_is_shared: somebody else still needs the frame; it must not be written to. */
static inline bool qb_buf_is_shared(const struct qb_buf *b)
{
	return __atomic_load_n(&b->ref_cnt, __ATOMIC_ACQUIRE) > 1;
}
void qb_batch_put(struct qb_pool *p, struct qb_batch *batch);
/* qb_pool_is_scarce: less than a quarter of the process's frames is left; what may be done without should be. */
bool qb_pool_is_scarce(const struct qb_pool *p);
/* qb_depot_umem_is_scarce: the same of the UMEM's frames. */
bool qb_depot_umem_is_scarce(const struct qb_depot *d);

static inline bool qb_buf_is_umem(const struct qb_depot *d, const struct qb_buf *b)
{
	return b->idx < d->umem_cnt;
}

static inline uint8_t *qb_buf_frame(const struct qb_depot *d, const struct qb_buf *b)
{
	return d->frames + (size_t)b->idx * d->frame_bytes;
}

/* qb_buf_of_addr finds the descriptor of the frame that an offset into the area (an AF_XDP address) lies in. */
static inline struct qb_buf *qb_buf_of_addr(struct qb_depot *d, uint64_t addr)
{
	return &d->bufs[addr / d->frame_bytes];
}

static inline uint32_t qb_buf_headroom(const struct qb_depot *d, const struct qb_buf *b)
{
	return (uint32_t)(b->data - qb_buf_frame(d, b));
}

static inline uint32_t qb_buf_tailroom(const struct qb_depot *d, const struct qb_buf *b)
{
	return d->frame_bytes - qb_buf_headroom(d, b) - b->len;
}

/* qb_buf_push grows the packet by n bytes in front. The caller knows that there is room. */
static inline uint8_t *qb_buf_push(struct qb_buf *b, uint32_t n)
{
	b->data -= n;
	b->len += n;
	return b->data;
}

static inline void qb_buf_pull(struct qb_buf *b, uint32_t n)
{
	b->data += n;
	b->len -= n;
}

static inline bool qb_batch_full(const struct qb_batch *batch)
{
	return batch->cnt == QB_BATCH_MAX;
}

static inline void qb_batch_add(struct qb_batch *batch, struct qb_buf *b)
{
	QB_BUG_ON(batch->cnt >= QB_BATCH_MAX);
	batch->buf[batch->cnt++] = b;
}
