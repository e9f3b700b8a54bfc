/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The joiner: a process of its own that keeps root's rights, and does nothing with them but to put
 * our XDP program into libxdp's dispatchers and to take it out again. It ends when the daemon
 * closes the socket or dies, and then takes out all. Should it be killed as well, the next one does
 * that: of each place there is a folder in bpffs, which a living joiner has locked.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "bpf/qb_bpf.h"
#include "bpf/xdp_steer.skel.h"
#include "net/guard.h"
#include "net/join.h"

enum { PLACES_MAX = 64 };

struct place {
	uint32_t ifindex;
	uint32_t prog_id;
	int lock_fd;
};

static struct place places[PLACES_MAX];
static uint32_t place_cnt;

static const unsigned int kept_caps[] = {CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON};

/* ---- dispatchers ---- */

/* look returns 0 where the program is in the dispatcher on the interface, -ENOENT where it is not,
 * or why that is not known. */
static int look(uint32_t ifindex, uint32_t prog_id)
{
	struct xdp_multiprog *mp = xdp_multiprog__get_from_ifindex((int)ifindex);
	struct xdp_program *p = NULL;
	int rc = (int)libxdp_get_error(mp);

	if (rc)
		return rc;
	rc = -ENOENT;
	while (rc && (p = xdp_multiprog__next_prog(p, mp)))
		rc = xdp_program__id(p) == prog_id ? 0 : -ENOENT;
	xdp_multiprog__close(mp);
	return rc;
}

static void take_out(uint32_t ifindex, uint32_t prog_id)
{
	struct xdp_program *p;

	if (look(ifindex, prog_id))
		return;
	p = xdp_program__from_id(prog_id);
	if (libxdp_get_error(p))
		return;
	(void)xdp_program__detach(p, (int)ifindex, XDP_MODE_UNSPEC, 0);
	xdp_program__close(p);
}

/* ---- marks: what is whose ---- */

/* Where everybody may write into bpffs, somebody else may have made the folder, to have programs
 * taken out. */
static bool is_ours(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

/* open_marks opens the folder of marks, locked: a mark is not seen before it is locked itself. */
static int open_marks(void)
{
	const char *root = secure_getenv("LIBXDP_BPFFS");
	char dir[256];
	int fd;

	snprintf(dir, sizeof(dir), "%s/quicbond", root ? root : "/sys/fs/bpf");
	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!is_ours(fd)) {
		close(fd);
		return -EPERM;
	}
	(void)flock(fd, LOCK_EX);
	return fd;
}

static void name_mark(char name[32], uint32_t ifindex, uint32_t prog_id)
{
	snprintf(name, 32, "%u-%u", ifindex, prog_id);
}

/* mark returns the locked folder, or -errno: then nobody takes the program out after a kill. */
static int mark(uint32_t ifindex, uint32_t prog_id)
{
	int marks = open_marks(), fd = -EIO;
	char name[32];

	if (marks < 0)
		return marks;
	name_mark(name, ifindex, prog_id);
	if (mkdirat(marks, name, 0700) == 0 || errno == EEXIST)
		fd = openat(marks, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		(void)flock(fd, LOCK_EX | LOCK_NB);
	close(marks);
	return fd;
}

static void unmark(const struct place *p)
{
	int marks = open_marks();
	char name[32];

	name_mark(name, p->ifindex, p->prog_id);
	if (marks >= 0) {
		(void)unlinkat(marks, name, AT_REMOVEDIR);
		close(marks);
	}
	if (p->lock_fd >= 0)
		close(p->lock_fd);
}

/* Whose mark nobody has locked was killed, and its joiner with it. */
static void clean_mark(int marks, const char *name)
{
	uint32_t ifindex, prog_id;
	int fd;

	if (sscanf(name, "%u-%u", &ifindex, &prog_id) != 2)
		return;
	fd = openat(marks, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		take_out(ifindex, prog_id);
		(void)unlinkat(marks, name, AT_REMOVEDIR);
	}
	close(fd);
}

static void clean_marks(void)
{
	int marks = open_marks();
	DIR *dir = marks >= 0 ? fdopendir(dup(marks)) : NULL;
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		clean_mark(marks, e->d_name);
	if (dir)
		closedir(dir);
	if (marks >= 0)
		close(marks);
}

/* ---- what the daemon asks for ---- */

static int share_guard(struct xdp_steer *s, const int *fds)
{
	struct bpf_map *const maps[QB_JOIN_GUARD_MAPS] = {
		s->maps.guard_conf,  s->maps.guard_state,  s->maps.guard_sources,
		s->maps.guard_known, s->maps.guard_blocks, s->maps.guard_counters,
	};
	int rc = 0;

	for (uint32_t k = 0; k < QB_JOIN_GUARD_MAPS && rc == 0; k++)
		rc = bpf_map__reuse_fd(maps[k], fds[k]);
	return rc;
}

/* check_dispatcher returns 0 where there is one, in that mode. */
static int check_dispatcher(const struct qb_join_request *q, struct qb_join_answer *a)
{
	struct xdp_multiprog *mp = xdp_multiprog__get_from_ifindex((int)q->ifindex);
	enum xdp_attach_mode mode;
	bool is_legacy;

	if (libxdp_get_error(mp)) {
		snprintf(a->why, sizeof(a->why), "libxdp does not know it: %s",
			 strerror((int)-libxdp_get_error(mp)));
		return -EBUSY;
	}
	is_legacy = xdp_multiprog__is_legacy(mp);
	mode = xdp_multiprog__attach_mode(mp);
	xdp_multiprog__close(mp);
	if (is_legacy)
		snprintf(a->why, sizeof(a->why), "it is not libxdp's dispatcher");
	else if ((mode == XDP_MODE_NATIVE) != q->is_native)
		snprintf(a->why, sizeof(a->why), "its dispatcher is in %s mode",
			 q->is_native ? "generic" : "native");
	else
		return 0;
	return -EBUSY;
}

static int put_in(const struct qb_join_request *q, struct xdp_steer *s, uint32_t *prog_id)
{
	struct xdp_program *p = xdp_program__from_bpf_obj(s->obj, NULL);
	int rc = (int)libxdp_get_error(p);

	if (rc)
		return rc;
	rc = xdp_program__attach(p, (int)q->ifindex, q->is_native ? XDP_MODE_NATIVE : XDP_MODE_SKB,
				 0);
	*prog_id = xdp_program__id(p);
	xdp_program__close(p);
	/* The dispatcher went away this moment, and libxdp attached us without one, for good. */
	if (rc == 0 && look(q->ifindex, *prog_id)) {
		(void)bpf_xdp_detach((int)q->ifindex, 0, NULL);
		rc = -EAGAIN;
	}
	return rc;
}

static int enter_once(const struct qb_join_request *q, const int *guard_fds, bool has_frags,
		      struct xdp_steer **out, uint32_t *prog_id)
{
	struct xdp_steer *s = qb_steer_open(&q->params, has_frags, true);
	int rc;

	if (s == NULL)
		return -errno;
	rc = q->params.is_server ? share_guard(s, guard_fds) : 0;
	if (rc == 0)
		rc = put_in(q, s, prog_id);
	if (rc == 0)
		*out = s;
	else
		xdp_steer__destroy(s);
	return rc;
}

static int enter(const struct qb_join_request *q, const int *guard_fds, struct qb_join_answer *a,
		 struct xdp_steer **out)
{
	int rc = check_dispatcher(q, a);

	if (rc)
		return rc;
	if (place_cnt == PLACES_MAX)
		return -ENOSPC;
	rc = enter_once(q, guard_fds, true, out, &a->prog_id);
	if (rc)
		rc = enter_once(q, guard_fds, false, out, &a->prog_id);
	if (rc) {
		snprintf(a->why, sizeof(a->why), "its dispatcher takes no other: %s",
			 strerror(-rc));
		return rc;
	}
	places[place_cnt++] = (struct place){
		.ifindex = q->ifindex,
		.prog_id = a->prog_id,
		.lock_fd = mark(q->ifindex, a->prog_id),
	};
	return 0;
}

static void leave(uint32_t idx)
{
	struct place p = places[idx];

	places[idx] = places[--place_cnt];
	take_out(p.ifindex, p.prog_id);
	unmark(&p);
}

static int leave_one(const struct qb_join_request *q)
{
	for (uint32_t k = 0; k < place_cnt; k++) {
		if (places[k].ifindex == q->ifindex && places[k].prog_id == q->prog_id) {
			leave(k);
			return 0;
		}
	}
	return -ENOENT;
}

static int answer_enter(int fd, const struct qb_join_request *q, const int *guard_fds)
{
	struct bpf_map *maps[QB_JOIN_MAP_CNT];
	struct qb_join_answer a = {0};
	struct xdp_steer *s = NULL;
	int fds[QB_JOIN_MAP_CNT];
	int rc;

	a.rc = enter(q, guard_fds, &a, &s);
	if (a.rc)
		return qb_join_send(fd, &a, sizeof(a), NULL, 0);
	qb_join_maps(s, maps);
	for (uint32_t k = 0; k < QB_JOIN_MAP_CNT; k++)
		fds[k] = bpf_map__fd(maps[k]);
	rc = qb_join_send(fd, &a, sizeof(a), fds, QB_JOIN_MAP_CNT);
	xdp_steer__destroy(s);
	return rc;
}

static bool is_bool(const bool *b)
{
	uint8_t byte;

	memcpy(&byte, b, sizeof(byte));
	return byte <= 1;
}

/* is_sound: somebody else may be speaking for the daemon by now. */
static bool is_sound(const struct qb_join_request *q, uint32_t fd_cnt)
{
	const struct qb_steer_params *p = &q->params;

	return is_bool(&q->is_native) && is_bool(&p->is_server) && p->worker_cnt > 0 &&
	       p->worker_cnt <= QB_BPF_WORKERS_MAX && p->queue_cnt > 0 &&
	       p->queue_cnt <= QB_NET_QUEUES_MAX &&
	       fd_cnt == (p->is_server ? QB_JOIN_GUARD_MAPS : 0U);
}

static int serve(int fd, const struct qb_join_request *q, const int *fds, uint32_t fd_cnt)
{
	struct qb_join_answer a = {0};

	if (q->verb == QB_JOIN_ENTER && is_sound(q, fd_cnt))
		return answer_enter(fd, q, fds);
	if (q->verb == QB_JOIN_LEAVE)
		a.rc = leave_one(q);
	else if (q->verb == QB_JOIN_LOOK)
		a.rc = look(q->ifindex, q->prog_id);
	else
		a.rc = -EINVAL;
	return qb_join_send(fd, &a, sizeof(a), NULL, 0);
}

/* ---- the process ---- */

static int be_quiet(enum libxdp_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

/* It stays user 0, whom bpffs belongs to, with what looking into dispatchers takes and no more. */
static bool give_up_rights(void)
{
	bool has[QB_ARRAY_LEN(kept_caps)];

	if (capng_get_caps_process())
		return false;
	for (size_t k = 0; k < QB_ARRAY_LEN(kept_caps); k++)
		has[k] = capng_have_capability(CAPNG_PERMITTED, kept_caps[k]);
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t k = 0; k < QB_ARRAY_LEN(kept_caps); k++)
		if (has[k])
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, kept_caps[k]);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)prctl(PR_SET_NAME, "quicbond-joiner", 0, 0, 0);
	return capng_apply(CAPNG_SELECT_CAPS) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

void qb_joiner_run(int fd)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
	struct qb_join_request q;
	int fds[QB_JOIN_FDS_MAX];
	uint32_t fd_cnt;
	ssize_t len;

	/* Whoever ends us all ends the daemon, and we follow it. */
	for (size_t k = 0; k < QB_ARRAY_LEN(ignored); k++)
		(void)signal(ignored[k], SIG_IGN);
	qb_bpf_prepare();
	if (!give_up_rights())
		return;
	(void)libxdp_set_print(be_quiet);
	clean_marks();
	while ((len = qb_join_recv(fd, &q, sizeof(q), fds, &fd_cnt)) > 0) {
		int rc = len == sizeof(q) ? serve(fd, &q, fds, fd_cnt) : -EPROTO;

		for (uint32_t k = 0; k < fd_cnt; k++)
			close(fds[k]);
		if (rc)
			break;
	}
	while (place_cnt)
		leave(place_cnt - 1);
}
