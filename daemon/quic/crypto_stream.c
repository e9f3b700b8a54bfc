/* SPDX-License-Identifier: BSD-2-Clause */
/* CRYPTO frames in both directions; frames_rx.c feeds it, conn_tx.c drains it. */
#include "quic/crypto_stream.h"

#include <errno.h>

void qb_crypto_init(struct qb_crypto *c, struct qb_chunk_store *store)
{
	memset(c, 0, sizeof(*c));
	qb_chunk_buf_init(&c->rx, store);
}

void qb_crypto_fini(struct qb_crypto *c)
{
	qb_chunk_buf_clear(&c->rx);
}

/* provide hands over what became contiguous with what TLS already has. */
static int provide(struct qb_crypto *c, struct qb_tls *tls, enum qb_level level)
{
	uint8_t piece[512];

	while (c->rx.base < c->rx.frontier) {
		uint64_t off = c->rx.base;
		size_t len = (size_t)QB_MIN(c->rx.frontier - off, sizeof(piece));

		qb_chunk_buf_get(&c->rx, off, piece, len);
		qb_chunk_buf_release(&c->rx, off + len);
		if (qb_tls_provide(tls, level, piece, len) < 0)
			return -EPROTO;
	}
	return 1;
}

uint64_t qb_crypto_error(const struct qb_tls *tls, const char **why)
{
	uint8_t alert = qb_tls_alert(tls, why);

	switch (qb_tls_fault(tls)) {
	case QB_TLS_FAULT_RULES:
		return QB_QUIC_PROTOCOL_VIOLATION;
	case QB_TLS_FAULT_TOO_MUCH:
		return QB_QUIC_CRYPTO_BUFFER_EXCEEDED;
	case QB_TLS_FAULT_ALERT:
		break;
	}
	return QB_QUIC_CRYPTO_ERROR + alert;
}

int qb_crypto_on_frame(struct qb_crypto *c, struct qb_tls *tls, enum qb_level level, uint64_t off,
		       struct qb_bytes data, struct qb_fault *fault)
{
	uint64_t end = off + data.len;
	size_t stored;
	const char *why;
	uint64_t code;

	if (end <= c->rx.base || !data.len)
		return 0;
	if (end > c->rx.base + QB_CRYPTO_WINDOW || end > QB_CRYPTO_TOTAL_MAX)
		return qb_fault_set(fault, QB_QUIC_CRYPTO_BUFFER_EXCEEDED, "too much CRYPTO data");
	stored = qb_chunk_buf_put(&c->rx, off, data.p, data.len);
	if (stored && !qb_chunk_buf_mark(&c->rx, off, stored))
		return stored < data.len ? -ENOBUFS : 0;
	if (stored && provide(c, tls, level) < 0) {
		code = qb_crypto_error(tls, &why);
		return qb_fault_set(fault, code, why);
	}
	return stored < data.len ? -ENOBUFS : 1;
}

bool qb_crypto_has_data(const struct qb_crypto *c, const struct qb_tls *tls, enum qb_level level)
{
	const uint8_t *data;

	return c->lost_off < c->lost_end || c->tx_off < qb_tls_output(tls, level, &data);
}

size_t qb_crypto_write(struct qb_crypto *c, const struct qb_tls *tls, enum qb_level level,
		       struct qb_wr *w, uint64_t *off)
{
	const uint8_t *data;
	size_t total = qb_tls_output(tls, level, &data);
	bool is_again = c->lost_off < c->lost_end;
	uint64_t from = is_again ? c->lost_off : c->tx_off;
	uint64_t to = is_again ? c->lost_end : total;
	struct qb_frame f = {.type = QB_FRAME_CRYPTO};
	size_t len;

	if (from >= to)
		return 0;
	len = qb_payload_fit(qb_wr_room(w), 1 + qb_varint_len(from), (size_t)(to - from));
	if (!len)
		return 0;
	f.crypto.off = from;
	f.crypto.data = (struct qb_bytes){data + from, len};
	if (!qb_frame_try(w, &f))
		return 0;
	if (is_again)
		c->lost_off += len;
	else
		c->tx_off += len;
	*off = from;
	return len;
}

void qb_crypto_on_lost(struct qb_crypto *c, uint64_t off, uint64_t len)
{
	if (c->lost_off >= c->lost_end) {
		c->lost_off = off;
		c->lost_end = off + len;
		return;
	}
	/* One hull is enough: a flight is a few packets, and repeating some of it does no harm. */
	c->lost_off = QB_MIN(c->lost_off, off);
	c->lost_end = QB_MAX(c->lost_end, off + len);
}
