package traffic

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// Asked is what was asked of a service by UDP, as one interface saw it. Who sends the first datagram of two addresses and ports asks; what is
// sent until an answer comes is one question.
type Asked struct {
	Server           netip.AddrPort
	Interface, Input uint16
	Answered         uint64
	LastAnswer       int64      // Unix ns
	Unanswered       []Question // that were never, or not within a second; ascending
	Left             uint64     // more of them
}

// Question is one.
type Question struct {
	Time  int64 // Unix ns
	Late  int64 // ns until its answer; 0: none came
	Frame uint64
	From  netip.AddrPort
}

const (
	// lateDatagram is a wait after which resolvers ask again, and people notice, in ns.
	lateDatagram  = 1_000_000_000
	maxAsked      = 1000
	maxUnanswered = 1 << 16 // of all services
	maxTalks      = 1 << 14
	// talkEnds is how long after its last datagram a question is over that got no answer, in ns.
	talkEnds = 5_000_000_000
	// walkEach is how many datagrams that found no room a walk through all talks is for: sixteen steps for each. With a walk for
	// each of them a flood of two million from made-up addresses took minutes.
	walkEach = maxTalks / 16
)

// Datagrams follows questions and answers by UDP, by addresses and ports alone. The zero value is empty.
type Datagrams struct {
	services map[place]*Asked
	talks    map[talk]*waiting
	kept     int // of maxUnanswered
	refused  int // that found no room
}

// place is a service at an interface.
type place struct {
	server       netip.AddrPort
	iface, input uint16
}

// talk is a client's with it.
type talk struct {
	client netip.AddrPort
	place
}

// waiting is a question without an answer yet; a time of 0: there is none.
type waiting struct {
	time, last int64
	frame      uint64
	answered   bool // ever
}

// Add takes a datagram; those to many are no questions.
func (d *Datagrams) Add(p *packet.Packet) {
	from, to := p.SrcAddrPort(), p.DstAddrPort()
	if to.Addr().IsMulticast() || to.Addr() == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return
	}
	back := talk{to, place{from, p.Interface, p.Input}}
	if w := d.talks[back]; w != nil {
		d.answer(back, w, p.Time)
		return
	}
	key := talk{from, place{to, p.Interface, p.Input}}
	w := d.talks[key]
	if w == nil {
		if len(d.talks) >= maxTalks && !d.forget(p.Time) {
			return
		}
		if d.talks == nil {
			d.talks, d.services = map[talk]*waiting{}, map[place]*Asked{}
		}
		w = &waiting{}
		d.talks[key] = w
	}
	if w.time != 0 && p.Time-w.last > talkEnds {
		d.unanswered(key, w, 0)
		w.time = 0
	}
	if w.time == 0 {
		w.time, w.frame = p.Time, p.Frame
	}
	w.last = p.Time
}

// answer ends a question.
func (d *Datagrams) answer(key talk, w *waiting, now int64) {
	s := d.service(key.place)
	if s == nil {
		return
	}
	s.LastAnswer = max(s.LastAnswer, now)
	switch {
	case w.time == 0: // more of an answer
	case now-w.time >= lateDatagram:
		d.unanswered(key, w, now-w.time)
	default:
		s.Answered++
	}
	w.time, w.answered = 0, true
}

// unanswered keeps a question that was not answered in time. The last word of a conversation needs no answer: of one that
// had some it must have been said again.
func (d *Datagrams) unanswered(key talk, w *waiting, late int64) {
	s := d.service(key.place)
	if s == nil || w.answered && late == 0 && w.last-w.time < lateDatagram {
		return
	}
	if d.kept >= maxUnanswered {
		s.Left++
		return
	}
	d.kept++
	s.Unanswered = append(s.Unanswered, Question{w.time, late, w.frame, key.client})
}

// service gives what is known of one; nil where there are too many.
func (d *Datagrams) service(p place) *Asked {
	s := d.services[p]
	if s == nil && len(d.services) < maxAsked {
		s = &Asked{Server: p.server, Interface: p.iface, Input: p.input}
		d.services[p] = s
	}
	return s
}

// forget makes room, now and then: of talks that are over.
func (d *Datagrams) forget(now int64) bool {
	if d.refused++; d.refused%walkEach != 1 {
		return false
	}
	for key, w := range d.talks {
		if now-w.last > talkEnds {
			d.end(key, w, now)
			delete(d.talks, key)
		}
	}
	return len(d.talks) < maxTalks
}

// end tells of a question that waits still, and has for long enough.
func (d *Datagrams) end(key talk, w *waiting, now int64) {
	if w.time != 0 && now-w.time >= lateDatagram {
		d.unanswered(key, w, 0)
	}
}

// List gives the services when all is read, in the order of their addresses.
func (d *Datagrams) List(last int64) []*Asked {
	for key, w := range d.talks {
		d.end(key, w, last)
	}
	d.talks = nil
	list := make([]*Asked, 0, len(d.services))
	for _, s := range d.services {
		slices.SortFunc(s.Unanswered, func(a, b Question) int { return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Frame, b.Frame)) })
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *Asked) int {
		return cmp.Or(a.Server.Compare(b.Server), cmp.Compare(a.Input, b.Input), cmp.Compare(a.Interface, b.Interface))
	})
	return list
}
