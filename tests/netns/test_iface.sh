#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What interfaces do while traffic flows: down and up, another MTU, other queues, gone and back, an XDP program that is taken off or
# that others have put there; and a daemon that was killed.
#
#   ┌──────┐ wan1        wan1 ┌─────┐
#   │ edge ├──────────────────┤ hub │
#   └──────┘                  └─────┘
. "$(dirname "$0")/lib.sh"
need ping iperf3 ss ethtool bpftool

POOL4=10.64.0.1
QB_LINKS=1
ns_add edge
ns_add hub

wire() {
	veth_pair edge wan1 10.10.1.2/24 hub wan1 10.10.1.1/24
}

# daemons EDGE_IO HUB_IO [SETTING...]
daemons() {
	quicbond_confs "edge:Hub hub.Address=10.10.1.1:4433" "edge:Route.Advertise=" "edge:Link wan1.Io=$1" "edge:Node.Buffers=4096" \
		"hub:Site site.Prefixes=" "hub:Route.Advertise=$POOL4/32" "hub:Listen.Interface=wan1" \
		"hub:Listen.Io=$2" "hub:Listen.Address=0.0.0.0:4433" "${@:3}"
	start_daemon hub "$QB_DIR/hub.conf"
	start_daemon edge "$QB_DIR/edge.conf" single 15
	must_within "reachable edge $POOL4" 5
}

stop_daemons() {
	stop "${DAEMON_PIDS[edge]}" "${DAEMON_PIDS[hub]}"
}

alive() {
	kill -0 "${DAEMON_PIDS[edge]}" 2>/dev/null || fail "the edge ended: $(tail -n 3 "$QB_DIR/edge.log")"
	kill -0 "${DAEMON_PIDS[hub]}" 2>/dev/null || fail "the hub ended: $(tail -n 3 "$QB_DIR/hub.log")"
}

# flows NAME: the tunnel works, within 10 s, and both daemons still run.
flows() {
	must_within "reachable edge $POOL4" 10
	alive
	pass "$1: traffic after $WAITED_MS ms"
}

wire
for io in uring xdp-copy; do
	section "$io"
	daemons $io $io
	assert_eq "edge" "$(status edge .links[0].io)" $io
	assert_eq "hub" "$(status hub .sites[0].links[0].io)" $io
	iperf_server hub
	for way in "" -R; do
		# shellcheck disable=SC2086 # none or one
		iperf_ge "TCP $way" 20 edge $POOL4 -t 1 $way
	done
	for n in edge hub; do
		assert_ok "$n: stages: $(ctl $n -j io | jq -r '[.stages[] | "\(.stage) \(.ns_each)"] | join(", ")') ns a packet" \
			jq -e '.stages | length == 7 and all(.packets > 0 and .ns_each > 0)' <<<"$(ctl $n -j io)"
	done
	xsk=$(($(counter edge io_xsk_rx) + $(counter hub io_xsk_rx)))
	if [[ $io == xdp-* ]]; then
		assert_ge "packets by AF_XDP" $xsk 1000
	else
		assert_eq "packets by AF_XDP" $xsk 0
	fi
	for n in edge hub; do
		assert_eq "$n: packets that were no good" \
			"$(ctl $n -j counters | jq '.counters | .drop_header + .drop_auth + .drop_oversize + .drop_no_buffer')" 0
	done
	stop "$SPAWNED"
	stop_daemons
done

# steered NS: packets of its wan1 that XDP took.
steered() {
	ctl "$1" -j counters | jq '[.counters | to_entries[] | select(.key | test("wan1_xdp_steered")) | .value] | add // 0'
}

# steers NS: XDP takes the tunnel's packets.
steers() {
	local before
	before=$(steered "$1")
	sleep 0.2
	[[ $(steered "$1") -gt $before ]]
}

# finds NS REGEX: doctor says so.
finds() {
	ctl "$1" -j doctor | jq -e --arg re "$2" '.findings | any(.where + ": " + .text + "; " + .mend | test($re))'
}

section "what doctor and io say"
daemons xdp-copy udp "edge:Link wan1.RingSize=512" "edge:Link wan1.NeedWakeup=no" "edge:Node.FrameSize=4096" "edge:Node.Umem=1024" \
	"edge:Link wan1.BusyPoll=yes"
assert_ok "no busy polling, which is said" jq -e '.interfaces[0] | .queues[0].busy_poll_sockets == 0 and
	(.reason | test("no busy polling: napi_defer_hard_irqs"))' <<<"$(ctl edge -j io)"
assert_ok "io: rings" jq -e '.interfaces[0].queues[0] | .fill_level > 200 and .ring_size == 512 and .umem_frames == 1024 and
	.frame_bytes == 4096 and .need_wakeup == 0' <<<"$(ctl edge -j io)"
offers=$(ctl edge -j io | jq -r '.interfaces[0].offers')
# Kernels since 6.3 tell.
if printf '%s\n' 6.3 "$(uname -r)" | sort -VC; then
	assert_ok "the driver offers: $offers" grep -qw redirect <<<"$offers"
fi
assert_ok "io: program" jq -e '.interfaces[0].program.xdp_steered_short > 0' <<<"$(ctl edge -j io)"
assert_ok "io: sockets and guard" jq -e '.interfaces[0].sockets.rx_buffer_bytes > 0 and .guard.guard_initials > 0' \
	<<<"$(ctl hub -j io)"
assert_ok "doctor: the cipher in use" jq -e '.crypto | (.why | length > 0) and (.in_use | test("^(AES-(128|256)-GCM|ChaCha20-Poly1305) [12]$"))' \
	<<<"$(ctl edge -j doctor)"
ctl hub doctor | grep -E "^crypto: (AES-128-GCM|ChaCha20-Poly1305): the CPU has .*in use: .* [12]$" || fail "doctor: $(ctl hub doctor)"
finds edge rp_filter >/dev/null && fail "doctor finds what is not there"
finds hub "private key" >/dev/null && fail "doctor: the key's mode is $(stat -c %a "$QB_DIR/hub.pem")"
chmod 604 "$QB_DIR/hub.pem"
assert_ok "doctor: a key that others may read" finds hub "host: others may read .* private key .*hub.pem; chmod o="
chmod 600 "$QB_DIR/hub.pem"
in_ns edge sysctl -qw net.ipv4.conf.wan1.rp_filter=1
assert_ok "doctor: a strict filter" finds edge "wan1: rp_filter is strict.*conf.wan1.rp_filter=2"
ctl edge doctor >/dev/null
assert_eq "its exit code" $? 2
in_ns edge sysctl -qw net.ipv4.conf.wan1.rp_filter=0 net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=1
assert_ok "doctor: no forwarding" finds edge "host: the host does not forward IPv4.*ip_forward=1"
finds edge "does not forward IPv6" >/dev/null && fail "doctor does not see that IPv6 is forwarded"
in_ns hub ethtool -K wan1 gro off
assert_ok "doctor: GRO off" finds hub "wan1: GRO is off.*ethtool -K wan1 gro on"
in_ns hub ethtool -K wan1 gro on
finds hub "GRO is off" >/dev/null && fail "doctor does not see that GRO is on"
finds edge "may be locked" >/dev/null && fail "doctor does not see that AF_XDP works"
assert_ok "doctor: no router" finds hub "wan1: no default route"
ctl edge doctor --report "$QB_DIR/report" >/dev/null
assert_eq "its exit code with hints only" $? 0
assert_eq "the report is for its owner" "$(stat -c %a "$QB_DIR/report")" 600
assert_ok "the report" jq -e '.findings and .status.links and .io.interfaces' "$QB_DIR/report"
stop "${DAEMON_PIDS[edge]}"
in_ns edge sh -c 'echo 2 >/sys/class/net/wan1/napi_defer_hard_irqs && echo 200000 >/sys/class/net/wan1/gro_flush_timeout'
start_daemon edge "$QB_DIR/edge.conf" single 15
assert_ok "busy polling" jq -e '.interfaces[0] | .queues[0].busy_poll_sockets > 0 and (.reason | test("; busy polling$"))' \
	<<<"$(ctl edge -j io)"
must_within "reachable edge $POOL4" 5
section "the mode changes under traffic, by a reload"
spawn ping edge ping -q -i 0.002 $POOL4
pinger=$SPAWNED
for io in xdp-generic udp xdp-zerocopy xdp-copy; do
	sed -i "s/^Io *=.*/Io = $io/" "$QB_DIR/edge.conf"
	ctl edge reload >/dev/null || fail "reload"
	if [[ $io == xdp-zerocopy ]]; then
		must_within "[[ \$(status edge .links[0].state) == absent ]]" 5
		assert_ok "why: $(status edge .links[0].reason)" grep -q "Io = $io cannot be had: .*no zero-copy" \
			<<<"$(status edge .links[0].reason)"
	else
		must_within "[[ \$(status edge .links[0].io) == $io ]]" 5
		flows "$io"
	fi
done
stop "$pinger"
stop_daemons

for io in xdp-copy uring udp; do
	section "$io: the interface changes under traffic"
	daemons $io $io
	spawn ping edge ping -q -i 0.002 $POOL4
	pinger=$SPAWNED
	ip_in edge link set wan1 down
	must_within "[[ -z \$(status edge .links[0].io) ]]" 5
	ip_in edge link set wan1 up
	flows "edge down and up"
	assert_eq "edge" "$(status edge .links[0].io)" $io
	ip_in hub link set wan1 down
	sleep 0.5
	ip_in hub link set wan1 up
	flows "hub down and up"
	for mtu in 1400 9000 1500; do
		[[ $io == xdp-* ]] || continue
		ip_in edge link set wan1 mtu $mtu
		ip_in hub link set wan1 mtu $mtu
		flows "MTU $mtu"
	done
	ip_in edge link del wan1
	must_within "[[ -z \$(status edge .links[0].io) ]]" 5
	sleep 0.3
	wire
	flows "gone and back"
	assert_eq "edge" "$(status edge .links[0].io)" $io
	must_within "[[ \$(status hub .sites[0].links[0].io) == $io ]]" 5
	if [[ $io == xdp-* ]]; then
		must_within "steers hub" 5
		section "$io: the queues change"
		# Neither end may send on more queues than the other receives on. Fewer again the kernel refuses while ours are bound.
		for way in rx tx; do
			for n in edge hub; do
				in_ns $n ethtool -L wan1 $way 2 || fail "ethtool -L wan1 $way 2 in $n"
			done
		done
		must_within "status edge .links[0].io_reason | grep 'receive on 2 queues'" 5
		must_within "status hub .sites[0].links[0].io_reason | grep 'receive on 2 queues'" 5
		flows "2 queues"
		must_within "steers hub" 5
		section "$io: both daemons killed"
		kill -KILL "${DAEMON_PIDS[@]}"
		wait "${DAEMON_PIDS[@]}" 2>/dev/null
		start_daemon hub "$QB_DIR/hub.conf"
		start_daemon edge "$QB_DIR/edge.conf" single 15
		flows "started again"
		assert_eq "edge" "$(status edge .links[0].io)" $io
		must_within "steers hub" 5
	fi
	stop "$pinger"
	stop_daemons
done

section "another XDP program"
# Ours, without a port to steer: it passes everything.
object=$QB_ROOT/${B:-build/gcc}/bpf/xdp_steer.bpf.o

# other_on, other_off: another's program on the edge's interface.
other_on() {
	ip -n "${QB_PREFIX}edge" link set dev wan1 xdp obj "$object" sec xdp.frags >/dev/null 2>&1
}

other_off() {
	ip_in edge link set dev wan1 xdp off
}

# ours_off: by force.
ours_off() {
	in_ns edge bpftool link detach id "$(in_ns edge bpftool -j link show | jq '[.[] | select(.type == "xdp")][-1].id')"
}

# replaced: ours is taken off, and the other comes before ours is put back.
replaced() {
	ours_off && other_on
}

if other_on; then
	quicbond_confs "edge:Hub hub.Address=10.10.1.1:4433" "edge:Link wan1.Io=xdp-copy" "edge:Route.Advertise=" \
		"hub:Site site.Prefixes=" "hub:Route.Advertise=$POOL4/32" "hub:Listen.Address=0.0.0.0:4433"
	start_daemon hub "$QB_DIR/hub.conf"
	start_daemon edge "$QB_DIR/edge.conf" down
	must_within "status edge .links[0].reason | grep -q 'XDP program .* is already on wan1'" 5
	pass "the reason: $(status edge .links[0].reason)"
	other_off
	flows "it is taken off"
	assert_eq "edge" "$(status edge .links[0].io)" xdp-copy
	spawn ping edge ping -q -i 0.002 $POOL4
	must_within "steers edge" 5
	assert_ok "ours is taken off by force" ours_off
	flows "by the socket"
	must_within "steers edge" 5
	pass "it is put back"
	must_within replaced 10
	must_within "[[ \$(status edge .links[0].io) == udp ]]" 5
	flows "another takes its place"
	assert_ok "the reason: $(status edge .links[0].io_reason)" grep -q "XDP program .* on wan1\|another XDP program" \
		<<<"$(status edge .links[0].io_reason)"
	other_off
	must_within "[[ \$(status edge .links[0].io) == xdp-copy ]]" 5
	must_within "steers edge" 5
	flows "it goes"
	stop_daemons

	# A host where libxdp is in use: its dispatcher would be joined, which takes a kernel with BTF (tests/zc), but this is none.
	mkdir "$QB_DIR/bpf"
	if mount -t bpf bpf "$QB_DIR/bpf" && mkdir "$QB_DIR/bpf/xdp"; then
		export LIBXDP_BPFFS=$QB_DIR/bpf
		assert_ok "another program, without libxdp's dispatcher" other_on
		start_daemon hub "$QB_DIR/hub.conf"
		start_daemon edge "$QB_DIR/edge.conf" down
		must_within "status edge .links[0].reason | grep -q 'not libxdp.s dispatcher'" 5
		joiner=$(pgrep -P "${DAEMON_PIDS[edge]}")
		assert_eq "beside the daemon" "$(cat "/proc/$joiner/comm")" quicbond-joiner
		kill -KILL "${DAEMON_PIDS[edge]}"
		wait "${DAEMON_PIDS[edge]}" 2>/dev/null
		must_within "! kill -0 $joiner" 5
		pass "the joiner follows the daemon"
		other_off
		stop_daemons
		unset LIBXDP_BPFFS
	fi
else
	pass "not tested: this ip(8) loads no XDP programs"
fi
