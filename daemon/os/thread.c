/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Worker threads: one a core, named for `top -H`, pinned before their first instruction so that
 * their memory is touched on the right node. And the eventfd by which the main thread wakes them.
 */
#include "os/os.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void *thread_main(void *p)
{
	struct qb_thread *t = p;

	t->fn(t->arg);
	return NULL;
}

int qb_thread_start(struct qb_thread *t, const char *name, int cpu, void (*fn)(void *arg),
		    void *arg)
{
	pthread_attr_t attr;
	cpu_set_t set;
	int ret;

	memset(t, 0, sizeof(*t));
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->cpu = cpu;
	t->fn = fn;
	t->arg = arg;
	if (cpu >= CPU_SETSIZE)
		return -EINVAL;
	ret = pthread_attr_init(&attr);
	if (ret)
		return -ret;
	if (cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((size_t)cpu, &set);
		ret = pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	}
	if (ret == 0)
		ret = pthread_create(&t->id, &attr, thread_main, t);
	pthread_attr_destroy(&attr);
	if (ret)
		return -ret;
	t->is_running = true;
	/* Only for people's eyes: a failure changes nothing. */
	(void)pthread_setname_np(t->id, t->name);
	return 0;
}

void qb_thread_join(struct qb_thread *t)
{
	if (!t->is_running)
		return;
	pthread_join(t->id, NULL);
	t->is_running = false;
}

static bool allowed_cpus(cpu_set_t *set)
{
	CPU_ZERO(set);
	return sched_getaffinity(0, sizeof(*set), set) == 0 && CPU_COUNT(set) > 0;
}

uint32_t qb_cpu_cnt(void)
{
	cpu_set_t set;

	return allowed_cpus(&set) ? (uint32_t)CPU_COUNT(&set) : 1;
}

int qb_cpu_nth(uint32_t idx)
{
	cpu_set_t set;

	if (!allowed_cpus(&set))
		return -1;
	idx %= (uint32_t)CPU_COUNT(&set);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET((size_t)cpu, &set) && idx-- == 0)
			return cpu;
	}
	return -1;
}

double qb_cpu_idle_s(void)
{
	FILE *f = fopen("/proc/stat", "re");
	double ticks = 0;
	char line[512];
	cpu_set_t set;

	if (!f)
		return 0;
	if (!allowed_cpus(&set))
		CPU_ZERO(&set);
	while (fgets(line, sizeof(line), f)) {
		unsigned long long idle;
		unsigned int cpu;

		/* user, nice, system, idle (proc_stat(5)) */
		if (sscanf(line, "cpu%u %*u %*u %*u %llu", &cpu, &idle) == 2 && cpu < CPU_SETSIZE &&
		    CPU_ISSET((size_t)cpu, &set))
			ticks += (double)idle;
	}
	fclose(f);
	return ticks / (double)sysconf(_SC_CLK_TCK);
}

int qb_wake_open(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void qb_wake(int fd)
{
	uint64_t one = 1;
	/* EAGAIN means that the counter is full, hence the descriptor readable: all is well. */
	ssize_t n = write(fd, &one, sizeof(one));

	(void)n;
}

void qb_wake_clear(int fd)
{
	uint64_t cnt;
	ssize_t n = read(fd, &cnt, sizeof(cnt));

	(void)n;
}
