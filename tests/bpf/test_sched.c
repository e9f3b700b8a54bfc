/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF schedulers in the kernel: the samples pick what they say that they do, programs remember and
 * see what happens to packets, workers run one beside each other, and what is no scheduler is
 * refused with the reason. Needs root, but no network device.
 */
#include <check.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/log.h"
#include "bond/bond.h"
#include "conf/conf.h"
#include "sched_bpf.h"

#define MS QB_NS_PER_MS

enum { WORKERS = 3, PATHS = 3 };

static struct qb_path_view v[PATHS];
static struct qb_pkt_meta pkt;
static uint64_t memory[QB_SCHED_MEMORY_WORDS];

static char dir[32];

/*
 * object finds a program's file beside this one: "sched/x.o" of the tests, "../bpf/sched/x.bpf.o"
 * of the samples; and copies it, for it has to be root's, whoever built it.
 */
static const char *object(const char *name)
{
	static char path[PATH_MAX];
	char self[PATH_MAX / 2], cmd[2 * PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	ck_assert_int_gt(len, 0);
	self[len] = '\0';
	snprintf(path, sizeof(path), "%s/%s", dir, strrchr(name, '/') + 1);
	snprintf(cmd, sizeof(cmd), "install -m 644 %s/%s %s", dirname(self), name, path);
	ck_assert_int_eq(system(cmd), 0);
	return path;
}

static struct qb_sched_bpf *open_or_fail(const char *name)
{
	char err[QB_SCHED_ERR_LEN] = "";
	struct qb_sched_bpf *p = qb_sched_bpf_open(object(name), WORKERS, err);

	ck_assert_msg(p != NULL, "%s", err);
	return p;
}

static void setup(void)
{
	static const uint64_t rtt_ms[PATHS] = {40, 20, 21};

	snprintf(dir, sizeof(dir), "/tmp/quicbond-sched-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	memset(memory, 0, sizeof(memory));
	for (uint32_t i = 0; i < PATHS; i++)
		v[i] = (struct qb_path_view){.is_usable = true,
					     .is_validated = true,
					     .generation = i + 1,
					     .link = PATHS - i,
					     .srtt_ns = rtt_ms[i] * MS,
					     .min_rtt_ns = rtt_ms[i] * MS,
					     .cwnd_bytes = 100000,
					     .budget_bytes = 3 * 1030};
	pkt = (struct qb_pkt_meta){.bytes = 1000, .queued_bytes = 50000};
}

static void teardown(void)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	ck_assert_int_eq(system(cmd), 0);
}

/* ask returns the picks as a string: a digit a path, w for wait. */
static const char *ask(const struct qb_sched_bpf *p, uint32_t worker)
{
	static _Thread_local char text[QB_SCHED_PICKS_MAX + 1];
	const struct qb_sched *s = qb_sched_bpf_ops(p);
	struct qb_sched_ask a = {
		.v = v, .n = PATHS, .pkt = &pkt, .worker = worker, .now_ns = QB_NS_PER_SEC};
	struct qb_sched_answer answer = {0};

	ck_assert_int_eq(s->run(s, &a, memory, &answer), 0);
	ck_assert_uint_le(answer.cnt, QB_SCHED_PICKS_MAX);
	for (uint32_t i = 0; i < answer.cnt; i++)
		text[i] = answer.pick[i] == QB_SCHED_WAIT ? 'w' : (char)('0' + answer.pick[i]);
	text[answer.cnt] = '\0';
	return text;
}

START_TEST(minrtt)
{
	struct qb_sched_bpf *p = open_or_fail("../bpf/sched/minrtt.bpf.o");

	ck_assert_str_eq(ask(p, 0), "111222000w");
	/* Within a tenth: stays where it is. */
	v[0].budget_bytes = 0;
	memory[0] = 3;
	ck_assert_str_eq(ask(p, 0), "222111w");
	v[2].srtt_ns = 23 * MS;
	memory[0] = 3;
	ck_assert_str_eq(ask(p, 0), "111222w");
	v[1].is_usable = v[2].is_usable = false;
	ck_assert_str_eq(ask(p, 0), "w");
	v[0].budget_bytes = 1000000;
	ck_assert_uint_eq(strspn(ask(p, 2), "0"), QB_SCHED_PICKS_MAX);
	qb_sched_bpf_close(p);
}
END_TEST

START_TEST(fillfirst)
{
	struct qb_sched_bpf *p = open_or_fail("../bpf/sched/fillfirst.bpf.o");

	/* by the links' numbers, which are the other way round */
	ck_assert_str_eq(ask(p, 1), "222111000w");
	pkt.is_sparse = true;
	ck_assert_str_eq(ask(p, 1), "111222000w");
	v[1].max_inner_bytes = 999;
	ck_assert_str_eq(ask(p, 1), "222000w");
	qb_sched_bpf_close(p);
}
END_TEST

START_TEST(programs_learn)
{
	struct qb_sched_bpf *p = open_or_fail("sched/memory.o");

	v[1].next_send_ns = QB_NS_PER_SEC + 7 * MS;
	ck_assert_str_eq(ask(p, 0), "0");
	v[0].lost_packets = 1;
	ck_assert_str_eq(ask(p, 0), "1");
	v[1].lost_packets = v[2].lost_packets = 1;
	ck_assert_str_eq(ask(p, 0), "0");
	ck_assert_uint_eq(memory[QB_SCHED_MEMORY_WORDS - 1], 3);
	ck_assert_uint_eq(memory[QB_SCHED_MEMORY_WORDS - 2], 7 * MS);
	ck_assert_uint_eq(memory[QB_SCHED_MEMORY_WORDS - 3], 2);
	/* Another bond's memory is another one. */
	memset(memory, 0, sizeof(memory));
	ck_assert_str_eq(ask(p, 0), "w");
	ck_assert_uint_eq(memory[QB_SCHED_MEMORY_WORDS - 1], 1);
	qb_sched_bpf_close(p);
}
END_TEST

START_TEST(answers_are_bounded)
{
	struct qb_sched_bpf *p = open_or_fail("sched/memory.o");
	const struct qb_sched *s = qb_sched_bpf_ops(p);
	struct qb_sched_ask a = {.v = v, .n = PATHS, .pkt = &pkt, .now_ns = QB_NS_PER_SEC};
	struct qb_sched_answer answer;

	ck_assert_int_eq(s->run(s, &a, memory, &answer), 0);
	ck_assert_uint_eq(answer.valid_ns, 10 * MS);
	a.worker = WORKERS;
	ck_assert_int_lt(s->run(s, &a, memory, &answer), 0);
	qb_sched_bpf_close(p);
	p = open_or_fail("sched/garbage.o");
	s = qb_sched_bpf_ops(p);
	a.worker = 0;
	ck_assert_int_eq(s->run(s, &a, memory, &answer), 0);
	ck_assert_int_ge(answer.pick[0], QB_BOND_PATHS_MAX);
	qb_sched_bpf_close(p);
}
END_TEST

static struct qb_sched_bpf *shared;

static void *runner(void *arg)
{
	uint32_t worker = *(uint32_t *)arg;
	struct qb_path_view mine[PATHS];
	uint64_t own[QB_SCHED_MEMORY_WORDS] = {0};
	const struct qb_sched *s = qb_sched_bpf_ops(shared);
	struct qb_sched_ask a = {
		.v = mine, .n = PATHS, .pkt = &pkt, .worker = worker, .now_ns = QB_NS_PER_SEC};
	struct qb_sched_answer answer;

	memcpy(mine, v, sizeof(v));
	for (uint32_t i = 0; i < PATHS; i++)
		mine[i].is_usable = i == worker;
	for (int round = 0; round < 5000; round++)
		if (s->run(s, &a, own, &answer) || answer.cnt != 4 ||
		    answer.pick[0] != (int8_t)worker)
			return arg;
	return NULL;
}

/* Each in its area: nobody reads what another was asked. */
START_TEST(workers_run_side_by_side)
{
	uint32_t idx[WORKERS] = {0, 1, 2};
	pthread_t threads[WORKERS];
	void *bad;

	shared = open_or_fail("../bpf/sched/minrtt.bpf.o");
	for (int i = 0; i < WORKERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, runner, &idx[i]), 0);
	for (int i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], &bad);
		ck_assert_ptr_null(bad);
	}
	qb_sched_bpf_close(shared);
}
END_TEST

static const struct {
	const char *name, *why;
} refusals[] = {
	{"sched/refused.o", "/refused.o: the kernel's verifier refuses it: R1 invalid mem "
			    "access 'map_value_or_null'"},
	{"sched/later.o", "/later.o: made for version 2 of quicbond/sched.h; this is version 1"},
	{"sched/narrow.o", "/narrow.o: its map qbs_areas is another one than QBS_MAP of quicbond/sched.h makes"},
	{"sched/other.o", "/other.o: no scheduler: it has no QBS_MAP of quicbond/sched.h"},
	{NULL, "/none.o: No such file or directory"},
	{"../daemon/policy.o", "/policy.o: no BPF object file"},
};

START_TEST(refused)
{
	char err[QB_SCHED_ERR_LEN] = "", want[QB_SCHED_ERR_LEN];
	const char *file = refusals[_i].name ? object(refusals[_i].name) : "/none.o";

	ck_assert_ptr_null(qb_sched_bpf_open(file, WORKERS, err));
	/* registers differ by compiler */
	snprintf(want, sizeof(want), "%s", refusals[_i].why);
	for (char *p = err; (p = strstr(p, "it: R")); p += 5)
		p[5] = '1';
	ck_assert_msg(strlen(err) >= strlen(want) &&
			      strcmp(err + strlen(err) - strlen(want), want) == 0,
		      "\"%s\" is not \"%s\"", err, want);
}
END_TEST

/* Anybody in the control socket's group may name a file: only what root wrote is loaded. */
static const struct {
	uid_t uid;
	mode_t mode;
	const char *why; /* NULL: taken */
} owners[] = {
	{0, S_IFREG | 0644, NULL},
	{65534, S_IFREG | 0644, "others than root may write it; give it to root"},
	{0, S_IFREG | 0664, "others than root may write it; give it to root"},
	{0, S_IFREG | 0646, "others than root may write it; give it to root"},
	{0, S_IFIFO | 0644, "no BPF object file"}, /* nobody writes to it: there is no waiting */
	{0, S_IFCHR | 0644, "no BPF object file"},
	{0, S_IFDIR | 0755, "no BPF object file"},
	{0, 0, "no BPF object file"}, /* an empty one */
};

START_TEST(whose_file)
{
	const char *file = object("../bpf/sched/minrtt.bpf.o");
	char err[QB_SCHED_ERR_LEN] = "", want[128];
	mode_t mode = owners[_i].mode;
	struct qb_sched_bpf *p;

	if (!S_ISREG(mode)) {
		ck_assert_int_eq(unlink(file), 0);
		ck_assert_int_eq(S_ISDIR(mode)
					 ? mkdir(file, 0755)
					 : mknod(file, mode ? mode : S_IFREG | 0644, makedev(1, 5)),
				 0);
	}
	ck_assert_int_eq(chmod(file, mode & 07777), 0);
	ck_assert_int_eq(chown(file, owners[_i].uid, (gid_t)-1), 0);
	p = qb_sched_bpf_open(file, WORKERS, err);
	snprintf(want, sizeof(want), "%s: %s", file, owners[_i].why ? owners[_i].why : "");
	ck_assert_str_eq(err, owners[_i].why ? want : "");
	ck_assert((p != NULL) == (owners[_i].why == NULL));
	qb_sched_bpf_close(p);
}
END_TEST

START_TEST(a_configs_schedulers)
{
	static struct qb_conf c;
	struct qb_scheds *s;

	snprintf(c.bond.scheduler, sizeof(c.bond.scheduler), "bpf:%s",
		 object("../bpf/sched/minrtt.bpf.o"));
	snprintf(c.policies[0].scheduler, sizeof(c.policies[0].scheduler), "ecf");
	snprintf(c.policies[1].scheduler, sizeof(c.policies[1].scheduler), "bpf:%s",
		 object("sched/memory.o"));
	snprintf(c.policies[2].scheduler, sizeof(c.policies[2].scheduler), "bpf:%s",
		 object("sched/memory.o"));
	c.policy_cnt = 3;
	s = qb_scheds_open(&c, WORKERS);
	ck_assert_ptr_null(qb_scheds_missing(s, NULL));
	ck_assert_str_eq(qb_scheds_find(s, c.bond.scheduler)->name, c.bond.scheduler);
	ck_assert_str_eq(qb_scheds_find(s, "ecf")->name, "ecf");
	ck_assert_ptr_eq(qb_scheds_find(s, c.policies[1].scheduler),
			 qb_scheds_find(s, c.policies[2].scheduler));
	ck_assert_ptr_null(qb_scheds_find(s, "bpf:/none.o"));
	qb_scheds_close(s);
	/* Those that cannot be had leave the others, and each has its reason. */
	snprintf(c.bond.scheduler, sizeof(c.bond.scheduler), "bpf:/none.o");
	snprintf(c.policies[0].scheduler, sizeof(c.policies[0].scheduler), "bpf:%s", object("sched/other.o"));
	s = qb_scheds_open(&c, WORKERS);
	ck_assert_str_eq(qb_scheds_missing(s, NULL), "/none.o: No such file or directory");
	ck_assert_str_eq(qb_scheds_missing(s, c.bond.scheduler), "/none.o: No such file or directory");
	ck_assert_ptr_nonnull(strstr(qb_scheds_missing(s, c.policies[0].scheduler), "/other.o: no scheduler"));
	ck_assert_ptr_null(qb_scheds_missing(s, c.policies[1].scheduler));
	ck_assert_ptr_null(qb_scheds_find(s, c.bond.scheduler));
	ck_assert_ptr_nonnull(qb_scheds_find(s, c.policies[1].scheduler));
	qb_scheds_close(s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bpf sched");
	TCase *tc = tcase_create("sched");
	SRunner *sr;
	int failed;

	if (geteuid() != 0) {
		puts("SKIP: needs root");
		return 77;
	}
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, minrtt);
	tcase_add_test(tc, fillfirst);
	tcase_add_test(tc, programs_learn);
	tcase_add_test(tc, answers_are_bounded);
	tcase_add_test(tc, workers_run_side_by_side);
	tcase_add_loop_test(tc, refused, 0, (int)QB_ARRAY_LEN(refusals));
	tcase_add_loop_test(tc, whose_file, 0, (int)QB_ARRAY_LEN(owners));
	tcase_add_test(tc, a_configs_schedulers);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
