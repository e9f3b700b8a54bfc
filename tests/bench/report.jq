# SPDX-License-Identifier: BSD-2-Clause
# The tables of tests/bench/run: $now is build/bench.json, $last last.json or nothing, $title the systems' names.
def order: {plain: 0, udp: 1, xdp: 2, uring: 3, wg: 4, ovpn: 5};
def right($n): tostring | (" " * ([$n - length, 0] | max)) + .;
def left($n): tostring | . + (" " * ([$n - length, 0] | max));
def fixed($n): . * pow(10; $n) | round | tostring as $s
	| if $n == 0 then $s else ("0" * ([$n + 1 - ($s | length), 0] | max) + $s) | .[:-$n] + "." + .[-$n:] end;
def cell: if . == null then "-" elif type == "number" then fixed(2) else . end | right(10);
def row($name; $cells): ($name | left(34)) + ($cells | map(cell) | join(""));
def key: [.system, .offloads, .traffic, .flows, .direction];
def both($unit): .["cpu_a_" + $unit] + .["cpu_b_" + $unit];
($now[0]) as $n | ($last[0] // {results: [], memory: []}) as $l
| def before: key as $k | [$l.results[] | select(key == $k)][0].median;
def name: ($title[.system] | left(19)) + (.offloads | left(5)) + (.flows | right(3)) + " " + (.direction | left(5));
def some($x): if $x and $x > 0 then $x else null end;
def sorted: sort_by([.offloads, .flows, (.direction == "down"), (order[.system] // 9), .system]);
"Medians of \($n.settings.repeats) runs of \($n.settings.seconds) s; \($n.settings.links) links for quicbond, one for the others; \($n.host.cpus) processors; GB = 10^9 bytes",
"daemons: utime + stime of each; host: the whole machine, iperf3 included (softirq overlaps with what runs beneath it)",
"last: the figure of the last release" + (if $l.date then ", \($l.date[:10]) on \($l.host.cpus) × \($l.host.cpu)" else ": none is kept" end),
"",
"TCP: Gbit/s, and CPU seconds per gigabyte",
row("system             offl flows way"; ["Gbit/s", "last", "daemon a", "daemon b", "both", "last", "softirq", "host"]),
([$n.results[] | select(.traffic == "tcp" and (.system | startswith("workers") | not))] | sorted[]
	| before as $b | .median as $m
	| row(name; [$m.gbps, $b.gbps, some($m.cpu_a_s_per_gb), some($m.cpu_b_s_per_gb), some($m | both("s_per_gb")),
		some($b | if . then both("s_per_gb") else null end), $m.host_softirq_s_per_gb, $m.host_busy_s_per_gb])),
"",
"CPU per gigabyte, as part of wireguard-go's in the same run (both daemons; all of the above, mean)",
([$n.results[] | select(.traffic == "tcp")] as $t
	| ("udp", "xdp", "uring", "ovpn") as $s
	| [$t[] | select(.system == $s) | . as $r
		| [$t[] | select(.system == "wg" and (key | .[1:]) == ($r | key | .[1:]))][0] as $w
		| select($w) | ($r.median | both("s_per_gb")) / ($w.median | both("s_per_gb"))]
	| select(length > 0) | row($title[$s]; [add / length])),
"",
"UDP, IP packets of 64 bytes, sender unbounded: thousands/s that arrive, per core of daemons, and CPU microseconds per packet",
row("system"; ["kpps", "last", "per core", "last", "daemon a", "daemon b", "softirq", "host"]),
([$n.results[] | select(.traffic == "udp64")] | sorted[]
	| before as $b | .median as $m
	| row($title[.system]; [$m.pps / 1000, ($b | if . then .pps / 1000 else null end),
		some($m.pps_per_core / 1000), some(($b.pps_per_core // 0) / 1000),
		some($m.cpu_a_us_per_packet), some($m.cpu_b_us_per_packet), $m.host_softirq_us_per_packet, $m.host_busy_us_per_packet])),
"",
"Workers: 8 TCP flows, offloads off; Gbit/s per core are over the daemons' CPU time; the last three of both daemons, a run",
row("system"; ["Gbit/s", "per core", "last", "s/GB", "handed on", "waits", "switches"]),
([$n.results[] | select(.system | startswith("workers"))] | sorted[]
	| before as $b | .median as $m
	| def per_core: 8 / both("s_per_gb");
	row(($title[.system] | left(27)) + .direction; [$m.gbps, ($m | per_core), ($b | if . then per_core else null end),
		($m | both("s_per_gb")), ($m.handed_on | tostring), ($m.depot_waits | tostring), ($m.switches | tostring)])),
"",
"Memory: resident MB, idle, one tunnel (quicbond with \($n.settings.links) links)",
row("system"; ["a (edge)", "last", "b (hub)", "last"]),
($n.memory[] | select(.rss_a_kb > 0) | . as $m | [$l.memory[] | select(.system == $m.system)][0] as $b
	| row($title[.system]; [.rss_a_kb / 1024, ($b | if . then .rss_a_kb / 1024 else null end),
		.rss_b_kb / 1024, ($b | if . then .rss_b_kb / 1024 else null end)])),
""
