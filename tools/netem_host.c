/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop of quicbond-netem: read what came, hand out what is due, sleep until something is. Under
 * load it sleeps at least ROUND_NS between rounds, so that packets are handled in batches; as the
 * engine works with the kernel's arrival times and with exact virtual time, rates and delays above
 * that are not disturbed.
 */
#include "tools/netem_host.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"

enum { EVENTS_MAX = 32, ROUND_NS = 100000, BUSY_WINDOW_NS = 1000000, BUSY_PKTS = 16 };

/* ---- memory ---- */

static void *map(size_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

int qb_netem_host_open(struct qb_netem_host *h, uint32_t cap, uint32_t frame_room,
		       uint32_t l2_bytes, uint64_t seed)
{
	/* Besides what both engines hold: what is being received and sent. */
	uint32_t frame_cnt = 2 * cap + 8 * QB_NETEM_BATCH;
	size_t obj_bytes = sizeof(struct qb_netem_frame) + frame_room;

	memset(h, 0, sizeof(*h));
	h->frame_room = frame_room;
	h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (h->epoll_fd < 0)
		return -errno;
	h->engine_bytes = qb_netem_footprint(cap);
	h->frame_bytes = qb_slab_footprint(obj_bytes, frame_cnt);
	h->engine_mem[0] = map(h->engine_bytes);
	h->engine_mem[1] = map(h->engine_bytes);
	h->frame_mem = map(h->frame_bytes);
	if (!h->engine_mem[0] || !h->engine_mem[1] || !h->frame_mem) {
		qb_netem_host_close(h);
		return -ENOMEM;
	}
	qb_slab_init(&h->frames, h->frame_mem, obj_bytes, frame_cnt);
	qb_netem_link_init(&h->link, h->engine_mem, cap, seed, l2_bytes, qb_now_ns());
	return 0;
}

void qb_netem_host_close(struct qb_netem_host *h)
{
	qb_netem_link_fini(&h->link);
	for (int i = 0; i < 2; i++)
		if (h->engine_mem[i])
			munmap(h->engine_mem[i], h->engine_bytes);
	if (h->frame_mem)
		munmap(h->frame_mem, h->frame_bytes);
	if (h->epoll_fd >= 0)
		close(h->epoll_fd);
	h->epoll_fd = -1;
}

int qb_netem_host_watch(struct qb_netem_host *h, struct qb_netem_source *s)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = s};

	return epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, s->fd, &ev) ? -errno : 0;
}

struct qb_netem_frame *qb_netem_frame_get(struct qb_netem_host *h)
{
	struct qb_netem_frame *f = qb_slab_get(&h->frames);

	if (f)
		memset(f, 0, sizeof(*f));
	return f;
}

void qb_netem_frame_put(struct qb_netem_host *h, struct qb_netem_frame *f)
{
	if (f->refs)
		--*f->refs;
	qb_slab_put(&h->frames, f);
}

void qb_netem_host_offer(struct qb_netem_host *h, uint32_t dir, struct qb_netem_frame *f,
			 uint32_t len, uint64_t now_ns)
{
	if (qb_netem_enqueue(&h->link.dir[dir], f, len, now_ns))
		qb_netem_frame_put(h, f);
}

/* ---- time ---- */

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * QB_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

void qb_netem_clock_read(struct qb_netem_clock *c)
{
	uint64_t real_ns = clock_ns(CLOCK_REALTIME);

	c->now_ns = qb_now_ns();
	c->real_minus_mono_ns = (int64_t)(real_ns - c->now_ns);
}

int qb_netem_clock_stamps(int fd)
{
	return setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &(int){1}, sizeof(int)) ? -errno : 0;
}

uint64_t qb_netem_clock_arrival_ns(const struct qb_netem_clock *c, const struct msghdr *m)
{
	struct msghdr *msg = (struct msghdr *)m; /* CMSG_NXTHDR wants it so; nothing is written */
	uint64_t at_ns = c->now_ns;

	for (struct cmsghdr *cm = CMSG_FIRSTHDR(msg); cm; cm = CMSG_NXTHDR(msg, cm)) {
		struct timespec ts;

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&ts, CMSG_DATA(cm), sizeof(ts));
		at_ns = (uint64_t)ts.tv_sec * QB_NS_PER_SEC + (uint64_t)ts.tv_nsec -
			(uint64_t)c->real_minus_mono_ns;
	}
	return qb_min_u64(at_ns, c->now_ns);
}

/* ---- delivery ---- */

/* copy_frame: the engine still holds the original. NULL when all frames are in use. */
static struct qb_netem_frame *copy_frame(struct qb_netem_host *h, const struct qb_netem_frame *f)
{
	struct qb_netem_frame *copy = qb_netem_frame_get(h);

	if (!copy)
		return NULL;
	copy->vnet = f->vnet;
	copy->off = f->off;
	copy->len = f->len;
	copy->client = f->client;
	copy->refs = f->refs;
	if (copy->refs)
		++*copy->refs;
	memcpy(copy->data + f->off, f->data + f->off, f->len);
	return copy;
}

static uint32_t deliver_due(struct qb_netem_host *h, uint32_t dir, uint64_t now_ns)
{
	struct qb_netem_out out;
	uint32_t cnt = 0;

	while (qb_netem_dequeue(&h->link.dir[dir], now_ns, &out)) {
		struct qb_netem_frame *f = out.pkt;

		if (out.drop) {
			qb_netem_frame_put(h, f);
			continue;
		}
		if (out.is_copy)
			f = copy_frame(h, f);
		if (!f) {
			h->link.io_drops[dir][QB_NETEM_IO_SEND]++;
			continue;
		}
		if (out.is_late && h->mark)
			h->mark(f);
		if (out.is_corrupt)
			h->corrupt(f, h->link.dir[dir].params.corrupt_from, out.corrupt_rand);
		h->deliver(h->backend, dir, f);
		cnt++;
	}
	if (cnt)
		h->flush(h->backend, dir);
	return cnt;
}

/* ---- loop ---- */

struct pace {
	uint64_t window_ns; /* when the present window began */
	uint32_t pkts;	    /* handled in it */
	bool is_busy;
};

static void pace_count(struct pace *p, uint32_t pkts, uint64_t now_ns)
{
	p->pkts += pkts;
	if (p->pkts >= BUSY_PKTS)
		p->is_busy = true;
	if (now_ns - p->window_ns < BUSY_WINDOW_NS)
		return;
	p->is_busy = p->pkts >= BUSY_PKTS;
	p->window_ns = now_ns;
	p->pkts = 0;
}

static void sleep_until(uint64_t at_ns)
{
	struct timespec ts = {.tv_sec = (time_t)(at_ns / QB_NS_PER_SEC),
			      .tv_nsec = (long)(at_ns % QB_NS_PER_SEC)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static void wait_until(struct qb_netem_host *h, uint64_t deadline_ns)
{
	struct epoll_event ev;
	uint64_t left_ns = qb_min_u64(qb_sub_sat_u64(deadline_ns, qb_now_ns()), QB_NS_PER_SEC);
	struct timespec ts = {.tv_sec = (time_t)(left_ns / QB_NS_PER_SEC),
			      .tv_nsec = (long)(left_ns % QB_NS_PER_SEC)};

	epoll_pwait2(h->epoll_fd, &ev, 1, &ts, NULL);
}

/* read_all asks for what is readable after it has read the clock: nothing that arrived before is
 * overlooked. */
static uint32_t read_all(struct qb_netem_host *h, uint64_t now_ns)
{
	struct epoll_event ev[EVENTS_MAX];
	uint32_t pkts = 0;
	int n = epoll_wait(h->epoll_fd, ev, EVENTS_MAX, 0);

	h->horizon_ns[0] = h->horizon_ns[1] = now_ns;
	for (int i = 0; i < n; i++) {
		struct qb_netem_source *s = ev[i].data.ptr;

		pkts += s->on_ready(s, now_ns);
	}
	return pkts;
}

void qb_netem_host_run(struct qb_netem_host *h)
{
	uint64_t now_ns = qb_now_ns(), polled_ns = now_ns;
	struct pace pace = {.window_ns = now_ns};

	/* The default of 50 us would make every wait that much longer. */
	prctl(PR_SET_TIMERSLACK, 1UL);
	h->link.start_ns = now_ns;
	while (!h->is_stopping) {
		bool is_behind = false;
		uint32_t pkts;

		wait_until(h, qb_netem_link_deadline_ns(&h->link));
		now_ns = qb_now_ns();
		pkts = read_all(h, now_ns);
		qb_netem_link_run(&h->link, now_ns);
		for (uint32_t d = 0; d < 2; d++) {
			is_behind |= h->horizon_ns[d] < now_ns;
			pkts += deliver_due(h, d, h->horizon_ns[d]);
		}
		if (now_ns - polled_ns >= QB_NS_PER_SEC) {
			h->poll(h->backend, now_ns);
			polled_ns = now_ns;
		}
		pace_count(&pace, pkts, now_ns);
		if (pace.is_busy && !is_behind)
			sleep_until(now_ns + ROUND_NS);
	}
}
