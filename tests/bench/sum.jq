# SPDX-License-Identifier: BSD-2-Clause
# build/bench.json of tests/bench/run, from its raw lines.
def r3: . * 1000 | round / 1000;
def median: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
def figures:
	(if .traffic == "tcp" then
		{gbps: (.bits_per_second / 1e9 | r3), cpu_a_s_per_gb: (.cpu_a_s * 1e9 / .bytes | r3),
		 cpu_b_s_per_gb: (.cpu_b_s * 1e9 / .bytes | r3),
		 host_softirq_s_per_gb: (.host_softirq_s * 1e9 / .bytes | r3),
		 host_busy_s_per_gb: (.host_busy_s * 1e9 / .bytes | r3)}
	else
		([.packets, 1] | max) as $p
		| {pps: ($p / .seconds | round), cpu_a_us_per_packet: (.cpu_a_s * 1e6 / $p | r3),
		   cpu_b_us_per_packet: (.cpu_b_s * 1e6 / $p | r3),
		   host_softirq_us_per_packet: (.host_softirq_s * 1e6 / $p | r3),
		   host_busy_us_per_packet: (.host_busy_s * 1e6 / $p | r3),
		   pps_per_core: (if .cpu_a_s + .cpu_b_s > 0 then $p / (.cpu_a_s + .cpu_b_s) | round else null end)}
	end)
	+ (if has("handed_on") then {handed_on, depot_waits, switches} else {} end);
{schema: 2, date: $date,
 host: {kernel: $kernel, cpu: $cpu, cpus: $cpus, iperf3: $iperf, wireguard_go: $wg, openvpn: $ovpn},
 settings: {repeats: $repeats, seconds: $seconds, links: $links},
 results: [group_by([.system, .offloads, .traffic, .flows, .direction])[]
	| . as $runs | ($runs | map(figures)) as $f
	| {system: .[0].system, offloads: .[0].offloads, traffic: .[0].traffic, flows: .[0].flows, direction: .[0].direction,
	   median: ($f[0] | keys | map(. as $k | {key: $k, value: ($f | map(.[$k] // 0) | median)}) | from_entries),
	   runs: $runs}],
 memory: [$memory | split("\n")[] | select(length > 0) | split(" ")
	| {system: .[0], rss_a_kb: (.[1] | tonumber), rss_b_kb: (.[2] | tonumber)}],
 sites: $sites[0],
 core: $core[0]}
