#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What a tunnel owes to IP: both families inside over either outside, or a link of each in one bond; UDP, TCP and ICMP; hop
# limits; and packets of every size, where the links' MTUs differ: they arrive, or their sender is told.
. "$(dirname "$0")/lib.sh"
need ping iperf3 ss

# fragments: IP fragments made or put together anywhere inside, which the tunnel must never need.
fragments() {
	local ns
	for ns in lan edge hub inet; do
		in_ns $ns awk '
			/^Ip:/ && ++n == 1 { for (i = 2; i <= NF; i++) name[i] = $i }
			/^Ip:/ && n == 2 { for (i = 2; i <= NF; i++) if (name[i] ~ /^(FragCreates|ReasmReqds)$/) print $i }' \
			/proc/net/snmp
		in_ns $ns awk '/^Ip6(FragCreates|ReasmReqds) / { print $2 }' /proc/net/snmp6
	done | awk '{ sum += $1 } END { print sum }'
}

# every_protocol: from the site to the Internet and back, inside IPv4 and IPv6.
every_protocol() {
	local dst
	for dst in $INET4 $INET6; do
		pings_return "pings to $dst" 20 0.02 lan $dst
		iperf_ge "TCP to $dst" 20 lan $dst -t 1
		iperf_ge "TCP from $dst" 20 lan $dst -t 1 -R
		iperf lan $dst -u -b 5M -l 1200 -t 1
		assert_le "UDP to $dst, lost %" "$IPERF_LOSS_PCT" 2
		iperf lan $dst -u -b 5M -l 1200 -t 1 -R
		assert_le "UDP from $dst, lost %" "$IPERF_LOSS_PCT" 2
	done
	for dst in $LAN4 $LAN6; do
		pings_return "pings to $dst" 20 0.02 inet $dst
	done
}

# outside: the address family of each link's packets.
outside() {
	status edge '[.links[].peer | if startswith("[") then 6 else 4 end] | map(tostring) | join(" ")'
}

# hop_from FAMILY TTL: who says that the hop limit ran out.
hop_from() {
	local dst=$INET4
	[[ $1 == 6 ]] && dst=$INET6
	in_ns lan ping -n -c 1 -W 2 -t "$2" $dst |
		sed -n 's/^From \([0-9a-f.:]*[0-9a-f]\):\{0,1\} icmp_seq=1 Time.*/\1/p; s/^[0-9]* bytes from \([0-9a-f.:]*[0-9a-f]\): .*/\1/p'
}

# sizes NS ADDRESS: a ping of every size that may not be cut: prints the sizes that were lost, then how many arrived and for
# how many the sender was told. What a host has learnt is forgotten each time. An answer may be lost once: then it is the
# other end that was told.
sizes() {
	local overhead=28
	[[ $2 == *:* ]] && overhead=48
	in_ns "$1" bash -c '
		for ((size = 1200; size <= 1500; size++)); do
			verdict=lost
			for attempt in 1 2 3; do
				ip route flush cache
				ip -6 route flush cache
				out=$(ping -n -c 1 -W 1 -M do -s $((size - '$overhead')) '"$2"' 2>&1)
				case $out in
				*" 0% packet loss"*) verdict=arrived ;;
				*[Ff]rag\ needed* | *"Packet too big"* | *"essage too long"*) verdict=told ;;
				*) continue ;;
				esac
				break
			done
			echo $verdict $size
		done' | awk '
			{ count[$1]++ }
			$1 == "lost" { printf "lost: %s\n", $2 }
			END { print count["arrived"] + 0, count["told"] + 0 }'
}

assert_sizes() {
	local out arrived told
	out=$(sizes "$2" "$3")
	[[ $out == *lost* ]] && fail "$1: $(grep -c lost <<<"$out") sizes neither arrive nor are answered: $(head -n 3 <<<"$out")"
	read -r arrived told <<<"$out"
	assert_ge "$1: sizes from 1200 that arrive" "$arrived" 81
	assert_ge "$1: sizes to 1500 that are answered" "$told" 1
	assert_eq "$1: all of them" "$((arrived + told))" 301
}

topology 2 "rate=100M delay=5ms limit=50ms" "rate=100M delay=8ms limit=50ms"
iperf_server inet

section "outside: IPv4"
start_bond
must_within "[[ \$(status edge .state) == bonded ]]" 5
assert_eq "families outside" "$(outside)" "4 4"
every_protocol

section "hop limits"
icmp=$(counter edge icmp_tx)
assert_eq "hop 1" "$(hop_from 4 1)" 10.1.0.1
assert_eq "hop 2, the tunnel" "$(hop_from 4 2)" 192.0.0.8
assert_eq "hop 3, the hub" "$(hop_from 4 3)" 10.64.0.1
assert_eq "hop 4" "$(hop_from 4 4)" $INET4
assert_eq "hop 1, IPv6" "$(hop_from 6 1)" fd00:1::1
assert_eq "hop 2, the tunnel, IPv6" "$(hop_from 6 2)" 100::8
assert_eq "hop 3, the hub, IPv6" "$(hop_from 6 3)" fd00:64::1
assert_eq "hop 4, IPv6" "$(hop_from 6 4)" $INET6
assert_eq "errors that the tunnel sent" "$(($(counter edge icmp_tx) - icmp))" 2
assert_ge "hop limits that ran out in the tunnel" "$(counter edge drop_ttl)" 2

section "path MTUs that differ"
mtu_before=$(status edge .tunnel.mtu)
netem link2 mtu=1400
# Large packets that vanish are what tells; the two ends find out each by its own.
iperf lan $INET4 -t 3 --bidir
must_within "[[ \$(status edge .tunnel.mtu) -lt $mtu_before ]]" 5
must_within "in_ns hub ip route get $LAN4 | grep -q 'mtu 13'" 5
bond_settled
assert_between "MTU of the tunnel, link2 carrying 1400" "$(status edge .tunnel.mtu)" 1280 1360
assert_sizes "up" lan $INET4
assert_sizes "up, IPv6" lan $INET6
assert_sizes "down" inet $LAN4
assert_sizes "down, IPv6" inet $LAN6

section "TCP is told by its MSS"
clamped=$(counter edge mss_clamped)
too_big=$(($(counter edge drop_too_big) + $(counter hub drop_too_big)))
fragments_before=$(fragments)
for dst in $INET4 $INET6; do
	in_ns lan ip route flush cache
	in_ns inet ip route flush cache
	in_ns lan ip -6 route flush cache
	in_ns inet ip -6 route flush cache
	iperf_ge "TCP to $dst" 20 lan $dst -t 1 -P 2
	iperf_ge "TCP from $dst" 20 lan $dst -t 1 -P 2 -R
done
assert_ge "SYNs whose MSS was lowered" "$(($(counter edge mss_clamped) - clamped))" 4
assert_eq "TCP segments that were too big" \
	"$(($(counter edge drop_too_big) + $(counter hub drop_too_big) - too_big))" 0
assert_eq "IP fragments" "$(($(fragments) - fragments_before))" 0
netem link2 mtu=0

section "outside: IPv6, one interface with an MTU of 1400"
stop "${DAEMON_PIDS[edge]}"
ip_in edge link set wan1 mtu 1400
ip_in hub link set wan1 mtu 1400
sed -i "s/^Address = .*/Address = [$HUB6]:4433/" "$QB_DIR/edge.conf"
start_daemon edge "$QB_DIR/edge.conf" bonded 15
assert_eq "families outside" "$(outside)" "6 6"
bond_settled
every_protocol
assert_sizes "up" lan $INET4
assert_sizes "down, IPv6" inet $LAN6

section "outside: one link IPv4 only, the other IPv6 only"
stop "${DAEMON_PIDS[edge]}"
ip_in edge -6 addr flush dev wan1
ip_in edge -4 addr flush dev wan2
sed -i "s/^Address = .*/Address = $HUB4:4433, [$HUB6]:4433/" "$QB_DIR/edge.conf"
start_daemon edge "$QB_DIR/edge.conf" bonded 15
assert_eq "families outside" "$(outside)" "4 6"
bond_settled
every_protocol
for i in 0 1; do
	assert_ge "bytes sent by link $((i + 1))" "$(status edge .links[$i].tx_bytes)" 100000
done
