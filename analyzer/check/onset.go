package check

import (
	"slices"

	"github.com/spikebox/spikebox/analyzer/timeline"
)

// onset is when what a finding tells of began: not before early, and not after late, in Unix ns. Each is 0 where it is not
// known: a load that crossed a limit had grown before, and what is summed up over the whole window began at no time.
type onset struct{ early, late int64 }

// during sets a finding's time to a burst of a counter, and says when that began.
func (f *Finding) during(b burst) {
	f.at(b.span)
	f.onset, f.again = b.onset, b.runs
}

// join gives the onset of two counters that tell of one thing: with the earlier of them, where both are known.
func (o onset) join(p onset) onset {
	switch {
	case o == onset{}:
		return p
	case p == onset{}:
		return o
	}
	return onset{min(o.early, p.early), min(o.late, p.late)}
}

// rose gives when what a level tells of within a span began: after the last reading before it that was calm, and not after the first
// of the span. Between the two it grew. Where no reading was calm nobody knows.
func rose(s *timeline.Series, span timeline.Span, calm func(v float64) bool) (o onset) {
	if s == nil {
		return o
	}
	for i, at := range s.T {
		switch {
		case at <= span.Start && calm(s.V[i]):
			o.early = at
		case at > span.Start && o.late == 0:
			o.late = at
		}
	}
	return o
}

// precedes says whether one finding is known to have begun before the other. What began before its supposed cause has another;
// what began within the same reading of both, or nobody knows when, may well be its effect.
func (f *Finding) precedes(o *Finding) bool {
	return f.onset.late != 0 && o.onset.early != 0 && f.onset.late < o.onset.early
}

// unseenBefore takes back since when a finding is, where that is as far as the evidence goes back: it may have begun before. The
// packets of a busy host reach less far than its counters do, and where some were lost nobody saw the first.
func (f *Finding) unseenBefore(c *Case) {
	from := c.Window.Start
	if p := c.Evidence.Packets; p != nil {
		from = max(from, p.First)
	}
	if f.AtLeast || f.onset.early < from+int64(snapshotTick) {
		f.onset.early = 0
	}
}

// InTime gives findings in the order in which they began, as far as that is known, and those of about the same time in the order
// in which they come. It is quadratic, and nothing has hundreds of effects.
func InTime(all []*Finding) []*Finding {
	rest := slices.Clone(all)
	for i := range rest {
		first := slices.IndexFunc(rest[i:], func(f *Finding) bool {
			return !slices.ContainsFunc(rest[i:], func(o *Finding) bool { return o.Start.Add(snapshotTick).Before(f.Start) })
		})
		f := rest[i+first]
		rest = slices.Insert(slices.Delete(rest, i+first, i+first+1), i, f)
	}
	return rest
}

// onsetOf gives that of the longest of a counter's runs: what it counted in another run before may have been the first of it, and what
// its first reading counts is of a time that is not known.
func onsetOf(s *timeline.Series, runs []timeline.Span, longest timeline.Span) (o onset) {
	if o.early = runs[0].Start; s.V[0] > 0 && o.early <= s.T[0] {
		o.early = 0
	}
	for i, at := range s.T {
		if at >= longest.Start && at <= longest.End && s.V[i] > 0 {
			o.late = at
			break
		}
	}
	return o
}
