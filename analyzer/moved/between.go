package moved

import (
	"cmp"
	"slices"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/timeline"
)

// Between gives what differs most between two bundles, before and after a change, or of a bad and a good
// host: the whole window of the good one takes the place of the quiet part. Of a line Value is the bad one's
// reading that is furthest out, First its time, and Usual the good one's median.
func Between(bad, good *evidence.Evidence, badLines, goodLines *timeline.Set) []Line {
	there, here := whole(bad), whole(good)
	usual := map[string]*timeline.Series{}
	for _, s := range comparable(goodLines) {
		usual[s.Name] = s
	}
	var changes []*change
	for _, s := range comparable(badLines) {
		g := usual[s.Name]
		if g == nil {
			continue
		}
		quiet, loud := here.readings(g), there.readings(s)
		if len(quiet) < fewest || len(loud) == 0 {
			continue
		}
		c := compare(s, append(quiet, loud...), len(quiet))
		c.most = furthest(quiet, c.then > c.usual)
		if c.score > least && c.then != *c.most && c.then > *c.most == (c.then > c.usual) { // the good one was never there
			c.first = c.readings[c.peak].at
			changes = append(changes, c)
		}
	}
	return ranked(changes)
}

// whole is a window that has no parts.
func whole(e *evidence.Evidence) parts {
	start, end := e.Window()
	window := timeline.Span{Start: start, End: end}
	return parts{quiet: window, loud: window, lossy: lossy(e.Manifest)}
}

// furthest gives the highest or lowest of some readings.
func furthest(all []reading, high bool) *float64 {
	v := slices.MinFunc(all, func(a, b reading) int { return cmp.Compare(a.v, b.v) }).v
	if high {
		v = slices.MaxFunc(all, func(a, b reading) int { return cmp.Compare(a.v, b.v) }).v
	}
	return &v
}
