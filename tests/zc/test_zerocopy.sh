#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Zero-copy on a real driver: the daemons that were just built, in a machine that QEMU emulates, over virtio-net. Needs no root
# and no network card; the first run fetches packages (55 MB) into build/zc. What happens in the machine is tests/zc/guest.
set -u
cd "$(dirname "$0")/../.." || exit 2
zc=$PWD/build/zc
root=$zc/root
programs="bash ip jq xdp-loader"
dispatcher=$(find /usr/lib -name xdp-dispatcher.o 2>/dev/null | head -n 1)
PATH=$PATH:/usr/sbin

for p in build/quicbondd build/quicbondctl; do
	[[ -x $p ]] || { echo "skip: $p is not built" && exit 77; }
done
for p in $programs ldd clang; do
	command -v "$p" >/dev/null || { echo "skip: $p is not installed" && exit 77; }
done
[[ -n $dispatcher ]] || { echo "skip: libxdp has no dispatcher here" && exit 77; }
ldd build/quicbondd | grep -q 'lib[at]san' && echo "skip: sanitizers are too slow in an emulated machine" && exit 77
tests/zc/fetch || exit $?
kernel=$zc/kernel/usr/lib/modules/$(cat "$zc/fetched")
busybox=$zc/qemu/bin/busybox
[[ -x $busybox ]] || busybox=$zc/qemu/usr/bin/busybox

# put FILE [TO]: into the machine's file system, with the libraries that it is linked to.
put() {
	local lib to=$root${2:-$1}
	mkdir -p "$(dirname "$to")" && cp -L "$1" "$to" || exit 2
	ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | while read -r lib; do
		[[ -e $root$lib ]] || { mkdir -p "$root$(dirname "$lib")" && cp -L "$lib" "$root$lib"; }
	done
}

build_root() {
	local p m
	rm -rf "$root"
	mkdir -p "$root"/{bin,dev,etc,proc,sys,run,tmp,modules}
	cp "$busybox" "$root/bin/busybox"
	for p in $("$busybox" --list); do
		[[ -e $root/bin/$p ]] || ln -s busybox "$root/bin/$p"
	done
	for p in $programs; do
		rm -f "$root/bin/$p"
		put "$(command -v "$p")" "/bin/$p"
	done
	put build/quicbondd /bin/quicbondd
	put build/quicbondctl /bin/quicbondctl
	put "$dispatcher"
	clang -O2 -g -target bpf -I"/usr/include/$(uname -m)-linux-gnu" -c tests/zc/other.bpf.c -o "$root/modules/other.bpf.o" || exit 2
	for m in net/core/failover drivers/net/net_failover drivers/net/virtio_net drivers/net/tun; do
		"$busybox" xzcat "$kernel/kernel/$m.ko.xz" >"$root/modules/${m##*/}.ko" || exit 2
	done
	cp tests/zc/guest "$root/init"
	(cd "$root" && find . | "$busybox" cpio -o -H newc -R 0:0 2>/dev/null | gzip -1) >"$zc/initrd" || exit 2
}

run_machine() {
	local libs
	libs=$(find "$zc/qemu" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd :)
	LD_LIBRARY_PATH=$libs timeout -k 5 "${ZC_TIMEOUT:-400}" "$zc/qemu/usr/bin/qemu-system-x86_64" \
		-L "$zc/qemu/usr/share/qemu" -L "$zc/qemu/usr/share/seabios" \
		-M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 512 -nographic -no-reboot -nodefaults -serial stdio \
		-kernel "$kernel/vmlinuz" -initrd "$zc/initrd" \
		-append "console=ttyS0 quiet panic=-1 mitigations=off" \
		-netdev hubport,id=h0,hubid=0 -netdev hubport,id=h1,hubid=0 \
		-device virtio-net-pci,netdev=h0,iommu_platform=on,disable-legacy=on,romfile=,mac=02:00:00:00:00:02 \
		-device virtio-net-pci,netdev=h1,iommu_platform=on,disable-legacy=on,romfile=,mac=02:00:00:00:00:01 \
		</dev/null 2>&1 | tr -d '\r' | tee "$zc/machine.log"
}

build_root
run_machine
tail -n 20 "$zc/machine.log" | grep -q '^RESULT 0' || { echo "FAIL: the machine did not end well" && exit 1; }
