/* SPDX-License-Identifier: BSD-2-Clause */
/* The endpoint of the interop tools: memory, TLS, ports, and the loop around them. */
#include "tools/interop_host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	FRAMES = 8192,
	CONNS = 64,
	SENT_RECORDS = 65536,
	STREAM_CHUNKS = 16384,
	MAX_UDP_BYTES = 1472,
	ROUND_BATCHES = 16,
	FDS_MAX = 4,
	FILE_MAX = 1 << 20,
};

/* ---- files ---- */

char *qb_interop_read_file(const char *path, char err[QB_INTEROP_ERR_LEN])
{
	FILE *f = fopen(path, "re");
	char *text = f ? calloc(1, FILE_MAX + 1) : NULL;
	size_t len;

	if (!text) {
		snprintf(err, QB_INTEROP_ERR_LEN, "%.100s: %m", path);
		if (f)
			fclose(f);
		return NULL;
	}
	len = fread(text, 1, FILE_MAX, f);
	text[len] = 0;
	fclose(f);
	return text;
}

/* ---- TLS ---- */

static void keylog_line(void *arg, const char *text)
{
	FILE *f = arg;

	fprintf(f, "%s\n", text);
	fflush(f);
}

/* load_pems reads the files that the configuration names into cfg; what is in `text` is freed by the caller. */
static int load_pems(const struct qb_interop_cfg *cfg, struct qb_tls_cfg *tls, char *text[3],
		     char err[QB_INTEROP_ERR_LEN])
{
	const char *files[3] = {cfg->cert_file, cfg->key_file, cfg->ca_file};
	const char **fields[3] = {&tls->cert_pem, &tls->cert_key_pem, &tls->ca_pem};

	for (int i = 0; i < 3; i++) {
		if (!files[i])
			continue;
		text[i] = qb_interop_read_file(files[i], err);
		if (!text[i])
			return -ENOENT;
		*fields[i] = text[i];
	}
	return 0;
}

static int open_tls(struct qb_interop *io, const struct qb_interop_cfg *cfg, const char *identity,
		    char err[QB_INTEROP_ERR_LEN])
{
	char *text[3] = {NULL}, why[QB_TLS_ERR_LEN] = "";
	struct qb_tls_cfg tls = {
		.is_server = cfg->is_server,
		.key_pem = cfg->is_server ? identity : NULL,
		.name = cfg->name,
		.alpn = cfg->alpn,
		.check = cfg->is_server ? QB_TLS_CHECK_KEYS : cfg->check,
		.is_peer_optional = true,
		.is_early = cfg->is_early,
	};
	int rc = load_pems(cfg, &tls, text, err);

	if (rc == 0 && cfg->is_server) {
		io->tickets = tls.tickets = qb_tickets_new(NULL, (uint64_t)time(NULL));
		rc = io->tickets ? 0 : -ENOMEM;
	}
	if (rc == 0) {
		io->tls = qb_tls_ctx_new(&tls, why);
		rc = io->tls ? 0 : -EINVAL;
		if (rc)
			snprintf(err, QB_INTEROP_ERR_LEN, "TLS: %s", why);
	}
	for (int i = 0; i < 3; i++)
		free(text[i]);
	if (rc == 0 && cfg->keylog_file) {
		io->keylog = fopen(cfg->keylog_file, "ae");
		if (!io->keylog) {
			snprintf(err, QB_INTEROP_ERR_LEN, "%.100s: %m", cfg->keylog_file);
			return -errno;
		}
		qb_tls_ctx_keylog(io->tls, keylog_line, io->keylog);
	}
	return rc;
}

/* ---- set-up ---- */

static int open_memory(struct qb_interop *io, const struct qb_quic_limits *limits)
{
	int rc = qb_pages_map((size_t)FRAMES * QB_FRAME_BYTES, 0, &io->frames);

	if (rc == 0)
		rc = qb_pages_map(FRAMES * sizeof(struct qb_buf), 0, &io->bufs);
	if (rc == 0)
		rc = qb_pages_map(qb_quic_footprint(limits), 0, &io->mem);
	if (rc)
		return rc;
	qb_depot_init(&io->depot, io->frames.mem, io->bufs.mem, FRAMES);
	qb_pool_init(&io->pool, &io->depot);
	return 0;
}

static int open_quic(struct qb_interop *io, const struct qb_interop_cfg *cfg, const char *identity)
{
	struct qb_quic_cfg q = {
		.is_server = cfg->is_server,
		.limits = {CONNS, cfg->streams, SENT_RECORDS, STREAM_CHUNKS},
		.tls = io->tls,
		.cc = qb_cc_find(cfg->cc),
		.idle_timeout_ns = cfg->idle_ns,
		.handshake_timeout_ns = cfg->handshake_ns,
		.max_path_id = cfg->max_path_id,
		.retry = cfg->is_retry ? QB_RETRY_ALWAYS : QB_RETRY_OFF,
		.max_udp_bytes = MAX_UDP_BYTES,
		.preferred4 = cfg->preferred4,
		.preferred6 = cfg->preferred6,
		.versions = {cfg->is_v2 ? QB_QUIC_V2 : QB_QUIC_V1, cfg->is_v2 ? QB_QUIC_V1 : 0},
		.version_first = QB_QUIC_V1,
		.is_early = cfg->is_early,
		.early_context = cfg->alpn,
		.is_quic_bit_greased = true,
		.spin_of_16 = 15,
		.counters = &io->counters,
		.pool = &io->pool,
	};
	int rc = open_memory(io, &q.limits);

	if (rc == 0 && !q.cc)
		rc = -EINVAL;
	if (rc == 0)
		rc = qb_node_secret_derive(identity, "reset", &q.reset_secret);
	if (rc == 0)
		rc = qb_node_secret_derive(identity, "token", &q.token_secret);
	if (rc == 0 && getrandom(q.seed, sizeof(q.seed), 0) != sizeof(q.seed))
		rc = -EIO;
	if (rc == 0)
		io->quic = qb_quic_init(io->mem.mem, &q, qb_now_ns());
	return rc;
}

int qb_interop_open(struct qb_interop *io, const struct qb_interop_cfg *cfg,
		    char err[QB_INTEROP_ERR_LEN])
{
	char identity[512];
	int rc;

	memset(io, 0, sizeof(*io));
	err[0] = 0;
	io->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	rc = io->epoll_fd < 0 ? -errno : qb_key_generate(identity, sizeof(identity));
	if (rc == 0)
		rc = open_tls(io, cfg, identity, err);
	if (rc == 0)
		rc = open_quic(io, cfg, identity);
	if (rc && !err[0])
		snprintf(err, QB_INTEROP_ERR_LEN, "cannot make an endpoint: %s", strerror(-rc));
	return rc;
}

void qb_interop_close(struct qb_interop *io)
{
	if (io->quic)
		qb_quic_fini(io->quic);
	for (int i = 0; i < QB_INTEROP_PORTS; i++) {
		if (io->port[i].net)
			qb_net_close(io->port[i].net);
	}
	if (io->pool.depot)
		qb_pool_fini(&io->pool);
	qb_tls_ctx_free(io->tls);
	qb_tickets_free(io->tickets);
	qb_pages_unmap(&io->mem);
	qb_pages_unmap(&io->bufs);
	qb_pages_unmap(&io->frames);
	if (io->keylog)
		fclose(io->keylog);
	close(io->epoll_fd);
}

/* ---- ports ---- */

static int free_port(const struct qb_interop *io)
{
	for (int i = 0; i < QB_INTEROP_PORTS; i++) {
		if (!io->port[i].net)
			return i;
	}
	return -ENOSPC;
}

static int open_net(struct qb_interop *io, int i, const struct qb_addr *local,
		    char err[QB_INTEROP_ERR_LEN])
{
	struct qb_net_cfg cfg = {
		.local = *local,
		.link = (uint16_t)i,
		.worker_cnt = 1,
		.depot = &io->depot,
		.counters = &io->counters,
	};
	int fds[FDS_MAX], rc = qb_net_open(&cfg, &io->port[i].net, err);
	uint32_t cnt;

	if (rc < 0)
		return rc;
	cnt = qb_net_fds(io->port[i].net, fds, FDS_MAX);
	for (uint32_t k = 0; k < cnt; k++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.u32 = (uint32_t)i};

		epoll_ctl(io->epoll_fd, EPOLL_CTL_ADD, fds[k], &ev);
	}
	return i;
}

int qb_interop_add_port(struct qb_interop *io, const struct qb_addr *local,
			char err[QB_INTEROP_ERR_LEN])
{
	int i = free_port(io), rc;

	if (i < 0) {
		snprintf(err, QB_INTEROP_ERR_LEN, "too many ports");
		return i;
	}
	rc = open_net(io, i, local, err);
	if (rc >= 0)
		qb_net_local(io->port[i].net, &io->port[i].told);
	return rc;
}

int qb_interop_rebind(struct qb_interop *io, int port, char err[QB_INTEROP_ERR_LEN])
{
	struct qb_addr local = io->port[port].told;
	struct qb_net *old = io->port[port].net;
	int rc;

	local.port = 0;
	rc = open_net(io, port, &local, err);
	if (rc < 0) {
		io->port[port].net = old;
		return rc;
	}
	qb_net_close(old);
	io->port[port].is_rebound = true;
	return 0;
}

int qb_interop_source(const struct qb_addr *peer, struct qb_addr *out)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(peer->port),
				   .sin6_scope_id = peer->scope_id};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(peer->port)};
	bool is_v6 = peer->family == 6;
	struct sockaddr *sa = is_v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
	socklen_t len = is_v6 ? sizeof(in6) : sizeof(in);
	int fd = socket(sa->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	memcpy(&in6.sin6_addr, peer->ip, 16);
	memcpy(&in.sin_addr, peer->ip, 4);
	*out = (struct qb_addr){.family = peer->family};
	if (fd < 0 || connect(fd, sa, len) || getsockname(fd, sa, &len))
		rc = -errno;
	if (is_v6)
		memcpy(out->ip, &in6.sin6_addr, 16);
	else
		memcpy(out->ip, &in.sin_addr, 4);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* ---- rounds ---- */

static void flush_port(struct qb_interop *io, int i)
{
	struct qb_interop_port *port = &io->port[i];

	if (!port->out.cnt)
		return;
	if (port->net)
		(void)qb_net_send(port->net, &io->pool, &port->out);
	else
		qb_batch_put(&io->pool, &port->out);
}

void qb_interop_flush(struct qb_interop *io)
{
	struct qb_batch udp = {0};
	bool has_more;

	do {
		has_more = qb_quic_send(io->quic, &udp, qb_now_ns());
		for (uint32_t k = 0; k < udp.cnt; k++) {
			int i = udp.buf[k]->tuple.link % QB_INTEROP_PORTS;

			if (qb_batch_full(&io->port[i].out))
				flush_port(io, i);
			qb_batch_add(&io->port[i].out, udp.buf[k]);
		}
		udp.cnt = 0;
	} while (has_more);
	for (int i = 0; i < QB_INTEROP_PORTS; i++)
		flush_port(io, i);
}

/* To QUIC a rebound port is still the old one. */
static void hide_rebind(const struct qb_interop_port *port, struct qb_batch *in)
{
	for (uint32_t k = 0; port->is_rebound && k < in->cnt; k++)
		in->buf[k]->tuple.local.port = port->told.port;
}

static void receive(struct qb_interop *io, int i)
{
	struct qb_interop_port *port = &io->port[i];

	for (uint32_t round = 0; round < ROUND_BATCHES; round++) {
		struct qb_batch in = {0}, dgrams = {0};
		uint64_t now_ns;

		if (qb_net_recv(port->net, &io->pool, &in) == 0) {
			port->is_ready = false;
			return;
		}
		now_ns = qb_now_ns();
		hide_rebind(port, &in);
		while (in.cnt) {
			qb_quic_recv(io->quic, &in, &dgrams, now_ns);
			/* Nobody here wants datagrams. */
			qb_batch_put(&io->pool, &dgrams);
		}
	}
}

void qb_interop_round(struct qb_interop *io, uint64_t until_ns)
{
	struct epoll_event evs[16];
	bool is_busy = false;
	uint64_t wait_ns;
	struct timespec ts;
	int cnt;

	qb_interop_flush(io);
	for (int i = 0; i < QB_INTEROP_PORTS; i++)
		is_busy |= io->port[i].is_ready;
	wait_ns = qb_sub_sat_u64(qb_min_u64(qb_quic_deadline_ns(io->quic), until_ns), qb_now_ns());
	wait_ns = is_busy ? 0 : qb_min_u64(wait_ns, QB_NS_PER_SEC);
	ts = (struct timespec){(time_t)(wait_ns / QB_NS_PER_SEC), (long)(wait_ns % QB_NS_PER_SEC)};
	cnt = epoll_pwait2(io->epoll_fd, evs, QB_ARRAY_LEN(evs), &ts, NULL);
	for (int k = 0; k < cnt; k++) {
		if (evs[k].data.u32 < QB_INTEROP_PORTS)
			io->port[evs[k].data.u32].is_ready = true;
	}
	for (int i = 0; i < QB_INTEROP_PORTS; i++) {
		if (io->port[i].net && io->port[i].is_ready)
			receive(io, i);
	}
}
