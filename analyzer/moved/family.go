package moved

import (
	"math"
	"slices"
	"strings"

	"github.com/spikebox/spikebox/analyzer/timeline"
)

// families puts the CPUs of one number together, before anything is measured: counters are
// added up, of levels the highest is taken. Packets and interrupts wander from one CPU to
// another, and that is no change of theirs.
func families(all []*timeline.Series) []*timeline.Series {
	byName := map[string]*timeline.Series{}
	var joined []*timeline.Series
	for _, s := range all {
		name, ok := family(s.Name)
		if !ok {
			joined = append(joined, s)
			continue
		}
		f := byName[name]
		if f == nil {
			f = &timeline.Series{Name: name, Unit: s.Unit, Source: s.Source, Counts: s.Counts, T: s.T, V: slices.Clone(s.V)}
			byName[name] = f
			joined = append(joined, f)
			continue
		}
		if len(f.V) == len(s.V) { // of one text, and so of one axis
			merge(f, s)
		}
	}
	return joined
}

// merge adds the CPU's values to the family's; where one was not read, the others stand.
func merge(f, s *timeline.Series) {
	for i, v := range s.V {
		switch {
		case math.IsNaN(v):
		case math.IsNaN(f.V[i]):
			f.V[i] = v
		case f.Counts:
			f.V[i] += v
		default:
			f.V[i] = max(f.V[i], v)
		}
	}
}

// family is a series' name with its CPU left open: softirqs.NET_RX.cpu*. ok is false for a
// number that is no CPU's.
func family(name string) (f string, ok bool) {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		n, cpu := strings.CutPrefix(p, "cpu")
		if cpu && n != "" && strings.Trim(n, "0123456789") == "" {
			parts[i], ok = "cpu*", true
		}
	}
	return strings.Join(parts, "."), ok
}
