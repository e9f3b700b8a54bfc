#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What links carried is remembered over a restart of both ends, and a start with it is a careful one.
. "$(dirname "$0")/lib.sh"
need iperf3 nstat

# phases NODE PID: of its links' congestion control, as they are seen as long as a process is there.
phases() {
	local seen=""
	while kill -0 "$2" 2>/dev/null; do
		seen+=" $(ctl "$1" -j links | jq -r '.links[].congestion_phase')"
		sleep 0.02
	done
	echo "$seen"
}

# known_file NODE: where it keeps what it knows.
known_file() {
	echo "$STATE_DIRECTORY/known-$("$QB_BUILD/quicbondctl" pubkey <"$QB_DIR/$1.pem" | base64 -d | head -c 8 | od -An -tx1 | tr -d ' \n')"
}

# end_daemon NODE: politely, and it is gone.
end_daemon() {
	kill -TERM "${DAEMON_PIDS[$1]}"
	must_within "! kill -0 ${DAEMON_PIDS[$1]} 2>/dev/null" 5
}

topology 1 "rate=50M delay=40ms limit=100ms"
start_bond
assert_eq "ECN of a path in use" "$(ctl edge -j links | jq -r '.links[0].ecn | IN("testing", "capable")')" true

# ce NAMESPACE: inner packets that came marked Congestion Experienced.
ce() {
	in_ns "$1" nstat -asz IpExtInCEPkts | awk '/InCEPkts/ { print $2 }'
}

section "ECN"
for ns in lan inet; do
	in_ns $ns sysctl -q net.ipv4.tcp_ecn=1
done
netem link1 mark=1ms
iperf_server inet
iperf lan $INET4 -t 2 -P 2
iperf lan $INET4 -t 2 -P 2 -R
for side in "hub inet" "edge lan"; do
	read -r node ns <<<"$side"
	carried=$(counter "$node" ecn_carried)
	assert_ge "marks of the link that the $node carried on" "$carried" 1
	# Some come for a connection that is over.
	must_within "(( \$(ce $ns) >= $((carried * 9 / 10)) ))" 3
	pass "marked packets that came to $ns: $(ce "$ns")"
done
netem link1 mark=0

section "learnt"
# busy NODE ARGS...: iperf3 until the node's link has delivered something to remember, for a host may have other things to do.
busy() {
	local node=$1
	shift
	for ((n = 0; n < 6; n++)); do
		iperf lan $INET4 -t 3 -P 4 "$@"
		(($(ctl "$node" -j links | jq '.links[0].delivery_bps') > 20000000)) && return
	done
	fail "no more than $(ctl "$node" -j links | jq '.links[0].delivery_bps') bit/s from the $node"
}
busy edge
busy hub -R
ctl edge -j links | jq -e '.links[0].congestion == "auto" and (.links[0].congestion_reason | length > 10)' >/dev/null ||
	fail "no reason: $(ctl edge -j links)"
pass "auto says: $(ctl edge -j links | jq -r '.links[0].congestion_reason')"
end_daemon edge
end_daemon hub
for role in edge hub; do
	file=$(known_file $role)
	assert_eq "known to the $role" "$(sed -n '1p;$p' "$file" | paste -sd ' ')" "quicbond known links 1 end 1"
	assert_eq "for others to read" "$(stat -c %a "$file")" 600
	# 50 Mbit/s for 80 ms are 500 kB.
	read -r _ window _ < <(sed -n 2p "$file")
	((window > 60000 && window < 1000000)) || fail "the $role has learnt $window bytes"
	pass "the $role has learnt $window bytes"
done

section "used"
start_daemon hub "$QB_DIR/hub.conf"
start_daemon edge "$QB_DIR/edge.conf" single 15
for role in edge hub; do
	grep -q "1 known links were saved" "$QB_DIR/$role.log" || fail "the $role has read nothing"
done
iperf lan $INET4 -t 1 -P 4 -R &
seen=$(phases hub $!)
wait $! || fail "no transfer"
[[ $seen == *"resume ("* ]] || fail "the hub has not resumed: $seen"
pass "the hub resumed: $(tr ' ' '\n' <<<"$seen" | grep -c . | sed 's/$/ words of phases/')"

section "shown and forgotten"
assert_eq "known of the link" "$(ctl edge -j known | jq -c '[.known[] | .name]')" '["wan1"]'
ctl edge known
assert_eq "an unknown name" "$(ctl edge known forget nowhere 2>&1)" 'quicbondctl: nothing is known of "nowhere"; see quicbondctl known'
assert_eq "forgotten at the hub" "$(ctl hub known forget)" "forgotten: 1"
grep -q "^end 0$" "$(known_file hub)" || fail "the hub's file has it still"
pass "the hub's file is empty"

section "a file that is not whole"
end_daemon edge
truncate -s -2 "$(known_file edge)"
start_daemon edge "$QB_DIR/edge.conf" single 15
grep -q "is not whole; it is measured again" "$QB_DIR/edge.log" || fail "the edge takes it for whole"
pass "it begins anew"
