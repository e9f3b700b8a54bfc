/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quicbond-client: fetches files over HTTP/3 or HTTP/0.9 with our QUIC, for tests against other people's. It
 * knows no tunnel.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/interop_fetch.h"
#include "tools/interop_host.h"
#include "tools/interop_report.h"
#include "wire/error.h"

enum { EXIT_FAULT = 1, EXIT_USAGE = 2, MORE_PATHS_MAX = 6, PORT_DEFAULT = 4433, SESSION_WAIT_MS = 2000 };

/* What is done to the connection once so many bytes have come. */
enum stunt { STUNT_KEY_UPDATE, STUNT_REBIND, STUNT_MOVE, STUNT_ABANDON, STUNT_CNT };

struct opts {
	struct qb_interop_cfg cfg;
	struct qb_addr peer;
	struct qb_addr more[MORE_PATHS_MAX]; /* local addresses of further paths */
	uint32_t more_cnt;
	struct qb_addr move_to;
	uint64_t stunt_at[STUNT_CNT]; /* bytes; UINT64_MAX: never */
	uint64_t timeout_ns;
	const char *authority, *dir;
	const char *session_file; /* NULL: none is used or kept */
	bool is_each; /* a connection for each file */
	char **paths;
	uint32_t path_cnt;
};

struct client {
	const struct opts *o;
	struct qb_interop io;
	struct qb_conn *conn; /* NULL: it is gone */
	struct qb_fetch fetch;
	struct qb_interop_result result;
	struct qb_tuple tuple;
	uint32_t paths_asked;
	bool is_begun, is_over, is_stunt_done[STUNT_CNT];
	bool has_session; /* a new one was saved */
	char error[QB_INTEROP_ERR_LEN];
};

static void usage(FILE *to)
{
	fputs("usage: quicbond-client [OPTION]... ADDRESS[:PORT] PATH...\n\n"
	      "  -n, --name NAME       the server's name, for TLS and requests (the address)\n"
	      "      --ca FILE         CA certificates that the server's must come from, PEM\n"
	      "      --insecure        let anybody be the server\n"
	      "  -a, --alpn NAME       h3 or hq-interop (h3)\n"
	      "  -o, --output DIR      put the files there, else they are only counted\n"
	      "      --session FILE    begin with the session there, if there is one, and leave a new one\n"
	      "      --early           ask in 0-RTT, if the session allows it\n"
	      "      --each            a connection of its own for each file\n"
	      "      --path ADDRESS    open another path from this local address (several times)\n"
	      "      --key-update N    after N bytes update the keys\n"
	      "      --rebind N        after N bytes go on from another port without telling QUIC\n"
	      "      --move N,ADDRESS  after N bytes migrate to this local address\n"
	      "      --abandon N       after N bytes give up the first path, when there is another (--path)\n"
	      "      --v2              go over to QUIC version 2, if the server has it\n"
	      "      --cc NAME         congestion control (cubic)\n"
	      "      --idle SECONDS    idle timeout (30)\n"
	      "      --timeout SECONDS give up after that, for the handshake and for all (60)\n"
	      "      --keylog FILE     append TLS secrets in NSS format\n"
	      "  -h, --help            this text\n\n"
	      "Prints a line of JSON for each connection. Exits 0 if all files came.\n",
	      to);
}

static int misuse(const char *what)
{
	fprintf(stderr, "quicbond-client: %s (--help says how)\n", what);
	return EXIT_USAGE;
}

/* ---- sessions ---- */

/* take_session reads a session and removes its file: each is good once. Returns its length. */
static size_t take_session(const char *path, uint8_t out[QB_SESSION_MAX])
{
	FILE *f = path ? fopen(path, "re") : NULL;
	size_t len;

	if (!f)
		return 0;
	len = fread(out, 1, QB_SESSION_MAX, f);
	fclose(f);
	unlink(path);
	return len;
}

static void save_session(struct client *cl, struct qb_conn *conn)
{
	uint8_t bytes[QB_SESSION_MAX];
	size_t len;
	int fd;

	while (cl->o->session_file && (len = qb_conn_take_session(conn, bytes)) > 0) {
		fd = open(cl->o->session_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		cl->has_session = fd >= 0 && write(fd, bytes, len) == (ssize_t)len;
		if (!cl->has_session)
			fprintf(stderr, "quicbond-client: %s: %m\n", cl->o->session_file);
		if (fd >= 0)
			close(fd);
	}
	explicit_bzero(bytes, sizeof(bytes));
}

/* ---- connection ---- */

static int add_port(struct client *cl, const struct qb_addr *local, struct qb_tuple *tuple)
{
	int link = qb_interop_add_port(&cl->io, local, cl->error);

	if (link < 0)
		return link;
	*tuple = (struct qb_tuple){.local = cl->io.port[link].told, .peer = cl->o->peer,
				   .link = (uint16_t)link};
	return 0;
}

static int begin(struct client *cl)
{
	uint8_t session[QB_SESSION_MAX];
	size_t session_len;
	struct qb_addr local;
	int rc = qb_interop_source(&cl->o->peer, &local);

	if (rc < 0) {
		snprintf(cl->error, sizeof(cl->error), "no route to the server: %s", strerror(-rc));
		return rc;
	}
	rc = add_port(cl, &local, &cl->tuple);
	if (rc < 0)
		return rc;
	cl->result.begin_ns = qb_now_ns();
	session_len = take_session(cl->o->session_file, session);
	cl->conn = session_len ? qb_quic_resume(cl->io.quic, &cl->tuple, cl->o->cfg.name, session, session_len,
						qb_now_ns())
			       : qb_quic_connect(cl->io.quic, &cl->tuple, cl->o->cfg.name, qb_now_ns());
	explicit_bzero(session, sizeof(session));
	return cl->conn ? 0 : -ENOMEM;
}

static void open_paths(struct client *cl)
{
	while (cl->paths_asked < cl->o->more_cnt) {
		struct qb_tuple tuple;
		int rc = add_port(cl, &cl->o->more[cl->paths_asked], &tuple);

		if (rc == 0)
			rc = qb_conn_open_path(cl->conn, &tuple, qb_now_ns());
		if (rc == -EAGAIN) { /* its port is asked for again */
			qb_net_close(cl->io.port[tuple.link].net);
			cl->io.port[tuple.link].net = NULL;
			return;
		}
		cl->paths_asked++;
		if (rc >= 0)
			cl->result.paths_opened++;
	}
}

/* ---- stunts ---- */

static int move(struct client *cl)
{
	struct qb_tuple tuple;
	int rc = add_port(cl, &cl->o->move_to, &tuple);

	return rc ? rc : qb_conn_move_path(cl->conn, 0, &tuple, qb_now_ns());
}

static void run_stunts(struct client *cl)
{
	for (enum stunt i = 0; i < STUNT_CNT; i++) {
		int rc = 0;

		if (cl->is_stunt_done[i] || cl->fetch.bytes < cl->o->stunt_at[i] || !cl->conn)
			continue;
		if (i == STUNT_KEY_UPDATE)
			qb_conn_update_key(cl->conn);
		else if (i == STUNT_REBIND)
			rc = qb_interop_rebind(&cl->io, cl->tuple.link, cl->error);
		else if (i == STUNT_MOVE)
			rc = move(cl);
		else
			rc = qb_conn_close_path(cl->conn, 0, QB_QUIC_APPLICATION_ABANDON_PATH, qb_now_ns());
		if (rc < 0)
			fprintf(stderr, "quicbond-client: stunt %u: %s\n", i, strerror(-rc));
		cl->is_stunt_done[i] = true;
	}
}

/* ---- events ---- */

static void on_closed(struct client *cl, const struct qb_quic_event *ev)
{
	if (!cl->is_over)
		snprintf(cl->error, sizeof(cl->error), "%s error 0x%llx by %s: %s",
			 ev->is_app_error ? "application" : "transport",
			 (unsigned long long)ev->error_code, ev->is_by_peer ? "the server" : "us",
			 qb_conn_reason(ev->conn));
	cl->conn = NULL;
}

static void on_event(struct client *cl, const struct qb_quic_event *ev)
{
	switch (ev->type) {
	case QB_EV_CONN_EARLY:
	case QB_EV_CONN_ESTABLISHED:
		if (cl->is_begun)
			break;
		cl->is_begun = true;
		if (qb_fetch_begin(&cl->fetch, ev->conn, strcmp(cl->o->cfg.alpn, "h3") == 0) < 0)
			qb_conn_close(ev->conn, QB_H3_NO_ERROR, "cannot begin", qb_now_ns());
		break;
	case QB_EV_CONN_CLOSED:
		on_closed(cl, ev);
		break;
	case QB_EV_SESSION:
		save_session(cl, ev->conn);
		break;
	case QB_EV_PATHS_AVAILABLE:
		open_paths(cl);
		break;
	case QB_EV_PATH_VALIDATED:
		/* Of the first path only a move of our own makes this necessary. */
		cl->result.paths_moved += ev->path == 0;
		break;
	case QB_EV_PATH_CLOSED:
		cl->result.paths_closed++;
		break;
	case QB_EV_STREAM_READABLE:
	case QB_EV_STREAM_WRITABLE:
	case QB_EV_STREAM_STOPPED:
		qb_fetch_on_event(&cl->fetch, ev);
		break;
	default:
		break;
	}
}

/* wants_more: files are missing, or the session that is to be kept. */
static bool wants_more(const struct client *cl)
{
	uint64_t since_ns = qb_now_ns() - cl->result.begin_ns;

	if (!cl->conn || since_ns > cl->o->timeout_ns)
		return false;
	return !qb_fetch_is_over(&cl->fetch) ||
	       (cl->o->session_file && !cl->has_session && since_ns < SESSION_WAIT_MS * QB_NS_PER_MS);
}

static void run(struct client *cl)
{
	uint64_t end_ns = cl->result.begin_ns + cl->o->timeout_ns;
	struct qb_quic_event ev;

	while (wants_more(cl)) {
		qb_interop_round(&cl->io, end_ns);
		while (qb_quic_next_event(cl->io.quic, &ev))
			on_event(cl, &ev);
		run_stunts(cl);
		if (cl->conn && cl->is_begun)
			qb_fetch_on_event(&cl->fetch, NULL);
	}
	if (cl->conn && !qb_fetch_is_over(&cl->fetch))
		snprintf(cl->error, sizeof(cl->error), "timed out");
	cl->is_over = true;
}

static void finish(struct client *cl)
{
	struct qb_interop_result *r = &cl->result;

	r->files_cnt = cl->fetch.done_cnt;
	r->bytes_cnt = cl->fetch.bytes;
	r->failed_cnt = cl->fetch.cnt - cl->fetch.done_cnt;
	r->is_ok = r->failed_cnt == 0;
	r->error = cl->error[0] ? cl->error : NULL;
	qb_interop_report(stdout, &cl->io, cl->conn, r);
	if (cl->conn)
		qb_conn_close(cl->conn, cl->fetch.h3 ? QB_H3_NO_ERROR : 0, "", qb_now_ns());
	qb_interop_flush(&cl->io);
	qb_fetch_fini(&cl->fetch);
}

/* fetch_all gets the files over one connection. Returns how many did not come. */
static uint64_t fetch_all(const struct opts *o, struct qb_fetch_file *files, uint32_t cnt)
{
	struct client *cl = calloc(1, sizeof(*cl));
	uint64_t failed = cnt;

	if (!cl)
		return cnt;
	cl->o = o;
	cl->fetch = (struct qb_fetch){.authority = o->authority, .dir = o->dir, .file = files, .cnt = cnt};
	if (qb_interop_open(&cl->io, &o->cfg, cl->error) == 0 && begin(cl) == 0) {
		run(cl);
		finish(cl);
		failed = cl->result.failed_cnt;
	}
	if (cl->error[0])
		fprintf(stderr, "quicbond-client: %s\n", cl->error);
	qb_interop_close(&cl->io);
	free(cl);
	return failed;
}

/* ---- options ---- */

enum {
	OPT_CA = 256,
	OPT_INSECURE,
	OPT_SESSION,
	OPT_EARLY,
	OPT_EACH,
	OPT_PATH,
	OPT_KEY_UPDATE,
	OPT_REBIND,
	OPT_MOVE,
	OPT_ABANDON,
	OPT_V2,
	OPT_CC,
	OPT_IDLE,
	OPT_TIMEOUT,
	OPT_KEYLOG,
};

static const struct option long_opts[] = {
	{"name", required_argument, NULL, 'n'},
	{"ca", required_argument, NULL, OPT_CA},
	{"insecure", no_argument, NULL, OPT_INSECURE},
	{"alpn", required_argument, NULL, 'a'},
	{"output", required_argument, NULL, 'o'},
	{"session", required_argument, NULL, OPT_SESSION},
	{"early", no_argument, NULL, OPT_EARLY},
	{"each", no_argument, NULL, OPT_EACH},
	{"path", required_argument, NULL, OPT_PATH},
	{"key-update", required_argument, NULL, OPT_KEY_UPDATE},
	{"rebind", required_argument, NULL, OPT_REBIND},
	{"move", required_argument, NULL, OPT_MOVE},
	{"abandon", required_argument, NULL, OPT_ABANDON},
	{"v2", no_argument, NULL, OPT_V2},
	{"cc", required_argument, NULL, OPT_CC},
	{"idle", required_argument, NULL, OPT_IDLE},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"keylog", required_argument, NULL, OPT_KEYLOG},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int set_move(struct opts *o, char *text)
{
	char *comma = strchr(text, ',');

	o->stunt_at[STUNT_MOVE] = strtoull(text, NULL, 10);
	return comma ? qb_addr_parse(comma + 1, 0, &o->move_to) : -EINVAL;
}

static int set_path(struct opts *o, const char *text)
{
	if (o->more_cnt == MORE_PATHS_MAX)
		return -EINVAL;
	o->cfg.max_path_id = MORE_PATHS_MAX;
	return qb_addr_parse(text, 0, &o->more[o->more_cnt++]);
}

static int set_opt(struct opts *o, int opt)
{
	switch (opt) {
	case 'n':
		o->cfg.name = o->authority = optarg;
		return 0;
	case OPT_CA:
		o->cfg.ca_file = optarg;
		o->cfg.check = QB_TLS_CHECK_CA;
		return 0;
	case OPT_INSECURE:
		o->cfg.check = QB_TLS_CHECK_NONE;
		return 0;
	case 'a':
		o->cfg.alpn = optarg;
		return 0;
	case 'o':
		o->dir = optarg;
		return 0;
	case OPT_SESSION:
		o->session_file = optarg;
		return 0;
	case OPT_EARLY:
		o->cfg.is_early = true;
		return 0;
	case OPT_EACH:
		o->is_each = true;
		return 0;
	case OPT_PATH:
		return set_path(o, optarg);
	case OPT_KEY_UPDATE:
		o->stunt_at[STUNT_KEY_UPDATE] = strtoull(optarg, NULL, 10);
		return 0;
	case OPT_REBIND:
		o->stunt_at[STUNT_REBIND] = strtoull(optarg, NULL, 10);
		return 0;
	case OPT_MOVE:
		return set_move(o, optarg);
	case OPT_ABANDON:
		o->stunt_at[STUNT_ABANDON] = strtoull(optarg, NULL, 10);
		return 0;
	case OPT_V2:
		o->cfg.is_v2 = true;
		return 0;
	case OPT_CC:
		o->cfg.cc = optarg;
		return 0;
	case OPT_IDLE:
		o->cfg.idle_ns = strtoull(optarg, NULL, 10) * QB_NS_PER_SEC;
		return 0;
	case OPT_TIMEOUT:
		o->timeout_ns = strtoull(optarg, NULL, 10) * QB_NS_PER_SEC;
		return 0;
	case OPT_KEYLOG:
		o->cfg.keylog_file = optarg;
		return 0;
	default:
		return -EINVAL;
	}
}

static int parse_args(struct opts *o, char **args)
{
	if (!args[0] || !args[1])
		return misuse("no server, or nothing to fetch");
	if (qb_addr_parse(args[0], PORT_DEFAULT, &o->peer) < 0)
		return misuse("the server's address is not numeric");
	if (!o->authority)
		o->authority = args[0];
	for (o->paths = args + 1; o->paths[o->path_cnt]; o->path_cnt++)
		;
	return 0;
}

static int parse(struct opts *o, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "n:a:o:h", long_opts, NULL)) != -1) {
		if (opt == 'h') {
			usage(stdout);
			exit(0);
		}
		if (opt == '?')
			return EXIT_USAGE;
		if (set_opt(o, opt) < 0)
			return misuse("bad value of an option");
	}
	if (o->cfg.check == QB_TLS_CHECK_KEYS)
		return misuse("say --ca FILE or --insecure");
	if (o->cfg.check == QB_TLS_CHECK_NONE)
		fprintf(stderr, "quicbond-client: WARNING: the server is not verified\n");
	if (strcmp(o->cfg.alpn, "h3") != 0 && strcmp(o->cfg.alpn, "hq-interop") != 0)
		return misuse("--alpn is h3 or hq-interop");
	o->cfg.handshake_ns = o->timeout_ns;
	return parse_args(o, argv + optind);
}

int main(int argc, char **argv)
{
	struct opts o = {
		.cfg = {
			.alpn = "h3",
			.name = "server",
			.cc = "cubic",
			.streams = 8,
			.max_path_id = UINT32_MAX,
			.idle_ns = 30 * QB_NS_PER_SEC,
		},
		.stunt_at = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX},
		.timeout_ns = 60 * QB_NS_PER_SEC,
	};
	struct qb_fetch_file *files;
	uint64_t failed = 0;
	int rc = parse(&o, argc, argv);

	if (rc)
		return rc;
	files = calloc(o.path_cnt, sizeof(*files));
	if (!files)
		return EXIT_FAULT;
	for (uint32_t i = 0; i < o.path_cnt; i++)
		files[i].path = o.paths[i];
	if (!o.is_each)
		failed = fetch_all(&o, files, o.path_cnt);
	for (uint32_t i = 0; o.is_each && i < o.path_cnt; i++)
		failed += fetch_all(&o, &files[i], 1);
	free(files);
	return failed ? EXIT_FAULT : 0;
}
