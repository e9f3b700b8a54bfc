/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /metrics: the text is held against the format's rules line by line, its figures against the
 * snapshot they are made of; the server in this process meets proper clients, wrong ones, and those
 * that say nothing.
 */
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "metrics/metrics.h"

enum { REPLY_MAX = 1 << 20 };

static struct qb_status fake;
static struct qb_io_status fake_io;
static int shown_cnt, fake_rc;

static int do_status(void *arg, struct qb_status *st, char *err)
{
	ck_assert_ptr_eq(arg, &fake);
	snprintf(err, QB_CTL_ERR_LEN, "out of memory");
	if (fake_rc == 0) {
		*st = fake;
		shown_cnt++;
	}
	return fake_rc;
}

static void do_status_done(void *arg, struct qb_status *st)
{
	ck_assert_ptr_eq(arg, &fake);
	ck_assert_ptr_eq(st->sites, fake.sites);
	shown_cnt--;
}

static int do_io(void *arg, struct qb_io_status *io, char *err)
{
	(void)arg, (void)err;
	*io = fake_io;
	return 0;
}

static const struct qb_ctl_verbs verbs = {
	.status = do_status, .status_done = do_status_done, .io = do_io};

static void edge(void)
{
	struct qb_link_status *l = fake.links;

	fake = (struct qb_status){
		.role = "edge", .name = "paris", .state = "bonded", .uptime_s = 12.5, .workers = 2};
	fake.hub.name[0] = 'h';
	strcpy(fake.hub.state, "connected");
	fake.link_cnt = 2;
	strcpy(l[0].name, "dsl");
	strcpy(l[0].ifname, "eth1");
	strcpy(l[0].state, "active");
	l[0].rtt_ms = 20.5;
	l[0].tx_bytes = 1234567890123;
	l[0].tx_bps = 800;
	l[0].ssthresh_bytes = UINT64_MAX;
	l[0].signal_dbm = -61;
	l[0].signal_pct_plus1 = 68;
	strcpy(l[0].kind, "mobile");
	strcpy(l[0].technology, "5G");
	l[0].loss = 0.125;
	l[0].rtt_loaded_ms = 30;
	l[0].rtt_min_ms = 20;
	fake.fec.overhead = 0.25;
	strcpy(l[1].name, "a\"b\\c\nd");
	strcpy(l[1].state, "failed");
	l[1].ssthresh_bytes = 3000;
	for (uint32_t i = 0; i < QB_COUNTER_CNT; i++)
		fake.counters.v[i] = 100 + i;
	fake_io = (struct qb_io_status){.if_cnt = 2};
	for (uint32_t i = 0; i < 2; i++) {
		struct qb_io_if *f = &fake_io.ifs[i];

		snprintf(f->ifname, sizeof(f->ifname), "eth%u", i);
		f->sockets = (struct qb_figures){.f = {{"drops", 7 + i}, {"rx_buffer_bytes", 4096}},
						 .cnt = 2};
	}
	fake_io.ifs[1].queue_cnt = 2;
	for (uint32_t q = 0; q < 2; q++)
		fake_io.ifs[1].queues[q] =
			(struct qb_figures){.f = {{"rx_dropped", q}, {"fill_level", 9}}, .cnt = 2};
	fake_io.ifs[1].program = (struct qb_figures){.f = {{"xdp_steered_short", 5}}, .cnt = 1};
	fake_io.guard = (struct qb_figures){.f = {{"guard_drop_cid", 3}}, .cnt = 1};
	fake_io.stages[0] = (struct qb_io_stage){.name = "seal", .packets = 10, .ns = 5000000000};
	fake_io.stage_cnt = 1;
}

static void hub(void)
{
	static struct qb_site_status sites[2];

	memset(sites, 0, sizeof(sites));
	fake = (struct qb_status){
		.role = "hub", .name = "fra", .state = "serving", .sites = sites, .site_cnt = 2};
	strcpy(sites[0].name, "paris");
	strcpy(sites[0].state, "connected");
	sites[0].loaded_queue_ms = 12.5;
	sites[0].link_cnt = 1;
	strcpy(sites[0].links[0].name, "path0");
	strcpy(sites[0].links[0].state, "standby");
	strcpy(sites[1].name, "rome");
	strcpy(sites[1].state, "down");
	fake_io = (struct qb_io_status){.if_cnt = 0};
}

/* ---- the text ---- */

static bool is_name(const char *s, size_t len)
{
	return len > 9 && strncmp(s, "quicbond_", 9) == 0 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") >= len;
}

/* sample_name checks a line's labels and value, and returns how long its name is. */
static size_t check_sample(const char *line)
{
	size_t name_len = strcspn(line, "{ ");
	const char *p = line + name_len;
	char *end;

	ck_assert_msg(is_name(line, name_len), "%s", line);
	if (*p == '{') {
		do {
			size_t n = strspn(++p, "abcdefghijklmnopqrstuvwxyz_");

			ck_assert_msg(n && p[n] == '=' && p[n + 1] == '"', "%s", line);
			for (p += n + 2; *p && *p != '"'; p++)
				if (*p == '\\') {
					p++;
					ck_assert_msg(*p && strchr("\\\"n", *p), "%s", line);
				}
			ck_assert_msg(*p == '"', "%s", line);
			p++;
		} while (*p == ',');
		ck_assert_msg(*p++ == '}', "%s", line);
	}
	ck_assert_msg(*p == ' ', "%s", line);
	strtod(p + 1, &end);
	ck_assert_msg(end > p + 1 && *end == '\0', "%s", line);
	return name_len;
}

/* check_text holds the whole against the format: HELP, TYPE, then all of a family's samples, no
 * family and no sample twice. */
static uint32_t check_text(const char *text)
{
	char *copy = strdup(text), *save = NULL, family[96] = "", type[16] = "";
	static char seen_families[512][96];
	static const char *seen[8192];
	uint32_t family_cnt = 0, cnt = 0;

	ck_assert_msg(text[0] && text[strlen(text) - 1] == '\n', "the last line has an end");
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		size_t len, id_len;

		if (strncmp(line, "# HELP ", 7) == 0) {
			ck_assert(sscanf(line + 7, "%95s", family) == 1);
			ck_assert_msg(strlen(line) > 7 + strlen(family) + 1, "%s: no help", line);
			for (uint32_t i = 0; i < family_cnt; i++)
				ck_assert_msg(strcmp(seen_families[i], family) != 0, "%s twice",
					      family);
			ck_assert(family_cnt < 512);
			strcpy(seen_families[family_cnt++], family);
			continue;
		}
		if (strncmp(line, "# TYPE ", 7) == 0) {
			char name[96];

			ck_assert(sscanf(line + 7, "%95s %15s", name, type) == 2);
			ck_assert_str_eq(name, family);
			ck_assert_msg(strcmp(type, "counter") ||
					      strcmp(family + strlen(family) - 6, "_total") == 0,
				      "%s", line);
			continue;
		}
		len = check_sample(line);
		if (strcmp(type, "histogram") == 0) {
			ck_assert_msg(strncmp(line, family, strlen(family)) == 0, "%s in %s", line,
				      family);
		} else {
			ck_assert_msg(len == strlen(family) && strncmp(line, family, len) == 0,
				      "%s in %s", line, family);
		}
		id_len = (size_t)(strrchr(line, ' ') - line);
		for (uint32_t i = 0; i < cnt; i++)
			ck_assert_msg(strncmp(seen[i], line, id_len + 1) != 0, "twice: %s", line);
		ck_assert(cnt < 8192);
		seen[cnt++] = line;
	}
	free(copy);
	return cnt;
}

static char *text_of(void)
{
	size_t len = 0;
	char *text = qb_metrics_text(&fake, &fake_io, &len);

	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(len, strlen(text));
	return text;
}

static void has(const char *text, const char *line)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "\n%s\n", line);
	ck_assert_msg(strstr(text, whole) != NULL, "no line \"%s\" in:\n%.3000s", line, text);
}

static void has_number(const char *text, const char *name, unsigned int value)
{
	char line[128];

	snprintf(line, sizeof(line), "%s %u", name, value);
	has(text, line);
}

START_TEST(of_an_edge)
{
	char *text;

	edge();
	text = text_of();
	ck_assert_uint_gt(check_text(text), QB_COUNTER_CNT + 2 * 30);
	has(text, "quicbond_info{role=\"edge\",name=\"paris\",state=\"bonded\",scheduler=\"\"} 1");
	has(text, "quicbond_uptime_seconds 12.5");
	has(text, "quicbond_hub_up{hub=\"h\"} 1");
	has(text, "quicbond_bond_state{state=\"bonded\"} 1");
	has(text, "quicbond_bond_state{state=\"degraded\"} 0");
	has(text, "quicbond_bond_links{state=\"active\"} 1");
	has(text, "quicbond_bond_links{state=\"failed\"} 1");
	has(text, "quicbond_bond_links{state=\"standby\"} 0");
	has(text, "quicbond_bond_rtt_under_load_seconds 0.01");
	has(text, "quicbond_bond_fec_overhead_ratio 0.25");
	has_number(text, "quicbond_bond_failovers_total", 100 + QB_CNT_FAILOVERS);
	has_number(text, "quicbond_bond_migrations_total", 100 + QB_CNT_PATH_MOVES);
	has_number(text, "quicbond_bond_reordered_packets_total", 100 + QB_CNT_REORDER_HELD);
	has(text, "quicbond_path_up{link=\"dsl\"} 1");
	has(text, "quicbond_path_up{link=\"a\\\"b\\\\c\\nd\"} 0");
	has(text, "quicbond_path_rtt_seconds{link=\"dsl\"} 0.0205");
	has(text, "quicbond_path_loss_ratio{link=\"dsl\"} 0.125");
	has(text, "quicbond_path_bytes_total{link=\"dsl\",direction=\"tx\"} 1234567890123");
	has(text, "quicbond_path_rate_bytes_per_second{link=\"dsl\",direction=\"tx\"} 100");
	has(text, "quicbond_path_signal_dbm{link=\"dsl\"} -61");
	has(text, "quicbond_path_signal_ratio{link=\"dsl\"} 0.67");
	ck_assert_ptr_null(strstr(text, "quicbond_path_signal_ratio{link=\"a"));
	has(text, "quicbond_path_info{link=\"dsl\",interface=\"eth1\",kind=\"mobile\",technology=\"5G\",state=\"active\",tier=\"\",io=\"\",congestion=\"\"} 1");
	has(text, "quicbond_path_slow_start_threshold_bytes{link=\"a\\\"b\\\\c\\nd\"} 3000");
	ck_assert_ptr_null(strstr(text, "slow_start_threshold_bytes{link=\"dsl\""));
	ck_assert_ptr_null(strstr(text, "quicbond_site_"));
	has(text, "quicbond_socket_drops_total{interface=\"eth0\"} 7");
	has(text, "quicbond_socket_rx_buffer_bytes{interface=\"eth1\"} 4096");
	has(text, "quicbond_queue_rx_dropped_total{interface=\"eth1\",queue=\"1\"} 1");
	has(text, "quicbond_queue_fill_level{interface=\"eth1\",queue=\"0\"} 9");
	has(text, "quicbond_xdp_frames_total{interface=\"eth1\",verdict=\"steered_short\"} 5");
	has(text, "quicbond_guard_packets_total{verdict=\"drop_cid\"} 3");
	has(text, "quicbond_stage_seconds_total{stage=\"seal\"} 5");
	free(text);
}
END_TEST

START_TEST(of_a_hub)
{
	char *text;

	hub();
	text = text_of();
	check_text(text);
	has(text, "quicbond_site_up{site=\"paris\"} 1");
	has(text, "quicbond_site_up{site=\"rome\"} 0");
	has(text, "quicbond_site_loaded_queue_seconds{site=\"paris\"} 0.0125");
	has(text, "quicbond_bond_links{state=\"standby\"} 1");
	ck_assert_ptr_null(strstr(text, "quicbond_bond_state"));
	has(text, "quicbond_path_up{site=\"paris\",link=\"path0\"} 1");
	has(text, "quicbond_path_packets_total{site=\"paris\",link=\"path0\",direction=\"rx\"} 0");
	ck_assert_ptr_null(strstr(text, "quicbond_hub_up"));
	ck_assert_ptr_null(strstr(text, "quicbond_guard_attack"));
	free(text);
	fake.guard.is_there = fake.guard.is_attacked = true;
	fake.guard.attacks = 3;
	text = text_of();
	check_text(text);
	has(text, "quicbond_guard_attack_mode 1");
	has(text, "quicbond_guard_attacks_total 3");
	free(text);
}
END_TEST

/* Each counter is there: by its name, or in a histogram, whose buckets add up. */
START_TEST(all_counters)
{
	char *text, line[160];
	uint64_t sum = 0;

	edge();
	text = text_of();
	for (uint32_t i = 0; i < QB_COUNTER_CNT; i++) {
		const char *name = qb_counter_rows[i].name;

		snprintf(line, sizeof(line), "quicbond_%s_total %u", name, 100 + i);
		if (strncmp(name, "reorder_hold_", 13) && strncmp(name, "failover_gap_", 13))
			has(text, line);
	}
	for (uint32_t i = QB_CNT_REORDER_HOLD_5MS; i <= QB_CNT_REORDER_HOLD_MORE; i++)
		sum += 100 + i;
	snprintf(line, sizeof(line), "quicbond_reorder_hold_seconds_bucket{le=\"0.005\"} %u",
		 100 + QB_CNT_REORDER_HOLD_5MS);
	has(text, line);
	snprintf(line, sizeof(line), "quicbond_reorder_hold_seconds_bucket{le=\"0.02\"} %u",
		 200 + QB_CNT_REORDER_HOLD_5MS + QB_CNT_REORDER_HOLD_20MS);
	has(text, line);
	snprintf(line, sizeof(line), "quicbond_reorder_hold_seconds_bucket{le=\"+Inf\"} %llu",
		 (unsigned long long)sum);
	has(text, line);
	snprintf(line, sizeof(line), "quicbond_reorder_hold_seconds_count %llu",
		 (unsigned long long)sum);
	has(text, line);
	snprintf(line, sizeof(line), "quicbond_failover_gap_seconds_sum %g", (100 + QB_CNT_FAILOVER_GAP_MS) / 1000.0);
	has(text, line);
	free(text);
}
END_TEST

/* ---- the server ---- */

static struct qb_metrics *server;
static struct qb_addr at;

static void pump(void)
{
	for (int i = 0; i < 20; i++)
		qb_metrics_process(server);
}

static int dial(const struct qb_addr *a)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(a->port)};
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
	int fd = socket(a->family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

	memcpy(&sin.sin_addr, a->ip, 4);
	memcpy(&sin6.sin6_addr, a->ip, 16);
	ck_assert_int_eq(a->family == 6 ? connect(fd, (const struct sockaddr *)&sin6, sizeof(sin6))
					: connect(fd, (const struct sockaddr *)&sin, sizeof(sin)),
			 0);
	return fd;
}

/* listen_somewhere opens the server on a free port. */
static void listen_somewhere(const char *text)
{
	char err[QB_CTL_ERR_LEN];
	int ret = -EADDRINUSE;

	ck_assert_int_eq(qb_addr_parse(text, 0, &at), 0);
	for (at.port = 20000; ret == -EADDRINUSE; at.port++)
		ret = qb_metrics_open(&at, &verbs, &fake, &server, err);
	at.port--;
	ck_assert_msg(ret == 0, "%s", err);
	ck_assert_int_ge(qb_metrics_fd(server), 0);
}

static void setup(void)
{
	fake_rc = 0;
	shown_cnt = 0;
	edge();
	listen_somewhere("127.0.0.1");
}

static void teardown(void)
{
	qb_metrics_close(server);
	ck_assert_int_eq(shown_cnt, 0);
}

/* take reads until there is an end, or nothing more comes. */
static const char *take(int fd)
{
	static char reply[REPLY_MAX];
	size_t len = 0;
	ssize_t n;

	for (int idle = 0; idle < 5; idle++) {
		pump();
		while (len < sizeof(reply) - 1 &&
		       (n = recv(fd, reply + len, sizeof(reply) - 1 - len, MSG_DONTWAIT)) > 0) {
			len += (size_t)n;
			idle = 0;
			pump();
		}
	}
	reply[len] = '\0';
	return reply;
}

static const char *ask(int fd, const char *request)
{
	ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL),
			 (ssize_t)strlen(request));
	return take(fd);
}

static const char *body_of(const char *reply)
{
	const char *end = strstr(reply, "\r\n\r\n");

	ck_assert_msg(end != NULL, "no end of fields: %.200s", reply);
	return end + 4;
}

START_TEST(get)
{
	int fd = dial(&at);

	for (int i = 0; i < 3; i++) { /* on one connection */
		const char *reply = ask(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");

		ck_assert_msg(strncmp(reply, "HTTP/1.1 200 ", 13) == 0, "%.100s", reply);
		ck_assert_ptr_nonnull(strstr(reply, "Content-Type: text/plain; version=0.0.4"));
		check_text(body_of(reply));
		has(body_of(reply), "quicbond_uptime_seconds 12.5");
	}
	close(fd);
}
END_TEST

START_TEST(others)
{
	static const struct {
		const char *request, *status;
	} asked[] = {
		{"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 "},
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 "},
		{"GET /metrics/../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 "},
		{"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		 "HTTP/1.1 405 "},
		{"DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 "},
		{"GET /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "}, /* no Host */
	};

	for (size_t i = 0; i < QB_ARRAY_LEN(asked); i++) {
		int fd = dial(&at);
		const char *reply = ask(fd, asked[i].request);

		ck_assert_msg(strncmp(reply, asked[i].status, 13) == 0, "%s: %.100s",
			      asked[i].request, reply);
		if (i == 0)
			ck_assert_str_eq(body_of(reply), "");
		close(fd);
	}
	fake_rc = -ENOMEM;
	{
		int fd = dial(&at);

		ck_assert_ptr_nonnull(
			strstr(ask(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), " 500 "));
		close(fd);
	}
}
END_TEST

/* Bytes that are no HTTP, endless fields, and a crowd that says nothing: the next proper client is
 * served. */
START_TEST(hostile)
{
	static char large[64 << 10];
	int silent[32], fd;

	memset(large, 'a', sizeof(large) - 1);
	memcpy(large, "GET /metrics HTTP/1.1\r\nX: ", 26);
	fd = dial(&at);
	(void)!send(fd, large, sizeof(large) - 1, MSG_NOSIGNAL);
	ck_assert_ptr_null(strstr(take(fd), " 200 "));
	close(fd);
	fd = dial(&at);
	ck_assert_ptr_null(strstr(ask(fd, "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"), " 200 "));
	close(fd);
	for (size_t i = 0; i < QB_ARRAY_LEN(silent); i++) {
		silent[i] = dial(&at);
		(void)!send(silent[i], "GET /met", 8, MSG_NOSIGNAL);
		pump();
	}
	for (size_t i = 0; i < QB_ARRAY_LEN(silent); i++) {
		close(silent[i]);
		pump();
	}
	fd = dial(&at);
	ck_assert_ptr_nonnull(strstr(ask(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), " 200 "));
	close(fd);
}
END_TEST

START_TEST(addresses)
{
	char err[QB_CTL_ERR_LEN] = "";
	struct qb_metrics *second;
	struct qb_addr a;
	int fd;

	ck_assert_int_eq(qb_metrics_open(&at, &verbs, &fake, &second, err), -EADDRINUSE);
	ck_assert_ptr_null(second);
	ck_assert_msg(strstr(err, "[Metrics] Listen: 127.0.0.1:") == err, "%s", err);
	ck_assert_int_eq(qb_addr_parse("192.0.2.1:20000", 0, &a), 0);
	ck_assert_int_eq(qb_metrics_open(&a, &verbs, &fake, &second, err), -EADDRNOTAVAIL);
	ck_assert_int_eq(qb_metrics_fd(NULL), -1);
	qb_metrics_process(NULL);
	qb_metrics_close(NULL);
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	if (fd >= 0 && access("/proc/net/if_inet6", R_OK) == 0) {
		close(fd);
		qb_metrics_close(server);
		listen_somewhere("::1");
		fd = dial(&at);
		ck_assert_ptr_nonnull(
			strstr(ask(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), " 200 "));
	}
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("metrics");
	TCase *text = tcase_create("text"), *http = tcase_create("http");
	SRunner *r;
	int failed;

	tcase_add_test(text, of_an_edge);
	tcase_add_test(text, of_a_hub);
	tcase_add_test(text, all_counters);
	tcase_add_checked_fixture(http, setup, teardown);
	tcase_add_test(http, get);
	tcase_add_test(http, others);
	tcase_add_test(http, hostile);
	tcase_add_test(http, addresses);
	suite_add_tcase(s, text);
	suite_add_tcase(s, http);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
