/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hostile peer on all streams of a connection. The first byte chooses the role, the rest is read
 * as steps:
 *
 *     op (1) stream (1) len (1) bytes (len)
 *
 * Whatever comes, at most one error closes the connection, and the owner sees a session's events in
 * order: request or response, then capsules, then its end.
 */
#include <stdlib.h>

#include "tests/unit/fake_conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum op { OP_DATA, OP_FIN, OP_RESET, OP_STOP, OP_WRITABLE, OP_OWN, OP_DATAGRAM, OP_PACE, OP_CNT };

static struct qb_conn conn;
static struct qb_h3 *h3;
static bool is_open[FAKE_STREAMS]; /* by request stream number */

static void check_event(const struct qb_h3_event *ev)
{
	uint64_t n = ev->session / 4;

	switch (ev->type) {
	case QB_H3_EV_READY:
	case QB_H3_EV_GOAWAY:
		return;
	case QB_H3_EV_REQUEST:
		QB_BUG_ON(is_open[n]);
		is_open[n] = true;
		(void)qb_h3_respond(h3, ev->session, n % 3 ? 200 : 403);
		is_open[n] = n % 3;
		return;
	case QB_H3_EV_RESPONSE:
		QB_BUG_ON(!is_open[n]);
		is_open[n] = ev->is_ok;
		return;
	case QB_H3_EV_CLOSED:
		QB_BUG_ON(!is_open[n]);
		is_open[n] = false;
		return;
	default:
		QB_BUG_ON(!is_open[n] || ev->addr_cnt > QB_H3_ADDRS_MAX ||
			  ev->route_cnt > QB_H3_ROUTES_MAX);
	}
}

static void poll(void)
{
	struct qb_h3_event ev;

	while (qb_h3_next_event(h3, &ev))
		check_event(&ev);
}

static void own_call(uint8_t what, uint64_t session)
{
	static const struct qb_h3_route route = {4, 0, {10}, {11}};
	static const struct qb_h3_addr addr = {1, {{10}, 4, 8}};
	int64_t id;

	switch (what % 6) {
	case 0:
		id = qb_h3_connect_ip(h3, "hub.example", NULL);
		if (id >= 0)
			is_open[id / 4] = true;
		break;
	case 1:
		(void)qb_h3_send_routes(h3, session, &route, 1);
		break;
	case 2:
		(void)qb_h3_send_addresses(h3, session, what & 8, &addr, 1);
		break;
	case 3:
		(void)qb_h3_send_bond(h3, session, 1, 2);
		break;
	case 4:
		qb_h3_close_session(h3, session, what & 8 ? QB_H3_NO_ERROR : QB_H3_MESSAGE_ERROR);
		is_open[session / 4] = false;
		break;
	default:
		(void)qb_h3_respond(h3, session, 200);
	}
}

static void datagram(const uint8_t *p, size_t len)
{
	static uint8_t mem[512];
	struct qb_buf b = {.data = mem + 64, .len = (uint32_t)len};
	uint64_t session, context;

	memcpy(b.data, p, len);
	if (qb_h3_unwrap(h3, &b, &session, &context) == 0) {
		QB_BUG_ON(session / 4 >= FAKE_STREAMS || b.len > len);
		qb_h3_wrap(h3, session, context, &b);
	}
}

static void step(uint8_t op, uint64_t id, const uint8_t *p, size_t len)
{
	switch (op % OP_CNT) {
	case OP_DATA:
	case OP_FIN:
		fake_rx(&conn, h3, id, p, len, op % OP_CNT == OP_FIN);
		break;
	case OP_RESET:
		fake_rx_reset(&conn, h3, id, len);
		break;
	case OP_STOP:
		fake_rx_stop(&conn, h3, id, len & 1 ? QB_H3_NO_ERROR : len);
		break;
	case OP_WRITABLE:
		fake_event(&conn, h3, QB_EV_STREAM_WRITABLE, id, 0);
		break;
	case OP_OWN:
		own_call((uint8_t)len, id & ~UINT64_C(3));
		break;
	case OP_DATAGRAM:
		datagram(p, len);
		break;
	default:
		conn.read_max = len & 1 ? 1 + len / 2 : SIZE_MAX;
		conn.write_max = len & 2 ? len / 4 : SIZE_MAX;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void *mem;
	size_t off = 1;

	if (size == 0)
		return 0;
	if (!mem)
		mem = malloc(qb_h3_footprint());
	fake_init(&conn, data[0] & 1);
	memset(is_open, 0, sizeof(is_open));
	QB_BUG_ON(qb_h3_init(mem, &conn, data[0] & 1, &h3) < 0);
	while (size - off >= 3 && !conn.is_failed) {
		size_t len = QB_MIN((size_t)data[off + 2], size - off - 3);

		step(data[off], data[off + 1] % (FAKE_STREAMS - 8), data + off + 3, len);
		off += 3 + (data[off] % OP_CNT == OP_OWN ? 0 : len);
		if (!(data[0] & 2))
			poll();
	}
	poll();
	return 0;
}
