package flow

import "net/netip"

// Totals sums up every flow that has ended, in the form of `analyze --json`.
type Totals struct {
	Packets           uint64                `json:"packets"` // all packets given to the table, TCP or not
	TCPPackets        uint64                `json:"tcp_packets"`
	Flows             uint64                `json:"flows"`
	Retransmitted     map[netip.Addr]uint64 `json:"retransmitted"` // segments by sender
	Reordered         uint64                `json:"reordered"`
	Ambiguous         uint64                `json:"ambiguous"`
	CaptureDuplicates uint64                `json:"capture_duplicates"`
	PeakFlows         int                   `json:"peak_flows"` // most flows alive at once
}

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
		t.Retransmitted[sender] += uint64(d.Retransmits)
	}
}
