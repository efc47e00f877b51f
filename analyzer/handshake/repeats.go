package handshake

import (
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// Repeats is what is known of one kind of trouble at one service.
type Repeats struct {
	Flows       uint64
	Fed         uint64 // of Flows, those whose SYN-ACK was repeated after the client's data had come
	First, Last int64  // Unix ns of the first repeated transmission's original and of the last repetition
	Schedules   [8]uint64
	// Clients are their addresses, at most MaxClients of them.
	Clients  map[netip.Addr]uint64
	Examples []Handshake // those with the most repetitions, at most maxExamples
}

// MaxClients bounds the clients that are kept for a kind of trouble: a verdict names the
// worst few, and a flood has any number of forged ones.
const MaxClients = 1000

// maxExamples is enough for a reader to look at, and for every lab incident to be complete.
const maxExamples = 16

// Handshake is one flow's handshake, kept as an example.
type Handshake struct {
	Client, Server netip.AddrPort
	SYNs, SYNACKs  []flow.Sent
	SYNSchedule    flow.Schedule
	SYNACKSchedule flow.Schedule
	End            flow.End
	Filter         string // for Wireshark
}

// add counts a flow, with the time from its first transmission to its last.
func (r *Repeats) add(f *flow.Flow, sent []flow.Sent, schedule flow.Schedule, kept *stock) {
	r.Flows++
	first, last := sent[0].Time, sent[len(sent)-1].Time
	if r.Flows == 1 || first < r.First {
		r.First = first
	}
	r.Last = max(r.Last, last)
	r.Schedules[schedule]++
	if slices.ContainsFunc(sent, func(s flow.Sent) bool { return s.Fed }) {
		r.Fed++
	}
	if r.Clients == nil {
		r.Clients = map[netip.Addr]uint64{}
	}
	// By address without the port: a client that tries again does so from another port.
	client := f.Client.Addr()
	_, known := r.Clients[client]
	if !known && len(r.Clients) < MaxClients && kept.clients < mostClients {
		kept.clients++
		known = true
	}
	if known {
		r.Clients[client]++
	}
	r.example(f, len(sent), kept)
}

// example keeps the flow if it has more repetitions than one that is kept: those show
// a schedule best. Once the stock is used up, a kind of trouble still gets its first, cut short:
// findings tell of one.
func (r *Repeats) example(f *flow.Flow, transmissions int, kept *stock) {
	syns, synacks := f.Handshake.SYNs, f.Handshake.SYNACKs
	if kept.sents >= mostSents {
		if len(r.Examples) > 0 {
			return
		}
		const few = 4
		syns, synacks = syns[:min(len(syns), few)], synacks[:min(len(synacks), few)]
	}
	at := len(r.Examples)
	if at == maxExamples {
		at = slices.IndexFunc(r.Examples, func(h Handshake) bool { return h.transmissions() < transmissions })
		if at < 0 {
			return
		}
		kept.sents -= len(r.Examples[at].SYNs) + len(r.Examples[at].SYNACKs)
	} else {
		r.Examples = append(r.Examples, Handshake{})
	}
	kept.sents += len(syns) + len(synacks)
	h := &f.Handshake
	r.Examples[at] = Handshake{
		Client: f.Client, Server: f.Server,
		SYNs: slices.Clone(syns), SYNACKs: slices.Clone(synacks),
		SYNSchedule: h.SYNSchedule, SYNACKSchedule: h.SYNACKSchedule,
		End: f.End, Filter: f.Filter(),
	}
}

// transmissions is how much of a schedule the handshake shows.
func (h *Handshake) transmissions() int { return max(len(h.SYNs), len(h.SYNACKs)) }
