// Package traffic says what went wrong in connections once they were set up, or instead of it: who
// refused, reset, fell silent, stopped reading or took long to answer, by service and second, and how
// much was sent again on the way to and from each address.
//
// All sums are of the kind that does not depend on the order in which flows come.
package traffic

import (
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/flow"
)

// Kind is something that may happen to a connection.
type Kind uint8

// The kinds. The side of each is given in brackets.
const (
	Refused      Kind = iota // a RST answered the SYN (server)
	Unreachable              // an ICMP error answered the SYN (server)
	Ignored                  // nothing ever answered the SYN, though it was repeated (server)
	ResetAsked               // reset while a request waited for its answer (who reset)
	ResetBusy                // reset while data of the peer was on its way (who reset)
	ResetIdle                // reset when nothing was outstanding, or both had closed (who reset)
	ResetAfter               // reset by a side that had closed, as the other still sent: a goodbye, an answer to somebody who has left (who reset)
	ResetHalf                // reset before the handshake was complete (who reset)
	Foreign                  // reset by another machine than either end (flow.Foreign), in none of the kinds above then; Value is 1 if it cut off a request or data (in whose name)
	Closed                   // stopped reading: the receive window was closed; Value is ns (who stopped)
	Shrunk                   // the window's right edge moved left; Value is bytes (who moved it)
	Vanished                 // fell silent for good while the other repeated its data; Value is ns (who fell silent)
	LargeLost                // large segments were never acknowledged, smaller ones were, from when the other side was heard last; Value is bytes (who sent them)
	LargeMissed              // of LargeLost, those where the other side is there and has not got it: it reported a gap, or was heard after the segment had been sent again; Value is bytes (who sent them)
	LargeMissing             // more bytes than a large segment's never came, though what was sent behind them did, from when that was; Value is bytes (who sent them)
	Waiting                  // a request was not answered when the capture ended, at its time (server)
	GaveUp                   // the client ended a connection on which its request had no answer for a second, at the request's time; Value is ns (server)
	Dismissed                // the server ended one with a FIN in place of an answer (server)
	Half                     // the SYN was not repeated, and no ACK ever came, nor a RST; at the SYN's time (client)
	Deferred                 // a SYN-ACK was repeated although the server's TCP had taken the ACK (server)
	kinds
)

// Service is what happened to the connections to one address and port.
type Service struct {
	Server netip.AddrPort // not valid for those that are summed up together
	Flows  uint64
	Begun  uint64 // of them, those that were set up in the capture
	// BegunLast is the Unix ns of the first packet of the latest of those that needed no second SYN.
	BegunLast int64
	Answers   []Answers
	Clients   map[netip.Addr]uint64 // flows by client, at most MaxClients
	hits      [kinds][2]*Hits
}

// none is what did not happen.
var none Hits

// Hits gives what happened of one kind, with one side as the one that did it; never nil.
func (v *Service) Hits(k Kind, side flow.Side) *Hits {
	if h := v.hits[k][side]; h != nil {
		return h
	}
	return &none
}

const (
	// maxServices bounds the services that are kept apart; those beyond are summed up together.
	maxServices = 10000
	// MaxClients bounds the clients of a service and of what happened there: a verdict names few.
	MaxClients = 256
	// mostEntries bounds clients, seconds and examples of all services together, to some 40 MB.
	mostEntries = 400_000
)

// Sums collects flows and their events. The zero value is empty.
type Sums struct {
	byAddr map[netip.AddrPort]*Service
	rest   Service
	paths  map[netip.Addr]*Path
	kept   int // entries of mostEntries
}

// room takes an entry out of the stock.
func (s *Sums) room() bool {
	if s.kept >= mostEntries {
		return false
	}
	s.kept++
	return true
}

// service gives the sums of one server, or those of all that are too many.
func (s *Sums) service(server netip.AddrPort) *Service {
	if v := s.byAddr[server]; v != nil {
		return v
	}
	if len(s.byAddr) >= maxServices {
		return &s.rest
	}
	if s.byAddr == nil {
		s.byAddr = map[netip.AddrPort]*Service{}
	}
	v := &Service{Server: server}
	s.byAddr[server] = v
	return v
}

// hits gives the sums of one kind.
func (v *Service) at(k Kind, side flow.Side) *Hits {
	if v.hits[k][side] == nil {
		v.hits[k][side] = &Hits{}
	}
	return v.hits[k][side]
}

// Event takes an event of a flow; of most kinds nothing is kept.
func (s *Sums) Event(e *flow.Event) {
	switch e.Kind {
	case flow.EventThink:
		s.think(e)
	case flow.EventRetransmit:
		s.again(e)
	case flow.EventWindowOpen:
		if e.Value < LongClosed {
			return
		}
		s.service(e.Flow.Server).at(Closed, e.Side).during(e.Time-e.Value, e.Time, s)
	case flow.EventWindowShrunk:
		s.service(e.Flow.Server).at(Shrunk, e.Side).during(e.Time, e.Time, s)
	}
}

// Flow takes a flow that has ended.
func (s *Sums) Flow(f *flow.Flow) {
	v := s.service(f.Server)
	v.Flows++
	if len(f.Handshake.SYNs) > 0 && f.Handshake.Completed {
		v.Begun++
		if f.Handshake.SYNRetransmits == 0 {
			v.BegunLast = max(v.BegunLast, f.First)
		}
		if p := s.to(f.Client.Addr()); p != nil {
			p.Begun = max(p.Begun, f.First)
		}
	}
	v.client(f, s)
	s.path(f)
	s.opening(v, f)
	s.resets(v, f)
	s.unanswered(v, f)
	s.windows(v, f)
	s.silences(v, f)
}

// client counts the flow for its client.
func (v *Service) client(f *flow.Flow, s *Sums) {
	c := f.Client.Addr()
	if _, known := v.Clients[c]; !known && (len(v.Clients) >= MaxClients || !s.room()) {
		return
	}
	if v.Clients == nil {
		v.Clients = map[netip.Addr]uint64{}
	}
	v.Clients[c]++
}

// opening counts what became of the SYN.
func (s *Sums) opening(v *Service, f *flow.Flow) {
	h := &f.Handshake
	switch {
	case len(h.SYNs) == 0:
		return
	case f.End == flow.Refused:
		v.at(Refused, flow.Server).add(f, f.EndTime, 0, s)
	case f.ICMPErrors > 0 && len(h.SYNACKs) == 0:
		v.at(Unreachable, flow.Server).add(f, f.Last, 0, s)
	case f.End == flow.Unanswered && h.SYNRetransmits > 0:
		v.at(Ignored, flow.Server).add(f, f.Last, f.Last-f.First, s)
	case !h.Completed && h.SYNRetransmits == 0 && f.C2S().Distinct() == 1:
		v.at(Half, flow.Client).add(f, f.First, 0, s)
	}
	for i := range h.SYNACKs {
		if h.SYNACKs[i].Taken && i > 0 {
			v.at(Deferred, flow.Server).add(f, h.SYNACKs[i].Time, 0, s)
			break
		}
	}
}

// resets counts a reset by what was going on. One behind both FINs ends nothing.
func (s *Sums) resets(v *Service, f *flow.Flow) {
	if f.End != flow.ResetByClient && f.End != flow.ResetByServer || f.ResetState == flow.StateClosed {
		return
	}
	by := flow.Client
	if f.End == flow.ResetByServer {
		by = flow.Server
	}
	kind := ResetIdle
	since, asking := f.Asking()
	switch peer := &f.Dirs[by.Other()]; {
	case f.ResetState <= flow.StateSynReceived:
		kind = ResetHalf
	case asking && since <= f.EndTime && (by == flow.Client || f.C2S().Fins == 0): // who has closed waits for nothing
		kind = ResetAsked
	case f.Dirs[by].Fins > 0: // who has closed wants nothing of what still comes
		kind = ResetAfter
	case peer.Outstanding() > 0 && peer.Fins == 0 && !f.ResetTook: // a client that has its answer may end with a RST, which acknowledges it
		kind = ResetBusy
	}
	if !f.Foreign.Is() {
		v.at(kind, by).add(f, f.EndTime, 0, s)
		return
	}
	middle := int64(0)
	if kind == ResetAsked || kind == ResetBusy {
		middle = 1
	}
	v.at(Foreign, by).add(f, f.EndTime, middle, s) // and neither end's doing
}

// LongClosed is how long a window must be closed to be counted, in ns. A receiver whose program is on the
// CPU opens it again within milliseconds.
const LongClosed = 1_000_000_000

// windows counts the sides that stopped reading.
func (s *Sums) windows(v *Service, f *flow.Flow) {
	for side := range f.Dirs {
		d, side := &f.Dirs[side], flow.Side(side)
		if d.ZeroWindowTime >= LongClosed {
			h := v.at(Closed, side)
			if since, closed := d.ClosedSince(); closed && f.Last-since >= LongClosed {
				h.during(since, f.Last, s)
			}
			h.count(f, d.ZeroWindowTime, s)
		}
		if d.WindowShrunk > 0 {
			v.at(Shrunk, side).count(f, int64(d.WindowShrunk), s)
		}
	}
}

const (
	// persistent is how often a segment must have been sent to call the other side silent: three
	// timeouts in a row are 1.4 s at least (0.2, 0.4 and 0.8 s), and no single loss.
	persistent = 4
	// silent is how long that lasted at least, in ns: a phone that changes its cell is away for a second or two.
	silent = 3_000_000_000
	// large is a segment that the smallest path MTU in use (1280 and 576 bytes) does not let pass, in bytes.
	large = 1240
)

// Patience is how long a client waits at least that has given up, in ns: who only says goodbye, as TLS does,
// or cancels what it has asked, is gone sooner.
const Patience = 1_000_000_000

// unanswered counts a last request without an answer by what became of it, where the server's kernel has it: of what
// was lost on the way others tell. What a reset by the server ends is told by resets.
func (s *Sums) unanswered(v *Service, f *flow.Flow) {
	since, asking := f.Asking()
	if !asking || !f.ServerKnown() || f.Foreign.Is() || f.C2S().Outstanding() > 0 {
		return
	}
	client, server := closed(f.C2S()), closed(f.S2C())
	if client == 0 && f.End == flow.ResetByClient {
		client = f.EndTime
	}
	switch {
	case server >= since && (client == 0 || server < client):
		v.at(Dismissed, flow.Server).add(f, server, 0, s)
	case client-since >= Patience:
		v.at(GaveUp, flow.Server).add(f, since, client-since, s)
	case client == 0 && f.End == flow.Open:
		v.at(Waiting, flow.Server).add(f, since, 0, s)
	}
}

// closed gives when one side sent its FIN, 0 where it did not.
func closed(d *flow.Direction) int64 {
	if len(d.FINs) == 0 {
		return 0
	}
	return d.FINs[0].Time
}

// silences counts the sides that said nothing more while the other asked.
func (s *Sums) silences(v *Service, f *flow.Flow) {
	for side := range f.Dirs {
		d, side := &f.Dirs[side], flow.Side(side)
		stuck, ok := d.Stuck()
		if bytes, since, gap := d.Missing(); gap && bytes >= large && f.End == flow.Open {
			v.at(LargeMissing, side).add(f, since, int64(bytes), s)
		}
		if !ok || untaken(f) || len(f.Handshake.SYNs) > 0 && !f.Handshake.Completed {
			continue // of a handshake, syn-retransmit and its like tell
		}
		if f.Dirs[side.Other()].Packets == 0 {
			continue // one way is all that was captured: it may have been acknowledged on the other
		}
		heard := f.Dirs[side.Other()].Heard()
		const fewTries = 3
		if stuck.Tries >= fewTries && stuck.Len >= large && d.Acknowledged() < stuck.Len {
			since := min(max(heard, f.First), stuck.Last)
			v.at(LargeLost, side).over(f, since, stuck.Last, int64(stuck.Len), s)
			if heard > stuck.Again || stuck.Gap {
				v.at(LargeMissed, side).over(f, since, stuck.Last, int64(stuck.Len), s)
			}
		} else if stuck.Tries >= persistent && f.Last-heard >= silent && heard > 0 {
			v.at(Vanished, side.Other()).add(f, heard, f.Last-heard, s)
		}
	}
}

// List gives the services by address, those beyond the limit as one at the end.
func (s *Sums) List() []*Service {
	all := make([]*Service, 0, len(s.byAddr)+1)
	for _, v := range s.byAddr {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b *Service) int { return a.Server.Compare(b.Server) })
	if s.rest.Flows > 0 {
		all = append(all, &s.rest)
	}
	return all
}
