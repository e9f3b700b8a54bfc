/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Receiving parts of streams: reassembly, final sizes, receive windows, reading. Called by
 * streams.c with the peer's frames and by the connection for the application.
 */
#include "quic/streams_impl.h"

#include <errno.h>

/* ---- windows ---- */

/* Half a window used up: time for the next MAX_DATA or MAX_STREAM_DATA. */
static bool window_is_low(const struct qb_rx_window *win)
{
	return win->max - win->consumed <= win->size / 2;
}

void qb_stream_rx_window_raise(struct qb_rx_window *win, uint64_t cap, uint64_t rtt_ns,
			       uint64_t now_ns)
{
	if (window_is_low(win)) { /* else this is a repetition of a frame that was lost */
		/* Half a window in less than two round trips: it may be what holds the peer back.
		 */
		if (win->updated_ns && now_ns - win->updated_ns < 2 * rtt_ns)
			win->size = qb_max_u64(win->size, qb_min_u64(2 * win->size, cap));
		win->updated_ns = now_ns;
	}
	win->max = qb_max_u64(win->max, qb_min_u64(win->consumed + win->size, QB_VARINT_MAX));
}

bool qb_stream_rx_wants_credit(const struct qb_stream *st)
{
	return st->rx.state == RX_OPEN && st->rx.final_size == NO_SIZE && !st->rx.is_stopped;
}

/* The application is through with everything below `off`: both windows may move on. */
static void consume(struct qb_streams *s, struct qb_stream *st, uint64_t off)
{
	struct qb_rx_window *win = &st->rx.win;

	if (off <= win->consumed)
		return;
	s->rx.consumed += off - win->consumed;
	win->consumed = off;
	if (window_is_low(&s->rx))
		s->due |= DUE_MAX_DATA;
	if (qb_stream_rx_wants_credit(st) && window_is_low(win))
		qb_stream_ctl(s, st, CTL_MAX_STREAM_DATA);
}

/* ---- the end of a stream ---- */

static void finish(struct qb_streams *s, struct qb_stream *st)
{
	struct stream_rx *rx = &st->rx;

	rx->state = RX_DONE;
	qb_chunk_buf_clear(&rx->buf);
	consume(s, st, rx->highest);
	qb_stream_ctl_clear(s, st, CTL_STOP_SENDING);
	qb_stream_ctl_clear(s, st, CTL_MAX_STREAM_DATA);
	qb_stream_event_clear(s, st, EVENT_READABLE);
	qb_stream_done(s, st);
}

/* Where reading ends until more has come. */
static uint64_t readable_end(const struct stream_rx *rx)
{
	return rx->has_reset ? qb_min_u64(rx->buf.frontier, rx->reliable_size) : rx->buf.frontier;
}

/* Everything that will ever be delivered has come: the next read can tell the application of the
 * end. */
static bool is_end_reached(const struct stream_rx *rx)
{
	if (rx->has_reset)
		return rx->buf.frontier >= rx->reliable_size;
	return rx->final_size != NO_SIZE && rx->buf.frontier == rx->final_size;
}

/* ---- frames ---- */

/*
 * Checks a new end of the stream's data against final size and both windows, before anything is
 * changed (RFC 9000 §4.1, §4.5).
 */
static int check_end(const struct qb_streams *s, const struct stream_rx *rx, uint64_t end,
		     bool is_final, struct qb_fault *fault)
{
	if (rx->final_size != NO_SIZE && (is_final ? end != rx->final_size : end > rx->final_size))
		return qb_fault_set(fault, QB_QUIC_FINAL_SIZE_ERROR,
				    "data beyond or another final size");
	if (is_final && end < rx->highest)
		return qb_fault_set(fault, QB_QUIC_FINAL_SIZE_ERROR,
				    "final size below data received");
	if (end <= rx->highest)
		return 0;
	if (end > rx->win.max)
		return qb_fault_set(fault, QB_QUIC_FLOW_CONTROL_ERROR,
				    "data beyond MAX_STREAM_DATA");
	if (end - rx->highest > s->rx.max - s->rx_bytes)
		return qb_fault_set(fault, QB_QUIC_FLOW_CONTROL_ERROR, "data beyond MAX_DATA");
	return 0;
}

static void accept_end(struct qb_streams *s, struct qb_stream *st, uint64_t end, bool is_final)
{
	struct stream_rx *rx = &st->rx;

	if (end > rx->highest) {
		s->rx_bytes += end - rx->highest;
		rx->highest = end;
	}
	if (is_final) {
		rx->final_size = end;
		qb_stream_ctl_clear(s, st, CTL_MAX_STREAM_DATA); /* no credit is needed any more */
	}
}

/* The bytes of a frame that somebody may still read. */
static size_t wanted_len(const struct stream_rx *rx, uint64_t off, size_t len)
{
	if (rx->state != RX_OPEN || rx->is_stopped)
		return 0;
	return rx->has_reset ? (size_t)qb_min_u64(len, qb_sub_sat_u64(rx->reliable_size, off))
			     : len;
}

/* Tells the application what is new: bytes, or that the end can be reached. */
static void tell(struct qb_streams *s, struct qb_stream *st, bool is_more)
{
	struct stream_rx *rx = &st->rx;

	if (is_end_reached(rx) && !(rx->has_reset ? rx->is_reset_told : rx->is_fin_told)) {
		rx->is_fin_told = true;
		rx->is_reset_told = rx->has_reset;
		is_more = true;
	}
	if (is_more)
		qb_stream_event(s, st, EVENT_READABLE);
}

int qb_stream_rx_on_stream(struct qb_streams *s, struct qb_stream *st,
			   const struct qb_frame_stream *f, struct qb_fault *fault)
{
	struct stream_rx *rx = &st->rx;
	size_t len = wanted_len(rx, f->off, f->data.len);
	int rc = check_end(s, rx, f->off + f->data.len, f->is_fin, fault);
	bool is_more;

	if (rc)
		return rc;
	/* Ahead of a gap only what is this connection's share: what can be read at once does not stay. */
	if (f->off > rx->buf.frontier && len && qb_chunk_share_is_over(&s->rx_share)) {
		qb_fault_set(fault, QB_QUIC_INTERNAL_ERROR, "no memory for stream data");
		return -ENOBUFS;
	}
	if (qb_chunk_buf_put(&rx->buf, f->off, f->data.p, len) < len) {
		qb_fault_set(fault, QB_QUIC_INTERNAL_ERROR, "no memory for stream data");
		return -ENOBUFS;
	}
	accept_end(s, st, f->off + f->data.len, f->is_fin);
	if (rx->state != RX_OPEN)
		return 0;
	if (rx->is_stopped) {
		consume(s, st, rx->highest);
		if (rx->final_size != NO_SIZE)
			finish(s, st);
		return 0;
	}
	is_more = len && qb_chunk_buf_mark(&rx->buf, f->off, len);
	tell(s, st, is_more);
	return 0;
}

int qb_stream_rx_on_reset(struct qb_streams *s, struct qb_stream *st, const struct qb_frame *f,
			  struct qb_fault *fault)
{
	struct stream_rx *rx = &st->rx;
	uint64_t reliable = f->reset_stream.reliable_size;
	bool is_complete = is_end_reached(rx) && !rx->has_reset;
	int rc = check_end(s, rx, f->reset_stream.final_size, true, fault);

	if (rc)
		return rc;
	/* Later ones may promise less, and say nothing else that is new. */
	if (rx->has_reset && rx->reset_code != f->reset_stream.error_code)
		return qb_fault_set(fault, QB_QUIC_STREAM_STATE_ERROR, "another reason for a reset");
	accept_end(s, st, f->reset_stream.final_size, true);
	/* After all data the reset is too late to matter (RFC 9000 §3.2). */
	if (rx->state != RX_OPEN || is_complete)
		return 0;
	if (rx->is_stopped) {
		finish(s, st);
		return 0;
	}
	if (!rx->has_reset) {
		rx->has_reset = true;
		rx->reset_code = f->reset_stream.error_code;
		rx->reliable_size = reliable;
	}
	rx->reliable_size = qb_min_u64(rx->reliable_size, reliable);
	if (rx->reliable_size <= rx->win.consumed) {
		qb_chunk_buf_clear(&rx->buf);
		consume(s, st, rx->final_size);
	}
	tell(s, st, false);
	return 0;
}

/* ---- the application ---- */

int64_t qb_streams_read(struct qb_streams *s, uint64_t id, void *out, size_t cap, bool *is_fin,
			uint64_t *error_code)
{
	struct qb_stream *st = qb_stream_find(s, id);
	struct stream_rx *rx;
	size_t n;

	*is_fin = false;
	if (!st || st->rx.state == RX_NONE || st->rx.is_stopped)
		return -ENOENT;
	rx = &st->rx;
	if (rx->state == RX_OPEN) {
		n = (size_t)qb_min_u64(cap, qb_sub_sat_u64(readable_end(rx), rx->buf.base));
		qb_chunk_buf_get(&rx->buf, rx->buf.base, out, n);
		qb_chunk_buf_release(&rx->buf, rx->buf.base + n);
		consume(s, st, rx->buf.base);
		/* A short read would keep the application from asking again for the reset. */
		if (n && rx->has_reset && rx->buf.base >= rx->reliable_size)
			qb_stream_event(s, st, EVENT_READABLE);
	} else {
		n = 0;
	}
	if (rx->has_reset) {
		if (n || rx->buf.base < rx->reliable_size)
			return (int64_t)n;
		if (error_code)
			*error_code = rx->reset_code;
		if (rx->state == RX_OPEN)
			finish(s, st);
		return -ECONNRESET;
	}
	*is_fin = rx->final_size == rx->buf.base;
	if (*is_fin && rx->state == RX_OPEN)
		finish(s, st);
	return (int64_t)n;
}

int qb_streams_stop(struct qb_streams *s, uint64_t id, uint64_t error_code)
{
	struct qb_stream *st = qb_stream_find(s, id);
	struct stream_rx *rx;

	if (!st || st->rx.state == RX_NONE)
		return -ENOENT;
	rx = &st->rx;
	if (rx->state == RX_DONE || rx->is_stopped)
		return 0;
	rx->is_stopped = true;
	rx->stop_code = error_code;
	if (rx->final_size != NO_SIZE) {
		finish(s, st);
		return 0;
	}
	qb_chunk_buf_clear(&rx->buf);
	consume(s, st, rx->highest);
	qb_stream_event_clear(s, st, EVENT_READABLE);
	qb_stream_ctl_clear(s, st, CTL_MAX_STREAM_DATA);
	qb_stream_ctl(s, st, CTL_STOP_SENDING);
	return 0;
}
