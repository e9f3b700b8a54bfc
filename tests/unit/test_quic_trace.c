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
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
