#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A router on the way whose next link becomes smaller says so ("packet too big"), and the path's MTU follows at once; what is forged
# changes nothing.
. "$(dirname "$0")/lib.sh"
need ping

# hub moves behind a router: the namespace `hub` of the drawing only routes, the daemon is in `far`.
behind_a_router() {
	ns_add far
	ns_forward far
	ip_in hub addr del $HUB4/32 dev lo
	veth_pair hub far0 10.98.0.1/30 far eth0 10.98.0.2/30
	addr_add far lo $HUB4/32
	ip_in hub route add $HUB4 via 10.98.0.2
	ip_in far route add default via 10.98.0.1
}

topology 1 "rate=100M delay=5ms"
behind_a_router
quicbond_confs hub:Control.Socket="$QB_DIR/far.sock" hub:Listen.Address=0.0.0.0:4433 hub:Route.Advertise=10.64.0.1/32
start_daemon far "$QB_DIR/hub.conf"
start_daemon edge "$QB_DIR/edge.conf" "bonded|single" 15
bond_settled

section "the next link shrinks"
before=$(status edge .links[0].mtu)
ip_in hub link set dev far0 mtu 1380
in_ns edge ping -q -c 20 -i 0.05 -s 1400 -M "do" 10.64.0.1 >/dev/null 2>&1 &
must_within "[[ \$(counter edge ptb_taken) -ge 1 ]]" 3
must_within "[[ \$(status edge .links[0].mtu) == 1352 ]]" 3
pass "from $before to $(status edge .links[0].mtu) bytes, $WAITED_MS ms after the message"
assert_eq "the tunnel lives" "$(status edge .links[0].state)" active
pings_return "pings that fit" 5 0.05 edge 10.64.0.1 -s 1200

section "a router that does not know our packets"
taken=$(counter edge ptb_taken)
ip_in hub link set dev far0 mtu 1300
in_ns edge ping -q -c 3 -i 0.05 -s 1350 -M "do" $HUB4 >/dev/null 2>&1
assert_eq "messages about other people's packets that were believed" "$(($(counter edge ptb_taken) - taken))" 0
