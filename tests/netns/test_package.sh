#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The Debian package: installed, run as README says, upgraded, removed. In a mount namespace in which /usr, /etc and /var are
# overlays, so that the machine learns nothing of it.
if [[ -z ${QB_PACKAGE_MOUNTS:-} ]]; then
	export QB_PACKAGE_MOUNTS=1
	exec unshare --mount --propagation private "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
need ping dpkg dpkg-deb dpkg-shlibdeps systemd-sysusers

mount -t tmpfs overlays /mnt || skip "no tmpfs"
for dir in usr etc var; do
	mkdir /mnt/$dir{,.work}
	mount -t overlay $dir -o lowerdir=/$dir,upperdir=/mnt/$dir,workdir=/mnt/$dir.work /$dir || skip "no overlays"
done
# As on a machine that never had it.
rm -rf /var/lib/quicbond /etc/quicbond
# The machine's own service manager is not to be told.
[[ ! -d /run/systemd ]] || mount -t tmpfs none /run/systemd || fail "mount"

section "make deb"
make --no-print-directory -C "$QB_ROOT" deb >"$QB_DIR/deb.log" 2>&1 || fail "$(tail -n 5 "$QB_DIR/deb.log")"
deb=$QB_ROOT/$(tail -n 1 "$QB_DIR/deb.log")
sum=$(sha256sum <"$deb")
make --no-print-directory -C "$QB_ROOT" deb >/dev/null 2>&1 || fail "the second time"
assert_eq "the same bytes again" "$(sha256sum <"$deb")" "$sum"
assert_eq "owners in it" "$(dpkg-deb -c "$deb" | awk '{ print $2 }' | sort -u | xargs)" root/root

section "installed"
dpkg -i "$deb" >"$QB_DIR/dpkg.log" 2>&1 || fail "$(tail -n 5 "$QB_DIR/dpkg.log")"
assert_eq "dpkg" "$(dpkg-query -W -f '${db:Status-Status}' quicbond)" installed
assert_eq "verified" "$(dpkg --verify quicbond)" ""
assert_ok "a user" id quicbond
for file in /usr/share/man/man{8/quicbondd.8,1/quicbondctl.1,5/quicbond.conf.5}.gz /usr/share/doc/quicbond/examples/edge.conf \
	/usr/share/bash-completion/completions/quicbondctl /usr/lib/systemd/system/quicbondd.service; do
	[[ -f $file ]] || fail "no $file"
done
assert_eq "where the unit finds it" "$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' /usr/lib/systemd/system/quicbondd.service)" /usr/sbin/quicbondd

section "a bond of it"
topology 1
quicbond_confs edge:Node.User= hub:Node.User=
QB_BUILD=$QB_DIR/installed
mkdir "$QB_BUILD"
ln -s /usr/sbin/quicbondd /usr/bin/quicbondctl /usr/bin/quicbond-netem "$QB_BUILD"
export STATE_DIRECTORY=/var/lib/quicbond
start_daemon hub "$QB_DIR/hub.conf"
start_daemon edge "$QB_DIR/edge.conf" 'bonded|single'
for ns in hub edge; do
	assert_eq "$ns runs as" "$(stat -c %U "/proc/${DAEMON_PIDS[$ns]}")" quicbond
done
pings_return "pings" 3 0.1 lan $INET4
must_within "compgen -G '/var/lib/quicbond/tickets-*'" 5
assert_eq "what is kept belongs to" "$(find /var/lib/quicbond -type f -exec stat -c "%U %a" {} + | sort -u)" "quicbond 600"
stop "${DAEMON_PIDS[edge]}"
start_daemon edge "$QB_DIR/edge.conf" 'bonded|single'
assert_eq "back in 0-RTT" "$(counter edge early_accepted)" 1

section "removed"
stop "${DAEMON_PIDS[edge]}" "${DAEMON_PIDS[hub]}"
echo "# mine" >/etc/quicbond/quicbond.conf
dpkg -P quicbond >"$QB_DIR/dpkg.log" 2>&1 || fail "$(tail -n 5 "$QB_DIR/dpkg.log")"
[[ ! -e /usr/sbin/quicbondd && ! -e /var/lib/quicbond ]] || fail "something stays"
assert_eq "the configuration is the user's" "$(cat /etc/quicbond/quicbond.conf)" "# mine"
