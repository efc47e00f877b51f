package evidence

import (
	"io"
	"net/netip"

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
	e.Own, e.OwnAt = map[netip.Addr]bool{}, map[netip.Addr]string{}
	for i := range list {
		if p, wrong := netip.ParsePrefix(list[i].Local); wrong == nil {
			a := p.Addr().Unmap().WithZone("")
			e.Own[a], e.OwnAt[a] = true, list[i].Interface
		}
	}
	return err
}
