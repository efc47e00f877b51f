package evidence

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"

	"github.com/spikebox/spikebox/format/member"
)

const (
	// maxSources is enough for a verdict that names the worst.
	maxSources = 20
	// mostSources bounds the addresses that are counted apart, 8 MB: a flood has any number
	// of forged ones, each with an entry.
	mostSources = 100_000
	// mostStates bounds the words that are taken for states and protocols; the kernel has some
	// 30.
	mostStates = 100
	// otherState counts what is beyond.
	otherState = "OTHER"
)

// Translation is what connection tracking made of the addresses of TCP connections: what a client asked for and which server
// had it, and who the client was and as whom the server had it.
type Translation struct {
	Client, Seen  netip.Addr
	Asked, Server netip.AddrPort
}

// mostTranslations bounds those that are kept, some 10 MB: clients times services.
const mostTranslations = 50_000

// translate notes an entry of TCP that was translated.
func (e *Evidence) translate(c *member.ConntrackEntry) {
	t := Translation{c.Orig.Src, c.Reply.Dst, netip.AddrPortFrom(c.Orig.Dst, c.Orig.DstPort), netip.AddrPortFrom(c.Reply.Src, c.Reply.SrcPort)}
	if c.Proto != "tcp" || t.Client == t.Seen && t.Asked == t.Server {
		return
	}
	if _, known := e.Translations[t]; !known && len(e.Translations) >= mostTranslations {
		return
	}
	if e.Translations == nil {
		e.Translations = map[Translation]uint64{}
	}
	e.Translations[t]++
}

// sumConntrack sums up conntrack.txt, for where the summary is missing, and hands over each entry.
func sumConntrack(r io.Reader, each func(*member.ConntrackEntry)) (*member.ConntrackSummary, error) {
	s := &member.ConntrackSummary{ByState: map[string]map[string]uint64{}, ByZone: map[string]uint64{}}
	sources, left := map[netip.Addr]uint64{}, 0
	err := member.EachConntrack(r, func(e *member.ConntrackEntry) {
		countConntrack(s, e)
		each(e)
		if _, known := sources[e.Orig.Src]; !known && len(sources) >= mostSources {
			left++
			return
		}
		sources[e.Orig.Src]++
	})
	for addr, n := range sources {
		s.TopSources = append(s.TopSources, member.ConntrackSource{Addr: addr, Entries: n})
	}
	slices.SortFunc(s.TopSources, func(a, b member.ConntrackSource) int {
		return cmp.Or(cmp.Compare(b.Entries, a.Entries), a.Addr.Compare(b.Addr))
	})
	s.TopSources = slices.Clone(s.TopSources[:min(len(s.TopSources), maxSources)])
	if left > 0 && err == nil {
		err = fmt.Errorf("only the first %d source addresses are counted apart: %d entries of others are not", mostSources, left)
	}
	return s, err
}

// countConntrack adds an entry.
func countConntrack(s *member.ConntrackSummary, e *member.ConntrackEntry) {
	proto, state := e.Proto, e.StateOrStatus()
	if s.ByState[proto] == nil && len(s.ByState) >= mostStates {
		proto = otherState
	}
	states := s.ByState[proto]
	if states == nil {
		states = map[string]uint64{}
		s.ByState[proto] = states
	}
	if _, known := states[state]; !known && len(states) >= mostStates {
		state = otherState
	}
	states[state]++
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
