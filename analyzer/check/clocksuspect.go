package check

import (
	"fmt"
	"math"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/unit"
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
	Remark: true,
	run:    runClock,
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
	// The last reading counts: a time daemon may have come up within the window.
	if !last.Synchronized {
		f := &Finding{Severity: Info, Title: "The clock is not synchronised", Object: "clock", effect: "times may be off"}
		f.at(c.Window)
		f.Headline = "Nothing keeps the host's clock right (adjtimex says unsynchronised): before comparing times with other hosts, compare the clocks."
		f.Evidence = []Item{manifestItem(fmt.Sprintf("clocks[%s].synchronized", last.At), "false")}
		findings = append(findings, f)
	}
	if len(findings) > 0 {
		return present(findings...)
	}
	return absent("the clock was not stepped, and it is synchronised to within %s", unit.Duration(time.Duration(last.MaxErrorNs)))
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
		way, unit.Duration(time.Duration(math.Abs(step)*1e9)), a.At, b.At)
	item := manifestItem(fmt.Sprintf("clocks[%s] to clocks[%s]", a.At, b.At), "realtime against monotonic at "+words.Clock(evidence.Unix(b.Realtime)))
	item.Value, item.Limit, item.Unit = val(step), val(clockStep.Value), "s"
	f.Evidence = []Item{item}
	return f
}
