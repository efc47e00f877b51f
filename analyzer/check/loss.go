package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/unit"
)

// What to do about evidence that was lost depends on who lost it: whoever copied the file, the
// packet ring, a source, or whatever stopped the recorder.
const (
	copyAgain    = "copy the bundle again from the host, this copy is damaged (spikebox verify compares every sum)"
	largerRing   = "arm spikeboxd with a larger --ring, or record fewer packets with --port and --peer"
	largerBudget = "arm spikeboxd with a larger --cpu-budget, or find out what this host has to do that makes recording so dear (spikebox status)"
	readParts    = "analyse it in parts (editcap, tshark -w): it holds more than is kept in memory"
)

// vitalTick is how often vitals.csv has a row (format/SPEC.md, "vitals.csv"); snapshotTick that
// of the snapshots.
const (
	vitalTick    = 250 * time.Millisecond
	snapshotTick = time.Second
)

// shed says of a source that the recorder gave it up within the window, and for how long; empty
// where it did not.
func (c *Case) shed(source string) string {
	if c.Evidence.Manifest == nil {
		return ""
	}
	b := c.Evidence.Manifest.Budget
	var spans []string
	for _, s := range b.Shed {
		if !slices.Contains(s.Sources, source) {
			continue
		}
		span := "from " + words.Clock(s.From)
		if !s.To.IsZero() {
			span += " to " + words.Clock(s.To)
		}
		spans = append(spans, span)
	}
	if len(spans) == 0 {
		return ""
	}
	return fmt.Sprintf("was not measured %s, for the recorder's CPU budget of %s", words.List(spans), unit.FormatShare(b.Limit))
}

// damaged says that the bundle has lost something since it was written.
func (c *Case) damaged() bool { return len(c.Evidence.Damage) > 0 }

// stops gives the stretches in which the recorder recorded nothing, though it was armed: every
// tick writes a row of vitals. The end of a file that was cut short is none.
func (c *Case) stops() []timeline.Span {
	times := c.Evidence.Columns.Times(member.VitalsName)
	if c.Evidence.Manifest == nil || len(times) < 2 {
		return nil
	}
	_, gaps := timeline.Coverage(times, c.Window, vitalTick)
	return slices.DeleteFunc(gaps, func(g timeline.Span) bool {
		return c.damaged() && (g.End == c.Window.End || g.Start == c.Window.Start)
	})
}

// stopped says what to do where the recorder stood still.
func stopped(s timeline.Span) string {
	return fmt.Sprintf("find out what stopped spikeboxd from %s to %s: SIGSTOP, a paused virtual machine, or no CPU time (its cgroup, its nice value)",
		words.Clock(evidence.Unix(s.Start)), words.Clock(evidence.Unix(s.End)))
}

// least begins a count of which some may be missing.
func (c *Case) least(n *Need) string {
	if n.have(c).state == partly {
		return "at least "
	}
	return ""
}

// hedge says of a finding on lossy evidence that its counts are lower bounds, and where the
// evidence ends, if the finding lasts until there: nobody knows how long it went on.
func (f *Finding) hedge(c *Case, lossy []have) {
	if len(lossy) == 0 {
		return
	}
	f.AtLeast = true
	for i := range f.Evidence {
		if item := &f.Evidence[i]; item.Kind == "counter" || item.Kind == "packets" {
			item.AtLeast = item.Value != nil
		}
	}
	f.Detail += fmt.Sprintf(" Evidence is missing (%s), so that what is counted here is the least that happened.", lossy[0].why)
	for _, have := range lossy {
		end := evidence.Unix(have.end)
		if have.end == 0 || f.End.Before(end.Add(-counterSlack)) {
			continue
		}
		f.End, f.EvidenceEnds = end, &end
		f.Detail += fmt.Sprintf(" It is seen until %s, where the %s end.", words.Clock(end), have.of)
		return
	}
}

// covered says how well readings at some times cover the window. what names them, and path
// the text that they are of.
func (c *Case) covered(times []int64, tick time.Duration, path, of string) have {
	part, gaps := timeline.Coverage(times, c.Window, tick)
	if len(gaps) == 0 {
		return have{state: whole}
	}
	longest := gaps[0]
	for _, g := range gaps {
		if g.End-g.Start > longest.End-longest.Start {
			longest = g
		}
	}
	h := partial("%s covers %s of the window, with %s missing from %s", path, unit.Percent(part),
		unit.Duration(time.Duration(longest.End-longest.Start)), words.Clock(evidence.Unix(longest.Start)))
	if last := gaps[len(gaps)-1]; last.End == c.Window.End && last.Start > c.Window.Start {
		h.end, h.of = last.Start, of
	}
	stops := c.stops()
	if i := slices.IndexFunc(stops, func(s timeline.Span) bool { return s.Overlaps(longest, 0) }); i >= 0 {
		h.next = stopped(stops[i])
	} else if c.damaged() {
		h.next = copyAgain
	}
	return h
}
