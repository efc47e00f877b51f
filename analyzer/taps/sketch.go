package taps

import (
	"cmp"
	"slices"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// sampled is how many packets a sketch keeps, 1.5 MB: some hundred for each second of a window of
// minutes, among which a round trip that did not wait is nearly always.
const sampled = 1 << 16

// Sketch is a sample of an input's packets, to compare with another input's before anything is known of
// their clocks. It holds those whose identities have the smallest hashes: two inputs that saw the same
// packets hold the same ones, however many there were, and in memory of fixed size.
type Sketch struct {
	First, Last int64 // Unix ns of the input's own clock; 0 without a packet
	Bound       int64 // ns by which that clock is wrong at most; 0 where nothing keeps it right

	list []sample
	most uint64 // no larger hash is kept
}

// sample is one packet.
type sample struct {
	id      uint64
	time    int64
	ts      uint32 // TSval, 0 without one
	group   uint32 // its service
	replies bool   // the service sent it
}

// Add takes packets.
func (s *Sketch) Add(packets []packet.Packet) {
	for i := range packets {
		p := &packets[i]
		if s.First == 0 || p.Time < s.First {
			s.First = p.Time
		}
		s.Last = max(s.Last, p.Time)
		if p.Kind == packet.TCP && decisive(p) {
			s.add(p)
		}
	}
}

// add keeps a packet if its hash is small enough.
func (s *Sketch) add(p *packet.Packet) {
	id := distinct(p)
	if s.most != 0 && id > s.most {
		return
	}
	m := sample{id: id, time: p.Time, ts: p.TSval}
	m.group, m.replies = service(p)
	s.list = append(s.list, m)
	if len(s.list) >= 2*sampled {
		s.cut()
	}
}

// cut sorts the list by hash and drops what is too much of it. Of a packet that came several times, at
// two interfaces or since it was repeated without a timestamp, the first stays: whichever of them the
// other input has seen, it cannot have seen it before it was sent.
func (s *Sketch) cut() {
	slices.SortFunc(s.list, func(a, b sample) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.time, b.time))
	})
	s.list = slices.CompactFunc(s.list, func(a, b sample) bool { return a.id == b.id })
	if len(s.list) > sampled {
		s.list = s.list[:sampled]
		s.most = s.list[sampled-1].id
	}
}

// shared gives the packets that both hold, as this one saw them, with the time at the other.
func (s *Sketch) shared(other *Sketch) (all []crossing) {
	s.cut()
	other.cut()
	rest := other.list
	for i := range s.list {
		m := &s.list[i]
		for len(rest) > 0 && rest[0].id < m.id {
			rest = rest[1:]
		}
		if len(rest) > 0 && rest[0].id == m.id && sameStamp(rest[0].ts, m.ts) {
			all = append(all, crossing{at: m.time, apart: rest[0].time - m.time, group: m.group, replies: m.replies})
		}
	}
	return all
}
