/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The io_uring backend. All but receiving and sending is the UDP backend's. The receiving ring runs
 * its work when we ask (no interrupt of the worker, no lock), so it belongs to the thread that
 * reads first; it is made by another, and waits disabled until then.
 */
#include "net/uring.h"

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	BUF_CNT = 32,  /* a power of two */
	USED_MAX = 16, /* messages a read; the kernel has the other buffers meanwhile */
	GROUP = 1,
	CANCEL = 2, /* beside a family's 0 or 1: what a completion is of */
	CANCEL_TRIES = 64,
	NAME_BYTES = 32, /* an address; what follows stays aligned */
	/* What the kernel writes before the payload: lengths, address, ancillary data. */
	HEAD_BYTES = sizeof(struct io_uring_recvmsg_out) + NAME_BYTES + QB_UDP_RX_CMSG_BYTES,
	BUF_BYTES = (HEAD_BYTES + QB_UDP_SLOT_BYTES + 63) / 64 * 64,
	RX_ENTRIES = 8,
	CQ_ENTRIES = 4 * BUF_CNT,
};

struct qb_uring {
	struct io_uring rx, tx;
	int event_fd; /* of rx: its own descriptor does not wake an epoll that knew it while it was
			 disabled */
	bool has_rx, has_tx, is_enabled;
	bool has_socket[2], is_armed[2];
	struct io_uring_buf_ring *ring;
	uint8_t *bufs; /* BUF_CNT × BUF_BYTES */
	uint16_t used[USED_MAX];
	uint32_t used_cnt;
	struct msghdr form; /* how a buffer is divided */
};

/* ---- open and close ---- */

static int map(size_t bytes, void **out)
{
	*out = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (*out != MAP_FAILED)
		return 0;
	*out = NULL;
	return -errno;
}

static int init_ring(struct io_uring *ring, uint32_t entries, uint32_t flags)
{
	struct io_uring_params p = {.flags = flags | IORING_SETUP_CQSIZE, .cq_entries = CQ_ENTRIES};

	return io_uring_queue_init_params(entries, ring, &p);
}

static int init_rings(struct qb_uring *r)
{
	int rc = init_ring(&r->rx, RX_ENTRIES,
			   IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
				   IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED);

	r->has_rx = rc == 0;
	r->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (rc == 0)
		rc = r->event_fd < 0 ? -errno : io_uring_register_eventfd(&r->rx, r->event_fd);
	if (rc == 0)
		rc = init_ring(&r->tx, QB_BATCH_MAX, 0);
	r->has_tx = rc == 0 && r->has_rx;
	return rc;
}

static void give_buf(struct qb_uring *r, uint16_t id, int nth)
{
	io_uring_buf_ring_add(r->ring, r->bufs + (size_t)id * BUF_BYTES, BUF_BYTES, id,
			      io_uring_buf_ring_mask(BUF_CNT), nth);
}

static int init_bufs(struct qb_uring *r)
{
	struct io_uring_buf_reg reg = {.ring_entries = BUF_CNT, .bgid = GROUP};
	int rc = map(BUF_CNT * sizeof(struct io_uring_buf), (void **)&r->ring);

	if (rc == 0)
		rc = map((size_t)BUF_CNT * BUF_BYTES, (void **)&r->bufs);
	if (rc)
		return rc;
	reg.ring_addr = (uintptr_t)r->ring;
	rc = io_uring_register_buf_ring(&r->rx, &reg, 0);
	if (rc)
		return rc;
	io_uring_buf_ring_init(r->ring);
	for (uint16_t id = 0; id < BUF_CNT; id++)
		give_buf(r, id, id);
	io_uring_buf_ring_advance(r->ring, BUF_CNT);
	return 0;
}

int qb_uring_open(const int fd[2], struct qb_uring **out)
{
	struct qb_uring *r = calloc(1, sizeof(*r));
	int rc;

	*out = NULL;
	if (r == NULL)
		return -ENOMEM;
	r->form =
		(struct msghdr){.msg_namelen = NAME_BYTES, .msg_controllen = QB_UDP_RX_CMSG_BYTES};
	r->has_socket[0] = fd[0] >= 0;
	r->has_socket[1] = fd[1] >= 0;
	rc = init_rings(r);
	if (rc == 0)
		rc = init_bufs(r);
	if (rc == 0)
		rc = io_uring_register_files(&r->rx, fd, 2);
	if (rc == 0)
		rc = io_uring_register_files(&r->tx, fd, 2);
	if (rc) {
		qb_uring_close(r);
		return rc;
	}
	*out = r;
	return 0;
}

/*
 * A request holds its socket, and the kernel ends requests some time after their ring: until then
 * the port is taken. So they end here. From another thread than the one that reads (it has ended,
 * and they with it) this is refused.
 */
static void cancel_all(struct qb_uring *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->rx);
	struct io_uring_cqe *cqe;

	if (!r->is_enabled || sqe == NULL)
		return;
	io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
	io_uring_sqe_set_data64(sqe, CANCEL);
	if (io_uring_submit(&r->rx) < 0)
		return;
	for (uint32_t i = 0; i < CANCEL_TRIES && (r->is_armed[0] || r->is_armed[1]); i++) {
		(void)io_uring_get_events(&r->rx);
		while (io_uring_peek_cqe(&r->rx, &cqe) == 0) {
			uint64_t fam = io_uring_cqe_get_data64(cqe);

			if (fam != CANCEL && !(cqe->flags & IORING_CQE_F_MORE))
				r->is_armed[fam & 1] = false;
			io_uring_cqe_seen(&r->rx, cqe);
		}
	}
}

/* The kernel copies only in our own calls, of which there are no more. */
void qb_uring_close(struct qb_uring *r)
{
	if (r == NULL)
		return;
	if (r->has_tx) {
		(void)io_uring_unregister_files(&r->tx);
		io_uring_queue_exit(&r->tx);
	}
	if (r->has_rx) {
		cancel_all(r);
		(void)io_uring_unregister_files(&r->rx);
		io_uring_queue_exit(&r->rx);
	}
	if (r->event_fd >= 0)
		close(r->event_fd);
	if (r->ring)
		munmap(r->ring, BUF_CNT * sizeof(struct io_uring_buf));
	if (r->bufs)
		munmap(r->bufs, (size_t)BUF_CNT * BUF_BYTES);
	free(r);
}

int qb_uring_probe(void)
{
	static const int none[2] = {-1, -1};
	struct qb_uring *r;
	int rc = qb_uring_open(none, &r);

	if (rc == 0)
		qb_uring_close(r);
	return rc;
}

int qb_uring_fd(const struct qb_uring *r)
{
	return r->event_fd;
}

/* ---- receive ---- */

/* Asks for all that will ever come to a socket. */
static bool arm(struct qb_uring *r, uint32_t fam)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->rx);

	if (sqe == NULL)
		return false;
	io_uring_prep_recvmsg_multishot(sqe, (int)fam, &r->form, 0);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	io_uring_sqe_set_data64(sqe, fam);
	r->is_armed[fam] = true;
	return true;
}

/* A request ends when buffers ran out, or by an error of the socket: then there is a new one. */
static void arm_all(struct qb_uring *r)
{
	bool has_new = false;

	/* liburing 2.3 has a function for that, but does not export it. */
	if (!r->is_enabled &&
	    syscall(SYS_io_uring_register, r->rx.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0))
		return;
	r->is_enabled = true;
	for (uint32_t fam = 0; fam < 2; fam++) {
		if (r->has_socket[fam] && !r->is_armed[fam])
			has_new |= arm(r, fam);
	}
	if (has_new)
		(void)io_uring_submit(&r->rx);
	if (has_new ||
	    IO_URING_READ_ONCE(*r->rx.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW))
		(void)io_uring_get_events(&r->rx);
}

static void give_back(struct qb_uring *r)
{
	for (uint32_t i = 0; i < r->used_cnt; i++)
		give_buf(r, r->used[i], (int)i);
	if (r->used_cnt)
		io_uring_buf_ring_advance(r->ring, (int)r->used_cnt);
	r->used_cnt = 0;
}

/* Puts a message where recvmmsg() would have put it. */
static void take_message(struct qb_uring *r, struct qb_udp_rx *rx, uint16_t id, int bytes)
{
	uint8_t *buf = r->bufs + (size_t)id * BUF_BYTES;
	struct io_uring_recvmsg_out *out = io_uring_recvmsg_validate(buf, bytes, &r->form);
	uint32_t i = rx->slot_cnt;

	r->used[r->used_cnt++] = id;
	if (out == NULL)
		return;
	memset(&rx->name[i], 0, sizeof(rx->name[i]));
	memcpy(&rx->name[i], io_uring_recvmsg_name(out),
	       QB_MIN(out->namelen, (uint32_t)sizeof(rx->name[i])));
	rx->slot[i] = (struct qb_udp_slot){.scratch = io_uring_recvmsg_payload(out, &r->form)};
	rx->msg[i] = (struct mmsghdr){
		.msg_hdr = {.msg_control = (uint8_t *)(out + 1) + NAME_BYTES,
			    .msg_controllen =
				    QB_MIN(out->controllen, (uint32_t)QB_UDP_RX_CMSG_BYTES),
			    .msg_flags = (int)out->flags},
		.msg_len = io_uring_recvmsg_payload_length(out, bytes, &r->form),
	};
	rx->slot_cnt++;
}

static uint32_t read_once(struct qb_uring *r, struct qb_udp_rx *rx, uint32_t cap)
{
	struct io_uring_cqe *cqe;
	uint32_t seen = 0;

	arm_all(r);
	while (r->used_cnt < QB_MIN(cap, (uint32_t)USED_MAX) &&
	       io_uring_peek_cqe(&r->rx, &cqe) == 0) {
		if (!(cqe->flags & IORING_CQE_F_MORE))
			r->is_armed[io_uring_cqe_get_data64(cqe) & 1] = false;
		if (cqe->flags & IORING_CQE_F_BUFFER)
			take_message(r, rx, (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT),
				     cqe->res);
		io_uring_cqe_seen(&r->rx, cqe);
		seen++;
	}
	return seen;
}

/* With nothing there the event is taken back, and then looked once more: what comes from now on
 * raises it anew. */
bool qb_uring_read(struct qb_uring *r, struct qb_udp_rx *rx, uint32_t cap)
{
	eventfd_t events;

	give_back(r);
	if (read_once(r, rx, cap))
		return true;
	(void)eventfd_read(r->event_fd, &events);
	return read_once(r, rx, cap) > 0;
}

/* ---- send ---- */

void qb_uring_send(struct qb_uring *r, uint32_t fam, struct mmsghdr *msg, uint32_t cnt)
{
	struct io_uring_cqe *cqe;

	for (uint32_t i = 0; i < cnt; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&r->tx);

		msg[i].msg_len = 0;
		io_uring_prep_sendmsg(sqe, (int)fam, &msg[i].msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
		sqe->flags |= IOSQE_FIXED_FILE;
		io_uring_sqe_set_data64(sqe, i);
	}
	(void)io_uring_submit_and_wait(&r->tx, cnt);
	for (uint32_t done = 0; done < cnt && io_uring_wait_cqe(&r->tx, &cqe) == 0; done++) {
		if (cqe->res > 0)
			msg[io_uring_cqe_get_data64(cqe)].msg_len = (uint32_t)cqe->res;
		io_uring_cqe_seen(&r->tx, cqe);
	}
}
