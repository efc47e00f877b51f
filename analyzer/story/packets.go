package story

import (
	"cmp"
	"errors"
	"io"
	"net/netip"
	"slices"

	"github.com/spikebox/spikebox/analyzer/dissect"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/format/member"
)

// ends are a connection by its two ends.
type ends struct{ client, server netip.AddrPort }

// Packet is one packet as a line.
type Packet struct {
	Frame   uint64
	Time    int64 // Unix ns
	Way     string
	Summary string
	p       packet.Packet
}

const (
	// mostLines is how many packets of a connection are shown: more are Wireshark's work.
	mostLines = 40
	// mostDrawn is how many packets of one connection are drawn.
	mostDrawn = 40_000
)

// wanted is a connection whose packets the second pass keeps.
type wanted struct {
	ends
	from, to int64 // Unix ns; 0: unbounded
	drawn    bool  // every packet is kept, and not only the first ones
	views    []*view
	view     // what is shown of them
}

// view is a connection's packets as they were seen at one place.
type view struct {
	place   int // index of evidence.Between.Places; negative: unknown
	lines   []Packet
	packets []packet.Packet
	more    int // packets that are not kept
}

// has says whether a packet is the connection's.
func (w *wanted) has(p *packet.Packet, src, dst netip.AddrPort) bool {
	if p.Time < w.from || w.to != 0 && p.Time > w.to {
		return false
	}
	return src == w.client && dst == w.server || src == w.server && dst == w.client
}

// Opener opens the packets of an input by its path.
type Opener func(path string) (*evidence.Records, error)

// fetch makes the second pass: it reads the packets of the connections that are shown. The first
// cannot know which these are. What came through a pipe is left out.
func fetch(list []*wanted, e *evidence.Evidence, open Opener) error {
	if len(list) == 0 || open == nil || e.Packets == nil {
		return nil
	}
	places := e.Packets.Between
	bundle := false
	for _, in := range e.Inputs {
		name := in.Path
		if in.Kind == "bundle" && !bundle {
			name, bundle = member.PacketsName, true
		}
		if in.Once {
			continue
		}
		r, err := open(in.Path)
		if errors.Is(err, evidence.ErrNoPackets) {
			continue
		}
		if err != nil {
			return err
		}
		err = (&scan{list, r, name, places, places.Clock(name)}).run()
		r.Close()
		if err != nil {
			return err
		}
	}
	for _, w := range list {
		w.settle(places)
	}
	return nil
}

// scan is the second pass over one input.
type scan struct {
	list   []*wanted
	in     *evidence.Records
	name   string
	places *evidence.Between
	clock  packet.Clock
}

// run reads to the last packet that anybody wants. Damage ends it: the report says so already.
func (s *scan) run() error {
	last := int64(0)
	known := map[netip.AddrPort]bool{}
	for _, w := range s.list {
		known[w.client], known[w.server] = true, true
		if w.to == 0 {
			last = 1<<63 - 1
		}
		last = max(last, w.to)
	}
	var rec packet.Record
	for {
		var lost *packet.DamageError
		switch err := s.in.Next(&rec); {
		case err == io.EOF || errors.As(err, &lost):
			return nil
		case err != nil:
			return err
		}
		rec.Time = s.clock.At(rec.Time)
		// Interfaces' packets come slightly out of order.
		if rec.Time > last && rec.Time-last > 1e9 {
			return nil
		}
		src, dst := endsIn(&rec.Packet)
		if !known[src] || !known[dst] {
			continue
		}
		for _, w := range s.list {
			if w.has(&rec.Packet, src, dst) {
				iface := s.in.Interfaces()[rec.Interface]
				w.at(s.places.Find(s.name, iface.Name)).keep(&rec, iface.LinkType, w.drawn)
			}
		}
	}
}

// endsIn gives the ends of a segment, or of the one that an ICMP error quotes.
func endsIn(p *packet.Packet) (src, dst netip.AddrPort) {
	switch q := &p.Quoted; {
	case p.Kind == packet.TCP:
		return p.SrcAddrPort(), p.DstAddrPort()
	case q.Proto == 6: // TCP
		return netip.AddrPortFrom(q.Src.Netip(p.V6), q.SrcPort), netip.AddrPortFrom(q.Dst.Netip(p.V6), q.DstPort)
	}
	return src, dst
}

// at gives the view from a place.
func (w *wanted) at(place int) *view {
	for _, v := range w.views {
		if v.place == place {
			return v
		}
	}
	v := &view{place: place}
	w.views = append(w.views, v)
	return v
}

// keep takes a packet.
func (v *view) keep(rec *packet.Record, link uint32, drawn bool) {
	full := len(v.lines) >= mostLines
	if !full {
		way := map[packet.Dir]string{packet.DirIn: "in", packet.DirOut: "out"}[rec.Dir]
		v.lines = append(v.lines, Packet{rec.Frame, rec.Time, way, dissect.Summary(rec, link), rec.Packet})
	}
	switch {
	case rec.Kind != packet.TCP: // an ICMP error: it is shown, and is no segment
	case drawn && len(v.packets) < mostDrawn:
		v.packets = append(v.packets, rec.Packet)
	case full:
		v.more++
	}
}

// settle chooses the place from which a connection is shown: the bundle's, or else where it was seen first. A packet that passes two
// places would be drawn as one that was sent again. What was seen at places that the first one's packets do not pass is part of it:
// answers may leave by another interface.
func (w *wanted) settle(places *evidence.Between) {
	if len(w.views) == 0 {
		return
	}
	first := slices.MinFunc(w.views, func(a, b *view) int {
		if mine := places.About(a.place); mine != places.About(b.place) {
			return map[bool]int{true: -1, false: 1}[mine]
		}
		return cmp.Compare(a.lines[0].Time, b.lines[0].Time)
	})
	w.view = *first
	for _, v := range w.views {
		if v == first || places.Twice(first.place, v.place) {
			continue
		}
		w.lines, w.packets, w.more = append(w.lines, v.lines...), append(w.packets, v.packets...), w.more+v.more
		slices.SortStableFunc(w.lines, func(a, b Packet) int { return cmp.Compare(a.Time, b.Time) })
		slices.SortStableFunc(w.packets, func(a, b packet.Packet) int { return cmp.Compare(a.Time, b.Time) })
	}
	if n := len(w.lines); n > mostLines {
		w.lines, w.more = w.lines[:mostLines], w.more+n-mostLines
	}
	w.views = nil
}
