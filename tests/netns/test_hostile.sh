#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# An attacker who sees everything and sends after it what he likes, to the hub and to the edge: replays, cut and flipped
# copies, random bytes, long headers, forged sources; while the tunnel works, and while it is being set up. All of it is a
# counted drop.
# A fresh ASan build of the daemon (make SANITIZE=address,undefined), if there is one, has to stand the same.
. "$(dirname "$0")/lib.sh"
need ping ss

[[ -x $(tool hostile) && -x $(tool udpflow) ]] || skip "$(tool hostile) is not built (make test-bins)"

# attack COUNT: on link 1, both ways at once. Sets ATTACKERS.
attack() {
	rm -f "$QB_DIR/hostile-"*.log
	local seeds=($RANDOM $RANDOM)
	spawn hostile-hub link1 "$(tool hostile)" b 4433 "$1" "${seeds[0]}"
	ATTACKERS=("$SPAWNED")
	spawn hostile-edge link1 "$(tool hostile)" a 4433 "$1" "${seeds[1]}"
	ATTACKERS+=("$SPAWNED")
	pass "the attackers' seeds: ${seeds[*]}"
}

attack_done() {
	local pid
	for pid in "${ATTACKERS[@]}"; do
		wait "$pid" || fail "an attacker ended early: $(cat "$QB_DIR"/hostile-*.log)"
	done
	pass "sent: $(jq -s '[.[].sent] | add' "$QB_DIR"/hostile-*.log)"
}

# sanitizer_clean: nothing in the logs.
sanitizer_clean() {
	[[ -s $QB_DIR/edge.log && -s $QB_DIR/hub.log ]] && ! grep -E 'AddressSanitizer|runtime error|BUG' "$QB_DIR/edge.log" "$QB_DIR/hub.log"
}

# drops NS COUNTER...: each has counted.
drops() {
	local ns=$1 name
	shift
	for name in "$@"; do
		assert_ge "$ns: $name" "$(counter $ns $name)" 1
	done
}

ordeal() {
	start_bond
	must_within "[[ \$(status edge .state) == bonded ]]" 5
	bond_settled
	flow_start up lan $INET4 inet 2000
	flow_start down inet $LAN4 lan 2000
	must_within "(( \$(status edge .links[0].tx_packets) > 1000 ))" 10
	flow_report up
	flow_report down
	# A machine that is busy with other things has the queues' AQM drop some; no attack does.
	queue=$(($(counter edge drop_queue) + $(counter hub drop_queue)))
	handshakes=$(counter edge handshakes)

	section "$1: a working tunnel"
	attack 8000
	attack_done
	for way in up down; do
		flow_report $way
		queued=$(($(counter edge drop_queue) + $(counter hub drop_queue) - queue))
		assert_le "$way: packets lost of $(jq .sent <<<"$FLOW")" "$(jq .lost <<<"$FLOW")" "$(jq ".sent / 200 + $queued" <<<"$FLOW")"
		assert_eq "$way: packets that came twice" "$(jq .duplicates <<<"$FLOW")" 0
	done
	drops hub drop_auth drop_duplicate guard_drop_fixed_bit guard_drop_version guard_drop_initial_size guard_drop_short
	drops edge drop_auth drop_duplicate drop_fixed_bit drop_unknown_cid
	assert_eq "state, connections, links" "$(status edge .state) $(($(counter edge handshakes) - handshakes)) $(status edge \
		'[.links[].state] | join(" ")')" "bonded 0 active active"
	assert_eq "where link 1 goes" "$(status edge '.links[0].peer')" "$HUB4:4433"
	[[ $(ctl hub -j links | jq -r '[.links[].peer | sub(":[0-9]*$"; "")] | sort | join(" ")') == "10.10.1.2 10.10.2.2" ]] ||
		fail "the hub sends elsewhere: $(ctl hub links)"
	pass "the hub sends to the edge only"

	section "$1: setting up"
	flow_stop up down
	stop "${DAEMON_PIDS[edge]}"
	attack 100000
	for ((i = 0; i < 3; i++)); do
		start_daemon edge "$QB_DIR/edge.conf" bonded 20
		must_within "reachable lan $INET4" 3
		stop "${DAEMON_PIDS[edge]}"
	done
	pass "three times under attack"
	stop "${ATTACKERS[@]}"
	kill -0 "${DAEMON_PIDS[hub]}" || fail "the hub has ended"
	start_daemon edge "$QB_DIR/edge.conf" bonded 15
	assert_eq "sites" "$(ctl hub -j sites | jq -r '.sites[].state') $(reachable inet $LAN4 && echo reachable)" "connected reachable"
	stop "${DAEMON_PIDS[edge]}" "${DAEMON_PIDS[hub]}"
	assert_ok "nothing for a sanitizer to say" sanitizer_clean
	rm -f "$QB_DIR/edge.log" "$QB_DIR/hub.log"
}

# Link 1 is the faster one: it has the traffic.
topology 2 "" "delay=10ms"
# One frame a packet on the wire: the attacker does not cut super-packets.
offload edge wan1 off
offload hub wan1 off
ordeal "plain build"
asan=$QB_ROOT/build/gcc-address-undefined/bin/quicbondd
if [[ -x $asan && -z $(find "$QB_ROOT/daemon" -name '*.[ch]' -newer "$asan") ]]; then
	mkdir "$QB_DIR/asan"
	ln -s "$QB_BUILD/quicbondctl" "$QB_BUILD/quicbond-netem" "$QB_DIR/asan"
	ln -s "$asan" "$QB_DIR/asan/quicbondd"
	QB_BUILD=$QB_DIR/asan
	ordeal "ASan build"
fi
