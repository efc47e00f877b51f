package listing

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// Selection leaves the flows of which an end lies in one of the prefixes and an end has
// one of the ports; without any of a kind, that kind does not matter.
type Selection struct {
	Peers []netip.Prefix
	Ports []uint
}

// Has says whether a flow is left.
func (s *Selection) Has(f *flow.Flow) bool {
	in := func(p netip.Prefix) bool {
		return p.Contains(f.Client.Addr().Unmap()) || p.Contains(f.Server.Addr().Unmap())
	}
	at := func(p uint) bool { return p == uint(f.Client.Port()) || p == uint(f.Server.Port()) }
	return (len(s.Peers) == 0 || slices.ContainsFunc(s.Peers, in)) &&
		(len(s.Ports) == 0 || slices.ContainsFunc(s.Ports, at))
}

// Which reads what names a flow, its number in the listing or its two ends in either order,
// and gives what says whether it is meant.
func Which(text string) (meant func(*flow.Flow) bool, err error) {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil && n > 0 {
		return func(f *flow.Flow) bool { return f.Number() == n }, nil
	}
	left, right, _ := strings.Cut(text, "-")
	a, aerr := netip.ParseAddrPort(left)
	b, berr := netip.ParseAddrPort(right)
	if aerr != nil || berr != nil {
		return nil, fmt.Errorf("flow %q: want its number in the listing, or both ends as in 192.0.2.7:41000-192.0.2.1:443", text)
	}
	return func(f *flow.Flow) bool {
		return f.Client == a && f.Server == b || f.Client == b && f.Server == a
	}, nil
}
