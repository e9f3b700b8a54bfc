/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tracer attaches to the USDT probes of a process that runs: they are hit as often as the
 * observer of the same connections hears of it. Attached as perf does it, by uprobes at the places
 * that the notes tell. Needs root, no network.
 */
#include <check.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "quic/quic.h"
#include "tests/unit/quic_pair.h"

enum { PLACES_MAX = 64 };

struct place {
	uint64_t address;
	enum qb_trace_type type;
	int fd;
};

/* Not all: the kernel takes its time for each. */
static const enum qb_trace_type watched[] = {
	QB_TRACE_PACKET_SENT,
	QB_TRACE_PACKET_LOST,
	QB_TRACE_KEY_UPDATED,
	QB_TRACE_CONNECTION_CLOSED,
};

static struct place places[PLACES_MAX];
static uint32_t place_cnt;
static uint64_t heard[QB_TRACE_TYPE_CNT];

static void on_event(void *arg, const struct qb_trace_event *ev)
{
	(void)arg;
	heard[ev->type]++;
}

/* find_places reads the notes: what each probe is called, and where it is. */
static void find_places(void)
{
	FILE *f = popen("readelf -n /proc/$PPID/exe", "r");
	char line[512], name[64] = "";
	uint64_t address;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " Name: %63s", name) == 1 ||
		    sscanf(line, " Location: %" SCNx64, &address) != 1)
			continue;
		for (uint32_t i = 0; i < QB_ARRAY_LEN(watched); i++) {
			if (strcmp(name, qb_trace_name(watched[i])) != 0)
				continue;
			ck_assert_uint_lt(place_cnt, PLACES_MAX);
			places[place_cnt++] = (struct place){address, watched[i], -1};
		}
	}
	ck_assert_int_eq(pclose(f), 0);
	ck_assert_uint_ge(place_cnt, QB_ARRAY_LEN(watched));
}

/* file_offset is where in the program's file an address of its image is. */
static uint64_t file_offset(uint64_t address)
{
	FILE *f = fopen("/proc/self/exe", "re");
	Elf64_Ehdr eh;
	Elf64_Phdr ph;

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fread(&eh, sizeof(eh), 1, f), 1);
	ck_assert_int_eq(fseek(f, (long)eh.e_phoff, SEEK_SET), 0);
	for (int i = 0; i < eh.e_phnum; i++) {
		ck_assert_uint_eq(fread(&ph, sizeof(ph), 1, f), 1);
		if (ph.p_type == PT_LOAD && address - ph.p_vaddr < ph.p_filesz) {
			fclose(f);
			return address - ph.p_vaddr + ph.p_offset;
		}
	}
	ck_abort_msg("address %" PRIx64 " is in no segment", address);
}

static int probe_type(void)
{
	FILE *f = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	int type = -1;

	if (f && fscanf(f, "%d", &type) != 1)
		type = -1;
	if (f)
		fclose(f);
	return type;
}

static int attach(const struct place *p)
{
	char path[512];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	struct perf_event_attr attr = {
		.type = (uint32_t)probe_type(),
		.size = sizeof(attr),
		.uprobe_path = (uintptr_t)path,
		.probe_offset = file_offset(p->address),
	};

	ck_assert_int_gt(len, 0);
	path[len] = '\0';
	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static uint64_t hits(enum qb_trace_type type)
{
	uint64_t sum = 0, n;

	for (uint32_t i = 0; i < place_cnt; i++) {
		if (places[i].type != type)
			continue;
		ck_assert_int_eq(read(places[i].fd, &n, sizeof(n)), sizeof(n));
		sum += n;
	}
	return sum;
}

/* Two ends, two paths, loss, a key update, an end: nobody needs an observer for the probes, and
 * both hear the same. */
START_TEST(attached)
{
	struct qb_observer observer = {on_event, NULL};
	struct pair_opts o = pair_default_opts(1);
	struct pair *p = pair_new(&o);
	uint8_t path;

	find_places();
	for (uint32_t i = 0; i < place_cnt; i++) {
		places[i].fd = attach(&places[i]);
		ck_assert_msg(places[i].fd >= 0, "%s: %s", qb_trace_name(places[i].type),
			      strerror(errno));
	}
	for (int i = 0; i < 2; i++)
		qb_quic_set_observer(p->end[i].q, &observer);
	ck_assert_ptr_nonnull(pair_connect(p));
	ck_assert(pair_run_until(p, pair_is_up, 30 * SEC));
	pair_run(p, 200 * MS);
	path = pair_open_path(p, 1);
	p->link[1].loss = 0.05;
	for (uint32_t no = 0; no < 300; no++) {
		(void)!pair_send_dgram(p, CLIENT, no % 2 ? path : 0, no, 500);
		if (no == 100)
			qb_conn_update_key(p->end[CLIENT].conn);
		pair_run(p, 5 * MS);
	}
	ck_assert_int_eq(qb_conn_close_path(p->end[CLIENT].conn, path, 0x3e, p->now_ns), 0);
	pair_run(p, 5 * SEC);
	qb_conn_close(p->end[CLIENT].conn, 0x100, "enough", p->now_ns);
	pair_run(p, 5 * SEC);
	for (uint32_t i = 0; i < QB_ARRAY_LEN(watched); i++)
		ck_assert_msg(hits(watched[i]) == heard[watched[i]],
			      "%s: %" PRIu64 " hits, heard of %" PRIu64, qb_trace_name(watched[i]),
			      hits(watched[i]), heard[watched[i]]);
	ck_assert_uint_gt(heard[QB_TRACE_PACKET_SENT], 300);
	ck_assert_uint_gt(heard[QB_TRACE_PACKET_LOST], 2);
	ck_assert_uint_eq(heard[QB_TRACE_CONNECTION_CLOSED], 2);
	for (uint32_t i = 0; i < place_cnt; i++)
		close(places[i].fd);
	pair_free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bpf/usdt");
	TCase *tc = tcase_create("attached");
	SRunner *sr;
	int failed;

	if (geteuid() != 0 || probe_type() < 0) {
		printf("SKIP: uprobes need root, and a kernel that has them\n");
		return 77;
	}
	tcase_add_test(tc, attached);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
