/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the daemon needs of the operating system beside packets: the clock, big memory, signals,
 * threads, and giving up privileges. Only the top level of the daemon calls these; the core never
 * sees them.
 */
#pragma once

#include <pthread.h>
#include <sys/types.h>

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
/* qb_pages_discard gives back the pages that lie wholly in there; they are zero from then on. */
void qb_pages_discard(void *mem, size_t bytes);

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
enum { QB_CPU_CRYPTO_MAX = 8 };
/* qb_cpu_crypto names the CPU's instructions for cryptography ("AES-NI", "VAES"; static). Returns how many. */
uint32_t qb_cpu_crypto(const char *out[QB_CPU_CRYPTO_MAX]);

/* qb_cpu_idle_s: how long all of them together have been idle since the system started; 0 where that is not told. */
double qb_cpu_idle_s(void);

/* A descriptor that another thread makes readable. qb_wake_open returns it or -errno. */
int qb_wake_open(void) QB_MUST_CHECK;
/* qb_wake may be called from any thread; several calls before a qb_wake_clear count once. */
void qb_wake(int fd);
void qb_wake_clear(int fd);

/* ---- what is kept over a restart ---- */

enum { QB_BOOT_ID_LEN = 40 };

/* A folder for files of ours; fd -1: there is none, and nothing is kept. */
struct qb_statedir {
	int fd;
};

/* qb_statedir_path is $STATE_DIRECTORY, which systemd sets (is_given), or else /var/lib/quicbond. */
const char *qb_statedir_path(bool *is_given);
/*
 * qb_statedir_open opens that folder, which it makes if it is missing, for whom qb_privs_drop(user) makes us. Call it before that.
 * Returns 0 or -errno with why in err.
 */
int qb_statedir_open(const char *user, struct qb_statedir *s, char err[160]) QB_MUST_CHECK;
void qb_statedir_close(struct qb_statedir *s);
/* qb_statedir_read returns a file's first bytes, at most cap: how many, or -errno. */
int qb_statedir_read(const struct qb_statedir *s, const char *name, void *out, size_t cap);
/* qb_statedir_write replaces a file, whole or not at all; nobody else may read it. Returns 0 or -errno. */
int qb_statedir_write(const struct qb_statedir *s, const char *name, const void *data, size_t len);
/*
 * qb_statedir_map maps a file of exactly that size: what is written there outlives the process, however it ends, but not a power
 * cut. is_new: it was made, or had another size, and is all zero. NULL: it cannot be had.
 */
void *qb_statedir_map(const struct qb_statedir *s, const char *name, size_t bytes, bool *is_new);
/* qb_statedir_unmap writes all to disk first; NULL is fine. */
void qb_statedir_unmap(void *mem, size_t bytes);
/* qb_boot_id reads what the kernel calls this boot; false, and all zero: it does not say. */
bool qb_boot_id(char out[QB_BOOT_ID_LEN]);

/* ---- privileges ---- */

/*
 * qb_privs_drop goes from root to `user` for good (NULL or "": "quicbond" if there is such a user,
 * else the present one), keeps CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_NET_BIND_SERVICE as far
 * as they are held, empties the bounding set, and sets no_new_privs. Not started as root, only
 * capabilities are trimmed. Call it on the main thread before any other starts, once devices and
 * files that need root are open. Returns 0 or -errno with why in err (-ENOENT: no such user).
 */
int qb_privs_drop(const char *user, char err[160]) QB_MUST_CHECK;
/* qb_privs_user is whom qb_privs_drop(user) makes us, or -errno. */
int qb_privs_user(const char *user, uid_t *uid, gid_t *gid) QB_MUST_CHECK;
enum qb_seccomp_need {
	QB_SECCOMP_URING = 1 << 0, /* packets by io_uring, which can do more than the filter sees */
};

/*
 * qb_privs_seccomp leaves all threads with the system calls of os/seccomp.def only, with those that
 * `needs` (qb_seccomp_need) stands for; others fail with EPERM and are logged by the kernel's audit.
 * Returns 0 or -errno with why in err (-ENOSYS: the kernel has no seccomp).
 */
int qb_privs_seccomp(unsigned int needs, char err[160]) QB_MUST_CHECK;
