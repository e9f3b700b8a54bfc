#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What scripts hold on to: quicbondctl's commands, their JSON and exit codes, events, changes while it runs, reload, SIGHUP, config
# errors.
. "$(dirname "$0")/lib.sh"
need script ping ss

# has NS COMMAND JQ: what `quicbondctl -j COMMAND` prints comes to satisfy an expression: one end may still have to hear of it.
has() {
	wait_for "said $(printf '%q ' "$@")" 3 || fail "$2 in $1: not so: $3: $(eval ctl "$1" -j "$2" 2>&1)"
	pass "$2 in $1: ${3:0:100}"
}
said() {
	local out
	# shellcheck disable=SC2086 # words
	out=$(ctl "$1" -j $2) || [[ $? == 2 ]] || return
	jq -e "$3" <<<"$out"
}

# exits CODE COMMAND...: sets OUT, what it printed.
exits() {
	local want=$1 got
	shift
	OUT=$("$@" 2>&1)
	got=$?
	[[ $got == "$want" ]] || fail "$*: exit code $got, not $want: $OUT"
	pass "${*##*/}: exit code $got${OUT:+: $(head -n 1 <<<"$OUT" | cut -c -140)}"
}

# edge, hub COMMAND...
edge() { ctl edge "$@"; }
hub() { ctl hub "$@"; }

topology 2
need dbus-daemon
[[ -x $(tool modem) ]] || skip "$(tool modem) is not built (make test-bins)"
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$QB_DIR/bus
spawn bus edge dbus-daemon --session --nofork --address="$DBUS_SYSTEM_BUS_ADDRESS"
must_within "[[ -S $QB_DIR/bus ]]" 5
spawn modem edge "$(tool modem)" wan2
must_within "grep -q ready $QB_DIR/modem.log" 5
start_bond hub:Metrics.Listen=127.0.0.1
must_within "[[ \$(status edge .state) == bonded ]]" 5

section "the fields of the contract, with their types"
text='type == "string"' number='type == "number"'
states='"absent", "probing", "active", "suspect", "standby", "failed", "drained"'
link="([.name, .interface, .state, .tier, .io, .reason | $text] | all) and (.state | IN($states)) and
	([.rtt_ms, .rtt_min_ms, .jitter_ms, .loss, .share, .tx_bps, .rx_bps, .cwnd, .in_flight, .tx_packets, .rx_packets,
	.tx_bytes, .rx_bytes | $number] | all)"
has edge status '.schema == 1 and .role == "edge" and .name == "site" and .state == "bonded" and (.uptime_s | type == "number")'
has edge status '.tunnel.device == "qb0" and (.tunnel.mtu | type == "number")'
has edge status '.tunnel.addresses == ["10.64.0.2/32", "fd00:64::2/128"]'
has edge status '.hub | .name == "hub" and .address == "10.99.0.1:4433" and .state == "connected" and (.reason | type == "string")'
has edge status '.hub | (.cipher | length) > 0 and .resumed == false and .early == false and .tickets >= 0 and .key_updates == 0'
has edge status '(.links | length) == 2 and [.links[].name] == ["wan1", "wan2"] and [.links[].interface] == ["wan1", "wan2"]'
has edge status "[.links[] | $link] | all"
has edge status '.sites == [] and (.counters | .handshakes == 1 and ([.datagrams_lost, .reorder_held | type == "number"] | all))'
has edge links "(.links | length) == 2 and ([.links[] | $link] | all)"
has edge counters '(.counters | length) > 50 and ([.counters[] | type == "number"] | all)'
has hub status '.role == "hub" and .hub == null and .links == [] and (.sites | length) == 1'
has hub sites '.sites[0] | .name == "site" and .state == "connected" and .addresses == ["10.64.0.2/32", "fd00:64::2/128"] and
	(.prefixes | sort) == ["10.1.0.0/24", "fd00:1::/64"] and (.connected_s > 0)'
has hub sites "[.sites[0].links[] | $link] | length == 2 and all"
has hub links '[.links[] | .site == "site"] | length == 2 and all'

section "the TUN device"
has edge tun '.tun | .device == "qb0" and .up and .mtu_auto and (.mtu | type == "number") and (.offloads | index("tso") != null)'
has edge tun '.tun.addresses | index("10.64.0.2/32") != null and index("fd00:64::2/128") != null'
has hub tun '.tun.routes | map(select(.site == "site") | .prefix) | sort == ["10.1.0.0/24", "10.64.0.2/32", "fd00:1::/64", "fd00:64::2/128"]'
[[ $(edge tun show | head -n 1) == device*qb0*up ]] || fail "tun: $(edge tun)"
exits 1 edge tun hide
exits 0 edge io stats
exits 1 edge io faster
# What the hub has read of a site's traffic is what the site got, and all routes are the kernel's.
tun_sum() { ctl "$1" -j tun | jq "[.tun.queues[].$2] | add"; }
before="$(tun_sum edge tx_packets) $(tun_sum edge tx_bytes) $(tun_sum edge rx_bytes)"
reachable lan $INET4 || fail "no way from the LAN to the Internet"
read -r packets bytes read_bytes <<<"$before"
assert_ge "packets for the LAN" "$(($(tun_sum edge tx_packets) - packets))" 1
assert_ge "their bytes" "$(($(tun_sum edge tx_bytes) - bytes))" 84
assert_ge "bytes from the LAN" "$(($(tun_sum edge rx_bytes) - read_bytes))" 84
while read -r prefix; do
	in_ns edge ip route show table all "$prefix" | grep -q qb0 || in_ns edge ip -6 route show table all "$prefix" | grep -q qb0 ||
		fail "the kernel has no route to $prefix: $(in_ns edge ip route show table all)"
done < <(ctl edge -j tun | jq -r '.tun.routes[].prefix')
pass "its routes: $(ctl edge -j tun | jq -c '[.tun.routes[] | .prefix]')"

section "a modem, as ModemManager tells"
must_within "[[ \$(status edge .links[1].technology) == LTE ]]" 3
has edge status '.links[1] | .kind == "mobile" and .signal_percent == 67 and .signal_dbm == -101'
has edge status '.links[0] | .kind == "ethernet" and .signal_percent == null and .signal_dbm == null and .technology == ""'
[[ $(edge explain wan2) == *"connected by LTE"* ]] || fail "explain: $(edge explain wan2)"

section "text"
exits 0 edge status
grep -q '^state  *bonded$' <<<"$OUT" || fail "status does not say bonded: $OUT"
for command in links counters; do exits 0 edge $command >/dev/null; done
[[ $(edge links | wc -l) == 3 && $(edge links | head -n 1) == LINK* ]] || fail "links: $(edge links)"
[[ $(hub sites | wc -l) == 2 && $(hub sites | tail -n 1) == site*connected* ]] || fail "sites: $(hub sites)"
grep -q $'\e' <<<"$(edge status)" && fail "colours into a pipe"
pass "a line each, no colours into a pipe"

section "exit codes"
exits 1 edge nonsense
exits 1 edge link wan9 down
exits 1 edge link wan1 sideways
exits 1 hub link wan1 down
exits 1 "$QB_BUILD/quicbondctl" -s "$QB_DIR/nobody.sock" status
exits 1 edge set Node.Name other
exits 1 edge set Bond.Scheduler nonsense
exits 1 edge -j link wan9 down
jq -e '.schema == 1 and (.error | length > 0)' <<<"$OUT" >/dev/null || fail "an error as JSON: $OUT"

section "the live view"
exits 1 edge top never
exits 1 edge top 1 0
top=$(edge top 0.1 2)
assert_eq "pages into a pipe" "$(grep -c '^LINK.*PHASE.*PACING' <<<"$top")" 2
assert_ge "its links" "$(grep -c '^wan[12] ' <<<"$top")" 8
top=$(TERM=xterm script -qec "$QB_BUILD/quicbondctl -s $QB_DIR/edge.sock top 0.1 2" /dev/null)
[[ $top == *wan1*active*wan2* ]] || fail "nothing is drawn in a terminal: $top"
pass "a terminal shows it"

section "events"
spawn events edge "$QB_BUILD/quicbondctl" -s "$QB_DIR/edge.sock" monitor
# event JQ [TIMEOUT_S]: one has come that satisfies it.
event() {
	must_within "jq -ne '[inputs | select($1)] | length > 0' $QB_DIR/events.log" "${2:-5}"
	pass "event: $1"
}
must_within "in_ns edge ss -xH state established | grep -q $QB_DIR/edge.sock" 5
spawn hub-events hub "$QB_BUILD/quicbondctl" -s "$QB_DIR/hub.sock" monitor
must_within "in_ns hub ss -xH state established | grep -q $QB_DIR/hub.sock" 5
exits 0 edge link wan1 down
must_within "[[ \$(status edge .links[0].state) == absent ]]" 3
assert_eq "why it is absent" "$(status edge .links[0].reason)" "taken down by command"
event '.schema == 1 and .event == "link" and .name == "wan1" and .to == "absent" and (.time | type == "number")'
event '.event == "bond_state" and .from == "bonded" and .to == "single"'
assert_eq "the bond as a whole" "$(ctl edge -j bond | jq -c '.bond.links | [.total, .active, .absent]')" "[2,1,1]"
exits 2 edge status >/dev/null
assert_eq "state with one link of two" "$(status edge .state)" single
assert_eq "traffic over the other" "$(reachable lan $INET4 && echo flows)" flows
exits 0 edge bond show
exits 1 edge bond sideways
has edge 'failover stats' '.failover.failovers >= 0 and (.failover | has("gap_mean_ms"))'
exits 0 edge set Bond.Fec auto:5-30
has edge 'fec stats' '.fec.recovered == 0 and .fec.overhead == 0 and .fec.redundancy == 0 and .fec.wanted == "auto:5-30"'
exits 0 edge set Bond.Fec auto
exits 0 edge link wan1 up
must_within "[[ \$(status edge .links[0].state) == active && \$(status edge .state) == bonded ]]" 3
event '.event == "link_state" and .name == "wan1" and .to == "active" and (.from | type == "string")'
exits 0 edge status >/dev/null
exits 0 edge set Bond.FailMin 900ms
lines=$(wc -l <"$QB_DIR/events.log")
# told: the states of wan2 and of the bond that were told since then.
told() {
	tail -n +$((lines + 1)) "$QB_DIR/events.log" |
		jq -sr '[.[] | select(.event == "bond_state" or (.event == "link_state" and .name == "wan2")) | .to] | join(" ")'
}
# An instant of silence, of which nobody need hear that the bond is another.
netem link2 down=1
must_within "[[ \$(told) == *suspect ]]" 5
netem link2 down=0
must_within "[[ \$(told) == *active ]]" 3
[[ $(told) =~ ^((suspect|active) ?)+$ ]] || fail "told of an instant's silence: $(told)"
netem link2 down=1
event '.event == "link_state" and .name == "wan2" and .to == "suspect" and (.reason | test("no ACK for [0-9]+ ms"))'
event '.event == "link_state" and .name == "wan2" and .to == "failed" and (.reason | capture("no ACK for (?<ms>[0-9]+) ms").ms | tonumber) >= 900'
must_within "[[ \$(told) == *single ]]" 3
[[ $(told) =~ ^((suspect|active)\ )+failed\ single$ ]] || fail "the bond's state does not follow when the link has failed: $(told)"
pass "told of silences: $(told)"
must_within "ctl edge doctor | grep -q '^FAULT: wan2: the link has been failed for [0-9]* s: nothing comes back by it'" 6
exits 2 edge doctor
exits 0 edge set Bond.FailMin auto
netem link2 down=0
must_within "[[ \$(status edge .state) == bonded ]]" 3
assert_eq "lines that are not JSON objects" "$(jq -R 'fromjson? // "bad" | select(type != "object")' "$QB_DIR/events.log")" ""

section "drain and tiers"
[[ -x $(tool udpflow) ]] || skip "$(tool udpflow) is not built (make test-bins)"
flow_start up lan $INET4 inet
# sent LINK: sets SENT, the bytes that leave over it in half a second.
sent() {
	local before after
	before=$(status edge ".links[$(($1 - 1))].tx_bytes") || return
	sleep 0.5
	after=$(status edge ".links[$(($1 - 1))].tx_bytes") || return
	SENT=$((after - before))
}
# quiet LINK: nothing but keepalives leaves over it.
quiet() {
	sent "$1" && ((SENT < 5000))
}
busy() {
	sent "$1" && ((SENT >= 5000))
}
flow_report up
exits 0 edge link wan1 drain
must_within "[[ \$(status edge .links[0].state) == drained ]]" 3
must_within "quiet 1 && busy 2" 5
pass "all goes over link 2"
exits 0 edge link wan1 up
exits 0 edge link wan2 drain
must_within "[[ \$(status edge .links[1].state) == drained ]]" 3
must_within "quiet 2 && busy 1" 5
pass "all goes over link 1"
exits 0 edge link wan2 up
must_within "[[ \$(status edge .links[1].state) == active ]]" 3
exits 0 edge link wan1 tier=backup
must_within "[[ \$(status edge .links[0].state) == standby && \$(status edge .links[0].tier) == backup ]]" 3
must_within "quiet 1 && busy 2" 5
must_within "[[ \$(ctl hub -j sites | jq -c '[.sites[0].links[].state] | sort') == '[\"active\",\"standby\"]' ]]" 3
must_within "jq -ne '[inputs | select(.event == \"link_state\" and .name == \"site\" and .peer_name == \"wan1\" and .to == \"standby\")
	| .link | test(\"^path[0-9]+$\")] | length > 0 and all' $QB_DIR/hub-events.log" 3
grep -q "link_state site/wan1: active -> standby" "$QB_DIR/hub.log" || fail "the hub's log does not say which link"
pass "the hub keeps it in reserve, too, and says which it is"
exits 0 edge link wan1 tier=primary
must_within "[[ \$(status edge .links[0].state) == active ]]" 3
exits 0 edge link wan1 tier=never
event '.event == "link_state" and .name == "wan1" and .from == "active" and .to == "standby" and (.reason | test("^not used"))'
must_within "quiet 1" 5
exits 0 edge link wan1 tier=primary
must_within "[[ \$(status edge .state) == bonded ]]" 3
exits 1 edge failover now
exits 0 edge link wan1 tier=backup
exits 0 edge failover now
must_within "[[ \$(status edge .links[0].state) == active && \$(status edge .links[1].state) == drained ]]" 3
exits 0 edge failover back
must_within "[[ \$(status edge .links[1].state) == active && \$(status edge .links[0].state) == standby ]]" 3
exits 1 edge failover back
exits 0 edge set Bond.Failover manual
must_within "[[ \$(status edge .links[0].reason) == *'failover now' && \$(status edge .links[0].path_id) == 0 ]]" 4
must_within "[[ \$(ctl hub -j sites | jq '.sites[0].links | length') == 1 ]]" 5
exits 0 edge set Bond.Failover auto
exits 0 edge link wan1 tier=primary
for grain in flow packet auto; do
	exits 0 edge set Bond.Grain $grain
	assert_eq "grain" "$(ctl edge bond | awk '$1 == "grain" { print $2 }')" $grain
done
must_within "[[ \$(status edge .state) == bonded ]]" 3
exits 0 edge set Bond.Mode failover
must_within "[[ \$(status edge .links[0].state) == active && \$(status edge .links[1].state) == standby ]]" 3
exits 1 edge set Bond.Primary wan9
exits 0 edge set Bond.Primary wan2
must_within "[[ \$(status edge .links[1].state) == active && \$(status edge .links[0].state) == standby ]]" 3
exits 0 edge set Bond.Primary auto
exits 0 edge link set wan2 priority=1
must_within "[[ \$(status edge .links[1].rank) == 1 && \$(status edge .links[1].state) == active ]]" 3
exits 0 edge set Bond.Mode single
must_within "[[ \$(status edge .links[0].reason) == *'Mode is single' && \$(status edge .state) == single ]]" 4
ctl edge status >/dev/null || fail "single is what is wanted, and status exits $?"
exits 0 edge set Link.wan2.Priority auto
exits 0 edge bond set mode=bond
must_within "[[ \$(status edge .state) == bonded ]]" 3
flow_report up
assert_eq "packets lost meanwhile" "$(jq .lost <<<"$FLOW")" 0
flow_stop up

section "set"
exits 0 edge set Bond.Scheduler weighted
assert_eq "scheduler" "$(status edge .scheduler)" weighted
exits 0 edge link set wan2 weight=300
assert_eq "weight" "$(status edge '.links[1].weight')" 300
exits 0 edge set bond.scheduler auto
assert_eq "scheduler" "$(status edge .scheduler)" auto
# congestions NODE: of its links, in order.
congestions() {
	ctl "$1" -j links | jq -r '[.links[].congestion] | join(" ")'
}
must_within "[[ \$(ctl hub -j links | jq '.links | length') == 2 ]]" 3
exits 0 edge set Bond.Congestion cubic
assert_eq "congestion control of links in use" "$(congestions edge)" "cubic cubic"
assert_eq "the hub's direction is the hub's" "$(congestions hub)" "auto auto"
exits 0 hub set bond.congestion newreno
assert_eq "congestion control of a site's links" "$(congestions hub)" "newreno newreno"
exits 0 edge set Link.wan1.Congestion bbr3
assert_eq "one link's" "$(congestions edge)" "bbr3 cubic"
edge links | awk 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "CC") c = i } NR > 1 { print $c }' | paste -sd ' ' |
	grep -qx "bbr3 cubic" || fail "links: $(edge links)"
exits 0 edge set Bond.Congestion prague
assert_eq "its own choice stays" "$(congestions edge)" "bbr3 prague"
exits 0 edge link wan1 down
must_within "[[ \$(status edge .links[0].state) == absent ]]" 3
exits 0 edge link wan1 up
must_within "[[ \$(status edge .state) == bonded && \$(congestions edge) == 'bbr3 prague' ]]" 5
pass "a new path has it, too"
exits 0 edge set Link.wan1.Congestion bond
assert_eq "given back to the bond" "$(congestions edge)" "prague prague"
exits 0 hub set Bond.Congestion auto
exits 1 edge set Bond.Congestion vegas
exits 1 edge set Bond.Congestion bond
exits 1 edge set Link.wan1.Congestion vegas
exits 1 edge set Link.wan9.Congestion cubic
exits 0 edge set Link.wan1.Tier backup
must_within "[[ \$(status edge '.links[0] | .state + \" \" + .tier') == 'standby backup' ]]" 3
exits 0 edge set Link.wan1.RateUp 50M
exits 0 edge link wan1 tier=primary
exits 0 edge set Link.wan1.RateUp auto
must_within "[[ \$(status edge '.links[0] | .state + \" \" + .tier') == 'active primary' ]]" 3
exits 1 edge set Link.wan1.Tier third
exits 0 edge set Bond.FailMax 500ms
exits 1 edge set Bond.FailMin 1s
[[ $OUT == *"Bond.FailMin: FailMin would be more than FailMax; "* ]] || fail "what does not go together: $OUT"
exits 0 edge set Bond.FailMax auto
exits 1 hub set Link.wan1.Congestion cubic
[[ $OUT == *"[Link] Congestion is for a node whose Role is edge; this one is hub" ]] || fail "another's setting: $OUT"
assert_eq "traffic" "$(reachable lan $INET4 && echo flows)" flows
exits 0 edge set Log.Level warn
exits 0 edge set Log.Level debug
assert_eq "traffic" "$(reachable lan $INET4 && echo flows)" flows

section "completion"
# completed WORDS...: what the last of them may become, on a line.
completed() {
	(
		quicbondctl() { "$QB_BUILD/quicbondctl" "$@"; }
		. "$QB_ROOT/tools/completion/quicbondctl.bash"
		COMP_WORDS=(quicbondctl -s "$QB_DIR/edge.sock" "$@")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		_quicbondctl
		echo "${COMPREPLY[*]}"
	)
}
assert_eq "commands" "$(completed li)" "links link"
assert_eq "links" "$(completed explain "")" "wan1 wan2"
assert_eq "settings of the bond" "$(completed set Bond.Fail)" "Bond.Failover Bond.Failback Bond.FailMult Bond.FailMin Bond.FailMax"
assert_eq "settings of links" "$(completed set Link.wan2.Rate)" "Link.wan2.RateUp Link.wan2.RateDown"
assert_eq "schedulers" "$(completed sched set red)" "redundant redundant:2 redundant:3 redundant:4"

section "check, and config errors"
exits 0 "$QB_BUILD/quicbondctl" check "$QB_DIR/edge.conf"
exits 0 "$QB_BUILD/quicbondd" -c "$QB_DIR/edge.conf" --check
exits 2 "$QB_BUILD/quicbondd" -c "$QB_DIR/nothing.conf" --foreground
exits 2 "$QB_BUILD/quicbondd" --nonsense
bad=$QB_DIR/bad.conf
# wrong LINE WHAT SED: edge.conf changed is an error in that line that names WHAT.
wrong() {
	local line=$1 what=$2
	sed "$3" "$QB_DIR/edge.conf" >"$bad"
	[[ $line == auto ]] && line=$(grep -nE "$4" "$bad" | tail -n 1 | cut -d: -f1)
	exits 2 "$QB_BUILD/quicbondd" -c "$bad" --foreground
	[[ $OUT == "$bad:$line: "*"$what"*";"* ]] || fail "not $bad:$line: ...$what...; ...: $OUT"
	exits 1 "$QB_BUILD/quicbondctl" check "$bad" >/dev/null
	[[ $OUT == "$bad:$line: "* ]] || fail "check: $OUT"
}
wrong 2 Role 's/^Role = .*/Role = router/'
wrong auto Colour '/^Device/i Colour = red' '^Colour'
wrong auto Paint '$a [Paint]' '^\[Paint\]'
wrong auto Advertise 's/^Advertise = .*/Advertise = 10.1.0.0\/33/' '^Advertise'
wrong auto Address 's/^Address = .*/Address = hub:99999/' '^Address'
wrong auto PublicKey 's/^PublicKey = .*/PublicKey = AAAA/' '^PublicKey'
wrong auto Scheduler '$a [Bond]\nScheduler = fastest' '^Scheduler'
wrong auto Level 's/^Level = .*/Level = loud/' '^Level'
sed "s|^Key = .*|Key = $QB_DIR/none.pem|" "$QB_DIR/edge.conf" >"$bad"
exits 1 "$QB_BUILD/quicbondd" -c "$bad"
[[ $OUT == *"no key file $QB_DIR/none.pem; make one with: umask 077; quicbondctl genkey > "* ]] || fail "no key file: $OUT"
# What is said must not be followed to where a key is.
sed "s|^Key = .*|Key = $QB_DIR|" "$QB_DIR/edge.conf" >"$bad"
exits 1 "$QB_BUILD/quicbondd" -c "$bad"
[[ $OUT == *"cannot read the key file $QB_DIR: Is a directory" ]] || fail "a folder for a key: $OUT"

section "reload"
exits 0 edge reload
cp "$QB_DIR/edge.conf" "$QB_DIR/good.conf"
sed -i 's/^Level = .*/Level = loud/' "$QB_DIR/edge.conf"
exits 1 edge reload
[[ $OUT == *"$QB_DIR/edge.conf:"*Level* ]] || fail "reload does not say what is wrong: $OUT"
assert_eq "the bond goes on" "$(status edge .state) $(reachable lan $INET4 && echo flows)" "bonded flows"
kill -HUP "${DAEMON_PIDS[edge]}"
must_within "grep -q 'the old config stays in force' $QB_DIR/edge.log" 3
sed 's/^Device = .*/Device = qb7/' "$QB_DIR/good.conf" >"$QB_DIR/edge.conf"
exits 1 edge reload
[[ $OUT == *Tunnel.Device*restart* ]] || fail "reload does not say what needs a restart: $OUT"
for key in Mtu=1400 HoldTime=60s; do
	sed "/^\[Tunnel\]/a ${key/=/ = }" "$QB_DIR/good.conf" >"$QB_DIR/edge.conf"
	exits 1 edge reload
	[[ $OUT == *Tunnel.${key%%=*}*restart* ]] || fail "reload does not say that ${key%%=*} needs a restart: $OUT"
done
{
	cat "$QB_DIR/good.conf"
	printf '[Bond]\nReorder = off\n'
} >"$QB_DIR/edge.conf"
exits 1 edge reload
[[ $OUT == *Bond.Reorder*restart* ]] || fail "reload does not say that Reorder needs a restart: $OUT"
pass "what needs a restart is said"
{
	cat "$QB_DIR/good.conf"
	printf '[Bond]\nScheduler = minrtt\n'
} >"$QB_DIR/edge.conf"
kill -HUP "${DAEMON_PIDS[edge]}"
must_within "[[ \$(status edge .scheduler) == minrtt ]]" 3
pass "SIGHUP reads it again"
assert_eq "what was set is undone" "$(congestions edge)" "auto auto"
{
	sed '/^\[Link wan2\]/a Congestion = copa' "$QB_DIR/good.conf"
	printf '[Bond]\nCongestion = cubic\n'
} >"$QB_DIR/edge.conf"
exits 0 edge reload
assert_eq "congestion control after a reload" "$(congestions edge)" "cubic copa"
awk '/^\[Link wan2\]/ { skip = 1; next } /^\[/ { skip = 0 } !skip' "$QB_DIR/good.conf" >"$QB_DIR/edge.conf"
exits 0 edge reload
must_within "[[ \$(status edge '.links | length') == 1 && \$(ctl hub -j sites | jq '.sites[0].links | length') == 1 ]]" 5
pass "a link that is not in the config any more is gone"
cp "$QB_DIR/good.conf" "$QB_DIR/edge.conf"
exits 0 edge reload
must_within "[[ \$(status edge .state) == bonded ]]" 5
assert_eq "handshakes until now" "$(counter edge handshakes)" 1

section "metrics"
need curl
# scrape NS PORT: sets OUT.
scrape() {
	OUT=$(in_ns "$1" curl -sS --noproxy '*' --max-time 5 "http://127.0.0.1:$2/metrics" 2>&1)
}
# metric NS PORT SAMPLE [COMPARISON]
metric() {
	local line
	scrape "$1" "$2" || fail "no metrics of $1: $OUT"
	line=$(awk -v sample="$3 " 'index($0, sample) == 1' <<<"$OUT")
	awk "{ ok = \$NF ${4:->= 1} } END { exit !ok }" <<<"$line" || fail "$3 ${4:->= 1}: $line"
	pass "metrics of $1: $line"
}
must_within "[[ \$(ctl hub -j links | jq '[.links[] | select(.state == \"active\")] | length') == 2 ]]" 5
metric hub 9100 'quicbond_site_up{site="site"}'
metric hub 9100 'quicbond_packets_rx_total' "> 10"
assert_eq "a site's paths" "$(grep -c '^quicbond_path_up{site="site",link="path[0-9]*"} 1$' <<<"$OUT")" 2
metric hub 9100 'quicbond_handshakes_total' "== 1"
scrape edge 9101 && fail "the edge has an endpoint that nobody asked for"
# metrics_at ADDRESS: the edge's, by a reload.
metrics_at() {
	{
		cat "$QB_DIR/good.conf"
		printf '[Metrics]\nListen = %s\n' "$1"
	} >"$QB_DIR/edge.conf"
	exits "${2:-0}" edge reload
}
metrics_at 127.0.0.1:9101
metric edge 9101 'quicbond_path_up{link="wan2"}'
metric edge 9101 'quicbond_path_rtt_seconds{link="wan1"}' "> 0"
metric edge 9101 'quicbond_path_signal_ratio{link="wan2"}' "== 0.67"
metric edge 9101 'quicbond_bond_state{state="bonded"}'
metric edge 9101 'quicbond_bond_links{state="active"}' "== 2"
metric edge 9101 'quicbond_bond_failovers_total'
metric edge 9101 'quicbond_bond_links{state="failed"}' "== 0"
metrics_at 192.0.2.1:9101 1
[[ $OUT == *"[Metrics] Listen: 192.0.2.1:9101: "* ]] || fail "reload does not say what is wrong: $OUT"
metric edge 9101 'quicbond_hub_up{hub="hub"}'
metrics_at 127.0.0.1:9102
scrape edge 9101 && fail "the old endpoint is still there"
metric edge 9102 'quicbond_hub_up{hub="hub"}'
metrics_at off
scrape edge 9102 && fail "the endpoint is still there"
pass "it follows the config"
cp "$QB_DIR/good.conf" "$QB_DIR/edge.conf"
exits 0 edge reload

section "a second daemon"
# ours NS: the routes and rules of any quicbondd there.
ours() {
	{
		in_ns "$1" ip -N route show table all
		in_ns "$1" ip -N -6 route show table all
		in_ns "$1" ip -N rule
		in_ns "$1" ip -N -6 rule
	} | grep -E "proto 81" | sort
}
ours edge >"$QB_DIR/ours.before"
out=$(in_ns edge "$QB_BUILD/quicbondd" -c "$QB_DIR/edge.conf" 2>&1) && fail "the same again starts"
[[ $out == *"there is an interface of this name"* ]] || fail "$out"
ours edge | cmp -s - "$QB_DIR/ours.before" || fail "one by mistake changes routes: $(ours edge | diff "$QB_DIR/ours.before" -)"
pass "by mistake: $(wc -l <"$QB_DIR/ours.before") routes and rules stay"
sed "/^User/d; s,^Socket = .*,Socket = $QB_DIR/second.sock,; s,^Device = .*,Device = qb1,; s,$HUB4,192.0.2.1," "$QB_DIR/edge.conf" >"$QB_DIR/second.conf"
spawn second edge "$QB_BUILD/quicbondd" -c "$QB_DIR/second.conf"
must_within "grep -q 'is ready' $QB_DIR/second.log" 5
grep -q 'another quicbondd runs here' "$QB_DIR/second.log" || fail "it does not see the first one"
if ! getent passwd quicbond >/dev/null; then
	grep -q "there is no user quicbond: the daemon stays root" "$QB_DIR/second.log" || fail "it does not say that it is root"
	ctl second doctor | grep -q "^hint: host: there is no user quicbond: the daemon is root" || fail "doctor: $(ctl second doctor)"
fi
stop "$SPAWNED"
assert_eq "routes that went with one of another device" "$(ours edge | comm -13 - "$QB_DIR/ours.before")" ""

section "sites by reload"
ns_add late
veth_pair late wan1 10.10.9.2/24 hub late1 10.10.9.1/24
ip_in late route add default via 10.10.9.1
late_key=$(keypair late)
conf_write "$QB_DIR/late.conf" "Node.Role=edge" "Node.Name=late" "Node.Key=$QB_DIR/late.pem" "Node.User=root" \
	"Hub hub.Address=$HUB4:4433" "Hub hub.PublicKey=$(sed -n 's/^PublicKey = //p' "$QB_DIR/good.conf")" "Links.Auto=yes" "Control.Socket=$QB_DIR/late.sock"
start_daemon late "$QB_DIR/late.conf"
must_within "status late .hub.reason | grep -q 'not listed'" 5
ctl late doctor | grep -q "^FAULT: hub: no hub is connected: .*not listed" || fail "doctor: $(ctl late doctor)"
pass "a site that is not listed stays out, and doctor says so"
cp "$QB_DIR/hub.conf" "$QB_DIR/hub.good"
printf '[Site late]\nPublicKey = %s\n' "$late_key" >>"$QB_DIR/hub.conf"
exits 0 hub reload
must_within "[[ \$(status late .state) == single ]]" 10
assert_eq "its link was found without being named" "$(status late .links[0].name)" wan1
must_within "[[ \$(status late .tunnel.addresses[0]) == 10.64.0.3/32 ]]" 3
# late_flows: as the tunnel's address, which the hub answers through the tunnel only.
late_flows() {
	in_ns late ping -q -c 1 -W 1 -I 10.64.0.3 10.64.0.1 >/dev/null && echo flows
}
assert_eq "traffic of the new site" "$(late_flows)" flows
veth_pair late wan2 10.10.8.2/24 hub late2 10.10.8.1/24
ip_in late route add default via 10.10.8.1 metric 200
must_within "[[ \$(status late '[.links[] | .name + \" \" + .state] | join(\",\")') == 'wan1 active,wan2 active' ]]" 5
pass "an interface that comes is a link"
for setting in "RateUp 5M" "Weight 300" "Tier backup"; do
	# shellcheck disable=SC2086 # two words
	exits 0 ctl late set Link.wan2.$setting
done
set_of_wan2='.links[1] | [.tier, .weight, .limit_bps] | join(" ")'
must_within "[[ \$(status late '$set_of_wan2') == 'backup 300 5000000' ]]" 3
exits 0 ctl late reload
must_within "[[ \$(status late '$set_of_wan2') == 'primary 0 0' ]]" 3
pass "a reload undoes what was set of it"
ip_in late link del wan2
must_within "[[ \$(status late '.links[1].state // \"gone\"') =~ gone|absent ]]" 5
pass "one that goes is none"
assert_eq "the first site never noticed" "$(counter edge handshakes) $(status edge .state)" "1 bonded"
cp "$QB_DIR/hub.good" "$QB_DIR/hub.conf"
exits 0 hub reload
must_within "[[ \$(status late .hub.state) != connected ]]" 5
must_within "status late .hub.reason | grep -q listed" 5
pass "a site that is taken out is cut off: $(status late .hub.reason)"
must_within "! in_ns hub ip route show 10.64.0.3 | grep -q ." 3
assert_eq "its traffic" "$(late_flows)" ""
assert_eq "the first site never noticed" "$(counter edge handshakes) $(reachable lan $INET4 && echo flows)" "1 flows"
