#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What whoever looks on sees of packets: in their first bytes the fixed bit always, in the spin bit nothing, or the round trip
# time where [Tunnel] SpinBit says so, by a reload too; their sizes, or nothing of those where Padding says so.
. "$(dirname "$0")/lib.sh"
need ping tcpdump

# look_on: 60 packets that the edge sends. Sets CLEAR, how many without the fixed bit, and FLIPS, how often the spin bit turns.
look_on() {
	in_ns edge timeout 5 tcpdump -i wan1 -Q out -n -x -c 60 'udp dst port 4433 and udp[8] & 0x80 == 0' 2>/dev/null >"$QB_DIR/seen" &
	local pid=$!
	sleep 0.3
	in_ns lan ping -n -q -c 70 -i 0.01 -W 1 $INET4 >/dev/null
	wait $pid || fail "tcpdump saw less: $(grep -c 0x0010 "$QB_DIR/seen") packets"
	# The IP and UDP headers are 28 bytes: the first one is the 7th word of the second line.
	read -r CLEAR FLIPS < <(awk '$1 == "0x0010:" {
		digit = index("0123456789abcdef", substr($8, 1, 1)) - 1
		clear += digit % 8 < 4
		spin = int(digit / 2) % 2
		flips += n++ && spin != was
		was = spin
	} END { print clear + 0, flips + 0 }' "$QB_DIR/seen")
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

# 0.7 s are fewer than ten round trips. One path in 16 is left out by either end; another policy draws anew.
section "always: a turn each round trip"
for _ in {1..8}; do
	spin always
	ping_run lan $INET4 -c 3 -i 0.1
	look_on
	((FLIPS <= 12)) && break
	spin never
done
assert_le "turns of the spin bit" "$FLIPS" 12
assert_ge "turns of the spin bit" "$FLIPS" 4
assert_eq "packets without the fixed bit" "$CLEAR" 0

section "never, by a reload"
spin never
look_on
assert_ge "turns of the spin bit" "$FLIPS" 15

# sizes: how many sizes there are among 30 packets of the edge that carry pings of 100 to 1100 bytes (ACKs alone are smaller),
# and how many of them are no multiple of 400.
sizes() {
	in_ns edge timeout 5 tcpdump -i wan1 -Q out -n -c 30 'udp dst port 4433 and greater 140' 2>/dev/null >"$QB_DIR/seen" &
	local pid=$! i
	sleep 0.3
	for ((i = 100; i <= 1100; i += 25)); do
		echo $i
	done | in_ns lan xargs -P 2 -I{} ping -n -q -c 1 -W 1 -s {} $INET4 >/dev/null
	wait $pid || fail "tcpdump saw less: $(wc -l <"$QB_DIR/seen") packets"
	read -r SIZES ODD < <(awk '{ size = $NF; sizes[size]++; odd += size % 400 != 0 } END { print length(sizes), odd + 0 }' "$QB_DIR/seen")
}

section "sizes, and multiples of 400 bytes by a reload"
sizes
assert_ge "sizes seen" "$SIZES" 15
assert_ge "that are no multiples" "$ODD" 15
sed -i "s/^\[Tunnel\]/&\nPadding = 400/" "$QB_DIR/edge.conf"
assert_ok "reload of the edge" ctl edge reload
sizes
assert_eq "sizes seen, that are no multiples" "$SIZES $ODD" "3 0"
assert_ge "bytes of padding" "$(counter edge padding_tx)" 4000
