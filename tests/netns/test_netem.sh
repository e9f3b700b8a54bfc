#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The emulated link against the kernel's own TCP, UDP and ping: what quicbond-netem is told is what they see.
#
#   ┌────┐      ┌──────┐      ┌────┐
#   │ a  ├──────┤ link ├──────┤ b  │   10.9.0.1, fd00:9::1 and .2
#   └────┘      └──────┘      └────┘
. "$(dirname "$0")/lib.sh"
need ping iperf3 ss

ns_add a
ns_add b
link_emulated link a eth0 10.9.0.1/24,fd00:9::1/64 b eth0 10.9.0.2/24,fd00:9::2/64
iperf_server b

# rate_is NAME MIN MAX IPERF_ARGS...: in one of six tries. On a busy machine the sender may fall behind, and so may the link, before
# what is measured begins: it catches up then. Sets SOCKET_DROPS, what the link lost meanwhile by its own slowness.
rate_is() {
	local name=$1 min=$2 max=$3 i before
	shift 3
	for ((i = 0; i < 6; i++)); do
		before=$(socket_drops)
		iperf a "$@"
		SOCKET_DROPS=$(($(socket_drops) - before))
		is "$IPERF_MBPS >= $min && $IPERF_MBPS <= $max" && ((SOCKET_DROPS == 0)) && break
	done
	assert_between "$name" "$IPERF_MBPS" "$min" "$max"
	assert_eq "drops for want of speed" "$SOCKET_DROPS" 0
}

socket_drops() {
	netem_stats link '.ab.drops.socket + .ba.drops.socket'
}

# round_trip_is NAME MIN MAX ADDRESS: the shortest of some, in one of five tries.
round_trip_is() {
	local name=$1 min=$2 max=$3 i
	for ((i = 0; i < 5; i++)); do
		ping_run a "$4" -c 20 -i 0.02
		is "${PING_MIN_MS:-9999} <= $max" && break
	done
	assert_between "$name, ms" "$PING_MIN_MS" "$min" "$max"
}

section "a link that is not there"
netem_stats nowhere .schema 2>/dev/null && fail "netem_stats does not say that nothing answers"
pass "no figures, and an exit status that says so"

section "what is stopped as soon as it was begun"
for _ in {1..10}; do
	spawn early a sleep 60
	stop "$SPAWNED"
done
[[ -d $QB_DIR ]] && in_ns a true || fail "it has cleaned up"
pass "ends alone"

section "a perfect link"
pings_return "pings answered" 20 0.02 a 10.9.0.2
assert_eq "drops" "$(netem_stats link '.ab.drops.total + .ba.drops.total')" 0
round_trip_is "round trip" 0 2 10.9.0.2
iperf_ge "TCP" 500 a 10.9.0.2 -t 2
offload a eth0 off
offload b eth0 off
iperf_ge "TCP without offloads" 300 a 10.9.0.2 -t 1
offload a eth0 on
offload b eth0 on

section "delay"
netem link up.delay=20ms down.delay=5ms
in_ns a ping -q -c 1 10.9.0.2 >/dev/null # the neighbour entry is made anew with the new delay
round_trip_is "round trip" 25 26 10.9.0.2
round_trip_is "round trip over IPv6" 25 26 fd00:9::2

section "rate"
netem link delay=5ms rate=50M limit=50ms
rate_is "TCP up at 50 Mbit/s" 44 50 10.9.0.2 -t 3 -O 1
rate_is "TCP down at 50 Mbit/s over IPv6" 44 50 fd00:9::2 -t 3 -O 1 -R
netem link up.rate=100M
rate_is "UDP at 100 Mbit/s" 95.3 97.7 10.9.0.2 -u -b 110M -l 1400 -t 3 -O 1
assert_ge "drops of the full queue" "$(netem_stats link .ab.drops.queue)" 1000

section "queue"
netem link up.rate=10M down.rate=0 limit=100ms delay=0
for _ in {1..5}; do
	in_ns a ping -n -c 40 -i 0.1 10.9.0.2 >"$QB_DIR/queue.out" &
	pinger=$!
	iperf a 10.9.0.2 -u -b 20M -l 1400 -t 3
	wait $pinger
	# A full queue takes half of the pings, and the longest of the others may have waited for a busy machine.
	third=$(sed -n 's/.* time=\([0-9.]*\) ms$/\1/p' "$QB_DIR/queue.out" | sort -rn | sed -n 3p)
	is "${third:-0} >= 90 && ${third:-0} <= 130" && break
done
assert_between "round trip through a full queue of 100 ms" "$third" 90 130

section "loss"
netem link rate=0 up.loss=20
ping_run a 10.9.0.2 -c 1000 -i 0.002 -W 1
assert_between "lost pings, %" "$PING_LOSS_PCT" 15 25 # within four deviations of chance
netem link loss=0 burst=2,20
ping_run a 10.9.0.2 -c 2000 -i 0.002 -W 1
assert_between "lost pings in bursts both ways, %" "$PING_LOSS_PCT" 7 28
netem link burst=0

section "duplicates, corruption, order"
netem link up.dup=100
ping_run a 10.9.0.2 -c 20 -i 0.02
assert_ge "duplicates" "$PING_DUPS" 15
netem link dup=0 up.corrupt=100
ping_run a 10.9.0.2 -c 10 -i 0.02 -W 1
assert_eq "pings that survive a flipped bit" "$PING_RECEIVED" 0
bad_csums=$(in_ns b awk '/^Icmp:/ && ++n == 2 { print $4 }' /proc/net/snmp)
assert_ge "wrong ICMP checksums" "$bad_csums" 10
netem link corrupt=0 up.reorder=10 reorder-delay=5ms
iperf a 10.9.0.2 -u -b 20M -l 1000 -t 2
must_within "grep -q 'received out-of-order' $QB_DIR/iperf3-b-5201.log" 3
out_of_order=$(awk '/received out-of-order/ { n = $(NF - 3) } END { print n + 0 }' "$QB_DIR/iperf3-b-5201.log")
assert_ge "datagrams out of order" "$out_of_order" 100
netem link reorder=0

section "mtu, policer, blackout"
netem link mtu=1200
pings_return "packets of 1,200 bytes" 3 0.02 a 10.9.0.2 -s 1172
ping_run a 10.9.0.2 -c 3 -i 0.02 -s 1173 -W 1
assert_eq "packets of 1,201 bytes" "$PING_RECEIVED" 0
netem link mtu=0 up.police=20M
rate_is "UDP through a policer of 20 Mbit/s" 18 20 10.9.0.2 -u -b 40M -l 1400 -t 3 -O 1
netem link police=0 down=1
ping_run a 10.9.0.2 -c 5 -i 0.02 -W 1
assert_eq "pings in a blackout" "$PING_RECEIVED" 0
netem link down=0
must_within "reachable a 10.9.0.2" 3
pass "back after a blackout"
assert_eq "frames that could not be cut" "$(netem_stats link '.ab.drops.bad + .ba.drops.bad')" 0
assert_eq "an unknown parameter" "$("$QB_BUILD/quicbond-netem" set "$QB_DIR/netem-link.sock" ratte=1 2>&1)" \
	'quicbond-netem: unknown parameter "ratte"'

section "a script"
ns_add c
ns_add d
link_emulated scripted c eth0 10.8.0.1/24 d eth0 10.8.0.2/24 --script "2s down=1; 4s down=0"
must_within "reachable c 10.8.0.2" 2
must_within '[[ $(netem_stats scripted .ab.params.down) == 1 ]]' 3
must_within '[[ $(netem_stats scripted .ab.params.down) == 0 ]]' 3
must_within "reachable c 10.8.0.2" 3
pass "down and up again"
