#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Links that die, silently or not, come back, flap, change their address or their interface; all of them at once; either end
# restarted. A steady UDP flow each way measures every interruption; a TCP flow goes through all that the tunnel survives.
. "$(dirname "$0")/lib.sh"
need ping iperf3 ss

# begin: forget the interruptions so far.
begin() {
	flow_report up
	flow_report down
}

# least A B
least() {
	jq -n "[$1, $2] | min"
}

# assert_gaps WHAT MAX_MS: the longest silence each way since begin, by the times at which the kernel got the packets; sets
# GAP_UP_MS, and GAP_MS to that down.
assert_gaps() {
	flow_gap up
	GAP_UP_MS=$GAP_MS
	assert_le "$1: gap up, ms" "$GAP_MS" "$2"
	flow_gap down
	assert_le "$1: gap down, ms" "$GAP_MS" "$2"
}

link_state() {
	status edge ".links[$(($1 - 1))].state"
}

# must_be LINK STATE TIMEOUT_S
must_be() {
	local from=${EPOCHREALTIME/./}
	wait_for "[[ \$(link_state $1) == $2 ]]" "$3" || fail "link $1 is not $2 after $3 s: $(ctl edge links)"
	pass "link $1 is $2 after $(((${EPOCHREALTIME/./} - from) / 1000)) ms"
}

# must_carry LINK TIMEOUT_S: both ends send over it.
must_carry() {
	local idx=$(($1 - 1)) tx rx
	must_be "$1" active "$2"
	tx=$(status edge ".links[$idx].tx_bytes")
	rx=$(status edge ".links[$idx].rx_bytes")
	must_within "[[ \$(status edge .links[$idx].tx_bytes) -gt $((tx + 20000)) &&
		\$(status edge .links[$idx].rx_bytes) -gt $((rx + 20000)) ]]" "$2"
	pass "link $1 carries traffic both ways after another $WAITED_MS ms"
}

# still_running: nothing has ended, neither a daemon nor the TCP connections.
still_running() {
	kill -0 "${DAEMON_PIDS[edge]}" && kill -0 "${DAEMON_PIDS[hub]}" || fail "a daemon has ended"
	kill -0 "$tcp" || fail "the TCP connections have ended: $(tail -n 1 "$QB_DIR/tcp.log")"
}

topology 2 "rate=40M delay=5ms limit=100ms" "rate=40M delay=10ms limit=100ms"
veth_pair edge wan3 10.10.3.2/24,fd00:10:3::2/64 hub wan3 10.10.3.1/24,fd00:10:3::1/64
iperf_server inet
start_bond edge:Tunnel.HoldTime=25s edge:"Link wan3.Interface=wan3" edge:"Link wan3.Gateway=10.10.3.1" edge:"Link wan3.Tier=backup"
must_within "[[ \$(status edge .state) == bonded ]]" 5
bond_settled
flow_start up lan $INET4 inet
flow_start down inet $LAN4 lan
must_within "[[ \$(link_state 1) == active && \$(link_state 2) == active ]]" 3
must_be 3 standby 3

# More than one link can carry, each way, all the time.
spawn tcp lan iperf3 -c $INET4 -t 600 --bidir -i 0.5 --forceflush
tcp=$SPAWNED

# tcp_stalls FROM_LINE: half seconds since then in which TCP stood still, one direction or the other.
tcp_stalls() {
	(($(wc -l <"$QB_DIR/tcp.log") > $1)) || fail "iperf3 says nothing any more"
	tail -n "+$1" "$QB_DIR/tcp.log" | grep -c ' 0\.00 bits/sec'
}

for i in 1 2; do must_carry $i 4; done

section "in order, over links of different delay"
begin
must_within "(( \$(status edge .links[0].tx_bytes) + \$(status edge .links[1].tx_bytes) > 20000000 ))" 10
for way in up down; do
	flow_report $way
	assert_le "$way: packets out of order of $(jq .received <<<"$FLOW")" "$(jq .disordered <<<"$FLOW")" \
		"$(jq '.received / 50' <<<"$FLOW")"
done

# gaps: how many failovers the classes of their gaps have together.
gaps() {
	ctl edge -j counters | jq '[.counters | to_entries[] | select(.key | test("^failover_gap_(le|more)")) | .value] | add'
}

section "a link silently drops everything, under UDP and TCP"
from=$(($(wc -l <"$QB_DIR/tcp.log") + 1))
for i in 1 2; do
	begin
	netem link$i down=1
	must_be $i failed 3
	assert_gaps "link $i dead" 300
	netem link$i down=0
	must_carry $i 2
	assert_gaps "link $i healed" 300
	assert_eq "failovers, by their gaps" "$(gaps)" "$(counter edge failovers)"
done
assert_le "half seconds in which TCP stood still" "$(tcp_stalls $from)" 1

section "one way only"
begin
netem link1 down.down=1
# The hub sends into the void. Once it has given the link up it reports by the other what still arrives there: an edge that hears of
# that before it gave up itself goes on sending.
must_within "ctl hub -j sites | jq -e '[.sites[0].links[].state] | index(\"failed\")'" 3
pass "the hub's link is failed after $WAITED_MS ms, the edge's is $(link_state 1)"
assert_gaps "link 1 deaf" 300
netem link1 down.down=0
must_carry 1 2

section "the carrier goes"
# Nothing has to be found out: what is sent takes the other link at once. A busy machine gets three more tries.
best_up=9999 best_down=9999
for ((i = 0; i < 4; i++)); do
	begin
	ip_in edge link set wan1 down
	must_be 1 absent 2
	assert_gaps "wan1 down" 300
	best_up=$(least "$best_up" "$GAP_UP_MS") best_down=$(least "$best_down" "$GAP_MS")
	ip_in edge link set wan1 up
	ip_in edge route add default via 10.10.1.1 dev wan1 metric 101
	must_carry 1 5
	assert_gaps "wan1 up" 300
	[[ $(least "$best_up" 100) != 100 && $(least "$best_down" 100) != 100 ]] && break
done
assert_le "gap between two packets up when an interface goes down, ms" "$best_up" 100
assert_le "the same down, ms" "$best_down" 100

section "the address changes"
begin
ip_in edge addr del 10.10.1.2/24 dev wan1
ip_in edge addr add 10.10.1.7/24 dev wan1
ip_in edge route replace default via 10.10.1.1 dev wan1 metric 101
must_within "[[ \$(status edge .links[0].local) == 10.10.1.7:* ]]" 3
must_carry 1 5
assert_gaps "another address on wan1" 300

section "the interface is deleted and made again"
ctl edge link wan3 tier=primary
must_carry 3 3
begin
ip_in edge link del wan3
must_be 3 absent 3
assert_gaps "wan3 deleted" 300
veth_pair edge wan3 10.10.3.2/24 hub wan3 10.10.3.1/24
must_carry 3 5
assert_gaps "wan3 is back" 300
ctl edge link wan3 down
must_be 3 absent 2

section "all links, 20 s: the session is held"
begin
held_from=${EPOCHREALTIME/./}
for i in 1 2; do netem link$i down=1; done
sleep 18
assert_eq "state, of bond and hub" "$(status edge '.state + ", " + .hub.state')" "down, connected"
grep -q "the session is held" <<<"$(status edge .hub.reason)" || fail "no reason: $(ctl edge status)"
sleep 2
held_ms=$(((${EPOCHREALTIME/./} - held_from) / 1000))
for i in 1 2; do netem link$i down=0; done
must_within "reachable lan $INET4" 3
assert_between "interruption, ms" "$WAITED_MS" 0 2000
for i in 1 2; do must_carry $i 3; done
flow_gap up
assert_between "gap up, ms; the links were silent for $held_ms" "$GAP_MS" $((held_ms - 200)) $((held_ms + 2000))
assert_eq "handshakes" "$(counter hub handshakes)" 1

section "ten flaps"
begin
# Long enough each time for the link to be given up, also where false alarms made for patience, and to come back.
for ((i = 0; i < 10; i++)); do
	netem link2 down=1
	sleep 0.55
	netem link2 down=0
	sleep 0.25
done
assert_gaps "ten flaps" 300
assert_ge "times that link 2 was given up" "$(status edge .links[1].failures)" 2
# A link that fails again and again must prove itself for longer.
must_within "status edge .links[1].reason | grep -q 'must stay sound for'" 3
still_running

section "the edge gets no processor, ten times"
begin
failures=$(counter edge failovers)
for ((i = 0; i < 10; i++)); do
	kill -STOP "${DAEMON_PIDS[edge]}"
	sleep 0.1
	kill -CONT "${DAEMON_PIDS[edge]}"
	sleep 0.1
done
assert_gaps "ten stops of 100 ms" 300
assert_eq "links given up for it" "$(($(counter edge failovers) - failures))" 0

# must_return WHAT MAX_MS: traffic both ways, so long at most after the daemon was ready, and then over both links.
must_return() {
	must_within "reachable lan $INET4" 10
	assert_le "$1: traffic after so many ms" "$WAITED_MS" "$2"
	must_be 1 active 3
	must_be 2 active 3
}

section "the hub restarts"
stop "${DAEMON_PIDS[hub]}"
must_within "[[ \$(status edge .hub.state) == connecting ]]" 3
start_daemon hub "$QB_DIR/hub.conf"
must_return "hub restarted" 3000

section "the hub is killed and started"
kill -KILL "${DAEMON_PIDS[hub]}"
wait "${DAEMON_PIDS[hub]}" 2>/dev/null
start_daemon hub "$QB_DIR/hub.conf"
must_return "hub killed" 3000
assert_eq "stateless resets that the edge believed" "$(counter edge conns_reset)" 1

section "the edge is killed and started"
kill -KILL "${DAEMON_PIDS[edge]}"
wait "${DAEMON_PIDS[edge]}" 2>/dev/null
start_daemon edge "$QB_DIR/edge.conf" "bonded|degraded|single" 10
must_return "edge killed" 3000
assert_eq "sessions that the hub shows" "$(ctl hub -j sites | jq -r '.sites[].state')" connected
ctl edge link wan3 down

section "all links, longer than the session is held"
down_at=$SECONDS
for i in 1 2; do netem link$i down=1; done
must_within "[[ \$(status hub .sites[0].state) == down && \$(status edge .hub.state) == connecting ]]" 33
must_within "((SECONDS >= down_at + 32))" 33
for i in 1 2; do netem link$i down=0; done
must_return "all links dead for 32 s" 8000
still_running
flow_stop up down
