/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two whole endpoints with the input between them: raw datagrams, frames inside real packets of any
 * level, damage to what is on its way, calls of the application, and time. Whatever it says,
 * nothing may break, no buffer may be lost, and time must go on.
 */
#define REQUIRE		    QB_BUG_ON_NOT
#define QB_BUG_ON_NOT(cond) QB_BUG_ON(!(cond))
#define PAIR_FRAMES	    1024

#include "quic/packet.h"
#include "tests/unit/quic_pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { STEPS_MAX = 400, PKT_MAX = 1400 };

struct input {
	const uint8_t *p, *end;
};

static uint8_t take(struct input *in)
{
	return in->p < in->end ? *in->p++ : 0;
}

static size_t take_bytes(struct input *in, uint8_t *out, size_t want)
{
	size_t n = QB_MIN(want, (size_t)(in->end - in->p));

	memcpy(out, in->p, n);
	in->p += n;
	return n;
}

/* steps lets the two ends talk; a bounded number of times, since lying peers may keep each other
 * busy. */
static void steps(struct pair *p, uint64_t for_ns)
{
	uint64_t until_ns = p->now_ns + for_ns;
	int i;

	for (i = 0; i < STEPS_MAX && pair_step(p, until_ns); i++)
		;
}

/* raw: a datagram of the input's bytes, with a connection ID that the receiver knows where asked.
 */
static void raw(struct pair *p, struct input *in)
{
	uint8_t how = take(in), pkt[PKT_MAX] = {0};
	int side = how & 1;
	size_t len = take_bytes(in, pkt, (size_t)take(in) * (how & 2 ? 5 : 1));
	struct qb_conn *c = qb_quic_next_conn(p->end[side].q, NULL);
	struct qb_tuple t = side == CLIENT ? pair_client_tuple(0) : pair_server_tuple(p, 0);

	if (c && (how & 4) && len > 30)
		memcpy(pkt + 1, c->hs.local_scid.id, c->hs.local_scid.len);
	if (c && (how & 8) && len > 30) {
		pkt[0] |= 0xc0;
		qb_store_be32(pkt + 1, c->version);
		pkt[5] = c->hs.local_scid.len;
		memcpy(pkt + 6, c->hs.local_scid.id, c->hs.local_scid.len);
	}
	if (how & 16)
		len = QB_MAX(len, (size_t)1200);
	if (how & 32)
		t.peer.ip[3] ^= 5;
	pair_inject(p, side, &t, pkt, (uint32_t)len);
}

/* frames: the input's bytes as the payload of a packet that is sealed as it should be. */
static void frames(struct pair *p, struct input *in)
{
	static const enum qb_level levels[] = {QB_LEVEL_APP, QB_LEVEL_APP, QB_LEVEL_INITIAL,
					       QB_LEVEL_HANDSHAKE};
	uint8_t how = take(in);
	struct pair_end *e = &p->end[how & 1];
	struct qb_conn *c = qb_quic_next_conn(e->q, NULL);
	size_t len = (size_t)take(in) * (how & 8 ? 4 : 1);
	enum qb_level level = levels[(how >> 1) & 3];
	struct qb_path *path;
	struct qb_batch out = {0};
	struct qb_tx_dgram d;
	struct qb_tx_pkt *pkt;

	if (!c || !qb_conn_is_open(c))
		return;
	path = &c->path[level == QB_LEVEL_APP ? (how >> 4) % c->path_cnt : 0];
	if (path->phase == QB_PATH_UNUSED || !qb_tx_open(&d, c, path, 1200))
		return;
	pkt = qb_tx_begin(&d, level);
	if (pkt) {
		len = take_bytes(in, pkt->w.p, QB_MIN(len, qb_wr_room(&pkt->w)));
		pkt->w.p += len;
		pkt->flags |= QB_SENT_ELICITING | QB_SENT_IN_FLIGHT;
	}
	if (!qb_tx_close(&d, level == QB_LEVEL_INITIAL ? 1200 : 0, &out, p->now_ns))
		return;
	pair_transmit(p, how & 1, &out.buf[0]->tuple, out.buf[0]->data, out.buf[0]->len);
	qb_batch_put(&e->pool, &out);
}

/* damage changes something that is on its way. */
static void damage(struct pair *p, struct input *in)
{
	uint8_t nth = take(in), at = take(in), how = take(in);
	struct pair_pkt *k = p->queue, *twin;

	for (; k && nth; nth--)
		k = k->next;
	if (!k || !k->len)
		return;
	switch (how & 3) {
	case 0:
		k->data[(size_t)at * k->len / 256] ^= (uint8_t)(how | 1);
		break;
	case 1:
		k->len = k->len * at / 256;
		break;
	default:
		twin = malloc(sizeof(*twin));
		*twin = *k;
		twin->at_ns += how * MS;
		pair_enqueue(p, twin);
		break;
	}
}

/* act calls something of quic.h. */
static void act(struct pair *p, struct input *in)
{
	static const uint8_t zeros[2000];
	uint8_t what = take(in), arg = take(in), buf[300];
	int side = what & 1;
	struct qb_conn *c = p->end[side].conn;
	struct qb_tuple t = pair_client_tuple(arg % 4);
	struct qb_path_info info;
	bool is_fin;

	if (!c)
		return;
	switch ((what >> 1) % 12) {
	case 0:
		(void)!qb_conn_open_path(c, &t, p->now_ns);
		break;
	case 1:
		qb_conn_close_path(c, arg % QB_PATHS_MAX, arg, p->now_ns);
		break;
	case 2:
		qb_conn_move_path(c, arg % QB_PATHS_MAX, &t, p->now_ns);
		break;
	case 3:
		if (arg & 32)
			qb_conn_doubt_path(c, arg % QB_PATHS_MAX, arg & 16, p->now_ns);
		else
			qb_conn_set_path_down(c, arg % QB_PATHS_MAX, arg & 16, p->now_ns);
		break;
	case 4:
		qb_conn_probe_path(c, arg % QB_PATHS_MAX, p->now_ns);
		break;
	case 5:
		qb_conn_set_path_backup(c, arg % QB_PATHS_MAX, arg & 16);
		break;
	case 6:
		(void)!qb_conn_open_stream(c, arg & 1);
		break;
	case 7:
		qb_conn_stream_write(c, arg % 16, zeros, sizeof(zeros), arg & 16);
		break;
	case 8:
		qb_conn_stream_read(c, arg % 16, buf, sizeof(buf), &is_fin, NULL);
		break;
	case 9:
		c->is_update_wanted = true;
		qb_conn_touch(c);
		break;
	case 10:
		(void)!pair_send_dgram(p, side, arg % QB_PATHS_MAX, arg, 4u + arg * 5u);
		break;
	default:
		if (arg > 250)
			qb_conn_close(c, arg, "", p->now_ns);
		(void)qb_conn_path_info(c, arg % QB_PATHS_MAX, p->now_ns, &info);
		break;
	}
}

static void play(struct pair *p, struct input *in)
{
	while (in->p < in->end) {
		uint8_t op = take(in);

		switch (op % 8) {
		case 0:
			raw(p, in);
			break;
		case 1:
		case 2:
		case 3:
			frames(p, in);
			break;
		case 4:
			damage(p, in);
			break;
		case 5:
			act(p, in);
			break;
		case 6:
			p->link[op / 8 % 4].is_down = !p->link[op / 8 % 4].is_down;
			break;
		default:
			steps(p, (uint64_t)(op / 8) * 10 * MS);
			break;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct qb_tls_ctx *tls[2];
	struct input in = {data, data + len};
	struct pair_opts o = pair_default_opts(1);
	struct pair *p;
	uint8_t how = take(&in);

	if (!tls[0])
		pair_make_tls(&o, tls);
	o.tls[0] = tls[0];
	o.tls[1] = tls[1];
	o.conns = 4;
	o.sent_records = 1024;
	o.stream_chunks = 64;
	o.keepalive_ns = how & 1 ? 2 * SEC : 0;
	o.retry = how & 2 ? QB_RETRY_ALWAYS : QB_RETRY_OFF;
	if (how & 4)
		o.max_path_id_client = UINT32_MAX;
	p = pair_new(&o);
	p->is_garbage_ok = true;
	REQUIRE(pair_connect(p));
	pair_poll(p, CLIENT);
	/* Either in the middle of the handshake or long after it. */
	if (how & 8)
		steps(p, (uint64_t)(how >> 4) * 5 * MS);
	else
		steps(p, 500 * MS);
	play(p, &in);
	steps(p, 5 * SEC);
	pair_free(p);
	return 0;
}
