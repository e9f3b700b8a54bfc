# SPDX-License-Identifier: BSD-2-Clause
# docs/speed.md from build/bench.json or last.json (`jq -r -f tests/bench/page.jq FILE`); tests/bench/run does so at its end.
def fixed($n): . * pow(10; $n) | round | tostring as $s
	| if $n == 0 then $s else ("0" * ([$n + 1 - ($s | length), 0] | max) + $s) | .[:-$n] + "." + .[-$n:] end;
def cells: "| " + (map(. // "-" | tostring) | join(" | ")) + " |";
def head: cells, (map("---") | cells);
def both($unit): .["cpu_a_" + $unit] + .["cpu_b_" + $unit];
def title: {plain: "veth alone", udp: "quicbond, UDP", xdp: "quicbond, AF_XDP with copies", uring: "quicbond, io_uring",
	wg: "wireguard-go", ovpn: "OpenVPN"}[.] // .;
def systems: ["plain", "udp", "xdp", "uring", "wg", "ovpn"];
def mean: if length > 0 then add / length else null end;
. as $all
| ([.results[].system] | unique) as $have
| [systems[] | select(. as $s | $have | index($s))] as $s
| [$s[] | select(. != "plain")] as $t
| def at($system; $row): [$all.results[] | select(.system == $system and .traffic == $row.traffic and .offloads == $row.offloads
	and .flows == $row.flows and .direction == $row.direction)][0].median;
[.results[] | select(.system == "udp" and .traffic == "tcp") | {offloads, traffic, flows, direction}]
	| sort_by([.offloads, .flows, .direction == "down"]) as $rows
| def name: "\(.flows) flow\(if .flows > 1 then "s" else "" end) \(.direction), offloads \(.offloads)";
"# Speed",
"",
"What the tunnel costs on one machine, beside other tunnels in the same run: \($all.host.cpus) processors (\($all.host.cpu)), Linux",
"\($all.host.kernel), \($all.date[:10]); medians of \($all.settings.repeats) run\(if $all.settings.repeats > 1 then "s" else "" end) of \($all.settings.seconds) s. Both ends, and what makes and takes the traffic, are on these",
"processors, so throughput is what is left of them; the figure to compare is CPU time. Again, in nine minutes, on an idle machine:",
"",
"    sudo make bench",
"",
"[tests/bench](../tests/bench/README.md) says how it is measured; `KEEP_AS_LAST=yes` writes this page anew. quicbond has \($all.settings.links) links, the",
"others one; all are joined by plain veth pairs. With offloads off these are like NICs that have none; with them on, super-packets pass",
"whole, which no wire does.",
"",
"## Bulk",
"",
"Gbit/s of TCP through the tunnel:",
"",
(["traffic"] + ($s | map(title)) | head),
($rows[] | . as $r | [name] + [$s[] | at(.; $r).gbps | if . then fixed(2) else null end] | cells),
"",
"CPU seconds a gigabyte (10⁹ bytes), of both daemons together, with what the kernel does in their names:",
"",
(["traffic"] + ($t | map(title)) | head),
($rows[] | . as $r | [name] + [$t[] | at(.; $r) | if . then both("s_per_gb") | fixed(2) else null end] | cells),
([if ($t | index("wg")) then $t[] | . as $x
	| [$rows[] | . as $r | {x: at($x; $r), w: at("wg"; $r)} | select(.x and .w) | (.x | both("s_per_gb")) / (.w | both("s_per_gb"))]
	| mean | if . then fixed(2) else null end else empty end] | if length > 0 then ["**of wireguard-go's, mean**"] + map("**\(. // "-")**") | cells else empty end),
"",
"## Small packets",
"",
"IPv4 packets of 64 bytes, one sender without a limit: thousands a second that arrive, the same by second of CPU time of both daemons, and",
"CPU microseconds a packet at the sending and at the receiving end:",
"",
(["", "arrive", "a core", "sender", "receiver"] | head),
([$all.results[] | select(.traffic == "udp64")] as $u
	| $s[] | . as $x | [$u[] | select(.system == $x)][0].median | select(.) as $m
	| [($x | title), ($m.pps / 1000 | fixed(0))] + if $m.cpu_a_us_per_packet > 0
		then [($m.pps_per_core / 1000 | fixed(0)), ($m.cpu_a_us_per_packet | fixed(2)), ($m.cpu_b_us_per_packet | fixed(2))]
		else [null, null, null] end | cells),
([$all.results[] | select(.system | startswith("workers"))] | sort_by([.system, .direction == "down"]) | if length > 0 then
	"",
	"## Workers",
	"",
	"8 TCP flows, offloads off. Gbit/s a core are over the CPU time of both daemons; packets that were handed to another worker, waits for",
	"the shared buffers' lock, and context switches that nobody asked for are those of a run:",
	"",
	(["workers", "way", "Gbit/s", "a core", "handed on", "waits", "switches"] | head),
	(.[] | .median as $m | [.system[7:], .direction, ($m.gbps | fixed(2)), (8 / ($m | both("s_per_gb")) | fixed(2)), $m.handed_on,
		$m.depot_waits, $m.switches] | cells)
	else empty end),
"",
"## Memory",
"",
"Resident megabytes at rest, one tunnel:",
"",
(["", "edge", "hub"] | head),
($all.memory[] | select(.rss_a_kb > 0) | [(.system | title), (.rss_a_kb / 1024 | fixed(1)), (.rss_b_kb / 1024 | fixed(1))] | cells),
($all.sites | if . then
	"",
	"A hub with \(.sites) connected sites: \(.kb_per_site | fixed(0)) kB a site at rest, \(.kb_per_site_loaded | fixed(0)) kB after traffic from all\(if .kb_per_site_quiet then ", \(.kb_per_site_quiet | fixed(0)) kB when it has been quiet again" else "" end); \(.cpu_ms_per_handshake) ms of CPU time a handshake; \(.idle_cpu_percent) % of a",
	"processor at rest; \(.one_site.cpu_us_per_packet) µs a packet of 64 bytes from one site to another, \(.all_sites.cpu_us_per_packet) µs when all sites send in turn."
	else empty end),
($all.core | if . then
	"",
	"## Stages",
	"",
	"The QUIC core in memory (`make bench-core`), a packet of 1,400 bytes, and of 72 in bundles: nanoseconds of CPU time, and instructions, which do not depend on",
	"what else the machine does:",
	"",
	(["", "stage", "ns", "instructions"] | head),
	(to_entries[] | .key as $what | .value | to_entries[] | [$what, .key, .value.ns, .value.instructions] | cells)
	else empty end)
