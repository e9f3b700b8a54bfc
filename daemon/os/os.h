/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the daemon needs of the operating system beside packets: the clock, big memory, signals,
 * threads, and giving up privileges. Only the top level of the daemon calls these; the core never
 * sees them.
 */
#pragma once

#include <pthread.h>

#include "base/base.h"

/* ---- clock ---- */

/* qb_now_ns: CLOCK_MONOTONIC, the now_ns of everything. */
uint64_t qb_now_ns(void);
/* qb_wall_s: seconds since 1970, for certificates, tickets and people. */
uint64_t qb_wall_s(void);

/* ---- memory ---- */

/* One mapping between two guard pages. Zero until touched; untouched pages cost no memory. */
struct qb_pages {
	void *mem;
	size_t bytes; /* asked for, rounded up to the page size in use */
	bool is_huge;
	void *area; /* with its guards */
	size_t area_bytes;
};

enum qb_pages_flag {
	QB_PAGES_HUGE = 1 << 0, /* 2 MB pages, if the host has reserved enough of them */
	QB_PAGES_THP =
		1 << 1, /* else ask for transparent huge pages: fast, but touched in 2 MB steps */
};

/* qb_pages_map returns 0, or -errno (-ENOMEM, -EINVAL for no bytes). */
int qb_pages_map(size_t bytes, unsigned int flags, struct qb_pages *out) QB_MUST_CHECK;
/* qb_pages_unmap gives the memory back; fine on a zeroed struct. */
void qb_pages_unmap(struct qb_pages *p);

/* ---- signals ---- */

/*
 * qb_signals_open blocks SIGTERM, SIGINT and SIGHUP (call it before the first thread starts, so
 * that none gets them), ignores SIGPIPE, and returns a nonblocking descriptor that is readable when
 * one came, or -errno.
 */
int qb_signals_open(void) QB_MUST_CHECK;
/* qb_signals_read returns the next signal's number, or 0. */
int qb_signals_read(int fd);
/* qb_signals_close puts back what qb_signals_open changed. */
void qb_signals_close(int fd);

/* ---- threads ---- */

struct qb_thread {
	pthread_t id;
	char name[16];
	int cpu; /* -1: not pinned */
	void (*fn)(void *arg);
	void *arg;
	bool is_running; /* started and not joined */
};

/*
 * qb_thread_start runs fn(arg) on a thread of its own, named (15 characters are kept) and pinned to
 * a CPU (-1: any). *t stays in place until qb_thread_join. Returns 0 or -errno (-EINVAL: no such
 * CPU for us).
 */
int qb_thread_start(struct qb_thread *t, const char *name, int cpu, void (*fn)(void *arg),
		    void *arg) QB_MUST_CHECK;
void qb_thread_join(struct qb_thread *t);
/* qb_cpu_cnt: CPUs that this process may run on (taskset, cgroup cpusets); at least 1. */
uint32_t qb_cpu_cnt(void);
/* qb_cpu_nth: the number of the idx-th of them, modulo their count. */
int qb_cpu_nth(uint32_t idx);

/* qb_cpu_idle_s: how long all of them together have been idle since the system started; 0 where that is not told. */
double qb_cpu_idle_s(void);

/* A descriptor that another thread makes readable. qb_wake_open returns it or -errno. */
int qb_wake_open(void) QB_MUST_CHECK;
/* qb_wake may be called from any thread; several calls before a qb_wake_clear count once. */
void qb_wake(int fd);
void qb_wake_clear(int fd);

/* ---- privileges ---- */

/*
 * qb_privs_drop goes from root to `user` for good (NULL or "": "quicbond" if there is such a user,
 * else the present one), keeps CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_NET_BIND_SERVICE as far
 * as they are held, empties the bounding set, and sets no_new_privs. Not started as root, only
 * capabilities are trimmed. Call it on the main thread before any other starts, once devices and
 * files that need root are open. Returns 0 or -errno with why in err (-ENOENT: no such user).
 */
int qb_privs_drop(const char *user, char err[160]) QB_MUST_CHECK;
enum qb_seccomp_need {
	QB_SECCOMP_URING = 1 << 0, /* packets by io_uring, which can do more than the filter sees */
};

/*
 * qb_privs_seccomp leaves all threads with the system calls of os/seccomp.def only, with those that
 * `needs` (qb_seccomp_need) stands for; others fail with EPERM and are logged by the kernel's audit.
 * Returns 0 or -errno with why in err (-ENOSYS: the kernel has no seccomp).
 */
int qb_privs_seccomp(unsigned int needs, char err[160]) QB_MUST_CHECK;
