package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/spikebox/spikebox/format/unit"
)

// HistogramPair is how long a softirq or function took in two bundles.
type HistogramPair struct {
	Bad  Histogram `json:"bad"`
	Good Histogram `json:"good"`
}

const (
	// longerBy is by how many rows the longest must differ: of two runs of the same load the longest
	// of thousands often falls into neighbouring powers of two.
	longerBy = 2
	// shortest is the row from which on a softirq is felt: 1 ms.
	shortest  = 20
	mostPairs = 3
)

// longer gives the histograms whose longest durations differ, the longest first.
func longer(bad, good []Histogram) []HistogramPair {
	pairs := []HistogramPair{}
	apart := func(p *HistogramPair) int { return p.Bad.top() - p.Good.top() }
	for i := range bad {
		at := slices.IndexFunc(good, func(h Histogram) bool { return h.Kind == bad[i].Kind && h.Name == bad[i].Name })
		if at < 0 {
			continue
		}
		p := HistogramPair{bad[i], good[at]}
		if d := apart(&p); max(d, -d) >= longerBy && max(p.Bad.top(), p.Good.top()) >= shortest {
			pairs = append(pairs, p)
		}
	}
	longest := func(p *HistogramPair) int64 { return max(p.Bad.MaxNs, p.Good.MaxNs) }
	slices.SortStableFunc(pairs, func(a, b HistogramPair) int { return cmp.Compare(longest(&b), longest(&a)) })
	return pairs[:min(len(pairs), mostPairs)]
}

// top is the row of the longest duration, -1 without any.
func (h *Histogram) top() int {
	for i := len(h.Buckets) - 1; i >= 0; i-- {
		if h.Buckets[i] > 0 {
			return i
		}
	}
	return -1
}

// from counts the durations of a row and those above.
func (h *Histogram) from(row int) (n uint64) {
	for _, m := range h.Buckets[min(row, len(h.Buckets)):] {
		n += m
	}
	return n
}

// summary says what differs, as a clause.
func (p *HistogramPair) summary() string {
	long, short, where, there := &p.Bad, &p.Good, "", " there"
	if long.top() < short.top() {
		long, short, where, there = short, long, " there", ""
	}
	row := short.top() + 1
	return fmt.Sprintf("%s took %s at most%s and %s%s: %s of %s took %s or longer%s, and none%s",
		long.Name, unit.Duration(time.Duration(long.MaxNs)), where, unit.Duration(time.Duration(short.MaxNs)), there,
		unit.Count(long.from(row)), unit.Count(long.Count), power(row), where, there)
}

// durations sets two histograms beside each other.
func (p *page) durations(pair *HistogramPair) {
	p.section(pair.Bad.Name + ", how long it took")
	p.line(normal(fmt.Sprintf("  %8s %12s %12s", "from", "here", "there")))
	count := func(h *Histogram, i int) uint64 {
		if i < len(h.Buckets) {
			return h.Buckets[i]
		}
		return 0
	}
	begun := false
	for i := range max(pair.Bad.top(), pair.Good.top()) + 1 {
		a, b := count(&pair.Bad, i), count(&pair.Good, i)
		if begun = begun || a+b > 0; begun {
			p.line(normal(fmt.Sprintf("  %8s %12s %12s", power(i), unit.Count(a), unit.Count(b))))
		}
	}
}
