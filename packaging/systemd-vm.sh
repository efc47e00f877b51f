#!/usr/bin/env bash
# What the package does on a real Debian with a real systemd: a VM from nothing to armed by two
# commands, then fired, explained, reloaded, killed, hung, and removed; a few minutes without KVM.
# packages.sh must have made the .deb; debian-vm.sh says what it wants.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp out/packages/spikebox_*_amd64.deb "$work/spikebox.deb"

cat >"$work/inside" <<'INSIDE'
# In the VM: what an operator does, and what must be so afterwards.
dpkg -i /spikebox.deb >/dev/null 2>&1 || fail "dpkg -i"
systemctl is-enabled spikeboxd >/dev/null 2>&1 && fail "it is enabled by its installation alone"
systemctl enable --now spikeboxd 2>/dev/null || fail "systemctl enable --now"
until_ "armed by two commands" systemctl is-active spikeboxd
[ "$(ps -o user= -p "$(pid)")" = spikebox ] && seen "it is no root" || fail "its user"
systemctl status --no-pager spikeboxd | grep -q 'Status: "armed on ' && seen "systemctl status tells on what" || fail "status"
spikebox status | sed 's/^/STATUS /' | head -60
spikebox status | grep -q '^armed  *since' && seen "spikebox status answers to root" || fail "spikebox status"
journalctl --no-pager -o cat -u spikeboxd | sed 's/^/LOG /' | head -30

spikebox trigger --reason 'a look' >/dev/null || fail "spikebox trigger"
until_ "a bundle is written" sh -c 'ls /var/lib/spikebox/*.tar.zst'
spikebox analyze /var/lib/spikebox/*.tar.zst | sed 's/^/ANALYZE /' | head -12
spikebox verify /var/lib/spikebox/*.tar.zst >/dev/null && seen "the bundle is whole" || fail verify

# The recorder has no capability in the command that it runs, and the drill is asked for by its own unit.
printf '%s\n' 'on-bundle sh -c "{ echo $SPIKEBOX_BUNDLE; grep CapEff /proc/self/status; } >/var/lib/spikebox/told"' >>/etc/spikebox/spikeboxd.conf
systemctl restart spikeboxd || fail "restart"
until_ "armed with --on-bundle" spikebox status
spikebox trigger --reason 'a command' >/dev/null || fail "spikebox trigger"
until_ "a command has run for a bundle" sh -c 'grep -q "spike.tar.zst$" /var/lib/spikebox/told'
until_ "without a capability" grep -q 'CapEff.*0000000000000000' /var/lib/spikebox/told
systemctl is-active -q spikebox-drill.timer && seen "the timer of drills is active" || fail "spikebox-drill.timer"
systemctl start spikebox-drill || fail "spikebox-drill: $(journalctl --no-pager -o cat -u spikebox-drill | tail -12)"
journalctl --no-pager -o cat -u spikebox-drill | sed 's/^/DRILL /'
journalctl --no-pager -o cat -u spikebox-drill | grep -q '^bundle *ok' && seen "a drill as the unit's user" || fail "drill"
[ "$(journalctl --no-pager -o cat -u spikeboxd -p warning | grep -c 'armed on')" = 0 ] && journalctl --no-pager -o cat -u spikeboxd -p info | grep -q '^armed on' && seen "the journal has the log's priorities" || fail "priorities"
rm -f /var/lib/spikebox/told

echo 'trigger syn_recv > 12345' >>/etc/spikebox/spikeboxd.conf
before=$(pid)
systemctl reload spikeboxd || fail "reload"
until_ "reloaded: the new trigger is armed" sh -c 'spikebox status | grep -q 12345'
[ "$(pid)" = "$before" ] && seen "by the same process" || fail "reload began anew"
echo 'triger x' >>/etc/spikebox/spikeboxd.conf
systemctl reload spikeboxd 2>/dev/null && fail "a wrong file is reloaded"
[ "$(pid)" = "$before" ] && spikebox status | grep -q 12345 && seen "a wrong file changes nothing" || fail "after a wrong file"
sed -i '$d' /etc/spikebox/spikeboxd.conf

kill -9 "$before"
until_ "killed, it is armed again" sh -c "spikebox status && [ \$(systemctl show -p MainPID --value spikeboxd) != $before ]"
before=$(pid)
kill -STOP "$before"
until_ "hung, the watchdog ends it and it is armed again" sh -c "spikebox status && [ \$(systemctl show -p MainPID --value spikeboxd) != $before ]"
systemd-analyze security spikeboxd --no-pager | tail -1 | sed 's/^/SECURITY /'
systemd-analyze verify --man=no spikeboxd.service && seen "systemd-analyze verify has nothing to say" || fail "systemd-analyze verify"
# In tenths, of a figure that is rounded when it is shown.
systemd-analyze security --threshold=31 spikeboxd >/dev/null && seen "an exposure of 3.0" || fail "systemd-analyze security"

# Another namespace: the unit alone says what it takes, as an error of the journal's, and the drop-in gives it.
ip netns add blue
ip link add host0 type veth peer name blue0 netns blue
ip addr add 10.9.0.1/24 dev host0
ip link set host0 up
in_blue() { ip netns exec blue "$@"; }
in_blue ip addr add 10.9.0.2/24 dev blue0
in_blue ip link set blue0 up
in_blue ip link set lo up
blue=/run/spikebox/control-blue.sock
cp /etc/spikebox/spikeboxd.conf /saved.conf
printf '%s\n' 'netns own' 'netns /run/netns/blue' >>/etc/spikebox/spikeboxd.conf
systemctl restart spikeboxd 2>/dev/null && fail "it enters namespaces without CAP_SYS_ADMIN"
until_ "what ends a start is an error in the journal" sh -c "journalctl --no-pager -o cat -u spikeboxd -p err | grep 'it takes CAP_SYS_ADMIN, and in the unit RestrictNamespaces=net'"
install -D -m 644 /usr/share/doc/spikebox/examples/netns.conf /etc/systemd/system/spikeboxd.service.d/netns.conf
systemctl daemon-reload
systemctl restart spikeboxd || fail "restart with the drop-in"
until_ "two namespaces are recorded" sh -c "spikebox status && spikebox status --control $blue"
systemctl status --no-pager spikeboxd | grep -q 'Status: "armed in 2 of 2 ' && seen "systemctl status tells of both" || fail "status of two"
[ "$(ps -o user= -p "$(pid)")" = spikebox ] && seen "by no root" || fail "its user"
spikeboxd doctor | sed 's/^/DOCTOR /' | head -20
in_blue spikebox drill --control $blue | sed 's/^/DRILL /'
bash -c 'echo >/dev/tcp/10.9.0.2/9' 2>/dev/null
spikebox trigger --control $blue --reason blue >/dev/null || fail "trigger in blue"
until_ "a bundle of the other" sh -c 'ls /var/lib/spikebox/blue/*.tar.zst'
spikebox flows /var/lib/spikebox/blue/*.tar.zst | grep -q '10.9.0.1:.*10.9.0.2:9 ' && seen "with packets that only it saw" || fail "flows of blue: $(spikebox flows /var/lib/spikebox/blue/*.tar.zst)"
before=$(spikebox status --control $blue | grep ^recorder)
ip netns del blue
until_ "a namespace that goes is let go" sh -c "journalctl --no-pager -o cat -u spikeboxd | grep 'network namespace /run/netns/blue is not there any more'"
until_ "and its interface with it" sh -c '! ip link show host0'
ip netns add blue
until_ "one that comes again is recorded again" sh -c "spikebox status --control $blue | grep ^recorder | grep -v -F '$before'"

# A container as Podman and systemd have it: its monitor bears its ID, too, and is in the host's namespace.
id=$(printf '4f1e6b2c9d0a%052d' 0)
systemd-run --quiet --unit="libpod-conmon-$id.scope" --scope sleep 1000 &
sleep 2
systemd-run --quiet --unit="libpod-$id.scope" --scope unshare --net sleep 1000 &
until_ "a container is there" systemctl is-active "libpod-$id.scope"
cp /saved.conf /etc/spikebox/spikeboxd.conf
printf '%s\n' "netns container:${id%????????????????????????????????????????????????????}" 'netns own' >>/etc/spikebox/spikeboxd.conf
systemctl restart spikeboxd || fail "restart with a container"
container=/run/spikebox/control-4f1e6b2c9d0a.sock
until_ "a container is recorded by twelve digits of its ID" spikebox status --control $container
systemctl stop "libpod-$id.scope"
until_ "one that ends is let go" sh -c "journalctl --no-pager -o cat -u spikeboxd | grep 'network namespace container:4f1e6b2c9d0a is not there any more'"
systemd-run --quiet --unit="libpod-$id.scope" --scope unshare --net sleep 1000 &
until_ "one that is started anew is recorded again" spikebox status --control $container
systemctl stop "libpod-$id.scope" "libpod-conmon-$id.scope"
until_ "and the host meanwhile" spikebox status

# Where bundles are collected.
mkdir /srv/bundles
systemctl start spikebox-watch || fail "spikebox-watch"
cp /var/lib/spikebox/*.tar.zst /srv/bundles/
chmod 600 /srv/bundles/*
until_ "bundles that arrive are analysed by their own unit" sh -c 'ls /var/lib/spikebox-reports/*.report/report.html'
until_ "with a line in the journal" sh -c "journalctl --no-pager -o cat -u spikebox-watch | grep spike.tar.zst"
journalctl --no-pager -o cat -u spikebox-watch | sed 's/^/WATCH /' | head -8
[ "$(ps -o user= -p "$(systemctl show -p MainPID --value spikebox-watch)")" != root ] && seen "by no root" || fail "user of spikebox-watch"
systemd-analyze verify --man=no spikebox-watch.service spikebox-drill.service || fail "systemd-analyze verify spikebox-watch"
systemd-analyze security spikebox-watch --no-pager | tail -1 | sed 's/^/SECURITY /'
systemd-analyze security --threshold=20 spikebox-watch >/dev/null && seen "an exposure of less than 2.0" || fail "systemd-analyze security spikebox-watch"

dpkg --purge spikebox >/dev/null 2>&1 || fail "dpkg --purge"
for unit in spikeboxd spikebox-watch spikebox-drill.timer; do systemctl is-active -q $unit && fail "$unit runs on"; done
left=$(find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/log -o -path /var/lib/dpkg -o -path /var/lib/systemd \) -prune -o -name '*spikebox*' -print | grep -v -e '^/spikebox.deb' -e '^/etc/systemd/system/spikeboxd.service.d' -e '^/var/lib/spikebox' -e '^/var/lib/private')
[ -z "$left" ] && seen "removed without a trace but bundles" || fail "left: $left"
ls /var/lib/spikebox/*.tar.zst >/dev/null && seen "bundles stay" || fail "bundles are gone"
INSIDE
packaging/debian-vm.sh "$work/inside" "$work/spikebox.deb"
