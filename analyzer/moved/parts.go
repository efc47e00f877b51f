package moved

import (
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// lead is how long before its trigger an incident may have begun without anybody seeing it:
// a vital's value is that of the second before, and a counter is read once a second.
const lead = 2e9 // ns

// longest is the longest window that is looked at, in ns: a recorder holds ten minutes at
// most, and a manifest that claims years would cost as many seconds of zeros.
const longest = int64(time.Hour)

// parts are the quiet part of a window and the loud one, which follows it.
type parts struct {
	quiet, loud timeline.Span
	// lossy names the members whose source lost a part: where they have no line, nothing is known.
	lossy map[string]bool
	// untimed says that softirqs were timed in a part of the window only, from which more of them, and longer
	// ones, are known than from the other.
	untimed bool
}

// split parts the window in two; ok is false without a trigger.
//
// A vital's trigger says since when it was beyond its limit, and all before that, less the
// lead, is quiet. Whoever asks by hand has seen the trouble for an unknown time: then the
// first half of the time before is taken for quiet. A median is right while less than half of
// its readings are wrong, so that the incident may be three quarters as old as the window.
func split(e *evidence.Evidence) (parts, bool) {
	m := e.Manifest
	if m == nil || m.Trigger.Time.IsZero() {
		return parts{}, false
	}
	start, end := e.Window()
	if d := end - start; d <= 0 || d > longest { // of years of both signs d may overflow, to below zero
		return parts{}, false
	}
	at := m.Trigger.Time
	if !m.Trigger.Since.IsZero() {
		at = m.Trigger.Since
	}
	before := at.UnixNano() - start
	back := before / 2
	if Automatic(m.Trigger) {
		back = min(before/4, lead) // a recorder that was just armed has little before, and needs most of it
	}
	edge := at.UnixNano() - back
	if edge <= start || edge >= end {
		return parts{}, false
	}
	softirqs, _ := e.Source("probe.softirq")
	return parts{quiet: timeline.Span{Start: start, End: edge}, loud: timeline.Span{Start: edge, End: end}, lossy: lossy(m),
		untimed: member.Within(softirqs.Details, member.SoftirqSpans, start, end) < wholly}, true
}

// lossy names the members whose source lost something.
func lossy(m *format.Manifest) map[string]bool {
	lost := map[string]bool{}
	for _, s := range m.Sources {
		for _, name := range s.Members {
			lost[name] = s.State != format.Complete
		}
	}
	return lost
}

// wholly is the part of a window that is all of it, but for what switching on and off takes.
const wholly = 0.99

// Automatic says whether the recorder's own watch fired, and no human.
func Automatic(t format.Trigger) bool { return t.Vital != "" || t.Kind == "kmsg" }

// sparse are the members that have a line only for a second in which something happened:
// without one, the second's numbers are zero.
var sparse = map[string]bool{member.EventsName: true, member.DropsName: true, member.LatenciesName: true}
