/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qlog files: each record parsed again and held against the schema's required members, what they
 * add up to against the counters; the folder's bounds; what is dropped; who may write where.
 */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qlog/folder.h"
#include "qlog/format.h"
#include "qlog/qlog.h"
#include "qlog/ring.h"
#include "quic_bulk.h"

static char dir[] = "/tmp/quicbond-qlog-XXXXXX";

static void make_dir(void)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void remove_dir(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	ck_assert_int_eq(system(cmd), 0);
}

static struct qb_qlog *start(uint32_t feeds, uint64_t file_max, uint64_t folder_max)
{
	char folder[QB_QLOG_PATH_LEN], err[QB_QLOG_ERR_LEN] = "";
	struct qb_qlog_cfg cfg = {.folder = folder,
				  .node = "paris",
				  .alpn = "h3",
				  .feed_cnt = feeds,
				  .file_bytes_max = file_max,
				  .folder_bytes_max = folder_max};
	struct qb_qlog *q;

	cfg.folder_fd = qb_qlog_open_folder(dir, NULL, folder, err);
	ck_assert_msg(cfg.folder_fd >= 0, "%s", err);
	ck_assert_str_eq(folder, dir);
	ck_assert_msg(qb_qlog_open(&cfg, &q, err) == 0, "%s", err);
	return q;
}

/* ---- reading them again ---- */

struct sums {
	uint32_t files, records, names_unknown;
	uint32_t sent, received, lost, dropped_events, paths_seen, acks, path_acks, datagrams,
		streams, ended, links;
	uint32_t keys, params_local, params_remote, mtus, congestions, metrics, closed, validated,
		abandoned, drops;
	uint32_t retries, version_negs, resets, versions, ciphers;
	uint64_t sent_bytes, datagram_bytes, dropped_cnt;
	double last_time;
};

/* The schema's events with the members that must be there, by type: o object, s string, i integer,
 * a array. */
static const struct {
	const char *name, *must;
} schema[] = {
	{"quic:connection_started", "o:local o:remote"},
	{"quic:connection_closed", "s:initiator s:reason s:trigger"},
	{"quic:connection_state_updated", "s:new"},
	{"quic:version_information", "s:chosen_version"},
	{"quic:alpn_information", "o:chosen_alpn"},
	{"quic:parameters_set", ""},
	{"quic:tuple_assigned", "s:tuple_id"},
	{"quic:mtu_updated", "i:new"},
	{"quic:packet_sent", "o:header o:raw a:frames"},
	{"quic:packet_received", "o:header"},
	{"quic:packet_dropped", "s:trigger"},
	{"quic:packet_lost", "o:header s:trigger"},
	{"quic:datagram_data_moved", "s:from s:to o:raw"},
	{"quic:key_updated", "s:key_type s:trigger"},
	{"quic:key_discarded", "s:key_type"},
	{"quic:recovery_metrics_updated", ""},
	{"quic:congestion_state_updated", "s:new"},
	{"quic:ecn_state_updated", "s:new"},
	{"quicbond:path_validated", ""},
	{"quicbond:path_abandoned", "s:initiator s:error"},
	{"quicbond:events_dropped", "i:count"},
	{"quicbond:link_state_updated", "s:old s:new s:reason"},
	{"quicbond:trace_ended", ""},
};

static void check_must(const char *name, const char *must, const json_t *data)
{
	while (*must) {
		char type = must[0], member[64];
		size_t n = strcspn(must + 2, " ");
		const json_t *v;

		snprintf(member, sizeof(member), "%.*s", (int)n, must + 2);
		v = json_object_get(data, member);
		ck_assert_msg(v != NULL, "%s has no %s", name, member);
		ck_assert_msg((type == 'o' && json_is_object(v)) ||
				      (type == 's' && json_is_string(v)) ||
				      (type == 'i' && json_is_integer(v)) ||
				      (type == 'a' && json_is_array(v)),
			      "%s: %s is of another type", name, member);
		must += 2 + n;
		must += *must == ' ';
	}
}

static void check_frames(struct sums *s, const json_t *data)
{
	const json_t *f;
	size_t i;

	json_array_foreach(json_object_get(data, "frames"), i, f)
	{
		const char *type = json_string_value(json_object_get(f, "frame_type"));

		ck_assert_ptr_nonnull(type);
		ck_assert_str_ne(type, "unknown");
		ck_assert_uint_eq(strspn(type, "abcdefghijklmnopqrstuvwxyz_"), strlen(type));
		s->datagrams += strcmp(type, "datagram") == 0;
		s->streams += strcmp(type, "stream") == 0;
		if (strcmp(type, "ack") == 0 || strcmp(type, "path_ack") == 0) {
			ck_assert_uint_gt(json_array_size(json_object_get(f, "acked_ranges")), 0);
			ck_assert(json_is_real(json_object_get(f, "ack_delay")));
			s->acks++;
		}
		if (strcmp(type, "path_ack") == 0) {
			ck_assert(json_is_integer(json_object_get(f, "path_id")));
			s->path_acks++;
		}
	}
}

/* check_bare: packets without numbers and frames. */
static bool check_bare(struct sums *s, const char *type, const json_t *data)
{
	const json_t *versions = json_object_get(data, "supported_versions"), *v;
	size_t i;

	json_array_foreach(versions, i, v)
	{
		ck_assert_uint_eq(json_string_length(v), 8);
		s->versions++;
	}
	s->retries += strcmp(type, "retry") == 0;
	s->version_negs += strcmp(type, "version_negotiation") == 0;
	s->resets += strcmp(type, "stateless_reset") == 0;
	if (strcmp(type, "retry") && strcmp(type, "version_negotiation") && strcmp(type, "stateless_reset"))
		return false;
	ck_assert_ptr_null(json_object_get(data, "frames"));
	ck_assert_uint_eq(json_object_size(data), versions ? 2 : 1);
	return true;
}

static void check_packet(struct sums *s, const char *name, const json_t *data)
{
	const json_t *h = json_object_get(data, "header");
	bool is_sent = strcmp(name, "quic:packet_sent") == 0;

	const char *type = json_string_value(json_object_get(h, "packet_type"));

	ck_assert_ptr_nonnull(type);
	if (check_bare(s, type, data))
		return;
	check_must(name, "o:raw a:frames", data);
	ck_assert(json_is_integer(json_object_get(h, "packet_number")));
	if (!is_sent) {
		s->received++;
		return;
	}
	s->sent++;
	s->sent_bytes += (uint64_t)json_integer_value(
		json_object_get(json_object_get(data, "raw"), "length"));
	check_frames(s, data);
}

static void check_event(struct sums *s, const json_t *ev)
{
	const char *name = json_string_value(json_object_get(ev, "name"));
	const json_t *data = json_object_get(ev, "data"), *path = json_object_get(ev, "path_id");
	double time = json_real_value(json_object_get(ev, "time"));
	size_t i;

	ck_assert_ptr_nonnull(name);
	ck_assert(json_is_real(json_object_get(ev, "time")));
	ck_assert_double_ge(time, s->last_time);
	s->last_time = time;
	ck_assert(json_is_object(data));
	for (i = 0; i < QB_ARRAY_LEN(schema) && strcmp(schema[i].name, name) != 0; i++)
		;
	ck_assert_msg(i < QB_ARRAY_LEN(schema), "no event %s", name);
	check_must(name, schema[i].must, data);
	if (path) {
		char id[24];

		snprintf(id, sizeof(id), "%lld", (long long)json_integer_value(path));
		ck_assert_str_eq(json_string_value(json_object_get(ev, "tuple")), id);
		s->paths_seen |= 1u << json_integer_value(path);
	}
#define IS(what) (strcmp(name, what) == 0)
	if (IS("quic:packet_sent") || IS("quic:packet_received"))
		check_packet(s, name, data);
	s->lost += IS("quic:packet_lost");
	s->drops += IS("quic:packet_dropped");
	s->keys += IS("quic:key_updated");
	s->mtus += IS("quic:mtu_updated");
	s->congestions += IS("quic:congestion_state_updated");
	s->closed += IS("quic:connection_closed");
	s->validated += IS("quicbond:path_validated");
	s->abandoned += IS("quicbond:path_abandoned");
	s->ended += IS("quicbond:trace_ended");
	s->links += IS("quicbond:link_state_updated");
	if (IS("quic:recovery_metrics_updated")) {
		ck_assert_uint_gt(json_object_size(data), 0);
		ck_assert_ptr_nonnull(path);
		s->metrics++;
	}
	if (IS("quic:parameters_set")) {
		const char *who = json_string_value(json_object_get(data, "initiator"));
		const char *cipher = json_string_value(json_object_get(data, "tls_cipher"));

		ck_assert(!who != !cipher);
		if (who)
			check_must(name, "i:initial_max_data i:max_idle_timeout i:initial_max_path_id", data);
		else
			ck_assert_str_eq(cipher, "AES_128_GCM_SHA256");
		s->params_local += who && strcmp(who, "local") == 0;
		s->params_remote += who && strcmp(who, "remote") == 0;
		s->ciphers += cipher != NULL;
	}
	if (IS("quic:datagram_data_moved"))
		s->datagram_bytes += (uint64_t)json_integer_value(
			json_object_get(json_object_get(data, "raw"), "length"));
	if (IS("quicbond:events_dropped")) {
		s->dropped_events++;
		s->dropped_cnt += (uint64_t)json_integer_value(json_object_get(data, "count"));
	}
#undef IS
}

static void check_head(const json_t *h, const char *role)
{
	const json_t *trace = json_object_get(h, "trace"), *v;

	ck_assert_str_eq(json_string_value(json_object_get(h, "file_schema")),
			 "urn:ietf:params:qlog:file:sequential");
	ck_assert_str_eq(json_string_value(json_object_get(h, "serialization_format")),
			 "application/qlog+json-seq");
	v = json_object_get(trace, "vantage_point");
	ck_assert_str_eq(json_string_value(json_object_get(v, "name")), "paris");
	ck_assert_str_eq(json_string_value(json_object_get(v, "type")), role);
	ck_assert_str_eq(
		json_string_value(json_array_get(json_object_get(trace, "event_schemas"), 0)),
		"urn:ietf:params:qlog:events:quic-13");
	v = json_object_get(json_object_get(trace, "common_fields"), "reference_time");
	ck_assert_str_eq(json_string_value(json_object_get(v, "clock_type")), "monotonic");
	ck_assert_str_eq(json_string_value(json_object_get(v, "epoch")), "unknown");
	ck_assert(json_is_string(json_object_get(v, "wall_clock_time")));
}

/* read_file takes a JSON text sequence apart: RS, text, newline, and nothing else. */
static void read_file(struct sums *s, const char *name, const char *role)
{
	int fd = openat(AT_FDCWD, name, O_RDONLY);
	struct stat st;
	char *text;
	size_t at = 0;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	text = malloc((size_t)st.st_size + 1);
	ck_assert_int_eq(read(fd, text, (size_t)st.st_size), st.st_size);
	close(fd);
	while (at < (size_t)st.st_size) {
		const char *end = memchr(text + at, '\n', (size_t)st.st_size - at);
		json_error_t why;
		json_t *j;

		ck_assert_int_eq(text[at], 0x1e);
		ck_assert_ptr_nonnull(end);
		j = json_loadb(text + at + 1, (size_t)(end - text) - at - 1, JSON_REJECT_DUPLICATES,
			       &why);
		ck_assert_msg(j != NULL, "%s: %s: %.200s", name, why.text, text + at + 1);
		if (at == 0) {
			ck_assert_uint_lt(strcspn(text + 1, "/") + 60, 256);
			check_head(j, role);
		} else {
			check_event(s, j);
		}
		s->records++;
		json_decref(j);
		at = (size_t)(end - text) + 1;
	}
	s->files++;
	free(text);
}

static int is_ours(const struct dirent *e)
{
	return strstr(e->d_name, ".sqlog") != NULL;
}

/* read_all reads a role's files in order. */
static void read_all(struct sums *s, const char *role)
{
	struct dirent **list;
	int cnt = scandir(dir, &list, is_ours, alphasort);

	ck_assert_int_ge(cnt, 0);
	for (int i = 0; i < cnt; i++) {
		char name[512];

		snprintf(name, sizeof(name), "%s/%s", dir, list[i]->d_name);
		if (strstr(name, role))
			read_file(s, name, role);
		free(list[i]);
	}
	free(list);
}

/* ---- whole connections ---- */

/* Both ends of a life with two paths, loss, reset, a key update: every record as the schema has it,
 * and the sums agree. */
START_TEST(test_life)
{
	struct pair_opts o = pair_default_opts(1);
	struct pair *p = pair_new(&o);
	struct qb_qlog_status st;
	struct qb_qlog *q;
	uint32_t no;
	uint8_t path;
	struct bulk b;

	make_dir();
	q = start(2, 0, 0);
	for (int i = 0; i < 2; i++)
		qb_quic_set_observer(p->end[i].q, qb_qlog_observer(q, (uint32_t)i));
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 30 * SEC));
	pair_run(p, 200 * MS);
	path = pair_open_path(p, 1);
	p->link[0].loss = p->link[1].loss = 0.02;
	bulk_start(p, &b, CLIENT, 1 << 18);
	for (no = 0; no < 200; no++) {
		(void)!pair_send_dgram(p, CLIENT, no % 2 ? path : 0, no, 500);
		if (no == 100)
			qb_conn_update_key(p->end[CLIENT].conn);
		pair_run(p, 5 * MS);
	}
	ck_assert(pair_run_until(p, bulk_is_done, 60 * SEC));
	qb_conn_trace_link(p->end[CLIENT].conn, path, "active", "suspect", "no ACK for 180 ms", p->now_ns);
	ck_assert_int_eq(qb_conn_close_path(p->end[CLIENT].conn, path, 0x3e, p->now_ns), 0);
	pair_run(p, 5 * SEC);
	qb_conn_close(p->end[CLIENT].conn, 0x100, "a \"reason\"\n\\", p->now_ns);
	pair_run(p, 5 * SEC);
	qb_qlog_get_status(q, &st);
	ck_assert_uint_eq(st.dropped, 0);
	ck_assert_str_eq(st.problem, "");
	qb_qlog_close(q);
	for (int i = 0; i < 2; i++) {
		const struct qb_counters *c = &p->end[i].counters;
		struct sums s = {0};

		read_all(&s, i == CLIENT ? "client" : "server");
		ck_assert_uint_eq(s.files, 1);
		ck_assert_uint_eq(s.sent, c->v[QB_CNT_PACKETS_TX]);
		ck_assert_uint_eq(s.sent_bytes, c->v[QB_CNT_BYTES_TX]);
		ck_assert_uint_eq(s.received, c->v[QB_CNT_PACKETS_RX]);
		ck_assert_uint_ge(s.lost, c->v[QB_CNT_PACKETS_LOST]);
		ck_assert_uint_eq(s.datagrams, c->v[QB_CNT_DATAGRAMS_TX]);
		ck_assert_uint_eq(s.datagram_bytes,
				  500 * (c->v[QB_CNT_DATAGRAMS_TX] + c->v[QB_CNT_DATAGRAMS_RX]));
		ck_assert_uint_eq(s.paths_seen, 3);
		ck_assert_uint_gt(s.acks, 0);
		ck_assert_uint_gt(s.path_acks, 0);
		ck_assert_uint_eq(s.keys, 6);
		ck_assert_uint_eq(s.params_local, 1);
		ck_assert_uint_eq(s.params_remote, 1);
		ck_assert_uint_eq(s.ciphers, 1);
		ck_assert_uint_ge(s.mtus, 2);
		ck_assert_uint_ge(s.congestions, 2);
		ck_assert_uint_gt(s.metrics, 5);
		ck_assert_uint_eq(s.closed, 1);
		ck_assert_uint_ge(s.validated, 2);
		ck_assert_uint_eq(s.abandoned, 1);
		ck_assert_uint_eq(s.ended, 1);
		ck_assert_uint_eq(s.links, i == CLIENT);
		ck_assert_uint_eq(s.dropped_events, 0);
	}
	pair_free(p);
	remove_dir();
}
END_TEST

/* What a client gets that has neither number nor frames: Version Negotiation, Retry, and the reset at the end. */
START_TEST(test_bare)
{
	struct pair_opts o = pair_default_opts(3);
	struct pair_end *e;
	struct sums s = {0};
	struct qb_qlog *q;
	struct pair *p;

	o.retry = QB_RETRY_ALWAYS;
	o.versions[CLIENT][0] = o.version_first = QB_QUIC_V2;
	o.versions[CLIENT][1] = o.versions[SERVER][0] = QB_QUIC_V1;
	p = pair_new(&o);
	e = &p->end[SERVER];
	make_dir();
	q = start(1, 0, 0);
	qb_quic_set_observer(p->end[CLIENT].q, qb_qlog_observer(q, 0));
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 30 * SEC));
	pair_run(p, 200 * MS);
	qb_quic_fini(e->q);
	free(e->mem);
	e->conn = NULL;
	pair_start_end(p, SERVER, &o);
	ck_assert_int_eq(pair_send_dgram(p, CLIENT, 0, 1, 100), 0);
	pair_run(p, 5 * SEC);
	qb_qlog_close(q);
	read_all(&s, "client");
	ck_assert_uint_eq(s.version_negs, 1);
	ck_assert_uint_eq(s.versions, 2); /* v1, and one that nobody has */
	ck_assert_uint_eq(s.retries, 1);
	ck_assert_uint_eq(s.resets, 1);
	pair_free(p);
	remove_dir();
}
END_TEST

static uint64_t folder_bytes(uint32_t *files)
{
	struct dirent **list;
	uint64_t sum = 0;
	int cnt = scandir(dir, &list, is_ours, alphasort);

	*files = (uint32_t)cnt;
	for (int i = 0; i < cnt; i++) {
		char name[512];
		struct stat st;

		snprintf(name, sizeof(name), "%s/%s", dir, list[i]->d_name);
		ck_assert_int_eq(stat(name, &st), 0);
		sum += (uint64_t)st.st_size;
		free(list[i]);
	}
	free(list);
	return sum;
}

static void wait_written(struct qb_qlog *q, uint64_t events)
{
	struct qb_qlog_status st;

	for (int i = 0; i < 2000; i++) {
		qb_qlog_get_status(q, &st);
		if (st.events + st.dropped >= events)
			return;
		usleep(5000);
	}
	ck_abort_msg("the writer is not done");
}

/* A trace that nobody ends: files of bounded size, the oldest go, what was there before counts too.
 */
START_TEST(test_bounds)
{
	enum { FILE_MAX = 40000, FOLDER_MAX = 400000 };
	struct pair_opts o = pair_default_opts(2);
	struct pair *p = pair_up(&o);
	struct qb_qlog *q;
	uint32_t files, no;
	char name[512];
	struct sums s = {0};
	struct stat st;
	int fd;

	make_dir();
	snprintf(name, sizeof(name), "%s/19990101T000000Z-old-server.sqlog", dir);
	fd = open(name, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_eq(ftruncate(fd, 100000), 0);
	close(fd);
	q = start(1, FILE_MAX, FOLDER_MAX);
	qb_conn_set_observer(p->end[CLIENT].conn, qb_qlog_observer(q, 0), p->now_ns);
	for (no = 0; no < 3000; no++) {
		(void)!pair_send_dgram(p, CLIENT, 0, no, 500);
		pair_run(p, 2 * MS);
	}
	qb_conn_set_observer(p->end[CLIENT].conn, NULL, p->now_ns);
	qb_qlog_close(q);
	/* The buffer is written in pieces: a file may be larger by one of them. */
	ck_assert_uint_le(folder_bytes(&files), FOLDER_MAX + 70000);
	ck_assert_uint_gt(files, 3);
	ck_assert_int_ne(stat(name, &st), 0);
	read_all(&s, "client");
	ck_assert_uint_eq(s.files, files);
	pair_free(p);
	remove_dir();
}
END_TEST

/* More events than the ring holds while the writer sleeps: nobody waits, and the file says how many
 * are missing. */
START_TEST(test_dropped)
{
	static const uint8_t frames[1200];
	struct qb_trace_event ev = {.type = QB_TRACE_PACKET_SENT, .conn = 1, .now_ns = SEC};
	struct qb_trace_event begin = {.type = QB_TRACE_CONNECTION_STARTED,
				       .conn = 1,
				       .now_ns = SEC,
				       .path_id = QB_TRACE_NO_PATH};
	struct qb_qlog_status st;
	const struct qb_observer *obs;
	struct qb_qlog *q;
	struct sums s = {0};
	uint32_t i;

	make_dir();
	q = start(1, 0, 0);
	obs = qb_qlog_observer(q, 0);
	begin.started.odcid = (struct qb_cid){.len = 8, .id = {1, 2, 3, 4, 5, 6, 7, 8}};
	obs->on_event(obs->arg, &begin);
	ev.packet = (struct qb_trace_packet){.type = QB_PKT_1RTT, .bytes = 1230};
	ev.extra = frames;
	ev.extra_bytes = sizeof(frames);
	for (i = 0; i < 50000; i++) {
		ev.packet.pn = i;
		obs->on_event(obs->arg, &ev);
	}
	wait_written(q, i + 1);
	qb_qlog_get_status(q, &st);
	ck_assert_uint_gt(st.dropped, 0);
	qb_qlog_close(q);
	read_all(&s, "client");
	ck_assert_uint_ge(s.dropped_events, 1);
	ck_assert_uint_eq(s.dropped_cnt, st.dropped);
	ck_assert_uint_eq(s.sent + s.dropped_cnt, i);
	remove_dir();
}
END_TEST

/* ---- the ring ---- */

START_TEST(test_ring)
{
	enum { BYTES = 16384, ROUNDS = 20000 };
	struct qb_qlog_ring r;
	void *mem = aligned_alloc(64, BYTES);
	uint64_t put = 0, got = 0;
	struct qb_rand rnd;
	uint8_t extra[1500];

	qb_qlog_ring_init(&r, mem, BYTES);
	qb_rand_seed(&rnd, 7);
	ck_assert_ptr_null(qb_qlog_ring_get(&r));
	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct qb_trace_event ev = {
			.type = QB_TRACE_PACKET_SENT, .conn = put, .extra = extra};
		const struct qb_trace_event *out;
		uint64_t before = atomic_load(&r.dropped);

		ev.extra_bytes = (uint32_t)qb_rand_below(&rnd, sizeof(extra));
		memset(extra, (int)(put & 0xff), sizeof(extra));
		qb_qlog_ring_put(&r, &ev);
		put += atomic_load(&r.dropped) == before;
		while (qb_rand_below(&rnd, 3) && (out = qb_qlog_ring_get(&r))) {
			const uint8_t *bytes = out->extra;

			ck_assert_uint_eq(out->conn, got);
			for (uint32_t k = 0; k < out->extra_bytes; k++)
				ck_assert_uint_eq(bytes[k], got & 0xff);
			got++;
			qb_qlog_ring_next(&r);
		}
	}
	ck_assert_uint_gt(atomic_load(&r.dropped), 0);
	ck_assert_uint_gt(got, ROUNDS / 4);
	free(mem);
}
END_TEST

/* ---- where ---- */

START_TEST(test_folder)
{
	static const char *const bad[] = {"..",	 "../x",   "a/b",  "/etc", "/tmp", ".hidden",
					  "a b", "x/../y", "link", "file", "\x01"};
	char folder[QB_QLOG_PATH_LEN], err[QB_QLOG_ERR_LEN], name[512], own[600];
	int fd;

	make_dir();
	snprintf(name, sizeof(name), "%s/link", dir);
	ck_assert_int_eq(symlink("/etc", name), 0);
	snprintf(name, sizeof(name), "%s/file", dir);
	fd = open(name, O_WRONLY | O_CREAT, 0600);
	close(fd);
	for (size_t i = 0; i < QB_ARRAY_LEN(bad); i++) {
		err[0] = '\0';
		ck_assert_msg(qb_qlog_open_folder(dir, bad[i], folder, err) < 0, "%s", bad[i]);
		ck_assert_msg(err[0] != '\0', "%s", bad[i]);
	}
	/* Another folder whose name begins the same is none below. */
	snprintf(own, sizeof(own), "%sx", dir);
	ck_assert_int_lt(qb_qlog_open_folder(dir, own, folder, err), 0);
	fd = qb_qlog_open_folder(dir, "monday", folder, err);
	ck_assert_int_ge(fd, 0);
	close(fd);
	snprintf(own, sizeof(own), "%s/monday", dir);
	ck_assert_str_eq(folder, own);
	fd = qb_qlog_open_folder(dir, own, folder, err);
	ck_assert_int_ge(fd, 0);
	close(fd);
	fd = qb_qlog_open_folder(dir, dir, folder, err);
	ck_assert_int_ge(fd, 0);
	close(fd);
	/* A root that is not there and cannot be made says so. */
	ck_assert_int_lt(qb_qlog_open_folder("/proc/quicbond", NULL, folder, err), 0);
	ck_assert_ptr_nonnull(strstr(err, "/proc/quicbond"));
	remove_dir();
}
END_TEST

/* A file that is there already is never written over: the trace takes another name. */
START_TEST(test_no_overwrite)
{
	struct qb_qlog_folder d;
	struct qb_qlog_file *f;
	int fd, dirfd;

	make_dir();
	dirfd = open(dir, O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(qb_qlog_folder_init(&d, dirfd, 1 << 20), 0);
	fd = qb_qlog_folder_create(&d, "a.sqlog", &f);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(qb_qlog_folder_create(&d, "a.sqlog", &f), -EEXIST);
	ck_assert_int_eq(symlinkat("/tmp/quicbond-target", dirfd, "b.sqlog"), 0);
	ck_assert_int_eq(qb_qlog_folder_create(&d, "b.sqlog", &f), -EEXIST);
	qb_qlog_folder_fini(&d);
	remove_dir();
}
END_TEST

/* What comes from peers and cannot be read stays JSON. */
START_TEST(test_garbage)
{
	static char mem[2 * QB_QLOG_RECORD_MAX];
	struct qb_rand rnd;
	struct qb_qlog_state s;
	uint8_t bytes[1500];

	qb_rand_seed(&rnd, 11);
	qb_qlog_state_init(&s, true, 0);
	for (uint32_t i = 0; i < 20000; i++) {
		struct qb_trace_event ev = {
			.type = QB_TRACE_PACKET_RECEIVED, .path_id = 0, .extra = bytes};
		struct qb_qlog_text t = qb_qlog_text_init(mem, QB_QLOG_RECORD_MAX);
		json_error_t why;
		json_t *j;

		ev.packet.type = QB_PKT_1RTT;
		ev.packet.dialect = (enum qb_mp_dialect)qb_rand_below(&rnd, QB_MP_DIALECT_CNT);
		ev.extra_bytes = (uint32_t)(1 + qb_rand_below(&rnd, sizeof(bytes) - 1));
		for (uint32_t k = 0; k < ev.extra_bytes; k++)
			bytes[k] = (uint8_t)qb_rand_below(&rnd, i % 2 ? 256 : 0x20);
		qb_qlog_format(&s, &ev, &t);
		if (t.is_full) {
			ck_assert_uint_eq(t.len, 0);
			continue;
		}
		j = json_loadb(mem + 1, t.len - 2, JSON_REJECT_DUPLICATES, &why);
		ck_assert_msg(j != NULL, "%s: %.*s", why.text, (int)t.len, mem);
		json_decref(j);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("qlog");
	TCase *tc = tcase_create("qlog");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, test_life);
	tcase_add_test(tc, test_bare);
	tcase_add_test(tc, test_bounds);
	tcase_add_test(tc, test_dropped);
	tcase_add_test(tc, test_ring);
	tcase_add_test(tc, test_folder);
	tcase_add_test(tc, test_no_overwrite);
	tcase_add_test(tc, test_garbage);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
