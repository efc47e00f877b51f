// Package trigger decides when the recorder's rings are cut. A trigger is a vital and a
// limit, with how long it must hold, or several of them at once:
//
//	rtt.p99 > 200ms for 2s
//	syn_recv > 250
//	conntrack.fill > 80%
//	softirq.max > 5x for 1s
//	retrans.ratio > 2% for 2s and retrans > 20
//
// Evaluation is a pure function of the vitals' timeline: the recorder steps it with
// every tick, and a replay steps it with the rows of an old bundle's vitals.csv and
// gets the same answer. The package knows no clock and no kernel, so it builds anywhere.
//
// An [Eval] knows whether a condition holds, and asks; a policy ([Set]) knows how often
// bundles may be written, and answers. What was refused is asked again as long as it holds,
// and only the answer yes is remembered as a firing: no incident is lost between the two.
package trigger

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format/nearest"
	"github.com/spikebox/spikebox/format/unit"
)

// Tick is how far the rows of a timeline lie apart (SPEC.md, "vitals.csv").
const Tick = 250 * time.Millisecond

// Trigger is one parsed expression.
type Trigger struct {
	Expr       string      // as given, white space folded
	Conditions []Condition // at least one; all must hold at once, each for its own time
}

// Condition is a vital and its limit.
type Condition struct {
	Vital  string        // rtt.p99
	Unit   string        // the vital's unit: s, 1, 1/s, ratio, B
	Above  bool          // holds above the limit (">"), else below ("<")
	Limit  float64       // in Unit; a multiple of the baseline where Factor is set
	Factor bool          // Limit is a factor ("5x") on the vital's own baseline
	For    time.Duration // how long it must hold; 0 is the first value
}

// Vitals are the vitals that there are: units by name.
type Vitals map[string]string

// Parse reads one expression: VITAL (">"|"<") LIMIT ["for" DURATION] ["and" …]. The limit is
// a plain number, a duration (200ms) for a vital in seconds, a percentage (80%) for a
// ratio, a size (64MiB) for bytes, or a factor on the vital's own baseline (5x). What
// could never hold, or would always hold, is an error.
func Parse(expr string, vitals Vitals) (*Trigger, error) {
	t := &Trigger{}
	if err := t.parse(expr, vitals); err != nil {
		return nil, fmt.Errorf("parse trigger %q: %w", expr, err)
	}
	return t, nil
}

func (t *Trigger) parse(expr string, vitals Vitals) error {
	words := strings.Fields(spaced(expr))
	t.Expr = strings.Join(words, " ")
	for {
		// A vital may be called anything, also "and": the word joins only behind a condition.
		end := len(words)
		for i := 3; i < len(words); i++ {
			if words[i] == "and" {
				end = i
				break
			}
		}
		c, err := parseCondition(words[:end], vitals)
		if err != nil {
			return err
		}
		t.Conditions = append(t.Conditions, c)
		if end == len(words) {
			return t.contradiction()
		}
		words = words[end+1:]
	}
}

// spaced sets blanks around the comparison, so that "syn_recv>250" reads as well.
func spaced(expr string) string {
	return strings.NewReplacer(">", " > ", "<", " < ").Replace(expr)
}

func parseCondition(words []string, vitals Vitals) (c Condition, err error) {
	if len(words) != 3 && len(words) != 5 {
		return c, errors.New("want VITAL > LIMIT [for DURATION] [and …]")
	}
	c.Vital = words[0]
	var known bool
	if c.Unit, known = vitals[c.Vital]; !known {
		return c, unknown(c.Vital, vitals)
	}
	switch words[1] {
	case ">":
		c.Above = true
	case "<":
	default:
		return c, fmt.Errorf("want > or <, not %q", words[1])
	}
	if err := c.limit(words[2]); err != nil {
		return c, err
	}
	if len(words) == 5 {
		err = c.hold(words[3], words[4])
	} else if !c.Above {
		// One tick in which nothing was counted is below any limit.
		err = fmt.Errorf("%s < %s: < wants \"for DURATION\" behind it, as a quiet moment is below any limit", c.Vital, words[2])
	}
	return c, err
}

func unknown(name string, vitals Vitals) error {
	if near := nearest.Name(name, slices.Sorted(maps.Keys(vitals))); near != "" {
		return fmt.Errorf("unknown vital %q, the nearest is %q", name, near)
	}
	return fmt.Errorf("unknown vital %q", name)
}

func (c *Condition) limit(word string) (err error) {
	if number, ok := strings.CutSuffix(word, "x"); ok {
		c.Factor = true
		if !c.Above {
			return fmt.Errorf("a factor (%s) goes with > only", word)
		}
		if c.Limit, err = unit.ParseNumber(number); err != nil {
			return err
		}
		switch least, most := c.Limit*floor(c), bound(c.Vital); {
		case c.Limit <= 1:
			return fmt.Errorf("factor %s: want more than 1x", word)
		case least >= most:
			return fmt.Errorf("factor %s: of the least baseline that is %s, and %s is never above %s", word,
				unit.Format(least, c.Unit), c.Vital, unit.Format(most, c.Unit))
		}
		return nil
	}
	if c.Limit, err = unit.Parse(word, c.Unit); err != nil {
		return err
	}
	// What never changes its answer is no trigger: it would fire at the start, or never.
	switch most := bound(c.Vital); {
	case c.Limit < 0 || !c.Above && c.Limit == 0:
		return fmt.Errorf("limit %q: no vital is below 0", word)
	case c.Above && c.Limit >= most:
		return fmt.Errorf("limit %q: %s is never above %s", word, c.Vital, unit.Format(most, c.Unit))
	case !c.Above && c.Limit > most:
		return fmt.Errorf("limit %q: %s is always below it", word, c.Vital)
	}
	return nil
}

func (c *Condition) hold(keyword, duration string) error {
	if keyword != "for" {
		return fmt.Errorf("want \"for\", not %q", keyword)
	}
	d, err := time.ParseDuration(duration)
	switch {
	case err != nil || d < 0:
		return fmt.Errorf("hold time %q: want a duration such as 2s", duration)
	case d < Tick:
		return fmt.Errorf("hold time %q: want %v or more, which is how far measurements lie apart", duration, Tick)
	}
	c.For = d
	return nil
}

// contradiction finds two conditions on one vital that cannot hold at once.
func (t *Trigger) contradiction() error {
	for _, low := range t.Conditions {
		for _, high := range t.Conditions {
			if low.Vital == high.Vital && low.Above && !high.Above && !low.Factor && low.Limit >= high.Limit {
				return fmt.Errorf("%s cannot be above %s and below %s at once", low.Vital,
					unit.Format(low.Limit, low.Unit), unit.Format(high.Limit, high.Unit))
			}
		}
	}
	return nil
}

// Longest is the longest time that one of the conditions must hold.
func (t *Trigger) Longest() (longest time.Duration) {
	for _, c := range t.Conditions {
		longest = max(longest, c.For)
	}
	return longest
}

// Falling says whether the trigger has conditions below a limit (<) only.
func (t *Trigger) Falling() bool {
	for _, c := range t.Conditions {
		if c.Above {
			return false
		}
	}
	return true
}

// Doubt says what the author of the trigger may not have meant; nothing where all is plain.
// Counts of sockets and bytes may fall because clients are gone. Times, rates of what goes
// wrong and shares lie low whenever all is well.
func (t *Trigger) Doubt() string {
	for _, c := range t.Conditions {
		if !c.Above && c.Unit != unit.One && c.Unit != unit.Bytes {
			return fmt.Sprintf("the trigger %q waits for %s to fall, which it does when all is well again: did you mean > ?", t.Expr, c.Vital)
		}
	}
	return ""
}
