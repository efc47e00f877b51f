#!/usr/bin/env bash
# What an upgrade of the .deb, and the way back, leaves of an armed recorder on a real Debian with systemd in a VM: the
# package of an older commit (upgrade-vm.sh [COMMIT]; the last release before this commit, or what was sixty commits
# ago) and this one's, which packages.sh must have made. debian-vm.sh says what it wants; a few minutes without KVM.
set -euo pipefail
cd "$(dirname "$0")/.."
old=${1:-$(git describe --tags --abbrev=0 --match 'v[0-9]*' HEAD^ 2>/dev/null || git rev-parse HEAD~60)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone -q . "$work/clone"
git -C "$work/clone" checkout -q "$old"
"$work/clone/packaging/packages.sh" linux/amd64 >/dev/null
cp "$work"/clone/out/packages/spikebox_*_amd64.deb "$work/old.deb"
cp out/packages/spikebox_*_amd64.deb "$work/new.deb"

cat >"$work/inside" <<'INSIDE'
# In the VM: what must be so after each installation over another version.
dir=/var/lib/spikebox
bundles() { ls $dir/*.tar.zst | wc -l; }
# The newest bundle's manifest says how many seconds of syn_recv the baseline has seen.
learned() { spikebox inspect --json "$(ls -t $dir/*.tar.zst | head -1)" | awk '/"vital"/ { here = /"syn_recv"/ } here && /"seen"/ { print int($2) }'; }
all() { local b; for b in $dir/*.tar.zst; do spikebox "$1" "$b" >/dev/null || [ $? = 3 ] || return 1; done; }
watcher=/usr/lib/systemd/system/spikebox-watch.service # which not every version has
watch() {
	[ -e $watcher ] || return
	systemctl start spikebox-watch || fail "spikebox-watch"
	cp $dir/*.tar.zst /srv/bundles/
	until_ "$1: bundles are analysed" sh -c 'ls /var/lib/spikebox-reports/*.report/report.html'
}
# Its own program, and not one that is deleted below it.
current() { [ "$(readlink "/proc/$(pid "$1")/exe")" = "$2" ]; }
# over DEB: installs it over the other, while a bundle is pending and what analyses bundles runs.
over() {
	local daemon watch count known since
	daemon=$(pid) watch=$(pid spikebox-watch) count=$(bundles) since=$(date '+%F %T')
	spikebox trigger --reason "before $1" >/dev/null || fail "$1: spikebox trigger"
	dpkg --force-confold -i "/$1.deb" >/dpkg.log 2>&1 || fail "$1: dpkg -i: $(cat /dpkg.log)"
	until_ "$1: armed again" spikebox status
	[ "$(pid)" != "$daemon" ] && current spikeboxd /usr/bin/spikeboxd || fail "$1: pid $daemon became $(pid)"
	systemctl is-enabled -q spikeboxd && systemctl is-active -q spikebox-drill.timer && seen "$1: by its own program, enabled, with its timer" || fail "$1: enabled"
	[ "$(bundles)" = $((count + 1)) ] && all verify && seen "$1: the bundle that was pending is whole" || fail "$1: $(ls $dir)"
	known=$(learned)
	if [ "$watch" != 0 ] && [ -e "$watcher" ]; then
		[ "$(pid spikebox-watch)" != "$watch" ] && current spikebox-watch /usr/bin/spikebox && seen "$1: spikebox-watch goes on with its own" || fail "$1: spikebox-watch"
	fi
	grep -qx 'keep 17' /etc/spikebox/spikeboxd.conf && spikebox trigger --reason "after $1" >/dev/null || fail "$1: configuration"
	until_ "$1: a bundle is written" sh -c "[ \$(ls $dir/*.tar.zst | wc -l) = $((count + 2)) ]"
	spikebox inspect --json "$(ls -t $dir/*.tar.zst | head -1)" | grep -q '"keep": "17"' && seen "$1: the operator's configuration is kept" || fail "$1: keep"
	# What was learned is taken over, or it is said that it is not.
	if log spikeboxd --since "$since" | grep 'begin anew\|use baseline' >/said; then
		sed "s/^/LOG $1: /" /said
	else
		[ "$known" -gt 0 ] && [ "$(learned)" -ge "$known" ] && seen "$1: what was learned goes on ($known s, $(learned) s)" || fail "$1: learned $(learned) s, and it was $known s before"
	fi
	all analyze && seen "$1: all bundles are read" || fail "$1: analyze"
	systemctl start spikebox-drill && seen "$1: a drill" || fail "$1: drill: $(log spikebox-drill | tail -12)"
}

dpkg -i /old.deb >/dev/null 2>&1 || fail "dpkg -i"
printf '%s\n' 'keep 17' 'trigger syn_recv > 5x for 500ms' >>/etc/spikebox/spikeboxd.conf
mkdir /srv/bundles
systemctl enable --now spikeboxd 2>/dev/null || fail "systemctl enable --now"
until_ "old: armed" spikebox status
spikebox trigger --reason 'a look' >/dev/null || fail "old: spikebox trigger"
until_ "old: a bundle is written" sh -c "ls $dir/*.tar.zst"
watch old
sleep 60 # it learns
over new
watch new
over old
over new
ls /var/lib/spikebox-reports/*.report/report.html >/dev/null && seen "reports are kept" || fail "reports"

# What another version wrote, of its state or its configuration, is told in a sentence.
systemctl stop spikeboxd
sed -i 's/"version":1/"version":99/' $dir/.spikeboxd-*.json
systemctl start spikeboxd || fail "with a state of version 99"
until_ "a state of another version is said to be one" sh -c "journalctl --no-pager -o cat -u spikeboxd -p warning | grep 'begin anew.*version 99'"
echo 'of-another-version 1' >>/etc/spikebox/spikeboxd.conf
dpkg --force-confold -i /new.deb >/dpkg.log 2>&1 || fail "dpkg -i with a configuration that is refused: $(cat /dpkg.log)"
grep -q 'not started again: journalctl' /dpkg.log && seen "the installation says that it is not armed" || fail "what dpkg says: $(cat /dpkg.log)"
until_ "a flag of another version is said to be none" sh -c "journalctl --no-pager -o cat -u spikeboxd -p err | grep of-another-version"
sed -i '$d' /etc/spikebox/spikeboxd.conf
until_ "and without it, it is armed by itself" spikebox status

# Whoever has it not armed, has it not armed afterwards.
systemctl disable --now spikeboxd 2>/dev/null
dpkg --force-confold -i /new.deb >/dev/null 2>&1 || fail "dpkg -i, disabled"
systemctl is-active -q spikeboxd || systemctl is-enabled -q spikeboxd && fail "it is armed by an upgrade"
seen "an upgrade arms nothing"
dpkg --remove spikebox >/dev/null 2>&1 || fail "dpkg --remove"
dpkg -i /new.deb >/dev/null 2>&1 || fail "dpkg -i once more"
grep -qx 'keep 17' /etc/spikebox/spikeboxd.conf && [ "$(bundles)" = 7 ] && seen "removed and installed, it has its configuration and bundles" || fail "after dpkg --remove: $(ls $dir)"
INSIDE
packaging/debian-vm.sh "$work/inside" "$work/old.deb" "$work/new.deb"
