/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control server in this process: every verb, garbage, half and overlong lines, many clients,
 * readers that do not read, subscribers, and sockets that were left behind. Nothing sleeps: pump()
 * runs the server until it is idle.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "ctl/json.h"
#include "ctl/request.h"

enum { CLIENTS_MAX = 32, REPLY_MAX = 1 << 20 };

/* ---- a daemon ---- */

static struct qb_status fake;
static char last_call[256];
static int fake_rc;
static int shown_cnt; /* snapshots that were not given back yet */
static const char *fake_err;
static struct qb_ctl *server;
static char path[64];

static int answer(char *err)
{
	if (fake_err)
		snprintf(err, 256, "%s", fake_err);
	return fake_rc;
}

static int do_status(void *arg, struct qb_status *st, char *err)
{
	ck_assert_ptr_eq(arg, &fake);
	*st = fake;
	shown_cnt++;
	return answer(err);
}

static void do_status_done(void *arg, struct qb_status *st)
{
	ck_assert_ptr_eq(arg, &fake);
	ck_assert_ptr_eq(st->sites, fake.sites);
	shown_cnt--;
}

static int do_reload(void *arg, char *err)
{
	(void)arg;
	snprintf(last_call, sizeof(last_call), "reload");
	return answer(err);
}

static int do_link(void *arg, const char *name, const char *verb, char *err)
{
	struct qb_ctl_event ev = {.type = "link_state", .name = name, .to = verb};

	(void)arg;
	snprintf(last_call, sizeof(last_call), "link %s %s", name, verb);
	/* As the daemon does: events come out while a request is served. */
	if (server)
		qb_ctl_emit(server, &ev);
	return answer(err);
}

static int do_set(void *arg, const char *key, const char *value, char *err)
{
	(void)arg;
	snprintf(last_call, sizeof(last_call), "set %s %s", key, value);
	return answer(err);
}

static int do_failover(void *arg, const char *verb, char *err)
{
	(void)arg;
	snprintf(last_call, sizeof(last_call), "failover %s", verb);
	return answer(err);
}

static int do_block(void *arg, const char *verb, const char *prefix, const char *life, char *err)
{
	(void)arg;
	snprintf(last_call, sizeof(last_call), "block %s %s%s%s", verb, prefix, life ? " for " : "", life ? life : "");
	return answer(err);
}

static int do_blocks(void *arg, struct qb_ctl_block *out, uint32_t *cnt, char *err)
{
	(void)arg;
	ck_assert_uint_ge(*cnt, 2);
	*cnt = 2;
	out[0] = (struct qb_ctl_block){.by_command = true, .left_s = 59.6};
	out[1] = (struct qb_ctl_block){.by_file = true};
	return qb_prefix_parse("192.0.2.0/24", &out[0].prefix) || qb_prefix_parse("2001:db8::/32", &out[1].prefix) ? -EINVAL
														     : answer(err);
}

static int do_io(void *arg, struct qb_io_status *st, char *err)
{
	struct qb_io_if *i = &st->ifs[0];

	(void)arg;
	st->if_cnt = 1;
	strcpy(i->name, "dsl");
	strcpy(i->ifname, "eth1");
	strcpy(i->io, "xdp-copy");
	i->sockets = (struct qb_figures){.cnt = 1, .f = {{"drops", 3}}};
	i->program = (struct qb_figures){.cnt = 1, .f = {{"xdp_steered_short", 5}}};
	i->queue_cnt = 2;
	i->queues[1] = (struct qb_figures){.cnt = 1, .f = {{"rx_ring_full", 7}}};
	st->guard = (struct qb_figures){.cnt = 1, .f = {{"guard_initials", 9}}};
	st->stages[0] = (struct qb_io_stage){"receive", 0, 0};
	st->stages[1] = (struct qb_io_stage){"open", 4, 1002};
	st->stage_cnt = 2;
	return answer(err);
}

static int do_flows(void *arg, struct qb_flows *f, char *err)
{
	(void)arg;
	f->cnt = 2;
	f->f[0] = (struct qb_flow_status){.direction = "tx",
					  .class = "bulk",
					  .site = "paris",
					  .protocol = "tcp",
					  .source = "10.0.0.1:443",
					  .destination = "10.0.0.2:5000",
					  .paths = {{"dsl", 0.75}, {"lte", 0.25}},
					  .path_cnt = 2,
					  .queue_ms = 1.5,
					  .hold_ms = 9,
					  .bps = 1000000,
					  .drops = 3,
					  .marks = 4};
	f->f[1] = (struct qb_flow_status){.direction = "rx", .hold_ms = 2.5, .hold_max_ms = 7};
	return answer(err);
}

static int do_doctor(void *arg, struct qb_findings *f, char *err)
{
	(void)arg;
	f->cnt = 2;
	f->f[0] = (struct qb_finding){true, "eth1", "rp_filter is strict", "sysctl -w \"x\"=2"};
	f->f[1] = (struct qb_finding){false, "host", "b", "c"};
	f->crypto.cpu[0] = "AES-NI";
	f->crypto.cpu_cnt = 1;
	f->crypto.aead = "AES-128-GCM";
	strcpy(f->crypto.in_use, "AES-128-GCM 2");
	return answer(err);
}

static int do_qlog(void *arg, const char *verb, const char *folder, const char *site, struct qb_ctl_qlog *out,
		   char *err)
{
	(void)arg;
	snprintf(last_call, sizeof(last_call), "qlog %s %s %s", verb, folder ? folder : "-", site ? site : "-");
	*out = (struct qb_ctl_qlog){.is_on = true, .folder = "/q/x", .site = "paris", .traces = 2, .events = 3,
				    .bytes = 4, .dropped = 5};
	return answer(err);
}

static int do_errors(void *arg, struct qb_ctl_error *out, uint32_t *cnt, char *err)
{
	(void)arg;
	ck_assert_uint_ge(*cnt, 2);
	out[0] = (struct qb_ctl_error){.time_s = 1.25, .cnt = 3, .name = "paris", .cid = "0102", .has_path = true,
				       .path_id = 4, .error = "PROTOCOL_VIOLATION (0xa)", .text = "why"};
	out[1] = (struct qb_ctl_error){.time_s = 2, .cnt = 1, .error = "warn", .text = "\xff"};
	*cnt = 2;
	return answer(err);
}

static int do_conns(void *arg, struct qb_ctl_conns *out, char *err)
{
	(void)arg;
	out->total = QB_CTL_CONNS + 1;
	for (uint32_t i = 0; i < QB_CTL_CONNS; i++)
		out->list[i] = (struct qb_ctl_conn){.worker = 1, .name = "paris", .use = "tunnel", .state = "confirmed",
						    .cid = "0102", .version = 2, .cipher = "AES-128-GCM", .is_early = true,
						    .paths = 2, .streams = 7, .age_s = 1.2345};
	return answer(err);
}

static int do_known(void *arg, struct qb_ctl_known *out, char *err)
{
	(void)arg;
	out->life_s = 86400;
	out->cnt = 2;
	out->list[0] = (struct qb_ctl_known_link){.key = 0xab, .name = "paris/dsl", .window_bytes = 500000,
						  .rate_bps = 50000000, .rtt_ms = 80.12345, .age_s = 60.4};
	out->list[1] = (struct qb_ctl_known_link){.key = UINT64_MAX};
	return answer(err);
}

static int do_forget(void *arg, const char *name, uint32_t *cnt, char *err)
{
	(void)arg;
	snprintf(last_call, sizeof(last_call), "forget %s", name ? name : "-");
	*cnt = 2;
	return answer(err);
}

static int do_sched(void *arg, struct qb_sched_status *s, char *err)
{
	(void)arg;
	snprintf(s->scheduler, sizeof(s->scheduler), "ecf");
	s->names[0] = "auto";
	s->names[1] = "ecf";
	s->name_cnt = 2;
	s->cnt = 2;
	s->d[0] = (struct qb_decision_status){.age_s = 0.25,
					      .site = "paris",
					      .scheduler = "ecf",
					      .flow = 4000000000,
					      .bytes = 1200,
					      .kind = "bulk",
					      .link = "dsl",
					      .reason = "arrives first",
					      .choices = {{"dsl", "free", 10.5, 0}, {"lte", "busy", 40, 2.25}},
					      .choice_cnt = 2};
	s->d[1] = (struct qb_decision_status){.kind = "sparse"};
	return answer(err);
}

static int do_tun(void *arg, struct qb_tun_status *t, char *err)
{
	(void)arg;
	*t = (struct qb_tun_status){.device = "qb0", .ifindex = 7, .mtu_bytes = 1380, .kernel_dropped = 5};
	t->is_up = t->is_mtu_auto = t->has_tso = true;
	strcpy(t->addresses[0], "10.64.0.1/24");
	t->address_cnt = 1;
	strcpy(t->routes[0].prefix, "10.1.0.0/24");
	strcpy(t->routes[0].site, "paris");
	t->routes[0].table = 254;
	strcpy(t->routes[1].prefix, "::/0");
	t->routes[1].table = 51;
	t->route_cnt = 2;
	t->queues[0] = (struct qb_tun_queue_status){.is_on = true, .rx_bytes = 1ULL << 40, .tx_refused = 2};
	t->queue_cnt = 1;
	return answer(err);
}

static const struct qb_ctl_verbs verbs = {do_status, do_status_done, do_reload, do_link,   do_set,    do_failover,
					  do_block,	do_blocks, do_io,
					  do_flows,  do_doctor, do_qlog,   do_errors, do_conns,
					  do_known,  do_forget, do_tun,	  do_sched};

static void fill_link(struct qb_link_status *l, const char *name, const char *ifname)
{
	snprintf(l->name, sizeof(l->name), "%s", name);
	snprintf(l->ifname, sizeof(l->ifname), "%s", ifname);
	strcpy(l->state, "active");
	strcpy(l->tier, "primary");
	strcpy(l->io, "xdp-copy");
	l->rtt_ms = 20.1;
	l->rtt_min_ms = 19.8;
	l->jitter_ms = 0.4;
	l->loss = 0.001;
	l->share = 0.71;
	l->cwnd_bytes = 120000;
	l->ssthresh_bytes = UINT64_MAX;
	l->tx_packets = 7;
}

static void setup(void)
{
	char err[256];

	qb_log_max = QB_LOG_ERR;
	fake = (struct qb_status){.uptime_s = 12.3, .workers = 2, .link_cnt = 1};
	strcpy(fake.role, "edge");
	strcpy(fake.name, "paris");
	strcpy(fake.state, "bonded");
	strcpy(fake.tunnel.device, "qb0");
	fake.tunnel.mtu_bytes = 1380;
	fake.tunnel.address_cnt = 1;
	strcpy(fake.tunnel.addresses[0], "10.64.0.2/32");
	strcpy(fake.hub.name, "fra");
	strcpy(fake.hub.address, "10.99.0.1:4433");
	strcpy(fake.hub.state, "connected");
	fill_link(&fake.links[0], "dsl", "eth1");
	fake.counters.v[QB_CNT_HANDSHAKES] = 1;
	fake.extra_cnt = 1;
	strcpy(fake.extra[0].name, "xdp_pass");
	fake.extra[0].value = 5;
	fake_rc = 0;
	fake_err = NULL;
	last_call[0] = '\0';
	snprintf(path, sizeof(path), "/tmp/qb-test-ctl-%d/s", (int)getpid());
	ck_assert_msg(qb_ctl_open(path, NULL, &verbs, &fake, &server, err) == 0, "%s", err);
}

static void teardown(void)
{
	struct stat st;
	char dir[64];

	qb_ctl_close(server);
	server = NULL;
	ck_assert_int_eq(lstat(path, &st), -1);
	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	ck_assert_int_eq(rmdir(dir), 0);
}

/* ---- a client ---- */

/* pump serves until there is nothing left to do. */
static void pump(void)
{
	struct pollfd p = {.fd = qb_ctl_fd(server), .events = POLLIN};
	uint32_t rounds = 0;

	while (poll(&p, 1, 0) == 1) {
		qb_ctl_process(server);
		ck_assert_uint_lt(++rounds, 100000); /* a busy loop is a bug */
	}
}

static int dial(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(sa.sun_path, path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* put writes all, letting the server read meanwhile; false when it has closed. */
static bool put(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return false;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
		pump();
	}
	return true;
}

/* take reads what there is, letting the server write meanwhile. Returns the text; *is_eof: the
 * server has closed. */
static char *take(int fd, bool *is_eof)
{
	static char buf[REPLY_MAX];
	size_t len = 0;
	ssize_t n;

	*is_eof = false;
	for (;;) {
		pump();
		n = recv(fd, buf + len, sizeof(buf) - 1 - len, 0);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			*is_eof = true;
		if (n <= 0)
			break;
		len += (size_t)n;
		ck_assert_uint_lt(len, sizeof(buf) - 1);
	}
	buf[len] = '\0';
	return buf;
}

static json_t *ask_on(int fd, const char *line)
{
	bool is_eof;
	char *reply;
	json_t *j;

	ck_assert(put(fd, line, strlen(line)));
	reply = take(fd, &is_eof);
	ck_assert_msg(strlen(reply) > 1 && strchr(reply, '\n') == reply + strlen(reply) - 1,
		      "one line: %s", reply);
	j = json_loads(reply, 0, NULL);
	ck_assert_msg(json_is_object(j), "%s", reply);
	ck_assert_int_eq(json_integer_value(json_object_get(j, "schema")), 1);
	return j;
}

static json_t *ask(const char *line)
{
	int fd = dial();
	json_t *j = ask_on(fd, line);

	close(fd);
	pump();
	return j;
}

static void check_error(const char *line, const char *want)
{
	json_t *j = ask(line);

	ck_assert_str_eq(json_string_value(json_object_get(j, "error")), want);
	json_decref(j);
}

/* ---- answers ---- */

/* The example of the public contract, field by field. */
START_TEST(test_status)
{
	json_t *j = ask("{\"cmd\":\"status\"}\n"), *link, *part;
	const char *role, *name, *state, *device, *address, *hub, *at, *hub_state;
	double uptime;
	int mtu;

	ck_assert_int_eq(
		json_unpack(
			j,
			"{s:s, s:s, s:s, s:F, s:{s:s, s:i, s:[s]}, s:{s:s, s:s, s:s}, s:[o], s:o}",
			"role", &role, "name", &name, "state", &state, "uptime_s", &uptime,
			"tunnel", "device", &device, "mtu", &mtu, "addresses", &address, "hub",
			"name", &hub, "address", &at, "state", &hub_state, "links", &link, "sites",
			&part),
		0);
	ck_assert_str_eq(role, "edge");
	ck_assert_str_eq(name, "paris");
	ck_assert_str_eq(state, "bonded");
	ck_assert_double_eq(uptime, 12.3);
	ck_assert_str_eq(device, "qb0");
	ck_assert_int_eq(mtu, 1380);
	ck_assert_str_eq(address, "10.64.0.2/32");
	ck_assert_str_eq(hub, "fra");
	ck_assert_str_eq(at, "10.99.0.1:4433");
	ck_assert_str_eq(hub_state, "connected");
	ck_assert_uint_eq(json_array_size(part), 0);
	ck_assert(json_is_null(json_object_get(link, "ssthresh")));
	part = json_object_get(j, "counters");
	ck_assert_uint_eq(json_object_size(part), QB_COUNTER_CNT + 1);
	ck_assert_int_eq(json_integer_value(json_object_get(part, "handshakes")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(part, "xdp_pass")), 5);
	ck_assert(json_is_integer(json_object_get(part, "datagrams_lost")));
	ck_assert(json_is_integer(json_object_get(part, "reorder_held")));
	json_decref(j);
}
END_TEST

START_TEST(test_io)
{
	json_t *j = ask("{\"cmd\":\"io\"}\n");
	int drops, steered, queues, full, initials, each[2];
	const char *name, *ifname, *io;

	ck_assert_int_eq(
		json_unpack(j, "{s:[{s:s, s:s, s:s, s:{s:i}, s:{s:i}, s:[{}, {s:i}]}], s:{s:i}, s:[{s:i}, {s:i}]}",
			    "interfaces", "name", &name, "interface", &ifname, "io", &io, "sockets",
			    "drops", &drops, "program", "xdp_steered_short", &steered, "queues",
			    "rx_ring_full", &full, "guard", "guard_initials", &initials, "stages",
			    "ns_each", &each[0], "ns_each", &each[1]),
		0);
	queues = (int)json_array_size(
		json_object_get(json_array_get(json_object_get(j, "interfaces"), 0), "queues"));
	ck_assert_str_eq(name, "dsl");
	ck_assert_str_eq(ifname, "eth1");
	ck_assert_str_eq(io, "xdp-copy");
	ck_assert_int_eq(drops, 3);
	ck_assert_int_eq(steered, 5);
	ck_assert_int_eq(queues, 2);
	ck_assert_int_eq(full, 7);
	ck_assert_int_eq(initials, 9);
	ck_assert_int_eq(each[0], 0);
	ck_assert_int_eq(each[1], 250);
	json_decref(j);
}
END_TEST

START_TEST(test_flows)
{
	json_t *j = ask("{\"cmd\":\"flows\"}\n");
	const char *site, *class, *link[2];
	double share[2], queue, hold;
	int rate, drops, marks;

	ck_assert_int_eq(
		json_unpack(j,
			    "{s:[{s:s, s:s, s:i, s:i, s:i, s:f, s:n, s:[{s:s, s:f}, {s:s, s:f}]}, {s:n, s:n, s:f, s:[]}]}",
			    "flows", "site", &site, "class", &class, "rate_bps", &rate, "drops", &drops,
			    "marks", &marks, "queue_ms", &queue, "hold_ms", "paths", "link", &link[0],
			    "share", &share[0], "link", &link[1], "share", &share[1], "class",
			    "queue_ms", "hold_ms", &hold, "paths"),
		0);
	ck_assert_str_eq(site, "paris");
	ck_assert_str_eq(class, "bulk");
	ck_assert_str_eq(link[1], "lte");
	ck_assert_double_eq(share[0], 0.75);
	ck_assert_double_eq(queue, 1.5);
	ck_assert_double_eq(hold, 2.5);
	ck_assert_int_eq(rate, 1000000);
	ck_assert_int_eq(drops, 3);
	ck_assert_int_eq(marks, 4);
	json_decref(j);
}
END_TEST

START_TEST(test_guard)
{
	json_t *j = ask("{\"cmd\":\"status\"}\n");
	int attack, attacks, blocks;
	const char *reason;
	double since;

	ck_assert(json_is_null(json_object_get(j, "guard")));
	json_decref(j);
	fake.guard.is_there = fake.guard.is_attacked = true;
	fake.guard.attacks = 2;
	fake.guard.blocks = 7;
	fake.guard.since_s = 12.5;
	strcpy(fake.guard.reason, "why");
	j = ask("{\"cmd\":\"status\"}\n");
	ck_assert_int_eq(json_unpack(j, "{s:{s:b, s:f, s:n, s:i, s:s, s:i}}", "guard", "attack", &attack, "since_s", &since, "over_s",
				     "attacks", &attacks, "reason", &reason, "blocks", &blocks),
			 0);
	ck_assert(attack && attacks == 2 && blocks == 7);
	ck_assert_double_eq(since, 12.5);
	ck_assert_str_eq(reason, "why");
	json_decref(j);
	fake.guard.is_attacked = false;
	fake.guard.over_s = 40;
	j = ask("{\"cmd\":\"status\"}\n");
	ck_assert_int_eq(json_unpack(j, "{s:{s:b, s:n, s:f}}", "guard", "attack", &attack, "since_s", "over_s", &since), 0);
	ck_assert(!attack);
	ck_assert_double_eq(since, 40);
	json_decref(j);
	memset(&fake.guard, 0, sizeof(fake.guard));
}
END_TEST

START_TEST(test_tun)
{
	json_t *j = ask("{\"cmd\":\"tun\"}\n");
	const char *device, *address, *offload[2], *prefix, *site;
	int index, mtu, table[2], unread, up, is_auto, on;
	json_int_t bytes, refused;

	ck_assert_int_eq(json_unpack(j,
				     "{s:{s:s, s:i, s:b, s:i, s:b, s:[s], s:[s, s!], s:[{s:s, s:i, s:s!}, {s:i, s:s!}], s:i, "
				     "s:[{s:b, s:I, s:I}]}}",
				     "tun", "device", &device, "ifindex", &index, "up", &up, "mtu", &mtu, "mtu_auto", &is_auto,
				     "addresses", &address, "offloads", &offload[0], &offload[1], "routes", "prefix", &prefix,
				     "table", &table[0], "site", &site, "table", &table[1], "prefix", &prefix, "unread", &unread,
				     "queues", "on", &on, "rx_bytes", &bytes, "tx_refused", &refused),
			 0);
	ck_assert_str_eq(address, "10.64.0.1/24");
	ck_assert_str_eq(offload[1], "tso");
	ck_assert_str_eq(prefix, "::/0");
	ck_assert_str_eq(site, "paris");
	ck_assert_int_eq(mtu, 1380);
	ck_assert_int_eq(table[1], 51);
	ck_assert_int_eq(unread, 5);
	ck_assert(up && is_auto && on && bytes == 1LL << 40 && refused == 2);
	json_decref(j);
	fake_rc = -ENODEV;
	fake_err = "gone";
	j = ask("{\"cmd\":\"tun\"}\n");
	ck_assert_str_eq(json_string_value(json_object_get(j, "error")), "gone");
	json_decref(j);
}
END_TEST

START_TEST(test_sched)
{
	json_t *j = ask("{\"cmd\":\"sched\"}\n");
	const char *scheduler, *name, *link, *reason, *state;
	double age, wait;
	json_int_t flow;

	ck_assert_int_eq(json_unpack(j,
				     "{s:s, s:[s, s], s:[{s:f, s:s, s:I, s:s, s:s, s:[{s:f}, {s:s, s:f}]}, "
				     "{s:n, s:[]}]}",
				     "scheduler", &scheduler, "schedulers", &name, &name, "decisions", "age_s", &age,
				     "site", &link, "flow", &flow, "link", &link, "reason", &reason, "choices",
				     "delay_ms", &wait, "state", &state, "wait_ms", &wait, "link", "choices"),
			 0);
	ck_assert_str_eq(scheduler, "ecf");
	ck_assert_str_eq(name, "ecf");
	ck_assert_str_eq(link, "dsl");
	ck_assert_str_eq(reason, "arrives first");
	ck_assert_str_eq(state, "busy");
	ck_assert_double_eq(age, 0.25);
	ck_assert_double_eq(wait, 2.25);
	ck_assert_int_eq(flow, 4000000000);
	json_decref(j);
}
END_TEST

/*
 * Links come and go in any order: the bond is in one state at any time, says that it is whole only if it is, moves by one step for
 * one link, and links do not matter while there is no hub.
 */
START_TEST(bond_states)
{
	static const char *const order[] = {"down", "single", "degraded", "bonded"};

	ck_assert(qb_status_link_counts("active", 1e6) && qb_status_link_counts("standby", 0));
	ck_assert(qb_status_link_counts("suspect", 0.3) && !qb_status_link_counts("suspect", 1.1));
	ck_assert(!qb_status_link_counts("failed", 0) && !qb_status_link_counts("probing", 0) && !qb_status_link_counts("", 0));
	ck_assert_str_eq(qb_status_bond_state(NULL, 3, 3), "down");
	for (uint32_t wanted = 0; wanted <= 8; wanted++) {
		uint32_t last = 0;

		for (uint32_t up = 0; up <= wanted; up++) {
			const char *state = qb_status_bond_state("connected", up, wanted);
			uint32_t rank = 0;

			ck_assert_str_eq(qb_status_bond_state("down", up, wanted), "down");
			ck_assert_str_eq(qb_status_bond_state("connecting", up, wanted), "connecting");
			while (rank < 4 && strcmp(state, order[rank]) != 0)
				rank++;
			ck_assert_uint_lt(rank, 4);
			ck_assert_int_eq(rank == 3, up == wanted && up >= 2);
			ck_assert_int_eq(rank == 1, up == 1);
			ck_assert_int_eq(rank == 0, up == 0);
			/* From one link to both of two, and from all but one to all, is one step. */
			ck_assert(rank >= last && (rank - last <= 1 || wanted == 2));
			last = rank;
		}
	}
}
END_TEST

START_TEST(test_score)
{
	static const struct {
		double rtt_ms, loss, rate_bps;
		uint32_t want;
	} rows[] = {
		{10, 0, 1e9, 1000},  {20, 0, 100e6, 1000},   {1000, 0.1, 100e3, 0}, {5000, 1, 0, 0},
		{20, 0.05, 1e9, 800}, {141.42, 0, 1e9, 800}, {20, 0, 3.1623e6, 900}, {0, 0, 0, 800},
	};

	for (size_t i = 0; i < QB_ARRAY_LEN(rows); i++)
		ck_assert_uint_eq(qb_status_score(rows[i].rtt_ms, rows[i].loss, rows[i].rate_bps), rows[i].want);
}
END_TEST

START_TEST(test_doctor)
{
	json_t *j = ask("{\"cmd\":\"doctor\"}\n");
	const char *severity[2], *where[2], *text[2], *mend[2];

	ck_assert_int_eq(
		json_unpack(j, "{s:[{s:s, s:s, s:s, s:s}, {s:s, s:s, s:s, s:s}]}", "findings",
			    "severity", &severity[0], "where", &where[0], "text", &text[0], "mend",
			    &mend[0], "severity", &severity[1], "where", &where[1], "text",
			    &text[1], "mend", &mend[1]),
		0);
	ck_assert_str_eq(severity[0], "fault");
	ck_assert_str_eq(where[0], "eth1");
	ck_assert_str_eq(text[0], "rp_filter is strict");
	ck_assert_str_eq(mend[0], "sysctl -w \"x\"=2");
	ck_assert_str_eq(severity[1], "hint");
	ck_assert_int_eq(json_unpack(j, "{s:{s:[s!], s:s, s:s}}", "crypto", "cpu", &text[0], "aead", &text[1], "in_use", &where[1]), 0);
	ck_assert_str_eq(text[0], "AES-NI");
	ck_assert_str_eq(text[1], "AES-128-GCM");
	ck_assert_str_eq(where[1], "AES-128-GCM 2");
	json_decref(j);
}
END_TEST

START_TEST(test_link_fields)
{
	static const struct {
		const char *name;
		json_type type;
	} want[] = {
		{"name", JSON_STRING},	      {"interface", JSON_STRING},
		{"state", JSON_STRING},	      {"tier", JSON_STRING},
		{"io", JSON_STRING},	      {"rtt_ms", JSON_REAL},
		{"rtt_min_ms", JSON_REAL},    {"jitter_ms", JSON_REAL},
		{"loss", JSON_REAL},	      {"tx_bps", JSON_INTEGER},
		{"rx_bps", JSON_INTEGER},     {"cwnd", JSON_INTEGER},
		{"in_flight", JSON_INTEGER},  {"share", JSON_REAL},
		{"reason", JSON_STRING},      {"tx_packets", JSON_INTEGER},
		{"rx_packets", JSON_INTEGER}, {"tx_bytes", JSON_INTEGER},
		{"rx_bytes", JSON_INTEGER},   {"public", JSON_STRING},
		{"owd_tx_ms", JSON_REAL},     {"owd_rx_ms", JSON_REAL},
		{"queue_tx_ms", JSON_REAL},   {"queue_rx_ms", JSON_REAL},
		{"rank", JSON_INTEGER},	      {"weight", JSON_INTEGER},	      {"paths", JSON_INTEGER},	      {"rtt_loaded_ms", JSON_REAL},
		{"signal_dbm", JSON_NULL},    {"signal_percent", JSON_NULL}, {"technology", JSON_STRING},
	};
	json_t *j, *link;
	char *text;

	fake.links[0].partner_cnt = 2;
	strcpy(fake.links[0].partners[0], "lte");
	strcpy(fake.links[0].partners[1], "lte2");
	j = ask("{\"cmd\":\"links\"}\n");
	link = json_array_get(json_object_get(j, "links"), 0);

	for (size_t i = 0; i < QB_ARRAY_LEN(want); i++) {
		json_t *v = json_object_get(link, want[i].name);

		ck_assert_msg(v && json_typeof(v) == want[i].type, "%s", want[i].name);
	}
	text = json_dumps(link, JSON_COMPACT | JSON_REAL_PRECISION(15));
	ck_assert_ptr_nonnull(strstr(text, "\"rtt_ms\":20.1,"));
	ck_assert_ptr_nonnull(strstr(text, "\"loss\":0.001,"));
	ck_assert_ptr_nonnull(strstr(text, "\"shares_with\":[\"lte\",\"lte2\"]"));
	free(text);
	json_decref(j);
}
END_TEST

START_TEST(test_hub)
{
	struct qb_site_status sites[2] = {0};
	json_t *j, *site;

	strcpy(fake.role, "hub");
	fake.hub.name[0] = '\0';
	fake.link_cnt = 0;
	fake.sites = sites;
	fake.site_cnt = 2;
	strcpy(sites[0].name, "paris");
	strcpy(sites[0].state, "connected");
	sites[0].address_cnt = sites[0].prefix_cnt = sites[0].link_cnt = 1;
	strcpy(sites[0].addresses[0], "10.64.0.2/32");
	strcpy(sites[0].prefixes[0], "192.168.1.0/24");
	fill_link(&sites[0].links[0], "dsl", "eth0");
	strcpy(sites[1].name, "lyon");
	strcpy(sites[1].state, "down");

	j = ask("{\"cmd\":\"status\"}\n");
	ck_assert(json_is_null(json_object_get(j, "hub")));
	ck_assert_uint_eq(json_array_size(json_object_get(j, "sites")), 2);
	json_decref(j);
	j = ask("{\"cmd\":\"sites\"}\n");
	site = json_array_get(json_object_get(j, "sites"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(site, "name")), "paris");
	ck_assert_uint_eq(json_array_size(json_object_get(site, "links")), 1);
	ck_assert_uint_eq(json_array_size(json_object_get(site, "prefixes")), 1);
	ck_assert_int_eq(shown_cnt, 0);
	json_decref(j);
	j = ask("{\"cmd\":\"links\"}\n");
	ck_assert_uint_eq(json_array_size(json_object_get(j, "links")), 1);
	ck_assert_str_eq(json_string_value(json_object_get(
				 json_array_get(json_object_get(j, "links"), 0), "site")),
			 "paris");
	json_decref(j);
}
END_TEST

/* What JSON cannot say must not lose the answer. */
START_TEST(test_odd_values)
{
	json_t *j, *link;

	fake.links[0].rtt_ms = NAN;
	fake.links[0].loss = INFINITY;
	fake.links[0].tx_bytes = UINT64_MAX - 1;
	strcpy(fake.links[0].ifname, "e\xff\xfe");
	j = ask("{\"cmd\":\"links\"}\n");
	link = json_array_get(json_object_get(j, "links"), 0);
	ck_assert_double_eq(json_real_value(json_object_get(link, "rtt_ms")), 0);
	ck_assert_double_eq(json_real_value(json_object_get(link, "loss")), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(link, "tx_bytes")), INT64_MAX);
	ck_assert_str_eq(json_string_value(json_object_get(link, "interface")), "e??");
	json_decref(j);
}
END_TEST

START_TEST(test_orders)
{
	int yes[2], no[2];
	const char *prefix;
	double left;
	static const struct {
		const char *line, *call;
	} t[] = {
		{"{\"cmd\":\"reload\"}\n", "reload"},
		{"{\"cmd\":\"link\",\"name\":\"dsl\",\"verb\":\"up\"}\n", "link dsl up"},
		{"{\"cmd\":\"link\",\"name\":\"dsl\",\"verb\":\"down\"}\r\n", "link dsl down"},
		{" {\"verb\":\"drain\",\"cmd\":\"link\",\"name\":\"dsl\"}\n", "link dsl drain"},
		{"{\"cmd\":\"link\",\"name\":\"dsl\",\"verb\":\"tier=backup\"}\n",
		 "link dsl tier=backup"},
		{"{\"cmd\":\"set\",\"key\":\"Bond.Scheduler\",\"value\":\"ecf\",\"x\":[]}\n",
		 "set Bond.Scheduler ecf"},
		{"{\"cmd\":\"failover\",\"verb\":\"now\"}\n", "failover now"},
		{"{\"cmd\":\"block\",\"verb\":\"add\",\"prefix\":\"192.0.2.0/24\"}\n",
		 "block add 192.0.2.0/24"},
		{"{\"cmd\":\"block\",\"verb\":\"del\",\"prefix\":\"::/0\"}\n", "block del ::/0"},
		{"{\"cmd\":\"block\",\"verb\":\"add\",\"prefix\":\"::/0\",\"for\":\"1h\"}\n", "block add ::/0 for 1h"},
	};
	json_t *j, *k;

	for (size_t i = 0; i < QB_ARRAY_LEN(t); i++) {
		j = ask(t[i].line);
		ck_assert(json_is_true(json_object_get(j, "ok")));
		ck_assert_str_eq(last_call, t[i].call);
		json_decref(j);
	}
	j = ask("{\"cmd\":\"block\",\"verb\":\"list\"}\n");
	ck_assert_int_eq(json_unpack(j, "{s:[{s:s, s:b, s:b, s:f}, {s:b, s:b, s:n}]}", "entries", "prefix", &prefix, "command", &yes[0],
				     "file", &no[0], "left_s", &left, "file", &yes[1], "command", &no[1], "left_s"),
			 0);
	ck_assert_str_eq(prefix, "192.0.2.0/24");
	ck_assert_double_eq(left, 60);
	ck_assert(yes[0] && yes[1] && !no[0] && !no[1]);
	ck_assert_uint_eq(json_array_size(json_object_get(j, "blocks")), 2);
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(j, "blocks"), 1)), "2001:db8::/32");
	json_decref(j);
	j = ask("{\"cmd\":\"qlog\",\"verb\":\"start\",\"folder\":\"x\",\"site\":\"paris\"}\n");
	ck_assert_str_eq(last_call, "qlog start x paris");
	ck_assert(json_is_true(json_object_get(json_object_get(j, "qlog"), "on")));
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(j, "qlog"), "folder")), "/q/x");
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(j, "qlog"), "dropped")), 5);
	json_decref(j);
	j = ask("{\"cmd\":\"qlog\",\"verb\":\"stop\",\"folder\":7}\n");
	ck_assert_str_eq(last_call, "qlog stop - -");
	json_decref(j);
	j = ask("{\"cmd\":\"errors\"}\n");
	ck_assert_uint_eq(json_array_size(json_object_get(j, "errors")), 2);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(json_object_get(j, "errors"), 0), "error")),
			 "PROTOCOL_VIOLATION (0xa)");
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(json_object_get(j, "errors"), 0), "path")), 4);
	ck_assert(json_is_null(json_object_get(json_array_get(json_object_get(j, "errors"), 1), "path")));
	json_decref(j);
	j = ask("{\"cmd\":\"conns\"}\n");
	ck_assert_int_eq(json_integer_value(json_object_get(j, "total")), QB_CTL_CONNS + 1);
	ck_assert_uint_eq(json_array_size(json_object_get(j, "connections")), QB_CTL_CONNS);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(json_object_get(j, "connections"), 9), "state")),
			 "confirmed");
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(json_object_get(j, "connections"), 9), "streams")),
			 7);
	json_decref(j);
	j = ask("{\"cmd\":\"known\"}\n");
	ck_assert_int_eq(json_integer_value(json_object_get(j, "life_s")) +
			 (int)json_real_value(json_object_get(j, "life_s")), 86400);
	ck_assert_uint_eq(json_array_size(json_object_get(j, "known")), 2);
	k = json_array_get(json_object_get(j, "known"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(k, "key")), "00000000000000ab");
	ck_assert_str_eq(json_string_value(json_object_get(k, "name")), "paris/dsl");
	ck_assert_int_eq(json_integer_value(json_object_get(k, "window")), 500000);
	ck_assert_double_eq_tol(json_real_value(json_object_get(k, "rtt_ms")), 80.123, 1e-9);
	json_decref(j);
	j = ask("{\"cmd\":\"known\",\"verb\":\"forget\",\"name\":\"dsl\"}\n");
	ck_assert_str_eq(last_call, "forget dsl");
	ck_assert_int_eq(json_integer_value(json_object_get(j, "forgotten")), 2);
	json_decref(j);
	json_decref(ask("{\"cmd\":\"known\",\"verb\":\"forget\"}\n"));
	ck_assert_str_eq(last_call, "forget -");
	check_error("{\"cmd\":\"known\",\"verb\":\"x\"}\n", "known cannot \"x\"; allowed: forget");
	fake_rc = -EINVAL;
	check_error("{\"cmd\":\"conns\"}\n", "Invalid argument");
	check_error("{\"cmd\":\"known\"}\n", "Invalid argument");
	check_error("{\"cmd\":\"known\",\"verb\":\"forget\"}\n", "Invalid argument");
	check_error("{\"cmd\":\"errors\"}\n", "Invalid argument");
	check_error("{\"cmd\":\"qlog\",\"verb\":\"stop\"}\n", "Invalid argument");
	check_error("{\"cmd\":\"block\",\"verb\":\"list\"}\n", "Invalid argument");
	check_error("{\"cmd\":\"reload\"}\n", "Invalid argument");
	fake_err = "f:1: no";
	check_error("{\"cmd\":\"reload\"}\n", "f:1: no");
	check_error("{\"cmd\":\"status\"}\n", "f:1: no");
	check_error("{\"cmd\":\"set\",\"key\":\"a\",\"value\":\"b\"}\n", "f:1: no");
}
END_TEST

START_TEST(test_garbage)
{
	static const struct {
		const char *line, *err;
	} t[] = {
		{"\n", "not JSON: '[' or '{' expected near end of file"},
		{"hello\n", "not JSON: '[' or '{' expected near 'hello'"},
		{"[]\n", "a request is an object with \"cmd\", a string"},
		{"{}\n", "a request is an object with \"cmd\", a string"},
		{"{\"cmd\":1}\n", "a request is an object with \"cmd\", a string"},
		{"{\"cmd\":\"explode\"}\n", "there is no command \"explode\""},
		{"{\"cmd\":\"status\",\"cmd\":\"reload\"}\n",
		 "not JSON: duplicate object key near '\"cmd\"'"},
		{"{\"cmd\":\"link\",\"name\":\"dsl\"}\n", "link needs \"verb\", a string"},
		{"{\"cmd\":\"link\",\"verb\":\"up\"}\n", "link needs \"name\", a string"},
		{"{\"cmd\":\"link\",\"name\":\"dsl\",\"verb\":\"explode\"}\n",
		 "a link cannot \"explode\"; allowed: up, down, drain, tier=T"},
		{"{\"cmd\":\"set\",\"key\":7,\"value\":\"x\"}\n", "set needs \"key\", a string"},
		/* quicbondctl checks files by itself: the daemon would read what its caller may not. */
		{"{\"cmd\":\"check\",\"file\":\"/etc/f\"}\n", "there is no command \"check\""},
		{"{\"cmd\":\"qlog\"}\n", "qlog needs \"verb\", a string"},
		{"{\"cmd\":\"qlog\",\"verb\":\"go\"}\n", "qlog cannot \"go\"; allowed: start, stop, status"},
		{"{\"cmd\":\"failover\"}\n", "failover needs \"verb\", a string"},
		{"{\"cmd\":\"failover\",\"verb\":\"later\"}\n", "failover cannot \"later\"; allowed: now, back"},
		{"{\"cmd\":\"block\"}\n", "block needs \"verb\", a string"},
		{"{\"cmd\":\"block\",\"verb\":\"add\"}\n", "block needs \"prefix\", a string"},
		{"{\"cmd\":\"block\",\"verb\":\"del\",\"prefix\":\"::/0\",\"for\":\"1h\"}\n", "only what is added can end by itself"},
		{"{\"cmd\":\"block\",\"verb\":\"flush\"}\n", "block cannot \"flush\"; allowed: add, del, list"},
		{"{\"cmd\":\"status\"} {}\n", "not JSON: end of file expected near '{'"},
		{"\xff\xfe\n", "not JSON: unable to decode byte 0xff"},
	};

	for (size_t i = 0; i < QB_ARRAY_LEN(t); i++)
		check_error(t[i].line, t[i].err);
	ck_assert_str_eq(last_call, "");
}
END_TEST

/* ---- streams ---- */

START_TEST(test_half_lines)
{
	static const char req[] = "{\"cmd\":\"reload\"}\n";
	int fd = dial();
	bool is_eof;
	json_t *j;

	for (size_t i = 0; i + 2 < sizeof(req); i++) {
		ck_assert(put(fd, req + i, 1));
		ck_assert_str_eq(take(fd, &is_eof), "");
		ck_assert(!is_eof);
	}
	ck_assert_str_eq(last_call, "");
	j = ask_on(fd, "\n");
	ck_assert(json_is_true(json_object_get(j, "ok")));
	json_decref(j);
	/* What is not a whole line when the client goes is not a request. */
	last_call[0] = '\0';
	ck_assert(put(fd, req, sizeof(req) - 2));
	close(fd);
	pump();
	ck_assert_str_eq(last_call, "");
}
END_TEST

START_TEST(test_pipelined)
{
	int fd = dial();
	bool is_eof;
	char *reply;
	int lines = 0;

	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(send(fd, "{\"cmd\":\"reload\"}\n", 17, MSG_NOSIGNAL), 17);
	/* A client that closes its side still gets its answers; then the server closes. */
	shutdown(fd, SHUT_WR);
	reply = take(fd, &is_eof);
	for (; *reply; reply++)
		lines += *reply == '\n';
	ck_assert_int_eq(lines, 100);
	ck_assert(is_eof);
	close(fd);
}
END_TEST

START_TEST(test_too_long)
{
	static char line[(64 << 10) + 1];
	int fd = dial(), other = dial();
	bool is_eof;
	json_t *j;

	memset(line, ' ', sizeof(line));
	put(fd, line, sizeof(line));
	ck_assert_str_eq(take(fd, &is_eof),
			 "{\"schema\":1,\"error\":\"the request is longer than 64 KB\"}\n");
	ck_assert(is_eof);
	close(fd);
	/* The longest that fits is read, and others were not disturbed. */
	memcpy(line, "{\"cmd\":\"reload\"}", 16);
	line[(64 << 10) - 1] = '\n';
	ck_assert(put(other, line, 64 << 10));
	j = json_loads(take(other, &is_eof), 0, NULL);
	ck_assert(json_is_true(json_object_get(j, "ok")));
	json_decref(j);
	close(other);
}
END_TEST

START_TEST(test_many_clients)
{
	int fds[CLIENTS_MAX], extra;
	bool is_eof;
	json_t *j;

	for (int i = 0; i < CLIENTS_MAX; i++) {
		fds[i] = dial();
		pump();
	}
	extra = dial();
	ck_assert_str_eq(take(extra, &is_eof), "{\"schema\":1,\"error\":\"too many clients\"}\n");
	ck_assert(is_eof);
	close(extra);
	for (int i = 0; i < CLIENTS_MAX; i++) {
		j = ask_on(fds[i], "{\"cmd\":\"reload\"}\n");
		ck_assert(json_is_true(json_object_get(j, "ok")));
		json_decref(j);
	}
	close(fds[7]);
	pump();
	fds[7] = dial();
	j = ask_on(fds[7], "{\"cmd\":\"reload\"}\n");
	ck_assert(json_is_true(json_object_get(j, "ok")));
	json_decref(j);
	for (int i = 0; i < CLIENTS_MAX; i++)
		close(fds[i]);
	pump();
}
END_TEST

/* A client that asks and asks and never reads: it is not served further, nobody waits for it. */
START_TEST(test_deaf_client)
{
	static const char req[] = "{\"cmd\":\"counters\"}\n";
	int fd = dial();
	size_t sent = 0, lines = 0;
	bool is_eof;
	json_t *j;
	char *reply;

	for (;;) {
		ssize_t n = send(fd, req, sizeof(req) - 1, MSG_NOSIGNAL);

		pump();
		if (n < 0)
			break;
		ck_assert_int_eq(n, sizeof(req) - 1);
		sent++;
		ck_assert_uint_lt(sent, 100000);
	}
	ck_assert_int_eq(errno, EAGAIN);
	j = ask("{\"cmd\":\"reload\"}\n");
	ck_assert(json_is_true(json_object_get(j, "ok")));
	json_decref(j);
	/* And when it reads after all, every answer is there. */
	while (lines < sent) {
		size_t before = lines;

		for (reply = take(fd, &is_eof); *reply; reply++)
			lines += *reply == '\n';
		ck_assert_uint_gt(lines, before);
	}
	ck_assert_uint_eq(lines, sent);
	close(fd);
	pump();
}
END_TEST

/* Large answers are made one by one as the client reads, not all at once: together they are more
 * than it may owe. */
START_TEST(test_backpressure)
{
	enum { SITES = 60, REQUESTS = 200 };
	static const char req[] = "{\"cmd\":\"sites\"}\n";
	static char buf[65536];
	int fd = dial(), lines = 0;
	size_t bytes = 0;
	ssize_t n;

	fake.site_cnt = SITES;
	fake.sites = calloc(SITES, sizeof(*fake.sites));
	for (int i = 0; i < SITES; i++)
		fake.sites[i].link_cnt = QB_STATUS_LINKS_MAX;
	for (int i = 0; i < REQUESTS; i++)
		ck_assert_int_eq(send(fd, req, sizeof(req) - 1, MSG_NOSIGNAL), sizeof(req) - 1);
	while (lines < REQUESTS) {
		pump();
		n = recv(fd, buf, sizeof(buf), 0);
		ck_assert_int_gt(n, 0);
		bytes += (size_t)n;
		for (ssize_t i = 0; i < n; i++)
			lines += buf[i] == '\n';
	}
	ck_assert_uint_gt(bytes, 32 << 20);
	ck_assert_uint_eq(bytes % REQUESTS, 0); /* none was refused */
	free(fake.sites);
	close(fd);
	pump();
}
END_TEST

/* ---- monitor ---- */

START_TEST(test_monitor)
{
	struct qb_ctl_event ev = {.type = "link_state",
				  .name = "dsl",
				  .from = "active",
				  .to = "failed",
				  .reason = "no ACK for 180 ms",
				  .time_s = 1700000000.123};
	int fd = dial(), other = dial();
	bool is_eof;
	json_t *j;

	qb_ctl_emit(server, &ev); /* nobody listens yet */
	j = ask_on(fd, "{\"cmd\":\"monitor\"}\n");
	ck_assert(json_is_true(json_object_get(j, "ok")));
	json_decref(j);
	qb_ctl_emit(server, &ev);
	ck_assert_str_eq(take(fd, &is_eof),
			 "{\"schema\":1,\"event\":\"link_state\",\"time\":1700000000.123,"
			 "\"name\":\"dsl\",\"from\":\"active\",\"to\":\"failed\","
			 "\"reason\":\"no ACK for 180 ms\"}\n");
	ck_assert_str_eq(take(other, &is_eof), "");
	/* A half-closed subscriber still listens; and orders cause events before they are answered.
	 */
	shutdown(fd, SHUT_WR);
	pump();
	j = ask_on(other, "{\"cmd\":\"link\",\"name\":\"lte\",\"verb\":\"down\"}\n");
	json_decref(j);
	ck_assert_str_eq(take(fd, &is_eof),
			 "{\"schema\":1,\"event\":\"link_state\",\"time\":0.0,\"name\":\"lte\","
			 "\"to\":\"down\"}\n");
	ck_assert(!is_eof);
	close(fd);
	pump();
	qb_ctl_emit(server, &ev);
	close(other);
	pump();
}
END_TEST

START_TEST(test_slow_monitor)
{
	struct qb_ctl_event ev = {.type = "path_opened", .name = "dsl"};
	size_t events = 0, emitted = 20000;
	json_int_t lost = 0;
	int fd = dial();
	bool is_eof;
	char *line, *save;
	json_t *j = ask_on(fd, "{\"cmd\":\"monitor\"}\n");

	json_decref(j);
	for (size_t i = 0; i < emitted; i++)
		qb_ctl_emit(server, &ev);
	line = take(fd, &is_eof);
	ck_assert(!is_eof);
	for (; *line; line++)
		events += *line == '\n';
	ck_assert_uint_lt(events, emitted);
	/* The next event comes with the count of those that were lost. */
	qb_ctl_emit(server, &ev);
	for (line = strtok_r(take(fd, &is_eof), "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		j = json_loads(line, 0, NULL);
		if (strcmp(json_string_value(json_object_get(j, "event")), "lost") == 0)
			lost = json_integer_value(json_object_get(j, "count"));
		else
			events++;
		json_decref(j);
	}
	ck_assert_int_gt(lost, 0);
	ck_assert_uint_eq(events + (size_t)lost, emitted + 1);
	close(fd);
	pump();
}
END_TEST

/* ---- the socket ---- */

START_TEST(test_permissions)
{
	struct qb_ctl *second = NULL;
	char err[256], text[128];
	struct stat st;

	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 0777, 0660);
	/* Somebody answers there: it stays theirs. */
	ck_assert_int_eq(qb_ctl_open(path, NULL, &verbs, &fake, &second, err), -EADDRINUSE);
	snprintf(text, sizeof(text), "%s: another quicbondd answers there", path);
	ck_assert_str_eq(err, text);
	ck_assert_ptr_null(second);
	ck_assert_int_eq(lstat(path, &st), 0);
	/* A group that does not exist leaves it to root. */
	snprintf(text, sizeof(text), "%s2", path);
	ck_assert_int_eq(qb_ctl_open(text, "no-such-group", &verbs, &fake, &second, err), 0);
	ck_assert_int_eq(lstat(text, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	qb_ctl_close(second);
}
END_TEST

START_TEST(test_stale)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct qb_ctl *second = NULL;
	char err[256], want[300];
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s2", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd); /* the file stays, as after a crash */
	ck_assert_int_eq(lstat(sa.sun_path, &st), 0);
	ck_assert_msg(qb_ctl_open(sa.sun_path, "", &verbs, &fake, &second, err) == 0, "%s", err);
	/* A file that took its place meanwhile is not ours to remove. */
	ck_assert_int_eq(unlink(sa.sun_path), 0);
	fd = open(sa.sun_path, O_CREAT | O_WRONLY, 0600);
	qb_ctl_close(second);
	ck_assert_int_eq(lstat(sa.sun_path, &st), 0);
	/* A file that is no socket is left alone. */
	ck_assert_int_eq(qb_ctl_open(sa.sun_path, NULL, &verbs, &fake, &second, err), -EEXIST);
	snprintf(want, sizeof(want), "%s exists and is no socket", sa.sun_path);
	ck_assert_str_eq(err, want);
	close(fd);
	unlink(sa.sun_path);
	ck_assert_int_eq(qb_ctl_open("/proc/nope/s", NULL, &verbs, &fake, &second, err), -ENOENT);
	qb_ctl_close(NULL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_status,   test_io, test_score, bond_states, test_flows, test_guard, test_tun, test_sched, test_doctor, test_link_fields,  test_hub,	    test_odd_values,
		test_orders,   test_garbage,	  test_half_lines,  test_pipelined,
		test_too_long, test_many_clients, test_deaf_client, test_backpressure,
		test_monitor,  test_slow_monitor, test_permissions, test_stale,
	};
	Suite *s = suite_create("ctl");
	TCase *tc = tcase_create("ctl");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60); /* a slow machine is no fault */
	tcase_add_checked_fixture(tc, setup, teardown);
	for (size_t i = 0; i < QB_ARRAY_LEN(tests); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
