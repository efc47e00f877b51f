//go:build linux

package conntrack

import (
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/format/member"
)

const (
	// topSources is how many sources a summary names.
	topSources = 50
	// sourceCounters bounds the memory for counting sources to about 4 MiB. Up to as many
	// distinct sources are counted exactly.
	sourceCounters = 1 << 16
)

// Summary counts entries, in memory that does not grow with the table.
type Summary struct {
	Entries   uint64
	Unreplied uint64
	Assured   uint64
	Offloaded uint64
	// ByState counts by protocol name and state. Protocols without states have
	// UNREPLIED, REPLIED and ASSURED.
	ByState map[string]map[string]uint64
	ByZone  map[uint16]uint64
	sources map[netip.Addr]uint64
	// SourcesError is by how much the counters of sources are too small at most. It is 0,
	// and they are exact, up to 65,536 distinct sources, and at most Entries/65,537.
	SourcesError uint64
}

// NewSummary makes an empty one.
func NewSummary() *Summary {
	return &Summary{ByState: map[string]map[string]uint64{}, ByZone: map[uint16]uint64{}, sources: map[netip.Addr]uint64{}}
}

// Add counts an entry.
func (s *Summary) Add(e *member.ConntrackEntry) {
	s.Entries++
	if e.Unreplied {
		s.Unreplied++
	}
	if e.Assured {
		s.Assured++
	}
	if e.Offloaded {
		s.Offloaded++
	}
	if s.ByState[e.Proto] == nil {
		s.ByState[e.Proto] = map[string]uint64{}
	}
	s.ByState[e.Proto][e.StateOrStatus()]++
	s.ByZone[origZone(e)]++
	s.addSource(e.Orig.Src)
}

// origZone is the zone that the original direction is looked up in.
func origZone(e *member.ConntrackEntry) uint16 {
	if e.Orig.Zone != 0 {
		return e.Orig.Zone
	}
	return e.Zone
}

// addSource counts by the algorithm of Misra and Gries (Science of Computer Programming 2,
// 1982): where there is no counter left, one is taken off all of them. Each such sweep is
// paid for by as many entries, so it costs a constant for each entry.
func (s *Summary) addSource(addr netip.Addr) {
	if _, ok := s.sources[addr]; ok || len(s.sources) < sourceCounters {
		s.sources[addr]++
		return
	}
	s.SourcesError++
	for a, n := range s.sources {
		if n == 1 {
			delete(s.sources, a)
		} else {
			s.sources[a] = n - 1
		}
	}
}

// TopSources gives the sources with the most entries, most first.
func (s *Summary) TopSources() []member.ConntrackSource {
	top := make([]member.ConntrackSource, 0, topSources+1)
	for addr, n := range s.sources {
		if len(top) == topSources && !before(member.ConntrackSource{Addr: addr, Entries: n}, top[topSources-1]) {
			continue
		}
		at, _ := slices.BinarySearchFunc(top, member.ConntrackSource{Addr: addr, Entries: n}, func(a, b member.ConntrackSource) int {
			if before(a, b) {
				return -1
			}
			return 1
		})
		top = slices.Insert(top, at, member.ConntrackSource{Addr: addr, Entries: n})
		top = top[:min(len(top), topSources)]
	}
	return top
}

// before orders by number, and by address where that is the same.
func before(a, b member.ConntrackSource) bool {
	if a.Entries != b.Entries {
		return a.Entries > b.Entries
	}
	return a.Addr.Less(b.Addr)
}
