#!/usr/bin/env bash
# Installs the .rpm into a fresh root, runs it there, upgrades it by itself, and removes it: what is left is the
# folder of bundles' user alone. Wants root, rpm and mmdebstrap (any root with a shell does); packages.sh
# must have made the .rpm.
set -euo pipefail
cd "$(dirname "$0")/.."
rpm=$(ls "$PWD"/out/packages/spikebox-*.x86_64.rpm)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mmdebstrap --quiet --variant=essential --include=passwd bookworm "$work/root.tar"
mkdir "$work/root"
tar -C "$work/root" -xf "$work/root.tar" --exclude=./dev
mkdir -p "$work/root/dev" "$work/root/usr/lib/sysusers.d" # systemd's, in an rpm distribution
mknod "$work/root/dev/null" c 1 3
in_root() { rpm --nosignature --root "$work/root" --dbpath /var/lib/rpm "$@"; }
list() { (cd "$work/root" && find . \( -path ./var/lib/rpm -o -name '*-' \) -prune -o -print | sort); }
in_root --initdb
list >"$work/before"

in_root --install --nodeps "$rpm" # its root is no rpm distribution's
in_root --verify --nodeps spikebox
# Not grep -q, which would end before rpm has said all.
in_root --query --list spikebox | grep -x /usr/lib/systemd/system/spikeboxd.service >/dev/null
in_root --query --configfiles spikebox | grep -x /etc/spikebox/spikeboxd.conf >/dev/null
chroot "$work/root" /usr/bin/spikebox version
chroot "$work/root" /usr/bin/spikeboxd check >/dev/null
grep -q ^spikebox: "$work/root/etc/passwd"
chroot "$work/root" sh -c 'test ! -e /var/lib/spikebox'
echo 'keep 7' >>"$work/root/etc/spikebox/spikeboxd.conf"
in_root --upgrade --nodeps --force "$rpm"
grep -qx 'keep 7' "$work/root/etc/spikebox/spikeboxd.conf"
in_root --erase spikebox
grep -qx 'keep 7' "$work/root/etc/spikebox/spikeboxd.conf.rpmsave" && rm "$work/root/etc/spikebox/spikeboxd.conf.rpmsave"
rmdir "$work/root/etc/spikebox" # rpm keeps the folder of a file that it keeps
list | diff "$work/before" -
echo "installed, run, upgraded with its configuration kept, and removed: $(basename "$rpm")"
