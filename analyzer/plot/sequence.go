package plot

import (
	"slices"

	"gonum.org/v1/plot/vg"
)

// Mark says what a segment on the graph is.
type Mark uint8

// The marks.
const (
	Sent   Mark = iota // for the first time
	Again              // retransmitted
	Probe              // of a closed window, or to keep alive
	Finish             // SYN, FIN or RST
)

// Segment is bytes that one side sent.
type Segment struct {
	At       int64
	From, To float64 // since the connection's first byte
	Mark     Mark
}

// Level is an acknowledgement with the window that it offers, or a block of SACK.
type Level struct {
	At       int64
	Ack, Win float64 // of SACK: from, to
}

// Sequence is a time-sequence graph as Shepard (1991), Stevens and tcptrace draw it: segments as upright
// bars, the acknowledgements as steps below them, the offered window as steps above.
type Sequence struct {
	Name, Title, Alt string
	Segments         []Segment
	Closed           []Span // in which the receiver's window was closed
	Acks             []Level
	SACKs            []Level
	Window           Span
	Trigger          int64
}

const sequenceHeight = 380

// Picture draws the graph.
func (s *Sequence) Picture() *Picture {
	return &Picture{Name: s.Name, Title: s.Title, Alt: s.Alt, Width: rowWidth, Height: sequenceHeight, Left: rowLeft, Right: rowRight, Top: rowTop, Bottom: sequenceHeight - rowFoot, Key: keys(s.legend()), paint: s.paint}
}

func (s *Sequence) paint(p *pen) {
	f := &frame{p: p, x0: rowLeft, x1: rowRight, top: rowTop, bottom: sequenceHeight - rowFoot, span: s.Window}
	f.low, f.high = s.extent()
	p.group(legendGroup, func() {
		for _, e := range s.legend() {
			if e.name == crosses {
				p.lines(e.ink, 1.2, nil, [][]point{{{e.x + 7, 9}, {e.x + 13, 15}}, {{e.x + 7, 15}, {e.x + 13, 9}}})
			} else {
				p.line(e.ink, 2.5, e.dash, point{e.x, 12}, point{e.x + 20, 12})
			}
			p.text(Text, small, e.x+25, e.y, left, e.name)
		}
	})
	p.group(dataGroup, func() {
		for _, c := range s.Closed {
			x0, x1 := f.x(max(c.Start, s.Window.Start)), f.x(min(c.End, s.Window.End))
			if x1 > x0 {
				p.rect(WarBand, x0, f.top, x1-x0, f.bottom-f.top)
				p.rect(Warn, x0, f.bottom-4, x1-x0, 3)
			}
		}
	})
	scale := f.valueAxis("B")
	f.timeAxis(true)
	p.group(dataGroup, func() {
		f.steps(s.Acks, Lines[2], nil, func(l Level) float64 { return l.Ack })
		f.steps(s.Acks, Lines[3], dashes[2], func(l Level) float64 { return l.Win })
		f.segments(s)
		for _, c := range s.Closed {
			x0, x1 := f.x(max(c.Start, s.Window.Start)), f.x(min(c.End, s.Window.End))
			if name := fit("window closed", small, x1-x0-8); name != "" {
				p.rect(Paper, x0+2, f.bottom-19, width(name, small)+4, small+3)
				p.text(Text, small, x0+4, f.bottom-8, left, name)
			}
		}
		f.trigger(s.Trigger)
	})
	scale()
}

// legend names what the graph holds, and nothing else.
func (s *Sequence) legend() []entry {
	has := map[Mark]bool{}
	for _, g := range s.Segments {
		has[g.Mark] = true
	}
	_, high := s.extent()
	offered := slices.ContainsFunc(s.Acks, func(l Level) bool { return l.Win >= l.Ack && l.Win <= high })
	var all []entry
	x := float64(rowLeft)
	add := func(is bool, ink Ink, dash []vg.Length, name string) {
		if is {
			all = append(all, entry{ink, dash, name, x, 16})
			x += 25 + width(name, small) + 20
		}
	}
	add(has[Sent], Lines[0], nil, "sent")
	add(has[Again], Lines[1], nil, "sent again")
	add(len(s.Acks) > 0, Lines[2], nil, "acknowledged")
	add(offered, Lines[3], dashes[2], "window offered")
	add(len(s.SACKs) > 0, Lines[4], nil, "SACK")
	add(has[Probe] || has[Finish], Dim, nil, crosses)
	return all
}

// crosses is what is marked by a cross.
const crosses = "SYN, FIN, RST, probes"

// extent is the bytes that are shown. The window is, where it does not lie far above all that was sent.
func (s *Sequence) extent() (low, high float64) {
	first := true
	see := func(v float64) {
		if first {
			low, high, first = v, v, false
		}
		low, high = min(low, v), max(high, v)
	}
	for _, g := range s.Segments {
		see(g.From)
		see(g.To)
	}
	sent := high - low
	for _, a := range s.Acks {
		if a.Win >= a.Ack && a.Win-high < sent/2 { // one that is not known is below
			see(a.Win)
		}
	}
	return low, high + (high-low)/20 + 1
}

// steps draws a level that holds until the next one.
func (f *frame) steps(all []Level, ink Ink, dash []vg.Length, of func(Level) float64) {
	var lines [][]point
	var now []point
	for _, l := range all {
		v := of(l)
		if v < f.low || v > f.high { // beyond the paper
			if len(now) > 1 {
				lines = append(lines, now)
			}
			now = nil
			continue
		}
		at := point{f.x(l.At), f.y(v)}
		if n := len(now); n > 0 && now[n-1].y != at.y {
			now = append(now, point{at.x, now[n-1].y})
		}
		now = append(now, at)
	}
	if len(now) > 1 {
		lines = append(lines, now)
	}
	f.p.group("line", func() { f.p.lines(ink, 1.3, dash, lines) })
}

// segments draws what was sent: bars between arrow heads, thicker where it was sent again.
func (f *frame) segments(s *Sequence) {
	var sent, again, rest, sack [][]point
	for _, g := range s.Segments {
		x, y0, y1 := f.x(g.At), f.y(g.From), f.y(g.To)
		if y0-y1 < 1.5 {
			y0, y1 = y0+0.8, y1-0.8
		}
		bar := []point{{x, y0}, {x, y1}}
		switch g.Mark {
		case Again:
			// A cap above and below, so that it is told apart without its colour.
			again = append(again, bar, []point{{x - 3, y0}, {x + 3, y0}}, []point{{x - 3, y1}, {x + 3, y1}})
		case Sent:
			sent = append(sent, bar)
		default:
			rest = append(rest, []point{{x - 3, y0 - 3}, {x + 3, y0 + 3}}, []point{{x - 3, y0 + 3}, {x + 3, y0 - 3}})
		}
	}
	for _, k := range s.SACKs {
		sack = append(sack, []point{{f.x(k.At), f.y(k.Ack)}, {f.x(k.At), f.y(k.Win)}})
	}
	f.p.group("line", func() {
		f.p.lines(Lines[4], 1, nil, sack)
		f.p.lines(Lines[0], 1.4, nil, sent)
		f.p.lines(Dim, 1.2, nil, rest)
		f.p.lines(Lines[1], 2, nil, again)
	})
}
