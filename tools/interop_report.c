/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON without nesting worth a library. Called by both interop tools when a connection ends. */
#include "tools/interop_report.h"

#include <inttypes.h>

static void put_text(FILE *to, const char *name, const char *text)
{
	fprintf(to, ",\"%s\":\"", name);
	for (; *text; text++) {
		if (*text != '"' && *text != '\\' && (unsigned char)*text >= 0x20)
			fputc(*text, to);
	}
	fputc('"', to);
}

static void put_path(FILE *to, const struct qb_path_info *p)
{
	char text[QB_ADDR_STRLEN];

	fprintf(to, "{\"id\":%u,\"phase\":%d,\"mtu\":%u,\"srtt_ms\":%.3f", p->path_id, p->phase,
		p->mtu_bytes, (double)p->srtt_ns / 1e6);
	put_text(to, "local", qb_addr_format(&p->tuple.local, text));
	put_text(to, "peer", qb_addr_format(&p->tuple.peer, text));
	fprintf(to,
		",\"tx_packets\":%" PRIu64 ",\"tx_bytes\":%" PRIu64 ",\"rx_packets\":%" PRIu64
		",\"rx_bytes\":%" PRIu64 ",\"lost_packets\":%" PRIu64 ",\"ect0_rx\":%" PRIu64
		",\"ect1_rx\":%" PRIu64 ",\"ce_rx\":%" PRIu64 ",\"is_ecn_capable\":%s}",
		p->tx_packets, p->tx_bytes, p->rx_packets, p->rx_bytes, p->lost_packets, p->ect0_rx,
		p->ect1_rx, p->ce_rx, p->is_ecn_capable ? "true" : "false");
}

static void put_conn(FILE *to, const struct qb_conn *c)
{
	static const char *const suites[] = {
		[QB_SUITE_AES128GCM] = "aes128gcm",
		[QB_SUITE_AES256GCM] = "aes256gcm",
		[QB_SUITE_CHACHA20] = "chacha20",
	};
	struct qb_path_info path;
	struct qb_conn_info info;
	bool is_first = true;

	qb_conn_get_info(c, &info);
	fprintf(to, ",\"version\":%u,\"is_multipath\":%s,\"is_resumed\":%s,\"is_early\":%s,\"is_greasing\":%s,\"key_updates\":%"
		PRIu64,
		info.version == QB_QUIC_V2 ? 2 : 1, info.is_multipath ? "true" : "false",
		info.is_resumed ? "true" : "false",
		info.early == QB_TLS_EARLY_ACCEPTED ? "true" : "false",
		info.is_greasing ? "true" : "false", info.key_updates);
	put_text(to, "suite", suites[info.suite]);
	put_text(to, "reason", qb_conn_reason(c));
	fprintf(to, ",\"paths\":[");
	for (uint8_t i = 0; i < QB_PATHS_MAX; i++) {
		if (!qb_conn_path_info(c, i, qb_now_ns(), &path))
			continue;
		fprintf(to, "%s", is_first ? "" : ",");
		put_path(to, &path);
		is_first = false;
	}
	fprintf(to, "]");
}

static void put_counters(FILE *to, const struct qb_counters *c)
{
	bool is_first = true;

	fprintf(to, ",\"counters\":{");
	for (int i = 0; i < QB_COUNTER_CNT; i++) {
		if (!c->v[i])
			continue;
		fprintf(to, "%s\"%s\":%" PRIu64, is_first ? "" : ",", qb_counter_rows[i].name,
			c->v[i]);
		is_first = false;
	}
	fprintf(to, "}");
}

void qb_interop_report(FILE *to, const struct qb_interop *io, const struct qb_conn *conn,
		       const struct qb_interop_result *r)
{
	fprintf(to,
		"{\"schema\":1,\"is_ok\":%s,\"files\":%" PRIu64 ",\"failed\":%" PRIu64
		",\"bytes\":%" PRIu64 ",\"seconds\":%.3f,\"paths_opened\":%u,\"paths_moved\":%u"
		",\"paths_closed\":%u",
		r->is_ok ? "true" : "false", r->files_cnt, r->failed_cnt, r->bytes_cnt,
		(double)(qb_now_ns() - r->begin_ns) / 1e9, r->paths_opened, r->paths_moved, r->paths_closed);
	if (r->error)
		put_text(to, "error", r->error);
	if (conn)
		put_conn(to, conn);
	put_counters(to, &io->counters);
	fprintf(to, "}\n");
	fflush(to);
}
