/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What quicbondctl shows, held against whole screens, and its end of the socket against the real
 * server in a thread.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "ctl/ctl.h"
#include "tools/ctl_client.h"
#include "tools/ctl_bond.h"
#include "tools/ctl_tun.h"
#include "tools/ctl_explain.h"
#include "tools/ctl_render.h"

#define LINKS                                                                                      \
	"\"links\":[{\"name\":\"dsl\",\"interface\":\"eth1\",\"state\":\"active\",\"tier\":"       \
	"\"primary\",\"io\":\"xdp-copy\",\"rtt_ms\":20.1,\"rtt_min_ms\":19.8,\"jitter_ms\":0.4,\"queue_tx_ms\":3.2,"   \
	"\"loss\":0.001,\"tx_bps\":12345678,\"rx_bps\":999960,\"cwnd\":120000,\"in_flight\":0,"    \
	"\"share\":0.71,\"reason\":\"\",\"tx_bytes\":5000000000,\"rx_bytes\":12,"                  \
	"\"congestion\":\"cubic\",\"congestion_reason\":\"no queue\"},"                             \
	"{\"name\":\"lte\",\"interface\":\"wwan0\",\"state\":\"failed\",\"tier\":\"backup\","      \
	"\"io\":\"udp\",\"rtt_ms\":0.0,\"loss\":1,\"share\":0,\"tx_bps\":0,\"rx_bps\":0,"          \
	"\"tx_bytes\":1,\"rx_bytes\":2,\"share_reason\":\"no ACK for 180 ms\"}]"

static const char edge[] =
	"{\"schema\":1,\"role\":\"edge\",\"name\":\"paris\",\"state\":\"degraded\",\"uptime_s\":"
	"7985.5,\"scheduler\":\"auto\",\"tunnel\":{\"device\":\"qb0\",\"mtu\":1380,\"addresses\":["
	"\"10.64.0.2/32\",\"fd00::2/128\"]},\"hub\":{\"name\":\"fra\",\"address\":"
	"\"10.99.0.1:4433\",\"state\":\"connected\",\"reason\":\"\"}," LINKS
	",\"sites\":[],\"counters\":{}}";

static const char hub[] =
	"{\"schema\":1,\"role\":\"hub\",\"name\":\"fra\",\"state\":\"bonded\",\"uptime_s\":200000,"
	"\"scheduler\":\"auto\",\"tunnel\":{\"device\":\"qb0\",\"mtu\":1380,\"addresses\":[]},"
	"\"hub\":null,\"links\":[],\"sites\":[{\"name\":\"paris\",\"state\":\"connected\","
	"\"addresses\":[\"10.64.0.2/32\"],\"prefixes\":[\"192.168.1.0/24\",\"192.168.2.0/24\"],"
	"\"connected_s\":61.2," LINKS "},{\"name\":\"lyon\",\"state\":\"down\",\"links\":[]}]}";

/* render draws a JSON text into a string. */
static char *render(void (*draw)(const struct ctl_style *, const json_t *), const char *text,
		    bool has_units, bool has_colour)
{
	struct ctl_style st = {.has_units = has_units, .has_colour = has_colour};
	json_t *j = json_loads(text, 0, NULL);
	char *out = NULL;
	size_t len;

	ck_assert_ptr_nonnull(j);
	st.out = open_memstream(&out, &len);
	draw(&st, j);
	fclose(st.out);
	json_decref(j);
	return out;
}

static void check_render(void (*draw)(const struct ctl_style *, const json_t *), const char *text,
			 bool has_units, const char *want)
{
	char *out = render(draw, text, has_units, false);

	ck_assert_str_eq(out, want);
	free(out);
}

/* clang-format off */
START_TEST(test_status)
{
	check_render(ctl_render_status, edge, true,
"name         paris\n"
"role         edge\n"
"state        degraded\n"
"up           2 h 13 min\n"
"device       qb0\n"
"mtu          1380\n"
"addresses    10.64.0.2/32,fd00::2/128\n"
"scheduler    auto\n"
"hub          fra\n"
"hub_address  10.99.0.1:4433\n"
"hub_state    connected\n"
"sending      12.3 Mbit/s\n"
"receiving    1.0 Mbit/s\n"
"sent         5.0 GB\n"
"received     14 B\n"
"\n"
"LINK  IFACE  STATE   TIER     IO            RTT     LOSS   SHARE      SENDING   RECEIVING  REASON\n"
"dsl   eth1   active  primary  xdp-copy  20.1 ms    0.1 %  71.0 %  12.3 Mbit/s  1.0 Mbit/s  -\n"
"lte   wwan0  failed  backup   udp        0.0 ms  100.0 %   0.0 %      0 bit/s     0 bit/s  no ACK for 180 ms\n");
}
END_TEST

START_TEST(test_status_plain)
{
	check_render(ctl_render_status, edge, false,
"name         paris\n"
"role         edge\n"
"state        degraded\n"
"uptime_s     7985.5\n"
"device       qb0\n"
"mtu          1380\n"
"addresses    10.64.0.2/32,fd00::2/128\n"
"scheduler    auto\n"
"hub          fra\n"
"hub_address  10.99.0.1:4433\n"
"hub_state    connected\n"
"tx_bps       12345678\n"
"rx_bps       999960\n"
"tx_bytes     5000000001\n"
"rx_bytes     14\n"
"\n"
"LINK  IFACE  STATE   TIER     IO        RTT_MS   LOSS  SHARE    TX_BPS  RX_BPS  REASON\n"
"dsl   eth1   active  primary  xdp-copy    20.1  0.001   0.71  12345678  999960  -\n"
"lte   wwan0  failed  backup   udp            0      1      0         0       0  no ACK for 180 ms\n");
}
END_TEST

START_TEST(test_hub)
{
	static const char table[] =
"SITE   STATE      LINKS      SENDING   RECEIVING    SENT  RECEIVED  CONNECTED  ADDRESSES     PREFIXES\n"
"paris  connected  1/2    12.3 Mbit/s  1.0 Mbit/s  5.0 GB      14 B  1 min 1 s  10.64.0.2/32  192.168.1.0/24,192.168.2.0/24\n"
"lyon   down       0/0        0 bit/s     0 bit/s     0 B       0 B          -  -             -\n";
	char want[1024];

	check_render(ctl_render_sites, hub, true, table);
	snprintf(want, sizeof(want), "%s%s",
"name         fra\n"
"role         hub\n"
"state        bonded\n"
"up           2 d 7 h\n"
"device       qb0\n"
"mtu          1380\n"
"addresses    -\n"
"scheduler    auto\n"
"sending      12.3 Mbit/s\n"
"receiving    1.0 Mbit/s\n"
"sent         5.0 GB\n"
"received     14 B\n"
"\n", table);
	check_render(ctl_render_status, hub, true, want);
}
END_TEST

START_TEST(test_links)
{
	check_render(ctl_render_links, edge, false,
"LINK  IFACE  STATE   TIER     IO        RTT_MS  RTT_MIN_MS  JITTER_MS  QUEUE_TX_MS   LOSS  SHARE    TX_BPS  RX_BPS    TX_BYTES  RX_BYTES    CWND  IN_FLIGHT  CC     REASON\n"
"dsl   eth1   active  primary  xdp-copy    20.1        19.8        0.4          3.2  0.001   0.71  12345678  999960  5000000000        12  120000          0  cubic  -\n"
"lte   wwan0  failed  backup   udp            0           -          -            -      1      0         0       0           1         2       -          -  -      no ACK for 180 ms\n");
	check_render(ctl_render_links, "{\"links\":[]}", false,
"LINK  IFACE  STATE  TIER  IO  RTT_MS  RTT_MIN_MS  JITTER_MS  QUEUE_TX_MS  LOSS  SHARE  TX_BPS  RX_BPS  TX_BYTES  RX_BYTES  CWND  IN_FLIGHT  CC  REASON\n");
	check_render(ctl_render_links, "{\"links\":[{\"site\":\"paris\",\"name\":\"path0\",\"peer_name\":\"dsl-1\",\"peer\":\"192.0.2.1:40312\"}]}", false,
"SITE   LINK   PEER_NAME  PEER             STATE  TIER  IO  RTT_MS  RTT_MIN_MS  JITTER_MS  QUEUE_TX_MS  LOSS  SHARE  TX_BPS  RX_BPS  TX_BYTES  RX_BYTES  CWND  IN_FLIGHT  CC  REASON\n"
"paris  path0  dsl-1      192.0.2.1:40312  -      -     -        -           -          -            -     -      -       -       -         -         -     -          -  -   -\n");
}
END_TEST

START_TEST(test_counters)
{
	static const char text[] = "{\"counters\":{\"handshakes\":1,\"xdp_pass\":1234567}}";

	check_render(ctl_render_counters, text, false,
"COUNTER       VALUE\n"
"handshakes        1\n"
"xdp_pass    1234567\n");
	check_render(ctl_render_counters, text, true,
"COUNTER       VALUE  WHAT\n"
"handshakes        1  handshakes completed\n"
"xdp_pass    1234567  -\n");
}
END_TEST

START_TEST(test_io)
{
	static const char text[] =
		"{\"interfaces\":[{\"name\":\"dsl\",\"interface\":\"eth1\",\"io\":\"xdp-copy\",\"offers\":\"redirect zero-copy\",\"reason\":\"as configured\","
		"\"sockets\":{\"drops\":0},\"program\":{\"xdp_steered_short\":12},\"queues\":[{\"fill_level\":64},{\"rx_ring_full\":3}]}],"
		"\"guard\":{\"guard_initials\":2},\"stages\":[{\"stage\":\"receive\",\"packets\":640,\"ns\":64000,\"ns_each\":100},"
		"{\"stage\":\"open\",\"packets\":640,\"ns\":192000,\"ns_each\":300}]}";

	check_render(ctl_render_io, text, false,
"INTERFACE  LINK  IO        DRIVER_OFFERS       REASON\n"
"eth1       dsl   xdp-copy  redirect zero-copy  as configured\n"
"\n"
"INTERFACE  WHERE    FIGURE             VALUE\n"
"eth1       sockets  drops                  0\n"
"eth1       program  xdp_steered_short     12\n"
"eth1       queue0   fill_level            64\n"
"eth1       queue1   rx_ring_full           3\n"
"all        guard    guard_initials         2\n"
"\n"
"STAGE    PACKETS  NS_EACH  SHARE\n"
"receive      640      100  25 %\n"
"open         640      300  75 %\n");
	check_render(ctl_render_io, text, true,
"INTERFACE  LINK  IO        DRIVER OFFERS       REASON\n"
"eth1       dsl   xdp-copy  redirect zero-copy  as configured\n"
"\n"
"INTERFACE  WHERE    FIGURE             VALUE\n"
"eth1       program  xdp_steered_short     12\n"
"eth1       queue0   fill_level            64\n"
"eth1       queue1   rx_ring_full           3\n"
"all        guard    guard_initials         2\n"
"\n"
"STAGE    PACKETS  NS EACH  SHARE\n"
"receive      640      100  25 %\n"
"open         640      300  75 %\n");
}
END_TEST

static const char conns[] =
	"{\"total\":3,\"connections\":[{\"name\":\"hub\",\"use\":\"tunnel\",\"state\":\"confirmed\",\"worker\":0,"
	"\"version\":1,\"cipher\":\"AES-128-GCM\",\"resumed\":true,\"early\":true,\"paths\":2,\"streams\":7,"
	"\"tx_bytes\":4850,\"rx_bytes\":0,\"age_s\":2.1,\"silent_s\":1,\"peer\":\"10.99.0.1:4433\",\"cid\":\"827f\"},"
	"{\"name\":\"\",\"use\":\"\",\"state\":\"handshake\",\"worker\":1,\"version\":2,\"cipher\":\"\","
	"\"paths\":1,\"streams\":0,\"tx_bytes\":1200,\"rx_bytes\":0,\"age_s\":0.1,\"silent_s\":0.1,"
	"\"peer\":\"10.99.0.2:443\",\"cid\":\"01\"}]}";

START_TEST(test_conns)
{
	check_render(ctl_render_conns, conns, false,
"NAME  USE     STATE      WORKER  VERSION  CIPHER       BEGAN  PATHS  STREAMS  TX_BYTES  RX_BYTES  AGE_S  SILENT_S  PEER            CID\n"
"hub   tunnel  confirmed       0        1  AES-128-GCM  0-RTT      2        7      4850         0    2.1         1  10.99.0.1:4433  827f\n"
"-     -       handshake       1        2  -            new        1        0      1200         0    0.1       0.1  10.99.0.2:443   01\n"
"... of 3\n");
}
END_TEST

START_TEST(test_tun)
{
	static const char tun[] =
		"{\"tun\":{\"device\":\"qb0\",\"ifindex\":7,\"up\":true,\"mtu\":1380,\"mtu_auto\":true,\"addresses\":[\"10.64.0.2/32\",\"fd00::2/128\"],"
		"\"offloads\":[\"checksum\",\"tso\"],\"queue_len\":500,\"unread\":3,\"errors\":0,\"queues\":[{\"queue\":0,\"on\":true,\"rx_packets\":10,"
		"\"rx_bytes\":14000,\"rx_super\":2,\"rx_malformed\":1,\"tx_packets\":5,\"tx_bytes\":700,\"tx_super\":0,\"tx_refused\":4},"
		"{\"queue\":1,\"on\":false}],\"routes\":[{\"prefix\":\"10.1.0.0/24\",\"table\":254,\"site\":\"paris\"}]}}";

	check_render(ctl_render_tun, tun, false,
"device      qb0, index 7, up\n"
"mtu         1380, follows the paths\n"
"addresses   10.64.0.2/32, fd00::2/128\n"
"offloads    checksum, tso\n"
"kernel      3 packets of the host found no room (500 fit in a queue), 0 errors\n"
"\n"
"QUEUE  ON   RX_PACKETS  RX_BYTES  RX_SUPER  RX_MALFORMED  TX_PACKETS  TX_BYTES  TX_SUPER  TX_REFUSED\n"
"    0  yes          10     14000         2             1           5       700         0           4\n"
"    1  no            -         -         -             -           -         -         -           -\n"
"\n"
"ROUTE        TABLE  SITE\n"
"10.1.0.0/24    254  paris\n");
	check_render(ctl_render_tun, "{\"tun\":{\"device\":\"qb0\",\"mtu\":1400,\"routes\":[{\"prefix\":\"::/0\",\"table\":51}]}}", true,
"device      qb0, index 0, down\n"
"mtu         1400, as configured\n"
"addresses   -\n"
"offloads    -\n"
"kernel      0 packets of the host found no room (0 fit in a queue), 0 errors\n"
"\n"
"QUEUE  ON  PACKETS  READ  SUPER  MALFORMED  PACKETS  WRITTEN  SUPER  REFUSED\n"
"\n"
"ROUTE  TABLE\n"
"::/0      51\n");
	free(render(ctl_render_tun, "{\"tun\":{\"queues\":[1,{\"on\":3}],\"routes\":[null],\"addresses\":7,\"device\":[]}}", true, true));
}
END_TEST

START_TEST(test_blocks)
{
	static const char list[] = "{\"blocks\":[],\"entries\":[{\"prefix\":\"192.0.2.0/24\",\"file\":false,\"left_s\":90},"
				   "{\"prefix\":\"2001:db8::/32\",\"file\":true,\"left_s\":null},{\"prefix\":\"198.51.100.1/32\"},7]}";

	check_render(ctl_render_blocks, list, true,
"192.0.2.0/24  for 1 min 30 s\n"
"2001:db8::/32  by file\n"
"198.51.100.1/32\n"
"-\n");
	check_render(ctl_render_blocks, "{\"entries\":[{\"prefix\":\"::/0\",\"file\":true,\"left_s\":5}]}", false, "::/0  for 5 s  by file\n");
}
END_TEST

START_TEST(test_known)
{
	check_render(ctl_render_known,
		     "{\"life_s\":86400,\"known\":[{\"key\":\"00000000000000ab\",\"name\":\"dsl\",\"window\":500000,"
		     "\"rtt_ms\":80,\"rate_bps\":50000000,\"age_s\":400},{\"key\":\"ff\",\"name\":\"\",\"window\":1,"
		     "\"rtt_ms\":2,\"rate_bps\":3,\"age_s\":90000}]}",
		     false,
"LINK  RATE_BPS  WINDOW  RTT_MS  AGE_S  LEFT_S  KEY\n"
"dsl   50000000  500000      80    400   86000  00000000000000ab\n"
"-            3       1       2  90000       0  ff\n");
}
END_TEST

static const char flows[] =
	"{\"flows\":[{\"direction\":\"tx\",\"class\":\"bulk\",\"rate_bps\":12300000,\"queue_ms\":4.2,\"queue_max_ms\":9,"
	"\"hold_ms\":null,\"drops\":3,\"marks\":0,\"paths\":[{\"link\":\"dsl\",\"share\":0.75},{\"link\":\"lte\",\"share\":0.25}],"
	"\"protocol\":\"tcp\",\"source\":\"10.0.0.1:443\",\"destination\":\"10.0.0.2:5000\"},"
	"{\"direction\":\"rx\",\"class\":null,\"rate_bps\":64000,\"queue_ms\":null,\"hold_ms\":2.5,\"hold_max_ms\":7,\"drops\":0,"
	"\"marks\":0,\"paths\":[{\"link\":\"lte\",\"share\":1}],\"protocol\":\"udp\",\"source\":\"10.0.0.3:1\",\"destination\":\"10.0.0.2:2\"}]}";

START_TEST(test_flows)
{
	check_render(ctl_render_flows, flows, true,
"DIR  CLASS         RATE    WAIT     MAX  DROPS  MARKS  PATHS               PROTO  SOURCE        DESTINATION\n"
"tx   bulk   12.3 Mbit/s  4.2 ms  9.0 ms      3      0  dsl 75 %, lte 25 %  tcp    10.0.0.1:443  10.0.0.2:5000\n"
"rx   -      64.0 kbit/s  2.5 ms  7.0 ms      0      0  lte 100 %           udp    10.0.0.3:1    10.0.0.2:2\n");
	check_render(ctl_render_flows, flows, false,
"DIR  CLASS  RATE_BPS  WAIT_MS  WAIT_MAX_MS  DROPS  MARKS  PATHS              PROTO  SOURCE        DESTINATION\n"
"tx   bulk   12300000      4.2            9      3      0  dsl:0.75,lte:0.25  tcp    10.0.0.1:443  10.0.0.2:5000\n"
"rx   -         64000      2.5            7      0      0  lte:1.00           udp    10.0.0.3:1    10.0.0.2:2\n");
}
END_TEST

/* A link in sentences; what is missing or makes no sense does no harm. */
START_TEST(test_explain)
{
	static const char links[] =
		"{\"links\":[{\"name\":\"wan1\",\"state\":\"active\",\"tx_bps\":90000000,\"share\":0.9,\"rtt_ms\":20,"
		"\"share_reason\":\"carries what it can\"},"
		"{\"name\":\"wan2\",\"interface\":\"eth2\",\"signal_dbm\":-61,\"signal_percent\":67,\"technology\":\"LTE\",\"state\":\"active\",\"state_age_s\":61.2,\"tier\":\"primary\","
		"\"share_reason\":\"42 ms behind\",\"tx_bps\":10000000,\"rx_bps\":2500,\"share\":0.1,\"rtt_ms\":62,\"rtt_min_ms\":60,\"rtt_loaded_ms\":71.5,\"owd_tx_ms\":2,\"owd_rx_ms\":18.54,"
		"\"delivery_bps\":20000000,\"limit_bps\":5000000,\"congestion\":\"bbr3\",\"cwnd\":120000,\"in_flight\":30000,"
		"\"failures\":4,\"recoveries\":1,\"flaps\":3,\"shares_with\":[\"wan1\",\"wan3\",\"wan4\"]}]}";
	static const char sites[] = "{\"links\":[{\"site\":\"a\",\"name\":\"path0\",\"state\":\"absent\",\"reason\":\"gone\"},"
				    "{\"site\":\"b\",\"name\":\"path0\",\"state\":\"active\",\"peer\":\"192.0.2.7:4433\",\"tier\":\"primary\"},7,{}]}";
	json_t *j = json_loads(links, 0, NULL), *said = ctl_explain(j, "wan2");
	char *text;

	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(said, "link"), "name")), "wan2");
	text = json_dumps(said, 0);
	check_render(ctl_render_lines, text, true,
"wan2 (eth2) is active, for 61 s; tier primary\n"
"why: 42 ms behind\n"
"sends 10.0 Mbit/s of 100.0 Mbit/s (10 %), receives 2 kbit/s\n"
"its radio hears -61 dBm\n"
"its modem is connected by LTE, and rates the signal 67 %\n"
"delivered 20.0 Mbit/s when last kept busy; round trip 62.0 ms, at least 60.0; queue on the way 0.0 ms; loss 0.00 %\n"
"one way, without queues, it is 2.0 ms behind the quickest link from here, and 18.5 ms to here\n"
"kept busy, its round trip is 71.5 ms: load adds 11.5\n"
"is limited to 5.0 Mbit/s by configuration\n"
"bbr3 lets 120 kB be under way, and 30 kB are\n"
"was given up 4 times and came back once; the last 3 failures came soon after one another\n"
"waits in one queue with wan1, wan3 and wan4 somewhere on the way: together they take as much as one flow\n"
"beside it wan1 is active and sends 90.0 Mbit/s (90 %), round trip 20.0 ms: carries what it can\n");
	free(text);
	json_decref(said);
	ck_assert_ptr_null(ctl_explain(j, "wan3"));
	json_decref(j);
	j = json_loads("{\"links\":[{\"name\":\"wan1\",\"state\":\"failed\",\"rtt_min_ms\":9,\"failures\":1},"
		       "{\"name\":\"lte\",\"state\":\"absent\",\"reason\":\"no such interface\"}]}", 0, NULL);
	said = ctl_explain(j, "wan1");
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(said, "lines"), 3)),
			 "delivered 0 kbit/s at most, and was not kept busy yet; round trip 0.0 ms, at least 9.0; queue on the way 0.0 ms; loss 0.00 %");
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(said, "lines"), 5)), "was given up once and has not come back");
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(said, "lines"), 6)), "beside it lte is absent: no such interface");
	json_decref(said);
	json_decref(j);
	j = json_loads(sites, 0, NULL);
	ck_assert_ptr_null(ctl_explain(j, "path0"));
	said = ctl_explain(j, "a/path0");
	text = json_dumps(said, 0);
	check_render(ctl_render_lines, text, true, "path0 is absent; tier \nwhy: gone\n");
	free(text);
	json_decref(said);
	said = ctl_explain(j, "b/path0");
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(said, "lines"), 0)),
			 "path0 (192.0.2.7:4433) is active; tier primary");
	json_decref(said);
	json_decref(j);
}
END_TEST

START_TEST(test_bond)
{
	static const char status[] =
		"{\"mode\":\"bond\",\"state\":\"bonded\",\"scheduler\":\"auto\",\"grain\":\"flow\",\"loaded_queue_ms\":12.25,"
		"\"links\":[{\"state\":\"active\",\"rtt_loaded_ms\":35.5,\"rtt_min_ms\":20,\"flaps\":2},{\"state\":\"standby\",\"rtt_min_ms\":9},7],"
		"\"sites\":[{\"links\":[{\"state\":\"failed\",\"flaps\":1}]}],\"fec\":{\"wanted\":\"auto:5-40\",\"loss\":0.0213,\"burst\":1.5,\"redundancy\":0.2,\"overhead\":0.25},"
		"\"counters\":{\"failovers\":2,\"failover_gap_ms\":130,\"failover_gap_le_100ms\":2,\"reorder_held\":4,\"reorder_hold_us\":6000,"
		"\"reorder_hold_le_5ms\":4,\"repaired\":9,\"fec_sent\":5}}";
	json_t *j = json_loads(status, 0, NULL), *bond = ctl_bond(j), *garbage = json_loads("{\"links\":7,\"counters\":[]}", 0, NULL);
	char *text = json_dumps(bond, 0);

	check_render(ctl_render_bond, text, true,
"mode         bond\n"
"state        bonded\n"
"scheduler    auto\n"
"grain        flow\n"
"links        total 4, active 1, standby 1, suspect 0, probing 0, failed 1, drained 0, absent 0, flaps 3, loaded_rtt_more_ms 15.5\n"
"failover     failovers 2, rescued 0, recoveries 0, flaps_held 0, moves 0, gap_le_50ms 0, gap_le_100ms 2, gap_le_200ms 0, gap_le_500ms 0, gap_more 0, gap_mean_ms 65\n"
"reorder      held 4, repaired 0, released_loss 0, released_time 0, released_full 0, late 0, duplicates 0, hold_le_5ms 4, hold_le_20ms 0, hold_le_50ms 0, hold_le_100ms 0, hold_more 0, hold_mean_ms 1.5\n"
"repair       repaired 9, failed 0, copies 0, copies_bytes 0, copies_skipped 0, tail_copies 0\n"
"fec          blocks 0, protected 0, sent 5, bytes 0, recovered 0, failed 0, useless 0, wanted auto:5-40, loss 0.0213, burst 1.5, redundancy 0.2, overhead 0.25\n"
"load         waits 12.2 ms in our queue while there is one\n");
	free(text);
	json_decref(bond);
	bond = ctl_bond_part(j, "fec");
	text = json_dumps(bond, 0);
	check_render(ctl_render_bond_part, text, true,
"fec          blocks 0, protected 0, sent 5, bytes 0, recovered 0, failed 0, useless 0, wanted auto:5-40, loss 0.0213, burst 1.5, redundancy 0.2, overhead 0.25\n");
	free(text);
	json_decref(bond);
	json_decref(j);
	bond = ctl_bond(garbage);
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(bond, "bond"), "mode")), "");
	json_decref(bond);
	json_decref(garbage);
}
END_TEST

static const char decisions[] =
	"{\"scheduler\":\"bpf:/a.o\",\"schedulers\":[\"auto\",\"ecf\"],\"decisions\":["
	"{\"age_s\":0.0125,\"scheduler\":\"auto\",\"flow\":7,\"bytes\":1300,\"kind\":\"bulk\",\"link\":\"lte\",\"reason\":\"dsl is busy for 3.0 ms\","
	"\"choices\":[{\"link\":\"dsl\",\"state\":\"busy\",\"delay_ms\":10.04,\"wait_ms\":3},"
	"{\"link\":\"lte\",\"state\":\"free\",\"delay_ms\":12,\"wait_ms\":0}]},"
	"{\"age_s\":0.75,\"scheduler\":\"auto\",\"flow\":7,\"bytes\":90,\"kind\":\"sparse\",\"link\":null,\"reason\":\"no link is there for it\","
	"\"choices\":[]}]}";

START_TEST(test_sched)
{
	check_render(ctl_render_sched, decisions, true,
"  auto\n"
"  ecf\n"
"* bpf:/a.o\n");
	check_render(ctl_render_sched, "{\"scheduler\":\"ecf\",\"schedulers\":[\"auto\",\"ecf\"],\"forms\":[\"minrtt:0-100%\",7]}", false,
"  auto\n"
"* ecf\n"
"  minrtt:0-100%\n");
	check_render(ctl_render_decisions, decisions, true,
"     AGO  SCHEDULER  KIND      SIZE  LINK  WHY                      CHOICES: DELAY AND WAIT\n"
" 12.5 ms  auto       bulk    1.3 kB  lte   dsl is busy for 3.0 ms   dsl 10.0+3.0 ms busy, lte 12.0+0.0 ms free\n"
"750.0 ms  auto       sparse    90 B  -     no link is there for it  -\n");
	check_render(ctl_render_decisions, decisions, false,
"AGE_MS  SCHEDULER  KIND    BYTES  LINK  WHY                      CHOICES\n"
"  12.5  auto       bulk     1300  lte   dsl is busy for 3.0 ms   dsl:10.0:3.0:busy,lte:12.0:0.0:free\n"
"   750  auto       sparse     90  -     no link is there for it  -\n");
}
END_TEST

START_TEST(test_findings)
{
	static const char text[] =
		"{\"findings\":[{\"severity\":\"fault\",\"where\":\"eth1\",\"text\":\"too strict\",\"mend\":\"sysctl\\u001b[2J\"},"
		"{\"severity\":\"hint\",\"where\":\"host\",\"text\":\"slow\",\"mend\":\"more\"}]}";
	json_t *j = json_loads(text, 0, NULL);

	check_render(ctl_render_findings, text, false,
"FAULT: eth1: too strict\n"
"    mend: sysctl?[2J\n"
"hint: host: slow\n"
"    mend: more\n");
	check_render(ctl_render_findings, "{\"findings\":[]}", false, "nothing found\n");
	check_render(ctl_render_findings,
		     "{\"crypto\":{\"cpu\":[\"AES-NI\",\"VAES\"],\"aead\":\"AES-128-GCM\",\"why\":\"it is quick\",\"in_use\":\"AES-128-GCM 2\"},\"findings\":[]}",
		     false, "crypto: AES-128-GCM: it is quick (CPU: AES-NI,VAES); in use: AES-128-GCM 2\nnothing found\n");
	ck_assert_int_eq(ctl_findings_exit(j), CTL_EXIT_DEGRADED);
	json_array_remove(json_object_get(j, "findings"), 0);
	ck_assert_int_eq(ctl_findings_exit(j), CTL_EXIT_FINE);
	json_decref(j);
}
END_TEST
/* clang-format on */

/* A peer's words cannot drive the terminal, and colour does not disturb the columns. */
START_TEST(test_terminal)
{
	char *out = render(ctl_render_status,
			   "{\"name\":\"a\\u001b[2Jb\\u007f\\u009b\",\"links\":[{\"state\":"
			   "\"active\",\"name\":\"d\\u00e9\"}]}",
			   true, true);
	const char *row;

	ck_assert_ptr_nonnull(strstr(out, "name         a?[2Jb??\n"));
	row = strstr(out, "d\xc3\xa9");
	ck_assert_ptr_nonnull(row);
	ck_assert_int_eq(strncmp(row, "d\xc3\xa9    -      \033[32mactive\033[0m  -", 30), 0);
	free(out);
}
END_TEST

static void draw_top(const struct ctl_style *st, const json_t *status)
{
	ctl_render_top(st, status, NULL);
}

static void draw_top_with_flows(const struct ctl_style *st, const json_t *status)
{
	json_t *j = json_loads(flows, 0, NULL);

	ctl_render_top(st, status, j);
	json_decref(j);
}

/* The live view is the status and, on an edge, a line more for each link; and the flows. */
START_TEST(test_top)
{
	char *status = render(ctl_render_status, edge, true, false), *top = render(draw_top, edge, true, false);
	const char *rest = top + strlen(status);

	ck_assert_int_eq(strncmp(top, status, strlen(status)), 0);
	ck_assert_int_eq(strncmp(rest, "\nLINK  CC ", 10), 0);
	ck_assert_ptr_nonnull(strstr(rest, " cubic "));
	ck_assert_ptr_nonnull(strstr(rest, " WHY"));
	ck_assert_ptr_nonnull(strstr(rest, " no queue"));
	ck_assert_ptr_nonnull(strstr(rest, "\nlte   - "));
	free(status);
	free(top);
	status = render(ctl_render_status, hub, true, false);
	top = render(draw_top, hub, true, false);
	ck_assert_str_eq(top, status);
	free(top);
	top = render(draw_top_with_flows, hub, true, false);
	ck_assert_int_eq(strncmp(top + strlen(status), "\nDIR  CLASS ", 12), 0);
	ck_assert_ptr_nonnull(strstr(top, "dsl 75 %, lte 25 %"));
	free(status);
	free(top);
}
END_TEST

/* Answers that make no sense are shown as far as they do. */
START_TEST(test_nonsense)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		"{\"links\":7,\"sites\":{},\"counters\":[],\"tunnel\":\"x\",\"hub\":[]}",
		"{\"links\":[1,null,[]],\"sites\":[3,{\"links\":\"x\"}]}",
		"{\"interfaces\":[4,{\"queues\":[1,{\"x\":\"y\"}],\"sockets\":3}],\"guard\":[],\"stages\":[1,{\"ns\":\"x\",\"stage\":[]},null]}",
		"{\"findings\":[1,{\"where\":3},[]]}",
		"{\"scheduler\":[],\"schedulers\":[1,\"x\\u001b\"],\"decisions\":[1,{\"choices\":3},{\"choices\":[1,{\"link\":2}]}]}",
		"{\"flows\":[1,{\"paths\":3,\"direction\":[]},{\"paths\":[1,{\"link\":2}]}]}",
		"{\"life_s\":\"x\",\"known\":[1,{\"name\":[]},null]}",
		"{\"uptime_s\":1e300,\"links\":[{\"tx_bps\":1e300,\"rx_bps\":-5}]}",
	};

	for (size_t i = 0; i < QB_ARRAY_LEN(texts); i++) {
		free(render(ctl_render_status, texts[i], true, true));
		free(render(draw_top_with_flows, texts[i], true, true));
		free(render(ctl_render_flows, texts[i], true, true));
		free(render(ctl_render_conns, texts[i], true, true));
		free(render(ctl_render_known, texts[i], true, true));
		free(render(ctl_render_sched, texts[i], true, true));
		free(render(ctl_render_decisions, texts[i], true, true));
		free(render(ctl_render_links, texts[i], true, false));
		free(render(ctl_render_sites, texts[i], false, false));
		free(render(ctl_render_counters, texts[i], true, false));
		free(render(ctl_render_io, texts[i], true, false));
		free(render(ctl_render_findings, texts[i], true, false));
	}
}
END_TEST

START_TEST(test_exit)
{
	static const struct {
		const char *text;
		int code;
	} t[] = {
		{"{\"state\":\"bonded\"}", 0},
		{"{\"state\":\"degraded\"}", 2},
		{"{\"state\":\"connecting\"}", 2},
		{"{\"state\":\"down\"}", 2},
		{"{\"state\":\"single\",\"links\":[{\"tier\":\"primary\",\"state\":\"active\"}]}",
		 0},
		{"{\"state\":\"single\",\"mode\":\"single\",\"links\":[{\"tier\":\"primary\",\"state\":\"active\"},"
		 "{\"tier\":\"primary\",\"state\":\"standby\"}]}",
		 CTL_EXIT_FINE},
		{"{\"state\":\"single\",\"links\":[{\"tier\":\"primary\",\"state\":\"active\"},"
		 "{\"tier\":\"backup\",\"state\":\"failed\"}]}",
		 2},
		{"{\"state\":\"single\",\"links\":[{\"tier\":\"primary\",\"state\":\"active\"},"
		 "{\"tier\":\"never\",\"state\":\"standby\"},"
		 "{\"tier\":\"primary\",\"state\":\"drained\"}]}",
		 0},
	};

	for (size_t i = 0; i < QB_ARRAY_LEN(t); i++) {
		json_t *j = json_loads(t[i].text, 0, NULL);

		ck_assert_msg(ctl_status_exit(j) == t[i].code, "%s", t[i].text);
		json_decref(j);
	}
}
END_TEST

/* ---- the client against the server ---- */

struct daemon {
	struct qb_ctl *ctl;
	int stop_fd;
	struct qb_site_status sites[2000];
};

static int do_status(void *arg, struct qb_status *st, char *err)
{
	struct daemon *d = arg;

	(void)err;
	strcpy(st->role, "hub");
	st->sites = d->sites;
	st->site_cnt = QB_ARRAY_LEN(d->sites);
	return 0;
}

static int do_reload(void *arg, char *err)
{
	(void)arg;
	snprintf(err, 256, "f:1: no");
	return -EINVAL;
}

static void *serve(void *arg)
{
	struct daemon *d = arg;
	struct pollfd p[] = {{.fd = qb_ctl_fd(d->ctl), .events = POLLIN},
			     {.fd = d->stop_fd, .events = POLLIN}};

	while (poll(p, 2, -1) > 0 && !p[1].revents)
		qb_ctl_process(d->ctl);
	return NULL;
}

START_TEST(test_client)
{
	static const struct qb_ctl_verbs verbs = {.status = do_status, .reload = do_reload};
	struct daemon *d = calloc(1, sizeof(*d));
	char path[64], err[CTL_ERR_LEN];
	struct ctl_client c;
	pthread_t thread;
	json_t *j;

	qb_log_max = QB_LOG_ERR;
	for (size_t i = 0; i < QB_ARRAY_LEN(d->sites); i++)
		d->sites[i].link_cnt = QB_STATUS_LINKS_MAX;
	snprintf(path, sizeof(path), "/tmp/qb-test-tools-%d", (int)getpid());
	ck_assert_int_lt(ctl_connect(&c, path, err), 0);
	ck_assert_ptr_nonnull(strstr(err, "is it running?"));
	ck_assert_int_eq(qb_ctl_open(path, NULL, &verbs, d, &d->ctl, err), 0);
	d->stop_fd = eventfd(0, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, serve, d), 0);

	ck_assert_msg(ctl_connect(&c, path, err) == 0, "%s", err);
	j = ctl_ask(&c, json_pack("{s:s}", "cmd", "reload"), err);
	ck_assert_str_eq(json_string_value(json_object_get(j, "error")), "f:1: no");
	json_decref(j);
	/* An answer of many megabytes comes whole. */
	j = ctl_ask(&c, json_pack("{s:s}", "cmd", "sites"), err);
	ck_assert_uint_eq(json_array_size(json_object_get(j, "sites")), QB_ARRAY_LEN(d->sites));
	json_decref(j);

	ck_assert_int_eq(write(d->stop_fd, &(uint64_t){1}, 8), 8);
	pthread_join(thread, NULL);
	qb_ctl_close(d->ctl);
	ck_assert_ptr_null(ctl_read_line(&c, err));
	ck_assert_str_eq(err, "quicbondd has closed the connection");
	ctl_disconnect(&c);
	close(d->stop_fd);
	free(d);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tools/ctl");
	TCase *tc = tcase_create("ctl");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_status);
	tcase_add_test(tc, test_status_plain);
	tcase_add_test(tc, test_hub);
	tcase_add_test(tc, test_links);
	tcase_add_test(tc, test_counters);
	tcase_add_test(tc, test_io);
	tcase_add_test(tc, test_conns);
	tcase_add_test(tc, test_tun);
	tcase_add_test(tc, test_blocks);
	tcase_add_test(tc, test_known);
	tcase_add_test(tc, test_flows);
	tcase_add_test(tc, test_explain);
	tcase_add_test(tc, test_bond);
	tcase_add_test(tc, test_sched);
	tcase_add_test(tc, test_findings);
	tcase_add_test(tc, test_terminal);
	tcase_add_test(tc, test_top);
	tcase_add_test(tc, test_nonsense);
	tcase_add_test(tc, test_exit);
	tcase_add_test(tc, test_client);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
