/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Streams of one end, frame by frame: what the peer may not do (RFC 9000 §2-4, §19), limits and
 * credit, resets and stops, what is sent again, who is served first. We are the server; 0, 4 .. and
 * 2, 6 .. are the peer's.
 */
#include "streams_side.h"

#include <errno.h>

static struct side d;
static struct qb_frame_ref refs[64];
static size_t ref_cnt;
static uint8_t packet[4096];
static uint64_t now_ns;

static const uint8_t zeros[20000];

static void set_up(void)
{
	struct qb_tparams tp = side_params();

	side_init(&d, true, &tp, SIDE_CHUNK_CNT);
	qb_streams_set_peer_params(&d.s, &tp);
	now_ns = 1;
}

static void tear_down(void)
{
	side_fini(&d);
}

static struct qb_frame stream_frame(uint64_t id, uint64_t off, size_t len, bool is_fin)
{
	return (struct qb_frame){
		.type = QB_FRAME_STREAM,
		.stream = {.id = id, .off = off, .data = {zeros, len}, .is_fin = is_fin}};
}

static struct qb_frame reset_frame(uint64_t id, uint64_t final_size)
{
	return (struct qb_frame){
		.type = QB_FRAME_RESET_STREAM,
		.reset_stream = {.id = id, .error_code = 77, .final_size = final_size}};
}

static struct qb_frame limit_frame(uint64_t type, uint64_t id, uint64_t max)
{
	return (struct qb_frame){.type = type, .limit = {.stream_id = id, .max = max}};
}

static struct qb_frame stop_frame(uint64_t id)
{
	return (struct qb_frame){.type = QB_FRAME_STOP_SENDING,
				 .stop_sending = {.id = id, .error_code = 55}};
}

/* Returns 0 or the error code that the connection would be closed with. */
static uint64_t feed(struct qb_frame f)
{
	struct qb_fault fault = {0};
	int rc = qb_streams_on_frame(&d.s, &f, &fault);

	if (rc == 0)
		return 0;
	ck_assert_int_eq(rc, -EBADMSG);
	ck_assert_ptr_nonnull(fault.why);
	return fault.code;
}

/* Writes one packet of at most cap bytes; its frames are described in refs[0..ref_cnt). */
static size_t send_packet(size_t cap)
{
	struct qb_wr w = qb_wr_init(packet, cap);

	ref_cnt = 0;
	return qb_streams_write(&d.s, &w, refs, QB_ARRAY_LEN(refs), &ref_cnt, false, now_ns);
}

static const struct qb_frame_ref *sent(enum qb_ref_kind kind)
{
	for (size_t i = 0; i < ref_cnt; i++)
		if (refs[i].kind == kind)
			return &refs[i];
	return NULL;
}

static void settle(bool is_acked)
{
	for (size_t i = 0; i < ref_cnt; i++) {
		if (is_acked)
			qb_streams_on_acked(&d.s, &refs[i]);
		else
			qb_streams_on_lost(&d.s, &refs[i]);
	}
	ref_cnt = 0;
}

static int64_t read_some(uint64_t id, size_t cap, bool *is_fin)
{
	static uint8_t buf[20000];

	return qb_streams_read(&d.s, id, buf, cap, is_fin, NULL);
}

/* ---- what the peer may not do ---- */

enum {
	OWN_BIDI = 1,
	OWN_UNI = 3,
	OWN_BIDI_UNOPENED = 5,
	OWN_UNI_UNOPENED = 7,
	PEER_BIDI = 0,
	PEER_UNI = 2
};

START_TEST(test_states)
{
	/* clang-format off */
	const struct {
		struct qb_frame f;
		uint64_t code;
	} cases[] = {
		{stream_frame(OWN_UNI, 0, 1, false), QB_QUIC_STREAM_STATE_ERROR},
		{reset_frame(OWN_UNI, 0), QB_QUIC_STREAM_STATE_ERROR},
		{limit_frame(QB_FRAME_STREAM_DATA_BLOCKED, OWN_UNI, 0), QB_QUIC_STREAM_STATE_ERROR},
		{stream_frame(OWN_BIDI_UNOPENED, 0, 1, false), QB_QUIC_STREAM_STATE_ERROR},
		{reset_frame(OWN_BIDI_UNOPENED, 0), QB_QUIC_STREAM_STATE_ERROR},
		{stop_frame(OWN_BIDI_UNOPENED), QB_QUIC_STREAM_STATE_ERROR},
		{stop_frame(OWN_UNI_UNOPENED), QB_QUIC_STREAM_STATE_ERROR},
		{limit_frame(QB_FRAME_MAX_STREAM_DATA, OWN_UNI_UNOPENED, 9), QB_QUIC_STREAM_STATE_ERROR},
		{stop_frame(PEER_UNI), QB_QUIC_STREAM_STATE_ERROR},
		{limit_frame(QB_FRAME_MAX_STREAM_DATA, PEER_UNI, 9), QB_QUIC_STREAM_STATE_ERROR},
		{stream_frame(4 * 4, 0, 1, false), QB_QUIC_STREAM_LIMIT_ERROR},
		{stream_frame(4 * 3 + 2, 0, 1, false), QB_QUIC_STREAM_LIMIT_ERROR},
		{reset_frame(4 * 4, 0), QB_QUIC_STREAM_LIMIT_ERROR},
		{stop_frame(4 * 4), QB_QUIC_STREAM_LIMIT_ERROR},
		{limit_frame(QB_FRAME_MAX_STREAM_DATA, 4 * 4, 9), QB_QUIC_STREAM_LIMIT_ERROR},
		{limit_frame(QB_FRAME_STREAM_DATA_BLOCKED, 4 * 4, 9), QB_QUIC_STREAM_LIMIT_ERROR},
		{stream_frame((UINT64_C(1) << 62) - 4, 0, 1, false), QB_QUIC_STREAM_LIMIT_ERROR},
		{stream_frame(4 * 3, 0, 1, false), 0},
		{stream_frame(4 * 2 + 2, 0, 1, false), 0},
		{stream_frame(OWN_BIDI, 0, 1, false), 0},
		{stop_frame(PEER_BIDI), 0},
		{stop_frame(OWN_UNI), 0},
		{limit_frame(QB_FRAME_MAX_STREAM_DATA, 4, 9), 0},
		{limit_frame(QB_FRAME_STREAM_DATA_BLOCKED, PEER_UNI, 9), 0},
		{limit_frame(QB_FRAME_DATA_BLOCKED, 0, 9), 0},
		{limit_frame(QB_FRAME_STREAMS_BLOCKED_UNI, 0, 9), 0},
	};
	/* clang-format on */

	ck_assert_int_eq(qb_streams_open(&d.s, true), OWN_BIDI);
	ck_assert_int_eq(qb_streams_open(&d.s, false), OWN_UNI);
	for (size_t i = 0; i < QB_ARRAY_LEN(cases); i++)
		ck_assert_msg(feed(cases[i].f) == cases[i].code, "case %d", (int)i);
}
END_TEST

START_TEST(test_final_size)
{
	ck_assert_uint_eq(feed(stream_frame(0, 100, 10, true)), 0);
	ck_assert_uint_eq(feed(stream_frame(0, 105, 5, true)), 0);
	ck_assert_uint_eq(feed(stream_frame(0, 0, 111, false)), QB_QUIC_FINAL_SIZE_ERROR);
	ck_assert_uint_eq(feed(stream_frame(0, 0, 50, true)), QB_QUIC_FINAL_SIZE_ERROR);
	ck_assert_uint_eq(feed(stream_frame(0, 110, 1, true)), QB_QUIC_FINAL_SIZE_ERROR);
	ck_assert_uint_eq(feed(reset_frame(0, 109)), QB_QUIC_FINAL_SIZE_ERROR);
	ck_assert_uint_eq(feed(reset_frame(0, 111)), QB_QUIC_FINAL_SIZE_ERROR);
	ck_assert_uint_eq(feed(reset_frame(0, 110)), 0);
	/* below what came already */
	ck_assert_uint_eq(feed(stream_frame(4, 100, 10, false)), 0);
	ck_assert_uint_eq(feed(stream_frame(4, 0, 109, true)), QB_QUIC_FINAL_SIZE_ERROR);
	ck_assert_uint_eq(feed(reset_frame(4, 109)), QB_QUIC_FINAL_SIZE_ERROR);
}
END_TEST

START_TEST(test_flow_control)
{
	ck_assert_uint_eq(feed(stream_frame(0, 6000, 0, false)), 0);
	ck_assert_uint_eq(feed(stream_frame(0, 6000, 1, false)), QB_QUIC_FLOW_CONTROL_ERROR);
	ck_assert_uint_eq(feed(reset_frame(0, 6001)), QB_QUIC_FLOW_CONTROL_ERROR);
	ck_assert_uint_eq(feed(stream_frame(2, 6999, 1, false)), 0);
	ck_assert_uint_eq(feed(stream_frame(2, 7000, 1, false)), QB_QUIC_FLOW_CONTROL_ERROR);
	/* 13,000 of the connection's 16,384 are used now, holes included */
	ck_assert_uint_eq(feed(stream_frame(6, 3383, 1, false)), 0);
	ck_assert_uint_eq(feed(stream_frame(6, 3384, 1, false)), QB_QUIC_FLOW_CONTROL_ERROR);
	ck_assert_uint_eq(feed(reset_frame(4, 1)), QB_QUIC_FLOW_CONTROL_ERROR);
	ck_assert_uint_eq(feed(stream_frame(6, 0, 3384, false)), 0); /* no new highest offset */
}
END_TEST

START_TEST(test_closed_streams_are_ignored)
{
	bool is_fin;

	ck_assert_uint_eq(feed(stream_frame(2, 0, 10, true)), 0);
	ck_assert_int_eq(read_some(2, 100, &is_fin), 10);
	ck_assert(is_fin);
	ck_assert_int_eq(read_some(2, 100, &is_fin), -ENOENT);
	ck_assert_uint_eq(d.s.live_cnt, 0);
	ck_assert_uint_eq(feed(stream_frame(2, 0, 10, true)), 0);
	ck_assert_uint_eq(feed(reset_frame(2, 500)), 0);
	ck_assert_uint_eq(d.s.live_cnt, 0);
}
END_TEST

/* ---- receiving ---- */

START_TEST(test_events_and_reading)
{
	struct qb_quic_event ev;
	bool is_fin;

	ck_assert_uint_eq(feed(stream_frame(8, 10, 10, false)),
			  0); /* a hole in front: nothing to read */
	ck_assert(!qb_streams_has_event(&d.s));
	ck_assert_uint_eq(d.s.live_cnt, 3); /* 0 and 4 were opened with it */
	ck_assert_uint_eq(feed(stream_frame(8, 0, 10, false)), 0);
	ck_assert(side_has_event(&d, QB_EV_STREAM_READABLE, 8));
	ck_assert(!qb_streams_next_event(&d.s, &ev));
	ck_assert_int_eq(read_some(8, 15, &is_fin), 15);
	ck_assert_uint_eq(feed(stream_frame(8, 0, 20, false)), 0); /* nothing new */
	ck_assert(!qb_streams_has_event(&d.s));
	ck_assert_int_eq(read_some(8, 15, &is_fin), 5);
	ck_assert_int_eq(read_some(8, 15, &is_fin), 0);
	ck_assert(!is_fin);
	ck_assert_uint_eq(feed(stream_frame(8, 20, 0, true)), 0); /* the FIN alone */
	ck_assert(side_has_event(&d, QB_EV_STREAM_READABLE, 8));
	ck_assert_int_eq(read_some(8, 15, &is_fin), 0);
	ck_assert(is_fin);
	ck_assert_int_eq(read_some(8, 15, &is_fin), 0); /* still, as we may go on writing */
	ck_assert(is_fin);
	ck_assert_int_eq(qb_streams_read(&d.s, 12345, NULL, 0, &is_fin, NULL), -ENOENT);
}
END_TEST

START_TEST(test_reset_drops_data)
{
	uint64_t code = 0;
	uint8_t buf[10];
	bool is_fin;

	ck_assert_uint_eq(feed(stream_frame(2, 0, 6000, false)), 0);
	ck_assert_int_eq(read_some(2, 10, &is_fin), 10);
	ck_assert_uint_eq(feed(reset_frame(2, 7000)), 0);
	ck_assert_uint_eq(qb_chunk_store_free_cnt(&d.store), SIDE_CHUNK_CNT);
	ck_assert_uint_eq(d.s.rx.consumed, 7000); /* the connection's window gets all of it back */
	ck_assert(side_has_event(&d, QB_EV_STREAM_READABLE, 2));
	ck_assert_int_eq(qb_streams_read(&d.s, 2, buf, sizeof(buf), &is_fin, &code), -ECONNRESET);
	ck_assert_uint_eq(code, 77);
	ck_assert_uint_eq(d.s.live_cnt, 0);
}
END_TEST

START_TEST(test_reset_and_fin)
{
	bool is_fin;

	/* All data was there: the reset comes too late. */
	ck_assert_uint_eq(feed(stream_frame(2, 0, 10, true)), 0);
	ck_assert_uint_eq(feed(reset_frame(2, 10)), 0);
	ck_assert_int_eq(read_some(2, 100, &is_fin), 10);
	ck_assert(is_fin);
	/* All data was there, but nobody knew that it was all. */
	ck_assert_uint_eq(feed(stream_frame(6, 0, 10, false)), 0);
	ck_assert_uint_eq(feed(reset_frame(6, 10)), 0);
	ck_assert_int_eq(read_some(6, 100, &is_fin), -ECONNRESET);
}
END_TEST

START_TEST(test_reset_stream_at)
{
	struct qb_frame f = reset_frame(2, 1000);
	uint64_t code = 0;
	uint8_t buf[200];
	bool is_fin;

	f.type = QB_FRAME_RESET_STREAM_AT;
	f.reset_stream.reliable_size = 100;
	ck_assert_uint_eq(feed(stream_frame(2, 0, 60, false)), 0);
	ck_assert_uint_eq(feed(f), 0);
	ck_assert(side_has_event(&d, QB_EV_STREAM_READABLE, 2));
	ck_assert_int_eq(qb_streams_read(&d.s, 2, buf, sizeof(buf), &is_fin, &code), 60);
	ck_assert_int_eq(qb_streams_read(&d.s, 2, buf, sizeof(buf), &is_fin, &code), 0);
	ck_assert_uint_eq(feed(stream_frame(2, 50, 70, false)),
			  0); /* the part above 100 is of no use */
	ck_assert(side_has_event(&d, QB_EV_STREAM_READABLE, 2));
	ck_assert_int_eq(qb_streams_read(&d.s, 2, buf, sizeof(buf), &is_fin, &code), 40);
	ck_assert(side_has_event(&d, QB_EV_STREAM_READABLE, 2)); /* the reset itself */
	ck_assert_int_eq(qb_streams_read(&d.s, 2, buf, sizeof(buf), &is_fin, &code), -ECONNRESET);
	ck_assert_uint_eq(code, 77);
	ck_assert_uint_eq(d.s.rx.consumed, 1000);

	/* A smaller reliable size ends the waiting; a larger one changes nothing. */
	f.reset_stream.id = 6;
	ck_assert_uint_eq(feed(f), 0);
	ck_assert_int_eq(qb_streams_read(&d.s, 6, buf, sizeof(buf), &is_fin, &code), 0);
	ck_assert_uint_eq(feed(reset_frame(6, 1000)), 0);
	ck_assert_uint_eq(feed(f), 0);
	ck_assert_int_eq(qb_streams_read(&d.s, 6, buf, sizeof(buf), &is_fin, &code), -ECONNRESET);

	/* The reason and the size are those of the first. */
	f.reset_stream.id = 0;
	ck_assert_uint_eq(feed(f), 0);
	f.reset_stream.error_code++;
	f.reset_stream.reliable_size--;
	ck_assert_uint_eq(feed(f), QB_QUIC_STREAM_STATE_ERROR);
	f.type = QB_FRAME_RESET_STREAM;
	f.reset_stream.reliable_size = 0;
	ck_assert_uint_eq(feed(f), QB_QUIC_STREAM_STATE_ERROR);
	f.reset_stream.error_code--;
	f.reset_stream.final_size++;
	ck_assert_uint_eq(feed(f), QB_QUIC_FINAL_SIZE_ERROR);
}
END_TEST

START_TEST(test_holes_cost_no_more_than_the_window)
{
	for (uint64_t off = 1; off < 6000; off += 2)
		ck_assert_uint_eq(feed(stream_frame(0, off, 1, false)), 0);
	ck_assert_uint_eq(SIDE_CHUNK_CNT - qb_chunk_store_free_cnt(&d.store), 3);
	for (uint64_t off = 0; off < 6000; off += 2)
		ck_assert_uint_eq(feed(stream_frame(0, off, 1, false)), 0);
	ck_assert(side_has_event(&d, QB_EV_STREAM_READABLE, 0));
	ck_assert_int_eq(read_some(0, 10000, &(bool){false}), 6000);
}
END_TEST

START_TEST(test_no_memory)
{
	struct qb_tparams tp = side_params();
	struct qb_frame f = stream_frame(0, 4000, 2000, false);
	struct qb_fault fault = {0};
	bool is_fin;

	tear_down();
	side_init(&d, true, &tp, 2);
	ck_assert_uint_eq(feed(stream_frame(0, 0, 2048, false)), 0);
	ck_assert_int_eq(qb_streams_on_frame(&d.s, &f, &fault), -ENOBUFS);
	ck_assert_uint_eq(fault.code, QB_QUIC_INTERNAL_ERROR);
	ck_assert_uint_eq(d.s.rx_bytes, 2048); /* nothing was taken from it */
	ck_assert_int_eq(read_some(0, 4000, &is_fin), 2048);
	ck_assert_int_eq(qb_streams_on_frame(&d.s, &f, &fault), 0);
	/* One chunk of the two is for receiving alone. */
	qb_streams_set_peer_params(&d.s, &tp);
	ck_assert_int_eq(qb_streams_write_data(&d.s, 0, zeros, 10, false), 0);
	ck_assert(side_has_event(&d, QB_EV_STREAM_READABLE, 0));
	ck_assert(!qb_streams_has_event(&d.s));
	ck_assert_uint_eq(feed(reset_frame(0, 6000)), 0);
	ck_assert(side_has_event(&d, QB_EV_STREAM_READABLE, 0));
	ck_assert(side_has_event(&d, QB_EV_STREAM_WRITABLE, 0));
	ck_assert_int_eq(qb_streams_write_data(&d.s, 0, zeros, 10, false), 10);
}
END_TEST

START_TEST(test_no_stream_objects)
{
	struct qb_frame f = stream_frame(4, 0, 1, false);
	struct qb_fault fault = {0};

	d.slab.cap = 1; /* as if other connections had the rest */
	ck_assert_int_eq(qb_streams_on_frame(&d.s, &f, &fault), -ENOBUFS);
	ck_assert_uint_eq(fault.code, QB_QUIC_INTERNAL_ERROR);
	ck_assert_uint_eq(d.s.live_cnt, 0);
	ck_assert_uint_eq(feed(stream_frame(0, 0, 1, false)), 0);
	ck_assert_int_eq(qb_streams_open(&d.s, true), -EAGAIN);
	d.slab.cap = 2;
	ck_assert_int_eq(qb_streams_open(&d.s, true), 1);
}
END_TEST

/* ---- credit ---- */

static const struct qb_frame_ref *read_and_send(uint64_t id, uint64_t *off, size_t len,
						enum qb_ref_kind kind)
{
	bool is_fin;

	ck_assert_uint_eq(feed(stream_frame(id, *off, len, false)), 0);
	ck_assert_int_eq(read_some(id, len, &is_fin), (int64_t)len);
	*off += len;
	send_packet(1200);
	return sent(kind);
}

START_TEST(test_window_updates)
{
	const struct qb_frame_ref *ref;
	uint64_t off = 0;

	ck_assert_ptr_null(read_and_send(0, &off, 2999, QB_REF_MAX_STREAM_DATA));
	ck_assert(!qb_streams_has_data(&d.s));
	ref = read_and_send(0, &off, 1, QB_REF_MAX_STREAM_DATA);
	ck_assert_ptr_nonnull(ref);
	ck_assert_uint_eq(ref->off, 9000);
	ck_assert_uint_eq(ref->id, 0);
	settle(false); /* lost: the same again */
	send_packet(1200);
	ck_assert_ptr_nonnull(sent(QB_REF_MAX_STREAM_DATA));
	ck_assert_uint_eq(sent(QB_REF_MAX_STREAM_DATA)->off, 9000);
	ref = read_and_send(0, &off, 5192, QB_REF_MAX_DATA);
	ck_assert_ptr_nonnull(ref);
	ck_assert_uint_eq(ref->off, 8192 + 16384);
	/* A lost frame that a newer one has overtaken is forgotten. */
	qb_streams_on_lost(&d.s, &(struct qb_frame_ref){.kind = QB_REF_MAX_DATA, .off = 16384});
	qb_streams_on_lost(&d.s,
			   &(struct qb_frame_ref){.kind = QB_REF_MAX_STREAM_DATA, .off = 9000});
	ck_assert(!qb_streams_has_data(&d.s));
}
END_TEST

START_TEST(test_no_credit_after_fin)
{
	bool is_fin;

	ck_assert_uint_eq(feed(stream_frame(0, 0, 5000, true)), 0);
	ck_assert_int_eq(read_some(0, 4000, &is_fin), 4000);
	ck_assert(!qb_streams_has_data(&d.s));
}
END_TEST

/* A peer that uses up half a window within two round trips gets wider ones, up to the cap; a slow
 * one does not. */
START_TEST(test_auto_tuning)
{
	uint64_t off = 0;
	bool is_slow = _i;

	qb_streams_set_rtt(&d.s, 100 * QB_NS_PER_MS);
	for (int i = 0; i < 100; i++) {
		now_ns += (is_slow ? 250 : 20) * QB_NS_PER_MS;
		read_and_send(0, &off, 3000, QB_REF_NONE);
	}
	if (is_slow) {
		ck_assert_uint_eq(d.s.rx.size, 16384);
	} else {
		ck_assert_uint_gt(d.s.rx.size, 32768);
		ck_assert_uint_le(d.s.rx.size, 65536);
		/* The stream's window too: it is twice the least at least. */
		ck_assert_uint_eq(feed(stream_frame(0, off + 12000, 1, false)), 0);
		ck_assert_uint_eq(feed(stream_frame(0, off + 32768, 1, false)),
				  QB_QUIC_FLOW_CONTROL_ERROR);
	}
}
END_TEST

START_TEST(test_max_streams)
{
	const struct qb_frame_ref *ref;
	bool is_fin;

	for (uint64_t id = 2; id <= 10; id += 4)
		ck_assert_uint_eq(feed(stream_frame(id, 0, 1, true)), 0);
	ck_assert_uint_eq(feed(stream_frame(14, 0, 1, true)), QB_QUIC_STREAM_LIMIT_ERROR);
	send_packet(1200);
	ck_assert_ptr_null(sent(QB_REF_MAX_STREAMS_UNI)); /* nothing was read yet */
	ck_assert_int_eq(read_some(6, 10, &is_fin), 1);
	send_packet(1200);
	ref = sent(QB_REF_MAX_STREAMS_UNI);
	ck_assert_ptr_nonnull(ref);
	ck_assert_uint_eq(ref->off, 4);
	ck_assert_uint_eq(feed(stream_frame(14, 0, 1, true)), 0);
	settle(false);
	send_packet(1200);
	ck_assert_ptr_nonnull(sent(QB_REF_MAX_STREAMS_UNI));
}
END_TEST

START_TEST(test_open_limits)
{
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(qb_streams_open(&d.s, true), 1 + 4 * i);
	ck_assert_int_eq(qb_streams_open(&d.s, true), -EAGAIN);
	ck_assert_int_eq(qb_streams_open(&d.s, true), -EAGAIN);
	send_packet(1200);
	ck_assert_uint_eq(ref_cnt, 1); /* once for one limit */
	ck_assert_ptr_nonnull(sent(QB_REF_STREAMS_BLOCKED_BIDI));
	settle(false);
	ck_assert(qb_streams_has_data(&d.s)); /* lost while still blocked */
	ck_assert_uint_eq(feed(limit_frame(QB_FRAME_MAX_STREAMS_BIDI, 0, 5)), 0);
	ck_assert(!qb_streams_has_data(&d.s));
	ck_assert_uint_eq(feed(limit_frame(QB_FRAME_MAX_STREAMS_BIDI, 0, 2)), 0); /* never down */
	ck_assert_int_eq(qb_streams_open(&d.s, true), 17);
	ck_assert_uint_eq(feed(limit_frame(QB_FRAME_MAX_STREAMS_BIDI, 0, 1000)), 0);
	for (int i = 5; i < 16; i++)
		ck_assert_int_gt(qb_streams_open(&d.s, true), 0);
	ck_assert_int_eq(qb_streams_open(&d.s, true), -EAGAIN); /* own_max */
	ck_assert_int_eq(qb_streams_open(&d.s, false), -EAGAIN);
}
END_TEST

/* A stream's buffer is twice the windows of all paths, within bounds, or it would be what bounds its rate. */
START_TEST(test_send_buffer_follows_the_window)
{
	uint64_t id = (uint64_t)qb_streams_open(&d.s, true);

	qb_streams_set_window(&d.s, SIDE_SEND_BUF / 4);
	ck_assert_int_eq(qb_streams_write_data(&d.s, id, zeros, 2 * SIDE_SEND_BUF, false), SIDE_SEND_BUF);
	ck_assert_int_eq(qb_streams_write_data(&d.s, id, zeros, 1, false), 0);
	qb_streams_set_window(&d.s, SIDE_SEND_BUF);
	ck_assert_int_eq(qb_streams_write_data(&d.s, id, zeros, 2 * SIDE_SEND_BUF, false), SIDE_SEND_BUF);
	qb_streams_set_window(&d.s, SIDE_SEND_BUF / 2);
	ck_assert_int_eq(qb_streams_write_data(&d.s, id, zeros, 1, false), 0);
	qb_streams_set_window(&d.s, UINT64_C(1) << 40);
	ck_assert_int_eq(qb_streams_write_data(&d.s, id, zeros, 2 * SIDE_SEND_BUF, false), SIDE_SEND_BUF);
}
END_TEST

START_TEST(test_blocked)
{
	int64_t id = qb_streams_open(&d.s, true), id2 = qb_streams_open(&d.s, true);
	struct qb_frame_ref lost;

	ck_assert_int_eq(qb_streams_write_data(&d.s, (uint64_t)id, zeros, 7000, false), 7000);
	while (send_packet(1200) && !sent(QB_REF_STREAM_DATA_BLOCKED))
		settle(true);
	ck_assert_ptr_nonnull(sent(QB_REF_STREAM_DATA_BLOCKED));
	ck_assert_uint_eq(sent(QB_REF_STREAM_DATA_BLOCKED)->off, 6000);
	ck_assert_uint_eq(d.s.tx_bytes, 6000);
	ck_assert(!qb_streams_has_data(&d.s));
	settle(false);
	ck_assert(qb_streams_has_data(&d.s));
	send_packet(1200);
	settle(true);
	ck_assert_uint_eq(feed(limit_frame(QB_FRAME_MAX_STREAM_DATA, (uint64_t)id, 100000)), 0);
	ck_assert_uint_eq(feed(limit_frame(QB_FRAME_MAX_STREAM_DATA, (uint64_t)id2, 100000)), 0);
	while (send_packet(1200))
		settle(true);
	ck_assert_int_eq(qb_streams_write_data(&d.s, (uint64_t)id, zeros, 8000, false), 8000);
	ck_assert_int_eq(qb_streams_write_data(&d.s, (uint64_t)id2, zeros, 8000, true), 8000);
	while (send_packet(1200) && !sent(QB_REF_DATA_BLOCKED))
		settle(true);
	ck_assert_ptr_nonnull(sent(QB_REF_DATA_BLOCKED));
	ck_assert_uint_eq(sent(QB_REF_DATA_BLOCKED)->off, 16384);
	ck_assert_uint_eq(d.s.tx_bytes, 16384);
	ck_assert(!qb_streams_has_data(&d.s));
	/* Lost data needs no credit. */
	lost = *sent(QB_REF_STREAM);
	qb_streams_on_lost(&d.s, &lost);
	send_packet(1200);
	ck_assert_uint_eq(ref_cnt, 1);
	ck_assert_uint_eq(refs[0].id, lost.id);
	ck_assert_uint_eq(refs[0].off, lost.off);
	ck_assert_uint_eq(refs[0].len, lost.len);
	ck_assert_uint_eq(feed(limit_frame(QB_FRAME_MAX_DATA, 0, 1 << 20)), 0);
	while (send_packet(1200))
		;
	ck_assert_uint_eq(d.s.tx_bytes, 7000 + 8000 + 8000);
}
END_TEST

/* ---- sending ---- */

START_TEST(test_writing)
{
	int64_t id = qb_streams_open(&d.s, false);
	uint64_t u = (uint64_t)id;

	ck_assert_int_eq(qb_streams_write_data(&d.s, u, zeros, SIDE_SEND_BUF + 100, true),
			 SIDE_SEND_BUF);
	ck_assert_int_eq(qb_streams_write_data(&d.s, u, zeros, 100, true), 0);
	ck_assert_uint_eq(feed(limit_frame(QB_FRAME_MAX_STREAM_DATA, u, 20000)), 0);
	ck_assert_uint_gt(send_packet(1200), 1190); /* packets are filled */
	settle(true);
	ck_assert(!qb_streams_has_event(&d.s)); /* room, but not yet worth a call */
	send_packet(1200);
	settle(true);
	ck_assert(side_has_event(&d, QB_EV_STREAM_WRITABLE, u));
	ck_assert(!qb_streams_has_event(&d.s));
	ck_assert_int_eq(qb_streams_write_data(&d.s, u, zeros, 100, true), 100);
	ck_assert_int_eq(qb_streams_write_data(&d.s, u, zeros, 1, false), -EPIPE);
	while (send_packet(1200)) {
		const struct qb_frame_ref *ref = sent(QB_REF_STREAM);

		ck_assert_int_eq(ref->is_fin, ref->off + ref->len == SIDE_SEND_BUF + 100);
		settle(true);
	}
	ck_assert_uint_eq(d.s.live_cnt, 0); /* all acknowledged: gone */
	ck_assert_int_eq(qb_streams_write_data(&d.s, u, zeros, 1, false), -ENOENT);
	ck_assert_int_eq(qb_streams_write_data(&d.s, 2, zeros, 1, false), -ENOENT);
	ck_assert_uint_eq(feed(stream_frame(2, 0, 1, false)), 0);
	ck_assert_int_eq(qb_streams_write_data(&d.s, 2, zeros, 1, false),
			 -ENOENT); /* receive-only */
}
END_TEST

START_TEST(test_bare_fin)
{
	uint64_t id = (uint64_t)qb_streams_open(&d.s, false);

	ck_assert_int_eq(qb_streams_write_data(&d.s, id, zeros, 10, false), 10);
	send_packet(1200);
	settle(true);
	ck_assert_int_eq(qb_streams_write_data(&d.s, id, NULL, 0, true), 0);
	send_packet(1200);
	ck_assert_uint_eq(ref_cnt, 1);
	ck_assert(refs[0].is_fin && refs[0].len == 0 && refs[0].off == 10);
	settle(false);
	send_packet(1200);
	ck_assert(refs[0].is_fin);
	settle(true);
	ck_assert_uint_eq(d.s.live_cnt, 0);
}
END_TEST

/* Every other of 80 small frames is lost: more pieces than are remembered one by one, but no byte
 * is missed. */
START_TEST(test_many_lost_pieces)
{
	uint64_t id = (uint64_t)qb_streams_open(&d.s, false);
	static bool is_there[5600];
	struct qb_frame_ref first[128];
	size_t cnt = 0;

	ck_assert_int_eq(qb_streams_write_data(&d.s, id, zeros, 5600, true), 5600);
	while (send_packet(75))
		first[cnt++] = refs[0];
	ck_assert_uint_gt(cnt, 75);
	for (size_t k = 0; k < cnt; k++) {
		size_t i = _i ? cnt - 1 - k : k; /* reported in either order */

		if (i % 2)
			qb_streams_on_lost(&d.s, &first[i]);
		else if (i % 4 == 0)
			qb_streams_on_acked(&d.s, &first[i]);
		if (i % 2 == 0)
			memset(is_there + first[i].off, true, first[i].len);
	}
	while (send_packet(1200)) {
		for (size_t i = 0; i < ref_cnt; i++)
			memset(is_there + refs[i].off, true, refs[i].len);
		settle(true);
	}
	for (size_t i = 0; i < sizeof(is_there); i++)
		if (!is_there[i])
			ck_abort_msg("byte %d was lost for good", (int)i);
	for (size_t i = 0; i < cnt; i++)
		qb_streams_on_acked(&d.s, &first[i]);
	ck_assert_uint_eq(d.s.live_cnt, 0);
}
END_TEST

START_TEST(test_spurious_loss)
{
	uint64_t id = (uint64_t)qb_streams_open(&d.s, false);
	struct qb_frame_ref ref;

	ck_assert_int_eq(qb_streams_write_data(&d.s, id, zeros, 1000, false), 1000);
	send_packet(1200);
	ref = refs[0];
	settle(false);
	ck_assert(qb_streams_has_data(&d.s));
	qb_streams_on_acked(&d.s, &ref);
	ck_assert(!qb_streams_has_data(&d.s));
	qb_streams_on_lost(&d.s, &ref);
	ck_assert(!qb_streams_has_data(&d.s));
}
END_TEST

START_TEST(test_round_robin_and_urgency)
{
	uint64_t id[3], bytes[3] = {0};

	for (int i = 0; i < 3; i++) {
		id[i] = (uint64_t)qb_streams_open(&d.s, true);
		ck_assert_int_eq(qb_streams_write_data(&d.s, id[i], zeros, 5000, false), 5000);
	}
	for (int round = 0; round < 9; round++) {
		send_packet(300);
		for (size_t i = 0; i < ref_cnt; i++)
			bytes[refs[i].id / 4] += refs[i].len;
	}
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_gt(bytes[i], 800);
		ck_assert_uint_lt(bytes[i], 1000);
	}
	ck_assert_int_eq(qb_streams_set_priority(&d.s, id[2], 0, true), 0);
	ck_assert_int_eq(qb_streams_set_priority(&d.s, id[2], 8, true), -ENOENT);
	for (int round = 0; round < 5; round++) {
		send_packet(300);
		ck_assert_uint_eq(ref_cnt, 1);
		ck_assert_uint_eq(refs[0].id, id[2]);
	}
}
END_TEST

START_TEST(test_control_only)
{
	uint64_t id = (uint64_t)qb_streams_open(&d.s, true);
	struct qb_wr w = qb_wr_init(packet, sizeof(packet));

	ck_assert_int_eq(qb_streams_write_data(&d.s, id, zeros, 100, false), 100);
	ck_assert_int_eq(qb_streams_stop(&d.s, id, 5), 0);
	ref_cnt = 0;
	qb_streams_write(&d.s, &w, refs, QB_ARRAY_LEN(refs), &ref_cnt, true, now_ns);
	ck_assert_uint_eq(ref_cnt, 1);
	ck_assert_uint_eq(refs[0].kind, QB_REF_STOP_SENDING);
	ck_assert(qb_streams_has_data(&d.s));
}
END_TEST

/* ---- stops and resets ---- */

START_TEST(test_stop_sending_is_answered)
{
	uint64_t id = (uint64_t)qb_streams_open(&d.s, false);
	struct qb_quic_event ev;
	struct qb_fault fault;
	struct qb_frame f;

	ck_assert_int_eq(qb_streams_write_data(&d.s, id, zeros, 3000, false), 3000);
	send_packet(1200);
	ck_assert_uint_eq(feed(stop_frame(id)), 0);
	ck_assert_uint_eq(feed(stop_frame(id)), 0); /* again: nothing new */
	ck_assert(qb_streams_next_event(&d.s, &ev));
	ck_assert_int_eq(ev.type, QB_EV_STREAM_STOPPED);
	ck_assert_uint_eq(ev.error_code, 55);
	ck_assert(!qb_streams_next_event(&d.s, &ev));
	ck_assert_int_eq(qb_streams_write_data(&d.s, id, zeros, 1, false), -EPIPE);
	ck_assert_uint_eq(qb_chunk_store_free_cnt(&d.store), SIDE_CHUNK_CNT);
	settle(false); /* the data that was lost is not sent again */
	send_packet(1200);
	ck_assert_uint_eq(ref_cnt, 1);
	ck_assert_int_gt(qb_frame_parse(&f, packet, 1200, QB_PKT_1RTT, &fault), 0);
	ck_assert_uint_eq(f.type, QB_FRAME_RESET_STREAM);
	ck_assert_uint_eq(f.reset_stream.error_code, 55);
	ck_assert_uint_eq(f.reset_stream.final_size, d.s.tx_bytes);
	settle(false);
	ck_assert(qb_streams_has_data(&d.s));
	send_packet(1200);
	settle(true);
	ck_assert_uint_eq(d.s.live_cnt, 0);
}
END_TEST

/* The stream is over before the application has heard of the stop: it still will. */
START_TEST(test_stop_event_outlives_the_stream)
{
	uint64_t id = (uint64_t)qb_streams_open(&d.s, false);

	ck_assert_uint_eq(feed(stop_frame(id)), 0);
	send_packet(1200);
	settle(true);
	ck_assert_uint_eq(d.s.live_cnt, 1);
	ck_assert(side_has_event(&d, QB_EV_STREAM_STOPPED, id));
	ck_assert_uint_eq(d.s.live_cnt, 0);
	ck_assert(!qb_streams_has_event(&d.s));
}
END_TEST

START_TEST(test_stopping)
{
	bool is_fin;

	ck_assert_uint_eq(feed(stream_frame(2, 10, 100, false)), 0);
	ck_assert_int_eq(qb_streams_stop(&d.s, 2, 5), 0);
	ck_assert_int_eq(qb_streams_stop(&d.s, 2, 6), 0);
	ck_assert_int_eq(read_some(2, 10, &is_fin), -ENOENT);
	ck_assert_uint_eq(qb_chunk_store_free_cnt(&d.store), SIDE_CHUNK_CNT);
	send_packet(1200);
	ck_assert_ptr_nonnull(sent(QB_REF_STOP_SENDING));
	settle(false);
	send_packet(1200);
	ck_assert_ptr_nonnull(sent(QB_REF_STOP_SENDING));
	/* What still comes is counted and thrown away. */
	ck_assert_uint_eq(feed(stream_frame(2, 0, 200, false)), 0);
	ck_assert_uint_eq(d.s.rx.consumed, 200);
	ck_assert_uint_eq(feed(stream_frame(2, 7000, 1, false)), QB_QUIC_FLOW_CONTROL_ERROR);
	ck_assert(!qb_streams_has_event(&d.s));
	ck_assert_uint_eq(feed(reset_frame(2, 300)), 0);
	ck_assert_uint_eq(d.s.rx.consumed, 300);
	ck_assert_uint_eq(d.s.live_cnt, 0);
	settle(false); /* over: nothing to repeat, only credit for another stream */
	send_packet(1200);
	ck_assert_ptr_null(sent(QB_REF_STOP_SENDING));
	/* With the final size known there is nothing to ask for. */
	ck_assert_uint_eq(feed(stream_frame(6, 0, 10, true)), 0);
	ck_assert_int_eq(qb_streams_stop(&d.s, 6, 5), 0);
	ck_assert_uint_eq(d.s.live_cnt, 0);
	ck_assert_int_eq(qb_streams_stop(&d.s, 6, 5), -ENOENT);
}
END_TEST

START_TEST(test_resetting)
{
	uint64_t id = (uint64_t)qb_streams_open(&d.s, true);
	bool is_fin;

	ck_assert_int_eq(qb_streams_write_data(&d.s, id, zeros, 3000, true), 3000);
	ck_assert_int_eq(qb_streams_reset(&d.s, id, 9), 0);
	ck_assert_int_eq(qb_streams_reset(&d.s, id, 10), 0);
	ck_assert_int_eq(qb_streams_write_data(&d.s, id, zeros, 1, true), -EPIPE);
	send_packet(1200);
	ck_assert_uint_eq(ref_cnt, 1);
	ck_assert_uint_eq(refs[0].kind, QB_REF_RESET_STREAM);
	settle(true);
	ck_assert_uint_eq(d.s.live_cnt, 1); /* the other direction lives on */
	ck_assert_uint_eq(feed(stream_frame(id, 0, 5, true)), 0);
	ck_assert_int_eq(read_some(id, 10, &is_fin), 5);
	ck_assert_uint_eq(d.s.live_cnt, 0);
	ck_assert_int_eq(qb_streams_reset(&d.s, id, 9), -ENOENT);
}
END_TEST

/* Nothing goes out before the peer's limits are known, and all of it after. */
START_TEST(test_before_peer_params)
{
	struct qb_tparams tp = side_params();

	tear_down();
	side_init(&d, true, &tp, SIDE_CHUNK_CNT);
	ck_assert_int_eq(qb_streams_open(&d.s, true), -EAGAIN);
	ck_assert_uint_eq(feed(stream_frame(0, 0, 5, false)), 0);
	ck_assert_int_eq(qb_streams_write_data(&d.s, 0, zeros, 100, false), 100);
	send_packet(1200);
	ck_assert_ptr_null(sent(QB_REF_STREAM));
	qb_streams_set_peer_params(&d.s, &tp);
	send_packet(1200);
	ck_assert_ptr_nonnull(sent(QB_REF_STREAM));
	ck_assert_uint_eq(sent(QB_REF_STREAM)->len, 100);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/streams");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_states);
	tcase_add_test(tc, test_final_size);
	tcase_add_test(tc, test_flow_control);
	tcase_add_test(tc, test_closed_streams_are_ignored);
	tcase_add_test(tc, test_events_and_reading);
	tcase_add_test(tc, test_reset_drops_data);
	tcase_add_test(tc, test_reset_and_fin);
	tcase_add_test(tc, test_reset_stream_at);
	tcase_add_test(tc, test_holes_cost_no_more_than_the_window);
	tcase_add_test(tc, test_no_memory);
	tcase_add_test(tc, test_no_stream_objects);
	tcase_add_test(tc, test_window_updates);
	tcase_add_test(tc, test_no_credit_after_fin);
	tcase_add_loop_test(tc, test_auto_tuning, 0, 2);
	tcase_add_test(tc, test_max_streams);
	tcase_add_test(tc, test_open_limits);
	tcase_add_test(tc, test_send_buffer_follows_the_window);
	tcase_add_test(tc, test_blocked);
	tcase_add_test(tc, test_writing);
	tcase_add_test(tc, test_bare_fin);
	tcase_add_loop_test(tc, test_many_lost_pieces, 0, 2);
	tcase_add_test(tc, test_spurious_loss);
	tcase_add_test(tc, test_round_robin_and_urgency);
	tcase_add_test(tc, test_control_only);
	tcase_add_test(tc, test_stop_sending_is_answered);
	tcase_add_test(tc, test_stop_event_outlives_the_stream);
	tcase_add_test(tc, test_stopping);
	tcase_add_test(tc, test_resetting);
	tcase_add_test(tc, test_before_peer_params);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
