# From the output of go test -v ./...: how each package ended, which tests failed, and what was
# skipped, one line for each reason.
#
# A test says its reason just before it is skipped, but what other tests say at the same time may
# stand between: go test names the test whose lines follow.
$1 == "===" { test = $3; next }
/^ +[^ ]+\.go:[0-9]+: / { said[test] = $0; sub(/^ +[^ ]+: /, "", said[test]) }
# What a failed test said, its last lines only: a log of the machine may be long.
$1 == "---" && $2 == "FAIL:" {
	for (i = lines[$3] - 19; i <= lines[$3]; i++) if (i > 0) print substr(tail[$3, i % 20], 1, 300)
	lines[$3] = 0
}
/^(ok|FAIL|panic:|--- FAIL)/ || / --- FAIL/ { print }
{ tail[test, ++lines[test] % 20] = $0 }
$1 == "---" && $2 == "SKIP:" {
	why = ($3 in said) ? said[$3] : "no reason: " $3
	if (!(why in tests)) reasons[++n] = why
	tests[why]++
	here[why]
}
# A package's output comes in one piece, and ends so.
/^(ok|FAIL)[ \t]/ && NF > 1 {
	sub(/^github.com\/spikebox\/spikebox\//, "", $2)
	for (why in here) packages[why] = packages[why] (count[why]++ ? ", " : "") $2
	split("", here); split("", said)
}
END {
	if (!n) print "nothing was skipped"
	else print "skipped, in " n (n == 1 ? " line:" : " lines:")
	for (i = 1; i <= n; i++) {
		why = reasons[i]
		where = count[why] > 3 ? count[why] " packages" : packages[why]
		printf "  %s: %d test%s of %s\n", why, tests[why], tests[why] == 1 ? "" : "s", where
	}
}
