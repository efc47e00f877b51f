#!/usr/bin/env bash
# What failed in out/test.log, once more and alone: a kernel of CI's machine has a thread on whose back no eBPF
# program runs (recorder/probe, TestRetransmissionsAreTheKernels), so that one event in some hundreds is told by
# nobody. A few tests may fail for that, not the same twice; each is named, and more than three are a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 GOFLAGS=-trimpath # as in the Makefile, so that nothing is compiled anew
mapfile -t failed < <(awk '
	/^--- FAIL: / { tests = tests (tests ? "|" : "") $3; n++ }
	/^(panic:|FAIL.*\[build failed\])/ { print "more"; exit }
	/^(ok|FAIL)[ \t]/ && NF > 1 { if ($1 == "FAIL" && n) print $2 " ^(" tests ")$ " n; else if ($1 == "FAIL") print "more"; tests = ""; n = 0 }
' out/test.log)
count=0
for f in "${failed[@]}"; do
	read -r package tests n <<<"$f"
	[ "$package" != more ] || { echo "more than single tests failed"; exit 1; }
	count=$((count + n))
done
[ ${#failed[@]} -gt 0 ] && [ $count -le 3 ] || { echo "$count tests failed: too many for chance"; exit 1; }
for f in "${failed[@]}"; do
	read -r package tests n <<<"$f"
	echo "once more, as it failed: $package $tests"
	go test -count=1 -run "$tests" "$package"
done
