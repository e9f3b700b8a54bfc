#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A hub of several sites and several workers: who gets in, with which addresses and prefixes, who may talk as whom and to whom;
# and what both ends leave in the kernel: nothing.
#
# To lib.sh's topology come two more sites, each with two links of its own:
#
#   ┌──────────┐ a    s1a ┌─────┐     site 1 is lib.sh's edge
#   │ s2       ├──────────┤ hub │     site 2: 10.65.2.1, fd00:65:2::1
#   │          ├──────────┤     │     site 3: 10.65.3.1, fd00:65:3::1, both on lo
#   └──────────┘ b    s1b └─────┘
. "$(dirname "$0")/lib.sh"
need ping ss

# site_add N: namespace sN.
site_add() {
	local link
	ns_add s$1
	addr_add s$1 lo 10.65.$1.1/32,fd00:65:$1::1/128
	for link in a b; do
		veth_pair s$1 $link 10.2$1.$((16#$link)).2/24 hub s$1$link 10.2$1.$((16#$link)).1/24
		ip_in s$1 route add default via 10.2$1.$((16#$link)).1 dev $link metric $((16#$link))
	done
}

# site_conf NAME KEY_FILE HUB_KEY SETTING...: NAME.conf of an edge with both links.
site_conf() {
	local name=$1 key=$2 hub_key=$3
	shift 3
	conf_write "$QB_DIR/$name.conf" "Node.Role=edge" "Node.Name=$name" "Node.Key=$QB_DIR/$key.pem" "Node.User=root" \
		"Hub hub.Address=$HUB4:4433" "Hub hub.PublicKey=$hub_key" "Link a.Interface=a" "Link b.Interface=b" \
		"Control.Socket=$QB_DIR/$name.sock" "Log.Level=debug" "$@"
}

# site STATUS_FIELD of a site by name, as the hub sees it.
site() {
	ctl hub -j sites | jq -r --arg name "$1" ".sites[] | select(.name == \$name) | $2"
}

# leftovers NS: routes, rules and devices that quicbond made.
leftovers() {
	local family
	for family in -4 -6; do
		in_ns "$1" ip $family route show table all proto 81
		in_ns "$1" ip $family rule show | grep -w 'proto 81'
	done
	in_ns "$1" ip -o link show dev qb0 2>/dev/null
}

# addresses NS: the TUN device's, without its own link-local one.
addresses() {
	in_ns "$1" ip -o addr show dev qb0 scope global | awk '{ print $4 }' | sort | paste -sd' '
}

topology 2
site_add 2
site_add 3
quicbond_confs hub:Node.Workers=2 \
	hub:Route.Advertise="10.2.0.0/24, fd00:2::/64, 10.1.0.0/24, 10.64.0.0/24, 10.65.0.0/16, fd00:65::/32" \
	hub:"Site two.PublicKey=$(keypair two)" hub:"Site two.Address=10.64.0.77, fd00:64::77" \
	hub:"Site two.Prefixes=10.65.2.0/24, fd00:65:2::/64" \
	hub:"Site three.PublicKey=$(keypair three)" hub:"Site three.Prefixes=10.65.3.0/24, fd00:65:3::/64"
hub_key=$(sed -n 's/^PublicKey = //p' "$QB_DIR/edge.conf")
site_conf s2 two "$hub_key" "Route.Advertise=10.65.2.0/24, fd00:65:2::/64, 10.65.99.0/24"
site_conf s3 three "$hub_key" "Route.Advertise=10.65.3.0/24, fd00:65:3::/64"

section "three sites at once"
start_daemon hub "$QB_DIR/hub.conf"
start_daemon edge "$QB_DIR/edge.conf" bonded 15
start_daemon s2 "$QB_DIR/s2.conf" bonded 15
start_daemon s3 "$QB_DIR/s3.conf" bonded 15
for name in site two three; do
	must_within "[[ \$(site $name .state) == connected && \$(site $name '.links | length') == 2 ]]" 3
done
assert_eq "state of the hub" "$(status hub .state)" serving
assert_eq "addresses of site 1, from the pool" "$(addresses edge)" "10.64.0.2/32 fd00:64::2/128"
assert_eq "addresses of site 2, fixed" "$(addresses s2)" "10.64.0.77/32 fd00:64::77/128"
assert_eq "addresses of site 3, from the pool" "$(addresses s3)" "10.64.0.3/32 fd00:64::3/128"
assert_eq "the hub's own" "$(addresses hub)" "10.64.0.1/24 fd00:64::1/64"
assert_eq "addresses by status" "$(status s2 '.tunnel.addresses | sort | join(" ")')" "10.64.0.77/32 fd00:64::77/128"

section "prefixes"
assert_eq "prefixes of site 2" "$(site two '.prefixes | sort | join(" ")')" "10.65.2.0/24 fd00:65:2::/64"
# A site is bonded when it has its addresses. What it advertises comes after that, and no capsule says that it has taken effect; the
# workers' table follows the kernel's routes, before the main thread answers anybody.
for prefix in 10.1.0.0/24 10.65.2.0/24 10.65.3.0/24 fd00:1::/64 fd00:65:2::/64 fd00:65:3::/64; do
	[[ $prefix == *:* ]] && family=-6 || family=-4
	must_within "in_ns hub ip $family route show $prefix proto 81 | grep -q 'dev qb0'" 3
	pass "a route to $prefix"
done
for ns in edge s2 s3; do
	must_within "in_ns $ns ip route show 10.2.0.0/24 | grep -q 'dev qb0' && in_ns $ns ip -6 route show fd00:2::/64 | grep -q 'dev qb0'" 3
	pass "routes to what the hub offers in $ns"
done
assert_eq "state of the hub with its routes" "$(status hub .state)" serving
assert_eq "routes to one that is not allowed" "$(in_ns hub ip route show 10.65.99.0/24)" ""

section "traffic to, from and between sites"
while read -r from src to; do
	pings_return "pings from $src in $from to $to" 5 0.02 "$from" "$to" -I "$src"
done <<-END
	lan $LAN4 $INET4
	s2 10.65.2.1 $INET4
	s3 10.65.3.1 $INET4
	s3 10.64.0.3 $INET4
	inet $INET4 10.65.2.1
	inet $INET6 fd00:65:3::1
	s2 10.65.2.1 10.65.3.1
	s3 10.65.3.1 10.65.2.1
	s2 10.65.2.1 $LAN4
	lan $LAN4 10.65.3.1
	s2 fd00:65:2::1 fd00:65:3::1
	s3 10.64.0.3 10.64.0.77
END

section "sites on different workers"
# Which worker a connection belongs to is chance: this one comes again until it is another.
for ((i = 0; i < 12; i++)); do
	[[ $(site two .worker) != "$(site three .worker)" ]] && break
	stop "${DAEMON_PIDS[s3]}"
	must_within "[[ \$(site three .state) == down ]]" 3
	start_daemon s3 "$QB_DIR/s3.conf" bonded 15
	must_within "[[ \$(site three .state) == connected ]]" 3
done
assert_eq "both workers are used" "$(ctl hub -j sites | jq -c '[.sites[].worker] | unique')" "[0,1]"
for dst in "s2 10.65.3.1" "s3 10.65.2.1" "inet 10.65.2.1" "inet 10.65.3.1"; do
	read -r from to <<<"$dst"
	src=$(case $from in s2) echo 10.65.2.1 ;; s3) echo 10.65.3.1 ;; *) echo $INET4 ;; esac)
	pings_return "pings from $from to $to" 50 0.01 "$from" "$to" -I "$src"
done
assert_eq "packets lost between workers" "$(counter hub drop_handoff)" 0

section "a source that is another site's, or nobody's"
ip_in s2 addr add 10.65.3.9/32 dev lo
ip_in s2 addr add 192.0.2.9/32 dev lo
before=$(counter hub drop_source)
for src in 10.65.3.9 192.0.2.9; do
	ping_run s2 $INET4 -I $src -c 5 -i 0.02 -W 1
	assert_eq "answers to $src" "$PING_RECEIVED" 0
done
assert_eq "packets dropped for their source" "$(($(counter hub drop_source) - before))" 10
pings_return "answers to the site's own" 3 0.02 s2 $INET4 -I 10.65.2.1

section "keys"
ns_add stranger
veth_pair stranger a 10.29.10.2/24 hub stra 10.29.10.1/24
veth_pair stranger b 10.29.11.2/24 hub strb 10.29.11.1/24
ip_in stranger route add default via 10.29.10.1
keypair stranger >/dev/null
site_conf stranger stranger "$hub_key"
before=$(($(counter hub peers_refused) + $(counter hub handshakes_failed)))
start_daemon stranger "$QB_DIR/stranger.conf"
must_within "(( \$(counter hub peers_refused) + \$(counter hub handshakes_failed) > $before ))" 5
must_within "status stranger .hub.reason | grep -q ." 5
assert_eq "an unlisted key" "$(status stranger .hub.reason)" "the hub says: the peer's public key is not listed"
assert_ok "the edge's log says so" grep "the hub says: the peer's public key is not listed" "$QB_DIR/stranger.log"
assert_eq "state of the stranger" "$(status stranger .state)" connecting
assert_eq "addresses of the stranger" "$(addresses stranger)" ""
stop "${DAEMON_PIDS[stranger]}"
rm "$QB_DIR/stranger.log"
site_conf stranger two "$(keypair another)"
start_daemon stranger "$QB_DIR/stranger.conf"
must_within "status stranger .hub.reason | grep -q ." 5
assert_eq "another hub's key" "$(status stranger .hub.reason)" "the peer's public key is not listed"
assert_eq "site 2 is still where it was" "$(site two .state) $(reachable inet 10.65.2.1 && echo reachable)" "connected reachable"
stop "${DAEMON_PIDS[stranger]}"

section "a hub that stops takes nobody in any more"
# Each of its sends takes so long that the edges, which begin anew at once, have answered its goodbye before it is gone.
late=$(tool late_send.so)
[[ -x $late ]] || skip "$late is not built (make test-bins)"
stop "${DAEMON_PIDS[hub]}"
LD_PRELOAD=$late start_daemon hub "$QB_DIR/hub.conf"
must_within "[[ \$(status edge .state) == bonded ]]" 10
stop "${DAEMON_PIDS[hub]}"
must_within "[[ \$(status edge .hub.state) == connecting ]]" 5
pass "$(status edge .hub.reason)"
start_daemon hub "$QB_DIR/hub.conf"
for ns in edge s2 s3; do
	must_within "[[ \$(status $ns .state) == bonded ]]" 10
done

section "DefaultRoute and OnHubLoss"
# Without the bond the site reaches the Internet, too: what leaks is seen.
hub_guard del
addr_add inet lo 203.0.113.1/32
ip_in hub route add 203.0.113.0/24 via $INET4
ip_in hub route add 10.1.0.0/24 via 10.10.1.2 metric 1000
assert_eq "site 1 reaches the Internet without the bond" "$(reachable lan 203.0.113.1 && echo yes)" yes
sed -i '/^Advertise/d' "$QB_DIR/hub.conf"
stop "${DAEMON_PIDS[hub]}"
start_daemon hub "$QB_DIR/hub.conf"
sed -i 's/^\[Tunnel\]$/&\nDefaultRoute = yes/' "$QB_DIR/edge.conf"
assert_ok "reload" ctl edge reload
must_within "in_ns edge ip route get 203.0.113.1 from 10.1.0.2 iif lan0 | grep -q 'dev qb0'" 5
must_within "in_ns edge ip -6 route get 2001:db8::1 from fd00:1::2 iif lan0 | grep -q 'dev qb0'" 5
assert_ok "the hub itself is not reached through the tunnel" sh -c \
	"ip -n ${QB_PREFIX}edge route get $HUB4 from 10.10.2.2 | grep 'dev wan2'"
must_within "reachable lan 203.0.113.1" 3
pass "the Internet is reached through the tunnel"
stop "${DAEMON_PIDS[hub]}"
must_within "[[ \$(status edge .hub.state) != connected ]]" 5
assert_eq "block: site 1 without a hub" "$(reachable lan 203.0.113.1 && echo leaks)" ""
stop "${DAEMON_PIDS[edge]}"
start_daemon edge "$QB_DIR/edge.conf"
must_within "in_ns edge ip route get 203.0.113.1 from 10.1.0.2 iif lan0 | grep -q 'dev qb0'" 3
assert_eq "block: site 1 before it ever had a hub" "$(reachable lan 203.0.113.1 && echo leaks)" ""
sed -i 's/^DefaultRoute = yes$/&\nOnHubLoss = direct/' "$QB_DIR/edge.conf"
assert_ok "reload" ctl edge reload
must_within "reachable lan 203.0.113.1" 3
pass "direct: site 1 reaches the Internet without a hub"
start_daemon hub "$QB_DIR/hub.conf"
must_within "in_ns edge ip route get 203.0.113.1 from 10.1.0.2 iif lan0 | grep -q 'dev qb0'" 10
must_within "reachable lan 203.0.113.1" 3
pass "through the tunnel again"

section "nothing is left behind"
[[ -n $(leftovers edge) && -n $(leftovers hub) ]] || fail "no routes with protocol 81 while it runs"
stop "${DAEMON_PIDS[edge]}"
assert_eq "edge, after SIGTERM" "$(leftovers edge)" ""
must_within "[[ \$(site site .state) == down ]]" 3
stop "${DAEMON_PIDS[hub]}"
assert_eq "hub, after SIGTERM" "$(leftovers hub)" ""
start_daemon hub "$QB_DIR/hub.conf"
start_daemon edge "$QB_DIR/edge.conf" bonded 15
must_within "in_ns edge ip rule | grep -q 'proto 81'" 3
rules=$(in_ns edge sh -c '(ip rule; ip -6 rule) | sort')
kill -KILL "${DAEMON_PIDS[edge]}"
wait "${DAEMON_PIDS[edge]}" 2>/dev/null
[[ -n $(leftovers edge) ]] || fail "kill -9 leaves nothing: the test has nothing to show"
ip_in edge rule add pref 7777 from 192.0.2.1 table 7777 protocol 81
ip_in edge route add 192.0.2.0/24 via 10.10.1.1 table 7777 proto 81
start_daemon edge "$QB_DIR/edge.conf" bonded 15
assert_eq "what an earlier run left" "$(leftovers edge | grep -E '7777|192\.0\.2')" ""
must_within "[[ \$(in_ns edge sh -c '(ip rule; ip -6 rule) | sort') == \"\$rules\" ]]" 5
pass "rules after kill -9 and a start: as before"
