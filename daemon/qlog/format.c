/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events as records of qlog. The path ID of multipath is a member `path_id` of a record, and the
 * record's `tuple`, so that tools which know neither still tell the paths apart. Called on the
 * writer's thread.
 */
#include "qlog/format.h"

#include "wire/error.h"
#include "wire/tparam.h"

#define RS "\x1e"

static const char *const packet_types[QB_PKT_TYPE_CNT] = {
	[QB_PKT_INITIAL] = "initial",	    [QB_PKT_0RTT] = "0RTT",
	[QB_PKT_HANDSHAKE] = "handshake",   [QB_PKT_1RTT] = "1RTT",
	[QB_PKT_RETRY] = "retry",	    [QB_PKT_VERSION_NEGOTIATION] = "version_negotiation",
	[QB_PKT_OTHER_VERSION] = "unknown",
};

void qb_qlog_state_init(struct qb_qlog_state *s, bool is_server, uint64_t begin_ns)
{
	*s = (struct qb_qlog_state){.is_server = is_server, .begin_ns = begin_ns};
	s->ack_delay_exponent[0] = s->ack_delay_exponent[1] = QB_ACK_DELAY_EXPONENT_DEFAULT;
}

/* ---- records ---- */

/* begin writes all of a record but its data's members. */
static void begin(const struct qb_qlog_state *s, const char *space, const char *name,
		  uint32_t path_id, uint64_t now_ns, struct qb_qlog_text *t)
{
	char tuple[11];
	size_t n = sizeof(tuple);
	uint32_t id = path_id;

	t->needs_comma = false;
	qb_text_raw(t, RS, 1);
	qb_text_open(t, '{');
	qb_text_ms(t, "time", qb_sub_sat_u64(now_ns, s->begin_ns));
	qb_text_key(t, "name");
	qb_text_raw(t, "\"", 1);
	qb_text_raw(t, space, strlen(space));
	qb_text_raw(t, ":", 1);
	qb_text_raw(t, name, strlen(name));
	qb_text_raw(t, "\"", 1);
	if (path_id != QB_TRACE_NO_PATH) {
		do {
			tuple[--n] = (char)('0' + id % 10);
			id /= 10;
		} while (id);
		qb_text_string_n(t, "tuple", tuple + n, sizeof(tuple) - n);
		qb_text_uint(t, "path_id", path_id);
	}
	qb_text_object(t, "data");
}

static void end(struct qb_qlog_text *t)
{
	qb_text_close(t, '}');
	qb_text_close(t, '}');
	qb_text_raw(t, "\n", 1);
}

static void begin_event(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
			struct qb_qlog_text *t)
{
	begin(s, qb_trace_space(ev->type), qb_trace_name(ev->type), ev->path_id, ev->now_ns, t);
}

void qb_qlog_format_head(const struct qb_qlog_state *s, const struct qb_qlog_head *h,
			 struct qb_qlog_text *t)
{
	t->needs_comma = false;
	qb_text_raw(t, RS, 1);
	qb_text_open(t, '{');
	qb_text_string(t, "file_schema", "urn:ietf:params:qlog:file:sequential");
	qb_text_string(t, "serialization_format", "application/qlog+json-seq");
	qb_text_string(t, "title", "quicbond");
	qb_text_object(t, "trace");
	qb_text_object(t, "common_fields");
	qb_text_string(t, "group_id", h->group);
	qb_text_string(t, "time_format", "relative_to_epoch");
	qb_text_object(t, "reference_time");
	qb_text_string(t, "clock_type", "monotonic");
	qb_text_string(t, "epoch", "unknown");
	qb_text_string(t, "wall_clock_time", h->begin);
	qb_text_close(t, '}');
	qb_text_close(t, '}');
	qb_text_object(t, "vantage_point");
	qb_text_string(t, "name", h->node);
	qb_text_string(t, "type", s->is_server ? "server" : "client");
	qb_text_close(t, '}');
	qb_text_uint(t, "part", h->part);
	qb_text_array(t, "event_schemas");
	qb_text_string(t, NULL, "urn:ietf:params:qlog:events:quic-13");
	qb_text_string(t, NULL, "tag:quicbond:qlog:quicbond");
	qb_text_close(t, ']');
	qb_text_close(t, '}');
	qb_text_close(t, '}');
	qb_text_raw(t, "\n", 1);
}

void qb_qlog_format_dropped(const struct qb_qlog_state *s, uint64_t cnt, uint64_t now_ns,
			    struct qb_qlog_text *t)
{
	begin(s, "quicbond", "events_dropped", QB_TRACE_NO_PATH, now_ns, t);
	qb_text_uint(t, "count", cnt);
	end(t);
}

/* ---- connections ---- */

static void endpoint_info(const char *key, const struct qb_addr *a, const struct qb_cid *cid,
			  struct qb_qlog_text *t)
{
	struct qb_addr bare = *a;
	char text[QB_ADDR_STRLEN];

	bare.port = 0;
	qb_text_object(t, key);
	if (a->family) {
		qb_text_string(t, a->family == 4 ? "ip_v4" : "ip_v6", qb_addr_format(&bare, text));
		qb_text_uint(t, a->family == 4 ? "port_v4" : "port_v6", a->port);
	}
	if (cid && cid->len) {
		qb_text_array(t, "connection_ids");
		qb_text_hex(t, NULL, cid->id, cid->len);
		qb_text_close(t, ']');
	}
	qb_text_close(t, '}');
}

static void version(struct qb_qlog_text *t, const char *key, uint32_t v)
{
	uint8_t bytes[4];

	qb_store_be32(bytes, v);
	qb_text_hex(t, key, bytes, sizeof(bytes));
}

static void started(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
		    struct qb_qlog_text *t)
{
	const struct qb_trace_started *st = &ev->started;

	begin_event(s, ev, t);
	endpoint_info("local", &st->tuple.local, &st->local_cid, t);
	endpoint_info("remote", &st->tuple.peer, &st->remote_cid, t);
	qb_text_hex(t, "original_destination_connection_id", st->odcid.id, st->odcid.len);
	if (st->is_midway)
		qb_text_bool(t, "is_midway", true);
	end(t);
	begin(s, "quic", "version_information", QB_TRACE_NO_PATH, ev->now_ns, t);
	version(t, "chosen_version", st->version);
	end(t);
	if (st->is_midway)
		return;
	begin(s, "quic", "tuple_assigned", 0, ev->now_ns, t);
	qb_text_string(t, "tuple_id", "0");
	endpoint_info("tuple_remote", &st->tuple.peer, NULL, t);
	endpoint_info("tuple_local", &st->tuple.local, NULL, t);
	end(t);
}

static const char *close_trigger(const struct qb_trace_event *ev)
{
	const struct qb_trace_closed *c = &ev->closed;
	static const char reset[] = "stateless reset";

	if (c->error_code == QB_QUIC_VERSION_NEGOTIATION_ERROR && !c->is_app)
		return "version_mismatch";
	if (c->is_silent)
		return c->error_code ? "error" : "idle_timeout";
	if (c->is_by_peer && ev->extra_bytes == strlen(reset) &&
	    !memcmp(ev->extra, reset, strlen(reset)))
		return "stateless_reset";
	if (c->is_app)
		return "application";
	return c->error_code ? "error" : "unspecified";
}

static void closed(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
		   struct qb_qlog_text *t)
{
	begin_event(s, ev, t);
	qb_text_string(t, "initiator", ev->closed.is_by_peer ? "remote" : "local");
	qb_qlog_error(t, ev->closed.is_app ? "application_error" : "connection_error",
		      ev->closed.error_code, ev->closed.is_app);
	qb_text_string_n(t, "reason", ev->extra, ev->extra_bytes);
	qb_text_string(t, "trigger", close_trigger(ev));
	end(t);
}

static void state_updated(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
			  struct qb_qlog_text *t)
{
	static const char *const ciphers[QB_SUITE_CNT] = {
		[QB_SUITE_AES128GCM] = "AES_128_GCM_SHA256",
		[QB_SUITE_AES256GCM] = "AES_256_GCM_SHA384",
		[QB_SUITE_CHACHA20] = "CHACHA20_POLY1305_SHA256",
	};

	begin_event(s, ev, t);
	qb_text_string(t, "new", ev->state.name);
	end(t);
	if (strcmp(ev->state.name, "handshake_complete") != 0)
		return;
	begin(s, "quic", "parameters_set", QB_TRACE_NO_PATH, ev->now_ns, t);
	qb_text_bool(t, "resumption_allowed", ev->state.is_resumed);
	qb_text_bool(t, "early_data_enabled", ev->state.is_early);
	qb_text_string(t, "tls_cipher", ciphers[ev->state.suite]);
	end(t);
	if (!s->alpn)
		return;
	begin(s, "quic", "alpn_information", QB_TRACE_NO_PATH, ev->now_ns, t);
	qb_text_object(t, "chosen_alpn");
	qb_text_string(t, "string_value", s->alpn);
	qb_text_close(t, '}');
	end(t);
}

static void cid_param(struct qb_qlog_text *t, const char *key, bool has, const struct qb_cid *cid)
{
	if (has)
		qb_text_hex(t, key, cid->id, cid->len);
}

static void extension_params(const struct qb_tparams *tp, struct qb_qlog_text *t)
{
	uint32_t i;

	if (tp->max_datagram_frame_bytes)
		qb_text_uint(t, "max_datagram_frame_size", tp->max_datagram_frame_bytes);
	if (tp->grease_quic_bit)
		qb_text_bool(t, "grease_quic_bit", true);
	if (tp->reset_stream_at)
		qb_text_bool(t, "reset_stream_at", true);
	if (tp->has_min_ack_delay)
		qb_text_uint(t, "min_ack_delay", tp->min_ack_delay_us);
	if (tp->has_address_discovery)
		qb_text_uint(t, "address_discovery", tp->address_discovery);
	if (tp->has_rx_timestamps)
		qb_text_uint(t, "max_receive_timestamps_per_ack", tp->rx_timestamps_max);
	for (i = 0; i < QB_MP_DIALECT_CNT; i++) {
		if (tp->has_max_path_id[i]) {
			qb_text_uint(t, "initial_max_path_id", tp->max_path_id[i]);
			break;
		}
	}
}

static void params(struct qb_qlog_state *s, const struct qb_trace_event *ev, struct qb_qlog_text *t)
{
	const struct qb_tparams *tp = ev->extra;

	s->ack_delay_exponent[!ev->params.is_local] =
		(uint8_t)QB_MIN(tp->ack_delay_exponent, UINT64_C(20));
	begin_event(s, ev, t);
	qb_text_string(t, "initiator", ev->params.is_local ? "local" : "remote");
	cid_param(t, "original_destination_connection_id", tp->has_original_dcid,
		  &tp->original_dcid);
	cid_param(t, "initial_source_connection_id", tp->has_initial_scid, &tp->initial_scid);
	cid_param(t, "retry_source_connection_id", tp->has_retry_scid, &tp->retry_scid);
	qb_text_bool(t, "disable_active_migration", tp->disable_active_migration);
	qb_text_uint(t, "max_idle_timeout", tp->max_idle_timeout_ms);
	qb_text_uint(t, "max_udp_payload_size", tp->max_udp_payload_bytes);
	qb_text_uint(t, "ack_delay_exponent", tp->ack_delay_exponent);
	qb_text_uint(t, "max_ack_delay", tp->max_ack_delay_ms);
	qb_text_uint(t, "active_connection_id_limit", tp->cid_limit);
	qb_text_uint(t, "initial_max_data", tp->max_data);
	qb_text_uint(t, "initial_max_stream_data_bidi_local", tp->max_stream_data_bidi_local);
	qb_text_uint(t, "initial_max_stream_data_bidi_remote", tp->max_stream_data_bidi_remote);
	qb_text_uint(t, "initial_max_stream_data_uni", tp->max_stream_data_uni);
	qb_text_uint(t, "initial_max_streams_bidi", tp->max_streams_bidi);
	qb_text_uint(t, "initial_max_streams_uni", tp->max_streams_uni);
	extension_params(tp, t);
	end(t);
}

/* ---- packets ---- */

static void header(enum qb_pkt_type type, uint64_t pn, uint64_t key_phase, struct qb_qlog_text *t)
{
	qb_text_object(t, "header");
	qb_text_string(t, "packet_type", packet_types[type]);
	if (type <= QB_PKT_1RTT)
		qb_text_uint(t, "packet_number", pn);
	if (type == QB_PKT_1RTT && key_phase != UINT64_MAX)
		qb_text_uint(t, "key_phase", key_phase);
	qb_text_close(t, '}');
}

/* bare_packet: what has no frames. The token of a stateless reset stays with those who had it. */
static void bare_packet(const struct qb_trace_event *ev, struct qb_qlog_text *t)
{
	const uint32_t *versions = ev->extra;

	qb_text_object(t, "header");
	qb_text_string(t, "packet_type", ev->packet.is_reset ? "stateless_reset" : packet_types[ev->packet.type]);
	qb_text_close(t, '}');
	if (ev->extra_bytes)
		qb_text_array(t, "supported_versions");
	for (uint32_t i = 0; i < ev->extra_bytes / sizeof(*versions); i++)
		version(t, NULL, versions[i]);
	if (ev->extra_bytes)
		qb_text_close(t, ']');
	end(t);
}

static void packet(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
		   struct qb_qlog_text *t)
{
	const struct qb_trace_packet *p = &ev->packet;

	begin_event(s, ev, t);
	if (p->is_reset || p->type == QB_PKT_RETRY || p->type == QB_PKT_VERSION_NEGOTIATION) {
		bare_packet(ev, t);
		return;
	}
	header(p->type, p->pn, p->key_phase, t);
	qb_text_object(t, "raw");
	if (p->bytes)
		qb_text_uint(t, "length", p->bytes);
	qb_text_uint(t, "payload_length", ev->extra_bytes);
	qb_text_close(t, '}');
	if (p->is_mtu_probe)
		qb_text_bool(t, "is_mtu_probe_packet", true);
	qb_qlog_format_frames(s, ev, t);
	end(t);
}

static const char *drop_trigger(uint32_t why)
{
	switch (why) {
	case QB_CNT_DROP_AUTH:
		return "decryption_failure";
	case QB_CNT_DROP_DUPLICATE:
		return "duplicate";
	case QB_CNT_DROP_NO_KEYS:
		return "key_unavailable";
	case QB_CNT_DROP_UNKNOWN_CID:
		return "connection_unknown";
	case QB_CNT_DROP_VERSION:
		return "unsupported";
	case QB_CNT_DROP_PEER_ADDRESS:
	case QB_CNT_DROP_RETRY:
		return "rejected";
	case QB_CNT_DROP_NO_BUFFER:
		return "internal_error";
	case QB_CNT_DROP_SHORT:
	case QB_CNT_DROP_HEADER:
	case QB_CNT_DROP_FIXED_BIT:
	case QB_CNT_DROP_INITIAL_SIZE:
	case QB_CNT_DROP_COALESCED:
		return "invalid";
	default:
		return "general";
	}
}

static void dropped(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
		    struct qb_qlog_text *t)
{
	begin_event(s, ev, t);
	qb_text_string(t, "trigger", drop_trigger(ev->dropped.why));
	qb_text_object(t, "details");
	qb_text_string(t, "counter", qb_counter_rows[ev->dropped.why].name);
	qb_text_close(t, '}');
	end(t);
}

static void lost(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
		 struct qb_qlog_text *t)
{
	begin_event(s, ev, t);
	header(ev->lost.type, ev->lost.pn, UINT64_MAX, t);
	if (ev->lost.is_mtu_probe)
		qb_text_bool(t, "is_mtu_probe_packet", true);
	qb_text_string(t, "trigger",
		       ev->lost.is_by_time ? "time_threshold" : "reordering_threshold");
	end(t);
}

static void datagram(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
		     struct qb_qlog_text *t)
{
	begin_event(s, ev, t);
	qb_text_string(t, "from", ev->datagram.is_out ? "application" : "transport");
	qb_text_string(t, "to", ev->datagram.is_out ? "transport" : "application");
	qb_text_object(t, "raw");
	qb_text_uint(t, "length", ev->datagram.bytes);
	qb_text_close(t, '}');
	end(t);
}

static void key(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
		struct qb_qlog_text *t)
{
	static const char *const names[QB_LEVEL_CNT][2] = {
		[QB_LEVEL_INITIAL] = {"client_initial_secret", "server_initial_secret"},
		[QB_LEVEL_EARLY] = {"client_0rtt_secret", "server_0rtt_secret"},
		[QB_LEVEL_HANDSHAKE] = {"client_handshake_secret", "server_handshake_secret"},
		[QB_LEVEL_APP] = {"client_1rtt_secret", "server_1rtt_secret"},
	};

	begin_event(s, ev, t);
	qb_text_string(t, "key_type", names[ev->key.level][ev->key.is_server]);
	if (ev->key.level == QB_LEVEL_APP)
		qb_text_uint(t, "key_phase", ev->key.phase);
	if (ev->key.trigger)
		qb_text_string(t, "trigger", ev->key.trigger);
	end(t);
}

/* ---- paths ---- */

static void assigned(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
		     struct qb_qlog_text *t)
{
	char id[12];
	struct qb_qlog_text number = qb_qlog_text_init(id, sizeof(id));

	qb_text_uint(&number, NULL, ev->path_id);
	begin_event(s, ev, t);
	qb_text_string_n(t, "tuple_id", id, number.len);
	if (!ev->assigned.is_gone) {
		endpoint_info("tuple_remote", &ev->assigned.tuple.peer, NULL, t);
		endpoint_info("tuple_local", &ev->assigned.tuple.local, NULL, t);
		qb_text_uint(t, "link", ev->assigned.tuple.link);
	}
	end(t);
}

static void abandoned(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
		      struct qb_qlog_text *t)
{
	begin_event(s, ev, t);
	qb_text_string(t, "initiator", ev->abandoned.is_by_peer ? "remote" : "local");
	qb_qlog_error(t, "error", ev->abandoned.error_code, false);
	end(t);
}

static void mtu(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
		struct qb_qlog_text *t)
{
	begin_event(s, ev, t);
	if (ev->mtu.was_bytes)
		qb_text_uint(t, "old", ev->mtu.was_bytes);
	qb_text_uint(t, "new", ev->mtu.bytes);
	qb_text_bool(t, "done", ev->mtu.is_settled);
	end(t);
}

/* phase writes a controller's name of its state as one word. */
static void phase(struct qb_qlog_text *t, const char *member, const char *name)
{
	char text[64];
	size_t n;

	for (n = 0; name[n] && n < sizeof(text); n++)
		text[n] = name[n];
	for (size_t i = 0; i < n; i++)
		if (text[i] == ' ' || text[i] == '-')
			text[i] = '_';
	qb_text_string_n(t, member, text, n);
}

static void congestion(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
		       struct qb_qlog_text *t)
{
	begin_event(s, ev, t);
	if (ev->congestion.was)
		phase(t, "old", ev->congestion.was);
	phase(t, "new", ev->congestion.now);
	end(t);
}

static void link_state(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
		       struct qb_qlog_text *t)
{
	begin_event(s, ev, t);
	qb_text_string(t, "old", ev->congestion.was);
	qb_text_string(t, "new", ev->congestion.now);
	qb_text_string_n(t, "reason", ev->extra, ev->extra_bytes);
	end(t);
}

static void ecn(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
		struct qb_qlog_text *t)
{
	static const char *const names[] = {
		[QB_ECN_OFF] = NULL,
		[QB_ECN_TESTING] = "testing",
		[QB_ECN_CAPABLE] = "capable",
		[QB_ECN_FAILED] = "failed",
	};

	/* The schema has no word for a sender that does not mark. */
	if (!names[ev->ecn.now])
		return;
	begin_event(s, ev, t);
	if (names[ev->ecn.was])
		qb_text_string(t, "old", names[ev->ecn.was]);
	qb_text_string(t, "new", names[ev->ecn.now]);
	end(t);
}

/* seen finds what the file said last about a path's metrics; all places taken: the oldest path's is
 * used again. */
static struct qb_trace_metrics *seen(struct qb_qlog_state *s, uint32_t path_id, bool *is_new)
{
	uint32_t i, best = 0;

	for (i = 0; i < QB_QLOG_PATHS; i++) {
		*is_new = !s->path[i].is_known;
		if (*is_new || s->path[i].path_id == path_id)
			break;
		if (s->path[i].path_id < s->path[best].path_id)
			best = i;
	}
	if (i == QB_QLOG_PATHS) {
		i = best;
		*is_new = true;
	}
	s->path[i].is_known = true;
	s->path[i].path_id = path_id;
	return &s->path[i].m;
}

static void metrics(struct qb_qlog_state *s, const struct qb_trace_event *ev,
		    struct qb_qlog_text *t)
{
	const struct qb_trace_metrics *m = &ev->metrics;
	bool is_new;
	struct qb_trace_metrics *was = seen(s, ev->path_id, &is_new);

	if (!is_new && memcmp(was, m, sizeof(*m)) == 0)
		return;
	begin_event(s, ev, t);
#define CHANGED(field) (is_new || was->field != m->field)
	if (m->srtt_ns && CHANGED(min_rtt_ns))
		qb_text_ms(t, "min_rtt", m->min_rtt_ns);
	if (m->srtt_ns && CHANGED(srtt_ns))
		qb_text_ms(t, "smoothed_rtt", m->srtt_ns);
	if (m->srtt_ns && CHANGED(latest_rtt_ns))
		qb_text_ms(t, "latest_rtt", m->latest_rtt_ns);
	if (m->srtt_ns && CHANGED(rttvar_ns))
		qb_text_ms(t, "rtt_variance", m->rttvar_ns);
	if (CHANGED(pto_count))
		qb_text_uint(t, "pto_count", m->pto_count);
	if (CHANGED(cwnd_bytes))
		qb_text_uint(t, "congestion_window", m->cwnd_bytes);
	if (CHANGED(in_flight_bytes))
		qb_text_uint(t, "bytes_in_flight", m->in_flight_bytes);
	if (m->ssthresh_bytes != UINT64_MAX && CHANGED(ssthresh_bytes))
		qb_text_uint(t, "ssthresh", m->ssthresh_bytes);
	if (CHANGED(eliciting_cnt))
		qb_text_uint(t, "packets_in_flight", m->eliciting_cnt);
	if (CHANGED(pacing_bps))
		qb_text_uint(t, "pacing_rate", m->pacing_bps);
	if (CHANGED(delivery_bps))
		qb_text_uint(t, "delivery_rate", m->delivery_bps);
	if (CHANGED(lost_packets))
		qb_text_uint(t, "lost_packets", m->lost_packets);
	if (CHANGED(spurious_packets))
		qb_text_uint(t, "spurious_packets", m->spurious_packets);
#undef CHANGED
	*was = *m;
	end(t);
}

static void bare(const struct qb_qlog_state *s, const struct qb_trace_event *ev,
		 struct qb_qlog_text *t)
{
	begin_event(s, ev, t);
	end(t);
}

void qb_qlog_format(struct qb_qlog_state *s, const struct qb_trace_event *ev,
		    struct qb_qlog_text *t)
{
	size_t len = t->len;

	switch (ev->type) {
	case QB_TRACE_CONNECTION_STARTED:
		started(s, ev, t);
		break;
	case QB_TRACE_CONNECTION_STATE_UPDATED:
		state_updated(s, ev, t);
		break;
	case QB_TRACE_CONNECTION_CLOSED:
		closed(s, ev, t);
		break;
	case QB_TRACE_PARAMETERS_SET:
		params(s, ev, t);
		break;
	case QB_TRACE_TUPLE_ASSIGNED:
		assigned(s, ev, t);
		break;
	case QB_TRACE_PATH_ABANDONED:
		abandoned(s, ev, t);
		break;
	case QB_TRACE_MTU_UPDATED:
		mtu(s, ev, t);
		break;
	case QB_TRACE_PACKET_SENT:
	case QB_TRACE_PACKET_RECEIVED:
		packet(s, ev, t);
		break;
	case QB_TRACE_PACKET_DROPPED:
		dropped(s, ev, t);
		break;
	case QB_TRACE_PACKET_LOST:
		lost(s, ev, t);
		break;
	case QB_TRACE_DATAGRAM_DATA_MOVED:
		datagram(s, ev, t);
		break;
	case QB_TRACE_KEY_UPDATED:
	case QB_TRACE_KEY_DISCARDED:
		key(s, ev, t);
		break;
	case QB_TRACE_RECOVERY_METRICS_UPDATED:
		metrics(s, ev, t);
		break;
	case QB_TRACE_CONGESTION_STATE_UPDATED:
		congestion(s, ev, t);
		break;
	case QB_TRACE_LINK_STATE_UPDATED:
		link_state(s, ev, t);
		break;
	case QB_TRACE_ECN_STATE_UPDATED:
		ecn(s, ev, t);
		break;
	case QB_TRACE_PATH_VALIDATED:
	case QB_TRACE_TRACE_ENDED:
		bare(s, ev, t);
		break;
	case QB_TRACE_TYPE_CNT:
		break;
	}
	if (t->is_full)
		t->len = len;
}
