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
	all   uint64
}

// wait sums up how long clients of a service waited until they were connected.
type wait struct {
	attempts uint64 // whose SYN was captured
	late     uint64 // connected after they had sent or been sent something again
	never    uint64 // not connected when the capture ended
	least    int64  // ns, of the late ones
	most     int64
}

// mostServices bounds the services whose waits are kept apart.
const mostServices = 4096

// NewFlows is empty.
func NewFlows() *Flows {
	c := &Flows{waits: map[netip.AddrPort]*wait{}}
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
	}
	w.attempts++
	// Who does not ask again does not wait: a flood's addresses, a scanner, a client that has left.
	switch took := h.AckTime - h.SYNs[0].Time; {
	case !h.Completed && h.SYNRetransmits > 0:
		w.never++
	case h.Completed && took > 0 && h.SYNRetransmits+h.SYNACKRetransmits > 0:
		w.late++
		w.most = max(w.most, took)
		if w.least == 0 || took < w.least {
			w.least = took
		}
	}
}

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
