# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# For tests between network namespaces: `. "$(dirname "$0")/lib.sh"`, then functions. All that a test makes
# goes away when it ends, however it ends. A test exits 0, 1 (fail), or 77 (skip, with the reason).
#
# topology N SETTINGS... makes this, each box a namespace, with IPv4 and IPv6 everywhere:
#
#   ┌──────────┐      ┌──────────┐      ┌───────┐      ┌──────────┐      ┌──────────┐
#   │ lan      │      │ edge     │ wan1 │ link1 │ wan1 │ hub      │      │ inet     │
#   │     eth0 ├──────┤ lan0     ├──────┤ netem ├──────┤     inet0├──────┤ eth0     │
#   │          │      │          │      └───────┘      │          │      │ (server) │
#   └──────────┘      │          │ wan2 ┌───────┐ wan2 │ lo:      │      └──────────┘
#                     │          ├──────┤ link2 ├──────┤ 10.99.0.1│
#                     └──────────┘      └───────┘      └──────────┘
#
#   lan   10.1.0.2/24    fd00:1::2/64         default route: edge (10.1.0.1, fd00:1::1)
#   wanI  10.10.I.2/24   fd00:10:I::2/64      edge; the hub is .1; a default route each, metric 100 + I
#   hub   10.99.0.1      fd00:99::1           what the edge connects to, port 4433, over whichever link
#   inet  10.2.0.2/24    fd00:2::2/64         default route: hub (10.2.0.1, fd00:2::1)
#   pool  10.64.0.0/24   fd00:64::/64         the tunnel's own addresses
#
# "up" in a link's settings is from the edge to the hub, "down" the other way.
#
# Needs root, iproute2, procps, iputils-ping, jq, iperf3; KEEP=1 keeps the logs, VERBOSE=1 shows them on failure.

set -u
LC_ALL=C
export LC_ALL

QB_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
QB_BUILD=${QB_BUILD:-$QB_ROOT/build}
QB_TEST=$(basename "$0" .sh)
QB_PREFIX=qb$$-
QB_DIR=
QB_NS=()	# full names
QB_PIDS=()
QB_LINKS=0	# of the topology
QB_IS_STUCK='' QB_IS_OVER=''
HUB4=10.99.0.1 HUB6=fd00:99::1 INET4=10.2.0.2 INET6=fd00:2::2 LAN4=10.1.0.2 LAN6=fd00:1::2

# ---- the end ----

skip() {
	echo "skip: $*"
	exit 77
}

# fail REASON ends the test.
fail() {
	echo "FAIL: $*"
	[[ -n ${VERBOSE:-} && -n $QB_DIR ]] && tail -n 30 "$QB_DIR"/*.log 2>/dev/null
	exit 1
}

# stop PID... asks a process to end, and makes it after 3 s. One of ours gets 20 s; when it has not ended by then, the test fails.
stop() {
	local pid i what tries
	for pid in "$@"; do
		kill -TERM "$pid" 2>/dev/null
	done
	for pid in "$@"; do
		what=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")
		tries=60
		[[ $what == "$QB_BUILD/"* ]] && tries=400
		for ((i = 0; i < tries; i++)); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.05
		done
		if kill -KILL "$pid" 2>/dev/null && ((tries > 60)); then
			echo "FAIL: not ended by SIGTERM: $what"
			QB_IS_STUCK=1
		fi
		wait "$pid" 2>/dev/null
	done
	[[ -z $QB_IS_STUCK || -n $QB_IS_OVER ]] || exit 1
}

cleanup() {
	local rc=$? i n
	trap - EXIT
	# One that was just forked, and stopped before it was another program, has our traps.
	[[ $BASHPID == "$$" ]] || exit $rc
	QB_IS_OVER=1
	trap '' INT TERM HUP
	# The last started is the first to go: daemons before the links under them.
	for ((i = ${#QB_PIDS[@]} - 1; i >= 0; i--)); do
		stop "${QB_PIDS[i]}"
	done
	for n in "${QB_NS[@]}"; do
		# What was interrupted before its process ID was noted, and children of children.
		for i in $(ip netns pids "$n" 2>/dev/null); do
			kill -KILL "$i" 2>/dev/null
		done
		ip netns del "$n" 2>/dev/null
	done
	if [[ -n $QB_DIR ]]; then
		if [[ -n ${KEEP:-} ]]; then
			echo "logs: $QB_DIR"
		else
			umount "$QB_DIR"/*/ 2>/dev/null
			rm -rf "$QB_DIR"
		fi
	fi
	[[ $rc == 0 && -n $QB_IS_STUCK ]] && rc=1
	exit $rc
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# need COMMAND... skips the test when one is missing.
need() {
	local c
	for c in "$@"; do
		command -v "$c" >/dev/null || skip "$c is not installed"
	done
}

[[ $(id -u) == 0 ]] || skip "needs root"
need ip sysctl jq awk
[[ -x $QB_BUILD/quicbond-netem ]] || skip "build/quicbond-netem is not built"
QB_DIR=$(mktemp -d "${TMPDIR:-/tmp}/qb-$QB_TEST.XXXXXX") || exit 1
chmod 755 "$QB_DIR"
export STATE_DIRECTORY=$QB_DIR/state # of the daemons
mkdir "$STATE_DIRECTORY"

# ---- asserting ----

section() {
	echo "# $*"
}

pass() {
	echo "  ok $*"
}

# is EXPRESSION: arithmetic with fractions, like `is "1.5 < 2"`.
is() {
	awk "BEGIN { exit !($1) }"
}

# assert_ge NAME VALUE MIN, assert_le NAME VALUE MAX, assert_between NAME VALUE MIN MAX: numbers.
assert_ge() {
	[[ $2 =~ ^-?[0-9.]+(e[+-]?[0-9]+)?$ ]] || fail "$1: \"$2\" is not a number"
	is "$2 >= $3" || fail "$1 is $2, less than $3"
	pass "$1: $2 (at least $3)"
}

assert_le() {
	[[ $2 =~ ^-?[0-9.]+(e[+-]?[0-9]+)?$ ]] || fail "$1: \"$2\" is not a number"
	is "$2 <= $3" || fail "$1 is $2, more than $3"
	pass "$1: $2 (at most $3)"
}

assert_between() {
	[[ $2 =~ ^-?[0-9.]+(e[+-]?[0-9]+)?$ ]] || fail "$1: \"$2\" is not a number"
	is "$2 >= $3 && $2 <= $4" || fail "$1 is $2, not in $3 to $4"
	pass "$1: $2 ($3 to $4)"
}

# assert_eq NAME VALUE WANTED: text.
assert_eq() {
	[[ $2 == "$3" ]] || fail "$1 is \"$2\", not \"$3\""
	pass "$1: $2"
}

# refused WORDS COMMAND...: exit code 1, and the reason has these words.
refused() {
	local want=$1 out
	shift
	out=$("$@" 2>&1) && fail "$* is taken"
	[[ $out == *"$want"* ]] || fail "$*: $out"
	pass "refused: $out"
}

# assert_ok NAME COMMAND...
assert_ok() {
	local name=$1
	shift
	"$@" >>"$QB_DIR/assert.log" 2>&1 || fail "$name: $* failed"
	pass "$name"
}

# patience: how many times longer than on a machine that does nothing else a test waits for what must happen: twice, and once more for
# each process that wants a processor. What is promised about time is not left to that: a test asserts WAITED_MS or a flow's gap.
patience() {
	local load
	read -r load _ </proc/loadavg
	echo $((2 + ${load%.*} / $(nproc)))
}

# wait_for CONDITION TIMEOUT_S: a command line, tried every 50 ms. Returns 1 when the time is over, with patience.
wait_for() {
	local end
	end=$((${EPOCHREALTIME/./} + ${2%.*} * 1000000 * $(patience)))
	while ! eval "$1" >/dev/null 2>&1; do
		((${EPOCHREALTIME/./} < end)) || return 1
		sleep 0.05
	done
}

# must_within CONDITION TIMEOUT_S: the same, and the test fails. Sets WAITED_MS.
must_within() {
	local from=${EPOCHREALTIME/./}
	wait_for "$1" "$2" || fail "not within $2 s, $(((${EPOCHREALTIME/./} - from) / 1000000)) with patience: $1"
	WAITED_MS=$(((${EPOCHREALTIME/./} - from) / 1000))
}

# ---- namespaces, interfaces, processes ----

# in_ns NS COMMAND...
in_ns() {
	local ns=$1
	shift
	ip netns exec "$QB_PREFIX$ns" "$@"
}

# ns_add NAME [noip]: no duplicate address detection, no reverse path filter; noip: bridges only.
ns_add() {
	local v6=0
	[[ ${2:-} == noip ]] && v6=1
	QB_NS+=("$QB_PREFIX$1") # first, for the interrupted
	ip netns add "$QB_PREFIX$1" || fail "cannot make a namespace"
	in_ns "$1" sysctl -qw net.ipv4.conf.{all,default}.rp_filter=0 \
		net.ipv6.conf.{all,default}.accept_dad=0 net.ipv6.conf.{all,default}.accept_ra=0 \
		net.ipv6.conf.{all,default}.disable_ipv6=$v6 net.ipv4.tcp_no_metrics_save=1 ||
		fail "sysctl in $1"
	ip -n "$QB_PREFIX$1" link set lo up
}

# ns_forward NAME: a router.
ns_forward() {
	in_ns "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 || fail "sysctl in $1"
}

# ip_in NS ARGS...: ip(8) in a namespace.
ip_in() {
	local ns=$1
	shift
	ip -n "$QB_PREFIX$ns" "$@" || fail "ip $* in $ns"
}

# addr_add NS IF ADDRESSES: with commas; "" and - are none.
addr_add() {
	local a
	for a in ${3//,/ }; do
		case $a in
		-) ;;
		*:*) ip_in "$1" addr add "$a" dev "$2" nodad ;;
		*) ip_in "$1" addr add "$a" dev "$2" ;;
		esac
	done
}

# veth_pair NS1 IF1 IPS1 NS2 IF2 IPS2: joined, up, with addresses as addr_add takes them.
veth_pair() {
	ip_in "$1" link add name "$2" type veth peer name "$5" netns "$QB_PREFIX$4"
	ip_in "$1" link set dev "$2" up
	ip_in "$4" link set dev "$5" up
	addr_add "$1" "$2" "$3"
	addr_add "$4" "$5" "$6"
}

# offload NS IF on|off: segmentation, receive coalescing and checksums (no ethtool needed).
offload() {
	in_ns "$1" "$QB_BUILD/quicbond-netem" offload "$2" "$3" || fail "offload $3 on $2 in $1"
}

# spawn NAME NS COMMAND...: in the background, ahead of what else the machine does, as systemd starts the daemon. Output to
# NAME.log. Sets SPAWNED, its process ID.
spawn() {
	local name=$1 ns=$2
	shift 2
	nice -n -10 ip netns exec "$QB_PREFIX$ns" "$@" >>"$QB_DIR/$name.log" 2>&1 </dev/null &
	SPAWNED=$!
	QB_PIDS+=("$SPAWNED")
}

# link_emulated NAME NS1 IF1 IPS1 NS2 IF2 IPS2 SETTING...: a link with namespace NAME in its middle; "up" is from
# NS1 to NS2.
link_emulated() {
	local name=$1
	ns_add "$name" noip
	veth_pair "$name" a - "$2" "$3" "$4"
	veth_pair "$name" b - "$5" "$6" "$7"
	shift 7
	spawn "netem-$name" "$name" "$QB_BUILD/quicbond-netem" --bridge a,b --control "$QB_DIR/netem-$name.sock" "$@"
	wait_for "netem_stats $name .schema" 5 || fail "netem of $name: $(cat "$QB_DIR/netem-$name.log")"
}

# netem NAME SETTING...: changes a link while it runs.
netem() {
	local name=$1
	shift
	"$QB_BUILD/quicbond-netem" set "$QB_DIR/netem-$name.sock" "$@" || fail "netem $name $*"
}

# netem_stats NAME [JQ]: a figure, like `netem_stats link1 .ab.drops.queue`. Fails when the link does not answer.
netem_stats() {
	local stats
	stats=$("$QB_BUILD/quicbond-netem" stats "$QB_DIR/netem-$1.sock") && jq -r "${2:-.}" <<<"$stats"
}

# topology LINKS [SETTINGS...]: the drawing above; SETTINGS are one word a link, like "rate=100M delay=10ms".
topology() {
	local i n
	QB_LINKS=$1
	shift
	for n in lan edge hub inet; do
		ns_add $n
	done
	ns_forward edge
	ns_forward hub
	veth_pair edge lan0 10.1.0.1/24,fd00:1::1/64 lan eth0 $LAN4/24,$LAN6/64
	veth_pair hub inet0 10.2.0.1/24,fd00:2::1/64 inet eth0 $INET4/24,$INET6/64
	addr_add hub lo $HUB4/32,$HUB6/128
	ip_in lan route add default via 10.1.0.1
	ip_in lan -6 route add default via fd00:1::1
	ip_in inet route add default via 10.2.0.1
	ip_in inet -6 route add default via fd00:2::1
	for ((i = 1; i <= QB_LINKS; i++)); do
		link_emulated link$i edge wan$i 10.10.$i.2/24,fd00:10:$i::2/64 \
			hub wan$i 10.10.$i.1/24,fd00:10:$i::1/64 "${1:-}"
		ip_in edge route add default via 10.10.$i.1 dev wan$i metric $((100 + i))
		ip_in edge -6 route add default via fd00:10:$i::1 dev wan$i metric $((100 + i))
		[[ $# -gt 0 ]] && shift
	done
	hub_guard add
}

# hub_guard add|del: what comes in plain by a link is not for inet: only the tunnel leads there.
hub_guard() {
	local i
	for ((i = 1; i <= QB_LINKS; i++)); do
		ip_in hub rule "$1" pref 10 iif wan$i to 10.2.0.0/24 blackhole
		ip_in hub -6 rule "$1" pref 10 iif wan$i to fd00:2::/64 blackhole
	done
}

# ---- quicbond ----

# keypair NAME: NAME.pem; prints the public key.
keypair() {
	(umask 077 && "$QB_BUILD/quicbondctl" genkey >"$QB_DIR/$1.pem") &&
		"$QB_BUILD/quicbondctl" pubkey <"$QB_DIR/$1.pem"
}

# conf_write FILE "Section.Key=value"...: the last of several wins; an empty value takes the key away.
conf_write() {
	local file=$1
	shift
	printf '%s\n' "$@" | awk '
		{
			eq = index($0, "=")
			left = substr($0, 1, eq - 1)
			match(left, /\.[A-Za-z0-9]+$/)
			section = substr(left, 1, RSTART - 1)
			key = substr(left, RSTART + 1)
			if (!(section in seen)) {
				seen[section] = 1
				sections[++section_cnt] = section
			}
			if (!((section, key) in value))
				keys[section] = keys[section] SUBSEP key
			value[section, key] = substr($0, eq + 1)
		}
		END {
			for (i = 1; i <= section_cnt; i++) {
				out = ""
				n = split(keys[sections[i]], k, SUBSEP)
				for (j = 2; j <= n; j++)
					if (value[sections[i], k[j]] != "")
						out = out k[j] " = " value[sections[i], k[j]] "\n"
				if (out != "")
					printf "[%s]\n%s\n", sections[i], out
			}
		}' >"$file"
}

# quicbond_confs: keys of both, then hub.conf and edge.conf; arguments are "edge:Section.Key=value",
# "hub:Section.Key=value", added to what is below or instead of it.
quicbond_confs() {
	local edge_key hub_key i arg edge=() hub=()
	for arg in "$@"; do
		case $arg in
		edge:*) edge+=("${arg#edge:}") ;;
		hub:*) hub+=("${arg#hub:}") ;;
		*) fail "quicbond_confs: $arg" ;;
		esac
	done
	edge_key=$(keypair edge) && hub_key=$(keypair hub) || fail "quicbondctl genkey"
	local links=()
	for ((i = 1; i <= QB_LINKS; i++)); do
		links+=("Link wan$i.Interface=wan$i")
	done
	conf_write "$QB_DIR/edge.conf" "Node.Role=edge" "Node.Name=site" "Node.Key=$QB_DIR/edge.pem" \
		"Node.Workers=1" "Node.User=root" "Tunnel.Device=qb0" \
		"Hub hub.Address=$HUB4:4433" "Hub hub.PublicKey=$hub_key" \
		"${links[@]}" "Route.Advertise=10.1.0.0/24, fd00:1::/64" \
		"Control.Socket=$QB_DIR/edge.sock" "Log.Level=debug" "${edge[@]}"
	conf_write "$QB_DIR/hub.conf" "Node.Role=hub" "Node.Name=hub" "Node.Key=$QB_DIR/hub.pem" \
		"Node.Workers=1" "Node.User=root" "Tunnel.Device=qb0" \
		"Listen.Address=0.0.0.0:4433, [::]:4433" "Pool.IPv4=10.64.0.0/24" "Pool.IPv6=fd00:64::/64" \
		"Site site.PublicKey=$edge_key" "Site site.Prefixes=10.1.0.0/24, fd00:1::/64" \
		"Route.Advertise=10.2.0.0/24, fd00:2::/64" \
		"Control.Socket=$QB_DIR/hub.sock" "Log.Level=debug" "${hub[@]}"
}

# ctl NS ARGS...: quicbondctl to the daemon whose socket is NS.sock.
ctl() {
	local ns=$1
	shift
	"$QB_BUILD/quicbondctl" -s "$QB_DIR/$ns.sock" "$@"
}

# status NS JQ: a field of `status -j`; nothing while there is no answer.
status() {
	ctl "$1" -j status 2>/dev/null | jq -er "$2" 2>/dev/null
}

# start_daemon NS CONF [STATES] [TIMEOUT_S]: quicbondd in a namespace, its socket being NS.sock. Waits until `status`
# answers and the state is one of STATES, like "bonded|single" (any). Sets DAEMON_PID and DAEMON_PIDS[NS].
declare -A DAEMON_PIDS=()
start_daemon() {
	local ns=$1 conf=$2 states=${3:-.*} patience=${4:-10}
	[[ -x $QB_BUILD/quicbondd ]] || skip "build/quicbondd is not built"
	spawn "$ns" "$ns" "$QB_BUILD/quicbondd" -c "$conf" --foreground
	DAEMON_PID=$SPAWNED
	DAEMON_PIDS[$ns]=$DAEMON_PID
	wait_for "! kill -0 $DAEMON_PID || [[ \$(status $ns .state) =~ ^($states)\$ ]]" "$patience" ||
		fail "quicbondd in $ns: state \"$(status "$ns" .state)\" after $patience s; $(tail -n 1 "$QB_DIR/$ns.log")"
	kill -0 "$DAEMON_PID" 2>/dev/null || fail "quicbondd in $ns ended: $(tail -n 3 "$QB_DIR/$ns.log")"
}

# start_bond [quicbond_confs' ARGS]: both daemons, and the bond is up.
start_bond() {
	local all=bonded
	((QB_LINKS == 1)) && all=single
	quicbond_confs "$@"
	start_daemon hub "$QB_DIR/hub.conf"
	start_daemon edge "$QB_DIR/edge.conf" "bonded|$all" 15
}

# ---- measuring ----

# iperf_server NS [PORT]
iperf_server() {
	local port=${2:-5201}
	need iperf3 ss
	spawn "iperf3-$1-$port" "$1" iperf3 -s -p "$port"
	wait_for "in_ns $1 ss -Hltn sport = :$port | grep -q ." 5 || fail "iperf3 -s in $1"
}

# iperf NS ADDRESS [ARGS]: one run. Sets IPERF_MBPS (what arrived), IPERF_RETRANS (TCP), IPERF_LOSS_PCT and
# IPERF_JITTER_MS (-u; with -O, iperf3 counts losses of the omitted time too); the JSON stays in iperf.json.
iperf() {
	local ns=$1 dst=$2 json=$QB_DIR/iperf.json busy
	shift 2
	# A server on a busy machine may not yet be done with the last one.
	for ((busy = 0; busy < 20; busy++)); do
		in_ns "$ns" timeout 90 iperf3 -J --connect-timeout 15000 -c "$dst" "$@" >"$json" 2>"$QB_DIR/iperf.err" && break
		[[ $(jq -r .error "$json" 2>/dev/null) == *"server is busy"* ]] && sleep 0.2 && continue
		fail "iperf3 $* to $dst: $(jq -r '.error // "no answer"' "$json" 2>/dev/null)"
	done
	read -r IPERF_MBPS IPERF_RETRANS IPERF_LOSS_PCT IPERF_JITTER_MS < <(jq -r '.end as $e
		| [($e.sum_received.bits_per_second / 1e4 | round / 100), $e.sum_sent.retransmits // 0,
		   $e.sum.lost_percent // 0, $e.sum.jitter_ms // 0]
		| map(tostring) | join(" ")' "$json")
	[[ -n ${IPERF_MBPS:-} ]] || fail "iperf3 $* to $dst: no figures"
}

# iperf_ge WHAT MIN NS ADDRESS [ARGS]: so many Mbit/s arrive in one of five runs: what else the machine does costs, it never gives.
iperf_ge() {
	local what=$1 min=$2 run best=0
	shift 2
	for ((run = 0; run < 5; run++)); do
		iperf "$@"
		is "$IPERF_MBPS > $best" && best=$IPERF_MBPS
		is "$best >= $min" && break
	done
	assert_ge "$what, Mbit/s" "$best" "$min"
}

# ping_run NS ADDRESS [ARGS]: sets PING_SENT, PING_RECEIVED, PING_LOSS_PCT, PING_DUPS, and, when something came back,
# PING_MIN_MS, PING_AVG_MS, PING_MAX_MS, PING_MDEV_MS.
ping_run() {
	local ns=$1 dst=$2
	shift 2
	in_ns "$ns" ping -q "$@" "$dst" >"$QB_DIR/ping.out" 2>&1
	PING_MIN_MS='' PING_AVG_MS='' PING_MAX_MS='' PING_MDEV_MS=''
	# shellcheck disable=SC2034 # for the test
	read -r PING_SENT PING_RECEIVED PING_DUPS PING_LOSS_PCT PING_MIN_MS PING_AVG_MS PING_MAX_MS PING_MDEV_MS \
		< <(awk '/packets transmitted/ {
			sent = $1; got = $4; dups = 0
			for (i = 1; i <= NF; i++) {
				if ($i ~ /^\+/ && $(i + 1) ~ /dup/) dups = substr($i, 2)
				if ($i ~ /%$/) loss = substr($i, 1, length($i) - 1)
			}
		}
		/^rtt/ { split($4, t, "/") }
		END { print sent, got, dups + 0, loss, t[1], t[2], t[3], t[4] }' "$QB_DIR/ping.out")
	[[ -n ${PING_SENT:-} ]] || fail "ping $dst: $(cat "$QB_DIR/ping.out")"
}

# pings_return WHAT COUNT INTERVAL_S NS ADDRESS [ARGS]: none of so many pings is lost. (Without -w, ping waits for the last ones no
# longer than the interval or twice as long as those before took: too short for a machine that is busy just then.)
pings_return() {
	local what=$1 cnt=$2 interval=$3 ns=$4 dst=$5 got
	shift 5
	got=$(in_ns "$ns" ping -n -c "$cnt" -i "$interval" -w 10 "$@" "$dst" 2>&1 |
		sed -n 's/^[0-9]* bytes from .* icmp_seq=\([0-9]*\) .*/\1/p' | sort -nu | awk -v cnt="$cnt" '$1 <= cnt' | wc -l)
	assert_eq "$what" "$got" "$cnt"
}

# reachable NS ADDRESS: one of the pings of a second is answered within it.
reachable() {
	in_ns "$1" ping -q -c 1 -i 0.2 -w 1 "$2" >/dev/null 2>&1
}

# ---- tests' own tools ----

# tool NAME: the path of a program made from tests/netns/NAME.c.
tool() {
	echo "${QB_TOOLS:-$QB_ROOT/${B:-build/gcc}/tests}/$1"
}

# counter NS NAME: one of the daemon's counters; a word that is no number, in an expression neither, when there is none of that name.
counter() {
	ctl "$1" -j counters 2>/dev/null | jq -er ".counters.$2" 2>/dev/null || echo "no_$2"
}

# bond_settled [NS]: waits until path MTU discovery is done: the tunnel's MTU stays for a second.
bond_settled() {
	local ns=${1:-edge} mtu='' now since=${EPOCHREALTIME/./} end=$((${EPOCHREALTIME/./} + 15000000 * $(patience)))
	while ((${EPOCHREALTIME/./} < end)); do
		now=$(status "$ns" .tunnel.mtu)
		if [[ -z $now || $now != "$mtu" ]]; then
			mtu=$now
			since=${EPOCHREALTIME/./}
		elif ((${EPOCHREALTIME/./} - since > 1000000)); then
			return
		fi
		sleep 0.05
	done
	fail "the tunnel's MTU does not settle"
}

# flow_start NAME NS ADDRESS TO_NS [PPS] [MARK]: a steady UDP flow from NS to TO_NS, until flow_stop; MARK: its firewall mark there.
declare -A FLOW_PIDS=()
FLOW_PORT=7000
flow_start() {
	local name=$1 pps=${5:-1000}
	[[ -x $(tool udpflow) ]] || skip "$(tool udpflow) is not built (make test-bins)"
	((FLOW_PORT++))
	rm -f "$QB_DIR/flow-$name.log" # of an earlier one
	spawn "flow-$name" "$4" "$(tool udpflow)" recv "$3" $FLOW_PORT
	FLOW_PIDS[$name]=$SPAWNED
	must_within "grep -q ready $QB_DIR/flow-$name.log" 5
	spawn "flow-$name-sender" "$2" "$(tool udpflow)" send "$3" $FLOW_PORT "$pps" 200 ${6:+"$6"}
	FLOW_PIDS[$name]+=" $SPAWNED"
}

# flow_report NAME: sets FLOW to the JSON line about the time since the last report.
flow_report() {
	local log=$QB_DIR/flow-$1.log lines
	lines=$(wc -l <"$log")
	kill -USR1 "${FLOW_PIDS[$1]%% *}"
	must_within "[[ \$(wc -l <$log) -gt $lines ]]" 5
	kill -0 "${FLOW_PIDS[$1]#* }" 2>/dev/null || fail "the sender of flow $1 has ended: $(tail -n 1 "$QB_DIR/flow-$1-sender.log")"
	FLOW=$(tail -n 1 "$log")
}

# flow_gap NAME: sets GAP_MS, the longest silence since the last report.
flow_gap() {
	flow_report "$1"
	GAP_MS=$(jq .gap_ms <<<"$FLOW")
}

# flow_stop NAME...
flow_stop() {
	local name
	for name in "$@"; do
		# shellcheck disable=SC2086 # two process IDs
		stop ${FLOW_PIDS[$name]}
	done
	return 0
}
