/* SPDX-License-Identifier: BSD-2-Clause */
/* Clock, memory, signals, threads: what needs no special rights. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"

START_TEST(clocks)
{
	uint64_t a = qb_now_ns(), b = qb_now_ns();

	ck_assert_uint_gt(a, 0);
	ck_assert_uint_ge(b, a);
	ck_assert_uint_gt(qb_wall_s(), UINT64_C(1700000000));
}
END_TEST

/* resident_kb: what the process really occupies. */
static long resident_kb(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size, resident;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%ld %ld", &size, &resident), 2);
	fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

START_TEST(pages_cost_nothing_untouched)
{
	const size_t bytes = (size_t)16 << 30;
	long before = resident_kb();
	struct qb_pages p;
	uint8_t *mem;

	ck_assert_int_eq(qb_pages_map(bytes, 0, &p), 0);
	ck_assert_uint_eq(p.bytes, bytes);
	ck_assert(!p.is_huge);
	mem = p.mem;
	mem[0] = 1;
	mem[bytes / 2] = 2;
	mem[bytes - 1] = 3;
	ck_assert_uint_eq(mem[4711], 0);
	ck_assert_int_lt(resident_kb() - before, 1024);
	qb_pages_unmap(&p);
	ck_assert_ptr_null(p.mem);
	qb_pages_unmap(&p);
}
END_TEST

/* Of what is given back only whole pages go. */
START_TEST(pages_are_discarded_whole)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct qb_pages p;
	uint8_t *mem;

	ck_assert_int_eq(qb_pages_map(4 * page, 0, &p), 0);
	mem = p.mem;
	memset(mem, 7, 4 * page);
	qb_pages_discard(mem + 1, page - 2);
	qb_pages_discard(mem + page, 0);
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_eq(mem[i * page], 7);
	qb_pages_discard(mem + 1, 3 * page);
	ck_assert_uint_eq(mem[page - 1], 7);
	ck_assert_uint_eq(mem[page], 0);
	ck_assert_uint_eq(mem[3 * page - 1], 0);
	ck_assert_uint_eq(mem[3 * page], 7);
	qb_pages_unmap(&p);
}
END_TEST

static bool faults(const uint8_t *at)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		*(volatile uint8_t *)(uintptr_t)at = 1;
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

START_TEST(pages_are_guarded)
{
	/* Huge pages or not: the promise is the same. */
	const unsigned int flags[] = {0, QB_PAGES_THP, QB_PAGES_HUGE, QB_PAGES_HUGE | QB_PAGES_THP};
	struct qb_pages p;
	uint8_t *mem;

	ck_assert_int_eq(qb_pages_map(10000, flags[_i], &p), 0);
	mem = p.mem;
	ck_assert_uint_ge(p.bytes, 10000);
	ck_assert_uint_eq((uintptr_t)mem % 4096, 0);
	memset(mem, 0xaa, p.bytes);
	ck_assert(!faults(mem));
	ck_assert(faults(mem - 1));
	ck_assert(faults(mem + p.bytes));
	qb_pages_unmap(&p);
}
END_TEST

START_TEST(pages_refuse)
{
	struct qb_pages p;

	ck_assert_int_eq(qb_pages_map(0, 0, &p), -EINVAL);
	ck_assert_int_eq(qb_pages_map(SIZE_MAX, 0, &p), -ENOMEM);
	ck_assert_int_eq(qb_pages_map(SIZE_MAX - (8 << 20), 0, &p), -ENOMEM);
	ck_assert_ptr_null(p.mem);
}
END_TEST

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

START_TEST(signals)
{
	int fd = qb_signals_open();

	ck_assert_int_ge(fd, 0);
	ck_assert(!is_readable(fd));
	ck_assert_int_eq(qb_signals_read(fd), 0);
	kill(getpid(), SIGHUP);
	ck_assert(is_readable(fd));
	ck_assert_int_eq(qb_signals_read(fd), SIGHUP);
	kill(getpid(), SIGTERM);
	kill(getpid(), SIGPIPE);
	ck_assert_int_eq(qb_signals_read(fd), SIGTERM);
	ck_assert_int_eq(qb_signals_read(fd), 0);
	qb_signals_close(fd);
}
END_TEST

struct seen {
	int cpu;
	int wake_fd;
	char name[16];
};

static void look(void *arg)
{
	struct seen *s = arg;
	struct pollfd p = {.fd = s->wake_fd, .events = POLLIN};

	/* Until the main thread has set the name. */
	poll(&p, 1, -1);
	s->cpu = sched_getcpu();
	pthread_getname_np(pthread_self(), s->name, sizeof(s->name));
}

static bool names_one(const char *name)
{
	const char *has[QB_CPU_CRYPTO_MAX];
	uint32_t cnt = qb_cpu_crypto(has);

	for (uint32_t i = 0; i < cnt; i++)
		if (!strcmp(has[i], name))
			return true;
	return false;
}

/* What the kernel says that the CPU has, we say, too. */
START_TEST(crypto_instructions)
{
	static const struct {
		const char *flag, *name;
	} flags[] = {
#ifdef __x86_64__
		{" aes ", "AES-NI"},	  {" pclmulqdq ", "PCLMULQDQ"}, {" avx ", "AVX"},   {" avx2 ", "AVX2"},
		{" avx512f ", "AVX-512"}, {" sha_ni ", "SHA-NI"},	{" vaes ", "VAES"}, {" vpclmulqdq ", "VPCLMULQDQ"},
#else
		{" aes ", "AES"}, {" pmull ", "PMULL"}, {" sha1 ", "SHA1"}, {" sha2 ", "SHA2"},
#endif
	};
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[8192];

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "flags", 5) != 0 && strncmp(line, "Features", 8) != 0)
			continue;
		line[strcspn(line, "\n")] = ' ';
		for (size_t i = 0; i < QB_ARRAY_LEN(flags); i++)
			ck_assert_msg(!strstr(line, flags[i].flag) || names_one(flags[i].name), "%s is not told", flags[i].name);
		break;
	}
	fclose(f);
	ck_assert(!names_one("SSE"));
}
END_TEST

START_TEST(threads)
{
	struct seen seen = {.cpu = -1};
	struct qb_thread t;

	ck_assert_uint_ge(qb_cpu_cnt(), 1);
	seen.wake_fd = qb_wake_open();
	ck_assert_int_ge(seen.wake_fd, 0);
	for (uint32_t i = 0; i < qb_cpu_cnt(); i++) {
		ck_assert_int_eq(qb_thread_start(&t, "qb-worker-with-a-long-name", qb_cpu_nth(i),
						 look, &seen),
				 0);
		qb_wake(seen.wake_fd);
		qb_thread_join(&t);
		qb_wake_clear(seen.wake_fd);
		ck_assert_int_eq(seen.cpu, qb_cpu_nth(i));
		ck_assert_str_eq(seen.name, "qb-worker-with-");
	}
	ck_assert_int_eq(qb_cpu_nth(qb_cpu_cnt()), qb_cpu_nth(0));
	qb_thread_join(&t);
	ck_assert_int_eq(qb_thread_start(&t, "qb", 1023, look, &seen), -EINVAL);
	ck_assert_int_eq(qb_thread_start(&t, "qb", 1 << 20, look, &seen), -EINVAL);
	qb_thread_join(&t);
	close(seen.wake_fd);
}
END_TEST

START_TEST(wake)
{
	int fd = qb_wake_open();

	ck_assert_int_ge(fd, 0);
	ck_assert(!is_readable(fd));
	qb_wake(fd);
	qb_wake(fd);
	ck_assert(is_readable(fd));
	qb_wake_clear(fd);
	ck_assert(!is_readable(fd));
	qb_wake_clear(fd);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("os");
	TCase *tc = tcase_create("os");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, clocks);
	tcase_add_test(tc, crypto_instructions);
	tcase_add_test(tc, pages_cost_nothing_untouched);
	tcase_add_test(tc, pages_are_discarded_whole);
	tcase_add_loop_test(tc, pages_are_guarded, 0, 4);
	tcase_add_test(tc, pages_refuse);
	tcase_add_test(tc, signals);
	tcase_add_test(tc, threads);
	tcase_add_test(tc, wake);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
