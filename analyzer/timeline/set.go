package timeline

import (
	"math"
	"path"
	"slices"
	"time"

	"github.com/spikebox/spikebox/analyzer/column"
)

// Set is every series of the evidence.
type Set struct {
	byName map[string]*Series
	names  []string // sorted
}

// Build makes the series of every number in the evidence.
func Build(columns *column.Columns) *Set {
	s := &Set{byName: map[string]*Series{}}
	for _, c := range columns.All() {
		s.add(fromColumn(c))
	}
	for _, state := range states {
		if gauge := s.byName[state.vital]; gauge != nil {
			alias := *gauge
			alias.Name = "tcp.state." + state.name
			s.add(&alias)
		}
	}
	slices.Sort(s.names)
	return s
}

func (s *Set) add(series *Series) {
	s.byName[series.Name] = series
	s.names = append(s.names, series.Name)
}

// states are the vitals that count sockets by state, whatever each is called: as series
// they stand together, as tcp.state.*.
var states = []struct{ name, vital string }{
	{"established", "tcp.established"}, {"syn_sent", "tcp.syn_sent"}, {"syn_recv", "syn_recv"},
	{"fin_wait1", "tcp.fin_wait1"}, {"fin_wait2", "tcp.fin_wait2"}, {"time_wait", "tcp.time_wait"},
	{"close_wait", "tcp.close_wait"}, {"last_ack", "tcp.last_ack"}, {"closing", "tcp.closing"},
}

// Get gives a series by name, nil where the evidence has none. The methods of Series
// that ask for values accept nil.
func (s *Set) Get(name string) *Series { return s.byName[name] }

// Names gives the names of all series, sorted.
func (s *Set) Names() []string { return slices.Clone(s.names) }

// Match gives the series whose names match a pattern of path.Match, in which a dot is
// an ordinary character: softnet.cpu*.dropped. They come sorted by name.
func (s *Set) Match(pattern string) ([]*Series, error) {
	var found []*Series
	for _, name := range s.names {
		ok, err := path.Match(pattern, name)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, s.byName[name])
		}
	}
	return found, nil
}

// Gaps gives the stretches within a span in which a series' source was not read.
func (s *Series) Gaps(in Span) []Span {
	_, gaps := Coverage(s.T, in, oneSecond)
	return gaps
}

// gapFactor is how many times its usual interval a source may stay silent before that
// is a gap: snapshots come once a second, and a busy host may well miss one.
const gapFactor = 3.5

// oneSecond is how often most sources are read.
const oneSecond = time.Second

// Coverage says how well readings at times, one each tick, cover a span: the part that they
// cover, in 0..1, and the stretches that they do not.
func Coverage(times []int64, in Span, tick time.Duration) (part float64, gaps []Span) {
	if in.End <= in.Start {
		return 1, nil
	}
	longest := gapFactor * usual(times, tick)
	last := in.Start
	missing := int64(0)
	for _, t := range append(slices.Clone(times), in.End) {
		t = min(max(t, in.Start), in.End)
		if len(times) == 0 || float64(t-last) > longest {
			gaps = append(gaps, Span{last, t})
			missing += t - last
		}
		last = t
	}
	return 1 - float64(missing)/float64(in.End-in.Start), gaps
}

// Patience is how far apart, in ns, two readings may be without a gap between them.
func Patience(times []int64) int64 { return int64(gapFactor * usual(times, 0)) }

// usual is the upper quartile of the intervals between readings, in ns, at least a tick: a
// source that was read ten times a second after the trigger may still be read once a second
// before it.
func usual(times []int64, tick time.Duration) float64 {
	if len(times) < 2 {
		return float64(tick)
	}
	steps := make([]int64, 0, len(times)-1)
	for i := range times[1:] {
		steps = append(steps, times[i+1]-times[i])
	}
	slices.Sort(steps)
	return math.Max(float64(tick), float64(steps[len(steps)*3/4]))
}
