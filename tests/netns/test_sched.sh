#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# BPF schedulers: the samples steer as they say, by a daemon that gave up its privileges; the verifier's refusal leaves the one in
# force; nonsense is counted, and auto stands in; programs change while packets flow, and none is lost.
. "$(dirname "$0")/lib.sh"
need jq
getent passwd nobody >/dev/null || skip "there is no user nobody"

# carried LINK: packets that the edge sent by it since `mark`.
mark() {
	marks=("$(status edge '.links[0].tx_packets')" "$(status edge '.links[1].tx_packets')")
}
carried() {
	echo $(($(status edge ".links[$(($1 - 1))].tx_packets") - marks[$1 - 1]))
}

# most LINK COUNT: three fifths at least of so many packets since `mark`, or of as many after them, leave by it: where a sender that had
# to wait sends all at once, a link is full for a moment.
most() {
	local try part
	for ((try = 0; try < 5; try++)); do
		must_within "(( \$(carried 1) + \$(carried 2) >= $2 ))" 5
		part=$((100 * $(carried "$1") / ($(carried 1) + $(carried 2))))
		((part >= 60)) && break
		mark
	done
	assert_ge "by link $1, per cent" "$part" 60
}

# use FILE: the edge's scheduler.
use() {
	USED_US=${EPOCHREALTIME/./}
	assert_ok "set ${1##*/}" ctl edge sched set "$1"
	assert_eq "in force" "$(status edge .scheduler)" "$1"
	sleep 0.2
	mark
}

programs=$QB_DIR/sched
mkdir "$programs"
cp "$QB_BUILD"/sched/*.o "$(tool sched)"/*.o "$programs" || fail "the programs are not built"
chmod 755 "$QB_DIR" "$programs"
chmod 644 "$programs"/*

topology 2 "rate=40M delay=12ms limit=100ms" "rate=40M delay=4ms limit=100ms"
quicbond_confs edge:Node.User=nobody edge:Control.Group=nogroup "edge:Bond.Scheduler=bpf:$programs/refused.o" \
	"edge:Policy steady.Match=udp:7001" "edge:Policy steady.Class=bulk" \
	"edge:Policy odd.Match=udp:9" "edge:Policy odd.Scheduler=bpf:$programs/none.o"
start_daemon hub "$QB_DIR/hub.conf"
start_daemon edge "$QB_DIR/edge.conf" bonded 15

section "a start without its program"
assert_eq "in force" "$(status edge .scheduler)" auto
ctl edge doctor | grep -q "refused.o could not be had at the start: auto is used" || fail "doctor does not say: $(ctl edge doctor)"
grep -q "refused.o: the kernel's verifier refuses it: .*; auto is used instead" "$QB_DIR/edge.log" || fail "the log does not say"
grep -q "\[Policy odd\]: $programs/none.o: No such file or directory; the bond's scheduler is used instead" "$QB_DIR/edge.log" ||
	fail "the log does not say it of a policy"
ctl edge doctor | grep -q "none.o of \[Policy odd\] could not be had at the start: the bond's is used" || fail "doctor: $(ctl edge doctor)"
refused "refused.o: the kernel's verifier refuses it" ctl edge reload
assert_eq "user" "$(stat -c %U /proc/"${DAEMON_PIDS[edge]}")" nobody
flow_start steady lan $INET4 inet 1000
sleep 0.5
flow_report steady

section "the samples steer"
# Whatever a policy lacks.
use "bpf:$programs/minrtt.o"
most 2 500
use "bpf:$programs/fillfirst.o"
most 1 500
assert_eq "faults" "$(counter edge sched_faults)" 0
assert_ge "packets by their choice" "$(counter edge sched_picks)" 500
picks=$(counter edge sched_picks) runs=$(counter edge sched_runs)
pass "$picks picks in $runs runs"

section "why"
assert_eq "the first link's use" "$(status edge .links[0].use)" normal
status edge .links[0].share_reason | grep -q "carries what the BPF program gives it$" || fail "$(ctl edge links)"
assert_eq "marked" "$(ctl edge sched | grep '^\*')" "* bpf:$programs/fillfirst.o"
why=$(ctl edge -j sched explain)
assert_ge "decisions" "$(jq '.decisions | length' <<<"$why")" 20
assert_eq "of the scheduler" "$(jq -r '[.decisions[].scheduler | startswith("bpf:")] | all' <<<"$why")" true
assert_ge "by the first link" "$(jq '[.decisions[] | select(.link == "wan1")] | length' <<<"$why")" 10
assert_ge "although the other is quicker" "$(jq '[.decisions[].reason | select(startswith("its turn, although wan2 is "))] | length' <<<"$why")" 10
assert_eq "choices" "$(jq -c '[.decisions[0].choices[].link] | sort' <<<"$why")" '["wan1","wan2"]'
ctl edge sched explain | head -n 4 | cut -c 1-150

section "what is refused"
for bad in "refused.o: the kernel's verifier refuses it: " "later.o: made for version " "other.o: no scheduler" \
	"none.o: No such file"; do
	out=$(ctl edge set Bond.Scheduler "bpf:$programs/${bad%%:*}" 2>&1) && fail "$bad: taken"
	grep -q "$programs/$bad" <<<"$out" || fail "$bad: $out"
	pass "$out"
done
ctl edge reload >/dev/null 2>&1 && fail "a reload took a program that the verifier refuses"
assert_eq "still in force" "$(status edge .scheduler)" "bpf:$programs/fillfirst.o"
mark
most 1 300

section "nonsense"
use "bpf:$programs/garbage.o"
most 2 500 # by auto
must_within "(( \$(counter edge sched_faults) >= 4 ))" 5
# Once in a hundred milliseconds, not with each packet.
assert_le "faults" "$(counter edge sched_faults)" $(((${EPOCHREALTIME/./} - USED_US) / 100000 + 2))
grep -q "garbage.o picked a path that is not to be used; auto stands in for it" "$QB_DIR/edge.log" || fail "the log does not say"

ctl edge doctor | grep -q "^hint: host: a BPF scheduler made no sense [0-9]* times" || fail "doctor: $(ctl edge doctor)"

section "changes while packets flow, both ways"
flow_stop steady
flow_start up lan $INET4 inet 300
flow_start back inet $LAN4 lan 300
sleep 0.3
# A machine that is busy with other things has the queue's AQM drop some; no change does.
queue=$(($(counter edge drop_queue) + $(counter hub drop_queue)))
flow_report up
flow_report back
for name in "bpf:$programs/minrtt.o" ecf minrtt:25% blest:5ms "bpf:$programs/fillfirst.o" "bpf:$programs/minrtt.o" "bpf:$programs/minrtt.o" auto; do
	for ns in edge hub; do assert_ok "$ns: ${name##*/}" ctl $ns set Bond.Scheduler "$name"; done
	sleep 0.1
done
queue=$(($(counter edge drop_queue) + $(counter hub drop_queue) - queue))
flow_report up
assert_le "packets lost" "$(jq .lost <<<"$FLOW")" "$queue"
flow_report back
assert_le "packets lost on the way back" "$(jq .lost <<<"$FLOW")" "$queue"
flow_stop up back

section "a policy's own"
assert_ok "set" ctl edge set Policy.steady.Scheduler "bpf:$programs/fillfirst.o"
assert_eq "the bond's" "$(status edge .scheduler)" auto
FLOW_PORT=7000
flow_start again lan $INET4 inet 1000
sleep 0.2
mark
most 1 300
flow_stop again
