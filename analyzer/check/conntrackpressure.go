package check

import (
	"fmt"
	"math"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/subject"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/unit"
)

var (
	conntrackHigh = Limit{"high", 0.80, "ratio of nf_conntrack_max",
		"what is left of a default table is then filled within a minute by a thousand connections a second; a table that is steadily this full is a remark"}
	conntrackSoon = Limit{"soon", 600, "s",
		"less than ten minutes at the pace of the window are less than it takes somebody to be called and to log in"}
)

var conntrackPressure = Check{
	ID:    "conntrack-pressure",
	Title: "Connection tracking is nearly full",
	Doc:   "the connection tracking table is nearly full, or fills at a pace at which it soon will be",
	Page: `Nothing is dropped while connection tracking has room. How full it was in the window and
how fast it grew say how long that will last: the time to full is what is free, divided by
the growth from the first half of the window to its end. A pace that a burst made does not
last, so that growth alone is no finding: the table must be half full, too.`,
	Ref:    "Documentation/networking/nf_conntrack-sysctl.rst; net/netfilter/nf_conntrack_core.c, Linux 6.18",
	Needs:  []*Need{needConntrackCount},
	Limits: []Limit{conntrackHigh, conntrackSoon},
	Causes: []Link{
		{Cause: &conntrackHog, On: subject.KindHost, Slack: counterSlack, If: harmful,
			Because: "one source holds a large part of what the table can hold"},
	},
	Explains: []string{"conntrack.fill"},
	run:      runConntrackPressure,
}

var needConntrackCount = needText("proc/sys/net/netfilter/nf_conntrack_count", "no connection tracking is loaded")

// runConntrackPressure is silent about a table that is full: that has a check of its own.
func runConntrackPressure(c *Case) Answer {
	t := c.conntrackTable()
	if t.max <= 0 {
		return unknown("the size of the table is not known (nf_conntrack_max is not in the bundle, or is 0, which is no limit)",
			"record net.netfilter.nf_conntrack_max (the source sysctl)")
	}
	if needConntrack.have(c).state != missing && len(runConntrackFull(c).Findings) > 0 {
		return absent("the table is not nearly full but full: see conntrack-full")
	}
	left := t.timeToFull(c.Window)
	soon := t.fill() >= 0.5 && left < conntrackSoon.Value
	if t.fill() < conntrackHigh.Value && !soon {
		return absent("connection tracking had at most %s", t.of())
	}
	f := &Finding{Severity: Info, Object: "nf_conntrack", effect: "connection tracking " + unit.Percent(t.fill()) + " full"}
	f.Subjects = []subject.Subject{subject.Setting{Name: "net.netfilter.nf_conntrack_max"}}
	if soon {
		f.Severity = Warning
	}
	f.at(t.nearlyFull(c.Window))
	f.Headline = fmt.Sprintf("Connection tracking held %s at %s.", t.of(), words.Clock(evidence.Unix(t.at)))
	if soon {
		f.Headline = fmt.Sprintf("Connection tracking held %s at %s, and is full in %s at the pace of the window.",
			t.of(), words.Clock(evidence.Unix(t.at)), unit.Duration(seconds(left).Round(time.Second)))
	}
	f.Detail = c.conntrackContent()
	f.Evidence = c.conntrackItems()
	if soon && len(f.Evidence) > 0 {
		f.Evidence[0].say("full in %s at its pace", unit.Duration(seconds(left).Round(time.Second)))
	}
	f.Remedy = c.conntrackRemedies(t)
	return present(f)
}

// nearlyFull is the longest time in which the table had hardly any room, all of the window where there was none.
func (t conntrackTable) nearlyFull(window timeline.Span) timeline.Span {
	runs := t.entries.Runs(window, apart, func(v float64) bool { return v >= conntrackHigh.Value*t.max })
	if span, ok := timeline.Longest(runs); ok {
		return span
	}
	return window
}

// timeToFull is how long the table has room at the pace of the window, in s: from the middle of
// its first half to its end. A table that does not grow has room for ever.
func (t conntrackTable) timeToFull(window timeline.Span) float64 {
	if t.entries == nil {
		return math.Inf(1)
	}
	half := window.Start + (window.End-window.Start)/2
	var first []float64
	last, lastAt := 0.0, int64(0)
	for i, v := range t.entries.V {
		at := t.entries.T[i]
		if math.IsNaN(v) || at < window.Start || at > window.End {
			continue
		}
		if at <= half {
			first = append(first, v)
		}
		last, lastAt = v, at
	}
	begin := quantile(first, 0.5)
	elapsed := float64(lastAt-(window.Start+half)/2) / 1e9
	pace := (last - begin) / elapsed
	if !(pace > 0) || elapsed <= 0 {
		return math.Inf(1)
	}
	return max(t.max-last, 0) / pace
}
