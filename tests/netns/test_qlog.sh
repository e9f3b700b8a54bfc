#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Traces of running connections: started, stopped, bounded to their folder, by a daemon without root's rights; and the key log.
. "$(dirname "$0")/lib.sh"
need ping jq

# trace JQ FILES: all records of traces but their heads, as one array.
trace() {
	local what=$1
	shift
	for file in "$@"; do
		tail -n +2 "$file"
	done | tr -d '\036' | jq -s "$what" || fail "not JSON: $*"
}

# is_trace FILE: RS before each record, a newline behind it, nothing else; the head first.
is_trace() {
	[[ $(grep -c $'^\x1e{.*}$' "$1") == "$(wc -l <"$1")" ]] || fail "$1 is no JSON text sequence"
	head -n 1 "$1" | tr -d '\036' | jq -e '.file_schema == "urn:ietf:params:qlog:file:sequential" and
		(.trace.event_schemas | index("urn:ietf:params:qlog:events:quic-13") != null)' >/dev/null || fail "head of $1"
}

getent passwd nobody >/dev/null || skip "there is no user nobody"
topology 2
quicbond_confs edge:Node.User=nobody edge:Control.Group=nogroup "hub:Log.KeyLog=$QB_DIR/keys.log"
STATE_DIRECTORY=$QB_DIR/hub.state start_daemon hub "$QB_DIR/hub.conf"
export STATE_DIRECTORY=$QB_DIR/state
start_daemon edge "$QB_DIR/edge.conf" bonded 15

section "an edge, as user nobody"
assert_eq "before" "$(ctl edge -j qlog status | jq -c '[.qlog.on, .qlog.folder]')" '[false,""]'
refused "no connection is traced" ctl edge qlog stop
for folder in .. ../x /etc /tmp/x a/b .x; do
	refused "traces are written to $QB_DIR/state/qlog or to a folder right in it" ctl edge qlog start "$folder"
done
ln -s /tmp "$QB_DIR/state/qlog/elsewhere"
refused "cannot write to" ctl edge qlog start elsewhere
refused "there is no site nowhere" ctl edge qlog start monday --site nowhere
assert_ok "start" ctl edge qlog start monday
refused "traced already" ctl edge qlog start
assert_eq "whose the folder is" "$(stat -c %U "$QB_DIR/state/qlog/monday")" nobody
in_ns lan ping -n -q -c 20 -i 0.02 -W 1 $INET4 >/dev/null || fail "ping"
must_within "(( \$(ctl edge -j qlog status | jq .qlog.events) > 60 ))" 3
ctl edge qlog status
assert_eq "traced" "$(ctl edge -j qlog status | jq -c '[.qlog.on, .qlog.connections, .qlog.dropped, .qlog.problem]')" \
	'[true,1,0,""]'
assert_ok "stop" ctl edge qlog stop
files=("$QB_DIR"/state/qlog/monday/*-client.sqlog)
assert_eq "files" "${#files[@]}" 1
is_trace "${files[0]}"
assert_eq "who may read it" "$(stat -c %a "${files[0]}")" 640
assert_ge "packets sent" "$(trace '[.[] | select(.name == "quic:packet_sent")] | length' "${files[@]}")" 20
assert_ge "DATAGRAM frames received" \
	"$(trace '[.[] | select(.name == "quic:packet_received").data.frames[] | select(.frame_type == "datagram")] | length' \
		"${files[@]}")" 20
assert_eq "paths" "$(trace '[.[] | .path_id // empty] | unique | tojson' "${files[@]}")" '"[0,1]"'
assert_eq "first and last event" "$(trace '[.[0].name, .[-1].name] | join(" ")' "${files[@]}")" \
	'"quic:connection_started quicbond:trace_ended"'
size=$(stat -c %s "${files[0]}")
in_ns lan ping -n -q -c 5 -i 0.02 -W 1 $INET4 >/dev/null || fail "ping"
assert_eq "silent after the stop" "$(stat -c %s "${files[0]}")" "$size"

section "a hub, one site, and that site's next connection"
assert_ok "start" ctl hub qlog start all --site site
stop "${DAEMON_PIDS[edge]}"
start_daemon edge "$QB_DIR/edge.conf" bonded 15
must_within "(( \$(ls $QB_DIR/hub.state/qlog/all/*-server.sqlog | wc -l) >= 2 ))" 5
assert_ok "stop" ctl hub qlog stop
files=("$QB_DIR"/hub.state/qlog/all/*-server.sqlog)
for file in "${files[@]}"; do is_trace "$file"; done
assert_eq "the end of the first" "$(trace '[.[] | select(.name == "quic:connection_closed").data.initiator][0]' "${files[@]}")" \
	'"remote"'

section "by the config"
mkdir -m 777 "$QB_DIR/traces"
cp "$QB_DIR/edge.conf" "$QB_DIR/edge.conf.was"
printf '[Log]\nLevel = debug\nQlog = %s\n' "$QB_DIR/traces" >"$QB_DIR/log"
awk -v log_file="$QB_DIR/log" '/^\[/ { skip = /^\[Log\]/ } !skip { print }
	END { while ((getline line < log_file) > 0) print line }' "$QB_DIR/edge.conf.was" >"$QB_DIR/edge.conf"
assert_ok "reload" ctl edge reload
must_within "[[ -s \$(echo $QB_DIR/traces/*-client.sqlog) ]]" 3
assert_eq "folder" "$(ctl edge -j qlog status | jq -r .qlog.folder)" "$QB_DIR/traces"
cp "$QB_DIR/edge.conf.was" "$QB_DIR/edge.conf"
assert_ok "reload" ctl edge reload
assert_eq "off again" "$(ctl edge -j qlog status | jq .qlog.on)" false
files=("$QB_DIR"/traces/*)
is_trace "${files[0]}"

section "the key log"
grep -q "KEYS OF ALL CONNECTIONS ARE WRITTEN TO $QB_DIR/keys.log" "$QB_DIR/hub.log" || fail "no warning: $(cat "$QB_DIR/hub.log")"
assert_eq "who may read it" "$(stat -c %a "$QB_DIR/keys.log")" 600
assert_eq "lines that are none of NSS's" \
	"$(grep -cvE '^(CLIENT|SERVER)_(HANDSHAKE_TRAFFIC_SECRET|TRAFFIC_SECRET_0) [0-9a-f]{64} [0-9a-f]{64,96}$|^(CLIENT_EARLY_TRAFFIC_SECRET|EARLY_EXPORTER_SECRET|EXPORTER_SECRET) [0-9a-f]{64} [0-9a-f]{64,96}$' \
		"$QB_DIR/keys.log")" 0
assert_ge "connections in it" "$(grep -c ^SERVER_TRAFFIC_SECRET_0 "$QB_DIR/keys.log")" 2
assert_eq "what doctor says of it" "$(ctl hub -j doctor | jq '[.findings[] | select(.severity == "fault").text |
	select(startswith("the keys of all connections are written to"))] | length')" 1
assert_eq "what status says of it" "$(ctl hub -j qlog status | jq -r .qlog.key_log)" "$QB_DIR/keys.log"

section "errors, and levels by target"
assert_eq "a warning of the log is there" "$(ctl hub -j errors | jq '[.errors[] | select(.error == "warn").text |
	select(startswith("THE KEYS OF ALL"))] | length')" 1
refused "is no log level" ctl edge set Log.Level info,quick:debug
assert_ok "set" ctl edge set Log.Level "warn, quic:debug"
keypair stranger >/dev/null
sed -i "s|edge.pem|stranger.pem|" "$QB_DIR/edge.conf"
stop "${DAEMON_PIDS[edge]}"
start_daemon edge "$QB_DIR/edge.conf"
must_within "ctl hub -j errors | jq -e '.errors[-1].error == \"CRYPTO_ERROR (0x12e, certificate_unknown)\"'" 5
pass "$(ctl hub errors | tail -n 1)"
must_within "ctl edge -j errors | jq -e '.errors[-1] | .name == \"hub\" and (.cid | length) == 32 and .path == null'" 5
ctl edge set Log.Level "warn, quic:debug"
must_within "grep -q 'debug connection [0-9a-f]*: closed' $QB_DIR/edge.log" 5
pass "$(grep 'debug connection' "$QB_DIR/edge.log" | tail -n 1)"
