# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# What tests/bench/run measures: each system has two namespaces of its own, joined by plain veth pairs. start_SYSTEM makes
# one; PID_A and PID_B are its processes. Sourced after tests/netns/lib.sh; LINKS, A and B are set.
#
#   ┌─────────┐ wan1      wan1 ┌─────────┐    A is an address of lo in NAME-a, B one in NAME-b; "up" is from a to b.
#   │ NAME-a  ├────────────────┤ NAME-b  │    Only quicbond uses more than wan1.
#   │         ├────────────────┤         │
#   └─────────┘ wan2      wan2 └─────────┘
WG_IFS=()
declare -A PID_A=() PID_B=()
# shellcheck disable=SC2034 # used by who sources this
declare -A TITLE=([plain]="veth alone" [udp]="quicbond udp" [xdp]="quicbond xdp-copy" [uring]="quicbond io_uring"
	[wg]="wireguard-go" [ovpn]="OpenVPN")

# pair SYSTEM: two namespaces, the links between them.
pair() {
	local i n
	ns_add "$1-a"
	ns_add "$1-b"
	for ((i = 1; i <= LINKS; i++)); do
		veth_pair "$1-a" wan$i 10.10.$i.2/24 "$1-b" wan$i 10.10.$i.1/24
		ip_in "$1-a" route add default via 10.10.$i.1 dev wan$i metric $((100 + i))
	done
	for n in a b; do
		[[ $n == a ]] && addr_add "$1-a" lo $A/32 || addr_add "$1-b" lo $B/32,$HUB4/32
	done
}

start_plain() {
	pair plain
	ip_in plain-b route add $A/32 via 10.10.1.2 src $B
}

# start_quicbond SYSTEM IO [WORKERS]
start_quicbond() {
	local s=$1 io=$2 workers=${3:-1} i links=() ifs='' key_a key_b used
	pair "$s"
	key_a=$(keypair "$s-a") && key_b=$(keypair "$s-b") || fail "quicbondctl genkey"
	for ((i = 1; i <= LINKS; i++)); do
		links+=("Link wan$i.Interface=wan$i" "Link wan$i.Io=$io")
		ifs+=${ifs:+, }wan$i
	done
	conf_write "$QB_DIR/$s-b.conf" Node.Role=hub Node.Name=hub "Node.Key=$QB_DIR/$s-b.pem" "Node.Workers=$workers" \
		Node.User=root Listen.Address=0.0.0.0:4433 "Listen.Interface=$ifs" "Listen.Io=$io" \
		Pool.IPv4=10.64.0.0/24 "Site site.PublicKey=$key_a" "Site site.Prefixes=$A/32" \
		"Route.Advertise=$B/32" "Control.Socket=$QB_DIR/$s-b.sock"
	conf_write "$QB_DIR/$s-a.conf" Node.Role=edge Node.Name=site "Node.Key=$QB_DIR/$s-a.pem" "Node.Workers=$workers" \
		Node.User=root "Hub hub.Address=$HUB4:4433" "Hub hub.PublicKey=$key_b" "${links[@]}" \
		"Route.Advertise=$A/32" "Control.Socket=$QB_DIR/$s-a.sock"
	start_daemon "$s-b" "$QB_DIR/$s-b.conf"
	PID_B[$s]=$DAEMON_PID
	start_daemon "$s-a" "$QB_DIR/$s-a.conf" "bonded|single" 15
	PID_A[$s]=$DAEMON_PID
	used=$(status "$s-a" '[.links[].io] | unique | join(",")')
	[[ $used == "$io" ]] || fail "$s uses Io $used"
}

start_udp() {
	start_quicbond udp udp
}

start_xdp() {
	start_quicbond xdp xdp-copy
}

start_uring() {
	start_quicbond uring uring
}

# start_wg_side NAMESPACE INTERFACE PRIVATE_KEY PEER_KEY ADDRESS PEER_ADDRESS [ENDPOINT]
start_wg_side() {
	WG_IFS+=("$2")
	WG_PROCESS_FOREGROUND=1 spawn "$1" "$1" wireguard-go -f "$2"
	wait_for "[[ -S /var/run/wireguard/$2.sock ]]" 5 || fail "wireguard-go: $(tail -n 1 "$QB_DIR/$1.log")"
	printf '[Interface]\nPrivateKey = %s\nListenPort = 51820\n[Peer]\nPublicKey = %s\nAllowedIPs = 0.0.0.0/0\n%s' \
		"$3" "$4" "${7:+Endpoint = $7}" >"$QB_DIR/$1.wg"
	in_ns "$1" wg setconf "$2" "$QB_DIR/$1.wg" || fail "wg setconf in $1"
	ip_in "$1" link set dev "$2" mtu 1420 up
	ip_in "$1" route add "$6/32" dev "$2" src "$5"
}

start_wg() {
	local a b
	a=$(wg genkey) b=$(wg genkey)
	pair wg
	start_wg_side wg-b "qbw$$b" "$b" "$(wg pubkey <<<"$a")" $B $A
	PID_B[wg]=$SPAWNED
	start_wg_side wg-a "qbw$$a" "$a" "$(wg pubkey <<<"$b")" $A $B 10.10.1.1:51820
	PID_A[wg]=$SPAWNED
}

# ovpn_cert NAME: a self-signed certificate. Prints its fingerprint.
ovpn_cert() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
		-keyout "$QB_DIR/$1.ovpn.key" -out "$QB_DIR/$1.ovpn.pem" 2>>"$QB_DIR/openssl.log" &&
		openssl x509 -in "$QB_DIR/$1.ovpn.pem" -noout -fingerprint -sha256 | sed 's/.*=//'
}

# start_ovpn_side NAMESPACE NAME ADDRESS PEER_ADDRESS PEER_FINGERPRINT OPTIONS...
start_ovpn_side() {
	spawn "$1" "$1" openvpn --dev tun0 --dev-type tun --ifconfig "$3" "$4" --port 1194 --disable-dco \
		--cert "$QB_DIR/$2.ovpn.pem" --key "$QB_DIR/$2.ovpn.key" --peer-fingerprint "$5" \
		--data-ciphers AES-128-GCM --keepalive 10 120 "${@:6}"
}

start_ovpn() {
	local a b
	a=$(ovpn_cert ovpn-a) && b=$(ovpn_cert ovpn-b) || fail "openssl: $(tail -n 1 "$QB_DIR/openssl.log")"
	pair ovpn
	start_ovpn_side ovpn-b ovpn-b 10.65.0.1 10.65.0.2 "$a" --tls-server --dh none
	PID_B[ovpn]=$SPAWNED
	start_ovpn_side ovpn-a ovpn-a 10.65.0.2 10.65.0.1 "$b" --tls-client --remote 10.10.1.1
	PID_A[ovpn]=$SPAWNED
	wait_for "in_ns ovpn-a ping -q -c 1 -W 1 10.65.0.1" 20 || fail "OpenVPN: $(tail -n 1 "$QB_DIR/ovpn-a.log")"
	ip_in ovpn-a route add $B/32 dev tun0 src $A
	ip_in ovpn-b route add $A/32 dev tun0 src $B
}

# systems_leave_out: peers that are not installed go from SYSTEMS, and it is said.
systems_leave_out() {
	local s kept=''
	for s in $SYSTEMS; do
		if [[ $s == wg ]] && ! command -v wireguard-go wg >/dev/null; then
			echo "wireguard-go or wg is not installed: left out" >&2
		elif [[ $s == ovpn ]] && ! command -v openvpn >/dev/null; then
			echo "openvpn is not installed: left out" >&2
		else
			kept+="$s "
		fi
	done
	SYSTEMS=${kept% }
}

# systems_clean is for the trap of who sources this.
systems_clean() {
	local i
	for i in "${WG_IFS[@]}"; do
		rm -f "/var/run/wireguard/$i.sock"
	done
}

# ---- processes ----

# cpu_ticks PID: utime + stime; 0 without a process.
cpu_ticks() {
	local stat
	[[ -n ${1:-} ]] || {
		echo 0
		return
	}
	stat=$(<"/proc/$1/stat") || fail "process $1 is gone"
	# shellcheck disable=SC2086
	set -- ${stat##*) }
	echo $((${12} + ${13}))
}

# host_ticks: busy and softirq ticks of the machine.
host_ticks() {
	awk '$1 == "cpu" { print $2 + $3 + $4 + $7 + $8, $8; exit }' /proc/stat
}

# rss_kb PID
rss_kb() {
	[[ -n ${1:-} ]] && awk '$1 == "VmRSS:" { print $2 }' "/proc/$1/status" || echo 0
}

# switches PID: involuntary context switches of all its threads.
switches() {
	cat "/proc/$1"/task/*/status | awk '$1 == "nonvoluntary_ctxt_switches:" { n += $2 } END { print n + 0 }'
}
