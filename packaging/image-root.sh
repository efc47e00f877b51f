#!/usr/bin/env bash
# Runs the container image as Kubernetes does with contrib/kubernetes: root with the unit's capabilities and no others,
# without new privileges, on a read-only root, with a network of its own here. Wants root, skopeo, capsh; packages.sh must
# have made the image.
set -euo pipefail
cd "$(dirname "$0")/.."
image=$(ls "$PWD"/out/packages/spikebox-*-linux-amd64.oci.tar)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
skopeo copy --quiet "oci-archive:$image" "dir:$work/image" # its sums are compared
skopeo inspect --config "docker-archive:$image" >/dev/null
mkdir "$work/root"
tar -C "$work/root" -xzf "$work/image/$(sed 's/.*"layers":[^]]*sha256:\([0-9a-f]*\).*/\1/' "$work/image/manifest.json")"
mkdir "$work/root/proc" "$work/root/sys" # a runtime makes them

keep=$(sed -n 's/^AmbientCapabilities=//p' packaging/spikeboxd.service | tr 'A-Z ' 'a-z\n')
drop=$(capsh --decode=ffffffffffffffff | sed 's/.*=//' | tr , '\n' | grep '^cap_' | grep -vxF "$keep" | paste -sd,)
cat >"$work/inside" <<INSIDE
ip link set lo up
mount --bind "$work/root" "$work/root"
for dir in var/lib/spikebox run/spikebox; do mount -t tmpfs none "$work/root/\$dir"; done
mount -t proc none "$work/root/proc"
mount --bind /dev/null "$work/root/proc/interrupts" # as Kubernetes and Docker have it since 2025
mount -t sysfs -o ro none "$work/root/sys"
mount -o remount,bind,ro "$work/root"
inside() { capsh --no-new-privs --chroot="$work/root" --drop=$drop --shell=/usr/bin/\$1 -- "\${@:2}"; }
inside spikeboxd run --interface lo --after 1s --once >"$work/path" & # what the image's Entrypoint and Cmd say, and --once
for _ in \$(seq 100); do inside spikebox status >"$work/status" 2>/dev/null && break; sleep 0.2; done
grep -q '^armed  *since' "$work/status"
inside spikebox trigger --reason 'a look'
wait %1
inside spikebox verify "\$(cat "$work/path")"
inside spikebox inspect --json "\$(cat "$work/path")" >"$work/inspect.json"
INSIDE
unshare --mount --net bash -euo pipefail "$work/inside"
grep -q '"packets"' "$work/inspect.json"
grep -q '"absent": .*proc/interrupts' "$work/inspect.json" # and not an empty text
echo "armed, fired and verified in the image, with $(wc -w <<<"$keep") capabilities: $(basename "$image")"
