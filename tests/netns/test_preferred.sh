#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# [Listen] PreferredAddress: a hub whose known address is one of several hubs', 10.99.0.1, asks its edge to go on at one of its own,
# 10.99.0.2. Every path goes there, and no packet is lost by it. [Bond] Mesh: a path from each link to each of the hub's addresses.
. "$(dirname "$0")/lib.sh"
need ping

# peers: where the edge's paths go.
peers() {
	status edge '[.links[].peer] | join(" ")'
}

topology 2 "delay=5ms"
addr_add hub lo 10.99.0.2/32

section "both paths move"
start_bond hub:Listen.PreferredAddress=10.99.0.2:4433
pings_return "pings meanwhile" 50 0.01 lan $INET4
must_within "[[ \$(peers) == '10.99.0.2:4433 10.99.0.2:4433' ]]" 3

section "nothing goes to the other any more"
in_ns hub ip addr del $HUB4/32 dev lo
pings_return "pings" 50 0.02 lan $INET4
assert_eq "links" "$(status edge '[.links[].state] | join(" ")')" "active active"

section "a hub with two addresses, and a path from each link to each"
# paths STATE: how many of them the hub has, and to which of its addresses.
paths() {
	ctl hub -j sites | jq -r "[.sites[0].links[] | select(.state == \"$1\") | .local] | sort | join(\" \")"
}
stop "${DAEMON_PIDS[edge]}" "${DAEMON_PIDS[hub]}"
addr_add hub lo $HUB4/32
start_bond "edge:Hub hub.Address=$HUB4:4433, 10.99.0.2:4433" edge:Bond.Mesh=full
must_within "[[ \$(paths active) == '10.99.0.1:4433 10.99.0.1:4433 10.99.0.2:4433 10.99.0.2:4433' ]]" 5
pass "$(paths active)"
assert_eq "links, each with its paths" "$(status edge '[.links[] | .name + " " + .state + " " + (.paths | tostring)] | join(", ")')" \
	"wan1 active 2, wan2 active 2"
flow_start up lan $INET4 inet
flow_start down inet 10.1.0.2 lan
sleep 1
flow_report up
flow_report down
# One of the hub's own uplinks dies: nobody answers there any more.
ip_in hub route add blackhole $HUB4/32
ip_in hub addr del $HUB4/32 dev lo
sleep 2
for way in up down; do
	flow_gap $way
	assert_le "an address of the hub dies: gap $way, ms" "$GAP_MS" 400
done
assert_eq "links" "$(status edge '[.links[].state] | join(" ")') $(status edge .state)" "active active bonded"
assert_ok "set" ctl edge set Bond.Mesh pairs
must_within "[[ \$(status edge '[.links[] | .paths] | add') == 2 && \$(paths active) == '10.99.0.2:4433 10.99.0.2:4433' ]]" 3
sleep 0.5
for way in up down; do
	flow_gap $way
	assert_le "one path each, those that work: gap $way, ms" "$GAP_MS" 300
done
assert_eq "handshakes" "$(counter edge handshakes)" 1
ctl edge link wan1 down
must_within "[[ \$(status edge .state) == single ]]" 3
assert_ok "set" ctl edge set Bond.Mesh full
ip_in hub route del blackhole $HUB4/32
addr_add hub lo $HUB4/32
must_within "[[ \$(status edge '.links[1].paths') == 2 && \$(paths active) == '10.99.0.1:4433 10.99.0.2:4433' ]]" 8
ctl edge link wan1 up
must_within "[[ \$(paths active) == '10.99.0.1:4433 10.99.0.1:4433 10.99.0.2:4433 10.99.0.2:4433' ]]" 5
pass "a link that comes back has two again"
ctl edge link wan2 down
must_within "[[ \$(paths active) == '10.99.0.1:4433 10.99.0.2:4433' && \$(status edge .state) == single ]]" 3
# Without any link, one path stays, and is the link's that comes back.
ctl edge link wan1 down
sleep 1
ctl edge link wan1 up
must_within "[[ \$(status edge '.links[0].paths') == 2 && \$(status edge .links[0].state) == active ]]" 8
assert_eq "handshakes" "$(counter edge handshakes)" 1
flow_stop up down
