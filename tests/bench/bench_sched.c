/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a scheduler's decision costs: rounds of a batch, each with a fresh snapshot of four paths
 * that take some of its packets, as a flush has it. Built-in schedulers, and BPF ones named on the
 * command line as files (that needs root). CPU time of the thread, the best of several runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bond/bond.h"
#include "sched_bpf.h"

enum {
	PATHS = 4,
	PKT_BYTES = 1300,
	STEP_NS = 100 * 1000, /* between rounds */
	BEST_OF = 5,
};

static struct qb_counters counters;

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * QB_NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static void snapshot(struct qb_path_view v[PATHS], uint32_t per_path, uint64_t now_ns)
{
	for (uint32_t i = 0; i < PATHS; i++)
		v[i] = (struct qb_path_view){.is_usable = true,
					     .is_validated = true,
					     .srtt_ns = (20 + 5 * i) * QB_NS_PER_MS,
					     .min_rtt_ns = (18 + 5 * i) * QB_NS_PER_MS,
					     .rttvar_ns = QB_NS_PER_MS,
					     .cwnd_bytes = 1000000,
					     .in_flight_bytes = 400000,
					     .rate_bps = 100000000,
					     .budget_bytes = (uint64_t)per_path * (PKT_BYTES + 30),
					     .next_send_ns = now_ns,
					     .max_inner_bytes = 1400};
}

/* measure returns ns a decision, and in *picked how many found a path. */
static double measure(const struct qb_sched *s, uint32_t batch, uint32_t rounds, uint64_t *picked)
{
	_Alignas(QB_CACHELINE) uint8_t state[QB_SCHED_STATE_MAX];
	struct qb_pkt_meta pkt = {.bytes = PKT_BYTES, .queued_bytes = 1000000};
	struct qb_path_view v[PATHS];
	uint64_t now_ns = QB_NS_PER_SEC, start_ns, decisions = 0;

	qb_sched_start(s, state);
	*picked = 0;
	start_ns = cpu_ns();
	for (uint32_t r = 0; r < rounds; r++, now_ns += STEP_NS) {
		struct qb_sched_ask ask = {.v = v, .n = PATHS, .pkt = &pkt, .now_ns = now_ns};

		snapshot(v, batch / PATHS, now_ns);
		for (uint32_t i = 0; i < batch; i++, decisions++) {
			int path = qb_sched_decide(s, state, &counters, &ask);

			if (path == QB_SCHED_WAIT)
				break;
			(*picked)++;
			v[path].budget_bytes -= PKT_BYTES + 30;
		}
	}
	return (double)(cpu_ns() - start_ns) / (double)decisions;
}

static void bench(const struct qb_sched *s, const char *name, uint32_t rounds)
{
	static const uint32_t batches[] = {4, 16, 64};

	printf("%-24s", name);
	for (size_t i = 0; i < QB_ARRAY_LEN(batches); i++) {
		double best = 1e12;
		uint64_t picked = 0;

		for (int n = 0; n < BEST_OF; n++) {
			double ns = measure(s, batches[i], rounds * 64 / batches[i], &picked);

			best = ns < best ? ns : best;
		}
		if (picked == 0) {
			fprintf(stderr, "bench_sched: %s picks nothing\n", name);
			exit(1);
		}
		printf(" %9.1f", best);
	}
	putchar('\n');
}

int main(int argc, char **argv)
{
	uint32_t rounds = argc > 1 ? (uint32_t)atoi(argv[1]) : 5000;

	printf("scheduler, ns a decision, %d paths, packets a flush:\n%-24s %9d %9d %9d\n", PATHS,
	       "", 4, 16, 64);
	for (uint32_t i = 0; qb_sched_list[i]; i++)
		bench(qb_sched_list[i], qb_sched_list[i]->name, rounds);
	if (argc > 2 && geteuid() != 0)
		puts("BPF schedulers are not measured: loading them needs root");
	for (int i = 2; i < argc && geteuid() == 0; i++) {
		char err[QB_SCHED_ERR_LEN] = "";
		struct qb_sched_bpf *p = qb_sched_bpf_open(argv[i], 1, err);
		const char *name = strrchr(argv[i], '/');

		if (!p) {
			fprintf(stderr, "bench_sched: %s\n", err);
			return 1;
		}
		bench(qb_sched_bpf_ops(p), name ? name + 1 : argv[i], rounds);
		qb_sched_bpf_close(p);
	}
	return 0;
}
