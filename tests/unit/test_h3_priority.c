/* SPDX-License-Identifier: BSD-2-Clause */
/* Priorities (RFC 9218): what a Priority Field Value says, and which streams a server sends first
 * because of it. */
#include <check.h>
#include <stdlib.h>

#include "h3/frames.h"
#include "h3/priority.h"
#include "h3/qpack.h"
#include "tests/unit/fake_conn.h"

static const struct {
	const char *text;
	uint8_t urgency;
	bool is_incremental;
} rows[] = {
	{"", 3, false},
	{"u=0", 0, false},
	{"u=7, i", 7, true},
	{"i,u=5", 5, true},
	{" u=1 ,\ti=?1 ", 1, true},
	{"i=?0", 3, false},
	{"i, i=?0", 3, false}, /* the last one counts */
	{"u=1, u=6", 6, false},
	{"u=2;x=y;z, i;q", 2, true},
	{"u=8", 3, false},
	{"u=-1", 3, false},
	{"u=33", 3, false},
	{"u=", 3, false},
	{"u", 3, false},
	{"U=1, I", 3, false},
	{"u=1.5", 3, false},
	{"i=1", 3, false},
	{"a=\"x, u=0, i\", u=4", 4, false},
	{"a=\"\\\", u=0\", i", 3, true},
	{"a=(1 2, u=0), i", 3, true},
	{"a=), u=2", 2, false},
	{"a=\"open, u=0", 3, false},
	{",,,u=2,,", 2, false},
};

START_TEST(values)
{
	size_t len = strlen(rows[_i].text);
	uint8_t *exact = malloc(len + !len);
	struct qb_h3_priority p;

	memcpy(exact, rows[_i].text, len);
	qb_h3_priority_parse(exact, len, &p);
	free(exact);
	ck_assert_msg(p.urgency == rows[_i].urgency && p.is_incremental == rows[_i].is_incremental,
		      "\"%s\": u=%u i=%d", rows[_i].text, p.urgency, p.is_incremental);
	ck_assert(p.is_given);
}
END_TEST

static struct qb_conn conn;
static struct qb_h3 *h3;

static void setup(void)
{
	static const uint8_t settings[] = {0x00, 0x04, 0x00};

	fake_init(&conn, true);
	ck_assert_int_eq(qb_h3_init(malloc(qb_h3_footprint()), &conn, true, &h3), 0);
	qb_h3_serve(h3);
	fake_rx(&conn, h3, 2, settings, sizeof(settings), false);
}

static void teardown(void)
{
	free(h3);
}

static void poll(void)
{
	struct qb_h3_event ev;

	while (qb_h3_next_event(h3, &ev))
		;
	ck_assert_uint_eq(conn.fail_code, FAKE_NO_CODE);
}

static void get(uint64_t id, const char *priority)
{
	uint8_t section[256], frame[300];
	struct qb_wr s = qb_wr_init(section, sizeof(section)), w = qb_wr_init(frame, sizeof(frame));

	qb_qpack_begin(&s);
	qb_qpack_put(&s, ":method", "GET");
	qb_qpack_put(&s, ":scheme", "https");
	qb_qpack_put(&s, ":authority", "hub");
	qb_qpack_put(&s, ":path", "/x");
	if (priority)
		qb_qpack_put(&s, "priority", priority);
	qb_wr_varint(&w, QB_H3_FRAME_HEADERS);
	qb_wr_varint(&w, (uint64_t)(s.p - section));
	qb_wr_bytes(&w, section, (size_t)(s.p - section));
	fake_rx(&conn, h3, id, frame, (size_t)(w.p - frame), true);
	poll();
}

static void update(uint64_t id, const char *priority)
{
	uint8_t frame[300];
	struct qb_wr w = qb_wr_init(frame, sizeof(frame));

	qb_wr_varint(&w, QB_H3_FRAME_PRIORITY_UPDATE_REQUEST);
	qb_wr_varint(&w, (id < 64 ? 1 : 2) + strlen(priority));
	qb_wr_varint(&w, id);
	qb_wr_bytes(&w, (const uint8_t *)priority, strlen(priority));
	fake_rx(&conn, h3, 2, frame, (size_t)(w.p - frame), false);
	poll();
}

static void check(uint64_t id, uint8_t urgency, bool is_incremental)
{
	const struct fake_stream *s = fake_find(&conn, id);

	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(s->urgency, urgency);
	ck_assert_int_eq(s->is_incremental, is_incremental);
}

START_TEST(of_responses)
{
	get(0, NULL);
	check(0, 3, false);
	get(4, "u=1, i");
	check(4, 1, true);
	/* Under way. */
	update(4, "u=6");
	check(4, 6, false);
	check(0, 3, false);
	/* Before the request, and it says more than its header. */
	update(8, "u=7");
	update(8, "u=0, i");
	get(8, "u=5");
	check(8, 0, true);
	/* Too long to be read. */
	update(4,
	       "u=1, a=\"0123456789012345678901234567890123456789012345678901234567890123456789\"");
	check(4, 6, false);
	/* What comes before anybody else: our SETTINGS. */
	check(3, QB_H3_URGENCY_CONTROL, true);
}
END_TEST

/* A flood of updates for requests that never come is bounded: the newest ones are kept. */
START_TEST(flood)
{
	for (uint64_t id = 12; id < 12 + 4 * 200; id += 4)
		update(id, "u=7");
	get(12, NULL);
	check(12, 3, false);
	get(12 + 4 * 199, NULL);
	check(12 + 4 * 199, 7, false);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("h3/priority");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, values, 0, (int)QB_ARRAY_LEN(rows));
	tcase_add_test(tc, of_responses);
	tcase_add_test(tc, flood);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
