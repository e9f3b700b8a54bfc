/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's side of a place in a libxdp dispatcher: starts the joiner while the daemon is still
 * root, asks it, and takes over the maps that it answers with. Main thread only.
 */
#include "net/join.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "bpf/xdp_steer.skel.h"
#include "net/guard.h"

enum {
	ANSWER_S = 15
}; /* nobody else holds libxdp's lock that long; the service manager has 30 s of patience */

_Static_assert((int)QB_JOIN_GUARD_MAPS <= QB_JOIN_FDS_MAX &&
		       (int)QB_JOIN_MAP_CNT <= QB_JOIN_FDS_MAX,
	       "all descriptors of a message");

static int joiner_fd = -1; /* -1: there is none, or it does not answer any more */
static bool was_started;

/* ---- messages ---- */

int qb_join_send(int fd, const void *msg, size_t bytes, const int *fds, uint32_t fd_cnt)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(QB_JOIN_FDS_MAX * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)msg, bytes};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd_cnt) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(fd_cnt * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, fd_cnt * sizeof(int));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(fd_cnt * sizeof(int));
	}
	return sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)bytes ? 0 : -errno;
}

ssize_t qb_join_recv(int fd, void *msg, size_t bytes, int *fds, uint32_t *fd_cnt)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(QB_JOIN_FDS_MAX * sizeof(int))];
	} control = {0};
	struct iovec iov = {msg, bytes};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	ssize_t len;

	*fd_cnt = 0;
	do {
		len = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	} while (len < 0 && errno == EINTR);
	if (len < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		*fd_cnt = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), *fd_cnt * sizeof(int));
	}
	return len;
}

static void close_all(const int *fds, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++)
		close(fds[i]);
}

/* ---- the joiner's life ---- */

/* Where libxdp has never been used since the host came up, no dispatcher is on any interface. */
static bool is_libxdp_in_use(void)
{
	const char *root = secure_getenv("LIBXDP_BPFFS");
	char dir[256];
	struct stat st;

	snprintf(dir, sizeof(dir), "%s/xdp", root ? root : "/sys/fs/bpf");
	return stat(dir, &st) == 0 && S_ISDIR(st.st_mode);
}

void qb_net_joiner_start(void)
{
	struct timeval patience = {.tv_sec = ANSWER_S};
	int pair[2];
	pid_t pid;

	if (geteuid() != 0 || !is_libxdp_in_use())
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return;
	/* It is never waited for: what it was is nobody's business once it has gone. */
	(void)signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		qb_joiner_run(pair[1]);
		_exit(0);
	}
	close(pair[1]);
	if (pid < 0) {
		qb_warn("no process for libxdp's dispatchers: %s", strerror(errno));
		close(pair[0]);
		return;
	}
	(void)setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	joiner_fd = pair[0];
	was_started = true;
}

/* Its end of the socket closes when it has given back all places. */
void qb_net_joiner_stop(void)
{
	char c;

	if (joiner_fd < 0)
		return;
	(void)shutdown(joiner_fd, SHUT_WR);
	(void)recv(joiner_fd, &c, sizeof(c), 0);
	close(joiner_fd);
	joiner_fd = -1;
}

/* An answer that comes too late would be taken for the next one's: it is the last question. */
static int ask(const struct qb_join_request *q, const int *fds, uint32_t fd_cnt,
	       struct qb_join_answer *a, int *got, uint32_t *got_cnt)
{
	ssize_t len;
	int rc;

	*got_cnt = 0;
	if (joiner_fd < 0)
		return -EOPNOTSUPP;
	rc = qb_join_send(joiner_fd, q, sizeof(*q), fds, fd_cnt);
	if (rc == 0) {
		len = qb_join_recv(joiner_fd, a, sizeof(*a), got, got_cnt);
		rc = len == sizeof(*a) ? 0 : len < 0 ? (int)len : -EPIPE;
	}
	if (rc) {
		qb_warn("libxdp's dispatchers are out of reach: %s", strerror(-rc));
		close_all(got, *got_cnt);
		close(joiner_fd);
		joiner_fd = -1;
	}
	return rc;
}

/* ---- a place ---- */

void qb_join_maps(const struct xdp_steer *s, struct bpf_map *out[QB_JOIN_MAP_CNT])
{
	out[QB_JOIN_XSKS] = s->maps.xsks;
	out[QB_JOIN_LOCALS] = s->maps.locals;
	out[QB_JOIN_COUNTERS] = s->maps.counters;
	out[QB_JOIN_PORT_BITS] = s->maps.bss;
}

/* The skeleton is never loaded here: it is the handle of maps that are. */
static int adopt_maps(struct xdp_steer *s, const int *fds)
{
	struct bpf_map *maps[QB_JOIN_MAP_CNT];
	void *bits;

	qb_join_maps(s, maps);
	for (uint32_t k = 0; k < QB_JOIN_MAP_CNT; k++) {
		int rc = bpf_map__reuse_fd(maps[k], fds[k]);

		if (rc)
			return rc;
	}
	bits = mmap(s->bss, sizeof(*s->bss), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		    bpf_map__fd(s->maps.bss), 0);
	return bits == MAP_FAILED ? -errno : 0;
}

int qb_join_enter(struct qb_net_if *i, bool is_native, char why[QB_JOIN_WHY_LEN])
{
	struct qb_join_request q = {
		.verb = QB_JOIN_ENTER,
		.ifindex = i->cfg.ifindex,
		.is_native = is_native,
		.params = qb_steer_params(i),
	};
	int fds[QB_JOIN_FDS_MAX], guard_fds[QB_JOIN_GUARD_MAPS];
	struct qb_join_answer a = {0};
	struct xdp_steer *s;
	uint32_t cnt;
	int rc;

	snprintf(why, QB_JOIN_WHY_LEN, "%s",
		 was_started ? "its dispatcher is out of reach"
			     : "libxdp was not in use at the start");
	if (i->cfg.guard)
		qb_guard_fds(i->cfg.guard, guard_fds);
	rc = ask(&q, guard_fds, i->cfg.guard ? QB_JOIN_GUARD_MAPS : 0, &a, fds, &cnt);
	if (rc)
		return rc;
	a.why[sizeof(a.why) - 1] = '\0';
	memcpy(why, a.why, sizeof(a.why));
	if (a.rc || cnt != QB_JOIN_MAP_CNT) {
		close_all(fds, cnt);
		return a.rc ? a.rc : -EPROTO;
	}
	s = xdp_steer__open();
	rc = s ? adopt_maps(s, fds) : -errno;
	close_all(fds, cnt);
	i->joined_id = a.prog_id;
	if (rc) {
		snprintf(why, QB_JOIN_WHY_LEN, "its maps: %s", strerror(-rc));
		qb_join_leave(i);
		xdp_steer__destroy(s);
		return rc;
	}
	i->skel = s;
	return 0;
}

static int ask_of(const struct qb_net_if *i, enum qb_join_verb verb)
{
	struct qb_join_request q = {
		.verb = verb, .ifindex = i->cfg.ifindex, .prog_id = i->joined_id};
	struct qb_join_answer a = {0};
	int fds[QB_JOIN_FDS_MAX], rc;
	uint32_t cnt;

	rc = ask(&q, NULL, 0, &a, fds, &cnt);
	if (rc)
		return rc;
	close_all(fds, cnt);
	return a.rc;
}

void qb_join_leave(struct qb_net_if *i)
{
	if (i->joined_id)
		(void)ask_of(i, QB_JOIN_LEAVE);
	i->joined_id = 0;
}

/* A joiner that is no more has taken the program out. */
int qb_join_look(const struct qb_net_if *i)
{
	int rc = ask_of(i, QB_JOIN_LOOK);

	return joiner_fd < 0 ? -ENOENT : rc;
}
