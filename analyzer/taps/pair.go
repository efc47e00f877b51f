package taps

import (
	"math/bits"
	"net/netip"
)

// Pair is two places that follow each other on the way of some connections.
type Pair struct {
	A, B  int // indexes of places
	Conns uint64
	Ways  [2]Way // from A to B, and back
	// Translated lists services that have other ends at B than at A, the first few.
	Translated []Translation
}

// Translation is a service as one place has it and as the other does.
type Translation struct{ A, B netip.AddrPort }

// Turn makes A of B.
func (p *Pair) Turn() {
	p.A, p.B = p.B, p.A
	p.Ways[0], p.Ways[1] = p.Ways[1], p.Ways[0]
	for i := range p.Translated {
		t := &p.Translated[i]
		t.A, t.B = t.B, t.A
	}
}

// Way is what went from one place to the next. Segments are counted as the kernel counts them, data, SYN
// and FIN, repetitions included; a RST is one.
type Way struct {
	From, To int
	Passed   uint64 // seen at both
	Lost     uint64 // seen before and not behind
	// Unseen was not seen behind, where the receiver's acknowledgement of it came by all the same: it got
	// there, past a capture that lost it or on another way.
	Unseen uint64
	// Extra was seen behind and not before: lost by the capture there, or sent by something in between.
	Extra uint64
	Reset uint64 // of Extra, RSTs
	// Silent is what was sent after the last packet that the place behind saw of any connection.
	Silent uint64
	// Refused counts connections that were opened before and of which no SYN came by behind, where all
	// others to the same service do; SYNs how many were sent. Elsewhere counts those where some do not.
	Refused, SYNs, Elsewhere uint64
	// RefusedFirst and RefusedLast are when these were opened first, and sent their last SYN; Unix ns, 0 where there are none.
	RefusedFirst, RefusedLast int64

	Delay    Histogram
	Seconds  map[int64]*Second // by Unix second, at most mostSeconds
	Services map[netip.AddrPort]*Tally
	Examples []Example // of what was lost, the first

	hush []loss // since the place behind saw its last packet
}

// loss is something that was lost.
type loss struct {
	server, client netip.AddrPort
	segments       uint64
	size           uint32 // bytes of the largest
	at             int64
	frame          uint64
}

// Second is what happened within one.
type Second struct {
	Passed, Lost uint64
	Min, Max     int64 // ns of delay, of what passed
	// Bytes of the largest segment that passed, and of the smallest that was lost; 0 without one.
	Largest, Least uint32
}

// Tally is what happened to a service's segments; the service is named as the place before has it.
type Tally struct {
	Passed, Lost uint64
	Asked        uint64 // of Passed, what the clients sent: on their way to the service
	Refused      uint64 // connections, as Way's
}

// refuse counts a connection of which nothing came by behind.
func (w *Way) refuse(service netip.AddrPort, s silent) {
	w.Refused++
	w.SYNs += uint64(s.syns)
	w.tally(service).Refused++
	if w.RefusedFirst == 0 || s.first < w.RefusedFirst {
		w.RefusedFirst = s.first
	}
	w.RefusedLast = max(w.RefusedLast, s.last)
}

// Example is a segment that was lost.
type Example struct {
	Client, Server netip.AddrPort
	Time           int64
	Frame          uint64 // at the place before
}

const (
	mostSeconds  = 7200 // of a way: two hours
	mostServices = 256
	mostExamples = 10
	mostHushed   = 1024
)

// second gives the counts of a time, nil where there are too many.
func (w *Way) second(at int64) *Second {
	s := w.Seconds[at/1e9]
	if s == nil && len(w.Seconds) < mostSeconds {
		if w.Seconds == nil {
			w.Seconds = map[int64]*Second{}
		}
		s = &Second{}
		w.Seconds[at/1e9] = s
	}
	return s
}

// tally gives the counts of a service.
func (w *Way) tally(service netip.AddrPort) *Tally {
	t := w.Services[service]
	if t == nil {
		if w.Services == nil {
			w.Services = map[netip.AddrPort]*Tally{}
		}
		if len(w.Services) >= mostServices {
			return w.Services[netip.AddrPort{}] // those beyond, together
		}
		t = &Tally{}
		w.Services[service] = t
		if len(w.Services) == mostServices-1 {
			w.Services[netip.AddrPort{}] = &Tally{}
		}
	}
	return t
}

// pass counts segments that passed both places, and whether the client had sent them.
func (w *Way) pass(service netip.AddrPort, n uint64, size uint32, asked bool, sent, came int64) {
	w.Passed += n
	t := w.tally(service)
	if t.Passed += n; asked {
		t.Asked += n
	}
	delay := came - sent
	w.Delay.add(delay)
	if s := w.second(came); s != nil {
		if s.Passed == 0 || delay < s.Min {
			s.Min = delay
		}
		s.Max = max(s.Max, delay)
		s.Passed += n
		s.Largest = max(s.Largest, size)
	}
}

// lose counts something that was lost.
func (w *Way) lose(l *loss) {
	w.Lost += l.segments
	w.tally(l.server).Lost += l.segments
	if s := w.second(l.at); s != nil {
		if s.Lost == 0 || l.size < s.Least {
			s.Least = l.size
		}
		s.Lost += l.segments
	}
	if len(w.Examples) < mostExamples {
		w.Examples = append(w.Examples, Example{l.client, l.server, l.at, l.frame})
	}
}

// miss takes something that has not come to the place behind, which has last seen a packet at some
// time. Was it silent since, nobody knows whether it still looked.
func (w *Way) miss(l loss, last int64) {
	w.settle(last)
	switch {
	case l.at <= last:
		w.lose(&l)
	case len(w.hush) < mostHushed:
		w.hush = append(w.hush, l)
	default:
		w.Silent += l.segments
	}
}

// settle counts what was missed before the place behind saw another packet.
func (w *Way) settle(last int64) {
	kept := w.hush[:0]
	for i := range w.hush {
		if l := &w.hush[i]; l.at <= last {
			w.lose(l)
		} else {
			kept = append(kept, *l)
		}
	}
	w.hush = kept
}

// finish counts what was missed at the end.
func (w *Way) finish(last int64) {
	w.settle(last)
	for i := range w.hush {
		w.Silent += w.hush[i].segments
	}
	w.hush = nil
}

// Histogram counts delays in ns, in buckets that are 1/16 of their size wide. Minimum and maximum are
// exact. It is no sketch.Sketch, whose buckets begin with a µs: from one interface of a host to the next a packet takes some hundred ns.
type Histogram struct {
	N        uint64
	Min, Max int64
	buckets  [1024]uint32
}

// bucket gives the bucket of a delay.
func bucket(v int64) int {
	u := uint64(max(v, 0))
	if u < 16 {
		return int(u)
	}
	exponent := bits.Len64(u) - 5
	return (exponent+1)*16 + int(u>>exponent) - 16
}

// bottom gives the least delay of a bucket.
func bottom(i int) int64 {
	if i < 32 {
		return int64(i)
	}
	return int64(16+i%16) << (i/16 - 1)
}

// add counts one.
func (h *Histogram) add(v int64) {
	if h.N == 0 || v < h.Min {
		h.Min = v
	}
	if h.N == 0 || v > h.Max {
		h.Max = v
	}
	h.N++
	h.buckets[bucket(v)]++
}

// Quantile gives the delay below which a share of all lies, in ns.
func (h *Histogram) Quantile(share float64) int64 {
	left := uint64(share * float64(h.N))
	for i, n := range h.buckets {
		if uint64(n) > left {
			return min(max(bottom(i), h.Min), h.Max)
		}
		left -= uint64(n)
	}
	return h.Max
}
