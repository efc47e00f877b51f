package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// Values of every type of flag are refused in our words.
func TestRefusedValues(t *testing.T) {
	p := &Program{Name: "tool", Commands: []*Command{{Name: "work", Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		flags.Int("top", 0, "")
		flags.UintSlice("port", nil, "")
		flags.Duration("before", time.Second, "")
		flags.Bool("json", false, "")
		flags.Var(new(Bytes), "ring", "")
		flags.Var(new(Prefixes), "peer", "")
		return func(context.Context, []string) error { return nil }
	}}}}
	for line, want := range map[string]string{
		"--top x": `--top: "x": want a whole number`, "--top 1.5": "want a whole number", "--top 99999999999999999999": `--top: "99999999999999999999" is too large`,
		"--port 80,x": "--port: \"80,x\": want a whole number", "--port -1": "want a whole number", "--before soon": `--before: duration "soon": want a number with its unit, such as 30s`,
		"--before 5": "want a number with its unit", "--json=maybe": `want true or false`,
		"--ring 64MB": `--ring: size "64MB": want 64MiB`, "--ring 64": "want a unit", "--peer fe80::1%eth0/64": "packets carry no zone",
		"--prot 80": "hint: did you mean --port? tool help work lists the flags", "--rings": "did you mean --ring?", "--nothing": "hint: tool help work lists the flags", "-x": "unknown shorthand flag",
	} {
		code, stdout, stderr := said(t, p, append([]string{"work"}, strings.Fields(line)...)...)
		if code != Usage || stdout != "" || !strings.Contains(stderr, want) || strings.Contains(stderr, "strconv") || strings.Contains(stderr, "time:") {
			t.Errorf("%s: exit code %d, %q, want %q", line, code, stderr, want)
		}
	}
}
