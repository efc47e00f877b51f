package evidence

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/spikebox/spikebox/format/member"
)

// maxSources is enough for a verdict that names the worst.
const maxSources = 20

// sumConntrack sums up conntrack.txt, for where the summary is missing. Memory grows
// with the number of sources.
func sumConntrack(text []byte) (*member.ConntrackSummary, error) {
	s := &member.ConntrackSummary{ByState: map[string]map[string]uint64{}, ByZone: map[string]uint64{}}
	sources := map[netip.Addr]uint64{}
	err := member.EachConntrack(text, func(e *member.ConntrackEntry) {
		countConntrack(s, e)
		sources[e.Orig.Src]++
	})
	for addr, n := range sources {
		s.TopSources = append(s.TopSources, member.ConntrackSource{Addr: addr, Entries: n})
	}
	slices.SortFunc(s.TopSources, func(a, b member.ConntrackSource) int {
		return cmp.Or(cmp.Compare(b.Entries, a.Entries), a.Addr.Compare(b.Addr))
	})
	s.TopSources = s.TopSources[:min(len(s.TopSources), maxSources)]
	return s, err
}

// countConntrack adds an entry.
func countConntrack(s *member.ConntrackSummary, e *member.ConntrackEntry) {
	states := s.ByState[e.Proto]
	if states == nil {
		states = map[string]uint64{}
		s.ByState[e.Proto] = states
	}
	states[e.StateOrStatus()]++
	s.Entries++
	s.Lines++
	s.ByZone[strconv.FormatUint(uint64(e.Zone), 10)]++
	if e.Unreplied {
		s.Unreplied++
	}
	if e.Assured {
		s.Assured++
	}
}
