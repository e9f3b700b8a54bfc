# SPDX-License-Identifier: BSD-2-Clause
# docs/targets.md: what we aim at, and what a run of the benchmarks shows, from bench.json or last.json and, where there is one,
# bench-bond.json (`jq -r --slurpfile bond FILE -f tests/bench/targets.jq bench.json`, /dev/null for none); tests/bench/run does so.
def fixed($n): . * pow(10; $n) | round / pow(10; $n);
def cells: "| " + (map(. // "-" | tostring) | join(" | ")) + " |";
def head: cells, (map("---") | cells);
def both($unit): .["cpu_a_" + $unit] + .["cpu_b_" + $unit];
def title: {udp: "UDP", xdp: "AF_XDP with copies", uring: "io_uring"}[.];
def mean: if length > 0 then add / length else null end;
# met: yes or no, of a result and whether less is better.
def met($goal; $less): if . == null then "not measured" elif (if $less then . <= $goal else . >= $goal end) then "yes" else "**no**" end;
def row($target; $mode; $goal; $less; $unit; $digits): [$target, $mode, "\(if $less then "≤" else "≥" end) \($goal)\($unit)",
	(if . then "\(fixed($digits))\($unit)" else null end), met($goal; $less)] | cells;
. as $all
| ["udp", "xdp", "uring"] | map(select(. as $s | any($all.results[]; .system == $s))) as $modes
| def tcp($s; $flows): [$all.results[] | select(.system == $s and .traffic == "tcp" and .flows == $flows) | .median];
def share($s): [$all.results[] | select(.system == $s and .traffic == "tcp") as $r
	| ($all.results[] | select(.system == "wg" and .traffic == "tcp" and .offloads == $r.offloads and .flows == $r.flows
		and .direction == $r.direction)) as $w | ($r.median | both("s_per_gb")) / ($w.median | both("s_per_gb"))] | mean;
def small($s): [$all.results[] | select(.system == $s and .traffic == "udp64") | .median.pps_per_core][0];
def rss($s; $side): [$all.memory[] | select(.system == $s) | .["rss_" + $side + "_kb"] / 1024][0];
($bond[0] // {results: [], cuts: []}) as $b
| "# Targets",
"",
"What quicbond aims at, and what the benchmarks showed on \($all.host.cpus) processors (\($all.host.cpu)), Linux \($all.host.kernel),",
"\($all.date[:10]). Made by `sudo KEEP_AS_LAST=yes make bench` from its figures; [speed.md](speed.md) has them all.",
"",
"## Cost and speed",
"",
"Both ends, and what makes and takes the traffic, share the processors. Throughput is the best of the directions.",
"",
(["target", "packet I/O", "aim", "result", "met"] | head),
($modes[] | . as $s
	| (share($s) | row("CPU time a gigabyte, of wireguard-go's"; $s | title; 0.25; true; ""; 3)),
	([1, 8][] | . as $flows | tcp($s; $flows) | map(.gbps) | max
		| row("TCP through the tunnel, \($flows) flow\(if $flows > 1 then "s" else "" end)"; $s | title; 3; false; " Gbit/s"; 2)),
	(if small("wg") then small($s) / small("wg") else null end
		| row("packets of 64 bytes for a second of CPU time, of wireguard-go's"; $s | title; 1; false; ""; 2))),
"",
"## Memory",
"",
(["target", "packet I/O", "aim", "result", "met"] | head),
($modes[] | . as $s | rss($s; "a") | select(.) | row("an edge at rest, one tunnel"; $s | title; 30; true; " MB"; 1)),
($all.sites | if . then
	(.kb_per_site | row("a connected site at rest, of a hub with \($all.sites.sites)"; "UDP"; 64; true; " kB"; 0)) else empty end),
"",
"## Bonding",
"",
if ($b.results | length) == 0 then
	"Not in this run: `sudo make bench-bond` measures it; [bonding.md](bonding.md) has link sets, aims and results."
else
	"\($b.results | length) measurements of link sets, \($b.date[:10]); [bonding.md](bonding.md) has them one by one.",
	"",
	(["target", "packet I/O", "aim", "result", "met"] | head),
	([$b.results[].of_best] | min | row("bulk, of the best link alone: the worst set"; "UDP"; 0.95; false; ""; 2)),
	([$b.results[].of_alone | select(.)] | min
		| row("bulk, of the sum of what links that are alike carry alone: the worst"; "UDP"; 0.9; false; ""; 2)),
	([$b.results[].call_lost_percent | select(.)] | max | row("calls lost while bulk runs: the worst set"; "UDP"; 0.5; true; " %"; 2)),
	([$b.results[].call_p95_over_idle_ms | select(.)] | max
		| row("calls: 95th percentile of delay beside bulk, over an idle bond: the worst set"; "UDP"; 30; true; " ms"; 1)),
	([$b.results[] | select(.set == "bloat") | .ping_p95_over_idle_ms] | max
		| row("ping beside bulk, over the idle bond, where a modem has a buffer of 4 s"; "UDP"; 50; true; " ms"; 1)),
	([$b.cuts[].call_gap_ms] | sort | .[length / 2 | floor] | row("a link is cut: the silence of a call, median"; "UDP"; 100; true; " ms"; 0)),
	([$b.cuts[].call_gap_ms] | max | row("the longest"; "UDP"; 300; true; " ms"; 0)),
	([$b.cuts[].rejoin_ms] | max | row("a link heals: until it is in use, the longest"; "UDP"; 2000; true; " ms"; 0))
end
