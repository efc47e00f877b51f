package evidence

import (
	"io"
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/format/member"
)

// readAddresses keeps the host's own addresses. The recorder lists at most 10,000 (SPEC.md,
// "static/netlink/").
func (e *Evidence) readAddresses(_ string, r io.Reader) error {
	text, err := e.whole(r)
	if text == nil && err != nil {
		return err
	}
	list, err := member.ParseAddresses(text)
	e.Own, e.OwnAt, e.InUse = map[netip.Addr]bool{}, map[netip.Addr]string{}, map[netip.Addr]bool{}
	for i := range list {
		if p, wrong := netip.ParsePrefix(list[i].Local); wrong == nil {
			a := p.Addr().Unmap().WithZone("")
			e.Own[a], e.OwnAt[a] = true, list[i].Interface
			e.InUse[a] = slices.Contains(list[i].Flags, "dadfailed")
		}
	}
	return err
}
