/* SPDX-License-Identifier: BSD-2-Clause */
/* Modems as ModemManager tells of them, over the two ends of a socket; and what is no proper
 * answer. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/base.h"
#include "link/link.h"
#include "fake_modem.h"

static sd_bus *service;
static struct qb_modems *modems;
static struct fake_modem fakes[12];
static int fake_cnt, asked;
static const char
	*other_answer; /* a type in place of the proper one; "!" an error, "" none at all */
static uint64_t now_ns;

static int on_call(sd_bus_message *call, void *arg, sd_bus_error *error)
{
	(void)arg, (void)error;
	if (!sd_bus_message_is_method_call(call, "org.freedesktop.DBus.ObjectManager",
					   "GetManagedObjects"))
		return 0;
	asked++;
	ck_assert_str_eq(sd_bus_message_get_path(call), FAKE_MM_PATH);
	ck_assert_int_eq(sd_bus_message_get_auto_start(call), 0);
	if (!other_answer)
		ck_assert_int_ge(fake_answer(call, fakes, fake_cnt), 0);
	else if (*other_answer == '!')
		sd_bus_reply_method_errorf(call, SD_BUS_ERROR_SERVICE_UNKNOWN, "no such service");
	else if (*other_answer == 's')
		sd_bus_reply_method_return(call, "s", "modems");
	else if (*other_answer == 'a')
		sd_bus_reply_method_return(call, "a{sv}", 1, "x", "u", 1);
	return 1;
}

static void setup(void)
{
	sd_id128_t id = {.bytes = {1}};
	int fds[2];

	now_ns = 100 * QB_NS_PER_SEC;
	fake_cnt = asked = 0;
	other_answer = NULL;
	memset(fakes, 0, sizeof(fakes));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	ck_assert_int_ge(sd_bus_new(&service), 0);
	ck_assert_int_ge(sd_bus_set_fd(service, fds[0], fds[0]), 0);
	ck_assert_int_ge(sd_bus_set_server(service, 1, id), 0);
	ck_assert_int_ge(sd_bus_add_filter(service, NULL, on_call, NULL), 0);
	ck_assert_int_ge(sd_bus_start(service), 0);
	modems = qb_modems_new(fds[1]);
	ck_assert_ptr_nonnull(modems);
}

static void teardown(void)
{
	qb_modems_free(modems);
	sd_bus_close_unref(service);
}

/* run: seconds go by. */
static void run(uint32_t seconds)
{
	for (uint32_t i = 0; i < seconds * 4; i++) {
		qb_modems_poll(modems, now_ns);
		while (sd_bus_process(service, NULL) > 0)
			;
		now_ns += 250 * QB_NS_PER_MS;
	}
}

START_TEST(what_there_is)
{
	const struct qb_modem *m;

	fake_cnt = 4;
	fakes[0] = (struct fake_modem){.ifname = "wwan0",
				       .technologies = 1u << 14 | 1u << 5,
				       .quality = 67,
				       .lte_rsrp = -101.4,
				       .lte_rssi = -70};
	fakes[1] = (struct fake_modem){
		.ifname = "wwan1", .technologies = 1u << 15, .quality = 0, .lte_rssi = -80.2};
	fakes[2] = (struct fake_modem){.ifname = "wwan2", .technologies = 1u << 9, .quality = 101};
	fakes[3] = (struct fake_modem){.ifname = "wwan3", .technologies = 1u << 4};
	run(5);
	m = qb_modems_find(modems, "wwan0");
	ck_assert_ptr_nonnull(m);
	ck_assert_str_eq(m->technology, "LTE");
	ck_assert(m->has_quality && m->quality_pct == 67);
	ck_assert_int_eq(m->dbm, -101);
	m = qb_modems_find(modems, "wwan1");
	ck_assert_str_eq(m->technology, "5G");
	ck_assert(m->has_quality && m->quality_pct == 0);
	ck_assert_int_eq(m->dbm, -80);
	m = qb_modems_find(modems, "wwan2");
	ck_assert_str_eq(m->technology, "3G");
	ck_assert(!m->has_quality);
	ck_assert_int_eq(m->dbm, -95);
	ck_assert_str_eq(qb_modems_find(modems, "wwan3")->technology, "2G");
	ck_assert_ptr_null(qb_modems_find(modems, "ttyUSB0"));
	ck_assert_ptr_null(qb_modems_find(modems, "eth0"));
	ck_assert_ptr_null(qb_modems_find(NULL, "wwan0"));
}
END_TEST

START_TEST(asked_calmly)
{
	fake_cnt = 1;
	fakes[0] = (struct fake_modem){.ifname = "wwan0", .technologies = 1u << 14, .quality = 10};
	run(30);
	ck_assert_int_ge(asked, 5);
	ck_assert_int_le(asked, 7);
	fakes[0].quality = 90;
	run(10);
	ck_assert_uint_eq(qb_modems_find(modems, "wwan0")->quality_pct, 90);
	/* It goes: nothing is known any more, and nobody asks often. */
	other_answer = "!";
	run(10);
	ck_assert_ptr_null(qb_modems_find(modems, "wwan0"));
	asked = 0;
	run(120);
	ck_assert_int_le(asked, 2);
	other_answer = NULL;
	run(70);
	ck_assert_ptr_nonnull(qb_modems_find(modems, "wwan0"));
}
END_TEST

START_TEST(more_than_there_is_room_for)
{
	static char names[12][8];

	fake_cnt = 12;
	for (int i = 0; i < fake_cnt; i++) {
		snprintf(names[i], sizeof(names[i]), "wwan%d", i);
		fakes[i] = (struct fake_modem){.ifname = names[i], .technologies = 1u << 14};
	}
	run(5);
	ck_assert_ptr_nonnull(qb_modems_find(modems, "wwan7"));
	ck_assert_ptr_null(qb_modems_find(modems, "wwan8"));
}
END_TEST

/* Other types than there should be, no answer, the other end gone. */
START_TEST(nonsense)
{
	static const char *const answers[] = {"!", "s", "a", ""};

	other_answer = answers[_i];
	run(200);
	ck_assert_ptr_null(qb_modems_find(modems, "wwan0"));
	ck_assert_int_ge(asked, 1);
	ck_assert_int_le(asked, 4);
}
END_TEST

START_TEST(a_property_of_another_type)
{
	fake_cnt = 2;
	fakes[0] = (struct fake_modem){.ifname = "wwan0", .technologies = 1u << 14, .quality = 10};
	fakes[1] = (struct fake_modem){.ifname = "wwan1", .is_wrong = true};
	run(5);
	/* What came before it is known. */
	ck_assert_ptr_nonnull(qb_modems_find(modems, "wwan0"));
	ck_assert_ptr_null(qb_modems_find(modems, "wwan1"));
}
END_TEST

START_TEST(the_bus_goes)
{
	fake_cnt = 1;
	fakes[0] = (struct fake_modem){.ifname = "wwan0", .technologies = 1u << 14};
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere", 1);
	run(5);
	ck_assert_ptr_nonnull(qb_modems_find(modems, "wwan0"));
	sd_bus_close(service);
	run(200);
	ck_assert_ptr_null(qb_modems_find(modems, "wwan0"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("link modem");
	TCase *tc = tcase_create("modem");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_there_is);
	tcase_add_test(tc, asked_calmly);
	tcase_add_test(tc, more_than_there_is_room_for);
	tcase_add_loop_test(tc, nonsense, 0, 4);
	tcase_add_test(tc, a_property_of_another_type);
	tcase_add_test(tc, the_bus_goes);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
