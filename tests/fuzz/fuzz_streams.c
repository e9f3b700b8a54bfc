/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection's streams against a hostile peer and a restless application: the input is a list of
 * packets of STREAM and control frames, with what we do in between. No memory may be lost, no
 * invariant broken.
 */
#include "quic/streams.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { CHUNK_CNT = 64, OBJ_CNT = 64, REF_CNT = 64 };

static struct qb_frame_ref sent[REF_CNT];
static size_t sent_cnt;

static void send(struct qb_streams *s, uint64_t now_ns)
{
	uint8_t buf[1200];
	struct qb_wr w = qb_wr_init(buf, sizeof(buf));
	bool had_data = qb_streams_has_data(s);

	sent_cnt = 0;
	QB_BUG_ON((qb_streams_write(s, &w, sent, REF_CNT, &sent_cnt, false, now_ns) > 0) !=
		  had_data);
}

static void settle(struct qb_streams *s, uint8_t how)
{
	for (size_t i = 0; i < sent_cnt; i++) {
		if ((how >> (i % 8)) & 1)
			qb_streams_on_acked(s, &sent[i]);
		else
			qb_streams_on_lost(s, &sent[i]);
	}
}

static void act(struct qb_streams *s, uint8_t what, uint8_t arg)
{
	static const uint8_t zeros[4096];
	uint8_t buf[512];
	uint64_t code;
	bool is_fin;

	switch (what % 6) {
	case 0:
		(void)!qb_streams_open(s, arg & 1);
		break;
	case 1:
		qb_streams_write_data(s, arg & 31, zeros, (size_t)arg * 16, arg & 32);
		break;
	case 2:
		qb_streams_read(s, arg & 31, buf, sizeof(buf), &is_fin, &code);
		break;
	case 3:
		qb_streams_reset(s, arg & 31, arg);
		break;
	case 4:
		qb_streams_stop(s, arg & 31, arg);
		break;
	default:
		settle(s, arg);
	}
}

/* Returns false when the connection would be closed. */
static bool feed(struct qb_streams *s, const uint8_t *p, size_t len)
{
	while (len) {
		struct qb_fault fault;
		struct qb_frame f;
		int n = qb_frame_parse(&f, p, len, QB_PKT_1RTT, &fault);

		if (n < 0)
			return false;
		if (qb_streams_is_frame(f.type) && qb_streams_on_frame(s, &f, &fault) == -EBADMSG)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static void play(struct qb_streams *s, const uint8_t *p, const uint8_t *end)
{
	uint64_t now_ns = 1;

	while (end - p >= 3) {
		size_t len = p[0];
		struct qb_quic_event ev;

		act(s, p[1], p[2]);
		p += 3;
		if (len > (size_t)(end - p))
			len = (size_t)(end - p);
		if (!feed(s, p, len))
			return;
		p += len;
		for (int i = 0; i < 8 && qb_streams_next_event(s, &ev); i++)
			;
		send(s, now_ns += QB_NS_PER_MS);
		QB_BUG_ON(s->rx.consumed > s->rx_bytes || s->rx_bytes > s->rx.max ||
			  s->tx_bytes > s->tx_max);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static _Alignas(16) uint8_t slab_mem[OBJ_CNT * 2048], chunk_mem[CHUNK_CNT * 4096];
	struct qb_chunk_store store;
	struct qb_tparams tp;
	struct qb_slab slab;
	struct qb_streams s;
	struct qb_streams_cfg cfg = {.is_server = true,
				     .own_max = 8,
				     .send_buf_bytes = 8192,
				     .max_data_cap = 65536,
				     .max_stream_data_cap = 16384,
				     .stream_slab = &slab,
				     .chunks = &store};

	QB_BUG_ON(qb_slab_footprint(qb_stream_obj_bytes(), OBJ_CNT) > sizeof(slab_mem) ||
		  qb_chunk_store_footprint(CHUNK_CNT) > sizeof(chunk_mem));
	qb_slab_init(&slab, slab_mem, qb_stream_obj_bytes(), OBJ_CNT);
	qb_chunk_store_init(&store, chunk_mem, CHUNK_CNT, 1);
	qb_tparams_init(&tp);
	tp.max_data = 32768;
	tp.max_stream_data_bidi_local = tp.max_stream_data_bidi_remote = tp.max_stream_data_uni =
		8192;
	tp.max_streams_bidi = tp.max_streams_uni = 6;
	qb_streams_init(&s, &cfg, &tp);
	qb_streams_set_peer_params(&s, &tp);
	qb_streams_set_rtt(&s, 10 * QB_NS_PER_MS);
	sent_cnt = 0;
	play(&s, data, data + len);
	qb_streams_fini(&s);
	QB_BUG_ON(slab.used_cnt || qb_chunk_store_free_cnt(&store) != CHUNK_CNT);
	return 0;
}
