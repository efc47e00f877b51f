package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
	"github.com/spikebox/spikebox/format/plain"
)

// Histogram is how long a softirq or function ran, over some seconds and CPUs.
type Histogram struct {
	Kind    string   `json:"kind"` // softirq, function
	Name    string   `json:"name"` // NET_RX, tcp_collapse
	Part    string   `json:"part"` // before, during
	Seconds int      `json:"seconds"`
	TimedNs int64    `json:"timed_ns,omitempty"` // of these seconds, where it is less
	Met     uint64   `json:"met,omitempty"`      // of count: not timed, and longer than it says
	Count   uint64   `json:"count"`
	SumNs   int64    `json:"sum_ns"`
	MaxNs   int64    `json:"max_ns"`
	Buckets []uint64 `json:"buckets"` // [i] counts 2^i ≤ ns < 2^(i+1)
}

// The parts of a bundle's window.
const (
	Before = "before the trigger"
	Amid   = "during the second of the trigger" // that began before it, and may tell of either side
	During = "from the trigger on"
)

// Sums adds up latencies by name and part of the window. It is divided by the tick at which the vital went beyond its limit, where the
// recorder begins a new line with what this tick told of; a trigger by hand crossed nothing: its own time divides then. What was counted in
// the second around that moment is apart, where no line begins there.
type Sums struct {
	since   int64 // Unix ns
	near    int64 // the begin of the latest line that began at since or before, within a second
	all     map[sumKey]*Histogram
	seconds map[sumKey]map[int64]int64 // for how many ns of each second it was timed
	left    int
}

// sumKey is what rows are added up by; at is the begin of those that may be of any part, 0 of all others.
type sumKey struct {
	part, kind, name string
	at               int64
}

// oneTick is the time between two ticks of a recorder, and a bit: what a tick told of began so long before it.
const oneTick = int64(300 * time.Millisecond)

// mostSums bounds the histograms, which are a dozen: a stranger's bundle may have a name on
// every line.
const mostSums = 1000

// NewSums divides the window by the trigger.
func NewSums(trigger format.Trigger) *Sums {
	since := trigger.Since
	if since.IsZero() {
		since = trigger.Time
	}
	return &Sums{since: since.UnixNano(), all: map[sumKey]*Histogram{}, seconds: map[sumKey]map[int64]int64{}}
}

// Add adds a row of softirq.jsonl.
func (s *Sums) Add(r *member.Latency) {
	k := sumKey{Before, r.Kind, r.Name, 0}
	switch {
	case r.Time > s.since:
		k.part = During
	case r.Time+int64(time.Second) > s.since:
		k.part, k.at = Amid, r.Time
		s.near = max(s.near, r.Time)
	}
	h := s.all[k]
	if h == nil && len(s.all) >= mostSums {
		s.left++
		return
	}
	if h == nil {
		h = &Histogram{Kind: r.Kind, Name: r.Name, Part: k.part}
		s.all[k], s.seconds[k] = h, map[int64]int64{}
	}
	h.add(r)
	// Each CPU has a row of the same second.
	timed := r.TimedNs
	switch {
	case r.Met:
		timed = 0
	case timed == 0:
		timed = int64(time.Second)
	}
	s.seconds[k][r.Time] = max(s.seconds[k][r.Time], timed)
}

// Left is how many rows belong to histograms beyond the bound and are not in the list.
func (s *Sums) Left() int { return s.left }

// List gives the histograms by kind, name and part: first the name that took longest at once.
func (s *Sums) List() []Histogram {
	s.settle()
	all := make([]Histogram, 0, len(s.all))
	for k, h := range s.all {
		h.Seconds, h.TimedNs = len(s.seconds[k]), 0
		for _, timed := range s.seconds[k] {
			h.TimedNs += timed
		}
		if h.TimedNs >= int64(h.Seconds)*int64(time.Second) {
			h.TimedNs = 0 // all of it
		}
		all = append(all, *h)
	}
	type name struct{ kind, name string }
	longest := map[name]int64{}
	for _, h := range all {
		longest[name{h.Kind, h.Name}] = max(longest[name{h.Kind, h.Name}], h.MaxNs)
	}
	slices.SortFunc(all, func(a, b Histogram) int {
		return cmp.Or(-cmp.Compare(a.Kind, b.Kind), -cmp.Compare(longest[name{a.Kind, a.Name}], longest[name{b.Kind, b.Name}]),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.Part, b.Part))
	})
	return all
}

// settle says of the lines near the moment which side they tell of: a line lasts until the next one's begin.
func (s *Sums) settle() {
	for k, h := range s.all {
		if k.at == 0 {
			continue
		}
		to := k
		switch {
		case k.at < s.near:
			to.part, to.at = Before, 0
		case s.since-k.at <= oneTick:
			to.part, to.at = During, 0
		default:
			continue
		}
		h.Part = to.part
		if sum := s.all[to]; sum != nil {
			sum.merge(h)
			maps.Copy(s.seconds[to], s.seconds[k])
		} else {
			s.all[to], s.seconds[to] = h, s.seconds[k]
		}
		delete(s.all, k)
		delete(s.seconds, k)
	}
}

// merge adds another histogram's counts.
func (h *Histogram) merge(o *Histogram) {
	h.add(&member.Latency{Count: o.Count, SumNs: o.SumNs, MaxNs: o.MaxNs, Buckets: o.Buckets})
	h.Met += o.Met
}

func (h *Histogram) add(r *member.Latency) {
	h.Count += r.Count
	if r.Met {
		h.Met += r.Count
	}
	h.SumNs += r.SumNs
	h.MaxNs = max(h.MaxNs, r.MaxNs)
	for len(h.Buckets) < len(r.Buckets) {
		h.Buckets = append(h.Buckets, 0)
	}
	for i, n := range r.Buckets {
		h.Buckets[i] += n
	}
}

// barWidth is that of the article which made these histograms known.
const barWidth = 50

// HistogramJSON prints an object a line.
func HistogramJSON(w io.Writer, all []Histogram) error {
	enc := json.NewEncoder(w)
	for i := range all {
		if err := enc.Encode(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

// HistogramText prints histograms with an empty line between two.
func HistogramText(w io.Writer, all []Histogram) error {
	for i := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := all[i].Print(w); err != nil {
			return err
		}
	}
	return nil
}

// Print writes the histogram as SystemTap does: value, bar, count. A value is the
// bucket's lower bound.
func (h *Histogram) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s, %s (%s)\n", plain.Line(h.Kind), plain.Line(h.Name), h.Part, h.known())
	if h.Part == Amid {
		b.WriteString("(recorded by seconds: this one began before the trigger,\nand may tell of either side)\n")
	}
	average := time.Duration(0)
	if h.Count > 0 {
		average = time.Duration(uint64(h.SumNs) / h.Count)
	}
	fmt.Fprintf(&b, "Duration avg:%v max:%v count:%d\n", average, time.Duration(h.MaxNs), h.Count)
	fmt.Fprintf(&b, "value |%s count\n", strings.Repeat("-", barWidth))
	first := slices.IndexFunc(h.Buckets, func(n uint64) bool { return n > 0 })
	largest := uint64(1)
	for _, n := range h.Buckets {
		largest = max(largest, n)
	}
	for i := max(0, first); i < len(h.Buckets); i++ {
		// In 128 bits: counts come from a file, and 50 times one of them may not fit into 64.
		hi, lo := bits.Mul64(h.Buckets[i], barWidth)
		bar, _ := bits.Div64(hi, lo, largest)
		fmt.Fprintf(&b, "%5s |%-*s %d\n", power(i), barWidth, strings.Repeat("@", int(bar)), h.Buckets[i])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// known says in how much time it was measured, and which of it is not exact.
func (h *Histogram) known() string {
	timed := fmt.Sprintf("%d s", h.Seconds)
	switch {
	case h.TimedNs > 0:
		timed = fmt.Sprintf("%.1f of %d s timed", time.Duration(h.TimedNs).Seconds(), h.Seconds)
	case h.Met > 0 && h.Met == h.Count:
		timed += ", not timed"
	}
	if h.Met > 0 {
		timed += fmt.Sprintf("; %d found by the timer's ticks, at least so long", h.Met)
	}
	return timed
}

// power names 2^i ns by the unit that is next to it: 1us is 2^10 ns, 1ms is 2^20 ns.
func power(i int) string {
	units := [...]string{"ns", "us", "ms", "s"}
	unit := min(i/10, len(units)-1)
	return fmt.Sprintf("%d%s", uint64(1)<<(i-10*unit), units[unit])
}
