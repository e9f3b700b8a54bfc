/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Groups of sockets that share a server port, one socket a worker, with the BPF program that picks
 * one by connection ID. Workers open their ports on their own threads, so the list of groups is the
 * one thing here that threads share; a mutex guards it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/qb_bpf.h"
#include "bpf/reuseport.skel.h"
#include "net/internal.h"

struct group {
	struct group *next;
	struct qb_addr local;
	char ifname[16];
	uint32_t member_cnt;
	struct reuseport *skel;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct group *groups;

static struct group **find_group(const struct qb_addr *local, const char *ifname)
{
	struct group **at = &groups;

	while (*at && !(qb_addr_eq(&(*at)->local, local) && strcmp((*at)->ifname, ifname) == 0))
		at = &(*at)->next;
	return at;
}

static int load_program(struct group *g, uint16_t worker_cnt)
{
	int rc;

	if (worker_cnt > QB_BPF_WORKERS_MAX)
		return -E2BIG;
	g->skel = reuseport__open();
	if (g->skel == NULL)
		return -errno;
	g->skel->rodata->worker_cnt = worker_cnt;
	g->skel->rodata->hash_seed = qb_net_steer_seed();
	rc = bpf_map__set_max_entries(g->skel->maps.socks, worker_cnt);
	if (rc == 0)
		rc = reuseport__load(g->skel);
	return rc;
}

static void free_group(struct group *g)
{
	reuseport__destroy(g->skel);
	free(g);
}

/* Makes the group and hangs its program on the socket: the kernel then asks it for the whole group.
 */
static int make_group(int fd, const struct qb_addr *local, const char *ifname, uint16_t worker_cnt,
		      struct group **out)
{
	struct group *g = calloc(1, sizeof(*g));
	int rc, prog_fd;

	if (g == NULL)
		return -ENOMEM;
	g->local = *local;
	snprintf(g->ifname, sizeof(g->ifname), "%s", ifname);
	rc = load_program(g, worker_cnt);
	if (rc)
		goto fail;
	prog_fd = bpf_program__fd(g->skel->progs.qb_reuseport_steer);
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &prog_fd, sizeof(prog_fd)) != 0) {
		rc = -errno;
		goto fail;
	}
	g->next = groups;
	groups = g;
	*out = g;
	return 0;
fail:
	free_group(g);
	return rc;
}

static void put_member(const struct qb_addr *local, const char *ifname)
{
	struct group **at = find_group(local, ifname);
	struct group *g = *at;

	if (g == NULL || --g->member_cnt > 0)
		return;
	*at = g->next;
	free_group(g);
}

int qb_reuseport_join(int fd, const struct qb_addr *local, const char *ifname, uint16_t worker,
		      uint16_t worker_cnt)
{
	struct group *g;
	uint32_t key = worker;
	uint64_t value = (uint64_t)fd;
	int rc = 0;

	pthread_mutex_lock(&lock);
	g = *find_group(local, ifname);
	if (g == NULL)
		rc = make_group(fd, local, ifname, worker_cnt, &g);
	if (rc == 0) {
		g->member_cnt++;
		rc = bpf_map__update_elem(g->skel->maps.socks, &key, sizeof(key), &value,
					  sizeof(value), BPF_ANY);
		if (rc)
			put_member(local, ifname);
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

/* The closed socket leaves the program's map by itself. */
void qb_reuseport_leave(const struct qb_addr *local, const char *ifname)
{
	pthread_mutex_lock(&lock);
	put_member(local, ifname);
	pthread_mutex_unlock(&lock);
}
