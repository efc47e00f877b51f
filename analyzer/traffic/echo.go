package traffic

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/packet"
)

// Ping is the echo requests of one address to another.
type Ping struct {
	Asker, Asked netip.Addr
	Input        uint16 // that the frames are numbered in
	Sent, Back   uint64
	Most         int64  // ns from request to reply
	Late         []Late // replies that took long, and those that never came with Delay -1; ascending
}

// Late is one of them.
type Late struct {
	Time, Delay    int64 // Unix ns of the request; ns
	Request, Reply uint64
}

const (
	// lateEcho is from when on an echo is kept, in ns: Linux answers in the softirq that takes the request.
	lateEcho = 100_000_000
	// maxPings bounds those who ask whom, maxPending the requests that wait, and maxLate those kept of each pair.
	maxPings   = 1000
	maxPending = 1 << 14
	maxLate    = 256
)

// Echoes follows echo requests and replies (RFC 792, RFC 4443). The zero value is empty.
type Echoes struct {
	pairs   map[[2]netip.Addr]*Ping
	pending map[echo]sent
}

// echo identifies a request.
type echo struct {
	asker, asked netip.Addr
	id, seq      uint16
}

type sent struct {
	time  int64
	frame uint64
}

// Add takes an ICMP packet; others than echoes are none.
func (s *Echoes) Add(p *packet.Packet) {
	request := p.Kind == packet.ICMP && p.ICMPType == packet.EchoRequest4 || p.Kind == packet.ICMPv6 && p.ICMPType == packet.EchoRequest6
	reply := p.Kind == packet.ICMP && p.ICMPType == packet.EchoReply4 || p.Kind == packet.ICMPv6 && p.ICMPType == packet.EchoReply6
	if !request && !reply {
		return
	}
	e := echo{p.Src.Netip(p.V6), p.Dst.Netip(p.V6), p.ICMPID, p.ICMPSeq}
	if reply {
		e.asker, e.asked = e.asked, e.asker
	}
	pair := s.pairs[[2]netip.Addr{e.asker, e.asked}]
	if pair == nil {
		if reply || len(s.pairs) >= maxPings {
			return
		}
		if s.pairs == nil {
			s.pairs, s.pending = map[[2]netip.Addr]*Ping{}, map[echo]sent{}
		}
		pair = &Ping{Asker: e.asker, Asked: e.asked, Input: p.Input}
		s.pairs[[2]netip.Addr{e.asker, e.asked}] = pair
	}
	was, waits := s.pending[e]
	// The second copy of another interface comes within milliseconds. Some hosts begin to count anew with each ping, or never count:
	// one with the same numbers that comes later is another, and the first was not answered.
	if request && waits && p.Time-was.time >= lateEcho {
		if waits = false; len(pair.Late) < maxLate {
			pair.Late = append(pair.Late, Late{was.time, -1, was.frame, 0})
		}
		delete(s.pending, e)
	}
	switch {
	case request && !waits && len(s.pending) < maxPending:
		pair.Sent++
		s.pending[e] = sent{p.Time, p.Frame}
	case reply && waits && p.Time >= was.time:
		delete(s.pending, e)
		pair.Back++
		delay := p.Time - was.time
		pair.Most = max(pair.Most, delay)
		if delay >= lateEcho && len(pair.Late) < maxLate {
			pair.Late = append(pair.Late, Late{was.time, delay, was.frame, p.Frame})
		}
	}
}

// List gives the pings by asker and asked. last is when the capture ended: what was asked in the grace before it, in ns,
// may still be answered.
func (s *Echoes) List(last, grace int64) []*Ping {
	for e, was := range s.pending {
		pair := s.pairs[[2]netip.Addr{e.asker, e.asked}]
		if last-was.time >= grace {
			pair.Late = append(pair.Late, Late{was.time, -1, was.frame, 0})
		}
	}
	var all []*Ping
	for _, p := range s.pairs {
		slices.SortFunc(p.Late, func(a, b Late) int { return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Request, b.Request)) })
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *Ping) int { return cmp.Or(a.Asker.Compare(b.Asker), a.Asked.Compare(b.Asked)) })
	return all
}
