#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# [Policy]: a class whose packets are sent twice and arrive once, another one that is protected by forward error correction while
# the links lose, one that passes the tunnel by, a change while it runs, a reload.
. "$(dirname "$0")/lib.sh"
need jq

# moved NS COUNTER BEFORE: by how much it has grown.
moved() {
	echo $(($(counter "$1" "$2") - $3))
}

# flow_of NS DIRECTION: the call as `flows` has it.
flow_of() {
	ctl "$1" -j flows | jq -c "[.flows[] | select(.direction == \"$2\" and .destination == \"$INET4:7001\")][0]"
}

topology 2
start_bond "edge:Policy call.Match=udp:7001" "edge:Policy call.Class=realtime" "edge:Policy call.Duplicate=2" \
	"edge:Policy call.Fec=off" "edge:Policy video.Match=udp:7002, dst:10.2.0.0/24" "edge:Policy video.Class=interactive" \
	"edge:Policy video.Duplicate=off" "edge:Policy video.Fec=rs:8+3" \
	"edge:Policy marked.Match=mark:0x51/0xff" "edge:Policy marked.Via=direct" \
	"edge:Policy paint.Match=mark:0x160/0xff0" "edge:Policy paint.Class=background" "edge:Policy paint.Via=direct"
must_within "[[ \$(status edge .state) == bonded ]]" 5

section "a class that is sent twice"
flow_start call lan $INET4 inet 500
sleep 1
flow_report call
copies=$(counter edge copies_sent) dropped=$(counter hub drop_reorder_dup) realtime=$(counter edge class_realtime)
sleep 2
flow_report call
assert_ge "copies of 1000 packets" "$(moved edge copies_sent "$copies")" 600
assert_ge "dropped by the hub" "$(moved hub drop_reorder_dup "$dropped")" 600
assert_ge "packets of the class" "$(moved edge class_realtime "$realtime")" 600
assert_eq "packets lost" "$(jq .lost <<<"$FLOW")" 0
status edge .protection | grep -q "^calls are sent " || fail "status does not say: $(status edge .protection)"
assert_eq "repair symbols" "$(counter edge fec_sent)" 0

section "the flow is seen"
sent=$(flow_of edge tx) come=$(flow_of hub rx)
assert_eq "class, protocol" "$(jq -r '.class + " " + .protocol' <<<"$sent")" "realtime udp"
assert_ge "rate, bit/s" "$(jq .rate_bps <<<"$sent")" 200000
assert_eq "its links' shares" "$(jq '[.paths[].share] | add | . * 100 | round' <<<"$sent")" 100
assert_eq "what came at the hub" "$(jq -r '.site + " " + .protocol' <<<"$come")" "site udp"
assert_le "held there, ms" "$(jq .hold_ms <<<"$come")" 20
ctl edge explain link wan2 | tee "$QB_DIR/explain.log" | grep -q "^why: [a-z]" || fail "no reason: $(cat "$QB_DIR/explain.log")"
[[ $(ctl hub -j explain site/path0 | jq -r .link.state) == active ]] || fail "explained at the hub: $(ctl hub explain site/path0)"
assert_eq "what the hub knows the links by" "$(ctl hub -j sites | jq -c '[.sites[0].links[] | .peer_name] | sort')" '["wan1","wan2"]'
[[ $(ctl hub explain site/wan2) == *"(wan2) is active"* ]] || fail "explained by its name: $(ctl hub explain site/wan2)"
refused "no link is called" ctl edge explain wan9
ctl edge flows | grep -q "^tx .*realtime" || fail "not in the table: $(ctl edge flows)"

section "changes"
assert_ok "set" ctl edge set Policy.call.Class bulk
ctl edge set Policy.call.Class urgent >/dev/null 2>&1 && fail "a class that does not exist was taken"
ctl edge set Policy.nobody.Class bulk >/dev/null 2>&1 && fail "a policy that does not exist was taken"
bulk=$(counter edge class_bulk)
sleep 0.5
assert_ge "packets of the new class" "$(moved edge class_bulk "$bulk")" 100
flow_stop call

section "a class with forward error correction"
flow_start video lan $INET4 inet 500
for link in link1 link2; do netem $link up.loss=3; done
sleep 4
assert_ge "packets protected" "$(counter edge fec_protected)" 1000
assert_ge "repair symbols" "$(counter edge fec_sent)" 300
assert_ge "packets made by the hub" "$(counter hub fec_recovered)" 10
assert_eq "malformed" "$(counter hub drop_fec)" 0
assert_ge "overhead, per mille" "$(status edge '.fec.overhead * 1000 | round')" 250
assert_le "overhead, per mille" "$(status edge '.fec.overhead * 1000 | round')" 500
assert_eq "recovered, as the hub's status has it" "$(ctl hub -j status | jq '.fec.recovered > 10')" true
ctl edge status | grep -q "^fec  *auto: .* % added to " || fail "not in the status: $(ctl edge status)"
assert_ok "set" ctl edge set Policy.video.Fec off
protected=$(counter edge fec_protected)
sleep 0.5
assert_le "packets protected without" "$(moved edge fec_protected "$protected")" 20
assert_ok "set" ctl edge set Policy.video.Fec bond
assert_ok "set" ctl edge set Bond.Fec xor:4
sleep 0.5
assert_ge "packets protected by the bond's code" "$(moved edge fec_protected "$protected")" 100
assert_eq "wanted" "$(status edge .fec.wanted)" xor:4
refused "up to half of K" ctl edge set Bond.Fec rs:4+3
refused "there is no [Policy nobody]" ctl edge set Policy.nobody.Fec off
refused "RateUp, RateDown, Weight" ctl edge set Bond.Nothing 1
ctl edge set Bond.Fec auto
for link in link1 link2; do netem $link up.loss=0; done

section "a link that a class names"
assert_ok "set" ctl edge set Policy.video.Via wan2
must_within "[[ \$(ctl edge -j flows | jq -c '[.flows[] | select(.direction == \"tx\" and (.destination | endswith(\":7002\")))
	| .paths[].link]') == '[\"wan2\"]' ]]" 5
refused "no link is called" ctl edge set Policy.video.Via wan7

section "a class that passes the tunnel by"
# rules: how many of ours are there to lead past the tunnel.
rules() {
	{ in_ns edge ip -N rule && in_ns edge ip -N -6 rule; } | grep -cE '^519[1-9]:'
}
# tunnelled: whether the class is seen in the tunnel: true or false.
tunnelled() {
	ctl edge -j flows | jq '[.flows[] | select(.direction == "tx" and (.destination | endswith(":7002")))] | length > 0'
}
hub_guard del
assert_eq "rules, of both families: for marks, and for two policies before that" "$(rules)" 31
assert_ok "set" ctl edge set Policy.video.Via direct
must_within "[[ \$(tunnelled) == false ]]" 4
flow_report video
sleep 0.5
flow_report video
assert_ge "packets that came all the same, by the link, though the hub offers a route" "$(jq .received <<<"$FLOW")" 100
assert_eq "rules" "$(rules)" 31
in_ns edge ip rule | grep -qE '^5191:.*to 10.2.0.0/24 ipproto udp dport 7002 goto 5194' || fail "$(in_ns edge ip -N rule)"
in_ns edge ip route get 10.2.0.2 mark 0x51 | grep -q 'via 10.10.1.1 dev wan1' || fail "a mark: $(in_ns edge ip route get 10.2.0.2 mark 0x51)"
in_ns edge ip route get 10.2.0.2 | grep -q 'dev qb0' || fail "no mark: $(in_ns edge ip route get 10.2.0.2)"
in_ns edge ip route get 10.1.0.2 mark 0x51 | grep -q 'dev lan0' || fail "the LAN, with a mark: $(in_ns edge ip route get 10.1.0.2 mark 0x51)"
pass "firewall marks"
assert_ok "set" ctl edge set Policy.video.Via bond
hub_guard add
must_within "[[ \$(tunnelled) == true ]]" 4
flow_stop video

section "firewall marks in the tunnel"
# is_by PORT WHAT: class and links of what the edge sends to this port.
is_by() {
	[[ $(ctl edge -j flows | jq -r "[.flows[] | select(.direction == \"tx\" and (.destination | endswith(\":$1\"))) |
		.class + \" \" + ([.paths[] | select(.share > 0.9) | .link] | join(\" \"))] | join(\", \")") == "$2" ]]
}
# The first mark that the tunnel is to know of, long after the start. A qdisc without an egress is told.
in_ns edge tc qdisc add dev qb0 ingress
assert_ok "set" ctl edge set Policy.paint.Via wan2
ctl edge doctor | grep -q "policies do not match firewall marks: the TUN device has an ingress qdisc" || fail "doctor: $(ctl edge doctor)"
in_ns edge tc qdisc del dev qb0 ingress
in_ns edge tc qdisc add dev qb0 clsact
assert_ok "set" ctl edge set Policy.paint.Via wan2
ctl edge doctor | grep -q "firewall marks" && fail "doctor, when the filter is there: $(ctl edge doctor)"
flow_start painted edge $INET4 inet 300 0x162
must_within "is_by $FLOW_PORT 'background wan2'" 5
assert_ok "set" ctl edge set Policy.paint.Via wan1
must_within "is_by $FLOW_PORT 'background wan1'" 5
flow_report painted
sleep 0.5
flow_report painted
assert_ge "packets that came" "$(jq .received <<<"$FLOW")" 100
# One more.
for key in Class=bulk Via=wan2; do assert_ok "set" ctl edge set Policy.marked.${key%=*} ${key#*=}; done
flow_start other edge $INET4 inet 300 0x2751
flow_start plain edge $INET4 inet 300 7
must_within "is_by $((FLOW_PORT - 1)) 'bulk wan2'" 5
must_within "is_by $((FLOW_PORT - 2)) 'background wan1'" 5
ctl edge -j flows | jq -e "[.flows[] | select(.direction == \"tx\" and (.destination | endswith(\":$FLOW_PORT\")) and .class != \"background\" and .class != \"bulk\")] | length == 1" >/dev/null ||
	fail "without such a mark: $(ctl edge flows)"
for name in painted other plain; do flow_stop $name; done
for name in marked paint; do assert_ok "set" ctl edge set Policy.$name.Via direct; done
assert_eq "malformed" "$(counter edge drop_tun_malformed)" 0

section "memory for what is put in order"
assert_ok "set" ctl hub set Bond.ReorderMax 64K
assert_ok "set" ctl edge set Bond.Scheduler roundrobin
for key in Class=bulk Ordered=yes Fec=off; do assert_ok "set" ctl edge set Policy.video.${key%=*} ${key#*=}; done
netem link2 up.delay=300ms
FLOW_PORT=7001
flow_start many lan $INET4 inet 3000
# The step of delay looks like a death at first.
must_within "status edge '.links[1] | .state == \"active\" and .rtt_ms > 250'" 10
full=$(counter hub reorder_full) held=$(counter hub reorder_held)
sleep 1
assert_ge "packets that were held" "$(moved hub reorder_held "$held")" 300
assert_ge "released for want of memory" "$(moved hub reorder_full "$full")" 20
assert_ok "set" ctl hub set Bond.ReorderMax auto
sleep 0.5
full=$(counter hub reorder_full)
sleep 1
assert_eq "released for want of memory without a limit" "$(moved hub reorder_full "$full")" 0
flow_stop many
netem link2 up.delay=0
ctl edge set Bond.Scheduler auto

section "a link's limits"
assert_ok "set" ctl edge set Link.wan2.RateUp 5M
assert_ok "set" ctl edge set Link.wan2.RateDown 2.5M
assert_eq "at the edge" "$(status edge .links[1].limit_bps)" 5000000
assert_eq "kind, and a score" "$(status edge ".links[1] | .kind + \" \" + (.score > 500 | tostring)")" "ethernet true"
must_within "[[ \$(ctl hub -j sites | jq '[.sites[0].links[].limit_bps] | max') == 2500000 ]]" 2
refused "allowed: auto or 64k to 400G" ctl edge set Link.wan2.RateUp fast
refused "no link is called" ctl edge set Link.wan9.RateUp 5M
ctl edge set Link.wan2.RateDown auto
must_within "[[ \$(ctl hub -j sites | jq '[.sites[0].links[].limit_bps] | max') == 0 ]]" 2

section "reload"
sed -i '/^\[Policy marked\]/,/^$/d; /^\[Policy paint\]/,/^$/d; /^\[Policy call\]/,/^$/d; s/^Class = interactive/Class = background/' "$QB_DIR/edge.conf"
assert_ok "reload" ctl edge reload
assert_eq "rules past the tunnel" "$(rules)" 0
copies=$(counter edge copies_sent) background=$(counter edge class_background)
FLOW_PORT=7001
flow_start again lan $INET4 inet 500
must_within "((\$(moved edge class_background $background) >= 200))" 5
assert_le "copies" "$(moved edge copies_sent "$copies")" 100
flow_stop again
