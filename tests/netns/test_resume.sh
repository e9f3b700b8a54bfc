#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A tunnel is back one round trip after a restart of either end, however it ended: the edge has kept its tickets, the hub the
# keys for them and the memory of those used; and what proves the edge's addresses, to a hub that asks everybody for that
# (Retry). Damaged files cost a round trip, and a site that was removed stays out.
. "$(dirname "$0")/lib.sh"
need ping

ROUND_MS=600 # there and back; what a busy machine adds is little beside it

# stamp LINE: the time in a log line, in milliseconds of its day.
stamp() {
	sed -E 's/^.*([0-9]{2}):([0-9]{2}):([0-9]{2})\.([0-9]{3}).*$/\1 \2 \3 \4/' <<<"$1" |
		awk '{ print (($1 * 60 + $2) * 60 + $3) * 1000 + $4 }'
}

# took: milliseconds between the edge's last attempt and its success, by its log.
took() {
	local from to
	from=$(grep -E 'hub_state .*-> connecting' "$QB_DIR/edge.log" | tail -n 1)
	to=$(grep -E 'hub_state .*-> connected' "$QB_DIR/edge.log" | tail -n 1)
	echo $(($(stamp "$to") - $(stamp "$from")))
}

kill_hard() {
	kill -KILL "${DAEMON_PIDS[$1]}"
	wait "${DAEMON_PIDS[$1]}" 2>/dev/null
	# The namespace, and with it the device, stays; the kernel removes what belonged to the process.
	wait_for "! ip -n $QB_PREFIX$1 link show qb0 >/dev/null 2>&1" 3 || fail "qb0 of $1 is still there"
}

restart() {
	start_daemon "$1" "$QB_DIR/$1.conf" "${2:-.*}" 10
}

back_in_one() {
	assert_between "$1: back after, ms" "$(took)" $((ROUND_MS * 9 / 10)) $((ROUND_MS * 16 / 10))
	pings_return "pings" 3 0.1 lan $INET4
}

topology 1 "delay=$((ROUND_MS / 2))ms rate=50M"
start_bond hub:Listen.Retry=always

section "the first time"
assert_ge "back after, ms" "$(took)" $((2 * ROUND_MS))
assert_eq "0-RTT accepted" "$(counter edge early_accepted)" 0
assert_eq "Retry packets" "$(counter edge retry_rx)" 1
wait_for "compgen -G '$STATE_DIRECTORY/tokens-*' >/dev/null" 3 || fail "no tokens were kept"
wait_for "compgen -G '$STATE_DIRECTORY/tickets-*' >/dev/null" 3 || fail "no tickets were kept"
assert_eq "modes of what is kept" "$(find "$STATE_DIRECTORY" -type f -exec stat -c %a {} + | sort -u | paste -sd' ')" 600

section "the edge is killed"
kill_hard edge
restart edge "bonded|single"
back_in_one edge
assert_eq "resumptions" "$(counter edge resumptions)" 1
assert_eq "Retry packets" "$(counter edge retry_rx)" 0
assert_eq "0-RTT accepted, edge" "$(counter edge early_accepted)" 1
wait_for "[[ \$(counter hub early_accepted) == 1 ]]" 3 || fail "the hub says $(counter hub early_accepted)"
pass "0-RTT accepted, hub: 1"
assert_eq "replays at the hub" "$(counter hub early_replayed)" 0
assert_eq "status: began in 0-RTT" "$(status edge '.hub.early | tostring')" true
assert_eq "conns of the edge" "$(ctl edge -j conns | jq -c '[.total, (.connections[0] | .name, .use, .state, .early, .paths)]')" \
	'[1,"hub","tunnel","confirmed",true,1]'
assert_eq "conns of the hub" "$(ctl hub -j conns | jq -c '[.connections[] | select(.use == "tunnel") | .name, .state, .cid]')" \
	"[\"site\",\"confirmed\",\"$(ctl edge -j conns | jq -r .connections[0].cid)\"]"
ctl edge conns
assert_ge "status: tickets for the next time" "$(status edge .hub.tickets)" 1
cp "$STATE_DIRECTORY"/tickets-* "$QB_DIR/old_tickets"

section "the hub stops and starts"
stop "${DAEMON_PIDS[hub]}"
restart hub
wait_for "[[ \$(counter edge early_accepted) == 2 ]]" 10 || fail "the edge did not come back, or not in 0-RTT"
pass "0-RTT accepted, edge: 2"
# The hub counts once the edge has answered.
wait_for "[[ \$(counter hub early_accepted) == 1 ]]" 3 || fail "the hub says $(counter hub early_accepted)"
pass "0-RTT accepted, hub: 1"

section "the hub is killed"
kill_hard hub
restart hub
# The next PING that keeps the NAT open, and a stateless reset in answer to it, tell the edge.
wait_for "[[ \$(counter hub early_accepted) == 1 ]]" 10 || fail "the edge did not come back, or not in 0-RTT"
pass "0-RTT accepted, hub: 1"
wait_for "[[ \$(status edge .state) == single ]]" 10 || fail "the edge did not come back"

section "a ticket that was used"
# What was kept before the last restarts: its newest tickets are spent, and the hub remembers.
stop "${DAEMON_PIDS[edge]}"
cp "$QB_DIR/old_tickets" "$(compgen -G "$STATE_DIRECTORY/tickets-*")"
restart edge "bonded|single"
assert_ge "back after, ms" "$(took)" $((2 * ROUND_MS))
assert_eq "replays at the hub" "$(counter hub early_replayed)" 1
assert_eq "0-RTT rejected, edge" "$(counter edge early_rejected)" 1

section "damaged files"
stop "${DAEMON_PIDS[edge]}"
stop "${DAEMON_PIDS[hub]}"
find "$STATE_DIRECTORY" -type f | while read -r f; do
	head -c 700 /dev/urandom >"$f"
done
restart hub
restart edge "bonded|single"
grep -q "tickets-.* is damaged" "$QB_DIR/edge.log" || fail "the edge does not say that its tickets are damaged"
grep -q "ticket-keys-.* is damaged" "$QB_DIR/hub.log" || fail "the hub does not say that its keys are damaged"
grep -q "tokens that were kept are damaged" "$QB_DIR/edge.log" || fail "the edge does not say that its tokens are damaged"
pass "both say so"
assert_eq "Retry packets" "$(counter edge retry_rx)" 1
# What was damaged had 700 bytes.
for kept in tickets tokens; do
	must_within "[[ \$(stat -c %s '$STATE_DIRECTORY'/$kept-*) != 700 ]]" 5
done
kill_hard edge
restart edge "bonded|single"
back_in_one "with new ones"

section "a site that was removed"
sed -i "s,^PublicKey *=.*,PublicKey=$(keypair stranger)," "$QB_DIR/hub.conf"
ctl hub reload >/dev/null || fail "reload"
wait_for "[[ \$(status edge .state) == connecting ]]" 5 || fail "the edge is still in"
kill_hard edge
refused=$(counter hub peers_refused)
restart edge connecting
must_within "(( \$(counter hub peers_refused) > $refused ))" 5
sleep 1
assert_eq "state" "$(status edge .state)" connecting
assert_eq "0-RTT accepted, edge" "$(counter edge early_accepted)" 0
assert_ge "refused at the hub" "$(counter hub peers_refused)" 1
