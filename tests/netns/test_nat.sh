#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A link behind a NAT that forgets: what comes from the edge has another source port from one moment to the next, and what the
# hub sends to the old one is lost. quicbond-netem as a UDP proxy is the NAT; a new one is another port.
#
#   ┌──────┐ wan3      ┌─────┐       ┌─────┐     link 3, IPv4: by the NAT's address; links 1 and 2 of lib.sh's
#   │ edge ├───────────┤ nat ├───────┤ hub │     topology, IPv6 only, come and go
#   └──────┘ 10.30.0.2 └─────┘ .31.1 └─────┘
. "$(dirname "$0")/lib.sh"
need ping ss

# nat_begin: the proxy is up. What it knew before is forgotten.
nat_begin() {
	spawn nat nat "$QB_BUILD/quicbond-netem" --listen 10.30.0.1:4433 --upstream 10.31.0.1:4433
	NAT_PID=$SPAWNED
	must_within "in_ns nat ss -Hlun sport = :4433 | grep -q ." 5
}

nat_rebind() {
	kill -KILL "$NAT_PID"
	wait "$NAT_PID" 2>/dev/null
	nat_begin
}

# hub_port: where the hub sends what is for the edge by IPv4.
hub_port() {
	ctl hub -j links | jq -r '[.links[].peer | select(startswith("10.31.0.2:"))][0]'
}

topology 1
ns_add nat
veth_pair edge wan3 10.30.0.2/24 nat in 10.30.0.1/24
veth_pair nat out 10.31.0.2/24 hub nat0 10.31.0.1/24
ip_in edge -4 addr flush dev wan1
nat_begin
start_bond edge:"Hub hub.Address=10.30.0.1:4433, [$HUB6]:4433" edge:"Link wan3.Interface=wan3"
must_within "[[ \$(status edge .state) == bonded ]]" 5
flow_start up lan $INET4 inet
flow_start down inet $LAN4 lan

section "another port, while there is another link"
for ((i = 0; i < 3; i++)); do
	flow_report up
	flow_report down
	port=$(hub_port)
	nat_rebind
	must_within "[[ \$(hub_port) == 10.31.0.2:* && \$(hub_port) != $port ]]" 5
	pass "the hub has found the new port after $WAITED_MS ms: $port, $(hub_port)"
	must_within "[[ \$(status edge '[.links[].state] | join(\" \")') == 'active active' ]]" 5
	for way in up down; do
		flow_gap $way
		assert_le "gap $way, ms" "$GAP_MS" 300
	done
done

section "another port, and no other link"
ctl edge link wan1 down
must_within "[[ \$(status edge .links[0].state) == absent && \$(status edge .links[1].state) == active ]]" 5
for ((i = 0; i < 3; i++)); do
	flow_report up
	flow_report down
	port=$(hub_port)
	nat_rebind
	must_within "[[ \$(hub_port) == 10.31.0.2:* && \$(hub_port) != $port ]]" 5
	for way in up down; do
		flow_gap $way
		assert_le "gap $way, ms" "$GAP_MS" 1000
	done
done

section "another port, and nothing to send but keepalives"
flow_stop up down
port=$(hub_port)
nat_rebind
must_within "[[ \$(hub_port) == 10.31.0.2:* && \$(hub_port) != $port ]]" 5
must_within "reachable inet $LAN4" 2
pass "the hub reaches the site after $WAITED_MS ms"
assert_eq "handshakes, connections lost" "$(counter edge handshakes) $(counter edge conns_closed) $(counter edge conns_reset)" "1 0 0"
