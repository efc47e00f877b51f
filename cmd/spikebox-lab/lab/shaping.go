//go:build linux

package lab

import (
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
)

// Shape lets an interface of the host send rate bytes a second at most, and queue
// limit bytes, by a token bucket in place of its queueing discipline (tc-tbf(8)). Set
// again, it changes the rate in place.
func (h *Host) Shape(link string, rate uint64, limit uint32) {
	h.must(func() error {
		l, err := netlink.LinkByName(link)
		if err != nil {
			return fmt.Errorf("find interface %s: %w", link, err)
		}
		// The bucket holds 4 full packets or 10 ms, whichever is more: a bucket below
		// one timer tick's worth cannot reach the rate.
		burst := max(4*1514, uint32(rate/100))
		q := &netlink.Tbf{
			QdiscAttrs: netlink.QdiscAttrs{
				LinkIndex: l.Attrs().Index,
				Handle:    netlink.MakeHandle(1, 0),
				Parent:    netlink.HANDLE_ROOT,
			},
			Rate:   rate,
			Limit:  limit,
			Buffer: netlink.Xmittime(rate, burst),
		}
		if err := netlink.QdiscReplace(q); err != nil {
			return fmt.Errorf("shape %s to %d B/s: %w", link, rate, err)
		}
		return nil
	})
}

// Steer lets one CPU receive all packets of an interface of the host
// (Documentation/networking/scaling.rst, RPS). It needs NeedTwoCPUs.
func (h *Host) Steer(link string, cpu int) {
	h.must(func() error {
		path := fmt.Sprintf("/sys/class/net/%s/queues/rx-0/rps_cpus", link)
		if err := os.WriteFile(path, fmt.Appendf(nil, "%x", 1<<cpu), 0); err != nil {
			return fmt.Errorf("steer packets: %w", err)
		}
		return nil
	})
}
