// Package moved says which numbers changed most when an incident began, without any rule
// about what they mean: each series' quiet part against the part around the trigger. It is
// for the incidents that no check knows, and for a reader who wants to judge for himself.
//
// The measure is how many fold a value changed, both values raised by the noise that the
// series had while it was quiet:
//
//	score = (then + 3 s) / (usual + 3 s), or its inverse where the value fell
//
// Usual is the median of the quiet part, s its spread (see spread). A fold compares
// connections with seconds and bytes, which a difference cannot; the noise keeps what
// went from 0 to 1 from being infinite. A test statistic alone, the difference in units of
// s, would put a counter of 100,000 packets a second that rose by a twentieth before one
// that left zero.
package moved

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/ticks"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format/member"
)

// Line is one thing that moved, and an entry of findings.json's "moved".
type Line struct {
	Series string    `json:"series"`
	Value  float64   `json:"value"` // then: of a counter events per second
	Usual  float64   `json:"usual"` // in the quiet part
	Unit   string    `json:"unit"`
	First  time.Time `json:"first"`  // when it left its usual
	Member string    `json:"member"` // that holds the reading of First
	// Score is how many fold it changed beyond its noise: of what says the same, the most.
	Score float64 `json:"score"`
	// With names other series that say the same: another source's, the counters that a vital
	// adds up, or what grew with the traffic. More counts those beyond the named ones.
	With []string `json:"with,omitempty"`
	More int      `json:"more,omitempty"`
	// Most is, of two bundles' difference, the good one's own reading that is furthest on this side.
	Most *float64 `json:"most,omitempty"`
}

const (
	// dozen is how many lines a reader is given: what fits on a screen beside the verdict.
	dozen = 12
	// least is the score above which a line is listed: what has not more than doubled beyond
	// its noise is within what a busy host does all day.
	least = 2
	// Much is the score from which on a change is named in a verdict. What chance does to
	// independent events stays below it at any rate (TestPoissonNoise); a few connections that
	// send their first ten segments (RFC 6928) within the same second reach 4 on an idle host,
	// which is why a verdict says the score of what it names.
	Much = 3
)

// Find gives what moved, the most first; nothing for a bare capture, which has no trigger
// that parts the quiet from the loud.
func Find(e *evidence.Evidence, lines *timeline.Set) []Line {
	p, ok := split(e)
	if !ok {
		return nil
	}
	var changes []*change
	// Nobody has checked that a log is this host's, unless a connection of it is in the packets.
	anybodys := func(s *timeline.Series) bool {
		return strings.HasPrefix(s.Name, ticks.LogPrefix) && !e.Requests.Joined()
	}
	for _, s := range slices.DeleteFunc(comparable(lines), anybodys) {
		if c := p.measure(s); c != nil {
			changes = append(changes, c)
		}
	}
	return ranked(changes)
}

// comparable gives the series that are looked at, those of CPUs put together.
func comparable(lines *timeline.Set) []*timeline.Series {
	all, _ := lines.Match("*") // the pattern is well formed
	drops, _ := lines.Match("drop.*")
	// Events are limited, and a sample of what drops.csv counts in full.
	sampled := func(s *timeline.Series) bool { return len(drops) > 0 && s.Name == "event."+member.PacketDrop }
	// The peers that have series of their own were chosen for having the most: all of them moved, whatever happened.
	chosen := func(s *timeline.Series) bool { return strings.HasPrefix(s.Name, ticks.Prefix+"peer.") }
	return slices.DeleteFunc(families(all), func(s *timeline.Series) bool { return sampled(s) || chosen(s) })
}

// ranked gives the lines of what changed most.
func ranked(changes []*change) []Line {
	changes = group(changes)
	slices.SortFunc(changes, order)
	var found []Line
	for _, c := range changes[:min(len(changes), dozen)] {
		found = append(found, c.line())
	}
	return found
}

// order puts what changed most first; ties go by name, so that a report can be compared
// with another.
func order(a, b *change) int {
	return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.series.Name, b.series.Name))
}
