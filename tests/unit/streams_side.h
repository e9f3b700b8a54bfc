/* SPDX-License-Identifier: BSD-2-Clause */
/* One end of a connection as far as its streams go, for the tests of quic/streams. */
#pragma once

#include <check.h>
#include <stdlib.h>

#include "quic/streams.h"

enum {
	SIDE_CHUNK_CNT = 512,
	SIDE_REF_CAP = 16,
	SIDE_SEND_BUF = 8192,
};

struct side {
	struct qb_streams s;
	struct qb_slab slab;
	struct qb_chunk_store store;
	struct qb_tparams tp;
	void *slab_mem, *store_mem;
	uint32_t chunk_cnt;
};

/* Limits that are small enough to be hit all the time. */
static inline struct qb_tparams side_params(void)
{
	struct qb_tparams tp;

	qb_tparams_init(&tp);
	tp.max_data = 16384;
	tp.max_stream_data_bidi_local = 5000;
	tp.max_stream_data_bidi_remote = 6000;
	tp.max_stream_data_uni = 7000;
	tp.max_streams_bidi = 4;
	tp.max_streams_uni = 3;
	return tp;
}

static inline void side_init(struct side *d, bool is_server, const struct qb_tparams *tp,
			     uint32_t chunk_cnt)
{
	struct qb_streams_cfg cfg = {
		.is_server = is_server,
		.own_max = 16,
		.send_buf_bytes = SIDE_SEND_BUF,
		.send_buf_cap_bytes = 3 * SIDE_SEND_BUF,
		.max_data_cap = 65536,
		.max_stream_data_cap = 32768,
		.stream_slab = &d->slab,
		.chunks = &d->store,
	};
	uint32_t obj_cnt = qb_streams_obj_cnt(&cfg, tp);
	size_t slab_bytes = qb_slab_footprint(qb_stream_obj_bytes(), obj_cnt);

	d->tp = *tp;
	d->chunk_cnt = chunk_cnt;
	d->slab_mem = aligned_alloc(16, slab_bytes);
	d->store_mem = aligned_alloc(16, qb_chunk_store_footprint(chunk_cnt));
	qb_slab_init(&d->slab, d->slab_mem, qb_stream_obj_bytes(), obj_cnt);
	qb_chunk_store_init(&d->store, d->store_mem, chunk_cnt, 7);
	qb_streams_init(&d->s, &cfg, tp);
}

static inline void side_fini(struct side *d)
{
	qb_streams_fini(&d->s);
	ck_assert_uint_eq(d->slab.used_cnt, 0);
	ck_assert_uint_eq(qb_chunk_store_free_cnt(&d->store), d->chunk_cnt);
	free(d->slab_mem);
	free(d->store_mem);
}

/* side_has_event takes the next event and tells whether it is the one that was expected. */
static inline bool side_has_event(struct side *d, enum qb_quic_event_type type, uint64_t id)
{
	struct qb_quic_event ev = {.type = QB_EV_NONE};

	return qb_streams_next_event(&d->s, &ev) && ev.type == type && ev.stream_id == id;
}
