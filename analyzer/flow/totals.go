package flow

import "net/netip"

// Totals sums up every flow that has ended.
type Totals struct {
	Packets           uint64 // all packets given to the table, TCP or not
	TCPPackets        uint64
	Flows             uint64
	Retransmitted     map[netip.Addr]uint64 // segments by sender; netip.Addr{} for those beyond 65,536
	Reordered         uint64
	Ambiguous         uint64
	CaptureDuplicates uint64
	PeakFlows         int    // most flows alive at once
	EndedEarly        uint64 // flows that ended because all of them took too much memory
}

// maxSenders bounds the senders that are counted apart, to 4 MB.
const maxSenders = 1 << 16

// flow adds a flow that has ended.
func (t *Totals) flow(f *Flow) {
	t.Flows++
	for side := range f.Dirs {
		d := &f.Dirs[side]
		t.Reordered += uint64(d.Reordered)
		t.Ambiguous += uint64(d.Ambiguous)
		t.CaptureDuplicates += uint64(d.CaptureDuplicates)
		if d.Retransmits == 0 {
			continue
		}
		sender := f.Client.Addr()
		if Side(side) == Server {
			sender = f.Server.Addr()
		}
		// A flood of forged addresses must not cost memory for each: the rest is counted together.
		if _, known := t.Retransmitted[sender]; !known && len(t.Retransmitted) >= maxSenders {
			sender = netip.Addr{}
		}
		t.Retransmitted[sender] += uint64(d.Retransmits)
	}
}
