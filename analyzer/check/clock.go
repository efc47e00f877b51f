package check

import (
	"fmt"
	"math"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
)

var clockStep = Limit{"step", 0.010, "s",
	"adjtimex slews by at most 500 ppm, which is 10 ms in 20 s; a faster change is a step"}

var clockSuspect = Check{
	ID:    "clock-suspect",
	Title: "The clock is not to be trusted",
	Doc:   "the host's clock was stepped during the window, or nothing keeps it right",
	Page: `All times of a bundle are on the host's clock as it stood when the rings were cut. A
step in between (settimeofday, a virtual machine that was paused, the first correction
of a time daemon) does not move the bundle's times against each other, but those of log
files and other hosts. A clock that nothing synchronises may be minutes off.`,
	Ref:    "adjtimex(2); Documentation/timers/ntp.rst",
	Needs:  []*Need{needClocks},
	Limits: []Limit{clockStep},
	run:    runClock,
}

var needClocks = &Need{
	Name: "two readings of the clocks", source: "clocks", get: "the clocks' readings at arming, trigger and freeze",
	have: func(c *Case) have {
		if m := c.Evidence.Manifest; m == nil || len(m.Clocks) < 2 {
			return c.gone("readings of the host's clocks are", "clocks")
		}
		return have{state: whole}
	},
}

// runClock compares how far the wall clock and the monotonic clock went between readings.
func runClock(c *Case) Answer {
	clocks := c.Evidence.Manifest.Clocks
	last := clocks[len(clocks)-1]
	var findings []*Finding
	for i := range clocks[1:] {
		if f := stepped(clocks[i], clocks[i+1]); f != nil {
			findings = append(findings, f)
		}
	}
	if !last.Synchronized {
		f := &Finding{Severity: Info, Title: "The clock is not synchronised", Object: "clock", effect: "times may be off"}
		f.at(c.Window)
		f.Headline = "Nothing keeps the host's clock right (adjtimex says unsynchronised): before comparing times with other hosts, compare the clocks."
		f.Evidence = []Item{{Kind: "setting", Member: format.ManifestName, Where: fmt.Sprintf("clocks[%s].synchronized", last.At), Text: "false"}}
		findings = append(findings, f)
	}
	if len(findings) > 0 {
		return present(findings...)
	}
	return absent("the clock was not stepped, and it is synchronised to within %s", words.Duration(time.Duration(last.MaxErrorNs)))
}

// stepped compares two readings: both clocks tick alike, so that what the wall clock went
// further than the monotonic one it was set by, but for what adjtimex slews.
func stepped(a, b format.Clock) *Finding {
	step := float64((b.Realtime-a.Realtime)-(b.Monotonic-a.Monotonic)) / 1e9
	elapsed := float64(b.Monotonic-a.Monotonic) / 1e9
	slewed := elapsed * 500e-6
	if math.Abs(step) < clockStep.Value+slewed {
		return nil
	}
	way := "forward"
	if step < 0 {
		way = "back"
	}
	f := &Finding{Severity: Warning, Title: "The clock was stepped", Object: "clock", effect: "times of other sources do not fit"}
	f.at(timeline.Span{Start: a.Realtime, End: max(b.Realtime, a.Realtime+1)})
	f.Headline = fmt.Sprintf("The host's clock was set %s by %s between %q and %q: times in log files before it do not fit the bundle's.",
		way, words.Duration(time.Duration(math.Abs(step)*1e9)), a.At, b.At)
	f.Evidence = []Item{{Kind: "setting", Member: format.ManifestName, Where: fmt.Sprintf("clocks[%s] to clocks[%s]", a.At, b.At),
		Value: val(step), Limit: val(clockStep.Value), Unit: "s", Text: "realtime against monotonic at " + words.Clock(evidence.Unix(b.Realtime))}}
	return f
}
