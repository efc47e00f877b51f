#!/usr/bin/env bash
# Whether a redesign changed what users see: runs every reading command of spikebox, as it
# was at a commit and as it is now, over every golden bundle, every case and every capture,
# and compares standard output, standard error, exit code and written files byte for byte.
#
#   ./compare.sh COMMIT [FOLDER-OF-CAPTURES…]
#
# A difference is printed and gives exit code 1. The inputs are those of this tree.
set -euo pipefail
cd "$(dirname "$0")"
base=${1:?usage: ./compare.sh COMMIT [FOLDER-OF-CAPTURES…]}
shift
export CGO_ENABLED=0 NO_COLOR=1 COLUMNS=120 TZ=UTC
work=$(mktemp -d)
trap 'git worktree remove --force "$work/base" 2>/dev/null; rm -rf "$work"' EXIT

git worktree add -q --detach "$work/base" "$base"
(cd "$work/base" && go build -trimpath -o "$work/old/" ./cmd/spikebox)
go build -trimpath -o "$work/new/" ./cmd/spikebox
mkdir "$work/in"
cp testdata/bundles/*/*.spike.tar.zst "$work/in/"
go run ./analyzer/cases/make "$work/in"
# The same incident, damaged: cut short, and with a byte turned over.
for b in testdata/bundles/*/*.spike.tar.zst; do
	size=$(stat -c %s "$b")
	head -c $((size * 2 / 3)) "$b" >"$work/in/cut.spike.tar.zst"
	cp "$b" "$work/in/flipped.spike.tar.zst"
	printf '\xff' | dd of="$work/in/flipped.spike.tar.zst" bs=1 seek=$((size / 2)) conv=notrunc status=none
done
for folder in testdata/captures "$@"; do
	[ -d "$folder" ] || continue
	find "$folder" \( -name '*.pcap' -o -name '*.pcapng' -o -name '*.pcap.gz' -o -name '*.pcapng.gz' \) -print0 |
		while IFS= read -r -d '' f; do ln -sf "$(realpath "$f")" "$work/in/$(basename "$(dirname "$f")")-$(basename "$f")"; done
done

# one SIDE INPUT NAME ARGUMENT…: keeps all that the command says and how it ends.
one() {
	local side=$1 out=$work/out.$1/$3 status=0
	shift 3
	"$work/$side/spikebox" "$@" >"$out.stdout" 2>"$out.stderr" || status=$?
	echo "$status" >"$out.exit"
}

all() {
	local side=$1 f name
	mkdir -p "$work/out.$side"
	cd "$work/in"
	for f in *; do
		one "$side" "$f" "$f.analyze" analyze "$f"
		one "$side" "$f" "$f.analyze.json" analyze --json "$f"
		one "$side" "$f" "$f.analyze.out" analyze -o "$work/out.$side/$f.report" "$f"
		one "$side" "$f" "$f.flows" flows "$f"
		one "$side" "$f" "$f.flows.wide" flows --wide --sort retransmits --top 50 "$f"
		one "$side" "$f" "$f.flows.json" flows --json "$f"
		one "$side" "$f" "$f.flows.csv" flows --csv "$f"
		one "$side" "$f" "$f.events" flows --events 1 "$f"
		one "$side" "$f" "$f.events.json" flows --events 1 --json "$f"
		one "$side" "$f" "$f.events.csv" flows --events 1 --csv "$f"
		case $f in
		*.spike.tar.zst)
			one "$side" "$f" "$f.inspect" inspect "$f"
			one "$side" "$f" "$f.inspect.json" inspect --json "$f"
			one "$side" "$f" "$f.verify" verify "$f"
			one "$side" "$f" "$f.extract" extract -o "$work/out.$side/$f.members" "$f"
			one "$side" "$f" "$f.timeline" timeline "$f"
			one "$side" "$f" "$f.timeline.json" timeline --json "$f"
			one "$side" "$f" "$f.timeline.csv" timeline --csv --series '*' "$f"
			one "$side" "$f" "$f.histogram" histogram "$f"
			one "$side" "$f" "$f.histogram.json" histogram --json "$f"
			one "$side" "$f" "$f.replay" replay --trigger 'syn_recv > 5' --trigger 'rtt.p99 > 50ms for 1s' "$f"
			one "$side" "$f" "$f.replay.json" replay --json --trigger 'listen.overflows > 0' "$f"
			;;
		esac
	done
	for name in analyze inspect verify extract flows timeline histogram replay explain status trigger; do
		one "$side" - "help.$name" help "$name"
	done
	one "$side" - explain explain
	one "$side" - explain.check explain listen-overflow
	cd - >/dev/null
	# Where the work lies is in some messages, and differs.
	find "$work/out.$side" -type f -exec sed -i "s#$work/out.$side#OUT#g" {} +
}

all old
all new
n=$(find "$work/out.old" -type f | wc -l)
if ! diff -rq "$work/out.old" "$work/out.new" >"$work/differences"; then
	sed "s#$work/##g" "$work/differences" | head -40
	for f in $(awk '$1 == "Files" { print $2 }' "$work/differences" | head -5); do
		diff "$f" "${f/out.old/out.new}" | head -20 || true
	done
	echo "$(wc -l <"$work/differences") of $n outputs differ from $base"
	exit 1
fi
echo "all $n outputs are equal to those of $base"
