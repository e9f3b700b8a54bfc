#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What whoever looks on sees of packets: in their first bytes the fixed bit always, in the spin bit nothing, or the round trip
# time where [Tunnel] SpinBit says so, by a reload too; their sizes, or nothing of those where Padding says so.
. "$(dirname "$0")/lib.sh"
need ping tcpdump

# watch COUNT ARG... FILTER: tcpdump of so many packets that the edge sends, in SEEN; it is listening when this returns.
SEEN=$QB_DIR/seen
watch() {
	local cnt=$1
	shift
	rm -f "$SEEN"
	in_ns edge timeout 60 tcpdump -i wan1 -Q out -n -c "$cnt" "$@" 2>"$QB_DIR/tcpdump.err" >"$SEEN" &
	WATCHER=$!
	must_within "grep -q '^listening on' $QB_DIR/tcpdump.err" 5
}

# watched: all of them have come.
watched() {
	wait "$WATCHER" || fail "tcpdump saw less: $(tail -n 3 "$QB_DIR/tcpdump.err")"
}

# look_on: 60 packets that the edge sends. Sets CLEAR, how many without the fixed bit, FLIPS, how often the spin bit turns, and
# ROUNDS, the most round trips that there can have been in that time.
look_on() {
	watch 60 -tt -x 'udp dst port 4433 and udp[8] & 0x80 == 0'
	in_ns lan ping -n -q -c 90 -i 0.01 -W 1 $INET4 >/dev/null
	watched
	# The IP and UDP headers are 28 bytes: the first one is the 7th word of the second line.
	read -r CLEAR FLIPS ROUNDS < <(awk -v round_s=0.08 '$2 == "IP" { end = $1; if (!begin) begin = $1 }
	$1 == "0x0010:" {
		digit = index("0123456789abcdef", substr($8, 1, 1)) - 1
		clear += digit % 8 < 4
		spin = int(digit / 2) % 2
		flips += n++ && spin != was
		was = spin
	} END { print clear + 0, flips + 0, int((end - begin) / round_s) + 2 }' "$SEEN")
}

# spin POLICY: both ends, by a reload.
spin() {
	sed -i "s/^SpinBit = .*/SpinBit = $1/" "$QB_DIR/edge.conf" "$QB_DIR/hub.conf"
	assert_ok "reload of the edge" ctl edge reload
	assert_ok "reload of the hub" ctl hub reload
}

topology 1 "rate=100M delay=40ms"
start_bond edge:Tunnel.SpinBit=never hub:Tunnel.SpinBit=never

section "never: noise"
look_on
assert_eq "packets without the fixed bit" "$CLEAR" 0
assert_ge "turns of the spin bit" "$FLIPS" 15

# 60 packets take 0.6 s, which is seven round trips and far fewer than there are turns in noise. One path in 16 is left out by either
# end; another policy draws anew. Nor does it tell anything when the machine was so busy that there were many round trips.
section "always: a turn each round trip"
for _ in {1..8}; do
	spin always
	ping_run lan $INET4 -c 3 -i 0.1
	look_on
	((FLIPS >= 4 && FLIPS <= ROUNDS && ROUNDS <= 14)) && break
	spin never
done
assert_between "turns of the spin bit" "$FLIPS" 4 "$((ROUNDS < 14 ? ROUNDS : 14))"
assert_eq "packets without the fixed bit" "$CLEAR" 0

section "never, by a reload"
spin never
look_on
assert_ge "turns of the spin bit" "$FLIPS" 15

# sizes: how many sizes there are among 30 packets of the edge that carry pings of 100 to 1100 bytes (ACKs alone are smaller),
# and how many of them are no multiple of 400.
sizes() {
	local i
	watch 30 'udp dst port 4433 and greater 140'
	# One after the other: two that come together leave in one packet.
	for ((i = 100; i <= 1100; i += 25)); do
		in_ns lan ping -n -q -c 1 -W 1 -s $i $INET4 >/dev/null
	done
	watched
	read -r SIZES ODD < <(awk '{ size = $NF; sizes[size]++; odd += size % 400 != 0 } END { print length(sizes), odd + 0 }' "$SEEN")
}

section "sizes, and multiples of 400 bytes by a reload"
netem link1 delay=5ms
sizes
assert_ge "sizes seen" "$SIZES" 15
assert_ge "that are no multiples" "$ODD" 15
sed -i "s/^\[Tunnel\]/&\nPadding = 400/" "$QB_DIR/edge.conf"
assert_ok "reload of the edge" ctl edge reload
sizes
assert_eq "sizes seen, that are no multiples" "$SIZES $ODD" "3 0"
assert_ge "bytes of padding" "$(counter edge padding_tx)" 4000
