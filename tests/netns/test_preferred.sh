#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# [Listen] PreferredAddress: a hub whose known address is one of several hubs', 10.99.0.1, asks its edge to go on at one of its own,
# 10.99.0.2. Every path goes there, and no packet is lost by it.
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
ping_run lan $INET4 -c 50 -i 0.01 -W 2
assert_eq "pings meanwhile" "$PING_RECEIVED" 50
must_within "[[ \$(peers) == '10.99.0.2:4433 10.99.0.2:4433' ]]" 3

section "nothing goes to the other any more"
in_ns hub ip addr del $HUB4/32 dev lo
ping_run lan $INET4 -c 50 -i 0.02 -W 2
assert_eq "pings" "$PING_RECEIVED" 50
assert_eq "links" "$(status edge '[.links[].state] | join(" ")')" "active active"
