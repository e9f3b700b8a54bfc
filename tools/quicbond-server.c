/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quicbond-server: serves the files of a folder over HTTP/3 or HTTP/0.9 with our QUIC, for tests against other
 * people's. It knows no tunnel, and lets in everybody.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdlib.h>

#include "tools/interop_host.h"
#include "tools/interop_report.h"
#include "tools/interop_serve.h"

enum { EXIT_FAULT = 1, EXIT_USAGE = 2, LISTEN_MAX = 4, HQ_STREAMS = 100, PORT_DEFAULT = 4433 };

struct opts {
	struct qb_interop_cfg cfg;
	struct qb_addr listen[LISTEN_MAX];
	uint32_t listen_cnt;
	const char *root;
};

/* What belongs to a connection; its user pointer. */
struct visitor {
	struct qb_serve *serve;
	struct qb_interop_result result;
};

static void usage(FILE *to)
{
	fputs("usage: quicbond-server --cert FILE --key FILE [OPTION]... [ADDRESS:PORT]...\n\n"
	      "  -d, --root DIR        folder whose files are served (.)\n"
	      "  -a, --alpn NAME       h3 or hq-interop (h3)\n"
	      "      --cert FILE       certificate and its chain, PEM\n"
	      "      --key FILE        its private key, PEM\n"
	      "      --retry           validate every client's address by a Retry packet\n"
	      "      --v2              go over to QUIC version 2 with clients that have it\n"
	      "      --preferred ADDRESS:PORT  ask clients to go there (one of each family)\n"
	      "      --multipath N     highest path ID that clients may use; off without\n"
	      "      --cc NAME         congestion control (cubic)\n"
	      "      --idle SECONDS    idle timeout (30)\n"
	      "      --keylog FILE     append TLS secrets in NSS format\n"
	      "  -h, --help            this text\n\n"
	      "Listens on [::]:4433 and 0.0.0.0:4433, or where it is told. Clients get session tickets, also for 0-RTT,\n"
	      "which are good while it runs. Files leave by the priorities that clients give (RFC 9218).\n"
	      "Prints a line of JSON for each connection that ends.\n",
	      to);
}

static int misuse(const char *what)
{
	fprintf(stderr, "quicbond-server: %s (--help says how)\n", what);
	return EXIT_USAGE;
}

/* ---- connections ---- */

static void on_new(const struct opts *o, struct qb_conn *c)
{
	struct visitor *v = calloc(1, sizeof(*v));

	if (v)
		v->serve = qb_serve_new(c, o->root, strcmp(o->cfg.alpn, "h3") == 0);
	if (!v || !v->serve) {
		free(v);
		qb_conn_close(c, QB_H3_NO_ERROR, "out of memory", qb_now_ns());
		return;
	}
	v->result.begin_ns = qb_now_ns();
	qb_conn_set_user(c, v);
}

static void on_closed(const struct qb_interop *io, const struct qb_quic_event *ev)
{
	struct visitor *v = qb_conn_user(ev->conn);
	struct qb_interop_result none = {.begin_ns = qb_now_ns()}, *r = v ? &v->result : &none;

	if (v) {
		r->files_cnt = v->serve->files_cnt;
		r->failed_cnt = v->serve->refused_cnt;
		r->bytes_cnt = v->serve->bytes_cnt;
	}
	/* Clients leave without an error, in their own dialects, or fall silent. */
	r->is_ok = v && (ev->error_code == 0 || (ev->is_app_error && ev->error_code == QB_H3_NO_ERROR));
	qb_interop_report(stdout, io, ev->conn, r);
	qb_conn_set_user(ev->conn, NULL);
	if (v)
		qb_serve_free(v->serve);
	free(v);
}

static void on_event(const struct qb_interop *io, const struct opts *o, const struct qb_quic_event *ev)
{
	struct visitor *v = qb_conn_user(ev->conn);

	switch (ev->type) {
	case QB_EV_CONN_EARLY:
	case QB_EV_CONN_NEW:
		if (!v)
			on_new(o, ev->conn);
		break;
	case QB_EV_CONN_CLOSED:
		on_closed(io, ev);
		break;
	case QB_EV_PATH_OPENED:
		if (v)
			v->result.paths_opened++;
		break;
	case QB_EV_PATH_MOVED:
		if (v)
			v->result.paths_moved++;
		break;
	case QB_EV_PATH_CLOSED:
		if (v)
			v->result.paths_closed++;
		break;
	case QB_EV_STREAM_READABLE:
	case QB_EV_STREAM_WRITABLE:
	case QB_EV_STREAM_STOPPED:
		if (v)
			qb_serve_on_event(v->serve, ev);
		break;
	default:
		break;
	}
}

static void serve(struct qb_interop *io, const struct opts *o, int signals)
{
	struct pollfd term = {.fd = signals, .events = POLLIN};
	struct qb_quic_event ev;

	while (poll(&term, 1, 0) == 0) {
		qb_interop_round(io, qb_now_ns() + 100 * QB_NS_PER_MS);
		while (qb_quic_next_event(io->quic, &ev))
			on_event(io, o, &ev);
	}
	for (struct qb_conn *c = NULL; (c = qb_quic_next_conn(io->quic, c));)
		qb_conn_close(c, QB_H3_NO_ERROR, "server stops", qb_now_ns());
	qb_interop_flush(io);
	while (qb_quic_next_event(io->quic, &ev))
		on_event(io, o, &ev);
}

/* ---- options ---- */

enum { OPT_CERT = 256, OPT_KEY, OPT_RETRY, OPT_V2, OPT_PREFERRED, OPT_MULTIPATH, OPT_CC, OPT_IDLE, OPT_KEYLOG };

static const struct option long_opts[] = {
	{"root", required_argument, NULL, 'd'},
	{"alpn", required_argument, NULL, 'a'},
	{"cert", required_argument, NULL, OPT_CERT},
	{"key", required_argument, NULL, OPT_KEY},
	{"retry", no_argument, NULL, OPT_RETRY},
	{"v2", no_argument, NULL, OPT_V2},
	{"preferred", required_argument, NULL, OPT_PREFERRED},
	{"multipath", required_argument, NULL, OPT_MULTIPATH},
	{"cc", required_argument, NULL, OPT_CC},
	{"idle", required_argument, NULL, OPT_IDLE},
	{"keylog", required_argument, NULL, OPT_KEYLOG},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int set_preferred(struct opts *o, const char *text)
{
	struct qb_addr a;

	if (qb_addr_parse(text, PORT_DEFAULT, &a) < 0)
		return -EINVAL;
	*(a.family == 6 ? &o->cfg.preferred6 : &o->cfg.preferred4) = a;
	return 0;
}

static int set_opt(struct opts *o, int opt)
{
	switch (opt) {
	case 'd':
		o->root = optarg;
		return 0;
	case 'a':
		o->cfg.alpn = optarg;
		return 0;
	case OPT_CERT:
		o->cfg.cert_file = optarg;
		return 0;
	case OPT_KEY:
		o->cfg.key_file = optarg;
		return 0;
	case OPT_RETRY:
		o->cfg.is_retry = true;
		return 0;
	case OPT_V2:
		o->cfg.is_v2 = true;
		return 0;
	case OPT_PREFERRED:
		return set_preferred(o, optarg);
	case OPT_MULTIPATH:
		o->cfg.max_path_id = (uint32_t)strtoul(optarg, NULL, 10);
		return 0;
	case OPT_CC:
		o->cfg.cc = optarg;
		return 0;
	case OPT_IDLE:
		o->cfg.idle_ns = strtoull(optarg, NULL, 10) * QB_NS_PER_SEC;
		return 0;
	case OPT_KEYLOG:
		o->cfg.keylog_file = optarg;
		return 0;
	default:
		return -EINVAL;
	}
}

static int parse_listen(struct opts *o, char **args)
{
	for (; *args; args++) {
		if (o->listen_cnt == LISTEN_MAX)
			return misuse("too many addresses");
		if (qb_addr_parse(*args, PORT_DEFAULT, &o->listen[o->listen_cnt++]) < 0)
			return misuse("not an address");
	}
	/* Family 0: both. */
	if (o->listen_cnt == 0)
		o->listen[o->listen_cnt++].port = PORT_DEFAULT;
	return 0;
}

static int parse(struct opts *o, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "d:a:h", long_opts, NULL)) != -1) {
		if (opt == 'h') {
			usage(stdout);
			exit(0);
		}
		if (opt == '?')
			return EXIT_USAGE;
		if (set_opt(o, opt) < 0)
			return misuse("bad value of an option");
	}
	if (!o->cfg.cert_file || !o->cfg.key_file)
		return misuse("no --cert and --key");
	if (strcmp(o->cfg.alpn, "h3") != 0 && strcmp(o->cfg.alpn, "hq-interop") != 0)
		return misuse("--alpn is h3 or hq-interop");
	o->cfg.streams = strcmp(o->cfg.alpn, "h3") == 0 ? QB_H3_REQUESTS_MAX : HQ_STREAMS;
	return parse_listen(o, argv + optind);
}

int main(int argc, char **argv)
{
	struct opts o = {
		.root = ".",
		.cfg = {
			.is_server = true,
			.is_early = true, /* all that it does is to show files */
			.alpn = "h3",
			.name = "quicbond-server",
			.cc = "cubic",
			.max_path_id = UINT32_MAX,
			.idle_ns = 30 * QB_NS_PER_SEC,
			.handshake_ns = 30 * QB_NS_PER_SEC,
		},
	};
	char err[QB_INTEROP_ERR_LEN];
	struct qb_interop io;
	int signals, rc = parse(&o, argc, argv);

	if (rc)
		return rc;
	signals = qb_signals_open();
	rc = qb_interop_open(&io, &o.cfg, err);
	for (uint32_t i = 0; rc >= 0 && i < o.listen_cnt; i++)
		rc = qb_interop_add_port(&io, &o.listen[i], err);
	if (rc < 0) {
		fprintf(stderr, "quicbond-server: %s\n", err);
	} else {
		fprintf(stderr, "quicbond-server: ready\n");
		serve(&io, &o, signals);
	}
	qb_interop_close(&io);
	return rc < 0 ? EXIT_FAULT : 0;
}
