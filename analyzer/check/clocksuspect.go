package check

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

var clockStep = Limit{"step", 0.010, "s",
	"adjtimex slews by at most 500 ppm, which is 10 ms in 20 s; a faster change is a step"}

var clockOrder = Limit{"order", 0.01, "ratio of the packets",
	"several queues or interfaces hand packets on a little out of order; where each hundredth is, what is counted as reordered or sent again may not be"}

var clockSuspect = Check{
	ID:    "clock-suspect",
	Title: "The clock is not to be trusted",
	Doc:   "the host's clock was stepped during the window, or nobody says that it is right",
	Page: `All times of a bundle are on the host's clock as it stood at the trigger. A
step in between (settimeofday, a virtual machine that was paused, the first correction
of a time daemon) does not move the bundle's times against each other, but those of log
files and other hosts. A clock that nothing synchronises may be minutes off. Daemons that
follow NTP tell the kernel that they do; what a hypervisor's tools set goes unsaid.

Of a bare capture nobody knows the clock. Where its times go back, it was set, or the file
was put together in another order; a jump forward looks like silence.`,
	Ref:    "adjtimex(2); Documentation/timers/ntp.rst",
	Needs:  []*Need{needClocks},
	Limits: []Limit{clockStep, clockOrder},
	Remark: true,
	run:    runClock,
}

// runClock compares how far the wall clock and the boot clock went between readings: those of
// every tick where the bundle has them, else those of the manifest.
func runClock(c *Case) Answer {
	if f := c.timesGoBack(); f != nil {
		return present(f)
	}
	clocks := c.Evidence.Manifest.Clocks
	last := clocks[len(clocks)-1]
	var findings []*Finding
	readings := c.clockReadings()
	for i := range readings[1:] {
		if f := stepped(readings[i], readings[i+1]); f != nil {
			findings = append(findings, f)
		}
		if f := slept(readings[i], readings[i+1]); f != nil {
			findings = append(findings, f)
		}
	}
	// The last reading counts: a time daemon may have come up within the window.
	if !last.Synchronized {
		f := &Finding{Severity: Info, Title: "The clock is not synchronised", Object: "clock", effect: "times may be off"}
		f.at(c.Window)
		f.Headline = "No time daemon has told the kernel that the clock is right (adjtimex says unsynchronised), though one may set it all the same: before comparing times with other hosts, compare the clocks."
		f.Evidence = []Item{manifestItem(fmt.Sprintf("clocks[%s].synchronized", last.At), "false")}
		findings = append(findings, f)
	}
	if len(findings) > 0 {
		return present(findings...)
	}
	return absent("the clock was not stepped, and it is synchronised to within %s", unit.Duration(time.Duration(last.MaxErrorNs)))
}

// clockReading is one reading of the clocks, and where it is told.
type clockReading struct {
	member.Clocks
	name string // armed, or the time of day
	late bool   // from the trigger on, whose clock the bundle's is
	item func(before clockReading) Item
}

// clockReadings gives the readings, oldest first; there are two at least.
func (c *Case) clockReadings() (all []clockReading) {
	trigger := c.Evidence.Manifest.Window.Trigger.UnixNano()
	for _, row := range c.Evidence.Clocks {
		all = append(all, clockReading{row, words.Clock(evidence.Unix(row.Time)), row.Time >= trigger, func(before clockReading) Item {
			return Item{Kind: "series", Member: member.ClocksName, Where: fmt.Sprintf("lines %d to %d", before.Line, row.Line)}
		}})
	}
	if len(all) > 1 {
		return all
	}
	all = nil
	for _, m := range c.Evidence.Manifest.Clocks {
		row := member.Clocks{Time: m.Realtime, Realtime: m.Realtime, Monotonic: m.Monotonic, Boottime: cmp.Or(m.Boottime, m.Monotonic)}
		all = append(all, clockReading{row, m.At, m.At == "trigger", func(before clockReading) Item {
			return manifestItem(fmt.Sprintf("clocks[%s] to clocks[%s]", before.name, m.At), "")
		}})
	}
	return all
}

// finding is something that happened to the clocks between two readings, by so many seconds.
func (b clockReading) finding(a clockReading, title, effect, what string, by float64) *Finding {
	f := &Finding{Severity: Warning, Title: title, Object: "clock", effect: effect}
	f.at(timeline.Span{Start: a.Time, End: max(b.Time, a.Time+1)})
	item := b.item(a)
	item.Text = what + " at " + words.Clock(evidence.Unix(b.Realtime))
	item.Value, item.Limit, item.Unit = val(by), val(clockStep.Value), "s"
	f.Evidence = []Item{item}
	return f
}

// stepped compares two readings: both clocks are slewed alike and count a suspend, so that what
// the wall clock went further than the boot clock it was set by. The allowance is for clocks
// of other kernels, which may be slewed apart.
func stepped(a, b clockReading) *Finding {
	step := float64((b.Realtime-a.Realtime)-(b.Boottime-a.Boottime)) / 1e9
	elapsed := float64(b.Boottime-a.Boottime) / 1e9
	slewed := elapsed * 500e-6
	if math.Abs(step) < clockStep.Value+slewed {
		return nil
	}
	way := "forward"
	if step < 0 {
		way = "back"
	}
	f := b.finding(a, "The clock was stepped", "times of other sources do not fit", "realtime against boottime", step)
	side := "before"
	if a.late {
		side = "after"
	}
	f.Headline = fmt.Sprintf("The host's clock was set %s by %s between %q and %q: times in log files %s it do not fit the bundle's.",
		way, unit.Duration(time.Duration(math.Abs(step)*1e9)), a.name, b.name, side)
	return f
}

// slept compares the boot clock, which goes on while the machine is suspended, with the
// monotonic one, which stands still.
func slept(a, b clockReading) *Finding {
	gap := float64((b.Boottime-a.Boottime)-(b.Monotonic-a.Monotonic)) / 1e9
	if gap < clockStep.Value {
		return nil
	}
	f := b.finding(a, "The machine was suspended", "nothing ran", "boottime against monotonic", gap)
	f.Headline = fmt.Sprintf("The machine was suspended for %s between %q and %q: nothing ran, and the bundle's times leave it out.",
		unit.Duration(time.Duration(gap*1e9)), a.name, b.name)
	return f
}

// timesGoBack is about a bare capture whose times do, by as much as no slewed clock does or for many packets; nil where they do not.
func (c *Case) timesGoBack() *Finding {
	p := c.Evidence.Packets
	if c.Evidence.Manifest != nil || p == nil {
		return nil
	}
	back := p.Stats.Back
	by, share := time.Duration(back.By), float64(p.Stats.Backward)/float64(max(p.Totals.Packets, 1))
	f := &Finding{Severity: Warning, Title: "The capture's times go back", Object: "clock", effect: "times go back by " + unit.Duration(by)}
	switch {
	case by.Seconds() >= clockStep.Value:
		f.Headline = fmt.Sprintf("The capture's times go back by %s at frame %d: the clock was set, or the file was put together in another order.", unit.Duration(by), back.Frame)
		f.Detail = "What lasted from before until after it was not measured."
	case share >= clockOrder.Value:
		f.Severity = Info
		back = p.Stats.Behind
		by = time.Duration(back.By)
		f.effect = "packets stand up to " + unit.Duration(by) + " behind later ones"
		f.Headline = fmt.Sprintf("%s of the capture's packets stand behind later ones, by up to %s.", unit.Percent(share), unit.Duration(by))
		f.Detail = "What is counted as reordered, or sent again, may only stand in another order."
		f.Remedy = []Remedy{{What: "Sort the file by time (reordercap) and analyse it again."}}
	default:
		return nil
	}
	f.at(timeline.Span{Start: back.Time, End: back.Time})
	f.Evidence = []Item{{Kind: "packets", Member: c.inputMember(back.Input), Where: fmt.Sprintf("frames %d", back.Frame),
		Value: val(by.Seconds()), Limit: val(clockStep.Value), Unit: "s",
		Text: unit.Percent(share) + " of all stand behind later ones", Filter: fmt.Sprintf("frame.number == %d", back.Frame)}}
	return f
}
