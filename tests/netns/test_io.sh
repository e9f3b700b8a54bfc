#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Packet I/O in each mode, on both ends: traffic flows, what is not ours passes, interfaces go and come, and nothing stays on them;
# and links that leave by their own interface whatever the routing table says.
. "$(dirname "$0")/lib.sh"
need ping iperf3 ss

# xdp_on NS IF: what XDP has attached there, if anything.
xdp_on() {
	in_ns "$1" ip -d link show dev "$2" | grep -o 'prog/xdp.*name [a-z_]*' | sed 's/.* //'
}

# steered: QUIC packets that XDP took on both ends' wan1 and wan2.
steered() {
	local ns
	for ns in edge hub; do
		ctl $ns -j counters
	done | jq -s '[.[].counters | to_entries[] | select(.key | test("^xdp_wan[12]_.*steered_short")) | .value] | add // 0'
}

# others_pass MODE: ARP, ping, TCP and UDP beside the tunnel, over the same interface.
others_pass() {
	ip_in edge neigh flush dev wan1
	ip_in hub neigh flush dev wan1
	pings_return "$1: ARP and pings beside the tunnel" 5 0.02 edge 10.10.1.1
	pings_return "$1: neighbour discovery and pings" 5 0.02 edge fd00:10:1::1
	iperf_ge "$1: TCP beside the tunnel" 40 edge 10.10.1.1 -t 1 -b 50M
	# So slow that a receiver who is late finds room for all of it.
	iperf edge 10.10.1.1 -t 1 -u -b 2M -l 1200
	assert_eq "$1: UDP beside the tunnel, lost %" "$IPERF_LOSS_PCT" 0
}

# left_by IF: bytes that left the edge by it.
left_by() {
	in_ns edge ip -j -s link show "$1" | jq '.[0].stats64.tx.bytes'
}

topology 2
iperf_server inet
iperf_server hub

for mode in udp xdp-copy xdp-generic; do
	section "$mode"
	quicbond_confs edge:"Link wan1.Io=$mode" edge:"Link wan2.Io=$mode" hub:"Listen.Interface=wan1, wan2" hub:"Listen.Io=$mode"
	from=(0 "$(left_by wan1)" "$(left_by wan2)")
	start_daemon hub "$QB_DIR/hub.conf"
	start_daemon edge "$QB_DIR/edge.conf" bonded 15
	assert_eq "modes" "$(ctl edge -j links | jq -r '[.links[].io] | unique | join(" ")') $(ctl hub -j links |
		jq -r '[.links[].io] | unique | join(" ")')" "$mode $mode"
	[[ $(status edge .links[0].io_reason) == *"as configured"* ]] || fail "status does not say why"
	pass "why: $(status edge .links[0].io_reason)"
	assert_le "the edge's resident memory at rest, kB" \
		"$(awk '$1 == "VmRSS:" { print $2 }' "/proc/${DAEMON_PIDS[edge]}/status")" 30000
	want=''
	[[ $mode == xdp-* ]] && want=qb_xdp_steer
	assert_eq "on wan1 of the edge and the hub" "$(xdp_on edge wan1) $(xdp_on hub wan1)" "$want $want"
	for dst in $INET4 $INET6; do
		iperf_ge "TCP to $dst" 100 lan $dst -t 1 -P 2
		iperf_ge "TCP from $dst" 100 lan $dst -t 1 -P 2 -R
	done
	for i in 1 2; do
		tx=$(($(left_by wan$i) - from[i]))
		assert_between "bytes that left by wan$i over what the link claims" \
			"$(awk "BEGIN { print $tx / $(status edge ".links[$((i - 1))].tx_bytes") }")" 1 1.1
	done
	others_pass "$mode"
	if [[ -n $want ]]; then
		assert_ge "packets by AF_XDP" "$(steered)" 10000
		ip_in edge link set wan1 down
		must_within "[[ \$(status edge .links[0].state) == absent ]]" 3
		assert_eq "traffic meanwhile" "$(reachable lan $INET4 && echo flows)" flows
		ip_in edge link set wan1 up
		ip_in edge addr replace fd00:10:1::2/64 dev wan1 nodad
		ip_in edge route replace default via 10.10.1.1 dev wan1 metric 101
		must_within "[[ \$(status edge .links[0].state) == active ]]" 5
		assert_eq "on wan1, which was down" "$(status edge .links[0].io) $(xdp_on edge wan1)" "$mode $want"
		before=$(steered)
		iperf lan $INET4 -t 1 -P 2
		assert_ge "packets by AF_XDP since" "$(($(steered) - before))" 1000
		others_pass "$mode, after down and up"
	else
		assert_eq "packets by AF_XDP" "$(steered)" 0
	fi
	stop "${DAEMON_PIDS[edge]}"
	kill -KILL "${DAEMON_PIDS[hub]}"
	wait "${DAEMON_PIDS[hub]}" 2>/dev/null
	must_within "[[ -z \$(xdp_on hub wan1) ]]" 3
	assert_eq "left on the interfaces after SIGTERM and kill -9" "$(xdp_on edge wan1)$(xdp_on edge wan2)$(xdp_on hub wan2)" ""
done

section "auto, and a mode that cannot be had"
quicbond_confs edge:"Link wan2.Io=xdp-zerocopy"
start_daemon hub "$QB_DIR/hub.conf"
start_daemon edge "$QB_DIR/edge.conf" single 15
[[ $(status edge .links[0].io_reason) =~ zero-copy ]] || fail "auto does not say why: $(status edge .links[0].io_reason)"
pass "auto: $(status edge .links[0].io): $(status edge .links[0].io_reason)"
assert_eq "zero-copy on a veth" "$(status edge .links[1].state)" absent
[[ $(status edge .links[1].reason) =~ zero-copy|zerocopy ]] || fail "status does not say why: $(status edge .links[1].reason)"
pass "why: $(status edge .links[1].reason)"
[[ $(ctl edge doctor | grep -A1 'wan2: the link is not used' | tail -n 1) == *"mend: what the reason names, or Io = auto" ]] ||
	fail "doctor: $(ctl edge doctor)"
# It is tried again and again.
assert_eq "times that the log says so" "$(grep -c 'wan2.* cannot be had' "$QB_DIR/edge.log")" 1
stop "${DAEMON_PIDS[hub]}"
quicbond_confs hub:"Listen.Interface=wan1" hub:"Listen.Io=xdp-zerocopy"
spawn refused hub "$QB_BUILD/quicbondd" -c "$QB_DIR/hub.conf" --foreground
wait "$SPAWNED"
assert_eq "exit code of a hub that demands it" $? 1
assert_ok "it says why" grep -E 'xdp-zerocopy.*wan1' "$QB_DIR/refused.log"
stop "${DAEMON_PIDS[edge]}"

section "the routing table points elsewhere"
quicbond_confs edge:"Link wan1.Io=udp" edge:"Link wan2.Io=udp" edge:"Link wan2.Gateway=10.10.2.1"
ip_in edge route del default via 10.10.2.1 dev wan2
ip_in edge -6 route del default via fd00:10:2::1 dev wan2
ip_in edge route add $HUB4/32 via 10.10.1.1 dev wan1
start_daemon hub "$QB_DIR/hub.conf"
start_daemon edge "$QB_DIR/edge.conf" bonded 15
netem link1 down=1
must_within "[[ \$(status edge .links[0].state) == failed ]]" 5
before=$(left_by wan2)
iperf_ge "TCP over wan2 alone" 100 lan $INET4 -t 1
assert_ge "bytes that left by wan2" "$(($(left_by wan2) - before))" 1000000
