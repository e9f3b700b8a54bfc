#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A hub that an edge knows by a CA and a name: the tunnel, its tickets, a certificate that is renewed, one of another name's,
# and a CA that the edge does not know; beside an edge that has the hub's key, as ever.
. "$(dirname "$0")/lib.sh"
need ping openssl

# cert NAME ISSUER EXTENSION: NAME.key and NAME.pem, by ISSUER's key (itself: self-signed).
cert() (
	cd "$QB_DIR" || exit
	openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" && openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr" || exit
	if [[ $1 == "$2" ]]; then
		openssl x509 -req -in "$1.csr" -signkey "$1.key" -days 30 -extfile <(echo "$3") -out "$1.pem"
	else
		openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -set_serial "0x$(openssl rand -hex 8)" -days 30 \
			-extfile <(echo "$3") -out "$1.pem"
	fi
) >"$QB_DIR/openssl.log" 2>&1

# key_in CONF KEY VALUE: another value; an empty one takes the key out.
key_in() {
	sed -i "s|^$2 = .*|${3:+$2 = $3}|" "$QB_DIR/$1.conf"
}

# refused WORDS: what the edge's list of errors says last.
refused() {
	must_within "ctl edge -j errors | jq -e '.errors[-1].text | contains(\"$1\")'" 8
}

cert ca ca 'basicConstraints=critical,CA:true' && cert other other 'basicConstraints=critical,CA:true' &&
	cert mid ca 'basicConstraints=critical,CA:true' && cert first mid 'subjectAltName=DNS:hub.example.net' &&
	cert second ca 'subjectAltName=DNS:hub.example.net' && cert wrong ca 'subjectAltName=DNS:web.example.net' ||
	fail "openssl: $(cat "$QB_DIR/openssl.log")"
cat "$QB_DIR/first.pem" "$QB_DIR/mid.pem" >"$QB_DIR/chain.pem"
cp "$QB_DIR/first.key" "$QB_DIR/chain.key"
topology 1 "rate=50M delay=20ms"
quicbond_confs "hub:Listen.Certificate=$QB_DIR/chain.pem" "hub:Listen.CertificateKey=$QB_DIR/chain.key" \
	"edge:Hub hub.CA=$QB_DIR/ca.pem" "edge:Hub hub.ServerName=hub.example.net"
cp "$QB_DIR/edge.conf" "$QB_DIR/pinned.conf"
key_in pinned CA ''
key_in pinned ServerName ''
key_in edge PublicKey ''
start_daemon hub "$QB_DIR/hub.conf"
start_daemon edge "$QB_DIR/edge.conf" "bonded|single" 10

section "by a CA and a name"
pings_return "pings" 3 0.1 lan $INET4
must_within "(( \$(status edge .hub.tickets) > 0 ))" 3
must_within "compgen -G '$STATE_DIRECTORY/tickets-*'" 3

section "with a ticket"
stop "${DAEMON_PIDS[edge]}"
start_daemon edge "$QB_DIR/edge.conf" "bonded|single" 10
assert_eq "resumptions" "$(counter edge resumptions)" 1
assert_eq "0-RTT accepted" "$(counter edge early_accepted)" 1

section "by its key"
stop "${DAEMON_PIDS[edge]}"
start_daemon edge "$QB_DIR/pinned.conf" "bonded|single" 10
pass "$(status edge .state)"

section "a certificate that was renewed, at a reload"
stop "${DAEMON_PIDS[edge]}"
rm -f "$STATE_DIRECTORY"/tickets-*
cp "$QB_DIR/second.pem" "$QB_DIR/chain.pem"
refused_reload=$(ctl hub reload 2>&1) && fail "a certificate without its key is taken"
pass "$refused_reload"
cp "$QB_DIR/second.key" "$QB_DIR/chain.key"
assert_ok "reload" ctl hub reload
start_daemon edge "$QB_DIR/edge.conf" "bonded|single" 10
pass "$(status edge .state)"

section "a certificate that was revoked"
stop "${DAEMON_PIDS[edge]}"
(
	cd "$QB_DIR" && : >index && printf '%s\n' '[ca]' 'default_ca = d' '[d]' 'database = index' 'default_md = sha256' \
		'default_crl_days = 1' >ca.conf && openssl ca -config ca.conf -cert ca.pem -keyfile ca.key -revoke second.pem &&
		openssl ca -config ca.conf -cert ca.pem -keyfile ca.key -gencrl -out ca.crl
) >"$QB_DIR/openssl.log" 2>&1 || fail "openssl ca: $(cat "$QB_DIR/openssl.log")"
sed "s|^CA = .*|&\nCRL = $QB_DIR/ca.crl|" "$QB_DIR/edge.conf" >"$QB_DIR/crl.conf"
start_daemon edge "$QB_DIR/crl.conf"
refused "certificate revoked"
assert_eq "state" "$(status edge .state)" connecting

section "a certificate of another name's"
stop "${DAEMON_PIDS[edge]}"
rm -f "$STATE_DIRECTORY"/tickets-*
cp "$QB_DIR/wrong.pem" "$QB_DIR/chain.pem" && cp "$QB_DIR/wrong.key" "$QB_DIR/chain.key"
assert_ok "reload" ctl hub reload
start_daemon edge "$QB_DIR/edge.conf"
refused "Hostname mismatch"
assert_eq "state" "$(status edge .state)" connecting

section "a CA that the edge does not know"
key_in edge CA "$QB_DIR/other.pem"
assert_ok "reload" ctl edge reload
refused "issuer"
assert_eq "state" "$(status edge .state)" connecting
key_in edge CA "$QB_DIR/none.pem"
ctl edge reload >"$QB_DIR/refused" 2>&1 && fail "a CA that is not there is taken"
grep -q "cannot read the CA $QB_DIR/none.pem" "$QB_DIR/edge.log" || fail "$(tail -n 3 "$QB_DIR/edge.log")"
pass "$(cat "$QB_DIR/refused")"

section "a key that only root can read outlives a reload that is refused"
stop "${DAEMON_PIDS[edge]}"
stop "${DAEMON_PIDS[hub]}"
cp "$QB_DIR/first.key" "$QB_DIR/chain.key" && cat "$QB_DIR/first.pem" "$QB_DIR/mid.pem" >"$QB_DIR/chain.pem"
chmod 600 "$QB_DIR/chain.key"
chmod 644 "$QB_DIR/wrong.key" "$QB_DIR/hub.conf"
chmod 755 "$QB_DIR"
key_in hub User nobody
start_daemon hub "$QB_DIR/hub.conf"
key_in hub CertificateKey "$QB_DIR/wrong.key"
ctl hub reload >"$QB_DIR/refused" 2>&1 && fail "a key of another certificate's is taken"
key_in hub CertificateKey "$QB_DIR/chain.key"
assert_ok "reload" ctl hub reload
key_in edge CA "$QB_DIR/ca.pem"
start_daemon edge "$QB_DIR/edge.conf" "bonded|single" 10
pass "$(status edge .state)"
