#!/usr/bin/env bash
# A real Debian with a real systemd in a VM: debian-vm.sh INSIDE FILE... has the FILEs in its root folder and runs the
# script INSIDE, below the functions that stand here, when it is up. Wants root, apt's mirror, mmdebstrap, cpio and
# qemu-system-x86. It prints a line for each thing that was seen, and fails with the first that was not.
set -euo pipefail
inside=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat - "$inside" >"$work/inside" <<'INSIDE'
#!/bin/bash
seen() { echo "SEEN $*"; }
fail() { echo "FAILED $*"; systemctl status --no-pager spikeboxd; journalctl --no-pager -u spikeboxd | tail -30; poweroff -f; }
until_() { local what=$1; shift; for _ in $(seq 600); do "$@" >/dev/null 2>&1 && { seen "$what"; return; }; sleep 1; done; fail "$what"; }
pid() { systemctl show -p MainPID --value "${1:-spikeboxd}"; }
# The journal's messages alone: log [UNIT [OPTION...]].
log() { local unit=${1:-spikeboxd}; shift; journalctl --no-pager -o cat -u "$unit" "$@"; }
ip link set lo up
INSIDE
echo 'echo "ALL SEEN"; poweroff -f' >>"$work/inside"

mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,udev,kmod,procps,iproute2,linux-image-cloud-amd64 \
	--customize-hook="copy-in $* /" \
	--customize-hook="upload $work/inside /inside" --customize-hook='chmod +x "$1/inside"' \
	--customize-hook='printf "[Unit]\nStartLimitIntervalSec=0\n[Service]\nWatchdogSec=15s\nRestartSec=1s\nTimeoutStartSec=20min\n" >"$1/watchdog.conf"; mkdir -p "$1/etc/systemd/system/spikeboxd.service.d"; mv "$1/watchdog.conf" "$1/etc/systemd/system/spikeboxd.service.d/quick.conf"' \
	--customize-hook='printf "[Unit]\nAfter=multi-user.target\n[Service]\nType=idle\nExecStart=/inside\nStandardOutput=tty\nTTYPath=/dev/ttyS0\n" >"$1/etc/systemd/system/inside.service"; mkdir -p "$1/etc/systemd/system/multi-user.target.wants"; ln -s ../inside.service "$1/etc/systemd/system/multi-user.target.wants/"' \
	--customize-hook='ln -sf /lib/systemd/systemd "$1/init"; rm -rf "$1"/usr/share/{doc,locale,man} "$1"/var/lib/apt/lists' \
	--customize-hook="copy-out /boot $work" bookworm "$work/root.tar"
mkdir "$work/root"
tar -C "$work/root" -xf "$work/root.tar" --exclude=./boot
(cd "$work/root" && find . -print0 | cpio --quiet --null -o -H newc >"$work/root.cpio")
# TCG, as KVM inside of a virtual machine may be there and not work.
timeout 7200 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 3072 -nographic -no-reboot -kernel "$work"/boot/vmlinuz-* -initrd "$work/root.cpio" \
	-append "console=ttyS0 quiet systemd.show_status=no loglevel=3" </dev/null | sed -u 's/\r//g' | grep -a --line-buffered -E '^(SEEN|FAILED|ALL|STATUS|LOG|ANALYZE|SECURITY|DRILL|DOCTOR|WATCH)|spikeboxd(\[|.service: )' | tee "$work/log"
grep -q '^ALL SEEN' "$work/log"
