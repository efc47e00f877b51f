#!/bin/sh
# make.sh [VERSION]: makes the golden bundles of a format that are not there yet, from real runs of the
# lab with the recorder as it is. As root on Linux; once, when the form of every member is final: what is
# here is never written again. What the analysis must say of each is in analyzer/golden_test.go.
set -eu
cd "$(dirname "$0")/../.."
dir=testdata/bundles/${1:-v1}

# The bundles of a clone hold nothing of the machine that made them: a PID namespace, for processes.jsonl;
# neutral paths, for the manifest; and no kernel-log line but the incident's.
if [ "${GOLDEN:-}" != inside ]; then
	CGO_ENABLED=0 go build -trimpath -ldflags "-X github.com/spikebox/spikebox/cmd/internal/cli.version=$(git describe --tags --always)" -o bin/ ./cmd/...
	exec env GOLDEN=inside unshare --mount --pid --fork --mount-proc "$0" "${1:-v1}"
fi
mount -t tmpfs none /opt
cp bin/* /opt/
while read -r incident flags; do
	to=$dir/$incident.spike.tar.zst
	[ ! -e "$to" ] || continue
	# shellcheck disable=SC2086 # several flags
	made=$(/opt/spikebox-lab run "$incident" -o "/opt/$incident" $flags)
	size=$(stat -c %s "$made")
	if [ "$size" -gt 204800 ]; then
		echo "$incident: $size bytes, which is too much for a clone" >&2
		exit 1
	fi
	install -m 644 "$made" "$to"
	/opt/spikebox verify "$to"
	/opt/spikebox analyze "$to" | head -3
done <<'END'
syn-dropped
healthy --rate 10 --baseline 3s
END
