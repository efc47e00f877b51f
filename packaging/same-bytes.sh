#!/usr/bin/env bash
# The same commit gives the same packages: made twice from two clones in folders of different names, the second
# time with nothing compiled before, other modes for new files and another time zone. Wants Go; some minutes.
# For a part only: same-bytes.sh linux/amd64
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
commit=$(git rev-parse HEAD)
for place in a b/other; do
	git clone -q . "$work/$place"
	git -C "$work/$place" checkout -q "$commit"
done
"$work/a/packaging/packages.sh" "$@" >/dev/null
(umask 077; TZ=Asia/Kolkata GOCACHE=$work/cache "$work/b/other/packaging/packages.sh" "$@" >/dev/null)
(cd "$work/b/other/out/packages" && sha256sum --quiet --strict -c "$work/a/out/packages/SHA256SUMS")
diff "$work/a/out/packages/SHA256SUMS" "$work/b/other/out/packages/SHA256SUMS"
echo "the same bytes twice, of commit $commit:"
cat "$work/a/out/packages/SHA256SUMS"
