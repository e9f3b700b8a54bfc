#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# An edge and a hub with two workers each: two connections share the links and the flows; they die and come back together, and
# a new edge takes the place of the old one whole.
. "$(dirname "$0")/lib.sh"
need ping iperf3 ss

FLOWS=6

# connections NS N TIMEOUT_S
connections() {
	must_within "[[ \$(status $1 .connections) == $2 ]]" "$3"
	pass "$1: $2 connections after $WAITED_MS ms"
}

# carried: inner bytes that the hub sent by each of the site's connections, in order.
carried() {
	status hub '[.sites[0].links[] | {member: (.name | contains(".")), tx: .tx_bytes}] | group_by(.member) | map(map(.tx) | add) | join(" ")'
}

flows() {
	local i
	for ((i = 1; i <= FLOWS; i++)); do
		"$@" "$i"
	done
}

start_both() {
	flow_start "up$1" lan $INET4 inet 200
	flow_start "down$1" inet $LAN4 lan 200
}

forget() {
	flow_report "up$1"
	flow_report "down$1"
}

# gap: keeps the longest silence of a flow pair in LONGEST_MS.
gap() {
	local dir
	for dir in up down; do
		flow_gap "$dir$1"
		is "$GAP_MS > $LONGEST_MS" && LONGEST_MS=$GAP_MS
	done
	return 0
}

assert_gap() {
	LONGEST_MS=0
	flows gap
	assert_le "$1: longest gap of $((2 * FLOWS)) flows, ms" "$LONGEST_MS" "$2"
}

# assert_clean: what the flows lost and doubled since the last report, all together.
assert_clean() {
	local dir i lost=0 doubled=0
	for dir in up down; do
		for ((i = 1; i <= FLOWS; i++)); do
			flow_report "$dir$i"
			((lost += $(jq .lost <<<"$FLOW"), doubled += $(jq .duplicates <<<"$FLOW")))
		done
	done
	assert_le "$((2 * FLOWS)) flows: packets lost" "$lost" 10
	assert_eq "and doubled" "$doubled" 0
}

topology 2 "rate=100M delay=5ms limit=100ms" "rate=100M delay=8ms limit=100ms"
iperf_server inet
start_bond edge:Node.Workers=2 hub:Node.Workers=2 "edge:Policy paint.Match=mark:0x160/0xff0" "edge:Policy paint.Class=background"

section "two connections, one bond"
connections edge 2 5
connections hub 2 5
assert_eq "links" "$(status edge '[.links[].state] | join(" ")')" "active active"
bond_settled
pings_return "pings" 20 0.02 lan $INET4
iperf_ge "8 flows up" 60 lan $INET4 -t 3 -P 8
iperf_ge "8 flows down" 60 lan $INET4 -t 3 -P 8 -R
read -r first second < <(carried)
assert_ge "first connection, bytes down" "$first" 1000000
assert_ge "second connection, bytes down" "$second" 1000000
assert_ge "both, as the edge's links have them" "$(status edge '[.links[].rx_bytes] | add')" "$((first + second - 1000000))"

section "steady flows over both"
flows start_both
flows forget
sleep 2
assert_clean

section "firewall marks, by whichever queue of the TUN device"
painted=() read_before=$(ctl edge -j tun | jq -c '[.tun.queues[].rx_packets]')
for i in 1 2 3 4 5 6; do
	flow_start "painted$i" edge $INET4 inet 100 "0x16$i"
	painted+=("painted$i")
done
must_within "[[ \$(ctl edge -j flows | jq '[.flows[] | select(.direction == \"tx\" and .class == \"background\")] | length') == 6 ]]" 5
assert_eq "queues that packets came by" "$(ctl edge -j tun | jq --argjson b "$read_before" '[.tun.queues[].rx_packets] | [., $b] | transpose | map(select(.[0] > .[1])) | length')" 2
for name in "${painted[@]}"; do flow_stop "$name"; done

section "a link dies silently"
flows forget
netem link1 down=1
must_within "[[ \$(status edge .links[0].state) == failed ]]" 3
assert_gap "silent death" 300
netem link1 down=0
must_within "[[ \$(status edge .links[0].state) == active ]]" 5
assert_eq "connections" "$(status edge .connections) $(status hub .connections)" "2 2"

section "the edge is killed, a new one comes"
kill -KILL "${DAEMON_PIDS[edge]}"
wait "${DAEMON_PIDS[edge]}" 2>/dev/null
start_daemon edge "$QB_DIR/edge.conf" bonded 15
connections edge 2 5
connections hub 2 5
pings_return "pings that come back: nothing goes to the old edge's connections" 20 0.05 lan $INET4

section "the hub is killed, a new one comes, with one worker: both connections meet there"
sed -i 's/^Workers = 2$/Workers = 1/' "$QB_DIR/hub.conf"
flows forget
kill -KILL "${DAEMON_PIDS[hub]}"
wait "${DAEMON_PIDS[hub]}" 2>/dev/null
start_daemon hub "$QB_DIR/hub.conf"
must_within "[[ \$(status edge .hub.state) == connected && \$(status hub .connections) == 2 ]]" 15
connections edge 2 5
flows forget
must_within "reachable lan $INET4" 3
flows forget
sleep 1
assert_gap "after the restart" 300

section "a link goes and comes by command, and with a reload"
flows forget
ctl edge link wan1 down >/dev/null || fail "link wan1 down"
must_within "[[ \$(status edge .links[0].state) == absent ]]" 3
assert_gap "down by command" 300
ctl edge link wan1 up >/dev/null || fail "link wan1 up"
must_within "[[ \$(status edge .links[0].state) == active ]]" 5
assert_ok "reload" ctl edge reload
assert_eq "connections" "$(status edge .connections) $(status hub .connections)" "2 2"
must_within "[[ \$(status hub '.sites[0].links | length') == 4 ]]" 5
pass "each connection has both links again"

section "the edge stops"
stop "${DAEMON_PIDS[edge]}"
connections hub 0 3
assert_eq "the site's routes" "$(in_ns hub ip route show dev qb0 | grep -c 10.1.0.0)" 0
