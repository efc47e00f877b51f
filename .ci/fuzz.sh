#!/bin/sh
# Runs every fuzz target for a set time: .ci/fuzz.sh [TIME]. Targets are found, not listed, so
# that a new one cannot be forgotten; one process at a time, so that executions compare.
time=${1:-20s}
status=0
total=0
for folder in $(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do
	targets=$(go test -list '^Fuzz' "$folder" | grep '^Fuzz')
	if [ -z "$targets" ]; then # another system's, or it does not build
		echo "$folder: its targets are not for this system" >&2
		continue
	fi
	for target in $targets; do
		out=$(go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1s -parallel 1 "$folder" 2>&1)
		# The end of the time may come between two of the tool's own steps, and is no finding then.
		if [ $? -ne 0 ] && { echo "$out" | grep -q 'Failing input' || ! echo "$out" | grep -qx ' *context deadline exceeded'; }; then
			status=1
			echo "FAIL $folder $target"
			echo "$out"
			continue
		fi
		n=$(echo "$out" | sed -n 's/.*execs: \([0-9]*\).*/\1/p' | tail -n 1)
		total=$((total + ${n:-0}))
		printf '%12s executions  %s %s\n' "${n:-0}" "$folder" "$target"
	done
done
printf '%12s executions in all\n' "$total"
exit $status
