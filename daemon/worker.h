/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker: one pinned thread with its node, its UDP ports, its TUN queue and its buffers. Workers share nothing but
 * rings. The main thread asks with qb_worker_call, which runs a function on the worker's thread between two rounds; a
 * worker never waits for the main thread.
 */
#pragma once

#include <semaphore.h>

#include "base/ring.h"
#include "net/net.h"
#include "node.h"
#include "os/os.h"
#include "rtable.h"
#include "stage.h"
#include "tun/tun.h"

enum {
	QB_WORKERS_MAX = 16,
	QB_PORTS_MAX = 16,
	QB_HANDOFF_CAP = 1024,
	QB_WORKER_NOTICES_CAP = 1024,
	QB_WORKER_CALLS_CAP = 16,
};

struct qb_port {
	struct qb_net *net; /* NULL: unused */
	bool is_ready;	    /* epoll said so */
	struct qb_batch out;
};

struct qb_worker {
	uint16_t idx, cnt;
	struct qb_worker *all; /* the array that this one is in */
	struct qb_thread thread;
	struct qb_pages node_mem;
	struct qb_node *node;
	struct qb_pool pool;
	struct qb_counters counters;
	struct qb_tun_queue *tun;
	bool is_tun_ready;
	struct qb_port ports[QB_PORTS_MAX];
	struct qb_rtable *rtable; /* hub; borrowed */
	int epoll_fd, wake_fd, main_wake_fd;
	bool is_stopping;
	struct qb_ring calls, notices;
	void *call_slots[QB_WORKER_CALLS_CAP], *notice_slots[QB_WORKER_NOTICES_CAP];
	struct qb_ring handoff[QB_WORKERS_MAX]; /* from each other worker */
	void *handoff_slots[QB_WORKERS_MAX][QB_HANDOFF_CAP];
	_Atomic uint64_t last_round_ns; /* for the watchdog */
	_Atomic uint64_t slept_ns;	/* in all: what is left of the time is load */
	struct qb_stages stages;
	_Atomic bool is_serving;	/* edge: its tunnel is open */
};

struct qb_worker_cfg {
	uint16_t idx, cnt;
	struct qb_worker *all;
	struct qb_depot *depot;
	struct qb_tun_queue *tun;
	int main_wake_fd;
	struct qb_node_cfg node;
	int cpu; /* -1: not pinned */
};

/* qb_worker_start builds the node and starts the thread. Returns 0 or -errno. */
int qb_worker_start(struct qb_worker *w, const struct qb_worker_cfg *cfg) QB_MUST_CHECK;
/* qb_worker_halt closes all connections politely and ends the thread. */
void qb_worker_halt(struct qb_worker *w);
/* qb_worker_stop frees everything; all workers have halted, for they hand each other buffers until then. */
void qb_worker_stop(struct qb_worker *w);
/* qb_worker_call runs fn(w, arg) on the worker's thread and returns when it has run. Main thread only. */
void qb_worker_call(struct qb_worker *w, void (*fn)(struct qb_worker *w, void *arg), void *arg);
/* qb_worker_next_notice takes a notice (free() it), or NULL. Main thread only. */
struct qb_notice *qb_worker_next_notice(struct qb_worker *w);

/* For functions that run by qb_worker_call: */
void qb_worker_add_port(struct qb_worker *w, uint32_t idx, struct qb_net *net);
/* qb_worker_del_port sends what is due, then closes the port. */
void qb_worker_del_port(struct qb_worker *w, uint32_t idx);
