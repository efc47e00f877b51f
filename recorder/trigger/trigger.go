// Package trigger decides when the recorder's rings are cut. A trigger is a vital
// and a limit, with how long it must hold:
//
//	rtt.p99 > 200ms for 2s
//	syn_recv > 250
//	conntrack.fill > 80%
//	softirq.max > 5x for 1s
//
// Evaluation is a pure function of the vitals' timeline: the recorder steps it with
// every tick, and a replay steps it with the rows of an old bundle's vitals.csv and
// gets the same answer. The package knows no clock and no kernel, so it builds anywhere.
package trigger

import (
	"fmt"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format/unit"
)

// Trigger is one parsed expression.
type Trigger struct {
	Expr   string        // as given, white space folded
	Vital  string        // rtt.p99
	Unit   string        // the vital's unit: s, 1, 1/s, ratio, B
	Above  bool          // fires above the limit (">"), else below ("<")
	Limit  float64       // in Unit; a multiple of the baseline where Factor is set
	Factor bool          // Limit is a factor ("5x") on the vital's own baseline
	For    time.Duration // how long it must hold; 0 fires on the first value
}

// Lookup gives a vital's unit, and whether there is such a vital.
type Lookup func(vital string) (unit string, ok bool)

// Parse reads one expression: VITAL (">"|"<") LIMIT ["for" DURATION]. The limit is a
// plain number, a duration (200ms) for a vital in seconds, a percentage (80%) for a
// ratio, a size (64MiB) for bytes, or a factor on the vital's own baseline (5x).
func Parse(expr string, lookup Lookup) (*Trigger, error) {
	words := strings.Fields(spaced(expr))
	t := &Trigger{Expr: strings.Join(words, " ")}
	if len(words) != 3 && len(words) != 5 {
		return nil, fmt.Errorf("parse trigger %q: want VITAL > LIMIT [for DURATION]", expr)
	}
	t.Vital = words[0]
	var known bool
	if t.Unit, known = lookup(t.Vital); !known {
		return nil, fmt.Errorf("parse trigger %q: unknown vital %q", expr, t.Vital)
	}
	switch words[1] {
	case ">":
		t.Above = true
	case "<":
	default:
		return nil, fmt.Errorf("parse trigger %q: want > or <, not %q", expr, words[1])
	}
	if err := t.limit(words[2]); err != nil {
		return nil, fmt.Errorf("parse trigger %q: %w", expr, err)
	}
	if len(words) == 5 {
		if err := t.hold(words[3], words[4]); err != nil {
			return nil, fmt.Errorf("parse trigger %q: %w", expr, err)
		}
	}
	return t, nil
}

// spaced sets blanks around the comparison, so that "syn_recv>250" reads as well.
func spaced(expr string) string {
	return strings.NewReplacer(">", " > ", "<", " < ").Replace(expr)
}

func (t *Trigger) limit(word string) error {
	if number, ok := strings.CutSuffix(word, "x"); ok {
		t.Factor = true
		if !t.Above {
			return fmt.Errorf("a factor (%s) goes with > only", word)
		}
		v, err := unit.ParseNumber(number)
		if err == nil && v <= 1 {
			return fmt.Errorf("factor %s: want more than 1x", word)
		}
		t.Limit = v
		return err
	}
	v, err := unit.Parse(word, t.Unit)
	t.Limit = v
	return err
}

func (t *Trigger) hold(keyword, duration string) error {
	if keyword != "for" {
		return fmt.Errorf("want \"for\", not %q", keyword)
	}
	d, err := time.ParseDuration(duration)
	if err != nil || d < 0 {
		return fmt.Errorf("hold time %q: want a duration such as 2s", duration)
	}
	t.For = d
	return nil
}
