/* SPDX-License-Identifier: BSD-2-Clause */
/* An event as a record of a qlog file. Inside of qlog/, and for tests. */
#pragma once

#include "qlog/text.h"
#include "quic/quic.h"

enum {
	QB_QLOG_PATHS = 16,	    /* whose metrics are remembered */
	QB_QLOG_RECORD_MAX = 65536, /* bytes of one record */
};

/* What the file has said already, so that only changes are written. */
struct qb_qlog_state {
	bool is_server;
	uint64_t begin_ns;	       /* time 0 of the file */
	uint8_t ack_delay_exponent[2]; /* ours, the peer's */
	struct {
		uint32_t path_id;
		bool is_known;
		struct qb_trace_metrics m;
	} path[QB_QLOG_PATHS];
	const char *alpn;
};

void qb_qlog_state_init(struct qb_qlog_state *s, bool is_server, uint64_t begin_ns);
/*
 * qb_qlog_format appends the records of an event, RS and newline included. Not every event has one;
 * what does not fit into t is left out whole and sets t->is_full.
 */
void qb_qlog_format(struct qb_qlog_state *s, const struct qb_trace_event *ev,
		    struct qb_qlog_text *t);
/* qb_qlog_format_dropped says that so many events are missing here. */
void qb_qlog_format_dropped(const struct qb_qlog_state *s, uint64_t cnt, uint64_t now_ns,
			    struct qb_qlog_text *t);

struct qb_qlog_head {
	const char *node;  /* vantage point */
	const char *begin; /* wall clock, RFC 3339 */
	const char *group; /* hexadecimal, the connection's */
	uint32_t part;	   /* 1, 2, ... of the connection's files */
};

/* qb_qlog_format_head appends the record that a file begins with. */
void qb_qlog_format_head(const struct qb_qlog_state *s, const struct qb_qlog_head *h,
			 struct qb_qlog_text *t);

/* frames.c: qb_qlog_format_frames appends the array "frames" of a packet. */
void qb_qlog_format_frames(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
			   struct qb_qlog_text *t);
/* qb_qlog_error writes an error code as the schema has it: `key`, and "error_code" where it has no
 * name. */
void qb_qlog_error(struct qb_qlog_text *t, const char *key, uint64_t code, bool is_app);
