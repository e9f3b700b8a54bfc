/* SPDX-License-Identifier: BSD-2-Clause */
/* What an observer is told: every packet with its frames, paths, keys, losses; nothing to whom
 * nobody watches; USDT probes. */
#include <check.h>

#include "quic/conn.h"
#include "quic_bulk.h"

struct watch {
	struct qb_observer o;
	uint32_t cnt[QB_TRACE_TYPE_CNT];
	uint64_t last_ns;
	uint32_t frames[64]; /* of packets sent, by type below 64 */
	uint32_t multipath_frames;
	uint64_t sent_bytes, lost_bytes, datagram_bytes[2];
	uint32_t app_keys, local_params, remote_params, gone_tuples;
	struct qb_trace_event last[QB_TRACE_TYPE_CNT];
	char reason[QB_CONN_REASON_LEN];
	bool is_only;  /* one connection is watched */
	uint64_t over; /* the newest connection that has ended */
};

static void take_frames(struct watch *w, const struct qb_trace_event *ev)
{
	const uint8_t *at = ev->extra;
	size_t left = ev->extra_bytes;

	ck_assert_uint_gt(left, 0);
	while (left) {
		struct qb_fault fault;
		struct qb_frame f;
		int n = qb_frame_parse_as(&f, at, left, ev->packet.type, ev->packet.dialect,
					  &fault);

		ck_assert_int_gt(n, 0);
		if (f.type < 64)
			w->frames[f.type]++;
		w->multipath_frames += f.type >= QB_FRAME_PATH_ABANDON;
		at += n;
		left -= (size_t)n;
	}
}

static void on_event(void *arg, const struct qb_trace_event *ev)
{
	struct watch *w = arg;

	/* Of one that has ended nothing more is heard. */
	ck_assert_uint_gt(ev->conn, w->over);
	ck_assert_uint_ge(ev->now_ns, w->last_ns);
	w->last_ns = ev->now_ns;
	w->cnt[ev->type]++;
	w->last[ev->type] = *ev;
	switch (ev->type) {
	case QB_TRACE_PACKET_SENT:
		w->sent_bytes += ev->packet.bytes;
		take_frames(w, ev);
		break;
	case QB_TRACE_PACKET_RECEIVED:
		if (ev->packet.type != QB_PKT_RETRY)
			ck_assert_uint_gt(ev->extra_bytes, 0);
		break;
	case QB_TRACE_PACKET_LOST:
		w->lost_bytes += ev->lost.is_mtu_probe ? 0 : ev->lost.bytes;
		break;
	case QB_TRACE_PARAMETERS_SET:
		ck_assert_uint_eq(ev->extra_bytes, sizeof(struct qb_tparams));
		w->local_params += ev->params.is_local;
		w->remote_params += !ev->params.is_local;
		break;
	case QB_TRACE_KEY_UPDATED:
		w->app_keys += ev->key.level == QB_LEVEL_APP;
		break;
	case QB_TRACE_TUPLE_ASSIGNED:
		w->gone_tuples += ev->assigned.is_gone;
		break;
	case QB_TRACE_DATAGRAM_DATA_MOVED:
		w->datagram_bytes[ev->datagram.is_out] += ev->datagram.bytes;
		break;
	case QB_TRACE_CONNECTION_CLOSED:
		snprintf(w->reason, sizeof(w->reason), "%.*s", (int)ev->extra_bytes,
			 (const char *)ev->extra);
		break;
	case QB_TRACE_TRACE_ENDED:
		w->over = QB_MAX(w->over, ev->conn * w->is_only);
		break;
	default:
		break;
	}
}

static void watch_both(struct pair *p, struct watch w[2], bool is_only)
{
	for (int i = 0; i < 2; i++) {
		w[i] = (struct watch){.o = {on_event, &w[i]}, .is_only = is_only};
		qb_quic_set_observer(p->end[i].q, &w[i].o);
	}
}

/* A whole life, on both sides: two paths, loss, a key update, datagrams, a path closed, the end. */
START_TEST(test_life)
{
	struct pair_opts o = pair_default_opts(1 + (uint64_t)_i);
	struct pair *p = pair_new(&o);
	struct watch w[2];
	uint32_t no, sent_cnt = 0;
	uint8_t path;
	struct bulk b;

	watch_both(p, w, true);
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 30 * SEC));
	pair_run(p, 200 * MS);
	path = pair_open_path(p, 1);
	p->link[0].loss = p->link[1].loss = 0.02;
	bulk_start(p, &b, CLIENT, 1 << 20);
	for (no = 0; no < 400; no++) {
		sent_cnt += pair_send_dgram(p, CLIENT, no % 2 ? path : 0, no, 500) == 0;
		if (no == 200)
			qb_conn_update_key(p->end[CLIENT].conn);
		pair_run(p, 5 * MS);
	}
	ck_assert(pair_run_until(p, bulk_is_done, 60 * SEC));
	ck_assert_int_eq(qb_conn_close_path(p->end[CLIENT].conn, path, 0x3e, p->now_ns), 0);
	pair_run(p, 5 * SEC);
	qb_conn_close(p->end[CLIENT].conn, 0x100, "enough", p->now_ns);
	pair_run(p, 5 * SEC);
	for (int i = 0; i < 2; i++) {
		const struct pair_end *e = &p->end[i];
		bool is_client = i == CLIENT;

		ck_assert_uint_eq(w[i].cnt[QB_TRACE_CONNECTION_STARTED], 1);
		ck_assert_uint_eq(w[i].cnt[QB_TRACE_CONNECTION_CLOSED], 1);
		ck_assert_uint_eq(w[i].cnt[QB_TRACE_CONNECTION_STATE_UPDATED], 2);
		ck_assert_uint_eq(w[i].cnt[QB_TRACE_TRACE_ENDED], 1);
		ck_assert_uint_eq(w[i].local_params, 1);
		ck_assert_str_eq(w[i].last[QB_TRACE_CONNECTION_STATE_UPDATED].state.name, "handshake_confirmed");
		ck_assert(!w[i].last[QB_TRACE_CONNECTION_STATE_UPDATED].state.is_resumed);
		ck_assert_uint_eq(w[i].remote_params, 1);
		/* Everything that counters know, and nothing else. */
		ck_assert_uint_eq(w[i].cnt[QB_TRACE_PACKET_SENT], e->counters.v[QB_CNT_PACKETS_TX]);
		ck_assert_uint_eq(w[i].sent_bytes, e->counters.v[QB_CNT_BYTES_TX]);
		ck_assert_uint_eq(w[i].cnt[QB_TRACE_PACKET_RECEIVED],
				  e->counters.v[QB_CNT_PACKETS_RX]);
		ck_assert_uint_ge(w[i].cnt[QB_TRACE_PACKET_LOST],
				  e->counters.v[QB_CNT_PACKETS_LOST]);
		ck_assert_uint_eq(w[i].frames[QB_FRAME_DATAGRAM],
				  e->counters.v[QB_CNT_DATAGRAMS_TX]);
		ck_assert_uint_eq(w[i].datagram_bytes[0], 500 * e->counters.v[QB_CNT_DATAGRAMS_RX]);
		ck_assert_uint_eq(w[i].last[QB_TRACE_CONNECTION_CLOSED].closed.error_code, 0x100);
		ck_assert_uint_eq(w[i].last[QB_TRACE_CONNECTION_CLOSED].closed.is_by_peer,
				  !is_client);
		ck_assert_str_eq(w[i].reason, "enough");
		/* Handshake, 1-RTT and one update, each in both directions. */
		ck_assert_uint_eq(w[i].cnt[QB_TRACE_KEY_UPDATED], 6);
		ck_assert_uint_eq(w[i].app_keys, 4);
		ck_assert_str_eq(w[i].last[QB_TRACE_KEY_UPDATED].key.trigger,
				 is_client ? "local_update" : "remote_update");
		ck_assert_uint_eq(w[i].last[QB_TRACE_KEY_UPDATED].key.phase, 1);
		/* Initial and Handshake in both directions, the old 1-RTT one. */
		ck_assert_uint_eq(w[i].cnt[QB_TRACE_KEY_DISCARDED], 5);
		ck_assert_uint_ge(w[i].cnt[QB_TRACE_TUPLE_ASSIGNED], 2);
		ck_assert_uint_eq(w[i].gone_tuples, 1);
		ck_assert_uint_eq(w[i].last[QB_TRACE_TUPLE_ASSIGNED].path_id, 1);
		ck_assert_uint_eq(w[i].cnt[QB_TRACE_PATH_ABANDONED], 1);
		ck_assert_uint_eq(w[i].last[QB_TRACE_PATH_ABANDONED].abandoned.error_code, 0x3e);
		ck_assert_uint_eq(w[i].last[QB_TRACE_PATH_ABANDONED].abandoned.is_by_peer,
				  !is_client);
		ck_assert_uint_ge(w[i].cnt[QB_TRACE_PATH_VALIDATED], 2);
		ck_assert_uint_gt(w[i].cnt[QB_TRACE_RECOVERY_METRICS_UPDATED], 5);
		ck_assert_uint_gt(w[i].last[QB_TRACE_RECOVERY_METRICS_UPDATED].metrics.srtt_ns,
				  10 * MS);
		ck_assert_uint_ge(w[i].cnt[QB_TRACE_MTU_UPDATED], 2);
		ck_assert_uint_eq(w[i].last[QB_TRACE_MTU_UPDATED].mtu.bytes, 1472);
		ck_assert_uint_ge(w[i].cnt[QB_TRACE_CONGESTION_STATE_UPDATED], 2);
		ck_assert_uint_gt(w[i].multipath_frames, 0);
	}
	ck_assert_uint_eq(w[CLIENT].datagram_bytes[1], 500 * (uint64_t)sent_cnt);
	ck_assert_uint_gt(w[CLIENT].cnt[QB_TRACE_PACKET_LOST], 0);
	pair_free(p);
}
END_TEST

/* Begun and ended while the connection runs: an introduction, then events, then the end, then
 * silence. */
START_TEST(test_midway)
{
	struct pair_opts o = pair_default_opts(20);
	struct pair *p = pair_up(&o);
	struct watch w = {.o = {on_event, &w}, .is_only = true};
	struct qb_conn *c = p->end[SERVER].conn;
	uint32_t sent_cnt;

	pair_open_path(p, 1);
	qb_conn_set_observer(c, &w.o, p->now_ns);
	ck_assert_uint_eq(w.cnt[QB_TRACE_CONNECTION_STARTED], 1);
	ck_assert(w.last[QB_TRACE_CONNECTION_STARTED].started.is_midway);
	ck_assert(w.last[QB_TRACE_CONNECTION_STARTED].started.is_server);
	ck_assert_uint_eq(w.cnt[QB_TRACE_PARAMETERS_SET], 2);
	ck_assert_uint_eq(w.cnt[QB_TRACE_CONNECTION_STATE_UPDATED], 2);
	ck_assert_uint_eq(w.cnt[QB_TRACE_TUPLE_ASSIGNED], 2);
	ck_assert_uint_eq(w.cnt[QB_TRACE_RECOVERY_METRICS_UPDATED], 2);
	ck_assert_uint_eq(w.cnt[QB_TRACE_MTU_UPDATED], 2);
	ck_assert_uint_eq(w.cnt[QB_TRACE_PACKET_SENT], 0);
	(void)!pair_send_dgram(p, SERVER, 0, 1, 300);
	pair_run(p, 1 * SEC);
	sent_cnt = w.cnt[QB_TRACE_PACKET_SENT];
	ck_assert_uint_ge(sent_cnt, 1);
	qb_conn_set_observer(c, NULL, p->now_ns);
	ck_assert_uint_eq(w.cnt[QB_TRACE_TRACE_ENDED], 1);
	(void)!pair_send_dgram(p, SERVER, 0, 2, 300);
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(w.cnt[QB_TRACE_PACKET_SENT], sent_cnt);
	pair_free(p);
	ck_assert_uint_eq(w.cnt[QB_TRACE_TRACE_ENDED], 1);
}
END_TEST

static bool corrupt_once(struct pair *p, int from, struct pair_pkt *pkt)
{
	int *left = p->user;

	if (from == CLIENT && *left > 0) {
		(*left)--;
		pkt->data[pkt->len - 1] ^= 1;
	}
	return true;
}

/* Dropped packets come with their reason; a timeout is silent; two connections are told apart. */
START_TEST(test_drops_and_numbers)
{
	struct pair_opts o = pair_default_opts(30);
	struct pair *p = pair_new(&o);
	struct watch w[2];
	int left = 3;
	uint64_t first;

	watch_both(p, w, false);
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 30 * SEC));
	first = w[SERVER].last[QB_TRACE_CONNECTION_STARTED].conn;
	pair_run(p, 100 * MS);
	w[SERVER].cnt[QB_TRACE_PACKET_DROPPED] = 0;
	p->on_packet = corrupt_once;
	p->user = &left;
	for (uint32_t no = 0; no < 3; no++)
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, no, 300), 0);
	p->on_packet = NULL;
	pair_run(p, 1 * SEC);
	ck_assert_uint_eq(w[SERVER].cnt[QB_TRACE_PACKET_DROPPED], 3);
	ck_assert_uint_eq(w[SERVER].last[QB_TRACE_PACKET_DROPPED].dropped.why, QB_CNT_DROP_AUTH);
	ck_assert_ptr_nonnull(pair_connect(p));
	pair_run(p, 2 * SEC);
	ck_assert_uint_eq(w[SERVER].cnt[QB_TRACE_CONNECTION_STARTED], 2);
	ck_assert_uint_ne(w[SERVER].last[QB_TRACE_CONNECTION_STARTED].conn, first);
	p->link[0].is_down = true;
	pair_run(p, 60 * SEC);
	ck_assert_uint_eq(w[SERVER].cnt[QB_TRACE_CONNECTION_CLOSED], 2);
	ck_assert(w[SERVER].last[QB_TRACE_CONNECTION_CLOSED].closed.is_silent);
	ck_assert_str_eq(w[SERVER].reason, "idle timeout");
	pair_free(p);
}
END_TEST

/* Each row of the table is a USDT probe of this program, under its name and with four arguments. */
START_TEST(test_probes)
{
	static bool has[QB_TRACE_TYPE_CNT];
	char line[512], *name = NULL;
	FILE *f = popen("readelf -n /proc/$PPID/exe", "r");
	uint32_t i, arg_cnt;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		char *at = strstr(line, "Name: ");

		line[strcspn(line, "\n")] = '\0';
		if (at) {
			free(name);
			name = strdup(at + strlen("Name: "));
		}
		at = strstr(line, "Arguments: ");
		if (!at || !name)
			continue;
		for (arg_cnt = 0, at += strlen("Arguments: "); *at; at++)
			arg_cnt += *at == '@';
		for (i = 0; i < QB_TRACE_TYPE_CNT; i++) {
			if (strcmp(name, qb_trace_name(i)) == 0) {
				ck_assert_uint_eq(arg_cnt, 4);
				has[i] = true;
			}
		}
	}
	free(name);
	ck_assert_int_eq(pclose(f), 0);
	for (i = 0; i < QB_TRACE_TYPE_CNT; i++)
		ck_assert_msg(has[i], "no probe %s", qb_trace_name(i));
}
END_TEST

struct caught {
	uint32_t len;
	uint8_t data[PAIR_PKT_MAX];
};

/* ---- what went wrong ---- */

/* Failed handshakes and timeouts are kept with who it was; the oldest go; an end in order by an
 * application is one, too. */
START_TEST(test_failures)
{
	struct pair_opts o = pair_default_opts(50);
	struct qb_quic_failure f;
	struct pair *p;
	char text[QB_ERROR_TEXT_LEN];
	uint32_t cnt = 0;

	o.wrong_client_key = true;
	p = pair_new(&o);
	ck_assert_ptr_nonnull(pair_connect(p));
	pair_run(p, 5 * SEC);
	ck_assert(qb_quic_next_failure(p->end[SERVER].q, &f));
	ck_assert(f.is_handshake && !f.is_app && !f.is_by_peer && f.has_key);
	ck_assert_str_eq(qb_quic_error_format(f.error_code, text),
			 "CRYPTO_ERROR (0x12e, certificate_unknown)");
	ck_assert(!qb_quic_next_failure(p->end[SERVER].q, &f));
	ck_assert(qb_quic_next_failure(p->end[CLIENT].q, &f));
	ck_assert(f.is_by_peer);
	ck_assert_uint_eq(f.error_code, 0x12e);
	pair_free(p);

	o = pair_default_opts(51);
	p = pair_new(&o);
	p->link[0].is_down = true;
	for (uint32_t i = 0; i < 24; i++) {
		if (!pair_connect(p))
			break;
		pair_run(p, 61 * SEC);
	}
	while (qb_quic_next_failure(p->end[CLIENT].q, &f)) {
		cnt++;
		ck_assert(f.is_silent && f.is_handshake && !f.is_by_peer);
		ck_assert(strstr(f.reason, "time") != NULL);
		ck_assert_uint_eq(f.peer.port, 443);
	}
	ck_assert_uint_eq(cnt, 16);
	pair_free(p);
}
END_TEST

static bool repeat(struct pair *p, int from, struct pair_pkt *pkt)
{
	struct caught *c = p->user;

	if (from == CLIENT) {
		c->len = pkt->len;
		memcpy(c->data, pkt->data, pkt->len);
	}
	return true;
}

/* Each path counts what came twice, too late, or did not open. */
START_TEST(test_path_counts)
{
	struct pair_opts o = pair_default_opts(52);
	struct pair *p = pair_up(&o);
	struct qb_tuple from = pair_server_tuple(p, 1);
	struct qb_path_info info, other;
	struct caught c[2] = {{0}};
	uint8_t path = pair_open_path(p, 1);

	p->on_packet = repeat;
	for (uint32_t i = 0; i < 2; i++) {
		p->user = &c[i];
		p->link[1].is_down = false;
		ck_assert_int_eq(pair_send_dgram(p, CLIENT, path, i, 300), 0);
	}
	p->on_packet = NULL;
	pair_run(p, 1 * SEC);
	for (uint32_t i = 0; i < 2; i++) {
		/* in place: a copy each */
		struct caught again = c[i];

		pair_inject(p, SERVER, &from, again.data, again.len);
		again = c[i];
		again.data[again.len - 1] ^= 1;
		pair_inject(p, SERVER, &from, again.data, again.len);
	}
	p->link[1].jitter_ns = 40 * MS;
	for (uint32_t i = 2; i < 60; i++) {
		(void)!pair_send_dgram(p, CLIENT, path, i, 300);
		pair_run(p, 2 * MS);
	}
	pair_run(p, 1 * SEC);
	ck_assert(qb_conn_path_info(p->end[SERVER].conn, path, p->now_ns, &info));
	ck_assert_uint_eq(info.duplicate_packets, 2);
	ck_assert_uint_eq(info.unopened_packets, 2);
	ck_assert_uint_gt(info.reordered_packets, 5);
	ck_assert(qb_conn_path_info(p->end[SERVER].conn, 0, p->now_ns, &other));
	ck_assert_uint_eq(
		other.duplicate_packets + other.unopened_packets + other.reordered_packets, 0);
	pair_free(p);
}
END_TEST

/* ---- the key log ---- */

struct key_log {
	char random[65];
	uint8_t secret[QB_SECRET_MAX]; /* the client's of 1-RTT */
	size_t secret_len;
	uint32_t lines, labels;
};

static size_t from_hex(const char *text, uint8_t *out, size_t cap)
{
	size_t n = 0;

	for (; text[0] && text[1] && n < cap; text += 2, n++) {
		unsigned int v;

		ck_assert_int_eq(sscanf(text, "%2x", &v), 1);
		out[n] = (uint8_t)v;
	}
	return n;
}

static void on_line(void *arg, const char *line)
{
	static const char *const labels[] = {
		"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
		"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "EXPORTER_SECRET"};
	char label[64], random[80], secret[160];
	struct key_log *k = arg;
	int end = 0;

	/* LABEL client_random secret (RFC 9850), and nothing behind it. */
	ck_assert_int_eq(sscanf(line, "%63s %79s %159s%n", label, random, secret, &end), 3);
	ck_assert_int_eq(line[end], '\0');
	ck_assert_uint_eq(strlen(random), 64);
	ck_assert_uint_eq(strspn(random, "0123456789abcdef"), 64);
	ck_assert(strlen(secret) == 64 || strlen(secret) == 96);
	ck_assert(k->lines == 0 || strcmp(k->random, random) == 0);
	strcpy(k->random, random);
	k->lines++;
	for (uint32_t i = 0; i < QB_ARRAY_LEN(labels); i++)
		k->labels |= (uint32_t)(strcmp(label, labels[i]) == 0) << i;
	if (strcmp(label, labels[2]) == 0)
		k->secret_len = from_hex(secret, k->secret, sizeof(k->secret));
}

static bool catch_packet(struct pair *p, int from, struct pair_pkt *pkt)
{
	struct caught *c = p->user;

	if (from == CLIENT && !(pkt->data[0] & QB_HDR_LONG)) {
		c->len = pkt->len;
		memcpy(c->data, pkt->data, pkt->len);
	}
	return true;
}

/* Lines as Wireshark wants them, and what they say opens a packet from the wire. */
START_TEST(test_key_log)
{
	struct pair_opts o = pair_default_opts(40);
	struct key_log k = {0};
	struct qb_conn_info info;
	struct caught c = {0};
	uint8_t mask[QB_HP_MASK_LEN], pn_len, payload[500];
	struct qb_keys *keys;
	const size_t pn_off = 1 + QB_CID_LEN;
	struct pair *p;
	uint64_t pn;
	int len;

	pair_make_tls(&o, o.tls);
	qb_tls_ctx_keylog(o.tls[SERVER], on_line, &k);
	p = pair_up(&o);
	ck_assert_uint_eq(k.lines, 5);
	ck_assert_uint_eq(k.labels, 31);
	p->on_packet = catch_packet;
	p->user = &c;
	pn = p->end[CLIENT].conn->path[0].space.sent.next_pn;
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 7, sizeof(payload)), 0);
	ck_assert_uint_gt(c.len, sizeof(payload));
	qb_conn_get_info(p->end[CLIENT].conn, &info);
	keys = qb_keys_new(info.version, info.suite, k.secret, k.secret_len);
	ck_assert_ptr_nonnull(keys);
	qb_keys_hp_mask(keys, c.data + pn_off + QB_HP_SAMPLE_OFF, mask);
	c.data[0] ^= mask[0] & QB_HDR_SHORT_PROTECTED;
	pn_len = (uint8_t)((c.data[0] & QB_HDR_PN_LEN) + 1);
	for (uint8_t i = 0; i < pn_len; i++)
		c.data[pn_off + i] ^= mask[1 + i];
	pn = qb_pn_decode(pn, qb_pn_read(c.data + pn_off, pn_len), pn_len);
	len = qb_keys_open(keys, 0, pn, c.data, pn_off + pn_len, c.len - pn_off - pn_len);
	ck_assert_int_gt(len, (int)sizeof(payload));
	/* The DATAGRAM's payload is the end of it. */
	qb_store_be32(payload, 7);
	for (uint32_t i = 4; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(7 + i);
	ck_assert_mem_eq(c.data + pn_off + pn_len + len - sizeof(payload), payload,
			 sizeof(payload));
	qb_keys_free(keys);
	pair_free(p);
	qb_tls_ctx_free(o.tls[0]);
	qb_tls_ctx_free(o.tls[1]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quic/trace");
	TCase *tc = tcase_create("trace");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_life, 0, 3);
	tcase_add_test(tc, test_midway);
	tcase_add_test(tc, test_drops_and_numbers);
	tcase_add_test(tc, test_probes);
	tcase_add_test(tc, test_key_log);
	tcase_add_test(tc, test_failures);
	tcase_add_test(tc, test_path_counts);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
