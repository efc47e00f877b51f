package trigger

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

var units = Vitals{
	"rtt.p99": "s", "syn_recv": "1", "conntrack.fill": "ratio", "retrans.ratio": "ratio", "tcp.mem": "B",
	"listen.overflows": "1/s", "syn.retrans": "1/s",
}

func parsed(t *testing.T, expr string) *Trigger {
	t.Helper()
	got, err := Parse(expr, units)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestParse(t *testing.T) {
	for expr, want := range map[string][]Condition{
		"rtt.p99 > 200ms for 2s":   {{Vital: "rtt.p99", Unit: "s", Above: true, Limit: 0.2, For: 2 * time.Second}},
		"syn_recv>250":             {{Vital: "syn_recv", Unit: "1", Above: true, Limit: 250}},
		"conntrack.fill > 80%":     {{Vital: "conntrack.fill", Unit: "ratio", Above: true, Limit: 0.8}},
		"conntrack.fill > 110%":    {{Vital: "conntrack.fill", Unit: "ratio", Above: true, Limit: 1.1}}, // nf_conntrack_max was lowered
		"retrans.ratio > 0":        {{Vital: "retrans.ratio", Unit: "ratio", Above: true}},
		"tcp.mem < 64MiB for 1m":   {{Vital: "tcp.mem", Unit: "B", Limit: 64 << 20, For: time.Minute}},
		"rtt.p99 > 5x for 1s":      {{Vital: "rtt.p99", Unit: "s", Above: true, Limit: 5, Factor: true, For: time.Second}},
		"  listen.overflows  >  0": {{Vital: "listen.overflows", Unit: "1/s", Above: true}},
		"retrans.ratio > 2% for 2s and syn.retrans > 20": {
			{Vital: "retrans.ratio", Unit: "ratio", Above: true, Limit: 0.02, For: 2 * time.Second},
			{Vital: "syn.retrans", Unit: "1/s", Above: true, Limit: 20},
		},
		"syn_recv>5 and syn_recv<9 for 1s and tcp.mem>1MiB": {
			{Vital: "syn_recv", Unit: "1", Above: true, Limit: 5},
			{Vital: "syn_recv", Unit: "1", Limit: 9, For: time.Second},
			{Vital: "tcp.mem", Unit: "B", Above: true, Limit: 1 << 20},
		},
	} {
		got, err := Parse(expr, units)
		if err != nil {
			t.Errorf("Parse(%q): %v", expr, err)
			continue
		}
		if !reflect.DeepEqual(got.Conditions, want) {
			t.Errorf("Parse(%q) = %+v, want %+v", expr, got.Conditions, want)
		}
		if again, err := Parse(got.Expr, units); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("Parse(%q) of the folded form: %+v, %v", got.Expr, again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for expr, says := range map[string]string{
		"":                         "want VITAL > LIMIT",
		"rtt.p99":                  "want VITAL > LIMIT",
		"rtt.p98 > 1s":             `unknown vital "rtt.p98", the nearest is "rtt.p99"`,
		"retrans > 1":              `unknown vital "retrans", the nearest is "retrans.ratio"`,
		"zebra > 1":                `unknown vital "zebra"`,
		"rtt.p99 = 1s":             "want > or <",
		"rtt.p99 > 200":            "want a duration",
		"syn_recv > many":          "want a number",
		"syn_recv > NaN":           "want a number",
		"syn_recv > 10%":           "percentage",
		"syn_recv > 250 for":       "want VITAL > LIMIT",
		"syn_recv > 250 in 2s":     `want "for"`,
		"syn_recv > 250 for ever":  "hold time",
		"syn_recv > 250 for -2s":   "hold time",
		"syn_recv < 5x":            "goes with > only",
		"syn_recv > 1x":            "more than 1x",
		"retrans.ratio > 400x":     "of the least baseline that is 133.3%, and retrans.ratio is never above 100%",
		"syn_recv > 250 for 2s 3s": "want VITAL > LIMIT",

		// The unit of a share is not guessed.
		"conntrack.fill > 80":  `limit "80": want a percentage, did you mean 80%?`,
		"conntrack.fill > 0.8": `limit "0.8": want a percentage, did you mean 80%?`,
		"conntrack.fill > 1":   `limit "1": want a percentage, did you mean 100%?`,

		// Never or always.
		"retrans.ratio > 100%":             "retrans.ratio is never above 100%",
		"retrans.ratio > 8000%":            "retrans.ratio is never above 100%",
		"retrans.ratio < 101% for 1s":      "retrans.ratio is always below it",
		"rtt.p99 > -5ms":                   "no vital is below 0",
		"syn_recv < 0 for 1s":              "no vital is below 0",
		"rtt.p99 > 200ms for 100ms":        "want 250ms or more",
		"rtt.p99 > 200ms for 0s":           "want 250ms or more",
		"syn_recv > 9 and syn_recv<9":      `< wants "for DURATION"`,
		"syn_recv>9 and syn_recv<9 for 1s": "syn_recv cannot be above 9 and below 9 at once",

		"rtt.p99 < 200ms": `< wants "for DURATION" behind it`,

		"syn_recv > 5 and":                 "want VITAL > LIMIT",
		"syn_recv > 5 and and tcp.mem > 1": "want VITAL > LIMIT",
		"syn_recv > 5 or tcp.mem > 1":      "want VITAL > LIMIT",
		"and > 5":                          `unknown vital "and"`,
	} {
		_, err := Parse(expr, units)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Parse(%q): error %v, want one that says %q", expr, err, says)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("rtt.p99 > 200ms for 2s")
	f.Add("syn_recv>5x")
	f.Add("retrans.ratio > 2% for 2s and syn.retrans > 20")
	f.Add("syn_recv < 9 for 1s and conntrack.fill > 80")
	f.Fuzz(func(t *testing.T, expr string) {
		got, err := Parse(expr, units)
		if err != nil {
			return
		}
		if again, err := Parse(got.Expr, units); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("Parse(%q) does not read its own form %q: %v", expr, got.Expr, err)
		}
	})
}
