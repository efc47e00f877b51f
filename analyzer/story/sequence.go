package story

import (
	"fmt"
	"time"

	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/internal/words"
	"github.com/spikebox/spikebox/analyzer/packet"
	"github.com/spikebox/spikebox/analyzer/plot"
	"github.com/spikebox/spikebox/format/unit"
)

// mostSegments is how many segments a graph draws: beyond, they are one black bar.
const mostSegments = 5000

// lossSequence draws the connection that had to send most again.
func (t *teller) lossSequence(f *check.Finding) *Exhibit {
	return t.sequence(f, flow.EventRetransmit)
}

// windowSequence draws a connection whose window was closed.
func (t *teller) windowSequence(f *check.Finding) *Exhibit {
	return t.sequence(f, flow.EventZeroWindow)
}

// bytesSequence draws the connection that carried most.
func (t *teller) bytesSequence(f *check.Finding) *Exhibit {
	return t.sequence(f, flow.EventZeroWindow)
}

// followed is a connection that was followed once more, with what the engine says of its packets.
type followed struct {
	w      *wanted
	side   flow.Side              // whose data is drawn
	marks  map[uint64]plot.Mark   // by frame
	at     map[flow.EventKind]int // events by kind, of either side
	span   plot.Span              // of the events that the drawing is about
	closed [2][]plot.Span         // by side, when its receive window was closed
	since  [2]int64               // Unix ns from which on it is; 0: it is open
	scale  [2]int                 // window scales by side, -1 where the SYN was not captured
}

// follow lets the engine judge a connection's packets again: only it tells what was sent again from what came late.
func follow(w *wanted, about flow.EventKind) *followed {
	d := &followed{w: w, marks: map[uint64]plot.Mark{}, at: map[flow.EventKind]int{}, scale: [2]int{-1, -1}}
	var bytes [2]uint64
	table := flow.NewTable(func(*flow.Flow) {}, flow.Options{Events: func(e *flow.Event) {
		d.at[e.Kind]++
		switch e.Kind {
		case flow.EventRetransmit:
			d.marks[e.Frame] = plot.Again
		case flow.EventWindowProbe, flow.EventKeepAlive:
			d.marks[e.Frame] = plot.Probe
		case flow.EventZeroWindow:
			d.since[e.Side] = e.Time
		case flow.EventWindowOpen:
			d.closed[e.Side] = append(d.closed[e.Side], plot.Span{Start: e.Time - e.Value, End: e.Time})
			d.since[e.Side] = 0
		}
		d.see(e, about)
	}})
	for i := range w.packets {
		p := &w.packets[i]
		side := d.from(p)
		bytes[side] += uint64(p.Payload)
		if p.Flags.Has(packet.SYN) {
			d.scale[side] = 0
			if p.Opts.Has(packet.OptWScale) {
				d.scale[side] = int(min(p.WScale, 14)) // RFC 7323 §2.3
			}
		}
		table.Add(p)
	}
	table.Flush()
	for side, since := range d.since {
		if since > 0 {
			d.closed[side] = append(d.closed[side], plot.Span{Start: since, End: w.packets[len(w.packets)-1].Time})
		}
	}
	if bytes[flow.Server] > bytes[flow.Client] {
		d.side = flow.Server
	}
	return d
}

// see widens the span of what is drawn by an event. A window that is closed stays so until it is opened, or to the
// end of the connection.
func (d *followed) see(e *flow.Event, about flow.EventKind) {
	if e.Kind != about && (about != flow.EventZeroWindow || e.Kind != flow.EventWindowOpen) {
		return
	}
	if d.span.Start == 0 {
		d.span.Start = e.Time
	}
	d.span.End = e.Time
	if e.Kind == flow.EventZeroWindow {
		d.span.End = d.w.packets[len(d.w.packets)-1].Time
	}
}

// from is the side that sent a packet.
func (d *followed) from(p *packet.Packet) flow.Side {
	if p.SrcAddrPort() == d.w.client {
		return flow.Client
	}
	return flow.Server
}

// around is the part of the connection that is drawn: what it is about, with a quarter before and behind.
func (d *followed) around() plot.Span {
	all := plot.Span{Start: d.w.packets[0].Time, End: d.w.packets[len(d.w.packets)-1].Time + 1}
	// A hundredth beside the first and the last one: their marks are wider than they are.
	edge := max((all.End-all.Start)/100, int64(time.Millisecond))
	all.Start, all.End = all.Start-edge, all.End+edge
	if d.span.Start == 0 {
		return all
	}
	room := max((d.span.End-d.span.Start)/4, int64(300*time.Millisecond))
	return plot.Span{Start: max(all.Start, d.span.Start-room), End: min(all.End, d.span.End+room)}
}

// sequence draws the time-sequence graph of the connection that shows a finding best.
func (t *teller) sequence(f *check.Finding, about flow.EventKind) *Exhibit {
	w := t.worst(f)
	if w == nil || len(w.packets) < 4 {
		return nil
	}
	d := follow(w, about)
	s := d.graph()
	if len(s.Segments) == 0 {
		return nil
	}
	s.Trigger = t.trigger
	to, from := w.client, w.server
	if d.side == flow.Client {
		to, from = from, to
	}
	s.Name, s.Title = "sequence", fmt.Sprintf("What %v sent to %v, byte by byte", from, to)
	again := 0
	for _, g := range s.Segments {
		if g.Mark == plot.Again {
			again++
		}
	}
	what := fmt.Sprintf("%s, %d of them sent again", words.Plural(len(s.Segments), "segment", "segments"), again)
	closed := int64(0)
	for _, c := range s.Closed {
		closed += c.End - c.Start
	}
	if closed > 0 {
		what += fmt.Sprintf("; the receiver's window was closed for %s", unit.Duration(time.Duration(closed)))
	}
	s.Alt = fmt.Sprintf("A time-sequence graph: time to the right, sequence numbers upwards; %s.", what)
	caption := fmt.Sprintf("%v to %v from %s on: %s.", from, to, words.Clock(time.Unix(0, max(s.Window.Start, w.packets[0].Time))), what)
	if d.scale[d.side.Other()] < 0 {
		caption += " The window is not drawn: its scale was said in a SYN that was not captured."
	}
	filter := flow.AppendFilter(nil, w.client, w.server, w.packets[0].Time, w.packets[len(w.packets)-1].Time)
	return &Exhibit{Picture: s.Picture(), Caption: caption, Filter: string(filter)}
}

// graph turns the packets into what is drawn.
func (d *followed) graph() *plot.Sequence {
	s := &plot.Sequence{Window: d.around(), Closed: d.closed[d.side.Other()]}
	base, started := uint32(0), false
	last := int64(0) // the sequence number that was seen last, beyond 32 bits
	place := func(n uint32) float64 { return float64(last + int64(int32(n-base-uint32(last)))) }
	for i := range d.w.packets {
		p := &d.w.packets[i]
		mine := d.from(p) == d.side
		if !started {
			if base, started = p.Seq, mine; !mine {
				if !p.Flags.Has(packet.ACK) {
					continue
				}
				base, started = p.Ack, true
			}
		}
		inside := p.Time >= s.Window.Start && p.Time <= s.Window.End
		switch {
		case mine:
			from := place(p.Seq)
			last = max(last, int64(from))
			if inside {
				s.Segments = append(s.Segments, d.segment(p, from)...)
			}
		case p.Flags.Has(packet.ACK) && inside:
			ack := place(p.Ack)
			win := ack - 1e18 // beyond the paper
			if scale := d.scale[d.side.Other()]; scale >= 0 && !p.Flags.Has(packet.SYN) {
				win = ack + float64(uint64(p.Window)<<scale)
			}
			s.Acks = append(s.Acks, plot.Level{At: p.Time, Ack: ack, Win: win})
			for _, b := range p.SACKs[:p.NSACK] {
				s.SACKs = append(s.SACKs, plot.Level{At: p.Time, Ack: place(b.Left), Win: place(b.Right)})
			}
		}
	}
	thin(s)
	return s
}

// segment is what a packet adds to the graph.
func (d *followed) segment(p *packet.Packet, from float64) []plot.Segment {
	mark, ok := d.marks[p.Frame]
	switch {
	case p.Flags&(packet.SYN|packet.FIN|packet.RST) != 0 && p.Payload == 0:
		mark = plot.Finish
		if d.marks[p.Frame] == plot.Again {
			mark = plot.Again
		}
	case p.Payload == 0 && !ok: // an acknowledgement of the other direction
		return nil
	}
	return []plot.Segment{{At: p.Time, From: from, To: from + float64(p.Payload), Mark: mark}}
}

// thin leaves what can be seen: every segment that is not plain, and of the plain ones, and of
// acknowledgements, as many as there are pixels to spare.
func thin(s *plot.Sequence) {
	if n := len(s.Segments); n > mostSegments {
		step := n/mostSegments + 1
		kept := s.Segments[:0]
		for i, g := range s.Segments {
			if g.Mark != plot.Sent && len(kept) < 2*mostSegments || i%step == 0 {
				kept = append(kept, g)
			}
		}
		s.Segments = kept
	}
	s.Acks, s.SACKs = every(s.Acks), every(s.SACKs)
}

// every leaves about mostSegments of a list.
func every(list []plot.Level) []plot.Level {
	step := len(list)/mostSegments + 1
	if step == 1 {
		return list
	}
	kept := list[:0]
	for i, l := range list {
		if i%step == 0 || i == len(list)-1 {
			kept = append(kept, l)
		}
	}
	return kept
}
