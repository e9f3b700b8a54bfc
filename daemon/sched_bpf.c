/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF schedulers. The main thread loads an object file and maps its array; a bond that has such a
 * scheduler calls run() on its worker's thread (bond/sched_plan.c), which describes the paths in
 * the worker's area, runs the program there with BPF_PROG_RUN, and reads its answer. What the
 * answer is worth is judged by the caller. It takes CAP_BPF, which the daemon keeps, so that a
 * program can be changed while it runs.
 */
#include "sched_bpf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/conf.h"
#include "include/quicbond/sched.h"
#include "net/net.h"

enum {
	VALID_US = 1000,
	VALID_MAX_US = 10000,
	VERIFIER_LOG_BYTES = 1 << 20,
	VERIFIER_WORDS = 128,
	FILE_MAX_BYTES = 4 << 20,
};

static const char prefix[] = "bpf:";
static const char map_name[] = "qbs_areas", abi_name[] = ".rodata.qbs";

_Static_assert((int)QBS_PATHS == QB_BOND_PATHS_MAX, "the table of paths");
_Static_assert((int)QBS_PICKS == QB_SCHED_PICKS_MAX && (int)QBS_MEMORY == QB_SCHED_MEMORY_WORDS,
	       "the answer");
_Static_assert((int)QBS_OVERHEAD < QB_FRAME_BYTES && sizeof(struct qbs_path) == 160, "version 1");
_Static_assert(sizeof(struct qbs_area) % QB_CACHELINE == 0, "workers do not share cache lines");

struct qb_sched_bpf {
	struct qb_sched ops; /* first: run() gets it */
	char name[sizeof(prefix) + QB_CONF_PATH_LEN];
	struct bpf_object *obj;
	int prog_fd;
	uint32_t worker_cnt;
	struct qbs_area *areas; /* one for each worker */
	size_t map_bytes;
	struct qb_sched_bpf *next;
};

/* A built-in one with a number of its own. */
struct tuned {
	struct qb_sched ops;
	char name[48];
	struct tuned *next;
};

/* One that the config names and that could not be had. */
struct missing {
	char name[QB_CONF_SCHED_LEN];
	char why[QB_SCHED_ERR_LEN];
	struct missing *next;
};

struct qb_scheds {
	struct qb_sched_bpf *list;
	struct tuned *tuned;
	struct missing *missing; /* in the config's order */
	struct missing **last;
};

/* ---- running ---- */

static void describe_path(const struct qb_path_view *v, uint64_t now_ns, bool has_owd,
			  struct qbs_path *p)
{
	if (!v->is_usable) {
		*p = (struct qbs_path){
			.generation = v->generation, .tier = v->tier, .link = v->link};
		return;
	}
	*p = (struct qbs_path){
		.flags = QBS_USABLE | (v->is_validated ? QBS_VALIDATED : 0) |
			 (v->is_far ? QBS_FAR : 0) | (has_owd ? QBS_HAS_OWD : 0),
		.generation = v->generation,
		.tier = v->tier,
		.loss_ppm = v->loss_ppm,
		.max_bytes = v->max_inner_bytes,
		.link = v->link,
		.srtt_ns = v->srtt_ns,
		.min_rtt_ns = v->min_rtt_ns,
		.rttvar_ns = v->rttvar_ns,
		.sample_age_ns = v->sample_age_ns,
		.owd_delta_ns = v->owd_delta_ns,
		.rate_bps = v->rate_bps,
		.cwnd_bytes = v->cwnd_bytes,
		.in_flight_bytes = v->in_flight_bytes,
		.budget_bytes = v->budget_bytes,
		.wait_ns = qb_sub_sat_u64(v->next_send_ns, now_ns),
		.sent_packets = v->tx_packets,
		.acked_packets = v->acked_packets,
		.lost_packets = v->lost_packets,
		.weight = v->weight,
	};
}

static void describe(const struct qb_sched_ask *ask, const uint64_t *memory, struct qbs_area *a)
{
	bool has_owd = false;

	for (uint32_t i = 0; i < ask->n; i++)
		has_owd |= ask->v[i].is_usable && ask->v[i].owd_delta_ns;
	a->abi = QBS_ABI;
	a->kind = ask->pkt->is_sparse ? QBS_SPARSE : QBS_BULK;
	a->bytes = ask->pkt->bytes;
	a->flow = ask->pkt->flow;
	a->now_ns = ask->now_ns;
	a->queued_bytes = ask->pkt->queued_bytes;
	a->waited_ns = ask->pkt->waited_ns;
	for (uint32_t i = 0; i < QBS_PATHS; i++) {
		if (i < ask->n)
			describe_path(&ask->v[i], ask->now_ns, has_owd, &a->paths[i]);
		else
			a->paths[i] = (struct qbs_path){0};
	}
	memcpy(a->memory, memory, sizeof(a->memory));
	a->valid_us = a->cnt = 0;
	memset(a->picks, 0, sizeof(a->picks));
}

static void take_answer(const struct qbs_area *a, struct qb_sched_answer *out)
{
	uint32_t valid_us = a->valid_us;

	out->cnt = a->cnt;
	out->valid_ns = (valid_us == 0 ? VALID_US : QB_MIN(valid_us, (uint32_t)VALID_MAX_US)) *
			QB_NS_PER_US;
	for (uint32_t i = 0; i < QBS_PICKS && i < out->cnt; i++) {
		uint8_t pick = a->picks[i];

		/* Whatever it was, it is no path: INT8_MAX stands for that. */
		out->pick[i] = pick == QBS_WAIT ? QB_SCHED_WAIT : (int8_t)QB_MIN(pick, INT8_MAX);
	}
}

static int run(const struct qb_sched *s, const struct qb_sched_ask *ask,
	       uint64_t memory[QB_SCHED_MEMORY_WORDS], struct qb_sched_answer *out)
{
	const struct qb_sched_bpf *p = (const struct qb_sched_bpf *)s;
	struct qbs_call call = {.area = ask->worker};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &call, .ctx_size_in = sizeof(call));
	struct qbs_area *a;

	if (ask->worker >= p->worker_cnt)
		return -EINVAL;
	a = &p->areas[ask->worker];
	describe(ask, memory, a);
	if (bpf_prog_test_run_opts(p->prog_fd, &opts) || opts.retval)
		return -EIO;
	memcpy(memory, a->memory, sizeof(a->memory));
	take_answer(a, out);
	return 0;
}

static void fault(const struct qb_sched *s, const char *what)
{
	qb_log_to(QB_LOG_BOND, QB_LOG_WARN, "scheduler %s %s; auto stands in for it", s->name,
		  what);
}

/* ---- loading ---- */

/* verdict finds the verifier's reason: the last line before what it tells of its own work. */
static void verdict(char *log, char out[VERIFIER_WORDS])
{
	static const char *const work[] = {"processed ", "verification time", "stack depth"};
	char *line, *save = NULL;

	out[0] = '\0';
	for (line = strtok_r(log, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		bool is_work = false;

		for (size_t i = 0; i < QB_ARRAY_LEN(work); i++)
			is_work |= strncmp(line, work[i], strlen(work[i])) == 0;
		if (!is_work)
			snprintf(out, VERIFIER_WORDS, "%s", line);
	}
}

/*
 * open_file opens a file that holds the word of root, or of who runs us. A program sees what the
 * kernel keeps in memory, and anybody in the control socket's group may name a file. Returns -1
 * with err.
 */
static int open_file(const char *file, struct stat *st, char err[QB_SCHED_ERR_LEN])
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *why = fd < 0 || fstat(fd, st) ? strerror(errno) : NULL;

	if (!why && !S_ISREG(st->st_mode))
		why = "no BPF object file";
	else if (!why && ((st->st_uid != 0 && st->st_uid != geteuid()) ||
			  (st->st_mode & (S_IWGRP | S_IWOTH))))
		why = "others than root may write it; give it to root";
	else if (!why && (st->st_size == 0 || st->st_size > FILE_MAX_BYTES))
		why = "no BPF object file";
	if (!why)
		return fd;
	snprintf(err, QB_SCHED_ERR_LEN, "%.160s: %s", file, why);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* read_file returns the file's bytes (malloc), or NULL with err. */
static char *read_file(const char *file, size_t *len, char err[QB_SCHED_ERR_LEN])
{
	struct stat st;
	int fd = open_file(file, &st, err);
	char *bytes = fd < 0 ? NULL : malloc((size_t)st.st_size);

	if (fd < 0)
		return NULL;
	if (!bytes || read(fd, bytes, (size_t)st.st_size) != (ssize_t)st.st_size) {
		snprintf(err, QB_SCHED_ERR_LEN, "%.160s: cannot be read", file);
		free(bytes);
		bytes = NULL;
	}
	close(fd);
	*len = (size_t)st.st_size;
	return bytes;
}

static struct bpf_object *open_object(const char *file, char *log, char err[QB_SCHED_ERR_LEN])
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "qb_sched", .kernel_log_buf = log,
		    .kernel_log_size = VERIFIER_LOG_BYTES);
	struct bpf_object *obj;
	size_t len = 0;
	char *bytes = read_file(file, &len, err);

	if (!bytes)
		return NULL;
	obj = bpf_object__open_mem(bytes, len, &opts);
	if (!obj)
		snprintf(err, QB_SCHED_ERR_LEN, "%.160s: %s", file,
			 errno == EINVAL || errno == LIBBPF_ERRNO__FORMAT ? "no BPF object file"
									  : strerror(errno));
	free(bytes);
	return obj;
}

/* check_object returns the program, or NULL with err. */
static struct bpf_program *check_object(struct bpf_object *obj, const char *file,
					char err[QB_SCHED_ERR_LEN])
{
	struct bpf_program *prog = bpf_object__next_program(obj, NULL);
	struct bpf_map *map = bpf_object__find_map_by_name(obj, map_name),
		       *abi = bpf_object__find_map_by_name(obj, abi_name);
	size_t bytes = 0;
	const void *value = abi ? bpf_map__initial_value(abi, &bytes) : NULL;
	uint32_t version = 0;

	if (!map || !value || bytes < sizeof(version)) {
		snprintf(err, QB_SCHED_ERR_LEN,
			 "%.160s: no scheduler: it has no QBS_MAP of quicbond/sched.h", file);
		return NULL;
	}
	memcpy(&version, value, sizeof(version));
	if (version != QBS_ABI) {
		snprintf(err, QB_SCHED_ERR_LEN,
			 "%.160s: made for version %u of quicbond/sched.h; this is version %u",
			 file, version, QBS_ABI);
		return NULL;
	}
	if (bpf_map__type(map) != BPF_MAP_TYPE_ARRAY || bpf_map__value_size(map) != sizeof(struct qbs_area) ||
	    !(bpf_map__map_flags(map) & BPF_F_MMAPABLE)) {
		snprintf(err, QB_SCHED_ERR_LEN, "%.160s: its map %s is another one than QBS_MAP of quicbond/sched.h makes", file,
			 map_name);
		return NULL;
	}
	if (!prog || bpf_object__next_program(obj, prog) ||
	    bpf_program__type(prog) != BPF_PROG_TYPE_SYSCALL) {
		snprintf(err, QB_SCHED_ERR_LEN,
			 "%.160s: a scheduler has one program, SEC(\"syscall\")", file);
		return NULL;
	}
	return prog;
}

static int load(struct qb_sched_bpf *p, struct bpf_program *prog, const char *file, char *log,
		char err[QB_SCHED_ERR_LEN])
{
	struct bpf_map *map = bpf_object__find_map_by_name(p->obj, map_name);
	long page = sysconf(_SC_PAGESIZE);
	char words[VERIFIER_WORDS];
	void *mem;
	int rc;

	rc = bpf_map__set_max_entries(map, p->worker_cnt);
	if (rc == 0)
		rc = bpf_object__load(p->obj);
	verdict(log, words);
	if (rc && words[0]) {
		snprintf(err, QB_SCHED_ERR_LEN, "%.100s: the kernel's verifier refuses it: %s",
			 file, words);
		return rc;
	}
	if (rc) {
		snprintf(err, QB_SCHED_ERR_LEN, "%.160s: the kernel refuses it: %s", file,
			 strerror(-rc));
		return rc;
	}
	p->prog_fd = bpf_program__fd(prog);
	p->map_bytes = (p->worker_cnt * sizeof(struct qbs_area) + (size_t)page - 1) / (size_t)page *
		       (size_t)page;
	mem = mmap(NULL, p->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (mem == MAP_FAILED) {
		rc = -errno;
		snprintf(err, QB_SCHED_ERR_LEN, "%.160s: cannot map its array: %s", file,
			 strerror(-rc));
		return rc;
	}
	p->areas = mem;
	return 0;
}

struct qb_sched_bpf *qb_sched_bpf_open(const char *file, uint32_t worker_cnt,
				       char err[QB_SCHED_ERR_LEN])
{
	struct qb_sched_bpf *p = calloc(1, sizeof(*p));
	char *log = calloc(1, VERIFIER_LOG_BYTES);
	struct bpf_program *prog = NULL;

	if (!p || !log) {
		snprintf(err, QB_SCHED_ERR_LEN, "%.160s: out of memory", file);
		goto fail;
	}
	snprintf(p->name, sizeof(p->name), "%s%s", prefix, file);
	p->ops = (struct qb_sched){.name = p->name, .run = run, .fault = fault};
	p->worker_cnt = worker_cnt;
	qb_bpf_prepare();
	p->obj = open_object(file, log, err);
	if (p->obj)
		prog = check_object(p->obj, file, err);
	if (!prog || load(p, prog, file, log, err))
		goto fail;
	free(log);
	return p;
fail:
	free(log);
	qb_sched_bpf_close(p);
	return NULL;
}

void qb_sched_bpf_close(struct qb_sched_bpf *p)
{
	if (!p)
		return;
	if (p->areas)
		munmap(p->areas, p->map_bytes);
	bpf_object__close(p->obj);
	free(p);
}

const struct qb_sched *qb_sched_bpf_ops(const struct qb_sched_bpf *p)
{
	return &p->ops;
}

/* ---- the schedulers of a config ---- */

const struct qb_sched *qb_scheds_find(const struct qb_scheds *s, const char *name)
{
	const struct qb_sched *built_in = qb_sched_find(name);

	if (built_in)
		return built_in;
	for (const struct qb_sched_bpf *p = s->list; p; p = p->next)
		if (strcmp(p->name, name) == 0)
			return &p->ops;
	for (const struct tuned *t = s->tuned; t; t = t->next)
		if (strcmp(t->name, name) == 0)
			return &t->ops;
	return NULL;
}

/* want_tuned makes a built-in one with a number of its own; without memory for it, auto does. */
static void want_tuned(struct qb_scheds *s, const char *name)
{
	struct tuned *t = calloc(1, sizeof(*t));

	if (t)
		snprintf(t->name, sizeof(t->name), "%s", name);
	if (!t || qb_sched_tune(t->name, &t->ops)) {
		free(t);
		return;
	}
	t->next = s->tuned;
	s->tuned = t;
}

const char *qb_scheds_missing(const struct qb_scheds *s, const char *name)
{
	const struct missing *m = s->missing;

	while (m && name && strcmp(m->name, name) != 0)
		m = m->next;
	return m ? m->why : NULL;
}

/* miss remembers what could not be had, and why. */
static void miss(struct qb_scheds *s, const char *name, const char *why)
{
	struct missing *m = calloc(1, sizeof(*m));

	if (!m)
		return;
	snprintf(m->name, sizeof(m->name), "%s", name);
	snprintf(m->why, sizeof(m->why), "%s", why);
	*s->last = m;
	s->last = &m->next;
}

static void want(struct qb_scheds *s, const char *name, uint32_t worker_cnt)
{
	size_t len = sizeof(prefix) - 1;
	char why[QB_SCHED_ERR_LEN] = "";
	struct qb_sched_bpf *p;

	if (qb_scheds_find(s, name) || qb_scheds_missing(s, name) || strcmp(name, "bond") == 0)
		return;
	if (strncmp(name, prefix, len) != 0) {
		want_tuned(s, name);
		return;
	}
	p = qb_sched_bpf_open(name + len, worker_cnt, why);
	if (!p) {
		miss(s, name, why);
		return;
	}
	p->next = s->list;
	s->list = p;
}

struct qb_scheds *qb_scheds_open(const struct qb_conf *c, uint32_t worker_cnt)
{
	struct qb_scheds *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->last = &s->missing;
	want(s, c->bond.scheduler, worker_cnt);
	for (uint32_t i = 0; i < c->policy_cnt; i++)
		want(s, c->policies[i].scheduler, worker_cnt);
	return s;
}

void qb_scheds_close(struct qb_scheds *s)
{
	struct qb_sched_bpf *p;
	struct missing *m;
	struct tuned *t;

	while (s && (m = s->missing)) {
		s->missing = m->next;
		free(m);
	}
	while (s && (p = s->list)) {
		s->list = p->next;
		qb_sched_bpf_close(p);
	}
	while (s && (t = s->tuned)) {
		s->tuned = t->next;
		free(t);
	}
	free(s);
}
