/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The backend for one UDP service: datagrams of each client go to the upstream from a socket of its
 * own, and what comes back goes to that client. All clients share the one emulated link. Direction
 * 0 is client to upstream.
 */
#include "tools/netem_host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/hash.h"

enum {
	CLIENTS_MAX = 1024,
	BUCKETS = 1024,
	IDLE_S = 120,
	DATAGRAM_MAX = 65535,
	CMSG_ROOM = 64,
	BUF_BYTES = 16 << 20,
	ROUND_BATCHES = 4,
};

union sockaddr_any {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct proxy;

struct client {
	struct qb_netem_source source; /* the socket to the upstream; fd -1: unused */
	struct proxy *proxy;
	struct client *next; /* in its bucket */
	union sockaddr_any addr;
	socklen_t addr_len;
	uint64_t seen_ns;
	uint32_t held_cnt; /* packets that point here */
	uint32_t bucket;
};

/* A batch being received or sent. */
struct batch {
	struct mmsghdr msg[QB_NETEM_BATCH];
	struct iovec iov[QB_NETEM_BATCH];
	union sockaddr_any from[QB_NETEM_BATCH];
	char cmsg[QB_NETEM_BATCH][CMSG_ROOM] __attribute__((aligned(16)));
	struct qb_netem_frame *frame[QB_NETEM_BATCH];
	uint32_t cnt;
};

struct proxy {
	struct qb_netem_source listen; /* first */
	struct qb_netem_host *host;
	union sockaddr_any upstream;
	socklen_t upstream_len;
	uint32_t hdr_bytes[2]; /* IP and UDP headers, which the link carries too */
	struct batch rx, tx;
	struct qb_hash_key key;
	struct client clients[CLIENTS_MAX];
	struct client *buckets[BUCKETS];
};

/* ---- clients ---- */

static uint32_t bucket_of(const struct proxy *p, const union sockaddr_any *a, socklen_t len)
{
	return (uint32_t)(qb_siphash(&p->key, a, len) % BUCKETS);
}

static void client_close(struct client *c)
{
	struct client **at = &c->proxy->buckets[c->bucket];

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	close(c->source.fd);
	c->source.fd = -1;
}

/* client_slot finds an unused one, or the idlest that nothing points to. */
static struct client *client_slot(struct proxy *p)
{
	struct client *best = NULL;

	for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &p->clients[i];

		if (c->source.fd < 0)
			return c;
		if (c->held_cnt == 0 && (!best || c->seen_ns < best->seen_ns))
			best = c;
	}
	if (best)
		client_close(best);
	return best;
}

static void set_buffers(int fd)
{
	/* The limit of an unprivileged user is fine, if that is what we are. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &(int){BUF_BYTES}, sizeof(int)))
		(void)!setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){BUF_BYTES}, sizeof(int));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &(int){BUF_BYTES}, sizeof(int)))
		(void)!setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){BUF_BYTES}, sizeof(int));
}

static uint32_t client_ready(struct qb_netem_source *s, uint64_t now_ns);

static struct client *client_open(struct proxy *p, const union sockaddr_any *a, socklen_t len)
{
	struct client *c = client_slot(p);
	int fd;

	if (!c)
		return NULL;
	fd = socket(p->upstream.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return NULL;
	*c = (struct client){.source = {fd, client_ready}, .proxy = p, .addr = *a, .addr_len = len};
	set_buffers(fd);
	if (connect(fd, &p->upstream.sa, p->upstream_len) || qb_netem_clock_stamps(fd) ||
	    qb_netem_host_watch(p->host, &c->source)) {
		close(fd);
		c->source.fd = -1;
		return NULL;
	}
	c->bucket = bucket_of(p, a, len);
	c->next = p->buckets[c->bucket];
	p->buckets[c->bucket] = c;
	return c;
}

static struct client *client_find(struct proxy *p, const union sockaddr_any *a, socklen_t len)
{
	for (struct client *c = p->buckets[bucket_of(p, a, len)]; c; c = c->next)
		if (c->addr_len == len && memcmp(&c->addr, a, len) == 0)
			return c;
	return client_open(p, a, len);
}

/* ---- receive ---- */

static uint32_t batch_recv(struct proxy *p, int fd)
{
	struct batch *b = &p->rx;
	int n;

	for (uint32_t i = 0; i < QB_NETEM_BATCH; i++) {
		b->iov[i] = (struct iovec){b->frame[i]->data, p->host->frame_room};
		b->msg[i].msg_hdr = (struct msghdr){
			.msg_name = &b->from[i],
			.msg_namelen = sizeof(b->from[i]),
			.msg_iov = &b->iov[i],
			.msg_iovlen = 1,
			.msg_control = b->cmsg[i],
			.msg_controllen = CMSG_ROOM,
		};
	}
	n = recvmmsg(fd, b->msg, QB_NETEM_BATCH, MSG_DONTWAIT, NULL);
	return n > 0 ? (uint32_t)n : 0;
}

/* take moves a received datagram on to the link. Returns when it arrived. */
static uint64_t take(struct proxy *p, uint32_t i, struct client *c, uint32_t dir,
		     const struct qb_netem_clock *clock)
{
	struct qb_netem_host *h = p->host;
	struct qb_netem_frame *f = p->rx.frame[i];
	uint64_t at_ns = qb_netem_clock_arrival_ns(clock, &p->rx.msg[i].msg_hdr);
	struct qb_netem_frame *fresh = c ? qb_netem_frame_get(h) : NULL;

	if (!fresh) {
		h->link.io_drops[dir][QB_NETEM_IO_BAD]++;
		return at_ns;
	}
	p->rx.frame[i] = fresh;
	f->len = p->rx.msg[i].msg_len;
	f->client = c;
	f->refs = &c->held_cnt;
	c->held_cnt++;
	c->seen_ns = clock->now_ns;
	qb_netem_host_offer(h, dir, f, f->len + p->hdr_bytes[dir], at_ns);
	return at_ns;
}

static uint32_t listen_ready(struct qb_netem_source *s, uint64_t now_ns)
{
	struct proxy *p = QB_CONTAINER_OF(s, struct proxy, listen);
	struct qb_netem_clock clock;
	uint64_t at_ns = now_ns;
	uint32_t total = 0, n;

	for (uint32_t round = 0; round < ROUND_BATCHES; round++) {
		n = batch_recv(p, s->fd);
		qb_netem_clock_read(&clock);
		for (uint32_t i = 0; i < n; i++) {
			const struct msghdr *m = &p->rx.msg[i].msg_hdr;

			at_ns = take(p, i, client_find(p, &p->rx.from[i], m->msg_namelen), 0,
				     &clock);
		}
		total += n;
		if (n < QB_NETEM_BATCH)
			return total;
	}
	qb_netem_host_unread(p->host, 0, at_ns);
	return total;
}

static uint32_t client_ready(struct qb_netem_source *s, uint64_t now_ns)
{
	struct client *c = QB_CONTAINER_OF(s, struct client, source);
	struct qb_netem_clock clock;
	uint64_t at_ns = now_ns;
	uint32_t n;

	/* A client that was closed in this round. */
	if (s->fd < 0)
		return 0;
	n = batch_recv(c->proxy, s->fd);
	qb_netem_clock_read(&clock);
	for (uint32_t i = 0; i < n; i++)
		at_ns = take(c->proxy, i, c, 1, &clock);
	if (n == QB_NETEM_BATCH)
		qb_netem_host_unread(c->proxy->host, 1, at_ns);
	return n;
}

/* ---- send ---- */

static void send_run(struct proxy *p, uint32_t dir, int fd, uint32_t from, uint32_t to)
{
	while (from < to) {
		int n = sendmmsg(fd, p->tx.msg + from, to - from, MSG_DONTWAIT);

		if (n > 0) {
			from += (uint32_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		p->host->link.io_drops[dir][QB_NETEM_IO_SEND]++;
		from++;
	}
}

static void proxy_flush(void *backend, uint32_t dir)
{
	struct proxy *p = backend;
	struct batch *b = &p->tx;
	uint32_t from = 0;

	if (dir == 1)
		send_run(p, dir, p->listen.fd, 0, b->cnt);
	/* Upwards, runs of packets of one client go out of its socket. */
	for (uint32_t i = 1; dir == 0 && i <= b->cnt; i++) {
		struct client *c = b->frame[from]->client;

		if (i < b->cnt && b->frame[i]->client == c)
			continue;
		send_run(p, dir, c->source.fd, from, i);
		from = i;
	}
	for (uint32_t i = 0; i < b->cnt; i++)
		qb_netem_frame_put(p->host, b->frame[i]);
	b->cnt = 0;
}

static void proxy_deliver(void *backend, uint32_t dir, struct qb_netem_frame *f)
{
	struct proxy *p = backend;
	struct batch *b = &p->tx;
	struct client *c = f->client;
	uint32_t i = b->cnt++;

	b->frame[i] = f;
	b->iov[i] = (struct iovec){f->data, f->len};
	b->msg[i].msg_hdr = (struct msghdr){.msg_iov = &b->iov[i], .msg_iovlen = 1};
	if (dir == 1) {
		b->msg[i].msg_hdr.msg_name = &c->addr;
		b->msg[i].msg_hdr.msg_namelen = c->addr_len;
	}
	if (b->cnt == QB_NETEM_BATCH)
		proxy_flush(p, dir);
}

static void proxy_corrupt(struct qb_netem_frame *f, uint32_t from, uint64_t rand)
{
	uint64_t bit;

	if (f->len <= from)
		return;
	bit = rand % ((uint64_t)(f->len - from) * 8);
	f->data[from + bit / 8] ^= (uint8_t)(1 << bit % 8);
}

static void proxy_poll(void *backend, uint64_t now_ns)
{
	struct proxy *p = backend;

	for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &p->clients[i];

		if (c->source.fd >= 0 && c->held_cnt == 0 &&
		    now_ns > c->seen_ns + IDLE_S * QB_NS_PER_SEC)
			client_close(c);
	}
}

/* ---- set-up ---- */

static int parse_addr(const char *text, union sockaddr_any *out, socklen_t *len,
		      uint32_t *hdr_bytes)
{
	struct qb_addr a;

	memset(out, 0, sizeof(*out));
	if (qb_addr_parse(text, 0, &a) || a.port == 0)
		return -EINVAL;
	if (a.family == 6) {
		out->in6.sin6_family = AF_INET6;
		out->in6.sin6_port = htons(a.port);
		out->in6.sin6_scope_id = a.scope_id;
		memcpy(&out->in6.sin6_addr, a.ip, 16);
		*len = sizeof(out->in6);
		*hdr_bytes = 48;
		return 0;
	}
	out->in.sin_family = AF_INET;
	out->in.sin_port = htons(a.port);
	memcpy(&out->in.sin_addr, a.ip, 4);
	*len = sizeof(out->in);
	*hdr_bytes = 28;
	return 0;
}

static int listen_open(struct proxy *p, const union sockaddr_any *a, socklen_t len)
{
	int fd = socket(a->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	p->listen = (struct qb_netem_source){fd, listen_ready};
	if (fd < 0)
		return -errno;
	set_buffers(fd);
	if (bind(fd, &a->sa, len))
		return -errno;
	return qb_netem_clock_stamps(fd);
}

static int proxy_init(struct proxy *p, struct qb_netem_host *h, const union sockaddr_any *a,
		      socklen_t len)
{
	int ret = listen_open(p, a, len);

	p->host = h;
	for (uint32_t i = 0; i < CLIENTS_MAX; i++)
		p->clients[i].source.fd = -1;
	for (uint32_t i = 0; i < QB_NETEM_BATCH && !ret; i++)
		p->rx.frame[i] = qb_netem_frame_get(h);
	if (getrandom(&p->key, sizeof(p->key), 0) != sizeof(p->key))
		return -EIO;
	return ret ? ret : qb_netem_host_watch(h, &p->listen);
}

int qb_netem_proxy_open(struct qb_netem_host *h, const char *listen_text, const char *upstream_text,
			uint32_t cap, uint64_t seed, char err[QB_NETEM_ERR_LEN])
{
	struct proxy *p = calloc(1, sizeof(*p));
	union sockaddr_any addr;
	socklen_t len;
	int ret = -ENOMEM;

	if (!p)
		goto fail;
	ret = parse_addr(listen_text, &addr, &len, &p->hdr_bytes[1]);
	if (!ret)
		ret = parse_addr(upstream_text, &p->upstream, &p->upstream_len, &p->hdr_bytes[0]);
	if (!ret)
		ret = qb_netem_host_open(h, cap, DATAGRAM_MAX, 0, seed);
	if (ret)
		goto fail;
	/* The far side of the link decides what its packets carry in front: each direction its own.
	 */
	h->backend = p;
	h->deliver = proxy_deliver;
	h->flush = proxy_flush;
	h->corrupt = proxy_corrupt;
	h->poll = proxy_poll;
	ret = proxy_init(p, h, &addr, len);
	if (!ret)
		return 0;
	snprintf(err, QB_NETEM_ERR_LEN, "%.60s: %s", listen_text, strerror(-ret));
	qb_netem_proxy_close(h);
	return ret;
fail:
	snprintf(err, QB_NETEM_ERR_LEN, "%.60s, %.60s: %s", listen_text, upstream_text,
		 strerror(-ret));
	free(p);
	return ret;
}

void qb_netem_proxy_close(struct qb_netem_host *h)
{
	struct proxy *p = h->backend;

	if (p) {
		for (uint32_t i = 0; i < CLIENTS_MAX; i++)
			if (p->clients[i].source.fd >= 0)
				close(p->clients[i].source.fd);
		if (p->listen.fd >= 0)
			close(p->listen.fd);
		free(p);
	}
	h->backend = NULL;
	qb_netem_host_close(h);
}
