package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestNearest(t *testing.T) {
	names := []string{"analyze", "inspect", "verify", "extract", "flows", "listen-overflow", "syn-retransmit", "synack-retransmit", "netstat.TcpExt.ListenDrops"}
	for word, want := range map[string]string{
		"analyse": "analyze", "Analyze": "analyze", "anlayze": "analyze", "flow": "flows", "verfy": "verify", "listen": "listen-overflow",
		"listendrops": "netstat.TcpExt.ListenDrops", "synretransmit": "syn-retransmit", "retransmit": "syn-retransmit",
		"frobnicate": "", "": "", "x": "", "a": "", "ins": "inspect",
	} {
		if got := nearest(word, names); got != want {
			t.Errorf("%q is nearest to %q, want %q", word, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}, {"flow", "flows", 1}} {
		if got, back := distance(c.a, c.b), distance(c.b, c.a); got != c.want || back != c.want {
			t.Errorf("from %q to %q %d, back %d, want %d", c.a, c.b, got, back, c.want)
		}
	}
}

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
