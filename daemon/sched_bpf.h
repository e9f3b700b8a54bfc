/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Schedulers that are BPF programs in files, by the interface of include/quicbond/sched.h; and the
 * set of schedulers that a config names. Loading is the main thread's; a loaded one is run by all
 * workers, each in an area of its own.
 */
#pragma once

#include "bond/bond.h"

struct qb_conf;
struct qb_sched_bpf;
struct qb_scheds;

enum { QB_SCHED_ERR_LEN = 256 };

/* qb_sched_bpf_open loads a program. NULL: refused, with the file's name and the reason, or the
 * verifier's words, in err. */
struct qb_sched_bpf *qb_sched_bpf_open(const char *file, uint32_t worker_cnt,
				       char err[QB_SCHED_ERR_LEN]);
/* qb_sched_bpf_close: no bond uses it any more. */
void qb_sched_bpf_close(struct qb_sched_bpf *p);
const struct qb_sched *qb_sched_bpf_ops(const struct qb_sched_bpf *p);

/* qb_scheds_open loads all programs that a config names, anew. Those that cannot be had are left out. NULL: out of memory. */
struct qb_scheds *qb_scheds_open(const struct qb_conf *c, uint32_t worker_cnt);
/* qb_scheds_missing says why the one of that name in the config could not be had (NULL: the first that could not), with the file's
 * name; NULL: it could. */
const char *qb_scheds_missing(const struct qb_scheds *s, const char *name);
void qb_scheds_close(struct qb_scheds *s);
/* qb_scheds_find finds one by the name in the config, built-in or loaded; NULL: there is none. */
const struct qb_sched *qb_scheds_find(const struct qb_scheds *s, const char *name);
