//go:build linux

package conntrack

import (
	"net/netip"
	"slices"
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

// Source is one address that connections come from, and how many.
type Source struct {
	Addr netip.Addr `json:"addr"`
	N    uint64     `json:"n"`
}

// NewSummary makes an empty one.
func NewSummary() *Summary {
	return &Summary{ByState: map[string]map[string]uint64{}, ByZone: map[uint16]uint64{}, sources: map[netip.Addr]uint64{}}
}

// Add counts an entry.
func (s *Summary) Add(e *Entry) {
	s.Entries++
	if e.Status&SeenReply == 0 {
		s.Unreplied++
	}
	if e.Status&Assured != 0 {
		s.Assured++
	}
	if e.Status&(Offload|HWOffload) != 0 {
		s.Offloaded++
	}
	protocol := ProtocolName(e.Protocol)
	if s.ByState[protocol] == nil {
		s.ByState[protocol] = map[string]uint64{}
	}
	s.ByState[protocol][e.stateOrStatus()]++
	s.ByZone[e.OrigZone()]++
	s.addSource(e.Orig.Src)
}

func (e *Entry) stateOrStatus() string {
	if state := e.StateName(); state != "" {
		return state
	}
	switch {
	case e.Status&Assured != 0:
		return "ASSURED"
	case e.Status&SeenReply != 0:
		return "REPLIED"
	}
	return "UNREPLIED"
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
func (s *Summary) TopSources() []Source {
	top := make([]Source, 0, topSources+1)
	for addr, n := range s.sources {
		if len(top) == topSources && !before(Source{addr, n}, top[topSources-1]) {
			continue
		}
		at, _ := slices.BinarySearchFunc(top, Source{addr, n}, func(a, b Source) int {
			if before(a, b) {
				return -1
			}
			return 1
		})
		top = slices.Insert(top, at, Source{addr, n})
		top = top[:min(len(top), topSources)]
	}
	return top
}

// before orders by number, and by address where that is the same.
func before(a, b Source) bool {
	if a.N != b.N {
		return a.N > b.N
	}
	return a.Addr.Less(b.Addr)
}
