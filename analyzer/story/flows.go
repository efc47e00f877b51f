package story

import (
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/listing"
)

// ranked are the keys by which connections are picked for the table of the worst ones.
var ranked = []string{"syn", "synack", "retransmits", "zero-windows", "handshake", "rtt-p99", "think", "bytes"}

// perKey is how many connections are kept by each key.
const perKey = 20

// Flows collects, in the one pass over the packets, which connections show most. It takes what
// evidence.Options hands out.
type Flows struct {
	by    []*listing.Ranking // by index of ranked
	waits map[netip.AddrPort]*wait
	came  map[netip.AddrPort]*arrivals
	bins  int // of all arrivals
	all   uint64
}

// arrivals counts by bins what came to a service.
type arrivals struct {
	syns map[int64]uint32 // SYNs, repetitions included
	acks map[int64]uint32 // what completes a handshake for the client, whatever the server makes of it
}

const (
	// arrivalBin is as long as a recorder's tick, by which queues are read, in ns.
	arrivalBin = int64(250e6)
	// mostBins bounds the bins of all services: some MB.
	mostBins = 1 << 17
)

// arrive counts a packet that came to a service.
func (c *Flows) arrive(by map[int64]uint32, at int64) {
	bin := at / arrivalBin
	n, known := by[bin]
	if !known {
		if c.bins >= mostBins {
			return
		}
		c.bins++
	}
	by[bin] = n + 1
}

// arrivalsAt gives what came to the services that are meant, by the Unix ns at which bins end: all bins between two times.
func (c *Flows) arrivalsAt(from, to int64, meant func(netip.AddrPort) bool) (ends []int64, syns, acks []float64) {
	if c == nil {
		return nil, nil, nil
	}
	var found []*arrivals
	for service, a := range c.came {
		if meant(service) {
			found = append(found, a)
		}
	}
	for bin := from/arrivalBin - 1; bin <= to/arrivalBin && len(found) > 0 && len(ends) < mostBins; bin++ {
		var s, a uint32
		for _, f := range found {
			s, a = s+f.syns[bin], a+f.acks[bin]
		}
		ends, syns, acks = append(ends, (bin+1)*arrivalBin), append(syns, float64(s)), append(acks, float64(a))
	}
	return ends, syns, acks
}

// wait sums up how long clients of a service waited until they were connected.
type wait struct {
	attempts uint64 // whose SYN was captured
	late     uint64 // connected only after a SYN or a SYN-ACK had been sent again
	never    uint64 // not connected when the capture ended
	least    int64  // ns, of the late ones
	most     int64
}

// mostServices bounds the services whose waits are kept apart.
const mostServices = 4096

// NewFlows is empty.
func NewFlows() *Flows {
	c := &Flows{waits: map[netip.AddrPort]*wait{}, came: map[netip.AddrPort]*arrivals{}}
	for _, name := range ranked {
		c.by = append(c.by, listing.NewRanking(listing.FindKey(name), perKey))
	}
	return c
}

// Add takes a connection that has ended.
func (c *Flows) Add(f *flow.Flow) {
	c.all++
	for _, r := range c.by {
		r.Add(f)
	}
	h := &f.Handshake
	if len(h.SYNs) == 0 {
		return
	}
	w := c.waits[f.Server]
	if w == nil {
		if len(c.waits) >= mostServices {
			return
		}
		w = &wait{}
		c.waits[f.Server] = w
		c.came[f.Server] = &arrivals{syns: map[int64]uint32{}, acks: map[int64]uint32{}}
	}
	for i := range h.SYNs {
		c.arrive(c.came[f.Server].syns, h.SYNs[i].Time)
	}
	if h.Completed {
		c.arrive(c.came[f.Server].acks, h.AckTime)
	}
	w.attempts++
	// Who does not ask again does not wait: a flood's addresses, a scanner, a client that has left. Nor does who had the answer before
	// anything was sent again, as where the server did not get or not want his ACK.
	switch took := h.AckTime - h.SYNs[0].Time; {
	case !h.Completed && h.SYNRetransmits > 0:
		w.never++
	case h.Completed && took > 0 && (again(h.SYNs, h.AckTime) || again(h.SYNACKs, h.AckTime)):
		w.late++
		w.most = max(w.most, took)
		if w.least == 0 || took < w.least {
			w.least = took
		}
	}
}

// again says whether something had been sent a second time before a moment.
func again(sent []flow.Sent, before int64) bool { return len(sent) > 1 && sent[1].Time < before }

// top gives the first connections by a key.
func (c *Flows) top(key string) []*listing.Row {
	at := slices.Index(ranked, key)
	if c == nil || at < 0 {
		return nil
	}
	return c.by[at].Sorted()
}

// worst gives every connection that is kept, each once, in the order of the keys.
func (c *Flows) worst() []*listing.Row {
	var all []*listing.Row
	seen := map[uint64]bool{}
	for _, key := range ranked {
		for _, r := range c.top(key) {
			if !seen[r.Flow] {
				seen[r.Flow] = true
				all = append(all, r)
			}
		}
	}
	return all
}
