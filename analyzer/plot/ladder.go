package plot

import (
	"time"

	"gonum.org/v1/plot/vg"

	"github.com/spikebox/spikebox/format/unit"
)

// Rung is one packet between two hosts.
type Rung struct {
	At    int64 // ns since the first
	Right bool  // from the one at the left to the one at the right
	Label string
	Loud  bool // what the drawing is about: a packet that was sent again
	Lost  bool // nothing came of it, as far as the capture shows
	Half  bool // it ends at, or comes from, whoever stands between the two
	Error bool // an ICMP error about what the other side sent
}

// Ladder is packets between two hosts, with time to scale from the top down.
type Ladder struct {
	Name, Title, Alt string
	From, To         string // the two ends
	Via              string // who stands between them; empty: nobody that spoke
	Rungs            []Rung
	Until            int64  // ns since the first until when nothing more came; 0: it ends with its last packet
	UntilName        string // what was then
}

const (
	ladderWidth = 640
	ladderHead  = 44
	ladderLeft  = 190
	ladderRight = 490
	ladderVia   = (ladderLeft + ladderRight) / 2
	leastPitch  = 15                           // pixels between two lines of text
	leastApart  = 5                            // pixels between two arrows: packets of the same moment are seen apart
	mostShift   = 70                           // pixels that a text may stand below its packet
	leastGap    = int64(10 * time.Millisecond) // as gaps are rounded
)

// Picture draws the ladder.
func (l *Ladder) Picture() *Picture {
	arrows, texts := l.places()
	low := ladderHead + l.tall() + 80
	for i := range arrows { // packets of one moment at the end go on below it
		low = max(low, arrows[i]+20, texts[i]+10)
	}
	return &Picture{Name: l.Name, Title: l.Title, Alt: l.Alt, Width: ladderWidth, Height: low, paint: l.paint}
}

// tall is how much room the time takes.
func (l *Ladder) tall() float64 { return min(440, max(260, float64(len(l.Rungs))*22)) }

// y is where a time stands.
func (l *Ladder) y(at int64) float64 {
	last := max(1, l.Until)
	for i := range l.Rungs {
		last = max(last, l.Rungs[i].At)
	}
	return ladderHead + l.tall()*float64(at)/float64(last)
}

// places says where the arrow of each packet stands, and where its text: 0 where there is no room for one.
func (l *Ladder) places() (arrows, texts []float64) {
	above := float64(ladderHead - leastApart)
	free := 0.0 // from where on a line of text has room
	for i := range l.Rungs {
		at := max(l.y(l.Rungs[i].At), above+leastApart)
		above = at
		// What comes at once stands below each other, beside its place.
		text := max(at+4, free)
		if text-at < mostShift {
			free = text + leastPitch
		} else {
			text = 0
		}
		arrows, texts = append(arrows, at), append(texts, text)
	}
	return arrows, texts
}

func (l *Ladder) paint(p *pen) {
	top := float64(ladderHead)
	arrows, texts := l.places()
	foot := top + l.tall() + 40
	if n := len(arrows); n > 0 {
		foot = max(foot, arrows[n-1]+8)
	}
	p.text(Text, normal, ladderLeft, 18, middle, fit(l.From, normal, 300))
	p.text(Text, normal, ladderRight, 18, middle, fit(l.To, normal, 270))
	for _, x := range []float64{ladderLeft, ladderRight} {
		p.line(Axis, 1.5, nil, point{x, 26}, point{x, foot})
	}
	if l.Via != "" {
		p.text(Text, normal, ladderVia, 36, middle, fit(l.Via, normal, ladderRight-ladderLeft-10))
		p.line(Axis, 1.5, dashes[2], point{ladderVia, top - 2}, point{ladderVia, foot})
	}
	before := map[string]int64{}
	for i, r := range l.Rungs {
		at, text := arrows[i], texts[i]
		l.arrow(p, &r, at)
		when, ink := offset(r.At), Dim
		if r.Loud {
			ink = Text
			if last, again := before[r.Label]; again && r.At-last >= leastGap {
				when += "  (+" + unit.Duration(time.Duration(r.At-last).Round(10*time.Millisecond)) + ")"
			}
			before[r.Label] = r.At
		}
		if text == 0 {
			continue
		}
		if text > at+5 { // a text that has moved is tied to its packet
			p.line(Axis, 1, nil, point{ladderLeft - 1, at}, point{ladderLeft - 10, text - 4})
			p.line(Axis, 1, nil, point{ladderRight + 1, at}, point{ladderRight + 10, text - 4})
		}
		p.text(ink, small, ladderLeft-12, text, right, when)
		p.text(ink, small, ladderRight+12, text, left, fit(r.Label, small, ladderWidth-ladderRight-16))
	}
	if l.Until > 0 {
		p.line(Axis, 1, dashes[2], point{ladderLeft, l.y(l.Until)}, point{ladderRight, l.y(l.Until)})
		p.text(Dim, small, ladderLeft-12, l.y(l.Until)+4, right, offset(l.Until))
		p.text(Dim, small, ladderRight+12, l.y(l.Until)+4, left, fit(l.UntilName, small, ladderWidth-ladderRight-16))
	}
}

// arrow draws a packet; one that brought nothing ends in a cross, at the latest where somebody between says that it does.
func (l *Ladder) arrow(p *pen, r *Rung, y float64) {
	from, to, back := float64(ladderLeft), float64(ladderRight), -7.0
	if !r.Right {
		from, to, back = to, from, 7.0
	}
	switch {
	case r.Half && r.Lost:
		to = ladderVia
	case r.Half:
		from = ladderVia
	}
	ink, dash := Lines[0], []vg.Length(nil)
	if !r.Right {
		ink = Lines[2]
	}
	if r.Loud {
		ink = Lines[1]
	}
	if r.Lost {
		to -= 6 * back / -7
		dash = []vg.Length{6, 3}
	}
	p.line(ink, 1.6, dash, point{from, y}, point{to, y})
	if r.Lost {
		p.lines(ink, 1.8, nil, [][]point{{{to - 4, y - 4}, {to + 4, y + 4}}, {{to - 4, y + 4}, {to + 4, y - 4}}})
		return
	}
	p.lines(ink, 1.6, nil, [][]point{{{to + back, y - 4}, {to, y}, {to + back, y + 4}}})
}

// offset writes a time since the first packet.
func offset(ns int64) string {
	if ns == 0 {
		return "0"
	}
	return unit.Duration(time.Duration(ns))
}
