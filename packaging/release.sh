#!/usr/bin/env bash
# What a release must pass, in this order; the first item that does not ends it. What is released lies in
# out/packages afterwards: nothing is published. For some items only: release.sh tree tag changelog
set -euo pipefail
cd "$(dirname "$0")/.."
items=(tree tag changelog lint generated tests kernels systemd bytes packages sums)

refuse() { echo "REFUSED $item: $*"; exit 1; }
run() { "$@" >"$log" 2>&1 || { tail -20 "$log"; refuse "$* failed; all of its output is in $log"; }; }
version() { git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null; }

tree() { [[ -z $(git status --porcelain) ]] || refuse "the tree has what is not committed"; }
tag() { [[ $(version) =~ ^v[0-9]+\.[0-9]+\.[0-9]+$ ]] || refuse "the commit has no tag such as v1.2.3"; }
changelog() {
	local head want
	want="## $(version | sed 's/^v//')" head=$(grep -m1 '^## ' CHANGELOG.md)
	[[ $head == "$want" || $head == "$want, "* ]] || refuse "CHANGELOG.md begins with \"$head\", and the tag says \"$want\""
}
lint() { run make lint; }
generated() { run make generated; }
tests() { CI=true run make test; }
kernels() { run make test-vm; }
systemd() { run make test-systemd; }
bytes() { run packaging/same-bytes.sh; }
packages() {
	run packaging/packages.sh
	run packaging/rpm-root.sh
	run packaging/image-root.sh
}
sums() {
	local platforms=6 n
	(cd out/packages && sha256sum --quiet --strict -c SHA256SUMS) || refuse "SHA256SUMS are others'"
	n=$(ls out/packages/*.tar.gz | wc -l)
	((n == platforms)) || refuse "$n archives, want $platforms"
	grep -q '"bomFormat": "CycloneDX"' out/packages/*.cdx.json || refuse "there is no SBOM"
	grep -q "\"version\": \"$(version)\"" out/packages/*.cdx.json || refuse "the SBOM is not of $(version)"
}

for item in "${@:-${items[@]}}"; do
	[[ " ${items[*]} " == *" $item "* ]] || { echo "no item $item: want some of ${items[*]}"; exit 2; }
	mkdir -p out
	log=out/release-$item.log began=$SECONDS
	$item
	echo "passed $item ($((SECONDS - began)) s)"
done
